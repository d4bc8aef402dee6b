//! What the editor says, in words.

use genrescope::decision::{PROVISIONAL_FROM, Reason, State};

use super::{Status, ViewModel};
use crate::song::clock;

impl ViewModel {
    /// The short word beside the dot.
    pub fn chip(&self) -> String {
        if let Some(past) = self.past {
            return format!("The past: {} ago", clock(past.ago_s.round()));
        }
        if self.hold && self.is_vivid() {
            return "Held".to_owned();
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
        .to_owned()
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
        if let (Some(past), Status::Listening(state)) = (self.past, &self.status) {
            let song = past
                .song
                .map_or_else(String::new, |song| format!("Song at {}. ", song.words()));
            let why = self
                .reason
                .map_or_else(String::new, |reason| format!(" ({})", reason.words()));
            return format!(
                "{song}It said: {}{why}.\nEscape or a click on the strip: back to now.",
                state.words()
            );
        }
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

/// With a capital letter.
pub(crate) fn capitalised(words: &str) -> String {
    let mut chars = words.chars();
    chars.next().map_or_else(String::new, |first| {
        first.to_uppercase().chain(chars).collect()
    })
}
