//! `ears`: a head over both trunks.

use std::{fs, path::PathBuf, sync::Arc};

use anyhow::{Context as _, Result};
use clap::Args;
use genrescope::network::{
    Bundle, Model,
    bundle::Weights,
    tagger::{Group, Tagger},
};
use genrescope_train::{
    datasets::Dataset,
    ears::{self, Fitted, Heard, Row, Setting},
    export,
    metrics::{Confusion, argmax},
    parallel,
    pictures::write_whole,
};

use super::{data_root, print};

#[derive(Args, Debug)]
pub(super) struct EarsArgs {
    /// The model whose first trunk is used.
    #[arg(long, value_name = "FILE")]
    base: PathBuf,
    /// Weights of the second trunk, as `distil` writes them.
    #[arg(long, value_name = "FILE")]
    second: PathBuf,
    /// AudioSet's `class_labels_indices.csv`.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Folders in the layout of GTZAN with an index.csv.
    #[arg(long, value_name = "FOLDER")]
    data: Vec<PathBuf>,
    /// Modern songs in folders named by their tag: none is learnt from.
    #[arg(long, value_name = "FOLDER")]
    songs: Option<PathBuf>,
    /// Penalty of the correction.
    #[arg(long, default_value_t = 0.002)]
    penalty: f64,
    /// Compare settings instead of writing a model.
    #[arg(long)]
    explore: bool,
    /// The second trunk in floats.
    #[arg(long)]
    float: bool,
    /// Where embeddings are kept between runs.
    #[arg(long, value_name = "FOLDER", default_value = "target/genrescope-train")]
    cache: PathBuf,
    /// Where to write the model.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Write the models of all folds into this folder, for `calibrate` and `evaluate`.
    #[arg(long, value_name = "FOLDER")]
    models: Option<PathBuf>,
    /// What the correction sees.
    #[arg(long, value_enum, default_value_t = Seen::First)]
    sees: Seen,
    /// Name of the model.
    #[arg(long, default_value = "genrescope-ears-1")]
    name: String,
    /// Take temperatures, thresholds and the heads for music and changes of song from this model of
    /// the same trunks, as `calibrate` wrote it.
    #[arg(long, value_name = "FILE")]
    decisions: Option<PathBuf>,
    /// Threads [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// Which trunks the correction sees.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
enum Seen {
    /// The first alone.
    First,
    /// Both.
    Both,
}

/// Which label a folder of songs stands for.
fn label_of(folder: &str, labels: &[String]) -> Option<usize> {
    let label = match folder {
        "jazz_ragtime" => "jazz",
        "punk_rock" => "rock",
        "country_folk" => "country",
        other => other,
    };
    labels.iter().position(|name| name == label)
}

pub(super) fn run(args: &EarsArgs) -> Result<()> {
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let read = |path: &PathBuf| {
        fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))
    };
    let csv = args
        .classes
        .clone()
        .unwrap_or_else(|| data_root().join("reference/mn04/class_labels_indices.csv"));
    let classes = ears::classes(&String::from_utf8_lossy(&read(&csv)?))?;
    let group = |&(name, classes): &(&str, &[&str])| Group {
        name: name.into(),
        classes: classes.iter().map(|&class| class.into()).collect(),
    };
    let groups = ears::GROUPS.iter().map(group).collect();
    let base = Bundle::read(&read(&args.base)?)?;
    let joined = ears::join(&base, &read(&args.second)?, classes, groups)?;
    let joined = if args.float {
        joined
    } else {
        joined.quantised()
    };
    let file = joined.write()?;
    let joined = Bundle::read(&file)?;
    print(&format!("the model with both trunks: {} bytes", file.len()))?;
    let model = Model::from_bundle(&joined)?;
    let labels: Vec<String> = model.labels().iter().map(str::to_owned).collect();

    let folders = if args.data.is_empty() {
        vec![data_root().join("gtzan"), data_root().join("gtzan_more")]
    } else {
        args.data.clone()
    };
    let mut items = Vec::new();
    for (index, folder) in folders.iter().enumerate() {
        let dataset = Dataset::open(folder, None)?;
        for item in dataset.items {
            let label = item.label.and_then(|label| {
                labels
                    .iter()
                    .position(|name| *name == dataset.labels[label])
            });
            if let (Some(label), Some(fold)) = (label, item.fold) {
                items.push((item.path, label, fold, item.whole, index == 0));
            }
        }
    }
    let songs_at = args
        .songs
        .clone()
        .unwrap_or_else(|| data_root().join("songs"));
    let songs: Vec<(PathBuf, usize)> = Dataset::unlabelled(&songs_at)?
        .items
        .into_iter()
        .filter_map(|item| {
            let folder = item.path.parent()?.file_name()?.to_str()?.to_owned();
            Some((item.path, label_of(&folder, &labels)?))
        })
        .collect();
    let machine: Vec<(PathBuf, usize)> = Dataset::unlabelled(&data_root().join("synthetic_music"))
        .map(|dataset| dataset.items)
        .unwrap_or_default()
        .into_iter()
        .filter_map(|item| {
            let folder = item.path.parent()?.file_name()?.to_str()?.to_owned();
            Some((item.path, label_of(&folder, &labels)?))
        })
        .collect();
    let heard = |name: &str, paths: Vec<PathBuf>| cached(args, &model, name, &paths, threads);
    let clips = heard("clips", items.iter().map(|item| item.0.clone()).collect())?;
    let song_answers = heard("songs", songs.iter().map(|song| song.0.clone()).collect())?;
    let machine_answers = heard(
        "machine",
        machine.iter().map(|song| song.0.clone()).collect(),
    )?;

    let len = model.embedding_len();
    let first = len
        - joined
            .card
            .architecture
            .tagger
            .as_ref()
            .map_or(0, Tagger::len);
    let prior: Vec<usize> = (len - labels.len()..len).collect();
    let rows = |of: &dyn Fn(usize) -> bool| -> Vec<Row> {
        (0..items.len())
            .filter(|&i| of(i) && !clips[i].frames.is_empty())
            .map(|i| Row {
                embedding: clips[i].mean(),
                label: items[i].1,
                weight: if items[i].3 { 1.0 } else { 0.5 },
            })
            .collect()
    };
    let judge = |setting: &Setting| -> Result<(Fitted, f32, Confusion)> {
        let mut answers = Vec::new();
        let mut logits = Vec::new();
        for fold in 0..5 {
            let head = ears::fit(&rows(&|i| items[i].2 != fold), labels.len(), setting);
            for (item, clip) in items.iter().zip(&clips).filter(|(item, _)| item.2 == fold) {
                if item.3 && item.4 && !clip.frames.is_empty() {
                    answers.push((ears::song_scores(&head, clip, 1.0), item.1));
                    logits.push((head.logits(&clip.frames[0]), item.1));
                }
            }
        }
        let temperature = genrescope::teach::fit_temperature(&logits);
        let head = ears::fit(&rows(&|_| true), labels.len(), setting);
        let of = |heard: &[Heard], truths: &[(PathBuf, usize)]| {
            let answers: Vec<_> = heard
                .iter()
                .zip(truths)
                .map(|(heard, truth)| (ears::song_scores(&head, heard, temperature), truth.1))
                .collect();
            ears::measure(&answers)
        };
        let confusion = Confusion::of(
            &labels,
            answers.iter().map(|(s, truth)| (*truth, argmax(s))),
        );
        let song = of(&song_answers, &songs);
        let made = of(&machine_answers, &machine);
        print(&format!(
            "penalty {:<7} sees {:>3} prior {:>2}: folds {} / {:.1} | songs {} of {} nll {:.2} | machine {} of {} nll {:.2} | slope {:.2} temperature {temperature:.2}",
            setting.penalty,
            setting.seen.len(),
            setting.prior.len(),
            confusion.micro(),
            100.0 * confusion.macro_accuracy(),
            song.0,
            songs.len(),
            song.2,
            made.0,
            machine.len(),
            made.2,
            head.slope
        ))?;
        Ok((head, temperature, confusion))
    };
    let setting = |penalty: f64, seen: Vec<usize>, prior: Vec<usize>| Setting {
        penalty,
        seen,
        prior,
        smoothing: 0.05,
    };
    if args.explore {
        let trunks = (0..first).collect::<Vec<_>>();
        let second = (first..len - labels.len()).collect::<Vec<_>>();
        let both = (0..len - labels.len()).collect::<Vec<_>>();
        judge(&setting(1.0, Vec::new(), prior.clone()))?;
        for penalty in [0.0005, 0.001, 0.002, 0.004, 0.008] {
            for seen in [&trunks, &second, &both] {
                judge(&setting(penalty, seen.clone(), prior.clone()))?;
            }
        }
        judge(&setting(0.001, trunks.clone(), Vec::new()))?;
        judge(&setting(0.001, trunks.clone(), Vec::new()))?;
    }
    let seen = match args.sees {
        Seen::First => (0..first).collect(),
        Seen::Both => (0..len - labels.len()).collect(),
    };
    let chosen = setting(args.penalty, seen, prior);
    let (head, temperature, confusion) = judge(&chosen)?;
    let with = |head: &Fitted, name: String| -> Result<Bundle> {
        let mut bundle = joined.clone();
        bundle.tensors.insert(
            "output.weight".into(),
            Weights::new(&[labels.len(), len], head.weight.clone())?,
        );
        bundle.tensors.insert(
            "output.bias".into(),
            Weights::new(&[labels.len()], head.bias.clone())?,
        );
        bundle.card.decision.temperature = temperature;
        bundle.card.decision.temperatures.clear();
        bundle.card.name = name;
        Ok(bundle)
    };
    if let Some(folder) = &args.models {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
        for fold in 0..5 {
            let head = ears::fit(&rows(&|i| items[i].2 != fold), labels.len(), &chosen);
            let bundle = with(&head, format!("{}-fold{fold}", args.name))?;
            write_whole(
                &folder.join(format!("fold{fold}.safetensors")),
                &bundle.write()?,
            )?;
        }
    }
    if let Some(out) = &args.out {
        let mut bundle = with(&head, args.name.clone())?;
        describe(&mut bundle, &base, args, &confusion);
        if let Some(path) = &args.decisions {
            let calibrated = Bundle::read(&read(path)?)?;
            let trust = calibrated
                .tensors
                .into_iter()
                .filter(|(name, _)| name.starts_with("trust."));
            bundle.tensors.retain(|name, _| !name.starts_with("trust."));
            bundle.tensors.extend(trust);
            bundle.card.decision = calibrated.card.decision;
            // What was measured of those heads stands at the end.
            if let Some(at) = calibrated.card.data.find("Music head:") {
                bundle.card.data = format!("{} {}", bundle.card.data, &calibrated.card.data[at..]);
            }
        }
        bundle.card.decision.more.insert(
            "macro_accuracy_int8".into(),
            serde_json::json!(confusion.macro_accuracy()),
        );
        let file = bundle.write()?;
        write_whole(
            &out.with_extension("md"),
            card(&bundle, file.len(), &confusion).as_bytes(),
        )?;
        write_whole(out, &file)?;
        print(&format!("wrote '{}', {} bytes", out.display(), file.len()))?;
    }
    Ok(())
}

/// What the model says of itself.
fn describe(bundle: &mut Bundle, base: &Bundle, args: &EarsArgs, confusion: &Confusion) {
    let card = &mut bundle.card;
    card.notice = "Its head was trained on GTZAN, which has no licence for its music: for research and personal use.".into();
    card.data = format!(
        "The first trunk: {} The second: the same recordings and what is not music, without labels. The head: GTZAN, train, \
         valid and unlisted clips (none of the test part of the fault-filtered split), recorded before 2001.",
        base.card.data
    );
    card.recipe = format!(
        "First trunk: {} Second trunk: genrescope-train distil train/recipes/mn04.json. Head: genrescope-train ears \
         --penalty {} --sees {}, then genrescope-train calibrate.",
        base.card.recipe,
        args.penalty,
        if args.sees == Seen::First {
            "first"
        } else {
            "both"
        }
    );
    card.licence = "MIT OR Apache-2.0, as far as the weights are ours; see the notice".into();
    card.credits = "First trunk initialised from the CNN music tagger of Keunwoo Choi (MIT licence), pre-trained on the \
         Million Song Dataset; the hints are his CNN's and CRNN's own answers. Second trunk initialised from EfficientAT \
         mn04_as (F. Schmid, K. Koutini and G. Widmer; MIT licence), trained on AudioSet. Method of the first after \
         A. Jimenez and F. Jose, Music Genre Recognition with Deep Neural Networks (UPC). GTZAN: G. Tzanetakis and \
         P. Cook; faults and split: B. Sturm, C. Kereliuk et al."
        .into();
    card.accuracies = vec![export::accuracy(
        "whole clips, micro, int8",
        "GTZAN, whole clips of train and valid of the fault-filtered split",
        "5 folds of the head, artists and replicas kept together, pooled; no label reached the trunks",
        confusion.micro(),
    )];
}

/// The card as Markdown.
fn card(bundle: &Bundle, bytes: usize, confusion: &Confusion) -> String {
    let card = &bundle.card;
    let micro = confusion.micro();
    let weights: usize = bundle
        .tensors
        .values()
        .map(|weights| weights.shape().iter().product::<usize>())
        .sum();
    format!(
        "# {}\n\n{}\n\n| | |\n|---|---|\n| file | {bytes} bytes |\n| parameters | {weights} |\n| first trunk | the paper's CNN, 96 mel bands x \
         1366 columns (29.12 s at 12 kHz), 256 values |\n| second trunk | MobileNet, 128 mel bands x 1000 columns (10 s, from the same 12 kHz), \
         384 values and ten shares |\n| temperature | {:.3} |\n\n## Data\n\n{}\n\n## Recipe\n\n{}\n\n## Measured\n\n`genrescope-train ears`: {} of \
         whole clips, mean over genres {:.1} %. The head that ships has learnt from all of them: never measure it on these clips.\n\n\
         Percent of each genre (rows) that was given each answer (columns):\n\n```text\n{}```\n\n## Limits\n\nTen genres. Music outside the ten gets \
         one of them, with a low score. The modern songs it was looked at with are few (14 with a tag among the ten).\n\n## Licence and \
         credits\n\n{}. {}\n",
        card.name,
        card.notice,
        card.decision.temperature,
        card.data,
        card.recipe,
        micro,
        100.0 * confusion.macro_accuracy(),
        confusion.text(),
        card.licence,
        card.credits
    )
}

/// What a model heard, kept between runs. The first recording is heard each time: another build may
/// hear the same model a little differently.
fn cached(
    args: &EarsArgs,
    model: &Arc<Model>,
    name: &str,
    paths: &[PathBuf],
    threads: usize,
) -> Result<Vec<Heard>> {
    let file = args
        .cache
        .join(format!("ears-{name}-{}.json", &model.card().sha256[..16]));
    let first = ears::hear(model, &paths[..paths.len().min(1)], None, threads)?;
    if let Ok(text) = fs::read(&file)
        && let Ok(frames) = serde_json::from_slice::<Vec<Vec<Vec<f32>>>>(&text)
        && frames.len() == paths.len()
        && first
            .iter()
            .zip(&frames)
            .all(|(now, then)| now.frames == *then)
    {
        return Ok(frames.into_iter().map(|frames| Heard { frames }).collect());
    }
    let heard = ears::hear(model, paths, None, threads)?;
    fs::create_dir_all(&args.cache)?;
    let frames: Vec<_> = heard.iter().map(|heard| &heard.frames).collect();
    write_whole(&file, &serde_json::to_vec(&frames)?)?;
    Ok(heard)
}
