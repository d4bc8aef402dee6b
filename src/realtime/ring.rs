//! The ring between the audio thread and the worker: samples, and places where something is not in
//! it.
//!
//! Zeros are counted instead of written, and losses are told with their place. So there are three
//! things to publish, and their order is the protocol: a [`Mark`] before the zeros that it
//! announces, both before the samples that follow. The reader looks in the reverse order, so that
//! what it sees of one is never without what comes before it. `loom/` tries every order in which
//! the two threads may meet.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::Arc;

use super::sync::{
    AtomicBool, AtomicU64, Consumer, Consuming, Observer, Ordering, Producer, Producing, queue,
};

/// Losses that can wait in the ring; each needs half a ring of samples after it.
pub(super) const GAPS: usize = 16;

/// Marks that can wait: losses, and silences between sounds. Silences that find no place are
/// written out.
const MARKS: usize = 64;

/// Zeros that are written at a time, where they must be.
const CHUNK: usize = 256;

const ZEROS: [f32; CHUNK] = [0.0; CHUNK];

/// A place in the stream where something is not in the ring: first what was lost in an overload,
/// then a run of zeros, which are counted in [`Progress::zeros`] and never written. Either may be
/// nothing.
///
/// A run has no end of its own: it ends where the next mark says that another one begins, or with
/// what was counted before the samples that follow it. So a silence of any length costs one mark
/// and one counter, and no memory is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Mark {
    /// Samples in the ring's life before this place.
    at: u64,
    /// Zeros counted before this place.
    zeros: u64,
    /// How many samples are missing here.
    missing: u64,
}

/// What both halves of one ring tell each other.
struct Progress {
    /// Samples that the worker has worked through, missing ones included.
    consumed: AtomicU64,
    /// Zeros that were counted instead of written.
    zeros: AtomicU64,
    /// The audio half said that the stream ends.
    finished: AtomicBool,
    /// The worker has left: samples that are pushed now are nobody's loss.
    closed: AtomicBool,
}

/// The audio thread's half.
///
/// What does not fit is lost and counted; after such a loss the ring takes samples again once half
/// of it is free, so that an overload costs one long gap and not a thousand short ones.
pub(super) struct RingWriter {
    samples: Producing<f32>,
    marks: Producing<Mark>,
    progress: Arc<Progress>,
    /// Samples in the ring's life so far.
    pushed: u64,
    /// Zeros counted so far.
    zeros: u64,
    /// Where in the ring's life the last mark lies: zeros there need no other.
    marked: Option<u64>,
    /// Samples lost since the last one that fitted; not yet told to the worker.
    missing: u64,
    /// Samples lost in all.
    lost: u64,
}

/// The worker's half.
pub(super) struct RingReader {
    samples: Consuming<f32>,
    marks: Consuming<Mark>,
    progress: Arc<Progress>,
    /// Samples taken from this ring, without the missing ones and the zeros that were only counted.
    taken: u64,
    /// Counted zeros that were taken.
    zeros: u64,
}

/// What comes next in the stream.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// So many zeros.
    Zeros(usize),
    /// So many samples, which are [`RingReader::samples`].
    Samples(usize),
    /// So many samples were lost here, or none.
    Missing(u64),
}

impl Step {
    /// Samples of the stream.
    pub(super) fn length(self) -> u64 {
        match self {
            Self::Zeros(length) | Self::Samples(length) => length as u64,
            Self::Missing(length) => length,
        }
    }
}

/// Both halves of a ring for `capacity` samples.
pub(super) fn ring(capacity: usize) -> (RingWriter, RingReader) {
    let (samples, samples_out) = queue(capacity);
    let (marks, marks_out) = queue(MARKS);
    let progress = Arc::new(Progress {
        consumed: AtomicU64::new(0),
        zeros: AtomicU64::new(0),
        finished: AtomicBool::new(false),
        closed: AtomicBool::new(false),
    });
    let writer = RingWriter {
        samples,
        marks,
        progress: Arc::clone(&progress),
        pushed: 0,
        zeros: 0,
        marked: None,
        missing: 0,
        lost: 0,
    };
    let reader = RingReader {
        samples: samples_out,
        marks: marks_out,
        progress,
        taken: 0,
        zeros: 0,
    };
    (writer, reader)
}

impl RingWriter {
    /// Writes samples; returns how many were lost.
    pub(super) fn write(&mut self, samples: &[f32]) -> u64 {
        let before = self.lost;
        if self.may_write(samples.len()) {
            let fitted = self.samples.push_slice(samples);
            self.pushed += fitted as u64;
            self.lose(samples.len() - fitted);
        }
        self.lost - before
    }

    /// As if `n` zeros were written, at the cost of a counter; returns how many were lost.
    pub(super) fn write_zeros(&mut self, n: usize) -> u64 {
        let before = self.lost;
        if self.may_write(n) && !self.count_zeros(n) {
            let mut left = n;
            while left > 0 {
                let length = left.min(CHUNK);
                self.write(ZEROS.get(..length).unwrap_or_default());
                left -= length;
            }
        }
        self.lost - before
    }

    /// No more comes.
    pub(super) fn finish(mut self) {
        if self.missing > 0 {
            // At the end, the loss is told even if the ring is still full.
            let _ = self.mark(self.missing);
        }
        self.progress.finished.store(true, Ordering::Release);
    }

    /// Samples that fit at this moment; only the reader can make it more.
    pub(super) fn room(&self) -> usize {
        let vacant = self.samples.vacant_len();
        if self.missing > 0 && vacant < self.capacity() / 2 {
            return 0;
        }
        vacant
    }

    pub(super) fn capacity(&self) -> usize {
        self.samples.capacity().get()
    }

    /// Samples that the reader knows of and has yet to work through.
    pub(super) fn unheard(&self) -> u64 {
        let told = self.pushed + self.zeros + self.lost - self.missing;
        told.saturating_sub(self.progress.consumed.load(Ordering::Acquire))
    }

    /// The reader has left.
    pub(super) fn is_closed(&self) -> bool {
        self.progress.closed.load(Ordering::Relaxed)
    }

    /// Zeros that were counted so far instead of written.
    #[cfg(test)]
    pub(super) fn zeros(&self) -> u64 {
        self.zeros
    }

    /// Samples that were written so far, counted zeros included.
    #[cfg(test)]
    pub(super) fn written(&self) -> u64 {
        self.pushed + self.zeros
    }

    /// Marks for which there is room.
    #[cfg(test)]
    pub(super) fn vacant_marks(&self) -> usize {
        self.marks.vacant_len()
    }

    /// Whether somebody listens and has caught up; if not, `samples` are lost.
    fn may_write(&mut self, samples: usize) -> bool {
        if self.is_closed() {
            return false;
        }
        let fits = self.missing == 0 || self.close_gap();
        if !fits {
            self.lose(samples);
        }
        fits
    }

    /// Counts zeros instead of writing them; false where they begin a run and no mark is left to
    /// say so: then they are samples like others. As many marks as gaps may need are left for gaps.
    fn count_zeros(&mut self, n: usize) -> bool {
        if self.marked != Some(self.pushed) && (self.marks.vacant_len() <= GAPS || !self.mark(0)) {
            return false;
        }
        self.zeros += n as u64;
        // After the mark, and before the samples that follow: whoever sees those sees all of this
        // run.
        self.progress.zeros.store(self.zeros, Ordering::Release);
        true
    }

    /// Marks this place.
    fn mark(&mut self, missing: u64) -> bool {
        let mark = Mark {
            at: self.pushed,
            zeros: self.zeros,
            missing,
        };
        let told = self.marks.try_push(mark).is_ok();
        if told {
            self.marked = Some(self.pushed);
        }
        told
    }

    /// Tells the reader what is missing, once there is room enough to go on.
    fn close_gap(&mut self) -> bool {
        if self.samples.vacant_len() < self.capacity() / 2 {
            return false;
        }
        // The mark is visible before the samples that follow it, because both queues publish in
        // order.
        let told = self.mark(self.missing);
        if told {
            self.missing = 0;
        }
        told
    }

    fn lose(&mut self, samples: usize) {
        self.missing += samples as u64;
        self.lost += samples as u64;
    }
}

impl std::fmt::Debug for RingWriter {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("RingWriter")
            .field("capacity", &self.capacity())
            .field("pushed", &self.pushed)
            .field("zeros", &self.zeros)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}

impl RingReader {
    /// What comes next, `most` samples of it at a time; `None` while nothing does.
    pub(super) fn step(&self, most: usize) -> Option<Step> {
        // The reverse of the order in which they are published.
        let available = self.samples.occupied_len();
        let counted = self.progress.zeros.load(Ordering::Acquire);
        let mark = self.marks.try_peek().copied();
        // Zeros that lie before the next mark belong to the last one, which is here: they come
        // first.
        let zeros = mark.map_or(counted, |mark| mark.zeros) - self.zeros;
        let before_mark = mark.map_or(available, |mark| {
            available.min(mark.at.saturating_sub(self.taken) as usize)
        });
        if zeros > 0 {
            Some(Step::Zeros(zeros.min(most as u64) as usize))
        } else if before_mark > 0 {
            let (first, _) = self.samples.as_slices();
            Some(Step::Samples(before_mark.min(most).min(first.len())))
        } else {
            let mark = mark.filter(|mark| mark.at <= self.taken)?;
            Some(Step::Missing(mark.missing))
        }
    }

    /// The samples of a [`Step::Samples`] of that length.
    pub(super) fn samples(&self, length: usize) -> &[f32] {
        let (first, _) = self.samples.as_slices();
        first.get(..length).unwrap_or_default()
    }

    /// That step was worked through.
    pub(super) fn take(&mut self, step: Step) {
        match step {
            Step::Zeros(length) => self.zeros += length as u64,
            Step::Samples(length) => {
                self.samples.skip(length);
                self.taken += length as u64;
            }
            Step::Missing(_) => {
                self.marks.skip(1);
            }
        }
        self.progress
            .consumed
            .fetch_add(step.length(), Ordering::Release);
    }

    /// The writer has finished; what it wrote is all there to be taken.
    pub(super) fn is_finished(&self) -> bool {
        self.progress.finished.load(Ordering::Acquire)
    }
}

impl Drop for RingReader {
    fn drop(&mut self) {
        self.progress.closed.store(true, Ordering::Relaxed);
    }
}
