//! A file with one line, for programs that show what a file says: OBS (*Text*, read from file),
//! Butt, radio automation.
//!
//! The line is put in place as a whole, so that nobody reads half of one. While no genre is named
//! the file is empty, and so it is at the end: what it says is true, or nothing.

use std::{
    ffi::OsString,
    fs, io,
    path::{Path, PathBuf},
    time::Instant,
};

use super::{Hello, Sink, SinkError, Status, Update};
use crate::decision::State;

/// What stands in the file where nothing else is asked for.
pub const DEFAULT_FORMAT: &str = "{genre}";

/// A file longer than this was not written by us.
const MAX_LINE: u64 = 1_024;

const PLACES: [&str; 4] = ["{genre}", "{confidence}", "{state}", "{source}"];

/// A file that holds one line.
#[derive(Debug)]
pub struct TextSink {
    path: PathBuf,
    format: String,
    written: Option<String>,
}

impl TextSink {
    /// Keeps `format` filled in at `path`: `{genre}`, `{confidence}` in percent, `{state}`,
    /// `{source}`.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the format names something else, or what is at `path` is no such
    /// file.
    pub fn new(path: &Path, format: &str) -> Result<Self, SinkError> {
        check_format(format)?;
        let wrong = |why: String| SinkError::Setting {
            feed: "text",
            what: "file",
            value: path.display().to_string(),
            why,
        };
        // Links are written through.
        let real = match fs::canonicalize(path) {
            Ok(real) => real,
            Err(error) if error.kind() == io::ErrorKind::NotFound => path.to_owned(),
            Err(error) => return Err(wrong(error.to_string())),
        };
        if let Ok(found) = fs::metadata(&real) {
            if !found.is_file() {
                return Err(wrong("it is no regular file".into()));
            }
            let known = found.len() <= MAX_LINE
                && fs::read_to_string(&real).is_ok_and(|text| text.lines().count() <= 1);
            if !known {
                return Err(wrong(
                    "there is a file that holds more than one line of text, which would be lost; \
                     give another name"
                        .into(),
                ));
            }
        }
        let folder = real
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if let Some(folder) = folder
            && !folder.is_dir()
        {
            return Err(wrong("there is no such folder; make it first".into()));
        }
        Ok(Self {
            path: real,
            format: format.to_owned(),
            written: None,
        })
    }

    fn line(&self, update: &Update) -> String {
        let Some(genre) = update.genre() else {
            return String::new();
        };
        let share = format!("{:.0}", update.readout.confidence * 100.0);
        let values = [genre, &share, update.readout.state.as_str(), &update.source];
        filled(&self.format, &values)
    }

    fn write(&mut self, line: String) -> Result<(), SinkError> {
        if self.written.as_ref() == Some(&line) {
            return Ok(());
        }
        let mut part = OsString::from(&self.path);
        part.push(format!(".{}.part", std::process::id()));
        let end = if line.is_empty() { "" } else { "\n" };
        let written =
            fs::write(&part, format!("{line}{end}")).and_then(|()| fs::rename(&part, &self.path));
        if let Err(source) = written {
            // It may not have come to be.
            let _ = fs::remove_file(&part);
            return Err(SinkError::Write {
                target: self.name(),
                source,
            });
        }
        self.written = Some(line);
        Ok(())
    }
}

/// Checks what is to stand in the file.
///
/// # Errors
/// [`SinkError::Setting`] when it names something that there is not.
pub fn check_format(format: &str) -> Result<(), SinkError> {
    let mut left = format.to_owned();
    for place in PLACES {
        left = left.replace(place, "");
    }
    if left.contains(['{', '}']) || left.contains(char::is_control) || left.len() > 500 {
        return Err(SinkError::Setting {
            feed: "text",
            what: "format",
            value: format.to_owned(),
            why: format!("it is one line, and {} are filled in", PLACES.join(", ")),
        });
    }
    Ok(())
}

/// The format with its places filled: each once, so that what is filled in is never taken for a
/// place.
fn filled(format: &str, values: &[&str; 4]) -> String {
    let mut out = String::new();
    let mut rest = format;
    while let Some(at) = rest.find('{') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let place = PLACES.iter().position(|place| rest.starts_with(place));
        let Some(place) = place else {
            break;
        };
        out.push_str(values[place]);
        rest = &rest[PLACES[place].len()..];
    }
    out.push_str(rest);
    // A source may be named as it likes; a line stays one.
    out.replace(char::is_control, " ")
}

impl Sink for TextSink {
    fn name(&self) -> String {
        format!("text in '{}'", self.path.display())
    }
    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        self.write(String::new())
    }
    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        let line = self.line(update);
        self.write(line)
    }
    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        if matches!(status.state, State::Lost | State::Silent) {
            return self.write(String::new());
        }
        Ok(())
    }
    fn close(&mut self) {
        // Nobody is left to be told.
        let _ = self.write(String::new());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    #[test]
    fn the_line_is_true_or_empty() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("now.txt");
        let mut sink = TextSink::new(&path, "Now: {genre} ({confidence} %) {genre}").unwrap();
        let read = || fs::read_to_string(&path).unwrap();
        sink.hello(&fixtures::hello()).unwrap();
        assert_eq!(read(), "");
        let now = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), now).unwrap();
        assert_eq!(read(), "Now: rock (64 %) rock\n");
        sink.update(&fixtures::update(2, None), now).unwrap();
        assert_eq!(read(), "");
        sink.update(&fixtures::update(3, Some(0)), now).unwrap();
        assert_eq!(read(), "Now: blues (64 %) blues\n");
        sink.status(&Status {
            state: State::Lost,
            message: None,
            source: "x".into(),
            time: fixtures::hello().time,
        })
        .unwrap();
        assert_eq!(read(), "");
        sink.update(&fixtures::update(4, Some(0)), now).unwrap();
        sink.close();
        assert_eq!(read(), "");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1, "no parts");
    }

    #[test]
    fn what_is_filled_in_is_text_and_stays_one_line() {
        let mut update = fixtures::update(1, Some(9));
        update.source = "a {genre}\nb".into();
        let dir = tempfile::tempdir().unwrap();
        let sink = TextSink::new(&dir.path().join("x"), "{source}: {genre}").unwrap();
        assert_eq!(sink.line(&update), "a {genre} b: rock");
    }

    #[test]
    fn other_files_are_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("letter.txt");
        fs::write(&path, "Dear reader,\nthis is a letter.\n").unwrap();
        let error = TextSink::new(&path, DEFAULT_FORMAT)
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("letter.txt") && error.contains("would be lost"),
            "{error}"
        );
        fs::write(&path, "jazz\n").unwrap();
        assert!(
            TextSink::new(&path, DEFAULT_FORMAT).is_ok(),
            "our own of the last time"
        );
        assert!(TextSink::new(dir.path(), DEFAULT_FORMAT).is_err());
        let error = TextSink::new(&dir.path().join("no/x"), DEFAULT_FORMAT).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
        let error = TextSink::new(&path, "{genre} {artist}")
            .unwrap_err()
            .to_string();
        assert!(error.contains("{confidence}"), "{error}");
    }
}
