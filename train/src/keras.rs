//! Reads the reference's weights: old-Keras HDF5 files of K. Choi's taggers and of the paper's
//! authors.
//!
//! What is peculiar to them: kernels are in theano order `[out, in, frequency, time]` and flipped
//! in both axes (a true convolution); batch norms stand after the convolutions and, as `bn_0_freq`,
//! before the first one along time; the statistic stored as `running_std` is a standard deviation
//! that Keras 1.0.7 and later read as a variance.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use genrescope::{
    front_end::FrontEndConfig,
    genre::{GTZAN, Labels, LabelsError},
    network::{
        Architecture, Bundle, ModelCard, ModelError,
        architecture::{Activation, Head, Normalisation, Pooling},
        bundle::{DecisionDefaults, Weights},
    },
};
use hdf5_pure_rust::File;
use thiserror::Error;

/// What Keras 1.1.0 adds to a variance, and the port to a standard deviation. Of 1e-6, 1e-5 and
/// 1e-3 only this gives the outputs of the reference to 1e-7.
const EPSILON: f32 = 1e-5;

/// The 50 tags of the Million Song Dataset in the order of Choi's taggers.
pub const MSD_TAGS: [&str; 50] = [
    "rock",
    "pop",
    "alternative",
    "indie",
    "electronic",
    "female vocalists",
    "dance",
    "00s",
    "alternative rock",
    "jazz",
    "beautiful",
    "metal",
    "chillout",
    "male vocalists",
    "classic rock",
    "soul",
    "indie rock",
    "Mellow",
    "electronica",
    "80s",
    "folk",
    "90s",
    "chill",
    "instrumental",
    "punk",
    "oldies",
    "blues",
    "hard rock",
    "ambient",
    "acoustic",
    "experimental",
    "female vocalist",
    "guitar",
    "Hip-Hop",
    "70s",
    "party",
    "country",
    "easy listening",
    "sexy",
    "catchy",
    "funk",
    "electro",
    "heavy metal",
    "Progressive rock",
    "60s",
    "rnb",
    "indie pop",
    "sad",
    "House",
    "happy",
];

/// How the stored statistics are read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Regime {
    /// As the published code does: decibels in, `running_std` read as a variance. The tags are
    /// poor.
    Readme,
    /// As the networks were trained: `(dB + 30.6) / 18` in, `running_std` read as a standard
    /// deviation.
    ZScore,
}

/// What becomes of `bn_0_freq`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// Kept: the exact reference, which ties a column to its place in the window.
    Reference,
    /// Replaced by the median of its scales (1.27 in the CNN, 1.5 in the CRNN) and offsets, folded
    /// into the normalisation: shift-invariant, the start of our own models.
    ShiftInvariant,
}

/// Why a file could not be imported.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KerasError {
    /// It is not an HDF5 file, or a dataset is not there.
    #[error("cannot read {dataset} of {}: {reason}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What was asked for; empty for the file itself.
        dataset: String,
        /// What the reader met.
        reason: String,
    },
    /// There is neither a tagger's nor the authors' output layer in it.
    #[error("{} has {found} outputs; the taggers have 50, the authors' network 10", path.display())]
    Outputs {
        /// The file.
        path: PathBuf,
        /// How many it has.
        found: usize,
    },
    /// The shapes of a file do not agree with each other.
    #[error(transparent)]
    Model(#[from] ModelError),
    /// The labels were refused.
    #[error(transparent)]
    Labels(#[from] LabelsError),
}

/// Imports a network, with its batch norms folded. CNN and CRNN, tagger and authors' head are told
/// apart by what the file holds.
///
/// # Errors
/// [`KerasError`] when the file cannot be read or is not one of the reference's.
pub fn import(path: &Path, regime: Regime, form: Form) -> Result<Bundle, KerasError> {
    let source = Source::open(path)?;
    let recurrent = source.get("gru1/gru1_W_z").is_ok();
    let output = ["output", "preds"]
        .into_iter()
        .find(|name| source.get(&format!("{name}/{name}_b")).is_ok());
    let output = output.unwrap_or("output");
    let (_, bias) = source.get(&format!("{output}/{output}_b"))?;
    let labels = match bias.len() {
        50 => Labels::new(MSD_TAGS)?,
        10 => Labels::new(GTZAN)?,
        found => {
            return Err(KerasError::Outputs {
                path: path.to_owned(),
                found,
            });
        }
    };
    let mut base = if recurrent {
        Architecture::crnn()
    } else {
        Architecture::cnn()
    };
    // As many filters and units as the file has.
    for (index, block) in (1..).zip(&mut base.blocks) {
        let (shape, _) = source.get(&format!("conv{index}/conv{index}_W"))?;
        block.filters = shape[0];
    }
    if let Pooling::Gru { units } = &mut base.pooling {
        for (index, units) in (1..).zip(units) {
            let (_, bias) = source.get(&format!("gru{index}/gru{index}_b_z"))?;
            *units = bias.len();
        }
    }
    let normalisation = match regime {
        Regime::Readme => Normalisation {
            mean: vec![0.0],
            std: vec![1.0],
            level: None,
        },
        Regime::ZScore => base.normalisation.clone(),
    };
    let (scale, offset) = source.batch_norm("bn_0_freq", regime)?;
    let normalisation = match form {
        Form::Reference => normalisation,
        Form::ShiftInvariant => {
            // ((x - mean) / std) * scale + offset, in one step.
            let (scale, offset) = (median(&scale), median(&offset));
            let (mean, std) = (normalisation.mean[0], normalisation.std[0]);
            Normalisation {
                mean: vec![mean - offset * std / scale],
                std: vec![std / scale],
                level: None,
            }
        }
    };
    let architecture = Architecture {
        normalisation,
        column_affine: form == Form::Reference,
        head: Head {
            hidden: None,
            activation: Activation::Sigmoid,
        },
        ..base
    };

    let mut tensors = BTreeMap::new();
    if form == Form::Reference {
        tensors.insert(
            "input.column_scale".to_owned(),
            Weights::new(&[scale.len()], scale)?,
        );
        tensors.insert(
            "input.column_offset".to_owned(),
            Weights::new(&[offset.len()], offset)?,
        );
    }
    for index in 1..=architecture.blocks.len() {
        let (shape, kernel) = source.get(&format!("conv{index}/conv{index}_W"))?;
        let (_, bias) = source.get(&format!("conv{index}/conv{index}_b"))?;
        let (scale, offset) = source.batch_norm(&format!("bn{index}"), regime)?;
        let per_filter = kernel.len() / scale.len().max(1);
        let mut folded = Vec::with_capacity(kernel.len());
        for (filter, scale) in kernel.chunks(per_filter.max(1)).zip(&scale) {
            // Each 3 x 3 kernel reversed: flipped in both axes.
            for kernel in filter.chunks(9) {
                folded.extend(kernel.iter().rev().map(|weight| weight * scale));
            }
        }
        let bias = bias
            .iter()
            .zip(&scale)
            .zip(&offset)
            .map(|((bias, scale), offset)| bias * scale + offset)
            .collect();
        tensors.insert(
            format!("block{index}.weight"),
            Weights::new(&shape, folded)?,
        );
        tensors.insert(
            format!("block{index}.bias"),
            Weights::new(&[offset.len()], bias)?,
        );
    }
    if let Pooling::Gru { units } = &architecture.pooling {
        for index in 1..=units.len() {
            let gates = |part: &str| -> Result<(usize, Vec<f32>), KerasError> {
                let (mut columns, mut all) = (0, Vec::new());
                for gate in ["z", "r", "h"] {
                    let (shape, values) =
                        source.get(&format!("gru{index}/gru{index}_{part}_{gate}"))?;
                    columns = shape[0];
                    all.extend(if shape.len() == 2 {
                        transposed(&values, shape[0], shape[1])
                    } else {
                        values
                    });
                }
                Ok((columns, all))
            };
            for (part, name) in [("W", "input"), ("U", "recurrent")] {
                let (columns, values) = gates(part)?;
                let shape = [values.len() / columns.max(1), columns];
                tensors.insert(format!("gru{index}.{name}"), Weights::new(&shape, values)?);
            }
            let (_, bias) = gates("b")?;
            tensors.insert(
                format!("gru{index}.bias"),
                Weights::new(&[bias.len()], bias)?,
            );
        }
    }
    let (shape, weight) = source.get(&format!("{output}/{output}_W"))?;
    let (inputs, outputs) = (shape[0], weight.len() / shape[0].max(1));
    tensors.insert(
        "output.weight".to_owned(),
        Weights::new(&[outputs, inputs], transposed(&weight, inputs, outputs))?,
    );
    tensors.insert("output.bias".to_owned(), Weights::new(&[bias.len()], bias)?);

    let name = path
        .file_stem()
        .map_or_else(String::new, |stem| stem.to_string_lossy().into_owned());
    let card = ModelCard {
        name,
        notice: format!("Imported from the reference, {regime:?} regime, {form:?} form."),
        architecture,
        labels,
        front_end: FrontEndConfig::default(),
        decision: DecisionDefaults::default(),
        data: "Million Song Dataset (tags); the authors' network: GTZAN and others, see the paper"
            .to_owned(),
        recipe: "imported, batch norms folded".to_owned(),
        accuracies: Vec::new(),
        licence: "MIT".to_owned(),
        credits: "K. Choi, music-auto_tagging-keras (MIT); A. Jimenez and F. Jose (MIT)".to_owned(),
        sha256: String::new(),
    };
    let bundle = Bundle { card, tensors };
    bundle.check()?;
    Ok(bundle)
}

struct Source {
    path: PathBuf,
    file: File,
}

impl Source {
    fn open(path: &Path) -> Result<Self, KerasError> {
        let file = File::open(path).map_err(|error| KerasError::Read {
            path: path.to_owned(),
            dataset: "the header".to_owned(),
            reason: error.to_string(),
        })?;
        Ok(Self {
            path: path.to_owned(),
            file,
        })
    }

    /// Shape and values of a dataset.
    fn get(&self, dataset: &str) -> Result<(Vec<usize>, Vec<f32>), KerasError> {
        let failed = |reason: String| KerasError::Read {
            path: self.path.clone(),
            dataset: dataset.to_owned(),
            reason,
        };
        let reader = self
            .file
            .dataset(dataset)
            .map_err(|error| failed(error.to_string()))?;
        let shape = reader.shape().map_err(|error| failed(error.to_string()))?;
        let values = reader
            .read::<f32>()
            .map_err(|error| failed(error.to_string()))?;
        let shape: Vec<usize> = shape
            .into_iter()
            .map(|n| usize::try_from(n).unwrap_or(usize::MAX))
            .collect();
        if shape.is_empty() || values.is_empty() {
            return Err(failed("it is empty".to_owned()));
        }
        Ok((shape, values))
    }

    /// Scale and offset of a batch norm in evaluation.
    fn batch_norm(&self, name: &str, regime: Regime) -> Result<(Vec<f32>, Vec<f32>), KerasError> {
        let part = |part: &str| {
            self.get(&format!("{name}/{name}_{part}"))
                .map(|(_, values)| values)
        };
        let (gamma, beta, mean, std) = (
            part("gamma")?,
            part("beta")?,
            part("running_mean")?,
            part("running_std")?,
        );
        let divisor = |statistic: &f32| match regime {
            Regime::Readme => (statistic + EPSILON).sqrt(),
            Regime::ZScore => statistic + EPSILON,
        };
        let scale: Vec<f32> = gamma
            .iter()
            .zip(&std)
            .map(|(gamma, std)| gamma / divisor(std))
            .collect();
        let offset = beta
            .iter()
            .zip(&mean)
            .zip(&scale)
            .map(|((beta, mean), scale)| beta - mean * scale)
            .collect();
        Ok((scale, offset))
    }
}

/// The upper median; 1 of nothing.
fn median(values: &[f32]) -> f32 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f32::total_cmp);
    sorted.get(sorted.len() / 2).copied().unwrap_or(1.0)
}

fn transposed(values: &[f32], rows: usize, columns: usize) -> Vec<f32> {
    (0..columns)
        .flat_map(|column| (0..rows).map(move |row| values[row * columns + column]))
        .collect()
}
