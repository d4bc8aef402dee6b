//! Parts that several strips have.

use egui::{
    Align2, Color32, CursorIcon, FontId, Id, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, vec2,
};

use crate::editor::theme::Look;

/// A rounded bar filled to `share`.
pub(in crate::editor) fn fill_bar(ui: &Ui, look: Look, track: Rect, share: f32, colour: Color32) {
    let radius = track.height() / 2.0;
    ui.painter().rect_filled(track, radius, look.colours.track);
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

/// A flat button; `on` for one that is held down. Its `name` is what a screen reader says, and no
/// other on the page has it.
pub(in crate::editor) fn button(
    ui: &mut Ui,
    look: Look,
    rect: Rect,
    name: &str,
    text: &str,
    font: &FontId,
    on: bool,
) -> Response {
    let response = ui
        .interact(rect, Id::unique(("button", name)), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.widget_info(|| WidgetInfo::selected(Role::Button, true, on, name));
    if response.gained_focus() {
        response.scroll_to_me(None);
    }
    let (fill, ink) = if on {
        (look.colours.text, look.colours.background)
    } else if response.hovered() || response.has_focus() {
        (look.colours.hovered, look.colours.strong)
    } else {
        (look.colours.raised, look.colours.text)
    };
    let radius = rect.height() * 0.22;
    ui.painter().rect_filled(rect, radius, fill);
    focus_ring(ui, look, &response, rect, radius);
    ui.painter().text(
        rect.center(),
        Align2::CENTER_CENTER,
        text,
        font.clone(),
        ink,
    );
    response
}

/// Shows where the keys go.
pub(in crate::editor) fn focus_ring(
    ui: &Ui,
    look: Look,
    response: &Response,
    rect: Rect,
    radius: f32,
) {
    if response.has_focus() {
        let stroke = Stroke::new(look.len(2.0).max(1.5), look.colours.strong);
        ui.painter()
            .rect_stroke(rect, radius, stroke, StrokeKind::Outside);
    }
}

/// A child that fills `rect`.
pub(in crate::editor) fn child(ui: &mut Ui, rect: Rect, salt: &str) -> Ui {
    ui.new_child(
        UiBuilder::new()
            .id_salt(salt)
            .max_rect(rect)
            .layout(egui::Layout::left_to_right(egui::Align::Center)),
    )
}

pub(in crate::editor) fn text_width(ui: &Ui, text: &str, font: &FontId) -> f32 {
    ui.painter()
        .layout_no_wrap(text.to_owned(), font.clone(), Color32::WHITE)
        .size()
        .x
}

/// `text` cut to `width`, with an ellipsis when something is missing.
pub(in crate::editor) fn shorten(ui: &Ui, text: &str, font: &FontId, width: f32) -> String {
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
