//! A network that no recipe names: read from a model file, trained with any number of layers
//! frozen, written, and run by the product.

use genrescope::{
    genre::Labels,
    network::{
        Architecture, Bundle, Model, Network,
        architecture::{Block, Head, Pooling, Statistic, StatisticKind},
        bundle::DecisionDefaults,
    },
};
use genrescope_train::{
    export::{Words, bundle},
    fit::{Example, Inputs, Loss, Recipe, Task, View, fit, view},
    optim::Method,
    pictures::Picture,
    rng::Rng,
    trainable::{Differentiable, Trainable},
    transfer,
};

/// Two blocks, one GRU over two rows, two statistics and a hidden layer.
fn model_file() -> Bundle {
    let block = |filters, pool| Block { filters, pool };
    let statistic = |block, kind, groups| Statistic {
        block,
        kind,
        groups,
    };
    let architecture = Architecture {
        frame_columns: 300,
        time_pad: 3,
        blocks: vec![block(3, [8, 5]), block(4, [6, 4])],
        cycle_after: None,
        pooling: Pooling::Gru { units: vec![5] },
        statistics: vec![
            statistic(1, StatisticKind::Max, 3),
            statistic(2, StatisticKind::Std, 2),
        ],
        head: Head {
            hidden: Some(6),
            ..Architecture::cnn().head
        },
        ..Architecture::cnn()
    };
    let mut file = Bundle::random(architecture, Labels::new(["x", "y", "z"]).unwrap(), 4).unwrap();
    file.card.front_end.floor_db = -80.0;
    Bundle::read(&file.write().unwrap()).unwrap()
}

fn pictures() -> Vec<Picture> {
    let picture = |i| {
        let mut rng = Rng::at(1, &[i]);
        let db: Vec<f32> = (0..400 * 96).map(|_| rng.between(-75.0, 0.0)).collect();
        Picture::from_db(&db)
    };
    (0..6).map(picture).collect()
}

fn words() -> Words {
    Words {
        name: "any".into(),
        notice: String::new(),
        data: "none".into(),
        recipe: "none".into(),
        accuracies: Vec::new(),
        licence: "MIT".into(),
        credits: "none".into(),
        decision: DecisionDefaults::default(),
    }
}

#[test]
fn every_depth_learns_what_it_should_and_the_product_runs_it() {
    let file = model_file();
    let labels = Labels::new(["a", "b"]).unwrap();
    let start = transfer::trunk_of(&file, labels).unwrap();
    assert_eq!(start.layers(), 4);
    assert_eq!(
        start.param("block2.weight").values,
        file.tensors["block2.weight"].to_f32()
    );
    let pictures = pictures();
    let views: Vec<View> = vec![view(&start, &pictures, None, 0, 2)];
    for frozen in 0..=start.layers() {
        let recipe = Recipe {
            method: Method::Adam,
            frozen,
            epochs: 2,
            batch: 3,
            rate: 1e-3,
            head_rate: 1e-2,
            shortest_steps: 5,
            average: 0.0,
            ..Recipe::default()
        };
        let pairs: Vec<(usize, usize)> = (0..6).map(|i| (i, i % 2)).collect();
        let examples = Example::labelled(&pairs, 2, &recipe);
        let task = Task {
            inputs: if recipe.learns_from_views(&start) {
                Inputs::Views(&views)
            } else {
                Inputs::Pictures(&pictures, &[])
            },
            examples: &examples,
            extras: &[],
            held_out: &pairs,
            hints: None,
            tagger: None,
            threads: 2,
            checkpoint: None,
        };
        let (net, epochs) = fit(&start, &recipe, &task, &mut |_| {}).unwrap();
        assert!(epochs.iter().all(|epoch| epoch.loss.is_finite()));
        for (before, after) in start.params.iter().zip(&net.params) {
            let moved = before.values != after.values;
            assert_eq!(moved, before.layer >= frozen, "{} at {frozen}", before.name);
        }
        let file = bundle(&net, Loss::Softmax, &words(), &[]).unwrap();
        let model = Model::from_bundle(&file).unwrap();
        let ours = Differentiable::new(&net);
        for columns in [300, 130] {
            let db = pictures[0].crop(20, columns);
            let mut network = Network::new(&model);
            let theirs = network.score_frame(&db).unwrap().logits;
            for (a, b) in ours.logits(&db).iter().zip(theirs) {
                assert!((a - b).abs() < 1e-4, "{frozen}, {columns}: {a} {b}");
            }
        }
        assert_eq!(Trainable::from_bundle(&file).unwrap().layers(), 4);
    }
}

#[test]
fn another_front_end_is_refused() {
    let mut file = model_file();
    file.card.front_end.hop_length = 128;
    let error = transfer::trunk_of(&file, Labels::new(["a"]).unwrap()).unwrap_err();
    assert!(error.to_string().contains("hop_length: 128"), "{error}");
}
