//! Sample rates and lengths of time, and how one becomes the other.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::fmt;

use thiserror::Error;

/// A sample rate in Hz, within the range this crate can listen to.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SampleRate(u32);

/// A sample rate outside [`SampleRate::MIN`]..=[`SampleRate::MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("a sample rate of {rate} Hz is not supported (8000 to 384000 Hz are)")]
pub struct SampleRateError {
    /// The rate that was asked for, in Hz.
    pub rate: u32,
}

impl SampleRate {
    /// Lowest supported rate, 8 kHz.
    pub const MIN: SampleRate = SampleRate(8_000);
    /// Highest supported rate, 384 kHz.
    pub const MAX: SampleRate = SampleRate(384_000);

    /// A sample rate of `rate` Hz.
    ///
    /// # Errors
    /// [`SampleRateError`] when `rate` is outside 8000..=384000 Hz.
    ///
    /// ```
    /// use genrescope::units::SampleRate;
    /// assert_eq!(SampleRate::new(48_000)?.hz(), 48_000);
    /// assert!(SampleRate::new(4_000).is_err());
    /// # Ok::<(), genrescope::units::SampleRateError>(())
    /// ```
    pub const fn new(rate: u32) -> Result<Self, SampleRateError> {
        if rate < Self::MIN.0 || rate > Self::MAX.0 {
            return Err(SampleRateError { rate });
        }
        Ok(Self(rate))
    }

    /// The rate in Hz.
    pub const fn hz(self) -> u32 {
        self.0
    }

    /// Length of `samples` samples at this rate.
    pub fn duration(self, samples: u64) -> Seconds {
        Seconds(samples as f64 / f64::from(self.0))
    }

    /// Number of samples in `length`, rounded to the nearest; a negative length gives 0.
    pub fn samples(self, length: Seconds) -> u64 {
        (length.0 * f64::from(self.0)).round().max(0.0) as u64
    }
}

impl fmt::Display for SampleRate {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} Hz", self.0)
    }
}

/// A length of time or a position in a stream, in seconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, PartialOrd)]
pub struct Seconds(pub f64);

impl Seconds {
    /// Rounded to thousandths, as every message of the program has it.
    pub fn rounded(self) -> f64 {
        // Adding 0 makes -0 a plain 0.
        (self.0 * 1e3).round() / 1e3 + 0.0
    }
}

impl fmt::Display for Seconds {
    /// `m:ss` below an hour, `h:mm:ss` from there on, rounded down to whole seconds.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let total = self.0.max(0.0) as u64;
        let (hours, minutes, seconds) = (total / 3600, total / 60 % 60, total % 60);
        if hours > 0 {
            write!(f, "{hours}:{minutes:02}:{seconds:02}")
        } else {
            write!(f, "{minutes}:{seconds:02}")
        }
    }
}

/// Louder samples are cut to this (+24 dB above full scale): no converter or mix goes there, and a
/// network that has seen 1e9 in its window would say nothing sensible for half a minute.
pub const MAX_AMPLITUDE: f32 = 16.0;

/// Quieter samples (-200 dBFS) are taken as silence: filters would turn them into denormals, which
/// some processors add a hundred times more slowly.
const MIN_AMPLITUDE: f32 = 1e-10;

/// A sample that everything behind can live with: what is not finite, or below -200 dBFS, becomes
/// 0, and what is beyond ±[`MAX_AMPLITUDE`] is cut to it. The one rule for every way in: device,
/// host, file and library call.
#[inline]
pub fn sane(sample: f32) -> f32 {
    const HEARD: std::ops::Range<u32> = MIN_AMPLITUDE.to_bits()..f32::INFINITY.to_bits();
    // Bits instead of branches, so that several samples are looked at with one instruction. NaN is
    // in no range.
    let magnitude = sample.to_bits() & (u32::MAX >> 1);
    let mask = u32::from(HEARD.contains(&magnitude)).wrapping_neg();
    f32::from_bits(sample.clamp(-MAX_AMPLITUDE, MAX_AMPLITUDE).to_bits() & mask)
}

/// Is every sample zero, of either sign?
///
/// In parts without an exit each, so that several samples are looked at with one instruction; sound
/// ends it within the first part.
///
/// # Real-time
/// Safe on the audio thread.
pub fn all_zero(samples: &[f32]) -> bool {
    let bits = |part: &[f32]| part.iter().fold(0, |bits, sample| bits | sample.to_bits());
    let (parts, rest) = samples.as_chunks::<64>();
    // All bits but the sign.
    parts.iter().all(|part| bits(part) << 1 == 0) && bits(rest) << 1 == 0
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use super::*;

    #[test]
    fn one_sample_that_is_not_zero_is_found_wherever_it_stands() {
        for length in [0, 1, 63, 64, 65, 200] {
            let mut samples = vec![0.0; length];
            samples.iter_mut().step_by(3).for_each(|s| *s = -0.0);
            assert!(all_zero(&samples), "{length}");
            for place in 0..length {
                for value in [1e-45, -1.0, f32::NAN] {
                    let before = std::mem::replace(&mut samples[place], value);
                    assert!(!all_zero(&samples), "{value} at {place} of {length}");
                    samples[place] = before;
                }
            }
        }
    }

    #[test]
    fn rates_at_the_edges() {
        assert_eq!(SampleRate::new(7_999), Err(SampleRateError { rate: 7_999 }));
        assert!(SampleRate::new(8_000).is_ok());
        assert!(SampleRate::new(384_000).is_ok());
        assert!(SampleRate::new(384_001).is_err());
    }

    #[test]
    fn conversions_round_to_the_nearest_sample() {
        let rate = SampleRate::new(12_000).unwrap();
        assert_eq!(rate.samples(Seconds(29.12)), 349_440);
        assert_eq!(rate.samples(Seconds(-1.0)), 0);
        assert_eq!(rate.duration(349_440), Seconds(29.12));
    }

    #[test]
    fn times_are_rounded_to_thousandths() {
        assert_eq!(Seconds(1.365_333_3).rounded(), 1.365);
        assert_eq!(Seconds(-0.0001).rounded().to_string(), "0");
    }

    #[test]
    fn display_is_a_clock() {
        assert_eq!(Seconds(75.9).to_string(), "1:15");
        assert_eq!(Seconds(3_661.0).to_string(), "1:01:01");
    }

    #[test]
    fn foreign_samples_become_sane() {
        let nan = f32::from_bits(0xffc0_0001);
        for (given, expected) in [
            (0.5, 0.5),
            (-1.5, -1.5),
            (nan, 0.0),
            (f32::INFINITY, 0.0),
            (f32::NEG_INFINITY, 0.0),
            (1e9, MAX_AMPLITUDE),
            (-1e9, -MAX_AMPLITUDE),
            (f32::MAX, MAX_AMPLITUDE),
            (1e-40, 0.0),
            (f32::MIN_POSITIVE, 0.0),
            (-1e-9, -1e-9),
        ] {
            assert_eq!(sane(given), expected, "{given}");
        }
    }
}
