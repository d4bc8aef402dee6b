//! Four on the floor, octave bass, open hats, strings, horns and a choir at 120 beats a minute.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{
        Pluck, Sustain, Voice, clap, cymbal, electric_piano, kick, pluck, snare, sustain, voice,
    },
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn disco(sheet: &Sheet) -> Mix {
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
