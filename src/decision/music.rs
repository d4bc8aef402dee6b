//! Is it music? Smoothed from look to look, so that one wild look decides nothing.

/// Weight of the newest look in the smoothed log-odds of music: about two looks decide.
const MUSIC_SMOOTHING: f32 = 0.5;

/// The same for the slower odds that a first genre must have, too: about five looks. A crowd passes
/// for music now and then, seldom for long.
const TRUST_SMOOTHING: f32 = 0.2;

/// Log-odds beyond which a look at the music is no surer: one wild look must not outweigh five.
const MUSIC_CLIP: f32 = 4.0;

/// How many times higher the odds of music must be to end "not music" than to begin it.
const MUSIC_HYSTERESIS: f32 = 2.0;

/// How many times higher the odds of music must be to name a first genre than to go on naming one.
const DOUBT_HYSTERESIS: f32 = 3.0;

/// Smooths the probability of music from look to look (one a hop), by its log-odds.
#[derive(Clone, Copy, Debug)]
pub struct MusicSmoother {
    weight: f32,
    log_odds: Option<f32>,
}

impl Default for MusicSmoother {
    fn default() -> Self {
        Self::with(MUSIC_SMOOTHING)
    }
}

impl MusicSmoother {
    /// With this weight of the newest look, in 0..1.
    fn with(weight: f32) -> Self {
        Self {
            weight,
            log_odds: None,
        }
    }

    /// Takes the newest probability and gives the smoothed one, both 0..=1.
    pub fn push(&mut self, probability: f32) -> f32 {
        let now = (probability / (1.0 - probability))
            .ln()
            .clamp(-MUSIC_CLIP, MUSIC_CLIP);
        let now = if now.is_nan() { 0.0 } else { now };
        let smooth = match self.log_odds {
            Some(before) => before + self.weight * (now - before),
            None => now,
        };
        self.log_odds = Some(smooth);
        1.0 / (1.0 + (-smooth).exp())
    }
}

/// What looks at the whole of a song say together.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Whole {
    /// It is something other than music.
    NotMusic,
    /// It may be music, but too little speaks for it to name a genre.
    Doubtful,
    Music,
}

/// What `probability`, that a song is music, says of it: as [`MusicGate`] has it of the newest
/// seconds. Whole songs need not be the surer before their first genre: nothing is shown before
/// they end.
pub(crate) fn whole(probability: f32, music_below: f32, doubt_below: f32) -> Whole {
    if probability < music_below {
        Whole::NotMusic
    } else if probability < doubt_below {
        Whole::Doubtful
    } else {
        Whole::Music
    }
}

/// Tells music from what is not, and music that may be named from music that may not yet.
#[derive(Clone, Debug)]
pub(super) struct MusicGate {
    music_below: f32,
    doubt_below: f32,
    smooth: MusicSmoother,
    /// The same over more looks: only a first genre waits for it.
    lasting: MusicSmoother,
    /// The smoothed probability of music; none before the first look.
    probability: Option<f32>,
    not_music: bool,
    /// Has it been told from talk and noise well enough to name a genre, with nothing against it
    /// since? None before the first look, and with a model that cannot tell.
    trusted: Option<bool>,
}

impl MusicGate {
    /// Below a probability of `music_below` it is not music, below `doubt_below` no genre is named;
    /// both 0..=1.
    pub(super) fn new(music_below: f32, doubt_below: f32) -> Self {
        Self {
            music_below,
            doubt_below,
            smooth: MusicSmoother::default(),
            lasting: MusicSmoother::with(TRUST_SMOOTHING),
            probability: None,
            not_music: false,
            trusted: None,
        }
    }

    /// Takes what one look says: the probability that the newest seconds are music, 0..=1.
    pub(super) fn push(&mut self, probability: f32) {
        let (smooth, lasting) = (
            self.smooth.push(probability),
            self.lasting.push(probability),
        );
        self.probability = Some(smooth);
        let harder = |below: f32, times: f32| {
            let odds = times * below / (1.0 - below).max(1e-6);
            odds / (1.0 + odds)
        };
        self.not_music = smooth
            < if self.not_music {
                harder(self.music_below, MUSIC_HYSTERESIS)
            } else {
                self.music_below
            };
        // What has not been trusted yet must be the surer music, and for longer.
        self.trusted = Some(if self.trusted == Some(true) {
            smooth >= self.doubt_below
        } else {
            smooth.min(lasting) >= harder(self.doubt_below, DOUBT_HYSTERESIS)
        });
    }

    /// The smoothed probability of music, 0..=1; none before the first look.
    pub(super) fn probability(&self) -> Option<f32> {
        self.probability
    }

    /// It is something other than music.
    pub(super) fn is_not_music(&self) -> bool {
        self.not_music
    }

    /// It may be music, but too little speaks for it to name a genre.
    pub(super) fn is_doubtful(&self) -> bool {
        self.trusted == Some(false)
    }

    /// Something else begins.
    pub(super) fn forget(&mut self) {
        *self = Self::new(self.music_below, self.doubt_below);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOT_MUSIC: f32 = 0.1;
    const DOUBT: f32 = 0.5;

    #[test]
    fn what_passes_for_music_now_and_then_is_not_trusted() {
        let trusted = |looks: &[f32]| {
            let mut gate = MusicGate::new(NOT_MUSIC, DOUBT);
            looks.iter().any(|&look| {
                gate.push(look);
                !gate.is_doubtful()
            })
        };
        let low = 0.5 * DOUBT;
        let crowd = [low, low, low, low, low, 0.97, 0.97];
        let mut smooth = MusicSmoother::default();
        assert!(
            crowd.map(|look| smooth.push(look))[6] > 0.9,
            "two looks in a row would do"
        );
        assert!(!trusted(&crowd.repeat(4)));
        assert!(trusted(&[crowd.as_slice(), &[0.97; 6]].concat()));
    }

    #[test]
    fn what_is_not_music_must_be_the_surer_music_to_end_it() {
        let mut gate = MusicGate::new(NOT_MUSIC, DOUBT);
        assert!(
            !gate.is_doubtful(),
            "a model that cannot tell doubts nothing"
        );
        for _ in 0..6 {
            gate.push(0.02);
        }
        assert!(gate.is_not_music() && gate.is_doubtful());
        let between = 1.5 * NOT_MUSIC;
        for _ in 0..12 {
            gate.push(between);
        }
        assert!(gate.is_not_music(), "within the band nothing changes");
        for _ in 0..12 {
            gate.push(0.9);
        }
        assert!(!gate.is_not_music() && !gate.is_doubtful());
        gate.forget();
        assert!(!gate.is_doubtful());
    }

    #[test]
    fn so_many_times_the_odds_are_enough_in_the_end() {
        let mut gate = MusicGate::new(NOT_MUSIC, DOUBT);
        let mut hear = |probability: f32| {
            for _ in 0..200 {
                gate.push(probability);
            }
            (gate.is_not_music(), gate.is_doubtful())
        };
        assert_eq!(hear(0.01), (true, true));
        // Of music below 0.1 the odds are 1 to 9: 2 to 9 are 0.182.
        assert_eq!(hear(0.17), (true, true));
        assert_eq!(hear(0.19), (false, true));
        // Of doubt below 0.5 they are 1 to 1: 3 to 1 are 0.75.
        assert_eq!(hear(0.74), (false, true));
        assert_eq!(hear(0.76), (false, false));
        assert!((gate.probability().unwrap() - 0.76).abs() < 1e-3);
        gate.push(0.001);
        gate.forget();
        assert_eq!(gate.probability(), None);
        assert!(!gate.is_not_music() && !gate.is_doubtful());
    }

    #[test]
    fn the_whole_of_a_song_is_told_by_both_thresholds() {
        for (probability, expected) in [
            (0.0, Whole::NotMusic),
            (0.099, Whole::NotMusic),
            (NOT_MUSIC, Whole::Doubtful),
            (0.499, Whole::Doubtful),
            (DOUBT, Whole::Music),
            (1.0, Whole::Music),
        ] {
            assert_eq!(whole(probability, NOT_MUSIC, DOUBT), expected);
        }
    }

    #[test]
    fn certainty_is_clipped_and_nonsense_is_neutral() {
        let mut smooth = MusicSmoother::default();
        for wild in [1.0, 0.0, f32::NAN] {
            let value = smooth.push(wild);
            assert!((0.01..=0.99).contains(&value), "{wild} gave {value}");
        }
    }
}
