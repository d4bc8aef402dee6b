//! What the host can see, automate and save.
//!
//! Parameter ids are frozen: a saved project finds its values by them. A test lists them.

mod settings;

use std::sync::Arc;

use genrescope::decision::{DEFAULT_AVERAGING, Preset};
use nice_plug::prelude::*;
use parking_lot::RwLock;

pub(crate) use self::settings::migrate;
pub use self::settings::{
    Appearance, DEFAULT_EDITOR, MAX_EDITOR, MIN_EDITOR, ModelChoice, Reach, SETTINGS_VERSION,
    Settings,
};
use crate::midi::{LAST_CC, LAST_NOTE, MidiMap};

/// Longest averaging time, in seconds.
pub const MAX_AVERAGING_S: f32 = 120.0;

/// Averaging time of a fresh instance, in seconds: the library's own, so that plugin, listener and
/// file say the same.
pub const DEFAULT_AVERAGING_S: f32 = DEFAULT_AVERAGING.0 as f32;

/// Note of the first genre in a fresh instance: C2 (36), where drum pads begin.
pub const DEFAULT_BASE_NOTE: i32 = MidiMap::DEFAULT.base_note as i32;

/// Controller of the first genre in a fresh instance: 20, the first of the twelve that MIDI leaves
/// undefined.
pub const DEFAULT_BASE_CC: i32 = MidiMap::DEFAULT.base_cc as i32;

/// Everything that a host saves with the project.
#[derive(Params)]
pub struct GenrescopeParams {
    /// The host's bypass switch: audio passes either way, but nothing is listened to or sent.
    #[id = "bypass"]
    pub bypass: BoolParam,
    /// Time constant of the running average, in seconds; 0 shows every frame as it is.
    #[id = "avg"]
    pub averaging_s: FloatParam,
    /// Keeps the readout as it stands.
    #[id = "hold"]
    pub hold: BoolParam,
    /// Forgets the average when it goes from off to on, so that a song change can be automated.
    #[id = "reset"]
    pub reset: BoolParam,
    /// Sends controllers and notes to the host.
    #[id = "midi"]
    pub midi: BoolParam,
    /// MIDI channel, 1 to 16.
    #[id = "mch"]
    pub midi_channel: IntParam,
    /// Note of the first genre.
    #[id = "mnote"]
    pub base_note: IntParam,
    /// Controller of the first genre.
    #[id = "mcc"]
    pub base_cc: IntParam,
    /// Sends OSC to [`Settings::osc_target`].
    #[id = "osc"]
    pub osc: BoolParam,
    /// How long another genre must lead, and how sure a first guess must be. Last, because some
    /// hosts count parameters.
    #[id = "preset"]
    pub restlessness: EnumParam<Restlessness>,
    /// What is not a number: never touched by the audio thread.
    #[persist = "settings"]
    pub settings: Arc<RwLock<Settings>>,
}

impl std::fmt::Debug for GenrescopeParams {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("GenrescopeParams")
            .field("bypass", &self.bypass.value())
            .field("averaging_s", &self.averaging_s.value())
            .field("hold", &self.hold.value())
            .field("midi", &self.midi_map())
            .field("osc", &self.osc.value())
            .field("settings", &*self.settings.read())
            .finish_non_exhaustive()
    }
}

/// The listener's presets as a parameter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
pub enum Restlessness {
    /// Few changes, each well founded.
    #[id = "steady"]
    #[name = "Steady"]
    Steady,
    /// What is built in.
    #[id = "balanced"]
    #[name = "Balanced"]
    Balanced,
    /// The best guess soon, and another one as soon as it leads.
    #[id = "fast"]
    #[name = "Fast"]
    Fast,
}

impl Restlessness {
    /// Every value, the slowest first.
    pub const ALL: [Self; 3] = [Self::Steady, Self::Balanced, Self::Fast];

    /// As it is shown.
    pub const fn name(self) -> &'static str {
        match self {
            Self::Steady => "Steady",
            Self::Balanced => "Balanced",
            Self::Fast => "Fast",
        }
    }

    /// The preset of this name.
    pub const fn preset(self) -> Preset {
        match self {
            Self::Steady => Preset::Steady,
            Self::Balanced => Preset::Balanced,
            Self::Fast => Preset::Fast,
        }
    }
}

impl Default for GenrescopeParams {
    fn default() -> Self {
        let seconds = |value: f32| {
            if value < 0.05 {
                "off".to_owned()
            } else {
                format!("{value:.1} s")
            }
        };
        Self {
            bypass: BoolParam::new("Bypass", false).make_bypass(),
            averaging_s: FloatParam::new(
                "Averaging",
                DEFAULT_AVERAGING_S,
                FloatRange::Skewed {
                    min: 0.0,
                    max: MAX_AVERAGING_S,
                    factor: FloatRange::skew_factor(-1.0),
                },
            )
            .with_step_size(0.1)
            .with_value_to_string(Arc::new(seconds))
            .with_string_to_value(Arc::new(parse_seconds)),
            hold: BoolParam::new("Hold", false),
            reset: BoolParam::new("Reset", false),
            // Off until asked: to an instrument further down the chain a genre's note is a key that
            // somebody plays.
            midi: BoolParam::new("MIDI Out", false),
            midi_channel: IntParam::new("MIDI Channel", 1, IntRange::Linear { min: 1, max: 16 })
                .non_automatable(),
            base_note: IntParam::new(
                "First Note",
                DEFAULT_BASE_NOTE,
                IntRange::Linear {
                    min: 0,
                    max: i32::from(LAST_NOTE),
                },
            )
            .non_automatable(),
            base_cc: IntParam::new(
                "First CC",
                DEFAULT_BASE_CC,
                IntRange::Linear {
                    min: 0,
                    max: i32::from(LAST_CC),
                },
            )
            .non_automatable(),
            osc: BoolParam::new("OSC Out", false).non_automatable(),
            restlessness: EnumParam::new("Preset", Restlessness::Balanced),
            settings: Arc::default(),
        }
    }
}

impl GenrescopeParams {
    /// The MIDI map, `None` while MIDI is off or bypassed.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    #[deny(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::disallowed_macros
    )]
    pub fn midi_map(&self) -> Option<MidiMap> {
        (self.midi.value() && !self.bypass.value()).then(|| MidiMap {
            channel: (self.midi_channel.value() - 1).clamp(0, 15) as u8,
            base_note: self.base_note.value().clamp(0, i32::from(LAST_NOTE)) as u8,
            base_cc: self.base_cc.value().clamp(0, i32::from(LAST_CC)) as u8,
        })
    }
}

/// `15`, `15 s`, `off`.
fn parse_seconds(text: &str) -> Option<f32> {
    let text = text.trim();
    if text.eq_ignore_ascii_case("off") {
        return Some(0.0);
    }
    let number = text.trim_end_matches(|c: char| c.is_alphabetic() || c.is_whitespace());
    number.parse().ok().filter(|value: &f32| value.is_finite())
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn parameter_ids_are_frozen() {
        let ids: Vec<String> = GenrescopeParams::default()
            .param_map()
            .into_iter()
            .map(|(id, _, _)| id)
            .collect();
        assert_eq!(
            ids,
            [
                "bypass", "avg", "hold", "reset", "midi", "mch", "mnote", "mcc", "osc", "preset"
            ]
        );
    }

    #[test]
    fn persisted_fields_are_frozen() {
        let params = GenrescopeParams::default();
        params.settings.write().model = ModelChoice::File("/models/own.safetensors".into());
        assert_eq!(
            params.serialize_fields(),
            BTreeMap::from([(
                "settings".to_owned(),
                r#"{"version":2,"model":{"file":"/models/own.safetensors"},"osc_target":"127.0.0.1:9000","editor":[760,480],"strip":"2min","theme":"dark","language":""}"#
                    .to_owned()
            )])
        );
    }

    #[test]
    fn averaging_reads_back_what_it_shows() {
        let params = GenrescopeParams::default();
        for value in [0.0, 0.1, 1.5, 15.0, 120.0] {
            let shown = params
                .averaging_s
                .normalized_value_to_string(params.averaging_s.preview_normalized(value), true);
            let read = params.averaging_s.string_to_normalized_value(&shown);
            let back = params.averaging_s.preview_plain(read.unwrap());
            assert!((back - value).abs() < 1e-3, "{value} -> {shown} -> {back}");
        }
    }

    #[test]
    fn the_presets_are_the_listeners() {
        let names = Preset::ALL.map(Preset::as_str);
        assert_eq!(Restlessness::ids(), Some(names.as_slice()));
        let shown = Restlessness::ALL.map(Restlessness::name);
        assert_eq!(Restlessness::variants(), shown);
        assert_eq!(shown.map(str::to_lowercase), names);
        assert_eq!(Restlessness::ALL.map(Restlessness::preset), Preset::ALL);
        let fresh = GenrescopeParams::default().restlessness.value();
        assert_eq!(fresh.preset(), Preset::default());
    }

    #[test]
    fn the_midi_map_is_zero_based_on_the_wire() {
        assert_eq!(GenrescopeParams::default().midi_map(), None, "until asked");
        let asked = GenrescopeParams {
            midi: BoolParam::new("MIDI Out", true),
            ..GenrescopeParams::default()
        };
        let map = asked.midi_map().unwrap();
        assert_eq!((map.channel, map.base_note, map.base_cc), (0, 36, 20));
    }
}
