//! `genrescope classify`: the genre of files and folders.

mod output;

use std::{
    collections::{BTreeMap, HashSet},
    fs::OpenOptions,
    io::{self, IsTerminal, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicUsize, Ordering},
    },
    thread,
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use self::output::{Format, Printer};
use super::{Context, complain, parse_share};
use crate::{
    decision::Readout,
    network::Model,
    pipeline::{Pipeline, PipelineConfig},
    song::{Multiframe, Song, SongClassifier, SongScore},
    source::{file::AudioFile, library::find_audio_files},
    units::{SampleRate, Seconds},
};

/// Arguments of `genrescope classify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  genrescope classify song.mp3
  genrescope classify --timeline mix.flac
  genrescope classify --json ~/Music > genres.jsonl
  genrescope classify --csv --output genres.csv --resume ~/Music")]
pub struct ClassifyArgs {
    /// Audio files, or folders to look through: wav, aiff, flac, mp3, ogg, opus, m4a.
    #[arg(required = true, value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// One JSON object a line.
    #[arg(long, conflicts_with = "csv")]
    json: bool,

    /// Comma-separated values, with a header line.
    #[arg(long)]
    csv: bool,

    /// Show what was heard when.
    #[arg(long, conflicts_with = "csv")]
    timeline: bool,

    /// Show the scores of every frame.
    #[arg(long, conflicts_with = "csv")]
    frames: bool,

    /// How the scores of the frames become the song's.
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    average: Average,

    /// Seconds to leave out at both ends of a song; shorter songs are used whole.
    #[arg(
        long,
        default_value_t = 20.0,
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    skip: f64,

    /// Seconds from the start of one frame to the start of the next.
    #[arg(
        long,
        default_value_t = 29.12,
        value_name = "SECONDS",
        allow_negative_numbers = true
    )]
    hop: f64,

    /// Best score below which the answer is "unsure", 0 to 1; 0 always names a genre. Default: the model's.
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    unsure_below: Option<f32>,

    /// Files looked at side by side. Default: one for each processor.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Write to FILE instead of standard output.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the output file if it exists.
    #[arg(long, requires = "output", conflicts_with = "resume")]
    force: bool,

    /// Go on with the output file of an earlier run (with --json or --csv): files that it holds are left out.
    #[arg(long, requires = "output")]
    resume: bool,
}

/// How the scores of the frames become the song's.
#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Average {
    /// Their mean, as in the paper.
    #[default]
    Mean,
    /// Their normalised product: one confident "no" weighs more.
    Geometric,
    /// The genre that wins most frames.
    Vote,
}

/// What was heard in one file.
#[derive(Debug)]
struct Heard {
    song: Song,
    timeline: Vec<Readout>,
    /// What a listener should know of the file: it breaks off, or parts of it could not be decoded.
    notes: Vec<String>,
}

type Outcome = Result<Heard, String>;

/// Settings of one run, after the arguments were checked.
struct Job {
    model: Arc<Model>,
    rule: Multiframe,
    unsure_below: Option<f32>,
    timeline: bool,
    stop: Arc<AtomicBool>,
}

/// Runs `genrescope classify`.
///
/// # Errors
/// When no file is found, the model cannot be loaded or the output cannot be written. Files that cannot be
/// read are reported, counted, and told by exit code 1.
pub fn run(args: ClassifyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => Format::Table,
    };
    anyhow::ensure!(
        !args.resume || format != Format::Table,
        "--resume needs --json or --csv, which can be read back"
    );
    let job = Job {
        model: context.load_model()?,
        rule: Multiframe {
            skip: Seconds(args.skip),
            hop: Seconds(args.hop),
            score: match args.average {
                Average::Mean => SongScore::Mean,
                Average::Geometric => SongScore::Geometric,
                Average::Vote => SongScore::Vote,
            },
        },
        unsure_below: args.unsure_below,
        timeline: args.timeline,
        stop: Arc::new(AtomicBool::new(false)),
    };
    // Settings are refused once, here, not once for every file.
    SongClassifier::new(&job.model, SampleRate::MIN, job.rule)?;

    let done = match &args.output {
        Some(path) if args.resume => output::paths_in(path, format, &job.model)?,
        _ => HashSet::new(),
    };
    let mut files = Vec::new();
    let mut failed = 0_usize;
    for path in &args.paths {
        let mut found = 0_usize;
        for file in find_audio_files([path]) {
            found += 1;
            match file {
                Ok(file) => files.push(file),
                Err(error) => {
                    failed += 1;
                    complain(format_args!("{:#}", anyhow::Error::new(error)));
                }
            }
        }
        if found == 0 {
            failed += 1;
            complain(format_args!(
                "'{}': no audio files here ({})",
                path.display(),
                crate::source::library::EXTENSIONS.join(", ")
            ));
        }
    }
    let unreadable = failed;
    let n_found = files.len();
    files.retain(|file| !done.contains(&file.display().to_string()));
    let n_skipped = n_found - files.len();

    let begun = |path: &PathBuf| path.metadata().is_ok_and(|found| found.len() > 0);
    let fresh = !args.resume || !args.output.as_ref().is_some_and(begun);
    let out = open_output(&args)?;
    let to_terminal = args.output.is_none() && io::stdout().is_terminal();
    let mut printer = Printer {
        out,
        format,
        model: &job.model,
        color: context.color && args.output.is_none(),
        show_frames: args.frames,
        show_timeline: args.timeline,
        name_width: output::name_width(&files),
    };
    if fresh {
        printer.header()?;
    }
    let stop = Arc::clone(&job.stop);
    // Fails only when a handler is set already, and then someone else ends the process.
    let _ = ctrlc::set_handler(move || {
        if stop.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
    });
    let progress = progress_bar(files.len(), to_terminal);
    let jobs = args.jobs.map_or_else(
        || thread::available_parallelism().map_or(1, std::num::NonZero::get),
        usize::from,
    );
    let mut finished = 0_usize;
    classify_all(&job, &files, jobs, |index, outcome| {
        finished += 1;
        progress.inc(1);
        let path = &files[index];
        match outcome {
            Ok(heard) => progress.suspend(|| printer.song(path, &heard)),
            Err(reason) => {
                failed += 1;
                progress.suspend(|| {
                    complain(format_args!("{reason}"));
                    printer.failure(path, &reason)
                })
            }
        }
    })?;
    progress.finish_and_clear();
    printer.out.flush()?;

    let interrupted = job.stop.load(Ordering::Relaxed);
    if interrupted {
        let hint = if args.output.is_some() {
            "; --resume goes on from here"
        } else {
            ""
        };
        complain(format_args!(
            "stopped after {finished} of {} files{hint}",
            files.len()
        ));
    }
    if n_skipped > 0 {
        complain(format_args!(
            "{n_skipped} of {n_found} files were in the output file already"
        ));
    }
    let asked = finished + unreadable;
    if failed > 0 && asked > 1 {
        complain(format_args!("{failed} of {asked} files could not be read"));
    }
    Ok(match (interrupted, failed) {
        (true, _) => ExitCode::from(130),
        (_, 0) => ExitCode::SUCCESS,
        (..) => ExitCode::from(1),
    })
}

fn open_output(args: &ClassifyArgs) -> anyhow::Result<Box<dyn Write>> {
    let Some(path) = &args.output else {
        return Ok(Box::new(io::stdout().lock()));
    };
    let mut options = OpenOptions::new();
    if args.resume {
        options.append(true).create(true);
    } else if args.force {
        options.write(true).create(true).truncate(true);
    } else {
        options.write(true).create_new(true);
    }
    // A run that was killed may have left half a line; what is written now begins on a line of its own.
    let torn = args.resume
        && std::fs::read(path).is_ok_and(|text| text.last().is_some_and(|&byte| byte != b'\n'));
    let mut file = options.open(path).map_err(|error| {
        let path = path.display();
        if error.kind() == io::ErrorKind::AlreadyExists {
            anyhow::anyhow!("'{path}' exists; --force replaces it, --resume goes on with it")
        } else {
            anyhow::Error::new(error).context(format!("cannot write '{path}'"))
        }
    })?;
    if torn {
        file.write_all(b"\n")?;
    }
    Ok(Box::new(file))
}

/// A bar on standard error where someone can see it.
fn progress_bar(n_files: usize, answers_on_terminal: bool) -> ProgressBar {
    if n_files < 2 || !io::stderr().is_terminal() || answers_on_terminal && n_files < 8 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {elapsed} ({eta} left)")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(n_files as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}

/// Looks at all files on `jobs` threads and hands on the outcomes in the order of the files.
fn classify_all(
    job: &Job,
    files: &[PathBuf],
    jobs: usize,
    mut on_outcome: impl FnMut(usize, Outcome) -> io::Result<()>,
) -> io::Result<()> {
    let next = AtomicUsize::new(0);
    thread::scope(|scope| {
        // The bound keeps a slow reader of our output from piling up results.
        let (sender, receiver) = crossbeam_channel::bounded(2 * jobs);
        for _ in 0..jobs.min(files.len()) {
            let (sender, next) = (sender.clone(), &next);
            scope.spawn(move || {
                while !job.stop.load(Ordering::Relaxed) {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(path) = files.get(index) else { break };
                    if let Some(outcome) = classify_file(job, path)
                        && sender.send((index, outcome)).is_err()
                    {
                        break;
                    }
                }
            });
        }
        drop(sender);
        let mut waiting = BTreeMap::new();
        let mut turn = 0;
        while let Ok((index, outcome)) = receiver.recv() {
            waiting.insert(index, outcome);
            while let Some(outcome) = waiting.remove(&turn) {
                if let Err(error) = on_outcome(turn, outcome) {
                    // Nobody reads any more: let the threads find the channel closed.
                    job.stop.store(true, Ordering::Relaxed);
                    drop(receiver);
                    return Err(error);
                }
                turn += 1;
            }
        }
        // After an interruption there are holes; what was done behind them still counts.
        for (index, outcome) in waiting {
            on_outcome(index, outcome)?;
        }
        Ok(())
    })
}

/// `None` when it was interrupted.
fn classify_file(job: &Job, path: &Path) -> Option<Outcome> {
    let heard = hear_file(job, path);
    match heard {
        Ok(None) => None,
        Ok(Some(heard)) => Some(Ok(heard)),
        Err(error) => {
            let text = format!("{error:#}");
            let name = path.display().to_string();
            Some(Err(if text.contains(&name) {
                text
            } else {
                format!("'{name}': {text}")
            }))
        }
    }
}

fn hear_file(job: &Job, path: &Path) -> anyhow::Result<Option<Heard>> {
    let mut file = AudioFile::open(path)?;
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
        stopped = job.stop.load(Ordering::Relaxed);
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
