//! Files that commands write: what is there is kept, and a run that was killed is gone on with.
#![cfg(feature = "cli")]

#[path = "support/cli.rs"]
mod support;

use std::{fs, path::Path};

use support::{genrescope, song, stderr, stdout};

/// Runs `args` and wants this exit code and these words on standard error.
fn told(args: &[&str], dir: &Path, code: i32, words: &[&str]) -> String {
    let output = genrescope(args, dir);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
    for word in words {
        assert!(text.contains(word), "{args:?}: no '{word}' in {text}");
    }
    text
}

#[test]
fn what_is_listened_to_is_never_written_over() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    song(&at("song.wav"), 1);
    fs::hard_link(at("song.wav"), at("other name.wav")).unwrap();
    let before = fs::read(at("song.wav")).unwrap();
    for args in [
        &[
            "classify", "--json", "--force", "-o", "song.wav", "song.wav",
        ][..],
        &[
            "classify",
            "--json",
            "--force",
            "-o",
            "other name.wav",
            "./song.wav",
        ],
        &["classify", "--json", "--force", "-o", "song.wav", "."],
        &[
            "listen",
            "--input",
            "song.wav",
            "--fast",
            "--json-file",
            "song.wav",
        ],
    ] {
        told(args, dir.path(), 2, &["to listen to"]);
    }
    assert_eq!(fs::read(at("song.wav")).unwrap(), before);

    // A folder without music costs nothing either.
    fs::create_dir(at("empty")).unwrap();
    fs::write(at("old.csv"), "old").unwrap();
    told(
        &["classify", "--csv", "--force", "-o", "old.csv", "empty"],
        dir.path(),
        1,
        &["no audio files"],
    );
    assert_eq!(fs::read_to_string(at("old.csv")).unwrap(), "old");
}

#[cfg(unix)]
#[test]
fn teach_replaces_models_but_no_songs_and_no_devices() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    for crate_ in ["a", "b"] {
        for seed in 0..3 {
            let seed = seed + 3 * u32::from(crate_ == "b");
            song(&at(&format!("crates/{crate_}/{seed}.wav")), seed);
        }
    }
    let before = fs::read(at("crates/a/0.wav")).unwrap();
    let teach = |output: &str, words: &[&str]| {
        told(
            &["teach", "crates", "--force", "--output", output],
            dir.path(),
            2,
            words,
        );
    };
    teach("crates/a/0.wav", &["one of the songs"]);
    std::os::unix::fs::symlink(at("crates/a/0.wav"), at("link")).unwrap();
    teach("link", &["one of the songs"]);
    teach("/dev/null", &["a device"]);
    teach("crates", &["a folder"]);
    assert_eq!(fs::read(at("crates/a/0.wav")).unwrap(), before);

    fs::write(at("model"), "old").unwrap();
    std::os::unix::fs::symlink("model", at("latest")).unwrap();
    let args = ["teach", "crates", "--force", "--output", "latest"];
    told(&args, dir.path(), 0, &[]);
    assert!(fs::symlink_metadata(at("latest")).unwrap().is_symlink());
    let shown = stdout(&genrescope(&["model", "show", "model"], dir.path()));
    assert!(shown.contains("a, b"), "{shown}");
    // What was measured on the model below is not said of this one.
    let decision = shown
        .lines()
        .find(|line| line.contains("decision"))
        .unwrap();
    assert!(!decision.contains("accuracy"), "{decision}");
}

#[test]
fn copies_of_a_song_count_once_and_teach_one_genre() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join("crates").join(name);
    for seed in 0..6 {
        let crate_ = if seed < 3 { "a" } else { "b" };
        song(&at(&format!("{crate_}/{seed}.wav")), seed);
    }
    fs::copy(at("a/0.wav"), at("a/copy.wav")).unwrap();
    let args = ["teach", "crates", "--output", "m.safetensors"];
    let text = told(
        &args,
        dir.path(),
        0,
        &["copy.wav' is a copy of", "counts once"],
    );
    assert_eq!(text.lines().count(), 1, "{text}");
    let shown = stdout(&genrescope(&["model", "show", "m.safetensors"], dir.path()));
    assert!(shown.contains("a (3), b (3)"), "{shown}");

    song(&at("b/more.wav"), 7);
    fs::copy(at("a/0.wav"), at("b/9.wav")).unwrap();
    let args = ["teach", "crates", "--output", "n.safetensors"];
    let words = [
        "a/0.wav' and ",
        "b/9.wav' are the same recording",
        "as 'a' and as 'b'",
    ];
    told(
        &args,
        dir.path(),
        2,
        &[&words[..], &["'a' has 2 songs"]].concat(),
    );
}

/// What every cut through an output file must come back to.
fn every_cut_is_mended(format: &str, name: &str) {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    // A name with a quote and a line end in it makes CSV interesting.
    for (name, seed) in [("a.wav", 1), ("b, \"x\".wav", 2), ("c.wav", 3)] {
        song(&at(name), seed);
    }
    fs::write(at("d.wav"), b"").unwrap();
    let run = |more: &[&str]| {
        let args = [&["classify", format, "-o", name, "."], more].concat();
        told(&args, dir.path(), 1, &["d.wav"])
    };
    run(&[]);
    let whole = fs::read(at(name)).unwrap();
    let n = whole.len();
    for cut in [1, 3, 40, n / 3, n / 2, 2 * n / 3, n - 60, n - 1] {
        for zeros in [0, 64] {
            let torn = [&whole[..cut], &vec![0; zeros]].concat();
            let ends_whole = cut == n - 1 && zeros == 0 && format == "--json";
            fs::write(at(name), &torn).unwrap();
            let text = run(&["--resume"]);
            assert_eq!(text.contains("was cut off"), !ends_whole, "{cut}: {text}");
            assert_eq!(
                String::from_utf8_lossy(&fs::read(at(name)).unwrap()),
                String::from_utf8_lossy(&whole),
                "cut at {cut}"
            );
        }
    }
    // A file that stays broken has one line, however often it is tried; one that was mended has its
    // answer.
    run(&["--resume"]);
    let again = run(&["--resume"]);
    assert!(!again.contains("was cut off"), "{again}");
    assert_eq!(fs::read(at(name)).unwrap(), whole);
    song(&at("d.wav"), 4);
    let args = ["classify", format, "-o", name, "--resume", "."];
    told(&args, dir.path(), 0, &["3 of 4 files were in the output"]);
    let text = fs::read_to_string(at(name)).unwrap();
    assert_eq!(text.matches("d.wav").count(), 1, "{text}");
    // By any of its names.
    let absolute = fs::canonicalize(at("a.wav")).unwrap();
    let args = [
        "classify",
        format,
        "-o",
        name,
        "--resume",
        absolute.to_str().unwrap(),
    ];
    told(&args, dir.path(), 0, &["the file was in the output"]);
    assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
}

#[test]
fn json_that_was_cut_off_anywhere_is_gone_on_with() {
    every_cut_is_mended("--json", "genres.jsonl");
}

#[test]
fn csv_that_was_cut_off_anywhere_is_gone_on_with() {
    every_cut_is_mended("--csv", "genres.csv");
}

#[cfg(target_os = "linux")]
#[test]
fn names_that_are_no_text_are_known_again() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    song(
        &dir.path()
            .join("m")
            .join(std::ffi::OsStr::from_bytes(b"caf\xe9.wav")),
        1,
    );
    told(
        &["classify", "--csv", "-o", "g.csv", "m"],
        dir.path(),
        0,
        &[],
    );
    let args = ["classify", "--csv", "-o", "g.csv", "--resume", "m"];
    told(&args, dir.path(), 0, &["the file was in the output"]);
}

#[test]
fn nothing_is_appended_to_what_something_else_wrote() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    song(&at("a.wav"), 1);
    told(
        &["classify", "--csv", "-o", "genres.csv", "a.wav"],
        dir.path(),
        0,
        &[],
    );
    told(
        &["classify", "--json", "-o", "genres.jsonl", "a.wav"],
        dir.path(),
        0,
        &[],
    );
    let csv = fs::read_to_string(at("genres.csv")).unwrap();
    for (name, text) in [
        ("notes.txt", "remember the milk\n"),
        ("todo", "milk"),
        ("settings.json", "{\"a\": 1}\n"),
        ("genres.csv", csv.as_str()),
    ] {
        fs::write(at(name), text).unwrap();
        told(
            &["classify", "--json", "-o", name, "--resume", "a.wav"],
            dir.path(),
            2,
            &[name],
        );
        let listen = [
            "listen",
            "--input",
            "a.wav",
            "--fast",
            "--plain",
            "--json-file",
            name,
        ];
        told(&listen, dir.path(), 2, &[name, "something else"]);
        assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
    }
    let json = fs::read_to_string(at("genres.jsonl")).unwrap();
    for (name, text) in [
        ("notes.txt", "remember the milk\n"),
        ("todo", "milk"),
        ("genres.jsonl", json.as_str()),
        ("table.csv", "path,genre\na,b\n"),
    ] {
        fs::write(at(name), text).unwrap();
        told(
            &["classify", "--csv", "-o", name, "--resume", "a.wav"],
            dir.path(),
            2,
            &[name],
        );
        assert_eq!(fs::read_to_string(at(name)).unwrap(), text);
    }
    // Its own messages are gone on with, without the half of one that a loss of power left.
    let listen = [
        "listen",
        "--input",
        "a.wav",
        "--fast",
        "--plain",
        "--json-file",
        "log",
    ];
    told(&listen, dir.path(), 0, &[]);
    let once = fs::read_to_string(at("log")).unwrap();
    fs::write(at("log"), format!("{once}{{\"v\":1,\"ty")).unwrap();
    told(&listen, dir.path(), 0, &["was cut off"]);
    let twice = fs::read_to_string(at("log")).unwrap();
    assert!(twice.starts_with(&once));
    assert_eq!(twice.lines().count(), 2 * once.lines().count());
    assert!(
        twice
            .lines()
            .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
    );
}

#[test]
fn a_csv_file_says_its_model_and_takes_no_other() {
    let builtin = genrescope::network::Model::builtin().card().name.clone();
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("a.wav"), 1);
    told(
        &["classify", "--csv", "-o", "g.csv", "a.wav"],
        dir.path(),
        0,
        &[],
    );
    let text = fs::read_to_string(dir.path().join("g.csv")).unwrap();
    let column = text
        .lines()
        .next()
        .unwrap()
        .split(',')
        .position(|name| name == "model");
    let row: Vec<&str> = text.lines().nth(1).unwrap().split(',').collect();
    assert_eq!(row[column.unwrap()], builtin.as_str(), "{text}");
    song(&dir.path().join("b.wav"), 2);
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cnn-paper.safetensors");
    let paper = paper.to_str().unwrap();
    told(
        &[
            "classify", "--csv", "-o", "g.csv", "--resume", "--model", paper, "b.wav",
        ],
        dir.path(),
        2,
        &[&format!("another model ({builtin})")],
    );
    // From before the column was there.
    let old: String = text
        .lines()
        .map(|line| {
            let mut values: Vec<&str> = line.split(',').collect();
            values.remove(column.unwrap());
            values.join(",") + "\n"
        })
        .collect();
    fs::write(dir.path().join("old.csv"), old).unwrap();
    let args = ["classify", "--csv", "-o", "old.csv", "--resume", "b.wav"];
    told(&args, dir.path(), 2, &["does not say which model"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_is_told_with_the_name_of_the_file() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("a.wav"), 1);
    let full = "/dev/full";
    let run = format!(
        "exec '{}' classify --json a.wav > {full}",
        env!("CARGO_BIN_EXE_genrescope")
    );
    let output = std::process::Command::new("sh")
        .args(["-c", &run])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let text = stderr(&output);
    assert!(
        text.contains("cannot write standard output: No space"),
        "{text}"
    );
    let args = [
        "listen",
        "--input",
        "a.wav",
        "--fast",
        "--plain",
        "--json-file",
        full,
    ];
    let text = told(
        &args,
        dir.path(),
        0,
        &["cannot write json to '/dev/full': No space"],
    );
    assert_eq!(text.matches("No space").count(), 1, "{text}");
}
