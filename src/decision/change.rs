//! Has another song begun?

use std::{collections::VecDeque, ops::Range};

use crate::network::{Model, summary_len, top_len};

pub use crate::network::comparison_len;

/// Summaries of the newest audio that stand for "now".
pub const NOW: usize = 2;

/// Summaries between "now" and "so far" that are left out: a summary spans three steps, so neighbours overlap, and in a
/// crossfade both songs are heard.
pub const BETWEEN: usize = 2;

/// Summaries before them that stand for "so far", at most.
pub const BEFORE: usize = 12;

/// Fewest summaries "so far" that a change can be told from.
pub const FEWEST: usize = 5;

/// Summaries that are kept, of the song so far and of what came before it: two minutes with the CNN, three with the CRNN. A part that was
/// heard within them is not another song.
pub const MEMORY: usize = 88;

/// Without a fitted head, a change is told when now and so far differ by this many times the spread within so far.
pub const THRESHOLD: f32 = 3.0;

/// A part whose nearest summary among those kept is nearer than this share of its distance from the mean so far was heard before: it is no
/// other song, however it differs. At 0.6 more songs are taken for two, at 0.78 more crossfades are missed (docs/readout.md).
const FAMILIAR: f32 = 0.66;

/// What tells a new song from the one so far: how far the mean of the newest [`NOW`] summaries is from that of those `so_far`, value by
/// value; how much each value varied among those (a restless song is not another one); how near the newest are to the nearest of those
/// (a part that comes back is not another song, either); and how many there were. `row` gives the summaries in order, the newest begin at
/// `now`; `each` takes the [`comparison_len`] values in order.
pub fn compare<'a>(
    row: impl Fn(usize) -> &'a [f32],
    so_far: Range<usize>,
    now: usize,
    mut each: impl FnMut(f32),
) {
    let len = row(now).len();
    for i in 0..len {
        each((mean(&row, now..now + NOW, i) - mean(&row, so_far.clone(), i)).abs());
    }
    for i in 0..len {
        let centre = mean(&row, so_far.clone(), i);
        let squares = so_far.clone().map(|k| (row(k)[i] - centre).powi(2));
        each((squares.sum::<f32>() / so_far.len() as f32).sqrt());
    }
    each(nearest(&row, so_far.clone(), now));
    each(so_far.len() as f32);
}

/// Mean of value `i` over summaries.
fn mean<'a>(row: impl Fn(usize) -> &'a [f32], of: Range<usize>, i: usize) -> f32 {
    let n = of.len() as f32;
    of.map(|k| row(k)[i]).sum::<f32>() / n
}

/// How far the mean of the newest summaries is from that of those `so_far`: the mean over all values of the absolute difference.
fn distance<'a>(row: impl Fn(usize) -> &'a [f32], so_far: Range<usize>, now: usize) -> f32 {
    let len = row(now).len();
    let differences =
        (0..len).map(|i| (mean(&row, now..now + NOW, i) - mean(&row, so_far.clone(), i)).abs());
    differences.sum::<f32>() / len.max(1) as f32
}

/// How far the newest summaries are from the nearest of those `heard`: the mean over all values of the absolute difference.
fn nearest<'a>(row: impl Fn(usize) -> &'a [f32], heard: Range<usize>, now: usize) -> f32 {
    let len = row(now).len();
    let distance = |k: usize| {
        let differences = (0..len).map(|i| (row(k)[i] - mean(&row, now..now + NOW, i)).abs());
        differences.sum::<f32>() / len.max(1) as f32
    };
    heard.map(distance).fold(f32::INFINITY, f32::min)
}

/// Which summaries are compared after `end` of a stream whose song began at `since`: those so far, and where the newest begin. `None`
/// while too little was heard of the song.
pub fn compared(since: usize, end: usize) -> Option<(Range<usize>, usize)> {
    let now = end.checked_sub(NOW)?;
    let before = now.checked_sub(BETWEEN)?;
    let so_far = since.max(before.saturating_sub(BEFORE))..before;
    (so_far.len() >= FEWEST).then_some((so_far, now))
}

/// What a difference is measured with.
#[derive(Clone, Debug)]
enum Measure {
    /// A logistic layer on what [`compare`] gives of the first `len` values of each summary, fitted on spliced streams: the tensors
    /// `trust.change.weight` (shape `[comparison_len(len)]`, or the differences alone) and `trust.change.bias` (shape `[1]`).
    Fitted {
        weight: Vec<f32>,
        bias: f32,
        len: usize,
    },
    /// The distance in units of the usual spread, where the model file has no such layer.
    Spread,
}

/// Compares the newest seconds with those before, in the trunk's own features.
///
/// It is fed one summary per hop (shape `[summary_len]`, see [`crate::network::Scored::recent`]). What counts is the
/// difference between the mean of the newest and the mean of the earlier ones.
#[derive(Clone, Debug)]
pub struct ChangeDetector {
    summaries: VecDeque<Vec<f32>>,
    /// How many of them are of the song that plays.
    of_song: usize,
    measure: Measure,
    spare: Vec<Vec<f32>>,
}

impl ChangeDetector {
    /// A detector that has heard nothing, with the layer that `model` brings.
    pub fn new(model: &Model) -> Self {
        let layer = model
            .trust("change.weight")
            .zip(model.trust("change.bias"))
            .map(|(weight, bias)| (weight.to_f32(), bias.to_f32()));
        let measure = match layer {
            Some((weight, bias)) if bias.len() == 1 => {
                let whole = summary_len(model);
                let fits = weight.len() == comparison_len(whole);
                Measure::Fitted {
                    weight,
                    bias: bias[0],
                    len: if fits { whole } else { top_len(model) },
                }
            }
            _ => Measure::Spread,
        };
        Self::with(measure, summary_len(model))
    }

    /// All memory is allocated here.
    fn with(measure: Measure, summary_len: usize) -> Self {
        Self {
            summaries: VecDeque::with_capacity(MEMORY + 1),
            of_song: 0,
            measure,
            spare: (0..=MEMORY)
                .map(|_| Vec::with_capacity(summary_len))
                .collect(),
        }
    }

    /// Takes the summary of the newest audio and tells how much it differs: above 0 is a change. `None` while too
    /// little was heard.
    pub fn push(&mut self, summary: &[f32]) -> Option<f32> {
        let mut row = self.spare.pop().unwrap_or_default();
        row.clear();
        row.extend_from_slice(summary);
        self.summaries.push_back(row);
        self.of_song += 1;
        if self.summaries.len() > MEMORY
            && let Some(oldest) = self.summaries.pop_front()
        {
            self.spare.push(oldest);
        }
        let end = self.summaries.len();
        let (so_far, now) = compared(end.saturating_sub(self.of_song), end)?;
        let row = |k: usize| self.summaries[k].as_slice();
        let len = summary.len();
        let familiar = FAMILIAR * distance(row, so_far.clone(), now);
        if nearest(row, 0..so_far.end, now) < familiar {
            return Some(f32::NEG_INFINITY);
        }
        match &self.measure {
            Measure::Fitted { weight, bias, len } => {
                let mut weights = weight.iter();
                let mut sum = *bias;
                let narrow = |k: usize| &row(k)[..(*len).min(summary.len())];
                compare(narrow, so_far, now, |value| {
                    sum += weights.next().map_or(0.0, |weight| weight * value);
                });
                Some(sum)
            }
            Measure::Spread => {
                let (mut distance, mut spread, mut i) = (0.0_f32, 0.0_f32, 0);
                compare(row, so_far, now, |value| {
                    if i < len {
                        distance += value.powi(2);
                    } else if i < 2 * len {
                        spread += value.powi(2);
                    }
                    i += 1;
                });
                Some((distance / spread.max(1e-9)).sqrt() - THRESHOLD)
            }
        }
    }

    /// Is a difference of this size a change?
    pub fn is_change(&self, difference: Option<f32>) -> bool {
        difference.is_some_and(|difference| difference > 0.0)
    }

    /// Another song seems to begin: what was heard is remembered, but it is not the song so far.
    pub fn song_changed(&mut self) {
        self.of_song = 0;
    }

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        while let Some(row) = self.summaries.pop_front() {
            self.spare.push(row);
        }
        self.of_song = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Summaries around `centre` that wander by up to `spread`.
    fn run(detector: &mut ChangeDetector, centre: f32, spread: f32, n: usize) -> bool {
        let mut changed = false;
        for i in 0..n {
            let wander = |k: usize| centre + spread * (((i * 7 + k * 3) % 11) as f32 / 5.0 - 1.0);
            let summary: Vec<f32> = (0..8).map(wander).collect();
            let difference = detector.push(&summary);
            if detector.is_change(difference) {
                changed = true;
                detector.song_changed();
            }
        }
        changed
    }

    #[test]
    fn a_wandering_song_is_one_song_and_another_is_a_change() {
        let fitted = Measure::Fitted {
            weight: vec![0.5; 8],
            bias: -8.0,
            len: 8,
        };
        for measure in [Measure::Spread, fitted] {
            let mut detector = ChangeDetector::with(measure, 8);
            assert!(!run(&mut detector, 0.0, 1.0, 40));
            assert!(run(&mut detector, 8.0, 1.0, 4));
            assert!(!run(&mut detector, 8.0, 1.0, 40));
        }
    }

    #[test]
    fn a_comparison_holds_differences_spread_nearest_and_number() {
        let rows = [[1.0, 4.0], [3.0, 4.0], [9.0, 9.0], [5.0, 1.0], [7.0, 1.0]];
        let mut values = Vec::new();
        compare(|k| rows[k].as_slice(), 0..2, 3, |value| values.push(value));
        // So far [2, 4] and spread [1, 0]; now [6, 1], which is 4 and 3 away, and nearest to [3, 4].
        assert_eq!(values, [4.0, 3.0, 1.0, 0.0, 3.0, 2.0]);
        assert_eq!(values.len(), comparison_len(2));
    }

    #[test]
    fn a_part_that_comes_back_is_no_other_song() {
        // Half of the way between both parts, where one look holds some of each, is not enough.
        let fitted = Measure::Fitted {
            weight: vec![0.5; 8],
            bias: -20.0,
            len: 8,
        };
        let mut detector = ChangeDetector::with(fitted, 8);
        assert!(run(&mut detector, 0.0, 1.0, 20) | run(&mut detector, 8.0, 1.0, 20));
        assert!(
            !run(&mut detector, 0.0, 1.0, 12),
            "heard half a minute before"
        );
        assert!(run(&mut detector, -9.0, 1.0, 8), "never heard");
        detector.reset();
        assert!(!run(&mut detector, 8.0, 1.0, 20));
        assert!(run(&mut detector, 0.0, 1.0, 8), "what was forgotten is new");
    }

    #[test]
    fn a_song_is_compared_with_itself_alone() {
        assert_eq!(compared(10, 10 + FEWEST + BETWEEN + NOW - 1), None);
        let (so_far, now) = compared(10, 40).expect("enough was heard");
        assert_eq!(so_far, 40 - NOW - BETWEEN - BEFORE..40 - NOW - BETWEEN);
        assert_eq!(now, 38);
        assert_eq!(compared(30, 40).expect("enough").0, 30..36);
    }

    #[test]
    fn a_restless_song_is_told_from_another_one_by_the_fitted_spread() {
        let mut weight = vec![0.5; 8];
        weight.extend([-0.5; 8]);
        let fitted = Measure::Fitted {
            weight,
            bias: -8.0,
            len: 8,
        };
        let mut detector = ChangeDetector::with(fitted, 8);
        assert!(!run(&mut detector, 0.0, 12.0, 40));
        assert!(run(&mut detector, 30.0, 12.0, 4));
    }

    #[test]
    fn too_little_tells_nothing() {
        let mut detector = ChangeDetector::with(Measure::Spread, 8);
        for _ in 0..FEWEST + BETWEEN + NOW - 1 {
            assert_eq!(detector.push(&[0.0; 4]), None);
        }
        assert!(detector.push(&[1.0; 4]).is_some());
    }
}
