//! Is the host rendering faster than real time?
//!
//! No host's word is good for it: hosts leave the flag on after a freeze, or start with it, and
//! play live; others render and never say so. Whoever believes them makes live blocks late, so the
//! pace itself decides: a stream that has run ahead of the clock by more than two seconds is no
//! live stream, because nobody can hear audio that long before it is due.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::time::Instant;

/// How much faster than the clock a live stream may be without ever running ahead: a sound card's
/// clock is never quite the computer's, and a tiny lead must not add up over hours.
const DRIFT: f64 = 0.02;

/// Lead over the clock, in seconds, from which on a stream is taken for an offline rendering. Live
/// hosts come in bursts: a second and a half at once has been seen.
pub const OFFLINE_LEAD_S: f64 = 2.0;

/// A stretch of stream, in seconds, that is compared with the clock to see whether a rendering
/// still runs ahead.
const STRETCH_S: f64 = 1.0;

/// A stretch that took this share of its length by the clock was played, not rendered.
const PLAYED: f64 = 0.9;

/// Compares stream time with the clock.
#[derive(Debug, Default)]
pub struct Pace {
    last: Option<Instant>,
    /// By how much a stream that counts as live has run ahead.
    lead_s: f64,
    ahead: bool,
    /// Of the stretch at hand: its length, and the clock's time for it.
    stretch_s: f64,
    clock_s: f64,
}

impl Pace {
    /// As new.
    pub fn reset(&mut self) {
        *self = Self::default();
    }

    /// Takes note of a block of `block_s` seconds that is processed at `now`; true when the stream
    /// runs ahead of the clock: from a lead of [`OFFLINE_LEAD_S`] on, until it is as slow as the
    /// clock again. However far a rendering was ahead, live playing after it is live within about a
    /// second.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn runs_ahead(&mut self, block_s: f64, now: Instant) -> bool {
        let elapsed = self.last.map_or(0.0, |last| {
            now.saturating_duration_since(last).as_secs_f64()
        });
        self.last = Some(now);
        if self.ahead {
            self.stretch_s += block_s;
            self.clock_s += elapsed;
            if self.clock_s > STRETCH_S || self.stretch_s > STRETCH_S {
                self.ahead = self.clock_s < PLAYED * self.stretch_s;
                (self.stretch_s, self.clock_s, self.lead_s) = (0.0, 0.0, 0.0);
            }
        } else {
            self.lead_s = (self.lead_s + block_s - elapsed * (1.0 + DRIFT)).max(0.0);
            self.ahead = self.lead_s > OFFLINE_LEAD_S;
        }
        self.ahead
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// Blocks of 10 ms that come every `interval_ms`.
    fn play(pace: &mut Pace, now: &mut Instant, blocks: usize, interval_ms: f64) -> usize {
        (0..blocks)
            .filter(|_| {
                *now += Duration::from_secs_f64(interval_ms / 1000.0);
                pace.runs_ahead(0.01, *now)
            })
            .count()
    }

    #[test]
    fn a_live_stream_never_runs_ahead() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(play(&mut pace, &mut now, 10_000, 10.0), 0);
        // The machine slept for a minute, and the host catches up a buffer of half a second.
        now += Duration::from_secs(60);
        assert_eq!(play(&mut pace, &mut now, 50, 0.0), 0);
        assert_eq!(play(&mut pace, &mut now, 10_000, 10.0), 0);
    }

    #[test]
    fn a_sound_card_that_is_a_little_fast_stays_live_for_a_day() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        assert_eq!(play(&mut pace, &mut now, 8_640_000, 10.0 / 1.001), 0);
    }

    #[test]
    fn bursts_are_live() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        for _ in 0..100 {
            // A second and a half at once, then as long a pause.
            assert_eq!(play(&mut pace, &mut now, 150, 0.0), 0);
            now += Duration::from_millis(1_500);
        }
    }

    #[test]
    fn a_bounce_runs_ahead_after_two_seconds_and_live_playing_ends_it() {
        let (mut pace, mut now) = (Pace::default(), Instant::now());
        // Block 223 lies on the very edge, where rounding decides.
        let ahead = play(&mut pace, &mut now, 1_000, 1.0);
        assert!((776..=778).contains(&ahead), "{ahead}");
        // An hour more of it, and on it goes live, without a pause or a word.
        assert_eq!(play(&mut pace, &mut now, 360_000, 1.0), 360_000);
        let late = play(&mut pace, &mut now, 300, 10.0);
        assert!(late <= 200, "{late} of three seconds");
        assert_eq!(play(&mut pace, &mut now, 1_000, 10.0), 0);
        // After a pause it is live at once.
        play(&mut pace, &mut now, 1_000, 1.0);
        now += Duration::from_secs(10);
        assert_eq!(play(&mut pace, &mut now, 1_000, 10.0), 0);
    }
}
