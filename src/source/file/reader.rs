//! Files and streams in the shapes that the demuxers ask for.

use std::{
    fs::File,
    io::{self, Read, Seek},
    sync::Mutex,
};

use symphonia::core::io::MediaSource;

/// A file that claims to be a terabyte long: the MP4 demuxer refuses one that ends within the atom that
/// holds the sound, though all before the end can be read.
pub(super) struct EndlessSource(pub(super) File);

impl EndlessSource {
    const N_BYTES: u64 = 1 << 40;
}

impl Read for EndlessSource {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        self.0.read(buffer)
    }
}

impl Seek for EndlessSource {
    fn seek(&mut self, to: io::SeekFrom) -> io::Result<u64> {
        self.0.seek(match to {
            io::SeekFrom::End(offset) => {
                io::SeekFrom::Start(Self::N_BYTES.saturating_add_signed(offset))
            }
            other => other,
        })
    }
}

impl MediaSource for EndlessSource {
    fn is_seekable(&self) -> bool {
        true
    }

    fn byte_len(&self) -> Option<u64> {
        // Nobody need look for tags at an end that is not there.
        None
    }
}

/// Makes a reader `Sync` as symphonia asks: it is only ever reached through `&mut`, so never locked.
pub(super) struct SyncReader(pub(super) Mutex<Box<dyn Read + Send>>);

impl Read for SyncReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self.0.get_mut() {
            Ok(reader) => reader.read(buffer),
            Err(poisoned) => poisoned.into_inner().read(buffer),
        }
    }
}
