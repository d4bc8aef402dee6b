//! The model of many kinds, `--model wide`, on every surface; and `teach` with what it holds out.
#![cfg(feature = "cli")]

#[path = "support/cli.rs"]
mod support;

use std::{
    fs,
    path::{Path, PathBuf},
};

use genrescope::{
    network::{BuiltIn, Model},
    source::synth::Style,
};
use serde_json::Value;
use support::{genrescope, lines, music, stderr, write_wav};

fn stdout(args: &[&str], dir: &Path) -> String {
    let output = genrescope(args, dir);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    String::from_utf8(output.stdout).unwrap()
}

/// What a message says of scores and names must hang together.
fn coherent(message: &Value) {
    let model = Model::built_in(BuiltIn::Wide);
    let labels = model.labels();
    let scores: Vec<f64> = labels
        .iter()
        .map(|label| message["scores"][label].as_f64().unwrap())
        .collect();
    let mut families = 0.0;
    for index in 0..labels.len() {
        if labels.family_of(index).is_none() {
            families += scores[index];
            let kinds: f64 = labels.kinds_of(index).map(|kind| scores[kind]).sum();
            assert!(scores[index] >= kinds - 1e-3, "{message}");
        }
    }
    assert!(
        families == 0.0 || (families - 1.0).abs() < 1e-2,
        "{message}"
    );
    let path: Vec<&str> = message["genre_path"]
        .as_array()
        .unwrap()
        .iter()
        .map(|name| name.as_str().unwrap())
        .collect();
    match message["genre"].as_str() {
        None => assert!(path.is_empty() && message["family"].is_null(), "{message}"),
        Some(genre) => {
            assert_eq!(path.last(), Some(&genre), "{message}");
            assert_eq!(message["family"], path[0], "{message}");
            let index = labels.index_of(genre).unwrap();
            assert_eq!(labels.names_to(index).collect::<Vec<_>>(), path);
        }
    }
}

#[test]
fn the_file_is_small_and_has_what_it_needs_alone() {
    assert!(
        BuiltIn::Wide.bytes().len() < 1_500_000,
        "two models in one binary"
    );
    let model = Model::built_in(BuiltIn::Wide);
    let tagger = model.card().architecture.tagger.as_ref().unwrap();
    let needed = |class: &String| {
        let in_group = tagger
            .groups
            .iter()
            .any(|group| group.classes.contains(class));
        in_group || tagger.sounds.contains(class)
    };
    assert!(tagger.classes.iter().all(needed));
    assert!(model.labels().has_families());
    for name in genrescope::genre::GTZAN {
        assert!(
            model.labels().index_of(name).is_some(),
            "maps with '{name}' fit"
        );
    }
}

#[test]
fn its_card_shows_the_tree_and_names_choose_it() {
    let dir = tempfile::tempdir().unwrap();
    let card = stdout(&["model", "show", "wide"], dir.path());
    assert!(card.contains("electronic > house, techno"), "{card}");
    assert!(card.contains("MIT"), "{card}");
    let list = stdout(&["model", "list"], dir.path());
    assert!(
        list.contains("default ") && list.contains("wide "),
        "{list}"
    );
    let config = dir.path().join("c.toml");
    fs::write(&config, "model = \"wide\"\n").unwrap();
    let shown = stdout(
        &["--config", config.to_str().unwrap(), "model", "show"],
        dir.path(),
    );
    assert_eq!(shown, card);
    let output = genrescope(&["--model", "wider", "model", "show"], dir.path());
    assert!(
        stderr(&output).contains("'default' and 'wide' are built in"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn files_streams_and_the_demonstration_name_families_and_kinds() {
    let dir = tempfile::tempdir().unwrap();
    let song = music(Style::ALL[9], 33.0, 1);
    write_wav(&dir.path().join("song.wav"), 22_050, &song);
    let args = ["--model", "wide", "classify", "--json", "song.wav"];
    let file = &lines(&genrescope(&args, dir.path()))[0];
    coherent(file);
    assert!(file["scores"].as_object().unwrap().len() > 30);

    let csv = stdout(
        &["--model", "wide", "classify", "--csv", "song.wav"],
        dir.path(),
    );
    let mut rows = csv::Reader::from_reader(csv.as_bytes());
    let header = rows.headers().unwrap().clone();
    let row = rows.records().next().unwrap().unwrap();
    let place = header.iter().position(|name| name == "techno").unwrap();
    let score: f64 = row[place].parse().unwrap();
    assert!((score - file["scores"]["techno"].as_f64().unwrap()).abs() < 1e-3);

    let args = ["--model", "wide", "listen", "--input", "song.wav", "--json"];
    let stream = lines(&genrescope(&args, dir.path()));
    assert_eq!(stream[0]["families"]["techno"], "electronic");
    let readouts: Vec<&Value> = stream
        .iter()
        .filter(|line| line["type"] == "genre")
        .collect();
    assert!(readouts.len() > 15);
    readouts.into_iter().for_each(coherent);

    let table = stdout(
        &[
            "--model",
            "wide",
            "classify",
            "--unsure-below",
            "0",
            "song.wav",
        ],
        dir.path(),
    );
    let family = file["scores"].as_object().unwrap();
    assert!(family.keys().any(|label| table.contains(label)), "{table}");

    let args = [
        "--model",
        "wide",
        "demo",
        "--fast",
        "--json",
        "--seconds",
        "6",
    ];
    let demo = lines(&genrescope(&args, dir.path()));
    let readouts = demo.iter().filter(|line| line["type"] == "genre");
    assert!(readouts.clone().count() > 8);
    readouts.for_each(coherent);
}

/// A WAV file with an ID3v1 tag at its end, which names the artist.
fn write_tagged(path: &Path, artist: &str, samples: &[f32]) {
    write_wav(path, 22_050, samples);
    let mut tag = [0_u8; 128];
    tag[..3].copy_from_slice(b"TAG");
    tag[33..33 + artist.len()].copy_from_slice(artist.as_bytes());
    let mut file = fs::read(path).unwrap();
    file.extend(tag);
    fs::write(path, file).unwrap();
}

#[test]
fn teach_holds_artists_out_and_knows_what_is_none_of_its_genres() {
    let dir = tempfile::tempdir().unwrap();
    let songs = |genre: &str, style: Style, tags: &[Option<&str>]| -> PathBuf {
        let folder = dir.path().join(genre);
        fs::create_dir_all(&folder).unwrap();
        for (seed, artist) in tags.iter().enumerate() {
            let path = folder.join(format!("{seed}.wav"));
            let samples = music(style, 12.0, seed as u32);
            match artist {
                Some(artist) => write_tagged(&path, artist, &samples),
                None => write_wav(&path, 22_050, &samples),
            }
        }
        folder
    };
    let four = [Some("One"), Some("one"), Some("Two"), None];
    songs("crates/strings", Style::ALL[1], &four);
    songs("crates/loud", Style::ALL[6], &four);
    songs("others", Style::ALL[4], &[None; 4]);
    let teach = |extra: &[&str], code: i32| {
        let args = [
            &["teach", "crates", "--force", "--output", "m.safetensors"],
            extra,
        ]
        .concat();
        let output = genrescope(&args, dir.path());
        assert_eq!(output.status.code(), Some(code), "{}", stderr(&output));
        (support::stdout(&output), stderr(&output))
    };
    let (told, _) = teach(&["--none", "others"], 0);
    assert!(
        told.contains("of 8 songs named right when left out by artist"),
        "{told}"
    );
    assert!(
        told.contains("of songs of no genre here") && told.contains("of 4 not named"),
        "{told}"
    );
    let card = stdout(&["model", "show", "m.safetensors"], dir.path());
    assert!(card.contains("5 folds by artist"), "{card}");
    for after in ["after 3 s", "after 5 s", "after 10 s", "after 29 s"] {
        assert!(card.contains(after), "{after}: {card}");
    }
    let (told, _) = teach(&["--hold-out", "folder"], 0);
    assert!(told.contains("left out by folder"), "{told}");

    // All of one artist: none can be left out, unless one by one.
    songs("crates/loud", Style::ALL[6], &[Some("One"); 4]);
    let (told, remark) = teach(&[], 0);
    assert!(told.contains("left out by song"), "{told}");
    assert!(remark.contains("'loud' are of one artist"), "{remark}");
    let (_, remark) = teach(&["--hold-out", "artist"], 2);
    assert!(remark.contains("--hold-out song"), "{remark}");
    let (_, remark) = teach(&["--none", "nowhere"], 2);
    assert!(remark.contains("'nowhere' is no folder"), "{remark}");
}
