//! What tags say, as another reader than ours understands it: for playlists, and to look twice at
//! what was written.

use std::{fs::File, path::Path};

use lofty::{
    config::ParseOptions,
    file::{AudioFile as _, TaggedFile, TaggedFileExt as _},
    picture::Picture,
    probe::Probe,
    tag::{Accessor as _, ItemKey, ItemValue},
};

/// What a list of songs shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct About {
    /// Title of the song.
    pub title: Option<String>,
    /// Who plays.
    pub artist: Option<String>,
    /// Where it is from.
    pub album: Option<String>,
    /// Genre that the tag names.
    pub genre: Option<String>,
    /// Comment for people.
    pub comment: Option<String>,
    /// Whole seconds.
    pub seconds: u64,
    /// Thousands of bits a second.
    pub bitrate: u32,
    /// Samples a second.
    pub sample_rate: u32,
}

fn tagged(path: &Path) -> Option<TaggedFile> {
    let options = ParseOptions::new().max_junk_bytes(1 << 20);
    // A file is what it holds, whatever its name.
    let reader = std::io::BufReader::new(File::open(path).ok()?);
    let probe = Probe::new(reader).options(options).guess_file_type().ok()?;
    probe.read().ok()
}

/// What the tags of the file at `path` say; nothing where they cannot be read.
pub fn about(path: &Path) -> About {
    let Some(file) = tagged(path) else {
        return About::default();
    };
    let properties = file.properties();
    let mut about = About {
        seconds: properties.duration().as_secs(),
        bitrate: properties.audio_bitrate().unwrap_or(0),
        sample_rate: properties.sample_rate().unwrap_or(0),
        ..About::default()
    };
    let tags = file.primary_tag().into_iter().chain(file.tags());
    for tag in tags {
        let own = |text: Option<std::borrow::Cow<'_, str>>| text.map(std::borrow::Cow::into_owned);
        about.title = about.title.or_else(|| own(tag.title()));
        about.artist = about.artist.or_else(|| own(tag.artist()));
        about.album = about.album.or_else(|| own(tag.album()));
        about.genre = about.genre.or_else(|| own(tag.genre()));
        about.comment = about.comment.or_else(|| own(tag.comment()));
    }
    about
}

/// A tag's kind, entries and pictures.
type OneTag = (String, Vec<(ItemKey, ItemValue)>, Vec<Picture>);

/// All that must be the same before and after.
#[derive(Debug, PartialEq)]
pub struct Rest {
    items: Vec<OneTag>,
    milliseconds: u128,
    sample_rate: Option<u32>,
    channels: Option<u8>,
}

/// What the file at `path` says beside genre, comment and entries of our own; `None` where it
/// cannot be read so.
pub fn rest(path: &Path) -> Option<Rest> {
    let file = tagged(path)?;
    let properties = file.properties();
    let mut items = Vec::new();
    for tag in file.tags() {
        let mut kept: Vec<(ItemKey, ItemValue)> = tag
            .items()
            .filter(|item| !matches!(item.key(), ItemKey::Genre | ItemKey::Comment))
            .map(|item| (item.key(), item.value().clone()))
            .collect();
        kept.sort_by_key(|item| format!("{item:?}"));
        if !kept.is_empty() || !tag.pictures().is_empty() {
            items.push((
                format!("{:?}", tag.tag_type()),
                kept,
                tag.pictures().to_vec(),
            ));
        }
    }
    items.sort_by(|a, b| a.0.cmp(&b.0));
    Some(Rest {
        items,
        milliseconds: properties.duration().as_millis(),
        sample_rate: properties.sample_rate(),
        channels: properties.channels(),
    })
}

impl Rest {
    /// What of `self` is not in `after`, in a word; `None` where nothing is lost.
    pub fn lost_in(&self, after: &Rest) -> Option<&'static str> {
        if self.sample_rate != after.sample_rate || self.channels != after.channels {
            return Some("its sound");
        }
        // Where the length is a guess, it is made from the number of bytes, tags included.
        if self.milliseconds.abs_diff(after.milliseconds) > 500 {
            return Some("its length");
        }
        for (kind, items, pictures) in &self.items {
            let Some((_, new, new_pictures)) = after.items.iter().find(|(other, ..)| other == kind)
            else {
                return Some("a whole tag");
            };
            if pictures != new_pictures {
                return Some("a picture");
            }
            if !items.iter().all(|item| new.contains(item)) {
                return Some("an entry of its tag");
            }
        }
        None
    }
}
