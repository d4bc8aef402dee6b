//! Which genre is shown: the best, but not at once and not back and forth.

use crate::{genre::Scores, units::Seconds};

/// Within one song, another genre must lead for this many times as long as the shown one had stood when it began to: one song is seldom two
/// genres.
const INERTIA: f64 = 2.0;

/// However long a genre was shown, another one that leads for this long takes its place.
const LONGEST_DWELL: Seconds = Seconds(45.0);

/// A genre that is shown again within this time was taken back too early.
const RETURNS_WITHIN: Seconds = Seconds(120.0);

/// How much longer the next genre must lead for each such return.
const PER_RETURN: Seconds = Seconds(12.0);

/// Time constant with which returns are forgotten.
const RETURNS_FADE: Seconds = Seconds(60.0);

/// A genre that leads but is not shown yet.
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
}

impl Restlessness {
    fn new(n_labels: usize) -> Self {
        Self {
            newest: None,
            left: vec![None; n_labels],
            returns: 0.0,
            counted: Seconds(0.0),
        }
    }

    fn returns(&self, now: Seconds) -> f64 {
        let since = (now.0 - self.counted.0).max(0.0);
        self.returns * (-since / RETURNS_FADE.0).exp()
    }

    /// How much longer than usual `genre` must lead.
    fn surcharge(&self, genre: usize, now: Seconds) -> Seconds {
        if self.newest.is_none_or(|newest| newest == genre) {
            return Seconds(0.0);
        }
        Seconds(PER_RETURN.0 * self.returns(now))
    }

    fn shown(&mut self, genre: usize, now: Seconds) {
        match self.newest {
            Some(newest) if newest != genre => self.left[newest] = Some(now),
            Some(_) => return,
            None => {}
        }
        self.newest = Some(genre);
        if self.left[genre].is_some_and(|left| now.0 - left.0 < RETURNS_WITHIN.0) {
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

/// Chooses the genre to show from averaged scores. Its clock is the stream position.
#[derive(Clone, Debug)]
pub(super) struct Hysteresis {
    dwell: Seconds,
    margin: f32,
    shown: Option<usize>,
    shown_since: Seconds,
    /// The song seems to have changed, and nothing was shown since.
    after_change: bool,
    challenger: Option<Challenger>,
    restlessness: Restlessness,
}

impl Hysteresis {
    /// Another genre than the shown one must lead by `margin` for `dwell`, or longer where the shown one has stood for long.
    pub(super) fn new(n_labels: usize, dwell: Seconds, margin: f32) -> Self {
        Self {
            dwell,
            margin,
            shown: None,
            shown_since: Seconds(0.0),
            after_change: false,
            challenger: None,
            restlessness: Restlessness::new(n_labels),
        }
    }

    /// The genre that was chosen last.
    pub(super) fn shown(&self) -> Option<usize> {
        self.shown
    }

    /// The song seems to have changed, and nothing was shown since.
    pub(super) fn after_change(&self) -> bool {
        self.after_change
    }

    /// The genre to show: the best, but another one than the shown only after it has led by the margin for the dwell,
    /// or for [`INERTIA`] times as long as the other was shown. Where the answer has gone back and forth, each change must last the longer.
    pub(super) fn choose(&mut self, scores: &Scores, position: Seconds) -> Option<usize> {
        let (best, score) = scores.top();
        let since = match self.challenger {
            Some(challenger) if challenger.genre == best => challenger.since,
            _ => position,
        };
        let (stays, dwell) = if let Some(shown) = self.shown {
            let lead = score - scores.as_slice()[shown];
            let stood = since.0 - self.shown_since.0;
            let dwell = (INERTIA * stood).clamp(self.dwell.0, LONGEST_DWELL.0.max(self.dwell.0));
            (best == shown || lead < self.margin, Seconds(dwell))
        } else {
            (false, Seconds(0.0))
        };
        if stays {
            self.challenger = None;
            return self.shown;
        }
        let dwell = dwell.0 + self.restlessness.surcharge(best, position).0;
        if position.0 - since.0 >= dwell {
            self.shown = Some(best);
            self.shown_since = position;
            self.after_change = false;
            self.challenger = None;
            self.restlessness.shown(best, position);
        } else {
            self.challenger = Some(Challenger { genre: best, since });
        }
        self.shown
    }

    /// The song seems to have changed, but it may be the same that goes on.
    pub(super) fn song_changed(&mut self) {
        self.after_change |= self.shown.is_some();
        self.shown = None;
        self.challenger = None;
    }

    /// Something else begins.
    pub(super) fn forget(&mut self) {
        self.shown = None;
        self.after_change = false;
        self.challenger = None;
        self.restlessness.forget();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STEP: f64 = 1.365;

    /// Plays (genre, seconds) in turn, each part announced as a change of song, and gives the positions at which another genre is shown.
    fn changes(parts: &[(usize, f64)]) -> Vec<(usize, f64)> {
        let mut hysteresis = Hysteresis::new(3, Seconds(8.0), 0.15);
        let (mut now, mut newest, mut changes) = (0.0, None, Vec::new());
        for &(genre, seconds) in parts {
            let mut scores = [0.1; 3];
            scores[genre] = 0.8;
            let until = now + seconds;
            while now < until {
                now += STEP;
                let shown = hysteresis.choose(&Scores::new(&scores), Seconds(now));
                if let Some(shown) = shown
                    && newest != Some(shown)
                {
                    changes.push((shown, now));
                    newest = Some(shown);
                }
            }
            hysteresis.song_changed();
        }
        changes
    }

    #[test]
    fn an_answer_that_goes_back_and_forth_comes_to_rest() {
        let there_and_back = [(0, 20.0), (1, 10.0)].repeat(16);
        let shown = changes(&there_and_back);
        assert!(shown.len() >= 3, "the first ones are shown: {shown:?}");
        assert!(shown.len() <= 16, "of 32, half at most: {shown:?}");
        let first = [(0, 20.0), (1, 10.0), (0, 20.0)];
        assert_eq!(changes(&first).len(), 3, "one return costs nothing yet");
    }

    #[test]
    fn new_songs_are_shown_as_soon_as_the_first() {
        let changes = changes(&[(0, 60.0), (1, 60.0), (2, 60.0)]);
        let late: Vec<f64> = changes
            .iter()
            .zip([0.0, 60.0, 120.0])
            .map(|(change, begun)| change.1 - begun)
            .collect();
        assert_eq!(changes.len(), 3);
        assert!(late.iter().all(|&late| late < 4.0 * STEP), "{late:?}");
    }

    #[test]
    fn what_was_shown_for_long_gives_way_the_later_but_it_does() {
        let until_another = |shown_for: f64| {
            let mut hysteresis = Hysteresis::new(2, Seconds(15.0), 0.15);
            let (first, second) = (Scores::new(&[0.9, 0.1]), Scores::new(&[0.1, 0.9]));
            let mut now = 0.0;
            while now < shown_for {
                now += STEP;
                assert_eq!(hysteresis.choose(&first, Seconds(now)), Some(0));
            }
            let from = now;
            while hysteresis.choose(&second, Seconds(now)) == Some(0) {
                now += STEP;
            }
            now - from
        };
        for (shown_for, seconds) in [(5.0, 15.0), (15.0, 30.0), (1_800.0, LONGEST_DWELL.0)] {
            let until = until_another(shown_for);
            assert!(
                (seconds - STEP..seconds + 2.0 * STEP).contains(&until),
                "{until} s after {shown_for} s"
            );
        }
    }

    #[test]
    fn restlessness_is_forgotten_with_time_and_with_the_song() {
        let mut restless = Restlessness::new(2);
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
