//! The model file: one safetensors file that holds the weights and everything that must travel with them.
//!
//! # Layout
//! Tensors are `F32`, or `I8` with an `F32` tensor `NAME.scale` of one value per output channel (axis 0), so that
//! `weight[o, ..] = scale[o] * int8[o, ..]`:
//!
//! | tensor | shape |
//! |---|---|
//! | `blockN.weight`, `blockN.bias` (N from 1) | `[filters, channels in, 3, 3]` (frequency x time), `[filters]` |
//! | `input.column_scale`, `input.column_offset` | `[frame_columns + 2 * time_pad]`, only with `column_affine` |
//! | `gruN.input`, `gruN.recurrent`, `gruN.bias` (N from 1) | `[3 units, in]`, `[3 units, units]`, `[3 units]`; gates update, reset, candidate |
//! | `hidden.weight`, `hidden.bias` | `[hidden, pooled]`, `[hidden]`, only with `head.hidden` |
//! | `output.weight`, `output.bias` | `[labels, embedding]`, `[labels]` |
//! | `blockN.range` (optional) | `[2]`: lowest and highest output of block N that 8 bits must hold; the next block is then computed in integers |
//! | `trust.*` | free: what [`crate::decision`] looks for |
//!
//! The header's `__metadata__` holds strings: `genrescope.format` ("1"), `name`, `notice`, `data`, `recipe`, `licence`, `credits` as
//! text, `architecture`, `labels`, `families` (each kind with its family; only where there are some), `front_end`, `decision`, `accuracies` as JSON, and `sha256`: the digest of the whole file with its own 64 digits
//! read as zeros. It guards against damage, not against malice; hostile files meet the limits below.

use std::{
    collections::{BTreeMap, HashMap, HashSet},
    fmt,
};

use safetensors::{Dtype, SafeTensors};
use serde::{Deserialize, Deserializer, Serialize, de};
use sha2::{Digest, Sha256};
use thiserror::Error;

use super::{
    BuiltIn,
    architecture::{Architecture, KERNEL, Pooling, in_range},
    kernel::Quantisation,
};
use crate::{
    front_end::FrontEndConfig,
    genre::{KIND_OF, Labels},
    hexadecimal::hex,
    units::Seconds,
};

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

const ZERO_DIGEST: &str = "0000000000000000000000000000000000000000000000000000000000000000";

/// Why a model file was refused.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum ModelError {
    /// A field holds what cannot be built, or does not fit the rest of the file.
    #[error("model file: {field} = {found}, expected {expected}")]
    Field {
        /// Name of the metadata field or tensor, with the part of it.
        field: String,
        /// What the file holds, shortened.
        found: String,
        /// What would be right.
        expected: String,
    },
    /// A metadata field or a tensor is not there.
    #[error("model file: {field} is missing")]
    Missing {
        /// Its name.
        field: String,
    },
    /// A metadata field is not the JSON it should be.
    #[error("model file: {field} cannot be read: {source}")]
    Json {
        /// Its name.
        field: String,
        /// Where and why.
        source: serde_json::Error,
    },
    /// It is not a safetensors file, or a damaged one.
    #[error("not a model file, or a damaged one: {reason}")]
    Container {
        /// What the reader met.
        reason: String,
    },
    /// The content is not what was written.
    #[error("the model file is damaged: its sha256 is {found}, {expected} was written into it")]
    Digest {
        /// Digest of the file.
        found: String,
        /// Digest in its metadata.
        expected: String,
    },
    /// The engine could not build the network.
    #[error("the network of this model cannot be built: {reason}")]
    Build {
        /// What the engine said.
        reason: String,
    },
}

impl ModelError {
    pub(super) fn field(
        field: impl Into<String>,
        found: impl fmt::Display,
        expected: impl Into<String>,
    ) -> Self {
        let mut found = found.to_string();
        if let Some((end, _)) = found.char_indices().nth(80) {
            found.truncate(end);
            found.push_str("...");
        }
        Self::Field {
            field: field.into(),
            found,
            expected: expected.into(),
        }
    }
}

/// What a model says of itself: everything in the metadata of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Short name, such as `genrescope-cnn-1`.
    pub name: String,
    /// What must be said first of all (a development file, a research licence); empty if nothing.
    pub notice: String,
    /// How the network is built.
    pub architecture: Architecture,
    /// Its labels, in output order.
    pub labels: Labels,
    /// The front end its weights were trained with.
    pub front_end: FrontEndConfig,
    /// How scores become decisions, unless the user says otherwise.
    pub decision: DecisionDefaults,
    /// What it was trained on.
    pub data: String,
    /// How it was trained: command, epochs, augmentation.
    pub recipe: String,
    /// What was measured, each with its interval.
    pub accuracies: Vec<Accuracy>,
    /// Licence of the weights (SPDX where there is one).
    pub licence: String,
    /// Whose work it rests on.
    pub credits: String,
    /// Digest of the file, 64 hexadecimal digits; empty in a card that was not read from a file.
    pub sha256: String,
}

/// How scores become decisions, as fitted with the model. [`DecisionDefaults::more`] takes what later versions add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionDefaults {
    /// Scores are `softmax(logits / temperature)`; fitted so that confidence is accuracy. 0.05 to 20.
    #[serde(default = "default_temperature")]
    pub temperature: f32,
    /// The same by seconds heard, `[seconds, temperature]` in rising order: little audio wants a wider score.
    /// Between two of them it goes with the logarithm of the seconds; empty: [`DecisionDefaults::temperature`]
    /// throughout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<[f32; 2]>,
    /// Below this score of the best label the answer is "unsure". 0 to 1.
    #[serde(default = "default_unsure_threshold")]
    pub unsure_threshold: f32,
    /// Below this probability of music nothing is named, where the model can tell. 0 to 1.
    #[serde(default = "default_music_threshold")]
    pub music_threshold: f32,
    /// Below this probability of music no genre is named, though it may still be music ("unsure"). 0 to 1.
    #[serde(default = "default_doubt_threshold")]
    pub doubt_threshold: f32,
    /// Further defaults by name; unknown ones are kept and ignored.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

fn default_temperature() -> f32 {
    1.0
}

fn default_unsure_threshold() -> f32 {
    0.35
}

fn default_doubt_threshold() -> f32 {
    0.5
}

fn default_music_threshold() -> f32 {
    0.5
}

impl DecisionDefaults {
    /// Every number in words, for people.
    fn summary(&self) -> String {
        let mut words = vec![format!("temperature {:.3}", self.temperature)];
        if !self.temperatures.is_empty() {
            let by_seconds: Vec<String> = self
                .temperatures
                .iter()
                .map(|[seconds, temperature]| format!("{temperature:.2} after {seconds:.0} s"))
                .collect();
            words.push(format!("({})", by_seconds.join(", ")));
        }
        let mut words = vec![words.join(" ")];
        for (name, value) in [
            ("unsure below", self.unsure_threshold),
            ("not music below", self.music_threshold),
            ("no genre below", self.doubt_threshold),
        ] {
            words.push(format!("{name} {value:.2}"));
        }
        for (name, value) in &self.more {
            let value = match value.as_f64() {
                Some(number) => format!("{number:.3}"),
                None => value.to_string(),
            };
            words.push(format!("{} {value}", name.replace('_', " ")));
        }
        words.join(", ")
    }
}

impl Default for DecisionDefaults {
    fn default() -> Self {
        Self {
            temperature: default_temperature(),
            temperatures: Vec::new(),
            unsure_threshold: default_unsure_threshold(),
            music_threshold: default_music_threshold(),
            doubt_threshold: default_doubt_threshold(),
            more: BTreeMap::new(),
        }
    }
}

impl DecisionDefaults {
    /// The temperature for scores of `heard` of audio.
    pub fn temperature_at(&self, heard: Seconds) -> f32 {
        let heard = heard.0 as f32;
        let after = self.temperatures.partition_point(|[at, _]| *at < heard);
        match (
            after.checked_sub(1).and_then(|i| self.temperatures.get(i)),
            self.temperatures.get(after),
        ) {
            (Some([low, a]), Some([high, b])) => {
                a + (b - a) * (heard / low).ln() / (high / low).ln()
            }
            (Some([_, only]), None) | (None, Some([_, only])) => *only,
            (None, None) => self.temperature,
        }
    }
}

/// One measured figure with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// What was counted, such as `frames, micro, int8`.
    pub what: String,
    /// On what material.
    pub data: String,
    /// By which split.
    pub split: String,
    /// Size of the sample.
    pub n: u64,
    /// Share that was right, 0 to 1.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

/// Weights as they lie in the file.
#[derive(Clone, Debug, PartialEq)]
pub struct Weights {
    shape: Vec<usize>,
    values: Values,
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

    /// Rounded to int8, symmetrically, with one scale per output channel: the largest of a channel becomes 127.
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

    /// The same model with convolution weights in int8. What has one input channel or is dense stays in f32: it is
    /// small, and it is where rounding shows. The dense layers of the tagger are not small.
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

    /// A network of pseudo-random weights (the same for the same seed, scaled to the fan-in): for tests and measurements
    /// of speed. It knows nothing of music, and its card says so.
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
        let ModelCard {
            architecture,
            labels,
            front_end,
            decision,
            ..
        } = &self.card;
        check_front_end(front_end)?;
        architecture.check(front_end.n_mels)?;
        if let Some(tagger) = &architecture.tagger {
            tagger.check(front_end.sample_rate)?;
        }
        check_decision(decision)?;
        for accuracy in &self.card.accuracies {
            let Accuracy {
                what,
                value,
                low,
                high,
                ..
            } = accuracy;
            if !(0.0 <= *low && low <= value && value <= high && *high <= 1.0) {
                let found = format!("{low} to {high} around {value}");
                return Err(ModelError::field(
                    format!("accuracies: {what}"),
                    found,
                    "shares of 1, in order",
                ));
            }
        }
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

impl Weights {
    fn check(&self, name: &str) -> Result<(), ModelError> {
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

impl ModelCard {
    /// The labels, side by side; or a family a line, with its kinds.
    fn labels_in_words(&self) -> String {
        let labels = &self.labels;
        let list = |of: &mut dyn Iterator<Item = usize>| -> String {
            let names: Vec<&str> = of.filter_map(|index| labels.get(index)).collect();
            names.join(", ")
        };
        if !labels.has_families() {
            return list(&mut (0..labels.len()));
        }
        let top = (0..labels.len()).filter(|&index| labels.family_of(index).is_none());
        let (with, without): (Vec<usize>, Vec<usize>) =
            top.partition(|&family| labels.kinds_of(family).next().is_some());
        let mut lines: Vec<String> = with
            .into_iter()
            .map(|family| {
                let kinds = list(&mut labels.kinds_of(family));
                format!("{}{KIND_OF}{kinds}", labels.get(family).unwrap_or_default())
            })
            .collect();
        lines.push(list(&mut without.into_iter()));
        lines.join("\n")
    }
}

impl fmt::Display for ModelCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Architecture {
            blocks,
            pooling,
            statistics,
            head,
            ..
        } = &self.architecture;
        writeln!(f, "{}", self.name)?;
        if !self.notice.is_empty() {
            writeln!(f, "\n  {}", self.notice)?;
        }
        writeln!(f)?;
        let mut line = |what: &str, text: &str| {
            let text = text.trim_end();
            let text = if text.is_empty() { "not said" } else { text };
            for (index, part) in text.lines().enumerate() {
                writeln!(f, "  {:<13}{part}", if index == 0 { what } else { "" })?;
            }
            Ok(())
        };
        line("labels", &self.labels_in_words())?;
        let trunk: Vec<String> = blocks
            .iter()
            .map(|block| format!("{} ({}x{})", block.filters, block.pool[0], block.pool[1]))
            .collect();
        // Without a statistic of it, nothing of the first trunk reaches the head.
        let unheard = *pooling == Pooling::None && statistics.is_empty();
        if !unheard {
            line(
                "trunk",
                &format!(
                    "convolutions 3x3 (pool frequency x time): {}",
                    trunk.join(", ")
                ),
            )?;
        }
        let mut top = match pooling {
            Pooling::Flatten => "flattened".to_owned(),
            Pooling::Gru { units } => format!("GRU {units:?}"),
            Pooling::None if unheard => "the second trunk alone".to_owned(),
            Pooling::None => "statistics only".to_owned(),
        };
        if !statistics.is_empty() {
            let list: Vec<String> = statistics
                .iter()
                .map(|s| {
                    format!("{:?} of block {} in {} groups", s.kind, s.block, s.groups)
                        .to_lowercase()
                })
                .collect();
            top = format!("{top}; {}", list.join(", "));
        }
        if let Some(hidden) = head.hidden {
            top = format!("{top}; dense {hidden}");
        }
        line(
            "head",
            &format!("{top}; {:?}", head.activation).to_lowercase(),
        )?;
        if let Some(tagger) = &self.architecture.tagger {
            line(
                "second trunk",
                &format!(
                    "MobileNet of {} blocks, {} values and {} groups of its {} classes, {} mel bands x {} columns, {:.1} s",
                    tagger.blocks.len(),
                    tagger.embedding,
                    tagger.groups.len(),
                    tagger.classes.len(),
                    tagger.front_end.n_mels,
                    tagger.segment_columns,
                    tagger.segment_columns as f64 / tagger.front_end.columns_per_second(),
                ),
            )?;
        }
        let front_end = &self.front_end;
        let seconds = (self.architecture.frame_columns.saturating_sub(1) * front_end.hop_length)
            as f64
            / f64::from(front_end.sample_rate.max(1));
        line(
            "frame",
            &format!(
                "{} mel bands x {} columns, {seconds:.2} s at {} Hz (FFT {}, hop {}, {} to {} Hz, floor {} dB)",
                front_end.n_mels,
                self.architecture.frame_columns,
                front_end.sample_rate,
                front_end.n_fft,
                front_end.hop_length,
                front_end.fmin_hz,
                front_end.fmax_hz,
                front_end.floor_db
            ),
        )?;
        line("decision", &self.decision.summary())?;
        let mut measured_on = None;
        for accuracy in &self.accuracies {
            let on = (&accuracy.data, &accuracy.split);
            if measured_on != Some(on) {
                line(
                    "measured on",
                    &format!("{}, {} (95 % intervals)", accuracy.data, accuracy.split),
                )?;
                measured_on = Some(on);
            }
            line(
                "",
                &format!(
                    "{:5.1} % ({:.1} to {:.1}, n = {})  {}",
                    100.0 * accuracy.value,
                    100.0 * accuracy.low,
                    100.0 * accuracy.high,
                    accuracy.n,
                    accuracy.what,
                ),
            )?;
        }
        line("data", &self.data)?;
        line("recipe", &self.recipe)?;
        line("licence", &self.licence)?;
        line("credits", &self.credits)?;
        line("sha256", &self.sha256)
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

fn check_front_end(front_end: &FrontEndConfig) -> Result<(), ModelError> {
    let FrontEndConfig {
        sample_rate,
        n_fft,
        hop_length,
        n_mels,
        fmin_hz,
        fmax_hz,
        floor_db,
    } = *front_end;
    in_range("front_end.sample_rate", sample_rate as usize, 8_000, 48_000)?;
    in_range("front_end.n_fft", n_fft, 64, 8_192)?;
    in_range("front_end.hop_length", hop_length, 16, n_fft)?;
    in_range("front_end.n_mels", n_mels, 8, 256)?;
    let nyquist = sample_rate as f32 / 2.0;
    if !(0.0..nyquist).contains(&fmin_hz) {
        return Err(ModelError::field(
            "front_end.fmin_hz",
            fmin_hz,
            format!("0 to {nyquist}"),
        ));
    }
    if !(fmax_hz > fmin_hz && fmax_hz <= nyquist) {
        return Err(ModelError::field(
            "front_end.fmax_hz",
            fmax_hz,
            format!("{fmin_hz} to {nyquist}"),
        ));
    }
    if !(-400.0..=0.0).contains(&floor_db) {
        return Err(ModelError::field(
            "front_end.floor_db",
            floor_db,
            "-400 to 0",
        ));
    }
    Ok(())
}

fn check_decision(decision: &DecisionDefaults) -> Result<(), ModelError> {
    if !(0.05..=20.0).contains(&decision.temperature) {
        return Err(ModelError::field(
            "decision.temperature",
            decision.temperature,
            "0.05 to 20",
        ));
    }
    in_range(
        "decision.temperatures: number",
        decision.temperatures.len(),
        0,
        64,
    )?;
    let mut before = 0.0;
    for [seconds, temperature] in &decision.temperatures {
        let rising = *seconds > before && *seconds <= 3_600.0;
        if !rising || !(0.05..=20.0).contains(temperature) {
            return Err(ModelError::field(
                "decision.temperatures",
                format!("[{seconds}, {temperature}]"),
                "[seconds, temperature]: seconds rising, above 0; temperature 0.05 to 20",
            ));
        }
        before = *seconds;
    }
    if !(0.0..=1.0).contains(&decision.music_threshold) {
        return Err(ModelError::field(
            "decision.music_threshold",
            decision.music_threshold,
            "0 to 1",
        ));
    }
    if !(0.0..=1.0).contains(&decision.doubt_threshold) {
        return Err(ModelError::field(
            "decision.doubt_threshold",
            decision.doubt_threshold,
            "0 to 1",
        ));
    }
    if !(0.0..=1.0).contains(&decision.unsure_threshold) {
        return Err(ModelError::field(
            "decision.unsure_threshold",
            decision.unsure_threshold,
            "0 to 1",
        ));
    }
    Ok(())
}

fn header(file: &[u8]) -> Result<&[u8], ModelError> {
    let (length, rest) = file.split_at(8);
    let length = length
        .iter()
        .rev()
        .fold(0_u64, |length, &byte| length << 8 | u64::from(byte));
    let length = usize::try_from(length).unwrap_or(usize::MAX);
    in_range(
        "size of the header in bytes",
        length,
        2,
        MAX_HEADER_BYTES.min(rest.len()),
    )?;
    Ok(&rest[..length])
}

fn check_digest(file: &[u8], expected: &str) -> Result<String, ModelError> {
    let place = digest_place(file, expected)?;
    let mut hasher = Sha256::new();
    hasher.update(&file[..place]);
    hasher.update(ZERO_DIGEST);
    hasher.update(&file[place + ZERO_DIGEST.len()..]);
    let found = hex(&hasher.finalize());
    if found == expected {
        Ok(found)
    } else {
        Err(ModelError::Digest {
            found,
            expected: expected.to_owned(),
        })
    }
}

/// Where in the file the 64 digits of `digest` begin.
fn digest_place(file: &[u8], digest: &str) -> Result<usize, ModelError> {
    if digest.len() != ZERO_DIGEST.len() || !digest.bytes().all(|byte| byte.is_ascii_hexdigit()) {
        return Err(ModelError::field("sha256", digest, "64 hexadecimal digits"));
    }
    let header = header(file)?;
    let entry = format!("\"sha256\":\"{digest}\"");
    let place = header
        .windows(entry.len())
        .position(|window| window == entry.as_bytes());
    let place = place.ok_or_else(|| {
        ModelError::field("sha256", digest, "an entry written as \"sha256\":\"...\"")
    })?;
    Ok(8 + place + entry.len() - 1 - digest.len())
}

fn text<'a>(metadata: &'a HashMap<String, String>, field: &str) -> Result<&'a str, ModelError> {
    metadata
        .get(field)
        .map(String::as_str)
        .ok_or_else(|| ModelError::Missing {
            field: field.into(),
        })
}

fn json<T: de::DeserializeOwned>(
    metadata: &HashMap<String, String>,
    field: &str,
) -> Result<T, ModelError> {
    serde_json::from_str(text(metadata, field)?).map_err(|source| ModelError::Json {
        field: field.into(),
        source,
    })
}

fn tensors(container: &SafeTensors<'_>) -> Result<BTreeMap<String, Weights>, ModelError> {
    let floats = |name: &str, bytes: &[u8]| -> Result<Vec<f32>, ModelError> {
        let (quads, rest) = bytes.as_chunks::<4>();
        in_range(
            format!("{name}: bytes beyond the last value"),
            rest.len(),
            0,
            0,
        )?;
        Ok(quads.iter().map(|quad| f32::from_le_bytes(*quad)).collect())
    };
    let mut tensors = BTreeMap::new();
    for (name, view) in container.iter() {
        let scale_of = name
            .strip_suffix(".scale")
            .and_then(|parent| container.tensor(parent).ok());
        if scale_of.is_some_and(|parent| parent.dtype() == Dtype::I8) {
            continue;
        }
        let shape = view.shape().to_vec();
        let weights = match view.dtype() {
            Dtype::F32 => Weights::new(&shape, floats(name, view.data())?)?,
            Dtype::I8 => {
                let field = format!("{name}.scale");
                let scale = container.tensor(&field).map_err(|_| ModelError::Missing {
                    field: field.clone(),
                })?;
                if scale.dtype() != Dtype::F32 {
                    return Err(ModelError::field(
                        format!("{field}: dtype"),
                        format!("{:?}", scale.dtype()),
                        "F32",
                    ));
                }
                let outputs = shape.first().copied().unwrap_or(0);
                if outputs == 0 || scale.shape() != [outputs] {
                    let found = format!("{:?}", scale.shape());
                    return Err(ModelError::field(
                        format!("{field}: shape"),
                        found,
                        format!("[{outputs}]"),
                    ));
                }
                let scales = floats(&field, scale.data())?;
                let int8 = view
                    .data()
                    .iter()
                    .map(|&byte| i8::from_le_bytes([byte]))
                    .collect();
                Weights {
                    shape,
                    values: Values::I8 { int8, scales },
                }
            }
            other => {
                return Err(ModelError::field(
                    format!("{name}: dtype"),
                    format!("{other:?}"),
                    "F32 or I8",
                ));
            }
        };
        tensors.insert(name.to_owned(), weights);
    }
    Ok(tensors)
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

/// A safetensors header, read only to find the metadata and names given twice (which JSON readers let pass).
struct Header {
    metadata: HashMap<String, String>,
    names: HashSet<String>,
}

impl<'de> Deserialize<'de> for Header {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor;
        impl<'de> de::Visitor<'de> for Visitor {
            type Value = Header;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a safetensors header")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Header, A::Error> {
                let mut metadata = None;
                let mut names = HashSet::new();
                while let Some(name) = map.next_key::<String>()? {
                    if name == "__metadata__" {
                        if metadata
                            .replace(map.next_value::<Unique<String>>()?.0)
                            .is_some()
                        {
                            return Err(de::Error::custom("__metadata__ is given twice"));
                        }
                    } else {
                        map.next_value::<Unique<de::IgnoredAny>>()?;
                        if let Some(name) = names.replace(name) {
                            return Err(de::Error::custom(format!("tensor {name} is given twice")));
                        }
                    }
                }
                let metadata =
                    metadata.ok_or_else(|| de::Error::custom("__metadata__ is missing"))?;
                Ok(Header { metadata, names })
            }
        }
        deserializer.deserialize_map(Visitor)
    }
}

/// A JSON object without double keys.
struct Unique<T>(HashMap<String, T>);

impl<'de, T: Deserialize<'de>> Deserialize<'de> for Unique<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Visitor<T>(std::marker::PhantomData<T>);
        impl<'de, T: Deserialize<'de>> de::Visitor<'de> for Visitor<T> {
            type Value = Unique<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: de::MapAccess<'de>>(self, mut map: A) -> Result<Unique<T>, A::Error> {
                let mut entries = HashMap::new();
                while let Some((key, value)) = map.next_entry::<String, T>()? {
                    if entries.contains_key(&key) {
                        return Err(de::Error::custom(format!("{key} is given twice")));
                    }
                    entries.insert(key, value);
                }
                Ok(Unique(entries))
            }
        }
        deserializer.deserialize_map(Visitor(std::marker::PhantomData))
    }
}
