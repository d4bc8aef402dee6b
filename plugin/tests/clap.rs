//! The CLAP plugin in a host.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/clap_host.rs"]
mod clap_host;
#[path = "support/listening.rs"]
mod listening;

use std::{
    collections::BTreeMap,
    net::UdpSocket,
    time::{Duration, Instant},
};

use bundle::Random;
use clack_extensions::{
    audio_ports_config::{AudioPortsConfigBuffer, PluginAudioPortsConfig},
    latency::PluginLatency,
    render::{PluginRender, RenderMode},
    state::PluginState,
};
use clap_host::{MIDI_ON, Player, edit_state, entry, instance, instance_with_midi};
use genrescope::genre::GTZAN;
use listening::{
    Deck, STRANGE, Told, bounce, composed, live, passes_bit_for_bit, real_songs, same_bits,
};
use rosc::{OscPacket, OscType};

#[test]
fn audio_passes_bit_for_bit_at_any_rate_and_block_size() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    // Activated anew at each rate, in the same instance.
    for rate in [44_100.0, 48_000.0, 96_000.0, 192_000.0] {
        let mut player = Player::start(&mut instance, rate);
        passes_bit_for_bit(&mut player, 2, 120, &format!("{rate} Hz"));
        player.stop(&mut instance);
    }
}

#[test]
fn every_layout_passes_bit_for_bit() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let handle = instance.plugin_handle();
    let layouts: PluginAudioPortsConfig = handle.get_extension().unwrap();
    let mut buffer = AudioPortsConfigBuffer::new();
    let configs: Vec<_> = (0..layouts.count(&handle))
        .map(|index| {
            let config = layouts.get(&handle, index, &mut buffer).unwrap();
            let n_channels = config.main_input.unwrap().channel_count;
            assert_eq!(config.main_output.unwrap().channel_count, n_channels);
            (config.id, n_channels as usize)
        })
        .collect();
    let counts: Vec<usize> = configs.iter().map(|(_, n)| *n).collect();
    assert_eq!(counts, [2, 1, 3, 4, 5, 6, 7, 8, 10, 12, 16, 9, 11, 14]);
    for (id, n_channels) in configs {
        layouts.select(&instance.plugin_handle(), id).unwrap();
        let mut player = Player::start(&mut instance, 48_000.0);
        passes_bit_for_bit(&mut player, n_channels, 20, "48 kHz");
        player.stop(&mut instance);
    }
}

#[test]
fn no_sample_value_is_too_strange() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let mut player = Player::start(&mut instance, 48_000.0);
    for value in STRANGE {
        for n in [1, 64, 1000] {
            let input = [vec![value; n], vec![-value; n]];
            assert!(same_bits(&player.play(&input), &input), "{value} times {n}");
        }
    }
    // A block without samples.
    player.play(&[Vec::new(), Vec::new()]);
    player.stop(&mut instance);
}

#[test]
fn missing_channels_are_survived() {
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let mut player = Player::start(&mut instance, 48_000.0);
    let block = vec![0.25; 64];
    // One input channel for two outputs, no input at all, and one channel where the layout has two.
    let output = player.play_to(std::slice::from_ref(&block), 2);
    assert!(same_bits(&output, &[block.clone(), vec![0.0; 64]]));
    player.play_to(&[], 2);
    player.play_to(std::slice::from_ref(&block), 1);
    // As ever afterwards.
    passes_bit_for_bit(&mut player, 2, 10, "after missing channels");
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
fn two_instances_hear_for_themselves() {
    let (_folder, entry) = entry();
    let (mut one, mut two) = (instance(&entry), instance(&entry));
    let mut first = Player::start(&mut one, 48_000.0);
    let mut second = Player::start(&mut two, 44_100.0);
    let mut random = Random::new(2);
    for _ in 0..20 {
        let noise = [0, 1].map(|_| (0..512).map(|_| random.sample()).collect::<Vec<_>>());
        let quiet = [vec![0.0; 512], vec![0.0; 512]];
        assert!(same_bits(&first.play(&noise), &noise));
        assert!(same_bits(&second.play(&quiet), &quiet));
    }
    first.stop(&mut one);
    second.stop(&mut two);
}

#[test]
fn scores_go_out_as_midi_four_times_a_second_at_most() {
    let (_folder, entry) = entry();
    let mut instance = instance_with_midi(&entry);
    let mut player = Player::start(&mut instance, 48_000.0);
    // A chord with a beat: twelve seconds of it in far less, which the plugin notices and waits
    // for.
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
        let input = [block(), block()];
        let before = player.midi().len();
        assert!(same_bits(&player.play(&input), &input));
        batches += usize::from(player.midi().len() > before);
        time += 1024;
    }
    let controllers: std::collections::BTreeSet<u8> = player
        .midi()
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
            .midi()
            .iter()
            .all(|message| message[1] < 128 && message[2] < 128),
        "data bytes have seven bits"
    );
    player.stop(&mut instance);
}

/// A fresh instance that is told to render, or to play.
fn deck(
    entry: &clack_host::prelude::PluginEntry,
    rate: f64,
    mode: RenderMode,
    play: impl Fn(&mut Player) -> Told,
) -> Told {
    let mut instance = instance_with_midi(entry);
    let handle = instance.plugin_handle();
    let render: PluginRender = handle.get_extension().unwrap();
    render.set(&handle, mode).unwrap();
    let mut player = Player::start(&mut instance, rate);
    let told = play(&mut player);
    player.stop(&mut instance);
    told
}

#[test]
fn a_bounce_ends_as_live_playing_does() {
    let (_folder, entry) = entry();
    for hz in [44_100, 48_000] {
        let song = composed(hz, 12.0);
        let rate = f64::from(hz);
        let expected = Told::expected(&song);
        let start = Instant::now();
        let bounced = deck(&entry, rate, RenderMode::Offline, |player| {
            bounce(player, &song)
        });
        let took = start.elapsed();
        let unsaid = deck(&entry, rate, RenderMode::Realtime, |player| {
            bounce(player, &song)
        });
        let played = deck(&entry, rate, RenderMode::Realtime, |player| {
            live(player, &song)
        });
        println!("12 s bounced in {took:?}");
        assert!(played.scores.iter().any(|&score| score > 0), "{played:?}");
        assert_eq!(bounced, played, "{hz} Hz");
        assert_eq!(
            unsaid, played,
            "{hz} Hz, a host that does not say that it renders"
        );
        assert!(played.agrees_with(&expected), "{played:?}, {expected:?}");
    }
}

#[test]
fn it_names_a_real_song() {
    let (_folder, entry) = entry();
    for (index, (genre, song)) in real_songs().iter().enumerate() {
        let rate = f64::from(song.rate.hz());
        let bounced = deck(&entry, rate, RenderMode::Offline, |player| {
            bounce(player, song)
        });
        assert_eq!(bounced.genre, Some(*genre), "{bounced:?}");
        let expected = Told::expected(song);
        assert!(bounced.agrees_with(&expected), "{bounced:?}, {expected:?}");
        if index == 0 {
            let played = deck(&entry, rate, RenderMode::Realtime, |player| {
                live(player, song)
            });
            assert_eq!(bounced, played);
        }
    }
}

/// OSC messages, until what came is `enough`.
fn osc(socket: &UdpSocket, mut enough: impl FnMut(&BTreeMap<String, OscType>) -> bool) {
    let (mut newest, mut buffer) = (BTreeMap::new(), [0; 1536]);
    while !enough(&newest) {
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{error} after {newest:#?}"));
        match rosc::decoder::decode_udp(&buffer[..length]) {
            Ok((_, OscPacket::Message(message))) => {
                newest.insert(message.addr, message.args[0].clone());
            }
            other => panic!("not a plain message: {other:?}"),
        }
    }
}

/// As a project brings it: OSC is in the state, with its target.
#[test]
fn a_receiver_hears_by_osc_what_the_host_is_told_by_midi() {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(30)))
        .unwrap();
    let (_folder, entry) = entry();
    let mut instance = instance(&entry);
    let target = socket.local_addr().unwrap().to_string();
    let (off, on) = (r#""osc":{"bool":false}"#, r#""osc":{"bool":true}"#);
    edit_state(
        &mut instance,
        &[MIDI_ON, (off, on), ("127.0.0.1:9000", &target)],
    );
    let handle = instance.plugin_handle();
    let render: PluginRender = handle.get_extension().unwrap();
    render.set(&handle, RenderMode::Offline).unwrap();
    let song = composed(48_000, 12.0);
    let mut player = Player::start(&mut instance, 48_000.0);
    let told = bounce(&mut player, &song);
    let shown = told.genre.map(|genre| GTZAN[genre]);
    let mut lit = None;
    osc(&socket, |newest| {
        let text = |address: &str| newest.get(address).cloned().and_then(OscType::string);
        let number = |address: String| newest.get(&address).cloned().and_then(OscType::float);
        lit = GTZAN
            .into_iter()
            .find(|label| number(format!("/genre/active/{label}")) == Some(1.0));
        lit == shown
            && text("/genre/name").as_deref() == Some(shown.unwrap_or("none"))
            && GTZAN.iter().zip(&told.scores).all(|(label, &told)| {
                number(format!("/genre/score/{label}"))
                    .is_some_and(|score| (score * 127.0 - f32::from(told)).abs() <= 1.0)
            })
    });
    player.stop(&mut instance);

    // Switched off, it takes back what it lit, and says no more.
    edit_state(&mut instance, &[(on, off)]);
    let mut player = Player::start(&mut instance, 48_000.0);
    bounce(&mut player, &song);
    if let Some(lit) = lit {
        let address = format!("/genre/active/{lit}");
        osc(&socket, |newest| {
            newest.get(&address) == Some(&OscType::Float(0.0))
        });
    }
    player.stop(&mut instance);
    socket.set_nonblocking(true).unwrap();
    let mut rest = [0; 1536];
    while socket.recv(&mut rest).is_ok() {}
    let mut player = Player::start(&mut instance, 48_000.0);
    bounce(&mut player, &song);
    assert!(socket.recv(&mut rest).is_err(), "{rest:?}");
    player.stop(&mut instance);
}
