//! The plugin links neither the command line nor files, sound cards, servers or training. It does link the engine that
//! every product runs.

use std::{env, process::Command};

/// Crates that must not come in, each with all that it stands for.
const DENIED: [&str; 16] = [
    "clap",
    "symphonia",
    "symphonia-adapter-libopus",
    "cpal",
    "ratatui",
    "crossterm",
    "indicatif",
    "hound",
    "axum",
    "tokio",
    "hyper",
    "rumqttc",
    "tungstenite",
    "burn",
    "burn-core",
    "midir",
];

#[test]
fn nothing_foreign_is_linked() {
    let tree = Command::new(env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
        .args([
            "tree",
            "--offline",
            "--locked",
            "--package",
            "genrescope-plugin",
        ])
        .args(["--edges", "normal", "--prefix", "none", "--format", "{p}"])
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .expect("cargo runs");
    assert!(
        tree.status.success(),
        "{}",
        String::from_utf8_lossy(&tree.stderr)
    );
    let listing = String::from_utf8_lossy(&tree.stdout);
    let names: Vec<&str> = listing
        .lines()
        .filter_map(|line| line.split(' ').next())
        .collect();
    for name in ["nice-plug", "tract-core"] {
        assert!(names.contains(&name), "the plugin has {name}");
    }
    let found: Vec<_> = DENIED.iter().filter(|name| names.contains(*name)).collect();
    assert!(found.is_empty(), "the plugin links {found:?}");
}
