//! Has another song begun?

use std::collections::VecDeque;

/// Summaries of the newest audio that stand for "now".
const NOW: usize = 2;

/// Summaries before them that stand for "so far", at most.
const BEFORE: usize = 12;

/// Fewest summaries "so far" that a change can be told from.
const FEWEST: usize = 5;

/// A change is told when now and so far differ by this many times the spread within so far.
pub const THRESHOLD: f32 = 3.0;

/// Compares the newest seconds with those before, in the trunk's own features.
///
/// It is fed one summary per hop (shape `[summary_len]`, see [`crate::network::Scored::recent`]). What counts is the
/// distance between the mean of the newest and the mean of the earlier ones, in units of how far the
/// earlier ones usually lie from their own mean: music that varies much must change more.
#[derive(Clone, Debug)]
pub struct ChangeDetector {
    summaries: VecDeque<Vec<f32>>,
    threshold: f32,
    spare: Vec<Vec<f32>>,
}

impl ChangeDetector {
    /// A detector that has heard nothing; `threshold` in units of the usual spread.
    pub fn new(threshold: f32) -> Self {
        Self {
            summaries: VecDeque::with_capacity(NOW + BEFORE + 1),
            threshold,
            spare: Vec::new(),
        }
    }

    /// Takes the summary of the newest audio and tells how much it differs, in units of the usual spread; `None`
    /// while too little was heard.
    pub fn push(&mut self, summary: &[f32]) -> Option<f32> {
        let mut row = self
            .spare
            .pop()
            .unwrap_or_else(|| Vec::with_capacity(summary.len()));
        row.clear();
        row.extend_from_slice(summary);
        self.summaries.push_back(row);
        if self.summaries.len() > NOW + BEFORE
            && let Some(oldest) = self.summaries.pop_front()
        {
            self.spare.push(oldest);
        }
        let before = self.summaries.len().checked_sub(NOW)?;
        if before < FEWEST {
            return None;
        }
        let len = summary.len();
        let mean = |from: usize, to: usize, i: usize| {
            self.summaries
                .range(from..to)
                .map(|row| row[i])
                .sum::<f32>()
                / (to - from) as f32
        };
        let (mut distance, mut spread) = (0.0_f32, 0.0_f32);
        for i in 0..len {
            let so_far = mean(0, before, i);
            let now = mean(before, before + NOW, i);
            distance += (now - so_far).powi(2);
            spread += self
                .summaries
                .range(..before)
                .map(|row| (row[i] - so_far).powi(2))
                .sum::<f32>()
                / before as f32;
        }
        Some((distance / spread.max(1e-9)).sqrt())
    }

    /// Is a difference of this size a change?
    pub fn is_change(&self, difference: Option<f32>) -> bool {
        difference.is_some_and(|difference| difference > self.threshold)
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
        let mut detector = ChangeDetector::new(THRESHOLD);
        assert!(!run(&mut detector, 0.0, 1.0, 40));
        assert!(run(&mut detector, 8.0, 1.0, 4));
        assert!(!run(&mut detector, 8.0, 1.0, 40));
    }

    #[test]
    fn too_little_tells_nothing() {
        let mut detector = ChangeDetector::new(THRESHOLD);
        for _ in 0..FEWEST + NOW - 1 {
            assert_eq!(detector.push(&[0.0; 4]), None);
        }
        assert!(detector.push(&[1.0; 4]).is_some());
    }
}
