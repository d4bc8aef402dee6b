//! APEv2 at the end of a file.

use super::{Change, Field, Source, TagError, any_text, damaged, le32, replaced};

const FOOTER: u64 = 32;
const HAS_HEADER: u32 = 1 << 31;

/// A tag.
#[derive(Clone, Debug)]
pub(super) struct Tag {
    pub(super) at: u64,
    pub(super) len: u64,
    header: bool,
    footer: Vec<u8>,
    items: Vec<Vec<u8>>,
}

fn key(field: Field) -> &'static str {
    match field {
        Field::Genre => "Genre",
        Field::Comment => "Comment",
        Field::Own(name) => name,
    }
}

/// Key and value.
fn parts(item: &[u8]) -> (&[u8], &[u8]) {
    let rest = item.get(8..).unwrap_or_default();
    let end = rest.iter().position(|&b| b == 0).unwrap_or(rest.len());
    (&rest[..end], rest.get(end + 1..).unwrap_or_default())
}

fn is(item: &[u8], name: &str) -> bool {
    parts(item).0.eq_ignore_ascii_case(name.as_bytes())
}

impl Tag {
    /// The tag that ends at `end`, if there is one.
    pub(super) fn before(source: &mut Source<'_>, end: u64) -> Result<Option<Self>, TagError> {
        let Some(at) = end.checked_sub(FOOTER) else {
            return Ok(None);
        };
        let footer = source.exactly(at, FOOTER)?;
        if !footer.starts_with(b"APETAGEX") {
            return Ok(None);
        }
        let size = u64::from(le32(&footer[12..]));
        let n = le32(&footer[16..]);
        let header = le32(&footer[20..]) & HAS_HEADER != 0;
        let len = size + if header { FOOTER } else { 0 };
        let Some(start) = end.checked_sub(len).filter(|_| size >= FOOTER) else {
            return damaged("its APE tag is longer than the file");
        };
        let first = end - size;
        let bytes = source.exactly(first, size - FOOTER)?;
        let mut items = Vec::new();
        let mut rest = &bytes[..];
        for _ in 0..n {
            let value = le32(rest) as usize;
            let key = rest.get(8..).unwrap_or_default();
            let end = key
                .iter()
                .position(|&byte| byte == 0)
                .map(|n| 8 + n + 1 + value);
            let Some((item, behind)) = end.and_then(|end| rest.split_at_checked(end)) else {
                return damaged("an item of its APE tag is longer than the tag");
            };
            items.push(item.to_vec());
            rest = behind;
        }
        if !rest.is_empty() {
            return damaged("its APE tag holds more than its items");
        }
        Ok(Some(Self {
            at: start,
            len,
            header,
            footer,
            items,
        }))
    }

    /// It says more than how loud the song is.
    pub(super) fn describes(&self) -> bool {
        let names = ["Title", "Artist", "Album", "Genre"];
        let mut items = self.items.iter();
        items.any(|item| names.iter().any(|name| is(item, name)))
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let of_field = self.items.iter().filter(|item| is(item, key(field)));
        of_field
            .flat_map(|item| parts(item).1.split(|&byte| byte == 0).map(any_text))
            .collect()
    }

    /// The whole tag after `changes`.
    pub(super) fn edited(&self, changes: &[Change]) -> Vec<u8> {
        let mut items = self.items.clone();
        for change in changes {
            let new = if change.values.is_empty() {
                Vec::new()
            } else {
                let value = change.values.join("\0");
                let mut item = (value.len() as u32).to_le_bytes().to_vec();
                item.extend([0; 4]);
                item.extend(key(change.field).as_bytes());
                item.push(0);
                item.extend(value.as_bytes());
                vec![item]
            };
            items = replaced(&items, |item| is(item, key(change.field)), new);
        }
        let body = items.concat();
        let mut footer = self.footer.clone();
        footer[12..16].copy_from_slice(&(body.len() as u32 + FOOTER as u32).to_le_bytes());
        footer[16..20].copy_from_slice(&(items.len() as u32).to_le_bytes());
        let mut out = Vec::new();
        if self.header {
            let mut header = footer.clone();
            // "This is the header."
            header[23] |= 0x20;
            out.extend(header);
        }
        out.extend(body);
        out.extend(footer);
        out
    }
}
