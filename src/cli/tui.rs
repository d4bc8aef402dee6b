//! The terminal view: what is heard, how sure that is, and how the last minutes went.
//!
//! [`View`] is a value: readouts, meters, keys and time go in, a frame of text comes out. It opens no terminal and asks
//! no clock, so tests draw it on a page of any size; [`Screen`] is the part that holds the real terminal.

use std::{
    collections::VecDeque,
    io::{self, Stdout},
    sync::Arc,
    time::Duration,
};

use crossterm::{
    event::{self, Event, KeyCode, KeyEvent, KeyEventKind, KeyModifiers},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{
    Frame, Terminal,
    backend::CrosstermBackend,
    layout::{Constraint, Layout, Rect},
    style::{Color, Modifier, Style},
    text::{Line, Span},
    widgets::{Block, Clear, Paragraph, Wrap},
};

use super::quiet::{self, PassOn, QuietStderr};
use crate::{
    decision::{
        Readout, State,
        average::{self, Mean},
    },
    genre::{Labels, colour},
    pipeline::PipelineConfig,
    realtime::{Controls, Counters},
    units::Seconds,
};

/// An answer is there by this much music; shown as a countdown.
const FIRST_ANSWER_S: f64 = 3.0;

/// Length of a whole frame.
const FRAME_S: f64 = 29.12;

/// Time constant of the bars' glide.
const GLIDE_S: f32 = 0.18;

/// Seconds of history that are kept: ten minutes.
const HISTORY: usize = 600;

/// The strip shows this much, or more where the terminal is wide.
const STRIP_S: usize = 180;

/// Time constants of the average that the keys step through, in seconds; 0 shows every frame as it is.
const AVERAGING_STEPS: [f64; 10] = [0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

/// Bottom of the level meter, in dBFS.
const METER_FLOOR_DB: f32 = -60.0;

/// How colours can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// No colours: attributes only.
    None,
    /// The 256 colours of xterm.
    Indexed,
    /// 24 bits.
    True,
}

impl Depth {
    /// What the environment says the terminal can show.
    pub fn detect(color: bool) -> Self {
        let says = |name: &str, what: &[&str]| {
            std::env::var(name).is_ok_and(|value| what.iter().any(|w| value.contains(w)))
        };
        if !color || says("TERM", &["dumb"]) {
            Depth::None
        } else if says("COLORTERM", &["truecolor", "24bit"])
            || says("TERM", &["direct", "kitty", "alacritty"])
            || cfg!(windows)
        {
            Depth::True
        } else {
            Depth::Indexed
        }
    }

    fn color(self, rgb: [u8; 3]) -> Color {
        let [r, g, b] = rgb;
        match self {
            Depth::None => Color::Reset,
            Depth::True => Color::Rgb(r, g, b),
            Depth::Indexed => {
                // The 6 x 6 x 6 cube of xterm, whose levels are 0, 95, 135, 175, 215, 255.
                let level = |value: u8| match value {
                    0..48 => 0,
                    48..115 => 1,
                    _ => (value - 35) / 40,
                };
                Color::Indexed(16 + 36 * level(r) + 6 * level(g) + level(b))
            }
        }
    }
}

/// What a key asks for.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// End.
    Quit,
    /// Forget the average.
    Reset,
    /// Hold the readout, or let go.
    Hold(bool),
    /// Average over this time.
    SetAveraging(Seconds),
    /// Average in this way.
    SetMean(Mean),
    /// List the sources, to show them with [`View::show_devices`].
    ListDevices,
    /// Listen to the source of this id.
    Select(String),
}

/// One second of the past.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Moment {
    state: State,
    genre: Option<usize>,
}

/// Everything on the screen.
#[derive(Clone, Debug)]
pub struct View {
    labels: Labels,
    source: String,
    model: String,
    depth: Depth,
    live: bool,
    readout: Option<Readout>,
    /// Scores as the bars show them: they glide to the readout's.
    shown: Vec<f32>,
    since_readout: Duration,
    level_dbfs: f32,
    peak_dbfs: f32,
    dropped: u64,
    load: f32,
    hold: bool,
    averaging: Seconds,
    mean: Mean,
    /// What plays, where that is known.
    caption: Option<String>,
    message: Option<(String, Duration)>,
    /// Why there is no sound, for as long as there is none.
    trouble: Option<String>,
    history: VecDeque<Moment>,
    history_s: u64,
    help: bool,
    devices: Option<Devices>,
    ended: bool,
}

#[derive(Clone, Debug)]
struct Devices {
    /// Id, and what to show.
    list: Vec<(String, String)>,
    cursor: usize,
}

impl View {
    /// A view of a stream; `live` says that there is a device that can be changed.
    pub fn new(labels: Labels, source: &str, model: &str, depth: Depth, live: bool) -> Self {
        Self {
            shown: vec![0.0; labels.len()],
            labels,
            source: source.to_owned(),
            model: model.to_owned(),
            depth,
            live,
            readout: None,
            since_readout: Duration::ZERO,
            level_dbfs: -120.0,
            peak_dbfs: -120.0,
            dropped: 0,
            load: 0.0,
            hold: false,
            averaging: match PipelineConfig::default().decision.span {
                average::Span::Exponential(time) | average::Span::Sliding(time) => time,
                average::Span::Cumulative => Seconds(AVERAGING_STEPS[AVERAGING_STEPS.len() - 1]),
            },
            mean: PipelineConfig::default().decision.mean,
            caption: None,
            message: None,
            trouble: None,
            history: VecDeque::with_capacity(HISTORY),
            history_s: 0,
            help: false,
            devices: None,
            ended: false,
        }
    }

    /// A new readout.
    pub fn update(&mut self, readout: &Readout) {
        let now = readout.position.0.max(0.0) as u64;
        let moment = Moment {
            state: readout.state,
            genre: readout.genre,
        };
        // After a jump of hours, only what can be seen is filled in.
        let new = now.saturating_sub(self.history_s).min(HISTORY as u64);
        for _ in 0..new {
            if self.history.len() == HISTORY {
                self.history.pop_front();
            }
            self.history.push_back(moment);
        }
        self.history_s = now.max(self.history_s);
        self.readout = Some(*readout);
        self.since_readout = Duration::ZERO;
    }

    /// Level in dBFS, samples dropped so far, and the share of a core that is used.
    pub fn meters(&mut self, level_dbfs: f32, dropped: u64, load: f32) {
        self.level_dbfs = level_dbfs;
        self.peak_dbfs = self.peak_dbfs.max(level_dbfs);
        self.dropped = dropped;
        self.load = load;
    }

    /// Something to tell, shown for a while.
    pub fn say(&mut self, message: impl Into<String>) {
        self.message = Some((message.into(), Duration::ZERO));
    }

    /// The source is another one now.
    pub fn set_source(&mut self, source: impl Into<String>) {
        self.source = source.into();
    }

    /// What plays, in a line of its own.
    pub fn set_caption(&mut self, caption: impl Into<String>) {
        self.caption = Some(caption.into());
    }

    /// Why there is no sound; `None` when there is some.
    pub fn set_trouble(&mut self, trouble: Option<String>) {
        self.message = None;
        self.trouble = trouble;
    }

    /// The average as it is set elsewhere.
    pub fn set_averaging(&mut self, time: Seconds, mean: Mean) {
        (self.averaging, self.mean) = (time, mean);
    }

    /// Sets the shown state of the hold key.
    pub fn set_hold(&mut self, hold: bool) {
        self.hold = hold;
    }

    /// The stream has ended; the picture stays.
    pub fn end(&mut self) {
        self.ended = true;
    }

    /// Time goes by: bars glide, peaks fall, messages fade.
    pub fn tick(&mut self, elapsed: Duration) {
        let dt = elapsed.as_secs_f32();
        self.since_readout += elapsed;
        let share = 1.0 - (-dt / GLIDE_S).exp();
        if let Some(readout) = &self.readout {
            for (shown, &score) in self.shown.iter_mut().zip(readout.scores.as_slice()) {
                *shown += (score - *shown) * share;
            }
        }
        self.peak_dbfs = (self.peak_dbfs - 12.0 * dt).max(self.level_dbfs);
        if let Some((_, age)) = &mut self.message {
            *age += elapsed;
            if age.as_secs() >= 8 && !self.ended {
                self.message = None;
            }
        }
    }

    /// Lists sources (id, and what to show) to choose from.
    pub fn show_devices(&mut self, list: Vec<(String, String)>) {
        let cursor = list
            .iter()
            .position(|(id, _)| *id == self.source || self.source.ends_with(&format!("({id})")))
            .unwrap_or(0);
        self.devices = Some(Devices { list, cursor });
    }

    /// A key was pressed.
    pub fn key(&mut self, key: KeyEvent) -> Option<Action> {
        if key.kind == KeyEventKind::Release {
            return None;
        }
        if key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL) {
            return Some(Action::Quit);
        }
        if let Some(devices) = &mut self.devices {
            let last = devices.list.len().saturating_sub(1);
            match key.code {
                KeyCode::Up | KeyCode::Char('k') => {
                    devices.cursor = devices.cursor.saturating_sub(1);
                }
                KeyCode::Down | KeyCode::Char('j') => {
                    devices.cursor = (devices.cursor + 1).min(last);
                }
                KeyCode::Enter => {
                    let chosen = devices.list.get(devices.cursor).map(|(id, _)| id.clone());
                    self.devices = None;
                    return chosen.map(Action::Select);
                }
                KeyCode::Esc | KeyCode::Char('q' | 'd') => self.devices = None,
                _ => {}
            }
            return None;
        }
        if self.help {
            self.help = false;
            return None;
        }
        match key.code {
            KeyCode::Char('q') | KeyCode::Esc => Some(Action::Quit),
            KeyCode::Char('r') => {
                self.say("forgotten what was heard so far");
                Some(Action::Reset)
            }
            KeyCode::Char('h' | ' ') => {
                self.hold = !self.hold;
                Some(Action::Hold(self.hold))
            }
            KeyCode::Char('+' | '=') | KeyCode::Up | KeyCode::Right => self.average_longer(),
            KeyCode::Char('-' | '_') | KeyCode::Down | KeyCode::Left => self.average_shorter(),
            KeyCode::Char('m') => {
                self.mean = match self.mean {
                    Mean::Arithmetic => Mean::Geometric,
                    Mean::Geometric => Mean::Arithmetic,
                };
                Some(Action::SetMean(self.mean))
            }
            KeyCode::Char('d') if self.live => Some(Action::ListDevices),
            KeyCode::Char('?') => {
                self.help = true;
                None
            }
            _ => None,
        }
    }

    fn average_longer(&mut self) -> Option<Action> {
        let now = self.averaging.0;
        let longer = AVERAGING_STEPS.into_iter().find(|&step| step > now)?;
        self.averaging = Seconds(longer);
        Some(Action::SetAveraging(self.averaging))
    }

    fn average_shorter(&mut self) -> Option<Action> {
        let now = self.averaging.0;
        let shorter = AVERAGING_STEPS.into_iter().rfind(|&step| step < now)?;
        self.averaging = Seconds(shorter);
        Some(Action::SetAveraging(self.averaging))
    }

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
            draw_devices(frame, area, devices);
        } else if self.help {
            draw_help(frame, area, self.live);
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
                (name, self.depth.color(colour(genre)))
            }
            (State::Unsure, _) => ("not sure".into(), plain),
            (State::NotMusic, _) => ("no music".into(), plain),
            (State::Silent, _) => ("silence".into(), plain),
            (State::Lost, _) => ("lost".into(), plain),
            (State::Warming | State::Live | State::Provisional, _) => ("...".into(), plain),
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
        let mut text = match &self.readout {
            Some(readout) => state_words(readout, &self.labels, self.since_readout),
            None => warming_words(Seconds(0.0), self.since_readout),
        };
        if self.ended {
            text.insert_str(0, "the end - ");
        }
        let mut spans = Vec::new();
        if self.hold {
            let style = Style::new().add_modifier(Modifier::REVERSED);
            spans.push(Span::styled(" HELD ", style));
            spans.push(Span::raw(" "));
        }
        spans.push(Span::raw(text));
        frame.render_widget(Line::from(spans), area);
    }

    fn draw_bars(&self, frame: &mut Frame, area: Rect) {
        let n_rows = usize::from(area.height);
        let mut order: Vec<usize> = (0..self.labels.len()).collect();
        if n_rows < order.len() {
            // Not all fit: then the best, best first.
            order.sort_by(|&a, &b| self.shown[b].total_cmp(&self.shown[a]));
            order.truncate(n_rows);
        }
        let name_width = order
            .iter()
            .filter_map(|&i| self.labels.get(i))
            .map(|name| name.chars().count())
            .max()
            .unwrap_or(0)
            .min(usize::from(area.width) / 2)
            .min(16);
        let bar_width = usize::from(area.width).saturating_sub(name_width + 8);
        let shown_genre = self.readout.as_ref().and_then(|r| r.genre);
        for (row, index) in order.into_iter().enumerate() {
            let score = self.shown[index].clamp(0.0, 1.0);
            let name: String = self
                .labels
                .get(index)
                .unwrap_or("?")
                .chars()
                .take(name_width)
                .collect();
            let mut style = Style::new();
            if shown_genre == Some(index) {
                style = style.add_modifier(Modifier::BOLD);
            }
            let line = Line::from(vec![
                Span::styled(format!("{name:<name_width$} "), style),
                Span::styled(
                    bar(score, bar_width),
                    Style::new().fg(self.depth.color(colour(index))),
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
        frame.render_widget(Line::from(dim(format!("{left}{:>room$}", "now"))), area);
    }

    /// The last minutes, newest at the right: one row of colours, and one of names, which stand where a run begins.
    fn draw_strip(&self, frame: &mut Frame, area: Rect) {
        let width = usize::from(area.width);
        if width == 0 || area.height == 0 {
            return;
        }
        let per_cell = self.strip_step(width);
        let n_cells = (self.history.len() / per_cell).min(width);
        // Cells are cut at whole multiples of the stream's time, so that the picture moves and does not boil.
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
        match moment {
            Some(Moment {
                state,
                genre: Some(genre),
            }) => {
                let style = plain.fg(self.depth.color(colour(genre)));
                let glyph = if state == State::Provisional {
                    "▒"
                } else {
                    "█"
                };
                (glyph, style, self.labels.get(genre).unwrap_or("?"))
            }
            Some(Moment { state, .. }) => match state {
                State::Unsure => ("░", plain, "not sure"),
                State::NotMusic => ("~", plain, "no music"),
                State::Lost => ("x", plain, "lost"),
                State::Silent => ("·", plain, "silence"),
                State::Warming | State::Provisional | State::Live => ("·", plain, ""),
            },
            None => (" ", plain, ""),
        }
    }

    fn draw_meter(&self, frame: &mut Frame, area: Rect) {
        let text = if self.level_dbfs <= -119.0 {
            "  -inf dBFS".to_owned()
        } else {
            format!("{:>6.1} dBFS", self.level_dbfs)
        };
        let mut tail = String::new();
        if area.width > 56 {
            tail = format!("   {:.1} % of a core", self.load * 100.0);
            if self.dropped > 0 {
                tail = format!("{tail}   {} samples dropped", self.dropped);
            }
        }
        let label = if area.width > 30 { "level " } else { "" };
        let room = usize::from(area.width)
            .saturating_sub(label.len() + text.len() + tail.chars().count())
            .min(40);
        let share = |db: f32| ((db - METER_FLOOR_DB) / -METER_FLOOR_DB).clamp(0.0, 1.0);
        let filled = (share(self.level_dbfs) * room as f32).round() as usize;
        let peak = (share(self.peak_dbfs) * room as f32).round() as usize;
        let mut spans = vec![dim(label)];
        spans.extend((0..room).map(|i| {
            let db = METER_FLOOR_DB * (1.0 - (i as f32 + 0.5) / room as f32);
            let lit = Style::new().fg(self.depth.color(match db {
                ..-12.0 => [80, 200, 120],
                -12.0..-3.0 => [230, 200, 80],
                _ => [230, 80, 70],
            }));
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

    fn draw_message(&self, frame: &mut Frame, area: Rect) {
        let bold = Style::new().add_modifier(Modifier::BOLD);
        let line = match (&self.message, &self.trouble) {
            (Some((message, _)), _) => Line::styled(message.clone(), bold),
            (None, Some(trouble)) => {
                Line::styled(trouble.clone(), bold.fg(self.depth.color([230, 80, 70])))
            }
            (None, None) if self.dropped > 0 && area.width <= 60 => {
                Line::from(dim(format!("{} samples dropped", self.dropped)))
            }
            (None, None) => Line::default(),
        };
        frame.render_widget(Paragraph::new(line).wrap(Wrap { trim: true }), area);
    }

    fn draw_keys(&self, frame: &mut Frame, area: Rect) {
        let averaging = match self.averaging.0 {
            0.0 => "each frame".to_owned(),
            time => format!("over {time} s"),
        };
        let mut keys = vec![
            ("r", "reset"),
            ("h", if self.hold { "let go" } else { "hold" }),
            ("-/+", averaging.as_str()),
            (
                "m",
                match self.mean {
                    Mean::Arithmetic => "mean",
                    Mean::Geometric => "geometric mean",
                },
            ),
        ];
        if self.live {
            keys.push(("d", "device"));
        }
        keys.extend([("?", "help"), ("q", "quit")]);
        // Where not all has room, the keys alone.
        let length: usize = keys
            .iter()
            .map(|(key, word)| key.len() + word.len() + 3)
            .sum();
        let words = length <= usize::from(area.width) + 2;
        let mut spans = Vec::new();
        for (key, word) in keys {
            spans.push(Span::styled(key, Style::new().add_modifier(Modifier::BOLD)));
            spans.push(if words {
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

fn warming_words(heard: Seconds, since: Duration) -> String {
    let left = (FIRST_ANSWER_S - heard.0 - since.as_secs_f64()).ceil();
    if left >= 1.0 {
        format!("warming up: a first answer in {left:.0} s")
    } else {
        "warming up: a first answer any moment".into()
    }
}

/// The state of a readout in words. `since` is the time since it was made, which counts while it warms up.
pub fn state_words(readout: &Readout, labels: &Labels, since: Duration) -> String {
    let ranked = readout.scores.ranked();
    let name = |rank: usize| ranked.get(rank).and_then(|&(index, _)| labels.get(index));
    let runner_up = || {
        let other = ranked
            .iter()
            .find(|&&(index, _)| Some(index) != readout.genre);
        other.map_or(String::new(), |&(index, score)| {
            let label = labels.get(index).unwrap_or("?");
            format!(", then {label} {:.0} %", score * 100.0)
        })
    };
    let confidence = readout.confidence * 100.0;
    match readout.state {
        State::Warming => warming_words(readout.heard, since),
        State::Provisional => format!(
            "so far, after {:.0} of {FRAME_S:.0} s: {confidence:.0} %{}",
            readout.heard.0.floor(),
            runner_up()
        ),
        State::Live => format!("live: {confidence:.0} %{}", runner_up()),
        State::Unsure => match (name(0), name(1)) {
            // One candidate far ahead is not what it is unsure of.
            (Some(first), _) if readout.confidence > 0.6 => format!("{first}, or no music at all"),
            (Some(first), Some(second)) => format!("unsure between {first} and {second}"),
            _ => "unsure".into(),
        },
        State::NotMusic => "sound, but not music".into(),
        State::Silent => "nothing to hear".into(),
        State::Lost => "the source is gone".into(),
    }
}

/// One line of text for a readout, as it is printed where there is no terminal.
pub fn plain_line(readout: &Readout, labels: &Labels) -> String {
    let genre = readout
        .genre
        .and_then(|index| labels.get(index))
        .unwrap_or("-");
    let words = state_words(readout, labels, Duration::ZERO);
    format!("{:>7}  {genre:<10}  {words}", readout.position.to_string())
}

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

fn draw_devices(frame: &mut Frame, area: Rect, devices: &Devices) {
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

fn draw_help(frame: &mut Frame, area: Rect, live: bool) {
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

/// The 5 x 5 letters of the headline; a bit is a dot, the highest of five is the left one.
const FONT: [(char, [u8; 5]); 40] = [
    ('a', [0b01110, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('b', [0b11110, 0b10001, 0b11110, 0b10001, 0b11110]),
    ('c', [0b01111, 0b10000, 0b10000, 0b10000, 0b01111]),
    ('d', [0b11110, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('e', [0b11111, 0b10000, 0b11110, 0b10000, 0b11111]),
    ('f', [0b11111, 0b10000, 0b11110, 0b10000, 0b10000]),
    ('g', [0b01111, 0b10000, 0b10011, 0b10001, 0b01111]),
    ('h', [0b10001, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('i', [0b01110, 0b00100, 0b00100, 0b00100, 0b01110]),
    ('j', [0b00111, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('k', [0b10001, 0b10010, 0b11100, 0b10010, 0b10001]),
    ('l', [0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('m', [0b10001, 0b11011, 0b10101, 0b10001, 0b10001]),
    ('n', [0b10001, 0b11001, 0b10101, 0b10011, 0b10001]),
    ('o', [0b01110, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('p', [0b11110, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('q', [0b01110, 0b10001, 0b10001, 0b10010, 0b01101]),
    ('r', [0b11110, 0b10001, 0b11110, 0b10010, 0b10001]),
    ('s', [0b01111, 0b10000, 0b01110, 0b00001, 0b11110]),
    ('t', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('u', [0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('v', [0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
    ('w', [0b10001, 0b10001, 0b10101, 0b11011, 0b10001]),
    ('x', [0b10001, 0b01010, 0b00100, 0b01010, 0b10001]),
    ('y', [0b10001, 0b01010, 0b00100, 0b00100, 0b00100]),
    ('z', [0b11111, 0b00010, 0b00100, 0b01000, 0b11111]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00100]),
    ('-', [0b00000, 0b00000, 0b01110, 0b00000, 0b00000]),
    (' ', [0; 5]),
    ('0', [0b01110, 0b10011, 0b10101, 0b11001, 0b01110]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b01110]),
    ('2', [0b11110, 0b00001, 0b01110, 0b10000, 0b11111]),
    ('3', [0b11110, 0b00001, 0b01110, 0b00001, 0b11110]),
    ('4', [0b10010, 0b10010, 0b11111, 0b00010, 0b00010]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b11110]),
    ('6', [0b01110, 0b10000, 0b11110, 0b10001, 0b01110]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100]),
    ('8', [0b01110, 0b10001, 0b01110, 0b10001, 0b01110]),
    ('9', [0b01110, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('%', [0b11001, 0b11010, 0b00100, 0b01011, 0b10011]),
];

/// Text in letters three rows high; what the font lacks stands as itself in the middle row.
fn big_text(text: &str) -> [String; 3] {
    let mut rows = [const { String::new() }; 3];
    for letter in text.chars().flat_map(char::to_lowercase) {
        let glyph = FONT.iter().find(|(known, _)| *known == letter);
        for (pair, row) in rows.iter_mut().enumerate() {
            match glyph {
                Some((_, dots)) => {
                    let upper = dots[pair * 2];
                    let lower = dots.get(pair * 2 + 1).copied().unwrap_or(0);
                    for bit in (0..5).rev() {
                        row.push(match (upper >> bit & 1, lower >> bit & 1) {
                            (0, 0) => ' ',
                            (1, 0) => '▀',
                            (0, _) => '▄',
                            _ => '█',
                        });
                    }
                    row.push(' ');
                }
                None if pair == 1 => {
                    row.push(letter);
                    row.push(' ');
                }
                None => row.push_str("  "),
            }
        }
    }
    rows
}

/// The real terminal: raw mode and the alternate screen for as long as it lives, restored whatever happens.
#[derive(Debug)]
pub struct Screen {
    terminal: Terminal<CrosstermBackend<Stdout>>,
    // Dropped, and with it what was kept is printed, after the terminal was given back.
    _quiet: QuietStderr,
}

impl Screen {
    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard output is no terminal that can be taken over.
    pub fn open() -> io::Result<Self> {
        let before = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |info| {
            // A message in raw mode on the alternate screen would be lost.
            restore();
            quiet::restore();
            before(info);
        }));
        enable_raw_mode()?;
        if let Err(error) = execute!(io::stdout(), EnterAlternateScreen) {
            restore();
            return Err(error);
        }
        let terminal =
            Terminal::new(CrosstermBackend::new(io::stdout())).inspect_err(|_| restore())?;
        Ok(Self {
            terminal,
            _quiet: QuietStderr::new(PassOn::AtTheEnd),
        })
    }

    /// Draws the view.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, view: &View) -> io::Result<()> {
        self.terminal.draw(|frame| view.draw(frame)).map(drop)
    }
}

impl Drop for Screen {
    fn drop(&mut self) {
        restore();
    }
}

/// The view of a running stream on the real terminal: keys reach its controls, its meters are seen.
#[derive(Debug)]
pub struct LiveScreen {
    screen: Screen,
    /// What is shown.
    pub view: View,
    controls: Arc<Controls>,
    counters: Arc<Counters>,
}

impl LiveScreen {
    /// Time between two pictures.
    pub const FRAME: Duration = Duration::from_millis(50);

    /// Takes the terminal over.
    ///
    /// # Errors
    /// When standard output is no terminal that can be taken over.
    pub fn open(
        mut view: View,
        controls: Arc<Controls>,
        counters: Arc<Counters>,
    ) -> io::Result<Self> {
        view.set_averaging(
            controls.averaging().unwrap_or(view.averaging),
            controls.mean().unwrap_or(view.mean),
        );
        Ok(Self {
            screen: Screen::open()?,
            view,
            controls,
            counters,
        })
    }

    /// Takes the next key that was pressed, if any, and does what it asks of every stream; what only the caller can do
    /// is returned.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn key(&mut self) -> io::Result<Option<Action>> {
        while event::poll(Duration::ZERO)? {
            let Event::Key(key) = event::read()? else {
                continue;
            };
            match self.view.key(key) {
                Some(Action::Reset) => self.controls.reset(),
                Some(Action::Hold(hold)) => self.controls.set_hold(hold),
                Some(Action::SetAveraging(time)) => self.controls.set_averaging(time),
                Some(Action::SetMean(mean)) => self.controls.set_mean(mean),
                Some(action) => return Ok(Some(action)),
                None => {}
            }
        }
        Ok(None)
    }

    /// Draws the present, `elapsed` after the last time.
    ///
    /// # Errors
    /// When the terminal is gone.
    pub fn draw(&mut self, elapsed: Duration) -> io::Result<()> {
        let counters = &self.counters;
        self.view.meters(
            counters.level_dbfs(),
            counters.dropped_samples(),
            counters.load(),
        );
        self.view.tick(elapsed);
        self.screen.draw(&self.view)
    }
}

fn restore() {
    // There is nobody left to tell.
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, crossterm::cursor::Show);
}

#[cfg(test)]
mod tests {
    use ratatui::backend::TestBackend;

    use super::*;
    use crate::genre::{GTZAN, Scores};

    fn labels() -> Labels {
        Labels::new(GTZAN).unwrap()
    }

    fn readout(state: State, genre: Option<usize>, position: f64) -> Readout {
        let mut scores = [0.04_f32; 10];
        scores[9] = 0.45;
        scores[6] = 0.23;
        Readout {
            state,
            genre,
            confidence: 0.45,
            scores: Scores::new(&scores),
            frame_scores: Scores::new(&scores),
            level_dbfs: -18.2,
            position: Seconds(position),
            heard: Seconds(position.min(29.12)),
            frames: 5,
            seq: 3,
            changed: false,
        }
    }

    fn view(depth: Depth) -> View {
        View::new(
            labels(),
            "Monitor of Speakers",
            "default model",
            depth,
            true,
        )
    }

    fn draw(view: &View, width: u16, height: u16) -> String {
        let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
        terminal.draw(|frame| view.draw(frame)).unwrap();
        if width == 0 || height == 0 {
            // ratatui cannot print an empty page.
            return String::new();
        }
        let text = terminal.backend().to_string();
        text.lines()
            .map(|line| line.trim_matches('"').trim_end())
            .collect::<Vec<_>>()
            .join("\n")
    }

    fn a_while_later() -> View {
        let mut view = view(Depth::True);
        for second in 1..=180 {
            let t = f64::from(second);
            let shown = match second {
                0..3 => readout(State::Warming, None, t),
                3..30 => readout(State::Provisional, Some(9), t),
                30..90 => readout(State::Live, Some(9), t),
                90..100 => readout(State::Silent, None, t),
                100..120 => readout(State::Unsure, None, t),
                _ => readout(State::Live, Some(6), t),
            };
            view.update(&shown);
            view.meters(-18.2, 0, 0.004);
            view.tick(Duration::from_secs(1));
        }
        view
    }

    #[test]
    fn the_usual_terminal() {
        insta::assert_snapshot!(draw(&a_while_later(), 80, 24));
    }

    #[test]
    fn before_anything_was_heard() {
        let mut view = view(Depth::None);
        view.tick(Duration::from_millis(1200));
        insta::assert_snapshot!(draw(&view, 80, 24));
    }

    #[test]
    fn a_narrow_and_a_low_terminal() {
        insta::assert_snapshot!("narrow", draw(&a_while_later(), 28, 20));
        insta::assert_snapshot!("low", draw(&a_while_later(), 80, 7));
    }

    #[test]
    fn overload_hold_and_messages_are_seen() {
        let mut view = a_while_later();
        view.meters(-3.0, 48_000, 1.2);
        view.say("Monitor of Speakers is lost: no samples for 0.6 s; trying to get it back");
        assert_eq!(
            view.key(KeyCode::Char('h').into()),
            Some(Action::Hold(true))
        );
        let page = draw(&view, 100, 30);
        assert!(page.contains("48000 samples dropped"), "{page}");
        assert!(page.contains("HELD"), "{page}");
        assert!(page.contains("is lost"), "{page}");
        view.tick(Duration::from_secs(9));
        assert!(!draw(&view, 100, 30).contains("is lost"));
    }

    #[test]
    fn every_size_and_state_can_be_drawn() {
        let states = [
            State::Warming,
            State::Provisional,
            State::Live,
            State::Unsure,
            State::NotMusic,
            State::Silent,
            State::Lost,
        ];
        let sizes = [0, 1, 2, 3, 5, 8, 13, 21, 40, 61, 80, 200];
        for state in states {
            let mut view = a_while_later();
            view.update(&readout(state, Some(3), 181.0));
            view.say("a message that is longer than most terminals are wide, so that it has to be cut off somewhere");
            for depth in [Depth::None, Depth::Indexed, Depth::True] {
                view.depth = depth;
                for overlay in 0..3 {
                    view.help = overlay == 1;
                    view.devices = (overlay == 2).then(|| Devices {
                        list: (0..30)
                            .map(|i| (i.to_string(), format!("device {i}")))
                            .collect(),
                        cursor: 29,
                    });
                    for width in sizes {
                        for height in sizes {
                            draw(&view, width, height);
                        }
                    }
                }
            }
        }
    }

    #[test]
    fn sixty_four_labels_show_the_best() {
        let names: Vec<String> = (0..64).map(|i| format!("genre number {i}")).collect();
        let labels = Labels::new(&names).unwrap();
        let mut view = View::new(labels, "a file", "a model", Depth::True, false);
        let mut scores = [0.001_f32; 64];
        scores[41] = 0.9;
        let mut readout = readout(State::Live, Some(41), 40.0);
        readout.scores = Scores::new(&scores);
        view.update(&readout);
        view.tick(Duration::from_secs(5));
        let page = draw(&view, 80, 24);
        assert!(page.contains("genre number 41"), "{page}");
        assert!(page.contains(" 90 %"), "{page}");
        assert!(!page.contains("d device"));
    }

    #[test]
    fn bars_glide_to_their_value() {
        let mut view = view(Depth::None);
        view.update(&readout(State::Live, Some(9), 30.0));
        let mut last = 0.0;
        for _ in 0..60 {
            view.tick(Duration::from_millis(33));
            assert!(view.shown[9] >= last && view.shown[9] <= 0.45);
            last = view.shown[9];
        }
        assert!((last - 0.45).abs() < 1e-3);
    }

    #[test]
    fn states_have_words() {
        let labels = labels();
        let words = |state, genre, position| {
            state_words(&readout(state, genre, position), &labels, Duration::ZERO)
        };
        assert_eq!(
            words(State::Unsure, None, 40.0),
            "unsure between rock and metal"
        );
        assert_eq!(
            words(State::Provisional, Some(9), 12.3),
            "so far, after 12 of 29 s: 45 %, then metal 23 %"
        );
        assert_eq!(
            words(State::Live, Some(9), 40.0),
            "live: 45 %, then metal 23 %"
        );
        // Hysteresis may show another than the best: then the best is the runner-up.
        assert_eq!(
            words(State::Live, Some(6), 40.0),
            "live: 45 %, then rock 45 %"
        );
        assert_eq!(
            words(State::Warming, None, 1.0),
            "warming up: a first answer in 2 s"
        );
        let line = plain_line(&readout(State::Live, Some(9), 75.0), &labels);
        assert_eq!(line, "   1:15  rock        live: 45 %, then metal 23 %");
    }

    #[test]
    fn the_average_is_set_by_keys_and_seen() {
        let mut view = view(Depth::None);
        assert!(draw(&view, 80, 24).contains("-/+ over 10 s  m mean"));
        let press = |view: &mut View, key: char| view.key(KeyCode::Char(key).into());
        assert_eq!(
            press(&mut view, '+'),
            Some(Action::SetAveraging(Seconds(20.0)))
        );
        // A time that a file or the command line gave lies between two steps.
        view.set_averaging(Seconds(12.5), Mean::Arithmetic);
        assert_eq!(
            press(&mut view, '-'),
            Some(Action::SetAveraging(Seconds(10.0)))
        );
        for _ in 0..20 {
            press(&mut view, '-');
        }
        assert_eq!(press(&mut view, '-'), None, "the shortest");
        assert_eq!(
            press(&mut view, 'm'),
            Some(Action::SetMean(Mean::Geometric))
        );
        let page = draw(&view, 80, 24);
        assert!(page.contains("-/+ each frame  m geometric mean"), "{page}");
        // Where there is no room for words, the keys stand alone.
        assert!(draw(&view, 40, 24).contains("r h -/+ m d ? q"));
    }

    #[test]
    fn a_loss_is_explained_until_it_is_over() {
        let mut view = a_while_later();
        view.update(&readout(State::Lost, None, 181.0));
        view.set_trouble(Some("Line In is lost: the cable is out".into()));
        view.tick(Duration::from_secs(60));
        assert!(draw(&view, 80, 24).contains("the cable is out"));
        view.set_trouble(None);
        assert!(!draw(&view, 80, 24).contains("the cable is out"));
    }

    #[test]
    fn a_caption_has_a_line_of_its_own() {
        let mut view = a_while_later();
        view.set_caption("plays a waltz");
        let page = draw(&view, 80, 24);
        assert!(
            page.lines().nth(1).unwrap().contains("plays a waltz"),
            "{page}"
        );
    }

    #[test]
    fn keys_act() {
        let mut view = view(Depth::None);
        let press = |view: &mut View, code: KeyCode| view.key(code.into());
        assert_eq!(press(&mut view, KeyCode::Char('r')), Some(Action::Reset));
        assert_eq!(press(&mut view, KeyCode::Char('?')), None);
        assert!(view.help);
        assert_eq!(
            press(&mut view, KeyCode::Char('q')),
            None,
            "closes the help"
        );
        assert_eq!(
            press(&mut view, KeyCode::Char('d')),
            Some(Action::ListDevices)
        );
        view.set_source("Line In (b)");
        view.show_devices(vec![("a".into(), "one".into()), ("b".into(), "two".into())]);
        assert_eq!(view.devices.as_ref().unwrap().cursor, 1, "the present one");
        press(&mut view, KeyCode::Up);
        press(&mut view, KeyCode::Down);
        press(&mut view, KeyCode::Down);
        assert_eq!(
            press(&mut view, KeyCode::Enter),
            Some(Action::Select("b".into()))
        );
        assert_eq!(press(&mut view, KeyCode::Char('q')), Some(Action::Quit));
        let control_c = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
        assert_eq!(view.key(control_c), Some(Action::Quit));
    }

    #[test]
    fn indexed_colors_are_near() {
        assert_eq!(Depth::Indexed.color([0, 0, 0]), Color::Indexed(16));
        assert_eq!(Depth::Indexed.color([255, 255, 255]), Color::Indexed(231));
        assert_eq!(Depth::Indexed.color([255, 0, 95]), Color::Indexed(197));
        assert_eq!(Depth::None.color([1, 2, 3]), Color::Reset);
    }

    #[test]
    fn the_font_has_every_letter_of_the_genres() {
        for label in GTZAN.iter().chain(&[
            "0123456789%",
            "not sure",
            "no music",
            "silence",
            "lost",
            "...",
        ]) {
            for letter in label.chars() {
                assert!(FONT.iter().any(|(known, _)| *known == letter), "{letter}");
            }
        }
        assert_eq!(big_text("é")[1].trim(), "é");
    }
}
