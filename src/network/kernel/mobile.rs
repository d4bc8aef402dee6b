//! The layers of a MobileNet: pointwise and depthwise convolutions, squeeze-excitation, and blocks of them.
//!
//! A picture is `[time, frequency, channel]`, as in [`super`]. Pointwise convolutions run on the same tiles as the 3 x 3
//! ones: one tap instead of three. A block is computed in one pass over time: what its wide middle needs lies in a few
//! rows that stay in the cache.

use super::{
    Engine, LANES, MAX_GROUPS, PLACES, Path, QUAD, Sum, Sums, Task, Tile, dispatch, usable,
};

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Activation {
    /// Nothing.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x * clamp(x + 3, 0, 6) / 6`.
    HardSwish,
}

impl Activation {
    #[inline(always)]
    pub(crate) fn apply(self, value: f32) -> f32 {
        match self {
            Self::Linear => value,
            Self::Relu => value.max(0.0),
            Self::HardSwish => value * (value + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0),
        }
    }
}

/// Memory that a block works in; it grows at the first use and then stays. Nothing of one turn reaches the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct MobileScratch {
    /// Rows behind the expansion.
    wide: Vec<f32>,
    /// Rows behind the depthwise convolution.
    deep: Vec<f32>,
    /// Input of a pointwise convolution in 8 bits.
    bytes: Vec<u8>,
    /// Squeeze-excitation: means, squeezed, gates.
    gates: Vec<f32>,
}

/// A 1 x 1 convolution with packed weights.
#[derive(Clone, Debug)]
pub(crate) struct Pointwise {
    path: Path,
    channels: usize,
    filters: usize,
    weights: Packed,
    /// One per lane.
    multipliers: Vec<f32>,
    biases: Vec<f32>,
    activation: Activation,
}

#[derive(Clone, Debug)]
enum Packed {
    /// `[group][channel][LANES]`
    F32(Vec<f32>),
    /// `[group][channel / QUAD][LANES][QUAD]`, and the sum of each lane.
    I8(Vec<i8>, Vec<i32>),
}

impl Pointwise {
    /// In floats. `weights` are `[filters, channels]`.
    pub(crate) fn float(
        path: Path,
        channels: usize,
        weights: &[f32],
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        let filters = bias.len();
        assert_eq!(
            weights.len(),
            filters * channels,
            "as many weights as the shape says"
        );
        let lanes = filters.next_multiple_of(LANES);
        let mut packed = vec![0.0; lanes * channels];
        for (filter, row) in weights.chunks_exact(channels).enumerate() {
            let (group, lane) = (filter / LANES, filter % LANES);
            for (channel, &weight) in row.iter().enumerate() {
                packed[(group * channels + channel) * LANES + lane] = weight;
            }
        }
        Self {
            path: usable(path),
            channels,
            filters,
            weights: Packed::F32(packed),
            multipliers: vec![1.0; lanes],
            biases: super::padded(bias, lanes),
            activation,
        }
    }

    /// In integers: the input of each call is brought to 8 bits by its own range. `weights` are `[filters, channels]`, worth
    /// `scales[filter]` a step.
    pub(crate) fn integer(
        path: Path,
        channels: usize,
        (weights, scales): (&[i8], &[f32]),
        bias: &[f32],
        activation: Activation,
    ) -> Self {
        let filters = bias.len();
        assert_eq!(
            weights.len(),
            filters * channels,
            "as many weights as the shape says"
        );
        assert_eq!(scales.len(), filters, "one scale per filter");
        let lanes = filters.next_multiple_of(LANES);
        let padded = channels.next_multiple_of(QUAD);
        let mut packed = vec![0_i8; lanes * padded];
        let mut sums = vec![0_i32; lanes];
        for (filter, row) in weights.chunks_exact(channels).enumerate() {
            let (group, lane) = (filter / LANES, filter % LANES);
            for (channel, &weight) in row.iter().enumerate() {
                let quad = group * (padded / QUAD) + channel / QUAD;
                packed[(quad * LANES + lane) * QUAD + channel % QUAD] = weight;
                sums[filter] += i32::from(weight);
            }
        }
        Self {
            path: usable(path),
            channels,
            filters,
            weights: Packed::I8(packed, sums),
            multipliers: super::padded(scales, lanes),
            biases: super::padded(bias, lanes),
            activation,
        }
    }

    /// Channels of the output.
    pub(crate) fn filters(&self) -> usize {
        self.filters
    }

    #[inline(always)]
    fn run<E: Engine>(&self, engine: E, input: &[f32], output: &mut [f32], bytes: &mut Vec<u8>) {
        match &self.weights {
            Packed::F32(weights) => {
                let finish = |sum: f32, lane: usize| sum + self.biases[lane];
                self.tiles::<E, f32>(engine, input, self.channels, (weights, &[]), output, finish);
            }
            Packed::I8(weights, sums) => {
                let padded = self.channels.next_multiple_of(QUAD);
                let (mut low, mut high) = ([0.0_f32; LANES], [0.0_f32; LANES]);
                let (blocks, rest) = input.as_chunks::<LANES>();
                for block in blocks {
                    for ((low, high), &value) in low.iter_mut().zip(&mut high).zip(block) {
                        *low = low.min(value);
                        *high = high.max(value);
                    }
                }
                let low = low
                    .iter()
                    .chain(rest)
                    .fold(0.0_f32, |low, &value| low.min(value));
                let high = high
                    .iter()
                    .chain(rest)
                    .fold(0.0_f32, |high, &value| high.max(value));
                let range = super::Quantisation::of_range(low, high);
                let (steps, zero) = (1.0 / range.scale, f32::from(range.zero));
                let cells = input.len() / self.channels;
                bytes.clear();
                if padded == self.channels {
                    bytes.extend(
                        input
                            .iter()
                            .map(|&value| super::quantise(value, steps, zero)),
                    );
                } else {
                    bytes.resize(cells * padded, range.zero);
                    let cells = bytes
                        .chunks_exact_mut(padded)
                        .zip(input.chunks_exact(self.channels));
                    for (to, from) in cells {
                        for (to, &value) in to.iter_mut().zip(from) {
                            *to = super::quantise(value, steps, zero);
                        }
                    }
                }
                let offset = i32::from(range.zero);
                let finish = |sum: i32, lane: usize| {
                    (sum - offset * sums[lane]) as f32 * (range.scale * self.multipliers[lane])
                        + self.biases[lane]
                };
                self.tiles::<E, i32>(engine, bytes, padded, (weights, sums), output, finish);
            }
        }
    }

    #[inline(always)]
    fn tiles<E: Engine, A: Sum>(
        &self,
        engine: E,
        input: &[A::Input],
        channels: usize,
        (weights, lane_sums): (&[A::Weight], &[i32]),
        output: &mut [f32],
        finish: impl Fn(A, usize) -> f32,
    ) {
        let lanes = self.biases.len();
        let group_len = weights.len() / (lanes / LANES);
        let cells = output.len() / self.filters;
        let mut sums: Sums<A> = [A::ZERO; PLACES * MAX_GROUPS * LANES];
        let mut group = 0;
        while group * LANES < lanes {
            let groups = E::GROUPS.min(lanes / LANES - group);
            let (width, lane) = (groups * LANES, group * LANES);
            let used = width.min(self.filters - lane);
            let mut tile = Tile {
                input,
                places: [0; PLACES],
                taps: 1,
                column: 0,
                run: channels,
                weights: &weights[group * group_len..(group + groups) * group_len],
                sums: lane_sums.get(lane..).unwrap_or(&[]),
                fused: true,
            };
            let mut cell = 0;
            while cell < cells {
                let n = E::PLACES.min(cells - cell);
                for (index, place) in tile.places.iter_mut().enumerate() {
                    *place = (cell + index.min(n - 1)) * channels;
                }
                A::tile(engine, groups, &tile, &mut sums);
                for (index, sums) in sums.chunks_exact(width).take(n).enumerate() {
                    let start = (cell + index) * self.filters + lane;
                    let output = &mut output[start..start + used];
                    match self.activation {
                        Activation::Linear => {
                            for (index, (to, &sum)) in output.iter_mut().zip(sums).enumerate() {
                                *to = finish(sum, lane + index);
                            }
                        }
                        activation => {
                            for (index, (to, &sum)) in output.iter_mut().zip(sums).enumerate() {
                                *to = activation.apply(finish(sum, lane + index));
                            }
                        }
                    }
                }
                cell += n;
            }
            group += groups;
        }
    }
}

/// Channels that a depthwise convolution takes at a time.
const CHUNK: usize = 16;

/// The first convolution: 3 x 3 of one channel, stride 2, zeros beyond the edges, hardswish.
#[derive(Clone, Debug)]
pub(crate) struct Stem {
    path: Path,
    filters: usize,
    /// `[time, frequency][filter]`
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Stem {
    /// `weights` are `[filters, 1, frequency, time]`.
    pub(crate) fn new(path: Path, weights: &[f32], bias: &[f32]) -> Self {
        let filters = bias.len();
        assert_eq!(weights.len(), filters * 9, "3 x 3 of one channel");
        let mut packed = vec![0.0; 9 * filters];
        for (filter, kernel) in weights.chunks_exact(9).enumerate() {
            for frequency in 0..3 {
                for time in 0..3 {
                    packed[(time * 3 + frequency) * filters + filter] =
                        kernel[frequency * 3 + time];
                }
            }
        }
        Self {
            path: usable(path),
            filters,
            weights: packed,
            biases: bias.to_vec(),
        }
    }

    /// Extents of the output `[time, frequency, filter]` for an input of `[time, frequency]`.
    pub(crate) fn extents(&self, time: usize, rows: usize) -> [usize; 3] {
        [time.div_ceil(2), rows.div_ceil(2), self.filters]
    }

    /// Computes `[time, rows]`.
    pub(crate) fn run(&self, input: &[f32], rows: usize, output: &mut [f32]) {
        let path = self.path;
        dispatch(
            path,
            StemRun {
                stem: self,
                input,
                rows,
                output,
            },
        );
    }
}

struct StemRun<'a> {
    stem: &'a Stem,
    input: &'a [f32],
    rows: usize,
    output: &'a mut [f32],
}

impl Task for StemRun<'_> {
    #[inline(always)]
    fn perform<E: Engine>(self, _: E) {
        let Self {
            stem,
            input,
            rows,
            output,
        } = self;
        let (time, filters) = (input.len() / rows, stem.filters);
        let rows_out = rows.div_ceil(2);
        for (t, output) in output.chunks_exact_mut(rows_out * filters).enumerate() {
            for (f, output) in output.chunks_exact_mut(filters).enumerate() {
                output.copy_from_slice(&stem.biases);
                for dt in 0..3 {
                    let Some(at) = (2 * t + dt).checked_sub(1).filter(|&at| at < time) else {
                        continue;
                    };
                    for df in 0..3 {
                        let Some(row) = (2 * f + df).checked_sub(1).filter(|&row| row < rows)
                        else {
                            continue;
                        };
                        let value = input[at * rows + row];
                        let weights = &stem.weights[(dt * 3 + df) * filters..][..filters];
                        for (to, weight) in output.iter_mut().zip(weights) {
                            *to += value * weight;
                        }
                    }
                }
                for value in output {
                    *value = Activation::HardSwish.apply(*value);
                }
            }
        }
    }
}

/// Expansion, depthwise convolution, squeeze-excitation, projection and the way around them.
#[derive(Clone, Debug)]
pub(crate) struct MobileBlock {
    pub(crate) path: Path,
    /// Channels of the input.
    pub(crate) channels: usize,
    pub(crate) expand: Option<Pointwise>,
    pub(crate) depthwise: Depthwise,
    pub(crate) excitation: Option<Excitation>,
    pub(crate) project: Pointwise,
    pub(crate) activation: Activation,
}

/// A depthwise convolution: `kernel` x `kernel`, zeros beyond the edges.
#[derive(Clone, Debug)]
pub(crate) struct Depthwise {
    kernel: usize,
    stride: usize,
    channels: usize,
    /// `[time, frequency][channel]`
    weights: Vec<f32>,
    biases: Vec<f32>,
}

impl Depthwise {
    /// `weights` are `[channels, 1, frequency, time]`.
    pub(crate) fn new(kernel: usize, stride: usize, weights: &[f32], bias: &[f32]) -> Self {
        let (channels, area) = (bias.len(), kernel * kernel);
        assert_eq!(weights.len(), channels * area, "one kernel a channel");
        let mut packed = vec![0.0; channels * area];
        for (channel, values) in weights.chunks_exact(area).enumerate() {
            for frequency in 0..kernel {
                for time in 0..kernel {
                    packed[(time * kernel + frequency) * channels + channel] =
                        values[frequency * kernel + time];
                }
            }
        }
        Self {
            kernel,
            stride,
            channels,
            weights: packed,
            biases: bias.to_vec(),
        }
    }

    /// Output row `t` of a picture of `time` columns, of which `input` holds those from `first` on.
    #[inline(always)]
    fn column(
        &self,
        (input, first, time): (&[f32], usize, usize),
        rows: usize,
        t: usize,
        activation: Activation,
        output: &mut [f32],
    ) {
        let Self {
            kernel,
            stride,
            channels,
            ..
        } = *self;
        let pad = (kernel - 1) / 2;
        let taps = |at: usize, len: usize| {
            let start = at * stride;
            pad.saturating_sub(start)..kernel.min(len + pad - start)
        };
        let times = taps(t, time);
        for (f, output) in output.chunks_exact_mut(channels).enumerate() {
            let frequencies = taps(f, rows);
            let mut channel = 0;
            while channel < channels {
                if channels - channel >= CHUNK {
                    self.cells::<CHUNK>(
                        (input, first),
                        rows,
                        (t, f),
                        (times.clone(), frequencies.clone()),
                        channel,
                        activation,
                        output,
                    );
                    channel += CHUNK;
                } else if channels - channel >= 8 {
                    self.cells::<8>(
                        (input, first),
                        rows,
                        (t, f),
                        (times.clone(), frequencies.clone()),
                        channel,
                        activation,
                        output,
                    );
                    channel += 8;
                } else {
                    self.cells::<1>(
                        (input, first),
                        rows,
                        (t, f),
                        (times.clone(), frequencies.clone()),
                        channel,
                        activation,
                        output,
                    );
                    channel += 1;
                }
            }
        }
    }

    #[inline(always)]
    fn cells<const N: usize>(
        &self,
        (input, first): (&[f32], usize),
        rows: usize,
        (t, f): (usize, usize),
        (times, frequencies): (std::ops::Range<usize>, std::ops::Range<usize>),
        channel: usize,
        activation: Activation,
        output: &mut [f32],
    ) {
        let Self {
            kernel,
            stride,
            channels,
            ..
        } = *self;
        let pad = (kernel - 1) / 2;
        let mut totals = [0.0_f32; N];
        totals.copy_from_slice(&self.biases[channel..channel + N]);
        for dt in times {
            let at = t * stride + dt - pad - first;
            for df in frequencies.clone() {
                let row = f * stride + df - pad;
                let values = &input[(at * rows + row) * channels + channel..][..N];
                let weights = &self.weights[(dt * kernel + df) * channels + channel..][..N];
                for ((total, value), weight) in totals.iter_mut().zip(values).zip(weights) {
                    *total += value * weight;
                }
            }
        }
        for (to, total) in output[channel..channel + N].iter_mut().zip(totals) {
            *to = activation.apply(total);
        }
    }
}

/// Squeeze-excitation over channels: a gate for each from the means of all.
#[derive(Clone, Debug)]
pub(crate) struct Excitation {
    /// `[squeezed, channels]`
    pub(crate) squeeze: Vec<f32>,
    pub(crate) squeeze_bias: Vec<f32>,
    /// `[channels, squeezed]`
    pub(crate) excite: Vec<f32>,
    pub(crate) excite_bias: Vec<f32>,
}

impl Excitation {
    /// Multiplies every channel of `cells` by its gate.
    #[inline(always)]
    fn apply(&self, cells: &mut [f32], memory: &mut Vec<f32>) {
        let channels = self.excite_bias.len();
        let squeezed = self.squeeze_bias.len();
        memory.clear();
        memory.resize(2 * channels + squeezed, 0.0);
        let (means, rest) = memory.split_at_mut(channels);
        let (small, gates) = rest.split_at_mut(squeezed);
        for cell in cells.chunks_exact(channels) {
            for (mean, value) in means.iter_mut().zip(cell) {
                *mean += value;
            }
        }
        let n = (cells.len() / channels).max(1) as f32;
        for mean in &mut *means {
            *mean /= n;
        }
        let dense = |row: &[f32], input: &[f32], bias: f32| {
            bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>()
        };
        let rows = self.squeeze.chunks_exact(channels).zip(&self.squeeze_bias);
        for (to, (row, &bias)) in small.iter_mut().zip(rows) {
            *to = dense(row, means, bias).max(0.0);
        }
        let rows = self.excite.chunks_exact(squeezed).zip(&self.excite_bias);
        for (to, (row, &bias)) in gates.iter_mut().zip(rows) {
            *to = 1.0 / (1.0 + (-dense(row, small, bias)).exp());
        }
        for cell in cells.chunks_exact_mut(channels) {
            for (value, gate) in cell.iter_mut().zip(&*gates) {
                *value *= gate;
            }
        }
    }
}

/// Values of the wide middle that are held at a time: 256 KiB of floats.
const WIDE: usize = 64 << 10;

impl MobileBlock {
    /// Extents of the output for an input of `[time, rows, channels]`.
    pub(crate) fn extents(&self, time: usize, rows: usize) -> [usize; 3] {
        let stride = self.depthwise.stride;
        [
            time.div_ceil(stride),
            rows.div_ceil(stride),
            self.project.filters,
        ]
    }

    /// Computes `[time, rows, channels]`; `output` has [`MobileBlock::extents`].
    pub(crate) fn run(
        &self,
        input: &[f32],
        rows: usize,
        output: &mut [f32],
        scratch: &mut MobileScratch,
    ) {
        let path = self.path;
        dispatch(
            path,
            BlockRun {
                block: self,
                input,
                rows,
                output,
                scratch,
            },
        );
    }
}

struct BlockRun<'a> {
    block: &'a MobileBlock,
    input: &'a [f32],
    rows: usize,
    output: &'a mut [f32],
    scratch: &'a mut MobileScratch,
}

impl Task for BlockRun<'_> {
    #[inline(always)]
    fn perform<E: Engine>(self, engine: E) {
        let Self {
            block,
            input,
            rows,
            output,
            scratch,
        } = self;
        let Depthwise {
            kernel,
            stride,
            channels: wide,
            ..
        } = block.depthwise;
        let pad = (kernel - 1) / 2;
        let column = rows * block.channels;
        let time = input.len() / column;
        let [time_out, rows_out, filters] = block.extents(time, rows);
        let deep = rows_out * wide;
        // As many output columns at a time as keep the wide ones in the cache.
        let batch = (WIDE / (rows * wide * stride)).clamp(1, time_out.max(1));
        let held = if block.excitation.is_some() {
            time_out
        } else {
            batch
        };
        grow(&mut scratch.deep, held * deep);
        if block.expand.is_some() {
            grow(&mut scratch.wide, (batch * stride + kernel) * rows * wide);
        }
        let (mut from, mut to) = (0, 0);
        let mut t = 0;
        while t < time_out {
            let n = batch.min(time_out - t);
            let first = (t * stride).saturating_sub(pad);
            let last = ((t + n - 1) * stride + kernel - pad).min(time);
            let (middle, origin): (&[f32], usize) = match &block.expand {
                None => (input, 0),
                Some(expand) => {
                    // Columns that the last batch expanded already are moved to the front.
                    let kept = if to > first && first >= from {
                        to - first
                    } else {
                        0
                    };
                    let width = rows * wide;
                    scratch.wide.copy_within(
                        (first - from.min(first)) * width..(first - from.min(first) + kept) * width,
                        0,
                    );
                    let fresh = first + kept..last;
                    expand.run(
                        engine,
                        &input[fresh.start * column..fresh.end * column],
                        &mut scratch.wide[kept * width..(last - first) * width],
                        &mut scratch.bytes,
                    );
                    (from, to) = (first, last);
                    (&scratch.wide, first)
                }
            };
            let place = if block.excitation.is_some() { t } else { 0 };
            for index in 0..n {
                let to = &mut scratch.deep[(place + index) * deep..][..deep];
                block.depthwise.column(
                    (middle, origin, time),
                    rows,
                    t + index,
                    block.activation,
                    to,
                );
            }
            if block.excitation.is_none() {
                let output = &mut output[t * rows_out * filters..(t + n) * rows_out * filters];
                block.project.run(
                    engine,
                    &scratch.deep[..n * deep],
                    output,
                    &mut scratch.bytes,
                );
            }
            t += n;
        }
        if let Some(excitation) = &block.excitation {
            let cells = &mut scratch.deep[..time_out * deep];
            excitation.apply(cells, &mut scratch.gates);
            block.project.run(engine, cells, output, &mut scratch.bytes);
        }
        if stride == 1 && block.channels == filters {
            for (to, from) in output.iter_mut().zip(input) {
                *to += from;
            }
        }
    }
}

fn grow(memory: &mut Vec<f32>, len: usize) {
    if memory.len() < len {
        memory.resize(len, 0.0);
    }
}

/// The last pointwise convolution and the mean over time and frequency.
#[derive(Clone, Debug)]
pub(crate) struct LastPool(pub(crate) Pointwise);

impl LastPool {
    /// The mean of each channel.
    pub(crate) fn run(&self, input: &[f32], output: &mut [f32], scratch: &mut MobileScratch) {
        let path = self.0.path;
        dispatch(
            path,
            LastRun {
                last: &self.0,
                input,
                output,
                scratch,
            },
        );
    }
}

struct LastRun<'a> {
    last: &'a Pointwise,
    input: &'a [f32],
    output: &'a mut [f32],
    scratch: &'a mut MobileScratch,
}

impl Task for LastRun<'_> {
    #[inline(always)]
    fn perform<E: Engine>(self, engine: E) {
        let Self {
            last,
            input,
            output,
            scratch,
        } = self;
        let cells = input.len() / last.channels;
        grow(&mut scratch.wide, cells * last.filters);
        let wide = &mut scratch.wide[..cells * last.filters];
        last.run(engine, input, wide, &mut scratch.bytes);
        output.fill(0.0);
        for cell in wide.chunks_exact(last.filters) {
            for (sum, value) in output.iter_mut().zip(cell) {
                *sum += value;
            }
        }
        for sum in output {
            *sum /= cells.max(1) as f32;
        }
    }
}
