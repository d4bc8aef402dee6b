//! Sound libraries print to standard error as they please: ALSA and JACK complain a dozen times
//! about devices that nobody asked for. On the terminal view that would be dirt, between messages
//! it would be noise.
//!
//! While a [`QuietStderr`] lives, standard error leads into a pipe; known noise is dropped, and
//! everything else is passed on, at once or when it ends. [`message`] goes around the pipe.

/// When what is not noise is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PassOn {
    /// Line by line.
    AtOnce,
    /// When it ends: meanwhile the terminal belongs to a picture.
    AtTheEnd,
}

/// What libraries say about devices that are merely not there.
fn is_noise(line: &str) -> bool {
    const BEGINNINGS: [&str; 7] = [
        "ALSA lib ",
        "Cannot connect to server ",
        "Failed to load cookie file from cookie",
        "connect(2) call to ",
        "attempt to connect to server failed",
        "jack server is not running",
        "JackShmReadWritePtr",
    ];
    let line = line.trim();
    line.is_empty() || BEGINNINGS.iter().any(|start| line.starts_with(start))
}

/// Writes one line to the real standard error.
pub fn message(line: &str) {
    imp::write_line(line);
}

/// Gives standard error back, whoever holds it: for a panic, whose message must be seen.
pub fn restore() {
    imp::restore();
}

/// Standard error without noise, for as long as it lives. Where it cannot be had, standard error
/// stays as it is.
#[derive(Debug)]
pub struct QuietStderr(Option<imp::Pipe>);

impl QuietStderr {
    /// Takes standard error over; the second of two that live at a time does nothing.
    pub fn new(pass_on: PassOn) -> Self {
        Self(imp::Pipe::open(pass_on).ok())
    }
}

impl Drop for QuietStderr {
    fn drop(&mut self) {
        if let Some(pipe) = self.0.take() {
            restore();
            for line in pipe.end() {
                message(&line);
            }
        }
    }
}

#[cfg(unix)]
mod imp {
    use std::{
        collections::VecDeque,
        fs::File,
        io::{self, BufRead as _, BufReader, Write as _},
        os::fd::{AsFd as _, OwnedFd},
        sync::{Mutex, PoisonError},
        thread,
        time::Duration,
    };

    use crossbeam_channel::Receiver;

    use super::{PassOn, is_noise};

    /// Lines that are kept for the end.
    const KEPT: usize = 100;

    /// The real standard error while a pipe has its place.
    static REAL: Mutex<Option<OwnedFd>> = Mutex::new(None);

    fn real() -> std::sync::MutexGuard<'static, Option<OwnedFd>> {
        REAL.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn write_line(line: &str) {
        // There is nobody left to tell if this fails.
        let _ = match real().as_ref().and_then(|fd| fd.try_clone().ok()) {
            Some(fd) => writeln!(File::from(fd), "{line}"),
            None => writeln!(io::stderr(), "{line}"),
        };
    }

    pub(super) fn restore() {
        if let Some(fd) = real().take() {
            let _ = rustix::stdio::dup2_stderr(fd.as_fd());
        }
    }

    /// Ends when the last writer has closed it.
    #[derive(Debug)]
    pub(super) struct Pipe {
        kept: Receiver<VecDeque<String>>,
    }

    impl Pipe {
        pub(super) fn open(pass_on: PassOn) -> io::Result<Self> {
            let mut real = real();
            if real.is_some() {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            let (reader, writer) = io::pipe()?;
            let original = io::stderr().as_fd().try_clone_to_owned()?;
            let (done, kept) = crossbeam_channel::bounded(1);
            thread::Builder::new()
                .name("stderr".into())
                .spawn(move || {
                    let mut lines = VecDeque::new();
                    let mut reader = BufReader::new(reader);
                    let mut bytes = Vec::new();
                    while reader.read_until(b'\n', &mut bytes).is_ok_and(|n| n > 0) {
                        let line = String::from_utf8_lossy(&bytes).trim_end().to_owned();
                        bytes.clear();
                        if is_noise(&line) {
                            continue;
                        }
                        if pass_on == PassOn::AtOnce {
                            super::message(&line);
                        } else {
                            if lines.len() == KEPT {
                                lines.pop_front();
                            }
                            lines.push_back(line);
                        }
                    }
                    let _ = done.send(lines);
                })?;
            rustix::stdio::dup2_stderr(writer.as_fd())?;
            *real = Some(original);
            Ok(Self { kept })
        }

        /// The lines that were kept. A process that was started meanwhile may hold the pipe open;
        /// nobody waits for it.
        pub(super) fn end(self) -> VecDeque<String> {
            self.kept
                .recv_timeout(Duration::from_millis(200))
                .unwrap_or_default()
        }
    }
}

#[cfg(not(unix))]
mod imp {
    use std::io::{self, Write as _};

    use super::PassOn;

    pub(super) fn write_line(line: &str) {
        // There is nobody left to tell if this fails.
        let _ = writeln!(io::stderr(), "{line}");
    }

    pub(super) fn restore() {}

    #[derive(Debug)]
    pub(super) struct Pipe;

    impl Pipe {
        /// Sound libraries elsewhere are quiet by themselves.
        pub(super) fn open(_: PassOn) -> io::Result<Self> {
            Err(io::ErrorKind::Unsupported.into())
        }
        pub(super) fn end(self) -> Vec<String> {
            Vec::new()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_is_told_from_messages() {
        assert!(is_noise(
            "ALSA lib confmisc.c:165:(snd_config_get_card) Cannot get card index for 0"
        ));
        assert!(is_noise(
            "Cannot connect to server socket err = No such file or directory"
        ));
        assert!(is_noise(""));
        assert!(!is_noise("genrescope: no sound system answers"));
        assert!(!is_noise("thread 'main' panicked at src/lib.rs:1:1:"));
    }
}
