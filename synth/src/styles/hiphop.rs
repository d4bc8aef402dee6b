//! Boom bap at 92 beats a minute: a dusty loop, a heavy kick, a sub bass and a rapper.

use super::{Clock, Sheet, note};
use crate::{
    instruments::{Track, Voice, clap, cymbal, electric_piano, hz, kick, snare, voice},
    mix::{Channel, Mix},
};

/// The piece.
pub(crate) fn hiphop(sheet: &Sheet) -> Mix {
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
