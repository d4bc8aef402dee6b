//! Any network of the product's, as it is trained: its [`Architecture`], the weights under the
//! names and in the shapes of the model file, and the same as a differentiable function of burn's.
//!
//! A window shorter than a frame is treated as the product treats it: the rolling blocks run on the
//! columns that exist, and theirs are repeated, where the architecture says so, to as many as a
//! frame gives.

use std::collections::BTreeMap;

use anyhow::{Context, Result, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{elu, hard_sigmoid, tanh},
};
use genrescope::{
    front_end::FrontEndConfig,
    genre::Labels,
    network::{
        Architecture, Bundle,
        architecture::{Pooling, Statistic, StatisticKind},
        bundle::{Weights, expected_tensors},
    },
};

use crate::block::block;

/// A tensor that is learnt.
#[derive(Clone, Debug, PartialEq)]
pub struct Param {
    /// As the model file calls it; `hint.weight` and `hint.bias`, which it does not know.
    pub name: String,
    /// As in the model file.
    pub shape: Vec<usize>,
    /// In row-major order.
    pub values: Vec<f32>,
    /// The layer it belongs to, from 0 at the bottom: blocks, then GRUs, then the hidden dense
    /// layer; the head comes last.
    pub layer: usize,
}

/// A network in training.
#[derive(Clone, Debug, PartialEq)]
pub struct Trainable {
    /// What is computed.
    pub architecture: Architecture,
    /// Mel bands and floor of what comes in.
    pub front_end: FrontEndConfig,
    /// What it tells apart.
    pub labels: Labels,
    /// What is learnt, bottom first. `output.weight` and `output.bias` act on the standardised
    /// embedding.
    pub params: Vec<Param>,
    /// Mean of each embedding value over the training data, before training.
    pub embedding_mean: Vec<f32>,
    /// Its standard deviation.
    pub embedding_std: Vec<f32>,
    /// Scale and offset of each place of the padded window, which are not learnt.
    column_affine: Option<(Vec<f32>, Vec<f32>)>,
}

/// What goes into a block or comes out: `[row, column, channel]` in row-major order.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// Rows (mel bands, lowest first), columns (time) and channels.
    pub shape: [usize; 3],
    /// The values.
    pub values: Vec<f32>,
}

impl Trainable {
    /// A network of zeros, for a later fill.
    ///
    /// # Errors
    /// When the product cannot build the architecture, or it has a second trunk, which learns by
    /// `distil`.
    pub fn new(
        architecture: Architecture,
        front_end: FrontEndConfig,
        labels: Labels,
    ) -> Result<Self> {
        architecture.check(front_end.n_mels)?;
        ensure!(
            architecture.tagger.is_none(),
            "this network has a second trunk, which is trained by `genrescope-train distil`"
        );
        let blocks = architecture.blocks.len();
        let recurrent = match &architecture.pooling {
            Pooling::Gru { units } => units.len(),
            Pooling::Flatten | Pooling::None => 0,
        };
        // "block3.weight": a word and its number, from 1.
        let layer_of = |name: &str| -> usize {
            let layer = name.split('.').next().unwrap_or_default();
            let number = |word: &str| layer.strip_prefix(word)?.parse::<usize>().ok();
            match (number("block"), number("gru")) {
                (Some(block), _) => block - 1,
                (_, Some(gru)) => blocks + gru - 1,
                _ if layer == "hidden" => blocks + recurrent,
                _ => blocks + recurrent + usize::from(architecture.head.hidden.is_some()),
            }
        };
        let mut params: Vec<Param> = expected_tensors(&architecture, &labels, front_end.n_mels)
            .into_iter()
            .filter(|(name, _)| !name.starts_with("input."))
            .map(|(name, shape)| Param {
                layer: layer_of(&name),
                values: vec![0.0; shape.iter().product()],
                name,
                shape,
            })
            .collect();
        // Within a layer weights come before biases: input, recurrent, bias.
        params.sort_by_key(|param| (param.layer, param.name.ends_with("bias")));
        let columns = architecture.frame_columns + 2 * architecture.time_pad;
        let len = architecture.embedding_len(front_end.n_mels);
        Ok(Self {
            column_affine: architecture
                .column_affine
                .then(|| (vec![1.0; columns], vec![0.0; columns])),
            architecture,
            front_end,
            labels,
            params,
            embedding_mean: vec![0.0; len],
            embedding_std: vec![1.0; len],
        })
    }

    /// The network of a model file, to be trained further.
    ///
    /// # Errors
    /// When it has a second trunk, or a tensor is missing.
    pub fn from_bundle(bundle: &Bundle) -> Result<Self> {
        let card = &bundle.card;
        let mut net = Self::new(
            card.architecture.clone(),
            card.front_end.clone(),
            card.labels.clone(),
        )?;
        net.fill(bundle, |_| true)?;
        Ok(net)
    }

    /// Takes the weights of those layers that `wanted` says yes to, 0 being the lowest block, from
    /// a model file of the same form.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn fill(&mut self, bundle: &Bundle, wanted: impl Fn(usize) -> bool) -> Result<()> {
        let get = |name: &str, shape: &[usize]| -> Result<Vec<f32>> {
            let weights = bundle
                .tensors
                .get(name)
                .with_context(|| format!("'{name}' is missing"))?;
            ensure!(
                weights.shape() == shape,
                "'{name}' is {:?}, {shape:?} was expected",
                weights.shape()
            );
            Ok(weights.to_f32())
        };
        for param in self.params.iter_mut().filter(|param| wanted(param.layer)) {
            param.values = get(&param.name, &param.shape)?;
        }
        if let Some((scale, offset)) = &mut self.column_affine {
            *scale = get("input.column_scale", &[scale.len()])?;
            *offset = get("input.column_offset", &[offset.len()])?;
        }
        Ok(())
    }

    /// The tensors of a model file with these weights; the head's standardisation is folded into
    /// it.
    ///
    /// # Errors
    /// When a tensor does not have the shape it says.
    pub fn tensors(&self) -> Result<BTreeMap<String, Weights>> {
        let mut tensors = BTreeMap::new();
        let known = self
            .params
            .iter()
            .filter(|param| !param.name.starts_with("hint."));
        for Param {
            name,
            shape,
            values,
            ..
        } in known
        {
            tensors.insert(name.clone(), Weights::new(shape, values.clone())?);
        }
        let (weight, bias) = self.head().folded();
        for (name, values) in [("output.weight", weight), ("output.bias", bias)] {
            let shape = &self.param(name).shape;
            tensors.insert(name.to_owned(), Weights::new(shape, values)?);
        }
        if let Some((scale, offset)) = &self.column_affine {
            for (name, values) in [
                ("input.column_scale", scale),
                ("input.column_offset", offset),
            ] {
                tensors.insert(
                    name.to_owned(),
                    Weights::new(&[values.len()], values.clone())?,
                );
            }
        }
        Ok(tensors)
    }

    /// The tensor of this name.
    ///
    /// # Panics
    /// When there is none.
    pub fn param(&self, name: &str) -> &Param {
        let found = self.params.iter().find(|param| param.name == name);
        found.unwrap_or_else(|| panic!("there is no tensor '{name}'"))
    }

    /// The same, to be changed.
    ///
    /// # Panics
    /// When there is none.
    pub fn param_mut(&mut self, name: &str) -> &mut Param {
        let found = self.params.iter_mut().find(|param| param.name == name);
        found.unwrap_or_else(|| panic!("there is no tensor '{name}'"))
    }

    /// The head on standardised embeddings.
    pub fn head(&self) -> crate::heads::Linear {
        crate::heads::Linear {
            mean: self.embedding_mean.clone(),
            std: self.embedding_std.clone(),
            weight: self.param("output.weight").values.clone(),
            bias: self.param("output.bias").values.clone(),
        }
    }

    /// Replaces the head.
    pub fn set_head(&mut self, head: crate::heads::Linear) {
        (self.embedding_mean, self.embedding_std) = (head.mean, head.std);
        self.param_mut("output.weight").values = head.weight;
        self.param_mut("output.bias").values = head.bias;
    }

    /// Gives the network a hint layer, weight and bias, or takes it away (none): a second head that
    /// training alone knows. It says from the embedding as it comes what a teacher's features are.
    pub fn set_hints(&mut self, layer: Option<(Vec<f32>, Vec<f32>)>) {
        self.params.retain(|param| !param.name.starts_with("hint."));
        let (len, head) = (self.embedding_len(), self.layers());
        if let Some((weight, bias)) = layer {
            for (name, shape, values) in [
                ("hint.weight", vec![bias.len(), len], weight),
                ("hint.bias", vec![bias.len()], bias),
            ] {
                self.params.push(Param {
                    name: name.into(),
                    shape,
                    values,
                    layer: head,
                });
            }
        }
    }

    /// Layers below the head: blocks, then GRUs, then the hidden dense layer. A recipe freezes so
    /// many from the bottom.
    pub fn layers(&self) -> usize {
        self.params.last().map_or(0, |param| param.layer)
    }

    /// Length of the embedding: what the head looks at.
    pub fn embedding_len(&self) -> usize {
        self.embedding_mean.len()
    }

    /// How much of the embedding, at its beginning, is the top of the trunk: the rest are
    /// statistics of blocks. All of it where the head does not look at the top, or looks through a
    /// hidden layer.
    pub fn top_len(&self) -> usize {
        let top = Architecture {
            statistics: Vec::new(),
            ..self.architecture.clone()
        };
        match (
            &self.architecture.head.hidden,
            top.pooled_len(self.front_end.n_mels),
        ) {
            (Some(_), _) | (None, 0) => self.embedding_len(),
            (None, top) => top,
        }
    }

    /// Steps in a frame: columns that the blocks above the repetition see (CNN: 21), or the GRUs
    /// (CRNN: 15).
    pub fn frame_steps(&self) -> usize {
        self.architecture
            .trunk_columns(self.architecture.frame_columns)
    }

    /// The outputs of so many blocks are kept as views: those below the repetition, or all but the
    /// last, and none above the lowest that the head looks at.
    pub fn kept_blocks(&self) -> usize {
        let blocks = self.architecture.blocks.len();
        let rolling = self.architecture.cycle_after.unwrap_or(blocks - 1);
        rolling.min(self.lowest_read()).max(1)
    }

    /// The lowest block, from 1, whose output the head looks at.
    pub fn lowest_read(&self) -> usize {
        let statistics = self.architecture.statistics.iter();
        let lowest = statistics.map(|statistic| statistic.block).min();
        lowest.unwrap_or(self.architecture.blocks.len())
    }

    /// Columns of a kept view that make one step: 1 in the CNN, 4 in the CRNN.
    pub fn kept_per_step(&self) -> usize {
        let kept = &self.architecture.blocks[..self.kept_blocks()];
        let pools: usize = kept.iter().map(|block| block.pool[1]).product();
        (self.architecture.step_columns() / pools).max(1)
    }

    /// Whether the columns of kept views are repeated in a cycle: then a crop may run over the end
    /// into the beginning.
    pub fn keeps_cyclic(&self) -> bool {
        self.architecture.cycle_after == Some(self.kept_blocks())
    }

    /// The picture as the first block sees it. `columns` holds mel columns in dB, one after the
    /// other.
    pub fn input(&self, columns: &[f32]) -> Plane {
        let (n_mels, pad) = (self.front_end.n_mels, self.architecture.time_pad);
        let width = columns.len() / n_mels + 2 * pad;
        let normalisation = &self.architecture.normalisation;
        let level = normalisation.level;
        let shift = level.map_or(0.0, |level| level.shift_of(columns, n_mels));
        let mut values = vec![0.0f32; n_mels * width];
        for (x, column) in columns.chunks_exact(n_mels).enumerate() {
            let bands = normalisation
                .mean
                .iter()
                .cycle()
                .zip(normalisation.std.iter().cycle());
            for (y, (&db, (mean, std))) in column.iter().zip(bands).enumerate() {
                let db = db.max(self.front_end.floor_db);
                let db = level.map_or(db, |level| level.apply(db, shift));
                values[y * width + x + pad] = (db - mean) / std;
            }
        }
        if let Some((scale, offset)) = &self.column_affine {
            for row in values.chunks_exact_mut(width) {
                for ((value, scale), offset) in row.iter_mut().zip(scale).zip(offset) {
                    *value = *value * scale + offset;
                }
            }
        }
        Plane {
            shape: [n_mels, width, 1],
            values,
        }
    }
}

/// Planes of one shape as a batch, `[batch, row, column, channel]`.
///
/// # Panics
/// When their shapes differ.
pub fn batch<'a>(planes: impl IntoIterator<Item = &'a Plane>, device: &Device) -> Tensor<4> {
    let (mut values, mut n, mut shape) = (Vec::new(), 0, None);
    for plane in planes {
        assert_eq!(*shape.get_or_insert(plane.shape), plane.shape);
        values.extend_from_slice(&plane.values);
        n += 1;
    }
    let [height, width, channels] = shape.unwrap_or_default();
    Tensor::from_data(
        TensorData::new(values, [n, height, width, channels]),
        device,
    )
}

/// The values of a tensor on the host.
///
/// # Panics
/// When they are not of f32, which none of ours is.
pub fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    tensor
        .into_data()
        .try_into_vec()
        .expect("all tensors here are of f32")
}

/// A tensor of one dimension on the CPU.
pub fn flat(values: Vec<f32>) -> Tensor<1> {
    let n = values.len();
    Tensor::from_data(TensorData::new(values, [n]), &Device::flex())
}

/// What the network makes of a batch.
#[derive(Clone, Debug)]
pub struct Answers {
    /// `[batch, embedding]`, before it is standardised.
    pub embedding: Tensor<2>,
    /// `[batch, labels]`.
    pub logits: Tensor<2>,
}

/// A network as a function of burn's tensors.
#[derive(Clone, Debug)]
pub struct Differentiable<'a> {
    net: &'a Trainable,
    /// In the order of the network's.
    tensors: Vec<Tensor<1>>,
    device: Device,
}

impl<'a> Differentiable<'a> {
    /// The network on the CPU, without gradients.
    pub fn new(net: &'a Trainable) -> Self {
        let values = net.params.iter().map(|param| flat(param.values.clone()));
        Self {
            tensors: values.collect(),
            net,
            device: Device::flex(),
        }
    }

    /// The network with these tensors, flat and in the order of its parameters, on `device`.
    pub fn with(net: &'a Trainable, tensors: Vec<Tensor<1>>, device: &Device) -> Self {
        Self {
            net,
            tensors,
            device: device.clone(),
        }
    }

    fn get<const D: usize>(&self, name: &str) -> Tensor<D> {
        let place = self.net.params.iter().position(|param| param.name == name);
        let place = place.unwrap_or_else(|| panic!("there is no tensor '{name}'"));
        let mut shape = [1; D];
        shape.copy_from_slice(&self.net.params[place].shape);
        self.tensors[place].clone().reshape(shape)
    }

    fn block(&self, index: usize, x: Tensor<4>) -> Tensor<4> {
        let name = |part: &str| format!("block{}.{part}", index + 1);
        let pool = self.net.architecture.blocks[index].pool;
        block(x, self.get(&name("weight")), self.get(&name("bias")), pool)
    }

    /// The columns in order, again and again from the first, until there are as many as a whole
    /// frame gives.
    fn cycled(&self, x: Tensor<4>) -> Tensor<4> {
        let (width, wanted) = (x.dims()[2], self.net.frame_steps());
        if width == wanted {
            return x;
        }
        x.repeat_dim(2, wanted.div_ceil(width)).narrow(2, 0, wanted)
    }

    /// Runs blocks `from..to` on `x`, `[batch, row, column, channel]`.
    pub fn blocks(&self, mut x: Tensor<4>, from: usize, to: usize) -> Tensor<4> {
        for index in from..to {
            if self.net.architecture.cycle_after == Some(index) {
                x = self.cycled(x);
            }
            x = self.block(index, x);
        }
        x
    }

    /// The same on one plane of the host.
    pub fn plane(&self, plane: &Plane, from: usize, to: usize) -> Plane {
        let x = self.blocks(batch([plane], &self.device), from, to);
        let [_, height, width, channels] = x.dims();
        Plane {
            shape: [height, width, channels],
            values: floats(x),
        }
    }

    /// Runs everything above block `from` (0: the whole network) on that block's input. `keep`
    /// gives a factor for each value of each standardised embedding: dropout.
    ///
    /// # Panics
    /// When a statistic of a block below `from` is asked for.
    pub fn forward(&self, x: Tensor<4>, from: usize, keep: Option<Tensor<2>>) -> Answers {
        let Architecture {
            blocks,
            cycle_after,
            pooling,
            statistics,
            head,
            ..
        } = &self.net.architecture;
        let mut read = BTreeMap::new();
        let mut x = x;
        for index in from..=blocks.len() {
            if *cycle_after == Some(index) {
                x = self.cycled(x);
            }
            if statistics.iter().any(|statistic| statistic.block == index) {
                read.insert(index, x.clone());
            }
            if index < blocks.len() {
                x = self.block(index, x);
            }
        }
        let [n, rows, columns, channels] = x.dims();
        let mut parts = Vec::new();
        match pooling {
            Pooling::Flatten => parts.push(
                x.permute([0, 3, 1, 2])
                    .reshape([n, channels * rows * columns]),
            ),
            Pooling::Gru { units } => {
                let mut steps = x
                    .permute([0, 2, 3, 1])
                    .reshape([n, columns, channels * rows]);
                for (index, &units) in units.iter().enumerate() {
                    steps = self.gru(index, units, steps);
                }
                let units = steps.dims()[2];
                parts.push(steps.narrow(1, columns - 1, 1).reshape([n, units]));
            }
            Pooling::None => {}
        }
        for statistic in statistics {
            let output = read.get(&statistic.block);
            let output = output.expect("statistics of blocks that were run");
            parts.push(statistic_of(*statistic, output.clone()));
        }
        let mut embedding = Tensor::cat(parts, 1);
        if head.hidden.is_some() {
            embedding = elu(self.dense("hidden", embedding), 1.0);
        }
        let row = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, values.len()]);
            Tensor::<2>::from_data(data, &self.device)
        };
        let mean = row(&self.net.embedding_mean);
        let mut seen = (embedding.clone() - mean) / row(&self.net.embedding_std);
        if let Some(keep) = keep {
            seen = seen * keep;
        }
        Answers {
            logits: self.dense("output", seen),
            embedding,
        }
    }

    /// What the hint layer says of embeddings.
    pub fn hint(&self, embedding: Tensor<2>) -> Tensor<2> {
        self.dense("hint", embedding)
    }

    fn dense(&self, name: &str, x: Tensor<2>) -> Tensor<2> {
        let weight: Tensor<2> = self.get(&format!("{name}.weight"));
        let bias: Tensor<1> = self.get(&format!("{name}.bias"));
        x.matmul(weight.transpose()) + bias.unsqueeze::<2>()
    }

    /// A GRU of Keras 1 over `x`, `[batch, step, value]`: its states after each step.
    ///
    /// Gates are `clip(0.2 v + 0.5, 0, 1)`, the reset gate acts on the state before the recurrent
    /// product, and the update gate keeps: `h' = z * h + (1 - z) * tanh(..)`. Every pass starts
    /// from a state of zeros.
    fn gru(&self, index: usize, units: usize, x: Tensor<3>) -> Tensor<3> {
        let name = |part: &str| format!("gru{}.{part}", index + 1);
        let [n, steps, values] = x.dims();
        let input: Tensor<2> = self.get(&name("input"));
        let bias: Tensor<1> = self.get(&name("bias"));
        let recurrent = self.get::<2>(&name("recurrent")).transpose();
        let to_gates = recurrent.clone().narrow(1, 0, 2 * units);
        let to_candidate = recurrent.narrow(1, 2 * units, units);
        let heard = x
            .reshape([n * steps, values])
            .matmul(input.transpose())
            .add(bias.unsqueeze::<2>())
            .reshape([n, steps, 3 * units]);
        let mut state = Tensor::<2>::zeros([n, units], &self.device);
        let mut states = Vec::with_capacity(steps);
        for step in 0..steps {
            let heard = heard.clone().narrow(1, step, 1).reshape([n, 3 * units]);
            let gates = heard.clone().narrow(1, 0, 2 * units);
            let gates = hard_sigmoid(gates + state.clone().matmul(to_gates.clone()), 0.2, 0.5);
            let update = gates.clone().narrow(1, 0, units);
            let reset = gates.narrow(1, units, units);
            let candidate = heard.narrow(1, 2 * units, units);
            let candidate = tanh(candidate + (reset * state.clone()).matmul(to_candidate.clone()));
            state = update * (state - candidate.clone()) + candidate;
            states.push(state.clone());
        }
        Tensor::stack(states, 1)
    }

    /// Logits of one picture in dB.
    pub fn logits(&self, columns: &[f32]) -> Vec<f32> {
        let x = batch([&self.net.input(columns)], &self.device);
        floats(self.forward(x, 0, None).logits)
    }
}

/// `[batch, channel x group]`.
fn statistic_of(statistic: Statistic, x: Tensor<4>) -> Tensor<2> {
    let [n, rows, columns, channels] = x.dims();
    let groups = statistic.groups;
    let x = x.reshape([n, groups, rows / groups * columns, channels]);
    let values = match statistic.kind {
        StatisticKind::Mean => x.mean_dim(2),
        StatisticKind::Std => {
            let mean = x.clone().mean_dim(2);
            // A channel that stands still has no slope: 1e-6 keeps it at that.
            (x - mean).square().mean_dim(2).clamp_min(1e-12).sqrt()
        }
        StatisticKind::Max => x.max_dim(2),
    };
    values
        .reshape([n, groups, channels])
        .swap_dims(1, 2)
        .reshape([n, channels * groups])
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;
    use crate::{
        pictures::FRAME_COLUMNS,
        rng::Rng,
        transfer::{Tap, with_taps},
    };

    /// A CNN or CRNN of a few thousand parameters with every part of the large one.
    pub(crate) fn tiny(recurrent: bool) -> Trainable {
        let filters: &[usize] = if recurrent {
            &[2, 3, 3, 4]
        } else {
            &[2, 3, 3, 4, 5]
        };
        let mut architecture = if recurrent {
            Architecture::crnn()
        } else {
            Architecture::cnn()
        };
        for (block, &filters) in architecture.blocks.iter_mut().zip(filters) {
            block.filters = filters;
        }
        if let Pooling::Gru { units } = &mut architecture.pooling {
            *units = vec![4, 3];
        }
        let taps = [Tap::Top, Tap::Block4, Tap::Block3, Tap::Block3Bands];
        let architecture = with_taps(architecture, &taps).unwrap();
        let labels = Labels::new(["a", "b", "c"]).unwrap();
        Trainable::new(architecture, FrontEndConfig::default(), labels).unwrap()
    }

    fn random(mut net: Trainable, seed: u64) -> Trainable {
        let mut rng = Rng::at(seed, &[]);
        for value in net.params.iter_mut().flat_map(|param| &mut param.values) {
            *value = 0.4 * rng.normal();
        }
        for (mean, std) in net.embedding_mean.iter_mut().zip(&mut net.embedding_std) {
            *mean = 0.1 * rng.normal();
            *std = rng.between(0.5, 2.0);
        }
        net
    }

    /// The network with every layer from `frozen` on learning, and its tensors.
    fn learning(net: &Trainable, frozen: usize) -> (Differentiable<'_>, Vec<Tensor<1>>) {
        let leaves: Vec<Tensor<1>> = net
            .params
            .iter()
            .map(|param| {
                let tensor = Tensor::from_inner(flat(param.values.clone()));
                if param.layer >= frozen {
                    tensor.require_grad()
                } else {
                    tensor
                }
            })
            .collect();
        let device = Device::flex().autodiff();
        (Differentiable::with(net, leaves.clone(), &device), leaves)
    }

    /// Loss whose gradient is `[0.3, -0.7, 0.4]` at the logits and `[0.5, -0.2]` at the hints.
    fn loss(network: &Differentiable<'_>, plane: &Plane, keep: &[f32]) -> Tensor<1> {
        let row = |values: &[f32]| {
            let data = TensorData::new(values.to_vec(), [1, values.len()]);
            Tensor::<2>::from_data(data, &network.device)
        };
        let x = batch([plane], &network.device);
        let answers = network.forward(x, 0, Some(row(keep)));
        let hints = network.hint(answers.embedding) * row(&[0.5, -0.2]);
        (answers.logits * row(&[0.3, -0.7, 0.4])).sum() + hints.sum()
    }

    #[test]
    fn gradients_agree_with_differences_at_full_and_short_windows() {
        let mut hidden = tiny(true).architecture;
        hidden.head.hidden = Some(4);
        let labels = tiny(true).labels;
        let hidden = Trainable::new(hidden, FrontEndConfig::default(), labels).unwrap();
        for (net, columns) in [
            (tiny(false), FRAME_COLUMNS),
            (tiny(false), 5 * 64),
            (tiny(true), FRAME_COLUMNS),
            (hidden, 5 * 96),
        ] {
            let mut net = random(net, 5);
            let mut rng = Rng::at(6, &[]);
            let len = net.embedding_len();
            let weight = (0..2 * len).map(|_| 0.4 * rng.normal()).collect();
            net.set_hints(Some((weight, vec![0.1, -0.1])));
            let picture: Vec<f32> = (0..columns * 96)
                .map(|_| rng.between(-75.0, 10.0))
                .collect();
            let plane = net.input(&picture);
            let keep: Vec<f32> = (0..len)
                .map(|i| if i % 3 == 0 { 0.0 } else { 1.5 })
                .collect();
            let (network, leaves) = learning(&net, 0);
            let gradients = loss(&network, &plane, &keep).backward();
            // Along the gradient itself the slope is its length, if it is the gradient; along
            // another direction it is the product of both. Whole tensors move, so that the
            // difference stands out of the rounding.
            for (t, leaf) in leaves.iter().enumerate() {
                let gradient = floats(leaf.grad(&gradients).unwrap());
                let norm = gradient
                    .iter()
                    .map(|g| f64::from(*g).powi(2))
                    .sum::<f64>()
                    .sqrt();
                let along: Vec<f32> = gradient
                    .iter()
                    .map(|g| (f64::from(*g) / norm) as f32)
                    .collect();
                let mut sign = || if rng.chance(0.2) { -1.0 } else { 1.0 };
                let other: Vec<f32> = along.iter().map(|a| a * sign()).collect();
                for direction in [along, other] {
                    let expected: f64 = gradient
                        .iter()
                        .zip(&direction)
                        .map(|(g, d)| f64::from(g * d))
                        .sum();
                    let at = |h: f32| {
                        let mut moved = net.clone();
                        for (value, d) in moved.params[t].values.iter_mut().zip(&direction) {
                            *value += h * d;
                        }
                        let value = loss(&Differentiable::new(&moved), &plane, &keep);
                        f64::from(floats(value)[0])
                    };
                    let h = 5e-4;
                    let numeric = (at(h) - at(-h)) / (2.0 * f64::from(h));
                    assert!(
                        (numeric - expected).abs() < 3e-2 * (norm + 0.5),
                        "{}, {columns} columns: {numeric} by differences, {expected} by the chain rule, length {norm}",
                        net.params[t].name
                    );
                }
            }
        }
    }

    #[test]
    fn frozen_layers_get_no_gradient_and_the_rest_the_same() {
        let top_only = |recurrent: bool| {
            let mut net = tiny(recurrent);
            net.architecture.statistics.clear();
            Trainable::new(net.architecture, net.front_end, net.labels).unwrap()
        };
        for (net, frozen) in [
            (tiny(false), 2),
            (tiny(true), 2),
            (tiny(true), 3),
            (top_only(true), 4),
            (top_only(true), 5),
            (top_only(true), 6),
            (top_only(false), 5),
        ] {
            let net = random(net, 7);
            let from = frozen.min(net.architecture.blocks.len());
            let mut rng = Rng::at(8, &[]);
            let picture: Vec<f32> = (0..640 * 96).map(|_| rng.between(-75.0, 10.0)).collect();
            let plane = net.input(&picture);
            let lower = Differentiable::new(&net).plane(&plane, 0, from);
            let run = |plane: &Plane, from: usize, frozen: usize| {
                let (network, leaves) = learning(&net, frozen);
                let x = batch([plane], &network.device);
                let logits = network.forward(x, from, None).logits;
                let row = TensorData::new(vec![1.0f32, 0.0, -1.0], [1, 3]);
                let pulled = logits.clone() * Tensor::from_data(row, &network.device);
                let gradients = pulled.sum().backward();
                let of = leaves.iter().map(|leaf| leaf.grad(&gradients).map(floats));
                (floats(logits), of.collect::<Vec<_>>())
            };
            let (whole, all) = run(&plane, 0, 0);
            let (upper, top) = run(&lower, from, frozen);
            assert_eq!(whole, upper);
            for ((param, all), top) in net.params.iter().zip(all).zip(top) {
                assert!(all.as_ref().is_some_and(|g| g.iter().any(|&g| g != 0.0)));
                let expected = (param.layer >= frozen).then_some(all).flatten();
                assert_eq!(top, expected, "{} at {frozen}", param.name);
            }
        }
    }

    #[test]
    fn repeating_starts_from_the_first_column() {
        let net = tiny(false);
        let values: Vec<f32> = (0..3).map(|x| x as f32).collect();
        let x = Tensor::from_data(TensorData::new(values, [1, 1, 3, 1]), &Device::flex());
        let wide = floats(Differentiable::new(&net).cycled(x));
        let expected: Vec<f32> = (0..21).map(|x| (x % 3) as f32).collect();
        assert_eq!(wide, expected);
    }

    #[test]
    fn layers_count_from_the_bottom() {
        let net = tiny(true);
        let names: Vec<(&str, usize)> = net
            .params
            .iter()
            .map(|param| (param.name.as_str(), param.layer))
            .collect();
        assert_eq!(names[..2], [("block1.weight", 0), ("block1.bias", 0)]);
        assert_eq!(
            names[8..11],
            [("gru1.input", 4), ("gru1.recurrent", 4), ("gru1.bias", 4)]
        );
        assert_eq!(names[14..], [("output.weight", 6), ("output.bias", 6)]);
        assert_eq!((net.kept_blocks(), net.kept_per_step()), (3, 4));
        assert_eq!((net.frame_steps(), net.top_len()), (15, 3));
        let cnn = tiny(false);
        assert_eq!((cnn.kept_blocks(), cnn.kept_per_step()), (3, 1));
        assert!(cnn.keeps_cyclic() && !net.keeps_cyclic());
    }
}
