//! AU files (Sun and NeXT, 1987 on; GTZAN as its author gave it out): a header of six numbers
//! before big-endian samples.

use symphonia::core::codecs::audio::{AudioCodecId, well_known as id};

use super::{
    input::Input,
    pcm::{Order, Refusal, Sound},
};

/// Bytes of the header before its remarks.
const HEADER: usize = 24;

/// Longest header, remarks included, that is believed.
const MAX_HEADER: usize = 1 << 20;

/// "Length not known": what programs write, or leave there, that cannot go back.
const UNKNOWN: [u32; 2] = [0, u32::MAX];

pub(super) fn is_au(start: &[u8]) -> bool {
    start.starts_with(b".snd")
}

/// How a sample is written, and its bytes. Numbers as in `<audio/au.h>`.
fn encoding(number: u32) -> Option<(AudioCodecId, usize)> {
    Some(match number {
        1 => (id::CODEC_ID_PCM_MULAW, 1),
        2 => (id::CODEC_ID_PCM_S8, 1),
        3 => (id::CODEC_ID_PCM_S16BE, 2),
        4 => (id::CODEC_ID_PCM_S24BE, 3),
        5 => (id::CODEC_ID_PCM_S32BE, 4),
        6 => (id::CODEC_ID_PCM_F32BE, 4),
        7 => (id::CODEC_ID_PCM_F64BE, 8),
        27 => (id::CODEC_ID_PCM_ALAW, 1),
        _ => return None,
    })
}

/// Reads the header up to its samples, which come next in `input`.
pub(super) fn header(input: &mut Input) -> Result<Sound, Refusal> {
    let bytes = input.peek(HEADER)?;
    let field = |at| Order::Big.u32(bytes, at);
    let fields = (|| Some((field(4)?, field(8)?, field(12)?, field(16)?, field(20)?)))();
    let Some((offset, n_data, number, rate, n_channels)) = fields else {
        let reason = format!("its header ends after {} of {HEADER} bytes", bytes.len());
        return Err(Refusal::Damaged(reason));
    };
    let Some((codec, width)) = encoding(number) else {
        return Err(Refusal::Unsupported(format!(
            "encoding {number} of its samples (1 to 7 and 27 are: integers, floats, A-law and u-law)"
        )));
    };
    if !(HEADER..=MAX_HEADER).contains(&(offset as usize)) {
        let reason = format!("its header claims that the sound begins at byte {offset}");
        return Err(Refusal::Damaged(reason));
    }
    let n_channels = match u16::try_from(n_channels) {
        Ok(n) if n > 0 && rate > 0 => n,
        _ => {
            let reason = format!("its header claims {n_channels} channels at {rate} Hz");
            return Err(Refusal::Damaged(reason));
        }
    };
    // Remarks are passed over.
    input.skip(u64::from(offset))?;
    Ok(Sound {
        codec,
        rate,
        n_channels,
        block_bytes: width * usize::from(n_channels),
        block_frames: 1,
        n_bytes: (!UNKNOWN.contains(&n_data)).then_some(u64::from(n_data)),
        chunks: None,
    })
}
