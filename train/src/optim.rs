//! Optimisers, which are burn's; schedules; averages of weights; small fits.

use anyhow::{Context, Result, ensure};
use burn::{
    optim::{
        Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState,
        Optimizer as _, RecordState as _, Sgd, SgdConfig, SgdState, StateSink,
        decay::WeightDecayConfig,
        momentum::{MomentumConfig, MomentumState},
    },
    tensor::{Device, Tensor, TensorData},
};
use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Serialize};

use crate::trainable::{flat, floats};

/// How a step follows from gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Adam (Kingma and Ba 2015), betas 0.9 and 0.999, epsilon 1e-8; weight decay is added to the
    /// gradient.
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW,
    /// Stochastic gradient descent with Nesterov momentum 0.9; weight decay is added to the
    /// gradient.
    SgdNesterov,
}

/// How the learning rate moves over a run: warm-up, then half a cosine down to 2 % of the rate.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
pub struct Schedule {
    /// Steps of the whole run.
    pub total: usize,
    /// Part of it spent on the way up.
    pub warm_up: f32,
    /// Constant after the warm-up instead of a cosine.
    pub constant: bool,
}

impl Schedule {
    /// Factor on the learning rate at `step`, from 0.
    pub fn factor(&self, step: usize) -> f32 {
        let total = self.total.max(1) as f32;
        let up = (step as f32 + 1.0) / (self.warm_up * total).max(1.0);
        let down = if self.constant {
            1.0
        } else {
            0.5 * (1.0 + (std::f32::consts::PI * step as f32 / total).cos()) * 0.98 + 0.02
        };
        up.min(1.0) * down
    }
}

/// An optimiser; what it remembers of each tensor is kept beside the tensor.
#[derive(Clone)]
pub enum Optimiser {
    /// See [`Method::Adam`].
    Adam(Adam),
    /// See [`Method::AdamW`].
    AdamW(AdamW),
    /// See [`Method::SgdNesterov`].
    Sgd(Sgd),
}

impl std::fmt::Debug for Optimiser {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            Self::Adam(_) => "Adam",
            Self::AdamW(_) => "AdamW",
            Self::Sgd(_) => "Sgd",
        })
    }
}

/// What an optimiser remembers of a tensor.
#[derive(Clone)]
pub enum Moments {
    /// First and second moment.
    Adam(AdamState<1>),
    /// The same.
    AdamW(AdamWState<1>),
    /// The velocity.
    Sgd(SgdState<1>),
}

impl std::fmt::Debug for Moments {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_list()
            .entries(self.tensors().iter().map(TensorData::shape))
            .finish()
    }
}

impl Optimiser {
    /// The optimiser of this name.
    pub fn new(method: Method, weight_decay: f32) -> Self {
        const EPSILON: f32 = 1e-8;
        let decay = (weight_decay != 0.0).then(|| WeightDecayConfig::new(weight_decay));
        match method {
            Method::Adam => Self::Adam(
                AdamConfig::new()
                    .with_epsilon(EPSILON)
                    .with_weight_decay(decay)
                    .build(),
            ),
            Method::AdamW => Self::AdamW(
                AdamWConfig::new()
                    .with_epsilon(EPSILON)
                    .with_weight_decay(weight_decay)
                    .build(),
            ),
            Method::SgdNesterov => Self::Sgd(
                SgdConfig::new()
                    .with_momentum(Some(
                        MomentumConfig::new()
                            .with_momentum(0.9)
                            .with_dampening(0.0)
                            .with_nesterov(true),
                    ))
                    .with_weight_decay(decay)
                    .build(),
            ),
        }
    }

    /// The tensor after a step against its gradient, and what is to be remembered of it.
    ///
    /// # Panics
    /// When the moments are of another optimiser.
    pub fn step(
        &self,
        rate: f64,
        tensor: Tensor<1>,
        gradient: Tensor<1>,
        moments: Option<Moments>,
    ) -> (Tensor<1>, Option<Moments>) {
        macro_rules! step {
            ($optimiser:expr, $kind:path) => {{
                let moments = moments.map(|moments| match moments {
                    $kind(state) => state,
                    _ => panic!("moments of another optimiser"),
                });
                let (tensor, state) = $optimiser.step(rate, tensor, gradient, moments);
                (tensor, state.map($kind))
            }};
        }
        match self {
            Self::Adam(adam) => step!(adam, Moments::Adam),
            Self::AdamW(adam) => step!(adam, Moments::AdamW),
            Self::Sgd(sgd) => step!(sgd, Moments::Sgd),
        }
    }

    /// What [`Moments::tensors`] gave after so many steps.
    ///
    /// # Errors
    /// When there are not as many tensors as this optimiser remembers.
    pub fn remember(&self, steps: usize, tensors: Vec<Tensor<1>>) -> Result<Moments> {
        let n = tensors.len();
        let mut tensors = tensors.into_iter();
        let mut next = || {
            tensors
                .next()
                .context("a tensor of the optimiser is missing")
        };
        let mut adaptive =
            || Ok::<_, anyhow::Error>(AdaptiveMomentumState::new(steps, next()?, next()?));
        let (moments, expected) = match self {
            Self::Adam(_) => (Moments::Adam(AdamState::new(adaptive()?)), 2),
            Self::AdamW(_) => (Moments::AdamW(AdamWState::new(adaptive()?)), 2),
            Self::Sgd(_) => (
                Moments::Sgd(SgdState::new(Some(MomentumState::new(next()?)))),
                1,
            ),
        };
        ensure!(
            n == expected,
            "{n} tensors of the optimiser, not {expected}"
        );
        Ok(moments)
    }
}

impl Moments {
    /// The tensors, for a checkpoint.
    pub fn tensors(&self) -> Vec<TensorData> {
        let mut sink = StateSink::default();
        match self {
            Self::Adam(state) => state.state_flatten("", &mut sink),
            Self::AdamW(state) => state.state_flatten("", &mut sink),
            Self::Sgd(state) => state.state_flatten("", &mut sink),
        }
        sink.tensors.into_iter().map(|(_, data)| data).collect()
    }
}

/// A tensor that learns, its running average, and what the optimiser remembers of it; it is part of
/// a checkpoint.
#[derive(Clone, Debug)]
pub struct Learnt {
    name: String,
    shape: Vec<usize>,
    /// As it stands.
    pub value: Tensor<1>,
    /// The running average.
    pub average: Tensor<1>,
    moments: Option<Moments>,
}

/// Names, shapes and values of tensors, to be written.
pub type Named = Vec<(String, Vec<usize>, Vec<f32>)>;

/// What an optimiser remembers, as a checkpoint calls it.
const MOMENTS: [&str; 2] = ["first", "second"];

impl Learnt {
    /// A tensor that has taken no step.
    pub fn new(name: &str, shape: &[usize], values: Vec<f32>) -> Self {
        let value = flat(values);
        Self {
            name: name.to_owned(),
            shape: shape.to_vec(),
            average: value.clone(),
            value,
            moments: None,
        }
    }

    /// Its shape.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Goes against `gradient`. `step` counts from 1; the average keeps this much of itself, but is
    /// short at first, so that it does not remember the start.
    pub fn step(
        &mut self,
        optimiser: &Optimiser,
        rate: f64,
        gradient: Tensor<1>,
        (average, step): (f32, usize),
    ) {
        (self.value, self.moments) =
            optimiser.step(rate, self.value.clone(), gradient, self.moments.take());
        let keep = average.min(step as f32 / (step as f32 + 9.0));
        self.average =
            (self.value.clone() - self.average.clone()) * (1.0 - keep) + self.average.clone();
    }

    /// A tensor of the same shape for a checkpoint.
    pub fn push(&self, kind: &str, values: Vec<f32>, to: &mut Named) {
        to.push((format!("{kind}/{}", self.name), self.shape.clone(), values));
    }

    /// Everything for a checkpoint.
    ///
    /// # Errors
    /// Never: all tensors here are of f32.
    pub fn write(&self, to: &mut Named) -> Result<()> {
        self.push("value", floats(self.value.clone()), to);
        self.push("average", floats(self.average.clone()), to);
        let moments = self.moments.as_ref().map(Moments::tensors);
        for (kind, data) in MOMENTS.iter().zip(moments.into_iter().flatten()) {
            self.push(kind, data.try_into_vec()?, to);
        }
        Ok(())
    }

    /// What [`Learnt::push`] kept, if it did.
    ///
    /// # Errors
    /// When it is of another shape.
    pub fn pull(&self, kind: &str, file: &SafeTensors<'_>) -> Result<Option<Tensor<1>>> {
        let name = format!("{kind}/{}", self.name);
        let Ok(view) = file.tensor(&name) else {
            return Ok(None);
        };
        ensure!(
            view.shape() == self.shape && view.dtype() == Dtype::F32,
            "tensor '{name}' is {:?} of {:?} where {:?} of F32 was expected",
            view.shape(),
            view.dtype(),
            self.shape
        );
        let quads = view.data().as_chunks::<4>().0.iter();
        Ok(Some(flat(
            quads.map(|quad| f32::from_le_bytes(*quad)).collect(),
        )))
    }

    /// Goes on from a checkpoint after so many steps.
    ///
    /// # Errors
    /// When a tensor is missing or of another shape.
    pub fn read(
        &mut self,
        file: &SafeTensors<'_>,
        optimiser: &Optimiser,
        steps: usize,
    ) -> Result<()> {
        let needed = |kind: &str| {
            let found = self.pull(kind, file)?;
            found.with_context(|| format!("there is no tensor '{kind}/{}' in it", self.name))
        };
        let (value, average) = (needed("value")?, needed("average")?);
        let moments: Vec<Tensor<1>> = MOMENTS
            .iter()
            .filter_map(|kind| self.pull(kind, file).transpose())
            .collect::<Result<_>>()?;
        if !moments.is_empty() {
            self.moments = Some(optimiser.remember(steps, moments)?);
        }
        (self.value, self.average) = (value, average);
        Ok(())
    }
}

/// Lowers `loss` from `start` by `steps` steps of Adam at `rate`: for small fits of all data at
/// once. No random number is drawn.
///
/// `prepare` is told the device that everything must be on, and gives the loss as a function of the
/// tensors.
pub fn descend<L: Fn(&[Tensor<1>]) -> Tensor<1>>(
    start: Vec<Vec<f32>>,
    steps: usize,
    rate: f64,
    prepare: impl FnOnce(&Device) -> L,
) -> Vec<Vec<f32>> {
    let loss = prepare(&Device::flex().autodiff());
    let adam = Optimiser::new(Method::Adam, 0.0);
    let mut slots: Vec<(Tensor<1>, Option<Moments>)> = start
        .into_iter()
        .map(|values| (flat(values), None))
        .collect();
    for _ in 0..steps {
        let leaves: Vec<Tensor<1>> = slots
            .iter()
            .map(|(value, _)| Tensor::from_inner(value.clone()).require_grad())
            .collect();
        let mut gradients = loss(&leaves).backward();
        for (leaf, slot) in leaves.iter().zip(&mut slots) {
            if let Some(gradient) = leaf.grad_remove(&mut gradients) {
                *slot = adam.step(rate, slot.0.clone(), gradient, slot.1.take());
            }
        }
    }
    slots.into_iter().map(|(value, _)| floats(value)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after_one(method: Method, decay: f32, gradient: f32) -> f32 {
        let optimiser = Optimiser::new(method, decay);
        let (value, _) = optimiser.step(0.1, flat(vec![1.0]), flat(vec![gradient]), None);
        floats(value)[0]
    }

    #[test]
    fn first_steps_are_the_textbooks() {
        // Adam's first step is the learning rate, whatever the gradient's size.
        assert!((after_one(Method::Adam, 0.0, 5.0) - 0.9).abs() < 1e-6);
        // Nesterov's: rate * (1 + momentum) * gradient.
        let nesterov = after_one(Method::SgdNesterov, 0.0, 2.0);
        assert!((nesterov - (1.0 - 0.1 * 1.9 * 2.0)).abs() < 1e-6);
        // Decoupled decay shrinks by rate * decay before Adam's step.
        assert!((after_one(Method::AdamW, 0.5, 5.0) - (0.95 - 0.1)).abs() < 1e-6);
    }

    #[test]
    fn what_is_remembered_survives_a_checkpoint() {
        for method in [Method::Adam, Method::AdamW, Method::SgdNesterov] {
            let optimiser = Optimiser::new(method, 0.01);
            let gradient = || flat(vec![0.3, -0.2]);
            let (mut value, mut moments) = (flat(vec![1.0, 2.0]), None);
            for _ in 0..3 {
                (value, moments) = optimiser.step(0.05, value, gradient(), moments);
            }
            let kept = moments.as_ref().unwrap().tensors();
            let kept = kept
                .into_iter()
                .map(|data| flat(data.try_into_vec().unwrap()));
            let again = optimiser.remember(3, kept.collect()).unwrap();
            let next = |moments| floats(optimiser.step(0.05, value.clone(), gradient(), moments).0);
            assert_eq!(next(Some(again)), next(moments), "{method:?}");
            assert!(optimiser.remember(3, Vec::new()).is_err());
        }
    }

    #[test]
    fn every_method_finds_the_bottom_of_a_bowl() {
        for (method, rate) in [
            (Method::Adam, 0.05),
            (Method::AdamW, 0.05),
            (Method::SgdNesterov, 0.02),
        ] {
            let optimiser = Optimiser::new(method, 0.0);
            let (mut value, mut moments) = (flat(vec![4.0]), None);
            for _ in 0..500 {
                let gradient = (value.clone() - 1.0) * 2.0;
                (value, moments) = optimiser.step(rate, value, gradient, moments);
            }
            let found = floats(value)[0];
            assert!((found - 1.0).abs() < 0.02, "{method:?}: {found}");
        }
    }
}
