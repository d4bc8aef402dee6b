//! Mel bands and decibels.

/// Power from which decibels are taken at least; far under every floor that can be configured.
const TINY_POWER: f32 = 1e-30;

/// Triangular mel bands with Slaney's scale and area normalisation, `[n_mels, 1 + n_fft / 2]`, kept
/// as the few weights of each band that are not 0.
///
/// Equals `librosa.filters.mel(htk=False, norm="slaney")`, whose source is Slaney's Auditory
/// Toolbox (Interval Research, Technical Report 1998-010).
#[derive(Clone, Debug)]
pub struct MelBands {
    bands: Vec<Band>,
    /// Weights of all bands, one after the other.
    weights: Vec<f32>,
}

#[derive(Clone, Copy, Debug)]
struct Band {
    /// First FFT bin with a weight.
    first_bin: usize,
    /// Where in `weights` the band's begin and end.
    start: usize,
    end: usize,
}

impl MelBands {
    /// `n_mels` bands between `fmin_hz` and `fmax_hz` over the bins of an FFT of `n_fft` samples at
    /// `sample_rate` Hz.
    pub fn new(sample_rate: u32, n_fft: usize, n_mels: usize, fmin_hz: f32, fmax_hz: f32) -> Self {
        let (low, high) = (hz_to_mel(f64::from(fmin_hz)), hz_to_mel(f64::from(fmax_hz)));
        // Band k rises from corner k to k + 1 and falls to k + 2.
        let corner = |k: usize| mel_to_hz(low + (high - low) * k as f64 / (n_mels as f64 + 1.0));
        let bin_hz = f64::from(sample_rate) / n_fft as f64;
        let (mut bands, mut weights) = (Vec::with_capacity(n_mels), Vec::new());
        for k in 0..n_mels {
            let (left, centre, right) = (corner(k), corner(k + 1), corner(k + 2));
            let start = weights.len();
            let mut first_bin = 0;
            for bin in 0..=n_fft / 2 {
                let hz = bin as f64 * bin_hz;
                let triangle = ((hz - left) / (centre - left)).min((right - hz) / (right - centre));
                if triangle > 0.0 {
                    if weights.len() == start {
                        first_bin = bin;
                    }
                    weights.push((triangle * 2.0 / (right - left)) as f32);
                }
            }
            bands.push(Band {
                first_bin,
                start,
                end: weights.len(),
            });
        }
        Self { bands, weights }
    }

    /// Frequencies that the bands of [`MelBands::new`] have in their middle, in Hz.
    pub fn centres(n_mels: usize, fmin_hz: f32, fmax_hz: f32) -> impl Iterator<Item = f32> {
        let (low, high) = (hz_to_mel(f64::from(fmin_hz)), hz_to_mel(f64::from(fmax_hz)));
        let step = (high - low) / (n_mels as f64 + 1.0);
        (1..=n_mels).map(move |k| mel_to_hz(low + step * k as f64) as f32)
    }

    /// Triangles that are linear in Kaldi's mel scale, `1127 ln(1 + f / 700)`, times `gain`, over
    /// the power spectrum of an FFT of `n_fft` samples at `sample_rate` Hz. Bands beyond the
    /// highest bin stay empty.
    ///
    /// Equals `torchaudio.compliance.kaldi.get_mel_banks` without VTLN.
    pub fn kaldi(
        (sample_rate, n_fft): (u32, usize),
        n_mels: usize,
        (fmin_hz, fmax_hz): (f32, f32),
        gain: f64,
    ) -> Self {
        let mel = |hz: f64| 1_127.0 * (1.0 + hz / 700.0).ln();
        let (low, high) = (mel(f64::from(fmin_hz)), mel(f64::from(fmax_hz)));
        let step = (high - low) / (n_mels as f64 + 1.0);
        let bin_hz = f64::from(sample_rate) / n_fft as f64;
        let (mut bands, mut weights) = (Vec::with_capacity(n_mels), Vec::new());
        for k in 0..n_mels {
            let left = low + k as f64 * step;
            let start = weights.len();
            let mut first_bin = 0;
            // Kaldi leaves out the bin of half the rate.
            for bin in 0..n_fft / 2 {
                let hz = bin as f64 * bin_hz;
                let triangle = ((mel(hz) - left) / step).min((left + 2.0 * step - mel(hz)) / step);
                if triangle > 0.0 {
                    if weights.len() == start {
                        first_bin = bin;
                    }
                    weights.push((triangle * gain) as f32);
                }
            }
            bands.push(Band {
                first_bin,
                start,
                end: weights.len(),
            });
        }
        Self { bands, weights }
    }

    /// Number of bands.
    pub fn n_mels(&self) -> usize {
        self.bands.len()
    }

    /// Sums the power spectrum `power` (`[1 + n_fft / 2]`) into `mel` (`[n_mels]`).
    ///
    /// # Panics
    /// When `power` has fewer bins than the bands were made for.
    pub fn apply(&self, power: &[f32], mel: &mut [f32]) {
        for (mel, band) in mel.iter_mut().zip(&self.bands) {
            let weights = &self.weights[band.start..band.end];
            let bins = &power[band.first_bin..band.first_bin + weights.len()];
            // Four partial sums: a single one would wait for each addition.
            let mut sums = [0.0_f32; 4];
            let ((weights, weights_rest), (bins, bins_rest)) =
                (weights.as_chunks::<4>(), bins.as_chunks::<4>());
            for (weights, bins) in weights.iter().zip(bins) {
                for ((sum, weight), bin) in sums.iter_mut().zip(weights).zip(bins) {
                    *sum += weight * bin;
                }
            }
            for ((sum, weight), bin) in sums.iter_mut().zip(weights_rest).zip(bins_rest) {
                *sum += weight * bin;
            }
            *mel = (sums[0] + sums[1]) + (sums[2] + sums[3]);
        }
    }
}

/// Turns mel powers into `max(floor_db, 20 * log10(power))`, in place.
pub fn power_to_db(mel: &mut [f32], floor_db: f32) {
    for value in mel {
        *value = (20.0 * std::f32::consts::LOG10_2 * log2(value.max(TINY_POWER))).max(floor_db);
    }
}

/// Turns mel powers into `(ln(power + epsilon) + offset) / divisor`, in place.
pub fn power_to_log(mel: &mut [f32], epsilon: f32, offset: f32, divisor: f32) {
    for value in mel {
        *value = (std::f32::consts::LN_2 * log2(*value + epsilon) + offset) / divisor;
    }
}

/// Base-2 logarithm of a normal positive number, to 2e-7 of the result or 1e-7, whichever is more.
///
/// Written out, without a call, so that the compiler can vectorise the loop around it and every
/// machine computes the same.
#[inline]
fn log2(x: f32) -> f32 {
    const SQRT_HALF: u32 = 0x3f35_04f3;
    // x = m * 2^e with m between sqrt(1/2) and sqrt(2).
    let shifted = x.to_bits().wrapping_sub(SQRT_HALF);
    let exponent = (shifted.cast_signed() >> 23) as f32;
    let mantissa = f32::from_bits((shifted & 0x007f_ffff) + SQRT_HALF);
    // ln m = 2 artanh s, of which this is the series; |s| < 0.1716, so the next term is 7e-10.
    let s = (mantissa - 1.0) / (mantissa + 1.0);
    let s2 = s * s;
    let series = 1.0 + s2 * (1.0 / 3.0 + s2 * (1.0 / 5.0 + s2 * (1.0 / 7.0 + s2 * (1.0 / 9.0))));
    exponent + 2.0 * std::f32::consts::LOG2_E * s * series
}

// Slaney's scale: linear below 1 kHz, 200/3 Hz to the mel, and logarithmic above, 27 mels to a
// factor of 6.4.
const LINEAR_HZ_PER_MEL: f64 = 200.0 / 3.0;
const LOG_FROM_HZ: f64 = 1000.0;
const LOG_FROM_MEL: f64 = LOG_FROM_HZ / LINEAR_HZ_PER_MEL;

fn log_step() -> f64 {
    6.4_f64.ln() / 27.0
}

fn hz_to_mel(hz: f64) -> f64 {
    if hz < LOG_FROM_HZ {
        hz / LINEAR_HZ_PER_MEL
    } else {
        LOG_FROM_MEL + (hz / LOG_FROM_HZ).ln() / log_step()
    }
}

fn mel_to_hz(mel: f64) -> f64 {
    if mel < LOG_FROM_MEL {
        mel * LINEAR_HZ_PER_MEL
    } else {
        LOG_FROM_HZ * ((mel - LOG_FROM_MEL) * log_step()).exp()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scale_is_its_own_inverse() {
        for hz in [0.0, 100.0, 999.0, 1000.0, 1001.0, 4321.0, 6000.0] {
            assert!((mel_to_hz(hz_to_mel(hz)) - hz).abs() < 1e-9, "{hz}");
        }
        assert!((hz_to_mel(1000.0) - 15.0).abs() < 1e-12);
        assert!((hz_to_mel(6400.0) - 42.0).abs() < 1e-12);
    }

    #[test]
    fn every_band_has_a_weight_and_the_area_of_slaney() {
        let bands = MelBands::new(12_000, 512, 96, 0.0, 6_000.0);
        assert_eq!(bands.n_mels(), 96);
        for band in &bands.bands {
            let area: f32 =
                bands.weights[band.start..band.end].iter().sum::<f32>() * 12_000.0 / 512.0;
            assert!(band.end > band.start);
            assert!(
                (area - 1.0).abs() < 0.5,
                "area {area} of the band at bin {}",
                band.first_bin
            );
        }
    }

    #[test]
    fn a_white_spectrum_weighs_as_a_dense_product_does() {
        let bands = MelBands::new(12_000, 512, 96, 0.0, 6_000.0);
        let power: Vec<f32> = (0..257).map(|bin| 1.0 + (bin % 7) as f32).collect();
        let mut mel = [0.0; 96];
        bands.apply(&power, &mut mel);
        for (band, mel) in bands.bands.iter().zip(mel) {
            let dense: f64 = (band.start..band.end)
                .map(|k| {
                    f64::from(bands.weights[k]) * f64::from(power[band.first_bin + k - band.start])
                })
                .sum();
            assert!((f64::from(mel) - dense).abs() < 1e-6 * dense);
        }
    }

    #[test]
    fn decibels_are_those_of_the_library() {
        let mut x = 1e-10_f32;
        while x < 1e12 {
            let mut value = [x];
            power_to_db(&mut value, -1000.0);
            let exact = 20.0 * f64::from(x).log10();
            assert!(
                (f64::from(value[0]) - exact).abs() < 5e-5,
                "{x}: {} not {exact}",
                value[0]
            );
            x *= 1.013;
        }
        let mut silence = [0.0, 1e-5, 1.0];
        power_to_db(&mut silence, -90.0);
        assert_eq!(silence, [-90.0, -90.0, 0.0]);
    }
}
