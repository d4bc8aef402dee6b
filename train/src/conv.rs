//! One block of the trunk - convolution 3 x 3, max-pool, ELU - forwards and backwards.
//!
//! Channels lie last and every picture carries a border of zeros, so that the nine taps of a
//! convolution are three overlapping, strided views of memory: each is one matrix product, without a
//! copy. Bands of as many rows as the pool takes pass through the caches from product to pool.
//! Batch norm is folded into weight and bias before training starts: its statistics are frozen.

use gemm::{Parallelism, gemm};

/// A picture with a border of one zero on all four sides: shape `[height + 2, width + 2, channels]`, channels last.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Plane {
    /// Rows without the border (mel bands, lowest first).
    pub height: usize,
    /// Columns without the border (time).
    pub width: usize,
    /// Values at each place.
    pub channels: usize,
    /// The values, border included.
    pub data: Vec<f32>,
}

impl Plane {
    /// A picture of zeros.
    pub fn zeros(height: usize, width: usize, channels: usize) -> Self {
        Self {
            height,
            width,
            channels,
            data: vec![0.0; (height + 2) * (width + 2) * channels],
        }
    }

    /// Where the values of row `y` and column `x` begin in `data`.
    pub fn at(&self, y: usize, x: usize) -> usize {
        ((y + 1) * (self.width + 2) + x + 1) * self.channels
    }

    /// The values at row `y` and column `x`.
    pub fn cell(&self, y: usize, x: usize) -> &[f32] {
        let at = self.at(y, x);
        &self.data[at..at + self.channels]
    }

    /// The values at row `y` and column `x`, to be changed.
    pub fn cell_mut(&mut self, y: usize, x: usize) -> &mut [f32] {
        let at = self.at(y, x);
        &mut self.data[at..at + self.channels]
    }
}

/// Sizes of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BlockShape {
    /// Channels that come in.
    pub inputs: usize,
    /// Channels that go out.
    pub outputs: usize,
    /// Max-pool over this many rows and columns; what is left over at the end is dropped.
    pub pool: (usize, usize),
}

impl BlockShape {
    /// Length of the weight: shape `[outputs, 3 (row), 3 (column), inputs]`.
    pub fn weight_len(&self) -> usize {
        9 * self.inputs * self.outputs
    }

    /// Height and width that go out when `height` and `width` come in.
    pub fn output_size(&self, height: usize, width: usize) -> (usize, usize) {
        (height / self.pool.0, width / self.pool.1)
    }
}

/// What the backward pass needs of a forward pass, beside its input.
#[derive(Clone, Debug)]
pub struct BlockTrace {
    /// Output of the block.
    pub output: Plane,
    /// Which cell of the pool won, for each output value: `row * pool.1 + column`.
    winners: Vec<u8>,
}

/// Runs one block on `input`: `elu(max_pool(conv(input)) + bias)`, which is `max_pool(elu(conv + bias))`.
///
/// # Panics
/// When lengths do not agree with `shape`; shapes are the caller's constants.
pub fn forward(shape: BlockShape, weight: &[f32], bias: &[f32], input: &Plane) -> BlockTrace {
    assert_eq!(input.channels, shape.inputs);
    assert_eq!(weight.len(), shape.weight_len());
    let (out_height, out_width) = shape.output_size(input.height, input.width);
    let n = shape.outputs;
    let mut trace = BlockTrace {
        output: Plane::zeros(out_height, out_width, n),
        winners: vec![0u8; out_height * out_width * n],
    };
    let (pool_rows, _) = shape.pool;
    let mut band = vec![0.0f32; pool_rows * (input.width + 2) * n];
    for out_row in 0..out_height {
        convolve_rows(weight, input, out_row * pool_rows, pool_rows, n, &mut band);
        pool_row(shape, bias, &band, input.width + 2, out_row, &mut trace);
    }
    trace
}

/// Exponential linear unit with alpha 1.
fn elu(x: f32) -> f32 {
    if x > 0.0 { x } else { x.exp_m1() }
}

/// Gradients of a block. `gradient` is that of its output (its border is ignored); adds to `weight_gradient`
/// and `bias_gradient`; returns the gradient of the input when `wants_input` (its border is of no use).
///
/// Only one cell in each pool passes its gradient on, so these are sparse sums, an eighth to a sixteenth of
/// the work of dense products.
///
/// # Panics
/// When lengths do not agree with `shape`.
pub fn backward(
    shape: BlockShape,
    weight: &[f32],
    input: &Plane,
    trace: &BlockTrace,
    gradient: &Plane,
    sums: (&mut [f32], &mut [f32]),
    wants_input: bool,
) -> Option<Plane> {
    assert_eq!(input.channels, shape.inputs);
    assert_eq!(weight.len(), shape.weight_len());
    assert_eq!(sums.0.len(), shape.weight_len());
    assert_eq!(sums.1.len(), shape.outputs);
    let mut back = wants_input.then(|| Plane::zeros(input.height, input.width, shape.inputs));
    let way = Backward {
        shape,
        weight,
        input,
        trace,
        gradient,
    };
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[expect(
            unsafe_code,
            reason = "a function compiled for AVX2 can only be called so"
        )]
        // SAFETY: the processor has AVX2: it was just asked.
        unsafe {
            backward_avx2(way, sums.0, sums.1, back.as_mut());
        }
        return back;
    }
    backward_any(way, sums.0, sums.1, back.as_mut());
    back
}

/// What goes into the backward pass.
#[derive(Clone, Copy)]
struct Backward<'a> {
    shape: BlockShape,
    weight: &'a [f32],
    input: &'a Plane,
    trace: &'a BlockTrace,
    gradient: &'a Plane,
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn backward_avx2(
    way: Backward<'_>,
    weights: &mut [f32],
    biases: &mut [f32],
    back: Option<&mut Plane>,
) {
    backward_any(way, weights, biases, back);
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "is compiled anew for each instruction set it is called from"
)]
fn backward_any(
    way: Backward<'_>,
    weights: &mut [f32],
    biases: &mut [f32],
    mut back: Option<&mut Plane>,
) {
    let Backward {
        shape,
        weight,
        input,
        trace,
        gradient,
    } = way;
    let n = shape.outputs;
    let (pool_rows, pool_columns) = shape.pool;
    let row_stride = (input.width + 2) * shape.inputs;
    let k = 3 * shape.inputs;
    for y in 0..trace.output.height {
        for x in 0..trace.output.width {
            let base = (y * trace.output.width + x) * n;
            let out = trace.output.cell(y, x);
            let grad = gradient.cell(y, x);
            for c in 0..n {
                let slope = if out[c] > 0.0 { 1.0 } else { out[c] + 1.0 };
                let value = grad[c] * slope;
                if value == 0.0 {
                    continue;
                }
                biases[c] += value;
                let code = usize::from(trace.winners[base + c]);
                let row = y * pool_rows + code / pool_columns;
                let column = x * pool_columns + code % pool_columns;
                for tap in 0..3 {
                    let from = (row + tap) * row_stride + column * shape.inputs;
                    let at = (c * 3 + tap) * k;
                    for (sum, &x) in weights[at..at + k]
                        .iter_mut()
                        .zip(&input.data[from..from + k])
                    {
                        *sum += value * x;
                    }
                    if let Some(back) = back.as_deref_mut() {
                        for (sum, &w) in back.data[from..from + k]
                            .iter_mut()
                            .zip(&weight[at..at + k])
                        {
                            *sum += value * w;
                        }
                    }
                }
            }
        }
    }
}

/// Pools one band of convolved rows into row `out_row` of the output.
fn pool_row(
    shape: BlockShape,
    bias: &[f32],
    band: &[f32],
    padded: usize,
    out_row: usize,
    trace: &mut BlockTrace,
) {
    #[cfg(target_arch = "x86_64")]
    if std::arch::is_x86_feature_detected!("avx2") {
        #[expect(
            unsafe_code,
            reason = "a function compiled for AVX2 can only be called so"
        )]
        // SAFETY: the processor has AVX2: it was just asked.
        unsafe {
            pool_row_avx2(shape, bias, band, padded, out_row, trace);
        }
        return;
    }
    pool_row_any(shape, bias, band, padded, out_row, trace);
}

#[cfg(target_arch = "x86_64")]
#[target_feature(enable = "avx2")]
fn pool_row_avx2(
    shape: BlockShape,
    bias: &[f32],
    band: &[f32],
    padded: usize,
    out_row: usize,
    trace: &mut BlockTrace,
) {
    pool_row_any(shape, bias, band, padded, out_row, trace);
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "is compiled anew for each instruction set it is called from"
)]
fn pool_row_any(
    shape: BlockShape,
    bias: &[f32],
    band: &[f32],
    padded: usize,
    out_row: usize,
    trace: &mut BlockTrace,
) {
    let n = shape.outputs;
    let (pool_rows, pool_columns) = shape.pool;
    let out_width = trace.output.width;
    // Codes as f32 while they are compared: one width of lanes for both.
    let mut codes = vec![0.0f32; n];
    for out_column in 0..out_width {
        let at = trace.output.at(out_row, out_column);
        let best = &mut trace.output.data[at..at + n];
        let base = (out_row * out_width + out_column) * n;
        best.fill(f32::NEG_INFINITY);
        codes.fill(0.0);
        for row in 0..pool_rows {
            for column in 0..pool_columns {
                let from = (row * padded + out_column * pool_columns + column) * n;
                let code = (row * pool_columns + column) as f32;
                for ((best, winner), &value) in
                    best.iter_mut().zip(&mut codes).zip(&band[from..from + n])
                {
                    let wins = value > *best;
                    *best = if wins { value } else { *best };
                    *winner = if wins { code } else { *winner };
                }
            }
        }
        for (winner, &code) in trace.winners[base..base + n].iter_mut().zip(&codes) {
            *winner = code as u8;
        }
        for (value, bias) in best.iter_mut().zip(bias) {
            *value = elu(*value + bias);
        }
    }
}

/// Convolves `count` rows from row `first` on into `band`, shape `[count, width + 2, outputs]`, whose
/// last two columns of each row are of no use.
fn convolve_rows(
    weight: &[f32],
    input: &Plane,
    first: usize,
    count: usize,
    outputs: usize,
    band: &mut [f32],
) {
    let padded = input.width + 2;
    let places = count * padded - 2;
    let inputs = input.channels;
    let k = 3 * inputs;
    if inputs == 1 {
        // Three products of depth 3 would be all overhead: gather the nine taps and do one.
        let mut taps = vec![0.0f32; places * 9];
        for (place, taps) in taps.chunks_exact_mut(9).enumerate() {
            for tap in 0..3 {
                let from = (first + tap) * padded + place;
                taps[3 * tap..3 * tap + 3].copy_from_slice(&input.data[from..from + 3]);
            }
        }
        product(
            Matrix::new(&taps, places, 9, 9, 1),
            Matrix::new(weight, 9, outputs, 1, 9),
            band,
            outputs,
            false,
        );
        return;
    }
    for tap in 0..3 {
        let view = &input.data[(first + tap) * padded * inputs..];
        product(
            Matrix::new(view, places, k, inputs, 1),
            Matrix::new(&weight[tap * k..], k, outputs, 1, 3 * k),
            band,
            outputs,
            tap > 0,
        );
    }
}

/// A matrix seen in a slice; rows and columns may overlap.
#[derive(Clone, Copy, Debug)]
pub struct Matrix<'a> {
    data: &'a [f32],
    rows: usize,
    columns: usize,
    row_stride: usize,
    column_stride: usize,
}

impl<'a> Matrix<'a> {
    /// `rows` x `columns` values of `data`, `row_stride` and `column_stride` values apart.
    ///
    /// # Panics
    /// When the last value lies outside of `data`.
    pub fn new(
        data: &'a [f32],
        rows: usize,
        columns: usize,
        row_stride: usize,
        column_stride: usize,
    ) -> Self {
        if rows > 0 && columns > 0 {
            assert!((rows - 1) * row_stride + (columns - 1) * column_stride < data.len());
        }
        Self {
            data,
            rows,
            columns,
            row_stride,
            column_stride,
        }
    }
}

/// `to = left x right`, or `to += left x right` when `adds`; `to` has `stride` values a row. One thread.
///
/// # Panics
/// When the sizes do not agree.
pub fn product(left: Matrix<'_>, right: Matrix<'_>, to: &mut [f32], stride: usize, adds: bool) {
    assert_eq!(left.columns, right.rows);
    assert!(stride >= right.columns);
    if left.rows == 0 || right.columns == 0 {
        return;
    }
    assert!((left.rows - 1) * stride + right.columns <= to.len());
    // SAFETY: `Matrix::new` checked that every value of `left` and `right` lies inside its slice, the assertion
    // above that every value of `to` does; `to` is borrowed mutably, so it overlaps neither.
    #[expect(unsafe_code, reason = "the gemm crate takes pointers")]
    unsafe {
        gemm(
            left.rows,
            right.columns,
            left.columns,
            to.as_mut_ptr(),
            1,
            stride as isize,
            adds,
            left.data.as_ptr(),
            left.column_stride as isize,
            left.row_stride as isize,
            right.data.as_ptr(),
            right.column_stride as isize,
            right.row_stride as isize,
            1.0,
            1.0,
            false,
            false,
            false,
            Parallelism::None,
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    /// The definition, cell by cell.
    fn slow(shape: BlockShape, weight: &[f32], bias: &[f32], input: &Plane) -> Plane {
        let (height, width) = shape.output_size(input.height, input.width);
        let mut out = Plane::zeros(height, width, shape.outputs);
        for y in 0..height {
            for x in 0..width {
                for c in 0..shape.outputs {
                    let mut best = f64::NEG_INFINITY;
                    for row in 0..shape.pool.0 {
                        for column in 0..shape.pool.1 {
                            let mut sum = f64::from(bias[c]);
                            for dy in 0..3 {
                                for dx in 0..3 {
                                    let padded = input.width + 2;
                                    let from = (y * shape.pool.0 + row + dy) * padded
                                        + x * shape.pool.1
                                        + column
                                        + dx;
                                    for i in 0..shape.inputs {
                                        sum += f64::from(input.data[from * shape.inputs + i])
                                            * f64::from(
                                                weight[((c * 3 + dy) * 3 + dx) * shape.inputs + i],
                                            );
                                    }
                                }
                            }
                            best = best.max(sum);
                        }
                    }
                    out.cell_mut(y, x)[c] = (if best > 0.0 { best } else { best.exp_m1() }) as f32;
                }
            }
        }
        out
    }

    #[test]
    fn a_block_is_what_its_definition_says() {
        for (inputs, outputs, pool, height, width) in [
            (1, 8, (2, 4), 12, 35),
            (5, 7, (3, 5), 12, 21),
            (16, 24, (4, 4), 4, 4),
        ] {
            let shape = BlockShape {
                inputs,
                outputs,
                pool,
            };
            let mut rng = Rng::at(3, &[inputs as u64]);
            let weight: Vec<f32> = (0..shape.weight_len())
                .map(|_| 0.3 * rng.normal())
                .collect();
            let bias: Vec<f32> = (0..outputs).map(|_| rng.normal()).collect();
            let mut input = Plane::zeros(height, width, inputs);
            for y in 0..height {
                for x in 0..width {
                    input.cell_mut(y, x).fill_with(|| rng.normal());
                }
            }
            let fast = forward(shape, &weight, &bias, &input).output;
            let slow = slow(shape, &weight, &bias, &input);
            for (a, b) in fast.data.iter().zip(&slow.data) {
                assert!((a - b).abs() < 1e-5, "{a} {b}");
            }
        }
    }
}
