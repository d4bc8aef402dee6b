//! Averaging, hold and reset, and facts.

use egui::{
    Align2, CursorIcon, EventFilter, Id, Key, Rect, Response, Sense, Ui, WidgetInfo, pos2, vec2,
};
use genrescope::words::fill;

use super::{
    Action,
    widgets::{button, fill_bar, focus_ring, text_width},
};
use crate::{
    editor::{theme::Look, view_model::ViewModel},
    params::{DEFAULT_AVERAGING_S, MAX_AVERAGING_S},
};

pub(super) fn draw_footer(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let font = look.font(13.0);
    let pad = look.len(28.0);
    let space = look.len(8.0);
    let mut x = rect.left();
    let words = model.words();
    for (name, on, hint, action) in [
        (words.reset, false, words.reset_hint, Action::Reset),
        (
            words.hold,
            model.hold,
            words.hold_hint,
            Action::Hold(!model.hold),
        ),
    ] {
        let width = text_width(ui, name, &font) + pad;
        let area = Rect::from_min_size(pos2(x, rect.top()), vec2(width, rect.height()));
        let response = button(ui, look, area, name, name, &font, on);
        if response.clicked() {
            actions.push(action);
        }
        response.on_hover_text(hint);
        x = area.right() + space;
    }

    let facts = footer_facts(model, look.is_small());
    let facts_font = look.font(12.0);
    let colour = if model.dropped > 0 {
        look.colours.alert
    } else {
        look.colours.dim
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
            + look.len(22.0)
    };
    let slider = Rect::from_min_max(
        pos2(x + look.len(10.0), rect.top()),
        pos2(rect.right() - facts_w, rect.bottom()),
    );
    draw_averaging(ui, slider, look, model, actions);
}

/// Load and losses; in a small window only what is wrong.
fn footer_facts(model: &ViewModel, compact: bool) -> String {
    let words = model.words();
    if compact {
        let lost = if model.dropped > 0 {
            words.dropped_short
        } else {
            ""
        };
        return lost.to_owned();
    }
    let load = words.number(model.load.max(0.0) * 100.0, 1);
    let load = fill(words.load, &[("load", &load)]);
    let count = match model.dropped {
        0 => return load,
        n @ 1..10_000 => n.to_string(),
        n => format!("{} k", n / 1000),
    };
    let dropped = fill(words.dropped, &[("count", &count)]);
    format!("{dropped} · {load}")
}

fn draw_averaging(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let words = model.words();
    let font = look.font(13.0);
    let value = if model.averaging_s < 0.05 {
        words.off_value.to_owned()
    } else if model.averaging_s < 9.95 {
        words.number(model.averaging_s, 1) + " s"
    } else {
        format!("{:.0} s", model.averaging_s)
    };
    let value_w = text_width(ui, "120 s", &font) + look.len(8.0);
    let mid = rect.center().y;
    let mut left = rect.left();
    let least_track = look.len(60.0);
    for text in [words.averaging, words.averaging_short] {
        if rect.width() - text_width(ui, text, &font) - value_w > least_track {
            let label = ui.painter().text(
                pos2(left, mid),
                Align2::LEFT_CENTER,
                text,
                font.clone(),
                look.colours.dim,
            );
            left = label.right() + look.len(12.0);
            break;
        }
    }
    let knob = look.len(7.0).max(5.0);
    let track = Rect::from_min_max(
        pos2(left + knob, mid - look.len(2.0).max(1.5)),
        pos2(
            (rect.right() - value_w - knob).max(left + knob + 1.0),
            mid + look.len(2.0).max(1.5),
        ),
    );
    let place = place_of(model.averaging_s);
    let area = Rect::from_min_max(
        pos2(track.left() - knob, rect.top()),
        pos2(track.right() + knob, rect.bottom()),
    );
    let response = ui
        .interact(area, Id::unique("averaging"), Sense::click_and_drag())
        .on_hover_cursor(CursorIcon::ResizeHorizontal);
    response.widget_info(|| {
        WidgetInfo::slider(true, f64::from(model.averaging_s), words.averaging_name)
    });
    fill_bar(ui, look, track, place, look.colours.dim);
    focus_ring(ui, look, &response, area, look.len(4.0));
    let knob_x = track.left() + track.width() * place;
    let knob_colour = if response.hovered() || response.dragged() {
        look.colours.strong
    } else {
        look.colours.text
    };
    ui.painter()
        .circle_filled(pos2(knob_x, mid), knob, knob_colour);
    ui.painter().text(
        pos2(track.right() + knob + look.len(8.0), mid),
        Align2::LEFT_CENTER,
        value,
        font,
        look.colours.text,
    );

    let at_pointer = response
        .interact_pointer_pos()
        .map(|pointer| seconds_at((pointer.x - track.left()) / track.width()));
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
    if response.has_focus() {
        step_by_keys(ui, &response, model.averaging_s, actions);
    }
    response.on_hover_text(words.averaging_hint);
}

/// Where a time stands on the slider, 0 to 1. The same curve as the parameter's: short times get
/// the larger half.
fn place_of(seconds: f32) -> f32 {
    (seconds / MAX_AVERAGING_S).clamp(0.0, 1.0).sqrt()
}

/// The time at a place of the slider.
fn seconds_at(place: f32) -> f32 {
    let place = place.clamp(0.0, 1.0);
    (place * place * MAX_AVERAGING_S * 10.0).round() / 10.0
}

/// Arrows move the slider by a fiftieth.
fn step_by_keys(ui: &Ui, response: &Response, seconds: f32, actions: &mut Vec<Action>) {
    let arrows = EventFilter {
        horizontal_arrows: true,
        ..EventFilter::default()
    };
    ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
    let pressed = |key| ui.input(|input| input.key_pressed(key));
    let by = f32::from(i8::from(pressed(Key::ArrowRight)) - i8::from(pressed(Key::ArrowLeft)));
    if by != 0.0 {
        actions.extend([
            Action::AveragingBegin,
            Action::Averaging(seconds_at(place_of(seconds) + by / 50.0)),
            Action::AveragingEnd,
        ]);
    }
}
