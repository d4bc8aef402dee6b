//! One drop at 74 beats a minute: skank, bubble, a deep bass and a singer.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{
        Pluck, Sustain, Voice, cymbal, kick, organ, piano, pluck, snare, struck, sustain, voice,
    },
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn reggae(sheet: &Sheet) -> Mix {
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
