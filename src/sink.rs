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
mod error;
#[cfg(feature = "exec")]
pub mod exec;
mod feeds;
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
mod runner;
#[cfg(feature = "lights")]
pub mod sacn;
#[cfg(any(feature = "http", feature = "mqtt"))]
pub mod secret;
#[cfg(all(feature = "socket", unix))]
pub mod socket;
#[cfg(any(
    feature = "osc",
    feature = "os2l",
    feature = "http",
    feature = "mqtt",
    feature = "lights"
))]
mod target;
#[cfg(feature = "text")]
pub mod text;
#[cfg(any(feature = "osc", feature = "lights"))]
mod udp;
#[cfg(feature = "lights")]
pub mod wled;

use std::{
    fmt,
    sync::Arc,
    time::{Duration, Instant, SystemTime},
};

pub use error::SinkError;
pub use feeds::{Feeds, Ledger};
pub use runner::{BACK_OFF_CAP, BACK_OFF_FIRST, DROP_GRACE, QUEUE_CAPACITY, SinkRunner, SinkStats};

use crate::{
    decision::{Readout, State},
    genre::Labels,
};

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
    /// No genre is named at present: the one in the readout is kept for the feeds
    /// ([`HoldGenre`](hold::HoldGenre)).
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

#[cfg(test)]
pub(crate) mod tests;
