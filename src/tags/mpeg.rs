//! MPEG audio and AAC streams: ID3v2 in front, APEv2 and ID3v1 behind.

use super::{
    Change, Field, Source, Splice, Style, TagError, any_text, ape,
    id3::{self, v1_name, v1_number},
};

const V1: u64 = 128;
const NO_GENRE: u8 = 255;

/// The tags of a stream.
#[derive(Debug)]
pub(super) struct Mpeg {
    id3: Option<id3::Tag>,
    ape: Option<ape::Tag>,
    /// Where it begins, and its bytes.
    v1: Option<(u64, Vec<u8>)>,
}

/// A frame begins in the first bytes.
pub(super) fn is_mpeg(source: &mut Source<'_>) -> Result<bool, TagError> {
    let start = source.up_to(0, 8_192)?;
    Ok(start
        .windows(2)
        .any(|pair| pair[0] == 0xff && pair[1] & 0xe0 == 0xe0 && pair[1] != 0xff))
}

impl Mpeg {
    pub(super) fn read(source: &mut Source<'_>, id3: Option<id3::Tag>) -> Result<Self, TagError> {
        let mut end = source.len;
        let v1_at = end.checked_sub(V1);
        let v1 = match v1_at {
            Some(at) => {
                let bytes = source.exactly(at, V1)?;
                bytes.starts_with(b"TAG").then_some((at, bytes))
            }
            None => None,
        };
        if let Some((at, _)) = &v1 {
            end = *at;
        }
        Ok(Self {
            id3,
            ape: ape::Tag::before(source, end)?,
            v1,
        })
    }

    /// The tag that most programs read: ID3v2, unless there is only APEv2.
    fn main_is_ape(&self) -> bool {
        self.id3.is_none() && self.ape.as_ref().is_some_and(ape::Tag::describes)
    }

    pub(super) fn kind(&self, style: &Style) -> String {
        match &self.id3 {
            Some(id3) => id3.kind(),
            None if self.main_is_ape() => "APEv2".into(),
            None => format!("ID3v2.{}", style.id3),
        }
    }

    pub(super) fn values(&self, field: Field) -> Vec<String> {
        let id3 = self.id3.iter().flat_map(|id3| id3.values(field));
        let ape = self.ape.iter().flat_map(|ape| ape.values(field));
        let mut values: Vec<String> = id3.chain(ape).collect();
        // The old tag cuts texts short: it counts where there is no other.
        if let (true, Some((_, v1))) = (values.iter().all(String::is_empty), &self.v1) {
            match field {
                Field::Genre => values.extend(v1_name(v1[127]).map(str::to_owned)),
                Field::Comment => values.push(any_text(&v1[97..125])),
                Field::Own(_) => {}
            }
        }
        values
    }

    /// A new tag. What an old one says comes along: few programs look at both.
    fn new_id3(&self, style: &Style) -> id3::Tag {
        let mut tag = id3::Tag::new(0, style.id3);
        if let Some((_, v1)) = &self.v1 {
            let text = |from: usize, to: usize| any_text(&v1[from..to]).trim_end().to_owned();
            let year: &[u8; 4] = if style.id3 == 3 { b"TYER" } else { b"TDRC" };
            let mut texts = vec![
                (b"TIT2", text(3, 33)),
                (b"TPE1", text(33, 63)),
                (b"TALB", text(63, 93)),
                (year, text(93, 97)),
            ];
            if v1[125] == 0 && v1[126] != 0 {
                texts.push((b"TRCK", v1[126].to_string()));
            }
            tag.add_texts(&texts);
        }
        tag
    }

    pub(super) fn edit(&self, changes: &[Change], style: &Style) -> Result<Vec<Splice>, TagError> {
        let mut splices = Vec::new();
        if !self.main_is_ape() {
            let new = self.new_id3(style);
            let id3 = self.id3.as_ref().unwrap_or(&new);
            splices.push(Splice {
                at: id3.at,
                len: id3.len,
                new: id3.edited(changes, style)?,
            });
        }
        if let Some(ape) = &self.ape {
            // Beside a better tag, it says no more than it said.
            let mine: Vec<Change> = changes
                .iter()
                .filter(|change| self.main_is_ape() || !ape.values(change.field).is_empty())
                .cloned()
                .collect();
            if !mine.is_empty() {
                splices.push(Splice {
                    at: ape.at,
                    len: ape.len,
                    new: ape.edited(&mine),
                });
            }
        }
        let genre = changes.iter().find(|change| change.field == Field::Genre);
        if let (Some((at, v1)), Some(genre)) = (&self.v1, genre) {
            let number = genre
                .values
                .first()
                .map_or(NO_GENRE, |name| v1_number(name));
            if number != v1[127] {
                splices.push(Splice {
                    at: at + 127,
                    len: 1,
                    new: vec![number],
                });
            }
        }
        Ok(splices)
    }
}
