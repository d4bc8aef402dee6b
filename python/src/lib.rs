//! What the Python package `genrescope` cannot do in Python: `genrescope._native`. Its functions
//! are wrapped by `python/genrescope/`, which is where they are documented; types are in
//! `_native.pyi`.

mod array;
mod rows;
mod stream;

use std::{
    ffi::OsString,
    num::NonZeroUsize,
    path::{Path, PathBuf},
    sync::Arc,
};

use genrescope::{
    answer::{HearError, Heard, Hearing, Listening, hear_opened},
    network,
    song::{Multiframe, SongScore},
    source::{
        file::{FileError, tell_no_caught_panics},
        library::{Finder, Shard},
        model_file,
    },
    units::Seconds,
};
use numpy::{PyArray1, PyArray2, PyArrayMethods as _, ToPyArray as _};
use pyo3::{prelude::*, pybacked::PyBackedBytes};

use self::array::{Sound, rate_of};

/// Classes of `genrescope/errors.py`.
mod errors {
    #![allow(missing_docs, reason = "documented where they are defined")]
    pyo3::import_exception!(genrescope.errors, FileError);
    pyo3::import_exception!(genrescope.errors, MissingFileError);
    pyo3::import_exception!(genrescope.errors, UnreadableFileError);
    pyo3::import_exception!(genrescope.errors, FolderError);
    pyo3::import_exception!(genrescope.errors, ModelError);
    pyo3::import_exception!(genrescope.errors, SettingError);
}

fn setting_error(error: impl ToString) -> PyErr {
    errors::SettingError::new_err(error.to_string())
}

fn hear_error(error: &HearError) -> PyErr {
    let text = error.to_string();
    match error {
        HearError::File(FileError::NotFound { .. }) => errors::MissingFileError::new_err(text),
        HearError::File(FileError::Permission { .. }) => errors::UnreadableFileError::new_err(text),
        HearError::File(FileError::IsFolder { .. }) => errors::FolderError::new_err(text),
        HearError::File(_) => errors::FileError::new_err(text),
        _ => setting_error(text),
    }
}

/// A loaded model.
#[pyclass(frozen, module = "genrescope._native")]
#[derive(Debug)]
struct Model(Arc<network::Model>);

#[pymethods]
impl Model {
    /// Loads a model that is built in, or a file.
    #[new]
    #[pyo3(signature = (name, /))]
    fn new(py: Python<'_>, name: PathBuf) -> PyResult<Self> {
        py.detach(|| model_file::load(&name))
            .map(Self)
            .map_err(|error| errors::ModelError::new_err(error.to_string()))
    }

    #[getter]
    fn name(&self) -> &str {
        &self.0.card().name
    }

    #[getter]
    fn labels(&self) -> Vec<&str> {
        self.0.labels().iter().collect()
    }

    /// The family of each label that has one.
    #[getter]
    fn families(&self) -> Vec<(&str, &str)> {
        let labels = self.0.labels();
        let pairs = labels.iter().enumerate();
        pairs
            .filter_map(|(kind, name)| Some((name, labels.get(labels.family_of(kind)?)?)))
            .collect()
    }

    #[getter]
    fn embedding_size(&self) -> usize {
        self.0.embedding_len()
    }
}

/// What was heard, for `genrescope.Song`: a dict in Python.
#[derive(IntoPyObject)]
struct Parts<'py> {
    /// Its row of JSON.
    row: String,
    seconds: f64,
    confidence: f32,
    music: Option<f32>,
    scores: Bound<'py, PyArray1<f32>>,
    /// Where frames begin.
    frame_starts: Bound<'py, PyArray1<f64>>,
    frame_scores: Bound<'py, PyArray2<f32>>,
    /// Probability of music of each frame; NaN where there is none.
    frame_music: Bound<'py, PyArray1<f32>>,
    embeddings: Option<Bound<'py, PyArray2<f32>>>,
}

fn table<'a, 'py>(
    py: Python<'py>,
    rows: impl ExactSizeIterator<Item = &'a [f32]>,
    width: usize,
) -> PyResult<Bound<'py, PyArray2<f32>>> {
    let shape = [rows.len(), width];
    let all: Vec<f32> = rows.flatten().copied().collect();
    all.to_pyarray(py).reshape(shape)
}

fn parts<'py>(
    py: Python<'py>,
    listening: &Listening,
    path: &Path,
    heard: &Heard,
) -> PyResult<Parts<'py>> {
    let song = &heard.song;
    let starts: Vec<f64> = song.frames.iter().map(|frame| frame.start.0).collect();
    let music = song.frames.iter().map(|frame| frame.music);
    let music: Vec<f32> = music.map(|music| music.unwrap_or(f32::NAN)).collect();
    let scores = song.frames.iter().map(|frame| frame.scores.as_slice());
    let embeddings = song.frames.iter().map(|frame| &frame.embedding[..]);
    Ok(Parts {
        row: listening.row(path, heard).to_string(),
        seconds: song.duration.0,
        confidence: song.confidence(),
        music: song.music,
        scores: song.scores.as_slice().to_pyarray(py),
        frame_starts: starts.to_pyarray(py),
        frame_scores: table(py, scores, listening.model.labels().len())?,
        frame_music: music.to_pyarray(py),
        embeddings: listening
            .embeddings
            .then(|| table(py, embeddings, listening.model.embedding_len()))
            .transpose()?,
    })
}

/// Blocks of a file between two looks whether Ctrl-C was pressed: some minutes of sound, a fraction
/// of a second of work.
const LOOK_EVERY: u32 = 2_048;

/// With what, and how, songs are heard.
#[pyclass(frozen, name = "Listening", module = "genrescope._native")]
#[derive(Debug)]
struct PyListening(Arc<Listening>);

impl PyListening {
    #[allow(
        clippy::redundant_closure_for_method_calls,
        reason = "the method is of one lifetime, the closure of any"
    )]
    fn hear<'py>(&self, py: Python<'py>, item: rows::Item) -> PyResult<Parts<'py>> {
        let mut interrupted = None;
        let (outcome, path) = py.detach(|| {
            let mut n_blocks = 0_u32;
            let outcome = hear_opened(
                &self.0,
                || item.open(),
                || {
                    n_blocks += 1;
                    if n_blocks.is_multiple_of(LOOK_EVERY) {
                        interrupted = Python::attach(|py| py.check_signals()).err();
                    }
                    interrupted.is_none()
                },
            );
            (outcome, item.name())
        });
        match (outcome, interrupted) {
            (_, Some(error)) => Err(error),
            (Ok(Some(heard)), _) => parts(py, &self.0, &path, &heard),
            (Ok(None), None) => Err(setting_error("interrupted")),
            (Err(error), _) => Err(hear_error(&error)),
        }
    }
}

#[pymethods]
impl PyListening {
    #[new]
    #[pyo3(signature = (model, /, *, average, skip, hop, unsure_below, timeline, show_frames, frames, embeddings))]
    #[allow(clippy::too_many_arguments, reason = "one for each keyword")]
    fn new(
        model: &Model,
        average: &str,
        skip: f64,
        hop: f64,
        unsure_below: Option<f32>,
        timeline: bool,
        show_frames: bool,
        frames: Option<usize>,
        embeddings: bool,
    ) -> PyResult<Self> {
        let score = SongScore::named(average).ok_or_else(|| {
            let known = SongScore::ALL.map(SongScore::as_str).join(", ");
            setting_error(format!("average = '{average}' is none of {known}"))
        })?;
        if let Some(score) = unsure_below.filter(|score| !(0.0..=1.0).contains(score)) {
            return Err(setting_error(format!(
                "unsure_below = {score} is not in 0 to 1"
            )));
        }
        if frames.is_some_and(|n| !(1..=1_000).contains(&n)) {
            return Err(setting_error("frames is not in 1 to 1000"));
        }
        let listening = Listening {
            rule: Multiframe {
                skip: Seconds(skip),
                hop: Seconds(hop),
                score,
                frames: frames.and_then(NonZeroUsize::new),
            },
            unsure_below,
            timeline,
            frames: show_frames,
            embeddings,
            ..Listening::new(Arc::clone(&model.0))
        };
        listening.check().map_err(setting_error)?;
        Ok(Self(Arc::new(listening)))
    }

    #[getter]
    fn options(&self) -> String {
        self.0.options()
    }

    #[pyo3(signature = (path, /))]
    fn file<'py>(&self, py: Python<'py>, path: PathBuf) -> PyResult<Parts<'py>> {
        self.hear(py, rows::Item::Path(path))
    }

    #[pyo3(signature = (name, data, /))]
    fn bytes<'py>(
        &self,
        py: Python<'py>,
        name: PathBuf,
        data: PyBackedBytes,
    ) -> PyResult<Parts<'py>> {
        self.hear(py, rows::Item::of_bytes(name, data))
    }

    #[pyo3(signature = (name, array, rate, /))]
    fn array<'py>(
        &self,
        py: Python<'py>,
        name: &str,
        array: &Bound<'py, PyAny>,
        rate: f64,
    ) -> PyResult<Parts<'py>> {
        let sound = Sound::new(array, None)?;
        let mut hearing = Hearing::new(&self.0, rate_of(rate)?).map_err(setting_error)?;
        sound.each(py, &mut genrescope::mixdown::Mixdown::default(), |mono| {
            hearing.push(mono);
        })?;
        let heard = py.detach(|| hearing.finish(Vec::new()));
        parts(py, &self.0, name.as_ref(), &heard)
    }

    #[pyo3(signature = (items, jobs, /))]
    fn each(&self, items: Vec<rows::Item>, jobs: Option<usize>) -> PyResult<rows::Rows> {
        rows::Rows::start(&self.0, items, jobs)
    }
}

/// The audio files that `paths` stand for, and what was wrong on the way.
#[pyfunction]
#[pyo3(signature = (paths, shard, /))]
fn find(
    py: Python<'_>,
    paths: Vec<PathBuf>,
    shard: Option<&str>,
) -> PyResult<(Vec<OsString>, Vec<String>)> {
    let shard: Option<Shard> = shard.map(str::parse).transpose().map_err(setting_error)?;
    Ok(py.detach(|| {
        let (mut finder, mut problems) = (Finder::default(), Vec::new());
        for path in paths {
            finder.look(&path, || true, |problem| problems.push(problem));
        }
        problems.extend(finder.other_formats().message());
        if let Some(shard) = shard {
            shard.keep(&mut finder.files);
        }
        let files = finder.files.into_iter().map(OsString::from).collect();
        (files, problems)
    }))
}

/// How tags usually spell a label.
#[pyfunction]
#[pyo3(signature = (label, /))]
fn usual_word(label: &str) -> &str {
    genrescope::genre::usual_word(label)
}

#[pymodule]
mod _native {
    #[pymodule_export]
    use super::{Model, PyListening, find, rows::Rows, stream::Stream, usual_word};
    use pyo3::prelude::*;

    #[pymodule_init]
    fn init(module: &Bound<'_, PyModule>) -> PyResult<()> {
        super::tell_no_caught_panics();
        module.add("__version__", env!("CARGO_PKG_VERSION"))
    }
}
