//! From frame scores to what the user is told: averages, trust, and a readout that does not flicker.

pub mod average;
pub mod change;
mod hysteresis;
mod music;
pub mod silence;

use thiserror::Error;

use crate::{genre::Scores, network::bundle::DecisionDefaults, units::Seconds};

use hysteresis::Hysteresis;
use music::MusicGate;

pub use average::{Mean, RunningAverage, Span};
pub use music::MusicSmoother;

/// Length of the paper's frame: 1365 hops of 256 samples at 12 kHz (paper, section 3).
pub const FRAME: Seconds = Seconds(29.12);

/// Audio needed for a first, provisional answer: two steps of the CNN (2.73 s), so that an answer is there after 3 s.
pub const PROVISIONAL_FROM: Seconds = Seconds(2.7);

/// What kind of answer a [`Readout`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum State {
    /// Too little was heard for any answer (less than [`PROVISIONAL_FROM`]).
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

impl Readout {
    /// The readout of a stream that has just begun.
    pub fn warming(n_labels: usize) -> Self {
        let scores = Scores::uniform(n_labels);
        Self {
            state: State::Warming,
            genre: None,
            confidence: 0.0,
            scores,
            frame_scores: scores,
            level_dbfs: silence::LOWEST_DBFS,
            position: Seconds(0.0),
            heard: Seconds(0.0),
            frames: 0,
            seq: 0,
            changed: false,
        }
    }

    /// Seconds of audio still needed for an answer from a whole frame.
    pub fn settles_in(&self) -> Seconds {
        Seconds((FRAME.0 - self.heard.0).max(0.0))
    }

    /// The two best candidates, best first; `None` with fewer than two labels.
    pub fn candidates(&self) -> Option<[(usize, f32); 2]> {
        let scores = self.scores.as_slice();
        let best = self.scores.top();
        let second = scores
            .iter()
            .copied()
            .enumerate()
            .filter(|&(index, _)| index != best.0)
            .reduce(|a, b| if b.1 > a.1 { b } else { a })?;
        Some([best, second])
    }
}

/// Time constant of the running average, in seconds, wherever nothing else is asked for: files, listener and plugin.
pub const DEFAULT_AVERAGING: Seconds = Seconds(10.0);

/// How frame scores become a readout.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionConfig {
    /// Over which frames the average runs. Default: exponential, [`DEFAULT_AVERAGING`].
    pub span: Span,
    /// How frame scores become one. Default: arithmetic, as in the paper.
    pub mean: Mean,
    /// How long another genre must lead before it is shown where no change of song was told: this, and longer for a genre that has been shown
    /// for long. Default: 15 s.
    pub dwell: Seconds,
    /// By how much it must lead, in 0..1. Default: 0.15.
    pub margin: f32,
    /// Level below which a stream is silent, in dBFS. Default: [`silence::FLOOR_DBFS`].
    pub silence_dbfs: f32,
    /// Best score below which the answer is "unsure", in 0..1. `None`: the model's own threshold.
    pub unsure_below: Option<f32>,
    /// Probability of music below which nothing is named, in 0..1. `None`: the model's own threshold.
    pub music_below: Option<f32>,
    /// Probability of music below which it may be "unsure" but no genre is named, in 0..1. `None`: the model's own
    /// threshold.
    pub doubt_below: Option<f32>,
    /// Shorten the average when the song changes. Default: yes.
    pub detect_changes: bool,
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self {
            span: Span::Exponential(DEFAULT_AVERAGING),
            mean: Mean::Arithmetic,
            dwell: Seconds(15.0),
            margin: 0.15,
            silence_dbfs: silence::FLOOR_DBFS,
            unsure_below: None,
            music_below: None,
            doubt_below: None,
            detect_changes: true,
        }
    }
}

/// A setting of [`DecisionConfig`] out of its range.
#[derive(Clone, Debug, PartialEq, Error)]
#[error("{field} = {value} is out of range ({allowed})")]
pub struct DecisionError {
    /// Name of the field.
    pub field: &'static str,
    /// Its value.
    pub value: f64,
    /// What would be allowed.
    pub allowed: &'static str,
}

impl DecisionConfig {
    /// Checks every field.
    ///
    /// # Errors
    /// [`DecisionError`] naming the first field that is out of range.
    pub fn validate(&self) -> Result<(), DecisionError> {
        let span = match self.span {
            Span::Exponential(time) | Span::Sliding(time) => time.0,
            Span::Cumulative => 0.0,
        };
        let checks = [
            ("averaging", span, 0.0, 3600.0, "0 to 3600 s"),
            ("dwell", self.dwell.0, 0.0, 600.0, "0 to 600 s"),
            ("margin", f64::from(self.margin), 0.0, 1.0, "0 to 1"),
            (
                "silence_dbfs",
                f64::from(self.silence_dbfs),
                -120.0,
                0.0,
                "-120 to 0 dBFS",
            ),
            (
                "unsure_below",
                f64::from(self.unsure_below.unwrap_or(0.0)),
                0.0,
                1.0,
                "0 to 1",
            ),
            (
                "music_below",
                f64::from(self.music_below.unwrap_or(0.0)),
                0.0,
                1.0,
                "0 to 1",
            ),
            (
                "doubt_below",
                f64::from(self.doubt_below.unwrap_or(0.0)),
                0.0,
                1.0,
                "0 to 1",
            ),
        ];
        for (field, value, low, high, allowed) in checks {
            if !(low..=high).contains(&value) {
                return Err(DecisionError {
                    field,
                    value,
                    allowed,
                });
            }
        }
        Ok(())
    }
}

/// What is known at one position of a stream.
#[derive(Clone, Copy, Debug)]
pub struct Observation {
    /// Stream position.
    pub position: Seconds,
    /// Audio in the window.
    pub heard: Seconds,
    /// Level since the last observation, in dBFS.
    pub level_dbfs: f32,
    /// Does the silence gate say so?
    pub silent: bool,
    /// Scores of the window as it stands; `None` while too little was heard or it is silent.
    pub scores: Option<Scores>,
    /// Probability that the newest seconds are music, where the model can tell.
    pub music: Option<f32>,
}

/// Turns observations into readouts. Deterministic; its clock is the stream position.
#[derive(Clone, Debug)]
pub struct Decision {
    config: DecisionConfig,
    unsure_below: f32,
    average: RunningAverage,
    hysteresis: Hysteresis,
    unsure: bool,
    music: MusicGate,
    hold: bool,
    /// What was shown when it was told to hold.
    held: Option<(State, Option<usize>, Scores)>,
    last: Readout,
}

/// Width of the band around a threshold in which nothing changes.
const HYSTERESIS: f32 = 0.04;

/// How much surer than usual a guess from the first seconds must be to be shown, until [`EARLY_FROM`]; it falls to 0 by [`EARLY_UNTIL`] or
/// [`EARLY_AFTER_CHANGE`]. Most genres that were taken back within one song were first guesses.
const EARLY_MARGIN: f32 = 0.45;

/// Audio from which a guess need no longer be so sure.
const EARLY_FROM: Seconds = Seconds(4.0);

/// Audio from which a guess is as good as any.
const EARLY_UNTIL: Seconds = Seconds(8.0);

/// The same where another song has taken over from one that was named: there, only the first look need be surer.
const EARLY_AFTER_CHANGE: Seconds = Seconds(5.0);

impl Decision {
    /// A decision over `n_labels` labels, with the model's own thresholds where the settings leave them open.
    ///
    /// # Errors
    /// [`DecisionError`] when a setting is out of its range.
    pub fn new(
        n_labels: usize,
        config: DecisionConfig,
        defaults: &DecisionDefaults,
    ) -> Result<Self, DecisionError> {
        config.validate()?;
        Ok(Self {
            unsure_below: config.unsure_below.unwrap_or(defaults.unsure_threshold),
            music: MusicGate::new(
                config.music_below.unwrap_or(defaults.music_threshold),
                // Who lowers the one must not be held up by the other.
                config
                    .doubt_below
                    .or(config.music_below)
                    .unwrap_or(defaults.doubt_threshold),
            ),
            hysteresis: Hysteresis::new(n_labels, config.dwell, config.margin),
            average: RunningAverage::new(n_labels, config.span, config.mean),
            config,
            unsure: false,
            hold: false,
            held: None,
            last: Readout::warming(n_labels),
        })
    }

    /// Takes what is known now and says what to show.
    pub fn observe(&mut self, seen: &Observation) -> Readout {
        if seen.silent {
            self.music.forget();
        } else if let Some(probability) = seen.music {
            self.music.push(probability);
        }
        // What may not be music must not touch the answer that is shown; while none is, it has candidates of its own.
        let kept_out = self.music.is_not_music()
            || self.hold
            || (self.music.is_doubtful() && self.hysteresis.shown().is_some());
        if let (Some(scores), false) = (seen.scores, kept_out) {
            // A window that still grows holds all that the one before it held, so the newest counts for most.
            let weight = (seen.heard.0 / FRAME.0).clamp(0.01, 1.0).powi(3);
            self.average.add(seen.position, &scores, weight);
        }
        let averaged = self.average.scores();
        let state = self.state(seen, averaged.as_ref());
        let (state, genre, scores) = if let Some((held, genre, scores)) = self.held {
            if state == State::Silent {
                (state, None, scores)
            } else {
                (held, genre, scores)
            }
        } else {
            let scores = averaged.unwrap_or_else(|| Scores::uniform(seen_len(&self.last)));
            // While it is unsure, what was shown is contested all the same: what comes back is the best by then, not what was best once.
            let contested =
                state == State::Unsure && self.hysteresis.shown().is_some() && averaged.is_some();
            let chosen = if state.names_a_genre() || contested {
                self.hysteresis.choose(&scores, seen.position)
            } else {
                None
            };
            let genre = chosen.filter(|_| state.names_a_genre());
            let open = state.names_a_genre() && genre.is_none();
            (if open { State::Unsure } else { state }, genre, scores)
        };
        let confidence = match (genre, averaged) {
            (Some(genre), _) => scores.as_slice()[genre],
            (None, Some(_)) => scores.top().1,
            (None, None) => 0.0,
        };
        let readout = Readout {
            state,
            genre,
            confidence,
            scores,
            frame_scores: seen.scores.unwrap_or(self.last.frame_scores),
            level_dbfs: seen.level_dbfs,
            position: seen.position,
            heard: seen.heard,
            frames: self.average.frames(),
            seq: self.last.seq + 1,
            changed: state != self.last.state || genre != self.last.genre,
        };
        self.last = readout;
        readout
    }

    fn state(&mut self, seen: &Observation, averaged: Option<&Scores>) -> State {
        if seen.silent {
            return State::Silent;
        }
        // One or two looks are too few to call anything talk.
        if seen.heard.0 < PROVISIONAL_FROM.0 {
            return State::Warming;
        }
        if self.music.is_not_music() {
            return State::NotMusic;
        }
        let Some(averaged) = averaged else {
            return if self.music.is_doubtful() {
                State::Unsure
            } else {
                State::Warming
            };
        };
        let best = averaged.top().1;
        let until = if self.hysteresis.after_change() {
            EARLY_AFTER_CHANGE
        } else {
            EARLY_UNTIL
        };
        let still_to_hear = (until.0 - seen.heard.0) / (until.0 - EARLY_FROM.0);
        let still_to_hear = still_to_hear.clamp(0.0, 1.0) as f32;
        // Who set the threshold to 0 wants every answer.
        let early = EARLY_MARGIN * still_to_hear * f32::from(u8::from(self.unsure_below > 0.0));
        let below = self.unsure_below + early;
        self.unsure = if self.unsure {
            best < below + HYSTERESIS
        } else {
            best < below
        };
        if self.unsure || self.music.is_doubtful() {
            State::Unsure
        } else if seen.heard.0 < FRAME.0 - 0.5 {
            State::Provisional
        } else {
            State::Live
        }
    }

    /// Forgets the average, and with it the shown genre: something else begins, or the reset button.
    pub fn reset_average(&mut self) {
        self.average.reset();
        self.hysteresis.forget();
        self.unsure = false;
    }

    /// The song seems to have changed: the average begins anew, and what is shown next must be the surer at the first look, because it may be
    /// the same song that goes on.
    pub fn song_changed(&mut self) {
        if self.hold {
            return;
        }
        self.average.reset();
        self.hysteresis.song_changed();
        self.unsure = false;
    }

    /// Holds genre and average as they are, or lets go.
    pub fn set_hold(&mut self, hold: bool) {
        if hold == self.hold {
            return;
        }
        self.hold = hold;
        let last = &self.last;
        self.held = (hold && last.seq > 0).then_some((last.state, last.genre, last.scores));
    }

    /// Are genre and average held as they are?
    pub fn holds(&self) -> bool {
        self.hold
    }

    /// Time constant of the exponential average.
    pub fn set_averaging(&mut self, time_constant: Seconds) {
        self.config.span = Span::Exponential(Seconds(time_constant.0.clamp(0.0, 3600.0)));
        self.average.set_span(self.config.span);
    }

    /// How frame scores become one; what was averaged so far is kept.
    pub fn set_mean(&mut self, mean: Mean) {
        self.config.mean = mean;
        self.average.set_mean(mean);
    }

    /// Is the stream currently held to be something other than music?
    pub fn is_not_music(&self) -> bool {
        self.music.is_not_music()
    }

    /// Should song changes shorten the average?
    pub fn detects_changes(&self) -> bool {
        self.config.detect_changes
    }

    /// The newest readout.
    pub fn readout(&self) -> &Readout {
        &self.last
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        self.reset_average();
        self.music.forget();
        self.held = None;
        self.last = Readout::warming(seen_len(&self.last));
    }
}

fn seen_len(readout: &Readout) -> usize {
    readout.scores.as_slice().len()
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: f64 = 2.0;

    /// Feeds one frame score per step and returns the readouts.
    fn run(decision: &mut Decision, from: f64, frames: &[[f32; 3]]) -> Vec<Readout> {
        let mut readouts = Vec::new();
        for (i, scores) in frames.iter().enumerate() {
            let position = Seconds(from + (i + 1) as f64 * STEP);
            readouts.push(decision.observe(&Observation {
                position,
                heard: Seconds(position.0.min(FRAME.0)),
                level_dbfs: -20.0,
                silent: false,
                scores: Some(Scores::new(scores)),
                music: None,
            }));
        }
        readouts
    }

    fn decision() -> Decision {
        Decision::new(3, DecisionConfig::default(), &DecisionDefaults::default()).unwrap()
    }

    fn silence(position: f64) -> Observation {
        Observation {
            position: Seconds(position),
            heard: Seconds(0.0),
            level_dbfs: -120.0,
            silent: true,
            scores: None,
            music: None,
        }
    }

    #[test]
    fn states_follow_what_was_heard() {
        let readouts = run(&mut decision(), 0.0, &[[0.98, 0.01, 0.01]; 16]);
        assert_eq!(readouts[0].state, State::Warming);
        assert_eq!(readouts[0].genre, None);
        assert_eq!(readouts[1].state, State::Provisional);
        assert_eq!(readouts[1].genre, Some(0));
        assert!(readouts[1].changed && !readouts[2].changed);
        assert_eq!(readouts[15].state, State::Live);
        assert_eq!(readouts[15].seq, 16);
    }

    #[test]
    fn after_a_while_of_doubt_the_best_is_shown_and_not_what_was_best_before() {
        let config = DecisionConfig {
            unsure_below: Some(0.65),
            ..DecisionConfig::default()
        };
        let mut decision = Decision::new(3, config, &DecisionDefaults::default()).unwrap();
        let frames = [
            vec![[0.9, 0.05, 0.05]; 20],
            vec![[0.1, 0.6, 0.3]; 60],
            vec![[0.02, 0.96, 0.02]; 20],
        ];
        let shown: Vec<Option<usize>> = run(&mut decision, 0.0, &frames.concat())
            .iter()
            .map(|readout| readout.genre)
            .collect();
        assert_eq!(shown[19], Some(0));
        let doubt = shown.iter().rposition(Option::is_none).unwrap();
        assert!((20..99).contains(&doubt), "{shown:?}");
        assert_eq!(shown[doubt + 1], Some(1), "{shown:?}");
    }

    #[test]
    fn a_flat_score_is_unsure_and_names_its_two_candidates() {
        let readouts = run(&mut decision(), 0.0, &[[0.34, 0.32, 0.34]; 4]);
        let last = readouts.last().unwrap();
        assert_eq!((last.state, last.genre), (State::Unsure, None));
        assert_eq!(last.candidates().unwrap().map(|c| c.0), [0, 2]);
    }

    #[test]
    fn alternating_frames_do_not_flicker() {
        let mut frames = vec![[0.8, 0.1, 0.1]; 8];
        frames.extend([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]].repeat(20));
        let readouts = run(&mut decision(), 0.0, &frames);
        assert!(readouts[4..].iter().all(|r| r.genre == Some(0)));
    }

    #[test]
    fn a_guess_from_the_first_seconds_must_be_surer() {
        let named_after = |score: f32| {
            let rest = (1.0 - score) / 2.0;
            let readouts = run(&mut decision(), 0.0, &[[score, rest, rest]; 16]);
            readouts.iter().find(|r| r.genre.is_some()).map(|r| r.heard)
        };
        assert_eq!(named_after(0.98), Some(Seconds(4.0)));
        assert_eq!(named_after(0.6), Some(Seconds(8.0)));
    }

    #[test]
    fn the_first_seconds_are_no_talk_yet() {
        let mut decision = decision();
        let look = |heard: f64| Observation {
            heard: Seconds(heard),
            silent: false,
            music: Some(0.01),
            scores: Some(Scores::new(&[0.9, 0.05, 0.05])),
            ..silence(heard)
        };
        assert_eq!(decision.observe(&look(1.4)).state, State::Warming);
        assert_eq!(decision.observe(&look(2.6)).state, State::Warming);
        assert_eq!(decision.observe(&look(4.0)).state, State::NotMusic);
    }

    #[test]
    fn a_lasting_change_is_shown_once() {
        let mut frames = vec![[0.8, 0.1, 0.1]; 20];
        frames.extend([[0.1, 0.8, 0.1]; 30]);
        let readouts = run(&mut decision(), 0.0, &frames);
        let flips = readouts
            .windows(2)
            .filter(|w| w[0].genre != w[1].genre)
            .count();
        assert_eq!(flips, 2, "warming to genre 0, genre 0 to genre 1");
        assert_eq!(readouts.last().unwrap().genre, Some(1));
    }

    #[test]
    fn silence_names_nothing_and_reset_shows_the_next_at_once() {
        let mut decision = decision();
        run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
        let readout = decision.observe(&silence(42.0));
        assert_eq!((readout.state, readout.genre), (State::Silent, None));
        decision.reset_average();
        let after = run(&mut decision, 44.0, &[[0.1, 0.1, 0.8]; 2]);
        assert_eq!(after[0].genre, Some(2));
    }

    #[test]
    fn after_a_change_only_the_first_look_must_be_surer() {
        let named_after = |before: usize, score: f32| {
            let mut decision = decision();
            run(&mut decision, 0.0, &vec![[0.8, 0.1, 0.1]; before]);
            decision.song_changed();
            let rest = (1.0 - score) / 2.0;
            (0..6).find_map(|i| {
                let heard = Seconds(4.0 + STEP * f64::from(i));
                let readout = decision.observe(&Observation {
                    heard,
                    silent: false,
                    scores: Some(Scores::new(&[rest, score, rest])),
                    ..silence(60.0 + heard.0)
                });
                readout.genre.map(|genre| (Some(genre), heard))
            })
        };
        assert_eq!(named_after(20, 0.98), Some((Some(1), Seconds(4.0))));
        assert_eq!(named_after(20, 0.6), Some((Some(1), Seconds(6.0))));
        assert_eq!(
            named_after(0, 0.6),
            Some((Some(1), Seconds(8.0))),
            "where none was named before, it is a first guess like any other"
        );
    }

    #[test]
    fn a_false_alarm_changes_nothing_that_is_shown() {
        let mut decision = decision();
        run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
        decision.song_changed();
        // Two alarms in a row are no other than one.
        decision.song_changed();
        let same = run(&mut decision, 40.0, &[[0.7, 0.2, 0.1]; 1]);
        assert_eq!(same[0].genre, Some(0));
    }

    #[test]
    fn talk_greys_the_readout_and_is_not_averaged() {
        let mut decision = decision();
        run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
        let mut talk = Observation {
            silent: false,
            music: Some(0.05),
            ..silence(42.0)
        };
        talk.heard = FRAME;
        talk.scores = Some(Scores::new(&[0.1, 0.8, 0.1]));
        let readouts: Vec<_> = (0..6)
            .map(|i| {
                talk.position = Seconds(42.0 + STEP * f64::from(i));
                decision.observe(&talk)
            })
            .collect();
        assert_eq!(readouts[5].state, State::NotMusic);
        assert_eq!(readouts[5].genre, None);
        assert!(
            readouts[5].scores.as_slice()[0] > 0.7,
            "talk is not averaged in"
        );
        talk.music = Some(0.95);
        let back: Vec<_> = (0..4).map(|_| decision.observe(&talk)).collect();
        assert_ne!(back[3].state, State::NotMusic);
    }

    #[test]
    fn only_sure_music_is_named_first_and_likely_music_goes_on_being_named() {
        let mut decision = decision();
        let look = |decision: &mut Decision, i: u32, music: f32| {
            let seen = Observation {
                silent: false,
                heard: FRAME,
                scores: Some(Scores::new(&[0.9, 0.05, 0.05])),
                music: Some(music),
                ..silence(30.0 + STEP * f64::from(i))
            };
            decision.observe(&seen).genre
        };
        let doubt = DecisionDefaults::default().doubt_threshold;
        let likely = 1.2 * doubt / (1.0 + 0.2 * doubt);
        assert!((0..5).all(|i| look(&mut decision, i, likely).is_none()));
        assert_eq!(
            decision.readout().scores.top().0,
            0,
            "but it is a candidate"
        );
        assert!((5..8).any(|i| look(&mut decision, i, 0.999) == Some(0)));
        assert!((8..12).all(|i| look(&mut decision, i, likely) == Some(0)));
        assert!((12..24).any(|i| look(&mut decision, i, 0.5 * doubt).is_none()));
    }

    #[test]
    fn hold_keeps_the_answer_but_not_the_level() {
        let mut decision = decision();
        let before = *run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20])
            .last()
            .unwrap();
        decision.set_hold(true);
        let held = *run(&mut decision, 40.0, &[[0.0, 1.0, 0.0]; 20])
            .last()
            .unwrap();
        assert_eq!((held.genre, held.scores), (before.genre, before.scores));
        assert!(held.position.0 > before.position.0);
        // A pause is told, names nothing, and is over when the music goes on.
        let pause = decision.observe(&silence(81.0));
        assert_eq!((pause.state, pause.genre), (State::Silent, None));
        decision.song_changed();
        let back = *run(&mut decision, 82.0, &[[0.0, 1.0, 0.0]; 3])
            .last()
            .unwrap();
        assert_eq!((back.state, back.genre), (before.state, before.genre));
        decision.set_hold(false);
        let free = *run(&mut decision, 90.0, &[[0.0, 1.0, 0.0]; 30])
            .last()
            .unwrap();
        assert_eq!(free.genre, Some(1));
    }

    #[test]
    fn settings_out_of_range_are_named() {
        let config = DecisionConfig {
            margin: 1.5,
            ..DecisionConfig::default()
        };
        let error = Decision::new(3, config, &DecisionDefaults::default()).unwrap_err();
        assert_eq!(error.to_string(), "margin = 1.5 is out of range (0 to 1)");
    }
}
