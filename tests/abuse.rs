//! Receivers of bad manners: each feed goes on or says what is wrong, holds up no other, counts
//! every readout, ends when it is told to, and tells the newest to a receiver that has mended its
//! ways. What is not here is in the tests that docs/feeds.md names.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/feeds.rs"]
mod fixtures;

use std::{
    fs,
    io::{Read as _, Write as _},
    net::{TcpListener, TcpStream, UdpSocket},
    process::Command,
    sync::{
        Arc, Mutex,
        atomic::{AtomicBool, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use fixtures::{feeds, labels, readout};
use genrescope::{
    decision::State,
    sink::{
        Feeds, Hello, Sink, SinkError, SinkRunner, SinkStats, Status, Update,
        artnet::{ArtNetConfig, ArtNetSink},
        jsonl::JsonlSink,
        look::Look,
        mqtt::{MqttConfig, MqttSink},
        os2l::Os2lSink,
        osc::{OscConfig, OscSink},
        sacn::{SacnConfig, SacnSink},
        text::TextSink,
        wled::{Strips, WledSink},
    },
};

const PATIENCE: Duration = Duration::from_secs(60);

/// What a receiver over TCP does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Manner {
    /// Nobody listens.
    Dead,
    /// Lets in and hangs up.
    HangsUp,
    /// Lets in, and neither reads nor answers.
    Sleeps,
    /// Reads a byte now and then, and answers nothing.
    Slow,
    /// Reads something, and hangs up.
    ClosesAfterEach,
    /// Sends rubbish for as long as it is taken.
    Floods,
    /// Greets as one should, and then neither reads nor answers.
    FallsAsleep,
}

const MANNERS: [Manner; 7] = [
    Manner::Dead,
    Manner::HangsUp,
    Manner::Sleeps,
    Manner::Slow,
    Manner::ClosesAfterEach,
    Manner::Floods,
    Manner::FallsAsleep,
];

/// How a receiver answers that does as it should: from all that has come so far on a connection,
/// what to say now.
type Answers = fn(&mut Vec<u8>) -> Vec<u8>;

/// A receiver at an address that stays the same.
struct Receiver {
    target: String,
    good: Arc<AtomicBool>,
    /// All that came since it is good.
    heard: Arc<Mutex<Vec<u8>>>,
    answers: Answers,
}

impl Receiver {
    fn start(manner: Manner, answers: Answers) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let receiver = Self {
            target: listener.local_addr().unwrap().to_string(),
            good: Arc::default(),
            heard: Arc::default(),
            answers,
        };
        if manner != Manner::Dead {
            receiver.serve(listener, manner);
        }
        receiver
    }

    fn serve(&self, listener: TcpListener, manner: Manner) {
        let (good, heard, answers) = (
            Arc::clone(&self.good),
            Arc::clone(&self.heard),
            self.answers,
        );
        thread::spawn(move || {
            for stream in listener.incoming() {
                let (good, heard) = (Arc::clone(&good), Arc::clone(&heard));
                thread::spawn(move || {
                    let mut stream = stream.unwrap();
                    if good.load(Ordering::Relaxed) {
                        behave(&mut stream, &heard, answers);
                    } else {
                        misbehave(&mut stream, manner, &good, answers);
                    }
                });
            }
        });
    }

    /// From here on it does as it should; those who are connected are hung up on.
    fn mend(&self, manner: Manner) {
        self.good.store(true, Ordering::Relaxed);
        if manner == Manner::Dead {
            self.serve(TcpListener::bind(&self.target).unwrap(), manner);
        }
    }

    fn heard(&self) -> String {
        String::from_utf8_lossy(&self.heard.lock().unwrap()).into_owned()
    }
}

fn misbehave(stream: &mut TcpStream, manner: Manner, good: &AtomicBool, answers: Answers) {
    let rubbish = vec![b'{'; 65_536];
    let pause = || thread::sleep(Duration::from_millis(10));
    stream
        .set_write_timeout(Some(Duration::from_millis(50)))
        .unwrap();
    match manner {
        Manner::Dead | Manner::HangsUp => {}
        Manner::ClosesAfterEach => drop(stream.read(&mut vec![0; 65_536])),
        Manner::FallsAsleep => {
            let mut said = vec![0; 65_536];
            let n = stream.read(&mut said).unwrap_or(0);
            said.truncate(n);
            let _ = stream.write_all(&answers(&mut said));
            while !good.load(Ordering::Relaxed) {
                pause();
            }
        }
        Manner::Sleeps | Manner::Slow | Manner::Floods => {
            while !good.load(Ordering::Relaxed) {
                if manner == Manner::Slow {
                    let _ = stream.read(&mut [0]);
                }
                if manner == Manner::Floods {
                    let _ = stream.write(&rubbish);
                }
                pause();
            }
        }
    }
}

fn behave(stream: &mut TcpStream, heard: &Mutex<Vec<u8>>, answers: Answers) {
    let mut unanswered = Vec::new();
    let mut buffer = [0; 4_096];
    while let Ok(n) = stream.read(&mut buffer)
        && n > 0
    {
        heard.lock().unwrap().extend(&buffer[..n]);
        unanswered.extend(&buffer[..n]);
        let answer = answers(&mut unanswered);
        if stream.write_all(&answer).is_err() {
            return;
        }
    }
}

fn no_answers(said: &mut Vec<u8>) -> Vec<u8> {
    said.clear();
    Vec::new()
}

/// A WLED controller's answers.
fn wled_answers(said: &mut Vec<u8>) -> Vec<u8> {
    let text = String::from_utf8_lossy(said).to_lowercase();
    let Some((head, body)) = text.split_once("\r\n\r\n") else {
        return Vec::new();
    };
    let length = head
        .lines()
        .find_map(|line| line.strip_prefix("content-length: "));
    if length.is_some_and(|length| body.len() < length.parse().unwrap()) {
        return Vec::new();
    }
    said.clear();
    let body = r#"{"ver":"0.14.4","leds":{"count":30},"uptime":9,"success":true}"#;
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
    .into()
}

/// A broker's answers (MQTT 3.1.1).
fn broker_answers(said: &mut Vec<u8>) -> Vec<u8> {
    let mut answer = Vec::new();
    loop {
        let (mut at, mut length, mut shift) = (1, 0_usize, 0);
        loop {
            let Some(&byte) = said.get(at) else {
                return answer;
            };
            at += 1;
            length |= usize::from(byte & 0x7f) << shift;
            shift += 7;
            if byte < 0x80 {
                break;
            }
        }
        if said.len() < at + length {
            return answer;
        }
        let packet: Vec<u8> = said.drain(..at + length).collect();
        match packet[0] >> 4 {
            1 => answer.extend([0x20, 2, 0, 0]),
            3 if packet[0] & 0x06 != 0 => {
                let topic = usize::from(packet[at]) << 8 | usize::from(packet[at + 1]);
                let id = at + 2 + topic;
                answer.extend([0x40, 2, packet[id], packet[id + 1]]);
            }
            8 => answer.extend([0x90, 3, packet[at], packet[at + 1], 0]),
            12 => answer.extend([0xd0, 0]),
            _ => {}
        }
    }
}

/// Counts what it is told.
#[derive(Debug)]
struct Neighbour;

impl Sink for Neighbour {
    fn name(&self) -> String {
        "neighbour".into()
    }
    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        Ok(())
    }
    fn update(&mut self, _: &Update, _: Instant) -> Result<(), SinkError> {
        Ok(())
    }
    fn status(&mut self, _: &Status) -> Result<(), SinkError> {
        Ok(())
    }
}

fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < PATIENCE, "{what}");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A feed with a neighbour that must miss nothing.
struct Session {
    feeds: Feeds,
    seq: u64,
}

impl Session {
    fn start(sink: Box<dyn Sink>) -> Self {
        let mut feeds = feeds();
        for sink in [sink, Box::new(Neighbour)] {
            feeds.add(SinkRunner::spawn(sink, feeds.hello()).unwrap());
        }
        Self { feeds, seq: 0 }
    }

    fn stats(&self) -> SinkStats {
        self.feeds.runners()[0].stats()
    }

    /// So many readouts, each of another genre, and as fast as the neighbour takes them.
    fn publish(&mut self, count: u64) {
        for _ in 0..count {
            self.seq += 1;
            let genre = self.seq as usize % 9;
            self.feeds
                .publish(&readout(self.seq, State::Live, Some(genre)));
            wait_for("the neighbour is not held up", || {
                self.feeds.runners()[1].stats().sent == self.seq
            });
        }
    }

    /// The feed is used, and goes wrong or goes on.
    fn abuse(&mut self) {
        self.publish(10);
        wait_for("it tries", || {
            let stats = self.stats();
            stats.errors > 0 || stats.sent > 0 || stats.ended
        });
        self.publish(200);
    }

    /// Says *rock* until it is heard.
    fn is_heard_again(&mut self, what: &str, mut heard: impl FnMut() -> bool) {
        wait_for(what, || {
            self.seq += 1;
            self.feeds.publish(&readout(self.seq, State::Live, Some(9)));
            thread::sleep(Duration::from_millis(20));
            heard()
        });
    }

    fn end(self, what: &str) -> SinkStats {
        let seq = self.seq;
        let mut told = self.feeds.finish();
        let (_, neighbour) = told.pop().unwrap();
        assert_eq!(neighbour.missed, 0, "{what}: the neighbour was held up");
        let (_, stats) = told.pop().unwrap();
        assert_eq!(stats.offered, seq, "{what}");
        assert_eq!(stats.sent + stats.missed, seq, "{what}: {stats:?}");
        stats
    }
}

/// One feed over TCP through all manners.
fn suffers<S: Sink + 'static>(make: fn(&str) -> S, answers: Answers, rock: &str) {
    let all: Vec<_> = MANNERS
        .into_iter()
        .map(|manner| {
            let rock = rock.to_owned();
            thread::spawn(move || {
                let what = format!("{manner:?}");
                let receiver = Receiver::start(manner, answers);
                let mut session = Session::start(Box::new(make(&receiver.target)));
                session.abuse();
                receiver.mend(manner);
                session.is_heard_again(&what, || receiver.heard().contains(&rock));
                session.end(&what);

                // One that never mends its ways holds nobody up at the end.
                let receiver = Receiver::start(manner, answers);
                let mut session = Session::start(Box::new(make(&receiver.target)));
                session.publish(80);
                session.end(&what);
            })
        })
        .collect();
    for one in all {
        one.join().unwrap();
    }
}

#[test]
fn os2l_suffers_receivers_of_bad_manners() {
    suffers(
        |target| Os2lSink::new(target).unwrap(),
        no_answers,
        r#"{"evt":"btn","name":"rock","state":"on"}"#,
    );
}

#[test]
fn wled_suffers_controllers_of_bad_manners() {
    suffers(
        |target| WledSink::new(target, Strips::InOrder).unwrap(),
        wled_answers,
        r#"{"on":true,"ps":10}"#,
    );
}

#[test]
fn mqtt_suffers_brokers_of_bad_manners() {
    suffers(mqtt, broker_answers, r#""genre":"rock""#);
}

fn mqtt(target: &str) -> MqttSink {
    MqttSink::new(&MqttConfig {
        url: format!("mqtt://{target}"),
        password: None,
        ca: None,
        discovery: Some("homeassistant".into()),
        id: "test".into(),
    })
    .unwrap()
}

/// What a broker has read and never acknowledged did not arrive, as far as is known.
#[test]
fn readouts_that_a_broker_does_not_acknowledge_are_counted() {
    /// Everything but the acknowledgement of messages.
    fn forgetful(said: &mut Vec<u8>) -> Vec<u8> {
        let connects = said.first().is_some_and(|byte| byte >> 4 == 1);
        said.clear();
        if connects {
            vec![0x20, 2, 0, 0]
        } else {
            Vec::new()
        }
    }
    let receiver = Receiver::start(Manner::Dead, forgetful);
    receiver.mend(Manner::Dead);
    let mut session = Session::start(Box::new(mqtt(&receiver.target)));
    wait_for("it is connected", || session.stats().connected);
    session.publish(3);
    wait_for("it is told", || {
        receiver.heard().matches(r#""type":"genre""#).count() == 3
    });
    assert_eq!(session.stats().sent, 3);
    let stats = session.end("never acknowledged");
    assert_eq!((stats.sent, stats.missed), (0, 3));
}

fn look() -> Look {
    Look::plain(&labels(), 1)
}

fn over_udp(target: &str) -> [Box<dyn Sink>; 3] {
    let sacn = SacnConfig {
        target: target.into(),
        priority: 90,
        source_name: "test".into(),
        interface: None,
        look: look(),
    };
    let artnet = ArtNetConfig {
        target: target.into(),
        allow_broadcast: false,
        first: 0,
        interface: None,
        look: look(),
    };
    [
        Box::new(OscSink::new(OscConfig::new(target)).unwrap()),
        Box::new(SacnSink::new(sacn).unwrap()),
        Box::new(ArtNetSink::new(artnet).unwrap()),
    ]
}

/// Over UDP a receiver can be away, never read, and send back; nothing of that is an error of ours.
#[test]
fn datagrams_go_out_whatever_comes_back() {
    for index in 0..3 {
        for manner in [Manner::Dead, Manner::Sleeps, Manner::Floods] {
            let what = format!("{index} {manner:?}");
            let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
            let target = socket.local_addr().unwrap().to_string();
            socket.set_read_timeout(Some(PATIENCE)).unwrap();
            let sink = over_udp(&target).into_iter().nth(index).unwrap();
            let (socket, stop) = (Some(socket), Arc::new(AtomicBool::new(false)));
            let socket = socket.filter(|_| manner != Manner::Dead);
            let mut session = Session::start(sink);
            // One after the other: nothing has to wait for its queue here.
            let publish = |session: &mut Session, count| {
                for _ in 0..count {
                    session.publish(1);
                    wait_for("it goes out", || session.stats().sent == session.seq);
                }
            };
            publish(&mut session, 20);
            let flood = (manner == Manner::Floods).then(|| {
                let socket = socket.as_ref().unwrap().try_clone().unwrap();
                let stop = Arc::clone(&stop);
                let (_, sender) = socket.recv_from(&mut [0; 2_048]).unwrap();
                thread::spawn(move || {
                    while !stop.load(Ordering::Relaxed) {
                        // What the kernel has no room for is lost there.
                        let _ = socket.send_to(&[0xff; 1_400], sender);
                    }
                })
            });
            publish(&mut session, 200);
            let stats = session.end(&what);
            assert_eq!((stats.missed, stats.errors), (0, 0), "{what}: {stats:?}");
            stop.store(true, Ordering::Relaxed);
            if let Some(flood) = flood {
                flood.join().unwrap();
            }
        }
    }
}

#[test]
fn a_pipe_whose_reader_sleeps_loses_readouts_that_are_counted() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("pipe");
    assert!(
        Command::new("mkfifo")
            .arg(&path)
            .status()
            .unwrap()
            .success()
    );
    let named = path.clone();
    let reader = thread::spawn(move || fs::File::open(named).unwrap());
    let sink = Box::new(JsonlSink::append(&path).unwrap());
    let mut reader = reader.join().unwrap();
    let mut session = Session::start(sink);
    // A pipe holds 64 kB, the queue as many messages again.
    session.publish(400);
    assert!(session.stats().missed > 0);
    // Then it wakes up, and hears the newest.
    let heard = Arc::new(Mutex::new(Vec::new()));
    let all = Arc::clone(&heard);
    let reading = thread::spawn(move || {
        let mut buffer = [0; 4_096];
        while let Ok(n) = reader.read(&mut buffer)
            && n > 0
        {
            all.lock().unwrap().extend(&buffer[..n]);
        }
    });
    let newest = format!(r#""seq":{},"#, session.seq);
    wait_for("the newest", || {
        String::from_utf8_lossy(&heard.lock().unwrap()).contains(&newest)
    });
    let stats = session.end("asleep");
    reading.join().unwrap();
    let said = String::from_utf8_lossy(&heard.lock().unwrap()).into_owned();
    let lines = said.lines().count() as u64;
    assert_eq!(stats.sent, lines - 2, "hello and the state come besides");
}

#[test]
fn a_folder_that_goes_away_and_comes_back_has_its_line_again() {
    let dir = tempfile::tempdir().unwrap();
    let folder = dir.path().join("stick");
    fs::create_dir(&folder).unwrap();
    let path = folder.join("now.txt");
    let mut session = Session::start(Box::new(TextSink::new(&path, "{genre}").unwrap()));
    session.publish(5);
    // At once, whatever is being written there.
    fs::rename(&folder, dir.path().join("away")).unwrap();
    wait_for("it fails", || {
        session.publish(1);
        session.stats().errors > 0
    });
    let error = session.stats().last_error.unwrap();
    assert!(error.contains("now.txt"), "{error}");
    fs::create_dir(&folder).unwrap();
    session.is_heard_again("the line", || {
        fs::read_to_string(&path).is_ok_and(|line| line == "rock\n")
    });
    session.end("back again");
    assert_eq!(fs::read_to_string(&path).unwrap(), "");
}
