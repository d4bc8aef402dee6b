//! The comments of Vorbis, Opus and FLAC in Ogg: pages are filled anew, and numbered anew only
//! where their number changes.

use super::{Change, Field, Source, Splice, TagError, damaged, le32, vorbis::Comments};

const HEADER: usize = 27;

/// Bytes of a page, at most.
const LONGEST: u64 = 65_307;

/// Comments end somewhere: a packet that does not is none.
const MOST_PAGES: usize = 10_000;

/// One stream of a file, up to where its comments and what shares pages with them end.
#[derive(Debug)]
pub(super) struct Ogg {
    codec: Codec,
    serial: [u8; 4],
    /// Pages that hold the comments, and what follows them on the last one.
    pages: Vec<Page>,
    /// Packets of these pages; the first is the comments.
    packets: Vec<Vec<u8>>,
    comments: Comments,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Codec {
    Vorbis,
    Opus,
    Flac,
}

#[derive(Clone, Debug)]
struct Page {
    at: u64,
    header: Vec<u8>,
    /// Lengths of its segments.
    lacing: Vec<u8>,
    body: Vec<u8>,
}

impl Page {
    fn at(source: &mut Source<'_>, at: u64) -> Result<Self, TagError> {
        let header = source.exactly(at, HEADER as u64)?;
        if !header.starts_with(b"OggS") {
            return damaged(format!("there is no page at byte {at}"));
        }
        let lacing = source.exactly(at + HEADER as u64, u64::from(header[26]))?;
        let n = lacing.iter().map(|&n| u64::from(n)).sum();
        let body = source.exactly(at + HEADER as u64 + lacing.len() as u64, n)?;
        Ok(Self {
            at,
            header,
            lacing,
            body,
        })
    }

    fn len(&self) -> u64 {
        (HEADER + self.lacing.len() + self.body.len()) as u64
    }

    fn serial(&self) -> &[u8] {
        &self.header[14..18]
    }

    fn number(&self) -> u32 {
        le32(&self.header[18..])
    }

    fn is_first(&self) -> bool {
        self.header[5] & 2 != 0
    }

    /// The last packet ends on it.
    fn is_closed(&self) -> bool {
        self.lacing.last().is_none_or(|&n| n < 255)
    }

    fn n_ends(&self) -> usize {
        self.lacing.iter().filter(|&&n| n < 255).count()
    }

    fn to_bytes(&self, number: u32) -> Vec<u8> {
        let mut bytes = self.header.clone();
        bytes[18..22].copy_from_slice(&number.to_le_bytes());
        bytes[22..26].fill(0);
        bytes[26] = self.lacing.len() as u8;
        bytes.extend(&self.lacing);
        bytes.extend(&self.body);
        let sum = checksum(&bytes);
        bytes[22..26].copy_from_slice(&sum.to_le_bytes());
        bytes
    }
}

const TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = (index as u32) << 24;
        let mut bit = 0;
        while bit < 8 {
            value = value << 1 ^ if value >> 31 == 1 { 0x04c1_1db7 } else { 0 };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

fn checksum(bytes: &[u8]) -> u32 {
    bytes.iter().fold(0, |sum, &byte| {
        sum << 8 ^ TABLE[(sum >> 24) as usize ^ usize::from(byte)]
    })
}

/// Segments that a packet takes: it ends with one that is not full.
fn n_segments(packet: &[u8]) -> usize {
    packet.len() / 255 + 1
}

impl Ogg {
    pub(super) fn read(source: &mut Source<'_>) -> Result<Self, TagError> {
        let mut at = 0;
        let mut stream = None;
        let mut pages: Vec<Page> = Vec::new();
        for _ in 0..MOST_PAGES {
            let page = Page::at(source, at)?;
            at += page.len();
            match &stream {
                None => {
                    let body = &page.body;
                    let codec = if body.starts_with(b"\x01vorbis") {
                        Codec::Vorbis
                    } else if body.starts_with(b"OpusHead") {
                        Codec::Opus
                    } else if body.starts_with(b"\x7fFLAC") {
                        Codec::Flac
                    } else if page.is_first() {
                        continue;
                    } else {
                        return Err(TagError::Format("such Ogg"));
                    };
                    if page.n_ends() != 1 || !page.is_closed() {
                        return damaged("its first page holds more than its first packet");
                    }
                    stream = Some((
                        codec,
                        <[u8; 4]>::try_from(page.serial()).unwrap_or_default(),
                    ));
                }
                Some((codec, serial)) if page.serial() == serial => {
                    let closed = page.is_closed() && page.n_ends() > 0;
                    pages.push(page);
                    if closed {
                        return Self::of(*codec, *serial, pages);
                    }
                }
                // Of another stream.
                Some(_) => {}
            }
        }
        damaged("its comments do not end")
    }

    fn of(codec: Codec, serial: [u8; 4], pages: Vec<Page>) -> Result<Self, TagError> {
        let mut packets = Vec::new();
        let mut packet = Vec::new();
        for page in &pages {
            let mut rest = &page.body[..];
            for &n in &page.lacing {
                let (segment, behind) = rest.split_at(usize::from(n));
                packet.extend(segment);
                rest = behind;
                if n < 255 {
                    packets.push(std::mem::take(&mut packet));
                }
            }
        }
        let first = &packets[0];
        let comments = match codec {
            Codec::Vorbis => first.strip_prefix(b"\x03vorbis"),
            Codec::Opus => first.strip_prefix(b"OpusTags"),
            Codec::Flac => first.get(4..).filter(|_| first[0] & 0x7f == 4),
        };
        let Some(comments) = comments else {
            return damaged("there are no comments in its second packet");
        };
        Ok(Self {
            codec,
            serial,
            comments: Comments::parse(comments)?,
            pages,
            packets,
        })
    }

    pub(super) fn kind(&self) -> &'static str {
        match self.codec {
            Codec::Vorbis => "Ogg Vorbis",
            Codec::Opus => "Opus",
            Codec::Flac => "Ogg FLAC",
        }
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        self.comments.values(field)
    }

    fn packet(&self, comments: &Comments) -> Result<Vec<u8>, TagError> {
        let bytes = comments.to_bytes();
        let mut packet = match self.codec {
            Codec::Vorbis => b"\x03vorbis".to_vec(),
            Codec::Opus => b"OpusTags".to_vec(),
            Codec::Flac => {
                if bytes.len() >= 1 << 24 {
                    return Err(TagError::Unusual("it has no room".into()));
                }
                let mut header = (bytes.len() as u32).to_be_bytes();
                header[0] = self.packets[0][0];
                header.to_vec()
            }
        };
        packet.extend(bytes);
        Ok(packet)
    }

    pub(super) fn edit(
        &self,
        source: &mut Source<'_>,
        changes: &[Change],
    ) -> Result<Vec<Splice>, TagError> {
        let mut comments = self.comments.clone();
        comments.change(changes);
        let mut packets = self.packets.clone();
        packets[0] = self.packet(&comments)?;
        // Opus allows padding behind its comments.
        let grown = packets[0].len().saturating_sub(self.packets[0].len());
        if self.codec == Codec::Opus && grown > 0 && comments.shrink_padding(grown) {
            packets[0] = self.packet(&comments)?;
        }
        let new = self.filled(&packets);
        let mut splices: Vec<Splice> = Vec::new();
        for (index, page) in self.pages.iter().enumerate() {
            let mut bytes = Vec::new();
            let mine = if index + 1 == self.pages.len() {
                new.get(index..).unwrap_or_default()
            } else {
                new.get(index..=index).unwrap_or_default()
            };
            for (page, behind) in mine.iter().zip(index as u32..) {
                bytes.extend(page.to_bytes(self.pages[0].number().wrapping_add(behind)));
            }
            splices.push(Splice {
                at: page.at,
                len: page.len(),
                new: bytes,
            });
        }
        let more = (new.len() as u32).wrapping_sub(self.pages.len() as u32);
        if more != 0 {
            self.renumber(source, more, &mut splices)?;
        }
        Ok(splices)
    }

    /// The packets in pages: as many as there were, if that can be, and cut where they were cut.
    fn filled(&self, packets: &[Vec<u8>]) -> Vec<Page> {
        let lacing: Vec<u8> = packets
            .iter()
            .flat_map(|packet| {
                let full = std::iter::repeat_n(255, packet.len() / 255);
                full.chain([(packet.len() % 255) as u8])
            })
            .collect();
        let mut body = &packets.concat()[..];
        let mut rest = packets;
        let by_packet: Vec<usize> = self
            .pages
            .iter()
            .map(|page| {
                let (mine, behind) = rest.split_at(page.n_ends().min(rest.len()));
                rest = behind;
                mine.iter().map(|packet| n_segments(packet)).sum()
            })
            .collect();
        let cut_at_packets = self.pages.iter().all(Page::is_closed)
            && by_packet.iter().all(|n| (1..=255).contains(n));
        let n_pages = lacing
            .len()
            .div_ceil(255)
            .max(self.pages.len().min(lacing.len()));
        let counts = if cut_at_packets {
            by_packet
        } else {
            let mut left = lacing.len();
            (0..n_pages)
                .rev()
                .map(|behind| {
                    let n = 255.min(left - behind);
                    left -= n;
                    n
                })
                .collect()
        };
        let mut lacing = &lacing[..];
        let mut goes_on = false;
        let mut pages = Vec::new();
        for n in counts {
            let (mine, behind) = lacing.split_at(n);
            lacing = behind;
            let n_bytes = mine.iter().map(|&n| usize::from(n)).sum();
            let (content, after) = body.split_at(n_bytes);
            body = after;
            let mut header = self.pages[0].header.clone();
            header[5] = u8::from(goes_on);
            // Where no packet ends there is no time.
            let ends = mine.iter().any(|&n| n < 255);
            header[6..14].fill(if ends { 0 } else { 0xff });
            goes_on = mine.last() == Some(&255);
            pages.push(Page {
                at: 0,
                header,
                lacing: mine.to_vec(),
                body: content.to_vec(),
            });
        }
        pages
    }

    /// Gives the pages behind the comments numbers that are `more` higher.
    fn renumber(
        &self,
        source: &mut Source<'_>,
        more: u32,
        splices: &mut Vec<Splice>,
    ) -> Result<(), TagError> {
        let Some(last) = self.pages.last() else {
            return Ok(());
        };
        let mut at = last.at + last.len();
        while at < source.len {
            let page = match Page::at(source, at) {
                // The recording broke off within its last page.
                Err(TagError::Damaged(_)) if source.len - at < LONGEST => break,
                page => page?,
            };
            // Another song follows this one.
            if page.is_first() && page.serial() == self.serial {
                break;
            }
            if page.serial() == self.serial {
                let bytes = page.to_bytes(page.number().wrapping_add(more));
                splices.push(Splice {
                    at: at + 18,
                    len: 8,
                    new: bytes[18..26].to_vec(),
                });
            }
            at += page.len();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_checksum_is_that_of_ogg() {
        assert_eq!(checksum(b"123456789"), 0x89a1_897f);
    }
}
