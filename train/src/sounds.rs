//! Sounds that are not music, made here: by formulas, and by the speech synthesiser espeak-ng where
//! it is installed.
//!
//! They widen what the music head learns from and is asked about. The same seed gives the same
//! sounds; nothing is kept.

use std::{
    f32::consts::TAU,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, ensure};
use genrescope::units::SampleRate;

use crate::{audio::converted, rng::Rng};

/// Rate of everything here: the network's own.
pub const RATE: u32 = 12_000;

/// Length of a sound made by a formula, in seconds.
const SECONDS: usize = 10;

/// A sound and what it is.
#[derive(Clone, Debug)]
pub struct Sound {
    /// What it is, such as `applause`.
    pub kind: &'static str,
    /// Mono, at [`RATE`].
    pub samples: Vec<f32>,
}

/// `each` sounds of every kind that is made by a formula.
pub fn formulas(seed: u64, each: usize) -> Vec<Sound> {
    type Formula = fn(&mut Rng) -> Vec<f32>;
    let kinds: [(&'static str, Formula); 6] = [
        ("noise", noise),
        ("hum", hum),
        ("applause", applause),
        ("crowd", crowd),
        ("tone", tone),
        ("engine", engine),
    ];
    let mut sounds = Vec::new();
    for (k, (kind, formula)) in kinds.into_iter().enumerate() {
        for i in 0..each {
            let mut rng = Rng::at(seed, &[0x50, k as u64, i as u64]);
            let mut samples = formula(&mut rng);
            level(&mut samples, rng.between(-42.0, -12.0));
            sounds.push(Sound { kind, samples });
        }
    }
    sounds
}

/// `n` rooms full of people: each 4 to 20 of the recordings of speech in `voices` (mono, at
/// [`RATE`]) at once, from anywhere in them, near and far. Without any recording there is nothing.
pub fn babble(seed: u64, n: usize, voices: &[&[f32]]) -> Vec<Sound> {
    let voices: Vec<&[f32]> = voices.iter().copied().filter(|v| !v.is_empty()).collect();
    if voices.is_empty() {
        return Vec::new();
    }
    (0..n)
        .map(|i| {
            let mut rng = Rng::at(seed, &[0xbabb, i as u64]);
            let mut samples = vec![0.0f32; SECONDS * RATE as usize];
            for _ in 0..4 + rng.below(17) {
                let voice = voices[rng.below(voices.len())];
                let mut voice: Vec<f32> = voice.to_vec();
                level(&mut voice, rng.between(-18.0, 0.0));
                let from = rng.below(voice.len());
                for (to, from) in samples.iter_mut().zip(voice.iter().cycle().skip(from)) {
                    *to += from;
                }
            }
            level(&mut samples, rng.between(-42.0, -12.0));
            Sound {
                kind: "babble",
                samples,
            }
        })
        .collect()
}

/// Scales `samples` to an RMS level of `dbfs`.
pub fn level(samples: &mut [f32], dbfs: f32) {
    let power = samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32;
    let gain = 10f32.powf(dbfs / 20.0) / power.sqrt().max(1e-9);
    for sample in samples {
        *sample *= gain;
    }
}

fn seconds(i: usize) -> f32 {
    i as f32 / RATE as f32
}

/// White, pink or brown, steady or in waves.
fn noise(rng: &mut Rng) -> Vec<f32> {
    let colour = rng.below(3);
    let (rate, depth, phase) = (rng.between(0.05, 0.4), rng.uniform(), TAU * rng.uniform());
    let (mut slow, mut poles) = (0.0, [0.0f32; 3]);
    (0..SECONDS * RATE as usize)
        .map(|i| {
            let white = rng.normal();
            slow = 0.998 * slow + white;
            // Paul Kellet's economy filter: -3 dB an octave.
            for (pole, (keep, gain)) in
                poles
                    .iter_mut()
                    .zip([(0.997_65, 0.099), (0.963, 0.297), (0.57, 1.053)])
            {
                *pole = keep * *pole + gain * white;
            }
            let value = match colour {
                0 => white,
                1 => poles.iter().sum::<f32>() + 0.185 * white,
                _ => slow,
            };
            value * (1.0 + depth * (TAU * rate * seconds(i) + phase).sin())
        })
        .collect()
}

/// The mains and its harmonics, over a little noise.
fn hum(rng: &mut Rng) -> Vec<f32> {
    let mains = if rng.chance(0.5) { 50.0 } else { 60.0 };
    let partials: Vec<(f32, f32)> = (1..=rng.below(18) + 3)
        .map(|n| {
            let strength = rng.uniform() / (n as f32).powf(rng.between(0.3, 1.3));
            (n as f32, strength)
        })
        .collect();
    let hiss = rng.between(0.001, 0.05);
    (0..SECONDS * RATE as usize)
        .map(|i| {
            let tones: f32 = partials
                .iter()
                .map(|(n, a)| a * (TAU * mains * n * seconds(i)).sin())
                .sum();
            tones + hiss * rng.normal()
        })
        .collect()
}

/// A resonance: a band-pass filter of second order with constant peak gain.
struct Resonance {
    a1: f32,
    a2: f32,
    gain: f32,
    y1: f32,
    y2: f32,
}

impl Resonance {
    fn new(hz: f32, width: f32) -> Self {
        let radius = (-std::f32::consts::PI * width / RATE as f32).exp();
        Self {
            a1: 2.0 * radius * (TAU * hz / RATE as f32).cos(),
            a2: radius * radius,
            gain: 1.0 - radius,
            y1: 0.0,
            y2: 0.0,
        }
    }

    fn tune(&mut self, hz: f32, width: f32) {
        *self = Self {
            y1: self.y1,
            y2: self.y2,
            ..Self::new(hz, width)
        };
    }

    fn next(&mut self, input: f32) -> f32 {
        let y = self.gain * input + self.a1 * self.y1 - self.a2 * self.y2;
        self.y2 = self.y1;
        self.y1 = y;
        y
    }
}

/// Many hands: short bursts of coloured noise at random times, denser and sparser by turns.
fn applause(rng: &mut Rng) -> Vec<f32> {
    let mut out = vec![0.0; SECONDS * RATE as usize];
    let density = rng.between(15.0, 400.0);
    let (swing, phase) = (rng.between(0.0, 0.8), TAU * rng.uniform());
    let mut t = 0.0f32;
    while t < SECONDS as f32 {
        let now = density * (1.0 + swing * (0.6 * t + phase).sin());
        t -= (1.0 - rng.uniform()).ln() / now.max(1.0);
        let at = (t * RATE as f32) as usize;
        let mut hand = Resonance::new(rng.between(700.0, 3_000.0), rng.between(300.0, 1_500.0));
        let decay = rng.between(0.003, 0.012) * RATE as f32;
        let strength = rng.between(0.1, 1.0).powi(2);
        for (i, sample) in out
            .iter_mut()
            .skip(at)
            .take((6.0 * decay) as usize)
            .enumerate()
        {
            *sample += strength * hand.next((-(i as f32) / decay).exp() * rng.normal());
        }
    }
    out
}

/// Many voices at once: glottal pulses through three wandering formants each, in syllables.
fn crowd(rng: &mut Rng) -> Vec<f32> {
    let mut out = vec![0.0; SECONDS * RATE as usize];
    for _ in 0..4 + rng.below(14) {
        let pitch = rng.between(85.0, 260.0);
        let strength = rng.between(0.2, 1.0);
        let mut formants = [(500.0, 80.0), (1_500.0, 120.0), (2_600.0, 160.0)]
            .map(|(hz, width)| Resonance::new(hz, width));
        let (mut phase, mut until, mut loud, mut wander) = (rng.uniform(), 0, 0.0f32, 1.0f32);
        let mut goal = 0.0;
        for (i, sample) in out.iter_mut().enumerate() {
            if i >= until {
                until = i + (rng.between(0.08, 0.3) * RATE as f32) as usize;
                goal = if rng.chance(0.25) {
                    0.0
                } else {
                    rng.between(0.4, 1.0)
                };
                wander = rng.between(0.8, 1.3);
                let vowel = (
                    rng.between(280.0, 850.0),
                    rng.between(900.0, 2_300.0),
                    rng.between(2_300.0, 3_200.0),
                );
                formants[0].tune(vowel.0, 80.0);
                formants[1].tune(vowel.1, 120.0);
                formants[2].tune(vowel.2, 160.0);
            }
            loud += 0.002 * (goal - loud);
            phase += pitch * wander / RATE as f32;
            let pulse = if phase >= 1.0 {
                phase -= 1.0;
                8.0
            } else {
                0.0
            };
            let source = pulse + 0.15 * rng.normal();
            let voiced: f32 = formants.iter_mut().map(|f| f.next(source)).sum();
            *sample += strength * loud * voiced;
        }
    }
    out
}

/// Test tones, beeps and sirens.
fn tone(rng: &mut Rng) -> Vec<f32> {
    let hz = 100.0 * 30f32.powf(rng.uniform());
    let beeps = rng
        .chance(0.5)
        .then(|| (rng.between(0.3, 2.0), rng.between(0.2, 0.8)));
    let (sweep, rate) = (
        if rng.chance(0.4) {
            rng.between(0.0, 0.5)
        } else {
            0.0
        },
        rng.between(0.1, 2.0),
    );
    let second = rng.chance(0.4).then(|| rng.between(1.05, 3.0));
    let hiss = rng.between(0.0005, 0.02);
    let mut phase = 0.0;
    (0..SECONDS * RATE as usize)
        .map(|i| {
            let t = seconds(i);
            phase += hz * (1.0 + sweep * (TAU * rate * t).sin()) / RATE as f32;
            let on = beeps.is_none_or(|(period, share)| (t / period).fract() < share);
            let sines =
                (TAU * phase).sin() + second.map_or(0.0, |ratio| (TAU * phase * ratio).sin());
            f32::from(u8::from(on)) * sines + hiss * rng.normal()
        })
        .collect()
}

/// A motor: an uneven pulse train whose speed drifts, through the body's resonances, over the noise
/// of its fans.
fn engine(rng: &mut Rng) -> Vec<f32> {
    let fire = rng.between(15.0, 110.0);
    let (drift, rate, phase0) = (
        rng.between(0.0, 0.4),
        rng.between(0.03, 0.3),
        TAU * rng.uniform(),
    );
    let mut body = [
        Resonance::new(rng.between(80.0, 250.0), 40.0),
        Resonance::new(rng.between(300.0, 900.0), 120.0),
        Resonance::new(rng.between(1_000.0, 3_000.0), 400.0),
    ];
    let fan = rng.between(0.02, 0.5);
    let mut phase = 0.0f32;
    (0..SECONDS * RATE as usize)
        .map(|i| {
            phase += fire * (1.0 + drift * (TAU * rate * seconds(i) + phase0).sin()) / RATE as f32;
            let pulse = if phase >= 1.0 {
                phase -= 1.0;
                10.0 + 3.0 * rng.normal()
            } else {
                0.0
            };
            let source = pulse + fan * rng.normal();
            body.iter_mut().map(|b| b.next(source)).sum()
        })
        .collect()
}

/// What the synthesiser is given to say.
const SENTENCES: [&str; 12] = [
    "Good evening and welcome. Tonight we talk about the weather, the traffic, and a book that nobody has finished.",
    "The train to the coast leaves from platform four. Please keep your luggage with you at all times.",
    "Once upon a time there was a fox who lived beside a river, and every morning she counted the boats.",
    "In the second half of the century the price of copper rose slowly, and the mines in the north were opened again.",
    "Take two eggs, a cup of flour and a pinch of salt. Stir until there are no lumps, then let it rest.",
    "Yes, I heard you the first time. No, I do not think that it is a good idea. Let us ask her tomorrow.",
    "Der Wind aus Westen bringt Regen, und am Abend wird es kälter. Morgen scheint wieder die Sonne.",
    "Il était une fois un petit village où les cloches ne sonnaient que le dimanche matin.",
    "El mercado abre a las ocho de la mañana y cierra cuando se ha vendido el último pescado.",
    "La biblioteca resta aperta fino a tardi, ma il bar chiude alle sei precise.",
    "Number one, seven, three, nine. Press the hash key to continue, or stay on the line.",
    "And then he said that the meeting had been moved to Thursday, which of course none of us had been told.",
];

/// Speech by espeak-ng: `count` recordings of different voices, speeds and pitches.
///
/// # Errors
/// When espeak-ng is not installed, or does not give sound.
pub fn spoken(seed: u64, count: usize) -> Result<Vec<Sound>> {
    let voices = [
        ("en", "m1"),
        ("en-us", "m3"),
        ("en", "f2"),
        ("en-us", "f4"),
        ("en-gb-scotland", "m5"),
        ("en", "f5"),
        ("de", "m2"),
        ("fr", "f3"),
        ("es", "m4"),
        ("it", "f1"),
        ("en-us", "m7"),
        ("en", "croak"),
    ];
    (0..count)
        .map(|i| {
            let mut rng = Rng::at(seed, &[0x51, i as u64]);
            let sentence = i % SENTENCES.len();
            let (language, variant) = match sentence {
                6 => ("de", "m2"),
                7 => ("fr", "f3"),
                8 => ("es", "m4"),
                9 => ("it", "f1"),
                _ => voices[(i + i / SENTENCES.len()) % voices.len()],
            };
            let output = Command::new("espeak-ng")
                .args(["-v", &format!("{language}+{variant}")])
                .args(["-s", &(120 + rng.below(80)).to_string()])
                .args(["-p", &(25 + rng.below(50)).to_string()])
                .args(["--stdout", SENTENCES[sentence]])
                .stdin(Stdio::null())
                .stderr(Stdio::null())
                .output()
                .context(
                    "espeak-ng cannot be started: install it, or do without synthetic speech",
                )?;
            ensure!(
                output.status.success() && output.stdout.len() > 44,
                "espeak-ng gives no sound for voice {language}+{variant}"
            );
            let mut samples = wav(&output.stdout)?;
            level(&mut samples, rng.between(-32.0, -14.0));
            Ok(Sound {
                kind: "speech, synthetic",
                samples,
            })
        })
        .collect()
}

/// Mono 16-bit WAV, as espeak-ng writes it to a pipe (its lengths are not to be trusted), at
/// [`RATE`].
fn wav(bytes: &[u8]) -> Result<Vec<f32>> {
    let rate = u32::from_le_bytes(bytes[24..28].try_into()?);
    let samples: Vec<f32> = bytes[44..]
        .chunks_exact(2)
        .map(|b| f32::from(i16::from_le_bytes([b[0], b[1]])) / 32_768.0)
        .collect();
    at_network_rate(&samples, SampleRate::new(rate).context("espeak-ng's rate")?)
}

/// `samples` at [`RATE`].
///
/// # Errors
/// Never for rates of audio files.
pub fn at_network_rate(samples: &[f32], rate: SampleRate) -> Result<Vec<f32>> {
    Ok(converted(samples, rate, SampleRate::new(RATE)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_room_full_of_people_is_as_loud_as_asked_and_steadier_than_one_of_them() {
        let n = 3 * RATE as usize;
        // Half a second of sound, half a second of nothing.
        let voice: Vec<f32> = (0..n)
            .map(|i| {
                if (i / 6000) % 2 == 0 {
                    0.3 * (0.2 * i as f32).sin()
                } else {
                    0.0
                }
            })
            .collect();
        let rooms = babble(1, 3, &[&voice]);
        let power = |part: &[f32]| part.iter().map(|x| x * x).sum::<f32>() / part.len() as f32;
        for room in &rooms {
            assert_eq!(room.samples.len(), SECONDS * RATE as usize);
            let db = 10.0 * power(&room.samples).log10();
            assert!((-42.1..=-11.9).contains(&db), "{db} dBFS");
            let quietest = room
                .samples
                .chunks(3000)
                .map(power)
                .fold(f32::INFINITY, f32::min);
            assert!(quietest > 0.02 * power(&room.samples));
        }
        assert_ne!(rooms[0].samples, rooms[1].samples);
        assert!(babble(1, 3, &[]).is_empty());
    }

    #[test]
    fn sounds_are_finite_level_and_the_same_by_seed() {
        let sounds = formulas(3, 2);
        assert_eq!(sounds.len(), 12);
        for (a, b) in sounds.iter().zip(formulas(3, 2)) {
            let power = a.samples.iter().map(|s| s * s).sum::<f32>() / a.samples.len() as f32;
            assert!((1e-5..0.1).contains(&power), "{}: {power}", a.kind);
            assert_eq!(a.samples, b.samples);
        }
    }
}
