//! Optimisers: Adam, AdamW and SGD with Nesterov momentum; schedules; averages of weights.

use serde::{Deserialize, Serialize};

use crate::net::Params;

/// How a step follows from gradients.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Method {
    /// Adam (Kingma and Ba 2015), betas 0.9 and 0.999, epsilon 1e-8; weight decay is added to the gradient.
    Adam,
    /// Adam with decoupled weight decay (Loshchilov and Hutter 2019).
    AdamW,
    /// Stochastic gradient descent with Nesterov momentum 0.9; weight decay is added to the gradient.
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

/// The state of an optimiser; it is part of a checkpoint.
#[derive(Clone, Debug, PartialEq)]
pub struct Optimiser {
    /// How it steps.
    pub method: Method,
    /// First moments, or velocities.
    pub first: Params,
    /// Second moments; unused by SGD.
    pub second: Params,
    /// Steps taken.
    pub steps: usize,
}

impl Optimiser {
    /// An optimiser that has taken no step; `zeros` gives the shapes.
    pub fn new(method: Method, zeros: &Params) -> Self {
        Self {
            method,
            first: zeros.clone(),
            second: zeros.clone(),
            steps: 0,
        }
    }

    /// Moves `params` against `gradients`. `rates` holds one learning rate for each tensor; a tensor at
    /// rate 0 is frozen: it neither moves nor decays.
    pub fn step(
        &mut self,
        params: &mut Params,
        gradients: &Params,
        rates: &[f32],
        weight_decay: f32,
    ) {
        const BETA1: f32 = 0.9;
        const BETA2: f32 = 0.999;
        const EPSILON: f32 = 1e-8;
        const MOMENTUM: f32 = 0.9;
        self.steps += 1;
        let t = i32::try_from(self.steps).unwrap_or(i32::MAX);
        let (correct1, correct2) = (1.0 - BETA1.powi(t), 1.0 - BETA2.powi(t));
        for (i, &rate) in rates.iter().enumerate() {
            if rate == 0.0 {
                continue;
            }
            let values = params.tensors[i].iter_mut().zip(&gradients.tensors[i]);
            let moments = self.first.tensors[i]
                .iter_mut()
                .zip(&mut self.second.tensors[i]);
            for ((value, &gradient), (first, second)) in values.zip(moments) {
                let gradient = match self.method {
                    Method::AdamW => {
                        *value *= 1.0 - rate * weight_decay;
                        gradient
                    }
                    Method::Adam | Method::SgdNesterov => gradient + weight_decay * *value,
                };
                if self.method == Method::SgdNesterov {
                    *first = MOMENTUM * *first + gradient;
                    *value -= rate * (gradient + MOMENTUM * *first);
                } else {
                    *first = BETA1 * *first + (1.0 - BETA1) * gradient;
                    *second = BETA2 * *second + (1.0 - BETA2) * gradient * gradient;
                    *value -= rate * (*first / correct1) / ((*second / correct2).sqrt() + EPSILON);
                }
            }
        }
    }
}

/// Moves the running average `average` towards `params`: `average = keep * average + (1 - keep) * params`, from tensor `first` on; those
/// before it are frozen and have not moved.
pub fn average_into(average: &mut Params, params: &Params, keep: f32, first: usize) {
    for (to, from) in average.tensors.iter_mut().zip(&params.tensors).skip(first) {
        for (to, from) in to.iter_mut().zip(from) {
            *to += (1.0 - keep) * (from - *to);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn one(value: f32) -> Params {
        Params {
            tensors: vec![vec![value]],
        }
    }

    #[test]
    fn first_steps_are_the_textbooks() {
        // Adam's first step is the learning rate, whatever the gradient's size.
        let mut params = one(1.0);
        Optimiser::new(Method::Adam, &one(0.0)).step(&mut params, &one(5.0), &[0.1], 0.0);
        assert!((params.tensors[0][0] - 0.9).abs() < 1e-6);
        // Nesterov's: rate * (1 + momentum) * gradient.
        let mut params = one(1.0);
        Optimiser::new(Method::SgdNesterov, &one(0.0)).step(&mut params, &one(2.0), &[0.1], 0.0);
        assert!((params.tensors[0][0] - (1.0 - 0.1 * 1.9 * 2.0)).abs() < 1e-6);
        // Decoupled decay shrinks by rate * decay before Adam's step.
        let mut params = one(1.0);
        Optimiser::new(Method::AdamW, &one(0.0)).step(&mut params, &one(5.0), &[0.1], 0.5);
        assert!((params.tensors[0][0] - (0.95 - 0.1)).abs() < 1e-6);
    }

    #[test]
    fn every_method_finds_the_bottom_of_a_bowl() {
        for (method, rate) in [
            (Method::Adam, 0.05),
            (Method::AdamW, 0.05),
            (Method::SgdNesterov, 0.02),
        ] {
            let mut params = one(4.0);
            let mut optimiser = Optimiser::new(method, &one(0.0));
            for _ in 0..500 {
                let gradient = one(2.0 * (params.tensors[0][0] - 1.0));
                optimiser.step(&mut params, &gradient, &[rate], 0.0);
            }
            assert!(
                (params.tensors[0][0] - 1.0).abs() < 0.02,
                "{method:?}: {}",
                params.tensors[0][0]
            );
        }
    }

    #[test]
    fn rate_zero_is_frozen() {
        let mut params = one(1.0);
        Optimiser::new(Method::AdamW, &one(0.0)).step(&mut params, &one(5.0), &[0.0], 0.5);
        assert_eq!(params.tensors[0][0], 1.0);
    }
}
