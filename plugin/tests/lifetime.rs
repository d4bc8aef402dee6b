//! Instances come and go. One test in a process of its own, because it counts the process's threads and memory.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/clap_host.rs"]
mod clap_host;
#[path = "support/listening.rs"]
mod listening;
#[path = "support/vst3_host.rs"]
mod vst3_host_;

use std::time::{Duration, Instant};

use listening::{Deck, composed, resident_mib, threads};

/// On the host's thread: the issue of a project with a hundred tracks that opens.
const CREATION_LIMIT: Duration = Duration::from_millis(50);

/// Runs `once` 200 times and looks at what is left.
fn two_hundred(format: &str, mut once: impl FnMut(usize) -> Duration) {
    // The first ones fill caches and the allocator's arenas.
    for round in 0..20 {
        once(round);
    }
    let (threads_before, before) = (threads(), resident_mib());
    let mut times: Vec<Duration> = (0..200).map(&mut once).collect();
    let (threads_after, after) = (threads(), resident_mib());
    times.sort_unstable();
    println!(
        "{format}: created in {:?} (median), {:?} (slowest); resident {before:.1} MiB before 200, {after:.1} after",
        times[100], times[199]
    );
    assert_eq!(threads_before, threads_after, "{format}: threads are left");
    assert!(
        after - before < 8.0,
        "{format}: {before:.1} MiB before, {after:.1} MiB after"
    );
    assert!(
        times[100] < CREATION_LIMIT,
        "{format}: an instance takes {:?}",
        times[100]
    );
}

#[test]
fn nothing_is_left_of_two_hundred_instances() {
    let (_folder, entry) = clap_host::entry();
    let first = Instant::now();
    let stays = clap_host::instance(&entry);
    println!("CLAP: the very first in {:?}", first.elapsed());
    let block = [vec![0.1; 4096], vec![0.1; 4096]];
    two_hundred("CLAP", |round| {
        let start = Instant::now();
        let mut one = clap_host::instance(&entry);
        let created = start.elapsed();
        if round % 4 == 0 {
            // Dropped while it starts a stream or hears its first block.
            let mut player = clap_host::Player::start(&mut one, 48_000.0);
            player.play(&block);
            player.stop(&mut one);
        }
        created
    });
    drop(stays);

    let mut host = vst3_host_::Host::new();
    let stays = host.instance();
    two_hundred("VST3", |round| {
        let start = Instant::now();
        let one = host.instance();
        let created = start.elapsed();
        if round % 4 == 0 {
            let mut player = vst3_host_::Player::start(one);
            player.play(&block);
            player.stop();
        }
        created
    });
    drop(stays);

    // Dropped while it infers: every instance has heard enough for a score, and gets what makes the next one due.
    let song = composed(48_000, 6.0);
    let mut decks: Vec<_> = (0..12)
        .map(|_| {
            let mut one = clap_host::instance(&entry);
            let player = clap_host::Player::start(&mut one, 48_000.0);
            (one, player)
        })
        .collect();
    let start = Instant::now();
    let (heard, due) = song.samples.split_at(4 * 48_000);
    for (index, block) in heard.chunks(4096).enumerate() {
        for (_, player) in &mut decks {
            player.play(&[block.to_vec(), block.to_vec()]);
        }
        let clock = Duration::from_secs_f64((index + 1) as f64 * 4096.0 / 48_000.0);
        std::thread::sleep(clock.saturating_sub(start.elapsed()));
    }
    for (_, player) in &mut decks {
        // Within the lead that a live host has, so nothing waits for the worker.
        for block in due[..43_000].chunks(4096) {
            player.play(&[block.to_vec(), block.to_vec()]);
        }
    }
    for (index, (mut one, player)) in decks.into_iter().enumerate() {
        std::thread::sleep(Duration::from_millis(index as u64 * 3));
        let start = Instant::now();
        player.stop(&mut one);
        drop(one);
        let took = start.elapsed();
        assert!(took < Duration::from_secs(2), "dropped in {took:?}");
    }
    drop(entry);
}
