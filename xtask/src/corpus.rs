//! `cargo xtask corpus FOLDER [PROGRAM]`: what the program hears of every file of a folder, beside
//! what ffmpeg does. What differs is printed: a file that one of the two cannot read, and lengths.
//!
//! `PROGRAM` is the genrescope to ask; without it, the release build.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    process::{self, Command, Stdio},
};

use serde_json::Value;

/// Lengths may differ by so many seconds (what encoders pad), or by this share.
const SECONDS: f64 = 0.25;
const SHARE: f64 = 0.005;

/// The rate at which ffmpeg's samples are counted.
const RATE: f64 = 8_000.0;

/// Compares, prints, and ends the program: with 1 if anything differs.
pub(crate) fn run(arguments: &[String]) -> ! {
    let Some(folder) = arguments.first() else {
        eprintln!("usage: cargo xtask corpus FOLDER [PROGRAM]");
        process::exit(2);
    };
    let program = arguments
        .get(1)
        .map_or("target/release/genrescope", |name| name);
    let files = files_in(Path::new(folder));
    let mut ours = BTreeMap::new();
    // Named one by one: a walk would go by their extensions.
    for some in files.chunks(500) {
        let output = Command::new(program)
            .args(["classify", "--json", "--skip", "0", "--"])
            .args(some)
            .stderr(Stdio::null())
            .output();
        let output = match output {
            Ok(output) => output,
            Err(error) => {
                eprintln!("{program} does not run: {error}; build it, or name another");
                process::exit(2);
            }
        };
        for line in String::from_utf8_lossy(&output.stdout).lines() {
            if let Ok(value) = serde_json::from_str::<Value>(line)
                && let Some(path) = value["path"].as_str()
            {
                ours.insert(PathBuf::from(path), value.clone());
            }
        }
    }
    let mut n_different = 0;
    for file in &files {
        let answer = ours.get(file).unwrap_or(&Value::Null);
        if let Some(difference) = difference(answer, seconds_of(file)) {
            n_different += 1;
            println!("{}: {difference}", file.display());
        }
    }
    println!("{} files, {n_different} differ", files.len());
    process::exit(i32::from(n_different > 0));
}

/// In words; `None` where both hear the same.
fn difference(answer: &Value, ffmpeg: Option<f64>) -> Option<String> {
    let ours = answer["seconds"].as_f64();
    let notes = &answer["notes"];
    let told = if notes.is_null() {
        String::new()
    } else {
        format!(" ({notes})")
    };
    match (ours, ffmpeg) {
        // It may read a header and find no sound.
        (None, None | Some(0.0)) => None,
        (Some(ours), None) => Some(format!("{ours:.2} s{told}; ffmpeg cannot read it")),
        (None, Some(theirs)) => Some(format!("{}; ffmpeg hears {theirs:.2} s", answer["error"])),
        (Some(ours), Some(theirs)) => {
            let differs = (ours - theirs).abs() > SECONDS.max(SHARE * theirs);
            (differs || !told.is_empty())
                .then(|| format!("{ours:.2} s{told}; ffmpeg hears {theirs:.2} s"))
        }
    }
}

/// Seconds that ffmpeg decodes; `None` if it cannot.
fn seconds_of(file: &Path) -> Option<f64> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "quiet", "-i"])
        .arg(file)
        .args([
            "-map", "0:a:0", "-ac", "1", "-ar", "8000", "-f", "s16le", "-",
        ])
        .stdin(Stdio::null())
        .output()
        .ok()?;
    // A few samples are none at that rate, and no failure.
    let heard = output.status.success() || !output.stdout.is_empty();
    heard.then_some(output.stdout.len() as f64 / 2.0 / RATE)
}

fn files_in(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    let entries = folder.read_dir().into_iter().flatten().flatten();
    for path in entries.map(|entry| entry.path()) {
        if path.is_dir() {
            files.extend(files_in(&path));
        } else if path.is_file() {
            files.push(path);
        }
    }
    files.sort();
    files
}
