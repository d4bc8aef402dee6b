//! WAV files whose headers do not know how long they are: recorders that lost power, and programs that wrote into a pipe,
//! leave nonsense where the length belongs (RIFF: Multimedia Programming Interface 1.0, 1991).

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
    ops::Range,
};

use symphonia::core::io::MediaSource;

/// Where a RIFF file has the length that it claims. Never believed: the demuxer refuses chunks that are longer than it.
const RIFF_SIZE: Range<usize> = 4..8;

/// Bytes before the first chunk.
const FIRST_CHUNK: u64 = 12;

/// A header has fewer bytes than this before its samples.
const MAX_HEADER: u64 = 1 << 20;

pub(super) fn is_wav(signature: &[u8]) -> bool {
    signature.starts_with(b"RIFF") && signature.get(8..12) == Some(b"WAVE")
}

/// Whether a chunk's length stands for "not known": what ffmpeg (all ones), sox, arecord and others write before they
/// know, or leave there when they cannot go back.
fn is_unknown(size: u32) -> bool {
    matches!(size, 0 | 0x7fff_f000 | 0x7fff_ff00..=0x8000_0000 | 0xffff_ff00..)
}

/// A chunk's head: its name and its length.
fn head(bytes: [u8; 8]) -> ([u8; 4], u32) {
    let [a, b, c, d, size @ ..] = bytes;
    ([a, b, c, d], u32::from_le_bytes(size))
}

/// Reads the header of a stream on into `start` up to its samples, and makes what it claims of its length "not known" if it
/// is nonsense, which is told by `true`.
pub(super) fn open_header(start: &mut Vec<u8>, reader: &mut dyn Read) -> io::Result<bool> {
    start[RIFF_SIZE].fill(0xff);
    let mut at = FIRST_CHUNK;
    while at < MAX_HEADER {
        if !extend(start, reader, at + 8)? {
            break;
        }
        let from = at as usize;
        let mut bytes = [0; 8];
        bytes.copy_from_slice(&start[from..from + 8]);
        let (name, size) = head(bytes);
        if &name == b"data" {
            if is_unknown(size) {
                start[from + 4..from + 8].fill(0xff);
                return Ok(true);
            }
            break;
        }
        at += 8 + u64::from(size) + u64::from(size % 2);
    }
    Ok(false)
}

/// Reads until `bytes` has `n`; `false` when there are no more.
fn extend(bytes: &mut Vec<u8>, reader: &mut dyn Read, n: u64) -> io::Result<bool> {
    let missing = n.saturating_sub(bytes.len() as u64);
    reader.take(missing).read_to_end(bytes)?;
    Ok(bytes.len() as u64 >= n)
}

/// A WAV file that claims no length of its own, and whose samples end where the file does if their length is nonsense.
pub(super) struct WavSource {
    file: File,
    position: u64,
    n_bytes: u64,
    /// Where the length of the samples stands, and what it is really.
    samples: Option<(u64, [u8; 4])>,
}

impl WavSource {
    pub(super) fn new(mut file: File, n_bytes: u64) -> io::Result<Self> {
        let samples = real_length(&mut file, n_bytes)?;
        file.rewind()?;
        Ok(Self {
            file,
            position: 0,
            n_bytes,
            samples,
        })
    }
}

/// Where the length of the samples stands and what it is, if the header does not know.
fn real_length(file: &mut File, n_bytes: u64) -> io::Result<Option<(u64, [u8; 4])>> {
    let mut at = FIRST_CHUNK;
    let mut frame = 1;
    while at + 8 <= n_bytes && at < MAX_HEADER {
        file.seek(SeekFrom::Start(at))?;
        let mut bytes = [0; 8];
        file.read_exact(&mut bytes)?;
        let (name, size) = head(bytes);
        let start = at + 8;
        if &name == b"data" {
            let length = n_bytes - start;
            let whole = u32::try_from(length - length % frame).unwrap_or(u32::MAX);
            let nonsense = is_unknown(size) && whole > 0 && u64::from(size) != length;
            return Ok(nonsense.then(|| (at + 4, whole.to_le_bytes())));
        }
        if &name == b"fmt " && size >= 14 && start + 14 <= n_bytes {
            let mut format = [0; 14];
            file.read_exact(&mut format)?;
            frame = u64::from(u16::from_le_bytes([format[12], format[13]])).max(1);
        }
        at = start + u64::from(size) + u64::from(size % 2);
    }
    Ok(None)
}

impl Read for WavSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.file.read(buffer)?;
        let riff = (RIFF_SIZE.start as u64, [0xff; 4]);
        for (at, bytes) in [Some(riff), self.samples].into_iter().flatten() {
            for (at, right) in (at..).zip(bytes) {
                if let Some(offset) = at.checked_sub(self.position)
                    && let Some(byte) = buffer[..n].get_mut(offset as usize)
                {
                    *byte = right;
                }
            }
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for WavSource {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.position = self.file.seek(to)?;
        Ok(self.position)
    }
}

impl MediaSource for WavSource {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        Some(self.n_bytes)
    }
}
