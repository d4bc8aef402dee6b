//! MQTT, with Home Assistant's discovery: the genre as a sensor that is there while there is
//! something to hear.
//!
//! | topic under the prefix | what | retained |
//! |---|---|---|
//! | `status` | `online`; `offline` when the program ends or dies (last will) | yes |
//! | `audio` | `online`; `offline` in silence and when the source is lost | yes |
//! | `genre` | the label, or `none`; on change and every 10 s | no |
//! | `state` | as in JSON; likewise | no |
//! | `confidence` | percent; likewise | no |
//! | `attributes` | what goes with the genre, as JSON; likewise | no |
//! | `readout` | every readout, as every JSON feed has it | no |
//!
//! No genre is retained: a broker would tell it to everybody who comes, long after the music has
//! ended.

use std::{
    collections::VecDeque,
    fmt, io,
    path::PathBuf,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
    time::{Duration, Instant},
};

use crossbeam_channel::{Receiver, bounded};
use rumqttc::{
    AsyncClient, ConnectReturnCode, ConnectionError, Event, EventLoop, LastWill, MqttOptions,
    Packet, QoS, TlsConfiguration, Transport,
};
use rustls::pki_types::{CertificateDer, pem::PemObject as _};
use serde_json::{Value, json};
use tokio::{
    runtime::{self, Runtime},
    sync::Notify,
    time::timeout,
};

use super::{
    Hello, Sink, SinkError, Status, Update,
    jsonl::update_line,
    secret::Secret,
    target::{self, shown_target},
};
use crate::decision::{Readout, Reason, State};

/// Port of brokers that are given without one.
pub const DEFAULT_PORT: u16 = 1883;

/// Port of brokers that are spoken to through TLS.
pub const DEFAULT_TLS_PORT: u16 = 8883;

/// Topics begin with this where the address has no path.
pub const DEFAULT_PREFIX: &str = "genrescope";

/// Where Home Assistant looks for what there is.
pub const DEFAULT_DISCOVERY: &str = "homeassistant";

/// Variable of the environment that holds the password.
pub const PASSWORD_VARIABLE: &str = "GENRESCOPE_MQTT_PASSWORD";

const FEED: &str = "mqtt";

/// Longest wait for a broker to answer.
const PATIENCE: Duration = Duration::from_secs(5);

/// A broker that hears nothing for one and a half of these sends the last will.
const KEEP_ALIVE: Duration = Duration::from_secs(15);

/// What is not retained is said again after so long.
const REPEAT: Duration = Duration::from_secs(10);

/// How often the connection is looked at.
const TICK: Duration = Duration::from_millis(500);

/// Messages that wait for the broker, at most.
const QUEUE: usize = 64;

/// Home Assistant takes a sensor for gone that was not heard of for so many seconds.
const EXPIRES_S: u32 = 60;

/// A broker, and what it is told.
#[derive(Clone, Debug)]
pub struct MqttConfig {
    /// `mqtt://[USER@]HOST[:PORT][/PREFIX]`, or `mqtts://` for TLS.
    pub url: String,
    /// The password of the user.
    pub password: Option<Secret>,
    /// The only authority (PEM) that may vouch for the broker; without it, those of the system.
    pub ca: Option<PathBuf>,
    /// Prefix of Home Assistant's discovery; `None` for no discovery.
    pub discovery: Option<String>,
    /// What tells this program from others at the same broker, such as the machine's name.
    pub id: String,
}

/// An address taken apart.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Place {
    tls: bool,
    user: Option<String>,
    host: String,
    port: u16,
    prefix: String,
}

fn setting(what: &'static str, value: &str, why: impl Into<String>) -> SinkError {
    SinkError::Setting {
        feed: FEED,
        what,
        value: value.to_owned(),
        why: why.into(),
    }
}

fn parse(url: &str) -> Result<Place, SinkError> {
    let form = "write mqtt://[USER@]HOST[:PORT][/PREFIX], or mqtts:// for TLS";
    let (tls, rest) = match url.split_once("://") {
        Some(("mqtt", rest)) => (false, rest),
        Some(("mqtts", rest)) => (true, rest),
        Some((scheme, _)) => return Err(setting("address", scheme, form)),
        None => (false, url),
    };
    let (authority, prefix) = rest.split_once('/').unwrap_or((rest, ""));
    let (user, at) = match authority.rsplit_once('@') {
        Some((user, at)) => (Some(user), at),
        None => (None, authority),
    };
    if user.is_some_and(|user| user.contains(':')) {
        // What is wrong with it must not be repeated.
        return Err(setting(
            "address",
            &format!("...@{at}"),
            format!(
                "a password in it could be read by others; put it into a file (--mqtt-password-file FILE) \
                 or into the variable {PASSWORD_VARIABLE}"
            ),
        ));
    }
    let default_port = if tls { DEFAULT_TLS_PORT } else { DEFAULT_PORT };
    let (host, port) = target::parse_target(FEED, at, default_port)?;
    let prefix = prefix.trim_end_matches('/');
    check_topic(prefix)?;
    Ok(Place {
        tls,
        user: user.filter(|user| !user.is_empty()).map(str::to_owned),
        host,
        port,
        prefix: if prefix.is_empty() {
            DEFAULT_PREFIX.to_owned()
        } else {
            prefix.to_owned()
        },
    })
}

fn check_topic(topic: &str) -> Result<(), SinkError> {
    let bad = |c: char| matches!(c, '+' | '#' | '$') || c.is_control() || c.is_whitespace();
    if topic.len() > 200 || topic.contains(bad) {
        return Err(setting(
            "topic",
            topic,
            "a topic has no spaces, +, # and $, and is no longer than 200 bytes",
        ));
    }
    Ok(())
}

/// Checks an address as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form, or holds a password.
pub fn check_url(url: &str) -> Result<(), SinkError> {
    parse(url).map(drop)
}

/// What the broker was told last of what is not told with every readout.
#[derive(Clone, Debug, PartialEq)]
struct Told {
    genre: Option<usize>,
    held: bool,
    state: State,
    reason: Option<Reason>,
    at: Instant,
}

/// A connection, and the thread that keeps it alive.
struct Link {
    client: AsyncClient,
    shared: Arc<LinkState>,
    done: Receiver<()>,
}

/// Messages that the broker has yet to acknowledge, in order; whether each is a readout.
#[derive(Default)]
struct Unacknowledged(Mutex<VecDeque<bool>>);

impl Unacknowledged {
    fn inner(&self) -> MutexGuard<'_, VecDeque<bool>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[derive(Default)]
struct LinkState {
    stop: Notify,
    /// Why the connection has ended.
    error: Mutex<Option<String>>,
    /// Home Assistant has started: it is told what there is.
    born: AtomicBool,
    waiting: Unacknowledged,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.shared.stop.notify_one();
    }
}

/// One broker.
pub struct MqttSink {
    name: String,
    place: Place,
    options: MqttOptions,
    discovery: Option<String>,
    /// The prefix, as a word.
    node: String,
    link: Option<Link>,
    hello: Option<Hello>,
    /// Whether there is something to hear, as it was told.
    audible: Option<bool>,
    told: Option<Told>,
    undelivered: u64,
}

impl fmt::Debug for MqttSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("MqttSink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

impl MqttSink {
    /// A sink for the broker of `config`. Nothing is sent before [`Sink::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the address, the topics or the authority's file cannot be used.
    pub fn new(config: &MqttConfig) -> Result<Self, SinkError> {
        let place = parse(&config.url)?;
        if let Some(discovery) = &config.discovery {
            check_topic(discovery)?;
        }
        if config.password.is_some() && place.user.is_none() {
            return Err(setting(
                "address",
                &config.url,
                "there is a password, and no user it belongs to; write mqtt://USER@HOST",
            ));
        }
        let node = word(&place.prefix);
        let id: String = format!("{node}-{}-{}", word(&config.id), std::process::id());
        let mut options = MqttOptions::new(id, &place.host, place.port);
        options
            .set_keep_alive(KEEP_ALIVE)
            .set_clean_session(true)
            .set_inflight(QUEUE as u16);
        let status = format!("{}/status", place.prefix);
        options.set_last_will(LastWill::new(status, "offline", QoS::AtLeastOnce, true));
        if let Some(user) = &place.user {
            let password = config.password.as_ref().map_or("", Secret::expose);
            options.set_credentials(user, password);
        }
        if place.tls {
            options.set_transport(Transport::Tls(tls(config)?));
        } else if config.ca.is_some() {
            return Err(setting(
                "address",
                &config.url,
                "an authority vouches for brokers with TLS only; write mqtts://",
            ));
        }
        let at = shown_target(&place.host, place.port);
        Ok(Self {
            name: format!("{FEED} {at}/{}", place.prefix),
            place,
            options,
            discovery: config.discovery.clone(),
            node,
            link: None,
            hello: None,
            audible: None,
            told: None,
            undelivered: 0,
        })
    }

    fn unreachable(&self, why: impl Into<String>) -> SinkError {
        SinkError::Unreachable {
            feed: FEED.to_owned(),
            target: shown_target(&self.place.host, self.place.port),
            source: io::Error::other(why.into()),
        }
    }

    fn failed(&self, error: &ConnectionError) -> SinkError {
        if let ConnectionError::Io(error) = error {
            return SinkError::Unreachable {
                feed: FEED.to_owned(),
                target: shown_target(&self.place.host, self.place.port),
                source: io::Error::new(error.kind(), error.to_string()),
            };
        }
        self.unreachable(words(error))
    }

    fn topic(&self, name: &str) -> String {
        format!("{}/{name}", self.place.prefix)
    }

    fn publish(&self, topic: String, retain: bool, payload: String) -> Result<(), SinkError> {
        let Some(link) = &self.link else {
            return Err(self.unreachable("there is no connection"));
        };
        let ended = link
            .shared
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        if let Some(why) = &*ended {
            return Err(self.unreachable(why.as_str()));
        }
        let is_readout = topic.strip_prefix(&self.place.prefix) == Some("/readout");
        // Held until it is noted: an acknowledgement may come at once.
        let mut waiting = link.shared.waiting.inner();
        link.client
            .try_publish(topic, QoS::AtLeastOnce, retain, payload)
            .map_err(|_| self.unreachable("it takes nothing in"))?;
        waiting.push_back(is_readout);
        Ok(())
    }

    /// Ends the connection. What was not acknowledged did not arrive, as far as is known.
    fn end_link(&mut self) {
        if let Some(link) = self.link.take() {
            let mut waiting = link.shared.waiting.inner();
            self.undelivered += waiting.drain(..).filter(|is_readout| *is_readout).count() as u64;
        }
    }

    fn say(&self, name: &str, payload: impl Into<String>) -> Result<(), SinkError> {
        self.publish(self.topic(name), false, payload.into())
    }

    /// Told to everybody who comes, too.
    fn keep(&self, name: &str, online: bool) -> Result<(), SinkError> {
        let payload = if online { "online" } else { "offline" };
        self.publish(self.topic(name), true, payload.into())
    }

    /// Tells Home Assistant what there is.
    fn announce(&self) -> Result<(), SinkError> {
        let (Some(discovery), Some(hello)) = (&self.discovery, &self.hello) else {
            return Ok(());
        };
        for (name, config) in sensors(&self.place.prefix, &self.node, hello) {
            let topic = format!("{discovery}/sensor/{}/{name}/config", self.node);
            self.publish(topic, true, config.to_string())?;
        }
        Ok(())
    }

    fn audio(&mut self, state: State) -> Result<(), SinkError> {
        let audible = !matches!(state, State::Silent | State::Lost);
        if self.audible != Some(audible) {
            self.keep("audio", audible)?;
            self.audible = Some(audible);
        }
        Ok(())
    }
}

impl Sink for MqttSink {
    fn name(&self) -> String {
        self.name.clone()
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.end_link();
        (self.audible, self.told) = (None, None);
        let runtime = runtime::Builder::new_current_thread()
            .enable_io()
            .enable_time()
            .build()
            .map_err(|error| self.unreachable(error.to_string()))?;
        let (client, mut events) = AsyncClient::new(self.options.clone(), QUEUE);
        let answer = runtime.block_on(async { timeout(PATIENCE, events.poll()).await });
        match answer {
            Ok(Ok(Event::Incoming(Packet::ConnAck(_)))) => {}
            Ok(Ok(_)) => return Err(self.unreachable("it does not speak MQTT")),
            Ok(Err(error)) => return Err(self.failed(&error)),
            Err(_) => return Err(self.unreachable("it does not answer")),
        }
        let shared = Arc::new(LinkState::default());
        let (done_tx, done) = bounded(1);
        let seen = Arc::clone(&shared);
        let births = self
            .discovery
            .as_ref()
            .map(|prefix| format!("{prefix}/status"));
        let subscription = births.clone();
        std::thread::Builder::new()
            .name(FEED.into())
            .spawn(move || {
                keep_alive(&runtime, events, &seen, births.as_deref());
                // The sink may be gone already.
                let _ = done_tx.try_send(());
            })
            .map_err(|source| SinkError::Thread {
                feed: self.name.clone(),
                source,
            })?;
        if let Some(topic) = subscription {
            // Without it, Home Assistant has what was retained.
            let _ = client.try_subscribe(topic, QoS::AtMostOnce);
        }
        self.link = Some(Link {
            client,
            shared,
            done,
        });
        Ok(())
    }

    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        self.hello = Some(hello.clone());
        self.told = None;
        self.announce()?;
        self.keep("status", true)
    }

    fn update(&mut self, update: &Update, now: Instant) -> Result<(), SinkError> {
        let Readout {
            state,
            reason,
            genre,
            confidence,
            ..
        } = update.readout;
        // First what may not be believed any more, then what is true.
        self.audio(state)?;
        let told = Told {
            genre,
            held: update.held,
            state,
            reason,
            at: now,
        };
        let known = self.told.as_ref().is_some_and(|old| {
            let same = Told {
                at: old.at,
                ..told.clone()
            } == *old;
            same && now.saturating_duration_since(old.at) < REPEAT
        });
        if !known {
            let attributes = json!({
                "state": state.as_str(),
                "reason": reason.map(Reason::as_str),
                "held": update.held,
                "confidence": (f64::from(confidence) * 100.0).round() / 100.0,
                "runner_up": runner_up(update),
                "source": &*update.source,
                "model": &*update.model,
            });
            // The genre comes last: who acts on it finds the rest up to date.
            self.say("attributes", attributes.to_string())?;
            self.say("confidence", format!("{:.0}", confidence * 100.0))?;
            self.say("state", state.as_str())?;
            self.say("genre", update.genre().unwrap_or("none"))?;
            self.told = Some(told);
        }
        self.say("readout", update_line(update))
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        self.audio(status.state)?;
        // A lost source may never bring a readout that says so.
        if status.state == State::Lost {
            self.told = None;
            self.say("genre", "none")?;
            self.say("state", status.state.as_str())?;
            self.say("confidence", "0")?;
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(TICK)
    }

    fn tick(&mut self, _now: Instant) -> Result<(), SinkError> {
        let Some(link) = &self.link else {
            return Ok(());
        };
        let ended = link
            .shared
            .error
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone();
        if let Some(why) = ended {
            return Err(self.unreachable(why));
        }
        if link.shared.born.swap(false, Ordering::Relaxed) {
            self.announce()?;
            self.audible = None;
            self.told = None;
            self.keep("status", true)?;
        }
        Ok(())
    }

    fn undelivered(&mut self) -> u64 {
        // It is asked after a failure: what was not acknowledged until then will not be.
        self.end_link();
        std::mem::take(&mut self.undelivered)
    }

    fn close(&mut self) {
        // Who is not reached now is told by the last will.
        let _ = self.say("genre", "none");
        let _ = self.keep("status", false);
        if let Some(link) = &self.link {
            let start = Instant::now();
            while !link.shared.waiting.inner().is_empty() && start.elapsed() < super::DROP_GRACE / 6
            {
                std::thread::sleep(Duration::from_millis(5));
            }
            let _ = link.client.try_disconnect();
            let _ = link.done.recv_timeout(super::DROP_GRACE / 6);
        }
        self.end_link();
    }
}

/// The thread of a connection, until it ends.
fn keep_alive(runtime: &Runtime, mut events: EventLoop, shared: &LinkState, births: Option<&str>) {
    let why = runtime.block_on(async {
        loop {
            let event = tokio::select! {
                () = shared.stop.notified() => return None,
                event = events.poll() => event,
            };
            match event {
                Ok(Event::Incoming(Packet::Publish(message))) => {
                    if births == Some(message.topic.as_str()) && message.payload == "online" {
                        shared.born.store(true, Ordering::Relaxed);
                    }
                }
                // They come in the order of the messages (MQTT 3.1.1, 4.6).
                Ok(Event::Incoming(Packet::PubAck(_))) => drop(shared.waiting.inner().pop_front()),
                Ok(Event::Outgoing(rumqttc::Outgoing::Disconnect)) => return None,
                Ok(_) => {}
                Err(error) => return Some(words(&error)),
            }
        }
    });
    *shared.error.lock().unwrap_or_else(PoisonError::into_inner) =
        Some(why.unwrap_or_else(|| "the connection has ended".into()));
}

/// What went wrong, for a person.
fn words(error: &ConnectionError) -> String {
    match error {
        ConnectionError::ConnectionRefused(code) => match code {
            ConnectReturnCode::BadUserNamePassword => "the user or the password is wrong".into(),
            ConnectReturnCode::NotAuthorized => {
                format!(
                    "it lets nobody in without a user and a password, or not this one \
                     (mqtt://USER@HOST with --mqtt-password-file FILE or {PASSWORD_VARIABLE})"
                )
            }
            ConnectReturnCode::ServiceUnavailable => "it is not ready".into(),
            other => format!("it refuses: {other:?}"),
        },
        ConnectionError::NetworkTimeout | ConnectionError::FlushTimeout => {
            "it does not answer".into()
        }
        ConnectionError::Io(error) => error.to_string(),
        other => other.to_string(),
    }
}

/// The best candidate that is not shown.
fn runner_up(update: &Update) -> Option<&str> {
    let readout = &update.readout;
    if !readout.state.has_scores() {
        return None;
    }
    readout
        .scores
        .ranked()
        .iter()
        .find(|&&(index, _)| Some(index) != readout.genre)
        .and_then(|&(index, _)| update.labels.get(index))
}

/// `text` with nothing but letters, digits and underscores, as identifiers have.
fn word(text: &str) -> String {
    text.chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '_' })
        .collect()
}

/// What Home Assistant is told of each sensor (MQTT discovery, component `sensor`).
fn sensors(prefix: &str, node: &str, hello: &Hello) -> [(&'static str, Value); 3] {
    let topic = |name: &str| format!("{prefix}/{name}");
    let name = if prefix == DEFAULT_PREFIX {
        "genrescope".to_owned()
    } else {
        let own = prefix.strip_prefix("genrescope/").unwrap_or(prefix);
        format!("genrescope {own}")
    };
    let device = json!({
        "identifiers": [node],
        "name": name,
        "manufacturer": "genrescope",
        "model": &*hello.model,
        "sw_version": env!("CARGO_PKG_VERSION"),
    });
    let origin = json!({"name": "genrescope", "sw_version": env!("CARGO_PKG_VERSION")});
    let program = json!({"topic": topic("status")});
    let both = json!([program, {"topic": topic("audio")}]);
    let sensor = |id: &str, name: &str, availability: &Value, more: Value| {
        let mut sensor = json!({
            "name": name,
            "unique_id": format!("{node}_{id}"),
            // Which of the two counts depends on the version: the first until 2026.4, the second
            // since 2025.10.
            "object_id": format!("{node}_{id}"),
            "default_entity_id": format!("sensor.{node}_{id}"),
            "state_topic": topic(id),
            "availability": availability,
            "availability_mode": "all",
            "expire_after": EXPIRES_S,
            "device": device,
            "origin": origin,
        });
        if let (Some(sensor), Value::Object(more)) = (sensor.as_object_mut(), more) {
            sensor.extend(more);
        }
        sensor
    };
    let labels: Vec<&str> = hello.labels.iter().collect();
    let genre = json!({
        "device_class": "enum",
        "options": labels,
        // Home Assistant's word for "unknown".
        "value_template": "{{ 'None' if value == 'none' else value }}",
        "json_attributes_topic": topic("attributes"),
        "icon": "mdi:music",
    });
    let states = State::ALL.map(State::as_str);
    let state = json!({
        "device_class": "enum",
        "options": states,
        "entity_category": "diagnostic",
        "icon": "mdi:ear-hearing",
    });
    let confidence = json!({
        "unit_of_measurement": "%",
        "state_class": "measurement",
        "entity_category": "diagnostic",
        "icon": "mdi:gauge",
    });
    [
        ("genre", sensor("genre", "Genre", &both, genre)),
        ("state", sensor("state", "State", &json!([program]), state)),
        (
            "confidence",
            sensor("confidence", "Confidence", &both, confidence),
        ),
    ]
}

/// Whom to believe that a broker is what it says.
fn tls(config: &MqttConfig) -> Result<TlsConfiguration, SinkError> {
    // Another part of the program may have chosen first.
    let _ = rustls::crypto::ring::default_provider().install_default();
    let mut roots = rustls::RootCertStore::empty();
    if let Some(path) = &config.ca {
        let name = path.display().to_string();
        let bytes = std::fs::read(path)
            .map_err(|error| setting("authority's file", &name, error.to_string()))?;
        let found: Vec<_> = CertificateDer::pem_slice_iter(&bytes).flatten().collect();
        let (added, _) = roots.add_parsable_certificates(found);
        if added == 0 {
            let why = "it holds no certificate (PEM)";
            return Err(setting("authority's file", &name, why));
        }
    } else {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        if roots.is_empty() {
            return Err(setting(
                "address",
                &config.url,
                "this system knows no authorities; give the broker's own with --mqtt-ca FILE",
            ));
        }
    }
    let config = rustls::ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth();
    Ok(config.into())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    #[test]
    fn addresses_are_read_in_every_form() {
        let read = |url: &str| parse(url).unwrap();
        let plain = read("mqtt://broker");
        assert_eq!((plain.port, plain.tls), (1883, false));
        assert_eq!(plain.prefix, "genrescope");
        assert_eq!(read("broker"), plain);
        let full = read("mqtts://dj@[::1]:99/home/stage/");
        assert_eq!(full.user.as_deref(), Some("dj"));
        assert_eq!((full.host.as_str(), full.port), ("::1", 99));
        assert_eq!((full.prefix.as_str(), full.tls), ("home/stage", true));
        assert_eq!(read("mqtts://broker").port, 8883);
        for bad in [
            "http://broker",
            "mqtt://",
            "mqtt://broker:0",
            "mqtt://broker/a+b",
            "mqtt://broker/a b",
        ] {
            assert!(parse(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_password_in_the_address_is_refused_and_not_repeated() {
        let error = parse("mqtt://dj:hunter2@broker").unwrap_err().to_string();
        assert!(error.contains("--mqtt-password-file"), "{error}");
        assert!(!error.contains("hunter2"), "{error}");
        let sink = MqttSink::new(&MqttConfig {
            url: "mqtt://dj@broker".into(),
            password: Some(Secret::new("hunter2").unwrap()),
            ca: None,
            discovery: None,
            id: "x".into(),
        });
        let sink = sink.unwrap();
        assert!(!format!("{sink:?} {}", sink.name()).contains("hunter2"));
    }

    /// What Home Assistant asks of a sensor (its page "MQTT Sensor"): unique ids, topics, and an
    /// enumeration without a unit.
    #[test]
    fn sensors_are_what_home_assistant_takes() {
        let sensors = sensors("genrescope/stage", "genrescope_stage", &fixtures::hello());
        let ids: std::collections::HashSet<_> = sensors
            .iter()
            .map(|(_, sensor)| sensor["unique_id"].as_str().unwrap())
            .collect();
        assert_eq!(ids.len(), sensors.len());
        for (name, sensor) in &sensors {
            assert_eq!(sensor["state_topic"], format!("genrescope/stage/{name}"));
            let availability = sensor["availability"].as_array().unwrap();
            assert_eq!(availability[0]["topic"], "genrescope/stage/status");
            assert_eq!(sensor["device"]["identifiers"][0], "genrescope_stage");
            if sensor["device_class"] == "enum" {
                assert!(sensor["options"].as_array().is_some_and(|o| !o.is_empty()));
                assert!(sensor.get("unit_of_measurement").is_none());
                assert!(sensor.get("state_class").is_none());
            }
        }
        assert_eq!(
            sensors[0].1["availability"][1]["topic"],
            "genrescope/stage/audio"
        );
    }

    #[test]
    fn a_ca_file_without_certificate_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("ca.pem");
        std::fs::write(&path, "nothing").unwrap();
        let mut config = MqttConfig {
            url: "mqtts://broker".into(),
            password: None,
            ca: Some(path),
            discovery: None,
            id: "x".into(),
        };
        let error = MqttSink::new(&config).unwrap_err().to_string();
        assert!(error.contains("ca.pem") && error.contains("PEM"), "{error}");
        config.url = "mqtt://broker".into();
        let error = MqttSink::new(&config).unwrap_err().to_string();
        assert!(error.contains("mqtts://"), "{error}");
    }
}
