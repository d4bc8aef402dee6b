//! The only threads, atomics and rings: the audio thread's half, the worker, and the hand-off of readouts.
//!
//! The signatures below are fixed (the plugin and the listener are written against them); bodies may move to
//! `realtime/{input,worker,readout}.rs`.

use std::{sync::Arc, time::Duration};

use crate::{
    decision::Readout,
    network::Model,
    units::{SampleRate, Seconds},
};

/// How a live stream is set up.
#[derive(Clone, Debug)]
pub struct RealtimeConfig {
    /// Rate of the samples that will be pushed.
    pub rate: SampleRate,
    /// Largest number of sample frames in one push that must fit at any time.
    pub max_block: usize,
    /// Pipeline settings.
    pub pipeline: crate::pipeline::PipelineConfig,
}

/// The audio thread's half: owned by one thread, never waits.
#[derive(Debug)]
pub struct AudioInput {}

impl AudioInput {
    /// Interleaved samples of `n_channels` channels, mixed down to mono (mean of the channels).
    ///
    /// # Real-time
    /// Safe on the audio thread: no allocation, lock, wait, log, system call or panic.
    pub fn push_interleaved(&mut self, _samples: &[f32], _n_channels: usize) {
        todo!()
    }

    /// One slice per channel; the shortest decides.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn push_planar(&mut self, _channels: &[&[f32]]) {
        todo!()
    }

    /// For offline rendering only: waits until the worker has consumed everything that was pushed, or `timeout`.
    /// Not for the audio thread of a live host.
    pub fn wait_until_consumed(&self, _timeout: Duration) -> bool {
        todo!()
    }
}

/// What the user can change while it runs. All methods are lock-free and safe on any thread, the audio thread included.
#[derive(Debug)]
pub struct Controls {}

impl Controls {
    /// Forget the average.
    pub fn reset(&self) {
        todo!()
    }
    /// Hold the readout.
    pub fn set_hold(&self, _hold: bool) {
        todo!()
    }
    /// Is it held?
    pub fn hold(&self) -> bool {
        todo!()
    }
    /// Time constant of the running average.
    pub fn set_averaging(&self, _time: Seconds) {
        todo!()
    }
}

/// What is measured while it runs: lock-free to read on any thread.
#[derive(Debug)]
pub struct Counters {}

impl Counters {
    /// Level of the newest audio in dBFS, updated at least ten times a second.
    pub fn level_dbfs(&self) -> f32 {
        todo!()
    }
    /// Samples that did not fit or were skipped since the start.
    pub fn dropped_samples(&self) -> u64 {
        todo!()
    }
    /// Worker time per stream time, 0..: 0.01 is one percent of a core.
    pub fn load(&self) -> f32 {
        todo!()
    }
}

/// The other half: owns the worker thread. Dropping it stops and joins the worker, whatever it is doing.
#[derive(Debug)]
pub struct Listener {}

impl Listener {
    /// Starts a worker for one stream.
    ///
    /// # Errors
    /// When the model's front end cannot be built or the thread cannot be started.
    pub fn start(
        _model: &Arc<Model>,
        _config: RealtimeConfig,
    ) -> Result<(AudioInput, Self), RealtimeError> {
        todo!()
    }
    /// A handle that reads the newest readout from any thread, without locks.
    pub fn readout(&self) -> Arc<ReadoutCell> {
        todo!()
    }
    /// Hold, reset, averaging.
    pub fn controls(&self) -> Arc<Controls> {
        todo!()
    }
    /// Level, drops, load.
    pub fn counters(&self) -> Arc<Counters> {
        todo!()
    }
    /// Every readout in order, through a bounded channel: what a slow receiver misses is counted, never waited for.
    pub fn updates(&self) -> crossbeam_channel::Receiver<Readout> {
        todo!()
    }
}

/// The newest readout, shared without locks (two sequence-locked slots of atomics).
#[derive(Debug)]
pub struct ReadoutCell {}

impl ReadoutCell {
    /// The newest readout; `None` in the rare case that it was being replaced during every try.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn load(&self) -> Option<Readout> {
        todo!()
    }
}

/// Why a live stream could not be started.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RealtimeError {
    /// The front end refused its settings.
    #[error(transparent)]
    FrontEnd(#[from] crate::front_end::FrontEndError),
    /// The system gave no thread.
    #[error("cannot start the listening thread: {0}")]
    Thread(#[source] std::io::Error),
}
