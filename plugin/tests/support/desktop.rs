//! A screen of its own, and a CLAP host's window on it.
#![allow(unreachable_pub, reason = "shared by tests")]

use std::{
    env, fs,
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    thread::sleep,
    time::{Duration, Instant},
};

use clack_extensions::gui::{GuiApiType, GuiConfiguration, GuiSize, PluginGui, Window};
use clack_host::prelude::*;
use x11rb::{
    COPY_DEPTH_FROM_PARENT, COPY_FROM_PARENT, CURRENT_TIME,
    connection::Connection,
    protocol::{
        Event,
        xproto::{
            AtomEnum, BUTTON_PRESS_EVENT, BUTTON_RELEASE_EVENT, ConnectionExt as _,
            CreateWindowAux, EventMask, ImageFormat, InputFocus, KEY_PRESS_EVENT,
            KEY_RELEASE_EVENT, MOTION_NOTIFY_EVENT, WindowClass,
        },
        xtest::ConnectionExt as _,
    },
    rust_connection::RustConnection,
};

use super::{clap_host::TestHost, listening};

/// Tells a test that it was started anew, and which file it writes when it has passed.
const AGAIN: &str = "GENRESCOPE_TEST_PASSED";

/// For failures only: nothing takes this long.
pub const PATIENCE: Duration = Duration::from_secs(60);

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
pub fn on_a_screen(name: &str, test: impl FnOnce()) {
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
    // Where desktops say which folder documents go into: nothing is left among the user's.
    let documents = folder.path().join("documents");
    fs::create_dir(&documents).unwrap();
    let said = format!("XDG_DOCUMENTS_DIR=\"{}\"\n", documents.display());
    fs::write(folder.path().join("user-dirs.dirs"), said).unwrap();
    let status = Command::new(env::current_exe().unwrap())
        .args(["--exact", name, "--nocapture"])
        .env(AGAIN, &passed)
        .env("DISPLAY", &screen.name)
        .env("XDG_CONFIG_HOME", folder.path())
        // Places of words depend on the language.
        .env("LC_ALL", "C")
        .status()
        .unwrap();
    assert!(passed.is_file(), "{name} on {}: {status}", screen.name);
}

/// The host's side of the screen.
pub struct Desktop {
    pub x: RustConnection,
    root: u32,
    pub parent: u32,
}

impl Desktop {
    pub fn new() -> Self {
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
    pub fn size(&self) -> (u32, u32) {
        let geometry = self.x.get_geometry(self.child()).unwrap().reply().unwrap();
        (geometry.width.into(), geometry.height.into())
    }

    /// Waits until the window shows something in each of its corners' quarters, or panics.
    pub fn paints(&self, what: &str) {
        let (width, height) = self.size();
        wait_for(|| {
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
            let painted = corners.iter().all(|&(x, y)| pixel(x, y) == background)
                && lit > (width * height / 500) as usize;
            met(painted, || format!("{what}: blank, {lit} pixels are lit"))
        });
    }

    /// Gives the keys to the host's own window.
    pub fn keys_to_host(&self) {
        self.x
            .set_input_focus(InputFocus::PARENT, self.parent, CURRENT_TIME)
            .unwrap();
    }

    /// Waits for a key in the host's own window.
    pub fn key_arrives(&self) {
        wait_for(|| {
            while let Some(event) = self.x.poll_for_event().unwrap() {
                if matches!(event, Event::KeyPress(_)) {
                    return Ok(());
                }
            }
            Err("the key reaches nobody".to_owned())
        });
    }

    pub fn fake(&self, kind: u8, detail: u8, x: i16, y: i16) {
        self.x
            .xtest_fake_input(kind, detail, CURRENT_TIME, self.root, x, y, 0)
            .unwrap()
            .check()
            .unwrap();
    }

    /// Presses a key by evdev's number and eight.
    pub fn press(&self, key: u8) {
        self.fake(KEY_PRESS_EVENT, key, 0, 0);
        self.fake(KEY_RELEASE_EVENT, key, 0, 0);
    }

    pub fn press_space(&self) {
        self.press(65);
    }

    /// Clicks into the editor, which sees where the pointer is before it is pressed.
    pub fn click(&self, x: i16, y: i16) {
        self.fake(MOTION_NOTIFY_EVENT, 0, x, y);
        self.fake(BUTTON_PRESS_EVENT, 1, 0, 0);
        self.fake(BUTTON_RELEASE_EVENT, 1, 0, 0);
    }

    /// Waits until a pixel of the editor is of this colour, or is not.
    pub fn shows(&self, what: &str, (x, y): (i16, i16), colour: [u8; 3], is: bool) {
        wait_for(|| {
            let image = self
                .x
                .get_image(ImageFormat::Z_PIXMAP, self.child(), x, y, 1, 1, !0)
                .unwrap()
                .reply()
                .unwrap();
            let pixel = [image.data[2], image.data[1], image.data[0]];
            met((pixel == colour) == is, || format!("{what}: {pixel:02x?}"))
        });
    }

    /// What is on the clipboard, as another program of the screen gets it; `None` while nothing is.
    pub fn clipboard(&self) -> Option<String> {
        let atom = |name: &str| {
            let asked = self.x.intern_atom(false, name.as_bytes()).unwrap();
            asked.reply().unwrap().atom
        };
        let (clipboard, text, into) = (atom("CLIPBOARD"), atom("UTF8_STRING"), atom("PASTED"));
        self.x
            .convert_selection(self.parent, clipboard, text, into, CURRENT_TIME)
            .unwrap();
        self.x.flush().unwrap();
        let start = Instant::now();
        loop {
            match self.x.poll_for_event().unwrap() {
                Some(Event::SelectionNotify(told)) if told.property == x11rb::NONE => return None,
                Some(Event::SelectionNotify(_)) => break,
                Some(_) => {}
                None => sleep(Duration::from_millis(5)),
            }
            assert!(
                start.elapsed() < PATIENCE,
                "the clipboard is not handed over"
            );
        }
        let asked = self
            .x
            .get_property(true, self.parent, into, AtomEnum::ANY, 0, 1 << 20)
            .unwrap();
        String::from_utf8(asked.reply().unwrap().value).ok()
    }

    pub fn focus(&self) -> u32 {
        self.x.get_input_focus().unwrap().reply().unwrap().focus
    }
}

/// Waits until there is what is asked for; fails with what was missing last.
pub fn wait_for<T>(mut asked: impl FnMut() -> Result<T, String>) -> T {
    let start = Instant::now();
    loop {
        match asked() {
            Ok(there) => return there,
            Err(missing) => assert!(start.elapsed() < PATIENCE, "{missing}"),
        }
        sleep(Duration::from_millis(10));
    }
}

/// Whether a condition is met, or else what is missing, for [`wait_for`].
pub fn met(is: bool, missing: impl FnOnce() -> String) -> Result<(), String> {
    is.then_some(()).ok_or_else(missing)
}

/// Opens the editor as hosts do it.
pub struct Open<'a> {
    pub instance: &'a mut PluginInstance<TestHost>,
    pub gui: PluginGui,
}

impl<'a> Open<'a> {
    pub fn create(instance: &'a mut PluginInstance<TestHost>) -> Self {
        let handle = instance.plugin_handle();
        let gui: PluginGui = handle.get_extension().unwrap();
        let configuration = GuiConfiguration {
            api_type: GuiApiType::X11,
            is_floating: false,
        };
        gui.create(&handle, configuration).unwrap();
        Self { instance, gui }
    }

    pub fn scale(&mut self, scale: f64) {
        self.gui
            .set_scale(&self.instance.plugin_handle(), scale)
            .unwrap();
    }

    pub fn size(&mut self) -> (u32, u32) {
        let GuiSize { width, height } = self.gui.get_size(&self.instance.plugin_handle()).unwrap();
        (width, height)
    }

    #[expect(unsafe_code, reason = "windows are shared by number")]
    pub fn show(&mut self, desktop: &Desktop) {
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
