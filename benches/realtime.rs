//! What the audio thread pays, and what the worker pays.
//!
//! `cargo bench --bench realtime`: the counter is samples (frames), so divan prints samples per second; the inverse is
//! the cost of one. The last group runs the whole listener: its time per second of audio at 48 kHz stereo is the share
//! of a core, and the slowest sample is the worst case.

use std::{
    cell::RefCell,
    sync::Arc,
    time::{Duration, Instant},
};

use divan::{Bencher, counter::ItemsCount};
use genrescope::{
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    realtime::{AudioInput, Listener, ReadoutCell, RealtimeConfig},
    units::SampleRate,
};

fn main() {
    worst_case();
    divan::main();
}

const PATIENCE: Duration = Duration::from_secs(60);

fn rate() -> SampleRate {
    SampleRate::new(48_000).expect("in range")
}

fn listener() -> (AudioInput, Listener) {
    let config = RealtimeConfig {
        rate: rate(),
        max_block: 8192,
        pipeline: PipelineConfig::default(),
    };
    Listener::start(&Model::builtin(), config).expect("the built-in model fits")
}

fn music(n_samples: usize) -> Vec<f32> {
    (0..n_samples)
        .map(|i| (i as f32 * 0.03).sin() * 0.3 + (i as f32 * 0.71).sin() * 0.1)
        .collect()
}

/// The callback's cost one by one, since an average hides what a deadline meets.
#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn worst_case() {
    const BLOCK: usize = 512;
    let (mut input, listener) = listener();
    let block = music(BLOCK * 2);
    let mut costs = Vec::with_capacity(20_000);
    for _ in 0..20_000 {
        input.wait_for_room(BLOCK, PATIENCE);
        let started = Instant::now();
        input.push_interleaved(&block, 2);
        costs.push(started.elapsed());
    }
    costs.sort();
    let ns = |q: f64| costs[((costs.len() - 1) as f64 * q) as usize].as_nanos();
    println!(
        "callback, {BLOCK} stereo frames: median {} ns, 99.9 % {} ns, worst {} ns ({:.2} ns a frame); dropped {}",
        ns(0.5),
        ns(0.999),
        ns(1.0),
        ns(0.5) as f64 / BLOCK as f64,
        listener.counters().dropped_samples()
    );
}

/// Pushes per sample; the ring has room for all of them, so no loss is measured.
const PUSHES: u32 = 16;

#[divan::bench(args = [1, 64, 512, 4096], sample_size = PUSHES)]
fn push_stereo(bencher: Bencher, n_frames: usize) {
    let block = music(n_frames * 2);
    let (input, _listener) = listener();
    let input = RefCell::new(input);
    bencher
        .counter(ItemsCount::new(n_frames))
        .with_inputs(|| {
            input
                .borrow()
                .wait_for_room(n_frames * PUSHES as usize, PATIENCE)
        })
        .bench_local_values(|_| input.borrow_mut().push_interleaved(&block, 2));
}

#[divan::bench]
fn read_the_readout(bencher: Bencher) {
    let (_input, listener) = listener();
    let cell: Arc<ReadoutCell> = listener.readout();
    bencher.bench(|| cell.load());
}

/// Ten seconds of audio through the whole listener; compare with `pipeline_alone`.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn listener_10_s(bencher: Bencher) {
    let block = music(48_000 * 2);
    let (mut input, _listener) = listener();
    bencher
        .counter(ItemsCount::new(480_000_usize))
        .bench_local(|| {
            for _ in 0..10 {
                input.wait_for_room(48_000, PATIENCE);
                input.push_interleaved(&block, 2);
            }
            input.wait_until_consumed(PATIENCE)
        });
}

/// The same without ring and thread.
#[divan::bench(sample_count = 10, sample_size = 1)]
fn pipeline_alone_10_s(bencher: Bencher) {
    let block = music(48_000);
    let mut pipeline = Pipeline::new(&Model::builtin(), rate(), PipelineConfig::default())
        .expect("the built-in model fits");
    bencher
        .counter(ItemsCount::new(480_000_usize))
        .bench_local(|| {
            for _ in 0..10 {
                pipeline.push(&block, |readout| {
                    divan::black_box(readout);
                });
            }
        });
}
