//! Live capture: microphones, line inputs and what the system plays, and a supervisor that survives whatever happens to
//! them. The only file that names cpal.
//!
//! What a system calls its own sound differs: PulseAudio and PipeWire have a *monitor* of every output, Windows lets
//! an output be recorded (WASAPI loopback), and macOS from 14.6 on does the same through a process tap. All of them
//! are [`SourceKind::SystemAudio`] here.

use std::{
    fmt,
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread::{self, JoinHandle},
    time::{Duration, Instant},
};

use cpal::{
    BufferSize, FromSample, Sample, SampleFormat, SizedSample, StreamConfig,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use crossbeam_channel::{Receiver, RecvTimeoutError, Sender};
use thiserror::Error;

use crate::{
    decision::Readout,
    network::Model,
    pipeline::PipelineConfig,
    realtime::{
        AudioInput, Controls, Counters, Listener, ReadoutCell, RealtimeConfig, RealtimeError,
    },
    units::{SampleRate, SampleRateError, Seconds},
};

/// No samples for this long, and the source counts as lost: a suspended or removed PulseAudio sink delivers neither
/// samples nor an error. Seven times the period we ask for.
const WATCHDOG: Duration = Duration::from_millis(600);

/// A source that was just opened may take this long until its first samples.
const FIRST_SAMPLES: Duration = Duration::from_secs(2);

/// A sound system that has not answered after this long is stuck: PulseAudio does not answer who opens a source that
/// is suspended, until it no longer is.
const ANSWER: Duration = Duration::from_secs(3);

/// Waits between tries to get a source back: doubled from the first to the last.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(2));

/// A reason that stays the same is told again after this long.
const REMIND: Duration = Duration::from_secs(60);

/// How often the supervisor looks.
const TICK: Duration = Duration::from_millis(50);

/// How often it asks which source is the default.
const DEFAULT_CHECK: Duration = Duration::from_secs(2);

/// The rate is measured over this time, after [`RATE_SETTLING`] in which sources deliver in bursts.
const RATE_WINDOW: Duration = Duration::from_secs(10);
const RATE_SETTLING: Duration = Duration::from_secs(2);

/// Relative error of the rate above which a source is said to lie; crystals are better than 0.0005.
const RATE_TOLERANCE: f64 = 0.02;

/// Sample frames per period that we ask PulseAudio for; its default gives fragments of two seconds. Its client clears
/// a mebibyte for each period: with 1024 frames, that cost three times what listening costs.
const PULSE_PERIOD: u32 = 4096;

/// Blocks of up to this many frames are expected; 6138 were seen with PulseAudio.
const MAX_BLOCK: usize = 16_384;

/// Name of cpal's host for PulseAudio and pipewire-pulse.
const PULSE: &str = "PulseAudio";

/// What kind of sound a source gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum SourceKind {
    /// A microphone, a line input, an audio interface.
    Input,
    /// What the computer plays.
    SystemAudio,
}

impl SourceKind {
    /// For people.
    pub const fn as_str(self) -> &'static str {
        match self {
            SourceKind::Input => "input",
            SourceKind::SystemAudio => "system audio",
        }
    }
}

/// A source of sound, as listed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SourceInfo {
    /// Names it for good, such as `pulseaudio:speakers.monitor`.
    pub id: String,
    /// What people call it, such as `Monitor of Built-in Audio`.
    pub name: String,
    /// What it gives.
    pub kind: SourceKind,
    /// The sound system it belongs to, such as `PulseAudio`.
    pub host: String,
    /// Whether it is the default of its kind.
    pub is_default: bool,
    /// Channels, and frames a second, of its own format; `None` when it does not tell.
    pub format: Option<(u16, u32)>,
}

impl fmt::Display for SourceInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ({})", self.name, self.id)
    }
}

/// Which source to listen to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Selection {
    /// The system's default input, followed when it changes.
    #[default]
    Default,
    /// What the system's default output plays, followed when it changes.
    SystemAudio,
    /// The source of this id or name; a part that only one has is enough.
    Named(String),
}

impl Selection {
    /// `default`, `system`, or (a unique part of) a name or id.
    pub fn parse(text: &str) -> Self {
        match text.trim() {
            "" | "default" => Selection::Default,
            "system" => Selection::SystemAudio,
            name => Selection::Named(name.to_owned()),
        }
    }
}

/// Why a source could not be opened.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CaptureError {
    /// No sound system, or none that answers.
    #[error(
        "no sound system answers ({message}); is PulseAudio or PipeWire running, or a sound card there?"
    )]
    NoHost {
        /// What the system said.
        message: String,
    },
    /// There is no default source.
    #[error("there is no {kind} to listen to; 'genrescope devices' lists what there is")]
    NoDefault {
        /// What was looked for.
        kind: &'static str,
    },
    /// Nothing is called so.
    #[error("no source is called '{wanted}'; there {}", known(.candidates))]
    NotFound {
        /// What was asked for.
        wanted: String,
        /// What there is.
        candidates: Vec<String>,
    },
    /// Several are.
    #[error(
        "'{wanted}' may be any of these, say more of its name or give its id: {}",
        .candidates.join("; ")
    )]
    Ambiguous {
        /// What was asked for.
        wanted: String,
        /// What it may be.
        candidates: Vec<String>,
    },
    /// Its rate cannot be listened to.
    #[error(
        "{source_name} delivers {} Hz, and genrescope hears 8000 to 384000 Hz: \
         set it to 48000 Hz in the system's sound settings",
        .error.rate
    )]
    Rate {
        /// The source.
        source_name: String,
        /// The rate.
        error: SampleRateError,
    },
    /// Its sample format cannot be listened to.
    #[error(
        "{source_name} delivers {format} samples, which genrescope does not read; \
         choose a PCM format in its settings"
    )]
    Format {
        /// The source.
        source_name: String,
        /// cpal's name of the format.
        format: String,
    },
    /// The sound system refused.
    #[error("cannot listen to {source_name}: {message}")]
    Backend {
        /// The source.
        source_name: String,
        /// What the system said.
        message: String,
    },
    /// The sound system does not answer.
    #[error("{what} does not answer; it may be suspended")]
    Stuck {
        /// What was asked: the source, or the sound system.
        what: String,
    },
    /// The pipeline or its thread could not be started.
    #[error(transparent)]
    Realtime(#[from] RealtimeError),
    /// The system gave no thread.
    #[error("cannot start the capture thread: {0}")]
    Thread(#[source] std::io::Error),
}

fn known(candidates: &[String]) -> String {
    if candidates.is_empty() {
        "are none at all".into()
    } else {
        format!("are: {}", candidates.join("; "))
    }
}

/// What happens to a source while it is listened to.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum CaptureEvent {
    /// Samples arrive for the first time, or from another source than before.
    Started {
        /// Where from.
        source: SourceInfo,
        /// Frames a second.
        rate: SampleRate,
        /// Channels.
        n_channels: u16,
        /// How samples are written, such as `f32`.
        format: String,
    },
    /// No more samples arrive; it is tried again until it works.
    Lost {
        /// Where from.
        source: SourceInfo,
        /// Why, as far as it is known.
        reason: String,
    },
    /// Another try failed; told when the reason is another than before, and once a minute.
    StillLost {
        /// Tries so far.
        tries: u32,
        /// Why.
        reason: String,
    },
    /// Samples arrive again.
    Resumed {
        /// Where from.
        source: SourceInfo,
        /// How long nothing was heard.
        gap: Seconds,
        /// What was heard before still counts (same rate, and a gap shorter than a frame).
        window_kept: bool,
    },
    /// The source delivers at another rate than it claims.
    WrongRate {
        /// What it claims, in Hz.
        claimed: u32,
        /// What it delivers, in Hz.
        measured: u32,
    },
    /// The sound system says something that does not end the stream.
    Note {
        /// In its words.
        message: String,
    },
}

impl fmt::Display for CaptureEvent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            CaptureEvent::Started {
                source,
                rate,
                n_channels,
                format,
            } => {
                let s = if *n_channels == 1 { "" } else { "s" };
                write!(
                    f,
                    "listening to {source}: {rate}, {n_channels} channel{s}, {format}"
                )
            }
            CaptureEvent::Lost { source, reason } => {
                write!(f, "{source} is lost: {reason}; trying to get it back")
            }
            CaptureEvent::StillLost { tries: 1, reason } => write!(f, "not back yet: {reason}"),
            CaptureEvent::StillLost { tries, reason } => {
                write!(f, "not back after {tries} tries: {reason}")
            }
            CaptureEvent::Resumed {
                source,
                gap,
                window_kept,
            } => {
                let anew = if *window_kept {
                    ""
                } else {
                    "; listening begins anew"
                };
                write!(f, "{source} is back after a gap of {:.1} s{anew}", gap.0)
            }
            CaptureEvent::WrongRate { claimed, measured } => write!(
                f,
                "the source claims {claimed} Hz but delivers {measured} Hz, so pitch and tempo are heard wrong; \
                 check its settings"
            ),
            CaptureEvent::Note { message } => f.write_str(message),
        }
    }
}

/// What can be listened to.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sources {
    /// The sources, in the sound system's order.
    pub list: Vec<SourceInfo>,
    /// What a person should know about them: a sound system that is there and does not answer, and what to do.
    pub notes: Vec<String>,
}

/// All sources of the default sound system; with `all_hosts`, of every sound system there is.
///
/// # Errors
/// [`CaptureError::NoHost`] when no sound system answers.
pub fn sources(all_hosts: bool) -> Result<Sources, CaptureError> {
    let found = devices(if all_hosts { Hosts::All } else { Hosts::First })?;
    Ok(Sources {
        list: found.devices.into_iter().map(|(info, _)| info).collect(),
        notes: found.notes,
    })
}

/// The source that `wanted` names: by id, by name, or by a part of either that only one has.
///
/// # Errors
/// [`CaptureError::NotFound`] and [`CaptureError::Ambiguous`], with the candidates.
pub fn choose<'a>(sources: &'a [SourceInfo], wanted: &str) -> Result<&'a SourceInfo, CaptureError> {
    let lower = wanted.to_lowercase();
    let rules: [&dyn Fn(&SourceInfo) -> bool; 4] = [
        &|source| source.id == wanted,
        &|source| source.name == wanted,
        &|source| source.id.to_lowercase() == lower || source.name.to_lowercase() == lower,
        &|source| {
            source.id.to_lowercase().contains(&lower) || source.name.to_lowercase().contains(&lower)
        },
    ];
    let list = |sources: &[&SourceInfo]| sources.iter().map(ToString::to_string).collect();
    for rule in rules {
        let hits: Vec<&SourceInfo> = sources.iter().filter(|source| rule(source)).collect();
        match hits[..] {
            [] => {}
            [only] => return Ok(only),
            _ => {
                return Err(CaptureError::Ambiguous {
                    wanted: wanted.to_owned(),
                    candidates: list(&hits),
                });
            }
        }
    }
    Err(CaptureError::NotFound {
        wanted: wanted.to_owned(),
        candidates: list(&sources.iter().collect::<Vec<_>>()),
    })
}

/// A live source with everything behind it: capture, pipeline and the supervisor that keeps it going.
/// Dropping it stops all.
#[derive(Debug)]
pub struct Capture {
    handles: Handles,
    events: Receiver<CaptureEvent>,
    /// `None` once it is being dropped: the supervisor ends when no more orders can come.
    orders: Option<Sender<Selection>>,
    supervisor: Option<JoinHandle<()>>,
}

#[derive(Debug)]
struct Handles {
    source: SourceInfo,
    readout: Arc<ReadoutCell>,
    controls: Arc<Controls>,
    counters: Arc<Counters>,
    updates: Receiver<Readout>,
}

impl Capture {
    /// Opens a source and listens to it with `model`.
    ///
    /// # Errors
    /// [`CaptureError`] when there is no such source, or it cannot be opened. Once this has returned, everything that
    /// happens to the source is told through [`Capture::events`] and repaired as far as it can be.
    pub fn start(
        model: &Arc<Model>,
        selection: Selection,
        pipeline: PipelineConfig,
    ) -> Result<Self, CaptureError> {
        let (orders, orders_in) = crossbeam_channel::unbounded();
        let (events_out, events) = crossbeam_channel::bounded(256);
        let (ready_out, ready) = crossbeam_channel::bounded(1);
        let model = Arc::clone(model);
        let supervisor = thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                match Supervisor::open(&model, selection, pipeline, orders_in, events_out) {
                    Ok(supervisor) => {
                        let listener = &supervisor.listener;
                        let handles = Handles {
                            source: supervisor.active.source.clone(),
                            readout: listener.readout(),
                            controls: listener.controls(),
                            counters: listener.counters(),
                            updates: listener.updates(),
                        };
                        if ready_out.send(Ok(handles)).is_ok() {
                            supervisor.run();
                        }
                    }
                    // Without a receiver there is nobody left to tell.
                    Err(error) => drop(ready_out.send(Err(error))),
                }
            })
            .map_err(CaptureError::Thread)?;
        let handles = ready.recv().unwrap_or_else(|_| {
            Err(CaptureError::NoHost {
                message: "the sound system's library failed".into(),
            })
        })?;
        Ok(Self {
            handles,
            events,
            orders: Some(orders),
            supervisor: Some(supervisor),
        })
    }

    /// The source that was opened first; [`CaptureEvent::Started`] tells of others.
    pub fn source(&self) -> &SourceInfo {
        &self.handles.source
    }

    /// The newest readout.
    pub fn readout(&self) -> &Arc<ReadoutCell> {
        &self.handles.readout
    }

    /// Hold, reset, averaging.
    pub fn controls(&self) -> &Arc<Controls> {
        &self.handles.controls
    }

    /// Level, drops, load.
    pub fn counters(&self) -> &Arc<Counters> {
        &self.handles.counters
    }

    /// Every readout, from the first on.
    pub fn updates(&self) -> &Receiver<Readout> {
        &self.handles.updates
    }

    /// What happens to the source. What nobody takes is dropped after 256 events.
    pub fn events(&self) -> &Receiver<CaptureEvent> {
        &self.events
    }

    /// Listens to another source from now on. If it cannot be opened, that is told as [`CaptureEvent::StillLost`] and
    /// tried again until it can or another is selected.
    pub fn select(&self, selection: Selection) {
        if let Some(orders) = &self.orders {
            // A supervisor that has ended says so by the end of its events.
            let _ = orders.send(selection);
        }
    }
}

impl Drop for Capture {
    fn drop(&mut self) {
        self.orders = None;
        if let Some(supervisor) = self.supervisor.take() {
            let _ = supervisor.join();
        }
    }
}

/// What the stream's callbacks tell the supervisor.
#[derive(Debug, Default)]
struct Signals {
    frames: AtomicU64,
    errors: AtomicU32,
    fatal: AtomicBool,
    /// Written by the error callback, which is not the audio callback.
    messages: Mutex<Vec<String>>,
}

impl Signals {
    fn messages(&self) -> Vec<String> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *messages)
    }

    fn error(&self, error: &cpal::Error) {
        use cpal::ErrorKind as Kind;
        let harmless = matches!(
            error.kind(),
            Kind::Xrun | Kind::RealtimeDenied | Kind::DeviceChanged
        );
        if self.errors.fetch_add(1, Ordering::Relaxed) < 4 {
            let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
            messages.push(error.to_string());
        } else if !harmless {
            // ALSA's plugin for PulseAudio gave 125,300 errors in 1.5 s when the server died: slow it down until
            // the supervisor has closed the stream.
            thread::sleep(Duration::from_millis(10));
        }
        if !harmless {
            self.fatal.store(true, Ordering::Release);
        }
    }
}

/// A device that was found, with what its stream will be.
struct Plan {
    source: SourceInfo,
    device: cpal::Device,
    host: cpal::Host,
    config: StreamConfig,
    format: SampleFormat,
    rate: SampleRate,
    /// What a person should know: see [`Sources::notes`].
    notes: Vec<String>,
}

/// A stream that runs.
struct Active {
    source: SourceInfo,
    rate: SampleRate,
    n_channels: u16,
    format: SampleFormat,
    signals: Arc<Signals>,
    stream: Option<cpal::Stream>,
    /// Asked for the default source from time to time.
    host: cpal::Host,
}

struct Supervisor {
    listener: Listener,
    selection: Selection,
    active: Active,
    orders: Receiver<Selection>,
    events: Sender<CaptureEvent>,
    /// Frames at the last look, and when there were more than before.
    frames: u64,
    last_sound: Instant,
    default_checked: Instant,
    rate_watch: RateWatch,
    /// Samples of the present stream have arrived.
    flowing: bool,
    /// From the loss of a source until samples arrive again.
    trouble: Option<Trouble>,
    /// The sound system that the source was found in. Only there it is looked for again: while a server restarts,
    /// another system may answer, whose default is not what was listened to.
    host_name: Option<String>,
    /// A try that the sound system has not answered yet. There is never more than one, however long that takes.
    stuck: Option<JoinHandle<()>>,
}

impl Drop for Supervisor {
    fn drop(&mut self) {
        if let Some(stream) = self.active.stream.take() {
            close(stream);
        }
    }
}

/// A source that is lost, and the tries to get it back.
struct Trouble {
    /// When its last samples came.
    lost_at: Instant,
    /// What was lost: id and rate.
    before: (String, SampleRate),
    /// Tries that failed.
    tries: u32,
    /// Wait before the next try.
    wait: Duration,
    /// The reason that was told last, and when.
    told: Option<(String, Instant)>,
}

impl Trouble {
    /// Another try failed. What to tell, if it is news.
    fn failed(&mut self, reason: String, now: Instant) -> Option<CaptureEvent> {
        self.tries += 1;
        if self.tries > 1 {
            self.wait = (self.wait * 2).min(BACK_OFF.1);
        }
        let known = self
            .told
            .as_ref()
            .is_some_and(|(told, at)| *told == reason && now - *at < REMIND);
        if known {
            return None;
        }
        self.told = Some((reason.clone(), now));
        let tries = self.tries;
        Some(CaptureEvent::StillLost { tries, reason })
    }
}

impl Supervisor {
    fn open(
        model: &Arc<Model>,
        selection: Selection,
        pipeline: PipelineConfig,
        orders: Receiver<Selection>,
        events: Sender<CaptureEvent>,
    ) -> Result<Self, CaptureError> {
        let plan = {
            let selection = selection.clone();
            ask(move || plan(&selection, None)).map_err(|_| stuck("the sound system"))??
        };
        for message in &plan.notes {
            let message = message.clone();
            let _ = events.try_send(CaptureEvent::Note { message });
        }
        let config = RealtimeConfig {
            rate: plan.rate,
            max_block: MAX_BLOCK,
            pipeline,
        };
        let (input, listener) = Listener::start(model, config)?;
        let name = plan.source.to_string();
        let active = ask(move || plan.open(input)).map_err(|_| stuck(&name))??;
        listener.set_fill_silence(silent_while_idle(&active.source));
        let now = Instant::now();
        Ok(Self {
            host_name: Some(active.source.host.clone()),
            listener,
            selection,
            active,
            orders,
            events,
            frames: 0,
            last_sound: now,
            default_checked: now,
            rate_watch: RateWatch::new(now),
            flowing: false,
            trouble: None,
            stuck: None,
        })
    }

    fn run(mut self) {
        loop {
            let trouble = match self.orders.recv_timeout(TICK) {
                Ok(selection) => {
                    self.choose(selection);
                    Some(None)
                }
                Err(RecvTimeoutError::Timeout) => self.look().map(Some),
                Err(RecvTimeoutError::Disconnected) => return,
            };
            if let Some(reason) = trouble
                && !self.come_back(reason)
            {
                return;
            }
        }
    }

    /// Is all well? If not, why not.
    fn look(&mut self) -> Option<String> {
        let now = Instant::now();
        let signals = Arc::clone(&self.active.signals);
        let messages = signals.messages();
        if signals.fatal.load(Ordering::Acquire) {
            let first = messages.into_iter().next();
            return Some(first.unwrap_or_else(|| "the stream failed".into()));
        }
        for message in messages {
            self.tell(CaptureEvent::Note { message });
        }
        let frames = signals.frames.load(Ordering::Relaxed);
        if frames > self.frames {
            self.frames = frames;
            self.last_sound = now;
            if !self.flowing {
                self.flowing = true;
                self.began(now);
            }
            let claimed = self.active.rate.hz();
            if let Some(measured) = self.rate_watch.look(now, frames, claimed) {
                self.tell(CaptureEvent::WrongRate { claimed, measured });
            }
        } else if !silent_while_idle(&self.active.source) {
            let silent_for = now - self.last_sound;
            if self.flowing && silent_for > WATCHDOG {
                return Some(format!("no samples for {:.1} s", silent_for.as_secs_f64()));
            }
            if !self.flowing && silent_for > FIRST_SAMPLES {
                return Some("it can be opened but gives no samples; it may be suspended".into());
            }
        }
        if now - self.default_checked > DEFAULT_CHECK {
            self.default_checked = now;
            if let Some(other) = self.default_moved() {
                return Some(format!("the default is now {other}"));
            }
        }
        None
    }

    /// Samples of the present stream arrive.
    fn began(&mut self, now: Instant) {
        let active = &self.active;
        let event = match self.trouble.take() {
            Some(Trouble {
                lost_at, before, ..
            }) if before.0 == active.source.id && before.1 == active.rate => {
                CaptureEvent::Resumed {
                    source: active.source.clone(),
                    gap: Seconds((now - lost_at).as_secs_f64()),
                    window_kept: now - lost_at < Duration::from_secs(29),
                }
            }
            _ => CaptureEvent::Started {
                source: active.source.clone(),
                rate: active.rate,
                n_channels: active.n_channels,
                format: active.format.to_string(),
            },
        };
        self.tell(event);
    }

    fn default_moved(&self) -> Option<String> {
        if matches!(self.selection, Selection::Named(_)) {
            return None;
        }
        let host = &self.active.host;
        let input = id_of(host.default_input_device());
        let output = id_of(host.default_output_device());
        let present = &self.active.source.id;
        let wanted = match self.selection {
            Selection::SystemAudio if output_is_recorded_itself(host.id()) => output?,
            Selection::SystemAudio => format!("{}.monitor", output?),
            _ => input?,
        };
        (wanted != *present).then_some(wanted)
    }

    /// The user has chosen another source, in whatever sound system it may be.
    fn choose(&mut self, selection: Selection) {
        self.selection = selection;
        self.host_name = None;
        self.stuck = None;
        if let Some(trouble) = &mut self.trouble {
            trouble.wait = BACK_OFF.0;
            trouble.told = None;
        }
    }

    /// Closes the stream and opens it, or another, until samples can flow again. Without a reason, the user has chosen
    /// another. `false` when nobody wants it any more.
    fn come_back(&mut self, reason: Option<String>) -> bool {
        self.listener.set_lost();
        let now = Instant::now();
        let source = self.active.source.clone();
        let is_new = self.trouble.is_none();
        let trouble = self.trouble.get_or_insert_with(|| Trouble {
            lost_at: self.last_sound,
            before: (source.id.clone(), self.active.rate),
            tries: 0,
            wait: BACK_OFF.0,
            told: None,
        });
        // A source that could be opened, and gave nothing or failed at once, is one more try that failed.
        let mut must_wait = false;
        let event = match reason {
            Some(reason) if is_new => Some(CaptureEvent::Lost { source, reason }),
            Some(reason) => {
                must_wait = true;
                trouble.failed(reason, now)
            }
            None => None,
        };
        if let Some(event) = event {
            self.tell(event);
        }
        if let Some(stream) = self.active.stream.take() {
            close(stream);
        }
        loop {
            if must_wait {
                let wait = self.trouble.as_ref().map_or(BACK_OFF.0, |t| t.wait);
                match self.orders.recv_timeout(wait) {
                    Ok(selection) => self.choose(selection),
                    Err(RecvTimeoutError::Timeout) => {}
                    Err(RecvTimeoutError::Disconnected) => return false,
                }
            }
            must_wait = true;
            let lost_at = self.trouble.as_ref().map_or(now, |t| t.lost_at);
            // A new host every time: the old one may belong to a server that is no more.
            let Err(error) = self.reopen(lost_at) else {
                return true;
            };
            let event = self
                .trouble
                .as_mut()
                .and_then(|trouble| trouble.failed(error.to_string(), Instant::now()));
            if let Some(event) = event {
                self.tell(event);
            }
        }
    }

    fn reopen(&mut self, lost_at: Instant) -> Result<(), CaptureError> {
        // An answer that comes late is of no use, as the gap has grown; but it says that it is worth asking again.
        if self.stuck.as_ref().is_some_and(|try_| !try_.is_finished()) {
            return Err(stuck(&self.active.source.to_string()));
        }
        let (selection, host_name) = (self.selection.clone(), self.host_name.clone());
        let plan = match ask(move || plan(&selection, host_name.as_deref())) {
            Ok(plan) => plan?,
            Err(unanswered) => {
                self.stuck = Some(unanswered);
                return Err(stuck("the sound system"));
            }
        };
        let gap = Seconds(lost_at.elapsed().as_secs_f64());
        let input = self.listener.reattach(plan.rate, MAX_BLOCK, gap)?;
        let name = plan.source.to_string();
        let opened = ask(move || plan.open(input)).unwrap_or_else(|unanswered| {
            self.stuck = Some(unanswered);
            Err(stuck(&name))
        });
        self.active = match opened {
            Ok(active) => active,
            Err(error) => {
                self.listener.set_lost();
                return Err(error);
            }
        };
        self.host_name = Some(self.active.source.host.clone());
        let fill = silent_while_idle(&self.active.source);
        self.listener.set_fill_silence(fill);
        let now = Instant::now();
        self.frames = 0;
        self.flowing = false;
        self.last_sound = now;
        self.default_checked = now;
        self.rate_watch = RateWatch::new(now);
        Ok(())
    }

    fn tell(&self, event: CaptureEvent) {
        // Nobody is made to listen.
        let _ = self.events.try_send(event);
    }
}

impl Plan {
    fn open(self, input: AudioInput) -> Result<Active, CaptureError> {
        let signals = Arc::<Signals>::default();
        let stream = self.build(input, &signals)?;
        stream
            .play()
            .map_err(|error| backend(&self.source, &error))?;
        Ok(Active {
            source: self.source,
            rate: self.rate,
            n_channels: self.config.channels,
            format: self.format,
            signals,
            stream: Some(stream),
            host: self.host,
        })
    }

    fn build(
        &self,
        input: AudioInput,
        signals: &Arc<Signals>,
    ) -> Result<cpal::Stream, CaptureError> {
        match self.format {
            SampleFormat::I8 => self.build_as::<i8>(input, signals),
            SampleFormat::I16 => self.build_as::<i16>(input, signals),
            SampleFormat::I24 => self.build_as::<cpal::I24>(input, signals),
            SampleFormat::I32 => self.build_as::<i32>(input, signals),
            SampleFormat::I64 => self.build_as::<i64>(input, signals),
            SampleFormat::U8 => self.build_as::<u8>(input, signals),
            SampleFormat::U16 => self.build_as::<u16>(input, signals),
            SampleFormat::U24 => self.build_as::<cpal::U24>(input, signals),
            SampleFormat::U32 => self.build_as::<u32>(input, signals),
            SampleFormat::U64 => self.build_as::<u64>(input, signals),
            SampleFormat::F32 => self.build_as::<f32>(input, signals),
            SampleFormat::F64 => self.build_as::<f64>(input, signals),
            other => Err(CaptureError::Format {
                source_name: self.source.to_string(),
                format: other.to_string(),
            }),
        }
    }

    fn build_as<T>(
        &self,
        mut input: AudioInput,
        signals: &Arc<Signals>,
    ) -> Result<cpal::Stream, CaptureError>
    where
        T: SizedSample + Send + 'static,
        f32: FromSample<T>,
    {
        let n_channels = usize::from(self.config.channels);
        let (in_data, in_error) = (Arc::clone(signals), Arc::clone(signals));
        self.device
            .build_input_stream(
                self.config,
                move |samples: &[T], _: &_| {
                    // The audio thread: converted on the way into the ring, without a buffer in between.
                    input.push_converted(samples, n_channels, f32::from_sample);
                    let frames = samples.len() / n_channels.max(1);
                    in_data.frames.fetch_add(frames as u64, Ordering::Relaxed);
                },
                move |error| in_error.error(&error),
                Some(FIRST_SAMPLES),
            )
            .map_err(|error| backend(&self.source, &error))
    }
}

fn stuck(what: &str) -> CaptureError {
    CaptureError::Stuck {
        what: what.to_owned(),
    }
}

/// Asks the sound system for something, on a thread of its own. If it does not answer in time, that thread is returned;
/// what it gets later is dropped.
fn ask<T: Send + 'static>(
    question: impl FnOnce() -> T + Send + 'static,
) -> Result<T, JoinHandle<()>> {
    let (out, answer) = crossbeam_channel::bounded(1);
    let asking = thread::spawn(move || {
        let _ = out.send(question());
    });
    answer.recv_timeout(ANSWER).map_err(|_| asking)
}

/// Closing can hang when the server does not answer; nobody has to wait for that.
fn close(stream: cpal::Stream) {
    let (closed, wait) = crossbeam_channel::bounded::<()>(0);
    let closing = thread::Builder::new()
        .name("closing".into())
        .spawn(move || {
            drop(stream);
            drop(closed);
        });
    if closing.is_ok() {
        let _ = wait.recv_timeout(Duration::from_millis(300));
    }
}

fn backend(source: &SourceInfo, error: &cpal::Error) -> CaptureError {
    let hint = match error.kind() {
        cpal::ErrorKind::PermissionDenied => {
            " (allow this program to use the microphone in the system's privacy settings)"
        }
        cpal::ErrorKind::DeviceBusy => " (another program may be using it alone)",
        _ => "",
    };
    CaptureError::Backend {
        source_name: source.to_string(),
        message: format!("{error}{hint}"),
    }
}

/// Finds the source and the format to open it with; in the sound system of that name alone, if one is given.
fn plan(selection: &Selection, host_name: Option<&str>) -> Result<Plan, CaptureError> {
    let Found {
        devices: mut found,
        mut notes,
    } = devices(host_name.map_or(Hosts::First, Hosts::Only))?;
    let index = match selection {
        Selection::Default => {
            let is_default =
                |kind| move |(info, _): &(SourceInfo, _)| info.is_default && info.kind == kind;
            found
                .iter()
                .position(is_default(SourceKind::Input))
                // Without a microphone, the system's default input is the monitor of an output.
                .or_else(|| found.iter().position(is_default(SourceKind::SystemAudio)))
                .ok_or(CaptureError::NoDefault { kind: "input" })?
        }
        Selection::SystemAudio => found
            .iter()
            .position(|(info, _)| info.is_default && info.kind == SourceKind::SystemAudio)
            .ok_or(CaptureError::NoDefault {
                kind: "system audio",
            })?,
        Selection::Named(wanted) => match position(&found, wanted) {
            Err(missing @ CaptureError::NotFound { .. }) if host_name.is_none() => {
                // It may belong to another sound system than the default one.
                Found {
                    devices: found,
                    notes,
                } = devices(Hosts::All)?;
                match position(&found, wanted) {
                    Err(CaptureError::NotFound { .. }) => return Err(missing),
                    other => other?,
                }
            }
            other => other?,
        },
    };
    let (source, device) = found.swap_remove(index);
    drop(found);
    let supported = if device.supports_input() {
        device.default_input_config()
    } else {
        device.default_output_config()
    }
    .map_err(|error| backend(&source, &error))?;
    let rate = SampleRate::new(supported.sample_rate()).map_err(|error| CaptureError::Rate {
        source_name: source.to_string(),
        error,
    })?;
    let mut config = supported.config();
    if source.host == PULSE {
        config.buffer_size = BufferSize::Fixed(PULSE_PERIOD);
    }
    Ok(Plan {
        host: host_named(&source.host)?,
        source,
        device,
        config,
        format: supported.sample_format(),
        rate,
        notes,
    })
}

fn position(found: &[(SourceInfo, cpal::Device)], wanted: &str) -> Result<usize, CaptureError> {
    let infos: Vec<SourceInfo> = found.iter().map(|(info, _)| info.clone()).collect();
    let chosen = choose(&infos, wanted)?;
    Ok(infos
        .iter()
        .position(|info| std::ptr::eq(info, chosen))
        .unwrap_or_default())
}

/// Not cpal's default host, which panics when there is no sound system at all.
fn host_named(name: &str) -> Result<cpal::Host, CaptureError> {
    let found = cpal::available_hosts()
        .into_iter()
        .find(|id| id.name() == name);
    let Some(id) = found else {
        return Err(CaptureError::NoHost {
            message: format!("{name} is not there"),
        });
    };
    cpal::host_from_id(id).map_err(|error| CaptureError::NoHost {
        message: format!("{name}: {error}"),
    })
}

/// Does this system record outputs themselves, instead of giving them a monitor?
fn output_is_recorded_itself(host: cpal::HostId) -> bool {
    ["wasapi", "coreaudio"]
        .iter()
        .any(|name| host.name().eq_ignore_ascii_case(name))
}

/// WASAPI delivers nothing from an output on which nothing plays.
fn silent_while_idle(source: &SourceInfo) -> bool {
    source.kind == SourceKind::SystemAudio && source.host.eq_ignore_ascii_case("wasapi")
}

fn id_of(device: Option<cpal::Device>) -> Option<String> {
    Some(device?.id().ok()?.to_string())
}

/// Where to look for devices.
#[derive(Clone, Copy)]
enum Hosts<'a> {
    /// The first sound system that answers, in cpal's order.
    First,
    /// Every sound system.
    All,
    /// The one of this name.
    Only(&'a str),
}

struct Found {
    devices: Vec<(SourceInfo, cpal::Device)>,
    /// See [`Sources::notes`].
    notes: Vec<String>,
}

fn devices(hosts: Hosts) -> Result<Found, CaptureError> {
    let available = cpal::available_hosts();
    let mut notes = Vec::new();
    let has_pulse = available.iter().any(|id| id.name() == PULSE);
    if has_pulse {
        notes.extend(pulse_cookie().err());
    } else if cfg!(target_os = "linux")
        && let Ok(server) = std::env::var("PULSE_SERVER")
    {
        notes.push(format!(
            "PULSE_SERVER is '{server}', and no PulseAudio can be reached there \
             (only 'unix:' and the path of a socket can be used)"
        ));
    }
    let mut devices = Vec::new();
    let mut answered = None;
    let mut failed = Vec::new();
    for id in available {
        if matches!(hosts, Hosts::Only(name) if name != id.name()) {
            continue;
        }
        match cpal::host_from_id(id).and_then(|host| host_devices(&host)) {
            Ok(found) => {
                answered.get_or_insert(id.name());
                devices.extend(found);
                if !matches!(hosts, Hosts::All) {
                    break;
                }
            }
            Err(error) => failed.push(format!("{} does not answer: {error}", id.name())),
        }
    }
    if let Some(name) = answered {
        notes.extend(failed.into_iter().map(|why| format!("{why}; using {name}")));
        return Ok(Found { devices, notes });
    }
    notes.append(&mut failed);
    if let (true, Hosts::Only(name)) = (notes.is_empty(), hosts) {
        notes.push(format!("{name} is not there"));
    }
    let message = if notes.is_empty() {
        "none was found".into()
    } else {
        notes.join("; ")
    };
    Err(CaptureError::NoHost { message })
}

/// Bytes in a PulseAudio cookie.
const COOKIE_LEN: usize = 256;

/// Sees to it that there is a cookie file. PulseAudio and PipeWire refuse a client that sends none, even one whom they
/// would let in without looking at it; their own library makes one where there is none, and so do we. cpal's client
/// looks only at PULSE_COOKIE, ~/.config/pulse/cookie and ~/.pulse-cookie.
fn pulse_cookie() -> Result<(), String> {
    let home = std::env::home_dir().unwrap_or_default();
    let usual = home.join(".config/pulse/cookie");
    let named = std::env::var_os("PULSE_COOKIE").map(PathBuf::from);
    let existing = named
        .into_iter()
        .chain([usual.clone(), home.join(".pulse-cookie")])
        .find(|path| path.exists());
    if let Some(path) = existing {
        return match std::fs::read(&path) {
            Ok(cookie) if cookie.len() == COOKIE_LEN => Ok(()),
            Ok(cookie) => Err(format!(
                "PulseAudio's cookie file '{}' has {} bytes instead of {COOKIE_LEN}: delete it",
                path.display(),
                cookie.len()
            )),
            Err(error) => Err(format!(
                "PulseAudio's cookie file '{}' cannot be read ({error})",
                path.display()
            )),
        };
    }
    make_cookie(&usual).map_err(|error| {
        format!(
            "PulseAudio lets in no program without a cookie file, and '{}' cannot be written ({error}): \
             make PULSE_COOKIE name a file of {COOKIE_LEN} bytes",
            usual.display()
        )
    })
}

fn make_cookie(path: &Path) -> io::Result<()> {
    // The server's own, where its library looks for it and cpal's client does not.
    let elsewhere = std::env::var_os("XDG_CONFIG_HOME")
        .and_then(|folder| std::fs::read(PathBuf::from(folder).join("pulse/cookie")).ok())
        .filter(|cookie| cookie.len() == COOKIE_LEN);
    let cookie = if let Some(cookie) = elsewhere {
        cookie
    } else {
        let mut cookie = vec![0; COOKIE_LEN];
        File::open("/dev/urandom")?.read_exact(&mut cookie)?;
        cookie
    };
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let mut options = File::options();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Ok(mut file) => file.write_all(&cookie),
        // Another program was faster.
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn host_devices(host: &cpal::Host) -> Result<Vec<(SourceInfo, cpal::Device)>, cpal::Error> {
    let default_input = id_of(host.default_input_device());
    let default_output = id_of(host.default_output_device());
    let recorded_itself = output_is_recorded_itself(host.id());
    let mut found = Vec::new();
    for device in host.devices()? {
        // Without an id, it went away while the list was made.
        let Ok(id) = device.id() else { continue };
        let id = id.to_string();
        let is_input = device.supports_input();
        let monitor_of = id.strip_suffix(".monitor");
        let kind = match monitor_of {
            Some(_) if is_input => SourceKind::SystemAudio,
            None if is_input => SourceKind::Input,
            _ if recorded_itself && device.supports_output() => SourceKind::SystemAudio,
            _ => continue,
        };
        let is_default = default_input.as_deref() == Some(&id)
            || kind == SourceKind::SystemAudio
                && default_output.as_deref() == Some(monitor_of.unwrap_or(&id));
        let config = if is_input {
            device.default_input_config()
        } else {
            device.default_output_config()
        };
        let info = SourceInfo {
            name: device.to_string(),
            kind,
            host: host.id().name().to_owned(),
            is_default,
            format: config.ok().map(|c| (c.channels(), c.sample_rate())),
            id,
        };
        found.push((info, device));
    }
    Ok(found)
}

/// Compares the samples that arrive with the clock.
#[derive(Debug)]
struct RateWatch {
    since: Instant,
    start: Option<(Instant, u64)>,
    told: bool,
}

impl RateWatch {
    fn new(now: Instant) -> Self {
        Self {
            since: now,
            start: None,
            told: false,
        }
    }

    /// The measured rate, once, if it is not the claimed one.
    fn look(&mut self, now: Instant, frames: u64, claimed: u32) -> Option<u32> {
        if self.told || now - self.since < RATE_SETTLING {
            return None;
        }
        let (then, before) = *self.start.get_or_insert((now, frames));
        let elapsed = now - then;
        if elapsed < RATE_WINDOW {
            return None;
        }
        self.start = Some((now, frames));
        let measured = (frames - before) as f64 / elapsed.as_secs_f64();
        self.told = (measured / f64::from(claimed) - 1.0).abs() > RATE_TOLERANCE;
        self.told.then_some(measured.round() as u32)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(id: &str, name: &str) -> SourceInfo {
        SourceInfo {
            id: id.into(),
            name: name.into(),
            kind: SourceKind::Input,
            host: PULSE.into(),
            is_default: false,
            format: None,
        }
    }

    fn some_sources() -> Vec<SourceInfo> {
        vec![
            source("pulseaudio:mic", "Built-in Microphone"),
            source("pulseaudio:mic2", "USB Microphone"),
            source("pulseaudio:speakers.monitor", "Monitor of Speakers"),
            source("pulseaudio:line", "mic"),
        ]
    }

    #[test]
    fn a_unique_part_of_a_name_is_enough() {
        let sources = some_sources();
        for (wanted, expected) in [
            ("pulseaudio:mic", "pulseaudio:mic"),
            ("USB", "pulseaudio:mic2"),
            ("usb micro", "pulseaudio:mic2"),
            ("monitor", "pulseaudio:speakers.monitor"),
            ("speakers.", "pulseaudio:speakers.monitor"),
            // A whole name wins over parts of others.
            ("mic", "pulseaudio:line"),
            ("MIC", "pulseaudio:line"),
        ] {
            assert_eq!(choose(&sources, wanted).unwrap().id, expected, "{wanted}");
        }
    }

    #[test]
    fn an_ambiguous_name_lists_what_it_may_be() {
        let sources = some_sources();
        let error = choose(&sources, "microphone").unwrap_err().to_string();
        assert_eq!(
            error,
            "'microphone' may be any of these, say more of its name or give its id: \
             Built-in Microphone (pulseaudio:mic); USB Microphone (pulseaudio:mic2)"
        );
        let error = choose(&sources[..1], "tape").unwrap_err().to_string();
        assert_eq!(
            error,
            "no source is called 'tape'; there are: Built-in Microphone (pulseaudio:mic)"
        );
        let error = choose(&[], "tape").unwrap_err().to_string();
        assert_eq!(error, "no source is called 'tape'; there are none at all");
    }

    #[test]
    fn rates_out_of_range_are_refused_in_words() {
        let error = CaptureError::Rate {
            source_name: "Old Card (alsa:hw:0)".into(),
            error: SampleRate::new(4_000).unwrap_err(),
        };
        assert_eq!(
            error.to_string(),
            "Old Card (alsa:hw:0) delivers 4000 Hz, and genrescope hears 8000 to 384000 Hz: \
             set it to 48000 Hz in the system's sound settings"
        );
    }

    #[test]
    fn a_source_that_lies_about_its_rate_is_caught_once() {
        let start = Instant::now();
        let run = |true_rate: f64, claimed: u32| {
            let mut watch = RateWatch::new(start);
            let mut found = Vec::new();
            for tick in 0..800_u32 {
                let t = f64::from(tick) * 0.05;
                // The first half second comes as one burst.
                let frames = ((t + 0.5) * true_rate) as u64;
                let now = start + Duration::from_secs_f64(t);
                found.extend(watch.look(now, frames, claimed));
            }
            found
        };
        assert_eq!(run(48_000.0, 48_000), [0_u32; 0]);
        assert_eq!(run(48_020.0, 48_000), [0_u32; 0]);
        assert_eq!(run(44_100.0, 48_000), [44_100]);
        assert_eq!(run(96_000.0, 48_000), [96_000]);
    }

    #[test]
    fn a_failure_is_told_when_it_is_new_and_once_a_minute() {
        let start = Instant::now();
        let mut trouble = Trouble {
            lost_at: start,
            before: ("pulseaudio:mic".into(), SampleRate::MIN),
            tries: 0,
            wait: BACK_OFF.0,
            told: None,
        };
        let mut told = Vec::new();
        let mut now = start;
        for _ in 0..50 {
            let reason = if trouble.tries < 3 { "gone" } else { "4000 Hz" };
            told.extend(trouble.failed(reason.into(), now));
            now += trouble.wait;
        }
        let told: Vec<String> = told.iter().map(ToString::to_string).collect();
        assert_eq!(
            told,
            [
                "not back yet: gone",
                "not back after 4 tries: 4000 Hz",
                "not back after 35 tries: 4000 Hz"
            ]
        );
        assert_eq!(trouble.wait, BACK_OFF.1);
    }

    #[test]
    fn a_question_without_an_answer_is_given_up() {
        assert_eq!(ask(|| 7).ok(), Some(7));
        let (release, wait) = crossbeam_channel::bounded::<()>(0);
        let unanswered = ask(move || wait.recv()).unwrap_err();
        assert!(!unanswered.is_finished());
        drop(release);
        unanswered.join().unwrap();
    }

    #[test]
    fn selections_are_words_or_names() {
        assert_eq!(Selection::parse("default"), Selection::Default);
        assert_eq!(Selection::parse(" "), Selection::Default);
        assert_eq!(Selection::parse("system"), Selection::SystemAudio);
        assert_eq!(
            Selection::parse("Scarlett"),
            Selection::Named("Scarlett".into())
        );
    }

    #[test]
    fn an_error_storm_is_slowed_down_and_remembered_briefly() {
        let signals = Signals::default();
        let gone = cpal::Error::with_message(cpal::ErrorKind::StreamInvalidated, "gone");
        let started = Instant::now();
        for _ in 0..14 {
            signals.error(&gone);
        }
        assert!(started.elapsed() >= Duration::from_millis(100));
        assert!(signals.fatal.load(Ordering::Relaxed));
        assert_eq!(signals.messages(), ["gone"; 4]);
        let harmless = Signals::default();
        harmless.error(&cpal::Error::new(cpal::ErrorKind::Xrun));
        assert!(!harmless.fatal.load(Ordering::Relaxed));
    }
}
