//! What must hold of the front end for every signal, rate and block size.
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests: a failure is a failed test"
)]

#[path = "support/random.rs"]
mod random;

use std::f64::consts::PI;

use assert_no_alloc::AllocDisabler;
use genrescope::{
    front_end::{FrontEnd, FrontEndConfig, columns, resample::Resampler},
    units::SampleRate,
};
use proptest::prelude::*;
use random::Random;

#[cfg(debug_assertions)] // assert_no_alloc has no allocator in release builds
#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// Rates of every kind: below the network's, equal, whole and broken ratios, and primes.
const RATES: [u32; 17] = [
    8_000, 11_025, 12_000, 16_000, 22_050, 24_000, 32_000, 44_099, 44_100, 47_951, 48_000, 88_200,
    96_000, 176_400, 192_000, 352_799, 384_000,
];

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).unwrap()
}

fn front_end(hz: u32) -> FrontEnd {
    FrontEnd::new(&FrontEndConfig::default(), rate(hz)).unwrap()
}

/// Noise between -1 and 1 that depends on `seed` only.
fn noise(n: usize, seed: u32) -> Vec<f32> {
    Random::new(u64::from(seed)).noise(n)
}

/// Columns of `signal`, pushed in blocks whose sizes are those of `blocks`, over and over.
fn in_blocks(front_end: &mut FrontEnd, signal: &[f32], blocks: &[usize]) -> Vec<f32> {
    let (mut all, mut rest) = (vec![], signal);
    for &n in blocks.iter().cycle() {
        let (block, tail) = rest.split_at(n.min(rest.len()));
        front_end.push(block, |column| all.extend_from_slice(column));
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    front_end.finish(|column| all.extend_from_slice(column));
    all
}

fn bits(columns: &[f32]) -> Vec<u32> {
    columns.iter().map(|value| value.to_bits()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn any_block_split_gives_the_same_columns(
        hz in prop::sample::select(RATES.to_vec()),
        n in 0_usize..20_000,
        seed: u32,
        blocks in prop::collection::vec(1_usize..3_000, 1..40),
    ) {
        let signal = noise(n, seed);
        let whole = columns(&signal, &FrontEndConfig::default(), rate(hz)).unwrap();
        let split = in_blocks(&mut front_end(hz), &signal, &blocks);
        prop_assert_eq!(bits(&split), bits(&whole));
        let n_own = (n as u64 * 12_000).div_ceil(u64::from(hz));
        prop_assert_eq!(whole.len() as u64, 96 * FrontEndConfig::default().n_columns(n_own));
    }

    #[test]
    fn no_input_gives_anything_but_finite_columns(
        hz in prop::sample::select(RATES.to_vec()),
        signal in prop::collection::vec(any::<f32>(), 0..3_000),
    ) {
        let values = columns(&signal, &FrontEndConfig::default(), rate(hz)).unwrap();
        prop_assert!(values.iter().all(|value| value.is_finite() && *value >= -100.0));
    }
}

#[test]
fn single_samples_give_the_same_columns_too() {
    for hz in [8_000, 12_000, 44_099, 48_000, 192_000] {
        let signal = noise(hz as usize / 4, 5);
        let whole = columns(&signal, &FrontEndConfig::default(), rate(hz)).unwrap();
        assert_eq!(
            bits(&in_blocks(&mut front_end(hz), &signal, &[1])),
            bits(&whole),
            "{hz} Hz"
        );
    }
}

#[test]
fn nan_and_infinity_are_zeros() {
    for hz in [12_000, 44_100] {
        let clean: Vec<f32> = noise(40_000, 9)
            .iter()
            .enumerate()
            .map(|(n, x)| if n % 97 < 3 { 0.0 } else { *x })
            .collect();
        let mut dirty = clean.clone();
        for n in (0..dirty.len()).step_by(97) {
            dirty[n] = f32::NAN;
            if n + 2 < dirty.len() {
                dirty[n + 1] = f32::INFINITY;
                dirty[n + 2] = f32::NEG_INFINITY;
            }
        }
        let config = FrontEndConfig::default();
        assert_eq!(
            bits(&columns(&dirty, &config, rate(hz)).unwrap()),
            bits(&columns(&clean, &config, rate(hz)).unwrap()),
            "{hz} Hz"
        );
    }
}

#[test]
fn denormals_are_silence() {
    for hz in [12_000, 48_000] {
        let signal: Vec<f32> = noise(hz as usize, 3).iter().map(|x| x * 1e-39).collect();
        let values = columns(&signal, &FrontEndConfig::default(), rate(hz)).unwrap();
        assert!(values.iter().all(|value| *value == -100.0), "{hz} Hz");
    }
}

#[test]
fn reset_and_finish_leave_nothing_behind() {
    for hz in RATES {
        let (before, signal) = (noise(7_777, 1), noise(30_000, 2));
        let fresh = in_blocks(&mut front_end(hz), &signal, &[512]);
        let mut used = front_end(hz);
        used.push(&before, |_| {});
        used.reset();
        assert_eq!(
            bits(&in_blocks(&mut used, &signal, &[512])),
            bits(&fresh),
            "{hz} Hz after reset"
        );
        assert_eq!(
            bits(&in_blocks(&mut used, &signal, &[512])),
            bits(&fresh),
            "{hz} Hz after finish"
        );
    }
}

#[cfg(debug_assertions)]
#[test]
fn pushing_does_not_allocate() {
    use assert_no_alloc::{assert_no_alloc, violation_count};
    for hz in RATES {
        let (mut front_end, signal) = (front_end(hz), noise(50_000, 4));
        let (before, mut sum) = (violation_count(), 0.0_f32);
        assert_no_alloc(|| {
            for block in signal.chunks(1_500) {
                front_end.push(block, |column| sum += column[0]);
            }
            front_end.finish(|column| sum += column[0]);
            front_end.reset();
        });
        assert_eq!(
            violation_count(),
            before,
            "{hz} Hz: push, finish or reset allocated"
        );
        assert!(sum.is_finite() && sum != 0.0);
    }
    let before = violation_count();
    assert_no_alloc(|| drop(std::hint::black_box(vec![0_u8; std::hint::black_box(64)])));
    assert!(
        violation_count() > before,
        "the allocation detector is not active"
    );
}

/// Output of the resampler for 0.3 s of a sine of amplitude 1, away from the edges.
fn steady_state(hz: u32, frequency: f64) -> Vec<f32> {
    let (mut converter, mut out) = (Resampler::new(rate(hz), rate(12_000)), vec![]);
    let signal: Vec<f32> = (0..hz * 3 / 10)
        .map(|n| (2.0 * PI * frequency * f64::from(n) / f64::from(hz)).sin() as f32)
        .collect();
    converter.push(&signal, |samples| out.extend_from_slice(samples));
    converter.finish(|samples| out.extend_from_slice(samples));
    out[600..3_000].to_vec()
}

fn rms(signal: impl Iterator<Item = f64>) -> f64 {
    let (sum, n) = signal.fold((0.0, 0), |(sum, n), x| (sum + x * x, n + 1));
    (sum / f64::from(n)).sqrt()
}

/// Gain in dB of the sine at `frequency`, and everything else in dB relative to the input. The sine
/// is taken at its own phase, so a delay would appear as something else.
fn gain_and_residue(hz: u32, frequency: f64) -> (f64, f64) {
    let out = steady_state(hz, frequency);
    let sine = |m: usize| (2.0 * PI * frequency * (m + 600) as f64 / 12_000.0).sin();
    let (mut dot, mut power) = (0.0, 0.0);
    for (m, y) in out.iter().enumerate() {
        dot += sine(m) * f64::from(*y);
        power += sine(m) * sine(m);
    }
    let gain = dot / power;
    let residue = rms(out
        .iter()
        .enumerate()
        .map(|(m, y)| f64::from(*y) - gain * sine(m)));
    (
        20.0 * gain.log10(),
        20.0 * (residue * 2.0_f64.sqrt()).log10(),
    )
}

/// Flat within 0.3 dB to 5.2 kHz (or 0.87 of the input's Nyquist frequency, if that is lower),
/// without delay, with images and interpolation noise below -80 dB; from 6.4 kHz up nothing above
/// -80 dB.
#[test]
fn the_resampler_is_flat_and_stops() {
    for hz in RATES {
        let nyquist = f64::from(hz) / 2.0;
        let (mut ripple, mut residue, mut leak) = (0.0_f64, f64::NEG_INFINITY, f64::NEG_INFINITY);
        let mut frequency = 20.0;
        while frequency <= 5_200.0_f64.min(0.87 * nyquist) {
            let (gain, rest) = gain_and_residue(hz, frequency);
            ripple = ripple.max(gain.abs());
            residue = residue.max(rest);
            frequency += 137.0;
        }
        // 40 steps over all that lies above, and a fine look at the edge.
        let mut stop: Vec<f64> = (0..40)
            .map(|k| 6_400.0 + f64::from(k) * (nyquist - 6_401.0) / 39.0)
            .collect();
        stop.extend((0..10).map(|k| 6_400.0 + f64::from(k) * 25.0));
        for frequency in stop
            .into_iter()
            .filter(|f| *f >= 6_400.0 && *f < nyquist && hz != 12_000)
        {
            let level =
                rms(steady_state(hz, frequency).into_iter().map(f64::from)) * 2.0_f64.sqrt();
            leak = leak.max(20.0 * level.log10());
        }
        println!("{hz:>6} Hz: ripple {ripple:.4} dB, residue {residue:.1} dB, leak {leak:.1} dB");
        assert!(
            ripple <= 0.3,
            "{hz} Hz: {ripple} dB off within the pass band"
        );
        assert!(
            residue <= -80.0,
            "{hz} Hz: residue of {residue} dB beside the sine"
        );
        assert!(
            leak <= -80.0,
            "{hz} Hz: {leak} dB of what lies above 6.4 kHz remains"
        );
    }
}

/// The same sound at any rate gives the same columns at the same places.
#[test]
fn columns_do_not_depend_on_the_rate() {
    // Tones with tremolo under 3.4 kHz, so that 8 kHz holds them too, and a noise floor far down
    // that is the same for all: cells without sound lie on it and not on rounding errors.
    let config = FrontEndConfig {
        floor_db: -60.0,
        ..FrontEndConfig::default()
    };
    let sound = |hz: u32| -> Vec<f32> {
        (0..hz)
            .map(|n| {
                let t = f64::from(n) / f64::from(hz);
                let tones = [
                    (110.0, 1.0),
                    (443.7, 3.0),
                    (1_237.0, 2.3),
                    (2_203.0, 5.1),
                    (3_391.0, 0.7),
                ];
                // Fades in and out: a cut is wide-band, and what of it is kept depends on the rate.
                let fade = (PI * t).sin();
                (0.15
                    * fade
                    * tones
                        .iter()
                        .map(|(f, tremolo)| {
                            (2.0 * PI * f * t).sin() * (1.0 + 0.5 * (2.0 * PI * tremolo * t).cos())
                        })
                        .sum::<f64>()) as f32
            })
            .collect()
    };
    let reference = columns(&sound(12_000), &config, rate(12_000)).unwrap();
    assert!(reference.iter().filter(|value| **value > -60.0).count() > reference.len() / 10);
    for hz in RATES {
        let got = columns(&sound(hz), &config, rate(hz)).unwrap();
        assert_eq!(got.len(), reference.len(), "{hz} Hz");
        let mean = got
            .iter()
            .zip(&reference)
            .map(|(a, b)| (a - b).abs())
            .sum::<f32>()
            / got.len() as f32;
        println!("{hz:>6} Hz: mean difference {mean:.5} dB");
        assert!(mean <= 0.1, "{hz} Hz: {mean} dB");
    }
}
