//! Recordings as samples and as mel columns, through the product's own decoder and front end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use genrescope::{
    front_end::{self, FrontEndConfig},
    source::file::AudioFile,
    units::SampleRate,
};

/// Mono samples of a whole recording, and their rate.
#[derive(Clone, Debug, PartialEq)]
pub struct Mono {
    /// The samples, full scale 1.
    pub samples: Vec<f32>,
    /// Their rate.
    pub rate: SampleRate,
}

/// Decodes a recording and mixes its channels to one.
///
/// # Errors
/// When the file cannot be decoded.
pub fn decode(path: &Path) -> Result<Mono> {
    let mut file = AudioFile::open(path)?;
    let rate = file.rate();
    let (mut samples, mut block) = (Vec::new(), Vec::new());
    while file.next_block(&mut block)? {
        samples.extend_from_slice(&block);
    }
    Ok(Mono { samples, rate })
}

/// Mel columns of a whole recording.
///
/// # Errors
/// When the file cannot be decoded or holds no sample.
pub fn mel_columns(path: &Path, config: &FrontEndConfig) -> Result<Vec<f32>> {
    let mono = decode(path)?;
    ensure!(
        !mono.samples.is_empty(),
        "'{}' holds no sample",
        path.display()
    );
    front_end::columns(&mono.samples, config, mono.rate)
        .with_context(|| format!("'{}'", path.display()))
}
