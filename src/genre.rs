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

/// Colours of the first ten labels, sRGB, made for dark backgrounds. They were searched so that the closest two stay
/// as far apart as possible in OKLab, seen with full colour vision and with each of the three dichromacies (Machado,
/// Oliveira and Fernandes 2009, severity 1): 0.126 at least, where the seven Okabe-Ito colours keep 0.076. All have a
/// chroma of at least 0.08, so that grey stays free to mean "no genre".
const PALETTE: [[u8; 3]; 10] = [
    [0x40, 0x81, 0xae],
    [0xb6, 0xc6, 0xfd],
    [0xce, 0x84, 0x17],
    [0xb1, 0x3a, 0xff],
    [0xec, 0xb4, 0x4c],
    [0x5d, 0xb5, 0xa8],
    [0xbc, 0x89, 0xfe],
    [0xfa, 0xee, 0x0c],
    [0x7b, 0xff, 0xc8],
    [0xd4, 0x30, 0x66],
];

/// The colour of label `index` wherever a genre has one (plugin, terminal, plots), as sRGB. The first ten differ for
/// colour-blind users too; further labels take them up again, darker and lighter, so names must stand beside them.
pub fn colour(index: usize) -> [u8; 3] {
    let base = PALETTE[index % PALETTE.len()];
    let (towards, share) = match index / PALETTE.len() % 3 {
        0 => return base,
        1 => (0.0, 0.38),
        _ => (255.0, 0.55),
    };
    base.map(|channel| {
        let channel = f32::from(channel);
        (channel + (towards - channel) * share).round() as u8
    })
}

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

    /// No score for any of `len` labels: there is nothing to have an opinion of.
    pub fn zeros(len: usize) -> Self {
        Self::new(&[0.0; MAX_LABELS][..len.clamp(1, MAX_LABELS)])
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

    /// sRGB to linear light (IEC 61966-2-1).
    fn linear(channel: u8) -> f32 {
        let c = f32::from(channel) / 255.0;
        if c <= 0.040_45 {
            c / 12.92
        } else {
            ((c + 0.055) / 1.055).powf(2.4)
        }
    }

    fn times(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
        matrix.map(|row| row.iter().zip(v).map(|(m, x)| m * x).sum())
    }

    /// Linear light to OKLab (Ottosson 2020).
    fn oklab(rgb: [f32; 3]) -> [f32; 3] {
        let lms = times(
            &[
                [0.412_221_47, 0.536_332_54, 0.051_445_995],
                [0.211_903_5, 0.680_699_5, 0.107_396_96],
                [0.088_302_46, 0.281_718_85, 0.629_978_7],
            ],
            rgb.map(|c| c.clamp(0.0, 1.0)),
        );
        times(
            &[
                [0.210_454_26, 0.793_617_8, -0.004_072_047],
                [1.977_998_5, -2.428_592_2, 0.450_593_7],
                [0.025_904_037, 0.782_771_77, -0.808_675_77],
            ],
            lms.map(f32::cbrt),
        )
    }

    #[test]
    fn colours_differ_for_everyone() {
        // Machado, Oliveira and Fernandes 2009, table 1, severity 1.0: none, prot-, deuter-, tritanopia.
        let visions = [
            [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]],
            [
                [0.152_286, 1.052_583, -0.204_868],
                [0.114_503, 0.786_281, 0.099_216],
                [-0.003_882, -0.048_116, 1.051_998],
            ],
            [
                [0.367_322, 0.860_646, -0.227_968],
                [0.280_085, 0.672_501, 0.047_413],
                [-0.011_820, 0.042_940, 0.968_881],
            ],
            [
                [1.255_528, -0.076_749, -0.178_779],
                [-0.078_411, 0.930_809, 0.147_602],
                [0.004_733, 0.691_367, 0.303_900],
            ],
        ];
        for vision in &visions {
            let seen: Vec<_> = (0..10)
                .map(|index| oklab(times(vision, colour(index).map(linear))))
                .collect();
            for (i, a) in seen.iter().enumerate() {
                for (j, b) in seen.iter().enumerate().skip(i + 1) {
                    let distance = a
                        .iter()
                        .zip(b)
                        .map(|(a, b)| (a - b).powi(2))
                        .sum::<f32>()
                        .sqrt();
                    assert!(distance > 0.12, "{i} and {j}: {distance}");
                }
            }
        }
    }

    #[test]
    fn every_label_has_a_colour_of_its_own() {
        let colours: std::collections::HashSet<_> = (0..30).map(colour).collect();
        assert_eq!(colours.len(), 30);
    }
}
