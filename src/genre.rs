//! What a model can say: its labels, and one score for each.

use std::sync::Arc;

use thiserror::Error;

/// Most labels a model may have, so that [`Scores`] is `Copy` and crosses threads without allocation.
pub const MAX_LABELS: usize = 64;

/// Longest label, in bytes.
pub const MAX_LABEL_BYTES: usize = 64;

/// The ten genres of GTZAN, in the order that every table of this crate keeps (paper, section 3).
pub const GTZAN: [&str; 10] = [
    "blues",
    "classical",
    "country",
    "disco",
    "hiphop",
    "jazz",
    "metal",
    "pop",
    "reggae",
    "rock",
];

/// The labels of a model, in the order of its outputs. Cheap to clone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels(Arc<[Box<str>]>);

/// Why a list of labels was refused.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum LabelsError {
    /// Too few or too many.
    #[error("{count} labels were given; a model has 1 to 64")]
    Count {
        /// How many were given.
        count: usize,
    },
    /// Empty, too long, or with control characters.
    #[error("label {index} ({label:?}) is empty, longer than 64 bytes or holds control characters")]
    Malformed {
        /// Position in the list, from 0.
        index: usize,
        /// The label, shortened to 64 characters.
        label: String,
    },
    /// The same label twice.
    #[error("label {label:?} is given twice")]
    Duplicate {
        /// The label.
        label: String,
    },
}

impl Labels {
    /// Labels in the order of the model's outputs.
    ///
    /// # Errors
    /// [`LabelsError`] when there are none or more than [`MAX_LABELS`], or one is empty, longer than
    /// [`MAX_LABEL_BYTES`], holds control characters or is given twice.
    pub fn new<S: AsRef<str>>(labels: impl IntoIterator<Item = S>) -> Result<Self, LabelsError> {
        let mut list: Vec<Box<str>> = Vec::new();
        for (index, label) in labels.into_iter().enumerate() {
            let label = label.as_ref();
            if label.trim().is_empty()
                || label.len() > MAX_LABEL_BYTES
                || label.chars().any(char::is_control)
            {
                let label = label.chars().take(MAX_LABEL_BYTES).collect();
                return Err(LabelsError::Malformed { index, label });
            }
            if list.iter().any(|other| **other == *label) {
                let label = label.to_owned();
                return Err(LabelsError::Duplicate { label });
            }
            list.push(label.into());
        }
        if list.is_empty() || list.len() > MAX_LABELS {
            return Err(LabelsError::Count { count: list.len() });
        }
        Ok(Self(list.into()))
    }

    /// How many there are: 1..=[`MAX_LABELS`].
    #[expect(
        clippy::len_without_is_empty,
        reason = "a model has at least one label"
    )]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The label of output `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.0.get(index).map(|label| &**label)
    }

    /// Position of `label`, if the model has it.
    pub fn index_of(&self, label: &str) -> Option<usize> {
        self.0.iter().position(|other| **other == *label)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.0.iter().map(|label| &**label)
    }
}

/// One score per label, each in 0..=1. Softmax models give scores that sum to 1.
#[derive(Clone, Copy)]
pub struct Scores {
    values: [f32; MAX_LABELS],
    len: usize,
}

impl Scores {
    /// Scores in label order. Values that are not finite become 0, so that nothing downstream is poisoned.
    ///
    /// # Panics
    /// When `values` is empty or longer than [`MAX_LABELS`]; both are checked when a model is loaded.
    pub fn new(values: &[f32]) -> Self {
        assert!(
            (1..=MAX_LABELS).contains(&values.len()),
            "{} scores were given; a model has 1 to {MAX_LABELS} labels",
            values.len()
        );
        let mut scores = Self {
            values: [0.0; MAX_LABELS],
            len: values.len(),
        };
        for (score, &value) in scores.values.iter_mut().zip(values) {
            *score = if value.is_finite() { value } else { 0.0 };
        }
        scores
    }

    /// Scores from the network's logits: `softmax(logits / temperature)`.
    pub fn softmax(logits: &[f32], temperature: f32) -> Self {
        let max = logits
            .iter()
            .copied()
            .filter(|l| l.is_finite())
            .fold(f32::NEG_INFINITY, f32::max);
        if !max.is_finite() {
            return Self::uniform(logits.len());
        }
        let mut scores = Self::new(logits);
        let mut sum = 0.0_f32;
        for (score, &logit) in scores.values.iter_mut().zip(logits) {
            *score = if logit.is_finite() {
                ((logit - max) / temperature).exp()
            } else {
                0.0
            };
            sum += *score;
        }
        for score in &mut scores.values[..scores.len] {
            *score /= sum;
        }
        scores
    }

    /// The same score for each of `len` labels: what is known before anything was heard.
    pub fn uniform(len: usize) -> Self {
        Self::new(&vec_of(1.0 / len as f32)[..len.clamp(1, MAX_LABELS)])
    }

    /// The scores, in label order.
    pub fn as_slice(&self) -> &[f32] {
        &self.values[..self.len]
    }

    /// Index and score of the best; the first of equals.
    pub fn top(&self) -> (usize, f32) {
        let mut best = (0, self.values[0]);
        for (index, &score) in self.as_slice().iter().enumerate().skip(1) {
            if score > best.1 {
                best = (index, score);
            }
        }
        best
    }

    /// Indices and scores, best first; equals in label order. Allocates.
    pub fn ranked(&self) -> Vec<(usize, f32)> {
        let mut ranked: Vec<_> = self.as_slice().iter().copied().enumerate().collect();
        ranked.sort_by(|a, b| b.1.total_cmp(&a.1));
        ranked
    }
}

fn vec_of(value: f32) -> [f32; MAX_LABELS] {
    [value; MAX_LABELS]
}

impl PartialEq for Scores {
    fn eq(&self, other: &Self) -> bool {
        self.as_slice() == other.as_slice()
    }
}

impl std::fmt::Debug for Scores {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("Scores").field(&self.as_slice()).finish()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_checked() {
        assert!(Labels::new(GTZAN).is_ok());
        assert_eq!(
            Labels::new::<&str>([]),
            Err(LabelsError::Count { count: 0 })
        );
        let many: Vec<String> = (0..65).map(|i| i.to_string()).collect();
        assert_eq!(Labels::new(&many), Err(LabelsError::Count { count: 65 }));
        assert!(matches!(
            Labels::new(["a", "a"]),
            Err(LabelsError::Duplicate { .. })
        ));
        assert!(matches!(
            Labels::new(["a", " "]),
            Err(LabelsError::Malformed { index: 1, .. })
        ));
        assert!(matches!(
            Labels::new(["a\nb"]),
            Err(LabelsError::Malformed { .. })
        ));
    }

    #[test]
    fn softmax_sums_to_one_and_survives_foreign_logits() {
        let scores = Scores::softmax(&[1.0, 2.0, f32::NAN, 3.0], 1.0);
        let sum: f32 = scores.as_slice().iter().sum();
        assert!((sum - 1.0).abs() < 1e-6);
        assert_eq!(scores.top().0, 3);
        assert_eq!(scores.as_slice()[2], 0.0);
        assert_eq!(
            Scores::softmax(&[f32::NAN, f32::INFINITY], 1.0),
            Scores::uniform(2)
        );
    }

    #[test]
    fn ranking_keeps_label_order_among_equals() {
        let ranked = Scores::new(&[0.2, 0.4, 0.4]).ranked();
        assert_eq!(ranked.iter().map(|r| r.0).collect::<Vec<_>>(), [1, 2, 0]);
        assert_eq!(Scores::new(&[0.2, 0.4, 0.4]).top(), (1, 0.4));
    }
}
