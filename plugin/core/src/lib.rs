//! genrescope as a CLAP and VST3 plugin: audio passes untouched, the genre appears in the host.
//!
//! The dynamic library that hosts load is `genrescope-plugin`; it only exports what is here.
//!
//! | thread | does | file |
//! |---|---|---|
//! | the host's audio thread | hands a mono copy to the listener, sends MIDI | this one, [`midi`], [`pace`] |
//! | the desk, one per instance | loads the model, starts streams, keeps the history, feeds OSC | `desk.rs` |
//! | the stream's worker | listens ([`genrescope::realtime`]) | |
//! | the host's own thread | parameters and the editor | [`params`], [`editor`] |

mod desk;
pub mod editor;
pub mod history;
pub mod midi;
mod osc;
pub mod pace;
pub mod params;
pub mod song;
pub mod vst3;

use std::{
    num::NonZeroU32,
    sync::Arc,
    time::{Duration, Instant},
};

use genrescope::{
    decision::{Preset, Readout},
    units::{SampleRate, Seconds, all_zero},
};
use nice_plug::{
    context::PluginApi,
    midi::{Channel, Key, VoiceID},
    prelude::*,
    util::permit_alloc,
};

use crate::{
    desk::{Desk, Shared, Stream, StreamSpec},
    editor::EditorWindow,
    midi::{MidiMessage, MidiOut},
    pace::{OFFLINE_LEAD_S, Pace},
    params::GenrescopeParams,
};

/// Most channels of a layout.
const MAX_CHANNELS: usize = 16;

/// What fits before the model is there, in seconds, so that nothing that was played is missed: more than
/// [`pace::OFFLINE_LEAD_S`], after which a rendering waits for the model.
const PREROLL_S: f64 = 2.5;
const _: () = assert!(PREROLL_S > OFFLINE_LEAD_S);

/// Stream time between what a readout tells of and the messages about it, in seconds. A live worker answers sooner than that
/// (it looks every 50 ms, every 200 ms in silence), so that messages come at the same sample live and offline.
const MESSAGE_DELAY_S: f64 = 0.25;

/// The transport stands and yet something sounds, for this long: that is no fading tail but live input, which lights follow.
const LIVE_INPUT_S: f64 = 4.0;

/// How long an offline rendering waits for the model or for one block before it goes on without.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(60);

/// How much of a rendering is heard between two waits for the listener. Each wait changes threads twice, which costs
/// nothing on an idle machine and a lot on one that renders on every core.
const OFFLINE_STEP_S: f64 = 0.1;

/// A layout with as many outputs as inputs.
const fn same(channels: u32, name: &'static str) -> AudioIOLayout {
    AudioIOLayout {
        main_input_channels: NonZeroU32::new(channels),
        main_output_channels: NonZeroU32::new(channels),
        names: PortNames {
            layout: Some(name),
            ..PortNames::const_default()
        },
        ..AudioIOLayout::const_default()
    }
}

/// One instance.
#[derive(Debug)]
pub struct Genrescope {
    params: Arc<GenrescopeParams>,
    shared: Arc<Shared>,
    desk: Desk,
    audio: AudioThread,
    /// The stream that was asked for.
    spec: Option<StreamSpec>,
    /// The host reported offline rendering when it activated.
    offline: bool,
}

/// What only `process` touches.
#[derive(Debug)]
struct AudioThread {
    stream: Option<Box<Stream>>,
    /// Ticket of the stream that belongs to this activation.
    ticket: u64,
    /// Sample of the clock with which the stream began.
    origin: u64,
    /// What was heard before this sample of the clock lights nothing up any more: something has ended there.
    since: u64,
    preroll: Preroll,
    midi: MidiOut,
    pace: Pace,
    rate_hz: f64,
    /// Samples that were played so far.
    clock: u64,
    /// The readout that lights show.
    readout: Option<Readout>,
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
    unheard: usize,
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

/// What came before the stream did: interleaved, so that the stream mixes it down as it does with all else.
#[derive(Debug, Default)]
struct Preroll {
    samples: Vec<f32>,
    n_channels: usize,
}

impl Preroll {
    fn new(n_channels: usize, frames: usize) -> Self {
        Self {
            samples: Vec::with_capacity(n_channels * frames),
            n_channels: 0,
        }
    }

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

impl Default for Genrescope {
    fn default() -> Self {
        let params = Arc::new(GenrescopeParams::default());
        let shared = Shared::new(Arc::clone(&params));
        vst3::made(Arc::downgrade(&shared));
        let desk = Desk::start(&shared);
        Self {
            params,
            shared,
            desk,
            audio: AudioThread {
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
            },
            spec: None,
            offline: false,
        }
    }
}

impl Plugin for Genrescope {
    const NAME: &'static str = "genrescope";
    const VENDOR: &'static str = "genrescope";
    const URL: &'static str = "";
    const EMAIL: &'static str = "";
    const VERSION: &'static str = env!("CARGO_PKG_VERSION");

    const AUDIO_IO_LAYOUTS: &'static [AudioIOLayout] = &[
        same(2, "Stereo"),
        same(1, "Mono"),
        same(3, "LCR"),
        same(4, "Quad"),
        same(5, "5.0"),
        same(6, "5.1"),
        same(7, "7.0"),
        same(8, "7.1"),
        same(10, "7.1.2"),
        same(12, "7.1.4"),
        same(16, "16 channels"),
        // Hosts remember a layout by its place, so these come last.
        same(9, "9 channels"),
        same(11, "11 channels"),
        same(14, "7.1.6"),
    ];

    const MIDI_INPUT: MidiConfig = MidiConfig::None;
    const MIDI_OUTPUT: MidiConfig = MidiConfig::MidiCCs;

    type Editor = EditorWindow;
    type SysExMessage = ();
    type BackgroundTask = ();

    fn params(&self) -> Arc<dyn Params> {
        Arc::<GenrescopeParams>::clone(&self.params)
    }

    fn editor(&mut self, _async_executor: AsyncExecutor<Self>) -> Option<Self::Editor> {
        Some(EditorWindow::new(&self.shared, self.desk.handle()))
    }

    fn filter_state(state: &mut PluginState) {
        params::migrate(state);
    }

    fn activate(
        &mut self,
        layout: &AudioIOLayout,
        buffer: &BufferConfig,
        _context: &mut impl ActivateContext<Self>,
    ) -> bool {
        // A rate that cannot be listened to is no reason to keep the audio from passing.
        let rate = match SampleRate::new(buffer.sample_rate.round().clamp(0.0, 1e9) as u32) {
            Ok(rate) => rate,
            Err(error) => {
                self.audio.stream = None;
                self.audio.midi.fade();
                self.spec = None;
                self.shared.board.lock().trouble = Some(format!("Cannot listen: {error}."));
                return true;
            }
        };
        // The ring holds twice that and more. Pace::runs_ahead lets a rendering lead by two seconds before it waits.
        let lead = (OFFLINE_LEAD_S * f64::from(rate.hz())) as usize;
        let spec = StreamSpec {
            rate,
            max_block: lead.max(buffer.max_buffer_size as usize),
        };
        // Whether it waits is another question (pace.rs).
        let offline = buffer.process_mode == ProcessMode::Offline;
        // Every rendering starts with empty ears, so that it comes out the same each time. A live host that merely
        // reactivates keeps what was heard.
        let fresh = self.spec != Some(spec)
            || offline
            || self.offline
            || self.shared.board.lock().trouble.is_some();
        if fresh {
            self.audio.stream = None;
            self.audio.readout = None;
            self.audio.coming = None;
            self.audio.seen = None;
            self.audio.unheard = 0;
            self.audio.clock = 0;
            self.audio.origin = 0;
            self.audio.since = 0;
            let n_channels = layout.main_input_channels.map_or(0, NonZeroU32::get);
            let frames = (PREROLL_S * f64::from(rate.hz())) as usize;
            self.audio.preroll = Preroll::new(n_channels as usize, frames);
            self.audio.midi.set_rate(rate);
            self.audio.rate_hz = f64::from(rate.hz());
            self.audio.ticket = self.desk.handle().listen(spec);
        } else {
            // A restored state may ask for another model.
            self.desk.handle().settings_changed();
        }
        self.spec = Some(spec);
        self.offline = offline;
        if offline {
            self.desk.handle().wait_until_settled(OFFLINE_PATIENCE);
        }
        true
    }

    /// Comes before the first block after each activation, too.
    fn reset(&mut self) {
        self.audio.end(&self.shared);
        self.audio.pace.reset();
    }

    fn deactivate(&mut self) {
        // No block comes that could end what is on; OSC needs none.
        self.shared.end_feeds(self.audio.heard());
    }

    fn process(
        &mut self,
        buffer: &mut Buffer,
        _aux: &mut AuxiliaryBuffers,
        context: &mut impl ProcessContext<Self>,
    ) -> ProcessStatus {
        self.shared.beat();
        let mut channels: [&[f32]; MAX_CHANNELS] = [&[]; MAX_CHANNELS];
        let mut n_channels = 0;
        // Channels that the host left out are empty.
        let present = buffer.as_slice_immutable().iter().filter(|c| !c.is_empty());
        for (slot, channel) in channels.iter_mut().zip(present) {
            *slot = channel;
            n_channels += 1;
        }
        let channels = &channels[..n_channels];
        let n_samples = channels.iter().map(|c| c.len()).min().unwrap_or(0);
        let bypassed = self.params.bypass.value();
        // Most tracks of a session are silent most of the time: they cost this look at each sample, and little else.
        let silent = channels.iter().all(|channel| all_zero(channel));

        self.audio.follow_bypass(bypassed, &self.shared);
        self.audio.leave(&self.shared);
        self.audio.receive(&self.shared);
        self.audio.tell(&self.params);
        let ahead = self
            .audio
            .pace
            .runs_ahead(n_samples as f64 / self.audio.rate_hz, Instant::now());
        let renders = ahead && self.spec.is_some();
        self.audio
            .follow_transport(context.transport().playing, n_samples, silent, &self.shared);
        let stream_s = self.audio.heard() as f64 / self.audio.rate_hz;
        self.shared.song.note(context.transport(), stream_s);
        if !bypassed && n_samples > 0 {
            if renders {
                permit_alloc(|| self.push_and_wait(channels, n_samples, silent));
            } else {
                self.audio.push(channels, n_samples, silent);
            }
        }
        // A rendering looks only where it has waited, so that it comes out the same each time.
        if !renders || self.audio.unheard == 0 {
            self.audio.look();
        }
        let from = self.audio.arrive(n_samples, &self.shared);
        // Blocks without samples have no time for messages.
        if buffer.samples() > 0 {
            self.audio.midi.advance(
                buffer.samples(),
                from,
                self.audio.readout.as_ref(),
                self.params.midi_map(),
                |at, message| {
                    let taken = context.try_send_event(note_event(at, message)).is_ok();
                    if taken {
                        self.shared.sent_midi();
                    }
                    taken
                },
            );
        }
        self.audio
            .status(channels, n_samples, silent, context.plugin_api())
    }
}

impl Genrescope {
    /// For offline rendering: takes as long as the worker does.
    fn push_and_wait(&mut self, channels: &[&[f32]], n_samples: usize, silent: bool) {
        if self.audio.stream.is_none() {
            self.desk.handle().wait_until_settled(OFFLINE_PATIENCE);
            self.audio.receive(&self.shared);
            self.audio.tell(&self.params);
        }
        self.audio.push(channels, n_samples, silent);
        self.audio.unheard += n_samples;
        if (self.audio.unheard as f64) < OFFLINE_STEP_S * self.audio.rate_hz {
            return;
        }
        if let Some(stream) = &self.audio.stream {
            stream.input.wait_until_consumed(OFFLINE_PATIENCE);
        }
        self.audio.unheard = 0;
    }
}

impl AudioThread {
    /// Takes a stream that has arrived, with what was played before it did.
    fn receive(&mut self, shared: &Shared) {
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

    /// Lets go of a stream that is over, because another model was chosen or something went wrong: what it has lit goes out,
    /// whether another one follows or not.
    fn leave(&mut self, shared: &Shared) {
        if let Some(stream) = self.stream.take_if(|stream| shared.is_over(stream)) {
            shared.retire(stream);
            self.end(shared);
            self.midi.fade();
        }
    }

    /// Samples that the stream was given so far.
    fn heard(&self) -> u64 {
        self.clock.saturating_sub(self.origin)
    }

    /// What is on ends with the next block (notes here, lamps by OSC elsewhere), and what is heard from here on lights up
    /// something anew.
    fn end(&mut self, shared: &Shared) {
        self.readout = None;
        self.coming = None;
        self.since = self.clock;
        self.midi.end();
        shared.end_feeds(self.heard());
    }

    /// What was heard before a bypass is not shown after it.
    fn follow_bypass(&mut self, bypassed: bool, shared: &Shared) {
        if bypassed && !self.bypassed {
            self.end(shared);
        }
        self.bypassed = bypassed;
    }

    /// With a transport that stops, what is on ends. It comes again when another genre is heard, when the transport runs, or
    /// when it turns out that what is heard does not come from there.
    fn follow_transport(&mut self, playing: bool, n_samples: usize, silent: bool, shared: &Shared) {
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
    fn tell(&mut self, params: &GenrescopeParams) {
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
    fn look(&mut self) {
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
            // One that is overtaken on its way is not told, but does not make the next one wait longer.
            let due = self
                .coming
                .take()
                .map_or(due, |(sooner, _)| sooner.min(due));
            self.coming = Some((due, (readout.seq > 0).then_some(readout)));
        }
    }

    /// Shows the readout that is due in the `n_samples` that were just taken; returns where in the block.
    fn arrive(&mut self, n_samples: usize, shared: &Shared) -> usize {
        let Some((due, readout)) = self.coming.filter(|(due, _)| *due < self.clock) else {
            return 0;
        };
        self.coming = None;
        self.readout = readout;
        self.midi.news();
        let genre = readout.and_then(|readout| readout.genre);
        // One instead of another, that is: a fading tail may be named late, or doubted for a moment.
        let before = self.stopped.and_then(|stopped| stopped.genre);
        if before.is_some() && genre.is_some() && before != genre {
            self.set_dark(false, shared);
        }
        let start = self.clock.saturating_sub(n_samples as u64);
        due.saturating_sub(start) as usize
    }

    fn push(&mut self, channels: &[&[f32]], n_samples: usize, silent: bool) {
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

    /// A CLAP host may put a plugin to sleep that has nothing more to say. Quiet input must first have been heard as
    /// silence, which takes the listener a few seconds.
    fn status(
        &mut self,
        channels: &[&[f32]],
        n_samples: usize,
        silent: bool,
        api: PluginApi,
    ) -> ProcessStatus {
        const HEAR_OUT_S: f64 = 10.0;
        // Counted in parts: several samples at a time, where one after the other would be asked for an end. NaN is loud.
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

fn note_event(timing: u32, message: MidiMessage) -> NoteEvent<()> {
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

impl ClapPlugin for Genrescope {
    const CLAP_ID: &'static str = "org.genrescope.genrescope";
    const CLAP_DESCRIPTION: Option<&'static str> =
        Some("Says which genre it hears, live, and says so when it does not know");
    const CLAP_MANUAL_URL: Option<&'static str> = None;
    const CLAP_SUPPORT_URL: Option<&'static str> = None;
    const CLAP_FEATURES: &'static [ClapFeature] = &[
        ClapFeature::AudioEffect,
        ClapFeature::Analyzer,
        ClapFeature::Utility,
        ClapFeature::Mono,
        ClapFeature::Stereo,
        ClapFeature::Surround,
    ];
}

impl Vst3Plugin for Genrescope {
    const VST3_CLASS_ID: [u8; 16] = *b"GenrescopeListen";
    const VST3_SUBCATEGORIES: &'static [Vst3SubCategory] =
        &[Vst3SubCategory::Fx, Vst3SubCategory::Analyzer];
}

#[cfg(test)]
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
