//! What is said of a readout as MIDI, by the plugin and by the command line: a controller per genre
//! and a note for the genre that is on.
//!
//! | message | when | value |
//! |---|---|---|
//! | control change of genre `i` | its score changed by a step of 1/127 | score, 0 to 127 |
//! | note on of genre `i` | it is shown (provisional or live) | velocity = confidence, 1 to 127 |
//! | note off of genre `i` | it is no longer shown | |
//!
//! [`Told`] remembers what the receiver was told and says what has changed since. It allocates
//! nothing, as it runs on a host's audio thread, too.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use crate::{
    decision::{Readout, State},
    genre::MAX_LABELS,
};

/// Most batches of messages in a second.
pub const MAX_UPDATES_PER_SECOND: u32 = 4;

/// Highest controller a genre may have: 120 to 127 are channel mode messages (MIDI 1.0
/// specification, table 3).
pub const LAST_CC: u8 = 119;

/// Highest note.
pub const LAST_NOTE: u8 = 127;

/// Channel mode message that ends every note of a channel.
pub const ALL_NOTES_OFF: u8 = 123;

/// Place of the confidence among the faders: behind those of the genres.
pub const CONFIDENCE: usize = MAX_LABELS;

/// Place of the probability of music.
pub const MUSIC: usize = MAX_LABELS + 1;

/// Everything that may have a controller.
const N_FADERS: usize = MAX_LABELS + 2;

/// Place of a state among the lamps: behind those of the genres.
pub const fn lamp_of(state: State) -> usize {
    MAX_LABELS + state as usize
}

/// Channels and numbers of what is said. Channels are 0 to 15, shown as 1 to 16.
pub trait Numbers: PartialEq {
    /// Channel and note of a lamp: a genre by its index, a state by [`lamp_of`].
    fn note(&self, lamp: usize) -> Option<(u8, u8)>;
    /// Channel and controller of a fader: a genre by its index, [`CONFIDENCE`], [`MUSIC`].
    fn cc(&self, fader: usize) -> Option<(u8, u8)>;
    /// Channel and program of a lamp.
    fn program(&self, _lamp: usize) -> Option<(u8, u8)> {
        None
    }
}

/// Numbers in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MidiMap {
    /// Channel from 0 to 15 (shown as 1 to 16).
    pub channel: u8,
    /// Note of the first genre, 0 to 127.
    pub base_note: u8,
    /// Controller of the first genre, 0 to 119.
    pub base_cc: u8,
}

impl MidiMap {
    /// C2 and up, and controllers that the specification leaves undefined.
    pub const DEFAULT: Self = Self {
        channel: 0,
        base_note: 36,
        base_cc: 20,
    };

    /// Note of genre `index`; `None` when it would lie above 127.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn note(self, index: usize) -> Option<u8> {
        in_row(self.base_note, index, LAST_NOTE)
    }

    /// Controller of genre `index`; `None` when it would lie above 119.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn cc(self, index: usize) -> Option<u8> {
        in_row(self.base_cc, index, LAST_CC)
    }
}

/// `base + index` where it is no higher than `last`.
fn in_row(base: u8, index: usize, last: u8) -> Option<u8> {
    let number = u8::try_from(usize::from(base) + index).ok();
    number.filter(|&number| index < MAX_LABELS && number <= last)
}

impl Numbers for MidiMap {
    fn note(&self, lamp: usize) -> Option<(u8, u8)> {
        MidiMap::note(*self, lamp).map(|note| (self.channel, note))
    }

    fn cc(&self, fader: usize) -> Option<(u8, u8)> {
        MidiMap::cc(*self, fader).map(|cc| (self.channel, cc))
    }
}

/// One message, with values as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MidiMessage {
    /// Control change.
    ControlChange {
        /// 0 to 15.
        channel: u8,
        /// 0 to 119, or a channel mode message.
        cc: u8,
        /// 0 to 127.
        value: u8,
    },
    /// Note on.
    NoteOn {
        /// 0 to 15.
        channel: u8,
        /// 0 to 127.
        note: u8,
        /// 1 to 127.
        velocity: u8,
    },
    /// Note off.
    NoteOff {
        /// 0 to 15.
        channel: u8,
        /// 0 to 127.
        note: u8,
    },
    /// Program change.
    Program {
        /// 0 to 15.
        channel: u8,
        /// 0 to 127.
        program: u8,
    },
}

impl MidiMessage {
    /// The bytes of MIDI 1.0, and how many of them there are.
    pub const fn bytes(self) -> ([u8; 3], usize) {
        match self {
            Self::ControlChange { channel, cc, value } => ([0xb0 | channel, cc, value], 3),
            Self::NoteOn {
                channel,
                note,
                velocity,
            } => ([0x90 | channel, note, velocity], 3),
            Self::NoteOff { channel, note } => ([0x80 | channel, note, 0], 3),
            Self::Program { channel, program } => ([0xc0 | channel, program, 0], 2),
        }
    }
}

/// What the receiver was told.
#[derive(Clone, Debug)]
pub struct Told {
    /// Last value of each controller; `None` before the first.
    sent: [Option<u8>; N_FADERS],
    /// The lamp that is on.
    lamp: Option<usize>,
    /// Its note, with its channel.
    sounding: Option<(u8, u8)>,
}

impl Default for Told {
    fn default() -> Self {
        Self {
            sent: [None; N_FADERS],
            lamp: None,
            sounding: None,
        }
    }
}

impl Told {
    /// Forgets the values of controllers: the receiver is another, or they have other numbers.
    pub fn forget_faders(&mut self) {
        self.sent = [None; N_FADERS];
    }

    /// Ends the note that is on. False when `emit` refused it.
    ///
    /// # Real-time
    /// Safe on the audio thread when `emit` is.
    pub fn end_note(&mut self, emit: &mut impl FnMut(MidiMessage) -> bool) -> bool {
        let Some((channel, note)) = self.sounding else {
            self.lamp = None;
            return true;
        };
        let taken = emit(MidiMessage::NoteOff { channel, note });
        if taken {
            self.sounding = None;
            self.lamp = None;
        }
        taken
    }

    /// Every controller falls to 0. False when `emit` refused one.
    ///
    /// # Real-time
    /// Safe on the audio thread when `emit` is.
    pub fn zero_faders(
        &mut self,
        numbers: &impl Numbers,
        emit: &mut impl FnMut(MidiMessage) -> bool,
    ) -> bool {
        for (fader, sent) in self.sent.iter_mut().enumerate() {
            if let Some((channel, cc)) = numbers.cc(fader)
                && sent.is_some_and(|value| value > 0)
            {
                let value = 0;
                if !emit(MidiMessage::ControlChange { channel, cc, value }) {
                    return false;
                }
                *sent = Some(0);
            }
        }
        true
    }

    /// Says what a readout changes. True when anything was sent; what `emit` refused is
    /// offered again next time.
    ///
    /// # Real-time
    /// Safe on the audio thread when `emit` is.
    pub fn changes(
        &mut self,
        readout: &Readout,
        numbers: &impl Numbers,
        emit: &mut impl FnMut(MidiMessage) -> bool,
    ) -> bool {
        let mut any = false;
        let of_state = lamp_of(readout.state);
        let state = numbers.note(of_state).or(numbers.program(of_state));
        let wanted = readout.genre.or(state.map(|_| of_state));
        let note = wanted.and_then(|lamp| numbers.note(lamp));
        if self.sounding != note {
            any = self.sounding.is_some();
            if !self.end_note(emit) {
                return false;
            }
        }
        if self.lamp != wanted {
            if let Some((channel, program)) = wanted.and_then(|lamp| numbers.program(lamp)) {
                if !emit(MidiMessage::Program { channel, program }) {
                    return any;
                }
                any = true;
            }
            if let Some((channel, note)) = note {
                let velocity = match readout.genre {
                    Some(_) => seven_bits(readout.confidence).max(1),
                    None => LAST_NOTE,
                };
                let on = MidiMessage::NoteOn {
                    channel,
                    note,
                    velocity,
                };
                if !emit(on) {
                    return any;
                }
                self.sounding = Some((channel, note));
                any = true;
            }
            self.lamp = wanted;
        }
        // Without music there are no scores worth a light: every controller goes to 0.
        let music = matches!(
            readout.state,
            State::Provisional | State::Live | State::Unsure
        );
        let scores = readout.scores.as_slice();
        for (fader, sent) in self.sent.iter_mut().enumerate() {
            let Some((channel, cc)) = numbers.cc(fader) else {
                continue;
            };
            let number = match fader {
                CONFIDENCE => Some(readout.confidence),
                MUSIC => Some(readout.music.unwrap_or(0.0)),
                label => scores.get(label).copied(),
            };
            let value = match number {
                Some(number) if music => seven_bits(number),
                Some(_) => 0,
                // A model with fewer labels: what the one before it has lit goes out.
                None if sent.is_some() => 0,
                None => continue,
            };
            if *sent == Some(value) {
                continue;
            }
            if !emit(MidiMessage::ControlChange { channel, cc, value }) {
                return any;
            }
            *sent = Some(value);
            any = true;
        }
        any
    }
}

/// 0..=1 to 0..=127, rounded to the nearest; what is not a number gives 0.
fn seven_bits(value: f32) -> u8 {
    (value.clamp(0.0, 1.0) * 127.0).round() as u8
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use super::*;

    #[test]
    fn messages_have_the_bytes_of_the_specification() {
        let bytes = |message: MidiMessage| {
            let (bytes, length) = message.bytes();
            bytes[..length].to_vec()
        };
        let (channel, note) = (2, 36);
        let on = MidiMessage::NoteOn {
            channel,
            note,
            velocity: 100,
        };
        assert_eq!(bytes(on), [0x92, 36, 100]);
        assert_eq!(bytes(MidiMessage::NoteOff { channel, note }), [0x82, 36, 0]);
        let (cc, value) = (119, 127);
        let change = MidiMessage::ControlChange { channel, cc, value };
        assert_eq!(bytes(change), [0xb2, 119, 127]);
        let program = MidiMessage::Program {
            channel: 15,
            program: 9,
        };
        assert_eq!(bytes(program), [0xcf, 9]);
    }

    #[test]
    fn genres_beyond_the_last_number_have_none() {
        let top = MidiMap {
            channel: 0,
            base_note: 127,
            base_cc: 119,
        };
        assert_eq!((top.note(0), top.note(1)), (Some(127), None));
        assert_eq!((top.cc(0), top.cc(1)), (Some(119), None));
        let low = MidiMap {
            base_note: 0,
            base_cc: 0,
            ..top
        };
        assert_eq!(low.note(lamp_of(State::Silent)), None, "states have none");
        assert_eq!(low.cc(CONFIDENCE), None);
    }
}
