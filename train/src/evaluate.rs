//! Measuring models through the product: every figure here comes from the product's own front end
//! and network.

use std::{collections::BTreeMap, path::PathBuf, sync::Arc};

use anyhow::{Context, Result};
use genrescope::{
    front_end::Picture,
    network::{Model, Network, neighbours::Neighbours},
    units::SampleRate,
};

use crate::{
    audio,
    degrade::Damage,
    metrics::{Confusion, Reading, Share, argmax, softmax},
    parallel,
    pictures::FRAME_COLUMNS,
    rng::Rng,
};

/// A recording to ask about.
#[derive(Clone, Debug)]
pub struct Question {
    /// Where it lies.
    pub path: PathBuf,
    /// Its label.
    pub label: usize,
    /// Which of the models to ask: the one that has not heard it.
    pub model: usize,
    /// Whose it is: recordings of one group are not independent of each other.
    pub group: String,
}

/// How a recording is cut into frames.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Frames {
    /// Mel columns dropped at both ends (paper: 20 s) of recordings long enough to lose them.
    pub skip: usize,
    /// Columns of a frame; less than [`FRAME_COLUMNS`] for the first seconds of a listener.
    pub length: usize,
    /// Only the first frame.
    pub first_only: bool,
}

impl Frames {
    /// The paper's multiframe: 20 s dropped at both ends, frames side by side, the remainder
    /// dropped.
    pub const MULTIFRAME: Self = Self {
        skip: 938,
        length: FRAME_COLUMNS,
        first_only: false,
    };

    /// One frame from the beginning.
    pub const SINGLE: Self = Self {
        skip: 0,
        length: FRAME_COLUMNS,
        first_only: true,
    };

    /// First and last column of each frame of a recording of `columns` columns; one of all columns
    /// if it is too short.
    pub fn of(&self, columns: usize) -> Vec<(usize, usize)> {
        let skip = if columns >= 2 * self.skip + self.length {
            self.skip
        } else {
            0
        };
        let inner = columns - 2 * skip;
        if inner < self.length {
            return vec![(0, columns)];
        }
        let n = if self.first_only {
            1
        } else {
            inner / self.length
        };
        (0..n)
            .map(|i| (skip + i * self.length, skip + (i + 1) * self.length))
            .collect()
    }
}

/// The answers to a [`Question`]: logits of each frame.
#[derive(Clone, Debug, PartialEq)]
pub struct Answer {
    /// Its truth.
    pub label: usize,
    /// Whose it is.
    pub group: String,
    /// Logits of each frame.
    pub frames: Vec<Vec<f32>>,
}

impl Answer {
    /// Share of its frames that are right by themselves, 0..1.
    pub fn alone(&self) -> f64 {
        let right = self.frames.iter().filter(|f| argmax(f) == self.label);
        right.count() as f64 / self.frames.len().max(1) as f64
    }

    /// Two networks as one: each frame's logits become those of a softmax at the temperature of
    /// `reading` that gives the mean of these scores and of what `other`, of the same recording,
    /// says by `theirs`.
    #[must_use]
    pub fn merged(mut self, reading: Reading, other: &Self, theirs: Reading) -> Self {
        for (logits, others) in self.frames.iter_mut().zip(&other.frames) {
            let scores = reading
                .scores(logits)
                .into_iter()
                .zip(theirs.scores(others));
            *logits = scores
                .map(|(a, b)| reading.temperature * (0.5 * (a + b)).max(1e-12).ln())
                .collect();
        }
        self
    }
}

/// Sets of `size` recordings of one artist and label, each as if it were one song of so many
/// frames. An artist's recordings are drawn into as many sets as they fill, `draws` times anew;
/// artists with fewer than `size` are left out.
pub fn sets(answers: &[Answer], size: usize, draws: usize, seed: u64) -> Vec<Answer> {
    let mut artists: BTreeMap<(&str, usize), Vec<&Answer>> = BTreeMap::new();
    for answer in answers.iter().filter(|answer| !answer.frames.is_empty()) {
        let artist = artists.entry((&answer.group, answer.label)).or_default();
        artist.push(answer);
    }
    let mut sets = Vec::new();
    for draw in 0..draws {
        let mut rng = Rng::at(seed, &[draw as u64]);
        for recordings in artists.values_mut() {
            rng.shuffle(recordings);
            for set in recordings.chunks_exact(size.max(1)) {
                sets.push(Answer {
                    frames: set.iter().map(|answer| answer.frames[0].clone()).collect(),
                    ..set[0].clone()
                });
            }
        }
    }
    sets
}

/// By how much one way to answer is better than another, in 0..1 of the answers.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Gain {
    /// Mean over the answers of the difference: hard songs weigh on both sides.
    pub mean: f64,
    /// Half of the 95 % interval, by groups: answers of one artist do not count as if they were
    /// independent.
    pub half: f64,
}

impl Gain {
    /// Of all frames of each of `answers` together, by `average`, over one of its frames alone.
    pub fn over_one(answers: &[Answer], average: Average, reading: Reading) -> Self {
        Self::of(answers, |answer| {
            average.right(answer, reading) - answer.alone()
        })
    }

    /// Of one average over another.
    pub fn between(answers: &[Answer], of: Average, over: Average, reading: Reading) -> Self {
        Self::of(answers, |answer| {
            of.right(answer, reading) - over.right(answer, reading)
        })
    }

    fn of(answers: &[Answer], difference: impl Fn(&Answer) -> f64) -> Self {
        let n = answers.len().max(1) as f64;
        let gains: Vec<f64> = answers.iter().map(difference).collect();
        let mean = gains.iter().sum::<f64>() / n;
        let mut away: BTreeMap<&str, f64> = BTreeMap::new();
        for (answer, gain) in answers.iter().zip(&gains) {
            *away.entry(&answer.group).or_default() += gain - mean;
        }
        let groups = away.len() as f64;
        let squares: f64 = away.values().map(|x| x * x).sum();
        let variance = squares / (n * n) * groups / (groups - 1.0).max(1.0);
        Self {
            mean,
            half: 1.96 * variance.sqrt(),
        }
    }
}

/// How the frames of a song become one answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Average {
    /// Mean of scores (paper).
    Mean,
    /// Geometric mean of scores.
    Geometric,
    /// Most frequent best label (what the paper calls nearest neighbours); ties by the mean.
    Vote,
}

impl Average {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Mean, Self::Geometric, Self::Vote];

    /// The name in tables.
    pub fn name(self) -> &'static str {
        match self {
            Self::Mean => "mean",
            Self::Geometric => "geometric mean",
            Self::Vote => "vote",
        }
    }

    /// 1 where the frames of `answer` together are right, else 0.
    fn right(self, answer: &Answer, reading: Reading) -> f64 {
        f64::from(u8::from(
            argmax(&self.scores(&answer.frames, reading)) == answer.label,
        ))
    }

    /// Scores of a song from the logits of its frames.
    pub fn scores(self, frames: &[Vec<f32>], reading: Reading) -> Vec<f32> {
        let n = frames.len().max(1) as f32;
        let scores: Vec<Vec<f32>> = frames.iter().map(|logits| reading.scores(logits)).collect();
        let labels = scores.first().map_or(0, Vec::len);
        let mean = |of: &dyn Fn(f32) -> f32| -> Vec<f32> {
            (0..labels)
                .map(|l| scores.iter().map(|s| of(s[l])).sum::<f32>() / n)
                .collect()
        };
        match self {
            Self::Mean => mean(&|p| p),
            Self::Geometric => softmax(&mean(&|p| p.max(1e-12).ln()), 1.0),
            Self::Vote => {
                let mut votes = mean(&|p| 1e-3 * p);
                for frame in &scores {
                    votes[argmax(frame)] += 1.0 / n;
                }
                let sum: f32 = votes.iter().sum();
                votes.iter().map(|v| v / sum).collect()
            }
        }
    }
}

/// Asks `models` about every question, after `damage`, frame by frame. What cannot be read or
/// damaged is given as an error.
pub fn ask(
    models: &[Arc<Model>],
    questions: &[Question],
    frames: Frames,
    damage: Damage,
    threads: usize,
    progress: &(dyn Fn(usize) + Sync),
) -> Vec<Result<Answer>> {
    let done = std::sync::atomic::AtomicUsize::new(0);
    parallel::map(questions.len(), threads, |i| {
        let question = &questions[i];
        let model = &models[question.model];
        let answer = (|| {
            let mono = audio::decode(&question.path)?;
            let samples = damage.apply(&mono.samples, mono.rate.hz(), i as u64)?;
            let pictures = Pictures::of(model, &samples, mono.rate)?;
            let mut network = Network::new(model);
            let logits = frames
                .of(pictures.columns())
                .into_iter()
                .map(|(first, last)| {
                    let (frame, second) = pictures.part(model, first, last);
                    let scored = network.score_pictures(frame, second).with_context(|| {
                        format!("'{}' is too short to be scored", question.path.display())
                    })?;
                    Ok(scored.logits.to_vec())
                })
                .collect::<Result<Vec<_>>>()?;
            Ok(Answer {
                label: question.label,
                group: question.group.clone(),
                frames: logits,
            })
        })();
        progress(done.fetch_add(1, std::sync::atomic::Ordering::Relaxed) + 1);
        answer
    })
}

/// What both trunks of a model look at.
struct Pictures {
    mel: Vec<f32>,
    n_mels: usize,
    second: Vec<f32>,
    second_mels: usize,
}

impl Pictures {
    fn of(model: &Model, samples: &[f32], rate: SampleRate) -> Result<Self> {
        let config = model.front_end();
        let tagger = model.card().architecture.tagger.as_ref();
        let mut front_end = model.listen(rate)?;
        let (mut mel, mut second) = (Vec::new(), Vec::new());
        let mut take = |picture: Picture, column: &[f32]| match picture {
            Picture::Mel => mel.extend_from_slice(column),
            Picture::Tagger => second.extend_from_slice(column),
        };
        front_end.push_pictures(samples, &mut take);
        front_end.finish_pictures(&mut take);
        Ok(Self {
            mel,
            n_mels: config.n_mels,
            second,
            second_mels: tagger.map_or(1, |tagger| tagger.front_end.n_mels),
        })
    }

    fn columns(&self) -> usize {
        self.mel.len() / self.n_mels
    }

    /// Columns from `first` to before `last`, and the second picture of the same time.
    fn part(&self, model: &Model, first: usize, last: usize) -> (&[f32], &[f32]) {
        let place = |column: usize| {
            (model.second_columns(column) * self.second_mels).min(self.second.len())
        };
        (
            &self.mel[first * self.n_mels..last * self.n_mels],
            &self.second[place(first)..place(last)],
        )
    }
}

/// Confusion of songs.
pub fn songs(
    labels: &[String],
    answers: &[Answer],
    average: Average,
    reading: Reading,
) -> Confusion {
    Confusion::of(
        labels,
        answers
            .iter()
            .map(|a| (a.label, argmax(&average.scores(&a.frames, reading)))),
    )
}

/// Confusion of frames.
pub fn frames(labels: &[String], answers: &[Answer]) -> Confusion {
    Confusion::of(
        labels,
        answers
            .iter()
            .flat_map(|a| a.frames.iter().map(|logits| (a.label, argmax(logits)))),
    )
}

/// Songs by their nearest neighbours: each song's frame scores among those of all other songs (its
/// own left out).
pub fn songs_by_neighbours(
    labels: &[String],
    answers: &[Answer],
    k: usize,
    reading: Reading,
) -> Confusion {
    let pairs: Vec<(usize, usize)> = (0..answers.len())
        .map(|own| {
            let (mut rows, mut truths) = (Vec::new(), Vec::new());
            for other in answers
                .iter()
                .enumerate()
                .filter(|(i, _)| *i != own)
                .map(|(_, a)| a)
            {
                for frame in &other.frames {
                    rows.extend(reading.scores(frame));
                    truths.push(other.label);
                }
            }
            let near = Neighbours::new(&rows, labels.len(), &truths, labels.len(), k);
            let mut sum = vec![0.0f32; labels.len()];
            for frame in &answers[own].frames {
                for (to, from) in sum.iter_mut().zip(near.shares(&reading.scores(frame))) {
                    *to += from;
                }
            }
            (answers[own].label, argmax(&sum))
        })
        .collect();
    Confusion::of(labels, pairs)
}

/// Share of single frames that are right, and of songs, on those songs that have at least two
/// frames; for each song the frame share is the mean over its frames, so that both columns count
/// songs.
pub fn multiframe_gain(labels: &[String], answers: &[Answer], reading: Reading) -> (f64, Share) {
    let long: Vec<Answer> = answers
        .iter()
        .filter(|a| a.frames.len() > 1)
        .cloned()
        .collect();
    let single: f64 = long.iter().map(Answer::alone).sum();
    (
        single / long.len().max(1) as f64,
        songs(labels, &long, Average::Mean, reading).micro(),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Reading = Reading {
        activation: genrescope::network::architecture::Activation::Softmax,
        temperature: 1.0,
    };

    #[test]
    fn frames_are_the_papers() {
        // 180 s: 20 s off at both ends leave 140 s, four frames.
        let columns = (180.0 * 12_000.0 / 256.0) as usize;
        let frames = Frames::MULTIFRAME.of(columns);
        assert_eq!(frames.len(), 4);
        assert_eq!(frames[0], (938, 938 + 1366));
        assert!(frames[3].1 <= columns - 938);
        // A GTZAN clip is too short to lose anything.
        assert_eq!(Frames::MULTIFRAME.of(1_407), [(0, 1_366)]);
        assert_eq!(Frames::MULTIFRAME.of(300), [(0, 300)]);
        assert_eq!(Frames::SINGLE.of(5_000), [(0, 1_366)]);
    }

    #[test]
    fn sets_are_of_one_artist_and_their_gain_is_counted_by_artists() {
        let answer = |group: &str, right: bool| Answer {
            label: 0,
            group: group.into(),
            frames: vec![if right {
                vec![2.0, 0.0]
            } else {
                vec![0.0, 1.0]
            }],
        };
        let answers = [
            answer("a", true),
            answer("b", true),
            answer("a", false),
            answer("a", true),
            answer("a", false),
            answer("a", true),
            answer("c", true),
        ];
        let sets = sets(&answers, 2, 1, 0);
        assert_eq!(sets.len(), 2);
        assert!(
            sets.iter()
                .all(|set| set.group == "a" && set.frames.len() == 2)
        );
        // Every draw holds as many, and they are not always the same.
        let many = super::sets(&answers, 2, 20, 0);
        assert_eq!(many.len(), 40);
        assert!(many[2..].chunks(2).any(|draw| draw != sets));
        assert_eq!(many[..2], sets);
        // Three of five are right: each set half, or one wholly and one half.
        let alone: f64 = many.iter().map(Answer::alone).sum();
        assert!((alone / 40.0 - 0.6).abs() < 0.15, "{alone}");
        // Two frames, one right and sure, one wrong and less so: right together.
        let half = |group: &str| Answer {
            frames: vec![vec![2.0, 0.0], vec![0.0, 1.0]],
            ..answer(group, true)
        };
        let pair = [half("a"), half("a")];
        let gain = Gain::over_one(&pair, Average::Mean, PLAIN);
        assert!((gain.mean - 0.5).abs() < 1e-9 && gain.half.abs() < 1e-9);
        // One artist who gains twice and one who does not are two, not three.
        let sure = Answer {
            frames: vec![vec![2.0, 0.0]; 2],
            ..answer("b", true)
        };
        let mixed = [half("a"), half("a"), sure];
        let by_artist = Gain::over_one(&mixed, Average::Mean, PLAIN);
        assert!((by_artist.mean - 1.0 / 3.0).abs() < 1e-9);
        let apart: Vec<Answer> = mixed
            .iter()
            .zip(["x", "y", "z"])
            .map(|(a, group)| Answer {
                group: group.into(),
                ..a.clone()
            })
            .collect();
        assert!(by_artist.half > Gain::over_one(&apart, Average::Mean, PLAIN).half);
    }

    #[test]
    fn one_average_over_another_is_counted_song_by_song() {
        let song = |frames: &[[f32; 2]]| Answer {
            label: 0,
            group: "a".into(),
            frames: frames.iter().map(|frame| frame.to_vec()).collect(),
        };
        // Two lean to 0, one is sure of 1: right by vote alone. Then one that all get right.
        let answers = [
            song(&[[0.3, 0.0], [0.3, 0.0], [-6.0, 6.0]]),
            song(&[[1.0, 0.0]]),
        ];
        let gain = Gain::between(&answers, Average::Vote, Average::Mean, PLAIN);
        assert!((gain.mean - 0.5).abs() < 1e-9);
        let gain = Gain::between(&answers, Average::Geometric, Average::Mean, PLAIN);
        assert!(gain.mean.abs() < 1e-9 && gain.half.abs() < 1e-9);
    }

    #[test]
    fn two_networks_say_the_mean_of_their_scores() {
        let answer = |logits: &[f32]| Answer {
            label: 0,
            group: "a".into(),
            frames: vec![logits.to_vec()],
        };
        let warm = Reading {
            temperature: 2.0,
            ..PLAIN
        };
        let (ours, theirs) = (vec![2.0, 0.0, -1.0], vec![0.0, 3.0, 1.0]);
        let merged = answer(&ours).merged(warm, &answer(&theirs), PLAIN);
        let scores = warm.scores(&merged.frames[0]);
        let expected = warm.scores(&ours).into_iter().zip(PLAIN.scores(&theirs));
        for (score, (a, b)) in scores.iter().zip(expected) {
            assert!((score - 0.5 * (a + b)).abs() < 1e-5, "{score} {a} {b}");
        }
    }

    #[test]
    fn averages_differ_where_they_should() {
        // Two frames lean to 0, one is sure of 1.
        let frames = vec![vec![0.3, 0.0], vec![0.3, 0.0], vec![-6.0, 6.0]];
        assert_eq!(argmax(&Average::Vote.scores(&frames, PLAIN)), 0);
        assert_eq!(argmax(&Average::Mean.scores(&frames, PLAIN)), 1);
        assert_eq!(argmax(&Average::Geometric.scores(&frames, PLAIN)), 1);
        for average in Average::ALL {
            let sum: f32 = average.scores(&frames, PLAIN).iter().sum();
            assert!((sum - 1.0).abs() < 1e-5);
        }
    }
}
