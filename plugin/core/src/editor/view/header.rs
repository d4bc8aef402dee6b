//! Name, model, level and the way to the settings.

use egui::{Align2, CursorIcon, Id, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2};
use genrescope::words::fill;

use super::{
    Memory, Page,
    widgets::{button, focus_ring, shorten, text_width},
};
use crate::editor::{theme::Look, view_model::ViewModel};

pub(super) fn draw_header(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    memory: &mut Memory,
) {
    let font = look.font(15.0);
    let words = model.words();
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
            .rect_filled(bar, unit * 0.3, look.genre(genre, memory.vivid));
    }
    let name_x = rect.left() + unit * 6.0;
    let name = ui.painter().text(
        pos2(name_x, mid),
        Align2::LEFT_CENTER,
        "genrescope",
        font.clone(),
        look.colours.text,
    );

    // Where the keyboard comes in: no host's key is taken before this.
    let mark =
        Rect::from_min_max(rect.min, pos2(name.right(), rect.bottom())).expand(look.len(4.0));
    let response = ui
        .interact(mark, Id::unique("mark"), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.widget_info(|| WidgetInfo::labeled(Role::Button, true, words.keys));
    if response.clicked() {
        response.request_focus();
    }
    focus_ring(ui, look, &response, mark, look.len(5.0));
    response.on_hover_text(words.keys_hint);

    let small = look.font(12.0);
    let mut right = rect.right();
    for (page, name) in [(Page::Settings, words.settings), (Page::Song, words.song)] {
        let open = memory.page == page;
        let width = text_width(ui, name, &small).max(text_width(ui, words.done, &small))
            + look.len(20.0).max(10.0);
        let place = Rect::from_min_max(pos2(right - width, rect.top()), pos2(right, rect.bottom()));
        let text = if open { words.done } else { name };
        if button(ui, look, place, name, text, &small, open).clicked() {
            memory.page = if open { Page::Readout } else { page };
        }
        right = place.left() - look.len(8.0).max(4.0);
    }

    // What is sent, then which model listens, as far as there is room.
    let mut x = right - look.len(6.0);
    for (tag, on, alert) in [
        ("OSC", model.osc, model.osc && model.osc_trouble.is_some()),
        ("MIDI", model.midi, false),
    ] {
        if on {
            let colour = if alert {
                look.colours.alert
            } else {
                look.colours.dim
            };
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
                    ui.painter()
                        .circle_filled(light, radius, look.colours.strong);
                } else {
                    let stroke = Stroke::new(radius * 0.5, look.colours.dim);
                    ui.painter()
                        .circle_stroke(light, radius - stroke.width / 2.0, stroke);
                }
                x = light.x - radius;
            }
            x -= look.len(12.0);
        }
    }
    if !model.model.is_empty() {
        let text = fill(words.model_name, &[("model", &model.model)]);
        let room = x - name.right() - look.len(16.0);
        let text = shorten(ui, &text, &small, room);
        ui.painter().text(
            pos2(x, mid),
            Align2::RIGHT_CENTER,
            text,
            small,
            look.colours.dim,
        );
    }
}
