//! A slow shuffle in E: guitar boogie, bent lead notes and a man who sings between them.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, Voice, amplifier, cymbal, kick, pluck, snare, voice},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn blues(sheet: &Sheet) -> Mix {
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
