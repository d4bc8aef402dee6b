//! What mn04_as sees: 128 mel bands a hundredth of a second, by its authors' formulas, from 32 kHz
//! or from the product's 12 kHz.

use std::{f64::consts::PI, sync::Arc};

use anyhow::Result;
use realfft::{RealFftPlanner, RealToComplex};

/// Bands of a column.
pub const BANDS: usize = 128;
/// Columns a second.
pub const COLUMNS_PER_SECOND: usize = 100;
/// What a band without power has.
pub const FLOOR: f32 = -1.402_585_1;

const HIGHEST_HZ: f64 = 15_000.0;
/// The rate that the network was taught at.
const TAUGHT_RATE: f64 = 32_000.0;
const PRE_EMPHASIS: f64 = 0.97;
const OFFSET: f64 = 1e-5;
/// Taps on each side of the filter that stands for the pre-emphasis at another rate: 16 keep the
/// error below a hundredth of what is heard up to 5.7 kHz, 8 do not.
const HALF_TAPS: usize = 16;
const KAISER_BETA: f64 = 5.0;

/// The front end at one rate.
pub struct LogMel {
    rate: u32,
    hop: usize,
    /// The window, `[n_fft]`, with zeros around it.
    window: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
    /// First bin and weights of each band.
    bands: Vec<(usize, Vec<f32>)>,
    /// The pre-emphasis, centred.
    filter: Vec<f32>,
}

impl std::fmt::Debug for LogMel {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("LogMel")
            .field("rate", &self.rate)
            .finish_non_exhaustive()
    }
}

impl LogMel {
    /// For samples at `rate`, a multiple of 4000 up to 32000: 32000 is what the network was taught
    /// with, 12000 what the product hears.
    pub fn new(rate: u32) -> Self {
        let of = |n: usize| n * rate as usize / TAUGHT_RATE as usize;
        let (n_fft, hop, length) = (of(1024), of(320), of(800));
        // As loud as at 32 kHz: a longer window adds up more samples.
        let loudness = 800.0 / length as f64;
        let mut window = vec![0.0; n_fft];
        for (i, value) in window[(n_fft - length) / 2..][..length]
            .iter_mut()
            .enumerate()
        {
            let turn = 2.0 * PI * i as f64 / (length - 1) as f64;
            *value = (loudness * (0.5 - 0.5 * turn.cos())) as f32;
        }
        Self {
            rate,
            hop,
            window,
            fft: RealFftPlanner::new().plan_fft_forward(n_fft),
            bands: triangles(n_fft),
            filter: pre_emphasis(rate),
        }
    }

    /// `[128, columns]`, one column for each whole hundredth of a second of `samples`, full scale
    /// 1; none of less than half a window.
    ///
    /// # Errors
    /// When a Fourier transform fails, which no length brings about.
    pub fn bands(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let n_fft = self.window.len();
        let columns = samples.len() / self.hop;
        if samples.len() <= n_fft / 2 + 1 {
            return Ok(Vec::new());
        }
        let emphasised = self.emphasised(samples);
        let last = emphasised.len() - 1;
        let mut input = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut out = vec![0.0; BANDS * columns];
        for column in 0..columns {
            let begin = column * self.hop;
            for (i, (to, window)) in input.iter_mut().zip(&self.window).enumerate() {
                // Reflected at both ends.
                let at = (begin + i).abs_diff(n_fft / 2);
                let at = last - last.abs_diff(at);
                *to = emphasised[at] * window;
            }
            self.fft.process(&mut input, &mut spectrum)?;
            for (band, (first, weights)) in self.bands.iter().enumerate() {
                let power: f32 = weights
                    .iter()
                    .zip(&spectrum[*first..])
                    .map(|(w, c)| w * c.norm_sqr())
                    .sum();
                out[band * columns + column] = ((power + OFFSET as f32).ln() + 4.5) / 5.0;
            }
        }
        Ok(out)
    }

    /// `y(t) = x(t + 1/32000) - .97 x(t)`, at the rate of `samples`, silent before and after.
    fn emphasised(&self, samples: &[f32]) -> Vec<f32> {
        if self.filter.is_empty() {
            return samples
                .windows(2)
                .map(|pair| pair[1] - PRE_EMPHASIS as f32 * pair[0])
                .collect();
        }
        let mut padded = vec![0.0; HALF_TAPS];
        padded.extend_from_slice(samples);
        padded.resize(samples.len() + 2 * HALF_TAPS, 0.0);
        padded
            .windows(self.filter.len())
            .map(|window| window.iter().zip(&self.filter).map(|(x, k)| x * k).sum())
            .collect()
    }
}

/// The pre-emphasis of 32 kHz at `rate`, for samples in the order of time; nothing at 32 kHz
/// itself, where it is a difference.
///
/// A difference of neighbours at 12 kHz would be another filter: its delay is 83 microseconds and
/// not 31. So the sample 31 microseconds ahead is interpolated by a windowed sinc.
fn pre_emphasis(rate: u32) -> Vec<f32> {
    let ahead = f64::from(rate) / TAUGHT_RATE;
    if ahead >= 1.0 {
        return Vec::new();
    }
    let half = HALF_TAPS as f64;
    let taps: Vec<f64> = (0..=2 * HALF_TAPS)
        .map(|i| {
            let at = i as f64 - half;
            let x = PI * (at - ahead);
            let kaiser = bessel_i0(KAISER_BETA * (1.0 - (at / half).powi(2)).max(0.0).sqrt());
            x.sin() / x * kaiser
        })
        .collect();
    let sum: f64 = taps.iter().sum();
    let mut taps: Vec<f32> = taps.iter().map(|k| (k / sum) as f32).collect();
    taps[HALF_TAPS] -= PRE_EMPHASIS as f32;
    taps
}

/// Modified Bessel function of the first kind, order 0, by its series.
fn bessel_i0(x: f64) -> f64 {
    let (mut term, mut sum) = (1.0, 1.0);
    for k in 1..40 {
        term *= (x / (2.0 * f64::from(k))).powi(2);
        sum += term;
    }
    sum
}

/// Triangles that are linear in mel (Kaldi's), as first bin and weights; the bin at half the rate
/// has no weight.
fn triangles(n_fft: usize) -> Vec<(usize, Vec<f32>)> {
    let mel = |hz: f64| 1127.0 * (hz / 700.0).ln_1p();
    let step = mel(HIGHEST_HZ) / (BANDS + 1) as f64;
    // Bins are as far apart at every rate: 31.25 Hz.
    let hz_per_bin = TAUGHT_RATE / 1024.0;
    (0..BANDS)
        .map(|band| {
            let weight = |bin: usize| {
                let at = mel(bin as f64 * hz_per_bin) / step - band as f64;
                at.min(2.0 - at).max(0.0) as f32
            };
            let first = (0..n_fft / 2)
                .find(|&bin| weight(bin) > 0.0)
                .unwrap_or(n_fft / 2);
            let weights = (first..n_fft / 2)
                .map(weight)
                .take_while(|&w| w > 0.0)
                .collect();
            (first, weights)
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let n = (seconds * f64::from(rate)) as usize;
        (0..n)
            .map(|i| 0.3 * (2.0 * PI * hz * i as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    #[test]
    fn twelve_kilohertz_hear_what_thirty_two_hear() {
        let (taught, ours) = (LogMel::new(32_000), LogMel::new(12_000));
        for hz in [60.0, 220.0, 1_000.0, 3_000.0, 5_000.0] {
            let a = taught.bands(&tone(hz, 32_000, 1.0)).unwrap();
            let b = ours.bands(&tone(hz, 12_000, 1.0)).unwrap();
            assert_eq!((a.len(), b.len()), (100 * BANDS, 100 * BANDS));
            // Where the tone is; what leaks from it is the window's own affair.
            let loudest = (0..BANDS)
                .max_by(|&i, &k| a[i * 100 + 50].total_cmp(&a[k * 100 + 50]))
                .unwrap();
            let apart = (a[loudest * 100 + 50] - b[loudest * 100 + 50]).abs();
            assert!(apart < 0.01, "{hz} Hz, band {loudest}: {apart} apart");
        }
    }

    #[test]
    fn bands_above_what_is_heard_are_at_the_floor() {
        let ours = LogMel::new(12_000);
        let noise: Vec<f32> = {
            let mut rng = crate::rng::Rng::at(1, &[]);
            (0..12_000).map(|_| 0.1 * rng.normal()).collect()
        };
        let bands = ours.bands(&noise).unwrap();
        for (band, columns) in bands.chunks_exact(100).enumerate() {
            let at_floor = columns.iter().all(|x| (x - FLOOR).abs() < 1e-6);
            assert_eq!(at_floor, band >= 94, "band {band}");
        }
        assert!(
            ours.bands(&[]).unwrap().is_empty() && ours.bands(&noise[..100]).unwrap().is_empty()
        );
        assert_eq!(ours.bands(&noise[..240]).unwrap().len(), 2 * BANDS);
    }
}
