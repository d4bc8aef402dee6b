//! Where training starts from: K. Choi's MSD tagger, in the z-score regime.
//!
//! The files hold true convolutions in theano's order, so kernels are turned by half a turn; the stored
//! `running_std` is a standard deviation (later Keras reads it as a variance, which spoils the tags);
//! batch norm is folded into the convolution before it.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use hdf5_pure_rust::File;

use crate::net::{Net, NetSpec};

/// What Keras adds to the standard deviation.
const EPSILON: f32 = 1e-6;

/// The last layer of the tagger: 50 tags from the 256 values at the top of the trunk.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagger {
    /// Shape `[tags, 256]`.
    pub weight: Vec<f32>,
    /// One a tag.
    pub bias: Vec<f32>,
}

impl Tagger {
    /// Tag scores, each 0..1, of a trunk output.
    pub fn scores(&self, top: &[f32]) -> Vec<f32> {
        self.bias
            .iter()
            .zip(self.weight.chunks_exact(top.len()))
            .map(|(b, row)| 1.0 / (1.0 + (-(b + row.iter().zip(top).map(|(w, x)| w * x).sum::<f32>())).exp()))
            .collect()
    }
}

/// Choi's CNN (`music_tagger_cnn_weights_theano.h5`, repository keunwoochoi/music-auto_tagging-keras) as a [`Net`]
/// with an empty head, and its tag layer.
///
/// # Errors
/// When the file cannot be read or does not hold that network.
pub fn choi_cnn(path: &Path, spec: NetSpec) -> Result<(Net, Tagger)> {
    let file = File::open(path).map_err(|error| anyhow::anyhow!("cannot open '{}': {error}", path.display()))?;
    let read = |name: &str, len: usize| -> Result<Vec<f32>> {
        let values: Vec<f32> = file
            .dataset(name)
            .and_then(|dataset| dataset.read::<f32>())
            .map_err(|error| anyhow::anyhow!("{error}"))
            .with_context(|| format!("'{}': cannot read '{name}'", path.display()))?;
        ensure!(
            values.len() == len,
            "'{}': '{name}' holds {} values, {len} were expected",
            path.display(),
            values.len()
        );
        Ok(values)
    };
    let mut net = Net::new(spec);
    for (i, block) in net.spec.blocks.clone().iter().enumerate() {
        let n = i + 1;
        let weight = read(&format!("conv{n}/conv{n}_W"), block.weight_len())?;
        let bias = read(&format!("conv{n}/conv{n}_b"), block.outputs)?;
        let norm = |part: &str| read(&format!("bn{n}/bn{n}_{part}"), block.outputs);
        let (gamma, beta) = (norm("gamma")?, norm("beta")?);
        let (mean, std) = (norm("running_mean")?, norm("running_std")?);
        for c in 0..block.outputs {
            let scale = gamma[c] / (std[c] + EPSILON);
            net.params.tensors[2 * i + 1][c] = (bias[c] - mean[c]) * scale + beta[c];
            for input in 0..block.inputs {
                for tap in 0..9 {
                    net.params.tensors[2 * i][(c * 9 + tap) * block.inputs + input] =
                        weight[(c * block.inputs + input) * 9 + 8 - tap] * scale;
                }
            }
        }
    }
    let top = net.spec.blocks[net.spec.blocks.len() - 1].outputs;
    let bias = read("output/output_b", 50)?;
    let flat = read("output/output_W", 50 * top)?;
    let weight = (0..50 * top).map(|i| flat[i % top * 50 + i / top]).collect();
    Ok((net, Tagger { weight, bias }))
}
