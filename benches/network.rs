//! What a frame and a live step cost: `cargo bench --bench network`.
//!
//! A frame is 29.12 s computed from scratch; a step moves the window by `step_columns` (1.37 s for
//! the CNN, 2.05 s for the CRNN) and re-uses what did not change. All on one thread.
//! `benches/onnx_baseline.py` measures the same frames with onnxruntime; run both in one go to
//! compare.

#[path = "../tests/support/random.rs"]
mod random;

use std::sync::Arc;

use divan::{Bencher, black_box};
use genrescope::{
    genre::{GTZAN, Labels},
    network::{Architecture, BuiltIn, Bundle, Engine, Model, Network, quantise::Calibration},
};
use random::Random;

fn main() {
    divan::main();
}

/// The two networks of the paper, with random weights (the time does not depend on them).
fn bundle(name: &str, kind: &str) -> Bundle {
    let architecture = if name == "crnn" {
        Architecture::crnn()
    } else {
        Architecture::cnn()
    };
    let labels = Labels::new(GTZAN).expect("ten labels");
    let bundle = Bundle::random(architecture, labels, 1).expect("the paper's shapes can be built");
    if kind != "int8" {
        return bundle;
    }
    let mut calibration = Calibration::new(&bundle).expect("the paper's shapes can be built");
    calibration.observe(&columns(1_366));
    calibration.quantised()
}

/// `int8` and `f32` run on our kernel, `tract` on tract's own operators (f32).
fn model(name: &str, kind: &str) -> Arc<Model> {
    let engine = if kind == "tract" {
        Engine::Tract
    } else {
        Engine::Fused
    };
    Model::with_engine(&bundle(name, kind), engine).expect("the paper's shapes can be built")
}

/// Noise of -60 to 0 dB.
fn columns(n: usize) -> Vec<f32> {
    let mut random = Random::new(1);
    (0..n * 96).map(|_| -60.0 * random.unit()).collect()
}

/// Noise in the bands of the second trunk: one whole segment.
fn second_picture(model: &Model) -> Vec<f32> {
    let tagger = model.card().architecture.tagger.as_ref();
    let tagger = tagger.expect("the built-in models have a second trunk");
    let len = tagger.segment_columns * tagger.front_end.n_mels;
    columns(len.div_ceil(96))
        .into_iter()
        .take(len)
        .map(|db| (db + 40.0) / 20.0)
        .collect()
}

const CASES: [(&str, &str); 6] = [
    ("cnn", "int8"),
    ("cnn", "f32"),
    ("cnn", "tract"),
    ("crnn", "int8"),
    ("crnn", "f32"),
    ("crnn", "tract"),
];

/// A whole frame from scratch.
#[divan::bench(args = CASES)]
fn frame(bencher: Bencher, (name, kind): (&str, &str)) {
    let mut network = Network::new(&model(name, kind));
    let columns = columns(1_366);
    network.score_frame(&columns);
    bencher.bench_local(|| {
        network
            .score_frame(black_box(&columns))
            .map(|scored| scored.logits[0])
    });
}

/// A live step: the window moves on and is scored.
#[divan::bench(args = CASES)]
fn step(bencher: Bencher, (name, kind): (&str, &str)) {
    let model = model(name, kind);
    let mut network = Network::new(&model);
    columns(1_366)
        .chunks(96)
        .for_each(|column| network.push(column));
    let step = columns(model.step_columns());
    network.score();
    bencher.bench_local(|| {
        step.chunks(96).for_each(|column| network.push(column));
        network.score().map(|scored| scored.logits[0])
    });
}

/// 10 s through the second trunk of the built-in model, alone.
#[divan::bench]
fn second_trunk(bencher: Bencher) {
    let model = Model::built_in(BuiltIn::Wide);
    let mut network = Network::new(&model);
    let picture = second_picture(&model);
    bencher.bench_local(|| {
        network
            .score_pictures(&[], black_box(&picture))
            .map(|scored| scored.logits[0])
    });
}

/// Start-up: reading, checking and building a model file.
#[divan::bench(args = ["cnn", "crnn"])]
fn load(bencher: Bencher, name: &str) {
    let file = bundle(name, "int8")
        .write()
        .expect("the paper's shapes can be built");
    bencher.bench_local(|| {
        Model::from_bytes(black_box(&file))
            .map(|model| model.n_frames())
            .ok()
    });
}
