//! From a trained network to the product's model file, and back through the product to see that it
//! is the same.

use std::sync::Arc;

use anyhow::{Context, Result};
use genrescope::network::{
    Bundle, Model, ModelCard, Network,
    architecture::{Architecture, Head},
    bundle::{Accuracy, DecisionDefaults, Weights},
    quantise::Calibration,
};

use crate::{
    fit::Loss,
    metrics::{Share, argmax},
    parallel,
    pictures::Picture,
    study::first_frame,
    trainable::{Differentiable, Trainable},
};

/// What a card says beside what follows from the network.
#[derive(Clone, Debug)]
pub struct Words {
    /// Name of the model.
    pub name: String,
    /// What must be said first.
    pub notice: String,
    /// Training data.
    pub data: String,
    /// Recipe and command.
    pub recipe: String,
    /// Measured figures.
    pub accuracies: Vec<Accuracy>,
    /// Licence of the weights.
    pub licence: String,
    /// Whose work it rests on.
    pub credits: String,
    /// Temperature and thresholds.
    pub decision: DecisionDefaults,
}

/// The model in f32. The head's standardisation is folded into its weights.
///
/// # Errors
/// When the weights do not fit the architecture.
pub fn bundle(
    net: &Trainable,
    loss: Loss,
    words: &Words,
    trust: &[(String, Vec<f32>)],
) -> Result<Bundle> {
    let mut tensors = net.tensors()?;
    for (name, values) in trust {
        tensors.insert(
            format!("trust.{name}"),
            Weights::new(&[values.len()], values.clone())?,
        );
    }
    Ok(Bundle {
        card: ModelCard {
            name: words.name.clone(),
            notice: words.notice.clone(),
            architecture: Architecture {
                head: Head {
                    activation: loss.activation(),
                    ..net.architecture.head
                },
                ..net.architecture.clone()
            },
            labels: net.labels.clone(),
            front_end: net.front_end.clone(),
            decision: words.decision.clone(),
            data: words.data.clone(),
            recipe: words.recipe.clone(),
            accuracies: words.accuracies.clone(),
            licence: words.licence.clone(),
            credits: words.credits.clone(),
            sha256: String::new(),
        },
        tensors,
    })
}

/// `net` with its convolutions rounded to int8 and back, as the model file keeps them.
///
/// # Errors
/// When the weights do not fit the architecture.
pub fn rounded(net: &Trainable) -> Result<Trainable> {
    let words = Words {
        name: String::new(),
        notice: String::new(),
        data: String::new(),
        recipe: String::new(),
        accuracies: Vec::new(),
        licence: String::new(),
        credits: String::new(),
        decision: DecisionDefaults::default(),
    };
    let file = bundle(net, Loss::default(), &words, &[])?.quantised();
    let mut rounded = net.clone();
    // The head stays standardised.
    rounded.fill(&file, |layer| layer < net.layers())?;
    Ok(rounded)
}

/// An accuracy for the card.
pub fn accuracy(what: &str, data: &str, split: &str, share: Share) -> Accuracy {
    Accuracy {
        what: what.into(),
        data: data.into(),
        split: split.into(),
        n: share.n as u64,
        value: share.value,
        low: share.low,
        high: share.high,
    }
}

/// Logits that the product gives for the first frame of each picture.
///
/// # Errors
/// When the product gives none.
pub fn product_logits(
    model: &Arc<Model>,
    pictures: &[Picture],
    threads: usize,
) -> Result<Vec<Vec<f32>>> {
    let floor = model.front_end().floor_db;
    parallel::map(pictures.len(), threads, |i| {
        let columns: Vec<f32> = first_frame(&pictures[i], model.step_columns())
            .iter()
            .map(|db| db.max(floor))
            .collect();
        let mut network = Network::new(model);
        let scored = network
            .score_frame(&columns)
            .context("the product gives no score")?;
        Ok(scored.logits.to_vec())
    })
    .into_iter()
    .collect()
}

/// The model in int8, weights and activations: ranges are taken from every second recording's first
/// frame.
///
/// # Errors
/// When the product refuses the model.
pub fn calibrated(float: &Bundle, pictures: &[Picture]) -> Result<Bundle> {
    let mut calibration = Calibration::new(float)?;
    let step = float.card.architecture.step_columns();
    for picture in pictures.iter().step_by(2) {
        let columns: Vec<f32> = first_frame(picture, step)
            .iter()
            .map(|db| db.max(float.card.front_end.floor_db))
            .collect();
        calibration.observe(&columns);
    }
    Ok(calibration.quantised())
}

/// What came of comparing a model file with the network it was made from.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Verified {
    /// Largest difference between logits of the trainer and of the product's f32 model.
    pub f32_difference: f32,
    /// How many recordings get the same answer from the f32 and the int8 model.
    pub agreement: Share,
}

/// Runs both files through the product.
///
/// # Errors
/// When the product refuses a file.
pub fn verify(
    net: &Trainable,
    float: &Bundle,
    int8: &[u8],
    pictures: &[Picture],
    threads: usize,
) -> Result<Verified> {
    let float = Model::from_bundle(float)?;
    let int8 = Model::from_bytes(int8)?;
    let network = Differentiable::new(net);
    let ours: Vec<Vec<f32>> = parallel::map(pictures.len(), threads, |i| {
        network.logits(&first_frame(&pictures[i], net.architecture.step_columns()))
    });
    let theirs = product_logits(&float, pictures, threads)?;
    let rounded = product_logits(&int8, pictures, threads)?;
    let f32_difference = ours
        .iter()
        .flatten()
        .zip(theirs.iter().flatten())
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max);
    let same = theirs
        .iter()
        .zip(&rounded)
        .filter(|(a, b)| argmax(a) == argmax(b))
        .count();
    Ok(Verified {
        f32_difference,
        agreement: Share::new(same, pictures.len()),
    })
}

#[cfg(test)]
mod tests {
    use genrescope::{
        genre::Labels,
        network::{
            architecture::{Block, Normalisation, Pooling, Statistic, StatisticKind},
            level::Level,
        },
    };

    use super::*;
    use crate::{pictures::FRAME_COLUMNS, rng::Rng, trainable::tests::tiny};

    fn words() -> Words {
        Words {
            name: "tiny".into(),
            notice: String::new(),
            data: "none".into(),
            recipe: "none".into(),
            accuracies: Vec::new(),
            licence: "MIT".into(),
            credits: "none".into(),
            decision: DecisionDefaults::default(),
        }
    }

    /// A form that no recipe has: bands normalised each by itself, a window brought to its level,
    /// one GRU over several rows, statistics of every kind, a hidden layer.
    fn odd() -> Architecture {
        let block = |filters, pool| Block { filters, pool };
        let statistic = |block, kind, groups| Statistic {
            block,
            kind,
            groups,
        };
        Architecture {
            frame_columns: 700,
            time_pad: 5,
            normalisation: Normalisation {
                mean: (0..96).map(|band| -30.0 - 0.1 * band as f32).collect(),
                std: (0..96).map(|band| 15.0 + 0.05 * band as f32).collect(),
                level: Some(Level {
                    target_db: -9.0,
                    band_db: 12.0,
                    step_db: 4.0,
                    most_db: 80.0,
                    floor_db: -80.0,
                }),
            },
            column_affine: true,
            blocks: vec![block(3, [4, 5]), block(4, [3, 2]), block(3, [2, 4])],
            cycle_after: None,
            pooling: Pooling::Gru { units: vec![5] },
            statistics: vec![
                statistic(1, StatisticKind::Max, 3),
                statistic(2, StatisticKind::Std, 2),
                statistic(3, StatisticKind::Mean, 1),
            ],
            head: Head {
                hidden: Some(6),
                activation: genrescope::network::architecture::Activation::Softmax,
            },
            ..Architecture::cnn()
        }
    }

    fn scrambled(architecture: Architecture) -> Trainable {
        let labels = Labels::new(["a", "b", "c"]).unwrap();
        let random = Bundle::random(architecture, labels, 11).unwrap();
        let mut net = Trainable::from_bundle(&random).unwrap();
        let mut rng = Rng::at(11, &[]);
        for value in net.params.iter_mut().flat_map(|param| &mut param.values) {
            *value = 0.4 * rng.normal();
        }
        for (mean, std) in net.embedding_mean.iter_mut().zip(&mut net.embedding_std) {
            (*mean, *std) = (rng.normal(), rng.between(0.5, 2.0));
        }
        net
    }

    #[test]
    fn the_product_computes_what_the_trainer_does() {
        let none = Architecture {
            pooling: Pooling::None,
            cycle_after: Some(5),
            ..tiny(false).architecture
        };
        for architecture in [
            tiny(false).architecture,
            tiny(true).architecture,
            none,
            odd(),
        ] {
            let frame = architecture.frame_columns;
            let net = scrambled(architecture);
            let float = bundle(&net, Loss::Softmax, &words(), &[]).unwrap();
            let int8 = float.quantised().write().unwrap();
            let mut rng = Rng::at(12, &[]);
            for columns in [frame, 650, 97] {
                let db: Vec<f32> = (0..columns * 96)
                    .map(|_| rng.between(-75.0, 10.0))
                    .collect();
                let verified = verify(&net, &float, &int8, &[Picture::from_db(&db)], 1).unwrap();
                assert!(
                    verified.f32_difference < 1e-4,
                    "{columns} columns of {:?}: {}",
                    net.architecture,
                    verified.f32_difference
                );
            }
            // A model file can be trained further: what comes of it is what went in.
            let again = Trainable::from_bundle(&float).unwrap();
            let again = bundle(&again, Loss::Softmax, &words(), &[]).unwrap();
            assert_eq!(again, float);
        }
        assert_eq!(FRAME_COLUMNS, Architecture::cnn().frame_columns);
    }

    #[test]
    fn rounding_is_that_of_the_model_file() {
        let net = scrambled(tiny(true).architecture);
        let file = bundle(&net, Loss::Softmax, &words(), &[]).unwrap();
        let file = file.quantised().write().unwrap();
        let read = Trainable::from_bundle(&Bundle::read(&file).unwrap()).unwrap();
        let rounded = rounded(&net).unwrap();
        for (ours, file) in rounded.params.iter().zip(&read.params) {
            if ours.layer < net.layers() {
                assert_eq!(ours, file);
            } else {
                assert_eq!(ours, net.param(&ours.name));
            }
        }
        assert_ne!(rounded.param("block2.weight"), net.param("block2.weight"));
    }

    #[test]
    fn a_second_trunk_is_trained_elsewhere() {
        let error = Trainable::from_bundle(&Bundle::builtin()).unwrap_err();
        assert!(error.to_string().contains("distil"), "{error}");
    }
}
