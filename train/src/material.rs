//! What trust is fitted on and measured with: music by folds, what is not music by kinds, music
//! outside the labels.
//!
//! Everything is held in memory at the network's own rate, so that streams can be spliced from it.

use std::{path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use genrescope::{
    front_end,
    network::{Model, Network, Scored},
    units::SampleRate,
};

use crate::{
    audio,
    datasets::Dataset,
    parallel,
    sounds::{self, RATE, Sound},
    study::say,
};

/// A recording.
#[derive(Clone, Debug)]
pub struct Clip {
    /// Its label; none for what is outside the labels.
    pub label: Option<usize>,
    /// Its folder: a genre, or a kind of sound.
    pub kind: String,
    /// The fold whose model has not heard it, or anything of its artist or kind.
    pub fold: usize,
    /// Whether it is a whole clip; only those are asked about.
    pub whole: bool,
    /// Mono, at [`RATE`].
    pub samples: Vec<f32>,
}

/// All of it.
#[derive(Clone, Debug)]
pub struct Material {
    /// The labels.
    pub labels: Vec<String>,
    /// Number of folds.
    pub folds: usize,
    /// Music with labels.
    pub music: Vec<Clip>,
    /// What is not music: recordings, formulas and synthetic speech.
    pub other: Vec<Clip>,
    /// Songs that no fold has heard, with the name of their folder; many are of no genre among the
    /// labels.
    pub songs: Vec<Clip>,
    /// Music of today without labels, machine-made (`synthetic_music` beside the songs): that it is
    /// music is all it tells.
    pub modern: Vec<Clip>,
    /// What was left out, in words.
    pub notes: Vec<String>,
}

/// Where it lies.
#[derive(Clone, Copy, Debug)]
pub struct Places<'a> {
    /// GTZAN, or a library with a folder of songs per genre.
    pub music: &'a Path,
    /// The published lists of its split, where they are named: the test part stays out.
    pub lists: Option<&'a Path>,
    /// What is not music: a folder per kind.
    pub not_music: &'a Path,
    /// Songs: a folder per genre.
    pub songs: Option<&'a Path>,
}

fn mono(path: &Path) -> Result<Vec<f32>> {
    let mono = audio::decode(path)?;
    sounds::at_network_rate(&mono.samples, mono.rate)
}

fn folder_of(path: &Path) -> String {
    path.parent()
        .and_then(Path::file_name)
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

impl Material {
    /// Decodes everything. What cannot be read is said in [`Material::notes`] and left out.
    ///
    /// # Errors
    /// When there is no music with labels, or nothing that is not music.
    pub fn load(places: &Places<'_>, seed: u64, threads: usize) -> Result<Self> {
        let mut dataset = Dataset::to_learn_from(places.music, places.lists)?;
        if dataset.items.iter().any(|item| item.fold.is_none()) {
            dataset.assign_folds(5, seed);
        }
        let folds = dataset.folds().max(1);
        let other = Dataset::unlabelled(places.not_music)?;
        let songs = places
            .songs
            .filter(|folder| folder.is_dir())
            .map(Dataset::unlabelled)
            .transpose()?;
        let modern = places
            .songs
            .and_then(|folder| Some(folder.parent()?.join("synthetic_music")))
            .filter(|folder| folder.is_dir())
            .map(|folder| Dataset::unlabelled(&folder))
            .transpose()?;
        let mut notes = Vec::new();
        let mut read = |items: Vec<(std::path::PathBuf, Clip)>| -> Vec<Clip> {
            let decoded = parallel::map(items.len(), threads, |i| mono(&items[i].0));
            let mut clips = Vec::new();
            for ((path, clip), samples) in items.into_iter().zip(decoded) {
                match samples {
                    Ok(samples) => clips.push(Clip { samples, ..clip }),
                    Err(error) => notes.push(format!("left out '{}': {error:#}", path.display())),
                }
            }
            clips
        };
        let music = read(
            dataset
                .items
                .iter()
                .filter_map(|item| {
                    let label = item.label?;
                    let clip = Clip {
                        label: Some(label),
                        kind: dataset.labels.get(label)?.clone(),
                        fold: item.fold.unwrap_or(0),
                        whole: item.whole,
                        samples: Vec::new(),
                    };
                    Some((item.path.clone(), clip))
                })
                .collect(),
        );
        let unlabelled = |dataset: &Dataset| -> Vec<(std::path::PathBuf, Clip)> {
            dataset
                .items
                .iter()
                .map(|item| {
                    let clip = Clip {
                        label: None,
                        kind: folder_of(&item.path),
                        fold: 0,
                        whole: true,
                        samples: Vec::new(),
                    };
                    (item.path.clone(), clip)
                })
                .collect()
        };
        let mut other = read(unlabelled(&other));
        let songs = songs.map_or(Vec::new(), |songs| read(unlabelled(&songs)));
        let mut modern = modern.map_or(Vec::new(), |modern| read(unlabelled(&modern)));
        for (index, clip) in modern.iter_mut().enumerate() {
            clip.fold = index % folds;
        }
        ensure!(
            !music.is_empty() && !other.is_empty(),
            "'{}' holds {} recordings with labels and '{}' {} that are not music; both are needed",
            places.music.display(),
            music.len(),
            places.not_music.display(),
            other.len()
        );
        let mut made = sounds::formulas(seed, 10);
        let voices: Vec<&[f32]> = other
            .iter()
            .filter(|clip| clip.kind == "speech")
            .map(|clip| clip.samples.as_slice())
            .collect();
        made.extend(sounds::babble(seed, 15, &voices));
        match sounds::spoken(seed, 40) {
            Ok(spoken) => made.extend(spoken),
            Err(error) => notes.push(format!("no synthetic speech: {error:#}")),
        }
        other.extend(made.into_iter().map(|Sound { kind, samples }| Clip {
            label: None,
            kind: kind.into(),
            fold: 0,
            whole: true,
            samples,
        }));
        let mut kinds: Vec<String> = other.iter().map(|clip| clip.kind.clone()).collect();
        kinds.sort();
        kinds.dedup();
        for clip in &mut other {
            let kind = kinds
                .iter()
                .position(|kind| *kind == clip.kind)
                .unwrap_or(0);
            clip.fold = kind % folds;
        }
        for note in &notes {
            say(&format!("{note}\n"));
        }
        Ok(Self {
            labels: dataset.labels,
            folds,
            music,
            other,
            songs,
            modern,
            notes,
        })
    }

    /// The kinds of what is not music, sorted.
    pub fn kinds(&self) -> Vec<&str> {
        let mut kinds: Vec<&str> = self.other.iter().map(|clip| clip.kind.as_str()).collect();
        kinds.sort_unstable();
        kinds.dedup();
        kinds
    }
}

/// Mel columns of samples at [`RATE`], by the front end of `model`.
///
/// # Errors
/// When the model's front end cannot be built.
pub fn columns(model: &Model, samples: &[f32]) -> Result<Vec<f32>> {
    let rate = SampleRate::new(RATE).context("12 kHz")?;
    Ok(front_end::columns(samples, model.front_end(), rate)?)
}

/// What the network gives at one step of a stream.
#[derive(Clone, Debug)]
pub struct Step {
    /// Columns heard.
    pub heard: usize,
    /// Of the window.
    pub logits: Vec<f32>,
    /// Of the newest trunk columns, see [`genrescope::network::Scored::recent`].
    pub recent: Vec<f32>,
    /// Of the window.
    pub embedding: Vec<f32>,
    /// Log-odds of the second trunk's classes that tell music from the rest, see
    /// [`genrescope::network::Scored::sounds`].
    pub sounds: Vec<f32>,
    /// Probability of music, where the model can tell.
    pub music: Option<f32>,
}

/// Streams samples at [`RATE`] through a model's front end and network, as a listener would hear
/// them, and keeps every step.
///
/// # Errors
/// When the model's front end cannot be built.
pub fn steps_of(model: &Arc<Model>, samples: &[f32]) -> Result<Vec<Step>> {
    let rate = SampleRate::new(RATE).context("12 kHz")?;
    let mut front_end = model.listen(rate)?;
    let mut network = Network::new(model);
    let (mut columns, mut steps) = (0, Vec::new());
    // The grid of the product: what comes in one chunk comes together.
    for chunk in samples.chunks(CHUNK) {
        front_end.push_pictures(chunk, |picture, column| {
            network.push_picture(picture, column);
            if picture == front_end::Picture::Mel {
                columns += 1;
                if columns % model.step_columns() == 0
                    && let Some(scored) = network.score()
                {
                    steps.push(Step::of(&scored));
                }
            }
        });
    }
    Ok(steps)
}

/// Samples that the product takes at a time.
const CHUNK: usize = 256;

impl Step {
    fn of(scored: &Scored<'_>) -> Self {
        Self {
            heard: scored.n_columns,
            logits: scored.logits.to_vec(),
            recent: scored.recent.to_vec(),
            embedding: scored.embedding.to_vec(),
            sounds: scored.sounds.to_vec(),
            music: scored.music,
        }
    }
}

/// Streams mel columns through the network, as a listener would hear them, and shows every step:
/// its number, and what the network gives.
pub fn steps_with(model: &Arc<Model>, columns: &[f32], mut each: impl FnMut(usize, &Scored<'_>)) {
    let mut network = Network::new(model);
    let n_mels = model.front_end().n_mels;
    for (i, column) in columns.chunks_exact(n_mels).enumerate() {
        network.push(column);
        let step = (i + 1) / model.step_columns();
        if (i + 1) % model.step_columns() == 0
            && let Some(scored) = network.score()
        {
            each(step - 1, &scored);
        }
    }
}

/// The same, kept.
pub fn steps(model: &Arc<Model>, columns: &[f32]) -> Vec<Step> {
    let mut steps = Vec::new();
    steps_with(model, columns, |_, scored| {
        steps.push(Step::of(scored));
    });
    steps
}
