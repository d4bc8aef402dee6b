//! Two guitars, bass and double bass drums at 168 beats a minute, in E Phrygian.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, amplifier, cymbal, kick, pluck, snare},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn metal(sheet: &Sheet) -> Mix {
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
