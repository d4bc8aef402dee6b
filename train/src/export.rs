//! From a trained [`Net`] to the product's model file, and back through the product to see that it is the same.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use genrescope::{
    front_end::FrontEndConfig,
    genre::Labels,
    network::{
        Bundle, Model, ModelCard, Network,
        architecture::{
            Architecture, Block, Head, Normalisation, Pooling, Statistic, StatisticKind,
        },
        bundle::{Accuracy, DecisionDefaults, Weights},
        quantise::Calibration,
    },
};

use crate::{
    fit::Loss,
    metrics::{Share, argmax},
    net::{FRAME_COLUMNS, Net, Tap},
    parallel,
    pictures::Picture,
    study::first_frame,
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

/// The network as the product describes it.
pub fn architecture(net: &Net, loss: Loss) -> Architecture {
    let spec = &net.spec;
    let mut statistics = Vec::new();
    for tap in &spec.taps {
        let both = |block| {
            [StatisticKind::Mean, StatisticKind::Std].map(|kind| Statistic {
                block,
                kind,
                groups: 1,
            })
        };
        match tap {
            Tap::Top => {}
            Tap::Block4 => statistics.extend(both(spec.repeated + 1)),
            Tap::Block3 => statistics.extend(both(spec.repeated)),
            Tap::Block3Bands => {
                statistics.push(Statistic {
                    block: spec.repeated,
                    kind: StatisticKind::Mean,
                    groups: 4,
                });
            }
        }
    }
    Architecture {
        frame_columns: FRAME_COLUMNS,
        normalisation: Normalisation {
            mean: vec![spec.input_mean],
            std: vec![spec.input_std],
            level: spec.level,
        },
        time_pad: spec.time_pad,
        column_affine: false,
        blocks: spec
            .blocks
            .iter()
            .map(|b| Block {
                filters: b.outputs,
                pool: [b.pool.0, b.pool.1],
            })
            .collect(),
        cycle_after: spec.recurrent.is_empty().then_some(spec.repeated),
        tagger: None,
        pooling: if spec.taps.first() != Some(&Tap::Top) {
            Pooling::None
        } else if spec.recurrent.is_empty() {
            Pooling::Flatten
        } else {
            Pooling::Gru {
                units: spec.recurrent.clone(),
            }
        },
        statistics,
        head: Head {
            hidden: None,
            activation: loss.activation(),
        },
    }
}

/// The model in f32. The head's standardisation is folded into its weights.
///
/// # Errors
/// When labels or sizes do not fit the product.
pub fn bundle(
    net: &Net,
    labels: &[String],
    loss: Loss,
    words: &Words,
    trust: &[(String, Vec<f32>)],
) -> Result<Bundle> {
    ensure!(
        net.spec.taps.iter().skip(1).all(|tap| *tap != Tap::Top),
        "the top of the trunk must be the first tap: the product puts it first"
    );
    let mut tensors = std::collections::BTreeMap::new();
    for (i, block) in net.spec.blocks.iter().enumerate() {
        let (inputs, outputs) = (block.inputs, block.outputs);
        let own = &net.params.tensors[2 * i];
        // From [out, row, column, in] to [out, in, row, column].
        let mut weight = vec![0.0; own.len()];
        for o in 0..outputs {
            for tap in 0..9 {
                for c in 0..inputs {
                    weight[(o * inputs + c) * 9 + tap] = own[(o * 9 + tap) * inputs + c];
                }
            }
        }
        tensors.insert(
            format!("block{}.weight", i + 1),
            Weights::new(&[outputs, inputs, 3, 3], weight)?,
        );
        let bias = net.params.tensors[2 * i + 1].clone();
        tensors.insert(
            format!("block{}.bias", i + 1),
            Weights::new(&[outputs], bias)?,
        );
    }
    if net.spec.taps.first() == Some(&Tap::Top) {
        let names = net.spec.tensors();
        let first = net.spec.first_tensor(net.spec.blocks.len());
        let learnt = net.params.tensors.iter().zip(&names);
        for (place, (values, (name, _))) in learnt.take(net.spec.head()).skip(first).enumerate() {
            let units = net.spec.recurrent[place / 3];
            let shape = match place % 3 {
                2 => vec![values.len()],
                _ => vec![3 * units, values.len() / (3 * units)],
            };
            tensors.insert(name.clone(), Weights::new(&shape, values.clone())?);
        }
    }
    let (weight, bias) = folded_head(net);
    tensors.insert(
        "output.weight".into(),
        Weights::new(&[net.spec.labels, net.spec.embedding_len()], weight)?,
    );
    tensors.insert(
        "output.bias".into(),
        Weights::new(&[net.spec.labels], bias)?,
    );
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
            architecture: architecture(net, loss),
            labels: Labels::new(labels)?,
            front_end: FrontEndConfig {
                // A window that is brought to its level gets its floor after that.
                floor_db: match net.spec.level {
                    Some(level) => level.floor_db - level.most_db,
                    None => net.spec.floor_db,
                },
                ..FrontEndConfig::default()
            },
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

/// Weight and bias of the head on embeddings as they come.
pub fn folded_head(net: &Net) -> (Vec<f32>, Vec<f32>) {
    let at = net.spec.head();
    crate::heads::Linear {
        mean: net.embedding_mean.clone(),
        std: net.embedding_std.clone(),
        weight: net.params.tensors[at].clone(),
        bias: net.params.tensors[at + 1].clone(),
    }
    .folded()
}

/// `net` with its convolutions rounded to int8 and back, as the model file keeps them: the first stays as it is.
pub fn rounded(net: &Net) -> Net {
    let mut rounded = net.clone();
    for (i, block) in net
        .spec
        .blocks
        .iter()
        .enumerate()
        .filter(|(_, b)| b.inputs > 1)
    {
        for filter in rounded.params.tensors[2 * i].chunks_exact_mut(9 * block.inputs) {
            let largest = filter.iter().fold(0.0f32, |m, w| m.max(w.abs()));
            let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
            for w in filter {
                *w = (*w / scale).round().clamp(-127.0, 127.0) * scale;
            }
        }
    }
    rounded
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

/// The model in int8, weights and activations: ranges are taken from every second recording's first frame.
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
    net: &Net,
    float: &Bundle,
    int8: &[u8],
    pictures: &[Picture],
    threads: usize,
) -> Result<Verified> {
    let float = Model::from_bundle(float)?;
    let int8 = Model::from_bytes(int8)?;
    let ours: Vec<Vec<f32>> = parallel::map(pictures.len(), threads, |i| {
        let db = first_frame(&pictures[i], net.spec.step_columns());
        net.forward(net.input(&db), 0, None).logits
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
    use super::*;
    use crate::{net::NetSpec, rng::Rng};

    #[test]
    fn the_product_computes_what_the_trainer_does() {
        for spec in [NetSpec::tiny(3), NetSpec::tiny_crnn(3)] {
            product_and_trainer_agree(spec);
        }
    }

    fn product_and_trainer_agree(spec: NetSpec) {
        let mut net = Net::new(spec);
        let mut rng = Rng::at(11, &[]);
        for value in net.params.tensors.iter_mut().flatten() {
            *value = 0.4 * rng.normal();
        }
        for (mean, std) in net.embedding_mean.iter_mut().zip(&mut net.embedding_std) {
            (*mean, *std) = (rng.normal(), rng.between(0.5, 2.0));
        }
        let words = Words {
            name: "tiny".into(),
            notice: String::new(),
            data: "none".into(),
            recipe: "none".into(),
            accuracies: Vec::new(),
            licence: "MIT".into(),
            credits: "none".into(),
            decision: DecisionDefaults::default(),
        };
        let labels = ["a", "b", "c"].map(String::from);
        let float = bundle(&net, &labels, Loss::Softmax, &words, &[]).unwrap();
        let int8 = float.quantised().write().unwrap();
        for columns in [FRAME_COLUMNS, 700, 97] {
            let db: Vec<f32> = (0..columns * 96)
                .map(|_| rng.between(-75.0, 10.0))
                .collect();
            let verified = verify(&net, &float, &int8, &[Picture::from_db(&db)], 1).unwrap();
            assert!(
                verified.f32_difference < 1e-4,
                "{}",
                verified.f32_difference
            );
        }
        // What `rounded` says is what the file holds.
        let read = Bundle::read(&int8).unwrap();
        let kept = read.tensors["block2.weight"].to_f32();
        let ours = bundle(&rounded(&net), &labels, Loss::Softmax, &words, &[]).unwrap();
        for (a, b) in kept.iter().zip(ours.tensors["block2.weight"].to_f32()) {
            assert!((a - b).abs() < 1e-6);
        }
    }
}
