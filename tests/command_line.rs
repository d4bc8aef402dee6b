//! What the commands say, and how they end.
#![cfg(feature = "cli")]

#[path = "support/cli.rs"]
mod support;

use std::{
    fs,
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use serde_json::Value;
use support::{command, genrescope, lines, song, stderr, stdout, write_wav};

fn tone(seconds: f64) -> Vec<f32> {
    (0..(22_050.0 * seconds) as u32)
        .map(|i| 0.5 * (f64::from(i) * 0.1).sin() as f32)
        .collect()
}

#[test]
fn a_loud_blink_is_too_short_and_no_silence() {
    let dir = tempfile::tempdir().unwrap();
    for (name, seconds) in [("a.wav", 0.3), ("b.wav", 0.6), ("c.wav", 1.2)] {
        write_wav(&dir.path().join(name), 22_050, &tone(seconds));
    }
    write_wav(&dir.path().join("d.wav"), 22_050, &vec![0.0; 26_460]);
    let output = genrescope(&["classify", "--json", "."], dir.path());
    let states: Vec<Value> = lines(&output)
        .iter()
        .map(|line| line["state"].clone())
        .collect();
    assert_eq!(states, ["too_short", "too_short", "too_short", "silent"]);
    let table = stdout(&genrescope(&["classify", "b.wav"], dir.path()));
    assert!(
        table.contains("too short") && table.contains("0.60 s long; an answer takes 1.35 s"),
        "{table}"
    );
    let output = genrescope(
        &["listen", "--input", "b.wav", "--fast", "--plain"],
        dir.path(),
    );
    assert_eq!(output.status.code(), Some(0));
    let text = stderr(&output);
    assert!(
        text.contains("b.wav") && text.contains("takes 1.35 s"),
        "{text}"
    );
}

#[test]
fn listening_to_a_file_that_breaks_off_says_so() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("whole.wav"), 1);
    let bytes = fs::read(dir.path().join("whole.wav")).unwrap();
    fs::write(dir.path().join("cut.wav"), &bytes[..bytes.len() * 9 / 10]).unwrap();
    for (name, cut) in [("whole.wav", false), ("cut.wav", true)] {
        let args = ["listen", "--input", name, "--fast", "--plain"];
        let output = genrescope(&args, dir.path());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let text = stderr(&output);
        assert_eq!(
            text.contains("cut.wav: cut off before its end"),
            cut,
            "{text}"
        );
    }
}

#[test]
fn standard_input_is_classified_like_a_file() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("a.wav"), 1);
    let file = genrescope(&["classify", "--json", "a.wav"], dir.path());
    let piped = command(&["classify", "--json", "-"], dir.path())
        .stdin(fs::File::open(dir.path().join("a.wav")).unwrap())
        .output()
        .unwrap();
    assert_eq!(piped.status.code(), Some(0), "{}", stderr(&piped));
    let (file, piped) = (&lines(&file)[0], &lines(&piped)[0]);
    assert_eq!(piped["path"], "-");
    assert_eq!(
        (&piped["scores"], &piped["notes"]),
        (&file["scores"], &Value::Null)
    );
    let args = ["classify", "--json", "-o", "x", "--resume", "-"];
    assert_eq!(genrescope(&args, dir.path()).status.code(), Some(2));
}

#[test]
fn a_file_is_answered_once_however_often_it_is_named() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("sub/a.wav"), 1);
    let absolute = fs::canonicalize(dir.path().join("sub/a.wav")).unwrap();
    let args = [
        "classify",
        "--json",
        "sub/a.wav",
        "./sub/a.wav",
        "sub",
        absolute.to_str().unwrap(),
    ];
    let output = genrescope(&args, dir.path());
    let paths: Vec<Value> = lines(&output)
        .iter()
        .map(|line| line["path"].clone())
        .collect();
    assert_eq!(paths, ["sub/a.wav"]);
}

#[cfg(unix)]
#[test]
fn names_in_the_table_differ_line_up_and_cannot_act() {
    let dir = tempfile::tempdir().unwrap();
    let long =
        "a very long name that no terminal has the room for but every file has - live at home.wav";
    for name in ["A/01.wav", "B/01.wav", "日本.wav", "x\x1b[2J\ny.wav", long] {
        song(&dir.path().join("music").join(name), 1);
    }
    let output = genrescope(&["classify", "music"], dir.path());
    let table = stdout(&output);
    assert_eq!(table.lines().count(), 5, "{table}");
    for name in ["A/01.wav  ", "B/01.wav  ", long, "x\\u{1b}[2J\\ny.wav  "] {
        assert!(
            table.lines().any(|line| line.starts_with(name)),
            "{name}: {table}"
        );
    }
    assert!(!table.contains('\x1b'), "{table}");
    let column = |name: &str| {
        let line = table.lines().find(|line| line.starts_with(name)).unwrap();
        let rest = line[name.len()..].trim_start();
        line.len() - rest.len()
    };
    // Two wide characters of three bytes each take four columns.
    assert_eq!(column("日本.wav"), column("A/01.wav") + 2);
    fs::write(dir.path().join("bad\x1b[1m\n.wav"), b"").unwrap();
    let text = stderr(&genrescope(&["classify", "bad\x1b[1m\n.wav"], dir.path()));
    assert!(text.contains("bad\\u{1b}[1m\\n.wav"), "{text}");
    assert_eq!(text.lines().count(), 1, "{text}");
}

#[test]
fn files_in_formats_that_cannot_be_read_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("m/a.wav"), 1);
    for name in ["b.wma", "c.WMA", "d.wv", "cover.jpg"] {
        fs::write(dir.path().join("m").join(name), "x").unwrap();
    }
    let output = genrescope(&["classify", "m"], dir.path());
    assert_eq!(output.status.code(), Some(0));
    assert!(
        stderr(&output)
            .contains("3 files in formats that cannot be read were left out (2 wma, 1 wv)"),
        "{}",
        stderr(&output)
    );
    let help = stdout(&genrescope(&["classify", "--help"], dir.path()));
    for extension in genrescope::source::library::EXTENSIONS {
        assert!(help.contains(extension), "{extension}: {help}");
    }
}

/// Each message says each thing once, and what to do.
#[test]
fn messages_are_for_people() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_wav(&at("r4k.wav"), 4_000, &tone(1.0));
    song(&at("a.wav"), 1);
    fs::create_dir_all(at("one/folder")).unwrap();
    fs::write(at("map.toml"), "[[rule]]\non = \"active\"\naddress = 5\n").unwrap();
    fs::write(at("relative.toml"), "model = \"gone.safetensors\"\n").unwrap();
    let listen = ["listen", "--input", "a.wav", "--fast", "--plain"];
    let with = |more: &[&'static str]| [&listen[..], more].concat();
    let once = |args: &[&str], code: i32, words: &[&str]| {
        let output = genrescope(args, dir.path());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{args:?}: {text}");
        assert_eq!(text.lines().count(), 1, "{args:?}: {text}");
        for word in words {
            assert_eq!(
                text.matches(word).count(),
                1,
                "{args:?}: '{word}' in {text}"
            );
        }
    };
    once(
        &["classify", "r4k.wav"],
        1,
        &["a sample rate of 4000 Hz", "r4k.wav"],
    );
    once(
        &with(&["--json-file", "no/such/f"]),
        2,
        &["there is no folder 'no/such'"],
    );
    once(
        &["--model", "a.wav", "classify", "a.wav"],
        2,
        &["'a.wav' is no model file"],
    );
    once(&["teach", "one", "-o", "m"], 2, &["holds 1 folder;"]);
    once(
        &with(&["--osc", "224.0.0.1"]),
        2,
        &["--osc-multicast", "224.0.0.1"],
    );
    once(
        &with(&["--osc-map", "qlcplus"]),
        2,
        &["--osc-map needs a receiver"],
    );
    once(
        &with(&["--osc-multicast"]),
        2,
        &["--osc-multicast needs a receiver"],
    );
    once(
        &with(&["--osc", "127.0.0.1", "--osc-map", "map.toml"]),
        2,
        &["map.toml", "line 3", "5 does not belong here, but text"],
    );
    let gone = ["--config", "relative.toml", "classify", "a.wav"];
    once(
        &gone,
        2,
        &[
            "configuration file 'relative.toml'",
            "model file 'gone.safetensors'",
        ],
    );
    once(
        &["--config", "relative.toml", "config"],
        2,
        &["'relative.toml'"],
    );
    let help = stdout(&genrescope(&["classify", "--help"], dir.path()));
    assert!(!help.contains("always names a genre"), "{help}");
}

/// A run whose answers nobody can have had does not end as if it had given them.
#[cfg(target_os = "linux")]
#[test]
fn an_output_that_is_closed_or_full_is_an_error() {
    let dir = tempfile::tempdir().unwrap();
    song(&dir.path().join("a.wav"), 1);
    for args in [
        "classify a.wav",
        "classify --json a.wav",
        "listen --input a.wav --fast --json",
        "listen --input a.wav --fast --plain",
        "tag a.wav",
        "model show",
        "config",
        "completions bash",
        "looks example",
        "--help",
        "classify --help",
        "--version",
    ] {
        for output in [">&-", "> /dev/full"] {
            let script = format!("exec \"$0\" {args} {output}");
            let ended = Command::new("sh")
                .args(["-c", &script, env!("CARGO_BIN_EXE_genrescope")])
                .current_dir(dir.path())
                .env("GENRESCOPE_CONFIG", dir.path().join("none.toml"))
                .output()
                .unwrap();
            let told = stderr(&ended);
            assert_eq!(ended.status.code(), Some(2), "{args} {output}: {told}");
            assert_eq!(
                told.matches("standard output").count(),
                1,
                "{args} {output}: {told}"
            );
            let closed = told.contains("it is closed") || args.ends_with("--json");
            assert!(closed || output != ">&-", "{args}: {told}");
        }
    }
    // Nothing is written there: nothing is lost.
    let script = "exec \"$0\" classify -o a.csv a.wav >&-";
    let ended = Command::new("sh")
        .args(["-c", script, env!("CARGO_BIN_EXE_genrescope")])
        .current_dir(dir.path())
        .status()
        .unwrap();
    assert!(ended.success() && dir.path().join("a.csv").is_file());
}

/// Waits until a process has a handler for a signal.
#[cfg(target_os = "linux")]
fn wait_until_caught(process: u32, signal: i32) {
    let since = Instant::now();
    loop {
        let status = std::fs::read_to_string(format!("/proc/{process}/status")).unwrap();
        let caught = status.lines().find_map(|l| l.strip_prefix("SigCgt:"));
        let caught = u64::from_str_radix(caught.unwrap().trim(), 16).unwrap();
        if caught & 1 << (signal - 1) != 0 {
            return;
        }
        assert!(since.elapsed() < Duration::from_secs(30), "no handler");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[cfg(target_os = "linux")]
#[test]
fn a_pipe_that_nobody_writes_to_is_given_up_at_the_first_request() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo")
        .arg(dir.path().join("fifo.wav"))
        .status();
    assert!(made.unwrap().success());
    let classify = &["classify", "--json", "fifo.wav"][..];
    let listen = &["listen", "--plain", "--input", "fifo.wav"][..];
    for (args, signal, number) in [
        (classify, "TERM", 15),
        (classify, "INT", 2),
        (listen, "TERM", 15),
        (listen, "INT", 2),
    ] {
        let mut child = command(args, dir.path())
            .stderr(Stdio::null())
            .stdin(Stdio::null())
            .spawn()
            .unwrap();
        // Before its handler is set, the signal ends it without our code.
        wait_until_caught(child.id(), number);
        let sent = Command::new("kill")
            .args([&format!("-{signal}"), &child.id().to_string()])
            .status();
        assert!(sent.unwrap().success());
        let since = Instant::now();
        let status = loop {
            if let Some(status) = child.try_wait().unwrap() {
                break status;
            }
            if since.elapsed() > Duration::from_secs(30) {
                child.kill().unwrap();
                panic!("{args:?} does not end at SIG{signal}");
            }
            std::thread::sleep(Duration::from_millis(20));
        };
        assert_eq!(status.code(), Some(128 + number), "{args:?} SIG{signal}");
    }
}

#[test]
fn the_recipe_of_a_model_can_be_read() {
    let shown = stdout(&genrescope(&["model", "show"], Path::new(".")));
    assert!(shown.contains("\"seed\": 0"), "{shown}");
    let recipe = shown.split_once("recipe").unwrap().1;
    assert!(
        recipe.lines().take(40).all(|line| line.len() < 130),
        "{shown}"
    );
}
