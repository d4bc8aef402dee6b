//! Straight eighths at 126 beats a minute: overdriven chords, bass, drums and a shouting singer in
//! A.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, Voice, amplifier, cymbal, kick, pluck, snare, voice},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn rock(sheet: &Sheet) -> Mix {
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
