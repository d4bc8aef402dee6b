//! Many files side by side.

use std::{
    ffi::OsString,
    path::PathBuf,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use crossbeam_channel::{Receiver, RecvTimeoutError};
use genrescope::{
    answer::{HearError, Heard, Listening, error_row, hear_all},
    source::file::{AudioFile, FileError},
};
use pyo3::{
    exceptions::{PyOSError, PyRuntimeError},
    prelude::*,
    pybacked::PyBackedBytes,
};

use crate::{Parts, parts, setting_error};

/// How often it is looked whether Ctrl-C was pressed.
const PACE: Duration = Duration::from_millis(100);

/// A file, or one whose bytes are at hand.
#[derive(Clone, Debug)]
pub(crate) enum Item {
    Path(PathBuf),
    Bytes(OsString, Shared),
}

/// Bytes of Python's.
#[derive(Clone, Debug)]
pub(crate) struct Shared(Arc<PyBackedBytes>);

impl AsRef<[u8]> for Shared {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl<'py> FromPyObject<'_, 'py> for Item {
    type Error = PyErr;

    fn extract(object: Borrowed<'_, 'py, PyAny>) -> PyResult<Self> {
        if let Ok((name, bytes)) = object.extract::<(OsString, PyBackedBytes)>() {
            return Ok(Self::Bytes(name, Shared(Arc::new(bytes))));
        }
        object.extract().map(Self::Path).map_err(|_| {
            setting_error(format!(
                "a file is a path, or a pair of a name and bytes, not {}",
                object.get_type()
            ))
        })
    }
}

impl Item {
    /// Bytes of Python's under a name.
    pub(crate) fn of_bytes(name: PathBuf, bytes: PyBackedBytes) -> Self {
        Self::Bytes(name.into(), Shared(Arc::new(bytes)))
    }

    /// Opens it, as often as it takes.
    pub(crate) fn open(&self) -> Result<AudioFile, FileError> {
        match self {
            Self::Path(path) => AudioFile::open(path),
            Self::Bytes(name, bytes) => AudioFile::from_bytes(name, bytes.clone()),
        }
    }

    /// What messages call it.
    pub(crate) fn name(&self) -> PathBuf {
        match self {
            Self::Path(path) => path.clone(),
            Self::Bytes(name, _) => name.into(),
        }
    }
}

type Outcome = (usize, Result<Heard, HearError>);

/// The answers for many files, in their order.
#[pyclass(frozen, module = "genrescope._native")]
#[derive(Debug)]
pub(crate) struct Rows {
    listening: Arc<Listening>,
    names: Vec<PathBuf>,
    outcomes: Receiver<Outcome>,
    stop: Arc<AtomicBool>,
    thread: std::sync::Mutex<Option<JoinHandle<std::io::Result<()>>>>,
}

impl Rows {
    pub(crate) fn start(
        listening: &Arc<Listening>,
        items: Vec<Item>,
        jobs: Option<usize>,
    ) -> PyResult<Self> {
        let jobs = match jobs {
            Some(jobs @ 1..=256) => jobs,
            Some(jobs) => return Err(setting_error(format!("jobs = {jobs} is not in 1 to 256"))),
            None => thread::available_parallelism().map_or(1, std::num::NonZero::get),
        };
        let (sender, outcomes) = crossbeam_channel::bounded(jobs);
        let stop = Arc::new(AtomicBool::new(false));
        let names = items.iter().map(Item::name).collect();
        let (listens, stops) = (Arc::clone(listening), Arc::clone(&stop));
        let items: Arc<[Item]> = items.into();
        let thread = thread::Builder::new()
            .name("genrescope".into())
            .spawn(move || {
                hear_all(
                    &listens,
                    &items,
                    jobs,
                    &stops,
                    Item::open,
                    |index, outcome| {
                        // Whoever drops the receiver sets `stop`.
                        let _ = sender.send((index, outcome));
                        Ok(())
                    },
                )
            })
            .map_err(PyOSError::new_err)?;
        Ok(Self {
            listening: Arc::clone(listening),
            names,
            outcomes,
            stop,
            thread: std::sync::Mutex::new(Some(thread)),
        })
    }
}

impl Drop for Rows {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

/// The parts of an answer, or the row of a failure and its words.
#[derive(IntoPyObject)]
pub(crate) enum Row<'py> {
    Heard(Parts<'py>),
    Failed((String, String)),
}

#[pymethods]
impl Rows {
    fn __iter__(slf: Py<Self>) -> Py<Self> {
        slf
    }

    fn __next__<'py>(&self, py: Python<'py>) -> PyResult<Option<Row<'py>>> {
        loop {
            match py.detach(|| self.outcomes.recv_timeout(PACE)) {
                Ok((index, Ok(heard))) => {
                    let path = &self.names[index];
                    return Ok(Some(Row::Heard(parts(py, &self.listening, path, &heard)?)));
                }
                Ok((index, Err(error))) => {
                    let text = error.to_string();
                    let row = error_row(&self.names[index], &text).to_string();
                    return Ok(Some(Row::Failed((row, text))));
                }
                Err(RecvTimeoutError::Timeout) => py.check_signals()?,
                Err(RecvTimeoutError::Disconnected) => break,
            }
        }
        // All is told, or a thread has failed: an end that came too soon must not look like one.
        let thread = self.thread.lock().map_or(None, |mut thread| thread.take());
        match thread.map(JoinHandle::join) {
            None | Some(Ok(Ok(()))) => Ok(None),
            Some(Ok(Err(error))) => Err(PyOSError::new_err(error)),
            Some(Err(_)) => Err(PyRuntimeError::new_err(
                "a thread that listened has failed; answers are missing",
            )),
        }
    }
}
