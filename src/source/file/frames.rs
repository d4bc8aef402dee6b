//! Streams of frames without a container: MPEG audio (ISO/IEC 11172-3 and 13818-3) and AAC in ADTS
//! (ISO/IEC 13818-7).
//!
//! Every frame says how long it is, so the next one begins behind it. That is what tells sound from
//! bytes that look like it: a lone head proves nothing, several in a row do. What stands between
//! frames (tags of a file that was joined on, junk) is passed over until there is a row again. How
//! many frames there are is told by their end alone: a Xing, Info or VBRI frame is no sound, and
//! what it counts is not believed.

use std::io;

use symphonia::core::{
    audio::layouts,
    codecs::audio::{AudioCodecId, AudioCodecParameters, well_known as id},
    packet::Packet,
    units::{Duration, Timestamp},
};

use super::{input::Input, signature};

/// Frames in a row that make a stream, where it begins with them.
const ROW: usize = 3;

/// Frames in a row that make a stream, where something else is before them.
const LONG_ROW: usize = 8;

/// Bytes that are searched for the first row.
const REACH: usize = 1 << 20;

/// Samples by which decoding MPEG audio lags behind.
const DECODER_DELAY: u64 = 529;

/// What the head of a frame says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Head {
    codec: AudioCodecId,
    rate: u32,
    n_channels: usize,
    /// MPEG 1, where the data are arranged otherwise than in 2 and 2.5.
    first: bool,
    /// Bytes of the whole frame, and of what is no data of it.
    n_bytes: usize,
    n_head: usize,
    n_frames: usize,
}

impl Head {
    const LEN: usize = 8;

    fn parse(bytes: &[u8]) -> Option<Self> {
        let &[0xff, b, c, d, ..] = bytes else {
            return None;
        };
        match (b & 0xe0, b & 0xf6) {
            (0xe0, 0xf0) => Self::adts(bytes),
            (0xe0, _) => Self::mpeg(b, c, d),
            _ => None,
        }
    }

    fn mpeg(b: u8, c: u8, d: u8) -> Option<Self> {
        /// Kilobits a second of MPEG 1, layers 1 to 3, then of MPEG 2, layer 1, then 2 and 3.
        const BIT_RATES: [[usize; 14]; 5] = [
            [
                32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448,
            ],
            [
                32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384,
            ],
            [
                32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320,
            ],
            [
                32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256,
            ],
            [8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160],
        ];
        let version = (b >> 3) & 3;
        let layer = 4 - usize::from((b >> 1) & 3);
        let (bit_rate, rate) = (usize::from(c >> 4), usize::from((c >> 2) & 3));
        // A reserved version, layer, rate or emphasis; 0 for a bit rate of the encoder's own.
        if version == 1 || layer == 4 || rate == 3 || !(1..15).contains(&bit_rate) || d & 3 == 2 {
            return None;
        }
        let first = version == 3;
        let table = match (first, layer) {
            (true, layer) => layer - 1,
            (false, 1) => 3,
            (false, _) => 4,
        };
        let bits = 1_000 * BIT_RATES[table][bit_rate - 1];
        let halvings = [2, 0, 1, 0][usize::from(version)];
        let rate = [44_100, 48_000, 32_000][rate] >> halvings;
        let n_channels = if d >> 6 == 3 { 1 } else { 2 };
        let padding = usize::from((c >> 1) & 1);
        let (codec, n_frames, n_bytes) = match layer {
            1 => (id::CODEC_ID_MP1, 384, 4 * (12 * bits / rate + padding)),
            2 => (id::CODEC_ID_MP2, 1_152, 144 * bits / rate + padding),
            _ if first => (id::CODEC_ID_MP3, 1_152, 144 * bits / rate + padding),
            _ => (id::CODEC_ID_MP3, 576, 72 * bits / rate + padding),
        };
        Some(Self {
            codec,
            rate: rate as u32,
            n_channels,
            first,
            n_bytes,
            n_head: 0,
            n_frames,
        })
    }

    fn adts(bytes: &[u8]) -> Option<Self> {
        const RATES: [u32; 13] = [
            96_000, 88_200, 64_000, 48_000, 44_100, 32_000, 24_000, 22_050, 16_000, 12_000, 11_025,
            8_000, 7_350,
        ];
        let &[_, b, c, d, e, f, g, ..] = bytes else {
            return None;
        };
        let rate = *RATES.get(usize::from((c >> 2) & 15))?;
        let n_bytes = usize::from(d & 3) << 11 | usize::from(e) << 3 | usize::from(f >> 5);
        let n_head = if b & 1 == 1 { 7 } else { 9 };
        let n_raw = usize::from(g & 3) + 1;
        (n_bytes > n_head).then_some(Self {
            codec: id::CODEC_ID_AAC,
            rate,
            n_channels: usize::from((c & 1) << 2 | d >> 6),
            first: false,
            n_bytes,
            n_head,
            n_frames: 1_024 * n_raw,
        })
    }

    /// Frames of one stream: what may differ within one is their length, and mono or stereo.
    fn is_akin(&self, other: &Self) -> bool {
        self.codec == other.codec
            && self.rate == other.rate
            && self.first == other.first
            && (self.codec != id::CODEC_ID_AAC || self.n_channels == other.n_channels)
    }

    /// What a decoder is made for.
    fn form(&self) -> (AudioCodecId, u32, usize) {
        (self.codec, self.rate, self.n_channels)
    }

    fn params(&self) -> AudioCodecParameters {
        let mut params = AudioCodecParameters::new();
        params.for_codec(self.codec).with_sample_rate(self.rate);
        match self.n_channels {
            0 => {}
            1 => {
                params.with_channels(layouts::CHANNEL_LAYOUT_MONO);
            }
            2 => {
                params.with_channels(layouts::CHANNEL_LAYOUT_STEREO);
            }
            n => {
                params.with_channels(symphonia::core::audio::Channels::Discrete(n as u16));
            }
        }
        params
    }

    /// Container and codec.
    fn name(&self) -> &'static str {
        match self.codec {
            id::CODEC_ID_MP1 => "mp1/mp1",
            id::CODEC_ID_MP2 => "mp2/mp2",
            id::CODEC_ID_MP3 => "mp3/mp3",
            _ => "adts/aac",
        }
    }

    /// Where in the frame a Xing or Info tag is.
    fn tag_at(&self) -> usize {
        match (self.first, self.n_channels) {
            (true, 1) | (false, 2) => 4 + 17,
            (true, _) => 4 + 32,
            (false, _) => 4 + 9,
        }
    }
}

/// What comes next in a stream of frames.
pub(super) enum Next {
    /// From here on the frames are of another form: they need a new decoder.
    Form(AudioCodecParameters),
    Packet(Packet),
    End,
}

/// A stream of frames.
pub(super) struct Frames {
    input: Input,
    /// The last frame.
    last: Head,
    /// Its form has been told.
    told: bool,
    position: u64,
    /// Samples still to be left out: the encoder's delay and the decoder's.
    delay: u64,
    n_packets: u64,
    /// What the counting frame says: bytes up to the end of the stream, and frames.
    counted: Option<(u64, u64)>,
    /// It ended before the counting frame said so.
    pub(super) truncated: bool,
}

impl Frames {
    /// The frames in `input`, at its beginning or behind something else; `None` if there is no row
    /// of them, which leaves `input` as it was. `tagged`: a tag was there, as before MP3.
    pub(super) fn find(input: Input, tagged: bool) -> io::Result<Result<Self, Input>> {
        let mut input = input;
        let zeros = leading_zeros(&mut input)?;
        let mut at = zeros;
        let row = if tagged || zeros > 0 { 2 } else { ROW };
        let found = loop {
            let row = if at == zeros { row } else { LONG_ROW };
            // No more is waited for than what the first frames need, if they are some.
            if let Some(head) = row_at(&mut input, at, row)? {
                break Some(head);
            }
            let ahead = input.peek(REACH)?;
            match ahead
                .get(at + 1..)
                .and_then(|tail| tail.iter().position(|&byte| byte == 0xff))
            {
                Some(next) => at += 1 + next,
                None => break None,
            }
        };
        let Some(last) = found else {
            return Ok(Err(input));
        };
        input.advance(at);
        Ok(Ok(Self {
            input,
            last,
            told: false,
            position: 0,
            delay: 0,
            n_packets: 0,
            counted: None,
            truncated: false,
        }))
    }

    /// Whether a row of frames comes `at` bytes ahead in `input`.
    pub(super) fn come_at(input: &mut Input, at: usize) -> io::Result<bool> {
        Ok(row_at(input, at, ROW)?.is_some())
    }

    /// Whether so many frames come `at` bytes ahead in `input` that they are no chance, wherever
    /// they stand.
    pub(super) fn go_on_at(input: &mut Input, at: usize) -> io::Result<bool> {
        Ok(row_at(input, at, LONG_ROW)?.is_some())
    }

    /// What comes behind the stream, which has ended.
    pub(super) fn into_rest(self) -> Input {
        self.input
    }

    /// Container and codec, such as `mp3/mp3`.
    pub(super) fn name(&self) -> &'static str {
        self.last.name()
    }

    pub(super) fn params(&self) -> AudioCodecParameters {
        self.last.params()
    }

    /// The next frame with sound.
    pub(super) fn next(&mut self) -> io::Result<Next> {
        loop {
            let Some(head) = self.next_head()? else {
                return Ok(self.end());
            };
            let changed = self.told && head.form() != self.last.form();
            self.last = head;
            if changed || !self.told {
                self.told = true;
                if changed {
                    return Ok(Next::Form(head.params()));
                }
            }
            let bytes = self.input.peek(head.n_bytes)?;
            let bytes_left = bytes.len();
            if bytes_left < head.n_bytes {
                // Half a frame at the end: there is no telling where such a stream was to end.
                self.input.advance(bytes_left);
                return Ok(self.end());
            }
            let counted = count_frame(bytes, &head);
            let mut data = bytes[head.n_head..].to_vec();
            spread_low_rate(&head, &mut data);
            self.input.advance(head.n_bytes);
            if let Some((delay, counted)) = counted {
                if self.n_packets == 0 {
                    self.delay = delay;
                    let start = self.input.position() - head.n_bytes as u64;
                    self.counted = counted.map(|(bytes, frames)| (start + bytes, frames));
                }
                continue;
            }
            self.n_packets += 1;
            let n_frames = head.n_frames as u64;
            let pts = Timestamp::from(i64::try_from(self.position).unwrap_or(i64::MAX));
            self.position += n_frames;
            let trimmed = self.delay.min(n_frames);
            self.delay -= trimmed;
            let mut packet = Packet::new(0, pts, Duration::from(n_frames - trimmed), data);
            packet.trim_start = Duration::from(trimmed);
            return Ok(Next::Packet(packet));
        }
    }

    /// It is cut off if both of what was counted at the beginning is not there. Bytes alone may be
    /// those of a tag that was taken away, frames alone a recorder's mistake.
    fn end(&mut self) -> Next {
        let (bytes, frames) = self.counted.unwrap_or_default();
        let at = self.input.n_bytes().unwrap_or(self.input.position());
        self.truncated = bytes > at + 4_096 && frames > self.n_packets + self.n_packets / 100;
        Next::End
    }

    /// Goes to the next frame.
    fn next_head(&mut self) -> io::Result<Option<Head>> {
        loop {
            let ahead = self.input.peek(Head::LEN)?;
            if ahead.len() < 4 {
                return Ok(None);
            }
            if let Some(head) = Head::parse(ahead)
                && head.is_akin(&self.last)
            {
                return Ok(Some(head));
            }
            if skip_tag(&mut self.input)? {
                continue;
            }
            if let Some(head) = row_at(&mut self.input, 0, ROW)? {
                return Ok(Some(head));
            }
            // A file of another format is joined on.
            if signature::kind(self.input.peek(64)?).is_read() {
                return Ok(None);
            }
            let ahead = self.input.look(2)?;
            let next = ahead[1..].iter().position(|&byte| byte == 0xff);
            let n = next.map_or(ahead.len(), |next| 1 + next);
            self.input.advance(n.max(1));
            // Behind junk, a head alone is none.
            while let Some(false) = self.in_row()? {
                let ahead = self.input.look(2)?;
                if ahead.len() < 2 {
                    return Ok(None);
                }
                let next = ahead[1..].iter().position(|&byte| byte == 0xff);
                let n = next.map_or(ahead.len(), |next| 1 + next);
                self.input.advance(n);
            }
        }
    }

    /// Whether a row of frames, or a tag, comes next; `None` at the end.
    fn in_row(&mut self) -> io::Result<Option<bool>> {
        let ahead = self.input.peek(Head::LEN)?;
        if ahead.len() < 4 {
            return Ok(None);
        }
        if ahead.starts_with(b"ID3") {
            return Ok(Some(true));
        }
        Ok(Some(row_at(&mut self.input, 0, ROW)?.is_some()))
    }
}

/// Stereo of layer 2 at 32, 48, 56 and 80 kbit/s is not allowed, and is written all the same. The
/// decoder refuses it (docs/upstream.md), but not the same frame at 96 kbit/s, which is laid out
/// alike and has room to spare.
fn spread_low_rate(head: &Head, data: &mut Vec<u8>) {
    /// Places of those rates in their table.
    const LOW: [u8; 4] = [1, 2, 3, 5];
    const SPREAD: u8 = 6;
    let &[_, _, c, ..] = &data[..] else {
        return;
    };
    if head.codec != id::CODEC_ID_MP2
        || !head.first
        || head.n_channels != 2
        || !LOW.contains(&(c >> 4))
    {
        return;
    }
    data[2] = SPREAD << 4 | c & 0x0f;
    if let Some(spread) = Head::parse(data) {
        data.resize(spread.n_bytes, 0);
    }
}

/// Zeros before anything else: some files begin with a stretch of them.
fn leading_zeros(input: &mut Input) -> io::Result<usize> {
    if input.peek(1)?.first() != Some(&0) {
        return Ok(0);
    }
    let ahead = input.peek(REACH)?;
    Ok(ahead
        .iter()
        .position(|&byte| byte != 0)
        .unwrap_or(ahead.len()))
}

/// The head of the frame that begins `at` bytes ahead, if `n` akin frames stand in a row there, or
/// so many as there are up to the end.
fn row_at(input: &mut Input, at: usize, n: usize) -> io::Result<Option<Head>> {
    let (mut next, mut first) = (at, None::<Head>);
    for index in 0..n {
        let ahead = input.peek(next + Head::LEN)?;
        let bytes = ahead.get(next..).unwrap_or_default();
        let ends = bytes.len() < 4 || bytes.starts_with(b"TAG") || bytes.starts_with(b"APET");
        if ends && index > 0 {
            break;
        }
        let Some(head) = Head::parse(bytes) else {
            return Ok(None);
        };
        match &first {
            None => first = Some(head),
            Some(first) if first.is_akin(&head) => {}
            Some(_) => return Ok(None),
        }
        next += head.n_bytes;
        // A lone frame must at least be whole.
        if index == 0 && input.peek(next)?.len() < next {
            return Ok(None);
        }
    }
    Ok(first)
}

/// Bytes and frames.
type Counted = Option<(u64, u64)>;

/// If the frame counts the others instead of holding sound: the samples to leave out at the
/// beginning, and what it has counted.
fn count_frame(bytes: &[u8], head: &Head) -> Option<(u64, Counted)> {
    if head.codec != id::CODEC_ID_MP3 {
        return None;
    }
    if bytes.get(36..40) == Some(b"VBRI") {
        return Some((0, None));
    }
    let tag = bytes.get(head.tag_at()..)?;
    if !matches!(tag.get(..4), Some(b"Xing" | b"Info")) {
        return None;
    }
    // Frames, bytes, a table of 100 and the quality are there or not; then the encoder's name.
    let flags = *tag.get(7)?;
    let lens = [4, 4, 100, 4];
    let present = (0..4).filter(|bit| flags >> bit & 1 == 1);
    let encoder = 8 + present.map(|bit| lens[bit]).sum::<usize>();
    let delay = tag.get(encoder + 21..).and_then(<[u8]>::first_chunk::<2>);
    let named = tag
        .get(encoder..encoder + 4)
        .is_some_and(|name| name.iter().all(u8::is_ascii_graphic));
    let number = |at: usize| {
        Some(u64::from(u32::from_be_bytes(
            *tag.get(at..)?.first_chunk()?,
        )))
    };
    let counted = (flags & 3 == 3)
        .then(|| number(12).zip(number(8)))
        .flatten();
    let delay = match delay {
        Some(&[a, b]) if named => DECODER_DELAY + (u64::from(a) << 4 | u64::from(b) >> 4),
        _ => 0,
    };
    Some((delay, counted))
}

/// Passes over a tag (ID3v2, ID3v1, APE), if one comes next.
pub(super) fn skip_tag(input: &mut Input) -> io::Result<bool> {
    let head = input.peek(32)?;
    let n = match head {
        [b'I', b'D', b'3', major, _, flags, size @ ..]
            if *major < 0xff && size.len() >= 4 && size[..4].iter().all(|&byte| byte < 0x80) =>
        {
            let size = size[..4]
                .iter()
                .fold(0, |sum, &byte| sum << 7 | u64::from(byte));
            10 + size + if flags & 0x10 == 0 { 0 } else { 10 }
        }
        [b'T', b'A', b'G', ..] => 128,
        head if head.starts_with(b"APETAGEX") && head.len() == 32 => {
            let size = u32::from_le_bytes([head[12], head[13], head[14], head[15]]);
            // The size is without the header; a footer stands alone.
            if head[23] & 0x20 == 0 {
                32
            } else {
                32 + u64::from(size)
            }
        }
        _ => return Ok(false),
    };
    if input.rest().is_some_and(|rest| n > rest) {
        // Its length is wrong: what is in it is searched.
        input.advance(3);
    } else {
        input.skip(n)?;
    }
    Ok(true)
}
