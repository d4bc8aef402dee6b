//! Where training starts from: a model file, or K. Choi's MSD tagger, in the z-score regime (see
//! [`crate::keras`]).

use std::path::Path;

use anyhow::{Context, Result, ensure};
use genrescope::{
    front_end::FrontEndConfig,
    genre::Labels,
    network::{
        Architecture, Bundle,
        architecture::{Pooling, Statistic, StatisticKind},
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    keras::{self, Form, Regime},
    pictures,
    trainable::Trainable,
};

/// What the head looks at, in a recipe's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Tap {
    /// What the architecture's pooling makes of the last block. CNN: 256 values. CRNN: last state
    /// of the last GRU, 32 values.
    Top,
    /// Mean and standard deviation over the places of block 4: 2 x 192 values (CRNN: 2 x 128).
    Block4,
    /// Mean and standard deviation over the places of block 3: 2 x 128 values.
    Block3,
    /// Mean over time of block 3, in four ranges of its rows: 128 x 4 values, channel by channel.
    Block3Bands,
}

/// `base` with a head that looks at `taps`.
///
/// # Errors
/// When the top of the trunk is there, but not first.
pub fn with_taps(base: Architecture, taps: &[Tap]) -> Result<Architecture> {
    ensure!(
        taps.iter().skip(1).all(|tap| *tap != Tap::Top),
        "the top of the trunk must be the first tap: the product puts it first"
    );
    let statistic = |block, kind, groups| Statistic {
        block,
        kind,
        groups,
    };
    let both =
        |block| [StatisticKind::Mean, StatisticKind::Std].map(|kind| statistic(block, kind, 1));
    let statistics = taps.iter().flat_map(|tap| match tap {
        Tap::Top => Vec::new(),
        Tap::Block4 => both(4).to_vec(),
        Tap::Block3 => both(3).to_vec(),
        Tap::Block3Bands => vec![statistic(3, StatisticKind::Mean, 4)],
    });
    Ok(Architecture {
        statistics: statistics.collect(),
        pooling: if taps.first() == Some(&Tap::Top) {
            base.pooling
        } else {
            Pooling::None
        },
        ..base
    })
}

/// The last layer of the tagger: 50 tags from the values at the top.
#[derive(Clone, Debug, PartialEq)]
pub struct Tagger {
    /// Shape `[tags, top]`: 256 values in the CNN, 32 in the CRNN.
    pub weight: Vec<f32>,
    /// One a tag.
    pub bias: Vec<f32>,
}

impl Tagger {
    /// Tag scores, each 0..1, of a trunk output.
    pub fn scores(&self, top: &[f32]) -> Vec<f32> {
        self.bias
            .iter()
            .zip(self.weight.chunks_exact(top.len()))
            .map(|(b, row)| {
                1.0 / (1.0 + (-(b + row.iter().zip(top).map(|(w, x)| w * x).sum::<f32>())).exp())
            })
            .collect()
    }
}

/// `net` with the trunk of the tagger of `path` (`music_tagger_cnn_weights_theano.h5` or
/// `music_tagger_crnn_weights_theano.h5` of the repository keunwoochoi/music-auto_tagging-keras),
/// its head as it was, and the tagger's last layer. The input is normalised as `net` says.
///
/// # Errors
/// When the file cannot be read or does not hold that network.
pub fn choi(path: &Path, mut net: Trainable) -> Result<(Trainable, Tagger)> {
    let file = keras::import(path, Regime::ZScore, Form::ShiftInvariant)?;
    let trunk = net.layers() - usize::from(net.architecture.head.hidden.is_some());
    net.fill(&file, |layer| layer < trunk)
        .with_context(|| format!("'{}' holds another network", path.display()))?;
    let get = |name: &str| {
        let weights = file.tensors.get(name);
        weights.with_context(|| format!("'{}': '{name}' is missing", path.display()))
    };
    let (weight, bias) = (get("output.weight")?, get("output.bias")?);
    let tagger = Tagger {
        weight: weight.to_f32(),
        bias: bias.to_f32(),
    };
    Ok((net, tagger))
}

/// The network of a model file with an empty head for `labels`.
///
/// # Errors
/// When it has a second trunk, or listens through another front end than kept pictures are made
/// with.
pub fn trunk_of(bundle: &Bundle, labels: Labels) -> Result<Trainable> {
    let front_end = &bundle.card.front_end;
    let made = FrontEndConfig {
        floor_db: front_end.floor_db,
        ..pictures::front_end()
    };
    ensure!(
        *front_end == made,
        "it hears through {front_end:?}; pictures are made through {made:?}"
    );
    let mut net = Trainable::new(bundle.card.architecture.clone(), front_end.clone(), labels)?;
    let head = net.layers();
    net.fill(bundle, |layer| layer < head)?;
    Ok(net)
}
