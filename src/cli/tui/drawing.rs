//! How the view is drawn: which parts have room, and what each of them shows.

use ratatui::{
    Frame,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Paragraph, Wrap},
};

use super::{
    Moment, View,
    font::big_text,
    popups::{draw_devices, draw_help},
};
use crate::{
    decision::{State, average::Mean},
    genre::Scores,
    units::Seconds,
    words::fill,
    words::sentences::{state_words, warming_words},
};

/// The strip shows this much, or more where the terminal is wide.
const STRIP_S: usize = 180;

/// Bottom of the level meter, in dBFS.
const METER_FLOOR_DB: f32 = -60.0;

impl View {
    /// Draws everything that has room, the most important first.
    pub fn draw(&self, frame: &mut Frame) {
        let area = frame.area();
        if area.width == 0 || area.height == 0 {
            return;
        }
        let margin = ratatui::layout::Margin::new(
            if area.width > 60 { 2 } else { 0 },
            u16::from(area.height >= 28),
        );
        let area = area.inner(margin);
        let (width, height) = (area.width, area.height);
        let n_labels = self.labels.len() as u16;

        // Rows are given out by importance: headline, bars, state, meter, strip, titles.
        let large = self.headline_is_large(width, height, n_labels);
        let mut left = height;
        let mut take = |wanted: u16, needs: u16| {
            let given = if left >= needs { wanted.min(left) } else { 0 };
            left -= given;
            given
        };
        let headline = take(if large { 3 } else { 1 }, 1);
        let state = take(1, 1);
        let bars = take(n_labels.min(height.saturating_sub(3).max(1)), 1);
        let message = take(1, 1);
        let meter = take(1, 1);
        let strip = take(2, 1);
        let title = take(1, 1);
        let keys = take(1, 1);
        let caption = take(u16::from(self.caption.is_some()), 1);
        let scale = take(1, 1);
        let gaps: Vec<u16> = (0..4).map(|_| take(1, 1)).collect();
        // A long message takes two rows where there are two.
        let message = message + take(1, 1);

        let rows = Layout::vertical([
            Constraint::Length(title),
            Constraint::Length(caption),
            Constraint::Length(gaps[0]),
            Constraint::Length(headline),
            Constraint::Length(state),
            Constraint::Length(gaps[1]),
            Constraint::Length(bars),
            Constraint::Length(scale),
            Constraint::Length(strip),
            Constraint::Length(gaps[2]),
            Constraint::Length(meter),
            Constraint::Length(message),
            Constraint::Min(0),
            Constraint::Length(keys),
        ])
        .split(area);
        self.draw_title(frame, rows[0]);
        if let Some(caption) = &self.caption {
            frame.render_widget(Line::from(dim(caption.clone())), rows[1]);
        }
        self.draw_headline(frame, rows[3], large);
        self.draw_state(frame, rows[4]);
        self.draw_bars(frame, rows[6]);
        self.draw_scale(frame, rows[7]);
        self.draw_strip(frame, rows[8]);
        self.draw_meter(frame, rows[10]);
        self.draw_message(frame, rows[11]);
        self.draw_keys(frame, rows[13]);
        if let Some(devices) = &self.devices {
            draw_devices(frame, area, devices, self.look.words());
        } else if self.help {
            draw_help(frame, area, self.live, self.look.words());
        }
    }

    fn headline_is_large(&self, width: u16, height: u16, n_labels: u16) -> bool {
        let (text, _) = self.headline();
        height >= n_labels.min(20) + 7 && width as usize >= 6 * text.chars().count().max(1) - 1
    }

    /// The words in large type, and their colour.
    fn headline(&self) -> (String, Color) {
        let plain = Color::Reset;
        let Some(readout) = &self.readout else {
            return ("...".into(), plain);
        };
        match (readout.state, readout.genre) {
            (State::Live | State::Provisional, Some(genre)) => {
                let name = self.labels.get(genre).unwrap_or("?").to_owned();
                (name, self.look.genre(genre))
            }
            (State::Warming | State::Live | State::Provisional, _) => ("...".into(), plain),
            (state, _) => (self.look.words().state(state).into(), plain),
        }
    }

    fn draw_title(&self, frame: &mut Frame, area: Rect) {
        let clock = match &self.readout {
            Some(readout) if area.width > 40 => format!(" {}", readout.position),
            _ => String::new(),
        };
        let [title, time] =
            Layout::horizontal([Constraint::Min(0), Constraint::Length(clock.len() as u16)])
                .areas(area);
        let mut spans = vec![
            Span::styled("genrescope", Style::new().add_modifier(Modifier::BOLD)),
            Span::raw("  "),
            Span::raw(self.source.clone()),
        ];
        if area.width > 70 {
            spans.push(dim(format!("  {}", self.model)));
        }
        frame.render_widget(Line::from(spans), title);
        frame.render_widget(Line::raw(clock), time);
    }

    fn draw_headline(&self, frame: &mut Frame, area: Rect, large: bool) {
        let (text, color) = self.headline();
        let mut style = Style::new().fg(color).add_modifier(Modifier::BOLD);
        if self.is_so_far() {
            style = style.add_modifier(Modifier::DIM);
        }
        if !large || area.height < 3 {
            frame.render_widget(Line::styled(text, style), area);
            return;
        }
        let share = self.large_confidence(&text, area.width);
        let share = share.map_or([const { String::new() }; 3], |share| big_text(&share));
        let plain = Style::new().add_modifier(Modifier::DIM);
        let lines: Vec<Line> = big_text(&text)
            .into_iter()
            .zip(share)
            .map(|(name, share)| {
                Line::from(vec![
                    Span::styled(name, style),
                    Span::raw("  "),
                    Span::styled(share, plain),
                ])
            })
            .collect();
        frame.render_widget(Paragraph::new(lines), area);
    }

    /// The confidence beside the headline, where both have room.
    fn large_confidence(&self, headline: &str, width: u16) -> Option<String> {
        let readout = self.readout.as_ref()?;
        let text = format!("{:.0}%", readout.confidence * 100.0);
        let letters = headline.chars().count() + text.len();
        (readout.genre.is_some() && usize::from(width) > 6 * letters + 2).then_some(text)
    }

    fn is_so_far(&self) -> bool {
        self.readout
            .as_ref()
            .is_some_and(|r| r.state == State::Provisional)
    }

    fn draw_state(&self, frame: &mut Frame, area: Rect) {
        let words = self.look.words();
        let mut text = match &self.readout {
            Some(readout) => state_words(readout, &self.labels, self.since_readout, words),
            None => warming_words(Seconds(0.0), self.since_readout, words),
        };
        if self.ended {
            text.insert_str(0, words.the_end);
        }
        let mut spans = Vec::new();
        if self.hold {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            spans.push(Span::styled(format!(" {} ", words.tag_held), style));
            spans.push(Span::raw(" "));
        }
        spans.push(Span::raw(text));
        frame.render_widget(Line::from(spans), area);
    }

    fn draw_bars(&self, frame: &mut Frame, area: Rect) {
        let n_rows = usize::from(area.height);
        let order = self.labels.shown(&Scores::new(&self.shown), n_rows);
        // A kind stands below its family, a little to the right.
        let title = |index: usize| {
            let name = self.labels.get(index).unwrap_or("?");
            let indent = usize::from(self.labels.family_of(index).is_some());
            format!("{:indent$}{name}", "")
        };
        let name_width = order
            .iter()
            .map(|&index| title(index).chars().count())
            .max()
            .unwrap_or(0)
            .min(usize::from(area.width) / 2)
            .min(16);
        let bar_width = usize::from(area.width).saturating_sub(name_width + 8);
        let shown_genre = self.readout.as_ref().and_then(|r| r.genre);
        for (row, index) in order.into_iter().enumerate() {
            let score = self.shown[index].clamp(0.0, 1.0);
            let name: String = title(index).chars().take(name_width).collect();
            let mut style = Style::new();
            let is_shown = shown_genre
                .is_some_and(|genre| genre == index || self.labels.family_of(genre) == Some(index));
            if is_shown {
                style = style.add_modifier(Modifier::BOLD);
            }
            let line = Line::from(vec![
                Span::styled(format!("{name:<name_width$} "), style),
                Span::styled(
                    bar(score, bar_width),
                    Style::new().fg(self.look.genre(index)),
                ),
                Span::styled(format!(" {:>3.0} %", score * 100.0), style),
            ]);
            let place = Rect::new(area.x, area.y + row as u16, area.width, 1);
            frame.render_widget(line, place);
        }
    }

    /// Seconds in one cell of the strip.
    fn strip_step(&self, width: usize) -> usize {
        let shown = self.history.len().clamp(60, STRIP_S);
        shown.div_ceil(width.max(1)).max(1)
    }

    /// How long the strip below is.
    fn draw_scale(&self, frame: &mut Frame, area: Rect) {
        let width = usize::from(area.width);
        let seconds = self.strip_step(width) * width;
        if width < 30 || self.history.is_empty() {
            return;
        }
        let left = format!("-{}", Seconds(seconds as f64));
        let room = width - left.len();
        let now = self.look.words().now;
        frame.render_widget(Line::from(dim(format!("{left}{now:>room$}"))), area);
    }

    /// The last minutes, newest at the right: one row of colours, and one of names, which stand
    /// where a run begins.
    fn draw_strip(&self, frame: &mut Frame, area: Rect) {
        let width = usize::from(area.width);
        if width == 0 || area.height == 0 {
            return;
        }
        let per_cell = self.strip_step(width);
        let n_cells = (self.history.len() / per_cell).min(width);
        // Cells are cut at whole multiples of the stream's time, so that the picture moves and does
        // not boil.
        let newest_odd = (self.history_s as usize) % per_cell;
        let cell = |cells_ago: usize| -> Option<Moment> {
            let back = newest_odd + cells_ago * per_cell;
            let index = self.history.len().checked_sub(back + 1)?;
            self.history.get(index).copied()
        };
        let mut colors = vec![Span::raw(" ".repeat(width - n_cells))];
        let mut names = vec![' '; width];
        let mut before = None;
        let mut free_from = 0;
        for column in width - n_cells..width {
            let moment = cell(width - 1 - column);
            let (glyph, style, name) = self.strip_cell(moment);
            colors.push(Span::styled(glyph, style));
            let what = moment.map(|m| match m.genre {
                Some(genre) => (State::Live, Some(genre)),
                None => (m.state, None),
            });
            if what != before && column >= free_from {
                let room = width - column;
                for (place, letter) in names[column..].iter_mut().zip(name.chars().take(room)) {
                    *place = letter;
                }
                free_from = column + name.chars().count().min(room) + 1;
                before = what;
            }
        }
        let rows = vec![
            Line::from(colors),
            Line::from(dim(names.into_iter().collect::<String>())),
        ];
        frame.render_widget(Paragraph::new(rows), area);
    }

    fn strip_cell(&self, moment: Option<Moment>) -> (&'static str, Style, &str) {
        let plain = Style::new();
        let words = self.look.words();
        match moment {
            Some(Moment {
                state,
                genre: Some(genre),
            }) => {
                let style = plain.fg(self.look.genre(genre));
                let glyph = if state == State::Provisional {
                    "▒"
                } else {
                    "█"
                };
                (glyph, style, self.labels.get(genre).unwrap_or("?"))
            }
            Some(Moment { state, .. }) => match state {
                State::Unsure => ("░", plain, words.state(state)),
                State::NotMusic => ("~", plain, words.state(state)),
                State::Lost => ("x", plain, words.state(state)),
                State::Silent => ("·", plain, words.state(state)),
                State::Warming | State::Provisional | State::Live => ("·", plain, ""),
            },
            None => (" ", plain, ""),
        }
    }

    fn draw_meter(&self, frame: &mut Frame, area: Rect) {
        let words = self.look.words();
        let text = if self.level_dbfs <= -119.0 {
            "  -inf dBFS".to_owned()
        } else {
            let level = words.number(self.level_dbfs, 1);
            format!("{level:>6} dBFS")
        };
        let mut tail = String::new();
        if area.width > 56 {
            let load = words.number(self.load * 100.0, 1);
            tail = format!("   {}", fill(words.core_load, &[("load", &load)]));
            if self.dropped > 0 {
                tail = format!("{tail}   {}", self.dropped_words());
            }
        }
        let label = if area.width > 30 {
            format!("{} ", words.meter)
        } else {
            String::new()
        };
        let taken = [&label, &text, &tail].map(|part| part.chars().count());
        let room = usize::from(area.width)
            .saturating_sub(taken.iter().sum())
            .min(40);
        let share = |db: f32| ((db - METER_FLOOR_DB) / -METER_FLOOR_DB).clamp(0.0, 1.0);
        let filled = (share(self.level_dbfs) * room as f32).round() as usize;
        let peak = (share(self.peak_dbfs) * room as f32).round() as usize;
        let mut spans = vec![dim(label)];
        spans.extend((0..room).map(|i| {
            let db = METER_FLOOR_DB * (1.0 - (i as f32 + 0.5) / room as f32);
            let lit = Style::new().fg(self.look.level(db));
            match i {
                _ if i < filled => Span::styled("■", lit),
                _ if i + 1 == peak => Span::styled("|", lit),
                _ => dim("·"),
            }
        }));
        spans.push(Span::raw(text));
        spans.push(dim(tail));
        frame.render_widget(Line::from(spans), area);
    }

    fn dropped_words(&self) -> String {
        let count = self.dropped.to_string();
        fill(self.look.words().dropped, &[("count", &count)])
    }

    fn draw_message(&self, frame: &mut Frame, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let line = match (&self.message, &self.trouble) {
            (Some((message, _)), _) => Line::styled(message.clone(), bold),
            (None, Some(trouble)) => Line::styled(trouble.clone(), bold.fg(self.look.alarm())),
            (None, None) if self.dropped > 0 && area.width <= 60 => {
                Line::from(dim(self.dropped_words()))
            }
            (None, None) => Line::default(),
        };
        frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), area);
    }

    fn draw_keys(&self, frame: &mut Frame, area: Rect) {
        let words = self.look.words();
        let averaging = match self.averaging.0 {
            0.0 => words.key_each_frame.to_owned(),
            time => fill(words.key_over, &[("seconds", &time.to_string())]),
        };
        let hold = if self.hold {
            words.key_let_go
        } else {
            words.key_hold
        };
        let mean = match self.mean {
            Mean::Arithmetic => words.key_mean,
            Mean::Geometric => words.key_geometric,
        };
        let mut keys = vec![
            ("r", words.key_reset),
            ("h", hold),
            ("-/+", averaging.as_str()),
            ("m", mean),
        ];
        if self.live {
            keys.push(("d", words.key_device));
        }
        keys.extend([("?", words.key_help), ("q", words.key_quit)]);
        // Where not all has room, the keys alone.
        let length: usize = keys
            .iter()
            .map(|(key, word)| key.len() + word.chars().count() + 3)
            .sum();
        let with_words = length <= usize::from(area.width) + 2;
        let mut spans = Vec::new();
        for (key, word) in keys {
            spans.push(Span::styled(key, Style::new().add_modifier(Modifier::BOLD)));
            spans.push(if with_words {
                dim(format!(" {word}  "))
            } else {
                Span::raw(" ")
            });
        }
        frame.render_widget(Line::from(spans), area);
    }
}

fn dim(text: impl Into<String>) -> Span<'static> {
    Span::styled(text.into(), Style::new().add_modifier(Modifier::DIM))
}

/// A bar with eighths of a cell.
fn bar(share: f32, width: usize) -> String {
    const EIGHTHS: [&str; 8] = ["", "▏", "▎", "▍", "▌", "▋", "▊", "▉"];
    let eighths = (share.clamp(0.0, 1.0) * width as f32 * 8.0).round() as usize;
    let (full, rest) = (eighths / 8, eighths % 8);
    let mut text = "█".repeat(full);
    text.push_str(EIGHTHS[rest]);
    let used = full + usize::from(rest > 0);
    text.push_str(&" ".repeat(width.saturating_sub(used)));
    text
}
