//! What a frame and a live step cost: `cargo bench --bench network`.
//!
//! A frame is 29.12 s computed from scratch; a step moves the window by `step_columns` (1.37 s for the CNN, 2.05 s for the CRNN) and
//! re-uses what did not change. All on one thread. `benches/onnx_baseline.py` measures the same frames with onnxruntime; run both in one
//! go to compare.

use std::sync::Arc;

use divan::{Bencher, black_box};
use genrescope::{
    genre::{GTZAN, Labels},
    network::{Architecture, Bundle, Model, Network},
};

fn main() {
    divan::main();
}

/// The two networks of the paper, with random weights (the time does not depend on them), as stored: f32 or int8.
fn model(name: &str, int8: bool) -> Arc<Model> {
    let architecture = if name == "crnn" {
        Architecture::crnn()
    } else {
        Architecture::cnn()
    };
    let labels = Labels::new(GTZAN).expect("ten labels");
    let bundle = Bundle::random(architecture, labels, 1).expect("the paper's shapes can be built");
    let bundle = if int8 { bundle.quantised() } else { bundle };
    Model::from_bundle(&bundle).expect("the paper's shapes can be built")
}

/// Noise of -60 to 0 dB.
fn columns(n: usize) -> Vec<f32> {
    let mut state = 1_u32;
    (0..n * 96)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            -60.0 * ((state >> 8) as f32 / 16_777_216.0)
        })
        .collect()
}

const CASES: [(&str, bool); 4] = [
    ("cnn", false),
    ("cnn", true),
    ("crnn", false),
    ("crnn", true),
];

/// A whole frame from scratch.
#[divan::bench(args = CASES)]
fn frame(bencher: Bencher, (name, int8): (&str, bool)) {
    let mut network = Network::new(&model(name, int8));
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
fn step(bencher: Bencher, (name, int8): (&str, bool)) {
    let model = model(name, int8);
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

/// Start-up: reading, checking and building the model that is compiled in.
#[divan::bench]
fn load(bencher: Bencher) {
    let file = Bundle::random(
        Architecture::cnn(),
        Labels::new(GTZAN).expect("ten labels"),
        1,
    )
    .and_then(|bundle| bundle.quantised().write())
    .expect("the paper's shapes can be built");
    bencher.bench_local(|| {
        Model::from_bytes(black_box(&file))
            .map(|model| model.n_frames())
            .ok()
    });
}
