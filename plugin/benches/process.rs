//! What the plugin costs its host: nanoseconds per sample frame in `process()`, and one frame of
//! the editor.
//!
//! `cargo bench -p genrescope-plugin`. A frame of the editor here is layout and tessellation; what
//! the graphics card does is not measured. The editor draws 25 frames a second while audio comes
//! and 4 while none does.

#[path = "../tests/support/process_host.rs"]
mod process_host;
#[path = "../tests/support/raster.rs"]
mod raster;

use std::time::Duration;

use divan::{Bencher, counter::ItemsCount};
use genrescope_plugin_core::editor::view;
use process_host::Instance;
use raster::{Offscreen, scenes};

fn main() {
    divan::main();
}

/// Stereo at 48 kHz, in real time, so that the listener is fed as it is in a host: only `process()`
/// is timed.
#[divan::bench(args = [32, 64, 256, 1024, 4096], sample_count = 200, sample_size = 1)]
fn process(bencher: Bencher<'_, '_>, block: usize) {
    let mut instance = Instance::new(block);
    // The model is loaded and the stream has arrived.
    std::thread::sleep(Duration::from_secs(2));
    let mut left: Vec<f32> = (0..block).map(|i| (i as f32 * 0.37).sin() * 0.3).collect();
    bencher
        .counter(ItemsCount::new(block))
        .with_inputs(|| std::thread::sleep(Duration::from_secs_f64(block as f64 / 48_000.0)))
        .bench_local_values(|()| instance.process(&mut left));
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
