//! A file, a pipe or standard input on its way through the live path.
//!
//! One thread reads and decodes, another pushes at the speed of the sound. So the second one sees when the first has nothing
//! for it: a pipe whose writer has paused looks like nothing else, and must not leave a genre standing.

use std::{
    io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};

use crate::{
    decision::Readout,
    realtime::{AudioInput, Listener},
    source::{
        capture::CaptureEvent,
        file::{AudioFile, FileError},
    },
    units::{SampleRate, Seconds},
};

/// What is played at some speed and gives nothing for this long has stalled.
const STALL: Duration = Duration::from_secs(1);

/// Decoded blocks that wait to be played.
const BLOCKS_AHEAD: usize = 4;

/// Readouts that may wait to be shown before a file pauses: none is lost, however fast it is played.
const READOUTS_AHEAD: usize = 16;

/// A stream on its way.
pub(super) struct Player {
    thread: JoinHandle<Result<Played, FileError>>,
    events: Receiver<CaptureEvent>,
    // The worker lives as long as one of these: this one, or the thread's.
    _listener: Arc<Listener>,
}

/// What became of it.
pub(super) struct Played {
    pub(super) length: Seconds,
    /// What a listener should know of it: it breaks off, or parts of it could not be decoded.
    pub(super) remarks: Vec<String>,
}

/// What the reading thread has to say.
enum Read {
    Block(Vec<f32>),
    End(Result<Vec<String>, FileError>),
}

impl Player {
    /// Plays `file`, called `name`, `speed` times as fast as it sounds; without a speed, as fast as it goes. With the
    /// listener come the readouts that wait to be shown, which are the caller's.
    pub(super) fn start(
        mut file: AudioFile,
        name: &str,
        input: AudioInput,
        (listener, waiting): (Listener, Receiver<Readout>),
        speed: Option<f64>,
        stop: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let listener = Arc::new(listener);
        let (blocks, read) = crossbeam_channel::bounded(BLOCKS_AHEAD);
        let (out, events) = crossbeam_channel::unbounded();
        let playing = Playing {
            name: name.to_owned(),
            rate: file.rate(),
            input,
            waiting,
            listener: Arc::clone(&listener),
            events: out,
            stop: Arc::clone(stop),
        };
        // Not joined: a pipe that nobody writes to may hold it for ever.
        thread::Builder::new()
            .name("reader".into())
            .spawn(move || {
                let end = file.read(|block| blocks.send(Read::Block(block.to_vec())).is_ok());
                let _ = blocks.send(Read::End(end));
            })?;
        let thread = thread::Builder::new()
            .name("player".into())
            .spawn(move || playing.run(&read, speed))?;
        Ok(Self {
            thread,
            events,
            _listener: listener,
        })
    }

    /// Whether it pauses and goes on.
    pub(super) fn events(&self) -> Receiver<CaptureEvent> {
        self.events.clone()
    }

    /// What became of the stream, once all of it was heard. After a request to end, a stream that gives nothing is not waited
    /// for.
    pub(super) fn end(self, stopped: bool) -> anyhow::Result<Option<Played>> {
        if stopped && !self.thread.is_finished() {
            return Ok(None);
        }
        let played = self
            .thread
            .join()
            .map_err(|_| anyhow::anyhow!("the playing thread failed"))??;
        Ok(Some(played))
    }
}

/// The playing thread's state.
struct Playing {
    name: String,
    rate: SampleRate,
    input: AudioInput,
    /// Readouts that nobody has shown yet.
    waiting: Receiver<Readout>,
    listener: Arc<Listener>,
    events: Sender<CaptureEvent>,
    stop: Arc<AtomicBool>,
}

impl Playing {
    fn run(mut self, read: &Receiver<Read>, speed: Option<f64>) -> Result<Played, FileError> {
        let mut pace = speed.map(|speed| Pace::new(self.rate, speed));
        let mut pushed = 0_u64;
        let mut stalled = false;
        let end = loop {
            let next = match pace {
                Some(_) => read.recv_timeout(STALL),
                // As fast as it goes, there is no time at which something was due.
                None => read.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            match next {
                Ok(Read::Block(block)) => {
                    if let Some(pace) = &mut pace
                        && std::mem::take(&mut stalled)
                    {
                        self.go_on(pace.pause(pushed), pace.speed);
                    }
                    if !self.push(&block, &mut pushed, pace.as_mut()) {
                        break Ok(Vec::new());
                    }
                }
                Ok(Read::End(end)) => break end,
                Err(RecvTimeoutError::Timeout) => {
                    if !std::mem::replace(&mut stalled, true) {
                        self.stall();
                    }
                }
                // The reading thread has panicked, and has said so.
                Err(RecvTimeoutError::Disconnected) => break Ok(Vec::new()),
            }
            if self.stopped() {
                break Ok(Vec::new());
            }
        };
        self.input.finish();
        Ok(Played {
            length: self.rate.duration(pushed),
            remarks: end?,
        })
    }

    /// The event comes first: whoever sees that the state is lost can be told why.
    fn stall(&self) {
        let source = self.name.clone();
        let _ = self.events.send(CaptureEvent::Stalled { source });
        self.listener.set_lost();
    }

    fn go_on(&self, gap: Duration, speed: f64) {
        let (source, seconds) = (self.name.clone(), gap.as_secs_f64());
        let gap = Seconds(seconds);
        let _ = self.events.send(CaptureEvent::GoesOn { source, gap });
        self.listener.set_back(Seconds(seconds * speed));
    }

    fn stopped(&self) -> bool {
        self.stop.load(Ordering::Relaxed)
    }

    /// Pushes a block when it is due; `false` when the user wants to end.
    fn push(&mut self, block: &[f32], pushed: &mut u64, mut pace: Option<&mut Pace>) -> bool {
        const PATIENCE: Duration = Duration::from_millis(100);
        const PIECE: usize = 4096;
        // A packet may be longer than the ring.
        for piece in block.chunks(PIECE) {
            // What nobody shows yet is waited for.
            while !self.stopped()
                && (self.waiting.len() >= READOUTS_AHEAD
                    || !self.input.wait_for_room(piece.len(), PATIENCE))
            {
                thread::sleep(Duration::from_millis(1));
            }
            if let Some(pace) = &mut pace {
                let due = pace.due(*pushed);
                while !self.stopped() && Instant::now() < due {
                    let wait = due.saturating_duration_since(Instant::now());
                    thread::sleep(wait.min(PATIENCE));
                }
                pace.newest = Instant::now();
            }
            self.input.push_interleaved(piece, 1);
            *pushed += piece.len() as u64;
        }
        !self.stopped()
    }
}

/// When each sample is due.
#[derive(Debug)]
struct Pace {
    rate: SampleRate,
    speed: f64,
    /// When the first sample was due, had there been no pause.
    start: Instant,
    /// When something was pushed last.
    newest: Instant,
}

impl Pace {
    fn new(rate: SampleRate, speed: f64) -> Self {
        let now = Instant::now();
        Self {
            rate,
            speed,
            start: now,
            newest: now,
        }
    }

    fn due(&self, sample: u64) -> Instant {
        self.start + self.length(sample)
    }

    fn length(&self, samples: u64) -> Duration {
        Duration::from_secs_f64(self.rate.duration(samples).0 / self.speed)
    }

    /// The next sample is due now; how long there was none. What comes after a pause is not hurried to make up for it.
    fn pause(&mut self, pushed: u64) -> Duration {
        let now = Instant::now();
        self.start = now.checked_sub(self.length(pushed)).unwrap_or(now);
        now - self.newest
    }
}
