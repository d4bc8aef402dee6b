//! The other way round: sound that this program makes, played by the system's default output.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use cpal::{
    BufferSize, FromSample, OutputCallbackInfo, SizedSample, StreamConfig, SupportedBufferSize,
    traits::{DeviceTrait, HostTrait, StreamTrait},
};
use ringbuf::{
    HeapCons, HeapProd, HeapRb,
    traits::{Consumer, Observer, Producer, Split},
};
use thiserror::Error;

use super::{
    pulse::pulse_cookie,
    stream::{FIRST_SAMPLES, by_format},
};
use crate::{
    front_end::resample::Resampler,
    units::{SampleRate, Seconds},
};

/// What waits before sound begins, so that blocks which come a little late leave no hole.
const LEAD: Seconds = Seconds(0.2);

/// What the system is asked to take at a time: some take two seconds where they are not asked.
const PERIOD: Seconds = Seconds(0.05);

/// What can wait at most; more is left out.
const ROOM: Seconds = Seconds(2.0);

/// Why nothing can be played.
#[derive(Clone, Debug, Error, PartialEq, Eq)]
#[error("nothing is played aloud: {reason}")]
pub struct PlaybackError {
    reason: String,
}

/// The default output, playing. Sound ends when it is dropped.
pub struct Playback {
    name: String,
    stream: cpal::Stream,
    /// Left and right by turns, at the rate of the output.
    samples: HeapProd<f32>,
    resamplers: [Resampler; 2],
    /// The latest block of each side.
    sides: [Vec<f32>; 2],
    /// The callback may begin, however little waits.
    ends: Arc<AtomicBool>,
    /// Longest time from the callback to the ear.
    delay_ms: Arc<AtomicU64>,
}

impl Playback {
    /// Opens the default output for stereo at `rate`.
    ///
    /// # Errors
    /// [`PlaybackError`] when no sound system has an output, or it cannot be opened.
    pub fn open(rate: SampleRate) -> Result<Self, PlaybackError> {
        // Without a cookie PulseAudio lets nobody in.
        let mut reasons: Vec<String> = pulse_cookie().err().into_iter().collect();
        for id in cpal::available_hosts() {
            let opened = cpal::host_from_id(id).and_then(|host| {
                let device = host.default_output_device();
                device.map(|device| Self::on(&device, rate)).transpose()
            });
            match opened {
                Ok(Some(playback)) => return Ok(playback),
                Ok(None) => {}
                Err(error) => reasons.push(format!("{}: {error}", id.name())),
            }
        }
        if reasons.is_empty() {
            reasons.push("there is no output".to_owned());
        }
        Err(PlaybackError {
            reason: reasons.join("; "),
        })
    }

    fn on(device: &cpal::Device, rate: SampleRate) -> Result<Self, cpal::Error> {
        let supported = device.default_output_config()?;
        let (format, mut config) = (supported.sample_format(), supported.config());
        let unusable =
            |what: String| cpal::Error::with_message(cpal::ErrorKind::UnsupportedConfig, what);
        let own_rate =
            SampleRate::new(config.sample_rate).map_err(|error| unusable(error.to_string()))?;
        let period = own_rate.samples(PERIOD) as u32;
        if let &SupportedBufferSize::Range { min, max } = supported.buffer_size()
            && (min..=max).contains(&period)
        {
            config.buffer_size = BufferSize::Fixed(period);
        }
        let (samples, waiting) = HeapRb::new(2 * own_rate.samples(ROOM) as usize).split();
        let (ends, delay_ms) = <(Arc<AtomicBool>, Arc<AtomicU64>)>::default();
        let source = Waiting {
            samples: waiting,
            lead: 2 * own_rate.samples(LEAD) as usize,
            ends: Arc::clone(&ends),
            delay_ms: Arc::clone(&delay_ms),
        };
        let stream = by_format!(format, T => source.play::<T>(device, config), other => {
            Err(unusable(format!("it wants samples as {other}")))
        })?;
        stream.play()?;
        let resampler = Resampler::new(rate, own_rate);
        Ok(Self {
            name: device.to_string(),
            stream,
            samples,
            resamplers: [resampler.clone(), resampler],
            sides: [Vec::new(), Vec::new()],
            ends,
            delay_ms,
        })
    }

    /// Gives the next samples, left and right by turns, without waiting. What there is no room for
    /// is left out.
    pub fn push(&mut self, stereo: &[f32]) {
        for (index, (side, resampler)) in
            self.sides.iter_mut().zip(&mut self.resamplers).enumerate()
        {
            side.clear();
            let own: Vec<f32> = stereo.iter().skip(index).step_by(2).copied().collect();
            resampler.push(&own, |more| side.extend_from_slice(more));
        }
        let [left, right] = &self.sides;
        for (&left, &right) in left.iter().zip(right) {
            if self.samples.vacant_len() < 2 {
                break;
            }
            self.samples.push_slice(&[left, right]);
        }
    }

    /// Waits until all was played; no longer than what waits can take.
    pub fn finish(self) {
        self.ends.store(true, Ordering::Release);
        let patience = Duration::from_secs_f64(2.0 * ROOM.0);
        let started = Instant::now();
        while !self.samples.is_empty() && started.elapsed() < patience {
            thread::sleep(Duration::from_millis(10));
        }
        // What the system took is yet to sound; not all systems say how long that is.
        let delay = Duration::from_millis(self.delay_ms.load(Ordering::Relaxed));
        thread::sleep(delay.clamp(Duration::from_secs_f64(LEAD.0), patience));
        drop(self.stream);
    }
}

impl fmt::Debug for Playback {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Playback")
            .field("name", &self.name)
            .field("samples_waiting", &self.samples.occupied_len())
            .finish_non_exhaustive()
    }
}

/// The callback's half.
struct Waiting {
    samples: HeapCons<f32>,
    lead: usize,
    ends: Arc<AtomicBool>,
    delay_ms: Arc<AtomicU64>,
}

impl Waiting {
    fn play<T>(
        mut self,
        device: &cpal::Device,
        config: StreamConfig,
    ) -> Result<cpal::Stream, cpal::Error>
    where
        T: SizedSample + FromSample<f32> + Send + 'static,
    {
        let n_channels = usize::from(config.channels).max(1);
        let mut begun = false;
        #[deny(
            clippy::disallowed_methods,
            clippy::disallowed_types,
            clippy::disallowed_macros
        )]
        let on_room = move |frames: &mut [T], info: &OutputCallbackInfo| {
            let at = info.timestamp();
            let delay = at.playback.duration_since(at.callback);
            self.delay_ms
                .fetch_max(delay.as_millis() as u64, Ordering::Relaxed);
            begun = self.samples.occupied_len() >= self.lead
                || self.ends.load(Ordering::Acquire)
                || begun && !self.samples.is_empty();
            for frame in frames.chunks_mut(n_channels) {
                let mut stereo = [0.0; 2];
                if begun {
                    self.samples.pop_slice(&mut stereo);
                }
                let [left, right] = stereo;
                if let [only] = frame {
                    *only = T::from_sample(0.5 * (left + right));
                    continue;
                }
                for (channel, to) in frame.iter_mut().enumerate() {
                    // The first two are the front, whatever else there is.
                    let sample = stereo.get(channel).copied().unwrap_or(0.0);
                    *to = T::from_sample(sample);
                }
            }
        };
        // A stream that fails is silent; the programme goes on.
        device.build_output_stream(config, on_room, |_| {}, Some(FIRST_SAMPLES))
    }
}
