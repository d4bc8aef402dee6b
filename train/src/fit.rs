//! Training: one engine for every recipe, resumable at any step.
//!
//! A batch is drawn from the step's number and the seed alone, gradients are summed in a fixed order, and a
//! checkpoint holds everything else; so a run that was killed and resumed ends with the same bits as one that
//! was not, on any number of threads.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
    time::Instant,
};

use anyhow::{Context, Result, bail, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{log_sigmoid, log_softmax, sigmoid},
};
use genrescope::network::architecture::Activation;
use rayon::prelude::*;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use crate::{
    augment::{Augment, augment},
    metrics::{Reading, argmax},
    mobilenet::write_tensors,
    optim::{Learnt, Method, Optimiser, Schedule},
    parallel,
    pictures::{Picture, write_whole},
    rng::Rng,
    teacher::Hints,
    trainable::{Answers, Differentiable, Plane, Trainable, batch, flat, floats},
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

    /// Whether a teacher must be there, beside the labels.
    pub fn asks_a_teacher(&self) -> bool {
        self.distil > 0.0 || self.hint > 0.0
    }

    /// Whether training runs on kept views: the lower blocks are frozen.
    pub fn learns_from_views(&self, net: &Trainable) -> bool {
        self.frozen >= net.kept_blocks()
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
fn is_one(value: &f32) -> bool {
    *value == 1.0
}

#[expect(
    clippy::trivially_copy_pass_by_ref,
    reason = "serde hands over a reference"
)]
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

/// A [`Plane`] in bfloat16: half the memory, and the network does not feel the difference.
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
        let values = plane.values.iter().map(|v| {
            let bits = v.to_bits();
            // Round to nearest, ties to even.
            ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16) as u16
        });
        let [height, width, channels] = plane.shape;
        Self {
            height,
            width,
            channels,
            values: values.collect(),
        }
    }

    /// `count` columns from `first` on; past the end it starts again from the first.
    pub fn crop(&self, first: usize, count: usize) -> Plane {
        let mut values = Vec::with_capacity(self.height * count * self.channels);
        for y in 0..self.height {
            for x in 0..count {
                let from = (y * self.width + (first + x) % self.width) * self.channels;
                let cell = &self.values[from..from + self.channels];
                values.extend(
                    cell.iter()
                        .map(|&bits| f32::from_bits(u32::from(bits) << 16)),
                );
            }
        }
        Plane {
            shape: [self.height, count, self.channels],
            values,
        }
    }

    /// All of it.
    pub fn whole(&self) -> Plane {
        self.crop(0, self.width)
    }

    /// Its columns.
    pub fn width(&self) -> usize {
        self.width
    }
}

/// Pushes every picture, damaged as `damage` says (none: clean), through the blocks below the repetition.
/// Damaged views start at a random column. `seed` is that of the view.
pub fn view(
    net: &Trainable,
    pictures: &[Picture],
    damage: Option<&Augment>,
    seed: u64,
    threads: usize,
) -> View {
    let network = Differentiable::new(net);
    let planes = parallel::map(pictures.len(), threads, |i| {
        let picture = &pictures[i];
        let mut rng = Rng::at(seed, &[VIEW, i as u64]);
        // Short recordings are seen as the product sees them: what was heard, not looped.
        let architecture = &net.architecture;
        let columns = picture
            .columns()
            .clamp(architecture.step_columns(), architecture.frame_columns);
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
        KeptPlane::keep(&network.plane(&net.input(&db), 0, net.kept_blocks()))
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

/// A tensor that learns in a run.
#[derive(Clone, Debug)]
struct Slot {
    /// Its place among the network's.
    place: usize,
    start: Tensor<1>,
    learnt: Learnt,
    /// The average when it knew most of the held-out part.
    best: Option<Tensor<1>>,
}

/// How far a run came, with all that is needed to go on.
#[derive(Clone, Debug)]
struct State {
    steps: usize,
    slots: Vec<Slot>,
    epochs: Vec<Epoch>,
    loss: f64,
    right: f64,
    /// Highest accuracy on the held-out part, where `best` of the slots was kept.
    best: Option<f64>,
}

impl State {
    /// Before the first step: all layers from `frozen` on learn.
    fn new(net: &Trainable, frozen: usize) -> Self {
        let learning = net.params.iter().enumerate();
        let learning = learning.filter(|(_, param)| param.layer >= frozen.min(net.layers()));
        let slots = learning.map(|(place, param)| {
            let learnt = Learnt::new(&param.name, &param.shape, param.values.clone());
            Slot {
                place,
                start: learnt.value.clone(),
                learnt,
                best: None,
            }
        });
        Self {
            steps: 0,
            slots: slots.collect(),
            epochs: Vec::new(),
            loss: 0.0,
            right: 0.0,
            best: None,
        }
    }

    /// Whether accuracy on the held-out part has stood still for too long.
    fn is_exhausted(&self, recipe: &Recipe) -> bool {
        let since = self
            .epochs
            .iter()
            .rev()
            .take_while(|epoch| epoch.held_out_accuracy < self.best)
            .count();
        recipe.patience > 0 && since >= recipe.patience
    }

    /// `net` with what `of` gives of each slot.
    fn put(&self, net: &Trainable, of: impl Fn(&Slot) -> &Tensor<1>) -> Trainable {
        let mut net = net.clone();
        for slot in &self.slots {
            net.params[slot.place].values = floats(of(slot).clone());
        }
        net
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
    net: &Trainable,
    recipe: &Recipe,
    task: &Task<'_>,
    progress: &mut dyn FnMut(Progress<'_>),
) -> Result<(Trainable, Vec<Epoch>)> {
    ensure!(!task.examples.is_empty(), "there is nothing to learn from");
    ensure!(recipe.batch > 0, "batch = 0: at least 1 example is needed");
    let from = match task.inputs {
        Inputs::Pictures(..) => 0,
        Inputs::Views(_) => {
            let kept = net.kept_blocks();
            ensure!(
                recipe.frozen >= kept,
                "kept views hold the output of {kept} blocks, so as many must be frozen; the recipe freezes {}",
                recipe.frozen
            );
            kept
        }
        Inputs::Frames(_, blocks) => {
            ensure!(
                recipe.frozen >= blocks && recipe.whole >= 1.0 && recipe.mixup == 0.0,
                "kept frames are whole and hold the output of {blocks} blocks; the recipe freezes {}, sees whole frames in a share of {} and \
                 mixes by {}",
                recipe.frozen,
                recipe.whole,
                recipe.mixup
            );
            blocks
        }
    };
    ensure!(
        from <= net.lowest_read(),
        "the head looks at block {}, which the kept outputs of {from} blocks no longer show",
        net.lowest_read()
    );
    let per_epoch = (task.examples.len() / recipe.batch).max(1);
    let total = per_epoch * recipe.epochs;
    let schedule = Schedule {
        total,
        warm_up: recipe.warm_up,
        constant: recipe.constant_rate,
    };
    let optimiser = Optimiser::new(recipe.method, recipe.weight_decay);
    let identity = identity(net, recipe, task);
    let mut state = State::new(net, recipe.frozen);
    if let Some((path, _)) = task.checkpoint
        && path.exists()
    {
        read_state(path, &identity, &optimiser, &mut state)
            .with_context(|| format!("cannot resume from '{}'", path.display()))?;
    }
    let picker = Picker::new(task.examples);
    let extra_picker = Picker::new(task.extras);
    let pool = parallel::pool(task.threads);
    // Tensors that do not learn stand as they are.
    let still: Vec<Tensor<1>> = net
        .params
        .iter()
        .map(|param| Tensor::from_inner(flat(param.values.clone())))
        .collect();
    let began = Instant::now();
    while state.steps < total && !state.is_exhausted(recipe) {
        let batch = draw(recipe, task, &picker, &extra_picker, state.steps, net);
        let mut tensors = still.clone();
        for slot in &state.slots {
            tensors[slot.place] = Tensor::from_inner(slot.learnt.value.clone()).require_grad();
        }
        let network = Differentiable::with(net, tensors.clone(), &Device::flex().autodiff());
        let (mut gradients, loss, right) = pool.install(|| {
            let (total, loss, right) =
                loss_of(net, &network, recipe, task, &batch, state.steps, from);
            (total.backward(), loss, right)
        });
        let factor = schedule.factor(state.steps);
        state.steps += 1;
        for slot in &mut state.slots {
            let is_head = net.params[slot.place].layer == net.layers();
            // What the head does not look at has no gradient, and stays.
            let Some(mut gradient) = tensors[slot.place].grad_remove(&mut gradients) else {
                continue;
            };
            if recipe.anchor > 0.0 && !is_head {
                let away = slot.learnt.value.clone() - slot.start.clone();
                gradient = gradient + away * (2.0 * recipe.anchor);
            }
            let rate = if is_head {
                recipe.head_rate
            } else {
                recipe.rate
            };
            let rate = f64::from(rate * factor);
            let average = (recipe.average, state.steps);
            slot.learnt.step(&optimiser, rate, gradient, average);
        }
        let step = state.steps;
        state.loss += loss;
        state.right += right;
        if step.is_multiple_of(per_epoch) {
            let (held_out_loss, held_out_accuracy) = if task.held_out.is_empty() {
                (None, None)
            } else {
                let asked = state.put(net, |slot| &slot.learnt.average);
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
                && state.best.is_none_or(|best| accuracy > best)
            {
                state.best = Some(accuracy);
                for slot in &mut state.slots {
                    slot.best = Some(slot.learnt.average.clone());
                }
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
            write_state(path, &state, &identity)?;
        }
    }
    let mut out = state.put(net, |slot| {
        slot.best.as_ref().unwrap_or(&slot.learnt.average)
    });
    if recipe.blend < 1.0 {
        for (to, from) in out.params.iter_mut().zip(&net.params) {
            for (to, from) in to.values.iter_mut().zip(&from.values) {
                *to = from + recipe.blend * (*to - from);
            }
        }
    }
    Ok((out, state.epochs))
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
    net: &Trainable,
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
        net.frame_steps()
    } else {
        let spare = (net.frame_steps() + 1).saturating_sub(recipe.shortest_steps);
        recipe.shortest_steps + rng.below(spare)
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
    net: &Trainable,
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
            let columns = if batch.steps >= net.frame_steps() {
                net.architecture.frame_columns
            } else {
                batch.steps * net.architecture.step_columns()
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
            let width = net.kept_per_step() * batch.steps;
            if net.keeps_cyclic() {
                return (plane.crop(rng.below(net.frame_steps()), width), None);
            }
            // States follow each other: no crop runs over the end into the beginning, but of recordings shorter than the crop.
            let spare = (plane.width() + 1).saturating_sub(width);
            (plane.crop(rng.below(spare.max(1)), width), None)
        }
        Inputs::Frames(planes, _) => (planes[input].whole(), None),
    }
}

/// What one step lowers, on the device of `network`; the same as a number, and the share of right answers.
fn loss_of(
    net: &Trainable,
    network: &Differentiable<'_>,
    recipe: &Recipe,
    task: &Task<'_>,
    batch: &Batch<'_>,
    step: usize,
    from: usize,
) -> (Tensor<1>, f64, f64) {
    let n = batch.examples.len();
    let device = Device::flex().autodiff();
    let hints = task.hints.filter(|_| recipe.hint > 0.0);
    let (planes, features): (Vec<Plane>, Vec<Vec<f32>>) = (0..n)
        .into_par_iter()
        .map(|i| {
            let (plane, part) = input_of(net, recipe, task, batch, step, i);
            let features = hints.map(|hints| hints.of(batch.examples[i].input, part));
            (plane, features.unwrap_or_default())
        })
        .unzip();
    let mix = |a: f32, b: f32| batch.share * a + (1.0 - batch.share) * b;
    let mixed =
        |a: &[f32], b: &[f32]| -> Vec<f32> { a.iter().zip(b).map(|(a, b)| mix(*a, *b)).collect() };
    let weights: Vec<f32> = (0..n)
        .map(|i| {
            mix(
                batch.examples[i].weight,
                batch.examples[batch.partners[i]].weight,
            )
        })
        .collect();
    let all: f32 = weights.iter().sum();
    // Kept frames of short recordings are narrower: planes of one width go through the network together.
    let mut widths: BTreeMap<usize, Vec<usize>> = BTreeMap::new();
    for (i, plane) in planes.iter().enumerate() {
        widths.entry(plane.shape[1]).or_default().push(i);
    }
    let mut losses = Vec::new();
    let mut right = 0;
    for of in widths.into_values() {
        let rows = |row: &dyn Fn(usize) -> Vec<f32>| -> Tensor<2> {
            let values: Vec<f32> = of.iter().flat_map(|&i| row(i)).collect();
            let len = values.len() / of.len();
            Tensor::from_data(TensorData::new(values, [of.len(), len]), &device)
        };
        let shown: Vec<Plane> = of
            .par_iter()
            .map(|&i| Plane {
                values: if batch.share < 1.0 {
                    mixed(&planes[i].values, &planes[batch.partners[i]].values)
                } else {
                    planes[i].values.clone()
                },
                shape: planes[i].shape,
            })
            .collect();
        let keep = rows(&|i| {
            let mut rng = Rng::at(recipe.seed, &[DROP, step as u64, i as u64]);
            let mut factor = || {
                if rng.chance(recipe.dropout) {
                    0.0
                } else {
                    1.0 / (1.0 - recipe.dropout)
                }
            };
            (0..net.embedding_len()).map(|_| factor()).collect()
        });
        let Answers { embedding, logits } =
            network.forward(crate::trainable::batch(&shown, &device), from, Some(keep));
        let target = |i: usize| -> Vec<f32> {
            let smooth = recipe.smoothing / net.labels.len() as f32;
            let (own, other) = (batch.examples[i], batch.examples[batch.partners[i]]);
            let target = mixed(&own.target, &other.target).into_iter();
            target
                .map(|t| t * (1.0 - recipe.smoothing) + smooth)
                .collect()
        };
        let given = floats(logits.clone());
        for (&i, given) in of.iter().zip(given.chunks_exact(net.labels.len())) {
            right += usize::from(argmax(given) == argmax(&target(i)));
        }
        let weight = rows(&|i| vec![recipe.labels * weights[i] / all]);
        losses.push((cross_entropy(recipe.loss, logits, rows(&target)) * weight).sum());
        if let (Some(tagger), true) = (task.tagger, recipe.tags > 0.0) {
            let tags = tagger.1.len();
            let scale = 10.0 * recipe.tags / (tags * n) as f32;
            // Examples without tags are asked for none.
            let weight = rows(&|i| match batch.examples[i].tags.as_slice() {
                [] => vec![0.0],
                _ => vec![scale],
            });
            let wanted = rows(&|i| {
                let (own, other) = (batch.examples[i], batch.examples[batch.partners[i]]);
                match (own.tags.as_slice(), other.tags.as_slice()) {
                    ([], _) => vec![0.0; tags],
                    (own, []) => own.to_vec(),
                    (own, other) => mixed(own, other),
                }
            });
            let losses_of = cross_entropy_of_tags(tagger, embedding.clone(), wanted);
            losses.push((losses_of * weight).sum());
        }
        if hints.is_some() {
            let wanted = rows(&|i| mixed(&features[i], &features[batch.partners[i]]));
            let scale = recipe.hint / (wanted.dims()[1] * n) as f32;
            losses.push((network.hint(embedding) - wanted).square().sum() * scale);
        }
    }
    let total = Tensor::cat(losses, 0).sum();
    let loss = f64::from(floats(total.clone())[0]);
    (total, loss, right as f64 / n as f64)
}

/// Cross-entropy of each answer against its target, `[batch, 1]`.
fn cross_entropy(loss: Loss, logits: Tensor<2>, target: Tensor<2>) -> Tensor<2> {
    let scores = match loss {
        Loss::Softmax => log_softmax(logits, 1),
        // Sigmoids, divided by their sum.
        Loss::Sigmoid => {
            let sum = sigmoid(logits.clone()).sum_dim(1).clamp_min(1e-12);
            log_sigmoid(logits) - sum.log()
        }
    };
    -(target * scores).sum_dim(1)
}

/// Binary cross-entropies of the tags that a fixed layer, weight `[tags, top]` and bias, reads from the top of the embedding, `[batch, tags]`.
fn cross_entropy_of_tags(
    (weight, bias): (&[f32], &[f32]),
    embedding: Tensor<2>,
    wanted: Tensor<2>,
) -> Tensor<2> {
    let (tags, top) = (bias.len(), weight.len() / bias.len());
    let matrix = |values: &[f32], rows: usize| {
        let data = TensorData::new(values.to_vec(), [rows, values.len() / rows]);
        Tensor::<2>::from_data(data, &embedding.device())
    };
    let (weight, bias) = (matrix(weight, tags), matrix(bias, 1));
    let said = embedding.narrow(1, 0, top).matmul(weight.transpose()) + bias;
    // -t log(s) - (1 - t) log(1 - s)
    -(log_sigmoid(said.clone()) * wanted.clone()) - log_sigmoid(-said) * (wanted.neg() + 1.0)
}

/// Loss and accuracy on the held-out part, on whole frames.
fn ask(net: &Trainable, loss: Loss, task: &Task<'_>, from: usize) -> (f64, f64) {
    let network = Differentiable::new(net);
    let results = parallel::map(task.held_out.len(), task.threads, |i| {
        let (input, label) = task.held_out[i];
        let logits = logits_of(net, &network, task.inputs, input, from);
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
fn logits_of(
    net: &Trainable,
    network: &Differentiable<'_>,
    inputs: Inputs<'_>,
    input: usize,
    from: usize,
) -> Vec<f32> {
    let plane = match inputs {
        Inputs::Pictures(pictures, _) => {
            let architecture = &net.architecture;
            let columns = pictures[input]
                .columns()
                .clamp(architecture.step_columns(), architecture.frame_columns);
            net.input(&pictures[input].crop(0, columns))
        }
        Inputs::Views(views) => views[0].planes[input].whole(),
        Inputs::Frames(planes, _) => planes[input].whole(),
    };
    let x = batch([&plane], &Device::flex());
    floats(network.forward(x, from, None).logits)
}

/// What a checkpoint must have been made with to be resumed.
fn identity(net: &Trainable, recipe: &Recipe, task: &Task<'_>) -> String {
    let recipe = serde_json::to_string(recipe).unwrap_or_default();
    let architecture = serde_json::to_string(&net.architecture).unwrap_or_default();
    let hints = net.params.len();
    let floor = net.front_end.floor_db;
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
    format!("{recipe} {architecture} {hints} {floor} {hash:016x}")
}

/// What a checkpoint says beside its tensors.
#[derive(Serialize, Deserialize)]
struct Said {
    run: String,
    steps: usize,
    epochs: Vec<Epoch>,
    /// As bits: printing and reading must not round.
    sums: [u64; 2],
    best: Option<u64>,
}

const SAID: &str = "genrescope-fit";

fn write_state(path: &Path, state: &State, identity: &str) -> Result<()> {
    let mut tensors = Vec::new();
    for slot in &state.slots {
        slot.learnt.write(&mut tensors)?;
        if let Some(best) = &slot.best {
            slot.learnt.push("best", floats(best.clone()), &mut tensors);
        }
    }
    let said = Said {
        run: identity.to_owned(),
        steps: state.steps,
        epochs: state.epochs.clone(),
        sums: [state.loss.to_bits(), state.right.to_bits()],
        best: state.best.map(f64::to_bits),
    };
    let words = BTreeMap::from([(SAID.to_owned(), serde_json::to_string(&said)?)]);
    write_whole(path, &write_tensors(tensors.into_iter(), &words)?)
}

fn read_state(path: &Path, identity: &str, optimiser: &Optimiser, state: &mut State) -> Result<()> {
    let bytes = fs::read(path)?;
    let (_, header) = SafeTensors::read_metadata(&bytes)?;
    let words = header.metadata().as_ref().and_then(|words| words.get(SAID));
    let said: Said = serde_json::from_str(words.context("it is no checkpoint of a training run")?)?;
    if said.run != identity {
        bail!(
            "it belongs to another run (other data, recipe or network); name another file, or remove it"
        );
    }
    let container = SafeTensors::deserialize(&bytes)?;
    for slot in &mut state.slots {
        slot.learnt.read(&container, optimiser, said.steps)?;
        slot.best = slot.learnt.pull("best", &container)?;
    }
    (state.steps, state.epochs) = (said.steps, said.epochs);
    [state.loss, state.right] = said.sums.map(f64::from_bits);
    state.best = said.best.map(f64::from_bits);
    Ok(())
}

/// `planes`, the output of `from` blocks, as the output of `to` blocks.
pub fn further(
    net: &Trainable,
    planes: &[KeptPlane],
    from: usize,
    to: usize,
    threads: usize,
) -> Vec<KeptPlane> {
    let network = Differentiable::new(net);
    parallel::map(planes.len(), threads, |i| {
        KeptPlane::keep(&network.plane(&planes[i].whole(), from, to))
    })
}

/// Embeddings of every plane of `view`, or of a part of its columns, `(count, first)` in steps; `[records, embedding]`.
pub fn view_embeddings(
    net: &Trainable,
    view: &View,
    part: Option<(usize, usize)>,
    threads: usize,
) -> Vec<f32> {
    let network = Differentiable::new(net);
    parallel::map(view.planes.len(), threads, |i| {
        let plane = &view.planes[i];
        let per_step = net.kept_per_step();
        let (count, first) = part.map_or((plane.width(), 0), |(count, first)| {
            (per_step * count, per_step * first)
        });
        let x = batch([&plane.crop(first, count)], &Device::flex());
        floats(network.forward(x, net.kept_blocks(), None).embedding)
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{pictures::FRAME_COLUMNS, teacher::Teacher, trainable::tests::tiny};

    #[test]
    fn hints_alone_move_the_trunk_towards_what_the_teacher_hears() {
        const FEATURES: usize = 3;
        let mut rng = Rng::at(31, &[]);
        let mut net = tiny(true);
        for value in net.params.iter_mut().flat_map(|param| &mut param.values) {
            *value = 0.3 * rng.normal();
        }
        let mut random = |n: usize| -> Vec<f32> { (0..n).map(|_| 0.1 * rng.normal()).collect() };
        let layer = (random(FEATURES * net.embedding_len()), random(FEATURES));
        net.set_hints(Some(layer));
        let teacher = Teacher::of_rows(random(4 * FEATURES), FEATURES);
        let hints = teacher.hints(&[0, 1, 2, 3]);
        let pictures: Vec<Picture> = (0..4)
            .map(|_| Picture::from_db(&frame(&mut random)))
            .collect();
        let recipe = Recipe {
            hint: 2.0,
            weight_decay: 0.0,
            labels: 0.0,
            mixup: 0.0,
            dropout: 0.0,
            clean: 1.0,
            whole: 1.0,
            balance: 0.0,
            batch: 4,
            epochs: 30,
            rate: 1e-3,
            head_rate: 1e-2,
            average: 0.0,
            ..Recipe::default()
        };
        let examples = Example::labelled(&[(2, 0)], 3, &recipe);
        let task = Task {
            inputs: Inputs::Pictures(&pictures, &[]),
            examples: &examples,
            extras: &[],
            held_out: &[],
            hints: Some(&hints),
            tagger: None,
            threads: 2,
            checkpoint: None,
        };
        let (after, epochs) = fit(&net, &recipe, &task, &mut |_| {}).unwrap();
        // By hand: the mean squared error on the one example there is.
        let network = Differentiable::new(&net);
        let plane = net.input(&pictures[2].crop(0, FRAME_COLUMNS));
        let answers = network.forward(batch([&plane], &Device::flex()), 0, None);
        let said = floats(network.hint(answers.embedding));
        let squares = said.iter().zip(hints.of(2, None));
        let squares: f32 = squares.map(|(a, b)| (a - b).powi(2)).sum();
        let expected = f64::from(recipe.hint * squares / FEATURES as f32);
        let (first, last) = (epochs[0].loss, epochs[epochs.len() - 1].loss);
        assert!(
            (first - expected).abs() < 1e-4 * (1.0 + expected),
            "{first} {expected}"
        );
        assert!(last < 0.5 * first, "{first} {last}");
        // No label was looked at, the hint layer and every layer below it were.
        for (before, after) in net.params.iter().zip(&after.params) {
            let is_head = before.name.starts_with("output.");
            assert_eq!(before.values == after.values, is_head, "{}", before.name);
        }
    }

    /// A picture of one frame that is the same at all times, wherever it is looped.
    fn frame(random: &mut impl FnMut(usize) -> Vec<f32>) -> Vec<f32> {
        let column: Vec<f32> = random(96).iter().map(|v| 100.0 * v - 40.0).collect();
        column.repeat(FRAME_COLUMNS)
    }
}
