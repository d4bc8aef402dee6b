//! Mel columns in, logits out.

pub mod bundle;
pub mod graph;
pub mod kernel;
pub mod rolling;

use std::sync::Arc;

pub use bundle::{ModelCard, ModelError};

use crate::{front_end::FrontEndConfig, genre::Labels};

/// A loaded, checked, immutable model, shared by all streams through an [`Arc`].
#[derive(Debug)]
pub struct Model {}

impl Model {
    /// Loads a model file that is already in memory.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn from_bytes(_bytes: &[u8]) -> Result<Arc<Self>, ModelError> {
        todo!()
    }

    /// The default model, compiled into the binary; loaded on the first call.
    pub fn builtin() -> Arc<Self> {
        todo!()
    }

    /// What the model says of itself.
    pub fn card(&self) -> &ModelCard {
        todo!()
    }

    /// Its labels, in output order.
    pub fn labels(&self) -> &Labels {
        todo!()
    }

    /// The front end its weights were trained with.
    pub fn front_end(&self) -> &FrontEndConfig {
        todo!()
    }

    /// Mel columns in one frame (1366).
    pub fn n_frames(&self) -> usize {
        todo!()
    }

    /// Length of [`Scored::embedding`].
    pub fn embedding_len(&self) -> usize {
        todo!()
    }

    /// Columns by which a window moves so that work can be re-used: 64 for the CNN, 96 for the CRNN.
    /// Every hop is a multiple of it.
    pub fn step_columns(&self) -> usize {
        todo!()
    }
}

/// What the network made of the window as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// One per label, before softmax.
    pub logits: &'a [f32],
    /// Input of the last dense layer: what trust, song changes and taught heads look at.
    pub embedding: &'a [f32],
    /// Mel columns that were heard, up to `n_frames`.
    pub n_columns: usize,
}

/// The network of one stream: keeps the rolling window and what can be re-used of its last pass.
#[derive(Debug)]
pub struct Network {}

impl Network {
    /// A network with an empty window. All memory is allocated here and by the first scoring.
    pub fn new(_model: &Arc<Model>) -> Self {
        todo!()
    }

    /// Appends one mel column (`n_mels` values, in dB); the oldest leaves once `n_frames` are held.
    pub fn push(&mut self, _column: &[f32]) {
        todo!()
    }

    /// Scores the window as it stands. `None` until [`Model::step_columns`] columns were heard.
    /// With less than a frame, what was heard stands for the whole (its trunk columns are repeated).
    pub fn score(&mut self) -> Option<Scored<'_>> {
        todo!()
    }

    /// Scores a whole frame of shape `[n_columns, n_mels]` (column after column) without touching the window and
    /// without re-use: the oracle that [`Network::score`] must equal.
    pub fn score_frame(&mut self, _columns: &[f32]) -> Option<Scored<'_>> {
        todo!()
    }

    /// Empties the window.
    pub fn reset(&mut self) {
        todo!()
    }
}
