//! What containers say of themselves that their demuxers do not tell: whether they are whole, and
//! whether there is a key to them.

use std::io::{self, Read, Seek, SeekFrom};

use super::{input::Place, signature::Kind};

/// Largest index of an MP4 file that is looked through.
const MAX_INDEX: u64 = 64 << 20;

/// Bytes of a Matroska file's beginning that are looked at.
const HEADER_BYTES: u64 = 64 * 1024;

/// What a container says of itself.
#[derive(Debug, Default)]
pub(super) struct Told {
    /// There is a key to its sound.
    pub(super) encrypted: bool,
    /// Its tracks with sound, in order.
    pub(super) sounds: Vec<Described>,
    /// Where in the file another one begins, which is joined on.
    pub(super) next: Option<u64>,
    /// It was to be longer.
    pub(super) cut_off: bool,
}

/// How a track's sound is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Described {
    /// What the container calls it, such as `ac-3` or `A_AC3`.
    pub(super) name: String,
    /// Samples with the high byte first, where the name leaves that open.
    pub(super) big_endian: bool,
}

/// What the container of `kind` says that begins `from` bytes into `file`, which has `n_bytes`.
pub(super) fn told(kind: Kind, file: &mut Place, from: u64, n_bytes: u64) -> io::Result<Told> {
    match kind {
        Kind::Mp4 => mp4(file, from, n_bytes),
        Kind::Matroska => matroska(file, from, n_bytes),
        _ => Ok(Told::default()),
    }
}

fn mp4(file: &mut Place, from: u64, n_bytes: u64) -> io::Result<Told> {
    let mut told = Told::default();
    let (mut at, mut in_fragments) = (from, false);
    while at.saturating_add(8) <= n_bytes {
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
        if &head[4..8] == b"ftyp" && at > from {
            told.next = Some(at);
            break;
        }
        if &head[4..8] == b"moov" && told.sounds.is_empty() {
            let mut index = Vec::new();
            file.seek(SeekFrom::Start(at + 8))?;
            let size = if size == 0 { n_bytes } else { size };
            file.take(size.saturating_sub(8).min(MAX_INDEX))
                .read_to_end(&mut index)?;
            describe(&index, &mut told);
        }
        if size < 8 {
            break;
        }
        // What is in fragments may end between two of them; what is in one part says itself what it lacks.
        in_fragments |= &head[4..8] == b"moof";
        at = at.saturating_add(size);
        told.cut_off = in_fragments && at > n_bytes;
    }
    Ok(told)
}

/// What the atoms of an index say of the tracks with sound.
fn describe(index: &[u8], told: &mut Told) {
    within(index, &mut |name, track| {
        if name != b"trak" {
            return;
        }
        let (mut is_sound, mut entry) = (false, None);
        within(track, &mut |name, body| match name {
            b"hdlr" => is_sound |= body.get(8..12) == Some(b"soun"),
            // Version, flags and the number of entries, then entries like atoms.
            b"stsd" => entry = body.get(8..),
            _ => {}
        });
        let Some((entry, name)) = entry.and_then(|entry| Some((entry, entry.get(4..8)?))) else {
            return;
        };
        let encrypted: [&[u8]; 3] = [b"enca", b"drms", b"aavd"];
        told.encrypted |= encrypted.contains(&name);
        if is_sound {
            // An extension says that the low byte is first.
            let enda = entry.windows(4).position(|four| four == b"enda");
            let little = enda.is_some_and(|at| entry.get(at + 4..at + 6) == Some(&[0, 1]));
            told.sounds.push(Described {
                name: String::from_utf8_lossy(name).trim().to_owned(),
                big_endian: matches!(name, b"fl32" | b"fl64" | b"in24" | b"in32") && !little,
            });
        }
    });
}

/// Calls `each` with the atoms of a track, at any depth.
fn within<'a>(atoms: &'a [u8], each: &mut impl FnMut(&[u8; 4], &'a [u8])) {
    let mut rest = atoms;
    while let Some(&[a, b, c, d, ref name @ ..]) = rest.first_chunk::<8>() {
        let size = u32::from_be_bytes([a, b, c, d]) as usize;
        let Some(body) = rest.get(8..size.clamp(8, rest.len())) else {
            return;
        };
        if matches!(name, b"mdia" | b"minf" | b"stbl") {
            within(body, each);
        } else {
            each(name, body);
        }
        if size < 8 || size > rest.len() {
            return;
        }
        rest = &rest[size..];
    }
}

fn matroska(file: &mut Place, from: u64, n_bytes: u64) -> io::Result<Told> {
    let beginning = |file: &mut Place, at: u64, n: u64| -> io::Result<Vec<u8>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(at))?;
        file.take(n).read_to_end(&mut bytes)?;
        Ok(bytes)
    };
    let start = beginning(file, from, HEADER_BYTES)?;
    let end = matroska_end(&start).map(|end| end.saturating_add(from));
    let mut told = Told {
        encrypted: is_matroska_encrypted(&start),
        sounds: matroska_sounds(&start),
        next: None,
        cut_off: end.is_some_and(|end| end > n_bytes),
    };
    if let Some(end) = end.filter(|&end| end < n_bytes)
        && beginning(file, end, 4)? == b"\x1a\x45\xdf\xa3"
    {
        told.next = Some(end);
    }
    Ok(told)
}

/// The names of codecs that a Matroska file's beginning holds.
fn matroska_sounds(start: &[u8]) -> Vec<Described> {
    // An element of the kind "codec", of fewer than 127 bytes.
    let names = start.windows(4).enumerate().filter_map(|(at, four)| {
        let n = usize::from(four[1].checked_sub(0x80)?);
        let name = start.get(at + 2..at + 2 + n)?;
        let is_name = four[0] == 0x86 && name.starts_with(b"A_") && name.is_ascii();
        is_name.then(|| String::from_utf8_lossy(name).into_owned())
    });
    let described = |name| Described {
        name,
        big_endian: false,
    };
    names.map(described).collect()
}

/// Whether the tracks of a Matroska file, which begins with `start`, are encrypted.
fn is_matroska_encrypted(start: &[u8]) -> bool {
    const ENCODINGS: &[u8] = b"\x6d\x80";
    const ENCRYPTION: &[u8] = b"\x50\x35";
    const ALGORITHM: [&[u8]; 2] = [b"\x47\xe1", b"\x47\xe2"];
    let has = |bytes: &[u8], what: &[u8]| bytes.windows(2).any(|two| two == what);
    start.windows(2).enumerate().any(|(at, two)| {
        let near = &start[at..start.len().min(at + 96)];
        two == ENCODINGS && has(near, ENCRYPTION) && ALGORITHM.iter().any(|what| has(near, what))
    })
}

/// Where a Matroska file that begins with `start` ends. A recording of a live stream does not say it.
fn matroska_end(start: &[u8]) -> Option<u64> {
    let mut at = 0_usize;
    loop {
        let id_len = 1 + start.get(at)?.leading_zeros() as usize;
        let is_segment = start.get(at..)?.starts_with(b"\x18\x53\x80\x67");
        let size_at = at + id_len;
        let size_len = 1 + start.get(size_at)?.leading_zeros() as usize;
        let bytes = start.get(size_at..size_at + size_len)?;
        let mask = 0xff_u64.checked_shr(size_len as u32).unwrap_or(0);
        let size = bytes[1..]
            .iter()
            .fold(u64::from(bytes[0]) & mask, |n, &b| n << 8 | u64::from(b));
        let unknown = size == (1_u64 << (7 * size_len).min(63)) - 1;
        if is_segment {
            let end = (size_at + size_len) as u64;
            return (!unknown).then(|| end.saturating_add(size));
        }
        at = (size_at + size_len).checked_add(usize::try_from(size).ok()?)?;
    }
}

/// Whether an Ogg file ends within a page.
pub(super) fn is_ogg_cut_off(file: &mut Place, n_bytes: u64) -> io::Result<bool> {
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

fn read_up_to(file: &mut Place, bytes: &mut [u8]) -> io::Result<usize> {
    let mut n = 0;
    while n < bytes.len() {
        match file.read(&mut bytes[n..])? {
            0 => break,
            more => n += more,
        }
    }
    Ok(n)
}
