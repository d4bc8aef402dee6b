//! Draws a [`ViewModel`]. Knows no host, no thread and no file: it is given values and gives back
//! what the user did.

mod answer;
mod bars;
mod compact;
mod footer;
mod header;
mod song;
mod strip;
pub(super) mod widgets;

use egui::{Key, Rect, Stroke, StrokeKind, Ui, Vec2, pos2, vec2};
use genrescope::words::Language;

use crate::{
    editor::{
        settings,
        theme::{self, Colours, Layout, Look},
        view_model::ViewModel,
    },
    params::{Appearance, ModelChoice, Reach, Restlessness},
};

/// What the user did.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Forget the average.
    Reset,
    /// Hold the readout, or let it go.
    Hold(bool),
    /// Begins to move the averaging time.
    AveragingBegin,
    /// Averaging time in seconds.
    Averaging(f32),
    /// Has moved the averaging time.
    AveragingEnd,
    /// Another preset, with its averaging time.
    Preset(Restlessness),
    /// MIDI on or off.
    Midi(bool),
    /// 1 to 16.
    MidiChannel(i32),
    /// Note of the first genre.
    BaseNote(i32),
    /// Controller of the first genre.
    BaseCc(i32),
    /// OSC on or off.
    Osc(bool),
    /// Where OSC goes.
    OscTarget(String),
    /// Another model, or the same one again.
    Model(ModelChoice),
    /// How far back the strip reaches.
    Reach(Reach),
    /// Another theme.
    Theme(Appearance),
    /// Another language; the system's where none is given.
    Language(Option<Language>),
    /// Another size of the window, in points.
    Size(Vec2),
    /// Write the history into a file.
    SaveCsv,
    /// Forget the history.
    Forget,
}

/// What is in the middle of the window.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Page {
    /// What is heard, with bars and the strip.
    #[default]
    Readout,
    /// What was heard as a whole, and the table of it.
    Song,
    /// Outputs, preset and model.
    Settings,
}

/// What the drawing remembers from one frame to the next.
#[derive(Clone, Debug, Default)]
pub struct Memory {
    /// Bars as they stand, on their way to the scores.
    bars: Vec<f32>,
    /// From grey (0) to coloured (1).
    vivid: f32,
    /// The meter, which falls slower than the level.
    level_dbfs: f32,
    /// The moment of the history that is shown instead of now, in seconds since it began.
    pub pinned: Option<f64>,
    /// What is shown.
    pub page: Page,
    /// Rows that were put on the clipboard.
    copied: Option<usize>,
    /// What is being typed.
    pub(super) drafts: settings::Drafts,
}

/// Time constant of gliding bars, in seconds.
const GLIDE_S: f32 = 0.16;

/// How fast the meter falls, in dB a second (IEC 60268-10 type I: 20 dB in 1.7 s).
const METER_FALL_DB_S: f32 = 20.0 / 1.7;

/// Lowest level on the meter.
const METER_FLOOR_DBFS: f32 = -60.0;

impl Memory {
    /// The bars as they stand.
    pub fn bars(&self) -> &[f32] {
        &self.bars
    }

    /// Ends all gliding: the next frame shows `model` as it is.
    pub fn settle(&mut self, model: &ViewModel) {
        let past = self.past(model);
        let model = past.as_ref().unwrap_or(model);
        self.bars = (0..model.scores.len())
            .map(|index| shown_score(model, index).unwrap_or(0.0))
            .collect();
        self.vivid = f32::from(u8::from(model.is_vivid()));
        self.level_dbfs = model.level_dbfs;
    }

    /// Escape would do something.
    pub(super) fn awaits_escape(&self) -> bool {
        self.pinned.is_some() || self.page != Page::Readout
    }

    /// The pinned moment; lets it go where the history no longer has it.
    fn past(&mut self, model: &ViewModel) -> Option<ViewModel> {
        let past = model.at(self.pinned?);
        if past.is_none() {
            self.pinned = None;
        }
        past
    }

    /// Moves towards `model`; true while there is a way to go.
    fn glide(&mut self, model: &ViewModel, dt: f32) -> bool {
        let share = 1.0 - (-dt / GLIDE_S).exp();
        self.bars.resize(model.scores.len(), 0.0);
        let mut moving = false;
        let mut towards = |now: &mut f32, target: f32| {
            let way = target - *now;
            if way.abs() < 5e-4 {
                *now = target;
            } else {
                *now += way * share;
                moving = true;
            }
        };
        for (index, bar) in self.bars.iter_mut().enumerate() {
            towards(bar, shown_score(model, index).unwrap_or(0.0));
        }
        towards(&mut self.vivid, f32::from(u8::from(model.is_vivid())));
        let level = model.level_dbfs.max(-120.0);
        self.level_dbfs = level.max(self.level_dbfs - METER_FALL_DB_S * dt);
        moving
    }
}

/// The score that a bar shows: none while there is no music, whatever the network still says.
fn shown_score(model: &ViewModel, index: usize) -> Option<f32> {
    let score = model.scores.get(index).copied()?;
    (model.is_vivid() && score.is_finite()).then_some(score)
}

/// Draws the whole editor into `ui` and says what the user did.
pub fn draw(ui: &mut Ui, model: &ViewModel, memory: &mut Memory) -> Vec<Action> {
    let mut actions = Vec::new();
    let window = ui.max_rect();
    // The compact view has no strip to come back from.
    let past = memory
        .past(model)
        .filter(|_| Layout::of(window.size()) != Layout::Compact);
    let shown = past.as_ref().unwrap_or(model);
    let dt = ui.input(|input| input.stable_dt).min(0.1);
    if memory.glide(shown, dt) {
        ui.request_repaint();
    }
    let look = Look::fit(window.size(), colours(ui.ctx(), model.appearance));
    ui.painter()
        .rect_filled(window, 0.0, look.colours.background);
    theme_ui(ui, look);
    if look.layout == Layout::Compact {
        compact::draw_compact(ui, window, look, model, memory, &mut actions);
        return actions;
    }

    let margin = look.len(if look.is_small() { 12.0 } else { 22.0 });
    let inner = window.shrink(margin);
    let header_h = look.font(15.0).size * 1.5;
    let footer_h = (look.font(13.0).size * 2.1).max(look.len(30.0));
    let gap = look.len(if look.is_small() { 8.0 } else { 16.0 });

    let header = Rect::from_min_size(inner.min, vec2(inner.width(), header_h));
    let footer = Rect::from_min_max(pos2(inner.left(), inner.bottom() - footer_h), inner.max);
    let strip = Rect::from_min_max(
        pos2(inner.left(), footer.top() - gap - strip::height(look)),
        pos2(inner.right(), footer.top() - gap),
    );
    let body = Rect::from_min_max(
        pos2(inner.left(), header.bottom() + gap),
        pos2(inner.right(), strip.top() - gap),
    );

    header::draw_header(ui, header, look, model, memory);
    let page = Rect::from_min_max(body.min, strip.max);
    match memory.page {
        Page::Settings => settings::draw(ui, page, look, model, &mut memory.drafts, &mut actions),
        Page::Song => song::draw_song(ui, page, look, model, memory, &mut actions),
        Page::Readout => {
            let (answer, bars) = if look.layout == Layout::Tall {
                let height = (body.height() * 0.46).min(look.len(210.0));
                let answer = Rect::from_min_size(body.min, vec2(body.width(), height));
                let top = answer.bottom() + gap;
                (answer, Rect::from_min_max(pos2(body.left(), top), body.max))
            } else {
                let width = body.width() * 0.44;
                let answer = Rect::from_min_size(body.min, vec2(width, body.height()));
                let left = answer.right() + margin * 1.2;
                (answer, Rect::from_min_max(pos2(left, body.top()), body.max))
            };
            if past.is_some() {
                frame_past(ui, body.expand(gap * 0.5), look);
            }
            answer::draw_answer(ui, answer, look, shown, memory);
            bars::draw_bars(ui, bars, look, shown, memory);
            strip::draw_strip(ui, strip, look, model, memory, &mut actions);
        }
    }
    footer::draw_footer(ui, footer, look, model, &mut actions);
    if ui.input(|input| input.key_pressed(Key::Escape)) {
        memory.page = Page::Readout;
        memory.pinned = None;
    }
    actions
}

/// The theme that is asked for.
fn colours(egui: &egui::Context, appearance: Appearance) -> &'static Colours {
    let light = match appearance {
        Appearance::Dark => false,
        Appearance::Light => true,
        Appearance::System => egui.system_theme() == Some(egui::Theme::Light),
    };
    if light { &theme::LIGHT } else { &theme::DARK }
}

/// What is behind everything.
pub(super) fn background(egui: &egui::Context, model: &ViewModel) -> egui::Color32 {
    colours(egui, model.appearance).background
}

/// A line around what is not now.
fn frame_past(ui: &Ui, rect: Rect, look: Look) {
    ui.painter().rect_stroke(
        rect,
        look.len(6.0),
        Stroke::new(look.len(1.5).max(1.0), look.colours.alert),
        StrokeKind::Inside,
    );
}

/// egui's own widgets in this editor's clothes.
fn theme_ui(ui: &mut Ui, look: Look) {
    // For tooltips, which are no part of this.
    ui.ctx().set_theme(if look.colours.dark {
        egui::Theme::Dark
    } else {
        egui::Theme::Light
    });
    let style = ui.style_mut();
    for font in style.text_styles.values_mut() {
        *font = look.font(13.0);
    }
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    let visuals = &mut style.visuals;
    *visuals = if look.colours.dark {
        egui::Visuals::dark()
    } else {
        egui::Visuals::light()
    };
    visuals.override_text_color = Some(look.colours.text);
    visuals.panel_fill = look.colours.background;
    visuals.window_fill = look.colours.raised;
    visuals.extreme_bg_color = look.colours.track;
    visuals.selection.bg_fill = look.colours.hovered;
    visuals.selection.stroke = Stroke::new(1.0, look.colours.strong);
    for (widget, fill) in [
        (&mut visuals.widgets.inactive, look.colours.raised),
        (&mut visuals.widgets.hovered, look.colours.hovered),
        (&mut visuals.widgets.active, look.colours.hovered),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::NONE;
        widget.fg_stroke = Stroke::new(1.0, look.colours.text);
        widget.corner_radius = egui::CornerRadius::same(look.len(5.0) as u8);
        widget.expansion = 0.0;
    }
    // What is below is not guessed at.
    style.spacing.scroll = egui::style::ScrollStyle {
        floating_width: 3.0,
        foreground_color: true,
        ..egui::style::ScrollStyle::thin()
    };
    style.spacing.button_padding = vec2(look.len(8.0), look.len(4.0));
    style.spacing.interact_size = vec2(look.len(40.0), look.len(24.0));
}

/// Size of the window that the design is drawn for, in points.
pub fn design_size() -> Vec2 {
    theme::DESIGN.into()
}

/// The same of the compact view.
pub fn compact_size() -> Vec2 {
    theme::DESIGN_COMPACT.into()
}
