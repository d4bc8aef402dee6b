//! How a listener fares: spliced and damaged streams, made by seed from what is there, heard
//! through the product's own [`Pipeline`] with the model that knows none of it, and one table of
//! what came of them.

pub mod modern;

use std::{fmt::Write as _, sync::Arc};

use anyhow::{Context, Result, ensure};
use genrescope::{
    decision::{Readout, State},
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    units::SampleRate,
};

use crate::{
    degrade::Damage,
    material::{Clip, Material, steps_of},
    metrics::{Share, auroc, calibration},
    parallel,
    rng::Rng,
    sounds::{self, RATE},
    svg,
};

/// Seconds after which answers are asked for.
pub const SECONDS: [f64; 4] = [3.0, 5.0, 10.0, 29.0];

/// Seconds of something else that a listener may need to notice it: counted apart.
const GRACE: f64 = 6.0;

/// How one song follows another.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Join {
    Cut,
    /// Silence between them, in seconds.
    Gap(f64),
    /// Both at once, with equal power, in seconds.
    Crossfade(f64),
}

/// One stream, before it is made.
#[derive(Clone, Copy, Debug)]
enum Plan {
    /// A clip by itself.
    Single { clip: usize, damage: Damage },
    /// Two clips of different genres.
    Follow {
        first: usize,
        second: usize,
        join: Join,
    },
    /// Music, then what is not music (none: silence), then other music.
    Break {
        first: usize,
        kind: Option<usize>,
        second: usize,
    },
    /// Nothing but one kind of what is not music.
    Other { kind: usize },
    /// A clip over and over: one song of two minutes.
    Repeat { clip: usize },
    /// Talk over music, so many dB louder than it.
    Over { clip: usize, db: f32 },
    /// Two genres at once, equally loud.
    Mixture { first: usize, second: usize },
    /// A song of which no fold has heard.
    Song { song: usize },
}

/// What is to be heard in a stretch of a stream.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Truth {
    /// Music of this label.
    Music(usize),
    /// Music of no label, or of two.
    Foreign,
    /// No music.
    Other,
}

/// A stream and what is in it: each stretch begins at its second.
#[derive(Clone, Debug)]
pub struct Stream {
    /// Which model to ask.
    pub model: usize,
    /// Samples at [`RATE`].
    pub samples: Vec<f32>,
    /// Begin of each stretch, in seconds, and what it is.
    pub truth: Vec<(f64, Truth)>,
}

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

fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)) as usize
}

fn duration(samples: usize) -> f64 {
    samples as f64 / f64::from(RATE)
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32
}

/// `seconds` of one kind of what is not music, recording after recording, in an order drawn by
/// `rng`, with joins of 0.3 s.
fn kind_for(material: &Material, kind: &str, seconds: f64, rng: &mut Rng) -> Vec<f32> {
    let of_kind: Vec<&Clip> = material.other.iter().filter(|c| c.kind == kind).collect();
    let mut out: Vec<f32> = Vec::new();
    while out.len() < samples(seconds) {
        let mut next = of_kind[rng.below(of_kind.len())].samples.clone();
        let fade = samples(0.3).min(next.len() / 2).max(1);
        let n = next.len();
        for i in 0..fade {
            let gain = (i as f32 + 0.5) / fade as f32;
            next[i] *= gain;
            next[n - 1 - i] *= gain;
        }
        let at = out.len().saturating_sub(fade);
        out.resize(at + n, 0.0);
        for (to, from) in out[at..].iter_mut().zip(&next) {
            *to += from;
        }
    }
    out.truncate(samples(seconds));
    out
}

impl Plan {
    fn make(self, material: &Material, seed: u64) -> Result<Stream> {
        let music = |i: usize| &material.music[i];
        let label = |i: usize| music(i).label.unwrap_or(0);
        let mut rng = Rng::at(seed, &[0x11]);
        Ok(match self {
            Plan::Single { clip, damage } => Stream {
                model: music(clip).fold,
                samples: damage.apply(&music(clip).samples, RATE, seed)?,
                truth: vec![(0.0, Truth::Music(label(clip)))],
            },
            Plan::Follow {
                first,
                second,
                join,
            } => {
                let mut out = music(first).samples.clone();
                let end = duration(out.len());
                let truth = match join {
                    Join::Cut => end,
                    Join::Gap(seconds) => {
                        out.resize(out.len() + samples(seconds), 0.0);
                        end + seconds
                    }
                    // The new song is the louder one from the middle on.
                    Join::Crossfade(seconds) => end - seconds / 2.0,
                };
                let mut next = music(second).samples.clone();
                if let Join::Crossfade(seconds) = join {
                    let n = samples(seconds).min(out.len()).min(next.len());
                    let at = out.len() - n;
                    for i in 0..n {
                        let angle = std::f32::consts::FRAC_PI_2 * i as f32 / n as f32;
                        out[at + i] = out[at + i] * angle.cos() + next[i] * angle.sin();
                    }
                    next.drain(..n);
                }
                out.extend(next);
                Stream {
                    model: music(first).fold,
                    samples: out,
                    truth: vec![
                        (0.0, Truth::Music(label(first))),
                        (truth, Truth::Music(label(second))),
                    ],
                }
            }
            Plan::Break {
                first,
                kind,
                second,
            } => {
                let mut out = music(first).samples.clone();
                let from = duration(out.len());
                let seconds = f64::from(rng.between(20.0, 45.0));
                let between = if let Some(kind) = kind {
                    let mut other = kind_for(material, material.kinds()[kind], seconds, &mut rng);
                    let below = rng.between(0.0, 12.0);
                    let gain =
                        (power(&out) / power(&other).max(1e-12)).sqrt() * 10f32.powf(-below / 20.0);
                    for sample in &mut other {
                        *sample *= gain;
                    }
                    other
                } else {
                    // The noise of a line input, or nothing at all.
                    let mut noise: Vec<f32> = (0..samples(seconds)).map(|_| rng.normal()).collect();
                    let dbfs = if rng.chance(0.5) {
                        rng.between(-90.0, -66.0)
                    } else {
                        -140.0
                    };
                    sounds::level(&mut noise, dbfs);
                    noise
                };
                out.extend(between);
                let to = duration(out.len());
                out.extend(&music(second).samples);
                Stream {
                    model: music(first).fold,
                    samples: out,
                    truth: vec![
                        (0.0, Truth::Music(label(first))),
                        (from, Truth::Other),
                        (to, Truth::Music(label(second))),
                    ],
                }
            }
            Plan::Other { kind } => Stream {
                model: kind % material.folds,
                samples: kind_for(material, material.kinds()[kind], 60.0, &mut rng),
                truth: vec![(0.0, Truth::Other)],
            },
            Plan::Repeat { clip } => Stream {
                model: music(clip).fold,
                samples: music(clip).samples.repeat(4),
                truth: vec![(0.0, Truth::Music(label(clip)))],
            },
            Plan::Over { clip, db } => {
                let mut out = music(clip).samples.clone();
                let kinds: Vec<&str> = material
                    .kinds()
                    .into_iter()
                    .filter(|kind| kind.starts_with("speech"))
                    .collect();
                ensure!(
                    !kinds.is_empty(),
                    "there is no speech among what is not music"
                );
                let talk = kind_for(
                    material,
                    kinds[rng.below(kinds.len())],
                    duration(out.len()),
                    &mut rng,
                );
                let gain = (power(&out) / power(&talk).max(1e-12)).sqrt() * 10f32.powf(db / 20.0);
                out.iter_mut().zip(talk).for_each(|(s, t)| *s += gain * t);
                Stream {
                    model: music(clip).fold,
                    samples: out,
                    truth: vec![(0.0, Truth::Music(label(clip)))],
                }
            }
            Plan::Mixture { first, second } => {
                let gain = (power(&music(first).samples)
                    / power(&music(second).samples).max(1e-12))
                .sqrt();
                let both = music(first).samples.iter().zip(&music(second).samples);
                Stream {
                    model: music(first).fold,
                    samples: both.map(|(a, b)| 0.7 * (a + gain * b)).collect(),
                    truth: vec![(0.0, Truth::Foreign)],
                }
            }
            Plan::Song { song } => {
                let all = &material.songs[song].samples;
                let label = material
                    .labels
                    .iter()
                    .position(|l| *l == material.songs[song].kind);
                Stream {
                    model: song % material.folds,
                    samples: all[..all.len().min(samples(120.0))].to_vec(),
                    truth: vec![(0.0, label.map_or(Truth::Foreign, Truth::Music))],
                }
            }
        })
    }
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

    /// Times that another genre was shown than the one shown last.
    fn flips(&self) -> usize {
        let shown: Vec<usize> = self.seen.iter().filter_map(|seen| seen.genre).collect();
        shown.windows(2).filter(|w| w[0] != w[1]).count()
    }

    /// Seconds from `from` to the first readout that shows `genre`; infinite when none does.
    fn until(&self, from: f64, genre: usize) -> f64 {
        self.seen
            .iter()
            .find(|seen| seen.at >= from && seen.genre == Some(genre))
            .map_or(f64::INFINITY, |seen| seen.at - from)
    }
}

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What came of it, with its interval where it is a share.
    pub value: String,
    /// Of how many, and what.
    pub of: String,
    /// What was aimed at; empty where nothing was.
    pub target: String,
    /// Was it met?
    pub met: Option<bool>,
}

fn row(what: &str, value: String, of: String, target: &str, met: Option<bool>) -> Row {
    Row {
        what: what.into(),
        value,
        of,
        target: target.into(),
        met,
    }
}

fn percent(share: Share) -> String {
    format!(
        "{:.1} % ({:.1} to {:.1})",
        100.0 * share.value,
        100.0 * share.low,
        100.0 * share.high
    )
}

/// The table as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | measured (95 % interval) | of | target | met |\n|---|---|---|---|---|\n",
    );
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {met} |",
            row.what, row.value, row.of, row.target
        );
    }
    text
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

fn plans(material: &Material, amount: Amount, seed: u64) -> Vec<Plan> {
    let mut rng = Rng::at(seed, &[0x12]);
    let whole: Vec<usize> = (0..material.music.len())
        .filter(|&i| material.music[i].whole && material.music[i].samples.len() >= samples(29.2))
        .collect();
    if whole.is_empty() {
        return Vec::new();
    }
    let mut plans: Vec<Plan> = whole
        .iter()
        .step_by(amount.every.max(1))
        .map(|&clip| Plan::Single {
            clip,
            damage: Damage::Clean,
        })
        .collect();
    // Labels evenly, so that the many do not speak for the few.
    let labels = material.labels.len();
    let draw = |rng: &mut Rng, not: Option<usize>, fold: Option<usize>| -> usize {
        loop {
            let label = rng.below(labels);
            let fits: Vec<usize> = whole
                .iter()
                .copied()
                .filter(|&i| {
                    let clip = &material.music[i];
                    clip.label == Some(label) && fold.is_none_or(|fold| clip.fold == fold)
                })
                .collect();
            if Some(label) != not && !fits.is_empty() {
                return fits[rng.below(fits.len())];
            }
        }
    };
    let pair = |rng: &mut Rng, fold: Option<usize>| {
        let first = draw(rng, None, fold);
        let clip = &material.music[first];
        (first, draw(rng, clip.label, Some(clip.fold)))
    };
    for i in 0..amount.spliced {
        for join in [
            Join::Cut,
            Join::Crossfade(f64::from(rng.between(2.0, 16.0))),
            Join::Gap(f64::from(rng.between(0.5, 4.0))),
        ] {
            if matches!(join, Join::Gap(_)) && i % 2 == 1 {
                continue;
            }
            let (first, second) = pair(&mut rng, None);
            plans.push(Plan::Follow {
                first,
                second,
                join,
            });
        }
        if i % 2 == 0 {
            let (first, second) = pair(&mut rng, None);
            plans.push(Plan::Mixture { first, second });
            plans.push(Plan::Repeat {
                clip: draw(&mut rng, None, None),
            });
            plans.push(Plan::Over {
                clip: draw(&mut rng, None, None),
                db: rng.between(-6.0, 6.0),
            });
        }
    }
    let damages = [
        Damage::Gain(-30.0),
        Damage::Noise(10.0),
        Damage::Phone,
        Damage::Room,
        Damage::Speed(1.06),
    ];
    for i in 0..amount.spliced / 2 {
        let damage = damages[i % damages.len()];
        plans.push(Plan::Single {
            clip: draw(&mut rng, None, None),
            damage,
        });
    }
    let kinds = material.kinds().len();
    for round in 0..(amount.spliced / 40).max(1) {
        for kind in 0..kinds {
            plans.push(Plan::Other { kind });
            if round % 2 == 0 {
                let (first, second) = pair(&mut rng, Some(kind % material.folds));
                plans.push(Plan::Break {
                    first,
                    kind: Some(kind),
                    second,
                });
            }
        }
    }
    for _ in 0..amount.spliced / 4 {
        let (first, second) = pair(&mut rng, None);
        plans.push(Plan::Break {
            first,
            kind: None,
            second,
        });
    }
    plans.extend((0..material.songs.len()).map(|song| Plan::Song { song }));
    plans
}

/// How well the music head tells: by recording and by single look.
fn music_rows(
    models: &[Arc<Model>],
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<Vec<Row>> {
    let music: Vec<usize> = (0..material.music.len())
        .filter(|&i| material.music[i].whole)
        .collect();
    let over: Vec<Plan> = music
        .iter()
        .step_by(4)
        .enumerate()
        .map(|(i, &clip)| Plan::Over {
            clip,
            db: (i % 13) as f32 - 6.0,
        })
        .collect();
    let n = music.len() + over.len() + material.other.len();
    let asked = parallel::map(n, threads, |i| -> Result<Vec<f32>> {
        let (model, samples);
        if i < music.len() {
            let clip = &material.music[music[i]];
            (model, samples) = (clip.fold, clip.samples.clone());
        } else if i < music.len() + over.len() {
            let stream = over[i - music.len()].make(material, seed.wrapping_add(i as u64))?;
            (model, samples) = (stream.model, stream.samples);
        } else {
            let clip = &material.other[i - music.len() - over.len()];
            (model, samples) = (clip.fold, clip.samples.clone());
        }
        let model = &models[model % models.len()];
        let mut logits = Vec::new();
        // The first two looks see less than their three steps.
        for step in steps_of(model, &samples)?.iter().skip(2) {
            if let Some(p) = step.music {
                logits.push((p / (1.0 - p).max(1e-7)).max(1e-7).ln());
            }
        }
        Ok(logits)
    });
    let asked = asked.into_iter().collect::<Result<Vec<_>>>()?;
    if asked.iter().all(Vec::is_empty) {
        let none = "the models have no music head: run `genrescope-train calibrate`".to_owned();
        return Ok(vec![row(
            "music against the rest, AUROC",
            "-".into(),
            none,
            ">= 0.98",
            Some(false),
        )]);
    }
    let split = music.len() + over.len();
    let mean = |logits: &Vec<f32>| logits.iter().sum::<f32>() / logits.len().max(1) as f32;
    let kept = |part: &[Vec<f32>]| {
        part.iter()
            .filter(|l| !l.is_empty())
            .map(mean)
            .collect::<Vec<f32>>()
    };
    let (yes, no) = (kept(&asked[..split]), kept(&asked[split..]));
    let area = auroc(&yes, &no);
    let (yes_each, no_each) = (asked[..split].concat(), asked[split..].concat());
    Ok(vec![
        row(
            "music against the rest, AUROC, a recording",
            format!("{area:.4}"),
            format!(
                "{} of music, {} of them with talk over it; {} of {} kinds of sound",
                yes.len(),
                over.len(),
                no.len(),
                material.kinds().len()
            ),
            ">= 0.98",
            Some(area >= 0.98),
        ),
        row(
            "the same, a single look of 4 s",
            format!("{:.4}", auroc(&yes_each, &no_each)),
            format!("{} and {} looks", yes_each.len(), no_each.len()),
            "",
            None,
        ),
    ])
}

/// Share of time, as a share of whole seconds so that it has an interval.
fn time_share(part: f64, whole: f64) -> Share {
    Share::new(part.round() as usize, whole.round().max(1.0) as usize)
}

fn trust_rows(heard: &[Heard], kinds: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    let time = |pick: &dyn Fn(&Heard) -> Option<(f64, f64)>, is: &dyn Fn(&Seen) -> bool| {
        let (mut part, mut whole, mut n) = (0.0, 0.0, 0);
        for heard in heard {
            let Some((from, to)) = pick(heard) else {
                continue;
            };
            n += 1;
            whole += to - from;
            part += heard
                .standing(from, to)
                .filter(|(seen, _)| is(seen))
                .map(|(_, s)| s)
                .sum::<f64>();
        }
        (time_share(part, whole), n)
    };
    let not_music = |seen: &Seen| seen.state == State::NotMusic;
    for (what, target, is_it) in [
        (
            "music called not music, share of time",
            Some(0.01),
            (|plan| {
                matches!(
                    plan,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            }) as fn(&Plan) -> bool,
        ),
        ("the same, with talk over it (-6 to +6 dB)", None, |plan| {
            matches!(plan, Plan::Over { .. })
        }),
        (
            "the same, damaged (soft, noisy, telephone, room, fast)",
            None,
            |plan| matches!(plan, Plan::Single { damage, .. } if *damage != Damage::Clean),
        ),
    ] {
        let (share, n) = time(&|h| is_it(&h.plan).then_some((0.0, h.length)), &not_music);
        rows.push(row(
            what,
            percent(share),
            format!("{n} clips, {:.1} min", share.n as f64 / 60.0),
            if target.is_some() { "<= 1 %" } else { "" },
            target.map(|target| share.value <= target),
        ));
    }
    let named = |seen: &Seen| seen.genre.is_some();
    let (share, n) = time(
        &|h| matches!(h.plan, Plan::Other { .. }).then_some((0.0, h.length)),
        &named,
    );
    rows.push(row(
        "a genre shown in streams of talk or noise alone, share of time",
        percent(share),
        format!("{n} streams of a minute{}", worst(heard, kinds)),
        "<= 2 %",
        Some(share.value <= 0.02),
    ));
    let breaks = |h: &Heard, grace: f64, kinds: &dyn Fn(&Option<usize>) -> bool| match h.plan {
        Plan::Break { kind, .. } if kinds(&kind) => Some((h.truth[1].0 + grace, h.truth[2].0)),
        _ => None,
    };
    let any = |_: &Option<usize>| true;
    let (share, n) = time(&|h| breaks(h, GRACE, &any), &named);
    rows.push(row(
        &format!("in breaks between songs, from {GRACE} s on (talk, noise, silence)"),
        percent(share),
        format!("{n} breaks of 20 to 45 s"),
        "<= 2 %",
        Some(share.value <= 0.02),
    ));
    let (share, _) = time(&|h| breaks(h, 0.0, &any), &named);
    rows.push(row(
        "in the same breaks, from their first moment on",
        percent(share),
        format!("{n} breaks"),
        "",
        None,
    ));
    for (what, kinds) in [
        (
            "seconds until the genre goes: talk and noise, median",
            (|k| k.is_some()) as fn(&Option<usize>) -> bool,
        ),
        ("the same: silence", |k| k.is_none()),
    ] {
        let mut seconds: Vec<f64> = heard
            .iter()
            .filter_map(|h| {
                let (from, _) = breaks(h, 0.0, &kinds)?;
                Some(
                    h.seen
                        .iter()
                        .find(|s| s.at >= from && s.genre.is_none())
                        .map_or(f64::INFINITY, |s| s.at - from),
                )
            })
            .collect();
        let n = seconds.len();
        rows.push(row(
            what,
            format!("{:.1} s", median(&mut seconds)),
            format!("{n} breaks"),
            "",
            None,
        ));
    }
    rows
}

fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn label_at(heard: &Heard, stretch: usize) -> Option<usize> {
    match heard.truth.get(stretch)?.1 {
        Truth::Music(label) => Some(label),
        Truth::Foreign | Truth::Other => None,
    }
}

/// Which kinds of what is not music were given a genre for longest, with the share of their time.
fn worst(heard: &[Heard], kinds: &[&str]) -> String {
    let mut shares: Vec<(f64, &str)> = heard
        .iter()
        .filter_map(|h| {
            let Plan::Other { kind } = h.plan else {
                return None;
            };
            let named = h.standing(0.0, h.length);
            let seconds: f64 = named
                .filter(|(seen, _)| seen.genre.is_some())
                .map(|(_, s)| s)
                .sum();
            Some((seconds / h.length, *kinds.get(kind)?))
        })
        .filter(|(share, _)| *share > 0.02)
        .collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let list: Vec<String> = shares
        .iter()
        .take(4)
        .map(|(share, kind)| format!("{kind} {:.0} %", 100.0 * share))
        .collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(": {}", list.join(", "))
    }
}

fn answer_rows(heard: &[Heard]) -> Vec<Row> {
    let mut rows = Vec::new();
    let single = |h: &&Heard| {
        matches!(
            h.plan,
            Plan::Single {
                damage: Damage::Clean,
                ..
            }
        )
    };
    let answers = |t: f64, pick: &dyn Fn(&&Heard) -> bool| -> Vec<(f32, bool, bool)> {
        heard
            .iter()
            .filter(|h| pick(h))
            .filter_map(|h| {
                let seen = h.at(t)?;
                Some((
                    seen.score,
                    Some(seen.best) == label_at(h, 0),
                    seen.genre.is_some(),
                ))
            })
            .collect()
    };
    for t in SECONDS {
        let answers = answers(t, &single);
        let right = answers.iter().filter(|a| a.1).count();
        let calls: Vec<(f32, bool)> = answers.iter().map(|a| (a.0, a.1)).collect();
        let error = calibration(&calls).0;
        rows.push(row(
            &format!("best candidate right after {t} s"),
            percent(Share::new(right, answers.len())),
            format!("{} clips", answers.len()),
            "",
            None,
        ));
        rows.push(row(
            &format!("calibration error (ECE) after {t} s"),
            format!("{:.1} %", 100.0 * error),
            format!("{} clips", answers.len()),
            "<= 8 %",
            Some(error <= 0.08),
        ));
        let shown: Vec<_> = answers.iter().filter(|a| a.2).collect();
        rows.push(row(
            &format!("a genre is shown after {t} s, and is right"),
            percent(Share::new(
                shown.iter().filter(|a| a.1).count(),
                shown.len(),
            )),
            format!("{} of {} clips shown", shown.len(), answers.len()),
            "",
            None,
        ));
    }
    let mut last = answers(f64::INFINITY, &single);
    let full = Share::new(last.iter().filter(|a| a.1).count(), last.len());
    last.sort_by(|a, b| b.0.total_cmp(&a.0));
    last.truncate((last.len() as f64 * 0.9).round() as usize);
    let kept = Share::new(last.iter().filter(|a| a.1).count(), last.len());
    let gain = 100.0 * (kept.value - full.value);
    rows.push(row(
        "right among the surest 90 %, after 29 s",
        format!("{}, {gain:+.1} points", percent(kept)),
        format!("{} of {} clips", kept.n, full.n),
        ">= +3 points",
        Some(gain >= 3.0),
    ));
    let damaged = answers(
        29.0,
        &|h| matches!(h.plan, Plan::Single { damage, .. } if damage != Damage::Clean),
    );
    let right = damaged.iter().filter(|a| a.1).count();
    rows.push(row(
        "best candidate right after 29 s, damaged",
        percent(Share::new(right, damaged.len())),
        format!("{} clips", damaged.len()),
        "",
        None,
    ));
    for (what, pick) in [
        (
            "nothing named at the end: clean clips",
            (|p| {
                matches!(
                    p,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            }) as fn(&Plan) -> bool,
        ),
        ("the same: two genres at once", |p| {
            matches!(p, Plan::Mixture { .. })
        }),
        ("the same: songs of no genre among the labels", |p| {
            matches!(p, Plan::Song { .. })
        }),
    ] {
        let asked: Vec<&Heard> = heard
            .iter()
            .filter(|h| {
                pick(&h.plan) && (!matches!(h.plan, Plan::Song { .. }) || label_at(h, 0).is_none())
            })
            .collect();
        let none = asked
            .iter()
            .filter(|h| h.seen.last().is_some_and(|s| s.genre.is_none()))
            .count();
        rows.push(row(
            what,
            percent(Share::new(none, asked.len())),
            format!("{} streams", asked.len()),
            "",
            None,
        ));
    }
    rows
}

fn change_rows(heard: &[Heard]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, target, pick) in [
        (
            "cut",
            Some(10.0),
            (|j| matches!(j, Join::Cut)) as fn(&Join) -> bool,
        ),
        (
            "crossfade of 2 to 16 s (from its middle)",
            Some(14.0),
            |j| matches!(j, Join::Crossfade(_)),
        ),
        ("gap of 0.5 to 4 s", None, |j| matches!(j, Join::Gap(_))),
    ] {
        let of: Vec<(&Heard, Join)> = heard
            .iter()
            .filter_map(|h| match h.plan {
                Plan::Follow { join, .. } if pick(&join) => Some((h, join)),
                _ => None,
            })
            .collect();
        let mut seconds: Vec<f64> = of
            .iter()
            .map(|(h, _)| h.until(h.truth[1].0, label_at(h, 1).unwrap_or(0)))
            .collect();
        let never = seconds.iter().filter(|s| s.is_infinite()).count();
        let middle = median(&mut seconds);
        rows.push(row(
            &format!("seconds to the new genre after a {what}, median"),
            format!("{middle:.1} s"),
            format!(
                "{} streams; {never} never show it and count as infinite",
                of.len()
            ),
            &target.map_or(String::new(), |t: f64| format!("<= {t} s")),
            target.map(|t| middle <= t),
        ));
        let found = of
            .iter()
            .filter(|(h, join)| {
                let at = h.truth[1].0;
                let half = if let Join::Crossfade(seconds) = join {
                    seconds / 2.0
                } else {
                    0.0
                };
                h.begun_anew(at - half, at + half + 10.0) > 0
            })
            .count();
        rows.push(row(
            "the change was noticed within 10 s of it",
            percent(Share::new(found, of.len())),
            format!("{} streams", of.len()),
            "",
            None,
        ));
        let once = of.iter().filter(|(h, _)| h.flips() <= 1).count();
        rows.push(row(
            "the shown genre changes at most once",
            percent(Share::new(once, of.len())),
            format!("{} streams", of.len()),
            "",
            None,
        ));
    }
    type Pick = fn(&Plan) -> bool;
    let clean: Pick = |p| {
        matches!(
            p,
            Plan::Single {
                damage: Damage::Clean,
                ..
            } | Plan::Song { .. }
        )
    };
    let hours = |pick: Pick| {
        heard
            .iter()
            .filter(|h| pick(&h.plan))
            .map(|h| h.length)
            .sum::<f64>()
            / 3_600.0
    };
    let alarms: usize = heard
        .iter()
        .filter(|h| clean(&h.plan))
        .map(|h| h.begun_anew(0.0, f64::INFINITY))
        .sum();
    rows.push(row(
        "false alarms of a change an hour",
        format!("{:.1}", alarms as f64 / hours(clean).max(1e-9)),
        format!("{alarms} in {:.2} h of clips and songs", hours(clean)),
        "",
        None,
    ));
    for (what, target, pick) in [
        (
            "flips an hour within one song: clips repeated to two minutes",
            Some(2.0),
            (|p| matches!(p, Plan::Repeat { .. })) as Pick,
        ),
        ("the same: whole songs (up to two minutes)", None, |p| {
            matches!(p, Plan::Song { .. })
        }),
        (
            "the same: single clips of 30 s, first guess and all",
            None,
            |p| {
                matches!(
                    p,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            },
        ),
    ] {
        let of: Vec<&Heard> = heard.iter().filter(|h| pick(&h.plan)).collect();
        let flips: usize = of.iter().map(|h| h.flips()).sum();
        let rate = flips as f64 / hours(pick).max(1e-9);
        rows.push(row(
            what,
            format!("{rate:.1}"),
            format!("{flips} in {:.2} h, {} streams", hours(pick), of.len()),
            if target.is_some() { "<= 2" } else { "" },
            target.map(|t| rate <= t),
        ));
    }
    rows
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
