//! Hosts of odd manners: flags left on, activations with a note on, blocks of any size, a transport
//! that stops.
//!
//! Everything is played faster than the clock, so that the plugin waits for its listener and says
//! the same each time.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/clap_host.rs"]
mod clap_host;
#[path = "support/listening.rs"]
mod listening;
#[path = "support/vst3_host.rs"]
mod vst3_host_;

use std::{
    thread::sleep,
    time::{Duration, Instant},
};

use clack_extensions::render::{PluginRender, RenderMode};
use clack_host::prelude::*;
use clap_host::{
    MIDI_ON, Player, TestHost, edit_state, entry, instance, instance_with_midi, parameter,
};
use genrescope::{
    decision::{DecisionConfig, Preset},
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
};
use listening::{Deck, Song, composed};

const HZ: f64 = 48_000.0;

/// For failures only: nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// The note that is on after `messages`. None may come twice without an end, and no end without
/// one.
fn note_on(messages: &[[u8; 3]]) -> Option<u8> {
    let mut on = None;
    for &[status, note, _] in messages {
        match status & 0xf0 {
            0x90 => {
                assert_eq!(on, None, "note {note} while another is on");
                on = Some(note);
            }
            0x80 => {
                assert_eq!(on, Some(note), "an end without a note");
                on = None;
            }
            _ => {}
        }
    }
    on
}

fn play(deck: &mut impl Deck, samples: &[f32], block: usize) {
    for part in samples.chunks(block) {
        deck.play(&[part.to_vec(), part.to_vec()]);
    }
}

/// Plays until a note is on, where none is; returns it.
fn until_a_note_is_on(deck: &mut impl Deck, song: &Song) -> u8 {
    let before = deck.midi().len();
    for part in song.samples.chunks(1_000) {
        deck.play(&[part.to_vec(), part.to_vec()]);
        if let Some(note) = note_on(&deck.midi()[before..]) {
            return note;
        }
    }
    panic!("no note in {} samples", song.samples.len());
}

/// What one block of sound brings.
fn next_block(deck: &mut impl Deck) -> Vec<[u8; 3]> {
    let before = deck.midi().len();
    deck.play(&[vec![0.1; 64], vec![-0.05; 64]]);
    deck.midi()[before..].to_vec()
}

/// As a host does that was told to render once, and never that this is over.
fn offline(instance: &mut PluginInstance<TestHost>) {
    let handle = instance.plugin_handle();
    let render: PluginRender = handle.get_extension().unwrap();
    render.set(&handle, RenderMode::Offline).unwrap();
}

#[test]
fn a_note_ends_with_the_first_block_after_each_new_beginning() {
    let (_folder, entry) = entry();
    let song = composed(48_000, 20.0);
    for flag_left_on in [false, true] {
        let mut instance = instance_with_midi(&entry);
        if flag_left_on {
            offline(&mut instance);
        }
        let mut player = Player::start(&mut instance, HZ);
        let note = until_a_note_is_on(&mut player, &song);
        // The host jumps. What was heard is kept, so the note comes again with the next readout.
        player.reset();
        assert_eq!(next_block(&mut player), [[0x80, note, 0]]);
        let mut on = until_a_note_is_on(&mut player, &song);
        // Another block size; another rate, for which everything begins anew; both with a note on.
        for (rate, block) in [(HZ, 20_000), (44_100.0, 512), (HZ, 4_096)] {
            player.stop(&mut instance);
            player = Player::start_with(&mut instance, rate, block);
            assert_eq!(next_block(&mut player), [[0x80, on, 0]], "{rate}, {block}");
            on = until_a_note_is_on(&mut player, &song);
        }
        player.stop(&mut instance);
    }
}

#[test]
fn a_stopped_transport_ends_the_note_and_playing_brings_it_back() {
    let (_folder, entry) = entry();
    let mut instance = instance_with_midi(&entry);
    let mut player = Player::start(&mut instance, HZ);
    let song = composed(48_000, 30.0);
    player.playing = Some(true);
    let mut notes = 0;
    for two_seconds in song.samples.chunks(96_000) {
        play(&mut player, two_seconds, 1_000);
        let on = note_on(player.midi());
        player.playing = Some(false);
        let sent = next_block(&mut player);
        if let Some(on) = on {
            notes += 1;
            assert_eq!(sent[0], [0x80, on, 0]);
        }
        // Three seconds of a fading tail light nothing up, and leave no fader up.
        play(&mut player, &song.samples[..3 * 48_000], 1_000);
        assert_eq!(note_on(player.midi()), None);
        assert_eq!(faders(player.midi()), [0; 128]);
        player.playing = Some(true);
    }
    assert!(notes >= 3, "{notes} notes were on");
    player.stop(&mut instance);
}

/// Where the faders stand.
fn faders(messages: &[[u8; 3]]) -> [u8; 128] {
    let mut faders = [0; 128];
    for &[status, cc, value] in messages {
        if status == 0xb0 {
            faders[usize::from(cc)] = value;
        }
    }
    faders
}

#[test]
fn a_bypass_ends_what_is_on_and_what_was_heard_before_it_does_not_come_back() {
    let (_folder, entry) = entry();
    let mut instance = instance_with_midi(&entry);
    let bypass = parameter(&mut instance, "Bypass");
    let mut player = Player::start(&mut instance, HZ);
    let song = composed(48_000, 20.0);
    let note = until_a_note_is_on(&mut player, &song);
    player.set(bypass, 1.0);
    assert_eq!(next_block(&mut player)[0], [0x80, note, 0]);
    assert_eq!(faders(player.midi()), [0; 128]);
    play(&mut player, &song.samples[..96_000], 1_000);
    player.set(bypass, 0.0);
    // Half a second is less than the next look takes.
    let before = player.midi().len();
    play(&mut player, &song.samples[..24_000], 1_000);
    assert_eq!(player.midi()[before..], [[0_u8; 3]; 0]);
    until_a_note_is_on(&mut player, &song);
    player.stop(&mut instance);
}

#[test]
fn a_model_that_cannot_be_loaded_leaves_nothing_on() {
    let (_folder, entry) = entry();
    let mut instance = instance_with_midi(&entry);
    let mut player = Player::start(&mut instance, HZ);
    let song = composed(48_000, 20.0);
    until_a_note_is_on(&mut player, &song);
    assert_ne!(faders(player.midi()), [0; 128]);
    // The host loads another project's state while it plays.
    let (builtin, missing) = (r#"\"builtin\""#, r#"{\"file\":\"/no/such/model\"}"#);
    edit_state(&mut instance, &[(builtin, missing)]);
    let start = Instant::now();
    while note_on(player.midi()).is_some() || faders(player.midi()) != [0; 128] {
        assert!(start.elapsed() < PATIENCE, "{:?}", player.midi().last());
        next_block(&mut player);
        sleep(Duration::from_millis(1));
    }
    player.stop(&mut instance);
}

/// The sample of the first note, and the note.
fn first_note(timed: &[(u64, [u8; 3])]) -> Option<(u64, u8)> {
    timed
        .iter()
        .find(|(_, [status, ..])| status & 0xf0 == 0x90)
        .map(|(at, [_, note, _])| (*at, *note))
}

#[test]
fn the_presets_are_the_listeners() {
    let (_folder, entry) = entry();
    let song = composed(48_000, 12.0);
    let mut firsts = Vec::new();
    for (choice, saved) in [
        (Preset::Steady, Some("steady")),
        (Preset::Balanced, Some("balanced")),
        (Preset::Fast, Some("fast")),
        // A project that was saved before there were presets.
        (Preset::Balanced, None),
    ] {
        let mut decision = DecisionConfig::preset(choice);
        // The plugin's averaging time is a parameter of its own.
        decision.span = DecisionConfig::default().span;
        let config = PipelineConfig {
            decision,
            ..PipelineConfig::default()
        };
        let mut pipeline = Pipeline::new(&Model::builtin(), song.rate, config).unwrap();
        let mut expected = None;
        pipeline.push(&song.samples, |readout| {
            if expected.is_none() {
                let due = (readout.position.0 + 0.25) * HZ;
                let genre = readout.genre;
                expected = genre.map(|genre| (due.round() as u64, 36 + genre as u8));
            }
        });

        let mut instance = instance(&entry);
        let fresh = r#""preset":{"string":"balanced"}"#;
        let wanted = saved.map(|name| format!(r#""preset":{{"string":"{name}"}}"#));
        // The order in which parameters are saved is nobody's business.
        let without = [
            (format!("{fresh},"), String::new()),
            (format!(",{fresh}"), String::new()),
        ];
        let state = clap_host::state(&mut instance);
        let edit = match &wanted {
            Some(wanted) => (fresh.to_owned(), wanted.clone()),
            None => without
                .into_iter()
                .find(|(part, _)| state.contains(part))
                .unwrap_or_else(|| panic!("no preset in {state}")),
        };
        edit_state(&mut instance, &[MIDI_ON, (&edit.0, &edit.1)]);
        offline(&mut instance);
        let mut player = Player::start(&mut instance, HZ);
        play(&mut player, &song.samples, 1_000);
        assert_eq!(first_note(player.timed()), expected, "{choice:?}");
        firsts.push(expected.expect("a note").0);
        player.stop(&mut instance);
    }
    assert!(firsts[2] <= firsts[0], "{firsts:?}");
}

#[test]
fn live_input_is_followed_while_the_transport_stands() {
    let (_folder, entry) = entry();
    let mut instance = instance_with_midi(&entry);
    let mut player = Player::start(&mut instance, HZ);
    player.playing = Some(true);
    let song = composed(48_000, 20.0);
    until_a_note_is_on(&mut player, &song);
    player.playing = Some(false);
    next_block(&mut player);
    assert_eq!(note_on(player.midi()), None);
    until_a_note_is_on(&mut player, &song);
    player.stop(&mut instance);
}

#[test]
fn messages_come_at_the_same_sample_in_blocks_of_any_size() {
    let (_folder, entry) = entry();
    let song = composed(48_000, 12.0);
    let told = |flag: bool, sizes: &[usize]| {
        let mut instance = instance_with_midi(&entry);
        if flag {
            offline(&mut instance);
        }
        let mut player = Player::start_with(&mut instance, HZ, 20_000);
        let mut rest = song.samples.as_slice();
        for size in sizes.iter().cycle() {
            let (now, later) = rest.split_at((*size).min(rest.len()));
            let input = [now.to_vec(), now.to_vec()];
            assert_eq!(player.play(&input), input);
            rest = later;
            if rest.is_empty() {
                break;
            }
        }
        note_on(player.midi());
        // Faders at 0 are told as soon as there is a stream, which takes as long as it takes.
        let timed = player.timed().to_vec();
        player.stop(&mut instance);
        let lit = timed
            .iter()
            .position(|(_, [status, ..])| status & 0xf0 == 0x90);
        timed[lit.expect("a note")..].to_vec()
    };
    let expected = told(true, &[1_000]);
    assert!(expected.len() > 5, "{expected:?}");
    for sizes in [&[0, 1, 7, 4_097, 20_000][..], &[441], &[20_000]] {
        assert_eq!(told(true, sizes), expected, "blocks of {sizes:?}");
    }
    // A host that does not say that it renders.
    assert_eq!(told(false, &[0, 1, 7, 4_097, 20_000]), expected);
}

#[test]
fn vst3_ends_its_notes_too() {
    let mut host = vst3_host_::Host::new();
    let song = composed(48_000, 20.0);
    let mut player = vst3_host_::Player::start(host.instance_with_midi());
    let note = until_a_note_is_on(&mut player, &song);
    let mut plugin = player.stop();
    // Off and on again, and then with a new block size.
    player = vst3_host_::Player::start(plugin);
    assert_eq!(next_block(&mut player), [[0x80, note, 0]]);
    // A transport that runs, and stops.
    player.set_playing(true);
    let again = until_a_note_is_on(&mut player, &song);
    player.set_playing(false);
    assert_eq!(next_block(&mut player)[0], [0x80, again, 0]);
    player.set_playing(true);
    let on = until_a_note_is_on(&mut player, &song);
    plugin = player.stop();
    plugin.reconfigure(44_100.0, 512).unwrap();
    player = vst3_host_::Player::start(plugin);
    assert_eq!(next_block(&mut player), [[0x80, on, 0]]);
    player.stop();
}
