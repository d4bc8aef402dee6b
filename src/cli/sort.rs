//! `genrescope sort`: playlists and crates by genre, for players and DJ programs.

mod formats;

use std::{
    fs,
    io::{BufRead as _, BufReader},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

use self::formats::{Crate, ListedSong, Place};
use super::{
    Context,
    classify::{find, progress_bar, work::classify_all},
    complain,
    hear::{Answer, HearArgs, Names},
    is_stdin, json_lines,
    output_file::{OutputFile, stdout},
    signals::{Again, Stop},
    tag,
    text::{count, name_of},
};
use crate::{answer::path::from_text, network::Model, song::Verdict, source::opening, tags::read};

/// Arguments of `genrescope sort`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  genrescope sort --output ~/Playlists ~/Music
  genrescope sort --as rekordbox,traktor --output ~/DJ ~/Music
  genrescope sort --as serato --root /Volumes/USB --output /Volumes/USB /Volumes/USB/Music
  genrescope classify --output genres.jsonl ~/Music && genrescope sort --from genres.jsonl --output ~/Playlists")]
pub struct SortArgs {
    /// Audio files, and folders to look through.
    #[arg(required_unless_present = "from", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Folder to write into.
    #[arg(long, short, value_name = "FOLDER")]
    output: PathBuf,

    /// What to write; several with commas.
    #[arg(
        long = "as",
        value_enum,
        value_delimiter = ',',
        default_value = "m3u8",
        value_name = "FORMAT"
    )]
    formats: Vec<Format>,

    /// Paths in M3U8 relative to the playlist, so that songs and playlists can move together.
    #[arg(long)]
    relative: bool,

    /// Serato: the drive that the songs lie on, such as /Volumes/USB; its crates name files from
    /// there.
    #[arg(long, value_name = "FOLDER")]
    root: Option<PathBuf>,

    /// Take the answers from a file of 'classify --json' instead of listening.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["paths", "unsure_below", "jobs"])]
    from: Option<PathBuf>,

    /// Replace files that are there.
    #[arg(long)]
    force: bool,

    #[command(flatten)]
    hear: HearArgs,
}

/// What reads it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum Format {
    /// A playlist for each genre: GENRE.m3u8 (Mixxx, foobar2000, VLC, and nearly all others).
    M3u8,
    /// One rekordbox.xml with genres, comments and a playlist for each genre.
    Rekordbox,
    /// One genrescope.nml for Traktor, with a playlist for each genre.
    Traktor,
    /// A crate for each genre in _Serato_/Subcrates.
    Serato,
}

/// Runs `genrescope sort`.
///
/// # Errors
/// When no song has a genre, a file is there that would be written over, or one cannot be written.
pub fn run(args: SortArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signal(Again::Ends)?;
    anyhow::ensure!(
        !args.paths.iter().any(|path| is_stdin(path)),
        "standard input ('-') cannot stand in a playlist; give files"
    );
    let job = args.hear.job(context, stop)?;
    let names = args.hear.names(&job.listening.model)?;
    job.listening.check()?;
    let found_output = fs::metadata(&args.output).is_ok_and(|found| found.is_dir());
    anyhow::ensure!(
        found_output,
        "there is no folder '{}' to write into",
        name_of(&args.output)
    );
    let place = Place {
        folder: fs::canonicalize(&args.output)?,
        relative: args.relative,
        root: args
            .root
            .as_deref()
            .map(fs::canonicalize)
            .transpose()
            .context("the folder of --root is not there")?,
    };
    // What cannot be written is told before an hour of listening, not after it.
    for word in names.all_words() {
        for &format in &args.formats {
            target(&args, format, &place, word)?;
        }
    }

    let mut crates: Vec<Crate> = Vec::new();
    let (mut n_named, mut n_unsure) = (0, 0);
    let mut failed = 0;
    let mut add = |path: &Path, answer: Answer| match answer {
        Answer::Nothing(_) => n_unsure += 1,
        Answer::Genre {
            label,
            words,
            confidence,
        } => {
            n_named += 1;
            let song = ListedSong::new(path, &label, &words, confidence);
            for word in words {
                match crates.iter_mut().find(|known| known.name == word) {
                    Some(known) => known.songs.push(Arc::clone(&song)),
                    None => crates.push(Crate {
                        name: word,
                        songs: vec![Arc::clone(&song)],
                    }),
                }
            }
        }
    };
    if let Some(from) = &args.from {
        for (path, answer) in answers_of(from, &job.listening.model, &names)? {
            if path.exists() {
                add(&path, answer);
            } else {
                failed += 1;
                complain(format_args!("'{}' is not there any more", name_of(&path)));
            }
        }
    } else {
        let found = find(&args.paths, &job.stop);
        failed += found.failed;
        let files: Arc<[PathBuf]> = found.files.into();
        let progress = progress_bar(files.len(), false);
        classify_all(&job, &files, args.hear.n_jobs(), |index, outcome| {
            progress.inc(1);
            match outcome {
                Ok(heard) => add(&files[index], names.answer(&job.listening.model, &heard)),
                Err(reason) => {
                    failed += 1;
                    progress.suspend(|| complain(format_args!("{reason}")));
                }
            }
            Ok(())
        })?;
        progress.finish_and_clear();
    }
    if job.stop.asked() {
        complain(format_args!("stopped; nothing was written"));
        return Ok(job.stop.exit_code());
    }
    crates.sort_by(|a, b| a.name.cmp(&b.name));
    let songs: Vec<PathBuf> = crates
        .iter()
        .flat_map(|one| one.songs.iter().map(|song| song.path.clone()))
        .collect();
    for &format in &args.formats {
        for one in write(&args, format, &place, &crates, &songs)? {
            println_path(&one)?;
        }
    }
    let mut line = format!(
        "{} in {}",
        count(n_named, "song"),
        count(crates.len(), "genre")
    );
    for (n, what) in [(n_unsure, "without a sure genre"), (failed, "failed")] {
        if n > 0 {
            line += &format!(", {n} {what}");
        }
    }
    complain(format_args!("{line}"));
    Ok(if failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn println_path(path: &Path) -> std::io::Result<()> {
    use std::io::Write as _;
    writeln!(stdout(), "{}", name_of(path))
}

/// Where a file goes that is written for `word`, after a look at what is there.
fn target(
    args: &SortArgs,
    format: Format,
    place: &Place,
    word: &str,
) -> anyhow::Result<OutputFile> {
    let file = formats::file_name(word);
    let path = match format {
        Format::M3u8 => place.folder.join(format!("{file}.m3u8")),
        Format::Rekordbox => place.folder.join("rekordbox.xml"),
        Format::Traktor => place.folder.join("genrescope.nml"),
        Format::Serato => {
            let folder = place.folder.join("_Serato_").join("Subcrates");
            fs::create_dir_all(&folder)
                .with_context(|| format!("cannot make folder '{}'", name_of(&folder)))?;
            folder.join(format!("{file}.crate"))
        }
    };
    let output = OutputFile::at(&path)?;
    if !args.force {
        output.must_be_new("--force replaces it")?;
    }
    Ok(output)
}

fn write(
    args: &SortArgs,
    format: Format,
    place: &Place,
    crates: &[Crate],
    songs: &[PathBuf],
) -> anyhow::Result<Vec<PathBuf>> {
    let mut files: Vec<(OutputFile, Vec<u8>)> = Vec::new();
    match format {
        Format::M3u8 | Format::Serato => {
            for one in crates {
                let output = target(args, format, place, &one.name)?;
                let bytes = if format == Format::M3u8 {
                    formats::m3u8(one, place)
                } else {
                    formats::serato(one, place)?
                };
                files.push((output, bytes));
            }
        }
        Format::Rekordbox if !crates.is_empty() => {
            files.push((target(args, format, place, "")?, formats::rekordbox(crates)));
        }
        Format::Traktor if !crates.is_empty() => {
            files.push((target(args, format, place, "")?, formats::traktor(crates)));
        }
        Format::Rekordbox | Format::Traktor => {}
    }
    for (output, bytes) in &files {
        output.must_not_be(songs.iter().map(PathBuf::as_path), "one of the songs")?;
        output.replace(|out| out.write_all(bytes))?;
    }
    Ok(files
        .into_iter()
        .map(|(output, _)| output.path().to_owned())
        .collect())
}

/// Why an answer of `classify --json` names no genre.
fn why_none(answer: &serde_json::Value) -> &'static str {
    let state = answer["state"].as_str();
    let others = [Verdict::NotMusic, Verdict::Silent, Verdict::TooShort];
    let verdict = others.into_iter().find(|v| Some(v.as_str()) == state);
    verdict.unwrap_or(Verdict::Unsure).words()
}

/// The answers of an earlier run of `classify --json`.
fn answers_of(from: &Path, model: &Model, names: &Names) -> anyhow::Result<Vec<(PathBuf, Answer)>> {
    let name = name_of(from);
    let file = opening::open(from).with_context(|| format!("cannot open '{name}'"))?;
    let mut answers = Vec::new();
    for (line, number) in BufReader::new(file).split(b'\n').zip(1..) {
        let line = line.with_context(|| format!("cannot read '{name}'"))?;
        let value = json_lines::message(&line).with_context(|| {
            format!("line {number} of '{name}' is no answer of classify --json")
        })?;
        if value["type"] != "song" {
            continue;
        }
        let path = from_text(value["path"].as_str().unwrap_or_default());
        let answer = match value["genre"].as_str() {
            None => Answer::Nothing(why_none(&value).into()),
            Some(label) => {
                let index = model.labels().index_of(label).with_context(|| {
                    format!("line {number} of '{name}': the model has no genre '{label}'; give the --model it is from")
                })?;
                let confidence = value["confidence"].as_f64().unwrap_or(0.0) as f32;
                names.genre(index, label, confidence)
            }
        };
        answers.push((path, answer));
    }
    Ok(answers)
}

impl ListedSong {
    fn new(path: &Path, label: &str, words: &[String], confidence: f32) -> Arc<Self> {
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
        let about = read::about(&real);
        let ours = tag::comment(label, confidence);
        let comment = match &about.comment {
            Some(theirs) if theirs.contains(tag::COMMENT) => theirs.clone(),
            Some(theirs) if !theirs.trim().is_empty() => format!("{theirs}; {ours}"),
            _ => ours,
        };
        let bytes = fs::metadata(&real).map_or(0, |found| found.len());
        Arc::new(Self {
            path: real,
            genre: words.join(" / "),
            comment,
            bytes,
            about,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_answer_without_a_genre_says_why() {
        for (state, words) in [
            ("unsure", "unsure"),
            ("not_music", "not music"),
            ("silent", "silent"),
            ("too_short", "too short"),
            ("something new", "unsure"),
        ] {
            assert_eq!(why_none(&serde_json::json!({"state": state})), words);
        }
    }
}
