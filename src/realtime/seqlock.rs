//! The newest of many values, from one writer to any number of readers, without a lock.
//!
//! Two slots, each a sequence lock: the writer fills the one that is not the newest, then makes it
//! the newest. A reader is disturbed only when the writer writes twice during one read, and what it
//! reads never goes back in time.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::Arc;

use super::sync::{AtomicU32, AtomicU64, Ordering, fence, spin_loop};

/// How often [`Reader::load`] tries. The worker writes a few times a second and a try takes less
/// than a microsecond, so a second try is rare and a fourth was never seen in the stress test.
const TRIES: usize = 4;

/// Two slots of `N` words, and which of them is the newest.
struct Cell<const N: usize> {
    slots: [Slot<N>; 2],
    /// Counts values; version `v` lies in slot `v % 2`.
    newest: AtomicU64,
}

struct Slot<const N: usize> {
    /// `2 v` once version `v` is complete, `2 v - 1` while it is being written.
    sequence: AtomicU64,
    words: [AtomicU32; N],
}

/// The writing half. There is one of each cell: it cannot be cloned, and writing takes it
/// exclusively.
pub(super) struct Writer<const N: usize> {
    cell: Arc<Cell<N>>,
    /// Of the newest value.
    version: u64,
}

/// A reading half; there may be many.
#[derive(Clone)]
pub(super) struct Reader<const N: usize>(Arc<Cell<N>>);

/// Both halves of a cell that holds `first`.
pub(super) fn seqlock<const N: usize>(first: &[u32]) -> (Writer<N>, Reader<N>) {
    let cell = Arc::new(Cell {
        slots: [Slot::new(), Slot::new()],
        newest: AtomicU64::new(0),
    });
    let reader = Reader(Arc::clone(&cell));
    let mut writer = Writer { cell, version: 0 };
    writer.store(first);
    (writer, reader)
}

impl<const N: usize> Writer<N> {
    /// Makes `words` the newest value. What is beyond them, up to `N`, stays as chance has it.
    pub(super) fn store(&mut self, words: &[u32]) {
        self.version += 1;
        self.cell.slots[(self.version % 2) as usize].write(self.version, words);
        self.cell.newest.store(self.version, Ordering::Release);
    }
}

impl<const N: usize> Reader<N> {
    /// The newest value; `None` in the rare case that it was being replaced during every try.
    pub(super) fn load(&self) -> Option<[u32; N]> {
        for _ in 0..TRIES {
            let found = self.try_load();
            if found.is_some() {
                return found;
            }
            spin_loop();
        }
        None
    }

    pub(super) fn try_load(&self) -> Option<[u32; N]> {
        let version = self.version();
        self.0.slots[(version % 2) as usize].read(version)
    }

    /// Counts values, from 1.
    pub(super) fn version(&self) -> u64 {
        self.0.newest.load(Ordering::Acquire)
    }
}

// The sequence lock of Boehm, "Can seqlocks get along with programming language memory models?"
// (2012): relaxed data between two fences.
impl<const N: usize> Slot<N> {
    fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            words: std::array::from_fn(|_| AtomicU32::new(0)),
        }
    }

    fn write(&self, version: u64, words: &[u32]) {
        self.sequence.store(2 * version - 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (slot, &word) in self.words.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        self.sequence.store(2 * version, Ordering::Release);
    }

    fn read(&self, version: u64) -> Option<[u32; N]> {
        if self.sequence.load(Ordering::Acquire) != 2 * version {
            return None;
        }
        let mut words = [0; N];
        for (word, slot) in words.iter_mut().zip(&self.words) {
            *word = slot.load(Ordering::Relaxed);
        }
        fence(Ordering::Acquire);
        (self.sequence.load(Ordering::Relaxed) == 2 * version).then_some(words)
    }
}
