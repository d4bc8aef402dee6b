//! The second trunk: EfficientAT's mn04_as (F. Schmid, K. Koutini and G. Widmer 2023, MIT), a
//! MobileNetV3 of 0.98 million weights that has learnt the 527 classes of AudioSet, with gradients
//! by burn.
//!
//! Its batch norm is folded into the convolutions as it is read, so that what is trained is what
//! ships: convolutions with a bias. Tensors go by stable names, all `[out, in / groups, mel, time]`
//! or `[out, in]`, each with its `.bias`: `mn.stem.weight`, `mn.blockI.expand`, `.depthwise`,
//! `.squeeze`, `.excite` and `.project` for I of 1 to 15 (where the block has them), `mn.last`,
//! `mn.hidden`, `mn.classes`.

pub mod log_mel;

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{hard_swish, relu, sigmoid},
    module::conv2d,
    ops::ConvOptions,
};
use genrescope::network::bundle::Weights;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};

use crate::rng::Rng;

/// Values of the embedding: the mean over time and frequency after the last convolution.
pub const POOLED: usize = 384;
/// Values of the layer below the classes.
pub const HIDDEN: usize = 512;
/// AudioSet's classes.
pub const CLASSES: usize = 527;

const STEM: usize = 8;
/// Added to the variances of the batch norm.
const EPSILON: f32 = 1e-3;

/// One of the fifteen blocks.
#[derive(Clone, Copy, Debug)]
struct Block {
    expanded: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    /// Channels between the two layers of squeeze-excitation; none without.
    squeeze: Option<usize>,
    /// Hard swish after its convolutions, else ReLU.
    hard_swish: bool,
}

const fn block(
    expanded: usize,
    out: usize,
    kernel: usize,
    stride: usize,
    squeeze: Option<usize>,
    hard_swish: bool,
) -> Block {
    Block {
        expanded,
        out,
        kernel,
        stride,
        squeeze,
        hard_swish,
    }
}

const BLOCKS: [Block; 15] = [
    block(8, 8, 3, 1, None, false),
    block(24, 16, 3, 2, None, false),
    block(32, 16, 3, 1, None, false),
    block(32, 16, 5, 2, Some(8), false),
    block(48, 16, 5, 1, Some(16), false),
    block(48, 16, 5, 1, Some(16), false),
    block(96, 32, 3, 2, None, true),
    block(80, 32, 3, 1, None, true),
    block(72, 32, 3, 1, None, true),
    block(72, 32, 3, 1, None, true),
    block(192, 48, 3, 1, Some(48), true),
    block(272, 48, 3, 1, Some(72), true),
    block(272, 64, 5, 2, Some(72), true),
    block(384, 64, 5, 1, Some(96), true),
    block(384, 64, 5, 1, Some(96), true),
];

impl Block {
    /// The first one alone begins with its depthwise convolution.
    fn expands(self, input: usize) -> bool {
        self.expanded != input
    }
}

/// One layer: our name, the shape of its weight, the name of its tensors in PyTorch, and of its
/// batch norm where it has one.
struct Layer {
    name: String,
    shape: Vec<usize>,
    theirs: String,
    norm: Option<String>,
}

/// All layers, in their order.
fn layers() -> Vec<Layer> {
    let convolution = |name: String, shape: [usize; 4], theirs: String| Layer {
        name,
        shape: shape.to_vec(),
        norm: Some(format!("{theirs}.1")),
        theirs: format!("{theirs}.0"),
    };
    let dense = |name: String, out: usize, input: usize, theirs: String| Layer {
        name,
        shape: vec![out, input],
        norm: None,
        theirs,
    };
    let mut layers = vec![convolution(
        "mn.stem".into(),
        [STEM, 1, 3, 3],
        "features.0".into(),
    )];
    let mut input = STEM;
    for (index, block) in BLOCKS.iter().enumerate() {
        let (ours, theirs) = (
            format!("mn.block{}", index + 1),
            format!("features.{}.block", index + 1),
        );
        let mut part = 0..;
        let mut next = || format!("{theirs}.{}", part.next().unwrap_or(0));
        if block.expands(input) {
            layers.push(convolution(
                format!("{ours}.expand"),
                [block.expanded, input, 1, 1],
                next(),
            ));
        }
        layers.push(convolution(
            format!("{ours}.depthwise"),
            [block.expanded, 1, block.kernel, block.kernel],
            next(),
        ));
        if let Some(squeezed) = block.squeeze {
            let theirs = format!("{}.conc_se_layers.0", next());
            layers.push(dense(
                format!("{ours}.squeeze"),
                squeezed,
                block.expanded,
                format!("{theirs}.fc1"),
            ));
            layers.push(dense(
                format!("{ours}.excite"),
                block.expanded,
                squeezed,
                format!("{theirs}.fc2"),
            ));
        }
        layers.push(convolution(
            format!("{ours}.project"),
            [block.out, block.expanded, 1, 1],
            next(),
        ));
        input = block.out;
    }
    layers.push(convolution(
        "mn.last".into(),
        [POOLED, input, 1, 1],
        "features.16".into(),
    ));
    layers.push(dense(
        "mn.hidden".into(),
        HIDDEN,
        POOLED,
        "classifier.2".into(),
    ));
    layers.push(dense(
        "mn.classes".into(),
        CLASSES,
        HIDDEN,
        "classifier.5".into(),
    ));
    layers
}

/// All weights of the network, in f32, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// The tensors.
    pub tensors: BTreeMap<String, Weights>,
}

/// Reads tensors of a safetensors file, and says what is wrong with them.
struct Reader<'a>(SafeTensors<'a>);

impl Reader<'_> {
    fn get(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>> {
        let Ok(view) = self.0.tensor(name) else {
            bail!("there is no tensor '{name}' in it");
        };
        ensure!(
            view.shape() == shape && view.dtype() == Dtype::F32,
            "tensor '{name}' is {:?} of {:?} where {shape:?} of F32 was expected",
            view.shape(),
            view.dtype()
        );
        let values: Vec<f32> = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|quad| f32::from_le_bytes(*quad))
            .collect();
        ensure!(
            values.iter().all(|value| value.is_finite()),
            "tensor '{name}' holds a value that is no number"
        );
        Ok(values)
    }
}

impl Params {
    /// From a safetensors file: the published state dict (PyTorch's names, whose batch norm is
    /// folded here) or one of ours.
    ///
    /// # Errors
    /// When it is neither, or a tensor is missing or of another shape.
    pub fn read(file: &[u8]) -> Result<Self> {
        let reader = Reader(SafeTensors::deserialize(file).context("it is no safetensors file")?);
        let ours = reader.0.tensor("mn.stem.weight").is_ok();
        let mut tensors = BTreeMap::new();
        for layer in layers() {
            let out = &layer.shape[..1];
            let name = if ours { &layer.name } else { &layer.theirs };
            let mut weight = reader.get(&format!("{name}.weight"), &layer.shape)?;
            let bias = match &layer.norm {
                Some(norm) if !ours => {
                    let get = |part: &str| reader.get(&format!("{norm}.{part}"), out);
                    let (gamma, beta) = (get("weight")?, get("bias")?);
                    let (mean, variance) = (get("running_mean")?, get("running_var")?);
                    let row = weight.len() / out[0];
                    let mut bias = beta;
                    for (channel, row) in weight.chunks_exact_mut(row).enumerate() {
                        let gain = gamma[channel] / (variance[channel] + EPSILON).sqrt();
                        for w in row {
                            *w *= gain;
                        }
                        bias[channel] -= mean[channel] * gain;
                    }
                    bias
                }
                _ => reader.get(&format!("{name}.bias"), out)?,
            };
            tensors.insert(
                format!("{}.weight", layer.name),
                Weights::new(&layer.shape, weight)?,
            );
            tensors.insert(format!("{}.bias", layer.name), Weights::new(out, bias)?);
        }
        Ok(Self { tensors })
    }

    /// A network of weights by chance: for tests.
    ///
    /// # Errors
    /// Never: the shapes are right.
    pub fn random(seed: u64) -> Result<Self> {
        let mut rng = Rng::at(seed, &[0x307]);
        let mut tensors = BTreeMap::new();
        for layer in layers() {
            let out = layer.shape[0];
            let n: usize = layer.shape.iter().product();
            let scale = (1.5 * out as f32 / n as f32).sqrt();
            let weight = (0..n).map(|_| scale * rng.normal()).collect();
            let bias = (0..out).map(|_| 0.1 * rng.normal()).collect();
            tensors.insert(
                format!("{}.weight", layer.name),
                Weights::new(&layer.shape, weight)?,
            );
            tensors.insert(format!("{}.bias", layer.name), Weights::new(&[out], bias)?);
        }
        Ok(Self { tensors })
    }

    /// As a safetensors file; `words` go into its metadata.
    ///
    /// # Errors
    /// When it cannot be laid out.
    pub fn write(&self, words: &BTreeMap<String, String>) -> Result<Vec<u8>> {
        write_tensors(
            self.tensors
                .iter()
                .map(|(name, weights)| (name.clone(), weights.shape().to_vec(), weights.to_f32())),
            words,
        )
    }

    /// The same with the pointwise convolutions rounded to int8 as the product rounds them, one
    /// scale for each output channel.
    #[must_use]
    pub fn rounded(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, weights)| {
            let pointwise = weights.shape().len() == 4 && weights.shape()[1] > 1;
            let weights = if pointwise {
                let floats = weights.to_i8().to_f32();
                Weights::new(weights.shape(), floats).unwrap_or_else(|_| weights.clone())
            } else {
                weights.clone()
            };
            (name.clone(), weights)
        });
        Self {
            tensors: tensors.collect(),
        }
    }
}

/// Float tensors as a safetensors file.
pub(crate) fn write_tensors(
    tensors: impl Iterator<Item = (String, Vec<usize>, Vec<f32>)>,
    words: &BTreeMap<String, String>,
) -> Result<Vec<u8>> {
    let bytes: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
        .map(|(name, shape, values)| {
            let bytes = values.iter().flat_map(|v| v.to_le_bytes()).collect();
            (name, shape, bytes)
        })
        .collect();
    let views = bytes
        .iter()
        .map(|(name, shape, bytes)| {
            Ok((
                name.clone(),
                TensorView::new(Dtype::F32, shape.clone(), bytes)?,
            ))
        })
        .collect::<Result<Vec<_>, safetensors::SafeTensorError>>()?;
    let words = words.iter().map(|(k, v)| (k.clone(), v.clone())).collect();
    Ok(safetensors::serialize(views, Some(words))?)
}

/// What the network says of a batch.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `[batch, 384]`.
    pub pooled: Tensor<2>,
    /// `[batch, 512]`.
    pub hidden: Tensor<2>,
    /// `[batch, 527]`, before the sigmoid.
    pub logits: Tensor<2>,
}

/// The network on a device of burn's.
#[derive(Clone, Debug)]
pub struct Mobilenet {
    /// Each tensor flat, with its shape.
    tensors: BTreeMap<String, (Tensor<1>, Vec<usize>)>,
}

impl Mobilenet {
    /// The network with these weights; on a device with autodiff every one of them gets a gradient.
    pub fn new(params: &Params, device: &Device) -> Self {
        let tensors = params.tensors.iter().map(|(name, weights)| {
            let values = weights.to_f32();
            let data = TensorData::new(values, [weights.shape().iter().product::<usize>()]);
            let mut tensor = Tensor::from_data(data, device);
            if device.is_autodiff() {
                tensor = tensor.require_grad();
            }
            (name.clone(), (tensor, weights.shape().to_vec()))
        });
        Self {
            tensors: tensors.collect(),
        }
    }

    /// The tensors, flat, by name.
    pub fn tensors(&self) -> impl Iterator<Item = (&str, &Tensor<1>)> {
        self.tensors
            .iter()
            .map(|(name, (tensor, _))| (name.as_str(), tensor))
    }

    /// What it says of `mel`, `[batch, 1, 128, columns]`.
    ///
    /// # Panics
    /// When the input has another number of channels.
    pub fn forward(&self, mel: Tensor<4>) -> Answers {
        let mut x = hard_swish(self.convolution("mn.stem", mel, 2));
        for (index, block) in BLOCKS.iter().enumerate() {
            let name = |part: &str| format!("mn.block{}.{part}", index + 1);
            let activation = if block.hard_swish {
                hard_swish::<4>
            } else {
                relu::<4>
            };
            let input = x.clone();
            if block.expands(x.dims()[1]) {
                x = activation(self.convolution(&name("expand"), x, 1));
            }
            x = activation(self.convolution(&name("depthwise"), x, block.stride));
            if block.squeeze.is_some() {
                let [batch, channels, ..] = x.dims();
                let squeezed = relu(self.dense(&name("squeeze"), mean(x.clone())));
                let gate = sigmoid(self.dense(&name("excite"), squeezed));
                x = x * gate.reshape([batch, channels, 1, 1]);
            }
            x = self.convolution(&name("project"), x, 1);
            if block.stride == 1 && input.dims() == x.dims() {
                x = x + input;
            }
        }
        let pooled = mean(hard_swish(self.convolution("mn.last", x, 1)));
        let hidden = hard_swish(self.dense("mn.hidden", pooled.clone()));
        let logits = self.dense("mn.classes", hidden.clone());
        Answers {
            pooled,
            hidden,
            logits,
        }
    }

    fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let (tensor, shape) = &self.tensors[name];
        let mut to = [1; D];
        to.copy_from_slice(shape);
        tensor.clone().reshape(to)
    }

    fn convolution(&self, name: &str, x: Tensor<4>, stride: usize) -> Tensor<4> {
        let weight: Tensor<4> = self.get(&format!("{name}.weight"));
        let [_, of_group, kernel, _] = weight.dims();
        let groups = x.dims()[1] / of_group;
        let around = (kernel - 1) / 2;
        let options = ConvOptions::new([stride; 2], [around; 2], [1; 2], groups);
        conv2d(x, weight, Some(self.get(&format!("{name}.bias"))), options)
    }

    fn dense(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let weight: Tensor<2> = self.get(&format!("{name}.weight"));
        let bias: Tensor<1> = self.get(&format!("{name}.bias"));
        x.matmul(weight.transpose()) + bias.unsqueeze::<2>()
    }
}

/// Over frequency and time.
fn mean(x: Tensor<4>) -> Tensor<2> {
    let [batch, channels, mels, columns] = x.dims();
    x.reshape([batch, channels, mels * columns])
        .mean_dim(2)
        .reshape([batch, channels])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_again() {
        let params = Params::random(1).unwrap();
        let weights: usize = params
            .tensors
            .values()
            .map(|w| w.shape().iter().product::<usize>())
            .sum();
        assert_eq!(weights, 978_679);
        let mut words = BTreeMap::new();
        words.insert("origin".to_owned(), "chance".to_owned());
        let file = params.write(&words).unwrap();
        assert_eq!(Params::read(&file).unwrap(), params);
        let wrong = Params::read(&file[..file.len() - 4]).unwrap_err();
        assert!(format!("{wrong:#}").contains("safetensors"), "{wrong:#}");
        // A published file without its first batch norm.
        let some = write_tensors(
            std::iter::once((
                "features.0.0.weight".to_owned(),
                vec![8, 1, 3, 3],
                vec![0.0; 72],
            )),
            &words,
        );
        let wrong = Params::read(&some.unwrap()).unwrap_err();
        assert!(
            format!("{wrong:#}").contains("'features.0.1.weight'"),
            "{wrong:#}"
        );
    }

    #[test]
    fn rounding_touches_pointwise_convolutions_alone() {
        let params = Params::random(2).unwrap();
        let rounded = params.rounded();
        for (name, before) in &params.tensors {
            let after = &rounded.tensors[name];
            let touched = name.ends_with(".weight")
                && ["expand", "project", "last"]
                    .iter()
                    .any(|part| name.contains(part));
            assert_eq!(before != after, touched, "{name}");
        }
        assert_eq!(rounded.rounded(), rounded);
    }

    #[test]
    fn gradients_are_those_of_small_differences() {
        let params = Params::random(3).unwrap();
        let device = Device::flex();
        let mut rng = Rng::at(4, &[]);
        let mel: Vec<f32> = (0..128 * 16).map(|_| rng.normal()).collect();
        let mel = |device: &Device| {
            Tensor::<4>::from_data(TensorData::new(mel.clone(), [1, 1, 128, 16]), device)
        };
        let loss =
            |net: &Mobilenet, device: &Device| net.forward(mel(device)).logits.square().mean();
        let learning = device.clone().autodiff();
        let net = Mobilenet::new(&params, &learning);
        let gradients = loss(&net, &learning).backward();
        for name in [
            "mn.stem.weight",
            "mn.block4.squeeze.weight",
            "mn.block13.depthwise.weight",
            "mn.last.bias",
            "mn.block15.expand.weight",
        ] {
            let gradient = net.tensors[name].0.grad(&gradients).unwrap();
            let gradient: Vec<f32> = gradient.into_data().try_to_vec().unwrap();
            let at = (0..gradient.len())
                .max_by(|&i, &k| gradient[i].abs().total_cmp(&gradient[k].abs()))
                .unwrap();
            let moved = |by: f32| {
                let mut params = params.clone();
                let weights = &params.tensors[name];
                let mut values = weights.to_f32();
                values[at] += by;
                let weights = Weights::new(weights.shape(), values).unwrap();
                params.tensors.insert(name.to_owned(), weights);
                loss(&Mobilenet::new(&params, &device), &device).into_scalar::<f32>()
            };
            let by = 2e-3;
            let expected = (moved(by) - moved(-by)) / (2.0 * by);
            assert!(
                (gradient[at] - expected).abs() < 0.05 * expected.abs() + 1e-4,
                "{name}: {} where {expected} was expected",
                gradient[at]
            );
        }
    }
}
