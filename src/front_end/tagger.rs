//! The picture of a tagger that was trained at another rate: EfficientAT's log-mel of 32 kHz, made
//! of a stream of fewer samples a second.

use serde::{Deserialize, Serialize};

use super::{
    Analysis, FrontEndError, LogMel, Scale,
    abreast::{ABREAST, add_tap},
    check,
    mel::MelBands,
    stft::Stft,
};
use crate::units::all_zero;

/// Every number of a tagger's front end, as its authors state them at their own rate.
///
/// Pre-emphasis `x[n] - pre_emphasis * x[n - 1]`, a centred STFT with a symmetric Hann window and
/// reflect padding, power, triangles of Kaldi's mel scale,
/// `(ln(power + epsilon) + offset) / divisor`.
///
/// At a lower rate the same seconds are looked at: lengths in samples are scaled by the rates, the
/// power by their square (a window of fewer samples sums less), and pre-emphasis takes the sample
/// that would have followed at the original rate from an interpolating filter. Bands above half the
/// lower rate hold `epsilon`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TaggerFrontEnd {
    /// Rate that the other numbers are meant for, in Hz (EfficientAT: 32000).
    pub sample_rate: u32,
    /// FFT length in samples (1024).
    pub n_fft: usize,
    /// Window length in samples (800).
    pub win_length: usize,
    /// Samples between columns (320).
    pub hop_length: usize,
    /// Mel bands (128).
    pub n_mels: usize,
    /// Lower edge of the lowest band, in Hz (0).
    pub fmin_hz: f32,
    /// Upper edge of the highest band, in Hz (15000).
    pub fmax_hz: f32,
    /// Coefficient of the pre-emphasis (0.97).
    pub pre_emphasis: f32,
    /// Added to the power of each band (1e-5).
    pub epsilon: f32,
    /// Added to its natural logarithm (4.5).
    pub offset: f32,
    /// What the sum is divided by (5).
    pub divisor: f32,
}

impl Default for TaggerFrontEnd {
    fn default() -> Self {
        Self {
            sample_rate: 32_000,
            n_fft: 1_024,
            win_length: 800,
            hop_length: 320,
            n_mels: 128,
            fmin_hz: 0.0,
            fmax_hz: 15_000.0,
            pre_emphasis: 0.97,
            epsilon: 1e-5,
            offset: 4.5,
            divisor: 5.0,
        }
    }
}

impl TaggerFrontEnd {
    /// What a cell holds where nothing sounds.
    pub fn floor(&self) -> f32 {
        (self.epsilon.ln() + self.offset) / self.divisor
    }

    /// Columns in a second.
    pub fn columns_per_second(&self) -> f64 {
        f64::from(self.sample_rate) / self.hop_length as f64
    }

    /// Whether every field is within its range, for a stream of `stream_rate` Hz.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the first field that is not.
    pub fn validate(&self, stream_rate: u32) -> Result<(), FrontEndError> {
        check(
            (8_000..=48_000).contains(&self.sample_rate) && self.sample_rate >= stream_rate,
            "tagger.sample_rate",
            f64::from(self.sample_rate),
            "the rate of the stream, or above it, to 48000 Hz",
        )?;
        let whole = |samples: usize| {
            (samples as u64 * u64::from(stream_rate)).is_multiple_of(u64::from(self.sample_rate))
        };
        check(
            (16..=16_384).contains(&self.n_fft)
                && whole(self.n_fft)
                && self.at(stream_rate, self.n_fft).is_multiple_of(2),
            "tagger.n_fft",
            self.n_fft as f64,
            "16 to 16384, an even number of samples of the stream",
        )?;
        check(
            (16..=self.n_fft).contains(&self.win_length) && whole(self.win_length),
            "tagger.win_length",
            self.win_length as f64,
            "16 to n_fft, a whole number of samples of the stream",
        )?;
        check(
            (16..=self.n_fft).contains(&self.hop_length) && whole(self.hop_length),
            "tagger.hop_length",
            self.hop_length as f64,
            "16 to n_fft, a whole number of samples of the stream",
        )?;
        check(
            (1..=self.n_fft / 2).contains(&self.n_mels) && self.n_mels <= 512,
            "tagger.n_mels",
            self.n_mels as f64,
            "1 to n_fft / 2, at most 512",
        )?;
        let nyquist = self.sample_rate as f32 / 2.0;
        check(
            (0.0..nyquist).contains(&self.fmin_hz),
            "tagger.fmin_hz",
            f64::from(self.fmin_hz),
            "0 to below half the sample rate",
        )?;
        check(
            self.fmax_hz > self.fmin_hz && self.fmax_hz <= nyquist,
            "tagger.fmax_hz",
            f64::from(self.fmax_hz),
            "above fmin_hz, up to half the sample rate",
        )?;
        check(
            (0.0..1.0).contains(&self.pre_emphasis),
            "tagger.pre_emphasis",
            f64::from(self.pre_emphasis),
            "0 to below 1",
        )?;
        check(
            (1e-20..=1.0).contains(&self.epsilon),
            "tagger.epsilon",
            f64::from(self.epsilon),
            "1e-20 to 1",
        )?;
        check(
            (-100.0..=100.0).contains(&self.offset),
            "tagger.offset",
            f64::from(self.offset),
            "-100 to 100",
        )?;
        check(
            (1e-3..=1_000.0).contains(&self.divisor),
            "tagger.divisor",
            f64::from(self.divisor),
            "0.001 to 1000",
        )
    }

    /// As many samples of a stream as take the time of `samples` at the front end's own rate.
    fn at(&self, stream_rate: u32, samples: usize) -> usize {
        (samples as u64 * u64::from(stream_rate) / u64::from(self.sample_rate)) as usize
    }

    pub(super) fn analysis(&self, stream_rate: u32) -> Result<Analysis, FrontEndError> {
        self.validate(stream_rate)?;
        let n_fft = self.at(stream_rate, self.n_fft);
        let ratio = f64::from(self.sample_rate) / f64::from(stream_rate);
        Ok(Analysis {
            pre_emphasis: Some(PreEmphasis::new(1.0 / ratio, f64::from(self.pre_emphasis))),
            stft: Stft::symmetric(
                n_fft,
                self.at(stream_rate, self.win_length),
                self.at(stream_rate, self.hop_length),
            ),
            log_mel: LogMel {
                bands: MelBands::kaldi(
                    (stream_rate, n_fft),
                    self.n_mels,
                    (self.fmin_hz, self.fmax_hz),
                    ratio * ratio,
                ),
                scale: Scale::Log {
                    epsilon: self.epsilon,
                    offset: self.offset,
                    divisor: self.divisor,
                },
                column: vec![0.0; self.n_mels],
                silent: false,
            },
        })
    }
}

/// Taps at each side of the interpolating filter.
const SIDE: usize = 16;
/// Samples filtered at a time: a whole number of times [`ABREAST`].
const BLOCK: usize = 8 * ABREAST;
/// Shape of the Kaiser window over its taps.
const BETA: f64 = 5.0;

/// `y[m] = x(m + delay) - coefficient * x[m]`, where `x(m + delay)` lies between two samples:
/// pre-emphasis of a stream with the delay of another rate. Without group delay of its own; beyond
/// its ends the signal is 0.
#[derive(Clone, Debug)]
pub(super) struct PreEmphasis {
    /// `[2 * SIDE + 1]`, for the oldest sample first.
    taps: [f32; 2 * SIDE + 1],
    /// The newest `2 * SIDE` samples, then the block at hand.
    samples: [f32; 2 * SIDE + BLOCK],
    out: [f32; BLOCK],
    /// Outputs to drop: they stand for the time before the first sample.
    early: usize,
}

impl PreEmphasis {
    fn new(delay: f64, coefficient: f64) -> Self {
        let bessel = |x: f64| {
            // I0 by its series: enough terms for arguments up to 5.
            let (mut term, mut sum) = (1.0, 1.0);
            for k in 1..40 {
                term *= (x / 2.0 / f64::from(k)).powi(2);
                sum += term;
            }
            sum
        };
        let taps: Vec<f64> = (0..=2 * SIDE)
            .map(|index| {
                // The oldest sample lies `SIDE` behind the output's instant.
                let j = SIDE as f64 - index as f64;
                let x = std::f64::consts::PI * (j + delay);
                let sinc = if x.abs() < 1e-12 { 1.0 } else { x.sin() / x };
                sinc * bessel(BETA * (1.0 - (j / SIDE as f64).powi(2)).max(0.0).sqrt())
            })
            .collect();
        let sum: f64 = taps.iter().sum();
        let mut all = [0.0; 2 * SIDE + 1];
        for (to, tap) in all.iter_mut().zip(&taps) {
            *to = (tap / sum) as f32;
        }
        all[SIDE] = (taps[SIDE] / sum - coefficient) as f32;
        Self {
            taps: all,
            samples: [0.0; 2 * SIDE + BLOCK],
            out: [0.0; BLOCK],
            early: SIDE,
        }
    }

    /// Takes samples in blocks of any size and gives as many, but for those of the last [`SIDE`]
    /// instants.
    pub(super) fn push(&mut self, samples: &[f32], mut sink: impl FnMut(&[f32])) {
        for block in samples.chunks(BLOCK) {
            let n = block.len();
            self.samples[2 * SIDE..2 * SIDE + n].copy_from_slice(block);
            if all_zero(&self.samples[..2 * SIDE + n]) {
                self.out[..n].fill(0.0);
            } else {
                // Outputs beyond `n` are of older samples, and nobody's.
                for (index, out) in self.out.as_chunks_mut::<ABREAST>().0.iter_mut().enumerate() {
                    let at = index * ABREAST;
                    if at >= n {
                        break;
                    }
                    let mut sums = [0.0_f32; ABREAST];
                    for (k, tap) in self.taps.iter().enumerate() {
                        add_tap(&mut sums, &self.samples[at + k..at + k + ABREAST], *tap);
                    }
                    *out = sums;
                }
            }
            self.samples.copy_within(n..n + 2 * SIDE, 0);
            let early = self.early.min(n);
            self.early -= early;
            if early < n {
                sink(&self.out[early..n]);
            }
        }
    }

    /// The signal ends: gives the rest, and is as new.
    pub(super) fn finish(&mut self, sink: impl FnMut(&[f32])) {
        // Nothing was pushed: nothing comes.
        if self.early < SIDE || !all_zero(&self.samples[..2 * SIDE]) {
            self.push(&[0.0; SIDE], sink);
        }
        self.reset();
    }

    pub(super) fn reset(&mut self) {
        self.samples.fill(0.0);
        self.early = SIDE;
    }
}
