//! The audio thread's half. Nothing in this file allocates, locks, waits, logs, calls the system or
//! panics: the lints below name what is denied, `tests/realtime_safety.rs` counts allocations.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::{
    Arc,
    atomic::{AtomicBool, AtomicU64, Ordering},
};

use ringbuf::{
    HeapProd,
    traits::{Observer, Producer},
};

use super::{Counters, GAPS};
use crate::{
    mixdown::Mixdown,
    units::{all_zero, sane},
};

/// Sample frames that are mixed down at a time, on the stack.
const CHUNK: usize = 256;

const ZEROS: [f32; CHUNK] = [0.0; CHUNK];

/// A place in the stream where something is not in the ring: first what was lost in an overload, then a run of zeros,
/// which are counted in [`Progress::zeros`] and never written. Either may be nothing.
///
/// A run has no end of its own: it ends where the next mark says that another one begins, or with what was counted
/// before the samples that follow it. So a silence of any length costs one mark and one counter, and no memory is touched.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mark {
    /// Samples in the ring's life before this place.
    pub(super) at: u64,
    /// Zeros counted before this place.
    pub(super) zeros: u64,
    /// How many samples are missing here.
    pub(super) missing: u64,
}

/// What both halves of one ring tell each other.
#[derive(Debug, Default)]
pub(super) struct Progress {
    /// Samples that the worker has worked through, missing ones included.
    pub(super) consumed: AtomicU64,
    /// Zeros that were counted instead of written.
    pub(super) zeros: AtomicU64,
    /// The audio half said that the stream ends.
    pub(super) finished: AtomicBool,
    /// The worker has left: samples that are pushed now are nobody's loss.
    pub(super) closed: AtomicBool,
}

/// The audio thread's half: owned by one thread, never waits.
///
/// Samples are made [`sane`] before they are mixed. What does not fit into the ring is dropped and counted
/// ([`Counters::dropped_samples`]); after such a loss the ring takes samples again once half of it is free, so that an
/// overload costs one long gap and not a thousand short ones. Zeros are counted and take no room.
pub struct AudioInput {
    pub(super) samples: HeapProd<f32>,
    pub(super) marks: HeapProd<Mark>,
    pub(super) counters: Arc<Counters>,
    pub(super) progress: Arc<Progress>,
    pub(super) worker: std::thread::Thread,
    /// Samples in the ring's life so far.
    pub(super) pushed: u64,
    /// Zeros counted so far.
    pub(super) zeros: u64,
    /// Where in the ring's life the last mark lies: zeros there need no other.
    pub(super) marked: Option<u64>,
    /// Samples lost since the last one that fitted; not yet told to the worker.
    pub(super) missing: u64,
    /// Samples lost in all.
    pub(super) lost: u64,
    /// What becomes of stereo.
    pub(super) mixdown: Mixdown,
}

impl AudioInput {
    /// Interleaved samples of `n_channels` channels, mixed down to mono: the mean of the channels; of two that cancel each other out
    /// (a balanced line in a stereo socket), half their difference. No channels, or a last frame that is not whole, count as no samples.
    ///
    /// # Real-time
    /// Safe on the audio thread: no allocation, lock, wait, log, system call or panic.
    pub fn push_interleaved(&mut self, samples: &[f32], n_channels: usize) {
        if n_channels > 0 && all_zero(samples) {
            self.push_zeros(samples.len() / n_channels);
        } else {
            self.push_converted(samples, n_channels, |sample| sample);
        }
    }

    /// Interleaved samples of any type, each turned into full scale -1..=1 by `convert` on the way.
    ///
    /// # Real-time
    /// Safe on the audio thread if `convert` is.
    pub fn push_converted<T: Copy>(
        &mut self,
        samples: &[T],
        n_channels: usize,
        convert: impl Fn(T) -> f32,
    ) {
        if n_channels == 0 {
            return;
        }
        let mut mono = [0.0_f32; CHUNK];
        for block in samples.chunks(CHUNK.saturating_mul(n_channels)) {
            let mut n_frames = 0;
            match n_channels {
                1 => {
                    for (out, &sample) in mono.iter_mut().zip(block) {
                        *out = sane(convert(sample));
                        n_frames += 1;
                    }
                }
                2 => {
                    let mut stereo = [[0.0_f32; 2]; CHUNK];
                    let (pairs, _) = block.as_chunks::<2>();
                    for (out, &[left, right]) in stereo.iter_mut().zip(pairs) {
                        *out = [convert(left), convert(right)];
                        n_frames += 1;
                    }
                    let frames = stereo.get(..n_frames).unwrap_or_default();
                    self.mixdown.stereo(frames, &mut mono);
                }
                _ => {
                    for (out, frame) in mono.iter_mut().zip(block.chunks_exact(n_channels)) {
                        *out = self
                            .mixdown
                            .frame(n_channels, frame.iter().map(|&s| convert(s)));
                        n_frames += 1;
                    }
                }
            }
            self.write(mono.get(..n_frames).unwrap_or_default());
        }
    }

    /// One slice per channel; the shortest decides.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn push_planar(&mut self, channels: &[&[f32]]) {
        let n_frames = channels.iter().map(|c| c.len()).min().unwrap_or(0);
        let mut mono = [0.0_f32; CHUNK];
        let mut start = 0;
        while start < n_frames {
            let length = CHUNK.min(n_frames - start);
            let range = start..start + length;
            start += length;
            let parts = channels
                .iter()
                .map(|channel| channel.get(range.clone()).unwrap_or_default());
            if parts.clone().all(all_zero) {
                self.push_zeros(length);
                continue;
            }
            if let &[left, right] = channels {
                let mut stereo = [[0.0_f32; 2]; CHUNK];
                let (left, right) = (left.get(range.clone()), right.get(range.clone()));
                let pairs = left
                    .unwrap_or_default()
                    .iter()
                    .zip(right.unwrap_or_default());
                for (out, (&left, &right)) in stereo.iter_mut().zip(pairs) {
                    *out = [left, right];
                }
                let frames = stereo.get(..length).unwrap_or_default();
                self.mixdown.stereo(frames, &mut mono);
            } else {
                for (index, out) in mono.iter_mut().take(length).enumerate() {
                    let frame = parts
                        .clone()
                        .map(|part| part.get(index).copied().unwrap_or(0.0));
                    *out = self.mixdown.frame(channels.len(), frame);
                }
            }
            self.write(mono.get(..length).unwrap_or_default());
        }
    }

    /// Silence: as if so many frames of zeros were pushed, at the cost of a counter.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn push_zeros(&mut self, n_frames: usize) {
        self.mixdown.advance(n_frames);
        if self.may_write(n_frames) && !self.count_zeros(n_frames) {
            let mut left = n_frames;
            while left > 0 {
                let length = left.min(CHUNK);
                self.write(ZEROS.get(..length).unwrap_or_default());
                left -= length;
            }
        }
    }

    /// Sample frames that fit at this moment; only the worker can make it more.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn room(&self) -> usize {
        let vacant = self.samples.vacant_len();
        if self.missing > 0 && vacant < self.samples.capacity().get() / 2 {
            return 0;
        }
        vacant
    }

    /// Says that no more samples come: the worker finishes what it has, publishes the last readout and ends.
    /// Without this, the worker waits for more, until the [`Listener`](super::Listener) is dropped.
    ///
    /// # Real-time
    /// Frees memory: not for the audio thread.
    pub fn finish(mut self) {
        if self.missing > 0 {
            // At the end, the loss is told even if the ring is still full.
            let _ = self.mark(self.missing);
        }
        self.progress.finished.store(true, Ordering::Release);
        self.worker.unpark();
    }

    fn write(&mut self, mono: &[f32]) {
        if !self.may_write(mono.len()) || (all_zero(mono) && self.count_zeros(mono.len())) {
            return;
        }
        let fitted = self.samples.push_slice(mono);
        self.pushed += fitted as u64;
        if fitted < mono.len() {
            self.lose(mono.len() - fitted);
        }
    }

    /// Whether somebody listens and has caught up; if not, `samples` are lost.
    fn may_write(&mut self, samples: usize) -> bool {
        if self.progress.closed.load(Ordering::Relaxed) {
            return false;
        }
        let fits = self.missing == 0 || self.close_gap();
        if !fits {
            self.lose(samples);
        }
        fits
    }

    /// Counts zeros instead of writing them; false where they begin a run and no mark is left to say so: then they are
    /// samples like others. As many marks as gaps may need are left for gaps.
    fn count_zeros(&mut self, n: usize) -> bool {
        if self.marked != Some(self.pushed) && (self.marks.vacant_len() <= GAPS || !self.mark(0)) {
            return false;
        }
        self.zeros += n as u64;
        // After the mark, and before the samples that follow: whoever sees those sees all of this run.
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

    /// Tells the worker what is missing, once there is room enough to go on.
    fn close_gap(&mut self) -> bool {
        if self.samples.vacant_len() < self.samples.capacity().get() / 2 {
            return false;
        }
        // The mark is visible before the samples that follow it, because both rings publish in order.
        let told = self.mark(self.missing);
        if told {
            self.missing = 0;
        }
        told
    }

    fn lose(&mut self, samples: usize) {
        self.missing += samples as u64;
        self.lost += samples as u64;
        self.counters.add_dropped(samples as u64);
    }
}

impl std::fmt::Debug for AudioInput {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("AudioInput")
            .field("capacity", &self.samples.capacity())
            .field("pushed", &self.pushed)
            .field("zeros", &self.zeros)
            .field("lost", &self.lost)
            .finish_non_exhaustive()
    }
}
