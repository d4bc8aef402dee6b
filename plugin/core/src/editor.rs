//! The window in the host: gathers what is known into a [`ViewModel`], draws it, and does what the
//! user asks.

mod settings;
mod theme;
pub mod view;
pub mod view_model;
mod window;
#[cfg(target_os = "linux")]
mod x11;

use std::{
    sync::Arc,
    time::{Duration, Instant},
};

use egui::ViewportCommand;
use genrescope::{genre::Labels, words::Language};
use nice_plug::{
    context::gui::{GuiContext, ParamSetter},
    prelude::*,
};
use nice_plug_egui::{
    Frame, NiceEguiApp,
    baseview::{HandlerError, WindowSize},
};

pub(crate) use self::window::Geometry;
pub use self::window::{EditorWindow, Handle};
use self::{
    view::{Action, Memory},
    view_model::{Status, ViewModel},
};
use crate::desk::{DeskHandle, Shared};

/// Without a block for this long, the host counts as stopped.
const NO_AUDIO_AFTER: Duration = Duration::from_millis(900);

/// How long a MIDI message is seen.
const MIDI_SHOWN: Duration = Duration::from_millis(200);

/// Between frames while audio comes: the meter moves.
const FRAME_LIVE: Duration = Duration::from_millis(40);

/// Between frames while nothing moves.
const FRAME_IDLE: Duration = Duration::from_millis(250);

/// What is in the window, as long as it is open.
pub(crate) struct App {
    shared: Arc<Shared>,
    desk: DeskHandle,
    context: Option<GuiContext>,
    memory: Memory,
    labels: Option<Labels>,
    system_language: Language,
    model: ViewModel,
    beats: u64,
    beat_at: Option<Instant>,
    midi_messages: u64,
    midi_at: Option<Instant>,
    #[cfg(target_os = "linux")]
    x11: Option<x11::XWindow>,
}

impl App {
    fn new(shared: &Arc<Shared>, desk: &DeskHandle) -> Self {
        Self {
            shared: Arc::clone(shared),
            desk: desk.clone(),
            context: None,
            memory: Memory::default(),
            labels: None,
            system_language: Language::of_system(),
            model: ViewModel::default(),
            beats: 0,
            beat_at: None,
            midi_messages: 0,
            midi_at: None,
            #[cfg(target_os = "linux")]
            x11: None,
        }
    }
}

impl NiceEguiApp for App {
    fn build(
        &mut self,
        _egui_ctx: egui::Context,
        context: GuiContext,
        frame: &mut Frame,
    ) -> Result<(), HandlerError> {
        #[cfg(target_os = "linux")]
        {
            self.x11 = x11::XWindow::new(frame.baseview_window());
        }
        #[cfg(not(target_os = "linux"))]
        let _ = frame;
        self.model.format = context.plugin_api().to_string();
        self.context = Some(context);
        self.beats = self.shared.beats();
        self.beat_at = None;
        self.midi_messages = self.shared.midi_messages();
        self.update();
        self.memory.settle(&self.model);
        Ok(())
    }

    fn ui(&mut self, ui: &mut egui::Ui, frame: &mut Frame) {
        self.update();
        for action in view::draw(ui, &self.model, &mut self.memory) {
            self.act(ui.ctx(), action);
        }
        frame.set_clear_color(view::background(ui.ctx(), &self.model).into());
        #[cfg(target_os = "linux")]
        if let Some(x11) = &mut self.x11 {
            let clicked =
                ui.input(|input| input.pointer.any_click() || input.pointer.any_released());
            x11.set_takes_keys(ui.ctx().egui_wants_keyboard_input(), clicked);
            x11.set_takes_escape(self.memory.awaits_escape());
        }
        let moving = self.model.level_dbfs > -90.0 && self.is_fed();
        ui.request_repaint_after(if moving { FRAME_LIVE } else { FRAME_IDLE });
    }

    fn resized(&mut self, size: WindowSize) {
        self.shared.geometry.note(size);
        self.shared.params.settings.write().editor = (
            size.logical.width.round() as u32,
            size.logical.height.round() as u32,
        );
    }

    fn editor_closed(&mut self) {
        self.context = None;
    }
}

impl App {
    fn is_fed(&self) -> bool {
        self.beat_at.is_some_and(|at| at.elapsed() < NO_AUDIO_AFTER)
    }

    /// Gathers what is known now.
    fn update(&mut self) {
        let beats = self.shared.beats();
        if beats != self.beats {
            self.beats = beats;
            self.beat_at = Some(Instant::now());
        }
        let messages = self.shared.midi_messages();
        if messages != self.midi_messages {
            self.midi_messages = messages;
            self.midi_at = Some(Instant::now());
        }
        let fed = self.is_fed();
        let params = &self.shared.params;
        let model = &mut self.model;
        model.hold = params.hold.value();
        model.averaging_s = params.averaging_s.value();
        model.restlessness = params.restlessness.value();
        model.midi = params.midi.value();
        model.midi_lit = self.midi_at.is_some_and(|at| at.elapsed() < MIDI_SHOWN);
        model.midi_channel = params.midi_channel.value();
        model.base_note = params.base_note.value();
        model.base_cc = params.base_cc.value();
        model.osc = params.osc.value();
        {
            let settings = params.settings.read();
            model.osc_target.clone_from(&settings.osc_target);
            model.model_choice.clone_from(&settings.model);
            model.reach = settings.strip;
            model.appearance = settings.theme;
            model.language_choice = settings.language();
            model.language = model.language_choice.unwrap_or(self.system_language);
        }

        let board = self.shared.board.lock();
        if self.labels.as_ref() != board.model.as_ref().map(|facts| &facts.labels) {
            self.labels = board.model.as_ref().map(|facts| facts.labels.clone());
            model.labels = self
                .labels
                .iter()
                .flat_map(Labels::iter)
                .map(str::to_owned)
                .collect();
            model.families = self.labels.clone().filter(Labels::has_families);
        }
        if let Some(facts) = &board.model {
            model.model.clone_from(&facts.name);
            model.frame_s = facts.frame_s;
        }
        model.osc_trouble.clone_from(&board.osc_trouble);
        model.history = Arc::clone(&board.history);
        model.saved.clone_from(&board.saved);
        let stream = board.stream.clone();
        let trouble = board.trouble.clone();
        let loaded = board.model.is_some();
        drop(board);

        let readout = stream.as_ref().and_then(|stream| stream.readout.load());
        if let Some(stream) = &stream {
            model.level_dbfs = if fed {
                stream.counters.level_dbfs()
            } else {
                -120.0
            };
            model.load = if fed { stream.counters.load() } else { 0.0 };
            model.dropped = stream.counters.dropped_samples();
        }
        let n_labels = model.labels.len();
        model.scores.resize(n_labels, 0.0);
        model.reason = None;
        if let Some(readout) = readout.filter(|readout| readout.seq > 0) {
            for (shown, &score) in model.scores.iter_mut().zip(readout.scores.as_slice()) {
                *shown = score;
            }
            model.newest.clear();
            model.newest.extend(readout.frame_scores.as_slice());
            model.music = readout.music;
            model.genre = readout.genre;
            model.reason = readout.reason;
            model.confidence = readout.confidence;
            model.heard_s = readout.heard.0;
            model.status = Status::Listening(readout.state);
        } else if stream.is_some() {
            model.scores.fill(0.0);
            model.genre = None;
            model.heard_s = 0.0;
            model.status = Status::Listening(genrescope::decision::State::Warming);
        } else {
            model.scores.fill(0.0);
            model.genre = None;
            model.status = Status::Loading;
        }
        if params.bypass.value() {
            model.status = Status::Bypassed;
        } else if let Some(trouble) = trouble {
            model.status = Status::Trouble(trouble);
        } else if loaded && !fed {
            model.status = Status::NoAudio;
        }
    }

    fn act(&mut self, egui: &egui::Context, action: Action) {
        let Some(context) = &self.context else { return };
        let setter = context.param_setter();
        let params = &self.shared.params;
        match action {
            Action::Reset => {
                if let Some(stream) = &self.shared.board.lock().stream {
                    stream.controls.reset();
                }
            }
            // The host is asked, and the project remembers what it gives.
            Action::Size(size) => egui.send_viewport_cmd(ViewportCommand::InnerSize(size)),
            Action::Language(choice) => params.settings.write().set_language(choice),
            Action::Theme(theme) => params.settings.write().theme = theme,
            Action::Reach(reach) => params.settings.write().strip = reach,
            Action::SaveCsv => self.desk.save_history(),
            Action::Forget => {
                Arc::make_mut(&mut self.shared.board.lock().history).clear();
            }
            Action::Hold(on) => set(&setter, &params.hold, on),
            Action::AveragingBegin => setter.begin_set_parameter(&params.averaging_s),
            Action::Averaging(seconds) => setter.set_parameter(&params.averaging_s, seconds),
            Action::AveragingEnd => setter.end_set_parameter(&params.averaging_s),
            Action::Preset(choice) => {
                set(&setter, &params.restlessness, choice);
                set(
                    &setter,
                    &params.averaging_s,
                    choice.preset().averaging().0 as f32,
                );
            }
            Action::Midi(on) => set(&setter, &params.midi, on),
            Action::MidiChannel(channel) => set(&setter, &params.midi_channel, channel),
            Action::BaseNote(note) => set(&setter, &params.base_note, note),
            Action::BaseCc(cc) => set(&setter, &params.base_cc, cc),
            Action::Osc(on) => {
                set(&setter, &params.osc, on);
                self.desk.settings_changed();
            }
            Action::OscTarget(target) => {
                params.settings.write().osc_target = target;
                self.desk.settings_changed();
            }
            Action::Model(choice) => {
                params.settings.write().model = choice;
                self.desk.settings_changed();
            }
        }
    }
}

/// One whole gesture.
fn set<P: Param>(setter: &ParamSetter<'_>, param: &P, value: P::Plain) {
    setter.begin_set_parameter(param);
    setter.set_parameter(param, value);
    setter.end_set_parameter(param);
}
