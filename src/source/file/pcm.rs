//! Samples behind a header: what WAV, AIFF and AU have in common.
//!
//! A header says how the samples are written, and how many bytes of them there are. The first is
//! believed, the second is not: recorders that lost power, programs that wrote into a pipe and
//! files of more than 4 GB leave nonsense there. The sound ends where the file does, or where
//! another chunk begins.

use std::io;

use symphonia::core::{
    audio::{Channels, layouts},
    codecs::audio::{AudioCodecId, AudioCodecParameters},
    packet::Packet,
    units::{Duration, Timestamp},
};

use super::{frames::Frames, input::Input, signature};

/// Frames of a packet, at least, unless the stream has no more to give at the moment.
const PACKET_FRAMES: usize = 1_152;

/// What follows the sound and has no more bytes than this is not looked at.
const CRUMBS: u64 = 4_096;

/// Zeros behind the sound, up to so many, fill up a block of some disk.
const PADDING: usize = 64 * 1024;

/// Why a header cannot be used.
#[derive(Debug)]
pub(super) enum Refusal {
    /// It is damaged.
    Damaged(String),
    /// Samples in a form that there is no decoder for.
    Unsupported(String),
    /// It cannot be read.
    Io(io::Error),
}

impl From<io::Error> for Refusal {
    fn from(error: io::Error) -> Self {
        Self::Io(error)
    }
}

/// How the numbers of a header are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Order {
    Little,
    Big,
}

impl Order {
    pub(super) fn u16(self, bytes: &[u8], at: usize) -> Option<u16> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u16::from_le_bytes(bytes),
            Self::Big => u16::from_be_bytes(bytes),
        })
    }

    pub(super) fn u32(self, bytes: &[u8], at: usize) -> Option<u32> {
        let bytes = *bytes.get(at..)?.first_chunk()?;
        Some(match self {
            Self::Little => u32::from_le_bytes(bytes),
            Self::Big => u32::from_be_bytes(bytes),
        })
    }
}

/// What a header says of the sound behind it.
#[derive(Clone, Debug)]
pub(super) struct Sound {
    pub(super) codec: AudioCodecId,
    pub(super) rate: u32,
    pub(super) n_channels: u16,
    /// Bytes that are decoded together, and the frames they hold.
    pub(super) block_bytes: usize,
    pub(super) block_frames: usize,
    /// Bytes of the sound, as the header has it; `None` if it does not know.
    pub(super) n_bytes: Option<u64>,
    /// How the numbers of the chunks behind it are written; `None` where there are no chunks.
    pub(super) chunks: Option<Order>,
}

impl Sound {
    /// For the decoder.
    pub(super) fn params(&self) -> AudioCodecParameters {
        let mut params = AudioCodecParameters::new();
        let channels = match self.n_channels {
            1 => layouts::CHANNEL_LAYOUT_MONO,
            2 => layouts::CHANNEL_LAYOUT_STEREO,
            n => Channels::Discrete(n),
        };
        params
            .for_codec(self.codec)
            .with_sample_rate(self.rate)
            .with_channels(channels)
            .with_max_frames_per_packet((self.packet_blocks() * self.block_frames) as u64)
            .with_frames_per_block(self.block_frames as u64);
        params
    }

    fn packet_blocks(&self) -> usize {
        PACKET_FRAMES.div_ceil(self.block_frames.max(1))
    }
}

/// What passes for samples and is none, as it is made for a digital output: its bytes would be
/// noise.
pub(super) fn disguised(input: &mut Input) -> io::Result<Option<&'static str>> {
    const KNOWN: [(&[u8], &str); 6] = [
        (b"\xff\x1f\x00\xe8", "DTS"),
        (b"\x1f\xff\xe8\x00", "DTS"),
        (b"\xfe\x7f\x01\x80", "DTS"),
        (b"\x7f\xfe\x80\x01", "DTS"),
        (b"\x72\xf8\x1f\x4e", "Dolby Digital"),
        (b"\xf8\x72\x4e\x1f", "Dolby Digital"),
    ];
    // A pipe may have nothing more to say for now.
    let n = if input.n_bytes().is_some() {
        32 * 1024
    } else {
        0
    };
    let start = input.peek(n)?;
    let mut found = [0; KNOWN.len()];
    for four in start.windows(4) {
        if let Some(row) = KNOWN.iter().position(|(mark, _)| *mark == four) {
            found[row] += 1;
        }
    }
    Ok(KNOWN
        .iter()
        .zip(found)
        .find(|(_, n)| *n > 2)
        .map(|((_, what), _)| *what))
}

/// The length of the sound that comes next, as a header states it, in a file that by its first head
/// ends at `end`. If the file does end there, nothing of it is missing, and a length beyond is
/// wrong.
pub(super) fn believed(n_bytes: Option<u64>, end: u64, input: &Input) -> Option<u64> {
    /// Writers forget to count a head, or a byte of padding.
    const SLACK: u64 = 16;
    let is_whole = input.n_bytes().is_some_and(|n| n.abs_diff(end) <= SLACK);
    n_bytes.filter(|&n| !is_whole || input.rest().is_none_or(|rest| n <= rest))
}

/// The samples behind a header.
pub(super) struct Pcm {
    input: Input,
    sound: Sound,
    /// Bytes of sound still to come; `None`: all there are.
    left: Option<u64>,
    frames: u64,
    /// It ended before the header said so.
    pub(super) truncated: bool,
}

impl Pcm {
    /// The samples that come next in `input`.
    pub(super) fn new(input: Input, sound: Sound) -> Self {
        Self {
            left: sound.n_bytes,
            input,
            sound,
            frames: 0,
            truncated: false,
        }
    }

    /// Frames that the header promises, as far as there are bytes for them.
    pub(super) fn n_frames(&self) -> Option<u64> {
        let n_bytes = match (self.left, self.input.rest()) {
            (Some(left), Some(rest)) => left.min(rest),
            (None, Some(rest)) => rest,
            (left, None) => left?,
        };
        Some(n_bytes / self.sound.block_bytes as u64 * self.sound.block_frames as u64)
    }

    /// What comes behind the sound, which has ended; chunks of the same file are passed over.
    pub(super) fn into_rest(mut self) -> Option<Input> {
        // More is left of a file that is cut off, and nothing comes behind it.
        let left = usize::try_from(self.left?).ok()?;
        if left >= self.sound.block_bytes {
            return None;
        }
        self.input.peek(left).ok()?;
        self.input.advance(left);
        let mut odd = self.sound.n_bytes.unwrap_or(0) % 2 == 1;
        loop {
            let rest = self.input.rest();
            let ahead = self.input.peek(65).ok()?;
            // With or without the byte that makes lengths even.
            let pads: &[usize] = if odd { &[1, 0] } else { &[0] };
            let is_file = |pad: usize| begins_file(ahead.get(pad..).unwrap_or_default());
            let mut file = pads.iter().copied().find(|&pad| is_file(pad));
            for &pad in pads {
                if file.is_none() && Frames::go_on_at(&mut self.input, pad).ok()? {
                    file = Some(pad);
                }
            }
            if let Some(pad) = file {
                self.input.advance(pad);
                return Some(self.input);
            }
            let order = self.sound.chunks?;
            let ahead = self.input.peek(65).ok()?;
            let found = pads.iter().find_map(|&pad| {
                let (_, size) = chunk(ahead.get(pad..)?, order, rest)?;
                Some((pad, size))
            });
            let (pad, size) = found?;
            self.input.advance(pad + 8);
            self.input.skip(u64::from(size)).ok()?;
            odd = size % 2 == 1;
        }
    }

    pub(super) fn next_packet(&mut self) -> io::Result<Option<Packet>> {
        let block = self.sound.block_bytes;
        while self.left.is_some_and(|left| left < block as u64) {
            if !self.goes_on()? {
                return Ok(None);
            }
        }
        let most = self.sound.packet_blocks() * block;
        let most = self
            .left
            .map_or(most, |left| most.min(usize::try_from(left).unwrap_or(most)));
        let there = self.input.look(block)?;
        let n_blocks = there.len().min(most) / block;
        if n_blocks == 0 {
            self.truncated = self.is_cut_off();
            return Ok(None);
        }
        let data = there[..n_blocks * block].to_vec();
        self.input.advance(data.len());
        if let Some(left) = &mut self.left {
            *left -= data.len() as u64;
        }
        let frames = (n_blocks * self.sound.block_frames) as u64;
        let pts = Timestamp::from(i64::try_from(self.frames).unwrap_or(i64::MAX));
        self.frames += frames;
        Ok(Some(Packet::new(0, pts, Duration::from(frames), data)))
    }

    /// The file has ended: whether the header promises more. Some count the header, too.
    fn is_cut_off(&self) -> bool {
        let counted = self.input.position() + CRUMBS.min(64);
        self.sound.n_bytes.is_some_and(|n| n > counted)
    }

    /// The sound has ended, as the header has it: whether it goes on all the same, as what comes
    /// next is no chunk.
    fn goes_on(&mut self) -> io::Result<bool> {
        let left = self.left.unwrap_or(0) as usize;
        let odd = self.sound.n_bytes.unwrap_or(0) % 2;
        let rest = self.input.rest().map(|rest| rest - (left as u64).min(rest));
        if rest.is_some_and(|rest| rest <= CRUMBS) {
            return Ok(false);
        }
        let ahead = &self.input.peek(left + 16)?;
        let Some(ahead) = ahead.get(left..).filter(|ahead| ahead.len() >= 9) else {
            return Ok(false);
        };
        let tags: [&[u8]; 3] = [b"ID3", b"TAG", b"APETAGEX"];
        if tags.iter().any(|tag| ahead.starts_with(tag)) {
            return Ok(false);
        }
        // Another file is joined on.
        let pads = [odd as usize, 0];
        if pads.iter().any(|&pad| begins_file(&ahead[pad..])) {
            return Ok(false);
        }
        for pad in pads {
            if Frames::go_on_at(&mut self.input, left + pad)? {
                return Ok(false);
            }
        }
        let ahead = &self.input.peek(left + 16)?[left..];
        if let Some(order) = self.sound.chunks {
            // With or without the byte that makes lengths even.
            for pad in pads {
                if let Some((name, size)) = chunk(&ahead[pad..], order, rest) {
                    if &name != b"data" {
                        return Ok(false);
                    }
                    self.input.advance(left + pad + 8);
                    self.left = Some(u64::from(size));
                    return Ok(true);
                }
            }
        }
        if rest.is_some_and(|rest| rest <= PADDING as u64) {
            let ahead = self.input.peek(left + PADDING)?;
            if ahead[left..].iter().all(|&byte| byte == 0) {
                return Ok(false);
            }
        }
        self.left = None;
        Ok(true)
    }
}

/// Whether a file of a format that is read begins with `bytes`, or a tag before one.
fn begins_file(bytes: &[u8]) -> bool {
    bytes.len() > 8
        && (signature::kind(bytes).is_read()
            || matches!(bytes, [b'I', b'D', b'3', 2..=4, 0, _, a, b, c, d, ..] if (a | b | c | d) & 0x80 == 0))
}

/// The head of a chunk: its name and its length, where `bytes` begin with one that can be.
pub(super) fn chunk(bytes: &[u8], order: Order, rest: Option<u64>) -> Option<([u8; 4], u32)> {
    let name = *bytes.first_chunk::<4>()?;
    let size = order.u32(bytes, 4)?;
    let printable = name.iter().all(|byte| (b' '..=b'~').contains(byte)) && name[0] != b' ';
    // A byte or two may be missing at the end of a file.
    let fits = rest.is_none_or(|rest| u64::from(size) <= rest);
    (printable && fits).then_some((name, size))
}

/// Passes over a chunk of `size` bytes (its head is used up), if what follows it is a chunk. If
/// not, its length is wrong: then `false`, and the next byte is the first after its head.
pub(super) fn skip_chunk(input: &mut Input, size: u32, order: Order) -> io::Result<bool> {
    /// Longer chunks are not looked behind.
    const MOST: u32 = 1 << 20;
    let rest = input.rest();
    if rest.is_some_and(|rest| u64::from(size) > rest) {
        return Ok(false);
    }
    let (n, odd) = (size as usize, (size % 2) as usize);
    if size > MOST {
        input.skip(u64::from(size) + odd as u64)?;
        return Ok(true);
    }
    let ahead = input.peek(n + odd + 8)?;
    let ends = ahead.len() <= n + odd;
    for pad in [odd, 0] {
        let next = ahead.get(n + pad..).unwrap_or_default();
        // The length of the sound may be nonsense.
        if ends || chunk(next, order, rest).is_some() || is_sound(next) {
            input.advance(n + pad);
            return Ok(true);
        }
    }
    Ok(false)
}

/// Goes on to the chunk of the format or of the sound: what is before it has a wrong length.
pub(super) fn find_chunk(input: &mut Input) -> io::Result<bool> {
    /// Bytes that are searched.
    const MOST: usize = 1 << 20;
    let ahead = input.peek(MOST)?;
    let found = ahead
        .windows(4)
        .position(|four| is_sound(four) || matches!(four, b"fmt " | b"COMM"));
    if let Some(at) = found {
        input.advance(at);
    }
    Ok(found.is_some())
}

/// The chunk that says how samples are written, of a file that begins in `input`, if it is behind
/// them.
pub(super) fn late_format(input: &mut Input) -> io::Result<Option<Vec<u8>>> {
    /// Bytes of it that are of use.
    const MOST: u32 = 64;
    let order = match input.peek(4)? {
        b"RIFF" => Order::Little,
        b"RIFX" | b"FORM" => Order::Big,
        // Of these the sound may be longer than its chunk says, or the chunks are others.
        _ => return Ok(None),
    };
    input.skip(12)?;
    let mut behind = false;
    loop {
        let rest = input.rest().map(|rest| rest.saturating_sub(8));
        let Some((name, size)) = chunk(input.peek(8)?, order, rest) else {
            return Ok(None);
        };
        if matches!(&name, b"fmt " | b"COMM") {
            let n = 8 + size.min(MOST) as usize;
            let found = input.peek(n)?.get(8..).map(<[u8]>::to_vec);
            return Ok(found.filter(|_| behind));
        }
        behind |= is_sound(&name);
        input.skip(8 + u64::from(size) + u64::from(size % 2))?;
    }
}

fn is_sound(bytes: &[u8]) -> bool {
    bytes.starts_with(b"data") || bytes.starts_with(b"SSND")
}
