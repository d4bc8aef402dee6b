//! The last minutes: which genre when.

use egui::{Align2, Color32, CursorIcon, Id, Rect, Sense, Stroke, Ui, pos2};
use genrescope::decision::State;

use super::{Memory, widgets::text_width};
use crate::{
    editor::{
        theme::{self, Scale},
        view_model::{ViewModel, percent},
    },
    history::Span,
    song::SongTime,
};

/// The last two or ten minutes, the newest at the right edge.
pub(super) fn draw_strip(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    memory: &mut Memory,
) {
    let minutes: u8 = if memory.far { 10 } else { 2 };
    let reach_s = f64::from(minutes) * 60.0;
    let font = scale.font(11.0);
    let legend_h = font.size * 1.35;
    let area = Rect::from_min_max(rect.min, pos2(rect.right(), rect.bottom() - legend_h));
    let radius = scale.len(4.0);
    ui.painter().rect_filled(area, radius, theme::TRACK);

    let now = model.now_s();
    let x = |at: f64| area.right() - ((now - at) / reach_s) as f32 * area.width();
    let clip = ui.painter().with_clip_rect(area);
    let older = model
        .history
        .partition_point(|span| span.end < now - reach_s);
    let history = &model.history[older..];
    for span in history {
        let cell = Rect::from_min_max(
            pos2(x(span.start).max(area.left()), area.top()),
            pos2(x(span.end), area.bottom()),
        );
        if cell.width() > 0.0 {
            draw_span(&clip, cell, scale, span);
        }
    }
    // A name in every run that has room for it: colour is never the only word.
    let mut rest = history;
    while let Some(first) = rest.first() {
        let end = rest
            .iter()
            .position(|span| span.genre != first.genre)
            .unwrap_or(rest.len());
        if let Some(genre) = first.genre {
            let (from, to) = (x(first.start).max(area.left()), x(rest[end - 1].end));
            let title = model.title(genre);
            let pad = scale.len(5.0);
            let width = text_width(ui, &title, &font) + 2.0 * pad;
            let under = rest[..end]
                .iter()
                .take_while(|span| x(span.start) < from + width)
                .map(|span| span_colour(genre, span.state));
            if to - from > width {
                ui.painter().text(
                    pos2(from + pad, area.bottom() - pad * 0.6),
                    Align2::LEFT_BOTTOM,
                    title,
                    font.clone(),
                    theme::ink_on(under),
                );
            }
        }
        rest = &rest[end..];
    }

    let legend = rect.bottom() - legend_h / 2.0 + scale.len(1.0);
    for (share, anchor, text) in [
        (0.0, Align2::LEFT_CENTER, format!("{minutes} min ago")),
        (0.5, Align2::CENTER_CENTER, format!("{} min", minutes / 2)),
        (1.0, Align2::RIGHT_CENTER, "now".to_owned()),
    ] {
        let x = area.left() + area.width() * share;
        // Where the song stood, if it played then.
        let at = now - f64::from(1.0 - share) * reach_s;
        let text = match song_at(history, at) {
            Some(song) if !scale.is_compact() => format!("{text}: {}", song.words()),
            _ => text,
        };
        ui.painter()
            .text(pos2(x, legend), anchor, text, font.clone(), theme::DIM);
    }

    if model.history.is_empty() {
        ui.painter().text(
            area.center(),
            Align2::CENTER_CENTER,
            format!("What was heard in the last {minutes} minutes appears here"),
            font.clone(),
            theme::DIM,
        );
    }

    let response = ui
        .interact(area, Id::unique("strip"), Sense::click())
        .on_hover_cursor(CursorIcon::PointingHand);
    if response.clicked() {
        memory.far = !memory.far;
    }
    if let Some(pointer) = response.hover_pos() {
        let at = now - f64::from((area.right() - pointer.x) / area.width()) * reach_s;
        let mut spans = history.iter();
        if let Some(span) = spans.find(|span| (span.start..span.end).contains(&at)) {
            let ago = (now - at).round();
            let what = match (span.genre, span.state) {
                (Some(genre), _) => {
                    format!("{} {}", model.title(genre), percent(span.confidence))
                }
                (None, state) => state.words().to_owned(),
            };
            let song = song_at(history, at)
                .map_or_else(String::new, |song| format!(", at {}", song.words()));
            let other = if memory.far { "two" } else { "ten" };
            response.on_hover_text_at_pointer(format!(
                "{what}, {ago:.0} s ago{song}\nClick for the last {other} minutes."
            ));
        }
    }
}

/// Where the song stood at a position of the stream.
fn song_at(history: &[Span], at: f64) -> Option<SongTime> {
    let span = history
        .iter()
        .find(|span| span.start < at && at <= span.end)?;
    span.song_at(at)
}

/// A genre's colour on the strip: fainter while it rests on less than a whole frame.
fn span_colour(genre: usize, state: State) -> Color32 {
    theme::mix(
        theme::TRACK,
        theme::genre(genre, 1.0),
        theme::strength(state == State::Provisional),
    )
}

/// Colour says the genre, height the confidence; without a genre, the shape says why.
fn draw_span(painter: &egui::Painter, cell: Rect, scale: Scale, span: &Span) {
    let from_bottom =
        |height: f32| Rect::from_min_max(pos2(cell.left(), cell.bottom() - height), cell.max);
    let thin = scale.len(3.0).max(2.0);
    match (span.genre, span.state) {
        (Some(genre), state) => {
            let colour = span_colour(genre, state);
            painter.rect_filled(cell, 0.0, theme::mix(theme::TRACK, colour, 0.30));
            let height = cell.height() * (0.42 + 0.58 * span.confidence.clamp(0.0, 1.0));
            painter.rect_filled(from_bottom(height), 0.0, colour);
        }
        (None, State::Unsure) => {
            painter.rect_filled(from_bottom(cell.height() * 0.42), 0.0, theme::GREY);
        }
        (None, State::NotMusic) => {
            let hatch = painter.with_clip_rect(cell.intersect(painter.clip_rect()));
            let step = scale.len(6.0).max(4.0);
            // Lines start at multiples of the step, so that neighbouring cells join.
            let mut x = ((cell.left() - cell.height()) / step).floor() * step;
            while x < cell.right() {
                hatch.line_segment(
                    [pos2(x, cell.bottom()), pos2(x + cell.height(), cell.top())],
                    Stroke::new(scale.len(1.2).max(1.0), theme::GREY),
                );
                x += step;
            }
        }
        (None, State::Silent | State::Lost) => {
            painter.rect_filled(from_bottom(thin * 0.5), 0.0, theme::GREY);
        }
        (None, _) => {
            painter.rect_filled(from_bottom(thin), 0.0, theme::LINE);
        }
    }
}
