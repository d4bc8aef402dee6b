//! What runs on the host's audio thread.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use genrescope::{
    decision::{Preset, Readout},
    units::{SampleRate, Seconds},
};
use nice_plug::{
    context::PluginApi,
    midi::{Channel, Key, NoteEvent, VoiceID},
    prelude::ProcessStatus,
};

use crate::{
    desk::{Shared, Stream},
    midi::{MidiMessage, MidiOut},
    pace::{OFFLINE_LEAD_S, Pace},
    params::GenrescopeParams,
};

/// What fits before the model is there, in seconds, so that nothing that was played is missed: more
/// than [`OFFLINE_LEAD_S`], after which a rendering waits for the model.
const PREROLL_S: f64 = 2.5;
const _: () = assert!(PREROLL_S > OFFLINE_LEAD_S);

/// Stream time between what a readout tells of and the messages about it, in seconds. A live worker
/// answers sooner than that (it looks every 50 ms, every 200 ms in silence), so that messages come
/// at the same sample live and offline.
const MESSAGE_DELAY_S: f64 = 0.25;

/// The transport stands and yet something sounds, for this long: that is no fading tail but live
/// input, which lights follow.
const LIVE_INPUT_S: f64 = 4.0;

/// What only `process` touches.
#[derive(Debug)]
#[expect(
    clippy::disallowed_types,
    reason = "a box that is handed over whole, and freed by the desk"
)]
pub(crate) struct AudioThread {
    pub(crate) stream: Option<Box<Stream>>,
    /// Ticket of the stream that belongs to this activation.
    pub(crate) ticket: u64,
    /// Sample of the clock with which the stream began.
    origin: u64,
    /// What was heard before this sample of the clock lights nothing up any more: something has
    /// ended there.
    since: u64,
    preroll: Preroll,
    pub(crate) midi: MidiOut,
    pub(crate) pace: Pace,
    pub(crate) rate_hz: f64,
    /// Samples that were played so far.
    clock: u64,
    /// The readout that lights show.
    pub(crate) readout: Option<Readout>,
    /// The newest readout, until it is due at that sample of the stream.
    coming: Option<(u64, Option<Readout>)>,
    /// Version of the cell that the newest readout was read from.
    seen: Option<u64>,
    /// The host has switched the plugin off.
    bypassed: bool,
    /// The host's transport runs.
    playing: bool,
    /// The transport has stopped, and nothing else was heard since.
    stopped: Option<Stopped>,
    /// Samples of a rendering that the listener was given since it was last waited for.
    pub(crate) unheard: usize,
    /// What the stream was told.
    told: Option<Told>,
    /// Samples of quiet input at the end of what was heard.
    quiet: u64,
}

/// What was on when the transport stopped.
#[derive(Clone, Copy, Debug)]
struct Stopped {
    genre: Option<usize>,
    /// Samples of sound since.
    sounding: u64,
}

/// What came before the stream did: interleaved, so that the stream mixes it down as it does with
/// all else.
#[derive(Debug, Default)]
struct Preroll {
    samples: Vec<f32>,
    n_channels: usize,
}

impl Preroll {
    #[expect(clippy::disallowed_methods, reason = "before the first block")]
    fn new(n_channels: usize, frames: usize) -> Self {
        Self {
            samples: Vec::with_capacity(n_channels * frames),
            n_channels: 0,
        }
    }

    #[expect(clippy::disallowed_methods, reason = "no more than there is room for")]
    /// What does not fit is dropped; another number of channels begins anew.
    fn push(&mut self, channels: &[&[f32]], n_samples: usize) {
        if channels.len() != self.n_channels {
            self.samples.clear();
            self.n_channels = channels.len();
        }
        let room = self.samples.capacity() - self.samples.len();
        for index in 0..n_samples.min(room / channels.len().max(1)) {
            self.samples
                .extend(channels.iter().map(|channel| channel[index]));
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq)]
struct Told {
    hold: bool,
    averaging_s: f32,
    restlessness: Preset,
    reset: bool,
}

impl Default for AudioThread {
    fn default() -> Self {
        Self {
            stream: None,
            ticket: 0,
            origin: 0,
            since: 0,
            preroll: Preroll::default(),
            midi: MidiOut::new(SampleRate::MIN),
            pace: Pace::default(),
            rate_hz: f64::from(SampleRate::MIN.hz()),
            clock: 0,
            readout: None,
            coming: None,
            seen: None,
            bypassed: false,
            playing: false,
            stopped: None,
            unheard: 0,
            told: None,
            quiet: 0,
        }
    }
}

impl AudioThread {
    /// Before the first block of a stream that begins with empty ears.
    pub(crate) fn begin(&mut self, rate: SampleRate, n_channels: usize) {
        self.stream = None;
        self.readout = None;
        self.coming = None;
        self.seen = None;
        self.unheard = 0;
        self.clock = 0;
        self.origin = 0;
        self.since = 0;
        let frames = (PREROLL_S * f64::from(rate.hz())) as usize;
        self.preroll = Preroll::new(n_channels, frames);
        self.midi.set_rate(rate);
        self.rate_hz = f64::from(rate.hz());
    }

    /// Takes a stream that has arrived, with what was played before it did.
    pub(crate) fn receive(&mut self, shared: &Shared) {
        let Some(mut stream) = shared.take_stream() else {
            return;
        };
        if stream.ticket != self.ticket {
            shared.retire(stream);
            return;
        }
        let preroll = &mut self.preroll;
        let frames = preroll.samples.len() / preroll.n_channels.max(1);
        self.origin = self.clock.saturating_sub(frames as u64);
        shared.set_since(self.since.saturating_sub(self.origin));
        stream
            .input
            .push_interleaved(&preroll.samples, preroll.n_channels);
        preroll.samples.clear();
        if let Some(old) = self.stream.replace(stream) {
            shared.retire(old);
        }
        self.told = None;
        self.seen = None;
    }

    /// Lets go of a stream that is over, because another model was chosen or something went wrong:
    /// what it has lit goes out, whether another one follows or not.
    pub(crate) fn leave(&mut self, shared: &Shared) {
        if let Some(stream) = self.stream.take_if(|stream| shared.is_over(stream)) {
            shared.retire(stream);
            self.end(shared);
            self.midi.fade();
        }
    }

    /// Samples that the stream was given so far.
    pub(crate) fn heard(&self) -> u64 {
        self.clock.saturating_sub(self.origin)
    }

    /// What is on ends with the next block (notes here, lamps by OSC elsewhere), and what is heard
    /// from here on lights up something anew.
    pub(crate) fn end(&mut self, shared: &Shared) {
        self.readout = None;
        self.coming = None;
        self.since = self.clock;
        self.midi.end();
        shared.end_feeds(self.heard());
    }

    /// What was heard before a bypass is not shown after it.
    pub(crate) fn follow_bypass(&mut self, bypassed: bool, shared: &Shared) {
        if bypassed && !self.bypassed {
            self.end(shared);
        }
        self.bypassed = bypassed;
    }

    /// With a transport that stops, what is on ends. It comes again when another genre is heard,
    /// when the transport runs, or when it turns out that what is heard does not come from there.
    pub(crate) fn follow_transport(
        &mut self,
        playing: bool,
        n_samples: usize,
        silent: bool,
        shared: &Shared,
    ) {
        if self.playing && !playing {
            let genre = self.readout.as_ref().and_then(|readout| readout.genre);
            self.stopped = Some(Stopped { genre, sounding: 0 });
            self.end(shared);
            self.set_dark(true, shared);
        } else if let Some(stopped) = &mut self.stopped {
            stopped.sounding += if silent { 0 } else { n_samples as u64 };
            if playing || stopped.sounding as f64 > LIVE_INPUT_S * self.rate_hz {
                self.set_dark(false, shared);
            }
        }
        self.playing = playing;
    }

    fn set_dark(&mut self, dark: bool, shared: &Shared) {
        if !dark {
            self.stopped = None;
        }
        self.midi.set_dark(dark);
        shared.set_dark(dark);
    }

    /// Tells the stream what the parameters say, when they have changed.
    pub(crate) fn tell(&mut self, params: &GenrescopeParams) {
        let Some(stream) = &self.stream else { return };
        let now = Told {
            hold: params.hold.value(),
            averaging_s: params.averaging_s.value(),
            restlessness: params.restlessness.value().preset(),
            reset: params.reset.value(),
        };
        if self.told == Some(now) {
            return;
        }
        stream.controls.set_hold(now.hold);
        stream
            .controls
            .set_averaging(Seconds(f64::from(now.averaging_s)));
        stream.controls.set_restlessness(now.restlessness);
        // A rising edge; what a project was saved with is no edge.
        if now.reset && self.told.is_some_and(|told| !told.reset) {
            stream.controls.reset();
        }
        self.told = Some(now);
    }

    /// Takes the newest readout, if it is another than before: there is one in hundreds of blocks.
    pub(crate) fn look(&mut self) {
        let Some(stream) = &self.stream else {
            self.readout = None;
            self.coming = None;
            return;
        };
        let version = stream.readout.version();
        if self.seen == Some(version) {
            return;
        }
        if let Some(readout) = stream.readout.load() {
            self.seen = Some(version);
            let at = |seconds: f64| self.origin + (seconds * self.rate_hz).round() as u64;
            if readout.genre.is_some() && at(readout.position.0) <= self.since {
                return;
            }
            let due = at(readout.position.0 + MESSAGE_DELAY_S);
            // One that is overtaken on its way is not told, but does not make the next one wait
            // longer.
            let due = self
                .coming
                .take()
                .map_or(due, |(sooner, _)| sooner.min(due));
            self.coming = Some((due, (readout.seq > 0).then_some(readout)));
        }
    }

    /// Shows the readout that is due in the `n_samples` that were just taken; returns where in the
    /// block.
    pub(crate) fn arrive(&mut self, n_samples: usize, shared: &Shared) -> usize {
        let Some((due, readout)) = self.coming.filter(|(due, _)| *due < self.clock) else {
            return 0;
        };
        self.coming = None;
        self.readout = readout;
        self.midi.news();
        let genre = readout.and_then(|readout| readout.genre);
        // One instead of another, that is: a fading tail may be named late, or doubted for a
        // moment.
        let before = self.stopped.and_then(|stopped| stopped.genre);
        if before.is_some() && genre.is_some() && before != genre {
            self.set_dark(false, shared);
        }
        let start = self.clock.saturating_sub(n_samples as u64);
        due.saturating_sub(start) as usize
    }

    pub(crate) fn push(&mut self, channels: &[&[f32]], n_samples: usize, silent: bool) {
        self.clock += n_samples as u64;
        if let Some(stream) = &mut self.stream {
            if silent {
                stream.input.push_zeros(n_samples);
            } else {
                stream.input.push_planar(channels);
            }
            return;
        }
        self.preroll.push(channels, n_samples);
    }

    /// A CLAP host may put a plugin to sleep that has nothing more to say. Quiet input must first
    /// have been heard as silence, which takes the listener a few seconds.
    pub(crate) fn status(
        &mut self,
        channels: &[&[f32]],
        n_samples: usize,
        silent: bool,
        api: PluginApi,
    ) -> ProcessStatus {
        const HEAR_OUT_S: f64 = 10.0;
        // Counted in parts: several samples at a time, where one after the other would be asked for
        // an end. NaN is loud.
        let is_quiet = |part: &[f32]| {
            let n_quiet = part.iter().filter(|s| s.abs() < 1e-5).count();
            n_quiet == part.len()
        };
        let quiet = silent
            || channels
                .iter()
                .all(|channel| channel.chunks(64).all(is_quiet));
        self.quiet = if quiet {
            self.quiet.saturating_add(n_samples as u64)
        } else {
            0
        };
        // In VST3 the same answer would be an infinite tail, which some hosts render.
        let heard_out = self.quiet as f64 > HEAR_OUT_S * self.rate_hz;
        if heard_out || api != PluginApi::Clap {
            ProcessStatus::Normal
        } else {
            ProcessStatus::KeepAlive
        }
    }
}

/// A message as the host takes it.
pub(crate) fn note_event(timing: u32, message: MidiMessage) -> NoteEvent<()> {
    match message {
        MidiMessage::ControlChange { channel, cc, value } => NoteEvent::MidiCC {
            timing,
            channel,
            cc,
            value: f32::from(value) / 127.0,
        },
        MidiMessage::NoteOn {
            channel,
            note,
            velocity,
        } => NoteEvent::NoteOn {
            timing,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Number(channel),
            key: Key::Number(note),
            velocity: f32::from(velocity) / 127.0,
        },
        MidiMessage::NoteOff { channel, note } => NoteEvent::NoteOff {
            timing,
            voice_id: VoiceID::Wildcard,
            channel: Channel::Number(channel),
            key: Key::Number(note),
            velocity: 0.0,
        },
        MidiMessage::Program { channel, program } => NoteEvent::MidiProgramChange {
            timing,
            channel,
            program,
        },
    }
}

#[cfg(test)]
#[allow(clippy::disallowed_macros, reason = "tests run on no audio thread")]
mod tests {
    use super::*;

    #[test]
    fn what_comes_before_the_stream_keeps_its_channels() {
        // Left and right cancel each other out: mixed down here, nothing would be left of them.
        let mut preroll = Preroll::new(2, 4);
        preroll.push(&[&[1.0, 2.0, 3.0], &[-1.0, -2.0, -3.0]], 3);
        assert_eq!(preroll.samples, [1.0, -1.0, 2.0, -2.0, 3.0, -3.0]);
        // Only whole frames, and never more than was set aside.
        preroll.push(&[&[4.0, 5.0], &[-4.0, -5.0]], 2);
        assert_eq!(preroll.samples[6..], [4.0, -4.0]);
        assert_eq!(preroll.samples.capacity(), 8);
        preroll.push(&[&[6.0, 7.0]], 2);
        assert_eq!(
            (preroll.samples.as_slice(), preroll.n_channels),
            (&[6.0, 7.0][..], 1)
        );
        preroll.push(&[], 0);
        assert_eq!(preroll.n_channels, 0);
    }
}
