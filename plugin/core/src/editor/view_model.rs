//! Everything the editor shows, as plain values: what a test can make up and a host need not be
//! there for.

use genrescope::{
    decision::{FRAME, PROVISIONAL_FROM, Reason, State},
    genre::{Labels, Scores},
};

use super::theme;
use crate::{
    history::Span,
    params::{DEFAULT_BASE_CC, DEFAULT_BASE_NOTE, ModelChoice, Restlessness},
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
    /// The strip, oldest first.
    pub history: Vec<Span>,
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
            history: Vec::new(),
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
        let label = self.name(index);
        let mut chars = label.chars();
        chars.next().map_or_else(String::new, |first| {
            first.to_uppercase().chain(chars).collect()
        })
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

    /// Position of the newest span's end, in seconds.
    pub fn now_s(&self) -> f64 {
        self.history.last().map_or(0.0, |span| span.end)
    }

    /// The short word beside the dot.
    pub fn chip(&self) -> &'static str {
        if self.hold && self.is_vivid() {
            return "Held";
        }
        match self.status {
            Status::Loading => "Loading",
            Status::Trouble(_) => "Trouble",
            Status::Bypassed => "Bypassed",
            Status::NoAudio => "Waiting",
            Status::Listening(State::Warming) => "Warming up",
            Status::Listening(State::Provisional) => "So far",
            Status::Listening(State::Live) => "Live",
            Status::Listening(State::Unsure) => "Unsure",
            Status::Listening(State::NotMusic) => "Not music",
            Status::Listening(State::Silent) => "Silent",
            Status::Listening(State::Lost) => "Source lost",
        }
    }

    /// The large line.
    pub fn headline(&self) -> String {
        if let Some(genre) = self.genre.filter(|_| self.is_vivid()) {
            return self.title(genre);
        }
        match &self.status {
            Status::Loading => "One moment",
            Status::Trouble(_) => "Not listening",
            Status::Bypassed => "Bypassed",
            Status::NoAudio => "No audio",
            Status::Listening(State::Warming) => "Warming up",
            Status::Listening(State::Silent) => "Silent",
            Status::Listening(State::NotMusic) => "Not music",
            Status::Listening(State::Lost) => "Source lost",
            Status::Listening(_) => "Unsure",
        }
        .to_owned()
    }

    /// How much of what the next better answer needs was heard, 0 to 1; `None` when there is
    /// nothing to wait for.
    pub fn progress(&self) -> Option<f32> {
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

    /// Why no genre is named, at length, and what can be done; `None` where one is, or where the
    /// headline says it.
    pub fn why(&self) -> Option<String> {
        let Status::Listening(state) = &self.status else {
            return None;
        };
        if self.genre.is_some() {
            return None;
        }
        let best = self.candidates().first().map_or_else(
            || "the best".to_owned(),
            |&first| format!("{} ({})", self.name(first), percent(self.scores[first])),
        );
        let music = self.music.map_or_else(String::new, |music| {
            format!(" It is music with a probability of {}.", percent(music))
        });
        Some(match self.reason? {
            Reason::TooLittleHeard => format!(
                "No genre yet: the first answer needs {:.0} s of sound.",
                PROVISIONAL_FROM.0.ceil()
            ),
            Reason::FirstSeconds => format!(
                "No genre yet: {best} leads, but a guess from the first seconds must be surer. The preset Fast asks for less."
            ),
            Reason::LowScore => format!(
                "No genre: {best} leads, which is too little to name it. None of the labels fits, or several do."
            ),
            Reason::Overtaken => format!(
                "No genre for a moment: {best} has overtaken the one that was shown, and has yet to stay ahead. The preset \
                 Fast shows it at once."
            ),
            Reason::MaybeNotMusic => format!("No genre: it may not be music.{music}"),
            Reason::NotMusic => format!("No genre: speech, applause or noise.{music}"),
            Reason::Silence | Reason::SourceLost => format!("No genre: {}.", state.words()),
        })
    }

    /// The line below it.
    pub fn detail(&self) -> String {
        let left = |until: f64| (until - self.heard_s).ceil().max(1.0);
        match &self.status {
            Status::Loading => "The model is being loaded.".to_owned(),
            Status::Trouble(why) => why.clone(),
            Status::Bypassed => "Audio passes, nothing is listened to.".to_owned(),
            Status::NoAudio => "The host sends no audio. Start playback.".to_owned(),
            Status::Listening(State::Warming) => {
                format!("First answer in {:.0} s", left(PROVISIONAL_FROM.0))
            }
            Status::Listening(State::Provisional) => {
                format!("A full listen takes {:.0} s more.", left(self.frame_s))
            }
            Status::Listening(State::Live) => match self.candidates().as_slice() {
                [first, second]
                    if self.genre.map(|genre| self.family_or_self(genre)) == Some(*first) =>
                {
                    let family = match self.genre {
                        Some(genre) if genre != *first => {
                            format!(
                                "of {} {}, ",
                                self.name(*first),
                                percent(self.scores[*first])
                            )
                        }
                        _ => String::new(),
                    };
                    let second = format!(
                        "{family}then {} {}",
                        self.name(*second),
                        percent(self.scores[*second])
                    );
                    match self.newest_best().filter(|(best, _)| best != first) {
                        Some((best, score)) => format!(
                            "{second}\nnewest alone: {} {}",
                            self.name(best),
                            percent(score)
                        ),
                        None => second,
                    }
                }
                // The readout waits a while before it changes.
                [first, _] => format!(
                    "{} {}: about to change?",
                    self.title(*first),
                    percent(self.scores[*first])
                ),
                _ => String::new(),
            },
            Status::Listening(State::Unsure) => match (self.reason, self.candidates().as_slice()) {
                (None | Some(Reason::LowScore), [first, second]) => format!(
                    "{} {} or {} {}?",
                    self.title(*first),
                    percent(self.scores[*first]),
                    self.name(*second),
                    percent(self.scores[*second])
                ),
                (Some(reason), [first, ..]) => format!(
                    "{} {}: {}.",
                    self.title(*first),
                    percent(self.scores[*first]),
                    reason.words()
                ),
                _ => "None of the genres fits.".to_owned(),
            },
            Status::Listening(State::NotMusic) => {
                "Sound, but no music: speech, applause or noise.".to_owned()
            }
            Status::Listening(State::Silent) => "Nothing to hear.".to_owned(),
            Status::Listening(State::Lost) => "The source is gone.".to_owned(),
        }
    }
}

/// `7 %`; `<1 %` rather than a score of nothing.
pub fn percent(score: f32) -> String {
    let score = if score.is_nan() { 0.0 } else { score };
    let rounded = (score.clamp(0.0, 1.0) * 100.0).round();
    if rounded < 1.0 && score > 0.0 {
        "<1 %".to_owned()
    } else {
        format!("{rounded:.0} %")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model(status: Status) -> ViewModel {
        ViewModel {
            labels: vec!["blues".into(), "metal".into(), "rock".into()],
            scores: vec![0.1, 0.3, 0.6],
            status,
            ..ViewModel::default()
        }
    }

    #[test]
    fn every_status_has_words() {
        let all = [
            Status::Loading,
            Status::Trouble("Why.".into()),
            Status::Bypassed,
            Status::NoAudio,
            Status::Listening(State::Warming),
            Status::Listening(State::Provisional),
            Status::Listening(State::Live),
            Status::Listening(State::Unsure),
            Status::Listening(State::NotMusic),
            Status::Listening(State::Silent),
            Status::Listening(State::Lost),
        ];
        for status in all {
            let shown = ViewModel {
                genre: Some(2),
                ..model(status.clone())
            };
            assert!(
                !shown.chip().is_empty() && !shown.headline().is_empty(),
                "{status:?}"
            );
            assert!(!shown.detail().is_empty(), "{status:?}");
        }
    }

    #[test]
    fn seconds_left_are_counted_down() {
        let mut warming = model(Status::Listening(State::Warming));
        assert_eq!(warming.detail(), "First answer in 3 s");
        warming.heard_s = 1.4;
        assert_eq!(warming.detail(), "First answer in 2 s");
        let mut provisional = model(Status::Listening(State::Provisional));
        provisional.heard_s = 20.0;
        assert_eq!(provisional.detail(), "A full listen takes 10 s more.");
    }

    #[test]
    fn a_label_that_overtakes_the_one_shown_is_named() {
        let overtaken = ViewModel {
            genre: Some(1),
            ..model(Status::Listening(State::Live))
        };
        assert_eq!(overtaken.detail(), "Rock 60 %: about to change?");
    }

    #[test]
    fn progress_is_shown_while_there_is_something_to_wait_for() {
        let mut provisional = model(Status::Listening(State::Provisional));
        provisional.heard_s = FRAME.0 / 2.0;
        assert_eq!(provisional.progress(), Some(0.5));
        assert_eq!(model(Status::Listening(State::Live)).progress(), None);
    }

    #[test]
    fn unsure_names_two_candidates() {
        let unsure = model(Status::Listening(State::Unsure));
        assert_eq!(unsure.headline(), "Unsure");
        assert_eq!(unsure.detail(), "Rock 60 % or metal 30 %?");
        let early = ViewModel {
            reason: Some(Reason::FirstSeconds),
            ..unsure
        };
        assert_eq!(
            early.detail(),
            "Rock 60 %: a guess from the first seconds must be surer."
        );
    }

    #[test]
    fn a_genre_is_not_shown_over_silence() {
        let silent = ViewModel {
            genre: Some(0),
            ..model(Status::Listening(State::Silent))
        };
        assert_eq!(silent.headline(), "Silent");
    }

    #[test]
    fn what_was_heard_last_is_told_where_it_differs() {
        let mut live = ViewModel {
            genre: Some(2),
            newest: vec![0.1, 0.2, 0.7],
            ..model(Status::Listening(State::Live))
        };
        assert_eq!(live.detail(), "then metal 30 %");
        live.newest = vec![0.8, 0.1, 0.1];
        assert_eq!(live.detail(), "then metal 30 %\nnewest alone: blues 80 %");
    }

    #[test]
    fn every_reason_is_explained() {
        for reason in Reason::ALL {
            let unsure = ViewModel {
                reason: Some(reason),
                music: Some(0.25),
                ..model(Status::Listening(State::Unsure))
            };
            let why = unsure.why().unwrap();
            assert!(why.starts_with("No genre") && why.ends_with('.'), "{why}");
            let led = matches!(
                reason,
                Reason::FirstSeconds | Reason::LowScore | Reason::Overtaken
            );
            assert_eq!(why.contains("rock (60 %)"), led, "{why}");
            let doubted = matches!(reason, Reason::MaybeNotMusic | Reason::NotMusic);
            assert_eq!(why.contains("25 %"), doubted, "{why}");
        }
        let named = ViewModel {
            genre: Some(2),
            ..model(Status::Listening(State::Live))
        };
        assert_eq!(named.why(), None);
    }

    #[test]
    fn percentages_are_whole() {
        assert_eq!(percent(0.0), "0 %");
        assert_eq!(percent(0.004), "<1 %");
        assert_eq!(percent(0.005), "1 %");
        assert_eq!(percent(0.996), "100 %");
    }
}
