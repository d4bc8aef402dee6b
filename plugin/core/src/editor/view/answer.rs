//! What is heard, in large letters, and the meter below it.

use egui::{
    Align2, Color32, FontId, Id, Pos2, Rect, Role, Sense, Shape, Stroke, Ui, WidgetInfo, pos2,
    text::LayoutJob, vec2,
};
use genrescope::decision::State;

use super::{
    METER_FLOOR_DBFS, Memory,
    widgets::{fill_bar, text_width},
};
use crate::editor::{
    theme::{self, Look},
    view_model::{Status, ViewModel, percent},
};

/// The colour of what is shown.
pub(super) fn accent(look: Look, model: &ViewModel, vivid: f32) -> Color32 {
    match model.genre.filter(|_| model.is_vivid()) {
        Some(index) => {
            let colour = look.genre(index, vivid);
            theme::mix(look.colours.track, colour, model.strength())
        }
        None => look.colours.grey,
    }
}

/// What is not as it should be, or not now.
fn is_alarming(model: &ViewModel) -> bool {
    model.past.is_some()
        || matches!(
            model.status,
            Status::Trouble(_) | Status::Listening(State::Lost)
        )
}

/// What kind of answer it is: a sign and a word, from `left` on.
pub(super) fn draw_chip(
    ui: &Ui,
    left: Pos2,
    look: Look,
    font: &FontId,
    model: &ViewModel,
    accent: Color32,
) {
    let alert = is_alarming(model);
    let radius = font.size * 0.3;
    let dot = pos2(left.x + radius, left.y);
    let colour = if alert { look.colours.alert } else { accent };
    // A ring while the answer is not final, a disc once it is: told apart without colour.
    // Backwards, what is over.
    if model.past.is_some() {
        let at = |x: f32, y: f32| dot + vec2(x, y) * radius;
        ui.painter().add(Shape::convex_polygon(
            vec![at(-1.0, 0.0), at(0.8, -1.0), at(0.8, 1.0)],
            colour,
            Stroke::NONE,
        ));
    } else if matches!(model.status, Status::Listening(State::Live)) {
        ui.painter().circle_filled(dot, radius, colour);
    } else {
        let width = radius * 0.45;
        ui.painter()
            .circle_stroke(dot, radius - width / 2.0, Stroke::new(width, colour));
    }
    ui.painter().text(
        pos2(dot.x + radius * 2.4, dot.y),
        Align2::LEFT_CENTER,
        model.chip(),
        font.clone(),
        if alert {
            look.colours.alert
        } else {
            look.colours.text
        },
    );
}

/// The score of what is shown: a bar and a number.
pub(super) fn draw_confidence(
    ui: &Ui,
    row: Rect,
    look: Look,
    font: &FontId,
    model: &ViewModel,
    accent: Color32,
) {
    // A score from a few seconds never looks like one from a whole frame.
    let so_far = if model.is_settled() {
        String::new()
    } else {
        format!(" {}", model.words().so_far)
    };
    let text = percent(model.confidence) + &so_far;
    let text_w = text_width(ui, &format!("100 %{so_far}"), font);
    let bar_h = look.len(7.0).max(4.0);
    let track = Rect::from_min_size(
        pos2(row.left(), row.center().y - bar_h / 2.0),
        vec2(row.width() - text_w - look.len(10.0), bar_h),
    );
    fill_bar(ui, look, track, model.confidence, accent);
    ui.painter().text(
        row.right_center(),
        Align2::RIGHT_CENTER,
        text,
        font.clone(),
        if model.is_vivid() && model.is_settled() {
            look.colours.strong
        } else {
            look.colours.text
        },
    );
}

/// State, genre, confidence, and the level.
pub(super) fn draw_answer(ui: &mut Ui, rect: Rect, look: Look, model: &ViewModel, memory: &Memory) {
    let vivid = memory.vivid;
    let accent = accent(look, model, vivid);
    // Why nothing is named is asked of the place where the name would be.
    let whole = ui.interact(rect, Id::unique("answer"), Sense::hover());
    whole.widget_info(|| WidgetInfo::labeled(Role::Label, true, model.headline()));
    let whole = match model.why() {
        Some(why) => whole.on_hover_text(why),
        None => whole,
    };
    let alert = is_alarming(model);

    let chip_font = look.font(13.0);
    let chip_h = chip_font.size * 1.3;
    let chip = pos2(rect.left(), rect.top() + chip_h / 2.0);
    draw_chip(ui, chip, look, &chip_font, model, accent);

    let level_h = look.font(11.0).size * 1.25 + look.len(8.0);
    let level = Rect::from_min_max(pos2(rect.left(), rect.bottom() - level_h), rect.max);

    let headline = model.headline();
    let largest = look.font(86.0).size.min(rect.height() * 0.38);
    let natural = text_width(ui, &headline, &FontId::proportional(100.0)) / 100.0;
    let size = largest.min(rect.width() / natural.max(0.1)).max(14.0);
    let sure = if model.is_vivid() && model.is_settled() {
        look.colours.strong
    } else {
        look.colours.text
    };
    let colour = theme::mix(look.colours.text, sure, vivid);
    let top = rect.top() + chip_h + look.len(6.0);
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

    let mut y = bottom + look.len(14.0);
    if model.genre.is_some() && model.is_vivid() {
        let font = look.font(17.0);
        let row_h = font.size * 1.3;
        let row = Rect::from_min_size(pos2(rect.left(), y), vec2(rect.width(), row_h));
        draw_confidence(ui, row, look, &font, model, accent);
        y += row_h + look.len(4.0);
    }

    let detail = model.detail();
    let font = look.font(14.0);
    let ink = if alert && model.past.is_none() {
        look.colours.alert
    } else {
        look.colours.text
    };
    // Words that do not fit give way to the level meter, not the other way round; no line is cut.
    let room = Rect::from_min_max(pos2(rect.left(), y), pos2(rect.right(), level.top()));
    let row_h = ui.ctx().fonts_mut(|fonts| fonts.row_height(&font));
    let mut job = LayoutJob::simple(detail.clone(), font, ink, rect.width());
    job.wrap.max_rows = ((room.height() + 1.0) / row_h).max(0.0) as usize;
    let galley = if job.wrap.max_rows == 0 {
        None
    } else {
        Some(ui.ctx().fonts_mut(|fonts| fonts.layout_job(job)))
    };
    if galley.as_ref().is_none_or(|galley| galley.elided) {
        whole.on_hover_text(detail);
    }
    let below = galley.as_ref().map_or(0.0, |galley| galley.size().y);
    if let Some(share) = model.progress() {
        // Under its words, so that it is not taken for a second score.
        let top = y + below + look.len(6.0).max(4.0);
        let height = look.len(3.0).max(2.0);
        let track = Rect::from_min_size(pos2(rect.left(), top), vec2(rect.width(), height));
        if track.bottom() < level.top() {
            fill_bar(ui, look, track, share, look.colours.dim);
        }
    }
    if let Some(galley) = galley {
        ui.painter().galley(room.min, galley, ink);
    }

    draw_level(ui, level, look, model, memory);
}

fn draw_level(ui: &Ui, rect: Rect, look: Look, model: &ViewModel, memory: &Memory) {
    let font = look.font(11.0);
    let level = memory.level_dbfs.min(model.level_dbfs + 60.0);
    let number = if model.level_dbfs <= -100.0 {
        // The font has a sign for infinity that is too small to be read.
        model.words().level_silent.to_owned()
    } else {
        format!("{:.0} dB", model.level_dbfs).replace('-', "−")
    };
    let mid = rect.bottom() - font.size * 0.65;
    let label = ui.painter().text(
        pos2(rect.left(), mid),
        Align2::LEFT_CENTER,
        model.words().level,
        font.clone(),
        look.colours.dim,
    );
    let number_w =
        text_width(ui, "−100 dB", &font).max(text_width(ui, model.words().level_silent, &font));
    ui.painter().text(
        pos2(rect.right(), mid),
        Align2::RIGHT_CENTER,
        number,
        font,
        look.colours.dim,
    );
    let height = look.len(5.0).max(3.0);
    let track = Rect::from_min_max(
        pos2(label.right() + look.len(10.0), mid - height / 2.0),
        pos2(rect.right() - number_w - look.len(4.0), mid + height / 2.0),
    );
    let place = |dbfs: f32| ((dbfs - METER_FLOOR_DBFS) / -METER_FLOOR_DBFS).clamp(0.0, 1.0);
    let hot = level > -1.0;
    fill_bar(
        ui,
        look,
        track,
        place(level),
        if hot {
            look.colours.alert
        } else {
            look.colours.text
        },
    );
    for tick in [-48.0, -36.0, -24.0, -12.0] {
        let x = track.left() + track.width() * place(tick);
        ui.painter().vline(
            x,
            track.top()..=track.bottom(),
            Stroke::new(look.len(1.0).max(1.0), look.colours.background),
        );
    }
}
