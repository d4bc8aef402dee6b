//! A song of the radio at 104 beats a minute: drum machine, synthesisers and a woman's voice in C.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, Sustain, Voice, clap, cymbal, kick, piano, pluck, snare, sustain, voice},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn pop(sheet: &Sheet) -> Mix {
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
