//! The pieces, a file each: what each band plays.

pub(crate) mod blues;
pub(crate) mod classical;
pub(crate) mod country;
pub(crate) mod disco;
pub(crate) mod hiphop;
pub(crate) mod jazz;
pub(crate) mod metal;
pub(crate) mod pop;
pub(crate) mod reggae;
pub(crate) mod rock;

use crate::instruments::{Note, Rng, Track};

/// Time in a piece: bars and beats become seconds, with swing and the small errors of people.
#[derive(Debug)]
pub(crate) struct Clock {
    beat: f32,
    beats_per_bar: f32,
    /// Where the second half of a beat falls: 0.5 straight, 0.667 triplets.
    swing: f32,
    /// Standard error of people, in seconds.
    human: f32,
    rng: Rng,
}

impl Clock {
    fn new(bpm: f32, beats_per_bar: u8, swing: f32, human: f32, seed: u64) -> Self {
        Self {
            beat: 60.0 / bpm,
            beats_per_bar: f32::from(beats_per_bar),
            swing,
            human,
            rng: Rng(seed),
        }
    }

    fn bar(&self) -> f32 {
        self.beat * self.beats_per_bar
    }

    /// Seconds of `beat` (from 0) in `bar`, with swing on the halves and a human error.
    fn at(&mut self, bar: usize, beat: f32) -> f32 {
        let (whole, part) = (beat.floor(), beat.fract());
        let part = if part < 0.5 {
            part * 2.0 * self.swing
        } else {
            self.swing + (part - 0.5) * 2.0 * (1.0 - self.swing)
        };
        let error = self.human * (self.rng.bipolar() + self.rng.bipolar()) * 0.5;
        (bar as f32 * self.bar() + (whole + part) * self.beat + error).max(0.0)
    }

    /// A velocity near `v`.
    fn touch(&mut self, v: f32) -> f32 {
        (v * (1.0 + 0.12 * self.rng.bipolar())).clamp(0.02, 1.0)
    }
}

/// What a piece is written on: the length it has to fill.
pub(crate) struct Sheet {
    pub(crate) rate: f32,
    pub(crate) seconds: f32,
    pub(crate) seed: u64,
}

impl Sheet {
    fn track(&self) -> Track {
        Track::new(self.rate, self.seconds)
    }
    fn rng(&self, part: u64) -> Rng {
        Rng(self.seed.wrapping_mul(0x5851_F42D_4C95_7F2D) ^ part)
    }
    fn bars(&self, clock: &Clock) -> usize {
        (self.seconds / clock.bar()).ceil() as usize
    }
}

fn note(at: f32, length: f32, pitch: f32, velocity: f32) -> Note {
    Note {
        at,
        length,
        pitch,
        velocity,
    }
}
