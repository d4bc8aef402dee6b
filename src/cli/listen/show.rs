//! Where what was heard is shown: on the screen, in lines, or nowhere.

use std::{
    io::{self, Write},
    sync::Arc,
    thread,
    time::Duration,
};

use crossbeam_channel::{Receiver, Sender};

use super::{Kind, Stream};
use crate::{
    cli::{
        complain,
        output_file::stdout,
        tui::{Action, LiveScreen, View, plain_line},
    },
    decision::Readout,
    genre::Labels,
    source::capture::{self, CaptureEvent, Selection},
    words::{Words, fill},
};

/// Without a terminal, an unchanged answer is repeated after this much of the stream.
const REPEAT_S: f64 = 30.0;

/// Something that shows what happens.
pub(super) trait Show {
    fn readout(&mut self, readout: &Readout) -> io::Result<()>;
    fn event(&mut self, event: &CaptureEvent);
    /// Something that the user should know of, as a sentence.
    fn say(&mut self, message: &str) {
        complain(format_args!("{message}"));
    }
    /// The input has ended. `true` if the user may want to look at the end for a while.
    fn ended(&mut self) -> bool {
        false
    }
    /// Time goes by; `false` when the user wants to leave.
    fn tick(&mut self, _stream: &mut Stream, _elapsed: Duration) -> io::Result<bool> {
        Ok(true)
    }
    /// How long nothing may happen before [`Show::tick`] is wanted.
    fn pace(&self) -> Duration {
        Duration::from_millis(200)
    }
}

/// Nothing to show: the feeds carry it all.
pub(super) struct Silent;

impl Show for Silent {
    fn readout(&mut self, _readout: &Readout) -> io::Result<()> {
        Ok(())
    }
    fn event(&mut self, event: &CaptureEvent) {
        complain(format_args!("{event}"));
    }
}

/// Plain lines on standard output, when the answer changes and every half minute.
pub(super) struct Lines {
    labels: Labels,
    newest: Option<Readout>,
}

impl Lines {
    pub(super) fn new(labels: Labels) -> Self {
        Self {
            labels,
            newest: None,
        }
    }
}

impl Show for Lines {
    fn readout(&mut self, readout: &Readout) -> io::Result<()> {
        let worth_it = self.newest.as_ref().is_none_or(|newest| {
            (newest.state, newest.genre) != (readout.state, readout.genre)
                || readout.position.0 - newest.position.0 >= REPEAT_S
        });
        if worth_it {
            self.newest = Some(*readout);
            let mut out = stdout();
            writeln!(out, "{}", plain_line(readout, &self.labels))?;
            out.flush()?;
        }
        Ok(())
    }
    fn event(&mut self, event: &CaptureEvent) {
        complain(format_args!("{event}"));
    }
}

/// The view on a terminal.
pub(super) struct OnScreen {
    screen: LiveScreen,
    device_lists: (Sender<DeviceList>, Receiver<DeviceList>),
}

type DeviceList = Result<Vec<(String, String)>, String>;

impl OnScreen {
    pub(super) fn open(view: View, stream: &Stream) -> io::Result<Self> {
        let (controls, counters) = (Arc::clone(&stream.controls), Arc::clone(&stream.counters));
        Ok(Self {
            screen: LiveScreen::open(view, controls, counters)?,
            device_lists: crossbeam_channel::unbounded(),
        })
    }

    fn act(&mut self, action: Action, stream: &Stream) -> bool {
        match action {
            Action::Quit => return false,
            Action::ListDevices => {
                // A sound system that does not answer must not freeze the screen.
                let out = self.device_lists.0.clone();
                let words = self.screen.view.words();
                let listing = thread::Builder::new()
                    .name("devices".into())
                    .spawn(move || drop(out.send(list_devices(words))));
                if let Err(error) = listing {
                    let message = format!("cannot list devices: {error}");
                    self.screen.view.say(message);
                }
            }
            Action::Select(id) => {
                if let Kind::Device(capture) = &stream.kind {
                    let words = self.screen.view.words();
                    let changing = fill(words.changing_to, &[("source", &id)]);
                    self.screen.view.say(changing);
                    capture.select(Selection::parse(&id));
                }
            }
            // The screen has done these.
            Action::Reset | Action::Hold(_) | Action::SetAveraging(_) | Action::SetMean(_) => {}
        }
        true
    }
}

fn list_devices(words: &Words) -> DeviceList {
    let sources = capture::sources(false)
        .map_err(|error| error.to_string())?
        .list;
    let mut list = vec![
        ("default".to_owned(), words.default_input.to_owned()),
        ("system".to_owned(), words.system_sound.to_owned()),
    ];
    list.extend(sources.into_iter().map(|source| {
        let shown = format!("{} ({})", source.name, source.kind.as_str());
        (source.id, shown)
    }));
    Ok(list)
}

impl Show for OnScreen {
    fn readout(&mut self, readout: &Readout) -> io::Result<()> {
        self.screen.view.update(readout);
        Ok(())
    }
    fn event(&mut self, event: &CaptureEvent) {
        let view = &mut self.screen.view;
        match event {
            CaptureEvent::Started { source, .. } | CaptureEvent::Resumed { source, .. } => {
                view.set_source(source.to_string());
                view.set_trouble(None);
                view.say(event.to_string());
            }
            CaptureEvent::GoesOn { .. } => {
                view.set_trouble(None);
                view.say(event.to_string());
            }
            CaptureEvent::Lost { .. }
            | CaptureEvent::StillLost { .. }
            | CaptureEvent::Stalled { .. } => {
                view.set_trouble(Some(event.to_string()));
            }
            _ => view.say(event.to_string()),
        }
    }
    fn say(&mut self, message: &str) {
        self.screen.view.say(message);
    }
    fn ended(&mut self) -> bool {
        self.screen.view.end();
        true
    }
    fn tick(&mut self, stream: &mut Stream, elapsed: Duration) -> io::Result<bool> {
        while let Some(action) = self.screen.key()? {
            if !self.act(action, stream) {
                return Ok(false);
            }
        }
        if let Ok(list) = self.device_lists.1.try_recv() {
            match list {
                Ok(list) => self.screen.view.show_devices(list),
                Err(message) => self.screen.view.say(message),
            }
        }
        self.screen.draw(elapsed)?;
        Ok(true)
    }
    fn pace(&self) -> Duration {
        LiveScreen::FRAME
    }
}
