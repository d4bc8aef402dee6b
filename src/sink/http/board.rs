//! What is told to browsers: the newest of everything, the last hour in stretches, and who is
//! watching.

use std::{
    collections::VecDeque,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, SystemTime},
};

use hyper::body::Bytes;
use serde_json::json;
use tokio::sync::mpsc::{Receiver, Sender, channel, error::TrySendError};

use super::super::{
    Hello, Status, Update,
    jsonl::{VERSION, hello_line, rfc3339, status_line, update_line},
};
use crate::{
    decision::{Readout, State},
    genre::{Ground, Labels, colour_on},
    words::Language,
    words::sentences::state_words,
};

/// How much of the past is kept.
const HISTORY: Duration = Duration::from_hours(1);

/// Stretches that are kept, at most.
const MAX_STRETCHES: usize = 2_000;

/// How much of the past a browser is told when it comes.
const GREETING: Duration = Duration::from_mins(15);

/// Events that wait for one browser, at most: some seconds.
const EVENTS: usize = 32;

/// Browsers that watch, at most.
pub(super) const MAX_WATCHERS: usize = 64;

/// A time in which state and genre stayed the same.
#[derive(Clone, Copy, Debug, PartialEq)]
struct Stretch {
    from: SystemTime,
    until: SystemTime,
    state: State,
    genre: Option<usize>,
    held: bool,
}

struct Inner {
    hello: Hello,
    newest: Update,
    /// Why there is no sound.
    trouble: Option<Arc<str>>,
    history: VecDeque<Stretch>,
    watchers: Vec<Sender<Bytes>>,
    /// Watchers that did not read.
    let_go: u64,
}

/// The newest of everything.
pub(super) struct Board(Mutex<Inner>);

impl Board {
    pub(super) fn new(hello: &Hello) -> Self {
        Self(Mutex::new(Inner {
            newest: first(hello),
            hello: hello.clone(),
            trouble: None,
            history: VecDeque::new(),
            watchers: Vec::new(),
            let_go: 0,
        }))
    }

    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn hello(&self, hello: &Hello) {
        let mut inner = self.inner();
        if inner.newest.seq == 0 {
            inner.newest = first(hello);
        }
        inner.hello = hello.clone();
        inner.trouble = None;
        inner.tell(|inner| [inner.greeting(), inner.palette()]);
    }

    pub(super) fn update(&self, update: &Update) {
        let mut inner = self.inner();
        inner.newest = update.clone();
        if update.readout.state != State::Lost {
            inner.trouble = None;
        }
        inner.note(update.time);
        inner.tell(|inner| [event("genre", &update_line(update)), inner.view()]);
    }

    pub(super) fn status(&self, status: &Status) {
        let mut inner = self.inner();
        if status.state != State::Lost {
            inner.trouble = None;
        } else if status.message.is_some() {
            inner.trouble.clone_from(&status.message);
        }
        if inner.newest.readout.state != status.state && status.state == State::Lost {
            // The readout of that may come later, or never.
            inner.newest.readout.set_state(State::Lost);
            inner.newest.readout.changed = true;
            inner.newest.held = false;
            inner.newest.time = status.time;
            inner.note(status.time);
        }
        inner.tell(|inner| [event("status", &status_line(status)), inner.view()]);
    }

    /// What moves faster than readouts, for those who watch.
    pub(super) fn meter(&self, level_dbfs: f32, hold: bool, dropped_samples: u64, load: f32) {
        let mut inner = self.inner();
        inner.watchers.retain(|watcher| !watcher.is_closed());
        if inner.watchers.is_empty() {
            return;
        }
        let level = (f64::from(level_dbfs) * 10.0).round() / 10.0;
        let load = (f64::from(load) * 10_000.0).round() / 10_000.0;
        let meter = json!({"v": VERSION, "type": "meter", "t": rfc3339(SystemTime::now()), "level_dbfs": level,
            "hold": hold, "dropped_samples": dropped_samples, "load": load});
        inner.tell(|_| [event("meter", &meter.to_string())]);
    }

    /// The events from now on, beginning with all that is known; `None` when too many watch.
    pub(super) fn watch(&self) -> Option<Receiver<Bytes>> {
        let mut inner = self.inner();
        inner.watchers.retain(|watcher| !watcher.is_closed());
        if inner.watchers.len() >= MAX_WATCHERS {
            return None;
        }
        let (out, events) = channel(EVENTS);
        let history = inner.history_since(GREETING);
        for event in [
            // A browser that loses the stream comes back after a second.
            Bytes::from_static(b"retry: 1000\n\n"),
            inner.greeting(),
            inner.palette(),
            event("history", &history),
            event("genre", &update_line(&inner.newest)),
            inner.view(),
        ] {
            // There is room for these.
            let _ = out.try_send(event);
        }
        inner.watchers.push(out);
        Some(events)
    }

    pub(super) fn readout(&self) -> String {
        update_line(&self.inner().newest)
    }

    pub(super) fn history(&self) -> String {
        self.inner().history_since(HISTORY)
    }

    /// The newest update; how many watch, and how many were let go.
    pub(super) fn newest(&self) -> (Update, (usize, u64)) {
        let inner = self.inner();
        (inner.newest.clone(), (inner.watchers.len(), inner.let_go))
    }

    /// Ends the streams of all who watch.
    pub(super) fn dismiss(&self) {
        self.inner().watchers.clear();
    }
}

impl Inner {
    fn note(&mut self, time: SystemTime) {
        let Readout { state, genre, .. } = self.newest.readout;
        let held = self.newest.held;
        if let Some(last) = self.history.back_mut() {
            last.until = time.max(last.until);
            if (last.state, last.genre, last.held) == (state, genre, held) {
                return;
            }
        }
        self.history.push_back(Stretch {
            from: time,
            until: time,
            state,
            genre,
            held,
        });
        let old = |stretch: &Stretch| {
            time.duration_since(stretch.until)
                .is_ok_and(|age| age > HISTORY)
        };
        while self.history.len() > MAX_STRETCHES || self.history.front().is_some_and(old) {
            self.history.pop_front();
        }
    }

    fn history_since(&self, age: Duration) -> String {
        let now = SystemTime::now();
        let labels = &self.hello.labels;
        let recent = self.history.iter().filter(|stretch| {
            now.duration_since(stretch.until)
                .map_or(true, |since| since <= age)
        });
        let stretches: Vec<_> = recent
            .map(|stretch| {
                json!({
                    "from": rfc3339(stretch.from),
                    "until": rfc3339(stretch.until),
                    "state": stretch.state.as_str(),
                    "genre": stretch.genre.and_then(|index| labels.get(index)),
                    "held": stretch.held,
                })
            })
            .collect();
        json!({"v": VERSION, "type": "history", "t": rfc3339(now), "stretches": stretches})
            .to_string()
    }

    fn greeting(&self) -> Bytes {
        event("hello", &hello_line(&self.hello))
    }

    fn palette(&self) -> Bytes {
        event("palette", &palette(&self.hello.labels))
    }

    /// The newest in words of every language: which one it is shown in, the browser says.
    fn view(&self) -> Bytes {
        let Update {
            readout, labels, ..
        } = &self.newest;
        let words: serde_json::Map<_, _> = Language::ALL
            .iter()
            .map(|language| {
                let words = state_words(readout, labels, Duration::ZERO, language.words());
                (language.code().to_owned(), words.into())
            })
            .collect();
        let view = json!({"v": VERSION, "type": "view", "words": words,
            "trouble": self.trouble.as_deref()});
        event("view", &view.to_string())
    }

    /// Whoever takes nothing in is dismissed: it comes back and is told everything anew.
    fn tell<const N: usize>(&mut self, events: impl FnOnce(&Self) -> [Bytes; N]) {
        // Where nobody watches, nothing is put into words.
        if self.watchers.is_empty() {
            return;
        }
        let events = events(self);
        let let_go = &mut self.let_go;
        self.watchers.retain(|watcher| {
            let told = events.iter().try_for_each(|event| {
                watcher.try_send(event.clone()).inspect_err(|error| {
                    *let_go += u64::from(matches!(error, TrySendError::Full(_)));
                })
            });
            told.is_ok()
        });
    }
}

/// Before the first readout.
fn first(hello: &Hello) -> Update {
    Update {
        readout: Readout::warming(hello.labels.len()),
        labels: hello.labels.clone(),
        source: Arc::clone(&hello.source),
        model: Arc::clone(&hello.model),
        time: hello.time,
        seq: 0,
        held: false,
    }
}

fn palette(labels: &Labels) -> String {
    let colours = |ground| -> Vec<String> {
        (0..labels.len())
            .map(|index| {
                let [r, g, b] = colour_on(ground, index);
                format!("#{r:02x}{g:02x}{b:02x}")
            })
            .collect()
    };
    json!({"v": VERSION, "type": "palette", "dark": colours(Ground::Dark), "light": colours(Ground::Light)})
        .to_string()
}

/// One server-sent event. JSON is one line.
fn event(name: &str, data: &str) -> Bytes {
    format!("event: {name}\ndata: {data}\n\n").into()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    fn taken(events: &mut Receiver<Bytes>) -> Vec<String> {
        let mut out = Vec::new();
        while let Ok(event) = events.try_recv() {
            out.push(String::from_utf8(event.to_vec()).unwrap());
        }
        out
    }

    fn names(events: &[String]) -> Vec<&str> {
        let name = |event: &'_ str| event.starts_with("event: ");
        events
            .iter()
            .filter(|event| name(event))
            .map(|event| event.lines().next().unwrap().trim_start_matches("event: "))
            .collect()
    }

    #[test]
    fn who_comes_is_told_everything_and_who_sleeps_is_dismissed() {
        let board = Board::new(&fixtures::hello());
        board.update(&fixtures::update(1, Some(9)));
        let (mut awake, asleep) = (board.watch().unwrap(), board.watch().unwrap());
        let told = taken(&mut awake);
        assert_eq!(
            names(&told),
            ["hello", "palette", "history", "genre", "view"]
        );
        assert!(told[4].contains(r#""genre":"rock""#), "{told:?}");
        for seq in 2..100 {
            board.update(&fixtures::update(seq, None));
            assert_eq!(names(&taken(&mut awake)), ["genre", "view"]);
        }
        assert_eq!(board.newest().1, (1, 1), "one watches still, one is gone");
        assert!(asleep.len() <= EVENTS);
        board.dismiss();
        assert!(awake.is_closed());
    }

    #[test]
    fn only_so_many_watch() {
        let board = Board::new(&fixtures::hello());
        let mut watching: Vec<_> = (0..MAX_WATCHERS).map(|_| board.watch().unwrap()).collect();
        assert!(board.watch().is_none());
        watching.pop();
        assert!(board.watch().is_some());
    }

    #[test]
    fn a_lost_source_names_nothing_even_before_its_readout() {
        let board = Board::new(&fixtures::hello());
        board.update(&fixtures::update(1, Some(9)));
        let mut events = board.watch().unwrap();
        taken(&mut events);
        board.status(&Status {
            state: State::Lost,
            message: Some("unplugged".into()),
            source: "x".into(),
            time: fixtures::hello().time,
        });
        let told = taken(&mut events);
        assert!(told[1].contains("unplugged"), "{told:?}");
        let readout: serde_json::Value = serde_json::from_str(&board.readout()).unwrap();
        assert_eq!(readout["state"], "lost");
        assert!(readout["genre"].is_null());
        board.update(&fixtures::update(2, Some(9)));
        assert!(!taken(&mut events)[1].contains("unplugged"));
    }

    #[test]
    fn the_past_is_kept_in_stretches_and_does_not_grow() {
        let board = Board::new(&fixtures::hello());
        let start = SystemTime::now() - Duration::from_mins(100);
        for second in 0..6_000_u64 {
            let mut update = fixtures::update(second, Some((second / 60 % 2) as usize));
            update.time = start + Duration::from_secs(second);
            board.update(&update);
        }
        let history: serde_json::Value = serde_json::from_str(&board.history()).unwrap();
        let stretches = history["stretches"].as_array().unwrap();
        assert!((58..=62).contains(&stretches.len()), "{}", stretches.len());
        assert_eq!(stretches[0]["until"], stretches[1]["from"]);
        for seq in 0..10_000 {
            board.update(&fixtures::update(seq, Some((seq % 2) as usize)));
        }
        assert!(board.inner().history.len() <= MAX_STRETCHES);
    }
}
