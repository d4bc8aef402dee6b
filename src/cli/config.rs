//! The configuration file, and `genrescope config`, which shows what is in effect.
//!
//! What is not in the file has its default; what is on the command line wins. The file is TOML:
//!
//! ```toml
//! color = "auto"
//! model = "/home/me/my-genres.safetensors"
//!
//! [listen]
//! device = "Scarlett"
//! averaging = 12.0
//! osc = ["127.0.0.1:9000"]
//! ```

use std::{
    env,
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
};

use anyhow::Context as _;
use serde::{Deserialize, Serialize};
use thiserror::Error;

use super::{
    ColorChoice, Context, LanguageChoice, ThemeChoice, lights::Lights, output_file::stdout,
    text::read_settings,
};
use crate::{
    decision::{Preset, average::Mean},
    network::BuiltIn,
    sink::{
        SinkError, exec,
        hold::HoldGenre,
        http,
        map::PRESETS,
        mqtt, os2l,
        osc::{DEFAULT_PORT, parse_target},
        text,
    },
    source::model_file,
    toml_words,
    units::Seconds,
};

/// Everything that can be set in the file.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Config {
    /// When to use colours: `auto`, `always` or `never`.
    pub color: ColorChoice,
    /// The language of what a terminal shows: `auto`, `en`, `de` or `es`.
    pub language: LanguageChoice,
    /// Colours for a terminal: `auto`, `dark` or `light`.
    pub theme: ThemeChoice,
    /// Another model than the default: `wide`, which is built in, or a model file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub model: Option<PathBuf>,
    /// Lights that `genrescope listen` sends to.
    pub lights: Lights,
    /// Settings of `genrescope listen`.
    pub listen: Listen,
    /// The file that it was read from.
    #[serde(skip)]
    pub file: Option<PathBuf>,
}

/// Settings of `genrescope listen`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Listen {
    /// `default`, `system`, or (a unique part of) the name or id of a source.
    pub device: String,
    /// How restless the answer may be: `steady`, `balanced` or `fast`; without it, balanced.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub preset: Option<PresetKind>,
    /// Time constant of the running average in seconds, 0 to 600; without it, the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub averaging: Option<f64>,
    /// How long another genre must be the best before it is shown, in seconds, 0 to 600; without
    /// it, the preset's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dwell: Option<f64>,
    /// Score below which no genre is shown, 0 to 1; without it, the model's own.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unsure_below: Option<f32>,
    /// How long feeds keep the last genre while none is named: seconds, or `silence`; without it,
    /// not at all.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub hold_genre: Option<HoldSetting>,
    /// How frame scores become one: `arithmetic` or `geometric`; without it, arithmetic.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<MeanKind>,
    /// JSON Lines on standard output instead of the view.
    pub json: bool,
    /// JSON Lines to the end of this file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub json_file: Option<PathBuf>,
    /// OSC receivers, `HOST:PORT`.
    pub osc: Vec<String>,
    /// OS2L receivers, `HOST:PORT`, or `auto`.
    pub os2l: Vec<String>,
    /// A preset (`default`, `qlcplus`, `magicq`, `grandma3`, `resolume`) or a map file.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub osc_map: Option<String>,
    /// Where the page listens: `HOST`, `HOST:PORT` or `:PORT`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http: Option<String>,
    /// The file whose first line is the page's token.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub http_token_file: Option<PathBuf>,
    /// An MQTT broker, `mqtt://[USER@]HOST[:PORT][/PREFIX]` or `mqtts://`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt: Option<String>,
    /// The file whose first line is the broker's password.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt_password_file: Option<PathBuf>,
    /// The certificate that vouches for the broker; without it, those of the system.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt_ca: Option<PathBuf>,
    /// Where Home Assistant looks, or `off`; without it, `homeassistant`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mqtt_discovery: Option<String>,
    /// A file that holds the genre as one line.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text: Option<PathBuf>,
    /// What the line says; without it, `{genre}`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub text_format: Option<String>,
    /// A command that is run when the genre changes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exec: Option<String>,
    /// A Unix socket with JSON Lines.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub socket: Option<PathBuf>,
}

impl Default for Listen {
    fn default() -> Self {
        Self {
            device: "default".into(),
            preset: None,
            averaging: None,
            dwell: None,
            unsure_below: None,
            hold_genre: None,
            mean: None,
            json: false,
            json_file: None,
            osc: Vec::new(),
            os2l: Vec::new(),
            osc_map: None,
            http: None,
            http_token_file: None,
            mqtt: None,
            mqtt_password_file: None,
            mqtt_ca: None,
            mqtt_discovery: None,
            text: None,
            text_format: None,
            exec: None,
            socket: None,
        }
    }
}

type Check = fn(&str) -> Result<(), SinkError>;

/// How frame scores become one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum MeanKind {
    /// Their mean, as in the paper.
    Arithmetic,
    /// Their normalised product.
    Geometric,
}

impl From<MeanKind> for Mean {
    fn from(kind: MeanKind) -> Self {
        match kind {
            MeanKind::Arithmetic => Mean::Arithmetic,
            MeanKind::Geometric => Mean::Geometric,
        }
    }
}

/// How restless the answer may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "lowercase")]
pub enum PresetKind {
    /// Few changes, each well founded.
    Steady,
    /// Between the two.
    Balanced,
    /// The best guess soon, and another as soon as it leads.
    Fast,
}

impl From<PresetKind> for Preset {
    fn from(kind: PresetKind) -> Self {
        match kind {
            PresetKind::Steady => Preset::Steady,
            PresetKind::Balanced => Preset::Balanced,
            PresetKind::Fast => Preset::Fast,
        }
    }
}

/// [`HoldGenre`] as it is written: seconds, or the word `silence`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum HoldSetting {
    /// For so many seconds.
    Seconds(f64),
    /// `silence`: until silence.
    Word(String),
}

impl HoldSetting {
    /// What it means.
    ///
    /// # Errors
    /// In words, when it is neither of the two.
    pub fn rule(&self) -> Result<HoldGenre, String> {
        match self {
            Self::Seconds(seconds) if (0.0..=3600.0).contains(seconds) => {
                Ok(HoldGenre::For(Seconds(*seconds)))
            }
            Self::Seconds(seconds) => Err(format!(
                "{seconds} is not in 0 to 3600 seconds; 'silence' keeps it until silence"
            )),
            Self::Word(word) if word == "silence" => Ok(HoldGenre::UntilSilence),
            Self::Word(word) => Err(format!(
                "'{word}' is neither a number of seconds nor the word 'silence'"
            )),
        }
    }
}

/// Why a configuration file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// It cannot be read.
    #[error("cannot read configuration file '{}'", .path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// It is not TOML, a value is of the wrong kind, or there is no such setting.
    #[error("{}:{line}: {reason}", .path.display())]
    Malformed {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// What is wrong there.
        reason: String,
    },
    /// A value is out of its range.
    #[error("{}: {key} = {value} is out of range ({allowed})", .path.display())]
    Range {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: &'static str,
        /// Its value.
        value: String,
        /// What would be.
        allowed: &'static str,
    },
    /// A value cannot work.
    #[error("{}: {key}: {reason}", .path.display())]
    Value {
        /// The file.
        path: PathBuf,
        /// The setting.
        key: &'static str,
        /// What is wrong with it.
        reason: String,
    },
}

impl Config {
    /// Reads a file's text; `path` is for messages.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and the nearest known setting.
    pub fn from_toml(text: &str, path: &Path) -> Result<Self, ConfigError> {
        let config: Config = toml::from_str(text).map_err(|error| {
            let (line, reason) = toml_words::line_and_reason(text, &error);
            ConfigError::Malformed {
                path: path.to_owned(),
                line,
                reason,
            }
        })?;
        config.check(path)?;
        Ok(config)
    }

    /// Reads a file.
    ///
    /// # Errors
    /// [`ConfigError`], with file, line and the nearest known setting.
    pub fn read(path: &Path) -> Result<Self, ConfigError> {
        let text = read_settings(path).map_err(|source| ConfigError::Read {
            path: path.to_owned(),
            source,
        })?;
        let mut config = Self::from_toml(&text, path)?;
        config.resolve(path.parent().unwrap_or(Path::new("")));
        config.file = Some(path.to_owned());
        Ok(config)
    }

    /// Relative paths in a file are relative to its folder, wherever the program is started; those
    /// that begin with `~/`, to the user's.
    fn resolve(&mut self, folder: &Path) {
        // The name of a model that is built in is no path.
        let model = Some(&mut self.model).filter(|model| {
            let name = model.as_ref().and_then(|model| model.to_str());
            name.and_then(BuiltIn::named).is_none()
        });
        let listen = &mut self.listen;
        let paths = model.into_iter().chain([
            &mut listen.json_file,
            &mut listen.http_token_file,
            &mut listen.mqtt_password_file,
            &mut listen.mqtt_ca,
            &mut listen.text,
            &mut listen.socket,
            &mut self.lights.look,
            &mut self.lights.midi_map,
        ]);
        for path in paths.flatten() {
            *path = at_home(path).unwrap_or_else(|| folder.join(&*path));
        }
        if let Some(map) = &mut self.listen.osc_map
            && !PRESETS.contains(&map.as_str())
        {
            let home = at_home(Path::new(map));
            let file = home.unwrap_or_else(|| folder.join(&*map));
            // A preset that was misspelt stays what it is, to be told as that.
            if let (true, Some(file)) = (file.extension().is_some() || file.exists(), file.to_str())
            {
                file.clone_into(map);
            }
        }
    }

    /// Checks that the files it names are there and are what they should be: the model, the map.
    ///
    /// # Errors
    /// Naming the setting, its value and this file.
    pub fn check_files(&self) -> anyhow::Result<()> {
        if let Some(model) = &self.model {
            model_file::load(model).with_context(|| self.origin("model"))?;
        }
        if let Some(look) = &self.lights.look {
            let model = match &self.model {
                Some(model) => model_file::load(model)?,
                None => crate::network::Model::builtin(),
            };
            self.load_named(("lights.look", Some(look)), None, |look| {
                super::lights::load_look(look, model.labels(), 1)
            })?;
        }
        let map = self.lights.midi_map.as_ref();
        self.load_named(("lights.midi_map", map), None, |map| {
            super::lights::load_midi_map(map)
        })?;
        let map = self.listen.osc_map.as_ref();
        self.load_named(("listen.osc_map", map), None, |map| {
            super::listen::load_map(map)
        })?;
        Ok(())
    }

    /// Loads what the command line names, or else this configuration under `key`: a message then
    /// says so.
    ///
    /// # Errors
    /// As `load`.
    pub fn load_named<N, T>(
        &self,
        (key, set): (&str, Option<&N>),
        given: Option<&N>,
        load: impl FnOnce(&N) -> anyhow::Result<T>,
    ) -> anyhow::Result<Option<T>> {
        match (given, set) {
            (Some(name), _) => load(name).map(Some),
            (None, Some(name)) => load(name).map(Some).with_context(|| self.origin(key)),
            (None, None) => Ok(None),
        }
    }

    /// Where a setting comes from, for messages.
    pub fn origin(&self, key: &str) -> String {
        match &self.file {
            Some(file) => format!("'{key}' in configuration file '{}'", file.display()),
            None => format!("'{key}' of the configuration"),
        }
    }

    /// The user's file, or defaults if there is none.
    ///
    /// # Errors
    /// [`ConfigError`], also when a file that was named is not there.
    pub fn load(named: Option<&Path>) -> Result<Self, ConfigError> {
        match (named, default_path()) {
            (Some(path), _) => Self::read(path),
            (None, Some(path)) if path.exists() => Self::read(&path),
            _ => Ok(Self::default()),
        }
    }

    fn check(&self, path: &Path) -> Result<(), ConfigError> {
        let out_of_range = |key, value: String, allowed| ConfigError::Range {
            path: path.to_owned(),
            key,
            value,
            allowed,
        };
        let listen = &self.listen;
        let numbers = [
            (
                "listen.averaging",
                listen.averaging,
                600.0,
                "0 to 600 seconds",
            ),
            ("listen.dwell", listen.dwell, 600.0, "0 to 600 seconds"),
            (
                "listen.unsure_below",
                listen.unsure_below.map(f64::from),
                1.0,
                "0 to 1",
            ),
        ];
        for (key, value, most, allowed) in numbers {
            if let Some(value) = value
                && !(0.0..=most).contains(&value)
            {
                return Err(out_of_range(key, value.to_string(), allowed));
            }
        }
        if let Some(Err(reason)) = listen.hold_genre.as_ref().map(HoldSetting::rule) {
            return Err(ConfigError::Value {
                path: path.to_owned(),
                key: "listen.hold_genre",
                reason,
            });
        }
        self.lights
            .check()
            .map_err(|(key, reason)| ConfigError::Value {
                path: path.to_owned(),
                key,
                reason,
            })?;
        if self.listen.osc.len() > 16 {
            let value = format!("{} receivers", self.listen.osc.len());
            return Err(out_of_range("listen.osc", value, "at most 16 receivers"));
        }
        for target in &self.listen.osc {
            parse_target(target, DEFAULT_PORT).map_err(|error| ConfigError::Value {
                path: path.to_owned(),
                key: "listen.osc",
                reason: error.to_string(),
            })?;
        }
        if self.listen.os2l.len() > 16 {
            let value = format!("{} receivers", self.listen.os2l.len());
            return Err(out_of_range("listen.os2l", value, "at most 16 receivers"));
        }
        for target in &self.listen.os2l {
            os2l::check_target(target).map_err(|error| ConfigError::Value {
                path: path.to_owned(),
                key: "listen.os2l",
                reason: error.to_string(),
            })?;
        }
        let listen = &self.listen;
        let checks: [(_, _, Check); 4] = [
            ("listen.http", &listen.http, http::check_address),
            ("listen.mqtt", &listen.mqtt, mqtt::check_url),
            (
                "listen.text_format",
                &listen.text_format,
                text::check_format,
            ),
            ("listen.exec", &listen.exec, exec::check_command),
        ];
        for (key, value, check) in checks {
            let checked = value.as_deref().map_or(Ok(()), check);
            checked.map_err(|error| ConfigError::Value {
                path: path.to_owned(),
                key,
                reason: error.to_string(),
            })?;
        }
        Ok(())
    }

    /// As TOML.
    pub fn to_toml(&self) -> String {
        // Every field is a plain value, so there is nothing that could fail.
        toml::to_string(self).unwrap_or_default()
    }

    /// As TOML with every setting: what is not set has the value that is used then, or stands as a
    /// comment where there is none.
    pub fn in_effect(&self) -> String {
        let mut whole = self.clone();
        let preset = *whole.listen.preset.get_or_insert(PresetKind::Balanced);
        let preset = Preset::from(preset);
        whole.listen.averaging.get_or_insert(preset.averaging().0);
        whole.listen.dwell.get_or_insert(preset.dwell().0);
        whole.listen.mean.get_or_insert(MeanKind::Arithmetic);
        whole
            .listen
            .osc_map
            .get_or_insert_with(|| PRESETS[0].to_owned());
        whole.lights.fill();
        let mut text = whole.to_toml();
        let mut none = String::new();
        if self.lights.look.is_none() {
            none += "# look: channel N is full while genre N is shown\n";
        }
        if self.lights.interface.is_none() {
            none += "# interface: the one that leads to the receiver\n";
        }
        if self.lights.midi.is_none() {
            none += "# midi: none\n";
        }
        if self.lights.midi_map.is_none() {
            none += "# midi_map: notes from 36, controllers from 20, channel 1\n";
        }
        text = text.replacen("\n[listen]", &format!("{none}\n[listen]"), 1);
        if self.model.is_none() {
            text = text.replacen(
                "\n[lights]",
                "# model: the default, which is built in; \"wide\" is, too\n\n[lights]",
                1,
            );
        }
        if self.listen.unsure_below.is_none() {
            text += "# unsure_below: the model's own\n";
        }
        if self.listen.hold_genre.is_none() {
            text += "# hold_genre: not at all\n";
        }
        if self.listen.json_file.is_none() {
            text += "# json_file: none\n";
        }
        text
    }
}

/// A path below the user's folder, as shells write it. No shell sees those in a file.
fn at_home(path: &Path) -> Option<PathBuf> {
    let below = path.strip_prefix("~").ok()?;
    let home = env::var_os(if cfg!(windows) { "USERPROFILE" } else { "HOME" });
    home.filter(|home| !home.is_empty())
        .map(|home| Path::new(&home).join(below))
}

/// Where the user's file is looked for: `GENRESCOPE_CONFIG`, or `genrescope/config.toml` in the
/// system's place for settings. `None` where there is no such place.
pub fn default_path() -> Option<PathBuf> {
    let folder = |name: &str| {
        env::var_os(name)
            .filter(|v| !v.is_empty())
            .map(PathBuf::from)
    };
    if let Some(path) = folder("GENRESCOPE_CONFIG") {
        return Some(path);
    }
    let base = if cfg!(windows) {
        folder("APPDATA")
    } else if cfg!(target_os = "macos") {
        folder("HOME").map(|home| home.join("Library/Application Support"))
    } else {
        folder("XDG_CONFIG_HOME").or_else(|| folder("HOME").map(|home| home.join(".config")))
    };
    base.map(|base| base.join("genrescope").join("config.toml"))
}

/// Arguments of `genrescope config`.
#[derive(Debug, clap::Args)]
pub struct ConfigArgs {
    /// Print where the configuration file is looked for.
    #[arg(long)]
    pub path: bool,
}

/// Prints the configuration in effect, as TOML that can be the file.
///
/// # Errors
/// When standard output is closed.
pub fn run(args: &ConfigArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let mut out = stdout();
    if args.path {
        match default_path() {
            Some(path) => writeln!(out, "{}", path.display())?,
            None => anyhow::bail!("this system names no place for settings; use --config FILE"),
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut config = context.config.clone();
    config.check_files()?;
    config.model.clone_from(&context.model);
    config.color = context.color_choice;
    (config.language, config.theme) = (context.language, context.theme);
    out.write_all(config.in_effect().as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn error(text: &str) -> String {
        Config::from_toml(text, Path::new("config.toml"))
            .unwrap_err()
            .to_string()
    }

    #[test]
    fn an_empty_file_is_the_default_and_the_default_is_a_file() {
        let path = Path::new("config.toml");
        assert_eq!(Config::from_toml("", path).unwrap(), Config::default());
        let mut config = Config::default();
        config.listen.averaging = Some(12.5);
        config.listen.preset = Some(PresetKind::Steady);
        config.listen.hold_genre = Some(HoldSetting::Word("silence".into()));
        config.listen.osc = vec!["127.0.0.1:9000".into()];
        config.color = ColorChoice::Never;
        assert_eq!(Config::from_toml(&config.to_toml(), path).unwrap(), config);
    }

    #[test]
    fn every_setting_in_effect_is_shown_and_can_be_the_file() {
        let text = Config::default().in_effect();
        for setting in [
            "color",
            "language = \"auto\"",
            "theme = \"auto\"",
            "model",
            "device",
            "preset = \"balanced\"",
            "averaging = 20.0",
            "dwell = 0.0",
            "unsure_below",
            "hold_genre",
            "mean = \"arithmetic\"",
            "json",
            "json_file",
            "osc",
            "osc_map = \"default\"",
        ] {
            assert!(text.contains(setting), "{setting}: {text}");
        }
        let config = Config::from_toml(&text, Path::new("config.toml")).unwrap();
        assert_eq!(config.listen.averaging, Some(20.0));
    }

    #[test]
    fn paths_are_relative_to_the_file() {
        let dir = tempfile::tempdir().unwrap();
        let file = dir.path().join("config.toml");
        let text =
            "model = \"m.safetensors\"\n[listen]\njson_file = \"log\"\nosc_map = \"my.toml\"\n";
        std::fs::write(&file, text).unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.model, Some(dir.path().join("m.safetensors")));
        let mut named = Config {
            model: Some("wide".into()),
            ..Config::default()
        };
        named.resolve(dir.path());
        assert_eq!(named.model, Some("wide".into()), "it is built in");
        assert_eq!(config.listen.json_file, Some(dir.path().join("log")));
        let map = config.listen.osc_map.clone().unwrap();
        assert_eq!(Path::new(&map), dir.path().join("my.toml"));
        let error = format!("{:#}", config.check_files().unwrap_err());
        assert!(
            error.contains("config.toml") && error.contains("m.safetensors"),
            "{error}"
        );
        std::fs::write(&file, "[listen]\nosc_map = \"qlcplus\"\n").unwrap();
        let config = Config::read(&file).unwrap();
        assert_eq!(config.listen.osc_map.as_deref(), Some("qlcplus"));
        config.check_files().unwrap();
        std::fs::write(&file, "[listen]\nosc_map = \"qlab\"\n").unwrap();
        let error = format!(
            "{:#}",
            Config::read(&file).unwrap().check_files().unwrap_err()
        );
        assert!(
            error.contains("config.toml") && error.contains("qlab"),
            "{error}"
        );
    }

    #[test]
    fn unknown_settings_name_the_nearest() {
        assert_eq!(
            error("color = \"auto\"\n\n[listen]\ndevise = \"x\"\n"),
            "config.toml:4: there is no setting 'devise'; did you mean 'device'?"
        );
        assert_eq!(
            error("colour = \"auto\"\n"),
            "config.toml:1: there is no setting 'colour'; did you mean 'color'?"
        );
        assert_eq!(
            error("[listen]\nxyz = 1\n"),
            "config.toml:2: there is no setting 'xyz' here; \
             there are device, preset, averaging, dwell, unsure_below, hold_genre, mean, json, json_file, osc, os2l, osc_map, http, http_token_file, mqtt, mqtt_password_file, mqtt_ca, mqtt_discovery, text, text_format, exec, socket"
        );
    }

    #[test]
    fn wrong_values_name_file_and_line() {
        assert_eq!(
            error("[listen]\naveraging = -3.0\n"),
            "config.toml: listen.averaging = -3 is out of range (0 to 600 seconds)"
        );
        assert_eq!(
            error("[listen]\naveraging = nan\n"),
            "config.toml: listen.averaging = NaN is out of range (0 to 600 seconds)"
        );
        assert_eq!(
            error("[listen]\nunsure_below = 1.5\n"),
            "config.toml: listen.unsure_below = 1.5 is out of range (0 to 1)"
        );
        assert_eq!(
            error("[listen]\nhold_genre = \"ever\"\n"),
            "config.toml: listen.hold_genre: 'ever' is neither a number of seconds nor the word 'silence'"
        );
        let text = error("[listen]\njson = \"yes\"\n");
        assert_eq!(
            text,
            "config.toml:2: the text \"yes\" does not belong here, but true or false"
        );
        let text = error("[listen\n");
        assert!(text.starts_with("config.toml:1: "), "{text}");
        let text = error("[listen]\nosc = [\"127.0.0.1:70000\"]\n");
        assert!(
            text.starts_with("config.toml: listen.osc: ") && text.contains("1 to 65535"),
            "{text}"
        );
        let text = error("color = \"red\"\n");
        assert!(text.contains("auto"), "{text}");
    }
}
