//! What the networks compute, as operators that tract runs. Each writes its output where it
//! wrote it the last time ([`Recycled`]).

use std::{fmt, sync::Arc};

#[allow(
    clippy::wildcard_imports,
    reason = "tract's macros name what its prelude for operators exports"
)]
use tract_core::internal::*;

use super::super::{
    architecture::StatisticKind,
    kernel::{Convolution, Input, Output, Scratch, elu},
};

/// The columns that a tensor holds.
pub(super) fn columns_of(tensor: &TValue) -> TractResult<Input<'_>> {
    Ok(if tensor.datum_type() == u8::datum_type() {
        Input::U8(tensor.try_as_plain_ram()?.as_slice::<u8>()?)
    } else {
        Input::F32(tensor.try_as_plain_ram()?.as_slice::<f32>()?)
    })
}

/// A tensor that is written again once nobody else holds it any more.
#[derive(Clone, Debug, Default)]
pub(super) struct Recycled(Option<Arc<Tensor>>);

impl Recycled {
    /// A tensor of `shape`, of bytes or else of floats, as `fill` leaves it; it comes with what it
    /// held before.
    pub(super) fn write(
        &mut self,
        bytes: bool,
        shape: &[usize],
        fill: impl FnOnce(&mut Tensor) -> TractResult<()>,
    ) -> TractResult<TValue> {
        let datum = if bytes {
            u8::datum_type()
        } else {
            f32::datum_type()
        };
        let fits = |tensor: &Arc<Tensor>| {
            tensor.datum_type() == datum
                && tensor.shape() == shape
                && Arc::strong_count(tensor) == 1
        };
        let mut tensor = match self.0.take().filter(fits) {
            Some(tensor) => tensor,
            None => Arc::new(Tensor::zero_dt(datum, shape)?),
        };
        fill(Arc::get_mut(&mut tensor).context("a tensor of another owner")?)?;
        self.0 = Some(Arc::clone(&tensor));
        Ok(tensor.into_tvalue())
    }
}

/// What an operator of ours computes. Extents are fixed when a plan is compiled.
pub(super) trait Compute:
    Clone + fmt::Debug + PartialEq + Eq + Send + Sync + 'static
{
    /// Working memory; nothing of one turn reaches the next.
    type Memory: Default + Clone + fmt::Debug + Send;

    const NAME: &'static str;

    /// Extents of the output.
    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize>;

    /// Whether the output is in bytes.
    fn writes_bytes(&self) -> bool {
        false
    }

    /// Fills the output, which holds anything.
    fn compute(
        &self,
        inputs: &[TValue],
        output: &mut Tensor,
        memory: &mut Self::Memory,
    ) -> TractResult<()>;
}

/// [`Compute`] as tract wants to see it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Operator<T>(pub(super) T);

#[derive(Clone, Debug)]
struct OperatorState<T: Compute> {
    memory: T::Memory,
    output: Recycled,
}

impl<T: Compute> OperatorState<T> {
    fn new() -> Self {
        Self {
            memory: T::Memory::default(),
            output: Recycled::default(),
        }
    }

    fn run(&mut self, op: &T, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let shapes: TVec<&[usize]> = inputs.iter().map(|input| input.shape()).collect();
        let extents = op.extents(&shapes);
        let Self { memory, output } = self;
        let output = output.write(op.writes_bytes(), &extents, |tensor| {
            op.compute(inputs, tensor, memory)
        })?;
        Ok(tvec!(output))
    }
}

impl<T: Compute> Op for Operator<T> {
    fn name(&self) -> StaticName {
        T::NAME.into()
    }

    op_as_typed_op!();
}

impl<T: Compute> EvalOp for Operator<T> {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        OperatorState::<T>::new().run(&self.0, &inputs).map(Some)
    }

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(OperatorState::<T>::new())))
    }
}

impl<T: Compute> TypedOp for Operator<T> {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shapes = inputs.iter().map(|fact| {
            fact.shape
                .as_concrete()
                .context("extents are fixed in our plans")
        });
        let extents = self.0.extents(&shapes.collect::<TractResult<TVec<_>>>()?);
        Ok(tvec!(if self.0.writes_bytes() {
            u8::fact(&extents)
        } else {
            f32::fact(&extents)
        }))
    }

    as_op!();
}

impl<T: Compute> OpState for OperatorState<T> {
    fn eval(
        &mut self,
        _: &EvalContext,
        op: &dyn Op,
        inputs: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        let op = op
            .downcast_ref::<Operator<T>>()
            .context("the state of another operator")?;
        self.run(&op.0, &inputs)
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

/// Floats of a tensor.
macro_rules! floats {
    ($tensor:expr) => {
        $tensor.try_as_plain_ram()?.as_slice::<f32>()?
    };
    (mut $tensor:expr) => {
        $tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?
    };
}

/// Convolution, bias, max pool, ELU and requantisation in one pass ([`super::super::kernel`]), from
/// `[columns * pool + 2, rows, channels]` to `[columns, rows / pool, filters]`. Weights are shared
/// by every plan and every stream.
#[derive(Clone, Debug)]
pub(super) struct Fused(pub(super) Arc<Convolution>);

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fused {}

impl Compute for Fused {
    type Memory = Scratch;

    const NAME: &'static str = "Fused";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        let shape = self.0.shape();
        tvec!(
            shape.columns_out(inputs[0][0]),
            shape.rows_out(),
            shape.filters
        )
    }

    fn writes_bytes(&self) -> bool {
        self.0.output().is_some()
    }

    fn compute(
        &self,
        inputs: &[TValue],
        output: &mut Tensor,
        memory: &mut Scratch,
    ) -> TractResult<()> {
        let input = columns_of(&inputs[0])?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = if self.writes_bytes() {
            Output::U8(plain.as_slice_mut::<u8>()?)
        } else {
            Output::F32(plain.as_slice_mut::<f32>()?)
        };
        Ok(self.0.run(input, output, memory)?)
    }
}

/// `max(x, 0) + min(exp(x) - 1, 0)`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Elu;

impl Compute for Elu {
    type Memory = ();

    const NAME: &'static str = "Elu";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        inputs[0].into()
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        for (output, &input) in floats!(mut output).iter_mut().zip(floats!(inputs[0])) {
            *output = elu(input);
        }
        Ok(())
    }
}

/// `[column, row, channel]` as the vector `[channel, row, column]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Flatten;

impl Compute for Flatten {
    type Memory = ();

    const NAME: &'static str = "Flatten";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(inputs[0].iter().product())
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let (columns, rows, channels) = extents(&inputs[0]);
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        for (index, &value) in floats!(inputs[0]).iter().enumerate() {
            let (column, row, channel) = (
                index / (rows * channels),
                index / channels % rows,
                index % channels,
            );
            output[(channel * rows + row) * columns + column] = value;
        }
        Ok(())
    }
}

/// `[column, row, channel]` as steps `[column, channel * row]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Steps;

impl Compute for Steps {
    type Memory = ();

    const NAME: &'static str = "Steps";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(inputs[0][0], inputs[0][1] * inputs[0][2])
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let (_, rows, channels) = extents(&inputs[0]);
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        for (index, &value) in floats!(inputs[0]).iter().enumerate() {
            let (column, row, channel) = (
                index / (rows * channels),
                index / channels % rows,
                index % channels,
            );
            output[(column * channels + channel) * rows + row] = value;
        }
        Ok(())
    }
}

/// Extents of `[column, row, channel]`.
fn extents(input: &TValue) -> (usize, usize, usize) {
    (input.shape()[0], input.shape()[1], input.shape()[2])
}

/// The last row of a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct LastRow;

impl Compute for LastRow {
    type Memory = ();

    const NAME: &'static str = "LastRow";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(inputs[0][1])
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        let view = inputs[0].try_as_plain_ram()?;
        let input = view.as_slice::<f32>()?;
        output.copy_from_slice(&input[input.len() - output.len()..]);
        Ok(())
    }
}

/// Vectors, one after the other.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Join;

impl Compute for Join {
    type Memory = ();

    const NAME: &'static str = "Join";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(inputs.iter().map(|shape| shape[0]).sum())
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let mut plain = output.try_as_plain_ram_mut()?;
        let mut rest = plain.as_slice_mut::<f32>()?;
        for input in inputs {
            let view = input.try_as_plain_ram()?;
            let values = view.as_slice::<f32>()?;
            let (place, after) = rest.split_at_mut(values.len());
            place.copy_from_slice(values);
            rest = after;
        }
        Ok(())
    }
}

/// `weight * x + bias`; inputs: x, weight `[out, in]`, bias.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Dense;

impl Compute for Dense {
    type Memory = ();

    const NAME: &'static str = "Dense";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        inputs[2].into()
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let views: TVec<_> = inputs
            .iter()
            .map(|input| input.try_as_plain_ram())
            .collect::<TractResult<_>>()?;
        let (input, weight) = (views[0].as_slice::<f32>()?, views[1].as_slice::<f32>()?);
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        let rows = weight
            .chunks_exact(input.len())
            .zip(views[2].as_slice::<f32>()?);
        for (output, (row, bias)) in output.iter_mut().zip(rows) {
            *output = bias + dot(row, input);
        }
        Ok(())
    }
}

/// A Keras 1 GRU over the rows of its first input, from a state of zeros, all states as output:
/// gates are `clip(0.2 v + 0.5, 0, 1)`, the reset gate acts on the state before the recurrent
/// product, and the update gate keeps: `h' = z * h + (1 - z) * tanh(..)`. Other inputs: the
/// weights, as [`super::super::bundle`] names them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Gru {
    pub(super) units: usize,
}

impl Compute for Gru {
    /// State, state behind the reset gate, and the three gates.
    type Memory = Vec<f32>;

    const NAME: &'static str = "Gru";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(inputs[0][0], self.units)
    }

    fn compute(
        &self,
        inputs: &[TValue],
        output: &mut Tensor,
        memory: &mut Vec<f32>,
    ) -> TractResult<()> {
        let views: TVec<_> = inputs
            .iter()
            .map(|input| input.try_as_plain_ram())
            .collect::<TractResult<_>>()?;
        let (steps, input) = (views[0].as_slice::<f32>()?, views[1].as_slice::<f32>()?);
        let (recurrent, bias) = (views[2].as_slice::<f32>()?, views[3].as_slice::<f32>()?);
        let (features, units) = (inputs[0].shape()[1], self.units);
        let mut plain = output.try_as_plain_ram_mut()?;
        memory.clear();
        memory.resize(5 * units, 0.0);
        let (state, rest) = memory.split_at_mut(units);
        let (scaled, gates) = rest.split_at_mut(units);
        let hard_sigmoid = |value: f32| (0.2 * value + 0.5).clamp(0.0, 1.0);
        let row = |gate: usize| &recurrent[gate * units..(gate + 1) * units];
        let outputs = plain.as_slice_mut::<f32>()?.chunks_exact_mut(units);
        for (step, output) in steps.chunks_exact(features).zip(outputs) {
            for ((gate, weights), bias) in
                gates.iter_mut().zip(input.chunks_exact(features)).zip(bias)
            {
                *gate = bias + dot(weights, step);
            }
            for index in 0..units {
                let reset = hard_sigmoid(gates[units + index] + dot(row(units + index), state));
                scaled[index] = reset * state[index];
            }
            for index in 0..units {
                let update = hard_sigmoid(gates[index] + dot(row(index), state));
                let candidate =
                    (gates[2 * units + index] + dot(row(2 * units + index), scaled)).tanh();
                output[index] = update * state[index] + (1.0 - update) * candidate;
            }
            state.copy_from_slice(output);
        }
        Ok(())
    }
}

/// Sum of products, in eight running sums: the order is fixed, and a compiler can keep them in one
/// register.
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let mut sums = [0.0_f32; 8];
    let (heads, tails) = (a.chunks_exact(8), b.chunks_exact(8));
    let rest: f32 = heads
        .remainder()
        .iter()
        .zip(tails.remainder())
        .map(|(a, b)| a * b)
        .sum();
    for (a, b) in heads.zip(tails) {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums.iter().sum::<f32>() + rest
}

/// One statistic of `[column, row, channel]` as the vector `[channel, group of rows]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Statistics {
    pub(super) kind: StatisticKind,
    pub(super) groups: usize,
}

impl Compute for Statistics {
    /// Means, where deviations are asked for.
    type Memory = Vec<f32>;

    const NAME: &'static str = "Statistics";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        tvec!(self.groups * inputs[0][2])
    }

    fn compute(
        &self,
        inputs: &[TValue],
        output: &mut Tensor,
        means: &mut Vec<f32>,
    ) -> TractResult<()> {
        let (_, rows, channels) = extents(&inputs[0]);
        let groups = self.groups;
        let view = inputs[0].try_as_plain_ram()?;
        let values = view.as_slice::<f32>()?;
        let n = (values.len() / (channels * groups)) as f32;
        // Accumulates over all places, for each channel and group.
        let fold = |totals: &mut [f32], start: f32, f: &dyn Fn(usize, f32, f32) -> f32| {
            totals.fill(start);
            for (place, values) in values.chunks_exact(channels).enumerate() {
                let group = place % rows / (rows / groups);
                for (channel, &value) in values.iter().enumerate() {
                    let index = channel * groups + group;
                    totals[index] = f(index, totals[index], value);
                }
            }
        };
        let divide = |totals: &mut [f32]| {
            for total in totals {
                *total /= n;
            }
        };
        let mut plain = output.try_as_plain_ram_mut()?;
        let totals = plain.as_slice_mut::<f32>()?;
        match self.kind {
            StatisticKind::Max => fold(totals, f32::NEG_INFINITY, &|_, a, b| a.max(b)),
            StatisticKind::Mean => {
                fold(totals, 0.0, &|_, a, b| a + b);
                divide(totals);
            }
            StatisticKind::Std => {
                means.resize(totals.len(), 0.0);
                fold(means, 0.0, &|_, a, b| a + b);
                divide(means);
                fold(totals, 0.0, &|index, sum, value| {
                    sum + (value - means[index]).powi(2)
                });
                divide(totals);
                for total in totals {
                    *total = total.sqrt();
                }
            }
        }
        Ok(())
    }
}
