//! Which OSC messages a readout becomes: the standard `/genre/...` ones, a console's preset, or a
//! map file.
//!
//! A map is a list of [`Rule`]s. Presets are tables in this file; a map file is the same in TOML
//! (docs/osc.md).

use serde::Deserialize;

use super::SinkError;
use crate::genre::Labels;

/// What makes a rule send.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Event {
    /// The averaged score of each label, 0 to 1; limited in rate and resent.
    Score,
    /// A label becomes the shown genre (1) or stops being it (0): on change only, never resent.
    Active,
    /// The shown genre: its name, its index and its confidence; on change, resent.
    Top,
    /// Index of the shown genre, -1 for none; on change, resent.
    Index,
    /// Name of the shown genre, `none` for none; on change, resent.
    Name,
    /// Confidence, 0 to 1; limited in rate and resent.
    Confidence,
    /// The state's name; on change, resent.
    State,
    /// 1 every second as long as the program runs, 0 when it ends in order: what stops coming is
    /// dead.
    Alive,
    /// Why no genre is named, `none` where one is; on change, resent.
    Reason,
    /// The probability of music, 0 to 1, and -1 where it is not known; with the scores, resent.
    Music,
    /// The position in the stream, in seconds; with the scores, not resent.
    Position,
}

/// Type of a rule's argument.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Type {
    /// A 32-bit float (`,f`).
    Float,
    /// A 32-bit integer (`,i`), rounded.
    Int,
    /// A string (`,s`).
    String,
    /// No argument.
    None,
}

/// One line of a map: when something happens, send this to that address.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// What makes it send.
    pub on: Event,
    /// Only for this label (`score`, `active`) or while this genre is shown (the others); `None`
    /// for each.
    #[serde(default)]
    pub genre: Option<String>,
    /// OSC address. `{label}`, `{index}` (from 0), `{number}` (from 1) and `{number+200}` are
    /// replaced.
    pub address: String,
    /// Type of the argument; by default what fits the event. `Top` sends `,sif` with neither type
    /// nor value.
    #[serde(default, rename = "type")]
    pub kind: Option<Type>,
    /// The number is multiplied by this before it is sent.
    #[serde(default)]
    pub scale: Option<f32>,
    /// Sent instead of the event's own value, text or a number; placeholders as in `address`.
    #[serde(default, deserialize_with = "text_or_number")]
    pub value: Option<String>,
    /// For `active`: send when a label becomes active only, not when it stops.
    #[serde(default)]
    pub only_on: bool,
}

/// A list of rules, and the port that the receiver listens on by default.
#[derive(Clone, Debug, PartialEq)]
pub struct Map {
    /// UDP port for targets that are given without one.
    pub port: u16,
    /// The rules, in the order of sending.
    pub rules: Vec<Rule>,
}

/// A map file: rules for OSC, numbers for MIDI, or both.
#[cfg(feature = "cli")]
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default = "default_port")]
    port: u16,
    #[serde(default, rename = "rule")]
    rules: Vec<Rule>,
    midi: Option<super::midi::MidiTable>,
}

#[cfg(feature = "cli")]
impl File {
    fn read(feed: &'static str, text: &str, file: &str) -> Result<Self, SinkError> {
        toml::from_str(text).map_err(|error| {
            let (line, reason) = crate::toml_words::line_and_reason(text, &error);
            file_error(feed, file, format!("line {line}: {reason}"))
        })
    }
}

#[cfg(feature = "cli")]
fn file_error(feed: &'static str, file: &str, why: String) -> SinkError {
    SinkError::Setting {
        feed,
        what: "map file",
        value: file.to_owned(),
        why,
    }
}

/// `[midi]` of a map file.
#[cfg(feature = "cli")]
pub(super) fn midi_table(text: &str, file: &str) -> Result<super::midi::MidiTable, SinkError> {
    let none = || file_error("midi", file, "it has no [midi]".to_owned());
    File::read("midi", text, file)?.midi.ok_or_else(none)
}

fn default_port() -> u16 {
    super::osc::DEFAULT_PORT
}

/// Names of the presets, for help texts.
pub const PRESETS: [&str; 5] = ["default", "qlcplus", "magicq", "grandma3", "resolume"];

impl Default for Map {
    /// The standard messages, prefix `/genre`.
    fn default() -> Self {
        Self {
            port: default_port(),
            rules: vec![
                rule(Event::Alive, "/genre/alive"),
                rule(Event::State, "/genre/state"),
                rule(Event::Reason, "/genre/reason"),
                rule(Event::Top, "/genre/top"),
                rule(Event::Index, "/genre/index"),
                rule(Event::Name, "/genre/name"),
                rule(Event::Active, "/genre/active/{label}"),
                rule(Event::Confidence, "/genre/confidence"),
                rule(Event::Music, "/genre/music"),
                rule(Event::Position, "/genre/position"),
                rule(Event::Score, "/genre/score/{label}"),
            ],
        }
    }
}

impl Map {
    /// A ready map: one of [`PRESETS`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when there is none of that name.
    pub fn preset(name: &str) -> Result<Self, SinkError> {
        Ok(match name {
            "default" => Self::default(),
            // QLC+ learns any address; floats from 0 to 1 become 0 to 255. Universe 1 listens on
            // 7700.
            "qlcplus" => Self {
                port: 7700,
                rules: vec![
                    rule(Event::Active, "/genre/active/{label}"),
                    rule(Event::Confidence, "/genre/confidence"),
                    rule(Event::Score, "/genre/score/{label}"),
                ],
            },
            // MagicQ: /pb/1 to /pb/10 take a level from 0.0 to 1.0; ten playbacks, ten labels.
            "magicq" => Self {
                port: 8000,
                rules: vec![rule(Event::Active, "/pb/{number}")],
            },
            // grandMA3: keys 101.. and faders 201.. of page 1; integers, 0 to 100 for faders.
            "grandma3" => Self {
                port: 8000,
                rules: vec![
                    Rule {
                        kind: Some(Type::Int),
                        ..rule(Event::Active, "/Page1/Key{number+100}")
                    },
                    Rule {
                        kind: Some(Type::Int),
                        scale: Some(100.0),
                        ..rule(Event::Score, "/Page1/Fader{number+200}")
                    },
                ],
            },
            // Resolume: column N is launched when label N becomes the shown genre.
            "resolume" => Self {
                port: 7000,
                rules: vec![Rule {
                    kind: Some(Type::Int),
                    only_on: true,
                    ..rule(Event::Active, "/composition/columns/{number}/connect")
                }],
            },
            other => {
                return Err(SinkError::Setting {
                    feed: "osc",
                    what: "preset",
                    value: other.to_owned(),
                    why: format!("the presets are {}", PRESETS.join(", ")),
                });
            }
        })
    }

    /// A map from the text of a map file.
    ///
    /// # Errors
    /// [`SinkError::Setting`] with the line and what is wrong; unknown keys are refused.
    #[cfg(feature = "cli")]
    pub fn from_toml(text: &str, file: &str) -> Result<Self, SinkError> {
        let File { port, rules, .. } = File::read("osc", text, file)?;
        if port == 0 {
            return Err(file_error(
                "osc",
                file,
                "port = 0: it is 1 to 65535".to_owned(),
            ));
        }
        if rules.is_empty() {
            let why = "it has no [[rule]], so nothing would be sent".to_owned();
            return Err(file_error("osc", file, why));
        }
        Ok(Self { port, rules })
    }

    /// Checks addresses, placeholders, types and labels against the labels of the model.
    ///
    /// # Errors
    /// [`SinkError::Setting`] naming the rule and what is wrong with it.
    pub fn check(&self, labels: &Labels) -> Result<(), SinkError> {
        for (number, rule) in self.rules.iter().enumerate() {
            rule.check(labels).map_err(|why| SinkError::Setting {
                feed: "osc",
                what: "rule",
                value: format!("{} ({})", number + 1, rule.address),
                why,
            })?;
        }
        Ok(())
    }
}

impl Rule {
    fn check(&self, labels: &Labels) -> Result<(), String> {
        let address = expand(&self.address, "a", 0)?;
        rosc::address::OscAddress::new(address)
            .map_err(|_| "an OSC address begins with / and holds none of #*,?[]{} or spaces")?;
        if let Some(genre) = &self.genre
            && labels.index_of(genre).is_none()
        {
            let known: Vec<&str> = labels.iter().collect();
            return Err(format!(
                "the model has no label '{genre}'; it has {}",
                known.join(", ")
            ));
        }
        if let Some(scale) = self.scale
            && !scale.is_finite()
        {
            return Err(format!("scale = {scale} is not a number"));
        }
        if let Some(value) = &self.value {
            let value = expand(value, "a", 0)?;
            let kind = self.kind.unwrap_or(self.on.default_type());
            let numeric = matches!(kind, Type::Float | Type::Int);
            if numeric && !value.parse::<f32>().is_ok_and(f32::is_finite) {
                return Err(format!("value = \"{value}\" is not a number"));
            }
        }
        if matches!(self.on, Event::State | Event::Name)
            && matches!(self.kind, Some(Type::Float | Type::Int))
            && self.value.is_none()
        {
            return Err(
                "what it sends is text, which is no number: leave type out, or give a value"
                    .to_owned(),
            );
        }
        if self.only_on && self.on != Event::Active {
            return Err("only_on is for on = \"active\"".to_owned());
        }
        Ok(())
    }
}

/// `value = 5` means what `value = "5"` does.
fn text_or_number<'de, D: serde::Deserializer<'de>>(from: D) -> Result<Option<String>, D::Error> {
    #[derive(Deserialize)]
    #[serde(untagged, expecting = "text or a number")]
    enum Either {
        Text(String),
        Whole(i64),
        Real(f64),
    }
    Ok(Some(match Either::deserialize(from)? {
        Either::Text(text) => text,
        Either::Whole(number) => number.to_string(),
        Either::Real(number) => number.to_string(),
    }))
}

fn rule(on: Event, address: &str) -> Rule {
    Rule {
        on,
        genre: None,
        address: address.to_owned(),
        kind: None,
        scale: None,
        value: None,
        only_on: false,
    }
}

/// `template` with its placeholders replaced for the label at `index`.
///
/// # Errors
/// What is wrong with the placeholder, for a person.
pub(super) fn expand(template: &str, label: &str, index: usize) -> Result<String, String> {
    let mut out = String::with_capacity(template.len() + label.len());
    let mut rest = template;
    while let Some(open) = rest.find('{') {
        out.push_str(&rest[..open]);
        let Some(length) = rest[open..].find('}') else {
            return Err("a { has no }".to_owned());
        };
        let name = &rest[open + 1..open + length];
        match name {
            "label" => out.push_str(label),
            "index" => out.push_str(&index.to_string()),
            "number" => out.push_str(&(index + 1).to_string()),
            _ => {
                let offset = name
                    .strip_prefix("number+")
                    .and_then(|digits| digits.parse::<u32>().ok())
                    .ok_or_else(|| {
                        format!(
                            "{{{name}}} is no placeholder; there are {{label}}, {{index}}, {{number}} and {{number+200}}"
                        )
                    })?;
                out.push_str(&(index as u64 + 1 + u64::from(offset)).to_string());
            }
        }
        rest = &rest[open + length + 1..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The labels as parts of OSC addresses: what OSC forbids there (OSC 1.0, "OSC Address Spaces and
/// OSC Addresses") and everything outside ASCII becomes `_`; labels that would be the same get a
/// number.
pub fn address_parts(labels: &Labels) -> Vec<String> {
    let mut parts: Vec<String> = Vec::with_capacity(labels.len());
    for label in labels.iter() {
        let plain: String = label
            .trim()
            .chars()
            .map(|c| {
                if c.is_ascii_graphic() && !"#*,/?[]{}".contains(c) {
                    c
                } else {
                    '_'
                }
            })
            .collect();
        let mut part = plain.clone();
        let mut number = 2;
        while parts.contains(&part) {
            part = format!("{plain}_{number}");
            number += 1;
        }
        parts.push(part);
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genre::GTZAN;

    #[test]
    fn labels_become_legal_and_different_addresses() {
        let labels = Labels::new(["hip hop", "hip/hop", "R&B", "Müsik", "hip_hop"]).unwrap();
        let parts = address_parts(&labels);
        assert_eq!(parts, ["hip_hop", "hip_hop_2", "R&B", "M_sik", "hip_hop_3"]);
        for part in parts {
            assert!(rosc::address::OscAddress::new(format!("/genre/score/{part}")).is_ok());
        }
    }

    #[test]
    fn every_preset_is_valid_for_the_standard_labels() {
        let labels = Labels::new(GTZAN).unwrap();
        assert_eq!(
            Map::default().check(&labels).map_err(|e| e.to_string()),
            Ok(())
        );
        for name in PRESETS {
            let map = Map::preset(name).unwrap();
            assert_eq!(
                map.check(&labels).map_err(|e| e.to_string()),
                Ok(()),
                "{name}"
            );
        }
        let error = Map::preset("qlab").unwrap_err().to_string();
        assert!(
            error.contains("qlab") && error.contains("resolume"),
            "{error}"
        );
    }

    #[test]
    fn placeholders_are_replaced() {
        assert_eq!(
            expand("/a/{label}/{index}/{number}/{number+200}", "rock", 9).unwrap(),
            "/a/rock/9/10/210"
        );
        assert!(
            expand("/a/{genre}", "rock", 9)
                .unwrap_err()
                .contains("{genre}")
        );
        assert!(expand("/a/{label", "rock", 9).is_err());
    }

    #[cfg(feature = "cli")]
    #[test]
    fn a_map_file_is_read_and_its_mistakes_are_named() {
        let labels = Labels::new(GTZAN).unwrap();
        let map =
            Map::from_toml(include_str!("../../docs/osc-map.example.toml"), "example").unwrap();
        assert_eq!(map.check(&labels).map_err(|e| e.to_string()), Ok(()));
        assert_eq!(map.port, 9100);
        let number = |value: &str, kind: &str| {
            let text =
                format!("[[rule]]\non = \"score\"\naddress = \"/a\"\nvalue = {value}\n{kind}");
            Map::from_toml(&text, "my.toml").unwrap()
        };
        assert_eq!(number("5", "").rules[0].value.as_deref(), Some("5"));
        // A score is a number, whether the rule says so or not.
        for kind in ["", "type = \"float\""] {
            assert!(number("\"abc\"", kind).check(&labels).is_err(), "{kind}");
        }
        assert!(map.rules.len() >= 4);

        let wrong = |text: &str| match Map::from_toml(text, "my.toml") {
            Err(error) => error.to_string(),
            Ok(map) => map.check(&labels).unwrap_err().to_string(),
        };
        let rule = |line: &str| {
            wrong(&format!(
                "[[rule]]\non = \"active\"\naddress = \"/a\"\n{line}"
            ))
        };
        assert!(wrong("port = 1").contains("rule"));
        assert!(wrong("rule = []").contains("nothing would be sent"));
        for on in ["state", "name"] {
            let text = format!("[[rule]]\non = \"{on}\"\naddress = \"/a\"\ntype = \"int\"");
            assert!(wrong(&text).contains("text"), "{on}");
        }
        let type_5 = rule("type = 5");
        assert!(
            type_5.contains("line 4: ") && !type_5.contains('\n'),
            "{type_5}"
        );
        assert!(
            rule("adress = \"/b\"").contains("adress"),
            "unknown keys are named"
        );
        assert!(rule("genre = \"polka\"").contains("polka"));
        assert!(rule("scale = nan").contains("scale"));
        assert!(rule("type = \"int\"\nvalue = \"go\"").contains("not a number"));
        assert!(wrong("[[rule]]\non = \"score\"\naddress = \"a b\"").contains("OSC address"));
        assert!(
            wrong("[[rule]]\non = \"score\"\naddress = \"/a\"\nonly_on = true").contains("only_on")
        );
        assert!(wrong("[[rule]]\non = \"scores\"\naddress = \"/a\"").contains("scores"));
        assert!(wrong("port = 70000\nrule = []").contains("my.toml"));
    }
}
