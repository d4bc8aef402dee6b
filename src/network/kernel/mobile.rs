//! The layers of a MobileNet: pointwise and depthwise convolutions, squeeze-excitation, and blocks
//! of them.
//!
//! A picture is `[time, frequency, channel]`, as in [`super`]. Pointwise convolutions run on the
//! same tiles as the 3 x 3 ones: one tap instead of three. A block is computed in one pass over
//! time: what its wide middle needs lies in a few rows that stay in the cache.

use super::{InstructionSet, LANES, MAX_GROUPS, PLACES, Path, Sums, Task, Tile, dispatch, usable};

/// What follows a convolution.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum AfterConvolution {
    /// Nothing.
    Linear,
    /// `max(x, 0)`.
    Relu,
    /// `x * clamp(x + 3, 0, 6) / 6`.
    HardSwish,
}

impl AfterConvolution {
    #[inline(always)]
    pub(crate) fn apply(self, value: f32) -> f32 {
        match self {
            Self::Linear => value,
            Self::Relu => value.max(0.0),
            Self::HardSwish => value * (value + 3.0).clamp(0.0, 6.0) * (1.0 / 6.0),
        }
    }
}

/// Memory that a block works in; it grows at the first use and then stays. Nothing of one turn
/// reaches the next.
#[derive(Clone, Debug, Default)]
pub(crate) struct MobileScratch {
    /// Columns behind the expansion, with zeros around them.
    wide: Vec<f32>,
    /// Columns behind the depthwise convolution.
    deep: Vec<f32>,
    /// Squeeze-excitation: means, squeezed, gates.
    gates: Vec<f32>,
}

/// A 1 x 1 convolution with packed weights, in floats.
///
/// Integers were measured, too: with so few channels, bringing the input to 8 bits costs more than
/// the products save.
#[derive(Clone, Debug)]
pub(crate) struct Pointwise {
    path: Path,
    channels: usize,
    filters: usize,
    /// `[group][channel][LANES]`
    weights: Vec<f32>,
    /// One per lane.
    biases: Vec<f32>,
    activation: AfterConvolution,
}

/// Where the cells of a picture lie: in columns, with something between them.
#[derive(Clone, Copy)]
pub(super) struct Layout {
    /// Cells in a column.
    pub(super) rows: usize,
    /// Values from one column to the next.
    pub(super) column: usize,
    /// Values before the first cell of a column.
    pub(super) offset: usize,
}

impl Pointwise {
    /// `weights` are `[filters, channels]`.
    pub(crate) fn new(
        path: Path,
        channels: usize,
        weights: &[f32],
        bias: &[f32],
        activation: AfterConvolution,
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
            weights: packed,
            biases: super::padded(bias, lanes),
            activation,
        }
    }

    /// Channels of the output.
    pub(crate) fn filters(&self) -> usize {
        self.filters
    }

    /// Computes every cell of `input`, one after the other, into the cells of `output` as `layout`
    /// says.
    #[inline(always)]
    fn run<E: InstructionSet>(&self, engine: E, input: &[f32], output: &mut [f32], layout: Layout) {
        let Self {
            channels, filters, ..
        } = *self;
        let lanes = self.biases.len();
        let group_len = channels * LANES;
        let mut group = 0;
        while group * LANES < lanes {
            let left = lanes / LANES - group;
            // Five groups are three and two: a tile of one group is mostly reading.
            let groups = if left > E::GROUPS {
                E::GROUPS.min(left.div_ceil(2))
            } else {
                left
            };
            let lane = group * LANES;
            let cells = Cells {
                input,
                channels,
                weights: &self.weights[group * group_len..(group + groups) * group_len],
                biases: &self.biases[lane..lane + groups * LANES],
                used: (groups * LANES).min(filters - lane),
                filters,
                layout: Layout {
                    offset: layout.offset + lane,
                    ..layout
                },
                activation: self.activation,
            };
            engine.cells(groups, &cells, output);
            group += groups;
        }
    }
}

/// Cells of a pointwise convolution with the weights of a few groups, and where what comes of them
/// goes.
pub(super) struct Cells<'a> {
    /// `[cell][channels]`
    pub(super) input: &'a [f32],
    pub(super) channels: usize,
    /// `[group][channel][LANES]`
    pub(super) weights: &'a [f32],
    /// One for each lane of the groups.
    pub(super) biases: &'a [f32],
    /// Lanes that are written.
    pub(super) used: usize,
    /// Values from one cell of the output to the next.
    pub(super) filters: usize,
    pub(super) layout: Layout,
    pub(super) activation: AfterConvolution,
}

impl Cells<'_> {
    /// Cells of the input.
    #[inline(always)]
    pub(super) fn len(&self) -> usize {
        self.input.len() / self.channels
    }

    /// Whether all that `groups` groups read and write lies within the slices.
    #[inline(always)]
    #[cfg_attr(
        not(target_arch = "x86_64"),
        expect(dead_code, reason = "only tiles of x86-64 ask")
    )]
    pub(super) fn is_sound(&self, groups: usize, output: &[f32]) -> bool {
        let Layout {
            rows,
            column,
            offset,
        } = self.layout;
        let cells = self.len();
        cells > 0
            && rows > 0
            && column >= (rows - 1) * self.filters
            && self.used <= groups * LANES
            && self.used > (groups - 1) * LANES
            && self.weights.len() >= groups * self.channels * LANES
            && self.biases.len() >= groups * LANES
            && offset + (cells - 1) / rows * column + (rows - 1) * self.filters + self.used
                <= output.len()
    }

    /// With the tiles of `engine`, and plain Rust around them.
    #[inline(always)]
    pub(super) fn in_tiles<E: InstructionSet>(&self, engine: E, groups: usize, output: &mut [f32]) {
        match self.activation {
            AfterConvolution::Linear => self.tiles(engine, groups, output, |value| value),
            AfterConvolution::Relu => {
                self.tiles(engine, groups, output, |value| {
                    AfterConvolution::Relu.apply(value)
                });
            }
            AfterConvolution::HardSwish => {
                self.tiles(engine, groups, output, |value| {
                    AfterConvolution::HardSwish.apply(value)
                });
            }
        }
    }

    #[inline(always)]
    fn tiles<E: InstructionSet>(
        &self,
        engine: E,
        groups: usize,
        output: &mut [f32],
        activate: impl Fn(f32) -> f32,
    ) {
        let mut sums: Sums<f32> = [0.0; PLACES * MAX_GROUPS * LANES];
        let width = groups * LANES;
        let biases = &self.biases[..self.used];
        let mut tile = Tile {
            input: self.input,
            places: [0; PLACES],
            taps: 1,
            column: 0,
            run: self.channels,
            weights: self.weights,
            sums: &[],
            fused: true,
        };
        let cells = self.len();
        let (mut cell, mut row, mut start) = (0, 0, self.layout.offset);
        while cell < cells {
            let n = E::PLACES.min(cells - cell);
            for (index, place) in tile.places.iter_mut().enumerate() {
                *place = (cell + index.min(n - 1)) * self.channels;
            }
            engine.floats(groups, &tile, &mut sums);
            for sums in sums.chunks_exact(width).take(n) {
                let output = &mut output[start..start + self.used];
                for ((to, sum), bias) in output.iter_mut().zip(sums).zip(biases) {
                    *to = activate(sum + bias);
                }
                row += 1;
                start += self.filters;
                if row == self.layout.rows {
                    row = 0;
                    start += self.layout.column - self.layout.rows * self.filters;
                }
            }
            cell += n;
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
    pub(crate) fn run(
        &self,
        input: &[f32],
        rows: usize,
        output: &mut [f32],
        scratch: &mut MobileScratch,
    ) {
        let run = StemRun {
            stem: self,
            input,
            rows,
            output,
            padded: &mut scratch.wide,
        };
        dispatch(self.path, run);
    }
}

struct StemRun<'a> {
    stem: &'a Stem,
    input: &'a [f32],
    rows: usize,
    output: &'a mut [f32],
    padded: &'a mut Vec<f32>,
}

impl Task for StemRun<'_> {
    #[inline(always)]
    fn perform<E: InstructionSet>(self, _: E) {
        let Self {
            stem,
            input,
            rows,
            output,
            padded,
        } = self;
        let (time, filters) = (input.len() / rows, stem.filters);
        let rows_out = rows.div_ceil(2);
        // Zeros around the picture: a column more at each side, a row more at each end.
        let column = rows + 3;
        grow(padded, (time + 3) * column);
        padded[..(time + 3) * column].fill(0.0);
        for (from, to) in input
            .chunks_exact(rows)
            .zip(padded[column..].chunks_exact_mut(column))
        {
            to[1..=rows].copy_from_slice(from);
        }
        for (t, output) in output.chunks_exact_mut(rows_out * filters).enumerate() {
            let at = 2 * t * column;
            for (f, output) in output.chunks_exact_mut(filters).enumerate() {
                let mut taps = [0.0; 9];
                for (dt, taps) in taps.chunks_exact_mut(3).enumerate() {
                    taps.copy_from_slice(&padded[at + dt * column + 2 * f..][..3]);
                }
                let (eights, rest) = output.as_chunks_mut::<8>();
                let done = eights.len() * 8;
                for (index, output) in eights.iter_mut().enumerate() {
                    stem.filters_of::<E, 8>(&taps, index * 8, output);
                }
                for (index, output) in rest.iter_mut().enumerate() {
                    stem.filters_of::<E, 1>(&taps, done + index, std::array::from_mut(output));
                }
            }
        }
    }
}

impl Stem {
    /// `N` filters from `first` on at one place.
    #[inline(always)]
    fn filters_of<E: InstructionSet, const N: usize>(
        &self,
        taps: &[f32; 9],
        first: usize,
        output: &mut [f32; N],
    ) {
        let mut totals = [0.0; N];
        totals.copy_from_slice(&self.biases[first..first + N]);
        for (tap, &value) in taps.iter().enumerate() {
            let weights = &self.weights[tap * self.filters + first..][..N];
            for (total, weight) in totals.iter_mut().zip(weights) {
                *total = E::multiply_add(value, *weight, *total);
            }
        }
        for (to, total) in output.iter_mut().zip(totals) {
            *to = AfterConvolution::HardSwish.apply(total);
        }
    }
}

/// Expansion, depthwise convolution, squeeze-excitation, projection and the way around them.
#[derive(Clone, Debug)]
pub(crate) struct FusedMobileBlock {
    pub(crate) path: Path,
    /// Channels of the input.
    pub(crate) channels: usize,
    pub(crate) expand: Option<Pointwise>,
    pub(crate) depthwise: Depthwise,
    pub(crate) excitation: Option<Excitation>,
    pub(crate) project: Pointwise,
    pub(crate) activation: AfterConvolution,
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

    /// One output column. `input` begins with the first of the `kernel` columns that it looks at,
    /// each with zeros around its rows, `column` values from one to the next.
    #[inline(always)]
    fn column<E: InstructionSet>(
        &self,
        input: &[f32],
        column: usize,
        activation: AfterConvolution,
        output: &mut [f32],
    ) {
        let relu = |value| AfterConvolution::Relu.apply(value);
        let hard_swish = |value| AfterConvolution::HardSwish.apply(value);
        match (self.kernel, activation) {
            (3, AfterConvolution::Relu) => self.chunks::<E, 3>(input, column, output, relu),
            (5, AfterConvolution::Relu) => self.chunks::<E, 5>(input, column, output, relu),
            (3, _) => self.chunks::<E, 3>(input, column, output, hard_swish),
            _ => self.chunks::<E, 5>(input, column, output, hard_swish),
        }
    }

    #[inline(always)]
    fn chunks<E: InstructionSet, const K: usize>(
        &self,
        input: &[f32],
        column: usize,
        output: &mut [f32],
        activate: impl Fn(f32) -> f32 + Copy,
    ) {
        let mut channel = 0;
        while channel < self.channels {
            match self.channels - channel {
                left if left >= CHUNK => {
                    self.cells::<E, K, CHUNK>(input, column, channel, output, activate);
                    channel += CHUNK;
                }
                left if left >= 8 => {
                    self.cells::<E, K, 8>(input, column, channel, output, activate);
                    channel += 8;
                }
                _ => {
                    self.cells::<E, K, 1>(input, column, channel, output, activate);
                    channel += 1;
                }
            }
        }
    }

    /// `N` channels of every row.
    #[inline(always)]
    fn cells<E: InstructionSet, const K: usize, const N: usize>(
        &self,
        input: &[f32],
        column: usize,
        channel: usize,
        output: &mut [f32],
        activate: impl Fn(f32) -> f32,
    ) {
        let (channels, stride) = (self.channels, self.stride);
        let mut weights = [[[0.0_f32; N]; K]; K];
        for (tap, weights) in weights.as_flattened_mut().iter_mut().enumerate() {
            weights.copy_from_slice(&self.weights[tap * channels + channel..][..N]);
        }
        let mut bias = [0.0_f32; N];
        bias.copy_from_slice(&self.biases[channel..channel + N]);
        for (f, output) in output.chunks_exact_mut(channels).enumerate() {
            let mut totals = bias;
            for (dt, weights) in weights.iter().enumerate() {
                let start = dt * column + f * stride * channels + channel;
                let rows = &input[start..start + (K - 1) * channels + N];
                for (df, weights) in weights.iter().enumerate() {
                    let values = &rows[df * channels..df * channels + N];
                    for ((total, value), weight) in totals.iter_mut().zip(values).zip(weights) {
                        *total = E::multiply_add(*value, *weight, *total);
                    }
                }
            }
            for (to, total) in output[channel..channel + N].iter_mut().zip(totals) {
                *to = activate(total);
            }
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
    fn apply<E: InstructionSet>(&self, cells: &mut [f32], memory: &mut Vec<f32>) {
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
        let dense = |row: &[f32], input: &[f32], bias: f32| bias + dot::<E>(row, input);
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

/// The sum of products, in [`CHUNK`] sums that are joined at the end: one after the other they
/// would wait for each other.
#[inline(always)]
fn dot<E: InstructionSet>(a: &[f32], b: &[f32]) -> f32 {
    let (a, rest_a) = a.as_chunks::<CHUNK>();
    let (b, rest_b) = b.as_chunks::<CHUNK>();
    let mut sums = [0.0_f32; CHUNK];
    for (a, b) in a.iter().zip(b) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum = E::multiply_add(*a, *b, *sum);
        }
    }
    let rest = rest_a.iter().zip(rest_b);
    rest.fold(sums.iter().sum(), |sum, (a, b)| {
        E::multiply_add(*a, *b, sum)
    })
}

/// Values of the wide middle that are held at a time: 256 KiB of floats.
const WIDE: usize = 64 << 10;

impl FusedMobileBlock {
    /// Extents of the output for an input of `[time, rows, channels]`.
    pub(crate) fn extents(&self, time: usize, rows: usize) -> [usize; 3] {
        let stride = self.depthwise.stride;
        [
            time.div_ceil(stride),
            rows.div_ceil(stride),
            self.project.filters,
        ]
    }

    /// Computes `[time, rows, channels]`; `output` has [`FusedMobileBlock::extents`].
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
    block: &'a FusedMobileBlock,
    input: &'a [f32],
    rows: usize,
    output: &'a mut [f32],
    scratch: &'a mut MobileScratch,
}

impl Task for BlockRun<'_> {
    #[inline(always)]
    fn perform<E: InstructionSet>(self, engine: E) {
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
        // Columns behind the expansion lie with zeros around their rows; an odd number of rows may
        // be looked at beyond them.
        let padded = (rows + 2 * pad + stride) * wide;
        let layout = Layout {
            rows,
            column: padded,
            offset: pad * wide,
        };
        let plain = |cells: usize| Layout {
            rows: cells,
            column: cells * filters,
            offset: 0,
        };
        // As many output columns at a time as keep the wide ones in the cache.
        let batch = (WIDE / (padded * stride)).clamp(1, time_out.max(1));
        let held = if block.excitation.is_some() {
            time_out
        } else {
            batch
        };
        grow(&mut scratch.deep, held * deep);
        let columns = (batch - 1) * stride + kernel;
        grow(&mut scratch.wide, columns * padded);
        // Only the rows within are written from here on.
        scratch.wide[..columns * padded].fill(0.0);
        // Columns of the input (of the time before it: negative) that are held now.
        let (mut from, mut to) = (-pad.cast_signed(), -pad.cast_signed());
        let mut t = 0;
        while t < time_out {
            let n = batch.min(time_out - t);
            let first = (t * stride).cast_signed() - pad.cast_signed();
            let last = first + ((n - 1) * stride + kernel).cast_signed();
            // Columns that the last batch expanded already are moved to the front.
            let kept = (to - first).max(0).cast_unsigned();
            if kept > 0 {
                let start = (first - from).cast_unsigned() * padded;
                scratch.wide.copy_within(start..start + kept * padded, 0);
            }
            let fresh = first + kept.cast_signed();
            let (begin, end) = (
                fresh.clamp(0, time.cast_signed()).cast_unsigned(),
                last.clamp(0, time.cast_signed()).cast_unsigned(),
            );
            let place = |at: isize| (at - first).cast_unsigned() * padded;
            // Beyond the picture there is nothing.
            scratch.wide[place(fresh)..place(begin.cast_signed().max(fresh))].fill(0.0);
            if end > begin {
                let input = &input[begin * column..end * column];
                let output =
                    &mut scratch.wide[place(begin.cast_signed())..place(end.cast_signed())];
                if let Some(expand) = &block.expand {
                    expand.run(engine, input, output, layout);
                } else {
                    let columns = input.chunks_exact(column);
                    for (from, to) in columns.zip(output.chunks_exact_mut(padded)) {
                        to[layout.offset..layout.offset + column].copy_from_slice(from);
                    }
                }
            }
            scratch.wide[place(last.min(end.cast_signed().max(fresh)))..place(last)].fill(0.0);
            (from, to) = (first, last);
            let held = if block.excitation.is_some() { t } else { 0 };
            for index in 0..n {
                let output = &mut scratch.deep[(held + index) * deep..][..deep];
                let input = &scratch.wide[index * stride * padded..];
                block
                    .depthwise
                    .column::<E>(input, padded, block.activation, output);
            }
            if block.excitation.is_none() {
                let output = &mut output[t * rows_out * filters..(t + n) * rows_out * filters];
                let cells = &scratch.deep[..n * deep];
                block
                    .project
                    .run(engine, cells, output, plain(n * rows_out));
            }
            t += n;
        }
        if let Some(excitation) = &block.excitation {
            let cells = &mut scratch.deep[..time_out * deep];
            excitation.apply::<E>(cells, &mut scratch.gates);
            block
                .project
                .run(engine, cells, output, plain(time_out * rows_out));
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
    fn perform<E: InstructionSet>(self, engine: E) {
        let Self {
            last,
            input,
            output,
            scratch,
        } = self;
        let cells = input.len() / last.channels;
        grow(&mut scratch.wide, cells * last.filters);
        let wide = &mut scratch.wide[..cells * last.filters];
        let layout = Layout {
            rows: cells,
            column: wide.len(),
            offset: 0,
        };
        last.run(engine, input, wide, layout);
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
