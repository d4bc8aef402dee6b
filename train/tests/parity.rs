//! Keras networks through ours: of small files the same numbers as computed layer by layer
//! (`keras/make_keras.py`), of the reference's networks the same as the original run's
//! (oracle.npz).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking and say what they skip"
)]

mod npz;
#[path = "../../tests/support/skip.rs"]
mod skip;

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
};

use burn::tensor::Device;
use genrescope::genre::Labels;
use genrescope::network::{
    Bundle, Model, Network,
    architecture::{Head, Pooling},
    bundle::Weights,
};
use genrescope_train::{
    keras::{Form, Regime, import},
    trainable::{Differentiable, Trainable, batch, floats},
    transfer,
};
use npz::array;

const AUTHORS: &str = "crnn_net_gru_adam_ours_epoch_40.h5";
const CHOI_CRNN: &str = "music_tagger_crnn_weights_theano.h5";
const CHOI_CNN: &str = "music_tagger_cnn_weights_theano.h5";

/// `data/reference`, or `None` with a message that says why the test does not run.
fn reference() -> Option<PathBuf> {
    let data = std::env::var_os("GENRESCOPE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let reference = data.join("reference");
    if reference.join("oracle.npz").exists() {
        return Some(reference);
    }
    skip::skip(
        "data",
        format_args!(
            "there is no {}; GENRESCOPE_DATA names the data folder",
            reference.join("oracle.npz").display()
        ),
    );
    None
}

/// The four published pictures as frames `[column, band]`.
fn frames(reference: &Path) -> Vec<Vec<f32>> {
    let (shape, values) = array(&reference.join("oracle.npz"), "mel_db");
    assert_eq!(shape, [4, 1, 96, 1366]);
    values
        .chunks(96 * 1366)
        .map(|picture| {
            (0..1366)
                .flat_map(|column| (0..96).map(move |band| picture[band * 1366 + column]))
                .collect()
        })
        .collect()
}

fn sigmoid(logits: &[f32]) -> Vec<f32> {
    logits
        .iter()
        .map(|logit| 1.0 / (1.0 + (-logit).exp()))
        .collect()
}

fn ranks(scores: &[f32]) -> Vec<usize> {
    let mut order: Vec<usize> = (0..scores.len()).collect();
    order.sort_by(|&a, &b| scores[b].total_cmp(&scores[a]));
    order
}

fn largest_difference(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

/// Runs `bundle` over the four pictures and compares scores (and embeddings) with the oracle's.
fn compare(
    reference: &Path,
    bundle: &Bundle,
    scores: Option<&str>,
    embedding: Option<&str>,
    tolerance: f32,
) {
    let oracle = reference.join("oracle.npz");
    let expected = |name: Option<&str>| name.map(|name| array(&oracle, name).1);
    let (expected_scores, expected_embedding) = (expected(scores), expected(embedding));
    let model = Model::from_bundle(bundle).unwrap();
    let mut network = Network::new(&model);
    for (index, frame) in frames(reference).iter().enumerate() {
        let scored = network.score_frame(frame).unwrap();
        if let Some(expected) = &expected_scores {
            let (scores, n) = (sigmoid(scored.logits), scored.logits.len());
            let expected = &expected[index * n..][..n];
            let difference = largest_difference(&scores, expected);
            println!(
                "{} picture {index}: scores differ by {difference:.1e}",
                bundle.card.name
            );
            assert!(difference <= tolerance, "scores differ by {difference}");
            assert_eq!(ranks(&scores), ranks(expected));
        }
        if let Some(expected) = &expected_embedding {
            let n = scored.embedding.len();
            let difference = largest_difference(scored.embedding, &expected[index * n..][..n]);
            println!(
                "{} picture {index}: features differ by {difference:.1e}",
                bundle.card.name
            );
            assert!(difference <= tolerance, "features differ by {difference}");
        }
    }
}

/// A file of `keras/`, made by the script there, with what it says of [`made_up_picture`].
fn small(name: &str) -> (PathBuf, Vec<f32>) {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/keras");
    let scores = std::fs::read_to_string(folder.join("scores.json")).unwrap();
    let mut scores: BTreeMap<String, Vec<f32>> = serde_json::from_str(&scores).unwrap();
    (
        folder.join(format!("{name}.h5")),
        scores.remove(name).unwrap(),
    )
}

/// `picture()` of the script, column by column.
fn made_up_picture() -> Vec<f32> {
    (0..1_366)
        .flat_map(|column| {
            let column = f64::from(column);
            (0..96).map(move |band| {
                let wave = (0.37 * f64::from(band) + 0.011 * column).sin();
                (-40.0 + 25.0 * wave * (0.05 * column).cos()) as f32
            })
        })
        .collect()
}

#[test]
fn weights_of_a_keras_file_give_the_scores_of_keras() {
    for (name, regime) in [("cnn", Regime::ZScore), ("crnn", Regime::Readme)] {
        let (file, expected) = small(name);
        let bundle = import(&file, regime, Form::Reference).unwrap();
        let mut network = Network::new(&Model::from_bundle(&bundle).unwrap());
        let scores = sigmoid(network.score_frame(&made_up_picture()).unwrap().logits);
        let difference = largest_difference(&scores, &expected);
        println!("{name}: scores differ by {difference:.1e}");
        assert!(difference < 1e-5, "{name}: {scores:?} {expected:?}");
        // Scores that say nothing would agree, too.
        let spread = scores
            .iter()
            .fold(0.0f32, |most, s| most.max((s - 0.5).abs()));
        let saturated = scores.iter().all(|s| (s - 0.5).abs() > 0.499);
        assert!(spread > 0.1 && !saturated, "{name}: {scores:?}");
    }
}

#[test]
fn the_authors_crnn_in_the_readme_regime() {
    let Some(reference) = reference() else { return };
    let bundle = import(&reference.join(AUTHORS), Regime::Readme, Form::Reference).unwrap();
    compare(&reference, &bundle, Some("authors_crnn_scores"), None, 1e-4);
}

#[test]
fn chois_crnn_in_the_readme_regime() {
    let Some(reference) = reference() else { return };
    let bundle = import(&reference.join(CHOI_CRNN), Regime::Readme, Form::Reference).unwrap();
    let (tags, features) = (
        "choi_crnn_tags_readme_regime",
        "choi_crnn_feat_readme_regime",
    );
    compare(&reference, &bundle, Some(tags), Some(features), 1e-4);
}

#[test]
fn chois_crnn_in_the_z_score_regime() {
    let Some(reference) = reference() else { return };
    let mut bundle = import(&reference.join(CHOI_CRNN), Regime::ZScore, Form::Reference).unwrap();
    compare(
        &reference,
        &bundle,
        Some("zscore_crnn_tags"),
        Some("zscore_crnn_feat"),
        1e-3,
    );

    // The trunk's columns: the same blocks, flattened instead of read by GRUs. [channel, column]
    // there, [column, channel] in the oracle.
    let architecture = &mut bundle.card.architecture;
    (architecture.pooling, architecture.cycle_after) = (Pooling::Flatten, Some(4));
    bundle.tensors.retain(|name, _| !name.starts_with("gru"));
    let labels = bundle.card.labels.len();
    let blank = Weights::new(&[labels, 15 * 128], vec![0.0; labels * 15 * 128]).unwrap();
    bundle.tensors.insert("output.weight".into(), blank);
    let (shape, expected) = array(&reference.join("oracle.npz"), "zscore_crnn_columns");
    assert_eq!(shape, [4, 15, 128]);
    let mut network = Network::new(&Model::from_bundle(&bundle).unwrap());
    for (frame, expected) in frames(&reference).iter().zip(expected.chunks(15 * 128)) {
        let columns = network.score_frame(frame).unwrap().embedding;
        let columns: Vec<f32> = (0..15)
            .flat_map(|t| (0..128).map(move |c| columns[c * 15 + t]))
            .collect();
        let difference = largest_difference(&columns, expected);
        println!("columns differ by {difference:.1e}");
        assert!(difference <= 1e-3, "columns differ by {difference}");
    }
}

#[test]
fn chois_cnn_in_the_z_score_regime() {
    let Some(reference) = reference() else { return };
    let bundle = import(&reference.join(CHOI_CNN), Regime::ZScore, Form::Reference).unwrap();
    compare(
        &reference,
        &bundle,
        Some("zscore_cnn_tags"),
        Some("zscore_cnn_feat"),
        1e-3,
    );
}

/// Our own form starts from these weights: with one scalar for `bn_0_freq` it must still hear the
/// same things.
#[test]
fn the_shift_invariant_form_hears_the_same() {
    let Some(reference) = reference() else { return };
    let (_, tags) = array(&reference.join("oracle.npz"), "zscore_cnn_tags");
    let bundle = import(
        &reference.join(CHOI_CNN),
        Regime::ZScore,
        Form::ShiftInvariant,
    )
    .unwrap();
    assert_eq!(
        bundle.card.architecture.head,
        Head {
            hidden: None,
            ..bundle.card.architecture.head
        }
    );
    let mut network = Network::new(&Model::from_bundle(&bundle).unwrap());
    for (frame, tags) in frames(&reference).iter().zip(tags.chunks(50)) {
        let scores = sigmoid(network.score_frame(frame).unwrap().logits);
        assert_eq!(ranks(&scores)[0], ranks(tags)[0]);
        let difference = largest_difference(&scores, tags);
        println!("tags differ by {difference:.3}");
        assert!(difference < 0.1, "tags differ by {difference}");
    }
}

#[test]
fn what_is_no_reference_file_is_named() {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.toml");
    let error = import(&file, Regime::ZScore, Form::Reference)
        .unwrap_err()
        .to_string();
    assert!(error.contains("Cargo.toml"), "{error}");
}

/// What training starts from is what the product runs: both taggers, in the shift-invariant form.
#[test]
fn the_trainer_starts_from_the_taggers() {
    let Some(reference) = reference() else { return };
    for file in [CHOI_CNN, CHOI_CRNN] {
        let path = reference.join(file);
        let bundle = import(&path, Regime::ZScore, Form::ShiftInvariant).unwrap();
        let card = &bundle.card;
        let mut front_end = card.front_end.clone();
        // The floor of the published pictures lies below that of our own models.
        front_end.floor_db = -400.0;
        let labels = Labels::new(["one", "two"]).unwrap();
        let empty = Trainable::new(card.architecture.clone(), front_end, labels).unwrap();
        let (net, tagger) = transfer::choi(&path, empty).unwrap();
        let differentiable = Differentiable::new(&net);
        let model = Model::from_bundle(&bundle).unwrap();
        let mut network = Network::new(&model);
        let frame = &frames(&reference)[0];
        // A whole frame, and a few seconds.
        for columns in [1_366, 500] {
            let frame = &frame[..columns * 96];
            let scored = network.score_frame(frame).unwrap();
            let x = batch([&net.input(frame)], &Device::flex());
            let ours = floats(differentiable.forward(x, 0, None).embedding);
            let difference = largest_difference(scored.embedding, &ours);
            assert!(
                difference < 1e-4,
                "{file}: embeddings differ by {difference}"
            );
            let difference = largest_difference(&sigmoid(scored.logits), &tagger.scores(&ours));
            assert!(difference < 1e-4, "{file}: tags differ by {difference}");
        }
    }
}
