//! What is learnt from: recordings in segments, and what the teacher says of each.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Result, ensure};
use burn::tensor::{Device, Tensor, TensorData};
use genrescope::source::library::has_audio_extension;

use super::SEGMENT;
use crate::{
    audio,
    datasets::Dataset,
    degrade::Damage,
    hearing::hear,
    mobilenet::{
        Answers, CLASSES, HIDDEN, Mobilenet, POOLED, Params,
        log_mel::{BANDS, COLUMNS_PER_SECOND, LogMel},
    },
    parallel,
    pictures::{PictureCache, fnv1a, key},
    sounds::{RATE, at_network_rate},
    study::say,
    trainable::floats,
};

const COLUMNS: usize = 10 * COLUMNS_PER_SECOND;
/// Values that the teacher gives for a segment.
pub(super) const ANSWER: usize = POOLED + HIDDEN + CLASSES;
/// One group of recordings in so many is held out.
const HELD_OUT: u64 = 10;
/// Segments that go through the network at once where nothing is learnt.
pub(super) const BATCH: usize = 8;

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
    pub(super) train: Vec<(usize, usize)>,
    held_out: Vec<(usize, usize)>,
    /// Teacher's answers, `[train then held out, 384 + 512 + 527]`.
    pub(super) answers: Vec<f32>,
    /// Mean squares of the teacher's embedding and hidden layer over what is learnt from.
    pub(super) squares: [f32; 2],
    pub(super) front_end: LogMel,
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
    pub(super) fn segment(&self, index: usize) -> &[f32] {
        let (recording, first) = if index < self.train.len() {
            self.train[index]
        } else {
            self.held_out[index - self.train.len()]
        };
        &self.recordings[recording].samples[first..first + SEGMENT]
    }

    /// What the teacher says of it.
    pub(super) fn answer(&self, index: usize) -> &[f32] {
        &self.answers[index * ANSWER..(index + 1) * ANSWER]
    }

    /// `n` held-out segments, spread over all of them.
    pub(super) fn spread(&self, n: usize) -> Vec<usize> {
        let of = self.held_out.len();
        let n = n.min(of);
        (0..n).map(|i| self.train.len() + i * of / n).collect()
    }

    /// Mel bands of these segments as they are heard.
    pub(super) fn mels(&self, indices: &[usize], heard: Heard, threads: usize) -> Result<Vec<f32>> {
        let mels = parallel::map(indices.len(), threads, |i| {
            let samples = heard.of(self.segment(indices[i]), indices[i] as u64)?;
            self.front_end.bands(&samples)
        });
        Ok(mels.into_iter().collect::<Result<Vec<_>>>()?.concat())
    }
}

/// How a segment is heard when it is measured.
#[derive(Clone, Copy, Debug)]
pub(super) enum Heard {
    /// One kind of damage.
    Damaged(Damage),
    /// As in training, of draws that training does not make.
    Mixed,
}

impl Heard {
    pub(super) const TABLE: [Self; 9] = [
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

    pub(super) fn name(self) -> String {
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

pub(super) fn batch_of(mels: Vec<f32>, device: &Device) -> Tensor<4> {
    let n = mels.len() / (BANDS * COLUMNS);
    Tensor::from_data(TensorData::new(mels, [n, 1, BANDS, COLUMNS]), device)
}

/// What `net` says of a batch, `[batch, 384 + 512 + 527]`.
pub(super) fn answered(net: &Mobilenet, mels: Vec<f32>) -> Vec<f32> {
    let Answers {
        pooled,
        hidden,
        logits,
    } = net.forward(batch_of(mels, &Device::flex()));
    floats(Tensor::cat(vec![pooled, hidden, logits], 1))
}
