//! JSON Lines: one object a line, the same on every JSON surface. docs/messages.md shows every
//! message.

use std::{
    fs::OpenOptions,
    io::{self, Write},
    path::Path,
    time::{Instant, SystemTime},
};

use serde::{Serialize, Serializer, ser::SerializeMap};

use super::{Hello, Sink, SinkError, Status, Update};
use crate::{
    decision::Reason,
    genre::{Labels, Scores},
};

/// Version of the messages: the field `v` of each. It changes when a field is removed or changes
/// its meaning; new fields may appear at any time.
pub const VERSION: u32 = 1;

/// The message of a readout, without line end.
pub fn update_line(update: &Update) -> String {
    line(&GenreMessage {
        v: VERSION,
        kind: "genre",
        t: rfc3339(update.time),
        seq: update.seq,
        source: &update.source,
        genre: update.genre(),
        place: update.labels.has_families().then(|| {
            let genre_path = update.genre_path();
            Place {
                family: genre_path.first().copied(),
                genre_path,
            }
        }),
        confidence: finite(update.readout.confidence),
        scores: ByLabel(&update.labels, &update.readout.scores),
        frames: update.readout.frames,
        window_s: update.readout.heard.rounded(),
        changed: update.readout.changed,
        state: update.readout.state.as_str(),
        reason: update.readout.reason.map(Reason::as_str),
        held: update.held,
        music: update
            .readout
            .music
            .map(|music| round(f64::from(finite(music)), 1_000.0)),
        position_s: update.readout.position.rounded(),
        level_dbfs: round(f64::from(finite(update.readout.level_dbfs)), 10.0),
        model: &update.model,
    })
}

/// The message of a change of state, without line end.
pub fn status_line(status: &Status) -> String {
    line(&StatusMessage {
        v: VERSION,
        kind: "status",
        t: rfc3339(status.time),
        source: &status.source,
        state: status.state.as_str(),
        message: status.message.as_deref(),
    })
}

/// The first message of a stream, without line end.
pub fn hello_line(hello: &Hello) -> String {
    line(&HelloMessage {
        v: VERSION,
        kind: "hello",
        t: rfc3339(hello.time),
        program: "genrescope",
        version: env!("CARGO_PKG_VERSION"),
        source: &hello.source,
        model: &hello.model,
        labels: hello.labels.iter().collect(),
        families: hello
            .labels
            .has_families()
            .then_some(Families(&hello.labels)),
    })
}

/// A moment in UTC as RFC 3339 with milliseconds, such as `2026-11-22T15:49:04.250Z`. Before 1970
/// it is 1970.
pub fn rfc3339(time: SystemTime) -> String {
    let since = time
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (days, seconds) = (since.as_secs() / 86_400, since.as_secs() % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}.{:03}Z",
        seconds / 3_600,
        seconds / 60 % 60,
        seconds % 60,
        since.subsec_millis()
    )
}

/// Year, month (1..=12) and day (1..=31) of the Gregorian calendar, from days since 1970-01-01
/// (H. Hinnant, "chrono-Compatible Low-Level Date Algorithms", `civil_from_days`).
pub(crate) fn civil(days: u64) -> (u64, u64, u64) {
    let z = days + 719_468;
    let (era, day_of_era) = (z / 146_097, z % 146_097);
    let year_of_era =
        (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * from_march + 2) / 5 + 1;
    let month = if from_march < 10 {
        from_march + 3
    } else {
        from_march - 9
    };
    (year_of_era + era * 400 + u64::from(month <= 2), month, day)
}

/// JSON Lines to standard output or a file. Each message is written and flushed as a whole line, so
/// that a reader never sees half of one for long.
pub struct JsonlSink {
    name: String,
    out: Box<dyn Write + Send>,
    /// Nothing can be opened in its place.
    is_stdout: bool,
}

impl std::fmt::Debug for JsonlSink {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("JsonlSink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl JsonlSink {
    /// To any writer; `name` is used in messages.
    pub fn new(name: impl Into<String>, out: impl Write + Send + 'static) -> Self {
        Self {
            name: name.into(),
            out: Box::new(out),
            is_stdout: false,
        }
    }

    /// To standard output.
    pub fn stdout() -> Self {
        Self {
            is_stdout: true,
            ..Self::new("json on standard output", io::stdout())
        }
    }

    /// To the end of a file, which is made if it is not there: what it holds is kept.
    ///
    /// # Errors
    /// [`SinkError::File`] when it cannot be opened for writing.
    pub fn append(path: &Path) -> Result<Self, SinkError> {
        Self::open(path, OpenOptions::new().append(true).create(true))
    }

    /// To a file whose content is replaced: only when the user asked for that.
    ///
    /// # Errors
    /// [`SinkError::File`] when it cannot be opened for writing.
    pub fn overwrite(path: &Path) -> Result<Self, SinkError> {
        Self::open(
            path,
            OpenOptions::new().write(true).create(true).truncate(true),
        )
    }

    fn open(path: &Path, options: &OpenOptions) -> Result<Self, SinkError> {
        match options.open(path) {
            Ok(file) => Ok(Self::new(format!("json to '{}'", path.display()), file)),
            Err(source) => Err(SinkError::File {
                path: path.display().to_string(),
                hint: match source.kind() {
                    io::ErrorKind::NotFound => " (make its folder first)",
                    io::ErrorKind::IsADirectory => " (give the name of a file in it)",
                    _ => "",
                },
                source,
            }),
        }
    }

    fn write(&mut self, mut line: String) -> Result<(), SinkError> {
        line.push('\n');
        let written = self
            .out
            .write_all(line.as_bytes())
            .and_then(|()| self.out.flush());
        written.map_err(|source| match source.kind() {
            io::ErrorKind::BrokenPipe => SinkError::Closed {
                feed: self.name.clone(),
            },
            _ if self.is_stdout => SinkError::StandardOutput { source },
            _ => SinkError::Write {
                target: self.name.clone(),
                source,
            },
        })
    }
}

impl Sink for JsonlSink {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        self.write(hello_line(hello))
    }
    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        self.write(update_line(update))
    }
    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        self.write(status_line(status))
    }
    fn close(&mut self) {
        // Nobody is left to be told.
        let _ = self.out.flush();
    }
}

#[derive(Serialize)]
struct GenreMessage<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    t: String,
    seq: u64,
    source: &'a str,
    genre: Option<&'a str>,
    #[serde(flatten)]
    place: Option<Place<'a>>,
    confidence: f32,
    scores: ByLabel<'a>,
    frames: u32,
    window_s: f64,
    changed: bool,
    state: &'static str,
    reason: Option<&'static str>,
    held: bool,
    music: Option<f64>,
    position_s: f64,
    level_dbfs: f64,
    model: &'a str,
}

/// Where the genre stands in a model of families.
#[derive(Serialize)]
struct Place<'a> {
    family: Option<&'a str>,
    genre_path: Vec<&'a str>,
}

#[derive(Serialize)]
struct StatusMessage<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    t: String,
    source: &'a str,
    state: &'static str,
    message: Option<&'a str>,
}

#[derive(Serialize)]
struct HelloMessage<'a> {
    v: u32,
    #[serde(rename = "type")]
    kind: &'static str,
    t: String,
    program: &'static str,
    version: &'static str,
    source: &'a str,
    model: &'a str,
    labels: Vec<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    families: Option<Families<'a>>,
}

/// Each kind with its family, in the order of the labels.
struct Families<'a>(&'a Labels);

impl Serialize for Families<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (kind, name) in self.0.iter().enumerate() {
            if let Some(family) = self.0.family_of(kind) {
                map.serialize_entry(name, self.0.get(family).unwrap_or_default())?;
            }
        }
        map.end()
    }
}

/// Scores as an object, in the order of the labels. The shortest decimal that gives the `f32` back,
/// so that a feed can be compared with a file bit for bit.
struct ByLabel<'a>(&'a Labels, &'a Scores);

impl Serialize for ByLabel<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(None)?;
        for (label, score) in self.0.iter().zip(self.1.as_slice()) {
            map.serialize_entry(label, score)?;
        }
        map.end()
    }
}

fn line(message: &impl Serialize) -> String {
    // Maps with string keys and finite numbers always serialise.
    serde_json::to_string(message).unwrap_or_default()
}

fn finite(value: f32) -> f32 {
    if value.is_finite() { value } else { 0.0 }
}

fn round(value: f64, steps: f64) -> f64 {
    // `+ 0.0` turns a negative zero into zero.
    (value * steps).round() / steps + 0.0
}

#[cfg(test)]
mod tests {
    use std::{sync::Arc, time::Duration};

    use super::*;
    use crate::{
        decision::State,
        sink::{SinkRunner, tests as fixtures},
    };

    #[test]
    fn times_are_rfc_3339() {
        let at = |seconds: u64, millis: u32| {
            rfc3339(SystemTime::UNIX_EPOCH + Duration::new(seconds, millis * 1_000_000))
        };
        // Expected values from GNU date: date -u -d @N +%FT%TZ.
        assert_eq!(at(0, 0), "1970-01-01T00:00:00.000Z");
        assert_eq!(at(951_782_399, 999), "2000-02-28T23:59:59.999Z");
        assert_eq!(at(951_782_400, 0), "2000-02-29T00:00:00.000Z");
        assert_eq!(at(1_709_251_199, 0), "2024-02-29T23:59:59.000Z");
        assert_eq!(at(1_767_225_599, 0), "2025-12-31T23:59:59.000Z");
        assert_eq!(at(4_107_542_400, 0), "2100-03-01T00:00:00.000Z");
        assert_eq!(
            rfc3339(SystemTime::UNIX_EPOCH - Duration::from_secs(5)),
            "1970-01-01T00:00:00.000Z"
        );
    }

    #[test]
    fn a_genre_message_is_exactly_the_schema() {
        assert_eq!(
            update_line(&fixtures::update(42, Some(9))),
            r#"{"v":1,"type":"genre","t":"2001-09-09T01:46:40.123Z","seq":42,"source":"test:source","genre":"rock","confidence":0.64,"scores":{"blues":0.04,"classical":0.04,"country":0.04,"disco":0.04,"hiphop":0.04,"jazz":0.04,"metal":0.04,"pop":0.04,"reggae":0.04,"rock":0.64},"frames":5,"window_s":29.12,"changed":false,"state":"live","reason":null,"held":false,"music":0.98,"position_s":86.016,"level_dbfs":-18.2,"model":"test-model"}"#
        );
    }

    #[test]
    fn families_are_told_where_there_are_some() {
        let labels = Labels::new(["electronic", "techno", "rock"]).unwrap();
        let labels = labels.with_families([("techno", "electronic")]).unwrap();
        let mut update = fixtures::update(1, None);
        update.labels = labels.clone();
        update.readout.scores = Scores::new(&[0.8, 0.7, 0.2]);
        let told = |update: &Update| {
            let line: serde_json::Value = serde_json::from_str(&update_line(update)).unwrap();
            ["genre", "family", "genre_path"].map(|field| line[field].clone())
        };
        let none = serde_json::Value::Null;
        assert_eq!(told(&update), [none.clone(), none, serde_json::json!([])]);
        update.readout.genre = Some(1);
        assert_eq!(
            serde_json::json!(told(&update)),
            serde_json::json!(["techno", "electronic", ["electronic", "techno"]])
        );
        update.readout.genre = Some(2);
        assert_eq!(
            serde_json::json!(told(&update)),
            serde_json::json!(["rock", "rock", ["rock"]])
        );
        let hello = hello_line(&Hello::new(labels, "s", "m"));
        assert!(
            hello.contains(
                r#""labels":["electronic","techno","rock"],"families":{"techno":"electronic"}"#
            ),
            "{hello}"
        );
    }

    #[test]
    fn genre_is_null_unless_shown_and_numbers_are_numbers() {
        let mut update = fixtures::update(1, None);
        update.readout.confidence = f32::NAN;
        update.readout.level_dbfs = f32::NEG_INFINITY;
        let value: serde_json::Value = serde_json::from_str(&update_line(&update)).unwrap();
        assert!(value["genre"].is_null());
        assert_eq!(value["confidence"], 0.0);
        assert_eq!(value["level_dbfs"], 0.0);
        update.readout.genre = Some(99); // a foreign index
        let value: serde_json::Value = serde_json::from_str(&update_line(&update)).unwrap();
        assert!(value["genre"].is_null());
    }

    #[test]
    fn foreign_names_stay_one_line() {
        let mut update = fixtures::update(1, Some(0));
        update.source = "a \"source\"\nwith\ttabs \u{1F3B8} \u{2028}".into();
        let line = update_line(&update);
        assert!(!line.contains('\n'));
        let value: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(value["source"], *update.source);
    }

    #[test]
    fn a_file_is_appended_to_unless_overwriting_was_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("feed.jsonl");
        let session = |sink: JsonlSink| {
            let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
            runner.update(&fixtures::update(1, Some(3)));
            drop(runner);
            std::fs::read_to_string(&path).unwrap()
        };
        let kinds = |text: &str| -> Vec<String> {
            text.lines()
                .map(|line| {
                    let value: serde_json::Value = serde_json::from_str(line).unwrap();
                    value["type"].as_str().unwrap().to_owned()
                })
                .collect()
        };
        let once = session(JsonlSink::append(&path).unwrap());
        assert_eq!(kinds(&once), ["hello", "status", "genre"]);
        let twice = session(JsonlSink::append(&path).unwrap());
        assert!(twice.starts_with(&once) && twice.len() == 2 * once.len());
        assert_eq!(session(JsonlSink::overwrite(&path).unwrap()), once);
        let error = JsonlSink::append(&folder.path().join("no/such.jsonl")).unwrap_err();
        assert!(error.to_string().contains("no/such.jsonl"), "{error}");
        assert!(
            error.to_string().contains("make its folder first"),
            "{error}"
        );
    }

    #[test]
    fn a_broken_pipe_ends_quietly() {
        #[derive(Debug)]
        struct Broken;
        impl Write for Broken {
            fn write(&mut self, _: &[u8]) -> io::Result<usize> {
                Err(io::ErrorKind::BrokenPipe.into())
            }
            fn flush(&mut self) -> io::Result<()> {
                Ok(())
            }
        }
        let mut sink = JsonlSink::new("a pipe", Broken);
        assert!(matches!(
            sink.hello(&fixtures::hello()),
            Err(SinkError::Closed { .. })
        ));
    }

    /// Every JSON line of docs/messages.md is what is emitted for the value it shows, field by
    /// field.
    #[test]
    fn the_documented_examples_are_what_is_emitted() {
        let text = include_str!("../../docs/messages.md");
        let documented: Vec<serde_json::Value> = text
            .lines()
            .filter(|line| line.starts_with("{\"v\":"))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let mut unsure = fixtures::update(43, None);
        unsure.readout.confidence = 0.36;
        let status = |state, message: Option<&str>| Status {
            state,
            message: message.map(Arc::from),
            source: "test:source".into(),
            time: fixtures::hello().time,
        };
        let emitted = [
            hello_line(&fixtures::hello()),
            status_line(&status(State::Live, None)),
            update_line(&fixtures::update(42, Some(9))),
            update_line(&unsure),
            status_line(&status(
                State::Lost,
                Some("the device was unplugged; trying again"),
            )),
        ];
        assert_eq!(documented.len(), emitted.len(), "docs/messages.md");
        for (documented, emitted) in documented.iter().zip(&emitted) {
            let emitted: serde_json::Value = serde_json::from_str(emitted).unwrap();
            assert_eq!(*documented, emitted, "docs/messages.md");
        }
        let names = State::ALL.map(State::as_str);
        for name in names.into_iter().chain(Reason::ALL.map(Reason::as_str)) {
            assert!(
                text.contains(&format!("| `{name}` |")),
                "docs/messages.md does not explain {name}"
            );
        }
    }
}
