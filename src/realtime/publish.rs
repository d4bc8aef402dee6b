//! What the worker says: positions in the stream, and readouts to whoever listens.

use std::{
    sync::{Arc, atomic::Ordering},
    thread,
};

use crossbeam_channel::TrySendError;

use super::{Shared, counters::MIN_LEVEL_DBFS, readout::ReadoutWriter};
use crate::{
    decision::{Readout, State},
    units::{SampleRate, Seconds},
};

/// Turns the engine's position, which knows only what it was given, into the stream's.
#[derive(Clone, Copy, Debug)]
pub(super) struct Clock {
    rate: SampleRate,
    /// Length of the stream before the rate changed last.
    before: Seconds,
    /// Samples of the stream at this rate, missing ones included.
    stream: u64,
    /// Samples that the engine was given since it was new.
    engine: u64,
}

impl Clock {
    pub(super) fn new(rate: SampleRate) -> Self {
        Self {
            rate,
            before: Seconds(0.0),
            stream: 0,
            engine: 0,
        }
    }

    pub(super) fn heard(&mut self, samples: u64) {
        self.stream += samples;
        self.engine += samples;
    }

    pub(super) fn missed(&mut self, samples: u64) {
        self.stream += samples;
    }

    /// The engine was emptied: it counts from 0 again.
    pub(super) fn restarted(&mut self) {
        self.engine = 0;
    }

    pub(super) fn change_rate(&mut self, rate: SampleRate) {
        let so_far = self.before.0 + self.rate.duration(self.stream).0;
        *self = Self {
            before: Seconds(so_far),
            ..Self::new(rate)
        };
    }

    fn position(&self, engine: Seconds) -> Seconds {
        // Exactly the engine's own position while nothing was missed.
        let offset = self.rate.duration(self.stream - self.engine).0 + self.before.0;
        Seconds(if offset == 0.0 {
            engine.0
        } else {
            engine.0 + offset
        })
    }
}

/// Hands readouts out. When it is dropped, nothing more comes.
pub(super) struct Publisher {
    shared: Arc<Shared>,
    writer: ReadoutWriter,
    seq: u64,
    last: Readout,
    /// The engine's readout was not the last that went out, so `changed` must be found anew.
    irregular: bool,
    pub(super) lost: bool,
    /// The source is back: the first samples end the state [`State::Lost`].
    pub(super) returning: bool,
}

impl Publisher {
    pub(super) fn new(shared: Arc<Shared>, writer: ReadoutWriter, first: Readout) -> Self {
        Self {
            shared,
            writer,
            seq: first.seq,
            last: first,
            irregular: false,
            lost: false,
            returning: false,
        }
    }

    /// A readout that the engine made of new samples.
    pub(super) fn publish(&mut self, readout: &Readout, clock: &Clock) {
        // What is left of a source that is lost, or comes of one that was not told of yet, is no
        // news.
        if self.lost {
            self.irregular = true;
            return;
        }
        let mut readout = *readout;
        if std::mem::take(&mut self.irregular) {
            readout.changed = self.differs(&readout);
        }
        self.send(readout, clock);
    }

    /// A readout out of turn: a button was pressed, or the source came or went.
    pub(super) fn publish_now(&mut self, mut readout: Readout, clock: &Clock) {
        if self.lost {
            readout.set_state(State::Lost);
            readout.level_dbfs = MIN_LEVEL_DBFS;
        }
        readout.changed = self.differs(&readout);
        self.irregular = true;
        self.send(readout, clock);
    }

    /// The readout that `since` more silence would have given.
    pub(super) fn publish_silence(&mut self, mut readout: Readout, clock: &Clock, since: Seconds) {
        if self.lost {
            return;
        }
        readout.position.0 += since.0;
        readout.changed = false;
        self.send(readout, clock);
    }

    fn differs(&self, readout: &Readout) -> bool {
        (readout.state, readout.genre) != (self.last.state, self.last.genre)
    }

    fn send(&mut self, mut readout: Readout, clock: &Clock) {
        readout.position = clock.position(readout.position);
        self.hand_out(readout);
    }

    fn hand_out(&mut self, mut readout: Readout) {
        self.seq += 1;
        readout.seq = self.seq;
        self.last = readout;
        self.writer.store(&readout);
        let mut missed = 0;
        self.shared
            .subscribers()
            .retain(|subscriber| match subscriber.try_send(readout) {
                Ok(()) => true,
                Err(TrySendError::Full(_)) => {
                    missed += 1;
                    true
                }
                Err(TrySendError::Disconnected(_)) => false,
            });
        self.shared.counters.add_missed_updates(missed);
    }
}

impl Drop for Publisher {
    fn drop(&mut self) {
        // If the engine panics, whoever looks sees a lost source and not a frozen genre.
        if thread::panicking() {
            let mut readout = self.last;
            readout.set_state(State::Lost);
            readout.changed = true;
            self.hand_out(readout);
        }
        self.shared.ended.store(true, Ordering::Release);
        self.shared.subscribers().clear();
    }
}
