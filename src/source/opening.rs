//! Opening of files that must have an end.

use std::{
    fs::File,
    io::{self, Read},
    path::Path,
};

/// Opens a file that is read from its beginning to its end. A device has no end, and a pipe that
/// nobody writes to has no beginning: both are refused.
///
/// # Errors
/// When it cannot be opened, or is one of these.
pub fn open(path: &Path) -> io::Result<Box<dyn Read>> {
    #[cfg(unix)]
    {
        use std::os::unix::fs::FileTypeExt as _;
        let kind = std::fs::metadata(path)?.file_type();
        if kind.is_char_device() {
            return Err(io::Error::other("it is a device, and no file"));
        }
        #[cfg(feature = "cli")]
        if kind.is_fifo() {
            return pipe(path);
        }
    }
    Ok(Box::new(File::open(path)?))
}

/// Opens a pipe that somebody writes to.
#[cfg(all(unix, feature = "cli"))]
fn pipe(path: &Path) -> io::Result<Box<dyn Read>> {
    use std::os::unix::fs::OpenOptionsExt as _;

    use rustix::fs::{OFlags, fcntl_setfl};
    let flags = OFlags::NONBLOCK.bits().cast_signed();
    let mut options = File::options();
    let mut pipe = options.read(true).custom_flags(flags).open(path)?;
    // Whoever has it open, and has not written yet, is waited for.
    let mut first = vec![0; 4_096];
    let n = match pipe.read(&mut first) {
        Ok(0) => {
            let message = "nobody writes to this pipe; start what does so first";
            return Err(io::Error::other(message));
        }
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => 0,
        n => n?,
    };
    fcntl_setfl(&pipe, OFlags::empty())?;
    first.truncate(n);
    Ok(Box::new(io::Cursor::new(first).chain(pipe)))
}
