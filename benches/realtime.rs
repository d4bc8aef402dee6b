//! What the audio thread pays, and what the worker pays.
//!
//! `cargo bench --bench realtime`: first a report of what a user would ask, then divan's table,
//! whose counter is samples (frames), so that it prints samples per second. Linux only, in part:
//! processor time and memory come from /proc.

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
    if !std::env::args().any(|arg| arg == "--list") {
        worst_case();
        first_answers();
        whole_listener();
    }
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

/// Seconds of audio until the first provisional and the first live readout, and how long after its
/// last sample each is there: the audio comes at real speed for the first answer, and as fast as it
/// is heard for the rest.
#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn first_answers() {
    use genrescope::decision::State;
    let (mut input, listener) = listener();
    let updates = listener.updates();
    // Something that is taken for music: a piece that the product composes.
    let piece = genrescope::source::synth::render(
        genrescope::source::synth::Style::Classical,
        rate(),
        genrescope::units::Seconds(36.0),
        1,
    );
    let samples = piece.interleaved();
    let started = Instant::now();
    let (mut provisional, mut live) = (None, None);
    for (index, block) in samples.chunks(2 * 480).enumerate() {
        let position = (index + 1) as f64 * 0.01;
        if provisional.is_none() {
            let due = Duration::from_secs_f64(position);
            std::thread::sleep(due.saturating_sub(started.elapsed()));
        }
        input.push_interleaved(block, 2);
        if provisional.is_some() {
            input.wait_until_consumed(PATIENCE);
        }
        for readout in updates.try_iter() {
            match readout.state {
                State::Provisional => {
                    let wall = started.elapsed().as_secs_f64();
                    provisional.get_or_insert((readout.position.0, wall));
                }
                State::Live => {
                    live.get_or_insert(readout.position.0);
                }
                _ => {}
            }
        }
    }
    match provisional {
        Some((audio, wall)) => println!(
            "first provisional answer: from {audio:.2} s of audio, seen {wall:.2} s after the first sample at real speed"
        ),
        None => println!("first provisional answer: none in 36 s"),
    }
    match live {
        Some(audio) => println!("first live answer: from {audio:.2} s of audio"),
        None => println!("first live answer: none in 36 s"),
    }
}

/// Processor time of this process so far, in ms, and its resident memory in MB; `None` without
/// /proc.
fn process() -> Option<(f64, f64)> {
    let schedstat = std::fs::read_dir("/proc/self/task")
        .ok()?
        .filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok())
        .filter_map(|text| text.split_whitespace().next()?.parse::<f64>().ok())
        .sum::<f64>();
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    let resident: f64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some((schedstat / 1e6, resident / 1024.0))
}

/// The listener as a whole, as a device would drive it: 20 ms of stereo at a time, at four times
/// real speed, so that the worker sleeps and wakes as it does when live. Processor time of all
/// threads, pushing included.
#[expect(clippy::print_stdout, reason = "a benchmark's report")]
fn whole_listener() {
    const SECONDS: u32 = 60;
    const SPEED: u32 = 4;
    let (mut input, listener) = listener();
    let block = music(2 * 960);
    // The first frame costs more, and it is no steady state.
    for _ in 0..50 * 32 {
        input.wait_for_room(960, PATIENCE);
        input.push_interleaved(&block, 2);
    }
    input.wait_until_consumed(PATIENCE);
    let before = process();
    let started = Instant::now();
    for n in 1..=50 * SECONDS {
        // On a busy machine the ring, made for real speed, would run over.
        input.wait_for_room(960, PATIENCE);
        input.push_interleaved(&block, 2);
        let due = Duration::from_millis(u64::from(n) * 20) / SPEED;
        std::thread::sleep(due.saturating_sub(started.elapsed()));
    }
    input.wait_until_consumed(PATIENCE);
    if let (Some((before, _)), Some((after, resident))) = (before, process()) {
        let per_second = (after - before) / f64::from(SECONDS);
        println!(
            "listener, 48 kHz stereo: {per_second:.2} ms of processor time a second of audio ({:.2} % of a core); \
             resident {resident:.0} MB; dropped {}; longest push of the pipeline {:.1} ms",
            per_second / 10.0,
            listener.counters().dropped_samples(),
            listener.counters().worst_push().as_secs_f64() * 1e3,
        );
    }
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
