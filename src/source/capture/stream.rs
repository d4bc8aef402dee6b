//! A device that was chosen, opened: samples go into the ring, and what happens to the stream is
//! told.

use std::{
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    thread,
    time::Duration,
};

use cpal::{
    FromSample, Sample, SampleFormat, SizedSample, StreamConfig,
    traits::{DeviceTrait, StreamTrait},
};

use super::{CaptureError, Latency, SourceInfo};
use crate::{realtime::AudioInput, units::SampleRate};

/// Runs something with the type in which a device takes or gives samples, or something else where
/// it is none that is known.
macro_rules! by_format {
    ($format:expr, $sample:ident => $known:expr, $other:ident => $unknown:expr) => {
        by_format!(@ $format, $sample, $known, $other, $unknown,
            I8 i8, I16 i16, I24 cpal::I24, I32 i32, I64 i64,
            U8 u8, U16 u16, U24 cpal::U24, U32 u32, U64 u64, F32 f32, F64 f64)
    };
    (@ $format:expr, $sample:ident, $known:expr, $other:ident, $unknown:expr,
        $($name:ident $type:ty),*) => {
        match $format {
            $(cpal::SampleFormat::$name => {
                type $sample = $type;
                $known
            })*
            $other => $unknown,
        }
    };
}
pub(super) use by_format;

/// A source that was just opened may take this long until its first samples.
pub(super) const FIRST_SAMPLES: Duration = Duration::from_secs(2);

/// What the stream's callbacks tell the supervisor.
#[derive(Debug, Default)]
pub(super) struct Signals {
    pub(super) frames: AtomicU64,
    errors: AtomicU32,
    pub(super) fatal: AtomicBool,
    /// Written by the error callback, which is not the audio callback.
    messages: Mutex<Vec<String>>,
}

impl Signals {
    pub(super) fn messages(&self) -> Vec<String> {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *messages)
    }

    /// The stream is over.
    #[cfg(target_os = "linux")]
    pub(super) fn fail(&self, message: &str) {
        let mut messages = self.messages.lock().unwrap_or_else(PoisonError::into_inner);
        messages.push(message.to_owned());
        self.fatal.store(true, Ordering::Release);
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
            // ALSA's plugin for PulseAudio gave 125,300 errors in 1.5 s when the server died: slow
            // it down until the supervisor has closed the stream.
            thread::sleep(Duration::from_millis(10));
        }
        if !harmless {
            self.fatal.store(true, Ordering::Release);
        }
    }
}

/// A device that was found, with what its stream will be.
pub(super) struct PlannedStream {
    pub(super) source: SourceInfo,
    pub(super) device: cpal::Device,
    pub(super) host: cpal::Host,
    pub(super) config: StreamConfig,
    pub(super) format: SampleFormat,
    pub(super) rate: SampleRate,
    #[cfg_attr(
        not(target_os = "linux"),
        expect(dead_code, reason = "PulseAudio is asked for it")
    )]
    pub(super) latency: Latency,
    /// What a person should know: see [`super::Sources::notes`].
    pub(super) notes: Vec<String>,
}

/// A stream that is closed when it is dropped.
#[expect(dead_code, reason = "they are kept to run, and asked for nothing")]
pub(super) enum Running {
    Cpal(cpal::Stream),
    #[cfg(target_os = "linux")]
    Pulse(super::pulse::Record),
}

/// A stream that runs.
pub(super) struct Active {
    pub(super) source: SourceInfo,
    pub(super) rate: SampleRate,
    pub(super) n_channels: u16,
    /// How samples are written, such as `f32`.
    pub(super) format: String,
    pub(super) signals: Arc<Signals>,
    pub(super) stream: Option<Running>,
    /// Asked for the default source from time to time.
    pub(super) host: cpal::Host,
}

impl PlannedStream {
    pub(super) fn open(self, input: AudioInput) -> Result<Active, CaptureError> {
        let signals = Arc::<Signals>::default();
        #[cfg(target_os = "linux")]
        if self.source.host == super::devices::PULSE {
            let (stream, format) = self.record(input, &signals)?;
            return Ok(self.active(format.to_owned(), signals, Running::Pulse(stream)));
        }
        let stream = self.build(input, &signals)?;
        stream
            .play()
            .map_err(|error| backend(&self.source, &error))?;
        let format = self.format.to_string();
        Ok(self.active(format, signals, Running::Cpal(stream)))
    }

    fn active(self, format: String, signals: Arc<Signals>, stream: Running) -> Active {
        Active {
            source: self.source,
            rate: self.rate,
            n_channels: self.config.channels,
            format,
            signals,
            stream: Some(stream),
            host: self.host,
        }
    }

    #[cfg(target_os = "linux")]
    fn record(
        &self,
        input: AudioInput,
        signals: &Arc<Signals>,
    ) -> Result<(super::pulse::Record, &'static str), CaptureError> {
        let id = &self.source.id;
        let name = id.split_once(':').map_or(id.as_str(), |(_, name)| name);
        let format = (self.config.channels, self.rate.hz());
        super::pulse::Record::open(name, format, self.latency, input, signals).map_err(|error| {
            CaptureError::Backend {
                source_name: self.source.to_string(),
                message: error.to_string(),
            }
        })
    }

    fn build(
        &self,
        input: AudioInput,
        signals: &Arc<Signals>,
    ) -> Result<cpal::Stream, CaptureError> {
        by_format!(self.format, T => self.build_as::<T>(input, signals), other => {
            Err(CaptureError::Format {
                source_name: self.source.to_string(),
                format: other.to_string(),
            })
        })
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
        // The audio thread: converted on the way into the ring, without a buffer in between.
        #[deny(
            clippy::disallowed_methods,
            clippy::disallowed_types,
            clippy::disallowed_macros
        )]
        let on_samples = move |samples: &[T], _: &_| {
            input.push_converted(samples, n_channels, f32::from_sample);
            let frames = samples.len() / n_channels.max(1);
            in_data.frames.fetch_add(frames as u64, Ordering::Relaxed);
        };
        self.device
            .build_input_stream(
                self.config,
                on_samples,
                move |error| in_error.error(&error),
                Some(FIRST_SAMPLES),
            )
            .map_err(|error| backend(&self.source, &error))
    }
}

/// Closing can hang when the server does not answer; nobody has to wait for that.
pub(super) fn close(stream: Running) {
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

pub(super) fn backend(source: &SourceInfo, error: &cpal::Error) -> CaptureError {
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

#[cfg(test)]
mod tests {
    use std::time::Instant;

    use super::*;

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
