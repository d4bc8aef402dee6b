//! The compact view: what is heard, what kind of answer it is, and how sure.

use egui::{Align2, FontId, Id, Rect, Role, Sense, Ui, WidgetInfo, pos2, vec2};

use super::{
    Action, Memory,
    answer::{accent, draw_chip, draw_confidence},
    design_size,
    widgets::{button, shorten, text_width},
};
use crate::editor::{
    theme::Look,
    view_model::{Status, ViewModel},
};

/// Draws it into the whole window.
pub(super) fn draw_compact(
    ui: &mut Ui,
    window: Rect,
    look: Look,
    model: &ViewModel,
    memory: &Memory,
    actions: &mut Vec<Action>,
) {
    let inner = window.shrink(look.len(10.0).clamp(5.0, 20.0));
    let font = look.font(12.0);
    let top_h = font.size * 1.4;

    let name = model.words().larger;
    let width = text_width(ui, name, &font) + look.len(14.0).max(8.0);
    let place = Rect::from_min_size(pos2(inner.right() - width, inner.top()), vec2(width, top_h));
    let response = button(ui, look, place, name, name, &font, false);
    if response.clicked() {
        actions.push(Action::Size(design_size()));
    }
    response.on_hover_text(model.words().larger_hint);

    let whole = Rect::from_min_max(inner.min, pos2(place.left(), inner.bottom()));
    let answer = ui.interact(whole, Id::unique("answer"), Sense::hover());
    answer.widget_info(|| WidgetInfo::labeled(Role::Label, true, model.headline()));
    let colour = accent(look, model, memory.vivid);
    let top = pos2(inner.left(), inner.top() + top_h / 2.0);
    draw_chip(ui, top, look, &font, model, colour);
    answer.on_hover_text(model.why().unwrap_or_else(|| model.detail()));

    let row_h = look.font(14.0).size * 1.3;
    let bottom = Rect::from_min_max(pos2(inner.left(), inner.bottom() - row_h), inner.max);
    let named = model.genre.is_some() && model.is_vivid();
    let troubled = matches!(model.status, Status::Trouble(_));
    if named {
        draw_confidence(ui, bottom, look, &look.font(14.0), model, colour);
    } else {
        // Why not, as far as there is room.
        let text = model.detail().replace('\n', " ");
        let small = look.font(12.0);
        let text = shorten(ui, &text, &small, bottom.width());
        let ink = if troubled {
            look.colours.alert
        } else {
            look.colours.text
        };
        ui.painter()
            .text(bottom.left_center(), Align2::LEFT_CENTER, text, small, ink);
    }

    let room = Rect::from_min_max(
        pos2(inner.left(), inner.top() + top_h),
        pos2(inner.right(), bottom.top()),
    );
    let headline = model.headline();
    let natural = text_width(ui, &headline, &FontId::proportional(100.0)) / 100.0;
    let size = (room.height() * 0.8).min(room.width() / natural.max(0.1));
    ui.painter().text(
        room.left_center(),
        Align2::LEFT_CENTER,
        headline,
        FontId::proportional(size.max(12.0)),
        if model.is_vivid() && model.is_settled() {
            look.colours.strong
        } else {
            look.colours.text
        },
    );
}
