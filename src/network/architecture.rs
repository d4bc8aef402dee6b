//! What a network is made of, as data: it travels in the model file, and `graph` builds it.
//!
//! Axes: a mel picture is `[column, band]`, the output of a block `[column, frequency, channel]`;
//! "time" counts columns from the oldest. Weights in the file follow PyTorch,
//! `[out, in, frequency, time]`.

use serde::{Deserialize, Serialize};

use super::{error::ModelError, level::Level, tagger::Tagger};

/// Frequency x time extent of every convolution kernel (the paper's "33 kernels").
pub const KERNEL: usize = 3;

/// Most blocks in a trunk.
pub const MAX_BLOCKS: usize = 16;
/// Most filters in a block.
pub const MAX_FILTERS: usize = 1_024;
/// Most columns in a frame.
pub const MAX_FRAME_COLUMNS: usize = 16_384;
/// Most values in the outputs of all blocks together: 32 Mi of them are 128 MiB.
pub const MAX_ACTIVATIONS: usize = 32 << 20;
/// Most multiplications in one frame: 64 G, about a second on one core. The CRNN has 3.2 G.
pub const MAX_MULTIPLICATIONS: usize = 64 << 30;
/// Most values in an embedding.
pub const MAX_EMBEDDING: usize = 16_384;

/// A network: normalisation, trunk, pooling to an embedding, dense head.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Architecture {
    /// Mel columns in a frame (1366: 29.12 s).
    pub frame_columns: usize,
    /// How decibels become what the first block sees.
    pub normalisation: Normalisation,
    /// Columns of zeros, in normalised space, before and after the frame (CRNN: 37).
    #[serde(default)]
    pub time_pad: usize,
    /// Whether the tensors `input.column_scale` and `input.column_offset`, of
    /// `frame_columns + 2 * time_pad` values each, are applied to the normalised and padded columns
    /// by their place in the window: the `bn_0_freq` of the reference taggers. It ties a column to
    /// its place, so nothing can be re-used when the window moves.
    #[serde(default)]
    pub column_affine: bool,
    /// The trunk: convolution, max pool, ELU, each.
    pub blocks: Vec<Block>,
    /// With less than a frame heard, the output columns of this many blocks are repeated in a cycle
    /// to as many as a whole frame gives, and the blocks above run on those (CNN: 3). `None`: every
    /// block runs on what exists.
    #[serde(default)]
    pub cycle_after: Option<usize>,
    /// What becomes of the last block's output.
    pub pooling: Pooling,
    /// Statistics of blocks' outputs, appended to the embedding in this order.
    #[serde(default)]
    pub statistics: Vec<Statistic>,
    /// A second trunk: its embedding and what it makes of its classes are appended to the
    /// embedding.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tagger: Option<Tagger>,
    /// From the embedding to the labels.
    pub head: Head,
}

/// `(decibel - mean) / std`, by one scalar or by mel band.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Normalisation {
    /// One value, or one per mel band.
    pub mean: Vec<f32>,
    /// As many, each above 0.
    pub std: Vec<f32>,
    /// Brings every window to one loudness first; none: the network sees how loud it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub level: Option<Level>,
}

/// Convolution 3 x 3 with "same" zero padding, max pool (what is left over is dropped), ELU. Batch
/// normalisation is folded into the convolution; ELU is monotonic, so pooling before it changes
/// nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Block {
    /// Output channels.
    pub filters: usize,
    /// Pool extents, frequency x time.
    pub pool: [usize; 2],
}

/// What becomes of the last block's output.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Pooling {
    /// All of it, as `[channel, frequency, column]`.
    Flatten,
    /// Keras 1 GRUs over its columns, each fed with `[channel, frequency]`; the last state of the
    /// last one. Every window starts from a state of zeros.
    Gru {
        /// Units of each layer (paper: 32, 32).
        units: Vec<usize>,
    },
    /// Nothing: the embedding is [`Architecture::statistics`] alone.
    None,
}

/// One statistic over frequency and time of a block's output, a value per channel and frequency
/// group.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Statistic {
    /// Which block, from 1. The output of block [`Architecture::cycle_after`] is taken after
    /// repetition.
    pub block: usize,
    /// Which statistic.
    pub kind: StatisticKind,
    /// Into how many groups of neighbouring rows frequency is split (1: over all of it). The values
    /// are `[channel, group]`.
    #[serde(default = "one")]
    pub groups: usize,
}

fn one() -> usize {
    1
}

/// Kinds of [`Statistic`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatisticKind {
    /// Arithmetic mean.
    Mean,
    /// Standard deviation (divided by n).
    Std,
    /// Maximum.
    Max,
}

/// Dense layers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Head {
    /// Units of a hidden ELU layer, if there is one.
    #[serde(default)]
    pub hidden: Option<usize>,
    /// How logits become scores.
    #[serde(default)]
    pub activation: Activation,
}

/// How logits become scores.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Activation {
    /// Scores sum to 1.
    #[default]
    Softmax,
    /// Each by itself, then divided by their sum (the reference's head).
    Sigmoid,
}

impl Architecture {
    /// The CNN of the paper in our form: convolutions 32-128-128-192-256, pools
    /// (2,4)(2,4)(2,4)(3,5)(4,4), 256 values flattened; normalised by a scalar (-30.6 dB, 18 dB: by
    /// number the `bn_0_freq` of the authors' weights).
    pub fn cnn() -> Self {
        Self {
            frame_columns: 1_366,
            normalisation: Normalisation {
                mean: vec![-30.6],
                std: vec![18.0],
                level: None,
            },
            time_pad: 0,
            column_affine: false,
            blocks: blocks(&[
                (32, 2, 4),
                (128, 2, 4),
                (128, 2, 4),
                (192, 3, 5),
                (256, 4, 4),
            ]),
            cycle_after: Some(3),
            pooling: Pooling::Flatten,
            statistics: Vec::new(),
            tagger: None,
            head: Head {
                hidden: None,
                activation: Activation::Softmax,
            },
        }
    }

    /// The CRNN of the paper in our form: 37 columns of zeros each side, convolutions
    /// 64-128-128-128, pools (2,2)(3,3)(4,4)(4,4), two GRUs of 32.
    pub fn crnn() -> Self {
        Self {
            time_pad: 37,
            blocks: blocks(&[(64, 2, 2), (128, 3, 3), (128, 4, 4), (128, 4, 4)]),
            cycle_after: None,
            pooling: Pooling::Gru {
                units: vec![32, 32],
            },
            ..Self::cnn()
        }
    }

    /// Blocks whose outputs can be kept while the window moves: those below the repetition, or all.
    pub fn rolling_blocks(&self) -> usize {
        self.cycle_after.unwrap_or(self.blocks.len())
    }

    /// Mel columns per output column of the rolling blocks: 64 for the CNN, 96 for the CRNN. The
    /// window must move by a multiple of it for anything to be re-used.
    pub fn step_columns(&self) -> usize {
        self.blocks[..self.rolling_blocks()]
            .iter()
            .map(|block| block.pool[1])
            .product()
    }

    /// Output columns of the rolling blocks with `heard` mel columns in the window: each block's
    /// pool drops what is left over.
    ///
    /// This and [`cycle`] are the whole rule for windows that are not full yet: the rolling blocks
    /// run on the columns that exist (with `time_pad` zeros each side, and zero padding at the
    /// edges of what exists, as in a whole frame); their output columns are repeated in a cycle to
    /// [`Architecture::trunk_columns`] of a whole frame where [`Architecture::cycle_after`] says
    /// so, and otherwise stand as they are (the GRU runs over the steps that exist).
    pub fn trunk_columns(&self, heard: usize) -> usize {
        self.blocks[..self.rolling_blocks()]
            .iter()
            .fold(heard + 2 * self.time_pad, |columns, block| {
                columns / block.pool[1]
            })
    }

    /// Frequency rows of the output of block `index` (from 0), for `n_mels` bands at the input.
    pub fn rows(&self, index: usize, n_mels: usize) -> usize {
        self.blocks[..=index]
            .iter()
            .fold(n_mels, |rows, block| rows / block.pool[0])
    }

    /// Output columns of block `index` (from 0) in a whole frame.
    pub fn frame_columns_of(&self, index: usize) -> usize {
        self.blocks[..=index]
            .iter()
            .fold(self.frame_columns + 2 * self.time_pad, |columns, block| {
                columns / block.pool[1]
            })
    }

    /// Values that the last dense layer would see without a hidden one.
    pub fn pooled_len(&self, n_mels: usize) -> usize {
        let last = self.blocks.len() - 1;
        let pooled = match &self.pooling {
            Pooling::Flatten => {
                self.blocks[last].filters * self.rows(last, n_mels) * self.frame_columns_of(last)
            }
            Pooling::Gru { units } => units.last().copied().unwrap_or(0),
            Pooling::None => 0,
        };
        let statistics = self
            .statistics
            .iter()
            .map(|statistic| self.blocks[statistic.block - 1].filters * statistic.groups);
        pooled + statistics.sum::<usize>() + self.tagger.as_ref().map_or(0, Tagger::len)
    }

    /// Length of the embedding: the input of the last dense layer.
    pub fn embedding_len(&self, n_mels: usize) -> usize {
        self.head.hidden.unwrap_or_else(|| self.pooled_len(n_mels))
    }

    /// Checks every number against what can be built.
    ///
    /// # Errors
    /// [`ModelError::Field`] with the name of the first field that is out of range, and its value.
    pub fn check(&self, n_mels: usize) -> Result<(), ModelError> {
        in_range("frame_columns", self.frame_columns, 1, MAX_FRAME_COLUMNS)?;
        in_range("time_pad", self.time_pad, 0, 1_024)?;
        in_range("blocks", self.blocks.len(), 1, MAX_BLOCKS)?;
        self.check_normalisation(n_mels)?;
        if let Some(after) = self.cycle_after {
            in_range("cycle_after", after, 1, self.blocks.len())?;
        }
        let (mut rows, mut columns, mut channels) =
            (n_mels, self.frame_columns + 2 * self.time_pad, 1);
        let (mut activations, mut multiplications) = (rows * columns, 0_usize);
        for (index, block) in self.blocks.iter().enumerate() {
            let field = |part: &str| format!("blocks[{index}].{part}");
            in_range(field("filters"), block.filters, 1, MAX_FILTERS)?;
            in_range(field("pool[0]"), block.pool[0], 1, rows)?;
            in_range(field("pool[1]"), block.pool[1], 1, columns.min(64))?;
            // No overflow: 16384 columns, 256 bands and 1024 filters are checked before they are
            // multiplied.
            multiplications += rows * columns * channels * block.filters * KERNEL * KERNEL;
            (rows, columns, channels) =
                (rows / block.pool[0], columns / block.pool[1], block.filters);
            activations += rows * columns * channels;
            in_range(
                field("filters: multiplications so far"),
                multiplications,
                0,
                MAX_MULTIPLICATIONS,
            )?;
            in_range(
                field("filters: activations so far"),
                activations,
                0,
                MAX_ACTIVATIONS,
            )?;
        }
        in_range(
            "blocks: columns of a step",
            self.step_columns(),
            1,
            self.frame_columns,
        )?;
        if let Pooling::Gru { units } = &self.pooling {
            in_range("pooling.gru.units", units.len(), 1, 4)?;
            for &units in units {
                in_range("pooling.gru.units", units, 1, MAX_FILTERS)?;
            }
        }
        if self.pooling == Pooling::Flatten && self.cycle_after.is_none() {
            return Err(ModelError::field(
                "cycle_after",
                "none",
                "the number of blocks to repeat: a flattened output needs a whole frame",
            ));
        }
        in_range("statistics", self.statistics.len(), 0, 64)?;
        for (index, statistic) in self.statistics.iter().enumerate() {
            in_range(
                format!("statistics[{index}].block"),
                statistic.block,
                1,
                self.blocks.len(),
            )?;
            let rows = self.rows(statistic.block - 1, n_mels);
            if statistic.groups == 0 || !rows.is_multiple_of(statistic.groups) {
                return Err(ModelError::field(
                    format!("statistics[{index}].groups"),
                    statistic.groups,
                    format!("a divisor of the block's {rows} rows"),
                ));
            }
        }
        if let Some(hidden) = self.head.hidden {
            in_range("head.hidden", hidden, 1, MAX_EMBEDDING)?;
        }
        in_range(
            "length of the embedding",
            self.pooled_len(n_mels),
            1,
            MAX_EMBEDDING,
        )
    }

    fn check_normalisation(&self, n_mels: usize) -> Result<(), ModelError> {
        let Normalisation { mean, std, level } = &self.normalisation;
        if let Some(level) = level {
            for (field, value, low, high) in [
                (
                    "normalisation.level.target_db",
                    level.target_db,
                    -300.0,
                    300.0,
                ),
                ("normalisation.level.band_db", level.band_db, 0.0, 300.0),
                ("normalisation.level.step_db", level.step_db, 0.5, 40.0),
                ("normalisation.level.most_db", level.most_db, 0.0, 300.0),
                ("normalisation.level.floor_db", level.floor_db, -400.0, 0.0),
            ] {
                if !(low..=high).contains(&value) {
                    return Err(ModelError::field(field, value, format!("{low} to {high}")));
                }
            }
        }
        for (field, values) in [("normalisation.mean", mean), ("normalisation.std", std)] {
            if values.len() != 1 && values.len() != n_mels {
                return Err(ModelError::field(
                    field,
                    values.len(),
                    format!("1 or {n_mels} values"),
                ));
            }
            if let Some(value) = values.iter().find(|value| !value.is_finite()) {
                return Err(ModelError::field(field, value, "finite values"));
            }
        }
        if let Some(value) = std.iter().find(|&&value| value < 1e-3) {
            return Err(ModelError::field(
                "normalisation.std",
                value,
                "at least 0.001 dB",
            ));
        }
        Ok(())
    }
}

/// Which of `existing` columns stands at place `index` of a whole frame: they are repeated from the
/// oldest on.
pub fn cycle(index: usize, existing: usize) -> usize {
    index % existing
}

fn blocks(list: &[(usize, usize, usize)]) -> Vec<Block> {
    list.iter()
        .map(|&(filters, frequency, time)| Block {
            filters,
            pool: [frequency, time],
        })
        .collect()
}

pub(super) fn in_range(
    field: impl Into<String>,
    value: usize,
    min: usize,
    max: usize,
) -> Result<(), ModelError> {
    if (min..=max).contains(&value) {
        Ok(())
    } else {
        Err(ModelError::field(field, value, format!("{min} to {max}")))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shapes_are_those_of_the_paper() {
        let cnn = Architecture::cnn();
        assert!(cnn.check(96).is_ok());
        assert_eq!(
            (
                cnn.step_columns(),
                cnn.trunk_columns(1_366),
                cnn.pooled_len(96)
            ),
            (64, 21, 256)
        );
        assert_eq!(
            (
                cnn.trunk_columns(63),
                cnn.trunk_columns(64),
                cnn.trunk_columns(200)
            ),
            (0, 1, 3)
        );
        let crnn = Architecture::crnn();
        assert!(crnn.check(96).is_ok());
        assert_eq!(
            (
                crnn.step_columns(),
                crnn.trunk_columns(1_366),
                crnn.pooled_len(96)
            ),
            (96, 15, 32)
        );
        assert_eq!(crnn.trunk_columns(96), 1);
    }

    #[test]
    fn what_cannot_be_built_is_named() {
        let broken = |change: fn(&mut Architecture)| {
            let mut architecture = Architecture::cnn();
            change(&mut architecture);
            architecture.check(96).unwrap_err().to_string()
        };
        assert!(broken(|a| a.blocks[2].filters = 4_096).contains("blocks[2].filters = 4096"));
        assert!(broken(|a| a.blocks[4].pool = [5, 1]).contains("blocks[4].pool[0] = 5"));
        assert!(broken(|a| a.cycle_after = None).contains("cycle_after"));
        assert!(broken(|a| a.normalisation.std = vec![0.0]).contains("normalisation.std"));
        assert!(broken(|a| a.frame_columns = usize::MAX).contains("frame_columns"));
        let wide = broken(|a| {
            a.blocks = vec![
                Block {
                    filters: 1_024,
                    pool: [1, 1]
                };
                3
            ];
        });
        assert!(wide.contains("so far"), "{wide}");
    }
}
