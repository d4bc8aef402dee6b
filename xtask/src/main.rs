//! `cargo xtask bundle genrescope-plugin --release` makes the plugin bundles and says how large
//! they are. `cargo xtask corpus FOLDER` compares what is heard of files with what ffmpeg hears.

mod corpus;

use std::{env, fs, path::Path};

/// Larger bundles are a mistake, such as a feature that brings in more than it should. In bytes.
const MAX_BUNDLE: u64 = 20_000_000;

fn main() -> nice_plug_xtask::Result<()> {
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).map(String::as_str) == Some("corpus") {
        corpus::run(&arguments[2..]);
    }
    // A release of the plugin has a profile of its own.
    let passed = arguments
        .iter()
        .skip(1)
        .map(|argument| match argument.as_str() {
            "--release" => "--profile=plugin".to_owned(),
            other => other.to_owned(),
        });
    nice_plug_xtask::main_with_args("cargo xtask", passed)?;
    if arguments.get(1).map(String::as_str) != Some("bundle") {
        return Ok(());
    }
    // The framework has changed to the workspace's folder.
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    let is_release = arguments.iter().any(|argument| argument == "--release");
    for name in ["genrescope.clap", "genrescope.vst3"] {
        let bundle = Path::new(&target).join("bundled").join(name);
        let bytes = size(&bundle);
        println!("{}: {:.1} MB", bundle.display(), bytes as f64 / 1e6);
        // Debug builds may be as large as they like.
        if is_release && bytes > MAX_BUNDLE {
            let limit = MAX_BUNDLE as f64 / 1e6;
            eprintln!("warning: {} is larger than {limit} MB", bundle.display());
        }
    }
    Ok(())
}

/// Bytes of a file, or of all files in a folder; 0 where there is nothing.
fn size(path: &Path) -> u64 {
    if path.is_dir() {
        return fs::read_dir(path).map_or(0, |entries| {
            entries.flatten().map(|entry| size(&entry.path())).sum()
        });
    }
    fs::metadata(path).map_or(0, |facts| facts.len())
}
