//! Averages of frame scores over time (paper, sections 4.3 and 5).

use crate::{
    genre::{MAX_LABELS, Scores},
    units::Seconds,
};

/// Over which frames the average runs.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Span {
    /// Older frames fade with this time constant: after it they weigh 1/e. Zero shows every frame
    /// as it is.
    Exponential(Seconds),
    /// All frames since the last reset weigh the same: the paper's song score.
    Cumulative,
    /// The frames of the newest stretch of this length weigh the same.
    Sliding(Seconds),
}

/// How frame scores become one.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Mean {
    /// The mean of the scores (paper, section 4.3).
    #[default]
    Arithmetic,
    /// The normalised product of the scores (named as future work in the paper, section 6): one
    /// confident "no" weighs more.
    Geometric,
}

/// Below this a score is not told from zero, so that one zero does not veto a label forever.
const SMALLEST_SCORE: f32 = 1e-6;

/// Most frames that a [`Span::Sliding`] looks back over; more is as good as this many.
const MAX_SLIDING: usize = 128;

/// A running average of frame scores. Allocates only when it is made.
#[derive(Clone, Debug)]
pub struct RunningAverage {
    span: Span,
    mean: Mean,
    n_labels: usize,
    /// Weighted sums of the scores, and of their logarithms: the mean can be changed at any time.
    sums: [f64; MAX_LABELS],
    log_sums: [f64; MAX_LABELS],
    weight: f64,
    frames: u32,
    last: Option<Seconds>,
    /// Newest frames, for sliding spans alone.
    history: std::collections::VecDeque<(Seconds, Scores)>,
}

impl RunningAverage {
    /// An average over nothing yet.
    pub fn new(n_labels: usize, span: Span, mean: Mean) -> Self {
        Self {
            span,
            mean,
            n_labels,
            sums: [0.0; MAX_LABELS],
            log_sums: [0.0; MAX_LABELS],
            weight: 0.0,
            frames: 0,
            last: None,
            history: std::collections::VecDeque::with_capacity(MAX_SLIDING),
        }
    }

    /// Changes the span; what was averaged so far stays.
    pub fn set_span(&mut self, span: Span) {
        self.span = span;
    }

    /// Changes the mean, of what was averaged so far too.
    pub fn set_mean(&mut self, mean: Mean) {
        self.mean = mean;
    }

    /// Takes the scores of the frame that ends at `position`, a whole or a part of a frame
    /// (`weight` in 0..=1).
    pub fn add(&mut self, position: Seconds, scores: &Scores, weight: f64) {
        let elapsed = self.last.map_or(0.0, |last| (position.0 - last.0).max(0.0));
        self.last = Some(position);
        self.frames = self.frames.saturating_add(1);
        match self.span {
            Span::Sliding(length) => {
                if self.history.len() == MAX_SLIDING {
                    self.history.pop_front();
                }
                self.history.push_back((position, *scores));
                while self
                    .history
                    .front()
                    .is_some_and(|(p, _)| position.0 - p.0 >= length.0.max(f64::MIN_POSITIVE))
                    && self.history.len() > 1
                {
                    self.history.pop_front();
                }
                self.sums = [0.0; MAX_LABELS];
                self.log_sums = [0.0; MAX_LABELS];
                self.weight = 0.0;
                for i in 0..self.history.len() {
                    let scores = self.history[i].1;
                    self.accumulate(&scores, 1.0);
                }
            }
            Span::Exponential(time) => {
                let keep = if time.0 > 0.0 {
                    (-elapsed / time.0).exp()
                } else {
                    0.0
                };
                let sums = self.sums.iter_mut().zip(&mut self.log_sums);
                for (sum, log_sum) in sums.take(self.n_labels) {
                    *sum *= keep;
                    *log_sum *= keep;
                }
                self.weight *= keep;
                self.accumulate(scores, weight);
            }
            Span::Cumulative => self.accumulate(scores, weight),
        }
    }

    fn accumulate(&mut self, scores: &Scores, weight: f64) {
        let sums = self.sums.iter_mut().zip(&mut self.log_sums);
        for ((sum, log_sum), &score) in sums.zip(scores.as_slice()) {
            *sum += weight * f64::from(score);
            *log_sum += weight * f64::from(score.max(SMALLEST_SCORE)).ln();
        }
        self.weight += weight;
    }

    /// The average, or `None` before the first frame.
    pub fn scores(&self) -> Option<Scores> {
        if self.weight <= 0.0 {
            return None;
        }
        let sums = match self.mean {
            Mean::Arithmetic => &self.sums,
            Mean::Geometric => &self.log_sums,
        };
        let mut values = [0.0_f32; MAX_LABELS];
        for (value, sum) in values.iter_mut().zip(&sums[..self.n_labels]) {
            *value = (sum / self.weight) as f32;
        }
        Some(match self.mean {
            Mean::Arithmetic => Scores::new(&values[..self.n_labels]),
            Mean::Geometric => Scores::softmax(&values[..self.n_labels], 1.0),
        })
    }

    /// Frames taken since the last reset.
    pub fn frames(&self) -> u32 {
        self.frames
    }

    /// Begins anew, but what was averaged so far goes on to count as one frame of this weight, in
    /// 0..=1, at most. A sliding average forgets everything.
    pub fn fade_to(&mut self, weight: f64) {
        if weight <= 0.0 || self.weight <= 0.0 || matches!(self.span, Span::Sliding(_)) {
            self.reset();
            return;
        }
        let keep = (weight / self.weight).min(1.0);
        for sum in self.sums.iter_mut().chain(&mut self.log_sums) {
            *sum *= keep;
        }
        self.weight *= keep;
        self.frames = 0;
    }

    /// Forgets all frames.
    pub fn reset(&mut self) {
        self.sums = [0.0; MAX_LABELS];
        self.log_sums = [0.0; MAX_LABELS];
        self.weight = 0.0;
        self.frames = 0;
        self.last = None;
        self.history.clear();
    }
}

/// Song score of equally weighted frames: arithmetic or geometric mean. `None` without frames.
pub fn mean_of<'a>(frames: impl IntoIterator<Item = &'a Scores>, mean: Mean) -> Option<Scores> {
    let mut frames = frames.into_iter().peekable();
    let n_labels = frames.peek()?.as_slice().len();
    let mut average = RunningAverage::new(n_labels, Span::Cumulative, mean);
    for scores in frames {
        average.add(Seconds(0.0), scores, 1.0);
    }
    average.scores()
}

/// Majority vote: the share of frames that each label wins (the paper's S9 in its comparison of
/// averaging with voting). Ties are broken by the mean scores, which break in label order. `None`
/// without frames.
pub fn vote<'a>(frames: impl IntoIterator<Item = &'a Scores> + Clone) -> Option<Scores> {
    let mean = mean_of(frames.clone(), Mean::Arithmetic)?;
    let n_labels = mean.as_slice().len();
    let mut votes = [0.0_f32; MAX_LABELS];
    let mut n_frames = 0.0_f32;
    for scores in frames {
        votes[scores.top().0] += 1.0;
        n_frames += 1.0;
    }
    // Half a vote is shared out by the means, less than any whole vote, so that it only ever breaks
    // ties.
    let mut values = [0.0_f32; MAX_LABELS];
    for ((value, &count), &score) in values
        .iter_mut()
        .zip(&votes[..n_labels])
        .zip(mean.as_slice())
    {
        *value = (count + 0.5 * score) / (n_frames + 0.5);
    }
    Some(Scores::new(&values[..n_labels]))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn scores(values: &[f32]) -> Scores {
        Scores::new(values)
    }

    #[test]
    fn exponential_average_fades_with_its_time_constant() {
        let mut average =
            RunningAverage::new(2, Span::Exponential(Seconds(10.0)), Mean::Arithmetic);
        assert_eq!(average.scores(), None);
        average.add(Seconds(0.0), &scores(&[1.0, 0.0]), 1.0);
        average.add(Seconds(10.0), &scores(&[0.0, 1.0]), 1.0);
        let first = average.scores().unwrap().as_slice()[0];
        let e = std::f32::consts::E;
        assert!((first - (1.0 / e) / (1.0 + 1.0 / e)).abs() < 1e-6);
    }

    #[test]
    fn what_fades_goes_on_to_count_as_little_as_asked() {
        let mut average = RunningAverage::new(2, Span::Cumulative, Mean::Arithmetic);
        for at in 0..20 {
            average.add(Seconds(f64::from(at)), &scores(&[1.0, 0.0]), 1.0);
        }
        average.fade_to(0.25);
        assert_eq!(average.scores().unwrap().as_slice(), [1.0, 0.0]);
        average.add(Seconds(20.0), &scores(&[0.0, 1.0]), 0.75);
        assert_eq!(average.scores().unwrap().as_slice(), [0.25, 0.75]);
        average.fade_to(10.0);
        assert_eq!(
            average.scores().unwrap().as_slice(),
            [0.25, 0.75],
            "nothing counts for more than it did"
        );
        average.fade_to(0.0);
        assert_eq!(average.scores(), None);
    }

    #[test]
    fn zero_time_constant_shows_each_frame() {
        let mut average = RunningAverage::new(2, Span::Exponential(Seconds(0.0)), Mean::Arithmetic);
        average.add(Seconds(0.0), &scores(&[1.0, 0.0]), 1.0);
        average.add(Seconds(2.0), &scores(&[0.25, 0.75]), 1.0);
        assert_eq!(average.scores().unwrap().as_slice(), [0.25, 0.75]);
    }

    #[test]
    fn cumulative_is_the_papers_song_score() {
        let frames = [
            scores(&[0.9, 0.1]),
            scores(&[0.3, 0.7]),
            scores(&[0.3, 0.7]),
        ];
        let mean = mean_of(&frames, Mean::Arithmetic).unwrap();
        assert!((mean.as_slice()[0] - 0.5).abs() < 1e-6);
        let geometric = mean_of(&frames, Mean::Geometric).unwrap();
        let (a, b) = ((0.9_f32 * 0.3 * 0.3).cbrt(), (0.1_f32 * 0.7 * 0.7).cbrt());
        assert!((geometric.as_slice()[0] - a / (a + b)).abs() < 1e-5);
        let votes = vote(&frames).unwrap();
        assert_eq!(votes.top().0, 1);
        assert_eq!(mean_of([], Mean::Arithmetic), None);
        assert_eq!(vote(&[]), None);
    }

    #[test]
    fn a_vote_is_the_share_of_frames_and_a_little_of_the_mean() {
        let frames = [
            scores(&[0.6, 0.4]),
            scores(&[0.6, 0.4]),
            scores(&[0.1, 0.9]),
        ];
        let vote = vote(&frames).unwrap();
        let expected = [(2.0 + 0.5 * 1.3 / 3.0) / 3.5, (1.0 + 0.5 * 1.7 / 3.0) / 3.5];
        for (share, expected) in vote.as_slice().iter().zip(expected) {
            assert!((share - expected).abs() < 1e-6, "{vote:?}");
        }
    }

    #[test]
    fn what_is_not_to_count_is_forgotten() {
        for (span, kept) in [
            (Span::Exponential(Seconds(20.0)), 0.0),
            (Span::Sliding(Seconds(20.0)), 0.5),
        ] {
            let mut average = RunningAverage::new(2, span, Mean::Arithmetic);
            for at in [1.0, 2.0] {
                average.add(Seconds(at), &scores(&[0.8, 0.2]), 1.0);
            }
            assert_eq!(average.frames(), 2);
            average.fade_to(kept);
            assert_eq!((average.frames(), average.scores()), (0, None));
        }
    }

    #[test]
    fn a_tied_vote_goes_to_the_higher_mean() {
        let frames = [scores(&[0.51, 0.49]), scores(&[0.1, 0.9])];
        assert_eq!(vote(&frames).unwrap().top().0, 1);
    }

    #[test]
    fn the_mean_can_be_changed_on_the_way() {
        let frames = [scores(&[0.9, 0.1]), scores(&[0.3, 0.7])];
        let run = |mean| {
            let mut average = RunningAverage::new(2, Span::Exponential(Seconds(10.0)), mean);
            for (t, frame) in frames.iter().enumerate() {
                average.add(Seconds(t as f64), frame, 1.0);
            }
            average
        };
        let mut changed = run(Mean::Arithmetic);
        changed.set_mean(Mean::Geometric);
        assert_eq!(changed.scores(), run(Mean::Geometric).scores());
        changed.set_mean(Mean::Arithmetic);
        assert_eq!(changed.scores(), run(Mean::Arithmetic).scores());
    }

    #[test]
    fn sliding_forgets_what_is_older() {
        let mut average = RunningAverage::new(2, Span::Sliding(Seconds(4.0)), Mean::Arithmetic);
        for (t, v) in [(0.0, 1.0), (2.0, 1.0), (4.0, 0.0), (6.0, 0.0)] {
            average.add(Seconds(t), &scores(&[v, 1.0 - v]), 1.0);
        }
        assert_eq!(average.scores().unwrap().as_slice(), [0.0, 1.0]);
    }

    #[test]
    fn a_sliding_span_holds_what_is_younger_than_it_is_long() {
        let mut average = RunningAverage::new(2, Span::Sliding(Seconds(10.0)), Mean::Arithmetic);
        for (at, score, expected) in [
            (100.0, 1.0, 1.0),
            (104.0, 0.0, 1.0 / 2.0),
            (109.9, 0.0, 1.0 / 3.0),
            (110.0, 0.0, 0.0),
            (113.0, 1.0, 1.0 / 4.0),
            (150.0, 0.5, 0.5),
        ] {
            average.add(Seconds(at), &scores(&[score, 1.0 - score]), 1.0);
            let mean = average.scores().unwrap().as_slice()[0];
            assert!((mean - expected).abs() < 1e-6, "{at}: {mean}");
        }
    }

    #[test]
    fn the_geometric_mean_fades_and_weighs_as_the_other_does() {
        // Half as much of the first as of the second: by fading, and by its weight.
        let half = Seconds(20.0 * 2.0_f64.ln());
        for (span, second_at, weight) in [
            (Span::Exponential(Seconds(20.0)), half, 1.0),
            (Span::Cumulative, half, 0.5),
        ] {
            let mut average = RunningAverage::new(2, span, Mean::Geometric);
            average.add(Seconds(0.0), &scores(&[0.8, 0.2]), weight);
            average.add(second_at, &scores(&[0.2, 0.8]), 1.0);
            let mean = average.scores().unwrap();
            let ratio = mean.as_slice()[0] / mean.as_slice()[1];
            assert!((ratio - 4.0_f32.powf(-1.0 / 3.0)).abs() < 1e-5, "{ratio}");
        }
    }

    #[test]
    fn a_zero_score_is_no_veto_in_the_geometric_mean() {
        let frames = [scores(&[1.0, 0.0]), scores(&[0.0, 1.0])];
        let mean = mean_of(&frames, Mean::Geometric).unwrap();
        assert!((mean.as_slice()[0] - 0.5).abs() < 1e-6);
    }
}
