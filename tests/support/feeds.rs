//! What tests of feeds send, and to whom.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests: each test program uses some of them, and a failure is a failed test"
)]

use std::{net::UdpSocket, time::Duration};

use genrescope::{
    decision::{Readout, State},
    genre::{GTZAN, Labels, Scores},
    sink::{Feeds, Hello, Sink, SinkRunner},
    units::Seconds,
};

pub(crate) fn labels() -> Labels {
    Labels::new(GTZAN).unwrap()
}

/// None yet.
pub(crate) fn feeds() -> Feeds {
    Feeds::new(Hello::new(labels(), "test", "model"))
}

/// One of them.
pub(crate) fn fed(sink: impl Sink + 'static) -> Feeds {
    let mut feeds = feeds();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    feeds
}

/// A readout as it comes after half a minute.
pub(crate) fn readout(seq: u64, state: State, genre: Option<usize>) -> Readout {
    let mut scores = [0.05_f32; 10];
    scores[genre.unwrap_or(0)] = 0.55;
    let scores = Scores::new(&scores);
    let mut readout = Readout {
        genre,
        confidence: 0.55,
        scores,
        frame_scores: scores,
        level_dbfs: -20.0,
        position: Seconds(2.0 * seq as f64),
        heard: Seconds(29.12),
        frames: 3,
        seq,
        changed: true,
        ..Readout::warming(10)
    };
    readout.set_state(state);
    readout
}

/// Somebody who listens, and where.
pub(crate) fn receiver() -> (UdpSocket, String) {
    let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let target = socket.local_addr().unwrap().to_string();
    (socket, target)
}
