//! How far a student is from its teacher, and the closing table.

use std::fmt::Write as _;

use anyhow::Result;
use burn::tensor::Device;
use serde::{Deserialize, Serialize};

use super::material::{ANSWER, BATCH, Heard, TaughtMaterial, answered};
use crate::mobilenet::{CLASSES, HIDDEN, Mobilenet, POOLED, Params};

/// AudioSet's class for music as such, and its kinds: from pop music to ska.
const MUSIC: usize = 137;
const KINDS: std::ops::Range<usize> = 216..264;

/// How far a network's answers lie from the teacher's on clean audio.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Distance {
    /// Kullback-Leibler divergence of the 527 answers, in nats, summed.
    pub divergence: f64,
    /// Mean absolute difference of the 527 scores.
    pub scores: f64,
    /// The same of the 48 kinds of music.
    pub kinds: f64,
    /// Where the teacher hears music: how often its first kind of music is the student's, too.
    pub same_kind: f64,
    /// Mean cosine of the embeddings.
    pub cosine: f64,
    /// Squared error of the embedding relative to its mean square.
    pub pooled: f64,
}

/// Natural logarithms of the sigmoid and of what is left to 1.
fn log_sigmoids(logit: f32) -> (f64, f64) {
    let z = f64::from(logit);
    let of = |z: f64| z.min(0.0) - (-z.abs()).exp().ln_1p();
    (of(z), of(-z))
}

impl Distance {
    /// Between rows of answers: the student's and the teacher's.
    pub(super) fn between(student: &[f32], teacher: &[f32]) -> Self {
        let mut sum = Self::default();
        let n = (teacher.len() / ANSWER) as f64;
        let (mut music, mut same, mut square) = (0.0, 0.0, 0.0);
        for (student, teacher) in student
            .chunks_exact(ANSWER)
            .zip(teacher.chunks_exact(ANSWER))
        {
            let logits = POOLED + HIDDEN;
            for (class, (&a, &b)) in student[logits..].iter().zip(&teacher[logits..]).enumerate() {
                let ((a1, a0), (b1, b0)) = (log_sigmoids(a), log_sigmoids(b));
                sum.divergence += b1.exp() * (b1 - a1) + b0.exp() * (b0 - a0);
                let apart = (a1.exp() - b1.exp()).abs();
                sum.scores += apart / CLASSES as f64;
                if KINDS.contains(&class) {
                    sum.kinds += apart / KINDS.len() as f64;
                }
            }
            if teacher[logits + MUSIC] > 0.0 {
                let first = |row: &[f32]| {
                    KINDS.max_by(|&i, &k| row[logits + i].total_cmp(&row[logits + k]))
                };
                music += 1.0;
                same += f64::from(u8::from(first(student) == first(teacher)));
            }
            let dot = |a: &[f32], b: &[f32]| -> f64 {
                a.iter()
                    .zip(b)
                    .map(|(a, b)| f64::from(*a) * f64::from(*b))
                    .sum()
            };
            let (a, b) = (&student[..POOLED], &teacher[..POOLED]);
            sum.cosine += dot(a, b) / (dot(a, a) * dot(b, b)).sqrt().max(1e-12);
            sum.pooled += dot(a, a) + dot(b, b) - 2.0 * dot(a, b);
            square += dot(b, b);
        }
        Self {
            divergence: sum.divergence / n,
            scores: sum.scores / n,
            kinds: sum.kinds / n,
            same_kind: same / f64::max(music, 1.0),
            cosine: sum.cosine / n,
            pooled: sum.pooled / f64::max(square, 1e-12),
        }
    }
}

/// How far `net` is from the teacher on held-out segments as they are heard.
pub(super) fn distance(
    material: &TaughtMaterial,
    net: &Mobilenet,
    indices: &[usize],
    heard: Heard,
    threads: usize,
) -> Result<Distance> {
    let (mut said, mut taught) = (Vec::new(), Vec::new());
    for batch in indices.chunks(BATCH) {
        said.extend(answered(net, material.mels(batch, heard, threads)?));
        taught.extend(batch.iter().flat_map(|&index| material.answer(index)));
    }
    Ok(Distance::between(&said, &taught))
}

/// A row of the closing table.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Row {
    /// What is done to the audio.
    pub audio: String,
    /// Which network, how rounded.
    pub network: String,
    /// How far it is from the teacher on clean audio.
    pub distance: Distance,
}

/// `networks`, by name, on held-out audio, clean and damaged.
///
/// # Errors
/// When audio cannot be damaged.
pub fn table(
    material: &TaughtMaterial,
    networks: &[(&str, Params)],
    segments: usize,
    threads: usize,
) -> Result<Vec<Row>> {
    let indices = material.spread(segments);
    let mut rows = Vec::new();
    for heard in Heard::TABLE {
        for (name, params) in networks {
            let net = Mobilenet::new(params, &Device::flex());
            rows.push(Row {
                audio: heard.name(),
                network: (*name).to_owned(),
                distance: distance(material, &net, &indices, heard, threads)?,
            });
        }
    }
    Ok(rows)
}

/// The rows as a table of Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| audio | network | divergence, nats | mean difference of scores | of the kinds of music | same first kind of music | cosine of the embedding |\n|---|---|---|---|---|---|---|\n",
    );
    for Row {
        audio,
        network,
        distance,
    } in rows
    {
        let _ = writeln!(
            text,
            "| {audio} | {network} | {:.3} | {:.5} | {:.5} | {:.1} % | {:.4} |",
            distance.divergence,
            distance.scores,
            distance.kinds,
            100.0 * distance.same_kind,
            distance.cosine
        );
    }
    text
}
