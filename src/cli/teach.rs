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

use super::{
    Context, complain, n_jobs,
    output_file::{OutputFile, stdout},
    text,
};
use crate::{
    decision::FRAME,
    genre::Labels,
    network::{Bundle, Model, bundle::Accuracy},
    song::{Multiframe, SongClassifier},
    source::{
        file::{AudioFile, tags::artist},
        library::{OtherFormats, find_audio_files},
        model_file,
    },
    statistics::wilson,
    teach::{CrossValidation, Lesson, TeachError, cross_validate, fit_head, with_head},
    units::SampleRate,
};

/// Arguments of `genrescope teach`.
#[derive(Debug, Args)]
#[command(after_help = "A folder with one folder per genre, a few songs in each:
  crates/warmup/*.mp3  crates/peak/*.mp3  crates/afterhours/*.mp3
  genrescope teach crates --output my-crates.safetensors
  genrescope listen --model my-crates.safetensors

Songs of one artist sound alike: a test with some of them on both sides flatters. By default artists
are kept together where the songs' tags name them; with a folder for each artist below the genre's,
--hold-out folder does the same without tags.")]
pub struct TeachArgs {
    /// A folder that holds one folder per genre; their names become the labels.
    #[arg(value_name = "FOLDER")]
    folder: PathBuf,

    /// The model file to write.
    #[arg(long, short, value_name = "FILE")]
    output: PathBuf,

    /// What is kept together when songs are left out to see whether they would be named right:
    /// artist (by the files' tags), folder (the one that a song lies in, below the genre's) or song
    /// [default: artist, where every genre has songs of two or more].
    #[arg(long, value_enum, value_name = "WHAT")]
    hold_out: Option<HoldOut>,

    /// A folder of songs that are none of the genres: they teach when to say so ("unsure"). Without
    /// it, each genre in turn is one that the others know nothing of.
    #[arg(long, value_name = "FOLDER")]
    none: Option<PathBuf>,

    /// What the model calls itself. Default: the folder's name.
    #[arg(long, value_name = "NAME")]
    name: Option<String>,

    /// Replace the output file if it exists.
    #[arg(long)]
    force: bool,
}

/// What stays together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum HoldOut {
    /// Songs of one artist, by their tags; a song without one stands alone.
    Artist,
    /// Songs of one folder below the genre's; a song that lies in the genre's own stands alone.
    Folder,
    /// Every song stands alone.
    Song,
}

impl HoldOut {
    /// In a sentence: what songs were held out by.
    const fn as_str(self) -> &'static str {
        match self {
            Self::Artist => "artist",
            Self::Folder => "folder",
            Self::Song => "song",
        }
    }
}

/// A file with a song to learn from.
struct File {
    path: PathBuf,
    label: usize,
    /// The genre's folder.
    folder: PathBuf,
}

/// Seconds of a song's beginning that temperatures are fitted at, beside whole frames.
const BEGINNINGS: [f64; 3] = [3.0, 5.0, 10.0];

/// Fewest songs of a label.
const FEWEST_SONGS: usize = 3;

/// Frames of one song that are looked at, spread over it: more tell little more and take long.
const FRAMES_PER_SONG: usize = 6;

const FOLDS: usize = 5;

/// Runs `genrescope teach`.
///
/// # Errors
/// When the folder holds fewer than two labels or too few songs, when the model has no embedding to
/// teach on, or when the output exists or cannot be written. Songs that cannot be read are reported
/// and left out.
pub fn run(args: TeachArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let output = OutputFile::at(&args.output)?;
    if !args.force {
        output.must_be_new("--force replaces it")?;
    }
    let base = match &context.model {
        Some(path) => context.named_by_config(model_file::read(path, Bundle::read))?,
        None => Bundle::builtin(),
    };
    let model = Model::from_bundle(&base)?;
    let (labels, files) = files(&args.folder)?;
    let strange = args.none.as_deref().map(strangers).transpose()?;
    let strange = strange.unwrap_or_default();
    let songs = files.iter().chain(&strange).map(|file| file.path.as_path());
    output.must_not_be(songs, "one of the songs to learn from")?;
    let (heard, failed) = listen_to(&model, &files, &labels);
    let mut counts = vec![0_usize; labels.len()];
    for (song, _) in &heard {
        counts[files[*song].label] += 1;
    }
    for (label, &count) in labels.iter().zip(&counts) {
        anyhow::ensure!(
            count >= FEWEST_SONGS,
            "'{label}' has {} that can be used; at least {FEWEST_SONGS} are needed",
            text::count(count, "song")
        );
    }

    let (strange, unheard) = listen_to(&model, &strange, &labels);
    let failed = failed + unheard;
    anyhow::ensure!(
        args.none.is_none() || !strange.is_empty(),
        "--none holds no song that can be used"
    );
    let strange: Vec<Lesson> = strange
        .into_iter()
        .map(|(_, heard)| heard.lesson(0, 0))
        .collect();
    let (lessons, validation, held_out) = held_out(&args, heard, &files, &labels, &strange)?;
    let head = fit_head(&Lesson::examples(&lessons), labels.len())?;
    let mut taught = with_head(&base, &head, labels.clone())?;
    let facts = Facts {
        labels: &labels,
        counts: &counts,
        validation: &validation,
        held_out,
    };
    describe(&mut taught, &args, &base, &facts);
    let bytes = taught.quantised().write()?;
    // What was written is read back before it counts as written.
    Model::from_bytes(&bytes)?;
    output.replace(|out| out.write_all(&bytes))?;
    report(&facts, &args.output)?;
    Ok(if failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// What was found out.
struct Facts<'a> {
    labels: &'a Labels,
    /// Songs by label.
    counts: &'a [usize],
    validation: &'a CrossValidation,
    held_out: HoldOut,
}

/// The songs of `folder`, which are none of the labels.
fn strangers(folder: &Path) -> anyhow::Result<Vec<File>> {
    anyhow::ensure!(
        folder.is_dir(),
        "--none '{}' is no folder",
        folder.display()
    );
    let mut songs = Vec::new();
    for file in find_audio_files([folder]).by_ref() {
        match file {
            Ok(path) => songs.push(File {
                path,
                label: 0,
                folder: folder.to_owned(),
            }),
            Err(error) => complain(format_args!("left out: {}", text::told(&error.into()))),
        }
    }
    Ok(songs)
}

/// Which of `files` belong together: a number for each of the songs.
fn groups(by: HoldOut, songs: &[(usize, Heard)], files: &[File]) -> Vec<usize> {
    let mut numbers: BTreeMap<String, usize> = BTreeMap::new();
    songs
        .iter()
        .map(|(song, heard)| {
            let file = &files[*song];
            let alone = || format!("song {song}");
            let key = match by {
                HoldOut::Song => alone(),
                // Artists are called the same however their name is written.
                HoldOut::Artist => heard
                    .artist
                    .as_ref()
                    .map_or_else(alone, |artist| format!("artist {}", artist.to_lowercase())),
                HoldOut::Folder => match file.path.parent() {
                    Some(parent) if parent != file.folder => format!("in {}", parent.display()),
                    _ => alone(),
                },
            };
            let next = numbers.len();
            *numbers.entry(key).or_insert(next)
        })
        .collect()
}

/// Lessons, what leaving some of them out gives, and what was kept together.
fn held_out(
    args: &TeachArgs,
    songs: Vec<(usize, Heard)>,
    files: &[File],
    labels: &Labels,
    strange: &[Lesson],
) -> anyhow::Result<(Vec<Lesson>, CrossValidation, HoldOut)> {
    let mut by = args.hold_out.unwrap_or(HoldOut::Artist);
    let groups_of = |by| groups(by, &songs, files);
    let mut numbers = groups_of(by);
    if args.hold_out.is_none() {
        let mut of_label = vec![HashSet::new(); labels.len()];
        for ((song, _), group) in songs.iter().zip(&numbers) {
            of_label[files[*song].label].insert(*group);
        }
        let one = of_label.iter().position(|groups| groups.len() < 2);
        let tagged = songs.iter().any(|(_, heard)| heard.artist.is_some());
        if let Some(label) = one {
            complain(format_args!(
                "all songs of '{}' are of one artist, so that songs are left out one by one; that flatters",
                labels.get(label).unwrap_or_default()
            ));
        }
        if one.is_some() || !tagged {
            by = HoldOut::Song;
            numbers = groups_of(by);
        }
    }
    let lessons: Vec<Lesson> = songs
        .into_iter()
        .zip(numbers)
        .map(|((song, heard), group)| heard.lesson(files[song].label, group))
        .collect();
    let validation =
        cross_validate(&lessons, strange, labels, FOLDS).map_err(|error| match error {
            TeachError::OneGroup { .. } => anyhow::anyhow!(
                "{error}; --hold-out song leaves songs out one by one, which flatters"
            ),
            other => other.into(),
        })?;
    Ok((lessons, validation, by))
}

fn files(folder: &Path) -> anyhow::Result<(Labels, Vec<File>)> {
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
    let mut files = Vec::new();
    let mut other = OtherFormats::default();
    for (label, (_, folder)) in folders.iter().enumerate() {
        let mut walk = find_audio_files([folder]);
        for file in walk.by_ref() {
            match file {
                Ok(path) => files.push(File {
                    path,
                    label,
                    folder: folder.clone(),
                }),
                Err(error) => complain(format_args!("left out: {}", text::told(&error.into()))),
            }
        }
        other.add(walk.other_formats());
    }
    if let Some(message) = other.message() {
        complain(format_args!("{message}"));
    }
    Ok((labels, files))
}

/// What was heard of all songs, in their order, and how many could not be read.
fn listen_to(
    model: &Arc<Model>,
    lessons: &[File],
    labels: &Labels,
) -> (Vec<(usize, Heard)>, usize) {
    let bar = ProgressBar::new(lessons.len() as u64);
    let jobs = n_jobs(None);
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
    (songs, failed)
}

/// Leaves one of the copies of a song under one label, as ten copies are no more evidence than one,
/// and none of a song under two labels: it can teach neither. How many songs were left out for the
/// second reason?
fn leave_out_copies(songs: &mut Vec<(usize, Heard)>, lessons: &[File], labels: &Labels) -> usize {
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
    /// Of the first seconds of what counts, one for each of [`BEGINNINGS`].
    beginnings: Vec<Option<Vec<f32>>>,
    /// Who plays, as far as the tags tell.
    artist: Option<String>,
    /// SHA-256 of its samples: the same for copies, however they are called and tagged.
    content: [u8; 32],
}

impl Heard {
    fn lesson(self, label: usize, group: usize) -> Lesson {
        Lesson {
            label,
            group,
            frames: self.embeddings,
            beginnings: self.beginnings,
        }
    }
}

/// The first seconds of a song, and the first behind what [`Multiframe`] skips.
struct Beginnings {
    seen: usize,
    first: Vec<f32>,
    behind: Vec<f32>,
    skip: usize,
    most: usize,
}

impl Beginnings {
    fn new(rate: SampleRate) -> Self {
        let samples = |seconds: f64| (seconds * f64::from(rate.hz())) as usize;
        Self {
            seen: 0,
            first: Vec::new(),
            behind: Vec::new(),
            skip: samples(Multiframe::default().skip.0),
            most: samples(BEGINNINGS[BEGINNINGS.len() - 1]),
        }
    }

    fn push(&mut self, mono: &[f32]) {
        let skipped = self.skip.saturating_sub(self.seen).min(mono.len());
        for (kept, new) in [
            (&mut self.first, mono),
            (&mut self.behind, &mono[skipped..]),
        ] {
            let room = self.most - kept.len();
            kept.extend(&new[..new.len().min(room)]);
        }
        self.seen += mono.len();
    }

    /// An embedding for each of [`BEGINNINGS`] that there is enough of.
    fn embeddings(
        &self,
        model: &Arc<Model>,
        rate: SampleRate,
    ) -> anyhow::Result<Vec<Option<Vec<f32>>>> {
        let kept = if self.behind.len() < self.most {
            &self.first
        } else {
            &self.behind
        };
        let embedding = |seconds: f64| {
            let n = (seconds * f64::from(rate.hz())) as usize;
            let Some(part) = kept.get(..n) else {
                return Ok(None);
            };
            let mut song =
                SongClassifier::new(model, rate, Multiframe::default())?.keep_embeddings();
            song.push(part);
            let frame = song.finish().frames.into_iter().next();
            Ok(frame.map(|frame| frame.embedding))
        };
        BEGINNINGS.into_iter().map(embedding).collect()
    }
}

fn hear(model: &Arc<Model>, path: &Path) -> anyhow::Result<Heard> {
    let artist = artist(path);
    let mut file = AudioFile::open(path)?;
    let rate = file.rate();
    let mut song = SongClassifier::new(model, rate, Multiframe::default())?.keep_embeddings();
    let mut content = Sha256::new();
    let mut beginnings = Beginnings::new(rate);
    for remark in file.read(|mono| {
        song.push(mono);
        beginnings.push(mono);
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
        beginnings: beginnings.embeddings(model, rate)?,
        artist,
        content: content.finalize().into(),
    })
}

fn describe(taught: &mut Bundle, args: &TeachArgs, base: &Bundle, facts: &Facts<'_>) {
    let Facts {
        labels,
        counts,
        validation,
        held_out,
    } = *facts;
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
    // Those of the base belong to the head that is replaced.
    let by_length = BEGINNINGS.iter().zip(&validation.temperatures);
    card.decision.temperatures = by_length
        .filter_map(|(&seconds, temperature)| Some([seconds as f32, (*temperature)?]))
        .chain([[FRAME.0 as f32, validation.temperature]])
        .collect();
    // Measured with that head, too.
    card.decision.more.clear();
    card.decision.unsure_threshold = validation.none_below;
    let (low, high) = wilson(u64::from(validation.right), u64::from(validation.songs));
    card.accuracies = vec![Accuracy {
        what: "songs, by the mean of their frames' scores".into(),
        data: "the songs it was taught".into(),
        split: format!("{FOLDS} folds by {}", held_out.as_str()),
        n: u64::from(validation.songs),
        value: f64::from(validation.right) / f64::from(validation.songs.max(1)),
        low,
        high,
    }];
}

fn report(facts: &Facts<'_>, output: &Path) -> anyhow::Result<()> {
    let Facts {
        labels,
        counts,
        validation,
        held_out,
    } = *facts;
    let mut out = stdout();
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
        "{} of {} songs named right when left out by {} ({:.0} %, 95 % interval {:.0} to {:.0} %)",
        validation.right,
        validation.songs,
        held_out.as_str(),
        100.0 * f64::from(validation.right) / f64::from(validation.songs.max(1)),
        100.0 * low,
        100.0 * high
    )?;
    let unnamed = validation.songs - validation.named_right - validation.named_wrong;
    write!(
        out,
        "none of these below a score of {:.2}: {} right, {} wrong, {unnamed} not named",
        validation.none_below, validation.named_right, validation.named_wrong
    )?;
    if let Some((told, strangers)) = validation.strangers {
        write!(
            out,
            "; of songs of no genre here {told} of {strangers} not named"
        )?;
    }
    writeln!(out)?;
    writeln!(
        out,
        "wrote {}; use it with --model {0}",
        text::name_of(output)
    )?;
    Ok(())
}
