//! Plans without tract: the few names of it that [`super::graph`] needs for operators of ours, under the same names.
//!
//! tract enters every operator and matrix kernel it has into lists that are made when a program starts, so all of them are linked,
//! used or not: half of a plugin's size. Here a plan is a list of nodes that run in the order in which they were wired.

#![allow(
    clippy::unnecessary_wraps,
    reason = "tract may refuse what cannot fail here"
)]

use std::{fmt, sync::Arc};

use smallvec::SmallVec;
pub(super) use smallvec::smallvec as tvec;

/// Few enough to need no allocation.
pub(super) type TVec<T> = SmallVec<[T; 8]>;

pub(super) type TractResult<T> = Result<T, Error>;

/// A value on its way from one node to others.
pub(super) type TValue = Arc<Tensor>;

/// Why a plan cannot be built or run.
#[derive(Debug)]
pub(super) struct Error(String);

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl<E: std::error::Error> From<E> for Error {
    fn from(error: E) -> Self {
        Self(error.to_string())
    }
}

/// A missing value as an error.
pub(super) trait Context<T> {
    fn context(self, what: &str) -> TractResult<T>;
    fn with_context(self, what: impl FnOnce() -> String) -> TractResult<T>;
}

impl<T> Context<T> for Option<T> {
    fn context(self, what: &str) -> TractResult<T> {
        self.ok_or_else(|| Error(what.to_owned()))
    }

    fn with_context(self, what: impl FnOnce() -> String) -> TractResult<T> {
        self.ok_or_else(|| Error(what()))
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum DatumType {
    F32,
    U8,
}

#[derive(Clone, Debug)]
enum Values {
    F32(Vec<f32>),
    U8(Vec<u8>),
}

/// What a tensor holds.
pub(super) trait Datum: Copy {
    fn datum_type() -> DatumType;
    fn of(tensor: &Tensor) -> Option<&[Self]>;
    fn of_mut(tensor: &mut Tensor) -> Option<&mut [Self]>;

    /// Here extents come with the values, so there is nothing to say of them before.
    fn fact<S>(_: S) -> Fact {
        Fact
    }
}

/// What is known of a source before it has a value.
#[derive(Clone, Copy, Debug)]
pub(super) struct Fact;

macro_rules! datum {
    ($type:ty, $variant:ident) => {
        impl Datum for $type {
            fn datum_type() -> DatumType {
                DatumType::$variant
            }

            fn of(tensor: &Tensor) -> Option<&[Self]> {
                match &tensor.values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }

            fn of_mut(tensor: &mut Tensor) -> Option<&mut [Self]> {
                match &mut tensor.values {
                    Values::$variant(values) => Some(values),
                    _ => None,
                }
            }
        }
    };
}

datum!(f32, F32);
datum!(u8, U8);

/// Values in rows of rows.
#[derive(Clone, Debug)]
pub(super) struct Tensor {
    shape: TVec<usize>,
    values: Values,
}

/// Read access to a tensor.
#[derive(Clone, Copy, Debug)]
pub(super) struct View<'a>(&'a Tensor);

/// Write access to a tensor.
#[derive(Debug)]
pub(super) struct ViewMut<'a>(&'a mut Tensor);

impl<'a> View<'a> {
    pub(super) fn as_slice<T: Datum>(self) -> TractResult<&'a [T]> {
        T::of(self.0).context("a tensor of another type")
    }
}

impl ViewMut<'_> {
    pub(super) fn as_slice_mut<T: Datum>(&mut self) -> TractResult<&mut [T]> {
        T::of_mut(self.0).context("a tensor of another type")
    }
}

impl Tensor {
    #[expect(clippy::unnecessary_wraps, reason = "tract's may fail")]
    pub(super) fn zero_dt(datum: DatumType, shape: &[usize]) -> TractResult<Self> {
        let n = shape.iter().product();
        Ok(Self {
            shape: shape.into(),
            values: match datum {
                DatumType::F32 => Values::F32(vec![0.0; n]),
                DatumType::U8 => Values::U8(vec![0; n]),
            },
        })
    }

    pub(super) fn from_shape(shape: &[usize], values: &[f32]) -> TractResult<Self> {
        if shape.iter().product::<usize>() != values.len() {
            return Err(Error(format!("{} values for {shape:?}", values.len())));
        }
        Ok(Self {
            shape: shape.into(),
            values: Values::F32(values.to_vec()),
        })
    }

    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    pub(super) fn datum_type(&self) -> DatumType {
        match self.values {
            Values::F32(_) => DatumType::F32,
            Values::U8(_) => DatumType::U8,
        }
    }

    pub(super) fn try_as_plain_ram(&self) -> TractResult<View<'_>> {
        Ok(View(self))
    }

    pub(super) fn try_as_plain_ram_mut(&mut self) -> TractResult<ViewMut<'_>> {
        Ok(ViewMut(self))
    }

    pub(super) fn into_arc_tensor(self) -> Arc<Self> {
        Arc::new(self)
    }
}

pub(super) trait IntoTValue {
    fn into_tvalue(self) -> TValue;
}

impl IntoTValue for Arc<Tensor> {
    fn into_tvalue(self) -> TValue {
        self
    }
}

/// A node's operator.
pub(super) trait Operation: fmt::Debug + Send + Sync {
    fn name(&self) -> &'static str;
    /// The operator and its working memory, for one stream.
    fn state(&self) -> Box<dyn OpState>;
}

/// An operator at work.
pub(super) trait OpState: fmt::Debug + Send {
    fn eval(&mut self, inputs: &[TValue]) -> TractResult<TVec<TValue>>;
}

/// The only output of a node.
#[derive(Clone, Copy, Debug)]
pub(super) struct OutletId(usize);

#[derive(Debug)]
enum Node {
    Source,
    Constant(TValue),
    Operator {
        operation: Box<dyn Operation>,
        inputs: TVec<OutletId>,
    },
}

/// A plan while it is wired.
#[derive(Debug, Default)]
pub(super) struct TypedModel {
    nodes: Vec<Node>,
    outputs: TVec<OutletId>,
}

impl TypedModel {
    fn add(&mut self, node: Node) -> OutletId {
        self.nodes.push(node);
        OutletId(self.nodes.len() - 1)
    }

    pub(super) fn add_source(&mut self, _: impl AsRef<str>, _: Fact) -> TractResult<OutletId> {
        Ok(self.add(Node::Source))
    }

    pub(super) fn add_const(
        &mut self,
        _: impl AsRef<str>,
        value: Arc<Tensor>,
    ) -> TractResult<OutletId> {
        Ok(self.add(Node::Constant(value)))
    }

    pub(super) fn wire_node(
        &mut self,
        _: impl AsRef<str>,
        operation: impl Operation + 'static,
        inputs: &[OutletId],
    ) -> TractResult<TVec<OutletId>> {
        Ok(tvec![self.add(Node::Operator {
            operation: Box::new(operation),
            inputs: inputs.into(),
        })])
    }

    pub(super) fn select_output_outlets(&mut self, outputs: &[OutletId]) -> TractResult<()> {
        self.outputs = outputs.into();
        Ok(())
    }

    pub(super) fn into_optimized(self) -> TractResult<Self> {
        Ok(self)
    }
}

/// A plan that any number of streams can run.
#[derive(Debug)]
pub(super) struct TypedSimplePlan(TypedModel);

impl TypedSimplePlan {
    pub(super) fn new(model: TypedModel) -> TractResult<Arc<Self>> {
        Ok(Arc::new(Self(model)))
    }

    pub(super) fn spawn(self: &Arc<Self>) -> TractResult<TypedSimpleState> {
        let states = self.0.nodes.iter().map(|node| match node {
            Node::Operator { operation, .. } => Some(operation.state()),
            Node::Source | Node::Constant(_) => None,
        });
        Ok(TypedSimpleState {
            states: states.collect(),
            values: vec![None; self.0.nodes.len()],
            plan: Arc::clone(self),
        })
    }
}

/// What one stream needs to run a plan.
#[derive(Debug)]
pub(super) struct TypedSimpleState {
    plan: Arc<TypedSimplePlan>,
    /// One for each node that is an operator.
    states: Vec<Option<Box<dyn OpState>>>,
    /// The output of each node, while it runs.
    values: Vec<Option<TValue>>,
}

impl TypedSimpleState {
    /// Runs every node once. `inputs` are those of the sources, in their order.
    pub(super) fn run(&mut self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let outputs = self.turn(inputs);
        // An operator writes where it wrote before, once nobody holds that any more.
        self.values.fill(None);
        outputs
    }

    fn turn(&mut self, inputs: TVec<TValue>) -> TractResult<TVec<TValue>> {
        let Self {
            plan,
            states,
            values,
        } = self;
        let value = |values: &[Option<TValue>], outlet: &OutletId| {
            values[outlet.0].clone().context("a node before its input")
        };
        let mut sources = inputs.into_iter();
        for (index, (node, state)) in plan.0.nodes.iter().zip(states).enumerate() {
            values[index] = match (node, state) {
                (Node::Constant(constant), _) => Some(Arc::clone(constant)),
                (
                    Node::Operator {
                        operation, inputs, ..
                    },
                    Some(state),
                ) => {
                    let inputs: TVec<TValue> = inputs
                        .iter()
                        .map(|outlet| value(values, outlet))
                        .collect::<TractResult<_>>()?;
                    let outputs = state
                        .eval(&inputs)
                        .map_err(|error| Error(format!("{}: {error}", operation.name())))?;
                    outputs.into_iter().next()
                }
                _ => Some(sources.next().context("too few inputs")?),
            };
        }
        plan.0
            .outputs
            .iter()
            .map(|outlet| value(values, outlet))
            .collect()
    }
}
