//! What is measured of a stream that runs.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::{
    sync::{
        OnceLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use atomic_float::AtomicF32;

/// Level that is shown for silence, in dBFS.
pub(super) const MIN_LEVEL_DBFS: f32 = -120.0;

/// When to look for the next column, where what came last was so long: columns come 47 times a
/// second, but many sources give several at a time, and nothing much before as long has passed.
pub(crate) fn next_column_after(burst: Duration) -> Duration {
    (3 * burst / 4).clamp(Duration::from_millis(20), Duration::from_millis(100))
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
    #[expect(
        clippy::disallowed_types,
        reason = "made once, by whoever watches: never on the audio thread"
    )]
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
    /// Level (root mean square) of the newest 50 ms of audio in dBFS, updated at least ten times a
    /// second (five times during a long silence); -120 for silence.
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

    /// From now on the newest column of the picture (`n_mels` values) is shown by
    /// [`Counters::column`].
    #[expect(
        clippy::disallowed_methods,
        reason = "for whoever watches: never on the audio thread"
    )]
    pub fn watch_column(&self, n_mels: usize) {
        self.column.get_or_init(|| {
            (0..n_mels)
                .map(|_| AtomicF32::new(f32::NEG_INFINITY))
                .collect()
        });
    }

    /// Copies the newest column of the picture to `into` and says how many there were so far: for
    /// meters, as a column that is just being written may be half of the next. 0 and nothing before
    /// [`Counters::watch_column`] and the first.
    #[expect(
        clippy::disallowed_methods,
        reason = "for whoever watches: never on the audio thread"
    )]
    pub fn column(&self, into: &mut Vec<f32>) -> u64 {
        into.clear();
        let count = self.columns.load(Ordering::Acquire);
        if let (true, Some(column)) = (count > 0, self.column.get()) {
            into.extend(column.iter().map(|value| value.load(Ordering::Relaxed)));
        }
        count
    }

    pub(super) fn column_is_watched(&self) -> bool {
        self.column.get().is_some()
    }
    pub(super) fn set_column(&self, column: &[f32]) {
        let Some(cells) = self.column.get().filter(|_| !column.is_empty()) else {
            return;
        };
        for (cell, value) in cells.iter().zip(column) {
            cell.store(*value, Ordering::Relaxed);
        }
        self.columns.fetch_add(1, Ordering::Release);
    }
    pub(super) fn add_dropped(&self, samples: u64) {
        self.dropped_samples.fetch_add(samples, Ordering::Relaxed);
    }
    pub(super) fn add_gap(&self) {
        self.gaps.fetch_add(1, Ordering::Relaxed);
    }
    pub(super) fn add_missed_updates(&self, count: u64) {
        if count > 0 {
            self.missed_updates.fetch_add(count, Ordering::Relaxed);
        }
    }
    pub(super) fn set_level_dbfs(&self, level: f32) {
        self.level_dbfs.store(level, Ordering::Relaxed);
    }
    pub(super) fn set_load(&self, load: f32) {
        self.load.store(load, Ordering::Relaxed);
    }
    pub(super) fn note_push(&self, took: Duration) {
        self.worst_push_us
            .fetch_max(took.as_micros() as u64, Ordering::Relaxed);
    }
}
