//! A stream, block by block.

use std::{
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::SystemTime,
};

use genrescope::{
    decision::{DecisionConfig, Preset, Readout, average::Span},
    mixdown::Mixdown,
    pipeline::{Pipeline, PipelineConfig},
    sink::{Update, jsonl::update_line},
    source::file::RawPcm,
    units::Seconds,
};
use pyo3::{prelude::*, sync::MutexExt as _};

use crate::{
    Model,
    array::{Sound, rate_of},
    setting_error,
};

/// One stream from samples to readouts.
#[pyclass(frozen, module = "genrescope._native")]
#[derive(Debug)]
pub(crate) struct Stream {
    /// Threads that push into the same stream do so one after the other.
    state: Mutex<State>,
    n_channels: usize,
    source: Arc<str>,
    model: Arc<str>,
}

#[derive(Debug)]
struct State {
    pipeline: Pipeline,
    mixdown: Mixdown,
    seq: u64,
}

impl Stream {
    /// Waits without the interpreter, which whoever holds the lock may need.
    fn attached(&self, py: Python<'_>) -> MutexGuard<'_, State> {
        let state = self.state.lock_py_attached(py);
        state.unwrap_or_else(PoisonError::into_inner)
    }

    /// For threads without the interpreter.
    fn detached(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The `genre` message of a readout.
    fn line(&self, readout: &Readout, state: &mut State) -> String {
        state.seq += 1;
        update_line(&Update {
            readout: *readout,
            labels: state.pipeline.model().labels().clone(),
            source: Arc::clone(&self.source),
            model: Arc::clone(&self.model),
            // The clock of a stream is its sample count; the package leaves this out.
            time: SystemTime::UNIX_EPOCH,
            seq: state.seq,
            held: false,
        })
    }
}

#[pymethods]
impl Stream {
    #[new]
    #[pyo3(signature = (model, rate, channels, /, *, preset, averaging, dwell, unsure_below, source))]
    #[allow(clippy::too_many_arguments, reason = "one for each keyword")]
    fn new(
        model: &Model,
        rate: f64,
        channels: usize,
        preset: &str,
        averaging: Option<f64>,
        dwell: Option<f64>,
        unsure_below: Option<f32>,
        source: &str,
    ) -> PyResult<Self> {
        let most = usize::from(RawPcm::MAX_CHANNELS);
        if !(1..=most).contains(&channels) {
            return Err(setting_error(format!(
                "{channels} channels are not supported (1 to {most} are)"
            )));
        }
        let preset = Preset::ALL
            .into_iter()
            .find(|known| known.as_str() == preset)
            .ok_or_else(|| {
                let known = Preset::ALL.map(Preset::as_str).join(", ");
                setting_error(format!("preset = '{preset}' is none of {known}"))
            })?;
        let mut decision = DecisionConfig {
            unsure_below,
            ..DecisionConfig::preset(preset)
        };
        if let Some(averaging) = averaging {
            decision.span = Span::Exponential(Seconds(averaging));
        }
        if let Some(dwell) = dwell {
            decision.dwell = Seconds(dwell);
        }
        let config = PipelineConfig {
            decision,
            ..PipelineConfig::default()
        };
        let pipeline = Pipeline::new(&model.0, rate_of(rate)?, config).map_err(setting_error)?;
        Ok(Self {
            state: Mutex::new(State {
                pipeline,
                mixdown: Mixdown::default(),
                seq: 0,
            }),
            n_channels: channels,
            source: source.into(),
            model: model.0.card().name.as_str().into(),
        })
    }

    #[getter]
    fn hop(&self, py: Python<'_>) -> f64 {
        self.attached(py).pipeline.hop().0
    }

    #[pyo3(signature = (array, /))]
    fn push(&self, py: Python<'_>, array: &Bound<'_, PyAny>) -> PyResult<Vec<String>> {
        let sound = Sound::new(array, Some(self.n_channels))?;
        let mut readouts = Vec::new();
        let mut state = self.attached(py);
        let State {
            pipeline, mixdown, ..
        } = &mut *state;
        sound.each(py, mixdown, |mono| {
            pipeline.push(mono, |readout| readouts.push(*readout));
        })?;
        Ok(readouts
            .iter()
            .map(|readout| self.line(readout, &mut state))
            .collect())
    }

    fn finish(&self, py: Python<'_>) -> Vec<String> {
        py.detach(|| {
            let mut state = self.detached();
            let mut readouts = Vec::new();
            state.pipeline.finish(|readout| readouts.push(*readout));
            readouts
                .iter()
                .map(|readout| self.line(readout, &mut state))
                .collect()
        })
    }

    fn reset(&self, py: Python<'_>) {
        py.detach(|| {
            let mut state = self.detached();
            state.pipeline.reset();
            state.mixdown = Mixdown::default();
        });
    }

    fn reset_average(&self, py: Python<'_>) {
        py.detach(|| self.detached().pipeline.reset_average());
    }

    fn hold(&self, py: Python<'_>, hold: bool) {
        py.detach(|| self.detached().pipeline.set_hold(hold));
    }
}
