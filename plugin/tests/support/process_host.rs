//! The smallest host: calls the plugin's own functions, without a format between.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by benchmarks that use different parts of it"
)]

use std::num::NonZeroU32;

use genrescope_plugin_core::Genrescope;
use nice_plug::{context::PluginApi, context::process::SendEventError, prelude::*};

/// Samples a second.
pub const RATE: f32 = 48_000.0;

/// A host that takes everything.
struct Host(Transport);

impl ProcessContext<Genrescope> for Host {
    fn plugin_api(&self) -> PluginApi {
        PluginApi::Clap
    }
    fn execute_background(&self, (): ()) {}
    fn execute_gui(&self, (): ()) {}
    fn transport(&self) -> &Transport {
        &self.0
    }
    fn next_event(&mut self) -> Option<NoteEvent<()>> {
        None
    }
    fn try_send_event(
        &mut self,
        _event: NoteEvent<()>,
    ) -> Result<(), (NoteEvent<()>, SendEventError)> {
        Ok(())
    }
    fn set_latency_samples(&self, _samples: u32) {}
    fn request_restart(&self) {}
    fn set_current_voice_capacity(&self, _capacity: u32) {}
}

impl ActivateContext<Genrescope> for Host {
    fn plugin_api(&self) -> PluginApi {
        PluginApi::Clap
    }
    fn execute(&self, (): ()) {}
    fn set_latency_samples(&self, _samples: u32) {}
    fn set_current_voice_capacity(&self, _capacity: u32) {}
}

/// An instance that is active, in stereo.
pub struct Instance {
    plugin: Genrescope,
    host: Host,
    right: Vec<f32>,
}

impl Instance {
    /// For blocks of up to `block` samples.
    pub fn new(block: usize) -> Self {
        let mut plugin = Genrescope::default();
        let mut host = Host(Transport::new(RATE));
        let layout = AudioIOLayout {
            main_input_channels: NonZeroU32::new(2),
            main_output_channels: NonZeroU32::new(2),
            ..AudioIOLayout::const_default()
        };
        let config = BufferConfig {
            sample_rate: RATE,
            min_buffer_size: None,
            max_buffer_size: block as u32,
            process_mode: ProcessMode::Realtime,
        };
        assert!(plugin.activate(&layout, &config, &mut host));
        Self {
            plugin,
            host,
            right: vec![0.0; block],
        }
    }

    /// Processes `left` on both channels.
    pub fn process(&mut self, left: &mut [f32]) -> ProcessStatus {
        let right = &mut self.right[..left.len()];
        right.copy_from_slice(left);
        let n = left.len();
        let mut buffer = Buffer::default();
        // SAFETY: both slices live as long as the buffer and hold `n` samples.
        #[expect(unsafe_code, reason = "the framework's buffers are made this way")]
        unsafe {
            buffer.set_slices(n, |slices| {
                slices.clear();
                slices.push(left);
                slices.push(right);
            });
        }
        let mut aux = AuxiliaryBuffers {
            inputs: &mut [],
            outputs: &mut [],
        };
        self.plugin.process(&mut buffer, &mut aux, &mut self.host)
    }
}
