//! Streams of bare samples, which say nothing of themselves.

use std::{
    fmt,
    io::{self, Read},
};

use super::{BLOCK_FRAMES, Format, Step, Turn};
use crate::units::SampleRate;

/// How the samples of a raw stream are written; all little-endian.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum RawFormat {
    /// 16-bit integers.
    S16Le,
    /// 24-bit integers in three bytes.
    S24Le,
    /// 32-bit integers.
    S32Le,
    /// 32-bit floats between -1 and 1.
    F32Le,
}

impl RawFormat {
    /// All of them.
    pub const ALL: [RawFormat; 4] = [Self::S16Le, Self::S24Le, Self::S32Le, Self::F32Le];

    /// ffmpeg's name for it.
    pub const fn name(self) -> &'static str {
        match self {
            Self::S16Le => "s16le",
            Self::S24Le => "s24le",
            Self::S32Le => "s32le",
            Self::F32Le => "f32le",
        }
    }

    const fn n_bytes(self) -> usize {
        match self {
            Self::S16Le => 2,
            Self::S24Le => 3,
            Self::S32Le | Self::F32Le => 4,
        }
    }

    fn decode(self, bytes: &[u8], out: &mut Vec<f32>) {
        match self {
            Self::S16Le => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| f32::from(i16::from_le_bytes(*b)) / 32_768.0),
            ),
            Self::S24Le => out.extend(bytes.as_chunks().0.iter().map(|&[low, middle, high]| {
                (i32::from_le_bytes([0, low, middle, high]) >> 8) as f32 / 8_388_608.0
            })),
            Self::S32Le => out.extend(
                bytes
                    .as_chunks()
                    .0
                    .iter()
                    .map(|b| i32::from_le_bytes(*b) as f32 / 2_147_483_648.0),
            ),
            Self::F32Le => out.extend(bytes.as_chunks().0.iter().map(|b| f32::from_le_bytes(*b))),
        }
    }
}

impl fmt::Display for RawFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// A stream of bare interleaved samples, without a header.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RawPcm {
    /// How a sample is written.
    pub format: RawFormat,
    /// Frames a second.
    pub rate: SampleRate,
    /// Samples in a frame, 1 to [`RawPcm::MAX_CHANNELS`].
    pub n_channels: u16,
}

impl RawPcm {
    /// Most channels of a raw stream.
    pub const MAX_CHANNELS: u16 = 64;
}

pub(super) struct Raw {
    reader: Box<dyn Read + Send>,
    pub(super) spec: RawPcm,
    /// Bytes read; the first `filled` await decoding.
    buffer: Vec<u8>,
    filled: usize,
}

impl Raw {
    /// Samples of `spec` that come through `reader`.
    pub(super) fn new(reader: Box<dyn Read + Send>, spec: RawPcm) -> Self {
        let frame_bytes = spec.format.n_bytes() * usize::from(spec.n_channels);
        Self {
            reader,
            spec,
            buffer: vec![0; BLOCK_FRAMES * frame_bytes],
            filled: 0,
        }
    }

    /// Waits for bytes and decodes the whole frames among them, without waiting for a full buffer.
    pub(super) fn next(&mut self, samples: &mut Vec<f32>) -> Step {
        let n_channels = usize::from(self.spec.n_channels);
        let format = Format {
            rate: self.spec.rate.hz(),
            n_channels,
        };
        let frame_bytes = self.spec.format.n_bytes() * n_channels;
        let n = loop {
            match self.reader.read(&mut self.buffer[self.filled..]) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        if n == 0 {
            // Half a frame at the end is nobody's loss.
            return Ok((Turn::End, format));
        }
        self.filled += n;
        let whole = self.filled - self.filled % frame_bytes;
        if whole == 0 {
            return Ok((Turn::Nothing, format));
        }
        self.spec.format.decode(&self.buffer[..whole], samples);
        self.buffer.copy_within(whole..self.filled, 0);
        self.filled -= whole;
        Ok((Turn::Samples, format))
    }
}
