//! When the plugin says to the host as MIDI what [`genrescope::midi`] has to say.
//!
//! Nothing is sent more often than [`MAX_UPDATES_PER_SECOND`] times a second, and nothing that did
//! not change. What ends, ends at once: a note that is on when the host resets, stops or changes
//! the map is ended with the next block, and what had yet to be sent by then is sent no more.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

pub use genrescope::midi::{LAST_CC, LAST_NOTE, MAX_UPDATES_PER_SECOND, MidiMap, MidiMessage};

use genrescope::{decision::Readout, midi::Told, units::SampleRate};

/// Says what has changed since the host was told something, no more often than it may.
#[derive(Debug)]
pub struct MidiOut {
    /// Samples between two batches.
    interval: u64,
    /// Samples since the last batch.
    elapsed: u64,
    /// The map that `told` belongs to.
    map: Option<MidiMap>,
    told: Told,
    /// Something may have changed since all was said.
    pending: bool,
    /// The note that is on ends with the next block.
    ending: bool,
    /// Whatever is heard, nothing lights up.
    dark: bool,
    /// Every controller falls to 0 with the next block.
    fading: bool,
}

impl MidiOut {
    /// Nothing was sent yet, and the first batch may go at once.
    pub fn new(rate: SampleRate) -> Self {
        let mut new = Self {
            interval: 0,
            elapsed: 0,
            map: None,
            told: Told::default(),
            pending: true,
            ending: false,
            dark: false,
            fading: false,
        };
        new.set_rate(rate);
        new
    }

    /// From now on samples come at this rate. What is on stays known, so that it can be ended.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn set_rate(&mut self, rate: SampleRate) {
        self.interval = u64::from(rate.hz().div_ceil(MAX_UPDATES_PER_SECOND));
        self.elapsed = self.interval;
    }

    /// There is another readout.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn news(&mut self) {
        self.pending = true;
    }

    /// The host has reset, stopped or begun anew: the note that is on ends with the next block, and
    /// one comes again with the next readout. Controllers keep their values, so they are sent again
    /// only where they change. What was held back belongs to what has ended, and is never sent.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn end(&mut self) {
        self.ending = true;
        self.pending = false;
        self.elapsed = self.interval;
    }

    /// Every controller falls to 0 with the next block: there is nothing left that could have a
    /// score.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn fade(&mut self) {
        self.fading = true;
    }

    /// Dark: what is on ends, every controller falls to 0 with the next block, and nothing is sent,
    /// whatever is heard. What was heard in the dark is not sent afterwards.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub fn set_dark(&mut self, dark: bool) {
        if dark && !self.dark {
            self.end();
            self.fade();
        }
        self.dark = dark;
    }

    /// Called once per block of `n_samples`: hands what has changed to `emit` with the sample of
    /// the block that it belongs to; `emit` says whether the host took it (what it refused is
    /// offered again with the next batch). `readout` counts from sample `from` on. `map` is `None`
    /// while the output is off: then what is on is ended and nothing else is sent.
    /// [`MidiOut::news`] tells of another readout; without it, nothing is looked at.
    ///
    /// # Real-time
    /// Safe on the audio thread when `emit` is.
    pub fn advance(
        &mut self,
        n_samples: usize,
        from: usize,
        readout: Option<&Readout>,
        map: Option<MidiMap>,
        mut emit: impl FnMut(u32, MidiMessage) -> bool,
    ) {
        let elapsed = self.elapsed;
        self.elapsed = elapsed.saturating_add(n_samples as u64);
        let moved = map != self.map;
        if self.ending || moved {
            if !self.told.end_note(&mut |message| emit(0, message)) {
                return;
            }
            self.ending = false;
        }
        if self.fading || moved {
            // Faders that nobody moves any more must not stand where they were.
            if let Some(map) = &self.map
                && !self.told.zero_faders(map, &mut |message| emit(0, message))
            {
                return;
            }
            self.fading = false;
        }
        if moved {
            self.told.forget_faders();
            self.map = map;
            self.pending = true;
        }
        if self.dark {
            self.pending = false;
            return;
        }
        // In the middle of a block, if it is due there: the same for blocks of any size.
        let at = (from as u64).max(self.interval.saturating_sub(elapsed));
        if !self.pending || at >= n_samples as u64 {
            return;
        }
        let (Some(map), Some(readout)) = (map, readout) else {
            return;
        };
        let mut refused = false;
        let sent = self.told.changes(readout, &map, &mut |message| {
            let taken = emit(at as u32, message);
            refused |= !taken;
            taken
        });
        if sent {
            self.elapsed = n_samples as u64 - at;
        }
        self.pending = refused;
    }
}

#[cfg(test)]
#[allow(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use genrescope::{decision::State, genre::Scores, units::Seconds};

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
        out.advance(n, 0, Some(readout), map, |_, message| {
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
                MidiMessage::ControlChange {
                    channel: 2,
                    cc: 20,
                    value: 0
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
            [
                MidiMessage::NoteOff {
                    channel: 5,
                    note: 36
                },
                MidiMessage::ControlChange {
                    channel: 5,
                    cc: 20,
                    value: 0
                },
            ]
        );
        assert_eq!(batch(&mut out, 48_000, &live, None), []);
    }

    /// As the host gets them: the sample of the block, and the message.
    fn timed(
        out: &mut MidiOut,
        n: usize,
        from: usize,
        readout: &Readout,
    ) -> Vec<(u32, MidiMessage)> {
        let mut sent = Vec::new();
        out.advance(n, from, Some(readout), Some(MAP), |at, message| {
            sent.push((at, message));
            true
        });
        sent
    }

    const ON: MidiMessage = MidiMessage::NoteOn {
        channel: 2,
        note: 36,
        velocity: 127,
    };
    const OFF: MidiMessage = MidiMessage::NoteOff {
        channel: 2,
        note: 36,
    };

    #[test]
    fn what_is_on_ends_with_the_first_block_after_a_reset_and_comes_again_with_news() {
        let mut out = out();
        let live = readout(State::Live, Some(0), &[1.0, 0.0]);
        assert_eq!(timed(&mut out, 64, 0, &live)[0], (0, ON));
        out.end();
        // The same readout as before is no news.
        assert_eq!(timed(&mut out, 64, 0, &live), [(0, OFF)]);
        assert_eq!(timed(&mut out, 48_000, 0, &live), []);
        out.news();
        // Controllers stand where they were.
        assert_eq!(timed(&mut out, 64, 10, &live), [(10, ON)]);
        // At another rate, too: two resets in a row, as hosts do it, end it once.
        out.set_rate(SampleRate::new(96_000).unwrap());
        out.end();
        out.end();
        assert_eq!(timed(&mut out, 64, 0, &live), [(0, OFF)]);
    }

    #[test]
    fn what_was_held_back_is_not_sent_after_the_end() {
        let (first, second) = (
            readout(State::Live, Some(0), &[1.0, 0.0]),
            readout(State::Live, Some(1), &[0.0, 1.0]),
        );
        let ends: [fn(&mut MidiOut); 2] = [MidiOut::end, |out| out.set_dark(true)];
        for end in ends {
            let mut out = out();
            timed(&mut out, 64, 0, &first);
            // Too soon after the first: it waits for a quarter of a second.
            out.news();
            assert_eq!(timed(&mut out, 64, 0, &second), []);
            end(&mut out);
            assert_eq!(timed(&mut out, 64, 0, &second)[0], (0, OFF));
            assert_eq!(timed(&mut out, 48_000, 0, &second), []);
        }
    }

    #[test]
    fn in_the_dark_nothing_lights_up() {
        let mut out = out();
        let live = readout(State::Live, Some(0), &[1.0, 0.0]);
        timed(&mut out, 64, 0, &live);
        let zero = MidiMessage::ControlChange {
            channel: 2,
            cc: 20,
            value: 0,
        };
        out.set_dark(true);
        assert_eq!(timed(&mut out, 64, 0, &live), [(0, OFF), (0, zero)]);
        out.news();
        assert_eq!(timed(&mut out, 48_000, 0, &live), []);
        out.set_dark(false);
        assert_eq!(timed(&mut out, 48_000, 0, &live), []);
        out.news();
        assert_eq!(timed(&mut out, 48_000, 0, &live)[0], (0, ON));
    }

    #[test]
    fn messages_come_at_the_same_sample_in_blocks_of_any_size() {
        let first = readout(State::Live, Some(0), &[1.0, 0.0]);
        let second = readout(State::Live, Some(1), &[0.0, 1.0]);
        // The second comes too soon, the first comes back when nothing hinders it.
        let changes = [(5_000, &second), (30_003, &first)];
        let play = |block: usize| {
            let (mut out, mut sent) = (out(), Vec::new());
            for start in (0..40_000).step_by(block) {
                let (mut from, mut heard) = (0, &first);
                for (due, readout) in changes {
                    if due < start + block {
                        heard = readout;
                    }
                    if (start..start + block).contains(&due) {
                        out.news();
                        from = due - start;
                    }
                }
                let batch = timed(&mut out, block, from, heard);
                sent.extend(
                    batch
                        .iter()
                        .map(|(at, message)| (start + *at as usize, *message)),
                );
            }
            sent
        };
        let fine = play(8);
        let mut times: Vec<usize> = fine.iter().map(|(at, _)| *at).collect();
        times.dedup();
        assert_eq!(times, [0, 12_000, 30_003]);
        for block in [1, 40, 1_000, 5_000] {
            assert_eq!(play(block), fine, "blocks of {block}");
        }
    }

    #[test]
    fn a_model_with_fewer_labels_leaves_no_fader_up() {
        let mut out = out();
        batch(
            &mut out,
            1,
            &readout(State::Live, Some(2), &[0.0, 0.0, 1.0]),
            Some(MAP),
        );
        let sent = batch(
            &mut out,
            48_000,
            &readout(State::Live, Some(0), &[1.0, 0.0]),
            Some(MAP),
        );
        assert!(
            sent.contains(&MidiMessage::ControlChange {
                channel: 2,
                cc: 22,
                value: 0
            }),
            "{sent:?}"
        );
    }

    #[test]
    fn what_the_host_refuses_is_offered_again() {
        let mut out = out();
        let live = readout(State::Live, Some(0), &[1.0]);
        let mut room = 1;
        out.advance(64, 0, Some(&live), Some(MAP), |_, _| {
            room -= 1;
            room >= 0
        });
        // Without another readout: once what was refused is through, there is nothing to say.
        let again = |out: &mut MidiOut| {
            let mut sent = Vec::new();
            out.advance(48_000, 0, Some(&live), Some(MAP), |_, message| {
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
