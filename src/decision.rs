//! From frame scores to what the user is told: averages, trust, and a readout that does not flicker.

use crate::{genre::Scores, units::Seconds};

/// What kind of answer a [`Readout`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Too little was heard for any answer (less than 3 s).
    Warming,
    /// An answer so far, from less than a whole frame (3 s to 29.12 s).
    Provisional,
    /// An answer from a whole frame.
    Live,
    /// Music, but none of the labels fits, or several do equally: the two best stand in the scores.
    Unsure,
    /// Speech, applause, traffic, hum: sound, but not music.
    NotMusic,
    /// Nothing to hear.
    Silent,
    /// The source is gone.
    Lost,
}

impl State {
    /// The name in JSON, OSC and plain text.
    pub const fn as_str(self) -> &'static str {
        match self {
            State::Warming => "warming",
            State::Provisional => "provisional",
            State::Live => "live",
            State::Unsure => "unsure",
            State::NotMusic => "not_music",
            State::Silent => "silent",
            State::Lost => "lost",
        }
    }
}

/// What the user sees: the same value in plugin, listener, file timeline, JSON and OSC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// What kind of answer this is.
    pub state: State,
    /// Index of the genre that is shown: only while provisional or live.
    pub genre: Option<usize>,
    /// Score of the shown genre, or of the best candidate; 0 when there is none.
    pub confidence: f32,
    /// Averaged scores.
    pub scores: Scores,
    /// Scores of the newest frame alone.
    pub frame_scores: Scores,
    /// Level of the last hop, in dB relative to full scale; -120 or above.
    pub level_dbfs: f32,
    /// Stream position, from the sample count.
    pub position: Seconds,
    /// Length of what the answer rests on, up to one frame (29.12 s).
    pub heard: Seconds,
    /// Frames in the average.
    pub frames: u32,
    /// Counts readouts of a stream, from 1; 0 before the first.
    pub seq: u64,
    /// The shown genre or the state differs from the readout before.
    pub changed: bool,
}
