//! FLAC (RFC 9639): of what is before the frames, one block is needed to decode them. The others, such
//! as pictures and cue sheets, are passed over, whatever they hold.

use std::io::{self, Read};

use super::{input::Input, pcm::Refusal};

/// Bytes of the block that is needed.
const STREAM_INFO: usize = 34;

/// Shortest block of samples.
const MIN_BLOCK: u16 = 16;

/// What encoders take if they are not told otherwise.
const USUAL_BLOCK: u16 = 4_096;

/// A stream with what is needed alone, and the frames that its header promises, if it does.
pub(super) fn translate(mut input: Input) -> Result<(Input, Option<u64>), Refusal> {
    let damaged = |reason: &str| Refusal::Damaged(reason.to_owned());
    input.skip(4)?;
    let mut info = None;
    loop {
        let head = input.peek(4)?;
        let &[kind, a, b, c] = head else {
            return Err(damaged(
                "its header is damaged or incomplete: it ends before its sound",
            ));
        };
        // The code that a frame begins with, where there should be a block: the last one said that
        // more would come.
        if kind == 0xff && a & 0xfc == 0xf8 {
            break;
        }
        let (last, kind) = (kind & 0x80 != 0, kind & 0x7f);
        let size = u64::from(u32::from_be_bytes([0, a, b, c]));
        if input.rest().is_some_and(|rest| size + 4 > rest) || kind > 6 && size > 1 << 16 {
            // The length is wrong. The first frame is searched for in what is left.
            break;
        }
        input.advance(4);
        if kind == 0 && info.is_none() {
            info = input.peek(STREAM_INFO)?.first_chunk().copied();
        }
        input.skip(size)?;
        if last {
            break;
        }
    }
    let mut info: [u8; STREAM_INFO] = info.ok_or_else(|| {
        damaged("its header does not say how the sound is written (no stream information)")
    })?;
    let shortest = u16::from_be_bytes([info[0], info[1]]);
    let longest = u16::from_be_bytes([info[2], info[3]]);
    if shortest < MIN_BLOCK || longest < shortest {
        // All blocks of one length, as every common encoder writes them.
        let one = if longest < MIN_BLOCK {
            USUAL_BLOCK
        } else {
            longest
        };
        info[..2].copy_from_slice(&one.to_be_bytes());
        info[2..4].copy_from_slice(&one.to_be_bytes());
    }
    // The frames' lengths, and what they were when they were counted, are nothing to rely on.
    info[4..10].fill(0);
    let [.., e, f, g, h] = info[..18] else {
        return Err(damaged("its stream information is too short"));
    };
    let n_frames = u64::from(info[13] & 15) << 32 | u64::from(u32::from_be_bytes([e, f, g, h]));
    info[13] &= 0xf0;
    info[14..].fill(0);
    let header = [b"fLaC\x80\0\0\x22", &info[..]].concat();
    let n_bytes = input.rest().map(|rest| rest + header.len() as u64);
    let whole = io::Cursor::new(header).chain(input);
    Ok((
        Input::new(Box::new(whole), n_bytes),
        Some(n_frames).filter(|&n| n > 0),
    ))
}
