//! genrescope as a CLAP and VST3 plugin: audio passes untouched, the genre appears in the host.
//!
//! The dynamic library that hosts load is `genrescope-plugin`; it only exports what is here.
//!
//! | thread | does | file |
//! |---|---|---|
//! | the host's audio thread | a mono copy to the listener, MIDI | `audio.rs`, [`midi`], [`pace`] |
//! | the desk, one per instance | the model, streams, the history, OSC | `desk.rs` |
//! | the stream's worker | listens ([`genrescope::realtime`]) | |
//! | the host's own thread | parameters and the editor | [`params`], [`editor`] |

mod audio;
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

use genrescope::units::{SampleRate, all_zero};
use nice_plug::{prelude::*, util::permit_alloc};

use crate::{
    audio::{AudioThread, note_event},
    desk::{Desk, Shared, StreamSpec},
    editor::EditorWindow,
    pace::OFFLINE_LEAD_S,
    params::GenrescopeParams,
};

/// Most channels of a layout.
const MAX_CHANNELS: usize = 16;

/// How long an offline rendering waits for the model or for one block before it goes on without.
const OFFLINE_PATIENCE: Duration = Duration::from_secs(60);

/// How much of a rendering is heard between two waits for the listener. Each wait changes threads
/// twice, which costs nothing on an idle machine and a lot on one that renders on every core.
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
            audio: AudioThread::default(),
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
        // The ring holds twice that and more. Pace::runs_ahead lets a rendering lead by two seconds
        // before it waits.
        let lead = (OFFLINE_LEAD_S * f64::from(rate.hz())) as usize;
        let spec = StreamSpec {
            rate,
            max_block: lead.max(buffer.max_buffer_size as usize),
        };
        // Whether it waits is another question (pace.rs).
        let offline = buffer.process_mode == ProcessMode::Offline;
        // Every rendering starts with empty ears, so that it comes out the same each time. A live
        // host that merely reactivates keeps what was heard.
        let fresh = self.spec != Some(spec)
            || offline
            || self.offline
            || self.shared.board.lock().trouble.is_some();
        if fresh {
            let n_channels = layout.main_input_channels.map_or(0, NonZeroU32::get);
            self.audio.begin(rate, n_channels as usize);
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

    #[deny(
        clippy::disallowed_methods,
        clippy::disallowed_types,
        clippy::disallowed_macros
    )]
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
        // Most tracks of a session are silent most of the time: they cost this look at each sample,
        // and little else.
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
