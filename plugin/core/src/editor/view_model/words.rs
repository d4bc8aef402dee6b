//! What the editor says, in words.

use genrescope::{
    decision::{PROVISIONAL_FROM, Reason, State},
    units::Seconds,
    words::fill,
};

use super::{Past, Status, ViewModel};

impl ViewModel {
    /// The short word beside the dot.
    pub fn chip(&self) -> String {
        let words = self.words();
        if let Some(past) = self.past {
            let time = Seconds(past.ago_s.round()).to_string();
            return fill(words.the_past, &[("time", &time)]);
        }
        if self.hold && self.is_vivid() {
            return words.held.to_owned();
        }
        match self.status {
            Status::Loading => words.loading.to_owned(),
            Status::Trouble(_) => words.trouble.to_owned(),
            Status::Bypassed => words.bypassed.to_owned(),
            Status::NoAudio => words.waiting.to_owned(),
            Status::Listening(state) => capitalised(words.state(state)),
        }
    }

    /// The large line.
    pub fn headline(&self) -> String {
        if let Some(genre) = self.genre.filter(|_| self.is_vivid()) {
            return self.title(genre);
        }
        let words = self.words();
        match self.status {
            Status::Loading => words.one_moment.to_owned(),
            Status::Trouble(_) => words.not_listening.to_owned(),
            Status::Bypassed => words.bypassed.to_owned(),
            Status::NoAudio => words.no_audio.to_owned(),
            Status::Listening(State::Live | State::Provisional) => capitalised(words.unsure),
            Status::Listening(state) => capitalised(words.state(state)),
        }
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
        let words = self.words();
        let best = self.candidates().first().map_or_else(
            || words.the_best.to_owned(),
            |&first| format!("{} ({})", self.name(first), percent(self.scores[first])),
        );
        let music = self.music.map_or_else(String::new, |music| {
            let music = fill(words.why_music, &[("music", &percent(music))]);
            format!(" {music}")
        });
        let best = |sentence| fill(sentence, &[("best", &best)]);
        Some(match self.reason? {
            Reason::TooLittleHeard => {
                let seconds = format!("{:.0}", PROVISIONAL_FROM.0.ceil());
                fill(words.why_too_little, &[("seconds", &seconds)])
            }
            Reason::FirstSeconds => best(words.why_first_seconds),
            Reason::LowScore => best(words.why_low_score),
            Reason::Overtaken => best(words.why_overtaken),
            Reason::MaybeNotMusic => words.why_maybe_not_music.to_owned() + &music,
            Reason::NotMusic => words.why_not_music.to_owned() + &music,
            Reason::Silence | Reason::SourceLost => {
                fill(words.why_state, &[("state", words.state(*state))])
            }
        })
    }

    /// The line below it.
    pub fn detail(&self) -> String {
        let words = self.words();
        let wait = |sentence, until: f64| {
            let left = format!("{:.0}", (until - self.heard_s).ceil().max(1.0));
            fill(sentence, &[("seconds", &left)])
        };
        if let (Some(past), Status::Listening(state)) = (self.past, &self.status) {
            return self.detail_of_past(past, *state);
        }
        match &self.status {
            Status::Loading => words.detail_loading.to_owned(),
            Status::Trouble(why) => why.clone(),
            Status::Bypassed => words.detail_bypassed.to_owned(),
            Status::NoAudio => words.detail_no_audio.to_owned(),
            Status::Listening(State::Warming) => wait(words.detail_warming, PROVISIONAL_FROM.0),
            Status::Listening(State::Provisional) => wait(words.detail_provisional, self.frame_s),
            Status::Listening(State::Live) => self.detail_of_live(),
            Status::Listening(State::Unsure) => match (self.reason, self.candidates().as_slice()) {
                (None | Some(Reason::LowScore), &[first, second]) => fill(
                    words.detail_either,
                    &[
                        ("first", &self.title(first)),
                        ("score", &percent(self.scores[first])),
                        ("second", self.name(second)),
                        ("other", &percent(self.scores[second])),
                    ],
                ),
                (Some(reason), &[first, ..]) => format!(
                    "{} {}: {}.",
                    self.title(first),
                    percent(self.scores[first]),
                    words.reason(reason)
                ),
                _ => words.detail_none.to_owned(),
            },
            Status::Listening(State::NotMusic) => words.detail_not_music.to_owned(),
            Status::Listening(State::Silent) => words.detail_silent.to_owned(),
            Status::Listening(State::Lost) => words.detail_lost.to_owned(),
        }
    }

    fn detail_of_live(&self) -> String {
        let words = self.words();
        let scored = |sentence, name: &str, score| {
            fill(sentence, &[("genre", name), ("score", &percent(score))])
        };
        let shown = self.genre.map(|genre| self.family_or_self(genre));
        match *self.candidates().as_slice() {
            [first, second] if shown == Some(first) => {
                let family = match self.genre {
                    Some(genre) if genre != first => {
                        let score = percent(self.scores[first]);
                        let gaps = [("family", self.name(first)), ("score", &*score)];
                        fill(words.detail_family, &gaps)
                    }
                    _ => String::new(),
                };
                let then = scored(words.detail_then, self.name(second), self.scores[second]);
                match self.newest_best().filter(|&(best, _)| best != first) {
                    Some((best, score)) => {
                        let newest = scored(words.detail_newest, self.name(best), score);
                        format!("{family}{then}\n{newest}")
                    }
                    None => family + &then,
                }
            }
            // The readout waits a while before it changes.
            [first, _] => scored(words.detail_change, &self.title(first), self.scores[first]),
            _ => String::new(),
        }
    }

    fn detail_of_past(&self, past: Past, state: State) -> String {
        let words = self.words();
        let song = past.song.map_or_else(String::new, |song| {
            fill(words.past_song, &[("song", &song.words(words))]) + " "
        });
        let why = self
            .reason
            .map_or_else(String::new, |reason| format!(" ({})", words.reason(reason)));
        let said = format!("{}{why}", words.state(state));
        let said = fill(words.past_said, &[("state", &said)]);
        format!("{song}{said}\n{}", words.past_back)
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
