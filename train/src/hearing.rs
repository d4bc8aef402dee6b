//! Recordings as they are heard: through a room, a small loudspeaker, over noise or people, too
//! loud for the microphone.
//!
//! What [`crate::augment`] does to pictures is cheap and new each time, but a mel picture has no
//! phase: a tail added to its powers never cancels what it overlaps, and noise never beats with a
//! tone. Here the same is done to samples, a few times for each recording, and the pictures are
//! kept. All of it is made by formula.

use std::{collections::HashMap, sync::OnceLock};

use anyhow::Result;

use crate::{
    degrade::{Biquad, convolve, power},
    rng::Rng,
    sounds::{self, RATE, Sound},
};

/// Names what [`hear`] does, for kept pictures: to be changed with it.
pub const VERSION: &str = "heard 1";

/// Sounds of each kind that recordings are heard over.
const SOUNDS: usize = 8;

/// `samples` (mono, at [`RATE`]) as they are heard the `variant`-th time, as long and as loud as
/// they were. At least one thing is done:
///
/// - a room: early echoes and a tail that dies by 60 dB in 0.15 to 1.2 s, 10 dB softer to 4 dB
///   louder than the direct sound, duller the later;
/// - a small loudspeaker or a telephone: nothing below 80 to 400 Hz and above 2.5 to 5.5 kHz, 12 or
///   24 dB an octave;
/// - white to brown noise, people, applause, a motor or hum, 3 to 25 dB softer than the music;
/// - up to 12 dB too loud, and clipped.
///
/// # Errors
/// When a Fourier transform fails, which no length brings about.
pub fn hear(samples: &[f32], variant: u64) -> Result<Vec<f32>> {
    let mut rng = Rng::at(
        variant,
        &[0x4ea4, samples.len() as u64, fingerprint(samples)],
    );
    let before = power(samples);
    let mut out = samples.to_vec();
    let (mut room, mut noise) = (rng.chance(0.55), rng.chance(0.55));
    let band = rng.chance(0.35);
    if !(room || noise || band) {
        room = rng.chance(0.5);
        noise = !room;
    }
    if room {
        out = convolve(&out, &response(&mut rng))?;
    }
    if band {
        let rate = f64::from(RATE);
        let (low, high) = (
            80.0 * 5.0f64.powf(f64::from(rng.uniform())),
            2500.0 * 2.2f64.powf(f64::from(rng.uniform())),
        );
        // Butterworth: one section on each side, or two.
        let qs: &[f64] = if rng.chance(0.5) {
            &[0.541_196_1, 1.306_563]
        } else {
            &[std::f64::consts::FRAC_1_SQRT_2]
        };
        for &q in qs {
            out = Biquad::high_pass(low, q, rate).run(&out);
            out = Biquad::low_pass(high, q, rate).run(&out);
        }
    }
    if noise {
        let below_db = f64::from(rng.between(3.0, 25.0));
        let other = background(out.len(), &mut rng);
        let gain = (power(&out) / power(&other).max(1e-20)).sqrt() * 10.0f64.powf(-below_db / 20.0);
        for (sample, other) in out.iter_mut().zip(&other) {
            *sample += gain as f32 * other;
        }
    }
    if rng.chance(0.15) {
        let peak = out.iter().fold(0.0f32, |peak, x| peak.max(x.abs()));
        let most = peak * 10.0f32.powf(-rng.between(3.0, 12.0) / 20.0);
        for sample in &mut out {
            *sample = sample.clamp(-most, most);
        }
    }
    let gain = (before / power(&out).max(1e-20)).sqrt() as f32;
    for sample in &mut out {
        *sample *= gain;
    }
    Ok(out)
}

/// Tells recordings apart that are as long as each other.
fn fingerprint(samples: &[f32]) -> u64 {
    samples
        .iter()
        .step_by(97)
        .fold(0xcbf2_9ce4_8422_2325, |hash, x| {
            (hash ^ u64::from(x.to_bits())).wrapping_mul(0x0000_0100_0000_01b3)
        })
}

/// The response of a room: 1, some echoes in the first 60 ms, and a tail of noise.
fn response(rng: &mut Rng) -> Vec<f32> {
    let rate = RATE as f32;
    let seconds = 0.15 * 8.0f32.powf(rng.uniform());
    let wet = 10.0f32.powf(rng.between(-10.0, 4.0) / 10.0);
    let early = rng.between(0.0, 0.5);
    let n = (rate * seconds) as usize;
    // A one-pole low-pass whose edge falls as the tail dies: walls and air take the treble first.
    let dull = rng.between(0.0, 0.7);
    let gap = (rate * rng.between(0.0, 0.02)) as usize;
    let mut held = 0.0;
    let mut tail: Vec<f32> = (0..n)
        .map(|i| {
            let along = i as f32 / n as f32;
            let keep = dull * (0.3 + 0.7 * along);
            held = keep * held + (1.0 - keep) * rng.normal();
            if i < gap {
                0.0
            } else {
                held * 10.0f32.powf(-3.0 * along)
            }
        })
        .collect();
    scale_energy(&mut tail, wet * (1.0 - early));
    let mut echoes = vec![0.0f32; n.max(1)];
    for _ in 0..2 + rng.below(6) {
        let at = 1 + rng.below((rate * 0.06) as usize).min(echoes.len() - 1);
        if at < echoes.len() {
            echoes[at] += rng.between(0.2, 1.0) * if rng.chance(0.5) { 1.0 } else { -1.0 };
        }
    }
    scale_energy(&mut echoes, wet * early);
    for (to, echo) in tail.iter_mut().zip(&echoes) {
        *to += echo;
    }
    if let Some(first) = tail.first_mut() {
        *first += 1.0;
    }
    tail
}

fn scale_energy(values: &mut [f32], energy: f32) {
    let sum: f32 = values.iter().map(|x| x * x).sum();
    let factor = (energy / sum.max(1e-12)).sqrt();
    for value in values {
        *value *= factor;
    }
}

/// `n` samples of what else is to be heard: coloured noise (more often), or one of the sounds by
/// formula, repeated.
fn background(n: usize, rng: &mut Rng) -> Vec<f32> {
    if rng.chance(0.6) {
        // Between white and brown: a mix of both by a random share, pink in the middle.
        let mut poles = [0.0f32; 3];
        let mut slow = 0.0f32;
        let colour = rng.between(0.0, 2.0);
        let (white, pink, brown) = (
            (1.0 - colour).max(0.0),
            1.0 - (colour - 1.0).abs(),
            (colour - 1.0).max(0.0),
        );
        return (0..n)
            .map(|_| {
                let x = rng.normal();
                slow = 0.995 * slow + 0.1 * x;
                // Paul Kellet's economy filter: -3 dB an octave.
                for (pole, (keep, gain)) in
                    poles
                        .iter_mut()
                        .zip([(0.997_65, 0.099), (0.963, 0.297), (0.57, 1.053)])
                {
                    *pole = keep * *pole + gain * x;
                }
                white * x + pink * 0.6 * (poles.iter().sum::<f32>() + 0.185 * x) + brown * slow
            })
            .collect();
    }
    static SOUNDS_BY_KIND: OnceLock<HashMap<&'static str, Vec<Sound>>> = OnceLock::new();
    let kinds = SOUNDS_BY_KIND.get_or_init(|| {
        let mut kinds: HashMap<_, Vec<Sound>> = HashMap::new();
        for sound in sounds::formulas(0x4ea4, SOUNDS) {
            kinds.entry(sound.kind).or_default().push(sound);
        }
        kinds
    });
    let of = &kinds[["crowd", "crowd", "applause", "engine", "hum"][rng.below(5)]];
    let sound = &of[rng.below(of.len())].samples;
    let from = rng.below(sound.len());
    sound.iter().copied().cycle().skip(from).take(n).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn music(n: usize) -> Vec<f32> {
        (0..n)
            .map(|i| {
                let t = i as f32 / RATE as f32;
                0.2 * (std::f32::consts::TAU * 440.0 * t).sin() * (-4.0 * (t % 0.5)).exp()
            })
            .collect()
    }

    #[test]
    fn what_is_heard_is_as_long_as_loud_and_never_the_same_twice() {
        let clean = music(5 * RATE as usize);
        let mut seen: Vec<Vec<f32>> = vec![clean.clone()];
        for variant in 0..24 {
            let heard = hear(&clean, variant).unwrap();
            assert_eq!(heard.len(), clean.len());
            assert!(heard.iter().all(|x| x.is_finite()));
            let ratio = power(&heard) / power(&clean);
            assert!((ratio - 1.0).abs() < 1e-3, "{ratio}");
            assert_eq!(heard, hear(&clean, variant).unwrap());
            for other in &seen {
                let apart: f64 = heard
                    .iter()
                    .zip(other)
                    .map(|(a, b)| f64::from(a - b).powi(2))
                    .sum::<f64>()
                    / clean.len() as f64;
                assert!(apart > 1e-4 * power(&clean), "variant {variant}: {apart}");
            }
            seen.push(heard);
        }
    }

    #[test]
    fn a_room_begins_with_the_direct_sound_and_dies_away() {
        for seed in 0..20 {
            let response = response(&mut Rng::at(seed, &[]));
            let energy = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>();
            let n = response.len();
            assert!((1_800..=14_401).contains(&n), "{n}");
            assert!(energy(&response[n - n / 4..]) < 0.05 * energy(&response));
            let wet = energy(&response[1..]);
            assert!((0.05..2.8).contains(&wet), "{wet}");
        }
    }

    #[test]
    fn silence_and_clicks_are_heard_without_trouble() {
        assert!(
            hear(&vec![0.0; 5000], 1)
                .unwrap()
                .iter()
                .all(|x| x.is_finite())
        );
        assert!(hear(&[], 1).unwrap().is_empty());
        for variant in 0..10 {
            let heard = hear(&[1.0], variant).unwrap();
            assert!(heard.len() == 1 && heard[0].is_finite());
        }
    }
}
