//! OSC over real sockets on the loopback interface, received by rosc and, where it is installed, by
//! python-osc.
#![cfg(feature = "osc")]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/feeds.rs"]
mod fixtures;
#[path = "support/skip.rs"]
mod skip;

use std::{
    collections::HashMap,
    io::{BufRead, BufReader},
    net::UdpSocket,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fixtures::{feeds, readout, receiver};
use genrescope::{
    decision::State,
    genre::GTZAN,
    sink::{
        SinkRunner,
        osc::{OscConfig, OscSink},
    },
};
use rosc::{OscMessage, OscPacket, OscType};

/// Reads messages until `enough`, and fails with what came if that never happens.
fn receive(socket: &UdpSocket, mut enough: impl FnMut(&[OscMessage]) -> bool) -> Vec<OscMessage> {
    let mut messages = Vec::new();
    let mut buffer = [0_u8; 1536];
    while !enough(&messages) {
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{error} after {messages:#?}"));
        match rosc::decoder::decode_udp(&buffer[..length]) {
            Ok((rest, OscPacket::Message(message))) => {
                assert!(rest.is_empty());
                messages.push(message);
            }
            other => panic!("not a plain message: {other:?}"),
        }
    }
    messages
}

fn has(messages: &[OscMessage], addr: &str) -> bool {
    messages.iter().any(|message| message.addr == addr)
}

#[test]
fn a_real_socket_receives_every_address_with_its_types() {
    let (socket, target) = receiver();
    let mut feeds = feeds();
    let sink = OscSink::new(OscConfig::new(target)).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    feeds.publish(&readout(1, State::Live, Some(9)));
    let messages = receive(&socket, |all| has(all, "/genre/score/rock"));
    let by_address: HashMap<&str, &[OscType]> = messages
        .iter()
        .map(|message| (message.addr.as_str(), message.args.as_slice()))
        .collect();
    assert_eq!(
        by_address["/genre/top"],
        [
            OscType::String("rock".into()),
            OscType::Int(9),
            OscType::Float(0.55)
        ]
    );
    assert_eq!(by_address["/genre/index"], [OscType::Int(9)]);
    assert_eq!(by_address["/genre/name"], [OscType::String("rock".into())]);
    assert_eq!(by_address["/genre/confidence"], [OscType::Float(0.55)]);
    assert_eq!(by_address["/genre/state"], [OscType::String("live".into())]);
    assert_eq!(by_address["/genre/active/rock"], [OscType::Float(1.0)]);
    assert_eq!(by_address["/genre/active/jazz"], [OscType::Float(0.0)]);
    for label in GTZAN {
        let score = if label == "rock" { 0.55 } else { 0.05 };
        assert_eq!(
            by_address[format!("/genre/score/{label}").as_str()],
            [OscType::Float(score)]
        );
    }
    drop(feeds);
    let goodbye = receive(&socket, |all| has(all, "/genre/name"));
    assert_eq!(
        goodbye
            .iter()
            .find(|m| m.addr == "/genre/active/rock")
            .unwrap()
            .args,
        [OscType::Float(0.0)],
        "the lights do not stay on rock for ever"
    );
}

#[test]
fn every_state_of_the_readout_is_sent_by_its_name() {
    let (socket, target) = receiver();
    let mut feeds = feeds();
    let sink = OscSink::new(OscConfig::new(target)).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    // "lost" belongs to the device, and is told by a status of its own.
    let states = State::ALL.into_iter().filter(|state| *state != State::Lost);
    for (seq, state) in (1..).zip(states) {
        let genre = state.names_a_genre().then_some(3);
        feeds.publish(&readout(seq, state, genre));
        let said = |all: &[OscMessage]| {
            all.iter().any(|m| {
                m.addr == "/genre/state" && m.args == [OscType::String(state.as_str().into())]
            })
        };
        let messages = receive(&socket, said);
        assert!(said(&messages), "{state:?}");
    }
}

#[test]
fn several_receivers_each_get_all_and_a_dead_one_harms_none() {
    let (first, first_target) = receiver();
    let (second, second_target) = receiver();
    let (dead, dead_target) = receiver();
    drop(dead); // nobody listens there now
    let mut feeds = feeds();
    for target in [first_target, dead_target, second_target] {
        let sink = OscSink::new(OscConfig::new(target)).unwrap();
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    }
    for seq in 1..=20 {
        feeds.publish(&readout(seq, State::Live, Some((seq % 10) as usize)));
    }
    for socket in [&first, &second] {
        let messages = receive(socket, |all| {
            all.iter().filter(|m| m.addr == "/genre/index").count() == 20
        });
        let names: Vec<&OscMessage> = messages
            .iter()
            .filter(|m| m.addr == "/genre/name")
            .collect();
        assert_eq!(names[0].args, [OscType::String("classical".into())]);
    }
    let start = Instant::now();
    while !feeds.runners()[1].stats().unheard {
        // On systems that do not report closed ports there is nothing to see.
        if !cfg!(target_os = "linux") || start.elapsed() > Duration::from_secs(20) {
            break;
        }
        feeds.publish(&readout(21, State::Live, Some(0)));
        std::thread::sleep(Duration::from_millis(20));
    }
    let stats = feeds.runners()[1].stats();
    assert_eq!(stats.missed, 0, "UDP to a closed port is sent, not queued");
    if cfg!(target_os = "linux") {
        assert!(stats.unheard, "{stats:?}");
    }
}

#[cfg(target_os = "linux")] // which reports closed ports
#[test]
fn a_receiver_that_starts_late_learns_what_is_active() {
    let (socket, target) = receiver();
    drop(socket);
    let mut feeds = feeds();
    let sink = OscSink::new(OscConfig::new(target.clone())).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    let start = Instant::now();
    while !feeds.runners()[0].stats().unheard {
        assert!(start.elapsed() < Duration::from_secs(20), "never unheard");
        feeds.publish(&readout(1, State::Live, Some(8)));
        std::thread::sleep(Duration::from_millis(20));
    }
    let socket = UdpSocket::bind(&target).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    feeds.publish(&readout(2, State::Live, Some(8)));
    // Nothing changed since, but the resend (within 5 s) finds the receiver and tells it all.
    let messages = receive(&socket, |all| has(all, "/genre/active/reggae"));
    let active = messages
        .iter()
        .find(|m| m.addr == "/genre/active/reggae")
        .unwrap();
    assert_eq!(active.args, [OscType::Float(1.0)]);
}

#[test]
fn a_name_that_cannot_be_resolved_is_said_and_retried() {
    let mut feeds = feeds();
    let sink = OscSink::new(OscConfig::new("no-such-host.invalid:9000")).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    let start = Instant::now();
    while feeds.runners()[0].stats().errors == 0 {
        assert!(start.elapsed() < Duration::from_mins(1), "no error");
        std::thread::sleep(Duration::from_millis(20));
    }
    feeds.publish(&readout(1, State::Live, Some(0)));
    let stats = feeds.runners()[0].stats();
    assert!(!stats.connected);
    assert!(
        stats
            .last_error
            .unwrap()
            .contains("no-such-host.invalid:9000")
    );
}

/// What python-osc understands of our messages, by tests/osc_receiver.py.
#[test]
fn python_osc_understands_it() {
    let python = std::env::var("GENRESCOPE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let available = Command::new(&python)
        .args(["-c", "import pythonosc"])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !available {
        skip::skip(
            "python-osc",
            format_args!(
                "{python} has no python-osc; GENRESCOPE_PYTHON names an interpreter that has"
            ),
        );
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/osc_receiver.py");
    let mut child = Command::new(&python)
        .args([script, "/genre/score/rock"])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap();
    let mut feeds = feeds();
    let sink = OscSink::new(OscConfig::new(format!("127.0.0.1:{port}"))).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    feeds.publish(&readout(1, State::Live, Some(9)));
    let heard: Vec<String> = lines.map(Result::unwrap).collect();
    assert!(child.wait().unwrap().success(), "{heard:#?}");
    for expected in [
        r#"["/genre/active/rock", 1.0]"#,
        r#"["/genre/top", "rock", 9, 0.55]"#,
        r#"["/genre/index", 9]"#,
        r#"["/genre/name", "rock"]"#,
        r#"["/genre/confidence", 0.55]"#,
        r#"["/genre/state", "live"]"#,
        r#"["/genre/score/blues", 0.05]"#,
        r#"["/genre/score/rock", 0.55]"#,
    ] {
        assert!(
            heard.iter().any(|line| line == expected),
            "{expected} in {heard:#?}"
        );
    }
}
