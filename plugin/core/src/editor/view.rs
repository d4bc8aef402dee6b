//! Draws a [`ViewModel`]. Knows no host, no thread and no file: it is given values and gives back
//! what the user did.

mod answer;
mod bars;
mod footer;
mod header;
mod strip;
pub(super) mod widgets;

use egui::{Key, Rect, Stroke, Ui, Vec2, pos2, vec2};

use crate::{
    editor::{
        settings,
        theme::{self, Scale},
        view_model::ViewModel,
    },
    params::{ModelChoice, Restlessness},
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
    /// The strip reaches back ten minutes instead of two.
    pub far: bool,
    /// The settings are shown.
    pub settings_open: bool,
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
        self.bars = (0..model.scores.len())
            .map(|index| shown_score(model, index).unwrap_or(0.0))
            .collect();
        self.vivid = f32::from(u8::from(model.is_vivid()));
        self.level_dbfs = model.level_dbfs;
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
    let dt = ui.input(|input| input.stable_dt).min(0.1);
    if memory.glide(model, dt) {
        ui.request_repaint();
    }
    let window = ui.max_rect();
    let scale = Scale::fit(window.size());
    ui.painter().rect_filled(window, 0.0, theme::BACKGROUND);
    theme_ui(ui, scale);

    let margin = scale.len(if scale.is_compact() { 12.0 } else { 22.0 });
    let inner = window.shrink(margin);
    let header_h = scale.font(15.0).size * 1.5;
    let footer_h = (scale.font(13.0).size * 2.1).max(scale.len(30.0));
    // The legend's text does not shrink with the window, so the strip above it needs room of its
    // own.
    let strip_h = scale.len(50.0).max(22.0) + scale.font(11.0).size * 1.35;
    let gap = scale.len(if scale.is_compact() { 8.0 } else { 16.0 });

    let header = Rect::from_min_size(inner.min, vec2(inner.width(), header_h));
    let footer = Rect::from_min_max(pos2(inner.left(), inner.bottom() - footer_h), inner.max);
    let strip = Rect::from_min_max(
        pos2(inner.left(), footer.top() - gap - strip_h),
        pos2(inner.right(), footer.top() - gap),
    );
    let body = Rect::from_min_max(
        pos2(inner.left(), header.bottom() + gap),
        pos2(inner.right(), strip.top() - gap),
    );

    header::draw_header(ui, header, scale, model, memory);
    if memory.settings_open {
        let page = Rect::from_min_max(body.min, strip.max);
        settings::draw(ui, page, scale, model, &mut memory.drafts, &mut actions);
        if ui.input(|input| input.key_pressed(Key::Escape)) {
            memory.settings_open = false;
        }
    } else {
        let left_w = body.width() * 0.44;
        let left = Rect::from_min_size(body.min, vec2(left_w, body.height()));
        let right = Rect::from_min_max(pos2(left.right() + margin * 1.2, body.top()), body.max);
        answer::draw_answer(ui, left, scale, model, memory);
        bars::draw_bars(ui, right, scale, model, memory);
        strip::draw_strip(ui, strip, scale, model, memory);
    }
    footer::draw_footer(ui, footer, scale, model, &mut actions);
    actions
}

/// egui's own widgets in this editor's clothes.
fn theme_ui(ui: &mut Ui, scale: Scale) {
    let style = ui.style_mut();
    for font in style.text_styles.values_mut() {
        *font = scale.font(13.0);
    }
    style.interaction.selectable_labels = false;
    style.interaction.tooltip_delay = 0.4;
    let visuals = &mut style.visuals;
    *visuals = egui::Visuals::dark();
    visuals.override_text_color = Some(theme::TEXT);
    visuals.panel_fill = theme::BACKGROUND;
    visuals.window_fill = theme::RAISED;
    visuals.extreme_bg_color = theme::TRACK;
    visuals.selection.bg_fill = theme::HOVERED;
    visuals.selection.stroke = Stroke::new(1.0, theme::BRIGHT);
    for (widget, fill) in [
        (&mut visuals.widgets.inactive, theme::RAISED),
        (&mut visuals.widgets.hovered, theme::HOVERED),
        (&mut visuals.widgets.active, theme::HOVERED),
    ] {
        widget.bg_fill = fill;
        widget.weak_bg_fill = fill;
        widget.bg_stroke = Stroke::NONE;
        widget.fg_stroke = Stroke::new(1.0, theme::TEXT);
        widget.corner_radius = egui::CornerRadius::same(scale.len(5.0) as u8);
        widget.expansion = 0.0;
    }
    style.spacing.button_padding = vec2(scale.len(8.0), scale.len(4.0));
    style.spacing.interact_size = vec2(scale.len(40.0), scale.len(24.0));
}

/// Size of the window that the design is drawn for, in points.
pub fn design_size() -> Vec2 {
    vec2(theme::DESIGN.0, theme::DESIGN.1)
}
