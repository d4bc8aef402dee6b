//! Files and streams, read from their beginning on and looked at ahead.

use std::{
    fs::File,
    io::{self, Read, Seek},
    path::Path,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
};

use symphonia::core::io::MediaSource;

/// Bytes that are asked for at a time.
const READ: usize = 32 * 1024;

/// A file or stream, some of whose next bytes were looked at already.
pub(super) struct Input {
    reader: SyncReader,
    /// What was read; the first `at` bytes are used up.
    ahead: Vec<u8>,
    at: usize,
    /// Bytes used up since the beginning.
    position: u64,
    /// Length of the whole, where it is known.
    n_bytes: Option<u64>,
}

impl Input {
    pub(super) fn new(reader: Box<dyn Read + Send>, n_bytes: Option<u64>) -> Self {
        Self {
            reader: SyncReader(Mutex::new(reader)),
            ahead: Vec::new(),
            at: 0,
            position: 0,
            n_bytes,
        }
    }

    /// The next `n` bytes, which stay; fewer only where the stream ends. Waits for no more than
    /// that.
    pub(super) fn peek(&mut self, n: usize) -> io::Result<&[u8]> {
        let all = self.look(n)?;
        Ok(&all[..all.len().min(n)])
    }

    /// As [`Input::peek`], with all that is at hand.
    pub(super) fn look(&mut self, n: usize) -> io::Result<&[u8]> {
        while self.ahead.len() - self.at < n {
            if self.at > 0 {
                self.ahead.drain(..self.at);
                self.at = 0;
            }
            let (before, wanted) = (self.ahead.len(), READ.max(n - self.ahead.len()));
            self.ahead.resize(before + wanted, 0);
            let read = self.reader.read(&mut self.ahead[before..]);
            self.ahead
                .truncate(before + read.as_ref().copied().unwrap_or(0));
            match read {
                Ok(0) => break,
                Ok(_) => {}
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(&self.ahead[self.at..])
    }

    /// Uses up `n` bytes that were looked at.
    pub(super) fn advance(&mut self, n: usize) {
        let n = n.min(self.ahead.len() - self.at);
        self.at += n;
        self.position += n as u64;
    }

    /// Passes over `n` bytes, or all there are.
    pub(super) fn skip(&mut self, n: u64) -> io::Result<()> {
        io::copy(&mut self.take(n), &mut io::sink()).map(|_| ())
    }

    /// The reader stands behind so many bytes, which count as used up.
    pub(super) fn started_at(&mut self, position: u64) {
        self.position = position;
    }

    /// Bytes used up so far.
    pub(super) fn position(&self) -> u64 {
        self.position
    }

    /// Bytes still to come, where that is known.
    pub(super) fn rest(&self) -> Option<u64> {
        self.n_bytes.map(|n| n.saturating_sub(self.position))
    }

    /// Length of the whole, where it is known.
    pub(super) fn n_bytes(&self) -> Option<u64> {
        self.n_bytes
    }
}

impl Read for Input {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = &self.ahead[self.at..];
        let n = if ahead.is_empty() {
            self.reader.read(buffer)?
        } else {
            let n = ahead.len().min(buffer.len());
            buffer[..n].copy_from_slice(&ahead[..n]);
            self.at += n;
            n
        };
        self.position += n as u64;
        Ok(n)
    }
}

/// A whole file that is at hand. Whoever made it may keep it anywhere.
#[derive(Clone)]
pub(super) struct Bytes(pub(super) Arc<dyn AsRef<[u8]> + Send + Sync>);

impl Bytes {
    pub(super) fn n_bytes(&self) -> u64 {
        (*self.0).as_ref().len() as u64
    }
}

impl AsRef<[u8]> for Bytes {
    fn as_ref(&self) -> &[u8] {
        (*self.0).as_ref()
    }
}

/// A file from its beginning on, wherever its bytes are.
pub(super) enum Place {
    OnDisk(File),
    AtHand(io::Cursor<Bytes>),
}

impl Place {
    /// The bytes at hand, else the file at `path`.
    pub(super) fn open(path: &Path, at_hand: Option<&Bytes>) -> io::Result<Self> {
        Ok(match at_hand {
            Some(bytes) => Self::AtHand(io::Cursor::new(bytes.clone())),
            None => Self::OnDisk(File::open(path)?),
        })
    }

    /// The same bytes once more. A file on the disk shares its position with this one.
    pub(super) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::OnDisk(file) => Self::OnDisk(file.try_clone()?),
            Self::AtHand(bytes) => Self::AtHand(bytes.clone()),
        })
    }
}

impl Read for Place {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::OnDisk(file) => file.read(buffer),
            Self::AtHand(bytes) => bytes.read(buffer),
        }
    }
}

impl Seek for Place {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        match self {
            Self::OnDisk(file) => file.seek(to),
            Self::AtHand(bytes) => bytes.seek(to),
        }
    }
}

/// What is behind the bytes that a demuxer was given of an [`Input`], and what was found on the
/// way.
#[derive(Clone)]
pub(super) struct Rest {
    input: Arc<Mutex<Option<Input>>>,
    given: Arc<AtomicU64>,
    damaged: Arc<AtomicU64>,
}

impl Rest {
    pub(super) fn new(input: Input) -> Self {
        Self {
            input: Arc::new(Mutex::new(Some(input))),
            given: Arc::default(),
            damaged: Arc::default(),
        }
    }

    pub(super) fn lock(&self) -> MutexGuard<'_, Option<Input>> {
        self.input.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Takes it: the stream has ended.
    pub(super) fn take(&self) -> Option<Input> {
        self.lock().take()
    }

    /// So many more bytes were given.
    pub(super) fn add_given(&self, n: u64) {
        self.given.fetch_add(n, Ordering::Relaxed);
    }

    /// Bytes that were given, without a header.
    pub(super) fn given(&self) -> u64 {
        self.given.load(Ordering::Relaxed)
    }

    /// So many packets were left out, as they are damaged.
    pub(super) fn add_damaged(&self, n: u64) {
        self.damaged.fetch_add(n, Ordering::Relaxed);
    }

    /// Those of which was not told yet.
    pub(super) fn take_damaged(&self) -> u64 {
        self.damaged.swap(0, Ordering::Relaxed)
    }

    /// Bytes still to come, where that is known.
    pub(super) fn n_bytes(&self) -> Option<u64> {
        self.lock().as_ref().and_then(Input::rest)
    }
}

/// Bytes of a file that are read as others: where, and which.
pub(super) type Patch = (u64, Vec<u8>);

/// A part of a file, for demuxers that go to and fro in it.
pub(super) struct Part {
    file: Place,
    start: u64,
    n_bytes: u64,
    position: u64,
    /// It claims to be a terabyte long: the MP4 demuxer refuses a file that ends within the atom
    /// that holds the sound, though all before the end can be read.
    endless: bool,
    patches: Vec<Patch>,
}

impl Part {
    /// From `start` to `end` of `file`, but for some bytes.
    pub(super) fn new(
        mut file: Place,
        (start, end): (u64, u64),
        endless: bool,
        patches: Vec<Patch>,
    ) -> io::Result<Self> {
        file.seek(io::SeekFrom::Start(start))?;
        Ok(Self {
            file,
            start,
            n_bytes: end.saturating_sub(start),
            position: 0,
            endless,
            patches,
        })
    }

    fn claimed(&self) -> u64 {
        if self.endless { 1 << 40 } else { self.n_bytes }
    }
}

impl Read for Part {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let rest = self.n_bytes.saturating_sub(self.position);
        let most = usize::try_from(rest)
            .unwrap_or(usize::MAX)
            .min(buffer.len());
        let n = self.file.read(&mut buffer[..most])?;
        let at = self.start + self.position;
        for (place, bytes) in &self.patches {
            for (place, byte) in (*place..).zip(bytes) {
                if let Some(to) = place
                    .checked_sub(at)
                    .and_then(|index| buffer[..n].get_mut(index as usize))
                {
                    *to = *byte;
                }
            }
        }
        self.position += n as u64;
        Ok(n)
    }
}

impl Seek for Part {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        let position = match to {
            io::SeekFrom::Start(position) => Some(position),
            io::SeekFrom::End(offset) => self.claimed().checked_add_signed(offset),
            io::SeekFrom::Current(offset) => self.position.checked_add_signed(offset),
        };
        let position = position.ok_or(io::ErrorKind::InvalidInput)?;
        // What is behind the end of this part is none of it.
        let place = self.start.saturating_add(position.min(self.n_bytes));
        self.file.seek(io::SeekFrom::Start(place))?;
        self.position = position;
        Ok(position)
    }
}

impl MediaSource for Part {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        // Nobody need look for tags at an end that is not there.
        (!self.endless).then_some(self.n_bytes)
    }
}

/// Makes a reader `Sync` as symphonia asks: it is only ever reached through `&mut`, so never
/// locked.
struct SyncReader(Mutex<Box<dyn Read + Send>>);

impl Read for SyncReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.get_mut() {
            Ok(reader) => reader.read(buffer),
            Err(poisoned) => poisoned.into_inner().read(buffer),
        }
    }
}
