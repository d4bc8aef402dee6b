//! Draws a [`ViewModel`]. Knows no host, no thread and no file: it is given values and gives back what the user did.

use egui::{
    Align2, Color32, CursorIcon, FontId, Id, Key, Rect, Response, Role, Sense, Stroke, StrokeKind,
    Ui, UiBuilder, Vec2, WidgetInfo, pos2, vec2,
};
use genrescope::decision::State;

use super::{
    settings,
    theme::{self, Scale},
    view_model::{Status, ViewModel, percent},
};
use crate::{
    history::Span,
    params::{DEFAULT_AVERAGING_S, MAX_AVERAGING_S, ModelChoice, Restlessness},
    song::SongTime,
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
    // The legend's text does not shrink with the window, so the strip above it needs room of its own.
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

    draw_header(ui, header, scale, model, memory);
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
        draw_answer(ui, left, scale, model, memory);
        draw_bars(ui, right, scale, model, memory);
        draw_strip(ui, strip, scale, model, memory);
    }
    draw_footer(ui, footer, scale, model, &mut actions);
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

fn draw_header(ui: &mut Ui, rect: Rect, scale: Scale, model: &ViewModel, memory: &mut Memory) {
    let font = scale.font(15.0);
    let mid = rect.center().y;
    // The mark: three bars of a readout.
    let unit = font.size * 0.22;
    let base = mid + font.size * 0.36;
    for (index, (height, genre)) in [(0.5, 5), (1.0, 7), (0.72, 9)].into_iter().enumerate() {
        let x = rect.left() + index as f32 * unit * 1.55;
        let bar = Rect::from_min_max(
            pos2(x, base - font.size * 0.8 * height),
            pos2(x + unit, base),
        );
        ui.painter()
            .rect_filled(bar, unit * 0.3, theme::genre(genre, memory.vivid));
    }
    let name_x = rect.left() + unit * 6.0;
    let name = ui.painter().text(
        pos2(name_x, mid),
        Align2::LEFT_CENTER,
        "genrescope",
        font.clone(),
        theme::TEXT,
    );

    let small = scale.font(12.0);
    let text = if memory.settings_open {
        "Done"
    } else {
        "Settings"
    };
    let width = text_width(ui, "Settings", &small) + scale.len(20.0);
    let button_rect =
        Rect::from_min_max(pos2(rect.right() - width, rect.top()), rect.right_bottom());
    let response = button(
        ui,
        button_rect,
        "settings",
        text,
        &small,
        memory.settings_open,
    );
    if response.clicked() {
        memory.settings_open = !memory.settings_open;
    }

    // What is sent, then which model listens, as far as there is room.
    let mut x = button_rect.left() - scale.len(14.0);
    for (tag, on, alert) in [
        ("OSC", model.osc, model.osc && model.osc_trouble.is_some()),
        ("MIDI", model.midi, false),
    ] {
        if on {
            let colour = if alert { theme::ALERT } else { theme::DIM };
            let shown = ui.painter().text(
                pos2(x, mid),
                Align2::RIGHT_CENTER,
                tag,
                small.clone(),
                colour,
            );
            x = shown.left();
            if tag == "MIDI" {
                // A ring that fills with each message.
                let radius = small.size * 0.24;
                let light = pos2(x - radius * 2.2, mid);
                if model.midi_lit {
                    ui.painter().circle_filled(light, radius, theme::BRIGHT);
                } else {
                    let stroke = Stroke::new(radius * 0.5, theme::DIM);
                    ui.painter()
                        .circle_stroke(light, radius - stroke.width / 2.0, stroke);
                }
                x = light.x - radius;
            }
            x -= scale.len(12.0);
        }
    }
    if !model.model.is_empty() {
        let text = format!("{} model", model.model);
        let room = x - name.right() - scale.len(16.0);
        let text = shorten(ui, &text, &small, room);
        ui.painter()
            .text(pos2(x, mid), Align2::RIGHT_CENTER, text, small, theme::DIM);
    }
}

/// State, genre, confidence, and the level.
fn draw_answer(ui: &mut Ui, rect: Rect, scale: Scale, model: &ViewModel, memory: &Memory) {
    let vivid = memory.vivid;
    let accent = match model.genre.filter(|_| model.is_vivid()) {
        Some(index) => theme::mix(theme::TRACK, theme::genre(index, vivid), model.strength()),
        None => theme::GREY,
    };
    // Why nothing is named is asked of the place where the name would be.
    let whole = ui.interact(rect, Id::unique("answer"), Sense::hover());
    whole.widget_info(|| WidgetInfo::labeled(Role::Label, true, model.headline()));
    if let Some(why) = model.why() {
        whole.on_hover_text(why);
    }
    let alert = matches!(
        model.status,
        Status::Trouble(_) | Status::Listening(State::Lost)
    );

    let chip_font = scale.font(13.0);
    let chip_h = chip_font.size * 1.3;
    let radius = chip_font.size * 0.3;
    let dot = pos2(rect.left() + radius, rect.top() + chip_h / 2.0);
    let dot_colour = if alert { theme::ALERT } else { accent };
    // A ring while the answer is not final, a disc once it is: told apart without colour.
    if matches!(model.status, Status::Listening(State::Live)) {
        ui.painter().circle_filled(dot, radius, dot_colour);
    } else {
        let width = radius * 0.45;
        ui.painter()
            .circle_stroke(dot, radius - width / 2.0, Stroke::new(width, dot_colour));
    }
    ui.painter().text(
        pos2(dot.x + radius * 2.4, dot.y),
        Align2::LEFT_CENTER,
        model.chip(),
        chip_font,
        if alert { theme::ALERT } else { theme::TEXT },
    );

    let level_h = scale.font(11.0).size * 1.25 + scale.len(8.0);
    let level = Rect::from_min_max(pos2(rect.left(), rect.bottom() - level_h), rect.max);

    let headline = model.headline();
    let largest = scale.font(86.0).size.min(rect.height() * 0.38);
    let natural = text_width(ui, &headline, &FontId::proportional(100.0)) / 100.0;
    let size = largest.min(rect.width() / natural.max(0.1)).max(14.0);
    let sure = if model.is_vivid() && model.is_settled() {
        theme::BRIGHT
    } else {
        theme::TEXT
    };
    let colour = theme::mix(theme::TEXT, sure, vivid);
    let top = rect.top() + chip_h + scale.len(6.0);
    // Long names are set smaller, on the same line as short ones, so that nothing below them moves.
    let bottom = top + largest * 1.15;
    ui.painter().text(
        // Optical alignment: the glyphs' left bearing grows with the font.
        pos2(rect.left() - size * 0.04, bottom + size * 0.1),
        Align2::LEFT_BOTTOM,
        &headline,
        FontId::proportional(size),
        colour,
    );

    let mut y = bottom + scale.len(14.0);
    if model.genre.is_some() && model.is_vivid() {
        let font = scale.font(17.0);
        // A score from a few seconds never looks like one from a whole frame.
        let so_far = if model.is_settled() { "" } else { " so far" };
        let text = percent(model.confidence) + so_far;
        let text_w = text_width(ui, &format!("100 %{so_far}"), &font);
        let bar_h = scale.len(7.0).max(4.0);
        let row_h = font.size * 1.3;
        let track = Rect::from_min_size(
            pos2(rect.left(), y + (row_h - bar_h) / 2.0),
            vec2(rect.width() - text_w - scale.len(10.0), bar_h),
        );
        fill_bar(ui, track, model.confidence, accent);
        ui.painter().text(
            pos2(rect.right(), y + row_h / 2.0),
            Align2::RIGHT_CENTER,
            text,
            font,
            sure,
        );
        y += row_h + scale.len(4.0);
    }

    let detail = model.detail();
    let font = scale.font(14.0);
    let galley = ui.painter().layout(
        detail,
        font,
        if alert { theme::ALERT } else { theme::TEXT },
        rect.width(),
    );
    // Words that do not fit give way to the level meter, not the other way round.
    let room = Rect::from_min_max(pos2(rect.left(), y), pos2(rect.right(), level.top()));
    if let Some(share) = model.progress() {
        // Under its words, so that it is not taken for a second score.
        let top = y + galley.size().y + scale.len(6.0).max(4.0);
        let height = scale.len(3.0).max(2.0);
        let track = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), height));
        if track.bottom() < level.top() {
            fill_bar(ui, track, share, theme::DIM);
        }
    }
    ui.painter()
        .with_clip_rect(room)
        .galley(room.min, galley, theme::TEXT);

    draw_level(ui, level, scale, model, memory);
}

fn draw_level(ui: &Ui, rect: Rect, scale: Scale, model: &ViewModel, memory: &Memory) {
    let font = scale.font(11.0);
    let level = memory.level_dbfs.min(model.level_dbfs + 60.0);
    let number = if model.level_dbfs <= -100.0 {
        // The font has a sign for infinity that is too small to be read.
        "silent".to_owned()
    } else {
        format!("{:.0} dB", model.level_dbfs).replace('-', "−")
    };
    let mid = rect.bottom() - font.size * 0.65;
    let label = ui.painter().text(
        pos2(rect.left(), mid),
        Align2::LEFT_CENTER,
        "Level",
        font.clone(),
        theme::DIM,
    );
    let number_w = text_width(ui, "−100 dB", &font);
    ui.painter().text(
        pos2(rect.right(), mid),
        Align2::RIGHT_CENTER,
        number,
        font,
        theme::DIM,
    );
    let height = scale.len(5.0).max(3.0);
    let track = Rect::from_min_max(
        pos2(label.right() + scale.len(10.0), mid - height / 2.0),
        pos2(rect.right() - number_w - scale.len(4.0), mid + height / 2.0),
    );
    let place = |dbfs: f32| ((dbfs - METER_FLOOR_DBFS) / -METER_FLOOR_DBFS).clamp(0.0, 1.0);
    let hot = level > -1.0;
    fill_bar(
        ui,
        track,
        place(level),
        if hot { theme::ALERT } else { theme::TEXT },
    );
    for tick in [-48.0, -36.0, -24.0, -12.0] {
        let x = track.left() + track.width() * place(tick);
        ui.painter().vline(
            x,
            track.top()..=track.bottom(),
            Stroke::new(scale.len(1.0).max(1.0), theme::BACKGROUND),
        );
    }
}

/// A bar per label, in label order so that each stays where the eye has learnt it; in columns when there are many.
fn draw_bars(ui: &mut Ui, rect: Rect, scale: Scale, model: &ViewModel, memory: &Memory) {
    let mut listed = model.listed();
    listed.retain(|&index| index < memory.bars.len());
    let n = listed.len();
    if n == 0 {
        return;
    }
    let font = scale.font(14.0);
    let least = font.size * 1.15;
    let gutter = scale.len(18.0);
    let widest = listed
        .iter()
        .map(|&index| text_width(ui, &model.row_title(index), &font))
        .fold(0.0_f32, f32::max)
        .min(font.size * 9.0);
    let names_w = widest + text_width(ui, "100 %", &font) + scale.len(22.0);
    let most_rows = ((rect.height() / least) as usize).max(1);
    let columns = |least_w: f32| {
        let most_columns = ((rect.width() + gutter) / (least_w + gutter)) as usize;
        n.div_ceil(most_rows).clamp(1, most_columns.clamp(1, 4))
    };
    // A few more than have room are set a little smaller.
    let squeezed = |n_columns: usize| n_columns * (rect.height() / (least * 0.85)) as usize;
    // All labels with bars; else all with names and numbers; else the best with bars. Names that are cut say nothing.
    let (with_bars, without) = (columns(names_w + scale.len(48.0)), columns(names_w));
    let n_columns = if n <= squeezed(with_bars) || n > squeezed(without) {
        with_bars
    } else {
        without
    };
    let most = if n <= squeezed(n_columns) {
        n
    } else {
        n_columns * most_rows
    };
    let shown = best(model, &listed, most);
    let n_rows = shown.len().div_ceil(n_columns);
    let column_w = (rect.width() - gutter * (n_columns - 1) as f32) / n_columns as f32;
    let row_h = (rect.height() / n_rows as f32).min(scale.len(36.0).max(least));
    let font = if row_h < least {
        FontId::proportional(row_h / 1.15)
    } else {
        font
    };
    let percent_w = text_width(ui, "100 %", &font);
    let label_w = listed
        .iter()
        .map(|&index| text_width(ui, &model.row_title(index), &font))
        .fold(0.0_f32, f32::max);
    let label_w = label_w
        .min(font.size * 9.0)
        .min(column_w - percent_w - scale.len(22.0));
    let top = rect.top() + (rect.height() - row_h * n_rows as f32) / 2.0;
    let bar_h = (row_h * 0.42).min(scale.len(14.0)).max(3.0);

    for (place, index) in shown.into_iter().enumerate() {
        let (column, row) = (place / n_rows, place % n_rows);
        let area = Rect::from_min_size(
            pos2(
                rect.left() + column as f32 * (column_w + gutter),
                top + row as f32 * row_h,
            ),
            vec2(column_w, row_h),
        );
        let is_shown = model.genre == Some(index) && model.is_vivid();
        let text = theme::mix(
            theme::DIM,
            if is_shown { theme::BRIGHT } else { theme::TEXT },
            memory.vivid,
        );
        let mid = area.center().y;
        let title = shorten(ui, &model.row_title(index), &font, label_w);
        ui.painter().text(
            pos2(area.left(), mid),
            Align2::LEFT_CENTER,
            title,
            font.clone(),
            text,
        );
        let track = Rect::from_min_max(
            pos2(area.left() + label_w + scale.len(12.0), mid - bar_h / 2.0),
            pos2(
                area.right() - percent_w - scale.len(10.0),
                mid + bar_h / 2.0,
            ),
        );
        let value = memory.bars[index];
        let newest = model.newest.get(index).copied();
        // Ten marks at nothing would say nothing.
        let newest = newest.filter(|score| model.is_vivid() && *score > 0.015);
        if track.width() > scale.len(24.0) {
            let colour = theme::genre(index, memory.vivid);
            let strength = model.strength() * if is_shown { 1.0 } else { 0.78 };
            fill_bar(ui, track, value, theme::mix(theme::TRACK, colour, strength));
            if let Some(newest) = newest {
                let x = track.left() + track.width() * newest.clamp(0.0, 1.0);
                let over = scale.len(2.0).max(1.0);
                ui.painter().vline(
                    x.clamp(track.left() + 1.0, track.right() - 1.0),
                    track.top() - over..=track.bottom() + over,
                    Stroke::new(scale.len(1.5).max(1.0), text),
                );
            }
        }
        // The number of the score itself: digits that run are not read.
        let number = shown_score(model, index).map_or_else(|| "–".to_owned(), percent);
        ui.painter().text(
            pos2(area.right(), mid),
            Align2::RIGHT_CENTER,
            number,
            font.clone(),
            text,
        );
        let response = ui.interact(area, Id::unique(("bar", index)), Sense::hover());
        response.widget_info(|| {
            WidgetInfo::labeled(
                Role::ProgressIndicator,
                true,
                format!("{} {}", model.labels[index], percent(model.scores[index])),
            )
        });
        if let Some(newest) = newest {
            response.on_hover_text(format!(
                "{}: {} on average, {} in the newest {:.0} s alone (the mark on the bar).",
                model.title(index),
                percent(model.scores[index]),
                percent(newest),
                model.heard_s
            ));
        }
    }
}

/// Of the labels that are listed, the `most` with the best scores, in label order.
fn best(model: &ViewModel, listed: &[usize], most: usize) -> Vec<usize> {
    let mut indices = listed.to_vec();
    if indices.len() > most {
        indices.sort_by(|&a, &b| model.scores[b].total_cmp(&model.scores[a]));
        indices.truncate(most);
        indices.sort_unstable();
    }
    indices
}

/// The last two or ten minutes, the newest at the right edge.
fn draw_strip(ui: &mut Ui, rect: Rect, scale: Scale, model: &ViewModel, memory: &mut Memory) {
    let minutes: u8 = if memory.far { 10 } else { 2 };
    let reach_s = f64::from(minutes) * 60.0;
    let font = scale.font(11.0);
    let legend_h = font.size * 1.35;
    let area = Rect::from_min_max(rect.min, pos2(rect.right(), rect.bottom() - legend_h));
    let radius = scale.len(4.0);
    ui.painter().rect_filled(area, radius, theme::TRACK);

    let now = model.now_s();
    let x = |at: f64| area.right() - ((now - at) / reach_s) as f32 * area.width();
    let clip = ui.painter().with_clip_rect(area);
    let older = model
        .history
        .partition_point(|span| span.end < now - reach_s);
    let history = &model.history[older..];
    for span in history {
        let cell = Rect::from_min_max(
            pos2(x(span.start).max(area.left()), area.top()),
            pos2(x(span.end), area.bottom()),
        );
        if cell.width() > 0.0 {
            draw_span(&clip, cell, scale, span);
        }
    }
    // A name in every run that has room for it: colour is never the only word.
    let mut rest = history;
    while let Some(first) = rest.first() {
        let end = rest
            .iter()
            .position(|span| span.genre != first.genre)
            .unwrap_or(rest.len());
        if let Some(genre) = first.genre {
            let (from, to) = (x(first.start).max(area.left()), x(rest[end - 1].end));
            let title = model.title(genre);
            let pad = scale.len(5.0);
            let width = text_width(ui, &title, &font) + 2.0 * pad;
            let under = rest[..end]
                .iter()
                .take_while(|span| x(span.start) < from + width)
                .map(|span| span_colour(genre, span.state));
            if to - from > width {
                ui.painter().text(
                    pos2(from + pad, area.bottom() - pad * 0.6),
                    Align2::LEFT_BOTTOM,
                    title,
                    font.clone(),
                    theme::ink_on(under),
                );
            }
        }
        rest = &rest[end..];
    }

    let legend = rect.bottom() - legend_h / 2.0 + scale.len(1.0);
    for (share, anchor, text) in [
        (0.0, Align2::LEFT_CENTER, format!("{minutes} min ago")),
        (0.5, Align2::CENTER_CENTER, format!("{} min", minutes / 2)),
        (1.0, Align2::RIGHT_CENTER, "now".to_owned()),
    ] {
        let x = area.left() + area.width() * share;
        // Where the song stood, if it played then.
        let at = now - f64::from(1.0 - share) * reach_s;
        let text = match song_at(history, at) {
            Some(song) if !scale.is_compact() => format!("{text}: {}", song.words()),
            _ => text,
        };
        ui.painter()
            .text(pos2(x, legend), anchor, text, font.clone(), theme::DIM);
    }

    if model.history.is_empty() {
        ui.painter().text(
            area.center(),
            Align2::CENTER_CENTER,
            format!("What was heard in the last {minutes} minutes appears here"),
            font.clone(),
            theme::DIM,
        );
    }

    let response = ui
        .interact(area, Id::unique("strip"), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    if response.clicked() {
        memory.far = !memory.far;
    }
    if let Some(pointer) = response.hover_pos() {
        let at = now - f64::from((area.right() - pointer.x) / area.width()) * reach_s;
        let mut spans = history.iter();
        if let Some(span) = spans.find(|span| (span.start..span.end).contains(&at)) {
            let ago = (now - at).round();
            let what = match (span.genre, span.state) {
                (Some(genre), _) => {
                    format!("{} {}", model.title(genre), percent(span.confidence))
                }
                (None, state) => state.words().to_owned(),
            };
            let song = song_at(history, at)
                .map_or_else(String::new, |song| format!(", at {}", song.words()));
            let other = if memory.far { "two" } else { "ten" };
            response.on_hover_text_at_pointer(format!(
                "{what}, {ago:.0} s ago{song}\nClick for the last {other} minutes."
            ));
        }
    }
}

/// Where the song stood at a position of the stream.
fn song_at(history: &[Span], at: f64) -> Option<SongTime> {
    let span = history
        .iter()
        .find(|span| span.start < at && at <= span.end)?;
    span.song_at(at)
}

/// A genre's colour on the strip: fainter while it rests on less than a whole frame.
fn span_colour(genre: usize, state: State) -> Color32 {
    theme::mix(
        theme::TRACK,
        theme::genre(genre, 1.0),
        theme::strength(state == State::Provisional),
    )
}

/// Colour says the genre, height the confidence; without a genre, the shape says why.
fn draw_span(painter: &egui::Painter, cell: Rect, scale: Scale, span: &Span) {
    let from_bottom =
        |height: f32| Rect::from_min_max(pos2(cell.left(), cell.bottom() - height), cell.max);
    let thin = scale.len(3.0).max(2.0);
    match (span.genre, span.state) {
        (Some(genre), state) => {
            let colour = span_colour(genre, state);
            painter.rect_filled(cell, 0.0, theme::mix(theme::TRACK, colour, 0.30));
            let height = cell.height() * (0.42 + 0.58 * span.confidence.clamp(0.0, 1.0));
            painter.rect_filled(from_bottom(height), 0.0, colour);
        }
        (None, State::Unsure) => {
            painter.rect_filled(from_bottom(cell.height() * 0.42), 0.0, theme::GREY);
        }
        (None, State::NotMusic) => {
            let hatch = painter.with_clip_rect(cell.intersect(painter.clip_rect()));
            let step = scale.len(6.0).max(4.0);
            // Lines start at multiples of the step, so that neighbouring cells join.
            let mut x = ((cell.left() - cell.height()) / step).floor() * step;
            while x < cell.right() {
                hatch.line_segment(
                    [pos2(x, cell.bottom()), pos2(x + cell.height(), cell.top())],
                    Stroke::new(scale.len(1.2).max(1.0), theme::GREY),
                );
                x += step;
            }
        }
        (None, State::Silent | State::Lost) => {
            painter.rect_filled(from_bottom(thin * 0.5), 0.0, theme::GREY);
        }
        (None, _) => {
            painter.rect_filled(from_bottom(thin), 0.0, theme::LINE);
        }
    }
}

fn draw_footer(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let font = scale.font(13.0);
    let pad = scale.len(28.0);
    let space = scale.len(8.0);
    let mut x = rect.left();
    for (id, text, on) in [("reset", "Reset", false), ("hold", "Hold", model.hold)] {
        let width = text_width(ui, text, &font) + pad;
        let area = Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));
        let response = button(ui, area, id, text, &font, on);
        let (hint, action) = if id == "reset" {
            ("Forget the average and start over.", Action::Reset)
        } else {
            (
                "Keep this readout until released.",
                Action::Hold(!model.hold),
            )
        };
        if response.clicked() {
            actions.push(action);
        }
        response.on_hover_text(hint);
        x = area.right() + space;
    }

    let facts = footer_facts(model, scale.is_compact());
    let facts_font = scale.font(12.0);
    let colour = if model.dropped > 0 {
        theme::ALERT
    } else {
        theme::DIM
    };
    let facts_w = if facts.is_empty() {
        0.0
    } else {
        ui.painter()
            .text(
                pos2(rect.right(), rect.center().y),
                Align2::RIGHT_CENTER,
                facts,
                facts_font,
                colour,
            )
            .width()
            + scale.len(22.0)
    };
    let slider = Rect::from_min_max(
        pos2(x + scale.len(10.0), rect.top()),
        pos2(rect.right() - facts_w, rect.bottom()),
    );
    draw_averaging(ui, slider, scale, model, actions);
}

/// Load and losses; in a small window only what is wrong.
fn footer_facts(model: &ViewModel, compact: bool) -> String {
    let dropped = match model.dropped {
        0 => String::new(),
        1..10_000 => format!("{} samples dropped", model.dropped),
        n => format!("{} k samples dropped", n / 1000),
    };
    if compact {
        return if model.dropped > 0 {
            "dropped".to_owned()
        } else {
            String::new()
        };
    }
    let load = format!("load {:.1} %", model.load.max(0.0) * 100.0);
    if dropped.is_empty() {
        load
    } else {
        format!("{dropped} · {load}")
    }
}

fn draw_averaging(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let font = scale.font(13.0);
    let value = if model.averaging_s < 0.05 {
        "off".to_owned()
    } else if model.averaging_s < 9.95 {
        format!("{:.1} s", model.averaging_s)
    } else {
        format!("{:.0} s", model.averaging_s)
    };
    let value_w = text_width(ui, "120 s", &font) + scale.len(8.0);
    let mid = rect.center().y;
    let mut left = rect.left();
    let least_track = scale.len(60.0);
    for text in ["Averaging", "Avg"] {
        if rect.width() - text_width(ui, text, &font) - value_w > least_track {
            let label = ui.painter().text(
                pos2(left, mid),
                Align2::LEFT_CENTER,
                text,
                font.clone(),
                theme::DIM,
            );
            left = label.right() + scale.len(12.0);
            break;
        }
    }
    let knob = scale.len(7.0).max(5.0);
    let track = Rect::from_min_max(
        pos2(left + knob, mid - scale.len(2.0).max(1.5)),
        pos2(
            (rect.right() - value_w - knob).max(left + knob + 1.0),
            mid + scale.len(2.0).max(1.5),
        ),
    );
    // The same curve as the parameter's: short times get the larger half.
    let place = (model.averaging_s / MAX_AVERAGING_S).clamp(0.0, 1.0).sqrt();
    let area = Rect::from_min_max(
        pos2(track.left() - knob, rect.top()),
        pos2(track.right() + knob, rect.bottom()),
    );
    let response = ui
        .interact(area, Id::unique("averaging"), Sense::click_and_drag())
        .on_hover_cursor(CursorIcon::ResizeHorizontal);
    response.widget_info(|| {
        WidgetInfo::slider(
            true,
            f64::from(model.averaging_s),
            "Averaging time in seconds",
        )
    });
    fill_bar(ui, track, place, theme::DIM);
    let knob_x = track.left() + track.width() * place;
    let knob_colour = if response.hovered() || response.dragged() {
        theme::BRIGHT
    } else {
        theme::TEXT
    };
    ui.painter()
        .circle_filled(pos2(knob_x, mid), knob, knob_colour);
    ui.painter().text(
        pos2(track.right() + knob + scale.len(8.0), mid),
        Align2::LEFT_CENTER,
        value,
        font,
        theme::TEXT,
    );

    let at_pointer = response.interact_pointer_pos().map(|pointer| {
        let share = ((pointer.x - track.left()) / track.width()).clamp(0.0, 1.0);
        (share * share * MAX_AVERAGING_S * 10.0).round() / 10.0
    });
    if response.double_clicked() {
        actions.extend([
            Action::AveragingBegin,
            Action::Averaging(DEFAULT_AVERAGING_S),
            Action::AveragingEnd,
        ]);
        return;
    }
    if response.drag_started() {
        actions.push(Action::AveragingBegin);
    }
    if let Some(seconds) = at_pointer.filter(|_| response.dragged()) {
        actions.push(Action::Averaging(seconds));
    }
    if response.drag_stopped() {
        actions.push(Action::AveragingEnd);
    }
    response.on_hover_text(
        "How long scores are averaged. Short follows changes, long stays calm. Double click for the default.",
    );
}

/// A rounded bar filled to `share`.
pub(super) fn fill_bar(ui: &Ui, track: Rect, share: f32, colour: Color32) {
    let radius = track.height() / 2.0;
    ui.painter().rect_filled(track, radius, theme::TRACK);
    let width = track.width() * share.clamp(0.0, 1.0);
    if width >= 0.5 {
        // A fill narrower than it is high would be drawn with corners beyond its width.
        let clip = ui.painter().with_clip_rect(
            Rect::from_min_size(track.min, vec2(width, track.height()))
                .intersect(ui.painter().clip_rect()),
        );
        let filled =
            Rect::from_min_size(track.min, vec2(width.max(track.height()), track.height()));
        clip.rect_filled(filled, radius, colour);
    }
}

/// A flat button; `on` for one that is held down.
pub(super) fn button(
    ui: &mut Ui,
    rect: Rect,
    id: &str,
    text: &str,
    font: &FontId,
    on: bool,
) -> Response {
    let response = ui
        .interact(rect, Id::unique(("button", id)), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, on, text));
    let (fill, ink) = if on {
        (theme::TEXT, theme::BACKGROUND)
    } else if response.hovered() || response.has_focus() {
        (theme::HOVERED, theme::BRIGHT)
    } else {
        (theme::RAISED, theme::TEXT)
    };
    let radius = rect.height() * 0.22;
    ui.painter().rect_filled(rect, radius, fill);
    if response.has_focus() {
        ui.painter().rect_stroke(
            rect,
            radius,
            Stroke::new(1.5, theme::BRIGHT),
            StrokeKind::Inside,
        );
    }
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        text,
        font.clone(),
        ink,
    );
    response
}

/// A child that fills `rect`.
pub(super) fn child(ui: &mut Ui, rect: Rect, salt: &str) -> Ui {
    ui.new_child(
        UiBuilder::new()
            .id_salt(salt)
            .max_rect(rect)
            .layout(egui::Layout::left_to_right(egui::Align::Center)),
    )
}

pub(super) fn text_width(ui: &Ui, text: &str, font: &FontId) -> f32 {
    ui.painter()
        .layout_no_wrap(text.to_owned(), font.clone(), Color32::WHITE)
        .size()
        .x
}

/// `text` cut to `width`, with an ellipsis when something is missing.
pub(super) fn shorten(ui: &Ui, text: &str, font: &FontId, width: f32) -> String {
    if text_width(ui, text, font) <= width + 0.5 {
        return text.to_owned();
    }
    let mut chars: Vec<char> = text.chars().collect();
    while chars.pop().is_some() {
        let shorter: String = chars.iter().collect::<String>().trim_end().to_owned() + "…";
        if text_width(ui, &shorter, font) <= width {
            return shorter;
        }
    }
    String::new()
}

/// Size of the window that the design is drawn for, in points.
pub fn design_size() -> Vec2 {
    vec2(theme::DESIGN.0, theme::DESIGN.1)
}
