//! A new last layer for the same ears: teach a model other labels from a few songs of each.
//!
//! The trunk stays as it is (the paper's "network as a feature extractor", section 4.1); a softmax layer is fitted on the
//! embeddings of labelled frames. That takes seconds, not hours, and nothing but the songs.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    genre::{Labels, LabelsError},
    network::{Bundle, ModelError, bundle::Weights},
};

/// One labelled frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// [`crate::network::Scored::embedding`] of the frame.
    pub embedding: Vec<f32>,
    /// Index of its label.
    pub label: usize,
    /// The song it is from: frames of one song never fall on both sides of a test.
    pub song: usize,
}

/// Why a head could not be fitted.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TeachError {
    /// A label without examples, or only one label.
    #[error("there are no songs of '{label}'")]
    NoExamples {
        /// The label.
        label: String,
    },
    /// The labels cannot be those of a model.
    #[error(transparent)]
    Labels(#[from] LabelsError),
    /// An embedding has another length than the model's.
    #[error("an embedding has {found} values, the model's have {expected}")]
    Length {
        /// Values in the example.
        found: usize,
        /// Values that the model gives.
        expected: usize,
    },
    /// The taught model could not be put together.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// A softmax layer: `logits = weight * embedding + bias`.
#[derive(Clone, Debug, PartialEq)]
pub struct Head {
    /// Shape `[n_labels, embedding_len]`, row-major.
    pub weight: Vec<f32>,
    /// Shape `[n_labels]`.
    pub bias: Vec<f32>,
}

impl Head {
    /// Logits of one embedding.
    pub fn logits(&self, embedding: &[f32]) -> Vec<f32> {
        self.weight
            .chunks_exact(embedding.len())
            .zip(&self.bias)
            .map(|(row, bias)| bias + row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }
}

/// Strength of the L2 penalty on standardised features: as much as the 5-fold test on the 403 full clips of GTZAN
/// liked best for frozen features (scikit-learn's C = 0.02 there).
const L2: f64 = 0.05;

const ITERATIONS: usize = 400;

/// Fits a softmax layer by accelerated gradient descent: every label weighs the same, however many frames it has.
/// Deterministic.
///
/// # Errors
/// [`TeachError`] when a label has no examples or an embedding another length than the first.
///
/// # Panics
/// When an example's label is not below `n_labels`.
pub fn fit_head(examples: &[Example], n_labels: usize) -> Result<Head, TeachError> {
    let len = examples
        .first()
        .map_or(0, |example| example.embedding.len());
    let mut counts = vec![0.0_f64; n_labels];
    for example in examples {
        counts[example.label] += 1.0;
        if example.embedding.len() != len {
            return Err(TeachError::Length {
                found: example.embedding.len(),
                expected: len,
            });
        }
    }
    if let Some(label) = counts.iter().position(|&count| count == 0.0) {
        return Err(TeachError::NoExamples {
            label: format!("label {label}"),
        });
    }
    let (mean, std) = standardisation(examples, len);
    let n = examples.len();
    let mut x = Vec::with_capacity(n * len);
    for example in examples {
        for ((value, mean), std) in example.embedding.iter().zip(&mean).zip(&std) {
            x.push((f64::from(*value) - mean) / std);
        }
    }
    let weights: Vec<f64> = examples
        .iter()
        .map(|e| n as f64 / (n_labels as f64 * counts[e.label]) / n as f64)
        .collect();

    // One column more for the bias, which is not penalised.
    let width = len + 1;
    let mut theta = vec![0.0_f64; n_labels * width];
    let mut previous = theta.clone();
    let mut gradient = vec![0.0_f64; theta.len()];
    let step = 1.0 / (0.5 * largest_eigenvalue(&x, &weights, len) + L2 + 0.5);
    for iteration in 0..ITERATIONS {
        let momentum = iteration as f64 / (iteration as f64 + 3.0);
        let point: Vec<f64> = theta
            .iter()
            .zip(&previous)
            .map(|(t, p)| t + momentum * (t - p))
            .collect();
        loss_gradient(
            examples,
            &x,
            &weights,
            &point,
            &mut gradient,
            (n_labels, len),
        );
        previous.clone_from(&theta);
        for ((theta, point), gradient) in theta.iter_mut().zip(&point).zip(&gradient) {
            *theta = point - step * gradient;
        }
    }
    // The standardisation is folded in.
    let mut head = Head {
        weight: Vec::with_capacity(n_labels * len),
        bias: Vec::new(),
    };
    for row in theta.chunks_exact(width) {
        let mut bias = row[len];
        for ((w, mean), std) in row.iter().zip(&mean).zip(&std) {
            head.weight.push((w / std) as f32);
            bias -= w * mean / std;
        }
        head.bias.push(bias as f32);
    }
    Ok(head)
}

fn standardisation(examples: &[Example], len: usize) -> (Vec<f64>, Vec<f64>) {
    let n = examples.len() as f64;
    let mut mean = vec![0.0_f64; len];
    let mut square = vec![0.0_f64; len];
    for example in examples {
        for ((mean, square), &value) in mean.iter_mut().zip(&mut square).zip(&example.embedding) {
            *mean += f64::from(value) / n;
            *square += f64::from(value) * f64::from(value) / n;
        }
    }
    // A feature that hardly moves must not be blown up into noise.
    let std = mean
        .iter()
        .zip(&square)
        .map(|(m, s)| (s - m * m).max(0.0).sqrt().max(1e-3))
        .collect();
    (mean, std)
}

/// Of the weighted second moment of the rows of `x`, by power iteration.
fn largest_eigenvalue(x: &[f64], weights: &[f64], len: usize) -> f64 {
    if len == 0 {
        return 1.0;
    }
    let mut vector = vec![1.0 / (len as f64).sqrt(); len];
    let mut value = 1.0;
    for _ in 0..30 {
        let mut next = vec![0.0_f64; len];
        for (row, weight) in x.chunks_exact(len).zip(weights) {
            let dot: f64 = row.iter().zip(&vector).map(|(a, b)| a * b).sum();
            for (next, a) in next.iter_mut().zip(row) {
                *next += weight * dot * a;
            }
        }
        value = next.iter().map(|v| v * v).sum::<f64>().sqrt();
        if value <= f64::MIN_POSITIVE {
            return 1.0;
        }
        vector = next.iter().map(|v| v / value).collect();
    }
    value
}

fn loss_gradient(
    examples: &[Example],
    x: &[f64],
    weights: &[f64],
    theta: &[f64],
    gradient: &mut [f64],
    (n_labels, len): (usize, usize),
) {
    let width = len + 1;
    for (gradient, theta) in gradient
        .chunks_exact_mut(width)
        .zip(theta.chunks_exact(width))
    {
        for (gradient, theta) in gradient[..len].iter_mut().zip(theta) {
            *gradient = L2 * theta;
        }
        gradient[len] = 0.0;
    }
    let mut p = vec![0.0_f64; n_labels];
    for ((example, row), weight) in examples.iter().zip(x.chunks_exact(len.max(1))).zip(weights) {
        for (p, theta) in p.iter_mut().zip(theta.chunks_exact(width)) {
            *p = theta[len] + theta.iter().zip(row).map(|(t, x)| t * x).sum::<f64>();
        }
        let max = p.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let sum: f64 = p
            .iter_mut()
            .map(|p| {
                *p = (*p - max).exp();
                *p
            })
            .sum();
        for (label, (p, gradient)) in p.iter().zip(gradient.chunks_exact_mut(width)).enumerate() {
            let error = weight * (p / sum - f64::from(u8::from(label == example.label)));
            for (gradient, x) in gradient.iter_mut().zip(row) {
                *gradient += error * x;
            }
            gradient[len] += error;
        }
    }
}

/// How well a head fitted on some songs names the others.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// Songs that were named right, and all songs.
    pub right: u32,
    /// All songs that were left out once.
    pub songs: u32,
    /// Named right and all, by label.
    pub by_label: Vec<(u32, u32)>,
    /// Temperature at which the left-out songs' frames are least surprising.
    pub temperature: f32,
}

/// Leaves songs out in `folds` turns, fits on the rest, and names the left-out songs by the mean of their frames' scores.
/// The songs of a label take turns, so that every fold holds some of each. Fewer than two turns leave nothing to fit on: they count as two.
///
/// # Errors
/// [`TeachError`] when a label has fewer than two songs.
pub fn cross_validate(
    examples: &[Example],
    labels: &Labels,
    folds: usize,
) -> Result<CrossValidation, TeachError> {
    let folds = folds.max(2);
    let mut songs: BTreeMap<usize, (usize, usize)> = BTreeMap::new();
    let mut seen = vec![0_usize; labels.len()];
    for example in examples {
        songs.entry(example.song).or_insert_with(|| {
            seen[example.label] += 1;
            (example.label, (seen[example.label] - 1) % folds)
        });
    }
    if let Some(label) = seen.iter().position(|&count| count < 2) {
        let label = labels.get(label).unwrap_or_default().to_owned();
        return Err(TeachError::NoExamples { label });
    }
    let mut left_out: Vec<(Vec<f32>, usize)> = Vec::new();
    let mut by_label = vec![(0, 0); labels.len()];
    for fold in 0..folds {
        let (test, train): (Vec<Example>, Vec<Example>) = examples
            .iter()
            .cloned()
            .partition(|example| songs[&example.song].1 == fold);
        if test.is_empty() {
            continue;
        }
        let head = fit_head(&train, labels.len())?;
        let mut sums: BTreeMap<usize, Vec<f32>> = BTreeMap::new();
        for example in &test {
            let logits = head.logits(&example.embedding);
            let scores = crate::genre::Scores::softmax(&logits, 1.0);
            let sum = sums
                .entry(example.song)
                .or_insert_with(|| vec![0.0; labels.len()]);
            for (sum, score) in sum.iter_mut().zip(scores.as_slice()) {
                *sum += score;
            }
            left_out.push((logits, example.label));
        }
        for (song, sum) in sums {
            let label = songs[&song].0;
            let best = sum
                .iter()
                .enumerate()
                .fold(0, |best, (i, &s)| if s > sum[best] { i } else { best });
            by_label[label].0 += u32::from(best == label);
            by_label[label].1 += 1;
        }
    }
    Ok(CrossValidation {
        right: by_label.iter().map(|c| c.0).sum(),
        songs: by_label.iter().map(|c| c.1).sum(),
        by_label,
        temperature: fit_temperature(&left_out),
    })
}

/// The temperature in 0.2..=5 at which the labels are least surprising: golden-section search on the mean negative
/// log-likelihood, which has one minimum in the temperature.
pub fn fit_temperature(logits_and_labels: &[(Vec<f32>, usize)]) -> f32 {
    let nll = |log_t: f64| -> f64 {
        let t = log_t.exp() as f32;
        logits_and_labels
            .iter()
            .map(|(logits, label)| {
                let score = crate::genre::Scores::softmax(logits, t).as_slice()[*label];
                -f64::from(score.max(1e-9)).ln()
            })
            .sum()
    };
    let golden = (5_f64.sqrt() - 1.0) / 2.0;
    let (mut low, mut high) = (0.2_f64.ln(), 5_f64.ln());
    for _ in 0..40 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if nll(a) < nll(b) { high = b } else { low = a }
    }
    low.midpoint(high).exp() as f32
}

/// The same ears with a new last layer and new labels. What the base model knows of music and silence stays.
///
/// # Errors
/// [`TeachError::Model`] when the head does not fit the base.
pub fn with_head(base: &Bundle, head: &Head, labels: Labels) -> Result<Bundle, TeachError> {
    let mut taught = base.clone();
    let len = head.weight.len() / labels.len();
    taught.tensors.insert(
        "output.weight".into(),
        Weights::new(&[labels.len(), len], head.weight.clone())?,
    );
    taught.tensors.insert(
        "output.bias".into(),
        Weights::new(&[labels.len()], head.bias.clone())?,
    );
    taught.card.labels = labels;
    taught.card.accuracies.clear();
    taught.card.sha256.clear();
    Ok(taught)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two clouds and a feature that never moves.
    fn clouds(n: usize) -> Vec<Example> {
        let mut state = 7_u32;
        let mut noise = move || {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 8) as f32 / (1 << 24) as f32 - 0.5
        };
        (0..n)
            .map(|song| {
                let label = song % 3;
                let centre = [[4.0, 0.0], [0.0, 4.0], [-4.0, -4.0]][label];
                let embedding = vec![centre[0] + noise(), centre[1] + noise(), 100.0];
                Example {
                    embedding,
                    label,
                    song,
                }
            })
            .collect()
    }

    #[test]
    fn separable_clouds_are_separated() {
        let examples = clouds(60);
        let head = fit_head(&examples, 3).unwrap();
        for example in &examples {
            let logits = head.logits(&example.embedding);
            let best = (0..3)
                .max_by(|&a, &b| logits[a].total_cmp(&logits[b]))
                .unwrap();
            assert_eq!(best, example.label);
        }
        let labels = Labels::new(["a", "b", "c"]).unwrap();
        let validation = cross_validate(&examples, &labels, 5).unwrap();
        assert_eq!(
            cross_validate(&examples, &labels, 0).unwrap().songs,
            validation.songs
        );
        assert_eq!((validation.right, validation.songs), (60, 60));
    }

    #[test]
    fn shuffled_labels_are_at_chance() {
        let mut examples = clouds(90);
        for (i, example) in examples.iter_mut().enumerate() {
            example.label = (i * 7 + i / 3) % 3;
        }
        let labels = Labels::new(["a", "b", "c"]).unwrap();
        let validation = cross_validate(&examples, &labels, 5).unwrap();
        assert!(
            validation.right < 60,
            "{} of 90 right on noise",
            validation.right
        );
    }

    #[test]
    fn the_gradient_vanishes_where_it_stops() {
        let examples = clouds(30);
        let head = fit_head(&examples, 3).unwrap();
        let (mean, std) = standardisation(&examples, 3);
        let mut x = Vec::new();
        for example in &examples {
            x.extend((0..3).map(|i| (f64::from(example.embedding[i]) - mean[i]) / std[i]));
        }
        let theta: Vec<f64> = (0..3)
            .flat_map(|label| {
                let row: Vec<f64> = (0..3)
                    .map(|i| f64::from(head.weight[label * 3 + i]) * std[i])
                    .collect();
                let bias = f64::from(head.bias[label])
                    + (0..3)
                        .map(|i| f64::from(head.weight[label * 3 + i]) * mean[i])
                        .sum::<f64>();
                row.into_iter().chain([bias])
            })
            .collect();
        let mut gradient = vec![0.0; theta.len()];
        loss_gradient(
            &examples,
            &x,
            &vec![1.0 / 30.0; 30],
            &theta,
            &mut gradient,
            (3, 3),
        );
        // In f32 the unmoving feature of 100 costs some digits of the bias.
        assert!(gradient.iter().all(|g| g.abs() < 1e-3), "{gradient:?}");
    }

    #[test]
    fn a_label_without_songs_is_named() {
        let error = fit_head(&clouds(2), 3).unwrap_err();
        assert!(error.to_string().contains("label 2"), "{error}");
    }

    #[test]
    fn temperature_undoes_overconfidence() {
        let examples: Vec<(Vec<f32>, usize)> = (0..100)
            .map(|i| (vec![4.0, 0.0], usize::from(i % 4 == 0)))
            .collect();
        let temperature = fit_temperature(&examples);
        let p = crate::genre::Scores::softmax(&[4.0, 0.0], temperature).as_slice()[0];
        assert!((p - 0.75).abs() < 0.01, "{p}");
    }
}
