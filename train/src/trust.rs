//! Whether it is music at all: a logistic layer on what the trunk makes of the newest 4.1 s.

use crate::{
    conv::Plane,
    fit::View,
    metrics::auroc,
    net::Params,
    optim::{Method, Optimiser},
    rng::Rng,
};

/// Trunk columns that are looked at: 3 of 64 mel columns each.
pub const STEPS: usize = 3;

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

/// Mean and maximum of each channel over all places of `plane`: means, then maxima.
pub fn summary(plane: &Plane) -> Vec<f32> {
    let n = plane.channels;
    let mut out = vec![0.0f32; n];
    out.resize(2 * n, f32::NEG_INFINITY);
    let places = (plane.height * plane.width) as f32;
    for y in 0..plane.height {
        for x in 0..plane.width {
            for (c, &v) in plane.cell(y, x).iter().enumerate() {
                out[c] += v / places;
                out[n + c] = out[n + c].max(v);
            }
        }
    }
    out
}

/// Summaries of 3 columns of each recording named by `of`, from a random place of each of `views`.
pub fn summaries(views: &[View], of: &[usize], seed: u64) -> Vec<Vec<f32>> {
    let mut out = Vec::new();
    for (v, view) in views.iter().enumerate() {
        for &i in of {
            let plane = &view.planes[i];
            let mut rng = Rng::at(seed, &[v as u64, i as u64]);
            let first = rng.below(plane.width().saturating_sub(STEPS) + 1);
            out.push(summary(&plane.crop(first, STEPS.min(plane.width()))));
        }
    }
    out
}

/// Fits the layer: both sides weigh the same; L2 penalty `decay` on standardised features; full-batch Adam from zeros.
pub fn fit(music: &[Vec<f32>], other: &[Vec<f32>], decay: f32) -> MusicHead {
    let all: Vec<f32> = music.iter().chain(other).flatten().copied().collect();
    let len = music.first().map_or(0, Vec::len);
    let rows = crate::heads::Rows { values: &all, len };
    let (mean, std) = rows.moments();
    let mut params = Params {
        tensors: vec![vec![0.0; len], vec![0.0]],
    };
    let mut optimiser = Optimiser::new(Method::Adam, &params.clone());
    let n = rows.count();
    for _ in 0..300 {
        let mut gradient = Params {
            tensors: vec![
                params.tensors[0].iter().map(|w| decay * w).collect(),
                vec![0.0],
            ],
        };
        for i in 0..n {
            let is_music = i < music.len();
            let weight = 0.5 / if is_music { music.len() } else { other.len() } as f32;
            let row = rows.row(i);
            let logit = params.tensors[1][0]
                + (0..len)
                    .map(|k| params.tensors[0][k] * (row[k] - mean[k]) / std[k])
                    .sum::<f32>();
            let residue = weight * (1.0 / (1.0 + (-logit).exp()) - f32::from(u8::from(is_music)));
            gradient.tensors[1][0] += residue;
            for k in 0..len {
                gradient.tensors[0][k] += residue * (row[k] - mean[k]) / std[k];
            }
        }
        optimiser.step(&mut params, &gradient, &[2e-2, 2e-2], 0.0);
    }
    let weight: Vec<f32> = params.tensors[0]
        .iter()
        .zip(&std)
        .map(|(w, s)| w / s)
        .collect();
    let bias = params.tensors[1][0] - weight.iter().zip(&mean).map(|(w, m)| w * m).sum::<f32>();
    MusicHead { weight, bias }
}

/// How well a head that has seen neither tells them apart: area under the curve, and the shares on the wrong side of
/// probability one half (music called something else, something else called music).
pub fn score(logits_of_music: &[f32], logits_of_other: &[f32]) -> (f64, f64, f64) {
    let below = logits_of_music.iter().filter(|l| **l < 0.0).count() as f64
        / logits_of_music.len().max(1) as f64;
    let above = logits_of_other.iter().filter(|l| **l >= 0.0).count() as f64
        / logits_of_other.len().max(1) as f64;
    (auroc(logits_of_music, logits_of_other), below, above)
}

#[cfg(test)]
mod tests {
    use super::*;

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
        let (area, lost, let_through) =
            score(&logits(&cloud(200, 3.0)), &logits(&cloud(200, -1.0)));
        assert!(
            area > 0.99 && lost < 0.06 && let_through < 0.06,
            "{area} {lost} {let_through}"
        );
    }

    #[test]
    fn a_summary_is_mean_and_maximum() {
        let mut plane = Plane::zeros(2, 2, 1);
        for (i, v) in [1.0, -2.0, 3.0, 0.0].into_iter().enumerate() {
            plane.cell_mut(i / 2, i % 2)[0] = v;
        }
        assert_eq!(summary(&plane), [0.5, 3.0]);
    }
}
