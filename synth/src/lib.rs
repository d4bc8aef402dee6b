//! Music made in code: ten plainly different pieces, composed and synthesised here, for the
//! demonstration and for tests. No samples, no files; the same seed gives the same music.
//!
//! Strings are plucked after Karplus and Strong, pianos are additive with stiff strings, bowed
//! strings, brass and reeds are filtered sawtooths, singers are a glottal source through formants,
//! drums are modes and filtered noise. What genre a model hears in it is for the model to say:
//! nothing here knows of models.

mod instruments;
mod mix;
mod styles;

/// Longest piece, in seconds.
pub const MAX_SECONDS: f64 = 600.0;

/// What a piece is meant to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Style {
    /// A slow shuffle in E.
    Blues,
    /// Piano, strings and flute in A minor.
    Classical,
    /// Train beat, fiddle and pedal steel in G.
    Country,
    /// Four on the floor, octave bass and strings.
    Disco,
    /// Boom bap with a rapper.
    HipHop,
    /// A swing quartet over a turnaround in F.
    Jazz,
    /// Two distorted guitars and double bass drums.
    Metal,
    /// Drum machine, synthesisers and a voice in C.
    Pop,
    /// One drop with skank, bubble and deep bass.
    Reggae,
    /// Overdriven chords in straight eighths in A.
    Rock,
}

impl Style {
    /// All of them.
    pub const ALL: [Style; 10] = [
        Style::Blues,
        Style::Classical,
        Style::Country,
        Style::Disco,
        Style::HipHop,
        Style::Jazz,
        Style::Metal,
        Style::Pop,
        Style::Reggae,
        Style::Rock,
    ];

    /// The genre it is meant to be, in one word.
    pub const fn name(self) -> &'static str {
        match self {
            Style::Blues => "blues",
            Style::Classical => "classical",
            Style::Country => "country",
            Style::Disco => "disco",
            Style::HipHop => "hiphop",
            Style::Jazz => "jazz",
            Style::Metal => "metal",
            Style::Pop => "pop",
            Style::Reggae => "reggae",
            Style::Rock => "rock",
        }
    }

    /// Who plays what, for people.
    pub const fn description(self) -> &'static str {
        match self {
            Style::Blues => "a slow shuffle in E: guitar boogie, bent notes, a singer",
            Style::Classical => "a slow movement in A minor: piano, strings, flute",
            Style::Country => "a train beat in G: acoustic guitar, fiddle, pedal steel, a singer",
            Style::Disco => "four on the floor: octave bass, open hats, strings, horns, a choir",
            Style::HipHop => "boom bap: heavy drums, sub bass, a dusty loop, a rapper",
            Style::Jazz => "swing over a turnaround in F: double bass, ride, piano, saxophone",
            Style::Metal => "a gallop in E: two distorted guitars, double bass drums",
            Style::Pop => "a song in C: drum machine, synthesisers, a voice",
            Style::Reggae => "one drop: skank, organ bubble, deep bass, a singer",
            Style::Rock => "straight eighths in A: overdriven chords, bass, drums, a singer",
        }
    }

    /// The style of that [`name`](Style::name).
    pub fn from_name(name: &str) -> Option<Style> {
        Self::ALL.into_iter().find(|style| style.name() == name)
    }
}

/// Plays a piece for `seconds` (0 to [`MAX_SECONDS`]; beyond, that much) at `rate` Hz: left and
/// right, within -0.9..=0.9, as long as each other. It begins at once and stops where it is.
/// Another seed is another take: the same piece with other human errors and another solo.
///
/// ```
/// use genrescope_synth::{Style, render};
///
/// let (left, right) = render(Style::Reggae, 22_050, 2.0, 1);
/// assert_eq!((left.len(), right.len()), (44_100, 44_100));
/// ```
pub fn render(style: Style, rate: u32, seconds: f64, seed: u64) -> (Vec<f32>, Vec<f32>) {
    let seconds = if seconds.is_finite() {
        seconds.clamp(0.0, MAX_SECONDS)
    } else {
        0.0
    };
    let n_samples = (seconds * f64::from(rate)).round() as usize;
    let sheet = styles::Sheet {
        rate: rate as f32,
        // A little more, as tracks are cut to whole samples in f32.
        seconds: seconds as f32 + 0.01,
        seed,
    };
    let piece = match style {
        Style::Blues => styles::blues::blues,
        Style::Classical => styles::classical::classical,
        Style::Country => styles::country::country,
        Style::Disco => styles::disco::disco,
        Style::HipHop => styles::hiphop::hiphop,
        Style::Jazz => styles::jazz::jazz,
        Style::Metal => styles::metal::metal,
        Style::Pop => styles::pop::pop,
        Style::Reggae => styles::reggae::reggae,
        Style::Rock => styles::rock::rock,
    };
    let (mut left, mut right) = piece(&sheet).finish();
    left.resize(n_samples, 0.0);
    right.resize(n_samples, 0.0);
    (left, right)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn short(style: Style, seed: u64) -> (Vec<f32>, Vec<f32>) {
        render(style, 16_000, 3.0, seed)
    }

    #[test]
    fn every_style_is_sound_music() {
        for style in Style::ALL {
            assert_eq!(Style::from_name(style.name()), Some(style));
            let (left, right) = short(style, 1);
            assert_eq!((left.len(), right.len()), (48_000, 48_000));
            let all = || left.iter().chain(&right);
            assert!(
                all().all(|x| x.is_finite() && x.abs() <= 0.9001),
                "{style:?}"
            );
            let rms = |samples: &[f32]| {
                (samples.iter().map(|x| x * x).sum::<f32>() / samples.len() as f32).sqrt()
            };
            let mono: Vec<f32> = left
                .iter()
                .zip(&right)
                .map(|(l, r)| 0.5 * (l + r))
                .collect();
            let level = 20.0 * rms(&mono).log10();
            assert!((-32.0..-10.0).contains(&level), "{style:?}: {level} dBFS");
            let mean = mono.iter().sum::<f32>() / mono.len() as f32;
            assert!(mean.abs() < 0.01, "{style:?}: offset {mean}");
            // It goes on playing: no half second is silent.
            for part in mono.chunks(8_000) {
                assert!(rms(part) > 0.003, "{style:?} pauses");
            }
            assert_ne!(left, right, "{style:?} is stereo");
        }
    }

    #[test]
    fn a_seed_is_a_take() {
        assert_eq!(short(Style::Jazz, 7), short(Style::Jazz, 7));
        assert_ne!(short(Style::Jazz, 7), short(Style::Jazz, 8));
        assert_ne!(short(Style::Jazz, 7).0, short(Style::Blues, 7).0);
    }

    #[test]
    fn any_rate_and_length() {
        for (hz, seconds, expected) in [
            (8_000, 0.5, 4_000),
            (96_000, 0.25, 24_000),
            (44_100, 0.0, 0),
            (44_100, -1.0, 0),
            (44_100, f64::NAN, 0),
            (44_100, 1e-5, 0),
        ] {
            for style in Style::ALL {
                let (left, right) = render(style, hz, seconds, 1);
                assert_eq!(
                    (left.len(), right.len()),
                    (expected, expected),
                    "{style:?} {hz} {seconds}"
                );
            }
        }
    }

    #[test]
    fn the_pitch_is_right_at_every_rate() {
        use super::instruments::{Note, Pluck, Rng, Track, hz, pluck};
        for rate in [12_000.0_f32, 44_100.0, 96_000.0] {
            for pitch in [33.0_f32, 45.0, 57.0, 69.0] {
                let mut track = Track::new(rate, 1.0);
                let note = Note {
                    at: 0.0,
                    length: 1.0,
                    pitch,
                    velocity: 1.0,
                };
                let string = Pluck {
                    decay: 20.0,
                    ..Pluck::STEEL
                };
                pluck(&mut track, note, string, &mut Rng(1));
                // The strongest of the frequencies around the note, by correlation over half a
                // second.
                let part = &track.samples[(0.2 * rate) as usize..(0.7 * rate) as usize];
                let power = |f: f32| {
                    let (mut re, mut im) = (0.0_f64, 0.0_f64);
                    for (i, &x) in part.iter().enumerate() {
                        let (s, c) = (std::f64::consts::TAU * f64::from(f) * i as f64
                            / f64::from(rate))
                        .sin_cos();
                        re += f64::from(x) * c;
                        im += f64::from(x) * s;
                    }
                    re * re + im * im
                };
                // Of low notes the fourth partial tells cents better; of high ones it dies away too
                // soon.
                let partial = if pitch < 50.0 { 4.0 } else { 1.0 };
                let best = (-60..=60)
                    .map(|cents| cents as f32)
                    .max_by(|a, b| {
                        let at = |cents: f32| power(partial * hz(pitch + cents / 100.0));
                        at(*a).total_cmp(&at(*b))
                    })
                    .unwrap();
                let tolerance = if pitch < 40.0 { 25.0 } else { 15.0 };
                assert!(
                    best.abs() <= tolerance,
                    "{pitch} at {rate} Hz: {best} cents off"
                );
            }
        }
    }
}
