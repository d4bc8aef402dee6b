//! The networks: the plan against a slow, obvious computation, and the rolling window against the
//! whole one.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking and say what they skip"
)]

#[path = "support/random.rs"]
mod random;

use std::sync::Arc;

use genrescope::{
    genre::{GTZAN, Labels},
    network::{
        Architecture, Bundle, Model, Network,
        architecture::{Block, Head, Normalisation, Pooling, Statistic, StatisticKind},
        quantise::Calibration,
    },
};
use proptest::prelude::*;
use random::Random;

const N_MELS: usize = 96;

fn bundle(architecture: &Architecture, seed: u64) -> Bundle {
    Bundle::random(architecture.clone(), Labels::new(GTZAN).unwrap(), seed).unwrap()
}

fn model(architecture: &Architecture, seed: u64) -> Arc<Model> {
    Model::from_bundle(&bundle(architecture, seed)).unwrap()
}

/// Short frames and few filters, so that many windows can be tried; the forms are those of the real
/// ones.
fn small_cnn() -> Architecture {
    let block = |filters, frequency, time| Block {
        filters,
        pool: [frequency, time],
    };
    Architecture {
        frame_columns: 8 * 5 + 7,
        normalisation: Normalisation {
            mean: vec![-30.6; N_MELS],
            std: vec![18.0; N_MELS],
            level: None,
        },
        blocks: vec![
            block(5, 2, 4),
            block(6, 4, 2),
            block(7, 3, 2),
            block(8, 4, 2),
        ],
        cycle_after: Some(2),
        statistics: vec![
            Statistic {
                block: 2,
                kind: StatisticKind::Mean,
                groups: 4,
            },
            Statistic {
                block: 3,
                kind: StatisticKind::Std,
                groups: 1,
            },
            Statistic {
                block: 1,
                kind: StatisticKind::Max,
                groups: 2,
            },
        ],
        head: Head {
            hidden: Some(11),
            ..Architecture::cnn().head
        },
        ..Architecture::cnn()
    }
}

fn small_crnn() -> Architecture {
    let block = |filters, frequency, time| Block {
        filters,
        pool: [frequency, time],
    };
    Architecture {
        frame_columns: 12 * 6 - 2 * 5,
        time_pad: 5,
        blocks: vec![block(4, 2, 2), block(5, 3, 3), block(6, 8, 2)],
        pooling: Pooling::Gru { units: vec![5, 4] },
        ..Architecture::crnn()
    }
}

/// Columns that look like music in decibels: a slow walk with jumps, a value per band.
fn columns(n: usize, seed: u64) -> Vec<f32> {
    let mut random = Random::new(seed);
    let mut random = move || random.unit();
    let mut level = -30.0;
    let mut values = Vec::with_capacity(n * N_MELS);
    for _ in 0..n {
        level = (level + 6.0 * (random() - 0.5)).clamp(-60.0, 0.0);
        for _ in 0..N_MELS {
            values.push((level + 40.0 * (random() - 0.5)).max(-100.0));
        }
    }
    values
}

/// The network as its description reads, one number after the other.
mod slow {
    use super::{Architecture, Bundle, Pooling, StatisticKind};

    /// `[channel][row][column]`.
    type Picture = Vec<Vec<Vec<f64>>>;

    fn weights(bundle: &Bundle, name: &str) -> Vec<f64> {
        bundle.tensors[name]
            .to_f32()
            .iter()
            .map(|&value| f64::from(value))
            .collect()
    }

    fn elu(x: f64) -> f64 {
        if x > 0.0 { x } else { x.exp_m1() }
    }

    fn block(input: &Picture, weight: &[f64], bias: &[f64], pool: [usize; 2]) -> Picture {
        let (rows, columns) = (input[0].len(), input[0][0].len());
        let at = |channel: usize, row: usize, column: usize, i: usize, j: usize| {
            let (row, column) = ((row + i).checked_sub(1)?, (column + j).checked_sub(1)?);
            input[channel].get(row)?.get(column).copied()
        };
        bias.iter()
            .enumerate()
            .map(|(filter, bias)| {
                let convolved = |row: usize, column: usize| {
                    let mut sum = *bias;
                    for channel in 0..input.len() {
                        for (i, j) in (0..9).map(|k| (k / 3, k % 3)) {
                            let w = weight[((filter * input.len() + channel) * 3 + i) * 3 + j];
                            sum += w * at(channel, row, column, i, j).unwrap_or(0.0);
                        }
                    }
                    elu(sum)
                };
                let pooled = |row: usize, column: usize| {
                    let places = (0..pool[0] * pool[1])
                        .map(|k| (row * pool[0] + k / pool[1], column * pool[1] + k % pool[1]));
                    places
                        .map(|(row, column)| convolved(row, column))
                        .fold(f64::NEG_INFINITY, f64::max)
                };
                (0..rows / pool[0])
                    .map(|row| {
                        (0..columns / pool[1])
                            .map(|column| pooled(row, column))
                            .collect()
                    })
                    .collect()
            })
            .collect()
    }

    fn gru(steps: &[Vec<f64>], input: &[f64], recurrent: &[f64], bias: &[f64]) -> Vec<Vec<f64>> {
        let units = bias.len() / 3;
        let dot = |row: &[f64], x: &[f64]| row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>();
        let hard_sigmoid = |v: f64| (0.2 * v + 0.5).clamp(0.0, 1.0);
        let mut h = vec![0.0; units];
        let mut states = Vec::new();
        for x in steps {
            let from_input = |k: usize| dot(&input[k * x.len()..][..x.len()], x) + bias[k];
            let from_state = |k: usize, h: &[f64]| dot(&recurrent[k * units..][..units], h);
            let z: Vec<f64> = (0..units)
                .map(|u| hard_sigmoid(from_input(u) + from_state(u, &h)))
                .collect();
            let r: Vec<f64> = (0..units)
                .map(|u| hard_sigmoid(from_input(units + u) + from_state(units + u, &h)))
                .collect();
            let rh: Vec<f64> = r.iter().zip(&h).map(|(r, h)| r * h).collect();
            let c: Vec<f64> = (0..units)
                .map(|u| (from_input(2 * units + u) + from_state(2 * units + u, &rh)).tanh())
                .collect();
            h = (0..units)
                .map(|u| z[u] * h[u] + (1.0 - z[u]) * c[u])
                .collect();
            states.push(h.clone());
        }
        states
    }

    /// Logits of the window `columns` (`[column][band]`, any number of columns).
    pub(super) fn logits(bundle: &Bundle, columns: &[f32]) -> Vec<f64> {
        let Architecture {
            normalisation,
            time_pad,
            blocks,
            cycle_after,
            pooling,
            statistics,
            head,
            ..
        } = &bundle.card.architecture;
        let heard: Vec<&[f32]> = columns.chunks(super::N_MELS).collect();
        let n = heard.len() + 2 * time_pad;
        let value = |band: usize, column: usize| {
            let column = heard.get(column.checked_sub(*time_pad)?)?;
            let (mean, std) = (&normalisation.mean, &normalisation.std);
            Some(f64::from(
                (column[band] - mean[band % mean.len()]) / std[band % std.len()],
            ))
        };
        let mut picture: Picture = vec![
            (0..super::N_MELS)
                .map(|band| {
                    (0..n)
                        .map(|column| value(band, column).unwrap_or(0.0))
                        .collect()
                })
                .collect(),
        ];
        let mut outputs = Vec::new();
        for (index, shape) in blocks.iter().enumerate() {
            let name = format!("block{}", index + 1);
            let (weight, bias) = (
                weights(bundle, &format!("{name}.weight")),
                weights(bundle, &format!("{name}.bias")),
            );
            picture = block(&picture, &weight, &bias, shape.pool);
            if *cycle_after == Some(index + 1) {
                let full = bundle.card.architecture.frame_columns_of(index);
                for row in picture.iter_mut().flatten() {
                    *row = row.iter().copied().cycle().take(full).collect();
                }
            }
            outputs.push(picture.clone());
        }
        let mut embedding = match pooling {
            Pooling::Flatten => picture.concat().concat(),
            Pooling::Gru { units } => {
                let columns = picture[0][0].len();
                let mut steps: Vec<Vec<f64>> = (0..columns)
                    .map(|t| picture.iter().flatten().map(|row| row[t]).collect())
                    .collect();
                for index in 1..=units.len() {
                    let part = |part: &str| weights(bundle, &format!("gru{index}.{part}"));
                    steps = gru(&steps, &part("input"), &part("recurrent"), &part("bias"));
                }
                steps.pop().unwrap()
            }
            Pooling::None => Vec::new(),
        };
        for statistic in statistics {
            for channel in &outputs[statistic.block - 1] {
                for group in channel.chunks(channel.len() / statistic.groups) {
                    let values = group.concat();
                    let mean = values.iter().sum::<f64>() / values.len() as f64;
                    embedding.push(match statistic.kind {
                        StatisticKind::Mean => mean,
                        StatisticKind::Max => {
                            values.iter().copied().fold(f64::NEG_INFINITY, f64::max)
                        }
                        StatisticKind::Std => {
                            (values.iter().map(|v| (v - mean).powi(2)).sum::<f64>()
                                / values.len() as f64)
                                .sqrt()
                        }
                    });
                }
            }
        }
        let dense = |x: &[f64], name: &str| -> Vec<f64> {
            let (weight, bias) = (
                weights(bundle, &format!("{name}.weight")),
                weights(bundle, &format!("{name}.bias")),
            );
            weight
                .chunks(x.len())
                .zip(bias)
                .map(|(row, b)| b + row.iter().zip(x).map(|(a, b)| a * b).sum::<f64>())
                .collect()
        };
        if head.hidden.is_some() {
            embedding = dense(&embedding, "hidden").into_iter().map(elu).collect();
        }
        dense(&embedding, "output")
    }
}

fn assert_close(what: &str, a: &[f32], b: &[f32], tolerance: f32) {
    assert_eq!(a.len(), b.len());
    for (index, (a, b)) in a.iter().zip(b).enumerate() {
        assert!(
            (a - b).abs() <= tolerance,
            "{what}: value {index} is {a}, expected {b}"
        );
    }
}

#[test]
fn networks_compute_what_the_description_says() {
    for (architecture, windows) in [
        (small_cnn(), [8, 9, 19, 47]),
        (small_crnn(), [12, 25, 40, 62]),
    ] {
        let bundle = bundle(&architecture, 3);
        let mut network = Network::new(&Model::from_bundle(&bundle).unwrap());
        for n in windows {
            let columns = columns(n, n as u64);
            let expected: Vec<f32> = slow::logits(&bundle, &columns)
                .iter()
                .map(|&v| v as f32)
                .collect();
            let scored = network.score_frame(&columns).unwrap();
            assert_eq!(scored.n_columns, n);
            // Sums of some hundred f32 products against f64.
            assert_close(&format!("{n} columns"), scored.logits, &expected, 2e-5);
            assert!(
                scored.logits.iter().any(|logit| logit.abs() > 0.05),
                "logits of zeros prove nothing"
            );
        }
    }
}

/// Pushes, scores and resets in any order; each score must be that of a whole computation.
fn rolling_equals_whole(architecture: &Architecture, seed: u64, hops: &[usize]) {
    let model = model(architecture, seed);
    let (mut network, mut oracle) = (Network::new(&model), Network::new(&model));
    let source = columns(hops.iter().sum(), seed);
    let mut source = source.chunks(N_MELS);
    let mut window: Vec<&[f32]> = Vec::new();
    for (turn, &hop) in hops.iter().enumerate() {
        if hop == 0 {
            network.reset();
            window.clear();
        }
        for column in source.by_ref().take(hop) {
            network.push(column);
            window.push(column);
        }
        let excess = window.len().saturating_sub(model.n_frames());
        window.drain(..excess);
        let (rolled, whole) = (network.score(), oracle.score_frame(&window.concat()));
        assert_eq!(
            rolled.is_some(),
            window.len() >= model.step_columns(),
            "turn {turn}"
        );
        if let (Some(rolled), Some(whole)) = (rolled, whole) {
            assert_eq!(rolled.n_columns, window.len());
            assert_close(
                &format!("turn {turn}, logits"),
                rolled.logits,
                whole.logits,
                1e-5,
            );
            assert_close(
                &format!("turn {turn}, embedding"),
                rolled.embedding,
                whole.embedding,
                1e-5,
            );
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 48, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn rolling_equals_whole_for_any_pushes(seed in 1_u64..1_000, hops in prop::collection::vec(0_usize..40, 1..12)) {
        rolling_equals_whole(&small_cnn(), seed, &hops);
        rolling_equals_whole(&small_crnn(), seed, &hops);
    }

    #[test]
    fn rolling_equals_whole_for_steps(seed in 1_u64..1_000, first in 0_usize..80, steps in prop::collection::vec(0_usize..4, 1..12)) {
        for architecture in [small_cnn(), small_crnn()] {
            let step = architecture.step_columns();
            let hops: Vec<usize> = [first.max(1)].into_iter().chain(steps.iter().map(|n| (n * step).max(1))).collect();
            rolling_equals_whole(&architecture, seed, &hops);
        }
    }
}

#[test]
fn rolling_equals_whole_for_the_real_shapes() {
    rolling_equals_whole(
        &Architecture::cnn(),
        5,
        &[64, 64, 70, 1_200, 64, 128, 64, 0, 300, 1_366, 64],
    );
    rolling_equals_whole(&Architecture::crnn(), 6, &[96, 96, 1_300, 96, 96, 0, 200]);
}

#[test]
fn a_network_tied_to_places_is_not_rolled() {
    let architecture = Architecture {
        column_affine: true,
        ..small_crnn()
    };
    rolling_equals_whole(&architecture, 7, &[20, 12, 40, 12, 12, 24, 12]);
}

#[test]
fn every_window_starts_from_a_state_of_zeros() {
    let model = model(&small_crnn(), 11);
    let (a, b) = (columns(62, 1), columns(62, 2));
    let mut network = Network::new(&model);
    let first = network.score_frame(&a).unwrap().logits.to_vec();
    let other = network.score_frame(&b).unwrap().logits.to_vec();
    assert_ne!(first, other);
    assert_eq!(
        network.score_frame(&a).unwrap().logits,
        first,
        "something was left of the window before"
    );
    for _ in 0..2 {
        network.reset();
        a.chunks(N_MELS).for_each(|column| network.push(column));
        assert_eq!(network.score().unwrap().logits, first);
    }
}

#[test]
fn foreign_values_never_reach_a_score() {
    let model = model(&small_cnn(), 12);
    let mut network = Network::new(&model);
    for value in [
        f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MAX,
        f32::MIN_POSITIVE / 2.0,
        1e9,
    ] {
        for _ in 0..20 {
            network.push(&[value; N_MELS]);
        }
        let scored = network.score().unwrap();
        assert!(
            scored
                .logits
                .iter()
                .chain(scored.embedding)
                .all(|v| v.is_finite()),
            "{value} gave {:?}",
            scored.logits
        );
    }
}

#[test]
fn a_score_of_an_unchanged_window_is_the_same() {
    let model = model(&small_cnn(), 13);
    let mut network = Network::new(&model);
    columns(47, 1)
        .chunks(N_MELS)
        .for_each(|column| network.push(column));
    let first = network.score().unwrap().logits.to_vec();
    let frame = columns(30, 9);
    assert_ne!(network.score_frame(&frame).unwrap().logits, first);
    assert_eq!(
        network.score().unwrap().logits,
        first,
        "score_frame touched the window"
    );
}

#[test]
fn a_network_can_be_sent_to_a_worker() {
    fn send<T: Send>() {}
    fn shared<T: Send + Sync>() {}
    send::<Network>();
    shared::<Model>();
}

#[test]
fn the_model_compiled_in_is_sound() {
    let model = Model::builtin();
    assert!(Arc::ptr_eq(&model, &Model::builtin()));
    let mut network = Network::new(&model);
    let scored = network.score_frame(&columns(model.n_frames(), 4)).unwrap();
    assert_eq!(scored.logits.len(), model.labels().len());
    assert_eq!(scored.embedding.len(), model.embedding_len());
    let scores = model.scores(scored.logits, model.card().decision.temperature);
    assert!((scores.as_slice().iter().sum::<f32>() - 1.0).abs() < 1e-5);
}

/// The model of `architecture` in integers, calibrated on noise.
fn integers(architecture: &Architecture, seed: u64) -> Bundle {
    let mut calibration = Calibration::new(&bundle(architecture, seed)).unwrap();
    for frame in 1..4 {
        calibration.observe(&columns(architecture.frame_columns, frame));
    }
    calibration.quantised()
}

#[test]
fn both_engines_compute_the_same() {
    use genrescope::network::Engine;

    for architecture in [small_cnn(), small_crnn()] {
        let bundle = bundle(&architecture, 3);
        let frame = columns(architecture.frame_columns, 4);
        let [fused, tract] = [Engine::Fused, Engine::Tract].map(|engine| {
            let mut network = Network::new(&Model::with_engine(&bundle, engine).unwrap());
            let scored = network.score_frame(&frame).unwrap();
            (scored.logits.to_vec(), scored.embedding.to_vec())
        });
        assert_close("logits", &fused.0, &tract.0, 1e-5);
        assert_close("embedding", &fused.1, &tract.1, 1e-5);
    }
}

#[test]
fn integers_come_close_to_floats_and_their_file_is_the_same_model() {
    for architecture in [small_cnn(), small_crnn()] {
        let bundle = integers(&architecture, 5);
        let floats = Model::from_bundle(&bundle.dequantised()).unwrap();
        let quantised = Model::from_bundle(&bundle).unwrap();
        let read = Model::from_bytes(&bundle.write().unwrap()).unwrap();
        let frame = columns(architecture.frame_columns, 6);
        let [floats, quantised, read] = [floats, quantised, read].map(|model| {
            Network::new(&model)
                .score_frame(&frame)
                .unwrap()
                .logits
                .to_vec()
        });
        assert_eq!(quantised, read);
        assert_ne!(
            quantised, floats,
            "nothing was rounded: integers did not run"
        );
        let spread = floats
            .iter()
            .fold(0.0_f32, |spread, logit| spread.max(logit.abs()));
        assert_close("logits", &quantised, &floats, 0.05 * spread.max(1.0));
    }
}

#[test]
fn a_rolling_window_of_integers_is_exact() {
    for architecture in [
        small_cnn(),
        small_crnn(),
        Architecture::cnn(),
        Architecture::crnn(),
    ] {
        let model = Model::from_bundle(&integers(&architecture, 7)).unwrap();
        let (mut rolling, mut whole) = (Network::new(&model), Network::new(&model));
        let step = model.step_columns();
        let n = architecture.frame_columns + 3 * step;
        let all = columns(n, 8);
        let mut scored = 0;
        for (index, column) in all.chunks_exact(N_MELS).enumerate() {
            rolling.push(column);
            let heard = index + 1;
            // While it fills, and then step by step.
            if heard == step
                || heard == 2 * step
                || (heard > n - 3 * step && (n - heard).is_multiple_of(step))
            {
                let logits = rolling.score().unwrap().logits.to_vec();
                let window =
                    &all[heard.saturating_sub(architecture.frame_columns) * N_MELS..heard * N_MELS];
                let expected = whole.score_frame(window).unwrap().logits.to_vec();
                assert_eq!(logits, expected, "after {heard} columns");
                scored += 1;
            }
        }
        assert_eq!(scored, 5);
    }
}

#[test]
fn every_path_of_this_processor_gives_the_same_logits_in_integers() {
    // The path is chosen when a model is built.
    use genrescope::network::kernel::Path;
    let bundle = integers(&small_crnn(), 9);
    let frame = columns(small_crnn().frame_columns, 10);
    let logits: Vec<Vec<f32>> = Path::available()
        .map(|path| {
            let model = Model::with_path(&bundle, path).unwrap();
            Network::new(&model)
                .score_frame(&frame)
                .unwrap()
                .logits
                .to_vec()
        })
        .collect();
    assert!(
        logits.windows(2).all(|pair| pair[0] == pair[1]),
        "{logits:?}"
    );
}

#[test]
fn a_range_that_is_none_is_refused() {
    use genrescope::network::bundle::Weights;
    let mut bundle = integers(&small_cnn(), 11);
    bundle.tensors.insert(
        "block2.range".into(),
        Weights::new(&[2], vec![1.0, -1.0]).unwrap(),
    );
    let error = bundle.check().unwrap_err().to_string();
    assert!(
        error.contains("block2.range") && error.contains("-1"),
        "{error}"
    );
}
