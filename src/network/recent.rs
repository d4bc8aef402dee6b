//! The newest seconds by themselves: what the trunk made of them, and whether it is music.
//!
//! The logits look at 29.12 s; talk, applause or another song must be told sooner. The trunk's
//! newest output columns tell, at no cost: they are computed already.

use super::{
    Model,
    bundle::{ModelError, Weights},
    level::cell_power,
    rolling::{Columns, Trunk},
};

/// Output columns of the trunk that are "recent": 3 of 64 mel columns are 4.1 s (CNN), 3 of 96 are
/// 6.1 s (CRNN).
pub(super) const RECENT_STEPS: usize = 3;

/// The mel columns' part of a summary is in tens of the front end's decibels, so that it is of the
/// size of the trunk's values.
const MEL_UNIT: f32 = 10.0;

/// Whether anything moves at all is asked of so many mean spectra, of so many seconds each: 4 s at
/// the beginning, 8 s from then on. Within one, tones may beat.
const STILL_LEAST: usize = 8;
const STILL_MEANS: usize = 16;
const STILL_MEAN_S: f64 = 0.5;

/// The level of what stands still varies by less than this, in dB (standard deviation over
/// columns). 100 hums and machine tones, some with noise 12 dB below or a level that sways by 1.5
/// dB, had at most 0.95; loops that repeat exactly have far more, by their beat.
const STILL_LEVEL_DB: f64 = 1.1;

/// Its spectra differ from their mean by less than this share (sum over bands). Hums had at most
/// 0.035, steady drones of synthesizers, strings and distorted guitars from 0.06 on, and music
/// whose level is as steady 0.3.
const STILL_SHARE: f32 = 0.05;

/// The probability of music of what stands still: surely none.
const STILL_MUSIC: f32 = 0.01;

/// A logistic layer on the summary of the newest columns: the tensors `trust.music.weight` (shape
/// `[summary_len]`, or its first `[top_len]`; with a second trunk the log-odds of its sounds may
/// follow) and `trust.music.bias` (shape `[1]`).
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
        let (top, all) = (top_len(model), summary_len(model));
        let lens = [comparison_len(all), comparison_len(top), top];
        if !(change == [None, None]
            || lens
                .iter()
                .any(|&len| change == [Some(&[len][..]), Some(&[1][..])]))
        {
            return Err(ModelError::field(
                "trust.change.weight and trust.change.bias",
                format!("{change:?}"),
                format!(
                    "[{}] (or [{}] or [{top}]) and [1], or neither",
                    lens[0], lens[1]
                ),
            ));
        }
        let (Some(weight), Some(bias)) = (model.trust("music.weight"), model.trust("music.bias"))
        else {
            return Ok(None);
        };
        let tagger = model.card().architecture.tagger.as_ref();
        let both = all + tagger.map_or(0, |tagger| tagger.sounds.len());
        let lens = [[both], [all], [top]];
        if !(lens.iter().any(|len| weight.shape() == len) && bias.shape() == [1]) {
            return Err(ModelError::field(
                "trust.music.weight",
                format!("{:?} with a bias of {:?}", weight.shape(), bias.shape()),
                format!("[{both}] (or [{all}] or [{top}]) with a bias of [1]"),
            ));
        }
        Ok(Some(Self {
            weight: weight.to_f32(),
            bias: bias.to_f32()[0],
        }))
    }

    /// Probability of music, 0..=1, of the newest of `columns`: mains, machines and test tones,
    /// which do not move, are none however much their harmonics resemble an organ.
    pub(super) fn probability(
        &self,
        model: &Model,
        columns: &Columns,
        shares: &mut [f32],
        (summary, sounds): (&[f32], &[f32]),
    ) -> f32 {
        let probability = self.learnt(summary, sounds);
        // The answer of most looks is known without looking twice.
        if probability > STILL_MUSIC && stands_still(model, columns, shares) {
            STILL_MUSIC
        } else {
            probability
        }
    }

    /// What the layer says.
    fn learnt(&self, summary: &[f32], sounds: &[f32]) -> f32 {
        let logit: f32 = self.bias
            + self
                .weight
                .iter()
                .zip(summary.iter().chain(sounds))
                .map(|(w, x)| w * x)
                .sum::<f32>();
        if logit.is_finite() {
            1.0 / (1.0 + (-logit).exp())
        } else {
            0.5
        }
    }
}

/// Whether neither the level nor the spectrum has moved lately. What is no louder than the floor is
/// not judged.
fn stands_still(model: &Model, columns: &Columns, shares: &mut [f32]) -> bool {
    let numbers = model.front_end();
    let per_mean = ((STILL_MEAN_S / model.column().0) as usize).max(1);
    let n_means = (columns.len() / per_mean).min(STILL_MEANS);
    if n_means < STILL_LEAST {
        return false;
    }
    let from = columns.len() - n_means * per_mean;
    let floor = cell_power(numbers.floor_db);
    let power = |db: &f32| (cell_power(*db) - floor).max(0.0);
    let level = |index: usize| {
        let power: f32 = columns.get(index).iter().map(power).sum();
        10.0 * f64::from(power.max(f32::MIN_POSITIVE)).log10()
    };
    let most = STILL_LEVEL_DB.powi(2) * (n_means * per_mean) as f64;
    let (mut n, mut mean, mut squares) = (0.0, 0.0, 0.0);
    for index in from..columns.len() {
        // The sum of squares about the mean only grows (Welford), so that music is found out within
        // a few columns.
        n += 1.0;
        let level = level(index);
        let difference = level - mean;
        mean += difference / n;
        squares += difference * (level - mean);
        if squares > most {
            return false;
        }
    }
    // Shares of the bands, so that a fader moves nothing.
    let shares = &mut shares[..n_means * numbers.n_mels];
    shares.fill(0.0);
    for (index, shares) in shares.chunks_exact_mut(numbers.n_mels).enumerate() {
        for column in 0..per_mean {
            let column = columns.get(from + index * per_mean + column);
            for (share, db) in shares.iter_mut().zip(column) {
                *share += power(db);
            }
        }
        let sum: f32 = shares.iter().sum();
        if sum <= 0.0 {
            return false;
        }
        for share in shares {
            *share /= sum;
        }
    }
    let away: f32 = (0..numbers.n_mels)
        .map(|band| {
            let of_band = || shares.iter().skip(band).step_by(numbers.n_mels);
            let mean = of_band().sum::<f32>() / n_means as f32;
            of_band().map(|share| (share - mean).abs()).sum::<f32>()
        })
        .sum();
    away / n_means as f32 <= STILL_SHARE
}

/// Numbers that [`MusicHead::probability`] needs room for.
pub(super) fn still_len(model: &Model) -> usize {
    STILL_MEANS * model.front_end().n_mels
}

/// Length of the first part of a summary: mean and maximum for every channel of the rolling blocks'
/// output.
pub fn top_len(model: &Model) -> usize {
    let architecture = &model.card.architecture;
    2 * architecture.blocks[architecture.rolling_blocks() - 1].filters
}

/// Length of a summary: of the rolling blocks' output, of the block below it, and of the mel
/// columns two values each.
pub fn summary_len(model: &Model) -> usize {
    let architecture = &model.card.architecture;
    let below = match architecture.rolling_blocks() {
        0 | 1 => 0,
        blocks => architecture.blocks[blocks - 2].filters,
    };
    top_len(model) + 2 * below + 2 * model.front_end().n_mels
}

/// How many values a comparison of summaries of length `summary_len` has
/// ([`crate::decision::change::Comparison`]): what the head for changes of song weighs.
pub fn comparison_len(summary_len: usize) -> usize {
    2 * summary_len + 2
}

/// Writes the summary of the newest of `columns`: means, then maxima, of every channel of the
/// rolling blocks' newest output columns over them and over frequency; the same of the block below,
/// over the same time; then of every mel band the mean, relative to that of all bands (a fader
/// moves nothing), and the standard deviation.
pub(super) fn summarise(model: &Model, trunk: &Trunk, columns: &Columns, summary: &mut [f32]) {
    let architecture = &model.card.architecture;
    let blocks = architecture.rolling_blocks();
    let existing = architecture.trunk_columns(columns.len());
    let newest = existing.saturating_sub(RECENT_STEPS)..existing;
    let (top, rest) = summary.split_at_mut(top_len(model));
    summarise_block(trunk, blocks, newest.clone(), top);
    let (below, mel) = rest.split_at_mut(rest.len() - 2 * model.front_end().n_mels);
    if blocks > 1 {
        let pool = architecture.blocks[blocks - 1].pool[1];
        summarise_block(
            trunk,
            blocks - 1,
            newest.start * pool..newest.end * pool,
            below,
        );
    }
    summarise_mel(columns, RECENT_STEPS * model.step_columns(), mel);
}

fn summarise_block(trunk: &Trunk, blocks: usize, range: std::ops::Range<usize>, out: &mut [f32]) {
    let (means, maxima) = out.split_at_mut(out.len() / 2);
    means.fill(0.0);
    maxima.fill(f32::NEG_INFINITY);
    let n: usize = range
        .map(|index| trunk.gather(blocks, index, means, maxima))
        .sum();
    for (mean, max) in means.iter_mut().zip(maxima) {
        *mean /= n.max(1) as f32;
        if n == 0 {
            *max = 0.0;
        }
    }
}

fn summarise_mel(columns: &Columns, newest: usize, out: &mut [f32]) {
    let (means, deviations) = out.split_at_mut(out.len() / 2);
    means.fill(0.0);
    deviations.fill(0.0);
    let from = columns.len().saturating_sub(newest);
    let n = (columns.len() - from).max(1) as f32;
    for index in from..columns.len() {
        for (sum, value) in means.iter_mut().zip(columns.get(index)) {
            *sum += value;
        }
    }
    for mean in &mut *means {
        *mean /= n;
    }
    for index in from..columns.len() {
        let values = means.iter().zip(columns.get(index));
        for (squares, (mean, value)) in deviations.iter_mut().zip(values) {
            *squares += (value - mean).powi(2);
        }
    }
    for deviation in deviations {
        *deviation = (*deviation / n).sqrt() / MEL_UNIT;
    }
    let level = means.iter().sum::<f32>() / means.len().max(1) as f32;
    for mean in means {
        *mean = (*mean - level) / MEL_UNIT;
    }
}
