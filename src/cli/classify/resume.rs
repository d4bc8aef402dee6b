//! Going on with the answers of an earlier run: what it answered, what it left undone, and a file
//! without either's traces.

use std::{
    collections::HashSet,
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{
    super::{json_lines, output_file::OutputFile, text::name_of},
    output::{COLUMNS, Format, MODEL, OPTIONS},
};
use crate::{answer::path::from_text, network::Model};

/// One file by all its names.
pub(super) fn key_of(path: &Path) -> PathBuf {
    fs::canonicalize(path).unwrap_or_else(|_| path.to_owned())
}

/// What an earlier run wrote.
#[derive(Debug, Default)]
pub(super) struct Earlier {
    text: Vec<u8>,
    /// Bytes before the first record: the header line of a CSV file.
    header: usize,
    records: Vec<Record>,
    /// Behind the last whole record: what a run that was killed left of its last one.
    end: usize,
}

#[derive(Debug)]
struct Record {
    key: PathBuf,
    bytes: Range<usize>,
    failed: bool,
}

impl Earlier {
    /// Reads the file at `output`; one that is not there or empty holds nothing.
    ///
    /// # Errors
    /// When it cannot be read, holds something else than answers of `classify`, or those of another
    /// model or of other options.
    pub(super) fn read(
        output: &OutputFile,
        format: Format,
        model: &Model,
        options: &str,
    ) -> anyhow::Result<Self> {
        let name = name_of(output.path());
        let text = match fs::read(output.real()) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Vec::new(),
            text => text.with_context(|| format!("cannot go on with '{name}'"))?,
        };
        let mut earlier = Self {
            text,
            ..Self::default()
        };
        match format {
            Format::Csv => earlier.read_csv(&name, model, options)?,
            Format::Json | Format::Table => earlier.read_json(&name, model, options)?,
        }
        Ok(earlier)
    }

    fn read_json(&mut self, name: &str, model: &Model, options: &str) -> anyhow::Result<()> {
        let last = self.text.len() - self.text.iter().rev().take_while(|&&b| b != b'\n').count();
        // A whole answer without its line end is an answer.
        if json_lines::message(&self.text[last..]).is_some() {
            self.text.push(b'\n');
        }
        let mut start = 0;
        for (index, line) in self.text.split_inclusive(|&byte| byte == b'\n').enumerate() {
            let bytes = start..start + line.len();
            if line.last() != Some(&b'\n') {
                anyhow::ensure!(
                    index > 0 || json_lines::is_torn(line),
                    "'{name}' was not written by classify --json; give another --output"
                );
                break;
            }
            start = bytes.end;
            let value = json_lines::message(line).unwrap_or_default();
            let Some((path, theirs)) = answer(&value) else {
                anyhow::bail!(
                    "line {} of '{name}' is no answer of classify --json; remove it, or give another --output",
                    index + 1
                );
            };
            anyhow::ensure!(
                theirs.is_none_or(|theirs| theirs == model.card().name),
                other_model(name, theirs.unwrap_or_default())
            );
            if theirs.is_some() {
                same_options(name, value["options"].as_str(), options)?;
            }
            self.records.push(Record {
                key: key_of(&from_text(path)),
                bytes,
                failed: theirs.is_none(),
            });
        }
        self.end = start;
        Ok(())
    }

    fn read_csv(&mut self, name: &str, model: &Model, options: &str) -> anyhow::Result<()> {
        self.end = end_of_csv(&self.text);
        let expected: Vec<&str> = COLUMNS.into_iter().chain(model.labels().iter()).collect();
        let foreign =
            || format!("'{name}' was not written by classify --csv; give another --output");
        if self.end == 0 {
            let header = expected.join(",");
            let torn = header
                .as_bytes()
                .starts_with(json_lines::without_zeros(&self.text));
            anyhow::ensure!(torn, foreign());
            return Ok(());
        }
        let mut reader = csv::ReaderBuilder::new()
            .flexible(true)
            .has_headers(false)
            .from_reader(&self.text[..self.end]);
        let mut row = csv::StringRecord::new();
        let mut start = 0;
        while reader.read_record(&mut row).with_context(foreign)? {
            let bytes = start..usize::try_from(reader.position().byte())?.min(self.end);
            start = bytes.end;
            if self.header == 0 {
                self.header = bytes.end;
                anyhow::ensure!(
                    row.iter().take(MODEL).eq(COLUMNS.into_iter().take(MODEL)),
                    foreign()
                );
                anyhow::ensure!(
                    row.get(MODEL) == Some(COLUMNS[MODEL]),
                    "'{name}' does not say which model its answers are from; give another --output"
                );
                if row.get(OPTIONS) != Some(COLUMNS[OPTIONS]) {
                    same_options(name, None, options)?;
                }
                let labels: Vec<&str> = row.iter().skip(COLUMNS.len()).collect();
                anyhow::ensure!(
                    labels.iter().copied().eq(model.labels().iter()),
                    other_model(name, &labels.join(", "))
                );
                continue;
            }
            let (Some(path), Some(state), Some(theirs), true) = (
                row.get(0),
                row.get(3),
                row.get(MODEL),
                row.len() == expected.len(),
            ) else {
                anyhow::bail!(
                    "line {} of '{name}' has {} values where {} belong: it is damaged; remove that line, or give \
                     another --output",
                    row.position().map_or(0, csv::Position::line),
                    row.len(),
                    expected.len()
                );
            };
            anyhow::ensure!(theirs == model.card().name, other_model(name, theirs));
            if !state.is_empty() {
                same_options(name, row.get(OPTIONS), options)?;
            }
            self.records.push(Record {
                key: key_of(&from_text(path)),
                bytes,
                failed: state.is_empty(),
            });
        }
        Ok(())
    }

    /// Nothing is in it that would have to be gone on with: the header, where there is one, is
    /// still to come.
    pub(super) fn is_empty(&self) -> bool {
        self.end == 0
    }

    /// The files that were answered. Those that failed are tried again.
    pub(super) fn answered(&self) -> HashSet<&Path> {
        self.records
            .iter()
            .filter(|record| !record.failed)
            .map(|record| record.key.as_path())
            .collect()
    }

    /// Takes what was cut off out of the file, which is told by `true`, and the failures of files
    /// that are tried again now or were answered later: every file has one line.
    ///
    /// # Errors
    /// When the file cannot be written; it is as it was then.
    pub(super) fn tidy(
        &self,
        output: &OutputFile,
        again: &HashSet<PathBuf>,
    ) -> anyhow::Result<bool> {
        let torn = self.end < self.text.len();
        let answered = self.answered();
        let kept: Vec<&Record> = self
            .records
            .iter()
            .filter(|record| {
                !record.failed
                    || !again.contains(&record.key) && !answered.contains(record.key.as_path())
            })
            .collect();
        let unchanged = fs::metadata(output.real()).map_or(self.text.is_empty(), |found| {
            found.len() == self.text.len() as u64
        });
        if torn || kept.len() < self.records.len() || !unchanged {
            output.replace(|out| {
                out.write_all(&self.text[..self.header])?;
                kept.iter()
                    .try_for_each(|record| out.write_all(&self.text[record.bytes.clone()]))
            })?;
        }
        Ok(torn)
    }
}

/// The path of an answer, and its model if it is no failure.
fn answer(value: &Value) -> Option<(&str, Option<&str>)> {
    let path = value["path"].as_str()?;
    match value["type"].as_str()? {
        "song" => Some((path, Some(value["model"].as_str()?))),
        "error" => Some((path, None)),
        _ => None,
    }
}

fn other_model(name: &str, theirs: &str) -> String {
    format!(
        "'{name}' holds the answers of another model ({theirs}); give another --output, or that model"
    )
}

/// Refuses answers that were made with other options.
fn same_options(name: &str, theirs: Option<&str>, ours: &str) -> anyhow::Result<()> {
    let theirs = theirs.with_context(|| {
        format!(
            "'{name}' does not say with which options its answers were made; give another --output"
        )
    })?;
    anyhow::ensure!(
        theirs == ours,
        "'{name}' holds answers that were made with other options ({theirs}) than those of now ({ours}); give \
         another --output, or those options"
    );
    Ok(())
}

/// Where the last whole row ends: a line end in quotes ends none.
fn end_of_csv(text: &[u8]) -> usize {
    let (mut quoted, mut end) = (false, 0);
    for (at, byte) in text.iter().enumerate() {
        match byte {
            b'"' => quoted = !quoted,
            b'\n' if !quoted => end = at + 1,
            _ => {}
        }
    }
    end
}
