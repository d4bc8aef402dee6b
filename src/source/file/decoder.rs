//! From packets to samples: one track of a container, and its decoder.

use std::sync::LazyLock;

use symphonia::core::{
    codecs::{
        CodecParameters,
        audio::{
            AudioCodecParameters, AudioDecoder, AudioDecoderOptions, well_known::CODEC_ID_OPUS,
        },
        registry::CodecRegistry,
    },
    errors::Error as SymphoniaError,
    formats::{FormatReader, TrackType},
    packet::Packet,
    units::Duration,
};

use super::{
    super::opus,
    Format, LeftOut, Step, Turn,
    frames::{Frames, Next},
    input::{Input, Rest},
    pcm::Pcm,
};

/// Most seconds of a stream's end that are padding of its encoder.
const MAX_PADDING: f64 = 0.25;

/// A clock that stands at more seconds than this at the beginning belongs to a live stream.
const LATE: f64 = 1.0;

/// Frames at the beginning that may lack what was before them.
const MAX_LACKING: u32 = 10;

/// Where packets come from.
pub(super) enum Packets {
    /// One track of a container.
    Track {
        format: Box<dyn FormatReader>,
        id: u32,
    },
    Frames(Frames),
    Pcm(Pcm),
}

pub(super) struct Decoded {
    packets: Packets,
    decoder: Decoder,
    params: AudioCodecParameters,
    /// Container and codec, such as `ogg/opus`.
    pub(super) name: String,
    /// Interleaved samples of the last packet.
    packet: Vec<f32>,
    /// The format of the packets.
    format: Format,
    /// Samples that are padding if the stream ends behind them.
    held: Vec<f32>,
    /// The stream's clock is to be believed where it says that samples are padding.
    trusts_clock: bool,
    /// Frames that could not be decoded since the decoder was made, while none could; `None` once
    /// one was.
    lacking: Option<u32>,
    /// Packets are passed over.
    muted: bool,
    /// The decoder has not seen the packets before this one: what it cannot make of the first ones,
    /// for it lacks what was before, is passed over, too.
    resumed: bool,
    /// The clock stood beyond the beginning there.
    pub(super) starts_late: bool,
    /// What comes behind a FLAC or Ogg stream.
    pub(super) rest: Option<Rest>,
    /// Where the clock of a FLAC stream should stand next. `None`: it is not known, or wrong.
    clock: Option<u64>,
    /// Packets since the beginning, and their bytes.
    n_packets: u64,
    n_bytes: u64,
    /// Frames that a FLAC stream lacks between others.
    pub(super) lost: u64,
}

const NOTHING: Format = Format {
    rate: 0,
    n_channels: 0,
};

impl Decoded {
    /// `packets`, for a decoder of `params`.
    pub(super) fn new(
        packets: Packets,
        params: &AudioCodecParameters,
        container: &str,
    ) -> Result<Self, SymphoniaError> {
        let (decoder, codec) = Decoder::new(params)?;
        let name = match &packets {
            Packets::Frames(frames) => frames.name().to_owned(),
            _ => format!("{container}/{codec}"),
        };
        Ok(Self {
            packets,
            decoder,
            params: params.clone(),
            name,
            packet: Vec::new(),
            format: NOTHING,
            held: Vec::new(),
            trusts_clock: container == "ogg",
            lacking: Some(0),
            muted: false,
            resumed: false,
            starts_late: false,
            rest: None,
            clock: (container == "flac").then_some(0),
            n_packets: 0,
            n_bytes: 0,
            lost: 0,
        })
    }

    /// Whether a FLAC stream, which has ended, did so within a frame.
    pub(super) fn ends_within_a_frame(&self) -> bool {
        let given = self.rest.as_ref().map_or(0, Rest::given);
        given > self.n_bytes
    }

    /// What comes behind the stream, which has ended, where that can be had.
    pub(super) fn into_rest(self) -> Option<Input> {
        match self.packets {
            Packets::Track { .. } => self.rest?.take(),
            Packets::Frames(frames) => Some(frames.into_rest()),
            Packets::Pcm(pcm) => pcm.into_rest(),
        }
    }

    /// A demuxer of FLAC leaves out what is damaged, without a word: the clock tells it.
    fn mind_the_gap(&mut self, packet: &Packet, left_out: &mut LeftOut) {
        self.n_bytes += packet.data.len() as u64;
        let Some(expected) = self.clock else {
            return;
        };
        let now = u64::try_from(packet.pts.get()).unwrap_or(0);
        self.clock = Some(now + packet.dur.get());
        self.n_packets += 1;
        match now.checked_sub(expected) {
            // A stream may be cut out of a longer one.
            _ if self.n_packets == 1 => {}
            Some(0) => {}
            // A clock that is wrong from its second place on is no clock.
            Some(gap) if self.n_packets > 2 => {
                self.lost += gap;
                left_out.damaged += 1;
            }
            _ => self.clock = None,
        }
    }

    /// Whether the stream has ended before its header said so.
    pub(super) fn is_truncated(&self) -> bool {
        match &self.packets {
            Packets::Track { .. } => false,
            Packets::Frames(frames) => frames.truncated,
            Packets::Pcm(pcm) => pcm.truncated,
        }
    }

    pub(super) fn next(&mut self, samples: &mut Vec<f32>, left_out: &mut LeftOut) -> Step {
        let step = self.step(samples, left_out);
        if let Some(rest) = &self.rest {
            left_out.damaged += rest.take_damaged();
        }
        step
    }

    fn step(&mut self, samples: &mut Vec<f32>, left_out: &mut LeftOut) -> Step {
        let mut packet = match &mut self.packets {
            Packets::Frames(frames) => match frames.next()? {
                Next::Packet(packet) => packet,
                Next::Form(params) => {
                    self.renew(&params)?;
                    return Ok((Turn::Nothing, NOTHING));
                }
                Next::End => return Ok((Turn::End, NOTHING)),
            },
            Packets::Pcm(pcm) => match pcm.next_packet()? {
                Some(packet) => packet,
                None => return Ok((Turn::End, NOTHING)),
            },
            Packets::Track { format, id } => match format.next_packet() {
                Ok(Some(packet)) if packet.track_id != *id => return Ok((Turn::Nothing, NOTHING)),
                Ok(Some(packet)) => packet,
                Ok(None) => return Ok((Turn::End, NOTHING)),
                // The next link of a chained Ogg file, with headers of its own.
                Err(SymphoniaError::ResetRequired) => {
                    let track = format.default_track(TrackType::Audio);
                    let track = track.or_else(|| format.first_track(TrackType::Audio));
                    let Some((new, CodecParameters::Audio(params))) =
                        track.and_then(|track| Some((track.id, track.codec_params.as_ref()?)))
                    else {
                        // Nothing to hear in this link.
                        return Ok((Turn::Nothing, NOTHING));
                    };
                    *id = new;
                    let params = params.clone();
                    self.renew(&params)?;
                    return Ok((Turn::Nothing, NOTHING));
                }
                Err(error) => return Err(error),
            },
        };
        self.mind_the_gap(&packet, left_out);
        let padding = if self.trusts_clock {
            packet.trim_end.get() as usize
        } else {
            0
        };
        packet.trim_end = Duration::ZERO;
        if self.muted
            && let Some(seconds) = self.length_of(&packet)
        {
            self.resumed = true;
            return Ok((Turn::Passed(seconds), NOTHING));
        }
        let format = match self.decode(&packet) {
            Ok(format) if format.n_channels > 0 && !self.packet.is_empty() => format,
            Ok(_) | Err(_) if self.resumed => {
                let seconds = self.length_of(&packet);
                return Ok((seconds.map_or(Turn::Nothing, Turn::Passed), NOTHING));
            }
            Ok(_) => return Ok((Turn::Nothing, NOTHING)),
            Err(SymphoniaError::DecodeError(
                "mpa: invalid Layer 2 bitrate for mono channel mode",
            )) => {
                left_out.unread += 1;
                return Ok((Turn::Nothing, NOTHING));
            }
            Err(_) => {
                // The first frames of a stream that was cut out of another one need what was
                // before.
                let lacking = match &mut self.lacking {
                    Some(n) if matches!(self.packets, Packets::Frames(_)) => {
                        *n += 1;
                        *n <= MAX_LACKING
                    }
                    _ => false,
                };
                left_out.damaged += u64::from(!lacking);
                return Ok((Turn::Nothing, NOTHING));
            }
        };
        if self.format.rate == 0 {
            let seconds = packet.pts.get() as f64 / f64::from(format.rate);
            self.starts_late = seconds > LATE;
        }
        self.lacking = None;
        self.resumed = false;
        let before = samples.len();
        self.give(samples, format, padding);
        if samples.len() == before {
            return Ok((Turn::Nothing, NOTHING));
        }
        Ok((Turn::Samples, format))
    }

    /// Passes over packets from now on, or decodes them again, with a decoder that knows nothing of
    /// what was passed over.
    pub(super) fn mute(&mut self, on: bool) {
        if self.muted && !on && self.resumed {
            let params = self.params.clone();
            // What was made once for these parameters is made again.
            drop(self.renew(&params));
        }
        self.muted = on;
    }

    /// Seconds that a packet lasts, where it says so.
    fn length_of(&self, packet: &Packet) -> Option<f64> {
        let n = packet.dur.get();
        let base = match &self.packets {
            Packets::Track { format, id } => {
                let track = format.tracks().iter().find(|track| track.id == *id)?;
                let base = track.time_base?;
                f64::from(base.numer.get()) / f64::from(base.denom.get())
            }
            Packets::Frames(_) | Packets::Pcm(_) => 1.0 / f64::from(self.params.sample_rate?),
        };
        (n > 0).then_some(n as f64 * base)
    }

    /// Appends the samples of the packet at hand, but for those that are padding if nothing
    /// follows.
    fn give(&mut self, samples: &mut Vec<f32>, format: Format, padding: usize) {
        if format != self.format {
            self.held.clear();
            self.format = format;
        }
        let n_samples = self.packet.len();
        let padding = (padding * format.n_channels).min(n_samples);
        if padding < n_samples {
            // What was held is followed by sound.
            samples.append(&mut self.held);
        }
        samples.extend_from_slice(&self.packet[..n_samples - padding]);
        self.held
            .extend_from_slice(&self.packet[n_samples - padding..]);
        let most = MAX_PADDING * f64::from(format.rate) * format.n_channels as f64;
        if self.held.len() as f64 > most {
            // No encoder pads so much: the clock is wrong.
            self.trusts_clock = false;
            samples.append(&mut self.held);
        }
    }

    /// Goes on with a new decoder.
    fn renew(&mut self, params: &AudioCodecParameters) -> Result<(), SymphoniaError> {
        self.decoder = Decoder::new(params)?.0;
        self.params = params.clone();
        self.held.clear();
        self.lacking = Some(0);
        Ok(())
    }

    /// Decodes `packet`. A decoder keeps to the form of the first packet that it saw: where one
    /// fails, a new one may do, if the form is another.
    fn decode(&mut self, packet: &Packet) -> Result<Format, SymphoniaError> {
        let decoded = self.decoder.decode(packet, &mut self.packet);
        let Err(error) = decoded else {
            return decoded;
        };
        if let Ok((mut decoder, _)) = Decoder::new(&self.params)
            && let Ok(format) = decoder.decode(packet, &mut self.packet)
            && format.n_channels > 0
            && format != self.format
            && self.format != NOTHING
        {
            self.decoder = decoder;
            return Ok(format);
        }
        Err(error)
    }
}

/// A decoder of one track.
pub(super) enum Decoder {
    Symphonia(Box<dyn AudioDecoder>),
    Opus(opus::Multistream),
}

/// symphonia's decoders and libopus.
static CODECS: LazyLock<CodecRegistry> = LazyLock::new(|| {
    let mut codecs = CodecRegistry::new();
    symphonia::default::register_enabled_codecs(&mut codecs);
    codecs.register_audio_decoder::<symphonia_adapter_libopus::OpusDecoder>();
    codecs
});

impl Decoder {
    /// A decoder for `params`, and the codec's name.
    pub(super) fn new(
        params: &AudioCodecParameters,
    ) -> Result<(Self, &'static str), SymphoniaError> {
        let mut params = params.clone();
        if params.codec == CODEC_ID_OPUS {
            // Opus always decodes to this rate. A container may state that of the sound before it
            // was encoded.
            params.with_sample_rate(opus::RATE);
            let n_channels = params
                .channels
                .as_ref()
                .map_or(0, symphonia::core::audio::Channels::count);
            if n_channels > 2 {
                let head = params.extra_data.as_deref().unwrap_or_default();
                return Ok((Self::Opus(opus::Multistream::new(head)?), "opus"));
            }
        }
        let decoder = CODECS.make_audio_decoder(&params, &AudioDecoderOptions::default())?;
        let name = decoder.codec_info().short_name;
        Ok((Self::Symphonia(decoder), name))
    }

    /// Decodes `packet` into `out`, interleaved.
    fn decode(&mut self, packet: &Packet, out: &mut Vec<f32>) -> Result<Format, SymphoniaError> {
        match self {
            Self::Symphonia(decoder) => {
                let buffer = decoder.decode(packet)?;
                let format = Format {
                    rate: buffer.spec().rate(),
                    n_channels: buffer.spec().channels().count(),
                };
                buffer.copy_to_vec_interleaved(out);
                Ok(format)
            }
            Self::Opus(decoder) => {
                decoder.decode(packet, out)?;
                Ok(Format {
                    rate: opus::RATE,
                    n_channels: decoder.n_channels(),
                })
            }
        }
    }
}
