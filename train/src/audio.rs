//! Recordings as samples and as mel columns.

use std::{
    path::Path,
    process::{Command, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use genrescope::{
    front_end::{self, FrontEndConfig},
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
    const RATE: u32 = 48_000;
    let output = Command::new("ffmpeg")
        .args(["-v", "error", "-threads", "1", "-i"])
        .arg(path)
        .args(["-f", "f32le", "-ac", "1", "-ar", &RATE.to_string(), "-"])
        .stdin(Stdio::null())
        .output()
        .context("cannot run ffmpeg")?;
    if !output.status.success() {
        bail!("'{}': {}", path.display(), String::from_utf8_lossy(&output.stderr).trim());
    }
    let samples = output.stdout.chunks_exact(4).map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]])).collect();
    Ok(Mono { samples, rate: SampleRate::new(RATE)? })
}

/// Mel columns of a whole recording, by the product's front end.
///
/// # Errors
/// When the file cannot be decoded or holds no sample.
pub fn mel_columns(path: &Path, config: &FrontEndConfig) -> Result<Vec<f32>> {
    let mono = decode(path)?;
    ensure!(!mono.samples.is_empty(), "'{}' holds no sample", path.display());
    front_end::columns(&mono.samples, config, mono.rate).with_context(|| format!("'{}'", path.display()))
}
