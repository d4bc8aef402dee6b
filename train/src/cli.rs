//! The commands.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use genrescope_train::{
    datasets::Dataset,
    fit::Recipe,
    heads::{Neighbours, Objective, Rows},
    metrics::{argmax, calibration, fit_temperature, softmax},
    net::{NetSpec, Tap},
    parallel,
    pictures::PictureCache,
    study::{self, Setting, Study, say},
    transfer,
};

#[derive(Debug, Parser)]
#[command(name = "genrescope-train", version, about = "Makes and measures genrescope's models")]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cross-validate: frozen features beside the recipe, by folds that keep artists apart.
    Folds(Folds),
}

/// What every command that learns or measures needs.
#[derive(Args, Debug)]
struct Common {
    /// GTZAN (with or without index.csv), or a folder with a folder of songs per genre.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// Choi's CNN, `music_tagger_cnn_weights_theano.h5`.
    #[arg(long, value_name = "FILE")]
    tagger: Option<PathBuf>,
    /// Where pictures and views are kept between runs.
    #[arg(long, value_name = "FOLDER", default_value = "target/genrescope-train")]
    cache: PathBuf,
    /// The recipe, as JSON; fields that are not named keep their defaults.
    #[arg(long, value_name = "FILE")]
    recipe: Option<PathBuf>,
    /// Threads [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

#[derive(Args, Debug)]
struct Folds {
    #[command(flatten)]
    common: Common,
    /// Only these folds, as 0,2,3.
    #[arg(long, value_delimiter = ',')]
    only: Vec<usize>,
    /// Keep checkpoints here, and resume from them.
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// Only the heads on frozen features.
    #[arg(long)]
    baseline: bool,
}

pub(crate) fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Folds(args) => folds(&args),
    }
}

/// What was said where: `GENRESCOPE_DATA`, else `../shared/data`.
fn data_root() -> PathBuf {
    std::env::var_os("GENRESCOPE_DATA").map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from)
}

/// Everything that is loaded before a command begins.
struct Loaded {
    study: Study,
    recipe: Recipe,
    taps: Vec<Tap>,
    floor_db: f32,
    cache: PictureCache,
    threads: usize,
    tagger: PathBuf,
}

/// A recipe file: what the trunk shows to the head, and how it is trained.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RecipeFile {
    taps: Vec<Tap>,
    floor_db: f32,
    training: Recipe,
}

impl Default for RecipeFile {
    fn default() -> Self {
        Self { taps: vec![Tap::Top], floor_db: -80.0, training: Recipe::default() }
    }
}

fn load(common: &Common) -> Result<Loaded> {
    let data = common.data.clone().unwrap_or_else(|| data_root().join("gtzan"));
    ensure!(
        data.is_dir(),
        "there is no folder '{}'; name GTZAN or a library with --data, or set GENRESCOPE_DATA",
        data.display()
    );
    let tagger = common
        .tagger
        .clone()
        .unwrap_or_else(|| data_root().join("reference/music_tagger_cnn_weights_theano.h5"));
    let file: RecipeFile = match &common.recipe {
        Some(path) => {
            let text = fs::read_to_string(path).with_context(|| format!("cannot read '{}'", path.display()))?;
            serde_json::from_str(&text).with_context(|| format!("'{}' is no recipe", path.display()))?
        }
        None => RecipeFile::default(),
    };
    let dataset = Dataset::gtzan(&data).or_else(|_| Dataset::library(&data))?;
    let cache = PictureCache::new(&common.cache)?;
    let threads = common.threads.unwrap_or_else(parallel::default_threads);
    let study = Study::load(dataset, &cache, threads, file.training.seed)?;
    Ok(Loaded { study, recipe: file.training, taps: file.taps, floor_db: file.floor_db, cache, threads, tagger })
}

/// Standard output, where a closed pipe ends the run quietly.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").context("cannot write to standard output")?;
    out.flush().context("cannot write to standard output")
}

fn folds(args: &Folds) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded { study, recipe, threads, .. } = &loaded;
    let spec = NetSpec::cnn(&loaded.taps, loaded.floor_db, study.labels.len());
    let (trunk, tagger) = transfer::choi_cnn(&loaded.tagger, spec)?;
    say("embeddings of the untouched trunk\n");
    let embeddings = study.embeddings(&trunk, *threads);
    let len = trunk.spec.embedding_len();
    let only: Vec<usize> = if args.only.is_empty() { (0..study.folds()).collect() } else { args.only.clone() };
    let row = |i: usize| &embeddings[i * len..(i + 1) * len];
    for (name, objective) in [("softmax", Objective::Softmax), ("linear SVM", Objective::Svm)] {
        let mut answers = Vec::new();
        for &fold in &only {
            let head = study::probe(&trunk, &embeddings, study, &study.learning(Some(fold)), recipe.probe_decay, objective);
            answers.extend(study.asked(fold).into_iter().map(|i| (i, argmax(&head.scores(row(i))))));
        }
        print(&format!("frozen, {name}: {}", study.confusion(answers).summary()))?;
    }
    let mut answers = Vec::new();
    for &fold in &only {
        let learning = study.learning(Some(fold));
        let rows: Vec<f32> = learning.iter().flat_map(|&i| row(i).iter().copied()).collect();
        let truths: Vec<usize> = learning.iter().map(|&i| study.records[i].label).collect();
        let near = Neighbours::new(Rows { values: &rows, len }, &truths, study.labels.len(), 7);
        answers.extend(study.asked(fold).into_iter().map(|i| (i, argmax(&near.scores(row(i))))));
    }
    print(&format!("frozen, 7 nearest neighbours: {}", study.confusion(answers).summary()))?;
    if args.baseline {
        return Ok(());
    }
    if let Some(folder) = &args.checkpoints {
        fs::create_dir_all(folder).with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
    }
    let views = study::views(study, &trunk, recipe, &loaded.cache, *threads)?;
    let setting = Setting {
        trunk: &trunk,
        tagger: &tagger,
        embeddings: &embeddings,
        views: &views,
        threads: *threads,
        checkpoints: args.checkpoints.as_deref().map(|folder: &Path| (folder, 10)),
    };
    let cuts = [("3 s", Some((400, 141))), ("5 s", Some((400, 234))), ("10 s", Some((400, 469))), ("29.12 s", None)];
    let mut pooled: Vec<Vec<(usize, Vec<f32>)>> = vec![Vec::new(); cuts.len()];
    for &fold in &only {
        let (net, _) = study::train(study, &setting, recipe, Some(fold), &format!("fold{fold}"))?;
        let asked = study.asked(fold);
        for (all, (_, cut)) in pooled.iter_mut().zip(cuts) {
            all.extend(asked.iter().copied().zip(study::logits(&net, study, &asked, cut, *threads)));
        }
        if let Some(all) = pooled.last() {
            let of_fold = all.iter().filter(|(i, _)| study.records[*i].fold == fold).map(|(i, l)| (*i, argmax(l)));
            print(&format!("fold {fold}: {}", study.confusion(of_fold).summary()))?;
        }
    }
    for (all, (name, _)) in pooled.iter().zip(cuts) {
        let answers = all.iter().map(|(i, logits)| (*i, argmax(logits)));
        print(&format!("recipe, {name}: {}", study.confusion(answers).summary()))?;
    }
    if let Some(all) = pooled.last() {
        let logits: Vec<Vec<f32>> = all.iter().map(|(_, l)| l.clone()).collect();
        let truths: Vec<usize> = all.iter().map(|(i, _)| study.records[*i].label).collect();
        let temperature = fit_temperature(&logits, &truths);
        for t in [1.0, temperature] {
            let answers: Vec<(f32, bool)> = logits
                .iter()
                .zip(&truths)
                .map(|(l, &truth)| {
                    let scores = softmax(l, t);
                    let top = argmax(&scores);
                    (scores[top], top == truth)
                })
                .collect();
            print(&format!("temperature {t:.3}: ECE {:.1} %", 100.0 * calibration(&answers).0))?;
        }
        print(&study.confusion(all.iter().map(|(i, l)| (*i, argmax(l)))).text())?;
    }
    Ok(())
}
