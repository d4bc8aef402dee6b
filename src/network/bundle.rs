//! The model file.

use thiserror::Error;

/// What a model says of itself: everything in the metadata of its file.
#[derive(Clone, Debug)]
pub struct ModelCard {}

/// Why a model file was refused.
#[derive(Debug, Error)]
#[error("model file")]
pub struct ModelError {}
