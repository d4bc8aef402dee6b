//! How a listener fares: spliced and damaged streams, made by seed from what is there, heard
//! through the product's own [`Pipeline`] with the model that knows none of it, and one table of
//! what came of them.

pub mod modern;
mod rows;
mod streams;

use std::sync::Arc;

use anyhow::{Context, Result};
use genrescope::{
    decision::{Readout, State},
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    units::SampleRate,
};

pub use self::rows::{Row, markdown};
use self::{
    rows::{answer_rows, change_rows, music_rows, trust_rows},
    streams::{Plan, Truth, duration, kind_for, plans, samples},
};
use crate::{material::Material, parallel, rng::Rng, sounds::RATE, svg};

/// What is kept of a readout.
#[derive(Clone, Copy, Debug)]
pub struct Seen {
    /// Stream position in seconds.
    pub at: f64,
    /// Its state.
    pub state: State,
    /// The shown genre.
    pub genre: Option<usize>,
    /// The best label, shown or not.
    pub best: usize,
    /// Its score.
    pub score: f32,
    /// Seconds that the answer rests on.
    pub heard: f64,
}

impl Seen {
    fn new(readout: &Readout) -> Self {
        let (best, score) = readout.scores.top();
        Self {
            at: readout.position.0,
            state: readout.state,
            genre: readout.genre,
            best,
            score,
            heard: readout.heard.0,
        }
    }
}

/// Hears a stream.
///
/// # Errors
/// When the pipeline cannot be built.
pub fn hear(model: &Arc<Model>, samples: &[f32], config: &PipelineConfig) -> Result<Vec<Seen>> {
    let rate = SampleRate::new(RATE).context("12 kHz")?;
    let mut pipeline = Pipeline::new(model, rate, config.clone())?;
    let mut seen = Vec::new();
    pipeline.push(samples, |readout| seen.push(Seen::new(readout)));
    Ok(seen)
}

/// How many streams of each sort.
#[derive(Clone, Copy, Debug)]
pub struct Amount {
    /// Every so-many-th clip is asked by itself.
    pub every: usize,
    /// Streams of each spliced sort.
    pub spliced: usize,
}

/// A stream that was heard.
#[derive(Clone, Debug)]
struct Heard {
    plan: Plan,
    truth: Vec<(f64, Truth)>,
    length: f64,
    seen: Vec<Seen>,
}

impl Heard {
    /// The newest readout at `t`.
    fn at(&self, t: f64) -> Option<&Seen> {
        self.seen.iter().rfind(|seen| seen.at <= t)
    }

    /// Each readout with the seconds for which it stood between `from` and `to`.
    fn standing(&self, from: f64, to: f64) -> impl Iterator<Item = (&Seen, f64)> {
        self.seen.iter().enumerate().filter_map(move |(i, seen)| {
            let until = self.seen.get(i + 1).map_or(self.length, |next| next.at);
            let stood = until.min(to) - seen.at.max(from);
            (stood > 0.0).then_some((seen, stood))
        })
    }

    /// Seconds at which it began anew within `from..to`.
    fn begun_anew(&self, from: f64, to: f64) -> usize {
        let within = |seen: &Seen| (from..to).contains(&seen.at);
        let pairs = self.seen.windows(2);
        pairs
            .filter(|w| within(&w[1]) && w[1].heard + 1.0 < w[0].heard)
            .count()
    }

    /// When another genre was shown than the one shown last.
    fn flips(&self) -> Vec<f64> {
        let shown: Vec<&Seen> = self.seen.iter().filter(|s| s.genre.is_some()).collect();
        let flips = shown.windows(2).filter(|w| w[0].genre != w[1].genre);
        flips.map(|w| w[1].at).collect()
    }

    /// Seconds from `from` to the first readout that shows `genre`; infinite when none does.
    fn until(&self, from: f64, genre: usize) -> f64 {
        self.seen
            .iter()
            .find(|seen| seen.at >= from && seen.genre == Some(genre))
            .map_or(f64::INFINITY, |seen| seen.at - from)
    }
}

/// Makes the streams, hears them and draws up the table. `models[fold]` has not heard the clips of
/// its fold, nor the kinds of other sound dealt to it.
///
/// # Errors
/// When the material is too little for a sort of stream, or a pipeline cannot be built.
pub fn table(
    models: &[Arc<Model>],
    material: &Material,
    config: &PipelineConfig,
    amount: Amount,
    seed: u64,
    threads: usize,
) -> Result<Vec<Row>> {
    let plans = plans(material, amount, seed);
    let heard = parallel::map(plans.len(), threads, |i| -> Result<Heard> {
        let stream = plans[i].make(material, seed.wrapping_add(i as u64))?;
        let model = &models[stream.model % models.len()];
        Ok(Heard {
            plan: plans[i],
            length: duration(stream.samples.len()),
            truth: stream.truth,
            seen: hear(model, &stream.samples, config)?,
        })
    });
    let heard = heard.into_iter().collect::<Result<Vec<_>>>()?;
    let mut rows = music_rows(models, material, seed, threads)?;
    rows.extend(trust_rows(&heard, &material.kinds()));
    rows.extend(answer_rows(&heard));
    rows.extend(change_rows(&heard));
    Ok(rows)
}

/// A real stream as a picture: music, talk, silence, music of another genre, and what the readout
/// said meanwhile.
///
/// # Errors
/// When the material lacks speech or two genres in one fold, or the pipeline cannot be built.
pub fn timeline(
    models: &[Arc<Model>],
    material: &Material,
    config: &PipelineConfig,
    seed: u64,
) -> Result<String> {
    let speech = material
        .kinds()
        .iter()
        .position(|kind| *kind == "speech")
        .context("there is no folder 'speech' among what is not music")?;
    let fold = speech % material.folds;
    let mut rng = Rng::at(seed, &[0x13]);
    let mut of_fold: Vec<usize> = (0..material.music.len())
        .filter(|&i| material.music[i].fold == fold && material.music[i].whole)
        .collect();
    rng.shuffle(&mut of_fold);
    let first = *of_fold.first().context("the fold has no clip")?;
    let second = of_fold
        .iter()
        .copied()
        .find(|&i| material.music[i].label != material.music[first].label)
        .context("the fold has clips of one genre alone")?;
    let mut stream = material.music[first].samples.clone();
    let mut parts = vec![(0.0, material.music[first].kind.clone())];
    parts.push((duration(stream.len()), "talk".into()));
    stream.extend(kind_for(material, "speech", 20.0, &mut rng));
    parts.push((duration(stream.len()), "silence".into()));
    stream.resize(stream.len() + samples(8.0), 0.0);
    parts.push((duration(stream.len()), material.music[second].kind.clone()));
    stream.extend(&material.music[second].samples);
    let end = duration(stream.len());
    let seen = hear(&models[fold % models.len()], &stream, config)?;
    let readouts: Vec<svg::Shown> = seen
        .iter()
        .map(|s| svg::Shown {
            at: s.at,
            state: s.state.as_str(),
            genre: s.genre.map(|g| material.labels[g].clone()),
            best: material.labels[s.best].clone(),
            score: f64::from(s.score),
        })
        .collect();
    Ok(svg::timeline(
        "what plays, and what the readout says",
        &parts,
        &readouts,
        end,
    ))
}
