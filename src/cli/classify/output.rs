//! What `classify` prints: a table for people, JSON lines and CSV for programs.

use std::{
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use serde_json::{Map, Value, json};

use super::{
    super::{
        shown_input,
        text::{end_of, pad, plain, too_short, width},
    },
    work::Heard,
};
use crate::{
    decision::{Readout, Reason, State},
    genre::{Labels, Scores},
    network::Model,
    song::{SongClassifier, Verdict},
    units::Seconds,
};

/// Version of the JSON lines.
const SCHEMA: u32 = 1;

/// For whom it prints.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::cli) enum Format {
    /// For people.
    Table,
    /// One object a line.
    Json,
    /// With a header line.
    Csv,
}

/// Prints outcomes as they come.
pub(in crate::cli) struct Printer<'a> {
    pub(in crate::cli) out: Box<dyn Write>,
    pub(in crate::cli) format: Format,
    pub(in crate::cli) model: &'a Model,
    pub(in crate::cli) color: bool,
    pub(in crate::cli) show_frames: bool,
    pub(in crate::cli) show_timeline: bool,
    pub(in crate::cli) name_width: usize,
    /// The arguments that shape an answer, as they would be typed.
    pub(in crate::cli) options: String,
    /// Answers that were written, failures among them.
    pub(in crate::cli) n_written: usize,
}

/// What to call the files in the table: their paths below the folder that holds them all, so that no two look the same.
pub(in crate::cli) fn shown_names(files: &[PathBuf]) -> Vec<String> {
    let mut common: Option<Vec<Component<'_>>> = None;
    for file in files {
        let folder: Vec<Component<'_>> = file.parent().unwrap_or(file).components().collect();
        let shared = match &common {
            None => folder.len(),
            Some(common) => common
                .iter()
                .zip(&folder)
                .take_while(|(a, b)| a == b)
                .count(),
        };
        common = Some(folder[..shared].to_vec());
    }
    let above: PathBuf = common.unwrap_or_default().iter().collect();
    files
        .iter()
        .map(|file| {
            let below = file.strip_prefix(&above).unwrap_or(file);
            plain(&shown_input(below)).into_owned()
        })
        .collect()
}

/// Width of the column of names: the longest; on a terminal, within reason.
pub(super) fn name_width(names: &[String], to_terminal: bool) -> usize {
    let longest = names.iter().map(|name| width(name)).max().unwrap_or(0);
    longest.clamp(8, if to_terminal { 44 } else { usize::MAX })
}

/// Columns of a CSV file before those of the labels.
pub(super) const COLUMNS: [&str; 10] = [
    "path",
    "genre",
    "confidence",
    "state",
    "frames",
    "seconds",
    "short",
    "error",
    "model",
    "options",
];

/// Where [`COLUMNS`] has the model.
pub(super) const MODEL: usize = 8;

/// Where [`COLUMNS`] has the options.
pub(super) const OPTIONS: usize = 9;

/// `path` as text from which [`from_text`] makes it again. A name that is no UTF-8 has its other bytes
/// as `\x` and two hexadecimal digits, and its backslashes doubled; so has one that could be taken for
/// such.
pub(in crate::cli) fn to_text(path: &Path) -> String {
    if let Some(text) = path.to_str().filter(|text| !text.contains("\\x")) {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// The path that [`to_text`] has written.
pub(in crate::cli) fn from_text(text: &str) -> PathBuf {
    if !text.contains("\\x") {
        return text.into();
    }
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let byte = rest
            .strip_prefix('x')
            .and_then(|tail| u8::from_str_radix(tail.get(..2)?, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(b'\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    bytes.extend(rest.as_bytes());
    path_of(bytes)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

impl Printer<'_> {
    /// What stands before the first answer.
    pub(super) fn header(&mut self) -> io::Result<()> {
        if self.format == Format::Csv {
            let mut row = COLUMNS.to_vec();
            row.extend(self.model.labels().iter());
            self.csv_row(row)?;
        }
        Ok(())
    }

    fn csv_row<S: AsRef<[u8]>>(&mut self, row: impl IntoIterator<Item = S>) -> io::Result<()> {
        let mut writer = csv::Writer::from_writer(Vec::new());
        writer.write_record(row).map_err(io::Error::other)?;
        let bytes = writer
            .into_inner()
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.out.write_all(&bytes)?;
        self.out.flush()
    }

    /// The answer for one file.
    pub(in crate::cli) fn song(
        &mut self,
        path: &Path,
        shown: &str,
        heard: &Heard,
    ) -> io::Result<()> {
        self.n_written += 1;
        match self.format {
            Format::Table => self.table(shown, heard)?,
            Format::Json => {
                let line = self.json(path, heard);
                writeln!(self.out, "{line}")?;
            }
            Format::Csv => {
                let song = &heard.song;
                let mut row = vec![
                    to_text(path),
                    self.genre(song.verdict).unwrap_or_default().to_owned(),
                    format!("{:.4}", confidence(song.verdict, &song.scores)),
                    song.verdict.as_str().to_owned(),
                    song.frames.len().to_string(),
                    song.duration.rounded().to_string(),
                    song.short.to_string(),
                    heard.notes.join("; "),
                    self.model.card().name.clone(),
                    self.options.clone(),
                ];
                row.extend(
                    song.scores
                        .as_slice()
                        .iter()
                        .map(|score| format!("{score:.4}")),
                );
                self.csv_row(row)?;
            }
        }
        self.out.flush()
    }

    /// A file that could not be read: data formats tell it too, so that every input has its line.
    pub(in crate::cli) fn failure(&mut self, path: &Path, reason: &str) -> io::Result<()> {
        match self.format {
            Format::Table => Ok(()),
            Format::Json => {
                self.n_written += 1;
                writeln!(self.out, "{}", failure_json(path, reason))?;
                self.out.flush()
            }
            Format::Csv => {
                self.n_written += 1;
                let mut row = vec![to_text(path)];
                row.extend(std::iter::repeat_n(String::new(), 6));
                row.push(reason.to_owned());
                row.push(self.model.card().name.clone());
                row.push(self.options.clone());
                row.extend(std::iter::repeat_n(
                    String::new(),
                    self.model.labels().len(),
                ));
                self.csv_row(row)
            }
        }
    }

    /// Room for the longest answer.
    fn answer_width(&self) -> usize {
        let labels = self.model.labels();
        if !labels.has_families() {
            return 10;
        }
        let widths = (0..labels.len()).map(|index| width(&labels.path(index)));
        widths.max().unwrap_or(10)
    }

    fn genre(&self, verdict: Verdict) -> Option<&str> {
        verdict
            .genre()
            .and_then(|genre| self.model.labels().get(genre))
    }

    fn json(&self, path: &Path, heard: &Heard) -> Value {
        let song = &heard.song;
        let labels = self.model.labels();
        let mut object = json!({
            "v": SCHEMA,
            "type": "song",
            "path": to_text(path),
            "genre": self.genre(song.verdict),
            "confidence": rounded(confidence(song.verdict, &song.scores)),
            "scores": by_label(labels, &song.scores),
            "state": song.verdict.as_str(),
            "frames": song.frames.len(),
            "seconds": song.duration.rounded(),
            "short": song.short,
            "music": song.music.map(rounded),
            "reason": song.reason.map(Reason::as_str),
            "model": self.model.card().name,
            "options": self.options,
        });
        if labels.has_families() {
            let named = song.verdict.genre();
            let path: Vec<&str> =
                named.map_or(Vec::new(), |genre| labels.names_to(genre).collect());
            object["family"] = json!(path.first());
            object["genre_path"] = json!(path);
        }
        if !heard.notes.is_empty() {
            object["notes"] = json!(heard.notes);
        }
        if self.show_frames {
            object["frame_scores"] = song
                .frames
                .iter()
                .map(|frame| json!({"start": frame.start.rounded(), "scores": by_label(labels, &frame.scores)}))
                .collect();
        }
        if self.show_timeline {
            object["timeline"] = stretches(&heard.timeline)
                .iter()
                .map(|stretch| {
                    json!({
                        "start": stretch.start.rounded(),
                        "end": stretch.end.rounded(),
                        "state": stretch.state.as_str(),
                        "genre": stretch.genre.and_then(|genre| labels.get(genre)),
                        "confidence": rounded(stretch.confidence),
                    })
                })
                .collect();
        }
        object
    }

    fn table(&mut self, shown: &str, heard: &Heard) -> io::Result<()> {
        let song = &heard.song;
        let name = pad(&end_of(shown, self.name_width), self.name_width);
        let answer = match song.verdict {
            Verdict::Genre(genre) => self.model.labels().path(genre),
            Verdict::Unsure => "unsure".to_owned(),
            Verdict::NotMusic => "not music".to_owned(),
            Verdict::Silent => "silent".to_owned(),
            Verdict::TooShort => "too short".to_owned(),
        };
        let bold = self.paint(&pad(&answer, self.answer_width()), "1");
        let mut line = format!("{name}  {bold}");
        if !song.frames.is_empty() && song.verdict != Verdict::Silent {
            for (index, score) in self.model.labels().ranked(&song.scores).into_iter().take(3) {
                let label = self.model.labels().get(index).unwrap_or_default();
                line += &format!("  {label:>9} {:>3.0} %", 100.0 * score);
            }
        }
        let frames = song.frames.len();
        let unit = if frames == 1 { "frame" } else { "frames" };
        line += &format!("  {:>7}  {frames} {unit}", song.duration.to_string());
        if song.reason == Some(Reason::MaybeNotMusic) {
            line += ", perhaps no music";
        }
        if song.verdict == Verdict::TooShort {
            let least = SongClassifier::shortest(self.model);
            line += &format!(", {}", too_short(song.duration, least));
        }
        if song.short && frames > 0 {
            line += ", shorter than one: repeated to fill it";
        }
        for note in &heard.notes {
            line += &format!(", {note}");
        }
        writeln!(self.out, "{}", line.trim_end())?;
        if self.show_frames {
            for frame in &song.frames {
                let best: Vec<String> = self
                    .model
                    .labels()
                    .ranked(&frame.scores)
                    .into_iter()
                    .take(3)
                    .map(|(index, score)| {
                        let label = self.model.labels().get(index).unwrap_or_default();
                        format!("{label:>9} {:>3.0} %", 100.0 * score)
                    })
                    .collect();
                writeln!(
                    self.out,
                    "  {:>8}  {}",
                    frame.start.to_string(),
                    best.join("  ")
                )?;
            }
        }
        if self.show_timeline {
            self.timeline(&heard.timeline)?;
        }
        Ok(())
    }

    fn timeline(&mut self, readouts: &[Readout]) -> io::Result<()> {
        const BAR: f32 = 30.0;
        for stretch in stretches(readouts) {
            let what = match (stretch.genre, stretch.state) {
                (Some(genre), _) => self.model.labels().path(genre),
                (None, state) => state.words().to_owned(),
            };
            let bar = if stretch.genre.is_some() {
                (stretch.confidence * BAR) as usize
            } else {
                0
            };
            let line = format!(
                "  {:>8} - {:<8} {} {}",
                stretch.start.to_string(),
                stretch.end.to_string(),
                pad(&what, self.answer_width()),
                "█".repeat(bar)
            );
            let code = if stretch.genre.is_some() { "0" } else { "2" };
            let line = self.paint(line.trim_end(), code);
            writeln!(self.out, "{line}")?;
        }
        Ok(())
    }

    fn paint(&self, text: &str, code: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }
}

/// A stretch of the timeline with one answer.
struct Stretch {
    start: Seconds,
    end: Seconds,
    state: State,
    genre: Option<usize>,
    /// Mean confidence.
    confidence: f32,
    readouts: u32,
}

/// Neighbouring readouts that say the same become one stretch; provisional and live answers are one.
fn stretches(readouts: &[Readout]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut start = Seconds(0.0);
    for readout in readouts {
        match stretches.last_mut() {
            Some(last)
                if last.genre == readout.genre
                    && (last.state == readout.state || readout.genre.is_some()) =>
            {
                last.end = readout.position;
                last.readouts += 1;
                last.confidence += (readout.confidence - last.confidence) / last.readouts as f32;
                last.state = readout.state;
            }
            _ => stretches.push(Stretch {
                start,
                end: readout.position,
                state: readout.state,
                genre: readout.genre,
                confidence: readout.confidence,
                readouts: 1,
            }),
        }
        start = readout.position;
    }
    stretches
}

fn failure_json(path: &Path, reason: &str) -> Value {
    json!({
        "v": SCHEMA, "type": "error", "path": to_text(path), "genre": null, "error": reason,
    })
}

fn confidence(verdict: Verdict, scores: &Scores) -> f32 {
    match verdict {
        Verdict::Genre(genre) => scores.as_slice()[genre],
        Verdict::Unsure | Verdict::NotMusic => scores.top().1,
        Verdict::Silent | Verdict::TooShort => 0.0,
    }
}

fn by_label(labels: &Labels, scores: &Scores) -> Map<String, Value> {
    labels
        .iter()
        .zip(scores.as_slice())
        .map(|(label, &score)| (label.to_owned(), json!(rounded(score))))
        .collect()
}

/// Four decimals: more would claim more than is known.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::song::{Frame, Song};

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_come_back_from_it() {
        for name in [
            &b"plain.mp3"[..],
            "日本.mp3".as_bytes(),
            b"caf\xe9.mp3",
            b"a\\b\xff\\.mp3",
            b"not \\xe9.mp3",
            b"dir\\file.mp3",
            b"\\x",
            b"\xc3",
        ] {
            let path = path_of(name.to_vec());
            let text = to_text(&path);
            assert_eq!(from_text(&text), path, "{text}");
        }
        assert_eq!(to_text(&path_of(b"caf\xe9.mp3".to_vec())), "caf\\xe9.mp3");
        assert_eq!(to_text(Path::new("dir\\file.mp3")), "dir\\file.mp3");
    }

    /// Every answer in docs/messages.md is what is emitted for the value it shows, field by field.
    #[test]
    fn the_documented_answers_are_what_is_emitted() {
        let text = include_str!("../../../docs/messages.md");
        let documented: Vec<Value> = text
            .lines()
            .filter(|line| line.starts_with("{\"confidence\"") || line.starts_with("{\"error\""))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let model = Model::builtin();
        let printer = Printer {
            out: Box::new(io::sink()),
            format: Format::Json,
            model: &model,
            color: false,
            show_frames: false,
            show_timeline: false,
            name_width: 8,
            options: "--average mean --skip 20 --hop 29.12".to_owned(),
            n_written: 0,
        };
        let mut scores = [0.04_f32; 10];
        scores[9] = 0.64;
        let scores = Scores::new(&scores);
        let song = |verdict, frames: usize, seconds| Heard {
            song: Song {
                verdict,
                scores: if frames == 0 {
                    Scores::uniform(10)
                } else {
                    scores
                },
                frames: vec![
                    Frame {
                        start: Seconds(0.0),
                        scores,
                        music: None,
                        embedding: Vec::new(),
                    };
                    frames
                ],
                duration: Seconds(seconds),
                short: frames == 0,
                music: (frames > 0).then_some(0.98),
                reason: None,
            },
            timeline: Vec::new(),
            notes: Vec::new(),
        };
        let mut cut = song(Verdict::Genre(9), 7, 251.3);
        cut.notes = vec!["cut off before its end".to_owned()];
        let mut emitted = [
            printer.json(Path::new("music/a.mp3"), &cut),
            printer.json(Path::new("music/b.wav"), &song(Verdict::TooShort, 0, 0.6)),
            failure_json(
                Path::new("music/c.mp3"),
                "music/c.mp3: the file is empty (0 bytes)",
            ),
        ];
        assert_eq!(documented.len(), emitted.len(), "docs/messages.md");
        for (documented, emitted) in documented.iter().zip(&mut emitted) {
            if emitted.get("model").is_some() {
                emitted["model"] = json!("test-model");
            }
            assert_eq!(documented, emitted, "docs/messages.md");
        }
        for verdict in [
            Verdict::Genre(0),
            Verdict::Unsure,
            Verdict::NotMusic,
            Verdict::Silent,
            Verdict::TooShort,
        ] {
            let state = format!("`{}`", verdict.as_str());
            let told = text.split_once("## `song`").unwrap().1;
            assert!(told.contains(&state), "{state}");
        }
    }
}
