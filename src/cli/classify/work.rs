//! Listening to many files side by side.

use std::{io, path::PathBuf, sync::Arc};

use super::super::{open_audio, signals::Stop};
use crate::answer::{Heard, Listening, hear_all};

pub(in crate::cli) type Outcome = Result<Heard, String>;

/// Settings of one run, after the arguments were checked.
pub(in crate::cli) struct Job {
    pub(in crate::cli) listening: Arc<Listening>,
    pub(in crate::cli) stop: Stop,
}

/// Looks at all files on `jobs` threads and hands on the outcomes in the order of the files.
pub(in crate::cli) fn classify_all(
    job: &Job,
    files: &Arc<[PathBuf]>,
    jobs: usize,
    mut on_outcome: impl FnMut(usize, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    let open = |path: &PathBuf| open_audio(path);
    let stop = job.stop.flag();
    hear_all(&job.listening, files, jobs, stop, open, |index, outcome| {
        on_outcome(index, outcome.map_err(|error| error.to_string()))
    })
}
