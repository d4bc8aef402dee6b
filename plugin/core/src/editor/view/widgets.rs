//! Parts that several strips have.

use egui::{
    Align2, Color32, CursorIcon, FontId, Id, Rect, Response, Role, Sense, Stroke, StrokeKind, Ui,
    UiBuilder, WidgetInfo, vec2,
};

use crate::editor::theme::{self};

/// A rounded bar filled to `share`.
pub(in crate::editor) fn fill_bar(ui: &Ui, track: Rect, share: f32, colour: Color32) {
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
pub(in crate::editor) fn button(
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
