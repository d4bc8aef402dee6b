//! What the user sees of a stream at one moment: the same value in plugin, listener, file timeline,
//! JSON and OSC.

use crate::{
    decision::{FRAME, silence::LOWEST_DBFS},
    genre::Scores,
    units::Seconds,
};

/// What kind of answer a [`Readout`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Too little was heard for any answer (less than
    /// [`PROVISIONAL_FROM`](crate::decision::PROVISIONAL_FROM)).
    Warming,
    /// An answer so far, from less than a whole frame (3 s to 29.12 s).
    Provisional,
    /// An answer from a whole frame.
    Live,
    /// Music perhaps, but no genre is named: [`Reason`] says why, and the two best stand in the
    /// scores.
    Unsure,
    /// Speech, applause, traffic, hum: sound, but not music.
    NotMusic,
    /// Nothing to hear.
    Silent,
    /// The source is gone.
    Lost,
}

impl State {
    /// Every state, in the order of the declaration.
    pub const ALL: [State; 7] = [
        State::Warming,
        State::Provisional,
        State::Live,
        State::Unsure,
        State::NotMusic,
        State::Silent,
        State::Lost,
    ];

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

    /// May a genre be named in this state?
    pub const fn names_a_genre(self) -> bool {
        matches!(self, State::Provisional | State::Live)
    }

    /// Is there music, as far as is known? Where there is not, scores and confidence are 0.
    pub const fn has_scores(self) -> bool {
        !matches!(self, State::NotMusic | State::Silent | State::Lost)
    }
}

/// Why no genre is named.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Less was heard than any answer needs.
    TooLittleHeard,
    /// The best candidate would do later; a guess from the first seconds must be surer.
    FirstSeconds,
    /// The best candidate's score is below the threshold: none of the labels fits, or several do.
    LowScore,
    /// Another label has overtaken the one that was shown, and has yet to prove itself.
    Overtaken,
    /// It may not be music.
    MaybeNotMusic,
    /// It is not music.
    NotMusic,
    /// There is nothing to hear.
    Silence,
    /// The source is gone.
    SourceLost,
}

impl Reason {
    /// Every reason, in the order of the declaration.
    pub const ALL: [Reason; 8] = [
        Reason::TooLittleHeard,
        Reason::FirstSeconds,
        Reason::LowScore,
        Reason::Overtaken,
        Reason::MaybeNotMusic,
        Reason::NotMusic,
        Reason::Silence,
        Reason::SourceLost,
    ];

    /// The name in JSON and OSC.
    pub const fn as_str(self) -> &'static str {
        match self {
            Reason::TooLittleHeard => "too_little_heard",
            Reason::FirstSeconds => "first_seconds",
            Reason::LowScore => "low_score",
            Reason::Overtaken => "overtaken",
            Reason::MaybeNotMusic => "maybe_not_music",
            Reason::NotMusic => "not_music",
            Reason::Silence => "silence",
            Reason::SourceLost => "source_lost",
        }
    }

    /// The reason that a state gives by itself; [`State::Unsure`] has several.
    const fn of(state: State) -> Option<Self> {
        match state {
            State::Provisional | State::Live => None,
            State::Warming => Some(Reason::TooLittleHeard),
            State::Unsure => Some(Reason::LowScore),
            State::NotMusic => Some(Reason::NotMusic),
            State::Silent => Some(Reason::Silence),
            State::Lost => Some(Reason::SourceLost),
        }
    }
}

/// What the user sees: the same value in plugin, listener, file timeline, JSON and OSC.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Readout {
    /// What kind of answer this is.
    pub state: State,
    /// Why no genre is named; `None` exactly where one is.
    pub reason: Option<Reason>,
    /// Index of the genre that is shown: only while provisional or live.
    pub genre: Option<usize>,
    /// Score of the shown genre, or of the best candidate; 0 when there is none.
    pub confidence: f32,
    /// Averaged scores; all 0 where there is no music to have an opinion of
    /// ([`State::has_scores`]).
    pub scores: Scores,
    /// Scores of the newest window alone; 0 where `scores` are.
    pub frame_scores: Scores,
    /// Probability that the newest seconds are music, smoothed over about two looks; `None` before
    /// the first, in silence, and with a model that cannot tell.
    pub music: Option<f32>,
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

impl Readout {
    /// The readout of a stream that has just begun.
    pub fn warming(n_labels: usize) -> Self {
        let scores = Scores::uniform(n_labels);
        Self {
            state: State::Warming,
            reason: Some(Reason::TooLittleHeard),
            genre: None,
            confidence: 0.0,
            scores,
            frame_scores: scores,
            music: None,
            level_dbfs: LOWEST_DBFS,
            position: Seconds(0.0),
            heard: Seconds(0.0),
            frames: 0,
            seq: 0,
            changed: false,
        }
    }

    /// Changes the state and all that follows from it: the reason, and outside music no genre, no
    /// score and no confidence.
    pub fn set_state(&mut self, state: State) {
        self.state = state;
        self.reason = Reason::of(state);
        if !state.names_a_genre() {
            self.genre = None;
        }
        if !state.has_scores() {
            self.confidence = 0.0;
            self.scores = Scores::zeros(self.scores.as_slice().len());
            self.frame_scores = self.scores;
        }
        if matches!(state, State::Silent | State::Lost) {
            self.music = None;
        }
    }

    /// Seconds of audio still needed for an answer from a whole frame.
    pub fn settles_in(&self) -> Seconds {
        Seconds((FRAME.0 - self.heard.0).max(0.0))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unlike() {
        let states: std::collections::HashSet<_> = State::ALL.map(State::as_str).into();
        let reasons: std::collections::HashSet<_> = Reason::ALL.map(Reason::as_str).into();
        assert_eq!((states.len(), reasons.len()), (7, 8));
    }

    #[test]
    fn outside_music_nothing_is_claimed() {
        for state in State::ALL {
            let mut readout = Readout {
                genre: Some(1),
                confidence: 0.8,
                scores: Scores::new(&[0.2, 0.8]),
                music: Some(0.9),
                ..Readout::warming(2)
            };
            readout.set_state(state);
            assert_eq!(readout.genre.is_some(), state.names_a_genre(), "{state:?}");
            assert_eq!(readout.reason.is_none(), state.names_a_genre(), "{state:?}");
            let music = matches!(
                state,
                State::Warming | State::Provisional | State::Live | State::Unsure
            );
            assert_eq!(readout.confidence > 0.0, music, "{state:?}");
            assert_eq!(readout.scores.top().1 > 0.0, music, "{state:?}");
            assert_eq!(readout.frame_scores.top().1 > 0.0, music, "{state:?}");
        }
    }
}
