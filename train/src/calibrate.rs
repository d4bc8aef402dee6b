//! What a model file says beside its genres: temperatures, the music head, the change head,
//! thresholds.
//!
//! All of it is fitted through the product: on what its own network gives for its own front end's
//! columns. Each fold's model is asked about what it has not heard; what is written into the model
//! of a fold comes from the other folds alone, so that [`crate::live`] may measure it on that fold.

use std::sync::Arc;

use anyhow::{Context, Result, ensure};
use genrescope::{
    decision::change::{Comparison, compared, comparison_len},
    network::{
        Bundle, Model,
        architecture::Activation,
        bundle::{DecisionDefaults, Weights},
        quantise::Calibration as Calibration8,
    },
};
use serde::{Deserialize, Serialize};

use crate::{
    hearing::hear,
    material::{Clip, Material, Step, columns, steps, steps_of},
    metrics::{Reading, argmax, auroc, softmax},
    parallel,
    rng::Rng,
    study::say,
    trust::{self, MusicHead},
};

/// Steps of a stream at which temperatures are fitted: 2.7, 4.1, 5.5, 9.6, 15, 20.5 and 28.7 s with
/// the CNN.
const STEPS: [usize; 7] = [2, 3, 4, 7, 11, 15, 21];

/// L2 penalty of both heads.
const DECAY: f32 = 1e-2;

/// How often each sound that is not music is heard in a room, through a loudspeaker, over noise.
const ROOMS: u64 = 2;

/// Every how many clips of music one is heard so, too. Each would make the looks at a crowd in a
/// room ambiguous.
const ROOM_EVERY: usize = 4;

/// Share of the looks at held-out music that may fall below the threshold of music.
const LOST_MUSIC: f64 = 0.004;

/// Share of those looks at which no genre may be named because it might not be music.
const DOUBTED_MUSIC: f64 = 0.025;

/// Share of held-out whole frames that are named rather than "unsure".
const COVERAGE: f64 = 0.97;

/// Looks that a clip must have to teach what a change is: one of 29 s has 14 in the CRNN and 21 in
/// the CNN.
const LONG: usize = 14;

/// Share of looks within one song at which a change may be told.
const FALSE_ALARMS: f64 = 0.02;

/// Seconds heard, and logits with the truth.
type AnswersAfter = (f32, Vec<(Vec<f32>, usize)>);

/// What the held-out part of one fold gave.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct HeldOut {
    /// For each number of seconds that is looked at.
    pub answers: Vec<AnswersAfter>,
    /// Probabilities of music: looks at music, smoothed as the product does.
    pub music: Vec<f32>,
    /// The same of what is not music.
    pub other: Vec<f32>,
    /// Change logits within one song.
    pub same: Vec<f32>,
    /// Change logits across two songs.
    pub changed: Vec<f32>,
}

/// What the held-out parts of all folds give: what `fit` writes into the model that is shipped.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
pub struct Calibration {
    /// One for each fold.
    pub folds: Vec<HeldOut>,
    /// How the models' logits become scores.
    #[serde(default)]
    pub activation: Activation,
}

/// Thresholds and temperatures, and what is added to the bias of the change head.
#[derive(Clone, Debug)]
pub struct Decisions {
    /// What goes into the model file.
    pub defaults: DecisionDefaults,
    /// To be added to the bias of the change head.
    pub change_bias: f32,
}

impl Calibration {
    /// Decisions from all folds but `without`; what `defaults` holds further is kept.
    pub fn decisions(&self, without: Option<usize>, defaults: &DecisionDefaults) -> Decisions {
        let folds: Vec<&HeldOut> = self
            .folds
            .iter()
            .enumerate()
            .filter(|(fold, _)| Some(*fold) != without)
            .map(|(_, held_out)| held_out)
            .collect();
        let mut defaults = defaults.clone();
        let points = folds.iter().map(|f| f.answers.len()).max().unwrap_or(0);
        defaults.temperatures = (0..points)
            .filter_map(|i| {
                let seconds = folds.iter().find_map(|f| f.answers.get(i))?.0;
                let answers = folds
                    .iter()
                    .filter_map(|f| f.answers.get(i))
                    .flat_map(|a| &a.1);
                let (logits, truths): (Vec<Vec<f32>>, Vec<usize>) = answers.cloned().unzip();
                (!logits.is_empty()).then(|| {
                    let reading = Reading::fitted(self.activation, &logits, &truths);
                    [seconds, reading.temperature]
                })
            })
            .collect();
        if let Some([seconds, temperature]) = defaults.temperatures.last().copied() {
            defaults.temperature = temperature;
            let reading = Reading {
                activation: self.activation,
                temperature,
            };
            let last = folds
                .iter()
                .filter_map(|f| f.answers.iter().find(|a| a.0 == seconds));
            let mut tops: Vec<f32> = last
                .flat_map(|a| &a.1)
                .map(|(logits, _)| reading.scores(logits).into_iter().fold(0.0, f32::max))
                .collect();
            defaults.unsure_threshold = quantile(&mut tops, 1.0 - COVERAGE).clamp(0.25, 0.6);
        }
        let mut music: Vec<f32> = folds.iter().flat_map(|f| f.music.iter().copied()).collect();
        if !music.is_empty() {
            defaults.music_threshold = quantile(&mut music, LOST_MUSIC).clamp(0.02, 0.9);
            defaults.doubt_threshold = quantile(&mut music, DOUBTED_MUSIC)
                .max(defaults.music_threshold)
                .clamp(0.3, 0.95);
        }
        let mut same: Vec<f32> = folds.iter().flat_map(|f| f.same.iter().copied()).collect();
        let change_bias = if same.is_empty() {
            0.0
        } else {
            -quantile(&mut same, 1.0 - FALSE_ALARMS)
        };
        Decisions {
            defaults,
            change_bias,
        }
    }

    /// What the heads do on what they have not heard, in words.
    pub fn words(&self) -> String {
        let all = |of: fn(&HeldOut) -> &Vec<f32>| -> Vec<f32> {
            self.folds
                .iter()
                .flat_map(|f| of(f).iter().copied())
                .collect()
        };
        let (music, other) = (all(|f| &f.music), all(|f| &f.other));
        let (same, changed) = (all(|f| &f.same), all(|f| &f.changed));
        let music_head = format!(
            "Music head: AUROC {:.4} over single looks at artists and kinds of sound held out ({} and {}).",
            auroc(&music, &other),
            music.len(),
            other.len()
        );
        if same.is_empty() || changed.is_empty() {
            return format!(
                "{music_head} No clip was long enough to learn from what a change of song is."
            );
        }
        format!(
            "{music_head} Change head: AUROC {:.4} ({} looks within a song, {} across two).",
            auroc(&changed, &same),
            same.len(),
            changed.len()
        )
    }
}

/// The value below which this share of `values` lies.
fn quantile(values: &mut [f32], share: f64) -> f32 {
    values.sort_by(f32::total_cmp);
    let at = ((values.len() as f64 - 1.0) * share.clamp(0.0, 1.0)).round();
    values.get(at as usize).copied().unwrap_or(0.0)
}

/// Both heads.
#[derive(Clone, Debug)]
pub struct Heads {
    /// Music against the rest.
    pub music: MusicHead,
    /// Another song against the same.
    pub change: MusicHead,
}

/// What the network gave for a clip, by the way it was heard.
struct Looks<'a> {
    clip: &'a Clip,
    /// Clean, damaged, and of music: with talk over it; then as [`hear`] gives them.
    ways: Vec<Vec<Step>>,
}

/// Adds `other` to `samples`, `db` above it; repeated where it is shorter.
fn mix(samples: &mut [f32], other: &[f32], db: f32) {
    let power = |of: &[f32]| of.iter().map(|v| v * v).sum::<f32>() / of.len().max(1) as f32;
    let gain = (10f32.powf(db / 10.0) * power(samples) / power(other).max(1e-20)).sqrt();
    for (sample, other) in samples.iter_mut().zip(other.iter().cycle()) {
        *sample += gain * other;
    }
}

/// Looks at music and other sound as a listener does: whole clips of music from their beginning,
/// and by turns damaged or with talk over them; other sound as it is, and by turns damaged or
/// softer and louder. Some of both is heard in rooms and through loudspeakers, too.
fn looks<'a>(
    model: &Arc<Model>,
    material: &'a Material,
    seed: u64,
    threads: usize,
) -> Result<[Vec<Looks<'a>>; 2]> {
    // Samples from one look to the next.
    let step = model.step_columns() * model.front_end().hop_length;
    let of_kind = |fits: &dyn Fn(&Clip) -> bool| -> Vec<&Clip> {
        let speech = material
            .other
            .iter()
            .filter(|c| c.kind.starts_with("speech"));
        speech.filter(|c| fits(c)).collect()
    };
    let every = of_kind(&|_| true);
    let heard = |samples: &[f32], longest: usize| -> Result<Vec<Step>> {
        // Half a window more: the last column waits for it.
        let samples = &samples[..samples.len().min(longest * step + 1_024)];
        let mut steps = steps_of(model, samples)?;
        steps.truncate(longest);
        Ok(steps)
    };
    let pieces: Vec<&Clip> = material.music.iter().chain(&material.modern).collect();
    let music = parallel::map(pieces.len(), threads, |i| -> Result<Option<Looks<'a>>> {
        let clip = pieces[i];
        if !clip.whole {
            return Ok(None);
        }
        let mut rng = Rng::at(seed, &[0x20, 0, i as u64]);
        let longest = match clip.label {
            // What may be held out is asked about after a whole frame, too.
            Some(_) => 22,
            None => 12,
        };
        let clean = heard(&clip.samples, longest)?;
        let from = rng.below(clip.samples.len().saturating_sub(5 * step) + 1);
        let part = &clip.samples[from..clip.samples.len().min(from + 5 * step)];
        let room = if i % ROOM_EVERY == 1 {
            heard(&hear(part, i as u64)?, 5)?
        } else {
            Vec::new()
        };
        // Talk of the clip's own fold where there is some, so that a held-out kind stays held out.
        let own = of_kind(&|c| c.fold == clip.fold);
        let talk = if own.is_empty() { &every } else { &own };
        if i % 2 == 0 || talk.is_empty() {
            let damaged = heard(&hear(part, 7_000 + i as u64)?, 5)?;
            let ways = vec![clean, damaged, Vec::new(), room];
            return Ok(Some(Looks { clip, ways }));
        }
        let mut part = part.to_vec();
        let talk = &talk[rng.below(talk.len())].samples;
        mix(&mut part, talk, rng.between(-8.0, 7.0));
        let ways = vec![clean, Vec::new(), heard(&part, 5)?, room];
        Ok(Some(Looks { clip, ways }))
    });
    let other = parallel::map(material.other.len(), threads, |i| -> Result<Looks<'a>> {
        let clip = &material.other[i];
        let mut rng = Rng::at(seed, &[0x20, 1, i as u64]);
        let clean = heard(&clip.samples, 6)?;
        let changed = if i % 2 == 0 {
            hear(&clip.samples, 9_000 + i as u64)?
        } else {
            let gain = 10f32.powf(rng.between(-40.0, 20.0) / 40.0);
            clip.samples.iter().map(|sample| gain * sample).collect()
        };
        let mut ways = vec![clean, heard(&changed, 6)?];
        for k in 0..ROOMS {
            ways.push(heard(&hear(&clip.samples, 1_000 * k + i as u64)?, 6)?);
        }
        Ok(Looks { clip, ways })
    });
    let music = music.into_iter().filter_map(Result::transpose);
    Ok([
        music.collect::<Result<_>>()?,
        other.into_iter().collect::<Result<_>>()?,
    ])
}

/// What the change head sees along a stream of summaries of one song.
fn comparisons(summaries: &[&[f32]]) -> Vec<Vec<f32>> {
    let mut comparison = Comparison::new(summaries.first().map_or(0, |summary| summary.len()));
    (0..=summaries.len())
        .filter_map(|end| {
            let (so_far, now) = compared(0, end)?;
            comparison.look(|k| summaries[k], so_far, now);
            Some(comparison.values().collect())
        })
        .collect()
}

/// Rows within songs and across pairs of songs. After a cut the newest looks are the second song's
/// alone; the third after it is the first that holds nothing of the song before.
fn change_rows(of: &[&Looks<'_>], seed: u64) -> [Vec<Vec<f32>>; 2] {
    let mut rng = Rng::at(seed, &[0x21]);
    let (mut same, mut changed) = (Vec::new(), Vec::new());
    let long: Vec<&&Looks<'_>> = of.iter().filter(|l| l.ways[0].len() >= LONG).collect();
    for looks in &long {
        let own: Vec<&[f32]> = looks.ways[0]
            .iter()
            .skip(1)
            .map(|s| s.recent.as_slice())
            .collect();
        // Neighbours are nearly the same row.
        same.extend(comparisons(&own).into_iter().step_by(2));
        for _ in 0..4 {
            let next = long[rng.below(long.len())];
            if next.clip.label == looks.clip.label {
                continue;
            }
            let so_far = 6 + rng.below(own.len() - 6);
            let there = 3 + rng.below(next.ways[0].len() - 6);
            let spliced: Vec<&[f32]> = own[..so_far]
                .iter()
                .copied()
                .chain(
                    next.ways[0][there..there + 3]
                        .iter()
                        .map(|s| s.recent.as_slice()),
                )
                .collect();
            changed.extend(comparisons(&spliced).pop());
        }
    }
    [same, changed]
}

/// What the music head weighs.
fn music_row(step: &Step) -> Vec<f32> {
    step.recent.iter().chain(&step.sounds).copied().collect()
}

/// Fits both heads on everything that `fold` does not hold out (none: on everything).
fn heads(looks: &[Vec<Looks<'_>>; 2], fold: Option<usize>, seed: u64) -> Heads {
    let learning = |looks: &&Looks<'_>| Some(looks.clip.fold) != fold;
    let rows = |side: usize| -> Vec<Vec<f32>> {
        let mut rng = Rng::at(seed, &[0x22, side as u64]);
        let mut rows = Vec::new();
        for looks in looks[side].iter().filter(learning) {
            for way in &looks.ways {
                let way = &way[..way.len().min(8)];
                // Of every hearing two looks, so that long clips do not speak for the short.
                for _ in 0..2 {
                    if way.len() > 1 {
                        rows.push(music_row(&way[1 + rng.below(way.len() - 1)]));
                    }
                }
            }
        }
        rows
    };
    let music = trust::fit(&rows(0), &rows(1), DECAY);
    let learnt: Vec<&Looks<'_>> = looks[0].iter().filter(learning).collect();
    let [same, changed] = change_rows(&learnt, seed);
    let first = looks[0].iter().find_map(|l| l.ways[0].first());
    let summary = first.map_or(0, |step| step.recent.len());
    let change = if same.is_empty() || changed.is_empty() {
        MusicHead {
            weight: vec![0.0; comparison_len(summary)],
            bias: -1.0,
        }
    } else {
        trust::fit(&changed, &same, DECAY)
    };
    Heads { music, change }
}

/// Probabilities along a stream, smoothed as the product smooths them.
fn smoothed(head: &MusicHead, way: &[Step]) -> Vec<f32> {
    let mut smooth = genrescope::decision::MusicSmoother::default();
    way.iter()
        .enumerate()
        .map(|(k, step)| {
            let p = 1.0 / (1.0 + (-head.logit(&music_row(step))).exp());
            (k, smooth.push(p))
        })
        .filter(|(k, _)| *k >= 1)
        .map(|(_, p)| p)
        .collect()
}

/// What came of asking the model of `fold` about what it has not heard.
fn held_out(
    model: &Model,
    looks: &[Vec<Looks<'_>>; 2],
    heads: &Heads,
    fold: usize,
    seed: u64,
) -> HeldOut {
    let hop_s = model.step_columns() as f32 * model.front_end().hop_length as f32
        / model.front_end().sample_rate as f32;
    let held: [Vec<&Looks<'_>>; 2] =
        [0, 1].map(|side| looks[side].iter().filter(|l| l.clip.fold == fold).collect());
    let answers = STEPS
        .iter()
        .map(|&step| {
            let asked = held[0]
                .iter()
                .filter_map(|l| Some((l.ways[0].get(step - 1)?.logits.clone(), l.clip.label?)));
            (step as f32 * hop_s, asked.collect())
        })
        .collect();
    // As they are and with talk over them: damage of every sort would drag the threshold to where
    // all passes for music.
    let look = |side: usize, ways: &[usize]| -> Vec<f32> {
        let of = |l: &&Looks<'_>| -> Vec<f32> {
            let ways = ways.iter().filter_map(|&way| l.ways.get(way));
            ways.flat_map(|way| smoothed(&heads.music, way)).collect()
        };
        held[side].iter().flat_map(of).collect()
    };
    let [same, changed] = change_rows(&held[0], seed + 1);
    let logits = |rows: &[Vec<f32>]| rows.iter().map(|row| heads.change.logit(row)).collect();
    HeldOut {
        answers,
        music: look(0, &[0, 2]),
        other: look(1, &[0]),
        same: logits(&same),
        changed: logits(&changed),
    }
}

/// The bundle with heads and decisions.
fn with(bundle: &Bundle, heads: &Heads, decisions: &Decisions) -> Result<Bundle> {
    let mut bundle = bundle.clone();
    let len = heads.music.weight.len();
    for (name, shape, values) in [
        ("trust.music.weight", len, heads.music.weight.clone()),
        ("trust.music.bias", 1, vec![heads.music.bias]),
        (
            "trust.change.weight",
            heads.change.weight.len(),
            heads.change.weight.clone(),
        ),
        (
            "trust.change.bias",
            1,
            vec![heads.change.bias + decisions.change_bias],
        ),
    ] {
        bundle
            .tensors
            .insert(name.into(), Weights::new(&[shape], values)?);
    }
    bundle.card.decision = decisions.defaults.clone();
    Ok(bundle)
}

/// `bundle` in integers, weights and activations, as the model that ships is; ranges come from what
/// `fold` learnt from.
fn integers(bundle: &Bundle, material: &Material, fold: usize) -> Result<Bundle> {
    if bundle.tensors.contains_key("block1.range") {
        return Ok(bundle.clone());
    }
    let model = Model::from_bundle(bundle)?;
    let mut ranges = Calibration8::new(bundle)?;
    let learnt = material.music.iter().filter(|clip| clip.fold != fold);
    for clip in learnt.step_by(4) {
        let mut columns = columns(&model, &clip.samples)?;
        columns.truncate(model.n_frames() * model.front_end().n_mels);
        ranges.observe(&columns);
    }
    Ok(ranges.quantised())
}

/// Calibrates the models of all folds; gives them back with their trust, and what they have in
/// common.
///
/// # Errors
/// When a model cannot be built, or the folds are not as many as the models.
pub fn folds(
    bundles: &[Bundle],
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<(Vec<Bundle>, Calibration)> {
    ensure!(
        bundles.len() == material.folds,
        "{} models for {} folds: one for each is needed",
        bundles.len(),
        material.folds
    );
    let bundles = parallel::map(bundles.len(), threads, |fold| {
        integers(&bundles[fold], material, fold)
    });
    let bundles = bundles.into_iter().collect::<Result<Vec<_>>>()?;
    let activation = bundles
        .first()
        .map(|bundle| bundle.card.architecture.head.activation);
    let mut calibration = Calibration {
        activation: activation.unwrap_or_default(),
        ..Calibration::default()
    };
    let mut all = Vec::new();
    let models = bundles
        .iter()
        .enumerate()
        .map(|(fold, bundle)| Model::from_bundle(bundle).with_context(|| format!("fold {fold}")))
        .collect::<Result<Vec<_>>>()?;
    // Folds that differ in their heads alone see the same.
    let mut shared: Option<(usize, [Vec<Looks<'_>>; 2])> = None;
    for (fold, bundle) in bundles.iter().enumerate() {
        let model = &models[fold];
        let mut looks = match shared.take() {
            Some((of, seen)) if same_trunks(&bundles[of], bundle) => seen,
            _ => looks(model, material, seed, threads)?,
        };
        ask_again(bundle, &mut looks)?;
        let heads = heads(&looks, Some(fold), seed);
        calibration
            .folds
            .push(held_out(model, &looks, &heads, fold, seed));
        all.push(heads);
        shared = Some((fold, looks));
        say(&format!("calibrated fold {fold} of {}\n", bundles.len()));
    }
    let calibrated = bundles
        .iter()
        .zip(&all)
        .enumerate()
        .map(|(fold, (bundle, heads))| {
            with(
                bundle,
                heads,
                &calibration.decisions(Some(fold), &bundle.card.decision),
            )
        })
        .collect::<Result<Vec<_>>>()?;
    Ok((calibrated, calibration))
}

/// Whether two models see the same: all but their heads is equal.
fn same_trunks(a: &Bundle, b: &Bundle) -> bool {
    let trunk = |bundle: &Bundle| -> Vec<(String, Weights)> {
        let seen = bundle
            .tensors
            .iter()
            .filter(|(name, _)| !name.starts_with("output.") && !name.starts_with("trust."));
        seen.map(|(name, weights)| (name.clone(), weights.clone()))
            .collect()
    };
    a.card.architecture == b.card.architecture
        && a.card.front_end == b.card.front_end
        && trunk(a) == trunk(b)
}

/// The logits of looks by the last layer of `bundle`.
fn ask_again(bundle: &Bundle, looks: &mut [Vec<Looks<'_>>; 2]) -> Result<()> {
    let tensor = |name: &str| {
        let weights = bundle.tensors.get(name).map(Weights::to_f32);
        weights.with_context(|| format!("{name} is missing"))
    };
    let head = genrescope::teach::Head {
        weight: tensor("output.weight")?,
        bias: tensor("output.bias")?,
    };
    for step in looks
        .iter_mut()
        .flatten()
        .flat_map(|l| l.ways.iter_mut().flatten())
    {
        step.logits = head.logits(&step.embedding);
    }
    Ok(())
}

/// The model that is shipped, with heads fitted on everything and decisions from the held-out parts
/// of all folds.
///
/// # Errors
/// When the model cannot be built.
pub fn last(
    bundle: &Bundle,
    calibration: &Calibration,
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<Bundle> {
    let model = Model::from_bundle(bundle)?;
    let looks = looks(&model, material, seed, threads)?;
    let heads = heads(&looks, None, seed);
    with(
        bundle,
        &heads,
        &calibration.decisions(None, &bundle.card.decision),
    )
}

/// What tells music of the labels from everything else, compared: AUROC of three scores of the
/// whole window.
///
/// # Errors
/// When a model cannot be built, or a clip cannot be turned into columns.
pub fn compare_scores(
    bundles: &[Bundle],
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<Vec<OodRow>> {
    let sets = [
        "music outside the labels (songs)",
        "two genres at once",
        "talk and noise",
        "wrong answers",
    ];
    let names = [
        "best score (softmax)",
        "energy (log-sum-exp of logits)",
        "distance to the nearest class mean",
    ];
    let mut scores: Vec<[Vec<f32>; 5]> = vec![Default::default(); names.len()];
    for (fold, bundle) in bundles.iter().enumerate() {
        let model = Model::from_bundle(bundle)?;
        let whole = |samples: &[f32]| -> Result<Vec<Step>> {
            let all = columns(&model, samples)?;
            let frame = model.n_frames() * model.front_end().n_mels;
            Ok(all
                .chunks(frame)
                .filter_map(|part| steps(&model, part).pop())
                .collect())
        };
        let first = |samples: &[f32]| {
            whole(samples).map(|mut s| {
                if s.is_empty() {
                    None
                } else {
                    Some(s.swap_remove(0))
                }
            })
        };
        let steps_of = |clips: &[&Clip]| -> Result<Vec<Option<Step>>> {
            parallel::map(clips.len(), threads, |i| first(&clips[i].samples))
                .into_iter()
                .collect()
        };
        let learnt: Vec<&Clip> = material
            .music
            .iter()
            .filter(|c| c.fold != fold && c.whole)
            .collect();
        let learnt_steps = steps_of(&learnt)?;
        // Class means in standardised embeddings.
        let len = model.embedding_len();
        let rows: Vec<f32> = learnt_steps
            .iter()
            .flatten()
            .flat_map(|s| s.embedding.iter().copied())
            .collect();
        let (mean, std) = crate::heads::Rows { values: &rows, len }.moments();
        let normal = |e: &[f32]| -> Vec<f32> {
            e.iter()
                .zip(mean.iter().zip(&std))
                .map(|(v, (m, s))| (v - m) / s)
                .collect()
        };
        let mut means = vec![(vec![0.0f32; len], 0.0f32); material.labels.len()];
        for (clip, step) in learnt.iter().zip(&learnt_steps) {
            if let (Some(label), Some(step)) = (clip.label, step) {
                let (sum, n) = &mut means[label];
                *n += 1.0;
                sum.iter_mut()
                    .zip(normal(&step.embedding))
                    .for_each(|(a, b)| *a += b);
            }
        }
        let score = |step: &Step| -> [f32; 3] {
            let e = normal(&step.embedding);
            let nearest = means
                .iter()
                .filter(|m| m.1 > 0.0)
                .map(|(sum, n)| {
                    sum.iter()
                        .zip(&e)
                        .map(|(s, v)| (s / n - v).powi(2))
                        .sum::<f32>()
                })
                .fold(f32::INFINITY, f32::min);
            let top = softmax(&step.logits, 1.0).into_iter().fold(0.0, f32::max);
            let largest = step
                .logits
                .iter()
                .copied()
                .fold(f32::NEG_INFINITY, f32::max);
            let energy = largest
                + step
                    .logits
                    .iter()
                    .map(|l| (l - largest).exp())
                    .sum::<f32>()
                    .ln();
            [top, energy, -nearest]
        };
        let mut add = |set: usize, step: &Step| {
            for (kind, value) in score(step).into_iter().enumerate() {
                scores[kind][set].push(value);
            }
        };
        let own: Vec<&Clip> = material
            .music
            .iter()
            .filter(|c| c.fold == fold && c.whole)
            .collect();
        for (clip, step) in own.iter().zip(steps_of(&own)?) {
            let Some(step) = step else { continue };
            add(4, &step);
            if Some(argmax(&step.logits)) != clip.label {
                add(3, &step);
            }
        }
        let mut rng = Rng::at(seed, &[0x23, fold as u64]);
        let pairs: Vec<(usize, usize)> = (0..own.len() / 2)
            .map(|_| (rng.below(own.len()), rng.below(own.len())))
            .filter(|&(a, b)| own[a].label != own[b].label)
            .collect();
        for step in parallel::map(pairs.len(), threads, |i| {
            let (a, b) = (own[pairs[i].0], own[pairs[i].1]);
            let both: Vec<f32> = a
                .samples
                .iter()
                .zip(&b.samples)
                .map(|(a, b)| 0.7 * (a + b))
                .collect();
            first(&both)
        }) {
            if let Some(step) = step? {
                add(1, &step);
            }
        }
        let other: Vec<&Clip> = material.other.iter().filter(|c| c.fold == fold).collect();
        for step in steps_of(&other)?.into_iter().flatten() {
            add(2, &step);
        }
        let foreign: Vec<&Clip> = material
            .songs
            .iter()
            .filter(|c| !material.labels.contains(&c.kind))
            .collect();
        for steps in parallel::map(foreign.len(), threads, |i| whole(&foreign[i].samples)) {
            for step in steps? {
                add(0, &step);
            }
        }
    }
    Ok(names
        .iter()
        .zip(&scores)
        .map(|(name, of)| OodRow {
            score: (*name).into(),
            areas: sets
                .iter()
                .enumerate()
                .map(|(i, set)| ((*set).into(), auroc(&of[4], &of[i]), of[i].len()))
                .collect(),
        })
        .collect())
}

/// One score of [`compare_scores`]: against what, AUROC, number of looks.
#[derive(Clone, Debug)]
pub struct OodRow {
    /// Which score.
    pub score: String,
    /// Against what, AUROC, how many of it.
    pub areas: Vec<(String, f64, usize)>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_mixture_holds_both() {
        let power = |of: &[f32]| of.iter().map(|v| v * v).sum::<f32>() / of.len() as f32;
        let samples: Vec<f32> = (0..800).map(|i| 0.2 * (i as f32 * 0.7).sin()).collect();
        for db in [-8.0, 0.0, 7.0] {
            let mut both = samples.clone();
            // Shorter, and so heard again and again.
            mix(&mut both, &[0.5, -0.5, 0.5, 0.5], db);
            let added: Vec<f32> = both.iter().zip(&samples).map(|(b, s)| b - s).collect();
            let measured = 10.0 * (power(&added) / power(&samples)).log10();
            assert!((measured - db).abs() < 0.01, "{measured} dB, not {db}");
        }
    }

    #[test]
    fn decisions_of_a_fold_do_not_rest_on_it() {
        let answers = |right: bool| {
            let row = (vec![3.0, 0.0], usize::from(!right));
            vec![(3.0, vec![row; 20])]
        };
        let fold = |right| HeldOut {
            answers: answers(right),
            same: vec![-1.0; 100],
            ..HeldOut::default()
        };
        let calibration = Calibration {
            folds: vec![fold(true), fold(false)],
            ..Calibration::default()
        };
        let sure = calibration.decisions(Some(1), &DecisionDefaults::default());
        let not = calibration.decisions(Some(0), &DecisionDefaults::default());
        assert!(sure.defaults.temperature < 0.3 && not.defaults.temperature > 4.0);
        assert!((sure.change_bias - 1.0).abs() < 1e-6);
    }
}
