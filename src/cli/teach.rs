//! `genrescope teach`: your own crates in a minute.

use std::{
    collections::{BTreeMap, HashSet},
    io::Write,
    path::{Path, PathBuf},
    process::ExitCode,
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    thread,
};

use anyhow::Context as _;
use clap::Args;
use indicatif::ProgressBar;
use sha2::{Digest as _, Sha256};

use super::{Context, complain, output_file::OutputFile, read_model_file, text};
use crate::{
    genre::Labels,
    network::{Bundle, Model, bundle::Accuracy},
    song::{Multiframe, SongClassifier},
    source::{
        file::AudioFile,
        library::{OtherFormats, find_audio_files},
    },
    statistics::wilson,
    teach::{CrossValidation, Example, cross_validate, fit_head, with_head},
};

/// Arguments of `genrescope teach`.
#[derive(Debug, Args)]
#[command(after_help = "A folder with one folder per genre, a few songs in each:
  crates/warmup/*.mp3  crates/peak/*.mp3  crates/afterhours/*.mp3
  genrescope teach crates --output my-crates.safetensors
  genrescope listen --model my-crates.safetensors")]
pub struct TeachArgs {
    /// A folder that holds one folder per genre; their names become the labels.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// What the model calls itself. Default: the folder's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Replace the output file if it exists.
    #[arg(long)]
    force: bool,
}

/// One song to learn from.
struct Lesson {
    path: PathBuf,
    label: usize,
}

/// Fewest songs of a label.
const FEWEST_SONGS: usize = 3;

/// Frames of one song that are looked at, spread over it: more tell little more and take long.
const FRAMES_PER_SONG: usize = 6;

const FOLDS: usize = 5;

/// Runs `genrescope teach`.
///
/// # Errors
/// When the folder holds fewer than two labels or too few songs, when the model has no embedding to teach on, or
/// when the output exists or cannot be written. Songs that cannot be read are reported and left out.
pub fn run(args: TeachArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let output = OutputFile::at(&args.output)?;
    if !args.force {
        output.must_be_new("--force replaces it")?;
    }
    let base = match &context.model {
        Some(path) => context.named_by_config(read_model_file(path, Bundle::read))?,
        None => Bundle::builtin(),
    };
    let model = Model::from_bundle(&base)?;
    let (labels, lessons) = lessons(&args.folder)?;
    let songs = lessons.iter().map(|lesson| lesson.path.as_path());
    output.must_not_be(songs, "one of the songs to learn from")?;
    let (examples, failed) = listen_to(&model, &lessons, &labels);
    let mut counts = vec![0_usize; labels.len()];
    let mut last = None;
    for example in &examples {
        if last.replace(example.song) != Some(example.song) {
            counts[example.label] += 1;
        }
    }
    for (label, &count) in labels.iter().zip(&counts) {
        anyhow::ensure!(
            count >= FEWEST_SONGS,
            "'{label}' has {} that can be used; at least {FEWEST_SONGS} are needed",
            text::count(count, "song")
        );
    }

    let validation = cross_validate(&examples, &labels, FOLDS)?;
    let head = fit_head(&examples, labels.len())?;
    let mut taught = with_head(&base, &head, labels.clone())?;
    describe(&mut taught, &args, &base, &labels, &counts, &validation);
    let bytes = taught.quantised().write()?;
    // What was written is read back before it counts as written.
    Model::from_bytes(&bytes)?;
    output.replace(|out| out.write_all(&bytes))?;
    report(&labels, &counts, &validation, &args.output)?;
    Ok(if failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

fn lessons(folder: &Path) -> anyhow::Result<(Labels, Vec<Lesson>)> {
    let entries =
        std::fs::read_dir(folder).with_context(|| format!("cannot read '{}'", folder.display()))?;
    let mut folders: Vec<(String, PathBuf)> = Vec::new();
    for entry in entries {
        let path = entry?.path();
        let name = path
            .file_name()
            .map(|name| name.to_string_lossy().into_owned())
            .unwrap_or_default();
        if path.is_dir() && !name.starts_with('.') {
            folders.push((name, path));
        }
    }
    folders.sort();
    anyhow::ensure!(
        folders.len() >= 2,
        "'{}' holds {}; teaching takes one for each genre, two or more",
        folder.display(),
        text::count(folders.len(), "folder")
    );
    let labels = Labels::new(folders.iter().map(|(name, _)| name))?;
    let mut lessons = Vec::new();
    let mut other = OtherFormats::default();
    for (label, (_, folder)) in folders.iter().enumerate() {
        let mut walk = find_audio_files([folder]);
        for file in walk.by_ref() {
            match file {
                Ok(path) => lessons.push(Lesson { path, label }),
                Err(error) => complain(format_args!("left out: {}", text::told(&error.into()))),
            }
        }
        other.add(walk.other_formats());
    }
    if let Some(message) = other.message() {
        complain(format_args!("{message}"));
    }
    Ok((labels, lessons))
}

/// Embeddings of the frames of all songs, in the order of the songs, and how many songs could not be read.
fn listen_to(model: &Arc<Model>, lessons: &[Lesson], labels: &Labels) -> (Vec<Example>, usize) {
    let bar = ProgressBar::new(lessons.len() as u64);
    let jobs = thread::available_parallelism().map_or(1, std::num::NonZero::get);
    let next = AtomicUsize::new(0);
    let (sender, receiver) = crossbeam_channel::unbounded();
    thread::scope(|scope| {
        for _ in 0..jobs {
            let (sender, next, bar) = (sender.clone(), &next, &bar);
            scope.spawn(move || {
                loop {
                    let song = next.fetch_add(1, Ordering::Relaxed);
                    let Some(lesson) = lessons.get(song) else {
                        break;
                    };
                    let heard = hear(model, &lesson.path);
                    bar.inc(1);
                    // The receiver outlives this scope.
                    let _ = sender.send((song, heard));
                }
            });
        }
    });
    drop(sender);
    bar.finish_and_clear();
    let mut heard: Vec<_> = receiver.iter().collect();
    heard.sort_by_key(|(song, _)| *song);
    let mut songs = Vec::new();
    let mut failed = 0;
    for (song, lesson) in heard {
        match lesson {
            Ok(lesson) => songs.push((song, lesson)),
            Err(error) => {
                failed += 1;
                complain(format_args!("left out: {}", text::told(&error)));
            }
        }
    }
    failed += leave_out_copies(&mut songs, lessons, labels);
    let examples = songs.into_iter().flat_map(|(song, heard)| {
        heard.embeddings.into_iter().map(move |embedding| Example {
            embedding,
            label: lessons[song].label,
            song,
        })
    });
    (examples.collect(), failed)
}

/// Leaves one of the copies of a song under one label, as ten copies are no more evidence than one, and none of a song under two labels: it can
/// teach neither. How many songs were left out for the second reason?
fn leave_out_copies(songs: &mut Vec<(usize, Heard)>, lessons: &[Lesson], labels: &Labels) -> usize {
    let mut copies: BTreeMap<[u8; 32], Vec<usize>> = BTreeMap::new();
    for (song, heard) in songs.iter() {
        copies.entry(heard.content).or_default().push(*song);
    }
    let mut unfit: HashSet<usize> = HashSet::new();
    let mut in_two_crates = 0;
    let mut groups: Vec<Vec<usize>> = copies
        .into_values()
        .filter(|group| group.len() > 1)
        .collect();
    groups.sort();
    for group in groups {
        let name = |song: usize| format!("'{}'", lessons[song].path.display());
        let label = |song: usize| labels.get(lessons[song].label).unwrap_or_default();
        let first = group[0];
        let other = group
            .iter()
            .find(|&&song| lessons[song].label != lessons[first].label);
        if let Some(&other) = other {
            complain(format_args!(
                "left out: {} and {} are the same recording, as '{}' and as '{}'; keep it in one of the folders",
                name(first),
                name(other),
                label(first),
                label(other)
            ));
            in_two_crates += group.len();
            unfit.extend(group);
        } else {
            for &song in &group[1..] {
                complain(format_args!(
                    "{} is a copy of {}; it counts once",
                    name(song),
                    name(first)
                ));
            }
            unfit.extend(&group[1..]);
        }
    }
    songs.retain(|(song, _)| !unfit.contains(song));
    in_two_crates
}

/// What a song has to teach.
struct Heard {
    embeddings: Vec<Vec<f32>>,
    /// SHA-256 of its samples: the same for copies, however they are called and tagged.
    content: [u8; 32],
}

fn hear(model: &Arc<Model>, path: &Path) -> anyhow::Result<Heard> {
    let mut file = AudioFile::open(path)?;
    let mut song =
        SongClassifier::new(model, file.rate(), Multiframe::default())?.keep_embeddings();
    let mut content = Sha256::new();
    for remark in file.read(|mono| {
        song.push(mono);
        for sample in mono {
            content.update(sample.to_le_bytes());
        }
        true
    })? {
        complain(format_args!("'{}': {remark}", path.display()));
    }
    let frames = song.finish().frames;
    anyhow::ensure!(
        !frames.is_empty(),
        "'{}' is too short to learn from",
        path.display()
    );
    let n = frames.len().min(FRAMES_PER_SONG);
    // Spread over the song.
    let chosen = (0..n).map(|i| (2 * i + 1) * frames.len() / (2 * n));
    Ok(Heard {
        embeddings: chosen.map(|i| frames[i].embedding.clone()).collect(),
        content: content.finalize().into(),
    })
}

fn describe(
    taught: &mut Bundle,
    args: &TeachArgs,
    base: &Bundle,
    labels: &Labels,
    counts: &[usize],
    validation: &CrossValidation,
) {
    let folder = args
        .folder
        .file_name()
        .map(|name| name.to_string_lossy().into_owned());
    let card = &mut taught.card;
    let crates: Vec<String> = labels
        .iter()
        .zip(counts)
        .map(|(label, count)| format!("{label} ({count})"))
        .collect();
    card.name = args
        .name
        .clone()
        .or(folder)
        .unwrap_or_else(|| "taught".into());
    card.data = format!(
        "Songs by label: {}. Below it: {}",
        crates.join(", "),
        base.card.data
    );
    card.recipe = format!(
        "genrescope teach: softmax layer on the embeddings of {}; up to {FRAMES_PER_SONG} frames a song, L2 penalty, \
         labels weighted alike. Below it: {}",
        base.card.name, base.card.recipe
    );
    card.decision.temperature = validation.temperature;
    // Those belong to the head that is replaced.
    card.decision.temperatures.clear();
    // Measured with that head, too.
    card.decision.more.clear();
    // Half-way between chance and certainty says little with two labels and much with twenty.
    card.decision.unsure_threshold = (2.5 / labels.len() as f32).clamp(0.2, 0.6);
    let (low, high) = wilson(u64::from(validation.right), u64::from(validation.songs));
    card.accuracies = vec![Accuracy {
        what: "songs, by the mean of their frames' scores".into(),
        data: "the songs it was taught".into(),
        split: format!("{FOLDS} folds by song"),
        n: u64::from(validation.songs),
        value: f64::from(validation.right) / f64::from(validation.songs.max(1)),
        low,
        high,
    }];
}

fn report(
    labels: &Labels,
    counts: &[usize],
    validation: &CrossValidation,
    output: &Path,
) -> anyhow::Result<()> {
    let mut out = std::io::stdout().lock();
    let names: Vec<_> = labels.iter().map(text::plain).collect();
    let width = names
        .iter()
        .map(|name| text::width(name))
        .max()
        .unwrap_or(0);
    for ((name, count), (right, songs)) in names.iter().zip(counts).zip(&validation.by_label) {
        writeln!(
            out,
            "  {}  {count:>4} songs  {right:>4} of {songs} named right when left out",
            text::pad(name, width)
        )?;
    }
    let (low, high) = wilson(u64::from(validation.right), u64::from(validation.songs));
    writeln!(
        out,
        "{} of {} songs named right when left out ({:.0} %, 95 % interval {:.0} to {:.0} %)",
        validation.right,
        validation.songs,
        100.0 * f64::from(validation.right) / f64::from(validation.songs.max(1)),
        100.0 * low,
        100.0 * high
    )?;
    writeln!(
        out,
        "wrote {}; use it with --model {0}",
        text::name_of(output)
    )?;
    Ok(())
}
