//! Finding audio files in folders.

use std::{
    collections::{BTreeMap, HashSet, VecDeque},
    fmt, fs,
    path::{Path, PathBuf},
    str::FromStr,
};

use thiserror::Error;

use super::file::FileError;

/// Extensions (lower case) that a walk over a folder takes for audio files. A file that is named
/// outright needs none of them: [`super::file::AudioFile`] goes by the content.
pub const EXTENSIONS: &[&str] = &[
    "aac", "aif", "aifc", "aiff", "alac", "au", "caf", "flac", "m4a", "m4b", "mka", "mp1", "mp2",
    "mp3", "mp4", "oga", "ogg", "opus", "snd", "wav", "wave", "webm",
];

/// Extensions (lower case) of audio that cannot be read: a walk over a folder passes it by, and
/// counts it.
pub const OTHER_EXTENSIONS: &[&str] = &[
    "3gp", "ac3", "amr", "ape", "awb", "dff", "dsf", "dts", "eac3", "gsm", "m4p", "mpc", "ra",
    "ram", "rf64", "shn", "spx", "tak", "tta", "voc", "w64", "wma", "wv",
];

/// Audio files that a walk passed by, as there is no decoder for them: how many of each extension.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct OtherFormats(BTreeMap<String, usize>);

impl OtherFormats {
    /// Adds those of another walk.
    pub fn add(&mut self, other: &OtherFormats) {
        for (extension, n) in &other.0 {
            *self.0.entry(extension.clone()).or_default() += n;
        }
    }

    /// How many there are of each, in a sentence; `None` if there are none.
    ///
    /// ```
    /// let folder = tempfile::tempdir()?;
    /// for name in ["a.wma", "b.WMA", "c.wv", "notes.txt"] {
    ///     std::fs::write(folder.path().join(name), "")?;
    /// }
    /// let mut walk = genrescope::source::library::find_audio_files([folder.path()]);
    /// assert_eq!(walk.by_ref().count(), 0);
    /// let message = walk.other_formats().message().unwrap_or_default();
    /// let expected = "3 files in formats that cannot be read were left out (2 wma, 1 wv)";
    /// assert!(message.starts_with(expected));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    pub fn message(&self) -> Option<String> {
        let n: usize = self.0.values().sum();
        let each: Vec<String> = self
            .0
            .iter()
            .map(|(extension, n)| format!("{n} {extension}"))
            .collect();
        let files = if n == 1 {
            "file in a format"
        } else {
            "files in formats"
        };
        let were = if n == 1 { "was" } else { "were" };
        (n > 0).then(|| {
            format!(
                "{n} {files} that cannot be read {were} left out ({}); convert them, for example with ffmpeg -i FILE \
                 out.flac",
                each.join(", ")
            )
        })
    }
}

/// Whether the name of `path` ends in one of [`EXTENSIONS`], in lower or upper case.
pub fn has_audio_extension(path: &Path) -> bool {
    extension_of(path).is_some_and(|extension| EXTENSIONS.contains(&extension.as_str()))
}

fn extension_of(path: &Path) -> Option<String> {
    Some(path.extension()?.to_str()?.to_ascii_lowercase())
}

/// The audio files that `paths` stand for, in a stable order: files as given, whatever their name;
/// folders with all that lies in them and below, sorted by name, by their extension, without hidden
/// files and folders. Links are followed; a folder that was walked before is not walked again, so
/// links in a circle end. Folders are read as the walk gets there.
///
/// What is not there or cannot be read comes as an error in its place, and the walk goes on.
///
/// ```
/// let folder = tempfile::tempdir()?;
/// for name in ["b.mp3", "a.WAV", "notes.txt", ".hidden.mp3"] {
///     std::fs::write(folder.path().join(name), "")?;
/// }
/// let found: Vec<_> = genrescope::source::library::find_audio_files([folder.path()])
///     .map(|file| file.map(|path| path.file_name().unwrap_or_default().to_owned()))
///     .collect::<Result<_, _>>()?;
/// assert_eq!(found, ["a.WAV", "b.mp3"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn find_audio_files<P: Into<PathBuf>>(paths: impl IntoIterator<Item = P>) -> AudioFiles {
    AudioFiles {
        waiting: paths
            .into_iter()
            .map(|path| Entry {
                path: path.into(),
                named: true,
            })
            .collect(),
        walked: HashSet::new(),
        other: OtherFormats::default(),
    }
}

/// Iterator of [`find_audio_files`].
#[derive(Debug)]
pub struct AudioFiles {
    /// What comes next is at the front.
    waiting: VecDeque<Entry>,
    /// Folders that were walked, free of links.
    walked: HashSet<PathBuf>,
    other: OtherFormats,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// Given by the caller, not found in a folder.
    named: bool,
}

impl AudioFiles {
    /// What was passed by so far.
    pub fn other_formats(&self) -> &OtherFormats {
        &self.other
    }

    /// Puts what lies in `folder` at the front of the queue.
    fn walk(&mut self, folder: &Path) -> Result<(), FileError> {
        let failed = |error| FileError::from_io(folder, error);
        if !self
            .walked
            .insert(fs::canonicalize(folder).map_err(failed)?)
        {
            return Ok(());
        }
        let mut entries = vec![];
        for entry in fs::read_dir(folder).map_err(failed)? {
            let entry = entry.map_err(failed)?;
            if !entry.file_name().as_encoded_bytes().starts_with(b".") {
                entries.push(entry.path());
            }
        }
        entries.sort();
        for path in entries.into_iter().rev() {
            self.waiting.push_front(Entry { path, named: false });
        }
        Ok(())
    }
}

impl Iterator for AudioFiles {
    type Item = Result<PathBuf, FileError>;

    fn next(&mut self) -> Option<Self::Item> {
        while let Some(Entry { path, named }) = self.waiting.pop_front() {
            match fs::metadata(&path) {
                Ok(metadata) if metadata.is_dir() => {
                    if let Err(error) = self.walk(&path) {
                        return Some(Err(error));
                    }
                }
                Ok(metadata) if named || (metadata.is_file() && has_audio_extension(&path)) => {
                    return Some(Ok(path));
                }
                // A broken link in a folder matters only if it looks like music.
                Err(error) if named || has_audio_extension(&path) => {
                    return Some(Err(FileError::from_io(&path, error)));
                }
                Ok(metadata) if metadata.is_file() => {
                    if let Some(extension) = extension_of(&path)
                        && OTHER_EXTENSIONS.contains(&extension.as_str())
                    {
                        *self.other.0.entry(extension).or_default() += 1;
                    }
                }
                _ => {}
            }
        }
        None
    }
}

/// Files to listen to, each once, by the first of its names.
#[derive(Debug, Default)]
pub struct Finder {
    /// What was found so far.
    pub files: Vec<PathBuf>,
    /// Without their links.
    seen: HashSet<PathBuf>,
    other: OtherFormats,
}

impl Finder {
    /// Adds what `path` stands for, as [`find_audio_files`] has it, until `goes_on` says no. What
    /// cannot be had is told to `problem`, in words for people.
    pub fn look(
        &mut self,
        path: &Path,
        mut goes_on: impl FnMut() -> bool,
        mut problem: impl FnMut(String),
    ) {
        let mut walk = find_audio_files([path]);
        let mut found = 0_usize;
        for file in walk.by_ref().take_while(|_| goes_on()) {
            found += 1;
            match file {
                Ok(file) => {
                    let one = file.canonicalize().unwrap_or_else(|_| file.clone());
                    if self.seen.insert(one) {
                        self.files.push(file);
                    }
                }
                Err(error) => problem(error.to_string()),
            }
        }
        self.other.add(walk.other_formats());
        if found == 0 && goes_on() {
            problem(format!(
                "'{}': no audio files here that can be read ({})",
                path.display(),
                EXTENSIONS.join(", ")
            ));
        }
    }

    /// Adds `path` as it is, once.
    pub fn take(&mut self, path: &Path) {
        if self.seen.insert(path.to_owned()) {
            self.files.push(path.to_owned());
        }
    }

    /// What was passed by.
    pub fn other_formats(&self) -> &OtherFormats {
        &self.other
    }
}

/// One of several parts of a library, for as many machines. Each file is in one of them; all of
/// them are as long, give or take one file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// 1 for the first.
    number: usize,
    of: usize,
}

/// No part of a whole.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error(
    "'{text}' is no shard: write NUMBER/OF, from 1/8 for the first of eight to 8/8 for the last"
)]
pub struct ShardError {
    /// What was given.
    text: String,
}

impl Shard {
    /// Keeps the files of this part: by their places in the list, which must be the same for every
    /// part.
    ///
    /// ```
    /// use genrescope::source::library::Shard;
    /// let mut files = vec!["a", "b", "c", "d", "e"];
    /// "2/3".parse::<Shard>()?.keep(&mut files);
    /// assert_eq!(files, ["b", "e"]);
    /// # Ok::<(), genrescope::source::library::ShardError>(())
    /// ```
    pub fn keep<T>(self, files: &mut Vec<T>) {
        let mut place = 0;
        files.retain(|_| {
            place += 1;
            place % self.of == self.number % self.of
        });
    }
}

impl FromStr for Shard {
    type Err = ShardError;

    fn from_str(text: &str) -> Result<Self, ShardError> {
        text.split_once('/')
            .and_then(|(number, of)| {
                let (number, of) = (number.parse().ok()?, of.parse().ok()?);
                (1..=of).contains(&number).then_some(Self { number, of })
            })
            .ok_or_else(|| ShardError {
                text: text.to_owned(),
            })
    }
}

impl fmt::Display for Shard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.number, self.of)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(paths: &[&Path]) -> Vec<String> {
        find_audio_files(paths.iter().copied())
            .map(|found| match found {
                Ok(path) => path.file_name().unwrap().to_string_lossy().into_owned(),
                Err(error) => format!("error: {error}"),
            })
            .collect()
    }

    #[test]
    fn folders_are_walked_in_order_and_files_taken_as_named() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir_all(folder.join("b/deep")).unwrap();
        fs::create_dir(folder.join(".git")).unwrap();
        for name in [
            "c.flac",
            "a.Mp3",
            "b/deep/x.ogg",
            "b/y.opus",
            "cover.jpg",
            ".git/z.mp3",
            "odd",
        ] {
            fs::write(folder.join(name), "x").unwrap();
        }
        assert_eq!(names(&[folder]), ["a.Mp3", "x.ogg", "y.opus", "c.flac"]);
        assert_eq!(
            names(&[&folder.join("odd"), &folder.join("b")]),
            ["odd", "x.ogg", "y.opus"]
        );
        let missing = names(&[&folder.join("gone.mp3"), &folder.join("c.flac")]);
        assert!(
            missing[0].starts_with("error: ") && missing[0].contains("gone.mp3"),
            "{missing:?}"
        );
        assert_eq!(missing[1], "c.flac");
    }

    #[test]
    fn every_file_is_in_one_shard() {
        for of in [1, 2, 3, 7, 40] {
            let mut seen = Vec::new();
            for number in 1..=of {
                let mut files: Vec<usize> = (0..23).collect();
                let shard: Shard = format!("{number}/{of}").parse().unwrap();
                assert_eq!(shard.to_string(), format!("{number}/{of}"));
                shard.keep(&mut files);
                assert!((23 / of..=23 / of + 1).contains(&files.len()), "{shard}");
                seen.extend(files);
            }
            seen.sort_unstable();
            assert_eq!(seen, (0..23).collect::<Vec<_>>(), "{of}");
        }
        for wrong in ["", "1", "0/3", "4/3", "1/0", "-1/3", "1/3/5", "a/b"] {
            assert!(wrong.parse::<Shard>().is_err(), "{wrong}");
        }
    }

    #[cfg(unix)]
    #[test]
    fn links_in_a_circle_end() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path();
        fs::create_dir(folder.join("sub")).unwrap();
        fs::write(folder.join("sub/a.wav"), "x").unwrap();
        std::os::unix::fs::symlink(folder, folder.join("sub/up")).unwrap();
        std::os::unix::fs::symlink(folder.join("sub"), folder.join("again")).unwrap();
        std::os::unix::fs::symlink(folder.join("nowhere"), folder.join("broken.mp3")).unwrap();
        let found = names(&[folder]);
        assert_eq!(found[0], "a.wav");
        assert!(
            found[1].starts_with("error: ") && found[1].contains("broken.mp3"),
            "{found:?}"
        );
        assert_eq!(found.len(), 2);
    }
}
