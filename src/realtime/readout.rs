//! The newest readout, handed from one worker to any number of readers without a lock.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::Arc;

use super::seqlock::{Reader, Writer, seqlock};
use crate::{
    decision::{Readout, Reason, State},
    genre::{MAX_LABELS, Scores},
    units::Seconds,
};

/// Scalars before the scores, in 32-bit words; see [`encode`].
const N_SCALARS: usize = 15;

/// Words of the longest readout.
const N_WORDS: usize = N_SCALARS + 2 * MAX_LABELS;

/// No genre.
const NO_GENRE: u32 = u32::MAX;

/// The newest readout, shared without locks: for any number of readers.
pub struct ReadoutCell(Reader<N_WORDS>);

/// The one place from which readouts are written: owned by the worker.
pub(super) struct ReadoutWriter(Writer<N_WORDS>);

/// A cell that holds `first`, and what writes it.
pub(super) fn readout_cell(first: &Readout) -> (ReadoutWriter, Arc<ReadoutCell>) {
    let (words, n_words) = encode(first);
    let (writer, reader) = seqlock(&words[..n_words]);
    (ReadoutWriter(writer), Arc::new(ReadoutCell(reader)))
}

impl ReadoutWriter {
    /// Publishes a readout.
    pub(super) fn store(&mut self, readout: &Readout) {
        let (words, n_words) = encode(readout);
        self.0.store(&words[..n_words]);
    }
}

impl ReadoutCell {
    /// The newest readout; `None` in the rare case that it was being replaced during every try.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn load(&self) -> Option<Readout> {
        self.0.load().map(|words| decode(&words))
    }

    /// Counts the readouts: while it stays the same, [`ReadoutCell::load`] would give what it gave
    /// before, at more cost.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn version(&self) -> u64 {
        self.0.version()
    }
}

/// A readout as words, and how many they are: the scalars, then both rows of scores.
fn encode(readout: &Readout) -> ([u32; N_WORDS], usize) {
    // Taken apart without `..`, so that a new field cannot be forgotten here.
    let Readout {
        state,
        reason,
        genre,
        confidence,
        scores,
        frame_scores,
        music,
        level_dbfs,
        position,
        heard,
        frames,
        seq,
        changed,
    } = *readout;
    let (scores, frame_scores) = (scores.as_slice(), frame_scores.as_slice());
    let (position, heard) = (position.0.to_bits(), heard.0.to_bits());
    let scalars = [
        encode_state(state),
        encode_reason(reason),
        genre.map_or(NO_GENRE, |index| index as u32),
        confidence.to_bits(),
        music.unwrap_or(f32::NAN).to_bits(),
        level_dbfs.to_bits(),
        position as u32,
        (position >> 32) as u32,
        heard as u32,
        (heard >> 32) as u32,
        frames,
        seq as u32,
        (seq >> 32) as u32,
        u32::from(changed),
        (scores.len() << 16 | frame_scores.len()) as u32,
    ];
    let mut words = [0; N_WORDS];
    words[..N_SCALARS].copy_from_slice(&scalars);
    let rows = scores.iter().chain(frame_scores);
    for (word, score) in words[N_SCALARS..].iter_mut().zip(rows) {
        *word = score.to_bits();
    }
    (words, N_SCALARS + scores.len() + frame_scores.len())
}

/// The readout of [`encode`].
fn decode(words: &[u32; N_WORDS]) -> Readout {
    let (
        &[
            state,
            reason,
            genre,
            confidence,
            music,
            level_dbfs,
            position_low,
            position_high,
            heard_low,
            heard_high,
            frames,
            seq_low,
            seq_high,
            changed,
            lengths,
        ],
        rows,
    ) = words.split_first_chunk().unwrap_or((&[0; N_SCALARS], &[]));
    let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
    let length = |length: u32| (length as usize).clamp(1, MAX_LABELS);
    let (n_scores, n_frame_scores) = (length(lengths >> 16), length(lengths & 0xffff));
    let row = |from: usize, length: usize| {
        let mut values = [0.0_f32; MAX_LABELS];
        for (value, word) in values.iter_mut().zip(rows.iter().skip(from)) {
            *value = f32::from_bits(*word);
        }
        Scores::new(&values[..length])
    };
    Readout {
        state: decode_state(state),
        reason: decode_reason(reason),
        genre: (genre != NO_GENRE).then_some(genre as usize),
        confidence: f32::from_bits(confidence),
        scores: row(0, n_scores),
        frame_scores: row(n_scores, n_frame_scores),
        music: Some(f32::from_bits(music)).filter(|music| !music.is_nan()),
        level_dbfs: f32::from_bits(level_dbfs),
        position: Seconds(f64::from_bits(wide(position_low, position_high))),
        heard: Seconds(f64::from_bits(wide(heard_low, heard_high))),
        frames,
        seq: wide(seq_low, seq_high),
        changed: changed != 0,
    }
}

/// The place in [`State::ALL`].
const fn encode_state(state: State) -> u32 {
    state as u32
}

fn decode_state(word: u32) -> State {
    let state = State::ALL.get(word as usize).copied();
    state.unwrap_or(State::Lost)
}

/// 0 for none, else the place in [`Reason::ALL`] from 1.
fn encode_reason(reason: Option<Reason>) -> u32 {
    let place = reason.and_then(|reason| Reason::ALL.iter().position(|&other| other == reason));
    place.map_or(0, |place| place as u32 + 1)
}

fn decode_reason(word: u32) -> Option<Reason> {
    let place = word.checked_sub(1)?;
    Reason::ALL.get(place as usize).copied()
}

impl std::fmt::Debug for ReadoutCell {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_tuple("ReadoutCell").field(&self.load()).finish()
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use std::{
        sync::atomic::{AtomicBool, AtomicU64, Ordering},
        thread,
    };

    use super::*;

    fn readout(seq: u64) -> Readout {
        // Every field follows from `seq`, so a torn read shows.
        let state = decode_state((seq % 7) as u32);
        let n_labels = 1 + (seq as usize) % MAX_LABELS;
        let value = (seq % 1000) as f32 / 1000.0;
        Readout {
            state,
            reason: decode_reason((seq % 9) as u32),
            genre: seq.is_multiple_of(3).then_some(seq as usize % n_labels),
            confidence: value,
            scores: Scores::new(&vec![value; n_labels]),
            frame_scores: Scores::new(&vec![1.0 - value; n_labels]),
            music: (!seq.is_multiple_of(5)).then_some(value),
            level_dbfs: -value,
            position: Seconds(seq as f64 * 2.048),
            heard: Seconds(seq as f64 / 3.0),
            frames: seq as u32,
            seq,
            changed: seq.is_multiple_of(2),
        }
    }

    #[test]
    fn every_field_comes_back() {
        for seq in [0, 1, 2, 3, 63, 64, u64::from(u32::MAX) + 7, u64::MAX / 2] {
            let (mut writer, cell) = readout_cell(&readout(5));
            let before = cell.version();
            writer.store(&readout(seq));
            assert_eq!(cell.load(), Some(readout(seq)));
            assert!(cell.version() > before);
            assert_eq!(cell.version(), cell.version());
        }
    }

    #[test]
    fn states_survive() {
        for state in State::ALL {
            assert_eq!(decode_state(encode_state(state)), state);
        }
        for word in 0..=Reason::ALL.len() as u32 {
            assert_eq!(encode_reason(decode_reason(word)), word);
        }
    }

    /// A writer without pause against readers: what is read was written, whole, and never goes
    /// back.
    #[test]
    fn reads_are_never_torn() {
        let (mut writer, cell) = readout_cell(&readout(0));
        let stop = Arc::new(AtomicBool::new(false));
        let successes = Arc::new(AtomicU64::new(0));
        let readers: Vec<_> = (0..3)
            .map(|_| {
                let (cell, stop) = (Arc::clone(&cell), Arc::clone(&stop));
                let successes = Arc::clone(&successes);
                thread::spawn(move || {
                    let mut last = 0;
                    while !stop.load(Ordering::Relaxed) {
                        if let Some(found) = cell.load() {
                            assert_eq!(found, readout(found.seq), "torn");
                            assert!(found.seq >= last, "went back");
                            last = found.seq;
                            successes.fetch_add(1, Ordering::Relaxed);
                        }
                    }
                })
            })
            .collect();
        for seq in 1..200_000 {
            writer.store(&readout(seq));
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(cell.load(), Some(readout(199_999)));
        assert!(successes.load(Ordering::Relaxed) > 0, "no read succeeded");
    }
}
