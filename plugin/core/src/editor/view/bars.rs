//! A bar for each genre.

use egui::{Align2, FontId, Id, Rect, Role, Sense, Stroke, Ui, WidgetInfo, pos2, vec2};
use genrescope::words::fill;

use super::{
    Memory, shown_score,
    widgets::{fill_bar, shorten, text_width},
};
use crate::editor::{
    theme::{self, Look},
    view_model::{ViewModel, percent},
};

/// A bar per label, in label order so that each stays where the eye has learnt it; in columns when
/// there are many.
pub(super) fn draw_bars(ui: &mut Ui, rect: Rect, look: Look, model: &ViewModel, memory: &Memory) {
    let mut listed = model.listed();
    listed.retain(|&index| index < memory.bars.len());
    let n = listed.len();
    if n == 0 {
        return;
    }
    let font = look.font(14.0);
    let least = font.size * 1.15;
    let gutter = look.len(18.0);
    let widest = listed
        .iter()
        .map(|&index| text_width(ui, &model.row_title(index), &font))
        .fold(0.0_f32, f32::max)
        .min(font.size * 9.0);
    let names_w = widest + text_width(ui, "100 %", &font) + look.len(22.0);
    let most_rows = ((rect.height() / least) as usize).max(1);
    let columns = |least_w: f32| {
        let most_columns = ((rect.width() + gutter) / (least_w + gutter)) as usize;
        n.div_ceil(most_rows).clamp(1, most_columns.clamp(1, 4))
    };
    // A few more than have room are set a little smaller.
    let squeezed = |n_columns: usize| n_columns * (rect.height() / (least * 0.85)) as usize;
    // All labels with bars; else all with names and numbers; else the best with bars. Names that
    // are cut say nothing.
    let (with_bars, without) = (columns(names_w + look.len(48.0)), columns(names_w));
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
    let row_h = (rect.height() / n_rows as f32).min(look.len(36.0).max(least));
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
        .min(column_w - percent_w - look.len(22.0));
    let top = rect.top() + (rect.height() - row_h * n_rows as f32) / 2.0;
    let bar_h = (row_h * 0.42).min(look.len(14.0)).max(3.0);

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
            look.colours.dim,
            if is_shown {
                look.colours.strong
            } else {
                look.colours.text
            },
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
            pos2(area.left() + label_w + look.len(12.0), mid - bar_h / 2.0),
            pos2(area.right() - percent_w - look.len(10.0), mid + bar_h / 2.0),
        );
        let value = memory.bars[index];
        let newest = model.newest.get(index).copied();
        // Ten marks at nothing would say nothing.
        let newest = newest.filter(|score| model.is_vivid() && *score > 0.015);
        if track.width() > look.len(24.0) {
            let colour = look.genre(index, memory.vivid);
            let strength = model.strength() * if is_shown { 1.0 } else { 0.78 };
            fill_bar(
                ui,
                look,
                track,
                value,
                theme::mix(look.colours.track, colour, strength),
            );
            if let Some(newest) = newest {
                let x = track.left() + track.width() * newest.clamp(0.0, 1.0);
                let over = look.len(2.0).max(1.0);
                ui.painter().vline(
                    x.clamp(track.left() + 1.0, track.right() - 1.0),
                    track.top() - over..=track.bottom() + over,
                    Stroke::new(look.len(1.5).max(1.0), text),
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
            response.on_hover_text(fill(
                model.words().bar_hint,
                &[
                    ("genre", &model.title(index)),
                    ("score", &percent(model.scores[index])),
                    ("newest", &percent(newest)),
                    ("seconds", &format!("{:.0}", model.heard_s)),
                ],
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
