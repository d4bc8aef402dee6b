//! The networks in tract: the only file that names it.
//!
//! Each block is a plan of its own over `[column, frequency, channel]`, so that [`super::rolling`] decides which columns of which block are
//! computed. A block's plan takes its input columns with one neighbour at each side (zeros beyond the window) and pads
//! frequency only. Everything above the trunk is one plan per score, the head.
//!
//! A block is one operator of ours, [`Fused`], which wraps [`super::kernel`]; or, by [`Engine::Tract`], tract's own convolution and pool.
//! Channels stand last in both: for tract, that means a lazy im2col and a matrix product, the faster of its two ways for these
//! shapes.

use std::{
    ops::Range,
    sync::{Arc, OnceLock},
};

#[expect(
    clippy::wildcard_imports,
    reason = "tract's macros name what its prelude for operators exports"
)]
use tract_core::{
    internal::*,
    ops::{
        array::TypedConcat,
        cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec},
        einsum::EinSum,
        nn::DataFormat,
    },
};

use super::{
    Engine,
    architecture::{Architecture, Block, KERNEL, Pooling, StatisticKind},
    bundle::{Bundle, ModelError, Values},
    kernel::{Convolution, Input, Output, Path, Quantisation, Scratch, Shape},
};

/// Output columns that one run of a block's plan makes, largest first. A plan is compiled for fixed extents; any number of columns is
/// made of these.
const CHUNKS: [usize; 3] = [16, 4, 1];

/// Most values of a convolution's output in one run, so that it stays in the cache (1 MiB).
const CHUNK_VALUES: usize = 256 << 10;

/// The plans of a model, shared by all its streams.
#[derive(Debug)]
pub(super) struct Graph {
    blocks: Vec<BlockPlans>,
    head: Arc<TypedSimplePlan>,
    head_inputs: Vec<usize>,
}

/// What one stream needs to run a [`Graph`].
#[derive(Debug)]
pub(super) struct Runner {
    graph: Arc<Graph>,
    blocks: Vec<[Option<TypedSimpleState>; CHUNKS.len()]>,
    head: Option<TypedSimpleState>,
}

/// Extents of a block's input and output, per column.
#[derive(Clone, Copy, Debug)]
struct Geometry {
    block: Block,
    channels_in: usize,
    rows_in: usize,
}

#[derive(Debug)]
struct BlockPlans {
    geometry: Geometry,
    form: Form,
    /// How its input is held, if not in floats.
    input: Option<Quantisation>,
    plans: [OnceLock<Option<Arc<TypedSimplePlan>>>; CHUNKS.len()],
}

/// What computes a block.
#[derive(Clone, Debug)]
enum Form {
    Fused(Fused),
    Tract {
        /// `[filters, channels in, time, frequency]`.
        weight: Arc<Tensor>,
        bias: Arc<Tensor>,
    },
}

impl Geometry {
    fn rows_out(self) -> usize {
        self.rows_in / self.block.pool[0]
    }

    fn column_out(self) -> usize {
        self.rows_out() * self.block.filters
    }
}

impl Graph {
    /// Builds all plans. `bundle` has been checked.
    pub(super) fn new(
        bundle: &Bundle,
        engine: Engine,
        path: Path,
    ) -> Result<Arc<Self>, ModelError> {
        Self::build(bundle, engine, path)
            .map(Arc::new)
            .map_err(|error| ModelError::Build {
                reason: format!("{error:#}"),
            })
    }

    fn build(bundle: &Bundle, engine: Engine, path: Path) -> TractResult<Self> {
        let architecture = &bundle.card.architecture;
        let (mut rows_in, mut channels_in) = (bundle.card.front_end.n_mels, 1);
        let mut blocks = Vec::with_capacity(architecture.blocks.len());
        for (index, &block) in architecture.blocks.iter().enumerate() {
            let geometry = Geometry {
                block,
                channels_in,
                rows_in,
            };
            let (form, input) = match engine {
                Engine::Fused => {
                    let input = integer_input(bundle, index);
                    let convolution = convolution(bundle, index, geometry, (input, path))?;
                    (Form::Fused(Fused(Arc::new(convolution))), input)
                }
                Engine::Tract => {
                    let name = format!("block{}", index + 1);
                    let weight = kernel(&constant(bundle, &format!("{name}.weight"))?)?;
                    let bias = constant(bundle, &format!("{name}.bias"))?;
                    let (weight, bias) = (weight.into_arc_tensor(), bias.into_arc_tensor());
                    (Form::Tract { weight, bias }, None)
                }
            };
            let mut plans = BlockPlans {
                geometry,
                form,
                input,
                plans: Default::default(),
            };
            // The single column is what every other number of columns falls back on, so it must exist.
            plans.plans[CHUNKS.len() - 1] = OnceLock::from(Some(plans.compile(1)?));
            blocks.push(plans);
            (rows_in, channels_in) = (geometry.rows_out(), block.filters);
        }
        let (head, head_inputs) = head(bundle, &blocks)?;
        Ok(Self {
            blocks,
            head,
            head_inputs,
        })
    }

    /// Values in an output column of block `index` (from 0).
    pub(super) fn column_len(&self, index: usize) -> usize {
        self.blocks[index].geometry.column_out()
    }

    /// Mel columns or output columns of the block below, per output column of block `index`.
    pub(super) fn time_pool(&self, index: usize) -> usize {
        self.blocks[index].geometry.block.pool[1]
    }
}

impl Graph {
    /// How block `index` (from 0) writes, if not in floats.
    pub(super) fn output(&self, index: usize) -> Option<Quantisation> {
        match &self.blocks[index].form {
            Form::Fused(fused) => fused.0.output(),
            Form::Tract { .. } => None,
        }
    }
}

/// How block `index` (from 0) reads, if it is computed in integers: its weights are, and the range of what it reads is known.
fn integer_input(bundle: &Bundle, index: usize) -> Option<Quantisation> {
    let weights = bundle.tensors.get(&format!("block{}.weight", index + 1))?;
    let below = bundle.output_range(index.checked_sub(1)?)?;
    matches!(weights.values(), Values::I8 { .. }).then_some(below)
}

fn convolution(
    bundle: &Bundle,
    index: usize,
    geometry: Geometry,
    (input, path): (Option<Quantisation>, Path),
) -> TractResult<Convolution> {
    let name = format!("block{}", index + 1);
    let tensor = |part: &str| {
        let name = format!("{name}.{part}");
        bundle
            .tensors
            .get(&name)
            .with_context(|| format!("{name} is missing"))
    };
    let (weights, bias) = (tensor("weight")?, tensor("bias")?.to_f32());
    let shape = Shape {
        rows: geometry.rows_in,
        channels: geometry.channels_in,
        filters: geometry.block.filters,
        pool: geometry.block.pool,
    };
    let output = integer_input(bundle, index + 1);
    Ok(match (weights.values(), input) {
        (Values::I8 { int8, scales }, Some(input)) => {
            Convolution::integer(path, shape, (int8, scales), &bias, input, output)
        }
        _ => Convolution::float(path, shape, &weights.to_f32(), &bias, output),
    })
}

impl BlockPlans {
    fn compile(&self, columns: usize) -> TractResult<Arc<TypedSimplePlan>> {
        let Geometry {
            block,
            channels_in,
            rows_in,
        } = self.geometry;
        let mut model = TypedModel::default();
        let shape = [columns * block.pool[1] + KERNEL - 1, rows_in, channels_in];
        let fact = if self.input.is_some() {
            u8::fact(shape)
        } else {
            f32::fact(shape)
        };
        let input = model.add_source("input", fact)?;
        let output = wire_block(&mut model, input, self)?;
        model.select_output_outlets(&[output])?;
        TypedSimplePlan::new(model.into_optimized()?)
    }

    fn plan(&self, chunk: usize) -> Option<&Arc<TypedSimplePlan>> {
        let Geometry { block, rows_in, .. } = self.geometry;
        let values = CHUNKS[chunk] * block.pool[1] * rows_in * block.filters;
        if CHUNKS[chunk] > 1 && values > CHUNK_VALUES {
            return None;
        }
        self.plans[chunk]
            .get_or_init(|| self.compile(CHUNKS[chunk]).ok())
            .as_ref()
    }
}

/// One block, from `[columns * pool + 2, rows, channels]` to `[columns, rows / pool, filters]`: the place where a convolution block becomes
/// tract nodes.
fn wire_block(
    model: &mut TypedModel,
    input: OutletId,
    plans: &BlockPlans,
) -> TractResult<OutletId> {
    let Geometry {
        block, channels_in, ..
    } = plans.geometry;
    let (weight, bias) = match &plans.form {
        Form::Fused(fused) => return Ok(model.wire_node("block", fused.clone(), &[input])?[0]),
        Form::Tract { weight, bias } => (weight, bias),
    };
    let weight = model.add_const("weight", Arc::clone(weight))?;
    let bias = model.add_const("bias", Arc::clone(bias))?;
    let convolution = Conv {
        pool_spec: PoolSpec {
            data_format: DataFormat::HWC,
            kernel_shape: tvec!(KERNEL, KERNEL),
            padding: PaddingSpec::Explicit(tvec!(0, 1), tvec!(0, 1)),
            dilations: None,
            strides: None,
            input_channels: channels_in,
            output_channels: block.filters,
        },
        kernel_fmt: KernelFormat::OIHW,
        group: 1,
        q_params: None,
    };
    let wire = model.wire_node("convolution", convolution, &[input, weight, bias])?[0];
    let extents: TVec<usize> = tvec!(block.pool[1], block.pool[0]);
    let pool = MaxPool {
        pool_spec: PoolSpec {
            data_format: DataFormat::HWC,
            kernel_shape: extents.clone(),
            padding: PaddingSpec::Valid,
            dilations: None,
            strides: Some(extents),
            input_channels: block.filters,
            output_channels: block.filters,
        },
        with_index_outputs: None,
    };
    let wire = model.wire_node("pool", pool, &[wire])?[0];
    Ok(model.wire_node("elu", Elu, &[wire])?[0])
}

/// From the outputs of blocks to the embedding and the logits.
fn head(bundle: &Bundle, blocks: &[BlockPlans]) -> TractResult<(Arc<TypedSimplePlan>, Vec<usize>)> {
    let Architecture {
        pooling,
        statistics,
        head,
        ..
    } = &bundle.card.architecture;
    let mut model = TypedModel::default();
    let mut inputs: Vec<(usize, OutletId)> = Vec::new();
    let mut parts: TVec<OutletId> = tvec!();
    let mut input_of = |model: &mut TypedModel, index: usize| -> TractResult<OutletId> {
        if let Some((_, outlet)) = inputs.iter().find(|(other, _)| *other == index) {
            return Ok(*outlet);
        }
        let geometry = blocks[index].geometry;
        let columns = model.symbols.new_with_prefix("columns");
        let shape: TVec<TDim> = tvec!(
            columns.into(),
            geometry.rows_out().to_dim(),
            geometry.block.filters.to_dim()
        );
        let outlet = model.add_source(format!("block{}", index + 1), f32::fact(&shape))?;
        inputs.push((index, outlet));
        Ok(outlet)
    };
    let last = blocks.len() - 1;
    let geometry = blocks[last].geometry;
    match pooling {
        Pooling::Flatten => {
            let input = input_of(&mut model, last)?;
            let columns = bundle.card.architecture.frame_columns_of(last);
            let flatten = Flatten {
                len: columns * geometry.column_out(),
            };
            parts.push(model.wire_node("flatten", flatten, &[input])?[0]);
        }
        Pooling::Gru { units } => {
            let input = input_of(&mut model, last)?;
            let mut wire = model.wire_node("steps", Steps, &[input])?[0];
            for (index, &units) in units.iter().enumerate() {
                let name = format!("gru{}", index + 1);
                let mut wires = tvec!(wire);
                for part in ["input", "recurrent", "bias"] {
                    let name = format!("{name}.{part}");
                    wires.push(model.add_const(name.clone(), constant(bundle, &name)?)?);
                }
                wire = model.wire_node(name, Gru { units }, &wires)?[0];
            }
            let last = units.last().copied().unwrap_or(0);
            parts.push(model.wire_node("state", LastRow { len: last }, &[wire])?[0]);
        }
        Pooling::None => {}
    }
    for (index, statistic) in statistics.iter().enumerate() {
        let input = input_of(&mut model, statistic.block - 1)?;
        let filters = blocks[statistic.block - 1].geometry.block.filters;
        let op = Statistics {
            kind: statistic.kind,
            groups: statistic.groups,
            filters,
        };
        parts.push(model.wire_node(format!("statistic{}", index + 1), op, &[input])?[0]);
    }
    let mut embedding = match parts.as_slice() {
        [one] => *one,
        _ => model.wire_node("pooled", TypedConcat { axis: 0 }, &parts)?[0],
    };
    if head.hidden.is_some() {
        let wire = wire_dense(&mut model, bundle, "hidden", embedding)?;
        embedding = model.wire_node("hidden.elu", Elu, &[wire])?[0];
    }
    let logits = wire_dense(&mut model, bundle, "output", embedding)?;
    model.select_output_outlets(&[embedding, logits])?;
    let plan = TypedSimplePlan::new(model.into_optimized()?)?;
    Ok((plan, inputs.iter().map(|(index, _)| *index).collect()))
}

fn wire_dense(
    model: &mut TypedModel,
    bundle: &Bundle,
    name: &str,
    input: OutletId,
) -> TractResult<OutletId> {
    let weight = model.add_const(
        format!("{name}.weight"),
        constant(bundle, &format!("{name}.weight"))?,
    )?;
    let bias = model.add_const(
        format!("{name}.bias"),
        constant(bundle, &format!("{name}.bias"))?,
    )?;
    let product = EinSum::new("ok,k->o".parse()?, f32::datum_type());
    let wire = model.wire_node(format!("{name}.product"), product, &[weight, input])?[0];
    Ok(model.wire_node(name, tract_core::ops::math::add(), &[wire, bias])?[0])
}

fn constant(bundle: &Bundle, name: &str) -> TractResult<Tensor> {
    let weights = bundle
        .tensors
        .get(name)
        .with_context(|| format!("{name} is missing"))?;
    Tensor::from_shape(weights.shape(), &weights.to_f32())
}

/// `[out, in, frequency, time]` as `[out, in, time, frequency]`.
fn kernel(weight: &Tensor) -> TractResult<Tensor> {
    weight.clone().permute_axes(&[0, 1, 3, 2])
}

impl Runner {
    pub(super) fn new(graph: &Arc<Graph>) -> Self {
        let blocks = graph.blocks.iter().map(|_| Default::default()).collect();
        Self {
            graph: Arc::clone(graph),
            blocks,
            head: None,
        }
    }

    /// Computes output columns `range` of block `index`. `read(first, buffer)` fills `buffer`, which holds zero (or what stands for it), with input columns from
    /// `first` on (it may be -1, and reach beyond the end); `write(first, values)` takes output columns.
    ///
    /// Errors only come from within tract; the model was run once when it was loaded.
    pub(super) fn block(
        &mut self,
        index: usize,
        range: Range<usize>,
        mut read: impl FnMut(isize, Output<'_>),
        mut write: impl FnMut(usize, Input<'_>),
    ) -> TractResult<()> {
        let plans = &self.graph.blocks[index];
        let Geometry {
            block,
            channels_in,
            rows_in,
        } = plans.geometry;
        let mut column = range.start;
        while column < range.end {
            let fits = |&chunk: &usize| CHUNKS[chunk] <= range.end - column;
            let (chunk, plan) = (0..CHUNKS.len())
                .filter(fits)
                .find_map(|chunk| Some((chunk, plans.plan(chunk)?)))
                .context("no plan for one column")?;
            let state = match &mut self.blocks[index][chunk] {
                Some(state) => state,
                empty => empty.insert(plan.spawn()?),
            };
            let shape = [
                CHUNKS[chunk] * block.pool[1] + KERNEL - 1,
                rows_in,
                channels_in,
            ];
            let first = (column * block.pool[1]).cast_signed() - 1;
            let input = match plans.input {
                None => {
                    let mut input = Tensor::zero::<f32>(&shape)?;
                    let mut plain = input.try_as_plain_ram_mut()?;
                    read(first, Output::F32(plain.as_slice_mut::<f32>()?));
                    drop(plain);
                    input
                }
                Some(quantisation) => {
                    let mut input = Tensor::zero::<u8>(&shape)?;
                    let mut plain = input.try_as_plain_ram_mut()?;
                    let values = plain.as_slice_mut::<u8>()?;
                    values.fill(quantisation.zero);
                    read(first, Output::U8(values));
                    drop(plain);
                    input
                }
            };
            let output = state.run(tvec!(input.into_tvalue()))?;
            write(column, columns_of(&output[0])?);
            column += CHUNKS[chunk];
        }
        Ok(())
    }

    /// Runs the head. `read(block, buffer)` appends all output columns of `block` (from 0) to `buffer`; `write` takes embedding and logits.
    pub(super) fn head(
        &mut self,
        mut read: impl FnMut(usize) -> Vec<f32>,
        write: impl FnOnce(&[f32], &[f32]),
    ) -> TractResult<()> {
        let mut inputs = tvec!();
        for &block in &self.graph.head_inputs {
            let geometry = self.graph.blocks[block].geometry;
            let values = read(block);
            let shape = [
                values.len() / geometry.column_out(),
                geometry.rows_out(),
                geometry.block.filters,
            ];
            inputs.push(Tensor::from_shape(&shape, &values)?.into_tvalue());
        }
        let state = match &mut self.head {
            Some(state) => state,
            empty => empty.insert(self.graph.head.spawn()?),
        };
        let outputs = state.run(inputs)?;
        let (embedding, logits) = (
            outputs[0].try_as_plain_ram()?,
            outputs[1].try_as_plain_ram()?,
        );
        write(embedding.as_slice::<f32>()?, logits.as_slice::<f32>()?);
        Ok(())
    }
}

fn columns_of(tensor: &TValue) -> TractResult<Input<'_>> {
    Ok(if tensor.datum_type() == u8::datum_type() {
        Input::U8(tensor.try_as_plain_ram()?.as_slice::<u8>()?)
    } else {
        Input::F32(tensor.try_as_plain_ram()?.as_slice::<f32>()?)
    })
}

/// Convolution, bias, max pool, ELU and requantisation in one pass ([`super::kernel`]), from `[columns * pool + 2, rows, channels]` to
/// `[columns, rows / pool, filters]`. Weights are shared by every plan and every stream.
#[derive(Clone, Debug)]
struct Fused(Arc<Convolution>);

impl PartialEq for Fused {
    fn eq(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.0, &other.0)
    }
}

impl Eq for Fused {}

impl Fused {
    fn run(&self, scratch: &mut Scratch, input: &TValue) -> TractResult<Tensor> {
        let shape = self.0.shape();
        let columns = shape.columns_out(input.shape()[0]);
        let extents = [columns, shape.rows_out(), shape.filters];
        let input = columns_of(input)?;
        let mut tensor;
        if self.0.output().is_some() {
            tensor = Tensor::zero::<u8>(&extents)?;
            let mut plain = tensor.try_as_plain_ram_mut()?;
            self.0
                .run(input, Output::U8(plain.as_slice_mut::<u8>()?), scratch)?;
        } else {
            tensor = Tensor::zero::<f32>(&extents)?;
            let mut plain = tensor.try_as_plain_ram_mut()?;
            self.0
                .run(input, Output::F32(plain.as_slice_mut::<f32>()?), scratch)?;
        }
        Ok(tensor)
    }
}

impl Op for Fused {
    fn name(&self) -> StaticName {
        "Fused".into()
    }

    op_as_typed_op!();
}

impl EvalOp for Fused {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        let output = self.run(&mut Scratch::default(), &inputs[0])?;
        Ok(Some(tvec!(output.into_tvalue())))
    }

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(FusedState(Scratch::default()))))
    }
}

impl TypedOp for Fused {
    fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
        let shape = self.0.shape();
        let columns = (inputs[0].shape[0].clone() - (KERNEL - 1)) / shape.pool[1];
        let extents: TVec<TDim> = tvec!(columns, shape.rows_out().to_dim(), shape.filters.to_dim());
        let quantised = self.0.output().is_some();
        Ok(tvec!(if quantised {
            u8::fact(extents)
        } else {
            f32::fact(extents)
        }))
    }

    as_op!();
}

/// Working memory of a [`Fused`] operator; nothing of one turn reaches the next.
#[derive(Clone, Debug)]
struct FusedState(Scratch);

impl OpState for FusedState {
    fn eval(
        &mut self,
        _: &EvalContext,
        op: &dyn Op,
        inputs: TVec<TValue>,
    ) -> TractResult<TVec<TValue>> {
        let op = op
            .downcast_ref::<Fused>()
            .context("the state of another operator")?;
        Ok(tvec!(op.run(&mut self.0, &inputs[0])?.into_tvalue()))
    }

    fn reset_lanes(&mut self, _: &[LaneId]) -> TractResult<()> {
        Ok(())
    }
}

/// An operator of ours without state: `$facts` gives the shape of its output, `$eval` fills it.
macro_rules! operator {
    ($name:ident, $shape:expr, $eval:expr) => {
        impl Op for $name {
            fn name(&self) -> StaticName {
                stringify!($name).into()
            }

            op_as_typed_op!();
        }

        impl EvalOp for $name {
            op_out_of_plan!();

            fn eval(&self, _: &EvalContext, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
                let eval: fn(&$name, TVec<TValue>) -> TractResult<Tensor> = $eval;
                Ok(tvec!(eval(self, inputs)?.into_tvalue()))
            }
        }

        impl TypedOp for $name {
            fn output_facts(&self, inputs: &[&TypedFact]) -> TractResult<TVec<TypedFact>> {
                let shape: fn(&$name, &[&TypedFact]) -> TVec<TDim> = $shape;
                Ok(tvec!(f32::fact(shape(self, inputs))))
            }

            as_op!();
        }
    };
}

/// `max(x, 0) + min(exp(x) - 1, 0)`, in place.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Elu;

operator!(
    Elu,
    |_, inputs| inputs[0].shape.to_tvec(),
    |_, mut inputs| {
        let mut tensor = inputs.remove(0).into_tensor();
        for value in tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()? {
            *value = super::kernel::elu(*value);
        }
        Ok(tensor)
    }
);

/// `[column, row, channel]` as the vector `[channel, row, column]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flatten {
    len: usize,
}

operator!(Flatten, |op, _| tvec!(op.len.to_dim()), |op, mut inputs| {
    inputs
        .remove(0)
        .into_tensor()
        .permute_axes(&[2, 1, 0])?
        .into_shape(&[op.len])
});

/// `[column, row, channel]` as steps `[column, channel * row]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Steps;

operator!(
    Steps,
    |_, inputs| tvec!(
        inputs[0].shape[0].clone(),
        inputs[0].shape[1].clone() * &inputs[0].shape[2]
    ),
    |_, mut inputs| {
        let tensor = inputs.remove(0).into_tensor().permute_axes(&[0, 2, 1])?;
        let shape = [tensor.shape()[0], tensor.shape()[1] * tensor.shape()[2]];
        tensor.into_shape(&shape)
    }
);

/// The last row of a matrix.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LastRow {
    len: usize,
}

operator!(LastRow, |op, _| tvec!(op.len.to_dim()), |op, inputs| {
    let values = inputs[0].try_as_plain_ram()?;
    let values = values.as_slice::<f32>()?;
    Tensor::from_shape(&[op.len], &values[values.len() - op.len..])
});

/// A Keras 1 GRU over the rows of its first input, from a state of zeros, all states as output: gates are
/// `clip(0.2 v + 0.5, 0, 1)`, the reset gate acts on the state before the recurrent product,
/// and the update gate keeps: `h' = z * h + (1 - z) * tanh(..)`. Other inputs: the weights, as [`super::bundle`] names them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gru {
    units: usize,
}

operator!(
    Gru,
    |op, inputs| tvec!(inputs[0].shape[0].clone(), op.units.to_dim()),
    |op, inputs| {
        let views: TVec<_> = inputs
            .iter()
            .map(|input| input.try_as_plain_ram())
            .collect::<TractResult<_>>()?;
        let (steps, input) = (views[0].as_slice::<f32>()?, views[1].as_slice::<f32>()?);
        let (recurrent, bias) = (views[2].as_slice::<f32>()?, views[3].as_slice::<f32>()?);
        let (n, features, units) = (inputs[0].shape()[0], inputs[0].shape()[1], op.units);
        let mut states = Tensor::zero::<f32>(&[n, units])?;
        let mut plain = states.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        let (mut state, mut scaled, mut gates) =
            (vec![0.0; units], vec![0.0; units], vec![0.0; 3 * units]);
        let hard_sigmoid = |value: f32| (0.2 * value + 0.5).clamp(0.0, 1.0);
        for (step, output) in steps
            .chunks_exact(features)
            .zip(output.chunks_exact_mut(units))
        {
            for ((gate, weights), bias) in
                gates.iter_mut().zip(input.chunks_exact(features)).zip(bias)
            {
                *gate = bias + dot(weights, step);
            }
            let rows: TVec<_> = recurrent.chunks_exact(units).collect();
            for index in 0..units {
                let reset = hard_sigmoid(gates[units + index] + dot(rows[units + index], &state));
                scaled[index] = reset * state[index];
            }
            for index in 0..units {
                let update = hard_sigmoid(gates[index] + dot(rows[index], &state));
                let candidate =
                    (gates[2 * units + index] + dot(rows[2 * units + index], &scaled)).tanh();
                output[index] = update * state[index] + (1.0 - update) * candidate;
            }
            state.copy_from_slice(output);
        }
        Ok(states)
    }
);

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

/// One statistic of `[column, row, channel]` as the vector `[channel, group of rows]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Statistics {
    kind: StatisticKind,
    groups: usize,
    filters: usize,
}

operator!(
    Statistics,
    |op, _| tvec!((op.groups * op.filters).to_dim()),
    |op, inputs| {
        let (rows, channels) = (inputs[0].shape()[1], inputs[0].shape()[2]);
        let per_group = rows / op.groups;
        let view = inputs[0].try_as_plain_ram()?;
        let values = view.as_slice::<f32>()?;
        let n = (values.len() / (channels * op.groups)) as f32;
        // `fold(start, f)` accumulates over all places, for each channel and group.
        let fold = |start: f32, f: &mut dyn FnMut(usize, f32, f32) -> f32| {
            let mut totals = vec![start; channels * op.groups];
            for (place, values) in values.chunks_exact(channels).enumerate() {
                let group = place % rows / per_group;
                for (channel, &value) in values.iter().enumerate() {
                    let index = channel * op.groups + group;
                    totals[index] = f(index, totals[index], value);
                }
            }
            totals
        };
        let totals = match op.kind {
            StatisticKind::Max => fold(f32::NEG_INFINITY, &mut |_, a, b| a.max(b)),
            StatisticKind::Mean => fold(0.0, &mut |_, a, b| a + b)
                .iter()
                .map(|sum| sum / n)
                .collect(),
            StatisticKind::Std => {
                let means: Vec<f32> = fold(0.0, &mut |_, a, b| a + b)
                    .iter()
                    .map(|sum| sum / n)
                    .collect();
                let squares = fold(0.0, &mut |index, sum, value| {
                    sum + (value - means[index]).powi(2)
                });
                squares.iter().map(|sum| (sum / n).sqrt()).collect()
            }
        };
        Tensor::from_shape(&[totals.len()], &totals)
    }
);
