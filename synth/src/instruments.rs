//! The instruments: each adds one note or one stroke to a track.

#![allow(
    clippy::many_single_char_names,
    reason = "f, t, x, y, s, c and n are what the formulas call them"
)]

use std::{
    f32::consts::{PI, TAU},
    hint::black_box,
};

/// Pseudo-random numbers (SplitMix64, Steele et al. 2014): the same seed gives the same music on
/// every machine.
#[derive(Clone, Debug)]
pub(crate) struct Rng(pub(crate) u64);

impl Rng {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// Uniform in -1..1.
    pub(crate) fn bipolar(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 23) as f32 - 1.0
    }

    /// Uniform in 0..1.
    pub(crate) fn unit(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1_u32 << 24) as f32
    }

    /// One of `items`.
    pub(crate) fn pick<T: Copy>(&mut self, items: &[T]) -> T {
        items[(self.next() % items.len() as u64) as usize]
    }
}

/// Frequency in Hz of a MIDI note number (equal temperament, A4 = 69 = 440 Hz).
pub(crate) fn hz(note: f32) -> f32 {
    440.0 * ((note - 69.0) / 12.0).exp2()
}

/// A biquad filter, transposed direct form II; coefficients from R. Bristow-Johnson's cookbook.
#[derive(Clone, Debug)]
pub(crate) struct Biquad {
    b: [f32; 3],
    a: [f32; 2],
    z: [f32; 2],
}

impl Biquad {
    fn new(b: [f32; 3], a: [f32; 3]) -> Self {
        Self {
            b: b.map(|x| x / a[0]),
            a: [a[1] / a[0], a[2] / a[0]],
            z: [0.0; 2],
        }
    }

    fn angle(rate: f32, f: f32, q: f32) -> (f32, f32) {
        let w = TAU * (f / rate).min(0.49);
        (w.cos(), w.sin() / (2.0 * q))
    }

    pub(crate) fn low_pass(rate: f32, f: f32, q: f32) -> Self {
        let (c, alpha) = Self::angle(rate, f, q);
        Self::new(
            [(1.0 - c) / 2.0, 1.0 - c, (1.0 - c) / 2.0],
            [1.0 + alpha, -2.0 * c, 1.0 - alpha],
        )
    }

    pub(crate) fn high_pass(rate: f32, f: f32, q: f32) -> Self {
        let (c, alpha) = Self::angle(rate, f, q);
        Self::new(
            [0.5 + 0.5 * c, -1.0 - c, 0.5 + 0.5 * c],
            [1.0 + alpha, -2.0 * c, 1.0 - alpha],
        )
    }

    /// Peak gain 1 at `f`.
    pub(crate) fn band_pass(rate: f32, f: f32, q: f32) -> Self {
        let (c, alpha) = Self::angle(rate, f, q);
        Self::new([alpha, 0.0, -alpha], [1.0 + alpha, -2.0 * c, 1.0 - alpha])
    }

    pub(crate) fn peak(rate: f32, f: f32, q: f32, db: f32) -> Self {
        let (c, alpha) = Self::angle(rate, f, q);
        let a = 10.0_f32.powf(db / 40.0);
        Self::new(
            [1.0 + alpha * a, -2.0 * c, 1.0 - alpha * a],
            [1.0 + alpha / a, -2.0 * c, 1.0 - alpha / a],
        )
    }

    pub(crate) fn run(&mut self, x: f32) -> f32 {
        let y = self.b[0] * x + self.z[0];
        self.z[0] = self.b[1] * x - self.a[0] * y + self.z[1];
        self.z[1] = self.b[2] * x - self.a[1] * y;
        y
    }
}

/// Where and how a note sounds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Note {
    /// Start in seconds.
    pub(crate) at: f32,
    /// Length in seconds, until the key or finger lets go.
    pub(crate) length: f32,
    /// MIDI note number; fractions are microtones.
    pub(crate) pitch: f32,
    /// 0 to 1.
    pub(crate) velocity: f32,
}

/// One mono track at one rate.
#[derive(Debug)]
pub(crate) struct Track {
    pub(crate) rate: f32,
    pub(crate) samples: Vec<f32>,
}

impl Track {
    pub(crate) fn new(rate: f32, seconds: f32) -> Self {
        Self {
            rate,
            samples: vec![0.0; (rate * seconds) as usize],
        }
    }

    /// The samples from `at` for `seconds`, as far as the track goes.
    fn span(&mut self, at: f32, seconds: f32) -> &mut [f32] {
        let from = ((at.max(0.0) * self.rate) as usize).min(self.samples.len());
        let to = (from + (seconds * self.rate) as usize).min(self.samples.len());
        &mut self.samples[from..to]
    }

    /// Runs every sample through `f`.
    pub(crate) fn through(&mut self, mut f: impl FnMut(f32) -> f32) {
        for sample in &mut self.samples {
            *sample = f(*sample);
        }
    }
}

/// A plucked string.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Pluck {
    /// Share of high partials in the attack, 0 to 1.
    pub(crate) bright: f32,
    /// Seconds to fall by 60 dB at A2; higher strings decay faster.
    pub(crate) decay: f32,
    /// Damping of high partials per round trip, 0 to 0.5.
    pub(crate) damp: f32,
    /// Where it is plucked, as a part of its length.
    pub(crate) position: f32,
    /// Semitones from which the finger bends up to the pitch, within a fifth of a second.
    pub(crate) bend: f32,
    /// Depth of the vibrato, in semitones.
    pub(crate) vibrato: f32,
}

impl Pluck {
    pub(crate) const STEEL: Pluck = Pluck {
        bright: 0.75,
        decay: 3.5,
        damp: 0.12,
        position: 0.17,
        bend: 0.0,
        vibrato: 0.0,
    };
    pub(crate) const ELECTRIC: Pluck = Pluck {
        bright: 0.55,
        decay: 5.0,
        damp: 0.2,
        position: 0.2,
        bend: 0.0,
        vibrato: 0.0,
    };
    pub(crate) const MUTED: Pluck = Pluck {
        bright: 0.5,
        decay: 0.22,
        damp: 0.4,
        position: 0.1,
        bend: 0.0,
        vibrato: 0.0,
    };
    pub(crate) const BASS: Pluck = Pluck {
        bright: 0.3,
        decay: 4.0,
        damp: 0.35,
        position: 0.22,
        bend: 0.0,
        vibrato: 0.0,
    };
    pub(crate) const UPRIGHT: Pluck = Pluck {
        bright: 0.2,
        decay: 1.6,
        damp: 0.42,
        position: 0.3,
        bend: 0.0,
        vibrato: 0.0,
    };
}

/// A string after Karplus and Strong (1983) with Jaffe and Smith's extensions: pluck position,
/// tuned decay, fractional delay.
pub(crate) fn pluck(track: &mut Track, note: Note, string: Pluck, rng: &mut Rng) {
    const RELEASE: f32 = 0.12;
    let rate = track.rate;
    let base = rate / hz(note.pitch);
    let lowest = base * (string.bend.abs() / 12.0 + 0.1).exp2();
    let size = lowest as usize + 4;
    let mut line = vec![0.0_f32; size];
    let period = base as usize;
    let smooth = 1.0 - (string.bright * (0.4 + 0.6 * note.velocity)).clamp(0.05, 0.98);
    let mut low = 0.0;
    let mut burst: Vec<f32> = (0..period)
        .map(|_| {
            low = smooth * low + (1.0 - smooth) * rng.bipolar();
            low
        })
        .collect();
    let mean = burst.iter().sum::<f32>() / period as f32;
    let peak = burst.iter().fold(1e-6_f32, |p, x| p.max((x - mean).abs()));
    for x in &mut burst {
        *x = (*x - mean) / peak;
    }
    let offset = ((string.position * base) as usize).clamp(1, period - 1);
    for i in 0..period {
        line[i] = 0.5 * (burst[i] - burst[(i + period - offset) % period]);
    }
    let t60 = string.decay * (hz(45.0) / hz(note.pitch)).powf(0.4);
    let ring = 10.0_f32.powf(-3.0 * base / rate / t60);
    let choke = 10.0_f32.powf(-3.0 * base / rate / 0.07);
    let let_go = (note.length * rate) as usize;
    let (mut write, mut last) = (period, 0.0);
    let moving = string.bend != 0.0 || string.vibrato != 0.0;
    // The averaging filter delays by `damp` samples at low frequencies.
    let mut delay = base - string.damp;
    let amp = 0.6 * note.velocity;
    for (i, out) in track
        .span(note.at, note.length + RELEASE)
        .iter_mut()
        .enumerate()
    {
        if moving && i % 16 == 0 {
            let t = i as f32 / rate;
            let bend = string.bend * (1.0 - (t / 0.18).min(1.0));
            let shake = string.vibrato * (t - 0.25).clamp(0.0, 0.3) / 0.3 * (TAU * 5.3 * t).sin();
            delay = base * (-(shake - bend) / 12.0).exp2() - string.damp;
        }
        // Whole and fractional part of the delay; no division, as this is the innermost loop of
        // every string.
        let whole = delay as usize;
        let part = delay - whole as f32;
        let newer = if write >= whole {
            write - whole
        } else {
            write + size - whole
        };
        let older = if newer == 0 { size - 1 } else { newer - 1 };
        let y = line[newer] * (1.0 - part) + line[older] * part;
        let filtered = (1.0 - string.damp) * y + string.damp * last;
        last = y;
        line[write] = filtered * if i < let_go { ring } else { choke };
        write = if write + 1 == size { 0 } else { write + 1 };
        *out += amp * y;
    }
}

/// A piano: inharmonic partials (Fletcher 1964), two slightly mistuned strings each, fast then slow
/// decay, and the thump of the hammer.
pub(crate) fn piano(track: &mut Track, note: Note, rng: &mut Rng) {
    let rate = track.rate;
    let f0 = hz(note.pitch);
    let stiff = 2.5e-4 * ((note.pitch - 48.0) / 16.0).exp2();
    let ring = 5.0 * ((48.0 - note.pitch) / 20.0).exp2();
    let span = note.length + 0.25;
    let let_go = (note.length * rate) as usize;
    let total = (span.min(note.length + 0.25) * rate) as usize;
    let thump = 0.02 * note.velocity;
    for n in 1..=14_u8 {
        let n = f32::from(n);
        let f = n * f0 * (1.0 + stiff * n * n).sqrt();
        if f > 9_000.0_f32.min(0.45 * rate) {
            break;
        }
        // A harder stroke excites more high partials; the hammer strikes at one eighth of the
        // string.
        let slope = 1.9 - 0.8 * note.velocity;
        let amp = 0.30 * note.velocity * n.powf(-slope) * (0.25 + (PI * n / 8.0).sin().abs());
        let fall = ring / (1.0 + 0.35 * (n - 1.0));
        let mistuned = 0.35 * rng.unit();
        for (detune, part, slow) in [(0.0, 0.6, 0.45), (mistuned, 0.4, 1.0)] {
            let (s, c) = (TAU * (f + detune) / rate).sin_cos();
            let phase = TAU * rng.unit();
            let (mut y, mut x) = phase.sin_cos();
            // Without the black boxes, the compiler moves the powers to where they are used: into
            // the loop below.
            let decay = black_box(10.0_f32.powf(-3.0 / (fall * slow * rate)));
            let release = black_box(10.0_f32.powf(-3.0 / (0.22 * rate)));
            let mut level = amp * part;
            let attack = (0.002 * rate).max(1.0);
            for (i, out) in track.span(note.at, span).iter_mut().enumerate() {
                let rise = (i as f32 / attack).min(1.0);
                *out += level * rise * y;
                (y, x) = (y * c + x * s, x * c - y * s);
                level *= if i < let_go { decay } else { release };
                if level < 1e-5 || i > total {
                    break;
                }
            }
        }
    }
    let mut filter = Biquad::low_pass(rate, 900.0, 0.8);
    for (i, out) in track.span(note.at, 0.06).iter_mut().enumerate() {
        let fade = (-(i as f32) / (0.012 * rate)).exp();
        *out += thump * fade * filter.run(rng.bipolar() * 4.0);
    }
}

/// A sawtooth oscillator without aliasing to speak of (polynomial band-limited steps).
#[derive(Clone, Debug)]
struct Saw {
    phase: f32,
}

impl Saw {
    fn next(&mut self, step: f32) -> f32 {
        self.phase += step;
        if self.phase >= 1.0 {
            self.phase -= 1.0;
        }
        let t = self.phase;
        let blep = if t < step {
            let x = t / step;
            x + x - x * x - 1.0
        } else if t > 1.0 - step {
            let x = (t - 1.0) / step;
            x * x + x + x + 1.0
        } else {
            0.0
        };
        2.0 * t - 1.0 - blep
    }
}

/// A sustained sound from detuned sawtooths through a filter that follows the envelope: bowed
/// strings, brass, reeds.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sustain {
    /// How many players.
    pub(crate) players: u8,
    /// Mistuning between players, in semitones.
    pub(crate) detune: f32,
    pub(crate) attack: f32,
    pub(crate) release: f32,
    /// Low-pass corner in Hz at rest and at full level.
    pub(crate) dark: f32,
    pub(crate) open: f32,
    /// Depth of the vibrato, in semitones.
    pub(crate) vibrato: f32,
    /// Share of breath or bow noise.
    pub(crate) noise: f32,
    /// Resonances of the body: frequency and gain in dB.
    pub(crate) body: [(f32, f32); 2],
}

impl Sustain {
    pub(crate) const STRINGS: Sustain = Sustain {
        players: 5,
        detune: 0.09,
        attack: 0.16,
        release: 0.28,
        dark: 900.0,
        open: 3_600.0,
        vibrato: 0.13,
        noise: 0.03,
        body: [(500.0, 3.0), (2_600.0, 4.0)],
    };
    pub(crate) const VIOLIN: Sustain = Sustain {
        players: 1,
        detune: 0.0,
        attack: 0.07,
        release: 0.12,
        dark: 1_200.0,
        open: 4_200.0,
        vibrato: 0.22,
        noise: 0.05,
        body: [(480.0, 5.0), (2_800.0, 6.0)],
    };
    pub(crate) const CELLO: Sustain = Sustain {
        players: 1,
        detune: 0.0,
        attack: 0.09,
        release: 0.16,
        dark: 700.0,
        open: 2_200.0,
        vibrato: 0.18,
        noise: 0.03,
        body: [(220.0, 5.0), (1_500.0, 3.0)],
    };
    pub(crate) const BRASS: Sustain = Sustain {
        players: 3,
        detune: 0.06,
        attack: 0.035,
        release: 0.07,
        dark: 500.0,
        open: 4_500.0,
        vibrato: 0.05,
        noise: 0.02,
        body: [(900.0, 3.0), (1_600.0, 3.0)],
    };
    pub(crate) const SAX: Sustain = Sustain {
        players: 1,
        detune: 0.0,
        attack: 0.04,
        release: 0.08,
        dark: 700.0,
        open: 2_900.0,
        vibrato: 0.16,
        noise: 0.08,
        body: [(650.0, 5.0), (1_300.0, 4.0)],
    };
    pub(crate) const PAD: Sustain = Sustain {
        players: 4,
        detune: 0.14,
        attack: 0.3,
        release: 0.4,
        dark: 500.0,
        open: 1_500.0,
        vibrato: 0.0,
        noise: 0.0,
        body: [(400.0, 0.0), (1_000.0, 0.0)],
    };
}

/// Plays a [`Sustain`]; `from` is the pitch it slides from.
pub(crate) fn sustain(track: &mut Track, note: Note, from: f32, kind: Sustain, rng: &mut Rng) {
    let rate = track.rate;
    let mut players: Vec<(Saw, f32, f32)> = (0..kind.players)
        .map(|_| {
            (
                Saw { phase: rng.unit() },
                kind.detune * rng.bipolar(),
                5.0 + 0.8 * rng.bipolar(),
            )
        })
        .collect();
    let mut body = kind.body.map(|(f, db)| Biquad::peak(rate, f, 2.0, db));
    let mut steps = vec![0.0_f32; players.len()];
    let gain = 0.22 * note.velocity / f32::from(kind.players).sqrt();
    let (mut low, mut lower, mut k) = (0.0, 0.0, 0.0);
    for (i, out) in track
        .span(note.at, note.length + kind.release)
        .iter_mut()
        .enumerate()
    {
        let t = i as f32 / rate;
        let level = (t / kind.attack).min(1.0)
            * (1.0 - ((t - note.length) / kind.release).clamp(0.0, 1.0)).powi(2);
        if i % 32 == 0 {
            let slide = (from - note.pitch) * (1.0 - (t / 0.06).min(1.0));
            let depth = kind.vibrato * ((t - 0.15) / 0.35).clamp(0.0, 1.0);
            for (step, (_, detune, speed)) in steps.iter_mut().zip(&players) {
                let pitch = note.pitch + slide + detune + depth * (TAU * speed * t).sin();
                *step = hz(pitch) / rate;
            }
            let corner = kind.dark + (kind.open - kind.dark) * level * (0.4 + 0.6 * note.velocity);
            k = 1.0 - (-TAU * corner / rate).exp();
        }
        let mut x = kind.noise * rng.bipolar();
        for ((saw, _, _), step) in players.iter_mut().zip(&steps) {
            x += saw.next(*step);
        }
        low += k * (x - low);
        lower += k * (low - lower);
        let [first, second] = &mut body;
        *out += gain * level * second.run(first.run(lower));
    }
}

/// An electric piano: two-operator frequency modulation whose index falls with the tine (Chowning
/// 1973).
pub(crate) fn electric_piano(track: &mut Track, note: Note) {
    let rate = track.rate;
    let step = TAU * hz(note.pitch) / rate;
    let mut phase = 0.0_f32;
    // Each is an exponential, step by step.
    let fall = |time: f32| (-1.0 / (time * rate)).exp();
    let (ring_fall, index_fall, tine_fall) = (fall(1.4), fall(0.45), fall(0.08));
    let (mut ring, mut index) = (1.0_f32, 1.6 * note.velocity);
    let mut tine_level = 0.12 * note.velocity;
    for (i, out) in track
        .span(note.at, note.length + 0.2)
        .iter_mut()
        .enumerate()
    {
        let t = i as f32 / rate;
        let release = 1.0 - ((t - note.length) / 0.2).clamp(0.0, 1.0);
        let level = (t / 0.003).min(1.0) * ring * release;
        phase += step;
        if phase >= TAU {
            phase -= TAU;
        }
        let tine = tine_level * (14.0 * phase).sin();
        *out += 0.3 * note.velocity * level * ((phase + index * phase.sin()).sin() + tine);
        ring *= ring_fall;
        index *= index_fall;
        tine_level *= tine_fall;
    }
}

/// A tone-wheel organ: nine drawbars and a turning loudspeaker.
pub(crate) fn organ(track: &mut Track, note: Note, drawbars: [f32; 9]) {
    const RATIO: [f32; 9] = [0.5, 1.5, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 8.0];
    let rate = track.rate;
    let f = hz(note.pitch);
    for (ratio, drawbar) in RATIO.into_iter().zip(drawbars) {
        if drawbar == 0.0 || f * ratio > 0.4 * rate {
            continue;
        }
        let (s, c) = (TAU * f * ratio / rate).sin_cos();
        let (mut y, mut x) = (0.0_f32, 1.0_f32);
        for (i, out) in track
            .span(note.at, note.length + 0.015)
            .iter_mut()
            .enumerate()
        {
            let t = i as f32 / rate;
            let level = (t / 0.006).min(1.0) * (1.0 - ((t - note.length) / 0.015).clamp(0.0, 1.0));
            let turning = 1.0 + 0.12 * (TAU * 6.2 * (note.at + t)).sin();
            *out += 0.07 * note.velocity * drawbar / 8.0 * level * turning * y;
            (y, x) = (y * c + x * s, x * c - y * s);
        }
    }
}

/// A flute: few partials, a breath at the start and through the tone.
pub(crate) fn flute(track: &mut Track, note: Note, rng: &mut Rng) {
    let rate = track.rate;
    let mut breath = Biquad::band_pass(rate, 2.0 * hz(note.pitch), 3.0);
    let mut phase = 0.0_f32;
    for (i, out) in track
        .span(note.at, note.length + 0.08)
        .iter_mut()
        .enumerate()
    {
        let t = i as f32 / rate;
        let level = (t / 0.06).min(1.0) * (1.0 - ((t - note.length) / 0.08).clamp(0.0, 1.0));
        let shake = 0.12 * ((t - 0.2) / 0.4).clamp(0.0, 1.0) * (TAU * 4.8 * t).sin();
        phase += TAU * hz(note.pitch + shake) / rate;
        if phase >= TAU {
            phase -= TAU;
        }
        let tone = phase.sin() + 0.28 * (2.0 * phase).sin() + 0.09 * (3.0 * phase).sin();
        let air = breath.run(rng.bipolar()) * (0.15 + 0.4 * (-t / 0.05).exp());
        *out += 0.22 * note.velocity * level * (tone + air);
    }
}

/// Vowels of a singer: formant frequencies (Hz), levels (dB) and bandwidths (Hz), after the tenor's
/// table in the Csound manual, appendix "Formant Values".
const VOWELS: [[(f32, f32, f32); 4]; 5] = [
    [
        (650.0, 0.0, 80.0),
        (1_080.0, -6.0, 90.0),
        (2_650.0, -7.0, 120.0),
        (2_900.0, -8.0, 130.0),
    ],
    [
        (400.0, 0.0, 70.0),
        (1_700.0, -14.0, 80.0),
        (2_600.0, -12.0, 100.0),
        (3_200.0, -14.0, 120.0),
    ],
    [
        (290.0, 0.0, 40.0),
        (1_870.0, -15.0, 90.0),
        (2_800.0, -18.0, 100.0),
        (3_250.0, -20.0, 120.0),
    ],
    [
        (400.0, 0.0, 70.0),
        (800.0, -10.0, 80.0),
        (2_600.0, -12.0, 100.0),
        (2_800.0, -12.0, 130.0),
    ],
    [
        (350.0, 0.0, 40.0),
        (600.0, -20.0, 60.0),
        (2_700.0, -17.0, 100.0),
        (2_900.0, -14.0, 120.0),
    ],
];

/// How a syllable is uttered.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Voice {
    /// Which of the five vowels (a e i o u).
    pub(crate) vowel: usize,
    /// Strength of the consonant before it.
    pub(crate) consonant: f32,
    /// Pitch that it slides from, in semitones relative to the note.
    pub(crate) from: f32,
    /// Fall of the pitch over the syllable, in semitones (speech falls, song does not).
    pub(crate) fall: f32,
    /// Depth of the vibrato, in semitones.
    pub(crate) vibrato: f32,
    /// Factor on all formants: 1 for a man, 1.15 for a woman.
    pub(crate) size: f32,
}

/// A sung or spoken syllable: a glottal sawtooth and breath through four formants.
pub(crate) fn voice(track: &mut Track, note: Note, syllable: Voice, rng: &mut Rng) {
    let rate = track.rate;
    let mut formants = VOWELS[syllable.vowel % VOWELS.len()].map(|(f, db, width)| {
        let f = f * syllable.size;
        (
            Biquad::band_pass(rate, f, f / (width * 1.3)),
            10.0_f32.powf(db / 20.0),
        )
    });
    let mut hiss = Biquad::band_pass(rate, 2_200.0 + 2_600.0 * rng.unit(), 1.2);
    let mut saw = Saw { phase: rng.unit() };
    let mut step = 0.0;
    let (mut low, tilt) = (0.0, 1.0 - (-TAU * 1_800.0 / rate).exp());
    for (i, out) in track
        .span(note.at, note.length + 0.05)
        .iter_mut()
        .enumerate()
    {
        let t = i as f32 / rate;
        if i % 32 == 0 {
            let slide = syllable.from * (1.0 - (t / 0.07).min(1.0));
            let fall = syllable.fall * (t / note.length.max(0.05)).min(1.0);
            let shake =
                syllable.vibrato * ((t - 0.2) / 0.3).clamp(0.0, 1.0) * (TAU * 5.4 * t).sin();
            let jitter = 0.05 * rng.bipolar();
            step = hz(note.pitch + slide - fall + shake + jitter) / rate;
        }
        let level = (t / 0.03).min(1.0) * (1.0 - ((t - note.length + 0.03) / 0.08).clamp(0.0, 1.0));
        low += tilt * (saw.next(step) - low);
        let source = low + 0.04 * rng.bipolar();
        let mut y = 0.0;
        for (filter, gain) in &mut formants {
            y += *gain * filter.run(source);
        }
        let burst = syllable.consonant * (-(t - 0.015).abs() / 0.014).exp();
        *out += note.velocity * (0.9 * level * y + 0.35 * burst * hiss.run(rng.bipolar()));
    }
}

/// A bass drum: a sine whose pitch falls from `high` to `low` Hz, and the click of the beater.
pub(crate) fn kick(
    track: &mut Track,
    at: f32,
    velocity: f32,
    high: f32,
    low: f32,
    decay: f32,
    click: f32,
) {
    let rate = track.rate;
    let mut phase = 0.0_f32;
    for (i, out) in track.span(at, decay * 3.0).iter_mut().enumerate() {
        let t = i as f32 / rate;
        phase += TAU * (low + (high - low) * (-t / 0.018).exp()) / rate;
        let beater = click * (-t / 0.004).exp() * (TAU * 2_900.0 * t).sin();
        *out += velocity * ((-t / decay).exp() * phase.sin() + beater);
    }
}

/// A snare drum: two modes of the head and the rattle of the wires.
pub(crate) fn snare(
    track: &mut Track,
    at: f32,
    velocity: f32,
    tone: f32,
    decay: f32,
    rng: &mut Rng,
) {
    let rate = track.rate;
    let mut wires = Biquad::high_pass(rate, 1_400.0, 0.7);
    let mut air = Biquad::low_pass(rate, 8_500.0, 0.7);
    for (i, out) in track.span(at, decay * 6.0).iter_mut().enumerate() {
        let t = i as f32 / rate;
        let head =
            (-t / 0.06).exp() * ((TAU * tone * t).sin() + 0.6 * (TAU * 1.62 * tone * t).sin());
        let rattle =
            air.run(wires.run(rng.bipolar())) * ((-t / decay).exp() + 0.5 * (-t / 0.015).exp());
        *out += velocity * (0.4 * head + 0.75 * rattle);
    }
}

/// A cymbal: six inharmonic square waves (the ratios of a well-known analogue drum machine) and
/// noise, high-passed.
pub(crate) fn cymbal(
    track: &mut Track,
    at: f32,
    velocity: f32,
    corner: f32,
    decay: f32,
    ping: f32,
    rng: &mut Rng,
) {
    const SQUARES: [f32; 6] = [205.3, 304.4, 369.6, 522.7, 540.0, 800.0];
    let rate = track.rate;
    let scale = 2.0 + 0.1 * rng.unit();
    let mut phases = SQUARES.map(|_| rng.unit());
    let mut filter = Biquad::high_pass(rate, corner, 0.8);
    let (mut level, fall) = (1.0_f32, (-1.0 / (decay * rate)).exp());
    for (i, out) in track.span(at, decay * 4.5).iter_mut().enumerate() {
        let t = i as f32 / rate;
        let mut metal = 0.0;
        for (phase, f) in phases.iter_mut().zip(SQUARES) {
            *phase += scale * f / rate;
            if *phase >= 1.0 {
                *phase -= 1.0;
            }
            metal += if *phase < 0.5 { 1.0 } else { -1.0 };
        }
        let bell = if ping > 0.0 {
            ping * (-t / 0.12).exp() * (TAU * 3_150.0 * t).sin()
        } else {
            0.0
        };
        let x = 0.10 * metal + 0.45 * rng.bipolar() + bell;
        *out += velocity * 0.5 * (t / 0.0008).min(1.0) * level * filter.run(x);
        level *= fall;
    }
}

/// Hand claps: three bursts and a tail.
pub(crate) fn clap(track: &mut Track, at: f32, velocity: f32, rng: &mut Rng) {
    let rate = track.rate;
    let mut filter = Biquad::band_pass(rate, 1_250.0, 1.1);
    for (i, out) in track.span(at, 0.3).iter_mut().enumerate() {
        let t = i as f32 / rate;
        let bursts: f32 = [0.0, 0.011, 0.023]
            .iter()
            .filter(|start| t >= **start)
            .map(|start| (-(t - start) / 0.004).exp())
            .sum();
        let tail = if t > 0.023 {
            0.6 * (-(t - 0.023) / 0.07).exp()
        } else {
            0.0
        };
        *out += velocity * 1.6 * (bursts + tail) * filter.run(rng.bipolar());
    }
}

/// A short struck tone: rim click, wood block, bongo, conga, tom.
pub(crate) fn struck(track: &mut Track, at: f32, velocity: f32, f: f32, decay: f32, rng: &mut Rng) {
    let rate = track.rate;
    let mut filter = Biquad::band_pass(rate, 2.5 * f, 1.0);
    let mut phase = 0.0_f32;
    for (i, out) in track.span(at, decay * 6.0).iter_mut().enumerate() {
        let t = i as f32 / rate;
        phase += TAU * f * (1.0 + 0.25 * (-t / 0.02).exp()) / rate;
        let skin = filter.run(rng.bipolar()) * (-t / 0.006).exp();
        *out += velocity * ((-t / decay).exp() * 0.7 * phase.sin() + 0.8 * skin);
    }
}

/// Filtered noise with a rise and a fall: shaker, brush on a snare.
pub(crate) fn swish(
    track: &mut Track,
    at: f32,
    velocity: f32,
    f: f32,
    rise: f32,
    fall: f32,
    rng: &mut Rng,
) {
    let rate = track.rate;
    let mut filter = Biquad::band_pass(rate, f, 0.8);
    for (i, out) in track.span(at, rise + fall * 5.0).iter_mut().enumerate() {
        let t = i as f32 / rate;
        let level = if t < rise {
            t / rise
        } else {
            (-(t - rise) / fall).exp()
        };
        *out += velocity * 0.5 * level * filter.run(rng.bipolar());
    }
}

/// An overdriven amplifier and its loudspeaker: high-pass, gain, asymmetric saturation, then the
/// fall above 4 kHz of a 12-inch driver.
pub(crate) fn amplifier(track: &mut Track, gain: f32) {
    let rate = track.rate;
    let mut tight = Biquad::high_pass(rate, 110.0, 0.7);
    let mut mid = Biquad::peak(rate, 850.0, 0.7, 6.0);
    let mut block = Biquad::high_pass(rate, 60.0, 0.7);
    let mut cone = Biquad::low_pass(rate, 4_300.0, 0.9);
    let mut edge = Biquad::low_pass(rate, 5_200.0, 0.7);
    let mut presence = Biquad::peak(rate, 2_600.0, 1.0, 5.0);
    let mut thump = Biquad::peak(rate, 120.0, 1.2, 4.0);
    track.through(|x| {
        let driven = gain * mid.run(tight.run(x));
        // A rational tanh (Lambert's continued fraction, two terms), with an offset for even
        // harmonics.
        let soft = |v: f32| {
            let v = v.clamp(-3.0, 3.0);
            v * (27.0 + v * v) / (27.0 + 9.0 * v * v)
        };
        let clipped = block.run(soft(driven + 0.15));
        thump.run(presence.run(edge.run(cone.run(clipped))))
    });
}
