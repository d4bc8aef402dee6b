//! Where readouts go: one file per feed, each behind its own thread and its own bounded queue.
//!
//! A feed implements [`Sink`]; a [`SinkRunner`] gives it a thread, a queue, reconnection and
//! counters; [`Feeds`] stamps each readout with time and sequence number and hands it to all
//! runners. Handing over never waits and never grows anything: what a slow or dead receiver misses
//! is counted. To add a feed, write one file that implements [`Sink`]; nothing else changes.
//!
//! ```
//! use std::sync::{Arc, Mutex};
//! use genrescope::genre::{GTZAN, Labels};
//! use genrescope::sink::{Feeds, Hello, Sink, SinkError, SinkRunner, Status, Update};
//!
//! #[derive(Debug)]
//! struct Memory(Arc<Mutex<Vec<String>>>);
//! impl Sink for Memory {
//!     fn name(&self) -> String { "memory".into() }
//!     fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
//!         self.0.lock().unwrap().push(format!("hello {}", hello.model));
//!         Ok(())
//!     }
//!     fn update(&mut self, _: &Update, _: std::time::Instant) -> Result<(), SinkError> { Ok(()) }
//!     fn status(&mut self, _: &Status) -> Result<(), SinkError> { Ok(()) }
//! }
//!
//! let heard = Arc::new(Mutex::new(Vec::new()));
//! let mut feeds = Feeds::new(Hello::new(Labels::new(GTZAN)?, "a microphone", "a model"));
//! feeds.add(SinkRunner::spawn(Box::new(Memory(Arc::clone(&heard))), feeds.hello())?);
//! drop(feeds); // ends the thread once its queue is empty
//! assert_eq!(*heard.lock().unwrap(), ["hello a model"]);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```

#[cfg(feature = "lights")]
pub mod artnet;
#[cfg(feature = "lights")]
pub mod dmx;
#[cfg(feature = "exec")]
pub mod exec;
pub mod hold;
#[cfg(feature = "http")]
pub mod http;
pub mod jsonl;
#[cfg(feature = "lights")]
pub mod look;
#[cfg(feature = "osc")]
pub mod map;
#[cfg(feature = "midi")]
pub mod midi;
#[cfg(feature = "mqtt")]
pub mod mqtt;
#[cfg(feature = "os2l")]
pub mod os2l;
#[cfg(feature = "osc")]
pub mod osc;
mod queue;
#[cfg(feature = "lights")]
pub mod sacn;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub mod secret;
#[cfg(all(feature = "socket", unix))]
pub mod socket;
#[cfg(feature = "text")]
pub mod text;
#[cfg(any(feature = "osc", feature = "lights"))]
mod udp;
#[cfg(feature = "lights")]
pub mod wled;

use std::{
    fmt, io,
    net::IpAddr,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread::JoinHandle,
    time::{Duration, Instant, SystemTime},
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use hold::{HoldGenre, Holder};
use queue::{Given, Giver, Nothing, Taker, queue};
use thiserror::Error;

use crate::{
    decision::{Readout, State},
    genre::Labels,
};

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

/// What is fixed for a stream: told to each feed once, before everything else (and again after a
/// reconnection).
#[derive(Clone, Debug, PartialEq)]
pub struct Hello {
    /// Labels of the model, in the order of the scores.
    pub labels: Labels,
    /// Where the sound comes from, such as `pulseaudio:speakers.monitor` or a file name.
    pub source: Arc<str>,
    /// Name of the model.
    pub model: Arc<str>,
    /// When the stream started.
    pub time: SystemTime,
}

impl Hello {
    /// A stream that starts now.
    pub fn new(labels: Labels, source: impl Into<Arc<str>>, model: impl Into<Arc<str>>) -> Self {
        Self {
            labels,
            source: source.into(),
            model: model.into(),
            time: SystemTime::now(),
        }
    }
}

/// One readout, with everything a receiver needs to make sense of it. Cheap to clone.
#[derive(Clone, Debug, PartialEq)]
pub struct Update {
    /// What was heard.
    pub readout: Readout,
    /// Labels of the model, in the order of the scores.
    pub labels: Labels,
    /// Where the sound comes from.
    pub source: Arc<str>,
    /// Name of the model.
    pub model: Arc<str>,
    /// When the readout was made.
    pub time: SystemTime,
    /// Counts the updates of a session, from 1, without gaps: a receiver that sees a gap missed
    /// something. Unlike [`Readout::seq`] it goes on when the source was lost and came back.
    pub seq: u64,
    /// No genre is named at present: the one in the readout is kept for the feeds ([`HoldGenre`]).
    pub held: bool,
}

impl Update {
    /// Label of the genre that is shown, if one is.
    pub fn genre(&self) -> Option<&str> {
        self.readout.genre.and_then(|index| self.labels.get(index))
    }

    /// Family and kind of the genre that is shown, as far as it has them: what lights and scripts
    /// may follow, either of them. Empty while none is shown.
    pub fn genre_path(&self) -> Vec<&str> {
        let shown = self.readout.genre.into_iter();
        shown
            .flat_map(|index| self.labels.names_to(index))
            .collect()
    }
}

/// The state changed: the receiver can react without looking at scores.
#[derive(Clone, Debug, PartialEq)]
pub struct Status {
    /// The new state.
    pub state: State,
    /// For a person: why, such as "the device was unplugged; trying again".
    pub message: Option<Arc<str>>,
    /// Where the sound comes from.
    pub source: Arc<str>,
    /// When it changed.
    pub time: SystemTime,
}

/// Why a feed could not be started, or could not deliver.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The receiver has ended and wants nothing more (a closed pipe): the feed ends quietly.
    #[error("the receiver of {feed} has ended")]
    Closed {
        /// Name of the feed.
        feed: String,
    },
    /// The receiver cannot be reached now; the runner tries again.
    #[error("{}", unreachable_words(.feed, .target, .source))]
    Unreachable {
        /// Name of the feed.
        feed: String,
        /// Address or path.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A setting that can never work.
    #[error("{feed}: {what} '{value}' is not usable: {why}")]
    Setting {
        /// Name of the feed.
        feed: &'static str,
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what would be.
        why: String,
    },
    /// An address that reaches many machines, which was not allowed.
    #[error(
        "{feed}: '{address}' is a multicast or broadcast address; give each receiver's own address"
    )]
    Multicast {
        /// Name of the feed.
        feed: &'static str,
        /// The address.
        address: IpAddr,
    },
    /// What was written did not arrive, such as on a full disk; it is tried again.
    #[error("cannot write {target}: {source}")]
    Write {
        /// What is written, and where to.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output takes nothing more. There is no other: the feed is over.
    #[error("cannot write standard output: {source}")]
    StandardOutput {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be opened.
    #[error("cannot open '{path}': {source}{hint}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
        /// What to do, beginning with a space, or nothing.
        hint: &'static str,
    },
    /// The system gave no thread.
    #[error("cannot start the thread of {feed}: {source}")]
    Thread {
        /// Name of the feed.
        feed: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SinkError {
    /// No try will be better.
    fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Setting { .. } | Self::Multicast { .. } | Self::StandardOutput { .. }
        )
    }
}

fn unreachable_words(feed: &str, target: &str, source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        format!("nobody listens at {target} ({feed}); it is tried again")
    } else {
        format!("{feed}: cannot reach {target}: {source}")
    }
}

/// The host and the port of `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
#[cfg(any(
    feature = "osc",
    feature = "os2l",
    feature = "http",
    feature = "mqtt",
    feature = "lights"
))]
fn parse_target(
    feed: &'static str,
    target: &str,
    default_port: u16,
) -> Result<(String, u16), SinkError> {
    let wrong = |why: &str| SinkError::Setting {
        feed,
        what: "receiver",
        value: target.to_owned(),
        why: format!("{why}; write HOST:PORT, such as 127.0.0.1:{default_port}"),
    };
    let (host, port) = if let Some(rest) = target.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("a [ has no ]"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong("what stands in [ ] is no IPv6 address"));
        }
        match rest {
            "" => (host, None),
            rest => (
                host,
                Some(
                    rest.strip_prefix(':')
                        .ok_or_else(|| wrong("a : is missing after ]"))?,
                ),
            ),
        }
    } else if target.parse::<std::net::Ipv6Addr>().is_ok() {
        (target, None)
    } else {
        match target.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (target, None),
        }
    };
    if host.is_empty()
        || host.chars().any(|c| c.is_whitespace() || "/:@".contains(c))
            && host.parse::<std::net::Ipv6Addr>().is_err()
    {
        return Err(wrong("there is no usable host name in it"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?,
    };
    Ok((host.to_owned(), port))
}

/// `HOST:PORT` or `[IPv6]:PORT`.
#[cfg(any(
    feature = "osc",
    feature = "os2l",
    feature = "http",
    feature = "mqtt",
    feature = "lights"
))]
fn shown_target(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}

/// A feed. All methods are called on the feed's own thread, one at a time, and may block; a blocked
/// feed loses updates and delays nobody else.
pub trait Sink: Send + fmt::Debug {
    /// What to call it in messages, such as `osc 127.0.0.1:9000`.
    fn name(&self) -> String;

    /// Establishes the connection, where there is one. Called before [`Sink::hello`], and again,
    /// with back-off, after any method returned [`SinkError::Unreachable`].
    ///
    /// # Errors
    /// [`SinkError::Unreachable`] when it should be tried again.
    fn connect(&mut self) -> Result<(), SinkError> {
        Ok(())
    }

    /// The stream begins, or the connection is new.
    ///
    /// # Errors
    /// [`SinkError::Unreachable`] to be reconnected, [`SinkError::Closed`] to end.
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError>;

    /// A readout. `now` is the clock for rate limits.
    ///
    /// # Errors
    /// As [`Sink::hello`].
    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError>;

    /// The state changed. Comes before the update that brought the change.
    ///
    /// # Errors
    /// As [`Sink::hello`].
    fn status(&mut self, status: &Status) -> Result<(), SinkError>;

    /// How often [`Sink::tick`] wants to be called at present; `None` for not at all. Asked after
    /// each call of the others.
    fn tick_period(&self) -> Option<Duration> {
        None
    }

    /// Time passes: resend, send what a rate limit held back, read what the receiver says.
    ///
    /// # Errors
    /// As [`Sink::hello`].
    fn tick(&mut self, _now: Instant) -> Result<(), SinkError> {
        Ok(())
    }

    /// The system says that nobody listens at the other end (UDP tells so on one machine and in
    /// some networks).
    fn unheard(&self) -> bool {
        false
    }

    /// Updates that [`Sink::update`] took, and of which it is known by now that they did not
    /// arrive, since this was asked last. For protocols that acknowledge. Asked when the connection
    /// is over: after a failure, and after [`Sink::close`].
    fn undelivered(&mut self) -> u64 {
        0
    }

    /// The stream ends: say goodbye, flush. Errors have no one left to be told to.
    fn close(&mut self) {}
}

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
struct Shared {
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
    over: AtomicBool,
}

impl Shared {
    fn stats(&self) -> SinkStats {
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
    name: String,
    queue: Option<Giver<Message>>,
    done: Receiver<()>,
    shared: Arc<Shared>,
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
fn end_together(mut runners: Vec<SinkRunner>) {
    for runner in &mut runners {
        runner.close();
    }
}

/// All feeds of one stream: stamps readouts with time and sequence and hands them to each.
#[derive(Debug)]
pub struct Feeds {
    hello: Hello,
    runners: Vec<SinkRunner>,
    ledger: Ledger,
    seq: u64,
    holder: Option<Holder>,
}

/// The names of feeds, and what they count.
type Entries = Vec<(String, Arc<Shared>)>;

/// What each feed of a stream did so far, for whoever shows it.
#[derive(Clone, Debug, Default)]
pub struct Ledger(Arc<Mutex<Entries>>);

impl Ledger {
    fn entries(&self) -> MutexGuard<'_, Entries> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The feeds' names, and what each did.
    pub fn read(&self) -> Vec<(String, SinkStats)> {
        let entries = self.entries();
        let read = entries.iter().map(|(name, of)| (name.clone(), of.stats()));
        read.collect()
    }
}

impl Feeds {
    /// No feeds yet.
    pub fn new(hello: Hello) -> Self {
        Self {
            hello,
            runners: Vec::new(),
            ledger: Ledger::default(),
            seq: 0,
            holder: None,
        }
    }

    /// Keeps the last genre for the feeds while none is named; `None`: they are told what is named
    /// and nothing else.
    pub fn set_hold(&mut self, rule: Option<HoldGenre>) {
        self.holder = rule.map(Holder::new);
    }

    /// What feeds are greeted with.
    pub fn hello(&self) -> &Hello {
        &self.hello
    }

    /// One more feed.
    pub fn add(&mut self, runner: SinkRunner) {
        let entry = (runner.name.clone(), Arc::clone(&runner.shared));
        self.ledger.entries().push(entry);
        self.runners.push(runner);
    }

    /// What the feeds did so far; those that are added later are in it, too.
    pub fn ledger(&self) -> Ledger {
        self.ledger.clone()
    }

    /// The feeds, for their names and counters.
    pub fn runners(&self) -> &[SinkRunner] {
        &self.runners
    }

    /// Ends all feeds, within [`DROP_GRACE`] whatever their receivers do, and says what each did:
    /// its name, and in numbers.
    pub fn finish(mut self) -> Vec<(String, SinkStats)> {
        end_together(std::mem::take(&mut self.runners));
        for (_, shared) in self.ledger.entries().iter() {
            // Nobody waits for one that is stuck.
            shared.over.store(true, Ordering::Release);
        }
        self.ledger.read()
    }

    /// Hands a readout to every feed without waiting, stamped with the present time. Returns the
    /// update.
    pub fn publish(&mut self, readout: &Readout) -> Update {
        let update = self.stamp(readout);
        for runner in &self.runners {
            runner.update(&update);
        }
        update
    }

    /// As [`Feeds::publish`], but waits up to `timeout` for each feed whose queue is full: nothing
    /// is lost when a file is played faster than its receivers read.
    pub fn publish_waiting(&mut self, readout: &Readout, timeout: Duration) -> Update {
        let update = self.stamp(readout);
        for runner in &self.runners {
            if !runner.stats().ended {
                runner.update_waiting(&update, timeout);
            }
        }
        update
    }

    /// Tells every feed of a change that no readout brings.
    pub fn status(&self, state: State, message: Option<&str>) {
        let status = Status {
            state,
            message: message.map(Arc::from),
            source: Arc::clone(&self.hello.source),
            time: SystemTime::now(),
        };
        for runner in &self.runners {
            runner.status(&status);
        }
    }

    /// The sound comes from elsewhere now: feeds are greeted anew.
    pub fn set_source(&mut self, source: impl Into<Arc<str>>) {
        self.hello.source = source.into();
        self.hello.time = SystemTime::now();
        for runner in &self.runners {
            runner.hello(&self.hello);
        }
    }

    fn stamp(&mut self, readout: &Readout) -> Update {
        self.seq += 1;
        let (readout, held) = match &mut self.holder {
            Some(holder) => holder.apply(readout),
            None => (*readout, false),
        };
        Update {
            readout,
            labels: self.hello.labels.clone(),
            source: Arc::clone(&self.hello.source),
            model: Arc::clone(&self.hello.model),
            time: SystemTime::now(),
            seq: self.seq,
            held,
        }
    }
}

impl Drop for Feeds {
    fn drop(&mut self) {
        end_together(std::mem::take(&mut self.runners));
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        decision::Reason,
        genre::{GTZAN, Scores},
        units::Seconds,
    };

    pub(crate) fn hello() -> Hello {
        let mut hello = Hello::new(Labels::new(GTZAN).unwrap(), "test:source", "test-model");
        hello.time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_123);
        hello
    }

    /// A readout that shows `genre` (or none), with most of the score on it.
    pub(crate) fn readout(seq: u64, genre: Option<usize>) -> Readout {
        let mut scores = [0.04_f32; 10];
        scores[genre.unwrap_or(0)] = 0.64;
        Readout {
            state: if genre.is_some() {
                State::Live
            } else {
                State::Unsure
            },
            reason: genre.is_none().then_some(Reason::LowScore),
            genre,
            confidence: 0.64,
            scores: Scores::new(&scores),
            frame_scores: Scores::new(&scores),
            music: Some(0.98),
            level_dbfs: -18.24,
            position: Seconds(2.048 * seq as f64),
            heard: Seconds(29.12),
            frames: 5,
            seq,
            changed: seq == 1,
        }
    }

    pub(crate) fn update(seq: u64, genre: Option<usize>) -> Update {
        let hello = hello();
        Update {
            readout: readout(seq, genre),
            labels: hello.labels,
            source: hello.source,
            model: hello.model,
            time: hello.time,
            seq,
            held: false,
        }
    }

    /// Fails on demand and writes down what it was told.
    #[derive(Debug)]
    struct Script {
        log: Arc<Mutex<Vec<String>>>,
        /// How many connections fail.
        refuse: usize,
        /// Updates that break the connection.
        break_at: Vec<u64>,
        /// The update after which the receiver is gone for good.
        close_at: Option<u64>,
    }

    impl Script {
        fn boxed(log: &Arc<Mutex<Vec<String>>>) -> Box<Self> {
            Box::new(Self {
                log: Arc::clone(log),
                refuse: 0,
                break_at: Vec::new(),
                close_at: None,
            })
        }
        fn note(&self, line: String) {
            self.log.lock().unwrap().push(line);
        }
        fn unreachable(&self) -> SinkError {
            SinkError::Unreachable {
                feed: self.name(),
                target: "nowhere".into(),
                source: io::ErrorKind::ConnectionRefused.into(),
            }
        }
    }

    impl Sink for Script {
        fn name(&self) -> String {
            "script".into()
        }
        fn connect(&mut self) -> Result<(), SinkError> {
            if self.refuse > 0 {
                self.refuse -= 1;
                return Err(self.unreachable());
            }
            self.note("connect".into());
            Ok(())
        }
        fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
            self.note(format!("hello {}", hello.source));
            Ok(())
        }
        fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
            if let Some(at) = self.break_at.iter().position(|&seq| seq == update.seq) {
                self.break_at.remove(at);
                return Err(self.unreachable());
            }
            if self.close_at == Some(update.seq) {
                return Err(SinkError::Closed { feed: self.name() });
            }
            self.note(format!("update {}", update.seq));
            Ok(())
        }
        fn status(&mut self, status: &Status) -> Result<(), SinkError> {
            self.note(format!("status {}", status.state.as_str()));
            Ok(())
        }
        fn close(&mut self) {
            self.note("close".into());
        }
    }

    fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
        let start = Instant::now();
        while !condition() {
            assert!(start.elapsed() < Duration::from_secs(30), "{what}");
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    #[test]
    fn everything_arrives_in_order_and_states_come_first() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut feeds = Feeds::new(hello());
        feeds.add(SinkRunner::spawn(Script::boxed(&log), feeds.hello()).unwrap());
        feeds.publish(&readout(1, Some(9)));
        feeds.publish(&readout(2, Some(9)));
        feeds.publish(&readout(3, None));
        feeds.status(State::Lost, Some("unplugged"));
        feeds.set_source("another");
        drop(feeds);
        assert_eq!(
            *log.lock().unwrap(),
            [
                "connect",
                "hello test:source",
                "status live",
                "update 1",
                "update 2",
                "status unsure",
                "update 3",
                "status lost",
                "hello another",
                "close"
            ]
        );
    }

    #[test]
    fn a_lost_connection_comes_back_and_is_brought_up_to_date() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut sink = Script::boxed(&log);
        sink.refuse = 2;
        sink.break_at = vec![2];
        let runner = SinkRunner::spawn(sink, &hello()).unwrap();
        wait_for("connected after two refusals", || runner.stats().connected);
        assert_eq!(runner.stats().errors, 2);
        assert!(runner.stats().last_error.unwrap().contains("nowhere"));
        runner.update(&update(1, Some(1)));
        runner.update(&update(2, Some(2)));
        wait_for("reconnected", || {
            log.lock()
                .unwrap()
                .iter()
                .filter(|line| *line == "connect")
                .count()
                == 2
        });
        drop(runner);
        assert_eq!(
            *log.lock().unwrap(),
            [
                "connect",
                "hello test:source",
                "status live",
                "update 1",
                "connect",
                "hello test:source",
                "status live",
                "update 2",
                "close"
            ]
        );
    }

    #[test]
    fn a_receiver_that_ended_ends_the_feed_quietly() {
        let log = Arc::new(Mutex::new(Vec::new()));
        let mut sink = Script::boxed(&log);
        sink.close_at = Some(1);
        let runner = SinkRunner::spawn(sink, &hello()).unwrap();
        runner.update(&update(1, None));
        wait_for("ended", || runner.stats().ended);
        wait_for("the queue is closed", || !runner.update(&update(2, None)));
        assert_eq!(runner.stats().errors, 0, "an ended receiver is no error");
    }

    /// A receiver that never returns from its first message.
    #[derive(Debug)]
    struct Dead(Receiver<()>);
    impl Sink for Dead {
        fn name(&self) -> String {
            "dead".into()
        }
        fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
            let _ = self.0.recv();
            Ok(())
        }
        fn update(&mut self, _: &Update, _: Instant) -> Result<(), SinkError> {
            Ok(())
        }
        fn status(&mut self, _: &Status) -> Result<(), SinkError> {
            Ok(())
        }
    }

    #[test]
    fn a_dead_receiver_blocks_and_grows_nothing() {
        let (keep, never) = crossbeam_channel::bounded(0);
        let mut feeds = Feeds::new(hello());
        feeds.add(SinkRunner::spawn(Box::new(Dead(never)), feeds.hello()).unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        feeds.add(SinkRunner::spawn(Script::boxed(&log), feeds.hello()).unwrap());
        for seq in 1..=10_000 {
            feeds.publish(&readout(seq, Some(0)));
            if seq % 32 == 0 {
                // The neighbour is alive and gets everything.
                wait_for("the neighbour keeps up", || {
                    feeds.runners()[1].stats().sent == seq
                });
            }
        }
        let dead = feeds.runners()[0].stats();
        assert_eq!(
            dead.missed,
            10_000 - QUEUE_CAPACITY as u64 - 1,
            "the queue holds {QUEUE_CAPACITY} messages, and the newest waits beside it"
        );
        assert_eq!(dead.sent, 0);
        assert_eq!(feeds.runners()[1].stats().missed, 0);
        let start = Instant::now();
        drop(feeds);
        assert!(
            start.elapsed() < DROP_GRACE * 2 + Duration::from_secs(10),
            "dropping waits for a bounded time"
        );
        drop(keep);
    }

    #[test]
    fn a_receiver_that_was_stuck_ends_with_what_is_true_and_all_is_counted() {
        /// Waits for a permission before each readout.
        #[derive(Debug)]
        struct Stuck(Receiver<()>, Arc<Mutex<Vec<String>>>);
        impl Sink for Stuck {
            fn name(&self) -> String {
                "stuck".into()
            }
            fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
                Ok(())
            }
            fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
                // Without the other side, it goes on.
                let _ = self.0.recv();
                self.1.lock().unwrap().push(update.seq.to_string());
                Ok(())
            }
            fn status(&mut self, status: &Status) -> Result<(), SinkError> {
                let state = status.state.as_str().to_owned();
                self.1.lock().unwrap().push(state);
                Ok(())
            }
        }
        let (go_on, permission) = crossbeam_channel::unbounded();
        let told = Arc::new(Mutex::new(Vec::new()));
        let mut feeds = Feeds::new(hello());
        let sink = Stuck(permission, Arc::clone(&told));
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
        for seq in 1..=1_000 {
            feeds.publish(&readout(seq, Some(0)));
        }
        feeds.status(State::Lost, None);
        drop(go_on);
        wait_for("it hears of the loss", || {
            told.lock()
                .unwrap()
                .last()
                .is_some_and(|last| last == "lost")
        });
        feeds.publish(&readout(1_001, Some(0)));
        wait_for("and of what comes then", || {
            told.lock()
                .unwrap()
                .last()
                .is_some_and(|last| last == "1001")
        });
        let ledger = feeds.ledger();
        let (_, stats) = feeds.finish().remove(0);
        let counted = told
            .lock()
            .unwrap()
            .iter()
            .filter(|told| told.parse::<u64>().is_ok())
            .count() as u64;
        assert_eq!((stats.offered, stats.sent), (1_001, counted));
        assert_eq!(stats.missed, 1_001 - counted);
        assert_eq!(ledger.read()[0].1, stats);
    }

    #[test]
    fn a_slow_receiver_loses_nothing_from_a_source_that_can_wait() {
        #[derive(Debug)]
        struct Slow(Arc<AtomicU64>);
        impl Sink for Slow {
            fn name(&self) -> String {
                "slow".into()
            }
            fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
                Ok(())
            }
            fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
                std::thread::sleep(Duration::from_micros(200));
                let before = self.0.swap(update.seq, Ordering::Relaxed);
                assert_eq!(before + 1, update.seq);
                Ok(())
            }
            fn status(&mut self, _: &Status) -> Result<(), SinkError> {
                Ok(())
            }
        }
        let last = Arc::new(AtomicU64::new(0));
        let mut feeds = Feeds::new(hello());
        feeds.add(SinkRunner::spawn(Box::new(Slow(Arc::clone(&last))), feeds.hello()).unwrap());
        for seq in 1..=500 {
            feeds.publish_waiting(&readout(seq, None), Duration::from_secs(30));
        }
        assert_eq!(feeds.runners()[0].stats().missed, 0);
        drop(feeds);
        assert_eq!(last.load(Ordering::Relaxed), 500);
    }
}
