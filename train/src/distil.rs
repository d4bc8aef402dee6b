//! Self-distillation of the second trunk ([`crate::mobilenet`]): every layer of it learns to say of
//! damaged audio what it says of the same audio undamaged, while its pointwise convolutions are
//! rounded to int8 as they ship.
//!
//! The teacher is the network as it was read, on clean audio; its answers are computed once. The
//! student starts as its copy and hears the audio through rooms, small loudspeakers, noise and at
//! other volumes. No label is used. Everything that is drawn depends on the seed and the step
//! alone, and a checkpoint holds everything else.

mod distance;
mod material;

use std::{collections::BTreeMap, fmt::Write as _, fs, path::Path};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{log_sigmoid, sigmoid},
};
use genrescope::network::bundle::Weights;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use self::{
    distance::distance,
    material::{ANSWER, Heard, batch_of},
};
pub use self::{
    distance::{Distance, Row, markdown, table},
    material::{Recording, TaughtMaterial},
};
use crate::{
    degrade::Damage,
    hearing::{self, hear},
    mobilenet::{Answers, CLASSES, HIDDEN, Mobilenet, POOLED, Params, write_tensors},
    optim::{Learnt, Method, Optimiser, Schedule},
    parallel,
    pictures::{fnv1a, write_whole},
    rng::Rng,
    sounds::RATE,
    study::say,
    trainable::floats,
};

/// Samples of a segment: the 10 s that the network was taught with.
pub const SEGMENT: usize = 10 * RATE as usize;
/// How it is done.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct DistilRecipe {
    /// Folders of audio under `--data`. An `index.csv` in one names its artists, and the test part
    /// of its split stays out.
    pub audio: Vec<String>,
    /// Draws everything.
    pub seed: u64,
    /// Steps.
    pub steps: usize,
    /// Segments a step.
    pub batch: usize,
    /// Rate of AdamW, after the warm-up and before the cosine.
    pub rate: f32,
    /// Part of the steps spent on the way up.
    pub warm_up: f32,
    /// Decoupled decay of weights.
    pub weight_decay: f32,
    /// What is kept of the average of weights at each step; the average is what is measured and
    /// written.
    pub average: f32,
    /// Part of the segments that the student hears undamaged.
    pub clean: f32,
    /// Part of the segments that are heard at another volume, -24 to +12 dB, clipped at full scale.
    pub volume: f32,
    /// Weight of the cross-entropy to the teacher's 527 answers.
    pub answers: f32,
    /// Weight of the squared error of the embedding, relative to its mean square.
    pub pooled: f32,
    /// Weight of the squared error of the layer below the classes, relative to its mean square.
    pub hidden: f32,
    /// Steps from one point of the curve to the next.
    pub curve_every: usize,
    /// Held-out segments of a point of the curve.
    pub curve_segments: usize,
    /// Held-out segments of the closing table.
    pub table_segments: usize,
    /// Steps from one checkpoint to the next.
    pub checkpoint_every: usize,
}

impl Default for DistilRecipe {
    fn default() -> Self {
        Self {
            audio: [
                "gtzan",
                "gtzan_more",
                "songs",
                "synthetic_music",
                "not_music",
            ]
            .map(String::from)
            .to_vec(),
            seed: 1,
            steps: 400,
            batch: 8,
            rate: 1e-4,
            warm_up: 0.05,
            weight_decay: 0.0,
            average: 0.98,
            clean: 0.2,
            volume: 0.4,
            answers: 1.0,
            pooled: 2.0,
            hidden: 2.0,
            curve_every: 50,
            curve_segments: 48,
            table_segments: 160,
            checkpoint_every: 25,
        }
    }
}

impl DistilRecipe {
    /// Whether it can be followed.
    ///
    /// # Errors
    /// Naming the field that cannot.
    pub fn check(&self) -> Result<()> {
        for (name, value) in [
            ("steps", self.steps),
            ("batch", self.batch),
            ("curve_every", self.curve_every),
            ("curve_segments", self.curve_segments),
            ("table_segments", self.table_segments),
            ("checkpoint_every", self.checkpoint_every),
            ("audio", self.audio.len()),
        ] {
            ensure!(
                value > 0,
                "the recipe's \"{name}\" is 0 or empty: at least one is needed"
            );
        }
        for (name, value, high) in [
            ("rate", self.rate, 0.1),
            ("warm_up", self.warm_up, 1.0),
            ("weight_decay", self.weight_decay, 1.0),
            ("average", self.average, 0.9999),
            ("clean", self.clean, 1.0),
            ("volume", self.volume, 1.0),
            ("answers", self.answers, 1e3),
            ("pooled", self.pooled, 1e3),
            ("hidden", self.hidden, 1e3),
        ] {
            ensure!(
                (0.0..=high).contains(&value),
                "the recipe's \"{name}\" is {value}: it must lie between 0 and {high}"
            );
        }
        Ok(())
    }
}

/// A point of the curve: how far the averaged weights, rounded, are from the teacher on held-out
/// audio.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Point {
    /// Steps taken.
    pub step: usize,
    /// On clean audio.
    pub clean: Distance,
    /// On damaged audio.
    pub damaged: Distance,
}

/// Everything that a step changes.
struct State {
    step: usize,
    slots: BTreeMap<String, Learnt>,
    curve: Vec<Point>,
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Said {
    step: usize,
    identity: String,
    curve: Vec<Point>,
}

const SAID: &str = "genrescope-distil";

impl State {
    fn new(params: &Params) -> Self {
        let slots = params.tensors.iter().map(|(name, weights)| {
            let slot = Learnt::new(name, weights.shape(), weights.to_f32());
            (name.clone(), slot)
        });
        Self {
            step: 0,
            slots: slots.collect(),
            curve: Vec::new(),
        }
    }

    fn params(&self, of: impl Fn(&Learnt) -> &Tensor<1>) -> Result<Params> {
        let tensors = self.slots.iter().map(|(name, slot)| {
            let weights = Weights::new(slot.shape(), floats(of(slot).clone()))?;
            Ok((name.clone(), weights))
        });
        Ok(Params {
            tensors: tensors.collect::<Result<_>>()?,
        })
    }

    fn write(&self, identity: &str) -> Result<Vec<u8>> {
        let mut tensors = Vec::new();
        for slot in self.slots.values() {
            slot.write(&mut tensors)?;
        }
        let said = Said {
            step: self.step,
            identity: identity.to_owned(),
            curve: self.curve.clone(),
        };
        let words = BTreeMap::from([(SAID.to_owned(), serde_json::to_string(&said)?)]);
        write_tensors(tensors.into_iter(), &words)
    }

    fn read(&mut self, file: &[u8], identity: &str, optimiser: &Optimiser) -> Result<()> {
        let (_, header) = SafeTensors::read_metadata(file)?;
        let said = header.metadata().as_ref().and_then(|words| words.get(SAID));
        let said: Said =
            serde_json::from_str(said.context("it is no checkpoint of this command")?)?;
        ensure!(
            said.identity == identity,
            "it was made with another recipe, other audio or another network"
        );
        let tensors = SafeTensors::deserialize(file)?;
        for slot in self.slots.values_mut() {
            slot.read(&tensors, optimiser, said.step)?;
        }
        (self.step, self.curve) = (said.step, said.curve);
        Ok(())
    }
}

/// Where a run is kept and how it is followed.
#[derive(Debug)]
pub struct Run<'a> {
    /// The folder of its checkpoint and curve; nothing is kept without one.
    pub folder: Option<&'a Path>,
    /// Threads that make what is heard.
    pub threads: usize,
    /// Stop when so many steps were taken, as if killed; for tests.
    pub stop_after: Option<usize>,
}

/// Names of the files in the folder of a run.
pub const CHECKPOINT: &str = "checkpoint.safetensors";
/// The curve, a line of JSON for each point.
pub const CURVE: &str = "curve.jsonl";

/// Trains a copy of `teacher`; goes on from the checkpoint in the run's folder where there is one.
///
/// # Errors
/// When a checkpoint is of another run, or something cannot be written.
pub fn distil(
    teacher: &Params,
    material: &TaughtMaterial,
    recipe: &DistilRecipe,
    run: &Run<'_>,
) -> Result<(Params, Vec<Point>)> {
    recipe.check()?;
    let identity = format!(
        "{:016x} {}",
        fnv1a(&teacher.write(&BTreeMap::new())?)
            ^ fnv1a(
                &material
                    .answers
                    .iter()
                    .flat_map(|x| x.to_le_bytes())
                    .collect::<Vec<u8>>()
            ),
        serde_json::to_string(recipe)?
    );
    let identity = format!("{identity} {}", hearing::VERSION);
    let optimiser = Optimiser::new(Method::AdamW, recipe.weight_decay);
    let mut state = State::new(teacher);
    let checkpoint = run.folder.map(|folder| folder.join(CHECKPOINT));
    if let Some(path) = checkpoint.as_ref().filter(|path| path.exists()) {
        let file = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
        state.read(&file, &identity, &optimiser).with_context(|| {
            format!(
                "cannot go on from '{}'; name another folder with --out, or delete it",
                path.display()
            )
        })?;
        say(&format!("goes on from step {}\n", state.step));
    }
    let schedule = Schedule {
        total: recipe.steps,
        warm_up: recipe.warm_up,
        constant: false,
    };
    let measured = material.spread(recipe.curve_segments);
    loop {
        let last = state.step == recipe.steps;
        if (state.step.is_multiple_of(recipe.curve_every) || last)
            && state
                .curve
                .last()
                .is_none_or(|point| point.step < state.step)
        {
            let net = Mobilenet::new(
                &state.params(|slot| &slot.average)?.rounded(),
                &Device::flex(),
            );
            let of = |heard| distance(material, &net, &measured, heard, run.threads);
            let (clean, damaged) = (of(Heard::Damaged(Damage::Clean))?, of(Heard::Mixed)?);
            say(&format!(
                "step {}: held out, clean: divergence {:.4}, cosine {:.4}; damaged: {:.4}, {:.4}\n",
                state.step, clean.divergence, clean.cosine, damaged.divergence, damaged.cosine
            ));
            state.curve.push(Point {
                step: state.step,
                clean,
                damaged,
            });
            if let Some(folder) = run.folder {
                let mut lines = String::new();
                for point in &state.curve {
                    let _ = writeln!(lines, "{}", serde_json::to_string(point)?);
                }
                write_whole(&folder.join(CURVE), lines.as_bytes())?;
            }
        }
        if let Some(path) = &checkpoint
            && (state.step.is_multiple_of(recipe.checkpoint_every) || last)
        {
            write_whole(path, &state.write(&identity)?)?;
        }
        if last {
            break;
        }
        if run.stop_after == Some(state.step) {
            bail!("stopped after {} steps", state.step);
        }
        let rate = f64::from(recipe.rate * schedule.factor(state.step));
        let parts = step(&mut state, material, recipe, &optimiser, rate, run.threads)?;
        if state.step.is_multiple_of(10) {
            say(&format!(
                "step {} of {}: answers {:.4}, embedding {:.4}, hidden {:.4}\n",
                state.step, recipe.steps, parts[0], parts[1], parts[2]
            ));
        }
    }
    Ok((state.params(|slot| &slot.average)?, state.curve))
}

/// One segment as the student hears it at a step: its number and mel bands.
fn draw(
    material: &TaughtMaterial,
    recipe: &DistilRecipe,
    step: usize,
    place: usize,
) -> Result<(usize, Vec<f32>)> {
    let mut rng = Rng::at(recipe.seed, &[0xd157, step as u64, place as u64]);
    let index = rng.below(material.train.len());
    let segment = material.segment(index);
    if rng.chance(recipe.clean) {
        return Ok((index, material.front_end.bands(segment)?));
    }
    let mut heard = hear(segment, rng.bits())?;
    if rng.chance(recipe.volume) {
        let db = f64::from(rng.between(-24.0, 12.0));
        heard = Damage::Gain(db).apply(&heard, RATE, 0)?;
    }
    Ok((index, material.front_end.bands(&heard)?))
}

/// One step. Returns the parts of the loss.
fn step(
    state: &mut State,
    material: &TaughtMaterial,
    recipe: &DistilRecipe,
    optimiser: &Optimiser,
    rate: f64,
    threads: usize,
) -> Result<[f32; 3]> {
    let device = Device::flex().autodiff();
    let drawn = parallel::map(recipe.batch, threads, |place| {
        draw(material, recipe, state.step, place)
    });
    let (mut mels, mut taught) = (Vec::new(), Vec::new());
    for drawn in drawn {
        let (index, mel) = drawn?;
        mels.extend(mel);
        taught.extend_from_slice(material.answer(index));
    }
    let taught = Tensor::<2>::from_data(TensorData::new(taught, [recipe.batch, ANSWER]), &device);
    // The gradient at the rounded weights moves those that are not: a straight-through estimate.
    let net = Mobilenet::new(&state.params(|slot| &slot.value)?.rounded(), &device);
    let answers = net.forward(batch_of(mels, &device));
    let parts = losses(&answers, taught, material.squares);
    let weights = [recipe.answers, recipe.pooled, recipe.hidden];
    let [a, b, c] = parts.clone();
    let loss = a * weights[0] + b * weights[1] + c * weights[2];
    let mut gradients = loss.backward();
    let average = (recipe.average, state.step + 1);
    for (name, tensor) in net.tensors() {
        let (Some(slot), Some(gradient)) = (
            state.slots.get_mut(name),
            tensor.grad_remove(&mut gradients),
        ) else {
            bail!("'{name}' got no gradient");
        };
        slot.step(optimiser, rate, gradient, average);
    }
    state.step += 1;
    let mut said = [0.0; 3];
    for (said, part) in said.iter_mut().zip(parts) {
        *said = part.into_scalar::<f32>();
        ensure!(
            said.is_finite(),
            "the loss is no number any more at step {}: lower the recipe's \"rate\"",
            state.step
        );
    }
    Ok(said)
}

/// Divergence from the teacher's answers; squared errors of embedding and hidden layer relative to
/// their mean squares.
fn losses(answers: &Answers, taught: Tensor<2>, squares: [f32; 2]) -> [Tensor<1>; 3] {
    let [batch, _] = taught.dims();
    let logits = taught.clone().narrow(1, POOLED + HIDDEN, CLASSES);
    let target = sigmoid(logits.clone());
    let against = |z: Tensor<2>| {
        // -log(1 - p) - z t, which is the cross-entropy.
        -log_sigmoid(-z.clone()) - z * target.clone()
    };
    let divergence = (against(answers.logits.clone()) - against(logits)).sum() / batch as f32;
    let error = |said: &Tensor<2>, first: usize, n: usize, square: f32| {
        (said.clone() - taught.clone().narrow(1, first, n))
            .square()
            .mean()
            / square
    };
    [
        divergence,
        error(&answers.pooled, 0, POOLED, squares[0]),
        error(&answers.hidden, POOLED, HIDDEN, squares[1]),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Three recordings of noise with a tone, the last of them held out.
    fn recordings() -> Vec<Recording> {
        let mut rng = Rng::at(5, &[]);
        (0..3)
            .map(|i| {
                let hz = 200.0 * (i + 1) as f32;
                let samples = (0..2 * RATE as usize)
                    .map(|n| {
                        let turn = std::f32::consts::TAU * hz * n as f32 / RATE as f32;
                        0.2 * turn.sin() + 0.02 * rng.normal()
                    })
                    .collect();
                Recording {
                    samples,
                    held_out: i == 2,
                }
            })
            .collect()
    }

    fn recipe() -> DistilRecipe {
        DistilRecipe {
            steps: 4,
            batch: 2,
            rate: 1e-3,
            curve_every: 2,
            curve_segments: 1,
            checkpoint_every: 1,
            ..DistilRecipe::default()
        }
    }

    #[test]
    fn a_run_that_was_stopped_ends_as_one_that_was_not() {
        let teacher = Params::random(1).unwrap();
        let material = TaughtMaterial::of(recordings(), &teacher, 2).unwrap();
        let run = |folder, stop_after, threads| {
            let run = Run {
                folder,
                threads,
                stop_after,
            };
            distil(&teacher, &material, &recipe(), &run)
        };
        let (whole, curve) = run(None, None, 2).unwrap();
        let dir = tempfile::tempdir().unwrap();
        for stop in [1, 3] {
            run(Some(dir.path()), Some(stop), 1).unwrap_err();
        }
        let (resumed, resumed_curve) = run(Some(dir.path()), None, 1).unwrap();
        assert_eq!(curve, resumed_curve);
        assert!(whole == resumed, "other weights");
        let lines = fs::read_to_string(dir.path().join(CURVE)).unwrap();
        assert_eq!(lines.lines().count(), 3);
        // A checkpoint of another recipe is refused.
        let other = DistilRecipe {
            seed: 9,
            ..recipe()
        };
        let run = Run {
            folder: Some(dir.path()),
            threads: 1,
            stop_after: None,
        };
        let refused = distil(&teacher, &material, &other, &run).unwrap_err();
        assert!(
            format!("{refused:#}").contains("another recipe"),
            "{refused:#}"
        );
    }

    #[test]
    fn a_network_is_no_way_from_itself_and_some_way_from_another() {
        let teacher = Params::random(1).unwrap();
        let material = TaughtMaterial::of(recordings(), &teacher, 2).unwrap();
        let networks = [("itself", teacher), ("another", Params::random(2).unwrap())];
        let rows = table(&material, &networks, 4, 2).unwrap();
        let of = |network: &str| {
            &rows
                .iter()
                .find(|row| row.audio == "clean" && row.network == network)
                .unwrap()
                .distance
        };
        assert!(of("itself").divergence.abs() < 1e-6 && of("itself").scores < 1e-6);
        assert!((of("itself").cosine - 1.0).abs() < 1e-6);
        assert!(of("another").divergence > 0.1 && of("another").cosine < 0.99);
    }

    #[test]
    fn recipes_that_cannot_be_followed_are_told_why() {
        for (recipe, field) in [
            (
                DistilRecipe {
                    steps: 0,
                    ..recipe()
                },
                "\"steps\"",
            ),
            (
                DistilRecipe {
                    rate: f32::NAN,
                    ..recipe()
                },
                "\"rate\"",
            ),
            (
                DistilRecipe {
                    clean: 1.5,
                    ..recipe()
                },
                "\"clean\"",
            ),
            (
                DistilRecipe {
                    audio: Vec::new(),
                    ..recipe()
                },
                "\"audio\"",
            ),
        ] {
            let error = recipe.check().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
        DistilRecipe::default().check().unwrap();
    }
}
