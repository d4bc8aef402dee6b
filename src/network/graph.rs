//! The networks in tract: with its [`operators`], the only room that names it.
//!
//! Each block is a plan of its own over `[column, frequency, channel]`, so that [`super::rolling`]
//! decides which columns of which block are computed. A block's plan takes its input columns with
//! one neighbour at each side (zeros beyond the window) and pads frequency only. Everything above
//! the trunk is one plan per score, the head.
//!
//! A block is one operator of ours, [`Fused`], which wraps [`super::kernel`]; or, by
//! [`Engine::Tract`], tract's own convolution and pool. Channels stand last in both: for tract,
//! that means a lazy im2col and a matrix product, the faster of its two ways for these shapes.
//!
//! Every plan is compiled for fixed extents, and every operator of ours writes its output where it
//! wrote it the last time ([`Recycled`]): once a stream's window has filled, scoring allocates
//! nothing.

mod idle;
mod operators;
mod tagger;

pub(super) use tagger::TaggerPlans;

use std::{
    collections::BTreeMap,
    ops::Range,
    sync::{Arc, OnceLock},
};

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

use idle::Idle;
use operators::{
    Dense, Elu, Flatten, Fused, Gru, Join, LastRow, Operator, Recycled, Statistics, Steps,
    columns_of,
};

use super::{
    Engine,
    architecture::{Architecture, Block, KERNEL, Pooling},
    bundle::{Bundle, ModelError, Values},
    kernel::{Convolution, Input, Output, Path, Quantisation, Shape},
};

/// Output columns that one run of a block's plan makes, largest first. A plan is compiled for fixed
/// extents; any number of columns is made of these.
const CHUNKS: [usize; 3] = [16, 4, 1];

/// Most values of a convolution's output in one run, so that it stays in the cache (1 MiB).
const CHUNK_VALUES: usize = 256 << 10;

/// The plans of a model, shared by all its streams.
#[derive(Debug)]
pub(super) struct Graph {
    blocks: Vec<BlockPlans>,
    head: HeadPlan,
    tagger: Option<Arc<TaggerPlans>>,
}

/// What one stream needs of its own to run a [`Graph`].
#[derive(Debug)]
pub(super) struct Runner {
    graph: Arc<Graph>,
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
struct BlockExtents {
    block: Block,
    channels_in: usize,
    rows_in: usize,
}

#[derive(Debug)]
struct BlockPlans {
    geometry: BlockExtents,
    form: Form,
    /// How its input is held, if not in floats.
    input: Option<Quantisation>,
    plans: [OnceLock<Option<Arc<TypedSimplePlan>>>; CHUNKS.len()],
    idle: [Idle<BlockState>; CHUNKS.len()],
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

impl BlockExtents {
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
            let geometry = BlockExtents {
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
                idle: Default::default(),
            };
            // The single column is what every other number of columns falls back on, so it must
            // exist.
            plans.plans[CHUNKS.len() - 1] = OnceLock::from(Some(plans.compile(1)?));
            blocks.push(plans);
            (rows_in, channels_in) = (geometry.rows_out(), block.filters);
        }
        let head = HeadPlan::new(bundle, &blocks)?;
        let tagger = match &architecture.tagger {
            None => None,
            Some(tagger) => Some(Arc::new(TaggerPlans::new(bundle, tagger, path)?)),
        };
        Ok(Self {
            blocks,
            head,
            tagger,
        })
    }

    /// The second trunk, if the model has one.
    pub(super) fn tagger(&self) -> Option<&Arc<TaggerPlans>> {
        self.tagger.as_ref()
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

/// How block `index` (from 0) reads, if it is computed in integers: its weights are, and the range
/// of what it reads is known.
fn integer_input(bundle: &Bundle, index: usize) -> Option<Quantisation> {
    let weights = bundle.tensors.get(&format!("block{}.weight", index + 1))?;
    let below = bundle.output_range(index.checked_sub(1)?)?;
    matches!(weights.values(), Values::I8 { .. }).then_some(below)
}

fn convolution(
    bundle: &Bundle,
    index: usize,
    geometry: BlockExtents,
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
        let BlockExtents {
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
        let BlockExtents { block, rows_in, .. } = self.geometry;
        let values = CHUNKS[chunk] * block.pool[1] * rows_in * block.filters;
        if CHUNKS[chunk] > 1 && values > CHUNK_VALUES {
            return None;
        }
        self.plans[chunk]
            .get_or_init(|| self.compile(CHUNKS[chunk]).ok())
            .as_ref()
    }
}

/// One block, from `[columns * pool + 2, rows, channels]` to `[columns, rows / pool, filters]`: the
/// place where a convolution block becomes tract nodes.
fn wire_block(
    model: &mut TypedModel,
    input: OutletId,
    plans: &BlockPlans,
) -> TractResult<OutletId> {
    match &plans.form {
        Form::Fused(fused) => Ok(model.wire_node("block", Operator(fused.clone()), &[input])?[0]),
        Form::Tract { weight, bias } => wire_stock(model, input, plans.geometry, (weight, bias)),
    }
}

/// A block in tract's own operators.
fn wire_stock(
    model: &mut TypedModel,
    input: OutletId,
    geometry: BlockExtents,
    (weight, bias): (&Arc<Tensor>, &Arc<Tensor>),
) -> TractResult<OutletId> {
    let BlockExtents {
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
    /// Extents of each of them.
    geometries: Vec<BlockExtents>,
    architecture: Architecture,
    weights: BTreeMap<String, Arc<Tensor>>,
    /// The plan for a whole frame, shared by all streams; others are compiled where a shorter
    /// window needs them.
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
        let tagger = match &self.architecture.tagger {
            None => None,
            Some(tagger) => Some(model.add_source("tagger", f32::fact([tagger.len()]))?),
        };
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
        parts.extend(tagger);
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
fn kernel(weight: &Tensor) -> TractResult<Tensor> {
    weight.clone().permute_axes(&[0, 1, 3, 2])
}

impl Runner {
    pub(super) fn new(graph: &Arc<Graph>) -> Self {
        Self {
            graph: Arc::clone(graph),
            head: None,
        }
    }

    /// Computes output columns `range` of block `index`. `read(first, buffer)` fills `buffer`,
    /// which holds zero (or what stands for it), with input columns from `first` on (it may be -1,
    /// and reach beyond the end); `write(first, values)` takes output columns.
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
        let BlockExtents {
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
            let (turn, left) = plans.idle[chunk].take();
            let mut run = match left {
                Some(left) => left,
                None => BlockState {
                    state: plan.spawn()?,
                    input: Recycled::default(),
                },
            };
            let shape = [
                CHUNKS[chunk] * block.pool[1] + KERNEL - 1,
                rows_in,
                channels_in,
            ];
            let first = (column * block.pool[1]).cast_signed() - 1;
            let input = run.input.write(plans.input.is_some(), &shape, |tensor| {
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
            let output = run.state.run(tvec!(input))?;
            write(column, columns_of(&output[0])?);
            drop(output);
            turn.leave(run);
            column += CHUNKS[chunk];
        }
        Ok(())
    }

    /// Runs the head. `columns(block)` tells how many output columns `block` (from 0) has,
    /// `read(block, buffer)` fills `buffer` with them; `tagger` are the second trunk's values;
    /// `write` takes embedding and logits.
    pub(super) fn head(
        &mut self,
        columns: impl Fn(usize) -> usize,
        mut read: impl FnMut(usize, &mut [f32]),
        tagger: Option<&[f32]>,
        write: impl FnOnce(&[f32], &[f32]),
    ) -> TractResult<()> {
        let head = &self.graph.head;
        let extents: TVec<usize> = head.inputs.iter().map(|&block| columns(block)).collect();
        let state = match &mut self.head {
            Some(state) if state.columns == extents => state,
            other => other.insert(HeadState {
                state: head.plan(&extents)?.spawn()?,
                inputs: vec![Recycled::default(); extents.len() + 1].into(),
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
        if let (Some(features), Some(recycled)) = (tagger, state.inputs.last_mut()) {
            inputs.push(recycled.write(false, &[features.len()], |tensor| {
                let mut plain = tensor.try_as_plain_ram_mut()?;
                plain.as_slice_mut::<f32>()?.copy_from_slice(features);
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
