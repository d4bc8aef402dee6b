//! Audio files and streams, decoded block by block.
//!
//! [`AudioFile`] goes by what a file contains, never by its name, and holds a few packets in memory
//! however long the file is. Formats: WAV, AIFF, CAF, FLAC, MP3 (and MP1, MP2), Ogg (Vorbis, Opus,
//! FLAC), MP4/M4A (ALAC, AAC-LC of one or two channels), ADTS, Matroska/WebM; integer and float
//! samples of every size; any number of channels, Opus up to 8.
//!
//! Third-party decoders read data from anywhere. Should one panic, the panic is caught here and the
//! file reported as corrupt.

mod aiff;
mod au;
mod caf;
mod containers;
mod decoder;
mod error;
mod flac;
mod frames;
mod input;
mod ogg;
mod pcm;
mod raw;
mod signature;
pub mod tags;
mod wav;

use std::{
    cell::Cell,
    fmt, fs,
    io::{self, Read, Seek},
    panic::{AssertUnwindSafe, catch_unwind},
    path::{Path, PathBuf},
    sync::Arc,
};

use symphonia::{
    core::{
        codecs::{
            CodecParameters,
            audio::{AudioCodecId, AudioCodecParameters, well_known as id},
        },
        errors::Error as SymphoniaError,
        formats::{FormatOptions, FormatReader, Track, TrackType},
        io::{MediaSource, MediaSourceStream, MediaSourceStreamOptions, ReadOnlySource},
    },
    default::formats::{CafReader, FlacReader, IsoMp4Reader, MkvReader, OggReader},
};

pub use error::FileError;
pub use raw::{RawFormat, RawPcm};

use self::{
    containers::Described,
    decoder::{Decoded, Packets},
    frames::{Frames, skip_tag},
    input::{Bytes, Input, Part, Place},
    pcm::{Pcm, Refusal, Sound},
    raw::Raw,
    signature::Kind,
};
use crate::{
    front_end::resample::Resampler,
    mixdown::Mixdown,
    units::{SampleRate, Seconds},
};

/// A block has at least this many frames (one sample of every channel), unless the file ends or the
/// stream is raw and has no more to give at the moment.
const BLOCK_FRAMES: usize = 4_096;
/// Bytes of a container's beginning that are looked at to say whether it is whole and open.
const HEADER_BYTES: usize = 64 * 1024;
/// Why a container cannot be opened.
const DAMAGED_HEADER: &str = "it begins like audio, but its header is damaged or incomplete";
/// The remark on a file that ends before it should.
pub(crate) const CUT_OFF: &str = "cut off before its end";
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
    /// Frames decoded, or passed over, so far.
    n_frames: u64,
    /// What was passed over of a frame.
    passed: f64,
    left_out: LeftOut,
    truncated: bool,
    ends: Ends,
    /// Bytes of the file at `path`, where it can be read again.
    n_bytes: Option<u64>,
    /// They are at hand, and `path` is but a name.
    at_hand: Option<Bytes>,
    /// Where in that file another one begins, which is joined on.
    next_at: Option<u64>,
    /// From the rate of the packets to the file's, one for each channel, where they differ.
    resamplers: Option<(Format, Vec<Resampler>)>,
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

/// Packets that gave no sound.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct LeftOut {
    /// They are damaged.
    damaged: u64,
    /// There is no decoder for them: [`UNREAD`].
    unread: u64,
}

/// What a decoder refuses in the midst of a format that it reads (docs/upstream.md).
const UNREAD: &str = "MPEG layer 2 in mono at 224 kbit/s or more, which the format does not allow";

/// What tells that a file was to be longer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Ends {
    /// Its header, and a demuxer that runs out of bytes.
    AsTold,
    /// What reads it has counted.
    AsCounted,
    /// Nothing: it ends where it ends.
    Whole,
    /// A demuxer that runs out of bytes, unless the stream's clock shows that it is part of a live
    /// one.
    WholeIfLate,
}

/// What one turn of a source gave.
enum Turn {
    /// Samples were appended.
    Samples,
    /// A packet of another track, or a damaged one: nothing was appended.
    Nothing,
    /// A packet that was not decoded, of so many seconds.
    Passed(f64),
    /// The source has ended.
    End,
}

/// A file that can be opened again, on the disk or at hand.
#[derive(Clone, Copy)]
struct Whole<'a> {
    path: &'a Path,
    at_hand: Option<&'a Bytes>,
    n_bytes: u64,
}

impl Whole<'_> {
    fn failed(self, source: io::Error) -> FileError {
        FileError::from_io(self.path, source)
    }

    fn open(self) -> Result<Place, FileError> {
        Place::open(self.path, self.at_hand).map_err(|source| self.failed(source))
    }

    /// From `from` bytes on.
    fn rest(self, from: u64) -> Result<Input, FileError> {
        let mut place = self.open()?;
        place
            .seek(io::SeekFrom::Start(from))
            .map_err(|source| self.failed(source))?;
        let mut input = Input::new(Box::new(place), Some(self.n_bytes));
        input.started_at(from);
        Ok(input)
    }
}

impl AudioFile {
    /// Opens the file at `path` and reads its header.
    ///
    /// # Errors
    /// [`FileError`], naming the file and the reason: it is not there, may not be read, is a
    /// folder, is empty, is no audio, or is audio that there is no decoder for.
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
        // A pipe cannot be read twice.
        if !metadata.is_file() {
            let file = fs::File::open(path).map_err(failed)?;
            return Self::from_stream(path.to_owned(), Box::new(file));
        }
        Self::whole(Whole {
            path,
            at_hand: None,
            n_bytes: metadata.len(),
        })
    }

    /// A whole file whose bytes are at hand, such as an object of a store. `name` is what messages
    /// call it.
    ///
    /// # Errors
    /// As [`AudioFile::open`].
    pub fn from_bytes(
        name: impl Into<PathBuf>,
        bytes: impl AsRef<[u8]> + Send + Sync + 'static,
    ) -> Result<Self, FileError> {
        let (path, bytes) = (name.into(), Bytes(Arc::new(bytes)));
        match bytes.n_bytes() {
            0 => Err(FileError::Empty { path }),
            n_bytes => Self::whole(Whole {
                path: &path,
                at_hand: Some(&bytes),
                n_bytes,
            }),
        }
    }

    fn whole(file: Whole<'_>) -> Result<Self, FileError> {
        let failed = |source| file.failed(source);
        let mut input = Input::new(Box::new(file.open()?), Some(file.n_bytes));
        let kind = begin(&mut input).map_err(failed)?;
        let from = input.position();
        let cut_off = kind == Kind::Ogg
            && containers::is_ogg_cut_off(&mut file.open()?, file.n_bytes).map_err(failed)?;
        let mut opened = Self::at(file, kind, from)?;
        if cut_off {
            opened.ends = Ends::WholeIfLate;
        }
        Ok(opened)
    }

    /// The file of `kind` that begins `from` bytes into `file`.
    fn at(file: Whole<'_>, kind: Kind, from: u64) -> Result<Self, FileError> {
        let failed = |source| file.failed(source);
        let rest = || file.rest(from);
        let mut opened = match kind {
            // These may have an index at their end.
            Kind::Mp4 | Kind::Matroska => Self::part(file, kind, from)?,
            Kind::Caf if !caf::holds_samples(&mut rest()?).map_err(failed)? => {
                Self::part(file, kind, from)?
            }
            _ => {
                let late = match kind {
                    Kind::Wav | Kind::Aiff => pcm::late_format(&mut rest()?).map_err(failed)?,
                    _ => None,
                };
                let mut opened = Self::from_input(file.path, kind, rest()?, from > 0, late)?;
                opened.ends = match kind {
                    Kind::Ogg => Ends::Whole,
                    Kind::Flac => Ends::AsTold,
                    _ => Ends::AsCounted,
                };
                opened
            }
        };
        opened.n_bytes = Some(file.n_bytes);
        opened.at_hand = file.at_hand.cloned();
        Ok(opened)
    }

    /// The container of `kind` that begins `from` bytes into `file`.
    fn part(file: Whole<'_>, kind: Kind, from: u64) -> Result<Self, FileError> {
        let failed = |source| file.failed(source);
        let path = file.path;
        let told = containers::told(kind, &mut file.open()?, from, file.n_bytes).map_err(failed)?;
        if told.encrypted {
            return Err(FileError::Encrypted {
                path: path.to_owned(),
                what: "protected against copying",
            });
        }
        let end = told.next.unwrap_or(file.n_bytes);
        let part = |endless| {
            let patches = told.patches.clone();
            Part::new(file.open()?, (from, end), endless, patches).map_err(failed)
        };
        let (source, n) = (Box::new(part(false)?), Some(end - from));
        let mut cut_off = told.cut_off;
        let mut opened = match Self::container(path, kind, source, n, &told.sounds) {
            // Some demuxers look at a file's end first. If it is damaged or missing, what comes
            // before can still be read like a stream.
            Err(
                error @ (FileError::Corrupt { .. }
                | FileError::Unsupported { .. }
                | FileError::NoSamples { .. }),
            ) => {
                let source: Box<dyn MediaSource> = if kind == Kind::Mp4 {
                    Box::new(part(true)?)
                } else {
                    Box::new(ReadOnlySource::new(part(true)?))
                };
                cut_off |= kind != Kind::Matroska;
                Self::container(path, kind, source, n, &told.sounds).map_err(|_| error)?
            }
            other => other?,
        };
        opened.next_at = told.next;
        opened.ends = if kind == Kind::Matroska {
            Ends::Whole
        } else {
            Ends::AsTold
        };
        opened.truncated |= cut_off;
        Ok(opened)
    }

    /// Decodes what comes through `reader`, such as standard input, from a header on: WAV and every
    /// other format that needs no seeking.
    ///
    /// # Errors
    /// [`FileError`], with `standard input` for the path.
    pub fn from_reader(reader: Box<dyn Read + Send>) -> Result<Self, FileError> {
        Self::from_stream(PathBuf::from(PIPE), reader)
    }

    fn from_stream(path: PathBuf, reader: Box<dyn Read + Send>) -> Result<Self, FileError> {
        let failed = |error| FileError::from_io(&path, error);
        let mut input = Input::new(reader, None);
        if input.peek(1).map_err(failed)?.is_empty() {
            return Err(FileError::Empty { path });
        }
        let kind = begin(&mut input).map_err(failed)?;
        let tagged = input.position() > 0;
        let mut file = Self::from_input(&path, kind, input, tagged, None)?;
        if matches!(kind, Kind::Ogg | Kind::Matroska) {
            // A live stream ends wherever it does.
            file.ends = Ends::Whole;
        }
        Ok(file)
    }

    /// Reads `input`, which begins with what `kind` says, from here on. `tagged`: behind a tag.
    /// `late`: the chunk that says how the samples are written, where it is behind them.
    fn from_input(
        path: &Path,
        kind: Kind,
        mut input: Input,
        tagged: bool,
        late: Option<Vec<u8>>,
    ) -> Result<Self, FileError> {
        let failed = |error| FileError::from_io(path, error);
        let refused = |container: &'static str| {
            move |refusal| match refusal {
                Refusal::Damaged(reason) => FileError::Corrupt {
                    path: path.to_owned(),
                    at: Seconds(0.0),
                    reason,
                },
                Refusal::Unsupported(reason) => FileError::Unsupported {
                    path: path.to_owned(),
                    container,
                    reason,
                },
                Refusal::Io(error) => FileError::from_io(path, error),
            }
        };
        match kind {
            Kind::Wav => match wav::header(&mut input, late).map_err(refused("wav"))? {
                wav::Held::Sound(sound) => Self::from_sound(path, "wav", input, sound),
                wav::Held::Mpeg => Self::from_frames(path, input, true),
            },
            Kind::Aiff => {
                let sound = aiff::header(&mut input, late).map_err(refused("aiff"))?;
                Self::from_sound(path, "aiff", input, sound)
            }
            Kind::Au => {
                let sound = au::header(&mut input).map_err(refused("au"))?;
                Self::from_sound(path, "au", input, sound)
            }
            Kind::Flac => {
                let (stream, rest, n_frames) = flac::translate(input).map_err(refused("flac"))?;
                let n_bytes = rest.n_bytes();
                let source = Box::new(ReadOnlySource::new(stream));
                let mut file = Self::container(path, kind, source, n_bytes, &[])?;
                if let Source::Decoded(decoded) = &mut file.source {
                    decoded.rest = Some(rest);
                }
                // FLAC of silence packs a few hundred frames into a byte.
                let most = n_bytes.map_or(u64::MAX, |n| n.saturating_mul(512));
                file.declared_frames = n_frames.map(|n| n.min(most));
                Ok(file)
            }
            Kind::Caf if caf::holds_samples(&mut input).map_err(failed)? => {
                let sound = caf::header(&mut input).map_err(refused("caf"))?;
                Self::from_sound(path, "caf", input, sound)
            }
            Kind::Ogg => {
                let n_bytes = input.rest();
                let (pages, rest) = ogg::pages(input);
                let source = Box::new(ReadOnlySource::new(pages));
                let mut file = Self::container(path, kind, source, n_bytes, &[])?;
                file.left_out.damaged += rest.take_damaged();
                if let Source::Decoded(decoded) = &mut file.source {
                    decoded.rest = Some(rest);
                }
                Ok(file)
            }
            Kind::Caf | Kind::Mp4 | Kind::Matroska => {
                let n_bytes = input.n_bytes();
                let source = Box::new(ReadOnlySource::new(input));
                Self::container(path, kind, source, n_bytes, &[])
            }
            Kind::Encrypted(what) => Err(FileError::Encrypted {
                path: path.to_owned(),
                what,
            }),
            Kind::Other(what) => Err(FileError::NotAudio {
                path: path.to_owned(),
                looks_like: Some(what),
            }),
            Kind::Unknown => {
                let start = input.peek(signature::BYTES).map_err(failed)?.to_vec();
                Self::from_frames(path, input, tagged).map_err(|error| match error {
                    FileError::NotAudio { path, looks_like } => {
                        let looks_like = looks_like.or_else(|| signature::resembles(&start));
                        FileError::NotAudio { path, looks_like }
                    }
                    other => other,
                })
            }
        }
    }

    /// Samples behind a header, next in `input`.
    fn from_sound(
        path: &Path,
        container: &'static str,
        mut input: Input,
        sound: Sound,
    ) -> Result<Self, FileError> {
        let unsupported = |reason: String| FileError::Unsupported {
            path: path.to_owned(),
            container,
            reason,
        };
        if let Some(what) =
            pcm::disguised(&mut input).map_err(|error| FileError::from_io(path, error))?
        {
            return Err(unsupported(format!(
                "{what}, written as if it were samples"
            )));
        }
        let params = sound.params();
        let pcm = Pcm::new(input, sound);
        let n_frames = pcm.n_frames();
        let rate = params.sample_rate;
        let mut file = Self::first(path, Packets::Pcm(pcm), &params, container)?;
        file.declared_frames = n_frames.filter(|&n| n > 0 && rate == Some(file.rate.hz()));
        file.ends = Ends::AsCounted;
        Ok(file)
    }

    /// MPEG audio or AAC, somewhere in `input`.
    fn from_frames(path: &Path, input: Input, tagged: bool) -> Result<Self, FileError> {
        let failed = |error| FileError::from_io(path, error);
        match Frames::find(input, tagged).map_err(failed)? {
            Ok(frames) => {
                let params = frames.params();
                let mut file = Self::first(path, Packets::Frames(frames), &params, "")?;
                file.ends = Ends::AsCounted;
                Ok(file)
            }
            Err(mut rest) => {
                let zeros = only_zeros(&mut rest).map_err(failed)?;
                Err(FileError::NotAudio {
                    path: path.to_owned(),
                    looks_like: zeros.then_some("zeros only: perhaps a download that failed"),
                })
            }
        }
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
            passed: 0.0,
            left_out: LeftOut::default(),
            truncated: false,
            ends: Ends::AsTold,
            n_bytes: None,
            at_hand: None,
            next_at: None,
            resamplers: None,
            pending: None,
            interleaved: Vec::new(),
            mixdown: Mixdown::default(),
        }
    }

    /// Finds the track of a container and its decoder.
    fn container(
        path: &Path,
        kind: Kind,
        source: Box<dyn MediaSource>,
        n_bytes: Option<u64>,
        sounds: &[Described],
    ) -> Result<Self, FileError> {
        let opened = guarded(|| Self::container_unguarded(path, kind, source, n_bytes, sounds));
        opened.unwrap_or_else(|()| {
            Err(FileError::Corrupt {
                path: path.to_owned(),
                at: Seconds(0.0),
                reason: "its header makes the decoder fail".into(),
            })
        })
    }

    fn container_unguarded(
        path: &Path,
        kind: Kind,
        source: Box<dyn MediaSource>,
        n_bytes: Option<u64>,
        sounds: &[Described],
    ) -> Result<Self, FileError> {
        let corrupt = |reason: String| FileError::Corrupt {
            path: path.to_owned(),
            at: Seconds(0.0),
            reason,
        };
        let unsupported = |container: &'static str, reason: String| FileError::Unsupported {
            path: path.to_owned(),
            container,
            reason,
        };
        let format = demuxer(kind, source).map_err(|error| match error {
            SymphoniaError::IoError(error)
                if error.kind() != io::ErrorKind::UnexpectedEof
                    && error.raw_os_error().is_some() =>
            {
                FileError::from_io(path, error)
            }
            SymphoniaError::DecodeError(reason) | SymphoniaError::LimitError(reason) => {
                corrupt(format!("its header cannot be read: {reason}"))
            }
            SymphoniaError::Unsupported(reason) if reason.ends_with("missing moov atom") => {
                let path = path.to_owned();
                match n_bytes {
                    Some(_) => FileError::Incomplete { path },
                    None => FileError::IndexAtEnd { path },
                }
            }
            SymphoniaError::Unsupported("ogg: page is not marked as first") => {
                corrupt("its beginning is missing".into())
            }
            SymphoniaError::Unsupported(reason) => unsupported("audio", reason.to_owned()),
            _ => corrupt(DAMAGED_HEADER.into()),
        })?;
        let info = format.format_info();
        let (container, short_name) = (info.long_name, info.short_name);
        let audio = |track: &&Track| matches!(track.codec_params, Some(CodecParameters::Audio(_)));
        let default = format.default_track(TrackType::Audio).map(|track| track.id);
        let mut tracks: Vec<&Track> = format.tracks().iter().filter(audio).collect();
        tracks.sort_by_key(|track| Some(track.id) != default);
        // The first one that there is a decoder for.
        let (mut reason, mut damaged) = (None, false);
        let mut found = None;
        for (index, track) in tracks.into_iter().enumerate() {
            let Some(CodecParameters::Audio(params)) = &track.codec_params else {
                continue;
            };
            let mut params = params.clone();
            if sounds.get(index).is_some_and(|sound| sound.big_endian) {
                params.codec = with_the_high_byte_first(params.codec);
            }
            match decoder::Decoder::new(&params) {
                Ok((_, codec)) => {
                    let declared = declared_frames(track, &params, codec, n_bytes);
                    found = Some((track.id, params, declared));
                    break;
                }
                Err(SymphoniaError::Unsupported(why)) => {
                    reason.get_or_insert(why.to_owned());
                }
                // What the decoder needs to begin with is damaged, or missing.
                Err(_) => damaged = true,
            }
        }
        let Some((id, params, declared)) = found else {
            if damaged && reason.is_none() {
                return Err(corrupt(DAMAGED_HEADER.into()));
            }
            let names: Vec<&str> = sounds.iter().map(|sound| &sound.name[..]).collect();
            return Err(match (reason, &names[..]) {
                (Some(reason), _) if reason.starts_with("aac: ") => unsupported(
                    container,
                    "AAC of more than two channels, or of a kind other than LC".to_owned(),
                ),
                (None, []) => FileError::NoAudioTrack {
                    path: path.to_owned(),
                    container,
                },
                (Some(reason), []) => unsupported(container, reason),
                (_, names) => unsupported(container, format!("its codec: {}", names.join(", "))),
            });
        };
        let packets = Packets::Track { format, id };
        let mut file = Self::first_unguarded(path, packets, &params, short_name)?;
        let hz = file.rate.hz();
        file.declared_frames = match params.sample_rate {
            Some(declared_rate) if declared_rate != hz => {
                declared.map(|n| (n as f64 * f64::from(hz) / f64::from(declared_rate)) as u64)
            }
            _ => declared,
        };
        Ok(file)
    }

    /// Decodes the beginning of `packets`.
    fn first(
        path: &Path,
        packets: Packets,
        params: &AudioCodecParameters,
        container: &'static str,
    ) -> Result<Self, FileError> {
        let opened = guarded(|| Self::first_unguarded(path, packets, params, container));
        opened.unwrap_or_else(|()| {
            Err(FileError::Corrupt {
                path: path.to_owned(),
                at: Seconds(0.0),
                reason: "its header makes the decoder fail".into(),
            })
        })
    }

    fn first_unguarded(
        path: &Path,
        packets: Packets,
        params: &AudioCodecParameters,
        container: &'static str,
    ) -> Result<Self, FileError> {
        let decoded = Decoded::new(packets, params, container).map_err(|error| {
            let reason = match error {
                SymphoniaError::Unsupported(reason) => reason.to_owned(),
                other => other.to_string(),
            };
            FileError::Unsupported {
                path: path.to_owned(),
                container: if container.is_empty() {
                    "aac"
                } else {
                    container
                },
                reason,
            }
        })?;
        let mut file = Self::new(
            path.to_owned(),
            Source::Decoded(Box::new(decoded)),
            SampleRate::MIN,
            0,
        );
        // Some headers name another rate than the decoder delivers (HE-AAC), some none: the first
        // packet that can be decoded has the last word.
        let hz = file.first_rate()?;
        file.rate = SampleRate::new(hz).map_err(|source| FileError::Rate {
            path: path.to_owned(),
            source,
        })?;
        Ok(file)
    }

    /// Decodes up to the first packet with samples, which stays in `interleaved`, and gives its
    /// rate.
    fn first_rate(&mut self) -> Result<u32, FileError> {
        let Source::Decoded(decoded) = &mut self.source else {
            return Ok(0);
        };
        loop {
            match decoded.next(&mut self.interleaved, &mut self.left_out) {
                Ok((Turn::Samples, format)) => {
                    self.n_channels = format.n_channels;
                    self.n_frames = (self.interleaved.len() / format.n_channels) as u64;
                    return Ok(format.rate);
                }
                Ok((Turn::Nothing | Turn::Passed(_), _)) => {}
                Ok((Turn::End, _)) => return Err(self.no_samples()),
                Err(SymphoniaError::IoError(error))
                    if error.kind() == io::ErrorKind::UnexpectedEof =>
                {
                    return Err(self.no_samples());
                }
                Err(error) => return Err(self.corrupt(error.to_string())),
            }
        }
    }

    fn no_samples(&self) -> FileError {
        let (path, left_out) = (self.path.clone(), self.left_out);
        if left_out.unread > 0 {
            return FileError::Unsupported {
                path,
                container: "mp2",
                reason: UNREAD.to_owned(),
            };
        }
        let skipped = left_out.damaged;
        FileError::NoSamples { path, skipped }
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

    /// Length of the whole file as far as its header tells, and never longer than its bytes allow.
    /// An estimate where it has no frames' count; `None` for streams, and for formats that say
    /// nothing to rely on.
    pub fn duration(&self) -> Option<Seconds> {
        self.declared_frames.map(|n| self.rate.duration(n))
    }

    /// Whether the file can be opened a second time: it is no pipe, and no reader.
    pub fn can_be_read_again(&self) -> bool {
        self.n_bytes.is_some()
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
        self.left_out.damaged + self.left_out.unread
    }

    /// Whether the file ended before its header said so, which is known once all is read, or is
    /// damaged such that its length cannot be told.
    pub fn is_truncated(&self) -> bool {
        self.truncated
    }

    /// Replaces the content of `mono` by the next samples, each the mean of its frame's channels
    /// (half their difference while two cancel each other out, as they do where one was recorded
    /// upside down), some 4096 at a time. `false` when there are no more; `mono` is empty then.
    ///
    /// # Errors
    /// [`FileError::Corrupt`] or [`FileError::Read`] after all that could be
    /// decoded was given. The file has ended then.
    pub fn next_block(&mut self, mono: &mut Vec<f32>) -> Result<bool, FileError> {
        mono.clear();
        let mut interleaved = std::mem::take(&mut self.interleaved);
        let more = self.fill(&mut interleaved);
        if let (Ok(true), 1..) = (&more, self.n_channels) {
            mono.resize(interleaved.len() / self.n_channels, 0.0);
            // Of one channel nothing is changed.
            if self.n_channels == 1 {
                mono.copy_from_slice(&interleaved);
            } else {
                self.mixdown
                    .interleaved(&interleaved, self.n_channels, mono);
            }
        }
        interleaved.clear();
        self.interleaved = interleaved;
        more
    }

    /// Gives block after block of [`AudioFile::next_block`] to `each`, until it returns `false` or
    /// the file ends. What is wrong with the file but leaves something to hear comes back as
    /// remarks for people: where it breaks off, what was left out.
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
            remarks.push(CUT_OFF.to_owned());
        }
        let left_out = self.left_out;
        match left_out.damaged {
            0 => {}
            1 => remarks.push("1 damaged packet left out".to_owned()),
            n => remarks.push(format!("{n} damaged packets left out")),
        }
        if left_out.unread > 0 {
            let n = left_out.unread;
            remarks.push(format!("{n} packets left out: {UNREAD}"));
        }
        Ok(remarks)
    }

    /// Replaces the content of `samples` by the next frames, `[n_frames, n_channels]` one after the
    /// other, for playback. Otherwise as [`AudioFile::next_block`]; each sample is given by one of
    /// the two.
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
            if !self.turn(samples) {
                break;
            }
        }
        if samples.is_empty()
            && let Some(error) = self.pending.take()
        {
            return Err(error);
        }
        Ok(!samples.is_empty())
    }

    /// Passes over what lies before `until`, without decoding where packets say how long they are;
    /// `false` if the file ends before. What [`AudioFile::next_block`] gives afterwards begins with
    /// the packet that holds that instant, and its first tenths of a second may lack what a decoder
    /// takes from before.
    ///
    /// With an `until` of infinity [`AudioFile::position`] is the file's length afterwards, which
    /// no header had to be believed for.
    ///
    /// # Errors
    /// As [`AudioFile::next_block`].
    pub fn pass_to(&mut self, until: Seconds) -> Result<bool, FileError> {
        let mut samples = std::mem::take(&mut self.interleaved);
        samples.clear();
        let hz = f64::from(self.rate.hz());
        let least = (until.0 * hz).min(u64::MAX as f64) as u64;
        while !matches!(self.source, Source::Ended)
            && self.pending.is_none()
            && self.n_frames < least
        {
            self.source.mute(true);
            self.turn(&mut samples);
            samples.clear();
        }
        self.source.mute(false);
        self.interleaved = samples;
        match self.pending.take() {
            Some(error) => Err(error),
            None => Ok(self.n_frames >= least),
        }
    }

    /// Takes one packet; `false` when what it gave should be handed on at once.
    fn turn(&mut self, samples: &mut Vec<f32>) -> bool {
        let before = samples.len();
        // A panic of a decoder ends the file; nothing of its state is used afterwards.
        let turn = guarded(|| self.source.next(samples, &mut self.left_out));
        match turn {
            Ok(Ok((Turn::Samples, format))) => {
                self.fit(format, before, samples);
                if let Source::Raw(_) = self.source {
                    return false;
                }
            }
            Ok(Ok((Turn::Nothing, _))) => {}
            Ok(Ok((Turn::Passed(seconds), _))) => {
                self.passed += seconds * f64::from(self.rate.hz());
                // A length in seconds is off by the rounding of a division.
                let whole = (self.passed + 1e-3).floor();
                self.passed -= whole;
                self.n_frames += whole as u64;
            }
            Ok(Ok((Turn::End, _))) => self.go_on(samples),
            Ok(Err(SymphoniaError::IoError(error)))
                if error.kind() == io::ErrorKind::UnexpectedEof =>
            {
                self.truncated |= match self.ends {
                    Ends::AsTold => true,
                    Ends::AsCounted | Ends::Whole => false,
                    Ends::WholeIfLate => !self.source.starts_late(),
                };
                self.go_on(samples);
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
        true
    }

    fn corrupt(&self, reason: String) -> FileError {
        FileError::Corrupt {
            path: self.path.clone(),
            at: self.rate.duration(self.n_frames),
            reason,
        }
    }

    /// Gives the samples of the last packet, those from `before` on, the file's rate and the
    /// block's channels.
    fn fit(&mut self, format: Format, before: usize, samples: &mut Vec<f32>) {
        if format.rate != self.rate.hz() {
            let new = samples.split_off(before);
            self.resample(&new, format, samples);
        }
        if format.n_channels != self.n_channels {
            // The two kinds of frames do not mix in one block.
            let new = samples.split_off(before);
            if before > 0 {
                // Down to the channels of this block: the next one has the new number.
                rechannel(&new, format.n_channels, self.n_channels, samples);
            } else {
                self.n_channels = format.n_channels;
                samples.extend_from_slice(&new);
            }
        }
        self.n_frames += ((samples.len() - before) / self.n_channels.max(1)) as u64;
    }

    /// The source has ended: if another file is joined on, that one is the next.
    fn go_on(&mut self, samples: &mut Vec<f32>) {
        let rest = self.end(None).into_rest();
        let Some(mut rest) = rest.or_else(|| self.rest_on_disk()) else {
            return;
        };
        let Ok(kind) = begin(&mut rest) else {
            return;
        };
        let frames_next = kind == Kind::Unknown && Frames::come_at(&mut rest, 0).unwrap_or(false);
        if !kind.is_read() && !frames_next {
            return;
        }
        let next = match self.file() {
            Some(file) => Self::at(file, kind, rest.position()),
            None => Self::from_input(&self.path, kind, rest, true, None),
        };
        match next {
            Ok(mut next) => {
                let format = Format {
                    rate: next.rate.hz(),
                    n_channels: next.n_channels,
                };
                // All that is told of the length is that of the first.
                self.declared_frames = None;
                self.left_out.damaged += next.left_out.damaged;
                self.left_out.unread += next.left_out.unread;
                self.truncated |= next.truncated;
                self.ends = match kind {
                    // A live stream ends wherever it does.
                    Kind::Ogg | Kind::Matroska => Ends::Whole,
                    _ => next.ends,
                };
                self.next_at = next.next_at;
                self.source = next.source;
                let before = samples.len();
                samples.append(&mut next.interleaved);
                self.fit(format, before, samples);
            }
            Err(error) => {
                let reason = error.to_string();
                let path = format!("{}: ", self.path.display());
                let reason = reason.strip_prefix(&path).unwrap_or(&reason);
                self.pending =
                    Some(self.corrupt(format!("what is joined on there cannot be read: {reason}")));
            }
        }
    }

    /// What begins where a container has ended, if another is joined on there.
    fn rest_on_disk(&self) -> Option<Input> {
        self.file()?.rest(self.next_at?).ok()
    }

    /// What is read, unless it is a stream.
    fn file(&self) -> Option<Whole<'_>> {
        Some(Whole {
            path: &self.path,
            at_hand: self.at_hand.as_ref(),
            n_bytes: self.n_bytes?,
        })
    }

    /// Appends frames of another rate as frames of the file's.
    fn resample(&mut self, new: &[f32], format: Format, samples: &mut Vec<f32>) {
        if self.resamplers.as_ref().is_none_or(|(of, _)| *of != format) {
            self.resamplers = SampleRate::new(format.rate).ok().map(|rate| {
                let one = Resampler::new(rate, self.rate);
                (format, vec![one; format.n_channels])
            });
        }
        let (Some((_, resamplers)), n) = (&mut self.resamplers, format.n_channels) else {
            return;
        };
        let before = samples.len();
        for (channel, resampler) in resamplers.iter_mut().enumerate() {
            let input: Vec<f32> = new.iter().skip(channel).step_by(n).copied().collect();
            let mut output = Vec::new();
            resampler.push(&input, |more| output.extend_from_slice(more));
            samples.resize(before + n * output.len(), 0.0);
            let places = samples[before..].iter_mut().skip(channel).step_by(n);
            places.zip(output).for_each(|(to, from)| *to = from);
        }
    }

    /// Nothing more comes of the source, which is given back, but, perhaps, `error`.
    fn end(&mut self, error: Option<FileError>) -> Source {
        let allowance = u64::from(self.rate.hz()) / 5;
        if let Source::Decoded(decoded) = &self.source {
            self.truncated |= decoded.is_truncated();
            // Half a frame at the end, and fewer than were promised: either alone may have another
            // cause.
            let told = self
                .declared_frames
                .filter(|_| decoded.ends_within_a_frame());
            self.truncated |= error.is_none()
                && self.ends == Ends::AsTold
                && told.is_some_and(|n| self.n_frames + decoded.lost + allowance + n / 100 < n);
        }
        self.pending = error;
        std::mem::replace(&mut self.source, Source::Ended)
    }
}

/// Passes over tags at the beginning, and says what comes next.
fn begin(input: &mut Input) -> io::Result<Kind> {
    // Ten such tags are junk, or made to annoy.
    for _ in 0..10 {
        if !input.peek(3)?.starts_with(b"ID3") || !skip_tag(input)? {
            break;
        }
    }
    Ok(signature::kind(signature::peek(input)?))
}

/// Whether nothing but zeros comes, as far as one looks: a device that gives them never ends.
fn only_zeros(input: &mut Input) -> io::Result<bool> {
    /// Bytes that are looked at.
    const MOST: usize = 256 << 20;
    let (mut any, mut buffer) = (false, vec![0; HEADER_BYTES]);
    for _ in 0..MOST / HEADER_BYTES {
        match input.read(&mut buffer)? {
            0 => return Ok(any),
            n if buffer[..n].iter().any(|&byte| byte != 0) => return Ok(false),
            _ => any = true,
        }
    }
    Ok(any)
}

/// The demuxer of a container that was recognised.
fn demuxer(
    kind: Kind,
    source: Box<dyn MediaSource>,
) -> Result<Box<dyn FormatReader>, SymphoniaError> {
    let stream = MediaSourceStream::new(source, MediaSourceStreamOptions::default());
    let options = FormatOptions::default();
    Ok(match kind {
        Kind::Flac => Box::new(FlacReader::try_new(stream, options)?),
        Kind::Ogg => Box::new(OggReader::try_new(stream, options)?),
        Kind::Caf => Box::new(CafReader::try_new(stream, options)?),
        Kind::Matroska => Box::new(MkvReader::try_new(stream, options)?),
        _ => Box::new(IsoMp4Reader::try_new(stream, options)?),
    })
}

thread_local! {
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// From now on, this process's panic hook does not tell panics of a decoder: they are caught and
/// told as errors about the file.
pub fn tell_no_caught_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_DECODER.get() {
            report(info);
        }
    }));
}

/// Runs other people's code on other people's data. After a panic nothing of what it held may be
/// used.
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
            .field("left_out", &self.left_out)
            .field("truncated", &self.truncated)
            .finish_non_exhaustive()
    }
}

/// Rate and channels of decoded samples.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Format {
    rate: u32,
    n_channels: usize,
}

type Step = Result<(Turn, Format), SymphoniaError>;

impl Source {
    /// Appends what the next packet, or the next read, gives.
    fn next(&mut self, samples: &mut Vec<f32>, left_out: &mut LeftOut) -> Step {
        match self {
            Self::Decoded(decoded) => decoded.next(samples, left_out),
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

    /// Whether packets are passed over instead of decoded. Raw samples are none.
    fn mute(&mut self, on: bool) {
        if let Self::Decoded(decoded) = self {
            decoded.mute(on);
        }
    }

    fn starts_late(&self) -> bool {
        matches!(self, Self::Decoded(decoded) if decoded.starts_late)
    }

    /// What comes behind it, where that can be had.
    fn into_rest(self) -> Option<Input> {
        match self {
            Self::Decoded(decoded) => decoded.into_rest(),
            Self::Raw(_) | Self::Ended => None,
        }
    }
}

/// The same samples in QuickTime's order, which the demuxer takes for the other one
/// (docs/upstream.md).
fn with_the_high_byte_first(codec: AudioCodecId) -> AudioCodecId {
    match codec {
        id::CODEC_ID_PCM_F32LE => id::CODEC_ID_PCM_F32BE,
        id::CODEC_ID_PCM_F64LE => id::CODEC_ID_PCM_F64BE,
        id::CODEC_ID_PCM_S24LE => id::CODEC_ID_PCM_S24BE,
        id::CODEC_ID_PCM_S32LE => id::CODEC_ID_PCM_S32BE,
        other => other,
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
