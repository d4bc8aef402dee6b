//! A WLED controller as its JSON API and its sound sync are published, on real sockets of the
//! loopback interface.
#![cfg(feature = "lights")]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/feeds.rs"]
mod fixtures;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::{TcpListener, UdpSocket},
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, unbounded};
use fixtures::{feeds, readout};
use genrescope::{
    decision::State,
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Listener, RealtimeConfig},
    sink::{
        SinkRunner,
        wled::{PACKET, Strips, WledSink, WledSound},
    },
    units::SampleRate,
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(20);

/// Answers as kno.wled.ge/interfaces/json-api says; hands on what it is told.
struct Controller {
    target: String,
    told: Receiver<Value>,
    uptime: Arc<AtomicU64>,
}

fn controller() -> Controller {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = listener.local_addr().unwrap().to_string();
    let (tell, told) = unbounded();
    let uptime = Arc::new(AtomicU64::new(100));
    let up = Arc::clone(&uptime);
    std::thread::spawn(move || {
        for stream in listener.incoming() {
            let mut stream = BufReader::new(stream.unwrap());
            let mut head = Vec::new();
            loop {
                let mut line = String::new();
                if stream.read_line(&mut line).unwrap_or(0) == 0 || line == "\r\n" {
                    break;
                }
                head.push(line.trim_end().to_lowercase());
            }
            let length = head
                .iter()
                .find_map(|line| line.strip_prefix("content-length: "))
                .map_or(0, |length| length.parse().unwrap());
            let mut body = vec![0; length];
            stream.read_exact(&mut body).unwrap();
            let answer = if head[0].starts_with("get /json/info ") {
                let uptime = up.load(Ordering::Relaxed);
                format!(
                    r#"{{"ver":"0.14.4","leds":{{"count":30}},"uptime":{uptime},"brand":"WLED"}}"#
                )
            } else {
                assert!(head[0].starts_with("post /json/state "), "{head:?}");
                assert!(
                    head.iter()
                        .any(|line| line == "content-type: application/json")
                );
                tell.send(serde_json::from_slice(&body).unwrap()).unwrap();
                r#"{"success":true}"#.to_owned()
            };
            let length = answer.len();
            let answer = format!(
                "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{answer}"
            );
            let _ = stream.get_mut().write_all(answer.as_bytes());
        }
    });
    Controller {
        target,
        told,
        uptime,
    }
}

#[test]
fn presets_follow_the_genre_and_the_strip_goes_off() {
    let controller = controller();
    let mut feeds = feeds();
    let sink = WledSink::new(&controller.target, Strips::InOrder).unwrap();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    let next = || controller.told.recv_timeout(PATIENCE).unwrap().to_string();
    feeds.publish(&readout(1, State::Live, Some(9)));
    assert_eq!(next(), r#"{"on":true,"ps":10}"#);
    // The same once; unsure changes nothing.
    feeds.publish(&readout(1, State::Live, Some(9)));
    feeds.publish(&readout(1, State::Unsure, None));
    feeds.publish(&readout(1, State::Live, Some(0)));
    assert_eq!(next(), r#"{"on":true,"ps":1}"#);
    feeds.publish(&readout(1, State::Silent, None));
    assert_eq!(next(), r#"{"on":false}"#);
    feeds.publish(&readout(1, State::Live, Some(4)));
    assert_eq!(next(), r#"{"on":true,"ps":5}"#);
    feeds.status(State::Lost, None);
    assert_eq!(next(), r#"{"on":false}"#);
    feeds.publish(&readout(1, State::Live, Some(4)));
    assert_eq!(next(), r#"{"on":true,"ps":5}"#);
    drop(feeds);
    assert_eq!(next(), r#"{"on":false}"#);
    assert!(controller.uptime.load(Ordering::Relaxed) > 0);
}

#[test]
fn what_is_no_wled_is_said_and_one_that_hangs_delays_nobody() {
    let web = TcpListener::bind("127.0.0.1:0").unwrap();
    let hangs = TcpListener::bind("127.0.0.1:0").unwrap();
    let target = web.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for stream in web.incoming() {
            let mut stream = stream.unwrap();
            let _ = stream.read(&mut [0; 1024]);
            let _ = stream.write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\n<html>");
        }
    });
    let mut feeds = feeds();
    for target in [target, hangs.local_addr().unwrap().to_string()] {
        let sink = WledSink::new(&target, Strips::InOrder).unwrap();
        feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    }
    let start = Instant::now();
    while feeds
        .runners()
        .iter()
        .any(|runner| runner.stats().errors == 0)
    {
        assert!(start.elapsed() < PATIENCE);
        feeds.publish(&readout(1, State::Live, Some(1)));
        std::thread::sleep(Duration::from_millis(20));
    }
    let error = feeds.runners()[0].stats().last_error.unwrap();
    assert!(error.contains("no WLED"), "{error}");
    let stats = feeds.finish();
    assert!(
        stats.iter().all(|(_, stats)| stats.missed > 0),
        "what was not delivered is counted"
    );
}

/// The pipeline's own columns become packets, and silence ends them.
#[test]
fn sound_sync_follows_what_is_heard() {
    let model = Model::builtin();
    let rate = SampleRate::new(12_000).unwrap();
    let config = RealtimeConfig {
        rate,
        max_block: 1024,
        pipeline: PipelineConfig::default(),
    };
    let (mut input, listener) = Listener::start(&model, config).unwrap();
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let target = socket.local_addr().unwrap().to_string();
    let sink = WledSound::at(&target, &listener.counters(), model.front_end()).unwrap();
    let mut feeds = feeds();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    let mut sample = 0_u32;
    let mut next = |input: &mut genrescope::realtime::AudioInput| {
        // A block of a tone of 1 kHz.
        let block: Vec<f32> = (0..256)
            .map(|_| {
                sample += 1;
                0.3 * (sample as f32 * std::f32::consts::TAU / 12.0).sin()
            })
            .collect();
        input.wait_for_room(256, PATIENCE);
        input.push_interleaved(&block, 1);
        std::thread::sleep(Duration::from_millis(5));
    };
    let mut packet = [0_u8; 64];
    let loud = loop {
        next(&mut input);
        socket.set_nonblocking(true).unwrap();
        if let Ok(length) = socket.recv(&mut packet) {
            assert_eq!((length, &packet[..6]), (PACKET, &b"00002\0"[..]));
            if packet[18 + 7] > 200 {
                break packet;
            }
        }
    };
    let float = |at: usize| f32::from_le_bytes(loud[at..at + 4].try_into().unwrap());
    assert!(float(8) > 200.0, "loudness {}", float(8));
    assert!(
        (float(40) - 1_000.0).abs() < 60.0,
        "the strongest frequency {}",
        float(40)
    );
    assert!(loud[18] < 100, "no bass: {:?}", &loud[18..34]);
    // The source stops: "nothing sounds", and no more.
    socket.set_nonblocking(false).unwrap();
    loop {
        socket.recv(&mut packet).unwrap();
        if packet[8..17]
            .iter()
            .chain(&packet[18..PACKET])
            .all(|byte| *byte == 0)
        {
            break;
        }
    }
    drop(feeds);
    drop(listener);
}
