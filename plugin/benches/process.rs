//! What the plugin costs its host: nanoseconds per sample frame in `process()`, and one frame of the editor.
//!
//! `cargo bench -p genrescope-plugin`. A frame of the editor here is layout and tessellation; what the graphics card
//! does is not measured. The editor draws 25 frames a second while audio comes and 4 while none does.

#[path = "../tests/support/raster.rs"]
mod raster;

use std::{num::NonZeroU32, time::Duration};

use divan::{Bencher, counter::ItemsCount};
use genrescope_plugin::{Genrescope, editor::view};
use nice_plug::{context::PluginApi, context::process::SendEventError, prelude::*};
use raster::{Offscreen, scenes};

fn main() {
    divan::main();
}

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

/// Stereo at 48 kHz, in real time, so that the listener is fed as it is in a host: only `process()` is timed.
#[divan::bench(args = [32, 64, 256, 1024, 4096], sample_count = 200, sample_size = 1)]
fn process(bencher: Bencher<'_, '_>, block: usize) {
    let mut plugin = Genrescope::default();
    let mut host = Host(Transport::new(48_000.0));
    let layout = AudioIOLayout {
        main_input_channels: NonZeroU32::new(2),
        main_output_channels: NonZeroU32::new(2),
        ..AudioIOLayout::const_default()
    };
    let config = BufferConfig {
        sample_rate: 48_000.0,
        min_buffer_size: None,
        max_buffer_size: block as u32,
        process_mode: ProcessMode::Realtime,
    };
    assert!(plugin.activate(&layout, &config, &mut host));
    // The model is loaded and the stream has arrived.
    std::thread::sleep(Duration::from_secs(2));
    let mut left: Vec<f32> = (0..block).map(|i| (i as f32 * 0.37).sin() * 0.3).collect();
    let mut right = left.clone();
    bencher
        .counter(ItemsCount::new(block))
        .with_inputs(|| std::thread::sleep(Duration::from_secs_f64(block as f64 / 48_000.0)))
        .bench_local_values(|()| {
            let mut buffer = Buffer::default();
            // SAFETY: both slices live as long as the buffer and hold `block` samples.
            #[expect(unsafe_code, reason = "the framework's buffers are made this way")]
            unsafe {
                buffer.set_slices(block, |slices| {
                    slices.clear();
                    slices.push(&mut left);
                    slices.push(&mut right);
                });
            }
            let mut aux = AuxiliaryBuffers {
                inputs: &mut [],
                outputs: &mut [],
            };
            plugin.process(&mut buffer, &mut aux, &mut host)
        });
}

/// One frame of the editor while the bars glide.
#[divan::bench]
fn editor_frame(bencher: Bencher<'_, '_>) {
    let mut offscreen = Offscreen::new(view::design_size(), 1.0);
    let mut scenes = [scenes::live(), scenes::unsure()];
    offscreen.render(&scenes[0]);
    bencher.bench_local(|| {
        scenes.swap(0, 1);
        offscreen.pass(&scenes[0], Vec::new())
    });
}
