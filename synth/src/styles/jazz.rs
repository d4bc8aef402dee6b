//! A trio and a saxophone: swing at 138 beats a minute over a turnaround in F.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, Sustain, cymbal, kick, piano, pluck, sustain, swish},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn jazz(sheet: &Sheet) -> Mix {
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
