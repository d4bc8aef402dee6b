//! How a listener fares on today's music: songs in folders named by tags, each heard from its first
//! second to its last.

use std::{fmt::Write as _, path::Path, sync::Arc};

use anyhow::{Result, ensure};
use genrescope::{
    decision::{Readout, Reason},
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
};

use super::rows::median;
use crate::{
    audio::{self, Mono},
    datasets::Dataset,
    metrics::Share,
    parallel,
    study::say,
};

/// By how much another label must lead for a shown one to count as overtaken.
const AHEAD: f32 = 0.15;

/// What came of the songs of one folder.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Tally {
    /// Songs that were heard.
    pub songs: usize,
    /// Seconds that were not silent.
    pub music_s: f64,
    /// Of these, seconds with a genre.
    pub named_s: f64,
    /// Seconds without one, by reason, in the order of [`Reason::ALL`].
    pub unnamed_s: [f64; Reason::ALL.len()],
    /// Of the seconds with a genre, those in which another label led by more than `AHEAD`.
    pub overtaken_s: f64,
    /// Seconds with a genre of songs whose tag names a label, and those in which it was that one.
    pub judged_s: f64,
    /// See `judged_s`.
    pub right_s: f64,
    /// Times that the shown genre became another or none, or came back.
    pub changes: usize,
    /// Of these, the times that another genre was shown than the one before.
    pub flips: usize,
    /// Seconds to the first genre of each song; infinite where none came.
    pub first_s: Vec<f64>,
}

impl Tally {
    /// One song: its readouts in order, and the label that its tag names.
    fn hear(&mut self, readouts: &[Readout], label: Option<usize>) {
        self.songs += 1;
        let (mut shown, mut newest, mut first) = (None, None, f64::INFINITY);
        let mut since = 0.0;
        for readout in readouts {
            let stood = readout.position.0 - since;
            since = readout.position.0;
            if readout.genre != shown {
                self.changes += 1;
                shown = readout.genre;
            }
            if readout.reason == Some(Reason::Silence) {
                continue;
            }
            self.music_s += stood;
            let Some(genre) = readout.genre else {
                if let Some(place) = Reason::ALL.iter().position(|&r| Some(r) == readout.reason) {
                    self.unnamed_s[place] += stood;
                }
                continue;
            };
            first = first.min(readout.position.0);
            self.flips += usize::from(newest.is_some_and(|newest| newest != genre));
            newest = Some(genre);
            self.named_s += stood;
            let scores = &readout.scores;
            if scores.top().1 - scores.as_slice()[genre] > AHEAD {
                self.overtaken_s += stood;
            }
            if let Some(label) = label {
                self.judged_s += stood;
                self.right_s += if genre == label { stood } else { 0.0 };
            }
        }
        self.first_s.push(first);
    }

    fn row(&self, name: &str) -> String {
        let share = |part: f64, whole: f64| {
            let share = Share::new(part.round() as usize, whole.round().max(1.0) as usize);
            format!("{:.1} %", 100.0 * share.value)
        };
        let hours = (self.music_s / 3_600.0).max(1e-9);
        let mut why: Vec<(Reason, f64)> = Reason::ALL.into_iter().zip(self.unnamed_s).collect();
        why.retain(|(_, seconds)| *seconds > 0.0);
        why.sort_by(|a, b| b.1.total_cmp(&a.1));
        let why: Vec<String> = why
            .iter()
            .map(|(reason, s)| format!("{} {}", reason.as_str(), share(*s, self.music_s)))
            .collect();
        let mut first = self.first_s.clone();
        format!(
            "| {name} | {} songs, {:.1} min | {} | {} of {:.1} min | {} | {:.0} | {:.0} | {:.1} s | {} |",
            self.songs,
            self.music_s / 60.0,
            share(self.named_s, self.music_s),
            share(self.right_s, self.judged_s),
            self.judged_s / 60.0,
            share(self.overtaken_s, self.named_s),
            self.changes as f64 / hours,
            self.flips as f64 / hours,
            median(&mut first),
            why.join(", ")
        )
    }
}

/// The label that a folder's name names: the name itself, or a word of it.
fn label_of(labels: &[&str], tag: &str) -> Option<usize> {
    let find = |name: &str| labels.iter().position(|label| *label == name);
    find(tag).or_else(|| tag.split('_').find_map(find))
}

/// Hears every recording in `folder` (a folder per tag) and sums up.
///
/// # Errors
/// When there is none, or the pipeline cannot be built.
pub fn tally(
    model: &Arc<Model>,
    folder: &Path,
    config: &PipelineConfig,
    threads: usize,
) -> Result<Tally> {
    let items = Dataset::unlabelled(folder)?.items;
    let labels: Vec<&str> = model.labels().iter().collect();
    let heard = parallel::map(items.len(), threads, |i| -> Result<Vec<Readout>> {
        let Mono { samples, rate } = audio::decode(&items[i].path)?;
        let mut pipeline = Pipeline::new(model, rate, config.clone())?;
        let mut readouts = Vec::new();
        pipeline.push(&samples, |readout| readouts.push(*readout));
        pipeline.finish(|readout| readouts.push(*readout));
        Ok(readouts)
    });
    let mut tally = Tally::default();
    for (item, readouts) in items.iter().zip(heard) {
        let tag = item.path.parent().and_then(Path::file_name);
        let tag = tag.map(|tag| tag.to_string_lossy().into_owned());
        match readouts {
            Ok(readouts) => tally.hear(&readouts, tag.and_then(|tag| label_of(&labels, &tag))),
            Err(error) => say(&format!("left out '{}': {error:#}\n", item.path.display())),
        }
    }
    ensure!(
        tally.songs > 0,
        "no recording in '{}' could be heard",
        folder.display()
    );
    Ok(tally)
}

/// The table as Markdown: a line a folder.
pub fn markdown(tallies: &[(String, Tally)]) -> String {
    let mut text = String::from(
        "| folder | heard | of it with a genre | right among it, where the tag names a label | of it another label ahead by more than 0.15 | changes an hour | \
         of these to another genre | seconds to the first genre, median | no genre, because |\n|---|---|---|---|---|---|---|---|---|\n",
    );
    for (name, tally) in tallies {
        let _ = writeln!(text, "{}", tally.row(name));
    }
    text
}

#[cfg(test)]
mod tests {
    use genrescope::{decision::State, genre::Scores, units::Seconds};

    use super::*;

    #[test]
    fn tags_name_labels_by_word() {
        let labels = ["country", "jazz", "rock"];
        assert_eq!(label_of(&labels, "jazz"), Some(1));
        assert_eq!(label_of(&labels, "punk_rock"), Some(2));
        assert_eq!(label_of(&labels, "rockabilly"), None);
    }

    #[test]
    fn time_is_counted_by_what_was_shown() {
        let at = |second: f64, state, genre: Option<usize>| {
            let mut readout = Readout {
                scores: Scores::new(&[0.7, 0.3]),
                position: Seconds(second),
                genre,
                ..Readout::warming(2)
            };
            readout.set_state(state);
            readout
        };
        let mut tally = Tally::default();
        let readouts = [
            at(2.0, State::Warming, None),
            at(4.0, State::Live, Some(0)),
            at(6.0, State::Live, Some(1)),
            at(8.0, State::Silent, None),
            at(10.0, State::Unsure, None),
        ];
        tally.hear(&readouts, Some(0));
        assert_eq!((tally.music_s, tally.named_s), (8.0, 4.0));
        assert_eq!((tally.right_s, tally.judged_s), (2.0, 4.0));
        assert_eq!(tally.overtaken_s, 2.0);
        assert_eq!((tally.changes, tally.flips), (3, 1));
        assert_eq!(tally.first_s, [4.0]);
        assert_eq!(tally.unnamed_s.iter().sum::<f64>(), 4.0);
        assert!(markdown(&[("songs".into(), tally)]).contains("| 50.0 % |"));
    }
}
