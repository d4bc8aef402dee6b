//! The second trunk: a MobileNet that was trained as a tagger of everyday sound, and what a window
//! knows from it.
//!
//! It looks at segments of ten seconds as a whole (squeeze-excitation sees all of them), so nothing
//! of a segment can be re-used for the next. A stream's window therefore holds the answers of the
//! segments that end within it, on a grid of the sample count; a frame of a song is covered evenly
//! by as few segments as cover it.

use std::{collections::VecDeque, sync::Arc};

use serde::{Deserialize, Serialize};

use super::{architecture::in_range, error::ModelError, graph::TaggerPlans};
use crate::front_end::TaggerFrontEnd;

/// A tagger, as data: the form of EfficientAT's MobileNetV3.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Tagger {
    /// The front end its weights were trained with.
    pub front_end: TaggerFrontEnd,
    /// Columns of the picture in a whole segment (1000: 10 s).
    pub segment_columns: usize,
    /// Columns from one segment of a stream to the next, at least (546: 5.46 s, four steps of the
    /// CNN).
    pub hop_columns: usize,
    /// Filters of the first convolution, 3 x 3 with stride 2 (8).
    pub stem: usize,
    /// The trunk.
    pub blocks: Vec<MobileBlock>,
    /// Filters of the last pointwise convolution, whose mean over time and frequency is the
    /// embedding (384).
    pub embedding: usize,
    /// Units of the layer below the classes (512).
    pub hidden: usize,
    /// What it tells apart, in output order (AudioSet: 527 names).
    pub classes: Vec<String>,
    /// For each group the names of its classes: the head sees the logarithm of each group's share.
    pub groups: Vec<Group>,
    /// Names of classes whose log-odds in the newest segment tell music from the rest, beside the
    /// first trunk.
    #[serde(default)]
    pub sounds: Vec<String>,
    /// Added to the likelihood of each group before it becomes a share (1e-4).
    pub floor: f32,
}

/// Classes that stand for one thing.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// What they stand for.
    pub name: String,
    /// Names of classes; the likeliest of them counts.
    pub classes: Vec<String>,
}

/// An inverted residual block: expansion, depthwise convolution, squeeze-excitation, projection;
/// what comes in is added where extents allow it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct MobileBlock {
    /// Channels behind the expansion; as many as come in: there is none.
    pub expanded: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Extent of the depthwise kernel, 3 or 5.
    pub kernel: usize,
    /// Stride in both directions, 1 or 2.
    pub stride: usize,
    /// Units of the squeeze-excitation, if there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub squeezed: Option<usize>,
    /// Hardswish instead of ReLU.
    #[serde(default)]
    pub hard_swish: bool,
}

impl Tagger {
    /// EfficientAT `mn04_as`, with these classes and groups.
    pub fn mn04(classes: Vec<String>, groups: Vec<Group>) -> Self {
        // expanded, filters, kernel, stride, squeezed
        const BLOCKS: [(usize, usize, usize, usize, usize); 15] = [
            (8, 8, 3, 1, 0),
            (24, 16, 3, 2, 0),
            (32, 16, 3, 1, 0),
            (32, 16, 5, 2, 8),
            (48, 16, 5, 1, 16),
            (48, 16, 5, 1, 16),
            (96, 32, 3, 2, 0),
            (80, 32, 3, 1, 0),
            (72, 32, 3, 1, 0),
            (72, 32, 3, 1, 0),
            (192, 48, 3, 1, 48),
            (272, 48, 3, 1, 72),
            (272, 64, 5, 2, 72),
            (384, 64, 5, 1, 96),
            (384, 64, 5, 1, 96),
        ];
        let block = |(index, (expanded, filters, kernel, stride, squeezed))| MobileBlock {
            expanded,
            filters,
            kernel,
            stride,
            squeezed: (squeezed > 0).then_some(squeezed),
            hard_swish: index >= 6,
        };
        Self {
            front_end: TaggerFrontEnd::default(),
            segment_columns: 1_000,
            hop_columns: 546,
            stem: 8,
            blocks: BLOCKS.into_iter().enumerate().map(block).collect(),
            embedding: 384,
            hidden: 512,
            classes,
            groups,
            sounds: Vec::new(),
            floor: 1e-4,
        }
    }

    /// Values that the head sees: the embedding, then the logarithm of each group's share.
    pub fn len(&self) -> usize {
        self.embedding + self.groups.len()
    }

    /// Whether the head sees nothing of it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Channels that come into each block.
    fn channels(&self) -> impl Iterator<Item = usize> {
        std::iter::once(self.stem).chain(self.blocks.iter().map(|block| block.filters))
    }

    /// Checks every number against what can be built.
    ///
    /// # Errors
    /// [`ModelError::Field`] with the name of the first field that is out of range, and its value.
    pub fn check(&self, stream_rate: u32) -> Result<(), ModelError> {
        self.front_end
            .validate(stream_rate)
            .map_err(|error| ModelError::field("architecture", error, "a front end that exists"))?;
        in_range("tagger.segment_columns", self.segment_columns, LEAST, 4_096)?;
        in_range(
            "tagger.hop_columns",
            self.hop_columns,
            1,
            self.segment_columns,
        )?;
        in_range("tagger.stem", self.stem, 1, 256)?;
        in_range("tagger.blocks", self.blocks.len(), 1, 64)?;
        for (index, (block, channels)) in self.blocks.iter().zip(self.channels()).enumerate() {
            let field = |part: &str| format!("tagger.blocks[{index}].{part}");
            in_range(field("expanded"), block.expanded, channels, 1_024)?;
            in_range(field("filters"), block.filters, 1, 256)?;
            in_range(field("kernel"), block.kernel, 3, 5)?;
            in_range(field("kernel: remainder by 2"), block.kernel % 2, 1, 1)?;
            in_range(field("stride"), block.stride, 1, 2)?;
            in_range(field("squeezed"), block.squeezed.unwrap_or(1), 1, 1_024)?;
        }
        in_range("tagger.embedding", self.embedding, 1, 4_096)?;
        in_range("tagger.hidden", self.hidden, 1, 4_096)?;
        in_range("tagger.classes", self.classes.len(), 1, 4_096)?;
        in_range("tagger.groups", self.groups.len(), 0, 256)?;
        if !(1e-9..=1.0).contains(&self.floor) {
            return Err(ModelError::field("tagger.floor", self.floor, "1e-9 to 1"));
        }
        in_range("tagger.sounds", self.sounds.len(), 0, 4_096)?;
        self.sound_indices()?;
        self.group_indices().map(|_| ())
    }

    /// The places of [`Tagger::sounds`] among the classes.
    pub(super) fn sound_indices(&self) -> Result<Vec<usize>, ModelError> {
        let place = |name: &String| {
            let place = self.classes.iter().position(|class| class == name);
            place
                .ok_or_else(|| ModelError::field("tagger.sounds", name, "a name of tagger.classes"))
        };
        self.sounds.iter().map(place).collect()
    }

    /// For each group the places of its classes.
    pub(super) fn group_indices(&self) -> Result<Vec<Vec<usize>>, ModelError> {
        let place = |name: &String| {
            let place = self.classes.iter().position(|class| class == name);
            place
                .ok_or_else(|| ModelError::field("tagger.groups", name, "a name of tagger.classes"))
        };
        self.groups
            .iter()
            .map(|group| {
                in_range(
                    format!("tagger.groups: classes of {}", group.name),
                    group.classes.len(),
                    1,
                    4_096,
                )?;
                group.classes.iter().map(place).collect()
            })
            .collect()
    }

    /// The tensors it needs, with their shapes.
    pub(super) fn tensors(&self) -> Vec<(String, Vec<usize>)> {
        let mut list = Vec::new();
        let mut layer = |name: &str, shape: Vec<usize>| {
            list.push((format!("mn.{name}.bias"), vec![shape[0]]));
            list.push((format!("mn.{name}.weight"), shape));
        };
        layer("stem", vec![self.stem, 1, 3, 3]);
        for (index, (block, channels)) in self.blocks.iter().zip(self.channels()).enumerate() {
            let n = index + 1;
            let MobileBlock {
                expanded,
                filters,
                kernel,
                squeezed,
                ..
            } = *block;
            if expanded != channels {
                layer(&format!("block{n}.expand"), vec![expanded, channels, 1, 1]);
            }
            layer(
                &format!("block{n}.depthwise"),
                vec![expanded, 1, kernel, kernel],
            );
            if let Some(squeezed) = squeezed {
                layer(&format!("block{n}.squeeze"), vec![squeezed, expanded]);
                layer(&format!("block{n}.excite"), vec![expanded, squeezed]);
            }
            layer(&format!("block{n}.project"), vec![filters, expanded, 1, 1]);
        }
        let last = self.blocks.last().map_or(self.stem, |block| block.filters);
        layer("last", vec![self.embedding, last, 1, 1]);
        layer("hidden", vec![self.hidden, self.embedding]);
        layer("classes", vec![self.classes.len(), self.hidden]);
        list
    }
}

/// Fewest columns that are shown to the network; before them the floor stands.
const LEAST: usize = 96;
/// Lengths of segments that are shorter than a whole one are multiples of this.
const GRAIN: usize = 32;

/// What a segment says.
#[derive(Clone, Debug, Default)]
pub(super) struct Answer {
    /// `[embedding]`
    pub(super) embedding: Vec<f32>,
    /// Before the sigmoid, `[classes]`.
    pub(super) logits: Vec<f32>,
}

/// The second trunk of one stream.
#[derive(Debug)]
pub(super) struct TaggerStream {
    plans: Arc<TaggerPlans>,
    n_mels: usize,
    /// The newest columns, up to a whole segment, oldest first.
    columns: VecDeque<f32>,
    /// Columns since the window began.
    total: u64,
    /// Where each segment of the window ends, and what it said; the oldest first.
    segments: VecDeque<(u64, Answer)>,
    /// Of segments that left the window: their memory is used again.
    spare: Vec<Answer>,
    /// What the head sees, `[Tagger::len]`.
    features: Vec<f32>,
    /// Log-odds of [`Tagger::sounds`] in the newest segment.
    sounds: Vec<f32>,
}

impl TaggerStream {
    pub(super) fn new(plans: &Arc<TaggerPlans>) -> Self {
        let tagger = plans.tagger();
        let n_mels = tagger.front_end.n_mels;
        Self {
            n_mels,
            columns: VecDeque::with_capacity(tagger.segment_columns * n_mels),
            total: 0,
            segments: VecDeque::new(),
            spare: Vec::new(),
            features: vec![0.0; tagger.len()],
            sounds: vec![0.0; tagger.sounds.len()],
            plans: Arc::clone(plans),
        }
    }

    pub(super) fn push(&mut self, column: &[f32]) {
        let full = self.plans.tagger().segment_columns * self.n_mels;
        if self.columns.len() >= full {
            self.columns.drain(..self.n_mels);
        }
        let floor = self.plans.tagger().front_end.floor();
        self.columns.extend(
            column
                .iter()
                .map(|&value| if value.is_finite() { value } else { floor }),
        );
        self.total += 1;
    }

    pub(super) fn reset(&mut self) {
        self.columns.clear();
        self.total = 0;
        self.spare
            .extend(self.segments.drain(..).map(|(_, answer)| answer));
    }

    /// Forgets all but the newest columns.
    pub(super) fn keep_newest(&mut self, columns: usize) {
        let kept = (columns * self.n_mels).min(self.columns.len());
        self.columns.drain(..self.columns.len() - kept);
        self.total = (kept / self.n_mels) as u64;
        self.spare
            .extend(self.segments.drain(..).map(|(_, answer)| answer));
    }

    /// Brings the segments up to date. `window` is the length of the window in columns.
    pub(super) fn update(&mut self, window: usize) -> Option<()> {
        let tagger = self.plans.tagger();
        let whole = tagger.segment_columns as u64;
        let due = match self.segments.back() {
            None => true,
            Some(&(end, _)) if end == self.total => false,
            // What was heard of less than a segment is heard again with what came since.
            Some(&(end, _)) if end < whole => true,
            Some(&(end, _)) => self.total - end >= tagger.hop_columns as u64,
        };
        if due {
            // A whole segment takes the place of a short one, and a longer one that of a shorter.
            if self.segments.front().is_some_and(|&(end, _)| end < whole) {
                self.spare
                    .extend(self.segments.pop_front().map(|(_, answer)| answer));
            }
            let mut answer = self.spare.pop().unwrap_or_default();
            let (a, b) = self.columns.as_slices();
            let shown = shown(self.columns.len() / self.n_mels, tagger);
            let floor = tagger.front_end.floor();
            self.plans
                .run(shown, |picture| fill(picture, a, b, floor), &mut answer)?;
            self.segments.push_back((self.total, answer));
        }
        // A segment counts as long as all of it lies in the window.
        let oldest = self
            .total
            .saturating_sub((window as u64).saturating_sub(whole));
        while self.segments.len() > 1 && self.segments.front().is_some_and(|&(end, _)| end < oldest)
        {
            self.spare
                .extend(self.segments.pop_front().map(|(_, answer)| answer));
        }
        let answers = self.segments.iter().map(|(_, answer)| answer);
        self.plans.summarise(answers, &mut self.features);
        if let Some((_, answer)) = self.segments.back() {
            self.plans.sounds(std::iter::once(answer), &mut self.sounds);
        }
        Some(())
    }

    /// Looks at a whole picture of `[columns, n_mels]` by itself: as few segments as cover it,
    /// evenly spaced.
    pub(super) fn look(&mut self, columns: &[f32]) -> Option<()> {
        self.reset();
        let tagger = self.plans.tagger();
        let (whole, floor) = (tagger.segment_columns, tagger.front_end.floor());
        let n = columns.len() / self.n_mels;
        let segments = n.div_ceil(whole).max(1);
        let mut answers = Vec::with_capacity(segments);
        for index in 0..segments {
            let spare = n.saturating_sub(whole);
            let from = if segments > 1 {
                spare * index / (segments - 1)
            } else {
                0
            };
            let to = (from + whole).min(n);
            let part = &columns[from * self.n_mels..to * self.n_mels];
            let mut answer = self.spare.pop().unwrap_or_default();
            let shown = shown(to - from, tagger);
            self.plans.run(
                shown,
                |picture| fill(picture, part, &[], floor),
                &mut answer,
            )?;
            answers.push(answer);
        }
        self.plans.summarise(answers.iter(), &mut self.features);
        self.plans.sounds(answers.iter(), &mut self.sounds);
        self.spare.extend(answers);
        Some(())
    }

    /// What the head sees.
    pub(super) fn features(&self) -> &[f32] {
        &self.features
    }

    /// Log-odds of [`Tagger::sounds`].
    pub(super) fn sounds(&self) -> &[f32] {
        &self.sounds
    }
}

/// Columns of the picture where there are `n`: a length that there is a plan for.
fn shown(n: usize, tagger: &Tagger) -> usize {
    if n >= tagger.segment_columns {
        tagger.segment_columns
    } else {
        (n / GRAIN * GRAIN).max(LEAST)
    }
}

/// The newest columns (those of `a`, then those of `b`) as a picture; before them stands the floor
/// where there are too few.
fn fill(picture: &mut [f32], a: &[f32], b: &[f32], floor: f32) {
    let n = a.len() + b.len();
    let (padding, heard) = picture.split_at_mut(picture.len().saturating_sub(n));
    padding.fill(floor);
    let skipped = n - heard.len();
    let from_a = skipped.min(a.len());
    let (a, b) = (&a[from_a..], &b[skipped - from_a..]);
    heard[..a.len()].copy_from_slice(a);
    heard[a.len()..].copy_from_slice(b);
}

pub(super) fn sigmoid(logit: f32) -> f32 {
    1.0 / (1.0 + (-logit).exp())
}
