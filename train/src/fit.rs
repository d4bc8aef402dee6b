//! Training: one engine for every recipe, resumable at any step.
//!
//! A batch is drawn from the step's number and the seed alone, gradients are summed in a fixed order, and a
//! checkpoint holds everything else; so a run that was killed and resumed ends with the same bits as one that
//! was not, on any number of threads.

use std::{
    collections::HashMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use genrescope::network::architecture::Activation;
use safetensors::{Dtype, SafeTensors, tensor::TensorView};
use serde::{Deserialize, Serialize};

use crate::{
    augment::{Augment, augment},
    conv::Plane,
    metrics::{Reading, argmax, softmax},
    net::{FRAME_COLUMNS, Net, NetSpec, Params},
    optim::{Method, Optimiser, Schedule, average_into},
    parallel,
    pictures::{Picture, write_whole},
    rng::Rng,
    teacher::Hints,
};

/// What output and loss mean.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Loss {
    /// Softmax and cross-entropy.
    #[default]
    Softmax,
    /// The paper's: sigmoids, divided by their sum, and cross-entropy.
    Sigmoid,
}

impl Loss {
    /// How the product reads logits that were trained with it.
    pub fn activation(self) -> Activation {
        match self {
            Self::Softmax => Activation::Softmax,
            Self::Sigmoid => Activation::Sigmoid,
        }
    }
}

/// Everything that is decided before training starts.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Recipe {
    /// How steps follow from gradients.
    pub method: Method,
    /// Softmax or the paper's sigmoids.
    pub loss: Loss,
    /// This many layers, from the bottom, stay as they were: blocks, then GRUs. Only the head learns at 5 in the CNN and at 6 in the CRNN,
    /// whose GRUs learn, too, at 4.
    pub frozen: usize,
    /// Passes over the data; one is `examples / batch` steps.
    pub epochs: usize,
    /// Examples in a step.
    pub batch: usize,
    /// Further, softly labelled examples in a step, as a share of `batch`.
    pub extra: f32,
    /// Learning rate of the trunk.
    pub rate: f32,
    /// Learning rate of the head.
    pub head_rate: f32,
    /// Weight decay.
    pub weight_decay: f32,
    /// Part of the steps over which the rate rises.
    pub warm_up: f32,
    /// A constant rate after that, instead of half a cosine.
    pub constant_rate: bool,
    /// Label smoothing: this much of each target is spread over all labels.
    pub smoothing: f32,
    /// Mixup: weights are drawn from Beta(mixup, mixup); 0: none.
    pub mixup: f32,
    /// Share of batches that see a whole frame; the others see a length drawn evenly from `shortest_steps` to a frame.
    pub whole: f32,
    /// Shortest crop, in steps of 64 columns (1.37 s; CRNN: 96 columns, 2.05 s).
    pub shortest_steps: usize,
    /// Dropout before the head.
    pub dropout: f32,
    /// Examples of a label with n examples are drawn with weight n^-balance each (0: as they come, 1: all labels equally often).
    pub balance: f32,
    /// Examples of a label count (mean n / n)^class_weight in the loss.
    pub class_weight: f32,
    /// The running average of weights keeps this much a step; it is what comes out. 0: the last weights come out.
    pub average: f32,
    /// Pull towards the weights that training started from: this times the squared distance.
    pub anchor: f32,
    /// Weight of the auxiliary task: the 50 tags that the untouched taggers give the same example.
    pub tags: f32,
    /// Weight of the hints: whatever is done to an example, and however little of it is heard, a linear layer beside the head is to say from the
    /// embedding what the teacher's features of the clean recording are (mean squared error, each feature standardised). 0: no hints.
    pub hint: f32,
    /// Weight of the genres. 0: the trunk learns from tags and hints alone, and no label reaches it.
    #[serde(skip_serializing_if = "is_one")]
    pub labels: f32,
    /// How much of each target is what the teacher says ([`crate::teacher`]); the rest is the label. 0: no teacher is asked.
    pub distil: f32,
    /// L2 penalty of the regression that the teacher is.
    pub teacher_decay: f32,
    /// Whether the teacher also listens with YAMNet ([`crate::yamnet`]).
    #[serde(skip_serializing_if = "is_false")]
    pub yamnet: bool,
    /// L2 penalty of the softmax regression that the head starts from.
    pub probe_decay: f32,
    /// Share of examples that are left as they are.
    pub clean: f32,
    /// The damage done to the others.
    pub augment: Augment,
    /// Recordings as they are heard, damaged as samples ([`crate::hearing`]): this many of each are kept. 0: pictures alone are damaged.
    #[serde(skip_serializing_if = "is_zero")]
    pub heard: usize,
    /// Number of damaged views of each recording that are pushed through the lower blocks once and kept: the head
    /// starts from them, and a run that freezes those blocks learns from them.
    pub views: usize,
    /// Parts of the clean recordings that the head starts from, too: count and first of the columns after the lower
    /// blocks, in steps.
    pub probe_crops: Vec<(usize, usize)>,
    /// How far to go from the start to what was learnt: 1 all the way, 0.5 half-way (weights are averaged).
    pub blend: f32,
    /// Stop when accuracy on the held-out part has not risen for this many epochs (0: never).
    pub patience: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// A run that goes before: this one starts from its weights. With the lower blocks frozen in it (they run once, and their outputs are
    /// kept), most of what is to be learnt costs seconds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub first: Option<Box<Recipe>>,
}

impl Recipe {
    /// This run and those that go before it, the last first.
    pub fn runs(&self) -> impl Iterator<Item = &Self> {
        std::iter::successors(Some(self), |run| run.first.as_deref())
    }

    /// Whether training runs on kept views: the lower blocks are frozen.
    pub fn learns_from_views(&self, spec: &NetSpec) -> bool {
        self.frozen >= spec.repeated
    }
}

impl Default for Recipe {
    fn default() -> Self {
        Self {
            method: Method::AdamW,
            loss: Loss::Softmax,
            frozen: 0,
            epochs: 0,
            batch: 16,
            extra: 0.0,
            rate: 1e-4,
            head_rate: 5e-4,
            weight_decay: 1e-2,
            warm_up: 0.1,
            constant_rate: false,
            smoothing: 0.1,
            mixup: 0.3,
            whole: 0.4,
            shortest_steps: 2,
            dropout: 0.3,
            balance: 0.7,
            class_weight: 0.0,
            average: 0.98,
            anchor: 0.0,
            tags: 0.0,
            hint: 0.0,
            labels: 1.0,
            distil: 0.0,
            teacher_decay: 5e-2,
            yamnet: false,
            probe_decay: 1e-2,
            clean: 0.0,
            augment: Augment::default(),
            heard: 0,
            views: 4,
            probe_crops: vec![(2, 2), (4, 15), (7, 0), (11, 9)],
            blend: 1.0,
            patience: 0,
            seed: 0,
            first: None,
        }
    }
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_zero(n: &usize) -> bool {
    *n == 0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
fn is_one(value: &f32) -> bool {
    *value == 1.0
}

fn is_false(flag: &bool) -> bool {
    !flag
}

/// One example to learn from.
#[derive(Clone, Debug, PartialEq)]
pub struct Example {
    /// Which recording of the [`Inputs`].
    pub input: usize,
    /// Target distribution over the labels, before smoothing.
    pub target: Vec<f32>,
    /// How often it is drawn, relative to the others.
    pub frequency: f32,
    /// How much it counts in the loss.
    pub weight: f32,
    /// Targets of the auxiliary task.
    pub tags: Vec<f32>,
}

impl Example {
    /// Examples with one label each, `(input, label)`, drawn and weighted as the recipe says.
    pub fn labelled(pairs: &[(usize, usize)], labels: usize, recipe: &Recipe) -> Vec<Self> {
        let mut counts = vec![0usize; labels];
        for &(_, label) in pairs {
            counts[label] += 1;
        }
        let present = counts.iter().filter(|&&n| n > 0).count().max(1);
        let mean = pairs.len() as f32 / present as f32;
        pairs
            .iter()
            .map(|&(input, label)| {
                let mut target = vec![0.0; labels];
                target[label] = 1.0;
                Self {
                    input,
                    target,
                    frequency: (counts[label] as f32).powf(-recipe.balance),
                    weight: (mean / counts[label] as f32).powf(recipe.class_weight),
                    tags: Vec::new(),
                }
            })
            .collect()
    }
}

impl Example {
    /// Examples without labels, with these targets; the inputs are `first` and those after it. They count half.
    pub fn unlabelled(first: usize, targets: Vec<Vec<f32>>) -> Vec<Self> {
        let example = |(i, target)| Self {
            input: first + i,
            target,
            frequency: 1.0,
            weight: 0.5,
            tags: Vec::new(),
        };
        targets.into_iter().enumerate().map(example).collect()
    }
}

/// Where examples come from: pictures that are damaged anew each time, or kept outputs of the frozen blocks.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Whole pictures, and the same recordings as they are heard: any number of them, each with as many pictures.
    Pictures(&'a [Picture], &'a [Vec<Picture>]),
    /// `views[0]` of the clean recordings, the rest damaged; each holds one plane a recording.
    Views(&'a [View]),
    /// What so many blocks make of each clean recording's first frame: for recipes that freeze at least these and see whole frames.
    Frames(&'a [KeptPlane], usize),
}

/// Outputs of the blocks below the repetition for many recordings: `[12, columns, 128]` each, in bfloat16.
#[derive(Clone, Debug, Default)]
pub struct View {
    /// One for each recording.
    pub planes: Vec<KeptPlane>,
}

/// A [`Plane`] without its border, in bfloat16: half the memory, and the network does not feel the difference.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct KeptPlane {
    height: usize,
    width: usize,
    channels: usize,
    values: Vec<u16>,
}

impl KeptPlane {
    /// Rounds `plane`.
    pub fn keep(plane: &Plane) -> Self {
        let mut values = Vec::with_capacity(plane.height * plane.width * plane.channels);
        for y in 0..plane.height {
            for x in 0..plane.width {
                values.extend(plane.cell(y, x).iter().map(|v| {
                    let bits = v.to_bits();
                    // Round to nearest, ties to even.
                    ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
                }));
            }
        }
        Self {
            height: plane.height,
            width: plane.width,
            channels: plane.channels,
            values,
        }
    }

    /// `count` columns from `first` on; past the end it starts again from the first.
    pub fn crop(&self, first: usize, count: usize) -> Plane {
        let mut plane = Plane::zeros(self.height, count, self.channels);
        for y in 0..self.height {
            for x in 0..count {
                let from = (y * self.width + (first + x) % self.width) * self.channels;
                for (to, &bits) in plane
                    .cell_mut(y, x)
                    .iter_mut()
                    .zip(&self.values[from..from + self.channels])
                {
                    *to = f32::from_bits(u32::from(bits) << 16);
                }
            }
        }
        plane
    }

    /// Its columns.
    pub fn width(&self) -> usize {
        self.width
    }
}

/// Pushes every picture, damaged as `damage` says (none: clean), through the blocks below the repetition.
/// Damaged views start at a random column. `seed` is that of the view.
pub fn view(
    net: &Net,
    pictures: &[Picture],
    damage: Option<&Augment>,
    seed: u64,
    threads: usize,
) -> View {
    let planes = parallel::map(pictures.len(), threads, |i| {
        let picture = &pictures[i];
        let mut rng = Rng::at(seed, &[VIEW, i as u64]);
        // Short recordings are seen as the product sees them: what was heard, not looped.
        let columns = picture
            .columns()
            .clamp(net.spec.step_columns(), FRAME_COLUMNS);
        let spare = picture.columns().saturating_sub(columns);
        let first = if damage.is_some() {
            rng.below(spare + 1)
        } else {
            0
        };
        let mut db = picture.crop(first, columns);
        if let Some(damage) = damage {
            augment(&mut db, damage, &mut rng);
        }
        KeptPlane::keep(&net.run_blocks(net.input(&db), 0, net.spec.repeated))
    });
    View { planes }
}

// What random numbers are drawn for.
const BATCH: u64 = 1;
const INPUT: u64 = 2;
const DROP: u64 = 3;
const VIEW: u64 = 4;

/// What happened in one epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Epoch {
    /// Mean training loss.
    pub loss: f64,
    /// Share of drawn training examples whose likeliest target was answered.
    pub accuracy: f64,
    /// Loss on the held-out part, where there is one.
    pub held_out_loss: Option<f64>,
    /// Accuracy on the held-out part.
    pub held_out_accuracy: Option<f64>,
    /// Seconds since the run (or its resumption) began.
    pub seconds: f64,
}

/// What the caller is told while it waits.
#[derive(Clone, Copy, Debug)]
pub struct Progress<'a> {
    /// Steps done.
    pub step: usize,
    /// Steps of the run.
    pub steps: usize,
    /// Loss of this step.
    pub loss: f64,
    /// Share right in this step.
    pub accuracy: f64,
    /// The epochs that are done.
    pub epochs: &'a [Epoch],
}

/// What a run works on.
#[derive(Clone, Copy, Debug)]
pub struct Task<'a> {
    /// The recordings.
    pub inputs: Inputs<'a>,
    /// What to learn from.
    pub examples: &'a [Example],
    /// Softly labelled examples, drawn apart: `recipe.extra` of them for each of the others.
    pub extras: &'a [Example],
    /// `(input, label)` pairs that are only asked, at the end of each epoch.
    pub held_out: &'a [(usize, usize)],
    /// What the hint layer is to say of the inputs; none: there is no such layer.
    pub hints: Option<&'a Hints<'a>>,
    /// The auxiliary task's fixed layer: weight `[tags, 256]` and bias.
    pub tagger: Option<(&'a [f32], &'a [f32])>,
    /// Threads to use.
    pub threads: usize,
    /// Where to keep the state, and after how many steps each time.
    pub checkpoint: Option<(&'a Path, usize)>,
}

/// How far a run came, with all that is needed to go on.
#[derive(Clone, Debug, PartialEq)]
struct State {
    params: Params,
    average: Params,
    optimiser: Optimiser,
    epochs: Vec<Epoch>,
    loss: f64,
    right: f64,
    best: Option<(f64, Params)>,
}

impl State {
    /// Whether accuracy on the held-out part has stood still for too long.
    fn is_exhausted(&self, recipe: &Recipe) -> bool {
        let best = self.best.as_ref().map(|best| best.0);
        let since = self
            .epochs
            .iter()
            .rev()
            .take_while(|epoch| epoch.held_out_accuracy < best)
            .count();
        recipe.patience > 0 && since >= recipe.patience
    }
}

/// Trains `net` by `recipe`. Gives the network that comes out and what happened in each epoch.
///
/// # Errors
/// When a checkpoint cannot be written, or the one found is not of this run.
///
/// # Panics
/// When examples name inputs that are not there.
pub fn fit(
    net: &Net,
    recipe: &Recipe,
    task: &Task<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Net, Vec<Epoch>)> {
    ensure!(!task.examples.is_empty(), "there is nothing to learn from");
    ensure!(recipe.batch > 0, "batch = 0: at least 1 example is needed");
    let from = match task.inputs {
        Inputs::Pictures(..) => 0,
        Inputs::Views(_) => {
            ensure!(
                recipe.frozen >= net.spec.repeated,
                "kept views hold the output of {} blocks, so as many must be frozen; the recipe freezes {}",
                net.spec.repeated,
                recipe.frozen
            );
            net.spec.repeated
        }
        Inputs::Frames(_, blocks) => {
            ensure!(
                recipe.frozen >= blocks && recipe.whole >= 1.0,
                "kept frames are whole and hold the output of {blocks} blocks; the recipe freezes {} and sees whole frames in a share of {}",
                recipe.frozen,
                recipe.whole
            );
            blocks
        }
    };
    let per_epoch = (task.examples.len() / recipe.batch).max(1);
    let total = per_epoch * recipe.epochs;
    let schedule = Schedule {
        total,
        warm_up: recipe.warm_up,
        constant: recipe.constant_rate,
    };
    let start = net.params.clone();
    let mut net = net.clone();
    let identity = identity(&net, recipe, task);
    let mut state = match task.checkpoint {
        Some((path, _)) if path.exists() => read_state(path, &identity, &net.spec)
            .with_context(|| format!("cannot resume from '{}'", path.display()))?,
        _ => State {
            params: net.params.clone(),
            average: net.params.clone(),
            optimiser: Optimiser::new(recipe.method, &Params::zeros(&net.spec)),
            epochs: Vec::new(),
            loss: 0.0,
            right: 0.0,
            best: None,
        },
    };
    net.params = state.params.clone();
    let picker = Picker::new(task.examples);
    let extra_picker = Picker::new(task.extras);
    let began = Instant::now();
    while state.optimiser.steps < total && !state.is_exhausted(recipe) {
        let step = state.optimiser.steps;
        let batch = draw(recipe, task, &picker, &extra_picker, step, &net.spec);
        let (gradients, loss, right) = gradients(&net, recipe, task, &batch, step, from, &start);
        let factor = schedule.factor(step);
        let head = net.spec.head();
        let rates: Vec<f32> = (0..net.params.tensors.len())
            .map(|t| {
                if t >= head {
                    recipe.head_rate * factor
                } else if net.spec.layer_of(t) < recipe.frozen.max(from) {
                    0.0
                } else {
                    recipe.rate * factor
                }
            })
            .collect();
        state
            .optimiser
            .step(&mut net.params, &gradients, &rates, recipe.weight_decay);
        let step = state.optimiser.steps;
        // The average is short at first, so that it does not remember the start.
        let keep = recipe.average.min(step as f32 / (step as f32 + 9.0));
        let learning = net.spec.first_tensor(recipe.frozen.max(from));
        average_into(&mut state.average, &net.params, keep, learning);
        state.loss += loss;
        state.right += right;
        if step.is_multiple_of(per_epoch) {
            let (held_out_loss, held_out_accuracy) = if task.held_out.is_empty() {
                (None, None)
            } else {
                let mut asked = net.clone();
                asked.params = state.average.clone();
                let (loss, accuracy) = ask(&asked, recipe.loss, task, from);
                (Some(loss), Some(accuracy))
            };
            state.epochs.push(Epoch {
                loss: state.loss / per_epoch as f64,
                accuracy: state.right / per_epoch as f64,
                held_out_loss,
                held_out_accuracy,
                seconds: began.elapsed().as_secs_f64(),
            });
            (state.loss, state.right) = (0.0, 0.0);
            if recipe.patience > 0
                && let Some(accuracy) = held_out_accuracy
                && state.best.as_ref().is_none_or(|best| accuracy > best.0)
            {
                state.best = Some((accuracy, state.average.clone()));
            }
        }
        progress(Progress {
            step,
            steps: total,
            loss,
            accuracy: right,
            epochs: &state.epochs,
        });
        if let Some((path, every)) = task.checkpoint
            && (step.is_multiple_of(every.max(1)) || step == total || state.is_exhausted(recipe))
        {
            state.params = net.params.clone();
            write_state(path, &state, &identity, &net.spec)?;
        }
    }
    net.params = match state.best {
        Some((_, params)) => params,
        None => state.average,
    };
    if recipe.blend < 1.0 {
        for (to, from) in net.params.tensors.iter_mut().zip(&start.tensors) {
            for (to, from) in to.iter_mut().zip(from) {
                *to = from + recipe.blend * (*to - from);
            }
        }
    }
    Ok((net, state.epochs))
}

/// Draws examples by their frequency.
struct Picker {
    sums: Vec<f64>,
}

impl Picker {
    fn new(examples: &[Example]) -> Self {
        let mut sum = 0.0;
        let sums = examples
            .iter()
            .map(|e| {
                sum += f64::from(e.frequency);
                sum
            })
            .collect();
        Self { sums }
    }

    fn pick(&self, rng: &mut Rng) -> usize {
        let total = self.sums.last().copied().unwrap_or(0.0);
        let at = f64::from(rng.uniform()) * total;
        self.sums
            .partition_point(|&sum| sum <= at)
            .min(self.sums.len().saturating_sub(1))
    }
}

/// One step's examples, before their pictures are made.
struct Batch<'a> {
    examples: Vec<&'a Example>,
    /// Steps of 64 columns that are seen.
    steps: usize,
    /// Whom each is mixed with, and how much of itself is left.
    partners: Vec<usize>,
    share: f32,
}

fn draw<'a>(
    recipe: &Recipe,
    task: &Task<'a>,
    picker: &Picker,
    extras: &Picker,
    step: usize,
    spec: &NetSpec,
) -> Batch<'a> {
    let mut rng = Rng::at(recipe.seed, &[BATCH, step as u64]);
    let mut examples: Vec<&Example> = (0..recipe.batch)
        .map(|_| &task.examples[picker.pick(&mut rng)])
        .collect();
    if !task.extras.is_empty() {
        let n = (recipe.extra * recipe.batch as f32).round() as usize;
        examples.extend((0..n).map(|_| &task.extras[extras.pick(&mut rng)]));
    }
    let steps = if rng.chance(recipe.whole) {
        spec.columns
    } else {
        recipe.shortest_steps + rng.below(spec.columns + 1 - recipe.shortest_steps)
    };
    let share = if recipe.mixup > 0.0 {
        let share = rng.beta(f64::from(recipe.mixup));
        share.max(1.0 - share)
    } else {
        1.0
    };
    let mut partners: Vec<usize> = (0..examples.len()).collect();
    rng.shuffle(&mut partners);
    Batch {
        examples,
        steps,
        partners,
        share,
    }
}

/// The picture or plane of one example of a batch, and the part of its recording that it shows, `(first column, columns)`, where it was cut from one.
fn input_of(
    net: &Net,
    recipe: &Recipe,
    task: &Task<'_>,
    batch: &Batch<'_>,
    step: usize,
    place: usize,
) -> (Plane, Option<(usize, usize)>) {
    let mut rng = Rng::at(recipe.seed, &[INPUT, step as u64, place as u64]);
    let input = batch.examples[place].input;
    let clean = rng.chance(recipe.clean);
    match task.inputs {
        Inputs::Pictures(pictures, heard) => {
            // Which of them: the recording itself as often as each time that it was heard.
            let time = if clean || heard.is_empty() {
                0
            } else {
                rng.below(heard.len() + 1)
            };
            let picture = match time.checked_sub(1) {
                Some(time) => &heard[time][input],
                None => &pictures[input],
            };
            let columns = if batch.steps >= net.spec.columns {
                FRAME_COLUMNS
            } else {
                batch.steps * net.spec.step_columns()
            };
            // A recording shorter than the crop is looped, from anywhere.
            let spare = if picture.columns() > columns {
                picture.columns() - columns + 1
            } else {
                picture.columns()
            };
            let first = rng.below(spare);
            let part = (picture.columns() > columns).then_some((first, columns));
            let mut db = picture.crop(first, columns);
            if !clean {
                // What was heard through a room and over noise needs no second ones.
                let (reverb, noise) = match time {
                    0 => (recipe.augment.reverb, recipe.augment.noise),
                    _ => (0.0, 0.0),
                };
                let damage = Augment {
                    reverb,
                    noise,
                    ..recipe.augment.clone()
                };
                augment(&mut db, &damage, &mut rng);
            }
            (net.input(&db), part)
        }
        Inputs::Views(views) => {
            let chosen = if clean || views.len() == 1 {
                0
            } else {
                1 + rng.below(views.len() - 1)
            };
            let plane = &views[chosen].planes[input];
            let per_step = net.spec.kept_per_step();
            if per_step == 1 {
                return (plane.crop(rng.below(net.spec.columns), batch.steps), None);
            }
            // States follow each other: no crop runs over the end into the beginning, but of recordings shorter than the crop.
            let width = per_step * batch.steps;
            let spare = (plane.width() + 1).saturating_sub(width);
            (plane.crop(rng.below(spare.max(1)), width), None)
        }
        Inputs::Frames(planes, _) => (planes[input].crop(0, planes[input].width()), None),
    }
}

/// Gradients of one step, its loss, and the share of right answers.
fn gradients(
    net: &Net,
    recipe: &Recipe,
    task: &Task<'_>,
    batch: &Batch<'_>,
    step: usize,
    from: usize,
    start: &Params,
) -> (Params, f64, f64) {
    // Sums are made in this many parts, whatever the number of threads, so that rounding is the same.
    const PARTS: usize = 8;
    let n = batch.examples.len();
    let hints = task.hints.filter(|_| recipe.hint > 0.0);
    let (planes, features): (Vec<Plane>, Vec<Vec<f32>>) = parallel::map(n, task.threads, |i| {
        let (plane, part) = input_of(net, recipe, task, batch, step, i);
        let features = hints.map(|hints| hints.of(batch.examples[i].input, part));
        (plane, features.unwrap_or_default())
    })
    .into_iter()
    .unzip();
    let labels = net.spec.labels;
    let mix = |a: f32, b: f32| batch.share * a + (1.0 - batch.share) * b;
    let weights: Vec<f32> = (0..n)
        .map(|i| {
            mix(
                batch.examples[i].weight,
                batch.examples[batch.partners[i]].weight,
            )
        })
        .collect();
    let all: f32 = weights.iter().sum();
    let parts = parallel::map(PARTS, task.threads, |part| {
        let mut sums = Params::zeros(&net.spec);
        let (mut loss, mut right) = (0.0f64, 0usize);
        for i in (part..n).step_by(PARTS) {
            let partner = batch.partners[i];
            let (own, other) = (batch.examples[i], batch.examples[partner]);
            let mut plane = planes[i].clone();
            if batch.share < 1.0 {
                for (a, b) in plane.data.iter_mut().zip(&planes[partner].data) {
                    *a = mix(*a, *b);
                }
            }
            let smooth = recipe.smoothing / labels as f32;
            let target: Vec<f32> = (0..labels)
                .map(|l| mix(own.target[l], other.target[l]) * (1.0 - recipe.smoothing) + smooth)
                .collect();
            let mut rng = Rng::at(recipe.seed, &[DROP, step as u64, i as u64]);
            let keep: Vec<f32> = (0..net.spec.embedding_len())
                .map(|_| {
                    if rng.chance(recipe.dropout) {
                        0.0
                    } else {
                        1.0 / (1.0 - recipe.dropout)
                    }
                })
                .collect();
            let trace = net.forward(plane, from, Some(&keep));
            let weight = weights[i] / all;
            let (value, mut gradient) = loss_and_gradient(recipe.loss, &trace.logits, &target);
            for g in &mut gradient {
                *g *= recipe.labels * weight;
            }
            loss += f64::from(recipe.labels * weight) * value;
            right += usize::from(argmax(&trace.logits) == argmax(&target));
            let mut embedding = Vec::new();
            if let (Some((w, b)), true) = (task.tagger, recipe.tags > 0.0 && !own.tags.is_empty()) {
                embedding = vec![0.0; net.spec.embedding_len()];
                let top = w.len() / b.len();
                let scale = 10.0 * recipe.tags / (b.len() * n) as f32;
                for (tag, bias) in b.iter().enumerate() {
                    let row = &w[tag * top..(tag + 1) * top];
                    let logit = bias
                        + row
                            .iter()
                            .zip(&trace.embedding)
                            .map(|(w, x)| w * x)
                            .sum::<f32>();
                    let target = mix(
                        own.tags[tag],
                        other.tags.get(tag).copied().unwrap_or(own.tags[tag]),
                    );
                    let score = 1.0 / (1.0 + (-logit).exp());
                    // log(1 + e^x) - t x, in the form that does not overflow.
                    let value = logit.max(0.0) - logit * target + (-logit.abs()).exp().ln_1p();
                    loss += f64::from(scale * value);
                    for (to, w) in embedding.iter_mut().zip(row) {
                        *to += scale * (score - target) * w;
                    }
                }
            }
            if hints.is_some() {
                embedding.resize(net.spec.embedding_len(), 0.0);
                let scale = recipe.hint / (net.spec.hints * n) as f32;
                let gradient: Vec<f32> = net
                    .hint(&trace.embedding)
                    .iter()
                    .enumerate()
                    .map(|(k, said)| {
                        let error = said - mix(features[i][k], features[partner][k]);
                        loss += f64::from(scale * error * error);
                        2.0 * scale * error
                    })
                    .collect();
                net.hint_backward(&trace, &gradient, &mut embedding, &mut sums);
            }
            net.backward(
                &trace,
                &gradient,
                &embedding,
                recipe.frozen.max(from),
                &mut sums,
            );
        }
        (sums, loss, right)
    });
    // What is frozen has no gradient: there is nothing to add.
    let learning = net.spec.first_tensor(recipe.frozen.max(from));
    let mut parts = parts.into_iter();
    let (mut sums, mut loss, mut right) = parts.next().expect("there are parts");
    for (more, part_loss, part_right) in parts {
        sums.add(&more, learning);
        loss += part_loss;
        right += part_right;
    }
    if recipe.anchor > 0.0 {
        for t in learning..net.spec.head() {
            for ((g, now), was) in sums.tensors[t]
                .iter_mut()
                .zip(&net.params.tensors[t])
                .zip(&start.tensors[t])
            {
                *g += 2.0 * recipe.anchor * (now - was);
            }
        }
    }
    (sums, loss, right as f64 / n as f64)
}

/// Cross-entropy of the answer against `target`, and its gradient at the logits.
pub fn loss_and_gradient(loss: Loss, logits: &[f32], target: &[f32]) -> (f64, Vec<f32>) {
    match loss {
        Loss::Softmax => {
            let scores = softmax(logits, 1.0);
            let sum: f32 = target.iter().sum();
            let value = target
                .iter()
                .zip(&scores)
                .map(|(t, p)| -f64::from(*t) * f64::from(p.max(1e-12)).ln())
                .sum();
            (
                value,
                scores
                    .iter()
                    .zip(target)
                    .map(|(p, t)| p * sum - t)
                    .collect(),
            )
        }
        Loss::Sigmoid => {
            // p = s / sum(s), s = sigmoid(logit): d(-sum t ln p)/d logit = (1 - s) (s T / sum(s) - t), T = sum(t).
            let s: Vec<f32> = logits.iter().map(|l| 1.0 / (1.0 + (-l).exp())).collect();
            let sum: f32 = s.iter().sum::<f32>().max(1e-12);
            let all: f32 = target.iter().sum();
            let value = target
                .iter()
                .zip(&s)
                .map(|(t, s)| -f64::from(*t) * f64::from((s / sum).max(1e-12)).ln())
                .sum();
            (
                value,
                s.iter()
                    .zip(target)
                    .map(|(s, t)| (1.0 - s) * (s * all / sum - t))
                    .collect(),
            )
        }
    }
}

/// Loss and accuracy on the held-out part, on whole frames.
fn ask(net: &Net, loss: Loss, task: &Task<'_>, from: usize) -> (f64, f64) {
    let results = parallel::map(task.held_out.len(), task.threads, |i| {
        let (input, label) = task.held_out[i];
        let logits = logits_of(net, task.inputs, input, from);
        let reading = Reading {
            activation: loss.activation(),
            temperature: 1.0,
        };
        (
            -f64::from(reading.scores(&logits)[label].max(1e-12)).ln(),
            argmax(&logits) == label,
        )
    });
    let n = results.len() as f64;
    let loss = results.iter().map(|r| r.0).sum::<f64>() / n;
    let right = results.iter().filter(|r| r.1).count() as f64 / n;
    (loss, right)
}

/// Logits of the first frame of a clean recording.
fn logits_of(net: &Net, inputs: Inputs<'_>, input: usize, from: usize) -> Vec<f32> {
    let plane = match inputs {
        Inputs::Pictures(pictures, _) => {
            let columns = pictures[input]
                .columns()
                .clamp(net.spec.step_columns(), FRAME_COLUMNS);
            net.input(&pictures[input].crop(0, columns))
        }
        Inputs::Views(views) => {
            let plane = &views[0].planes[input];
            plane.crop(0, plane.width())
        }
        Inputs::Frames(planes, _) => planes[input].crop(0, planes[input].width()),
    };
    net.forward(plane, from, None).logits
}

/// What a checkpoint must have been made with to be resumed.
fn identity(net: &Net, recipe: &Recipe, task: &Task<'_>) -> String {
    let recipe = serde_json::to_string(recipe).unwrap_or_default();
    let spec = serde_json::to_string(&net.spec).unwrap_or_default();
    let mut hash = 0u64;
    for example in task.examples.iter().chain(task.extras) {
        let mut bytes: Vec<u8> = (example.input as u64).to_le_bytes().to_vec();
        bytes.extend(
            example
                .target
                .iter()
                .chain([&example.weight, &example.frequency])
                .flat_map(|v| v.to_le_bytes()),
        );
        hash = hash.rotate_left(5) ^ crate::pictures::fnv1a(&bytes);
    }
    format!("{recipe} {spec} {hash:016x}")
}

fn write_state(path: &Path, state: &State, identity: &str, spec: &NetSpec) -> Result<()> {
    let mut sets = vec![
        ("params", &state.params),
        ("average", &state.average),
        ("first", &state.optimiser.first),
        ("second", &state.optimiser.second),
    ];
    if let Some((_, params)) = &state.best {
        sets.push(("best", params));
    }
    let mut tensors: Vec<(String, Vec<u8>)> = Vec::new();
    for (set, params) in sets {
        for ((name, _), values) in spec.tensors().iter().zip(&params.tensors) {
            tensors.push((
                format!("{set}.{name}"),
                values.iter().flat_map(|v| v.to_le_bytes()).collect(),
            ));
        }
    }
    let views = tensors
        .iter()
        .map(|(name, bytes)| {
            Ok((
                name.as_str(),
                TensorView::new(Dtype::F32, vec![bytes.len() / 4], bytes)?,
            ))
        })
        .collect::<Result<Vec<_>>>()?;
    let metadata = HashMap::from([
        ("run".to_owned(), identity.to_owned()),
        ("steps".to_owned(), state.optimiser.steps.to_string()),
        ("epochs".to_owned(), serde_json::to_string(&state.epochs)?),
        // As bits: printing and reading must not round.
        (
            "sums".to_owned(),
            format!("{:x} {:x}", state.loss.to_bits(), state.right.to_bits()),
        ),
        (
            "best".to_owned(),
            state
                .best
                .as_ref()
                .map_or(String::new(), |best| format!("{:x}", best.0.to_bits())),
        ),
    ]);
    let bytes = safetensors::serialize(views, Some(metadata))?;
    write_whole(path, &bytes)
}

fn read_state(path: &Path, identity: &str, spec: &NetSpec) -> Result<State> {
    let bytes = fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let metadata = header.metadata().clone().unwrap_or_default();
    let get = |key: &str| {
        metadata
            .get(key)
            .map(String::as_str)
            .with_context(|| format!("'{key}' is missing"))
    };
    if get("run")? != identity {
        bail!(
            "it belongs to another run (other data, recipe or network); name another file, or remove it"
        );
    }
    let container = SafeTensors::deserialize(&bytes)?;
    let read = |set: &str| -> Result<Params> {
        let tensors = spec
            .tensors()
            .iter()
            .map(|(name, len)| {
                let data = container.tensor(&format!("{set}.{name}"))?.data().to_vec();
                ensure!(
                    data.len() == 4 * len,
                    "{set}.{name} has {} bytes instead of {}",
                    data.len(),
                    4 * len
                );
                Ok(data
                    .chunks_exact(4)
                    .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                    .collect())
            })
            .collect::<Result<_>>()?;
        Ok(Params { tensors })
    };
    let bits = |text: &str| -> Result<f64> { Ok(f64::from_bits(u64::from_str_radix(text, 16)?)) };
    let (loss, right) = get("sums")?
        .split_once(' ')
        .context("'sums' is malformed")?;
    let recipe: Recipe = serde_json::Deserializer::from_str(identity)
        .into_iter()
        .next()
        .context("no recipe")??;
    Ok(State {
        params: read("params")?,
        average: read("average")?,
        optimiser: Optimiser {
            method: recipe.method,
            first: read("first")?,
            second: read("second")?,
            steps: get("steps")?.parse()?,
        },
        epochs: serde_json::from_str(get("epochs")?)?,
        loss: bits(loss)?,
        right: bits(right)?,
        best: match get("best")? {
            "" => None,
            text => Some((bits(text)?, read("best")?)),
        },
    })
}

/// `planes`, the output of `from` blocks, as the output of `to` blocks.
pub fn further(
    net: &Net,
    planes: &[KeptPlane],
    from: usize,
    to: usize,
    threads: usize,
) -> Vec<KeptPlane> {
    parallel::map(planes.len(), threads, |i| {
        let plane = planes[i].crop(0, planes[i].width());
        KeptPlane::keep(&net.run_blocks(plane, from, to))
    })
}

/// Embeddings of every plane of `view`, or of a part of its columns, `(count, first)` in steps; `[records, embedding]`.
pub fn view_embeddings(
    net: &Net,
    view: &View,
    part: Option<(usize, usize)>,
    threads: usize,
) -> Vec<f32> {
    parallel::map(view.planes.len(), threads, |i| {
        let plane = &view.planes[i];
        let per_step = net.spec.kept_per_step();
        let (count, first) = part.map_or((plane.width(), 0), |(count, first)| {
            (per_step * count, per_step * first)
        });
        net.forward(plane.crop(first, count), net.spec.repeated, None)
            .embedding
    })
    .concat()
}

/// Keeps `view` at `path`, or reads it from there: frozen blocks run once for each picture, not once for each run.
///
/// # Errors
/// When the file cannot be written.
pub fn kept_view(path: &PathBuf, make: impl FnOnce() -> View) -> Result<View> {
    const MAGIC: &[u8; 8] = b"GSVIEW1\n";
    let read = || -> Option<View> {
        let bytes = fs::read(path).ok()?;
        let mut rest = bytes.strip_prefix(MAGIC)?;
        let mut planes = Vec::new();
        while !rest.is_empty() {
            let (head, tail) = rest.split_at_checked(12)?;
            let number = |i: usize| {
                u32::from_le_bytes([head[i], head[i + 1], head[i + 2], head[i + 3]]) as usize
            };
            let (height, width, channels) = (number(0), number(4), number(8));
            let (values, tail) = tail.split_at_checked(2 * height * width * channels)?;
            let values = values
                .chunks_exact(2)
                .map(|b| u16::from_le_bytes([b[0], b[1]]))
                .collect();
            planes.push(KeptPlane {
                height,
                width,
                channels,
                values,
            });
            rest = tail;
        }
        Some(View { planes })
    };
    if let Some(view) = read() {
        return Ok(view);
    }
    let view = make();
    let mut bytes = MAGIC.to_vec();
    for plane in &view.planes {
        for size in [plane.height, plane.width, plane.channels] {
            bytes.extend((size as u32).to_le_bytes());
        }
        bytes.extend(plane.values.iter().flat_map(|v| v.to_le_bytes()));
    }
    write_whole(path, &bytes)?;
    Ok(view)
}
