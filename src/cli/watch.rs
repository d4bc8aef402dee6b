//! `genrescope watch`: new and changed songs of a folder, as soon as they are whole.

mod known;

use std::{
    collections::{HashMap, HashSet},
    fs, io,
    path::{Path, PathBuf},
    process::{Command, ExitCode, Stdio},
    sync::{Arc, Mutex, PoisonError},
    thread,
    time::{Duration, Instant},
};

use anyhow::Context as _;
use clap::Args;
use notify::{RecursiveMode, Watcher as _};

use self::known::{Known, Stamp};
use super::{
    Context,
    classify::{
        output::{Format, Printer},
        work::{Job, classify_all},
    },
    complain,
    hear::{Answer, HearArgs, Names},
    output_file::stdout,
    signals::{Again, Stop},
    tag::{TagOne, WhatArgs},
    text::{count, name_of, told},
};
use crate::{
    answer::Heard,
    source::library::{find_audio_files, has_audio_extension},
};

/// How often it is looked whether files are whole, and whether it is to end.
const PACE: Duration = Duration::from_millis(200);

/// Files that are listened to between two looks at what is new.
const BATCH: usize = 64;

/// Arguments of `genrescope watch`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  genrescope watch ~/Music/Inbox --tag --comment
  genrescope watch ~/Music --json >> genres.jsonl
  genrescope watch ~/Music/Inbox --exec ./move-by-genre.sh")]
#[group(id = "deed", required = true, multiple = true, args = ["tag", "json", "exec"])]
pub struct WatchArgs {
    /// Folders to watch, with all that lies below them.
    #[arg(required = true, value_name = "FOLDER")]
    folders: Vec<PathBuf>,

    /// Write the genre into the tag where there is none, as 'genrescope tag --write' does, with a
    /// journal.
    #[arg(long)]
    tag: bool,

    /// Print a JSON object for every file, as 'genrescope classify --json' does.
    #[arg(long)]
    json: bool,

    /// Run this program for every file with a sure genre; its arguments are the file, the genre,
    /// and the confidence.
    #[arg(long, value_name = "PROGRAM")]
    exec: Option<PathBuf>,

    /// At the first start, also take the files that are there already.
    #[arg(long)]
    existing: bool,

    /// A file is whole when it has not changed for so long.
    #[arg(long, value_name = "SECONDS", default_value_t = 3.0)]
    settle: f64,

    /// Look through the folders so often, too: network shares do not tell what other machines do.
    #[arg(long, value_name = "SECONDS", default_value_t = 60.0)]
    rescan: f64,

    /// Remember here what was done. Default: a file for these folders in the folder for the state
    /// of programs.
    #[arg(long, value_name = "FILE")]
    state: Option<PathBuf>,

    #[command(flatten)]
    what: WhatArgs,

    #[command(flatten)]
    hear: HearArgs,
}

fn seconds(value: f64, name: &str) -> anyhow::Result<Duration> {
    Duration::try_from_secs_f64(value)
        .ok()
        .filter(|time| *time <= Duration::from_hours(24))
        .with_context(|| format!("--{name} {value} is not in 0 to 86400 seconds"))
}

/// Runs `genrescope watch`, until a signal ends it.
///
/// # Errors
/// When a folder, the model, the label map or the state cannot be used.
pub fn run(args: WatchArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signal(Again::Ends)?;
    let settle = seconds(args.settle, "settle")?;
    let rescan = seconds(args.rescan, "rescan")?.max(Duration::from_secs(1));
    let mut folders = Vec::new();
    for folder in &args.folders {
        let name = name_of(folder);
        let real =
            fs::canonicalize(folder).with_context(|| format!("cannot watch folder '{name}'"))?;
        anyhow::ensure!(
            real.is_dir(),
            "'{name}' is no folder; give the folder it is in"
        );
        folders.push(real);
    }
    if let Some(program) = &args.exec {
        anyhow::ensure!(
            program.components().count() == 1 || program.is_file(),
            "there is no program '{}'",
            name_of(program)
        );
    }
    let job = args.hear.job(context, stop)?;
    job.listening.check()?;
    let names = args.hear.names(&job.listening.model)?;
    let mut known = Known::open(args.state.as_deref(), &folders)?;

    // Watching begins before the first look, so that nothing falls between the two.
    let told_of: Arc<Mutex<HashSet<PathBuf>>> = Arc::default();
    let heard_of = Arc::clone(&told_of);
    let watcher = notify::recommended_watcher(move |event: notify::Result<notify::Event>| {
        if let Ok(event) = event
            && !event.kind.is_access()
        {
            let mut paths = heard_of.lock().unwrap_or_else(PoisonError::into_inner);
            paths.extend(event.paths);
        }
    });
    let watching = watcher.and_then(|mut watcher| {
        for folder in &folders {
            watcher.watch(folder, RecursiveMode::Recursive)?;
        }
        Ok(watcher)
    });
    if let Err(error) = &watching {
        complain(format_args!(
            "the system does not tell what changes ({error}); looking through the folders every {} s instead",
            rescan.as_secs()
        ));
    }
    let mut doer = Doer {
        tag: args
            .tag
            .then(|| TagOne::new(&args.what, &job.listening.model))
            .transpose()?,
        exec: args.exec.as_deref(),
        names: &names,
        job: &job,
        n_done: 0,
    };
    let mut printer = args.json.then(|| Printer {
        out: Box::new(stdout()),
        format: Format::Json,
        listening: &job.listening,
        color: false,
        name_width: 0,
        n_written: 0,
    });

    let mut pending: HashMap<PathBuf, (Stamp, Instant)> = HashMap::new();
    let first = known.is_new() && !args.existing;
    let mut n_there = 0_usize;
    for path in songs_in(&folders, &job.stop) {
        n_there += 1;
        if first {
            known.remember(&path)?;
        } else {
            look(&path, &known, &mut pending);
        }
    }
    complain(format_args!(
        "watching {} with {}; {}",
        count(folders.len(), "folder"),
        count(n_there, "file"),
        if first {
            "those that are there stay as they are, --existing takes them, too"
        } else {
            "new and changed ones since the last time come first"
        }
    ));
    let mut scanned = Instant::now();
    while !job.stop.asked() {
        let events = std::mem::take(&mut *told_of.lock().unwrap_or_else(PoisonError::into_inner));
        for path in events {
            if path.is_dir() {
                // A whole folder has come.
                for path in songs_in(std::slice::from_ref(&path), &job.stop) {
                    look(&path, &known, &mut pending);
                }
            } else if is_song(&path, &folders) {
                look(&path, &known, &mut pending);
            }
        }
        if scanned.elapsed() >= rescan {
            for path in songs_in(&folders, &job.stop) {
                look(&path, &known, &mut pending);
            }
            scanned = Instant::now();
        }
        let ready = whole(&mut pending, &mut known, settle)?;
        if ready.is_empty() {
            thread::sleep(PACE);
            continue;
        }
        let files: Arc<[PathBuf]> = ready.into();
        classify_all(&job, &files, args.hear.n_jobs(), |index, outcome| {
            let path = &files[index];
            let mut said = Vec::new();
            match outcome {
                Ok(heard) => {
                    if let Some(printer) = &mut printer {
                        printer.song(path, "", &heard)?;
                    }
                    said = doer.done_with(path, &heard);
                }
                Err(reason) => {
                    complain(format_args!("{reason}"));
                    if let Some(printer) = &mut printer {
                        printer.failure(path, &reason)?;
                    }
                }
            }
            // After the deed: one that was cut short is done again, none is left out.
            known.remember(path).map_err(io::Error::other)?;
            for line in said {
                complain(format_args!("{line}"));
            }
            Ok(())
        })?;
    }
    if let Some(journal) = doer.tag.as_ref().and_then(TagOne::journal) {
        complain(format_args!(
            "to take it back: genrescope tag --undo '{}'",
            name_of(journal)
        ));
    }
    complain(format_args!("stopped after {}", count(doer.n_done, "file")));
    Ok(job.stop.exit_code())
}

/// The songs in `folders`; what cannot be looked into now may be later.
fn songs_in(folders: &[PathBuf], stop: &Stop) -> Vec<PathBuf> {
    find_audio_files(folders.iter().cloned())
        .take_while(|_| !stop.asked())
        .filter_map(Result::ok)
        .collect()
}

/// As the walk over a folder sees it: by its name, and not hidden.
fn is_song(path: &Path, folders: &[PathBuf]) -> bool {
    let below = folders
        .iter()
        .find_map(|folder| path.strip_prefix(folder).ok());
    let hidden = |path: &Path| {
        path.components()
            .any(|part| part.as_os_str().as_encoded_bytes().starts_with(b"."))
    };
    has_audio_extension(path) && below.is_some_and(|below| !hidden(below)) && path.is_file()
}

/// Has the file wait until it is whole, unless it is known as it is.
fn look(path: &Path, known: &Known, pending: &mut HashMap<PathBuf, (Stamp, Instant)>) {
    let Ok(stamp) = Stamp::of(path) else { return };
    if known.has(path, &stamp) {
        return;
    }
    match pending.get(path) {
        Some((waiting, _)) if *waiting == stamp => {}
        _ => {
            pending.insert(path.to_owned(), (stamp, Instant::now()));
        }
    }
}

/// Takes the files out of `pending` that have not changed for `settle` and are not known under
/// another name.
fn whole(
    pending: &mut HashMap<PathBuf, (Stamp, Instant)>,
    known: &mut Known,
    settle: Duration,
) -> anyhow::Result<Vec<PathBuf>> {
    let mut ready = Vec::new();
    let mut gone = Vec::new();
    for (path, (stamp, since)) in pending.iter_mut() {
        if since.elapsed() < settle {
            continue;
        }
        match Stamp::of(path) {
            // A file that is made anew may not have anything in it for a while.
            Ok(now) if now == *stamp && now.len > 0 => ready.push(path.clone()),
            Ok(now) => {
                *stamp = now;
                *since = Instant::now();
            }
            Err(_) => gone.push(path.clone()),
        }
    }
    for path in gone {
        pending.remove(&path);
    }
    ready.sort();
    ready.truncate(BATCH);
    let mut new = Vec::new();
    for path in ready {
        pending.remove(&path);
        // Renamed, or touched: what was done need not be done again.
        if !known.has_content(&path)? {
            new.push(path);
        }
    }
    Ok(new)
}

/// Does what was asked for, and says what came of it.
struct Doer<'a> {
    tag: Option<TagOne>,
    exec: Option<&'a Path>,
    names: &'a Names,
    job: &'a Job,
    n_done: usize,
}

impl Doer<'_> {
    fn done_with(&mut self, path: &Path, heard: &Heard) -> Vec<String> {
        let mut said = Vec::new();
        self.n_done += 1;
        let name = name_of(path);
        let (label, words, confidence) = match self.names.answer(&self.job.listening.model, heard) {
            Answer::Genre {
                label,
                words,
                confidence,
            } => (label, words, confidence),
            Answer::Nothing(why) => {
                said.push(format!("'{name}': {why}"));
                return said;
            }
        };
        if let Some(tag) = &mut self.tag {
            match tag.tag(path, (&label, &words, confidence)) {
                Ok(true) => said.push(format!("'{name}': tagged {}", words.join(", "))),
                Ok(false) => said.push(format!("'{name}': has a genre already")),
                Err(error) => said.push(format!("'{name}': {}", told(&error))),
            }
        }
        if let Some(program) = self.exec {
            let ended = Command::new(program)
                .arg(path)
                .arg(words.join("/"))
                .arg(format!("{confidence:.4}"))
                .stdin(Stdio::null())
                .status();
            match ended {
                Ok(status) if status.success() => {}
                Ok(status) => said.push(format!(
                    "'{}' ended with {status} for '{name}'",
                    name_of(program)
                )),
                Err(error) => said.push(format!(
                    "cannot run '{}' for '{name}': {error}",
                    name_of(program)
                )),
            }
        }
        said
    }
}
