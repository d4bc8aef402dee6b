//! Builds the plugin as it ships and makes the bundles that hosts load.
//!
//! Cargo builds no dynamic library for a test, so this asks for it: with the plugin's own features
//! alone, not with those that the tests' own dependencies bring in, but for one: a block that
//! allocates aborts the host. With `GENRESCOPE_BUNDLED=FOLDER` (absolute) the bundles that
//! `cargo xtask bundle` wrote there are loaded instead.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
    process::Command,
};

#[path = "../../../tests/support/random.rs"]
mod random;

pub(crate) use random::Random;

/// Finished bundles, where they are given.
fn bundled(name: &str) -> Option<PathBuf> {
    let path = PathBuf::from(env::var_os("GENRESCOPE_BUNDLED")?).join(name);
    assert!(path.exists(), "GENRESCOPE_BUNDLED: no {}", path.display());
    Some(path)
}

/// The plugin's dynamic library.
fn library() -> PathBuf {
    let output = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args(["build", "--locked", "--lib"])
        .args(["--package", "genrescope-plugin"])
        .args(["--features", "assert_process_allocs"])
        .args(["--message-format", "json-render-diagnostics"])
        .args((!cfg!(debug_assertions)).then_some("--release"))
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    let messages = String::from_utf8_lossy(&output.stdout);
    let name = format!("genrescope_plugin{}", env::consts::DLL_SUFFIX);
    messages
        .lines()
        .filter_map(|line| serde_json::from_str::<serde_json::Value>(line).ok())
        .flat_map(|message| match &message["filenames"] {
            serde_json::Value::Array(names) => names.clone(),
            _ => Vec::new(),
        })
        .filter_map(|file| file.as_str().map(PathBuf::from))
        .find(|path| path.to_string_lossy().ends_with(&name))
        .unwrap_or_else(|| panic!("cargo build: {}", String::from_utf8_lossy(&output.stderr)))
}

/// `genrescope.clap` in `folder`, or a finished one.
pub(crate) fn clap(folder: &Path) -> PathBuf {
    if let Some(finished) = bundled("genrescope.clap") {
        return finished;
    }
    let bundle = folder.join("genrescope.clap");
    fs::copy(library(), &bundle).expect("the bundle can be written");
    bundle
}

/// `genrescope.vst3` in `folder`, laid out as Linux hosts expect it, or a finished one.
pub(crate) fn vst3(folder: &Path) -> PathBuf {
    if let Some(finished) = bundled("genrescope.vst3") {
        return finished;
    }
    let bundle = folder.join("genrescope.vst3");
    let place = bundle
        .join("Contents")
        .join(format!("{}-linux", env::consts::ARCH));
    fs::create_dir_all(&place).expect("the bundle can be written");
    fs::copy(library(), place.join("genrescope.so")).expect("the bundle can be written");
    bundle
}
