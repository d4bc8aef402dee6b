//! How a run is made: what a recipe's JSON says.

use genrescope::network::architecture::Activation;
use serde::{Deserialize, Serialize};

use crate::{augment::Augment, optim::Method, trainable::Trainable};

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
    /// This many layers, from the bottom, stay as they were: blocks, then GRUs. Only the head
    /// learns at 5 in the CNN and at 6 in the CRNN, whose GRUs learn, too, at 4.
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
    /// Share of batches that see a whole frame; the others see a length drawn evenly from
    /// `shortest_steps` to a frame.
    pub whole: f32,
    /// Shortest crop, in steps of 64 columns (1.37 s; CRNN: 96 columns, 2.05 s).
    pub shortest_steps: usize,
    /// Dropout before the head.
    pub dropout: f32,
    /// Examples of a label with n examples are drawn with weight n^-balance each (0: as they come,
    /// 1: all labels equally often).
    pub balance: f32,
    /// Examples of a label count (mean n / n)^class_weight in the loss.
    pub class_weight: f32,
    /// The running average of weights keeps this much a step; it is what comes out. 0: the last
    /// weights come out.
    pub average: f32,
    /// Pull towards the weights that training started from: this times the squared distance.
    pub anchor: f32,
    /// Weight of the auxiliary task: the 50 tags that the untouched taggers give the same example.
    pub tags: f32,
    /// Weight of the hints: whatever is done to an example, and however little of it is heard, a
    /// linear layer beside the head is to say from the embedding what the teacher's features of the
    /// clean recording are (mean squared error, each feature standardised). 0: no hints.
    pub hint: f32,
    /// Weight of the genres. 0: the trunk learns from tags and hints alone, and no label reaches
    /// it.
    #[serde(skip_serializing_if = "is_one")]
    pub labels: f32,
    /// How much of each target is what the teacher says ([`crate::teacher`]); the rest is the
    /// label. 0: no teacher is asked.
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
    /// Recordings as they are heard, damaged as samples ([`crate::hearing`]): this many of each are
    /// kept. 0: pictures alone are damaged.
    #[serde(skip_serializing_if = "is_zero")]
    pub heard: usize,
    /// Number of damaged views of each recording that are pushed through the lower blocks once and
    /// kept: the head starts from them, and a run that freezes those blocks learns from them.
    pub views: usize,
    /// Parts of the clean recordings that the head starts from, too: count and first of the columns
    /// after the lower blocks, in steps.
    pub probe_crops: Vec<(usize, usize)>,
    /// How far to go from the start to what was learnt: 1 all the way, 0.5 half-way (weights are
    /// averaged).
    pub blend: f32,
    /// Stop when accuracy on the held-out part has not risen for this many epochs (0: never).
    pub patience: usize,
    /// Seed of everything that is drawn.
    pub seed: u64,
    /// A run that goes before: this one starts from its weights. With the lower blocks frozen in it
    /// (they run once, and their outputs are kept), most of what is to be learnt costs seconds.
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
