//! Opus with more than two channels: several Opus streams in one packet.
//!
//! libopus' multistream decoder is not in reach of the symphonia adapter, which decodes one stream
//! of one or two channels. So the packet is taken apart here (RFC 6716, appendix B) and each stream
//! is given a decoder of its own; the channels are put in place as RFC 7845, section 5.1.1, has it.

use symphonia::core::{
    audio::{Channels, layouts},
    codecs::{
        audio::{
            AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS,
        },
        registry::RegisterableAudioDecoder,
    },
    errors::{Error, Result, decode_error, unsupported_error},
    packet::Packet,
};
use symphonia_adapter_libopus::OpusDecoder;

/// Opus always decodes to 48 kHz here.
pub(super) const RATE: u32 = 48_000;
/// Longest packet: 120 ms.
const MAX_FRAMES: usize = 5_760;
/// In a channel mapping: a channel that is silent.
const SILENT: u8 = 255;

/// Decodes packets that hold several Opus streams.
pub(super) struct Multistream {
    /// One decoder a stream; the first `n_coupled` are stereo.
    streams: Vec<Box<dyn AudioDecoder>>,
    n_coupled: usize,
    /// For each output channel the decoded channel it shows, or [`SILENT`].
    mapping: Vec<u8>,
    /// Frames still to be dropped at the start.
    pre_skip: usize,
    /// Interleaved output of each stream for the packet at hand.
    decoded: Vec<Vec<f32>>,
}

impl Multistream {
    /// A decoder for the stream that the identification header `head` describes.
    pub(super) fn new(head: &[u8]) -> Result<Self> {
        // "OpusHead", version, channels, pre-skip (2), rate (4), gain (2), family, streams,
        // coupled.
        let &[
            n_channels,
            skip_low,
            skip_high,
            _,
            _,
            _,
            _,
            _,
            _,
            _family,
            n_streams,
            n_coupled,
            ref mapping @ ..,
        ] = head.get(9..).unwrap_or_default()
        else {
            return decode_error("opus: the channel mapping is missing");
        };
        let (n_channels, n_streams, n_coupled) = (
            usize::from(n_channels),
            usize::from(n_streams),
            usize::from(n_coupled),
        );
        let Some(mapping) = mapping.get(..n_channels) else {
            return decode_error("opus: the channel mapping is cut off");
        };
        if n_streams == 0 || n_coupled > n_streams || n_streams + n_coupled > 255 {
            return decode_error("opus: the channel mapping has no such number of streams");
        }
        if mapping
            .iter()
            .any(|&m| m != SILENT && usize::from(m) >= n_streams + n_coupled)
        {
            return decode_error("opus: the channel mapping names a stream that is not there");
        }
        if n_channels > 8 {
            return unsupported_error("opus with more than 8 channels");
        }
        let streams = (0..n_streams)
            .map(|stream| {
                let layout: Channels = if stream < n_coupled {
                    layouts::CHANNEL_LAYOUT_STEREO
                } else {
                    layouts::CHANNEL_LAYOUT_MONO
                };
                let mut params = AudioCodecParameters::new();
                params
                    .for_codec(CODEC_ID_OPUS)
                    .with_sample_rate(RATE)
                    .with_channels(layout);
                OpusDecoder::try_registry_new(&params, &AudioDecoderOptions::default())
            })
            .collect::<Result<Vec<_>>>()?;
        Ok(Self {
            n_coupled,
            mapping: mapping.to_vec(),
            pre_skip: usize::from(u16::from_le_bytes([skip_low, skip_high])),
            decoded: vec![Vec::new(); streams.len()],
            streams,
        })
    }

    /// Number of output channels.
    pub(super) fn n_channels(&self) -> usize {
        self.mapping.len()
    }

    /// Decodes `packet` into `out`, interleaved.
    pub(super) fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<()> {
        out.clear();
        let (mut rest, last) = (&packet.data[..], self.streams.len() - 1);
        let mut n_frames = 0;
        for (index, (decoder, decoded)) in
            self.streams.iter_mut().zip(&mut self.decoded).enumerate()
        {
            let data = if index == last {
                rest.to_vec()
            } else {
                let (data, after) = split_self_delimited(rest).ok_or(Error::DecodeError(
                    "opus: a stream of the packet is cut off",
                ))?;
                rest = after;
                data
            };
            let part = Packet::new(packet.track_id, packet.pts, packet.dur, data);
            decoder.decode(&part)?.copy_to_vec_interleaved(decoded);
            let n_stream_channels = if index < self.n_coupled { 2 } else { 1 };
            let n_here = decoded.len() / n_stream_channels;
            if (index > 0 && n_here != n_frames) || n_here > MAX_FRAMES {
                return decode_error("opus: the streams of the packet differ in length");
            }
            n_frames = n_here;
        }
        let skip = (self.pre_skip + packet.trim_start.get() as usize).min(n_frames);
        self.pre_skip -= self.pre_skip.min(n_frames);
        let end = n_frames - (packet.trim_end.get() as usize).min(n_frames);
        for frame in skip..end {
            out.extend(self.mapping.iter().map(|&channel| {
                let channel = usize::from(channel);
                if channel == usize::from(SILENT) {
                    0.0
                } else if channel < 2 * self.n_coupled {
                    self.decoded[channel / 2][2 * frame + channel % 2]
                } else {
                    self.decoded[channel - self.n_coupled][frame]
                }
            }));
        }
        Ok(())
    }
}

/// Splits a self-delimited Opus packet (RFC 6716, appendix B) off the front of `data`: the packet
/// in the usual framing, and what follows it. `None` when `data` is too short for what it says.
fn split_self_delimited(data: &[u8]) -> Option<(Vec<u8>, &[u8])> {
    let mut at = 1;
    let mut plain = vec![*data.first()?];
    // Length of all frames, and what of the header stays in the usual framing.
    let n_bytes = match plain[0] & 3 {
        0 => frame_length(data, &mut at)?,
        1 => 2 * frame_length(data, &mut at)?,
        2 => {
            let first_at = at;
            let first = frame_length(data, &mut at)?;
            plain.extend_from_slice(&data[first_at..at]);
            first + frame_length(data, &mut at)?
        }
        _ => {
            let count = *data.get(at)?;
            at += 1;
            plain.push(count);
            let mut n_bytes = 0;
            if count & 0x40 != 0 {
                loop {
                    let padding = *data.get(at)?;
                    at += 1;
                    plain.push(padding);
                    n_bytes += usize::from(padding).min(254);
                    if padding < 255 {
                        break;
                    }
                }
            }
            let n_frames = usize::from(count & 0x3f);
            if count & 0x80 == 0 {
                n_bytes + n_frames * frame_length(data, &mut at)?
            } else {
                for _ in 1..n_frames {
                    let length_at = at;
                    n_bytes += frame_length(data, &mut at)?;
                    plain.extend_from_slice(&data[length_at..at]);
                }
                n_bytes + frame_length(data, &mut at)?
            }
        }
    };
    let frames = data.get(at..at.checked_add(n_bytes)?)?;
    plain.extend_from_slice(frames);
    Some((plain, &data[at + n_bytes..]))
}

/// For the fuzz target: a header behind its length, and packets behind theirs.
#[cfg(fuzzing)]
pub fn fuzz(data: &[u8]) {
    let mut rest = data;
    let mut next = || {
        let (&n, tail) = rest.split_first()?;
        let (part, tail) = tail.split_at(usize::from(n).min(tail.len()));
        rest = tail;
        Some(part.to_vec())
    };
    let Some(head) = next() else {
        return;
    };
    let mut decoder = Multistream::new(&[b"OpusHead\x01", &head[..]].concat()).ok();
    let mut out = Vec::new();
    while let Some(packet) = next() {
        if let Some((plain, after)) = split_self_delimited(&packet) {
            assert!(plain.len() + after.len() <= packet.len());
        }
        let Some(decoder) = &mut decoder else {
            continue;
        };
        let packet = Packet::new(0, 0.into(), 0_u64.into(), packet);
        if decoder.decode(&packet, &mut out).is_ok() {
            assert!(out.len() <= MAX_FRAMES * decoder.n_channels());
        }
    }
}

/// Reads a frame length of one or two bytes (RFC 6716, section 3.2.1).
fn frame_length(data: &[u8], at: &mut usize) -> Option<usize> {
    let first = usize::from(*data.get(*at)?);
    *at += 1;
    if first < 252 {
        return Some(first);
    }
    let second = usize::from(*data.get(*at)?);
    *at += 1;
    Some(4 * second + first)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn self_delimited_packets_become_plain_ones() {
        // Code 0: one frame of three bytes, then what follows.
        assert_eq!(
            split_self_delimited(&[0x08, 3, 1, 2, 3, 9]),
            Some((vec![0x08, 1, 2, 3], &[9_u8][..]))
        );
        // Code 1: two frames of one length.
        assert_eq!(
            split_self_delimited(&[0x09, 2, 1, 2, 3, 4]),
            Some((vec![0x09, 1, 2, 3, 4], &[][..]))
        );
        // Code 2: two frames, the first length stays.
        assert_eq!(
            split_self_delimited(&[0x0a, 1, 2, 7, 8, 9, 5]),
            Some((vec![0x0a, 1, 7, 8, 9], &[5_u8][..]))
        );
        // Code 3, padded, two frames of differing length.
        assert_eq!(
            split_self_delimited(&[0x0b, 0xc2, 1, 1, 2, 7, 8, 9, 0, 5]),
            Some((vec![0x0b, 0xc2, 1, 1, 7, 8, 9, 0], &[5_u8][..]))
        );
        // A length of two bytes.
        let mut long = vec![0x08, 252, 1];
        long.extend([6; 256]);
        let (plain, rest) = split_self_delimited(&long).unwrap();
        assert_eq!((plain.len(), rest.len()), (257, 0));
    }

    #[test]
    fn short_packets_are_refused() {
        for cut in [
            &[][..],
            &[0x08],
            &[0x08, 3, 1],
            &[0x0b],
            &[0x0b, 0x42, 255],
            &[0x0a, 252],
        ] {
            assert_eq!(split_self_delimited(cut), None, "{cut:?}");
        }
    }

    #[test]
    fn hostile_headers_are_refused() {
        assert!(Multistream::new(&[]).is_err());
        assert!(Multistream::new(b"OpusHead\x01\x06\x38\x01").is_err());
        let head = |tail: &[u8]| [b"OpusHead\x01\x06\x38\x01\0\0\0\0\0\0\x01", tail].concat();
        assert!(
            Multistream::new(&head(&[4, 2, 0, 4, 1, 2, 3])).is_err(),
            "mapping cut off"
        );
        assert!(
            Multistream::new(&head(&[0, 0, 0, 4, 1, 2, 3, 5])).is_err(),
            "no stream"
        );
        assert!(
            Multistream::new(&head(&[4, 2, 0, 4, 1, 2, 3, 6])).is_err(),
            "stream 6 of 4 + 2"
        );
        let good = Multistream::new(&head(&[4, 2, 0, 4, 1, 2, 3, 5])).unwrap();
        assert_eq!((good.n_channels(), good.pre_skip), (6, 312));
    }
}
