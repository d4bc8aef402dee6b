//! The audio thread's half. Nothing in this file allocates, locks, waits, logs, calls the system or
//! panics: the lints below name what is denied, `tests/realtime_safety.rs` counts allocations.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::Arc;

use super::{Counters, ring::RingWriter};
use crate::{
    mixdown::Mixdown,
    units::{all_zero, sane},
};

/// Sample frames that are mixed down at a time, on the stack.
const CHUNK: usize = 256;

/// The audio thread's half: owned by one thread, never waits.
///
/// Samples are made [`sane`] before they are mixed. What does not fit into the ring is dropped and
/// counted ([`Counters::dropped_samples`]); after such a loss the ring takes samples again once
/// half of it is free, so that an overload costs one long gap and not a thousand short ones. Zeros
/// are counted and take no room.
#[derive(Debug)]
pub struct AudioInput {
    pub(super) ring: RingWriter,
    pub(super) counters: Arc<Counters>,
    pub(super) worker: std::thread::Thread,
    /// What becomes of stereo.
    pub(super) mixdown: Mixdown,
}

impl AudioInput {
    /// Interleaved samples of `n_channels` channels, mixed down to mono: the mean of the channels;
    /// of two that cancel each other out (a balanced line in a stereo socket), half their
    /// difference. No channels, or a last frame that is not whole, count as no samples.
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
        let lost = self.ring.write_zeros(n_frames);
        self.count_lost(lost);
    }

    /// Sample frames that fit at this moment; only the worker can make it more.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn room(&self) -> usize {
        self.ring.room()
    }

    /// Says that no more samples come: the worker finishes what it has, publishes the last readout
    /// and ends. Without this, the worker waits for more, until the [`Listener`](super::Listener)
    /// is dropped.
    ///
    /// # Real-time
    /// Frees memory: not for the audio thread.
    #[expect(clippy::disallowed_methods, reason = "not for the audio thread")]
    pub fn finish(self) {
        self.ring.finish();
        self.worker.unpark();
    }

    fn write(&mut self, mono: &[f32]) {
        let lost = if all_zero(mono) {
            self.ring.write_zeros(mono.len())
        } else {
            self.ring.write(mono)
        };
        self.count_lost(lost);
    }

    fn count_lost(&self, samples: u64) {
        if samples > 0 {
            self.counters.add_dropped(samples);
        }
    }
}
