//! `genrescope classify` and `teach`, as a user meets them.
#![cfg(feature = "cli")]

#[path = "support/random.rs"]
mod random;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/cli.rs"]
mod support;

use std::{fs, io::Write, path::Path, process::Command};

use genrescope::{source::synth::Style, units::SampleRate};
use random::Random;
use serde_json::Value;
use support::{genrescope, lines, music, stderr, write_wav};

#[test]
fn a_folder_with_broken_files_is_told_file_by_file() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_wav(&at("a music.wav"), 22_050, &music(Style::ALL[0], 32.0, 1));
    write_wav(&at("b short.wav"), 22_050, &music(Style::ALL[1], 6.0, 1));
    write_wav(&at("c silent.wav"), 44_100, &vec![0.0; 44_100 * 31]);
    write_wav(&at("d nan.wav"), 44_100, &vec![f32::NAN; 44_100 * 2]);
    write_wav(&at("e blink.wav"), 44_100, &vec![0.5; 4_410]);
    fs::write(at("f empty.wav"), b"").unwrap();
    fs::write(at("g garbage.mp3"), [0x5a_u8; 5_000]).unwrap();
    fs::write(at("h notes.txt"), b"not looked at").unwrap();
    fs::copy(at("a music.wav"), at("i mislabelled.mp3")).unwrap();
    let whole = fs::read(at("a music.wav")).unwrap();
    fs::write(at("j truncated.wav"), &whole[..whole.len() / 3]).unwrap();

    let output = genrescope(&["classify", "--json", "."], dir.path());
    assert_eq!(output.status.code(), Some(1), "{}", stderr(&output));
    let lines = lines(&output);
    let by_name = |name: &str| {
        let found = lines
            .iter()
            .find(|line| line["path"].as_str().unwrap().contains(name));
        found
            .unwrap_or_else(|| panic!("no line for {name}"))
            .clone()
    };
    assert_eq!(
        lines.len(),
        9,
        "one line a file, in their order, and none for what is no audio file"
    );
    let paths: Vec<_> = lines
        .iter()
        .map(|line| line["path"].as_str().unwrap())
        .collect();
    assert!(paths.is_sorted(), "{paths:?}");

    let song = by_name("a music");
    assert_eq!(
        (&song["type"], &song["frames"], &song["short"]),
        (&"song".into(), &1.into(), &false.into())
    );
    let scores = song["scores"].as_object().unwrap();
    let sum: f64 = scores.values().map(|score| score.as_f64().unwrap()).sum();
    assert!((sum - 1.0).abs() < 1e-2, "{sum}");
    assert_eq!(
        song["scores"],
        by_name("i mislabelled")["scores"],
        "by content, not by extension"
    );
    let short = by_name("b short");
    assert_eq!(
        (&short["frames"], &short["short"]),
        (&1.into(), &true.into())
    );
    for (name, state) in [
        ("c silent", "silent"),
        ("d nan", "silent"),
        ("e blink", "too_short"),
    ] {
        let line = by_name(name);
        assert_eq!(
            (&line["state"], &line["genre"]),
            (&state.into(), &Value::Null),
            "{name}"
        );
    }
    for name in ["f empty", "g garbage"] {
        let line = by_name(name);
        assert_eq!(line["type"], "error");
        assert!(
            line["error"].as_str().unwrap().contains(name),
            "the reason names the file: {line}"
        );
        assert!(stderr(&output).contains(name));
    }
    assert!(
        by_name("j truncated")["notes"][0]
            .as_str()
            .unwrap()
            .contains("cut off")
    );
}

/// A radio recording: the station changes its rate, and is heard on.
#[test]
fn a_stream_that_changes_its_rate_is_answered_as_a_whole() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    write_wav(&at("a.wav"), 22_050, &music(Style::ALL[0], 12.0, 1));
    let ogg = |rate: &str, out: &str| {
        Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i", "a.wav"])
            .args(["-c:a", "flac", "-ar", rate, out])
            .current_dir(dir.path())
            .status()
            .is_ok_and(|status| status.success())
    };
    if !ogg("44100", "first.ogg") || !ogg("24000", "second.ogg") {
        skip::skip("ffmpeg", "there is no ffmpeg on the PATH that writes ogg");
        return;
    }
    let mut bytes = fs::read(at("first.ogg")).unwrap();
    bytes.extend(fs::read(at("second.ogg")).unwrap());
    fs::write(at("both.ogg"), bytes).unwrap();

    let output = genrescope(&["classify", "--json", "both.ogg"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = &lines(&output)[0];
    assert!(line["notes"].is_null(), "{line}");
    let seconds = line["seconds"].as_f64().unwrap();
    assert!((23.8..24.2).contains(&seconds), "{seconds}");
}

#[test]
fn ten_hours_are_heard_in_bounded_memory() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("ten hours.wav");
    let samples: u32 = 10 * 3600 * 12_000;
    let mut header = Vec::new();
    let size = 2 * samples;
    header.write_all(b"RIFF").unwrap();
    header.extend((36 + size).to_le_bytes());
    header.write_all(b"WAVEfmt ").unwrap();
    header.extend(16_u32.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(1_u16.to_le_bytes());
    header.extend(12_000_u32.to_le_bytes());
    header.extend(24_000_u32.to_le_bytes());
    header.extend(2_u16.to_le_bytes());
    header.extend(16_u16.to_le_bytes());
    header.write_all(b"data").unwrap();
    header.extend(size.to_le_bytes());
    let mut file = fs::File::create(&path).unwrap();
    file.write_all(&header).unwrap();
    // A hole reads as zeros and takes no space.
    file.set_len(u64::from(size) + header.len() as u64).unwrap();
    drop(file);
    // The shell's limit on address space is the witness: the file alone has 864 MB.
    let command = format!(
        "ulimit -v 700000; exec '{}' classify --json .",
        env!("CARGO_BIN_EXE_genrescope")
    );
    let output = Command::new("sh")
        .args(["-c", &command])
        .current_dir(dir.path())
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = &lines(&output)[0];
    assert_eq!(
        (&line["state"], &line["seconds"]),
        (&"silent".into(), &36_000.0.into())
    );
}

#[test]
fn an_output_file_is_never_overwritten_unasked_and_can_be_resumed() {
    let dir = tempfile::tempdir().unwrap();
    write_wav(
        &dir.path().join("one.wav"),
        22_050,
        &music(Style::ALL[0], 5.0, 1),
    );
    let run = |args: &[&str]| genrescope(&[&["classify", "."], args].concat(), dir.path());
    let first = run(&["--csv", "-o", "genres.csv"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let again = run(&["--csv", "-o", "genres.csv"]);
    assert_eq!(again.status.code(), Some(2));
    assert!(
        stderr(&again).contains("--force") && stderr(&again).contains("--resume"),
        "{}",
        stderr(&again)
    );

    write_wav(
        &dir.path().join("two.wav"),
        22_050,
        &music(Style::ALL[1], 5.0, 1),
    );
    let resumed = run(&["--csv", "-o", "genres.csv", "--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    assert!(stderr(&resumed).contains("1 of 2 files were in the output file already"));
    let text = fs::read_to_string(dir.path().join("genres.csv")).unwrap();
    assert_eq!(text.lines().count(), 3, "{text}");
    assert!(
        text.starts_with("path,genre,confidence,state,frames,seconds,short,error,"),
        "{text}"
    );

    // Answers of two models do not belong into one file; an empty one is begun.
    let first = run(&["--json", "-o", "one_model.jsonl"]);
    assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
    let paper = Path::new(env!("CARGO_MANIFEST_DIR")).join("models/cnn-paper.safetensors");
    let mixed = run(&[
        "--json",
        "-o",
        "one_model.jsonl",
        "--resume",
        "--model",
        paper.to_str().unwrap(),
    ]);
    assert_eq!(mixed.status.code(), Some(2), "{}", stderr(&mixed));
    assert!(
        stderr(&mixed).contains("another model (genrescope-ears-1)"),
        "{}",
        stderr(&mixed)
    );
    fs::write(dir.path().join("empty.csv"), "").unwrap();
    let begun = run(&["--csv", "-o", "empty.csv", "--resume"]);
    assert_eq!(begun.status.code(), Some(0), "{}", stderr(&begun));
    let begun = fs::read_to_string(dir.path().join("empty.csv")).unwrap();
    assert!(begun.starts_with("path,genre,"), "{begun}");

    // A run that was killed in the middle of a line.
    let full = run(&["--json", "-o", "genres.jsonl"]);
    assert_eq!(full.status.code(), Some(0), "{}", stderr(&full));
    let text = fs::read_to_string(dir.path().join("genres.jsonl")).unwrap();
    fs::write(dir.path().join("genres.jsonl"), &text[..text.len() - 20]).unwrap();
    let resumed = run(&["--json", "-o", "genres.jsonl", "--resume"]);
    assert_eq!(resumed.status.code(), Some(0), "{}", stderr(&resumed));
    let repaired = fs::read_to_string(dir.path().join("genres.jsonl")).unwrap();
    let paths: Vec<String> = repaired
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .map(|line| line["path"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(paths, ["./one.wav", "./two.wav"]);
}

#[test]
fn what_cannot_be_done_is_said_with_exit_code_2() {
    let dir = tempfile::tempdir().unwrap();
    for (args, words) in [
        (&["classify"][..], "PATH"),
        (&["classify", "--skip", "-3", "x.wav"], "skip"),
        (&["classify", "--unsure-below", "7", "x.wav"], "0 to 1"),
        (
            &["--model", "none.safetensors", "classify", "x.wav"],
            "none.safetensors",
        ),
        (&["model", "show", "none.safetensors"], "none.safetensors"),
        (&["teach", ".", "--output", "m.safetensors"], "two or more"),
    ] {
        let output = genrescope(args, dir.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        assert!(
            stderr(&output).contains(words),
            "{args:?}: {}",
            stderr(&output)
        );
    }
    fs::write(dir.path().join("no.safetensors"), [0_u8; 64]).unwrap();
    let output = genrescope(&["model", "show", "no.safetensors"], dir.path());
    assert_eq!(output.status.code(), Some(2));
    assert!(
        stderr(&output).contains("no.safetensors"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn a_timeline_and_frames_are_told() {
    let dir = tempfile::tempdir().unwrap();
    write_wav(
        &dir.path().join("long.wav"),
        22_050,
        &music(Style::ALL[0], 75.0, 1),
    );
    let args = [
        "classify",
        "--json",
        "--timeline",
        "--show-frames",
        "--skip",
        "5",
        "--unsure-below",
        "0",
        "long.wav",
    ];
    let output = genrescope(&args, dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = &lines(&output)[0];
    let frames = line["frame_scores"].as_array().unwrap();
    assert_eq!(
        frames.len(),
        2,
        "75 s less 5 s at both ends hold two frames"
    );
    assert!(
        (frames[1]["start"].as_f64().unwrap() - frames[0]["start"].as_f64().unwrap() - 29.12).abs()
            < 0.02
    );
    let timeline = line["timeline"].as_array().unwrap();
    assert_eq!(timeline[0]["state"], "warming");
    assert!(timeline.last().unwrap()["end"].as_f64().unwrap() > 70.0);
    let table = genrescope(&["classify", "--timeline", "long.wav"], dir.path());
    let text = String::from_utf8_lossy(&table.stdout).into_owned();
    assert!(
        text.contains("warming up") && text.contains("long.wav"),
        "{text}"
    );
}

/// The nearest of the model's own frames of known songs vote: shares of seven by the frequency of
/// their labels.
#[test]
fn neighbours_are_asked_of_models_that_have_some() {
    let dir = tempfile::tempdir().unwrap();
    write_wav(
        &dir.path().join("a.wav"),
        22_050,
        &music(Style::ALL[0], 35.0, 1),
    );
    let args = ["classify", "--json", "--average", "knn", "a.wav"];
    let output = genrescope(&args, dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = &lines(&output)[0];
    let scores: Vec<f64> = line["scores"]
        .as_object()
        .unwrap()
        .values()
        .map(|s| s.as_f64().unwrap())
        .collect();
    assert!(
        (scores.iter().sum::<f64>() - 1.0).abs() < 1e-3,
        "{scores:?}"
    );
    assert!(scores.iter().filter(|&&score| score > 0.0).count() <= 7);
    assert!(
        line["options"]
            .as_str()
            .unwrap()
            .starts_with("--average knn")
    );
    let args = [&["--model", "wide"], &args[..]].concat();
    let output = genrescope(&args, dir.path());
    assert_eq!(output.status.code(), Some(2), "{}", stderr(&output));
    assert!(
        stderr(&output).contains("no reference points"),
        "{}",
        stderr(&output)
    );
}

/// A frame that is asked for alone is what the same seconds say in a file of their own, in a format
/// without packets and in one with them.
#[test]
fn a_few_frames_are_heard_and_nothing_else() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let samples = music(Style::ALL[0], 75.0, 1);
    write_wav(&at("long.wav"), 22_050, &samples);
    // One frame in the middle of what lies between 5 and 70 s.
    let first = ((37.5 - 29.12 / 2.0) * 22_050.0) as usize;
    let last = first + (29.15 * 22_050.0) as usize;
    write_wav(&at("middle.wav"), 22_050, &samples[first..last]);
    let heard = |name: &str, args: &[&str]| {
        let args = [&["classify", "--json", "--show-frames"], args, &[name]].concat();
        let output = genrescope(&args, dir.path());
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        lines(&output)[0].clone()
    };
    let one = ["--frames", "1", "--skip", "5"];
    let (part, middle) = (
        heard("long.wav", &one),
        heard("middle.wav", &["--skip", "0"]),
    );
    assert_eq!(part["scores"], middle["scores"]);
    assert_eq!(
        (&part["seconds"], &part["frames"]),
        (&75.0.into(), &1.into())
    );
    assert_eq!(part["frame_scores"][0]["start"], 22.94);
    // A song that has no more frames is heard as ever.
    let all = heard("long.wav", &["--skip", "5"]);
    let three = heard("long.wav", &["--frames", "3", "--skip", "5"]);
    assert_eq!(
        (&all["scores"], &all["frames"]),
        (&three["scores"], &2.into())
    );
    assert_eq!(
        three["options"],
        "--average mean --skip 5 --hop 29.12 --frames 3 --show-frames"
    );
    let encoded = Command::new("ffmpeg")
        .args([
            "-nostdin", "-v", "error", "-i", "long.wav", "-b:a", "128k", "long.mp3",
        ])
        .current_dir(dir.path())
        .status();
    if !encoded.is_ok_and(|status| status.success()) {
        skip::skip("ffmpeg", "there is no ffmpeg on the PATH that writes mp3");
        return;
    }
    let mp3 = heard("long.mp3", &one);
    for (genre, score) in part["scores"].as_object().unwrap() {
        let (a, b) = (
            score.as_f64().unwrap(),
            mp3["scores"][genre].as_f64().unwrap(),
        );
        assert!((a - b).abs() < 0.1, "{genre}: {a} and {b}");
    }
    assert!(mp3["notes"].is_null() && (mp3["seconds"].as_f64().unwrap() - 75.0).abs() < 0.1);
}

/// Music, silence and hiss: the timeline of the file says when each state began, as the pipeline of
/// a listener does.
#[test]
fn a_timeline_says_what_a_listener_is_told() {
    let dir = tempfile::tempdir().unwrap();
    let mut signal = music(Style::ALL[0], 20.0, 1);
    signal.extend(vec![0.0; 22_050 * 5]);
    let mut random = Random::new(1);
    signal.extend((0..22_050 * 15).map(|_| 0.1 * random.sample()));
    write_wav(&dir.path().join("night.wav"), 22_050, &signal);
    let model = genrescope::network::Model::builtin();
    let rate = SampleRate::new(22_050).unwrap();
    let mut pipeline = genrescope::pipeline::Pipeline::new(
        &model,
        rate,
        genrescope::pipeline::PipelineConfig::default(),
    )
    .unwrap();
    let mut told = Vec::new();
    let mut note = |readout: &genrescope::decision::Readout| {
        let genre = readout
            .genre
            .map(|g| model.labels().iter().nth(g).unwrap().to_owned());
        // A timeline joins provisional and live answers.
        let state = if genre.is_some() {
            "genre"
        } else {
            readout.state.as_str()
        };
        let now = (state.to_owned(), genre);
        if told.last() != Some(&now) {
            told.push(now);
        }
    };
    pipeline.push(&signal, &mut note);
    pipeline.finish(&mut note);
    let output = genrescope(
        &["classify", "--json", "--timeline", "night.wav"],
        dir.path(),
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let line = &lines(&output)[0];
    let written: Vec<(String, Option<String>)> = line["timeline"]
        .as_array()
        .unwrap()
        .iter()
        .map(|stretch| {
            let genre = stretch["genre"].as_str().map(str::to_owned);
            let state = if genre.is_some() {
                "genre"
            } else {
                stretch["state"].as_str().unwrap()
            };
            (state.to_owned(), genre)
        })
        .collect();
    assert_eq!(written, told);
    assert!(told.iter().any(|(state, _)| state == "silent"), "{told:?}");
}

#[test]
fn crates_are_taught_and_told_apart() {
    let dir = tempfile::tempdir().unwrap();
    for (folder, style) in [("strings", Style::ALL[1]), ("loud", Style::ALL[6])] {
        fs::create_dir_all(dir.path().join("crates").join(folder)).unwrap();
        for seed in 0..5 {
            let path = dir
                .path()
                .join("crates")
                .join(folder)
                .join(format!("{seed}.wav"));
            write_wav(&path, 22_050, &music(style, 12.0, seed));
        }
    }
    let output = genrescope(&["teach", "crates", "-o", "mine.safetensors"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let told = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(told.contains("of 10 songs named right"), "{told}");
    for (name, style) in [("strings", Style::ALL[1]), ("loud", Style::ALL[6])] {
        let path = dir.path().join("new.wav");
        write_wav(&path, 22_050, &music(style, 12.0, 99));
        let args = [
            "--model",
            "mine.safetensors",
            "classify",
            "--json",
            "--unsure-below",
            "0",
            "new.wav",
        ];
        let output = genrescope(&args, dir.path());
        let line = &lines(&output)[0];
        assert_eq!(line["genre"], name, "{line}");
        assert_eq!(
            line["scores"].as_object().unwrap().len(),
            2,
            "labels come from the model"
        );
    }
}

/// Answers know the options that made them, and do not mix; an output file's name says its format;
/// a run without an answer leaves no file.
#[test]
fn an_output_file_holds_answers_of_one_kind() {
    let dir = tempfile::tempdir().unwrap();
    let song = music(Style::ALL[0], 5.0, 1);
    write_wav(&dir.path().join("one.wav"), 22_050, &song);
    let run = |args: &[&str]| genrescope(&[&["classify", "one.wav"], args].concat(), dir.path());
    for name in ["a.csv", "a.jsonl"] {
        let first = run(&["-o", name]);
        assert_eq!(first.status.code(), Some(0), "{}", stderr(&first));
        let text = fs::read_to_string(dir.path().join(name)).unwrap();
        assert!(
            text.contains("--average mean --skip 20 --hop 29.12"),
            "{text}"
        );
        assert_eq!(text.starts_with("path,genre"), name == "a.csv", "{text}");
        let same = run(&["-o", name, "--resume"]);
        assert_eq!(same.status.code(), Some(0), "{}", stderr(&same));
        for other in [
            &["--skip", "0"][..],
            &["--average", "vote"],
            &["--unsure-below", "0"],
        ] {
            let mixed = run(&[&["-o", name, "--resume"], other].concat());
            assert_eq!(mixed.status.code(), Some(2), "{}", stderr(&mixed));
            assert!(
                stderr(&mixed).contains("other options"),
                "{}",
                stderr(&mixed)
            );
        }
        assert_eq!(fs::read_to_string(dir.path().join(name)).unwrap(), text);
    }
    fs::write(dir.path().join("bad.mp3"), "no music").unwrap();
    let failed = genrescope(&["classify", "bad.mp3", "-o", "none.txt"], dir.path());
    assert_eq!(failed.status.code(), Some(1), "{}", stderr(&failed));
    assert!(!dir.path().join("none.txt").exists());
}

#[cfg(unix)]
#[test]
fn a_name_that_is_no_text_comes_back_from_the_answers() {
    use std::os::unix::ffi::OsStrExt as _;
    let dir = tempfile::tempdir().unwrap();
    let name = std::ffi::OsStr::from_bytes(b"caf\xe9.wav");
    write_wav(
        &dir.path().join("a.wav"),
        22_050,
        &music(Style::ALL[0], 5.0, 1),
    );
    fs::rename(dir.path().join("a.wav"), dir.path().join(name)).unwrap();
    for format in ["--json", "--csv"] {
        let output = genrescope(&["classify", ".", format], dir.path());
        let text = String::from_utf8(output.stdout).unwrap();
        let escaped = if format == "--json" {
            "caf\\\\xe9.wav"
        } else {
            "caf\\xe9.wav"
        };
        assert!(text.contains(escaped), "{text}");
        let file = format!("out.{}", &format[2..]);
        for resume in [&[][..], &["--resume"]] {
            let args = [&["classify", ".", format, "-o", &file], resume].concat();
            let output = genrescope(&args, dir.path());
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let again = stderr(&output).contains("in the output file already");
            assert_eq!(again, !resume.is_empty(), "{}", stderr(&output));
        }
    }
}

#[test]
fn shards_hold_every_file_once() {
    let dir = tempfile::tempdir().unwrap();
    for name in ["a/1.wav", "a/2.wav", "b/3.wav", "4.wav", "5.wav"] {
        write_wav(&dir.path().join(name), 22_050, &vec![0.0; 22_050]);
    }
    fs::write(dir.path().join("6.wav"), b"").unwrap();
    let run = |args: &[&str]| genrescope(&[&["classify", "."], args].concat(), dir.path());
    let paths_of = |text: &str| -> Vec<String> {
        text.lines()
            .map(|line| serde_json::from_str::<Value>(line).unwrap())
            .map(|line| line["path"].as_str().unwrap().to_owned())
            .collect()
    };
    let everything = paths_of(&support::stdout(&run(&["--json"])));
    assert_eq!(everything.len(), 6);
    let mut seen = Vec::new();
    for shard in ["1/4", "2/4", "3/4", "4/4"] {
        let name = format!("part-{}.jsonl", &shard[..1]);
        let args = ["--shard", shard, "-o", &name];
        let first = run(&args);
        let text = fs::read_to_string(dir.path().join(&name)).unwrap();
        let paths = paths_of(&text);
        assert!((1..=2).contains(&paths.len()), "{paths:?}");
        let broken = paths.contains(&"./6.wav".to_owned());
        assert_eq!(first.status.code(), Some(i32::from(broken)), "{shard}");
        // What was begun is gone on with, and what is done is not done again.
        let lines: Vec<&str> = text.lines().collect();
        fs::write(dir.path().join(&name), &text[..lines[0].len() / 2]).unwrap();
        let resumed = run(&[&args[..], &["--resume"]].concat());
        assert_eq!(resumed.status.code(), first.status.code());
        assert_eq!(
            fs::read_to_string(dir.path().join(&name)).unwrap(),
            text,
            "{}",
            stderr(&resumed)
        );
        seen.extend(paths);
    }
    seen.sort();
    let mut sorted = everything;
    sorted.sort();
    assert_eq!(seen, sorted);

    // More machines than files.
    let none = run(&["--shard", "7/7", "--json", "-o", "none.jsonl"]);
    assert_eq!(none.status.code(), Some(0), "{}", stderr(&none));
    assert!(stderr(&none).contains("shard 7/7 holds none of 6 files"));
    assert!(!dir.path().join("none.jsonl").exists());
    let wrong = run(&["--shard", "0/4"]);
    assert_eq!(wrong.status.code(), Some(2));
    assert!(stderr(&wrong).contains("'0/4' is no shard: write NUMBER/OF"));
}
