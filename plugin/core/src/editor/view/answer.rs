//! What is heard, in large letters, and the meter below it.

use egui::{Align2, FontId, Id, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use genrescope::decision::State;

use super::{
    METER_FLOOR_DBFS, Memory,
    widgets::{fill_bar, text_width},
};
use crate::editor::{
    theme::{self, Scale},
    view_model::{Status, ViewModel, percent},
};

/// State, genre, confidence, and the level.
pub(super) fn draw_answer(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    memory: &Memory,
) {
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
