//! A VST3 host.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

use vst3_host::{Plugin, Vst3Host, audio::AudioBuffers, midi::MidiEvent};

use super::{bundle, listening::Deck};

/// Largest block.
pub const MAX_BLOCK: usize = 4096;

/// A host with the bundle it loads.
pub struct Host {
    _folder: tempfile::TempDir,
    bundle: std::path::PathBuf,
    host: Vst3Host,
}

impl Host {
    pub fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let bundle = bundle::vst3(folder.path());
        let host = Vst3Host::builder()
            .sample_rate(48_000.0)
            .block_size(MAX_BLOCK)
            .build()
            .unwrap();
        Self {
            _folder: folder,
            bundle,
            host,
        }
    }

    /// One instance, not yet processing.
    pub fn instance(&mut self) -> Plugin {
        self.host.load_plugin(&self.bundle).unwrap()
    }

    /// One that sends MIDI.
    pub fn instance_with_midi(&mut self) -> Plugin {
        let mut plugin = self.instance();
        plugin.set_parameter_by_name("MIDI Out", 1.0).unwrap();
        plugin
    }
}

/// An instance that processes.
pub struct Player {
    plugin: Plugin,
    midi: Vec<[u8; 3]>,
}

impl Player {
    pub fn start(mut plugin: Plugin) -> Self {
        plugin.start_processing().unwrap();
        Self {
            plugin,
            midi: Vec::new(),
        }
    }

    /// What the host says of its transport from now on.
    pub fn set_playing(&mut self, playing: bool) {
        self.plugin.set_playing(playing).unwrap();
    }

    pub fn stop(mut self) -> Plugin {
        self.plugin.stop_processing().unwrap();
        self.plugin
    }
}

impl Deck for Player {
    fn play(&mut self, input: &[Vec<f32>]) -> Vec<Vec<f32>> {
        let n = input.first().map_or(0, Vec::len);
        let mut buffers = AudioBuffers::new(input.len(), input.len(), n, self.plugin.sample_rate());
        buffers.inputs = input.to_vec();
        for output in &mut buffers.outputs {
            // Not zero, so that silence is an output and not the lack of one.
            output.fill(7.0);
        }
        self.plugin.process_audio(&mut buffers).unwrap();
        for event in self.plugin.take_output_midi() {
            self.midi.extend(match event {
                MidiEvent::NoteOn {
                    channel,
                    note,
                    velocity,
                } => Some([0x90 | channel.as_index(), note, velocity]),
                MidiEvent::NoteOff { channel, note, .. } => {
                    Some([0x80 | channel.as_index(), note, 0])
                }
                MidiEvent::ControlChange {
                    channel,
                    controller,
                    value,
                } => Some([0xb0 | channel.as_index(), controller, value]),
                _ => None,
            });
        }
        buffers.outputs
    }

    fn midi(&self) -> &[[u8; 3]] {
        &self.midi
    }
}
