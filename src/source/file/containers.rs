//! What containers say of themselves that their demuxers do not tell: whether they are whole, and
//! whether there is a key to them.

use std::io::{self, Read, Seek, SeekFrom};

use super::{
    begin,
    frames::Frames,
    input::{Input, Patch, Place},
    signature::Kind,
};

/// Largest description of a track of an MP4 file that is looked through.
const MAX_TRACK: u64 = 16 << 20;

/// What is larger than this and not needed is kept from the demuxer, which would hold it in memory.
const LARGE: u64 = 64 * 1024;

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
    /// What makes the demuxer pass over pictures and the like.
    pub(super) patches: Vec<Patch>,
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
        let name = &head[4..8];
        let is_atom = name
            .iter()
            .all(|byte| byte.is_ascii_graphic() || *byte == b' ' || *byte == 0xa9);
        if at > from && (name == b"ftyp" || !is_atom && begins_another(file, at, n_bytes)?) {
            told.next = Some(at);
            break;
        }
        if name == b"moov" && told.sounds.is_empty() {
            let end = if size == 0 {
                n_bytes
            } else {
                at.saturating_add(size)
            };
            index(file, at + 8, end.min(n_bytes), &mut told)?;
        }
        if size < 8 {
            break;
        }
        // What is in fragments may end between two of them; what is in one part says itself what it
        // lacks.
        in_fragments |= &head[4..8] == b"moof";
        at = at.saturating_add(size);
        told.cut_off = in_fragments && at > n_bytes;
    }
    Ok(told)
}

/// Looks through the index of an MP4 file, from `at` to `end`.
fn index(file: &mut Place, mut at: u64, end: u64, told: &mut Told) -> io::Result<()> {
    while at.saturating_add(8) <= end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 8];
        if read_up_to(file, &mut head)? < 8 {
            break;
        }
        let [a, b, c, d, name @ ..] = head;
        let size = u64::from(u32::from_be_bytes([a, b, c, d]));
        match &name {
            b"trak" => {
                let mut track = Vec::new();
                file.take(size.saturating_sub(8).min(MAX_TRACK))
                    .read_to_end(&mut track)?;
                describe(&track, told);
            }
            b"udta" | b"meta" if size > LARGE => told.patches.push((at + 4, b"free".to_vec())),
            _ => {}
        }
        if size < 8 {
            break;
        }
        at = at.saturating_add(size);
    }
    Ok(())
}

/// Whether a file of its own begins at `at`, or the tag before one.
fn begins_another(file: &Place, at: u64, n_bytes: u64) -> io::Result<bool> {
    let mut file = file.try_clone()?;
    file.seek(SeekFrom::Start(at))?;
    let mut input = Input::new(Box::new(file), Some(n_bytes));
    input.started_at(at);
    Ok(begin(&mut input)?.is_read() || Frames::come_at(&mut input, 0)?)
}

/// What the atoms of a track say, if it has sound.
fn describe(track: &[u8], told: &mut Told) {
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
    let segment = segment(&start);
    let end = segment.and_then(|(_, end)| end);
    let end = end.map(|end| end.saturating_add(from));
    let mut told = Told {
        encrypted: is_matroska_encrypted(&start),
        sounds: matroska_sounds(&start),
        next: None,
        cut_off: end.is_some_and(|end| end > n_bytes),
        patches: Vec::new(),
    };
    if let Some(end) = end.filter(|&end| end < n_bytes)
        && begins_another(file, end, n_bytes)?
    {
        told.next = Some(end);
    }
    if let Some((content, _)) = segment {
        let end = end.unwrap_or(n_bytes).min(n_bytes);
        told.patches = large_elements(file, content.saturating_add(from), end)?;
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

/// The head of an element of Matroska.
struct Element {
    /// Bytes of its head.
    head: u64,
    id_len: usize,
    /// Bytes of its content; `None`: up to the end of what it is in.
    size: Option<u64>,
}

impl Element {
    fn parse(bytes: &[u8]) -> Option<Self> {
        let id_len = 1 + bytes.first()?.leading_zeros() as usize;
        let size_len = 1 + bytes.get(id_len)?.leading_zeros() as usize;
        let size = bytes.get(id_len..id_len + size_len)?;
        let mask = 0xff_u64.checked_shr(size_len as u32).unwrap_or(0);
        let size = size[1..]
            .iter()
            .fold(u64::from(size[0]) & mask, |n, &b| n << 8 | u64::from(b));
        let unknown = size == (1_u64 << (7 * size_len).min(63)) - 1;
        Some(Self {
            head: (id_len + size_len) as u64,
            id_len,
            size: (!unknown).then_some(size),
        })
    }
}

/// Where the content of the segment of a Matroska file begins, which itself begins with `start`,
/// and where it ends. A recording of a live stream does not say the latter.
fn segment(start: &[u8]) -> Option<(u64, Option<u64>)> {
    let mut at = 0_usize;
    loop {
        let bytes = start.get(at..)?;
        let element = Element::parse(bytes)?;
        let content = (at as u64).checked_add(element.head)?;
        if bytes.starts_with(b"\x18\x53\x80\x67") {
            return Some((content, element.size.map(|n| content.saturating_add(n))));
        }
        at = usize::try_from(content.checked_add(element.size?)?).ok()?;
    }
}

/// What lies between `at` and `end` and is no sound, such as covers, becomes void where it is
/// large.
fn large_elements(file: &mut Place, mut at: u64, end: u64) -> io::Result<Vec<Patch>> {
    const CLUSTER: &[u8] = b"\x1f\x43\xb6\x75";
    // Attachments, tags.
    const PASSED: [&[u8]; 2] = [b"\x19\x41\xa4\x69", b"\x12\x54\xc3\x67"];
    let mut patches = Vec::new();
    while at < end {
        file.seek(SeekFrom::Start(at))?;
        let mut head = [0; 16];
        let n = read_up_to(file, &mut head)?;
        let Some(element) = Element::parse(&head[..n]) else {
            break;
        };
        let (true, Some(size)) = (element.id_len <= 4, element.size) else {
            break;
        };
        if head.starts_with(CLUSTER) {
            // What is behind the sound is reached when that was heard.
            break;
        }
        if size > LARGE && PASSED.iter().any(|id| head.starts_with(id)) {
            patches.push((at, void(element.head, size)));
        }
        at = at.saturating_add(element.head).saturating_add(size);
    }
    Ok(patches)
}

/// The head of an element that is to be passed over, in place of one of `head` bytes.
fn void(head: u64, size: u64) -> Vec<u8> {
    let size_len = (head - 1).min(8);
    let size = size + (head - 1 - size_len);
    let marked = size | 1 << (7 * size_len);
    let mut bytes = vec![0xec];
    bytes.extend(&marked.to_be_bytes()[8 - size_len as usize..]);
    bytes
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
