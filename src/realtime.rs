//! The only threads, atomics and rings: the audio thread's half, the worker, and the hand-off of readouts.
//!
//! ```text
//!  audio thread                    worker thread                           any thread
//!  AudioInput::push_* --- ring --> Pipeline::push -- ReadoutCell --------> ReadoutCell::load (lock-free)
//!       |                             |   ^        \- bounded channels --> Listener::updates
//!       \------- Counters <-----------/   \-- Controls <------------------ reset, hold, averaging
//! ```
//!
//! The audio thread never waits for the worker, and does not even wake it: the worker polls. What the ring cannot
//! hold is dropped, counted, and told to the worker with its place in the stream, so that positions stay right. Zeros
//! are counted and told in the same way, and not written: most tracks of a session are silent.

mod input;
mod readout;
mod worker;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, OnceLock, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use atomic_float::{AtomicF32, AtomicF64};
use crossbeam_channel::Sender;
use ringbuf::{
    HeapRb,
    traits::{Observer, Split},
};

pub use input::AudioInput;
pub use readout::ReadoutCell;

use crate::{
    decision::{Preset, Readout, average::Mean},
    mixdown::Mixdown,
    network::Model,
    pipeline::{Pipeline, PipelineConfig, PipelineError},
    units::{SampleRate, Seconds},
};
use worker::{
    Attach, Command, Ear, Engine, Feed, Geometry, IDLE_INTERVAL, MIN_LEVEL_DBFS, Seen, Worker,
};

/// Readouts that wait for a slow subscriber: two minutes at the default hop.
const UPDATES: usize = 64;

/// Gaps that can wait in the ring; each needs half a ring of samples after it.
const GAPS: usize = 16;

/// Marks that can wait: gaps, and silences between sounds. Silences that find no place are written out.
const MARKS: usize = 64;

/// How long one inference may take: twice the slowest seen, 0.25 s for a full pass of the CRNN by the
/// portable kernel on a loaded machine.
pub const WORST_INFERENCE: Duration = Duration::from_millis(500);

/// How a live stream is set up.
#[derive(Clone, Debug)]
pub struct RealtimeConfig {
    /// Rate of the samples that will be pushed.
    pub rate: SampleRate,
    /// Largest number of sample frames in one push that must fit at any time.
    pub max_block: usize,
    /// Pipeline settings.
    pub pipeline: PipelineConfig,
}

/// Samples that the ring between audio thread and worker must hold so that nothing is lost while one inference
/// takes as long as `worst_inference`.
///
/// That is what arrives during two such inferences (a worker that wakes late may owe two hops), its longest sleep,
/// and a quarter of a second for a scheduler that has better things to do; and two blocks of the largest
/// size, as one may be under way while the other waits. Never less than 4096 or more than 2^26 samples (256 MiB).
pub fn ring_capacity(rate: SampleRate, max_block: usize, worst_inference: Duration) -> usize {
    const SCHEDULER: Duration = Duration::from_millis(250);
    let busy = worst_inference
        .saturating_mul(2)
        .saturating_add(IDLE_INTERVAL)
        .saturating_add(SCHEDULER);
    // In whole nanoseconds: seconds as a float would sometimes be a sample too many.
    let samples = busy.as_nanos().saturating_mul(u128::from(rate.hz()));
    usize::try_from(samples.div_ceil(1_000_000_000))
        .unwrap_or(usize::MAX)
        .saturating_add(max_block.saturating_mul(2))
        .clamp(4096, 1 << 26)
}

impl AudioInput {
    /// For offline rendering only: waits until the worker has consumed everything that was pushed, or `timeout`.
    /// Not for the audio thread of a live host.
    pub fn wait_until_consumed(&self, timeout: Duration) -> bool {
        self.wait(timeout, || self.unheard() == 0)
    }

    /// For offline rendering and files only: waits until `samples` fit, or `timeout`. Zeros that wait unheard count as
    /// if they took room, so that a file never runs further ahead of its readouts than a ring.
    /// Not for the audio thread of a live host.
    pub fn wait_for_room(&self, samples: usize, timeout: Duration) -> bool {
        let ring = self.samples.capacity().get();
        self.wait(timeout, || {
            self.room() >= samples && self.unheard() as usize + samples <= ring
        })
    }

    /// Samples that the worker knows of and has yet to hear.
    fn unheard(&self) -> u64 {
        let told = self.pushed + self.zeros + self.lost - self.missing;
        told.saturating_sub(self.progress.consumed.load(Ordering::Acquire))
    }

    fn wait(&self, timeout: Duration, done: impl Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        self.worker.unpark();
        let started = Instant::now();
        let mut naps = 0_u32;
        while !done() {
            if self.progress.closed.load(Ordering::Relaxed) || started.elapsed() > timeout {
                return done();
            }
            // Short waits for a block without inference, longer ones behind an inference.
            if naps < 20 {
                thread::yield_now();
            } else {
                thread::sleep(Duration::from_micros(200));
                self.worker.unpark();
            }
            naps += 1;
        }
        true
    }
}

/// What the user can change while it runs. All methods are lock-free and safe on any thread, the audio thread included.
#[derive(Debug)]
pub struct Controls {
    resets: AtomicU32,
    hold: AtomicBool,
    /// NaN until it is set.
    averaging: AtomicF64,
    /// 0 until it is set, 1 arithmetic, 2 geometric.
    mean: AtomicU32,
    /// 0 until it is set, or one more than its place in [`Preset::ALL`].
    restlessness: AtomicU32,
    /// Of averaging, mean and restlessness.
    averaging_changes: AtomicU32,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            resets: AtomicU32::new(0),
            hold: AtomicBool::new(false),
            averaging: AtomicF64::new(f64::NAN),
            mean: AtomicU32::new(0),
            restlessness: AtomicU32::new(0),
            averaging_changes: AtomicU32::new(0),
        }
    }
}

impl Controls {
    /// Forget the average.
    pub fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }
    /// Hold the readout.
    pub fn set_hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Relaxed);
    }
    /// Is it held?
    pub fn hold(&self) -> bool {
        self.hold.load(Ordering::Relaxed)
    }
    /// Time constant of the running average; NaN is ignored, negative is 0.
    pub fn set_averaging(&self, time: Seconds) {
        if !time.0.is_nan() && self.averaging() != Some(time) {
            self.averaging.store(time.0.max(0.0), Ordering::Relaxed);
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// The time constant that was set last; `None` while the pipeline's default holds.
    pub fn averaging(&self) -> Option<Seconds> {
        let time = self.averaging.load(Ordering::Relaxed);
        (!time.is_nan()).then_some(Seconds(time))
    }
    /// How frame scores become one.
    pub fn set_mean(&self, mean: Mean) {
        let code = match mean {
            Mean::Arithmetic => 1,
            Mean::Geometric => 2,
        };
        if self.mean.swap(code, Ordering::Relaxed) != code {
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// The mean that was set last; `None` while the pipeline's default holds.
    pub fn mean(&self) -> Option<Mean> {
        match self.mean.load(Ordering::Relaxed) {
            1 => Some(Mean::Arithmetic),
            2 => Some(Mean::Geometric),
            _ => None,
        }
    }
    /// How restless the answer is: how long another genre must lead, and how sure a first guess must be.
    pub fn set_restlessness(&self, preset: Preset) {
        let code = preset as u32 + 1;
        if self.restlessness.swap(code, Ordering::Relaxed) != code {
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// What was set last; `None` while the pipeline's own holds.
    pub fn restlessness(&self) -> Option<Preset> {
        let code = self.restlessness.load(Ordering::Relaxed) as usize;
        code.checked_sub(1)
            .and_then(|index| Preset::ALL.get(index).copied())
    }
    fn averaging_changes(&self) -> u32 {
        self.averaging_changes.load(Ordering::Acquire)
    }
    fn resets(&self) -> u32 {
        self.resets.load(Ordering::Relaxed)
    }
}

/// What is measured while it runs: lock-free to read on any thread.
#[derive(Debug)]
pub struct Counters {
    level_dbfs: AtomicF32,
    dropped_samples: AtomicU64,
    gaps: AtomicU64,
    missed_updates: AtomicU64,
    load: AtomicF32,
    worst_push_us: AtomicU64,
    /// The newest column of the picture, once somebody watches it.
    column: OnceLock<Box<[AtomicF32]>>,
    /// Counts columns that were put there.
    columns: AtomicU64,
}

impl Default for Counters {
    fn default() -> Self {
        Self {
            level_dbfs: AtomicF32::new(MIN_LEVEL_DBFS),
            dropped_samples: AtomicU64::new(0),
            gaps: AtomicU64::new(0),
            missed_updates: AtomicU64::new(0),
            load: AtomicF32::new(0.0),
            worst_push_us: AtomicU64::new(0),
            column: OnceLock::new(),
            columns: AtomicU64::new(0),
        }
    }
}

impl Counters {
    /// Level (root mean square) of the newest 50 ms of audio in dBFS, updated at least ten times a second (five
    /// times during a long silence); -120 for silence.
    pub fn level_dbfs(&self) -> f32 {
        self.level_dbfs.load(Ordering::Relaxed)
    }
    /// Samples that did not fit or were skipped since the start.
    pub fn dropped_samples(&self) -> u64 {
        self.dropped_samples.load(Ordering::Relaxed)
    }
    /// How many times something was missing: overloads and lost sources.
    pub fn gaps(&self) -> u64 {
        self.gaps.load(Ordering::Relaxed)
    }
    /// Readouts that slow subscribers missed, all together.
    pub fn missed_updates(&self) -> u64 {
        self.missed_updates.load(Ordering::Relaxed)
    }
    /// Worker time per stream time over the last four seconds, 0..: 0.01 is one percent of a core.
    pub fn load(&self) -> f32 {
        self.load.load(Ordering::Relaxed)
    }
    /// The longest that the pipeline took for one push of at most 4096 samples.
    pub fn worst_push(&self) -> Duration {
        Duration::from_micros(self.worst_push_us.load(Ordering::Relaxed))
    }

    /// From now on the newest column of the picture (`n_mels` values) is shown by [`Counters::column`].
    pub fn watch_column(&self, n_mels: usize) {
        self.column.get_or_init(|| {
            (0..n_mels)
                .map(|_| AtomicF32::new(f32::NEG_INFINITY))
                .collect()
        });
    }

    /// Copies the newest column of the picture to `into` and says how many there were so far: for meters, as a column
    /// that is just being written may be half of the next. 0 and nothing before [`Counters::watch_column`] and the first.
    pub fn column(&self, into: &mut Vec<f32>) -> u64 {
        into.clear();
        let count = self.columns.load(Ordering::Acquire);
        if let (true, Some(column)) = (count > 0, self.column.get()) {
            into.extend(column.iter().map(|value| value.load(Ordering::Relaxed)));
        }
        count
    }

    fn column_is_watched(&self) -> bool {
        self.column.get().is_some()
    }
    fn set_column(&self, column: &[f32]) {
        let Some(cells) = self.column.get().filter(|_| !column.is_empty()) else {
            return;
        };
        for (cell, value) in cells.iter().zip(column) {
            cell.store(*value, Ordering::Relaxed);
        }
        self.columns.fetch_add(1, Ordering::Release);
    }
    fn add_dropped(&self, samples: u64) {
        self.dropped_samples.fetch_add(samples, Ordering::Relaxed);
    }
    fn add_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }
    fn add_missed_updates(&self, count: u64) {
        if count > 0 {
            self.missed_updates.fetch_add(count, Ordering::Relaxed);
        }
    }
    fn set_level_dbfs(&self, level: f32) {
        self.level_dbfs.store(level, Ordering::Relaxed);
    }
    fn set_load(&self, load: f32) {
        self.load.store(load, Ordering::Relaxed);
    }
    fn note_push(&self, took: Duration) {
        self.worst_push_us
            .fetch_max(took.as_micros() as u64, Ordering::Relaxed);
    }
}

/// What the listener and its worker share.
#[derive(Debug)]
struct Shared {
    cell: Arc<ReadoutCell>,
    controls: Arc<Controls>,
    counters: Arc<Counters>,
    /// Never touched by the audio thread.
    subscribers: Mutex<Vec<Sender<Readout>>>,
    stop: AtomicBool,
    ended: AtomicBool,
    /// See [`Listener::set_unhurried`].
    unhurried: AtomicBool,
}

impl Shared {
    fn subscribers(&self) -> MutexGuard<'_, Vec<Sender<Readout>>> {
        self.subscribers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// The other half: owns the worker thread. Dropping it stops and joins the worker, whatever it is doing.
#[derive(Debug)]
pub struct Listener {
    model: Option<Arc<Model>>,
    config: RealtimeConfig,
    shared: Arc<Shared>,
    commands: Sender<Command>,
    worker: Option<JoinHandle<()>>,
}

impl Listener {
    /// Starts a worker for one stream.
    ///
    /// # Errors
    /// When the pipeline cannot be built from these settings or the thread cannot be started.
    pub fn start(
        model: &Arc<Model>,
        config: RealtimeConfig,
    ) -> Result<(AudioInput, Self), RealtimeError> {
        let (engine, geometry) = engine(model, config.rate, &config.pipeline)?;
        Self::with_engine(Some(Arc::clone(model)), engine, geometry, config)
    }

    fn with_engine(
        model: Option<Arc<Model>>,
        engine: Box<dyn Engine>,
        geometry: Geometry,
        config: RealtimeConfig,
    ) -> Result<(AudioInput, Self), RealtimeError> {
        let first = engine.readout();
        let shared = Arc::new(Shared {
            cell: Arc::new(ReadoutCell::new(&first)),
            controls: Arc::default(),
            counters: Arc::default(),
            subscribers: Mutex::default(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            unhurried: AtomicBool::new(false),
        });
        let (ring, feed) = ring(&config);
        let (commands, received) = crossbeam_channel::unbounded();
        let worker = Worker {
            ear: Ear::new(engine, geometry, config.rate, Arc::clone(&shared), first),
            feed,
            commands: received,
            controls: Seen::default(),
            fill: None,
        };
        let worker = thread::Builder::new()
            .name("genrescope".into())
            .spawn(move || worker.run())
            .map_err(RealtimeError::Thread)?;
        let input = ring.input(&shared, &worker);
        let listener = Self {
            model,
            config,
            shared,
            commands,
            worker: Some(worker),
        };
        Ok((input, listener))
    }

    /// Goes on with another source, or with the same one after it was gone, `gap` after its last sample. What
    /// is left in the old ring is heard first; the old [`AudioInput`] then leads nowhere. At the same rate the window
    /// and the average are kept if the gap is shorter than a frame (29.12 s); another rate begins anew.
    /// Readout cell, controls, counters and subscriptions stay as they are.
    ///
    /// # Errors
    /// When the pipeline cannot be built for the new rate; the old source is then still attached.
    pub fn reattach(
        &mut self,
        rate: SampleRate,
        max_block: usize,
        gap: Seconds,
    ) -> Result<AudioInput, RealtimeError> {
        self.attach(rate, max_block, Some(gap))
    }

    /// As [`Listener::reattach`], but it stays lost until [`Listener::set_back`], so that what has come back can be told before
    /// the first readout of it.
    ///
    /// # Errors
    /// As [`Listener::reattach`].
    pub fn reattach_lost(
        &mut self,
        rate: SampleRate,
        max_block: usize,
    ) -> Result<AudioInput, RealtimeError> {
        self.attach(rate, max_block, None)
    }

    fn attach(
        &mut self,
        rate: SampleRate,
        max_block: usize,
        gap: Option<Seconds>,
    ) -> Result<AudioInput, RealtimeError> {
        let engine = match &self.model {
            Some(model) if rate != self.config.rate => {
                Some(engine(model, rate, &self.config.pipeline)?)
            }
            _ => None,
        };
        let Some(worker) = &self.worker else {
            return Err(RealtimeError::Ended);
        };
        self.config.rate = rate;
        self.config.max_block = max_block;
        let (ring, feed) = ring(&self.config);
        let input = ring.input(&self.shared, worker);
        let attach = Box::new(Attach {
            feed,
            rate,
            gap,
            engine,
        });
        self.commands
            .send(Command::Attach(attach))
            .map_err(|_| RealtimeError::Ended)?;
        worker.thread().unpark();
        Ok(input)
    }

    /// Says that the source is gone: the readout becomes [`State::Lost`](crate::decision::State::Lost) until samples
    /// arrive after [`Listener::reattach`].
    pub fn set_lost(&self) {
        // A worker that has ended has nothing more to say.
        let _ = self.commands.send(Command::Lost);
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
    }

    /// Says that the source goes on, `gap` after its last sample: the end of [`Listener::set_lost`] where nothing was attached
    /// anew, such as a pipe whose writer paused, or after [`Listener::reattach_lost`].
    pub fn set_back(&self, gap: Seconds) {
        // A worker that has ended has nothing more to hear.
        let _ = self.commands.send(Command::Back(gap));
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
    }

    /// Nobody looks at the level: the worker may look into the ring a quarter as often, and the processor sleeps longer.
    /// Readouts come up to 0.2 s later. It holds for every source.
    pub fn set_unhurried(&self, unhurried: bool) {
        self.shared.unhurried.store(unhurried, Ordering::Relaxed);
    }

    /// Whether a source that delivers nothing is silent rather than stuck: system audio on Windows is like that while
    /// nothing plays. The worker then fills in silence by the clock. Off after each [`Listener::reattach`].
    pub fn set_fill_silence(&self, fill: bool) {
        let _ = self.commands.send(Command::FillSilence(fill));
    }

    /// The rate of the source that is attached.
    pub fn rate(&self) -> SampleRate {
        self.config.rate
    }

    /// The stream has ended: [`AudioInput::finish`] was called and the last readout is out.
    pub fn has_ended(&self) -> bool {
        self.shared.ended.load(Ordering::Acquire)
    }

    /// A handle that reads the newest readout from any thread, without locks.
    pub fn readout(&self) -> Arc<ReadoutCell> {
        Arc::clone(&self.shared.cell)
    }
    /// Hold, reset, averaging.
    pub fn controls(&self) -> Arc<Controls> {
        Arc::clone(&self.shared.controls)
    }
    /// Level, drops, load.
    pub fn counters(&self) -> Arc<Counters> {
        Arc::clone(&self.shared.counters)
    }
    /// Every readout from now on in order, through a bounded channel: what a slow receiver misses is counted, never
    /// waited for. Each call makes a subscription of its own; it ends with the stream.
    pub fn updates(&self) -> crossbeam_channel::Receiver<Readout> {
        let (sender, receiver) = crossbeam_channel::bounded(UPDATES);
        let mut subscribers = self.shared.subscribers();
        // Checked under the lock, under which the worker ends all subscriptions after it has set the flag.
        if !self.has_ended() {
            subscribers.push(sender);
        }
        receiver
    }
}

impl Drop for Listener {
    fn drop(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        if let Some(worker) = self.worker.take() {
            worker.thread().unpark();
            // A worker that has panicked has said so already.
            let _ = worker.join();
        }
    }
}

fn engine(
    model: &Arc<Model>,
    rate: SampleRate,
    config: &PipelineConfig,
) -> Result<(Box<dyn Engine>, Geometry), RealtimeError> {
    let pipeline = Pipeline::new(model, rate, config.clone())?;
    let front_end = model.front_end();
    let column_s = front_end.hop_length as f64 / f64::from(front_end.sample_rate);
    let hop_columns = (pipeline.hop().0 / column_s).round() as usize;
    let geometry = Geometry::new(
        rate,
        front_end.sample_rate,
        (hop_columns * front_end.hop_length) as u64,
        (model.n_frames() * front_end.hop_length) as u64,
    );
    Ok((Box::new(pipeline), geometry))
}

/// The audio thread's ends of one ring.
struct RingEnd {
    samples: ringbuf::HeapProd<f32>,
    marks: ringbuf::HeapProd<input::Mark>,
    progress: Arc<input::Progress>,
}

impl RingEnd {
    fn input(self, shared: &Shared, worker: &JoinHandle<()>) -> AudioInput {
        AudioInput {
            samples: self.samples,
            marks: self.marks,
            progress: self.progress,
            counters: Arc::clone(&shared.counters),
            worker: worker.thread().clone(),
            pushed: 0,
            zeros: 0,
            marked: None,
            missing: 0,
            lost: 0,
            mixdown: Mixdown::default(),
        }
    }
}

fn ring(config: &RealtimeConfig) -> (RingEnd, Feed) {
    let capacity = ring_capacity(config.rate, config.max_block, WORST_INFERENCE);
    let (samples, samples_out) = HeapRb::new(capacity).split();
    let (marks, marks_out) = HeapRb::new(MARKS).split();
    let progress = Arc::new(input::Progress::default());
    let feed = Feed {
        samples: samples_out,
        marks: marks_out,
        progress: Arc::clone(&progress),
        taken: 0,
        zeros: 0,
    };
    let ring = RingEnd {
        samples,
        marks,
        progress,
    };
    (ring, feed)
}

/// Why a live stream could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealtimeError {
    /// The pipeline refused its settings.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
    /// The system gave no thread.
    #[error("cannot start the listening thread: {0}")]
    Thread(#[source] std::io::Error),
    /// The stream has ended; a new listener is needed.
    #[error("the listening thread has ended; start a new listener")]
    Ended,
}

#[cfg(test)]
mod tests;
