//! One feed with a thread of its own: its queue, its way back to a receiver that was away, and what
//! it counts.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};

use super::{
    Hello, Sink, SinkError, Status, Update,
    queue::{Given, Giver, Nothing, Taker, queue},
};
use crate::decision::State;

/// Messages that wait for one feed, at most. Readouts come every 2 s, so this is two minutes of a
/// stalled receiver.
pub const QUEUE_CAPACITY: usize = 64;

/// Wait before the first try to reconnect; doubled after each failure up to [`BACK_OFF_CAP`].
pub const BACK_OFF_FIRST: Duration = Duration::from_millis(100);

/// Longest wait between tries to reconnect.
pub const BACK_OFF_CAP: Duration = Duration::from_secs(2);

/// Longest time that dropping a [`SinkRunner`] waits for its receiver; a thread that is still stuck
/// in a system call then is left to end by itself.
pub const DROP_GRACE: Duration = Duration::from_millis(750);

/// What a feed did so far.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct SinkStats {
    /// Updates that it was given.
    pub offered: u64,
    /// Updates that were delivered (as far as the protocol can tell).
    pub sent: u64,
    /// Updates that were not: the queue was full, there was no connection, or the end came first.
    /// Once the feed is over, this and what was sent are all that was offered.
    pub missed: u64,
    /// Errors met while delivering or connecting.
    pub errors: u64,
    /// There is a connection (or none is needed).
    pub connected: bool,
    /// The receiver has ended, or the settings can never work (then there is an error); the feed is
    /// over.
    pub ended: bool,
    /// Nobody listens at the other end, as far as the system can tell.
    pub unheard: bool,
    /// The newest error, for a person.
    pub last_error: Option<String>,
}

#[derive(Debug, Default)]
pub(super) struct Shared {
    offered: AtomicU64,
    sent: AtomicU64,
    missed: AtomicU64,
    errors: AtomicU64,
    connected: AtomicBool,
    ended: AtomicBool,
    unheard: AtomicBool,
    /// Written on errors only, by the feed's thread; read by the display.
    last_error: Mutex<Option<String>>,
    /// The owner is gone: drain no longer than [`DROP_GRACE`].
    stop: AtomicBool,
    /// What waits now is never delivered.
    pub(super) over: AtomicBool,
}

impl Shared {
    pub(super) fn stats(&self) -> SinkStats {
        let last_error = self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let over = self.over.load(Ordering::Acquire);
        let sent = self.sent.load(Ordering::Relaxed);
        let offered = self.offered.load(Ordering::Relaxed);
        let missed = if over {
            offered.saturating_sub(sent)
        } else {
            self.missed.load(Ordering::Relaxed)
        };
        SinkStats {
            offered,
            sent,
            missed,
            errors: self.errors.load(Ordering::Relaxed),
            connected: self.connected.load(Ordering::Relaxed),
            ended: self.ended.load(Ordering::Relaxed),
            unheard: self.unheard.load(Ordering::Relaxed),
            last_error: last_error.clone(),
        }
    }

    /// Counts what is not delivered any more. Says whether the message that was given is in the
    /// queue.
    fn count(&self, given: &Given<Message>) -> bool {
        if let Some(Message::Update(_)) = given.passed_over {
            self.missed.fetch_add(1, Ordering::Relaxed);
        }
        given.queued
    }

    fn failed(&self, error: &SinkError) {
        self.errors.fetch_add(1, Ordering::Relaxed);
        *self
            .last_error
            .lock()
            .unwrap_or_else(PoisonError::into_inner) = Some(error.to_string());
    }
}

// An update is some 700 bytes and the queue holds 64 of them, allocated once: boxing would allocate
// per message.
#[expect(
    clippy::large_enum_variant,
    reason = "the queue is allocated once; boxing would allocate for every update"
)]
#[derive(Debug)]
enum Message {
    Hello(Hello),
    Update(Update),
    Status(Status),
}

/// One feed with its thread and its queue. Dropping it delivers what is queued, says goodbye and
/// joins, within [`DROP_GRACE`] whatever the receiver does.
#[derive(Debug)]
pub struct SinkRunner {
    pub(super) name: String,
    queue: Option<Giver<Message>>,
    done: Receiver<()>,
    pub(super) shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl SinkRunner {
    /// Starts the feed's thread and tells it `hello`. Returns at once; connecting happens on the
    /// thread.
    ///
    /// # Errors
    /// [`SinkError::Thread`] when the system gives no thread.
    pub fn spawn(sink: Box<dyn Sink>, hello: &Hello) -> Result<Self, SinkError> {
        let name = sink.name();
        let shared = Arc::new(Shared::default());
        let (queue, messages) = queue(QUEUE_CAPACITY);
        let (done_tx, done) = crossbeam_channel::bounded(1);
        let worker = Worker {
            sink,
            messages,
            shared: Arc::clone(&shared),
            hello: hello.clone(),
            last_update: None,
            last_missed: false,
            last_state: None,
            back_off: BACK_OFF_FIRST,
        };
        let thread = std::thread::Builder::new()
            .name(format!("feed {name}").chars().take(15).collect())
            .spawn(move || {
                let told = Arc::clone(&worker.shared);
                worker.run();
                told.over.store(true, Ordering::Release);
                // The owner may be gone already.
                let _ = done_tx.try_send(());
            })
            .map_err(|source| SinkError::Thread {
                feed: name.clone(),
                source,
            })?;
        Ok(Self {
            name,
            queue: Some(queue),
            done,
            shared,
            thread: Some(thread),
        })
    }

    /// What to call it in messages.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Hands over a readout without waiting. `false` when the queue was full (then it is delivered
    /// if nothing newer comes until there is room) or the feed has ended; what is not delivered is
    /// counted.
    pub fn update(&self, update: &Update) -> bool {
        self.shared.offered.fetch_add(1, Ordering::Relaxed);
        self.offer(Message::Update(update.clone()))
    }

    /// Hands over a readout, waiting up to `timeout` for room in the queue: for sources that can
    /// wait, such as a file played faster than real time. Otherwise as [`SinkRunner::update`].
    pub fn update_waiting(&self, update: &Update, timeout: Duration) -> bool {
        let Some(queue) = &self.queue else {
            return false;
        };
        self.shared.offered.fetch_add(1, Ordering::Relaxed);
        let given = queue.give_waiting(Message::Update(update.clone()), timeout);
        self.shared.count(&given)
    }

    /// Hands over a change of state that no readout brings, such as a lost device. `false` when the
    /// queue was full.
    pub fn status(&self, status: &Status) -> bool {
        self.offer(Message::Status(status.clone()))
    }

    /// The source or the model changed: greets the receiver anew.
    pub fn hello(&self, hello: &Hello) -> bool {
        self.offer(Message::Hello(hello.clone()))
    }

    /// What the feed did so far.
    pub fn stats(&self) -> SinkStats {
        self.shared.stats()
    }

    fn offer(&self, message: Message) -> bool {
        let Some(queue) = &self.queue else {
            return false;
        };
        self.shared.count(&queue.give(message))
    }
}

impl SinkRunner {
    /// No more comes: the thread delivers what it has, and ends.
    fn close(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.queue = None; // wakes the thread
    }
}

impl Drop for SinkRunner {
    fn drop(&mut self) {
        self.close();
        let ended = !matches!(
            self.done.recv_timeout(DROP_GRACE),
            Err(RecvTimeoutError::Timeout)
        );
        if let (true, Some(thread)) = (ended, self.thread.take()) {
            // A feed that panicked has said so on stderr; there is nothing to add.
            let _ = thread.join();
        }
    }
}

/// The feed's thread.
struct Worker {
    sink: Box<dyn Sink>,
    messages: Taker<Message>,
    shared: Arc<Shared>,
    hello: Hello,
    last_update: Option<Update>,
    /// It counts as missed.
    last_missed: bool,
    last_state: Option<State>,
    back_off: Duration,
}

impl Worker {
    fn run(mut self) {
        let mut connected = false;
        let mut retry_at = Instant::now();
        let mut tick_at = self.sink.tick_period().map(|period| retry_at + period);
        let mut deadline: Option<Instant> = None;
        loop {
            let now = Instant::now();
            if self.shared.stop.load(Ordering::Acquire) {
                // Half of the grace is for the queue, so that goodbye has its turn.
                let deadline = *deadline.get_or_insert(now + DROP_GRACE / 2);
                if now >= deadline {
                    break;
                }
            }
            if !connected && now >= retry_at {
                match self.connect() {
                    Ok(()) => connected = true,
                    Err(SinkError::Closed { .. }) => return self.end(),
                    Err(error) => {
                        self.shared.failed(&error);
                        if error.is_final() {
                            return self.end(); // no try will be better
                        }
                        retry_at = Instant::now() + self.back_off;
                        self.back_off = (self.back_off * 2).min(BACK_OFF_CAP);
                    }
                }
                self.shared.connected.store(connected, Ordering::Relaxed);
            }
            let wake = match (connected, tick_at) {
                (true, tick) => tick,
                (false, tick) => Some(tick.map_or(retry_at, |tick| tick.min(retry_at))),
            };
            let received = self.messages.take(wake);
            let now = Instant::now();
            let mut outcome = match received {
                Ok(message) => self.deliver(message, connected, now),
                Err(Nothing::Yet) => Ok(()),
                Err(Nothing::More) => break,
            };
            let is_due = tick_at.is_some_and(|at| now >= at);
            if connected && is_due && outcome.is_ok() {
                outcome = self.sink.tick(now);
            }
            // What was delivered may have set something in motion, or to rest.
            tick_at = self.sink.tick_period().map(|period| {
                let next = now + period;
                tick_at.filter(|_| !is_due).map_or(next, |at| at.min(next))
            });
            let unheard = connected && self.sink.unheard();
            self.shared.unheard.store(unheard, Ordering::Relaxed);
            match outcome {
                Ok(()) => {}
                Err(SinkError::Closed { .. }) => return self.end(),
                Err(error) => {
                    self.shared.failed(&error);
                    self.take_back();
                    if error.is_final() {
                        return self.end();
                    }
                    connected = false;
                    self.shared.connected.store(false, Ordering::Relaxed);
                    self.back_off = BACK_OFF_FIRST;
                    retry_at = now + self.back_off;
                }
            }
        }
        if connected {
            self.sink.close();
            self.take_back();
        }
    }

    /// What was taken for delivered and did not arrive was missed. It is the newest, as receivers
    /// acknowledge in order.
    fn take_back(&mut self) {
        let sent = self.shared.sent.load(Ordering::Relaxed);
        let lost = self.sink.undelivered().min(sent);
        if lost > 0 {
            self.last_missed = true;
            self.shared.sent.fetch_sub(lost, Ordering::Relaxed);
            self.shared.missed.fetch_add(lost, Ordering::Relaxed);
        }
    }

    /// The receiver wants nothing more. The queue closes with this thread, so nothing piles up.
    fn end(&self) {
        self.shared.ended.store(true, Ordering::Relaxed);
        self.shared.connected.store(false, Ordering::Relaxed);
    }

    /// Connects, greets, and brings a receiver that was away up to date.
    fn connect(&mut self) -> Result<(), SinkError> {
        self.sink.connect()?;
        self.sink.hello(&self.hello)?;
        self.last_state = None;
        if let Some(update) = self.last_update.clone() {
            self.tell(&update, Instant::now())?;
            if std::mem::take(&mut self.last_missed) {
                // Late, and yet.
                self.shared.missed.fetch_sub(1, Ordering::Relaxed);
                self.shared.sent.fetch_add(1, Ordering::Relaxed);
            }
        }
        self.back_off = BACK_OFF_FIRST;
        Ok(())
    }

    fn deliver(
        &mut self,
        message: Message,
        connected: bool,
        now: Instant,
    ) -> Result<(), SinkError> {
        match message {
            Message::Hello(hello) => {
                self.hello = hello;
                if connected {
                    self.last_state = None;
                    return self.sink.hello(&self.hello);
                }
            }
            Message::Status(status) => {
                if connected {
                    self.last_state = Some(status.state);
                    return self.sink.status(&status);
                }
            }
            Message::Update(update) => {
                if connected {
                    let told = self.tell(&update, now);
                    self.last_missed = told.is_err();
                    let counter = if told.is_ok() {
                        &self.shared.sent
                    } else {
                        &self.shared.missed
                    };
                    counter.fetch_add(1, Ordering::Relaxed);
                    self.last_update = Some(update);
                    return told;
                }
                self.last_missed = true;
                self.shared.missed.fetch_add(1, Ordering::Relaxed);
                self.last_update = Some(update);
            }
        }
        Ok(())
    }

    fn tell(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        if self.last_state != Some(update.readout.state) {
            self.last_state = Some(update.readout.state);
            self.sink.status(&Status {
                state: update.readout.state,
                message: None,
                source: Arc::clone(&update.source),
                time: update.time,
            })?;
        }
        self.sink.update(update, now)
    }
}

/// Ends several feeds at once: one that is stuck does not make the others wait.
pub(super) fn end_together(mut runners: Vec<SinkRunner>) {
    for runner in &mut runners {
        runner.close();
    }
}
