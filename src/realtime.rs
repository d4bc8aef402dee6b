//! The only threads, atomics and rings: the audio thread's half, the worker, and the hand-off of
//! readouts.
//!
//! ```text
//!  audio thread                worker thread                        any thread
//!  AudioInput::push_* - ring -> Pipeline::push -- ReadoutCell -----> ReadoutCell::load
//!       |                          |   ^      \- bounded channels -> Listener::updates
//!       \------ Counters <---------/   \---- Controls <------------ reset, hold, averaging
//! ```
//!
//! The audio thread never waits for the worker, and does not even wake it: the worker polls. What
//! the ring cannot hold is dropped, counted, and told to the worker with its place in the stream,
//! so that positions stay right. Zeros are counted and told in the same way, and not written: most
//! tracks of a session are silent.

mod controls;
mod counters;
mod input;
mod publish;
mod readout;
mod ring;
mod seqlock;
mod sync;
mod worker;

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::Sender;

pub use controls::Controls;
pub use counters::Counters;
#[cfg(feature = "lights")]
pub(crate) use counters::next_column_after;
pub use input::AudioInput;
pub use readout::ReadoutCell;

use crate::{
    decision::Readout,
    mixdown::Mixdown,
    network::Model,
    pipeline::{Pipeline, PipelineConfig, PipelineError},
    units::{SampleRate, Seconds},
};
use readout::readout_cell;
use ring::{RingReader, RingWriter, ring};
use worker::{Attach, Command, Ear, IDLE_INTERVAL, Seen, SilenceGrid, StreamEngine, Worker};

/// Readouts that wait for a slow subscriber: two minutes at the default hop.
const UPDATES: usize = 64;

/// How long one inference may take: twice the slowest seen, 0.25 s for a full pass of the CRNN by
/// the portable kernel on a loaded machine.
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

/// Samples that the ring between audio thread and worker must hold so that nothing is lost while
/// one inference takes as long as `worst_inference`.
///
/// That is what arrives during two such inferences (a worker that wakes late may owe two hops), its
/// longest sleep, and a quarter of a second for a scheduler that has better things to do; and two
/// blocks of the largest size, as one may be under way while the other waits. Never less than 4096
/// or more than 2^26 samples (256 MiB).
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
    /// For offline rendering only: waits until the worker has consumed everything that was pushed,
    /// or `timeout`. Not for the audio thread of a live host.
    pub fn wait_until_consumed(&self, timeout: Duration) -> bool {
        self.wait(timeout, || self.ring.unheard() == 0)
    }

    /// For offline rendering and files only: waits until `samples` fit, or `timeout`. Zeros that
    /// wait unheard count as if they took room, so that a file never runs further ahead of its
    /// readouts than a ring. Not for the audio thread of a live host.
    pub fn wait_for_room(&self, samples: usize, timeout: Duration) -> bool {
        let ring = self.ring.capacity();
        self.wait(timeout, || {
            self.room() >= samples && self.ring.unheard() as usize + samples <= ring
        })
    }

    fn wait(&self, timeout: Duration, done: impl Fn() -> bool) -> bool {
        if done() {
            return true;
        }
        self.worker.unpark();
        let started = Instant::now();
        let mut naps = 0_u32;
        while !done() {
            if self.ring.is_closed() || started.elapsed() > timeout {
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

/// The other half: owns the worker thread. Dropping it stops and joins the worker, whatever it is
/// doing.
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
        engine: Box<dyn StreamEngine>,
        geometry: SilenceGrid,
        config: RealtimeConfig,
    ) -> Result<(AudioInput, Self), RealtimeError> {
        let (writer, cell) = readout_cell(&engine.readout());
        let shared = Arc::new(Shared {
            cell,
            controls: Arc::default(),
            counters: Arc::default(),
            subscribers: Mutex::default(),
            stop: AtomicBool::new(false),
            ended: AtomicBool::new(false),
            unhurried: AtomicBool::new(false),
        });
        let (end, ring) = halves(&config);
        let (commands, received) = crossbeam_channel::unbounded();
        let worker = Worker {
            ear: Ear::new(engine, geometry, config.rate, Arc::clone(&shared), writer),
            ring,
            commands: received,
            controls: Seen::default(),
            fill: None,
        };
        let worker = thread::Builder::new()
            .name("genrescope".into())
            .spawn(move || worker.run())
            .map_err(RealtimeError::Thread)?;
        let input = input(end, &shared, &worker);
        let listener = Self {
            model,
            config,
            shared,
            commands,
            worker: Some(worker),
        };
        Ok((input, listener))
    }

    /// Goes on with another source, or with the same one after it was gone, `gap` after its last
    /// sample. What is left in the old ring is heard first; the old [`AudioInput`] then leads
    /// nowhere. At the same rate the window and the average are kept if the gap is shorter than a
    /// frame (29.12 s); another rate begins anew. Readout cell, controls, counters and
    /// subscriptions stay as they are.
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

    /// As [`Listener::reattach`], but it stays lost until [`Listener::set_back`], so that what has
    /// come back can be told before the first readout of it.
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
        let (end, ring) = halves(&self.config);
        let input = input(end, &self.shared, worker);
        let attach = Box::new(Attach {
            ring,
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

    /// Says that the source is gone: the readout becomes
    /// [`State::Lost`](crate::decision::State::Lost) until samples arrive after
    /// [`Listener::reattach`].
    pub fn set_lost(&self) {
        // A worker that has ended has nothing more to say.
        let _ = self.commands.send(Command::Lost);
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
    }

    /// Says that the source goes on, `gap` after its last sample: the end of [`Listener::set_lost`]
    /// where nothing was attached anew, such as a pipe whose writer paused, or after
    /// [`Listener::reattach_lost`].
    pub fn set_back(&self, gap: Seconds) {
        // A worker that has ended has nothing more to hear.
        let _ = self.commands.send(Command::Back(gap));
        if let Some(worker) = &self.worker {
            worker.thread().unpark();
        }
    }

    /// Nobody looks at the level: the worker may look into the ring a quarter as often, and the
    /// processor sleeps longer. Readouts come up to 0.2 s later. It holds for every source.
    pub fn set_unhurried(&self, unhurried: bool) {
        self.shared.unhurried.store(unhurried, Ordering::Relaxed);
    }

    /// Whether a source that delivers nothing is silent rather than stuck: system audio on Windows
    /// is like that while nothing plays. The worker then fills in silence by the clock. Off after
    /// each [`Listener::reattach`].
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
    /// Every readout from now on in order, through a bounded channel: what a slow receiver misses
    /// is counted, never waited for. Each call makes a subscription of its own; it ends with the
    /// stream.
    pub fn updates(&self) -> crossbeam_channel::Receiver<Readout> {
        let (sender, receiver) = crossbeam_channel::bounded(UPDATES);
        let mut subscribers = self.shared.subscribers();
        // Checked under the lock, under which the worker ends all subscriptions after it has set
        // the flag.
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
) -> Result<(Box<dyn StreamEngine>, SilenceGrid), RealtimeError> {
    let pipeline = Pipeline::new(model, rate, config.clone())?;
    let front_end = model.front_end();
    let geometry = SilenceGrid::new(
        rate,
        front_end.sample_rate,
        (pipeline.hop_columns() * front_end.hop_length) as u64,
        (model.n_frames() * front_end.hop_length) as u64,
    );
    Ok((Box::new(pipeline), geometry))
}

fn halves(config: &RealtimeConfig) -> (RingWriter, RingReader) {
    ring(ring_capacity(
        config.rate,
        config.max_block,
        WORST_INFERENCE,
    ))
}

fn input(ring: RingWriter, shared: &Shared, worker: &JoinHandle<()>) -> AudioInput {
    AudioInput {
        ring,
        counters: Arc::clone(&shared.counters),
        worker: worker.thread().clone(),
        mixdown: Mixdown::default(),
    }
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
