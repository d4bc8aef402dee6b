//! A CLAP host.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

use clack_host::{
    events::spaces::CoreEventSpace, prelude::*, process::audio_buffers::InputChannel,
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

fn configuration(rate: f64) -> PluginAudioConfiguration {
    PluginAudioConfiguration {
        sample_rate: rate,
        min_frames_count: 1,
        max_frames_count: 4096,
    }
}

/// What a plugin sent: three bytes each, notes as MIDI would write them.
fn sent(events: &EventBuffer) -> Vec<[u8; 3]> {
    events
        .iter()
        .filter_map(|event| match event.as_core_event()? {
            CoreEventSpace::Midi(midi) => Some(midi.data()),
            CoreEventSpace::NoteOn(note) => Some([
                0x90 | note.channel().into_specific()? as u8,
                note.key().into_specific()? as u8,
                (note.velocity() * 127.0).round() as u8,
            ]),
            CoreEventSpace::NoteOff(note) => Some([
                0x80 | note.channel().into_specific()? as u8,
                note.key().into_specific()? as u8,
                0,
            ]),
            _ => None,
        })
        .collect()
}

pub struct Player {
    processor: StartedPluginAudioProcessor<TestHost>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    events: EventBuffer,
    midi: Vec<[u8; 3]>,
}

impl Player {
    pub fn start(instance: &mut PluginInstance<TestHost>, rate: f64) -> Self {
        let processor = instance.activate(|_, ()| (), configuration(rate)).unwrap();
        Self {
            processor: processor.start_processing().map_err(|_| "start").unwrap(),
            inputs: AudioPorts::with_capacity(16, 1),
            outputs: AudioPorts::with_capacity(16, 1),
            events: EventBuffer::new(),
            midi: Vec::new(),
        }
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
        self.processor
            .process(
                &inputs,
                &mut outputs,
                &InputEvents::empty(),
                &mut OutputEvents::from_buffer(&mut self.events),
                None,
                None,
            )
            .unwrap();
        self.midi.extend(sent(&self.events));
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
