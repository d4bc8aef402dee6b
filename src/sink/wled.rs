//! WLED strips: a preset for each genre by WLED's JSON API, and WLED's sound sync, so that strips
//! move with the music without a microphone of their own.

use std::{
    fmt, io,
    sync::Arc,
    time::{Duration, Instant},
};

use serde_json::{Value, json};
use ureq::Agent;

use super::{
    Hello, Sink, SinkError, Status, Update,
    look::{Look, Strip},
    target::{self, shown_target},
    udp::UdpLine,
};
use crate::{
    decision::State,
    front_end::{FrontEndConfig, mel::MelBands},
    realtime::{Counters, next_column_after},
};

/// Port of WLED's JSON API.
pub const API_PORT: u16 = 80;

/// Port of WLED's sound sync.
pub const SOUND_PORT: u16 = 11_988;

/// Longest wait for an answer.
const PATIENCE: Duration = Duration::from_millis(1_500);

/// Longest wait for an answer at the end, when others wait for us.
const LAST_PATIENCE: Duration = Duration::from_millis(300);

/// How often it is looked whether the controller was restarted.
const LOOK_PERIOD: Duration = Duration::from_secs(10);

/// Longest answer that is read: a controller's is some 2 kB.
const MAX_ANSWER: u64 = 64 << 10;

/// Which preset a strip shows when.
#[derive(Clone, Debug)]
pub enum Strips {
    /// Preset N for genre N, counted from 1; off in silence and when the source is lost.
    InOrder,
    /// As a look says.
    Of(Box<Look>),
}

impl Strips {
    /// `None`: it stays as it is.
    fn wanted(&self, update: &Update) -> Option<Strip> {
        let readout = &update.readout;
        match self {
            Self::InOrder => match readout.genre {
                Some(index) => u8::try_from(index + 1).ok().map(Strip::Preset),
                None if readout.state == State::Silent => Some(Strip::Off),
                None => None,
            },
            Self::Of(look) => {
                let of_genre = update.genre().and_then(|label| look.genre(label));
                let of_state = look.state(if update.held {
                    State::Live
                } else {
                    readout.state
                });
                let said = |scene: Option<&super::look::Scene>| scene.and_then(|scene| scene.strip);
                said(of_state).or(said(of_genre))
            }
        }
    }

    fn lost(&self) -> Strip {
        match self {
            Self::InOrder => None,
            Self::Of(look) => look.state(State::Lost).and_then(|scene| scene.strip),
        }
        .unwrap_or(Strip::Off)
    }

    fn end(&self) -> Strip {
        match self {
            Self::InOrder => None,
            Self::Of(look) => look.end.as_ref().and_then(|scene| scene.strip),
        }
        .unwrap_or(Strip::Off)
    }
}

/// Checks a controller as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form.
pub fn check_target(target: &str) -> Result<(), SinkError> {
    target::parse_target("wled", target, API_PORT).map(drop)
}

/// Presets of one WLED controller.
pub struct WledSink {
    host: String,
    port: u16,
    strips: Strips,
    wanted: Option<Strip>,
    told: Option<Strip>,
    /// Seconds since the controller was started.
    uptime: u64,
    looked_at: Option<Instant>,
}

impl fmt::Debug for WledSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("WledSink")
            .field("target", &self.target())
            .field("told", &self.told)
            .finish_non_exhaustive()
    }
}

fn agent(patience: Duration) -> Agent {
    Agent::config_builder()
        .timeout_global(Some(patience))
        .max_redirects(0)
        .max_idle_connections(0) // a controller has few sockets
        .max_response_header_size(16 << 10)
        .proxy(None)
        .user_agent("genrescope")
        .build()
        .new_agent()
}

impl WledSink {
    /// Nothing is sent before [`Sink::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the target is not of the form `HOST` or `HOST:PORT`.
    pub fn new(target: &str, strips: Strips) -> Result<Self, SinkError> {
        let (host, port) = target::parse_target("wled", target, API_PORT)?;
        Ok(Self {
            host,
            port,
            strips,
            wanted: None,
            told: None,
            uptime: 0,
            looked_at: None,
        })
    }

    fn target(&self) -> String {
        shown_target(&self.host, self.port)
    }

    fn unreachable(&self, source: io::Error) -> SinkError {
        SinkError::Unreachable {
            feed: "wled".to_owned(),
            target: self.target(),
            source,
        }
    }

    /// Asks, or tells where there is something to tell.
    fn ask(
        &self,
        path: &str,
        tell: Option<&Value>,
        patience: Duration,
    ) -> Result<Value, SinkError> {
        let url = format!("http://{}{path}", self.target());
        let agent = agent(patience);
        let answer = match tell {
            None => agent.get(&url).call(),
            Some(value) => agent
                .post(&url)
                .content_type("application/json")
                .send(value.to_string()),
        };
        let text = answer.and_then(|mut answer| {
            let body = answer.body_mut().with_config().limit(MAX_ANSWER);
            body.read_to_string()
        });
        let text = text.map_err(|error| {
            self.unreachable(match error {
                ureq::Error::Io(error) => error,
                ureq::Error::Timeout(_) => io::ErrorKind::TimedOut.into(),
                other => io::Error::other(other.to_string()),
            })
        })?;
        serde_json::from_str(&text)
            .map_err(|_| self.unreachable(io::Error::other("what answers there is no WLED")))
    }

    /// Is it a WLED, and was it restarted since?
    fn look(&mut self) -> Result<(), SinkError> {
        let info = self.ask("/json/info", None, PATIENCE)?;
        if info["ver"].as_str().is_none() || info["leds"].as_object().is_none() {
            return Err(self.unreachable(io::Error::other("what answers there is no WLED")));
        }
        let uptime = info["uptime"].as_u64().unwrap_or(0);
        if uptime < self.uptime {
            self.told = None;
        }
        self.uptime = uptime;
        Ok(())
    }

    fn tell(&mut self, patience: Duration) -> Result<(), SinkError> {
        if self.wanted == self.told {
            return Ok(());
        }
        let Some(wanted) = self.wanted else {
            return Ok(());
        };
        let state = match wanted {
            Strip::Preset(preset) => json!({"on": true, "ps": preset}),
            Strip::Off => json!({"on": false}),
        };
        self.ask("/json/state", Some(&state), patience)?;
        self.told = Some(wanted);
        Ok(())
    }
}

impl Sink for WledSink {
    fn name(&self) -> String {
        format!("wled {}", self.target())
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.told = None;
        self.look()
    }

    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        Ok(())
    }

    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        self.wanted = self.strips.wanted(update).or(self.wanted);
        self.tell(PATIENCE)
    }

    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        // Nobody switches a strip off that was never on.
        if status.state == State::Lost && self.wanted.is_some() {
            self.wanted = Some(self.strips.lost());
            return self.tell(PATIENCE);
        }
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        Some(LOOK_PERIOD)
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let due = |at: Instant| now.saturating_duration_since(at) >= LOOK_PERIOD;
        if self.looked_at.is_none_or(due) {
            self.looked_at = Some(now);
            self.look()?;
        }
        self.tell(PATIENCE)
    }

    fn close(&mut self) {
        if self.told.is_some() {
            self.wanted = Some(self.strips.end());
            // Nobody is left to be told.
            let _ = self.tell(LAST_PATIENCE);
        }
        self.wanted = None;
        self.told = None;
    }
}

/// A feed that fails leaves no strip on.
impl Drop for WledSink {
    fn drop(&mut self) {
        self.close();
    }
}

/// Bands of WLED's spectrum.
const N_BANDS: usize = 16;

/// Upper ends of WLED's bands, in Hz (its audio reactive usermod, 22050 Hz).
const BAND_ENDS_HZ: [f32; N_BANDS] = [
    86.0, 129.0, 216.0, 301.0, 430.0, 560.0, 818.0, 1_120.0, 1_421.0, 1_895.0, 2_412.0, 3_015.0,
    3_704.0, 4_479.0, 7_106.0, 9_259.0,
];

/// A column holds twice the decibels of a band. What lies so far below the loudest of late is dark:
/// 40 dB.
const RANGE: f32 = 80.0;

/// The loudest of late falls by so much a second: 2 dB.
const FALL_PER_S: f32 = 4.0;

/// Quieter than this is dark, in dBFS.
const QUIET_DBFS: f32 = -60.0;

/// Time between two packets while there is sound, as WLED's own senders have it.
const SOUND_PERIOD: Duration = Duration::from_millis(20);

/// Without a new column for so long, nothing sounds.
const SILENT_AFTER: Duration = Duration::from_millis(400);

/// Packets that say "nothing sounds", after which none are sent.
const LAST_PACKETS: u32 = 3;

/// Length of a packet of the second version.
pub const PACKET: usize = 44;

/// What a strip is told of the sound.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Heard {
    /// Loudness, 0 to 255.
    pub level: f32,
    /// The same, smoothed.
    pub smooth: f32,
    /// A beat has begun.
    pub beat: bool,
    /// Loudness of each band, 0 to 255.
    pub bands: [u8; N_BANDS],
    /// How strong the strongest frequency is.
    pub magnitude: f32,
    /// The strongest frequency, in Hz.
    pub peak_hz: f32,
}

impl Heard {
    /// The packet, by the layout of `audioSyncPacket` in WLED's usermods/audioreactive,
    /// little-endian with the gaps of its compiler.
    pub fn packet(&self, counter: u8) -> [u8; PACKET] {
        let mut packet = [0; PACKET];
        packet[..6].copy_from_slice(b"00002\0");
        packet[8..12].copy_from_slice(&self.level.to_le_bytes());
        packet[12..16].copy_from_slice(&self.smooth.to_le_bytes());
        packet[16] = u8::from(self.beat);
        packet[17] = counter;
        packet[18..34].copy_from_slice(&self.bands);
        packet[36..40].copy_from_slice(&self.magnitude.to_le_bytes());
        packet[40..44].copy_from_slice(&self.peak_hz.to_le_bytes());
        packet
    }
}

/// Makes of columns what strips are told. Its gain follows the loudest of late, as that of WLED's
/// microphones does.
#[derive(Debug)]
struct Meter {
    centres_hz: Vec<f32>,
    loudest: f32,
    smooth: f32,
    bass: f32,
    since_beat_s: f32,
}

/// Shortest time between two beats, in seconds.
const BEAT_GAP_S: f32 = 0.15;

impl Meter {
    fn new(front_end: &FrontEndConfig) -> Self {
        let FrontEndConfig {
            n_mels,
            fmin_hz,
            fmax_hz,
            ..
        } = *front_end;
        Self {
            centres_hz: MelBands::centres(n_mels, fmin_hz, fmax_hz).collect(),
            loudest: f32::NEG_INFINITY,
            smooth: 0.0,
            bass: 0.0,
            since_beat_s: 0.0,
        }
    }

    /// `column` is the newest, `elapsed_s` after the one before.
    fn hear(&mut self, column: &[f32], level_dbfs: f32, elapsed_s: f32) -> Heard {
        self.since_beat_s += elapsed_s;
        let strongest = column.iter().copied().enumerate();
        let strongest = strongest.max_by(|a, b| a.1.total_cmp(&b.1));
        let Some((at, newest)) = strongest.filter(|_| level_dbfs >= QUIET_DBFS) else {
            self.smooth = 0.0;
            return Heard::default();
        };
        self.loudest = newest.max(self.loudest - FALL_PER_S * elapsed_s);
        let share = |value: f32| ((value - self.loudest) / RANGE + 1.0).clamp(0.0, 1.0);
        let mut bands = [0; N_BANDS];
        let mut low = 0.0;
        for (band, &high) in bands.iter_mut().zip(&BAND_ENDS_HZ) {
            let inside = |hz: f32| (low..high).contains(&hz);
            let of_band = column.iter().zip(&self.centres_hz);
            let of_band = of_band
                .filter(|(_, hz)| inside(**hz))
                .map(|(value, _)| *value);
            // Above what is listened to, the highest stands for the rest.
            let loudest = of_band.reduce(f32::max).or(column.last().copied());
            *band = (255.0 * share(loudest.unwrap_or(f32::NEG_INFINITY))).round() as u8;
            low = high;
        }
        let level = 255.0 * share(newest);
        self.smooth += (level - self.smooth) * (elapsed_s / 0.1).min(1.0);
        let bass = bands[..4].iter().map(|band| f32::from(*band)).sum::<f32>() / 4.0;
        let beat = bass > self.bass * 1.15 + 8.0 && self.since_beat_s >= BEAT_GAP_S;
        if beat {
            self.since_beat_s = 0.0;
        }
        self.bass += (bass - self.bass) * (elapsed_s / 0.4).min(1.0);
        Heard {
            level,
            smooth: self.smooth,
            beat,
            bands,
            magnitude: 16.0 * level,
            peak_hz: self.centres_hz.get(at).copied().unwrap_or(0.0),
        }
    }
}

/// Sound sync to one WLED controller.
#[derive(Debug)]
pub struct WledSound {
    line: UdpLine,
    counters: Arc<Counters>,
    meter: Meter,
    column: Vec<f32>,
    seen: u64,
    /// When the newest column was there.
    heard_at: Option<Instant>,
    /// The next one comes no sooner: sources give many at a time.
    next_after: Duration,
    /// Packets that said "nothing sounds".
    said_nothing: u32,
    counter: u8,
    unheard: bool,
}

impl WledSound {
    /// To the controller of [`WledSink`]'s target, what `counters` see of a stream with this front
    /// end.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the target is not of the form `HOST` or `HOST:PORT`.
    pub fn new(
        target: &str,
        counters: &Arc<Counters>,
        front_end: &FrontEndConfig,
    ) -> Result<Self, SinkError> {
        let (host, _) = target::parse_target("wled", target, API_PORT)?;
        Self::at(&shown_target(&host, SOUND_PORT), counters, front_end)
    }

    /// As [`WledSound::new`], to the port of `target`.
    ///
    /// # Errors
    /// As [`WledSound::new`].
    pub fn at(
        target: &str,
        counters: &Arc<Counters>,
        front_end: &FrontEndConfig,
    ) -> Result<Self, SinkError> {
        let line = UdpLine::new("wled", target, SOUND_PORT, false, None)?;
        counters.watch_column(front_end.n_mels);
        Ok(Self {
            line,
            counters: Arc::clone(counters),
            meter: Meter::new(front_end),
            column: Vec::with_capacity(front_end.n_mels),
            seen: 0,
            heard_at: None,
            next_after: SOUND_PERIOD,
            said_nothing: LAST_PACKETS,
            counter: 0,
            unheard: false,
        })
    }

    fn send(&mut self, heard: Heard) -> Result<(), SinkError> {
        let packet = heard.packet(self.counter);
        self.counter = self.counter.wrapping_add(1);
        self.unheard = self.line.send(&packet)?;
        Ok(())
    }
}

impl Sink for WledSound {
    fn name(&self) -> String {
        format!("wled {}", self.line.target())
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.line.connect()
    }

    fn hello(&mut self, _: &Hello) -> Result<(), SinkError> {
        Ok(())
    }

    /// Strips follow the sound, whatever it is.
    fn update(&mut self, _: &Update, _: Instant) -> Result<(), SinkError> {
        Ok(())
    }

    fn status(&mut self, _: &Status) -> Result<(), SinkError> {
        Ok(())
    }

    fn tick_period(&self) -> Option<Duration> {
        let rests = self.said_nothing >= LAST_PACKETS;
        Some(if rests {
            5 * SOUND_PERIOD
        } else {
            self.next_after
        })
    }

    fn tick(&mut self, now: Instant) -> Result<(), SinkError> {
        let count = self.counters.column(&mut self.column);
        if count != self.seen {
            self.seen = count;
            let before = self.heard_at.replace(now);
            let elapsed = before.map_or(SOUND_PERIOD, |at| now.saturating_duration_since(at));
            self.next_after = next_column_after(elapsed);
            self.said_nothing = 0;
            let (column, level) = (&self.column, self.counters.level_dbfs());
            let heard = self.meter.hear(column, level, elapsed.as_secs_f32());
            return self.send(heard);
        }
        self.next_after = SOUND_PERIOD;
        let silent = self
            .heard_at
            .is_none_or(|at| now.saturating_duration_since(at) >= SILENT_AFTER);
        if silent && self.said_nothing < LAST_PACKETS {
            self.said_nothing += 1;
            return self.send(Heard::default());
        }
        Ok(())
    }

    fn unheard(&self) -> bool {
        self.unheard
    }

    fn close(&mut self) {
        // Nobody is left to be told.
        let _ = self.send(Heard::default());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::{look::Scene, tests as fixtures};

    #[test]
    fn a_packet_has_the_bytes_of_the_second_version() {
        let heard = Heard {
            level: 127.5,
            smooth: 64.0,
            beat: true,
            bands: std::array::from_fn(|band| band as u8 + 1),
            magnitude: 2_000.0,
            peak_hz: 440.0,
        };
        let packet = heard.packet(7);
        assert_eq!(packet[..8], *b"00002\0\0\0");
        assert_eq!(packet[8..12], [0, 0, 0xff, 0x42]);
        assert_eq!(packet[12..16], [0, 0, 0x80, 0x42]);
        assert_eq!(packet[16..18], [1, 7]);
        assert_eq!(
            packet[18..34],
            std::array::from_fn::<u8, 16, _>(|band| band as u8 + 1)
        );
        assert_eq!(packet[34..40], [0, 0, 0, 0, 0xfa, 0x44]);
        assert_eq!(packet[40..], [0, 0, 0xdc, 0x43]);
    }

    #[test]
    fn bands_follow_the_column_and_quiet_is_dark() {
        let front_end = FrontEndConfig::default();
        let mut meter = Meter::new(&front_end);
        let mut column = vec![-100.0; 96];
        let centre = |hz: f32| {
            let centres = MelBands::centres(96, 0.0, 6_000.0);
            let near = centres.map(|c| (c - hz).abs()).enumerate();
            near.min_by(|a, b| a.1.total_cmp(&b.1)).unwrap().0
        };
        column[centre(1_000.0)] = 20.0;
        let heard = meter.hear(&column, -20.0, 0.02);
        assert_eq!(heard.bands[7], 255, "818 to 1120 Hz: {:?}", heard.bands);
        assert_eq!(heard.bands.iter().filter(|band| **band > 0).count(), 1);
        assert!((heard.peak_hz - 1_000.0).abs() < 30.0, "{}", heard.peak_hz);
        assert_eq!(heard.level, 255.0);
        // 10 dB less, twice that in a column.
        column[centre(1_000.0)] = 0.0;
        let softer = meter.hear(&column, -30.0, 0.02);
        assert!((185..=195).contains(&softer.bands[7]), "{:?}", softer.bands);
        // A minute later the gain has followed.
        for _ in 0..3_000 {
            meter.hear(&column, -30.0, 0.02);
        }
        assert_eq!(meter.hear(&column, -30.0, 0.02).bands[7], 255);
        assert_eq!(meter.hear(&column, -70.0, 0.02), Heard::default());
    }

    #[test]
    fn a_bass_drum_is_a_beat_once() {
        let mut meter = Meter::new(&FrontEndConfig::default());
        let mut beats = Vec::new();
        for step in 0..200 {
            let mut column = vec![-60.0; 96];
            if step % 25 < 5 {
                column[..6].fill(20.0);
            }
            column[40] = 10.0;
            if meter.hear(&column, -20.0, 0.02).beat {
                beats.push(step);
            }
        }
        assert_eq!(beats, [25, 50, 75, 100, 125, 150, 175], "twice a second");
    }

    #[test]
    fn genres_have_presets_in_order_or_as_the_look_says() {
        let strips = Strips::InOrder;
        assert_eq!(
            strips.wanted(&fixtures::update(1, Some(9))),
            Some(Strip::Preset(10))
        );
        assert_eq!(strips.wanted(&fixtures::update(1, None)), None, "unsure");
        let mut silent = fixtures::update(1, None);
        silent.readout.set_state(State::Silent);
        assert_eq!(strips.wanted(&silent), Some(Strip::Off));
        let mut look = Look::plain(&fixtures::hello().labels, 1);
        let scene = |strip| Scene {
            strip: Some(strip),
            ..Scene::default()
        };
        look.genres.insert("rock".into(), scene(Strip::Preset(3)));
        look.states
            .push((State::Provisional, scene(Strip::Preset(4))));
        look.states.push((State::Lost, scene(Strip::Preset(5))));
        look.end = Some(scene(Strip::Preset(6)));
        let strips = Strips::Of(Box::new(look));
        assert_eq!(
            strips.wanted(&fixtures::update(1, Some(9))),
            Some(Strip::Preset(3))
        );
        assert_eq!(strips.wanted(&fixtures::update(1, Some(8))), None);
        let mut so_far = fixtures::update(1, Some(9));
        so_far.readout.state = State::Provisional;
        assert_eq!(strips.wanted(&so_far), Some(Strip::Preset(4)));
        assert_eq!(
            (strips.lost(), strips.end()),
            (Strip::Preset(5), Strip::Preset(6))
        );
    }
}
