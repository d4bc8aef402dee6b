//! OS2L (Open Sound to Light): JSON over TCP to lighting software such as QLC+ and DASLight, as DJ programs speak it.
//!
//! Per genre one button (`{"evt":"btn","name":"rock","state":"on"}`, on while the genre is shown) and one command
//! (`{"evt":"cmd","id":9,"param":61.0}`, the score in percent, its id the label's index). The receiver listens, usually
//! on port 9996; it is given by address.

use std::{
    io::{self, Read as _, Write as _},
    net::{TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{Hello, Sink, SinkError, Status, Update};
use crate::{decision::State, genre::Labels};

/// Port of receivers that are given without one.
pub const DEFAULT_PORT: u16 = 9996;

/// QLC+ takes everything that has arrived for one message (plugins/os2l/os2lplugin.cpp, `slotProcessTCPPackets`), so
/// messages that arrive together are lost there: each has this much time to itself.
const GAP: Duration = Duration::from_millis(20);

/// Scores that moved by less than this many percent are not sent.
const STEP: f32 = 0.5;

/// Longest wait for a receiver to accept a connection or a message.
const PATIENCE: Duration = Duration::from_secs(2);

/// One OS2L receiver.
#[derive(Debug)]
pub struct Os2lSink {
    host: String,
    port: u16,
    stream: Option<TcpStream>,
    labels: Option<Labels>,
    shown: Option<usize>,
    /// Percent, as last sent.
    told: Vec<f32>,
}

impl Os2lSink {
    /// A sink for the receiver at `HOST[:PORT]`. Nothing is sent before [`Sink::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when it is not of that form.
    pub fn new(target: &str) -> Result<Self, SinkError> {
        let wrong = |why: &str| SinkError::Setting {
            feed: "os2l",
            what: "receiver",
            value: target.to_owned(),
            why: format!("{why}; write HOST:PORT, such as 127.0.0.1:9996"),
        };
        let (host, port) = match target.rsplit_once(':') {
            None => (target, DEFAULT_PORT),
            Some((host, port)) => (
                host,
                port.parse()
                    .ok()
                    .filter(|&port| port != 0)
                    .ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?,
            ),
        };
        let host = host.trim_start_matches('[').trim_end_matches(']');
        if host.is_empty() || host.contains(['/', ' ']) {
            return Err(wrong("there is no usable host name in it"));
        }
        Ok(Self {
            host: host.to_owned(),
            port,
            stream: None,
            labels: None,
            shown: None,
            told: Vec::new(),
        })
    }

    fn unreachable(&self, source: io::Error) -> SinkError {
        SinkError::Unreachable {
            feed: "os2l".to_owned(),
            target: format!("{}:{}", self.host, self.port),
            source,
        }
    }

    fn send(&mut self, message: &serde_json::Value) -> Result<(), SinkError> {
        let written = match &mut self.stream {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(stream) => stream.write_all(message.to_string().as_bytes()),
        };
        written.map_err(|error| {
            self.stream = None;
            self.unreachable(error)
        })?;
        std::thread::sleep(GAP);
        Ok(())
    }

    fn button(&mut self, index: usize, on: bool) -> Result<(), SinkError> {
        let Some(name) = self
            .labels
            .as_ref()
            .and_then(|labels| labels.get(index))
            .map(str::to_owned)
        else {
            return Ok(());
        };
        let state = if on { "on" } else { "off" };
        self.send(&json!({"evt": "btn", "name": name, "state": state}))
    }

    fn show(&mut self, genre: Option<usize>) -> Result<(), SinkError> {
        if self.shown == genre {
            return Ok(());
        }
        if let Some(index) = self.shown.take() {
            self.button(index, false)?;
        }
        if let Some(index) = genre {
            self.button(index, true)?;
        }
        self.shown = genre;
        Ok(())
    }
}

impl Sink for Os2lSink {
    fn name(&self) -> String {
        format!("os2l {}:{}", self.host, self.port)
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.stream = None;
        // A receiver that was away knows nothing of what was on.
        self.shown = None;
        let connected = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into()))
            .and_then(|address| TcpStream::connect_timeout(&address, PATIENCE))
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(Duration::from_millis(1)))?;
                Ok(stream)
            });
        self.stream = Some(connected.map_err(|error| self.unreachable(error))?);
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        if self.labels.as_ref() == Some(&hello.labels) {
            self.show(None)?;
        }
        self.told = vec![f32::NAN; hello.labels.len()];
        self.labels = Some(hello.labels.clone());
        self.shown = None;
        Ok(())
    }

    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        self.show(update.readout.genre)?;
        for (index, &score) in update.readout.scores.as_slice().iter().enumerate() {
            let percent = (1_000.0 * score).round() / 10.0;
            // A comparison with NaN (nothing told yet) is false.
            let same = self
                .told
                .get(index)
                .is_none_or(|told| (told - percent).abs() < STEP);
            if !same {
                self.send(&json!({"evt": "cmd", "id": index, "param": f64::from(percent)}))?;
                self.told[index] = percent;
            }
        }
        Ok(())
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        if status.state == State::Lost {
            self.show(None)?;
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    /// Reads and forgets what the receiver says (feedback on buttons), so that its buffers never fill; notices when it
    /// hangs up.
    fn tick(&mut self, _: Instant) -> Result<(), SinkError> {
        let mut buffer = [0_u8; 4_096];
        let read = match &mut self.stream {
            None => Err(io::ErrorKind::NotConnected.into()),
            Some(stream) => stream.read(&mut buffer),
        };
        match read {
            Ok(0) => {
                self.stream = None;
                Err(self.unreachable(io::ErrorKind::ConnectionReset.into()))
            }
            Ok(_) => Ok(()),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
                ) =>
            {
                Ok(())
            }
            Err(error) => {
                self.stream = None;
                Err(self.unreachable(error))
            }
        }
    }

    fn close(&mut self) {
        // Nobody is left to be told.
        let _ = self.show(None);
    }
}

#[cfg(test)]
mod tests {
    use std::net::{TcpListener, TcpStream};

    use super::*;
    use crate::sink::{SinkRunner, tests as fixtures};

    /// Every JSON object that comes, until `enough`.
    fn read(stream: &mut TcpStream, enough: impl Fn(&[String]) -> bool) -> Vec<String> {
        stream
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let mut text = String::new();
        let mut buffer = [0_u8; 1_024];
        loop {
            let messages: Vec<String> = serde_json::Deserializer::from_str(&text)
                .into_iter::<serde_json::Value>()
                .map_while(Result::ok)
                .map(|value| value.to_string())
                .collect();
            if enough(&messages) {
                return messages;
            }
            let n = stream.read(&mut buffer).unwrap();
            assert!(n > 0, "hung up after {text}");
            text.push_str(std::str::from_utf8(&buffer[..n]).unwrap());
        }
    }

    #[test]
    fn buttons_and_commands_arrive_and_a_restarted_receiver_is_told_again() {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        let sink = Os2lSink::new(&target).unwrap();
        let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        runner.update(&fixtures::update(1, Some(9)));
        let first = read(&mut stream, |all| all.len() == 11);
        assert_eq!(first[0], r#"{"evt":"btn","name":"rock","state":"on"}"#);
        assert_eq!(first[1], r#"{"evt":"cmd","id":0,"param":4.0}"#);
        assert_eq!(first[10], r#"{"evt":"cmd","id":9,"param":64.0}"#);
        runner.update(&fixtures::update(2, Some(8)));
        let second = read(&mut stream, |all| all.len() == 4);
        assert_eq!(second[0], r#"{"evt":"btn","name":"rock","state":"off"}"#);
        assert_eq!(second[1], r#"{"evt":"btn","name":"reggae","state":"on"}"#);
        assert_eq!(
            second[2..],
            [
                r#"{"evt":"cmd","id":8,"param":64.0}"#,
                r#"{"evt":"cmd","id":9,"param":4.0}"#
            ],
            "what did not move is not sent"
        );
        drop(stream);
        let (mut stream, _) = listener.accept().unwrap();
        let again = read(&mut stream, |all| all.len() == 11);
        assert_eq!(again[0], r#"{"evt":"btn","name":"reggae","state":"on"}"#);
        drop(runner);
        let end = read(&mut stream, |all| !all.is_empty());
        assert_eq!(end[0], r#"{"evt":"btn","name":"reggae","state":"off"}"#);
    }

    #[test]
    fn receivers_are_read_or_refused() {
        let sink = Os2lSink::new("lights").unwrap();
        assert_eq!((sink.host.as_str(), sink.port), ("lights", 9996));
        for wrong in ["", ":1", "a:b", "a:0", "a b:1"] {
            assert!(Os2lSink::new(wrong).is_err(), "{wrong}");
        }
    }
}
