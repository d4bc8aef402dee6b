//! `evaluate`: tables and pictures of a model, or of the models of all folds.

use std::{
    collections::BTreeSet,
    fmt::Write as _,
    fs,
    io::IsTerminal as _,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context, Result, ensure};
use clap::Args;
use genrescope::network::{
    Model,
    architecture::Activation,
    neighbours::{NEAREST, Neighbours},
};
use genrescope_train::{
    datasets::{Dataset, Split},
    degrade::Damage,
    evaluate::{
        Answer, Average, Frames, Gain, Question, ask, frames, multiframe_gain, sets, songs,
        songs_by_neighbours,
    },
    metrics::{Confusion, Reading, Share, argmax, calibration},
    parallel,
    pictures::write_whole,
    study::say,
    svg,
};

use super::{Labelled, print};

#[derive(Args, Debug)]
pub(super) struct EvaluateArgs {
    #[command(flatten)]
    pub(super) labelled: Labelled,
    /// The model to ask about everything [default: the built-in one]. One that has learnt from
    /// these recordings gives figures that mean nothing.
    #[arg(long, value_name = "FILE", conflicts_with = "models")]
    model: Option<PathBuf>,
    /// The models of all folds, as `folds --models` writes them: each recording is asked of the one
    /// that has not heard it.
    #[arg(long, value_name = "FOLDER")]
    pub(super) models: Option<PathBuf>,
    /// The models of all folds of another recipe: what they say is averaged with what those of
    /// --models do, frame by frame.
    #[arg(
        long,
        value_name = "FOLDER",
        requires = "models",
        conflicts_with = "live"
    )]
    with: Option<PathBuf>,
    /// Only this part of a published split, as --lists or an index.csv tells it: train, valid or
    /// test.
    #[arg(long)]
    split: Option<String>,
    /// Ask about every N-th recording only.
    #[arg(long, value_name = "N", default_value_t = 1)]
    pub(super) every: usize,
    /// The table of damaged audio, too.
    #[arg(long)]
    damaged: bool,
    /// Accuracy against seconds heard, too.
    #[arg(long)]
    seconds: bool,
    /// The table of a listener instead: spliced and damaged streams, made by seed (needs --models).
    #[arg(long, requires = "models")]
    live: bool,
    /// The table of a listener on today's music instead: whole songs from these folders (a folder
    /// per tag), heard by --model.
    #[arg(long, value_name = "FOLDER", num_args = 1.., conflicts_with_all = ["live", "models"])]
    pub(super) modern: Vec<PathBuf>,
    /// How restless the answer may be, for --modern.
    #[arg(long, value_name = "NAME", requires = "modern")]
    pub(super) preset: Option<String>,
    /// What is not music, for --live: folders whose names tell its kinds.
    #[arg(long, value_name = "FOLDER")]
    pub(super) not_music: Option<PathBuf>,
    /// Songs of other genres, for --live: a folder per genre.
    #[arg(long, value_name = "FOLDER")]
    pub(super) songs: Option<PathBuf>,
    /// Streams of each spliced sort, for --live; with fewer than 100 the medians move by seconds
    /// from seed to seed.
    #[arg(long, value_name = "N", default_value_t = 360)]
    pub(super) streams: usize,
    /// For --live and --modern: score below which it is "unsure" [default: the model's].
    #[arg(long, value_name = "0..1")]
    pub(super) unsure_below: Option<f32>,
    /// For --live and --modern: probability of music below which no genre is named [default: the
    /// model's].
    #[arg(long, value_name = "0..1")]
    pub(super) doubt_below: Option<f32>,
    /// For --live and --modern: by how much another genre must lead [default: 0.15].
    #[arg(long, value_name = "0..1")]
    pub(super) margin: Option<f32>,
    /// For --live and --modern: another value of a rule of the decision (`averaging`, `dwell`,
    /// `early_share`, or a field of `Rules`).
    #[arg(long, value_name = "NAME=VALUE", value_parser = super::live::setting)]
    pub(super) set: Vec<(String, f32)>,
    /// Seed of the streams of --live, and of what --sets draws.
    #[arg(long, default_value_t = 1)]
    pub(super) seed: u64,
    /// Draw one stream of --live, with what was said of it, into this file (SVG).
    #[arg(long, value_name = "FILE", requires = "live")]
    pub(super) timeline: Option<PathBuf>,
    /// What parts of so many seconds, side by side, say alone and together, too: multiframe on
    /// clips that hold one frame.
    #[arg(long, value_name = "SECONDS")]
    parts: Option<f64>,
    /// So many recordings of one artist as if they were one song, too, drawn a hundred times:
    /// multiframe where there are no whole songs.
    #[arg(long, value_name = "N")]
    sets: Option<usize>,
    /// Write the scores of every frame into this model file, with the genres: the reference points
    /// of `classify --average knn`. Asked of models that have not heard the recordings, as what a
    /// user brings was not heard.
    #[arg(long, value_name = "FILE", requires = "models")]
    neighbours: Option<PathBuf>,
    /// Write confusion matrices (SVG, CSV, text) and the reliability picture here.
    #[arg(long, value_name = "FOLDER")]
    out: Option<PathBuf>,
    /// Threads [default: one a core].
    #[arg(long)]
    pub(super) threads: Option<usize>,
}

pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    if args.live {
        return super::live::run(args);
    }
    if !args.modern.is_empty() {
        return super::live::run_modern(args);
    }
    let data = args.labelled.folder();
    ensure!(
        data.is_dir(),
        "there is no folder '{}'; name the recordings with --data",
        data.display()
    );
    let mut dataset = Dataset::open(&data, args.labelled.lists.as_deref())?;
    if let Some(split) = &args.split {
        let wanted = match split.as_str() {
            "train" => Split::Train,
            "valid" => Split::Valid,
            "test" => Split::Test,
            other => anyhow::bail!("--split {other}: train, valid or test"),
        };
        dataset.items.retain(|item| item.split == Some(wanted));
        ensure!(
            !dataset.items.is_empty(),
            "no recording of '{}' is in the {split} split; index.csv or --lists tells it",
            data.display()
        );
    }
    say(&dataset.skipped_report());
    let asked = Asked {
        models: models(args, dataset.folds())?,
        others: match &args.with {
            Some(folder) => fold_models(folder, dataset.folds())?,
            None => Vec::new(),
        },
        threads: args.threads.unwrap_or_else(parallel::default_threads),
    };
    let first = asked.first()?;
    if let Some(other) = asked.others.first() {
        ensure!(
            other.labels() == first.labels(),
            "the models of --models and --with have different labels"
        );
    }
    let labels: Vec<String> = first.labels().iter().map(str::to_owned).collect();
    let questions: Vec<Question> = dataset
        .items
        .iter()
        .filter(|item| item.whole)
        .filter_map(|item| {
            let label = labels
                .iter()
                .position(|l| Some(l) == item.label.and_then(|l| dataset.labels.get(l)))?;
            let model = if args.models.is_some() { item.fold? } else { 0 };
            Some(Question {
                path: item.path.clone(),
                label,
                model,
                group: item.group.clone(),
            })
        })
        .step_by(args.every.max(1))
        .collect();
    ensure!(
        !questions.is_empty(),
        "no recording in '{}' has one of the model's labels",
        data.display()
    );
    let reading = asked.reading()?;
    let who = match (&args.models, &args.with) {
        (Some(folder), None) => format!("models of '{}'", folder.display()),
        (Some(folder), Some(with)) => {
            format!("models of '{}' and '{}'", folder.display(), with.display())
        }
        (None, _) => format!("model {}", first.card().name),
    };
    print(&format!("{} recordings, {who}", questions.len()))?;

    let clean = asked.answers(&questions, Frames::MULTIFRAME, Damage::Clean)?;
    let of_frames = frames(&labels, &clean);
    print(&format!("frames: {}", of_frames.summary()))?;
    for average in Average::ALL {
        print(&format!(
            "songs, {}: {}",
            average.name(),
            songs(&labels, &clean, average, reading).summary()
        ))?;
    }
    print(&format!(
        "songs, {NEAREST} nearest neighbours over frame scores: {}",
        songs_by_neighbours(&labels, &clean, NEAREST, reading).summary()
    ))?;
    if let Some(path) = &args.neighbours {
        let mut bundle = super::calibrate::read(path)?;
        ensure!(
            bundle
                .card
                .labels
                .iter()
                .eq(labels.iter().map(String::as_str)),
            "the model '{}' has other labels than those that were asked",
            path.display()
        );
        let frames = || {
            clean
                .iter()
                .flat_map(|a| a.frames.iter().map(move |f| (f, a.label)))
        };
        let scores = frames()
            .flat_map(|(logits, _)| reading.scores(logits))
            .collect();
        let truths: Vec<usize> = frames().map(|(_, label)| label).collect();
        bundle.tensors.extend(Neighbours::tensors(scores, &truths)?);
        write_whole(path, &bundle.write()?)?;
        print(&format!(
            "{} frames are the reference points of '{}'",
            truths.len(),
            path.display()
        ))?;
    }
    let (single, multi) = multiframe_gain(&labels, &clean, reading);
    if multi.n > 0 {
        print(&format!(
            "songs of two frames and more: one frame {:.1} %, all frames {multi}",
            100.0 * single
        ))?;
    }
    let calls: Vec<(f32, bool)> = clean
        .iter()
        .map(|a| {
            let scores = Average::Mean.scores(&a.frames, reading);
            (scores[argmax(&scores)], argmax(&scores) == a.label)
        })
        .collect();
    let (error, bins) = calibration(&calls);
    print(&format!(
        "calibration at temperature {:.3}: ECE {:.1} %",
        reading.temperature,
        100.0 * error
    ))?;
    let of_songs = songs(&labels, &clean, Average::Mean, reading);
    print(&of_songs.text())?;
    if let Some(folder) = &args.out {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
        for (name, confusion) in [("frames", &of_frames), ("songs", &of_songs)] {
            let title = format!(
                "{name}: {:.1} % of {}",
                100.0 * confusion.micro().value,
                confusion.micro().n
            );
            write_whole(
                &folder.join(format!("confusion_{name}.svg")),
                svg::confusion(&title, confusion).as_bytes(),
            )?;
            write_whole(
                &folder.join(format!("confusion_{name}.csv")),
                confusion.csv().as_bytes(),
            )?;
            write_whole(
                &folder.join(format!("confusion_{name}.txt")),
                confusion.text().as_bytes(),
            )?;
        }
        let title = format!("reliability, ECE {:.1} %", 100.0 * error);
        write_whole(
            &folder.join("reliability.svg"),
            svg::reliability(&title, &bins).as_bytes(),
        )?;
    }
    if args.seconds {
        seconds(args, &asked, &questions, &labels)?;
    }
    if let Some(size) = args.sets {
        sets_of(&clean, reading, size, args.seed)?;
    }
    if let Some(length) = args.parts {
        parts(&asked, &questions, &labels, length)?;
    }
    if args.damaged {
        damaged(&asked, &questions, &labels)?;
    }
    Ok(())
}

pub(super) fn models(args: &EvaluateArgs, folds: usize) -> Result<Vec<Arc<Model>>> {
    match (&args.models, &args.model) {
        (Some(folder), _) => fold_models(folder, folds),
        (None, Some(path)) => Ok(vec![read(path)?]),
        (None, None) => Ok(vec![Model::builtin()]),
    }
}

fn fold_models(folder: &Path, folds: usize) -> Result<Vec<Arc<Model>>> {
    ensure!(
        folds > 0,
        "the models of folds need recordings with folds (an index.csv with a column 'fold')"
    );
    (0..folds)
        .map(|fold| read(&folder.join(format!("fold{fold}.safetensors"))))
        .collect()
}

fn read(path: &Path) -> Result<Arc<Model>> {
    let bytes = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    Model::from_bytes(&bytes).with_context(|| format!("'{}'", path.display()))
}

/// Who is asked.
struct Asked {
    /// One for everything, or one a fold.
    models: Vec<Arc<Model>>,
    /// Those whose scores are averaged with theirs, if any: one a fold.
    others: Vec<Arc<Model>>,
    threads: usize,
}

impl Asked {
    fn first(&self) -> Result<&Arc<Model>> {
        self.models.first().context("there is no model")
    }

    /// How [`Asked::answers`] are read.
    fn reading(&self) -> Result<Reading> {
        let reading = Reading::of(self.first()?);
        Ok(if self.others.is_empty() {
            reading
        } else {
            Reading {
                activation: Activation::Softmax,
                ..reading
            }
        })
    }

    /// Answers to all questions; what fails is said and left out.
    fn answers(
        &self,
        questions: &[Question],
        frames: Frames,
        damage: Damage,
    ) -> Result<Vec<Answer>> {
        let ask = |models: &[Arc<Model>]| {
            let terminal = std::io::stderr().is_terminal();
            let asked = ask(models, questions, frames, damage, self.threads, &|done| {
                if terminal {
                    say(&format!("\r{} {done}/{} ", damage.name(), questions.len()));
                }
            });
            if terminal {
                say("\n");
            }
            asked
        };
        let mut asked = ask(&self.models);
        if let Some(other) = self.others.first() {
            let (reading, theirs) = (Reading::of(self.first()?), Reading::of(other));
            asked = asked
                .into_iter()
                .zip(ask(&self.others))
                .map(|(our, their)| Ok(our?.merged(reading, &their?, theirs)))
                .collect();
        }
        let mut answers = Vec::new();
        let mut failed = 0;
        for (question, answer) in questions.iter().zip(asked) {
            match answer {
                Ok(answer) => answers.push(answer),
                Err(error) => {
                    failed += 1;
                    if failed <= 3 {
                        say(&format!(
                            "left out '{}': {error:#}\n",
                            question.path.display()
                        ));
                    }
                }
            }
        }
        ensure!(
            !answers.is_empty(),
            "not one of {} recordings gave an answer",
            questions.len()
        );
        Ok(answers)
    }
}

/// Seconds heard, and the mel columns that they are.
const HEARD: [(f64, usize); 9] = [
    (3.0, 141),
    (4.0, 188),
    (5.0, 234),
    (7.0, 328),
    (10.0, 469),
    (15.0, 703),
    (20.0, 938),
    (25.0, 1_172),
    (29.12, 1_366),
];

/// Accuracy and calibration after [`HEARD`], as a table and, with `--out`, as a curve.
fn seconds(
    args: &EvaluateArgs,
    asked: &Asked,
    questions: &[Question],
    labels: &[String],
) -> Result<()> {
    let reading = asked.reading()?;
    let mut lines = [
        ("right", false),
        ("95 % from", true),
        ("95 % to", true),
        ("calibration error", false),
    ]
    .map(|(name, dashed)| svg::Line {
        name: name.into(),
        points: Vec::new(),
        dashed,
    });
    print("| seconds heard | accuracy | ECE |\n|---|---|---|")?;
    for (seconds, columns) in HEARD {
        // From the middle of a clip, where a listener would come in.
        let frames = Frames {
            skip: if columns < 900 { 400 } else { 0 },
            length: columns,
            first_only: true,
        };
        let answers = asked.answers(questions, frames, Damage::Clean)?;
        let share = songs(labels, &answers, Average::Mean, reading).micro();
        let calls: Vec<(f32, bool)> = answers
            .iter()
            .map(|a| {
                let scores = reading.scores(&a.frames[0]);
                (scores[argmax(&scores)], argmax(&scores) == a.label)
            })
            .collect();
        let error = calibration(&calls).0;
        print(&format!("| {seconds} | {share} | {:.1} % |", 100.0 * error))?;
        let values = [share.value, share.low, share.high, error];
        for (line, value) in lines.iter_mut().zip(values) {
            line.points.push((seconds, 100.0 * value));
        }
    }
    if let Some(folder) = &args.out {
        let text = svg::curves(
            "accuracy against seconds heard",
            "seconds",
            "percent of whole clips",
            &lines,
        );
        write_whole(&folder.join("seconds.svg"), text.as_bytes())?;
    }
    Ok(())
}

/// One part of each clip against all of its parts together.
fn parts(asked: &Asked, questions: &[Question], labels: &[String], seconds: f64) -> Result<()> {
    let front_end = asked.first()?.front_end();
    let per_second = f64::from(front_end.sample_rate) / front_end.hop_length as f64;
    ensure!(
        (2.1..29.12).contains(&seconds),
        "--parts {seconds}: from 2.1 s, one step of a network, to less than a frame of 29.12 s"
    );
    let frames = Frames {
        skip: 0,
        length: (seconds * per_second) as usize,
        first_only: false,
    };
    let mut answers = asked.answers(questions, frames, Damage::Clean)?;
    answers.retain(|answer| answer.frames.len() > 1);
    ensure!(
        !answers.is_empty(),
        "no recording holds two parts of {seconds} s"
    );
    let reading = asked.reading()?;
    let several: usize = answers.iter().map(|a| a.frames.len()).sum();
    print(&format!(
        "{} songs of {several} parts of {seconds} s",
        answers.len()
    ))?;
    together(&answers, reading, |average, _| {
        songs(labels, &answers, average, reading)
            .micro()
            .to_string()
    })
}

/// How often `--sets` draws.
const DRAWS: usize = 100;

/// Recordings of one artist, so many at a time, as if each set were a song: one of its frames
/// against all of them.
fn sets_of(answers: &[Answer], reading: Reading, size: usize, seed: u64) -> Result<()> {
    ensure!(size > 1, "--sets {size}: at least 2 recordings make a set");
    let sets = sets(answers, size, DRAWS, seed);
    ensure!(
        !sets.is_empty(),
        "no artist has {size} recordings of one genre here"
    );
    let artists: BTreeSet<_> = sets.iter().map(|set| (&set.group, set.label)).collect();
    print(&format!(
        "{} sets of {size} recordings of one artist, {} artists; means of {DRAWS} draws",
        sets.len() / DRAWS,
        artists.len()
    ))?;
    // Sets of many draws are not so many answers: no interval but that by artist.
    together(&sets, reading, |_, right| format!("{:.1} %", 100.0 * right))
}

/// What one frame of `answers` says, and all of them by each average, whose right share `tell` puts
/// into words; the differences have intervals by artist.
fn together(
    answers: &[Answer],
    reading: Reading,
    tell: impl Fn(Average, f64) -> String,
) -> Result<()> {
    let points = |gain: Gain| {
        let (mean, half) = (100.0 * gain.mean, 100.0 * gain.half);
        format!(
            "{mean:+.1} points ({:+.1} to {:+.1})",
            mean - half,
            mean + half
        )
    };
    let alone: f64 = answers.iter().map(Answer::alone).sum();
    let alone = alone / answers.len().max(1) as f64;
    print(&format!("one alone: {:.1} %", 100.0 * alone))?;
    for average in Average::ALL {
        let gain = Gain::over_one(answers, average, reading);
        let mut line = format!(
            "all of them, {}: {}, against one {}",
            average.name(),
            tell(average, alone + gain.mean),
            points(gain)
        );
        if average != Average::Mean {
            let gain = Gain::between(answers, average, Average::Mean, reading);
            line += &format!(", against the mean {}", points(gain));
        }
        print(&line)?;
    }
    Ok(())
}

/// Accuracy after each kind of damage.
fn damaged(asked: &Asked, questions: &[Question], labels: &[String]) -> Result<()> {
    let mut clean: Option<Share> = None;
    let mut table = String::from("| damage | micro | macro | against clean |\n|---|---|---|---|\n");
    for damage in Damage::TABLE {
        match asked.answers(questions, Frames::SINGLE, damage) {
            Ok(answers) => {
                let confusion: Confusion = frames(labels, &answers);
                let share = confusion.micro();
                let base = clean.get_or_insert(share).value;
                let _ = writeln!(
                    table,
                    "| {} | {share} | {:.1} % | {:+.1} |",
                    damage.name(),
                    100.0 * confusion.macro_accuracy(),
                    100.0 * (share.value - base)
                );
            }
            Err(error) => {
                let _ = writeln!(table, "| {} | not measured: {error:#} | | |", damage.name());
            }
        }
    }
    print(table.trim_end())
}
