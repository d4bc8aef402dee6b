//! Heads on features that do not change: softmax regression, a linear SVM.

use anyhow::Context as _;
use burn::tensor::{Tensor, TensorData, activation::log_softmax};

use crate::optim::descend;

/// Rows of features, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Rows<'a> {
    /// The values, `[rows, len]`.
    pub values: &'a [f32],
    /// Length of a row.
    pub len: usize,
}

impl<'a> Rows<'a> {
    /// Number of rows.
    pub fn count(&self) -> usize {
        self.values.len() / self.len
    }

    /// Row `i`.
    pub fn row(&self, i: usize) -> &'a [f32] {
        &self.values[i * self.len..(i + 1) * self.len]
    }

    /// Mean and standard deviation (plus 1e-3, so that it divides) of each column.
    pub fn moments(&self) -> (Vec<f32>, Vec<f32>) {
        let n = self.count().max(1) as f64;
        let mut sums = vec![(0.0f64, 0.0f64); self.len];
        for row in self.values.chunks_exact(self.len) {
            for (sum, &x) in sums.iter_mut().zip(row) {
                sum.0 += f64::from(x);
                sum.1 += f64::from(x) * f64::from(x);
            }
        }
        let mean = sums.iter().map(|s| (s.0 / n) as f32).collect();
        // Of a sample: divided by n - 1.
        let unbias = n / (n - 1.0).max(1.0);
        let std = sums
            .iter()
            .map(|s| (((s.1 / n - (s.0 / n).powi(2)).max(0.0) * unbias).sqrt() + 1e-3) as f32)
            .collect();
        (mean, std)
    }
}

/// A linear head on standardised features.
#[derive(Clone, Debug, PartialEq)]
pub struct Linear {
    /// Mean of each feature over the data it was fitted to.
    pub mean: Vec<f32>,
    /// Standard deviation of each feature.
    pub std: Vec<f32>,
    /// Shape `[labels, features]`, for standardised features.
    pub weight: Vec<f32>,
    /// One a label.
    pub bias: Vec<f32>,
}

impl Linear {
    /// One score a label: logits or margins.
    pub fn scores(&self, features: &[f32]) -> Vec<f32> {
        let standard: Vec<f32> = features
            .iter()
            .zip(&self.mean)
            .zip(&self.std)
            .map(|((x, m), s)| (x - m) / s)
            .collect();
        self.bias
            .iter()
            .zip(self.weight.chunks_exact(features.len()))
            .map(|(b, row)| b + row.iter().zip(&standard).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }

    /// The same on features as they come: weight and bias with the standardisation folded in.
    pub fn folded(&self) -> (Vec<f32>, Vec<f32>) {
        let len = self.mean.len();
        let weight: Vec<f32> = self
            .weight
            .iter()
            .enumerate()
            .map(|(i, w)| w / self.std[i % len])
            .collect();
        let bias = self
            .bias
            .iter()
            .zip(weight.chunks_exact(len))
            .map(|(b, row)| b - row.iter().zip(&self.mean).map(|(w, m)| w * m).sum::<f32>())
            .collect();
        (weight, bias)
    }
}

/// The linear map from `rows` to `targets` (as many rows, of any length) with the least squared
/// error plus `decay` times the squared weights, on features as they come: weight
/// `[targets, features]` and bias. The bias is not decayed.
///
/// # Errors
/// When there are not as many targets as rows, or the features leave the map open (only at `decay`
/// 0).
pub fn regress(
    rows: Rows<'_>,
    targets: Rows<'_>,
    decay: f32,
) -> anyhow::Result<(Vec<f32>, Vec<f32>)> {
    anyhow::ensure!(
        rows.count() == targets.count(),
        "{} rows of features, {} of targets: there must be as many",
        rows.count(),
        targets.count()
    );
    let (mean_x, _) = rows.moments();
    let (mean_y, _) = targets.moments();
    let centred = |rows: Rows<'_>, mean: &[f32]| {
        nalgebra::DMatrix::from_fn(rows.count(), rows.len, |i, j| {
            f64::from(rows.row(i)[j] - mean[j])
        })
    };
    let (x, y) = (centred(rows, &mean_x), centred(targets, &mean_y));
    let mut gram = x.tr_mul(&x);
    for i in 0..rows.len {
        gram[(i, i)] += f64::from(decay);
    }
    let weight = nalgebra::Cholesky::new(gram)
        .context("the features depend on each other: a decay above 0 is needed")?
        .solve(&x.tr_mul(&y));
    let bias = (0..targets.len)
        .map(|k| {
            let at_mean: f64 = (0..rows.len)
                .map(|j| weight[(j, k)] * f64::from(mean_x[j]))
                .sum();
            (f64::from(mean_y[k]) - at_mean) as f32
        })
        .collect();
    // A column of the solution is a row of the layer.
    let weight = weight.iter().map(|w| *w as f32).collect();
    Ok((weight, bias))
}

/// What a linear head minimises, beside `decay / 2 * |weight|^2`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Objective {
    /// Cross-entropy after softmax.
    Softmax,
    /// Squared hinge, one label against the rest: a linear SVM.
    Svm,
}

/// Fits a linear head: full batch Adam at 1e-2 from zeros, 150 steps, every label with the same
/// weight in sum. No random number is drawn. The bias is not decayed.
pub fn fit_linear(
    rows: Rows<'_>,
    truths: &[usize],
    labels: usize,
    objective: Objective,
    decay: f32,
) -> Linear {
    const STEPS: usize = 150;
    const RATE: f64 = 1e-2;
    let len = rows.len;
    let (mean, std) = rows.moments();
    let standard: Vec<f32> = rows
        .values
        .iter()
        .enumerate()
        .map(|(i, x)| (x - mean[i % len]) / std[i % len])
        .collect();
    let mut counts = vec![0usize; labels];
    for &truth in truths {
        counts[truth] += 1;
    }
    let total: f32 = truths.iter().map(|&t| 1.0 / counts[t] as f32).sum();
    let n = truths.len();
    let weights: Vec<f32> = truths
        .iter()
        .map(|&truth| 1.0 / counts[truth] as f32 / total)
        .collect();
    let mut of_truth = vec![0.0f32; n * labels];
    for (i, &truth) in truths.iter().enumerate() {
        of_truth[i * labels + truth] = 1.0;
    }
    let start = vec![vec![0.0; labels * len], vec![0.0; labels]];
    let fitted = descend(start, STEPS, RATE, |device| {
        let matrix = |values: &[f32], columns: usize| {
            let data = TensorData::new(values.to_vec(), [n, columns]);
            Tensor::<2>::from_data(data, device)
        };
        let (rows, weights) = (matrix(&standard, len), matrix(&weights, 1));
        let truths = matrix(&of_truth, labels);
        move |tensors: &[Tensor<1>]| {
            let weight = tensors[0].clone().reshape([labels, len]);
            let bias = tensors[1].clone().reshape([1, labels]);
            let scores = rows.clone().matmul(weight.clone().transpose()) + bias;
            let losses = match objective {
                Objective::Softmax => -(log_softmax(scores, 1) * truths.clone()),
                Objective::Svm => {
                    let signs = truths.clone() * 2.0 - 1.0;
                    (-(signs * scores) + 1.0).clamp_min(0.0).square()
                }
            };
            let losses = losses.sum_dim(1) * weights.clone();
            losses.sum() + weight.square().sum() * (0.5 * decay)
        }
    });
    let mut tensors = fitted.into_iter();
    let (weight, bias) = (
        tensors.next().unwrap_or_default(),
        tensors.next().unwrap_or_default(),
    );
    Linear {
        mean,
        std,
        weight,
        bias,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::argmax, rng::Rng};

    /// Three clouds in eight dimensions, of unequal size.
    fn clouds(seed: u64) -> (Vec<f32>, Vec<usize>) {
        let mut rng = Rng::at(seed, &[]);
        let (mut values, mut truths) = (Vec::new(), Vec::new());
        for (label, n) in [40, 12, 25].into_iter().enumerate() {
            for _ in 0..n {
                for d in 0..8 {
                    values.push(rng.normal() + if d == label { 5.0 } else { 0.0 } + 100.0);
                }
                truths.push(label);
            }
        }
        (values, truths)
    }

    #[test]
    fn a_linear_map_is_found_again() {
        let (values, _) = clouds(3);
        let rows = Rows {
            values: &values,
            len: 8,
        };
        let weight: Vec<f32> = (0..16).map(|i| 0.1 * i as f32 - 0.7).collect();
        let bias = [2.0, -1.0];
        let targets: Vec<f32> = (0..rows.count())
            .flat_map(|i| {
                let row = rows.row(i);
                let at = |k: usize| -> f32 {
                    let weights = &weight[8 * k..8 * k + 8];
                    bias[k] + weights.iter().zip(row).map(|(w, x)| w * x).sum::<f32>()
                };
                [at(0), at(1)]
            })
            .collect();
        let targets = Rows {
            values: &targets,
            len: 2,
        };
        let (found, shift) = regress(rows, targets, 1e-6).unwrap();
        assert!(found.iter().zip(&weight).all(|(a, b)| (a - b).abs() < 1e-3));
        assert!(shift.iter().zip(&bias).all(|(a, b)| (a - b).abs() < 0.2));
        let (shrunk, _) = regress(rows, targets, 1e6).unwrap();
        assert!(shrunk.iter().all(|w| w.abs() < 0.01));
        let few = Rows {
            values: &targets.values[..6],
            len: 2,
        };
        assert!(
            regress(rows, few, 1.0)
                .unwrap_err()
                .to_string()
                .contains("3 of targets")
        );
    }

    #[test]
    fn every_head_tells_clouds_apart() {
        let (values, truths) = clouds(1);
        let (other, other_truths) = clouds(2);
        let (rows, asked) = (
            Rows {
                values: &values,
                len: 8,
            },
            Rows {
                values: &other,
                len: 8,
            },
        );
        for objective in [Objective::Softmax, Objective::Svm] {
            let head = fit_linear(rows, &truths, 3, objective, 0.01);
            let right = (0..asked.count())
                .filter(|&i| argmax(&head.scores(asked.row(i))) == other_truths[i])
                .count();
            assert!(right >= 74, "{objective:?}: {right} of 77");
            let (weight, bias) = head.folded();
            let folded = Linear {
                mean: vec![0.0; 8],
                std: vec![1.0; 8],
                weight,
                bias,
            };
            let row = asked.row(0);
            for (a, b) in folded.scores(row).iter().zip(head.scores(row)) {
                assert!((a - b).abs() < 1e-3);
            }
        }
    }
}
