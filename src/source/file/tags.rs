//! Who plays: the artist that a file's tags name.

use std::{fs::File, path::Path};

use symphonia::core::{
    formats::{FormatOptions, probe::Hint},
    io::{MediaSourceStream, MediaSourceStreamOptions},
    meta::{MetadataOptions, StandardTag, Tag},
};

use super::guard::guarded;

/// The artist that the tags of the file at `path` name, that of the album before that of the track,
/// as it is written there; `None` where none is named, or the file cannot be read.
pub fn artist(path: &Path) -> Option<String> {
    let file = File::open(path).ok()?;
    // A pipe would be read away, and a folder has no tags.
    if !file.metadata().ok()?.is_file() {
        return None;
    }
    guarded(|| read(file, path)).ok()?
}

fn read(file: File, path: &Path) -> Option<String> {
    let stream = MediaSourceStream::new(Box::new(file), MediaSourceStreamOptions::default());
    let mut hint = Hint::new();
    if let Some(extension) = path.extension().and_then(|extension| extension.to_str()) {
        hint.with_extension(extension);
    }
    let options = (FormatOptions::default(), MetadataOptions::default());
    let probe = symphonia::default::get_probe();
    let mut format = probe.probe(&hint, stream, options.0, options.1).ok()?;
    let mut metadata = format.metadata();
    let revision = metadata.skip_to_latest()?;
    let per_track = revision.per_track.iter().map(|track| &track.metadata);
    let tags: Vec<&Tag> = std::iter::once(&revision.media)
        .chain(per_track)
        .flat_map(|container| &container.tags)
        .collect();
    let named = |of: fn(&StandardTag) -> Option<&str>| {
        let names = tags.iter().filter_map(|tag| of(tag.std.as_ref()?));
        let mut names = names.map(str::trim).filter(|name| !name.is_empty());
        names.next().map(str::to_owned)
    };
    named(|tag| match tag {
        StandardTag::AlbumArtist(name) => Some(name.as_str()),
        _ => None,
    })
    .or_else(|| {
        named(|tag| match tag {
            StandardTag::Artist(name) => Some(name.as_str()),
            _ => None,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A WAV file of silence with an ID3v1 tag at its end.
    fn wav(title: &str, artist: &str) -> Vec<u8> {
        let mut file = b"RIFF".to_vec();
        file.extend(16_036_u32.to_le_bytes());
        file.extend(b"WAVEfmt ");
        file.extend(16_u32.to_le_bytes());
        for value in [1_u16, 1, 8_000, 0, 16_000, 0, 2, 16] {
            file.extend(value.to_le_bytes());
        }
        file.extend(b"data");
        file.extend(16_000_u32.to_le_bytes());
        file.resize(file.len() + 16_000, 0);
        let mut tag = [0_u8; 128];
        tag[..3].copy_from_slice(b"TAG");
        tag[3..3 + title.len()].copy_from_slice(title.as_bytes());
        tag[33..33 + artist.len()].copy_from_slice(artist.as_bytes());
        file.extend(tag);
        file
    }

    #[test]
    fn the_artist_is_read_where_one_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a.wav");
        let read = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            artist(&path)
        };
        assert_eq!(read(&wav("x", " One ")), Some("One".into()));
        assert_eq!(read(&wav("x", "")), None);
        assert_eq!(read(b"no audio at all"), None);
        assert_eq!(artist(dir.path()), None);
        assert_eq!(artist(&dir.path().join("absent.mp3")), None);
    }
}
