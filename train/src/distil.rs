//! Self-distillation of the second trunk ([`crate::mobilenet`]): every layer of it learns to say of
//! damaged audio what it says of the same audio undamaged, while its pointwise convolutions are
//! rounded to int8 as they ship.
//!
//! The teacher is the network as it was read, on clean audio; its answers are computed once. The
//! student starts as its copy and hears the audio through rooms, small loudspeakers, noise and at
//! other volumes. No label is used. Everything that is drawn depends on the seed and the step
//! alone, and a checkpoint holds everything else.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{log_sigmoid, sigmoid},
};
use genrescope::{network::bundle::Weights, source::library::has_audio_extension};
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::{
    audio,
    datasets::Dataset,
    degrade::Damage,
    hearing::{self, hear},
    mobilenet::{
        Answers, CLASSES, HIDDEN, Mobilenet, POOLED, Params,
        log_mel::{BANDS, COLUMNS_PER_SECOND, LogMel},
        write_tensors,
    },
    optim::{Learnt, Method, Optimiser, Schedule},
    parallel,
    pictures::{PictureCache, fnv1a, key, write_whole},
    rng::Rng,
    sounds::{RATE, at_network_rate},
    study::say,
    trainable::floats,
};

/// Samples of a segment: the 10 s that the network was taught with.
pub const SEGMENT: usize = 10 * RATE as usize;
const COLUMNS: usize = 10 * COLUMNS_PER_SECOND;
/// Values that the teacher gives for a segment.
const ANSWER: usize = POOLED + HIDDEN + CLASSES;
/// One group of recordings in so many is held out.
const HELD_OUT: u64 = 10;
/// Segments that go through the network at once where nothing is learnt.
const BATCH: usize = 8;
/// AudioSet's class for music as such, and its kinds: from pop music to ska.
const MUSIC: usize = 137;
const KINDS: std::ops::Range<usize> = 216..264;

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

/// A recording at 12 kHz, of whole segments; a shorter one is looped to one.
#[derive(Clone, Debug)]
pub struct Recording {
    /// Its samples.
    pub samples: Vec<f32>,
    /// Whether it is only measured with.
    pub held_out: bool,
}

/// All audio, and what the teacher says of it.
#[derive(Debug)]
pub struct TaughtMaterial {
    recordings: Vec<Recording>,
    /// Recording and first sample of the segments to learn from, and of those held out.
    train: Vec<(usize, usize)>,
    held_out: Vec<(usize, usize)>,
    /// Teacher's answers, `[train then held out, 384 + 512 + 527]`.
    answers: Vec<f32>,
    /// Mean squares of the teacher's embedding and hidden layer over what is learnt from.
    squares: [f32; 2],
    front_end: LogMel,
}

impl TaughtMaterial {
    /// Decodes all audio in `folders` under `root`; a file that cannot be read is said and left
    /// out. The teacher's answers are kept in `cache`.
    ///
    /// # Errors
    /// When a folder is not there, or there is nothing to learn from or to measure with.
    pub fn load(
        root: &Path,
        folders: &[String],
        teacher: &Params,
        cache: &PictureCache,
        threads: usize,
    ) -> Result<Self> {
        let mut files: Vec<(PathBuf, bool)> = Vec::new();
        for name in folders {
            let folder = root.join(name);
            ensure!(
                folder.is_dir(),
                "there is no folder '{}': name the folder above it with --data, or leave it out of the recipe's \"audio\"",
                folder.display()
            );
            let dataset = if folder.join("index.csv").is_file() {
                Dataset::to_learn_from(&folder, None)?
            } else {
                Dataset::unlabelled(&folder)?
            };
            for (path, reason) in &dataset.skipped {
                say(&format!("left out '{}': {reason}\n", path.display()));
            }
            files.extend(
                dataset
                    .items
                    .into_iter()
                    .filter(|item| has_audio_extension(&item.path))
                    .map(|item| {
                        // An artist where one is known, else the file: by its place under the root,
                        // so that another root changes nothing.
                        let group = Path::new(&item.group);
                        let group = group.strip_prefix(root).unwrap_or(group);
                        let group = group.to_string_lossy().replace('\\', "/");
                        (item.path, fnv1a(group.as_bytes()).is_multiple_of(HELD_OUT))
                    }),
            );
        }
        let decoded = parallel::map(files.len(), threads, |i| {
            let mono = audio::decode(&files[i].0)?;
            let samples = at_network_rate(&mono.samples, mono.rate)?;
            ensure!(
                samples.len() >= RATE as usize,
                "it is shorter than a second"
            );
            Ok(samples)
        });
        let (mut recordings, mut identity) = (Vec::new(), String::new());
        for ((path, held_out), samples) in files.into_iter().zip(decoded) {
            match samples {
                Ok(samples) => {
                    let _ = writeln!(identity, "{}", key(&path)?);
                    recordings.push(Recording { samples, held_out });
                }
                Err(error) => say(&format!("left out '{}': {error:#}\n", path.display())),
            }
        }
        let rows = |n: usize, make: &mut dyn FnMut() -> Result<Vec<f32>>| {
            let teacher = fnv1a(&teacher.write(&BTreeMap::new())?);
            let identity = fnv1a(identity.as_bytes());
            cache.rows(
                &format!("distil 1, {teacher:016x}, {identity:016x}, {n}"),
                n * ANSWER,
                make,
            )
        };
        Self::new(recordings, teacher, threads, rows)
    }

    /// The same of samples, without a cache.
    ///
    /// # Errors
    /// When there is nothing to learn from or to measure with.
    pub fn of(recordings: Vec<Recording>, teacher: &Params, threads: usize) -> Result<Self> {
        Self::new(recordings, teacher, threads, |_, make| make())
    }

    fn new(
        mut recordings: Vec<Recording>,
        teacher: &Params,
        threads: usize,
        rows: impl FnOnce(usize, &mut dyn FnMut() -> Result<Vec<f32>>) -> Result<Vec<f32>>,
    ) -> Result<Self> {
        let (mut train, mut held_out) = (Vec::new(), Vec::new());
        for (index, recording) in recordings.iter_mut().enumerate() {
            let samples = &mut recording.samples;
            if samples.len() < SEGMENT {
                *samples = samples.iter().copied().cycle().take(SEGMENT).collect();
            }
            let segments = if recording.held_out {
                &mut held_out
            } else {
                &mut train
            };
            segments.extend((0..samples.len() / SEGMENT).map(|k| (index, k * SEGMENT)));
        }
        ensure!(
            !train.is_empty() && !held_out.is_empty(),
            "there are {} segments of 10 s to learn from and {} to measure with: both are needed, from more recordings",
            train.len(),
            held_out.len()
        );
        let mut material = Self {
            recordings,
            train,
            held_out,
            answers: Vec::new(),
            squares: [0.0; 2],
            front_end: LogMel::new(RATE),
        };
        let n = material.train.len() + material.held_out.len();
        let net = Mobilenet::new(teacher, &Device::flex());
        let answers = rows(n, &mut || {
            let mut answers = Vec::with_capacity(n * ANSWER);
            for first in (0..n).step_by(BATCH) {
                let of = BATCH.min(n - first);
                let mels = parallel::map(of, threads, |i| {
                    material.front_end.bands(material.segment(first + i))
                });
                let mels = mels.into_iter().collect::<Result<Vec<_>>>()?.concat();
                answers.extend(answered(&net, mels));
                if (first / BATCH + 1).is_multiple_of(25) {
                    say(&format!("teacher: {} of {n} segments\n", first + of));
                }
            }
            Ok(answers)
        })?;
        for row in answers[..material.train.len() * ANSWER].chunks_exact(ANSWER) {
            let n = material.train.len() as f32;
            let square = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>() / part.len() as f32;
            for (sum, part) in material
                .squares
                .iter_mut()
                .zip([&row[..POOLED], &row[POOLED..POOLED + HIDDEN]])
            {
                *sum += square(part) / n;
            }
        }
        material.squares = material.squares.map(|square| square.max(1e-6));
        material.answers = answers;
        Ok(material)
    }

    /// How many segments there are to learn from, and how many are held out.
    pub fn len(&self) -> (usize, usize) {
        (self.train.len(), self.held_out.len())
    }

    /// Never: both kinds are there.
    pub fn is_empty(&self) -> bool {
        self.train.is_empty()
    }

    /// Segment `index`, those to learn from first.
    fn segment(&self, index: usize) -> &[f32] {
        let (recording, first) = if index < self.train.len() {
            self.train[index]
        } else {
            self.held_out[index - self.train.len()]
        };
        &self.recordings[recording].samples[first..first + SEGMENT]
    }

    /// What the teacher says of it.
    fn answer(&self, index: usize) -> &[f32] {
        &self.answers[index * ANSWER..(index + 1) * ANSWER]
    }

    /// `n` held-out segments, spread over all of them.
    fn spread(&self, n: usize) -> Vec<usize> {
        let of = self.held_out.len();
        let n = n.min(of);
        (0..n).map(|i| self.train.len() + i * of / n).collect()
    }

    /// Mel bands of these segments as they are heard.
    fn mels(&self, indices: &[usize], heard: Heard, threads: usize) -> Result<Vec<f32>> {
        let mels = parallel::map(indices.len(), threads, |i| {
            let samples = heard.of(self.segment(indices[i]), indices[i] as u64)?;
            self.front_end.bands(&samples)
        });
        Ok(mels.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }
}

/// How a segment is heard when it is measured.
#[derive(Clone, Copy, Debug)]
enum Heard {
    /// One kind of damage.
    Damaged(Damage),
    /// As in training, of draws that training does not make.
    Mixed,
}

impl Heard {
    const TABLE: [Self; 9] = [
        Self::Damaged(Damage::Clean),
        Self::Mixed,
        Self::Damaged(Damage::Phone),
        Self::Damaged(Damage::Room),
        Self::Damaged(Damage::Noise(20.0)),
        Self::Damaged(Damage::Noise(10.0)),
        Self::Damaged(Damage::Noise(5.0)),
        Self::Damaged(Damage::Gain(12.0)),
        Self::Damaged(Damage::Gain(-12.0)),
    ];

    fn name(self) -> String {
        match self {
            Self::Damaged(damage) => damage.name(),
            Self::Mixed => "mixed, as in training".into(),
        }
    }

    fn of(self, samples: &[f32], seed: u64) -> Result<Vec<f32>> {
        match self {
            Self::Damaged(damage) => damage.apply(samples, RATE, seed),
            Self::Mixed => hear(samples, 0x5eed_0000 + seed),
        }
    }
}

fn batch_of(mels: Vec<f32>, device: &Device) -> Tensor<4> {
    let n = mels.len() / (BANDS * COLUMNS);
    Tensor::from_data(TensorData::new(mels, [n, 1, BANDS, COLUMNS]), device)
}

/// What `net` says of a batch, `[batch, 384 + 512 + 527]`.
fn answered(net: &Mobilenet, mels: Vec<f32>) -> Vec<f32> {
    let Answers {
        pooled,
        hidden,
        logits,
    } = net.forward(batch_of(mels, &Device::flex()));
    floats(Tensor::cat(vec![pooled, hidden, logits], 1))
}

/// How far a network's answers lie from the teacher's on clean audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Kullback-Leibler divergence of the 527 answers, in nats, summed.
    pub divergence: f64,
    /// Mean absolute difference of the 527 scores.
    pub scores: f64,
    /// The same of the 48 kinds of music.
    pub kinds: f64,
    /// Where the teacher hears music: how often its first kind of music is the student's, too.
    pub same_kind: f64,
    /// Mean cosine of the embeddings.
    pub cosine: f64,
    /// Squared error of the embedding relative to its mean square.
    pub pooled: f64,
}

/// Natural logarithms of the sigmoid and of what is left to 1.
fn log_sigmoids(logit: f32) -> (f64, f64) {
    let z = f64::from(logit);
    let of = |z: f64| z.min(0.0) - (-z.abs()).exp().ln_1p();
    (of(z), of(-z))
}

impl Distance {
    /// Between rows of answers: the student's and the teacher's.
    fn between(student: &[f32], teacher: &[f32]) -> Self {
        let mut sum = Self::default();
        let n = (teacher.len() / ANSWER) as f64;
        let (mut music, mut same, mut square) = (0.0, 0.0, 0.0);
        for (student, teacher) in student
            .chunks_exact(ANSWER)
            .zip(teacher.chunks_exact(ANSWER))
        {
            let logits = POOLED + HIDDEN;
            for (class, (&a, &b)) in student[logits..].iter().zip(&teacher[logits..]).enumerate() {
                let ((a1, a0), (b1, b0)) = (log_sigmoids(a), log_sigmoids(b));
                sum.divergence += b1.exp() * (b1 - a1) + b0.exp() * (b0 - a0);
                let apart = (a1.exp() - b1.exp()).abs();
                sum.scores += apart / CLASSES as f64;
                if KINDS.contains(&class) {
                    sum.kinds += apart / KINDS.len() as f64;
                }
            }
            if teacher[logits + MUSIC] > 0.0 {
                let first = |row: &[f32]| {
                    KINDS.max_by(|&i, &k| row[logits + i].total_cmp(&row[logits + k]))
                };
                music += 1.0;
                same += f64::from(u8::from(first(student) == first(teacher)));
            }
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum()
            };
            let (a, b) = (&student[..POOLED], &teacher[..POOLED]);
            sum.cosine += dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12);
            sum.pooled += dot(a, a) + dot(b, b) - 2.0 * dot(a, b);
            square += dot(b, b);
        }
        Self {
            divergence: sum.divergence / n,
            scores: sum.scores / n,
            kinds: sum.kinds / n,
            same_kind: same / f64::max(music, 1.0),
            cosine: sum.cosine / n,
            pooled: sum.pooled / f64::max(square, 1e-12),
        }
    }
}

/// How far `net` is from the teacher on held-out segments as they are heard.
fn distance(
    material: &TaughtMaterial,
    net: &Mobilenet,
    indices: &[usize],
    heard: Heard,
    threads: usize,
) -> Result<Distance> {
    let (mut said, mut taught) = (Vec::new(), Vec::new());
    for batch in indices.chunks(BATCH) {
        said.extend(answered(net, material.mels(batch, heard, threads)?));
        taught.extend(batch.iter().flat_map(|&index| material.answer(index)));
    }
    Ok(Distance::between(&said, &taught))
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

/// A row of the closing table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is done to the audio.
    pub audio: String,
    /// Which network, how rounded.
    pub network: String,
    /// How far it is from the teacher on clean audio.
    pub distance: Distance,
}

/// `networks`, by name, on held-out audio, clean and damaged.
///
/// # Errors
/// When audio cannot be damaged.
pub fn table(
    material: &TaughtMaterial,
    networks: &[(&str, Params)],
    segments: usize,
    threads: usize,
) -> Result<Vec<Row>> {
    let indices = material.spread(segments);
    let mut rows = Vec::new();
    for heard in Heard::TABLE {
        for (name, params) in networks {
            let net = Mobilenet::new(params, &Device::flex());
            rows.push(Row {
                audio: heard.name(),
                network: (*name).to_owned(),
                distance: distance(material, &net, &indices, heard, threads)?,
            });
        }
    }
    Ok(rows)
}

/// The rows as a table of Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| audio | network | divergence, nats | mean difference of scores | of the kinds of music | same first kind of music | cosine of the embedding |\n|---|---|---|---|---|---|---|\n",
    );
    for Row {
        audio,
        network,
        distance,
    } in rows
    {
        let _ = writeln!(
            text,
            "| {audio} | {network} | {:.3} | {:.5} | {:.5} | {:.1} % | {:.4} |",
            distance.divergence,
            distance.scores,
            distance.kinds,
            100.0 * distance.same_kind,
            distance.cosine
        );
    }
    text
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
