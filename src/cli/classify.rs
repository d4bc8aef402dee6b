//! `genrescope classify`: the genre of files and folders.

pub(in crate::cli) mod output;
mod resume;
pub(in crate::cli) mod work;

use std::{
    ffi::OsStr,
    io::{self, IsTerminal, Write},
    num::NonZeroUsize,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use clap::{Args, ValueEnum};
use indicatif::{ProgressBar, ProgressStyle};

use self::{
    output::{Format, Printer},
    resume::{Earlier, key_of},
    work::{Job, classify_all},
};
use super::{
    Context, complain, is_stdin, n_jobs,
    output_file::{OutputFile, stdout},
    parse_share,
    signals::{Again, Stop},
    text::count,
};
use crate::{
    answer::Listening,
    song::{Multiframe, SongScore},
    source::{
        library::{EXTENSIONS, Finder, Shard},
        model_file::built_in,
    },
    units::Seconds,
};

/// Arguments of `genrescope classify`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  genrescope classify song.mp3
  genrescope classify --timeline mix.flac
  genrescope classify --json ~/Music > genres.jsonl
  genrescope classify --csv --output genres.csv --resume ~/Music
  genrescope classify --shard 3/8 --output part-3.jsonl --resume /mnt/music")]
pub struct ClassifyArgs {
    #[arg(required = true, value_name = "PATH", help = format!(
        "Audio files, folders to look through ({}), or '-' for standard input",
        EXTENSIONS.join(", ")
    ))]
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
    show_frames: bool,

    /// Hear only so many frames of 29.12 s of each song, evenly spaced, and decode nothing else of
    /// it: faster, and right nearly as often.
    #[arg(long, value_name = "N", conflicts_with_all = ["timeline", "hop"], value_parser = clap::value_parser!(u16).range(1..=1_000))]
    frames: Option<u16>,

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

    /// Best score below which the answer is "unsure", 0 to 1; at 0, all music gets a genre (what is
    /// no music, silent or too short never does). Default: the model's.
    #[arg(long, value_name = "SCORE", value_parser = parse_share)]
    unsure_below: Option<f32>,

    /// Files looked at side by side. Default: one for each processor.
    #[arg(long, short, value_name = "N", value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,

    /// Only a part of the files: 3/8 is the third of eight. They are dealt out in their order, so
    /// that the parts of the same PATHs hold every file once.
    #[arg(long, value_name = "NUMBER/OF")]
    shard: Option<Shard>,

    /// Write to FILE instead of standard output: as CSV or JSON lines, if its name ends in .csv,
    /// .json or .jsonl.
    #[arg(long, short, value_name = "FILE")]
    output: Option<PathBuf>,

    /// Replace the output file if it exists.
    #[arg(long, requires = "output", conflicts_with = "resume")]
    force: bool,

    /// Go on with the output file of an earlier run (with --json or --csv): files that it holds are
    /// left out.
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
    /// The mean of what the nearest neighbours of each frame are, among frames of known songs in
    /// the model file.
    Knn,
}

impl From<Average> for SongScore {
    fn from(average: Average) -> Self {
        match average {
            Average::Mean => Self::Mean,
            Average::Geometric => Self::Geometric,
            Average::Vote => Self::Vote,
            Average::Knn => Self::Neighbours,
        }
    }
}

/// Runs `genrescope classify`.
///
/// # Errors
/// When no file is found, the model cannot be loaded or the output cannot be written. Files that
/// cannot be read are reported, counted, and told by exit code 1.
pub fn run(args: ClassifyArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let format = match (args.json, args.csv) {
        (true, _) => Format::Json,
        (_, true) => Format::Csv,
        _ => args.output.as_deref().map_or(Format::Table, named_format),
    };
    anyhow::ensure!(
        format != Format::Csv || !args.timeline && !args.show_frames,
        "--timeline and --show-frames do not fit into CSV; give --json, or an --output that does not end in .csv"
    );
    anyhow::ensure!(
        !args.resume || format != Format::Table,
        "--resume needs --json or --csv, which can be read back, or an --output that ends in .jsonl or .csv"
    );
    anyhow::ensure!(
        !args.resume || !args.paths.iter().any(|path| is_stdin(path)),
        "--resume cannot go on with standard input ('-')"
    );
    let output = args.output.as_deref().map(OutputFile::at).transpose()?;
    if let (Some(output), false) = (&output, args.force || args.resume) {
        output.must_be_new("--force replaces it, --resume goes on with it")?;
    }
    let job = Job {
        listening: Arc::new(Listening {
            model: context.load_model()?,
            rule: Multiframe {
                skip: Seconds(args.skip),
                hop: Seconds(args.hop),
                score: args.average.into(),
                frames: args.frames.and_then(|n| NonZeroUsize::new(n.into())),
            },
            unsure_below: args.unsure_below,
            timeline: args.timeline,
            frames: args.show_frames,
            embeddings: false,
        }),
        stop: Stop::on_signal(Again::Ends)?,
    };
    let (listening, model) = (&job.listening, &job.listening.model);
    listening.check()?;

    let earlier = match &output {
        Some(output) if args.resume => Earlier::read(output, format, model, &listening.options())?,
        _ => Earlier::default(),
    };
    let mut found = find(&args.paths, &job.stop);
    if job.stop.asked() {
        return Ok(job.stop.exit_code());
    }
    if let Some(output) = &output {
        let inputs = found.files.iter().map(PathBuf::as_path);
        output.must_not_be(inputs, "one of the files to listen to")?;
        let model = context.model.as_deref();
        let model = model.filter(|model| built_in(model).is_none());
        output.must_not_be(model, "the model to listen with")?;
        // A folder that was misspelt must not cost the answers of another day.
        if found.files.is_empty() {
            return Ok(ExitCode::from(1));
        }
    }
    if let Some(shard) = args.shard {
        let n_all = found.files.len();
        shard.keep(&mut found.files);
        if found.files.is_empty() && n_all > 0 {
            let all = count(n_all, "file");
            complain(format_args!("shard {shard} holds none of {all}"));
            return Ok(ExitCode::SUCCESS);
        }
    }
    let answered = earlier.answered();
    let n_found = found.files.len();
    found
        .files
        .retain(|file| !answered.contains(key_of(file).as_path()));
    let files: Arc<[PathBuf]> = found.files.into();
    let n_skipped = n_found - files.len();
    let unreadable = found.failed;
    let mut failed = unreadable;

    let out = open_output(output.as_ref(), args.resume.then_some(&earlier), &files)?;
    let fresh = earlier.is_empty();
    drop(earlier);
    let to_terminal = args.output.is_none() && io::stdout().is_terminal();
    let names = output::shown_names(&files);
    let mut printer = Printer {
        out,
        format,
        listening,
        color: context.color && args.output.is_none(),
        name_width: output::name_width(&names, to_terminal),
        n_written: 0,
    };
    let progress = progress_bar(files.len(), to_terminal);
    let jobs = n_jobs(args.jobs);
    let mut finished = 0_usize;
    let header = if fresh { printer.header() } else { Ok(()) };
    let listened = header.and_then(|()| {
        classify_all(&job, &files, jobs, |index, outcome| {
            finished += 1;
            progress.inc(1);
            let path = &files[index];
            match outcome {
                Ok(heard) => progress.suspend(|| printer.song(path, &names[index], &heard)),
                Err(reason) => {
                    failed += 1;
                    progress.suspend(|| {
                        complain(format_args!("{reason}"));
                        printer.failure(path, &reason)
                    })
                }
            }
        })
    });
    progress.finish_and_clear();
    let written = listened.and_then(|()| printer.out.flush());
    let n_written = printer.n_written;
    drop(printer);
    if let (Some(output), true) = (
        &output,
        fresh && n_written == 0 || written.is_err() && n_written < 2,
    ) {
        output.undo();
    }
    written?;

    let interrupted = job.stop.asked();
    if interrupted {
        let hint = if args.output.is_some() && format != Format::Table {
            "; --resume goes on from here"
        } else {
            ""
        };
        complain(format_args!(
            "stopped after {finished} of {}{hint}",
            count(files.len(), "file")
        ));
    }
    match (n_skipped, n_found) {
        (0, _) => {}
        (1, 1) => complain(format_args!("the file was in the output file already")),
        _ => complain(format_args!(
            "{n_skipped} of {n_found} files were in the output file already"
        )),
    }
    let asked = finished + unreadable;
    if failed > 0 && asked > 1 {
        complain(format_args!("{failed} of {asked} files could not be read"));
    }
    Ok(match (interrupted, failed) {
        (true, _) => job.stop.exit_code(),
        (_, 0) => ExitCode::SUCCESS,
        (..) => ExitCode::from(1),
    })
}

/// What the name of an output file asks for.
fn named_format(path: &Path) -> Format {
    let extension = path.extension().map(OsStr::to_ascii_lowercase);
    match extension.as_deref().and_then(OsStr::to_str) {
        Some("csv") => Format::Csv,
        Some("json" | "jsonl" | "ndjson") => Format::Json,
        _ => Format::Table,
    }
}

/// Where the answers go; behind those of `earlier`, where there are any.
fn open_output(
    output: Option<&OutputFile>,
    earlier: Option<&Earlier>,
    files: &[PathBuf],
) -> anyhow::Result<Box<dyn Write>> {
    let Some(output) = output else {
        return Ok(Box::new(stdout()));
    };
    // Written as the answers come, not beside the old file: a run that is killed leaves what it has
    // for --resume.
    let Some(earlier) = earlier else {
        return Ok(Box::new(output.begin()?));
    };
    let again = files.iter().map(|file| key_of(file)).collect();
    if earlier.tidy(output, &again)? {
        complain(format_args!(
            "the last line of '{}' was cut off; what it was about is looked at again",
            output.path().display()
        ));
    }
    Ok(Box::new(output.go_on()?))
}

/// What there is to listen to.
pub(in crate::cli) struct Found {
    /// Each file once, by the first of its names.
    pub(in crate::cli) files: Vec<PathBuf>,
    /// What was named but cannot be had.
    pub(in crate::cli) failed: usize,
}

pub(in crate::cli) fn find(paths: &[PathBuf], stop: &Stop) -> Found {
    let (mut finder, mut failed) = (Finder::default(), 0);
    for path in paths {
        if is_stdin(path) {
            finder.take(path);
            continue;
        }
        finder.look(
            path,
            || !stop.asked(),
            |problem| {
                failed += 1;
                complain(format_args!("{problem}"));
            },
        );
    }
    if let Some(message) = finder.other_formats().message() {
        complain(format_args!("{message}"));
    }
    Found {
        files: finder.files,
        failed,
    }
}

/// A bar on standard error where someone can see it.
pub(in crate::cli) fn progress_bar(n_files: usize, answers_on_terminal: bool) -> ProgressBar {
    if n_files < 2 || !io::stderr().is_terminal() || answers_on_terminal && n_files < 8 {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} files  {elapsed} ({eta} left)")
        .unwrap_or_else(|_| ProgressStyle::default_bar());
    let bar = ProgressBar::new(n_files as u64).with_style(style);
    bar.enable_steady_tick(Duration::from_millis(250));
    bar
}
