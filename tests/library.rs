//! `genrescope tag`, `sort` and `watch`, as a user and as other programs meet them.
#![cfg(feature = "cli")]

#[path = "support/random.rs"]
mod random;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/cli.rs"]
mod support;

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    process::{Command, Stdio},
    time::Duration,
};

use genrescope::source::synth::Style;
use random::Random;
use serde_json::Value;
use support::{command, genrescope, music, stderr, stdout, write_wav};

/// A file of each kind, and how ffmpeg makes it.
const KINDS: [(&str, &[&str]); 11] = [
    (
        "a.mp3",
        &[
            "-c:a",
            "libmp3lame",
            "-id3v2_version",
            "3",
            "-write_id3v1",
            "1",
        ],
    ),
    ("b.mp3", &["-c:a", "libmp3lame", "-id3v2_version", "4"]),
    (
        "bare.mp3",
        &[
            "-c:a",
            "libmp3lame",
            "-id3v2_version",
            "0",
            "-map_metadata",
            "-1",
        ],
    ),
    ("c.flac", &["-c:a", "flac"]),
    ("d.ogg", &["-c:a", "libvorbis"]),
    ("e.opus", &["-c:a", "libopus"]),
    ("f.oga", &["-c:a", "flac"]),
    ("g.m4a", &["-c:a", "aac", "-movflags", "+faststart"]),
    ("h.m4a", &["-c:a", "alac"]),
    ("i.wav", &["-c:a", "pcm_s16le"]),
    ("j.aiff", &["-c:a", "pcm_s16be", "-write_id3v2", "1"]),
];

/// Options with which a made-up song has a genre.
const SURE: [&str; 2] = ["--unsure-below", "0"];

fn has(program: &str, args: &[&str]) -> bool {
    Command::new(program)
        .args(args)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success())
}

/// The files of [`KINDS`] in `folder`, with a title, an artist and a picture; `false` where they
/// cannot be made.
fn library(folder: &Path) -> bool {
    let ready = has("ffmpeg", &["-version"]);
    if !ready {
        skip::skip("ffmpeg", "there is no ffmpeg on the PATH");
        return false;
    }
    fs::create_dir_all(folder).unwrap();
    let song = folder.join("../song.wav");
    write_wav(&song, 22_050, &music(Style::ALL[0], 6.0, 1));
    for (name, how) in KINDS {
        let made = Command::new("ffmpeg")
            .args(["-nostdin", "-v", "error", "-i"])
            .arg(&song)
            .args([
                "-metadata",
                "title=Träumerei <&>",
                "-metadata",
                "artist=A / B",
            ])
            .args([
                "-ar",
                if name.ends_with("opus") {
                    "48000"
                } else {
                    "44100"
                },
            ])
            .args(["-ac", "2"])
            .args(how)
            .arg(folder.join(name))
            .status()
            .unwrap();
        assert!(made.success(), "ffmpeg makes {name}");
    }
    true
}

fn contents(folder: &Path) -> BTreeMap<PathBuf, Vec<u8>> {
    fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| (path.clone(), fs::read(&path).unwrap()))
        .collect()
}

/// The sum of the samples that ffmpeg decodes.
fn samples(path: &Path) -> String {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-i"])
        .arg(path)
        .args(["-map", "0:a", "-f", "md5", "-"])
        .output()
        .unwrap();
    stdout(&output)
}

/// What mutagen and TagLib read; `None` where there is no mutagen.
fn read_back(folder: &Path) -> Option<BTreeMap<String, Value>> {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/read_tags.py");
    // Debian's own Python has Debian's packages.
    let python = ["/usr/bin/python3", "python3"]
        .into_iter()
        .find(|python| has(python, &["-c", "import mutagen"]));
    let Some(python) = python else {
        skip::skip("mutagen", "there is no python3 with mutagen");
        return None;
    };
    let names: Vec<PathBuf> = contents(folder).into_keys().collect();
    let output = Command::new(python)
        .arg(script)
        .args(&names)
        .output()
        .unwrap();
    assert!(output.status.success(), "{}", stderr(&output));
    let lines = stdout(&output);
    let values = lines
        .lines()
        .map(|line| serde_json::from_str(line).unwrap());
    let name = |path: &PathBuf| path.file_name().unwrap().to_str().unwrap().to_owned();
    Some(names.iter().map(name).zip(values).collect())
}

fn tag(dir: &Path, args: &[&str], code: i32) -> (String, String) {
    let args: Vec<&str> = ["tag"].iter().chain(args).chain(&SURE).copied().collect();
    let output = command(&args, dir)
        .env("XDG_STATE_HOME", dir.join("state"))
        .output()
        .unwrap();
    let (out, err) = (stdout(&output), stderr(&output));
    assert_eq!(output.status.code(), Some(code), "{args:?}: {out}{err}");
    (out, err)
}

fn undo(dir: &Path, journal: &str) -> String {
    let output = genrescope(&["tag", "--undo", journal], dir);
    let text = stderr(&output);
    assert_eq!(output.status.code(), Some(0), "{text}");
    text
}

#[test]
fn every_format_gets_its_genre_and_nothing_else_and_gives_it_back() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("music");
    if !library(&folder) {
        return;
    }
    let before = contents(&folder);
    let read_before = read_back(&folder);
    let sound: BTreeMap<&PathBuf, String> =
        before.keys().map(|path| (path, samples(path))).collect();

    // Shown, not done.
    let (out, err) = tag(dir.path(), &["music"], 0);
    assert_eq!(out.matches("  + Genre: ").count(), KINDS.len(), "{out}");
    assert!(err.contains("nothing was written"), "{err}");
    assert!(contents(&folder) == before);

    fs::write(dir.path().join("map.toml"), all_labels("\"Überall\"")).unwrap();
    let args = [
        "--write",
        "--journal",
        "j.jsonl",
        "--fields",
        "--comment",
        "--labels",
        "map.toml",
        "music",
    ];
    let (_, err) = tag(dir.path(), &args, 0);
    assert!(
        err.contains("11 files written") && err.contains("--undo 'j.jsonl'"),
        "{err}"
    );
    for path in before.keys() {
        assert_eq!(sound[path], samples(path), "{}", path.display());
    }
    if let (Some(old), Some(new)) = (&read_before, read_back(&folder)) {
        for (name, new) in &new {
            let old = &old[name];
            assert_eq!(new["genres"], serde_json::json!(["Überall"]), "{name}");
            assert_eq!(new["own"].as_object().unwrap().len(), 3, "{name}: {new}");
            if let Some(taglib) = new.get("taglib") {
                assert_eq!(taglib, &new["genres"], "{name}");
            }
            let same = if name == "bare.mp3" {
                &["seconds"][..]
            } else {
                &["rest", "pictures", "version", "seconds"]
            };
            for key in same {
                // Before, there was no tag of that kind in WAV.
                if name != "i.wav" {
                    assert_eq!(old[key], new[key], "{name}: {key}");
                }
            }
        }
    }
    // A second run finds every genre there.
    let (out, err) = tag(dir.path(), &["music"], 0);
    assert!(
        out.is_empty() && err.contains("11 left as they are"),
        "{out}{err}"
    );

    let text = undo(dir.path(), "j.jsonl");
    assert!(text.contains("11 files restored"), "{text}");
    assert!(contents(&folder) == before, "byte for byte as before");
    assert!(undo(dir.path(), "j.jsonl").contains("11 as before already"));
}

fn all_labels(word: &str) -> String {
    genrescope::genre::GTZAN
        .map(|label| format!("{label} = {word}\n"))
        .concat()
}

/// An ID3v2 tag of frames.
fn id3(version: u8, flags: u8, frames: &[(&str, &[u8])], padding: usize) -> Vec<u8> {
    let mut body = Vec::new();
    for (id, content) in frames {
        body.extend(id.as_bytes());
        let n = content.len() as u32;
        match version {
            2 => body.extend(&n.to_be_bytes()[1..]),
            3 => body.extend(n.to_be_bytes()),
            _ => body.extend([n >> 21, n >> 14 & 127, n >> 7 & 127, n & 127].map(|n| n as u8)),
        }
        if version > 2 {
            body.extend([0, 0]);
        }
        body.extend(*content);
    }
    body.resize(body.len() + padding, 0);
    let n = body.len();
    let mut tag = vec![b'I', b'D', b'3', version, 0, flags];
    tag.extend([n >> 21, n >> 14 & 127, n >> 7 & 127, n & 127].map(|n| n as u8));
    tag.extend(body);
    tag
}

fn aiff_with(tag: &[u8], samples: &[f32]) -> Vec<u8> {
    let mut chunks = b"AIFFCOMM\0\0\0\x12\0\x01".to_vec();
    chunks.extend((samples.len() as u32).to_be_bytes());
    // 16 bits, 22050 Hz as an 80-bit float.
    chunks.extend([0, 16, 0x40, 0x0d, 0xac, 0x44, 0, 0, 0, 0, 0, 0]);
    chunks.extend(b"SSND");
    chunks.extend((8 + 2 * samples.len() as u32).to_be_bytes());
    chunks.extend([0; 8]);
    chunks.extend(
        samples
            .iter()
            .flat_map(|x| ((x * 20_000.0) as i16).to_be_bytes()),
    );
    chunks.extend(b"ID3 ");
    chunks.extend((tag.len() as u32).to_be_bytes());
    chunks.extend(tag);
    if tag.len() % 2 == 1 {
        chunks.push(0);
    }
    let mut file = b"FORM".to_vec();
    file.extend((chunks.len() as u32).to_be_bytes());
    file.extend(chunks);
    file
}

/// Frames that no library knows stay bit for bit, in every version of ID3v2, and no tag changes its
/// version.
#[test]
fn unknown_frames_and_versions_stay() {
    let dir = tempfile::tempdir().unwrap();
    let samples = music(Style::ALL[0], 4.0, 1);
    let geob = b"\0application/octet-stream\0\0Serato Markers2\0\xff\xfe\x00\xe0\x01\x02";
    type Case<'a> = (&'a str, u8, [(&'a str, &'a [u8]); 4], usize);
    let cases: [Case<'_>; 5] = [
        (
            "two",
            2,
            [
                ("TT2", b"\0x"),
                ("ZZZ", b"\x01\x02"),
                ("TCO", b"\0(17)"),
                ("GEO", geob),
            ],
            0,
        ),
        (
            "three",
            3,
            [
                ("TIT2", b"\0x"),
                ("TCON", b"\0(4)Rock"),
                ("XYZ1", b"??"),
                ("GEOB", geob),
            ],
            0,
        ),
        (
            "room",
            3,
            [
                ("TIT2", b"\x01\xff\xfex\0"),
                ("TCON", b"\0Old"),
                ("PRIV", b"a\0\xff\xff"),
                ("GEOB", geob),
            ],
            700,
        ),
        (
            "four",
            4,
            [
                ("TIT2", b"\x03x"),
                ("TCON", b"\x03A\0B"),
                ("UFID", b"u\0\x01"),
                ("GEOB", geob),
            ],
            33,
        ),
        (
            "closed",
            4,
            [
                ("TIT2", b"\x03x"),
                ("POPM", b"m\0\xff"),
                ("RVA2", b"a\0\x01"),
                ("GEOB", geob),
            ],
            0,
        ),
    ];
    for (name, version, frames, padding) in &cases {
        let file = aiff_with(&id3(*version, 0, frames, *padding), &samples);
        fs::write(dir.path().join(format!("{name}.aiff")), file).unwrap();
    }
    let before = contents(dir.path());
    fs::write(dir.path().join("map.toml"), all_labels("\"Neu\"")).unwrap();
    tag(
        dir.path(),
        &[
            "--write",
            "--replace",
            "--journal",
            "j",
            "--labels",
            "map.toml",
            ".",
        ],
        0,
    );
    for (name, version, frames, padding) in &cases {
        let path = dir
            .path()
            .canonicalize()
            .unwrap()
            .join(format!("{name}.aiff"));
        let (old, new) = (
            &before[&dir.path().join(format!("{name}.aiff"))],
            fs::read(&path).unwrap(),
        );
        assert!(old != &new, "{name}");
        let at = new.windows(3).rposition(|three| three == b"ID3").unwrap();
        let at = if new[at + 3] == b' ' { at + 8 } else { at };
        assert_eq!(new[at + 3], *version, "{name}");
        for (id, content) in frames.iter().filter(|(id, _)| !id.starts_with("TCO")) {
            let mut frame = id.as_bytes().to_vec();
            match version {
                2 => frame.extend(&(content.len() as u32).to_be_bytes()[1..]),
                _ => frame.extend((content.len() as u32).to_be_bytes()),
            }
            if *version > 2 {
                frame.extend([0, 0]);
            }
            frame.extend(*content);
            assert!(
                new.windows(frame.len()).any(|bytes| bytes == frame),
                "{name}: {id}"
            );
        }
        if *padding > 0 {
            assert_eq!(old.len(), new.len(), "{name}: the padding took it up");
        }
    }
    undo(dir.path(), "j");
    fs::remove_file(dir.path().join("j")).unwrap();
    fs::remove_file(dir.path().join("map.toml")).unwrap();
    assert!(contents(dir.path()) == before);
}

#[test]
fn what_is_there_is_kept_added_to_or_replaced() {
    let dir = tempfile::tempdir().unwrap();
    let samples = music(Style::ALL[0], 4.0, 1);
    let with = |name: &str, version, genre: &[u8]| {
        let comment = b"\0eng\x004A - Energy 7";
        let tag = id3(version, 0, &[("TCON", genre), ("COMM", comment)], 200);
        fs::write(dir.path().join(name), aiff_with(&tag, &samples)).unwrap();
    };
    with("a.aiff", 3, b"\0Rock");
    with("b.aiff", 4, b"\x03Rock");
    fs::write(
        dir.path().join("map.toml"),
        all_labels("[\"Neu\", \"rock\"]"),
    )
    .unwrap();
    let (out, _) = tag(dir.path(), &["--verbose", "."], 0);
    assert!(out.contains("has a genre: Rock"), "{out}");
    let args = [
        "--append",
        "--comment",
        "--write",
        "--journal",
        "j",
        "--labels",
        "map.toml",
        ".",
    ];
    let (out, _) = tag(dir.path(), &args, 0);
    assert!(
        out.contains("  - Genre: Rock\n  + Genre: Rock, Neu\n"),
        "{out}"
    );
    assert!(
        out.contains("  + Comment: 4A - Energy 7; genrescope: "),
        "{out}"
    );
    let find = |name: &str, text: &[u8]| {
        let bytes = fs::read(dir.path().join(name)).unwrap();
        assert!(bytes.windows(text.len()).any(|part| part == text), "{name}");
    };
    find("a.aiff", b"\0Rock/Neu");
    find("b.aiff", b"\0Rock\0Neu");

    let wrong = dir.path().join("wrong.toml");
    fs::write(&wrong, "metall = \"Metal\"\n").unwrap();
    let (_, err) = tag(dir.path(), &["--labels", "wrong.toml", "."], 2);
    assert!(
        err.contains("no genre 'metall'") && err.contains("metal"),
        "{err}"
    );
    fs::write(&wrong, "metal = 5\n").unwrap();
    let (_, err) = tag(dir.path(), &["--labels", "wrong.toml", "."], 2);
    assert!(err.contains("wrong.toml:1"), "{err}");
}

#[cfg(unix)]
#[test]
fn links_modes_and_changes_since_are_respected() {
    use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, symlink};
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let file = aiff_with(
        &id3(3, 0, &[("TIT2", b"\0x")], 0),
        &music(Style::ALL[0], 4.0, 1),
    );
    for name in [
        "hard.aiff",
        "linked.bin",
        "locked.aiff",
        "mode.aiff",
        "later.aiff",
    ] {
        fs::write(at(name), &file).unwrap();
    }
    fs::hard_link(at("hard.aiff"), at("other.name")).unwrap();
    symlink("linked.bin", at("link.aiff")).unwrap();
    fs::set_permissions(at("locked.aiff"), fs::Permissions::from_mode(0o444)).unwrap();
    fs::set_permissions(at("mode.aiff"), fs::Permissions::from_mode(0o640)).unwrap();
    let old = std::time::UNIX_EPOCH + Duration::from_secs(1_000_000_000);
    let times = fs::FileTimes::new().set_modified(old);
    fs::File::options()
        .append(true)
        .open(at("mode.aiff"))
        .unwrap()
        .set_times(times)
        .unwrap();

    let args = ["--write", "--keep-times", "--journal", "j", "."];
    let (out, err) = tag(dir.path(), &args, 1);
    assert!(err.contains("hard.aiff': it has 2 names"), "{err}");
    assert!(err.contains("locked.aiff': it is read-only"), "{err}");
    assert!(
        out.contains("link.aiff -> ") && out.contains("linked.bin"),
        "{out}"
    );
    assert_eq!(fs::read(at("hard.aiff")).unwrap(), file);
    assert_eq!(fs::read(at("locked.aiff")).unwrap(), file);
    assert!(fs::symlink_metadata(at("link.aiff")).unwrap().is_symlink());
    assert_ne!(fs::read(at("linked.bin")).unwrap(), file);
    let mode = fs::metadata(at("mode.aiff")).unwrap();
    assert_eq!(
        (mode.mode() & 0o777, mode.modified().unwrap()),
        (0o640, old)
    );

    let mut changed = fs::read(at("later.aiff")).unwrap();
    changed.push(0);
    fs::write(at("later.aiff"), &changed).unwrap();
    let output = genrescope(&["tag", "--undo", "j"], dir.path());
    assert_eq!(output.status.code(), Some(1));
    assert!(
        stderr(&output).contains("later.aiff': it was changed since"),
        "{}",
        stderr(&output)
    );
    assert_eq!(fs::read(at("later.aiff")).unwrap(), changed);
    assert_eq!(fs::read(at("linked.bin")).unwrap(), file);
    assert_eq!(fs::read(at("mode.aiff")).unwrap(), file);
}

/// Killed at any moment, every file is as before or as after, the journal leads back, and the run
/// can be gone on with.
#[cfg(unix)]
#[test]
fn a_run_that_is_killed_harms_no_file() {
    let kills: u64 = std::env::var("GENRESCOPE_KILLS").map_or(4, |n| n.parse().unwrap());
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("music");
    fs::create_dir(&folder).unwrap();
    // A picture makes writing take a while.
    let picture: Vec<u8> = (0..3_000_000_u32)
        .map(|n| (n.wrapping_mul(n) >> 7) as u8)
        .collect();
    let mut frame = b"\0image/png\0\x03\0".to_vec();
    frame.extend(&picture);
    let file = aiff_with(
        &id3(3, 0, &[("APIC", &frame)], 0),
        &music(Style::ALL[0], 1.5, 1),
    );
    for n in 0..8 {
        fs::write(folder.join(format!("{n}.aiff")), &file).unwrap();
    }
    let before = contents(&folder);
    let (_, _) = tag(dir.path(), &["--write", "--journal", "whole", "music"], 0);
    let after = contents(&folder);
    undo(dir.path(), "whole");

    let songs = || {
        let mut found = contents(&folder);
        found.retain(|path, _| {
            path.extension()
                .is_some_and(|extension| extension == "aiff")
        });
        found
    };
    let mut generator = Random::new(12_345);
    let mut random = move |below: u64| generator.below(below as usize) as u64;
    let args = [
        "tag",
        "--write",
        "--journal",
        "j",
        "--unsure-below",
        "0",
        "music",
    ];
    for turn in 0..kills {
        let back = turn % 2 == 1;
        let mut args = args.to_vec();
        if back {
            tag(dir.path(), &["--write", "--journal", "j", "music"], 0);
            args = vec!["tag", "--undo", "j"];
        }
        let mut child = command(&args, dir.path())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        std::thread::sleep(Duration::from_millis(random(if back {
            250
        } else {
            1_200
        })));
        child.kill().unwrap();
        child.wait().unwrap();
        for (path, bytes) in songs() {
            assert!(
                bytes == before[&path] || bytes == after[&path],
                "{} is neither as before nor as after",
                path.display()
            );
        }
        // What was done is gone on with, then taken back.
        if !back {
            let resumed = [&args[..], &["--resume"]].concat();
            let output = genrescope(&resumed, dir.path());
            assert!(output.status.success(), "{}", stderr(&output));
            assert!(
                contents(&folder) == after,
                "gone on with, nothing left over"
            );
        }
        undo(dir.path(), "j");
        assert!(contents(&folder) == before, "taken back, nothing left over");
        fs::remove_file(dir.path().join("j")).unwrap();
    }
}

#[test]
fn crates_are_written_in_every_format_and_over_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let at = |name: &str| dir.path().join(name);
    let tag = id3(3, 0, &[("TIT2", b"\0A & <B>"), ("TPE1", b"\0\xc4")], 0);
    let file = aiff_with(&tag, &music(Style::ALL[0], 4.0, 1));
    fs::create_dir_all(at("songs/a b")).unwrap();
    fs::create_dir(at("lists")).unwrap();
    fs::write(at("songs/a b/\u{fc}.aiff"), &file).unwrap();
    fs::write(at("songs/c.aiff"), &file).unwrap();
    fs::write(at("map.toml"), all_labels("\"R&B\"")).unwrap();
    let sort = |extra: &[&str], code: i32| {
        let args = [
            "sort",
            "--as",
            "m3u8,rekordbox,traktor,serato",
            "--output",
            "lists",
            "--relative",
            "--labels",
            "map.toml",
            "--unsure-below",
            "0",
            "songs",
        ];
        let output = genrescope(&[&args[..], extra].concat(), dir.path());
        let text = stderr(&output);
        assert_eq!(output.status.code(), Some(code), "{text}");
        text
    };
    assert!(sort(&[], 0).contains("2 songs in 1 genre"));
    let playlist = fs::read_to_string(at("lists/R&B.m3u8")).unwrap();
    assert!(playlist.starts_with("#EXTM3U\n"), "{playlist}");
    assert!(
        playlist.contains("#EXTINF:4,\u{c4} - A & <B>\n../songs/a b/\u{fc}.aiff\n"),
        "{playlist}"
    );

    let real = dir.path().canonicalize().unwrap();
    let folder = real.to_str().unwrap();
    let xml = fs::read_to_string(at("lists/rekordbox.xml")).unwrap();
    for part in [
        "<COLLECTION Entries=\"2\">".to_owned(),
        "Name=\"A &amp; &lt;B&gt;\" Artist=\"\u{c4}\"".to_owned(),
        "Genre=\"R&amp;B\" Kind=\"AIFF File\"".to_owned(),
        format!("Location=\"file://localhost{folder}/songs/a%20b/%C3%BC.aiff\""),
        "<NODE Name=\"R&amp;B\" Type=\"1\" KeyType=\"0\" Entries=\"2\">".to_owned(),
        "<TRACK Key=\"2\"/>".to_owned(),
    ] {
        assert!(xml.contains(&part), "{part} in {xml}");
    }
    let nml = fs::read_to_string(at("lists/genrescope.nml")).unwrap();
    let traktor = folder.replace('/', "/:");
    for part in [
        format!("<LOCATION DIR=\"{traktor}/:songs/:a b/:\" FILE=\"\u{fc}.aiff\""),
        format!("KEY=\"{traktor}/:songs/:a b/:\u{fc}.aiff\""),
        "NAME=\"R&amp;B\"><PLAYLIST ENTRIES=\"2\" TYPE=\"LIST\"".to_owned(),
    ] {
        assert!(nml.contains(&part), "{part} in {nml}");
    }
    let crate_ = fs::read(at("lists/_Serato_/Subcrates/R&B.crate")).unwrap();
    assert_eq!(&crate_[..8], b"vrsn\0\0\0\x38");
    let utf16: Vec<u8> = format!("{}/songs/c.aiff", &folder[1..])
        .encode_utf16()
        .flat_map(u16::to_be_bytes)
        .collect();
    let track = crate_.windows(4).rposition(|four| four == b"ptrk").unwrap();
    assert_eq!(&crate_[track + 8..], utf16);

    // The user's own lists are not written over, and that is said before listening.
    fs::write(at("lists/R&B.m3u8"), "mine").unwrap();
    assert!(sort(&[], 2).contains("R&B.m3u8' exists; --force replaces it"));
    assert_eq!(fs::read_to_string(at("lists/R&B.m3u8")).unwrap(), "mine");
    sort(&["--force"], 0);

    // Answers that are there need no listening.
    let args = [
        "classify",
        "--output",
        "genres.jsonl",
        "--unsure-below",
        "0",
        "songs",
    ];
    assert!(genrescope(&args, dir.path()).status.success());
    let args = [
        "sort",
        "--from",
        "genres.jsonl",
        "--output",
        "songs",
        "--labels",
        "map.toml",
    ];
    let output = genrescope(&args, dir.path());
    assert!(
        stderr(&output).contains("2 songs in 1 genre"),
        "{}",
        stderr(&output)
    );
    assert!(
        fs::read_to_string(at("songs/R&B.m3u8"))
            .unwrap()
            .contains(folder)
    );
}

/// Waits for a line with `part` on the standard error of `child`.
fn wait_for(lines: &mut impl Iterator<Item = std::io::Result<String>>, part: &str) -> String {
    let line = lines.map_while(Result::ok).find(|line| line.contains(part));
    line.unwrap_or_else(|| panic!("it ended without '{part}'"))
}

#[cfg(unix)]
#[test]
fn a_watched_folder_is_tagged_once() {
    use std::io::BufRead as _;
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("in");
    fs::create_dir(&folder).unwrap();
    let file = aiff_with(
        &id3(3, 0, &[("TIT2", b"\0x")], 0),
        &music(Style::ALL[0], 4.0, 1),
    );
    fs::write(folder.join("there.aiff"), &file).unwrap();
    let watch = || {
        let args = [
            "watch",
            "in",
            "--tag",
            "--settle",
            "0.3",
            "--unsure-below",
            "0",
            "--jobs",
            "1",
            "--rescan",
            "1",
        ];
        let mut child = command(&args, dir.path())
            .env("XDG_STATE_HOME", dir.path().join("state"))
            .stdout(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let lines = std::io::BufReader::new(child.stderr.take().unwrap()).lines();
        (child, lines)
    };
    let end = |mut child: std::process::Child| {
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args(["-TERM", &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(143));
    };
    let (child, mut lines) = watch();
    wait_for(&mut lines, "watching 1 folder with 1 file");
    fs::write(folder.join("new.aiff"), &file).unwrap();
    wait_for(&mut lines, "new.aiff': tagged");
    assert_ne!(fs::read(folder.join("new.aiff")).unwrap(), file);
    assert_eq!(fs::read(folder.join("there.aiff")).unwrap(), file);
    // A name that changes is no new file; what comes after it is.
    fs::rename(folder.join("new.aiff"), folder.join("a renamed.aiff")).unwrap();
    fs::create_dir(folder.join("sub")).unwrap();
    let other = aiff_with(
        &id3(3, 0, &[("TIT2", b"\0y")], 0),
        &music(Style::ALL[0], 4.0, 1),
    );
    fs::write(folder.join("sub/z.aiff"), &other).unwrap();
    let line = wait_for(&mut lines, "aiff': ");
    assert!(line.contains("z.aiff': tagged"), "{line}");
    end(child);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(
        rest.iter()
            .any(|line| line.contains("stopped after 2 files")),
        "{rest:?}"
    );

    // Started again, it takes what came meanwhile, and that alone.
    let third = aiff_with(
        &id3(3, 0, &[("TIT2", b"\0w")], 0),
        &music(Style::ALL[0], 4.0, 1),
    );
    fs::write(folder.join("zz.aiff"), third).unwrap();
    let (child, mut lines) = watch();
    wait_for(&mut lines, "watching 1 folder with 4 files");
    let line = wait_for(&mut lines, "aiff': ");
    assert!(line.contains("zz.aiff': tagged"), "{line}");
    end(child);
    let rest: Vec<String> = lines.map_while(Result::ok).collect();
    assert!(
        rest.iter()
            .any(|line| line.contains("stopped after 1 file")),
        "{rest:?}"
    );
}
