//! A GRU of Keras 1, forwards and backwards through all its steps.
//!
//! Gates are `clip(0.2 v + 0.5, 0, 1)`, the reset gate acts on the state before the recurrent product, and the update gate keeps:
//! `h' = z * h + (1 - z) * tanh(..)`. Every pass starts from a state of zeros. The product computes the same (`network::graph`).

use crate::conv::{Matrix, product};

/// Sizes of a GRU.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct GruShape {
    /// Values that come in at each step.
    pub inputs: usize,
    /// Values of the state.
    pub units: usize,
}

/// What is learnt of a GRU, or gradients of that: gates update, reset and candidate, one after the other.
#[derive(Clone, Copy, Debug)]
pub struct Weights<'a> {
    /// Shape `[3 * units, inputs]`.
    pub input: &'a [f32],
    /// Shape `[3 * units, units]`.
    pub recurrent: &'a [f32],
    /// `3 * units` values.
    pub bias: &'a [f32],
}

/// Everything the backward pass needs of one forward pass.
#[derive(Clone, Debug)]
pub struct GruTrace {
    /// What came in: `[steps, inputs]`.
    inputs: Vec<f32>,
    /// `[steps + 1, units]`: zeros, then the state after each step.
    states: Vec<f32>,
    /// `[steps, 3 * units]`: update gate, reset gate, candidate, after their nonlinearities.
    gates: Vec<f32>,
}

impl GruTrace {
    /// States after each step: `[steps, units]`.
    pub fn outputs(&self, shape: GruShape) -> &[f32] {
        &self.states[shape.units..]
    }
}

fn dot(a: &[f32], b: &[f32]) -> f32 {
    a.iter().zip(b).map(|(a, b)| a * b).sum()
}

fn hard_sigmoid(value: f32) -> f32 {
    (0.2 * value + 0.5).clamp(0.0, 1.0)
}

/// The slope of [`hard_sigmoid`] where it gave `gate`.
fn slope(gate: f32) -> f32 {
    if gate > 0.0 && gate < 1.0 { 0.2 } else { 0.0 }
}

/// `to += scale * row`.
fn add_scaled(to: &mut [f32], scale: f32, row: &[f32]) {
    for (to, x) in to.iter_mut().zip(row) {
        *to += scale * x;
    }
}

/// Runs over `inputs`, shape `[steps, shape.inputs]`.
///
/// # Panics
/// When lengths do not agree with `shape`; shapes are the caller's constants.
pub fn forward(shape: GruShape, weights: Weights<'_>, inputs: Vec<f32>) -> GruTrace {
    let GruShape { inputs: n, units } = shape;
    assert_eq!(inputs.len() % n, 0);
    assert_eq!(weights.input.len(), 3 * units * n);
    assert_eq!(weights.recurrent.len(), 3 * units * units);
    let steps = inputs.len() / n;
    let mut gates: Vec<f32> = weights
        .bias
        .iter()
        .copied()
        .cycle()
        .take(steps * 3 * units)
        .collect();
    product(
        Matrix::new(&inputs, steps, n, n, 1),
        Matrix::new(weights.input, n, 3 * units, 1, n),
        &mut gates,
        3 * units,
        true,
    );
    let mut states = vec![0.0f32; (steps + 1) * units];
    let row = |gate: usize| &weights.recurrent[gate * units..(gate + 1) * units];
    let mut scaled = vec![0.0f32; units];
    for (step, gates) in gates.chunks_exact_mut(3 * units).enumerate() {
        let (before, after) = states.split_at_mut((step + 1) * units);
        let (state, after) = (&before[step * units..], &mut after[..units]);
        for i in 0..units {
            gates[i] = hard_sigmoid(gates[i] + dot(row(i), state));
            gates[units + i] = hard_sigmoid(gates[units + i] + dot(row(units + i), state));
            scaled[i] = gates[units + i] * state[i];
        }
        for i in 0..units {
            let candidate = (gates[2 * units + i] + dot(row(2 * units + i), &scaled)).tanh();
            gates[2 * units + i] = candidate;
            after[i] = gates[i] * state[i] + (1.0 - gates[i]) * candidate;
        }
    }
    GruTrace {
        inputs,
        states,
        gates,
    }
}

/// Gradients of a GRU. `gradient` is that of all its states, `[steps, units]`; adds to `sums`, those of input, recurrent and bias;
/// returns the gradient of what came in.
///
/// # Panics
/// When lengths do not agree with `shape`.
pub fn backward(
    shape: GruShape,
    weights: Weights<'_>,
    trace: &GruTrace,
    gradient: &[f32],
    sums: &mut [Vec<f32>],
) -> Vec<f32> {
    let GruShape { inputs: n, units } = shape;
    let steps = trace.inputs.len() / n;
    assert_eq!(gradient.len(), steps * units);
    let mut to_inputs = vec![0.0f32; steps * n];
    let row = |gate: usize| &weights.recurrent[gate * units..(gate + 1) * units];
    let mut to_state = vec![0.0f32; units];
    // Of the gates before their nonlinearities, in the order of the weights.
    let mut to_gates = vec![0.0f32; 3 * units];
    for step in (0..steps).rev() {
        let state = &trace.states[step * units..(step + 1) * units];
        let gates = &trace.gates[step * 3 * units..(step + 1) * 3 * units];
        for (to, g) in to_state.iter_mut().zip(&gradient[step * units..]) {
            *to += g;
        }
        let mut before = vec![0.0f32; units];
        let mut to_scaled = vec![0.0f32; units];
        for i in 0..units {
            let (update, candidate) = (gates[i], gates[2 * units + i]);
            before[i] = to_state[i] * update;
            to_gates[i] = to_state[i] * (state[i] - candidate) * slope(update);
            to_gates[2 * units + i] = to_state[i] * (1.0 - update) * (1.0 - candidate * candidate);
            add_scaled(&mut to_scaled, to_gates[2 * units + i], row(2 * units + i));
        }
        for i in 0..units {
            let reset = gates[units + i];
            before[i] += to_scaled[i] * reset;
            to_gates[units + i] = to_scaled[i] * state[i] * slope(reset);
        }
        for (i, &to_gate) in to_gates[..2 * units].iter().enumerate() {
            add_scaled(&mut before, to_gate, row(i));
        }
        let input = &trace.inputs[step * n..(step + 1) * n];
        let to_input = &mut to_inputs[step * n..(step + 1) * n];
        for (i, &g) in to_gates.iter().enumerate() {
            add_scaled(to_input, g, &weights.input[i * n..(i + 1) * n]);
        }
        if let [of_input, of_recurrent, of_bias] = &mut *sums {
            for (i, &g) in to_gates.iter().enumerate() {
                of_bias[i] += g;
                add_scaled(&mut of_input[i * n..(i + 1) * n], g, input);
                let sum = &mut of_recurrent[i * units..(i + 1) * units];
                if i < 2 * units {
                    add_scaled(sum, g, state);
                } else {
                    for ((to, h), r) in sum.iter_mut().zip(state).zip(&gates[units..2 * units]) {
                        *to += g * h * r;
                    }
                }
            }
        }
        to_state = before;
    }
    to_inputs
}
