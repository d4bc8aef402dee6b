//! A data set with its pictures: what every command starts from, and what is done by folds.

use std::{
    io::{IsTerminal as _, Write as _},
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context as _, Result, ensure};

use crate::{
    datasets::Dataset,
    fit::{
        Epoch, Example, Inputs, Progress, Recipe, Task, View, fit, kept_view, view, view_embeddings,
    },
    heads::{Linear, Objective, Rows, fit_linear, regress},
    metrics::Confusion,
    parallel,
    pictures::{FRAME_COLUMNS, Picture, PictureCache},
    teacher::{Hints, Teacher},
    trainable::{Differentiable, Trainable},
    transfer::Tagger,
};

/// Recordings with labels and pictures.
#[derive(Clone, Debug)]
pub struct Study {
    /// The labels, in output order.
    pub labels: Vec<String>,
    /// One for each recording that could be read.
    pub records: Vec<Record>,
    /// Their pictures, in the same order; after them, pictures of recordings without a label.
    pub pictures: Vec<Picture>,
    /// The same recordings as they are heard ([`crate::hearing`]), each time all of them.
    pub heard: Vec<Vec<Picture>>,
    /// Where the pictures without a label come from.
    pub unlabelled: Vec<PathBuf>,
}

/// What is known of a recording.
#[derive(Clone, Debug)]
pub struct Record {
    /// Where it lies.
    pub path: PathBuf,
    /// Its label.
    pub label: usize,
    /// Its fold.
    pub fold: usize,
    /// Whether it counts in accuracies (excerpts of a few seconds do not).
    pub whole: bool,
}

impl Study {
    /// Decodes (or finds kept) all recordings of `dataset` that have a label. What cannot be read
    /// is listed on standard error and passed over. Without folds in the data, five are dealt by
    /// seed.
    ///
    /// # Errors
    /// When nothing can be read.
    pub fn load(
        mut dataset: Dataset,
        cache: &PictureCache,
        threads: usize,
        seed: u64,
    ) -> Result<Self> {
        if dataset.items.iter().any(|item| item.fold.is_none()) {
            dataset.assign_folds(5, seed);
        }
        let paths: Vec<PathBuf> = dataset.items.iter().map(|item| item.path.clone()).collect();
        let pictures = load_pictures(&paths, None, cache, threads);
        let (mut records, mut kept) = (Vec::new(), Vec::new());
        for (item, picture) in dataset.items.iter().zip(pictures) {
            let (Some(label), Some(fold)) = (item.label, item.fold) else {
                continue;
            };
            match picture {
                Ok(picture) => {
                    records.push(Record {
                        path: item.path.clone(),
                        label,
                        fold,
                        whole: item.whole,
                    });
                    kept.push(picture);
                }
                Err(error) => dataset
                    .skipped
                    .push((item.path.clone(), format!("{error:#}"))),
            }
        }
        say(&dataset.skipped_report());
        ensure!(
            !records.is_empty(),
            "none of {} recordings could be read",
            paths.len()
        );
        Ok(Self {
            labels: dataset.labels,
            records,
            pictures: kept,
            heard: Vec::new(),
            unlabelled: Vec::new(),
        })
    }

    /// Appends all recordings in `folders`, frame by frame, without labels. What cannot be read is
    /// listed and passed over.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn add_unlabelled(
        &mut self,
        folders: &[PathBuf],
        cache: &PictureCache,
        threads: usize,
    ) -> Result<()> {
        for folder in folders {
            let mut dataset = Dataset::unlabelled(folder)?;
            let paths: Vec<PathBuf> = dataset.items.iter().map(|item| item.path.clone()).collect();
            let pictures = load_pictures(&paths, None, cache, threads);
            for (path, picture) in paths.into_iter().zip(pictures) {
                match picture {
                    Ok(picture) => {
                        let frames = picture.frames();
                        self.unlabelled.extend(frames.iter().map(|_| path.clone()));
                        self.pictures.extend(frames);
                    }
                    Err(error) => dataset.skipped.push((path, format!("{error:#}"))),
                }
            }
            say(&dataset.skipped_report());
        }
        Ok(())
    }

    /// Adds `times` pictures of every recording as it is heard ([`crate::hearing`]).
    ///
    /// # Errors
    /// When one of them can no longer be read.
    pub fn hear(&mut self, times: usize, cache: &PictureCache, threads: usize) -> Result<()> {
        let mut paths: Vec<PathBuf> = self.records.iter().map(|r| r.path.clone()).collect();
        let labelled = paths.len();
        // Frames of one recording follow each other.
        paths.extend(self.unlabelled.iter().cloned());
        paths.dedup();
        for time in self.heard.len()..times {
            let mut heard = Vec::with_capacity(self.pictures.len());
            for (i, picture) in load_pictures(&paths, Some(time as u64), cache, threads)
                .into_iter()
                .enumerate()
            {
                let picture = picture?;
                if i < labelled {
                    heard.push(picture);
                } else {
                    heard.extend(picture.frames());
                }
            }
            ensure!(
                heard.len() == self.pictures.len(),
                "{} pictures of what is heard beside {} of the recordings: did a file change meanwhile?",
                heard.len(),
                self.pictures.len()
            );
            self.heard.push(heard);
        }
        Ok(())
    }

    /// Names all pictures, in order: what is computed from them may be kept under it.
    pub fn identity(&self) -> String {
        let records = self.records.iter().map(|record| &record.path);
        records
            .chain(&self.unlabelled)
            .fold(String::new(), |identity, path| {
                identity + &format!("{}\n", path.display())
            })
    }

    /// Number of folds.
    pub fn folds(&self) -> usize {
        self.records.iter().map(|r| r.fold + 1).max().unwrap_or(0)
    }

    /// Indices of the recordings to learn from when `fold` is held out (none: all).
    pub fn learning(&self, fold: Option<usize>) -> Vec<usize> {
        (0..self.records.len())
            .filter(|&i| fold != Some(self.records[i].fold))
            .collect()
    }

    /// Indices of the whole recordings of `fold`.
    pub fn asked(&self, fold: usize) -> Vec<usize> {
        (0..self.records.len())
            .filter(|&i| self.records[i].fold == fold && self.records[i].whole)
            .collect()
    }

    /// Confusion of answers `(record, answer)`.
    pub fn confusion(&self, answers: impl IntoIterator<Item = (usize, usize)>) -> Confusion {
        Confusion::of(
            &self.labels,
            answers
                .into_iter()
                .map(|(i, answer)| (self.records[i].label, answer)),
        )
    }
}

/// The columns of a recording's first frame, or all that there are; looped only below one step of
/// `step` columns (64 in the CNN, 96 in the CRNN): with less the network has nothing to say.
pub fn first_frame(picture: &Picture, step: usize) -> Vec<f32> {
    picture.crop(0, picture.columns().clamp(step, FRAME_COLUMNS))
}

/// Pictures of `paths`, as they are or as they are heard the `variant`-th time, with a line of
/// progress on a terminal.
pub fn load_pictures(
    paths: &[PathBuf],
    variant: Option<u64>,
    cache: &PictureCache,
    threads: usize,
) -> Vec<Result<Picture>> {
    let terminal = std::io::stderr().is_terminal();
    let pictures = cache.pictures(paths, variant, threads, &|done, of| {
        if terminal {
            say(&format!("\rpictures {done}/{of} "));
        }
    });
    if terminal {
        say("\n");
    }
    pictures
}

/// Writes to standard error; when nobody reads it, nothing is lost.
pub fn say(text: &str) {
    let _ = std::io::stderr().write_all(text.as_bytes());
}

/// A line that follows a run: epoch, loss and accuracy, rewritten in place on a terminal, one line
/// an epoch elsewhere.
#[derive(Debug)]
pub struct Display {
    name: String,
    terminal: bool,
    shown: usize,
    began: Instant,
}

impl Display {
    /// A display for the run called `name`.
    pub fn new(name: &str) -> Self {
        Self {
            name: name.to_owned(),
            terminal: std::io::stderr().is_terminal(),
            shown: 0,
            began: Instant::now(),
        }
    }

    /// Shows where the run stands.
    pub fn show(&mut self, progress: Progress<'_>) {
        if self.terminal {
            let left = self.began.elapsed().as_secs_f64() / progress.step as f64
                * (progress.steps - progress.step) as f64;
            say(&format!(
                "\r{} step {}/{} loss {:.3} accuracy {:.2} ({left:.0} s left)   ",
                self.name, progress.step, progress.steps, progress.loss, progress.accuracy
            ));
        }
        while self.shown < progress.epochs.len() {
            let epoch = &progress.epochs[self.shown];
            self.shown += 1;
            let start = if self.terminal { "\r" } else { "" };
            say(&format!(
                "{start}{} epoch {}: {}\n",
                self.name,
                self.shown,
                describe(epoch)
            ));
        }
    }
}

fn describe(epoch: &Epoch) -> String {
    let mut line = format!("loss {:.3}, accuracy {:.3}", epoch.loss, epoch.accuracy);
    if let (Some(loss), Some(accuracy)) = (epoch.held_out_loss, epoch.held_out_accuracy) {
        line += &format!("; held out: loss {loss:.3}, accuracy {accuracy:.3}");
    }
    line + &format!(" [{:.0} s]", epoch.seconds)
}

/// Embeddings by the untouched trunk, of every recording, in several forms: clean, damaged, in
/// parts.
#[derive(Clone, Debug)]
pub struct Probes {
    /// Length of an embedding.
    pub len: usize,
    /// Each `[records, len]`; the first is of the clean whole frame.
    pub sets: Vec<Vec<f32>>,
}

impl Probes {
    /// The forms that `recipe` asks for.
    pub fn new(trunk: &Trainable, views: &[View], recipe: &Recipe, threads: usize) -> Self {
        let mut sets: Vec<Vec<f32>> = views
            .iter()
            .take(recipe.views + 1)
            .map(|view| view_embeddings(trunk, view, None, threads))
            .collect();
        sets.extend(
            recipe
                .probe_crops
                .iter()
                .map(|&part| view_embeddings(trunk, &views[0], Some(part), threads)),
        );
        Self {
            len: trunk.embedding_len(),
            sets,
        }
    }

    /// Only the clean whole frames: the plain baseline.
    #[must_use]
    pub fn clean(&self) -> Self {
        Self {
            len: self.len,
            sets: self.sets[..1].to_vec(),
        }
    }

    /// Only the first `len` values: the top of the trunk, where it is the first tap.
    #[must_use]
    pub fn first(&self, len: usize) -> Self {
        let cut = |set: &Vec<f32>| {
            set.chunks_exact(self.len)
                .flat_map(|row| row[..len].iter().copied())
                .collect()
        };
        Self {
            len,
            sets: self.sets.iter().map(cut).collect(),
        }
    }

    /// The clean embedding of recording `i`.
    pub fn row(&self, i: usize) -> &[f32] {
        &self.sets[0][i * self.len..(i + 1) * self.len]
    }

    /// A linear head on all forms of the recordings `learning`.
    pub fn head(
        &self,
        study: &Study,
        learning: &[usize],
        decay: f32,
        objective: Objective,
    ) -> Linear {
        let (mut rows, mut truths) = (Vec::new(), Vec::new());
        for set in &self.sets {
            for &i in learning {
                rows.extend_from_slice(&set[i * self.len..(i + 1) * self.len]);
                truths.push(study.records[i].label);
            }
        }
        fit_linear(
            Rows {
                values: &rows,
                len: self.len,
            },
            &truths,
            study.labels.len(),
            objective,
            decay,
        )
    }
}

/// What [`train`] needs beside the study.
#[derive(Clone, Copy, Debug)]
pub struct Setting<'a> {
    /// The trunk to start from.
    pub trunk: &'a Trainable,
    /// Its tag layer, where it was trained for tags.
    pub tagger: Option<&'a Tagger>,
    /// Embeddings of all recordings by that trunk.
    pub probes: &'a Probes,
    /// Kept views of each of the recipe's runs, in the order of [`Recipe::runs`], for those that
    /// freeze what they show.
    pub views: &'a [Vec<View>],
    /// Who is asked for targets beside the labels, for recipes that want them.
    pub teacher: Option<&'a Teacher>,
    /// Threads to use.
    pub threads: usize,
    /// Folder for checkpoints, and steps between them.
    pub checkpoints: Option<(&'a Path, usize)>,
}

/// Trains by `recipe` on everything but `fold` (none: on everything).
///
/// # Errors
/// When a checkpoint cannot be read or written.
pub fn train(
    study: &Study,
    setting: &Setting<'_>,
    recipe: &Recipe,
    fold: Option<usize>,
    name: &str,
) -> Result<(Trainable, Vec<Epoch>)> {
    let learning = study.learning(fold);
    let mut start = if let Some(first) = &recipe.first {
        let setting = Setting {
            views: setting.views.get(1..).unwrap_or_default(),
            ..*setting
        };
        train(study, &setting, first, fold, &format!("{name}_first"))?.0
    } else {
        let head = setting
            .probes
            .head(study, &learning, recipe.probe_decay, Objective::Softmax);
        let mut net = setting.trunk.clone();
        net.set_head(head);
        net
    };
    if recipe.epochs == 0 {
        return Ok((start, Vec::new()));
    }
    let pairs: Vec<(usize, usize)> = learning
        .iter()
        .map(|&i| (i, study.records[i].label))
        .collect();
    let mut examples = Example::labelled(&pairs, study.labels.len(), recipe);
    let mut extras = Vec::new();
    let mut hints = None;
    if let Some(teacher) = setting.teacher {
        let (known, unknown) = teacher.targets(study, &learning, recipe.teacher_decay);
        for (example, said) in examples.iter_mut().zip(known) {
            for (target, said) in example.target.iter_mut().zip(said) {
                *target += recipe.distil * (said - *target);
            }
        }
        extras = Example::unlabelled(study.records.len(), unknown);
        if recipe.hint > 0.0 {
            let told = teacher.hints(&learning);
            start.set_hints(Some(hint_layer(setting.probes, &learning, &told)?));
            hints = Some(told);
        }
    }
    if recipe.tags > 0.0 {
        let tagger = setting.tagger.context(
            "the recipe's \"tags\" need a trunk that was trained for them: leave \"tags\" or \"start\" out",
        )?;
        let top = tagger.weight.len() / tagger.bias.len();
        for example in examples.iter_mut().chain(&mut extras) {
            example.tags = match setting.teacher {
                Some(teacher) => teacher.tags(example.input).to_vec(),
                None => tagger.scores(&setting.probes.row(example.input)[..top]),
            };
        }
    }
    let held_out: Vec<(usize, usize)> = fold.map_or(Vec::new(), |fold| {
        study
            .asked(fold)
            .into_iter()
            .map(|i| (i, study.records[i].label))
            .collect()
    });
    let file = setting
        .checkpoints
        .map(|(folder, every)| (folder.join(format!("{name}.checkpoint.safetensors")), every));
    let task = Task {
        inputs: if recipe.learns_from_views(setting.trunk) {
            Inputs::Views(setting.views.first().map_or(&[], Vec::as_slice))
        } else {
            Inputs::Pictures(&study.pictures, &study.heard)
        },
        examples: &examples,
        extras: &extras,
        held_out: &held_out,
        hints: hints.as_ref(),
        tagger: setting
            .tagger
            .map(|tagger| (tagger.weight.as_slice(), tagger.bias.as_slice())),
        threads: setting.threads,
        checkpoint: file.as_ref().map(|(path, every)| (path.as_path(), *every)),
    };
    let mut display = Display::new(name);
    let (mut net, epochs) = fit(&start, recipe, &task, &mut |progress| {
        display.show(progress);
    })?;
    net.set_hints(None);
    Ok((net, epochs))
}

/// The best map from the untouched trunk's embeddings of `learning` to the teacher's features:
/// where the hint layer starts.
fn hint_layer(
    probes: &Probes,
    learning: &[usize],
    hints: &Hints<'_>,
) -> Result<(Vec<f32>, Vec<f32>)> {
    let from: Vec<f32> = learning
        .iter()
        .flat_map(|&i| probes.row(i))
        .copied()
        .collect();
    let to: Vec<f32> = learning.iter().flat_map(|&i| hints.of(i, None)).collect();
    regress(
        Rows {
            values: &from,
            len: probes.len,
        },
        Rows {
            values: &to,
            len: hints.values(),
        },
        3.0,
    )
}

/// The clean view and the damaged ones that a recipe wants, kept in the cache folder.
///
/// # Errors
/// When they cannot be kept.
pub fn views(
    study: &Study,
    trunk: &Trainable,
    recipe: &Recipe,
    cache: &PictureCache,
    threads: usize,
) -> Result<Vec<View>> {
    let identity = study.identity();
    (0..=recipe.views as u64)
        .map(|seed| {
            let damage = (seed > 0).then_some(&recipe.augment);
            // The sum of squares tells trunks apart, and survives a fold that rounds otherwise.
            let kept = trunk.kept_blocks();
            let of_kept = trunk.params.iter().filter(|param| param.layer < kept);
            let squares: f64 = of_kept
                .flat_map(|param| &param.values)
                .map(|w| f64::from(*w).powi(2))
                .sum();
            let (floor, input) = (trunk.front_end.floor_db, &trunk.architecture.normalisation);
            let key = format!("{identity}{damage:?}{seed}{floor}{input:?}{kept}{squares:.4e}");
            let path = cache.folder().join(format!(
                "{:016x}.view",
                crate::pictures::fnv1a(key.as_bytes())
            ));
            kept_view(&path, || {
                say(&format!(
                    "view {seed} of {}: '{}'\n",
                    recipe.views,
                    path.display()
                ));
                view(trunk, &study.pictures, damage, seed, threads)
            })
        })
        .collect()
}

/// Logits of the first frame of the recordings `asked`, cut to so many columns from a first one on,
/// `(first, columns)` (none: the whole frame).
pub fn logits(
    net: &Trainable,
    study: &Study,
    asked: &[usize],
    cut: Option<(usize, usize)>,
    threads: usize,
) -> Vec<Vec<f32>> {
    let network = Differentiable::new(net);
    parallel::map(asked.len(), threads, |k| {
        let picture = &study.pictures[asked[k]];
        let db = match cut {
            Some((first, columns)) => picture.crop(
                first.min(picture.columns().saturating_sub(columns)),
                columns,
            ),
            None => first_frame(picture, net.architecture.step_columns()),
        };
        network.logits(&db)
    })
}
