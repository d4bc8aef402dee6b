//! Front end, network and decision in one: single-threaded, deterministic, without input or output.

use std::sync::Arc;

use crate::{
    decision::Readout,
    front_end::FrontEndError,
    network::Model,
    units::{SampleRate, Seconds},
};

/// How scores become a readout; each field can change while running.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Columns between scores; rounded up to a multiple of [`Model::step_columns`]. Default: about 2 s.
    pub hop_columns: usize,
}

/// One stream from samples to readouts.
#[derive(Debug)]
pub struct Pipeline {}

impl Pipeline {
    /// A pipeline for mono input at `rate`.
    ///
    /// # Errors
    /// [`FrontEndError`] when the model asks for a front end that cannot be built.
    pub fn new(
        _model: &Arc<Model>,
        _rate: SampleRate,
        _config: PipelineConfig,
    ) -> Result<Self, FrontEndError> {
        todo!()
    }

    /// Takes mono samples in blocks of any size and calls `on_readout` for each new readout (one per
    /// hop). The same samples give the same readouts, however they are split.
    pub fn push(&mut self, _samples: &[f32], _on_readout: impl FnMut(&Readout)) {
        todo!()
    }

    /// The newest readout.
    pub fn readout(&self) -> Readout {
        todo!()
    }

    /// Forgets the average (the reset button); the window stays.
    pub fn reset_average(&mut self) {
        todo!()
    }

    /// Holds the shown genre and the average as they are.
    pub fn set_hold(&mut self, _hold: bool) {
        todo!()
    }

    /// Sets the time constant of the running average; 0 shows every frame as it is.
    pub fn set_averaging(&mut self, _time_constant: Seconds) {
        todo!()
    }

    /// Forgets everything: as new.
    pub fn reset(&mut self) {
        todo!()
    }

    /// The stream ends: flushes the last columns.
    pub fn finish(&mut self, _on_readout: impl FnMut(&Readout)) {
        todo!()
    }
}
