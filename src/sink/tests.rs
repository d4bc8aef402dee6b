use std::{
    io,
    sync::{
        Mutex,
        atomic::{AtomicU64, Ordering},
    },
};

use crossbeam_channel::Receiver;

use super::*;
use crate::{
    decision::{Reason, State},
    genre::{GTZAN, Scores},
    units::Seconds,
};

pub(crate) fn hello() -> Hello {
    let mut hello = Hello::new(Labels::new(GTZAN).unwrap(), "test:source", "test-model");
    hello.time = SystemTime::UNIX_EPOCH + Duration::from_millis(1_000_000_000_123);
    hello
}

/// A readout that shows `genre` (or none), with most of the score on it.
pub(crate) fn readout(seq: u64, genre: Option<usize>) -> Readout {
    let mut scores = [0.04_f32; 10];
    scores[genre.unwrap_or(0)] = 0.64;
    Readout {
        state: if genre.is_some() {
            State::Live
        } else {
            State::Unsure
        },
        reason: genre.is_none().then_some(Reason::LowScore),
        genre,
        confidence: 0.64,
        scores: Scores::new(&scores),
        frame_scores: Scores::new(&scores),
        music: Some(0.98),
        level_dbfs: -18.24,
        position: Seconds(2.048 * seq as f64),
        heard: Seconds(29.12),
        frames: 5,
        seq,
        changed: seq == 1,
    }
}

pub(crate) fn update(seq: u64, genre: Option<usize>) -> Update {
    let hello = hello();
    Update {
        readout: readout(seq, genre),
        labels: hello.labels,
        source: hello.source,
        model: hello.model,
        time: hello.time,
        seq,
        held: false,
    }
}

/// Fails on demand and writes down what it was told.
#[derive(Debug)]
struct Script {
    log: Arc<Mutex<Vec<String>>>,
    /// How many connections fail.
    refuse: usize,
    /// Updates that break the connection.
    break_at: Vec<u64>,
    /// The update after which the receiver is gone for good.
    close_at: Option<u64>,
}

impl Script {
    fn boxed(log: &Arc<Mutex<Vec<String>>>) -> Box<Self> {
        Box::new(Self {
            log: Arc::clone(log),
            refuse: 0,
            break_at: Vec::new(),
            close_at: None,
        })
    }
    fn note(&self, line: String) {
        self.log.lock().unwrap().push(line);
    }
    fn unreachable(&self) -> SinkError {
        SinkError::Unreachable {
            feed: self.name(),
            target: "nowhere".into(),
            source: io::ErrorKind::ConnectionRefused.into(),
        }
    }
}

impl Sink for Script {
    fn name(&self) -> String {
        "script".into()
    }
    fn connect(&mut self) -> Result<(), SinkError> {
        if self.refuse > 0 {
            self.refuse -= 1;
            return Err(self.unreachable());
        }
        self.note("connect".into());
        Ok(())
    }
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        self.note(format!("hello {}", hello.source));
        Ok(())
    }
    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        if let Some(at) = self.break_at.iter().position(|&seq| seq == update.seq) {
            self.break_at.remove(at);
            return Err(self.unreachable());
        }
        if self.close_at == Some(update.seq) {
            return Err(SinkError::Closed { feed: self.name() });
        }
        self.note(format!("update {}", update.seq));
        Ok(())
    }
    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        self.note(format!("status {}", status.state.as_str()));
        Ok(())
    }
    fn close(&mut self) {
        self.note("close".into());
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < Duration::from_secs(30), "{what}");
        std::thread::sleep(Duration::from_millis(5));
    }
}

#[test]
fn everything_arrives_in_order_and_states_come_first() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut feeds = Feeds::new(hello());
    feeds.add(SinkRunner::spawn(Script::boxed(&log), feeds.hello()).unwrap());
    feeds.publish(&readout(1, Some(9)));
    feeds.publish(&readout(2, Some(9)));
    feeds.publish(&readout(3, None));
    feeds.status(State::Lost, Some("unplugged"));
    feeds.set_source("another");
    drop(feeds);
    assert_eq!(
        *log.lock().unwrap(),
        [
            "connect",
            "hello test:source",
            "status live",
            "update 1",
            "update 2",
            "status unsure",
            "update 3",
            "status lost",
            "hello another",
            "close"
        ]
    );
}

#[test]
fn a_lost_connection_comes_back_and_is_brought_up_to_date() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut sink = Script::boxed(&log);
    sink.refuse = 2;
    sink.break_at = vec![2];
    let runner = SinkRunner::spawn(sink, &hello()).unwrap();
    wait_for("connected after two refusals", || runner.stats().connected);
    assert_eq!(runner.stats().errors, 2);
    assert!(runner.stats().last_error.unwrap().contains("nowhere"));
    runner.update(&update(1, Some(1)));
    runner.update(&update(2, Some(2)));
    wait_for("reconnected", || {
        log.lock()
            .unwrap()
            .iter()
            .filter(|line| *line == "connect")
            .count()
            == 2
    });
    drop(runner);
    assert_eq!(
        *log.lock().unwrap(),
        [
            "connect",
            "hello test:source",
            "status live",
            "update 1",
            "connect",
            "hello test:source",
            "status live",
            "update 2",
            "close"
        ]
    );
}

#[test]
fn a_receiver_that_ended_ends_the_feed_quietly() {
    let log = Arc::new(Mutex::new(Vec::new()));
    let mut sink = Script::boxed(&log);
    sink.close_at = Some(1);
    let runner = SinkRunner::spawn(sink, &hello()).unwrap();
    runner.update(&update(1, None));
    wait_for("ended", || runner.stats().ended);
    wait_for("the queue is closed", || !runner.update(&update(2, None)));
    assert_eq!(runner.stats().errors, 0, "an ended receiver is no error");
}

/// A receiver that never returns from its first message.
#[derive(Debug)]
struct Dead(Receiver<()>);
impl Sink for Dead {
    fn name(&self) -> String {
        "dead".into()
    }
    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        let _ = self.0.recv();
        Ok(())
    }
    fn update(&mut self, _: &Update, _: Instant) -> Result<(), SinkError> {
        Ok(())
    }
    fn status(&mut self, _: &Status) -> Result<(), SinkError> {
        Ok(())
    }
}

#[test]
fn a_dead_receiver_blocks_and_grows_nothing() {
    let (keep, never) = crossbeam_channel::bounded(0);
    let mut feeds = Feeds::new(hello());
    feeds.add(SinkRunner::spawn(Box::new(Dead(never)), feeds.hello()).unwrap());
    let log = Arc::new(Mutex::new(Vec::new()));
    feeds.add(SinkRunner::spawn(Script::boxed(&log), feeds.hello()).unwrap());
    for seq in 1..=10_000 {
        feeds.publish(&readout(seq, Some(0)));
        if seq % 32 == 0 {
            // The neighbour is alive and gets everything.
            wait_for("the neighbour keeps up", || {
                feeds.runners()[1].stats().sent == seq
            });
        }
    }
    let dead = feeds.runners()[0].stats();
    assert_eq!(
        dead.missed,
        10_000 - QUEUE_CAPACITY as u64 - 1,
        "the queue holds {QUEUE_CAPACITY} messages, and the newest waits beside it"
    );
    assert_eq!(dead.sent, 0);
    assert_eq!(feeds.runners()[1].stats().missed, 0);
    let start = Instant::now();
    drop(feeds);
    assert!(
        start.elapsed() < DROP_GRACE * 2 + Duration::from_secs(10),
        "dropping waits for a bounded time"
    );
    drop(keep);
}

#[test]
fn a_receiver_that_was_stuck_ends_with_what_is_true_and_all_is_counted() {
    /// Waits for a permission before each readout.
    #[derive(Debug)]
    struct Stuck(Receiver<()>, Arc<Mutex<Vec<String>>>);
    impl Sink for Stuck {
        fn name(&self) -> String {
            "stuck".into()
        }
        fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
            Ok(())
        }
        fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
            // Without the other side, it goes on.
            let _ = self.0.recv();
            self.1.lock().unwrap().push(update.seq.to_string());
            Ok(())
        }
        fn status(&mut self, status: &Status) -> Result<(), SinkError> {
            let state = status.state.as_str().to_owned();
            self.1.lock().unwrap().push(state);
            Ok(())
        }
    }
    let (go_on, permission) = crossbeam_channel::unbounded();
    let told = Arc::new(Mutex::new(Vec::new()));
    let mut feeds = Feeds::new(hello());
    let sink = Stuck(permission, Arc::clone(&told));
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    for seq in 1..=1_000 {
        feeds.publish(&readout(seq, Some(0)));
    }
    feeds.status(State::Lost, None);
    drop(go_on);
    wait_for("it hears of the loss", || {
        told.lock()
            .unwrap()
            .last()
            .is_some_and(|last| last == "lost")
    });
    feeds.publish(&readout(1_001, Some(0)));
    wait_for("and of what comes then", || {
        told.lock()
            .unwrap()
            .last()
            .is_some_and(|last| last == "1001")
    });
    let ledger = feeds.ledger();
    let (_, stats) = feeds.finish().remove(0);
    let counted = told
        .lock()
        .unwrap()
        .iter()
        .filter(|told| told.parse::<u64>().is_ok())
        .count() as u64;
    assert_eq!((stats.offered, stats.sent), (1_001, counted));
    assert_eq!(stats.missed, 1_001 - counted);
    assert_eq!(ledger.read()[0].1, stats);
}

#[test]
fn a_slow_receiver_loses_nothing_from_a_source_that_can_wait() {
    #[derive(Debug)]
    struct Slow(Arc<AtomicU64>);
    impl Sink for Slow {
        fn name(&self) -> String {
            "slow".into()
        }
        fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
            Ok(())
        }
        fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
            std::thread::sleep(Duration::from_micros(200));
            let before = self.0.swap(update.seq, Ordering::Relaxed);
            assert_eq!(before + 1, update.seq);
            Ok(())
        }
        fn status(&mut self, _: &Status) -> Result<(), SinkError> {
            Ok(())
        }
    }
    let last = Arc::new(AtomicU64::new(0));
    let mut feeds = Feeds::new(hello());
    feeds.add(SinkRunner::spawn(Box::new(Slow(Arc::clone(&last))), feeds.hello()).unwrap());
    for seq in 1..=500 {
        feeds.publish_waiting(&readout(seq, None), Duration::from_secs(30));
    }
    assert_eq!(feeds.runners()[0].stats().missed, 0);
    drop(feeds);
    assert_eq!(last.load(Ordering::Relaxed), 500);
}
