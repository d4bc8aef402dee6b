//! The VST3 plugin in a host.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/listening.rs"]
mod listening;
#[path = "support/vst3_host.rs"]
mod vst3_host_;
#[path = "support/vst3_raw.rs"]
mod vst3_raw;

use ::vst3::Steinberg::{
    IPlugViewContentScaleSupport, IPlugViewContentScaleSupportTrait, IPlugViewTrait, ViewRect,
    Vst::{
        IAudioProcessor, IAudioProcessorTrait, IComponentTrait, IEditController,
        IEditControllerTrait, ParameterInfo, ParameterInfo_::ParameterFlags_, ProcessData,
        SpeakerArr, ViewType::kEditor,
    },
    kResultFalse, kResultOk,
};
use listening::{
    Deck, STRANGE, Told, bounce, composed, live, passes_bit_for_bit, real_songs, same_bits,
};
use vst3_host::{audio::SpeakerArrangement, plugin::ProcessMode};
use vst3_host_::{Host, MAX_BLOCK, Player};

#[test]
fn it_says_what_it_is() {
    let mut host = Host::new();
    let plugin = host.instance();
    assert_eq!(plugin.info().name, "genrescope");
    assert_eq!(plugin.info().vendor, "genrescope");
    assert_eq!(plugin.latency_samples(), 0);
    assert_eq!(plugin.tail_samples(), 0);
    assert!(plugin.has_editor());
    let names: Vec<String> = plugin
        .get_parameters()
        .unwrap()
        .into_iter()
        .map(|parameter| parameter.name)
        .collect();
    for name in ["Bypass", "Averaging", "Hold", "Reset", "MIDI Out"] {
        assert!(names.iter().any(|n| n == name), "{name} in {names:?}");
    }
}

#[test]
fn audio_passes_bit_for_bit_at_any_rate_and_block_size() {
    let mut host = Host::new();
    let mut plugin = host.instance();
    // Activated anew at each rate, in the same instance.
    for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
        plugin.reconfigure(rate, MAX_BLOCK).unwrap();
        let mut player = Player::start(plugin);
        passes_bit_for_bit(&mut player, 2, 120, &format!("{rate} Hz"));
        plugin = player.stop();
    }
}

#[test]
fn every_layout_with_an_arrangement_passes_bit_for_bit() {
    let mut host = Host::new();
    let mut plugin = host.instance();
    // Mono, stereo, 5.0, 5.1, 7.0 and 7.1 (cinema), as the framework names them.
    for bits in [0x8_0000, 0x3, 55, 63, 247, 255] {
        let arrangement = [SpeakerArrangement::from_raw(bits)];
        plugin
            .set_bus_arrangements(&arrangement, &arrangement)
            .unwrap();
        // The host lays out its buffers when it is configured.
        plugin.reconfigure(48_000.0, MAX_BLOCK).unwrap();
        let n_channels = arrangement[0].channel_count();
        assert_eq!(plugin.output_channel_count(), n_channels);
        let mut player = Player::start(plugin);
        passes_bit_for_bit(&mut player, n_channels, 20, "48 kHz");
        plugin = player.stop();
    }
    let odd = [SpeakerArrangement::from_raw(0x7f_ffff)];
    assert!(plugin.set_bus_arrangements(&odd, &odd).is_err());
}

/// As many channels as a layout has.
const ARRANGEMENTS: [u64; 25] = [
    SpeakerArr::kMono,
    SpeakerArr::kStereo,
    SpeakerArr::k30Cine,
    SpeakerArr::k40Cine,
    SpeakerArr::k40Music,
    SpeakerArr::kAmbi1stOrderACN,
    SpeakerArr::k50,
    SpeakerArr::k51,
    SpeakerArr::k60Cine,
    SpeakerArr::k61Cine,
    SpeakerArr::k70Cine,
    SpeakerArr::k70Music,
    SpeakerArr::k71Cine,
    SpeakerArr::k71Music,
    SpeakerArr::k51_2,
    SpeakerArr::kAmbi2cdOrderACN,
    SpeakerArr::k50_4,
    SpeakerArr::k51_4,
    SpeakerArr::k71_2,
    SpeakerArr::k70_4,
    SpeakerArr::k71_4,
    SpeakerArr::k71_6,
    SpeakerArr::k91_4,
    SpeakerArr::k91_6,
    SpeakerArr::kAmbi3rdOrderACN,
];

#[test]
fn speaker_arrangements_are_what_was_accepted() {
    let mut host = Host::new();
    let mut plugin = host.instance();
    for bits in ARRANGEMENTS {
        let arrangement = [SpeakerArrangement::from_raw(bits)];
        plugin
            .set_bus_arrangements(&arrangement, &arrangement)
            .unwrap_or_else(|error| panic!("{bits:#x}: {error}"));
        let now = plugin.bus_arrangements().unwrap();
        assert_eq!(now.inputs, arrangement, "{bits:#x}");
        assert_eq!(now.outputs, arrangement, "{bits:#x}");
    }
    // One kind in and another out, of as many channels: a speaker would take another's place.
    let [lcrs, quad] = [SpeakerArr::k40Cine, SpeakerArr::k40Music]
        .map(|bits| [SpeakerArrangement::from_raw(bits)]);
    assert!(plugin.set_bus_arrangements(&lcrs, &quad).is_err());
}

#[test]
#[expect(unsafe_code, reason = "VST3 is a C++ interface")]
fn what_it_cannot_do_is_refused() {
    let module = vst3_raw::Module::load();
    let component = module.component();
    let processor = component.cast::<IAudioProcessor>().unwrap();
    let controller = component.cast::<IEditController>().unwrap();
    // SAFETY: all pointers are to values on this stack.
    unsafe {
        // Before it is set up.
        let mut data: ProcessData = std::mem::zeroed();
        assert_ne!(processor.process(&raw mut data), kResultOk);
        // 64 bits.
        let (mut doubles, mut floats) = (vst3_raw::setup(true), vst3_raw::setup(false));
        assert_eq!(processor.setupProcessing(&raw mut doubles), kResultFalse);
        assert_ne!(processor.process(&raw mut data), kResultOk);
        assert_eq!(processor.setupProcessing(&raw mut floats), kResultOk);
        assert_eq!(component.setActive(1), kResultOk);
        assert_eq!(processor.setProcessing(1), kResultOk);
        assert_eq!(processor.process(&raw mut data), kResultOk);
        // A parameter is what it was set to, while it processes, too.
        let bypass = (0..controller.getParameterCount())
            .find_map(|index| {
                let mut info: ParameterInfo = std::mem::zeroed();
                assert_eq!(controller.getParameterInfo(index, &raw mut info), kResultOk);
                (info.flags & ParameterFlags_::kIsBypass != 0).then_some(info.id)
            })
            .expect("a bypass");
        for value in [1.0, 0.0, 1.0] {
            assert_eq!(controller.setParamNormalized(bypass, value), kResultOk);
            assert_eq!(controller.getParamNormalized(bypass), value);
        }
        processor.setProcessing(0);
        component.setActive(0);
    }
}

#[test]
#[expect(unsafe_code, reason = "VST3 is a C++ interface")]
fn a_scale_that_is_told_before_the_editor_opens_counts() {
    let module = vst3_raw::Module::load();
    let component = module.component();
    let controller = component.cast::<IEditController>().unwrap();
    // SAFETY: all pointers are to values on this stack; the view comes with a reference.
    unsafe {
        let view = ::vst3::ComPtr::from_raw(controller.createView(kEditor)).unwrap();
        let scaled = view.cast::<IPlugViewContentScaleSupport>().unwrap();
        for (scale, expected) in [(2.0, (1_520, 960)), (1.5, (1_140, 720)), (1.0, (760, 480))] {
            assert_eq!(scaled.setContentScaleFactor(scale), kResultOk);
            let mut size: ViewRect = std::mem::zeroed();
            assert_eq!(view.getSize(&raw mut size), kResultOk);
            assert_eq!(
                (size.right - size.left, size.bottom - size.top),
                expected,
                "{scale}"
            );
        }
        for scale in [0.0, -1.0, f32::NAN, 1e9] {
            assert_ne!(scaled.setContentScaleFactor(scale), kResultOk, "{scale}");
        }
    }
}

#[test]
fn no_sample_value_is_too_strange() {
    let mut host = Host::new();
    let mut player = Player::start(host.instance());
    for value in STRANGE {
        for n in [1, 64, 1000] {
            let mut input = [vec![value; n + 1], vec![-value; n + 1]];
            // This host takes a block that it counts as zeros (denormals among them) for silence.
            input[0][0] = 0.5;
            input[1][0] = 0.5;
            assert!(same_bits(&player.play(&input), &input), "{value} times {n}");
        }
    }
    // A flush of parameters has no samples; nor has a host without channels.
    player.play(&[Vec::new(), Vec::new()]);
    player.play(&[]);
    passes_bit_for_bit(&mut player, 2, 10, "afterwards");
    player.stop();
}

#[test]
fn state_survives_saving_and_restoring() {
    let mut host = Host::new();
    let mut first = host.instance();
    for (name, value) in [("Averaging", 0.5), ("Hold", 1.0), ("MIDI Channel", 0.4)] {
        first.set_parameter_by_name(name, value).unwrap();
    }
    // Parameters reach the processor with a block.
    let mut player = Player::start(first);
    player.play(&[vec![0.0; 64], vec![0.0; 64]]);
    let first = player.stop();
    let saved = first.save_state().unwrap();
    let mut second = host.instance();
    assert_ne!(second.save_state().unwrap(), saved);
    second.load_state(&saved).unwrap();
    assert_eq!(second.save_state().unwrap(), saved);
    for name in ["Averaging", "Hold", "MIDI Channel", "First CC"] {
        let value = |plugin: &vst3_host::Plugin| plugin.find_parameter(name).unwrap().value;
        assert_eq!(value(&first), value(&second), "{name}");
    }
}

#[test]
fn a_project_brings_the_editors_size_back() {
    let mut host = Host::new();
    let mut plugin = host.instance();
    assert_eq!(plugin.get_editor_size().unwrap(), (760, 480));
    // The host's own frame around our JSON knows its length, which stays.
    let mut saved = plugin.save_state().unwrap();
    let (fresh, edited) = (b"[760,480]", b"[402,501]");
    let at = saved
        .windows(fresh.len())
        .position(|part| part == fresh)
        .expect("the size stands in the state");
    saved[at..at + fresh.len()].copy_from_slice(edited);
    plugin.load_state(&saved).unwrap();
    assert_eq!(plugin.get_editor_size().unwrap(), (402, 501));
}

#[test]
fn two_instances_hear_for_themselves() {
    let mut host = Host::new();
    let mut metal = Player::start(host.instance_with_midi());
    let mut quiet = Player::start(host.instance());
    let song = composed(48_000, 6.0);
    for block in song.samples.chunks(2000) {
        let block = [block.to_vec(), block.to_vec()];
        assert!(same_bits(&metal.play(&block), &block));
        let silence = [vec![0.0; block[0].len()], vec![0.0; block[0].len()]];
        assert!(same_bits(&quiet.play(&silence), &silence));
    }
    assert!(Told::by(metal.midi()).scores.iter().any(|&s| s > 0));
    assert!(Told::by(quiet.midi()).scores.iter().all(|&s| s == 0));
}

/// A fresh instance that is told to render, or to play.
/// It is activated three times over before it processes, as hosts do.
fn deck(host: &mut Host, rate: f64, mode: ProcessMode, play: impl Fn(&mut Player) -> Told) -> Told {
    let mut plugin = host.instance_with_midi();
    plugin.reconfigure(rate, MAX_BLOCK).unwrap();
    plugin.set_process_mode(mode).unwrap();
    let mut player = Player::start(plugin);
    let told = play(&mut player);
    player.stop();
    told
}

#[test]
fn a_bounce_ends_as_live_playing_does() {
    let mut host = Host::new();
    let song = composed(44_100, 12.0);
    let expected = Told::expected(&song);
    let start = std::time::Instant::now();
    let bounced = deck(&mut host, 44_100.0, ProcessMode::Offline, |player| {
        bounce(player, &song)
    });
    let took = start.elapsed();
    let played = deck(&mut host, 44_100.0, ProcessMode::Realtime, |player| {
        live(player, &song)
    });
    println!("12 s bounced in {took:?}");
    assert!(played.scores.iter().any(|&score| score > 0), "{played:?}");
    assert_eq!(bounced, played);
    assert!(played.agrees_with(&expected), "{played:?}, {expected:?}");
}

#[test]
fn it_names_a_real_song() {
    let mut host = Host::new();
    for (genre, song) in real_songs() {
        let rate = f64::from(song.rate.hz());
        let bounced = deck(&mut host, rate, ProcessMode::Offline, |player| {
            bounce(player, &song)
        });
        assert_eq!(bounced.genre, Some(genre), "{bounced:?}");
        let expected = Told::expected(&song);
        assert!(bounced.agrees_with(&expected), "{bounced:?}, {expected:?}");
    }
}
