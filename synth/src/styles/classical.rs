//! A slow movement for piano, strings and flute in A minor.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Sustain, flute, piano, sustain},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn classical(sheet: &Sheet) -> Mix {
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
