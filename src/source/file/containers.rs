//! What containers say of themselves that their demuxers do not tell: whether they are whole, and
//! whether there is a key to them.

use std::{
    fs::File,
    io::{self, Read, Seek, SeekFrom},
};

/// Largest index of an MP4 file that is looked through.
const MAX_INDEX: u64 = 64 << 20;

/// Whether an MP4 file holds encrypted sound.
pub(super) fn is_mp4_encrypted(file: &mut File, n_bytes: u64) -> io::Result<bool> {
    let mut at = 0;
    while at + 8 <= n_bytes {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let n = read_up_to(file, &mut head)?;
        if n < 8 {
            break;
        }
        let mut size = u64::from(u32::from_be_bytes([head[0], head[1], head[2], head[3]]));
        if size == 1 {
            let [.., a, b, c, d, e, f, g, h] = head;
            size = u64::from_be_bytes([a, b, c, d, e, f, g, h]);
        }
        if &head[4..8] == b"moov" {
            let mut index = Vec::new();
            file.seek(SeekFrom::Start(at + 8))?;
            let size = if size == 0 { n_bytes } else { size };
            file.take(size.saturating_sub(8).min(MAX_INDEX))
                .read_to_end(&mut index)?;
            return Ok(has_encrypted_entry(&index));
        }
        if size < 8 {
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(false)
}

/// Whether an encrypted kind of sound is described in one of the atoms.
fn has_encrypted_entry(mut atoms: &[u8]) -> bool {
    while let Some((size, name)) = atoms.first_chunk::<8>().map(|head| {
        let [a, b, c, d, name @ ..] = *head;
        (u32::from_be_bytes([a, b, c, d]) as usize, name)
    }) {
        let Some(body) = atoms.get(8..size.clamp(8, atoms.len())) else {
            return false;
        };
        let found = match &name {
            b"trak" | b"mdia" | b"minf" | b"stbl" => has_encrypted_entry(body),
            // Version, flags and the number of entries, then entries like atoms.
            b"stsd" => body
                .get(12..16)
                .is_some_and(|entry| matches!(entry, b"enca" | b"drms" | b"aavd")),
            _ => false,
        };
        if found {
            return true;
        }
        if size < 8 || size > atoms.len() {
            return false;
        }
        atoms = &atoms[size..];
    }
    false
}

/// Whether the tracks of a Matroska file, which begins with `start`, are encrypted.
pub(super) fn is_matroska_encrypted(start: &[u8]) -> bool {
    const ENCODINGS: &[u8] = b"\x6d\x80";
    const ENCRYPTION: &[u8] = b"\x50\x35";
    const ALGORITHM: [&[u8]; 2] = [b"\x47\xe1", b"\x47\xe2"];
    let has = |bytes: &[u8], what: &[u8]| bytes.windows(2).any(|two| two == what);
    start.windows(2).enumerate().any(|(at, two)| {
        let near = &start[at..start.len().min(at + 96)];
        two == ENCODINGS && has(near, ENCRYPTION) && ALGORITHM.iter().any(|what| has(near, what))
    })
}

/// Whether a Matroska file of `n_bytes`, which begins with `start`, was to be longer. A recording of a
/// live stream does not say how long it is.
pub(super) fn is_matroska_cut_off(start: &[u8], n_bytes: u64) -> bool {
    let end = || -> Option<u64> {
        let mut at = 0_usize;
        loop {
            let id_len = 1 + start.get(at)?.leading_zeros() as usize;
            let is_segment = start.get(at..)?.starts_with(b"\x18\x53\x80\x67");
            let size_at = at + id_len;
            let size_len = 1 + start.get(size_at)?.leading_zeros() as usize;
            let bytes = start.get(size_at..size_at + size_len)?;
            let mask = 0xff_u64 >> size_len;
            let size = bytes[1..]
                .iter()
                .fold(u64::from(bytes[0]) & mask, |n, &b| n << 8 | u64::from(b));
            let unknown = size == (1_u64 << (7 * size_len).min(63)) - 1;
            if is_segment {
                let end = (size_at + size_len) as u64;
                return (!unknown).then(|| end.saturating_add(size));
            }
            at = size_at + size_len + usize::try_from(size).ok()?;
        }
    };
    end().is_some_and(|end| end > n_bytes)
}

/// Whether an Ogg file ends within a page.
pub(super) fn is_ogg_cut_off(file: &mut File, n_bytes: u64) -> io::Result<bool> {
    /// Longest page, twice over.
    const TAIL: u64 = 2 * 65_307;
    let from = n_bytes.saturating_sub(TAIL);
    file.seek(SeekFrom::Start(from))?;
    let mut tail = Vec::new();
    file.take(TAIL).read_to_end(&mut tail)?;
    let last = tail.windows(5).rposition(|five| five == b"OggS\0");
    let end = last.and_then(|at| {
        let n_segments = usize::from(*tail.get(at + 26)?);
        let lengths = tail.get(at + 27..at + 27 + n_segments)?;
        Some(at + 27 + n_segments + lengths.iter().map(|&n| usize::from(n)).sum::<usize>())
    });
    Ok(match (last, end) {
        (Some(_), Some(end)) => end > tail.len(),
        // Its head is not whole.
        (Some(_), None) => true,
        (None, _) => false,
    })
}

fn read_up_to(file: &mut File, bytes: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < bytes.len() {
        match file.read(&mut bytes[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}
