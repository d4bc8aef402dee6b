//! The last minutes: which genre when.

use egui::{
    Align2, Color32, CursorIcon, EventFilter, Id, Key, Rect, Response, Role, Sense, Shape, Stroke,
    Ui, WidgetInfo, pos2, vec2,
};
use genrescope::{decision::State, units::Seconds, words::fill};

use super::{
    Action, Memory,
    widgets::{button, focus_ring, text_width},
};
use crate::{
    editor::{
        theme::{self, Look},
        view_model::{ViewModel, percent},
    },
    history::Cell,
    params::Reach,
};

/// Narrowest piece of the strip, in points: an hour has more readouts than the window has pixels.
const LEAST_W: f32 = 2.0;

/// Room below the strip for what its ends are, and for how far it reaches.
fn legend_h(look: Look) -> f32 {
    look.font(11.0).size * 1.6
}

/// Height of all of it.
pub(super) fn height(look: Look) -> f32 {
    // The legend's text does not shrink with the window, so the strip above it needs room of its
    // own.
    look.len(50.0).max(22.0) + legend_h(look)
}

/// The last two, ten or sixty minutes, the newest at the right edge; and the moment that is pinned.
pub(super) fn draw_strip(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    memory: &mut Memory,
    actions: &mut Vec<Action>,
) {
    let words = model.words();
    let font = look.font(11.0);
    let legend = Rect::from_min_max(pos2(rect.left(), rect.bottom() - legend_h(look)), rect.max);
    let area = Rect::from_min_max(rect.min, pos2(rect.right(), legend.top()));
    ui.painter()
        .rect_filled(area, look.len(4.0), look.colours.track);

    let time = Time {
        area,
        now: model.history.end_s(),
        reach_s: model.reach.seconds(),
    };
    let least_s = time.reach_s * f64::from(LEAST_W / area.width().max(1.0));
    let cells = model.history.cells(time.now - time.reach_s, least_s);
    draw_cells(ui, look, model, &time, &cells);
    if cells.is_empty() {
        ui.painter().text(
            area.center(),
            Align2::CENTER_CENTER,
            in_minutes(words.strip_empty, model.reach),
            font,
            look.colours.dim,
        );
    }
    draw_legend(ui, legend, look, model, &time, actions);

    let response = ui
        .interact(area, Id::unique("strip"), Sense::click_and_drag())
        .on_hover_cursor(CursorIcon::PointingHand);
    response.widget_info(|| {
        WidgetInfo::labeled(Role::Label, true, in_minutes(words.strip_name, model.reach))
    });
    focus_ring(ui, look, &response, area, look.len(4.0));
    pin(ui, &response, &time, model, memory);
    if let Some(at) = memory.pinned {
        draw_pin(ui, look, &time, at);
    }
    explain(response, &time, model, memory);
}

/// A sentence of so many minutes.
fn in_minutes(sentence: &str, reach: Reach) -> String {
    fill(sentence, &[("minutes", &reach.minutes().to_string())])
}

/// Where a moment is on the strip.
struct Time {
    area: Rect,
    now: f64,
    reach_s: f64,
}

impl Time {
    fn x(&self, at: f64) -> f32 {
        let back = ((self.now - at) / self.reach_s) as f32;
        self.area.right() - back * self.area.width()
    }

    fn at(&self, x: f32) -> f64 {
        let back = f64::from((self.area.right() - x) / self.area.width());
        self.now - back * self.reach_s
    }
}

fn draw_cells(ui: &Ui, look: Look, model: &ViewModel, time: &Time, cells: &[Cell]) {
    let area = time.area;
    let clip = ui.painter().with_clip_rect(area);
    for cell in cells {
        let place = Rect::from_min_max(
            pos2(time.x(cell.start).max(area.left()), area.top()),
            pos2(time.x(cell.end), area.bottom()),
        );
        if place.width() > 0.0 {
            draw_cell(&clip, place, look, cell);
        }
    }
    // A name in every run that has room for it: colour is never the only word.
    let font = look.font(11.0);
    for run in cells.chunk_by(|a, b| a.genre == b.genre) {
        let (Some(first), Some(last)) = (run.first(), run.last()) else {
            continue;
        };
        let Some(genre) = first.genre else { continue };
        let (from, to) = (time.x(first.start).max(area.left()), time.x(last.end));
        let title = model.title(genre);
        let pad = look.len(5.0).max(3.0);
        let width = text_width(ui, &title, &font) + 2.0 * pad;
        let under = run
            .iter()
            .take_while(|cell| time.x(cell.start) < from + width)
            .map(|cell| cell_colour(look, genre, cell.state));
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
}

/// What the ends are, and how far it reaches.
fn draw_legend(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    time: &Time,
    actions: &mut Vec<Action>,
) {
    let font = look.font(11.0);
    let words = model.words();
    let mid = rect.center().y + look.len(1.0);
    let name = |reach: Reach| format!("{} min", reach.minutes());
    let pad = look.len(14.0).max(8.0);
    let gap = look.len(4.0).max(2.0);
    let widths = Reach::ALL.map(|reach| text_width(ui, &name(reach), &font) + pad);
    let whole = widths.iter().sum::<f32>() + gap * (widths.len() - 1) as f32;
    let first = rect.center().x - whole / 2.0;
    let mut left = first;
    for (reach, width) in Reach::ALL.into_iter().zip(widths) {
        let place = Rect::from_min_max(
            pos2(left, rect.top() + look.len(3.0).max(1.0)),
            pos2(left + width, rect.bottom()),
        );
        let name = name(reach);
        let response = button(ui, look, place, &name, &name, &font, model.reach == reach);
        if response.clicked() {
            actions.push(Action::Reach(reach));
        }
        response.on_hover_text(in_minutes(words.reach_hint, reach));
        left += width + gap;
    }

    let room = first - rect.left() - gap;
    for (x, at, anchor, text) in [
        (
            rect.left(),
            time.now - time.reach_s,
            Align2::LEFT_CENTER,
            in_minutes(words.minutes_ago, model.reach),
        ),
        (
            rect.right(),
            time.now,
            Align2::RIGHT_CENTER,
            words.now.to_owned(),
        ),
    ] {
        // Where the song stood, if it played then, as far as there is room.
        let song = model.history.song_at(at);
        let long = song.map(|song| format!("{text}: {}", song.words(words)));
        let shown = long
            .into_iter()
            .chain([text])
            .find(|text| text_width(ui, text, &font) <= room);
        if let Some(shown) = shown {
            ui.painter()
                .text(pos2(x, mid), anchor, shown, font.clone(), look.colours.dim);
        }
    }
}

/// A click pins the moment under the pointer, dragging moves it, arrows step; another click lets it
/// go.
fn pin(ui: &Ui, response: &Response, time: &Time, model: &ViewModel, memory: &mut Memory) {
    let under = response
        .interact_pointer_pos()
        .map(|pointer| time.at(pointer.x).clamp(time.now - time.reach_s, time.now));
    let step = |at: f64, by: isize| model.history.step(at, by);
    if response.dragged() {
        memory.pinned = under.or(memory.pinned);
    } else if response.clicked() {
        memory.pinned = match memory.pinned {
            Some(_) => None,
            None => under.or_else(|| step(time.now, 0)),
        };
    }
    if response.has_focus() {
        let arrows = EventFilter {
            horizontal_arrows: true,
            ..EventFilter::default()
        };
        ui.memory_mut(|memory| memory.set_focus_lock_filter(response.id, arrows));
        let presses = |key| ui.input(|input| input.key_pressed(key));
        let by = isize::from(presses(Key::ArrowRight)) - isize::from(presses(Key::ArrowLeft));
        if by != 0 {
            memory.pinned = step(memory.pinned.unwrap_or(time.now), by);
        }
    }
}

/// A line with a head, so that it is not taken for a change of genre.
fn draw_pin(ui: &Ui, look: Look, time: &Time, at: f64) {
    let x = time.x(at);
    if x < time.area.left() {
        return;
    }
    let alert = look.colours.alert;
    let painter = ui.painter();
    let area = time.area;
    // On whatever colour is behind it.
    for (width, colour) in [
        (look.len(4.0).max(3.0), look.colours.background),
        (look.len(2.0).max(1.5), alert),
    ] {
        painter.vline(x, area.y_range(), Stroke::new(width, colour));
    }
    let head = look.len(5.0).max(4.0);
    painter.add(Shape::convex_polygon(
        vec![
            pos2(x - head, area.top() - head * 0.6),
            pos2(x + head, area.top() - head * 0.6),
            pos2(x, area.top() + head),
        ],
        alert,
        Stroke::new(1.0, look.colours.background),
    ));
}

/// What was shown under the pointer.
fn explain(response: Response, time: &Time, model: &ViewModel, memory: &Memory) {
    let Some(pointer) = response.hover_pos() else {
        return;
    };
    let at = time.at(pointer.x);
    let Some((span, _)) = model.history.at(at) else {
        return;
    };
    let words = model.words();
    let what = match (span.genre, span.reason) {
        (Some(genre), _) => format!("{} {}", model.title(genre), percent(span.confidence)),
        (None, Some(reason)) => {
            format!("{}: {}", words.state(span.state), words.reason(reason))
        }
        (None, None) => words.state(span.state).to_owned(),
    };
    let ago = Seconds((time.now - at).round()).to_string();
    let when = fill(words.strip_ago, &[("what", &what), ("time", &ago)]);
    let song = span.song_at(at).map_or_else(String::new, |song| {
        fill(words.strip_song, &[("song", &song.words(words))])
    });
    let hint = if memory.pinned.is_some() {
        words.strip_unpin
    } else {
        words.strip_pin
    };
    response.on_hover_text_at_pointer(format!("{when}{song}\n{hint}"));
}

/// A genre's colour on the strip: fainter while it rests on less than a whole frame.
fn cell_colour(look: Look, genre: usize, state: State) -> Color32 {
    theme::mix(
        look.colours.track,
        look.genre(genre, 1.0),
        theme::strength(state == State::Provisional),
    )
}

/// Colour says the genre, height the confidence; without a genre, the shape says why.
fn draw_cell(painter: &egui::Painter, place: Rect, look: Look, cell: &Cell) {
    let from_bottom =
        |height: f32| Rect::from_min_max(pos2(place.left(), place.bottom() - height), place.max);
    let thin = look.len(3.0).max(2.0);
    match (cell.genre, cell.state) {
        (Some(genre), state) => {
            let colour = cell_colour(look, genre, state);
            painter.rect_filled(place, 0.0, theme::mix(look.colours.track, colour, 0.30));
            let height = place.height() * (0.42 + 0.58 * cell.confidence.clamp(0.0, 1.0));
            painter.rect_filled(from_bottom(height), 0.0, colour);
        }
        (None, State::Unsure) => {
            painter.rect_filled(from_bottom(place.height() * 0.42), 0.0, look.colours.grey);
        }
        (None, State::NotMusic) => {
            let hatch = painter.with_clip_rect(place.intersect(painter.clip_rect()));
            let step = look.len(6.0).max(4.0);
            // Lines start at multiples of the step, so that neighbouring cells join.
            let mut x = ((place.left() - place.height()) / step).floor() * step;
            while x < place.right() {
                let from = pos2(x, place.bottom());
                hatch.line_segment(
                    [from, from + vec2(place.height(), -place.height())],
                    Stroke::new(look.len(1.2).max(1.0), look.colours.grey),
                );
                x += step;
            }
        }
        (None, State::Silent | State::Lost) => {
            painter.rect_filled(from_bottom(thin * 0.5), 0.0, look.colours.grey);
        }
        (None, _) => {
            painter.rect_filled(from_bottom(thin), 0.0, look.colours.line);
        }
    }
}
