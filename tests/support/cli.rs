//! What tests of the command line share: the program, and sounds for it.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests: each test program uses some of them, and a failure is a failed test"
)]

use std::{
    fs,
    path::Path,
    process::{Command, Output},
};

use genrescope::{
    source::synth::{Style, render},
    units::{SampleRate, Seconds},
};
use serde_json::Value;

/// The program, to be run in `dir`, with no settings but those of the test.
pub(crate) fn command(args: &[&str], dir: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_genrescope"));
    command
        .args(args)
        .current_dir(dir)
        .env_remove("RUST_BACKTRACE")
        .env("GENRESCOPE_CONFIG", dir.join("no-such-config.toml"));
    command
}

pub(crate) fn genrescope(args: &[&str], dir: &Path) -> Output {
    command(args, dir).output().expect("the binary runs")
}

pub(crate) fn lines(output: &Output) -> Vec<Value> {
    stdout(output)
        .lines()
        .map(|line| serde_json::from_str(line).expect("a JSON object a line"))
        .collect()
}

pub(crate) fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("UTF-8")
}

pub(crate) fn stderr(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

pub(crate) fn write_wav(path: &Path, rate: u32, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: 1,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    if let Some(folder) = path.parent() {
        fs::create_dir_all(folder).unwrap();
    }
    let mut writer = hound::WavWriter::create(path, spec).expect("a file in the temporary folder");
    for &sample in samples {
        writer
            .write_sample(sample)
            .expect("space in the temporary folder");
    }
    writer.finalize().expect("space in the temporary folder");
}

pub(crate) fn music(style: Style, seconds: f64, seed: u32) -> Vec<f32> {
    render(
        style,
        SampleRate::new(22_050).unwrap(),
        Seconds(seconds),
        seed.into(),
    )
    .mono()
}

/// A few seconds of music at `path`.
pub(crate) fn song(path: &Path, seed: u32) {
    let style = Style::ALL[seed as usize % Style::ALL.len()];
    write_wav(path, 22_050, &music(style, 4.0, seed));
}
