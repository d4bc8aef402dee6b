//! Nearest neighbours among rows whose label is known: the paper's fourth average, over the scores
//! of frames, and a linear probe's rival on features.

use super::{Model, ModelError, bundle::Weights};
use crate::genre::{MAX_LABELS, Scores};

/// Neighbours that are asked: the number that the folds' songs were measured with.
pub const NEAREST: usize = 7;

/// Rows with their labels. Asked about a row, the nearest by angle vote; a vote counts by the
/// inverse of how many rows have its label, so that a label that is heard of often is not found
/// more often for that.
#[derive(Clone, Debug, PartialEq)]
pub struct Neighbours {
    /// Of length 1, one after the other.
    rows: Vec<f32>,
    len: usize,
    labels: Vec<usize>,
    counts: Vec<usize>,
    nearest: usize,
}

impl Neighbours {
    /// Remembers `rows` (`[labels.len(), len]`), of which the `nearest` will be asked. A label is
    /// below `n_labels`.
    ///
    /// # Panics
    /// When the lengths do not fit, or a label is not below `n_labels`.
    pub fn new(
        rows: &[f32],
        len: usize,
        labels: &[usize],
        n_labels: usize,
        nearest: usize,
    ) -> Self {
        assert!(
            len > 0 && rows.len() == labels.len() * len,
            "a label for each row"
        );
        let mut counts = vec![0; n_labels];
        for &label in labels {
            counts[label] += 1;
        }
        let mut rows = rows.to_vec();
        rows.chunks_exact_mut(len).for_each(to_unit);
        Self {
            rows,
            len,
            labels: labels.to_vec(),
            counts,
            nearest,
        }
    }

    /// The reference points of a model file: `trust.neighbours.scores` (shape `[points, labels]`,
    /// the scores of frames) and `trust.neighbours.labels` (shape `[points]`); `None` without them.
    pub(super) fn find(model: &Model) -> Result<Option<Self>, ModelError> {
        let (Some(scores), Some(labels)) = (
            model.trust("neighbours.scores"),
            model.trust("neighbours.labels"),
        ) else {
            return Ok(None);
        };
        let n_labels = model.labels().len();
        let (scores_shape, labels_shape) = (scores.shape(), labels.shape());
        if labels_shape.len() != 1 || scores_shape != [labels_shape[0], n_labels] {
            return Err(ModelError::field(
                "trust.neighbours.scores",
                format!("{scores_shape:?} with labels {labels_shape:?}"),
                format!("[points, {n_labels}] with labels [points]"),
            ));
        }
        let labels: Option<Vec<usize>> = labels
            .to_f32()
            .iter()
            .map(|&label| {
                let whole = label >= 0.0 && label.fract() == 0.0 && (label as usize) < n_labels;
                whole.then_some(label as usize)
            })
            .collect();
        let labels = labels.ok_or_else(|| {
            ModelError::field(
                "trust.neighbours.labels",
                "a value that is no label",
                format!("whole numbers from 0 to {}", n_labels - 1),
            )
        })?;
        Ok(Some(Self::new(
            &scores.to_f32(),
            n_labels,
            &labels,
            n_labels,
            NEAREST,
        )))
    }

    /// The tensors of a model file that hold these rows: `trust.neighbours.scores` and
    /// `trust.neighbours.labels`.
    ///
    /// # Errors
    /// [`ModelError`] when the lengths do not fit.
    pub fn tensors(
        scores: Vec<f32>,
        labels: &[usize],
    ) -> Result<[(String, Weights); 2], ModelError> {
        let shape = [labels.len(), scores.len() / labels.len().max(1)];
        let labels: Vec<f32> = labels.iter().map(|&label| label as f32).collect();
        Ok([
            (
                "trust.neighbours.scores".into(),
                Weights::new(&shape, scores)?,
            ),
            (
                "trust.neighbours.labels".into(),
                Weights::new(&shape[..1], labels)?,
            ),
        ])
    }

    /// Shares of the labels among the nearest of `row`; they sum to 1.
    pub fn shares(&self, row: &[f32]) -> Vec<f32> {
        let mut row = row.to_vec();
        to_unit(&mut row);
        let mut near: Vec<(f32, usize)> = self
            .rows
            .chunks_exact(self.len)
            .zip(&self.labels)
            .map(|(other, &label)| (row.iter().zip(other).map(|(a, b)| a * b).sum(), label))
            .collect();
        // Of rows that are equally near, the earlier.
        near.sort_by(|a, b| b.0.total_cmp(&a.0));
        let mut shares = vec![0.0; self.counts.len()];
        for &(_, label) in near.iter().take(self.nearest) {
            shares[label] += 1.0 / self.counts[label] as f32;
        }
        let sum: f32 = shares.iter().sum();
        for share in &mut shares {
            *share /= sum.max(f32::MIN_POSITIVE);
        }
        shares
    }

    /// [`Neighbours::shares`] of a frame's scores.
    pub fn scores(&self, frame: &Scores) -> Scores {
        let shares = self.shares(frame.as_slice());
        Scores::new(&shares[..shares.len().min(MAX_LABELS)])
    }
}

fn to_unit(row: &mut [f32]) {
    let norm = row.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-12);
    for value in row {
        *value /= norm;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_nearest_by_angle_vote_and_a_rare_label_is_not_outvoted_by_a_frequent_one() {
        // Four rows of label 0 along x, one of label 1 along y.
        let rows = [1.0, 0.0, 2.0, 0.1, 3.0, 0.0, 1.0, 0.1, 0.0, 5.0];
        let near = Neighbours::new(&rows, 2, &[0, 0, 0, 0, 1], 3, 3);
        assert_eq!(near.shares(&[9.0, 0.2]), [1.0, 0.0, 0.0]);
        // Of three neighbours one is of label 1; it counts as much as all four of label 0 would.
        let shares = near.shares(&[0.1, 1.0]);
        assert!(
            (shares[1] - 1.0 / (1.0 + 2.0 / 4.0)).abs() < 1e-6,
            "{shares:?}"
        );
        assert!((shares.iter().sum::<f32>() - 1.0).abs() < 1e-6);
    }
}
