//! The second trunk through ours: the same numbers as the original PyTorch run (mn04_oracle.npz).

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking and say what they skip"
)]

mod npz;
#[path = "../../tests/support/skip.rs"]
mod skip;

use std::path::{Path, PathBuf};

use burn::tensor::{Device, Tensor, TensorData};
use genrescope::units::SampleRate;
use genrescope_train::{
    audio::converted,
    mobilenet::{
        Answers, CLASSES, HIDDEN, Mobilenet, POOLED, Params,
        log_mel::{BANDS, FLOOR, LogMel},
    },
};
use npz::array;

const COLUMNS: usize = 1000;

/// `data/reference/mn04`, or `None` with a message that says why the test does not run.
fn reference() -> Option<PathBuf> {
    let data = std::env::var_os("GENRESCOPE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../../shared/data"),
        PathBuf::from,
    );
    let folder = data.join("reference/mn04");
    if folder.join("mn04_oracle.npz").exists() {
        return Some(folder);
    }
    skip::skip(
        "data",
        format_args!(
            "there is no {}; GENRESCOPE_DATA names the data folder",
            folder.join("mn04_oracle.npz").display()
        ),
    );
    None
}

fn network(folder: &Path) -> Mobilenet {
    let file = std::fs::read(folder.join("mn04_as.safetensors")).unwrap();
    Mobilenet::new(&Params::read(&file).unwrap(), &Device::flex())
}

fn asked(net: &Mobilenet, mel: &[f32]) -> Answers {
    let data = TensorData::new(mel.to_vec(), [1, 1, BANDS, COLUMNS]);
    net.forward(Tensor::from_data(data, &Device::flex()))
}

fn largest(a: &[f32], b: &[f32]) -> f32 {
    assert_eq!(a.len(), b.len());
    a.iter()
        .zip(b)
        .map(|(a, b)| (a - b).abs())
        .fold(0.0, f32::max)
}

fn values(tensor: Tensor<2>) -> Vec<f32> {
    tensor.into_data().try_to_vec().unwrap()
}

/// Full scale 1, at 32 kHz.
fn songs(oracle: &Path) -> Vec<Vec<f32>> {
    let (shape, samples) = array(oracle, "pcm_s16");
    assert_eq!(shape, [2, 320_000]);
    let songs = samples.chunks_exact(320_000);
    songs
        .map(|song| song.iter().map(|x| x / 32_768.0).collect())
        .collect()
}

#[test]
fn at_32_khz_it_is_the_published_network() {
    let Some(folder) = reference() else { return };
    let oracle = folder.join("mn04_oracle.npz");
    let net = network(&folder);
    let front_end = LogMel::new(32_000);
    let ask = |name: &str| array(&oracle, name).1;
    let (mels, pooled, hidden, logits) = (ask("mel"), ask("pooled"), ask("hidden"), ask("logits"));
    for (i, song) in songs(&oracle).iter().enumerate() {
        let mel = front_end.bands(song).unwrap();
        let rows = |all: &[f32], n: usize| all[i * n..(i + 1) * n].to_vec();
        let of_mel = largest(&mel, &rows(&mels, BANDS * COLUMNS));
        let answers = asked(&net, &mel);
        let of_pooled = largest(&values(answers.pooled), &rows(&pooled, POOLED));
        let of_hidden = largest(&values(answers.hidden), &rows(&hidden, HIDDEN));
        let of_logits = largest(&values(answers.logits), &rows(&logits, CLASSES));
        println!(
            "song {i}: mel {of_mel:.1e}, pooled {of_pooled:.1e}, hidden {of_hidden:.1e}, logits {of_logits:.1e}"
        );
        assert!(of_mel < 1e-3 && of_pooled < 1e-3 && of_hidden < 1e-3 && of_logits < 1e-3);
    }
}

#[test]
fn at_12_khz_it_hears_what_is_left_of_that() {
    let Some(folder) = reference() else { return };
    let oracle = folder.join("mn04_oracle.npz");
    let net = network(&folder);
    let (_, mels) = array(&oracle, "mel");
    let front_end = LogMel::new(12_000);
    let rate = |hz| SampleRate::new(hz).unwrap();
    for (i, song) in songs(&oracle).iter().enumerate() {
        let heard = converted(song, rate(32_000), rate(12_000));
        let mel = front_end.bands(&heard[..120_000]).unwrap();
        // Below 4.6 kHz all is there.
        let mut theirs = mels[i * BANDS * COLUMNS..(i + 1) * BANDS * COLUMNS].to_vec();
        let n = 84 * COLUMNS;
        let apart: f32 = mel[..n]
            .iter()
            .zip(&theirs)
            .map(|(a, b)| (a - b).abs())
            .sum();
        let (mean, most) = (apart / n as f32, largest(&mel[..n], &theirs[..n]));
        // The network on the published bands, without those that 12 kHz cannot hold.
        theirs[94 * COLUMNS..].fill(FLOOR);
        let scores = |mel: &[f32]| -> Vec<f32> {
            let logits = values(asked(&net, mel).logits);
            logits.iter().map(|z| 1.0 / (1.0 + (-z).exp())).collect()
        };
        let of_scores = largest(&scores(&mel), &scores(&theirs));
        println!("song {i}: mel, mean {mean:.1e}, most {most:.2}; scores {of_scores:.3}");
        assert!(mean < 2e-3 && most < 0.2 && of_scores < 0.1);
    }
}
