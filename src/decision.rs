//! From frame scores to what the user is told: averages, trust, and a readout that does not
//! flicker.

pub mod average;
pub mod change;
mod hysteresis;
pub mod kind;
pub(crate) mod music;
pub mod silence;

use thiserror::Error;

use crate::{
    genre::{Labels, Scores},
    network::bundle::DecisionDefaults,
    units::Seconds,
};

use hysteresis::{Chosen, Hysteresis};
use kind::KindGate;
use music::MusicGate;

pub use crate::readout::{Readout, Reason, State};
pub use average::{Mean, RunningAverage, Span};
pub use music::MusicSmoother;

/// Length of the paper's frame: 1365 hops of 256 samples at 12 kHz (paper, section 3).
pub const FRAME: Seconds = Seconds(29.12);

/// Audio needed for a first, provisional answer: two steps of the CNN (2.73 s), so that an answer
/// is there after 3 s.
pub const PROVISIONAL_FROM: Seconds = Seconds(2.7);

/// Time constant of the running average, in seconds, wherever nothing else is asked for: files,
/// listener and plugin.
pub const DEFAULT_AVERAGING: Seconds = Seconds(20.0);

/// How restless the answer may be: three settings of [`DecisionConfig`] in one word.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Preset {
    /// Few changes, each well founded: for lights that must not flicker.
    Steady,
    /// What is built in.
    #[default]
    Balanced,
    /// The best guess soon, and another one as soon as it leads.
    Fast,
}

impl Preset {
    /// Every preset, the slowest first.
    pub const ALL: [Preset; 3] = [Preset::Steady, Preset::Balanced, Preset::Fast];

    /// The name on the command line and in the configuration file.
    pub const fn as_str(self) -> &'static str {
        match self {
            Preset::Steady => "steady",
            Preset::Balanced => "balanced",
            Preset::Fast => "fast",
        }
    }

    /// Time constant of the running average.
    pub const fn averaging(self) -> Seconds {
        match self {
            Preset::Steady => Seconds(60.0),
            Preset::Balanced => DEFAULT_AVERAGING,
            Preset::Fast => Seconds(6.0),
        }
    }

    /// How long another genre must lead.
    pub const fn dwell(self) -> Seconds {
        match self {
            Preset::Steady => Seconds(5.0),
            // A shown genre that another leads by the margin may not be shown any longer: waiting
            // would show none.
            Preset::Balanced | Preset::Fast => Seconds(0.0),
        }
    }

    /// How much of [`Rules::early_margin`] is asked for.
    const fn early_share(self) -> f32 {
        match self {
            Preset::Steady | Preset::Balanced => 1.0,
            Preset::Fast => 0.5,
        }
    }
}

/// The numbers behind the decision. A model file may bring its own: `more` of its
/// [`DecisionDefaults`], by the names of these fields.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Rules {
    /// How much surer than the threshold for "unsure" a score must be to be shown than to go on
    /// being shown. Default: 0.04.
    pub band: f32,
    /// How much surer than usual a guess from the first seconds must be to be shown, until
    /// [`Rules::early_from`]; it falls to 0 by [`Rules::early_until`] or
    /// [`Rules::early_after_change`]. Most genres that are taken back within one song are first
    /// guesses. Default: 0.45.
    pub early_margin: f32,
    /// Seconds of audio from which a guess need no longer be so sure. Default: 4.
    pub early_from: f32,
    /// Seconds of audio from which a guess is as good as any. Default: 8.
    pub early_until: f32,
    /// The same where another song has taken over from one that was named: there, only the first
    /// look need be surer. Default: 5.
    pub early_after_change: f32,
    /// A genre that is shown again within so many seconds was taken back too early. Default: 120.
    pub returns_within: f32,
    /// How many seconds longer the next genre must lead for each such return. Default: 12.
    pub per_return: f32,
    /// Time constant in seconds with which returns are forgotten. Default: 60.
    pub returns_fade: f32,
    /// What the change detector must give for a change of song: more than this. Default: 0.
    pub change_above: f32,
    /// Seconds that another genre must be the best after a change of song was told. Default: 0.
    pub dwell_after_change: f32,
    /// Seconds for which a change of song that was told lets another genre in sooner, until one is
    /// shown. Default: 10.
    pub change_lasts: f32,
    /// What the average so far still weighs after a change of song was told, in 0..1 of a whole
    /// frame. Default: 0.
    pub kept_on_change: f32,
    /// Which share of its family's score a kind must have to be named in its place ([`Labels`]).
    /// Default: 0.5.
    pub kind_share: f32,
    /// Seconds after which a kind that was given up is named again, longer each time. Default: 10.
    pub kind_dwell: f32,
}

impl Default for Rules {
    fn default() -> Self {
        Self {
            band: 0.04,
            early_margin: 0.45,
            early_from: 4.0,
            early_until: 8.0,
            early_after_change: 5.0,
            returns_within: 120.0,
            per_return: 12.0,
            returns_fade: 60.0,
            change_above: 0.0,
            dwell_after_change: 0.0,
            change_lasts: 10.0,
            kept_on_change: 0.0,
            kind_share: 0.5,
            kind_dwell: 10.0,
        }
    }
}

impl Rules {
    /// The built-in numbers, where the model does not bring its own. What is out of range in a
    /// model file is ignored.
    pub fn of(defaults: &DecisionDefaults) -> Self {
        let mut rules = Self::default();
        for (name, value) in &defaults.more {
            if let Some(value) = value.as_f64() {
                // Other defaults of the model stand among them, too.
                let _ = rules.set(name, value as f32);
            }
        }
        rules
    }

    /// Sets one number by its name.
    ///
    /// # Errors
    /// [`RuleError`] when it is out of its range, or there is none of that name.
    pub fn set(&mut self, name: &str, value: f32) -> Result<(), RuleError> {
        let mut fields = self.fields();
        let Some((_, field, low, high)) = fields.iter_mut().find(|field| field.0 == name) else {
            return Err(RuleError::Unknown {
                name: name.to_owned(),
                names: fields.iter().map(|field| field.0).collect(),
            });
        };
        if !(*low..=*high).contains(&value) {
            return Err(RuleError::OutOfRange {
                name: name.to_owned(),
                value,
                low: *low,
                high: *high,
            });
        }
        **field = value;
        Ok(())
    }

    /// Every number with its name and its range.
    fn fields(&mut self) -> [(&'static str, &mut f32, f32, f32); 14] {
        [
            ("band", &mut self.band, 0.0, 1.0),
            ("early_margin", &mut self.early_margin, 0.0, 1.0),
            ("early_from", &mut self.early_from, 0.0, 29.0),
            ("early_until", &mut self.early_until, 0.0, 30.0),
            (
                "early_after_change",
                &mut self.early_after_change,
                0.0,
                30.0,
            ),
            ("returns_within", &mut self.returns_within, 0.0, 3600.0),
            ("per_return", &mut self.per_return, 0.0, 600.0),
            ("returns_fade", &mut self.returns_fade, 1.0, 3600.0),
            ("change_above", &mut self.change_above, -100.0, 100.0),
            ("change_lasts", &mut self.change_lasts, 0.0, 120.0),
            (
                "dwell_after_change",
                &mut self.dwell_after_change,
                0.0,
                60.0,
            ),
            ("kept_on_change", &mut self.kept_on_change, 0.0, 1.0),
            ("kind_share", &mut self.kind_share, 0.0, 1.0),
            ("kind_dwell", &mut self.kind_dwell, 0.0, 600.0),
        ]
    }
}

/// How frame scores become a readout.
#[derive(Clone, Debug, PartialEq)]
pub struct DecisionConfig {
    /// Over which frames the average runs. Default: exponential, [`DEFAULT_AVERAGING`].
    pub span: Span,
    /// How frame scores become one. Default: arithmetic, as in the paper.
    pub mean: Mean,
    /// How long another genre must be the best before it is shown where no change of song was told.
    /// Default: 0 s.
    pub dwell: Seconds,
    /// By how much another genre may lead before the shown one is shown no longer, in 0..1.
    /// Default: 0.15.
    pub margin: f32,
    /// Level below which a stream is silent, in dBFS. Default: [`silence::FLOOR_DBFS`].
    pub silence_dbfs: f32,
    /// Score below which no genre is shown, in 0..1. `None`: the model's own threshold.
    pub unsure_below: Option<f32>,
    /// Probability of music below which nothing is named, in 0..1. `None`: the model's own
    /// threshold.
    pub music_below: Option<f32>,
    /// Probability of music below which it may be "unsure" but no genre is named, in 0..1. `None`:
    /// the model's own threshold.
    pub doubt_below: Option<f32>,
    /// Shorten the average when the song changes. Default: yes.
    pub detect_changes: bool,
    /// How much of [`Rules::early_margin`] is asked for, in 0..1. Default: all of it.
    pub early_share: f32,
    /// The numbers behind it. `None`: the model's own, or what is built in.
    pub rules: Option<Rules>,
}

impl Default for DecisionConfig {
    fn default() -> Self {
        Self::preset(Preset::default())
    }
}

impl DecisionConfig {
    /// The settings of a preset.
    pub fn preset(preset: Preset) -> Self {
        Self {
            span: Span::Exponential(preset.averaging()),
            mean: Mean::Arithmetic,
            dwell: preset.dwell(),
            margin: 0.15,
            silence_dbfs: silence::FLOOR_DBFS,
            unsure_below: None,
            music_below: None,
            doubt_below: None,
            detect_changes: true,
            early_share: preset.early_share(),
            rules: None,
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
                "early_share",
                f64::from(self.early_share),
                0.0,
                1.0,
                "0 to 1",
            ),
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

/// A rule that cannot be set.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum RuleError {
    /// There is no such rule.
    #[error("there is no rule '{name}'; there are {}", names.join(", "))]
    Unknown {
        /// The name that was asked for.
        name: String,
        /// Every name that there is.
        names: Vec<&'static str>,
    },
    /// Its value is out of its range.
    #[error("{name} = {value} is out of range ({low} to {high})")]
    OutOfRange {
        /// Name of the rule.
        name: String,
        /// The value that was asked for.
        value: f32,
        /// Lowest value that it takes.
        low: f32,
        /// Highest value that it takes.
        high: f32,
    },
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
    /// Scores of the window as it stands, each label's own ([`Labels::added_up`]); `None` while too
    /// little was heard or it is silent.
    pub scores: Option<Scores>,
    /// Probability that the newest seconds are music, where the model can tell.
    pub music: Option<f32>,
}

/// Turns observations into readouts. Deterministic; its clock is the stream position.
#[derive(Clone, Debug)]
pub struct Decision {
    config: DecisionConfig,
    rules: Rules,
    unsure_below: f32,
    average: RunningAverage,
    labels: Labels,
    hysteresis: Hysteresis,
    kinds: KindGate,
    music: MusicGate,
    hold: bool,
    /// What was shown when it was told to hold.
    held: Option<Readout>,
    last: Readout,
}

impl Decision {
    /// A decision over `labels`, with the model's own thresholds where the settings leave them
    /// open.
    ///
    /// # Errors
    /// [`DecisionError`] when a setting is out of its range.
    pub fn new(
        labels: &Labels,
        config: DecisionConfig,
        defaults: &DecisionDefaults,
    ) -> Result<Self, DecisionError> {
        config.validate()?;
        let n_labels = labels.len();
        let rules = config.rules.unwrap_or_else(|| Rules::of(defaults));
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
            kinds: KindGate::new(labels.clone(), rules),
            hysteresis: Hysteresis::new(n_labels, config.dwell, config.margin, rules),
            average: RunningAverage::new(n_labels, config.span, config.mean),
            config,
            rules,
            hold: false,
            held: None,
            last: nothing_yet(labels),
            labels: labels.clone(),
        })
    }

    /// Takes what is known now and says what to show.
    pub fn observe(&mut self, seen: &Observation) -> Readout {
        if seen.silent {
            self.music.forget();
        } else if let Some(probability) = seen.music {
            self.music.push(probability);
        }
        // What may not be music must not touch the answer that is shown; while none is, it has
        // candidates of its own.
        let kept_out = self.music.is_not_music()
            || self.hold
            || (self.music.is_doubtful() && self.hysteresis.shown().is_some());
        if let (Some(scores), false) = (seen.scores, kept_out) {
            // A window that still grows holds all that the one before it held, so the newest counts
            // for most.
            let weight = (seen.heard.0 / FRAME.0).clamp(0.01, 1.0).powi(3);
            self.average.add(seen.position, &scores, weight);
        }
        let averaged = self.average.scores().map(|own| self.labels.added_up(&own));
        let (state, reason, genre) = self.answer(seen, averaged.as_ref());
        let mut readout = Readout {
            scores: averaged.unwrap_or_else(|| nothing_yet(&self.labels).scores),
            frame_scores: seen
                .scores
                .map_or(self.last.frame_scores, |own| self.labels.added_up(&own)),
            music: self.music.probability(),
            level_dbfs: seen.level_dbfs,
            position: seen.position,
            heard: seen.heard,
            frames: self.average.frames(),
            seq: self.last.seq + 1,
            ..self.last
        };
        readout.genre = genre;
        readout.confidence = match (genre, averaged) {
            (Some(genre), _) => readout.scores.as_slice()[genre],
            (None, Some(scores)) => scores.top().1,
            (None, None) => 0.0,
        };
        readout.set_state(state);
        readout.reason = reason.or(readout.reason);
        if let Some(held) = self.held.filter(|_| state != State::Silent) {
            readout.state = held.state;
            readout.reason = held.reason;
            readout.genre = held.genre;
            readout.confidence = held.confidence;
            readout.scores = held.scores;
        }
        readout.changed = readout.state != self.last.state || readout.genre != self.last.genre;
        self.last = readout;
        readout
    }

    /// The state, the reason where the state has several, and the genre to show.
    fn answer(
        &mut self,
        seen: &Observation,
        averaged: Option<&Scores>,
    ) -> (State, Option<Reason>, Option<usize>) {
        if seen.silent {
            return (State::Silent, None, None);
        }
        // One or two looks are too few to call anything talk.
        if seen.heard.0 < PROVISIONAL_FROM.0 {
            return (State::Warming, None, None);
        }
        if self.music.is_not_music() {
            return (State::NotMusic, None, None);
        }
        let doubtful = self.music.is_doubtful();
        let Some(averaged) = averaged else {
            return if doubtful {
                (State::Unsure, Some(Reason::MaybeNotMusic), None)
            } else {
                (State::Warming, None, None)
            };
        };
        if doubtful {
            self.hysteresis.hide();
            return (State::Unsure, Some(Reason::MaybeNotMusic), None);
        }
        let early = self.early_margin(seen);
        let (threshold, now) = (self.unsure_below, seen.position);
        let families = self.labels.of_families(averaged);
        match self.hysteresis.choose(&families, now, threshold, early) {
            Chosen::Genre(family) => {
                let genre = self.kinds.choose(family, averaged, now, threshold, early);
                let state = if seen.heard.0 < FRAME.0 - 0.5 {
                    State::Provisional
                } else {
                    State::Live
                };
                (state, None, Some(genre))
            }
            Chosen::None(reason) => (State::Unsure, Some(reason), None),
        }
    }

    /// How much surer than usual an answer must be that rests on so much audio.
    fn early_margin(&self, seen: &Observation) -> f32 {
        // Who set the threshold to 0 wants every answer.
        if self.unsure_below <= 0.0 {
            return 0.0;
        }
        let rules = &self.rules;
        let until = if self.hysteresis.after_change(seen.position) {
            rules.early_after_change
        } else {
            rules.early_until
        };
        let falls_for = (until - rules.early_from).max(1e-3);
        let still_to_hear = ((until - seen.heard.0 as f32) / falls_for).clamp(0.0, 1.0);
        rules.early_margin * self.config.early_share * still_to_hear
    }

    /// Forgets the average, and with it the shown genre: something else begins, or the reset
    /// button.
    pub fn reset_average(&mut self) {
        self.average.reset();
        self.hysteresis.forget();
        self.kinds.forget();
    }

    /// The song seems to have changed: the average begins anew. It may be the same song that goes
    /// on, so that the genre that is shown stays while the new average bears it out, and another
    /// one must be the surer at the first look.
    pub fn song_changed(&mut self) {
        if self.hold {
            return;
        }
        self.average.fade_to(f64::from(self.rules.kept_on_change));
        self.hysteresis.song_changed();
    }

    /// Holds genre and average as they are, or lets go.
    pub fn set_hold(&mut self, hold: bool) {
        if hold == self.hold {
            return;
        }
        self.hold = hold;
        self.held = Some(self.last).filter(|last| hold && last.seq > 0);
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

    /// As restless as `preset` from now on: how long another genre must lead, and how sure a first
    /// guess must be. The average, which is set by itself, stays as it is.
    pub fn set_restlessness(&mut self, preset: Preset) {
        self.config.dwell = preset.dwell();
        self.config.early_share = preset.early_share();
        self.hysteresis.set_dwell(self.config.dwell);
    }

    /// Is the stream currently held to be something other than music?
    pub fn is_not_music(&self) -> bool {
        self.music.is_not_music()
    }

    /// Should song changes shorten the average?
    pub fn detects_changes(&self) -> bool {
        self.config.detect_changes
    }

    /// What the change detector must exceed for a change of song.
    pub fn change_above(&self) -> f32 {
        self.rules.change_above
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
        self.last = nothing_yet(&self.labels);
    }
}

fn nothing_yet(labels: &Labels) -> Readout {
    let mut readout = Readout::warming(labels.len());
    readout.scores = labels.added_up(&readout.scores);
    readout.frame_scores = readout.scores;
    readout
}

#[cfg(test)]
mod tests;
