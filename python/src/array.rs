//! Sound in numpy arrays.

use genrescope::{mixdown::Mixdown, source::file::RawPcm, units::SampleRate};
use numpy::{PyReadonlyArrayDyn, PyUntypedArray, PyUntypedArrayMethods as _, ndarray::ArrayViewD};
use pyo3::prelude::*;

use crate::setting_error;

/// Frames that are taken out of an array at a time: 1.4 s at 48 kHz.
const FRAMES: usize = 65_536;

/// A sample rate, which numpy and soundfile may give as a float.
pub(crate) fn rate_of(rate: f64) -> PyResult<SampleRate> {
    if rate.fract() != 0.0 || !(0.0..=f64::from(u32::MAX)).contains(&rate) {
        return Err(setting_error(format!(
            "a sample rate of {rate} Hz is not supported (whole numbers from 8000 to 384000 are)"
        )));
    }
    SampleRate::new(rate as u32).map_err(setting_error)
}

/// Samples as `[n_frames, n_channels]`, or of one channel.
#[derive(Debug)]
pub(crate) struct Sound<'py> {
    samples: Samples<'py>,
    n_frames: usize,
    n_channels: usize,
}

#[derive(Debug)]
enum Samples<'py> {
    F32(PyReadonlyArrayDyn<'py, f32>),
    F64(PyReadonlyArrayDyn<'py, f64>),
    I16(PyReadonlyArrayDyn<'py, i16>),
    I32(PyReadonlyArrayDyn<'py, i32>),
}

impl<'py> Sound<'py> {
    /// Looks at shape and type; `n_channels` if there must be so many.
    #[allow(
        clippy::same_functions_in_if_condition,
        reason = "each extracts another type"
    )]
    pub(crate) fn new(array: &Bound<'py, PyAny>, n_channels: Option<usize>) -> PyResult<Self> {
        let Ok(untyped) = array.cast::<PyUntypedArray>() else {
            let kind = array.get_type();
            return Err(setting_error(format!(
                "sound is a path, bytes or a numpy array, not {kind}"
            )));
        };
        let shape = untyped.shape();
        let (n_frames, found) = match *shape {
            [n_frames] => (n_frames, 1),
            [n_frames, n_channels] => (n_frames, n_channels),
            _ => {
                return Err(setting_error(format!(
                    "an array of shape {shape:?} is no sound; (frames,) and (frames, channels) are"
                )));
            }
        };
        let most = usize::from(RawPcm::MAX_CHANNELS);
        if !(1..=most).contains(&found) {
            let turn = if (1..=most).contains(&n_frames) {
                "; frames come first: turn it with array.T"
            } else {
                ""
            };
            return Err(setting_error(format!(
                "an array of shape {shape:?} has {found} channels (1 to {most} are supported){turn}"
            )));
        }
        if let Some(n_channels) = n_channels.filter(|&n| n != found) {
            return Err(setting_error(format!(
                "an array of shape {shape:?} has {found} channels, and this stream has {n_channels}"
            )));
        }
        let samples = if let Ok(array) = array.extract() {
            Samples::F32(array)
        } else if let Ok(array) = array.extract() {
            Samples::F64(array)
        } else if let Ok(array) = array.extract() {
            Samples::I16(array)
        } else if let Ok(array) = array.extract() {
            Samples::I32(array)
        } else {
            return Err(setting_error(format!(
                "samples of type {} are not supported (float32, float64, int16 and int32 are)",
                untyped.dtype()
            )));
        };
        Ok(Self {
            samples,
            n_frames,
            n_channels: found,
        })
    }

    /// Hands on all of it, mixed down as a file of these channels is. Other Python threads run
    /// meanwhile; samples that they change in the array may or may not be heard.
    ///
    /// # Errors
    /// When a signal handler of Python raises, such as on Ctrl-C.
    pub(crate) fn each(
        &self,
        py: Python<'py>,
        mixdown: &mut Mixdown,
        mut each: impl FnMut(&[f32]) + Send,
    ) -> PyResult<()> {
        let n_channels = self.n_channels;
        let (mut interleaved, mut mono) = (Vec::new(), Vec::new());
        for from in (0..self.n_frames).step_by(FRAMES) {
            let to = (from + FRAMES).min(self.n_frames);
            interleaved.clear();
            match &self.samples {
                Samples::F32(array) => copy(&array.as_array(), from..to, &mut interleaved, |x| x),
                Samples::F64(array) => {
                    copy(&array.as_array(), from..to, &mut interleaved, |x| x as f32);
                }
                // As the samples of a file.
                Samples::I16(array) => {
                    copy(&array.as_array(), from..to, &mut interleaved, |x| {
                        f32::from(x) / 32_768.0
                    });
                }
                Samples::I32(array) => {
                    copy(&array.as_array(), from..to, &mut interleaved, |x| {
                        x as f32 / 2_147_483_648.0
                    });
                }
            }
            py.detach(|| {
                if n_channels == 1 {
                    each(&interleaved);
                } else {
                    mono.resize(to - from, 0.0);
                    mixdown.interleaved(&interleaved, n_channels, &mut mono);
                    each(&mono);
                }
            });
            py.check_signals()?;
        }
        Ok(())
    }
}

fn copy<T: Copy>(
    array: &ArrayViewD<'_, T>,
    frames: std::ops::Range<usize>,
    out: &mut Vec<f32>,
    sample: impl Fn(T) -> f32,
) {
    let part = array.slice_each_axis(|axis| {
        if axis.axis.index() == 0 {
            frames.clone().into()
        } else {
            (..).into()
        }
    });
    out.extend(part.iter().map(|&value| sample(value)));
}
