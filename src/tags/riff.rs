//! WAV and AIFF: an ID3v2 tag in a chunk, and WAV's own list of texts.

use super::{
    Change, Field, Source, Splice, Style, TagError, any_text, be32, damaged, id3, le32, replaced,
};

/// The chunks of a file.
#[derive(Debug)]
pub(super) struct Riff {
    form: Form,
    /// Bytes behind the first eight that the file says it has.
    size: u64,
    /// Where the chunks end.
    end: u64,
    id3: Option<(Chunk, id3::Tag)>,
    info: Option<(Chunk, Info)>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Form {
    Wav,
    /// With a chunk of its own for lengths; where it has its size.
    Rf64(u64),
    Aiff,
}

#[derive(Clone, Copy, Debug)]
struct Chunk {
    at: u64,
    len: u64,
}

/// Texts by their four letters.
#[derive(Clone, Debug, Default)]
struct Info {
    texts: Vec<([u8; 4], Vec<u8>)>,
}

pub(super) fn is_riff(head: &[u8]) -> bool {
    let kind = head.get(8..12).unwrap_or_default();
    let wav = [&b"RIFF"[..], b"RF64", b"BW64"];
    wav.iter().any(|magic| head.starts_with(magic)) && kind == b"WAVE"
        || head.starts_with(b"FORM") && (kind == b"AIFF" || kind == b"AIFC")
}

fn letters(field: Field) -> Option<[u8; 4]> {
    match field {
        Field::Genre => Some(*b"IGNR"),
        Field::Comment => Some(*b"ICMT"),
        Field::Own(_) => None,
    }
}

impl Info {
    fn parse(bytes: &[u8]) -> Result<Self, TagError> {
        let mut texts = Vec::new();
        let mut rest = bytes;
        while rest.len() >= 8 {
            let n = le32(&rest[4..]) as usize;
            let Some(text) = rest.get(8..8 + n) else {
                return damaged("a text of its INFO list is longer than the list");
            };
            let id = [rest[0], rest[1], rest[2], rest[3]];
            texts.push((id, text.to_vec()));
            rest = rest.get(8 + n + n % 2..).unwrap_or_default();
        }
        Ok(Self { texts })
    }

    fn values(&self, field: Field) -> Vec<String> {
        let of_field = self
            .texts
            .iter()
            .filter(|(id, _)| Some(*id) == letters(field));
        of_field.map(|(_, text)| any_text(text)).collect()
    }

    fn edited(&self, changes: &[Change], style: &Style) -> Vec<u8> {
        let mut texts = self.texts.clone();
        for change in changes {
            let Some(id) = letters(change.field) else {
                continue;
            };
            let mut text = change.values.join(&style.separator).into_bytes();
            text.push(0);
            let new = if change.values.is_empty() {
                Vec::new()
            } else {
                vec![(id, text)]
            };
            texts = replaced(&texts, |(known, _)| *known == id, new);
        }
        let mut out = b"INFO".to_vec();
        for (id, text) in texts {
            out.extend(id);
            out.extend((text.len() as u32).to_le_bytes());
            out.extend(&text);
            if text.len() % 2 == 1 {
                out.push(0);
            }
        }
        out
    }
}

impl Riff {
    pub(super) fn read(source: &mut Source<'_>) -> Result<Self, TagError> {
        let head = source.exactly(0, 12)?;
        let mut form = match &head[..4] {
            b"FORM" => Form::Aiff,
            b"RIFF" => Form::Wav,
            _ => Form::Rf64(0),
        };
        let aiff = form == Form::Aiff;
        let u32_of = |bytes: &[u8]| u64::from(if aiff { be32(bytes) } else { le32(bytes) });
        let mut size = u32_of(&head[4..]);
        let mut data_len = None;
        let (mut id3, mut info) = (None, None);
        let mut at = 12;
        let mut sound = false;
        while at + 8 <= source.len {
            let head = source.exactly(at, 8)?;
            // Some programs count wrong: chunks go on as long as they look like chunks.
            let looks = head[..4].iter().all(|byte| (0x20..0x7f).contains(byte));
            let len = u32_of(&head[4..]);
            if at >= size.saturating_add(8) && !(looks && at + 8 + len <= source.len) {
                break;
            }
            let mut chunk = Chunk { at, len };
            let id = &head[..4];
            if id == b"ds64" && form != Form::Aiff {
                let long = source.exactly(at + 8, 16)?;
                let le64 =
                    |bytes: &[u8]| u64::from(le32(bytes)) | u64::from(le32(&bytes[4..])) << 32;
                size = le64(&long);
                data_len = Some(le64(&long[8..]));
                form = Form::Rf64(at + 8);
            }
            if id == b"data" && chunk.len == u64::from(u32::MAX) {
                chunk.len = data_len.unwrap_or(chunk.len);
            }
            sound |= id == b"data" || id == b"SSND";
            let end = at + 8 + chunk.len;
            if end > source.len {
                let name = any_text(id);
                return damaged(format!(
                    "chunk '{}' is said to be longer than the file",
                    name.trim()
                ));
            }
            if id.eq_ignore_ascii_case(b"id3 ") && id3.is_none() {
                if let Some(tag) = id3::Tag::at(source, at + 8)? {
                    if tag.len > chunk.len {
                        return damaged("its ID3v2 tag is longer than the chunk that holds it");
                    }
                    id3 = Some((chunk, tag));
                }
            } else if id == b"LIST" && form != Form::Aiff && info.is_none() && chunk.len >= 4 {
                let bytes = source.exactly(at + 8, chunk.len)?;
                if let Some(texts) = bytes.strip_prefix(b"INFO") {
                    info = Some((chunk, Info::parse(texts)?));
                }
            }
            at = end + chunk.len % 2;
        }
        if !sound {
            return damaged("it has no chunk of sound");
        }
        Ok(Self {
            form,
            // What a reader would not look at must not hold the tag.
            size: size.max(at - 8),
            // The last chunk may lack the byte that makes it even.
            end: at,
            id3,
            info,
        })
    }

    pub(super) fn kind(&self, style: &Style) -> String {
        let id3 = match (&self.id3, &self.info) {
            (Some((_, tag)), _) => Some(tag.kind()),
            (None, Some(_)) => None,
            (None, None) => Some(format!("ID3v2.{}", style.id3)),
        };
        let info = self.form != Form::Aiff && (self.info.is_some() || self.id3.is_none());
        let parts: Vec<String> = id3
            .into_iter()
            .chain(info.then(|| "INFO".to_owned()))
            .collect();
        let form = if self.form == Form::Aiff {
            "AIFF"
        } else {
            "WAV"
        };
        format!("{form} {}", parts.join(" and "))
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let id3 = self.id3.iter().flat_map(|(_, tag)| tag.values(field));
        let info = self.info.iter().flat_map(|(_, info)| info.values(field));
        id3.chain(info).collect()
    }

    fn u32_bytes(&self, n: u64) -> Result<[u8; 4], TagError> {
        let n = u32::try_from(n)
            .map_err(|_| TagError::Unusual("the file would be longer than 4 GiB".into()))?;
        Ok(if self.form == Form::Aiff {
            n.to_be_bytes()
        } else {
            n.to_le_bytes()
        })
    }

    fn chunk(&self, id: &[u8], content: &[u8]) -> Result<Vec<u8>, TagError> {
        let mut out = id.to_vec();
        out.extend(self.u32_bytes(content.len() as u64)?);
        out.extend(content);
        if content.len() % 2 == 1 {
            out.push(0);
        }
        Ok(out)
    }

    /// What is there gets the values; a file without any tag gets all that its format has.
    pub(super) fn edit(
        &self,
        source: &mut Source<'_>,
        changes: &[Change],
        style: &Style,
    ) -> Result<Vec<Splice>, TagError> {
        let none = self.id3.is_none() && self.info.is_none();
        let own = changes
            .iter()
            .any(|change| letters(change.field).is_none() && !change.values.is_empty());
        let mut splices = Vec::new();
        let mut behind = Vec::new();
        if let Some((chunk, tag)) = &self.id3 {
            let old = source.exactly(chunk.at, 8)?;
            let id = [old[0], old[1], old[2], old[3]];
            splices.push(self.instead(source.len, *chunk, &id, &tag.edited(changes, style)?)?);
        } else if none || own {
            let tag = id3::Tag::new(0, style.id3).edited(changes, style)?;
            let id = if self.form == Form::Aiff {
                b"ID3 "
            } else {
                b"id3 "
            };
            behind.extend(self.chunk(id, &tag)?);
        }
        if let Some((chunk, info)) = &self.info {
            splices.push(self.instead(
                source.len,
                *chunk,
                b"LIST",
                &info.edited(changes, style),
            )?);
        } else if none && self.form != Form::Aiff {
            behind.extend(self.chunk(b"LIST", &Info::default().edited(changes, style))?);
        }
        if !behind.is_empty() {
            let at = self.end.min(source.len);
            if at < self.end {
                behind.insert(0, 0);
            }
            splices.push(Splice::insert(at, behind));
        }
        let grown: i64 = splices
            .iter()
            .map(|splice| splice.new.len() as i64 - splice.len as i64)
            .sum();
        let new_size = self.size.saturating_add_signed(grown);
        if grown != 0 {
            splices.push(match self.form {
                Form::Rf64(at) if at > 0 => Splice {
                    at,
                    len: 8,
                    new: new_size.to_le_bytes().to_vec(),
                },
                _ => Splice {
                    at: 4,
                    len: 4,
                    new: self.u32_bytes(new_size)?.to_vec(),
                },
            });
        }
        Ok(splices)
    }

    /// A chunk in the place of one that is there.
    fn instead(
        &self,
        file: u64,
        old: Chunk,
        id: &[u8],
        content: &[u8],
    ) -> Result<Splice, TagError> {
        let new = self.chunk(id, content)?;
        Ok(Splice {
            at: old.at,
            // The byte that makes it even may lack at the end of the file.
            len: (8 + old.len + old.len % 2).min(file - old.at),
            new,
        })
    }
}
