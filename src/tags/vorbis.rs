//! Vorbis comments, and the blocks of FLAC that hold them.

use super::{
    Change, Field, Source, Splice, Style, TagError, any_text, be32, damaged, id3, le32, replaced,
};

/// The comments of a packet or block, entry by entry.
#[derive(Clone, Debug, Default)]
pub(super) struct Comments {
    vendor: Vec<u8>,
    entries: Vec<Vec<u8>>,
    /// What stands behind the entries: Vorbis' framing bit, padding of Opus.
    behind: Vec<u8>,
}

fn key(field: Field) -> &'static str {
    match field {
        Field::Genre => "GENRE",
        Field::Comment => "COMMENT",
        Field::Own(name) => name,
    }
}

fn value(entry: &[u8], field: Field) -> Option<&[u8]> {
    let equals = entry.iter().position(|&byte| byte == b'=')?;
    let (name, value) = entry.split_at(equals);
    name.eq_ignore_ascii_case(key(field).as_bytes())
        .then_some(&value[1..])
}

impl Comments {
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, TagError> {
        fn take<'a>(rest: &mut &'a [u8]) -> Result<&'a [u8], TagError> {
            let n = le32(rest) as usize;
            let taken = rest
                .get(4..)
                .and_then(|rest| rest.split_at_checked(n))
                .filter(|_| rest.len() >= 4);
            let Some((text, behind)) = taken else {
                return damaged("an entry of its Vorbis comments is longer than they are");
            };
            *rest = behind;
            Ok(text)
        }
        let mut rest = bytes;
        let vendor = take(&mut rest)?.to_vec();
        if rest.len() < 4 {
            return damaged("its Vorbis comments break off");
        }
        let n = le32(rest);
        rest = &rest[4..];
        let entries = (0..n)
            .map(|_| take(&mut rest).map(<[u8]>::to_vec))
            .collect::<Result<_, _>>()?;
        Ok(Self {
            vendor,
            entries,
            behind: rest.to_vec(),
        })
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let of_field = self.entries.iter().filter_map(|entry| value(entry, field));
        of_field.map(any_text).collect()
    }

    pub(super) fn change(&mut self, changes: &[Change]) {
        for change in changes {
            let is_field = |entry: &Vec<u8>| value(entry, change.field).is_some();
            // The key stays as it is written there.
            let old_key = self
                .entries
                .iter()
                .find(|entry| is_field(entry))
                .map(|entry| {
                    let n = key(change.field).len();
                    String::from_utf8_lossy(&entry[..n]).into_owned()
                });
            let key = old_key.unwrap_or_else(|| key(change.field).into());
            let new = change.values.iter();
            let new = new.map(|value| format!("{key}={value}").into_bytes());
            self.entries = replaced(&self.entries, is_field, new.collect());
        }
    }

    /// Bytes behind the entries that mean nothing.
    pub(super) fn shrink_padding(&mut self, by: usize) -> bool {
        let free = self.behind.iter().all(|&byte| byte == 0);
        let fits = free && self.behind.len() > by;
        if fits {
            self.behind.truncate(self.behind.len() - by);
        }
        fits
    }

    pub(super) fn to_bytes(&self) -> Vec<u8> {
        let mut out = Vec::new();
        let mut put = |text: &[u8]| {
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(text);
        };
        put(&self.vendor);
        let mut entries = Vec::new();
        std::mem::swap(&mut out, &mut entries);
        let mut out = entries;
        out.extend((self.entries.len() as u32).to_le_bytes());
        for entry in &self.entries {
            out.extend((entry.len() as u32).to_le_bytes());
            out.extend(entry);
        }
        out.extend(&self.behind);
        out
    }
}

/// Free bytes that are left behind the comments of a FLAC file that had none.
const PADDING: usize = 1_024;
const STREAM_INFO: u8 = 0;
const PADDING_BLOCK: u8 = 1;
const COMMENT_BLOCK: u8 = 4;

/// A FLAC file.
#[derive(Debug)]
pub(super) struct Flac {
    /// A tag in front of it, which does not belong there, but may be there.
    id3: Option<id3::Tag>,
    blocks: Vec<Block>,
    comments: Option<(usize, Comments)>,
}

#[derive(Clone, Copy, Debug)]
struct Block {
    at: u64,
    kind: u8,
    last: bool,
    len: u64,
}

fn header(kind: u8, last: bool, len: usize) -> Result<[u8; 4], TagError> {
    if len >= 1 << 24 {
        return Err(TagError::Unusual("it has no room".into()));
    }
    let mut header = (len as u32).to_be_bytes();
    header[0] = kind | u8::from(last) << 7;
    Ok(header)
}

impl Flac {
    pub(super) fn read(source: &mut Source<'_>, id3: Option<id3::Tag>) -> Result<Self, TagError> {
        let mut at = id3.as_ref().map_or(0, id3::Tag::end) + 4;
        let mut blocks = Vec::new();
        let mut comments = None;
        loop {
            let head = source.exactly(at, 4)?;
            let block = Block {
                at,
                kind: head[0] & 0x7f,
                last: head[0] & 0x80 != 0,
                len: u64::from(be32(&[0, head[1], head[2], head[3]])),
            };
            if blocks.is_empty() && block.kind != STREAM_INFO {
                return damaged("its first block is not that of the stream");
            }
            if block.kind == COMMENT_BLOCK && comments.is_none() {
                let bytes = source.exactly(at + 4, block.len)?;
                comments = Some((blocks.len(), Comments::parse(&bytes)?));
            }
            at += 4 + block.len;
            if at > source.len {
                return damaged("a block is longer than the file");
            }
            blocks.push(block);
            if block.last {
                break;
            }
        }
        // A picture whose length is a lie would shift every block behind it.
        let behind = source.up_to(at, 2)?;
        if behind.len() == 2 && (behind[0] != 0xff || behind[1] & 0xfc != 0xf8) {
            return damaged("no sound begins where its blocks end");
        }
        Ok(Self {
            id3,
            blocks,
            comments,
        })
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let comments = self.comments.iter().flat_map(|(_, c)| c.values(field));
        let id3 = self.id3.iter().flat_map(|id3| id3.values(field));
        comments.chain(id3).collect()
    }

    pub(super) fn edit(&self, changes: &[Change], style: &Style) -> Result<Vec<Splice>, TagError> {
        let mut splices = Vec::new();
        if let Some(id3) = &self.id3 {
            let there: Vec<Change> = changes
                .iter()
                .filter(|change| !id3.values(change.field).is_empty())
                .cloned()
                .collect();
            if !there.is_empty() {
                splices.push(Splice {
                    at: id3.at,
                    len: id3.len,
                    new: id3.edited(&there, style)?,
                });
            }
        }
        let (index, mut comments) = match &self.comments {
            Some((index, comments)) => (Some(*index), comments.clone()),
            None => (
                None,
                Comments {
                    vendor: b"genrescope".to_vec(),
                    ..Comments::default()
                },
            ),
        };
        comments.change(changes);
        let bytes = comments.to_bytes();
        let Some(index) = index else {
            // Behind the block of the stream.
            let first = self.blocks[0];
            let mut new = header(COMMENT_BLOCK, false, bytes.len())?.to_vec();
            new.extend(&bytes);
            if first.last {
                new.extend(header(PADDING_BLOCK, true, PADDING)?);
                new.extend([0; PADDING]);
                splices.push(Splice {
                    at: first.at,
                    len: 1,
                    new: vec![STREAM_INFO],
                });
            }
            splices.push(Splice::insert(first.at + 4 + first.len, new));
            return self.absorbed(splices);
        };
        let block = self.blocks[index];
        let mut new = header(block.kind, block.last, bytes.len())?.to_vec();
        new.extend(&bytes);
        splices.push(Splice {
            at: block.at,
            len: 4 + block.len,
            new,
        });
        self.absorbed(splices)
    }

    /// Lets a block of padding take up what the others grew or shrank by, where it can.
    fn absorbed(&self, mut splices: Vec<Splice>) -> Result<Vec<Splice>, TagError> {
        let start = self.blocks[0].at;
        let own = splices.iter().filter(|splice| splice.at >= start);
        let grown: i64 = own
            .map(|splice| splice.new.len() as i64 - splice.len as i64)
            .sum();
        let padding = self
            .blocks
            .iter()
            .rfind(|block| block.kind == PADDING_BLOCK);
        if let Some(block) = padding
            && let Ok(left) = usize::try_from(block.len as i64 - grown)
            && grown != 0
            && left < 1 << 24
        {
            let mut new = header(PADDING_BLOCK, block.last, left)?.to_vec();
            new.resize(4 + left, 0);
            splices.push(Splice {
                at: block.at,
                len: 4 + block.len,
                new,
            });
        }
        Ok(splices)
    }
}
