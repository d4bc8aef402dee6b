//! Writes the model that is compiled in from a network trained in PyTorch, and checks that nothing was lost on the way.

use genrescope::{
    front_end::FrontEndConfig,
    genre::{GTZAN, Labels},
    network::{
        Architecture, Bundle, Model, ModelCard,
        architecture::{Statistic, StatisticKind},
        bundle::DecisionDefaults,
    },
};
use genrescope_train::pytorch::import;

/// The card of the development network: conv5 flattened, statistics of conv4 and conv3, dense.
fn card() -> ModelCard {
    let statistic = |block, kind, groups| Statistic {
        block,
        kind,
        groups,
    };
    ModelCard {
        name: "development".into(),
        notice: "Development file: the head of this model is trained, its trunk is not; a better one replaces it.".into(),
        architecture: Architecture {
            statistics: vec![
                statistic(4, StatisticKind::Mean, 1),
                statistic(4, StatisticKind::Std, 1),
                statistic(3, StatisticKind::Mean, 1),
                statistic(3, StatisticKind::Std, 1),
                statistic(3, StatisticKind::Mean, 4),
            ],
            ..Architecture::cnn()
        },
        labels: Labels::new(GTZAN).unwrap(),
        front_end: FrontEndConfig { floor_db: -80.0, ..FrontEndConfig::default() },
        decision: DecisionDefaults::default(),
        data: "GTZAN (fault-filtered train and valid clips, 540); trunk: K. Choi's CNN, Million Song Dataset, 50 tags".into(),
        recipe: "trunk frozen in the z-score regime; dense layer on conv5 flattened, conv4 mean and std, conv3 mean, std and mean by \
                 four frequency groups; augmentation and crops; class-balanced cross-entropy"
            .into(),
        accuracies: Vec::new(),
        licence: "research: GTZAN has no clearances".into(),
        credits: "K. Choi, music-auto_tagging-keras (MIT); G. Tzanetakis, GTZAN".into(),
        sha256: String::new(),
    }
}

#[test]
#[ignore = "writes models/default.safetensors from the state dict that GENRESCOPE_STATE_DICT names"]
fn write_development_model() {
    let source = std::env::var_os("GENRESCOPE_STATE_DICT")
        .expect("GENRESCOPE_STATE_DICT names a safetensors file");
    let bundle = import(&std::fs::read(source).unwrap(), card()).unwrap();
    let file = bundle.quantised().write().unwrap();
    Model::from_bytes(&file).unwrap();
    assert_eq!(
        Bundle::read(&file).unwrap().tensors.len(),
        bundle.tensors.len()
    );
    std::fs::write(
        concat!(env!("CARGO_MANIFEST_DIR"), "/../models/default.safetensors"),
        file,
    )
    .unwrap();
}
