//! What a room, a loudspeaker, a DJ and a broadcaster do to music, done to mel pictures, so that it
//! costs next to nothing during training. The same kinds of damage done to samples, for the
//! evaluation's table, are in [`crate::degrade`].
//!
//! Pictures are `[columns][96]`, one mel column after the other, on the front end's scale:
//! 20 log10(mel power), so 1 dB of level is 2 units.

use std::f32::consts::{LN_2, LN_10};

use serde::{Deserialize, Serialize};

use crate::rng::Rng;

/// Mel bands.
const BANDS: usize = 96;

/// How often each kind of damage is done, and how much. Probabilities in 0..=1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Augment {
    /// Pitch and tempo, each up to +-8 % (a fader, a DJ).
    pub warp: f32,
    /// A room's tail of 0.2 to 1 s.
    pub reverb: f32,
    /// Energy of that tail in dB relative to the direct sound: lowest and highest.
    pub wet_db: (f32, f32),
    /// Coloured noise (0 to -6 dB an octave, unsteady).
    pub noise: f32,
    /// Signal-to-noise ratio of that noise in dB: lowest and highest.
    pub snr_db: (f32, f32),
    /// A compressor: level swings slower than half a second shrink by up to half.
    pub compress: f32,
    /// A random equaliser and tilt.
    pub equalise: f32,
    /// Standard deviation of each of the equaliser's knots, in picture units.
    pub equalise_depth: f32,
    /// Number of its knots, evenly spaced over the bands.
    pub equalise_knots: usize,
    /// Standard deviation of the tilt in picture units an octave.
    pub tilt: f32,
    /// Losses above 2.5 to 5.5 kHz, and, by another draw, below 80 to 400 Hz (small loudspeakers,
    /// telephones).
    pub band_limit: f32,
    /// Gain: uniform within plus and minus this many picture units.
    pub gain: f32,
    /// SpecAugment: one band of up to 14 mels, and, by another draw, one of up to 120 columns, set
    /// to the input's mean.
    pub mask: f32,
}

impl Default for Augment {
    fn default() -> Self {
        Self {
            warp: 0.5,
            reverb: 0.25,
            wet_db: (-8.0, 0.0),
            noise: 0.4,
            snr_db: (5.0, 40.0),
            compress: 0.3,
            equalise: 0.8,
            equalise_depth: 6.0,
            equalise_knots: 6,
            tilt: 3.0,
            band_limit: 0.15,
            gain: 20.0,
            mask: 0.3,
        }
    }
}

/// Slaney's mel scale: linear below 1 kHz, 27 steps a factor of 6.4 above.
fn mel_of_hz(hz: f32) -> f32 {
    if hz < 1000.0 {
        hz / (200.0 / 3.0)
    } else {
        15.0 + (hz / 1000.0).ln() / (6.4f32.ln() / 27.0)
    }
}

/// The inverse of [`mel_of_hz`].
fn hz_of_mel(mel: f32) -> f32 {
    if mel < 15.0 {
        mel * 200.0 / 3.0
    } else {
        1000.0 * ((mel - 15.0) * 6.4f32.ln() / 27.0).exp()
    }
}

/// Mels between neighbouring bands.
fn mel_step() -> f32 {
    mel_of_hz(6000.0) / 97.0
}

/// Centre of band `band`, in Hz.
fn centre_hz(band: usize) -> f32 {
    hz_of_mel((band as f32 + 1.0) * mel_step())
}

/// Does to `picture` what `rng` draws. The number of columns stays.
pub fn augment(picture: &mut Vec<f32>, config: &Augment, rng: &mut Rng) {
    let columns = picture.len() / BANDS;
    if columns < 2 {
        return;
    }
    if rng.chance(config.warp) {
        let pitch = (rng.between(-1.0, 1.0) * 0.08).exp();
        let tempo = (rng.between(-1.0, 1.0) * 0.08).exp() * pitch;
        *picture = warp(picture, pitch, tempo);
    }
    let reverb = rng.chance(config.reverb);
    let noise = rng.chance(config.noise);
    if reverb || noise {
        let to_power = LN_10 / 20.0;
        for value in picture.iter_mut() {
            *value = fast_exp(*value * to_power);
        }
        if reverb {
            let seconds = rng.between(0.2, 1.0);
            let wet = 10.0f32.powf(rng.between(config.wet_db.0, config.wet_db.1) / 10.0);
            smear(picture, seconds, wet);
        }
        if noise {
            let snr_db = rng.between(config.snr_db.0, config.snr_db.1);
            add_noise(picture, snr_db, rng);
        }
        for value in picture.iter_mut() {
            *value = fast_ln(value.max(1e-8)) / to_power;
        }
    }
    if rng.chance(config.compress) {
        let amount = rng.between(0.0, 0.5);
        compress(picture, amount);
    }
    let mut curve = [0.0f32; BANDS];
    if rng.chance(config.equalise) {
        let knots: Vec<f32> = (0..config.equalise_knots)
            .map(|_| config.equalise_depth * rng.normal())
            .collect();
        let tilt = config.tilt * rng.normal();
        for (band, value) in curve.iter_mut().enumerate() {
            *value += between_knots(&knots, band) + tilt * (centre_hz(band) / 1000.0).log2();
        }
    }
    if rng.chance(config.band_limit) {
        let edge = 2500.0 * (rng.uniform() * 2.2f32.ln()).exp();
        let slope = rng.between(24.0, 96.0);
        for (band, value) in curve.iter_mut().enumerate() {
            *value -= slope * (centre_hz(band) / edge).log2().max(0.0);
        }
    }
    if rng.chance(config.band_limit) {
        let edge = 80.0 * (rng.uniform() * 5.0f32.ln()).exp();
        let slope = rng.between(24.0, 48.0);
        for (band, value) in curve.iter_mut().enumerate() {
            *value -= slope * (edge / centre_hz(band)).log2().max(0.0);
        }
    }
    let gain = rng.between(-1.0, 1.0) * config.gain;
    for column in picture.chunks_exact_mut(BANDS) {
        for (value, curve) in column.iter_mut().zip(&curve) {
            *value += curve + gain;
        }
    }
    if rng.chance(config.mask) {
        let width = rng.below(14) + 1;
        let first = rng.below(BANDS - width);
        for column in picture.chunks_exact_mut(BANDS) {
            column[first..first + width].fill(-30.6);
        }
    }
    if rng.chance(config.mask) {
        let width = rng.below(120.min((columns / 6).max(1))) + 1;
        let first = rng.below(columns - width.min(columns - 1));
        picture[first * BANDS..(first + width) * BANDS].fill(-30.6);
    }
}

/// `knots`, evenly spread over the bands, joined by straight lines.
fn between_knots(knots: &[f32], band: usize) -> f32 {
    let place = band as f32 * (knots.len() - 1) as f32 / (BANDS - 1) as f32;
    let left = (place as usize).min(knots.len() - 2);
    let part = place - left as f32;
    knots[left] * (1.0 - part) + knots[left + 1] * part
}

/// Shifts pitch and plays faster, each by a factor: what a turntable's fader does when both are
/// equal.
fn warp(picture: &[f32], pitch: f32, tempo: f32) -> Vec<f32> {
    let columns = picture.len() / BANDS;
    let last = (columns - 1) as f32;
    let rows: Vec<(usize, f32)> = (0..BANDS)
        .map(|band| {
            let source = mel_of_hz(centre_hz(band) / pitch) / mel_step() - 1.0;
            let source = source.clamp(0.0, (BANDS - 1) as f32);
            let low = (source as usize).min(BANDS - 2);
            (low, source - low as f32)
        })
        .collect();
    let mut out = Vec::with_capacity(picture.len());
    for column in 0..columns {
        let mut source = (column as f32 - last / 2.0) * tempo + last / 2.0;
        // Past the ends the picture is mirrored.
        source = source.abs();
        if source > last {
            source = (2.0 * last - source).max(0.0);
        }
        let low = (source as usize).min(columns - 2);
        let part = source - low as f32;
        let left = &picture[low * BANDS..(low + 1) * BANDS];
        let right = &picture[(low + 1) * BANDS..(low + 2) * BANDS];
        for &(row, up) in &rows {
            let a = left[row] * (1.0 - up) + left[row + 1] * up;
            let b = right[row] * (1.0 - up) + right[row + 1] * up;
            out.push(a * (1.0 - part) + b * part);
        }
    }
    out
}

/// Adds a tail that dies by 60 dB in `seconds` and holds `wet` times the energy of the direct sound
/// (mel powers).
fn smear(powers: &mut [f32], seconds: f32, wet: f32) {
    const TAIL: usize = 32;
    let mut tail: Vec<f32> = (1..=TAIL)
        .map(|k| 10.0f32.powf(-6.0 * k as f32 * 256.0 / 12_000.0 / seconds))
        .collect();
    let sum: f32 = tail.iter().sum();
    for value in &mut tail {
        *value *= wet / sum;
    }
    let columns = powers.len() / BANDS;
    for column in (1..columns).rev() {
        let (before, now) = powers.split_at_mut(column * BANDS);
        for (k, weight) in tail.iter().enumerate().take(column) {
            let from = &before[(column - 1 - k) * BANDS..(column - k) * BANDS];
            for (to, from) in now[..BANDS].iter_mut().zip(from) {
                *to += weight * from;
            }
        }
    }
}

/// Adds noise of a random colour, `snr_db` below the mean power of the picture (mel powers).
fn add_noise(powers: &mut [f32], snr_db: f32, rng: &mut Rng) {
    let slope = -rng.between(0.0, 6.0);
    let knots: Vec<f32> = (0..5).map(|_| 0.3 * rng.normal()).collect();
    let mut colour = [0.0f32; BANDS];
    for (band, value) in colour.iter_mut().enumerate() {
        let octaves = (centre_hz(band) / 1000.0).log2();
        *value = 10.0f32.powf(slope * octaves / 10.0 + between_knots(&knots, band));
    }
    let mean = colour.iter().sum::<f32>() / BANDS as f32;
    let power = powers.iter().map(|&p| f64::from(p)).sum::<f64>() / powers.len() as f64;
    let level = power as f32 * 10.0f32.powf(-snr_db / 10.0) / mean;
    for column in powers.chunks_exact_mut(BANDS) {
        for (value, colour) in column.iter_mut().zip(&colour) {
            // Log-normal with mean 1 and a spread of 0.6, as a few frames of a periodogram have.
            *value += level * colour * fast_exp(0.6 * rng_normal_fast(rng) - 0.18);
        }
    }
}

/// Makes what is loud softer and what is soft louder, by `amount` of the level's swing around its
/// mean.
fn compress(picture: &mut [f32], amount: f32) {
    let levels: Vec<f32> = picture
        .chunks_exact(BANDS)
        .map(|column| {
            let power: f32 = column
                .iter()
                .map(|&v| fast_exp(v * LN_10 / 20.0))
                .sum::<f32>()
                / BANDS as f32;
            (fast_ln(power.max(1e-8)) * 20.0 / LN_10).max(-100.0)
        })
        .collect();
    let last = levels.len() as isize - 1;
    let smooth: Vec<f32> = (0..=last)
        .map(|i| {
            (i - 12..=i + 12)
                .map(|j| levels[j.clamp(0, last) as usize])
                .sum::<f32>()
                / 25.0
        })
        .collect();
    let mean = smooth.iter().sum::<f32>() / smooth.len() as f32;
    for (column, level) in picture.chunks_exact_mut(BANDS).zip(&smooth) {
        for value in column {
            *value -= amount * (level - mean);
        }
    }
}

/// A sum of four uniforms: near enough to normal for a noise floor, and cheap (one draw of 64
/// bits).
fn rng_normal_fast(rng: &mut Rng) -> f32 {
    let bits = rng.bits();
    let sum: f32 = (0..4).map(|i| ((bits >> (16 * i)) & 0xffff) as f32).sum();
    (sum / 65_535.0 - 2.0) * 1.732_050_8
}

/// e^x with a relative error below 1e-4, for x in -80..80: pictures have 130,000 cells.
fn fast_exp(x: f32) -> f32 {
    let t = (x / LN_2).clamp(-120.0, 120.0);
    let whole = t.floor();
    let f = t - whole;
    let power = 1.0
        + f * (LN_2 + f * (0.240_226_5 + f * (0.055_504_1 + f * (0.009_618_1 + f * 0.001_333_4))));
    f32::from_bits(((whole as i32 + 127) as u32) << 23) * power
}

/// ln(x) with an error below 2e-4, for normal x > 0.
fn fast_ln(x: f32) -> f32 {
    let bits = x.to_bits();
    let exponent = (bits >> 23) as i32 - 127;
    let m = f32::from_bits((bits & 0x007f_ffff) | 0x3f80_0000);
    // ln(m) on 1..2 through atanh((m - 1) / (m + 1)).
    let z = (m - 1.0) / (m + 1.0);
    let z2 = z * z;
    let ln = 2.0 * z * (1.0 + z2 * (1.0 / 3.0 + z2 * (0.2 + z2 * (1.0 / 7.0))));
    exponent as f32 * LN_2 + ln
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quick_functions_are_close() {
        for i in -800..=800 {
            let x = i as f32 / 20.0;
            assert!((fast_exp(x) / x.exp() - 1.0).abs() < 3e-4, "exp {x}");
            let y = x.exp();
            assert!((fast_ln(y) - x).abs() < 3e-4, "ln {y}");
        }
    }

    #[test]
    fn mel_scale_is_slaneys() {
        // librosa 0.11: hz_to_mel(6000) = 41.07..., mel_to_hz inverts it.
        assert!(
            (mel_of_hz(6000.0) - 41.064).abs() < 0.01,
            "{}",
            mel_of_hz(6000.0)
        );
        for hz in [30.0, 999.0, 1001.0, 5900.0] {
            assert!((hz_of_mel(mel_of_hz(hz)) / hz - 1.0).abs() < 1e-4);
        }
    }

    #[test]
    fn noise_comes_out_at_its_ratio() {
        let mut rng = Rng::at(1, &[]);
        let mut powers = vec![1.0f32; 500 * BANDS];
        add_noise(&mut powers, 10.0, &mut rng);
        let mean = powers.iter().sum::<f32>() / powers.len() as f32;
        assert!((mean - 1.1).abs() < 0.01, "{mean}");
    }

    #[test]
    fn a_tail_adds_its_energy_and_keeps_the_past() {
        let mut powers = vec![0.0f32; 100 * BANDS];
        powers[10 * BANDS..11 * BANDS].fill(1.0);
        smear(&mut powers, 0.5, 0.5);
        let sum: f32 = powers.chunks_exact(BANDS).map(|c| c[0]).sum();
        assert!((sum - 1.5).abs() < 1e-4);
        assert_eq!(powers[9 * BANDS], 0.0);
        assert!(powers[11 * BANDS] > powers[12 * BANDS]);
    }

    #[test]
    fn faster_and_higher_moves_a_ridge_up_and_inwards() {
        let columns = 200;
        let mut picture = vec![-80.0f32; columns * BANDS];
        for column in 50..60 {
            picture[column * BANDS + 40] = 0.0;
        }
        let warped = warp(&picture, 1.06, 1.06);
        let peak = warped
            .iter()
            .enumerate()
            .max_by(|a, b| a.1.total_cmp(b.1))
            .unwrap()
            .0;
        assert!(
            peak % BANDS > 40 && peak / BANDS > 50,
            "{} {}",
            peak % BANDS,
            peak / BANDS
        );
        let same = warp(&picture, 1.0, 1.0);
        assert!(same.iter().zip(&picture).all(|(a, b)| (a - b).abs() < 0.05));
    }

    #[test]
    fn everything_at_once_stays_finite_and_in_shape() {
        let all = Augment {
            warp: 1.0,
            reverb: 1.0,
            noise: 1.0,
            compress: 1.0,
            equalise: 1.0,
            band_limit: 1.0,
            mask: 1.0,
            ..Augment::default()
        };
        for (seed, columns) in [128, 320, 1366].into_iter().enumerate() {
            let mut rng = Rng::at(seed as u64, &[]);
            let mut picture: Vec<f32> = (0..columns * BANDS)
                .map(|_| rng.between(-160.0, 30.0))
                .collect();
            augment(&mut picture, &all, &mut rng);
            assert_eq!(picture.len(), columns * BANDS);
            assert!(picture.iter().all(|v| v.is_finite()));
        }
    }
}
