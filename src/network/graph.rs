//! The networks in tract: the only file that names it. Without the feature `tract`, [`super::plan`] stands in its place, under the same
//! names, and runs the same operators.
//!
//! Each block is a plan of its own over `[column, frequency, channel]`, so that [`super::rolling`] decides which columns of which block are
//! computed. A block's plan takes its input columns with one neighbour at each side (zeros beyond the window) and pads
//! frequency only. Everything above the trunk is one plan per score, the head.
//!
//! A block is one operator of ours, [`Fused`], which wraps [`super::kernel`]; or, by [`Engine::Tract`], tract's own convolution and pool.
//! Channels stand last in both: for tract, that means a lazy im2col and a matrix product, the faster of its two ways for these
//! shapes.
//!
//! Every plan is compiled for fixed extents, and every operator of ours writes its output where it wrote it the last time ([`Recycled`]): once a
//! stream's window has filled, scoring allocates nothing.

use std::{
    collections::BTreeMap,
    fmt,
    ops::Range,
    sync::{Arc, OnceLock},
};

#[cfg(feature = "tract")]
#[allow(
    clippy::wildcard_imports,
    reason = "tract's macros name what its prelude for operators exports"
)]
use tract_core::{
    internal::*,
    ops::{
        cnn::{Conv, KernelFormat, MaxPool, PaddingSpec, PoolSpec},
        nn::DataFormat,
    },
};

#[cfg(not(feature = "tract"))]
use super::plan::{
    Context, Datum, IntoTValue, OpState, Operation, OutletId, TValue, TVec, Tensor, TractResult,
    TypedModel, TypedSimplePlan, TypedSimpleState, tvec,
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
    head: HeadPlan,
}

/// What one stream needs to run a [`Graph`].
#[derive(Debug)]
pub(super) struct Runner {
    graph: Arc<Graph>,
    blocks: Vec<[Option<BlockState>; CHUNKS.len()]>,
    head: Option<HeadState>,
}

#[derive(Debug)]
struct BlockState {
    state: TypedSimpleState,
    input: Recycled,
}

/// The head for the extents that its inputs had last.
#[derive(Debug)]
struct HeadState {
    columns: TVec<usize>,
    state: TypedSimpleState,
    inputs: TVec<Recycled>,
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
    #[cfg(feature = "tract")]
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
                #[cfg(feature = "tract")]
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
        let head = HeadPlan::new(bundle, &blocks)?;
        Ok(Self { blocks, head })
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
            #[cfg(feature = "tract")]
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
    match &plans.form {
        Form::Fused(fused) => Ok(model.wire_node("block", Operator(fused.clone()), &[input])?[0]),
        #[cfg(feature = "tract")]
        Form::Tract { weight, bias } => wire_stock(model, input, plans.geometry, (weight, bias)),
    }
}

/// A block in tract's own operators.
#[cfg(feature = "tract")]
fn wire_stock(
    model: &mut TypedModel,
    input: OutletId,
    geometry: Geometry,
    (weight, bias): (&Arc<Tensor>, &Arc<Tensor>),
) -> TractResult<OutletId> {
    let Geometry {
        block, channels_in, ..
    } = geometry;
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
    Ok(model.wire_node("elu", Operator(Elu), &[wire])?[0])
}

/// From the outputs of blocks to the embedding and the logits.
#[derive(Debug)]
struct HeadPlan {
    /// The blocks (from 0) that it reads.
    inputs: Vec<usize>,
    /// Geometry of each of them.
    geometries: Vec<Geometry>,
    architecture: Architecture,
    weights: BTreeMap<String, Arc<Tensor>>,
    /// The plan for a whole frame, shared by all streams; others are compiled where a shorter window needs them.
    frame: (TVec<usize>, OnceLock<Arc<TypedSimplePlan>>),
}

impl HeadPlan {
    fn new(bundle: &Bundle, blocks: &[BlockPlans]) -> TractResult<Self> {
        let architecture = bundle.card.architecture.clone();
        let last = blocks.len() - 1;
        let mut inputs = Vec::new();
        if architecture.pooling != Pooling::None {
            inputs.push(last);
        }
        for statistic in &architecture.statistics {
            if !inputs.contains(&(statistic.block - 1)) {
                inputs.push(statistic.block - 1);
            }
        }
        let mut weights = BTreeMap::new();
        for name in bundle.tensors.keys() {
            if ["gru", "hidden.", "output."]
                .iter()
                .any(|of| name.starts_with(of))
            {
                weights.insert(name.clone(), constant(bundle, name)?.into_arc_tensor());
            }
        }
        let frame = inputs
            .iter()
            .map(|&index| architecture.frame_columns_of(index))
            .collect();
        let plan = Self {
            geometries: inputs.iter().map(|&index| blocks[index].geometry).collect(),
            inputs,
            architecture,
            weights,
            frame: (frame, OnceLock::new()),
        };
        let compiled = plan.compile(&plan.frame.0)?;
        let _ = plan.frame.1.set(compiled);
        Ok(plan)
    }

    /// The plan for inputs of so many columns.
    fn plan(&self, columns: &[usize]) -> TractResult<Arc<TypedSimplePlan>> {
        match self.frame.1.get() {
            Some(plan) if *self.frame.0 == *columns => Ok(Arc::clone(plan)),
            _ => self.compile(columns),
        }
    }

    fn compile(&self, columns: &[usize]) -> TractResult<Arc<TypedSimplePlan>> {
        let Architecture {
            pooling,
            statistics,
            head,
            ..
        } = &self.architecture;
        let mut model = TypedModel::default();
        let mut outlets: TVec<OutletId> = tvec!();
        for ((index, geometry), &columns) in self.inputs.iter().zip(&self.geometries).zip(columns) {
            let shape = [columns, geometry.rows_out(), geometry.block.filters];
            outlets.push(model.add_source(format!("block{}", index + 1), f32::fact(shape))?);
        }
        let input_of = |block: usize| -> TractResult<OutletId> {
            let place = self.inputs.iter().position(|&index| index == block);
            place
                .and_then(|place| outlets.get(place).copied())
                .context("a block that the head does not read")
        };
        let last = self.architecture.blocks.len() - 1;
        let mut parts: TVec<OutletId> = tvec!();
        match pooling {
            Pooling::Flatten => {
                parts.push(model.wire_node("flatten", Operator(Flatten), &[input_of(last)?])?[0]);
            }
            Pooling::Gru { units } => {
                let mut wire = model.wire_node("steps", Operator(Steps), &[input_of(last)?])?[0];
                for (index, &units) in units.iter().enumerate() {
                    let name = format!("gru{}", index + 1);
                    let mut wires: TVec<OutletId> = tvec!(wire);
                    for part in ["input", "recurrent", "bias"] {
                        wires.push(self.weight(&mut model, &format!("{name}.{part}"))?);
                    }
                    wire = model.wire_node(name, Operator(Gru { units }), &wires)?[0];
                }
                parts.push(model.wire_node("state", Operator(LastRow), &[wire])?[0]);
            }
            Pooling::None => {}
        }
        for (index, statistic) in statistics.iter().enumerate() {
            let operator = Operator(Statistics {
                kind: statistic.kind,
                groups: statistic.groups,
            });
            let input = input_of(statistic.block - 1)?;
            parts.push(model.wire_node(format!("statistic{}", index + 1), operator, &[input])?[0]);
        }
        let mut embedding = match parts.as_slice() {
            [one] => *one,
            _ => model.wire_node("pooled", Operator(Join), &parts)?[0],
        };
        if head.hidden.is_some() {
            let wire = self.wire_dense(&mut model, "hidden", embedding)?;
            embedding = model.wire_node("hidden.elu", Operator(Elu), &[wire])?[0];
        }
        let logits = self.wire_dense(&mut model, "output", embedding)?;
        model.select_output_outlets(&[embedding, logits])?;
        TypedSimplePlan::new(model.into_optimized()?)
    }

    fn wire_dense(
        &self,
        model: &mut TypedModel,
        name: &str,
        input: OutletId,
    ) -> TractResult<OutletId> {
        let weight = self.weight(model, &format!("{name}.weight"))?;
        let bias = self.weight(model, &format!("{name}.bias"))?;
        Ok(model.wire_node(name, Operator(Dense), &[input, weight, bias])?[0])
    }

    fn weight(&self, model: &mut TypedModel, name: &str) -> TractResult<OutletId> {
        let tensor = self
            .weights
            .get(name)
            .with_context(|| format!("{name} is missing"))?;
        model.add_const(name, Arc::clone(tensor))
    }
}

fn constant(bundle: &Bundle, name: &str) -> TractResult<Tensor> {
    let weights = bundle
        .tensors
        .get(name)
        .with_context(|| format!("{name} is missing"))?;
    Tensor::from_shape(weights.shape(), &weights.to_f32())
}

/// `[out, in, frequency, time]` as `[out, in, time, frequency]`.
#[cfg(feature = "tract")]
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
    /// Errors only come from within the plan; the model was run once when it was loaded.
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
            let BlockState {
                state,
                input: recycled,
            } = match &mut self.blocks[index][chunk] {
                Some(state) => state,
                empty => empty.insert(BlockState {
                    state: plan.spawn()?,
                    input: Recycled::default(),
                }),
            };
            let shape = [
                CHUNKS[chunk] * block.pool[1] + KERNEL - 1,
                rows_in,
                channels_in,
            ];
            let first = (column * block.pool[1]).cast_signed() - 1;
            let input = recycled.write(plans.input.is_some(), &shape, |tensor| {
                let mut plain = tensor.try_as_plain_ram_mut()?;
                if let Some(quantisation) = plans.input {
                    let values = plain.as_slice_mut::<u8>()?;
                    values.fill(quantisation.zero);
                    read(first, Output::U8(values));
                } else {
                    let values = plain.as_slice_mut::<f32>()?;
                    values.fill(0.0);
                    read(first, Output::F32(values));
                }
                Ok(())
            })?;
            let output = state.run(tvec!(input))?;
            write(column, columns_of(&output[0])?);
            column += CHUNKS[chunk];
        }
        Ok(())
    }

    /// Runs the head. `columns(block)` tells how many output columns `block` (from 0) has, `read(block, buffer)` fills `buffer` with them; `write`
    /// takes embedding and logits.
    pub(super) fn head(
        &mut self,
        columns: impl Fn(usize) -> usize,
        mut read: impl FnMut(usize, &mut [f32]),
        write: impl FnOnce(&[f32], &[f32]),
    ) -> TractResult<()> {
        let head = &self.graph.head;
        let extents: TVec<usize> = head.inputs.iter().map(|&block| columns(block)).collect();
        let state = match &mut self.head {
            Some(state) if state.columns == extents => state,
            other => other.insert(HeadState {
                state: head.plan(&extents)?.spawn()?,
                inputs: extents.iter().map(|_| Recycled::default()).collect(),
                columns: extents,
            }),
        };
        let mut inputs = tvec!();
        for (place, (&block, geometry)) in head.inputs.iter().zip(&head.geometries).enumerate() {
            let shape = [
                state.columns[place],
                geometry.rows_out(),
                geometry.block.filters,
            ];
            inputs.push(state.inputs[place].write(false, &shape, |tensor| {
                read(block, tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
                Ok(())
            })?);
        }
        let outputs = state.state.run(inputs)?;
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

/// A tensor that is written again once nobody else holds it any more.
#[derive(Clone, Debug, Default)]
struct Recycled(Option<Arc<Tensor>>);

impl Recycled {
    /// A tensor of `shape`, of bytes or else of floats, as `fill` leaves it; it comes with what it held before.
    fn write(
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
trait Compute: Clone + fmt::Debug + PartialEq + Eq + Send + Sync + 'static {
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
struct Operator<T>(T);

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

#[cfg(feature = "tract")]
impl<T: Compute> Op for Operator<T> {
    fn name(&self) -> StaticName {
        T::NAME.into()
    }

    op_as_typed_op!();
}

#[cfg(feature = "tract")]
impl<T: Compute> EvalOp for Operator<T> {
    fn eval_out_of_plan(&self, inputs: TVec<TValue>) -> TractResult<Option<TVec<TValue>>> {
        OperatorState::<T>::new().run(&self.0, &inputs).map(Some)
    }

    fn state(&self, _: &EvalContext) -> TractResult<Option<Box<dyn OpState>>> {
        Ok(Some(Box::new(OperatorState::<T>::new())))
    }
}

#[cfg(feature = "tract")]
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

#[cfg(feature = "tract")]
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

#[cfg(not(feature = "tract"))]
impl<T: Compute> Operation for Operator<T> {
    fn name(&self) -> &'static str {
        T::NAME
    }

    fn state(&self) -> Box<dyn OpState> {
        Box::new((self.0.clone(), OperatorState::<T>::new()))
    }
}

#[cfg(not(feature = "tract"))]
impl<T: Compute> OpState for (T, OperatorState<T>) {
    fn eval(&mut self, inputs: &[TValue]) -> TractResult<TVec<TValue>> {
        let (op, state) = self;
        state.run(op, inputs)
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
struct Elu;

impl Compute for Elu {
    type Memory = ();

    const NAME: &'static str = "Elu";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        inputs[0].into()
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        for (output, &input) in floats!(mut output).iter_mut().zip(floats!(inputs[0])) {
            *output = super::kernel::elu(input);
        }
        Ok(())
    }
}

/// `[column, row, channel]` as the vector `[channel, row, column]`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Flatten;

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
struct Steps;

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
struct LastRow;

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
struct Join;

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
struct Dense;

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

/// A Keras 1 GRU over the rows of its first input, from a state of zeros, all states as output: gates are
/// `clip(0.2 v + 0.5, 0, 1)`, the reset gate acts on the state before the recurrent product,
/// and the update gate keeps: `h' = z * h + (1 - z) * tanh(..)`. Other inputs: the weights, as [`super::bundle`] names them.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Gru {
    units: usize,
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

/// Sum of products, in eight running sums: the order is fixed, and a compiler can keep them in one register.
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
struct Statistics {
    kind: StatisticKind,
    groups: usize,
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
