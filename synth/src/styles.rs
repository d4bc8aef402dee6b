//! The pieces: what each band plays.

use super::instruments::{
    Note, Pluck, Rng, Sustain, Track, Voice, amplifier, clap, cymbal, electric_piano, flute, hz,
    kick, organ, piano, pluck, snare, struck, sustain, swish, voice,
};
use super::mix::{Channel, Mix};

/// Time in a piece: bars and beats become seconds, with swing and the small errors of people.
#[derive(Debug)]
pub(super) struct Clock {
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
pub(super) struct Sheet {
    pub(super) rate: f32,
    pub(super) seconds: f32,
    pub(super) seed: u64,
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

/// Two guitars, bass and double bass drums at 168 beats a minute, in E Phrygian.
pub(super) fn metal(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(168.0, 4, 0.5, 0.003, sheet.seed);
    let bars = sheet.bars(&clock);
    let (mut bass, mut lead) = (sheet.track(), sheet.track());
    let (mut drums, mut snares, mut metalware) = (sheet.track(), sheet.track(), sheet.track());
    // Root and whether the string is let ring, per eighth; a gallop in between.
    let riff: [[(f32, bool); 8]; 4] = [
        [
            (40.0, false),
            (40.0, false),
            (40.0, false),
            (41.0, true),
            (40.0, false),
            (40.0, false),
            (43.0, true),
            (41.0, true),
        ],
        [
            (40.0, false),
            (40.0, false),
            (40.0, false),
            (46.0, true),
            (40.0, false),
            (45.0, true),
            (43.0, true),
            (41.0, true),
        ],
        [
            (40.0, false),
            (40.0, false),
            (40.0, false),
            (41.0, true),
            (40.0, false),
            (40.0, false),
            (43.0, true),
            (41.0, true),
        ],
        [
            (36.0, true),
            (36.0, false),
            (38.0, true),
            (38.0, false),
            (41.0, true),
            (41.0, false),
            (43.0, true),
            (43.0, true),
        ],
    ];
    let mut guitars = [sheet.track(), sheet.track()];
    for (side, guitar) in guitars.iter_mut().enumerate() {
        let mut rng = sheet.rng(10 + side as u64);
        for bar in 0..bars {
            for (step, &(root, open)) in riff[bar % 4].iter().enumerate() {
                let beat = step as f32 / 2.0;
                let hits: &[f32] = if open { &[0.0] } else { &[0.0, 0.25] };
                for &offset in hits {
                    let at = clock.at(bar, beat + offset);
                    let length = clock.beat * if open { 0.48 } else { 0.22 };
                    for interval in [0.0, 7.0, 12.0] {
                        let mut string = if open { Pluck::ELECTRIC } else { Pluck::MUTED };
                        string.bright = 0.85;
                        if !open {
                            string.damp = 0.3;
                            string.decay = 0.35;
                        }
                        let v = clock.touch(0.8);
                        pluck(
                            guitar,
                            note(at, length, root + interval, v),
                            string,
                            &mut rng,
                        );
                    }
                }
            }
        }
        amplifier(guitar, 26.0);
    }
    let mut rng = sheet.rng(1);
    for bar in 0..bars {
        for (step, &(root, _)) in riff[bar % 4].iter().enumerate() {
            for half in [0.0, 0.25] {
                let at = clock.at(bar, step as f32 / 2.0 + half);
                let string = Pluck {
                    bright: 0.6,
                    ..Pluck::BASS
                };
                let v = clock.touch(0.8);
                pluck(
                    &mut bass,
                    note(at, clock.beat * 0.22, root - 12.0, v),
                    string,
                    &mut rng,
                );
                let v = clock.touch(0.85);
                kick(&mut drums, at, v, 130.0, 52.0, 0.06, 0.5);
            }
        }
        for beat in [1.0, 3.0] {
            let (at, v) = (clock.at(bar, beat), clock.touch(0.95));
            snare(&mut snares, at, v, 205.0, 0.09, &mut rng);
        }
        for step in 0..8_u8 {
            let (at, v) = (clock.at(bar, f32::from(step) / 2.0), clock.touch(0.34));
            cymbal(&mut metalware, at, v, 4_500.0, 0.28, 0.3, &mut rng);
        }
        if bar % 2 == 0 {
            let at = clock.at(bar, 0.0);
            cymbal(&mut metalware, at, 0.7, 2_500.0, 0.8, 0.0, &mut rng);
        }
        if bar % 8 >= 4 {
            // A tremolo melody over the second half.
            let line = [76.0, 77.0, 79.0, 77.0, 76.0, 74.0, 72.0, 71.0];
            for step in 0..16_u8 {
                let pitch = line[(bar % 4 * 2 + usize::from(step) / 8) % 8];
                let at = clock.at(bar, f32::from(step) / 4.0);
                let v = clock.touch(0.7);
                pluck(
                    &mut lead,
                    note(at, clock.beat * 0.24, pitch, v),
                    Pluck::ELECTRIC,
                    &mut rng,
                );
            }
        }
    }
    amplifier(&mut lead, 18.0);
    amplifier(&mut bass, 3.0);
    let [left, right] = guitars;
    Mix::new(-14.0, 0.10, 1.8)
        .tone([-1.0, 1.0, -5.0, -6.0, -6.0, -2.0])
        .add(left, Channel::new(0.42, -0.8, 0.05))
        .add(right, Channel::new(0.42, 0.8, 0.05))
        .add(lead, Channel::new(0.28, 0.1, 0.25))
        .add(bass, Channel::new(0.5, 0.0, 0.0))
        .add(drums, Channel::new(1.0, 0.0, 0.03))
        .add(snares, Channel::new(1.0, 0.0, 0.15))
        .add(metalware, Channel::new(0.7, 0.2, 0.1))
}

/// A slow movement for piano, strings and flute in A minor.
pub(super) fn classical(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(66.0, 4, 0.5, 0.012, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(2);
    let (mut keys, mut tutti) = (sheet.track(), sheet.track());
    let (mut violin, mut cello, mut wind) = (sheet.track(), sheet.track(), sheet.track());
    // i - iv - VII - III - VI - ii dim - V - i
    let chords: [[f32; 4]; 8] = [
        [45.0, 57.0, 60.0, 64.0],
        [50.0, 57.0, 62.0, 65.0],
        [43.0, 55.0, 59.0, 65.0],
        [48.0, 55.0, 60.0, 64.0],
        [41.0, 57.0, 60.0, 65.0],
        [47.0, 57.0, 62.0, 65.0],
        [40.0, 56.0, 59.0, 64.0],
        [45.0, 57.0, 60.0, 64.0],
    ];
    let melody: [&[(f32, f32, f32)]; 8] = [
        &[
            (0.0, 1.5, 76.0),
            (1.5, 0.5, 74.0),
            (2.0, 1.0, 72.0),
            (3.0, 1.0, 71.0),
        ],
        &[(0.0, 2.0, 74.0), (2.0, 1.0, 77.0), (3.0, 1.0, 81.0)],
        &[(0.0, 1.5, 79.0), (1.5, 0.5, 77.0), (2.0, 2.0, 74.0)],
        &[(0.0, 1.0, 76.0), (1.0, 1.0, 79.0), (2.0, 2.0, 84.0)],
        &[
            (0.0, 1.5, 81.0),
            (1.5, 0.5, 79.0),
            (2.0, 1.0, 77.0),
            (3.0, 1.0, 76.0),
        ],
        &[(0.0, 2.0, 74.0), (2.0, 1.0, 77.0), (3.0, 1.0, 74.0)],
        &[
            (0.0, 1.0, 76.0),
            (1.0, 0.5, 74.0),
            (1.5, 0.5, 72.0),
            (2.0, 2.0, 71.0),
        ],
        &[(0.0, 3.5, 69.0)],
    ];
    let mut last = 76.0;
    for bar in 0..bars {
        let chord = chords[bar % 8];
        let start = clock.at(bar, 0.0);
        let whole = clock.bar();
        for (step, voice) in [0, 2, 3, 2, 1, 2, 3, 2].into_iter().enumerate() {
            let at = clock.at(bar, step as f32 / 2.0);
            let v = clock.touch(if step == 0 { 0.55 } else { 0.38 });
            piano(
                &mut keys,
                note(at, clock.beat * 0.9, chord[voice], v),
                &mut rng,
            );
        }
        piano(
            &mut keys,
            note(start, whole, chord[0] - 12.0, 0.42),
            &mut rng,
        );
        for &pitch in &chord[1..] {
            sustain(
                &mut tutti,
                note(start, whole * 0.96, pitch, 0.42),
                pitch,
                Sustain::STRINGS,
                &mut rng,
            );
        }
        sustain(
            &mut cello,
            note(start, whole * 0.94, chord[0], 0.7),
            chord[0],
            Sustain::CELLO,
            &mut rng,
        );
        for &(beat, length, pitch) in melody[bar % 8] {
            let (at, v) = (clock.at(bar, beat), clock.touch(0.7));
            sustain(
                &mut violin,
                note(at, length * clock.beat * 0.95, pitch, v),
                last,
                Sustain::VIOLIN,
                &mut rng,
            );
            last = pitch;
            if bar % 4 >= 2 {
                let v = clock.touch(0.4);
                flute(
                    &mut wind,
                    note(at + 0.01, length * clock.beat * 0.9, pitch + 12.0, v),
                    &mut rng,
                );
            }
        }
    }
    Mix::new(-25.0, 0.42, 2.6)
        .tone([0.0, 0.0, -1.0, 1.0, 1.0, 2.0])
        .add(keys, Channel::new(0.9, -0.2, 0.5))
        .add(tutti, Channel::new(0.5, 0.15, 0.7))
        .add(violin, Channel::new(0.55, -0.35, 0.6))
        .add(cello, Channel::new(0.5, 0.4, 0.5))
        .add(wind, Channel::new(0.35, 0.2, 0.8))
}

/// Four on the floor, octave bass, open hats, strings, horns and a choir at 120 beats a minute.
pub(super) fn disco(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(120.0, 4, 0.5, 0.004, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(3);
    let (mut drums, mut snares, mut hats, mut hands) =
        (sheet.track(), sheet.track(), sheet.track(), sheet.track());
    let (mut bass, mut guitar, mut tutti, mut horns, mut choir, mut keys) = (
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
    );
    // Am7 - Dm7 - G7 - Cmaj7
    let chords: [(f32, [f32; 4]); 4] = [
        (33.0, [60.0, 64.0, 67.0, 69.0]),
        (38.0, [60.0, 62.0, 65.0, 69.0]),
        (31.0, [59.0, 62.0, 65.0, 67.0]),
        (36.0, [59.0, 60.0, 64.0, 67.0]),
    ];
    for bar in 0..bars {
        let (root, chord) = chords[bar % 4];
        for beat in 0..4_u8 {
            let b = f32::from(beat);
            let v = clock.touch(0.95);
            let at = clock.at(bar, b);
            kick(&mut drums, at, v, 110.0, 50.0, 0.11, 0.25);
            if beat % 2 == 1 {
                let (at, v) = (clock.at(bar, b), clock.touch(0.8));
                snare(&mut snares, at, v, 185.0, 0.10, &mut rng);
                clap(&mut hands, at + 0.004, 0.45, &mut rng);
            }
            for quarter in 0..4_u8 {
                let at = clock.at(bar, b + f32::from(quarter) / 4.0);
                let (v, decay) = match quarter {
                    2 => (0.62, 0.14),
                    0 => (0.3, 0.03),
                    _ => (0.2, 0.025),
                };
                let v = clock.touch(v);
                cymbal(&mut hats, at, v, 6_000.0, decay, 0.0, &mut rng);
                // The guitar's sixteenths: two of four sound, the others are scratched.
                let sounds = matches!((beat + quarter) % 4, 0 | 3);
                for &pitch in &chord[1..] {
                    let v = clock.touch(if sounds { 0.45 } else { 0.16 });
                    let string = if sounds {
                        Pluck {
                            bright: 0.8,
                            decay: 1.0,
                            ..Pluck::STEEL
                        }
                    } else {
                        Pluck {
                            bright: 0.9,
                            decay: 0.06,
                            ..Pluck::MUTED
                        }
                    };
                    pluck(
                        &mut guitar,
                        note(at, 0.09, pitch + 12.0, v),
                        string,
                        &mut rng,
                    );
                }
            }
            for half in 0..2_u8 {
                let at = clock.at(bar, b + f32::from(half) / 2.0);
                let pitch = root + 12.0 * f32::from(half) + if beat == 3 { 7.0 } else { 0.0 };
                let v = clock.touch(0.85);
                let string = Pluck {
                    bright: 0.3,
                    damp: 0.42,
                    ..Pluck::BASS
                };
                pluck(
                    &mut bass,
                    note(at, clock.beat * 0.5, pitch.min(50.0), v),
                    string,
                    &mut rng,
                );
            }
        }
        // High strings answer with a run at the end of the bar.
        for &pitch in &chord[2..] {
            let at = clock.at(bar, 0.0);
            sustain(
                &mut tutti,
                note(at, clock.beat * 2.4, pitch + 12.0, 0.6),
                pitch + 12.0,
                Sustain::STRINGS,
                &mut rng,
            );
        }
        let quick = Sustain {
            attack: 0.04,
            release: 0.1,
            ..Sustain::STRINGS
        };
        for (step, pitch) in [76.0, 79.0, 81.0, 84.0, 83.0, 79.0].into_iter().enumerate() {
            let at = clock.at(bar, 2.5 + step as f32 / 4.0);
            sustain(
                &mut tutti,
                note(at, clock.beat * 0.22, pitch, 0.65),
                pitch,
                quick,
                &mut rng,
            );
        }
        if bar % 2 == 1 {
            for &(beat, length) in &[(0.5, 0.2), (1.5, 0.2), (2.0, 0.8)] {
                for &pitch in &chord {
                    let at = clock.at(bar, beat);
                    sustain(
                        &mut horns,
                        note(at, length * clock.beat, pitch, 0.6),
                        pitch - 1.0,
                        Sustain::BRASS,
                        &mut rng,
                    );
                }
            }
        }
        for (step, beat) in [0.0, 0.75, 1.5, 2.0, 3.0].into_iter().enumerate() {
            for (singer, &pitch) in chord[1..].iter().enumerate() {
                let at = clock.at(bar, beat);
                let syllable = Voice {
                    vowel: [0, 3, 0, 4, 1][(step + bar) % 5],
                    consonant: 0.3,
                    from: -0.5,
                    fall: 0.0,
                    vibrato: 0.25,
                    size: 1.14 + 0.03 * singer as f32,
                };
                let v = clock.touch(0.5);
                voice(
                    &mut choir,
                    note(at, clock.beat * 0.6, pitch, v),
                    syllable,
                    &mut rng,
                );
            }
        }
        for &pitch in &chord {
            for beat in [0.0, 1.5, 2.5] {
                let (at, v) = (clock.at(bar, beat), clock.touch(0.35));
                electric_piano(&mut keys, note(at, clock.beat * 0.8, pitch, v));
            }
        }
    }
    Mix::new(-15.0, 0.16, 1.6)
        .tone([5.0, -2.0, 1.0, 0.0, 0.0, 0.0])
        .add(drums, Channel::new(1.1, 0.0, 0.02))
        .add(snares, Channel::new(0.5, 0.05, 0.15))
        .add(hands, Channel::new(0.4, -0.1, 0.2))
        .add(hats, Channel::new(0.5, 0.3, 0.05))
        .add(bass, Channel::new(1.5, 0.0, 0.0))
        .add(guitar, Channel::new(0.4, -0.5, 0.1))
        .add(tutti, Channel::new(0.5, 0.2, 0.4))
        .add(horns, Channel::new(0.4, 0.45, 0.25))
        .add(choir, Channel::new(0.5, -0.05, 0.3))
        .add(keys, Channel::new(0.4, -0.3, 0.2))
}

/// One drop at 74 beats a minute: skank, bubble, a deep bass and a singer.
pub(super) fn reggae(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(148.0, 4, 0.56, 0.006, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(4);
    let (mut drums, mut rim, mut hats) = (sheet.track(), sheet.track(), sheet.track());
    let (mut bass, mut skank, mut bubble, mut singer, mut horns) = (
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
    );
    // Am - Dm - G - C, two bars each.
    let chords: [[f32; 3]; 4] = [
        [57.0, 60.0, 64.0],
        [57.0, 62.0, 65.0],
        [55.0, 59.0, 62.0],
        [55.0, 60.0, 64.0],
    ];
    let lines: [&[(f32, f32, f32)]; 4] = [
        &[
            (0.0, 0.9, 33.0),
            (1.0, 0.4, 33.0),
            (1.5, 0.9, 36.0),
            (2.5, 0.4, 40.0),
            (3.0, 0.9, 33.0),
        ],
        &[
            (0.0, 0.9, 38.0),
            (1.5, 0.4, 38.0),
            (2.0, 0.9, 41.0),
            (3.0, 0.4, 38.0),
            (3.5, 0.4, 36.0),
        ],
        &[
            (0.0, 0.9, 31.0),
            (1.0, 0.4, 31.0),
            (1.5, 0.9, 35.0),
            (2.5, 0.4, 38.0),
            (3.0, 0.9, 31.0),
        ],
        &[
            (0.0, 0.9, 36.0),
            (1.5, 0.4, 36.0),
            (2.0, 0.9, 40.0),
            (3.0, 0.4, 43.0),
            (3.5, 0.4, 40.0),
        ],
    ];
    let tune = [
        69.0, 69.0, 67.0, 64.0, 67.0, 69.0, 72.0, 71.0, 67.0, 64.0, 62.0, 64.0,
    ];
    let mut sung = 0;
    for bar in 0..bars {
        let chord = chords[bar / 2 % 4];
        // Counted in halves of the slow beat: 2 is the drop, 1 and 3 the skank.
        let at = clock.at(bar, 2.0);
        kick(&mut drums, at, 0.95, 95.0, 48.0, 0.13, 0.12);
        struck(&mut rim, at, 0.8, 1_650.0, 0.014, &mut rng);
        snare(&mut rim, at, 0.28, 240.0, 0.05, &mut rng);
        for step in 0..8_u8 {
            let at = clock.at(bar, f32::from(step) / 2.0);
            let v = clock.touch(if step % 2 == 0 { 0.34 } else { 0.2 });
            let decay = if step == 7 && bar % 2 == 1 {
                0.12
            } else {
                0.028
            };
            cymbal(&mut hats, at, v, 6_500.0, decay, 0.0, &mut rng);
        }
        for beat in [1.0, 3.0] {
            let at = clock.at(bar, beat);
            for (string, &pitch) in chord.iter().enumerate() {
                let v = clock.touch(0.7);
                let kind = Pluck {
                    bright: 0.8,
                    decay: 1.2,
                    damp: 0.15,
                    ..Pluck::STEEL
                };
                pluck(
                    &mut skank,
                    note(at + 0.004 * string as f32, 0.085, pitch + 12.0, v),
                    kind,
                    &mut rng,
                );
            }
            for &pitch in &chord {
                let at = clock.at(bar, beat);
                piano(&mut skank, note(at, 0.1, pitch, 0.4), &mut rng);
            }
        }
        for step in [0.5, 1.0, 1.5, 2.5, 3.0, 3.5] {
            let at = clock.at(bar, step);
            for &pitch in &chord {
                let v = clock.touch(0.6);
                organ(
                    &mut bubble,
                    note(at, 0.1, pitch, v),
                    [8.0, 4.0, 8.0, 2.0, 0.0, 0.0, 0.0, 0.0, 0.0],
                );
            }
        }
        for &(beat, length, pitch) in lines[bar / 2 % 4] {
            let (at, v) = (clock.at(bar, beat), clock.touch(0.95));
            let string = Pluck {
                bright: 0.12,
                decay: 5.0,
                damp: 0.48,
                ..Pluck::BASS
            };
            pluck(
                &mut bass,
                note(at, length * clock.beat * 0.9, pitch, v),
                string,
                &mut rng,
            );
        }
        let sings = bar % 4 != 3;
        if sings {
            for (beat, length) in [(0.0, 0.9), (1.0, 0.45), (1.5, 0.9), (2.5, 1.3)] {
                let pitch = tune[sung % tune.len()] - 5.0;
                let syllable = Voice {
                    vowel: (sung * 7 + bar) % 5,
                    consonant: 0.7,
                    from: -0.8,
                    fall: 0.3,
                    vibrato: 0.3,
                    size: 1.03,
                };
                let (at, v) = (clock.at(bar, beat), clock.touch(0.8));
                voice(
                    &mut singer,
                    note(at, length * clock.beat * 0.9, pitch, v),
                    syllable,
                    &mut rng,
                );
                sung += 1;
            }
        } else {
            for (beat, pitch) in [(0.0, 64.0), (0.5, 67.0), (1.0, 69.0), (2.0, 67.0)] {
                let at = clock.at(bar, beat);
                sustain(
                    &mut horns,
                    note(at, clock.beat * 0.5, pitch, 0.6),
                    pitch - 0.7,
                    Sustain::BRASS,
                    &mut rng,
                );
            }
        }
    }
    Mix::new(-17.0, 0.22, 1.5)
        .tone([2.0, -5.0, -7.0, -6.0, -5.0, -2.0])
        .add(drums, Channel::new(0.95, 0.0, 0.05))
        .add(rim, Channel::new(0.5, 0.05, 0.3))
        .add(hats, Channel::new(0.4, 0.3, 0.05))
        .add(bass, Channel::new(1.5, 0.0, 0.0))
        .add(skank, Channel::new(0.55, -0.45, 0.35))
        .add(bubble, Channel::new(0.5, 0.4, 0.1))
        .add(singer, Channel::new(0.6, 0.0, 0.3))
        .add(horns, Channel::new(0.35, 0.3, 0.35))
}

/// A trio and a saxophone: swing at 138 beats a minute over a turnaround in F.
pub(super) fn jazz(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(138.0, 4, 0.64, 0.009, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(5);
    let (mut ride, mut brushes, mut drums) = (sheet.track(), sheet.track(), sheet.track());
    let (mut bass, mut keys, mut sax) = (sheet.track(), sheet.track(), sheet.track());
    // Gm7 - C9 - Fmaj9 - D7b9: walking root, rootless voicing, scale.
    let chords: [([f32; 4], [f32; 4], [f32; 7]); 4] = [
        (
            [43.0, 46.0, 50.0, 49.0],
            [58.0, 62.0, 65.0, 69.0],
            [67.0, 69.0, 70.0, 72.0, 74.0, 76.0, 77.0],
        ),
        (
            [48.0, 46.0, 43.0, 42.0],
            [58.0, 62.0, 64.0, 69.0],
            [67.0, 69.0, 70.0, 72.0, 74.0, 76.0, 77.0],
        ),
        (
            [41.0, 45.0, 48.0, 52.0],
            [57.0, 60.0, 64.0, 67.0],
            [65.0, 67.0, 69.0, 72.0, 74.0, 76.0, 79.0],
        ),
        (
            [50.0, 48.0, 45.0, 44.0],
            [54.0, 60.0, 63.0, 69.0],
            [66.0, 69.0, 72.0, 73.0, 75.0, 78.0, 81.0],
        ),
    ];
    let (mut step, mut last) = (3_i32, 72.0);
    for bar in 0..bars {
        let (walk, voicing, scale) = chords[bar % 4];
        for (beat, pitch) in walk.into_iter().enumerate() {
            let (at, v) = (clock.at(bar, beat as f32), clock.touch(0.9));
            pluck(
                &mut bass,
                note(
                    at,
                    clock.beat * 0.92,
                    pitch - 12.0 * f32::from(u8::from(pitch > 47.0)),
                    v,
                ),
                Pluck::UPRIGHT,
                &mut rng,
            );
        }
        for (beat, v) in [
            (0.0, 0.4),
            (1.0, 0.5),
            (1.5, 0.3),
            (2.0, 0.4),
            (3.0, 0.5),
            (3.5, 0.3),
        ] {
            let (at, v) = (clock.at(bar, beat), clock.touch(v));
            cymbal(&mut ride, at, v, 3_800.0, 0.32, 0.5, &mut rng);
        }
        for beat in [1.0, 3.0] {
            let at = clock.at(bar, beat);
            cymbal(&mut ride, at, 0.25, 7_000.0, 0.025, 0.0, &mut rng);
        }
        for beat in 0..4_u8 {
            let at = clock.at(bar, f32::from(beat));
            swish(&mut brushes, at, 0.35, 3_200.0, 0.09, 0.07, &mut rng);
            kick(&mut drums, at, 0.16, 80.0, 55.0, 0.08, 0.05);
        }
        let comps: &[f32] = rng.pick(&[&[0.5, 2.5][..], &[0.0, 1.5], &[1.5, 3.5], &[0.0, 2.5]]);
        for &beat in comps {
            let at = clock.at(bar, beat);
            for pitch in voicing {
                let v = clock.touch(0.36);
                piano(&mut keys, note(at, clock.beat * 0.55, pitch, v), &mut rng);
            }
        }
        // Phrases of eighths that wander through the scale, with rests.
        let solo_on_piano = bar / 4 % 2 == 1;
        for eighth in 0..8_u8 {
            if rng.unit()
                < if bar % 4 == 3 && eighth > 4 {
                    0.8
                } else {
                    0.22
                }
            {
                continue;
            }
            step = (step + rng.pick(&[-2, -1, -1, 1, 1, 2])).clamp(0, 6);
            let pitch = scale[step as usize];
            let at = clock.at(bar, f32::from(eighth) / 2.0);
            let v = clock.touch(if eighth % 2 == 1 { 0.75 } else { 0.6 });
            if solo_on_piano {
                piano(&mut keys, note(at, clock.beat * 0.5, pitch, v), &mut rng);
            } else {
                let long = if rng.unit() < 0.15 { 1.4 } else { 0.48 };
                sustain(
                    &mut sax,
                    note(at, clock.beat * long, pitch, v),
                    last,
                    Sustain::SAX,
                    &mut rng,
                );
            }
            last = pitch;
        }
    }
    Mix::new(-21.0, 0.2, 1.4)
        .tone([-2.0, -1.0, -5.0, -7.0, -8.0, -8.0])
        .add(ride, Channel::new(0.75, 0.35, 0.15))
        .add(brushes, Channel::new(0.3, 0.1, 0.15))
        .add(drums, Channel::new(0.6, 0.0, 0.05))
        .add(bass, Channel::new(0.9, -0.05, 0.06))
        .add(keys, Channel::new(0.85, -0.35, 0.2))
        .add(sax, Channel::new(0.95, 0.2, 0.3))
}

/// A slow shuffle in E: guitar boogie, bent lead notes and a man who sings between them.
pub(super) fn blues(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(92.0, 4, 0.66, 0.012, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(6);
    let (mut rhythm, mut lead, mut bass, mut singer) =
        (sheet.track(), sheet.track(), sheet.track(), sheet.track());
    let (mut drums, mut hats) = (sheet.track(), sheet.track());
    // Twelve bars: E E E E  A A E E  B A E B
    let form = [
        40.0, 45.0, 40.0, 40.0, 45.0, 45.0, 40.0, 40.0, 47.0, 45.0, 40.0, 47.0,
    ];
    let scale = [64.0, 67.0, 69.0, 70.0, 71.0, 74.0, 76.0, 79.0];
    let mut step = 3_i32;
    for bar in 0..bars {
        let root = form[bar % 12];
        for beat in 0..4_u8 {
            let b = f32::from(beat);
            for (half, strength) in [(0.0, 0.75), (0.5, 0.5)] {
                let sixth = if beat % 2 == 1 { 9.0 } else { 7.0 };
                for interval in [0.0, sixth] {
                    let (at, v) = (clock.at(bar, b + half), clock.touch(strength));
                    let string = Pluck {
                        bright: 0.5,
                        decay: 1.6,
                        damp: 0.18,
                        ..Pluck::STEEL
                    };
                    pluck(
                        &mut rhythm,
                        note(at, clock.beat * 0.4, root + interval, v),
                        string,
                        &mut rng,
                    );
                }
            }
            let pitch = root - 12.0 + [0.0, 4.0, 7.0, 9.0][usize::from(beat)];
            let (at, v) = (clock.at(bar, b), clock.touch(0.85));
            pluck(
                &mut bass,
                note(at, clock.beat * 0.85, pitch, v),
                Pluck::UPRIGHT,
                &mut rng,
            );
            cymbal(&mut hats, at, 0.22, 5_500.0, 0.05, 0.0, &mut rng);
            let at = clock.at(bar, b + 0.5);
            cymbal(&mut hats, at, 0.13, 5_500.0, 0.04, 0.0, &mut rng);
            if beat % 2 == 0 {
                let at = clock.at(bar, b);
                kick(&mut drums, at, 0.5, 85.0, 52.0, 0.1, 0.08);
            } else {
                let at = clock.at(bar, b);
                snare(&mut drums, at, 0.32, 190.0, 0.08, &mut rng);
            }
        }
        if bar % 2 == 0 {
            for (beat, length, pitch) in [
                (0.0, 0.6, 59.0),
                (0.5, 0.4, 59.0),
                (1.0, 0.9, 62.0),
                (2.0, 0.5, 59.0),
                (2.5, 1.2, 57.0),
            ] {
                let syllable = Voice {
                    vowel: rng.pick(&[0, 1, 3, 0]),
                    consonant: 0.6,
                    from: -1.2,
                    fall: 0.9,
                    vibrato: 0.3,
                    size: 0.97,
                };
                let (at, v) = (clock.at(bar, beat), clock.touch(0.8));
                voice(
                    &mut singer,
                    note(at, length * clock.beat, pitch - 7.0, v),
                    syllable,
                    &mut rng,
                );
            }
        } else {
            for eighth in 0..8_u8 {
                if rng.unit() < 0.3 {
                    continue;
                }
                step = (step + rng.pick(&[-2, -1, -1, 1, 1, 2])).clamp(0, 7);
                let long = rng.unit() < 0.3;
                let string = Pluck {
                    bright: 0.7,
                    decay: 6.0,
                    bend: if rng.unit() < 0.4 { -1.8 } else { 0.0 },
                    vibrato: if long { 0.4 } else { 0.1 },
                    ..Pluck::ELECTRIC
                };
                let (at, v) = (clock.at(bar, f32::from(eighth) / 2.0), clock.touch(0.8));
                let length = clock.beat * if long { 1.2 } else { 0.45 };
                pluck(
                    &mut lead,
                    note(at, length, scale[step as usize], v),
                    string,
                    &mut rng,
                );
            }
        }
    }
    amplifier(&mut lead, 0.5);
    amplifier(&mut rhythm, 0.9);
    // As an old record of a small club: warm, the drums far away.
    Mix::new(-20.0, 0.2, 1.1)
        .tone([6.5, 2.0, -5.0, -12.0, -13.0, -10.0])
        .add(rhythm, Channel::new(0.35, -0.3, 0.15))
        .add(lead, Channel::new(0.35, 0.3, 0.25))
        .add(bass, Channel::new(0.9, 0.0, 0.05))
        .add(singer, Channel::new(0.9, 0.0, 0.2))
        .add(drums, Channel::new(0.3, 0.05, 0.12))
        .add(hats, Channel::new(0.15, 0.2, 0.1))
}

/// Boom bap at 92 beats a minute: a dusty loop, a heavy kick, a sub bass and a rapper.
pub(super) fn hiphop(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(92.0, 4, 0.56, 0.005, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(7);
    let (mut drums, mut snares, mut hats) = (sheet.track(), sheet.track(), sheet.track());
    let (mut bass, mut keys, mut rapper, mut dust) =
        (sheet.track(), sheet.track(), sheet.track(), sheet.track());
    let chords: [(f32, [f32; 4]); 2] = [
        (33.0, [57.0, 60.0, 64.0, 67.0]),
        (29.0, [53.0, 57.0, 60.0, 64.0]),
    ];
    for bar in 0..bars {
        let (root, chord) = chords[bar % 2];
        for beat in [0.0, 0.75, 2.5] {
            let (at, v) = (clock.at(bar, beat), clock.touch(1.0));
            kick(&mut drums, at, v, 120.0, 46.0, 0.16, 0.2);
        }
        for beat in [1.0, 3.0] {
            let (at, v) = (clock.at(bar, beat), clock.touch(0.9));
            snare(&mut snares, at, v, 195.0, 0.085, &mut rng);
            clap(&mut snares, at, 0.35, &mut rng);
        }
        for step in 0..8_u8 {
            let at = clock.at(bar, f32::from(step) / 2.0);
            let v = clock.touch(if step % 2 == 0 { 0.36 } else { 0.24 });
            cymbal(&mut hats, at, v, 6_500.0, 0.03, 0.0, &mut rng);
        }
        for (beat, length, interval) in [
            (0.0, 0.7, 0.0),
            (0.75, 1.0, 0.0),
            (2.5, 0.5, 7.0),
            (3.0, 0.8, 10.0),
        ] {
            let at = clock.at(bar, beat);
            let length = length * clock.beat;
            let step = std::f32::consts::TAU * hz(root + interval) / bass.rate;
            let mut sub = Track::new(bass.rate, length + 0.05);
            let samples = sub.samples.len() as f32;
            for (i, x) in sub.samples.iter_mut().enumerate() {
                let i = i as f32;
                let level = (i / 300.0).min(1.0) * ((samples - i) / 900.0).min(1.0);
                let phase = step * i;
                *x = level * (phase.sin() + 0.2 * (2.0 * phase).sin());
            }
            bass.mix_in(&sub, at, 0.9);
        }
        for (beat, strength) in [(0.0, 0.55), (1.5, 0.4), (2.75, 0.45)] {
            for pitch in chord {
                let (at, v) = (clock.at(bar, beat), clock.touch(strength));
                electric_piano(&mut keys, note(at, clock.beat * 1.1, pitch, v));
            }
        }
        for (beat, pitch) in [(3.0, 76.0), (3.25, 74.0), (3.5, 72.0)] {
            let at = clock.at(bar, beat);
            electric_piano(&mut keys, note(at, clock.beat * 0.4, pitch, 0.5));
        }
        // Sixteen syllables a bar, most of them there, with the melody of speech.
        for sixteenth in 0..16_u8 {
            if rng.unit() < if sixteenth >= 14 { 0.8 } else { 0.16 } {
                continue;
            }
            let stressed = sixteenth % 4 == 0;
            let syllable = Voice {
                vowel: rng.pick(&[0, 1, 2, 3, 4]),
                consonant: 1.3,
                from: 1.0,
                fall: 2.0 + 2.0 * rng.unit(),
                vibrato: 0.0,
                size: 1.0,
            };
            let pitch = 46.0 + 5.0 * rng.unit() + if stressed { 4.0 } else { 0.0 };
            let at = clock.at(bar, f32::from(sixteenth) / 4.0);
            let v = clock.touch(if stressed { 1.0 } else { 0.75 });
            voice(
                &mut rapper,
                note(at, clock.beat * 0.2, pitch, v),
                syllable,
                &mut rng,
            );
        }
    }
    for sample in &mut dust.samples {
        let click = if rng.unit() < 0.0004 {
            rng.bipolar()
        } else {
            0.0
        };
        *sample = 0.006 * rng.bipolar() + 0.25 * click;
    }
    Mix::new(-14.0, 0.07, 0.7)
        .tone([0.0, 0.0, 5.0, 9.0, 9.0, 6.0])
        .add(drums, Channel::new(1.2, 0.0, 0.02))
        .add(snares, Channel::new(0.75, 0.0, 0.12))
        .add(hats, Channel::new(0.4, 0.2, 0.05))
        .add(bass, Channel::new(0.75, 0.0, 0.0))
        .add(keys, Channel::new(0.5, -0.25, 0.2))
        .add(rapper, Channel::new(1.0, 0.0, 0.06))
        .add(dust, Channel::new(0.4, 0.0, 0.0))
}

/// Train beat at 112 beats a minute: acoustic guitar, fiddle, pedal steel and a singer in G.
pub(super) fn country(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(112.0, 4, 0.53, 0.008, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(8);
    let (mut guitar, mut bass, mut fiddle, mut steel, mut singer) = (
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
    );
    let mut drums = sheet.track();
    // G - C - G - D - G - C - D - G
    let chords: [(f32, [f32; 3]); 4] = [
        (43.0, [59.0, 62.0, 67.0]),
        (48.0, [60.0, 64.0, 67.0]),
        (50.0, [57.0, 62.0, 66.0]),
        (43.0, [59.0, 62.0, 67.0]),
    ];
    let order = [0, 1, 0, 2, 0, 1, 2, 3];
    let melody: [&[(f32, f32, f32)]; 4] = [
        &[
            (0.0, 1.0, 62.0),
            (1.0, 0.5, 64.0),
            (1.5, 0.5, 67.0),
            (2.0, 1.8, 67.0),
        ],
        &[
            (0.0, 1.0, 69.0),
            (1.0, 0.5, 67.0),
            (1.5, 0.5, 64.0),
            (2.0, 1.8, 67.0),
        ],
        &[
            (0.0, 0.5, 62.0),
            (0.5, 0.5, 62.0),
            (1.0, 1.0, 66.0),
            (2.0, 1.8, 69.0),
        ],
        &[(0.0, 1.0, 71.0), (1.0, 1.0, 69.0), (2.0, 1.8, 67.0)],
    ];
    for bar in 0..bars {
        let which = order[bar % 8];
        let (root, chord) = chords[which];
        for beat in 0..4_u8 {
            let b = f32::from(beat);
            if beat % 2 == 0 {
                let pitch = if beat == 0 {
                    root
                } else {
                    root + if root > 45.0 { -5.0 } else { 7.0 }
                };
                let (at, v) = (clock.at(bar, b), clock.touch(0.85));
                pluck(
                    &mut bass,
                    note(at, clock.beat * 1.9, pitch - 12.0, v),
                    Pluck {
                        decay: 4.0,
                        damp: 0.45,
                        ..Pluck::UPRIGHT
                    },
                    &mut rng,
                );
                pluck(
                    &mut guitar,
                    note(at, clock.beat, pitch, 0.7),
                    Pluck::STEEL,
                    &mut rng,
                );
                kick(&mut drums, at, 0.4, 80.0, 55.0, 0.08, 0.08);
            }
            // Down and up strokes across the strings.
            for (half, strength) in [(0.0, if beat % 2 == 1 { 0.75 } else { 0.0 }), (0.5, 0.4)] {
                if strength > 0.0 {
                    let at = clock.at(bar, b + half);
                    for (string, &pitch) in chord.iter().chain(&[chord[0] + 12.0]).enumerate() {
                        let v = clock.touch(strength);
                        let kind = Pluck {
                            bright: 0.9,
                            decay: 2.2,
                            damp: 0.08,
                            ..Pluck::STEEL
                        };
                        pluck(
                            &mut guitar,
                            note(at + 0.009 * string as f32, clock.beat * 0.5, pitch, v),
                            kind,
                            &mut rng,
                        );
                    }
                }
            }
            for quarter in 0..4_u8 {
                let at = clock.at(bar, b + f32::from(quarter) / 4.0);
                let accent = quarter == 2 || (quarter == 0 && beat % 2 == 1);
                let v = clock.touch(if accent { 0.32 } else { 0.12 });
                swish(&mut drums, at, v * 2.2, 3_800.0, 0.004, 0.03, &mut rng);
            }
        }
        if bar % 8 < 4 {
            let mut from = 62.0_f32;
            for (index, &(beat, length, pitch)) in melody[which].iter().enumerate() {
                let syllable = Voice {
                    vowel: (bar * 3 + index * 2) % 5,
                    consonant: 0.6,
                    from: (from - pitch).clamp(-2.0, 2.0),
                    fall: 0.2,
                    vibrato: 0.35,
                    size: 1.02,
                };
                from = pitch;
                let (at, v) = (clock.at(bar, beat), clock.touch(0.8));
                voice(
                    &mut singer,
                    note(at, length * clock.beat * 0.92, pitch - 5.0, v),
                    syllable,
                    &mut rng,
                );
            }
        } else {
            let mut from = 74.0;
            for (step, offset) in [0.0, 2.0, 4.0, 7.0, 9.0, 7.0, 4.0, 2.0]
                .into_iter()
                .enumerate()
            {
                let pitch = 67.0 + offset;
                let (at, v) = (clock.at(bar, step as f32 / 2.0), clock.touch(0.7));
                sustain(
                    &mut fiddle,
                    note(at, clock.beat * 0.5, pitch, v),
                    from,
                    Sustain::VIOLIN,
                    &mut rng,
                );
                from = pitch;
            }
        }
        for &pitch in &chord[1..] {
            let at = clock.at(bar, 0.0);
            let kind = Pluck {
                bright: 0.5,
                decay: 9.0,
                damp: 0.1,
                bend: -2.0,
                vibrato: 0.25,
                position: 0.3,
            };
            pluck(
                &mut steel,
                note(at, clock.bar() * 0.95, pitch + 12.0, 0.55),
                kind,
                &mut rng,
            );
        }
    }
    Mix::new(-16.0, 0.13, 1.0)
        .tone([6.0, 2.0, 0.0, 0.0, 0.0, 0.0])
        .add(guitar, Channel::new(0.75, -0.3, 0.1))
        .add(bass, Channel::new(0.9, 0.0, 0.03))
        .add(fiddle, Channel::new(0.45, 0.35, 0.2))
        .add(steel, Channel::new(0.5, 0.4, 0.3))
        .add(singer, Channel::new(0.95, 0.0, 0.18))
        .add(drums, Channel::new(0.6, 0.05, 0.08))
}

/// Straight eighths at 126 beats a minute: overdriven chords, bass, drums and a shouting singer in A.
pub(super) fn rock(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(126.0, 4, 0.5, 0.007, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(9);
    let (mut bass, mut singer, mut lead) = (sheet.track(), sheet.track(), sheet.track());
    let (mut drums, mut snares, mut hats) = (sheet.track(), sheet.track(), sheet.track());
    let roots = [45.0, 43.0, 50.0, 45.0];
    let mut guitars = [sheet.track(), sheet.track()];
    for (side, guitar) in guitars.iter_mut().enumerate() {
        for bar in 0..bars {
            let root = roots[bar % 4];
            for (beat, length) in [(0.0, 1.4), (1.5, 0.4), (2.0, 0.4), (2.5, 0.9), (3.5, 0.4)] {
                let at = clock.at(bar, beat);
                for interval in [0.0, 7.0, 12.0, 16.0] {
                    let v = clock.touch(0.6);
                    let string = Pluck {
                        bright: 0.7,
                        ..Pluck::ELECTRIC
                    };
                    pluck(
                        guitar,
                        note(
                            at + 0.004 * interval / 7.0,
                            clock.beat * length,
                            root + interval,
                            v,
                        ),
                        string,
                        &mut rng,
                    );
                }
            }
        }
        amplifier(guitar, 5.0 + side as f32);
    }
    for bar in 0..bars {
        let root = roots[bar % 4];
        for step in 0..8_u8 {
            let at = clock.at(bar, f32::from(step) / 2.0);
            let v = clock.touch(0.85);
            pluck(
                &mut bass,
                note(at, clock.beat * 0.45, root - 12.0, v),
                Pluck {
                    bright: 0.5,
                    ..Pluck::BASS
                },
                &mut rng,
            );
            let v = clock.touch(if step % 2 == 0 { 0.45 } else { 0.3 });
            cymbal(&mut hats, at, v, 5_000.0, 0.09, 0.0, &mut rng);
        }
        for beat in [0.0, 1.5, 2.0] {
            let at = clock.at(bar, beat);
            kick(&mut drums, at, 0.9, 105.0, 50.0, 0.1, 0.25);
        }
        for beat in [1.0, 3.0] {
            let at = clock.at(bar, beat);
            snare(&mut snares, at, 0.95, 180.0, 0.12, &mut rng);
        }
        if bar % 4 == 0 {
            let at = clock.at(bar, 0.0);
            cymbal(&mut hats, at, 0.6, 2_500.0, 0.7, 0.0, &mut rng);
        }
        if bar % 8 < 6 {
            for (index, (beat, length, pitch)) in [
                (0.0, 0.5, 64.0),
                (0.5, 0.5, 64.0),
                (1.0, 1.0, 67.0),
                (2.0, 0.5, 69.0),
                (2.5, 1.2, 67.0),
            ]
            .into_iter()
            .enumerate()
            {
                let syllable = Voice {
                    vowel: (bar + index * 2) % 5,
                    consonant: 0.9,
                    from: -1.0,
                    fall: 0.5,
                    vibrato: 0.25,
                    size: 1.04,
                };
                let (at, v) = (clock.at(bar, beat), clock.touch(0.9));
                voice(
                    &mut singer,
                    note(at, length * clock.beat, pitch, v),
                    syllable,
                    &mut rng,
                );
            }
        } else {
            for (step, pitch) in [69.0, 72.0, 74.0, 76.0, 74.0, 72.0, 69.0, 67.0]
                .into_iter()
                .enumerate()
            {
                let string = Pluck {
                    bend: if step % 3 == 0 { -2.0 } else { 0.0 },
                    vibrato: 0.3,
                    ..Pluck::ELECTRIC
                };
                let at = clock.at(bar, step as f32 / 2.0);
                pluck(
                    &mut lead,
                    note(at, clock.beat * 0.5, pitch, 0.8),
                    string,
                    &mut rng,
                );
            }
        }
    }
    amplifier(&mut lead, 9.0);
    amplifier(&mut singer, 1.2);
    let [left, right] = guitars;
    Mix::new(-15.0, 0.13, 1.4)
        .tone([7.0, 1.0, -5.0, -6.0, -7.0, -4.0])
        .add(left, Channel::new(0.4, -0.7, 0.08))
        .add(right, Channel::new(0.4, 0.7, 0.08))
        .add(lead, Channel::new(0.4, 0.15, 0.3))
        .add(bass, Channel::new(0.9, 0.0, 0.0))
        .add(singer, Channel::new(0.7, 0.0, 0.2))
        .add(drums, Channel::new(0.9, 0.0, 0.05))
        .add(snares, Channel::new(0.65, 0.0, 0.2))
        .add(hats, Channel::new(0.45, 0.25, 0.1))
}

/// A song of the radio at 104 beats a minute: drum machine, synthesisers and a woman's voice in C.
pub(super) fn pop(sheet: &Sheet) -> Mix {
    let mut clock = Clock::new(104.0, 4, 0.5, 0.003, sheet.seed);
    let bars = sheet.bars(&clock);
    let mut rng = sheet.rng(11);
    let (mut drums, mut snares, mut hats) = (sheet.track(), sheet.track(), sheet.track());
    let (mut bass, mut pad, mut keys, mut singer, mut guitar) = (
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
        sheet.track(),
    );
    // C - G - Am - F
    let chords: [(f32, [f32; 3]); 4] = [
        (36.0, [60.0, 64.0, 67.0]),
        (43.0, [59.0, 62.0, 67.0]),
        (45.0, [60.0, 64.0, 69.0]),
        (41.0, [60.0, 65.0, 69.0]),
    ];
    let melody: [&[(f32, f32, f32)]; 4] = [
        &[
            (0.0, 0.5, 67.0),
            (0.5, 0.5, 67.0),
            (1.0, 1.0, 72.0),
            (2.0, 0.5, 71.0),
            (2.5, 1.2, 67.0),
        ],
        &[
            (0.0, 0.5, 67.0),
            (0.5, 0.5, 69.0),
            (1.0, 1.0, 71.0),
            (2.0, 1.5, 74.0),
        ],
        &[
            (0.0, 0.5, 72.0),
            (0.5, 0.5, 72.0),
            (1.0, 1.0, 76.0),
            (2.0, 0.5, 74.0),
            (2.5, 1.2, 72.0),
        ],
        &[
            (0.0, 1.0, 69.0),
            (1.0, 0.5, 71.0),
            (1.5, 0.5, 72.0),
            (2.0, 1.8, 69.0),
        ],
    ];
    for bar in 0..bars {
        let (root, chord) = chords[bar % 4];
        for beat in [0.0, 1.75, 2.0, 2.5] {
            let at = clock.at(bar, beat);
            kick(&mut drums, at, 0.95, 120.0, 50.0, 0.13, 0.3);
        }
        for beat in [1.0, 3.0] {
            let at = clock.at(bar, beat);
            snare(&mut snares, at, 0.8, 200.0, 0.11, &mut rng);
            clap(&mut snares, at, 0.5, &mut rng);
        }
        for step in 0..16_u8 {
            let at = clock.at(bar, f32::from(step) / 4.0);
            let v = clock.touch(if step % 4 == 2 { 0.4 } else { 0.22 });
            cymbal(&mut hats, at, v, 7_000.0, 0.03, 0.0, &mut rng);
            let pitch = chord[usize::from(step) % 3] + 12.0;
            let v = clock.touch(0.4);
            pluck(
                &mut guitar,
                note(at, clock.beat * 0.25, pitch, v),
                Pluck {
                    bright: 0.7,
                    decay: 0.8,
                    ..Pluck::STEEL
                },
                &mut rng,
            );
        }
        for step in 0..8_u8 {
            let at = clock.at(bar, f32::from(step) / 2.0);
            let kind = Sustain {
                players: 2,
                detune: 0.08,
                attack: 0.005,
                release: 0.03,
                dark: 300.0,
                open: 1_300.0,
                ..Sustain::PAD
            };
            sustain(
                &mut bass,
                note(at, clock.beat * 0.4, root, 0.9),
                root,
                kind,
                &mut rng,
            );
        }
        for pitch in chord {
            let at = clock.at(bar, 0.0);
            let kind = Sustain {
                open: 3_000.0,
                ..Sustain::PAD
            };
            sustain(
                &mut pad,
                note(at, clock.bar() * 0.97, pitch, 0.6),
                pitch,
                kind,
                &mut rng,
            );
            for beat in [0.0, 1.5, 3.0] {
                let at = clock.at(bar, beat);
                piano(&mut keys, note(at, clock.beat * 0.9, pitch, 0.5), &mut rng);
            }
        }
        let mut from = 67.0_f32;
        for (index, &(beat, length, pitch)) in melody[bar % 4].iter().enumerate() {
            for (doubling, detune) in [(0.0, 0.0), (0.012, 0.08)] {
                let syllable = Voice {
                    vowel: (bar * 2 + index) % 5,
                    consonant: 0.7,
                    from: (from - pitch).clamp(-1.0, 1.0),
                    fall: 0.0,
                    vibrato: 0.3,
                    size: 1.16,
                };
                let (at, v) = (clock.at(bar, beat), clock.touch(0.7));
                voice(
                    &mut singer,
                    note(at + doubling, length * clock.beat * 0.93, pitch + detune, v),
                    syllable,
                    &mut rng,
                );
            }
            from = pitch;
        }
    }
    Mix::new(-15.0, 0.18, 1.8)
        .tone([2.0, -2.0, 0.0, 2.0, 4.0, 5.0])
        .add(drums, Channel::new(0.9, 0.0, 0.03))
        .add(snares, Channel::new(0.55, 0.0, 0.2))
        .add(hats, Channel::new(0.4, 0.2, 0.05))
        .add(bass, Channel::new(0.8, 0.0, 0.0))
        .add(pad, Channel::new(0.5, 0.0, 0.3))
        .add(keys, Channel::new(0.5, -0.3, 0.2))
        .add(guitar, Channel::new(0.35, 0.5, 0.15))
        .add(singer, Channel::new(0.8, 0.0, 0.25))
}
