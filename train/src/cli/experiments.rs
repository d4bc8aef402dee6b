//! `experiments`: the paper's curves. Accuracy by epoch for each network, freeze depth and
//! optimiser.

use std::{fs, path::PathBuf};

use anyhow::{Context, Result, ensure};
use clap::Args;
use genrescope_train::{
    fit::{Epoch, Example, Inputs, Loss, Recipe, Task, fit, further},
    heads::Rows,
    metrics::Share,
    optim::Method,
    pictures::write_whole,
    study::{self, Display, Probes},
    svg::{Line, curves},
    transfer::{self, Tap},
};

use super::{Common, Kind, Loaded, RecipeFile, load, print};

#[derive(Args, Debug)]
pub(super) struct ExperimentArgs {
    #[command(flatten)]
    common: Common,
    /// The folds that are held out by turns, and pooled [default: all].
    #[arg(long, value_delimiter = ',')]
    folds: Vec<usize>,
    /// Epochs of each curve (paper: 25 to 40).
    #[arg(long, default_value_t = 25)]
    epochs: usize,
    /// How many layers of the CNN stay frozen in each curve: 5 is the head alone, 0 trains
    /// everything.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', default_values_t = [5, 4, 3])]
    cnn_frozen: Vec<usize>,
    /// The same of the CRNN: 6 is the head alone, 4 trains the GRUs, 3 the top convolution, too.
    #[arg(long, value_name = "LAYERS", value_delimiter = ',', default_values_t = [6, 4, 3])]
    crnn_frozen: Vec<usize>,
    /// Also the paper's head: sigmoids, normalised by their sum.
    #[arg(long)]
    sigmoid: bool,
    /// Keep checkpoints here, and resume from them.
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
    /// Where the pictures go.
    #[arg(long, value_name = "FOLDER", default_value = "docs/figures")]
    out: PathBuf,
}

/// One curve, pooled over folds.
struct Curve {
    kind: Kind,
    frozen: usize,
    method: Method,
    loss: Loss,
    epochs: Vec<Epoch>,
    /// Recordings that were asked.
    n: usize,
}

impl Curve {
    fn name(&self) -> String {
        let optimiser = match self.method {
            Method::SgdNesterov => "SGD",
            Method::Adam | Method::AdamW => "Adam",
        };
        let sigmoid = match self.loss {
            Loss::Softmax => "",
            Loss::Sigmoid => ", sigmoid",
        };
        format!("{}, {optimiser}{sigmoid}", depth(self.kind, self.frozen))
    }

    /// The best epoch, from 0; the first of equals.
    fn best(&self) -> usize {
        let accuracy = |i: usize| self.epochs[i].held_out_accuracy.unwrap_or(0.0);
        (0..self.epochs.len())
            .max_by(|&a, &b| accuracy(a).total_cmp(&accuracy(b)).then(b.cmp(&a)))
            .unwrap_or(0)
    }

    fn line(&self, name: String, dashed: bool, pick: impl Fn(&Epoch) -> f64) -> Line {
        let points = self.epochs.iter().enumerate();
        Line {
            name,
            points: points.map(|(i, e)| (i as f64 + 1.0, pick(e))).collect(),
            dashed,
        }
    }
}

/// What learns, in the paper's words.
fn depth(kind: Kind, frozen: usize) -> String {
    match (kind, frozen) {
        (_, 0) => "all".into(),
        (Kind::Cnn, 5..) | (Kind::Crnn, 6..) => "head".into(),
        (Kind::Cnn, n) => format!("top {}", 5 - n),
        (Kind::Crnn, 5) => "upper GRU".into(),
        (Kind::Crnn, 4) => "RNN".into(),
        (Kind::Crnn, 3) => "RNN + top conv".into(),
        (Kind::Crnn, n) => format!("RNN + top {} conv", 4 - n),
    }
}

/// The paper's figure, read off its plots.
fn of_the_paper(kind: Kind, frozen: usize) -> &'static str {
    match (kind, frozen) {
        (Kind::Cnn, 5..) => "0.78",
        (Kind::Cnn, 4) => "0.73",
        (Kind::Cnn, 3) => "0.72",
        (Kind::Crnn, 6..) => "0.76, rising",
        (Kind::Crnn, 4) => "0.745",
        (Kind::Crnn, 3) => "0.76",
        _ => "-",
    }
}

pub(super) fn run(args: &ExperimentArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let folds: Vec<usize> = if args.folds.is_empty() {
        (0..loaded.study.folds()).collect()
    } else {
        args.folds.clone()
    };
    ensure!(
        folds.iter().all(|&fold| fold < loaded.study.folds()),
        "--folds: there are {} folds, from 0",
        loaded.study.folds()
    );
    if let Some(folder) = &args.checkpoints {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
    }
    let mut all = Vec::new();
    for (kind, depths) in [
        (Kind::Cnn, &args.cnn_frozen),
        (Kind::Crnn, &args.crnn_frozen),
    ] {
        if !depths.is_empty() {
            all.extend(learn(args, &loaded, kind, depths, &folds)?);
        }
    }
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder '{}'", args.out.display()))?;
    draw(args, &all)?;
    print(
        "| network | what learns, by what | best epoch | held out, there | held out, at the end | training, at the end | paper |\n|---|---|---|---|---|---|---|",
    )?;
    for curve in all.iter().filter(|curve| !curve.epochs.is_empty()) {
        let (best, last) = (curve.best(), curve.epochs.len() - 1);
        let share = |epoch: usize| {
            let accuracy = curve.epochs[epoch].held_out_accuracy.unwrap_or(0.0);
            Share::new((accuracy * curve.n as f64).round() as usize, curve.n)
        };
        print(&format!(
            "| {} | {} | {} | {} | {} | {:.1} % | {} |",
            curve.kind.name(),
            curve.name(),
            best + 1,
            share(best),
            share(last),
            100.0 * curve.epochs[last].accuracy,
            of_the_paper(curve.kind, curve.frozen)
        ))?;
    }
    Ok(())
}

/// All curves of one network.
fn learn(
    args: &ExperimentArgs,
    loaded: &Loaded,
    kind: Kind,
    depths: &[usize],
    folds: &[usize],
) -> Result<Vec<Curve>> {
    let Loaded {
        study,
        threads,
        cache,
        ..
    } = loaded;
    // As in the paper: no augmentation, the top alone, a head that starts from nothing.
    let network = RecipeFile {
        network: kind,
        taps: vec![Tap::Top],
        input: kind.input(),
        ..loaded.file.clone()
    }
    .network(&study.labels)?;
    let (trunk, _) = transfer::choi(loaded.weights(kind), network)?;
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
    let losses: &[Loss] = if args.sigmoid {
        &[Loss::Softmax, Loss::Sigmoid]
    } else {
        &[Loss::Softmax]
    };
    let mut all = Vec::new();
    for &frozen in depths {
        // Frozen blocks run once.
        let blocks = frozen.min(trunk.architecture.blocks.len());
        let below = trunk.kept_blocks();
        let kept =
            (blocks >= below).then(|| further(&trunk, &views[0].planes, below, blocks, *threads));
        let inputs = match &kept {
            Some(planes) => Inputs::Frames(planes, blocks),
            None => Inputs::Pictures(&study.pictures, &[]),
        };
        for &loss in losses {
            for (method, rate, head_rate) in [
                (Method::Adam, 3e-4, 1e-3),
                (Method::SgdNesterov, 3e-4, 3e-3),
            ] {
                let mut curve = Curve {
                    kind,
                    frozen,
                    method,
                    loss,
                    epochs: Vec::new(),
                    n: 0,
                };
                let recipe = Recipe {
                    method,
                    loss,
                    frozen,
                    rate,
                    head_rate,
                    ..plain.clone()
                };
                for &fold in folds {
                    let learning = study.learning(Some(fold));
                    let rows: Vec<f32> = learning
                        .iter()
                        .flat_map(|&i| probes.row(i).iter().copied())
                        .collect();
                    let rows = Rows {
                        values: &rows,
                        len: probes.len,
                    };
                    let mut start = trunk.clone();
                    (start.embedding_mean, start.embedding_std) = rows.moments();
                    let pair = |i: usize| (i, study.records[i].label);
                    let pairs: Vec<(usize, usize)> = learning.into_iter().map(pair).collect();
                    let held_out: Vec<(usize, usize)> =
                        study.asked(fold).into_iter().map(pair).collect();
                    let examples = Example::labelled(&pairs, study.labels.len(), &recipe);
                    let name = format!("{kind:?}, {}, fold {fold}", curve.name());
                    let file = args.checkpoints.as_ref().map(|folder| {
                        folder.join(format!(
                            "{}.safetensors",
                            name.to_lowercase().replace(", ", "_").replace(' ', "_")
                        ))
                    });
                    let task = Task {
                        inputs,
                        examples: &examples,
                        extras: &[],
                        held_out: &held_out,
                        hints: None,
                        tagger: None,
                        threads: *threads,
                        checkpoint: file.as_deref().map(|path| (path, 100)),
                    };
                    let mut display = Display::new(&name);
                    let (_, epochs) = fit(&start, &recipe, &task, &mut |progress| {
                        display.show(progress);
                    })?;
                    pool(&mut curve, &epochs, held_out.len());
                }
                all.push(curve);
            }
        }
    }
    Ok(all)
}

/// Adds what happened with one fold of `n` recordings held out: each recording counts the same.
fn pool(curve: &mut Curve, epochs: &[Epoch], n: usize) {
    if curve.epochs.is_empty() {
        curve.epochs = epochs.to_vec();
        curve.n = n;
        return;
    }
    let all = (curve.n + n) as f64;
    let (was, new) = (curve.n as f64 / all, n as f64 / all);
    for (to, from) in curve.epochs.iter_mut().zip(epochs) {
        let mix = |a: f64, b: f64| was * a + new * b;
        to.loss = mix(to.loss, from.loss);
        to.accuracy = mix(to.accuracy, from.accuracy);
        to.held_out_loss = to
            .held_out_loss
            .zip(from.held_out_loss)
            .map(|(a, b)| mix(a, b));
        to.held_out_accuracy = to
            .held_out_accuracy
            .zip(from.held_out_accuracy)
            .map(|(a, b)| mix(a, b));
        to.seconds += from.seconds;
    }
    curve.n += n;
}

/// The three figures.
fn draw(args: &ExperimentArgs, all: &[Curve]) -> Result<()> {
    let held_out = |e: &Epoch| e.held_out_accuracy.unwrap_or(f64::NAN);
    let write = |name: &str, title: &str, y: &str, lines: &[Line]| -> Result<()> {
        if lines.is_empty() {
            return Ok(());
        }
        let path = args.out.join(format!("{name}.svg"));
        write_whole(&path, curves(title, "epoch", y, lines).as_bytes())?;
        print(&format!("wrote '{}'", path.display()))
    };
    for (kind, name, title) in [
        (
            Kind::Cnn,
            "cnn_by_depth",
            "CNN: accuracy on the held-out folds",
        ),
        (
            Kind::Crnn,
            "crnn_by_depth",
            "CRNN: accuracy on the held-out folds",
        ),
    ] {
        let lines: Vec<Line> = all
            .iter()
            .filter(|curve| curve.kind == kind)
            .map(|curve| curve.line(curve.name(), curve.method != Method::Adam, held_out))
            .collect();
        write(name, title, "accuracy", &lines)?;
    }
    // Optimisers are compared where most learns: the last depth of the CRNN, or of the CNN.
    let Some(last) = all.last() else {
        return Ok(());
    };
    let of_last = || {
        all.iter()
            .filter(|c| c.kind == last.kind && c.frozen == last.frozen && c.loss == Loss::Softmax)
    };
    let what = format!("{:?}, {}", last.kind, depth(last.kind, last.frozen))
        .replace("Crnn", "CRNN")
        .replace("Cnn", "CNN");
    let mut accuracy = Vec::new();
    let mut loss = Vec::new();
    for curve in of_last() {
        let name = if curve.method == Method::Adam {
            "Adam"
        } else {
            "SGD"
        };
        accuracy.push(curve.line(format!("{name}, training"), true, |e| e.accuracy));
        accuracy.push(curve.line(format!("{name}, held out"), false, held_out));
        loss.push(curve.line(format!("{name}, training"), true, |e| e.loss));
        loss.push(curve.line(format!("{name}, held out"), false, |e| {
            e.held_out_loss.unwrap_or(f64::NAN)
        }));
    }
    write(
        "optimisers_accuracy",
        &format!("{what}: accuracy by optimiser"),
        "accuracy",
        &accuracy,
    )?;
    write(
        "optimisers_loss",
        &format!("{what}: loss by optimiser"),
        "loss",
        &loss,
    )
}
