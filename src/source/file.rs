//! Audio files and streams, decoded block by block.
//!
//! [`AudioFile`] goes by what a file contains, never by its name, and holds a few packets in memory
//! however long the file is. Formats: WAV, AIFF, CAF, FLAC, MP3 (and MP1, MP2), Ogg (Vorbis, Opus,
//! FLAC), MP4/M4A (ALAC, AAC-LC of one or two channels), ADTS, Matroska/WebM; integer and float samples
//! of every size; any number of channels, Opus up to 8.
//!
//! Third-party decoders read data from anywhere. Should one panic, the panic is caught here and the file
//! reported as corrupt.

mod au;
mod decoder;
mod error;
mod raw;
mod reader;
mod signature;
mod wav;

use std::{
    cell::Cell,
    fmt,
    fs::{self, File},
    io::{self, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Mutex,
};

use symphonia::core::{
    codecs::{CodecParameters, audio::AudioCodecParameters},
    common::Limit,
    errors::Error as SymphoniaError,
    formats::{FormatOptions, Track, TrackType, probe::Hint},
    io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource},
    meta::MetadataOptions,
};

pub use error::FileError;
pub use raw::{RawFormat, RawPcm};

use self::{
    au::{Refusal, is_au},
    decoder::{Decoded, Decoder},
    raw::Raw,
    reader::{EndlessSource, SyncReader},
    signature::{is_mp4, looks_like, looks_like_audio},
    wav::{WavSource, is_wav},
};
use crate::{
    mixdown::Mixdown,
    units::{SampleRate, Seconds},
};

/// A block has at least this many frames (one sample of every channel), unless the file ends or the
/// stream is raw and has no more to give at the moment.
const BLOCK_FRAMES: usize = 4_096;
/// Bytes of the file's beginning that are looked at to say what it might be instead of audio.
const SIGNATURE_BYTES: usize = 64;
/// Largest picture or tag that the metadata readers may take into memory, in bytes. None is used.
const METADATA_LIMIT: usize = 64 * 1024;
/// What `path` says in messages when the samples come through a pipe.
const PIPE: &str = "standard input";

/// An audio file or stream that is being decoded, from its beginning to its end.
///
/// ```
/// use genrescope::source::file::{AudioFile, FileError};
///
/// fn mean_square(path: &str) -> Result<f64, FileError> {
///     let (mut file, mut block) = (AudioFile::open(path)?, Vec::new());
///     let (mut sum, mut n) = (0.0, 0_u64);
///     while file.next_block(&mut block)? {
///         sum += block.iter().map(|&x| f64::from(x).powi(2)).sum::<f64>();
///         n += block.len() as u64;
///     }
///     Ok(sum / n as f64)
/// }
///
/// let error = mean_square("no-such-file.mp3").unwrap_err();
/// assert_eq!(error.to_string(), "no-such-file.mp3: there is no such file");
/// ```
pub struct AudioFile {
    path: PathBuf,
    source: Source,
    rate: SampleRate,
    n_channels: usize,
    /// What the header says, in frames.
    declared_frames: Option<u64>,
    /// Frames decoded so far.
    n_frames: u64,
    skipped: u64,
    truncated: bool,
    /// The header names no length: wherever the stream ends is its end.
    endless: bool,
    /// Told by the next call: what came before it is given out first.
    pending: Option<FileError>,
    /// `[n_frames, n_channels]` of the block at hand, for [`AudioFile::next_block`].
    interleaved: Vec<f32>,
    /// What becomes of stereo there.
    mixdown: Mixdown,
}

enum Source {
    /// Boxed: it is large, and the others are not.
    Decoded(Box<Decoded>),
    Raw(Raw),
    /// Nothing more comes.
    Ended,
}

/// What one turn of a source gave.
enum Turn {
    /// Samples were appended.
    Samples,
    /// A packet of another track, or a damaged one: nothing was appended.
    Nothing,
    /// The source has ended.
    End,
}

impl AudioFile {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// [`FileError`], naming the file and the reason: it is not there, may not be read, is a folder, is
    /// empty, is no audio, or is audio that there is no decoder for.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, FileError> {
        let path = path.as_ref();
        let failed = |source| FileError::from_io(path, source);
        let metadata = fs::metadata(path).map_err(failed)?;
        if metadata.is_dir() {
            return Err(FileError::IsFolder {
                path: path.to_owned(),
            });
        }
        if metadata.is_file() && metadata.len() == 0 {
            return Err(FileError::Empty {
                path: path.to_owned(),
            });
        }
        let mut file = File::open(path).map_err(failed)?;
        // A pipe cannot be read twice.
        if !metadata.is_file() {
            return Self::from_stream(path.to_owned(), Box::new(file), None);
        }
        let mut signature = [0; SIGNATURE_BYTES];
        let mut n_signature = 0;
        while n_signature < signature.len() {
            match file.read(&mut signature[n_signature..]).map_err(failed)? {
                0 => break,
                n => n_signature += n,
            }
        }
        file.rewind().map_err(failed)?;
        let n_bytes = Some(metadata.len());
        let signature = &signature[..n_signature];
        if is_au(signature) {
            return Self::from_stream(path.to_owned(), Box::new(file), n_bytes);
        }
        let source: Box<dyn MediaSource> = if is_wav(signature) {
            Box::new(WavSource::new(file, metadata.len()).map_err(failed)?)
        } else {
            Box::new(file)
        };
        match Self::probe(path.to_owned(), source, signature, n_bytes) {
            // Some demuxers look at a file's end first. If it is damaged or missing, what comes before
            // can still be read like a stream.
            Err(FileError::Corrupt { path, at, reason }) if n_bytes.is_some() => {
                let file = File::open(&path).map_err(failed)?;
                let source: Box<dyn MediaSource> = if is_mp4(signature) {
                    Box::new(EndlessSource(file))
                } else {
                    Box::new(ReadOnlySource::new(file))
                };
                match Self::probe(path.clone(), source, signature, n_bytes) {
                    Ok(mut file) => {
                        file.truncated = true;
                        Ok(file)
                    }
                    Err(_) => Err(FileError::Corrupt { path, at, reason }),
                }
            }
            other => other,
        }
    }

    /// Decodes what comes through `reader`, such as standard input, from a header on: WAV and every other
    /// format that needs no seeking.
    ///
    /// # Errors
    /// [`FileError`], with `standard input` for the path.
    pub fn from_reader(reader: Box<dyn Read + Send>) -> Result<Self, FileError> {
        Self::from_stream(PathBuf::from(PIPE), reader, None)
    }

    /// `n_bytes`: how many `reader` holds, where it is known.
    fn from_stream(
        path: PathBuf,
        mut reader: Box<dyn Read + Send>,
        n_bytes: Option<u64>,
    ) -> Result<Self, FileError> {
        let mut start = Vec::with_capacity(SIGNATURE_BYTES);
        (&mut reader)
            .take(SIGNATURE_BYTES as u64)
            .read_to_end(&mut start)
            .map_err(|error| FileError::from_io(&path, error))?;
        if start.is_empty() {
            return Err(FileError::Empty { path });
        }
        let signature = start.clone();
        let mut endless = false;
        if is_wav(&signature) {
            endless = wav::open_header(&mut start, &mut reader)
                .map_err(|error| FileError::from_io(&path, error))?;
        }
        if is_au(&signature) {
            endless = au::translate(&mut start, &mut reader, n_bytes).map_err(|refusal| {
                let path = path.clone();
                match refusal {
                    Refusal::Damaged(reason) => FileError::Corrupt {
                        path,
                        at: Seconds(0.0),
                        reason,
                    },
                    Refusal::Unsupported(reason) => FileError::Unsupported {
                        path,
                        container: "au",
                        reason,
                    },
                    Refusal::Io(error) => FileError::from_io(&path, error),
                }
            })?;
        }
        let whole = io::Cursor::new(start).chain(reader);
        let source = ReadOnlySource::new(SyncReader(Mutex::new(Box::new(whole))));
        let mut file = Self::probe(path, Box::new(source), &signature, None)?;
        if endless {
            file.endless = true;
            file.declared_frames = None;
        }
        if let (true, Source::Decoded(decoded)) = (is_au(&signature), &mut file.source) {
            decoded.name = decoded.name.replacen("aiff", "au", 1);
        }
        Ok(file)
    }

    /// Decodes bare samples that come through `reader`.
    ///
    /// # Errors
    /// [`FileError::Channels`] when `spec` has none or too many.
    pub fn from_raw(reader: Box<dyn Read + Send>, spec: RawPcm) -> Result<Self, FileError> {
        let path = PathBuf::from(PIPE);
        if !(1..=RawPcm::MAX_CHANNELS).contains(&spec.n_channels) {
            return Err(FileError::Channels {
                path,
                n_channels: spec.n_channels,
            });
        }
        Ok(Self::new(
            path,
            Source::Raw(Raw::new(reader, spec)),
            spec.rate,
            usize::from(spec.n_channels),
        ))
    }

    fn new(path: PathBuf, source: Source, rate: SampleRate, n_channels: usize) -> Self {
        Self {
            path,
            source,
            rate,
            n_channels,
            declared_frames: None,
            n_frames: 0,
            skipped: 0,
            truncated: false,
            endless: false,
            pending: None,
            interleaved: Vec::new(),
            mixdown: Mixdown::default(),
        }
    }

    /// Finds the format, the track and its decoder.
    fn probe(
        path: PathBuf,
        source: Box<dyn MediaSource>,
        signature: &[u8],
        n_bytes: Option<u64>,
    ) -> Result<Self, FileError> {
        let opened = guarded(|| Self::probe_unguarded(path.clone(), source, signature, n_bytes));
        opened.unwrap_or_else(|()| {
            Err(FileError::Corrupt {
                path,
                at: Seconds(0.0),
                reason: "its header makes the decoder fail".into(),
            })
        })
    }

    fn probe_unguarded(
        path: PathBuf,
        source: Box<dyn MediaSource>,
        signature: &[u8],
        n_bytes: Option<u64>,
    ) -> Result<Self, FileError> {
        let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
        let metadata = MetadataOptions::default()
            .limit_tag_bytes(Limit::Maximum(METADATA_LIMIT))
            .limit_visual_bytes(Limit::Maximum(METADATA_LIMIT));
        // No hint from the file's name: many names are wrong.
        let probed = symphonia::default::get_probe().probe(
            &Hint::new(),
            stream,
            FormatOptions::default(),
            metadata,
        );
        let format = match probed {
            Ok(format) => format,
            Err(SymphoniaError::IoError(error))
                if error.kind() != io::ErrorKind::UnexpectedEof
                    && error.raw_os_error().is_some() =>
            {
                return Err(FileError::from_io(&path, error));
            }
            Err(SymphoniaError::DecodeError(reason) | SymphoniaError::LimitError(reason)) => {
                let reason = format!("its header cannot be read: {reason}");
                return Err(FileError::Corrupt {
                    path,
                    at: Seconds(0.0),
                    reason,
                });
            }
            Err(SymphoniaError::Unsupported(reason)) if reason.ends_with("missing moov atom") => {
                return Err(match n_bytes {
                    Some(_) => FileError::Incomplete { path },
                    None => FileError::IndexAtEnd { path },
                });
            }
            // A format that was recognised, with something in it that is not.
            Err(SymphoniaError::Unsupported(reason)) if !reason.starts_with("core (probe)") => {
                let reason = reason.to_owned();
                return Err(FileError::Unsupported {
                    path,
                    container: "audio",
                    reason,
                });
            }
            Err(_) if looks_like_audio(signature) => {
                let reason = "it begins like audio, but its header is damaged or incomplete".into();
                return Err(FileError::Corrupt {
                    path,
                    at: Seconds(0.0),
                    reason,
                });
            }
            Err(_) => {
                return Err(FileError::NotAudio {
                    path,
                    looks_like: looks_like(signature),
                });
            }
        };
        let info = format.format_info();
        let (container, container_name) = (info.long_name, info.short_name);
        let Some(track) = format
            .default_track(TrackType::Audio)
            .or_else(|| format.first_track(TrackType::Audio))
        else {
            return Err(FileError::NoAudioTrack { path, container });
        };
        let Some(CodecParameters::Audio(params)) = &track.codec_params else {
            return Err(FileError::NoAudioTrack { path, container });
        };
        let (decoder, codec) = Decoder::new(params).map_err(|error| {
            let reason = match error {
                SymphoniaError::Unsupported(reason) => reason.to_owned(),
                other => other.to_string(),
            };
            FileError::Unsupported {
                path: path.clone(),
                container,
                reason,
            }
        })?;
        let declared_frames = declared_frames(track, params, codec, n_bytes);
        let (declared_rate, track_id) = (params.sample_rate, track.id);
        let n_channels = params
            .channels
            .as_ref()
            .map_or(0, symphonia::core::audio::Channels::count);
        let name = format!("{container_name}/{codec}");
        let decoded = Decoded::new(format, decoder, track_id, name);
        let mut file = Self::new(
            path,
            Source::Decoded(Box::new(decoded)),
            SampleRate::MIN,
            n_channels,
        );
        // Some headers name another rate than the decoder delivers (HE-AAC), some none: the first
        // packet that can be decoded has the last word.
        let first = file.first_rate()?;
        let hz = first.or(declared_rate).unwrap_or(0);
        file.rate = SampleRate::new(hz).map_err(|source| FileError::Rate {
            path: file.path.clone(),
            source,
        })?;
        file.declared_frames = match declared_rate {
            Some(declared) if declared != hz => {
                declared_frames.map(|n| (n as f64 * f64::from(hz) / f64::from(declared)) as u64)
            }
            _ => declared_frames,
        };
        Ok(file)
    }

    /// Decodes up to the first packet with samples, which stays in `interleaved`, and gives its rate.
    fn first_rate(&mut self) -> Result<Option<u32>, FileError> {
        let Source::Decoded(decoded) = &mut self.source else {
            return Ok(None);
        };
        loop {
            match decoded.next(&mut self.interleaved, &mut self.skipped) {
                Ok((Turn::Samples, format)) => {
                    self.n_channels = format.n_channels;
                    self.n_frames = (self.interleaved.len() / format.n_channels) as u64;
                    return Ok(Some(format.rate));
                }
                Ok((Turn::Nothing, _)) => {}
                Ok((Turn::End, _)) => {
                    let (path, skipped) = (self.path.clone(), self.skipped);
                    return Err(FileError::NoSamples { path, skipped });
                }
                Err(error) => return Err(self.corrupt(error.to_string())),
            }
        }
    }

    /// The file's path; `standard input` for a stream.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Container and codec, such as `ogg/opus`; the sample format of a raw stream.
    pub fn format(&self) -> &str {
        match &self.source {
            Source::Decoded(decoded) => &decoded.name,
            Source::Raw(raw) => raw.spec.format.name(),
            Source::Ended => "",
        }
    }

    /// Frames a second.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Channels of the block that was read last (of the first, before that).
    pub fn n_channels(&self) -> usize {
        self.n_channels
    }

    /// Length of the whole file as far as its header tells, and never longer than its bytes allow. An
    /// estimate for MP3 files without a Xing or VBRI header; `None` for streams.
    pub fn duration(&self) -> Option<Seconds> {
        self.declared_frames.map(|n| self.rate.duration(n))
    }

    /// Length of what was decoded so far.
    pub fn position(&self) -> Seconds {
        let waiting = self
            .interleaved
            .len()
            .checked_div(self.n_channels)
            .unwrap_or(0);
        self.rate
            .duration(self.n_frames.saturating_sub(waiting as u64))
    }

    /// Packets that could not be decoded and were left out.
    pub fn skipped_packets(&self) -> u64 {
        self.skipped
    }

    /// Whether the file ended before its header said so, which is known once all is read, or is damaged
    /// such that its length cannot be told.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Replaces the content of `mono` by the next samples, each the mean of its frame's channels (half their difference while two cancel each
    /// other out, as they do where one was recorded upside down), some 4096 at a time. `false` when there are no more; `mono` is empty then.
    ///
    /// # Errors
    /// [`FileError::Corrupt`], [`FileError::RateChanged`] or [`FileError::Read`] after all that could be
    /// decoded was given. The file has ended then.
    pub fn next_block(&mut self, mono: &mut Vec<f32>) -> Result<bool, FileError> {
        mono.clear();
        let mut interleaved = std::mem::take(&mut self.interleaved);
        let more = self.fill(&mut interleaved);
        if let (Ok(true), 1..) = (&more, self.n_channels) {
            match self.n_channels {
                1 => mono.extend_from_slice(&interleaved),
                2 => {
                    let (frames, _) = interleaved.as_chunks::<2>();
                    mono.resize(frames.len(), 0.0);
                    self.mixdown.stereo(frames, mono);
                }
                _ => {
                    let scale = 1.0 / self.n_channels as f32;
                    let frames = interleaved.chunks_exact(self.n_channels);
                    mono.extend(frames.map(|frame| frame.iter().sum::<f32>() * scale));
                }
            }
        }
        interleaved.clear();
        self.interleaved = interleaved;
        more
    }

    /// Gives block after block of [`AudioFile::next_block`] to `each`, until it returns `false` or the file ends. What is wrong with the file
    /// but leaves something to hear comes back as remarks for people: where it breaks off, what was left out.
    ///
    /// # Errors
    /// As [`AudioFile::next_block`], when nothing could be decoded before.
    pub fn read(&mut self, mut each: impl FnMut(&[f32]) -> bool) -> Result<Vec<String>, FileError> {
        let mut remarks = Vec::new();
        let (mut mono, mut heard) = (Vec::new(), false);
        loop {
            match self.next_block(&mut mono) {
                Ok(true) => heard = true,
                Ok(false) => break,
                Err(error) => match error.remark().filter(|_| heard) {
                    Some(remark) => {
                        remarks.push(remark);
                        break;
                    }
                    None => return Err(error),
                },
            }
            if !each(&mono) {
                return Ok(remarks);
            }
        }
        if self.truncated && remarks.is_empty() {
            remarks.push("cut off before its end".to_owned());
        }
        match self.skipped {
            0 => {}
            1 => remarks.push("1 damaged packet left out".to_owned()),
            n => remarks.push(format!("{n} damaged packets left out")),
        }
        Ok(remarks)
    }

    /// Replaces the content of `samples` by the next frames, `[n_frames, n_channels]` one after the other,
    /// for playback. Otherwise as [`AudioFile::next_block`]; each sample is given by one of the two.
    ///
    /// # Errors
    /// As [`AudioFile::next_block`].
    pub fn next_interleaved(&mut self, samples: &mut Vec<f32>) -> Result<bool, FileError> {
        samples.clear();
        samples.append(&mut self.interleaved);
        self.fill(samples)
    }

    /// Appends frames to `samples` up to a block's worth; `false` if it is empty in the end.
    fn fill(&mut self, samples: &mut Vec<f32>) -> Result<bool, FileError> {
        if samples.is_empty()
            && let Some(error) = self.pending.take()
        {
            return Err(error);
        }
        while !matches!(self.source, Source::Ended)
            && self.pending.is_none()
            && samples.len() < BLOCK_FRAMES * self.n_channels.max(1)
        {
            let before = samples.len();
            // A panic of a decoder ends the file; nothing of its state is used afterwards.
            let turn = guarded(|| self.source.next(samples, &mut self.skipped));
            match turn {
                Ok(Ok((Turn::Samples, format))) => {
                    if format.rate != self.rate.hz() || format.n_channels != self.n_channels {
                        // The two kinds of frames do not mix in one block.
                        let new = samples.split_off(before);
                        if format.rate != self.rate.hz() {
                            self.end(Some(FileError::RateChanged {
                                path: self.path.clone(),
                                at: self.rate.duration(self.n_frames),
                                from: self.rate,
                                to: format.rate,
                            }));
                            break;
                        }
                        if before > 0 {
                            // Down to the channels of this block: the next one has the new number.
                            rechannel(&new, format.n_channels, self.n_channels, samples);
                        } else {
                            self.n_channels = format.n_channels;
                            samples.extend_from_slice(&new);
                        }
                    }
                    self.n_frames += ((samples.len() - before) / self.n_channels.max(1)) as u64;
                    if let Source::Raw(_) = self.source {
                        break;
                    }
                }
                Ok(Ok((Turn::Nothing, _))) => {}
                Ok(Ok((Turn::End, _))) => self.end(None),
                Ok(Err(SymphoniaError::IoError(error)))
                    if error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    self.truncated = !self.endless;
                    self.end(None);
                }
                Ok(Err(SymphoniaError::IoError(error))) if error.raw_os_error().is_some() => {
                    let error = FileError::from_io(&self.path, error);
                    self.end(Some(error));
                }
                Ok(Err(error)) => {
                    let error = self.corrupt(error.to_string());
                    self.end(Some(error));
                }
                Err(()) => {
                    samples.truncate(before);
                    let error = self.corrupt("the decoder fails on it".into());
                    self.end(Some(error));
                }
            }
        }
        if samples.is_empty()
            && let Some(error) = self.pending.take()
        {
            return Err(error);
        }
        Ok(!samples.is_empty())
    }

    fn corrupt(&self, reason: String) -> FileError {
        FileError::Corrupt {
            path: self.path.clone(),
            at: self.rate.duration(self.n_frames),
            reason,
        }
    }

    /// Nothing more comes but, perhaps, `error`.
    fn end(&mut self, error: Option<FileError>) {
        // Encoders round the length to packets and cut their own delay, so a little may be missing.
        let allowance = u64::from(self.rate.hz()) / 5;
        if error.is_none()
            && self
                .declared_frames
                .is_some_and(|n| self.n_frames + allowance + n / 100 < n)
        {
            self.truncated = true;
        }
        self.source = Source::Ended;
        self.pending = error;
    }
}

thread_local! {
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// Whether a panic of this thread, right now, is one of a decoder: it is caught and told as an error about the file, so a program's panic
/// hook need not tell it, too.
pub fn panics_are_caught() -> bool {
    IN_DECODER.get()
}

/// Runs other people's code on other people's data. After a panic nothing of what it held may be used.
fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, ()> {
    IN_DECODER.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    IN_DECODER.set(false);
    result.map_err(|_| ())
}

impl fmt::Debug for AudioFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("AudioFile")
            .field("path", &self.path)
            .field("format", &self.format())
            .field("rate", &self.rate)
            .field("n_channels", &self.n_channels)
            .field("n_frames", &self.n_frames)
            .field("skipped", &self.skipped)
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}

/// Rate and channels of decoded samples.
#[derive(Clone, Copy)]
struct Format {
    rate: u32,
    n_channels: usize,
}

type Step = Result<(Turn, Format), SymphoniaError>;

impl Source {
    /// Appends what the next packet, or the next read, gives.
    fn next(&mut self, samples: &mut Vec<f32>, skipped: &mut u64) -> Step {
        match self {
            Self::Decoded(decoded) => decoded.next(samples, skipped),
            Self::Raw(raw) => raw.next(samples),
            Self::Ended => Ok((
                Turn::End,
                Format {
                    rate: 0,
                    n_channels: 0,
                },
            )),
        }
    }
}

/// Frames that the header promises, as far as the file's bytes have room for them.
fn declared_frames(
    track: &Track,
    params: &AudioCodecParameters,
    codec: &str,
    n_bytes: Option<u64>,
) -> Option<u64> {
    let declared = track.num_frames.or_else(|| {
        let (base, rate) = (track.time_base?, params.sample_rate?);
        let seconds = track.duration?.get() as f64 * f64::from(base.numer.get())
            / f64::from(base.denom.get());
        Some((seconds * f64::from(rate)) as u64)
    })?;
    let n_channels = params
        .channels
        .as_ref()
        .map_or(1, |channels| channels.count().max(1));
    let most = n_bytes.map_or(u64::MAX, |n| match pcm_bits(codec) {
        Some(bits) => 8 * n / (bits * n_channels as u64),
        // FLAC and Opus of silence pack a few hundred frames into a byte.
        None => n.saturating_mul(512),
    });
    Some(declared.min(most)).filter(|&n| n > 0)
}

/// Bits of a sample of the uncompressed codec `name`, such as `pcm_s16le`; `None` for other codecs.
fn pcm_bits(name: &str) -> Option<u64> {
    let digits = name
        .strip_prefix("pcm_")?
        .trim_matches(|c: char| !c.is_ascii_digit());
    // A-law and mu-law have no number in their names.
    Some(digits.parse().unwrap_or(8).max(8))
}

/// Appends frames of `from` channels as frames of `to` channels: each channel holds the mean.
fn rechannel(samples: &[f32], from: usize, to: usize, out: &mut Vec<f32>) {
    for frame in samples.chunks_exact(from.max(1)) {
        let mean = frame.iter().sum::<f32>() / frame.len() as f32;
        out.extend(std::iter::repeat_n(mean, to));
    }
}
