//! Ogg (RFC 3533), page by page: what is whole goes on to the demuxer, and what is not is left out,
//! so that a damaged page costs no more than itself. What is joined on behind the last page is kept
//! for whoever reads it.
//!
//! Of the comments, with pictures as large as the file, none is needed: the demuxer is given empty
//! ones.

use std::io::{self, Read};

use symphonia::core::{checksum::Crc32, io::Monitor as _};

use super::{
    frames::Frames,
    input::{Input, Rest},
    signature,
};

/// Bytes of a page's head before the lengths of its segments.
const HEAD: usize = 27;

/// What a page begins with, and the version of the format.
const MARK: &[u8; 5] = b"OggS\0";

/// Streams side by side whose comments are looked for.
const MAX_STREAMS: usize = 16;

/// A codec whose second packet holds comments.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Vorbis,
    Opus,
}

impl Codec {
    /// That of the stream which begins with the page whose body is `body`.
    fn of(body: &[u8]) -> Option<Self> {
        if body.starts_with(b"\x01vorbis") {
            Some(Self::Vorbis)
        } else if body.starts_with(b"OpusHead") {
            Some(Self::Opus)
        } else {
            None
        }
    }

    /// What comments begin with.
    fn mark(self) -> &'static [u8] {
        match self {
            Self::Vorbis => b"\x03vorbis",
            Self::Opus => b"OpusTags",
        }
    }

    /// Comments that say nothing.
    fn no_comments(self) -> Vec<u8> {
        let mut packet = self.mark().to_vec();
        // The lengths of the vendor's name and of the list.
        packet.extend([0; 8]);
        if self == Self::Vorbis {
            packet.push(1);
        }
        packet
    }
}

/// The comments of a stream, which are still to come, or of which some has come.
#[derive(Debug)]
struct Comments {
    serial: [u8; 4],
    codec: Codec,
    begun: bool,
}

/// The pages of an Ogg file that are whole.
pub(super) struct Pages {
    rest: Rest,
    /// The page at hand.
    page: io::Cursor<Vec<u8>>,
    /// One was given.
    begun: bool,
    /// Behind a page that was whole.
    at_page: bool,
    comments: Vec<Comments>,
}

/// The pages in `input`, and what comes behind them.
pub(super) fn pages(input: Input) -> (Pages, Rest) {
    let rest = Rest::new(input);
    let pages = Pages {
        rest: rest.clone(),
        page: io::Cursor::default(),
        begun: false,
        at_page: true,
        comments: Vec::new(),
    };
    (pages, rest)
}

impl Read for Pages {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = self.page.read(buffer)?;
        if n > 0 || buffer.is_empty() {
            return Ok(n);
        }
        let rest = self.rest.clone();
        let page = match rest.lock().as_mut() {
            Some(input) => self.next(input)?,
            None => None,
        };
        self.page = io::Cursor::new(page.unwrap_or_default());
        self.page.read(buffer)
    }
}

impl Pages {
    fn next(&mut self, input: &mut Input) -> io::Result<Option<Vec<u8>>> {
        loop {
            let head = input.peek(HEAD)?;
            if head.is_empty() {
                return Ok(None);
            }
            if !head.starts_with(MARK) {
                if std::mem::take(&mut self.at_page) && begins_another(input)? {
                    return Ok(None);
                }
                seek_mark(input)?;
                continue;
            }
            let Some(n) = length(input)? else {
                // Half a page at the end: the demuxer says so.
                let n = input.look(HEAD)?.len();
                return Ok(Some(take(input, n)?));
            };
            let page = input.peek(n)?;
            if page.len() < n && !page[1..].windows(MARK.len()).any(|five| five == MARK) {
                let n = page.len();
                return Ok(Some(take(input, n)?));
            }
            // The first one is for the demuxer to refuse.
            if !self.begun || page.len() == n && sum(page) == page[22..26] {
                let page = take(input, n)?;
                (self.begun, self.at_page) = (true, true);
                if let Some(page) = self.without_comments(page) {
                    return Ok(Some(page));
                }
            } else {
                let lengths = &page[HEAD..(HEAD + usize::from(page[26])).min(page.len())];
                let n_packets = lengths.iter().filter(|&&length| length < 255).count();
                self.rest.add_damaged(n_packets.max(1) as u64);
                self.at_page = false;
                input.advance(1);
            }
        }
    }

    /// The page to go on with; `None`: there is nothing in it but comments.
    fn without_comments(&mut self, page: Vec<u8>) -> Option<Vec<u8>> {
        let body_at = HEAD + usize::from(page[26]);
        let (lengths, body) = (page.get(HEAD..body_at)?, page.get(body_at..)?);
        let serial: [u8; 4] = *page[14..].first_chunk()?;
        let (goes_on, begins) = (page[5] & 1 != 0, page[5] & 2 != 0);
        if begins {
            if let Some(codec) = Codec::of(body) {
                self.comments.retain(|comments| comments.serial != serial);
                self.comments.truncate(MAX_STREAMS);
                self.comments.push(Comments {
                    serial,
                    codec,
                    begun: false,
                });
            }
            return Some(page);
        }
        let Some(index) = self.comments.iter().position(|some| some.serial == serial) else {
            return Some(page);
        };
        let comments = &mut self.comments[index];
        let codec = comments.codec;
        let here = if comments.begun {
            goes_on
        } else {
            body.starts_with(codec.mark())
        };
        comments.begun = true;
        let last = lengths.iter().position(|&length| length < 255);
        let (n_lengths, n_bytes) = match last {
            Some(last) if here => {
                let n_bytes = lengths[..=last].iter().map(|&n| usize::from(n)).sum();
                (last + 1, n_bytes)
            }
            None if here => return None,
            // They are lost. Opus needs none; what else is lost with those of Vorbis, it does.
            _ => (0, 0),
        };
        self.comments.swap_remove(index);
        if n_lengths == 0 && codec == Codec::Vorbis {
            return Some(page);
        }
        let none = codec.no_comments();
        let mut out = Vec::with_capacity(page.len());
        if n_lengths == 0 {
            // A page of their own, as this one may be full.
            out.extend(&page[..HEAD]);
            out[5] = 0;
            out[6..14].fill(0);
            finish(&mut out, &[none.len() as u8], &none);
            out.extend(&page);
            return Some(out);
        }
        out.extend(&page[..HEAD]);
        out[5] &= !1;
        let lengths = [&[none.len() as u8], &lengths[n_lengths..]].concat();
        let body = [&none, body.get(n_bytes..).unwrap_or_default()].concat();
        finish(&mut out, &lengths, &body);
        Some(out)
    }
}

/// Makes a page of its head.
fn finish(page: &mut Vec<u8>, lengths: &[u8], body: &[u8]) {
    page[26] = lengths.len() as u8;
    page.extend(lengths);
    page.extend(body);
    let sum = sum(page);
    page[22..26].copy_from_slice(&sum);
}

/// The checksum of a page, in which that itself counts as zero.
fn sum(page: &[u8]) -> [u8; 4] {
    let mut sum = Crc32::new(0);
    let (before, behind) = page.split_at(22);
    sum.process_buf_bytes(before);
    sum.process_buf_bytes(&[0; 4]);
    sum.process_buf_bytes(behind.get(4..).unwrap_or_default());
    sum.crc().to_le_bytes()
}

/// Bytes of the page that begins here, as it says; `None` if the stream ends within its head.
fn length(input: &mut Input) -> io::Result<Option<usize>> {
    let Some(&n_segments) = input.peek(HEAD)?.get(26) else {
        return Ok(None);
    };
    let head = HEAD + usize::from(n_segments);
    let lengths = input.peek(head)?.get(HEAD..head);
    Ok(lengths.map(|lengths| head + lengths.iter().map(|&n| usize::from(n)).sum::<usize>()))
}

fn take(input: &mut Input, n: usize) -> io::Result<Vec<u8>> {
    let bytes = input.peek(n)?.to_vec();
    input.advance(bytes.len());
    Ok(bytes)
}

/// Goes to the next mark, or to the end.
fn seek_mark(input: &mut Input) -> io::Result<()> {
    loop {
        let ahead = input.look(HEAD)?;
        let found = ahead.windows(MARK.len()).position(|five| five == MARK);
        let n = match found {
            Some(at) => at,
            None if ahead.len() < HEAD => ahead.len(),
            None => ahead.len() + 1 - MARK.len(),
        };
        let at_end = found.is_none() && ahead.len() < HEAD;
        input.advance(n);
        if found.is_some() || at_end {
            return Ok(());
        }
    }
}

/// Whether a file of another format is joined on here.
fn begins_another(input: &mut Input) -> io::Result<bool> {
    let ahead = input.peek(64)?;
    Ok(ahead.starts_with(b"ID3") || signature::kind(ahead).is_read() || Frames::come_at(input, 0)?)
}
