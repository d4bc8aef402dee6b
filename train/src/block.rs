//! One block of the trunk - convolution 3 x 3, max-pool, ELU - as one differentiable operation of
//! burn's.
//!
//! Composed of burn's own convolution, pooling and ELU a step would take five times as long: only
//! one cell in each pool passes a gradient on, and a dense backward pass multiplies all the others
//! by zero. Here the backward pass follows the winners. Channels lie last, and each picture gets a
//! border of zeros, so that the nine taps of a convolution are three overlapping, strided views of
//! memory: each is one matrix product, without a copy. Bands of as many rows as the pool takes pass
//! through the caches from product to pool.
//!
//! The examples of a batch are spread over the threads of the current rayon pool. Sums over
//! examples are made in a fixed number of parts and added in their order, so that results do not
//! depend on how many threads there are.

use std::sync::Arc;

use burn::{
    backend::{
        Autodiff, Backend, Dispatch, Flex,
        autodiff::{
            checkpoint::{base::Checkpointer, strategy::CheckpointStrategy},
            grads::Gradients,
            ops::{Backward, Ops, OpsKind},
        },
        backend_extension,
        flex::FlexTensor,
        tensor::FloatTensor,
    },
    tensor::{Tensor, TensorData},
};
use gemm::{Parallelism, gemm};
use rayon::prelude::*;

/// Sums over the examples of a batch are made in so many parts, whatever the number of threads.
const PARTS: usize = 8;

/// `elu(max_pool(convolution(x)))`: the same as pooling after the ELU, which is monotonic, but far
/// cheaper. `x` is `[batch, row, column, channel]`, `weight` `[out, in, 3 (row), 3 (column)]`,
/// `bias` `[out]`; zeros stand around `x`, and what the pool (rows, columns) leaves over is
/// dropped.
///
/// # Panics
/// When the shapes do not fit each other, or the tensors are on no CPU.
pub(crate) fn block(
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Tensor<1>,
    pool: [usize; 2],
) -> Tensor<4> {
    Tensor::from_dispatch(Dispatch::fused_block(
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.into_dispatch(),
        pool,
    ))
}

/// The operation, for those back ends of burn's that have it.
#[backend_extension(Flex, Autodiff)]
trait FusedBlock: Backend {
    /// As [`block`].
    fn fused_block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pool: [usize; 2],
    ) -> FloatTensor<Self>;
}

impl FusedBlock for Flex {
    fn fused_block(
        x: FlexTensor,
        weight: FlexTensor,
        bias: FlexTensor,
        pool: [usize; 2],
    ) -> FlexTensor {
        forward(&x, &weight, &bias, pool).0
    }
}

impl<C: CheckpointStrategy> FusedBlock for Autodiff<Flex, C> {
    fn fused_block(
        x: FloatTensor<Self>,
        weight: FloatTensor<Self>,
        bias: FloatTensor<Self>,
        pool: [usize; 2],
    ) -> FloatTensor<Self> {
        let nodes = [x.node(), weight.node(), bias.node()];
        let (x, weight, bias) = (
            x.into_primitive(),
            weight.into_primitive(),
            bias.into_primitive(),
        );
        let (output, winners) = forward(&x, &weight, &bias, pool);
        match FollowWinners.prepare::<C>(nodes).compute_bound().stateful() {
            OpsKind::Tracked(prep) => {
                let pass = Pass {
                    x,
                    weight,
                    output: output.clone(),
                    winners: Arc::new(winners),
                    pool,
                };
                prep.finish(pass, output)
            }
            OpsKind::UnTracked(prep) => prep.finish(output),
        }
    }
}

/// What the backward pass needs of a forward pass.
#[derive(Clone, Debug)]
struct Pass {
    x: FlexTensor,
    weight: FlexTensor,
    output: FlexTensor,
    /// Which cell of the pool won, for each output value: `row * pool[1] + column`.
    winners: Arc<Vec<u8>>,
    pool: [usize; 2],
}

/// The backward pass.
#[derive(Debug)]
struct FollowWinners;

impl Backward<Flex, 3> for FollowWinners {
    type State = Pass;

    fn backward(
        self,
        ops: Ops<Pass, 3>,
        gradients: &mut Gradients,
        _checkpointer: &mut Checkpointer,
    ) {
        let gradient = gradients.consume::<Flex>(&ops.node);
        let [x, weight, bias] = ops.parents;
        let back = backward(&ops.state, &gradient, x.is_some());
        if let (Some(node), Some(gradient)) = (x, back.x) {
            gradients.register::<Flex>(node.id, gradient);
        }
        if let Some(node) = weight {
            gradients.register::<Flex>(node.id, back.weight);
        }
        if let Some(node) = bias {
            gradients.register::<Flex>(node.id, back.bias);
        }
    }
}

/// Sizes of a block on a batch.
#[derive(Clone, Copy, Debug)]
struct Sizes {
    batch: usize,
    height: usize,
    width: usize,
    inputs: usize,
    outputs: usize,
    pool: [usize; 2],
}

impl Sizes {
    fn new(x: &FlexTensor, weight: &FlexTensor, pool: [usize; 2]) -> Self {
        let (x, weight) = (x.layout().shape(), weight.layout().shape());
        assert_eq!(x[3], weight[1], "channels of input and weight");
        assert_eq!((weight[2], weight[3]), (3, 3), "extents of the convolution");
        assert!(
            pool[0] * pool[1] <= 256,
            "a winner's place is kept in 8 bits"
        );
        Self {
            batch: x[0],
            height: x[1],
            width: x[2],
            inputs: x[3],
            outputs: weight[0],
            pool,
        }
    }

    fn out_height(&self) -> usize {
        self.height / self.pool[0]
    }

    fn out_width(&self) -> usize {
        self.width / self.pool[1]
    }

    /// Values of one example.
    fn input_len(&self) -> usize {
        self.height * self.width * self.inputs
    }

    /// Values of one example's output.
    fn output_len(&self) -> usize {
        self.out_height() * self.out_width() * self.outputs
    }

    /// Columns with the border.
    fn padded(&self) -> usize {
        self.width + 2
    }

    fn weight_len(&self) -> usize {
        9 * self.inputs * self.outputs
    }

    /// One example with a border of one zero on all four sides.
    fn with_border(&self, values: &[f32]) -> Vec<f32> {
        let (row, wide) = (self.width * self.inputs, self.padded() * self.inputs);
        let mut out = vec![0.0; (self.height + 2) * wide];
        for (y, values) in values.chunks_exact(row).enumerate() {
            let at = (y + 1) * wide + self.inputs;
            out[at..at + row].copy_from_slice(values);
        }
        out
    }

    /// The inside of what [`Sizes::with_border`] gives.
    fn without_border(&self, bordered: &[f32], to: &mut [f32]) {
        let (row, wide) = (self.width * self.inputs, self.padded() * self.inputs);
        for (y, to) in to.chunks_exact_mut(row).enumerate() {
            let at = (y + 1) * wide + self.inputs;
            to.copy_from_slice(&bordered[at..at + row]);
        }
    }

    /// A weight with its input channels last: `[out, 3 (row), 3 (column), in]`.
    fn channels_last(&self, weight: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; weight.len()];
        let filters = weight.chunks_exact(9 * self.inputs);
        for (to, filter) in out.chunks_exact_mut(9 * self.inputs).zip(filters) {
            for (input, taps) in filter.chunks_exact(9).enumerate() {
                for (tap, w) in taps.iter().enumerate() {
                    to[tap * self.inputs + input] = *w;
                }
            }
        }
        out
    }

    /// The other way round.
    fn taps_last(&self, weight: &[f32]) -> Vec<f32> {
        let mut out = vec![0.0; weight.len()];
        let filters = weight.chunks_exact(9 * self.inputs);
        for (to, filter) in out.chunks_exact_mut(9 * self.inputs).zip(filters) {
            for (tap, inputs) in filter.chunks_exact(self.inputs).enumerate() {
                for (input, w) in inputs.iter().enumerate() {
                    to[input * 9 + tap] = *w;
                }
            }
        }
        out
    }
}

/// The values in row-major order.
fn contiguous(tensor: &FlexTensor) -> FlexTensor {
    tensor.to_contiguous()
}

fn values(tensor: &FlexTensor) -> &[f32] {
    tensor
        .as_slice::<f32>()
        .expect("a contiguous tensor of f32 is a slice")
}

fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D]) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Output, and the winners of its pools.
fn forward(
    x: &FlexTensor,
    weight: &FlexTensor,
    bias: &FlexTensor,
    pool: [usize; 2],
) -> (FlexTensor, Vec<u8>) {
    let sizes = Sizes::new(x, weight, pool);
    let (x, weight, bias) = (contiguous(x), contiguous(weight), contiguous(bias));
    let (x, bias) = (values(&x), values(&bias));
    assert_eq!(bias.len(), sizes.outputs, "length of the bias");
    let weight = sizes.channels_last(values(&weight));
    let mut output = vec![0.0f32; sizes.batch * sizes.output_len()];
    let mut winners = vec![0u8; output.len()];
    if !output.is_empty() {
        output
            .par_chunks_exact_mut(sizes.output_len())
            .zip(winners.par_chunks_exact_mut(sizes.output_len()))
            .zip(x.par_chunks_exact(sizes.input_len()))
            .for_each(|((output, winners), x)| {
                forward_one(sizes, &weight, bias, &sizes.with_border(x), output, winners);
            });
    }
    let shape = [
        sizes.batch,
        sizes.out_height(),
        sizes.out_width(),
        sizes.outputs,
    ];
    (tensor(output, shape), winners)
}

/// One example; `x` has its border.
fn forward_one(
    sizes: Sizes,
    weight: &[f32],
    bias: &[f32],
    x: &[f32],
    output: &mut [f32],
    winners: &mut [u8],
) {
    let row = sizes.out_width() * sizes.outputs;
    let mut band = vec![0.0f32; sizes.pool[0] * sizes.padded() * sizes.outputs];
    let rows = output
        .chunks_exact_mut(row)
        .zip(winners.chunks_exact_mut(row));
    for (out_row, (output, winners)) in rows.enumerate() {
        convolve_rows(sizes, weight, x, out_row * sizes.pool[0], &mut band);
        pool_row(sizes, bias, &band, output, winners);
    }
}

/// Gradients of input (where it is asked for), weight and bias.
struct Back {
    x: Option<FlexTensor>,
    weight: FlexTensor,
    bias: FlexTensor,
}

fn backward(pass: &Pass, gradient: &FlexTensor, wants_x: bool) -> Back {
    let sizes = Sizes::new(&pass.x, &pass.weight, pass.pool);
    let (x, weight, output) = (
        contiguous(&pass.x),
        contiguous(&pass.weight),
        contiguous(&pass.output),
    );
    let gradient = contiguous(gradient);
    let weight = sizes.channels_last(values(&weight));
    let (x, output, gradient) = (values(&x), values(&output), values(&gradient));
    let example = |of: usize, i: usize| i * of..(i + 1) * of;
    let parts: Vec<_> = (0..PARTS)
        .into_par_iter()
        .map(|part| {
            let mut sums = (
                vec![0.0f32; sizes.weight_len()],
                vec![0.0f32; sizes.outputs],
            );
            let mut backs = Vec::new();
            for i in (part..sizes.batch).step_by(PARTS) {
                let x = sizes.with_border(&x[example(sizes.input_len(), i)]);
                let mut back = wants_x.then(|| vec![0.0f32; x.len()]);
                let range = example(sizes.output_len(), i);
                let one = Example {
                    sizes,
                    weight: &weight,
                    x: &x,
                    output: &output[range.clone()],
                    winners: &pass.winners[range.clone()],
                    gradient: &gradient[range],
                };
                follow(one, &mut sums.0, &mut sums.1, back.as_deref_mut());
                backs.push((i, back));
            }
            (sums, backs)
        })
        .collect();
    let mut to_x = wants_x.then(|| vec![0.0f32; x.len()]);
    let mut sums = (
        vec![0.0f32; sizes.weight_len()],
        vec![0.0f32; sizes.outputs],
    );
    for (more, backs) in parts {
        add(&mut sums.0, &more.0);
        add(&mut sums.1, &more.1);
        for (i, back) in backs {
            if let (Some(to), Some(back)) = (&mut to_x, back) {
                sizes.without_border(&back, &mut to[example(sizes.input_len(), i)]);
            }
        }
    }
    let Sizes {
        batch,
        height,
        width,
        inputs,
        outputs,
        ..
    } = sizes;
    Back {
        x: to_x.map(|values| tensor(values, [batch, height, width, inputs])),
        weight: tensor(sizes.taps_last(&sums.0), [outputs, inputs, 3, 3]),
        bias: tensor(sums.1, [outputs]),
    }
}

fn add(to: &mut [f32], from: &[f32]) {
    for (to, from) in to.iter_mut().zip(from) {
        *to += from;
    }
}

/// Exponential linear unit with alpha 1.
fn elu(x: f32) -> f32 {
    if x > 0.0 { x } else { x.exp_m1() }
}

/// What goes into the backward pass of one example.
#[derive(Clone, Copy)]
struct Example<'a> {
    sizes: Sizes,
    /// Input channels last.
    weight: &'a [f32],
    /// With its border.
    x: &'a [f32],
    output: &'a [f32],
    winners: &'a [u8],
    gradient: &'a [f32],
}

/// Defines `$name`, compiled once for any processor and once for those with AVX2, and takes the one
/// that this one can run.
macro_rules! on_the_widest {
    ($(#[$doc:meta])* fn $name:ident($($argument:ident: $kind:ty),* $(,)?) = $any:ident) => {
        $(#[$doc])*
        fn $name($($argument: $kind),*) {
            #[cfg(target_arch = "x86_64")]
            if std::arch::is_x86_feature_detected!("avx2") {
                #[target_feature(enable = "avx2")]
                fn with_avx2($($argument: $kind),*) {
                    $any($($argument),*);
                }
                #[expect(
                    unsafe_code,
                    reason = "a function compiled for AVX2 can only be called so"
                )]
                // SAFETY: the processor has AVX2: it was just asked.
                unsafe {
                    with_avx2($($argument),*);
                }
                return;
            }
            $any($($argument),*);
        }
    };
}

on_the_widest! {
    /// Adds the gradients of one example to `weights` and `biases`, and to `back`, that of its
    /// input with a border.
    ///
    /// Only one cell in each pool passes its gradient on, so these are sparse sums, an eighth to a
    /// sixteenth of the work of dense products.
    fn follow(
        one: Example<'_>,
        weights: &mut [f32],
        biases: &mut [f32],
        back: Option<&mut [f32]>,
    ) = follow_any
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "is compiled anew for each instruction set it is called from"
)]
fn follow_any(
    one: Example<'_>,
    weights: &mut [f32],
    biases: &mut [f32],
    mut back: Option<&mut [f32]>,
) {
    let sizes = one.sizes;
    let n = sizes.outputs;
    let [pool_rows, pool_columns] = sizes.pool;
    let row_stride = sizes.padded() * sizes.inputs;
    let k = 3 * sizes.inputs;
    for y in 0..sizes.out_height() {
        for x in 0..sizes.out_width() {
            let base = (y * sizes.out_width() + x) * n;
            let output = &one.output[base..base + n];
            let gradient = &one.gradient[base..base + n];
            for c in 0..n {
                let slope = if output[c] > 0.0 {
                    1.0
                } else {
                    output[c] + 1.0
                };
                let value = gradient[c] * slope;
                if value == 0.0 {
                    continue;
                }
                biases[c] += value;
                let code = usize::from(one.winners[base + c]);
                let row = y * pool_rows + code / pool_columns;
                let column = x * pool_columns + code % pool_columns;
                for tap in 0..3 {
                    let from = (row + tap) * row_stride + column * sizes.inputs;
                    let at = (c * 3 + tap) * k;
                    for (sum, &x) in weights[at..at + k].iter_mut().zip(&one.x[from..from + k]) {
                        *sum += value * x;
                    }
                    if let Some(back) = back.as_deref_mut() {
                        for (sum, &w) in
                            back[from..from + k].iter_mut().zip(&one.weight[at..at + k])
                        {
                            *sum += value * w;
                        }
                    }
                }
            }
        }
    }
}

on_the_widest! {
    /// Pools one band of convolved rows into a row of the output.
    fn pool_row(
        sizes: Sizes,
        bias: &[f32],
        band: &[f32],
        output: &mut [f32],
        winners: &mut [u8],
    ) = pool_row_any
}

#[inline(always)]
#[expect(
    clippy::inline_always,
    reason = "is compiled anew for each instruction set it is called from"
)]
fn pool_row_any(sizes: Sizes, bias: &[f32], band: &[f32], output: &mut [f32], winners: &mut [u8]) {
    let n = sizes.outputs;
    let [pool_rows, pool_columns] = sizes.pool;
    // Codes as f32 while they are compared: one width of lanes for both.
    let mut codes = vec![0.0f32; n];
    let places = output.chunks_exact_mut(n).zip(winners.chunks_exact_mut(n));
    for (out_column, (best, winners)) in places.enumerate() {
        best.fill(f32::NEG_INFINITY);
        codes.fill(0.0);
        for row in 0..pool_rows {
            for column in 0..pool_columns {
                let from = (row * sizes.padded() + out_column * pool_columns + column) * n;
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
        for (winner, &code) in winners.iter_mut().zip(&codes) {
            *winner = code as u8;
        }
        for (value, bias) in best.iter_mut().zip(bias) {
            *value = elu(*value + bias);
        }
    }
}

/// Convolves as many rows as the pool takes, from row `first` on, into `band`, shape
/// `[rows, width + 2, outputs]`, whose last two columns of each row are of no use.
fn convolve_rows(sizes: Sizes, weight: &[f32], x: &[f32], first: usize, band: &mut [f32]) {
    let (padded, inputs, outputs) = (sizes.padded(), sizes.inputs, sizes.outputs);
    let places = sizes.pool[0] * padded - 2;
    let k = 3 * inputs;
    if inputs == 1 {
        // Three products of depth 3 would be all overhead: gather the nine taps and do one.
        let mut taps = vec![0.0f32; places * 9];
        for (place, taps) in taps.chunks_exact_mut(9).enumerate() {
            for tap in 0..3 {
                let from = (first + tap) * padded + place;
                taps[3 * tap..3 * tap + 3].copy_from_slice(&x[from..from + 3]);
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
        let view = &x[(first + tap) * padded * inputs..];
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
struct Matrix<'a> {
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
    fn new(
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

/// `to = left x right`, or `to += left x right` when `adds`; `to` has `stride` values a row. One
/// thread.
///
/// # Panics
/// When the sizes do not agree.
fn product(left: Matrix<'_>, right: Matrix<'_>, to: &mut [f32], stride: usize, adds: bool) {
    assert_eq!(left.columns, right.rows);
    assert!(stride >= right.columns);
    if left.rows == 0 || right.columns == 0 {
        return;
    }
    assert!((left.rows - 1) * stride + right.columns <= to.len());
    // SAFETY: `Matrix::new` checked that every value of `left` and `right` lies inside its slice,
    // the assertion above that every value of `to` does; `to` is borrowed mutably, so it overlaps
    // neither.
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
    use burn::tensor::{
        Device,
        activation::elu,
        module::{conv2d, max_pool2d},
        ops::{ConvOptions, MaxPoolOptions},
    };

    use super::*;
    use crate::rng::Rng;

    /// The same of burn's own operations, channels last as here.
    fn composed(x: Tensor<4>, weight: Tensor<4>, bias: Tensor<1>, pool: [usize; 2]) -> Tensor<4> {
        let options = ConvOptions::new([1, 1], [1, 1], [1, 1], 1);
        let x = conv2d(x.permute([0, 3, 1, 2]), weight, Some(bias), options);
        let pooled = max_pool2d(x, MaxPoolOptions::new(pool));
        elu(pooled, 1.0).permute([0, 2, 3, 1])
    }

    fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().try_to_vec().unwrap()
    }

    #[test]
    fn output_and_gradients_are_those_of_the_librarys_own_operations() {
        let device = Device::flex().autodiff();
        for (batch, inputs, outputs, pool, height, width) in [
            (3, 1, 8, [2, 4], 12, 35),
            (11, 5, 7, [3, 5], 13, 21),
            (2, 16, 24, [4, 4], 4, 4),
            (1, 2, 3, [1, 1], 3, 2),
        ] {
            let mut rng = Rng::at(3, &[inputs as u64]);
            let mut random = |n: usize, scale: f32| -> Vec<f32> {
                (0..n).map(|_| scale * rng.normal()).collect()
            };
            let x = random(batch * height * width * inputs, 1.0);
            let weight = random(9 * inputs * outputs, 0.3);
            let bias = random(outputs, 1.0);
            let out_len = batch * (height / pool[0]) * (width / pool[1]) * outputs;
            let pull = random(out_len, 1.0);
            let run = |of: fn(Tensor<4>, Tensor<4>, Tensor<1>, [usize; 2]) -> Tensor<4>| {
                let leaf = |values: &[f32], shape: [usize; 4]| {
                    let data = TensorData::new(values.to_vec(), shape);
                    Tensor::<4>::from_data(data, &device).require_grad()
                };
                let x = leaf(&x, [batch, height, width, inputs]);
                let weight = leaf(&weight, [outputs, inputs, 3, 3]);
                let data = TensorData::new(bias.clone(), [outputs]);
                let bias = Tensor::<1>::from_data(data, &device).require_grad();
                let out = of(x.clone(), weight.clone(), bias.clone(), pool);
                let data = TensorData::new(pull.clone(), out.dims());
                let loss = (out.clone() * Tensor::from_data(data, &device)).sum();
                let gradients = loss.backward();
                [
                    floats(out),
                    floats(x.grad(&gradients).unwrap()),
                    floats(weight.grad(&gradients).unwrap()),
                    floats(bias.grad(&gradients).unwrap()),
                ]
            };
            for (what, (ours, theirs)) in run(block).iter().zip(run(composed)).enumerate() {
                assert_eq!(ours.len(), theirs.len());
                let largest = theirs.iter().fold(1.0f32, |m, v| m.max(v.abs()));
                for (a, b) in ours.iter().zip(&theirs) {
                    assert!((a - b).abs() < 1e-5 * largest, "{what}: {a} {b}");
                }
            }
        }
    }

    #[test]
    fn results_do_not_depend_on_the_number_of_threads() {
        let device = Device::flex().autodiff();
        let run = |threads: usize| {
            let pool = rayon::ThreadPoolBuilder::new()
                .num_threads(threads)
                .build()
                .unwrap();
            pool.install(|| {
                let mut rng = Rng::at(5, &[]);
                let mut leaf = |shape: [usize; 4]| {
                    let n = shape.iter().product();
                    let values: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
                    Tensor::<4>::from_data(TensorData::new(values, shape), &device).require_grad()
                };
                let (x, weight) = (leaf([13, 6, 10, 4]), leaf([5, 4, 3, 3]));
                let bias = Tensor::<1>::zeros([5], &device).require_grad();
                let out = block(x.clone(), weight.clone(), bias.clone(), [2, 2]);
                let gradients = out.square().sum().backward();
                (
                    floats(x.grad(&gradients).unwrap()),
                    floats(weight.grad(&gradients).unwrap()),
                    floats(bias.grad(&gradients).unwrap()),
                )
            })
        };
        let one = run(1);
        assert!(run(2) == one && run(5) == one);
    }
}
