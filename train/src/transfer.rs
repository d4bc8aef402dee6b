//! Where training starts from: K. Choi's MSD tagger, in the z-score regime (see [`crate::keras`]).

use std::path::Path;

use anyhow::{Context, Result, ensure};

use crate::{
    keras::{self, Form, Regime},
    net::{Net, NetSpec, Tap},
};

/// The last layer of the tagger: 50 tags from the values at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagger {
    /// Shape `[tags, top]`: 256 values in the CNN, 32 in the CRNN.
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
            .map(|(b, row)| {
                1.0 / (1.0 + (-(b + row.iter().zip(top).map(|(w, x)| w * x).sum::<f32>())).exp())
            })
            .collect()
    }
}

/// Choi's CNN or CRNN, whichever `spec` describes (`music_tagger_cnn_weights_theano.h5`, `music_tagger_crnn_weights_theano.h5`,
/// repository keunwoochoi/music-auto_tagging-keras), as a [`Net`] with an empty head, and its tag layer. The input is normalised as
/// `spec` says.
///
/// # Errors
/// When the file cannot be read or does not hold that network.
pub fn choi(path: &Path, spec: NetSpec) -> Result<(Net, Tagger)> {
    let file = keras::import(path, Regime::ZScore, Form::ShiftInvariant)?;
    let read = |name: &str, len: usize| -> Result<Vec<f32>> {
        let tensor = file
            .tensors
            .get(name)
            .with_context(|| format!("'{}': '{name}' is missing", path.display()))?;
        let values = tensor.to_f32();
        ensure!(
            values.len() == len,
            "'{}': '{name}' holds {} values, {len} were expected: is it the {}?",
            path.display(),
            values.len(),
            if spec.recurrent.is_empty() {
                "CNN"
            } else {
                "CRNN"
            }
        );
        Ok(values)
    };
    let mut net = Net::new(spec.clone());
    for (i, block) in net.spec.blocks.clone().iter().enumerate() {
        let weight = read(&format!("block{}.weight", i + 1), block.weight_len())?;
        net.params.tensors[2 * i + 1] = read(&format!("block{}.bias", i + 1), block.outputs)?;
        // From [out, in, row, column] to [out, row, column, in].
        for c in 0..block.outputs {
            for input in 0..block.inputs {
                for tap in 0..9 {
                    net.params.tensors[2 * i][(c * 9 + tap) * block.inputs + input] =
                        weight[(c * block.inputs + input) * 9 + tap];
                }
            }
        }
    }
    let tensors = net.spec.tensors();
    let first = net.spec.first_tensor(net.spec.blocks.len());
    let head = net.spec.head();
    let learnt = net.params.tensors.iter_mut().zip(&tensors);
    for (values, (name, len)) in learnt.take(head).skip(first) {
        *values = read(name, *len)?;
    }
    let top = Tap::Top.len(&net.spec);
    let bias = file
        .tensors
        .get("output.bias")
        .map(genrescope::network::bundle::Weights::to_f32)
        .unwrap_or_default();
    ensure!(
        !bias.is_empty(),
        "'{}': 'output.bias' is missing",
        path.display()
    );
    let weight = read("output.weight", bias.len() * top)?;
    Ok((net, Tagger { weight, bias }))
}
