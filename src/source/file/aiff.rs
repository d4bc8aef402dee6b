//! AIFF and AIFF-C files (Apple, 1989 and 1991).

use symphonia::core::codecs::audio::{AudioCodecId, well_known as id};

use super::{
    input::Input,
    pcm::{Order, Refusal, Sound, believed, chunk, find_chunk, skip_chunk},
};

pub(super) fn is_aiff(start: &[u8]) -> bool {
    start.starts_with(b"FORM") && matches!(start.get(8..12), None | Some(b"AIFF" | b"AIFC"))
}

/// Reads the header up to its samples, which come next in `input`. `common` is the chunk of that
/// name, where it is behind them.
pub(super) fn header(input: &mut Input, common: Option<Vec<u8>>) -> Result<Sound, Refusal> {
    let order = Order::Big;
    let whole = order.u32(input.peek(8)?, 4).unwrap_or(0);
    let end = input.position() + 8 + u64::from(whole);
    input.skip(12)?;
    let mut common = common;
    loop {
        let rest = input.rest();
        let head = input.peek(16)?;
        if head.len() < 8 {
            return Err(Refusal::Damaged(
                "its header is damaged or incomplete: it ends before its sound".into(),
            ));
        }
        let size = order.u32(head, 4).unwrap_or(0);
        if head.starts_with(b"SSND") {
            let offset = order.u32(head, 8).unwrap_or(0);
            let offset = if offset < size { offset } else { 0 };
            input.advance(16);
            input.skip(u64::from(offset))?;
            let known = (9..0xffff_ff00).contains(&size);
            let before = 8 + u64::from(offset);
            let n_bytes = u64::from(size).checked_sub(before).filter(|_| known);
            let common: &[u8] = common.as_deref().unwrap_or_default();
            return sound(common, believed(n_bytes, end, input));
        }
        if chunk(head, order, rest.map(|rest| rest.saturating_sub(8))).is_none() {
            input.advance(1);
            if !find_chunk(input)? {
                return Err(Refusal::Damaged("its header leads to no sound".into()));
            }
            continue;
        }
        let is_common = head.starts_with(b"COMM");
        input.advance(8);
        if is_common {
            common = Some(input.peek(size.min(64) as usize)?.to_vec());
        }
        if !skip_chunk(input, size, order)? && !find_chunk(input)? {
            return Err(Refusal::Damaged("its header leads to no sound".into()));
        }
    }
}

/// The sound that the common chunk describes.
fn sound(common: &[u8], n_bytes: Option<u64>) -> Result<Sound, Refusal> {
    let order = Order::Big;
    let missing =
        || Refusal::Damaged("its header does not say, before the sound, how it is written".into());
    let n_channels = order.u16(common, 0).ok_or_else(missing)?;
    let bits = order.u16(common, 6).ok_or_else(missing)?;
    let rate = common.get(8..).and_then(|tail| tail.first_chunk());
    let rate = extended(rate.ok_or_else(missing)?);
    let name = common.get(18..22).unwrap_or(b"NONE");
    if n_channels == 0 {
        return Err(Refusal::Damaged("its header claims 0 channels".into()));
    }
    let (codec, width) = codec(name, bits).ok_or_else(|| {
        let name = String::from_utf8_lossy(name);
        Refusal::Unsupported(format!("samples of kind '{name}', {bits} bits"))
    })?;
    Ok(Sound {
        codec,
        rate,
        n_channels,
        block_bytes: width * usize::from(n_channels),
        block_frames: 1,
        n_bytes,
        chunks: Some(order),
    })
}

/// The decoder of samples of `bits` that are called `name`, and their bytes.
fn codec(name: &[u8], bits: u16) -> Option<(AudioCodecId, usize)> {
    let width = usize::from(bits).div_ceil(8);
    Some(match (&name.to_ascii_lowercase()[..], width) {
        (b"none" | b"twos" | b"sowt", 1) => (id::CODEC_ID_PCM_S8, 1),
        (b"none" | b"twos" | b"raw ", 2) => (id::CODEC_ID_PCM_S16BE, 2),
        (b"none" | b"twos", 3) | (b"in24", _) => (id::CODEC_ID_PCM_S24BE, 3),
        (b"none" | b"twos", 4) | (b"in32", _) => (id::CODEC_ID_PCM_S32BE, 4),
        (b"sowt", 2) => (id::CODEC_ID_PCM_S16LE, 2),
        (b"sowt", 3) => (id::CODEC_ID_PCM_S24LE, 3),
        (b"sowt", 4) | (b"23ni", _) => (id::CODEC_ID_PCM_S32LE, 4),
        (b"raw ", 1) => (id::CODEC_ID_PCM_U8, 1),
        (b"fl32", _) => (id::CODEC_ID_PCM_F32BE, 4),
        (b"fl64", _) => (id::CODEC_ID_PCM_F64BE, 8),
        (b"alaw", _) => (id::CODEC_ID_PCM_ALAW, 1),
        (b"ulaw", _) => (id::CODEC_ID_PCM_MULAW, 1),
        _ => return None,
    })
}

/// An 80-bit float as a whole number; 0 for what is none.
fn extended(bytes: &[u8; 10]) -> u32 {
    let exponent = i32::from(u16::from_be_bytes([bytes[0], bytes[1]])) - 16_383;
    let [_, _, digits @ ..] = *bytes;
    let digits = u64::from_be_bytes(digits);
    match exponent {
        0..32 => u32::try_from(digits >> (63 - exponent)).unwrap_or(0),
        _ => 0,
    }
}
