//! Name, model, level and the way to the settings.

use egui::{Align2, Rect, Stroke, Ui, pos2};

use super::{
    Memory,
    widgets::{button, shorten, text_width},
};
use crate::editor::{
    theme::{self, Scale},
    view_model::ViewModel,
};

pub(super) fn draw_header(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    memory: &mut Memory,
) {
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
