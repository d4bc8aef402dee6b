//! What a project remembers beside its parameters.

use std::path::PathBuf;

use genrescope::words::Language;
use nice_plug::prelude::PluginState;
use serde::{Deserialize, Deserializer, Serialize, de::DeserializeOwned};

/// Version of [`Settings`] that this build writes.
///
/// | version | new |
/// |---|---|
/// | 2 | `strip`, `theme`, `language` |
pub const SETTINGS_VERSION: u32 = 2;

/// Smallest editor, in logical points.
pub const MIN_EDITOR: (u32, u32) = (200, 80);

/// Largest editor, in logical points.
pub const MAX_EDITOR: (u32, u32) = (2400, 1600);

/// Editor of a fresh instance, in logical points.
pub const DEFAULT_EDITOR: (u32, u32) = (760, 480);

/// Where the network comes from.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ModelChoice {
    /// The model that is compiled into the plugin.
    #[default]
    Builtin,
    /// The one with families and kinds, compiled in, too.
    Wide,
    /// A model file.
    File(PathBuf),
}

/// How far back the strip reaches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Reach {
    /// Two minutes.
    #[default]
    #[serde(rename = "2min")]
    Two,
    /// Ten minutes.
    #[serde(rename = "10min")]
    Ten,
    /// All that is kept: an hour.
    #[serde(rename = "60min")]
    Sixty,
}

impl Reach {
    /// Every reach, the shortest first.
    pub const ALL: [Self; 3] = [Self::Two, Self::Ten, Self::Sixty];

    /// In minutes.
    pub const fn minutes(self) -> u8 {
        match self {
            Self::Two => 2,
            Self::Ten => 10,
            Self::Sixty => 60,
        }
    }

    /// In seconds.
    pub const fn seconds(self) -> f64 {
        self.minutes() as f64 * 60.0
    }
}

/// Which theme the editor has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Appearance {
    /// Bright on dark.
    #[default]
    Dark,
    /// Dark on bright.
    Light,
    /// The system's, where it is known; dark where it is not.
    System,
}

impl Appearance {
    /// Every choice.
    pub const ALL: [Self; 3] = [Self::Dark, Self::Light, Self::System];
}

/// What a project remembers beside its parameters.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Settings {
    /// [`SETTINGS_VERSION`] of the build that wrote it.
    pub version: u32,
    /// Which network listens.
    pub model: ModelChoice,
    /// Where OSC goes: `host:port`.
    pub osc_target: String,
    /// Width and height of the editor, in logical points.
    pub editor: (u32, u32),
    /// How far back the strip reaches.
    #[serde(deserialize_with = "known")]
    pub strip: Reach,
    /// Which theme it has.
    #[serde(deserialize_with = "known")]
    pub theme: Appearance,
    /// Code of its language; empty for the system's.
    language: String,
}

/// A word of a later build must not keep the rest from loading.
fn known<'de, D: Deserializer<'de>, T: DeserializeOwned + Default>(
    deserializer: D,
) -> Result<T, D::Error> {
    let value = serde_json::Value::deserialize(deserializer)?;
    Ok(serde_json::from_value(value).unwrap_or_default())
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            version: SETTINGS_VERSION,
            model: ModelChoice::Builtin,
            osc_target: "127.0.0.1:9000".to_owned(),
            editor: DEFAULT_EDITOR,
            strip: Reach::default(),
            theme: Appearance::default(),
            language: String::new(),
        }
    }
}

impl Settings {
    /// The language that was chosen; `None` for the system's.
    pub fn language(&self) -> Option<Language> {
        let mut all = Language::ALL.into_iter();
        all.find(|language| language.code() == self.language)
    }

    /// Chooses a language; `None` for the system's.
    pub fn set_language(&mut self, language: Option<Language>) {
        language
            .map_or("", Language::code)
            .clone_into(&mut self.language);
    }

    /// The editor's size within what can be shown, whatever was saved.
    pub fn editor_size(&self) -> (u32, u32) {
        (
            self.editor.0.clamp(MIN_EDITOR.0, MAX_EDITOR.0),
            self.editor.1.clamp(MIN_EDITOR.1, MAX_EDITOR.1),
        )
    }
}

/// Brings a state that another build saved to what this build reads and writes. What it does not
/// have (an older build's, a host's own preset) `serde` completes by defaults.
pub(crate) fn migrate(state: &mut PluginState) {
    let Some(saved) = state.fields.remove("settings") else {
        return;
    };
    // An unreadable field must not keep the rest of the project from loading.
    if let Ok(mut settings) = serde_json::from_str::<Settings>(&saved) {
        settings.version = SETTINGS_VERSION;
        if let Ok(settings) = serde_json::to_string(&settings) {
            state.fields.insert("settings".to_owned(), settings);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    #[test]
    fn settings_survive_what_they_do_not_know() {
        let older: Settings = serde_json::from_str(r#"{"osc_target":"10.0.0.1:7700"}"#).unwrap();
        assert_eq!(older.osc_target, "10.0.0.1:7700");
        assert_eq!(older.model, ModelChoice::Builtin);
        let newer: Settings = serde_json::from_str(
            r#"{"version":9,"new":true,"editor":[9,99999],"strip":"2h","theme":7,"language":"xx"}"#,
        )
        .unwrap();
        assert_eq!(newer.editor_size(), (MIN_EDITOR.0, MAX_EDITOR.1));
        assert_eq!((newer.strip, newer.theme), (Reach::Two, Appearance::Dark));
        assert_eq!(newer.language(), None);
    }

    #[test]
    fn a_state_of_the_first_version_loads_whole() {
        let first =
            r#"{"version":1,"model":"wide","osc_target":"10.0.0.1:7700","editor":[402,501]}"#;
        let mut state = PluginState {
            version: "0.1.0".to_owned(),
            params: BTreeMap::new(),
            fields: BTreeMap::from([("settings".to_owned(), first.to_owned())]),
        };
        migrate(&mut state);
        let settings: Settings = serde_json::from_str(&state.fields["settings"]).unwrap();
        let expected = Settings {
            model: ModelChoice::Wide,
            osc_target: "10.0.0.1:7700".to_owned(),
            editor: (402, 501),
            ..Settings::default()
        };
        assert_eq!(settings, expected);
    }

    #[test]
    fn a_language_is_kept() {
        let mut settings = Settings::default();
        for choice in Language::ALL.map(Some).into_iter().chain([None]) {
            settings.set_language(choice);
            let saved = serde_json::to_string(&settings).unwrap();
            let loaded: Settings = serde_json::from_str(&saved).unwrap();
            assert_eq!(loaded.language(), choice);
        }
    }

    #[test]
    fn an_unreadable_field_is_dropped() {
        let mut state = PluginState {
            version: "0.0.1".to_owned(),
            params: BTreeMap::new(),
            fields: BTreeMap::from([("settings".to_owned(), "7".to_owned())]),
        };
        migrate(&mut state);
        assert!(state.fields.is_empty());
    }
}
