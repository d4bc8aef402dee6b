//! The real terminal: taken over, drawn on, given back.

use std::{
    io::{self, Stdout},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, TryRecvError};
use crossterm::{
    event::{self, Event},
    execute,
    terminal::{EnterAlternateScreen, LeaveAlternateScreen, disable_raw_mode, enable_raw_mode},
};
use ratatui::{Terminal, backend::CrosstermBackend};

use super::{
    super::quiet::{self, PassOn, QuietStderr},
    Action, View,
};
use crate::realtime::{Controls, Counters};

/// The real terminal: raw mode and the alternate screen for as long as it lives, restored whatever
/// happens.
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
    keys: Receiver<io::Result<Event>>,
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
            keys: read_keys()?,
        })
    }

    /// Takes the next key that was pressed, if any, and does what it asks of every stream; what
    /// only the caller can do is returned. A terminal that has hung up quits.
    ///
    /// # Errors
    /// When the terminal cannot be read.
    pub fn key(&mut self) -> io::Result<Option<Action>> {
        if hung_up() {
            return Ok(Some(Action::Quit));
        }
        loop {
            let key = match self.keys.try_recv() {
                Ok(Ok(Event::Key(key))) => key,
                Ok(Ok(_)) => continue,
                Ok(Err(error)) => return Err(error),
                Err(TryRecvError::Empty) => break,
                Err(TryRecvError::Disconnected) => return Ok(Some(Action::Quit)),
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
        // It can be held from elsewhere.
        self.view.set_hold(self.controls.hold());
        self.view.tick(elapsed);
        self.screen.draw(&self.view)
    }
}

/// Keys, read on a thread of their own: at a terminal that has hung up, crossterm reads for ever
/// and never returns. The thread ends with the program.
fn read_keys() -> io::Result<Receiver<io::Result<Event>>> {
    let (out, keys) = crossbeam_channel::unbounded();
    thread::Builder::new().name("keys".into()).spawn(move || {
        loop {
            let event = event::read();
            let failed = event.is_err();
            if out.send(event).is_err() || failed {
                return;
            }
        }
    })?;
    Ok(keys)
}

/// Is there nobody at the terminal any more?
#[cfg(unix)]
fn hung_up() -> bool {
    use rustix::event::{PollFd, PollFlags, Timespec, poll};
    let terminal = io::stdin();
    let mut asked = [PollFd::new(&terminal, PollFlags::empty())];
    let at_once = Timespec::default();
    poll(&mut asked, Some(&at_once)).is_ok() && asked[0].revents().contains(PollFlags::HUP)
}

/// Elsewhere the program ends with its console.
#[cfg(not(unix))]
fn hung_up() -> bool {
    false
}

fn restore() {
    // There is nobody left to tell.
    let _ = disable_raw_mode();
    let _ = execute!(io::stdout(), LeaveAlternateScreen, crossterm::cursor::Show);
}
