//! The model file: one safetensors file that holds the weights and everything that must travel with
//! them.
//!
//! # Layout
//! Tensors are `F32`, or `I8` with an `F32` tensor `NAME.scale` of one value per output channel
//! (axis 0), so that `weight[o, ..] = scale[o] * int8[o, ..]`:
//!
//! | tensor (N from 1) | shape |
//! |---|---|
//! | `blockN.weight` | `[filters, channels in, 3, 3]` (frequency x time) |
//! | `blockN.bias` | `[filters]` |
//! | `blockN.range` (optional) | `[2]`: lowest and highest output that 8 bits must hold |
//! | `input.column_scale`, `input.column_offset` | `[frame_columns + 2 * time_pad]` |
//! | `gruN.input`, `gruN.recurrent` | `[3 units, in]`, `[3 units, units]` |
//! | `gruN.bias` | `[3 units]` |
//! | `hidden.weight`, `hidden.bias` | `[hidden, pooled]`, `[hidden]` |
//! | `output.weight`, `output.bias` | `[labels, embedding]`, `[labels]` |
//! | `trust.*` | free: what [`crate::decision`] looks for |
//!
//! The `input` tensors are there with `column_affine`, the `hidden` ones with `head.hidden`. A
//! GRU's gates are update, reset, candidate. Behind a block with a `range` the next one is computed
//! in integers.
//!
//! The header's `__metadata__` holds strings: `genrescope.format` ("1"), `name`, `notice`, `data`,
//! `recipe`, `licence`, `credits` as text, `architecture`, `labels`, `families` (each kind with its
//! family; only where there are some), `front_end`, `decision`, `accuracies` as JSON, and `sha256`:
//! the digest of the whole file with its own 64 digits read as zeros. It guards against damage, not
//! against malice; hostile files meet the limits below.

mod card;
mod container;
mod weights;

use std::collections::BTreeMap;

use safetensors::SafeTensors;
use serde::Serialize;
use sha2::{Digest, Sha256};

pub use self::{
    card::{Accuracy, DecisionDefaults, ModelCard},
    weights::{Values, Weights, expected_tensors},
};
pub use super::error::ModelError;

use self::container::{
    Header, ZERO_DIGEST, check_digest, digest_place, header, json, tensors, text,
};
use super::{
    BuiltIn,
    architecture::{Architecture, in_range},
    kernel::Quantisation,
};
use crate::{front_end::FrontEndConfig, genre::Labels, hexadecimal::hex};

/// What `genrescope.format` must say.
pub const FORMAT: &str = "1";
/// Largest model file.
pub const MAX_FILE_BYTES: usize = 64 << 20;
/// Largest header of a model file.
pub const MAX_HEADER_BYTES: usize = 1 << 20;
/// Largest magnitude of a weight: far beyond any sensible one, far below what overflows a sum.
pub const MAX_WEIGHT: f32 = 1e9;
/// Most tensors in a model file.
pub const MAX_TENSORS: usize = 512;

/// A model file in memory: a card and its tensors, by name.
#[derive(Clone, Debug, PartialEq)]
pub struct Bundle {
    /// Everything but the weights.
    pub card: ModelCard,
    /// The weights, by the names of the module's table.
    pub tensors: BTreeMap<String, Weights>,
}

impl Bundle {
    /// The default model's file, compiled into the binary: what a taught model is built on.
    ///
    /// # Panics
    /// When the file that was compiled in is no model file, which a test rules out.
    pub fn builtin() -> Self {
        Self::read(BuiltIn::Default.bytes()).expect("the model compiled in has been tested")
    }

    /// Reads and checks a model file. Nothing is allocated that the file's own size does not bound.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn read(file: &[u8]) -> Result<Self, ModelError> {
        in_range("size in bytes", file.len(), 16, MAX_FILE_BYTES)?;
        let header = header(file)?;
        let Header { metadata, names } =
            serde_json::from_slice(header).map_err(|error| ModelError::Container {
                reason: error.to_string(),
            })?;
        in_range("number of tensors", names.len(), 1, MAX_TENSORS)?;
        let format = text(&metadata, "genrescope.format")?;
        if format != FORMAT {
            return Err(ModelError::field("genrescope.format", format, FORMAT));
        }
        let sha256 = check_digest(file, text(&metadata, "sha256")?)?;
        let container = SafeTensors::deserialize(file).map_err(|error| ModelError::Container {
            reason: error.to_string(),
        })?;
        let labels: Vec<String> = json(&metadata, "labels")?;
        let labels = Labels::new(&labels)
            .map_err(|error| ModelError::field("labels", error, "1 to 64 different names"))?;
        let labels = if metadata.contains_key("families") {
            let families: BTreeMap<String, String> = json(&metadata, "families")?;
            labels
                .with_families(families)
                .map_err(|error| ModelError::field("families", error, "labels of this model"))?
        } else {
            labels
        };
        let card = ModelCard {
            name: text(&metadata, "name")?.to_owned(),
            notice: text(&metadata, "notice")?.to_owned(),
            architecture: json(&metadata, "architecture")?,
            labels,
            front_end: json(&metadata, "front_end")?,
            decision: json(&metadata, "decision")?,
            data: text(&metadata, "data")?.to_owned(),
            recipe: text(&metadata, "recipe")?.to_owned(),
            accuracies: json(&metadata, "accuracies")?,
            licence: text(&metadata, "licence")?.to_owned(),
            credits: text(&metadata, "credits")?.to_owned(),
            sha256,
        };
        let bundle = Self {
            card,
            tensors: tensors(&container)?,
        };
        bundle.check()?;
        Ok(bundle)
    }

    /// The file. The same bundle gives the same bytes.
    ///
    /// # Errors
    /// [`ModelError`] when [`Bundle::read`] would refuse it.
    pub fn write(&self) -> Result<Vec<u8>, ModelError> {
        self.check()?;
        let mut header = serde_json::Map::new();
        header.insert("__metadata__".into(), self.metadata()?);
        let mut data = Vec::new();
        let mut put = |name: String,
                       dtype: &str,
                       shape: &[usize],
                       bytes: &mut dyn Iterator<Item = u8>| {
            let start = data.len();
            data.extend(bytes);
            let entry = serde_json::json!({"dtype": dtype, "shape": shape, "data_offsets": [start, data.len()]});
            header.insert(name, entry);
        };
        // Floats first, so that all of them are aligned.
        for (name, weights) in &self.tensors {
            match &weights.values {
                Values::F32(values) => {
                    put(
                        name.clone(),
                        "F32",
                        &weights.shape,
                        &mut values.iter().flat_map(|v| v.to_le_bytes()),
                    );
                }
                Values::I8 { scales, .. } => {
                    let bytes = &mut scales.iter().flat_map(|v| v.to_le_bytes());
                    put(format!("{name}.scale"), "F32", &[scales.len()], bytes);
                }
            }
        }
        for (name, weights) in &self.tensors {
            if let Values::I8 { int8, .. } = &weights.values {
                put(
                    name.clone(),
                    "I8",
                    &weights.shape,
                    &mut int8.iter().map(|v| v.to_le_bytes()[0]),
                );
            }
        }
        let mut header = serde_json::to_string(&header).map_err(|source| ModelError::Json {
            field: "header".into(),
            source,
        })?;
        while !(header.len() + 8).is_multiple_of(8) {
            header.push(' ');
        }
        in_range(
            "size of the header in bytes",
            header.len(),
            2,
            MAX_HEADER_BYTES,
        )?;
        let mut file = Vec::with_capacity(8 + header.len() + data.len());
        file.extend((header.len() as u64).to_le_bytes());
        file.extend(header.as_bytes());
        file.extend(data);
        in_range("size in bytes", file.len(), 16, MAX_FILE_BYTES)?;
        let place = digest_place(&file, ZERO_DIGEST)?;
        let digest = hex(&Sha256::digest(&file));
        file[place..place + digest.len()].copy_from_slice(digest.as_bytes());
        Ok(file)
    }

    /// The same model with convolution weights in int8. What has one input channel or is dense
    /// stays in f32: it is small, and it is where rounding shows. The dense layers of the tagger
    /// are not small.
    #[must_use]
    pub fn quantised(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, weights)| {
            let convolution = weights.shape.len() == 4 && weights.shape[1] > 1
                || weights.shape.len() == 2 && name.starts_with("mn.");
            (
                name.clone(),
                if convolution {
                    weights.to_i8()
                } else {
                    weights.clone()
                },
            )
        });
        Self {
            card: self.card.clone(),
            tensors: tensors.collect(),
        }
    }

    /// The same model with every weight in f32.
    #[must_use]
    pub fn dequantised(&self) -> Self {
        let tensors = self.tensors.iter().map(|(name, weights)| {
            let weights = Weights {
                shape: weights.shape.clone(),
                values: Values::F32(weights.to_f32()),
            };
            (name.clone(), weights)
        });
        Self {
            card: self.card.clone(),
            tensors: tensors.collect(),
        }
    }

    /// A network of pseudo-random weights (the same for the same seed, scaled to the fan-in): for
    /// tests and measurements of speed. It knows nothing of music, and its card says so.
    ///
    /// # Errors
    /// [`ModelError::Field`] when `architecture` cannot be built.
    pub fn random(
        architecture: Architecture,
        labels: Labels,
        seed: u64,
    ) -> Result<Self, ModelError> {
        let front_end = FrontEndConfig::default();
        architecture.check(front_end.n_mels)?;
        let mut state = seed;
        let tensors = expected_tensors(&architecture, &labels, front_end.n_mels)
            .into_iter()
            .map(|(name, shape)| {
                let fan_in: usize = shape.iter().skip(1).product();
                let amplitude = if shape.len() > 1 {
                    (6.0 / fan_in as f32).sqrt()
                } else {
                    0.1
                };
                let centre = if name == "input.column_scale" {
                    1.0
                } else {
                    0.0
                };
                let n = shape.iter().product();
                let values = (0..n)
                    .map(|_| centre + amplitude * uniform(&mut state))
                    .collect();
                Ok((name, Weights::new(&shape, values)?))
            })
            .collect::<Result<_, ModelError>>()?;
        let card = ModelCard {
            name: format!("random-{seed}"),
            notice: "Development file: random weights, it knows nothing of music.".into(),
            architecture,
            labels,
            front_end,
            decision: DecisionDefaults::default(),
            data: "none".into(),
            recipe: format!("uniform random weights, seed {seed}"),
            accuracies: Vec::new(),
            licence: "MIT OR Apache-2.0".into(),
            credits: String::new(),
            sha256: String::new(),
        };
        Ok(Self { card, tensors })
    }

    /// How the output of block `index` (from 0) is held in 8 bits, if the file says so.
    pub(super) fn output_range(&self, index: usize) -> Option<Quantisation> {
        match self
            .tensors
            .get(&format!("block{}.range", index + 1))?
            .to_f32()
            .as_slice()
        {
            &[low, high] => Some(Quantisation::of_range(low, high)),
            _ => None,
        }
    }

    /// Checks the card and every tensor against what can be built.
    ///
    /// # Errors
    /// [`ModelError`] naming the first field that is wrong, with its value.
    pub fn check(&self) -> Result<(), ModelError> {
        self.card.check()?;
        let ModelCard {
            architecture,
            labels,
            front_end,
            ..
        } = &self.card;
        let expected = expected_tensors(architecture, labels, front_end.n_mels);
        for (name, shape) in &expected {
            let weights = self.tensors.get(name).ok_or_else(|| ModelError::Missing {
                field: name.clone(),
            })?;
            if weights.shape != *shape {
                let found = format!("{:?}", weights.shape);
                return Err(ModelError::field(
                    format!("{name}: shape"),
                    found,
                    format!("{shape:?}"),
                ));
            }
        }
        for (name, weights) in &self.tensors {
            let range = (1..=architecture.blocks.len()).any(|n| *name == format!("block{n}.range"));
            if range {
                let in_order = matches!(weights.to_f32().as_slice(), [low, high] if low < high);
                if weights.shape != [2] || !in_order {
                    let found = format!("{:?} of shape {:?}", weights.to_f32(), weights.shape);
                    return Err(ModelError::field(
                        name,
                        found,
                        "two values, the lower first",
                    ));
                }
            } else if !expected.contains_key(name) && !name.starts_with("trust.") {
                return Err(ModelError::field(
                    "tensor",
                    name,
                    "a name of this architecture, or trust.*",
                ));
            }
            weights.check(name)?;
        }
        Ok(())
    }

    fn metadata(&self) -> Result<serde_json::Value, ModelError> {
        fn json(field: &str, value: &impl Serialize) -> Result<String, ModelError> {
            serde_json::to_string(value).map_err(|source| ModelError::Json {
                field: field.into(),
                source,
            })
        }
        let card = &self.card;
        let labels: Vec<&str> = card.labels.iter().collect();
        let mut metadata = serde_json::json!({
            "genrescope.format": FORMAT,
            "name": card.name,
            "notice": card.notice,
            "architecture": json("architecture", &card.architecture)?,
            "labels": json("labels", &labels)?,
            "front_end": json("front_end", &card.front_end)?,
            "decision": json("decision", &card.decision)?,
            "data": card.data,
            "recipe": card.recipe,
            "accuracies": json("accuracies", &card.accuracies)?,
            "licence": card.licence,
            "credits": card.credits,
            "sha256": ZERO_DIGEST,
        });
        if card.labels.has_families() {
            let families: BTreeMap<&str, &str> = (0..card.labels.len())
                .filter_map(|kind| {
                    let family = card.labels.family_of(kind)?;
                    Some((card.labels.get(kind)?, card.labels.get(family)?))
                })
                .collect();
            metadata["families"] = json("families", &families)?.into();
        }
        Ok(metadata)
    }
}

/// A uniform value in -1..1 (SplitMix64).
fn uniform(state: &mut u64) -> f32 {
    *state = state.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    z ^= z >> 31;
    (z >> 40) as f32 / (1_u64 << 23) as f32 - 1.0
}
