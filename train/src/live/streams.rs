//! The streams: clips by themselves, one after the other, with talk or silence between them, damaged
//! - made by seed.

use anyhow::{Result, ensure};

use super::Amount;
use crate::{
    degrade::Damage,
    material::{Clip, Material},
    rng::Rng,
    sounds::{self, RATE},
};
/// How one song follows another.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) enum Join {
    Cut,
    /// Silence between them, in seconds.
    Gap(f64),
    /// Both at once, with equal power, in seconds.
    Crossfade(f64),
}

/// One stream, before it is made.
#[derive(Clone, Copy, Debug)]
pub(super) enum Plan {
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
pub(super) enum Truth {
    /// Music of this label.
    Music(usize),
    /// Music of no label, or of two.
    Foreign,
    /// No music.
    Other,
}

/// A stream and what is in it: each stretch begins at its second.
#[derive(Clone, Debug)]
pub(super) struct Stream {
    /// Which model to ask.
    pub model: usize,
    /// Samples at [`RATE`].
    pub samples: Vec<f32>,
    /// Begin of each stretch, in seconds, and what it is.
    pub truth: Vec<(f64, Truth)>,
}

pub(super) fn samples(seconds: f64) -> usize {
    (seconds * f64::from(RATE)) as usize
}

pub(super) fn duration(samples: usize) -> f64 {
    samples as f64 / f64::from(RATE)
}

fn power(samples: &[f32]) -> f32 {
    samples.iter().map(|s| s * s).sum::<f32>() / samples.len().max(1) as f32
}

/// `seconds` of one kind of what is not music, recording after recording, in an order drawn by
/// `rng`, with joins of 0.3 s.
pub(super) fn kind_for(material: &Material, kind: &str, seconds: f64, rng: &mut Rng) -> Vec<f32> {
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
    pub(super) fn make(self, material: &Material, seed: u64) -> Result<Stream> {
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

pub(super) fn plans(material: &Material, amount: Amount, seed: u64) -> Vec<Plan> {
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
