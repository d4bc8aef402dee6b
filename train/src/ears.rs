//! A head over both trunks: what a tagger says of the genres as a prior, and a small correction
//! that is learnt.
//!
//! `logits = a * z + b + W x`: `z` are the logarithms of the shares that the tagger gives the
//! genres (the last values of the embedding), `x` the rest of the embedding, standardised and
//! divided by the root of its length. Cross-entropy with label smoothing, genres weighed evenly;
//! `W`, `b` and `a - 1` are penalised. The problem is convex.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use genrescope::{
    network::{
        Bundle, Model,
        bundle::Weights,
        tagger::{Group, Tagger},
    },
    song::{Multiframe, SongClassifier},
    source::file::AudioFile,
};
use safetensors::{Dtype, SafeTensors};

use crate::{datasets::csv_rows, metrics::softmax, parallel};

/// Which of AudioSet's classes stand for a genre of the paper.
pub const GROUPS: [(&str, &[&str]); 10] = [
    ("blues", &["Blues"]),
    ("classical", &["Classical music", "Opera"]),
    ("country", &["Country", "Bluegrass"]),
    ("disco", &["Disco"]),
    ("hiphop", &["Hip hop music", "Rapping", "Beatboxing"]),
    ("jazz", &["Jazz", "Swing music"]),
    ("metal", &["Heavy metal"]),
    ("pop", &["Pop music"]),
    ("reggae", &["Reggae"]),
    (
        "rock",
        &[
            "Rock music",
            "Punk rock",
            "Grunge",
            "Progressive rock",
            "Rock and roll",
            "Psychedelic rock",
        ],
    ),
];

/// Classes of AudioSet that tell music from the rest.
pub const SOUNDS: [&str; 34] = [
    "Music",
    "Musical instrument",
    "Singing",
    "Electronic music",
    "Heavy metal",
    "House music",
    "Speech",
    "Male speech, man speaking",
    "Female speech, woman speaking",
    "Conversation",
    "Narration, monologue",
    "Crowd",
    "Applause",
    "Hubbub, speech noise, speech babble",
    "Silence",
    "Hum",
    "Mains hum",
    "Buzz",
    "Engine",
    "Vehicle",
    "Water",
    "Rain",
    "Wind",
    "Noise",
    "White noise",
    "Pink noise",
    "Static",
    "Sine wave",
    "Throbbing",
    "Mechanisms",
    "Inside, small room",
    "Outside, urban or manmade",
    "Tick-tock",
    "Vibration",
];

/// The classes of AudioSet in output order, from its `class_labels_indices.csv`.
///
/// # Errors
/// When a row has no third field.
pub fn classes(csv: &str) -> Result<Vec<String>> {
    csv_rows(csv)
        .into_iter()
        .skip(1)
        .map(|row| {
            row.get(2)
                .cloned()
                .with_context(|| format!("no class name in {row:?}"))
        })
        .collect()
}

/// `base` with a second trunk, whose weights `tensors` (a safetensors file of floats, `mn.*`)
/// holds. The head sees nothing of it yet.
///
/// # Errors
/// When a tensor is missing or cannot be read.
pub fn join(
    base: &Bundle,
    tensors: &[u8],
    classes: Vec<String>,
    groups: Vec<Group>,
) -> Result<Bundle> {
    let mut bundle = base.clone();
    let file = SafeTensors::deserialize(tensors).context("the weights of the second trunk")?;
    bundle.tensors.retain(|name, _| !name.starts_with("mn."));
    for (name, view) in file.tensors() {
        ensure!(
            view.dtype() == Dtype::F32,
            "{name} is {:?}, not F32",
            view.dtype()
        );
        let values = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|quad| f32::from_le_bytes(*quad));
        bundle
            .tensors
            .insert(name, Weights::new(view.shape(), values.collect())?);
    }
    let mut tagger = Tagger::mn04(classes, groups);
    tagger.sounds = SOUNDS.iter().map(|&name| name.to_owned()).collect();
    let added = tagger.len();
    let labels = bundle.card.labels.len();
    let architecture = &mut bundle.card.architecture;
    let before = architecture
        .tagger
        .replace(tagger)
        .map_or(0, |tagger| tagger.len());
    ensure!(
        architecture.head.hidden.is_none(),
        "a hidden layer below the head is not joined"
    );
    let head = bundle
        .tensors
        .get("output.weight")
        .context("output.weight")?;
    let (len, values) = (head.shape()[1], head.to_f32());
    let mut weight = Vec::new();
    for row in values.chunks_exact(len) {
        weight.extend_from_slice(&row[..len - before]);
        weight.resize(weight.len() + added, 0.0);
    }
    let shape = [labels, len - before + added];
    bundle
        .tensors
        .insert("output.weight".into(), Weights::new(&shape, weight)?);
    Ok(bundle)
}

/// What a model heard of one recording.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The embedding of each frame.
    pub frames: Vec<Vec<f32>>,
}

impl Heard {
    /// Mean over the frames.
    pub fn mean(&self) -> Vec<f32> {
        let len = self.frames.first().map_or(0, Vec::len);
        let mut mean = vec![0.0; len];
        for frame in &self.frames {
            for (mean, value) in mean.iter_mut().zip(frame) {
                *mean += value / self.frames.len() as f32;
            }
        }
        mean
    }
}

/// The embeddings of recordings, frame by frame, as the product classifies files; of each what it
/// says of a crop of `seconds`, or of all.
///
/// # Errors
/// When a file cannot be decoded.
pub fn hear(
    model: &Arc<Model>,
    paths: &[PathBuf],
    seconds: Option<f64>,
    threads: usize,
) -> Result<Vec<Heard>> {
    parallel::map(paths.len(), threads, |i| {
        hear_one(model, &paths[i], seconds)
    })
    .into_iter()
    .collect()
}

fn hear_one(model: &Arc<Model>, path: &Path, seconds: Option<f64>) -> Result<Heard> {
    let read = || -> Result<Heard> {
        let mut file = AudioFile::open(path)?;
        let rate = file.rate();
        let mut song = SongClassifier::new(model, rate, Multiframe::default())?.keep_embeddings();
        let mut left = seconds.map_or(usize::MAX, |s| (s * f64::from(rate.hz())) as usize);
        let mut mono = Vec::new();
        while left > 0 && file.next_block(&mut mono)? {
            let n = mono.len().min(left);
            song.push(&mono[..n]);
            left -= n;
        }
        let frames = song
            .finish()
            .frames
            .into_iter()
            .map(|frame| frame.embedding);
        Ok(Heard {
            frames: frames.collect(),
        })
    };
    read().with_context(|| format!("'{}'", path.display()))
}

/// One recording to learn from.
#[derive(Clone, Debug)]
pub struct Row {
    /// The embedding.
    pub embedding: Vec<f32>,
    /// Index of the genre.
    pub label: usize,
    /// How much it counts.
    pub weight: f64,
}

/// How the correction is learnt.
#[derive(Clone, Debug)]
pub struct Setting {
    /// Penalty of the correction: this times its sum of squares.
    pub penalty: f64,
    /// Places of the embedding that the correction sees.
    pub seen: Vec<usize>,
    /// Places of the embedding that hold the prior, one for each label.
    pub prior: Vec<usize>,
    /// Label smoothing.
    pub smoothing: f64,
}

/// A fitted head.
#[derive(Clone, Debug)]
pub struct Fitted {
    /// `[labels, embedding]`, row-major.
    pub weight: Vec<f32>,
    /// One for each label.
    pub bias: Vec<f32>,
    /// Slope of the prior.
    pub slope: f64,
}

impl Fitted {
    /// Logits of an embedding.
    pub fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        self.weight
            .chunks_exact(embedding.len())
            .zip(&self.bias)
            .map(|(row, bias)| bias + row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }
}

/// Penalty of the biases, and of the slope's distance to 1.
const SOFT: f64 = 1e-2;

/// Fits a head by accelerated gradient descent. Deterministic.
pub fn fit(rows: &[Row], n_labels: usize, setting: &Setting) -> Fitted {
    let len = setting.seen.len();
    let n = rows.len();
    // Every label weighs the same, whatever it has of recordings.
    let mut totals = vec![0.0; n_labels];
    for row in rows {
        totals[row.label] += row.weight;
    }
    let present = totals.iter().filter(|&&total| total > 0.0).count() as f64;
    let weights: Vec<f64> = rows
        .iter()
        .map(|row| row.weight / totals[row.label] / present)
        .collect();
    let (mut mean, mut std) = (vec![0.0; len], vec![0.0; len]);
    for (i, &place) in setting.seen.iter().enumerate() {
        let values = || rows.iter().map(|row| f64::from(row.embedding[place]));
        mean[i] = values().sum::<f64>() / n as f64;
        let square = values().map(|v| (v - mean[i]).powi(2)).sum::<f64>() / n as f64;
        // A feature that hardly moves must not be blown up into noise.
        std[i] = (square.sqrt() + 1e-3) * (len as f64).sqrt();
    }
    let x: Vec<f64> = rows
        .iter()
        .flat_map(|row| {
            setting
                .seen
                .iter()
                .zip(mean.iter().zip(&std))
                .map(|(&place, (m, s))| (f64::from(row.embedding[place]) - m) / s)
        })
        .collect();
    let z: Vec<f64> = rows
        .iter()
        .flat_map(|row| {
            setting
                .prior
                .iter()
                .map(|&place| f64::from(row.embedding[place]))
        })
        .collect();
    let has_prior = !setting.prior.is_empty();
    // Parameters: weights by label, biases, slope.
    let size = n_labels * len + n_labels + 1;
    let (bias_at, slope_at) = (n_labels * len, size - 1);
    let mut theta = vec![0.0; size];
    theta[slope_at] = 1.0;
    let gradient = |theta: &[f64], gradient: &mut [f64]| -> f64 {
        let mut loss = 0.0;
        for (g, t) in gradient[..bias_at].iter_mut().zip(theta) {
            *g = 2.0 * setting.penalty * t;
            loss += setting.penalty * t * t;
        }
        for i in bias_at..slope_at {
            gradient[i] = 2.0 * SOFT * theta[i];
            loss += SOFT * theta[i] * theta[i];
        }
        gradient[slope_at] = 2.0 * SOFT * (theta[slope_at] - 1.0);
        let mut p = vec![0.0; n_labels];
        for (i, row) in rows.iter().enumerate() {
            let features = &x[i * len..(i + 1) * len];
            for (label, p) in p.iter_mut().enumerate() {
                let of = &theta[label * len..(label + 1) * len];
                *p = theta[bias_at + label]
                    + of.iter().zip(features).map(|(a, b)| a * b).sum::<f64>();
                if has_prior {
                    *p += theta[slope_at] * z[i * n_labels + label];
                }
            }
            let max = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
            let sum: f64 = p
                .iter_mut()
                .map(|p| {
                    *p = (*p - max).exp();
                    *p
                })
                .sum();
            for (label, &value) in p.iter().enumerate() {
                let target = setting.smoothing / n_labels as f64
                    + if label == row.label {
                        1.0 - setting.smoothing
                    } else {
                        0.0
                    };
                loss -= weights[i] * target * (value / sum).max(1e-300).ln();
                let error = weights[i] * (value / sum - target);
                for (g, x) in gradient[label * len..(label + 1) * len]
                    .iter_mut()
                    .zip(features)
                {
                    *g += error * x;
                }
                gradient[bias_at + label] += error;
                if has_prior {
                    gradient[slope_at] += error * z[i * n_labels + label];
                }
            }
        }
        if !has_prior {
            gradient[slope_at] = 0.0;
        }
        loss
    };
    // The slope's curvature is that of the prior's spread; it sets the step of all.
    let spread = if has_prior {
        z.iter().map(|z| z * z).sum::<f64>() / n as f64 / n_labels as f64
    } else {
        0.0
    };
    let step = 1.0 / (1.0 + spread + 2.0 * SOFT);
    let mut velocity = theta.clone();
    let mut g = vec![0.0; size];
    let (mut t, mut before) = (1.0_f64, f64::INFINITY);
    for _ in 0..800 {
        let loss = gradient(&velocity, &mut g);
        let next: Vec<f64> = velocity.iter().zip(&g).map(|(v, g)| v - step * g).collect();
        // Momentum that went too far begins anew.
        let t_next = if loss > before {
            1.0
        } else {
            f64::midpoint(1.0, (1.0 + 4.0 * t * t).sqrt())
        };
        let momentum = if loss > before {
            0.0
        } else {
            (t - 1.0) / t_next
        };
        for ((v, next), theta) in velocity.iter_mut().zip(&next).zip(&theta) {
            *v = next + momentum * (next - theta);
        }
        theta = next;
        t = t_next;
        before = loss;
        if g.iter().map(|g| g * g).sum::<f64>().sqrt() < 1e-5 {
            break;
        }
    }
    let width = rows.first().map_or(0, |row| row.embedding.len());
    let mut weight = vec![0.0; n_labels * width];
    let mut bias = Vec::new();
    for label in 0..n_labels {
        let mut b = theta[bias_at + label];
        for (i, &place) in setting.seen.iter().enumerate() {
            let w = theta[label * len + i] / std[i];
            weight[label * width + place] += w as f32;
            b -= w * mean[i];
        }
        if has_prior {
            weight[label * width + setting.prior[label]] += theta[slope_at] as f32;
        }
        bias.push(b as f32);
    }
    Fitted {
        weight,
        bias,
        slope: theta[slope_at],
    }
}

/// Scores of a recording: the mean of its frames' softmax.
pub fn song_scores(head: &Fitted, heard: &Heard, temperature: f32) -> Vec<f32> {
    let mut sum = vec![0.0; head.bias.len()];
    for frame in &heard.frames {
        for (sum, p) in sum
            .iter_mut()
            .zip(softmax(&head.logits(frame), temperature))
        {
            *sum += p / heard.frames.len() as f32;
        }
    }
    sum
}

/// Right of all, mean over the labels of the share that is right, and mean negative log-likelihood.
pub fn measure(answers: &[(Vec<f32>, usize)]) -> (usize, f64, f64) {
    let mut by_label: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    let (mut right, mut nll) = (0, 0.0);
    for (scores, label) in answers {
        let hit = crate::metrics::argmax(scores) == *label;
        right += usize::from(hit);
        let entry = by_label.entry(*label).or_default();
        entry.0 += usize::from(hit);
        entry.1 += 1;
        nll -= f64::from(scores[*label].max(1e-9)).ln() / answers.len() as f64;
    }
    let shares = by_label.values().map(|&(hit, n)| hit as f64 / n as f64);
    (
        right,
        shares.sum::<f64>() / by_label.len().max(1) as f64,
        nll,
    )
}
