//! Damage done to samples, for the evaluation's table: what a room, a telephone, a loud crowd, a
//! DJ's fader and a codec do.

use std::{
    f64::consts::TAU,
    io::Write as _,
    process::{Command, Stdio},
    thread,
};

use anyhow::{Context, Result, bail};
use genrescope::units::SampleRate;
use realfft::RealFftPlanner;

use crate::{audio::converted, rng::Rng};

/// One way to damage a recording.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Damage {
    /// None.
    Clean,
    /// Louder or softer, in dB; what exceeds full scale is clipped.
    Gain(f64),
    /// Pink noise, this many dB below the recording's power.
    Noise(f64),
    /// 300 to 3400 Hz, as a telephone passes it.
    Phone,
    /// A room: a tail of noise that dies by 60 dB in 0.6 s, as strong as the direct sound.
    Room,
    /// Played faster (above 1) or slower, pitch and all.
    Speed(f64),
    /// MP3 at 64 kbit/s and back, by ffmpeg.
    Mp3,
}

impl Damage {
    /// The table, in its order.
    pub const TABLE: [Damage; 11] = [
        Damage::Clean,
        Damage::Mp3,
        Damage::Phone,
        Damage::Room,
        Damage::Noise(20.0),
        Damage::Noise(10.0),
        Damage::Noise(5.0),
        Damage::Gain(12.0),
        Damage::Gain(-12.0),
        Damage::Speed(1.06),
        Damage::Speed(0.94),
    ];

    /// Its name in the table.
    pub fn name(self) -> String {
        match self {
            Damage::Clean => "clean".into(),
            Damage::Gain(db) => format!("gain {db:+} dB"),
            Damage::Noise(db) => format!("pink noise, {db} dB below"),
            Damage::Phone => "telephone band".into(),
            Damage::Room => "room".into(),
            Damage::Speed(factor) => format!("speed {:+.0} %", 100.0 * (factor - 1.0)),
            Damage::Mp3 => "mp3 64 kbit/s".into(),
        }
    }

    /// The damaged recording; `seed` draws noise and tails.
    ///
    /// # Errors
    /// For [`Damage::Mp3`], when ffmpeg is not there or fails; for [`Damage::Speed`], when `rate`
    /// is out of the range of audio files.
    pub fn apply(self, samples: &[f32], rate: u32, seed: u64) -> Result<Vec<f32>> {
        let mut rng = Rng::at(seed, &[0xda]);
        Ok(match self {
            Damage::Clean => samples.to_vec(),
            Damage::Gain(db) => {
                let factor = 10.0f64.powf(db / 20.0) as f32;
                samples
                    .iter()
                    .map(|x| (x * factor).clamp(-1.0, 1.0))
                    .collect()
            }
            Damage::Noise(db) => {
                let noise = pink(samples.len(), &mut rng);
                let factor =
                    (power(samples) / power(&noise).max(1e-20)).sqrt() * 10.0f64.powf(-db / 20.0);
                samples
                    .iter()
                    .zip(&noise)
                    .map(|(x, n)| x + factor as f32 * n)
                    .collect()
            }
            Damage::Phone => {
                let rate = f64::from(rate);
                let mut out = samples.to_vec();
                // Fourth-order Butterworth on both sides: two sections each.
                for q in [0.541_196_1, 1.306_563] {
                    out = Biquad::high_pass(300.0, q, rate).run(&out);
                    out = Biquad::low_pass(3400.0, q, rate).run(&out);
                }
                out
            }
            Damage::Room => {
                let seconds = 0.6;
                let n = (f64::from(rate) * seconds) as usize;
                let mut tail: Vec<f32> = (0..n)
                    .map(|i| rng.normal() * 10.0f64.powf(-3.0 * i as f64 / n as f64) as f32)
                    .collect();
                let norm = tail.iter().map(|x| x * x).sum::<f32>().sqrt().max(1e-9);
                for value in &mut tail {
                    *value /= norm;
                }
                tail[0] += 1.0;
                let wet = convolve(samples, &tail)?;
                let factor = (power(samples) / power(&wet).max(1e-20)).sqrt() as f32;
                wet.into_iter().map(|x| x * factor).collect()
            }
            Damage::Speed(factor) => at_speed(samples, rate, factor)?,
            Damage::Mp3 => mp3(samples, rate)?,
        })
    }
}

/// Mean square.
pub(crate) fn power(samples: &[f32]) -> f64 {
    samples
        .iter()
        .map(|&x| f64::from(x) * f64::from(x))
        .sum::<f64>()
        / samples.len().max(1) as f64
}

/// Pink noise: white noise through Kellet's filter (-3 dB an octave within 0.05 dB above 9 Hz at
/// 44.1 kHz).
fn pink(n: usize, rng: &mut Rng) -> Vec<f32> {
    let mut b = [0.0f32; 7];
    (0..n)
        .map(|_| {
            let white = rng.normal();
            b[0] = 0.99886 * b[0] + white * 0.055_517_9;
            b[1] = 0.99332 * b[1] + white * 0.075_075_9;
            b[2] = 0.96900 * b[2] + white * 0.153_852_0;
            b[3] = 0.86650 * b[3] + white * 0.310_485_6;
            b[4] = 0.55000 * b[4] + white * 0.532_952_2;
            b[5] = -0.7616 * b[5] - white * 0.016_898_0;
            let out = b.iter().sum::<f32>() + white * 0.5362;
            b[6] = white * 0.115_926;
            out
        })
        .collect()
}

/// A second-order section (Robert Bristow-Johnson's formulas).
pub(crate) struct Biquad {
    b: [f64; 3],
    a: [f64; 2],
}

impl Biquad {
    pub(crate) fn low_pass(hz: f64, q: f64, rate: f64) -> Self {
        let (sin, cos) = (TAU * hz / rate).sin_cos();
        let alpha = sin / (2.0 * q);
        let a0 = 1.0 + alpha;
        let b = (1.0 - cos) / a0;
        Self {
            b: [b / 2.0, b, b / 2.0],
            a: [-2.0 * cos / a0, (1.0 - alpha) / a0],
        }
    }

    pub(crate) fn high_pass(hz: f64, q: f64, rate: f64) -> Self {
        let (sin, cos) = (TAU * hz / rate).sin_cos();
        let alpha = sin / (2.0 * q);
        let a0 = 1.0 + alpha;
        let b = (1.0 + cos) / a0;
        Self {
            b: [b / 2.0, -b, b / 2.0],
            a: [-2.0 * cos / a0, (1.0 - alpha) / a0],
        }
    }

    pub(crate) fn run(&self, samples: &[f32]) -> Vec<f32> {
        let (mut z1, mut z2) = (0.0f64, 0.0f64);
        samples
            .iter()
            .map(|&x| {
                let x = f64::from(x);
                let y = self.b[0] * x + z1;
                z1 = self.b[1] * x - self.a[0] * y + z2;
                z2 = self.b[2] * x - self.a[1] * y;
                y as f32
            })
            .collect()
    }
}

/// `samples` convolved with `response`, as long as `samples`, by overlapping Fourier transforms.
pub(crate) fn convolve(samples: &[f32], response: &[f32]) -> Result<Vec<f32>> {
    let size = (2 * response.len()).next_power_of_two();
    let block = size - response.len() + 1;
    let mut planner = RealFftPlanner::<f64>::new();
    let (forward, inverse) = (
        planner.plan_fft_forward(size),
        planner.plan_fft_inverse(size),
    );
    let spectrum_of = |part: &[f32]| -> Result<Vec<_>> {
        let mut padded: Vec<f64> = part.iter().map(|&x| f64::from(x)).collect();
        padded.resize(size, 0.0);
        let mut spectrum = forward.make_output_vec();
        forward.process(&mut padded, &mut spectrum)?;
        Ok(spectrum)
    };
    let response = spectrum_of(response)?;
    let mut out = vec![0.0f32; samples.len()];
    let mut wet = inverse.make_output_vec();
    for (index, part) in samples.chunks(block).enumerate() {
        let mut spectrum = spectrum_of(part)?;
        for (a, b) in spectrum.iter_mut().zip(&response) {
            *a *= b / size as f64;
        }
        inverse.process(&mut spectrum, &mut wet)?;
        for (to, from) in out[index * block..].iter_mut().zip(&wet) {
            *to += *from as f32;
        }
    }
    Ok(out)
}

/// Every `factor`-th sample, through the product's converter of rates.
fn at_speed(samples: &[f32], rate: u32, factor: f64) -> Result<Vec<f32>> {
    let faster = SampleRate::new((f64::from(rate) * factor).round() as u32)?;
    Ok(converted(samples, faster, SampleRate::new(rate)?))
}

/// Through ffmpeg's MP3 encoder and back.
fn mp3(samples: &[f32], rate: u32) -> Result<Vec<f32>> {
    let raw: Vec<u8> = samples.iter().flat_map(|x| x.to_le_bytes()).collect();
    let rate = rate.to_string();
    let coded = ffmpeg(
        &[
            "-f",
            "f32le",
            "-ar",
            &rate,
            "-ac",
            "1",
            "-i",
            "-",
            "-c:a",
            "libmp3lame",
            "-b:a",
            "64k",
            "-f",
            "mp3",
            "-",
        ],
        raw,
    )?;
    let raw = ffmpeg(
        &[
            "-f", "mp3", "-i", "-", "-f", "f32le", "-ac", "1", "-ar", &rate, "-",
        ],
        coded,
    )?;
    Ok(raw
        .chunks_exact(4)
        .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
        .collect())
}

fn ffmpeg(arguments: &[&str], input: Vec<u8>) -> Result<Vec<u8>> {
    let mut child = Command::new("ffmpeg")
        .args(["-v", "error", "-threads", "1"])
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .context("cannot run ffmpeg, which the mp3 row needs")?;
    let mut stdin = child.stdin.take().context("ffmpeg has no standard input")?;
    // Fed from a thread of its own: both pipes may be full at once.
    let feeder = thread::spawn(move || stdin.write_all(&input));
    let output = child.wait_with_output().context("ffmpeg")?;
    let _ = feeder.join();
    if !output.status.success() {
        bail!("ffmpeg: {}", String::from_utf8_lossy(&output.stderr).trim());
    }
    Ok(output.stdout)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(hz: f64, rate: u32, seconds: f64) -> Vec<f32> {
        let n = (f64::from(rate) * seconds) as usize;
        (0..n)
            .map(|i| 0.5 * (TAU * hz * i as f64 / f64::from(rate)).sin() as f32)
            .collect()
    }

    fn level_db(samples: &[f32]) -> f64 {
        10.0 * power(samples).max(1e-20).log10()
    }

    #[test]
    fn noise_stands_at_its_ratio_and_is_pink() {
        let clean = tone(440.0, 44_100, 2.0);
        let noisy = Damage::Noise(10.0).apply(&clean, 44_100, 1).unwrap();
        let noise: Vec<f32> = noisy.iter().zip(&clean).map(|(a, b)| a - b).collect();
        assert!((level_db(&clean) - level_db(&noise) - 10.0).abs() < 1e-3);
        // An octave of it holds as much as the next.
        let octave = |low: f64| {
            let high = Biquad::high_pass(low, 0.707, 44_100.0).run(&noise);
            level_db(&Biquad::low_pass(2.0 * low, 0.707, 44_100.0).run(&high))
        };
        assert!(
            (octave(500.0) - octave(4_000.0)).abs() < 1.0,
            "{} {}",
            octave(500.0),
            octave(4_000.0)
        );
    }

    #[test]
    fn a_telephone_passes_speech_and_no_bass() {
        let loss = |hz: f64| {
            let clean = tone(hz, 44_100, 1.0);
            level_db(&clean) - level_db(&Damage::Phone.apply(&clean, 44_100, 0).unwrap()[4_410..])
        };
        assert!(loss(1_000.0).abs() < 0.3 && loss(100.0) > 30.0 && loss(10_000.0) > 30.0);
    }

    #[test]
    fn faster_is_shorter_and_higher() {
        let fast = Damage::Speed(1.06)
            .apply(&tone(1_000.0, 44_100, 1.0), 44_100, 0)
            .unwrap();
        assert_eq!(fast.len(), (44_100.0f64 / 1.06).ceil() as usize);
        let crossings = fast
            .windows(2)
            .filter(|w| w[0] < 0.0 && w[1] >= 0.0)
            .count();
        let hz = crossings as f64 * 44_100.0 / fast.len() as f64;
        assert!((hz - 1_060.0).abs() < 2.0, "{hz}");
    }

    #[test]
    fn a_room_rings_on_at_the_same_level() {
        let mut click = vec![0.0f32; 44_100];
        click[1_000] = 1.0;
        let wet = Damage::Room.apply(&click, 44_100, 3).unwrap();
        assert!((level_db(&wet) - level_db(&click)).abs() < 1e-3);
        assert!(power(&wet[..990]) < 1e-12);
        assert!(level_db(&wet[5_000..6_000]) > level_db(&wet[20_000..21_000]) + 20.0);
    }

    #[test]
    fn gain_clips() {
        let loud = Damage::Gain(12.0)
            .apply(&[0.1, 0.9, -0.9], 44_100, 0)
            .unwrap();
        assert!((loud[0] - 0.398).abs() < 1e-3 && loud[1] == 1.0 && loud[2] == -1.0);
    }
}
