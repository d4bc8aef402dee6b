//! `wide`: the model of many kinds of music.

use std::{
    fs,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result};
use clap::Args;
use genrescope::{
    network::{Bundle, Model, bundle::Weights},
    teach::Head,
};
use genrescope_train::{
    audio, calibrate,
    datasets::Dataset,
    ears::{self, Heard},
    export,
    material::{Clip, Material, Places},
    metrics::Share,
    parallel,
    pictures::write_whole,
    sounds,
    wide::{self, Measured},
};

use super::{data_root, print};

#[derive(Args, Debug)]
pub(super) struct WideArgs {
    /// Weights of the second trunk, as `distil` writes them.
    #[arg(long, value_name = "FILE", required_unless_present = "measure")]
    second: Option<PathBuf>,
    /// AudioSet's `class_labels_indices.csv`.
    #[arg(long, value_name = "FILE")]
    classes: Option<PathBuf>,
    /// Music without labels, for the heads of music and of changes of song.
    #[arg(long, value_name = "FOLDER")]
    music: Option<PathBuf>,
    /// What is not music: folders whose names tell its kinds.
    #[arg(long, value_name = "FOLDER")]
    not_music: Option<PathBuf>,
    /// Machine-made music in folders named by what the prompts asked for: it is measured, and the
    /// heads of music and of changes of song learn from it.
    #[arg(long, value_name = "FOLDER")]
    prompted: Option<PathBuf>,
    /// Songs in folders named by their tag: they are measured, and temperatures are chosen on them
    /// (the threshold, --unsure, was, too).
    #[arg(long, value_name = "FOLDER")]
    songs: Option<PathBuf>,
    /// A model to measure instead of making one.
    #[arg(long, value_name = "FILE", conflicts_with = "out")]
    measure: Option<PathBuf>,
    /// Say what is heard in each piece, too.
    #[arg(long)]
    pieces: bool,
    /// Score below which no label is named.
    #[arg(long, default_value_t = 0.4)]
    unsure: f32,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Where to write the model; its card stands beside it.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Threads [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// Seconds after which temperatures are fitted; of the last the whole recording counts.
const SECONDS: [f64; 4] = [3.0, 5.0, 10.0, 29.0];

pub(super) fn run(args: &WideArgs) -> Result<()> {
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let read = |path: &PathBuf| {
        fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))
    };
    let or = |named: &Option<PathBuf>, usual: &str| {
        named.clone().unwrap_or_else(|| data_root().join(usual))
    };
    let (prompted, songs) = (
        or(&args.prompted, "synthetic_music"),
        or(&args.songs, "songs"),
    );
    if let Some(path) = &args.measure {
        let model = Model::from_bytes(&read(path)?)?;
        return report(args, &model, [&prompted, &songs], threads).map(|_| ());
    }
    let second = args.second.as_ref().context("--second is missing")?;
    let csv = or(&args.classes, "reference/mn04/class_labels_indices.csv");
    let classes = ears::classes(&String::from_utf8_lossy(&read(&csv)?))?;
    let bundle = wide::bundle(&read(second)?, &classes)?;
    let mut bundle = heads(args, &bundle, &prompted, threads)?;
    temperatures(args, &mut bundle, &songs, threads)?;
    describe(&mut bundle);
    let model = Model::from_bundle(&bundle)?;
    let [made, real] = report(args, &model, [&prompted, &songs], threads)?;
    bundle.card.accuracies = [
        ("machine-made music, by prompt", &made),
        ("songs of today", &real),
    ]
    .iter()
    .flat_map(|(data, measured)| {
        let share = |what: &str, right: usize, n: usize| {
            export::accuracy(
                what,
                data,
                "whole pieces; no label was learnt; temperatures and the threshold were chosen on the songs",
                Share::new(right, n),
            )
        };
        [
            share("best family right", measured.best_family, measured.n),
            share("family named right", measured.named_right, measured.n),
            share("family named wrong", measured.named_wrong, measured.n),
        ]
    })
    .collect();
    let file = bundle.write()?;
    if let Some(out) = &args.out {
        let card = card(&bundle, file.len(), &made, &real);
        write_whole(&out.with_extension("md"), card.as_bytes())?;
        write_whole(out, &file)?;
        print(&format!("wrote '{}', {} bytes", out.display(), file.len()))?;
    }
    Ok(())
}

/// Fits the heads for music and for changes of song; by folds, to say how good they are, then on
/// everything.
fn heads(args: &WideArgs, bundle: &Bundle, prompted: &Path, threads: usize) -> Result<Bundle> {
    let not_music = args.not_music.clone();
    let not_music = not_music.unwrap_or_else(|| data_root().join("not_music"));
    let mut material = Material::load(
        &Places {
            music: prompted,
            lists: None,
            not_music: &not_music,
            songs: None,
        },
        args.seed,
        threads,
    )?;
    if let Some(folder) = &args.music {
        let items = Dataset::unlabelled(folder)?.items;
        let decoded = parallel::map(items.len(), threads, |i| -> Result<Vec<f32>> {
            let mono = audio::decode(&items[i].path)?;
            sounds::at_network_rate(&mono.samples, mono.rate)
        });
        for (i, samples) in decoded.into_iter().enumerate() {
            material.music.push(Clip {
                // It keeps recordings apart where another song is told from the same, and nothing
                // else.
                label: Some(i % bundle.card.labels.len()),
                kind: "music".into(),
                fold: i % material.folds,
                whole: true,
                samples: samples?,
            });
        }
    }
    let folds = vec![bundle.clone(); material.folds];
    let (_, calibration) = calibrate::folds(&folds, &material, args.seed, threads)?;
    print(&calibration.words())?;
    let mut bundle = calibrate::last(bundle, &calibration, &material, args.seed, threads)?;
    bundle.card.data = calibration.words();
    Ok(bundle)
}

/// Temperatures by seconds heard, and the threshold.
fn temperatures(args: &WideArgs, bundle: &mut Bundle, songs: &Path, threads: usize) -> Result<()> {
    let model = Model::from_bundle(bundle)?;
    let head = head_of(bundle)?;
    let (paths, truths): (Vec<PathBuf>, Vec<Vec<usize>>) =
        wide::pieces(songs, model.labels())?.into_iter().unzip();
    let decision = &mut bundle.card.decision;
    decision.temperatures.clear();
    for seconds in SECONDS {
        let heard: Vec<Heard> = ears::hear(&model, &paths, Some(seconds), threads)?;
        let temperature = wide::family_temperature(&model, &head, &heard, &truths);
        print(&format!("temperature after {seconds} s: {temperature:.3}"))?;
        decision.temperatures.push([seconds as f32, temperature]);
        decision.temperature = temperature;
    }
    decision.unsure_threshold = args.unsure;
    Ok(())
}

fn head_of(bundle: &Bundle) -> Result<Head> {
    let tensor = |name: &str| {
        bundle
            .tensors
            .get(name)
            .map(Weights::to_f32)
            .context(name.to_owned())
    };
    Ok(Head {
        weight: tensor("output.weight")?,
        bias: tensor("output.bias")?,
    })
}

/// Measures and says it.
fn report(
    args: &WideArgs,
    model: &Arc<Model>,
    folders: [&PathBuf; 2],
    threads: usize,
) -> Result<[Measured; 2]> {
    let mut both = Vec::new();
    for folder in folders {
        let pieces = wide::pieces(folder, model.labels())?;
        let measured = wide::measure(model, &pieces, threads)?;
        print(&format!("{}:\n{}", folder.display(), table(&measured)))?;
        if args.pieces {
            print(&measured.words.join("\n"))?;
        }
        both.push(measured);
    }
    both.try_into().ok().context("two folders")
}

/// What was measured, as Markdown.
fn table(measured: &Measured) -> String {
    let m = measured;
    let share = |right: usize| Share::new(right, m.n).to_string();
    let [kinds, right, family] = m.with_kind;
    let mut text = format!(
        "| what | share (right of all; 95 % interval) |\n|---|---|\n| best family is right | {} |\n| named, and its family is right | {} \
         |\n| named, and its family is wrong | {} |\n| no label named (unsure) | {} |\n| called not music, or too short | {} |\n| a kind \
         is named, not its family alone | {} |\n| where the kind is known: just that is named | {} |\n| where the kind is known: its \
         family is named | {} |\n\nMean negative log-likelihood of the family: {:.2}. A kind of the right family named where nobody knows the \
         kind: {}.\n\n| folder | best family right | named right | pieces |\n|---|---|---|---|\n",
        share(m.best_family),
        share(m.named_right),
        share(m.named_wrong),
        share(m.n - m.named_right - m.named_wrong - m.refused),
        share(m.refused),
        share(m.kinds_named),
        Share::new(right, kinds),
        Share::new(family, kinds),
        m.surprise / m.n.max(1) as f64,
        m.unknown_kind,
    );
    for (folder, [best, named, n]) in &m.by_folder {
        text += &format!("| {folder} | {best} | {named} | {n} |\n");
    }
    text
}

/// What the model says of itself.
fn describe(bundle: &mut Bundle) {
    let card = &mut bundle.card;
    card.name = "genrescope-wide-1".into();
    card.notice = "No genre label was learnt and nothing of it was trained on GTZAN. What it says are AudioSet's classes as a small tagger \
                   hears them; whether its kinds are right is hardly measured."
        .into();
    card.data = format!(
        "Second trunk: trained on AudioSet by its authors, then into itself on freely licensed music of games and on what is not music, \
         without labels. Temperatures: songs of today with a tag. {}",
        card.data
    );
    card.recipe = "Second trunk: genrescope-train distil train/recipes/wide.json. Then genrescope-train wide: the tree of src/wide.rs, the \
                   heads for music and changes of song, temperatures."
        .into();
    card.licence =
        "MIT OR Apache-2.0 for what is ours; the tagger it started from is under the MIT licence"
            .into();
    card.credits = "Second trunk initialised from EfficientAT mn04_as (F. Schmid, K. Koutini and G. Widmer; MIT licence), trained on AudioSet \
                    (J. Gemmeke et al., Google; its labels under CC BY 4.0, its ontology under CC BY-SA 4.0)."
        .into();
}

/// The card as Markdown.
fn card(bundle: &Bundle, bytes: usize, made: &Measured, real: &Measured) -> String {
    let card = &bundle.card;
    let weights: usize = bundle
        .tensors
        .values()
        .map(|weights| weights.shape().iter().product::<usize>())
        .sum();
    let mut tree = String::new();
    for index in 0..card.labels.len() {
        if card.labels.family_of(index).is_none() {
            let kinds = card.labels.kinds_of(index);
            let kinds: Vec<&str> = kinds.filter_map(|kind| card.labels.get(kind)).collect();
            let name = card.labels.get(index).unwrap_or_default();
            tree += &format!("| {name} | {} |\n", kinds.join(", "));
        }
    }
    format!(
        "# {}\n\n{}\n\nHow it is used, and how it names: docs/wide.md.\n\n| | |\n|---|---|\n| file | {bytes} bytes |\n| parameters | {weights} |\n\
         | network | MobileNet, 128 mel bands x 1000 columns (10 s, from 12 kHz), shares of AudioSet's classes; no first trunk |\n| labels | {} \
         |\n| temperature | {:.3} |\n| unsure below | {:.2} |\n\n| family | its kinds |\n|---|---|\n{tree}\n## Data\n\n{}\n\n## Recipe\n\n{}\n\n\
         ## Measured\n\n`genrescope-train wide --measure models/wide.safetensors`, whole pieces through the product.\n\n### Songs of today with a tag\n\n\
         Temperatures and the threshold were chosen on them (the share of right families does not depend on these).\n\n{}\n### Machine-made music, by the genre that its prompt asked for\n\nThe folder is named by a word of the prompt, which is no reliable label: pieces \
         of one group of prompts lie under classical and under rock, others under classical and under pop or country.\n\n{}\n## Not measured\n\nKinds: of the pieces \
         above hardly any says its kind, so that nothing is known of how often house is taken for techno. Latin, African, Asian, Middle Eastern, \
         new age, gospel and folk music: no or next to no pieces. How often a listener's display changes within a song, and how well this model hears in a room: not with music that has labels. Rap is told by the class for rapping, not by that of the music. Dub and \
         much else that people ask for is no class of AudioSet and no label here.\n\n## Licence\n\n{}. No GTZAN recording or label was used for any part \
         of it, so that the limits of that collection (research only) do not hold for this model.\n\n## Credits\n\n{}\n",
        card.name,
        card.notice,
        card.labels.len(),
        card.decision.temperature,
        card.decision.unsure_threshold,
        card.data,
        card.recipe,
        table(real),
        table(made),
        card.licence,
        card.credits
    )
}
