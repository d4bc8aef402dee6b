//! The terminal view: what is heard, how sure that is, and how the last minutes went.
//!
//! [`View`] is a value: readouts, meters, keys and time go in, a frame of text comes out. It opens
//! no terminal and asks no clock, so tests draw it on a page of any size; [`Screen`] is the part
//! that holds the real terminal.

mod drawing;
mod font;
mod look;
mod popups;
mod screen;

use std::{collections::VecDeque, time::Duration};

use crossterm::event::{KeyCode, KeyEvent, KeyEventKind, KeyModifiers};

pub use crate::words::sentences::{plain_line, state_words};
pub use look::{Depth, Look};
pub use screen::{LiveScreen, Screen};

use crate::{
    decision::{
        Readout, State,
        average::{self, Mean},
    },
    genre::Labels,
    pipeline::PipelineConfig,
    units::Seconds,
    words::Words,
};

/// Time constant of the bars' glide.
const GLIDE_S: f32 = 0.18;

/// Seconds of history that are kept: ten minutes.
const HISTORY: usize = 600;

/// Time constants of the average that the keys step through, in seconds; 0 shows every frame as it
/// is.
const AVERAGING_STEPS: [f64; 10] = [0.0, 2.0, 5.0, 10.0, 20.0, 30.0, 60.0, 120.0, 300.0, 600.0];

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
    look: Look,
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
    pub fn new(labels: Labels, source: &str, model: &str, look: Look, live: bool) -> Self {
        Self {
            shown: vec![0.0; labels.len()],
            labels,
            source: source.to_owned(),
            model: model.to_owned(),
            look,
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

    /// The words of its language.
    pub fn words(&self) -> &'static Words {
        self.look.words()
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
                self.say(self.look.words().forgotten);
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
}

#[cfg(test)]
mod tests {
    use ratatui::{Terminal, backend::TestBackend, style::Color};

    use super::*;
    pub(super) use crate::words::sentences::tests::{labels, readout};
    use crate::{
        genre::{Ground, Scores, colour_on},
        words::Language,
    };

    fn view(depth: Depth) -> View {
        let look = Look {
            depth,
            ..Look::default()
        };
        View::new(labels(), "Monitor of Speakers", "default model", look, true)
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
                view.look.depth = depth;
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
    fn other_languages_and_a_light_ground() {
        let mut view = a_while_later();
        view.look.language = Language::German;
        insta::assert_snapshot!("german", draw(&view, 80, 24));
        view.help = true;
        for language in Language::ALL {
            view.look.language = language;
            let page = draw(&view, 80, 24);
            for line in [language.words().help_averaging, language.words().help_strip] {
                assert!(page.contains(line), "{line} has no room: {page}");
            }
        }
        view.help = false;
        let colours = |view: &View| {
            let mut terminal = Terminal::new(TestBackend::new(80, 24)).unwrap();
            terminal.draw(|frame| view.draw(frame)).unwrap();
            let cells = terminal.backend().buffer().content().iter();
            cells.map(|cell| cell.fg).collect::<Vec<_>>()
        };
        let dark = colours(&view);
        view.look.ground = Ground::Light;
        let light = colours(&view);
        let metal = |ground| {
            let [r, g, b] = colour_on(ground, 6);
            Color::Rgb(r, g, b)
        };
        assert!(dark.contains(&metal(Ground::Dark)) && !dark.contains(&metal(Ground::Light)));
        assert!(light.contains(&metal(Ground::Light)) && !light.contains(&metal(Ground::Dark)));
    }

    #[test]
    fn sixty_four_labels_show_the_best() {
        let names: Vec<String> = (0..64).map(|i| format!("genre number {i}")).collect();
        let labels = Labels::new(&names).unwrap();
        let mut view = View::new(labels, "a file", "a model", Look::default(), false);
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
    fn the_average_is_set_by_keys_and_seen() {
        let mut view = view(Depth::None);
        assert!(draw(&view, 80, 24).contains("-/+ over 20 s  m mean"));
        let press = |view: &mut View, key: char| view.key(KeyCode::Char(key).into());
        assert_eq!(
            press(&mut view, '+'),
            Some(Action::SetAveraging(Seconds(30.0)))
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
}
