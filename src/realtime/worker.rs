//! The worker thread: takes samples from the ring, runs the pipeline, publishes readouts.
//!
//! It polls: it sleeps [`WAKE_INTERVAL`] at a time, because waking it would be a system call of the
//! audio thread. Readouts come every second or two, so a twentieth of a second of delay is not
//! seen.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
    time::{Duration, Instant},
};

use crossbeam_channel::Receiver;

use super::{
    Shared,
    counters::{MIN_LEVEL_DBFS, next_column_after},
    publish::{Clock, Publisher},
    readout::ReadoutWriter,
    ring::{RingReader, Step},
};
use crate::{
    decision::{Preset, Readout, average::Mean},
    pipeline::Pipeline,
    units::{SampleRate, Seconds, all_zero},
};

/// Sleep between two looks into the ring while samples arrive: the level meter moves 20 times a
/// second.
const WAKE_INTERVAL: Duration = Duration::from_millis(50);

/// Sleep while nothing arrives (a stopped transport, a device that is gone), or only zeros since a
/// second: fifty silent tracks of a session wake the processor a quarter as often. The longest
/// sleep there is, so the ring holds what arrives meanwhile.
pub(super) const IDLE_INTERVAL: Duration = Duration::from_millis(200);

/// Empty looks into the ring before the sleep becomes [`IDLE_INTERVAL`]: one second.
const IDLE_AFTER: u32 = 20;

/// Samples that the pipeline gets at a time: bounds how long a stop or a command waits, to one
/// inference.
const CHUNK: usize = 4096;

/// Without samples for this long, a source that is silent while nothing plays is silent.
const FILL_AFTER: Duration = Duration::from_millis(300);

/// The most zeros that may have to be made up for when sound comes after silence: at 0.1 % of a
/// core, 0.3 s of work.
const MAX_PERIOD_S: u64 = 300;

const ZEROS: [f32; CHUNK] = [0.0; CHUNK];

/// What runs in the worker: [`Pipeline`], or a stand-in whose behaviour the tests control.
pub(super) trait StreamEngine: Send {
    fn push(&mut self, samples: &[f32], on_readout: &mut dyn FnMut(&Readout));
    fn readout(&self) -> Readout;
    /// The newest column of the picture, where there is one.
    fn column(&self) -> &[f32] {
        &[]
    }
    fn reset_average(&mut self);
    fn set_hold(&mut self, hold: bool);
    fn set_averaging(&mut self, time: Seconds);
    fn set_mean(&mut self, mean: Mean);
    fn set_restlessness(&mut self, preset: Preset);
    fn reset(&mut self);
    fn finish(&mut self, on_readout: &mut dyn FnMut(&Readout));
}

impl StreamEngine for Pipeline {
    fn push(&mut self, samples: &[f32], on_readout: &mut dyn FnMut(&Readout)) {
        Pipeline::push(self, samples, on_readout);
    }
    fn readout(&self) -> Readout {
        Pipeline::readout(self)
    }
    fn column(&self) -> &[f32] {
        Pipeline::column(self)
    }
    fn reset_average(&mut self) {
        Pipeline::reset_average(self);
    }
    fn set_hold(&mut self, hold: bool) {
        Pipeline::set_hold(self, hold);
    }
    fn set_averaging(&mut self, time: Seconds) {
        Pipeline::set_averaging(self, time);
    }
    fn set_mean(&mut self, mean: Mean) {
        Pipeline::set_mean(self, mean);
    }
    fn set_restlessness(&mut self, preset: Preset) {
        Pipeline::set_restlessness(self, preset);
    }
    fn reset(&mut self) {
        Pipeline::reset(self);
    }
    fn finish(&mut self, on_readout: &mut dyn FnMut(&Readout)) {
        Pipeline::finish(self, on_readout);
    }
}

/// What the worker must know of the engine to step over long silence.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct SilenceGrid {
    /// Input samples in the network's window.
    pub(super) frame: u64,
    /// Input samples of silence after which nothing depends on what was heard before.
    pub(super) quiet: u64,
    /// Input samples after which the grids of hops, columns, resampler phases and level blocks meet
    /// again, and how many hops that is; `None` where it is too long to be of use.
    pub(super) period: Option<(u64, u64)>,
}

impl SilenceGrid {
    /// `hop` and `frame` are counted in samples of the model's rate.
    pub(super) fn new(rate: SampleRate, model_rate: u32, hop: u64, frame: u64) -> Self {
        let (rate, model_rate) = (u64::from(rate.hz()), u64::from(model_rate.max(1)));
        let samples = hop.max(1) * rate;
        let whole = samples / gcd(samples, model_rate);
        // Levels are measured in blocks of 0.1 s (`decision::silence`).
        let block = rate / 10;
        let period = whole / gcd(whole, block) * block;
        Self {
            frame: frame * rate / model_rate,
            // The silence gate compares with the loudness of the past, which it forgets by 0.5 dB a
            // second; 48 dB below the loudest sample that passes, it plays no part any more.
            quiet: (frame * rate / model_rate).max(96 * rate),
            period: (period <= MAX_PERIOD_S * rate)
                .then_some((period, period * model_rate / samples)),
        }
    }
}

impl SilenceGrid {
    fn hops(&self, count: u64, rate: SampleRate) -> Seconds {
        let (period, hops) = self.period.unwrap_or((0, 1));
        Seconds(rate.duration(count * period).0 / hops as f64)
    }
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// What the listener tells its worker.
pub(super) enum Command {
    /// The source is gone.
    Lost,
    /// The source goes on, after so long.
    Back(Seconds),
    /// The source is back, or another one has taken its place.
    Attach(Box<Attach>),
    /// Whether a source that delivers nothing is silent.
    FillSilence(bool),
}

pub(super) struct Attach {
    pub(super) ring: RingReader,
    pub(super) rate: SampleRate,
    /// How long nothing could be heard; `None` where that is told later.
    pub(super) gap: Option<Seconds>,
    /// With a new rate comes a new engine.
    pub(super) engine: Option<(Box<dyn StreamEngine>, SilenceGrid)>,
}

/// The thread's state.
pub(super) struct Worker {
    pub(super) ear: Ear,
    pub(super) ring: RingReader,
    pub(super) commands: Receiver<Command>,
    pub(super) controls: Seen,
    /// Silence is made by the clock while no samples come.
    pub(super) fill: Option<Instant>,
}

/// Everything behind the ring.
pub(super) struct Ear {
    pub(super) engine: Box<dyn StreamEngine>,
    pub(super) geometry: SilenceGrid,
    pub(super) rate: SampleRate,
    pub(super) shared: Arc<Shared>,
    publisher: Publisher,
    clock: Clock,
    silence: Silence,
    meter: Meter,
    load: Load,
    /// The next samples come this long after the last ones.
    returning_after: Option<Seconds>,
}

/// Controls as they were applied last.
#[derive(Default)]
pub(super) struct Seen {
    resets: u32,
    hold: bool,
    averaging: u32,
}

impl Worker {
    /// The thread's body.
    pub(super) fn run(mut self) {
        let mut empty_looks = 0;
        // Samples since the last sleep.
        let mut burst = 0;
        while !self.stopped() {
            self.take_commands();
            self.take_controls();
            // Read before the ring is drained: what was pushed before `finish` is then in the ring.
            let finished = self.ring.is_finished();
            let drained = self.drain();
            if drained > 0 {
                burst += drained;
                empty_looks = 0;
                if let Some(since) = &mut self.fill {
                    *since = Instant::now();
                }
                continue;
            }
            if finished {
                self.ear.end();
                break;
            }
            if self.fill_silence() {
                empty_looks = 0;
            }
            empty_looks += 1;
            thread::park_timeout(if empty_looks > IDLE_AFTER {
                self.ear.shared.counters.set_level_dbfs(MIN_LEVEL_DBFS);
                IDLE_INTERVAL
            } else if self.ear.rests() || self.ear.shared.unhurried.load(Ordering::Relaxed) {
                IDLE_INTERVAL
            } else if self.ear.shared.counters.column_is_watched() {
                let burst = Duration::try_from_secs_f64(self.ear.rate.duration(burst).0);
                next_column_after(burst.unwrap_or_default())
            } else {
                WAKE_INTERVAL
            });
            burst = 0;
        }
    }

    fn stopped(&self) -> bool {
        self.ear.shared.stop.load(Ordering::Relaxed)
    }

    fn take_commands(&mut self) {
        while let Ok(command) = self.commands.try_recv() {
            // What came before the command is heard before it.
            while self.drain() > 0 && !self.stopped() {}
            self.ear.wake();
            match command {
                Command::Lost => {
                    self.fill = None;
                    self.ear.publisher.lost = true;
                    self.ear.publish_now();
                    self.ear.shared.counters.set_level_dbfs(MIN_LEVEL_DBFS);
                }
                Command::Back(gap) => self.ear.returns(gap),
                Command::Attach(attach) => self.attach(*attach),
                Command::FillSilence(fill) => self.fill = fill.then(Instant::now),
            }
        }
    }

    fn attach(&mut self, attach: Attach) {
        self.ring = attach.ring;
        self.fill = None;
        let ear = &mut self.ear;
        if let Some((engine, geometry)) = attach.engine {
            ear.clock.change_rate(attach.rate);
            (ear.engine, ear.geometry, ear.rate) = (engine, geometry, attach.rate);
            ear.meter = Meter::default();
            ear.set_averaging();
            ear.engine.set_hold(self.controls.hold);
        }
        if let Some(gap) = attach.gap {
            ear.returns(gap);
        }
    }

    fn take_controls(&mut self) {
        let shared = Arc::clone(&self.ear.shared);
        let controls = &shared.controls;
        let (resets, hold) = (controls.resets(), controls.hold());
        let averaging = controls.averaging_changes();
        let seen = &mut self.controls;
        if (resets, hold, averaging) == (seen.resets, seen.hold, seen.averaging) {
            return;
        }
        self.ear.wake();
        if averaging != seen.averaging {
            self.ear.set_averaging();
        }
        let engine = &mut self.ear.engine;
        if hold != seen.hold {
            engine.set_hold(hold);
        }
        if resets != seen.resets {
            engine.reset_average();
        }
        let touched = (resets, hold) != (seen.resets, seen.hold);
        *seen = Seen {
            resets,
            hold,
            averaging,
        };
        if touched {
            self.ear.publish_now();
        }
    }

    /// Takes what lies in the ring; returns how many samples that was, missing ones included.
    fn drain(&mut self) -> u64 {
        let mut drained = 0;
        while !self.stopped() {
            let Some(step) = self.ring.step(CHUNK) else {
                break;
            };
            match step {
                Step::Zeros(length) => self.ear.hear_zeros(length),
                Step::Samples(length) => self.ear.hear(self.ring.samples(length)),
                Step::Missing(samples) => self.ear.skip(samples),
            }
            self.ring.take(step);
            drained += step.length();
            self.take_controls();
        }
        drained
    }

    /// Where a source gives nothing while nothing plays, nothing is silence.
    fn fill_silence(&mut self) -> bool {
        let Some(since) = self.fill else {
            return false;
        };
        let missing = self
            .ear
            .rate
            .samples(Seconds(since.elapsed().as_secs_f64()));
        // A source that merely delivers late must not be talked over.
        if self.ear.rate.duration(missing).0 < FILL_AFTER.as_secs_f64() {
            return false;
        }
        self.fill = Some(Instant::now());
        let mut left = missing;
        while left > 0 {
            let length = left.min(CHUNK as u64);
            self.ear.hear_zeros(length as usize);
            left -= length;
        }
        true
    }
}

impl Ear {
    pub(super) fn new(
        engine: Box<dyn StreamEngine>,
        geometry: SilenceGrid,
        rate: SampleRate,
        shared: Arc<Shared>,
        writer: ReadoutWriter,
    ) -> Self {
        let first = engine.readout();
        Self {
            publisher: Publisher::new(Arc::clone(&shared), writer, first),
            engine,
            geometry,
            rate,
            shared,
            clock: Clock::new(rate),
            silence: Silence::default(),
            meter: Meter::default(),
            load: Load::default(),
            returning_after: None,
        }
    }

    /// Nothing but zeros for a second.
    fn rests(&self) -> bool {
        self.silence.zeros >= u64::from(self.rate.hz())
    }

    /// The next samples come `gap` after the last ones.
    fn returns(&mut self, gap: Seconds) {
        // Counted when samples come: until then, the source may fail to come back and be attached
        // again.
        self.returning_after = (gap.0 > 0.0).then_some(gap);
        self.publisher.returning = self.publisher.lost;
        self.publisher.lost = false;
    }

    /// As the controls say, where they say anything.
    fn set_averaging(&mut self) {
        let controls = &self.shared.controls;
        if let Some(time) = controls.averaging() {
            self.engine.set_averaging(time);
        }
        if let Some(mean) = controls.mean() {
            self.engine.set_mean(mean);
        }
        if let Some(preset) = controls.restlessness() {
            self.engine.set_restlessness(preset);
        }
    }

    fn hear(&mut self, chunk: &[f32]) {
        self.hear_chunk(chunk, all_zero(chunk));
    }

    /// At most [`CHUNK`] zeros.
    fn hear_zeros(&mut self, length: usize) {
        self.hear_chunk(&ZEROS[..length], true);
    }

    fn hear_chunk(&mut self, chunk: &[f32], zeros: bool) {
        if let Some(gap) = self.returning_after.take() {
            self.skip(self.rate.samples(gap));
        }
        if std::mem::take(&mut self.publisher.returning) {
            self.publish_now();
        }
        let length = chunk.len() as u64;
        if let Some(level) = self.meter.push(chunk, zeros, self.rate) {
            self.shared.counters.set_level_dbfs(level);
        }
        let started = Instant::now();
        if zeros && self.silence.settled {
            for hop in self.silence.wait(length, &self.geometry) {
                let since = self.geometry.hops(hop, self.rate);
                self.publisher
                    .publish_silence(self.engine.readout(), &self.clock, since);
            }
        } else {
            if !zeros {
                self.wake();
            }
            self.silence.heard(zeros, length);
            self.clock.heard(length);
            let (publisher, silence) = (&mut self.publisher, &mut self.silence);
            let (clock, geometry) = (&self.clock, &self.geometry);
            self.engine.push(chunk, &mut |readout| {
                silence.saw(readout, geometry);
                publisher.publish(readout, clock);
            });
            self.shared.counters.set_column(self.engine.column());
        }
        let elapsed = started.elapsed();
        self.shared.counters.note_push(elapsed);
        if let Some(load) = self.load.push(elapsed, self.rate.duration(length)) {
            self.shared.counters.set_load(load);
        }
    }

    /// `samples` are missing. The clock goes on; the window keeps what was heard and joins it to
    /// what comes, because that is what was heard: zeros in their place would be a silence that
    /// never sounded. Nothing of the present is left in the window after more than a frame, so
    /// everything then begins anew.
    fn skip(&mut self, samples: u64) {
        if samples == 0 {
            return;
        }
        self.wake();
        self.shared.counters.add_gap();
        self.clock.missed(samples);
        if samples > self.geometry.frame {
            self.engine.reset();
            self.clock.restarted();
            self.publish_now();
        }
    }

    /// Ends the waiting in silence, so that the engine stands where it would, had all zeros been
    /// pushed.
    fn wake(&mut self) {
        let silence = std::mem::take(&mut self.silence);
        if !silence.settled {
            return;
        }
        let (mut rest, mut published) = (silence.waited, silence.published);
        if let Some((period, hops)) = self.geometry.period {
            let whole = silence.waited / period;
            self.clock.missed(whole * period);
            rest -= whole * period;
            published = published.saturating_sub(whole * hops);
        }
        while rest > 0 {
            let length = rest.min(CHUNK as u64);
            self.clock.heard(length);
            let (publisher, clock) = (&mut self.publisher, &self.clock);
            self.engine.push(&ZEROS[..length as usize], &mut |readout| {
                // What was published while waiting is not published again.
                if published > 0 {
                    published -= 1;
                } else {
                    publisher.publish(readout, clock);
                }
            });
            rest -= length;
        }
    }

    fn publish_now(&mut self) {
        self.publisher
            .publish_now(self.engine.readout(), &self.clock);
    }

    fn end(&mut self) {
        self.wake();
        let (publisher, clock) = (&mut self.publisher, &self.clock);
        self.engine
            .finish(&mut |readout| publisher.publish(readout, clock));
    }
}

/// Long digital silence costs nothing: once the window holds zeros only, the loudness of the past
/// is forgotten and three readouts were equal, whole periods of further zeros would change nothing,
/// so they are counted and not computed.
#[derive(Clone, Copy, Debug, Default)]
struct Silence {
    zeros: u64,
    last: Option<Readout>,
    equal: u32,
    /// Nothing changes any more.
    settled: bool,
    /// Zeros since then, which the engine was not given.
    waited: u64,
    /// Hops published since then.
    published: u64,
}

impl Silence {
    fn heard(&mut self, zeros: bool, length: u64) {
        if zeros {
            self.zeros += length;
        } else {
            *self = Self::default();
        }
    }

    fn saw(&mut self, readout: &Readout, geometry: &SilenceGrid) {
        if geometry.period.is_none() || self.zeros < geometry.quiet {
            return;
        }
        let mut comparable = *readout;
        comparable.seq = 0;
        comparable.position = Seconds(0.0);
        if self.last == Some(comparable) {
            self.equal += 1;
        } else {
            self.equal = 0;
        }
        self.last = Some(comparable);
        self.settled = self.equal >= 2;
    }

    /// Counts zeros; yields the number of each hop that went by meanwhile, from 1.
    fn wait(&mut self, length: u64, geometry: &SilenceGrid) -> std::ops::RangeInclusive<u64> {
        self.waited += length;
        let before = self.published;
        if let Some((period, hops)) = geometry.period {
            self.published = self.waited * hops / period;
        }
        before + 1..=self.published
    }
}

/// Mean square of the newest 50 ms.
#[derive(Clone, Debug, Default)]
struct Meter {
    sum: f64,
    count: u32,
}

impl Meter {
    /// The level in dBFS, whenever 50 ms are full. Zeros need not be summed.
    fn push(&mut self, samples: &[f32], zeros: bool, rate: SampleRate) -> Option<f32> {
        let full = (rate.hz() / 20).max(1);
        let mut level = None;
        for part in samples.chunks(full as usize) {
            if !zeros {
                self.sum += part.iter().map(|s| f64::from(s * s)).sum::<f64>();
            }
            self.count += part.len() as u32;
            if self.count >= full {
                let mean_square = self.sum / f64::from(self.count);
                level = Some(((10.0 * mean_square.log10()) as f32).max(MIN_LEVEL_DBFS));
                *self = Self::default();
            }
        }
        level
    }
}

/// The worker's time per stream time, over four seconds of the stream (two hops).
#[derive(Clone, Copy, Debug, Default)]
struct Load {
    busy: Duration,
    stream: Seconds,
}

impl Load {
    fn push(&mut self, busy: Duration, stream: Seconds) -> Option<f32> {
        self.busy += busy;
        self.stream.0 += stream.0;
        if self.stream.0 < 4.0 {
            return None;
        }
        let load = self.busy.as_secs_f64() / self.stream.0;
        *self = Self::default();
        Some(load as f32)
    }
}
