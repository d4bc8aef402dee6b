//! From samples at any rate to log-mel columns: resample, STFT, mel, decibel.

pub mod mel;
pub mod resample;
pub mod stft;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::units::SampleRate;

/// Every number of the front end. It travels with the weights in the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEndConfig {
    /// Rate the network listens at, in Hz (paper: 12000).
    pub sample_rate: u32,
    /// FFT and window length in samples (512).
    pub n_fft: usize,
    /// Samples between columns (256).
    pub hop_length: usize,
    /// Mel bands (96).
    pub n_mels: usize,
    /// Lower edge of the lowest band, in Hz (0).
    pub fmin_hz: f32,
    /// Upper edge of the highest band, in Hz (6000).
    pub fmax_hz: f32,
    /// Columns hold `max(floor_db, 20 * log10(mel power))`: the decibel scale of the reference
    /// taggers, which squares the power once more.
    pub floor_db: f32,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        Self {
            sample_rate: 12_000,
            n_fft: 512,
            hop_length: 256,
            n_mels: 96,
            fmin_hz: 0.0,
            fmax_hz: 6_000.0,
            floor_db: -100.0,
        }
    }
}

/// Why a front end could not be built.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum FrontEndError {
    /// A field of [`FrontEndConfig`] is out of its range.
    #[error("front end: {field} = {value} is not supported ({allowed})")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What would be.
        allowed: &'static str,
    },
}

/// The streaming front end of one stream. Its clock is the sample count.
#[derive(Debug)]
pub struct FrontEnd {}

impl FrontEnd {
    /// A front end for mono input at `input_rate`.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the field that is out of range.
    pub fn new(_config: &FrontEndConfig, _input_rate: SampleRate) -> Result<Self, FrontEndError> {
        todo!()
    }

    /// Takes mono samples at the input rate, in blocks of any size; calls `on_column` with each
    /// finished column of `n_mels` values. Any split of a signal gives the same columns, bit for bit.
    /// NaN and infinity are read as 0.
    pub fn push(&mut self, _samples: &[f32], _on_column: impl FnMut(&[f32])) {
        todo!()
    }

    /// The signal ends here: emits the columns that were waiting for what follows (reflect padding).
    /// The front end is as new afterwards.
    pub fn finish(&mut self, _on_column: impl FnMut(&[f32])) {
        todo!()
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        todo!()
    }
}
