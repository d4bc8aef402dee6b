//! What opens over the picture: the help, and the list of sources.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Clear, Paragraph},
};

use super::Devices;

fn popup(frame: &mut Frame, area: Rect, title: &str, lines: &[Line<'static>]) {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = (widest.max(title.len()) as u16)
        .saturating_add(4)
        .min(area.width);
    let height = (lines.len() as u16).saturating_add(2).min(area.height);
    let place = Rect::new(
        area.x + (area.width - width) / 2,
        area.y + (area.height - height) / 2,
        width,
        height,
    );
    frame.render_widget(Clear, place);
    let text = Paragraph::new(lines.to_vec()).block(Block::bordered().title(title.to_owned()));
    frame.render_widget(text, place);
}

pub(super) fn draw_devices(frame: &mut Frame, area: Rect, devices: &Devices) {
    let room = usize::from(area.height.saturating_sub(2)).max(1);
    let first = (devices.cursor + 1).saturating_sub(room);
    let mut lines: Vec<Line> = devices
        .list
        .iter()
        .enumerate()
        .skip(first)
        .take(room)
        .map(|(index, (_, name))| {
            let style = if index == devices.cursor {
                Style::new().add_modifier(Modifier::REVERSED)
            } else {
                Style::new()
            };
            Line::styled(format!(" {name} "), style)
        })
        .collect();
    if lines.is_empty() {
        lines.push(Line::raw("no sources"));
    }
    popup(frame, area, "enter: listen to, esc: back", &lines);
}

pub(super) fn draw_help(frame: &mut Frame, area: Rect, live: bool) {
    let mut lines = vec![
        Line::raw("r      forget what was heard so far"),
        Line::raw("h      hold the answer, or let go"),
        Line::raw("- +    average over less or more time (0: each frame)"),
        Line::raw("m      mean, or geometric mean: one clear no weighs more"),
        Line::raw("q      quit"),
        Line::raw(""),
        Line::raw("Bars: the average over time, as it stands."),
        Line::raw("Strip: the last minutes; half-tone is an answer so far."),
        Line::raw("The first answer comes after 3 s of music,"),
        Line::raw("the full one after half a minute."),
    ];
    if live {
        lines.insert(4, Line::raw("d      listen to another source"));
    }
    popup(frame, area, "any key: back", &lines);
}
