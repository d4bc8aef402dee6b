//! The page of what a song was as a whole, and of its table.

use egui::{Align2, Color32, Rect, Ui, pos2, vec2};
use genrescope::{
    units::Seconds,
    words::{Words, fill},
};

use super::{
    Action, Memory,
    widgets::{button, fill_bar, shorten, text_width},
};
use crate::{
    editor::{
        theme::Look,
        view_model::{ViewModel, percent},
    },
    history::{csv, summary::Summary},
};

/// A genre or a reason, and its time.
struct Row {
    name: String,
    seconds: f64,
    colour: Color32,
}

/// Draws the page.
pub(super) fn draw_song(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    memory: &mut Memory,
    actions: &mut Vec<Action>,
) {
    let font = look.font(13.0);
    let words = model.words();
    let summary = Summary::of(&model.history);
    let heading = if model.history.is_empty() {
        words.heard_nothing.to_owned()
    } else {
        let heard = Seconds(summary.heard_s.round()).to_string();
        let named = Seconds(summary.named_s().round()).to_string();
        fill(words.heard, &[("heard", &heard), ("named", &named)])
    };
    let heading = shorten(ui, &heading, &look.font(15.0), rect.width());
    ui.painter().text(
        rect.min,
        Align2::LEFT_TOP,
        heading,
        look.font(15.0),
        look.colours.strong,
    );
    let buttons_h = font.size * 2.0;
    let note_h = font.size * 1.5;
    let buttons = Rect::from_min_max(
        pos2(rect.left(), rect.bottom() - buttons_h - note_h),
        pos2(rect.right(), rect.bottom() - note_h),
    );
    let list = Rect::from_min_max(
        pos2(rect.left(), rect.top() + look.font(15.0).size * 1.7),
        pos2(rect.right(), buttons.top() - look.len(6.0)),
    );
    draw_rows(
        ui,
        list,
        look,
        words,
        &rows(look, model, &summary),
        &summary,
    );
    draw_buttons(ui, buttons, look, model, memory, actions);
    let note = match (&model.saved, memory.copied) {
        (_, Some(rows)) => (fill(words.copied, &[("count", &rows.to_string())]), false),
        (Some(Ok(path)), _) => (fill(words.saved, &[("path", path)]), false),
        (Some(Err(trouble)), _) => (trouble.clone(), true),
        (None, None) => (words.table.to_owned(), false),
    };
    let colour = if note.1 {
        look.colours.alert
    } else {
        look.colours.dim
    };
    let small = look.font(12.0);
    let text = shorten(ui, &note.0, &small, rect.width());
    let place = Rect::from_min_max(pos2(rect.left(), buttons.bottom()), rect.max);
    ui.painter()
        .text(rect.left_bottom(), Align2::LEFT_BOTTOM, text, small, colour);
    ui.interact(place, egui::Id::unique("saved"), egui::Sense::hover())
        .on_hover_text(note.0);
}

/// Genres, the longest first, then why none was named.
fn rows(look: Look, model: &ViewModel, summary: &Summary) -> Vec<Row> {
    let genres = summary.genres.iter().map(|&(genre, seconds)| Row {
        name: model.title(genre),
        seconds,
        colour: look.genre(genre, 1.0),
    });
    let unnamed = summary.unnamed.iter().map(|&(reason, seconds)| Row {
        name: fill(
            model.words().no_genre,
            &[("reason", model.words().reason(reason))],
        ),
        seconds,
        colour: look.colours.grey,
    });
    genres.chain(unnamed).collect()
}

fn draw_rows(ui: &Ui, rect: Rect, look: Look, words: &Words, rows: &[Row], summary: &Summary) {
    let row_h = look.font(13.0).size * 1.5;
    let font = look.font(13.0);
    let room = ((rect.height() / row_h) as usize).max(1);
    let shown = if rows.len() > room {
        room - 1
    } else {
        rows.len()
    };
    let gap = look.len(12.0).max(6.0);
    let time_w = text_width(ui, "0:00:00", &font) + gap;
    let share_w = text_width(ui, "100 %", &font) + gap;
    let name_w = rows[..shown]
        .iter()
        .map(|row| text_width(ui, &row.name, &font))
        .fold(0.0_f32, f32::max)
        .min(rect.width() * 0.5);
    for (place, row) in rows[..shown].iter().enumerate() {
        let top = rect.top() + place as f32 * row_h;
        let mid = top + row_h / 2.0;
        let text = |x: f32, anchor, text: String| {
            ui.painter()
                .text(pos2(x, mid), anchor, text, font.clone(), look.colours.text);
        };
        let share = summary.share(row.seconds);
        text(
            rect.left(),
            Align2::LEFT_CENTER,
            shorten(ui, &row.name, &font, name_w),
        );
        text(rect.right(), Align2::RIGHT_CENTER, percent(share));
        text(
            rect.right() - share_w,
            Align2::RIGHT_CENTER,
            Seconds(row.seconds.round()).to_string(),
        );
        let bar_h = (row_h * 0.4).max(3.0);
        let track = Rect::from_min_size(
            pos2(rect.left() + name_w + gap, mid - bar_h / 2.0),
            vec2(rect.width() - name_w - time_w - share_w - gap, bar_h),
        );
        if track.width() > look.len(20.0) {
            fill_bar(ui, look, track, share, row.colour);
        }
    }
    if shown < rows.len() {
        let rest: f64 = rows[shown..].iter().map(|row| row.seconds).sum();
        let more = rows.len() - shown;
        let (more, rest) = (more.to_string(), Seconds(rest.round()).to_string());
        let text = fill(words.more, &[("count", &more), ("time", &rest)]);
        let mid = rect.top() + (shown as f32 + 0.5) * row_h;
        let place = pos2(rect.left(), mid);
        ui.painter()
            .text(place, Align2::LEFT_CENTER, text, font, look.colours.dim);
    }
}

/// What a button does.
enum Export {
    Save,
    Copy,
    Forget,
}

fn draw_buttons(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    memory: &mut Memory,
    actions: &mut Vec<Action>,
) {
    let font = look.font(13.0);
    let mut left = rect.left();
    let words = model.words();
    for (name, hint, what) in [
        (words.save_csv, words.save_csv_hint, Export::Save),
        (words.copy_csv, words.copy_csv_hint, Export::Copy),
        (words.forget, words.forget_hint, Export::Forget),
    ] {
        let width = text_width(ui, name, &font) + look.len(28.0);
        let place = Rect::from_min_max(pos2(left, rect.top()), pos2(left + width, rect.bottom()));
        let response = button(ui, look, place, name, name, &font, false);
        if response.clicked() && !model.history.is_empty() {
            memory.copied = None;
            match what {
                Export::Save => actions.push(Action::SaveCsv),
                Export::Copy => {
                    ui.ctx()
                        .copy_text(csv::table(&model.history, &model.labels));
                    memory.copied = Some(model.history.iter().len());
                }
                Export::Forget => {
                    memory.pinned = None;
                    actions.push(Action::Forget);
                }
            }
        }
        response.on_hover_text(hint);
        left += width + look.len(8.0);
    }
}
