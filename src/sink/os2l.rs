//! OS2L (Open Sound to Light): JSON over TCP to lighting software such as QLC+ and DASLight, as DJ
//! programs speak it.
//!
//! Per genre one button (`{"evt":"btn","name":"rock","state":"on"}`, on while the genre is shown)
//! and one command (`{"evt":"cmd","id":9,"param":61.0}`, the score in percent, its id the label's
//! index). The receiver listens, usually on port 9996; it is given by address, or found by its name
//! in the network. Some receivers hang up after each message, and some never read what is sent.

use std::{
    fmt,
    io::{self, Read as _, Write as _},
    net::{SocketAddr, TcpStream, ToSocketAddrs as _},
    time::{Duration, Instant},
};

use serde_json::json;

use super::{
    Hello, Sink, SinkError, Status, Update,
    target::{self, shown_target},
};
use crate::{decision::State, genre::Labels};

/// Port of receivers that are given without one.
pub const DEFAULT_PORT: u16 = 9996;

/// QLC+ takes everything that has arrived for one message (plugins/os2l/os2lplugin.cpp,
/// `slotProcessTCPPackets`), so messages that arrive together are lost there: each has this much
/// time to itself.
const GAP: Duration = Duration::from_millis(20);

/// Scores that moved by less than this many percent are not sent.
const STEP: f32 = 0.5;

/// How long the network is asked for a receiver.
const DISCOVERY: Duration = Duration::from_secs(3);

/// Longest wait for a receiver to accept a connection or a message.
const PATIENCE: Duration = Duration::from_secs(2);

/// What receivers are called in the network (DNS-SD).
const SERVICE: &str = "_os2l._tcp.local.";

/// Given instead of an address: the receiver that is found in the network.
pub const DISCOVER: &str = "auto";

/// A receiver that hangs up directly after so many messages in a row does that with each: it is no
/// news of it.
const HANGS_UP_ALWAYS: u32 = 2;

/// A message that does not get through is sent again so often, each time over a new connection.
const TRIES: u32 = 3;

/// Where a receiver is.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Place {
    At(String, u16),
    /// Wherever the network says.
    Discover,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::At(host, port) => f.write_str(&shown_target(host, *port)),
            Self::Discover => f.write_str(DISCOVER),
        }
    }
}

/// What the receiver should show, and what it was told of that.
#[derive(Clone, Debug, Default)]
struct Buttons {
    /// The genre that is shown, and before it its family, if it has one.
    shown: [Option<usize>; 2],
    percent: Vec<f32>,
    told_on: Vec<Option<bool>>,
    told_percent: Vec<Option<f32>>,
}

/// One message.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Say {
    Button(usize, bool),
    Score(usize, f32),
}

impl Buttons {
    fn new(n_labels: usize) -> Self {
        Self {
            shown: [None; 2],
            percent: Vec::new(),
            told_on: vec![None; n_labels],
            told_percent: vec![None; n_labels],
        }
    }

    /// The receiver knows nothing.
    fn forget(&mut self) {
        self.told_on.fill(None);
        self.told_percent.fill(None);
    }

    /// What is to be said next: first what goes off, so that no two are on but a family and its
    /// kind.
    fn next(&self) -> Option<Say> {
        let button = |on| {
            let told = self.told_on.iter().enumerate();
            told.filter(move |&(index, told)| {
                self.shown.contains(&Some(index)) == on && *told != Some(on)
            })
            .map(move |(index, _)| Say::Button(index, on))
            .next()
        };
        let scores = self.percent.iter().zip(&self.told_percent).enumerate();
        let score = || {
            scores
                .filter(|(_, (percent, told))| {
                    told.is_none_or(|told| (told - **percent).abs() >= STEP)
                })
                .map(|(index, (&percent, _))| Say::Score(index, percent))
                .next()
        };
        button(false).or_else(|| button(true)).or_else(score)
    }

    fn told(&mut self, say: Say) {
        match say {
            Say::Button(index, on) => self.told_on[index] = Some(on),
            Say::Score(index, percent) => self.told_percent[index] = Some(percent),
        }
    }
}

/// One OS2L receiver.
#[derive(Debug)]
pub struct Os2lSink {
    place: Place,
    stream: Option<TcpStream>,
    labels: Option<Labels>,
    buttons: Buttons,
    /// How many messages in a row were followed by the end of the connection.
    hung_up: u32,
    /// How often everything was said anew since [`Os2lSink::sync`] began.
    fresh_starts: u32,
}

impl Os2lSink {
    /// A sink for the receiver at `HOST[:PORT]`, or for the one that is found in the network
    /// ([`DISCOVER`]). Nothing is sent and nothing is looked for before [`Sink::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when it is of no such form.
    pub fn new(target: &str) -> Result<Self, SinkError> {
        let place = if target == DISCOVER {
            Place::Discover
        } else {
            let (host, port) = target::parse_target("os2l", target, DEFAULT_PORT)?;
            Place::At(host, port)
        };
        Ok(Self {
            place,
            stream: None,
            labels: None,
            buttons: Buttons::default(),
            hung_up: 0,
            fresh_starts: 0,
        })
    }

    fn unreachable(&self, source: io::Error) -> SinkError {
        SinkError::Unreachable {
            feed: "os2l".to_owned(),
            target: self.place.to_string(),
            source,
        }
    }

    fn open(&mut self) -> Result<(), SinkError> {
        self.stream = None;
        let address = match &self.place {
            Place::At(host, port) => (host.as_str(), *port)
                .to_socket_addrs()
                .and_then(|mut found| found.next().ok_or_else(|| io::ErrorKind::NotFound.into())),
            Place::Discover => discover(),
        };
        let stream = address
            .and_then(|address| TcpStream::connect_timeout(&address, PATIENCE))
            .and_then(|stream| {
                stream.set_nodelay(true)?;
                stream.set_write_timeout(Some(PATIENCE))?;
                stream.set_read_timeout(Some(Duration::from_millis(1)))?;
                Ok(stream)
            });
        self.stream = Some(stream.map_err(|error| self.unreachable(error))?);
        Ok(())
    }

    /// Reads and forgets what the receiver says (feedback on buttons), so that its buffers never
    /// fill. An error when the connection has ended: `UnexpectedEof` in order, anything else with
    /// messages unread.
    fn listen(&mut self) -> io::Result<()> {
        let mut buffer = [0_u8; 4_096];
        let Some(stream) = &mut self.stream else {
            return Err(io::ErrorKind::UnexpectedEof.into());
        };
        match stream.read(&mut buffer) {
            Ok(0) => Err(io::ErrorKind::UnexpectedEof.into()),
            Ok(_) => Ok(()),
            Err(error) if is_patience(&error) => Ok(()),
            Err(error) => Err(error),
        }
    }

    /// Sends one message; then the receiver has it to itself for a while.
    fn send(&mut self, say: Say) -> Result<(), SinkError> {
        let message = message(self.labels.as_ref(), say);
        let mut newest = io::Error::from(io::ErrorKind::NotConnected);
        for _ in 0..TRIES {
            if self.stream.is_some() {
                match self.listen() {
                    Ok(()) => self.hung_up = 0,
                    Err(error) => self.hangs_up(&error),
                }
            }
            if self.stream.is_none() {
                self.open()?;
            }
            let written = match &mut self.stream {
                Some(stream) => stream.write_all(message.as_bytes()),
                None => Err(io::ErrorKind::NotConnected.into()),
            };
            let ended = match written {
                Ok(()) => {
                    std::thread::sleep(GAP);
                    self.listen()
                }
                // A receiver that takes nothing in is left alone for a while.
                Err(error) if is_patience(&error) => {
                    self.stream = None;
                    return Err(self.unreachable(error));
                }
                Err(error) => Err(error),
            };
            let Err(error) = ended else {
                return Ok(());
            };
            self.hangs_up(&error);
            if is_end(&error) {
                return Ok(());
            }
            newest = error;
        }
        Err(self.unreachable(newest))
    }

    /// The connection has ended. Who comes next may be another, or have missed something; unless it
    /// ends after every message.
    fn hangs_up(&mut self, error: &io::Error) {
        self.stream = None;
        self.hung_up = self.hung_up.saturating_add(1);
        let known = is_end(error) && self.hung_up > HANGS_UP_ALWAYS;
        if !known && self.fresh_starts < TRIES {
            self.fresh_starts += 1;
            self.buttons.forget();
        }
    }

    /// Says all that the receiver does not know yet.
    fn sync(&mut self) -> Result<(), SinkError> {
        self.fresh_starts = 0;
        while let Some(say) = self.buttons.next() {
            // First, as the end of the connection may make it forgotten.
            self.buttons.told(say);
            self.send(say)?;
        }
        Ok(())
    }
}

/// One message as it is sent.
fn message(labels: Option<&Labels>, say: Say) -> String {
    match say {
        Say::Button(index, on) => {
            let name = labels.and_then(|labels| labels.get(index));
            let state = if on { "on" } else { "off" };
            json!({"evt": "btn", "name": name, "state": state})
        }
        Say::Score(index, percent) => {
            json!({"evt": "cmd", "id": index, "param": f64::from(percent)})
        }
    }
    .to_string()
}

/// For the fuzz target: labels and readouts from `data`. Each message is one JSON object on one
/// line, no more than two buttons are on at a time, and there is an end to what is said.
#[cfg(fuzzing)]
#[doc(hidden)]
#[allow(clippy::unwrap_used)]
pub fn fuzz(data: &[u8]) {
    let (names, readouts) = data.split_at(data.len() / 2);
    let names = String::from_utf8_lossy(names);
    let Ok(labels) = Labels::new(names.split('\n')) else {
        return;
    };
    let mut buttons = Buttons::new(labels.len());
    let mut on = std::collections::HashSet::new();
    for readout in readouts.chunks_exact(2 + 4 * labels.len()) {
        let shown = |&byte: &u8| Some(usize::from(byte)).filter(|&index| index < labels.len());
        buttons.shown = [shown(&readout[0]), shown(&readout[1])];
        let scores = readout[2..].as_chunks::<4>().0;
        buttons.percent = scores
            .iter()
            .map(|&four| f32::from_le_bytes(four))
            .collect();
        let mut n = 0;
        while let Some(say) = buttons.next() {
            buttons.told(say);
            n += 1;
            assert!(n <= 2 * labels.len() + buttons.percent.len());
            let message = message(Some(&labels), say);
            assert!(!message.contains('\n'), "{message}");
            let value: serde_json::Value = serde_json::from_str(&message).unwrap();
            if let Say::Button(index, is_on) = say {
                assert_eq!(value["name"].as_str(), labels.get(index));
                if is_on {
                    on.insert(index)
                } else {
                    on.remove(&index)
                };
                assert!(on.len() <= 2, "{on:?}");
            }
        }
    }
}

/// Whether the receiver has read everything and closed the connection.
fn is_end(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::UnexpectedEof
}

/// Whether it only took longer than we wait.
fn is_patience(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut
    )
}

/// Asks the network for a receiver.
fn discover() -> io::Result<SocketAddr> {
    use mdns_sd::{ServiceDaemon, ServiceEvent};
    let daemon = ServiceDaemon::new().map_err(io::Error::other)?;
    let found = daemon.browse(SERVICE).map_err(io::Error::other)?;
    let deadline = Instant::now() + DISCOVERY;
    let mut address = None;
    while address.is_none()
        && let Ok(event) = found.recv_deadline(deadline)
    {
        if let ServiceEvent::ServiceResolved(service) = event {
            let addresses = service.get_addresses_v4();
            address = addresses
                .into_iter()
                .next()
                .map(|ip| (ip, service.get_port()).into());
        }
    }
    // It ends by itself; nobody waits for that.
    let _ = daemon.shutdown();
    address.ok_or_else(|| {
        io::Error::other(format!(
            "no receiver was found in the network ({SERVICE}); give its address instead"
        ))
    })
}

/// Checks a receiver as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form.
pub fn check_target(target: &str) -> Result<(), SinkError> {
    Os2lSink::new(target).map(drop)
}

impl Sink for Os2lSink {
    fn name(&self) -> String {
        format!("os2l {}", self.place)
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        // A receiver that was away knows nothing of what was on.
        self.buttons.forget();
        self.open()
    }

    /// Every button is told that it is off: whoever was here before may have been killed.
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        if self.labels.as_ref() != Some(&hello.labels) {
            self.labels = Some(hello.labels.clone());
            self.buttons = Buttons::new(hello.labels.len());
        }
        self.buttons.shown = [None; 2];
        self.sync()
    }

    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        let readout = &update.readout;
        let family = readout
            .genre
            .and_then(|genre| update.labels.family_of(genre));
        self.buttons.shown = [family, readout.genre];
        let percent = |score: &f32| (1_000.0 * score).round() / 10.0;
        self.buttons.percent = readout.scores.as_slice().iter().map(percent).collect();
        self.sync()
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        if status.state == State::Lost {
            self.buttons.shown = [None; 2];
            self.buttons.percent.fill(0.0);
            return self.sync();
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(Duration::from_secs(1))
    }

    /// Notices when the receiver hangs up; a new one is told everything.
    fn tick(&mut self, _: Instant) -> Result<(), SinkError> {
        if self.stream.is_none() {
            return Ok(());
        }
        match self.listen() {
            Ok(()) => Ok(()),
            Err(error) => {
                self.fresh_starts = 0;
                self.hangs_up(&error);
                self.sync()
            }
        }
    }

    fn close(&mut self) {
        self.buttons.shown = [None; 2];
        self.buttons.percent.clear();
        // Nobody is left to be told.
        let _ = self.sync();
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

    fn listener() -> (TcpListener, String) {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let target = listener.local_addr().unwrap().to_string();
        (listener, target)
    }

    #[test]
    fn buttons_and_commands_arrive_and_a_restarted_receiver_is_told_again() {
        let (listener, target) = listener();
        let sink = Os2lSink::new(&target).unwrap();
        let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
        let (mut stream, _) = listener.accept().unwrap();
        let hello = read(&mut stream, |all| all.len() == 10);
        assert_eq!(hello[9], r#"{"evt":"btn","name":"rock","state":"off"}"#);
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
        let again = read(&mut stream, |all| all.len() == 20);
        assert_eq!(again[9], r#"{"evt":"btn","name":"reggae","state":"on"}"#);
        drop(runner);
        let end = read(&mut stream, |all| !all.is_empty());
        assert_eq!(end[0], r#"{"evt":"btn","name":"reggae","state":"off"}"#);
    }

    #[test]
    fn a_receiver_that_hangs_up_after_each_message_gets_them_all() {
        let (listener, target) = listener();
        let sink = Os2lSink::new(&target).unwrap();
        let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
        runner.update(&fixtures::update(1, Some(9)));
        let mut heard = std::collections::HashSet::new();
        while heard.len() < 21 {
            let (mut stream, _) = listener.accept().unwrap();
            heard.extend(read(&mut stream, |all| !all.is_empty()));
        }
        assert!(heard.contains(r#"{"evt":"btn","name":"rock","state":"on"}"#));
        assert!(heard.contains(r#"{"evt":"cmd","id":9,"param":64.0}"#));
        drop(std::thread::spawn(move || drop(runner)));
        let (mut stream, _) = listener.accept().unwrap();
        let end = read(&mut stream, |all| !all.is_empty());
        assert_eq!(end[0], r#"{"evt":"btn","name":"rock","state":"off"}"#);
    }

    #[test]
    fn a_receiver_that_never_reads_holds_up_nobody() {
        let (listener, target) = listener();
        let sink = Os2lSink::new(&target).unwrap();
        let runner = SinkRunner::spawn(Box::new(sink), &fixtures::hello()).unwrap();
        let stream = listener.accept().unwrap();
        let given: Vec<bool> = (1..=4_u64)
            .map(|seq| runner.update(&fixtures::update(seq, Some(seq as usize))))
            .collect();
        assert_eq!(given, [true; 4]);
        drop(runner);
        drop(stream);
    }

    /// Nothing is sent: it may find somebody else's lights, too.
    #[test]
    fn a_receiver_that_only_the_network_names_is_found() {
        let listener = TcpListener::bind("0.0.0.0:0").unwrap();
        let port = listener.local_addr().unwrap().port();
        let (name, host) = ("genrescope test", "genrescope-test.local.");
        let service = mdns_sd::ServiceInfo::new(SERVICE, name, host, "", port, None).unwrap();
        let daemon = mdns_sd::ServiceDaemon::new().unwrap();
        daemon.register(service.enable_addr_auto()).unwrap();
        match discover() {
            Ok(found) if found.port() == port => {
                TcpStream::connect(found).unwrap();
            }
            Ok(other) => eprintln!("skipped: {other} is here, too"),
            Err(error) => eprintln!("skipped: this machine has no multicast ({error})"),
        }
        let _ = daemon.shutdown();
    }

    #[test]
    fn a_port_that_is_closed_is_told_in_words() {
        let (listener, target) = listener();
        drop(listener);
        let error = Os2lSink::new(&target).unwrap().connect().unwrap_err();
        assert_eq!(
            error.to_string(),
            format!("nobody listens at {target} (os2l); it is tried again")
        );
    }

    #[test]
    fn receivers_are_read_or_refused() {
        let place = |target| Os2lSink::new(target).unwrap().place.to_string();
        assert_eq!(place("lights"), "lights:9996");
        assert_eq!(place("::1"), "[::1]:9996");
        assert_eq!(place("[::1]:7"), "[::1]:7");
        assert_eq!(place("[::1]"), "[::1]:9996");
        assert_eq!(place("auto"), "auto");
        for wrong in ["", ":1", "a:b", "a:0", "a b:1"] {
            assert!(Os2lSink::new(wrong).is_err(), "{wrong}");
        }
    }
}
