//! OSC over UDP: plain messages (no bundles), to one receiver per sink; docs/osc.md has the
//! addresses and the steps for each console.
//!
//! [`OscEncoder`] decides what is sent when and knows no socket; [`OscSink`] sends it.

use std::time::{Duration, Instant};

use rosc::{OscMessage, OscPacket, OscType};

use super::{
    Hello, Sink, SinkError, Status, Update,
    map::{Event, Map, Rule, Type, address_parts, expand},
    udp::UdpLine,
};
use crate::{
    decision::{Reason, State},
    genre::Labels,
};

/// Port of receivers that are given without one.
pub const DEFAULT_PORT: u16 = 9000;

/// Scores are sent at most four times a second.
pub const SCORE_PERIOD: Duration = Duration::from_millis(250);

/// What stands until it changes, and is therefore sent again; `active` is sent on change alone, and
/// the position is over at once.
const STANDING: [Event; 8] = [
    Event::State,
    Event::Reason,
    Event::Top,
    Event::Index,
    Event::Name,
    Event::Confidence,
    Event::Music,
    Event::Score,
];

/// A heartbeat is sent every second: a desk that misses several knows that the program was killed.
pub const ALIVE_PERIOD: Duration = Duration::from_secs(1);

/// What the receiver should know is sent again every five seconds, as UDP loses messages and
/// receivers start late.
pub const RESEND_PERIOD: Duration = Duration::from_secs(5);

/// Sent as the genre's name while none is shown, and as the reason while one is.
pub const NONE: &str = "none";

/// Decides which messages a receiver gets and when. Its clock is the `now` that it is given.
#[derive(Debug)]
pub struct OscEncoder {
    map: Map,
    labels: Option<Labels>,
    parts: Vec<String>,
    shown: Option<usize>,
    state: Option<State>,
    /// The reason that was told last; none before the first.
    reason: Option<&'static str>,
    newest: Option<Update>,
    scores_at: Option<Instant>,
    scores_wait: bool,
    resend_at: Option<Instant>,
    alive_at: Option<Instant>,
    /// The stream has ended.
    over: bool,
}

impl OscEncoder {
    /// An encoder for `map`.
    pub fn new(map: Map) -> Self {
        Self {
            map,
            labels: None,
            parts: Vec::new(),
            shown: None,
            state: None,
            reason: None,
            newest: None,
            scores_at: None,
            scores_wait: false,
            resend_at: None,
            alive_at: None,
            over: false,
        }
    }

    /// The stream begins: every `active` is 0.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the map names a label that the model has not.
    pub fn hello(&mut self, hello: &Hello) -> Result<Vec<OscMessage>, SinkError> {
        self.map.check(&hello.labels)?;
        self.parts = address_parts(&hello.labels);
        self.labels = Some(hello.labels.clone());
        self.shown = None;
        self.state = None;
        self.reason = None;
        self.newest = None;
        self.scores_at = None;
        self.scores_wait = false;
        let mut out = Vec::new();
        for index in 0..self.parts.len() {
            self.active(index, false, &mut out);
        }
        Ok(out)
    }

    /// A readout: what changed at once, scores when the rate limit allows.
    pub fn update(&mut self, update: &Update, now: Instant) -> Vec<OscMessage> {
        let mut out = Vec::new();
        let shown = update
            .readout
            .genre
            .filter(|&index| index < self.parts.len());
        let changed = shown != self.shown || self.newest.is_none();
        self.newest = Some(update.clone());
        self.told_reason(&mut out);
        if changed {
            let before = std::mem::replace(&mut self.shown, shown);
            // A family stays on while its kinds change.
            let (off, on) = (self.lit(before), self.lit(shown));
            for &index in off.iter().filter(|index| !on.contains(index)) {
                self.active(index, false, &mut out);
            }
            for &index in on.iter().filter(|index| !off.contains(index)) {
                self.active(index, true, &mut out);
            }
            self.told(&[Event::Top, Event::Index, Event::Name], &mut out);
        }
        self.scores_wait = true;
        self.scores_if_due(now, changed, &mut out);
        self.resend_at.get_or_insert(now + RESEND_PERIOD);
        out
    }

    /// The state changed. A lost source shows no genre.
    pub fn status(&mut self, status: &Status) -> Vec<OscMessage> {
        let mut out = Vec::new();
        if self.state != Some(status.state) {
            self.state = Some(status.state);
            self.told(&[Event::State], &mut out);
        }
        if status.state == State::Lost {
            if let Some(newest) = &mut self.newest {
                newest.readout.set_state(State::Lost);
            }
            self.told_reason(&mut out);
            let shown = self.shown.take();
            for index in self.lit(shown) {
                self.active(index, false, &mut out);
            }
            if shown.is_some() {
                self.told(&[Event::Top, Event::Index, Event::Name], &mut out);
            }
        }
        out
    }

    /// The reason, when it is another.
    fn told_reason(&mut self, out: &mut Vec<OscMessage>) {
        let newest = self.newest.as_ref();
        let reason = newest.map(|newest| reason_name(newest.readout.reason));
        if reason.is_some() && reason != self.reason {
            self.reason = reason;
            self.told(&[Event::Reason], out);
        }
    }

    /// Time passes: scores that waited, and what is due to be sent again.
    pub fn tick(&mut self, now: Instant) -> Vec<OscMessage> {
        let mut out = Vec::new();
        if self.alive_at.is_none_or(|at| now >= at) {
            self.alive_at = Some(now + ALIVE_PERIOD);
            self.told(&[Event::Alive], &mut out);
        }
        self.scores_if_due(now, false, &mut out);
        if self.resend_at.is_some_and(|at| now >= at) {
            self.resend_at = Some(now + RESEND_PERIOD);
            self.told(&STANDING, &mut out);
        }
        out
    }

    /// Everything a receiver needs that has just appeared, the shown genre's `active` included.
    pub fn everything(&mut self) -> Vec<OscMessage> {
        let mut out = Vec::new();
        for index in self.lit(self.shown) {
            self.active(index, true, &mut out);
        }
        self.told(&STANDING, &mut out);
        out
    }

    /// The stream ends: no genre is shown any more, the source is lost.
    pub fn goodbye(&mut self) -> Vec<OscMessage> {
        let mut out = Vec::new();
        if self.labels.is_some() {
            self.state = Some(State::Lost);
            self.over = true;
            let shown = self.shown.take();
            for index in self.lit(shown) {
                self.active(index, false, &mut out);
            }
            if let Some(newest) = &mut self.newest {
                newest.readout.set_state(State::Lost);
            }
            self.told(&STANDING, &mut out);
            self.told(&[Event::Alive], &mut out);
        }
        out
    }

    fn scores_if_due(&mut self, now: Instant, with_top: bool, out: &mut Vec<OscMessage>) {
        let due = self
            .scores_at
            .is_none_or(|at| now.saturating_duration_since(at) >= SCORE_PERIOD);
        if self.scores_wait && due {
            self.scores_wait = false;
            self.scores_at = Some(now);
            if !with_top {
                // Its confidence moves with the scores.
                self.told(&[Event::Top], out);
            }
            self.told(
                &[
                    Event::Confidence,
                    Event::Music,
                    Event::Position,
                    Event::Score,
                ],
                out,
            );
        }
    }

    /// Messages of every rule for one of `events`, with the values as they stand.
    fn told(&self, events: &[Event], out: &mut Vec<OscMessage>) {
        let Some(labels) = &self.labels else {
            return;
        };
        for rule in &self.map.rules {
            if !events.contains(&rule.on) {
                continue;
            }
            if rule.on == Event::Score {
                let Some(newest) = &self.newest else {
                    continue;
                };
                for (index, &score) in newest.readout.scores.as_slice().iter().enumerate() {
                    if self.concerns(rule, index) {
                        self.message(rule, Some(index), &Value::Number(score), out);
                    }
                }
                continue;
            }
            let concerned = || {
                let mut lit = self.lit(self.shown).into_iter();
                lit.any(|index| self.concerns(rule, index))
            };
            if rule.genre.is_some() && !concerned() {
                continue;
            }
            let name = self
                .shown
                .and_then(|index| labels.get(index))
                .unwrap_or(NONE);
            let index = self
                .shown
                .map_or(-1, |index| i32::try_from(index).unwrap_or(i32::MAX));
            let confidence = self
                .newest
                .as_ref()
                .filter(|_| self.state != Some(State::Lost))
                .map_or(0.0, |update| update.readout.confidence);
            let value = match rule.on {
                Event::Top => Value::Top(name, index, confidence),
                Event::Index => Value::Number(index as f32),
                Event::Name => Value::Text(name),
                Event::Confidence => Value::Number(confidence),
                Event::Alive => Value::Number(if self.over { 0.0 } else { 1.0 }),
                Event::State => match self.state {
                    Some(state) => Value::Text(state.as_str()),
                    None => continue,
                },
                Event::Reason | Event::Music | Event::Position => {
                    let Some(Update { readout, .. }) = &self.newest else {
                        continue;
                    };
                    match rule.on {
                        Event::Reason => Value::Text(reason_name(readout.reason)),
                        Event::Music => Value::Number(readout.music.unwrap_or(-1.0)),
                        _ => Value::Number(readout.position.0 as f32),
                    }
                }
                Event::Score | Event::Active => continue,
            };
            self.message(rule, self.shown, &value, out);
        }
    }

    fn active(&self, index: usize, on: bool, out: &mut Vec<OscMessage>) {
        for rule in &self.map.rules {
            if rule.on != Event::Active || !self.concerns(rule, index) {
                continue;
            }
            // "Stops being shown" has a number (0) but no text and no message without argument.
            let says_off = !rule.only_on && !matches!(rule.kind, Some(Type::String | Type::None));
            if on || says_off {
                self.message(
                    rule,
                    Some(index),
                    if on { &Value::Number(1.0) } else { &Value::Off },
                    out,
                );
            }
        }
    }

    /// The labels that are active while `shown` is: its family, and itself.
    fn lit(&self, shown: Option<usize>) -> Vec<usize> {
        let labels = self.labels.as_ref();
        let family = shown.and_then(|index| labels?.family_of(index));
        family.into_iter().chain(shown).collect()
    }

    fn concerns(&self, rule: &Rule, index: usize) -> bool {
        rule.genre.as_deref().is_none_or(|genre| {
            self.labels
                .as_ref()
                .is_some_and(|labels| labels.get(index) == Some(genre))
        })
    }

    fn message(
        &self,
        rule: &Rule,
        index: Option<usize>,
        value: &Value<'_>,
        out: &mut Vec<OscMessage>,
    ) {
        let place = |template: &str| match index {
            Some(index) => expand(template, self.parts.get(index)?, index).ok(),
            // Nothing is shown: there is nothing to put in the place.
            None if template.contains('{') => None,
            None => Some(template.to_owned()),
        };
        let Some(addr) = place(&rule.address) else {
            return;
        };
        let fixed = match (&rule.value, value) {
            (None, _) | (_, Value::Off) => None,
            (Some(template), _) => match place(template) {
                Some(text) => Some(text),
                None => return,
            },
        };
        if let (Value::Top(name, index, confidence), None, None) = (value, &fixed, rule.kind) {
            let args = vec![
                OscType::String((*name).to_owned()),
                OscType::Int(*index),
                OscType::Float(*confidence),
            ];
            out.push(OscMessage { addr, args });
            return;
        }
        let number = match (&fixed, value) {
            (Some(text), _) => text.parse().unwrap_or(0.0),
            (None, Value::Number(number) | Value::Top(_, _, number)) => *number,
            (None, Value::Text(_) | Value::Off) => 0.0,
        } * rule.scale.unwrap_or(1.0);
        let args = match rule.kind.unwrap_or(rule.on.default_type()) {
            Type::Float => vec![OscType::Float(number)],
            Type::Int => vec![OscType::Int(number.round() as i32)],
            Type::String => vec![OscType::String(match (fixed, value) {
                (Some(text), _) => text,
                (None, Value::Text(text) | Value::Top(text, _, _)) => (*text).to_owned(),
                (None, Value::Number(number)) => number.to_string(),
                (None, Value::Off) => String::new(),
            })],
            Type::None => Vec::new(),
        };
        out.push(OscMessage { addr, args });
    }
}

fn reason_name(reason: Option<Reason>) -> &'static str {
    reason.map_or(NONE, Reason::as_str)
}

/// What an event has to say.
enum Value<'a> {
    Number(f32),
    Text(&'a str),
    Top(&'a str, i32, f32),
    /// 0, whatever `value` the rule has for "on".
    Off,
}

impl Event {
    pub(super) fn default_type(self) -> Type {
        match self {
            Event::Score | Event::Active | Event::Confidence | Event::Music | Event::Position => {
                Type::Float
            }
            Event::Index | Event::Alive => Type::Int,
            Event::Name | Event::State | Event::Reason | Event::Top => Type::String,
        }
    }
}

/// Where and what to send.
#[derive(Clone, Debug)]
pub struct OscConfig {
    /// `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`; without a port, the map's.
    pub target: String,
    /// What to send.
    pub map: Map,
    /// Allow multicast (with a time-to-live of 1) and broadcast addresses. Off unless the user asks
    /// for it.
    pub allow_multicast: bool,
}

impl OscConfig {
    /// The standard messages to `target`, unicast.
    pub fn new(target: impl Into<String>) -> Self {
        Self {
            target: target.into(),
            map: Map::default(),
            allow_multicast: false,
        }
    }
}

/// One OSC receiver.
#[derive(Debug)]
pub struct OscSink {
    line: UdpLine,
    encoder: OscEncoder,
    /// The system says that nobody listens on that port.
    unheard: bool,
    buffer: Vec<u8>,
}

impl OscSink {
    /// A sink for one receiver. Nothing is sent and no name is looked up before [`Sink::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the target is not of the form `HOST:PORT`, or is a multicast or
    /// broadcast address that was not allowed.
    pub fn new(config: OscConfig) -> Result<Self, SinkError> {
        let (port, many) = (config.map.port, config.allow_multicast);
        Ok(Self {
            line: UdpLine::new("osc", &config.target, port, many, None)?,
            encoder: OscEncoder::new(config.map),
            unheard: false,
            buffer: Vec::with_capacity(256),
        })
    }

    fn send(&mut self, messages: Vec<OscMessage>) -> Result<(), SinkError> {
        if messages.is_empty() {
            return Ok(());
        }
        let refused = self.send_all(messages)?;
        if self.unheard && !refused {
            // The receiver has just appeared, and knows nothing yet.
            let everything = self.encoder.everything();
            self.unheard = self.send_all(everything)?;
        } else {
            self.unheard = refused;
        }
        Ok(())
    }

    /// Sends all; says whether the system reported that nobody listens.
    fn send_all(&mut self, messages: Vec<OscMessage>) -> Result<bool, SinkError> {
        let mut refused = false;
        for message in messages {
            self.buffer.clear();
            // Writing into memory cannot fail.
            let _ = rosc::encoder::encode_into(&OscPacket::Message(message), &mut self.buffer);
            refused |= self.line.send(&self.buffer)?;
        }
        Ok(refused)
    }
}

impl Sink for OscSink {
    fn name(&self) -> String {
        format!("osc {}", self.line.target())
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.line.connect()
    }

    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        let messages = self.encoder.hello(hello)?;
        self.send(messages)
    }

    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        let messages = self.encoder.update(update, now);
        self.send(messages)
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        let messages = self.encoder.status(status);
        self.send(messages)
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(SCORE_PERIOD)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let messages = self.encoder.tick(now);
        self.send(messages)
    }

    fn unheard(&self) -> bool {
        self.unheard
    }

    fn close(&mut self) {
        let messages = self.encoder.goodbye();
        // Nobody is left to be told.
        let _ = self.send_all(messages);
    }
}

/// The host and the port of `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no such form.
pub fn parse_target(target: &str, default_port: u16) -> Result<(String, u16), SinkError> {
    super::target::parse_target("osc", target, default_port)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    fn text(messages: &[OscMessage]) -> Vec<String> {
        messages
            .iter()
            .map(|message| {
                let args: Vec<String> = message
                    .args
                    .iter()
                    .map(|arg| match arg {
                        OscType::Float(value) => format!("f:{value}"),
                        OscType::Int(value) => format!("i:{value}"),
                        OscType::String(value) => format!("s:{value}"),
                        other => format!("{other:?}"),
                    })
                    .collect();
                format!("{} {}", message.addr, args.join(" "))
                    .trim_end()
                    .to_owned()
            })
            .collect()
    }

    fn started(map: Map) -> OscEncoder {
        let mut encoder = OscEncoder::new(map);
        encoder.hello(&fixtures::hello()).unwrap();
        encoder
    }

    fn status(state: State) -> Status {
        Status {
            state,
            message: None,
            source: "test".into(),
            time: fixtures::hello().time,
        }
    }

    #[test]
    fn the_first_readout_tells_everything() {
        let mut encoder = OscEncoder::new(Map::default());
        let hello = text(&encoder.hello(&fixtures::hello()).unwrap());
        assert_eq!(hello.len(), 10);
        assert_eq!(hello[0], "/genre/active/blues f:0");
        assert_eq!(
            text(&encoder.status(&status(State::Live))),
            ["/genre/state s:live"]
        );
        let first = text(&encoder.update(&fixtures::update(1, Some(9)), Instant::now()));
        assert_eq!(
            first[..6],
            [
                "/genre/reason s:none",
                "/genre/active/rock f:1",
                "/genre/top s:rock i:9 f:0.64",
                "/genre/index i:9",
                "/genre/name s:rock",
                "/genre/confidence f:0.64",
            ]
        );
        assert_eq!(
            first[6..8],
            ["/genre/music f:0.98", "/genre/position f:2.048"]
        );
        assert_eq!(first.len(), 18);
        assert_eq!(first[8], "/genre/score/blues f:0.04");
        assert_eq!(first[17], "/genre/score/rock f:0.64");
    }

    #[test]
    fn active_is_sent_on_change_only_and_scores_four_times_a_second() {
        let mut encoder = started(Map::default());
        let start = Instant::now();
        let mut actives = Vec::new();
        let mut scores = 0;
        // 10 s of readouts every 20 ms: rock, then none, then blues.
        for step in 0..500_u64 {
            let now = start + Duration::from_millis(20 * step);
            let genre = match step {
                0..200 => Some(9),
                200..300 => None,
                _ => Some(0),
            };
            for line in text(&encoder.update(&fixtures::update(step + 1, genre), now)) {
                if line.starts_with("/genre/active") {
                    actives.push((step, line));
                } else if line.starts_with("/genre/score/jazz") {
                    scores += 1;
                }
            }
        }
        let actives: Vec<(u64, &str)> = actives.iter().map(|(s, l)| (*s, l.as_str())).collect();
        assert_eq!(
            actives,
            [
                (0, "/genre/active/rock f:1"),
                (200, "/genre/active/rock f:0"),
                (300, "/genre/active/blues f:1"),
            ]
        );
        assert!((36..=40).contains(&scores), "{scores} scores in 10 s");
    }

    #[test]
    fn scores_that_waited_go_out_with_the_tick_and_all_is_resent() {
        let mut encoder = started(Map::default());
        let start = Instant::now();
        encoder.status(&status(State::Live));
        encoder.update(&fixtures::update(1, Some(9)), start);
        assert_eq!(text(&encoder.tick(start)), ["/genre/alive i:1"]);
        let mut newer = fixtures::update(2, Some(9));
        newer.readout.confidence = 0.5;
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(text(&encoder.update(&newer, at(100))), [""; 0]);
        assert!(encoder.tick(at(200)).is_empty());
        let late = text(&encoder.tick(at(260)));
        assert_eq!(late[0], "/genre/top s:rock i:9 f:0.5");
        assert_eq!(
            late.len(),
            14,
            "top, confidence, music, position, ten scores"
        );
        assert!(
            encoder.tick(at(600)).is_empty(),
            "nothing new, nothing sent"
        );
        let resent = text(&encoder.tick(at(5_001)));
        assert_eq!(
            resent.len(),
            18,
            "alive, state, reason, top, index, name, confidence, music, ten scores"
        );
        assert!(resent.iter().all(|line| !line.contains("active")));
        assert!(encoder.tick(at(6_000)).is_empty());
        assert_eq!(text(&encoder.tick(at(6_002))), ["/genre/alive i:1"]);
        assert_eq!(encoder.tick(at(10_002)).len(), 18);
    }

    #[test]
    fn a_lost_source_and_the_end_turn_the_lights_off() {
        let mut encoder = started(Map::default());
        encoder.update(&fixtures::update(1, Some(8)), Instant::now());
        assert_eq!(
            text(&encoder.status(&status(State::Lost))),
            [
                "/genre/state s:lost",
                "/genre/reason s:source_lost",
                "/genre/active/reggae f:0",
                "/genre/top s:none i:-1 f:0",
                "/genre/index i:-1",
                "/genre/name s:none"
            ]
        );
        encoder.update(&fixtures::update(2, Some(8)), Instant::now());
        let goodbye = text(&encoder.goodbye());
        assert_eq!(goodbye[0], "/genre/active/reggae f:0");
        for zero in [
            "/genre/score/reggae f:0",
            "/genre/confidence f:0",
            "/genre/alive i:0",
        ] {
            assert!(goodbye.iter().any(|line| line == zero), "{goodbye:?}");
        }
        assert!(
            OscEncoder::new(Map::default()).goodbye().is_empty(),
            "nothing was ever said"
        );
    }

    #[test]
    fn presets_speak_the_consoles_language() {
        let update = fixtures::update(1, Some(9));
        let say = |name: &str| {
            let mut encoder = OscEncoder::new(Map::preset(name).unwrap());
            let mut lines = text(&encoder.hello(&fixtures::hello()).unwrap());
            lines.push("--".to_owned());
            lines.extend(text(&encoder.update(&update, Instant::now())));
            lines
        };
        let magicq = say("magicq");
        assert_eq!(magicq[0], "/pb/1 f:0");
        assert_eq!(magicq[9..], ["/pb/10 f:0", "--", "/pb/10 f:1"]);
        let grandma = say("grandma3");
        assert_eq!(grandma[0], "/Page1/Key101 i:0");
        assert_eq!(grandma[11], "/Page1/Key110 i:1");
        assert_eq!(grandma[12], "/Page1/Fader201 i:4");
        assert_eq!(grandma[21], "/Page1/Fader210 i:64");
        assert_eq!(
            say("resolume"),
            ["--", "/composition/columns/10/connect i:1"]
        );
        let qlc = say("qlcplus");
        assert_eq!(qlc[11], "/genre/active/rock f:1");
        assert!(
            qlc.iter().all(|line| !line.contains("s:")),
            "QLC+ takes numbers"
        );
    }

    #[cfg(feature = "cli")]
    #[test]
    fn the_example_map_sends_what_it_says() {
        let map =
            Map::from_toml(include_str!("../../docs/osc-map.example.toml"), "example").unwrap();
        let mut encoder = started(map);
        let rock = text(&encoder.update(&fixtures::update(1, Some(9)), Instant::now()));
        assert_eq!(rock[0], "/cue/20/start");
        assert_eq!(rock[1], "/panel/text s:rock");
        assert_eq!(rock[2], "/fader/blues i:5");
        assert_eq!(rock[11], "/fader/rock i:81");
        let reggae = text(&encoder.update(&fixtures::update(2, Some(8)), Instant::now()));
        assert_eq!(
            reggae[..3],
            [
                "/cue/19/start",
                "/cmd s:Go+ Sequence 109",
                "/panel/text s:reggae"
            ]
        );
    }

    #[test]
    fn receivers_are_read_or_refused_with_reason() {
        let ok = |target: &str| parse_target(target, 9000).unwrap();
        assert_eq!(ok("lights.local"), ("lights.local".into(), 9000));
        assert_eq!(ok("10.0.0.2:7700"), ("10.0.0.2".into(), 7700));
        assert_eq!(ok("[::1]:8000"), ("::1".into(), 8000));
        assert_eq!(ok("[::1]"), ("::1".into(), 9000));
        assert_eq!(ok("::1"), ("::1".into(), 9000));
        for wrong in [
            "",
            ":9000",
            "a:b",
            "a:0",
            "a:70000",
            "[::1",
            "[x]:1",
            "[::1]9",
            "http://a:1",
            "a b:1",
        ] {
            let error = parse_target(wrong, 9000).unwrap_err().to_string();
            assert!(error.contains("HOST:PORT"), "{wrong}: {error}");
        }
        for many in ["239.1.2.3:9000", "255.255.255.255", "[ff02::1]:9000"] {
            let error = OscSink::new(OscConfig::new(many)).unwrap_err().to_string();
            assert!(error.contains("multicast"), "{error}");
            let mut config = OscConfig::new(many);
            config.allow_multicast = true;
            assert!(OscSink::new(config).is_ok());
        }
    }

    #[test]
    fn a_map_for_other_labels_is_refused_at_the_greeting() {
        let mut map = Map::default();
        map.rules[6].genre = Some("polka".into());
        let error = OscEncoder::new(map).hello(&fixtures::hello()).unwrap_err();
        assert!(error.to_string().contains("polka"), "{error}");
    }
}
