//! Model files by their name.

use std::{
    fs,
    io::{self, Read as _},
    path::Path,
    sync::Arc,
};

use thiserror::Error;

use super::opening;
use crate::network::{BuiltIn, Model, ModelError, bundle::MAX_FILE_BYTES};

/// Why no model could be had.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelFileError {
    /// It cannot be opened.
    #[error("cannot open model file '{name}' ({known} are built in): {source}")]
    Open {
        /// The file.
        name: String,
        /// The models that need no file.
        known: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It cannot be read.
    #[error("cannot read model file '{name}': {source}")]
    Read {
        /// The file.
        name: String,
        /// What the operating system says.
        source: io::Error,
    },
    /// It is something else.
    #[error("'{name}' is no model file{why}")]
    Other {
        /// The file.
        name: String,
        /// How that is known, or what to do.
        why: String,
    },
    /// It is a model file with something wrong in it.
    #[error("model file '{name}': {what}")]
    Wrong {
        /// The file.
        name: String,
        /// The field and its value.
        what: String,
    },
    /// A model that is compiled in.
    #[error(transparent)]
    BuiltIn(#[from] ModelError),
}

/// The model of this name that is compiled in. A file of that name is `./wide`.
pub fn built_in(name: &Path) -> Option<BuiltIn> {
    name.to_str().and_then(BuiltIn::named)
}

/// Reads and checks a model: one that is compiled in, or a file.
///
/// # Errors
/// [`ModelFileError`] when it cannot be read or is no model; the message names the file and the
/// field.
///
/// ```
/// use genrescope::source::model_file;
///
/// assert_eq!(model_file::load("default".as_ref())?.labels().len(), 10);
/// let error = model_file::load("no-such-model".as_ref()).unwrap_err();
/// assert!(error.to_string().contains("'no-such-model' ('default' and 'wide' are built in)"));
/// # Ok::<(), model_file::ModelFileError>(())
/// ```
pub fn load(path: &Path) -> Result<Arc<Model>, ModelFileError> {
    match built_in(path) {
        Some(model) => Ok(Model::built_in(model)),
        None => read(path, Model::from_bytes),
    }
}

/// Reads a model file and makes of it what `read` does.
///
/// # Errors
/// As [`load`].
pub fn read<T>(
    path: &Path,
    read: impl FnOnce(&[u8]) -> Result<T, ModelError>,
) -> Result<T, ModelFileError> {
    if let Some(model) = built_in(path) {
        return Ok(read(model.bytes())?);
    }
    let name = || path.display().to_string();
    let most = MAX_FILE_BYTES;
    let other = |why: String| ModelFileError::Other { name: name(), why };
    let found = fs::metadata(path).map_err(|source| ModelFileError::Open {
        name: name(),
        known: BuiltIn::ALL
            .map(|model| format!("'{}'", model.as_str()))
            .join(" and "),
        source,
    })?;
    let size = found.len();
    if size > most as u64 {
        return Err(other(format!(
            ": it has {size} bytes, a model file has at most {most}"
        )));
    }
    // A pipe states no length.
    let mut bytes = Vec::new();
    opening::open(path)
        .and_then(|file| file.take(most as u64 + 1).read_to_end(&mut bytes))
        .map_err(|source| ModelFileError::Read {
            name: name(),
            source,
        })?;
    if bytes.len() > most {
        return Err(other(format!(": a model file has at most {most} bytes")));
    }
    // The first 8 bytes are the length of the JSON that follows.
    if bytes.get(8) != Some(&b'{') {
        return Err(other("; 'genrescope teach' writes them".to_owned()));
    }
    read(&bytes).map_err(|error| {
        let text = error.to_string();
        let what = text.strip_prefix("model file: ").unwrap_or(&text);
        ModelFileError::Wrong {
            name: name(),
            what: what.to_owned(),
        }
    })
}
