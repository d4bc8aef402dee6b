//! What a model can say: its labels, and one score for each.

use std::sync::Arc;

use thiserror::Error;

/// Most labels a model may have, so that [`Scores`] is `Copy` and crosses threads without
/// allocation.
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

/// Colours of the first ten labels, sRGB, made for dark backgrounds. They were searched so that the
/// closest two stay as far apart as possible in OKLab, seen with full colour vision and with each
/// of the three dichromacies (Machado, Oliveira and Fernandes 2009, severity 1): 0.126 at least,
/// where the seven Okabe-Ito colours keep 0.076. All have a chroma of at least 0.08, so that grey
/// stays free to mean "no genre".
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

/// The same for light backgrounds, found as those were, each near the hue that its label has there.
const PALETTE_ON_LIGHT: [[u8; 3]; 10] = [
    [0x28, 0x03, 0x8a],
    [0x6a, 0x00, 0xc4],
    [0x73, 0x0a, 0x00],
    [0xde, 0x00, 0xfa],
    [0xa0, 0x3a, 0x00],
    [0x22, 0x92, 0x80],
    [0x7d, 0x5e, 0xaf],
    [0xa9, 0x7a, 0x00],
    [0x02, 0x6b, 0x5e],
    [0x49, 0x1b, 0x47],
];

/// What lies behind the colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Ground {
    /// Black or nearly so.
    #[default]
    Dark,
    /// White or nearly so.
    Light,
}

/// The colour of label `index` on a dark ground: [`colour_on`].
pub fn colour(index: usize) -> [u8; 3] {
    colour_on(Ground::Dark, index)
}

/// The colour of label `index` wherever a genre has one (plugin, terminal, page, plots), as sRGB.
/// The first ten differ for colour-blind users too; further labels take them up again, darker and
/// lighter, so names must stand beside them.
pub fn colour_on(ground: Ground, index: usize) -> [u8; 3] {
    // A grey, 0 to 255, and its share: what each further ten is mixed with.
    let (palette, shades) = match ground {
        Ground::Dark => (
            &PALETTE,
            [(0.0, 0.38), (255.0, 0.55), (0.0, 0.6), (255.0, 0.75)],
        ),
        Ground::Light => (
            &PALETTE_ON_LIGHT,
            [(0.0, 0.4), (255.0, 0.25), (0.0, 0.65), (255.0, 0.4)],
        ),
    };
    let base = palette[index % palette.len()];
    let round = index / palette.len() % (shades.len() + 1);
    let Some((towards, share)) = round.checked_sub(1).map(|shade| shades[shade]) else {
        return base;
    };
    base.map(|channel| {
        let channel = f32::from(channel);
        (channel + (towards - channel) * share).round() as u8
    })
}

/// The labels of a model, in the order of its outputs. Cheap to clone.
///
/// A label may be a kind of another one, its family: techno is a kind of electronic music. A family
/// is of no family.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Labels {
    names: Arc<[Box<str>]>,
    /// For each label the place of its family; none where the labels stand side by side.
    families: Option<Arc<[Option<usize>]>>,
}

/// What stands between a family and its kind in [`Labels::path`].
pub const KIND_OF: &str = " > ";

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
    /// A label is a kind of what is no label, or of what is a kind itself.
    #[error(
        "label {label:?} cannot be a kind of {family:?}: a family is a label that is of no family"
    )]
    Family {
        /// The label.
        label: String,
        /// What it is said to be a kind of.
        family: String,
    },
}

impl Labels {
    /// Labels in the order of the model's outputs.
    ///
    /// # Errors
    /// [`LabelsError`] when there are none or more than [`MAX_LABELS`], or one is empty, longer
    /// than [`MAX_LABEL_BYTES`], holds control characters or is given twice.
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
        Ok(Self {
            names: list.into(),
            families: None,
        })
    }

    /// The same labels, where each of these pairs, a kind and its family, is told.
    ///
    /// # Errors
    /// [`LabelsError::Family`] when one of a pair is no label, or the family is of a family itself.
    pub fn with_families<A: AsRef<str>, B: AsRef<str>>(
        self,
        pairs: impl IntoIterator<Item = (A, B)>,
    ) -> Result<Self, LabelsError> {
        let mut families = vec![None; self.len()];
        let mut told = Vec::new();
        for (kind, family) in pairs {
            let (kind, family) = (kind.as_ref().to_owned(), family.as_ref().to_owned());
            match (self.index_of(&kind), self.index_of(&family)) {
                (Some(k), Some(f)) if k != f && families[k].is_none() => families[k] = Some(f),
                _ => {
                    return Err(LabelsError::Family {
                        label: kind,
                        family,
                    });
                }
            }
            told.push((kind, family));
        }
        for (label, family) in told {
            if self
                .index_of(&family)
                .is_some_and(|f| families[f].is_some())
            {
                return Err(LabelsError::Family { label, family });
            }
        }
        let some = families.iter().any(Option::is_some);
        Ok(Self {
            names: self.names,
            families: some.then(|| families.into()),
        })
    }

    /// Are some labels kinds of others?
    pub fn has_families(&self) -> bool {
        self.families.is_some()
    }

    /// The label of which label `index` is a kind, if it is one.
    pub fn family_of(&self, index: usize) -> Option<usize> {
        *self.families.as_ref()?.get(index)?
    }

    /// The label of which label `index` is a kind, or itself.
    pub fn family_or_self(&self, index: usize) -> usize {
        self.family_of(index).unwrap_or(index)
    }

    /// The kinds of label `family`, in order.
    pub fn kinds_of(&self, family: usize) -> impl Iterator<Item = usize> + '_ {
        let families = self.families.as_deref().unwrap_or_default();
        let of_it = families.iter().enumerate();
        of_it.filter_map(move |(kind, &of)| (of == Some(family)).then_some(kind))
    }

    /// Label `index` and before it its family, if it has one: `electronic`, `techno`.
    pub fn names_to(&self, index: usize) -> impl Iterator<Item = &str> {
        let family = self.family_of(index).and_then(|family| self.get(family));
        family.into_iter().chain(self.get(index))
    }

    /// Label `index` with its family, if it has one: `electronic > techno`.
    pub fn path(&self, index: usize) -> String {
        self.names_to(index).collect::<Vec<_>>().join(KIND_OF)
    }

    /// Every label of `scores` for itself becomes what the label says in all: a family has the
    /// scores of its kinds, too. Without families nothing changes.
    #[must_use]
    pub fn added_up(&self, scores: &Scores) -> Scores {
        let mut all = *scores;
        for (index, &own) in scores.as_slice().iter().enumerate() {
            if let Some(family) = self.family_of(index)
                && family < all.len
            {
                all.values[family] += own;
            }
        }
        for value in &mut all.values[..all.len] {
            // What rounding leaves above 1.
            *value = value.min(1.0);
        }
        all
    }

    /// Of `scores` that were [`Labels::added_up`] those of the families alone; kinds have 0.
    #[must_use]
    pub fn of_families(&self, scores: &Scores) -> Scores {
        let mut families = *scores;
        for (index, value) in families.values[..families.len].iter_mut().enumerate() {
            if self.family_of(index).is_some() {
                *value = 0.0;
            }
        }
        families
    }

    /// The best kind of a family by `scores`, with its score; the first of equals.
    pub fn best_kind(&self, family: usize, scores: &Scores) -> Option<(usize, f32)> {
        let kinds = self.kinds_of(family);
        kinds
            .filter_map(|kind| Some((kind, *scores.as_slice().get(kind)?)))
            .reduce(|best, other| if other.1 > best.1 { other } else { best })
    }

    /// Labels that stand beside each other, with their scores, the best first: a family stands for
    /// its kinds. Equals are in label order. Allocates.
    pub fn ranked(&self, scores: &Scores) -> Vec<(usize, f32)> {
        let mut ranked = scores.ranked();
        ranked.retain(|&(index, _)| self.family_of(index).is_none());
        ranked
    }

    /// Which labels to show where there is room for `room`: all of them in order; or the best, the
    /// best first. Of families the best, and below each the kind that leads in it, as far as it
    /// says something. Allocates.
    pub fn shown(&self, scores: &Scores, room: usize) -> Vec<usize> {
        if !self.has_families() {
            return if room < self.len() {
                let ranked = scores.ranked().into_iter().take(room);
                ranked.map(|(index, _)| index).collect()
            } else {
                (0..self.len()).collect()
            };
        }
        let mut shown = Vec::new();
        for (family, _) in self.ranked(scores) {
            shown.push(family);
            shown.extend(
                self.best_kind(family, scores)
                    .filter(|&(_, score)| score >= WORTH_SHOWING)
                    .map(|(kind, _)| kind),
            );
        }
        shown.truncate(room);
        shown
    }

    /// How many there are: 1..=[`MAX_LABELS`].
    #[expect(
        clippy::len_without_is_empty,
        reason = "a model has at least one label"
    )]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// The label of output `index`, if there is one.
    pub fn get(&self, index: usize) -> Option<&str> {
        self.names.get(index).map(|label| &**label)
    }

    /// Position of `label`, if the model has it.
    pub fn index_of(&self, label: &str) -> Option<usize> {
        self.names.iter().position(|other| **other == *label)
    }

    /// All of them, in order.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &str> {
        self.names.iter().map(|label| &**label)
    }
}

/// Log-odds of a kind are cut here, so that nothing overflows.
const MOST_ODDS: f32 = 40.0;

/// Score below which a kind is not worth a line of its own.
const WORTH_SHOWING: f32 = 0.02;

/// One score per label, each in 0..=1. Softmax models give scores that sum to 1.
#[derive(Clone, Copy)]
pub struct Scores {
    values: [f32; MAX_LABELS],
    len: usize,
}

impl Scores {
    /// Scores in label order. Values that are not finite become 0, so that nothing downstream is
    /// poisoned.
    ///
    /// # Panics
    /// When `values` is empty or longer than [`MAX_LABELS`]; both are checked when a model is
    /// loaded.
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

    /// Scores of labels with families, each label's own. The families share out 1 by the softmax of
    /// their logits; of what a family has, its kinds and "none of its kinds", whose logit is 0,
    /// share by theirs.
    pub fn tree_softmax(labels: &Labels, logits: &[f32], temperature: f32) -> Self {
        let mut of_families = Self::new(logits);
        for (index, logit) in of_families.values[..of_families.len].iter_mut().enumerate() {
            *logit = match labels.family_of(index) {
                None if logits[index].is_finite() => logits[index],
                _ => f32::NAN,
            };
        }
        let mut scores = Self::softmax(of_families.as_slice(), temperature);
        for family in 0..scores.len {
            let exp = |kind: usize| {
                let logit = logits.get(kind).copied().unwrap_or(f32::NAN);
                let clipped = (logit / temperature).clamp(-MOST_ODDS, MOST_ODDS);
                if logit.is_finite() {
                    clipped.exp()
                } else {
                    0.0
                }
            };
            let sum: f32 = 1.0 + labels.kinds_of(family).map(exp).sum::<f32>();
            let all = scores.values[family];
            for kind in labels.kinds_of(family) {
                scores.values[kind] = all * exp(kind) / sum;
            }
            if labels.family_of(family).is_none() {
                scores.values[family] = all / sum;
            }
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

/// How tags usually spell what the built-in model hears; other models' labels are their users' own
/// words.
pub fn usual_word(label: &str) -> &str {
    const USUAL: [(&str, &str); 10] = [
        ("blues", "Blues"),
        ("classical", "Classical"),
        ("country", "Country"),
        ("disco", "Disco"),
        ("hiphop", "Hip-Hop"),
        ("jazz", "Jazz"),
        ("metal", "Metal"),
        ("pop", "Pop"),
        ("reggae", "Reggae"),
        ("rock", "Rock"),
    ];
    USUAL
        .iter()
        .find(|(ours, _)| *ours == label)
        .map_or(label, |(_, usual)| usual)
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

    fn tree() -> Labels {
        let labels = Labels::new(["electronic", "house", "techno", "rock"]).unwrap();
        labels
            .with_families([("house", "electronic"), ("techno", "electronic")])
            .unwrap()
    }

    #[test]
    fn families_are_checked() {
        let tree = tree();
        assert_eq!(tree.path(2), "electronic > techno");
        assert_eq!(tree.path(3), "rock");
        assert_eq!((tree.family_of(1), tree.family_or_self(3)), (Some(0), 3));
        assert_eq!(tree.kinds_of(0).collect::<Vec<_>>(), [1, 2]);
        let flat = Labels::new(GTZAN).unwrap();
        assert!(!flat.has_families() && flat.kinds_of(0).next().is_none());
        for pairs in [
            vec![("techno", "dance")],
            vec![("techno", "techno")],
            vec![("techno", "house"), ("house", "electronic")],
            vec![("techno", "rock"), ("techno", "electronic")],
        ] {
            let labels = Labels::new(["electronic", "house", "techno", "rock"]).unwrap();
            let error = labels.with_families(pairs.clone()).unwrap_err();
            assert!(matches!(error, LabelsError::Family { .. }), "{pairs:?}");
        }
    }

    #[test]
    fn a_family_has_what_its_kinds_have() {
        let tree = tree();
        let all = tree.added_up(&Scores::new(&[0.1, 0.2, 0.4, 0.3]));
        for (found, expected) in all.as_slice().iter().zip([0.7, 0.2, 0.4, 0.3]) {
            assert!((found - expected).abs() < 1e-6, "{all:?}");
        }
        assert_eq!(tree.of_families(&all).top().0, 0);
        assert_eq!(tree.best_kind(0, &all), Some((2, 0.4)));
        let ranked: Vec<usize> = tree.ranked(&all).iter().map(|r| r.0).collect();
        assert_eq!(ranked, [0, 3]);
        assert_eq!(tree.shown(&all, 10), [0, 2, 3]);
        assert_eq!(tree.shown(&all, 2), [0, 2]);
        let flat = Labels::new(["a", "b", "c", "d"]).unwrap();
        assert_eq!(flat.added_up(&all), all);
        assert_eq!(flat.shown(&all, 9), [0, 1, 2, 3]);
        assert_eq!(flat.shown(&all, 2), [0, 2]);
    }

    #[test]
    fn kinds_share_what_their_family_has() {
        let tree = tree();
        let logits = [1.0, 0.0, 3.0_f32.ln(), 1.0];
        let own = Scores::tree_softmax(&tree, &logits, 1.0);
        for (found, expected) in own.as_slice().iter().zip([0.1, 0.1, 0.3, 0.5]) {
            assert!((found - expected).abs() < 1e-6, "{own:?}");
        }
        for foreign in [f32::NAN, f32::INFINITY, 1e30, -1e30] {
            for at in 0..4 {
                let mut logits = logits;
                logits[at] = foreign;
                let own = Scores::tree_softmax(&tree, &logits, 0.5);
                let sum: f32 = own.as_slice().iter().sum();
                assert!((sum - 1.0).abs() < 1e-5, "{foreign} at {at}: {own:?}");
            }
        }
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
        // Machado, Oliveira and Fernandes 2009, table 1, severity 1.0: none, prot-, deuter-,
        // tritanopia.
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
        let colours: std::collections::HashSet<_> = (0..50).map(colour).collect();
        assert_eq!(colours.len(), 50);
    }
}
