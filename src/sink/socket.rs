//! JSON Lines for programs on the same machine: a Unix socket that any number of them connect to.
//!
//! Who connects is told `hello`, the newest readout, and then everything as it comes. Who does not
//! read is let go, and may come again; nobody is waited for.

use std::{
    fs, io,
    io::Write as _,
    os::unix::{
        fs::{FileTypeExt as _, PermissionsExt as _},
        net::{UnixListener, UnixStream},
    },
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use super::{
    Hello, Sink, SinkError, Status, Update,
    jsonl::{hello_line, status_line, update_line},
};

/// Programs that listen at once, at most.
const MAX_LISTENERS: usize = 64;

/// How often the door is looked at.
const TICK: Duration = Duration::from_millis(250);

/// A socket in the file system.
#[derive(Debug)]
pub struct SocketSink {
    path: PathBuf,
    listener: UnixListener,
    listeners: Vec<UnixStream>,
    hello: Option<String>,
    status: Option<String>,
    update: Option<String>,
}

impl SocketSink {
    /// Makes the socket. One that a program has left behind is taken over.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when something else is there, or it cannot be made.
    pub fn new(path: &Path) -> Result<Self, SinkError> {
        let wrong = |why: String| SinkError::Setting {
            feed: "socket",
            what: "path",
            value: path.display().to_string(),
            why,
        };
        if let Ok(found) = fs::symlink_metadata(path) {
            if !found.file_type().is_socket() {
                return Err(wrong("there is something else; give another name".into()));
            }
            if UnixStream::connect(path).is_ok() {
                return Err(wrong(
                    "another program answers there; give another name".into(),
                ));
            }
            fs::remove_file(path).map_err(|error| wrong(error.to_string()))?;
        }
        let listener = UnixListener::bind(path).map_err(|error| {
            wrong(match error.kind() {
                io::ErrorKind::NotFound => "there is no such folder; make it first".into(),
                _ => error.to_string(),
            })
        })?;
        let ready = fs::set_permissions(path, fs::Permissions::from_mode(0o600))
            .and_then(|()| listener.set_nonblocking(true));
        ready.map_err(|error| wrong(error.to_string()))?;
        Ok(Self {
            path: path.to_owned(),
            listener,
            listeners: Vec::new(),
            hello: None,
            status: None,
            update: None,
        })
    }

    /// Lets in who waits at the door.
    fn admit(&mut self) {
        while self.listeners.len() < MAX_LISTENERS
            && let Ok((mut stream, _)) = self.listener.accept()
        {
            let known = [&self.hello, &self.status, &self.update];
            let told = stream.set_nonblocking(true).is_ok()
                && known
                    .into_iter()
                    .flatten()
                    .all(|line| say(&mut stream, line));
            if told {
                self.listeners.push(stream);
            }
        }
    }

    fn tell(&mut self, line: &str) {
        self.listeners.retain_mut(|stream| say(stream, line));
    }
}

/// Says a whole line, or nothing more ever: half of one would be worse.
fn say(stream: &mut UnixStream, line: &str) -> bool {
    stream.write_all(line.as_bytes()).is_ok()
}

fn ended(mut line: String) -> String {
    line.push('\n');
    line
}

impl Sink for SocketSink {
    fn name(&self) -> String {
        format!("socket '{}'", self.path.display())
    }
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        let line = ended(hello_line(hello));
        self.tell(&line);
        self.hello = Some(line);
        self.admit();
        Ok(())
    }
    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        let line = ended(update_line(update));
        self.tell(&line);
        self.update = Some(line);
        self.admit();
        Ok(())
    }
    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        let line = ended(status_line(status));
        self.tell(&line);
        self.status = Some(line);
        // What was heard before is not true any more; the readout of it comes next.
        self.update = None;
        Ok(())
    }
    fn tick_period(&self) -> Option<Duration> {
        Some(TICK)
    }
    fn tick(&mut self, _: Instant) -> Result<(), SinkError> {
        self.admit();
        Ok(())
    }
    fn close(&mut self) {
        self.listeners.clear();
    }
}

impl Drop for SocketSink {
    fn drop(&mut self) {
        // Somebody may have taken it away already.
        let _ = fs::remove_file(&self.path);
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead as _, BufReader, Read as _};

    use super::*;
    use crate::sink::tests as fixtures;

    #[test]
    fn who_comes_late_is_told_what_is_known_and_who_sleeps_is_let_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed");
        let mut sink = SocketSink::new(&path).unwrap();
        let now = Instant::now();
        sink.hello(&fixtures::hello()).unwrap();
        sink.update(&fixtures::update(1, Some(9)), now).unwrap();
        let reader = BufReader::new(UnixStream::connect(&path).unwrap());
        let asleep = UnixStream::connect(&path).unwrap();
        sink.tick(now).unwrap();
        assert_eq!(sink.listeners.len(), 2);
        let mut lines = reader.lines();
        let mut next = || lines.next().unwrap().unwrap();
        assert_eq!(next(), hello_line(&fixtures::hello()));
        assert_eq!(next(), update_line(&fixtures::update(1, Some(9))));
        for seq in 2..5_000 {
            sink.update(&fixtures::update(seq, None), now).unwrap();
            assert_eq!(next(), update_line(&fixtures::update(seq, None)));
        }
        assert_eq!(sink.listeners.len(), 1, "one never read");
        drop(asleep);
        sink.close();
        drop(sink);
        assert!(!path.exists());
    }

    #[test]
    fn a_socket_left_behind_is_taken_over_and_nothing_else_is() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed");
        drop(UnixListener::bind(&path).unwrap());
        assert!(path.exists());
        let sink = SocketSink::new(&path).unwrap();
        let error = SocketSink::new(&path).unwrap_err().to_string();
        assert!(error.contains("another program"), "{error}");
        drop(sink);
        fs::write(&path, "precious").unwrap();
        let error = SocketSink::new(&path).unwrap_err().to_string();
        assert!(error.contains("something else"), "{error}");
        assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
        let error = SocketSink::new(&dir.path().join("no/feed")).unwrap_err();
        assert!(error.to_string().contains("folder"), "{error}");
    }

    #[test]
    fn only_the_user_may_listen_and_only_so_many() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("feed");
        let mut sink = SocketSink::new(&path).unwrap();
        let mode = fs::metadata(&path).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let mut all: Vec<_> = (0..MAX_LISTENERS + 20)
            .map(|_| UnixStream::connect(&path).unwrap())
            .collect();
        sink.tick(Instant::now()).unwrap();
        assert_eq!(sink.listeners.len(), MAX_LISTENERS);
        all.truncate(MAX_LISTENERS / 2);
        sink.close();
        let mut rest = String::new();
        all[0].read_to_string(&mut rest).unwrap();
        assert_eq!(rest, "");
    }
}
