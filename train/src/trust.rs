//! Whether it is music at all: a logistic layer on what the trunk makes of the newest 4.1 s.

use burn::tensor::{Tensor, TensorData, activation::log_sigmoid};

use crate::optim::descend;

/// The layer: a weight for the mean and for the maximum of each channel of block 3, and a bias.
#[derive(Clone, Debug, PartialEq)]
pub struct MusicHead {
    /// Means first, then maxima.
    pub weight: Vec<f32>,
    /// The bias.
    pub bias: f32,
}

impl MusicHead {
    /// Log-odds of music.
    pub fn logit(&self, summary: &[f32]) -> f32 {
        self.bias
            + self
                .weight
                .iter()
                .zip(summary)
                .map(|(w, x)| w * x)
                .sum::<f32>()
    }
}

/// Fits the layer: both sides weigh the same; L2 penalty `decay` on standardised features;
/// full-batch Adam from zeros.
pub fn fit(music: &[Vec<f32>], other: &[Vec<f32>], decay: f32) -> MusicHead {
    let all: Vec<f32> = music.iter().chain(other).flatten().copied().collect();
    let len = music.first().map_or(0, Vec::len);
    let rows = crate::heads::Rows { values: &all, len };
    let (mean, std) = rows.moments();
    let n = rows.count();
    let standard: Vec<f32> = all
        .iter()
        .enumerate()
        .map(|(i, x)| (x - mean[i % len]) / std[i % len])
        .collect();
    let sign = |i: usize| if i < music.len() { 1.0 } else { -1.0 };
    let side = |i: usize| {
        if i < music.len() {
            music.len()
        } else {
            other.len()
        }
    };
    let fitted = descend(vec![vec![0.0; len], vec![0.0]], 300, 2e-2, |device| {
        let matrix = |values: Vec<f32>, columns: usize| {
            Tensor::<2>::from_data(TensorData::new(values, [n, columns]), device)
        };
        let rows = matrix(standard, len);
        let signs = matrix((0..n).map(sign).collect(), 1);
        let weights = matrix((0..n).map(|i| 0.5 / side(i) as f32).collect(), 1);
        move |tensors: &[Tensor<1>]| {
            let weight = tensors[0].clone().reshape([len, 1]);
            let logits = rows.clone().matmul(weight.clone()) + tensors[1].clone().reshape([1, 1]);
            let losses = -log_sigmoid(logits * signs.clone()) * weights.clone();
            losses.sum() + weight.square().sum() * (0.5 * decay)
        }
    });
    let weight: Vec<f32> = fitted[0].iter().zip(&std).map(|(w, s)| w / s).collect();
    let bias = fitted[1][0] - weight.iter().zip(&mean).map(|(w, m)| w * m).sum::<f32>();
    MusicHead { weight, bias }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{metrics::auroc, rng::Rng};

    #[test]
    fn unequal_sides_are_told_apart() {
        let mut rng = Rng::at(2, &[]);
        let mut cloud = |n: usize, shift: f32| -> Vec<Vec<f32>> {
            (0..n)
                .map(|_| {
                    (0..6)
                        .map(|k| rng.normal() + if k == 2 { shift } else { 10.0 })
                        .collect()
                })
                .collect()
        };
        let (music, other) = (cloud(300, 3.0), cloud(30, -1.0));
        let head = fit(&music, &other, 1e-3);
        let logits = |rows: &[Vec<f32>]| rows.iter().map(|r| head.logit(r)).collect::<Vec<_>>();
        let (music, other) = (logits(&cloud(200, 3.0)), logits(&cloud(200, -1.0)));
        let lost = music.iter().filter(|logit| **logit < 0.0).count();
        let let_through = other.iter().filter(|logit| **logit >= 0.0).count();
        let area = auroc(&music, &other);
        assert!(
            area > 0.99 && lost < 12 && let_through < 12,
            "{area} {lost} {let_through}"
        );
    }
}
