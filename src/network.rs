//! Mel columns in, logits out.

pub mod architecture;
pub mod bundle;
mod error;
mod graph;
pub mod kernel;
pub mod level;
pub mod neighbours;
pub mod quantise;
mod recent;
mod rolling;
pub mod tagger;

use std::sync::{Arc, OnceLock};

pub use architecture::Architecture;
pub use bundle::{Bundle, ModelCard, ModelError};
pub use recent::{comparison_len, summary_len, top_len};

use self::{
    architecture::Activation,
    bundle::Weights,
    graph::{Graph, Runner},
    neighbours::Neighbours,
    recent::MusicHead,
    rolling::{Columns, Trunk},
    tagger::TaggerStream,
};
use crate::{
    front_end::{FrontEnd, FrontEndConfig, FrontEndError, Picture},
    genre::{Labels, Scores},
    units::{SampleRate, Seconds},
};

/// Columns are clipped to this many decibels either way before anything is computed from them: far
/// beyond what a front end gives, so that foreign values cannot overflow.
const CLIP_DB: f32 = 1_000.0;

/// A model that is compiled into the program.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum BuiltIn {
    /// The ten genres of the paper.
    #[default]
    Default,
    /// Families of music with their kinds, from `electronic > techno` to `latin > salsa`.
    Wide,
}

impl BuiltIn {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Default, Self::Wide];

    /// What it is called where a model is chosen.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Default => "default",
            Self::Wide => "wide",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|model| model.as_str() == name)
    }

    /// Its file.
    pub const fn bytes(self) -> &'static [u8] {
        match self {
            Self::Default => include_bytes!("../models/default.safetensors"),
            Self::Wide => include_bytes!("../models/wide.safetensors"),
        }
    }
}

/// What computes the convolution blocks of a model.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Engine {
    /// [`kernel`], in integers where the model file allows it.
    #[default]
    Fused,
    /// The convolution and the pool that tract brings, in f32: slower, kept to check and to measure
    /// against.
    Tract,
}

/// A loaded, checked, immutable model, shared by all streams through an [`Arc`].
#[derive(Debug)]
pub struct Model {
    card: ModelCard,
    graph: Arc<Graph>,
    /// What is done to input columns by their place in the window, if anything: scale and offset.
    column_affine: Option<(Vec<f32>, Vec<f32>)>,
    /// Tensors beside the network, by name.
    extra: Vec<(String, Weights)>,
    /// Tells music from other sound, if the model can.
    music: Option<MusicHead>,
    /// Frames of known songs, if the file has any.
    neighbours: Option<Neighbours>,
}

impl Model {
    /// Loads a model file that is already in memory.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn from_bytes(bytes: &[u8]) -> Result<Arc<Self>, ModelError> {
        Self::from_bundle(&Bundle::read(bytes)?)
    }

    /// Builds the network of a bundle. Blocks whose weights are int8, and whose input has a known
    /// range ([`quantise::Calibration`]), are computed in integers.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn from_bundle(bundle: &Bundle) -> Result<Arc<Self>, ModelError> {
        Self::with_engine(bundle, Engine::Fused)
    }

    /// As [`Model::from_bundle`], with a choice of what computes the blocks.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn with_engine(bundle: &Bundle, engine: Engine) -> Result<Arc<Self>, ModelError> {
        Self::build(bundle, engine, kernel::Path::best())
    }

    /// As [`Model::from_bundle`], with a choice of instructions: for tests and measurements.
    ///
    /// # Errors
    /// [`ModelError`] naming the field that is wrong, with its value.
    pub fn with_path(bundle: &Bundle, path: kernel::Path) -> Result<Arc<Self>, ModelError> {
        Self::build(bundle, Engine::Fused, path)
    }

    fn build(bundle: &Bundle, engine: Engine, path: kernel::Path) -> Result<Arc<Self>, ModelError> {
        bundle.check()?;
        let values = |name: &str| bundle.tensors.get(name).map(Weights::to_f32);
        let extra = bundle
            .tensors
            .iter()
            .filter(|(name, _)| name.starts_with("trust."));
        let mut model = Self {
            card: bundle.card.clone(),
            graph: Graph::new(bundle, engine, path)?,
            column_affine: values("input.column_scale").zip(values("input.column_offset")),
            extra: extra
                .map(|(name, weights)| (name.clone(), weights.clone()))
                .collect(),
            music: None,
            neighbours: None,
        };
        model.music = MusicHead::find(&model)?;
        model.neighbours = Neighbours::find(&model)?;
        let model = Arc::new(model);
        // One step runs every plan once: whatever the engine refuses, it refuses here.
        let mut network = Network::new(&model);
        let column = vec![model.front_end().floor_db; model.front_end().n_mels];
        for _ in 0..model.step_columns() {
            network.push(&column);
        }
        match network.score() {
            Some(scored) if scored.logits.iter().all(|logit| logit.is_finite()) => Ok(model),
            Some(_) => Err(ModelError::Build {
                reason: "silence gives logits that are not finite".into(),
            }),
            None => Err(ModelError::Build {
                reason: "the engine cannot run it".into(),
            }),
        }
    }

    /// The default model, compiled into the binary; loaded on the first call.
    ///
    /// # Panics
    /// When the file that was compiled in is no model file, which a test rules out.
    pub fn builtin() -> Arc<Self> {
        Self::built_in(BuiltIn::Default)
    }

    /// A model that is compiled into the binary; loaded on the first call.
    ///
    /// # Panics
    /// When the file that was compiled in is no model file, which a test rules out.
    pub fn built_in(which: BuiltIn) -> Arc<Self> {
        static MODELS: [OnceLock<Arc<Model>>; BuiltIn::ALL.len()] =
            [const { OnceLock::new() }; BuiltIn::ALL.len()];
        Arc::clone(MODELS[which as usize].get_or_init(|| {
            Self::from_bytes(which.bytes()).expect("the model compiled in has been tested")
        }))
    }

    /// What the model says of itself.
    pub fn card(&self) -> &ModelCard {
        &self.card
    }

    /// Its labels, in output order.
    pub fn labels(&self) -> &Labels {
        &self.card.labels
    }

    /// The front end its weights were trained with.
    pub fn front_end(&self) -> &FrontEndConfig {
        &self.card.front_end
    }

    /// The pictures that its networks look at, made of mono samples at `rate`.
    ///
    /// # Errors
    /// [`FrontEndError`] naming the field that is out of range.
    pub fn listen(&self, rate: SampleRate) -> Result<FrontEnd, FrontEndError> {
        let tagger = self.card.architecture.tagger.as_ref();
        FrontEnd::new(self.front_end(), rate)?.with_tagger(tagger.map(|tagger| &tagger.front_end))
    }

    /// Mel columns in one frame (1366).
    pub fn n_frames(&self) -> usize {
        self.card.architecture.frame_columns
    }

    /// Length of a mel column.
    pub fn column(&self) -> Seconds {
        let numbers = self.front_end();
        Seconds(numbers.hop_length as f64 / f64::from(numbers.sample_rate))
    }

    /// How many columns of the second picture go with the first `n` of the mel picture; 0 without a
    /// second trunk.
    pub fn second_columns(&self, n: usize) -> usize {
        let tagger = self.card.architecture.tagger.as_ref();
        let per_column = tagger.map_or(0.0, |tagger| {
            self.column().0 * tagger.front_end.columns_per_second()
        });
        (n as f64 * per_column) as usize
    }

    /// Length of [`Scored::embedding`].
    pub fn embedding_len(&self) -> usize {
        self.card
            .architecture
            .embedding_len(self.card.front_end.n_mels)
    }

    /// Columns by which a window moves so that work can be re-used: 64 for the CNN, 96 for the
    /// CRNN. Every hop is a multiple of it.
    pub fn step_columns(&self) -> usize {
        self.card.architecture.step_columns()
    }

    /// Scores from logits, by the activation the model was trained with: softmax, or sigmoids
    /// divided by their sum. Each label's own: a family has that of none of its kinds
    /// ([`Labels::added_up`]).
    pub fn scores(&self, logits: &[f32], temperature: f32) -> Scores {
        match self.card.architecture.head.activation {
            Activation::Softmax if self.labels().has_families() => {
                Scores::tree_softmax(self.labels(), logits, temperature)
            }
            Activation::Softmax => Scores::softmax(logits, temperature),
            Activation::Sigmoid => {
                let sigmoids: Vec<f32> = logits
                    .iter()
                    .map(|logit| 1.0 / (1.0 + (-logit / temperature).exp()))
                    .collect();
                let sum: f32 = sigmoids.iter().filter(|value| value.is_finite()).sum();
                if sum > 0.0 {
                    Scores::new(&sigmoids.iter().map(|value| value / sum).collect::<Vec<_>>())
                } else {
                    Scores::uniform(logits.len())
                }
            }
        }
    }

    /// Scores of frames whose genre is known, for [`crate::song::SongScore::Neighbours`]; `None`
    /// where the model file holds none.
    pub fn neighbours(&self) -> Option<&Neighbours> {
        self.neighbours.as_ref()
    }

    /// The tensor `trust.NAME` of the model file, if it has one: what decisions may rest on beside
    /// the logits.
    pub fn trust(&self, name: &str) -> Option<&Weights> {
        let (_, weights) = self
            .extra
            .iter()
            .find(|(full, _)| full.strip_prefix("trust.") == Some(name))?;
        Some(weights)
    }

    /// Column `index` of the padded window, from the mel column heard there: normalised, or zero in
    /// normalised space. `shift` brings the window to its level, for models that ask for it.
    fn normalise(&self, index: usize, heard: Option<&[f32]>, shift: f32, out: &mut [f32]) {
        let normalisation = &self.card.architecture.normalisation;
        let level = normalisation.level;
        let cell = |value: f32| level.map_or(value, |level| level.apply(value, shift));
        match (
            heard,
            normalisation.mean.as_slice(),
            normalisation.std.as_slice(),
        ) {
            (None, ..) => out.fill(0.0),
            (Some(heard), [mean], [std]) => {
                for (out, value) in out.iter_mut().zip(heard) {
                    *out = (cell(*value) - mean) / std;
                }
            }
            (Some(heard), mean, std) => {
                let bands = mean.iter().cycle().zip(std.iter().cycle());
                for ((out, value), (mean, std)) in out.iter_mut().zip(heard).zip(bands) {
                    *out = (cell(*value) - mean) / std;
                }
            }
        }
        if let Some((scale, offset)) = &self.column_affine {
            for out in out {
                *out = *out * scale[index] + offset[index];
            }
        }
    }
}

/// What the network made of the window as it stands.
#[derive(Clone, Copy, Debug)]
pub struct Scored<'a> {
    /// One per label, before softmax.
    pub logits: &'a [f32],
    /// Input of the last dense layer: what trust, song changes and taught heads look at.
    pub embedding: &'a [f32],
    /// Mel columns that were heard, up to `n_frames`.
    pub n_columns: usize,
    /// The newest seconds (4.1 s with the CNN) in short, shape `[summary_len]`: for every channel
    /// of the trunk's newest output columns the mean and then the maximum over them and over
    /// frequency, the same of the block below, and for every mel band mean (relative to that of all
    /// bands) and deviation. Music is recognised, and a change of song detected, by these.
    pub recent: &'a [f32],
    /// Probability that those newest seconds are music, 0..=1; `None` where the model cannot tell.
    pub music: Option<f32>,
    /// Log-odds of each of [`tagger::Tagger::sounds`] in the newest segment; empty without a second
    /// trunk.
    pub sounds: &'a [f32],
    model: &'a Model,
}

impl Scored<'_> {
    /// Scores of the logits at this temperature, by the activation that the model was trained with.
    pub fn scores(&self, temperature: f32) -> Scores {
        self.model.scores(self.logits, temperature)
    }
}

/// The network of one stream: keeps the rolling window and what can be re-used of its last pass.
#[derive(Debug)]
pub struct Network {
    model: Arc<Model>,
    runner: Runner,
    columns: Columns,
    trunk: Trunk,
    tagger: Option<TaggerStream>,
    /// Columns of the second picture in a whole frame.
    tagger_columns: usize,
    /// The window of [`Network::score_frame`], allocated by its first call.
    frame: Option<Box<(Columns, Trunk)>>,
    outputs: Outputs,
}

/// What the last scoring gave.
#[derive(Debug)]
struct Outputs {
    logits: Vec<f32>,
    embedding: Vec<f32>,
    recent: Vec<f32>,
    /// See [`MusicHead::probability`].
    shares: Vec<f32>,
}

impl Network {
    /// A network with an empty window. All memory is allocated here and by the first scoring.
    pub fn new(model: &Arc<Model>) -> Self {
        Self {
            tagger: model.graph.tagger().map(TaggerStream::new),
            tagger_columns: model.second_columns(model.n_frames()),
            runner: Runner::new(&model.graph),
            columns: Columns::new(model),
            trunk: Trunk::new(model),
            frame: None,
            outputs: Outputs {
                logits: vec![0.0; model.labels().len()],
                embedding: vec![0.0; model.embedding_len()],
                recent: vec![0.0; recent::summary_len(model)],
                shares: vec![0.0; recent::still_len(model)],
            },
            model: Arc::clone(model),
        }
    }

    /// The model it runs.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Mel columns in the window.
    pub fn n_columns(&self) -> usize {
        self.columns.len()
    }

    /// Appends one mel column (`n_mels` values, in dB); the oldest leaves once `n_frames` are held.
    /// Values that are not finite are read as the front end's floor.
    pub fn push(&mut self, column: &[f32]) {
        push(&mut self.columns, column, self.model.front_end().floor_db);
    }

    /// Appends one column of `picture`, as the front end of [`Model::listen`] gives them.
    pub fn push_picture(&mut self, picture: Picture, column: &[f32]) {
        match picture {
            Picture::Mel => self.push(column),
            Picture::Tagger => {
                if let Some(tagger) = &mut self.tagger {
                    tagger.push(column);
                }
            }
        }
    }

    /// Scores the window as it stands. `None` until [`Model::step_columns`] columns were heard.
    /// With less than a frame, what was heard stands for the whole: [`Architecture::trunk_columns`]
    /// has the rule.
    ///
    /// What the last call computed is re-used where the window moved by a multiple of
    /// [`Model::step_columns`]; the scores are those of [`Network::score_frame`] to 1e-5, whenever
    /// it is called.
    pub fn score(&mut self) -> Option<Scored<'_>> {
        let Self {
            model,
            runner,
            columns,
            trunk,
            tagger,
            tagger_columns,
            outputs,
            ..
        } = self;
        if columns.len() < model.step_columns() {
            return None;
        }
        if let Some(tagger) = tagger {
            tagger.update(*tagger_columns)?;
        }
        score(model, runner, columns, trunk, tagger.as_ref(), outputs)
    }

    /// Scores a whole frame of shape `[n_columns, n_mels]` (column after column) without touching
    /// the window and without re-use: the oracle that [`Network::score`] must equal. Of more
    /// columns than a frame has, the last count.
    pub fn score_frame(&mut self, frame: &[f32]) -> Option<Scored<'_>> {
        self.score_pictures(frame, &[])
    }

    /// As [`Network::score_frame`], with the second picture of the same time, `[columns, n_mels]`.
    /// A model with a second trunk reads an empty picture as silence. The segments of
    /// [`Network::score`] are forgotten.
    pub fn score_pictures(&mut self, frame: &[f32], second: &[f32]) -> Option<Scored<'_>> {
        let Self {
            model,
            runner,
            tagger,
            outputs,
            ..
        } = self;
        if let Some(tagger) = tagger {
            tagger.look(second)?;
        }
        let (n_mels, floor_db) = (model.front_end().n_mels, model.front_end().floor_db);
        let fresh = || Box::new((Columns::new(model), Trunk::new(model)));
        let (columns, trunk) = &mut **self.frame.get_or_insert_with(fresh);
        columns.clear();
        trunk.clear();
        for column in frame.chunks_exact(n_mels) {
            push(columns, column, floor_db);
        }
        score(model, runner, columns, trunk, tagger.as_ref(), outputs)
    }

    /// Empties the window.
    pub fn reset(&mut self) {
        self.keep_newest(0);
    }

    /// Empties the window of all but the newest `n_columns` mel columns, and of the second picture
    /// what lies beside them.
    pub fn keep_newest(&mut self, n_columns: usize) {
        self.columns.keep_newest(n_columns);
        self.trunk.clear();
        if let Some(tagger) = &mut self.tagger {
            let share = n_columns as f64 / self.model.n_frames() as f64;
            tagger.keep_newest((share * self.tagger_columns as f64) as usize);
        }
    }
}

fn push(columns: &mut Columns, column: &[f32], floor_db: f32) {
    columns.push(column, |value| {
        if value.is_finite() {
            value.clamp(-CLIP_DB, CLIP_DB)
        } else {
            floor_db
        }
    });
}

fn score<'a>(
    model: &'a Model,
    runner: &mut Runner,
    columns: &Columns,
    trunk: &mut Trunk,
    tagger: Option<&'a TaggerStream>,
    outputs: &'a mut Outputs,
) -> Option<Scored<'a>> {
    if columns.len() < model.step_columns() {
        return None;
    }
    trunk.update(model, runner, columns)?;
    let write = |embedding: &[f32], logits: &[f32]| {
        outputs.embedding.copy_from_slice(embedding);
        outputs.logits.copy_from_slice(logits);
    };
    runner
        .head(
            |block| trunk.columns(block),
            |block, values| trunk.read(block, values),
            tagger.map(TaggerStream::features),
            write,
        )
        .ok()?;
    recent::summarise(model, trunk, columns, &mut outputs.recent);
    let sounds = tagger.map_or(&[][..], TaggerStream::sounds);
    let shares = &mut outputs.shares;
    let music = model.music.as_ref();
    let music =
        music.map(|head| head.probability(model, columns, shares, (&outputs.recent, sounds)));
    Some(Scored {
        logits: &outputs.logits,
        embedding: &outputs.embedding,
        n_columns: columns.len(),
        music,
        recent: &outputs.recent,
        sounds,
        model,
    })
}
