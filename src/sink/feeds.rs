//! All feeds of one stream.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError, atomic::Ordering},
    time::{Duration, SystemTime},
};

use super::{
    Hello, SinkRunner, SinkStats, Status, Update,
    hold::{HoldGenre, Holder},
    runner::{Shared, end_together},
};
use crate::decision::{Readout, State};

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

    /// Ends all feeds, within [`DROP_GRACE`](super::DROP_GRACE) whatever their receivers do, and
    /// says what each did: its name, and in numbers.
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
