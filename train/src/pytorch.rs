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

#[cfg(test)]
mod tests {
    use super::*;
    use genrescope::{
        genre::Labels,
        network::{Architecture, architecture::Block},
    };

    fn bundle() -> Bundle {
        let block = Block {
            filters: 3,
            pool: [8, 4],
        };
        let architecture = Architecture {
            frame_columns: 40,
            blocks: vec![block],
            cycle_after: Some(1),
            ..Architecture::cnn()
        };
        Bundle::random(architecture, Labels::new(["a", "b"]).unwrap(), 1).unwrap()
    }

    /// What PyTorch would have saved, by its names.
    fn state_dict(bundle: &Bundle, rename: impl Fn(&str) -> String) -> Vec<u8> {
        let bytes = |weights: &Weights| -> Vec<u8> {
            weights
                .to_f32()
                .iter()
                .flat_map(|v| v.to_le_bytes())
                .collect()
        };
        let all: Vec<(String, Vec<usize>, Vec<u8>)> = bundle
            .tensors
            .iter()
            .map(|(name, weights)| (rename(name), weights.shape().to_vec(), bytes(weights)))
            .collect();
        let views = all.iter().map(|(name, shape, bytes)| {
            let view = safetensors::tensor::TensorView::new(Dtype::F32, shape.clone(), bytes);
            (name.clone(), view.unwrap())
        });
        safetensors::serialize(views, None).unwrap()
    }

    #[test]
    fn every_tensor_finds_its_place() {
        let ours = bundle();
        let theirs = |name: &str| name.replace("block", "conv").replace("output", "head");
        let imported = import(&state_dict(&ours, theirs), ours.card.clone()).unwrap();
        assert_eq!(imported, ours);
    }

    #[test]
    fn what_does_not_belong_is_named() {
        let ours = bundle();
        let foreign = |name: &str| name.replace("block", "layer").replace("output", "head");
        let error = import(&state_dict(&ours, foreign), ours.card.clone()).unwrap_err();
        assert!(error.to_string().contains("layer1."), "{error}");
        assert!(import(b"not a file", ours.card).is_err());
    }
}
