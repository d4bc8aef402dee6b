//! From samples at any rate to log-mel columns: resample, STFT, mel, decibel.
//!
//! [`FrontEnd`] does it for a stream, [`columns`] for a signal that is there as a whole. Column `t`
//! is centred on the instant `t * hop_length / sample_rate` of the input's own time line, whatever
//! its rate: the resampler adds no delay.

mod abreast;
pub mod mel;
pub mod resample;
pub mod stft;
mod tagger;

use serde::{Deserialize, Serialize};
use thiserror::Error;

use crate::units::{SampleRate, Seconds, all_zero};
use mel::MelBands;
use resample::Resampler;
use stft::Stft;
use tagger::PreEmphasis;
pub use tagger::TaggerFrontEnd;

/// Every number of the front end. It travels with the weights in the model file.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct FrontEndConfig {
    /// Rate the network listens at, in Hz (paper: 12000).
    pub sample_rate: u32,
    /// FFT and window length in samples (512).
    pub n_fft: usize,
    /// Samples between columns (256).
    pub hop_length: usize,
    /// Mel bands (96).
    pub n_mels: usize,
    /// Lower edge of the lowest band, in Hz (0).
    pub fmin_hz: f32,
    /// Upper edge of the highest band, in Hz (6000).
    pub fmax_hz: f32,
    /// Columns hold `max(floor_db, 20 * log10(mel power))`: the decibel scale of the reference
    /// taggers, which squares the power once more.
    pub floor_db: f32,
}

impl Default for FrontEndConfig {
    fn default() -> Self {
        Self {
            sample_rate: 12_000,
            n_fft: 512,
            hop_length: 256,
            n_mels: 96,
            fmin_hz: 0.0,
            fmax_hz: 6_000.0,
            floor_db: -100.0,
        }
    }
}

/// Why a front end could not be built.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum FrontEndError {
    /// A field of [`FrontEndConfig`] is out of its range.
    #[error("front end: {field} = {value} is not supported ({allowed})")]
    Field {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What would be.
        allowed: &'static str,
    },
}

/// `Ok`, or what is wrong with `field`.
fn check(
    ok: bool,
    field: &'static str,
    value: f64,
    allowed: &'static str,
) -> Result<(), FrontEndError> {
    if ok {
        Ok(())
    } else {
        Err(FrontEndError::Field {
            field,
            value,
            allowed,
        })
    }
}

impl FrontEndConfig {
    /// Whether every field is within its range.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the first field that is not.
    pub fn validate(&self) -> Result<(), FrontEndError> {
        let nyquist = self.sample_rate as f32 / 2.0;
        check(
            (8_000..=48_000).contains(&self.sample_rate),
            "sample_rate",
            f64::from(self.sample_rate),
            "8000 to 48000 Hz",
        )?;
        check(
            (16..=16_384).contains(&self.n_fft) && self.n_fft.is_multiple_of(2),
            "n_fft",
            self.n_fft as f64,
            "an even number from 16 to 16384",
        )?;
        check(
            (1..=self.n_fft).contains(&self.hop_length),
            "hop_length",
            self.hop_length as f64,
            "1 to n_fft",
        )?;
        check(
            (1..=self.n_fft / 2).contains(&self.n_mels),
            "n_mels",
            self.n_mels as f64,
            "1 to n_fft / 2",
        )?;
        check(
            (0.0..nyquist).contains(&self.fmin_hz),
            "fmin_hz",
            f64::from(self.fmin_hz),
            "0 to below half the sample rate",
        )?;
        check(
            self.fmax_hz > self.fmin_hz && self.fmax_hz <= nyquist,
            "fmax_hz",
            f64::from(self.fmax_hz),
            "above fmin_hz, up to half the sample rate",
        )?;
        check(
            (-200.0..=0.0).contains(&self.floor_db),
            "floor_db",
            f64::from(self.floor_db),
            "-200 to 0 dB",
        )
    }

    /// Number of columns that `n_samples` at the front end's own rate give in all: `1 + n_samples /
    /// hop_length`, and none if there is no sample.
    pub fn n_columns(&self, n_samples: u64) -> u64 {
        if n_samples == 0 {
            0
        } else {
            1 + n_samples / self.hop_length as u64
        }
    }
}

/// The streaming front end of one stream. Its clock is the sample count.
///
/// ```
/// use genrescope::{front_end::{FrontEnd, FrontEndConfig}, units::SampleRate};
///
/// let config = FrontEndConfig::default();
/// let mut front_end = FrontEnd::new(&config, SampleRate::new(48_000)?)?;
/// let mut n_columns = 0;
/// // One second of silence: every one of the 96 bands lies on the floor.
/// front_end.push(&[0.0; 48_000], |column| {
///     assert_eq!(column, [config.floor_db; 96]);
///     n_columns += 1;
/// });
/// front_end.finish(|_| n_columns += 1);
/// assert_eq!(n_columns, 1 + 12_000 / 256);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Clone, Debug)]
pub struct FrontEnd {
    config: FrontEndConfig,
    input_rate: SampleRate,
    resampler: Resampler,
    analysis: Analysis,
    tagger: Option<Analysis>,
}

/// Which picture a column belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Picture {
    /// That of [`FrontEndConfig`].
    Mel,
    /// That of [`TaggerFrontEnd`].
    Tagger,
}

/// From samples at the front end's own rate to columns of one picture.
#[derive(Clone, Debug)]
struct Analysis {
    pre_emphasis: Option<PreEmphasis>,
    stft: Stft,
    log_mel: LogMel,
}

impl Analysis {
    fn push(&mut self, samples: &[f32], mut on_column: impl FnMut(&[f32])) {
        let Self {
            pre_emphasis,
            stft,
            log_mel,
        } = self;
        let mut transform =
            |samples: &[f32]| stft.push(samples, |power| on_column(log_mel.column(power)));
        match pre_emphasis {
            None => transform(samples),
            Some(filter) => filter.push(samples, transform),
        }
    }

    fn finish(&mut self, mut on_column: impl FnMut(&[f32])) {
        let Self {
            pre_emphasis,
            stft,
            log_mel,
        } = self;
        if let Some(filter) = pre_emphasis {
            filter.finish(|samples| {
                stft.push(samples, |power| on_column(log_mel.column(power)));
            });
        }
        stft.finish(|power| on_column(log_mel.column(power)));
    }

    fn reset(&mut self) {
        if let Some(filter) = &mut self.pre_emphasis {
            filter.reset();
        }
        self.stft.reset();
    }
}

/// How the sums of mel bands become cells.
#[derive(Clone, Copy, Debug)]
enum Scale {
    Decibel {
        floor_db: f32,
    },
    Log {
        epsilon: f32,
        offset: f32,
        divisor: f32,
    },
}

/// From a power spectrum to a column.
#[derive(Clone, Debug)]
struct LogMel {
    bands: MelBands,
    scale: Scale,
    /// `[n_mels]`
    column: Vec<f32>,
    /// `column` is that of silence.
    silent: bool,
}

impl LogMel {
    fn column(&mut self, power: &[f32]) -> &[f32] {
        let silent = all_zero(power);
        // Silence after silence is the same column again.
        if !(silent && self.silent) {
            self.bands.apply(power, &mut self.column);
            match self.scale {
                Scale::Decibel { floor_db } => mel::power_to_db(&mut self.column, floor_db),
                Scale::Log {
                    epsilon,
                    offset,
                    divisor,
                } => mel::power_to_log(&mut self.column, epsilon, offset, divisor),
            }
        }
        self.silent = silent;
        &self.column
    }
}

impl FrontEnd {
    /// A front end for mono input at `input_rate`. All memory is allocated here.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the field that is out of range.
    pub fn new(config: &FrontEndConfig, input_rate: SampleRate) -> Result<Self, FrontEndError> {
        config.validate()?;
        let own_rate =
            SampleRate::new(config.sample_rate).map_err(|error| FrontEndError::Field {
                field: "sample_rate",
                value: f64::from(error.rate),
                allowed: "8000 to 48000 Hz",
            })?;
        let FrontEndConfig {
            sample_rate,
            n_fft,
            hop_length,
            n_mels,
            fmin_hz,
            fmax_hz,
            floor_db,
        } = *config;
        Ok(Self {
            config: config.clone(),
            input_rate,
            resampler: Resampler::new(input_rate, own_rate),
            analysis: Analysis {
                pre_emphasis: None,
                stft: Stft::new(n_fft, hop_length),
                log_mel: LogMel {
                    bands: MelBands::new(sample_rate, n_fft, n_mels, fmin_hz, fmax_hz),
                    scale: Scale::Decibel { floor_db },
                    column: vec![0.0; n_mels],
                    silent: false,
                },
            },
            tagger: None,
        })
    }

    /// The same, with the picture of a tagger beside it: both are made of one resampled stream.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the field of `config` that is out of range.
    pub fn with_tagger(mut self, config: Option<&TaggerFrontEnd>) -> Result<Self, FrontEndError> {
        self.tagger = match config {
            None => None,
            Some(config) => Some(config.analysis(self.config.sample_rate)?),
        };
        Ok(self)
    }

    /// The numbers it was built with.
    pub fn config(&self) -> &FrontEndConfig {
        &self.config
    }

    /// Rate of the samples that [`FrontEnd::push`] takes.
    pub fn input_rate(&self) -> SampleRate {
        self.input_rate
    }

    /// How long after its centre a column is given: half a window and half the resampling filters.
    /// (The first column comes when the first half window is there.)
    pub fn look_ahead(&self) -> Seconds {
        let window = self.config.n_fft as f64 / 2.0 / f64::from(self.config.sample_rate);
        Seconds(
            window
                + self
                    .input_rate
                    .duration(self.resampler.look_ahead() as u64)
                    .0,
        )
    }

    /// Takes mono samples at the input rate, in blocks of any size; calls `on_column` with each
    /// finished column of `n_mels` values in dB. Any split of a signal gives the same columns, bit
    /// for bit. Allocates nothing.
    ///
    /// Samples are made [`sane`](crate::units::sane) first, so that neither NaN nor denormals nor
    /// 1e9 travel on.
    pub fn push(&mut self, samples: &[f32], mut on_column: impl FnMut(&[f32])) {
        self.push_pictures(samples, |picture, column| {
            if picture == Picture::Mel {
                on_column(column);
            }
        });
    }

    /// As [`FrontEnd::push`], with the columns of both pictures. Those of the tagger come first
    /// where both become final by the same samples; in which order they come depends on how the
    /// samples were split.
    pub fn push_pictures(&mut self, samples: &[f32], mut on_column: impl FnMut(Picture, &[f32])) {
        let Self {
            resampler,
            analysis,
            tagger,
            ..
        } = self;
        resampler.push(samples, |samples| {
            if let Some(tagger) = tagger {
                tagger.push(samples, |column| on_column(Picture::Tagger, column));
            }
            analysis.push(samples, |column| on_column(Picture::Mel, column));
        });
    }

    /// The signal ends here: emits the columns that were waiting for what follows (reflect
    /// padding). The front end is as new afterwards.
    ///
    /// A signal of `n` samples at the front end's own rate has `1 + n / hop_length` columns in all,
    /// an empty one none.
    pub fn finish(&mut self, mut on_column: impl FnMut(&[f32])) {
        self.finish_pictures(|picture, column| {
            if picture == Picture::Mel {
                on_column(column);
            }
        });
    }

    /// As [`FrontEnd::finish`], with the columns of both pictures.
    pub fn finish_pictures(&mut self, mut on_column: impl FnMut(Picture, &[f32])) {
        let Self {
            resampler,
            analysis,
            tagger,
            ..
        } = self;
        resampler.finish(|samples| {
            if let Some(tagger) = &mut *tagger {
                tagger.push(samples, |column| on_column(Picture::Tagger, column));
            }
            analysis.push(samples, |column| on_column(Picture::Mel, column));
        });
        if let Some(tagger) = tagger {
            tagger.finish(|column| on_column(Picture::Tagger, column));
        }
        analysis.finish(|column| on_column(Picture::Mel, column));
    }

    /// Forgets all samples. Allocates nothing.
    pub fn reset(&mut self) {
        self.resampler.reset();
        self.analysis.reset();
        if let Some(tagger) = &mut self.tagger {
            tagger.reset();
        }
    }
}

/// All columns of a mono signal at `rate`, one after the other: `[n_columns, n_mels]`, in dB.
///
/// # Errors
/// [`FrontEndError`] naming the field of `config` that is out of range.
///
/// ```
/// use genrescope::{front_end::{FrontEndConfig, columns}, units::SampleRate};
///
/// let frame = columns(&[0.1; 349_440], &FrontEndConfig::default(), SampleRate::new(12_000)?)?;
/// assert_eq!(frame.len(), 1366 * 96);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub fn columns(
    signal: &[f32],
    config: &FrontEndConfig,
    rate: SampleRate,
) -> Result<Vec<f32>, FrontEndError> {
    let mut front_end = FrontEnd::new(config, rate)?;
    let mut all = Vec::new();
    front_end.push(signal, |column| all.extend_from_slice(column));
    front_end.finish(|column| all.extend_from_slice(column));
    Ok(all)
}

/// Raises every value of `frame` that lies more than `top_db` below its maximum to that: the floor
/// of the reference preprocessor (`top_db` = 80, which is 40 true dB), needed only to compare with
/// networks that were trained with it. It depends on the loudest cell of the frame and so cannot be
/// computed as the stream goes.
pub fn apply_reference_floor(frame: &mut [f32], top_db: f32) {
    let floor = frame.iter().copied().fold(f32::NEG_INFINITY, f32::max) - top_db;
    for value in frame {
        *value = value.max(floor);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn errors_name_the_field_and_its_value() {
        let rate = SampleRate::new(44_100).unwrap();
        let good = FrontEndConfig::default;
        let bad: [(FrontEndConfig, &str); 12] = [
            (
                FrontEndConfig {
                    sample_rate: 4_000,
                    ..good()
                },
                "sample_rate = 4000 ",
            ),
            (
                FrontEndConfig {
                    sample_rate: 96_000,
                    ..good()
                },
                "sample_rate = 96000 ",
            ),
            (FrontEndConfig { n_fft: 0, ..good() }, "n_fft = 0 "),
            (
                FrontEndConfig {
                    n_fft: 511,
                    ..good()
                },
                "n_fft = 511 ",
            ),
            (
                FrontEndConfig {
                    n_fft: usize::MAX,
                    ..good()
                },
                "n_fft = ",
            ),
            (
                FrontEndConfig {
                    hop_length: 0,
                    ..good()
                },
                "hop_length = 0 ",
            ),
            (
                FrontEndConfig {
                    hop_length: 513,
                    ..good()
                },
                "hop_length = 513 ",
            ),
            (
                FrontEndConfig {
                    n_mels: 0,
                    ..good()
                },
                "n_mels = 0 ",
            ),
            (
                FrontEndConfig {
                    fmin_hz: f32::NAN,
                    ..good()
                },
                "fmin_hz = NaN ",
            ),
            (
                FrontEndConfig {
                    fmax_hz: 6_001.0,
                    ..good()
                },
                "fmax_hz = 6001 ",
            ),
            (
                FrontEndConfig {
                    fmin_hz: 100.0,
                    fmax_hz: 100.0,
                    ..good()
                },
                "fmax_hz = 100 ",
            ),
            (
                FrontEndConfig {
                    floor_db: f32::NEG_INFINITY,
                    ..good()
                },
                "floor_db = -inf ",
            ),
        ];
        for (config, names) in bad {
            let message = FrontEnd::new(&config, rate).unwrap_err().to_string();
            assert!(
                message.contains(names),
                "{message} should contain {names:?}"
            );
        }
    }

    #[test]
    fn the_reference_floor_hangs_from_the_maximum() {
        let mut frame = [-100.0, -30.0, 10.0, -70.0];
        apply_reference_floor(&mut frame, 80.0);
        assert_eq!(frame, [-70.0, -30.0, 10.0, -70.0]);
        apply_reference_floor(&mut [], 80.0);
    }

    #[test]
    fn it_can_move_to_another_thread() {
        fn assert_send<T: Send + 'static>() {}
        assert_send::<FrontEnd>();
    }
}
