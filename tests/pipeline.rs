//! One pipeline: the same samples give the same readouts, whoever pushes them and however they are
//! split.

#[path = "support/random.rs"]
mod random;

use genrescope::{
    decision::{Readout, State},
    network::Model,
    pipeline::{Pipeline, PipelineConfig, PipelineError},
    song::{Multiframe, Song, SongClassifier, Verdict},
    source::synth::{Style, render},
    units::{SampleRate, Seconds},
};
use proptest::prelude::*;
use random::Random;

fn rate() -> SampleRate {
    SampleRate::new(16_000).unwrap()
}

fn music(style: Style, seconds: f64) -> Vec<f32> {
    render(style, rate(), Seconds(seconds), 3).mono()
}

fn pipeline() -> Pipeline {
    Pipeline::new(&Model::builtin(), rate(), PipelineConfig::default()).unwrap()
}

fn run(
    pipeline: &mut Pipeline,
    blocks: impl Iterator<Item = usize>,
    signal: &[f32],
) -> Vec<Readout> {
    let mut readouts = Vec::new();
    let mut rest = signal;
    for n in blocks {
        let (block, later) = rest.split_at(n.min(rest.len()));
        pipeline.push(block, |readout| readouts.push(*readout));
        rest = later;
        if rest.is_empty() {
            break;
        }
    }
    pipeline.finish(|readout| readouts.push(*readout));
    readouts
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(4))]
    #[test]
    fn any_split_gives_the_same_readouts(blocks in prop::collection::vec(1_usize..9_000, 1..20)) {
        let mut signal = music(Style::ALL[0], 7.0);
        signal.extend(vec![0.0; 16_000 * 4]);
        signal.extend(music(Style::ALL[5], 6.0));
        let whole = run(&mut pipeline(), std::iter::once(signal.len()), &signal);
        let split = run(&mut pipeline(), blocks.into_iter().cycle(), &signal);
        prop_assert!(whole.len() > 8);
        prop_assert_eq!(whole, split);
    }
}

#[test]
fn a_squeal_is_forgotten_in_seconds() {
    let quiet: Vec<f32> = music(Style::Classical, 40.0)
        .iter()
        .map(|sample| 0.05 * sample)
        .collect();
    let first = |signal: &[f32]| {
        let readouts = run(&mut pipeline(), std::iter::repeat(4_096), signal);
        let named = readouts.iter().find(|readout| readout.genre.is_some());
        named.map(|readout| readout.position.0)
    };
    let alone = first(&quiet).unwrap();
    let squeal: Vec<f32> = (0..2 * rate().hz())
        .map(|n| (n as f32 * 0.4).sin())
        .collect();
    let signal = [squeal, quiet.clone()].concat();
    let behind = first(&signal).unwrap();
    assert!(
        behind < 2.0 + alone + 10.0,
        "{behind} s, {alone} s without it"
    );
    // A file is what a listener says of it.
    let (alone, behind) = (song(&quiet), song(&signal));
    assert!(matches!(alone.verdict, Verdict::Genre(_)), "{alone:?}");
    assert_eq!(behind.verdict, alone.verdict);
    assert!((behind.confidence() - alone.confidence()).abs() < 0.1);
    let start = behind.frames[0].start.0;
    let expected = alone.frames[0].start.0 + 2.0;
    assert!((start - expected).abs() < 1.0, "{start} s, {expected} s");
}

fn song(signal: &[f32]) -> Song {
    let mut song = SongClassifier::new(&Model::builtin(), rate(), Multiframe::default()).unwrap();
    song.push(signal);
    song.finish()
}

/// 16 s of sines: frequency, amplitude, and how often a second the amplitude sways by 3 dB.
fn tones(partials: &[(f64, f64, f64)]) -> Vec<f32> {
    let hz = f64::from(rate().hz());
    let sample = |n: u32| {
        let t = f64::from(n) / hz;
        let sine = |&(f, a, sway): &(f64, f64, f64)| {
            let sine = |f: f64| (std::f64::consts::TAU * f * t).sin();
            a * (1.0 + 0.3 * sine(sway)) * sine(f)
        };
        (0.1 * partials.iter().map(sine).sum::<f64>()) as f32
    };
    (0..16 * rate().hz()).map(sample).collect()
}

#[test]
fn what_does_not_move_is_no_music() {
    let harmonics = |f: f64, shares: &[f64]| -> Vec<(f64, f64, f64)> {
        let place = |(n, a): (usize, &f64)| (f * (n + 1) as f64, *a, 0.0);
        shares.iter().enumerate().map(place).collect()
    };
    let mains = [1.0, 0.5, 0.67, 0.25, 0.33, 0.0, 0.2];
    let strong = [1.0, 0.83, 0.67, 0.5, 0.5, 0.33, 0.33, 0.25];
    // Apart from each other: partials that nearly meet beat, which is movement.
    let chord = [262.0, 330.0, 392.0].map(|f| harmonics(f, &strong[..2]));
    let hum = tones(&harmonics(100.0, &strong));
    let swaying = |(n, sample): (usize, &f32)| {
        let sway = (n as f32 * std::f32::consts::TAU * 0.3 / rate().hz() as f32).sin();
        sample * 10_f32.powf(1.2 * sway / 20.0)
    };
    let mut random = Random::new(1);
    let with_noise = |sample: &f32| sample + 0.01 * random.sample();
    let still = [
        ("mains", tones(&harmonics(50.0, &mains))),
        ("a rectifier", hum.clone()),
        ("another", tones(&harmonics(120.0, &strong[..5]))),
        (
            "its level sways",
            hum.iter().enumerate().map(swaying).collect(),
        ),
        ("with noise", hum.iter().map(with_noise).collect()),
    ];
    for (what, signal) in still {
        let readouts = run(&mut pipeline(), std::iter::repeat(4_096), &signal);
        let named = readouts.iter().rfind(|r| r.genre.is_some());
        let named = named.map_or(0.0, |readout| readout.position.0);
        assert!(named < 7.0, "{what}: still named after {named} s");
        assert_eq!(readouts.last().unwrap().state, State::NotMusic, "{what}");
        assert_eq!(song(&signal).verdict, Verdict::NotMusic, "{what}");
    }
    // The same notes by players who breathe: what a model says of them stands.
    let players = (0..).zip(&chord).flat_map(|(player, note)| {
        let sway = 0.2 + 0.1 * f64::from(player);
        note.iter().map(move |&(f, a, _)| (f, a, sway))
    });
    let players: Vec<_> = players.collect();
    let music = song(&tones(&players)).music.unwrap();
    assert!(music > 0.02, "{music}");
}

#[test]
fn states_follow_the_sound() {
    let mut signal = music(Style::Classical, 34.0);
    signal.extend(vec![0.0; 16_000 * 5]);
    signal.extend(music(Style::Classical, 4.5));
    let mut config = PipelineConfig::default();
    config.decision.unsure_below = Some(0.0);
    config.decision.music_below = Some(0.0);
    config.decision.detect_changes = false;
    let mut pipeline = Pipeline::new(&Model::builtin(), rate(), config).unwrap();
    let readouts = run(&mut pipeline, std::iter::repeat(1_024), &signal);
    let at = |seconds: f64| readouts.iter().rfind(|r| r.position.0 <= seconds).unwrap();
    assert_eq!(at(2.0).state, State::Warming);
    assert_eq!(at(10.0).state, State::Provisional);
    assert_eq!(at(33.5).state, State::Live);
    assert_eq!(at(38.5).state, State::Silent);
    assert_eq!(at(38.5).genre, None);
    let last = readouts.last().unwrap();
    assert_eq!(
        last.state,
        State::Provisional,
        "a silence of 5 s ends the song: {last:?}"
    );
    assert!(last.heard.0 < 5.0, "what was heard before is forgotten");
    assert!(
        readouts
            .windows(2)
            .all(|w| w[1].seq == w[0].seq + 1 && w[1].position.0 > w[0].position.0)
    );
}

#[test]
fn nothing_foreign_reaches_a_score() {
    for signal in [
        vec![f32::NAN; 16_000 * 6],
        vec![f32::INFINITY; 16_000 * 6],
        vec![1e9; 16_000 * 6],
        vec![f32::MIN_POSITIVE / 4.0; 16_000 * 6],
        (0..16_000 * 6)
            .map(|i| if i % 2 == 0 { 1e9 } else { -1e9 })
            .collect(),
    ] {
        for readout in run(&mut pipeline(), std::iter::repeat(512), &signal) {
            let sum: f32 = readout.scores.as_slice().iter().sum();
            let of_all = if readout.state.has_scores() { 1.0 } else { 0.0 };
            assert!(
                (sum - of_all).abs() < 1e-4
                    && readout.confidence.is_finite()
                    && readout.level_dbfs.is_finite()
            );
        }
    }
}

/// No genre is ever shown for what is no sound: an offset, clipping beyond all measure, denormals,
/// NaN.
#[test]
fn what_is_no_music_names_no_genre() {
    let n = 16_000 * 12;
    for (what, signal) in [
        ("offset", vec![0.5; n]),
        ("quiet offset", vec![0.03; n]),
        ("1e9", vec![1e9; n]),
        ("denormals", vec![1e-41; n]),
        ("NaN", vec![f32::NAN; n]),
        ("infinity", vec![f32::NEG_INFINITY; n]),
    ] {
        for readout in run(&mut pipeline(), std::iter::repeat(512), &signal) {
            assert_eq!(readout.genre, None, "{what}: {readout:?}");
        }
    }
}

/// An offset is no sound: with it, music is heard as without it, and silence is silence.
#[test]
fn an_offset_changes_nothing() {
    let mut signal: Vec<f32> = music(Style::ALL[0], 30.0).iter().map(|s| 0.3 * s).collect();
    signal.extend(vec![0.0; 16_000 * 5]);
    let lifted: Vec<f32> = signal.iter().map(|s| s + 0.2).collect();
    let without = run(&mut pipeline(), std::iter::repeat(512), &signal);
    let with = run(&mut pipeline(), std::iter::repeat(512), &lifted);
    assert_eq!(without.last().unwrap().state, State::Silent);
    assert_eq!(with.len(), without.len());
    for (with, without) in with.iter().zip(&without) {
        assert_eq!((with.state, with.genre), (without.state, without.genre));
        let both = with.scores.as_slice().iter().zip(without.scores.as_slice());
        for (with, without) in both {
            assert!((with - without).abs() < 0.03, "{with} and {without}");
        }
    }
}

/// The pipeline itself cuts what no converter gives, whoever feeds it: a spike of 1e9 is one of +24
/// dB.
#[test]
fn a_spike_is_cut_to_24_db() {
    let mut signal = music(Style::ALL[0], 12.0);
    let heard = |spike: f32, signal: &mut Vec<f32>| {
        signal[80_000] = spike;
        signal[80_001] = -spike;
        run(&mut pipeline(), std::iter::repeat(512), signal)
    };
    let cut = heard(genrescope::units::MAX_AMPLITUDE, &mut signal);
    assert_eq!(heard(1e9, &mut signal), cut);
    assert_eq!(heard(f32::MAX, &mut signal), cut);
}

#[test]
fn a_gap_moves_the_clock_and_not_the_average() {
    let signal = music(Style::ALL[0], 12.0);
    let mut pipeline = pipeline();
    pipeline.push(&signal, |_| {});
    let before = pipeline.readout();
    pipeline.skip(160_000);
    let mut after = None;
    pipeline.push(&signal, |readout| after = after.or(Some(*readout)));
    let after = after.unwrap();
    assert!(
        (after.position.0 - before.position.0 - 10.0).abs() < 3.0,
        "{before:?} {after:?}"
    );
    assert_eq!(after.seq, before.seq + 1);
}

#[test]
fn settings_out_of_range_are_refused_by_name() {
    let hop = PipelineConfig {
        hop: Seconds(-1.0),
        ..PipelineConfig::default()
    };
    assert!(matches!(
        Pipeline::new(&Model::builtin(), rate(), hop),
        Err(PipelineError::Hop { .. })
    ));
    let mut config = PipelineConfig::default();
    config.decision.margin = f32::NAN;
    let error = Pipeline::new(&Model::builtin(), rate(), config).unwrap_err();
    assert!(error.to_string().starts_with("margin = NaN"), "{error}");
}
