//! A file, a pipe or standard input on its way through the live path.
//!
//! One thread opens, reads and decodes, another pushes at the speed of the sound. So the second one
//! sees when the first has nothing for it: a pipe whose writer has paused, or has not begun, looks
//! like nothing else, and must not leave a genre standing.

use std::{
    io,
    sync::{
        Arc, Mutex, PoisonError,
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
pub(super) const STALL: Duration = Duration::from_secs(1);

/// The largest block that is pushed.
pub(super) const MAX_BLOCK: usize = 8_192;

/// Decoded blocks that wait to be played.
const BLOCKS_AHEAD: usize = 4;

/// Readouts that may wait to be shown before a file pauses: none is lost, however fast it is
/// played.
const READOUTS_AHEAD: usize = 16;

/// A stream on its way.
pub(super) struct Player {
    thread: JoinHandle<anyhow::Result<Played>>,
    events: Receiver<CaptureEvent>,
    begun: Arc<AtomicBool>,
    // The worker lives as long as one of these: this one, or the thread's.
    _listener: Arc<Mutex<Listener>>,
}

/// What became of it.
pub(super) struct Played {
    pub(super) length: Seconds,
    /// What a listener should know of it: it breaks off, or parts of it could not be decoded.
    pub(super) remarks: Vec<String>,
}

/// Where the sound comes from.
pub(super) enum Opened {
    Now(Box<AudioFile>),
    /// A pipe that has not begun: its file comes here when it has.
    Later(Receiver<anyhow::Result<AudioFile>>),
}

/// What the reading thread has to say.
enum Read {
    Block(Vec<f32>),
    End(Result<Vec<String>, FileError>),
}

impl Player {
    /// Plays what was `opened`, called `name`, `speed` times as fast as it sounds; without a speed,
    /// as fast as it goes. `input` takes samples of the rate of what was opened, where that is
    /// known. With the listener come the readouts that wait to be shown, which are the caller's.
    pub(super) fn start(
        opened: Opened,
        name: &str,
        input: AudioInput,
        (listener, waiting): (Listener, Receiver<Readout>),
        speed: Option<f64>,
        stop: &Arc<AtomicBool>,
    ) -> io::Result<Self> {
        let rate = listener.rate();
        let listener = Arc::new(Mutex::new(listener));
        let begun = Arc::new(AtomicBool::new(matches!(opened, Opened::Now(_))));
        let (out, events) = crossbeam_channel::unbounded();
        let mut playing = Playing {
            name: name.to_owned(),
            rate,
            input,
            waiting,
            listener: Arc::clone(&listener),
            events: out,
            begun: Arc::clone(&begun),
            stop: Arc::clone(stop),
        };
        let thread = thread::Builder::new()
            .name("player".into())
            .spawn(move || {
                let played = playing.run(opened, speed);
                playing.input.finish();
                played
            })?;
        Ok(Self {
            thread,
            events,
            begun,
            _listener: listener,
        })
    }

    /// There is something to play.
    pub(super) fn has_begun(&self) -> bool {
        self.begun.load(Ordering::Relaxed)
    }

    /// Whether it pauses and goes on.
    pub(super) fn events(&self) -> Receiver<CaptureEvent> {
        self.events.clone()
    }

    /// What became of the stream, once all of it was heard. After a request to end, a stream that
    /// gives nothing is not waited for.
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
    listener: Arc<Mutex<Listener>>,
    events: Sender<CaptureEvent>,
    begun: Arc<AtomicBool>,
    stop: Arc<AtomicBool>,
}

impl Playing {
    fn run(&mut self, opened: Opened, speed: Option<f64>) -> anyhow::Result<Played> {
        let (since, waited) = (Instant::now(), matches!(opened, Opened::Later(_)));
        let mut pace = speed.map(|speed| Pace::new(self.rate, speed));
        let file = match opened {
            Opened::Now(file) => *file,
            Opened::Later(coming) => {
                let Some(file) = self.wait_for(&coming)? else {
                    return Ok(self.played(0, Vec::new()));
                };
                self.begun.store(true, Ordering::Relaxed);
                self.rate = file.rate();
                let input = self.listener().reattach_lost(self.rate, MAX_BLOCK);
                self.input = input?;
                if let Some(pace) = &mut pace {
                    pace.rate = self.rate;
                } else {
                    // Nothing was due.
                    self.go_on(since.elapsed(), 0.0);
                }
                file
            }
        };
        let read = read(file)?;
        let mut flow = pace.as_ref().map(|pace| Flow::new(pace.speed, waited));
        let (mut pushed, mut kept) = (0_u64, Vec::new());
        let end = loop {
            let next = match &flow {
                Some(flow) => read.recv_timeout(flow.patience()),
                // As fast as it goes, there is no time at which something was due.
                None => read.recv().map_err(|_| RecvTimeoutError::Disconnected),
            };
            if let (Some(pace), Some(flow), Ok(Read::Block(_)) | Err(_)) =
                (&mut pace, &mut flow, &next)
            {
                let came = match &next {
                    Ok(Read::Block(block)) => self.rate.duration(block.len() as u64),
                    _ => Seconds(0.0),
                };
                match flow.turn(came, Instant::now()) {
                    Turn::Stalls => self.stall(pushed > 0),
                    Turn::GoesOn => self.go_on(pace.pause(pushed), pace.speed),
                    Turn::DriesUp => kept.clear(),
                    Turn::Same => {}
                }
            }
            match next {
                // Crumbs are no sound yet.
                Ok(Read::Block(block)) if flow.as_ref().is_some_and(|flow| flow.stalled) => {
                    kept.extend(block);
                }
                Ok(Read::Block(block)) => {
                    kept.extend(block);
                    let block = std::mem::take(&mut kept);
                    if !self.push(&block, &mut pushed, pace.as_mut()) {
                        break Ok(Vec::new());
                    }
                }
                Ok(Read::End(end)) => break end,
                Err(RecvTimeoutError::Timeout) => {}
                // The reading thread has panicked, and has said so.
                Err(RecvTimeoutError::Disconnected) => break Ok(Vec::new()),
            }
            if self.stopped() {
                break Ok(Vec::new());
            }
        };
        Ok(self.played(pushed, end?))
    }

    fn played(&self, pushed: u64, remarks: Vec<String>) -> Played {
        Played {
            length: self.rate.duration(pushed),
            remarks,
        }
    }

    /// Waits until a pipe begins; `None` when the user wants to end first.
    fn wait_for(
        &self,
        coming: &Receiver<anyhow::Result<AudioFile>>,
    ) -> anyhow::Result<Option<AudioFile>> {
        self.stall(false);
        while !self.stopped() {
            match coming.recv_timeout(Duration::from_millis(50)) {
                Ok(file) => return file.map(Some),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => return Err(opener_failed()),
            }
        }
        Ok(None)
    }

    fn listener(&self) -> std::sync::MutexGuard<'_, Listener> {
        self.listener.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The event comes first: whoever sees that the state is lost can be told why.
    fn stall(&self, begun: bool) {
        let source = self.name.clone();
        let _ = self.events.send(CaptureEvent::Stalled { source, begun });
        self.listener().set_lost();
    }

    fn go_on(&self, gap: Duration, speed: f64) {
        let (source, seconds) = (self.name.clone(), gap.as_secs_f64());
        let gap = Seconds(seconds);
        let _ = self.events.send(CaptureEvent::GoesOn { source, gap });
        self.listener().set_back(Seconds(seconds * speed));
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

/// Reads `file` on a thread of its own, which is not joined: a pipe that nobody writes to may hold
/// it for ever.
fn read(mut file: AudioFile) -> io::Result<Receiver<Read>> {
    let (blocks, read) = crossbeam_channel::bounded(BLOCKS_AHEAD);
    thread::Builder::new()
        .name("reader".into())
        .spawn(move || {
            let end = file.read(|block| blocks.send(Read::Block(block.to_vec())).is_ok());
            let _ = blocks.send(Read::End(end));
        })?;
    Ok(read)
}

pub(super) fn opener_failed() -> anyhow::Error {
    anyhow::anyhow!("the thread that opens the input has failed; this is a defect of genrescope")
}

/// Whether sound flows, or no more than crumbs of it come: a sample now and then keeps no genre
/// alive.
///
/// What comes is put in a bowl with a hole, through which half of what should come runs off. So it
/// is empty when for [`STALL`] nothing came, and never while sound comes as fast as it is played.
#[derive(Debug)]
struct Flow {
    /// Seconds of sound in the bowl.
    level: f64,
    speed: f64,
    stalled: bool,
    seen: Instant,
}

/// What becomes of the flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Turn {
    /// Nothing new.
    Same,
    Stalls,
    GoesOn,
    /// It has stalled, and what came since is so long ago that it is no part of what comes next.
    DriesUp,
}

impl Flow {
    /// Of what should come, this share must.
    const SHARE: f64 = 0.5;
    /// Shares of a full bowl: with less it has stalled, with more it goes on.
    const CRUMB: f64 = 0.01;
    const ENOUGH: f64 = 0.1;

    fn new(speed: f64, stalled: bool) -> Self {
        let mut flow = Self {
            level: 0.0,
            speed,
            stalled,
            seen: Instant::now(),
        };
        if !stalled {
            flow.level = flow.full();
        }
        flow
    }

    /// What runs off in a second.
    fn leak(&self) -> f64 {
        Self::SHARE * self.speed
    }

    fn full(&self) -> f64 {
        self.leak() * STALL.as_secs_f64()
    }

    /// So much sound has come by `now`, perhaps none.
    fn turn(&mut self, came: Seconds, now: Instant) -> Turn {
        let passed = now.saturating_duration_since(self.seen).as_secs_f64();
        self.seen = now;
        let left = (self.level - self.leak() * passed).max(0.0);
        // What waited while this thread could not look has come nevertheless: the bowl is looked at
        // when it is in.
        self.level = (left + came.0).min(self.full());
        let full = self.full();
        if self.stalled && self.level >= Self::ENOUGH * full {
            self.stalled = false;
            return Turn::GoesOn;
        }
        if !self.stalled && self.level < Self::CRUMB * full {
            self.stalled = true;
            return Turn::Stalls;
        }
        if self.stalled && left == 0.0 {
            Turn::DriesUp
        } else {
            Turn::Same
        }
    }

    /// How long nothing more may come until it has stalled.
    fn patience(&self) -> Duration {
        /// A thread that reads may be kept waiting so long.
        const LEAST: f64 = 0.02;
        if self.stalled {
            return STALL;
        }
        Duration::from_secs_f64((self.level / self.leak()).max(LEAST))
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

    /// The next sample is due now; how long there was none. What comes after a pause is not hurried
    /// to make up for it.
    fn pause(&mut self, pushed: u64) -> Duration {
        let now = Instant::now();
        self.start = now.checked_sub(self.length(pushed)).unwrap_or(now);
        now - self.newest
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Turns of a flow that gets `came` seconds of sound every `step` milliseconds.
    fn turns(flow: &mut Flow, came: f64, step: u64, n: usize) -> Vec<Turn> {
        let start = flow.seen;
        let turn = |n: usize| {
            let now = start + Duration::from_millis(step * (n as u64 + 1));
            flow.turn(Seconds(came), now)
        };
        (0..n)
            .map(turn)
            .filter(|turn| matches!(turn, Turn::Stalls | Turn::GoesOn))
            .collect()
    }

    #[test]
    fn crumbs_are_no_flow_and_a_slow_stream_is_one() {
        for speed in [0.25, 1.0, 40.0] {
            let mut flow = Flow::new(speed, false);
            assert_eq!(turns(&mut flow, 0.02 * speed, 20, 500), [], "as it should");
            assert_eq!(turns(&mut flow, 2.0 * speed, 2_000, 50), [], "in lumps");
            assert_eq!(turns(&mut flow, 0.014 * speed, 20, 500), [], "too slowly");
            assert_eq!(turns(&mut flow, 0.0, 100, 9), [], "not yet");
            assert_eq!(turns(&mut flow, 0.0, 100, 50), [Turn::Stalls]);
            for (every, n) in [(20, 500), (400, 20)] {
                assert_eq!(turns(&mut flow, 1.0 / 48_000.0, every, n), [], "a sample");
            }
            assert_eq!(turns(&mut flow, 0.02 * speed, 20, 500), [Turn::GoesOn]);
            assert_eq!(
                turns(&mut flow, 1.0 / 48_000.0, 50, 100),
                [Turn::Stalls],
                "crumbs"
            );
        }
    }
}
