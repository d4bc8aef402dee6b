//! genrescope listens to music and says which genre it hears, live, and says so when it does not
//! know.
//!
//! The genre of a signal in a few lines ([`source::file`] reads one from disk, [`source::synth`]
//! makes one; each is a feature of that name):
//!
//! ```
//! use genrescope::{
//!     network::Model,
//!     song::{Multiframe, SongClassifier},
//!     source::synth,
//!     units::{SampleRate, Seconds},
//! };
//!
//! let model = Model::builtin();
//! let rate = SampleRate::new(22_050)?;
//! let music = synth::render(synth::Style::ALL[0], rate, Seconds(31.0), 1).mono();
//! let mut song = SongClassifier::new(&model, rate, Multiframe::default())?;
//! song.push(&music);
//! let song = song.finish();
//! assert_eq!(song.frames.len(), 1);
//! println!("{:?} {:?}", song.verdict, song.scores);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A live stream is a [`pipeline::Pipeline`], or [`realtime::Listener`] with its own thread.
//!
//! # Glossary
//! *block*: what a callback delivers. *column*: 96 mel values, one per hop of 256 samples at 12 kHz
//! (21.3 ms). *frame*: the paper's 29.12-s network input, 96 x 1366. *trunk*: the convolutions.
//! *step*: one output column of the trunk (64 mel columns in the CNN, 96 in the CRNN). *head*: GRUs
//! and dense layers. *multiframe*: several frames of a song, scores averaged. *readout*: what the
//! user sees.

// Tests may; the library hands errors on and leaves printing to the command line.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(feature = "file")]
pub mod answer;
mod chunks;
#[cfg(feature = "cli")]
pub mod cli;
pub mod decision;
pub mod front_end;
pub mod genre;
mod hexadecimal;
pub mod midi;
pub mod mixdown;
pub mod network;
pub mod pipeline;
#[cfg(test)]
#[path = "../tests/support/random.rs"]
mod random;
pub mod readout;
pub mod realtime;
pub mod sink;
pub mod song;
pub mod source;
pub mod statistics;
#[cfg(feature = "cli")]
pub mod tags;
pub mod teach;
#[cfg(feature = "cli")]
mod toml_words;
pub mod units;
pub mod words;

/// What README.md shows must compile.
#[cfg(all(doctest, feature = "file"))]
#[doc = include_str!("../README.md")]
struct Readme;
