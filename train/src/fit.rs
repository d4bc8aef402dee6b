//! Training: one engine for every recipe, resumable at any step.
//!
//! A batch is drawn from the step's number and the seed alone, gradients are summed in a fixed
//! order, and a checkpoint holds everything else; so a run that was killed and resumed ends with
//! the same bits as one that was not, on any number of threads.

mod checkpoint;
mod examples;
mod recipe;

use std::{collections::BTreeMap, path::Path, time::Instant};

use anyhow::{Context, Result, ensure};
use burn::tensor::{
    Device, Tensor, TensorData,
    activation::{log_sigmoid, log_softmax, sigmoid},
};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

pub use self::{
    examples::{Example, Inputs, KeptPlane, View, further, kept_view, view, view_embeddings},
    recipe::{Loss, Recipe},
};

use self::checkpoint::{State, identity, read_state, write_state};
use crate::{
    augment::{Augment, augment},
    metrics::{Reading, argmax},
    optim::{Optimiser, Schedule},
    parallel,
    rng::Rng,
    teacher::Hints,
    trainable::{Answers, Differentiable, Plane, Trainable, batch, flat, floats},
};

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

/// The picture or plane of one example of a batch, and the part of its recording that it shows,
/// `(first column, columns)`, where it was cut from one.
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
            // States follow each other: no crop runs over the end into the beginning, but of
            // recordings shorter than the crop.
            let spare = (plane.width() + 1).saturating_sub(width);
            (plane.crop(rng.below(spare.max(1)), width), None)
        }
        Inputs::Frames(planes, _) => (planes[input].whole(), None),
    }
}

/// What one step lowers, on the device of `network`; the same as a number, and the share of right
/// answers.
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
    // Kept frames of short recordings are narrower: planes of one width go through the network
    // together.
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

/// Binary cross-entropies of the tags that a fixed layer, weight `[tags, top]` and bias, reads from
/// the top of the embedding, `[batch, tags]`.
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pictures::{FRAME_COLUMNS, Picture},
        teacher::Teacher,
        trainable::tests::tiny,
    };

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
