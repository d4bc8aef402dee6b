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
};

use super::{super::opus, Format, Step, Turn};

pub(super) struct Decoded {
    format: Box<dyn FormatReader>,
    decoder: Decoder,
    track_id: u32,
    /// Container and codec, such as `ogg/opus`.
    pub(super) name: String,
    /// Interleaved samples of the last packet.
    packet: Vec<f32>,
}

impl Decoded {
    /// Packets of one track of `format`, for `decoder`.
    pub(super) fn new(
        format: Box<dyn FormatReader>,
        decoder: Decoder,
        track_id: u32,
        name: String,
    ) -> Self {
        Self {
            format,
            decoder,
            track_id,
            name,
            packet: Vec::new(),
        }
    }

    pub(super) fn next(&mut self, samples: &mut Vec<f32>, skipped: &mut u64) -> Step {
        let nothing = Format {
            rate: 0,
            n_channels: 0,
        };
        let packet = match self.format.next_packet() {
            Ok(Some(packet)) => packet,
            Ok(None) => return Ok((Turn::End, nothing)),
            // The next link of a chained Ogg file, with headers of its own.
            Err(SymphoniaError::ResetRequired) => {
                let track = self.format.default_track(TrackType::Audio);
                let Some((id, CodecParameters::Audio(params))) =
                    track.and_then(|track| Some((track.id, track.codec_params.as_ref()?)))
                else {
                    return Ok((Turn::End, nothing));
                };
                self.decoder = Decoder::new(params)?.0;
                self.track_id = id;
                return Ok((Turn::Nothing, nothing));
            }
            Err(error) => return Err(error),
        };
        if packet.track_id != self.track_id {
            return Ok((Turn::Nothing, nothing));
        }
        match self.decoder.decode(&packet, &mut self.packet) {
            Ok(format) if format.n_channels > 0 && !self.packet.is_empty() => {
                samples.extend_from_slice(&self.packet);
                Ok((Turn::Samples, format))
            }
            Ok(_) => Ok((Turn::Nothing, nothing)),
            Err(_) => {
                *skipped += 1;
                Ok((Turn::Nothing, nothing))
            }
        }
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
        let n_channels = params
            .channels
            .as_ref()
            .map_or(0, symphonia::core::audio::Channels::count);
        if params.codec == CODEC_ID_OPUS && n_channels > 2 {
            let head = params.extra_data.as_deref().unwrap_or_default();
            return Ok((Self::Opus(opus::Multistream::new(head)?), "opus"));
        }
        let decoder = CODECS.make_audio_decoder(params, &AudioDecoderOptions::default())?;
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
