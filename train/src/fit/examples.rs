//! What is learnt from: examples, pictures, and what frozen blocks make of them.

use std::{fs, path::PathBuf};

use anyhow::Result;
use burn::tensor::Device;

use super::{Recipe, VIEW};
use crate::{
    augment::{Augment, augment},
    parallel,
    pictures::{Picture, write_whole},
    rng::Rng,
    trainable::{Differentiable, Plane, Trainable, batch, floats},
};

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
    /// Examples without labels, with these targets; the inputs are `first` and those after it. They
    /// count half.
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

/// Where examples come from: pictures that are damaged anew each time, or kept outputs of the
/// frozen blocks.
#[derive(Clone, Copy, Debug)]
pub enum Inputs<'a> {
    /// Whole pictures, and the same recordings as they are heard: any number of them, each with as
    /// many pictures.
    Pictures(&'a [Picture], &'a [Vec<Picture>]),
    /// `views[0]` of the clean recordings, the rest damaged; each holds one plane a recording.
    Views(&'a [View]),
    /// What so many blocks make of each clean recording's first frame: for recipes that freeze at
    /// least these and see whole frames.
    Frames(&'a [KeptPlane], usize),
}

/// Outputs of the blocks below the repetition for many recordings: `[12, columns, 128]` each, in
/// bfloat16.
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

/// Pushes every picture, damaged as `damage` says (none: clean), through the blocks below the
/// repetition. Damaged views start at a random column. `seed` is that of the view.
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

/// Embeddings of every plane of `view`, or of a part of its columns, `(count, first)` in steps;
/// `[records, embedding]`.
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

/// Keeps `view` at `path`, or reads it from there: frozen blocks run once for each picture, not
/// once for each run.
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
