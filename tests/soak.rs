//! The live path keeps going for hours: no growth, no drift, nothing dropped. A process of its own,
//! because memory is measured; eight simulated hours are run by hand (docs/listening.md).

use std::time::Duration;

use genrescope::{
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Listener, RealtimeConfig},
    units::SampleRate,
};

const PATIENCE: Duration = Duration::from_secs(60);

/// Resident memory of this process in kB; `None` where the system does not tell in this way.
fn resident_kb() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    let line = status.lines().find(|line| line.starts_with("VmRSS:"))?;
    line.split_whitespace().nth(1)?.parse().ok()
}

/// A short soak: minutes of audio at 8 kHz. The long one is in docs/listening.md.
#[test]
fn a_soak_does_not_grow_or_drop() {
    let model = Model::builtin();
    let rate = SampleRate::new(8_000).unwrap();
    let part: Vec<f32> = (0..rate.hz() * 30)
        .map(|i| {
            let t = i as f32 / rate.hz() as f32;
            (t * 1382.0).sin() * 0.3 * (1.0 - (t * 2.0).fract()) + (t * t * 600.0).sin() * 0.1
        })
        .collect();
    let config = RealtimeConfig {
        rate,
        max_block: 8192,
        pipeline: PipelineConfig::default(),
    };
    let (mut input, listener) = Listener::start(&model, config).unwrap();
    let updates = listener.updates();
    let mut n_readouts = 0_u64;
    let mut after_warming = None;
    let rounds = 8;
    for round in 0..rounds {
        for block in part.chunks(1024) {
            assert!(input.wait_for_room(block.len(), PATIENCE));
            input.push_interleaved(block, 1);
            n_readouts += updates.try_iter().count() as u64;
        }
        if round == rounds / 2 {
            after_warming = resident_kb();
        }
    }
    let at_the_end = resident_kb();
    input.finish();
    let last = std::iter::from_fn(|| updates.recv_timeout(PATIENCE).ok())
        .inspect(|_| n_readouts += 1)
        .last()
        .unwrap();
    assert_eq!(last.seq, n_readouts, "a readout was missed");
    assert_eq!(listener.counters().dropped_samples(), 0);
    let length = f64::from(rounds) * 30.0;
    assert!(
        (length - last.position.0).abs() < 3.0,
        "the clock drifted: {} s of {length} s",
        last.position.0
    );
    if let (Some(before), Some(after)) = (after_warming, at_the_end) {
        assert!(
            after < before + 4_096,
            "grew from {before} to {after} kB in two minutes"
        );
    }
}
