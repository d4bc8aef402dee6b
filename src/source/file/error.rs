//! What can be wrong with a file, in words that say what to do.

use std::{
    io,
    path::{Path, PathBuf},
};

use thiserror::Error;

use super::RawPcm;
use crate::units::{SampleRateError, Seconds};

/// Why a file could not be read, or not to its end.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum FileError {
    /// Nothing lies there.
    #[error("{}: there is no such file", path.display())]
    NotFound {
        /// The file.
        path: PathBuf,
    },
    /// The file may not be read.
    #[error("{}: you are not allowed to read this (see its permissions)", path.display())]
    Permission {
        /// The file.
        path: PathBuf,
    },
    /// A folder where one file is wanted.
    #[error("{}: this is a folder; name a file in it, or use a command that takes folders", path.display())]
    IsFolder {
        /// The folder.
        path: PathBuf,
    },
    /// No bytes.
    #[error("{}: the file is empty (0 bytes)", path.display())]
    Empty {
        /// The file.
        path: PathBuf,
    },
    /// The operating system could not read it.
    #[error("{}: cannot be read: {source}", path.display())]
    Read {
        /// The file.
        path: PathBuf,
        /// What the operating system says.
        source: io::Error,
    },
    /// None of the formats that were tried.
    #[error(
        "{}: not an audio file that can be read{}; wav, aiff, au, caf, flac, mp3, ogg, opus, m4a, aac, \
         mkv and webm can be: convert it, for example with ffmpeg -i FILE out.flac",
        path.display(),
        looks_like.map(|what| format!(" (it looks like {what})")).unwrap_or_default()
    )]
    NotAudio {
        /// The file.
        path: PathBuf,
        /// What its first bytes say it is, if they are known.
        looks_like: Option<&'static str>,
    },
    /// Sound that only a key makes readable.
    #[error(
        "{}: this file is encrypted ({what}): it cannot be read without its key; get it without protection",
        path.display()
    )]
    Encrypted {
        /// The file.
        path: PathBuf,
        /// By what.
        what: &'static str,
    },
    /// A file that ends before what is needed to decode it.
    #[error(
        "{}: this file is incomplete: it ends before its index (the moov atom of MP4), without which nothing in it can \
         be decoded; download or record it again",
        path.display()
    )]
    Incomplete {
        /// The file.
        path: PathBuf,
    },
    /// A stream that would have to be read from its end first.
    #[error(
        "{}: this MP4 has no index (moov atom) before its sound, and a pipe cannot be read from its end; give the file \
         itself, or write it with ffmpeg -movflags +faststart",
        path.display()
    )]
    IndexAtEnd {
        /// The stream.
        path: PathBuf,
    },
    /// A container without sound.
    #[error("{}: this {container} file has no audio track", path.display())]
    NoAudioTrack {
        /// The file.
        path: PathBuf,
        /// Name of the container format.
        container: &'static str,
    },
    /// Audio in a codec, or with options, that there is no decoder for.
    #[error(
        "{}: there is no decoder for the audio in this {container} file ({reason}); convert it, for example \
         with ffmpeg -i FILE out.flac",
        path.display()
    )]
    Unsupported {
        /// The file.
        path: PathBuf,
        /// Name of the container format.
        container: &'static str,
        /// What is missing.
        reason: String,
    },
    /// A rate that cannot be.
    #[error("{}: {source}", path.display())]
    Rate {
        /// The file.
        path: PathBuf,
        /// The rate and what is allowed.
        source: SampleRateError,
    },
    /// A raw stream of 0 channels or more than [`RawPcm::MAX_CHANNELS`].
    #[error("{}: {n_channels} channels are not supported (1 to {} are)", path.display(), RawPcm::MAX_CHANNELS)]
    Channels {
        /// The stream.
        path: PathBuf,
        /// Their number.
        n_channels: u16,
    },
    /// Not a sample: no packet, or none that could be decoded.
    #[error("{}: the file has a header, but no sound could be decoded from it ({skipped} damaged packets)", path.display())]
    NoSamples {
        /// The file.
        path: PathBuf,
        /// Packets that were skipped.
        skipped: u64,
    },
    /// The data makes no sense from here on; what came before was decoded.
    #[error("{}: the file is damaged at {at} ({:.2} s): {reason}", path.display(), at.0)]
    Corrupt {
        /// The file.
        path: PathBuf,
        /// Length of what could be decoded.
        at: Seconds,
        /// What the decoder says.
        reason: String,
    },
}

impl FileError {
    /// The error of the operating system, in terms of this one.
    pub(in crate::source) fn from_io(path: &Path, source: io::Error) -> Self {
        let path = path.to_owned();
        match source.kind() {
            io::ErrorKind::NotFound => Self::NotFound { path },
            io::ErrorKind::PermissionDenied => Self::Permission { path },
            io::ErrorKind::IsADirectory => Self::IsFolder { path },
            _ => Self::Read { path, source },
        }
    }

    /// What to say beside an answer that rests on what could be read before this: nothing for
    /// errors that leave nothing to rest on.
    pub(super) fn remark(&self) -> Option<String> {
        let what = match self {
            Self::Corrupt { at, reason, .. } => format!("damaged at {at}: {reason}"),
            Self::Read { source, .. } => format!("cannot be read to its end: {source}"),
            _ => return None,
        };
        Some(format!("{what}; only what comes before was heard"))
    }

    /// The file that the error is about.
    pub fn path(&self) -> &Path {
        match self {
            Self::NotFound { path }
            | Self::Permission { path }
            | Self::IsFolder { path }
            | Self::Empty { path }
            | Self::Read { path, .. }
            | Self::NotAudio { path, .. }
            | Self::Incomplete { path }
            | Self::IndexAtEnd { path }
            | Self::NoAudioTrack { path, .. }
            | Self::Unsupported { path, .. }
            | Self::Rate { path, .. }
            | Self::Channels { path, .. }
            | Self::Encrypted { path, .. }
            | Self::NoSamples { path, .. }
            | Self::Corrupt { path, .. } => path,
        }
    }
}
