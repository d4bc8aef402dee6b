//! Recordings as samples and as mel columns, through the product's own decoder and front end.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use genrescope::{
    front_end::{self, FrontEndConfig, resample::Resampler},
    source::file::AudioFile,
    units::SampleRate,
};

use crate::{
    hearing::hear,
    sounds::{self, at_network_rate},
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

/// `samples` at another rate, by the product's converter.
pub fn converted(samples: &[f32], from: SampleRate, to: SampleRate) -> Vec<f32> {
    let n = samples.len() as u64 * u64::from(to.hz()) / u64::from(from.hz());
    let mut out = Vec::with_capacity(n as usize + 1);
    let mut resampler = Resampler::new(from, to);
    resampler.push(samples, |block| out.extend_from_slice(block));
    resampler.finish(|block| out.extend_from_slice(block));
    out
}

/// Mel columns of a whole recording as it is heard the `variant`-th time ([`crate::hearing`]), as
/// many as [`mel_columns`] gives.
///
/// # Errors
/// When the file cannot be decoded or holds no sample.
pub fn mel_columns_heard(path: &Path, config: &FrontEndConfig, variant: u64) -> Result<Vec<f32>> {
    let mono = decode(path)?;
    ensure!(
        !mono.samples.is_empty(),
        "'{}' holds no sample",
        path.display()
    );
    let heard = hear(&at_network_rate(&mono.samples, mono.rate)?, variant)?;
    let rate = SampleRate::new(sounds::RATE).context("the network's rate")?;
    front_end::columns(&heard, config, rate).with_context(|| format!("'{}'", path.display()))
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
