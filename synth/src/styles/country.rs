//! Train beat at 112 beats a minute: acoustic guitar, fiddle, pedal steel and a singer in G.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Pluck, Sustain, Voice, kick, pluck, sustain, swish, voice},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn country(sheet: &Sheet) -> Mix {
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
