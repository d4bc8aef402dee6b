//! Teachers: what both taggers of the reference together say of a recording, to learn from beside
//! the labels.
//!
//! A softmax regression on the features of K. Choi's CNN and CRNN reads more from the same clips
//! than one network alone, and its doubts tell what a label does not. It answers for a recording
//! only what it learnt from other folds: a teacher that had heard the artist would pass on what it
//! remembers. Recordings without labels are answered by one that learnt from all.

use std::path::Path;

use anyhow::{Context, Result, ensure};
use genrescope::network::{
    Model, Network,
    architecture::{Statistic, StatisticKind},
    bundle::Weights,
    level::Level,
};

use crate::{
    heads::{Linear, Objective, Rows, fit_linear},
    keras::{self, Form, Regime},
    metrics::softmax,
    parallel,
    pictures::{FRAME_COLUMNS, PictureCache},
    study::{Probes, Study},
    transfer::Tagger,
    yamnet::{self, Passages},
};

/// Features of both taggers for all recordings of a study, and their tags; where a recipe wants it,
/// YAMNet's beside them.
#[derive(Clone, Debug)]
pub struct Teacher {
    /// `[pictures, len]`: top of the CNN, then state and column statistics of the CRNN, then the
    /// mean of YAMNet's embeddings.
    rows: Vec<f32>,
    len: usize,
    passages: Option<Passages>,
    /// `[pictures, n_tags]`, each 0..1: the mean of both taggers.
    tags: Vec<f32>,
    n_tags: usize,
}

impl Teacher {
    /// Runs the CRNN of `file` (`music_tagger_crnn_weights_theano.h5`), its windows brought to
    /// `level`, over all pictures of `study`, or reads what it said from the cache; `top` holds the
    /// CNN's features of the same pictures, `passages` what YAMNet says of them.
    ///
    /// # Errors
    /// When the file cannot be read or is not that network.
    pub fn new(
        study: &Study,
        top: &Probes,
        tagger: &Tagger,
        (file, level): (&Path, Option<Level>),
        passages: Option<Passages>,
        cache: &PictureCache,
        threads: usize,
    ) -> Result<Self> {
        let model = crnn(file, level)?;
        let n_tags = model.labels().len();
        ensure!(
            n_tags == tagger.bias.len(),
            "'{}' has {n_tags} outputs, the CNN {}: both must be the taggers with 50 tags",
            file.display(),
            tagger.bias.len()
        );
        let heard = model.embedding_len();
        let key = format!(
            "{}crnn{heard}{:?}",
            study.identity(),
            model.card().architecture.normalisation
        );
        let both = cache.rows(&key, study.pictures.len() * (heard + n_tags), || {
            parallel::map(study.pictures.len(), threads, |i| {
                let mut network = Network::new(&model);
                // Excerpts are looped: the teacher was made for whole frames.
                let floor = model.front_end().floor_db;
                let columns: Vec<f32> = study.pictures[i]
                    .crop(0, FRAME_COLUMNS)
                    .iter()
                    .map(|db| db.max(floor))
                    .collect();
                network.score_frame(&columns).map(|scored| {
                    let tags = scored.logits.iter().map(|x| 1.0 / (1.0 + (-x).exp()));
                    scored
                        .embedding
                        .iter()
                        .copied()
                        .chain(tags)
                        .collect::<Vec<f32>>()
                })
            })
            .into_iter()
            .collect::<Option<Vec<_>>>()
            .map(|rows| rows.concat())
            .context("the CRNN gives no score")
        })?;
        let further = passages.as_ref().map_or(0, |_| yamnet::VALUES);
        let mut teacher = Self {
            rows: Vec::new(),
            len: top.len + heard + further,
            passages,
            tags: Vec::new(),
            n_tags,
        };
        for (i, both) in both.chunks_exact(heard + n_tags).enumerate() {
            let (features, tags) = both.split_at(heard);
            let row = top.row(i);
            teacher.rows.extend(row.iter().chain(features));
            if let Some(passages) = &teacher.passages {
                let columns = study.pictures[i].columns();
                teacher.rows.extend(passages.mean(i, 0, columns));
            }
            teacher.tags.extend(
                tagger
                    .scores(row)
                    .iter()
                    .zip(tags)
                    .map(|(a, b)| 0.5 * (a + b)),
            );
        }
        Ok(teacher)
    }

    /// One with these features, and nothing else.
    #[cfg(test)]
    pub(crate) fn of_rows(rows: Vec<f32>, len: usize) -> Self {
        Self {
            rows,
            len,
            passages: None,
            tags: Vec::new(),
            n_tags: 0,
        }
    }

    /// Tags of picture `i`, each 0..1.
    pub fn tags(&self, i: usize) -> &[f32] {
        &self.tags[i * self.n_tags..(i + 1) * self.n_tags]
    }

    /// What it says of the recordings `learning`, in their order, each learnt from the other folds
    /// among them; and of the pictures without labels, learnt from all. `decay` is the L2 penalty
    /// of the regression.
    pub fn targets(
        &self,
        study: &Study,
        learning: &[usize],
        decay: f32,
    ) -> (Vec<Vec<f32>>, Vec<Vec<f32>>) {
        let fit = |of: &[usize]| -> Linear {
            let rows: Vec<f32> = of.iter().flat_map(|&i| self.row(i)).copied().collect();
            let truths: Vec<usize> = of.iter().map(|&i| study.records[i].label).collect();
            let rows = Rows {
                values: &rows,
                len: self.len,
            };
            fit_linear(rows, &truths, study.labels.len(), Objective::Softmax, decay)
        };
        let mut known = vec![Vec::new(); learning.len()];
        for fold in 0..study.folds() {
            let in_fold = |&&i: &&usize| study.records[i].fold == fold;
            if !learning.iter().any(|i| in_fold(&i)) {
                continue;
            }
            let others: Vec<usize> = learning.iter().filter(|i| !in_fold(i)).copied().collect();
            // With one fold alone there is nobody else to ask.
            let head = fit(if others.is_empty() { learning } else { &others });
            for (target, i) in known.iter_mut().zip(learning).filter(|(_, i)| in_fold(i)) {
                *target = softmax(&head.scores(self.row(*i)), 1.0);
            }
        }
        let head = fit(learning);
        let unknown = (study.records.len()..study.pictures.len())
            .map(|i| softmax(&head.scores(self.row(i)), 1.0))
            .collect();
        (known, unknown)
    }

    /// What hints are made of: its features, standardised over the recordings `learning`.
    pub fn hints(&self, learning: &[usize]) -> Hints<'_> {
        let values: Vec<f32> = learning
            .iter()
            .flat_map(|&i| self.row(i))
            .copied()
            .collect();
        let (mean, std) = Rows {
            values: &values,
            len: self.len,
        }
        .moments();
        Hints {
            teacher: self,
            mean,
            std,
        }
    }

    /// Right answers of the cross-fitted teacher among the whole recordings: what can be hoped to
    /// be passed on.
    pub fn right(&self, study: &Study, decay: f32) -> Vec<(usize, usize)> {
        let all = study.learning(None);
        let (known, _) = self.targets(study, &all, decay);
        all.iter()
            .zip(known)
            .filter(|(i, _)| study.records[**i].whole)
            .map(|(&i, target)| (i, crate::metrics::argmax(&target)))
            .collect()
    }

    fn row(&self, i: usize) -> &[f32] {
        &self.rows[i * self.len..(i + 1) * self.len]
    }
}

/// What the hint layer is to say of an example: the teacher's features, standardised and cut at
/// four deviations.
#[derive(Clone, Debug)]
pub struct Hints<'a> {
    teacher: &'a Teacher,
    mean: Vec<f32>,
    std: Vec<f32>,
}

impl Hints<'_> {
    /// Number of values.
    pub fn values(&self) -> usize {
        self.teacher.len
    }

    /// Of picture `i`, of which an example shows `part`, `(first column, columns)` (none: as much
    /// as it does). The taggers' features are of the whole clean recording, whatever part is shown;
    /// YAMNet's are of that part.
    pub fn of(&self, i: usize, part: Option<(usize, usize)>) -> Vec<f32> {
        let row = self.teacher.row(i);
        let local = match (part, &self.teacher.passages) {
            (Some((first, columns)), Some(passages)) => passages.mean(i, first, columns),
            _ => Vec::new(),
        };
        let whole = &row[..row.len() - local.len()];
        let moments = self.mean.iter().zip(&self.std);
        whole
            .iter()
            .chain(&local)
            .zip(moments)
            .map(|(x, (mean, std))| ((x - mean) / std).clamp(-4.0, 4.0))
            .collect()
    }
}

/// Choi's CRNN, whose embedding is its last state and mean and deviation of its columns; its tags
/// still come from the state alone.
fn crnn(file: &Path, level: Option<Level>) -> Result<std::sync::Arc<Model>> {
    let mut bundle = keras::import(file, Regime::ZScore, Form::ShiftInvariant)?;
    if let Some(level) = level {
        bundle.card.front_end.floor_db = level.floor_db - level.most_db;
    }
    let architecture = &mut bundle.card.architecture;
    architecture.normalisation.level = level;
    let (last, filters) = (
        architecture.blocks.len(),
        architecture.blocks.last().map_or(0, |b| b.filters),
    );
    architecture.statistics = [StatisticKind::Mean, StatisticKind::Std]
        .map(|kind| Statistic {
            block: last,
            kind,
            groups: 1,
        })
        .into();
    let weight = bundle
        .tensors
        .get("output.weight")
        .context("'output.weight' is missing")?;
    let (state, values) = (weight.shape()[1], weight.to_f32());
    let mut wide = Vec::with_capacity(values.len() + weight.shape()[0] * 2 * filters);
    for row in values.chunks_exact(state) {
        wide.extend_from_slice(row);
        wide.resize(wide.len() + 2 * filters, 0.0);
    }
    let shape = [weight.shape()[0], state + 2 * filters];
    bundle
        .tensors
        .insert("output.weight".into(), Weights::new(&shape, wide)?);
    Model::from_bundle(&bundle).with_context(|| format!("'{}': is it the CRNN?", file.display()))
}
