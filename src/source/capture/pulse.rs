//! PulseAudio and pipewire-pulse: the cookie without which they let nobody in, and a stream that
//! costs little.

use std::{
    fs::File,
    io::{self, Read as _, Write as _},
    path::{Path, PathBuf},
};

#[cfg(target_os = "linux")]
pub(super) use self::record::Record;

/// Bytes in a PulseAudio cookie.
const COOKIE_LEN: usize = 256;

/// Sees to it that there is a cookie file. PulseAudio and PipeWire refuse a client that sends none,
/// even one whom they would let in without looking at it; their own library makes one where there
/// is none, and so do we. cpal's client looks only at PULSE_COOKIE, ~/.config/pulse/cookie and
/// ~/.pulse-cookie.
pub(super) fn pulse_cookie() -> Result<(), String> {
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

/// A stream of our own making. cpal's asks the server for its latency after each block and ten
/// times a second besides, and its client clears two mebibytes for each answer: that took more of a
/// processor than the network. And it lets the server move it to another source when its own is
/// removed, so that a listener goes on under a name that is gone.
#[cfg(target_os = "linux")]
mod record {
    use std::{
        ffi::CString,
        fmt,
        sync::{Arc, atomic::Ordering},
    };

    use futures::executor::block_on;
    use pulseaudio::{
        Client, ClientError, RecordSink, RecordStream,
        protocol::{
            PulseError, RecordStreamParams, SampleFormat, SampleSpec,
            stream::{BufferAttr, StreamFlags},
        },
    };

    use super::super::{Latency, stream::Signals};
    use crate::realtime::AudioInput;

    /// Blocks a second. For a level that is watched, as short as a picture of a meter lasts.
    fn blocks_a_second(latency: Latency) -> u32 {
        match latency {
            Latency::Low => 12,
            Latency::Any => 2,
        }
    }

    /// A running stream, stopped when dropped.
    pub(in super::super) struct Record {
        _stream: RecordStream,
    }

    impl Record {
        /// Opens the source of this name, at `rate` and with `n_channels`. The server gives its
        /// samples as they are if they have 16 bits, and as `f32` otherwise; which of the two is
        /// returned, as a word.
        pub(in super::super) fn open(
            name: &str,
            (n_channels, rate): (u16, u32),
            latency: Latency,
            input: AudioInput,
            signals: &Arc<Signals>,
        ) -> Result<(Self, &'static str), ClientError> {
            let name = CString::new(name).map_err(|_| PulseError::NoEntity);
            let name = name.map_err(ClientError::ServerError)?;
            let client = Client::from_env(c"genrescope")?;
            let source = block_on(client.source_info_by_name(name))?;
            let format = match source.sample_spec.format {
                SampleFormat::S16Le => SampleFormat::S16Le,
                _ => SampleFormat::Float32Le,
            };
            let frame = u32::from(n_channels) * format.bytes_per_sample() as u32;
            let params = RecordStreamParams {
                sample_spec: SampleSpec {
                    format,
                    channels: u8::try_from(n_channels).unwrap_or(u8::MAX),
                    sample_rate: rate,
                },
                channel_map: source.channel_map,
                source_index: Some(source.index),
                buffer_attr: BufferAttr {
                    fragment_size: rate / blocks_a_second(latency) * frame,
                    ..BufferAttr::default()
                },
                flags: StreamFlags {
                    adjust_latency: true,
                    // When the source is removed, so is the stream: then it is lost, and that is
                    // said.
                    no_move: true,
                    ..StreamFlags::default()
                },
                ..RecordStreamParams::default()
            };
            let sink = Sink {
                input,
                n_channels: usize::from(n_channels),
                format,
                signals: Arc::clone(signals),
            };
            let stream = block_on(client.create_record_stream(params, sink))?;
            // A source that is suspended gives nothing until it no longer is.
            block_on(stream.started())?;
            let name = if format == SampleFormat::S16Le {
                "i16"
            } else {
                "f32"
            };
            Ok((Self { _stream: stream }, name))
        }
    }

    impl fmt::Debug for Record {
        fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.debug_struct("Record").finish_non_exhaustive()
        }
    }

    /// Where the client's thread puts samples.
    struct Sink {
        input: AudioInput,
        n_channels: usize,
        format: SampleFormat,
        signals: Arc<Signals>,
    }

    impl RecordSink for Sink {
        fn write(&mut self, data: &[u8]) {
            let n_channels = self.n_channels;
            let samples = if self.format == SampleFormat::S16Le {
                let (samples, _) = data.as_chunks::<2>();
                self.input.push_converted(samples, n_channels, |bytes| {
                    f32::from(i16::from_le_bytes(bytes)) / 32_768.0
                });
                samples.len()
            } else {
                let (samples, _) = data.as_chunks::<4>();
                self.input
                    .push_converted(samples, n_channels, f32::from_le_bytes);
                samples.len()
            };
            let frames = samples / n_channels.max(1);
            self.signals
                .frames
                .fetch_add(frames as u64, Ordering::Relaxed);
        }
    }

    impl Drop for Sink {
        /// The client's thread has ended, and with it the connection; or nobody wants the stream
        /// any more.
        fn drop(&mut self) {
            self.signals.fail("the sound system has ended");
        }
    }
}
