//! Why a model is refused.

use std::fmt;

use thiserror::Error;

/// Why a model file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A field holds what cannot be built, or does not fit the rest of the file.
    #[error("model file: {field} = {found}, expected {expected}")]
    Field {
        /// Name of the metadata field or tensor, with the part of it.
        field: String,
        /// What the file holds, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A metadata field or a tensor is not there.
    #[error("model file: {field} is missing")]
    Missing {
        /// Its name.
        field: String,
    },
    /// A metadata field is not the JSON it should be.
    #[error("model file: {field} cannot be read: {source}")]
    Json {
        /// Its name.
        field: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is not a safetensors file, or a damaged one.
    #[error("not a model file, or a damaged one: {reason}")]
    Container {
        /// What the reader met.
        reason: String,
    },
    /// The content is not what was written.
    #[error("the model file is damaged: its sha256 is {found}, {expected} was written into it")]
    Digest {
        /// Digest of the file.
        found: String,
        /// Digest in its metadata.
        expected: String,
    },
    /// The engine could not build the network.
    #[error("the network of this model cannot be built: {reason}")]
    Build {
        /// What the engine said.
        reason: String,
    },
}

impl ModelError {
    pub(super) fn field(
        field: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        let mut found = found.to_string();
        if let Some((end, _)) = found.char_indices().nth(80) {
            found.truncate(end);
            found.push_str("...");
        }
        Self::Field {
            field: field.into(),
            found,
            expected: expected.into(),
        }
    }
}
