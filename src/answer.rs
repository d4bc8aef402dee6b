//! The answer for a whole file or signal: how it is heard, and what is said of it. The command line
//! and the Python package have their rows from here.

pub mod path;

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
use serde_json::{Map, Value, json};
use thiserror::Error;

use self::path::to_text;
use crate::{
    decision::{FRAME, Readout, Reason, State},
    genre::{Labels, Scores},
    network::Model,
    pipeline::{Pipeline, PipelineConfig, PipelineError},
    sink::jsonl::VERSION,
    song::{Multiframe, Song, SongClassifier, SongError, Verdict},
    source::file::{AudioFile, CUT_OFF, FileError},
    units::{SampleRate, Seconds},
};

/// With what, and how, songs are heard.
#[derive(Clone, Debug)]
pub struct Listening {
    /// What listens.
    pub model: Arc<Model>,
    /// Which frames of a song count, and how.
    pub rule: Multiframe,
    /// Best score below which the answer is "unsure", instead of the model's.
    pub unsure_below: Option<f32>,
    /// Also hear what a listener would have been told when.
    pub timeline: bool,
    /// Say the scores of every frame.
    pub frames: bool,
    /// Every frame keeps its embedding.
    pub embeddings: bool,
}

impl Listening {
    /// As `classify` listens without further arguments.
    pub fn new(model: Arc<Model>) -> Self {
        Self {
            model,
            rule: Multiframe::default(),
            unsure_below: None,
            timeline: false,
            frames: false,
            embeddings: false,
        }
    }

    /// Refuses settings once, instead of once for every file.
    ///
    /// # Errors
    /// [`SettingError`] naming the setting that is out of range, with its value.
    pub fn check(&self) -> Result<(), SettingError> {
        Hearing::new(self, SampleRate::MIN).map(drop)
    }

    /// `song` with what is asked for beside its rule.
    fn set(&self, mut song: SongClassifier) -> SongClassifier {
        if let Some(threshold) = self.unsure_below {
            song = song.unsure_below(threshold);
        }
        if self.embeddings {
            song = song.keep_embeddings();
        }
        song
    }

    /// What shapes an answer, as it would be typed: it is written beside every answer.
    pub fn options(&self) -> String {
        let (skip, hop) = (self.rule.skip.0, self.rule.hop.0);
        let average = self.rule.score.as_str();
        let mut options = format!("--average {average} --skip {skip} --hop {hop}");
        if let Some(score) = self.unsure_below {
            options += &format!(" --unsure-below {score}");
        }
        if let Some(n) = self.rule.frames {
            options += &format!(" --frames {n}");
        }
        for (given, name) in [(self.timeline, "timeline"), (self.frames, "show-frames")] {
            if given {
                options += &format!(" --{name}");
            }
        }
        options
    }

    /// The label of a verdict that names a genre.
    pub fn genre(&self, verdict: Verdict) -> Option<&str> {
        verdict
            .genre()
            .and_then(|genre| self.model.labels().get(genre))
    }

    /// The answer for the file at `path`, as a `song` message (docs/messages.md).
    pub fn row(&self, path: &Path, heard: &Heard) -> Value {
        let song = &heard.song;
        let labels = self.model.labels();
        let mut object = json!({
            "v": VERSION,
            "type": "song",
            "path": to_text(path),
            "genre": self.genre(song.verdict),
            "confidence": rounded(song.confidence()),
            "scores": by_label(labels, &song.scores),
            "state": song.verdict.as_str(),
            "frames": song.frames.len(),
            "seconds": song.duration.rounded(),
            "short": song.short,
            "music": song.music.map(rounded),
            "reason": song.reason.map(Reason::as_str),
            "model": self.model.card().name,
            "options": self.options(),
        });
        if labels.has_families() {
            let named = song.verdict.genre();
            let path: Vec<&str> =
                named.map_or(Vec::new(), |genre| labels.names_to(genre).collect());
            object["family"] = json!(path.first());
            object["genre_path"] = json!(path);
        }
        if !heard.notes.is_empty() {
            object["notes"] = json!(heard.notes);
        }
        if self.frames {
            object["frame_scores"] = song
                .frames
                .iter()
                .map(|frame| json!({"start": frame.start.rounded(), "scores": by_label(labels, &frame.scores)}))
                .collect();
        }
        if self.timeline {
            object["timeline"] = stretches(&heard.timeline)
                .iter()
                .map(|stretch| {
                    json!({
                        "start": stretch.start.rounded(),
                        "end": stretch.end.rounded(),
                        "state": stretch.state.as_str(),
                        "genre": stretch.genre.and_then(|genre| labels.get(genre)),
                        "confidence": rounded(stretch.confidence),
                    })
                })
                .collect();
        }
        object
    }
}

/// What is said of a file that could not be read, as an `error` message.
pub fn error_row(path: &Path, reason: &str) -> Value {
    json!({
        "v": VERSION, "type": "error", "path": to_text(path), "genre": null, "error": reason,
    })
}

fn by_label(labels: &Labels, scores: &Scores) -> Map<String, Value> {
    labels
        .iter()
        .zip(scores.as_slice())
        .map(|(label, &score)| (label.to_owned(), json!(rounded(score))))
        .collect()
}

/// Four decimals: more would claim more than is known.
fn rounded(score: f32) -> f64 {
    (f64::from(score) * 1e4).round() / 1e4
}

/// What was heard in one file.
#[derive(Clone, Debug)]
pub struct Heard {
    /// The answer for the whole.
    pub song: Song,
    /// Every readout of a listener, if [`Listening::timeline`] asked for them.
    pub timeline: Vec<Readout>,
    /// What a listener should know of the file: it breaks off, or parts of it could not be decoded.
    pub notes: Vec<String>,
}

/// A setting that is out of its range.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SettingError {
    /// One of the song's.
    #[error(transparent)]
    Song(#[from] SongError),
    /// One of the timeline's.
    #[error(transparent)]
    Pipeline(#[from] PipelineError),
}

/// Why there is no answer for a file.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum HearError {
    /// It cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// It cannot be listened to in this way.
    #[error("'{}': {source}", path.display())]
    Setting {
        /// The file.
        path: PathBuf,
        /// What is out of range.
        source: SettingError,
    },
}

/// One song while it is heard.
#[derive(Debug)]
pub struct Hearing {
    song: SongClassifier,
    pipeline: Option<Pipeline>,
    timeline: Vec<Readout>,
}

impl Hearing {
    /// Begins a song of mono samples at `rate`.
    ///
    /// # Errors
    /// [`SettingError`] naming the setting that is out of range, with its value.
    pub fn new(listening: &Listening, rate: SampleRate) -> Result<Self, SettingError> {
        let song = SongClassifier::new(&listening.model, rate, listening.rule)?;
        let song = listening.set(song);
        let pipeline = if listening.timeline {
            let mut config = PipelineConfig::default();
            config.decision.unsure_below = listening.unsure_below;
            Some(Pipeline::new(&listening.model, rate, config)?)
        } else {
            None
        };
        Ok(Self {
            song,
            pipeline,
            timeline: Vec::new(),
        })
    }

    /// Takes mono samples in blocks of any size.
    pub fn push(&mut self, mono: &[f32]) {
        self.song.push(mono);
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.push(mono, |readout| self.timeline.push(*readout));
        }
    }

    /// The song has ended; `notes` are about its file.
    pub fn finish(mut self, notes: Vec<String>) -> Heard {
        if let Some(pipeline) = &mut self.pipeline {
            pipeline.finish(|readout| self.timeline.push(*readout));
        }
        Heard {
            song: self.song.finish(),
            timeline: self.timeline,
            notes,
        }
    }
}

/// Hears a file to its end, or until `goes_on` says no, after some block; `None` then.
///
/// # Errors
/// [`HearError`], naming the file.
pub fn hear(
    listening: &Listening,
    mut file: AudioFile,
    mut goes_on: impl FnMut() -> bool,
) -> Result<Option<Heard>, HearError> {
    let mut hearing =
        Hearing::new(listening, file.rate()).map_err(|source| HearError::Setting {
            path: file.path().to_owned(),
            source,
        })?;
    let mut stopped = false;
    let notes = file.read(|mono| {
        hearing.push(mono);
        stopped = !goes_on();
        !stopped
    })?;
    Ok((!stopped).then(|| hearing.finish(notes)))
}

/// Hears what `open` opens: a few frames where [`Multiframe::frames`] says so and there is a file
/// that can be opened again, else all of it. As [`hear`].
///
/// # Errors
/// [`HearError`], naming the file.
pub fn hear_opened(
    listening: &Listening,
    open: impl Fn() -> Result<AudioFile, FileError>,
    mut goes_on: impl FnMut() -> bool,
) -> Result<Option<Heard>, HearError> {
    let file = open()?;
    if listening.rule.frames.is_none() || listening.timeline || !file.can_be_read_again() {
        return hear(listening, file, goes_on);
    }
    match hear_sample(listening, file, &open, &mut goes_on)? {
        Sample::Heard(heard) => Ok(Some(*heard)),
        Sample::Stopped => Ok(None),
        Sample::Refused => hear(listening, open()?, goes_on),
    }
}

/// Before an excerpt the decoder runs in for so long: mp3 takes bits from earlier frames, others
/// half a window.
const RUN_IN: Seconds = Seconds(0.5);

/// What came of listening to a few frames.
enum Sample {
    Heard(Box<Heard>),
    Stopped,
    /// There are no more frames than those, or something is wrong that a listener to all of it will
    /// tell.
    Refused,
}

/// Hears a few frames of the song that `file` is, and `open` opens again, and decodes nothing else.
fn hear_sample(
    listening: &Listening,
    mut file: AudioFile,
    open: &impl Fn() -> Result<AudioFile, FileError>,
    goes_on: &mut impl FnMut() -> bool,
) -> Result<Sample, HearError> {
    if file.pass_to(Seconds(f64::INFINITY)).is_err() {
        return Ok(Sample::Refused);
    }
    let length = file.position();
    let truncated = file.is_truncated();
    let Some(starts) = listening.rule.sample(length) else {
        return Ok(Sample::Refused);
    };
    let mut file = open()?;
    let hz = f64::from(file.rate().hz());
    let (model, rule) = (&listening.model, listening.rule);
    let song = SongClassifier::of_excerpts(model, file.rate(), rule, length);
    let mut song = song
        .map(|song| listening.set(song))
        .map_err(|error| HearError::Setting {
            path: file.path().to_owned(),
            source: error.into(),
        })?;
    let mut mono = Vec::new();
    for start in starts {
        file.pass_to(Seconds((start.0 - RUN_IN.0).max(0.0)))?;
        // A column of the front end more than the frame, so that its last one is whole.
        let (from, to) = (start.0 * hz, (start.0 + FRAME.0 + 0.03) * hz);
        let mut end = 0;
        while (end as f64) < to && file.next_block(&mut mono)? {
            if !goes_on() {
                return Ok(Sample::Stopped);
            }
            // Where a block begins is known once it is there: some decoders give nothing for the
            // first packet.
            end = (file.position().0 * hz).round() as usize;
            let at = end.saturating_sub(mono.len());
            let first = (from as usize).saturating_sub(at).min(mono.len());
            let last = (to as usize).saturating_sub(at).min(mono.len());
            song.push(&mono[first..last]);
        }
        song.end_excerpt(start);
    }
    let cut_off = truncated.then(|| CUT_OFF.to_owned());
    Ok(Sample::Heard(Box::new(Heard {
        song: song.finish(),
        timeline: Vec::new(),
        notes: cut_off.into_iter().collect(),
    })))
}

/// How often a request to end is looked for while no file is done.
const PACE: Duration = Duration::from_millis(50);

/// A thread that is still stuck in its file this long after a request to end is left alone: a pipe
/// may never say more.
const GRACE: Duration = Duration::from_millis(500);

/// Hears all `items`, each [opened](AudioFile::open) by `open`, on `jobs` threads and hands on the
/// outcomes in their order, until `stop` is set. A file that cannot be heard is an outcome like
/// another.
///
/// # Errors
/// When `on_outcome` fails, or the system gives no thread.
pub fn hear_all<T: Send + Sync + 'static>(
    listening: &Arc<Listening>,
    items: &Arc<[T]>,
    jobs: usize,
    stop: &Arc<AtomicBool>,
    open: fn(&T) -> Result<AudioFile, FileError>,
    mut on_outcome: impl FnMut(usize, Result<Heard, HearError>) -> io::Result<()>,
) -> io::Result<()> {
    let next = Arc::new(AtomicUsize::new(0));
    let closed = Arc::new(AtomicBool::new(false));
    // The bound keeps a slow reader of our output from piling up results.
    let (sender, receiver) = crossbeam_channel::bounded(2 * jobs);
    let mut threads = Vec::new();
    for _ in 0..jobs.min(items.len()) {
        let (sender, next, closed) = (sender.clone(), Arc::clone(&next), Arc::clone(&closed));
        let (listening, items, stop) = (Arc::clone(listening), Arc::clone(items), Arc::clone(stop));
        let work = move || {
            while !stop.load(Ordering::Relaxed) && !closed.load(Ordering::Relaxed) {
                let index = next.fetch_add(1, Ordering::Relaxed);
                let Some(item) = items.get(index) else { break };
                let goes_on = || !stop.load(Ordering::Relaxed);
                let outcome = hear_opened(&listening, || open(item), goes_on);
                if let Some(outcome) = outcome.transpose()
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
        let asked = stop.load(Ordering::Relaxed);
        if asked && asked_at.get_or_insert_with(Instant::now).elapsed() >= GRACE {
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

/// A stretch of the timeline with one answer.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Stretch {
    /// Where it begins.
    pub start: Seconds,
    /// Where it ends.
    pub end: Seconds,
    /// What kind of answer it is.
    pub state: State,
    /// The genre, by index.
    pub genre: Option<usize>,
    /// Mean confidence.
    pub confidence: f32,
    readouts: u32,
}

/// Neighbouring readouts that say the same become one stretch; provisional and live answers are
/// one.
pub fn stretches(readouts: &[Readout]) -> Vec<Stretch> {
    let mut stretches: Vec<Stretch> = Vec::new();
    let mut start = Seconds(0.0);
    for readout in readouts {
        match stretches.last_mut() {
            Some(last)
                if last.genre == readout.genre
                    && (last.state == readout.state || readout.genre.is_some()) =>
            {
                last.end = readout.position;
                last.readouts += 1;
                last.confidence += (readout.confidence - last.confidence) / last.readouts as f32;
                last.state = readout.state;
            }
            _ => stretches.push(Stretch {
                start,
                end: readout.position,
                state: readout.state,
                genre: readout.genre,
                confidence: readout.confidence,
                readouts: 1,
            }),
        }
        start = readout.position;
    }
    stretches
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::song::Frame;

    /// Every answer in docs/messages.md is what is emitted for the value it shows, field by field.
    #[test]
    fn the_documented_answers_are_what_is_emitted() {
        let text = include_str!("../docs/messages.md");
        let documented: Vec<Value> = text
            .lines()
            .filter(|line| line.starts_with("{\"confidence\"") || line.starts_with("{\"error\""))
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let listening = Listening::new(Model::builtin());
        let mut scores = [0.04_f32; 10];
        scores[9] = 0.64;
        let scores = Scores::new(&scores);
        let song = |verdict, frames: usize, seconds| Heard {
            song: Song {
                verdict,
                scores: if frames == 0 {
                    Scores::uniform(10)
                } else {
                    scores
                },
                frames: vec![
                    Frame {
                        start: Seconds(0.0),
                        scores,
                        music: None,
                        embedding: Vec::new(),
                    };
                    frames
                ],
                duration: Seconds(seconds),
                short: frames == 0,
                music: (frames > 0).then_some(0.98),
                reason: None,
            },
            timeline: Vec::new(),
            notes: Vec::new(),
        };
        let mut cut = song(Verdict::Genre(9), 7, 251.3);
        cut.notes = vec!["cut off before its end".to_owned()];
        let mut emitted = [
            listening.row(Path::new("music/a.mp3"), &cut),
            listening.row(Path::new("music/b.wav"), &song(Verdict::TooShort, 0, 0.6)),
            error_row(
                Path::new("music/c.mp3"),
                "music/c.mp3: the file is empty (0 bytes)",
            ),
        ];
        assert_eq!(documented.len(), emitted.len(), "docs/messages.md");
        for (documented, emitted) in documented.iter().zip(&mut emitted) {
            if emitted.get("model").is_some() {
                emitted["model"] = json!("test-model");
            }
            assert_eq!(documented, emitted, "docs/messages.md");
        }
        for verdict in [
            Verdict::Genre(0),
            Verdict::Unsure,
            Verdict::NotMusic,
            Verdict::Silent,
            Verdict::TooShort,
        ] {
            let state = format!("`{}`", verdict.as_str());
            let told = text.split_once("## `song`").unwrap().1;
            assert!(told.contains(&state), "{state}");
        }
    }
}
