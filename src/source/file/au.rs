//! AU files (Sun and NeXT, 1987 on; GTZAN as its author gave it out): a header of six numbers before big-endian samples.
//!
//! Such a header says what an AIFF-C header (Apple, 1991) says, and the samples are written alike. So it is read here and handed on as one.

use std::io::{self, Read};

/// What a file begins with.
const MAGIC: &[u8] = b".snd";

/// Bytes of the header before its remarks.
const HEADER: usize = 24;

/// Longest header, remarks included, that is believed.
const MAX_HEADER: usize = 1 << 20;

/// "Length not known": what programs write, or leave there, that cannot go back.
const UNKNOWN: [u32; 2] = [0, u32::MAX];

/// Most bytes of samples that an AIFF-C header can name, with room for what is before them.
const MOST: u32 = u32::MAX - 128;

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is no AU header, or a damaged one.
    Damaged(String),
    /// Samples in a form that there is no decoder for.
    Unsupported(String),
    /// It cannot be read.
    Io(io::Error),
}

pub(super) fn is_au(signature: &[u8]) -> bool {
    signature.starts_with(MAGIC)
}

/// How a sample is written: AIFF-C's name for it, its bits and its bytes. Numbers as in `<audio/au.h>`.
fn encoding(number: u32) -> Option<(&'static [u8; 4], u16, u32)> {
    Some(match number {
        1 => (b"ulaw", 16, 1),
        2 => (b"NONE", 8, 1),
        3 => (b"NONE", 16, 2),
        4 => (b"NONE", 24, 3),
        5 => (b"NONE", 32, 4),
        6 => (b"fl32", 32, 4),
        7 => (b"fl64", 64, 8),
        27 => (b"alaw", 16, 1),
        _ => return None,
    })
}

/// Reads the AU header that begins in `start` and goes on in `reader`, and leaves in `start` an AIFF-C header of the same sound, with those
/// of its first samples that were read along. `n_bytes` is the length of the whole file, where it is known. Gives whether the
/// length of the sound is not.
pub(super) fn translate(
    start: &mut Vec<u8>,
    reader: &mut dyn Read,
    n_bytes: Option<u64>,
) -> Result<bool, Refusal> {
    let field = |at: usize| -> Option<u32> {
        let bytes = start.get(at..at + 4)?.first_chunk::<4>()?;
        Some(u32::from_be_bytes(*bytes))
    };
    let fields = (|| Some((field(4)?, field(8)?, field(12)?, field(16)?, field(20)?)))();
    let Some((offset, n_data, number, rate, n_channels)) = fields else {
        let reason = format!("its header ends after {} of {HEADER} bytes", start.len());
        return Err(Refusal::Damaged(reason));
    };
    let Some((name, n_bits, n_sample)) = encoding(number) else {
        return Err(Refusal::Unsupported(format!(
            "encoding {number} of its samples (1 to 7 and 27 are: integers, floats, A-law and u-law)"
        )));
    };
    let offset = offset as usize;
    if !(HEADER..=MAX_HEADER).contains(&offset) {
        let reason = format!("its header claims that the sound begins at byte {offset}");
        return Err(Refusal::Damaged(reason));
    }
    let channels = u16::try_from(n_channels).ok().filter(|&n| n > 0);
    let (Some(channels), true) = (channels, rate > 0) else {
        let reason = format!("its header claims {n_channels} channels at {rate} Hz");
        return Err(Refusal::Damaged(reason));
    };
    let rest = n_bytes.map(|n| n.saturating_sub(offset as u64));
    let n_data = if UNKNOWN.contains(&n_data) {
        rest.map(|rest| u32::try_from(rest).unwrap_or(MOST))
    } else {
        Some(n_data)
    };
    let n_frame = n_sample * u32::from(channels);
    let n_frames = n_data.unwrap_or(MOST).min(MOST) / n_frame;

    // Remarks are passed over.
    if let Some(left) = offset.checked_sub(start.len()) {
        io::copy(&mut reader.take(left as u64), &mut io::sink()).map_err(Refusal::Io)?;
    }
    let samples = start.get(offset..).unwrap_or_default();
    *start = [
        &aiff_c(channels, n_frames, (name, n_bits), rate, n_frame)[..],
        samples,
    ]
    .concat();
    Ok(n_data.is_none())
}

/// A header before `n_frames` frames of `n_frame` bytes.
fn aiff_c(
    channels: u16,
    n_frames: u32,
    (name, n_bits): (&[u8; 4], u16),
    rate: u32,
    n_frame: u32,
) -> Vec<u8> {
    let n_data = n_frames * n_frame;
    // The rate as an 80-bit float: sign and exponent, then the digits from the first one on.
    let zeros = rate.leading_zeros();
    let exponent = (16_383 + 31 - zeros) as u16;
    let digits = u64::from(rate) << (32 + zeros);
    // COMM and SSND with their heads, before the samples.
    let n_before = 4 + (8 + 24) + (8 + 8);
    let mut header = Vec::with_capacity(64);
    header.extend(b"FORM");
    header.extend((n_before + n_data).to_be_bytes());
    header.extend(b"AIFC");
    header.extend(b"COMM");
    header.extend(24_u32.to_be_bytes());
    header.extend(channels.to_be_bytes());
    header.extend(n_frames.to_be_bytes());
    header.extend(n_bits.to_be_bytes());
    header.extend(exponent.to_be_bytes());
    header.extend(digits.to_be_bytes());
    header.extend(name);
    // An empty name for people.
    header.extend([0, 0]);
    header.extend(b"SSND");
    header.extend((8 + n_data).to_be_bytes());
    header.extend([0; 8]);
    header
}
