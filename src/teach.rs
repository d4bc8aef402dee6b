//! A new last layer for the same ears: teach a model other labels from a few songs of each.
//!
//! The trunk stays as it is (the paper's "network as a feature extractor", section 4.1); a softmax
//! layer is fitted on the embeddings of labelled frames. That takes seconds, not hours, and nothing
//! but the songs.

use std::collections::BTreeMap;

use thiserror::Error;

use crate::{
    decision::average::{Mean, mean_of},
    genre::{Labels, LabelsError, Scores},
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
    /// All songs of a label are of one artist, or in one folder.
    #[error(
        "all songs of '{label}' are of one artist or in one folder: none can be left out to see whether it would be named right"
    )]
    OneGroup {
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

/// Strength of the L2 penalty on standardised features: as much as the 5-fold test on the 403 full
/// clips of GTZAN liked best for frozen features (scikit-learn's C = 0.02 there).
const L2: f64 = 0.05;

const ITERATIONS: usize = 400;

/// Fits a softmax layer by accelerated gradient descent: every label weighs the same, however many
/// frames it has. Deterministic.
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

/// A song to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Lesson {
    /// Index of its label.
    pub label: usize,
    /// What must stay on one side of a test: an artist, a folder, or the song alone.
    pub group: usize,
    /// Embeddings of its frames.
    pub frames: Vec<Vec<f32>>,
    /// Embeddings of its first seconds, one for each of the lengths that temperatures are fitted
    /// at; `None` where it is shorter.
    pub beginnings: Vec<Option<Vec<f32>>>,
}

impl Lesson {
    /// What [`fit_head`] learns from `lessons`.
    pub fn examples<'a>(lessons: impl IntoIterator<Item = &'a Self>) -> Vec<Example> {
        let lessons = lessons.into_iter().enumerate();
        let of_song = |(song, lesson): (usize, &'a Self)| {
            lesson.frames.iter().map(move |frame| Example {
                embedding: frame.clone(),
                label: lesson.label,
                song,
            })
        };
        lessons.flat_map(of_song).collect()
    }

    /// Scores by `head`: the mean over its frames.
    fn scores(&self, head: &Head, n_labels: usize, temperature: f32) -> Scores {
        let frames = self.frames.iter();
        let scores: Vec<Scores> = frames
            .map(|frame| Scores::softmax(&head.logits(frame), temperature))
            .collect();
        mean_of(&scores, Mean::Arithmetic).unwrap_or_else(|| Scores::uniform(n_labels))
    }
}

/// How well a head fitted on some songs names the others.
#[derive(Clone, Debug, PartialEq)]
pub struct CrossValidation {
    /// Songs that were left out and all of which the best label was right.
    pub right: u32,
    /// All songs that were left out once.
    pub songs: u32,
    /// Right and all, by label.
    pub by_label: Vec<(u32, u32)>,
    /// Temperature at which the left-out songs' frames are least surprising.
    pub temperature: f32,
    /// The same of their beginnings, one for each length; `None` where no song is that long.
    pub temperatures: Vec<Option<f32>>,
    /// Score of the best label below which a song is none of the labels.
    pub none_below: f32,
    /// Left-out songs whose best label is right and is not below that.
    pub named_right: u32,
    /// Left-out songs whose best label is wrong and is not below that.
    pub named_wrong: u32,
    /// Songs of none of the labels, and how many of them are called so; `None` where there are
    /// none.
    pub strangers: Option<(u32, u32)>,
}

/// Share of the songs whose best label is right that must stay named, whatever else the threshold
/// could refuse.
const KEPT: f32 = 0.9;

/// Leaves songs out in `folds` turns, fits on the rest, and names the left-out songs by the mean of
/// their frames' scores. The groups of a label take turns, so that every fold holds some of each.
/// Fewer than two turns leave nothing to fit on: they count as two.
///
/// What is none of the labels is told by a threshold of the best score: `strangers`, songs of none
/// of them, teach it. Where there are none, each label in turn is one that the others know nothing
/// of, if there are three or more.
///
/// # Errors
/// [`TeachError::OneGroup`] when all songs of a label are of one group, so that none can be left
/// out.
pub fn cross_validate(
    lessons: &[Lesson],
    strangers: &[Lesson],
    labels: &Labels,
    folds: usize,
) -> Result<CrossValidation, TeachError> {
    let n_labels = labels.len();
    let fold_of = share_out(lessons, labels, folds.max(2))?;
    let mut left_out: Vec<(&Lesson, Head)> = Vec::new();
    for fold in 0..folds.max(2) {
        let of = |test: bool| {
            let pairs = lessons.iter().zip(&fold_of);
            pairs.filter(move |(_, of)| (**of == fold) == test)
        };
        if of(true).next().is_none() {
            continue;
        }
        let head = fit_head(&Lesson::examples(of(false).map(|pair| pair.0)), n_labels)?;
        left_out.extend(of(true).map(|(lesson, _)| (lesson, head.clone())));
    }
    let frames = |(lesson, head): &(&Lesson, Head)| -> Vec<(Vec<f32>, usize)> {
        let frames = lesson.frames.iter();
        frames
            .map(|frame| (head.logits(frame), lesson.label))
            .collect()
    };
    let all: Vec<_> = left_out.iter().flat_map(frames).collect();
    // After none of n was wrong, the next one is with a chance of one in n + 2 (Laplace's rule).
    let doubt = 1.0 / (left_out.len() + 2) as f64;
    let temperature = fit_temperature_by(&all, doubt);
    let lengths = lessons
        .iter()
        .map(|l| l.beginnings.len())
        .max()
        .unwrap_or(0);
    let temperatures = (0..lengths).map(|length| {
        let beginnings = left_out.iter().filter_map(|(lesson, head)| {
            let beginning = lesson.beginnings.get(length)?.as_ref()?;
            Some((head.logits(beginning), lesson.label))
        });
        let beginnings: Vec<_> = beginnings.collect();
        (!beginnings.is_empty()).then(|| fit_temperature_by(&beginnings, doubt))
    });
    let temperatures = temperatures.collect();

    let mut by_label = vec![(0, 0); n_labels];
    let (mut right_scores, mut wrong_scores) = (Vec::new(), Vec::new());
    for (lesson, head) in &left_out {
        let (best, score) = lesson.scores(head, n_labels, temperature).top();
        let entry = &mut by_label[lesson.label];
        entry.0 += u32::from(best == lesson.label);
        entry.1 += 1;
        if best == lesson.label {
            right_scores.push(score);
        } else {
            wrong_scores.push(score);
        }
    }
    let unknown = unknown_scores(lessons, strangers, n_labels, temperature)?;
    let none_below = threshold(&right_scores, &wrong_scores, &unknown, n_labels);
    let kept = |scores: &[f32]| scores.iter().filter(|&&score| score >= none_below).count() as u32;
    Ok(CrossValidation {
        right: by_label.iter().map(|c| c.0).sum(),
        songs: by_label.iter().map(|c| c.1).sum(),
        by_label,
        temperature,
        temperatures,
        none_below,
        named_right: kept(&right_scores),
        named_wrong: kept(&wrong_scores),
        strangers: (!unknown.is_empty()).then(|| {
            let n = unknown.len() as u32;
            (n - kept(&unknown), n)
        }),
    })
}

/// The fold of each lesson: the groups of a label take turns, the largest first, each where the
/// label has least.
fn share_out(lessons: &[Lesson], labels: &Labels, folds: usize) -> Result<Vec<usize>, TeachError> {
    let mut groups: BTreeMap<usize, Vec<&Lesson>> = BTreeMap::new();
    for lesson in lessons {
        groups.entry(lesson.group).or_default().push(lesson);
    }
    let mut order: Vec<(&usize, &Vec<&Lesson>)> = groups.iter().collect();
    order.sort_by_key(|(group, songs)| (std::cmp::Reverse(songs.len()), **group));
    let mut held = vec![vec![0_usize; labels.len()]; folds];
    let mut fold_of: BTreeMap<usize, usize> = BTreeMap::new();
    for (group, songs) in order {
        // Of the labels of this group the first decides.
        let label = songs[0].label;
        let fold = (0..folds)
            .min_by_key(|&fold| (held[fold][label], held[fold].iter().sum::<usize>()))
            .unwrap_or(0);
        for song in songs {
            held[fold][song.label] += 1;
        }
        fold_of.insert(*group, fold);
    }
    for (label, name) in labels.iter().enumerate() {
        let in_folds = held.iter().filter(|fold| fold[label] > 0).count();
        if in_folds == 0 {
            return Err(TeachError::NoExamples { label: name.into() });
        }
        if in_folds == 1 {
            return Err(TeachError::OneGroup { label: name.into() });
        }
    }
    Ok(lessons
        .iter()
        .map(|lesson| fold_of[&lesson.group])
        .collect())
}

/// Best scores of songs that are none of the labels a head knows.
fn unknown_scores(
    lessons: &[Lesson],
    strangers: &[Lesson],
    n_labels: usize,
    temperature: f32,
) -> Result<Vec<f32>, TeachError> {
    let best = |head: &Head, songs: &mut dyn Iterator<Item = &Lesson>, n: usize| -> Vec<f32> {
        songs
            .map(|song| song.scores(head, n, temperature).top().1)
            .collect()
    };
    if !strangers.is_empty() {
        let head = fit_head(&Lesson::examples(lessons), n_labels)?;
        return Ok(best(&head, &mut strangers.iter(), n_labels));
    }
    if n_labels < 3 {
        return Ok(Vec::new());
    }
    let mut scores = Vec::new();
    for left_out in 0..n_labels {
        let known = lessons.iter().filter(|lesson| lesson.label != left_out);
        let known: Vec<Lesson> = known
            .map(|lesson| Lesson {
                label: lesson.label - usize::from(lesson.label > left_out),
                ..lesson.clone()
            })
            .collect();
        let head = fit_head(&Lesson::examples(&known), n_labels - 1)?;
        let unknown = lessons.iter().filter(|lesson| lesson.label == left_out);
        scores.extend(best(&head, &mut { unknown }, n_labels - 1));
    }
    Ok(scores)
}

/// The threshold at which most is said right: songs of the labels are named right, songs of none
/// and those that would be named wrong are not named. Both sides weigh the same; [`KEPT`] of what
/// is right stays named.
fn threshold(right: &[f32], wrong: &[f32], unknown: &[f32], n_labels: usize) -> f32 {
    let chance = 1.0 / n_labels as f32;
    let mut sorted = right.to_vec();
    sorted.sort_by(f32::total_cmp);
    let lost = ((1.0 - KEPT) * sorted.len() as f32) as usize;
    let most = sorted.get(lost).copied().unwrap_or(1.0).min(MOST_SURE);
    let share = |scores: &[f32], refused: bool, at: f32| {
        let n = scores
            .iter()
            .filter(|&&score| (score < at) == refused)
            .count();
        n as f32 / scores.len().max(1) as f32
    };
    let others: Vec<f32> = unknown.iter().chain(wrong).copied().collect();
    let gain = |at: f32| share(right, false, at) + share(&others, true, at);
    // Between two scores the threshold stands in the middle, and never below chance.
    let mut at: Vec<f32> = right.iter().chain(&others).copied().collect();
    at.sort_by(f32::total_cmp);
    let middles = at.windows(2).map(|pair| f32::midpoint(pair[0], pair[1]));
    let candidates = middles.filter(|&at| at <= most && at > chance);
    let best = candidates.fold(
        chance,
        |best, at| if gain(at) > gain(best) { at } else { best },
    );
    best.clamp(0.0, MOST_SURE)
}

/// No threshold asks for more.
const MOST_SURE: f32 = 0.95;

/// The temperature in 0.2..=5 at which the labels are least surprising: golden-section search on
/// the mean negative log-likelihood, which has one minimum in the temperature.
pub fn fit_temperature(logits_and_labels: &[(Vec<f32>, usize)]) -> f32 {
    fit_temperature_by(logits_and_labels, 0.0)
}

/// As [`fit_temperature`], where a share `doubt` of each label is any other: so many songs can have
/// been luck.
fn fit_temperature_by(logits_and_labels: &[(Vec<f32>, usize)], doubt: f64) -> f32 {
    let nll = |log_t: f64| -> f64 {
        let t = log_t.exp() as f32;
        logits_and_labels
            .iter()
            .map(|(logits, label)| {
                let scores = Scores::softmax(logits, t);
                let surprise = |score: f32| -f64::from(score.max(1e-9)).ln();
                let others = scores.as_slice().iter().enumerate();
                let others = others.filter(|(index, _)| index != label);
                let of_others: f64 = others.map(|(_, &score)| surprise(score)).sum();
                (1.0 - doubt) * surprise(scores.as_slice()[*label])
                    + doubt * of_others / (logits.len() - 1).max(1) as f64
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

/// The same ears with a new last layer and new labels. What the base model knows of music and
/// silence stays.
///
/// # Errors
/// [`TeachError::Model`] when the head does not fit the base.
pub fn with_head(base: &Bundle, head: &Head, labels: Labels) -> Result<Bundle, TeachError> {
    let mut taught = base.clone();
    let len = head.weight.len() / labels.len();
    // What songs of the old labels scored says nothing of the new ones.
    taught
        .tensors
        .retain(|name, _| !name.starts_with("trust.neighbours."));
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
        let mut random = crate::random::Random::new(7);
        let mut noise = move || 0.5 * random.sample();
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
        let validation = validated(&lessons(&examples, 60), &[]);
        assert_eq!((validation.right, validation.songs), (60, 60));
        assert!(validation.named_right >= 54, "{validation:?}");
        assert_eq!(
            validation.temperatures,
            [Some(validation.temperature), None]
        );
    }

    /// One song of each example; songs of a label are shared out among `groups`.
    fn lessons(examples: &[Example], groups: usize) -> Vec<Lesson> {
        let lesson = |example: &Example| Lesson {
            label: example.label,
            group: example.song % groups,
            frames: vec![example.embedding.clone()],
            beginnings: vec![Some(example.embedding.clone()), None],
        };
        examples.iter().map(lesson).collect()
    }

    fn three() -> Labels {
        Labels::new(["a", "b", "c"]).unwrap()
    }

    fn validated(lessons: &[Lesson], strangers: &[Lesson]) -> CrossValidation {
        cross_validate(lessons, strangers, &three(), 5).unwrap()
    }

    #[test]
    fn what_an_artist_gives_away_does_not_count() {
        // The second value tells the artist, and each artist has one label: with songs of one
        // artist on both sides it is as good as the label; the first tells nothing.
        let songs: Vec<Lesson> = (0..60)
            .map(|song| {
                let artist = song % 12;
                let mut embedding = vec![0.0; 13];
                embedding[artist] = 10.0;
                embedding[12] = ((song * 7) % 5) as f32;
                Lesson {
                    label: artist % 3,
                    group: artist,
                    frames: vec![embedding],
                    beginnings: Vec::new(),
                }
            })
            .collect();
        let alone: Vec<Lesson> = songs
            .iter()
            .enumerate()
            .map(|(group, song)| Lesson {
                group,
                ..song.clone()
            })
            .collect();
        assert_eq!(validated(&alone, &[]).right, 60);
        assert!(validated(&songs, &[]).right < 40);
        let one: Vec<Lesson> = songs
            .iter()
            .map(|song| Lesson {
                group: song.label,
                ..song.clone()
            })
            .collect();
        let error = cross_validate(&one, &[], &three(), 5).unwrap_err();
        assert!(error.to_string().contains("all songs of 'a'"), "{error}");
    }

    #[test]
    fn strangers_are_none_of_the_labels() {
        let known = lessons(&clouds(60), 60);
        let stranger = |i: usize| Lesson {
            label: 0,
            group: 1_000 + i,
            frames: vec![vec![0.3 * (i % 3) as f32, -0.2 * (i % 4) as f32, 100.0]],
            beginnings: Vec::new(),
        };
        let strangers: Vec<Lesson> = (0..12).map(stranger).collect();
        let validation = validated(&known, &strangers);
        assert_eq!(validation.strangers, Some((12, 12)), "{validation:?}");
        assert_eq!(validation.named_right, 60, "{validation:?}");
        // Without any, each label was one to the others.
        let validation = validated(&known, &[]);
        assert_eq!(validation.strangers.map(|s| s.1), Some(60));
        assert!(validation.none_below > 1.0 / 3.0);
    }

    #[test]
    fn shuffled_labels_are_at_chance() {
        let mut examples = clouds(90);
        for (i, example) in examples.iter_mut().enumerate() {
            example.label = (i * 7 + i / 3) % 3;
        }
        let validation = validated(&lessons(&examples, 90), &[]);
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
    fn a_few_songs_make_nobody_certain() {
        let sure: Vec<(Vec<f32>, usize)> = vec![(vec![4.0, 0.0], 0); 8];
        let at = |doubt| {
            let t = fit_temperature_by(&sure, doubt);
            Scores::softmax(&[4.0, 0.0], t).as_slice()[0]
        };
        assert!((at(0.1) - 0.9).abs() < 0.01, "{}", at(0.1));
        assert!(at(0.0) > 0.999);
    }

    #[test]
    fn temperature_undoes_overconfidence() {
        let examples: Vec<(Vec<f32>, usize)> = (0..100)
            .map(|i| (vec![4.0, 0.0], usize::from(i % 4 == 0)))
            .collect();
        let temperature = fit_temperature(&examples);
        let p = Scores::softmax(&[4.0, 0.0], temperature).as_slice()[0];
        assert!((p - 0.75).abs() < 0.01, "{p}");
    }
}
