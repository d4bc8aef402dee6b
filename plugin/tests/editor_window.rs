//! The editor's window in a CLAP host on X11: it paints, it has the right size, and it leaves keys
//! to the host.
//!
//! On a display of its own (Xvfb). A test that finds it starts itself anew with that display,
//! because the plugin's window asks the environment for it.
#![cfg(target_os = "linux")]

#[path = "support/bundle.rs"]
mod bundle;
#[path = "support/clap_host.rs"]
mod clap_host;
#[path = "support/listening.rs"]
mod listening;
#[path = "support/vst3_raw.rs"]
mod vst3_raw;

#[path = "support/desktop.rs"]
mod desktop;

use std::{env, path::PathBuf, sync::atomic::Ordering, thread::sleep, time::Duration};

use clack_extensions::gui::GuiSize;
use clap_host::{Player, edit_state, entry, instance};
use desktop::{Desktop, Open, met, on_a_screen, wait_for};
use listening::{Deck as _, composed};
use vst3::{
    ComPtr, ComWrapper,
    Steinberg::{
        IPlugFrame, IPlugViewContentScaleSupport, IPlugViewContentScaleSupportTrait,
        IPlugViewTrait,
        Vst::{IEditController, IEditControllerTrait, ViewType::kEditor},
        kPlatformTypeX11EmbedWindowID, kResultOk,
    },
};
use x11rb::{
    connection::Connection as _,
    protocol::{
        Event,
        xproto::{
            BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, MOTION_NOTIFY_EVENT,
        },
    },
};

#[test]
fn it_paints_however_late_it_is_shown() {
    on_a_screen("it_paints_however_late_it_is_shown", || {
        let (_folder, entry) = entry();
        let desktop = Desktop::new();
        for with_scale in [true, false] {
            for late_ms in [0, 20, 100, 500] {
                for round in 0..2 {
                    // A new one each time: its model has just been loaded, so it asks for a picture
                    // before it is shown.
                    let mut instance = instance(&entry);
                    let mut open = Open::create(&mut instance);
                    if with_scale {
                        open.scale(1.0);
                    }
                    assert_eq!(open.size(), (760, 480));
                    sleep(Duration::from_millis(late_ms));
                    open.show(&desktop);
                    desktop.paints(&format!(
                        "shown {late_ms} ms late, round {round}, scale set: {with_scale}"
                    ));
                }
            }
        }
    });
}

#[test]
fn its_size_fits_the_scale_at_each_opening() {
    on_a_screen("its_size_fits_the_scale_at_each_opening", || {
        let (_folder, entry) = entry();
        let desktop = Desktop::new();
        let mut instance = instance(&entry);
        for scale in [2.0, 2.0, 0.5, 1.0, 1.5, 1.5, 2.0, 1.0] {
            let expected = ((760.0 * scale) as u32, (480.0 * scale) as u32);
            let mut open = Open::create(&mut instance);
            open.scale(scale);
            assert_eq!(open.size(), expected, "said at {scale}");
            open.show(&desktop);
            desktop.paints(&format!("scale {scale}"));
            assert_eq!(desktop.size(), expected, "shown at {scale}");
        }
        // A host that says the scale once and for all.
        let mut open = Open::create(&mut instance);
        open.scale(2.0);
        drop(open);
        let mut open = Open::create(&mut instance);
        assert_eq!(open.size(), (1_520, 960));
        open.show(&desktop);
        assert_eq!(desktop.size(), (1_520, 960));
    });
}

#[test]
#[expect(unsafe_code, reason = "VST3 is a C++ interface")]
fn vst3_opens_at_the_scale_it_was_told_before() {
    on_a_screen("vst3_opens_at_the_scale_it_was_told_before", || {
        let desktop = Desktop::new();
        let module = vst3_raw::Module::load();
        let component = module.component();
        let controller = component.cast::<IEditController>().unwrap();
        let frame = ComWrapper::new(vst3_raw::Frame::default());
        for scale in [2.0_f32, 1.5, 1.0] {
            let expected = ((760.0 * scale) as u32, (480.0 * scale) as u32);
            // SAFETY: the view comes with a reference, and all else outlives it.
            unsafe {
                let view = ComPtr::from_raw(controller.createView(kEditor)).unwrap();
                frame.view.store(view.as_ptr() as usize, Ordering::SeqCst);
                let host = frame.to_com_ptr::<IPlugFrame>().unwrap();
                assert_eq!(view.setFrame(host.as_ptr()), kResultOk);
                let scaled = view.cast::<IPlugViewContentScaleSupport>().unwrap();
                assert_eq!(scaled.setContentScaleFactor(scale), kResultOk);
                let parent = desktop.parent as usize as *mut std::ffi::c_void;
                assert_eq!(
                    view.attached(parent, kPlatformTypeX11EmbedWindowID),
                    kResultOk
                );
                desktop.paints(&format!("VST3 at {scale}"));
                assert_eq!(desktop.size(), expected, "shown at {scale}");
                // On to another screen.
                assert_eq!(scaled.setContentScaleFactor(1.25), kResultOk);
                wait_for(|| {
                    let size = desktop.size();
                    frame.turn();
                    met(size == (950, 600), || format!("{size:?} after 1.25"))
                });
                assert_eq!(view.removed(), kResultOk);
                view.setFrame(std::ptr::null_mut());
            }
        }
        assert_eq!(
            frame.strangers.load(Ordering::SeqCst),
            0,
            "views that no host knows"
        );
    });
}

#[test]
fn a_project_brings_its_size_back() {
    on_a_screen("a_project_brings_its_size_back", || {
        let (_folder, entry) = entry();
        let desktop = Desktop::new();
        let mut instance = instance(&entry);
        edit_state(&mut instance, &[("[760,480]", "[402,501]")]);
        let mut open = Open::create(&mut instance);
        assert_eq!(open.size(), (402, 501));
        open.show(&desktop);
        desktop.paints("402 by 501");
        assert_eq!(desktop.size(), (402, 501));
        // Made larger by hand, and closed: that is what the project keeps.
        let size = GuiSize {
            width: 900,
            height: 600,
        };
        open.gui
            .set_size(&open.instance.plugin_handle(), size)
            .unwrap();
        drop(open);
        edit_state(&mut instance, &[("[900,600]", "[900,600]")]);
        let mut open = Open::create(&mut instance);
        assert_eq!(open.size(), (900, 600));
    });
}

#[test]
fn keys_go_on_to_the_host() {
    on_a_screen("keys_go_on_to_the_host", || {
        let (_folder, entry) = entry();
        let desktop = Desktop::new();
        desktop.keys_to_host();
        let mut instance = instance(&entry);
        let mut open = Open::create(&mut instance);
        open.show(&desktop);
        desktop.paints("for keys");
        // The pointer is over the editor.
        desktop.fake(MOTION_NOTIFY_EVENT, 0, 300, 200);
        desktop.press_space();
        desktop.key_arrives();
        // A click takes the focus, and gives it back.
        desktop.fake(BUTTON_PRESS_EVENT, 1, 0, 0);
        desktop.fake(BUTTON_RELEASE_EVENT, 1, 0, 0);
        let mut held = 0;
        // First it must have been there.
        wait_for(|| {
            held = if desktop.focus() == desktop.parent {
                held + 1
            } else {
                0
            };
            met(held >= 50, || "the focus is not given back".to_owned())
        });
        desktop.press_space();
        desktop.key_arrives();
    });
}

/// A button that is held down.
const HELD: [u8; 3] = [0xb6, 0xbe, 0xca];

/// On the button that closes the settings, beside its word.
const DONE: (i16, i16) = (680, 28);

/// The same of the page of the song.
const SONG_DONE: (i16, i16) = (624, 28);

#[test]
fn a_size_is_chosen_and_kept() {
    on_a_screen("a_size_is_chosen_and_kept", || {
        let (_folder, entry) = entry();
        let desktop = Desktop::new();
        let mut instance = instance(&entry);
        let mut open = Open::create(&mut instance);
        open.show(&desktop);
        desktop.paints("at 100 %");
        // Settings, and the last of the sizes but one: 150 %.
        desktop.click(720, 33);
        desktop.shows("settings", DONE, HELD, true);
        desktop.click(488, 298);
        wait_for(|| {
            let size = desktop.size();
            met(size == (1_140, 720), || format!("{size:?}"))
        });
        desktop.paints("at 150 %");
        drop(open);
        edit_state(&mut instance, &[("[1140,720]", "[1140,720]")]);
        let mut open = Open::create(&mut instance);
        assert_eq!(open.size(), (1_140, 720));
    });
}

#[test]
fn escape_closes_what_is_open_and_is_the_hosts_otherwise() {
    on_a_screen(
        "escape_closes_what_is_open_and_is_the_hosts_otherwise",
        || {
            const ESCAPE: u8 = 9;
            let (_folder, entry) = entry();
            let desktop = Desktop::new();
            desktop.keys_to_host();
            let mut instance = instance(&entry);
            let mut open = Open::create(&mut instance);
            open.show(&desktop);
            desktop.paints("for Escape");
            desktop.click(720, 33);
            desktop.shows("settings", DONE, HELD, true);
            // The host has the focus again, and its space bar.
            wait_for(|| {
                let back = desktop.focus() == desktop.parent;
                met(back, || "the focus is not given back".to_owned())
            });
            desktop.press_space();
            desktop.key_arrives();
            while desktop.x.poll_for_event().unwrap().is_some() {}
            desktop.press(ESCAPE);
            desktop.shows("settings are closed", DONE, HELD, false);
            // Given back with the next picture.
            wait_for(|| {
                desktop.press(ESCAPE);
                desktop.x.get_input_focus().unwrap().reply().unwrap();
                let event = desktop.x.poll_for_event().unwrap();
                let arrived = event.is_some_and(|event| matches!(event, Event::KeyPress(_)));
                met(arrived, || "Escape reaches nobody".to_owned())
            });
        },
    );
}

#[test]
fn the_history_is_saved_among_the_documents_and_copied() {
    on_a_screen(
        "the_history_is_saved_among_the_documents_and_copied",
        || {
            let (_folder, entry) = entry();
            let desktop = Desktop::new();
            let mut instance = instance(&entry);
            let mut player = Player::start(&mut instance, 48_000.0);
            (player.playing, player.song_from_s) = (Some(true), Some(60.0));
            // Ahead of the clock, so it waits until all was heard.
            for part in composed(48_000, 20.0).samples.chunks(1_000) {
                player.play(&[part.to_vec(), part.to_vec()]);
            }
            let mut open = Open::create(&mut instance);
            open.show(&desktop);
            desktop.paints("for the table");
            desktop.click(642, 33);
            desktop.shows("the page of the song", SONG_DONE, HELD, true);
            let documents =
                PathBuf::from(env::var_os("XDG_CONFIG_HOME").unwrap()).join("documents");
            let files = || -> Vec<PathBuf> {
                let entries = documents.read_dir().unwrap();
                entries.map(|entry| entry.unwrap().path()).collect()
            };
            // Twice, and within one second perhaps: nothing is overwritten.
            for expected in [1, 2] {
                desktop.click(62, 380);
                wait_for(|| {
                    let files = files();
                    met(files.len() >= expected, || format!("{files:?}"))
                });
            }
            // The same goes to another program.
            desktop.click(152, 380);
            let copied = wait_for(|| {
                let copied = desktop.clipboard();
                copied.ok_or_else(|| "nothing is on the clipboard".to_owned())
            });
            drop(open);
            player.stop(&mut instance);
            for file in files() {
                let saved = std::fs::read_to_string(file).unwrap();
                check_table(&saved);
                assert_eq!(saved, copied);
            }
        },
    );
}

/// Rows that meet, from the beginning to nearly 20 s, with the time of a song that began at 1:00 at
/// bar 31.
fn check_table(table: &str) {
    let rows: Vec<Vec<&str>> = table.lines().map(|row| row.split(',').collect()).collect();
    assert_eq!(
        rows[0][..8],
        [
            "from_s",
            "to_s",
            "song_s",
            "bar",
            "state",
            "reason",
            "genre",
            "confidence"
        ]
    );
    assert_eq!(rows[0].len(), 18, "ten labels");
    let number = |row: &[&str], column: usize| row[column].parse::<f64>().unwrap();
    let mut at = 0.0;
    for row in &rows[1..] {
        let from = number(row, 0);
        assert_eq!((row.len(), from), (18, at), "{row:?}");
        at = number(row, 1);
        assert!((number(row, 2) - 60.0 - from).abs() < 0.02, "{row:?}");
        assert!((number(row, 3) - 31.0 - from / 2.0).abs() < 0.02, "{row:?}");
        let sum: f64 = (8..18).map(|column| number(row, column)).sum();
        assert!((sum - 1.0).abs() < 0.01, "{row:?}");
    }
    assert!(at > 17.0, "{table}");
    let named = rows[1..].iter().filter(|row| !row[6].is_empty());
    assert!(named.count() > 3, "{table}");
}
