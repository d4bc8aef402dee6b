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
mod guard;
mod input;
mod ogg;
mod open;
mod pcm;
mod raw;
mod signature;
pub mod tags;
mod wav;

use std::{
    fmt, io,
    path::{Path, PathBuf},
};

use symphonia::core::errors::Error as SymphoniaError;

pub use error::FileError;
pub use guard::tell_no_caught_panics;
pub use raw::{RawFormat, RawPcm};

use self::{
    decoder::Decoded,
    frames::Frames,
    guard::guarded,
    input::{Bytes, Input},
    open::{Whole, begin},
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
/// The remark on a file that ends before it should.
pub(crate) const CUT_OFF: &str = "cut off before its end";

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

impl AudioFile {
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

/// Appends frames of `from` channels as frames of `to` channels: each channel holds the mean.
fn rechannel(samples: &[f32], from: usize, to: usize, out: &mut Vec<f32>) {
    for frame in samples.chunks_exact(from.max(1)) {
        let mean = frame.iter().sum::<f32>() / frame.len() as f32;
        out.extend(std::iter::repeat_n(mean, to));
    }
}
