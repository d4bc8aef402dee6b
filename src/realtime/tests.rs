//! The worker with a stand-in for the pipeline, so that stalls, silence and ends can be brought
//! about at will.

use std::sync::atomic::{AtomicBool, AtomicUsize};

use crossbeam_channel::Receiver;

use super::*;
use crate::{
    decision::{Preset, State, average::Mean},
    genre::Scores,
    random::Random,
    units::MAX_AMPLITUDE,
};

const RATE: SampleRate = match SampleRate::new(48_000) {
    Ok(rate) => rate,
    Err(_) => panic!(),
};
/// Input samples per readout of the stand-in, and hops per frame.
const HOP: usize = 4096;
const FRAME_HOPS: usize = 10;
const PATIENCE: Duration = Duration::from_secs(20);

/// Keeps what it was given, and gives one readout per hop, whose confidence is the newest sample.
struct FakeEngine {
    seen: Arc<Seen>,
    total: usize,
    seq: u64,
    zeros: usize,
    newest: f32,
}

#[derive(Default)]
struct Seen {
    samples: Mutex<Vec<f32>>,
    stall: AtomicBool,
    panic: AtomicBool,
    inside: AtomicBool,
    resets: AtomicUsize,
    average_resets: AtomicUsize,
    hold: AtomicBool,
    averaging: Mutex<Option<Seconds>>,
    mean: Mutex<Option<Mean>>,
    restlessness: Mutex<Option<Preset>>,
}

impl Seen {
    fn samples(&self) -> Vec<f32> {
        self.samples.lock().unwrap().clone()
    }
    fn len(&self) -> usize {
        self.samples.lock().unwrap().len()
    }
}

impl FakeEngine {
    fn new(seen: &Arc<Seen>) -> Self {
        Self {
            seen: Arc::clone(seen),
            total: 0,
            seq: 0,
            zeros: 0,
            newest: 0.0,
        }
    }
}

impl StreamEngine for FakeEngine {
    fn push(&mut self, samples: &[f32], on_readout: &mut dyn FnMut(&Readout)) {
        self.seen.inside.store(true, Ordering::SeqCst);
        while self.seen.stall.load(Ordering::SeqCst) {
            thread::sleep(Duration::from_millis(1));
        }
        assert!(
            !self.seen.panic.load(Ordering::SeqCst),
            "the engine panics as it was told to"
        );
        self.seen.samples.lock().unwrap().extend(samples);
        for &sample in samples {
            self.newest = sample;
            self.zeros = if sample == 0.0 { self.zeros + 1 } else { 0 };
            self.total += 1;
            if self.total.is_multiple_of(HOP) {
                self.seq += 1;
                on_readout(&self.readout());
            }
        }
        self.seen.inside.store(false, Ordering::SeqCst);
    }
    fn readout(&self) -> Readout {
        let hops = self.total / HOP;
        let silent = self.zeros >= HOP;
        Readout {
            state: match hops {
                _ if silent => State::Silent,
                0 => State::Warming,
                _ => State::Live,
            },
            reason: None,
            genre: (hops > 0 && !silent).then_some(3),
            confidence: self.newest,
            scores: Scores::uniform(10),
            frame_scores: Scores::uniform(10),
            music: None,
            level_dbfs: -20.0,
            position: RATE.duration((hops * HOP) as u64),
            heard: RATE.duration((hops.min(FRAME_HOPS) * HOP) as u64),
            frames: 1,
            seq: self.seq,
            changed: hops == 1,
        }
    }
    fn reset_average(&mut self) {
        self.seen.average_resets.fetch_add(1, Ordering::SeqCst);
    }
    fn set_hold(&mut self, hold: bool) {
        self.seen.hold.store(hold, Ordering::SeqCst);
    }
    fn set_restlessness(&mut self, preset: Preset) {
        *self.seen.restlessness.lock().unwrap() = Some(preset);
    }
    fn set_mean(&mut self, mean: Mean) {
        *self.seen.mean.lock().unwrap() = Some(mean);
    }
    fn set_averaging(&mut self, time: Seconds) {
        *self.seen.averaging.lock().unwrap() = Some(time);
    }
    fn reset(&mut self) {
        self.seen.resets.fetch_add(1, Ordering::SeqCst);
        *self = Self::new(&self.seen);
    }
    fn finish(&mut self, on_readout: &mut dyn FnMut(&Readout)) {
        self.seq += 1;
        on_readout(&self.readout());
    }
}

fn config() -> RealtimeConfig {
    RealtimeConfig {
        rate: RATE,
        max_block: 1024,
        pipeline: PipelineConfig::default(),
    }
}

fn geometry() -> SilenceGrid {
    let frame = (HOP * FRAME_HOPS) as u64;
    SilenceGrid {
        frame,
        quiet: frame,
        period: Some((HOP as u64, 1)),
    }
}

fn start() -> (AudioInput, Listener, Arc<Seen>) {
    let seen = Arc::<Seen>::default();
    let engine = Box::new(FakeEngine::new(&seen));
    let (input, listener) = Listener::with_engine(None, engine, geometry(), config()).unwrap();
    (input, listener, seen)
}

/// Samples that name their own place in the stream; all below [`MAX_AMPLITUDE`], none zero.
fn ramp(from: usize, count: usize) -> Vec<f32> {
    (from..from + count)
        .map(|i| (i + 1) as f32 / (1 << 20) as f32)
        .collect()
}

fn until(what: &str, mut done: impl FnMut() -> bool) {
    let started = Instant::now();
    while !done() {
        assert!(started.elapsed() < PATIENCE, "waited in vain for: {what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn collect(updates: &Receiver<Readout>) -> Vec<Readout> {
    let deadline = Instant::now() + PATIENCE;
    let mut all = Vec::new();
    while let Ok(readout) = updates.recv_deadline(deadline) {
        all.push(readout);
    }
    all
}

#[test]
fn samples_arrive_in_order_however_they_are_split() {
    let (mut input, listener, seen) = start();
    let signal = ramp(0, 50_000);
    let mut rest = &signal[..];
    for size in [1, 2, 3, 63, 64, 255, 256, 257, 1023, 4096].iter().cycle() {
        let (block, tail) = rest.split_at((*size).min(rest.len()));
        input.push_interleaved(block, 1);
        rest = tail;
        if rest.is_empty() {
            break;
        }
    }
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(seen.samples(), signal);
    assert_eq!(listener.counters().dropped_samples(), 0);
}

#[test]
fn channels_are_averaged() {
    let (mut input, _listener, seen) = start();
    let mut expected = Vec::new();
    for n_channels in [1_usize, 2, 3, 5, 6, 7, 64] {
        let n_frames = 300;
        let interleaved: Vec<f32> = (0..n_frames * n_channels)
            .map(|i| ((i * 37 + 11) % 200) as f32 / 100.0 - 1.0)
            .collect();
        let planar: Vec<Vec<f32>> = (0..n_channels)
            .map(|c| {
                interleaved[c..]
                    .iter()
                    .step_by(n_channels)
                    .copied()
                    .collect()
            })
            .collect();
        let slices: Vec<&[f32]> = planar.iter().map(Vec::as_slice).collect();
        let mean: Vec<f32> = interleaved
            .chunks(n_channels)
            .map(|frame| frame.iter().sum::<f32>() * (1.0 / n_channels as f32))
            .collect();
        input.push_interleaved(&interleaved, n_channels);
        input.push_planar(&slices);
        expected.extend_from_slice(&mean);
        expected.extend_from_slice(&mean);
    }
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(seen.samples(), expected);
}

#[test]
fn channels_that_cancel_each_other_out_are_heard() {
    let (mut input, _listener, seen) = start();
    let left = ramp(0, 9_000);
    let right: Vec<f32> = left.iter().map(|sample| -sample).collect();
    for (left, right) in left.chunks(500).zip(right.chunks(500)) {
        input.push_planar(&[left, right]);
        assert!(input.wait_until_consumed(PATIENCE));
    }
    let interleaved: Vec<f32> = left
        .iter()
        .zip(&right)
        .flat_map(|(&l, &r)| [l, r])
        .collect();
    for block in interleaved.chunks(1_000) {
        input.push_interleaved(block, 2);
        assert!(input.wait_until_consumed(PATIENCE));
    }
    let samples = seen.samples();
    // It takes a moment to notice, once.
    assert!(samples[..4_096].iter().all(|&sample| sample == 0.0));
    assert_eq!(samples[4_096..9_000], left[4_096..]);
    assert_eq!(samples[9_000..], left);
}

#[test]
fn four_channels_that_cancel_in_pairs_are_heard_whichever_way_they_come() {
    fn heard(push: impl Fn(&mut AudioInput, &[f32], &[f32])) -> Vec<f32> {
        let (mut input, _listener, seen) = start();
        let front = ramp(0, 12_000);
        let back: Vec<f32> = front.iter().map(|sample| -sample).collect();
        for (front, back) in front.chunks(500).zip(back.chunks(500)) {
            push(&mut input, front, back);
            assert!(input.wait_until_consumed(PATIENCE));
        }
        seen.samples()
    }
    let planar = heard(|input, front, back| input.push_planar(&[front, front, back, back]));
    let interleaved = heard(|input, front, back| {
        let frames = front.iter().zip(back);
        let samples: Vec<f32> = frames.flat_map(|(&f, &b)| [f, f, b, b]).collect();
        input.push_interleaved(&samples, 4);
    });
    assert_eq!(planar, interleaved);
    // Nothing at first; once it is noticed, all of it.
    assert!(planar[..4_096].iter().all(|&sample| sample == 0.0));
    assert!(planar[8_192..].iter().any(|sample| sample.abs() > 0.0));
}

#[test]
fn strange_blocks_are_no_samples() {
    let (mut input, _listener, seen) = start();
    input.push_interleaved(&[0.5; 64], 0);
    input.push_interleaved(&[], 2);
    input.push_interleaved(&[0.5; 3], 64);
    input.push_interleaved(&[0.5; 3], usize::MAX);
    input.push_planar(&[]);
    input.push_planar(&[&[0.5; 64], &[]]);
    // Half a frame at the end belongs to nothing.
    input.push_interleaved(&[0.25, 0.75, 0.1], 2);
    // The shortest channel decides.
    input.push_planar(&[&[1.0, 1.0, 1.0], &[0.0, 0.5]]);
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(seen.samples(), [0.5, 0.5, 0.75]);
}

#[test]
fn foreign_values_do_not_pass() {
    let (mut input, _listener, seen) = start();
    let block = [f32::NAN, 1e9, -1e9, f32::INFINITY, 1e-42, 0.5];
    input.push_interleaved(&block, 1);
    input.push_planar(&[&block]);
    assert!(input.wait_until_consumed(PATIENCE));
    let expected = [0.0, MAX_AMPLITUDE, -MAX_AMPLITUDE, 0.0, 0.0, 0.5];
    assert_eq!(seen.samples(), [expected, expected].concat());
}

/// A worker that stalls for ten seconds of audio: the ring takes what it can hold, the rest is
/// counted, and afterwards every sample stands at its own place in time.
#[test]
fn an_overload_is_counted_and_over_when_it_is_over() {
    let (mut input, listener, seen) = start();
    let updates = listener.updates();
    let counters = listener.counters();
    let capacity = ring_capacity(RATE, 1024, WORST_INFERENCE);

    seen.stall.store(true, Ordering::SeqCst);
    input.push_interleaved(&ramp(0, 100), 1);
    until("the stall", || seen.inside.load(Ordering::SeqCst));
    let total = 480_000;
    for from in (100..total).step_by(1000) {
        input.push_interleaved(&ramp(from, 1000.min(total - from)), 1);
    }
    let dropped = counters.dropped_samples() as usize;
    assert!(dropped >= total - capacity - 1000, "{dropped} were dropped");
    assert_eq!(input.room(), 0);

    seen.stall.store(false, Ordering::SeqCst);
    until("the backlog", || seen.len() == total - dropped);
    // The next samples close the gap.
    input.push_interleaved(&ramp(total, 20_000), 1);
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(counters.dropped_samples() as usize, dropped);
    assert_eq!(counters.gaps(), 1);
    let samples = seen.samples();
    assert_eq!(samples[..total - dropped], ramp(0, total - dropped));
    // Ten hops are a frame here, so the gap is longer than a frame and empties the window.
    assert_eq!(seen.resets.load(Ordering::SeqCst), 1);
    assert_eq!(samples[total - dropped..], ramp(total, 20_000));

    input.finish();
    let readouts = collect(&updates);
    let last = readouts.last().unwrap();
    let hops_after = 20_000 / HOP;
    let expected = RATE.duration((total + hops_after * HOP) as u64);
    assert!((last.position.0 - expected.0).abs() < 1e-9, "{last:?}");
    assert!(readouts.windows(2).all(|w| w[1].seq == w[0].seq + 1));
}

#[test]
fn a_short_gap_keeps_the_window_and_moves_the_clock() {
    let (mut input, mut listener, seen) = start();
    let updates = listener.updates();
    input.push_interleaved(&ramp(0, HOP), 1);
    assert!(input.wait_until_consumed(PATIENCE));
    drop(input);
    let mut input = listener.reattach(RATE, 1024, Seconds(0.5)).unwrap();
    input.push_interleaved(&ramp(HOP, HOP), 1);
    assert!(input.wait_until_consumed(PATIENCE));
    input.finish();
    let readouts = collect(&updates);
    assert_eq!(seen.resets.load(Ordering::SeqCst), 0);
    assert_eq!(listener.counters().gaps(), 1);
    assert_eq!(readouts[0].position, RATE.duration(HOP as u64));
    let expected = RATE.duration(2 * HOP as u64).0 + 0.5;
    assert!((readouts[1].position.0 - expected).abs() < 1e-9);
    assert_eq!(readouts[1].state, State::Live);
}

#[test]
fn a_lost_source_shows_until_samples_come_back() {
    let (mut input, mut listener, _seen) = start();
    let cell = listener.readout();
    input.push_interleaved(&ramp(0, HOP), 1);
    until("the first answer", || {
        cell.load().is_some_and(|r| r.state == State::Live)
    });
    listener.set_lost();
    until("lost", || {
        cell.load().is_some_and(|r| r.state == State::Lost)
    });
    let lost = cell.load().unwrap();
    assert!(lost.changed && lost.genre.is_none() && lost.confidence == 0.0);
    let mut input = listener.reattach(RATE, 1024, Seconds(0.1)).unwrap();
    thread::sleep(Duration::from_millis(60));
    assert_eq!(
        cell.load().unwrap().state,
        State::Lost,
        "no samples came yet"
    );
    input.push_interleaved(&ramp(HOP, 10), 1);
    until("live again", || {
        cell.load().is_some_and(|r| r.state == State::Live)
    });
    assert!(cell.load().unwrap().changed);
    assert_eq!(cell.load().unwrap().genre, Some(3));
}

#[test]
fn the_end_is_said_to_every_subscriber() {
    let (mut input, listener, _seen) = start();
    let (first, second) = (listener.updates(), listener.updates());
    input.push_interleaved(&ramp(0, 3 * HOP), 1);
    input.finish();
    let readouts = collect(&first);
    assert_eq!(readouts.len(), 4, "three hops and the flushed end");
    assert_eq!(readouts, collect(&second));
    until("the end", || listener.has_ended());
    assert!(
        listener.updates().recv().is_err(),
        "a late subscriber does not hang"
    );
}

#[test]
fn a_slow_subscriber_holds_nobody_up() {
    let (mut input, listener, _seen) = start();
    let slow = listener.updates();
    let hops = UPDATES + 36;
    for hop in 0..hops {
        assert!(input.wait_for_room(HOP, PATIENCE));
        input.push_interleaved(&ramp(hop * HOP, HOP), 1);
    }
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(listener.counters().missed_updates(), 36);
    assert_eq!(slow.len(), UPDATES);
    assert_eq!(listener.readout().load().unwrap().seq, hops as u64);
}

#[test]
fn controls_reach_the_pipeline() {
    let (mut input, listener, seen) = start();
    let controls = listener.controls();
    controls.reset();
    controls.set_hold(true);
    controls.set_averaging(Seconds(f64::NAN));
    controls.set_averaging(Seconds(-4.0));
    assert_eq!(controls.mean(), None);
    controls.set_mean(Mean::Geometric);
    assert_eq!(controls.restlessness(), None);
    controls.set_restlessness(Preset::Fast);
    input.push_interleaved(&ramp(0, 10), 1);
    until("the controls", || {
        seen.average_resets.load(Ordering::SeqCst) == 1
            && seen.hold.load(Ordering::SeqCst)
            && *seen.averaging.lock().unwrap() == Some(Seconds(0.0))
            && *seen.mean.lock().unwrap() == Some(Mean::Geometric)
            && *seen.restlessness.lock().unwrap() == Some(Preset::Fast)
    });
    assert!(controls.hold());
    controls.set_hold(false);
    until("the release", || !seen.hold.load(Ordering::SeqCst));
}

#[test]
fn halves_are_dropped_in_any_order() {
    for round in 0..30 {
        let (mut input, listener, _seen) = start();
        input.push_interleaved(&ramp(0, 1000 * round), 1);
        if round % 2 == 0 {
            drop(listener);
            // Nobody listens: no loss is counted, nothing blocks.
            input.push_interleaved(&ramp(0, 500_000), 1);
            assert_eq!(input.counters.dropped_samples(), 0);
            assert!(!input.wait_until_consumed(Duration::ZERO) || round == 0);
        } else {
            drop(input);
            drop(listener);
        }
    }
}

#[test]
fn dropping_during_an_inference_waits_for_that_one_only() {
    let (mut input, listener, seen) = start();
    seen.stall.store(true, Ordering::SeqCst);
    input.push_interleaved(&ramp(0, 60_000), 1);
    until("the inference", || seen.inside.load(Ordering::SeqCst));
    let release = {
        let seen = Arc::clone(&seen);
        thread::spawn(move || {
            thread::sleep(Duration::from_millis(50));
            seen.stall.store(false, Ordering::SeqCst);
        })
    };
    drop(listener);
    release.join().unwrap();
    assert!(seen.len() <= 4096, "{} samples were still run", seen.len());
}

#[test]
fn a_worker_that_dies_says_lost() {
    let (mut input, listener, seen) = start();
    let updates = listener.updates();
    seen.panic.store(true, Ordering::SeqCst);
    input.push_interleaved(&ramp(0, 10), 1);
    let readouts = collect(&updates);
    assert_eq!(readouts.last().unwrap().state, State::Lost);
    assert!(listener.has_ended());
}

/// After a frame of zeros the engine is left alone, yet every readout is as if it had heard them
/// all.
#[test]
fn long_silence_costs_nothing_and_changes_nothing() {
    let quiet_hops = 50;
    let signal = [
        ramp(0, HOP * 2 + 777),
        vec![0.0; HOP * quiet_hops + 1234],
        ramp(0, HOP * 3),
        vec![0.0; HOP * quiet_hops],
    ]
    .concat();

    let mut expected = Vec::new();
    let reference = Arc::<Seen>::default();
    let mut engine = FakeEngine::new(&reference);
    engine.push(&signal, &mut |readout| expected.push(*readout));
    engine.finish(&mut |readout| expected.push(*readout));

    let (mut input, listener, seen) = start();
    let updates = listener.updates();
    let mut found = Vec::new();
    for block in signal.chunks(1000) {
        assert!(input.wait_for_room(block.len(), PATIENCE));
        input.push_interleaved(block, 1);
        found.extend(updates.try_iter());
    }
    input.finish();
    found.extend(collect(&updates));

    let worked = seen.len();
    assert!(
        worked < signal.len() - HOP * quiet_hops,
        "{worked} of {} samples",
        signal.len()
    );
    assert_eq!(found.len(), expected.len());
    for (found, expected) in found.iter().zip(&expected) {
        assert!((found.position.0 - expected.position.0).abs() < 1e-9);
        let mut found = *found;
        found.position = expected.position;
        if found.state == State::Silent || expected.changed == found.changed {
            found.changed = expected.changed;
        }
        assert_eq!(found, *expected);
    }
}

impl Random {
    /// Runs of sound and of zeros, as long as `longest` at most; sound is [`ramp`], or noise with
    /// zeros and denormals in it.
    fn sound_and_silence(&mut self, total: usize, longest: usize) -> Vec<f32> {
        let mut signal = ramp(0, total);
        let mut from = 0;
        while from < total {
            let length = (1 + self.below(longest)).min(total - from);
            let run = &mut signal[from..from + length];
            match self.below(4) {
                0 | 1 => run.fill(0.0),
                2 => {
                    for sample in run {
                        *sample = [0.0, -0.0, 1e-42, 0.3, -0.2][self.below(5)];
                    }
                }
                _ => {}
            }
            from += length;
        }
        signal
    }

    /// Pushes `signal` in blocks of 1 to `largest`, by each of the ways there are.
    fn push(&mut self, input: &mut AudioInput, mut signal: &[f32], largest: usize) {
        while !signal.is_empty() {
            let (block, rest) = signal.split_at((1 + self.below(largest)).min(signal.len()));
            signal = rest;
            assert!(input.wait_for_room(block.len(), PATIENCE));
            match self.below(4) {
                0 => input.push_interleaved(block, 1),
                1 => {
                    let stereo: Vec<f32> = block.iter().flat_map(|&s| [s, s]).collect();
                    input.push_interleaved(&stereo, 2);
                }
                2 => input.push_converted(block, 1, |sample| sample),
                _ => input.push_planar(&[block, block]),
            }
        }
    }
}

/// Zeros that were counted come out at their places, bit for bit, however sound and silence are
/// mixed and split.
#[test]
fn zeros_that_are_counted_are_as_good_as_written() {
    for (seed, longest, largest) in [
        (1, 1, 1),
        (2, 3, 2),
        (3, 40, 64),
        (4, 700, 4096),
        (5, 5_000, 300),
        (6, 60_000, 4096),
        (7, 2, 4096),
    ] {
        let mut random = Random::new(seed);
        let seen = Arc::<Seen>::default();
        let engine = Box::new(FakeEngine::new(&seen));
        // Without a period, the engine is given every sample.
        let geometry = SilenceGrid {
            period: None,
            ..geometry()
        };
        let (mut input, listener) =
            Listener::with_engine(None, engine, geometry, config()).unwrap();
        let signal = random.sound_and_silence(200_000, longest);
        random.push(&mut input, &signal, largest);
        assert!(input.wait_until_consumed(PATIENCE));
        let expected: Vec<f32> = signal.iter().map(|&s| crate::units::sane(s)).collect();
        assert!(seen.samples() == expected, "seed {seed}");
        assert_eq!(listener.counters().dropped_samples(), 0);
        assert_eq!(input.ring.written(), signal.len() as u64);
        let silent = expected.iter().filter(|&&s| s == 0.0).count() as u64;
        assert!(input.ring.zeros() <= silent, "seed {seed}");
        // Blocks that are no longer than the runs find most of their zeros.
        if longest >= 5_000 {
            assert!(
                input.ring.zeros() > silent / 3,
                "seed {seed}: {}",
                input.ring.zeros()
            );
        }
    }
}

/// Silences need marks, of which there are few; when they run out behind a worker that stalls,
/// zeros are written, and what is lost is counted to the sample.
#[test]
fn an_overload_among_silences_is_counted_to_the_sample() {
    let (mut input, listener, seen) = start();
    let updates = listener.updates();
    seen.stall.store(true, Ordering::SeqCst);
    input.push_interleaved(&ramp(0, 100), 1);
    until("the stall", || seen.inside.load(Ordering::SeqCst));
    let total = 500_100;
    let mut signal = ramp(0, total);
    for block in signal[100..].chunks_mut(1000).step_by(2) {
        block.fill(0.0);
    }
    for block in signal[100..].chunks(1000) {
        input.push_interleaved(block, 1);
    }
    let dropped = listener.counters().dropped_samples() as usize;
    assert_eq!(
        input.ring.vacant_marks(),
        ring::GAPS,
        "silences leave marks to gaps"
    );
    assert_eq!(
        input.ring.written() + dropped as u64,
        total as u64,
        "{input:?}"
    );
    assert!(dropped > 0 && input.ring.zeros() > 0, "{input:?}");

    seen.stall.store(false, Ordering::SeqCst);
    until("the backlog", || seen.len() == total - dropped);
    // Zeros close the gap as samples do.
    let tail = [vec![0.0; 10_000], ramp(total, 10_000)].concat();
    input.push_planar(&[&tail]);
    assert!(input.wait_until_consumed(PATIENCE));
    let samples = seen.samples();
    assert!(samples[..total - dropped] == signal[..total - dropped]);
    assert!(samples[total - dropped..] == tail);
    assert_eq!(listener.counters().gaps(), 1);
    assert_eq!(listener.counters().dropped_samples() as usize, dropped);
    input.finish();
    let last = *collect(&updates).last().unwrap();
    let expected = RATE.duration((total + tail.len() / HOP * HOP) as u64);
    assert!((last.position.0 - expected.0).abs() < 1e-9, "{last:?}");
}

/// A silence of an hour takes no room in the ring, even while nobody empties it.
#[test]
fn silence_fills_no_ring() {
    let (mut input, listener, seen) = start();
    let room = input.room();
    seen.stall.store(true, Ordering::SeqCst);
    for _ in 0..RATE.hz() / 480 * 3600 {
        input.push_planar(&[&[0.0; 480], &[-0.0; 480]]);
    }
    assert_eq!(input.room(), room);
    assert_eq!(input.ring.zeros(), 3600 * u64::from(RATE.hz()));
    assert_eq!(listener.counters().dropped_samples(), 0);
    seen.stall.store(false, Ordering::SeqCst);
    assert!(input.wait_until_consumed(PATIENCE));
}

/// The real pipeline says the same of counted zeros as of written ones, at every hop.
#[test]
fn the_readouts_are_those_of_written_zeros() {
    let model = Model::builtin();
    for (seed, hz) in [(1, 48_000), (2, 44_100)] {
        let mut random = Random::new(seed);
        let rate = SampleRate::new(hz).unwrap();
        let second = hz as usize;
        let mut signal = random.sound_and_silence(20 * second, 2 * second);
        signal.extend(vec![0.0; 7 * second + 311]);
        signal.extend(random.sound_and_silence(20 * second, 30 * second));

        let mut expected = Vec::new();
        let mut pipeline = Pipeline::new(&model, rate, PipelineConfig::default()).unwrap();
        pipeline.push(&signal, |readout| expected.push(*readout));
        pipeline.finish(|readout| expected.push(*readout));

        let config = RealtimeConfig { rate, ..config() };
        let (mut input, listener) = Listener::start(&model, config).unwrap();
        let updates = listener.updates();
        random.push(&mut input, &signal, 4096);
        assert!(input.ring.zeros() > 7 * second as u64 - 4096);
        input.finish();
        let found = collect(&updates);
        assert_eq!(found, expected, "seed {seed}");
    }
}

/// System audio on Windows delivers nothing while nothing plays.
#[test]
fn nothing_is_silence_where_it_is_said_to_be() {
    let (mut input, listener, seen) = start();
    let cell = listener.readout();
    input.push_interleaved(&ramp(0, HOP), 1);
    listener.set_fill_silence(true);
    until("silence by the clock", || {
        cell.load().is_some_and(|r| r.state == State::Silent)
    });
    input.push_interleaved(&ramp(HOP, HOP), 1);
    until("sound again", || {
        cell.load().is_some_and(|r| r.state != State::Silent)
    });
    assert!(seen.samples().iter().filter(|&&s| s != 0.0).count() >= HOP);
}

#[test]
fn the_grid_of_hops_repeats_after_whole_samples() {
    let period = |rate: u32, step: u64| {
        let rate = SampleRate::new(rate).unwrap();
        SilenceGrid::new(rate, 12_000, step * 256, 1366 * 256).period
    };
    // Hops of 65,536 and blocks of 4,800 samples meet after 75 hops, 102.4 s.
    assert_eq!(period(48_000, 64), Some((4_915_200, 75)));
    assert_eq!(period(44_100, 64), Some((4_515_840, 75)));
    assert_eq!(period(8_000, 64), Some((819_200, 75)));
    assert_eq!(period(48_000, 96), Some((2_457_600, 25)));
    assert_eq!(period(44_101, 64), None, "that would be hours");
}

#[test]
fn the_meter_shows_the_level() {
    let (mut input, listener, _seen) = start();
    let counters = listener.counters();
    assert_eq!(counters.level_dbfs(), -120.0);
    let sine: Vec<f32> = (0..9600)
        .map(|i| (i as f32 * std::f32::consts::TAU / 48.0).sin())
        .collect();
    input.push_interleaved(&sine, 1);
    assert!(input.wait_until_consumed(PATIENCE));
    assert!((counters.level_dbfs() + 3.01).abs() < 0.02);
    input.push_interleaved(&vec![0.0; 9600], 1);
    assert!(input.wait_until_consumed(PATIENCE));
    assert_eq!(counters.level_dbfs(), -120.0);
}

#[test]
fn the_ring_holds_what_two_inferences_miss() {
    let ms = Duration::from_millis;
    for (rate, max_block, worst, expected) in [
        // (2 * worst + 200 ms + 250 ms) * rate + 2 * block
        (48_000, 1024, ms(500), 69_600 + 2_048),
        (44_100, 0, ms(500), 63_945),
        (44_100, 512, ms(35), 22_932 + 1_024),
        (192_000, 8192, ms(500), 278_400 + 16_384),
        (384_000, 1, ms(1000), 940_800 + 2),
        (8_000, 0, ms(0), 4_096),
        (384_000, usize::MAX, Duration::MAX, 1 << 26),
    ] {
        let rate = SampleRate::new(rate).unwrap();
        assert_eq!(
            ring_capacity(rate, max_block, worst),
            expected,
            "{rate}, {max_block}, {worst:?}"
        );
    }
}
