//! What lights show of a readout: channel values for each genre and each state, faded, and channels
//! that follow scores.
//!
//! A [`Look`] is read from a look file (TOML, docs/feeds/lights.md). A [`Stage`] holds what the
//! lights show at a moment; its clock is the `now` that it is given.

#[cfg(feature = "cli")]
mod file;

use std::{
    collections::{BTreeMap, BTreeSet},
    fmt::Write as _,
    time::{Duration, Instant},
};

use super::{SinkError, Update};
use crate::{
    decision::State,
    genre::{Labels, Scores},
};

/// Channels of a universe.
pub const CHANNELS: u16 = 512;

/// Highest universe there is (E1.31-2018, 9.1.1).
pub const LAST_UNIVERSE: u16 = 63_999;

/// Universes that one look may use.
pub const MAX_UNIVERSES: usize = 32;

/// Time from one look to the next where nothing else is said.
pub const DEFAULT_FADE: Duration = Duration::from_secs(1);

/// Longest fade, in seconds.
pub const LONGEST_FADE_S: f32 = 600.0;

/// One channel of one universe, both counted from 1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Slot {
    /// 1 to [`LAST_UNIVERSE`].
    pub universe: u16,
    /// 1 to [`CHANNELS`].
    pub channel: u16,
}

/// What a WLED controller is told while a scene is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Strip {
    /// Switch on with this preset, 1 to 250.
    Preset(u8),
    /// Switch off.
    Off,
}

/// What is shown for a genre or in a state.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Scene {
    /// Channels and what they show; others of the look are at 0.
    pub values: BTreeMap<Slot, u8>,
    /// Time from what was shown before; `None`: that of the look.
    pub fade: Option<Duration>,
    /// Once the scene is reached, nothing more is sent until another comes: the desk has its
    /// channels back.
    pub release: bool,
    /// For WLED controllers.
    pub strip: Option<Strip>,
}

/// What a fader follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Follows {
    /// The score of a genre, or of each.
    Score,
    /// The score of the shown genre or of the best candidate.
    Confidence,
    /// The probability of music.
    Music,
}

/// A channel that follows a number of the readout.
#[derive(Clone, Debug, PartialEq)]
pub struct Fader {
    /// Which number.
    pub follows: Follows,
    /// Whose score; `None`: that of each genre, on channels in a row.
    pub genre: Option<String>,
    /// The channel, or the first of them.
    pub slot: Slot,
    /// Value for 0 as long as there is music. Without music it is 0.
    pub min: u8,
    /// Value for 1.
    pub max: u8,
    /// How long a step takes; `None`: as in the look.
    pub fade: Option<Duration>,
}

/// What lights show.
#[derive(Clone, Debug, PartialEq)]
pub struct Look {
    /// Time from one scene to the next where a scene says nothing else.
    pub fade: Duration,
    /// Channels that jump where others fade: colour wheels, gobos, macros.
    pub snap: BTreeSet<Slot>,
    /// Beneath every scene.
    pub always: BTreeMap<Slot, u8>,
    /// By label.
    pub genres: BTreeMap<String, Scene>,
    /// For genres that have none of their own.
    pub other: Option<Scene>,
    /// In a state; where a genre is named, on top of the genre's.
    pub states: Vec<(State, Scene)>,
    /// When the program ends; by default everything is at 0.
    pub end: Option<Scene>,
    /// Channels that follow scores.
    pub faders: Vec<Fader>,
}

impl Look {
    /// The look without a file: channel N of the universe is full while genre N is shown, and the
    /// scores follow on the next channels.
    pub fn plain(labels: &Labels, universe: u16) -> Self {
        let slot = |index: usize| Slot {
            universe,
            // There are at most 64 labels.
            channel: u16::try_from(index + 1).unwrap_or(CHANNELS),
        };
        let scene = |index| Scene {
            values: BTreeMap::from([(slot(index), u8::MAX)]),
            ..Scene::default()
        };
        Self {
            fade: DEFAULT_FADE,
            snap: BTreeSet::new(),
            always: BTreeMap::new(),
            genres: labels
                .iter()
                .enumerate()
                .map(|(index, label)| (label.to_owned(), scene(index)))
                .collect(),
            other: None,
            states: Vec::new(),
            end: None,
            faders: vec![Fader {
                follows: Follows::Score,
                genre: None,
                slot: slot(labels.len()),
                min: 0,
                max: u8::MAX,
                fade: None,
            }],
        }
    }

    /// Every scene.
    fn scenes(&self) -> impl Iterator<Item = &Scene> {
        let states = self.states.iter().map(|(_, scene)| scene);
        self.genres
            .values()
            .chain(&self.other)
            .chain(states)
            .chain(&self.end)
    }

    /// Scene of a state.
    pub(super) fn state(&self, state: State) -> Option<&Scene> {
        let found = self.states.iter().find(|(known, _)| *known == state);
        found.map(|(_, scene)| scene)
    }

    /// Scene of a genre.
    pub(super) fn genre(&self, label: &str) -> Option<&Scene> {
        self.genres.get(label).or(self.other.as_ref())
    }

    /// Channels of a fader, each with the label that it follows.
    fn fader_slots(fader: &Fader, labels: &Labels) -> Vec<(Slot, Option<usize>)> {
        match (&fader.follows, &fader.genre) {
            (Follows::Score, None) => (0..labels.len())
                .map(|index| {
                    let channel = fader.slot.channel.saturating_add(index as u16);
                    let slot = Slot {
                        channel,
                        ..fader.slot
                    };
                    (slot, Some(index))
                })
                .collect(),
            (Follows::Score, Some(label)) => vec![(fader.slot, labels.index_of(label))],
            _ => vec![(fader.slot, None)],
        }
    }

    /// Universes that it uses, in order.
    pub fn universes(&self) -> Vec<u16> {
        let scenes = self.scenes().flat_map(|scene| scene.values.keys());
        let faders = self.faders.iter().map(|fader| &fader.slot);
        let slots = scenes.chain(self.always.keys()).chain(faders);
        let universes: BTreeSet<u16> = slots.map(|slot| slot.universe).collect();
        universes.into_iter().collect()
    }

    /// Is there anything for a WLED controller in it?
    pub fn has_strips(&self) -> bool {
        self.scenes().any(|scene| scene.strip.is_some())
    }

    /// Checks it against the labels of the model. Says what may be an oversight.
    ///
    /// # Errors
    /// In words, what cannot be shown.
    pub fn check(&self, labels: &Labels) -> Result<Vec<String>, String> {
        let named = self.genres.keys();
        let followed = self.faders.iter().filter_map(|fader| fader.genre.as_ref());
        for label in named.chain(followed) {
            if labels.index_of(label).is_none() {
                let known: Vec<&str> = labels.iter().collect();
                return Err(format!(
                    "the model has no label '{label}'; it has {}",
                    known.join(", ")
                ));
            }
        }
        let universes = self.universes().len();
        if universes > MAX_UNIVERSES {
            return Err(format!(
                "it uses {universes} universes; {MAX_UNIVERSES} are allowed"
            ));
        }
        let mut shown: BTreeSet<Slot> = self.always.keys().copied().collect();
        shown.extend(self.scenes().flat_map(|scene| scene.values.keys()).copied());
        let mut moved = BTreeSet::new();
        for fader in &self.faders {
            for (slot, _) in Self::fader_slots(fader, labels) {
                if slot.channel > CHANNELS {
                    return Err(format!(
                        "a fader for each of {} genres from channel {} on goes beyond channel {CHANNELS}",
                        labels.len(),
                        fader.slot.channel
                    ));
                }
                let place = shown_slot(slot);
                if shown.contains(&slot) {
                    return Err(format!(
                        "channel {place} follows a fader and stands in a scene, too; it can do one of the two"
                    ));
                }
                if !moved.insert(slot) {
                    return Err(format!("channel {place} follows two faders"));
                }
            }
        }
        let without: Vec<&str> = labels
            .iter()
            .filter(|label| self.genre(label).is_none())
            .collect();
        let mut remarks = Vec::new();
        if !without.is_empty() && without.len() < labels.len() {
            remarks.push(format!(
                "no look for {}: all is dark while it is shown ([other] is for such genres)",
                without.join(", ")
            ));
        }
        Ok(remarks)
    }

    /// What it shows when, for a person.
    pub fn describe(&self, labels: &Labels) -> String {
        let mut out = String::new();
        let fade = |scene: &Scene| scene.fade.unwrap_or(self.fade).as_secs_f32();
        let mut line = |name: &str, scene: Option<&Scene>| {
            let Some(scene) = scene else {
                out.push_str(&format!(
                    "  {name:<14} dark, fade {} s\n",
                    self.fade.as_secs_f32()
                ));
                return;
            };
            let mut values = self.always.clone();
            values.extend(&scene.values);
            let mut text = shown_values(&values);
            match scene.strip {
                Some(Strip::Preset(number)) => text += &format!(" wled preset {number}"),
                Some(Strip::Off) => text += " wled off",
                None => {}
            }
            if scene.release {
                text += ", then released";
            }
            out.push_str(&format!(
                "  {name:<14} {}, fade {} s\n",
                text.trim(),
                fade(scene)
            ));
        };
        for label in labels.iter() {
            line(label, self.genre(label));
        }
        for state in State::ALL {
            let scene = self.state(state);
            if state.names_a_genre() {
                if scene.is_some() {
                    line(&format!("+ {}", state.as_str()), scene);
                }
            } else {
                let quiet = Scene::default();
                line(
                    state.as_str(),
                    scene.or((!self.always.is_empty()).then_some(&quiet)),
                );
            }
        }
        line("end", self.end.as_ref());
        for fader in &self.faders {
            let what = match (fader.follows, &fader.genre) {
                (Follows::Score, Some(label)) => format!("score of {label}"),
                (Follows::Score, None) => "score of each".to_owned(),
                (Follows::Confidence, _) => "confidence".to_owned(),
                (Follows::Music, _) => "music".to_owned(),
            };
            let slots = Self::fader_slots(fader, labels);
            let mut place = shown_slot(fader.slot);
            if slots.len() > 1 {
                let _ = write!(place, "-{}", slots[slots.len() - 1].0.channel);
            }
            let (min, max) = (fader.min, fader.max);
            out.push_str(&format!("  {what:<14} {place} from {min} to {max}\n"));
        }
        out
    }
}

/// `UNIVERSE/CHANNEL`.
fn shown_slot(slot: Slot) -> String {
    format!("{}/{}", slot.universe, slot.channel)
}

/// Channels with their values; those in a row with the same value as one.
fn shown_values(values: &BTreeMap<Slot, u8>) -> String {
    let mut runs: Vec<(Slot, u16, u8)> = Vec::new();
    for (&slot, &value) in values {
        match runs.last_mut() {
            Some((first, last, same))
                if first.universe == slot.universe
                    && *last + 1 == slot.channel
                    && *same == value =>
            {
                *last = slot.channel;
            }
            _ => runs.push((slot, slot.channel, value)),
        }
    }
    let runs = runs.into_iter().map(|(first, last, value)| {
        let place = shown_slot(first);
        if last == first.channel {
            format!("{place}={value}")
        } else {
            format!("{place}-{last}={value}")
        }
    });
    let all: Vec<String> = runs.collect();
    if all.is_empty() {
        "dark".to_owned()
    } else {
        all.join(" ")
    }
}

/// One channel on its way.
#[derive(Clone, Copy, Debug)]
struct Channel {
    slot: Slot,
    from: f32,
    to: u8,
    start: Instant,
    fade: Duration,
    drive: Drive,
}

/// What moves a channel.
#[derive(Clone, Copy, Debug)]
enum Drive {
    Scene {
        snaps: bool,
    },
    /// Which fader of the look, and which label's score.
    Fader(usize, Option<usize>),
}

impl Channel {
    fn value(&self, now: Instant) -> f32 {
        let elapsed = now.saturating_duration_since(self.start);
        if elapsed >= self.fade {
            return f32::from(self.to);
        }
        let share = elapsed.as_secs_f32() / self.fade.as_secs_f32();
        self.from + (f32::from(self.to) - self.from) * share
    }

    /// How long one step takes.
    fn step(&self) -> Duration {
        self.fade
            .div_f32((f32::from(self.to) - self.from).abs().max(1.0))
    }

    fn go(&mut self, to: u8, fade: Duration, now: Instant) {
        if to != self.to {
            self.from = self.value(now);
            self.to = to;
            self.start = now;
            self.fade = fade;
        }
    }
}

/// What the lights show at a moment.
#[derive(Debug)]
pub struct Stage {
    look: Look,
    labels: Labels,
    channels: Vec<Channel>,
    /// What the newest scene was made of, and whether it ends in a release.
    release: bool,
}

impl Stage {
    /// Everything is at 0.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the look does not fit the labels.
    pub fn new(
        feed: &'static str,
        look: Look,
        labels: &Labels,
        now: Instant,
    ) -> Result<Self, SinkError> {
        look.check(labels).map_err(|why| SinkError::Setting {
            feed,
            what: "look",
            value: labels.len().to_string() + " genres",
            why,
        })?;
        let at_zero = |slot, drive| Channel {
            slot,
            from: 0.0,
            to: 0,
            start: now,
            fade: Duration::ZERO,
            drive,
        };
        let mut slots: BTreeSet<Slot> = look.always.keys().copied().collect();
        slots.extend(look.scenes().flat_map(|scene| scene.values.keys()));
        let mut channels: Vec<Channel> = slots
            .into_iter()
            .map(|slot| {
                let snaps = look.snap.contains(&slot);
                at_zero(slot, Drive::Scene { snaps })
            })
            .collect();
        for (number, fader) in look.faders.iter().enumerate() {
            for (slot, label) in Look::fader_slots(fader, labels) {
                channels.push(at_zero(slot, Drive::Fader(number, label)));
            }
        }
        Ok(Self {
            look,
            labels: labels.clone(),
            channels,
            release: false,
        })
    }

    /// A readout: its scene is faded to from what is shown now.
    pub fn show(&mut self, update: &Update, now: Instant) {
        let readout = &update.readout;
        let state = if update.held {
            State::Live
        } else {
            readout.state
        };
        let music = readout.state.has_scores();
        let number = |follows, label: Option<usize>| {
            let number = match follows {
                Follows::Score => score(&readout.scores, label),
                Follows::Confidence => readout.confidence,
                Follows::Music => readout.music.unwrap_or(0.0),
            };
            music.then_some(number)
        };
        self.go(readout.genre, state, number, now);
    }

    /// A state without a readout: the stream begins, or the source is lost.
    pub fn show_state(&mut self, state: State, now: Instant) {
        self.go(None, state, |_, _| None, now);
    }

    fn go(
        &mut self,
        genre: Option<usize>,
        state: State,
        number: impl Fn(Follows, Option<usize>) -> Option<f32>,
        now: Instant,
    ) {
        let look = &self.look;
        let label = genre.and_then(|index| self.labels.get(index));
        let of_genre = label.and_then(|label| look.genre(label));
        let of_state = look.state(state);
        let mut values = look.always.clone();
        for scene in [of_genre, of_state].into_iter().flatten() {
            values.extend(&scene.values);
        }
        let said = |scene: Option<&Scene>| scene.and_then(|scene| scene.fade);
        let fade = said(of_state).or(said(of_genre)).unwrap_or(look.fade);
        for channel in &mut self.channels {
            match channel.drive {
                Drive::Scene { snaps } => {
                    let to = values.get(&channel.slot).copied().unwrap_or(0);
                    channel.go(to, if snaps { Duration::ZERO } else { fade }, now);
                }
                Drive::Fader(index, label) => {
                    let fader = &look.faders[index];
                    let (min, max) = (f32::from(fader.min), f32::from(fader.max));
                    let to = number(fader.follows, label)
                        .map_or(0.0, |number| min + (max - min) * number.clamp(0.0, 1.0));
                    channel.go(to.round() as u8, fader.fade.unwrap_or(look.fade), now);
                }
            }
        }
        self.release = of_state.or(of_genre).is_some_and(|scene| scene.release);
    }

    /// The program ends: the last scene, at once.
    pub fn end(&mut self, now: Instant) {
        let values = self.look.end.as_ref().map(|scene| &scene.values);
        for channel in &mut self.channels {
            let to = values.and_then(|values| values.get(&channel.slot)).copied();
            channel.go(to.unwrap_or(0), Duration::ZERO, now);
            channel.fade = Duration::ZERO;
        }
    }

    /// How long the fastest of the channels that had not arrived at `since` takes for one of its 255
    /// steps; nothing for what jumps. `None`: all had arrived.
    pub fn step(&self, since: Option<Instant>) -> Option<Duration> {
        let moving = |channel: &&Channel| since.is_none_or(|at| channel.start + channel.fade > at);
        let channels = self.channels.iter().filter(moving);
        channels.map(Channel::step).min()
    }

    /// Is the desk to have its channels back once everything stands still?
    pub fn releases(&self) -> bool {
        self.release
    }

    /// Universes that the look uses.
    pub fn universes(&self) -> Vec<u16> {
        self.look.universes()
    }

    /// Channels that it moves.
    pub fn n_channels(&self) -> usize {
        self.channels.len()
    }

    /// All channels of a universe as they stand.
    pub fn frame(&self, universe: u16, now: Instant) -> [u8; CHANNELS as usize] {
        let mut frame = [0; CHANNELS as usize];
        for channel in &self.channels {
            if channel.slot.universe == universe {
                frame[usize::from(channel.slot.channel) - 1] = channel.value(now).round() as u8;
            }
        }
        frame
    }
}

fn score(scores: &Scores, label: Option<usize>) -> f32 {
    let found = label.and_then(|label| scores.as_slice().get(label));
    found.copied().unwrap_or(0.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    fn slot(channel: u16) -> Slot {
        Slot {
            universe: 1,
            channel,
        }
    }

    fn stage(look: Look, now: Instant) -> Stage {
        Stage::new("sacn", look, &fixtures::hello().labels, now).unwrap()
    }

    /// The channels that are not at 0.
    fn lit(stage: &Stage, now: Instant) -> Vec<(usize, u8)> {
        let frame = stage.frame(1, now);
        let lit = frame
            .into_iter()
            .enumerate()
            .filter(|(_, value)| *value > 0);
        lit.map(|(index, value)| (index + 1, value)).collect()
    }

    fn scene(values: &[(u16, u8)], fade_s: f32) -> Scene {
        Scene {
            values: values.iter().map(|&(c, value)| (slot(c), value)).collect(),
            fade: Some(Duration::from_secs_f32(fade_s)),
            ..Scene::default()
        }
    }

    #[test]
    fn the_plain_look_lights_a_channel_for_the_genre_and_lets_scores_follow() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut stage = stage(Look::plain(&fixtures::hello().labels, 1), start);
        assert_eq!(lit(&stage, start), []);
        stage.show(&fixtures::update(1, Some(9)), start);
        assert_eq!(lit(&stage, at(500))[0], (10, 128), "half way");
        let settled = lit(&stage, at(1_000));
        assert_eq!(settled[0], (10, 255));
        assert_eq!(
            settled[1..10],
            [11, 12, 13, 14, 15, 16, 17, 18, 19].map(|c| (c, 10))
        );
        assert_eq!(settled[10], (20, 163));
        // From where it stands, not from where it was going.
        stage.show(&fixtures::update(2, Some(0)), at(2_000));
        stage.show(&fixtures::update(3, Some(9)), at(2_500));
        let frame = stage.frame(1, at(2_500));
        assert_eq!((frame[0], frame[9]), (128, 128));
        let frame = stage.frame(1, at(3_500));
        assert_eq!((frame[0], frame[9]), (0, 255));
    }

    #[test]
    fn without_music_everything_is_dark_and_a_held_genre_is_not() {
        let start = Instant::now();
        let mut look = Look::plain(&fixtures::hello().labels, 1);
        look.faders[0].min = 40;
        let mut stage = stage(look, start);
        let at = |seconds| start + Duration::from_secs(seconds);
        for (seconds, state) in [
            (10, State::Silent),
            (20, State::NotMusic),
            (30, State::Lost),
        ] {
            stage.show(&fixtures::update(1, Some(9)), at(seconds));
            assert_eq!(lit(&stage, at(seconds + 2)).len(), 11);
            let mut update = fixtures::update(2, Some(9));
            update.readout.set_state(state);
            stage.show(&update, at(seconds + 3));
            assert_eq!(lit(&stage, at(seconds + 5)), [], "{state:?}");
        }
        stage.show(&fixtures::update(1, Some(9)), at(40));
        stage.show_state(State::Lost, at(43));
        assert_eq!(lit(&stage, at(45)), [], "lost without a readout");
        let mut held = fixtures::update(2, None);
        held.readout.genre = Some(9);
        held.held = true;
        stage.show(&held, at(50));
        assert_eq!(lit(&stage, at(52))[0], (10, 255));
        stage.end(at(53));
        assert_eq!(lit(&stage, at(53)), [], "at once");
    }

    #[test]
    fn scenes_lie_over_each_other_and_some_channels_jump() {
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        let mut look = Look::plain(&fixtures::hello().labels, 1);
        look.faders.clear();
        look.always = BTreeMap::from([(slot(100), 7)]);
        look.snap = BTreeSet::from([slot(50)]);
        look.genres
            .insert("rock".into(), scene(&[(1, 200), (50, 90)], 4.0));
        look.genres.remove("jazz");
        look.other = Some(scene(&[(3, 33)], 0.0));
        look.states = vec![
            (State::Provisional, scene(&[(1, 100)], 2.0)),
            (State::Silent, scene(&[(60, 60)], 0.0)),
        ];
        look.end = Some(scene(&[(70, 70)], 9.0));
        let mut stage = stage(look, start);
        let mut so_far = fixtures::update(1, Some(9));
        so_far.readout.state = State::Provisional;
        stage.show(&so_far, start);
        assert_eq!(lit(&stage, at(1_000)), [(1, 50), (50, 90), (100, 4)]);
        assert_eq!(lit(&stage, at(2_000)), [(1, 100), (50, 90), (100, 7)]);
        stage.show(&fixtures::update(2, Some(9)), at(3_000));
        assert_eq!(lit(&stage, at(5_000)), [(1, 150), (50, 90), (100, 7)]);
        stage.show(&fixtures::update(2, Some(5)), at(8_000));
        assert_eq!(lit(&stage, at(8_000)), [(3, 33), (100, 7)], "jazz has none");
        let mut silent = fixtures::update(3, None);
        silent.readout.set_state(State::Silent);
        stage.show(&silent, at(9_000));
        assert_eq!(lit(&stage, at(9_000)), [(60, 60), (100, 7)]);
        stage.end(at(10_000));
        assert_eq!(lit(&stage, at(10_000)), [(70, 70)]);
    }

    #[test]
    fn a_look_that_cannot_be_shown_is_refused_in_words() {
        let labels = fixtures::hello().labels;
        let wrong = |change: &dyn Fn(&mut Look)| {
            let mut look = Look::plain(&labels, 1);
            change(&mut look);
            look.check(&labels).unwrap_err()
        };
        let text = wrong(&|look| {
            look.genres.insert("polka".into(), Scene::default());
        });
        assert!(text.contains("polka") && text.contains("blues"), "{text}");
        let text = wrong(&|look| look.faders[0].genre = Some("polka".into()));
        assert!(text.contains("polka"), "{text}");
        let text = wrong(&|look| look.faders[0].slot.channel = 510);
        assert!(text.contains("512"), "{text}");
        let text = wrong(&|look| look.faders[0].slot.channel = 10);
        assert!(text.contains("1/10"), "{text}");
        let text = wrong(&|look| look.faders.push(look.faders[0].clone()));
        assert!(text.contains("1/11"), "{text}");
        let text = wrong(&|look| {
            for universe in 1..40 {
                look.always.insert(
                    Slot {
                        universe,
                        channel: 100,
                    },
                    1,
                );
            }
        });
        assert!(text.contains("39 universes"), "{text}");
        let mut look = Look::plain(&labels, 1);
        look.genres.remove("jazz");
        let remarks = look.check(&labels).unwrap();
        assert!(remarks[0].contains("no look for jazz"), "{remarks:?}");
        assert!(
            look.describe(&labels)
                .contains("rock           1/10=255, fade 1 s")
        );
    }
}
