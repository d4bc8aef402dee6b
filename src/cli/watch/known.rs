//! What `watch` has done, over restarts: files by their place and by their content.

use std::{
    collections::HashMap,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
    path::{Path, PathBuf},
    time::UNIX_EPOCH,
};

use anyhow::Context as _;
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};

use super::super::{output_file::OutputFile, tag::state_folder, text::name_of};
use crate::{
    answer::path::{from_text, to_text},
    hexadecimal::hex,
    source::opening,
};

/// Bytes at both ends of a file that its content is told by.
const ENDS: u64 = 1 << 16;

/// What changes when a file does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Stamp {
    pub(super) len: u64,
    /// Nanoseconds since 1970.
    modified: u64,
}

impl Stamp {
    pub(super) fn of(path: &Path) -> io::Result<Self> {
        let found = fs::metadata(path)?;
        let since = found.modified()?.duration_since(UNIX_EPOCH);
        Ok(Self {
            len: found.len(),
            modified: since.map_or(0, |since| since.as_nanos() as u64),
        })
    }
}

/// Length and both ends: enough to know a file again that was renamed.
fn content(path: &Path) -> io::Result<String> {
    let mut file = File::open(path)?;
    let len = file.metadata()?.len();
    let mut sum = Sha256::new();
    sum.update(len.to_le_bytes());
    let mut bytes = Vec::new();
    for at in [0, len.saturating_sub(ENDS)] {
        bytes.clear();
        file.seek(SeekFrom::Start(at))?;
        (&mut file).take(ENDS).read_to_end(&mut bytes)?;
        sum.update(&bytes);
    }
    Ok(hex(&sum.finalize()[..16]))
}

/// Files that are done with.
#[derive(Debug)]
pub(super) struct Known {
    path: PathBuf,
    file: File,
    stamps: HashMap<PathBuf, Stamp>,
    /// Where each content was seen last.
    contents: HashMap<String, PathBuf>,
    is_new: bool,
}

impl Known {
    /// The memory at `path`, or the one of these folders.
    pub(super) fn open(path: Option<&Path>, folders: &[PathBuf]) -> anyhow::Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => place(folders)?,
        };
        let name = name_of(&path);
        let output = OutputFile::at(&path)?;
        let cannot = || format!("cannot use '{name}' to remember what was done");
        let file = OpenOptions::new()
            .append(true)
            .read(true)
            .create(true)
            .open(&path)
            .with_context(cannot)?;
        anyhow::ensure!(
            !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)),
            "another 'genrescope watch' watches with '{name}'; give another --state"
        );
        let mut known = Self {
            file,
            stamps: HashMap::new(),
            contents: HashMap::new(),
            is_new: true,
            path,
        };
        let whole = known.read(&name)?;
        // The last line of a run that was killed.
        if output.exists() {
            known.file.set_len(whole).with_context(cannot)?;
        }
        if known.is_new {
            let header = json!({"v": 1, "type": "watch"});
            writeln!(known.file, "{header}").with_context(cannot)?;
        }
        Ok(known)
    }

    fn read(&mut self, name: &str) -> anyhow::Result<u64> {
        let mut lines = BufReader::new(opening::open(&self.path)?);
        let mut line = Vec::new();
        let mut whole = 0;
        loop {
            line.clear();
            let n = lines.read_until(b'\n', &mut line)?;
            if line.last() != Some(&b'\n') {
                anyhow::ensure!(
                    !self.is_new || line.is_empty() || line.starts_with(b"{\"type\":\"watch\""),
                    "'{name}' is no memory of genrescope watch; give another --state"
                );
                return Ok(whole);
            }
            whole += n as u64;
            let value: Value = serde_json::from_slice(&line).unwrap_or_default();
            if self.is_new {
                anyhow::ensure!(
                    value["type"] == "watch",
                    "'{name}' is no memory of genrescope watch; give another --state"
                );
                self.is_new = false;
            } else if let (Some(path), Some(len), Some(modified), Some(content)) = (
                value["path"].as_str(),
                value["len"].as_u64(),
                value["modified"].as_u64(),
                value["content"].as_str(),
            ) {
                let path = from_text(path);
                self.contents.insert(content.to_owned(), path.clone());
                self.stamps.insert(path, Stamp { len, modified });
            }
        }
    }

    /// Nothing was remembered yet.
    pub(super) fn is_new(&self) -> bool {
        self.is_new
    }

    /// Done with, by place and stamp.
    pub(super) fn has(&self, path: &Path, stamp: &Stamp) -> bool {
        self.stamps.get(path) == Some(stamp)
    }

    /// Done with, by content: it was touched, or has another name now. A copy of a file that is
    /// still there is a new file.
    pub(super) fn has_content(&mut self, path: &Path) -> anyhow::Result<bool> {
        // What cannot be read is told by whoever listens to it.
        let Ok(content) = content(path) else {
            return Ok(false);
        };
        let has = self
            .contents
            .get(&content)
            .is_some_and(|place| place == path || !place.exists());
        if has {
            self.note(path, content)?;
        }
        Ok(has)
    }

    /// The file is done with as it is now.
    pub(super) fn remember(&mut self, path: &Path) -> anyhow::Result<()> {
        match content(path) {
            Ok(content) => self.note(path, content),
            // It went while it was listened to.
            Err(_) => Ok(()),
        }
    }

    fn note(&mut self, path: &Path, content: String) -> anyhow::Result<()> {
        let Ok(stamp) = Stamp::of(path) else {
            return Ok(());
        };
        let line = json!({
            "path": to_text(path),
            "len": stamp.len,
            "modified": stamp.modified,
            "content": content,
        });
        writeln!(self.file, "{line}")
            .with_context(|| format!("cannot write '{}'", name_of(&self.path)))?;
        self.stamps.insert(path.to_owned(), stamp);
        self.contents.insert(content, path.to_owned());
        Ok(())
    }
}

/// A file for these folders.
fn place(folders: &[PathBuf]) -> anyhow::Result<PathBuf> {
    let folder = state_folder().context(
        "there is no folder to remember what was done in (XDG_STATE_HOME and HOME are not set); give --state FILE",
    )?;
    fs::create_dir_all(&folder).with_context(|| {
        format!(
            "cannot make folder '{}'; give --state FILE",
            name_of(&folder)
        )
    })?;
    let mut sum = Sha256::new();
    for folder in folders {
        sum.update(folder.as_os_str().as_encoded_bytes());
        sum.update([0]);
    }
    let sum = hex(&sum.finalize()[..8]);
    Ok(folder.join(format!("watch-{sum}.jsonl")))
}
