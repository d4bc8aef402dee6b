//! The model of many kinds of music: what an AudioSet tagger says of them, read as a tree of
//! families and kinds.
//!
//! No genre label is learnt. The network is the second trunk alone ([`crate::distil`]); a family's
//! logit is the logarithm of its likeliest class, a kind's is how much likelier its own class is
//! than those of the family as such. What is chosen beside that is one number for all kinds, and
//! temperatures.

use std::{
    collections::BTreeMap,
    path::{Path, PathBuf},
    sync::Arc,
};

use anyhow::{Context as _, Result, ensure};
use genrescope::{
    genre::{Labels, Scores},
    network::{
        Bundle, Model,
        architecture::{Architecture, Block, Pooling},
        bundle::Weights,
        tagger::{Group, Tagger},
    },
    song::{Multiframe, SongClassifier, Verdict},
    source::file::AudioFile,
    teach::Head,
};
use safetensors::{Dtype, SafeTensors};

use crate::{
    datasets::Dataset,
    ears::{Heard, SOUNDS},
    parallel,
};

/// A label of the tree.
#[derive(Clone, Copy, Debug)]
pub struct Kind {
    /// What it is called. The ten genres of the paper have their names there, so that maps of
    /// lights serve both models.
    pub name: &'static str,
    /// What it is a kind of.
    pub family: Option<&'static str>,
    /// AudioSet's classes that stand for it, without those of its kinds.
    pub classes: &'static [&'static str],
}

const fn family(name: &'static str, classes: &'static [&'static str]) -> Kind {
    Kind {
        name,
        family: None,
        classes,
    }
}

const fn kind(family: &'static str, name: &'static str, classes: &'static [&'static str]) -> Kind {
    Kind {
        name,
        family: Some(family),
        classes,
    }
}

/// The tree; a family stands before its kinds. Music for children is left out: machine-made singing
/// of any sort passes for it.
pub const TREE: [Kind; 38] = [
    family(
        "electronic",
        &["Electronic music", "Electronica", "Electronic dance music"],
    ),
    kind("electronic", "house", &["House music"]),
    kind("electronic", "techno", &["Techno"]),
    kind("electronic", "trance", &["Trance music"]),
    kind("electronic", "drum and bass", &["Drum and bass"]),
    kind("electronic", "dubstep", &["Dubstep"]),
    kind("electronic", "ambient", &["Ambient music"]),
    family("hiphop", &["Hip hop music", "Beatboxing"]),
    kind("hiphop", "rap", &["Rapping"]),
    family("pop", &["Pop music"]),
    family(
        "rock",
        &[
            "Rock music",
            "Grunge",
            "Progressive rock",
            "Psychedelic rock",
        ],
    ),
    kind("rock", "metal", &["Heavy metal"]),
    kind("rock", "punk", &["Punk rock"]),
    kind("rock", "rock and roll", &["Rock and roll"]),
    family("R&B", &["Rhythm and blues"]),
    kind("R&B", "soul", &["Soul music"]),
    kind("R&B", "funk", &["Funk"]),
    kind("R&B", "disco", &["Disco"]),
    family("reggae", &["Reggae"]),
    kind("reggae", "ska", &["Ska"]),
    family("blues", &["Blues"]),
    family("jazz", &["Jazz"]),
    kind("jazz", "swing", &["Swing music"]),
    family("country", &["Country"]),
    kind("country", "bluegrass", &["Bluegrass"]),
    family("folk", &["Folk music", "Traditional music"]),
    family("classical", &["Classical music"]),
    kind("classical", "opera", &["Opera"]),
    family("latin", &["Music of Latin America"]),
    kind("latin", "salsa", &["Salsa music"]),
    kind("latin", "flamenco", &["Flamenco"]),
    family("african", &["Music of Africa"]),
    kind("african", "afrobeat", &["Afrobeat"]),
    family("asian", &["Music of Asia", "Carnatic music"]),
    kind("asian", "bollywood", &["Music of Bollywood"]),
    family("middle eastern", &["Middle Eastern music"]),
    family("gospel", &["Gospel music", "Christian music"]),
    family("new age", &["New-age music"]),
];

/// The labels of the tree.
///
/// # Errors
/// Never, unless [`TREE`] is broken.
pub fn labels() -> Result<Labels> {
    let labels = Labels::new(TREE.map(|kind| kind.name))?;
    let families = TREE
        .iter()
        .filter_map(|kind| Some((kind.name, kind.family?)));
    Ok(labels.with_families(families)?)
}

/// Added to the logit of every kind. AudioSet gives a piece of techno the class of electronic music
/// as well, mostly the surer of the two: a kind is the likelier answer from about a quarter of its
/// family's likelihood on.
pub const KIND_BIAS: f32 = 1.4;

/// The model: the second trunk of `weights` (a safetensors file of floats, `mn.*`, all classes of
/// AudioSet, which are `classes`), cut to the classes that the tree and the music head need, in
/// int8, below a head that is the tree.
///
/// # Errors
/// When a class or a tensor is missing.
pub fn bundle(weights: &[u8], classes: &[String]) -> Result<Bundle> {
    let file = SafeTensors::deserialize(weights).context("the weights of the second trunk")?;
    let of_tree = TREE.iter().flat_map(|kind| kind.classes);
    let needed: Vec<&str> = of_tree.chain(&SOUNDS).copied().collect();
    for name in &needed {
        ensure!(
            classes.iter().any(|class| class == name),
            "AudioSet has no class '{name}'"
        );
    }
    let kept: Vec<usize> = (0..classes.len())
        .filter(|&class| needed.contains(&classes[class].as_str()))
        .collect();

    let (groups, rows, biases) = head();
    let kept_names = kept.iter().map(|&class| classes[class].clone()).collect();
    let mut tagger = Tagger::mn04(kept_names, groups);
    tagger.sounds = SOUNDS.map(str::to_owned).to_vec();
    let embedding = tagger.embedding;
    let len = tagger.len();
    let labels = labels()?;
    let architecture = Architecture {
        // Nothing of a first trunk is heard; this one keeps the step and the columns of the newest
        // seconds.
        blocks: vec![Block {
            filters: 1,
            pool: [2, 64],
        }],
        cycle_after: None,
        pooling: Pooling::None,
        tagger: Some(tagger),
        ..Architecture::cnn()
    };
    let mut bundle = Bundle::random(architecture, labels, 0)?;
    for (name, tensor) in &mut bundle.tensors {
        let values = if name.starts_with("mn.") {
            let view = file
                .tensor(name)
                .with_context(|| format!("{name} is missing in the weights"))?;
            ensure!(view.dtype() == Dtype::F32, "{name} is not F32");
            let quads = view.data().as_chunks::<4>().0.iter();
            let all: Vec<f32> = quads.map(|quad| f32::from_le_bytes(*quad)).collect();
            if name.starts_with("mn.classes.") {
                let width = all.len() / classes.len();
                let rows = kept
                    .iter()
                    .flat_map(|class| &all[class * width..(class + 1) * width]);
                rows.copied().collect()
            } else {
                all
            }
        } else if name == "output.weight" {
            let mut weight = vec![0.0; rows.len() * len];
            for (label, row) in rows.iter().enumerate() {
                for &(group, value) in row {
                    weight[label * len + embedding + group] = value;
                }
            }
            weight
        } else if name == "output.bias" {
            biases.clone()
        } else {
            vec![0.0; tensor.shape().iter().product()]
        };
        *tensor = Weights::new(tensor.shape(), values).with_context(|| name.clone())?;
    }
    Ok(bundle.quantised())
}

/// For each label the groups that its logit weighs.
type Rows = Vec<Vec<(usize, f32)>>;

/// The groups of classes, what each label's logit weighs of them, and the biases.
fn head() -> (Vec<Group>, Rows, Vec<f32>) {
    let group = |name: String, classes: Vec<&str>| Group {
        name,
        classes: classes.into_iter().map(str::to_owned).collect(),
    };
    let mut groups = Vec::new();
    let (mut rows, mut biases) = (Vec::new(), Vec::new());
    let mut own = 0;
    for label in &TREE {
        if label.family.is_some() {
            groups.push(group(label.name.into(), label.classes.to_vec()));
            rows.push(vec![(groups.len() - 1, 1.0), (own, -1.0)]);
            biases.push(KIND_BIAS);
            continue;
        }
        let kinds = TREE.iter().filter(|kind| kind.family == Some(label.name));
        let all = kinds.clone().flat_map(|kind| kind.classes);
        let all: Vec<&str> = label.classes.iter().chain(all).copied().collect();
        groups.push(group(label.name.into(), all));
        rows.push(vec![(groups.len() - 1, 1.0)]);
        biases.push(0.0);
        if kinds.count() > 0 {
            groups.push(group(
                format!("{} as such", label.name),
                label.classes.to_vec(),
            ));
        }
        own = groups.len() - 1;
    }
    (groups, rows, biases)
}

/// What a folder's name says of the music in it: labels any of which is right, the finest that is
/// known.
pub fn truth_of(folder: &str, labels: &Labels) -> Vec<usize> {
    let names: &[&str] = match folder {
        "country_folk" => &["country", "folk"],
        "jazz_ragtime" => &["jazz"],
        "punk_rock" => &["punk"],
        "electronic_dnb" => &["drum and bass"],
        "8bit" => &["electronic"],
        other => &[other],
    };
    names
        .iter()
        .filter_map(|name| labels.index_of(name))
        .collect()
}

/// Pieces whose folder says what they are.
///
/// # Errors
/// When the folder cannot be read.
pub fn pieces(folder: &Path, labels: &Labels) -> Result<Vec<(PathBuf, Vec<usize>)>> {
    let items = Dataset::unlabelled(folder)?.items.into_iter();
    let pieces = items.filter_map(|item| {
        let folder = item.path.parent()?.file_name()?.to_str()?.to_owned();
        let truth = truth_of(&folder, labels);
        (!truth.is_empty()).then_some((item.path, truth))
    });
    Ok(pieces.collect())
}

/// The temperature in 0.3..=4 at which the families are least surprising, over the first frames of
/// what was heard.
pub fn family_temperature(
    model: &Model,
    head: &Head,
    heard: &[Heard],
    truths: &[Vec<usize>],
) -> f32 {
    let nll = |temperature: f32| -> f64 {
        let pairs = heard.iter().zip(truths);
        let each = pairs.filter(|(heard, _)| !heard.frames.is_empty());
        each.map(|(heard, truth)| {
            let scores = scores_of(model, head, heard, temperature);
            surprise(model.labels(), &scores, truth)
        })
        .sum()
    };
    let steps = (0..60).map(|step| 0.3 * (4.0_f32 / 0.3).powf(step as f32 / 59.0));
    let best = steps
        .map(|t| (t, nll(t)))
        .min_by(|a, b| a.1.total_cmp(&b.1));
    best.map_or(1.0, |(t, _)| t)
}

/// Scores of a recording, added up: the mean over its frames.
pub fn scores_of(model: &Model, head: &Head, heard: &Heard, temperature: f32) -> Scores {
    let labels = model.labels();
    let mut sum = vec![0.0; labels.len()];
    for frame in &heard.frames {
        let logits = head.logits(frame);
        let scores = model.scores(&logits, temperature);
        for (sum, score) in sum.iter_mut().zip(scores.as_slice()) {
            *sum += score / heard.frames.len() as f32;
        }
    }
    labels.added_up(&Scores::new(&sum))
}

/// Negative log-likelihood of the families among which the truth is.
pub fn surprise(labels: &Labels, scores: &Scores, truth: &[usize]) -> f64 {
    let mut families: Vec<usize> = truth
        .iter()
        .map(|&index| labels.family_or_self(index))
        .collect();
    families.sort_unstable();
    families.dedup();
    let sum: f32 = families.iter().map(|&f| scores.as_slice()[f]).sum();
    -f64::from(sum.max(1e-6)).ln()
}

/// What the product says of recordings whose folder says what they are.
#[derive(Clone, Debug, Default)]
pub struct Measured {
    /// Recordings.
    pub n: usize,
    /// The best family is right.
    pub best_family: usize,
    /// A label is named whose family is right.
    pub named_right: usize,
    /// A label is named whose family is wrong.
    pub named_wrong: usize,
    /// A kind is named.
    pub kinds_named: usize,
    /// Recordings whose kind is known, those among them where just that is named, and those where
    /// its family is.
    pub with_kind: [usize; 3],
    /// Recordings whose family alone is known and of which a kind of it is named: right or wrong,
    /// nobody knows.
    pub unknown_kind: usize,
    /// Called not music, silent or too short.
    pub refused: usize,
    /// Sum of the negative log-likelihoods of the families.
    pub surprise: f64,
    /// Right and all, by folder.
    pub by_folder: BTreeMap<String, [usize; 3]>,
    /// What is said of each, in words.
    pub words: Vec<String>,
}

/// Asks the product, [`SongClassifier`], about each piece.
///
/// # Errors
/// When a file cannot be decoded.
pub fn measure(
    model: &Arc<Model>,
    pieces: &[(PathBuf, Vec<usize>)],
    threads: usize,
) -> Result<Measured> {
    let songs = parallel::map(pieces.len(), threads, |i| -> Result<_> {
        let path = &pieces[i].0;
        let mut file = AudioFile::open(path).with_context(|| path.display().to_string())?;
        let mut song = SongClassifier::new(model, file.rate(), Multiframe::default())?;
        let mut mono = Vec::new();
        while file.next_block(&mut mono)? {
            song.push(&mono);
        }
        Ok(song.finish())
    });
    let labels = model.labels();
    let mut all = Measured::default();
    for ((path, truth), song) in pieces.iter().zip(songs) {
        let song = song?;
        let family = |index: usize| labels.family_or_self(index);
        let right = |index: usize| truth.iter().any(|&truth| family(truth) == family(index));
        let best = labels.of_families(&song.scores).top().0;
        all.n += 1;
        all.best_family += usize::from(right(best));
        all.surprise += surprise(labels, &song.scores, truth);
        let known = truth
            .iter()
            .find(|&&truth| labels.family_of(truth).is_some());
        let named = song.verdict.genre();
        match (song.verdict, named) {
            (_, Some(named)) => {
                let is_kind = labels.family_of(named).is_some();
                all.named_right += usize::from(right(named));
                all.named_wrong += usize::from(!right(named));
                all.kinds_named += usize::from(is_kind);
                all.unknown_kind += usize::from(is_kind && right(named) && known.is_none());
            }
            (Verdict::Unsure, _) => {}
            _ => all.refused += 1,
        }
        if let Some(&known) = known {
            all.with_kind[0] += 1;
            all.with_kind[1] += usize::from(named == Some(known));
            all.with_kind[2] += usize::from(named == labels.family_of(known));
        }
        let folder = path.parent().and_then(Path::file_name);
        let folder = folder.unwrap_or_default().to_string_lossy().into_owned();
        let entry = all.by_folder.entry(folder.clone()).or_default();
        entry[0] += usize::from(right(best));
        entry[1] += usize::from(named.is_some_and(right));
        entry[2] += 1;
        let ranked: Vec<String> = labels
            .ranked(&song.scores)
            .into_iter()
            .take(3)
            .map(|(index, score)| {
                let kind = labels.best_kind(index, &song.scores);
                let kind = kind
                    .filter(|kind| kind.1 > 0.1)
                    .map_or(String::new(), |kind| {
                        format!(
                            " ({} {:.0})",
                            labels.get(kind.0).unwrap_or("?"),
                            100.0 * kind.1
                        )
                    });
                format!(
                    "{} {:.0}{kind}",
                    labels.get(index).unwrap_or("?"),
                    100.0 * score
                )
            })
            .collect();
        let said = named.map_or(song.verdict.as_str().to_owned(), |named| labels.path(named));
        let name = path.file_stem().unwrap_or_default().to_string_lossy();
        all.words
            .push(format!("{folder}/{name}: {said}; {}", ranked.join(", ")));
    }
    Ok(all)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_tree_is_whole_and_no_class_stands_twice() {
        let labels = labels().unwrap();
        assert_eq!(labels.path(2), "electronic > techno");
        let mut classes: Vec<&str> = TREE.iter().flat_map(|kind| kind.classes).copied().collect();
        let n = classes.len();
        classes.sort_unstable();
        classes.dedup();
        assert_eq!(classes.len(), n);
        for name in genrescope::genre::GTZAN {
            assert!(
                labels.index_of(name).is_some(),
                "maps for '{name}' still fit"
            );
        }
        for (index, kind) in TREE.iter().enumerate() {
            // A family stands before its kinds, with nothing but kinds of it between.
            let Some(family) = labels.family_of(index) else {
                continue;
            };
            assert!(
                (family + 1..index).all(|between| labels.family_of(between) == Some(family)),
                "{}",
                kind.name
            );
        }
    }

    #[test]
    fn a_kind_is_weighed_against_its_own_family() {
        let (groups, rows, biases) = head();
        assert_eq!((rows.len(), biases.len()), (TREE.len(), TREE.len()));
        let at = |name: &str| TREE.iter().position(|kind| kind.name == name).unwrap();
        let names = |name: &str| -> Vec<(&str, f32)> {
            let row = rows[at(name)].iter();
            row.map(|&(group, weight)| (groups[group].name.as_str(), weight))
                .collect()
        };
        assert_eq!(
            names("techno"),
            [("techno", 1.0), ("electronic as such", -1.0)]
        );
        assert_eq!(names("ska"), [("ska", 1.0), ("reggae as such", -1.0)]);
        assert_eq!(names("blues"), [("blues", 1.0)]);
        assert_eq!(groups[rows[at("rock")][0].0].classes.len(), 7);
    }
}
