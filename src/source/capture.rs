//! Live capture: microphones, line inputs and what the system plays, and a supervisor that survives
//! whatever happens to them. The only module that names cpal.
//!
//! What a system calls its own sound differs: PulseAudio and PipeWire have a *monitor* of every
//! output, Windows lets an output be recorded (WASAPI loopback), and macOS from 14.6 on does the
//! same through a process tap. All of them are [`SourceKind::SystemAudio`] here.

mod devices;
mod playback;
mod pulse;
mod rate;
mod stream;
mod supervisor;

use std::{
    fmt,
    sync::Arc,
    thread::{self, JoinHandle},
};

use crossbeam_channel::{Receiver, Sender};
use thiserror::Error;

pub use devices::{choose, sources};
pub use playback::{Playback, PlaybackError};

use self::supervisor::Supervisor;
use crate::{
    decision::Readout,
    network::Model,
    pipeline::PipelineConfig,
    realtime::{Controls, Counters, ReadoutCell, RealtimeError},
    units::{SampleRate, SampleRateError, Seconds},
};

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

/// How soon samples must be heard after they sounded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Latency {
    /// Within a tenth of a second: somebody watches the level.
    #[default]
    Low,
    /// Within a second, at less than half the cost.
    Any,
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
    /// A pipe gives nothing, and has not ended: whoever writes into it has paused, or has not
    /// begun.
    Stalled {
        /// Its name.
        source: String,
        /// Something came before.
        begun: bool,
    },
    /// A pipe that had stalled goes on.
    GoesOn {
        /// Its name.
        source: String,
        /// How long it gave nothing.
        gap: Seconds,
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
            CaptureEvent::Stalled {
                source,
                begun: true,
            } => {
                write!(
                    f,
                    "{source} gives nothing any more; waiting for it to go on"
                )
            }
            CaptureEvent::Stalled { source, .. } => {
                write!(f, "{source} gives nothing yet; waiting for it to begin")
            }
            CaptureEvent::GoesOn { source, gap } => {
                write!(f, "{source} goes on after a gap of {:.1} s", gap.0)
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
    /// What a person should know about them: a sound system that is there and does not answer, and
    /// what to do.
    pub notes: Vec<String>,
}

/// A live source with everything behind it: capture, pipeline and the supervisor that keeps it
/// going. Dropping it stops all.
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
    /// [`CaptureError`] when there is no such source, or it cannot be opened. Once this has
    /// returned, everything that happens to the source is told through [`Capture::events`] and
    /// repaired as far as it can be.
    pub fn start(
        model: &Arc<Model>,
        selection: Selection,
        pipeline: PipelineConfig,
        latency: Latency,
    ) -> Result<Self, CaptureError> {
        let (orders, orders_in) = crossbeam_channel::unbounded();
        let (events_out, events) = crossbeam_channel::bounded(256);
        let (ready_out, ready) = crossbeam_channel::bounded(1);
        let model = Arc::clone(model);
        let supervisor = thread::Builder::new()
            .name("capture".into())
            .spawn(move || {
                match Supervisor::open(&model, selection, pipeline, latency, orders_in, events_out)
                {
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

    /// Listens to another source from now on. If it cannot be opened, that is told as
    /// [`CaptureEvent::StillLost`] and tried again until it can or another is selected.
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn selections_are_words_or_names() {
        assert_eq!(Selection::parse("default"), Selection::Default);
        assert_eq!(Selection::parse(" "), Selection::Default);
        assert_eq!(Selection::parse("system"), Selection::SystemAudio);
        assert_eq!(
            Selection::parse("Scarlett"),
            Selection::Named("Scarlett".into())
        );
    }
}
