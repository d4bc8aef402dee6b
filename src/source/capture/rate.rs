//! Whether a source delivers as many samples as it claims.

use std::time::{Duration, Instant};

/// The rate is measured over this time, after [`RATE_SETTLING`] in which sources deliver in bursts.
const RATE_WINDOW: Duration = Duration::from_secs(30);
const RATE_SETTLING: Duration = Duration::from_secs(2);

/// Relative error of the rate above which a source is said to lie; crystals are better than 0.0005.
const RATE_TOLERANCE: f64 = 0.02;

/// Compares the samples that arrive with the clock.
#[derive(Debug)]
pub(super) struct RateWatch {
    since: Instant,
    start: Option<(Instant, u64)>,
    told: bool,
}

impl RateWatch {
    pub(super) fn new(now: Instant) -> Self {
        Self {
            since: now,
            start: None,
            told: false,
        }
    }

    /// The measured rate, once, if it is not the claimed one.
    pub(super) fn look(&mut self, now: Instant, frames: u64, claimed: u32) -> Option<u32> {
        if self.told || now - self.since < RATE_SETTLING {
            return None;
        }
        let (then, before) = *self.start.get_or_insert((now, frames));
        let elapsed = now - then;
        if elapsed < RATE_WINDOW {
            return None;
        }
        self.start = Some((now, frames));
        let measured = (frames - before) as f64 / elapsed.as_secs_f64();
        self.told = (measured / f64::from(claimed) - 1.0).abs() > RATE_TOLERANCE;
        self.told.then_some(measured.round() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_that_lies_about_its_rate_is_caught_once() {
        let start = Instant::now();
        let run = |true_rate: f64, claimed: u32| {
            let mut watch = RateWatch::new(start);
            let mut found = Vec::new();
            for tick in 0..800_u32 {
                let t = f64::from(tick) * 0.05;
                // The first half second comes as one burst.
                let frames = ((t + 0.5) * true_rate) as u64;
                let now = start + Duration::from_secs_f64(t);
                found.extend(watch.look(now, frames, claimed));
            }
            found
        };
        assert_eq!(run(48_000.0, 48_000), [0_u32; 0]);
        assert_eq!(run(48_020.0, 48_000), [0_u32; 0]);
        assert_eq!(run(44_100.0, 48_000), [44_100]);
        assert_eq!(run(96_000.0, 48_000), [96_000]);
    }
}
