//! A [`Tagger`] in tract: every block is an operator of ours.

use std::{
    collections::BTreeMap,
    fmt,
    sync::{Arc, Mutex, PoisonError},
};

#[allow(
    clippy::wildcard_imports,
    reason = "tract's macros name what its prelude for operators exports"
)]
use tract_core::internal::*;

use super::{
    super::{
        bundle::{Bundle, Weights},
        kernel::{
            AfterConvolution, Depthwise, Excitation, FusedMobileBlock, LastPool, MobileScratch,
            Path, Pointwise, Stem,
        },
        tagger::{Answer, Tagger, sigmoid},
    },
    Idle,
    operators::{Compute, Dense, Operator, Recycled},
};

/// The plans of a tagger, shared by all streams.
pub(in super::super) struct TaggerPlans {
    tagger: Tagger,
    groups: Vec<Vec<usize>>,
    sounds: Vec<usize>,
    layers: Layers,
    plans: Mutex<BTreeMap<usize, Arc<TypedSimplePlan>>>,
    /// For whole segments, the only ones that come again and again.
    idle: Idle<State>,
}

impl fmt::Debug for TaggerPlans {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TaggerPlans").finish_non_exhaustive()
    }
}

struct State {
    state: TypedSimpleState,
    input: Recycled,
}

struct Layers {
    stem: Arc<Stem>,
    blocks: Vec<Arc<FusedMobileBlock>>,
    last: Arc<LastPool>,
    hidden: [Arc<Tensor>; 2],
    classes: [Arc<Tensor>; 2],
}

impl TaggerPlans {
    /// `bundle` has been checked.
    pub(super) fn new(bundle: &Bundle, tagger: &Tagger, path: Path) -> TractResult<Self> {
        let weights = |name: &str| {
            bundle
                .tensors
                .get(&format!("mn.{name}"))
                .with_context(|| format!("mn.{name} is missing"))
        };
        let floats = |name: &str| TractResult::Ok(weights(name)?.to_f32());
        let pointwise = |name: &str, activation| {
            let (kernel, bias) = (
                weights(&format!("{name}.weight"))?,
                floats(&format!("{name}.bias"))?,
            );
            let channels = kernel.shape()[1];
            TractResult::Ok(Pointwise::new(
                path,
                channels,
                &kernel.to_f32(),
                &bias,
                activation,
            ))
        };
        let mut channels = tagger.stem;
        let mut blocks = Vec::new();
        for (index, block) in tagger.blocks.iter().enumerate() {
            let name = |part: &str| format!("block{}.{part}", index + 1);
            let activation = if block.hard_swish {
                AfterConvolution::HardSwish
            } else {
                AfterConvolution::Relu
            };
            let excitation = match block.squeezed {
                None => None,
                Some(_) => Some(Excitation {
                    squeeze: floats(&name("squeeze.weight"))?,
                    squeeze_bias: floats(&name("squeeze.bias"))?,
                    excite: floats(&name("excite.weight"))?,
                    excite_bias: floats(&name("excite.bias"))?,
                }),
            };
            blocks.push(Arc::new(FusedMobileBlock {
                path,
                channels,
                expand: (block.expanded != channels)
                    .then(|| pointwise(&name("expand"), activation))
                    .transpose()?,
                depthwise: Depthwise::new(
                    block.kernel,
                    block.stride,
                    &floats(&name("depthwise.weight"))?,
                    &floats(&name("depthwise.bias"))?,
                ),
                excitation,
                project: pointwise(&name("project"), AfterConvolution::Linear)?,
                activation,
            }));
            channels = block.filters;
        }
        let tensor = |weights: &Weights| {
            TractResult::Ok(
                Tensor::from_shape(weights.shape(), &weights.to_f32())?.into_arc_tensor(),
            )
        };
        let dense = |name: &str| {
            TractResult::Ok([
                tensor(weights(&format!("{name}.weight"))?)?,
                tensor(weights(&format!("{name}.bias"))?)?,
            ])
        };
        let layers = Layers {
            stem: Arc::new(Stem::new(
                path,
                &floats("stem.weight")?,
                &floats("stem.bias")?,
            )),
            blocks,
            last: Arc::new(LastPool(pointwise("last", AfterConvolution::HardSwish)?)),
            hidden: dense("hidden")?,
            classes: dense("classes")?,
        };
        let plans = Self {
            groups: tagger.group_indices()?,
            sounds: tagger.sound_indices()?,
            tagger: tagger.clone(),
            layers,
            plans: Mutex::default(),
            idle: Idle::default(),
        };
        // Whatever cannot be built is met here.
        plans.plan(tagger.segment_columns)?;
        Ok(plans)
    }

    pub(in super::super) fn tagger(&self) -> &Tagger {
        &self.tagger
    }

    fn plan(&self, columns: usize) -> TractResult<Arc<TypedSimplePlan>> {
        let mut plans = self.plans.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(plan) = plans.get(&columns) {
            return Ok(Arc::clone(plan));
        }
        let plan = self.compile(columns)?;
        plans.insert(columns, Arc::clone(&plan));
        Ok(plan)
    }

    fn compile(&self, columns: usize) -> TractResult<Arc<TypedSimplePlan>> {
        let mut model = TypedModel::default();
        let shape = [columns, self.tagger.front_end.n_mels];
        let mut wire = model.add_source("picture", f32::fact(shape))?;
        let add = |model: &mut TypedModel, name: String, wire: OutletId, layer: Layer| {
            TractResult::Ok(model.wire_node(name, Operator(layer), &[wire])?[0])
        };
        wire = add(
            &mut model,
            "stem".into(),
            wire,
            Layer::Stem(Arc::clone(&self.layers.stem)),
        )?;
        for (index, block) in self.layers.blocks.iter().enumerate() {
            let layer = Layer::Block(Arc::clone(block));
            wire = add(&mut model, format!("block{}", index + 1), wire, layer)?;
        }
        let embedding = add(
            &mut model,
            "last".into(),
            wire,
            Layer::Last(Arc::clone(&self.layers.last)),
        )?;
        let dense = |model: &mut TypedModel, name: &str, wire: OutletId, of: &[Arc<Tensor>; 2]| {
            let weight = model.add_const(format!("{name}.weight"), Arc::clone(&of[0]))?;
            let bias = model.add_const(format!("{name}.bias"), Arc::clone(&of[1]))?;
            TractResult::Ok(model.wire_node(name, Operator(Dense), &[wire, weight, bias])?[0])
        };
        let hidden = dense(&mut model, "hidden", embedding, &self.layers.hidden)?;
        let hidden = model.wire_node("hard_swish", Operator(HardSwish), &[hidden])?[0];
        let classes = dense(&mut model, "classes", hidden, &self.layers.classes)?;
        model.select_output_outlets(&[embedding, classes])?;
        TypedSimplePlan::new(model.into_optimized()?)
    }

    /// What the network says of a picture `[columns, n_mels]`, which `write` fills.
    pub(in super::super) fn run(
        &self,
        columns: usize,
        write: impl FnOnce(&mut [f32]),
        answer: &mut Answer,
    ) -> Option<()> {
        self.try_run(columns, write, answer).ok()
    }

    fn try_run(
        &self,
        columns: usize,
        write: impl FnOnce(&mut [f32]),
        answer: &mut Answer,
    ) -> TractResult<()> {
        let n_mels = self.tagger.front_end.n_mels;
        let (turn, mut left) = self.idle.take();
        // Shorter segments do not come again: what they need is made for them.
        let whole = columns == self.tagger.segment_columns;
        let mut state = match left.take_if(|_| whole) {
            Some(left) => left,
            None => State {
                state: self.plan(columns)?.spawn()?,
                input: Recycled::default(),
            },
        };
        let input = state.input.write(false, &[columns, n_mels], |tensor| {
            write(tensor.try_as_plain_ram_mut()?.as_slice_mut::<f32>()?);
            Ok(())
        })?;
        let outputs = state.state.run(tvec!(input))?;
        for (output, to) in outputs
            .iter()
            .zip([&mut answer.embedding, &mut answer.logits])
        {
            to.clear();
            to.extend_from_slice(output.try_as_plain_ram()?.as_slice::<f32>()?);
        }
        drop(outputs);
        if let Some(state) = left.or(whole.then_some(state)) {
            turn.leave(state);
        }
        Ok(())
    }

    /// What the head sees of segments: the mean embedding, and the logarithm of each group's share,
    /// where a group counts by the mean over segments of its likeliest class.
    pub(in super::super) fn summarise<'a>(
        &self,
        answers: impl ExactSizeIterator<Item = &'a Answer>,
        features: &mut [f32],
    ) {
        let n = answers.len().max(1) as f32;
        features.fill(0.0);
        let (embedding, shares) = features.split_at_mut(self.tagger.embedding);
        for answer in answers {
            for (to, value) in embedding.iter_mut().zip(&answer.embedding) {
                *to += value / n;
            }
            for (to, group) in shares.iter_mut().zip(&self.groups) {
                let likeliest = group.iter().map(|&class| answer.logits[class]);
                *to += sigmoid(likeliest.fold(f32::NEG_INFINITY, f32::max)) / n;
            }
        }
        let sum: f32 = shares.iter().map(|share| share + self.tagger.floor).sum();
        for share in shares {
            *share = ((*share + self.tagger.floor) / sum).ln();
        }
    }

    /// The mean log-odds of [`Tagger::sounds`] over segments.
    pub(in super::super) fn sounds<'a>(
        &self,
        answers: impl ExactSizeIterator<Item = &'a Answer>,
        sounds: &mut [f32],
    ) {
        let n = answers.len().max(1) as f32;
        sounds.fill(0.0);
        for answer in answers {
            for (to, &class) in sounds.iter_mut().zip(&self.sounds) {
                *to += answer.logits[class].clamp(-SUREST, SUREST) / n;
            }
        }
    }
}

/// Log-odds are cut here: surer is no better a reason.
const SUREST: f32 = 6.0;

/// A layer with its weights, shared by every plan.
#[derive(Clone, Debug)]
enum Layer {
    Stem(Arc<Stem>),
    Block(Arc<FusedMobileBlock>),
    Last(Arc<LastPool>),
}

impl PartialEq for Layer {
    fn eq(&self, other: &Self) -> bool {
        match (self, other) {
            (Self::Stem(a), Self::Stem(b)) => Arc::ptr_eq(a, b),
            (Self::Block(a), Self::Block(b)) => Arc::ptr_eq(a, b),
            (Self::Last(a), Self::Last(b)) => Arc::ptr_eq(a, b),
            _ => false,
        }
    }
}

impl Eq for Layer {}

impl Compute for Layer {
    type Memory = MobileScratch;

    const NAME: &'static str = "MobileNet";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        let (time, rows) = (inputs[0][0], inputs[0][1]);
        match self {
            Self::Stem(stem) => TVec::from_slice(&stem.extents(time, rows)),
            Self::Block(block) => TVec::from_slice(&block.extents(time, rows)),
            Self::Last(last) => tvec!(last.0.filters()),
        }
    }

    fn compute(
        &self,
        inputs: &[TValue],
        output: &mut Tensor,
        memory: &mut MobileScratch,
    ) -> TractResult<()> {
        let rows = inputs[0].shape()[1];
        let view = inputs[0].try_as_plain_ram()?;
        let input = view.as_slice::<f32>()?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let output = plain.as_slice_mut::<f32>()?;
        match self {
            Self::Stem(stem) => stem.run(input, rows, output, memory),
            Self::Block(block) => block.run(input, rows, output, memory),
            Self::Last(last) => last.run(input, output, memory),
        }
        Ok(())
    }
}

/// `x * clamp(x + 3, 0, 6) / 6`.
#[derive(Clone, Debug, PartialEq, Eq)]
struct HardSwish;

impl Compute for HardSwish {
    type Memory = ();

    const NAME: &'static str = "HardSwish";

    fn extents(&self, inputs: &[&[usize]]) -> TVec<usize> {
        inputs[0].into()
    }

    fn compute(&self, inputs: &[TValue], output: &mut Tensor, (): &mut ()) -> TractResult<()> {
        let view = inputs[0].try_as_plain_ram()?;
        let mut plain = output.try_as_plain_ram_mut()?;
        let cells = plain.as_slice_mut::<f32>()?.iter_mut();
        for (output, &input) in cells.zip(view.as_slice::<f32>()?) {
            *output = AfterConvolution::HardSwish.apply(input);
        }
        Ok(())
    }
}
