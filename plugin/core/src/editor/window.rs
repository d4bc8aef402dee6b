//! The editor as the host opens, scales and closes it: a new window each time, of the size that the
//! project remembers.
//!
//! Around the framework's own (nice-plug-egui 0.6.0), which makes the editor once: its size is
//! settled before a project's state arrives, and a second opening on a scaled screen starts from a
//! size that fits neither.

use std::{error::Error, sync::Arc};

use crossbeam_utils::atomic::AtomicCell;
use nice_plug::{
    context::gui::GuiContext,
    editor::{
        Editor, EditorHandle, HostMethods, Modifiers, ParentWindowHandle, SpawnedEditor,
        VirtualKeyCode,
        dpi::{LogicalSize, NativeSize},
    },
    plugin::TrackInfo,
    prelude::ResizeHint,
};
use nice_plug_egui::{
    EguiEditorHandle, EguiEditorState, EguiNiceSettings,
    baseview::{Window, WindowSize},
    create_egui_editor,
};

use super::App;
use crate::{
    desk::{DeskHandle, Shared},
    params::{MAX_EDITOR, MIN_EDITOR},
};

/// What is known of the window, on whatever thread it is asked for.
#[derive(Debug, Default)]
pub(crate) struct Geometry {
    /// Of the open window, in the platform's own pixels.
    open: AtomicCell<Option<NativeSize<u32>>>,
    /// Pixels to a point, as the system or the host said last.
    scale: AtomicCell<Option<f64>>,
}

impl Geometry {
    /// The host says how many pixels there are to a point, before a window is open.
    pub(crate) fn say_scale(&self, scale: f64) {
        self.scale.store(Some(scale));
    }

    /// Takes note of the open window.
    pub(super) fn note(&self, size: WindowSize) {
        let native = NativeSize::from_logical_or_physical(size.logical, size.physical);
        self.open.store(Some(native));
        self.scale.store(Some(size.scale_factor));
    }
}

/// Opens the editor's window.
pub struct EditorWindow {
    shared: Arc<Shared>,
    desk: DeskHandle,
}

impl std::fmt::Debug for EditorWindow {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("EditorWindow")
            .field("geometry", &self.shared.geometry)
            .finish_non_exhaustive()
    }
}

impl EditorWindow {
    pub(crate) fn new(shared: &Arc<Shared>, desk: &DeskHandle) -> Self {
        Self {
            shared: Arc::clone(shared),
            desk: desk.clone(),
        }
    }

    /// What the project remembers.
    fn saved(&self) -> LogicalSize<f32> {
        logical(self.shared.params.settings.read().editor_size())
    }
}

fn logical((width, height): (u32, u32)) -> LogicalSize<f32> {
    LogicalSize {
        width: width as f32,
        height: height as f32,
    }
}

impl Editor for EditorWindow {
    type Handle = Handle;

    fn spawn(
        &self,
        parent: Option<ParentWindowHandle>,
        wait_for_parent: bool,
        host_scale: Option<f64>,
        gui_context: GuiContext,
        host: Option<HostMethods>,
    ) -> Result<SpawnedEditor<Self::Handle>, Box<dyn Error>> {
        // A host says so only once, and not always before it opens.
        let geometry = &self.shared.geometry;
        let scale = host_scale.or_else(|| geometry.scale.load());
        // On X11, baseview 0.4.2 makes the window as if the scale were 1 and believes it to be of
        // the host's scale. So it is told afterwards: then it grows as it should.
        let afterwards = cfg!(target_os = "linux");
        let editor = create_egui_editor(
            EguiEditorState::from_size(self.saved(), 1.0),
            self.shared.repaint.clone(),
            EguiNiceSettings::new()
                .with_tile("genrescope")
                .with_resize_hint(self.resize_hint()),
            App::new(&self.shared, &self.desk),
        )
        .ok_or("the framework made no editor")?;
        let SpawnedEditor { handle, window } = editor.spawn(
            parent,
            wait_for_parent,
            scale.filter(|_| !afterwards),
            gui_context,
            host,
        )?;
        if let Some(scale) = scale.filter(|_| afterwards) {
            handle.set_fallback_scale_factor(scale, &window)?;
        }
        geometry.note(window.size());
        let geometry = Arc::clone(geometry);
        Ok(SpawnedEditor {
            handle: Handle { handle, geometry },
            window,
        })
    }

    fn size(&self) -> NativeSize<u32> {
        let geometry = &self.shared.geometry;
        geometry.open.load().unwrap_or_else(|| {
            let scale = geometry.scale.load().unwrap_or(1.0);
            NativeSize::from_size(self.saved().into(), scale)
        })
    }

    fn resize_hint(&self) -> ResizeHint {
        ResizeHint::RESIZABLE
            .with_min_max_logical_size(Some(logical(MIN_EDITOR)), Some(logical(MAX_EDITOR)))
    }

    fn track_info_updated(&self, _info: TrackInfo) {}
}

/// An open window. Closes with it.
pub struct Handle {
    handle: EguiEditorHandle,
    geometry: Arc<Geometry>,
}

impl std::fmt::Debug for Handle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Handle")
            .field("geometry", &self.geometry)
            .finish_non_exhaustive()
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        self.geometry.open.store(None);
    }
}

type Outcome = Result<(), <EguiEditorHandle as EditorHandle>::Error>;

impl EditorHandle for Handle {
    type Window = Window;
    type Error = <EguiEditorHandle as EditorHandle>::Error;

    fn run_until_closed(window: Window) -> Outcome {
        EguiEditorHandle::run_until_closed(window)
    }

    fn set_parent(&self, parent: ParentWindowHandle, window: &Window) -> Outcome {
        self.handle.set_parent(parent, window)
    }

    fn show(&self, window: &Window) -> Outcome {
        self.handle.show(window)
    }

    fn hide(&self, window: &Window) -> Outcome {
        self.handle.hide(window)
    }

    fn set_size(&self, size: NativeSize<u32>, window: &Window) -> Outcome {
        let outcome = self.handle.set_size(size, window);
        self.geometry.note(window.size());
        outcome
    }

    fn host_main_thread_callback(&self, window: &Window) {
        self.handle.host_main_thread_callback(window);
    }

    fn adjust_size(&self, size: NativeSize<u32>, window: &Window) -> Option<NativeSize<u32>> {
        self.handle.adjust_size(size, window)
    }

    fn set_fallback_scale_factor(&self, scale: f64, window: &Window) -> Outcome {
        let outcome = self.handle.set_fallback_scale_factor(scale, window);
        self.geometry.note(window.size());
        outcome
    }

    fn on_virtual_key_from_host(&self, key: VirtualKeyCode, down: bool, held: Modifiers) -> bool {
        self.handle.on_virtual_key_from_host(key, down, held)
    }

    fn state_changed(&self) {
        self.handle.state_changed();
    }

    fn param_value_changed(&self, id: &str, normalized: f32) {
        self.handle.param_value_changed(id, normalized);
    }

    fn param_modulation_changed(&self, id: &str, offset: f32) {
        self.handle.param_modulation_changed(id, offset);
    }
}
