//! The newest readout, handed from one worker to any number of readers without a lock.

use std::sync::atomic::{AtomicU32, AtomicU64, Ordering, fence};

use crate::{
    decision::{Readout, Reason, State},
    genre::{MAX_LABELS, Scores},
    units::Seconds,
};

/// How often [`ReadoutCell::load`] tries. The worker writes a few times a second and a try takes less
/// than a microsecond, so a second try is rare and a fourth was never seen in the stress test.
const TRIES: usize = 4;

/// Scalars before the scores, in 32-bit words; see [`Slot::write`].
const N_SCALARS: usize = 15;

/// No genre.
const NO_GENRE: u32 = u32::MAX;

/// The newest readout, shared without locks (two sequence-locked slots of atomics).
///
/// The worker writes into the slot that is not the newest, then makes it the newest. A reader is
/// disturbed only when the worker writes twice during one read, and what it reads never goes back in time.
pub struct ReadoutCell {
    slots: [Slot; 2],
    /// Counts readouts; version `v` lies in slot `v % 2`.
    newest: AtomicU64,
}

struct Slot {
    /// `2 v` once version `v` is complete, `2 v - 1` while it is being written.
    sequence: AtomicU64,
    scalars: [AtomicU32; N_SCALARS],
    scores: [AtomicU32; MAX_LABELS],
    frame_scores: [AtomicU32; MAX_LABELS],
}

impl ReadoutCell {
    pub(super) fn new(readout: &Readout) -> Self {
        let cell = Self {
            slots: [Slot::new(), Slot::new()],
            newest: AtomicU64::new(0),
        };
        cell.store(readout);
        cell
    }

    /// The newest readout; `None` in the rare case that it was being replaced during every try.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn load(&self) -> Option<Readout> {
        for _ in 0..TRIES {
            let version = self.newest.load(Ordering::Acquire);
            if let Some(readout) = self.slots[(version % 2) as usize].read(version) {
                return Some(readout);
            }
            std::hint::spin_loop();
        }
        None
    }

    /// Counts the readouts: while it stays the same, [`ReadoutCell::load`] would give what it gave before, at more cost.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn version(&self) -> u64 {
        self.newest.load(Ordering::Acquire)
    }

    /// Publishes a readout. Called by one thread at a time: the worker, or the listener that has joined it.
    pub(super) fn store(&self, readout: &Readout) {
        let version = self.newest.load(Ordering::Relaxed) + 1;
        self.slots[(version % 2) as usize].write(version, readout);
        self.newest.store(version, Ordering::Release);
    }
}

impl Slot {
    fn new() -> Self {
        Self {
            sequence: AtomicU64::new(0),
            scalars: [const { AtomicU32::new(0) }; N_SCALARS],
            scores: [const { AtomicU32::new(0) }; MAX_LABELS],
            frame_scores: [const { AtomicU32::new(0) }; MAX_LABELS],
        }
    }

    fn write(&self, version: u64, readout: &Readout) {
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
        let (position, heard) = (position.0.to_bits(), heard.0.to_bits());
        let words = [
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
            (scores.as_slice().len() << 16 | frame_scores.as_slice().len()) as u32,
        ];

        // The sequence lock of Boehm, "Can seqlocks get along with programming language memory models?" (2012):
        // relaxed data between two fences.
        self.sequence.store(2 * version - 1, Ordering::Relaxed);
        fence(Ordering::Release);
        for (slot, word) in self.scalars.iter().zip(words) {
            slot.store(word, Ordering::Relaxed);
        }
        for (slots, scores) in [(&self.scores, &scores), (&self.frame_scores, &frame_scores)] {
            for (slot, score) in slots.iter().zip(scores.as_slice()) {
                slot.store(score.to_bits(), Ordering::Relaxed);
            }
        }
        self.sequence.store(2 * version, Ordering::Release);
    }

    fn read(&self, version: u64) -> Option<Readout> {
        if self.sequence.load(Ordering::Acquire) != 2 * version {
            return None;
        }
        let mut words = [0_u32; N_SCALARS];
        for (word, slot) in words.iter_mut().zip(&self.scalars) {
            *word = slot.load(Ordering::Relaxed);
        }
        let mut values = [[0.0_f32; MAX_LABELS]; 2];
        for (values, slots) in values.iter_mut().zip([&self.scores, &self.frame_scores]) {
            for (value, slot) in values.iter_mut().zip(slots) {
                *value = f32::from_bits(slot.load(Ordering::Relaxed));
            }
        }
        fence(Ordering::Acquire);
        if self.sequence.load(Ordering::Relaxed) != 2 * version {
            return None;
        }

        let [
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
        ] = words;
        let wide = |low: u32, high: u32| u64::from(high) << 32 | u64::from(low);
        let scores = |values: &[f32; MAX_LABELS], length: u32| {
            Scores::new(&values[..(length as usize).clamp(1, MAX_LABELS)])
        };
        Some(Readout {
            state: decode_state(state),
            reason: decode_reason(reason),
            genre: (genre != NO_GENRE).then_some(genre as usize),
            confidence: f32::from_bits(confidence),
            scores: scores(&values[0], lengths >> 16),
            frame_scores: scores(&values[1], lengths & 0xffff),
            music: Some(f32::from_bits(music)).filter(|music| !music.is_nan()),
            level_dbfs: f32::from_bits(level_dbfs),
            position: Seconds(f64::from_bits(wide(position_low, position_high))),
            heard: Seconds(f64::from_bits(wide(heard_low, heard_high))),
            frames,
            seq: wide(seq_low, seq_high),
            changed: changed != 0,
        })
    }
}

const fn encode_state(state: State) -> u32 {
    match state {
        State::Warming => 0,
        State::Provisional => 1,
        State::Live => 2,
        State::Unsure => 3,
        State::NotMusic => 4,
        State::Silent => 5,
        State::Lost => 6,
    }
}

const fn decode_state(word: u32) -> State {
    match word {
        0 => State::Warming,
        1 => State::Provisional,
        2 => State::Live,
        3 => State::Unsure,
        4 => State::NotMusic,
        5 => State::Silent,
        _ => State::Lost,
    }
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
mod tests {
    use std::{
        sync::{
            Arc,
            atomic::{AtomicBool, AtomicU64},
        },
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
            let cell = ReadoutCell::new(&readout(5));
            let before = cell.version();
            cell.store(&readout(seq));
            assert_eq!(cell.load(), Some(readout(seq)));
            assert!(cell.version() > before);
            assert_eq!(cell.version(), cell.version());
        }
    }

    #[test]
    fn states_survive() {
        for word in 0..7 {
            assert_eq!(encode_state(decode_state(word)), word);
        }
        for word in 0..=Reason::ALL.len() as u32 {
            assert_eq!(encode_reason(decode_reason(word)), word);
        }
    }

    /// A writer without pause against readers: what is read was written, whole, and never goes back.
    #[test]
    fn reads_are_never_torn() {
        let cell = Arc::new(ReadoutCell::new(&readout(0)));
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
            cell.store(&readout(seq));
        }
        stop.store(true, Ordering::Relaxed);
        for reader in readers {
            reader.join().unwrap();
        }
        assert_eq!(cell.load(), Some(readout(199_999)));
        assert!(successes.load(Ordering::Relaxed) > 0, "no read succeeded");
    }
}
