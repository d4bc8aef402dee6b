//! The look file: a [`Look`] in TOML.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use serde::Deserialize;
use toml::Spanned;

use super::{
    CHANNELS, DEFAULT_FADE, Fader, Follows, LAST_UNIVERSE, LONGEST_FADE_S, Look, Scene, Slot, Strip,
};
use crate::{decision::State, sink::SinkError};

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct File {
    #[serde(default)]
    fade: Option<Spanned<f32>>,
    #[serde(default)]
    universe: Option<Spanned<u16>>,
    #[serde(default)]
    snap: Vec<Spanned<Place>>,
    #[serde(default)]
    names: BTreeMap<String, Spanned<Place>>,
    #[serde(default)]
    always: Option<Always>,
    #[serde(default)]
    genre: BTreeMap<String, SceneTable>,
    #[serde(default)]
    other: Option<SceneTable>,
    #[serde(default)]
    state: BTreeMap<Spanned<String>, SceneTable>,
    #[serde(default)]
    end: Option<SceneTable>,
    #[serde(default)]
    fader: Vec<FaderTable>,
}

type Values = BTreeMap<Spanned<String>, Spanned<Value>>;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Always {
    channels: Values,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SceneTable {
    #[serde(default)]
    channels: Values,
    #[serde(default)]
    fade: Option<Spanned<f32>>,
    #[serde(default)]
    release: bool,
    #[serde(default)]
    wled: Option<Spanned<StripValue>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct FaderTable {
    follows: FollowsName,
    #[serde(default)]
    genre: Option<String>,
    channel: Spanned<Place>,
    #[serde(default)]
    min: Option<Spanned<Value>>,
    #[serde(default)]
    max: Option<Spanned<Value>>,
    #[serde(default)]
    fade: Option<Spanned<f32>>,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum FollowsName {
    Score,
    Confidence,
    Music,
}

#[derive(Deserialize)]
#[serde(
    untagged,
    expecting = "a channel such as 17 or \"2/17\", or a name from [names]"
)]
enum Place {
    Number(i64),
    Text(String),
}

#[derive(Clone, Deserialize)]
#[serde(
    untagged,
    expecting = "a value from 0 to 255, \"50%\", \"#ff8000\", or a list of values"
)]
enum Value {
    Number(i64),
    Text(String),
    List(Vec<Value>),
}

#[derive(Deserialize)]
#[serde(untagged, expecting = "a preset from 1 to 250, or \"off\"")]
enum StripValue {
    Number(i64),
    Text(String),
}

/// Where it stands in the text, and what is wrong.
type Wrong = (usize, String);

impl Look {
    /// A look from the text of a look file; `universe` is that of channels that name none, where
    /// the file says nothing.
    ///
    /// # Errors
    /// [`SinkError::Setting`] with the line and what is wrong; unknown keys are refused.
    pub fn from_toml(text: &str, file: &str, universe: u16) -> Result<Self, SinkError> {
        let wrong = |line: usize, reason: &str| SinkError::Setting {
            feed: "lights",
            what: "look file",
            value: file.to_owned(),
            why: format!("line {line}: {reason}"),
        };
        let parsed: File = toml::from_str(text).map_err(|error| {
            let (line, reason) = crate::toml_words::line_and_reason(text, &error);
            wrong(line, &reason)
        })?;
        let look = parsed.look(universe).map_err(|(at, reason)| {
            let before = text.bytes().take(at).filter(|&byte| byte == b'\n');
            wrong(before.count() + 1, &reason)
        })?;
        if look.universes().is_empty() && !look.has_strips() {
            return Err(SinkError::Setting {
                feed: "lights",
                what: "look file",
                value: file.to_owned(),
                why: "it has no channels and no WLED presets, so nothing would be shown".to_owned(),
            });
        }
        Ok(look)
    }
}

impl File {
    fn look(self, universe: u16) -> Result<Look, Wrong> {
        let universe = match self.universe {
            Some(said) => checked_universe(i64::from(*said.get_ref()))
                .map_err(|why| (said.span().start, why))?,
            None => universe,
        };
        let mut read = Reader {
            universe,
            names: BTreeMap::new(),
        };
        for (name, place) in &self.names {
            let at = place.span().start;
            if !name.starts_with(|c: char| c.is_alphabetic()) {
                return Err((
                    at,
                    format!("a name begins with a letter; '{name}' does not"),
                ));
            }
            let (slot, last) = read.place(place.get_ref()).map_err(|why| (at, why))?;
            if last.is_some() {
                return Err((at, format!("'{name}' stands for one channel, the first")));
            }
            read.names.insert(name.clone(), slot);
        }
        let mut snap = BTreeSet::new();
        for place in &self.snap {
            let found = read.place(place.get_ref());
            let (slot, last) = found.map_err(|why| (place.span().start, why))?;
            snap.extend(run(slot, last.unwrap_or(slot.channel)));
        }
        let mut states = Vec::new();
        for (name, table) in self.state {
            let known = State::ALL
                .into_iter()
                .find(|state| state.as_str() == name.get_ref());
            let Some(state) = known else {
                let names = State::ALL.map(State::as_str).join(", ");
                return Err((
                    name.span().start,
                    format!("there is no state '{}'; there are {names}", name.get_ref()),
                ));
            };
            states.push((state, read.scene(table)?));
        }
        let genres = self.genre.into_iter();
        Ok(Look {
            fade: fade(self.fade.as_ref())?.unwrap_or(DEFAULT_FADE),
            snap,
            always: match self.always {
                Some(always) => read.values(&always.channels)?,
                None => BTreeMap::new(),
            },
            genres: genres
                .map(|(label, table)| Ok((label, read.scene(table)?)))
                .collect::<Result<_, Wrong>>()?,
            other: self.other.map(|table| read.scene(table)).transpose()?,
            states,
            end: self.end.map(|table| read.scene(table)).transpose()?,
            faders: self
                .fader
                .into_iter()
                .map(|table| read.fader(table))
                .collect::<Result<_, _>>()?,
        })
    }
}

/// Understands places and values.
struct Reader {
    universe: u16,
    names: BTreeMap<String, Slot>,
}

impl Reader {
    fn scene(&self, table: SceneTable) -> Result<Scene, Wrong> {
        let strip = match table.wled {
            None => None,
            Some(value) => Some(match value.get_ref() {
                StripValue::Number(number) => {
                    let preset = u8::try_from(*number).ok();
                    let preset = preset.filter(|preset| (1..=250).contains(preset));
                    Strip::Preset(preset.ok_or_else(|| {
                        let why = format!("a WLED preset is 1 to 250, not {number}");
                        (value.span().start, why)
                    })?)
                }
                StripValue::Text(text) if text == "off" => Strip::Off,
                StripValue::Text(text) => {
                    let why = format!("'{text}' is neither a WLED preset (1 to 250) nor \"off\"");
                    return Err((value.span().start, why));
                }
            }),
        };
        Ok(Scene {
            values: self.values(&table.channels)?,
            fade: fade(table.fade.as_ref())?,
            release: table.release,
            strip,
        })
    }

    fn fader(&self, table: FaderTable) -> Result<Fader, Wrong> {
        let at = table.channel.span().start;
        let (slot, last) = self
            .place(table.channel.get_ref())
            .map_err(|why| (at, why))?;
        if last.is_some() {
            return Err((
                at,
                "a fader has one channel, or the first of several".into(),
            ));
        }
        let end = |value: Option<Spanned<Value>>, default| match value {
            None => Ok(default),
            Some(value) => match numbers(value.get_ref()).as_deref() {
                Ok([one]) => Ok(*one),
                Ok(_) => Err((value.span().start, "one value is wanted here".to_owned())),
                Err(why) => Err((value.span().start, why.clone())),
            },
        };
        let follows = match table.follows {
            FollowsName::Score => Follows::Score,
            FollowsName::Confidence => Follows::Confidence,
            FollowsName::Music => Follows::Music,
        };
        if table.genre.is_some() && follows != Follows::Score {
            return Err((at, "genre is for follows = \"score\"".into()));
        }
        Ok(Fader {
            follows,
            genre: table.genre,
            slot,
            min: end(table.min, 0)?,
            max: end(table.max, u8::MAX)?,
            fade: fade(table.fade.as_ref())?,
        })
    }

    fn values(&self, table: &Values) -> Result<BTreeMap<Slot, u8>, Wrong> {
        let mut values = BTreeMap::new();
        for (key, value) in table {
            let (first, last) = self
                .place_text(key.get_ref())
                .map_err(|why| (key.span().start, why))?;
            let wrong = |why| (value.span().start, why);
            let numbers = numbers(value.get_ref()).map_err(wrong)?;
            let last = last.unwrap_or(first.channel.saturating_add(numbers.len() as u16 - 1));
            let length = usize::from(last - first.channel) + 1;
            if last > CHANNELS {
                let count = numbers.len();
                return Err(wrong(format!(
                    "{count} values from channel {} on go beyond channel {CHANNELS}",
                    first.channel
                )));
            }
            if !length.is_multiple_of(numbers.len()) {
                return Err(wrong(format!(
                    "{length} channels cannot be filled with {} values each",
                    numbers.len()
                )));
            }
            for (slot, number) in run(first, last).zip(numbers.iter().cycle()) {
                if values.insert(slot, *number).is_some() {
                    let place = super::shown_slot(slot);
                    return Err(wrong(format!("channel {place} is set twice here")));
                }
            }
        }
        Ok(values)
    }

    fn place(&self, place: &Place) -> Result<(Slot, Option<u16>), String> {
        match place {
            Place::Number(number) => self.place_text(&number.to_string()),
            Place::Text(text) => self.place_text(text),
        }
    }

    /// `17`, `2/17`, `17-20`, `2/17-20` or a name: the first channel, and the last where one is
    /// named.
    fn place_text(&self, text: &str) -> Result<(Slot, Option<u16>), String> {
        if let Some(slot) = self.names.get(text) {
            return Ok((*slot, None));
        }
        let wrong = || {
            let names: Vec<&str> = self.names.keys().map(String::as_str).collect();
            let known = if names.is_empty() {
                "[names] has none".to_owned()
            } else {
                format!("the names are {}", names.join(", "))
            };
            format!(
                "'{text}' is no channel such as 17, \"2/17\" or \"17-20\", and no name; {known}"
            )
        };
        let (universe, channels) = match text.split_once('/') {
            Some((universe, channels)) => {
                let number = universe.parse().map_err(|_| wrong())?;
                (checked_universe(number)?, channels)
            }
            None => (self.universe, text),
        };
        let (first, last) = match channels.split_once('-') {
            Some((first, last)) => (first, Some(last)),
            None => (channels, None),
        };
        let channel = |text: &str| {
            let number: i64 = text.parse().map_err(|_| wrong())?;
            match u16::try_from(number) {
                Ok(channel @ 1..=CHANNELS) => Ok(channel),
                _ => Err(format!("channels are 1 to {CHANNELS}; {number} is not")),
            }
        };
        let first = channel(first)?;
        let last = last.map(channel).transpose()?;
        if last.is_some_and(|last| last < first) {
            return Err(format!("'{text}' ends before it begins"));
        }
        let slot = Slot {
            universe,
            channel: first,
        };
        Ok((slot, last))
    }
}

fn run(first: Slot, last: u16) -> impl Iterator<Item = Slot> {
    (first.channel..=last).map(move |channel| Slot { channel, ..first })
}

fn checked_universe(number: i64) -> Result<u16, String> {
    match u16::try_from(number) {
        Ok(universe @ 1..=LAST_UNIVERSE) => Ok(universe),
        _ => Err(format!(
            "universes are 1 to {LAST_UNIVERSE}; {number} is not"
        )),
    }
}

fn fade(said: Option<&Spanned<f32>>) -> Result<Option<Duration>, Wrong> {
    let Some(said) = said else { return Ok(None) };
    let seconds = *said.get_ref();
    if !(0.0..=LONGEST_FADE_S).contains(&seconds) {
        let why = format!("a fade takes 0 to {LONGEST_FADE_S} seconds, not {seconds}");
        return Err((said.span().start, why));
    }
    Ok(Some(Duration::from_secs_f32(seconds)))
}

/// The values of channels in a row.
fn numbers(value: &Value) -> Result<Vec<u8>, String> {
    match value {
        Value::Number(number) => u8::try_from(*number)
            .map(|number| vec![number])
            .map_err(|_| format!("a channel has a value from 0 to 255, not {number}")),
        Value::List(list) if list.is_empty() => Err("the list is empty".to_owned()),
        Value::List(list) => {
            let parts: Result<Vec<Vec<u8>>, String> = list.iter().map(numbers).collect();
            Ok(parts?.concat())
        }
        Value::Text(text) => {
            let wrong = || format!("'{text}' is no value; write 0 to 255, \"50%\" or \"#ff8000\"");
            if let Some(percent) = text.strip_suffix('%') {
                let share: f32 = percent.trim().parse().map_err(|_| wrong())?;
                if !(0.0..=100.0).contains(&share) {
                    return Err(format!("{share}% is not in 0 to 100%"));
                }
                return Ok(vec![(share * 255.0 / 100.0).round() as u8]);
            }
            let digits = text.strip_prefix('#').ok_or_else(wrong)?;
            if digits.len() != 6 || !digits.bytes().all(|byte| byte.is_ascii_hexdigit()) {
                return Err(wrong());
            }
            let colour = u32::from_str_radix(digits, 16).map_err(|_| wrong())?;
            Ok(colour.to_be_bytes()[1..].to_vec())
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genre::{GTZAN, Labels};

    fn read(text: &str) -> Result<Look, String> {
        Look::from_toml(text, "my.toml", 1).map_err(|error| error.to_string())
    }

    fn values(line: &str) -> String {
        let text = format!("[names]\nfront = \"2/10\"\n[genre.rock.channels]\n{line}");
        super::super::shown_values(&read(&text).unwrap().genres["rock"].values)
    }

    #[test]
    fn channels_and_values_are_written_in_several_ways() {
        assert_eq!(values("1 = 255"), "1/1=255");
        assert_eq!(values("\"3/17\" = \"50%\""), "3/17=128");
        assert_eq!(values("5-8 = 9"), "1/5-8=9");
        assert_eq!(values("front = \"#ff8001\""), "2/10=255 2/11=128 2/12=1");
        assert_eq!(values("7 = [1, \"100%\", 3]"), "1/7=1 1/8=255 1/9=3");
        assert_eq!(values("1-4 = [1, 2]"), "1/1=1 1/2=2 1/3=1 1/4=2");
    }

    #[test]
    fn the_example_is_a_look_for_the_model() {
        let text = include_str!("../../../docs/feeds/look.example.toml");
        let look = read(text).unwrap();
        assert_eq!(look.check(&Labels::new(GTZAN).unwrap()), Ok(vec![]));
        assert!(look.has_strips());
        let silent = look.state(State::Silent).unwrap();
        assert!(silent.release);
    }

    #[test]
    fn mistakes_are_named_with_their_line() {
        let wrong = |text: &str| {
            let error = read(text).unwrap_err();
            assert!(error.contains("my.toml"), "{error}");
            error
        };
        let rock = |line: &str| wrong(&format!("[genre.rock.channels]\n1 = 1\n{line}\n"));
        for (line, said) in [
            ("513 = 1", "line 3: channels are 1 to 512; 513 is not"),
            ("0 = 1", "channels are 1 to 512"),
            ("\"70000/1\" = 1", "universes are 1 to 63999"),
            ("fornt = 1", "'fornt' is no channel"),
            (
                "2 = 256",
                "line 3: a channel has a value from 0 to 255, not 256",
            ),
            ("2 = -1", "not -1"),
            ("2 = \"101%\"", "101% is not in 0 to 100%"),
            ("2 = \"#ff00\"", "'#ff00' is no value"),
            ("2 = []", "the list is empty"),
            ("2 = 1.5", "a value from 0 to 255"),
            ("511 = \"#000000\"", "beyond channel 512"),
            ("2-6 = [1, 2]", "5 channels cannot be filled with 2 values"),
            ("9-4 = 1", "ends before it begins"),
            ("1-2 = 1", "channel 1/1 is set twice"),
        ] {
            let error = rock(line);
            assert!(error.contains(said), "{line}: {error}");
        }
        for (text, said) in [
            ("", "no channels and no WLED presets"),
            ("fade = -1.0\n", "line 1: a fade takes 0 to 600 seconds"),
            ("fade = nan\n", "a fade takes"),
            ("universe = 0\n", "universes are 1 to 63999"),
            (
                "[genre.rock]\nfadee = 1.0\n",
                "line 2: there is no setting 'fadee'; did you mean 'fade'?",
            ),
            (
                "[state.loud]\n",
                "line 1: there is no state 'loud'; there are warming",
            ),
            (
                "[genre.rock]\nwled = 251\n",
                "line 2: a WLED preset is 1 to 250",
            ),
            ("[genre.rock]\nwled = \"out\"\n", "neither a WLED preset"),
            ("[[fader]]\nfollows = \"score\"\n", "channel is missing"),
            (
                "[[fader]]\nfollows = \"score\"\nchannel = \"1-2\"\n",
                "line 3: a fader has one channel",
            ),
            (
                "[[fader]]\nfollows = \"music\"\ngenre = \"rock\"\nchannel = 1\n",
                "genre is for",
            ),
            (
                "[[fader]]\nfollows = \"bass\"\nchannel = 1\n",
                "'bass' is not known; it can be score",
            ),
            ("[names]\n9lives = 1\n", "begins with a letter"),
            ("[names]\nfront = \"1-3\"\n", "stands for one channel"),
            ("snap = [\"gobo\"]\n", "'gobo' is no channel"),
        ] {
            let error = wrong(text);
            assert!(error.contains(said), "{text}: {error}");
        }
    }
}
