//! CAF files (Apple's Core Audio Format, 2005) that hold samples. Those with a codec are a
//! demuxer's.

use std::io;

use symphonia::core::codecs::audio::{AudioCodecId, well_known as id};

use super::{
    input::Input,
    pcm::{Refusal, Sound},
};

/// Bytes within which the sound begins; other files are left to the demuxer.
const REACH: usize = 1 << 20;

/// Whether samples that can be read begin within reach.
pub(super) fn holds_samples(input: &mut Input) -> io::Result<bool> {
    Ok(find(input)?.is_some())
}

/// Reads the header up to its samples, which come next in `input`.
pub(super) fn header(input: &mut Input) -> Result<Sound, Refusal> {
    let found = find(input)?;
    let (at, sound) =
        found.ok_or_else(|| Refusal::Damaged("its header leads to no sound".into()))?;
    input.advance(at);
    Ok(sound)
}

/// The samples, and the bytes before them.
fn find(input: &mut Input) -> io::Result<Option<(usize, Sound)>> {
    let (mut at, mut sound) = (8, None);
    while at < REACH {
        let head = input.peek(at + 44)?;
        let Some(head) = head.get(at..).filter(|head| head.len() >= 12) else {
            break;
        };
        let Some((name, size)) = head
            .split_first_chunk::<4>()
            .and_then(|(name, tail)| Some((name, i64::from_be_bytes(*tail.first_chunk()?))))
        else {
            break;
        };
        match name {
            b"desc" => sound = described(&head[12..]),
            b"data" => {
                let Some(mut sound) = sound else {
                    break;
                };
                // A count of edits comes first; a length below 0 is not known.
                sound.n_bytes = u64::try_from(size).ok().and_then(|n| n.checked_sub(4));
                return Ok(Some((at + 16, sound)));
            }
            _ => {}
        }
        let Some(next) = usize::try_from(size)
            .ok()
            .and_then(|n| at.checked_add(12 + n))
        else {
            break;
        };
        at = next;
    }
    Ok(None)
}

/// What the chunk `desc` describes, if it is samples.
fn described(chunk: &[u8]) -> Option<Sound> {
    let number = |at: usize| Some(u32::from_be_bytes(*chunk.get(at..)?.first_chunk()?));
    let rate = f64::from_be_bytes(*chunk.first_chunk()?);
    let (flags, packet_bytes, n_channels, bits) =
        (number(12)?, number(16)?, number(24)?, number(28)?);
    let n_channels = u16::try_from(n_channels).ok().filter(|&n| n > 0)?;
    let name = chunk.get(8..12)?;
    let codec = codec(name, flags, bits)?;
    let width = usize::try_from(packet_bytes).ok()? / usize::from(n_channels);
    // Samples that are narrower than their place are not common, and not read here.
    let fits = width
        == if name == b"lpcm" {
            bits as usize / 8
        } else {
            1
        };
    (fits && (1.0..4e9).contains(&rate)).then_some(Sound {
        codec,
        rate: rate as u32,
        n_channels,
        block_bytes: packet_bytes as usize,
        block_frames: 1,
        n_bytes: None,
        chunks: None,
    })
}

fn codec(name: &[u8], flags: u32, bits: u32) -> Option<AudioCodecId> {
    let (is_float, little) = (flags & 1 == 1, flags & 2 == 2);
    Some(match (name, is_float, bits, little) {
        (b"alaw", ..) => id::CODEC_ID_PCM_ALAW,
        (b"ulaw", ..) => id::CODEC_ID_PCM_MULAW,
        (b"lpcm", true, 32, true) => id::CODEC_ID_PCM_F32LE,
        (b"lpcm", true, 32, false) => id::CODEC_ID_PCM_F32BE,
        (b"lpcm", true, 64, true) => id::CODEC_ID_PCM_F64LE,
        (b"lpcm", true, 64, false) => id::CODEC_ID_PCM_F64BE,
        (b"lpcm", false, 8, _) => id::CODEC_ID_PCM_S8,
        (b"lpcm", false, 16, true) => id::CODEC_ID_PCM_S16LE,
        (b"lpcm", false, 16, false) => id::CODEC_ID_PCM_S16BE,
        (b"lpcm", false, 24, true) => id::CODEC_ID_PCM_S24LE,
        (b"lpcm", false, 24, false) => id::CODEC_ID_PCM_S24BE,
        (b"lpcm", false, 32, true) => id::CODEC_ID_PCM_S32LE,
        (b"lpcm", false, 32, false) => id::CODEC_ID_PCM_S32BE,
        _ => return None,
    })
}
