//! Has another song begun?

use std::collections::VecDeque;

use crate::network::Model;

pub use crate::network::comparison_len;

/// Summaries of the newest audio that stand for "now".
pub const NOW: usize = 2;

/// Summaries between "now" and "so far" that are left out: a summary spans three steps, so neighbours overlap, and in a
/// crossfade both songs are heard.
pub const BETWEEN: usize = 2;

/// Summaries before them that stand for "so far", at most.
pub const BEFORE: usize = 12;

/// Fewest summaries "so far" that a change can be told from.
pub const FEWEST: usize = 3;

/// Without a fitted head, a change is told when now and so far differ by this many times the spread within so far.
pub const THRESHOLD: f32 = 3.0;

/// What tells a new song from the one so far: how far the mean of the newest [`NOW`] summaries is from that of the first `before`, value by
/// value; how much each value varied before (a restless song is not another one); how near the newest are to the nearest of those before
/// (a part that comes back is not another song, either); and how many there were. `row` gives the summaries in order, the newest begin at
/// `now`; `each` takes the [`comparison_len`] values in order.
pub fn compare<'a>(
    row: impl Fn(usize) -> &'a [f32],
    before: usize,
    now: usize,
    mut each: impl FnMut(f32),
) {
    let mean = |from: usize, to: usize, i: usize| {
        (from..to).map(|k| row(k)[i]).sum::<f32>() / (to - from) as f32
    };
    let newest = |i: usize| mean(now, now + NOW, i);
    let len = row(now).len();
    for i in 0..len {
        each((newest(i) - mean(0, before, i)).abs());
    }
    for i in 0..len {
        let so_far = mean(0, before, i);
        let squares = (0..before).map(|k| (row(k)[i] - so_far).powi(2));
        each((squares.sum::<f32>() / before as f32).sqrt());
    }
    let distance =
        |k: usize| (0..len).map(|i| (row(k)[i] - newest(i)).abs()).sum::<f32>() / len.max(1) as f32;
    each((0..before).map(distance).fold(f32::INFINITY, f32::min));
    each(before as f32);
}

/// What a difference is measured with.
#[derive(Clone, Debug)]
enum Measure {
    /// A logistic layer on what [`compare`] gives, fitted on spliced streams: the tensors `trust.change.weight`
    /// (shape `[2 * summary_len + 2]`, or its first `[summary_len]`) and `trust.change.bias` (shape `[1]`).
    Fitted { weight: Vec<f32>, bias: f32 },
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
            Some((weight, bias)) if bias.len() == 1 => Measure::Fitted {
                weight,
                bias: bias[0],
            },
            _ => Measure::Spread,
        };
        Self::with(measure)
    }

    fn with(measure: Measure) -> Self {
        Self {
            summaries: VecDeque::with_capacity(NOW + BETWEEN + BEFORE + 1),
            measure,
            spare: Vec::new(),
        }
    }

    /// Takes the summary of the newest audio and tells how much it differs: above 0 is a change. `None` while too
    /// little was heard.
    pub fn push(&mut self, summary: &[f32]) -> Option<f32> {
        let mut row = self
            .spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(summary.len()));
        row.clear();
        row.extend_from_slice(summary);
        self.summaries.push_back(row);
        if self.summaries.len() > NOW + BETWEEN + BEFORE
            && let Some(oldest) = self.summaries.pop_front()
        {
            self.spare.push(oldest);
        }
        let now = self.summaries.len().checked_sub(NOW)?;
        let before = now.checked_sub(BETWEEN)?;
        if before < FEWEST {
            return None;
        }
        let row = |k: usize| self.summaries[k].as_slice();
        match &self.measure {
            Measure::Fitted { weight, bias } => {
                let mut sum = *bias;
                // A model may weigh the differences alone.
                let mut weights = weight.iter();
                compare(row, before, now, |value| {
                    sum += weights.next().map_or(0.0, |weight| weight * value);
                });
                Some(sum)
            }
            Measure::Spread => {
                let (mut distance, mut spread) = (0.0_f32, 0.0_f32);
                let (len, mut i) = (summary.len(), 0);
                compare(row, before, now, |value| {
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

    /// Forgets what was heard.
    pub fn reset(&mut self) {
        while let Some(row) = self.summaries.pop_front() {
            self.spare.push(row);
        }
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
                detector.reset();
            }
        }
        changed
    }

    #[test]
    fn a_wandering_song_is_one_song_and_another_is_a_change() {
        let fitted = Measure::Fitted {
            weight: vec![0.5; 8],
            bias: -8.0,
        };
        for measure in [Measure::Spread, fitted] {
            let mut detector = ChangeDetector::with(measure);
            assert!(!run(&mut detector, 0.0, 1.0, 40));
            assert!(run(&mut detector, 8.0, 1.0, 4));
            assert!(!run(&mut detector, 8.0, 1.0, 40));
        }
    }

    #[test]
    fn a_comparison_holds_differences_spread_nearest_and_number() {
        let rows = [[1.0, 4.0], [3.0, 4.0], [9.0, 9.0], [5.0, 1.0], [7.0, 1.0]];
        let mut values = Vec::new();
        compare(|k| rows[k].as_slice(), 2, 3, |value| values.push(value));
        // So far [2, 4] and spread [1, 0]; now [6, 1], which is 4 and 3 away, and nearest to [3, 4].
        assert_eq!(values, [4.0, 3.0, 1.0, 0.0, 3.0, 2.0]);
        assert_eq!(values.len(), comparison_len(2));
    }

    #[test]
    fn a_restless_song_is_told_from_another_one_by_the_fitted_spread() {
        let mut weight = vec![0.5; 8];
        weight.extend([-0.5; 8]);
        let fitted = Measure::Fitted { weight, bias: -8.0 };
        let mut detector = ChangeDetector::with(fitted);
        assert!(!run(&mut detector, 0.0, 12.0, 40));
        assert!(run(&mut detector, 30.0, 12.0, 4));
    }

    #[test]
    fn too_little_tells_nothing() {
        let mut detector = ChangeDetector::with(Measure::Spread);
        for _ in 0..FEWEST + BETWEEN + NOW - 1 {
            assert_eq!(detector.push(&[0.0; 4]), None);
        }
        assert!(detector.push(&[1.0; 4]).is_some());
    }
}
