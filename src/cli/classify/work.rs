//! Listening to many files side by side.

use std::{
    collections::BTreeMap,
    io,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::{Duration, Instant},
};

use clap::ValueEnum as _;
use crossbeam_channel::RecvTimeoutError;

use super::{
    super::{open_input, shown_input, signals::Stop, text},
    Average,
};
use crate::{
    decision::Readout,
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    song::{Multiframe, Song, SongClassifier},
};

/// How often a request to end is looked for while no file is done.
const PACE: Duration = Duration::from_millis(50);

/// A thread that is still stuck in its file this long after a request to end is left alone: a pipe may never say more.
const GRACE: Duration = Duration::from_millis(500);

/// What was heard in one file.
#[derive(Debug)]
pub(in crate::cli) struct Heard {
    pub(in crate::cli) song: Song,
    pub(in crate::cli) timeline: Vec<Readout>,
    /// What a listener should know of the file: it breaks off, or parts of it could not be decoded.
    pub(in crate::cli) notes: Vec<String>,
}

pub(in crate::cli) type Outcome = Result<Heard, String>;

/// Settings of one run, after the arguments were checked.
pub(in crate::cli) struct Job {
    pub(in crate::cli) model: Arc<Model>,
    pub(in crate::cli) rule: Multiframe,
    pub(in crate::cli) unsure_below: Option<f32>,
    pub(in crate::cli) timeline: bool,
    pub(in crate::cli) stop: Stop,
}

impl Job {
    /// What shapes an answer, as it would be typed: it is written beside every answer.
    pub(in crate::cli) fn options(&self) -> String {
        let average = Average::from(self.rule.score).to_possible_value();
        let average = average.as_ref().map_or("", |value| value.get_name());
        let (skip, hop) = (self.rule.skip.0, self.rule.hop.0);
        let mut options = format!("--average {average} --skip {skip} --hop {hop}");
        if let Some(score) = self.unsure_below {
            options += &format!(" --unsure-below {score}");
        }
        if self.timeline {
            options += " --timeline";
        }
        options
    }
}

/// Looks at all files on `jobs` threads and hands on the outcomes in the order of the files.
pub(in crate::cli) fn classify_all(
    job: &Arc<Job>,
    files: &Arc<[PathBuf]>,
    jobs: usize,
    mut on_outcome: impl FnMut(usize, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let closed = Arc::new(AtomicBool::new(false));
    // The bound keeps a slow reader of our output from piling up results.
    let (sender, receiver) = crossbeam_channel::bounded(2 * jobs);
    let mut threads = Vec::new();
    for _ in 0..jobs.min(files.len()) {
        let (sender, next, closed) = (sender.clone(), Arc::clone(&next), Arc::clone(&closed));
        let (job, files) = (Arc::clone(job), Arc::clone(files));
        let work = move || {
            while !job.stop.asked() && !closed.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(path) = files.get(index) else { break };
                if let Some(outcome) = classify_file(&job, path)
                    && sender.send((index, outcome)).is_err()
                {
                    break;
                }
            }
        };
        threads.push(thread::Builder::new().name("classify".into()).spawn(work)?);
    }
    drop(sender);
    let mut waiting = BTreeMap::new();
    let mut turn = 0;
    let mut asked_at = None;
    let ended = loop {
        match receiver.recv_timeout(PACE) {
            Ok((index, outcome)) => {
                waiting.insert(index, outcome);
            }
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => break true,
        }
        while let Some(outcome) = waiting.remove(&turn) {
            if let Err(error) = on_outcome(turn, outcome) {
                // Nobody reads any more: the threads find the channel closed.
                closed.store(true, Ordering::Relaxed);
                return Err(error);
            }
            turn += 1;
        }
        if job.stop.asked() && asked_at.get_or_insert_with(Instant::now).elapsed() >= GRACE {
            break false;
        }
    };
    // After an interruption there are holes; what was done behind them still counts.
    for (index, outcome) in waiting {
        on_outcome(index, outcome)?;
    }
    if ended {
        for thread in threads {
            if let Err(panic) = thread.join() {
                std::panic::resume_unwind(panic);
            }
        }
    }
    Ok(())
}

/// `None` when it was interrupted.
fn classify_file(job: &Job, path: &Path) -> Option<Outcome> {
    let heard = hear_file(job, path);
    match heard {
        Ok(None) => None,
        Ok(Some(heard)) => Some(Ok(heard)),
        Err(error) => {
            let text = text::told(&error);
            let name = shown_input(path);
            Some(Err(if text.contains(&name) {
                text
            } else {
                format!("'{name}': {text}")
            }))
        }
    }
}

fn hear_file(job: &Job, path: &Path) -> anyhow::Result<Option<Heard>> {
    let mut file = open_input(path, None)?;
    let mut song = SongClassifier::new(&job.model, file.rate(), job.rule)?;
    if let Some(threshold) = job.unsure_below {
        song = song.unsure_below(threshold);
    }
    let mut timeline = Vec::new();
    let mut pipeline = None;
    if job.timeline {
        let mut config = PipelineConfig::default();
        config.decision.unsure_below = job.unsure_below;
        pipeline = Some(Pipeline::new(&job.model, file.rate(), config)?);
    }
    let mut stopped = false;
    let notes = file.read(|mono| {
        song.push(mono);
        if let Some(pipeline) = &mut pipeline {
            pipeline.push(mono, |readout| timeline.push(*readout));
        }
        stopped = job.stop.asked();
        !stopped
    })?;
    if stopped {
        return Ok(None);
    }
    if let Some(pipeline) = &mut pipeline {
        pipeline.finish(|readout| timeline.push(*readout));
    }
    Ok(Some(Heard {
        song: song.finish(),
        timeline,
        notes,
    }))
}
