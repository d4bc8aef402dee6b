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

use crossbeam_channel::RecvTimeoutError;

use super::super::{is_stdin, open_input, shown_input, signals::Stop, text};
use crate::{
    decision::{FRAME, Readout},
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    song::{Multiframe, Song, SongClassifier},
    units::Seconds,
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

/// Before an excerpt the decoder runs in for so long: mp3 takes bits from earlier frames, others half a window.
const RUN_IN: Seconds = Seconds(0.5);

/// Hears a few frames of a song and decodes nothing else; `None` where it has no more than those.
fn hear_sample(job: &Job, path: &Path) -> anyhow::Result<Option<Heard>> {
    // A pipe cannot be read twice.
    if is_stdin(path) || !path.metadata().is_ok_and(|data| data.is_file()) {
        return Ok(None);
    }
    let mut file = open_input(path, None)?;
    // What is wrong with it is told by who hears it all.
    if file.pass_to(Seconds(f64::INFINITY)).is_err() {
        return Ok(None);
    }
    let length = file.position();
    let mut notes = Vec::new();
    if file.is_truncated() {
        notes.push("cut off before its end".to_owned());
    }
    let Some(starts) = job.rule.sample(length) else {
        return Ok(None);
    };
    let mut file = open_input(path, None)?;
    let hz = f64::from(file.rate().hz());
    let mut song = SongClassifier::of_excerpts(&job.model, file.rate(), job.rule, length)?;
    if let Some(threshold) = job.unsure_below {
        song = song.unsure_below(threshold);
    }
    let mut mono = Vec::new();
    for start in starts {
        if job.stop.asked() {
            break;
        }
        file.pass_to(Seconds((start.0 - RUN_IN.0).max(0.0)))?;
        // One hop of the front end more than the frame, so that its last column is whole.
        let (from, to) = (start.0 * hz, (start.0 + FRAME.0 + 0.03) * hz);
        let mut end = 0;
        while (end as f64) < to && file.next_block(&mut mono)? {
            // Where a block begins is known once it is there: some decoders give nothing for the first packet.
            end = (file.position().0 * hz).round() as usize;
            let at = end.saturating_sub(mono.len());
            let first = (from as usize).saturating_sub(at).min(mono.len());
            let last = (to as usize).saturating_sub(at).min(mono.len());
            song.push(&mono[first..last]);
        }
        song.end_excerpt(start);
    }
    Ok(Some(Heard {
        song: song.finish(),
        timeline: Vec::new(),
        notes,
    }))
}

fn hear_file(job: &Job, path: &Path) -> anyhow::Result<Option<Heard>> {
    if job.rule.frames.is_some()
        && let Some(heard) = hear_sample(job, path)?
    {
        return Ok((!job.stop.asked()).then_some(heard));
    }
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
