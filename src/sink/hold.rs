//! Keeps the last genre for a feed while none is named, so that lights do not go dark in a moment
//! of doubt.

use crate::{
    decision::{Readout, State},
    units::Seconds,
};

/// How long the last genre is kept for a feed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum HoldGenre {
    /// For so much of the stream at most, and never over silence.
    For(Seconds),
    /// Until silence, or the end of the source.
    UntilSilence,
}

/// Applies a [`HoldGenre`] to the readouts of a stream. Its clock is the stream position.
#[derive(Clone, Copy, Debug)]
pub(super) struct Holder {
    rule: HoldGenre,
    /// The genre that was named last, and where.
    last: Option<(usize, Seconds)>,
    told: Option<(State, Option<usize>)>,
}

impl Holder {
    pub(super) fn new(rule: HoldGenre) -> Self {
        Self {
            rule,
            last: None,
            told: None,
        }
    }

    /// The readout as the feeds are told it, and whether its genre is one that is kept. State,
    /// reason and scores stay as they are.
    pub(super) fn apply(&mut self, readout: &Readout) -> (Readout, bool) {
        let mut told = *readout;
        let mut held = false;
        match readout.genre {
            Some(genre) => self.last = Some((genre, readout.position)),
            None if matches!(readout.state, State::Silent | State::Lost) => self.last = None,
            None => {
                self.last = self.last.filter(|&(_, since)| {
                    let elapsed = readout.position.0 - since.0;
                    elapsed >= 0.0
                        && match self.rule {
                            HoldGenre::For(time) => elapsed <= time.0,
                            HoldGenre::UntilSilence => true,
                        }
                });
                told.genre = self.last.map(|(genre, _)| genre);
                held = told.genre.is_some();
            }
        }
        let now = (told.state, told.genre);
        told.changed = self.told != Some(now);
        self.told = Some(now);
        (told, held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests::readout;

    /// What the feeds are told of these states, one readout every 2 s.
    fn told(
        rule: HoldGenre,
        parts: &[(State, Option<usize>, usize)],
    ) -> Vec<(Option<usize>, bool)> {
        let mut holder = Holder::new(rule);
        let mut out = Vec::new();
        for &(state, genre, count) in parts {
            for _ in 0..count {
                let mut seen = readout(out.len() as u64 + 1, genre);
                seen.set_state(state);
                seen.position = Seconds(2.0 * out.len() as f64);
                let (told, held) = holder.apply(&seen);
                assert_eq!(told.state, state, "the state stays true");
                assert_eq!(told.scores, seen.scores);
                out.push((told.genre, held));
            }
        }
        out
    }

    #[test]
    fn a_genre_is_kept_for_its_time_and_no_longer() {
        let told = told(
            HoldGenre::For(Seconds(6.0)),
            &[(State::Live, Some(3), 2), (State::Unsure, None, 6)],
        );
        let kept = [(Some(3), true); 3];
        assert_eq!(told[..2], [(Some(3), false); 2]);
        assert_eq!(told[2..5], kept);
        assert_eq!(told[5..], [(None, false); 3]);
    }

    #[test]
    fn silence_and_a_lost_source_end_it() {
        for end in [State::Silent, State::Lost] {
            let told = told(
                HoldGenre::UntilSilence,
                &[
                    (State::Live, Some(3), 1),
                    (State::NotMusic, None, 200),
                    (end, None, 1),
                    (State::Warming, None, 1),
                ],
            );
            assert!(told[1..201].iter().all(|told| *told == (Some(3), true)));
            assert_eq!(told[201..], [(None, false); 2]);
        }
    }

    #[test]
    fn what_did_not_change_for_the_feed_is_no_change() {
        let mut holder = Holder::new(HoldGenre::UntilSilence);
        let mut unsure = readout(2, None);
        unsure.changed = true;
        assert!(holder.apply(&readout(1, Some(3))).0.changed);
        assert!(holder.apply(&unsure).0.changed, "the state is another");
        assert!(!holder.apply(&unsure).0.changed);
    }
}
