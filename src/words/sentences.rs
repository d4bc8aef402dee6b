//! Readouts in words: below the headline of a view, and as a line of text.

use std::time::Duration;

use super::{Language, Words, fill};
use crate::{
    decision::{FRAME, Readout, Reason, State},
    genre::{KIND_OF, Labels},
    units::Seconds,
};

/// An answer is there by this much music; shown as a countdown.
const FIRST_ANSWER_S: f64 = 3.0;

/// How long until a first answer may come, `heard` being what was heard and `since` the time since
/// then.
pub fn warming_words(heard: Seconds, since: Duration, words: &Words) -> String {
    let left = (FIRST_ANSWER_S - heard.0 - since.as_secs_f64()).ceil();
    if left >= 1.0 {
        fill(words.line_warming, &[("seconds", &format!("{left:.0}"))])
    } else {
        words.line_due.into()
    }
}

/// The state of a readout in `words`. `since` is the time since it was made, which counts while it
/// warms up.
pub fn state_words(readout: &Readout, labels: &Labels, since: Duration, words: &Words) -> String {
    let percent = |score: f32| format!("{:.0} %", score * 100.0);
    let ranked = labels.ranked(&readout.scores);
    let shown = readout.genre.map(|genre| labels.family_or_self(genre));
    let name = |rank: usize| ranked.get(rank).and_then(|&(index, _)| labels.get(index));
    let runner_up = || {
        let other = ranked.iter().find(|&&(index, _)| Some(index) != shown);
        other.map_or(String::new(), |&(index, score)| {
            let genre = labels.get(index).unwrap_or("?");
            let then = [("genre", genre), ("score", &percent(score))];
            format!(", {}", fill(words.detail_then, &then))
        })
    };
    // A kind is named in full, with what its family has in all.
    let family = readout
        .genre
        .and_then(|genre| Some((labels.family_of(genre)?, labels.get(genre)?)))
        .map_or(String::new(), |(family, kind)| {
            let score = percent(readout.scores.as_slice()[family]);
            let family = labels.get(family).unwrap_or("?");
            format!("{family} {score}{KIND_OF}{kind} ")
        });
    let confidence = percent(readout.confidence);
    let state = words.state(readout.state);
    match readout.state {
        State::Warming => warming_words(readout.heard, since, words),
        State::Provisional => {
            let heard = format!("{:.0}", readout.heard.0.floor());
            let frame = format!("{:.0}", FRAME.0);
            let so_far = fill(words.line_so_far, &[("heard", &heard), ("frame", &frame)]);
            format!("{so_far}{family}{confidence}{}", runner_up())
        }
        State::Live => format!("{state}: {family}{confidence}{}", runner_up()),
        State::Unsure => {
            let why = readout.reason.map_or(state, |reason| words.reason(reason));
            match (readout.reason, name(0), name(1)) {
                (Some(Reason::LowScore), Some(first), Some(second)) => {
                    fill(words.line_between, &[("first", first), ("second", second)])
                }
                (_, Some(first), _) => format!("{state}: {why} ({first} {confidence})"),
                _ => why.into(),
            }
        }
        State::NotMusic | State::Silent | State::Lost => {
            let reason = readout.reason.map(|reason| words.reason(reason));
            reason.unwrap_or_default().into()
        }
    }
}

/// One line of English for a readout, as it is printed where there is no terminal: programs read
/// it, too.
pub fn plain_line(readout: &Readout, labels: &Labels) -> String {
    let genre = readout
        .genre
        .and_then(|index| labels.get(index))
        .unwrap_or("-");
    let words = state_words(readout, labels, Duration::ZERO, Language::English.words());
    format!("{:>7}  {genre:<10}  {words}", readout.position.to_string())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::genre::{GTZAN, Scores};

    fn english() -> &'static Words {
        Language::English.words()
    }

    pub(crate) fn labels() -> Labels {
        Labels::new(GTZAN).unwrap()
    }

    pub(crate) fn readout(state: State, genre: Option<usize>, position: f64) -> Readout {
        let mut scores = [0.04_f32; 10];
        scores[9] = 0.45;
        scores[6] = 0.23;
        let mut readout = Readout {
            genre,
            confidence: 0.45,
            scores: Scores::new(&scores),
            frame_scores: Scores::new(&scores),
            music: Some(0.98),
            level_dbfs: -18.2,
            position: Seconds(position),
            heard: Seconds(position.min(29.12)),
            frames: 5,
            seq: 3,
            ..Readout::warming(10)
        };
        readout.set_state(state);
        readout
    }

    #[test]
    fn a_kind_is_named_with_its_family() {
        let labels = Labels::new(["electronic", "techno", "rock"]).unwrap();
        let labels = labels.with_families([("techno", "electronic")]).unwrap();
        let words = |genre: Option<usize>, scores: [f32; 3]| {
            let readout = Readout {
                scores: Scores::new(&scores),
                confidence: genre.map_or(0.0, |genre| scores[genre]),
                ..readout(
                    if genre.is_some() {
                        State::Live
                    } else {
                        State::Unsure
                    },
                    genre,
                    40.0,
                )
            };
            state_words(&readout, &labels, Duration::ZERO, english())
        };
        assert_eq!(
            words(Some(1), [0.8, 0.7, 0.2]),
            "live: electronic 80 % > techno 70 %, then rock 20 %"
        );
        assert_eq!(
            words(Some(0), [0.8, 0.3, 0.2]),
            "live: 80 %, then rock 20 %"
        );
        assert_eq!(
            words(None, [0.5, 0.3, 0.3]),
            "unsure between electronic and rock"
        );
    }

    #[test]
    fn states_have_words() {
        let labels = labels();
        let words = |state, genre, position| {
            state_words(
                &readout(state, genre, position),
                &labels,
                Duration::ZERO,
                english(),
            )
        };
        assert_eq!(
            words(State::Unsure, None, 40.0),
            "unsure between rock and metal"
        );
        let mut overtaken = readout(State::Unsure, None, 40.0);
        overtaken.reason = Some(Reason::Overtaken);
        assert_eq!(
            state_words(&overtaken, &labels, Duration::ZERO, english()),
            "unsure: another genre is taking over (rock 45 %)"
        );
        assert_eq!(words(State::NotMusic, None, 40.0), "sound, but not music");
        assert_eq!(
            words(State::Provisional, Some(9), 12.3),
            "so far, after 12 of 29 s: 45 %, then metal 23 %"
        );
        assert_eq!(
            words(State::Live, Some(9), 40.0),
            "live: 45 %, then metal 23 %"
        );
        // Hysteresis may show another than the best: then the best is the runner-up.
        assert_eq!(
            words(State::Live, Some(6), 40.0),
            "live: 45 %, then rock 45 %"
        );
        assert_eq!(
            words(State::Warming, None, 1.0),
            "warming up: a first answer in 2 s"
        );
        for (language, expected) in [
            (
                Language::German,
                "bisher, nach 12 von 29 s: 45 %, dann metal 23 %",
            ),
            (
                Language::Spanish,
                "por ahora, tras 12 de 29 s: 45 %, luego metal 23 %",
            ),
        ] {
            let readout = readout(State::Provisional, Some(9), 12.3);
            let words = state_words(&readout, &labels, Duration::ZERO, language.words());
            assert_eq!(words, expected);
        }
        let line = plain_line(&readout(State::Live, Some(9), 75.0), &labels);
        assert_eq!(line, "   1:15  rock        live: 45 %, then metal 23 %");
    }
}
