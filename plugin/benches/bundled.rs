//! What finished bundles cost in a CLAP host: to compare builds with each other.
//!
//! `GENRESCOPE_BUNDLED=FOLDER cargo bench -p genrescope-plugin --bench bundled` (Linux; absolute
//! path). Driven by the clock in blocks of 512 at 48 kHz; the processor time is that of the whole
//! process, the host's own included.
#![cfg(target_os = "linux")]

#[path = "../tests/support/bundle.rs"]
mod bundle;
#[path = "../tests/support/clap_host.rs"]
mod clap_host;
#[path = "../tests/support/listening.rs"]
mod listening;

use std::time::{Duration, Instant};

use clap_host::{Player, entry, instance};
use listening::{Deck, composed, resident_mib};

const BLOCK: usize = 512;

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    if !std::env::args().any(|argument| argument == "--bench") {
        return;
    }
    let (_folder, entry) = entry();
    let song = composed(48_000, 30.0).samples;
    for (name, n, sounds) in [("silent", 50, false), ("sounding", 10, true)] {
        let mut instances: Vec<_> = (0..n).map(|_| instance(&entry)).collect();
        let mut players: Vec<_> = instances
            .iter_mut()
            .map(|instance| Player::start(instance, 48_000.0))
            .collect();
        run(&mut players, sounds.then_some(&song), 15.0);
        let before = processor_s();
        let wall = run(&mut players, sounds.then_some(&song), 20.0);
        let share = (processor_s() - before) / wall * 100.0;
        println!(
            "{n} {name} instances: {share:.2} % of a core; {:.1} MiB resident",
            resident_mib()
        );
        for (player, instance) in players.into_iter().zip(&mut instances) {
            player.stop(instance);
        }
    }
}

/// Plays to all by the clock; returns the seconds it took.
fn run(players: &mut [Player], song: Option<&Vec<f32>>, seconds: f64) -> f64 {
    let start = Instant::now();
    let mut played = 0;
    while (played as f64) < seconds * 48_000.0 {
        let block: Vec<f32> = match song {
            Some(song) => (0..BLOCK)
                .map(|i| song[(played + i) % song.len()])
                .collect(),
            None => vec![0.0; BLOCK],
        };
        let block = [block.clone(), block];
        for player in &mut *players {
            player.play(&block);
        }
        played += BLOCK;
        let due = Duration::from_secs_f64(played as f64 / 48_000.0);
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    start.elapsed().as_secs_f64()
}

/// Processor time of all threads so far, in seconds.
fn processor_s() -> f64 {
    std::fs::read_dir("/proc/self/task").map_or(0.0, |tasks| {
        tasks
            .filter_map(|task| {
                let text = std::fs::read_to_string(task.ok()?.path().join("schedstat")).ok()?;
                text.split_whitespace().next()?.parse::<f64>().ok()
            })
            .sum::<f64>()
            * 1e-9
    })
}
