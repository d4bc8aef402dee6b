//! What a large session costs: making instances on the host's own thread, and fifty of them on
//! silent tracks.
//!
//! `cargo bench -p genrescope-plugin --bench session` (Linux). The instances are driven as a host
//! drives them, by the clock, in blocks of 512 at 48 kHz; the processor time is that of the whole
//! process, workers included.

#[path = "../tests/support/process_host.rs"]
mod process_host;
#[path = "../../tests/support/random.rs"]
mod random;

use std::{
    hint::black_box,
    time::{Duration, Instant},
};

use process_host::{Instance, RATE};
use random::Random;

const INSTANCES: usize = 50;
const BLOCK: usize = 512;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let brief = !std::env::args().any(|argument| argument == "--bench");
    creation();
    // The pipeline rests once 96 s of silence have passed (`realtime::worker`); a frame of music
    // takes 30.
    let (beginning, silence, music, measure) = if brief {
        (0.2, 0.2, 0.2, 0.2)
    } else {
        (10.0, 80.0, 35.0, 20.0)
    };
    let empty = status("VmRSS:");
    let mut instances: Vec<Instance> = (0..INSTANCES).map(|_| Instance::new(BLOCK)).collect();
    for (name, amplitude, settle) in [
        ("freshly silent", 0.0, beginning),
        ("silent", 0.0, silence),
        ("sounding", 0.2, music),
    ] {
        if name == "sounding" {
            // Fifty tracks that all play are no aim, but worth knowing; ten tell it.
            instances.truncate(10);
        }
        run(&mut instances, amplitude, settle);
        let (all, host) = (processor_s("task"), processor_s("thread-self"));
        let wall = run(&mut instances, amplitude, measure);
        let share = |seconds: f64| seconds / wall * 100.0;
        let (all, host) = (
            share(processor_s("task") - all),
            share(processor_s("thread-self") - host),
        );
        println!(
            "{} {name} tracks: {all:.2} % of a core, {host:.2} % of it on the host's audio thread",
            instances.len()
        );
        if name == "silent" {
            println!(
                "memory: {:.1} MiB for the {INSTANCES}, {:.1} MiB for the process; {:.0} threads",
                (status("VmRSS:") - empty) / 1024.0,
                status("VmRSS:") / 1024.0,
                status("Threads:")
            );
        }
    }
}

/// Each on the thread that a host would use.
fn creation() {
    let mut times = Vec::new();
    for index in 0..101 {
        let start = Instant::now();
        let instance = Instance::new(BLOCK);
        let took = start.elapsed();
        if index == 0 {
            println!("first instance: {took:?}");
        } else {
            times.push(took);
        }
        drop(black_box(instance));
    }
    times.sort_unstable();
    println!(
        "further instances: {:?} (median), {:?} (slowest of {})",
        times[times.len() / 2],
        times[times.len() - 1],
        times.len()
    );
}

/// Plays to all instances by the clock; returns the seconds it took.
fn run(instances: &mut [Instance], amplitude: f32, seconds: f64) -> f64 {
    let start = Instant::now();
    let mut random = Random::new(1);
    let mut block = vec![0.0; BLOCK];
    let mut played = 0;
    while (played as f64) < seconds * f64::from(RATE) {
        for sample in &mut block {
            *sample = amplitude * random.sample();
        }
        for instance in &mut *instances {
            instance.process(&mut block);
        }
        played += BLOCK;
        let due = Duration::from_secs_f64(played as f64 / f64::from(RATE));
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    start.elapsed().as_secs_f64()
}

/// A number of `/proc/self/status`; 0 where there is none.
fn status(key: &str) -> f64 {
    std::fs::read_to_string("/proc/self/status")
        .ok()
        .and_then(|text| {
            let line = text.lines().find(|line| line.starts_with(key))?.to_owned();
            line.split_whitespace().nth(1)?.parse().ok()
        })
        .unwrap_or(0.0)
}

/// Processor time so far, in seconds: of all threads (`task`) or of this one (`thread-self`).
fn processor_s(whose: &str) -> f64 {
    let schedstat = |folder: std::path::PathBuf| {
        let text = std::fs::read_to_string(folder.join("schedstat")).ok()?;
        text.split_whitespace().next()?.parse::<f64>().ok()
    };
    let nanoseconds = if whose == "task" {
        std::fs::read_dir("/proc/self/task").map_or(0.0, |tasks| {
            tasks
                .filter_map(|task| schedstat(task.ok()?.path()))
                .sum::<f64>()
        })
    } else {
        schedstat("/proc/thread-self".into()).unwrap_or(0.0)
    };
    nanoseconds * 1e-9
}
