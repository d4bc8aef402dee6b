//! The CLAP plugin in a host.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;

use std::time::{Duration, Instant};

use bundle::Random;
use clack_extensions::{latency::PluginLatency, state::PluginState};
use clack_host::{
    events::spaces::CoreEventSpace, prelude::*, process::audio_buffers::InputChannel,
};

struct Shared;
impl SharedHandler<'_> for Shared {
    fn request_restart(&self) {}
    fn request_process(&self) {}
    fn request_callback(&self) {}
}
struct TestHost;
impl HostHandlers for TestHost {
    type Shared<'a> = Shared;
    type MainThread<'a> = ();
    type AudioProcessor<'a> = ();
}

fn entry() -> (tempfile::TempDir, PluginEntry) {
    let folder = tempfile::tempdir().unwrap();
    let path = bundle::clap(folder.path());
    // SAFETY: it is this package's own library.
    #[expect(unsafe_code, reason = "loading a library runs its code")]
    let entry = unsafe { PluginEntry::load(path) }.unwrap();
    (folder, entry)
}

fn instance(entry: &PluginEntry) -> PluginInstance<TestHost> {
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

struct Player {
    processor: StartedPluginAudioProcessor<TestHost>,
    inputs: AudioPorts,
    outputs: AudioPorts,
    events: EventBuffer,
    midi: Vec<[u8; 3]>,
}

impl Player {
    fn start(instance: &mut PluginInstance<TestHost>, rate: f64) -> Self {
        let processor = instance.activate(|_, ()| (), configuration(rate)).unwrap();
        Self {
            processor: processor.start_processing().map_err(|_| "start").unwrap(),
            inputs: AudioPorts::with_capacity(2, 1),
            outputs: AudioPorts::with_capacity(2, 1),
            events: EventBuffer::new(),
            midi: Vec::new(),
        }
    }

    /// One block; returns what came out.
    fn play(&mut self, input: &mut [Vec<f32>; 2]) -> [Vec<f32>; 2] {
        // Not zero, so that silence is an output and not the lack of one.
        let mut output = [vec![7.0; input[0].len()], vec![7.0; input[0].len()]];
        let inputs = self.inputs.with_input_buffers([AudioPortBuffer {
            latency: 0,
            channels: AudioPortBufferType::f32_input_only(
                input.iter_mut().map(InputChannel::variable),
            ),
        }]);
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

    fn stop(self, instance: &mut PluginInstance<TestHost>) {
        instance.deactivate(self.processor.stop_processing());
    }
}

fn bits(channels: &[Vec<f32>; 2]) -> [Vec<u32>; 2] {
    [0, 1].map(|index| {
        channels[index]
            .iter()
            .map(|sample: &f32| sample.to_bits())
            .collect()
    })
}

#[test]
fn audio_passes_bit_for_bit_at_any_rate_and_block_size() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let mut random = Random(1);
    // Activated anew at each rate, in the same instance.
    for rate in [44_100.0, 48_000.0, 96_000.0] {
        let mut player = Player::start(&mut instance, rate);
        for round in 0..120 {
            let n = match round {
                0 => 1,
                1 => 4096,
                _ => random.within(1..=4096),
            };
            let mut input = [0, 1].map(|_| (0..n).map(|_| random.sample()).collect::<Vec<_>>());
            let output = player.play(&mut input);
            assert_eq!(bits(&output), bits(&input), "{n} samples at {rate} Hz");
        }
        player.stop(&mut instance);
    }
}

#[test]
fn no_sample_value_is_too_strange() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let mut player = Player::start(&mut instance, 48_000.0);
    for value in [
        f32::NAN,
        -f32::NAN,
        f32::INFINITY,
        f32::NEG_INFINITY,
        f32::MIN_POSITIVE / 2.0,
        -f32::from_bits(1),
        f32::MAX,
        -0.0,
    ] {
        for n in [1, 64, 1000] {
            let mut input = [vec![value; n], vec![-value; n]];
            let output = player.play(&mut input);
            assert_eq!(bits(&output), bits(&input), "{value} times {n}");
        }
    }
    // A block without samples.
    player.play(&mut [Vec::new(), Vec::new()]);
    player.stop(&mut instance);
}

#[test]
fn it_adds_no_latency() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let handle = instance.plugin_handle();
    let latency: PluginLatency = handle.get_extension().unwrap();
    assert_eq!(latency.get(&handle), 0);
}

#[test]
fn state_survives_saving_and_restoring() {
    let (_folder, entry) = entry();
    let mut first = instance(&entry);
    let handle = first.plugin_handle();
    let state: PluginState = handle.get_extension().unwrap();
    let mut saved = Vec::new();
    state.save(&handle, &mut saved).unwrap();
    // The framework writes the length of the JSON before it.
    let text = String::from_utf8(saved.split_off(8)).unwrap();
    let edited = text
        .replace(r#""mch":{"i32":1}"#, r#""mch":{"i32":7}"#)
        .replace(r#""hold":{"bool":false}"#, r#""hold":{"bool":true}"#)
        .replace("127.0.0.1:9000", "10.1.2.3:7700")
        .replace("[760,480]", "[1000,640]");
    for part in [
        "\"i32\":7",
        "\"hold\":{\"bool\":true}",
        "10.1.2.3:7700",
        "[1000,640]",
    ] {
        assert!(edited.contains(part), "{part} in {edited}");
    }

    let edited = [&(edited.len() as u64).to_le_bytes(), edited.as_bytes()].concat();

    let mut second = instance(&entry);
    let handle = second.plugin_handle();
    // Extensions belong to the instance that they were asked of.
    let state: PluginState = handle.get_extension().unwrap();
    state.load(&handle, &mut edited.as_slice()).unwrap();
    let mut again = Vec::new();
    state.save(&handle, &mut again).unwrap();
    assert_eq!(again, edited);
    // What cannot be read is refused and changes nothing.
    assert!(state.load(&handle, &mut b"not a state".as_slice()).is_err());
}

#[test]
fn two_hundred_instances_come_and_go() {
    let (_folder, entry) = entry();
    // The first loads the model for all.
    drop(instance(&entry));
    let threads = || std::fs::read_dir("/proc/self/task").unwrap().count();
    let before = threads();
    for round in 0..200 {
        let mut one = instance(&entry);
        if round % 10 == 0 {
            // Dropped while it may be starting a stream or hearing its first block.
            let mut player = Player::start(&mut one, 48_000.0);
            player.play(&mut [vec![0.1; 4096], vec![0.1; 4096]]);
            player.stop(&mut one);
        }
    }
    // Other tests of this file run beside this one, so some threads may be theirs.
    let after = threads();
    assert!(
        after < before + 40,
        "{before} threads before, {after} after"
    );
}

#[test]
fn two_instances_hear_for_themselves() {
    let (_folder, entry) = entry();
    let (mut one, mut two) = (instance(&entry), instance(&entry));
    let mut first = Player::start(&mut one, 48_000.0);
    let mut second = Player::start(&mut two, 44_100.0);
    let mut random = Random(2);
    for _ in 0..20 {
        let mut noise = [0, 1].map(|_| (0..512).map(|_| random.sample()).collect::<Vec<_>>());
        let mut quiet = [vec![0.0; 512], vec![0.0; 512]];
        assert_eq!(bits(&first.play(&mut noise)), bits(&noise));
        assert_eq!(bits(&second.play(&mut quiet)), bits(&quiet));
    }
    first.stop(&mut one);
    second.stop(&mut two);
}

#[test]
fn scores_go_out_as_midi_four_times_a_second_at_most() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let mut player = Player::start(&mut instance, 48_000.0);
    // A chord with a beat: twelve seconds of it in far less, which the plugin notices and waits for.
    let mut time = 0_u32;
    let start = Instant::now();
    let mut batches = 0;
    while time < 12 * 48_000 {
        assert!(start.elapsed() < Duration::from_secs(300), "it never ended");
        let block = || -> Vec<f32> {
            (0..1024)
                .map(|i| {
                    let t = f64::from(time + i) / 48_000.0;
                    let beat = (-8.0 * (t * 2.0).fract()).exp();
                    let chord: f64 = [110.0, 220.0, 277.2, 329.6]
                        .iter()
                        .map(|hz| (t * hz * std::f64::consts::TAU).sin())
                        .sum();
                    (0.12 * chord * (0.3 + beat)) as f32
                })
                .collect()
        };
        let mut input = [block(), block()];
        let before = player.midi.len();
        let output = player.play(&mut input);
        assert_eq!(bits(&output), bits(&input));
        batches += usize::from(player.midi.len() > before);
        time += 1024;
    }
    let controllers: std::collections::BTreeSet<u8> = player
        .midi
        .iter()
        .filter(|message| message[0] == 0xb0)
        .map(|message| message[1])
        .collect();
    assert!(
        controllers.iter().copied().eq(20..30),
        "a controller per genre: {controllers:?}"
    );
    assert!((1..=48).contains(&batches), "{batches} batches in 12 s");
    assert!(
        player
            .midi
            .iter()
            .all(|message| message[1] < 128 && message[2] < 128),
        "data bytes have seven bits"
    );
    player.stop(&mut instance);
}
