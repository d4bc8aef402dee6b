//! Runs that go on from another: one that is killed at any moment and resumed ends with the same
//! bits as one that was left alone, and a recipe starts from the weights of the run before it.

use std::{
    path::Path,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use genrescope::{front_end::FrontEndConfig, genre::Labels, network::Architecture};
use genrescope_train::{
    fit::{Epoch, Example, Inputs, Recipe, Task, fit, view},
    optim::Method,
    pictures::Picture,
    rng::Rng,
    study::{Probes, Record, Setting, Study, train},
    trainable::Trainable,
};

const CHECKPOINT: &str = "GENRESCOPE_TEST_CHECKPOINT";

fn recipe() -> Recipe {
    Recipe {
        method: Method::AdamW,
        epochs: 6,
        batch: 4,
        rate: 1e-3,
        head_rate: 3e-3,
        patience: 4,
        anchor: 1e-3,
        ..Recipe::default()
    }
}

/// The CNN with few filters.
fn tiny() -> Trainable {
    let mut architecture = Architecture::cnn();
    for (block, filters) in architecture.blocks.iter_mut().zip([2, 3, 3, 4, 5]) {
        block.filters = filters;
    }
    let labels = Labels::new(["a", "b"]).unwrap();
    Trainable::new(architecture, FrontEndConfig::default(), labels).unwrap()
}

/// A tiny network with weights by chance, and twelve pictures of two kinds by turns.
fn start() -> (Trainable, Vec<Picture>) {
    let mut net = tiny();
    let mut rng = Rng::at(1, &[]);
    for value in net.params.iter_mut().flat_map(|param| &mut param.values) {
        *value = 0.3 * rng.normal();
    }
    let pictures = (0..12)
        .map(|i| {
            let db: Vec<f32> = (0..400 * 96)
                .map(|k| {
                    rng.between(-60.0, 0.0)
                        + if (k % 96 < 48) == (i % 2 == 0) {
                            20.0
                        } else {
                            0.0
                        }
                })
                .collect();
            Picture::from_db(&db)
        })
        .collect();
    (net, pictures)
}

/// A tiny run, with everything that a large one has. `slow` waits after each step, so that there is
/// time to be killed.
fn run(
    checkpoint: Option<&Path>,
    threads: usize,
    slow: Option<Duration>,
) -> (Trainable, Vec<Epoch>) {
    let (net, pictures) = start();
    let heard = [pictures.iter().rev().cloned().collect()];
    let recipe = recipe();
    let pairs: Vec<(usize, usize)> = (0..8).map(|i| (i, i % 2)).collect();
    let held_out: Vec<(usize, usize)> = (8..12).map(|i| (i, i % 2)).collect();
    let examples = Example::labelled(&pairs, 2, &recipe);
    let task = Task {
        inputs: Inputs::Pictures(&pictures, &heard),
        examples: &examples,
        extras: &[],
        held_out: &held_out,
        hints: None,
        tagger: None,
        threads,
        checkpoint: checkpoint.map(|path| (path, 1)),
    };
    fit(&net, &recipe, &task, &mut |_| {
        if let Some(wait) = slow {
            std::thread::sleep(wait);
        }
    })
    .unwrap()
}

/// Not a test by itself: the process that the test below kills.
#[test]
#[ignore = "is run, and killed, by the test below"]
fn child() {
    if let Some(path) = std::env::var_os(CHECKPOINT) {
        run(Some(Path::new(&path)), 2, Some(Duration::from_millis(50)));
    }
}

#[test]
fn a_killed_run_resumes_to_the_same_bits() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.safetensors");
    // Killed again and again, later each time, in the middle of whatever it does.
    for round in 0..3u64 {
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "child", "--ignored"])
            .env(CHECKPOINT, &path)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let began = Instant::now();
        let before = std::fs::metadata(&path).and_then(|m| m.modified()).ok();
        // Until a checkpoint was written, and a little on.
        while std::fs::metadata(&path).and_then(|m| m.modified()).ok() == before
            && began.elapsed() < Duration::from_secs(60)
        {
            std::thread::sleep(Duration::from_millis(3));
        }
        std::thread::sleep(Duration::from_millis(17 * round));
        child.kill().unwrap();
        child.wait().unwrap();
        assert!(path.exists(), "no checkpoint after 60 s");
    }
    let (resumed, epochs) = run(Some(&path), 1, None);
    let (whole, all_epochs) = run(None, 3, None);
    assert_eq!(resumed, whole);
    let strip = |epochs: Vec<Epoch>| -> Vec<Epoch> {
        epochs
            .into_iter()
            .map(|e| Epoch { seconds: 0.0, ..e })
            .collect()
    };
    assert_eq!(strip(epochs), strip(all_epochs));
}

#[test]
fn a_checkpoint_of_another_run_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("run.safetensors");
    run(Some(&path), 1, None);
    let net = tiny();
    let pictures = [Picture::from_db(&vec![-20.0; 400 * 96])];
    let other = Recipe {
        seed: 9,
        ..recipe()
    };
    let examples = Example::labelled(&[(0, 0)], 2, &other);
    let task = Task {
        inputs: Inputs::Pictures(&pictures, &[]),
        examples: &examples,
        extras: &[],
        held_out: &[],
        hints: None,
        tagger: None,
        threads: 1,
        checkpoint: Some((&path, 1)),
    };
    let error = fit(&net, &other, &task, &mut |_| {}).unwrap_err();
    assert!(format!("{error:#}").contains("another run"), "{error:#}");
}

#[test]
fn a_recipe_starts_from_the_weights_of_the_run_before_it() {
    let (trunk, pictures) = start();
    let study = Study {
        labels: vec!["a".into(), "b".into()],
        records: (0..pictures.len())
            .map(|i| Record {
                path: i.to_string().into(),
                label: i % 2,
                fold: i % 4 / 2,
                whole: true,
            })
            .collect(),
        pictures,
        heard: Vec::new(),
        unlabelled: Vec::new(),
    };
    let plain = Recipe {
        batch: 4,
        views: 0,
        probe_crops: Vec::new(),
        ..Recipe::default()
    };
    let first = Recipe {
        epochs: 2,
        frozen: trunk.architecture.blocks.len(),
        ..plain.clone()
    };
    let views = vec![vec![view(&trunk, &study.pictures, None, 0, 1)]; 3];
    let probes = Probes::new(&trunk, &views[0], &plain, 1);
    let setting = Setting {
        trunk: &trunk,
        tagger: None,
        probes: &probes,
        views: &views,
        teacher: None,
        threads: 1,
        checkpoints: None,
    };
    let train = |recipe: &Recipe| train(&study, &setting, recipe, None, "test").unwrap().0;
    let head_alone = train(&first);
    let after = |first: &Recipe, epochs| Recipe {
        epochs,
        first: Some(Box::new(first.clone())),
        ..plain.clone()
    };
    // Nothing more than the first run is the first run, however deep it lies; one epoch more moves
    // every layer from there.
    assert_eq!(train(&after(&first, 0)).params, head_alone.params);
    let deep = after(&after(&first, 0), 0);
    assert_eq!(deep.runs().count(), 3);
    assert_eq!(train(&deep).params, head_alone.params);
    assert_ne!(head_alone.params, train(&plain).params);
    let moved = train(&after(&first, 1));
    for (before, now) in head_alone.params.iter().zip(&moved.params) {
        assert_ne!(before, now);
    }
}
