//! Instances come and go. One test in a process of its own, because it counts the process's threads
//! and memory.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/clap_host.rs"]
mod clap_host;
#[path = "support/listening.rs"]
mod listening;
#[path = "support/vst3_host.rs"]
mod vst3_host_;

use listening::{Deck, composed, resident_mib, threads};

/// Runs `once` 200 times and looks at what is left.
fn two_hundred(format: &str, mut once: impl FnMut(usize)) {
    // The first ones fill caches and the allocator's arenas.
    for round in 0..20 {
        once(round);
    }
    let (threads_before, before) = (threads(), resident_mib());
    (0..200).for_each(&mut once);
    let (threads_after, after) = (threads(), resident_mib());
    println!("{format}: resident {before:.1} MiB before 200, {after:.1} after");
    assert_eq!(threads_before, threads_after, "{format}: threads are left");
    assert!(
        after - before < 8.0,
        "{format}: {before:.1} MiB before, {after:.1} MiB after"
    );
}

#[test]
fn nothing_is_left_of_two_hundred_instances() {
    let (_folder, entry) = clap_host::entry();
    let stays = clap_host::instance(&entry);
    let block = [vec![0.1; 4096], vec![0.1; 4096]];
    two_hundred("CLAP", |round| {
        let mut one = clap_host::instance(&entry);
        if round % 4 == 0 {
            // Dropped while it starts a stream or hears its first block.
            let mut player = clap_host::Player::start(&mut one, 48_000.0);
            player.play(&block);
            player.stop(&mut one);
        }
    });
    drop(stays);

    let mut host = vst3_host_::Host::new();
    let stays = host.instance();
    two_hundred("VST3", |round| {
        let one = host.instance();
        if round % 4 == 0 {
            let mut player = vst3_host_::Player::start(one);
            player.play(&block);
            player.stop();
        }
    });
    drop(stays);

    // Dropped while it infers: every instance has heard enough for a score, and gets what makes the
    // next one due.
    let song = composed(48_000, 6.0);
    let mut decks: Vec<_> = (0..12)
        .map(|_| {
            let mut one = clap_host::instance(&entry);
            let player = clap_host::Player::start(&mut one, 48_000.0);
            (one, player)
        })
        .collect();
    // Faster than the clock, so that all of it is heard; the last second and a half lies within the
    // lead of a live host, and nothing waits for the worker any more.
    for (_, player) in &mut decks {
        for block in song.samples.chunks(4096) {
            player.play(&[block.to_vec(), block.to_vec()]);
        }
        player.reset();
        for block in song.samples[..72_000].chunks(4096) {
            player.play(&[block.to_vec(), block.to_vec()]);
        }
    }
    // That it comes back from this is the test: no deadlock, and no thread is left.
    let with_decks = threads();
    let n_decks = decks.len();
    for (mut one, player) in decks {
        player.stop(&mut one);
        drop(one);
    }
    assert!(
        threads() + 2 * n_decks <= with_decks,
        "{with_decks} threads with {n_decks} instances, {} without",
        threads()
    );
    drop(entry);
}
