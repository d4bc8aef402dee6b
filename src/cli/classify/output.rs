//! What `classify` prints: a table for people, JSON lines and CSV for programs.

use std::{
    io::{self, Write},
    path::{Component, Path, PathBuf},
};

use super::super::{
    shown_input,
    text::{end_of, pad, plain, too_short, width},
};
use crate::{
    answer::{Heard, Listening, error_row, path::to_text, stretches},
    decision::{Readout, Reason},
    song::{SongClassifier, Verdict},
};

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
    pub(in crate::cli) listening: &'a Listening,
    pub(in crate::cli) color: bool,
    pub(in crate::cli) name_width: usize,
    /// Answers that were written, failures among them.
    pub(in crate::cli) n_written: usize,
}

/// What to call the files in the table: their paths below the folder that holds them all, so that
/// no two look the same.
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

impl Printer<'_> {
    /// What stands before the first answer.
    pub(super) fn header(&mut self) -> io::Result<()> {
        if self.format == Format::Csv {
            let mut row = COLUMNS.to_vec();
            row.extend(self.listening.model.labels().iter());
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
                let line = self.listening.row(path, heard);
                writeln!(self.out, "{line}")?;
            }
            Format::Csv => {
                let song = &heard.song;
                let mut row = vec![
                    to_text(path),
                    self.listening
                        .genre(song.verdict)
                        .unwrap_or_default()
                        .to_owned(),
                    format!("{:.4}", song.confidence()),
                    song.verdict.as_str().to_owned(),
                    song.frames.len().to_string(),
                    song.duration.rounded().to_string(),
                    song.short.to_string(),
                    heard.notes.join("; "),
                    self.listening.model.card().name.clone(),
                    self.listening.options(),
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
                writeln!(self.out, "{}", error_row(path, reason))?;
                self.out.flush()
            }
            Format::Csv => {
                self.n_written += 1;
                let mut row = vec![to_text(path)];
                row.extend(std::iter::repeat_n(String::new(), 6));
                row.push(reason.to_owned());
                row.push(self.listening.model.card().name.clone());
                row.push(self.listening.options());
                row.extend(std::iter::repeat_n(
                    String::new(),
                    self.listening.model.labels().len(),
                ));
                self.csv_row(row)
            }
        }
    }

    /// Room for the longest answer.
    fn answer_width(&self) -> usize {
        let labels = self.listening.model.labels();
        if !labels.has_families() {
            return 10;
        }
        let widths = (0..labels.len()).map(|index| width(&labels.path(index)));
        widths.max().unwrap_or(10)
    }

    fn table(&mut self, shown: &str, heard: &Heard) -> io::Result<()> {
        let song = &heard.song;
        let name = pad(&end_of(shown, self.name_width), self.name_width);
        let answer = match song.verdict {
            Verdict::Genre(genre) => self.listening.model.labels().path(genre),
            Verdict::Unsure => "unsure".to_owned(),
            Verdict::NotMusic => "not music".to_owned(),
            Verdict::Silent => "silent".to_owned(),
            Verdict::TooShort => "too short".to_owned(),
        };
        let bold = self.paint(&pad(&answer, self.answer_width()), "1");
        let mut line = format!("{name}  {bold}");
        if !song.frames.is_empty() && song.verdict != Verdict::Silent {
            for (index, score) in self
                .listening
                .model
                .labels()
                .ranked(&song.scores)
                .into_iter()
                .take(3)
            {
                let label = self.listening.model.labels().get(index).unwrap_or_default();
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
            let least = SongClassifier::shortest(&self.listening.model);
            line += &format!(", {}", too_short(song.duration, least));
        }
        if song.short && frames > 0 {
            line += ", shorter than one: repeated to fill it";
        }
        for note in &heard.notes {
            line += &format!(", {note}");
        }
        writeln!(self.out, "{}", line.trim_end())?;
        if self.listening.frames {
            for frame in &song.frames {
                let best: Vec<String> = self
                    .listening
                    .model
                    .labels()
                    .ranked(&frame.scores)
                    .into_iter()
                    .take(3)
                    .map(|(index, score)| {
                        let label = self.listening.model.labels().get(index).unwrap_or_default();
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
        if self.listening.timeline {
            self.timeline(&heard.timeline)?;
        }
        Ok(())
    }

    fn timeline(&mut self, readouts: &[Readout]) -> io::Result<()> {
        const BAR: f32 = 30.0;
        for stretch in stretches(readouts) {
            let what = match (stretch.genre, stretch.state) {
                (Some(genre), _) => self.listening.model.labels().path(genre),
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
