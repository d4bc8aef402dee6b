//! Another file in the place of one that is there: as a whole or not at all, and with all that
//! belongs to the old one.

use std::{
    ffi::OsString,
    fs::{self, File, Metadata, TryLockError},
    io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    time::SystemTime,
};

use anyhow::Context as _;
use sha2::{Digest as _, Sha256};

use crate::{
    hexadecimal::hex,
    tags::{Splice, Spliced},
};

/// What is to be kept, or may be lost.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// The new file gets the old one's times.
    pub(super) keep_times: bool,
    /// Other names of the file may go on with its old content.
    pub(super) break_links: bool,
}

/// What a file holds, in short.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(in crate::cli) struct Content {
    pub(in crate::cli) len: u64,
    pub(in crate::cli) sha256: String,
}

impl Content {
    pub(in crate::cli) fn of(file: &mut File) -> io::Result<Self> {
        file.seek(SeekFrom::Start(0))?;
        let mut sum = Summing {
            inner: io::sink(),
            sum: Sha256::new(),
            len: 0,
        };
        io::copy(file, &mut sum)?;
        Ok(sum.content())
    }
}

/// Passes on what it counts and sums.
struct Summing<W> {
    inner: W,
    sum: Sha256,
    len: u64,
}

impl<W> Summing<W> {
    fn content(self) -> Content {
        Content {
            len: self.len,
            sha256: hex(&self.sum.finalize()),
        }
    }
}

impl<W: Write> Write for Summing<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(bytes)?;
        self.sum.update(&bytes[..n]);
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

pub(super) fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digits: Vec<u8> = text
        .chars()
        .map(|c| Some(c.to_digit(16)? as u8))
        .collect::<Option<_>>()?;
    digits.len().is_multiple_of(2).then(|| {
        digits
            .chunks(2)
            .map(|pair| pair[0] << 4 | pair[1])
            .collect()
    })
}

/// Everything about a change that taking it back needs.
#[derive(Clone, Debug)]
pub(super) struct Done {
    pub(super) before: Content,
    pub(super) after: Content,
    pub(super) modified: Option<SystemTime>,
    /// Makes the old file of the new one.
    pub(super) reverse: Vec<Splice>,
}

/// Why a file is not written, before anything is tried.
pub(super) fn refusal(found: &Metadata, manner: Manner) -> Option<String> {
    if !found.is_file() {
        return Some("it is no regular file".into());
    }
    if found.permissions().readonly() {
        return Some("it is read-only; chmod u+w allows to write it".into());
    }
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let names = found.nlink();
        if names > 1 && !manner.break_links {
            return Some(format!(
                "it has {names} names (hard links), of which only this one would change; --break-links allows that"
            ));
        }
    }
    let _ = manner;
    None
}

/// A file beside the one that it will replace; it is taken away again unless it does.
struct Part {
    path: PathBuf,
    file: File,
    placed: bool,
}

impl Part {
    /// The name does not change from run to run: what a run that was killed left is found by the
    /// next.
    fn name(of: &Path) -> PathBuf {
        let name = of.file_name().unwrap_or_default().as_encoded_bytes();
        let mut part = OsString::from(".genrescope-");
        part.push(&hex(&Sha256::digest(name))[..16]);
        part.push(".part");
        of.with_file_name(part)
    }

    fn beside(of: &Path) -> io::Result<Self> {
        let path = Self::name(of);
        for _ in 0..2 {
            match File::create_new(&path) {
                Ok(file) => {
                    // Where a file system knows no locks, nobody else is kept out.
                    let _ = file.try_lock();
                    return Ok(Self {
                        path,
                        file,
                        placed: false,
                    });
                }
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                    remove_left_over(of)?;
                }
                Err(error) => return Err(error),
            }
        }
        Err(io::Error::other("another run is writing it"))
    }

    fn place(mut self, at: &Path) -> io::Result<()> {
        fs::rename(&self.path, at)?;
        self.placed = true;
        // The name, too, outlives a loss of power.
        #[cfg(unix)]
        if let Some(folder) = at.parent() {
            let _ = File::open(folder).and_then(|folder| folder.sync_all());
        }
        Ok(())
    }
}

impl Drop for Part {
    fn drop(&mut self) {
        if !self.placed {
            let _ = fs::remove_file(&self.path);
        }
    }
}

/// Takes away what a run left that was killed while it wrote the file at `of`.
pub(super) fn remove_left_over(of: &Path) -> io::Result<()> {
    let path = Part::name(of);
    let left = match File::open(&path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        left => left?,
    };
    match left.try_lock() {
        Err(TryLockError::WouldBlock) => Err(io::Error::other("another run is writing it")),
        _ => fs::remove_file(&path),
    }
}

/// Applies what `edit` says to the file at `path`, which must be no link. The new file is shown to
/// `check`, and what was done to `record`, before it takes the old one's place. Whatever else
/// happens to the file between the first look and the last is noticed.
pub(super) fn rewrite(
    path: &Path,
    edit: impl FnOnce(&mut File) -> anyhow::Result<Vec<Splice>>,
    manner: Manner,
    modified: Option<SystemTime>,
    check: impl FnOnce(&Path) -> anyhow::Result<()>,
    record: impl FnOnce(&Done) -> anyhow::Result<()>,
) -> anyhow::Result<()> {
    let mut old = File::open(path).context("it cannot be opened")?;
    let found = old.metadata()?;
    if let Some(why) = refusal(&found, manner) {
        anyhow::bail!(why);
    }
    let splices = edit(&mut old)?;
    let before = Content::of(&mut old)?;
    let mut reverse = Vec::new();
    let mut moved = 0_i64;
    for splice in &splices {
        old.seek(SeekFrom::Start(splice.at))?;
        let mut bytes = Vec::new();
        (&mut old).take(splice.len).read_to_end(&mut bytes)?;
        reverse.push(Splice {
            at: splice.at.saturating_add_signed(moved),
            len: splice.new.len() as u64,
            new: bytes,
        });
        moved += splice.new.len() as i64 - splice.len as i64;
    }
    let part = Part::beside(path).context("no file can be written beside it")?;
    let mut out = Summing {
        inner: BufWriter::with_capacity(1 << 16, &part.file),
        sum: Sha256::new(),
        len: 0,
    };
    let mut spliced = Spliced::new(BufReader::new(&old), &splices)?;
    io::copy(&mut spliced, &mut out).context("the new file cannot be written")?;
    out.flush().context("the new file cannot be written")?;
    let after = out.content();
    anyhow::ensure!(
        after.len == before.len.saturating_add_signed(moved),
        "it changed while it was read"
    );
    keep_belongings(&old, &found, &part.file)?;
    let times = fs::FileTimes::new();
    if let Some(modified) = modified {
        part.file.set_times(times.set_modified(modified))?;
    } else if let (true, Ok(modified), Ok(accessed)) =
        (manner.keep_times, found.modified(), found.accessed())
    {
        let times = times.set_modified(modified).set_accessed(accessed);
        part.file
            .set_times(times)
            .context("its times cannot be kept")?;
    }
    part.file
        .sync_all()
        .context("the new file cannot be written")?;
    check(&part.path)?;
    let now = fs::metadata(path)?;
    anyhow::ensure!(
        now.len() == found.len() && now.modified().ok() == found.modified().ok(),
        "it changed while it was read"
    );
    record(&Done {
        before,
        after,
        modified: found.modified().ok(),
        reverse,
    })?;
    part.place(path)
        .context("the new file cannot take its place")
}

/// Permissions, owner, and what file systems keep beside the content.
fn keep_belongings(old: &File, found: &Metadata, new: &File) -> anyhow::Result<()> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::MetadataExt as _;
        let made = new.metadata()?;
        if (made.uid(), made.gid()) != (found.uid(), found.gid()) {
            std::os::unix::fs::fchown(new, Some(found.uid()), Some(found.gid())).with_context(
                || {
                    format!(
                        "it belongs to user {} and group {}, which a new file cannot be given to",
                        found.uid(),
                        found.gid()
                    )
                },
            )?;
        }
    }
    new.set_permissions(found.permissions())
        .context("its permissions cannot be kept")?;
    #[cfg(any(target_os = "linux", target_os = "macos"))]
    keep_attributes(old, new);
    let _ = old;
    Ok(())
}

/// Labels, ratings and access lists that hang on the file. What cannot be kept there was not put
/// there by its user.
#[cfg(any(target_os = "linux", target_os = "macos"))]
fn keep_attributes(old: &File, new: &File) {
    use rustix::fs::{XattrFlags, fgetxattr, flistxattr, fsetxattr};
    const MOST: usize = 1 << 16;
    let mut names = vec![0_u8; MOST];
    let Ok(n) = flistxattr(old, &mut names[..]) else {
        return;
    };
    for name in names[..n]
        .split(|&byte| byte == 0)
        .filter(|name| !name.is_empty())
    {
        let mut value = vec![0_u8; MOST];
        if let Ok(n) = fgetxattr(old, name, &mut value[..]) {
            let _ = fsetxattr(new, name, &value[..n], XattrFlags::empty());
        }
    }
}
