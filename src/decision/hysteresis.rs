//! Which genre is shown: the best, but not at once and not back and forth; and never one that the
//! scores speak against.

use super::{Reason, Rules};
use crate::{genre::Scores, units::Seconds};

/// A genre that is the best but is not shown yet.
#[derive(Clone, Copy, Debug)]
struct Challenger {
    genre: usize,
    since: Seconds,
}

/// How restless the shown genre is within what seems to be one song.
#[derive(Clone, Debug)]
struct Restlessness {
    /// The genre that was shown last, also while none is.
    newest: Option<usize>,
    /// When each genre was shown last, and then another.
    left: Vec<Option<Seconds>>,
    /// Returns to a genre that had been left, as of `counted`, fading.
    returns: f64,
    counted: Seconds,
    rules: Rules,
}

impl Restlessness {
    fn new(n_labels: usize, rules: Rules) -> Self {
        Self {
            newest: None,
            left: vec![None; n_labels],
            returns: 0.0,
            counted: Seconds(0.0),
            rules,
        }
    }

    fn returns(&self, now: Seconds) -> f64 {
        let since = (now.0 - self.counted.0).max(0.0);
        self.returns * (-since / f64::from(self.rules.returns_fade)).exp()
    }

    /// How much longer than usual `genre` must lead.
    fn surcharge(&self, genre: usize, now: Seconds) -> Seconds {
        if self.newest.is_none_or(|newest| newest == genre) {
            return Seconds(0.0);
        }
        Seconds(f64::from(self.rules.per_return) * self.returns(now))
    }

    fn shown(&mut self, genre: usize, now: Seconds) {
        match self.newest {
            Some(newest) if newest != genre => self.left[newest] = Some(now),
            Some(_) => return,
            None => {}
        }
        self.newest = Some(genre);
        let within = f64::from(self.rules.returns_within);
        if self.left[genre].is_some_and(|left| now.0 - left.0 < within) {
            self.returns = self.returns(now) + 1.0;
            self.counted = now;
        }
    }

    fn forget(&mut self) {
        self.newest = None;
        self.left.fill(None);
        self.returns = 0.0;
    }
}

/// What is to be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Chosen {
    /// This genre.
    Genre(usize),
    /// None, and why.
    None(Reason),
}

/// Chooses the genre to show from averaged scores. Its clock is the stream position.
#[derive(Clone, Debug)]
pub(super) struct Hysteresis {
    dwell: Seconds,
    margin: f32,
    rules: Rules,
    /// The genre that was chosen last within this song.
    chosen: Option<usize>,
    /// It is on show: nothing has spoken against it since it was chosen.
    on_show: bool,
    /// The song seems to have changed, and nothing was looked at since.
    changed: bool,
    /// When the song seems to have changed last: from there on, for a while, another genre is
    /// expected.
    changed_at: Option<Seconds>,
    challenger: Option<Challenger>,
    restlessness: Restlessness,
}

impl Hysteresis {
    /// A genre that is shown goes when another leads by `margin`; that one is shown when it has
    /// been the best for `dwell`.
    pub(super) fn new(n_labels: usize, dwell: Seconds, margin: f32, rules: Rules) -> Self {
        Self {
            dwell,
            margin,
            rules,
            chosen: None,
            on_show: false,
            changed: false,
            changed_at: None,
            challenger: None,
            restlessness: Restlessness::new(n_labels, rules),
        }
    }

    /// How long another genre must lead from now on.
    pub(super) fn set_dwell(&mut self, dwell: Seconds) {
        self.dwell = dwell;
    }

    /// The genre that is on show.
    pub(super) fn shown(&self) -> Option<usize> {
        self.chosen.filter(|_| self.on_show)
    }

    /// The song seems to have changed, not long before `position`.
    pub(super) fn after_change(&self, position: Seconds) -> bool {
        let lasts = f64::from(self.rules.change_lasts);
        self.changed || self.changed_at.is_some_and(|at| position.0 - at.0 < lasts)
    }

    /// The genre to show, or why none is.
    ///
    /// The genre on show stays while its own score is not below `threshold` and no other leads by
    /// the margin. Once it is gone, only the best comes back, and it must be surer by the band.
    /// Another genre must besides have been the best for the dwell, longer where the answer has
    /// gone back and forth, and be surer by `early` where little was heard.
    pub(super) fn choose(
        &mut self,
        scores: &Scores,
        position: Seconds,
        threshold: f32,
        early: f32,
    ) -> Chosen {
        if std::mem::take(&mut self.changed) {
            self.changed_at = Some(position);
        }
        let after_change = self.after_change(position);
        let (best, score) = scores.top();
        let enter = threshold + self.rules.band;
        let low = |needed: f32| {
            if score >= needed {
                None
            } else if score >= enter {
                Some(Reason::FirstSeconds)
            } else {
                Some(Reason::LowScore)
            }
        };
        let refused = match self.chosen {
            None => low(enter + early),
            Some(chosen) if chosen == best => {
                self.challenger = None;
                low(if self.on_show { threshold } else { enter })
            }
            Some(chosen) => {
                let since = match self.challenger {
                    Some(challenger) if challenger.genre == best => challenger.since,
                    _ => position,
                };
                self.challenger = Some(Challenger { genre: best, since });
                let own = scores.as_slice()[chosen];
                if self.on_show && own >= threshold && score - own < self.margin {
                    return Chosen::Genre(chosen);
                }
                let dwell = if after_change {
                    f64::from(self.rules.dwell_after_change)
                } else {
                    self.dwell.0 + self.restlessness.surcharge(best, position).0
                };
                low(enter + early)
                    .or_else(|| (position.0 - since.0 < dwell).then_some(Reason::Overtaken))
            }
        };
        if let Some(reason) = refused {
            self.on_show = false;
            return Chosen::None(reason);
        }
        if self.chosen != Some(best) {
            self.challenger = None;
            self.chosen = Some(best);
            self.restlessness.shown(best, position);
            // The change has been answered.
            self.changed_at = None;
        }
        self.on_show = true;
        Chosen::Genre(best)
    }

    /// Nothing is shown for now, for another reason than the scores.
    pub(super) fn hide(&mut self) {
        self.on_show = false;
    }

    /// The song seems to have changed, but it may be the same that goes on.
    pub(super) fn song_changed(&mut self) {
        self.changed |= self.chosen.is_some();
        self.challenger = None;
    }

    /// Something else begins.
    pub(super) fn forget(&mut self) {
        self.chosen = None;
        self.on_show = false;
        self.changed = false;
        self.changed_at = None;
        self.challenger = None;
        self.restlessness.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: f64 = 1.365;
    const THRESHOLD: f32 = 0.4;

    fn hysteresis(n_labels: usize, dwell: f64) -> Hysteresis {
        Hysteresis::new(n_labels, Seconds(dwell), 0.15, Rules::default())
    }

    fn shown(hysteresis: &mut Hysteresis, scores: &[f32], now: f64) -> Option<usize> {
        match hysteresis.choose(&Scores::new(scores), Seconds(now), THRESHOLD, 0.0) {
            Chosen::Genre(genre) => Some(genre),
            Chosen::None(_) => None,
        }
    }

    /// Plays (genre, seconds) in turn, each part announced as a change of song if it is `told`, and
    /// gives the positions at which another genre is shown.
    fn changes(parts: &[(usize, f64)], told: bool) -> Vec<(usize, f64)> {
        let mut hysteresis = hysteresis(3, 8.0);
        let (mut now, mut newest, mut changes) = (0.0, None, Vec::new());
        for &(genre, seconds) in parts {
            let mut scores = [0.1; 3];
            scores[genre] = 0.8;
            let until = now + seconds;
            while now < until {
                now += STEP;
                if let Some(shown) = shown(&mut hysteresis, &scores, now)
                    && newest != Some(shown)
                {
                    changes.push((shown, now));
                    newest = Some(shown);
                }
            }
            if told {
                hysteresis.song_changed();
            }
        }
        changes
    }

    #[test]
    fn an_answer_that_goes_back_and_forth_comes_to_rest() {
        let there_and_back = [(0, 20.0), (1, 10.0)].repeat(16);
        let shown = changes(&there_and_back, false);
        assert!(shown.len() >= 3, "the first ones are shown: {shown:?}");
        assert!(shown.len() <= 16, "of 32, half at most: {shown:?}");
        let first = [(0, 20.0), (1, 10.0), (0, 20.0)];
        assert_eq!(
            changes(&first, false).len(),
            3,
            "one return costs nothing yet"
        );
    }

    #[test]
    fn only_a_return_before_long_is_counted() {
        let rules = Rules::default();
        let mut restlessness = Restlessness::new(2, rules);
        let late = 11.0 + f64::from(rules.returns_within);
        for (genre, at) in [(0, 0.0), (1, 10.0), (0, late)] {
            restlessness.shown(genre, Seconds(at));
        }
        assert_eq!(restlessness.returns(Seconds(late)), 0.0);
        restlessness.shown(1, Seconds(late + 1.0));
        assert_eq!(restlessness.returns(Seconds(late + 1.0)), 1.0);
    }

    #[test]
    fn what_is_on_show_is_told() {
        let mut hysteresis = hysteresis(3, 0.0);
        assert_eq!(hysteresis.shown(), None);
        assert_eq!(shown(&mut hysteresis, &[0.1, 0.1, 0.8], 1.0), Some(2));
        assert_eq!(hysteresis.shown(), Some(2));
        hysteresis.hide();
        assert_eq!(hysteresis.shown(), None);
    }

    #[test]
    fn what_begins_anew_owes_nothing_to_what_was_shown() {
        let mut hysteresis = hysteresis(2, 8.0);
        assert_eq!(shown(&mut hysteresis, &[0.9, 0.1], 1.0), Some(0));
        hysteresis.forget();
        assert_eq!(hysteresis.shown(), None);
        assert_eq!(shown(&mut hysteresis, &[0.1, 0.9], 2.0), Some(1));
    }

    #[test]
    fn another_genre_is_expected_for_a_while_after_a_change() {
        let mut hysteresis = hysteresis(2, 0.0);
        let lasts = f64::from(Rules::default().change_lasts);
        shown(&mut hysteresis, &[0.9, 0.1], 100.0);
        assert!(!hysteresis.after_change(Seconds(100.0)));
        hysteresis.song_changed();
        shown(&mut hysteresis, &[0.9, 0.1], 101.0);
        assert!(hysteresis.after_change(Seconds(100.5 + lasts)));
        assert!(!hysteresis.after_change(Seconds(101.5 + lasts)));
    }

    #[test]
    fn each_challenger_has_a_dwell_of_its_own() {
        let mut hysteresis = hysteresis(3, 5.0);
        assert_eq!(shown(&mut hysteresis, &[0.8, 0.1, 0.1], 1.0), Some(0));
        for at in [10.0, 12.0, 14.0] {
            assert_eq!(shown(&mut hysteresis, &[0.1, 0.8, 0.1], at), None);
        }
        for (at, expected) in [(14.5, None), (16.0, None), (19.0, None), (19.5, Some(2))] {
            assert_eq!(shown(&mut hysteresis, &[0.1, 0.1, 0.8], at), expected);
        }
    }

    #[test]
    fn new_songs_are_shown_as_soon_as_the_first() {
        let changes = changes(&[(0, 60.0), (1, 60.0), (2, 60.0)], true);
        let late: Vec<f64> = changes
            .iter()
            .zip([0.0, 60.0, 120.0])
            .map(|(change, begun)| change.1 - begun)
            .collect();
        assert_eq!(changes.len(), 3);
        assert!(late.iter().all(|&late| late < 4.0 * STEP), "{late:?}");
    }

    #[test]
    fn another_genre_is_shown_after_the_dwell_and_none_before() {
        let mut hysteresis = hysteresis(2, 8.0);
        let mut now = 0.0;
        while now < 30.0 {
            now += STEP;
            assert_eq!(shown(&mut hysteresis, &[0.9, 0.1], now), Some(0));
        }
        let from = now;
        let until = loop {
            now += STEP;
            match shown(&mut hysteresis, &[0.1, 0.9], now) {
                None => assert!(now < from + 12.0, "never shown"),
                Some(genre) => break (genre, now - from),
            }
        };
        assert_eq!(until.0, 1);
        assert!((8.0..8.0 + 2.0 * STEP).contains(&until.1), "{until:?}");
    }

    #[test]
    fn a_lead_within_the_margin_changes_nothing() {
        let mut hysteresis = hysteresis(2, 0.0);
        assert_eq!(shown(&mut hysteresis, &[0.6, 0.4], 1.0), Some(0));
        assert_eq!(shown(&mut hysteresis, &[0.43, 0.57], 2.0), Some(0));
        assert_eq!(shown(&mut hysteresis, &[0.42, 0.58], 3.0), Some(1));
    }

    #[test]
    fn the_reason_is_what_is_missing() {
        let mut hysteresis = hysteresis(2, 8.0);
        let mut ask = |scores: &[f32], now: f64, early: f32| {
            hysteresis.choose(&Scores::new(scores), Seconds(now), THRESHOLD, early)
        };
        assert_eq!(
            ask(&[0.6, 0.4], 1.0, 0.3),
            Chosen::None(Reason::FirstSeconds)
        );
        // To be shown takes more than to go on being shown.
        assert_eq!(ask(&[0.42, 0.3], 2.0, 0.0), Chosen::None(Reason::LowScore));
        assert_eq!(ask(&[0.6, 0.4], 3.0, 0.0), Chosen::Genre(0));
        assert_eq!(ask(&[0.42, 0.3], 4.0, 0.0), Chosen::Genre(0));
        assert_eq!(ask(&[0.39, 0.3], 5.0, 0.0), Chosen::None(Reason::LowScore));
        assert_eq!(ask(&[0.6, 0.4], 6.0, 0.0), Chosen::Genre(0));
        assert_eq!(ask(&[0.1, 0.9], 7.0, 0.0), Chosen::None(Reason::Overtaken));
    }

    #[test]
    fn a_false_alarm_leaves_what_is_shown_and_a_new_genre_must_be_surer_at_first() {
        let mut hysteresis = hysteresis(2, 8.0);
        assert_eq!(shown(&mut hysteresis, &[0.8, 0.2], 1.0), Some(0));
        hysteresis.song_changed();
        let look = |hysteresis: &mut Hysteresis, scores: &[f32], early| {
            hysteresis.choose(&Scores::new(scores), Seconds(2.0), THRESHOLD, early)
        };
        assert_eq!(look(&mut hysteresis, &[0.5, 0.4], 0.4), Chosen::Genre(0));
        hysteresis.song_changed();
        assert_eq!(
            look(&mut hysteresis, &[0.3, 0.7], 0.4),
            Chosen::None(Reason::FirstSeconds)
        );
        assert_eq!(look(&mut hysteresis, &[0.3, 0.7], 0.0), Chosen::Genre(1));
    }

    #[test]
    fn restlessness_is_forgotten_with_time_and_with_the_song() {
        let mut restless = Restlessness::new(2, Rules::default());
        for (i, genre) in [0, 1, 0, 1, 0].into_iter().enumerate() {
            restless.shown(genre, Seconds(10.0 * i as f64));
        }
        let soon = restless.surcharge(1, Seconds(41.0)).0;
        assert!(
            soon > 24.0,
            "three returns within 20 s ask for more: {soon}"
        );
        assert_eq!(restless.surcharge(0, Seconds(41.0)).0, 0.0);
        let later = restless.surcharge(1, Seconds(340.0)).0;
        assert!(later < 0.02 * soon, "{later}");
        restless.forget();
        assert_eq!(restless.surcharge(1, Seconds(41.0)).0, 0.0);
    }
}
