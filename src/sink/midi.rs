//! MIDI to a port: a note for the genre that is shown and a controller for each score, by the rules
//! of [`crate::midi`]. No clock is sent. At the end and when the source is lost, every note ends
//! and every controller falls to 0.

use std::{
    collections::BTreeMap,
    fmt, io,
    time::{Duration, Instant},
};

use midir::{MidiOutput, MidiOutputConnection};
use serde::Deserialize;

use super::{Hello, Sink, SinkError, Status, Update};
use crate::{
    decision::{Readout, State},
    genre::{Labels, MAX_LABELS},
    midi::{
        ALL_NOTES_OFF, CONFIDENCE, LAST_CC, LAST_NOTE, MAX_UPDATES_PER_SECOND, MUSIC, MidiMap,
        MidiMessage, Numbers, Told, lamp_of,
    },
};

/// What other programs see, as the client and as its virtual port.
pub const NAME: &str = "genrescope";

/// Time between two batches of messages.
const PERIOD: Duration = Duration::from_millis(1_000 / MAX_UPDATES_PER_SECOND as u64);

/// How often it is looked whether a port is still there: no system says so when it is sent to.
const LOOK_PERIOD: Duration = Duration::from_secs(2);

/// What was said last has so long to go out before the port is closed: JACK, for one, sends once in
/// a cycle.
const SETTLE: Duration = Duration::from_millis(50);

/// Numbers as `[midi]` of a map file says them. Channels and programs count from 1, notes and
/// controllers from 0.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct MidiTable {
    /// 1 to 16; without it, 1.
    pub channel: Option<u8>,
    /// Note of the first genre; the others follow. Without it, 36, or no note but those of `notes`.
    pub first_note: Option<u8>,
    /// Controller of the first genre; without it, 20, or none but those of `controllers`.
    pub first_cc: Option<u8>,
    /// Notes of single genres.
    pub notes: BTreeMap<String, u8>,
    /// Controllers of single genres.
    pub controllers: BTreeMap<String, u8>,
    /// Program changes when a genre becomes the shown one, 1 to 128.
    pub programs: BTreeMap<String, u8>,
    /// Notes of states in which no genre is shown.
    pub states: BTreeMap<String, u8>,
    /// Controller of the confidence.
    pub confidence: Option<u8>,
    /// Controller of the probability of music.
    pub music: Option<u8>,
}

impl MidiTable {
    /// From the text of a map file.
    ///
    /// # Errors
    /// [`SinkError::Setting`] with the line and what is wrong.
    #[cfg(feature = "cli")]
    pub fn from_toml(text: &str, file: &str) -> Result<Self, SinkError> {
        super::map::midi_table(text, file)
    }

    /// The numbers of a model's labels.
    ///
    /// # Errors
    /// [`SinkError::Setting`] naming what cannot be.
    pub fn numbers(&self, labels: &Labels) -> Result<Table, SinkError> {
        self.resolved(labels).map_err(|why| SinkError::Setting {
            feed: "midi",
            what: "map",
            value: "[midi]".to_owned(),
            why,
        })
    }

    fn resolved(&self, labels: &Labels) -> Result<Table, String> {
        let channel = match self.channel.unwrap_or(1) {
            shown @ 1..=16 => shown - 1,
            other => return Err(format!("channels are 1 to 16; {other} is not")),
        };
        let place = |label: &str| {
            labels.index_of(label).ok_or_else(|| {
                let known: Vec<&str> = labels.iter().collect();
                let known = known.join(", ");
                format!("the model has no label '{label}'; it has {known}")
            })
        };
        let row = |given: Option<u8>, alone: bool, default| given.or(alone.then_some(default));
        let in_row = MidiMap {
            channel,
            base_note: row(
                self.first_note,
                self.notes.is_empty(),
                MidiMap::DEFAULT.base_note,
            )
            .unwrap_or(u8::MAX),
            base_cc: row(
                self.first_cc,
                self.controllers.is_empty(),
                MidiMap::DEFAULT.base_cc,
            )
            .unwrap_or(u8::MAX),
        };
        let mut table = Table {
            channel,
            notes: (0..labels.len())
                .filter_map(|index| Some((index, in_row.note(index)?)))
                .collect(),
            ccs: (0..labels.len())
                .filter_map(|index| Some((index, in_row.cc(index)?)))
                .collect(),
            programs: BTreeMap::new(),
        };
        for (label, &note) in &self.notes {
            table.notes.insert(place(label)?, note);
        }
        for (label, &cc) in &self.controllers {
            table.ccs.insert(place(label)?, cc);
        }
        for (label, &program) in &self.programs {
            if !(1..=128).contains(&program) {
                return Err(format!("programs are 1 to 128; {program} is not"));
            }
            table.programs.insert(place(label)?, program - 1);
        }
        for (name, &note) in &self.states {
            let known = State::ALL
                .into_iter()
                .find(|state| state.as_str() == name && !state.names_a_genre());
            let Some(state) = known else {
                let known: Vec<&str> = State::ALL
                    .into_iter()
                    .filter(|state| !state.names_a_genre())
                    .map(State::as_str)
                    .collect();
                return Err(format!(
                    "there is no state '{name}' without a genre; there are {}",
                    known.join(", ")
                ));
            };
            table.notes.insert(lamp_of(state), note);
        }
        table.ccs.extend(self.confidence.map(|cc| (CONFIDENCE, cc)));
        table.ccs.extend(self.music.map(|cc| (MUSIC, cc)));
        only_once("note", &table.notes, LAST_NOTE)?;
        only_once("controller", &table.ccs, LAST_CC)?;
        Ok(table)
    }
}

/// Numbers that a receiver can tell from each other.
fn only_once(what: &str, numbers: &BTreeMap<usize, u8>, last: u8) -> Result<(), String> {
    let mut seen = std::collections::BTreeSet::new();
    for &number in numbers.values() {
        if number > last {
            return Err(format!("a {what} is 0 to {last}; {number} is not"));
        }
        if !seen.insert(number) {
            return Err(format!("{what} {number} is given twice"));
        }
    }
    Ok(())
}

/// [`MidiTable`] for the labels of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Table {
    channel: u8,
    notes: BTreeMap<usize, u8>,
    ccs: BTreeMap<usize, u8>,
    programs: BTreeMap<usize, u8>,
}

impl Numbers for Table {
    fn note(&self, lamp: usize) -> Option<(u8, u8)> {
        self.notes.get(&lamp).map(|note| (self.channel, *note))
    }
    fn cc(&self, fader: usize) -> Option<(u8, u8)> {
        self.ccs.get(&fader).map(|cc| (self.channel, *cc))
    }
    fn program(&self, lamp: usize) -> Option<(u8, u8)> {
        self.programs
            .get(&lamp)
            .map(|program| (self.channel, *program))
    }
}

/// Where messages go.
pub trait Port: Send + fmt::Debug {
    /// What to call it in messages.
    fn name(&self) -> String;

    /// Opens it, anew if it was open.
    ///
    /// # Errors
    /// What the system says.
    fn open(&mut self) -> io::Result<()>;

    /// Sends one message.
    ///
    /// # Errors
    /// What the system says.
    fn send(&mut self, bytes: &[u8]) -> io::Result<()>;

    /// Is it still there?
    fn is_there(&self) -> bool {
        true
    }
}

/// A port of this system.
pub struct SystemPort {
    /// `None`: a virtual port, which other programs connect to.
    wanted: Option<String>,
    /// As the system calls it.
    found: Option<String>,
    connection: Option<MidiOutputConnection>,
    /// To look whether it is still there.
    client: Option<MidiOutput>,
}

impl fmt::Debug for SystemPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SystemPort")
            .field("wanted", &self.wanted)
            .field("open", &self.connection.is_some())
            .finish_non_exhaustive()
    }
}

impl SystemPort {
    /// A port by (a unique part of) its name, or a virtual one where none is named.
    ///
    /// # Errors
    /// [`SinkError::Setting`] where the system has no virtual ports.
    pub fn new(name: Option<&str>) -> Result<Self, SinkError> {
        if name.is_none() && cfg!(not(unix)) {
            return Err(SinkError::Setting {
                feed: "midi",
                what: "port",
                value: String::new(),
                why: format!(
                    "this system has no virtual ports; name one: {}",
                    port_names()
                ),
            });
        }
        Ok(Self {
            wanted: name.map(str::to_owned),
            found: None,
            connection: None,
            client: None,
        })
    }
}

impl Drop for SystemPort {
    fn drop(&mut self) {
        if self.connection.is_some() {
            std::thread::sleep(SETTLE);
        }
    }
}

fn client() -> io::Result<MidiOutput> {
    MidiOutput::new(NAME).map_err(|error| {
        io::Error::other(if cfg!(target_os = "linux") {
            "ALSA's sequencer is not there; 'modprobe snd-seq' loads it".to_owned()
        } else {
            format!("the system has no MIDI: {error}")
        })
    })
}

fn names(client: &MidiOutput) -> Vec<String> {
    let ports = client.ports();
    ports
        .iter()
        .filter_map(|port| client.port_name(port).ok())
        .collect()
}

/// The ports of this system, for a message.
fn port_names() -> String {
    match client().map(|client| names(&client)) {
        Ok(names) if names.is_empty() => "there is none at present".to_owned(),
        Ok(names) => names.join(", "),
        Err(error) => error.to_string(),
    }
}

/// Which of `names` is meant: the one of that name, or the only one with that part, whatever its
/// case.
fn meant(wanted: &str, names: &[String]) -> Result<usize, String> {
    if let Some(exact) = names.iter().position(|name| name == wanted) {
        return Ok(exact);
    }
    let part = wanted.to_lowercase();
    let found: Vec<usize> = (0..names.len())
        .filter(|&index| names[index].to_lowercase().contains(&part))
        .collect();
    match found[..] {
        [one] => Ok(one),
        [] if names.is_empty() => Err(format!("there is no MIDI port '{wanted}', nor any other")),
        [] => Err(format!(
            "there is no MIDI port '{wanted}'; there are {}",
            names.join(", ")
        )),
        _ => {
            let several: Vec<&str> = found.iter().map(|&index| names[index].as_str()).collect();
            Err(format!("'{wanted}' may be {}", several.join(" or ")))
        }
    }
}

impl Port for SystemPort {
    fn name(&self) -> String {
        match &self.wanted {
            Some(name) => name.clone(),
            None => format!("virtual port {NAME}"),
        }
    }

    fn open(&mut self) -> io::Result<()> {
        self.connection = None;
        self.client = None;
        let output = client()?;
        let Some(wanted) = &self.wanted else {
            self.connection = Some(virtual_port(output)?);
            return Ok(());
        };
        let names = names(&output);
        let index = meant(wanted, &names).map_err(io::Error::other)?;
        let port = output.ports().into_iter().nth(index);
        let port = port.ok_or(io::ErrorKind::NotFound)?;
        let connection = output
            .connect(&port, NAME)
            .map_err(|error| io::Error::other(error.to_string()))?;
        self.connection = Some(connection);
        self.found = names.into_iter().nth(index);
        self.client = client().ok();
        Ok(())
    }

    fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
        let connection = self
            .connection
            .as_mut()
            .ok_or(io::ErrorKind::NotConnected)?;
        connection
            .send(bytes)
            .map_err(|error| io::Error::other(error.to_string()))
    }

    fn is_there(&self) -> bool {
        match (&self.client, &self.found) {
            (Some(client), Some(found)) => names(client).contains(found),
            _ => true,
        }
    }
}

#[cfg(unix)]
fn virtual_port(output: MidiOutput) -> io::Result<MidiOutputConnection> {
    use midir::os::unix::VirtualOutput as _;
    output
        .create_virtual(NAME)
        .map_err(|error| io::Error::other(error.to_string()))
}

#[cfg(not(unix))]
fn virtual_port(_: MidiOutput) -> io::Result<MidiOutputConnection> {
    Err(io::ErrorKind::Unsupported.into())
}

/// One MIDI port.
#[derive(Debug)]
pub struct MidiSink<P: Port> {
    port: P,
    table: MidiTable,
    numbers: Option<Table>,
    told: Told,
    newest: Option<Readout>,
    waits: bool,
    sent_at: Option<Instant>,
    looked_at: Option<Instant>,
    /// Anything was sent that must end.
    lit: bool,
}

impl<P: Port> MidiSink<P> {
    /// Nothing is opened before [`Sink::connect`].
    pub fn new(port: P, table: MidiTable) -> Self {
        Self {
            port,
            table,
            numbers: None,
            told: Told::default(),
            newest: None,
            waits: false,
            sent_at: None,
            looked_at: None,
            lit: false,
        }
    }

    fn unreachable(&self, source: io::Error) -> SinkError {
        SinkError::Unreachable {
            feed: "midi".to_owned(),
            target: self.port.name(),
            source,
        }
    }

    /// Runs `what` with a way to send; the first failure is the outcome.
    fn say(
        &mut self,
        what: impl FnOnce(&mut Told, &Table, &mut dyn FnMut(MidiMessage) -> bool),
    ) -> Result<(), SinkError> {
        let Some(numbers) = &self.numbers else {
            return Ok(());
        };
        let mut failed = None;
        let (port, lit) = (&mut self.port, &mut self.lit);
        what(&mut self.told, numbers, &mut |message| {
            let (bytes, length) = message.bytes();
            match port.send(&bytes[..length]) {
                Ok(()) => *lit = true,
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        });
        failed.map_or(Ok(()), |error| Err(self.unreachable(error)))
    }

    fn send_newest(&mut self, now: Instant) -> Result<(), SinkError> {
        let due = |at: Instant| now.saturating_duration_since(at) >= PERIOD;
        let (true, Some(readout)) = (self.waits && self.sent_at.is_none_or(due), self.newest)
        else {
            return Ok(());
        };
        self.waits = false;
        self.sent_at = Some(now);
        self.say(|told, numbers, mut emit| {
            told.changes(&readout, numbers, &mut emit);
        })
    }

    /// No note and no controller stays up, whatever was lost on the way.
    fn panic_off(&mut self) -> Result<(), SinkError> {
        self.newest = None;
        self.waits = false;
        if !self.lit {
            return Ok(());
        }
        self.say(|told, numbers, mut emit| {
            told.end_note(&mut emit);
            told.zero_faders(numbers, &mut emit);
            emit(MidiMessage::ControlChange {
                channel: numbers.channel,
                cc: ALL_NOTES_OFF,
                value: 0,
            });
        })?;
        self.lit = false;
        Ok(())
    }
}

impl<P: Port> Sink for MidiSink<P> {
    fn name(&self) -> String {
        format!("midi {}", self.port.name())
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.port.open().map_err(|error| self.unreachable(error))?;
        // A receiver that was away knows nothing.
        self.told = Told::default();
        self.sent_at = None;
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        if self.numbers.is_none() {
            self.numbers = Some(self.table.numbers(&hello.labels)?);
        }
        self.panic_off()
    }

    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        self.newest = Some(update.readout);
        self.waits = true;
        self.send_newest(now)
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        if status.state != State::Lost {
            return Ok(());
        }
        self.panic_off()?;
        // Where "lost" has a note, it is on from now on.
        let mut lost = Readout::warming(MAX_LABELS);
        lost.set_state(State::Lost);
        self.say(|told, numbers, mut emit| {
            if numbers.note(lamp_of(State::Lost)).is_some() {
                told.changes(&lost, numbers, &mut emit);
            }
        })
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(if self.waits { PERIOD } else { LOOK_PERIOD })
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let due = |at: Instant| now.saturating_duration_since(at) >= LOOK_PERIOD;
        if self.looked_at.is_none_or(due) {
            self.looked_at = Some(now);
            if !self.port.is_there() {
                return Err(self.unreachable(io::Error::other("the port is gone")));
            }
        }
        self.send_newest(now)
    }

    fn close(&mut self) {
        // Nobody is left to be told.
        let _ = self.panic_off();
    }
}

/// A feed that fails leaves no note on.
impl<P: Port> Drop for MidiSink<P> {
    fn drop(&mut self) {
        let _ = self.panic_off();
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use super::*;
    use crate::sink::tests as fixtures;

    /// Notes what is sent; fails on demand.
    #[derive(Clone, Debug, Default)]
    struct Paper {
        sent: Arc<Mutex<Vec<Vec<u8>>>>,
        broken: Arc<Mutex<bool>>,
    }

    impl Port for Paper {
        fn name(&self) -> String {
            "paper".into()
        }
        fn open(&mut self) -> io::Result<()> {
            *self.broken.lock().unwrap() = false;
            Ok(())
        }
        fn send(&mut self, bytes: &[u8]) -> io::Result<()> {
            if *self.broken.lock().unwrap() {
                return Err(io::ErrorKind::BrokenPipe.into());
            }
            self.sent.lock().unwrap().push(bytes.to_vec());
            Ok(())
        }
        fn is_there(&self) -> bool {
            !*self.broken.lock().unwrap()
        }
    }

    impl Paper {
        fn take(&self) -> Vec<Vec<u8>> {
            std::mem::take(&mut self.sent.lock().unwrap())
        }
    }

    fn sink(table: MidiTable) -> (MidiSink<Paper>, Paper) {
        let paper = Paper::default();
        let mut sink = MidiSink::new(paper.clone(), table);
        sink.connect().unwrap();
        sink.hello(&fixtures::hello()).unwrap();
        (sink, paper)
    }

    #[test]
    fn the_shown_genre_is_a_note_and_scores_are_controllers() {
        let (mut sink, paper) = sink(MidiTable::default());
        let start = Instant::now();
        let at = |millis| start + Duration::from_millis(millis);
        assert!(paper.take().is_empty(), "nothing was on");
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        let sent = paper.take();
        assert_eq!(sent[0], [0x90, 45, 81]);
        assert_eq!(sent[1], [0xb0, 20, 5]);
        assert_eq!(sent[10], [0xb0, 29, 81]);
        assert_eq!(sent.len(), 11);
        // Four times a second at most, and the newest of what came meanwhile.
        sink.update(&fixtures::update(2, Some(0)), at(100)).unwrap();
        sink.update(&fixtures::update(3, Some(1)), at(200)).unwrap();
        assert!(paper.take().is_empty());
        sink.tick(at(260)).unwrap();
        assert_eq!(
            paper.take(),
            [
                vec![0x80, 45, 0],
                vec![0x90, 37, 81],
                vec![0xb0, 21, 81],
                vec![0xb0, 29, 5]
            ]
        );
        sink.tick(at(600)).unwrap();
        assert!(paper.take().is_empty(), "nothing new, nothing sent");
        let mut silent = fixtures::update(4, None);
        silent.readout.set_state(State::Silent);
        sink.update(&silent, at(900)).unwrap();
        let sent = paper.take();
        assert_eq!(sent[0], [0x80, 37, 0]);
        assert!(
            sent[1..]
                .iter()
                .all(|message| message[0] == 0xb0 && message[2] == 0)
        );
        assert_eq!(sent.len(), 11);
    }

    #[test]
    fn the_end_a_lost_source_and_a_failure_leave_nothing_on() {
        let off = |sent: &[Vec<u8>]| {
            assert_eq!(sent[0], [0x80, 45, 0]);
            assert!(
                sent[1..11]
                    .iter()
                    .all(|message| message[0] == 0xb0 && message[2] == 0)
            );
            assert_eq!(sent[11], [0xb0, 123, 0]);
            assert_eq!(sent.len(), 12, "{sent:?}");
        };
        let (mut one, paper) = sink(MidiTable::default());
        let start = Instant::now();
        one.update(&fixtures::update(1, Some(9)), start).unwrap();
        paper.take();
        let lost = Status {
            state: State::Lost,
            message: None,
            source: "test".into(),
            time: fixtures::hello().time,
        };
        one.status(&lost).unwrap();
        off(&paper.take());
        one.tick(start + Duration::from_secs(1)).unwrap();
        assert!(
            paper.take().is_empty(),
            "what was heard before the loss is over"
        );
        one.close();
        drop(one);
        assert!(paper.take().is_empty(), "once");
        let (mut two, paper) = sink(MidiTable::default());
        two.update(&fixtures::update(1, Some(9)), start).unwrap();
        paper.take();
        drop(two); // as when a thread panics
        off(&paper.take());
    }

    #[test]
    fn a_port_that_is_gone_is_opened_again_and_told_everything() {
        let (mut sink, paper) = sink(MidiTable::default());
        let start = Instant::now();
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        sink.tick(start).unwrap();
        paper.take();
        *paper.broken.lock().unwrap() = true;
        let error = sink.tick(start + Duration::from_secs(3)).unwrap_err();
        assert!(error.to_string().contains("the port is gone"), "{error}");
        let error = sink
            .update(
                &fixtures::update(2, Some(8)),
                start + Duration::from_secs(4),
            )
            .unwrap_err();
        assert!(matches!(error, SinkError::Unreachable { .. }));
        sink.connect().unwrap();
        sink.hello(&fixtures::hello()).unwrap();
        paper.take();
        sink.update(
            &fixtures::update(2, Some(8)),
            start + Duration::from_secs(5),
        )
        .unwrap();
        assert_eq!(paper.take().len(), 11, "a note and ten controllers");
    }

    #[test]
    fn a_table_has_other_numbers_programs_and_states() {
        let table = MidiTable {
            channel: Some(3),
            notes: BTreeMap::from([("rock".into(), 60)]),
            controllers: BTreeMap::from([("rock".into(), 7)]),
            programs: BTreeMap::from([("rock".into(), 128), ("jazz".into(), 1)]),
            states: BTreeMap::from([("silent".into(), 1), ("lost".into(), 2)]),
            confidence: Some(50),
            ..MidiTable::default()
        };
        let (mut sink, paper) = sink(table);
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        sink.update(&fixtures::update(1, Some(9)), start).unwrap();
        assert_eq!(
            paper.take(),
            [
                vec![0xc2, 127],
                vec![0x92, 60, 81],
                vec![0xb2, 7, 81],
                vec![0xb2, 50, 81]
            ]
        );
        sink.update(&fixtures::update(2, Some(5)), at(1)).unwrap();
        let sent = paper.take();
        assert_eq!(sent[..2], [vec![0x82, 60, 0], vec![0xc2, 0]]);
        let mut silent = fixtures::update(3, None);
        silent.readout.set_state(State::Silent);
        sink.update(&silent, at(2)).unwrap();
        assert_eq!(paper.take()[0], [0x92, 1, 127]);
        let lost = Status {
            state: State::Lost,
            message: None,
            source: "test".into(),
            time: fixtures::hello().time,
        };
        sink.status(&lost).unwrap();
        let sent = paper.take();
        assert_eq!(sent[0], [0x82, 1, 0]);
        assert_eq!(sent.last().unwrap()[..], [0x92, 2, 127], "{sent:?}");
        sink.close();
        assert_eq!(paper.take()[0], [0x82, 2, 0]);
    }

    #[test]
    fn tables_that_cannot_be_are_refused_in_words() {
        let labels = fixtures::hello().labels;
        let wrong = |table: MidiTable| table.numbers(&labels).unwrap_err().to_string();
        let one = |label: &str, number| BTreeMap::from([(label.to_owned(), number)]);
        for (table, said) in [
            (
                MidiTable {
                    channel: Some(17),
                    ..MidiTable::default()
                },
                "channels are 1 to 16",
            ),
            (
                MidiTable {
                    notes: one("polka", 1),
                    ..MidiTable::default()
                },
                "no label 'polka'",
            ),
            (
                MidiTable {
                    notes: one("rock", 128),
                    ..MidiTable::default()
                },
                "a note is 0 to 127",
            ),
            (
                MidiTable {
                    controllers: one("rock", 120),
                    ..MidiTable::default()
                },
                "a controller is 0 to 119",
            ),
            (
                MidiTable {
                    programs: one("rock", 129),
                    ..MidiTable::default()
                },
                "programs are 1 to 128",
            ),
            (
                MidiTable {
                    states: one("live", 1),
                    ..MidiTable::default()
                },
                "no state 'live'",
            ),
            (
                MidiTable {
                    confidence: Some(21),
                    ..MidiTable::default()
                },
                "controller 21 is given twice",
            ),
            (
                MidiTable {
                    states: one("silent", 40),
                    ..MidiTable::default()
                },
                "note 40 is given twice",
            ),
        ] {
            let error = wrong(table);
            assert!(error.contains(said), "{error}");
        }
    }

    #[test]
    fn a_port_is_found_by_a_unique_part_of_its_name() {
        let names: Vec<String> = ["Midi Through:0", "nanoKONTROL 1", "nanoKONTROL 2"]
            .map(String::from)
            .into();
        assert_eq!(meant("through", &names), Ok(0));
        assert_eq!(meant("nanoKONTROL 2", &names), Ok(2));
        let error = meant("nano", &names).unwrap_err();
        assert!(error.contains("nanoKONTROL 1 or nanoKONTROL 2"), "{error}");
        let error = meant("launchpad", &names).unwrap_err();
        assert!(error.contains("Midi Through:0"), "{error}");
        assert!(meant("x", &[]).unwrap_err().contains("nor any other"));
    }

    /// With ALSA's sequencer (or on macOS) another client of this process hears the virtual port.
    #[cfg(unix)]
    #[test]
    fn a_real_client_hears_the_virtual_port() {
        use crate::sink::SinkRunner;
        let Ok(input) = midir::MidiInput::new("genrescope test") else {
            eprintln!("SKIPPED: this system has no MIDI (on Linux: /dev/snd/seq)");
            return;
        };
        let port = SystemPort::new(None).unwrap();
        let runner = SinkRunner::spawn(
            Box::new(MidiSink::new(port, MidiTable::default())),
            &fixtures::hello(),
        )
        .unwrap();
        let start = Instant::now();
        let found = loop {
            let ports = input.ports();
            let mut ours = ports
                .into_iter()
                .filter(|port| input.port_name(port).is_ok_and(|name| name.contains(NAME)));
            if let Some(port) = ours.next() {
                break port;
            }
            assert!(start.elapsed() < Duration::from_secs(20), "no port");
            std::thread::sleep(Duration::from_millis(20));
        };
        let (heard, messages) = crossbeam_channel::unbounded();
        let _connection = input
            .connect(
                &found,
                "in",
                move |_, bytes, ()| drop(heard.send(bytes.to_vec())),
                (),
            )
            .unwrap();
        runner.update(&fixtures::update(1, Some(9)));
        let wait = Duration::from_secs(20);
        assert_eq!(messages.recv_timeout(wait).unwrap(), [0x90, 45, 81]);
        drop(runner);
        let rest: Vec<Vec<u8>> =
            std::iter::from_fn(|| messages.recv_timeout(Duration::from_secs(2)).ok()).collect();
        assert_eq!(rest.last().unwrap()[..], [0xb0, 123, 0]);
    }
}
