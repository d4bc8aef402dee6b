//! Tags of audio files, edited byte by byte: an edit is a list of [`Splice`]s, and what no splice
//! touches stays as it is.
//!
//! Each container has its module. It finds the tags, says what they hold, and makes the splices
//! that put other values in the place of some of them: frames and entries that are not asked for
//! keep their bytes, and so does the sound.

mod ape;
mod id3;
mod mp4;
mod mpeg;
mod ogg;
pub mod read;
mod riff;
mod splice;
mod vorbis;

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

use thiserror::Error;

pub use self::splice::{Splice, Spliced};

/// Tags that are longer are no tags, or not for us.
const MOST: u64 = 256 << 20;

/// What an entry of a tag is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Field {
    /// The genre.
    Genre,
    /// The comment for people.
    Comment,
    /// An entry under a name of our own, in upper case.
    Own(&'static str),
}

/// A field, and all the values that it is to have from now on.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Which.
    pub field: Field,
    /// Its values; none: the field goes.
    pub values: Vec<String>,
}

/// How a tag is written where there is a choice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Style {
    /// Version of an ID3v2 tag where there is none yet: 3 or 4.
    pub id3: u8,
    /// What stands between several genres where a format has one text for all of them.
    pub separator: String,
}

impl Default for Style {
    fn default() -> Self {
        Self {
            id3: 3,
            separator: "/".into(),
        }
    }
}

/// Why a tag cannot be read or changed.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum TagError {
    /// The file cannot be read.
    #[error(transparent)]
    Io(#[from] io::Error),
    /// The format has no tag that players would read, or one that is not written here.
    #[error("tags of {0} files are not written")]
    Format(&'static str),
    /// The tag is not what its format says.
    #[error("its tag is damaged, so it is left as it is: {0}")]
    Damaged(String),
    /// The tag is whole, but uses something that is not written here.
    #[error("its tag is left as it is: {0}")]
    Unusual(String),
}

fn damaged<T>(what: impl Into<String>) -> Result<T, TagError> {
    Err(TagError::Damaged(what.into()))
}

/// The tags of a file.
#[derive(Debug)]
pub struct Tags {
    container: Container,
}

#[derive(Debug)]
enum Container {
    Mpeg(mpeg::Mpeg),
    Flac(vorbis::Flac),
    Ogg(ogg::Ogg),
    Mp4(mp4::Mp4),
    Riff(riff::Riff),
}

impl Tags {
    /// Finds and reads the tags of `file`, by its content.
    ///
    /// # Errors
    /// When it cannot be read, is of a format without tags, or its tags are damaged.
    pub fn read(file: &mut File) -> Result<Self, TagError> {
        let len = file.seek(SeekFrom::End(0))?;
        let mut source = Source { file, len };
        let id3 = id3::Tag::at(&mut source, 0)?;
        let start = id3.as_ref().map_or(0, id3::Tag::end);
        let head = source.up_to(start, 64)?;
        let container = if head.starts_with(b"fLaC") {
            Container::Flac(vorbis::Flac::read(&mut source, id3)?)
        } else if let Some(id3) = id3 {
            Container::Mpeg(mpeg::Mpeg::read(&mut source, Some(id3))?)
        } else if head.starts_with(b"OggS") {
            Container::Ogg(ogg::Ogg::read(&mut source)?)
        } else if head.get(4..8) == Some(b"ftyp") {
            Container::Mp4(mp4::Mp4::read(&mut source)?)
        } else if riff::is_riff(&head) {
            Container::Riff(riff::Riff::read(&mut source)?)
        } else if head.starts_with(b"\x1a\x45\xdf\xa3") {
            return Err(TagError::Format("Matroska and WebM"));
        } else if head.starts_with(b"caff") {
            return Err(TagError::Format("CAF"));
        } else if head.starts_with(b".snd") {
            return Err(TagError::Format("AU"));
        } else if mpeg::is_mpeg(&mut source)? {
            Container::Mpeg(mpeg::Mpeg::read(&mut source, None)?)
        } else {
            return Err(TagError::Format("such"));
        };
        Ok(Self { container })
    }

    /// The tags that are there, or the one that would be made, for people.
    pub fn kind(&self, style: &Style) -> String {
        match &self.container {
            Container::Mpeg(mpeg) => mpeg.kind(style),
            Container::Flac(_) => "FLAC".into(),
            Container::Ogg(ogg) => ogg.kind().into(),
            Container::Mp4(_) => "MP4".into(),
            Container::Riff(riff) => riff.kind(style),
        }
    }

    /// The values of `field`, each once, of all tags that hold it.
    pub fn values(&self, field: Field) -> Vec<String> {
        let all = match &self.container {
            Container::Mpeg(mpeg) => mpeg.values(field),
            Container::Flac(flac) => flac.values(field),
            Container::Ogg(ogg) => ogg.values(field),
            Container::Mp4(mp4) => mp4.values(field),
            Container::Riff(riff) => riff.values(field),
        };
        let mut values: Vec<String> = Vec::new();
        for value in all {
            let value = value.trim_matches(|c: char| c.is_whitespace() || c == '\0');
            if !value.is_empty() && !values.iter().any(|have| have == value) {
                values.push(value.to_owned());
            }
        }
        values
    }

    /// What must be spliced into the file so that its tags have these values, in order and without
    /// overlaps.
    ///
    /// # Errors
    /// When the tag uses something that is not written here, or has no room.
    pub fn edit(
        &self,
        file: &mut File,
        changes: &[Change],
        style: &Style,
    ) -> Result<Vec<Splice>, TagError> {
        let len = file.seek(SeekFrom::End(0))?;
        let mut source = Source { file, len };
        let splices = match &self.container {
            Container::Mpeg(mpeg) => mpeg.edit(changes, style)?,
            Container::Flac(flac) => flac.edit(changes, style)?,
            Container::Ogg(ogg) => ogg.edit(&mut source, changes)?,
            Container::Mp4(mp4) => mp4.edit(changes)?,
            Container::Riff(riff) => riff.edit(&mut source, changes, style)?,
        };
        splice::trimmed(splices, &mut source)
    }
}

/// A file, with its length.
struct Source<'a> {
    file: &'a mut File,
    len: u64,
}

impl Source<'_> {
    /// Exactly `n` bytes from `at` on.
    fn exactly(&mut self, at: u64, n: u64) -> Result<Vec<u8>, TagError> {
        if n > MOST || at.checked_add(n).is_none_or(|end| end > self.len) {
            return damaged(format!(
                "{n} bytes are said to stand at byte {at} of {}",
                self.len
            ));
        }
        self.up_to(at, n)
    }

    /// At most `n` bytes from `at` on.
    fn up_to(&mut self, at: u64, n: u64) -> Result<Vec<u8>, TagError> {
        let mut bytes = Vec::new();
        self.file.seek(SeekFrom::Start(at))?;
        (&mut *self.file).take(n).read_to_end(&mut bytes)?;
        Ok(bytes)
    }
}

/// Text of a tag that does not say how it is encoded.
fn any_text(bytes: &[u8]) -> String {
    let end = bytes.iter().position(|&b| b == 0).unwrap_or(bytes.len());
    match std::str::from_utf8(&bytes[..end]) {
        Ok(text) => text.to_owned(),
        Err(_) => latin1(&bytes[..end]),
    }
}

fn latin1(bytes: &[u8]) -> String {
    bytes.iter().map(|&byte| char::from(byte)).collect()
}

fn be32(bytes: &[u8]) -> u32 {
    bytes
        .iter()
        .take(4)
        .fold(0, |sum, &byte| sum << 8 | u32::from(byte))
}

fn be64(bytes: &[u8]) -> u64 {
    u64::from(be32(bytes)) << 32 | u64::from(be32(bytes.get(4..).unwrap_or_default()))
}

fn le32(bytes: &[u8]) -> u32 {
    be32(bytes).swap_bytes()
}

/// The new list of entries: those that `is_field` is true of give way to `new`, which stand where
/// the first of them stood.
fn replaced<T: Clone>(entries: &[T], is_field: impl Fn(&T) -> bool, new: Vec<T>) -> Vec<T> {
    let place = entries.iter().position(&is_field).unwrap_or(entries.len());
    let mut out = entries[..place].to_vec();
    out.extend(new);
    out.extend(
        entries[place..]
            .iter()
            .filter(|&entry| !is_field(entry))
            .cloned(),
    );
    out
}
