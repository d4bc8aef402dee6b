//! Music to play to a plugin in a host, and what the plugin said of it.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

#[path = "../../../tests/support/skip.rs"]
pub mod skip;

use std::{
    path::PathBuf,
    sync::OnceLock,
    time::{Duration, Instant},
};

use genrescope::{
    genre::GTZAN,
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    source::{file::AudioFile, synth},
    units::{SampleRate, Seconds},
};
use genrescope_plugin_core::params::{DEFAULT_BASE_CC, DEFAULT_BASE_NOTE};

/// A plugin that a host has activated.
pub trait Deck {
    /// Plays one block of as many channels as the layout has; returns what came out.
    fn play(&mut self, input: &[Vec<f32>]) -> Vec<Vec<f32>>;
    /// Every message so far, three bytes each.
    fn midi(&self) -> &[[u8; 3]];
}

/// What a host was told last.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Told {
    /// The label whose note is on.
    pub genre: Option<usize>,
    /// The controllers.
    pub scores: Vec<u8>,
}

impl Told {
    /// What stands after `messages`.
    pub fn by(messages: &[[u8; 3]]) -> Self {
        let mut told = Self {
            genre: None,
            scores: vec![0; GTZAN.len()],
        };
        for &[status, number, value] in messages {
            let note = || Some(usize::from(number) - DEFAULT_BASE_NOTE as usize);
            match status & 0xf0 {
                0x90 => told.genre = note(),
                0x80 if told.genre == note() => told.genre = None,
                0xb0 => told.scores[usize::from(number) - DEFAULT_BASE_CC as usize] = value,
                _ => {}
            }
        }
        told
    }

    /// What the library says of the same samples, on the messages' scale.
    pub fn expected(song: &Song) -> Self {
        let model = Model::builtin();
        let mut pipeline = Pipeline::new(&model, song.rate, PipelineConfig::default()).unwrap();
        pipeline.push(&song.samples, |_| {});
        let readout = pipeline.readout();
        let scores = readout.scores.as_slice();
        Self {
            genre: readout.genre,
            scores: scores.iter().map(|s| (s * 127.0).round() as u8).collect(),
        }
    }

    /// Equal, but for one step of the controllers: a host hands parameters over as 32-bit fractions
    /// of their range.
    pub fn agrees_with(&self, other: &Self) -> bool {
        self.genre == other.genre
            && self
                .scores
                .iter()
                .zip(&other.scores)
                .all(|(a, b)| a.abs_diff(*b) <= 1)
    }
}

/// Mono music.
#[derive(Clone)]
pub struct Song {
    pub rate: SampleRate,
    pub samples: Vec<f32>,
}

/// Music made in code, of a kind that is named, whatever it is called.
pub fn composed(hz: u32, seconds: f64) -> Song {
    let rate = SampleRate::new(hz).unwrap();
    Song {
        rate,
        samples: synth::render(named_style(), rate, Seconds(seconds), 7).mono(),
    }
}

/// The first that the built-in model names after 6 s, and names the same after 12.
fn named_style() -> synth::Style {
    static STYLE: OnceLock<synth::Style> = OnceLock::new();
    *STYLE.get_or_init(|| {
        let rate = SampleRate::new(48_000).unwrap();
        let model = Model::builtin();
        synth::Style::ALL
            .into_iter()
            .find(|style| {
                let samples = synth::render(*style, rate, Seconds(12.0), 7).mono();
                let mut pipeline = Pipeline::new(&model, rate, PipelineConfig::default()).unwrap();
                let (beginning, rest) = samples.split_at(6 * 48_000);
                pipeline.push(beginning, |_| {});
                let early = pipeline.readout().genre;
                pipeline.push(rest, |_| {});
                early.is_some() && early == pipeline.readout().genre
            })
            .expect("a kind of music that is named")
    })
}

/// Clips of GTZAN with the index of their label; says so when they are not there.
pub fn real_songs() -> Vec<(usize, Song)> {
    let data = std::env::var_os("GENRESCOPE_DATA").map_or_else(
        || PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../shared/data")),
        PathBuf::from,
    );
    let mut songs = Vec::new();
    for (genre, clip) in [("metal", 3), ("jazz", 7), ("classical", 5)] {
        let path = data.join(format!("gtzan/{genre}/{genre}.{clip:05}.opus"));
        if !path.is_file() {
            skip::skip(
                "data",
                format_args!(
                    "there is no {}; GENRESCOPE_DATA names the data folder",
                    path.display()
                ),
            );
            continue;
        }
        let mut file = AudioFile::open(&path).unwrap();
        let mut samples = Vec::new();
        let mut block = Vec::new();
        while file.next_block(&mut block).unwrap() {
            samples.extend_from_slice(&block);
            block.clear();
        }
        let label = GTZAN.iter().position(|label| *label == genre).unwrap();
        let rate = file.rate();
        songs.push((label, Song { rate, samples }));
    }
    songs
}

/// As fast as the plugin lets it.
pub fn bounce(deck: &mut impl Deck, song: &Song) -> Told {
    for block in song.samples.chunks(1000) {
        deck.play(&[block.to_vec(), block.to_vec()]);
    }
    ask(deck)
}

/// By the clock, as a sound card does it.
pub fn live(deck: &mut impl Deck, song: &Song) -> Told {
    let start = Instant::now();
    let mut played = 0;
    for block in song.samples.chunks(1000) {
        deck.play(&[block.to_vec(), block.to_vec()]);
        played += block.len();
        let due = Duration::from_secs_f64(played as f64 / f64::from(song.rate.hz()));
        std::thread::sleep(due.saturating_sub(start.elapsed()));
    }
    // The worker has until then, on a machine that is busy with other tests too.
    std::thread::sleep(Duration::from_secs(3));
    ask(deck)
}

/// Messages go out with blocks, so a few samples more are played; a rendering looks every tenth of
/// a second.
fn ask(deck: &mut impl Deck) -> Told {
    for _ in 0..5 {
        deck.play(&[vec![0.0; 1024], vec![0.0; 1024]]);
    }
    Told::by(deck.midi())
}

/// The same bits, so that NaN equals itself and -0 differs from 0.
pub fn same_bits(one: &[Vec<f32>], two: &[Vec<f32>]) -> bool {
    one.len() == two.len()
        && one.iter().zip(two).all(|(a, b)| {
            a.len() == b.len() && a.iter().zip(b).all(|(a, b)| a.to_bits() == b.to_bits())
        })
}

/// Random blocks of 1 to 4096 samples come out as they went in.
pub fn passes_bit_for_bit(deck: &mut impl Deck, n_channels: usize, rounds: usize, what: &str) {
    let mut random = super::bundle::Random::new(n_channels as u64);
    for round in 0..rounds {
        let n = match round {
            0 => 1,
            1 => 4096,
            _ => random.within(1..=4096),
        };
        let input: Vec<Vec<f32>> = (0..n_channels)
            .map(|_| (0..n).map(|_| random.sample()).collect())
            .collect();
        let output = deck.play(&input);
        assert!(
            same_bits(&output, &input),
            "{n} samples of {n_channels} channels, {what}"
        );
    }
}

/// Values that no music has.
pub const STRANGE: [f32; 8] = [
    f32::NAN,
    -f32::NAN,
    f32::INFINITY,
    f32::NEG_INFINITY,
    f32::MIN_POSITIVE / 2.0,
    -f32::from_bits(1),
    f32::MAX,
    -0.0,
];

/// Threads of this process.
pub fn threads() -> usize {
    std::fs::read_dir("/proc/self/task").unwrap().count()
}

/// Resident memory of this process, in MiB.
pub fn resident_mib() -> f64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find(|l| l.starts_with("VmRSS:")).unwrap();
    let kib: f64 = line.split_whitespace().nth(1).unwrap().parse().unwrap();
    kib / 1024.0
}
