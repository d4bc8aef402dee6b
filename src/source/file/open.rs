//! How a file or stream is opened: what it is, where its samples begin, and what decodes them.

use std::{
    fs,
    io::{self, Read, Seek},
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

use super::{
    AudioFile, Ends, FileError, LeftOut, RawPcm, Source, Turn, UNREAD, aiff, au, caf,
    containers::{self, Described},
    decoder::{self, Decoded, Packets},
    flac,
    frames::{Frames, skip_tag},
    guard::guarded,
    input::{Bytes, Input, Part, Place},
    ogg,
    pcm::{self, Pcm, Refusal, Sound},
    raw::Raw,
    signature::{self, Kind},
    wav,
};
use crate::{
    mixdown::Mixdown,
    units::{SampleRate, Seconds},
};

/// Why a container cannot be opened.
const DAMAGED_HEADER: &str = "it begins like audio, but its header is damaged or incomplete";
/// What `path` says in messages when the samples come through a pipe.
const PIPE: &str = "standard input";

/// A file that can be opened again, on the disk or at hand.
#[derive(Clone, Copy)]
pub(super) struct Whole<'a> {
    pub(super) path: &'a Path,
    pub(super) at_hand: Option<&'a Bytes>,
    pub(super) n_bytes: u64,
}

impl Whole<'_> {
    fn failed(self, source: io::Error) -> FileError {
        FileError::from_io(self.path, source)
    }

    fn open(self) -> Result<Place, FileError> {
        Place::open(self.path, self.at_hand).map_err(|source| self.failed(source))
    }

    /// From `from` bytes on.
    pub(super) fn rest(self, from: u64) -> Result<Input, FileError> {
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
    pub(super) fn at(file: Whole<'_>, kind: Kind, from: u64) -> Result<Self, FileError> {
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
    pub(super) fn from_input(
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
        begin_guarded(path, || {
            Self::container_unguarded(path, kind, source, n_bytes, sounds)
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
        begin_guarded(path, || {
            Self::first_unguarded(path, packets, params, container)
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
}

/// What `open` makes of the beginning of a file; where a decoder panics, the file is damaged.
fn begin_guarded(
    path: &Path,
    open: impl FnOnce() -> Result<AudioFile, FileError>,
) -> Result<AudioFile, FileError> {
    guarded(open).unwrap_or_else(|()| {
        Err(FileError::Corrupt {
            path: path.to_owned(),
            at: Seconds(0.0),
            reason: "its header makes the decoder fail".into(),
        })
    })
}

/// Passes over tags at the beginning, and says what comes next.
pub(super) fn begin(input: &mut Input) -> io::Result<Kind> {
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
    /// Bytes that are looked at, and at once.
    const MOST: usize = 256 << 20;
    const AT_ONCE: usize = 64 << 10;
    let (mut any, mut buffer) = (false, vec![0; AT_ONCE]);
    for _ in 0..MOST / AT_ONCE {
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
