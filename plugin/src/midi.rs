//! What the plugin says to the host as MIDI: a controller per genre and a note for the genre that is on.
//!
//! | message | when | value |
//! |---|---|---|
//! | control change `base_cc + i` | score of genre `i` changed by a step of 1/127 | score, 0 to 127 |
//! | note on `base_note + i` | genre `i` is shown (provisional or live) | velocity = confidence, 1 to 127 |
//! | note off `base_note + i` | genre `i` is no longer shown | |
//!
//! Nothing is sent more often than [`MAX_UPDATES_PER_SECOND`] times a second, and nothing that did not change.

use genrescope::{
    decision::{Readout, State},
    genre::MAX_LABELS,
    units::SampleRate,
};

/// Most batches of messages in a second of stream time.
pub const MAX_UPDATES_PER_SECOND: u32 = 4;

/// Highest controller a genre may have: 120 to 127 are channel mode messages (MIDI 1.0 specification, table 3).
pub const LAST_CC: u8 = 119;

/// Highest note.
pub const LAST_NOTE: u8 = 127;

/// Where the messages go: what the user set.
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
    /// Note of genre `index`; `None` when it would lie above 127.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn note(self, index: usize) -> Option<u8> {
        let number = usize::from(self.base_note) + index;
        u8::try_from(number).ok().filter(|&note| note <= LAST_NOTE)
    }

    /// Controller of genre `index`; `None` when it would lie above 119.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn cc(self, index: usize) -> Option<u8> {
        let number = usize::from(self.base_cc) + index;
        u8::try_from(number).ok().filter(|&cc| cc <= LAST_CC)
    }
}

/// One message, with values as they stand on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum MidiMessage {
    /// Control change.
    ControlChange {
        /// 0 to 15.
        channel: u8,
        /// 0 to 119.
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
}

/// Remembers what the host was told, and says what has changed since.
#[derive(Debug)]
pub struct MidiOut {
    /// Samples between two batches.
    interval: u64,
    /// Samples since the last batch.
    elapsed: u64,
    /// The map that `sent` and `sounding` belong to.
    map: Option<MidiMap>,
    /// Last value of each controller; `None` before the first.
    sent: [Option<u8>; MAX_LABELS],
    /// The note that is on, with its channel.
    sounding: Option<(u8, u8)>,
    /// Something may have changed since all was said.
    pending: bool,
}

impl MidiOut {
    /// Nothing was sent yet, and the first batch may go at once.
    pub fn new(rate: SampleRate) -> Self {
        let interval = u64::from(rate.hz().div_ceil(MAX_UPDATES_PER_SECOND));
        Self {
            interval,
            elapsed: interval,
            map: None,
            sent: [None; MAX_LABELS],
            sounding: None,
            pending: true,
        }
    }

    /// There is another readout.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn news(&mut self) {
        self.pending = true;
    }

    /// Forgets what was sent, as after the host has cleared its voices; everything is sent anew.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn forget(&mut self) {
        self.elapsed = self.interval;
        self.sent = [None; MAX_LABELS];
        self.sounding = None;
        self.pending = true;
    }

    /// Forgets the controllers but not the note that is on: for a new stream, whose labels may mean something else.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn forget_scores(&mut self) {
        self.sent = [None; MAX_LABELS];
        self.pending = true;
    }

    /// Called once per block of `n_samples`: hands what has changed to `emit`, which says whether the host took it
    /// (what it refused is offered again with the next batch). `map` is `None` while the output is off: then the
    /// note that is on is ended and nothing else is sent. [`MidiOut::news`] tells of another readout; without it,
    /// nothing is looked at.
    ///
    /// # Real-time
    /// Safe on the audio thread when `emit` is.
    pub fn advance(
        &mut self,
        n_samples: usize,
        readout: Option<&Readout>,
        map: Option<MidiMap>,
        mut emit: impl FnMut(MidiMessage) -> bool,
    ) {
        self.elapsed = self.elapsed.saturating_add(n_samples as u64);
        if map != self.map {
            if let Some((channel, note)) = self.sounding {
                if !emit(MidiMessage::NoteOff { channel, note }) {
                    return;
                }
                self.sounding = None;
            }
            self.sent = [None; MAX_LABELS];
            self.map = map;
            self.pending = true;
        }
        if !self.pending || self.elapsed < self.interval {
            return;
        }
        let (Some(map), Some(readout)) = (map, readout) else {
            return;
        };
        let mut refused = false;
        let sent = self.send_changes(readout, map, &mut |message| {
            let taken = emit(message);
            refused |= !taken;
            taken
        });
        if sent {
            self.elapsed = 0;
        }
        self.pending = refused;
    }

    /// True when anything was sent.
    fn send_changes(
        &mut self,
        readout: &Readout,
        map: MidiMap,
        emit: &mut impl FnMut(MidiMessage) -> bool,
    ) -> bool {
        let mut any = false;
        let wanted = readout.genre.and_then(|index| map.note(index));
        let sounding = self.sounding.map(|(_, note)| note);
        if sounding != wanted {
            if let Some((channel, note)) = self.sounding {
                if !emit(MidiMessage::NoteOff { channel, note }) {
                    return any;
                }
                self.sounding = None;
                any = true;
            }
            if let Some(note) = wanted {
                let velocity = seven_bits(readout.confidence).max(1);
                let channel = map.channel;
                if !emit(MidiMessage::NoteOn {
                    channel,
                    note,
                    velocity,
                }) {
                    return any;
                }
                self.sounding = Some((channel, note));
                any = true;
            }
        }
        // Without music there are no scores worth a light: every controller goes to 0.
        let music = matches!(
            readout.state,
            State::Provisional | State::Live | State::Unsure
        );
        for (index, (&score, sent)) in readout
            .scores
            .as_slice()
            .iter()
            .zip(&mut self.sent)
            .enumerate()
        {
            let Some(cc) = map.cc(index) else { break };
            let value = if music { seven_bits(score) } else { 0 };
            if *sent == Some(value) {
                continue;
            }
            let channel = map.channel;
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
mod tests {
    use genrescope::{genre::Scores, units::Seconds};

    use super::*;

    const MAP: MidiMap = MidiMap {
        channel: 2,
        base_note: 36,
        base_cc: 20,
    };

    fn readout(state: State, genre: Option<usize>, scores: &[f32]) -> Readout {
        let scores = Scores::new(scores);
        Readout {
            state,
            reason: None,
            genre,
            confidence: scores.top().1,
            scores,
            frame_scores: scores,
            music: None,
            level_dbfs: -18.0,
            position: Seconds(30.0),
            heard: Seconds(29.12),
            frames: 1,
            seq: 1,
            changed: true,
        }
    }

    fn out() -> MidiOut {
        MidiOut::new(SampleRate::new(48_000).unwrap())
    }

    fn batch(
        out: &mut MidiOut,
        n: usize,
        readout: &Readout,
        map: Option<MidiMap>,
    ) -> Vec<MidiMessage> {
        let mut sent = Vec::new();
        out.news();
        out.advance(n, Some(readout), map, |message| {
            sent.push(message);
            true
        });
        sent
    }

    #[test]
    fn a_new_readout_gives_a_note_and_a_controller_per_genre() {
        let mut out = out();
        let live = readout(State::Live, Some(1), &[0.25, 0.5, 0.25]);
        assert_eq!(
            batch(&mut out, 64, &live, Some(MAP)),
            [
                MidiMessage::NoteOn {
                    channel: 2,
                    note: 37,
                    velocity: 64
                },
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 20,
                    value: 32
                },
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 21,
                    value: 64
                },
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 22,
                    value: 32
                },
            ]
        );
        assert_eq!(batch(&mut out, 48_000, &live, Some(MAP)), []);
    }

    #[test]
    fn changes_wait_for_a_quarter_of_a_second() {
        let mut out = out();
        let first = readout(State::Live, Some(0), &[1.0, 0.0]);
        let second = readout(State::Live, Some(1), &[0.0, 1.0]);
        assert_eq!(batch(&mut out, 64, &first, Some(MAP)).len(), 3);
        let mut batches = 0;
        for block in 0..750 {
            let next = if block % 2 == 0 { &second } else { &first };
            batches += usize::from(!batch(&mut out, 64, next, Some(MAP)).is_empty());
        }
        assert!((3..=4).contains(&batches), "{batches} batches in a second");
    }

    #[test]
    fn silence_ends_the_note_and_darkens_every_controller() {
        let mut out = out();
        batch(
            &mut out,
            1,
            &readout(State::Live, Some(0), &[0.9, 0.1]),
            Some(MAP),
        );
        assert_eq!(
            batch(
                &mut out,
                48_000,
                &readout(State::Silent, None, &[0.9, 0.1]),
                Some(MAP)
            ),
            [
                MidiMessage::NoteOff {
                    channel: 2,
                    note: 36
                },
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 20,
                    value: 0
                },
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 21,
                    value: 0
                },
            ]
        );
    }

    #[test]
    fn another_map_ends_the_old_note_where_it_began() {
        let mut out = out();
        let live = readout(State::Live, Some(0), &[1.0]);
        batch(&mut out, 1, &live, Some(MAP));
        let moved = MidiMap { channel: 5, ..MAP };
        assert_eq!(
            batch(&mut out, 48_000, &live, Some(moved)),
            [
                MidiMessage::NoteOff {
                    channel: 2,
                    note: 36
                },
                MidiMessage::NoteOn {
                    channel: 5,
                    note: 36,
                    velocity: 127
                },
                MidiMessage::ControlChange {
                    channel: 5,
                    cc: 20,
                    value: 127
                },
            ]
        );
        assert_eq!(
            batch(&mut out, 1, &live, None),
            [MidiMessage::NoteOff {
                channel: 5,
                note: 36
            }]
        );
        assert_eq!(batch(&mut out, 48_000, &live, None), []);
    }

    #[test]
    fn what_the_host_refuses_is_offered_again() {
        let mut out = out();
        let live = readout(State::Live, Some(0), &[1.0]);
        let mut room = 1;
        out.advance(64, Some(&live), Some(MAP), |_| {
            room -= 1;
            room >= 0
        });
        // Without another readout: once what was refused is through, there is nothing to say.
        let again = |out: &mut MidiOut| {
            let mut sent = Vec::new();
            out.advance(48_000, Some(&live), Some(MAP), |message| {
                sent.push(message);
                true
            });
            sent
        };
        assert_eq!(
            again(&mut out),
            [MidiMessage::ControlChange {
                channel: 2,
                cc: 20,
                value: 127
            }]
        );
        assert_eq!(again(&mut out), []);
    }

    #[test]
    fn genres_beyond_the_last_number_are_left_out() {
        let top = MidiMap {
            channel: 0,
            base_note: 127,
            base_cc: 119,
        };
        assert_eq!((top.note(0), top.note(1)), (Some(127), None));
        assert_eq!((top.cc(0), top.cc(1)), (Some(119), None));
        let live = readout(State::Live, Some(1), &[0.0, 1.0]);
        assert_eq!(
            batch(&mut out(), 1, &live, Some(top)),
            [MidiMessage::ControlChange {
                channel: 0,
                cc: 119,
                value: 0
            }]
        );
    }
}
