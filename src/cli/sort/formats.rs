//! The formats of playlists and crates.

use std::{
    ffi::OsStr,
    path::{Component, Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest as _, Sha256};

use super::super::text::name_of;
use crate::{hexadecimal::hex, tags::read::About};

/// A song in a list.
#[derive(Debug)]
pub(super) struct ListedSong {
    /// Absolute, free of links.
    pub(super) path: PathBuf,
    pub(super) genre: String,
    pub(super) comment: String,
    pub(super) bytes: u64,
    pub(super) about: About,
}

/// The songs of one genre.
#[derive(Debug)]
pub(super) struct Crate {
    pub(super) name: String,
    pub(super) songs: Vec<Arc<ListedSong>>,
}

/// Where lists are written, and what their paths are relative to.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) folder: PathBuf,
    pub(super) relative: bool,
    pub(super) root: Option<PathBuf>,
}

/// A genre as the name of a file on any system.
pub(super) fn file_name(word: &str) -> String {
    let name: String = word
        .chars()
        .map(|c| {
            if c.is_control() || r#"/\:*?"<>|%"#.contains(c) {
                '_'
            } else {
                c
            }
        })
        .collect();
    let name = name.trim_matches(['.', ' ']);
    if name.is_empty() {
        "_".into()
    } else {
        name.into()
    }
}

impl ListedSong {
    fn title(&self) -> String {
        let stem = || name_of(Path::new(self.path.file_stem().unwrap_or_default()));
        self.about.title.clone().unwrap_or_else(stem)
    }

    fn artist(&self) -> &str {
        self.about.artist.as_deref().unwrap_or_default()
    }
}

/// `path` as it is named from `folder`.
fn relative_to(path: &Path, folder: &Path) -> PathBuf {
    let (theirs, ours): (Vec<_>, Vec<_>) =
        (path.components().collect(), folder.components().collect());
    let shared = theirs.iter().zip(&ours).take_while(|(a, b)| a == b).count();
    // Another drive.
    if shared == 0 {
        return path.to_owned();
    }
    let up = std::iter::repeat_n(Component::ParentDir, ours.len() - shared);
    up.chain(theirs[shared..].iter().copied()).collect()
}

/// A playlist in UTF-8. A line that begins with # would be a remark.
pub(super) fn m3u8(one: &Crate, place: &Place) -> Vec<u8> {
    let mut out = format!("#EXTM3U\n#EXTENC:UTF-8\n#PLAYLIST:{}\n", one.name).into_bytes();
    for song in &one.songs {
        let mut shown = song.title();
        if !song.artist().is_empty() {
            shown = format!("{} - {shown}", song.artist());
        }
        let shown = shown.replace(['\n', '\r'], " ");
        out.extend(format!("#EXTINF:{},{shown}\n", song.about.seconds).into_bytes());
        let path = if place.relative {
            relative_to(&song.path, &place.folder)
        } else {
            song.path.clone()
        };
        if path.as_os_str().as_encoded_bytes().starts_with(b"#") {
            out.extend(b"./");
        }
        out.extend(path.as_os_str().as_encoded_bytes());
        out.push(b'\n');
    }
    out
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out += "&amp;",
            '<' => out += "&lt;",
            '>' => out += "&gt;",
            '"' => out += "&quot;",
            '\n' | '\r' | '\t' => out += &format!("&#{};", u32::from(c)),
            // XML has no way to write these.
            c if c.is_control() || matches!(c, '\u{fffe}' | '\u{ffff}') => {}
            c => out.push(c),
        }
    }
    out
}

/// ` name="value"` of an element, for those with a value.
fn attributes(pairs: &[(&str, String)]) -> String {
    pairs
        .iter()
        .filter(|(_, value)| !value.is_empty())
        .fold(String::new(), |text, (name, value)| {
            text + &format!(" {name}=\"{}\"", escaped(value))
        })
}

/// The bytes of a path as a URL has them.
fn url(path: &Path) -> String {
    let mut out = String::from("file://localhost");
    let bytes = path.as_os_str().as_encoded_bytes();
    if !bytes.starts_with(b"/") {
        out.push('/');
    }
    for &byte in bytes {
        match byte {
            b'\\' if cfg!(windows) => out.push('/'),
            b'/' | b'-' | b'_' | b'.' | b'~' | b':' => out.push(char::from(byte)),
            byte if byte.is_ascii_alphanumeric() => out.push(char::from(byte)),
            byte => out += &format!("%{byte:02X}"),
        }
    }
    out
}

fn kind(path: &Path) -> String {
    let extension = path.extension().and_then(OsStr::to_str).unwrap_or_default();
    match extension.to_ascii_lowercase().as_str() {
        "m4a" | "mp4" => "M4A File".into(),
        "aif" | "aifc" => "AIFF File".into(),
        other => format!("{} File", other.to_ascii_uppercase()),
    }
}

/// Every song once, in the order of the crates.
fn songs(crates: &[Crate]) -> Vec<&Arc<ListedSong>> {
    let mut out: Vec<&Arc<ListedSong>> = Vec::new();
    let mut seen = std::collections::HashSet::new();
    for song in crates.iter().flat_map(|one| &one.songs) {
        if seen.insert(&song.path) {
            out.push(song);
        }
    }
    out
}

fn number(n: u64) -> String {
    if n == 0 { String::new() } else { n.to_string() }
}

/// The exchange format of Rekordbox.
pub(super) fn rekordbox(crates: &[Crate]) -> Vec<u8> {
    let songs = songs(crates);
    let mut ids = std::collections::HashMap::new();
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<DJ_PLAYLISTS Version=\"1.0.0\">\n  \
         <PRODUCT Name=\"genrescope\" Version=\"{}\" Company=\"\"/>\n  <COLLECTION Entries=\"{}\">\n",
        env!("CARGO_PKG_VERSION"),
        songs.len()
    );
    for (song, id) in songs.iter().zip(1_u64..) {
        ids.insert(&song.path, id);
        let about = &song.about;
        let pairs = [
            ("TrackID", id.to_string()),
            ("Name", song.title()),
            ("Artist", song.artist().to_owned()),
            ("Album", about.album.clone().unwrap_or_default()),
            ("Genre", song.genre.clone()),
            ("Kind", kind(&song.path)),
            ("Size", number(song.bytes)),
            ("TotalTime", number(about.seconds)),
            ("BitRate", number(about.bitrate.into())),
            ("SampleRate", number(about.sample_rate.into())),
            ("Comments", song.comment.clone()),
            ("Location", url(&song.path)),
        ];
        out += &format!("    <TRACK{}/>\n", attributes(&pairs));
    }
    out += &format!(
        "  </COLLECTION>\n  <PLAYLISTS>\n    <NODE Type=\"0\" Name=\"ROOT\" Count=\"1\">\n      \
         <NODE Type=\"0\" Name=\"genrescope\" Count=\"{}\">\n",
        crates.len()
    );
    for one in crates {
        out += &format!(
            "        <NODE Name=\"{}\" Type=\"1\" KeyType=\"0\" Entries=\"{}\">\n",
            escaped(&one.name),
            one.songs.len()
        );
        for song in &one.songs {
            out += &format!("          <TRACK Key=\"{}\"/>\n", ids[&song.path]);
        }
        out += "        </NODE>\n";
    }
    out += "      </NODE>\n    </NODE>\n  </PLAYLISTS>\n</DJ_PLAYLISTS>\n";
    out.into_bytes()
}

/// Volume, folder and file as Traktor writes them: `/:` between folders.
fn traktor_place(path: &Path) -> (String, String, String) {
    let text = name_of(path);
    let (mut volume, mut rest) = (String::new(), text.as_str());
    if let (true, Some((drive, behind))) = (cfg!(windows), text.split_once(':')) {
        volume = format!("{}:", drive.trim_start_matches(r"\\?\"));
        rest = behind;
    } else if let Some(behind) = text
        .strip_prefix("/Volumes/")
        .filter(|_| cfg!(target_os = "macos"))
        && let Some((name, _)) = behind.split_once('/')
    {
        name.clone_into(&mut volume);
        rest = &text[9 + name.len()..];
    }
    let parts: Vec<&str> = rest
        .split(['/', if cfg!(windows) { '\\' } else { '/' }])
        .filter(|part| !part.is_empty())
        .collect();
    let (file, folders) = parts.split_last().unwrap_or((&"", &[]));
    // A colon within a name stands for a slash there.
    let part = |name: &str| name.replace(':', "//");
    let mut dir = String::from("/:");
    for folder in folders {
        dir += &part(folder);
        dir += "/:";
    }
    (volume, dir, part(file))
}

/// A collection of Traktor.
pub(super) fn traktor(crates: &[Crate]) -> Vec<u8> {
    let songs = songs(crates);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\" standalone=\"no\" ?>\n<NML VERSION=\"19\">\
         <HEAD COMPANY=\"www.native-instruments.com\" PROGRAM=\"Traktor\"></HEAD>\n<MUSICFOLDERS></MUSICFOLDERS>\n\
         <COLLECTION ENTRIES=\"{}\">",
        songs.len()
    );
    for song in songs {
        let (volume, dir, file) = traktor_place(&song.path);
        let about = &song.about;
        let entry = [
            ("TITLE", song.title()),
            ("ARTIST", song.artist().to_owned()),
        ];
        let location = [("DIR", dir), ("FILE", file), ("VOLUME", volume)];
        let info = [
            ("BITRATE", number(u64::from(about.bitrate) * 1_000)),
            ("GENRE", song.genre.clone()),
            ("COMMENT", song.comment.clone()),
            ("PLAYTIME", number(about.seconds)),
            ("FILESIZE", number(song.bytes / 1_024)),
        ];
        out += &format!(
            "<ENTRY{}><LOCATION{}></LOCATION>\n",
            attributes(&entry),
            attributes(&location)
        );
        if let Some(album) = &about.album {
            out += &format!("<ALBUM TITLE=\"{}\"></ALBUM>\n", escaped(album));
        }
        out += &format!("<INFO{}></INFO>\n</ENTRY>\n", attributes(&info));
    }
    out += &format!(
        "</COLLECTION>\n<SETS ENTRIES=\"0\"></SETS>\n<PLAYLISTS><NODE TYPE=\"FOLDER\" NAME=\"$ROOT\"><SUBNODES \
         COUNT=\"1\">\n<NODE TYPE=\"FOLDER\" NAME=\"genrescope\"><SUBNODES COUNT=\"{}\">\n",
        crates.len()
    );
    for one in crates {
        let uuid = hex(&Sha256::digest(&one.name)[..16]);
        out += &format!(
            "<NODE TYPE=\"PLAYLIST\" NAME=\"{}\"><PLAYLIST ENTRIES=\"{}\" TYPE=\"LIST\" UUID=\"{uuid}\">",
            escaped(&one.name),
            one.songs.len()
        );
        for song in &one.songs {
            let (volume, dir, file) = traktor_place(&song.path);
            out += &format!(
                "<ENTRY><PRIMARYKEY TYPE=\"TRACK\" KEY=\"{}\"></PRIMARYKEY>\n</ENTRY>\n",
                escaped(&format!("{volume}{dir}{file}"))
            );
        }
        out += "</PLAYLIST>\n</NODE>\n";
    }
    out += "</SUBNODES>\n</NODE>\n</SUBNODES>\n</NODE>\n</PLAYLISTS>\n</NML>\n";
    out.into_bytes()
}

/// A record of Serato: four letters, a length, and what it holds.
fn record(kind: &[u8], content: &[u8]) -> Vec<u8> {
    let mut out = kind.to_vec();
    out.extend((content.len() as u32).to_be_bytes());
    out.extend(content);
    out
}

fn utf16(text: &str) -> Vec<u8> {
    text.encode_utf16().flat_map(u16::to_be_bytes).collect()
}

/// A crate of Serato. Its paths begin at the drive, without a slash.
pub(super) fn serato(one: &Crate, place: &Place) -> anyhow::Result<Vec<u8>> {
    let mut out = record(b"vrsn", &utf16("1.0/Serato ScratchLive Crate"));
    let mut order = record(b"tvcn", &utf16("song"));
    order.extend(record(b"brev", &[0]));
    out.extend(record(b"osrt", &order));
    for column in ["song", "artist", "genre", "comment", "length"] {
        let mut content = record(b"tvcn", &utf16(column));
        content.extend(record(b"tvcw", &utf16("0")));
        out.extend(record(b"ovct", &content));
    }
    for song in &one.songs {
        let from_drive = match &place.root {
            Some(root) => song.path.strip_prefix(root).map_err(|_| {
                anyhow::anyhow!(
                    "'{}' does not lie below '{}', the drive of --root",
                    name_of(&song.path),
                    name_of(root)
                )
            })?,
            None => &song.path,
        };
        let parts: Vec<String> = from_drive
            .components()
            .filter_map(|part| match part {
                Component::Normal(name) => Some(name.to_string_lossy().into_owned()),
                _ => None,
            })
            .collect();
        out.extend(record(b"otrk", &record(b"ptrk", &utf16(&parts.join("/")))));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_lead_from_the_playlist_to_the_song() {
        let from = |path: &str| relative_to(Path::new(path), Path::new("/m/lists"));
        assert_eq!(from("/m/a/x.mp3"), Path::new("../a/x.mp3"));
        assert_eq!(from("/m/lists/x.mp3"), Path::new("x.mp3"));
        assert_eq!(
            url(Path::new("/a b/ä&.mp3")),
            "file://localhost/a%20b/%C3%A4%26.mp3"
        );
        assert_eq!(file_name("R&B/Soul: \"x\""), "R&B_Soul_ _x_");
    }
}
