//! The same samples give the same readouts, whether they are pushed into the pipeline or come
//! through the ring and the worker.

#[path = "support/random.rs"]
mod random;

use std::time::Duration;

use genrescope::{
    decision::Readout,
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    realtime::{AudioInput, Listener, RealtimeConfig},
    units::SampleRate,
};
use random::Random;

const PATIENCE: Duration = Duration::from_secs(60);

/// Something with a beat, a melody and noise, different in every second.
fn signal(rate: SampleRate, seconds: f64) -> Vec<f32> {
    let hz = f64::from(rate.hz());
    let mut random = Random::new(12_345);
    (0..(seconds * hz) as usize)
        .map(|i| {
            let t = i as f64 / hz;
            let hiss = f64::from(random.sample());
            let beat = (-(t * 2.0).fract() * 12.0).exp();
            let step = [0, 3, 7, 10, 12, 7, 5, 3][(t * 4.0) as usize % 8];
            let tone =
                (t * 220.0 * 2_f64.powf(f64::from(step) / 12.0) * std::f64::consts::TAU).sin();
            (0.3 * tone + 0.3 * beat * hiss + 0.01 * hiss) as f32
        })
        .collect()
}

fn through_the_pipeline(
    model: &std::sync::Arc<Model>,
    rate: SampleRate,
    samples: &[f32],
) -> Vec<Readout> {
    let mut readouts = Vec::new();
    let mut pipeline = Pipeline::new(model, rate, PipelineConfig::default()).unwrap();
    pipeline.push(samples, |readout| readouts.push(*readout));
    pipeline.finish(|readout| readouts.push(*readout));
    readouts
}

fn start(model: &std::sync::Arc<Model>, rate: SampleRate) -> (AudioInput, Listener) {
    let config = RealtimeConfig {
        rate,
        max_block: 8192,
        pipeline: PipelineConfig::default(),
    };
    Listener::start(model, config).unwrap()
}

#[test]
fn live_equals_file() {
    let model = Model::builtin();
    for (hz, n_channels) in [(48_000, 2), (44_100, 1)] {
        let rate = SampleRate::new(hz).unwrap();
        let samples = signal(rate, 40.0);
        let expected = through_the_pipeline(&model, rate, &samples);
        assert!(expected.len() > 10, "{} readouts", expected.len());

        let (mut input, listener) = start(&model, rate);
        let updates = listener.updates();
        let mut found = Vec::new();
        let mut rest = &samples[..];
        for size in [480, 1024, 1, 8192, 441, 64, 333].iter().cycle() {
            let (block, tail) = rest.split_at((*size).min(rest.len()));
            let interleaved: Vec<f32> = block
                .iter()
                .flat_map(|&sample| std::iter::repeat_n(sample, n_channels))
                .collect();
            assert!(input.wait_for_room(block.len(), PATIENCE));
            input.push_interleaved(&interleaved, n_channels);
            found.extend(updates.try_iter());
            rest = tail;
            if rest.is_empty() {
                break;
            }
        }
        input.finish();
        found.extend(std::iter::from_fn(|| updates.recv_timeout(PATIENCE).ok()));
        assert_eq!(listener.counters().dropped_samples(), 0);
        assert_eq!(found, expected, "{hz} Hz, {n_channels} channels");
    }
}

/// Music, long silence, music: the live path steps over the silence, the pipeline computes all of
/// it.
#[test]
fn silence_that_is_stepped_over_changes_nothing() {
    let model = Model::builtin();
    let rate = SampleRate::new(8_000).unwrap();
    let music = signal(rate, 12.0);
    // The live path stops computing after 96 s, and may skip 102.4 s at a time.
    let samples = [&music[..], &vec![0.0; 8_000 * 330 + 777], &music[..]].concat();
    let expected = through_the_pipeline(&model, rate, &samples);
    let (mut input, listener) = start(&model, rate);
    let updates = listener.updates();
    let mut found = Vec::new();
    for block in samples.chunks(4800) {
        assert!(input.wait_for_room(block.len(), PATIENCE));
        input.push_interleaved(block, 1);
        found.extend(updates.try_iter());
    }
    input.finish();
    found.extend(std::iter::from_fn(|| updates.recv_timeout(PATIENCE).ok()));
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert_eq!(found.seq, expected.seq);
        assert_eq!(
            (found.state, found.genre, found.frames),
            (expected.state, expected.genre, expected.frames),
            "at {}",
            expected.position
        );
        let drift = found.position.0 - expected.position.0;
        assert!(drift.abs() < 1e-6, "at {}: {drift} s", expected.position.0);
        for (a, b) in found
            .scores
            .as_slice()
            .iter()
            .zip(expected.scores.as_slice())
        {
            assert!((a - b).abs() < 1e-6, "at {}", expected.position);
        }
    }
}

/// Another rate on the way: the listener begins anew with the same handles.
#[test]
fn the_rate_may_change_while_it_runs() {
    let model = Model::builtin();
    let (slow, fast) = (
        SampleRate::new(44_100).unwrap(),
        SampleRate::new(96_000).unwrap(),
    );
    let (mut input, mut listener) = start(&model, slow);
    let updates = listener.updates();
    input.push_interleaved(&signal(slow, 1.0), 1);
    assert!(input.wait_until_consumed(PATIENCE));
    let samples = signal(fast, 12.0);
    let expected = through_the_pipeline(&model, fast, &samples);
    let mut input = listener
        .reattach(fast, 8192, genrescope::units::Seconds(0.0))
        .unwrap();
    for block in samples.chunks(9600) {
        assert!(input.wait_for_room(block.len(), PATIENCE));
        input.push_interleaved(block, 1);
    }
    input.finish();
    let found: Vec<Readout> = std::iter::from_fn(|| updates.recv_timeout(PATIENCE).ok()).collect();
    let found: Vec<_> = found
        .iter()
        .skip(found.len() - expected.len())
        .map(|r| (r.state, r.scores))
        .collect();
    let expected: Vec<_> = expected.iter().map(|r| (r.state, r.scores)).collect();
    assert_eq!(found, expected);
}
