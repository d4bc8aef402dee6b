//! The last ten minutes, for the editor's strip.

use std::collections::VecDeque;

use genrescope::decision::{Readout, State};

use crate::song::SongTime;

/// How far back the strip reaches, in seconds.
pub const HISTORY_S: f64 = 600.0;

/// Most spans that are kept, whatever the hop: one a second.
const MAX_SPANS: usize = 600;

/// What was shown from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Stream position in seconds.
    pub start: f64,
    /// Stream position in seconds.
    pub end: f64,
    /// The genre that was shown, if any.
    pub genre: Option<usize>,
    /// Its score.
    pub confidence: f32,
    /// Why there was none, if there was none.
    pub state: State,
    /// Where the host's song stood at the end.
    pub song: Option<SongTime>,
}

impl Span {
    /// Where the song stood at a position of the stream within this span.
    pub fn song_at(&self, at: f64) -> Option<SongTime> {
        self.song.map(|song| song.earlier(self.end - at))
    }
}

/// Spans in order, the newest last.
#[derive(Clone, Debug, Default)]
pub struct History {
    spans: VecDeque<Span>,
}

impl History {
    /// Appends what `readout` says about the time since the one before, at whose end the host's
    /// song stood at `song`.
    pub fn push(&mut self, readout: &Readout, song: Option<SongTime>) {
        let end = readout.position.0;
        let start = match self.spans.back() {
            Some(last) if last.end < end => last.end,
            // The same moment told once more, after hold or reset.
            Some(last) if last.end == end => {
                let start = last.start;
                self.spans.pop_back();
                start
            }
            // A new stream begins at 0 again.
            Some(_) => {
                self.spans.clear();
                0.0
            }
            None => 0.0,
        };
        if self.spans.len() == MAX_SPANS {
            self.spans.pop_front();
        }
        self.spans.push_back(Span {
            start: start.max(end - HISTORY_S),
            end,
            genre: readout.genre,
            confidence: readout.confidence,
            state: readout.state,
            song,
        });
        while self
            .spans
            .front()
            .is_some_and(|span| span.end < end - HISTORY_S)
        {
            self.spans.pop_front();
        }
    }

    /// Forgets everything.
    pub fn clear(&mut self) {
        self.spans.clear();
    }

    /// The spans, oldest first.
    pub fn iter(&self) -> impl DoubleEndedIterator<Item = &Span> {
        self.spans.iter()
    }
}

#[cfg(test)]
mod tests {
    use genrescope::{genre::Scores, units::Seconds};

    use super::*;

    fn at(position: f64) -> Readout {
        let scores = Scores::uniform(2);
        Readout {
            state: State::Live,
            reason: None,
            genre: Some(0),
            confidence: 0.5,
            scores,
            frame_scores: scores,
            music: None,
            level_dbfs: -20.0,
            position: Seconds(position),
            heard: Seconds(29.12),
            frames: 1,
            seq: 1,
            changed: false,
        }
    }

    #[test]
    fn spans_meet_and_reach_back_ten_minutes() {
        let mut history = History::default();
        for second in (2..=900).step_by(2) {
            history.push(&at(f64::from(second)), None);
        }
        let spans: Vec<_> = history.iter().collect();
        assert!(spans.windows(2).all(|pair| pair[0].end == pair[1].start));
        assert_eq!(spans[0].end, 300.0);
        assert_eq!(spans[spans.len() - 1].end, 900.0);
    }

    #[test]
    fn a_moment_that_is_told_again_keeps_what_was_before() {
        let mut history = History::default();
        history.push(&at(2.0), None);
        history.push(&at(4.0), None);
        // Hold and reset tell the same moment once more.
        let mut again = at(4.0);
        again.genre = None;
        history.push(&again, None);
        let spans: Vec<_> = history.iter().map(|s| (s.start, s.end, s.genre)).collect();
        assert_eq!(spans, [(0.0, 2.0, Some(0)), (2.0, 4.0, None)]);
    }

    #[test]
    fn a_new_stream_starts_over() {
        let mut history = History::default();
        history.push(&at(50.0), None);
        history.push(&at(2.0), None);
        assert_eq!(history.iter().count(), 1);
        assert_eq!(
            history.iter().next().map(|s| (s.start, s.end)),
            Some((0.0, 2.0))
        );
    }

    #[test]
    fn its_size_is_bounded() {
        let mut history = History::default();
        for step in 1..10_000 {
            history.push(&at(f64::from(step) * 0.01), None);
        }
        assert!(history.iter().count() <= MAX_SPANS);
    }
}
