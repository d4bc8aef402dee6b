//! `experiments`: the paper's curves. Accuracy by epoch for each freeze depth and optimiser.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use genrescope_train::{
    fit::{Epoch, Example, Inputs, Loss, Recipe, Task, fit},
    metrics::Share,
    net::{Net, Tap},
    optim::Method,
    pictures::write_whole,
    study::{self, Display, Probes, with_head},
    svg::{Line, curves},
    transfer,
};

use super::{Common, Loaded, RecipeFile, load, print};

#[derive(Args, Debug)]
pub(super) struct ExperimentArgs {
    #[command(flatten)]
    common: Common,
    /// The fold that is held out.
    #[arg(long, default_value_t = 0)]
    fold: usize,
    /// Epochs of each curve (paper: 25 to 40).
    #[arg(long, default_value_t = 25)]
    epochs: usize,
    /// How many blocks stay frozen in each curve: 5 is the head alone, 0 trains everything.
    #[arg(long, value_delimiter = ',', default_values_t = [5, 4, 3])]
    frozen: Vec<usize>,
    /// Also the paper's head: sigmoids, normalised by their sum.
    #[arg(long)]
    sigmoid: bool,
    /// Where the pictures go.
    #[arg(long, value_name = "FOLDER", default_value = "docs/figures")]
    out: PathBuf,
}

pub(super) fn run(args: &ExperimentArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded {
        study,
        threads,
        cache,
        ..
    } = &loaded;
    // As in the paper: no augmentation, the top of the trunk, a head that starts from nothing.
    let spec = RecipeFile {
        taps: vec![Tap::Top],
        ..loaded.file.clone()
    }
    .spec(study.labels.len());
    let (trunk, _) = transfer::choi_cnn(&loaded.tagger, spec)?;
    let plain = Recipe {
        method: Method::Adam,
        epochs: args.epochs,
        batch: 16,
        weight_decay: 0.0,
        warm_up: 0.0,
        constant_rate: true,
        smoothing: 0.0,
        mixup: 0.0,
        whole: 1.0,
        balance: 0.0,
        average: 0.0,
        clean: 1.0,
        views: 0,
        probe_crops: Vec::new(),
        ..Recipe::default()
    };
    let views = study::views(study, &trunk, &plain, cache, *threads)?;
    let probes = Probes::new(&trunk, &views, &plain, *threads);
    let learning = study.learning(Some(args.fold));
    let mut head = probes.head(
        study,
        &learning,
        0.0,
        genrescope_train::heads::Objective::Softmax,
    );
    head.weight.fill(0.0);
    head.bias.fill(0.0);
    let start: Net = with_head(&trunk, head);
    let pairs: Vec<(usize, usize)> = learning
        .iter()
        .map(|&i| (i, study.records[i].label))
        .collect();
    let held_out: Vec<(usize, usize)> = study
        .asked(args.fold)
        .into_iter()
        .map(|i| (i, study.records[i].label))
        .collect();
    let mut runs: Vec<(String, Vec<Epoch>, bool)> = Vec::new();
    let losses = if args.sigmoid {
        vec![Loss::Softmax, Loss::Sigmoid]
    } else {
        vec![Loss::Softmax]
    };
    for &frozen in &args.frozen {
        for loss in losses.iter().copied() {
            for (method, rate) in [(Method::Adam, 3e-4), (Method::SgdNesterov, 3e-3)] {
                let recipe = Recipe {
                    method,
                    loss,
                    frozen,
                    rate,
                    head_rate: rate,
                    ..plain.clone()
                };
                let examples = Example::labelled(&pairs, study.labels.len(), &recipe);
                let task = Task {
                    inputs: if recipe.learns_from_views(&trunk.spec) {
                        Inputs::Views(&views)
                    } else {
                        Inputs::Pictures(&study.pictures)
                    },
                    examples: &examples,
                    extras: &[],
                    held_out: &held_out,
                    tagger: None,
                    threads: *threads,
                    checkpoint: None,
                };
                let depth = match frozen {
                    5 => "head".to_owned(),
                    0 => "all".to_owned(),
                    n => format!("top {}", 5 - n),
                };
                let name = format!(
                    "{depth}, {}{}",
                    if method == Method::Adam {
                        "Adam"
                    } else {
                        "SGD"
                    },
                    if loss == Loss::Sigmoid {
                        ", sigmoid"
                    } else {
                        ""
                    }
                );
                let mut display = Display::new(&name);
                let (_, epochs) = fit(&start, &recipe, &task, &mut |progress| {
                    display.show(progress);
                })?;
                runs.push((name, epochs, method != Method::Adam));
            }
        }
    }
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder '{}'", args.out.display()))?;
    let line = |pick: fn(&Epoch) -> f64| -> Vec<Line> {
        runs.iter()
            .map(|(name, epochs, dashed)| Line {
                name: name.clone(),
                points: epochs
                    .iter()
                    .enumerate()
                    .map(|(i, e)| (i as f64 + 1.0, pick(e)))
                    .collect(),
                dashed: *dashed,
            })
            .collect()
    };
    let n = held_out.len();
    type Pick = fn(&Epoch) -> f64;
    let pictures: [(&str, &str, Pick); 3] = [
        ("held_out_accuracy", "accuracy on the held-out fold", |e| {
            e.held_out_accuracy.unwrap_or(f64::NAN)
        }),
        ("held_out_loss", "loss on the held-out fold", |e| {
            e.held_out_loss.unwrap_or(f64::NAN)
        }),
        (
            "training_accuracy",
            "accuracy on what is learnt from",
            |e| e.accuracy,
        ),
    ];
    for (file, title, pick) in pictures {
        let svg = curves(
            &format!("{title} (fold {}, n = {n})", args.fold),
            "epoch",
            title,
            &line(pick),
        );
        write_whole(&args.out.join(format!("freeze_{file}.svg")), svg.as_bytes())?;
    }
    print(
        "| what learns, by what | best epoch | held out, there | held out, at the end | training, at the end |\n|---|---|---|---|---|",
    )?;
    for (name, epochs, _) in &runs {
        let accuracy = |e: &Epoch| e.held_out_accuracy.unwrap_or(0.0);
        let Some((best, at)) = epochs
            .iter()
            .enumerate()
            .max_by(|a, b| accuracy(a.1).total_cmp(&accuracy(b.1)).then(b.0.cmp(&a.0)))
        else {
            continue;
        };
        let share = |accuracy: f64| Share::new((accuracy * n as f64).round() as usize, n);
        let last = &epochs[epochs.len() - 1];
        print(&format!(
            "| {name} | {} | {} | {} | {:.1} % |",
            best + 1,
            share(accuracy(at)),
            share(accuracy(last)),
            100.0 * last.accuracy
        ))?;
    }
    Ok(())
}
