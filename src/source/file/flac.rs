//! FLAC (RFC 9639): of what is before the frames, one block is needed to decode them. The others,
//! such as pictures and cue sheets, are passed over, whatever they hold.

use std::io::{self, Read};

use super::{
    frames::Frames,
    input::{Input, Rest},
    pcm::Refusal,
};

/// Bytes of the block that is needed.
const STREAM_INFO: usize = 34;

/// Shortest block of samples.
const MIN_BLOCK: u16 = 16;

/// What encoders take if they are not told otherwise.
const USUAL_BLOCK: u16 = 4_096;

/// How a stream begins: its mark, and the head of the block that is needed, the last or not.
const MARKS: [&[u8; 8]; 2] = [b"fLaC\0\0\0\x22", b"fLaC\x80\0\0\x22"];

/// Bytes by which a file is recognised.
const MARK: usize = 12;

/// Longest tag before a stream that is joined on.
const MAX_TAG: usize = 16 << 20;

/// A stream with what is needed alone, what comes behind it, and the frames that its header
/// promises, if it does.
pub(super) fn translate(mut input: Input) -> Result<(Stream, Rest, Option<u64>), Refusal> {
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
    let rest = Rest::new(input);
    let stream = Stream {
        header: io::Cursor::new(header),
        rest: rest.clone(),
    };
    Ok((stream, rest, Some(n_frames).filter(|&n| n > 0)))
}

/// One stream, up to where another is joined on. A decoder would look for frames in that, too, and
/// refuse them: they are numbered anew.
pub(super) struct Stream {
    header: io::Cursor<Vec<u8>>,
    rest: Rest,
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.header.read(buffer)?;
        if n > 0 {
            return Ok(n);
        }
        let mut rest = self.rest.lock();
        let Some(input) = rest.as_mut() else {
            return Ok(0);
        };
        let ahead = input.look(MARK)?;
        // A mark may begin at the last bytes; only where nothing follows them, they are given.
        let n = match ahead.len() {
            n if n < MARK => n,
            n => (n + 1 - MARK).min(buffer.len()),
        };
        let n = n.min(buffer.len());
        let n = next_file(input, n)?.unwrap_or(n);
        let ahead = input.peek(n)?;
        buffer[..n].copy_from_slice(ahead);
        input.advance(n);
        self.rest.add_given(n as u64);
        Ok(n)
    }
}

/// Where in the next `n` bytes another file begins, or the tag before one.
fn next_file(input: &mut Input, n: usize) -> io::Result<Option<usize>> {
    let mut from = 0;
    loop {
        let ahead = input.look(n)?;
        let Some(at) = ahead[..n]
            .get(from..)
            .and_then(|tail| {
                let may_begin = |byte: &u8| matches!(byte, b'f' | b'I' | b'R' | b'O' | b'F' | 0xff);
                tail.iter().position(may_begin)
            })
            .map(|at| from + at)
        else {
            return Ok(None);
        };
        from = at + 1;
        let here = &ahead[at..];
        if begins_file(here) {
            return Ok(Some(at));
        }
        if let &[0xff, 0xe0..=0xff, ..] = here {
            if Frames::go_on_at(input, at)? {
                return Ok(Some(at));
            }
        } else if let &[b'I', b'D', b'3', 2..=4, 0, flags, a, b, c, d, ..] = here
            && flags.trailing_zeros() >= 4
            && (a | b | c | d) < 0x80
        {
            let size = [a, b, c, d]
                .iter()
                .fold(0, |n, &seven| n << 7 | usize::from(seven));
            let behind = at + 10 + size;
            if size <= MAX_TAG
                && (input
                    .peek(behind + 12)?
                    .get(behind..)
                    .is_some_and(begins_file)
                    || Frames::come_at(input, behind)?)
            {
                return Ok(Some(at));
            }
        }
    }
}

/// Whether `bytes` begin as no frame of FLAC goes on: eight bytes, at least, that are as they must
/// be.
fn begins_file(bytes: &[u8]) -> bool {
    let form = bytes.get(8..12);
    MARKS.iter().any(|mark| bytes.starts_with(*mark))
        || bytes.starts_with(b"RIFF") && form == Some(b"WAVE")
        || bytes.starts_with(b"FORM") && matches!(form, Some(b"AIFF" | b"AIFC"))
        || bytes.starts_with(b"OggS\0\x02\0\0\0\0\0\0")
}
