//! Weights as they lie in the file, and which of them an architecture needs.

use std::collections::BTreeMap;

use super::{MAX_WEIGHT, ModelError};
use crate::{
    genre::Labels,
    network::architecture::{Architecture, KERNEL, Pooling},
};

/// Weights as they lie in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    pub(super) shape: Vec<usize>,
    pub(super) values: Values,
}

/// Storage of [`Weights`].
#[derive(Clone, Debug, PartialEq)]
pub enum Values {
    /// 32-bit floats.
    F32(Vec<f32>),
    /// `weight[o, ..] = scales[o] * int8[o, ..]`.
    I8 {
        /// Values in -127..=127.
        int8: Vec<i8>,
        /// One per output channel (axis 0).
        scales: Vec<f32>,
    },
}

impl Weights {
    /// Weights in row-major order.
    ///
    /// # Errors
    /// [`ModelError::Field`] when `values` are not as many as `shape` says.
    pub fn new(shape: &[usize], values: Vec<f32>) -> Result<Self, ModelError> {
        let expected = shape
            .iter()
            .try_fold(1_usize, |product, &n| product.checked_mul(n));
        if expected != Some(values.len()) {
            return Err(ModelError::field(
                "number of weights",
                values.len(),
                format!("the product of {shape:?}"),
            ));
        }
        Ok(Self {
            shape: shape.to_vec(),
            values: Values::F32(values),
        })
    }

    /// Extents, output channels first.
    pub fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// As they are stored.
    pub fn values(&self) -> &Values {
        &self.values
    }

    /// As floats, in row-major order.
    pub fn to_f32(&self) -> Vec<f32> {
        match &self.values {
            Values::F32(values) => values.clone(),
            Values::I8 { int8, scales } => {
                let row = (int8.len() / scales.len().max(1)).max(1);
                let rows = int8.chunks(row).zip(scales);
                rows.flat_map(|(row, &scale)| row.iter().map(move |&q| scale * f32::from(q)))
                    .collect()
            }
        }
    }

    /// Rounded to int8, symmetrically, with one scale per output channel: the largest of a channel
    /// becomes 127.
    #[must_use]
    pub fn to_i8(&self) -> Self {
        let values = self.to_f32();
        let outputs = self.shape.first().copied().unwrap_or(1).max(1);
        let row = (values.len() / outputs).max(1);
        let (mut int8, mut scales) = (
            Vec::with_capacity(values.len()),
            Vec::with_capacity(outputs),
        );
        for channel in values.chunks(row) {
            let largest = channel
                .iter()
                .fold(0.0_f32, |largest, value| largest.max(value.abs()));
            // A channel of zeros (or of denormals) keeps a scale that divides.
            let scale = (largest / 127.0).max(f32::MIN_POSITIVE);
            int8.extend(
                channel
                    .iter()
                    .map(|value| (value / scale).round().clamp(-127.0, 127.0) as i8),
            );
            scales.push(scale);
        }
        Self {
            shape: self.shape.clone(),
            values: Values::I8 { int8, scales },
        }
    }
}

impl Weights {
    pub(super) fn check(&self, name: &str) -> Result<(), ModelError> {
        let bounded = |field: &str, values: &[f32]| {
            let fits = |value: &&f32| value.is_finite() && value.abs() < MAX_WEIGHT;
            match values.iter().find(|value| !fits(value)) {
                Some(value) => Err(ModelError::field(field, value, "finite values below 1e9")),
                None => Ok(()),
            }
        };
        match &self.values {
            Values::F32(values) => bounded(name, values),
            Values::I8 { scales, .. } => {
                let field = format!("{name}.scale");
                bounded(&field, scales)?;
                match scales.iter().find(|&&scale| scale < 0.0) {
                    Some(scale) => Err(ModelError::field(field, scale, "values of at least 0")),
                    None => Ok(()),
                }
            }
        }
    }
}

/// The tensors an architecture needs, with their shapes. `architecture` has been checked.
pub fn expected_tensors(
    architecture: &Architecture,
    labels: &Labels,
    n_mels: usize,
) -> BTreeMap<String, Vec<usize>> {
    let mut expected = BTreeMap::new();
    let mut channels = 1;
    for (index, block) in architecture.blocks.iter().enumerate() {
        let name = format!("block{}", index + 1);
        expected.insert(
            format!("{name}.weight"),
            vec![block.filters, channels, KERNEL, KERNEL],
        );
        expected.insert(format!("{name}.bias"), vec![block.filters]);
        channels = block.filters;
    }
    if architecture.column_affine {
        let columns = architecture.frame_columns + 2 * architecture.time_pad;
        expected.insert("input.column_scale".into(), vec![columns]);
        expected.insert("input.column_offset".into(), vec![columns]);
    }
    if let Pooling::Gru { units } = &architecture.pooling {
        let mut inputs = channels * architecture.rows(architecture.blocks.len() - 1, n_mels);
        for (index, &units) in units.iter().enumerate() {
            let name = format!("gru{}", index + 1);
            expected.insert(format!("{name}.input"), vec![3 * units, inputs]);
            expected.insert(format!("{name}.recurrent"), vec![3 * units, units]);
            expected.insert(format!("{name}.bias"), vec![3 * units]);
            inputs = units;
        }
    }
    if let Some(tagger) = &architecture.tagger {
        expected.extend(tagger.tensors());
    }
    let mut inputs = architecture.pooled_len(n_mels);
    if let Some(hidden) = architecture.head.hidden {
        expected.insert("hidden.weight".into(), vec![hidden, inputs]);
        expected.insert("hidden.bias".into(), vec![hidden]);
        inputs = hidden;
    }
    expected.insert("output.weight".into(), vec![labels.len(), inputs]);
    expected.insert("output.bias".into(), vec![labels.len()]);
    expected
}
