//! Has another song begun?

use std::{collections::VecDeque, ops::Range};

use crate::network::{Model, summary_len, top_len};

pub use crate::network::comparison_len;

/// Summaries of the newest audio that stand for "now".
const NOW: usize = 2;

/// Summaries between "now" and "so far" that are left out: a summary spans three steps, so
/// neighbours overlap, and in a crossfade both songs are heard.
const BETWEEN: usize = 2;

/// Summaries before them that stand for "so far", at most.
const BEFORE: usize = 12;

/// Fewest summaries "so far" that a change can be told from.
const FEWEST: usize = 5;

/// Summaries that are kept, of the song so far and of what came before it: two minutes with the
/// CNN, three with the CRNN. A part that was heard within them is not another song.
const MEMORY: usize = 88;

/// Without a fitted head, a change is told when now and so far differ by this many times the spread
/// within so far.
pub const THRESHOLD: f32 = 3.0;

/// A part whose nearest summary among those kept is nearer than this share of its distance from the
/// mean so far was heard before: it is no other song, however it differs. At 0.6 more songs are
/// taken for two, at 0.78 more crossfades are missed (docs/log/015-constants.md).
const FAMILIAR: f32 = 0.66;

/// What tells a new song from the one so far: how far the mean of the newest two summaries is from
/// that of those so far, value by value; how much each value varied among those (a restless song is
/// not another one); how near the newest are to the nearest of those (a part that comes back is not
/// another song, either); and how many there were.
#[derive(Clone, Debug)]
pub struct Comparison {
    /// Mean of the newest, shape `[summary_len]`.
    newest: Vec<f32>,
    /// Mean of those so far.
    centre: Vec<f32>,
    /// Standard deviation of those so far.
    spread: Vec<f32>,
    /// How many those are.
    n: usize,
    /// How far the newest are from the nearest of them.
    nearest: f32,
}

impl Comparison {
    /// For summaries of length `summary_len`; all memory is allocated here.
    pub fn new(summary_len: usize) -> Self {
        let zeros = vec![0.0; summary_len];
        Self {
            newest: zeros.clone(),
            centre: zeros.clone(),
            spread: zeros,
            n: 0,
            nearest: f32::INFINITY,
        }
    }

    /// Looks at the summaries that `row` gives in order: those `so_far`, and the newest from `now`
    /// on. Each holds at least `summary_len` values.
    pub fn look<'a>(&mut self, row: impl Fn(usize) -> &'a [f32], so_far: Range<usize>, now: usize) {
        mean(&row, now..now + NOW, &mut self.newest);
        mean(&row, so_far.clone(), &mut self.centre);
        self.spread.fill(0.0);
        self.n = so_far.len();
        self.nearest = self.nearest_of(&row, so_far.clone());
        for k in so_far {
            let values = self.centre.iter().zip(row(k));
            for (spread, (centre, value)) in self.spread.iter_mut().zip(values) {
                *spread += (value - centre).powi(2);
            }
        }
        for spread in &mut self.spread {
            *spread = (*spread / self.n as f32).sqrt();
        }
    }

    /// How far the newest are from those so far: the mean over all values of the absolute
    /// difference.
    fn distance(&self) -> f32 {
        apart(&self.newest, &self.centre)
    }

    /// How far the newest are from the nearest of the summaries `heard`.
    fn nearest_of<'a>(&self, row: impl Fn(usize) -> &'a [f32], heard: Range<usize>) -> f32 {
        heard
            .map(|k| apart(&self.newest, row(k)))
            .fold(f32::INFINITY, f32::min)
    }

    /// The [`comparison_len`] values, in order, of the last look.
    pub fn values(&self) -> impl Iterator<Item = f32> {
        let both = self.newest.iter().zip(&self.centre);
        both.map(|(newest, centre)| (newest - centre).abs())
            .chain(self.spread.iter().copied())
            .chain([self.nearest, self.n as f32])
    }
}

/// Mean of summaries, value by value.
fn mean<'a>(row: impl Fn(usize) -> &'a [f32], of: Range<usize>, out: &mut [f32]) {
    out.fill(0.0);
    let n = of.len() as f32;
    for k in of {
        for (sum, value) in out.iter_mut().zip(row(k)) {
            *sum += value;
        }
    }
    for sum in out {
        *sum /= n;
    }
}

/// Mean absolute difference over the values of `a`. Eight sums side by side, because every step
/// compares with two minutes of them.
fn apart(a: &[f32], b: &[f32]) -> f32 {
    let b = &b[..a.len()];
    let (mut sums, eights) = ([0.0_f32; 8], a.len() / 8 * 8);
    for (a, b) in a.chunks_exact(8).zip(b.chunks_exact(8)) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += (a - b).abs();
        }
    }
    let rest = a[eights..].iter().zip(&b[eights..]);
    let rest: f32 = rest.map(|(a, b)| (a - b).abs()).sum();
    (sums.iter().sum::<f32>() + rest) / a.len().max(1) as f32
}

/// Which summaries are compared after `end` of a stream whose song began at `since`: those so far,
/// and where the newest begin. `None` while too little was heard of the song.
pub fn compared(since: usize, end: usize) -> Option<(Range<usize>, usize)> {
    let now = end.checked_sub(NOW)?;
    let before = now.checked_sub(BETWEEN)?;
    let so_far = since.max(before.saturating_sub(BEFORE))..before;
    (so_far.len() >= FEWEST).then_some((so_far, now))
}

/// What a difference is measured with.
#[derive(Clone, Debug)]
enum Measure {
    /// A logistic layer on what a [`Comparison`] gives, fitted on spliced streams: the tensors
    /// `trust.change.weight` (shape `[comparison_len(len)]`, or the differences alone) and
    /// `trust.change.bias` (shape `[1]`).
    Fitted {
        weight: Vec<f32>,
        bias: f32,
        /// Where the layer weighs only the first values of each summary.
        narrow: Option<Comparison>,
    },
    /// The distance in units of the usual spread, where the model file has no such layer.
    Spread,
}

/// Compares the newest seconds with those before, in the trunk's own features.
///
/// It is fed one summary per hop (shape `[summary_len]`, see [`crate::network::Scored::recent`]).
/// What counts is the difference between the mean of the newest and the mean of the earlier ones.
#[derive(Clone, Debug)]
pub struct ChangeDetector {
    summaries: VecDeque<Vec<f32>>,
    /// How many of them are of the song that plays.
    of_song: usize,
    measure: Measure,
    whole: Comparison,
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
                    narrow: (!fits).then(|| Comparison::new(top_len(model))),
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
            whole: Comparison::new(summary_len),
            spare: (0..=MEMORY)
                .map(|_| Vec::with_capacity(summary_len))
                .collect(),
        }
    }

    /// Takes the summary of the newest audio, shape `[summary_len]`, and tells how much it differs:
    /// above 0 is a change, unless [`Rules`](super::Rules) ask for more. `None` while too little
    /// was heard.
    pub fn push(&mut self, summary: &[f32]) -> Option<f32> {
        let mut row = self.spare.pop().unwrap_or_default();
        row.clear();
        row.extend_from_slice(summary);
        row.resize(self.whole.newest.len(), 0.0);
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
        self.whole.look(row, so_far.clone(), now);
        let before = self.whole.nearest_of(row, 0..so_far.start);
        if before.min(self.whole.nearest) < FAMILIAR * self.whole.distance() {
            return Some(f32::NEG_INFINITY);
        }
        match &mut self.measure {
            Measure::Fitted {
                weight,
                bias,
                narrow,
            } => {
                let seen = if let Some(narrow) = narrow {
                    narrow.look(row, so_far, now);
                    narrow
                } else {
                    &self.whole
                };
                let weighed = seen.values().zip(&*weight);
                Some(*bias + weighed.map(|(value, weight)| weight * value).sum::<f32>())
            }
            Measure::Spread => {
                let squares = |values: &[f32]| values.iter().map(|v| v * v).sum::<f32>();
                let apart = self.whole.newest.iter().zip(&self.whole.centre);
                let distance: f32 = apart.map(|(a, b)| (a - b).powi(2)).sum();
                let spread = squares(&self.whole.spread);
                Some((distance / spread.max(1e-9)).sqrt() - THRESHOLD)
            }
        }
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

    /// A layer that weighs whole summaries.
    fn fitted(weight: Vec<f32>, bias: f32) -> Measure {
        Measure::Fitted {
            weight,
            bias,
            narrow: None,
        }
    }

    /// Summaries around `centre` that wander by up to `spread`.
    fn run(detector: &mut ChangeDetector, centre: f32, spread: f32, n: usize) -> bool {
        let mut changed = false;
        for i in 0..n {
            let wander = |k: usize| centre + spread * (((i * 7 + k * 3) % 11) as f32 / 5.0 - 1.0);
            let summary: Vec<f32> = (0..8).map(wander).collect();
            let difference = detector.push(&summary);
            if difference.is_some_and(|difference| difference > 0.0) {
                changed = true;
                detector.song_changed();
            }
        }
        changed
    }

    #[test]
    fn a_wandering_song_is_one_song_and_another_is_a_change() {
        let layer = fitted(vec![0.5; 8], -8.0);
        for measure in [Measure::Spread, layer] {
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
        let mut comparison = Comparison::new(2);
        comparison.look(|k| rows[k].as_slice(), 0..2, 3);
        values.extend(comparison.values());
        // So far [2, 4] and spread [1, 0]; now [6, 1], which is 4 and 3 away, and nearest to [3,
        // 4].
        assert_eq!(values, [4.0, 3.0, 1.0, 0.0, 3.0, 2.0]);
        assert_eq!(values.len(), comparison_len(2));
    }

    #[test]
    fn a_part_that_comes_back_is_no_other_song() {
        // Half of the way between both parts, where one look holds some of each, is not enough.
        let layer = fitted(vec![0.5; 8], -20.0);
        let mut detector = ChangeDetector::with(layer, 8);
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
        let layer = fitted(weight, -8.0);
        let mut detector = ChangeDetector::with(layer, 8);
        assert!(!run(&mut detector, 0.0, 12.0, 40));
        assert!(run(&mut detector, 30.0, 12.0, 4));
    }

    #[test]
    fn too_little_tells_nothing() {
        let mut detector = ChangeDetector::with(Measure::Spread, 4);
        for _ in 0..FEWEST + BETWEEN + NOW - 1 {
            assert_eq!(detector.push(&[0.0; 4]), None);
        }
        assert!(detector.push(&[1.0; 4]).is_some());
    }
}
