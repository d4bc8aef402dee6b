//! A CLAP host.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

use clack_extensions::{
    gui::{GuiSize, HostGui, HostGuiImpl},
    params::{ParamInfoBuffer, PluginParams},
    state::PluginState,
};
use clack_host::{
    events::{
        EventFlags, EventHeader, Pckn,
        event_types::{ParamValueEvent, TransportEvent, TransportFlags},
        spaces::CoreEventSpace,
    },
    prelude::*,
    process::audio_buffers::InputChannel,
    utils::{BeatTime, ClapId, SecondsTime},
};

use super::{bundle, listening::Deck};

pub struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}
pub struct TestHost;
impl HostHandlers for TestHost {
    type Shared<'a> = Shared;
    type MainThread<'a> = ();
    type AudioProcessor<'a> = ();

    fn declare_extensions(builder: &mut HostExtensions<Self>, _shared: &Self::Shared<'_>) {
        builder.register::<HostGui>();
    }
}

/// A host that takes note of nothing.
impl HostGuiImpl for Shared {
    fn resize_hints_changed(&self) {}
    fn request_resize(&self, _size: GuiSize) -> Result<(), HostError> {
        Ok(())
    }
    fn request_show(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn request_hide(&self) -> Result<(), HostError> {
        Ok(())
    }
    fn closed(&self, _was_destroyed: bool) {}
}

pub fn entry() -> (tempfile::TempDir, PluginEntry) {
    let folder = tempfile::tempdir().unwrap();
    let path = bundle::clap(folder.path());
    // SAFETY: it is this package's own library.
    #[expect(unsafe_code, reason = "loading a library runs its code")]
    let entry = unsafe { PluginEntry::load(path) }.unwrap();
    (folder, entry)
}

pub fn instance(entry: &PluginEntry) -> PluginInstance<TestHost> {
    let info = HostInfo::new("test host", "genrescope", "", "1").unwrap();
    PluginInstance::new(
        |()| Shared,
        |_| (),
        entry,
        c"org.genrescope.genrescope",
        &info,
    )
    .unwrap()
}

/// What a project would save, as JSON.
pub fn state(instance: &mut PluginInstance<TestHost>) -> String {
    let handle = instance.plugin_handle();
    let state: PluginState = handle.get_extension().unwrap();
    let mut saved = Vec::new();
    state.save(&handle, &mut saved).unwrap();
    // The framework writes the length of the JSON before it.
    String::from_utf8(saved.split_off(8)).unwrap()
}

/// As a project brings it back: what `edits` name is replaced in the saved state.
pub fn edit_state(instance: &mut PluginInstance<TestHost>, edits: &[(&str, &str)]) {
    let mut text = state(instance);
    let handle = instance.plugin_handle();
    let state: PluginState = handle.get_extension().unwrap();
    for (from, to) in edits {
        assert!(text.contains(from), "{from} in {text}");
        text = text.replace(from, to);
    }
    let edited = [&(text.len() as u64).to_le_bytes(), text.as_bytes()].concat();
    state.load(&handle, &mut edited.as_slice()).unwrap();
}

/// The parameter of this name.
pub fn parameter(instance: &mut PluginInstance<TestHost>, name: &str) -> ClapId {
    let handle = instance.plugin_handle();
    let params: PluginParams = handle.get_extension().unwrap();
    (0..params.count(&handle))
        .find_map(|index| {
            let mut buffer = ParamInfoBuffer::new();
            let info = params.get_info(&handle, index, &mut buffer)?;
            (info.name == name.as_bytes()).then_some(info.id)
        })
        .unwrap_or_else(|| panic!("a parameter {name}"))
}

/// Off until asked for; this asks for it.
pub const MIDI_ON: (&str, &str) = (r#""midi":{"bool":false}"#, r#""midi":{"bool":true}"#);

/// One that sends MIDI.
pub fn instance_with_midi(entry: &PluginEntry) -> PluginInstance<TestHost> {
    let mut instance = instance(entry);
    edit_state(&mut instance, &[MIDI_ON]);
    instance
}

/// What a plugin sent: the sample of the block, and three bytes each, notes as MIDI would write
/// them.
fn sent(events: &EventBuffer) -> Vec<(u32, [u8; 3])> {
    events
        .iter()
        .filter_map(|event| {
            let bytes = match event.as_core_event()? {
                CoreEventSpace::Midi(midi) => midi.data(),
                CoreEventSpace::NoteOn(note) => [
                    0x90 | note.channel().into_specific()? as u8,
                    note.key().into_specific()? as u8,
                    (note.velocity() * 127.0).round() as u8,
                ],
                CoreEventSpace::NoteOff(note) => [
                    0x80 | note.channel().into_specific()? as u8,
                    note.key().into_specific()? as u8,
                    0,
                ],
                _ => return None,
            };
            Some((event.header().time(), bytes))
        })
        .collect()
}

pub struct Player {
    processor: StartedPluginAudioProcessor<TestHost>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    events: EventBuffer,
    /// Parameters that are set with the next block.
    set: EventBuffer,
    midi: Vec<[u8; 3]>,
    timed: Vec<(u64, [u8; 3])>,
    position: u64,
    /// Whether the transport runs; `None` for a host that has none.
    pub playing: Option<bool>,
    /// Where the host's song begins, in seconds, at 120 beats a minute; `None` for one that does
    /// not tell.
    pub song_from_s: Option<f64>,
    rate: f64,
}

impl Player {
    pub fn start(instance: &mut PluginInstance<TestHost>, rate: f64) -> Self {
        Self::start_with(instance, rate, 4096)
    }

    /// For blocks of up to `max_block` samples.
    pub fn start_with(instance: &mut PluginInstance<TestHost>, rate: f64, max_block: u32) -> Self {
        let configuration = PluginAudioConfiguration {
            sample_rate: rate,
            min_frames_count: 1,
            max_frames_count: max_block,
        };
        let processor = instance.activate(|_, ()| (), configuration).unwrap();
        Self {
            processor: processor.start_processing().map_err(|_| "start").unwrap(),
            inputs: AudioPorts::with_capacity(16, 1),
            outputs: AudioPorts::with_capacity(16, 1),
            events: EventBuffer::new(),
            set: EventBuffer::new(),
            midi: Vec::new(),
            timed: Vec::new(),
            position: 0,
            playing: None,
            song_from_s: None,
            rate,
        }
    }

    /// Every message so far with its sample since the start.
    pub fn timed(&self) -> &[(u64, [u8; 3])] {
        &self.timed
    }

    /// Sets a parameter with the next block.
    pub fn set(&mut self, parameter: ClapId, value: f64) {
        self.set.push(&ParamValueEvent::new(
            0,
            parameter,
            Pckn::match_all(),
            value,
        ));
    }

    /// The host jumps somewhere else.
    pub fn reset(&mut self) {
        self.processor.reset();
    }

    /// One block from `input` to `n_outputs` channels, which need not be what the layout says.
    pub fn play_to(&mut self, input: &[Vec<f32>], n_outputs: usize) -> Vec<Vec<f32>> {
        let n = input.first().map_or(64, Vec::len);
        let mut input = input.to_vec();
        // Not zero, so that silence is an output and not the lack of one.
        let mut output = vec![vec![7.0; n]; n_outputs];
        let no_inputs = input.is_empty();
        let inputs = self
            .inputs
            .with_input_buffers((!no_inputs).then(|| AudioPortBuffer {
                latency: 0,
                channels: AudioPortBufferType::f32_input_only(
                    input.iter_mut().map(InputChannel::variable),
                ),
            }));
        let mut outputs = self.outputs.with_output_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_output_only(
                output.iter_mut().map(Vec::as_mut_slice),
            ),
        }]);
        self.events.clear();
        let song_s = self
            .song_from_s
            .map(|from| from + self.position as f64 / self.rate);
        let transport = self.playing.map(|playing| transport(playing, song_s));
        self.processor
            .process(
                &inputs,
                &mut outputs,
                &self.set.as_input(),
                &mut OutputEvents::from_buffer(&mut self.events),
                None,
                transport.as_ref(),
            )
            .unwrap();
        self.set.clear();
        for (at, bytes) in sent(&self.events) {
            assert!((at as usize) < n, "sample {at} of a block of {n}");
            self.midi.push(bytes);
            self.timed.push((self.position + u64::from(at), bytes));
        }
        self.position += n as u64;
        output
    }

    pub fn stop(self, instance: &mut PluginInstance<TestHost>) {
        instance.deactivate(self.processor.stop_processing());
    }
}

impl Deck for Player {
    fn play(&mut self, input: &[Vec<f32>]) -> Vec<Vec<f32>> {
        self.play_to(input, input.len())
    }

    fn midi(&self) -> &[[u8; 3]] {
        &self.midi
    }
}

/// At a place of a song, or at the beginning of one without bars.
fn transport(playing: bool, song_s: Option<f64>) -> TransportEvent {
    let mut flags = TransportFlags::empty();
    flags.set(TransportFlags::IS_PLAYING, playing);
    let told = TransportFlags::HAS_TEMPO
        | TransportFlags::HAS_BEATS_TIMELINE
        | TransportFlags::HAS_SECONDS_TIMELINE
        | TransportFlags::HAS_TIME_SIGNATURE;
    flags.set(told, song_s.is_some());
    let seconds = song_s.unwrap_or_default();
    // Two beats a second, four a bar.
    let beats = 2.0 * seconds;
    let bar = (beats / 4.0).floor();
    TransportEvent {
        header: EventHeader::new_core(0, EventFlags::empty()),
        flags,
        song_pos_beats: BeatTime::from_float(beats),
        song_pos_seconds: SecondsTime::from_float(seconds),
        tempo: 120.0,
        tempo_inc: 0.0,
        loop_start_beats: BeatTime::default(),
        loop_end_beats: BeatTime::default(),
        loop_start_seconds: SecondsTime::default(),
        loop_end_seconds: SecondsTime::default(),
        bar_start: BeatTime::from_float(4.0 * bar),
        bar_number: bar as i32,
        time_signature_numerator: 4,
        time_signature_denominator: 4,
    }
}
