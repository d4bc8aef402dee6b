//! Reads networks that were trained in PyTorch: a safetensors state dict with `convN.weight` and `convN.bias` (batch norm folded),
//! `head.weight` and `head.bias` (its standardisation folded).

use std::collections::BTreeMap;

use genrescope::network::{
    Bundle, ModelCard,
    bundle::{ModelError, Weights},
};
use safetensors::{Dtype, SafeTensors};
use thiserror::Error;

/// Why a state dict could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum PyTorchError {
    /// It is no safetensors file.
    #[error("not a safetensors file: {0}")]
    Container(#[from] safetensors::SafeTensorError),
    /// A tensor is neither a convolution of the trunk nor the head, or not in f32.
    #[error(
        "tensor {name} ({dtype}) is not part of a network of this form: convN.* and head.* in F32 are"
    )]
    Tensor {
        /// Its name.
        name: String,
        /// Its type.
        dtype: String,
    },
    /// It does not fit the card.
    #[error(transparent)]
    Model(#[from] ModelError),
}

/// The state dict `file` as a bundle with `card`, whose architecture says how the tensors are used.
///
/// # Errors
/// [`PyTorchError`] naming the tensor or field that does not fit.
pub fn import(file: &[u8], card: ModelCard) -> Result<Bundle, PyTorchError> {
    let mut tensors = BTreeMap::new();
    for (name, view) in SafeTensors::deserialize(file)?.iter() {
        let ours = match name.split_once('.') {
            Some((layer, part @ ("weight" | "bias"))) => match layer.strip_prefix("conv") {
                Some(number) => Some(format!("block{number}.{part}")),
                None => (layer == "head").then(|| format!("output.{part}")),
            },
            _ => None,
        };
        let (Some(ours), Dtype::F32) = (ours, view.dtype()) else {
            return Err(PyTorchError::Tensor {
                name: name.to_owned(),
                dtype: format!("{:?}", view.dtype()),
            });
        };
        let values = view
            .data()
            .as_chunks::<4>()
            .0
            .iter()
            .map(|quad| f32::from_le_bytes(*quad))
            .collect();
        tensors.insert(ours, Weights::new(view.shape(), values)?);
    }
    let bundle = Bundle { card, tensors };
    bundle.check()?;
    Ok(bundle)
}
