//! What was heard in the last hour, for the editor's strip, its summary and a table.

pub mod csv;
pub mod file;
pub mod summary;

use std::collections::VecDeque;

use genrescope::decision::{Readout, Reason, State};

use crate::song::SongTime;

/// How far back it reaches, in seconds.
pub const HISTORY_S: f64 = 3600.0;

/// Most spans that are kept, whatever the hop: one a second.
///
/// A span takes 88 bytes and two for each label, so a full history of ten labels takes 0.39 MB and
/// one of 64 labels 0.78 MB; as long as the editor is open, twice that. Silence and talk without a
/// break are one span, so a silent track's history takes next to nothing.
const MAX_SPANS: usize = 3600;

/// A whole score as it is kept.
const WHOLE: f32 = u16::MAX as f32;

/// What was shown from `start` to `end`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Span {
    /// Seconds since the history began.
    pub start: f64,
    /// Seconds since the history began.
    pub end: f64,
    /// The genre that was shown, if any.
    pub genre: Option<usize>,
    /// Its score.
    pub confidence: f32,
    /// What kind of answer it was.
    pub state: State,
    /// Why there was no genre, if there was none.
    pub reason: Option<Reason>,
    /// Where the host's song stood at the end.
    pub song: Option<SongTime>,
}

impl Span {
    /// Where the song stood at a position within this span.
    pub fn song_at(&self, at: f64) -> Option<SongTime> {
        self.song.map(|song| song.earlier(self.end - at))
    }

    /// How long it is, in seconds.
    pub fn length(&self) -> f64 {
        self.end - self.start
    }

    /// `next` only goes on with what this says: nothing was heard that there are scores of, and the
    /// song stood, or played on.
    fn goes_on_in(&self, next: &Self) -> bool {
        let silent = |span: &Self| !span.state.has_scores();
        silent(self)
            && (self.state, self.reason) == (next.state, next.reason)
            && match (self.song, next.song_at(self.end)) {
                (None, None) => true,
                (Some(a), Some(b)) => a.is_about(b),
                _ => false,
            }
    }
}

/// A piece of the strip: what was shown for most of it.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Cell {
    /// Seconds since the history began.
    pub start: f64,
    /// Seconds since the history began.
    pub end: f64,
    /// The genre that was shown, if any.
    pub genre: Option<usize>,
    /// Its mean score.
    pub confidence: f32,
    /// What kind of answer it was.
    pub state: State,
}

/// Spans in order, the newest last. What is heard after a pause, in another rendering or at another
/// rate follows what was heard before.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct History {
    spans: VecDeque<Span>,
    /// Those of each span, one after the other.
    scores: VecDeque<u16>,
    n_labels: usize,
    /// Where it ends, in seconds since it began.
    end_s: f64,
    /// From the stream's position to the history's, in seconds.
    offset_s: f64,
}

impl History {
    /// Appends what `readout` says about the time since the one before, at whose end the host's
    /// song stood at `song`.
    pub fn push(&mut self, readout: &Readout, song: Option<SongTime>) {
        if self.offset_s + readout.position.0 < self.end_s {
            self.begin_stream();
        }
        let span = Span {
            start: self.end_s,
            end: self.offset_s + readout.position.0,
            genre: readout.genre,
            confidence: readout.confidence,
            state: readout.state,
            reason: readout.reason,
            song,
        };
        self.push_span(span, readout.scores.as_slice());
    }

    /// Appends a span that ends where the newest ends, or later; it begins where that ends.
    pub fn push_span(&mut self, mut span: Span, scores: &[f32]) {
        if scores.len() != self.n_labels {
            // Another model says other things.
            self.clear();
            self.n_labels = scores.len();
        }
        span.start = self.end_s;
        span.end = span.end.max(self.end_s);
        self.end_s = span.end;
        if let Some(last) = self.spans.back() {
            // The same moment told once more, after hold or reset.
            let again = last.end >= span.end;
            if again || last.goes_on_in(&span) {
                span.start = last.start;
                self.spans.pop_back();
                self.scores.truncate(self.spans.len() * self.n_labels);
            }
        }
        span.start = span.start.max(span.end - HISTORY_S);
        let oldest = span.end - HISTORY_S;
        while self.spans.len() >= MAX_SPANS
            || self.spans.front().is_some_and(|span| span.end <= oldest)
        {
            self.spans.pop_front();
            self.scores.drain(..self.n_labels);
        }
        self.spans.push_back(span);
        let kept = |score: &f32| (score.clamp(0.0, 1.0) * WHOLE).round() as u16;
        self.scores.extend(scores.iter().map(kept));
    }

    /// The next readout is the first of a stream, whose positions begin at 0 again.
    pub fn begin_stream(&mut self) {
        self.offset_s = self.end_s;
    }

    /// Forgets what was heard; what is heard next follows it.
    pub fn clear(&mut self) {
        self.spans.clear();
        self.scores.clear();
    }

    /// Nothing was heard yet.
    pub fn is_empty(&self) -> bool {
        self.spans.is_empty()
    }

    /// Where it ends, in seconds since it began.
    pub fn end_s(&self) -> f64 {
        self.end_s
    }

    /// The spans, oldest first.
    pub fn iter(&self) -> impl ExactSizeIterator<Item = &Span> + DoubleEndedIterator {
        self.spans.iter()
    }

    /// The spans, oldest first, each with its scores.
    pub fn with_scores(
        &self,
    ) -> impl Iterator<Item = (&Span, impl ExactSizeIterator<Item = f32> + '_)> {
        let spans = self.spans.iter().enumerate();
        spans.map(|(index, span)| (span, self.scores_of(index)))
    }

    /// Labels that there are scores of.
    pub fn n_labels(&self) -> usize {
        self.n_labels
    }

    fn scores_of(&self, index: usize) -> impl ExactSizeIterator<Item = f32> + '_ {
        let from = index * self.n_labels;
        let scores = self.scores.range(from..from + self.n_labels);
        scores.map(|&score| f32::from(score) / WHOLE)
    }

    fn index_at(&self, at: f64) -> Option<usize> {
        let index = self.spans.partition_point(|span| span.end < at);
        self.spans
            .get(index)
            .filter(|span| span.start <= at)
            .map(|_| index)
    }

    /// What was shown at a moment, and the scores.
    pub fn at(&self, at: f64) -> Option<(&Span, Vec<f32>)> {
        let index = self.index_at(at)?;
        Some((&self.spans[index], self.scores_of(index).collect()))
    }

    /// Where the song stood at a moment, if it played then.
    pub fn song_at(&self, at: f64) -> Option<SongTime> {
        self.spans[self.index_at(at)?].song_at(at)
    }

    /// The middle of the span before (`-1`) or after (`1`) the one at a moment; the newest where
    /// there is none.
    pub fn step(&self, at: f64, by: isize) -> Option<f64> {
        let last = self.spans.len().checked_sub(1)?;
        let index = self.index_at(at).unwrap_or(last);
        let span = &self.spans[index.saturating_add_signed(by).min(last)];
        Some(f64::midpoint(span.start, span.end))
    }

    /// The spans that reach beyond `from`, in pieces of at least `least_s` seconds: where spans are
    /// shorter, what was shown for most of a piece. Pieces stay where they are while time goes on.
    pub fn cells(&self, from: f64, least_s: f64) -> Vec<Cell> {
        let first = self.spans.partition_point(|span| span.end <= from);
        let mut cells: Vec<Cell> = Vec::new();
        let mut gathered: Vec<Span> = Vec::new();
        let mut piece = None;
        for span in self.spans.range(first..) {
            let of = (f64::midpoint(span.start, span.end) / least_s).floor();
            if span.length() >= least_s {
                cells.extend(cell(&gathered));
                gathered.clear();
                cells.extend(cell(&[*span]));
                piece = None;
            } else {
                if piece != Some(of) {
                    cells.extend(cell(&gathered));
                    gathered.clear();
                    piece = Some(of);
                }
                gathered.push(*span);
            }
        }
        cells.extend(cell(&gathered));
        cells
    }
}

/// What was shown for most of these neighbours.
fn cell(spans: &[Span]) -> Option<Cell> {
    let (first, last) = (spans.first()?, spans.last()?);
    let what = |span: &Span| (span.genre, span.state);
    let time_of = |span: &Span| {
        let alike = spans.iter().filter(|other| what(other) == what(span));
        alike.map(Span::length).sum::<f64>()
    };
    // Of equals the later.
    let most = spans
        .iter()
        .max_by(|a, b| time_of(a).total_cmp(&time_of(b)))?;
    let alike = spans.iter().filter(|span| what(span) == what(most));
    let weighted = alike.map(|span| f64::from(span.confidence) * span.length());
    let time = time_of(most);
    let confidence = if time > 0.0 {
        (weighted.sum::<f64>() / time) as f32
    } else {
        most.confidence
    };
    Some(Cell {
        start: first.start,
        end: last.end,
        genre: most.genre,
        confidence,
        state: most.state,
    })
}

/// A song of 21 seconds from 1:00 on, 30 bars a minute, of three labels.
#[cfg(test)]
fn song() -> History {
    let mut history = History::default();
    let unheard = [1.0 / 3.0; 3];
    let metal = [0.125, 0.75, 0.125];
    let rock = [0.25, 0.25, 0.5];
    for (end, state, reason, genre, scores) in [
        (
            4.0,
            State::Warming,
            Some(Reason::TooLittleHeard),
            None,
            unheard,
        ),
        (14.0, State::Live, None, Some(1), metal),
        (20.0, State::Provisional, None, Some(2), rock),
        (21.5, State::Silent, Some(Reason::Silence), None, [0.0; 3]),
        (23.0, State::Silent, Some(Reason::Silence), None, [0.0; 3]),
        (25.0, State::Live, None, Some(1), metal),
    ] {
        let span = Span {
            start: 0.0,
            end,
            genre,
            confidence: genre.map_or(0.0, |genre| scores[genre]),
            state,
            reason,
            song: (end > 4.0).then_some(SongTime {
                seconds: end + 56.0,
                bars: Some((31.0 + (end - 4.0) / 2.0, 0.5)),
            }),
        };
        history.push_span(span, &scores);
    }
    history
}

#[cfg(test)]
mod tests;
