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

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    sync::atomic::Ordering,
    thread::sleep,
    time::{Duration, Instant},
};

use clack_extensions::gui::{GuiApiType, GuiConfiguration, GuiSize, PluginGui, Window};
use clack_host::prelude::*;
use clap_host::{TestHost, edit_state, entry, instance};
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
    COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME,
    connection::Connection,
    protocol::{
        Event,
        xproto::{
            BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _, CreateWindowAux,
            EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT, KEY_RELEASE_EVENT,
            MOTION_NOTIFY_EVENT, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

/// Tells a test that it was started anew, and which file it writes when it has passed.
const AGAIN: &str = "GENRESCOPE_TEST_PASSED";

/// For failures only: nothing takes this long.
const PATIENCE: Duration = Duration::from_secs(60);

/// A virtual screen.
struct Screen {
    server: Child,
    name: String,
}

impl Screen {
    /// `None` where there is no Xvfb.
    fn start() -> Option<Self> {
        let mut server = Command::new("Xvfb")
            .args(["-displayfd", "1", "-screen", "0", "2600x1800x24"])
            .args(["-nolisten", "tcp"])
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .ok()?;
        let mut line = String::new();
        BufReader::new(server.stdout.take()?)
            .read_line(&mut line)
            .ok()?;
        let name = format!(":{}", line.trim());
        Some(Self { server, name })
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        let _ = self.server.kill();
        let _ = self.server.wait();
    }
}

/// Runs `test` of this file on a screen of its own.
fn on_a_screen(name: &str, test: impl FnOnce()) {
    if let Some(passed) = env::var_os(AGAIN) {
        test();
        fs::write(passed, "").unwrap();
        return;
    }
    let Some(screen) = Screen::start() else {
        listening::skip::skip(
            "xvfb",
            "there is no Xvfb; scripts/setup.sh tests installs it",
        );
        return;
    };
    // The window's thread may still be unloading the graphics driver when the program ends, and
    // drivers do not always survive that (docs/upstream.md): what counts is that the test came to
    // its end.
    let folder = tempfile::tempdir().unwrap();
    let passed = folder.path().join("passed");
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(AGAIN, &passed)
        .env("DISPLAY", &screen.name)
        .status()
        .unwrap();
    assert!(passed.is_file(), "{name} on {}: {status}", screen.name);
}

/// The host's side of the screen.
struct Desktop {
    x: RustConnection,
    root: u32,
    parent: u32,
}

impl Desktop {
    fn new() -> Self {
        let (x, screen) = x11rb::connect(None).unwrap();
        let root = x.setup().roots[screen].root;
        let parent = x.generate_id().unwrap();
        let events = EventMask::KEY_PRESS | EventMask::FOCUS_CHANGE;
        // White, so that nothing of an editor before this one is seen through a window that was
        // never drawn.
        let asked = CreateWindowAux::new()
            .background_pixel(0x00ff_ffff)
            .event_mask(events);
        x.create_window(
            COPY_DEPTH_FROM_PARENT,
            parent,
            root,
            0,
            0,
            2_500,
            1_700,
            0,
            WindowClass::INPUT_OUTPUT,
            COPY_FROM_PARENT,
            &asked,
        )
        .unwrap();
        x.map_window(parent).unwrap();
        x.get_input_focus().unwrap().reply().unwrap();
        Self { x, root, parent }
    }

    fn child(&self) -> u32 {
        let tree = self.x.query_tree(self.parent).unwrap().reply().unwrap();
        assert_eq!(tree.children.len(), 1, "one editor");
        tree.children[0]
    }

    /// Width and height of the editor's window.
    fn size(&self) -> (u32, u32) {
        let geometry = self.x.get_geometry(self.child()).unwrap().reply().unwrap();
        (geometry.width.into(), geometry.height.into())
    }

    /// Waits until the window shows something in each of its corners' quarters, or panics.
    fn paints(&self, what: &str) {
        let (width, height) = self.size();
        let start = Instant::now();
        loop {
            let image = self
                .x
                .get_image(
                    ImageFormat::Z_PIXMAP,
                    self.child(),
                    0,
                    0,
                    width as u16,
                    height as u16,
                    !0,
                )
                .unwrap()
                .reply()
                .unwrap();
            // Blue, green, red, and nothing.
            let pixel = |x: u32, y: u32| {
                let at = 4 * (y * width + x) as usize;
                [image.data[at + 2], image.data[at + 1], image.data[at]]
            };
            let background = [0x11, 0x14, 0x19];
            let corners = [
                (2, 2),
                (width - 3, 2),
                (2, height - 3),
                (width - 3, height - 3),
            ];
            let lit = (0..height)
                .flat_map(|y| (0..width).map(move |x| (x, y)))
                .filter(|&(x, y)| pixel(x, y).iter().any(|&part| part > 0x60))
                .count();
            if corners.iter().all(|&(x, y)| pixel(x, y) == background)
                && lit > (width * height / 500) as usize
            {
                return;
            }
            assert!(
                start.elapsed() < PATIENCE,
                "{what}: blank, {lit} pixels are lit"
            );
            sleep(Duration::from_millis(10));
        }
    }

    /// Waits for a key in the host's own window.
    fn key_arrives(&self) {
        let start = Instant::now();
        loop {
            while let Some(event) = self.x.poll_for_event().unwrap() {
                if matches!(event, Event::KeyPress(_)) {
                    return;
                }
            }
            assert!(start.elapsed() < PATIENCE, "the key reaches nobody");
            sleep(Duration::from_millis(5));
        }
    }

    fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
        self.x
            .xtest_fake_input(kind, detail, CURRENT_TIME, self.root, x, y, 0)
            .unwrap()
            .check()
            .unwrap();
    }

    /// Presses a key by evdev's number and eight.
    fn press(&self, key: u8) {
        self.fake(KEY_PRESS_EVENT, key, 0, 0);
        self.fake(KEY_RELEASE_EVENT, key, 0, 0);
    }

    fn press_space(&self) {
        self.press(65);
    }

    /// Clicks into the editor, which sees where the pointer is before it is pressed.
    fn click(&self, x: i16, y: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
        self.fake(BUTTON_PRESS_EVENT, 1, 0, 0);
        self.fake(BUTTON_RELEASE_EVENT, 1, 0, 0);
    }

    /// Waits until a pixel of the editor is of this colour, or is not.
    fn shows(&self, what: &str, (x, y): (i16, i16), colour: [u8; 3], is: bool) {
        let start = Instant::now();
        loop {
            let image = self
                .x
                .get_image(ImageFormat::Z_PIXMAP, self.child(), x, y, 1, 1, !0)
                .unwrap()
                .reply()
                .unwrap();
            let pixel = [image.data[2], image.data[1], image.data[0]];
            if (pixel == colour) == is {
                return;
            }
            assert!(start.elapsed() < PATIENCE, "{what}: {pixel:02x?}");
            sleep(Duration::from_millis(10));
        }
    }

    fn focus(&self) -> u32 {
        self.x.get_input_focus().unwrap().reply().unwrap().focus
    }
}

/// Opens the editor as hosts do it.
struct Open<'a> {
    instance: &'a mut PluginInstance<TestHost>,
    gui: PluginGui,
}

impl<'a> Open<'a> {
    fn create(instance: &'a mut PluginInstance<TestHost>) -> Self {
        let handle = instance.plugin_handle();
        let gui: PluginGui = handle.get_extension().unwrap();
        let configuration = GuiConfiguration {
            api_type: GuiApiType::X11,
            is_floating: false,
        };
        gui.create(&handle, configuration).unwrap();
        Self { instance, gui }
    }

    fn scale(&mut self, scale: f64) {
        self.gui
            .set_scale(&self.instance.plugin_handle(), scale)
            .unwrap();
    }

    fn size(&mut self) -> (u32, u32) {
        let GuiSize { width, height } = self.gui.get_size(&self.instance.plugin_handle()).unwrap();
        (width, height)
    }

    #[expect(unsafe_code, reason = "windows are shared by number")]
    fn show(&mut self, desktop: &Desktop) {
        let handle = self.instance.plugin_handle();
        let parent = Window::from_x11_handle(desktop.parent.into());
        // SAFETY: the parent outlives the editor.
        unsafe { self.gui.set_parent(&handle, parent) }.unwrap();
        self.gui.show(&handle).unwrap();
    }
}

impl Drop for Open<'_> {
    fn drop(&mut self) {
        self.gui.destroy(&self.instance.plugin_handle());
    }
}

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
                let start = Instant::now();
                while desktop.size() != (950, 600) {
                    assert!(
                        start.elapsed() < PATIENCE,
                        "{:?} after 1.25",
                        desktop.size()
                    );
                    frame.turn();
                    sleep(Duration::from_millis(5));
                }
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
        desktop
            .x
            .set_input_focus(InputFocus::PARENT, desktop.parent, CURRENT_TIME)
            .unwrap();
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
        let start = Instant::now();
        let mut held = 0;
        // First it must have been there.
        while held < 50 {
            held = if desktop.focus() == desktop.parent {
                held + 1
            } else {
                0
            };
            assert!(start.elapsed() < PATIENCE, "the focus is not given back");
            sleep(Duration::from_millis(10));
        }
        desktop.press_space();
        desktop.key_arrives();
    });
}

/// A button that is held down.
const HELD: [u8; 3] = [0xb6, 0xbe, 0xca];

/// On the button that closes the settings, beside its word.
const DONE: (i16, i16) = (680, 28);

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
        let start = Instant::now();
        while desktop.size() != (1_140, 720) {
            assert!(start.elapsed() < PATIENCE, "{:?}", desktop.size());
            sleep(Duration::from_millis(10));
        }
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
            desktop
                .x
                .set_input_focus(InputFocus::PARENT, desktop.parent, CURRENT_TIME)
                .unwrap();
            let mut instance = instance(&entry);
            let mut open = Open::create(&mut instance);
            open.show(&desktop);
            desktop.paints("for Escape");
            desktop.click(720, 33);
            desktop.shows("settings", DONE, HELD, true);
            // The host has the focus again, and its space bar.
            let start = Instant::now();
            while desktop.focus() != desktop.parent {
                assert!(start.elapsed() < PATIENCE, "the focus is not given back");
                sleep(Duration::from_millis(10));
            }
            desktop.press_space();
            desktop.key_arrives();
            while desktop.x.poll_for_event().unwrap().is_some() {}
            desktop.press(ESCAPE);
            desktop.shows("settings are closed", DONE, HELD, false);
            // Given back with the next picture.
            let start = Instant::now();
            let arrived = || {
                desktop.press(ESCAPE);
                desktop.x.get_input_focus().unwrap().reply().unwrap();
                let event = desktop.x.poll_for_event().unwrap();
                event.is_some_and(|event| matches!(event, Event::KeyPress(_)))
            };
            while !arrived() {
                assert!(start.elapsed() < PATIENCE, "Escape reaches nobody");
                sleep(Duration::from_millis(20));
            }
        },
    );
}
