//! Everything the editor shows, as plain values: what a test can make up and a host need not be
//! there for.

mod words;

use std::sync::Arc;

use genrescope::{
    decision::{FRAME, PROVISIONAL_FROM, Reason, State},
    genre::{Labels, Scores},
    words::{Language, Words},
};

pub(crate) use self::words::capitalised;
pub use self::words::percent;
use super::theme;
use crate::{
    history::History,
    params::{Appearance, DEFAULT_BASE_CC, DEFAULT_BASE_NOTE, ModelChoice, Reach, Restlessness},
    song::SongTime,
};

/// Rows of families and kinds: the rest says little.
const FAMILY_ROWS: usize = 12;

/// What is shown.
#[derive(Clone, Debug, PartialEq)]
pub struct ViewModel {
    /// The model's labels.
    pub labels: Vec<String>,
    /// The same with their families, where the model has some.
    pub families: Option<Labels>,
    /// One score per label, 0 to 1: averaged.
    pub scores: Vec<f32>,
    /// The same of what was heard last alone.
    pub newest: Vec<f32>,
    /// What kind of answer this is, or why there is none.
    pub status: Status,
    /// The genre that is shown.
    pub genre: Option<usize>,
    /// Why none is.
    pub reason: Option<Reason>,
    /// How likely it is music, 0 to 1, where that is known.
    pub music: Option<f32>,
    /// Its score.
    pub confidence: f32,
    /// What the answer rests on, in seconds.
    pub heard_s: f64,
    /// Length of a whole frame, in seconds.
    pub frame_s: f64,
    /// What was heard in the last hour.
    pub history: Arc<History>,
    /// How far back the strip reaches.
    pub reach: Reach,
    /// Which theme is asked for.
    pub appearance: Appearance,
    /// The moment that the readout is of, where that is not now.
    pub past: Option<Past>,
    /// In which language.
    pub language: Language,
    /// Which one is asked for; the system's where none is.
    pub language_choice: Option<Language>,
    /// Where the history was saved, or why it was not.
    pub saved: Option<Result<String, String>>,
    /// Level of the newest audio, in dBFS.
    pub level_dbfs: f32,
    /// The readout is held.
    pub hold: bool,
    /// Time constant of the average, in seconds.
    pub averaging_s: f32,
    /// Name of the model.
    pub model: String,
    /// Which model was asked for.
    pub model_choice: ModelChoice,
    /// Share of one core that listening takes.
    pub load: f32,
    /// Samples that were not heard.
    pub dropped: u64,
    /// How restless the answer is.
    pub restlessness: Restlessness,
    /// MIDI is sent.
    pub midi: bool,
    /// A message was sent just now.
    pub midi_lit: bool,
    /// 1 to 16.
    pub midi_channel: i32,
    /// Note of the first genre.
    pub base_note: i32,
    /// Controller of the first genre.
    pub base_cc: i32,
    /// OSC is sent.
    pub osc: bool,
    /// Where to.
    pub osc_target: String,
    /// Why not.
    pub osc_trouble: Option<String>,
    /// Plugin format, such as `CLAP`.
    pub format: String,
}

/// A moment that is over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Past {
    /// How long, in seconds.
    pub ago_s: f64,
    /// Where the host's song stood.
    pub song: Option<SongTime>,
}

/// What the readout means.
#[derive(Clone, Debug, PartialEq)]
pub enum Status {
    /// The model is being loaded.
    Loading,
    /// Nothing listens; says why, and what to do.
    Trouble(String),
    /// The host has switched the plugin off.
    Bypassed,
    /// The host sends no audio.
    NoAudio,
    /// The listener's own word.
    Listening(State),
}

impl Default for ViewModel {
    /// What a fresh instance shows before its model is there.
    fn default() -> Self {
        Self {
            labels: Vec::new(),
            families: None,
            scores: Vec::new(),
            newest: Vec::new(),
            status: Status::Loading,
            genre: None,
            reason: None,
            music: None,
            confidence: 0.0,
            heard_s: 0.0,
            frame_s: FRAME.0,
            history: Arc::default(),
            reach: Reach::default(),
            appearance: Appearance::default(),
            past: None,
            language: Language::English,
            language_choice: None,
            saved: None,
            level_dbfs: -120.0,
            hold: false,
            averaging_s: 0.0,
            model: String::new(),
            model_choice: ModelChoice::Builtin,
            load: 0.0,
            dropped: 0,
            restlessness: Restlessness::Balanced,
            midi: false,
            midi_lit: false,
            midi_channel: 1,
            base_note: DEFAULT_BASE_NOTE,
            base_cc: DEFAULT_BASE_CC,
            osc: false,
            osc_target: String::new(),
            osc_trouble: None,
            format: String::new(),
        }
    }
}

impl ViewModel {
    /// There is music that the colours speak of; otherwise everything is grey.
    pub fn is_vivid(&self) -> bool {
        matches!(
            self.status,
            Status::Listening(State::Live | State::Provisional | State::Unsure)
        )
    }

    /// All that is written is written in these.
    pub fn words(&self) -> &'static Words {
        self.language.words()
    }

    /// The answer rests on a whole frame: as sure as it gets.
    pub fn is_settled(&self) -> bool {
        !matches!(self.status, Status::Listening(State::Provisional))
    }

    /// How strong the shown genre's colour is.
    pub(crate) fn strength(&self) -> f32 {
        theme::strength(!self.is_settled())
    }

    /// The label of `index` within a sentence.
    pub fn name(&self, index: usize) -> &str {
        match self.labels.get(index).map_or("", String::as_str) {
            // The data sets' spelling.
            "hiphop" => "hip hop",
            label => label,
        }
    }

    /// The label of `index` as it is shown: with a capital letter.
    pub fn title(&self, index: usize) -> String {
        capitalised(self.name(index))
    }

    /// The labels that have a bar, in order: all; or of families the best, each with the kind that
    /// leads in it.
    pub fn listed(&self) -> Vec<usize> {
        let n = self.labels.len().min(self.scores.len());
        match &self.families {
            Some(labels) if n == labels.len() => {
                let mut listed = labels.shown(&Scores::new(&self.scores), FAMILY_ROWS);
                listed.sort_unstable();
                listed
            }
            _ => (0..n).collect(),
        }
    }

    /// The label that stands for `index` beside others: its family, or itself.
    fn family_or_self(&self, index: usize) -> usize {
        let families = self.families.as_ref();
        families.map_or(index, |labels| labels.family_or_self(index))
    }

    /// The label of `index` in the list of bars: a kind a little to the right, below its family.
    pub fn row_title(&self, index: usize) -> String {
        if self.family_or_self(index) == index {
            self.title(index)
        } else {
            format!("  {}", self.name(index))
        }
    }

    /// Indices of the two best scores, best first; fewer when there are fewer labels. A family
    /// stands for its kinds.
    pub fn candidates(&self) -> Vec<usize> {
        let mut order: Vec<usize> = (0..self.scores.len().min(self.labels.len())).collect();
        order.retain(|&index| self.family_or_self(index) == index);
        order.sort_by(|&a, &b| self.scores[b].total_cmp(&self.scores[a]));
        order.truncate(2);
        order
    }

    /// What was shown at a moment of the history; `None` where it says nothing of it.
    pub fn at(&self, at: f64) -> Option<Self> {
        let (span, scores) = self.history.at(at)?;
        let past = Past {
            ago_s: self.history.end_s() - at,
            song: span.song_at(at),
        };
        Some(Self {
            scores,
            newest: Vec::new(),
            status: Status::Listening(span.state),
            genre: span.genre,
            reason: span.reason,
            music: None,
            confidence: span.confidence,
            hold: false,
            past: Some(past),
            ..self.clone()
        })
    }

    /// How much of what the next better answer needs was heard, 0 to 1; `None` when there is
    /// nothing to wait for.
    pub fn progress(&self) -> Option<f32> {
        if self.past.is_some() {
            return None;
        }
        let whole = match self.status {
            Status::Listening(State::Warming) => PROVISIONAL_FROM.0,
            Status::Listening(State::Provisional) => self.frame_s,
            _ => return None,
        };
        Some((self.heard_s / whole).clamp(0.0, 1.0) as f32)
    }

    /// The best of what was heard last alone, and its score.
    fn newest_best(&self) -> Option<(usize, f32)> {
        let newest = self.newest.iter().copied().enumerate();
        newest
            .take(self.labels.len())
            .max_by(|a, b| a.1.total_cmp(&b.1))
            .filter(|(_, score)| *score > 0.0)
    }
}

#[cfg(test)]
mod tests;
