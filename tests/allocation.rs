//! Scoring allocates nothing once a window has filled: neither the network nor the pipeline around
//! it.
#![cfg(debug_assertions)] // assert_no_alloc has no allocator in release builds

#[path = "support/random.rs"]
mod random;

use std::sync::Arc;

use assert_no_alloc::{AllocDisabler, assert_no_alloc, violation_count};
use genrescope::{
    genre::{GTZAN, Labels},
    network::{Architecture, Bundle, Engine, Model, Network, quantise::Calibration},
    pipeline::{Pipeline, PipelineConfig},
    units::SampleRate,
};
use random::Random;

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

/// Noise of -60 to 0 dB.
fn columns(n: usize) -> Vec<f32> {
    let mut random = Random::new(1);
    (0..n * 96).map(|_| -60.0 * random.unit()).collect()
}

fn model(architecture: Architecture, integers: bool) -> Arc<Model> {
    let labels = Labels::new(GTZAN).unwrap();
    let bundle = Bundle::random(architecture, labels, 1).unwrap();
    let bundle = if integers {
        let mut calibration = Calibration::new(&bundle).unwrap();
        calibration.observe(&columns(1_366));
        calibration.quantised()
    } else {
        bundle
    };
    Model::with_engine(&bundle, Engine::Fused).unwrap()
}

#[test]
fn the_detector_works() {
    let before = violation_count();
    assert_no_alloc(|| std::hint::black_box(vec![0_u8; std::hint::black_box(64)]));
    assert!(violation_count() > before, "allocations are not noticed");
}

#[test]
fn a_live_step_allocates_nothing() {
    let networks = [
        ("the CNN", Architecture::cnn()),
        ("the CRNN", Architecture::crnn()),
    ];
    for (name, architecture) in networks {
        for integers in [false, true] {
            let model = model(architecture.clone(), integers);
            let mut network = Network::new(&model);
            let step = columns(model.step_columns());
            for column in columns(1_366).chunks_exact(96) {
                network.push(column);
            }
            let turn = |network: &mut Network| {
                step.chunks_exact(96)
                    .for_each(|column| network.push(column));
                network.score().map(|scored| scored.logits[0])
            };
            // The first fills the window, the second re-uses columns: each compiles what it needs.
            turn(&mut network);
            turn(&mut network);
            let before = violation_count();
            for _ in 0..4 {
                assert!(assert_no_alloc(|| turn(&mut network)).is_some());
            }
            assert_eq!(
                violation_count() - before,
                0,
                "{name}, int8 {integers}: four steps allocated"
            );
        }
    }
}

#[test]
fn the_pipeline_allocates_nothing() {
    let mut pipeline = Pipeline::new(
        &Model::builtin(),
        SampleRate::new(48_000).unwrap(),
        PipelineConfig::default(),
    )
    .unwrap();
    let mut random = Random::new(1);
    let noise: Vec<f32> = (0..48_000).map(|_| 0.5 * random.sample()).collect();
    for _ in 0..40 {
        pipeline.push(&noise, |_| {});
    }
    let before = violation_count();
    for _ in 0..10 {
        assert_no_alloc(|| {
            for block in noise.chunks(512) {
                pipeline.push(block, |readout| {
                    std::hint::black_box(readout);
                });
            }
        });
    }
    assert_eq!(violation_count() - before, 0, "ten seconds allocated");
}
