//! What opens over the picture: the help, and the list of sources.

use ratatui::{
    Frame,
    layout::Rect,
    style::{Modifier, Style},
    text::Line,
    widgets::{Block, Clear, Paragraph},
};

use super::Devices;
use crate::words::Words;

fn popup(frame: &mut Frame, area: Rect, title: &str, lines: &[Line<'static>]) {
    let widest = lines.iter().map(Line::width).max().unwrap_or(0);
    let width = (widest.max(title.chars().count()) as u16)
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

pub(super) fn draw_devices(frame: &mut Frame, area: Rect, devices: &Devices, words: &Words) {
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
        lines.push(Line::raw(words.no_sources.to_owned()));
    }
    popup(frame, area, words.pick_source, &lines);
}

pub(super) fn draw_help(frame: &mut Frame, area: Rect, live: bool, words: &Words) {
    let keys = [
        ("r", words.help_reset),
        ("h", words.help_hold),
        ("- +", words.help_averaging),
        ("m", words.help_mean),
        ("d", words.help_device),
        ("q", words.help_quit),
    ];
    let mut lines: Vec<Line> = keys
        .into_iter()
        .filter(|(key, _)| live || *key != "d")
        .map(|(key, what)| Line::raw(format!("{key:<7}{what}")))
        .collect();
    lines.push(Line::raw(""));
    lines.extend(
        [
            words.help_bars,
            words.help_strip,
            words.help_first,
            words.help_full,
        ]
        .map(|line| Line::raw(line.to_owned())),
    );
    popup(frame, area, words.any_key, &lines);
}
