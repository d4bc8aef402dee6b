//! WAV files: RIFF (Multimedia Programming Interface 1.0, 1991), its big-endian form RIFX, and RF64
//! and BW64 (EBU Tech 3306, ITU-R BS.2088), whose lengths have 64 bits; Wave64 (Sony), whose names
//! have 16 bytes, too.

use symphonia::core::codecs::audio::{AudioCodecId, well_known as id};

use super::{
    input::Input,
    pcm::{Order, Refusal, Sound, believed, chunk, find_chunk, skip_chunk},
};

/// Longest format chunk.
const MAX_FORMAT: u32 = 64 * 1024;

pub(super) fn is_wav(start: &[u8]) -> bool {
    let names: [&[u8]; 4] = [b"RIFF", b"RIFX", b"RF64", b"BW64"];
    names.iter().any(|name| start.starts_with(name))
        && start.get(8..12).is_none_or(|form| form == b"WAVE")
}

/// What follows the first four letters of a name of Wave64, but for that of the file.
const W64_NAME: &[u8; 12] = b"\xf3\xac\xd3\x11\x8c\xd1\x00\xc0\x4f\x8e\xdb\x8a";

pub(super) fn is_w64(start: &[u8]) -> bool {
    start.starts_with(b"riff\x2e\x91\xcf\x11")
        && start.get(24..28).is_none_or(|form| form == b"wave")
}

/// Reads the header of Wave64 up to its samples, which come next in `input`.
fn w64_header(input: &mut Input) -> Result<Held, Refusal> {
    input.skip(40)?;
    let mut format = None;
    loop {
        let head = input.peek(24)?;
        let Some(&[a, b, c, d, ref tail @ ..]) = head.first_chunk::<24>() else {
            return Err(Refusal::Damaged(
                "its header is damaged or incomplete: it ends before its sound".into(),
            ));
        };
        let size = tail
            .last_chunk()
            .map_or(0, |size| u64::from_le_bytes(*size));
        // The length is that of the head, too.
        let (known, body) = (tail.starts_with(W64_NAME), size.saturating_sub(24));
        match &[a, b, c, d] {
            b"data" if known => {
                input.advance(24);
                let n_bytes = (24..u64::MAX / 2).contains(&size).then_some(body);
                let format: &[u8] = format.as_deref().unwrap_or_default();
                return held(format, Order::Little, n_bytes).map(Held::without_chunks);
            }
            // Nothing is shorter than its head: it would be read again and again.
            _ if size < 24 => {
                return Err(Refusal::Damaged("its header leads to no sound".into()));
            }
            b"fmt " if known => {
                let n = usize::try_from(body.min(u64::from(MAX_FORMAT))).unwrap_or(0);
                format = input.peek(24 + n)?.get(24..).map(<[u8]>::to_vec);
            }
            _ => {}
        }
        // Chunks begin at multiples of 8.
        input.skip(size.checked_next_multiple_of(8).unwrap_or(u64::MAX))?;
    }
}

/// What a WAV file holds.
pub(super) enum Held {
    /// Samples.
    Sound(Sound),
    /// Frames of MPEG audio.
    Mpeg,
}

impl Held {
    /// What is behind the sound is not looked at.
    fn without_chunks(self) -> Self {
        match self {
            Self::Sound(sound) => Self::Sound(Sound {
                chunks: None,
                ..sound
            }),
            Self::Mpeg => Self::Mpeg,
        }
    }
}

/// No file is longer: what states more states nothing.
const LONGEST: u64 = 1 << 50;

/// Whether a length stands for "not known": what ffmpeg (all ones), sox, arecord and others write
/// before they know, or leave there when they cannot go back.
fn is_unknown(size: u32) -> bool {
    matches!(size, 0x7fff_f000 | 0x7fff_ff00..=0x8000_0000 | 0xffff_ff00..)
}

/// Reads the header up to its samples, which come next in `input`.
///
/// `format` is the chunk of that name, where it is behind them.
pub(super) fn header(input: &mut Input, format: Option<Vec<u8>>) -> Result<Held, Refusal> {
    if is_w64(input.peek(28)?) {
        return w64_header(input);
    }
    let order = if input.peek(4)? == b"RIFX" {
        Order::Big
    } else {
        Order::Little
    };
    let whole = order.u32(input.peek(8)?, 4).unwrap_or(0);
    let start = input.position() + 8;
    let mut end = start + u64::from(whole);
    input.skip(12)?;
    let (mut format, mut long) = (format, None);
    loop {
        let rest = input.rest();
        let head = input.peek(8)?;
        let Some(&name) = head.first_chunk::<8>() else {
            return Err(Refusal::Damaged(
                "its header is damaged or incomplete: it ends before its sound".into(),
            ));
        };
        let size = order.u32(&name, 4).unwrap_or(0);
        if name.starts_with(b"data") {
            input.advance(8);
            let n_bytes = match (size, long) {
                (u32::MAX, Some(long)) => Some(long).filter(|n| (1..LONGEST).contains(n)),
                _ => (!is_unknown(size)).then_some(u64::from(size)),
            };
            let format: &[u8] = format.as_deref().unwrap_or_default();
            return held(format, order, believed(n_bytes, end, input));
        }
        let is_format = name.starts_with(b"fmt ");
        if !is_format && chunk(&name, order, rest.map(|rest| rest.saturating_sub(8))).is_none() {
            input.advance(1);
            if !find_chunk(input)? {
                return Err(Refusal::Damaged("its header leads to no sound".into()));
            }
            continue;
        }
        input.advance(8);
        if is_format {
            format = Some(input.peek(size.min(MAX_FORMAT) as usize)?.to_vec());
        }
        if name.starts_with(b"ds64") {
            let ahead = input.peek(16)?;
            let long_at = |at| {
                let bytes = ahead.get(at..)?.first_chunk()?;
                Some(u64::from_le_bytes(*bytes))
            };
            long = long_at(8);
            end = long_at(0).map_or(end, |whole| start.saturating_add(whole));
        }
        if !skip_chunk(input, size, order)? && !find_chunk(input)? {
            return Err(Refusal::Damaged("its header leads to no sound".into()));
        }
    }
}

/// The sound that `format` describes.
fn held(format: &[u8], order: Order, n_bytes: Option<u64>) -> Result<Held, Refusal> {
    let missing = || Refusal::Damaged("its header does not say how the sound is written".into());
    let field = |at| order.u16(format, at).ok_or_else(missing);
    let (mut tag, n_channels, align) = (field(0)?, field(2)?, field(12)?);
    let rate = order.u32(format, 4).ok_or_else(missing)?;
    let bits = order.u16(format, 14).unwrap_or(0);
    if tag == 0xfffe {
        // The first two bytes of the long name are the tag proper.
        tag = order.u16(format, 24).unwrap_or(1);
    }
    if matches!(tag, 0x50 | 0x55) {
        return Ok(Held::Mpeg);
    }
    if n_channels == 0 {
        return Err(Refusal::Damaged("its header claims 0 channels".into()));
    }
    let channels = usize::from(n_channels);
    let align = usize::from(align);
    // 20 bits stand in three bytes, and so do 24; 24 in four, too.
    let by_align = align / channels;
    let by_bits = usize::from(bits).div_ceil(8);
    let width = if align % channels == 0 && (1..=8).contains(&by_align) && by_align >= by_bits {
        by_align
    } else {
        by_bits
    };
    let codec = codec(tag, width, order).ok_or_else(|| {
        let what = match tag {
            1 | 3 => format!("samples of {bits} bits"),
            other => format!("samples of kind {other:#06x}{}", name_of(other)),
        };
        Refusal::Unsupported(what)
    })?;
    let (block_bytes, block_frames) = match codec {
        id::CODEC_ID_ADPCM_MS | id::CODEC_ID_ADPCM_IMA_WAV => {
            let (head, more) = if codec == id::CODEC_ID_ADPCM_MS {
                (7 * channels, 2)
            } else {
                (4 * channels, 1)
            };
            let body = align.checked_sub(head).ok_or_else(|| {
                Refusal::Damaged(format!("its header claims blocks of {align} bytes"))
            })?;
            (align, 2 * body / channels + more)
        }
        _ => (width * channels, 1),
    };
    Ok(Held::Sound(Sound {
        codec,
        rate,
        n_channels,
        block_bytes,
        block_frames,
        n_bytes,
        chunks: Some(order),
    }))
}

fn codec(tag: u16, width: usize, order: Order) -> Option<AudioCodecId> {
    let big = order == Order::Big;
    Some(match (tag, width) {
        (1, 1) => id::CODEC_ID_PCM_U8,
        (1, 2) if big => id::CODEC_ID_PCM_S16BE,
        (1, 2) => id::CODEC_ID_PCM_S16LE,
        (1, 3) if big => id::CODEC_ID_PCM_S24BE,
        (1, 3) => id::CODEC_ID_PCM_S24LE,
        (1, 4) if big => id::CODEC_ID_PCM_S32BE,
        (1, 4) => id::CODEC_ID_PCM_S32LE,
        (3, 4) if big => id::CODEC_ID_PCM_F32BE,
        (3, 4) => id::CODEC_ID_PCM_F32LE,
        (3, 8) if big => id::CODEC_ID_PCM_F64BE,
        (3, 8) => id::CODEC_ID_PCM_F64LE,
        (6, 1) => id::CODEC_ID_PCM_ALAW,
        (7, 1) => id::CODEC_ID_PCM_MULAW,
        (2, _) => id::CODEC_ID_ADPCM_MS,
        (0x11, _) => id::CODEC_ID_ADPCM_IMA_WAV,
        _ => return None,
    })
}

/// What is known of a kind without a decoder.
fn name_of(tag: u16) -> &'static str {
    match tag {
        0x20 | 0x40 | 0x45 | 0x64 | 0x65 => " (G.72x)",
        0x31 => " (GSM)",
        0x22 => " (TrueSpeech)",
        0x270 => " (ATRAC3)",
        0x160..=0x163 => " (Windows Media)",
        0xff | 0x1600 | 0x1610 => " (AAC)",
        0x2000 => " (AC-3)",
        0x8 | 0x2001 => " (DTS)",
        0x674f..=0x6771 => " (Vorbis)",
        0xf1ac => " (FLAC)",
        _ => "",
    }
}
