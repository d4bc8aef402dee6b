//! How far a run came, and the file that it can be resumed from.

use std::{collections::BTreeMap, fs, path::Path};

use anyhow::{Context, Result, bail};
use burn::tensor::Tensor;
use safetensors::SafeTensors;
use serde::{Deserialize, Serialize};

use super::{Epoch, Recipe, Task};
use crate::{
    mobilenet::write_tensors,
    optim::{Learnt, Optimiser},
    pictures::write_whole,
    trainable::{Trainable, floats},
};

/// A tensor that learns in a run.
#[derive(Clone, Debug)]
pub(super) struct Slot {
    /// Its place among the network's.
    pub(super) place: usize,
    pub(super) start: Tensor<1>,
    pub(super) learnt: Learnt,
    /// The average when it knew most of the held-out part.
    pub(super) best: Option<Tensor<1>>,
}

/// How far a run came, with all that is needed to go on.
#[derive(Clone, Debug)]
pub(super) struct State {
    pub(super) steps: usize,
    pub(super) slots: Vec<Slot>,
    pub(super) epochs: Vec<Epoch>,
    pub(super) loss: f64,
    pub(super) right: f64,
    /// Highest accuracy on the held-out part, where `best` of the slots was kept.
    pub(super) best: Option<f64>,
}

impl State {
    /// Before the first step: all layers from `frozen` on learn.
    pub(super) fn new(net: &Trainable, frozen: usize) -> Self {
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
    pub(super) fn is_exhausted(&self, recipe: &Recipe) -> bool {
        let since = self
            .epochs
            .iter()
            .rev()
            .take_while(|epoch| epoch.held_out_accuracy < self.best)
            .count();
        recipe.patience > 0 && since >= recipe.patience
    }

    /// `net` with what `of` gives of each slot.
    pub(super) fn put(&self, net: &Trainable, of: impl Fn(&Slot) -> &Tensor<1>) -> Trainable {
        let mut net = net.clone();
        for slot in &self.slots {
            net.params[slot.place].values = floats(of(slot).clone());
        }
        net
    }
}

/// What a checkpoint must have been made with to be resumed.
pub(super) fn identity(net: &Trainable, recipe: &Recipe, task: &Task<'_>) -> String {
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

pub(super) fn write_state(path: &Path, state: &State, identity: &str) -> Result<()> {
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

pub(super) fn read_state(
    path: &Path,
    identity: &str,
    optimiser: &Optimiser,
    state: &mut State,
) -> Result<()> {
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
