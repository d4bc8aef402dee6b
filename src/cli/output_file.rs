//! Files that are written for the user: nothing that is there is lost unasked, and no file that is
//! read is written over.

use std::{
    ffi::OsString,
    fs::{self, File, FileType, OpenOptions},
    io::{self, BufWriter, StdoutLock, Write},
    path::{Path, PathBuf},
};

use anyhow::Context as _;

use super::text::name_of;

/// Links that are followed from one file, at most.
const MAX_LINKS: usize = 40;

/// Where a file is to be written: looked at, and found fit for it, but not touched yet.
#[derive(Clone, Debug)]
pub struct OutputFile {
    /// As the user named it.
    named: PathBuf,
    /// Where links lead.
    real: PathBuf,
    exists: bool,
}

impl OutputFile {
    /// Looks at what lies at `path`, through links.
    ///
    /// # Errors
    /// When there is something that is no regular file (a folder, a device, a pipe), or no folder
    /// to write into.
    pub fn at(path: &Path) -> anyhow::Result<Self> {
        let name = name_of(path);
        let exists = match fs::metadata(path) {
            Ok(found) => {
                anyhow::ensure!(
                    found.is_file(),
                    "'{name}' is {}; give the name of a file",
                    kind_of(found.file_type())
                );
                true
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => false,
            Err(error) => {
                return Err(error).with_context(|| format!("cannot write '{name}'"));
            }
        };
        let real = follow(path).with_context(|| format!("cannot write '{name}'"))?;
        let folder = match real.parent() {
            Some(folder) if !folder.as_os_str().is_empty() => folder,
            _ => Path::new("."),
        };
        anyhow::ensure!(
            folder.is_dir(),
            "there is no folder '{}' to write '{name}' into",
            name_of(folder)
        );
        Ok(Self {
            named: path.to_owned(),
            real,
            exists,
        })
    }

    /// Something was there when it was looked at.
    pub fn exists(&self) -> bool {
        self.exists
    }

    /// As the user named it.
    pub fn path(&self) -> &Path {
        &self.named
    }

    /// Where links lead.
    pub fn real(&self) -> &Path {
        &self.real
    }

    /// Refuses to write over what is there; `ways` says what the user can do.
    ///
    /// # Errors
    /// When there is a file.
    pub fn must_be_new(&self, ways: &str) -> anyhow::Result<()> {
        anyhow::ensure!(!self.exists, "'{}' exists; {ways}", name_of(&self.named));
        Ok(())
    }

    /// Refuses to write over a file that is read, by whatever name; `what` is one of them, such as
    /// "one of the songs".
    ///
    /// # Errors
    /// When it is one of `inputs`.
    pub fn must_not_be<'a>(
        &self,
        inputs: impl IntoIterator<Item = &'a Path>,
        what: &str,
    ) -> anyhow::Result<()> {
        let Some(own) = identity(&self.real) else {
            return Ok(());
        };
        for input in inputs {
            anyhow::ensure!(
                identity(input).as_ref() != Some(&own),
                "'{}' is {what}, which writing would destroy; give another --output",
                name_of(&self.named)
            );
        }
        Ok(())
    }

    /// Begins the file anew: what it held is gone from here on.
    ///
    /// # Errors
    /// When it cannot be written, or something has come to be where nothing was.
    pub fn begin(&self) -> anyhow::Result<impl Write + use<>> {
        let mut options = OpenOptions::new();
        options.write(true);
        if self.exists {
            options.truncate(true);
        } else {
            options.create_new(true);
        }
        self.open(&options)
    }

    /// Takes the file away again, if nothing was there when it was looked at: what was to be
    /// written could not be.
    pub fn undo(&self) {
        if !self.exists {
            // What is left is an empty file, at worst.
            let _ = fs::remove_file(&self.real);
        }
    }

    /// Writes behind what is there.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn go_on(&self) -> anyhow::Result<impl Write + use<>> {
        self.open(OpenOptions::new().append(true).create(true))
    }

    fn open(&self, options: &OpenOptions) -> anyhow::Result<Named<File>> {
        let name = format!("'{}'", name_of(&self.named));
        let file = options
            .open(&self.real)
            .with_context(|| format!("cannot write {name}"))?;
        Ok(Named { name, inner: file })
    }

    /// Puts what `write` writes in the place of what is there, as a whole or not at all.
    ///
    /// # Errors
    /// When it cannot be written; what was there is still there then.
    pub fn replace(
        &self,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> anyhow::Result<()> {
        let mut part = OsString::from(&self.real);
        part.push(format!(".{}.part", std::process::id()));
        let written = self.write_part(Path::new(&part), write);
        if written
            .as_ref()
            .is_err_and(|error| error.kind() != io::ErrorKind::AlreadyExists)
        {
            let _ = fs::remove_file(&part);
        }
        written.with_context(|| format!("cannot write '{}'", name_of(&self.named)))
    }

    fn write_part(
        &self,
        part: &Path,
        write: impl FnOnce(&mut dyn Write) -> io::Result<()>,
    ) -> io::Result<()> {
        let mut out = BufWriter::new(File::create_new(part)?);
        write(&mut out)?;
        let file = out.into_inner().map_err(io::IntoInnerError::into_error)?;
        if let Ok(old) = fs::metadata(&self.real) {
            file.set_permissions(old.permissions())?;
        }
        // A machine that loses power has the old file or the new one.
        file.sync_all()?;
        fs::rename(part, &self.real)
    }
}

/// What `path` leads to, link by link; the last one need not exist.
fn follow(path: &Path) -> io::Result<PathBuf> {
    let mut real = path.to_owned();
    for _ in 0..MAX_LINKS {
        match fs::read_link(&real) {
            Ok(next) => real = real.parent().unwrap_or(Path::new("")).join(next),
            Err(_) => return Ok(real),
        }
    }
    Err(io::Error::other("its links lead in a circle"))
}

fn kind_of(kind: FileType) -> &'static str {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        if kind.is_fifo() {
            return "a pipe";
        }
        if kind.is_socket() {
            return "a socket";
        }
        if kind.is_block_device() || kind.is_char_device() {
            return "a device";
        }
    }
    if kind.is_dir() {
        "a folder"
    } else {
        "no regular file"
    }
}

/// The same for two names of one file.
#[cfg(unix)]
fn identity(path: &Path) -> Option<(u64, u64)> {
    use std::os::unix::fs::MetadataExt as _;
    let found = fs::metadata(path).ok()?;
    Some((found.dev(), found.ino()))
}

/// The same for two names of one file.
#[cfg(not(unix))]
fn identity(path: &Path) -> Option<PathBuf> {
    fs::canonicalize(path).ok()
}

/// A writer whose errors say what could not be written.
pub struct Named<W> {
    /// A file's name in quotes, or "standard output".
    pub name: String,
    /// Where it goes.
    pub inner: W,
}

/// Standard output, whose errors say so.
pub fn stdout() -> Named<StdoutLock<'static>> {
    Named {
        name: "standard output".into(),
        inner: io::stdout().lock(),
    }
}

impl<W> Named<W> {
    /// `error`, in words.
    pub fn say(&self, error: io::Error) -> io::Error {
        let name = &self.name;
        let why = match error.kind() {
            // See the program's main function.
            io::ErrorKind::NotConnected => "it is closed".to_owned(),
            _ => error.to_string(),
        };
        io::Error::new(error.kind(), format!("cannot write {name}: {why}"))
    }
}

impl<W: Write> Write for Named<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        self.inner.write(bytes).map_err(|error| self.say(error))
    }
    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush().map_err(|error| self.say(error))
    }
}

impl<W> std::fmt::Debug for Named<W> {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Named")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_replaced_as_a_whole_or_not_at_all() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("old.txt");
        fs::write(&path, "old").unwrap();
        let output = OutputFile::at(&path).unwrap();
        let failed = output.replace(|out| {
            out.write_all(b"half")?;
            Err(io::Error::other("no more"))
        });
        assert!(failed.unwrap_err().to_string().contains("old.txt"));
        assert_eq!(fs::read_to_string(&path).unwrap(), "old");
        output.replace(|out| out.write_all(b"new")).unwrap();
        assert_eq!(fs::read_to_string(&path).unwrap(), "new");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[cfg(unix)]
    #[test]
    fn links_are_written_through_and_devices_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::write(at("target"), "old").unwrap();
        std::os::unix::fs::symlink("target", at("link")).unwrap();
        std::os::unix::fs::symlink("nowhere/x", at("dangling")).unwrap();
        std::os::unix::fs::symlink("later", at("to come")).unwrap();
        let link = OutputFile::at(&at("link")).unwrap();
        link.replace(|out| out.write_all(b"new")).unwrap();
        assert!(fs::symlink_metadata(at("link")).unwrap().is_symlink());
        assert_eq!(fs::read_to_string(at("target")).unwrap(), "new");
        let input = at("target");
        assert!(link.must_not_be([input.as_path()], "an input").is_err());
        let to_come = OutputFile::at(&at("to come")).unwrap();
        to_come.replace(|out| out.write_all(b"x")).unwrap();
        assert!(at("later").is_file());
        assert!(OutputFile::at(&at("dangling")).is_err());
        for (path, kind) in [("/dev/null", "a device"), ("/", "a folder")] {
            let error = OutputFile::at(Path::new(path)).unwrap_err().to_string();
            assert!(error.contains(kind), "{error}");
        }
    }
}
