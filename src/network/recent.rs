//! The newest seconds by themselves: what the trunk made of them, and whether it is music.
//!
//! The logits look at 29.12 s; talk, applause or another song must be told sooner. The trunk's newest output columns tell, at
//! no cost: they are computed already.

use super::{
    Model,
    bundle::{ModelError, Weights},
    rolling::Trunk,
};

/// Output columns of the trunk that are "recent": 3 of 64 mel columns are 4.1 s (CNN), 3 of 96 are 6.1 s (CRNN).
pub(super) const RECENT_STEPS: usize = 3;

/// A logistic layer on the summary of the newest columns: the tensors `trust.music.weight` (shape `[2 * n_channels]`) and
/// `trust.music.bias` (shape `[1]`).
#[derive(Clone, Debug)]
pub(super) struct MusicHead {
    weight: Vec<f32>,
    bias: f32,
}

impl MusicHead {
    /// The head in a model's tensors, if there is one.
    pub(super) fn find(model: &Model) -> Result<Option<Self>, ModelError> {
        let change =
            ["change.weight", "change.bias"].map(|name| model.trust(name).map(Weights::shape));
        let len = summary_len(model);
        let whole = comparison_len(len);
        let of = |len: usize| change == [Some(&[len][..]), Some(&[1][..])];
        if !(change == [None, None] || of(len) || of(whole)) {
            return Err(ModelError::field(
                "trust.change.weight and trust.change.bias",
                format!("{change:?}"),
                format!("[{whole}] (or [{len}]) and [1], or neither"),
            ));
        }
        let (Some(weight), Some(bias)) = (model.trust("music.weight"), model.trust("music.bias"))
        else {
            return Ok(None);
        };
        let expected = summary_len(model);
        if weight.shape() != [expected] || bias.shape() != [1] {
            return Err(ModelError::field(
                "trust.music.weight",
                format!("{:?} with a bias of {:?}", weight.shape(), bias.shape()),
                format!("[{expected}] with a bias of [1]"),
            ));
        }
        Ok(Some(Self {
            weight: weight.to_f32(),
            bias: bias.to_f32()[0],
        }))
    }

    /// Probability of music, 0..=1.
    pub(super) fn probability(&self, summary: &[f32]) -> f32 {
        let logit: f32 = self.bias
            + self
                .weight
                .iter()
                .zip(summary)
                .map(|(w, x)| w * x)
                .sum::<f32>();
        if logit.is_finite() {
            1.0 / (1.0 + (-logit).exp())
        } else {
            0.5
        }
    }
}

/// Length of a summary: mean and maximum for every channel of the trunk.
pub(super) fn summary_len(model: &Model) -> usize {
    let architecture = &model.card.architecture;
    2 * architecture.blocks[architecture.rolling_blocks() - 1].filters
}

/// How many values a comparison of summaries of length `summary_len` has ([`crate::decision::change::compare`]): what the head for
/// changes of song weighs.
pub fn comparison_len(summary_len: usize) -> usize {
    2 * summary_len + 2
}

/// Writes the summary of the newest of `heard` mel columns' trunk columns: means, then maxima, over them and over frequency.
pub(super) fn summarise(model: &Model, trunk: &Trunk, heard: usize, summary: &mut [f32]) {
    let architecture = &model.card.architecture;
    let existing = architecture.trunk_columns(heard);
    let (means, maxima) = summary.split_at_mut(summary.len() / 2);
    means.fill(0.0);
    maxima.fill(f32::NEG_INFINITY);
    let mut n = 0.0_f32;
    for index in existing.saturating_sub(RECENT_STEPS)..existing {
        let channels = means.len();
        for (place, value) in trunk
            .column(architecture.rolling_blocks(), index)
            .enumerate()
        {
            let channel = place % channels;
            if channel == 0 {
                n += 1.0;
            }
            means[channel] += value;
            maxima[channel] = maxima[channel].max(value);
        }
    }
    for (mean, max) in means.iter_mut().zip(maxima) {
        *mean /= n.max(1.0);
        if n == 0.0 {
            *max = 0.0;
        }
    }
}
