//! `cargo xtask bundle genrescope-plugin --release` makes the plugin bundles and says how large they are.

use std::{env, fs, path::Path};

fn main() -> nice_plug_xtask::Result<()> {
    nice_plug_xtask::main()?;
    let arguments: Vec<String> = env::args().collect();
    if arguments.get(1).map(String::as_str) != Some("bundle") {
        return Ok(());
    }
    // The framework has changed to the workspace's folder.
    let target = env::var_os("CARGO_TARGET_DIR").unwrap_or_else(|| "target".into());
    for name in ["genrescope.clap", "genrescope.vst3"] {
        let bundle = Path::new(&target).join("bundled").join(name);
        let bytes = size(&bundle);
        println!("{}: {:.1} MB", bundle.display(), bytes as f64 / 1e6);
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
