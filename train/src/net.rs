//! The networks, forwards and backwards: trunk, taps and head.
//!
//! The trunk is that of the paper (Choi 2016, 2017) in our shift-invariant form: input normalised by a scalar, batch
//! norm folded, pool before ELU. The CNN has five blocks; the CRNN four, and two GRUs over their columns, whose last
//! state is the top. The head looks at *taps*: the top and, if wanted, means and deviations of lower blocks.
//!
//! A shorter window than a frame, in the CNN: blocks 1 to 3 run on the mel columns that exist, then their columns are
//! repeated, from the first, until there are as many as a frame gives (21), and blocks 4 and 5 run on those. In the CRNN
//! all blocks run on what exists, and the GRUs over the steps that come of it.

use genrescope::network::level::Level;
use serde::{Deserialize, Serialize};

use crate::{
    conv::{self, BlockShape, BlockTrace, Matrix, Plane, product},
    gru::{self, GruShape, GruTrace},
};

/// Mel columns in a frame of 29.12 s.
pub const FRAME_COLUMNS: usize = 1366;

/// Mel columns that make one column after block 3 of the CNN.
pub const STEP_COLUMNS: usize = 64;

/// What the head looks at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tap {
    /// CNN: output of block 5, 256 values. CRNN: last state of the last GRU, 32 values.
    Top,
    /// Mean and standard deviation over the places of block 4: 2 x 192 values (CRNN: 2 x 128).
    Block4,
    /// Mean and standard deviation over the places of block 3: 2 x 128 values.
    Block3,
    /// Mean over time of block 3, in four ranges of its rows: 128 x 4 values, channel by channel.
    Block3Bands,
}

impl Tap {
    /// How many values the tap gives.
    pub fn len(self, spec: &NetSpec) -> usize {
        match self {
            Tap::Top => match spec.recurrent.last() {
                Some(&units) => units,
                None => spec.blocks[spec.blocks.len() - 1].outputs,
            },
            Tap::Block4 => 2 * spec.blocks[spec.repeated].outputs,
            Tap::Block3 => 2 * spec.blocks[spec.repeated - 1].outputs,
            Tap::Block3Bands => 4 * spec.blocks[spec.repeated - 1].outputs,
        }
    }
}

/// Sizes and constants of a network; everything that is not learnt.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct NetSpec {
    /// Mel bands (96).
    pub n_mels: usize,
    /// The blocks, bottom first.
    pub blocks: Vec<BlockShape>,
    /// The output of this many blocks is kept as views; in the CNN its columns are repeated up to `columns`.
    pub repeated: usize,
    /// Steps in a frame. CNN: columns that the blocks above `repeated` see (21). CRNN: columns that the GRUs see (15).
    pub columns: usize,
    /// Columns of zeros, in normalised space, before and after what is heard (CRNN: 37).
    #[serde(default, skip_serializing_if = "is_zero")]
    pub time_pad: usize,
    /// Units of the GRUs over the columns of the last block (CRNN: 32, 32; CNN: none).
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub recurrent: Vec<usize>,
    /// Outputs of the hint layer, a second head that training alone knows: it says from the embedding what a teacher's features are.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub hints: usize,
    /// What the head looks at.
    pub taps: Vec<Tap>,
    /// Number of labels.
    pub labels: usize,
    /// Input below this many dB counts as this.
    pub floor_db: f32,
    /// Brings every window to one loudness first, if anything does.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
    /// The input is `(dB - input_mean) / input_std`.
    pub input_mean: f32,
    /// See `input_mean`.
    pub input_std: f32,
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(value: &usize) -> bool {
    *value == 0
}

const CNN_POOLS: [(usize, usize); 5] = [(2, 4), (2, 4), (2, 4), (3, 5), (4, 4)];
const CRNN_POOLS: [(usize, usize); 4] = [(2, 2), (3, 3), (4, 4), (4, 4)];

/// Blocks on a picture of one channel, each with so many filters and this pool.
fn stack<const N: usize>(filters: [usize; N], pools: [(usize, usize); N]) -> Vec<BlockShape> {
    let inputs = std::iter::once(1).chain(filters);
    inputs
        .zip(filters)
        .zip(pools)
        .map(|((inputs, outputs), pool)| BlockShape {
            inputs,
            outputs,
            pool,
        })
        .collect()
}

impl NetSpec {
    /// The paper's CNN: 32-128-128-192-256 filters, pools (2,4)(2,4)(2,4)(3,5)(4,4).
    pub fn cnn(taps: &[Tap], floor_db: f32, labels: usize) -> Self {
        Self {
            n_mels: 96,
            blocks: stack([32, 128, 128, 192, 256], CNN_POOLS),
            repeated: 3,
            columns: 21,
            time_pad: 0,
            recurrent: Vec::new(),
            hints: 0,
            taps: taps.to_vec(),
            labels,
            floor_db,
            level: None,
            // By number from the stored statistics of `bn_0_freq`.
            input_mean: -30.6,
            input_std: 18.0,
        }
    }

    /// The paper's CRNN: 37 columns of zeros each side, 64-128-128-128 filters, pools (2,2)(3,3)(4,4)(4,4), two GRUs of 32.
    pub fn crnn(taps: &[Tap], floor_db: f32, labels: usize) -> Self {
        Self {
            blocks: stack([64, 128, 128, 128], CRNN_POOLS),
            columns: 15,
            time_pad: 37,
            recurrent: vec![32, 32],
            ..Self::cnn(taps, floor_db, labels)
        }
    }

    /// As [`NetSpec::tiny`], of the CRNN.
    pub fn tiny_crnn(labels: usize) -> Self {
        let mut spec = Self::crnn(
            &[Tap::Top, Tap::Block4, Tap::Block3, Tap::Block3Bands],
            -80.0,
            labels,
        );
        spec.blocks = stack([2, 3, 3, 4], CRNN_POOLS);
        spec.recurrent = vec![4, 3];
        spec
    }

    /// Mel columns that make one step: 64 in the CNN, 96 in the CRNN.
    pub fn step_columns(&self) -> usize {
        let rolling = if self.repeats() {
            self.repeated
        } else {
            self.blocks.len()
        };
        self.blocks[..rolling]
            .iter()
            .map(|block| block.pool.1)
            .product()
    }

    /// Columns of a kept view that make one step: 1 in the CNN, 4 in the CRNN.
    pub fn kept_per_step(&self) -> usize {
        let pools = self.blocks[..self.repeated]
            .iter()
            .map(|block| block.pool.1);
        self.step_columns() / pools.product::<usize>()
    }

    /// Whether columns are repeated after `repeated` blocks.
    fn repeats(&self) -> bool {
        self.recurrent.is_empty()
    }

    /// Layers below the head: blocks, then GRUs. A recipe freezes so many from the bottom.
    pub fn layers(&self) -> usize {
        self.blocks.len() + self.recurrent.len()
    }

    /// The layer, from 0 at the bottom, that tensor `index` of [`Params::tensors`] belongs to; the head comes last.
    pub fn layer_of(&self, index: usize) -> usize {
        let of_blocks = 2 * self.blocks.len();
        if index < of_blocks {
            index / 2
        } else {
            (self.blocks.len() + (index - of_blocks) / 3).min(self.layers())
        }
    }

    /// The first tensor of a layer; of the head when there are not so many.
    pub fn first_tensor(&self, layer: usize) -> usize {
        let blocks = self.blocks.len();
        2 * layer.min(blocks) + 3 * layer.clamp(blocks, self.layers()).saturating_sub(blocks)
    }

    /// Sizes of GRU `index`.
    fn gru(&self, index: usize) -> GruShape {
        let inputs = match index {
            0 => self.blocks.last().map_or(0, |block| block.outputs),
            _ => self.recurrent[index - 1],
        };
        GruShape {
            inputs,
            units: self.recurrent[index],
        }
    }

    /// A network of a few thousand parameters, with every part of the large one, for tests.
    pub fn tiny(labels: usize) -> Self {
        let mut spec = Self::cnn(
            &[Tap::Top, Tap::Block4, Tap::Block3, Tap::Block3Bands],
            -80.0,
            labels,
        );
        spec.blocks = stack([2, 3, 3, 4, 5], CNN_POOLS);
        spec
    }

    /// Length of the embedding: all taps.
    pub fn embedding_len(&self) -> usize {
        self.taps.iter().map(|tap| tap.len(self)).sum()
    }

    /// Names and lengths of the learnt tensors, in the order of [`Params::tensors`].
    pub fn tensors(&self) -> Vec<(String, usize)> {
        let mut list = Vec::new();
        for (i, block) in self.blocks.iter().enumerate() {
            list.push((format!("conv{}.weight", i + 1), block.weight_len()));
            list.push((format!("conv{}.bias", i + 1), block.outputs));
        }
        for index in 0..self.recurrent.len() {
            let GruShape { inputs, units } = self.gru(index);
            let name = |part: &str| format!("gru{}.{part}", index + 1);
            list.push((name("input"), 3 * units * inputs));
            list.push((name("recurrent"), 3 * units * units));
            list.push((name("bias"), 3 * units));
        }
        list.push(("head.weight".into(), self.labels * self.embedding_len()));
        list.push(("head.bias".into(), self.labels));
        if self.hints > 0 {
            list.push(("hint.weight".into(), self.hints * self.embedding_len()));
            list.push(("hint.bias".into(), self.hints));
        }
        list
    }

    /// Index of the head's weight in [`Params::tensors`].
    pub fn head(&self) -> usize {
        2 * self.blocks.len() + 3 * self.recurrent.len()
    }
}

/// The learnt numbers, or anything of the same shape (gradients, moments, averages).
#[derive(Clone, Debug, PartialEq)]
pub struct Params {
    /// Weight and bias of each block; input weight, recurrent weight and bias of each GRU; weight and bias of the head:
    /// as [`NetSpec::tensors`] names them.
    pub tensors: Vec<Vec<f32>>,
}

impl Params {
    /// Zeros.
    pub fn zeros(spec: &NetSpec) -> Self {
        Self {
            tensors: spec
                .tensors()
                .iter()
                .map(|(_, len)| vec![0.0; *len])
                .collect(),
        }
    }

    /// Adds `other`, from tensor `first` on.
    pub fn add(&mut self, other: &Self, first: usize) {
        for (to, from) in self.tensors.iter_mut().zip(&other.tensors).skip(first) {
            for (to, from) in to.iter_mut().zip(from) {
                *to += from;
            }
        }
    }
}

/// A network: its sizes, what it learnt, and the statistics by which the head's input is standardised.
#[derive(Clone, Debug, PartialEq)]
pub struct Net {
    /// Sizes and constants.
    pub spec: NetSpec,
    /// What is learnt.
    pub params: Params,
    /// Mean of each embedding value over the training data, before training.
    pub embedding_mean: Vec<f32>,
    /// Its standard deviation.
    pub embedding_std: Vec<f32>,
}

/// Everything the backward pass needs of one forward pass.
#[derive(Clone, Debug)]
pub struct Trace {
    /// What went into the first block that is not frozen.
    from: usize,
    inputs: Vec<Plane>,
    blocks: Vec<BlockTrace>,
    /// Output of the last block.
    last: Plane,
    recurrent: Vec<GruTrace>,
    /// The taps, before they are standardised.
    pub embedding: Vec<f32>,
    /// What the head saw: standardised, dropped out.
    seen: Vec<f32>,
    /// Factor of each embedding value between `embedding` and `seen`: dropout / standard deviation.
    factors: Vec<f32>,
    /// One per label.
    pub logits: Vec<f32>,
}

impl Net {
    /// A network with zero weights, for a later fill.
    pub fn new(spec: NetSpec) -> Self {
        let len = spec.embedding_len();
        Self {
            params: Params::zeros(&spec),
            embedding_mean: vec![0.0; len],
            embedding_std: vec![1.0; len],
            spec,
        }
    }

    /// The picture as the first block sees it. `columns` holds mel columns in dB, one after the other.
    pub fn input(&self, columns: &[f32]) -> Plane {
        let n_mels = self.spec.n_mels;
        let width = columns.len() / n_mels;
        let pad = self.spec.time_pad;
        let mut plane = Plane::zeros(n_mels, width + 2 * pad, 1);
        let scale = 1.0 / self.spec.input_std;
        let shift = self
            .spec
            .level
            .map_or(0.0, |level| level.shift_of(columns, n_mels));
        for (x, column) in columns.chunks_exact(n_mels).enumerate() {
            for (y, &db) in column.iter().enumerate() {
                let at = plane.at(y, x + pad);
                plane.data[at] =
                    ((db + shift).max(self.spec.floor_db) - self.spec.input_mean) * scale;
            }
        }
        plane
    }

    /// Runs blocks `from..to` on `plane` and gives the last output, without a trace.
    pub fn run_blocks(&self, mut plane: Plane, from: usize, to: usize) -> Plane {
        for i in from..to {
            if i == self.spec.repeated && self.spec.repeats() {
                plane = repeat(&plane, self.spec.columns);
            }
            let shape = self.spec.blocks[i];
            plane = conv::forward(
                shape,
                &self.params.tensors[2 * i],
                &self.params.tensors[2 * i + 1],
                &plane,
            )
            .output;
        }
        plane
    }

    /// Weights of GRU `index`.
    fn gru(&self, index: usize) -> gru::Weights<'_> {
        let at = self.spec.first_tensor(self.spec.blocks.len() + index);
        gru::Weights {
            input: &self.params.tensors[at],
            recurrent: &self.params.tensors[at + 1],
            bias: &self.params.tensors[at + 2],
        }
    }

    /// Runs everything above block `from` (0: the whole network) on that block's input.
    /// `keep` gives the dropout factor for each embedding value; none: no dropout.
    pub fn forward(&self, plane: Plane, from: usize, keep: Option<&[f32]>) -> Trace {
        let spec = &self.spec;
        let mut inputs = Vec::new();
        let mut blocks: Vec<BlockTrace> = Vec::new();
        let mut next = plane;
        for i in from..spec.blocks.len() {
            if i == spec.repeated && spec.repeats() {
                next = repeat(&next, spec.columns);
            }
            let trace = conv::forward(
                spec.blocks[i],
                &self.params.tensors[2 * i],
                &self.params.tensors[2 * i + 1],
                &next,
            );
            inputs.push(std::mem::replace(&mut next, trace.output.clone()));
            blocks.push(trace);
        }
        let mut recurrent: Vec<GruTrace> = Vec::new();
        let mut steps: Vec<f32> = if spec.recurrent.is_empty() {
            Vec::new()
        } else {
            (0..next.width)
                .flat_map(|x| next.cell(0, x).iter().copied())
                .collect()
        };
        for index in 0..spec.recurrent.len() {
            let trace = gru::forward(spec.gru(index), self.gru(index), steps);
            steps = trace.outputs(spec.gru(index)).to_vec();
            recurrent.push(trace);
        }
        let mut embedding = Vec::with_capacity(spec.embedding_len());
        for tap in &spec.taps {
            match tap {
                Tap::Top => match spec.recurrent.last() {
                    Some(units) => embedding.extend_from_slice(&steps[steps.len() - units..]),
                    None => embedding.extend_from_slice(next.cell(0, 0)),
                },
                Tap::Block4 => {
                    let output = inputs.get(spec.repeated + 1 - from).unwrap_or(&next);
                    moments(output, &mut embedding);
                }
                Tap::Block3 => moments(&inputs[spec.repeated - from], &mut embedding),
                Tap::Block3Bands => bands(&inputs[spec.repeated - from], &mut embedding),
            }
        }
        let factors: Vec<f32> = (0..embedding.len())
            .map(|i| keep.map_or(1.0, |keep| keep[i]) / self.embedding_std[i])
            .collect();
        let seen: Vec<f32> = (0..embedding.len())
            .map(|i| (embedding[i] - self.embedding_mean[i]) * factors[i])
            .collect();
        let logits = self.head(&seen);
        Trace {
            from,
            inputs,
            blocks,
            last: next,
            recurrent,
            embedding,
            seen,
            factors,
            logits,
        }
    }

    /// Gives the network a hint layer, or takes it away (none).
    pub fn set_hints(&mut self, layer: Option<(Vec<f32>, Vec<f32>)>) {
        self.params.tensors.truncate(self.spec.head() + 2);
        self.spec.hints = 0;
        if let Some((weight, bias)) = layer {
            self.spec.hints = bias.len();
            self.params.tensors.extend([weight, bias]);
        }
    }

    /// What the hint layer says of an embedding: `hints` values.
    pub fn hint(&self, embedding: &[f32]) -> Vec<f32> {
        let at = self.spec.head() + 2;
        let (weight, bias) = (&self.params.tensors[at], &self.params.tensors[at + 1]);
        weight
            .chunks_exact(embedding.len())
            .zip(bias)
            .map(|(row, bias)| bias + row.iter().zip(embedding).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }

    /// Gradients of the hint layer, `gradient` being that of its outputs; adds what flows back to `embedding`.
    pub fn hint_backward(
        &self,
        trace: &Trace,
        gradient: &[f32],
        embedding: &mut [f32],
        gradients: &mut Params,
    ) {
        let at = self.spec.head() + 2;
        let len = trace.embedding.len();
        for (k, &g) in gradient.iter().enumerate() {
            gradients.tensors[at + 1][k] += g;
            let rows = k * len..(k + 1) * len;
            let sums = &mut gradients.tensors[at][rows.clone()];
            for (sum, x) in sums.iter_mut().zip(&trace.embedding) {
                *sum += g * x;
            }
            for (to, w) in embedding.iter_mut().zip(&self.params.tensors[at][rows]) {
                *to += g * w;
            }
        }
    }

    /// The head on standardised taps.
    pub fn head(&self, seen: &[f32]) -> Vec<f32> {
        let weight = &self.params.tensors[self.spec.head()];
        let bias = &self.params.tensors[self.spec.head() + 1];
        bias.iter()
            .zip(weight.chunks_exact(seen.len()))
            .map(|(bias, row)| bias + row.iter().zip(seen).map(|(w, x)| w * x).sum::<f32>())
            .collect()
    }

    /// Adds to `gradients` what `gradient`, that of the logits, and `embedding`, that of the unstandardised
    /// taps (empty: none), do to every parameter above the first `frozen` layers, which stay without.
    pub fn backward(
        &self,
        trace: &Trace,
        gradient: &[f32],
        embedding: &[f32],
        frozen: usize,
        gradients: &mut Params,
    ) {
        let spec = &self.spec;
        let head = spec.head();
        let len = trace.seen.len();
        let weight = &self.params.tensors[head];
        let mut to_embedding = vec![0.0f32; len];
        for (label, &g) in gradient.iter().enumerate() {
            gradients.tensors[head + 1][label] += g;
            let sums = &mut gradients.tensors[head][label * len..(label + 1) * len];
            for (i, sum) in sums.iter_mut().enumerate() {
                *sum += g * trace.seen[i];
                to_embedding[i] += g * weight[label * len + i];
            }
        }
        for (g, factor) in to_embedding.iter_mut().zip(&trace.factors) {
            *g *= factor;
        }
        for (g, more) in to_embedding.iter_mut().zip(embedding) {
            *g += more;
        }
        let top = spec.blocks.len();
        if frozen >= spec.layers() {
            return;
        }
        let mut into_top = like(&trace.last);
        let mut extra: Vec<Option<Plane>> = vec![None; top];
        let mut at = 0;
        for tap in &spec.taps {
            let part = &to_embedding[at..at + tap.len(spec)];
            let values = &trace.embedding[at..at + tap.len(spec)];
            at += tap.len(spec);
            match tap {
                Tap::Top if spec.recurrent.is_empty() => {
                    into_top.cell_mut(0, 0).copy_from_slice(part);
                }
                Tap::Top => self.recurrent_backward(trace, part, frozen, gradients, &mut into_top),
                // What follows goes into blocks; with all of them frozen nothing asks for it.
                _ if frozen >= top => {}
                Tap::Block4 => match trace.inputs.get(spec.repeated + 1 - trace.from) {
                    Some(input) => {
                        let to = extra[spec.repeated + 1].get_or_insert_with(|| like(input));
                        moments_backward(input, values, part, to);
                    }
                    None => moments_backward(&trace.last, values, part, &mut into_top),
                },
                Tap::Block3 => {
                    let input = &trace.inputs[spec.repeated - trace.from];
                    let to = extra[spec.repeated].get_or_insert_with(|| like(input));
                    moments_backward(input, values, part, to);
                }
                Tap::Block3Bands => {
                    let input = &trace.inputs[spec.repeated - trace.from];
                    let to = extra[spec.repeated].get_or_insert_with(|| like(input));
                    bands_backward(part, to);
                }
            }
        }
        if frozen >= top {
            return;
        }
        let mut gradient = into_top;
        for i in (frozen.max(trace.from)..top).rev() {
            let input = &trace.inputs[i - trace.from];
            let (weights, biases) = gradients.tensors[2 * i..2 * i + 2].split_at_mut(1);
            let back = conv::backward(
                spec.blocks[i],
                &self.params.tensors[2 * i],
                input,
                &trace.blocks[i - trace.from],
                &gradient,
                (&mut weights[0], &mut biases[0]),
                i > frozen.max(trace.from),
            );
            let Some(mut back) = back else { return };
            if let Some(extra) = &extra[i] {
                for (to, from) in back.data.iter_mut().zip(&extra.data) {
                    *to += from;
                }
            }
            if i == spec.repeated && spec.repeats() {
                let width = trace.blocks[i - 1 - trace.from].output.width;
                back = unrepeat(&back, width);
            }
            gradient = back;
        }
    }

    /// From `gradient`, that of the last state of the last GRU, to the weights of the GRUs above the first `frozen` layers, and, where a block
    /// learns, to the output of the last block.
    fn recurrent_backward(
        &self,
        trace: &Trace,
        gradient: &[f32],
        frozen: usize,
        gradients: &mut Params,
        into_top: &mut Plane,
    ) {
        let spec = &self.spec;
        let blocks = spec.blocks.len();
        let steps = trace.last.width;
        let mut states = vec![0.0f32; steps * gradient.len()];
        states[(steps - 1) * gradient.len()..].copy_from_slice(gradient);
        for index in (0..spec.recurrent.len()).rev() {
            if frozen > blocks + index {
                return;
            }
            let at = spec.first_tensor(blocks + index);
            states = gru::backward(
                spec.gru(index),
                self.gru(index),
                &trace.recurrent[index],
                &states,
                &mut gradients.tensors[at..at + 3],
            );
        }
        if frozen < blocks {
            for (x, from) in states.chunks_exact(trace.last.channels).enumerate() {
                for (to, from) in into_top.cell_mut(0, x).iter_mut().zip(from) {
                    *to += from;
                }
            }
        }
    }
}

/// Embeddings of many rows through one product: `[rows, embedding]` standardised -> `[rows, labels]`.
pub fn head_many(net: &Net, seen: &[f32]) -> Vec<f32> {
    let len = net.spec.embedding_len();
    let rows = seen.len() / len;
    let labels = net.spec.labels;
    let bias = &net.params.tensors[net.spec.head() + 1];
    let mut logits: Vec<f32> = bias.iter().copied().cycle().take(rows * labels).collect();
    product(
        Matrix::new(seen, rows, len, len, 1),
        Matrix::new(&net.params.tensors[net.spec.head()], len, labels, 1, len),
        &mut logits,
        labels,
        true,
    );
    logits
}

/// Zeros in the shape of `plane`.
fn like(plane: &Plane) -> Plane {
    Plane::zeros(plane.height, plane.width, plane.channels)
}

/// `width` columns: those of `plane` in order, again and again from the first.
fn repeat(plane: &Plane, width: usize) -> Plane {
    if plane.width == width {
        return plane.clone();
    }
    let mut out = Plane::zeros(plane.height, width, plane.channels);
    for y in 0..plane.height {
        for x in 0..width {
            out.cell_mut(y, x)
                .copy_from_slice(plane.cell(y, x % plane.width));
        }
    }
    out
}

/// The gradient of [`repeat`]'s input.
fn unrepeat(gradient: &Plane, width: usize) -> Plane {
    if gradient.width == width {
        return gradient.clone();
    }
    let mut out = Plane::zeros(gradient.height, width, gradient.channels);
    for y in 0..gradient.height {
        for x in 0..gradient.width {
            for (to, from) in out
                .cell_mut(y, x % width)
                .iter_mut()
                .zip(gradient.cell(y, x))
            {
                *to += from;
            }
        }
    }
    out
}

/// Appends the mean, then the standard deviation, of each channel over all places.
fn moments(plane: &Plane, to: &mut Vec<f32>) {
    let n = (plane.height * plane.width) as f64;
    let mut sums = vec![(0.0f64, 0.0f64); plane.channels];
    for y in 0..plane.height {
        for x in 0..plane.width {
            for (sum, &v) in sums.iter_mut().zip(plane.cell(y, x)) {
                sum.0 += f64::from(v);
                sum.1 += f64::from(v) * f64::from(v);
            }
        }
    }
    to.extend(sums.iter().map(|s| (s.0 / n) as f32));
    to.extend(
        sums.iter()
            .map(|s| ((s.1 / n - (s.0 / n).powi(2)).max(0.0)).sqrt() as f32),
    );
}

/// The gradient of [`moments`]: `values` is what it gave, `part` the gradient of that.
fn moments_backward(plane: &Plane, values: &[f32], part: &[f32], to: &mut Plane) {
    let channels = plane.channels;
    let n = (plane.height * plane.width) as f32;
    for y in 0..plane.height {
        for x in 0..plane.width {
            let cell = plane.cell(y, x);
            for (c, to) in to.cell_mut(y, x).iter_mut().enumerate() {
                // A channel that stands still has no slope: 1e-6 keeps it at that.
                let slope = (cell[c] - values[c]) / (n * values[channels + c].max(1e-6));
                *to += part[c] / n + part[channels + c] * slope;
            }
        }
    }
}

/// Appends, channel by channel, the means over time of four equal ranges of rows.
fn bands(plane: &Plane, to: &mut Vec<f32>) {
    let rows = plane.height / 4;
    let n = (rows * plane.width) as f32;
    let start = to.len();
    to.resize(start + 4 * plane.channels, 0.0);
    for y in 0..4 * rows {
        for x in 0..plane.width {
            for (c, &v) in plane.cell(y, x).iter().enumerate() {
                to[start + 4 * c + y / rows] += v / n;
            }
        }
    }
}

/// The gradient of [`bands`].
fn bands_backward(part: &[f32], to: &mut Plane) {
    let rows = to.height / 4;
    let n = (rows * to.width) as f32;
    for y in 0..4 * rows {
        for x in 0..to.width {
            for (c, v) in to.cell_mut(y, x).iter_mut().enumerate() {
                *v += part[4 * c + y / rows] / n;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn random_net(spec: NetSpec, seed: u64) -> Net {
        let mut net = Net::new(spec);
        let mut rng = Rng::at(seed, &[]);
        for tensor in &mut net.params.tensors {
            for value in tensor {
                *value = 0.4 * rng.normal();
            }
        }
        for (mean, std) in net.embedding_mean.iter_mut().zip(&mut net.embedding_std) {
            *mean = 0.1 * rng.normal();
            *std = rng.between(0.5, 2.0);
        }
        net
    }

    /// Loss whose gradient is `[0.3, -0.7, 0.4]` at the logits and `[0.5, -0.2]` at the hints.
    fn loss(net: &Net, plane: &Plane, keep: &[f32]) -> f64 {
        let trace = net.forward(plane.clone(), 0, Some(keep));
        let hint = net.hint(&trace.embedding);
        let outputs = trace.logits.iter().zip([0.3, -0.7, 0.4]);
        let all = outputs.chain(hint.iter().zip([0.5, -0.2]));
        all.map(|(l, w)| f64::from(*l) * w).sum()
    }

    #[test]
    fn gradients_agree_with_differences_at_full_and_short_windows() {
        let (cnn, crnn) = (NetSpec::tiny(3), NetSpec::tiny_crnn(3));
        for (spec, columns) in [
            (&cnn, FRAME_COLUMNS),
            (&cnn, 5 * STEP_COLUMNS),
            (&crnn, FRAME_COLUMNS),
            (&crnn, 5 * 96),
        ] {
            let net = random_net(
                NetSpec {
                    hints: 2,
                    ..spec.clone()
                },
                5,
            );
            let mut rng = Rng::at(6, &[]);
            let picture: Vec<f32> = (0..columns * 96)
                .map(|_| rng.between(-75.0, 10.0))
                .collect();
            let plane = net.input(&picture);
            let keep: Vec<f32> = (0..net.spec.embedding_len())
                .map(|i| if i % 3 == 0 { 0.0 } else { 1.5 })
                .collect();
            let mut gradients = Params::zeros(&net.spec);
            let trace = net.forward(plane.clone(), 0, Some(&keep));
            let mut embedding = vec![0.0; net.spec.embedding_len()];
            net.hint_backward(&trace, &[0.5, -0.2], &mut embedding, &mut gradients);
            net.backward(&trace, &[0.3, -0.7, 0.4], &embedding, 0, &mut gradients);
            // Along the gradient itself the slope is its length, if it is the gradient; along another direction it is the
            // product of both. Whole tensors move, so that the difference stands out of the rounding.
            for t in 0..net.params.tensors.len() {
                let gradient = &gradients.tensors[t];
                let norm = gradient
                    .iter()
                    .map(|g| f64::from(*g).powi(2))
                    .sum::<f64>()
                    .sqrt();
                let along: Vec<f32> = gradient
                    .iter()
                    .map(|g| (f64::from(*g) / norm) as f32)
                    .collect();
                let mut other: Vec<f32> = along
                    .iter()
                    .map(|g| g.abs() * if rng.chance(0.2) { -1.0 } else { 1.0 })
                    .collect();
                for (o, a) in other.iter_mut().zip(&along) {
                    *o *= a.signum();
                }
                for direction in [along, other] {
                    let expected: f64 = gradient
                        .iter()
                        .zip(&direction)
                        .map(|(g, d)| f64::from(g * d))
                        .sum();
                    let at = |h: f32| {
                        let mut moved = net.clone();
                        for (value, d) in moved.params.tensors[t].iter_mut().zip(&direction) {
                            *value += h * d;
                        }
                        loss(&moved, &plane, &keep)
                    };
                    let h = 5e-4;
                    let numeric = (at(h) - at(-h)) / (2.0 * f64::from(h));
                    assert!(
                        (numeric - expected).abs() < 2e-2 * (norm + 0.5),
                        "tensor {t}, {columns} columns: {numeric} by differences, {expected} by the chain rule, length {norm}"
                    );
                }
            }
        }
    }

    #[test]
    fn frozen_blocks_get_no_gradient_and_the_rest_the_same() {
        let top_only = |mut spec: NetSpec| {
            spec.taps = vec![Tap::Top];
            spec
        };
        let crnn = NetSpec::tiny_crnn(3);
        for (spec, frozen) in [
            (NetSpec::tiny(3), 2),
            (crnn.clone(), 2),
            (crnn.clone(), 3),
            (top_only(crnn.clone()), 4),
            (top_only(crnn.clone()), 5),
            (top_only(crnn), 6),
            (top_only(NetSpec::tiny(3)), 5),
        ] {
            let net = random_net(spec, 7);
            let from = frozen.min(net.spec.blocks.len());
            let mut rng = Rng::at(8, &[]);
            let picture: Vec<f32> = (0..640 * 96).map(|_| rng.between(-75.0, 10.0)).collect();
            let plane = net.input(&picture);
            let whole = net.forward(plane.clone(), 0, None);
            let lower = net.run_blocks(plane, 0, from);
            let upper = net.forward(lower, from, None);
            assert_eq!(whole.logits, upper.logits);
            let (mut all, mut top) = (Params::zeros(&net.spec), Params::zeros(&net.spec));
            net.backward(&whole, &[1.0, 0.0, -1.0], &[], 0, &mut all);
            net.backward(&upper, &[1.0, 0.0, -1.0], &[], frozen, &mut top);
            let first = net.spec.first_tensor(frozen);
            assert!((0..first).all(|t| net.spec.layer_of(t) < frozen));
            assert!((first..net.spec.head()).all(|t| net.spec.layer_of(t) >= frozen));
            assert!(top.tensors[..first].iter().flatten().all(|&g| g == 0.0));
            assert_eq!(all.tensors[first..], top.tensors[first..]);
            assert!(all.tensors.iter().flatten().any(|&g| g != 0.0));
        }
    }

    #[test]
    fn repeating_starts_from_the_first_column() {
        let mut plane = Plane::zeros(1, 3, 1);
        for x in 0..3 {
            plane.cell_mut(0, x)[0] = x as f32;
        }
        let wide = repeat(&plane, 7);
        let row: Vec<f32> = (0..7).map(|x| wide.cell(0, x)[0]).collect();
        assert_eq!(row, [0.0, 1.0, 2.0, 0.0, 1.0, 2.0, 0.0]);
    }
}
