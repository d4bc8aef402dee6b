//! Genres for what is written elsewhere: which answers are sure enough, and in whose words.

use std::{
    collections::BTreeMap,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::Context as _;
use clap::Args;
use serde::Deserialize;

use super::{
    Context,
    classify::work::Job,
    n_jobs, parse_share,
    signals::Stop,
    text::{name_of, settings_text},
};
use crate::{
    answer::{Heard, Listening},
    genre::usual_word,
    network::Model,
    song::{Multiframe, Verdict},
    toml_words,
};

/// What decides whether a song gets a genre, and which word for it.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct HearArgs {
    /// Leave songs alone whose best score is below this, 0 to 1. Default: what the model itself
    /// calls sure.
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    pub min_confidence: Option<f32>,

    #[arg(
        long,
        value_name = "FILE",
        help = "Your words for the genres: a TOML file with lines like \
        metal = \"Heavy Metal\" or disco = [\"Dance\", \"Disco\"]; \"\" for a genre that is not to be written"
    )]
    pub labels: Option<PathBuf>,

    /// Best score below which the answer is "unsure", 0 to 1. Default: the model's.
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    pub unsure_below: Option<f32>,

    /// Hear only so many frames of 29.12 s of each song, evenly spaced: faster, and right nearly as
    /// often.
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=1_000))]
    pub frames: Option<u16>,

    /// Files looked at side by side. Default: one for each processor.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    pub jobs: Option<u16>,
}

impl HearArgs {
    /// What listens: the whole song, as `classify` does.
    pub(in crate::cli) fn job(&self, context: &Context, stop: Stop) -> anyhow::Result<Job> {
        Ok(Job {
            listening: Arc::new(Listening {
                rule: Multiframe {
                    frames: self.frames.and_then(|n| NonZeroUsize::new(n.into())),
                    ..Multiframe::default()
                },
                unsure_below: self.unsure_below,
                ..Listening::new(context.load_model()?)
            }),
            stop,
        })
    }

    /// Files at a time.
    pub(in crate::cli) fn n_jobs(&self) -> usize {
        n_jobs(self.jobs)
    }

    /// The words of the genres of `model`.
    pub(in crate::cli) fn names(&self, model: &Model) -> anyhow::Result<Names> {
        let mut words: Vec<Vec<String>> = model
            .labels()
            .iter()
            .map(|label| vec![usual_word(label).to_owned()])
            .collect();
        if let Some(path) = &self.labels {
            for (label, its_words) in read_map(path)? {
                let index = model.labels().index_of(&label).with_context(|| {
                    let known: Vec<&str> = model.labels().iter().collect();
                    format!(
                        "{}: the model has no genre '{label}'; it has {}",
                        name_of(path),
                        known.join(", ")
                    )
                })?;
                words[index] = its_words;
            }
        }
        Ok(Names {
            words,
            least: self.min_confidence.unwrap_or(0.0),
        })
    }
}

#[derive(Deserialize)]
#[serde(untagged)]
enum Words {
    One(String),
    Many(Vec<String>),
}

fn read_map(path: &Path) -> anyhow::Result<Vec<(String, Vec<String>)>> {
    let name = name_of(path);
    let text = settings_text("label map", path)?;
    let map: BTreeMap<String, Words> = toml::from_str(&text).map_err(|error| {
        let (line, reason) = toml_words::line_and_reason(&text, &error);
        let reason = if reason.contains("untagged") {
            "a genre has a word in quotes, or a list of such words in [ ]".to_owned()
        } else {
            reason
        };
        anyhow::anyhow!("{name}:{line}: {reason}")
    })?;
    let mut out = Vec::new();
    for (label, words) in map {
        let words = match words {
            Words::One(word) => vec![word],
            Words::Many(words) => words,
        };
        let words: Vec<String> = words
            .iter()
            .map(|word| word.trim().to_owned())
            .filter(|word| !word.is_empty())
            .collect();
        anyhow::ensure!(
            !words.iter().any(|word| word.contains(char::is_control)),
            "{name}: a word for '{label}' has a control character in it"
        );
        out.push((label, words));
    }
    Ok(out)
}

/// The words of every genre, and how sure an answer must be.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Names {
    words: Vec<Vec<String>>,
    least: f32,
}

/// What is to be said of a song.
#[derive(Clone, Debug, PartialEq)]
pub(in crate::cli) enum Answer {
    /// Its genre.
    Genre {
        /// In the model's word.
        label: String,
        /// In the user's words: at least one.
        words: Vec<String>,
        /// Its score.
        confidence: f32,
    },
    /// Nothing, and why.
    Nothing(String),
}

impl Names {
    pub(in crate::cli) fn answer(&self, model: &Model, heard: &Heard) -> Answer {
        let song = &heard.song;
        let Verdict::Genre(genre) = song.verdict else {
            return Answer::Nothing(song.verdict.words().into());
        };
        let label = model.labels().get(genre).unwrap_or_default();
        self.genre(genre, label, song.scores.as_slice()[genre])
    }

    /// What is to be said of a song of this genre.
    pub(in crate::cli) fn genre(&self, genre: usize, label: &str, confidence: f32) -> Answer {
        let label = label.to_owned();
        if confidence < self.least {
            return Answer::Nothing(format!(
                "{label} {:.0} %, less than asked for",
                100.0 * confidence
            ));
        }
        match &self.words[genre][..] {
            [] => Answer::Nothing(format!("{label}, which the label map leaves out")),
            words => Answer::Genre {
                label,
                words: words.to_vec(),
                confidence,
            },
        }
    }

    /// Every word that can be said.
    pub(in crate::cli) fn all_words(&self) -> impl Iterator<Item = &str> {
        self.words.iter().flatten().map(String::as_str)
    }
}
