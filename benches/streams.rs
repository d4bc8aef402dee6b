//! What many streams in one process cost: `cargo bench --bench streams`.
//!
//! Each stream is a whole pipeline at 48 kHz (resampler, mel, network, decision) with the built-in
//! model, shared by all. The last column is what one second of audio of all streams takes, as a
//! share of one core.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../tests/support/random.rs"]
mod random;

use std::hint::black_box;

use genrescope::{
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    units::SampleRate,
};

mod measure;

use measure::{cpu_seconds, memory_mb};
use random::Random;

const RATE: u32 = 48_000;
/// Seconds of audio that are measured, after the window has filled.
const SECONDS: usize = 60;

fn main() {
    let second = noise(RATE as usize);
    println!(
        "{:>8} {:>10} {:>14} {:>22} {:>16}",
        "streams", "RSS MB", "MB a stream", "CPU ms a stream and s", "share of a core"
    );
    let model = Model::builtin();
    let alone = memory_mb("VmRSS");
    for n in [1_u32, 5, 20, 50] {
        let rate = SampleRate::new(RATE).expect("in range");
        let mut streams: Vec<Pipeline> = (0..n)
            .map(|_| {
                Pipeline::new(&model, rate, PipelineConfig::default())
                    .expect("the built-in model fits")
            })
            .collect();
        let push = |streams: &mut [Pipeline]| {
            for stream in streams {
                stream.push(&second, |readout| {
                    black_box(readout);
                });
            }
        };
        for _ in 0..32 {
            push(&mut streams);
        }
        let started = cpu_seconds();
        for _ in 0..SECONDS {
            push(&mut streams);
        }
        let spent = (cpu_seconds() - started) / SECONDS as f64;
        let memory = memory_mb("VmRSS");
        println!(
            "{n:>8} {memory:>10.1} {:>14.2} {:>22.3} {:>14.2} %",
            (memory - alone) / f64::from(n),
            1e3 * spent / f64::from(n),
            100.0 * spent
        );
    }
}

/// Pink-like noise with a beat: nothing in it is silent, so nothing is saved.
fn noise(n: usize) -> Vec<f32> {
    let (mut random, mut low) = (Random::new(1), 0.0_f32);
    (0..n)
        .map(|i| {
            let white = 0.5 * random.sample();
            low += 0.05 * (white - low);
            let beat = 1.0 - (i % 24_000) as f32 / 24_000.0;
            (0.2 * white + low) * beat
        })
        .collect()
}
