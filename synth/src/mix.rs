//! The mixing desk: tracks to stereo, a room, and the level of a finished recording.

use crate::instruments::{Biquad, Track};

/// Centres of the tone control, in Hz.
const TONE_HZ: [f32; 6] = [70.0, 250.0, 650.0, 1_400.0, 2_900.0, 5_500.0];

/// A channel of the desk.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Channel {
    gain: f32,
    /// -1 left to 1 right.
    pan: f32,
    /// Share that goes to the room.
    send: f32,
}

impl Channel {
    pub(crate) fn new(gain: f32, pan: f32, send: f32) -> Self {
        Self { gain, pan, send }
    }
}

/// Tracks on their way to a stereo recording.
#[derive(Debug)]
pub(crate) struct Mix {
    tracks: Vec<(Track, Channel)>,
    /// RMS level of the finished recording in dBFS, before the limiter.
    level_dbfs: f32,
    /// Tone of the finished recording: gains in dB around each of [`TONE_HZ`].
    tone: [f32; 6],
    /// Level of the room.
    room: f32,
    /// Seconds in which the room falls by 60 dB.
    reverb: f32,
}

impl Track {
    /// Adds another track, starting at `at` seconds.
    pub(crate) fn mix_in(&mut self, other: &Track, at: f32, gain: f32) {
        let from = ((at * self.rate) as usize).min(self.samples.len());
        for (out, x) in self.samples[from..].iter_mut().zip(&other.samples) {
            *out += gain * x;
        }
    }
}

impl Mix {
    /// A desk for a recording of `level_dbfs` in a room of level `room` that falls by 60 dB in
    /// `reverb` seconds.
    pub(crate) fn new(level_dbfs: f32, room: f32, reverb: f32) -> Self {
        Self {
            tracks: Vec::new(),
            level_dbfs,
            tone: [0.0; 6],
            room,
            reverb,
        }
    }

    /// Sets the tone control.
    pub(crate) fn tone(mut self, gains_db: [f32; 6]) -> Self {
        self.tone = gains_db;
        self
    }

    pub(crate) fn add(mut self, track: Track, channel: Channel) -> Self {
        self.tracks.push((track, channel));
        self
    }

    /// Left and right, never above -0.9 dBFS.
    pub(crate) fn finish(self) -> (Vec<f32>, Vec<f32>) {
        let rate = self
            .tracks
            .first()
            .map_or(44_100.0, |(track, _)| track.rate);
        let length = self
            .tracks
            .iter()
            .map(|(track, _)| track.samples.len())
            .max()
            .unwrap_or(0);
        let (mut left, mut right) = (vec![0.0_f32; length], vec![0.0_f32; length]);
        let mut send = vec![0.0_f32; length];
        for (track, channel) in &self.tracks {
            // Equal power: the sum of squares does not depend on the place.
            let angle = (channel.pan + 1.0) * std::f32::consts::FRAC_PI_4;
            let (l, r) = (channel.gain * angle.cos(), channel.gain * angle.sin());
            let s = channel.gain * channel.send;
            for (i, &x) in track.samples.iter().enumerate() {
                left[i] += l * x;
                right[i] += r * x;
                send[i] += s * x;
            }
        }
        let wet = 4.0 * self.room;
        for (out, spread) in [(&mut left, 0), (&mut right, 23)] {
            Room::new(rate, self.reverb, spread).run(&send, out, wet);
            let mut rumble = Biquad::high_pass(rate, 28.0, 0.7);
            for x in out.iter_mut() {
                *x = rumble.run(*x);
            }
            for (f, db) in TONE_HZ.into_iter().zip(self.tone) {
                if db != 0.0 {
                    let mut filter = Biquad::peak(rate, f, 0.7, db);
                    for x in out.iter_mut() {
                        *x = filter.run(*x);
                    }
                }
            }
        }
        let power: f64 = left
            .iter()
            .chain(&right)
            .map(|&x| f64::from(x) * f64::from(x))
            .sum();
        let rms = (power / (2 * length).max(1) as f64).sqrt() as f32;
        if rms > 0.0 {
            // Driven into a soft limiter: modern recordings are dense, chamber music is not.
            let gain = 10.0_f32.powf(self.level_dbfs / 20.0) / rms;
            for x in left.iter_mut().chain(&mut right) {
                let driven = *x * gain;
                let soft = driven.abs();
                let knee = 0.55;
                let held = if soft > knee {
                    knee + (0.9 - knee) * ((soft - knee) / (0.9 - knee)).tanh()
                } else {
                    soft
                };
                *x = held.copysign(driven);
            }
        }
        (left, right)
    }
}

/// A room: eight feedback combs with damping and four all-passes (Schroeder 1962, Moorer 1979).
struct Room {
    combs: Vec<(Vec<f32>, usize, f32, f32)>,
    passes: Vec<(Vec<f32>, usize)>,
}

impl Room {
    fn new(rate: f32, reverb: f32, spread: usize) -> Self {
        // Delays in samples at 44.1 kHz, without common factors.
        let scale = rate / 44_100.0;
        let size = |n: usize| ((n + spread) as f32 * scale).max(1.0) as usize;
        Self {
            combs: [1_116, 1_188, 1_277, 1_356, 1_422, 1_491, 1_557, 1_617]
                .map(|n| {
                    let n = size(n);
                    let feedback = 10.0_f32.powf(-3.0 * n as f32 / rate / reverb);
                    (vec![0.0; n], 0, feedback, 0.0)
                })
                .into(),
            passes: [556, 441, 341, 225].map(|n| (vec![0.0; size(n)], 0)).into(),
        }
    }

    fn run(&mut self, input: &[f32], out: &mut [f32], wet: f32) {
        for (&x, out) in input.iter().zip(out) {
            let mut sum = 0.0;
            for (line, at, feedback, low) in &mut self.combs {
                let y = line[*at];
                *low += 0.6 * (y - *low);
                line[*at] = x * 0.06 + *low * *feedback;
                *at += 1;
                if *at == line.len() {
                    *at = 0;
                }
                sum += y;
            }
            for (line, at) in &mut self.passes {
                let y = line[*at];
                line[*at] = sum + 0.5 * y;
                sum = y - 0.5 * sum;
                *at += 1;
                if *at == line.len() {
                    *at = 0;
                }
            }
            *out += wet * sum;
        }
    }
}
