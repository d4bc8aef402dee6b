//! Where the time of a file goes: `cargo bench --bench files -- FILE...`.
//!
//! Each file is read several times: decoded alone; with the resampler; with the whole front end;
//! and as `classify` does it. What a stage adds is its share. Without a file, the recordings of
//! `GENRESCOPE_DATA` (default `../shared/data`) in `reference/` are taken.
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

use std::{hint::black_box, path::PathBuf};

use genrescope::{
    front_end::{FrontEnd, FrontEndConfig, resample::Resampler},
    network::Model,
    song::{Multiframe, SongClassifier},
    source::file::AudioFile,
    units::SampleRate,
};

mod measure;

use measure::{cpu_seconds, memory_mb};

fn main() {
    let named: Vec<PathBuf> = std::env::args()
        .skip(1)
        .filter(|arg| !arg.starts_with("--"))
        .map(PathBuf::from)
        .collect();
    let files = if named.is_empty() {
        recordings()
    } else {
        named
    };
    if files.is_empty() {
        println!("name audio files, or set GENRESCOPE_DATA: nothing was measured");
        return;
    }
    let model = Model::builtin();
    let mut seconds = 0.0;
    type Stage<'a> = (&'a str, &'a dyn Fn(&mut AudioFile));
    let stages: [Stage<'_>; 4] = [
        ("decoding", &|file| each_block(file, |_| {})),
        ("resampling", &|file| {
            let target = SampleRate::new(12_000).expect("in range");
            let mut resampler = Resampler::new(file.rate(), target);
            each_block(file, |block| {
                resampler.push(block, |samples| {
                    black_box(samples);
                });
            });
        }),
        ("spectra and mel bands", &|file| {
            let mut front_end = FrontEnd::new(&FrontEndConfig::default(), file.rate())
                .expect("a rate that files have");
            each_block(file, |block| {
                front_end.push(block, |column| {
                    black_box(column);
                });
            });
        }),
        ("network and decision", &|file| {
            let mut song = SongClassifier::new(&model, file.rate(), Multiframe::default())
                .expect("a rate that files have");
            each_block(file, |block| song.push(block));
            black_box(song.finish());
        }),
    ];
    let mut totals = Vec::new();
    for (index, (_, run)) in stages.iter().enumerate() {
        // The best of three: what disturbs only adds.
        let turns = (0..3).map(|_| {
            let started = cpu_seconds();
            for path in &files {
                match AudioFile::open(path) {
                    Ok(mut file) => {
                        run(&mut file);
                        if index == 0 {
                            seconds += file.position().0 / 3.0;
                        }
                    }
                    Err(error) => println!("left out: {error}"),
                }
            }
            cpu_seconds() - started
        });
        totals.push(turns.fold(f64::INFINITY, f64::min));
    }
    let hour = 3600.0 / seconds;
    println!(
        "{} files, {seconds:.0} s of audio, one thread; peak RSS {:.1} MB",
        files.len(),
        memory_mb("VmHWM")
    );
    let whole = totals.last().copied().unwrap_or(f64::NAN);
    let mut before = 0.0;
    for ((name, _), total) in stages.iter().zip(&totals) {
        let own = total - before;
        println!(
            "{name:<22} {:6.2} CPU-s per hour of audio {:5.1} %",
            own * hour,
            100.0 * own / whole
        );
        before = *total;
    }
    println!("{:<22} {:6.2} CPU-s per hour of audio", "all", whole * hour);
}

fn each_block(file: &mut AudioFile, mut f: impl FnMut(&[f32])) {
    let mut block = Vec::new();
    while file.next_block(&mut block).is_ok_and(|more| more) {
        f(&block);
    }
}

fn recordings() -> Vec<PathBuf> {
    let root = std::env::var_os("GENRESCOPE_DATA")
        .map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from);
    let entries = std::fs::read_dir(root.join("reference"))
        .into_iter()
        .flatten()
        .flatten();
    let mut files: Vec<PathBuf> = entries
        .map(|entry| entry.path())
        .filter(|path| path.extension().is_some_and(|e| e == "mp3"))
        .collect();
    files.sort();
    files
}
