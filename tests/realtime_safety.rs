//! The audio thread's half neither allocates nor frees, whatever is pushed, and clippy looks at all
//! of it.
#![cfg(debug_assertions)] // assert_no_alloc has no allocator in release builds

use std::{fs, path::Path, time::Duration};

use assert_no_alloc::{AllocDisabler, assert_no_alloc, violation_count};
use genrescope::{
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Listener, RealtimeConfig},
    units::{SampleRate, Seconds},
};

#[global_allocator]
static ALLOCATOR: AllocDisabler = AllocDisabler;

#[test]
fn the_detector_works() {
    let before = violation_count();
    assert_no_alloc(|| {
        std::hint::black_box(vec![0_u8; std::hint::black_box(64)]);
    });
    assert!(
        violation_count() > before,
        "the allocation detector is not active"
    );
}

#[test]
fn the_audio_thread_does_not_allocate() {
    let config = RealtimeConfig {
        rate: SampleRate::new(48_000).unwrap(),
        max_block: 8192,
        pipeline: PipelineConfig::default(),
    };
    let (mut input, listener) = Listener::start(&Model::builtin(), config).unwrap();
    let (cell, controls, counters) = (listener.readout(), listener.controls(), listener.counters());
    let floats: Vec<f32> = (0..8192 * 6)
        .map(|i| (i as f32 * 0.01).sin() * if i % 97 == 0 { f32::NAN } else { 0.5 })
        .collect();
    let integers: Vec<i16> = (0..8192)
        .map(|i| (i * 31 % 65_536 - 32_768) as i16)
        .collect();
    let silence = vec![-0.0; 8192];
    let planar: [&[f32]; 2] = [&floats[..8192], &floats[8192..16_384]];

    // The first push on this thread is under test as well, so nothing is warmed up. The ring runs
    // over on the way, because nobody waits for the worker here: that path must not allocate
    // either.
    let before = violation_count();
    for n_frames in (1..=64).chain([127, 128, 441, 512, 1000, 1024, 4095, 4096, 8191, 8192]) {
        for n_channels in [1, 2, 6] {
            assert_no_alloc(|| {
                input.push_interleaved(&floats[..n_frames * n_channels], n_channels);
            });
        }
        assert_no_alloc(|| {
            input.push_planar(&[&planar[0][..n_frames], &planar[1][..n_frames]]);
            input.push_converted(&integers[..n_frames], 1, |sample| {
                f32::from(sample) / 32_768.0
            });
            // Silence is counted until its marks run out, then written.
            input.push_planar(&[&silence[..n_frames], &silence[..n_frames]]);
            input.push_interleaved(&silence[..n_frames], 1);
            input.push_zeros(n_frames);
            std::hint::black_box((cell.load(), cell.version()));
            std::hint::black_box((counters.level_dbfs(), counters.load()));
            std::hint::black_box((counters.dropped_samples(), input.room(), controls.hold()));
            controls.set_hold(n_frames % 2 == 0);
            controls.set_averaging(Seconds(n_frames as f64));
            controls.reset();
        });
    }
    assert_eq!(violation_count(), before, "the audio thread allocated");
    drop(listener);
    // Behind a listener that has left, as well.
    assert_no_alloc(|| {
        input.push_interleaved(&floats[..1024], 2);
        input.push_zeros(1024);
    });
    assert_eq!(violation_count(), before, "the audio thread allocated");
    assert!(!input.wait_until_consumed(Duration::ZERO));
}

/// Sources that say "safe on the audio thread", and those that name clippy's list for it.
fn look_at(folder: &Path, promise: &mut Vec<String>, denied: &mut Vec<String>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            look_at(&path, promise, denied);
            continue;
        }
        let text = fs::read_to_string(&path).unwrap_or_default();
        let name = path.display().to_string();
        if text.contains("/// Safe on the audio thread") {
            promise.push(name.clone());
        }
        let denies = |after: &str| {
            let lints = after.split_once(']').map_or("", |(lints, _)| lints);
            ["methods", "types", "macros"]
                .iter()
                .all(|list| lints.contains(&format!("clippy::disallowed_{list}")))
        };
        if text.split("[deny(").skip(1).any(denies) {
            denied.push(name);
        }
    }
}

#[test]
fn what_promises_to_be_safe_is_looked_at_by_clippy() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let (mut promise, mut denied) = (Vec::new(), Vec::new());
    for folder in ["src", "plugin/core/src"] {
        look_at(&root.join(folder), &mut promise, &mut denied);
    }
    assert!(promise.len() > 8, "{promise:?}");
    promise.retain(|file| !denied.contains(file));
    assert_eq!(promise, [""; 0], "clippy.toml's lists are not denied there");
}
