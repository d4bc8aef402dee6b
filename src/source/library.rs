//! Finding audio files in folders.

use std::{
    collections::{HashSet, VecDeque},
    fs,
    path::{Path, PathBuf},
};

use super::file::FileError;

/// Extensions (lower case) that a walk over a folder takes for audio files. A file that is named
/// outright needs none of them: [`super::file::AudioFile`] goes by the content.
pub const EXTENSIONS: &[&str] = &[
    "aac", "aif", "aifc", "aiff", "alac", "caf", "flac", "m4a", "m4b", "mka", "mp1", "mp2", "mp3",
    "mp4", "oga", "ogg", "opus", "wav", "wave", "webm",
];

/// Whether the name of `path` ends in one of [`EXTENSIONS`], in lower or upper case.
pub fn has_audio_extension(path: &Path) -> bool {
    path.extension()
        .and_then(|extension| extension.to_str())
        .is_some_and(|extension| EXTENSIONS.contains(&extension.to_ascii_lowercase().as_str()))
}

/// The audio files that `paths` stand for, in a stable order: files as given, whatever their name;
/// folders with all that lies in them and below, sorted by name, by their extension, without hidden
/// files and folders. Links are followed; a folder that was walked before is not walked again, so links
/// in a circle end. Folders are read as the walk gets there.
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
    }
}

/// Iterator of [`find_audio_files`].
#[derive(Debug)]
pub struct AudioFiles {
    /// What comes next is at the front.
    waiting: VecDeque<Entry>,
    /// Folders that were walked, free of links.
    walked: HashSet<PathBuf>,
}

#[derive(Debug)]
struct Entry {
    path: PathBuf,
    /// Given by the caller, not found in a folder.
    named: bool,
}

impl AudioFiles {
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
                _ => {}
            }
        }
        None
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
