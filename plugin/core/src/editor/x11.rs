//! What the framework's window (baseview 0.4.2) leaves undone on X11. docs/upstream.md says what it
//! should do itself.
//!
//! - It asks for a picture before it listens for the answer, and never asks again: the editor stays
//!   blank. Here the answer is listened for from the beginning.
//! - It takes every key while the pointer is over it, so the host's space bar is dead. Here it
//!   takes keys only while a control of it has been given them, and gives the focus back that it
//!   took for a click. Of the others it takes Escape alone, while that has something to close.

use nice_plug_egui::baseview::{PlatformHandle, WindowContext};
use raw_window_handle::{HasDisplayHandle, HasWindowHandle, RawDisplayHandle, RawWindowHandle};
use x11rb::{
    connection::Connection,
    errors::{ReplyError, ReplyOrIdError},
    protocol::{
        present::{self, ConnectionExt as _},
        xproto::{
            AtomEnum, ChangeWindowAttributesAux, ConnectionExt as _, EventMask, GrabMode,
            InputFocus, ModMask,
        },
    },
    xcb_ffi::XCBConnection,
};

/// XK_Escape.
const ESCAPE: u32 = 0xff1b;

/// The editor's window, by the connection that made it: whose events go where is asked for by
/// connection.
pub(super) struct XWindow {
    connection: XCBConnection,
    window: u32,
    /// Keys are taken.
    takes_keys: bool,
    /// Escape is.
    takes_escape: bool,
    /// Keeps the connection open.
    _platform: PlatformHandle,
}

impl XWindow {
    /// `None` where it cannot be had; then all is as the framework leaves it.
    pub(super) fn new(context: &WindowContext) -> Option<Self> {
        let platform = context.platform_handle();
        let RawDisplayHandle::Xcb(display) = platform.display_handle().ok()?.as_raw() else {
            return None;
        };
        let RawWindowHandle::Xcb(window) = platform.window_handle().ok()?.as_raw() else {
            return None;
        };
        // SAFETY: the handle that is kept beside it owns the connection, which outlives this one.
        #[expect(unsafe_code, reason = "another owner's connection")]
        let connection =
            unsafe { XCBConnection::from_raw_xcb_connection(display.connection?.as_ptr(), false) }
                .ok()?;
        let mut new = Self {
            connection,
            window: window.window.get(),
            takes_keys: true,
            takes_escape: false,
            _platform: platform,
        };
        // Without them the window works, if less well.
        let _ = new.listen_for_frames();
        let _ = new.take_keys(false);
        Some(new)
    }

    /// The framework does so when the window is mapped, which may be too late.
    fn listen_for_frames(&self) -> Result<(), ReplyOrIdError> {
        let id = self.connection.generate_id()?;
        let mask = present::EventMask::COMPLETE_NOTIFY;
        self.connection
            .present_select_input(id, self.window, mask)?
            .check()?;
        Ok(())
    }

    /// Whether keys come here (while the window has the focus, or the pointer is over it) or go on
    /// to the host's window.
    pub(super) fn set_takes_keys(&mut self, takes: bool, clicked: bool) {
        // A window that is going away refuses this, and needs it no more.
        if takes != self.takes_keys {
            let _ = self.take_keys(takes);
        }
        if !takes && clicked {
            let _ = self.give_focus_back();
        }
    }

    fn take_keys(&mut self, takes: bool) -> Result<(), ReplyError> {
        let keys = EventMask::KEY_PRESS | EventMask::KEY_RELEASE;
        let attributes = self
            .connection
            .get_window_attributes(self.window)?
            .reply()?;
        let others = attributes.your_event_mask.remove(keys);
        let mask = if takes { others | keys } else { others };
        self.connection
            .change_window_attributes(
                self.window,
                &ChangeWindowAttributesAux::new().event_mask(mask),
            )?
            .check()?;
        self.takes_keys = takes;
        Ok(())
    }

    /// Whether Escape comes here while the pointer is over the window, whoever has the focus.
    pub(super) fn set_takes_escape(&mut self, takes: bool) {
        if takes != self.takes_escape {
            // Once: a key that another program has is not asked for again with each picture.
            self.takes_escape = takes;
            let _ = self.take_escape(takes);
        }
    }

    fn take_escape(&self, takes: bool) -> Result<(), ReplyError> {
        let connection = &self.connection;
        let setup = connection.setup();
        let (first, last) = (setup.min_keycode, setup.max_keycode);
        let mapping = connection
            .get_keyboard_mapping(first, last - first + 1)?
            .reply()?;
        let per_key = usize::from(mapping.keysyms_per_keycode).max(1);
        let mut keys = mapping.keysyms.chunks(per_key);
        let Some(escape) = keys.position(|symbols| symbols.first() == Some(&ESCAPE)) else {
            return Ok(());
        };
        let code = first.saturating_add(escape as u8);
        let (window, any) = (self.window, ModMask::ANY);
        if takes {
            let mode = GrabMode::ASYNC;
            connection
                .grab_key(false, window, any, code, mode, mode)?
                .check()
        } else {
            connection.ungrab_key(code, window, any)?.check()
        }
    }

    /// To the host's own window: the one around this that a window manager knows, or else the
    /// outermost.
    fn give_focus_back(&self) -> Result<(), ReplyError> {
        let connection = &self.connection;
        if connection.get_input_focus()?.reply()?.focus != self.window {
            return Ok(());
        }
        let state = connection.intern_atom(false, b"WM_STATE")?.reply()?.atom;
        let mut window = self.window;
        loop {
            let tree = connection.query_tree(window)?.reply()?;
            if tree.parent == tree.root || tree.parent == 0 {
                break;
            }
            window = tree.parent;
            let known = connection
                .get_property(false, window, state, AtomEnum::ANY, 0, 0)?
                .reply()?;
            if known.type_ != 0 {
                break;
            }
        }
        if window != self.window {
            connection
                .set_input_focus(InputFocus::PARENT, window, x11rb::CURRENT_TIME)?
                .check()?;
        }
        Ok(())
    }
}
