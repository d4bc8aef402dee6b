//! One step from given weights on given pictures: loss and gradients are those of the trainer that the published models come from.

use genrescope::{
    front_end::FrontEndConfig,
    genre::Labels,
    network::{Architecture, architecture::Pooling},
};
use genrescope_train::{
    fit::{Example, Inputs, Loss, Recipe, Task, View, fit, view},
    optim::Method,
    pictures::Picture,
    rng::Rng,
    trainable::Trainable,
    transfer::{Tap, with_taps},
};

fn pictures() -> Vec<Picture> {
    (0..6)
        .map(|i| {
            let mut rng = Rng::at(20, &[i]);
            let columns = [1500, 700, 400][i as usize % 3];
            let db: Vec<f32> = (0..columns * 96).map(|_| rng.between(-75.0, 0.0)).collect();
            Picture::from_db(&db)
        })
        .collect()
}

fn start(recurrent: bool) -> Trainable {
    let (mut architecture, filters): (_, &[usize]) = if recurrent {
        (Architecture::crnn(), &[2, 3, 3, 4])
    } else {
        (Architecture::cnn(), &[2, 3, 3, 4, 5])
    };
    for (block, &filters) in architecture.blocks.iter_mut().zip(filters) {
        block.filters = filters;
    }
    if let Pooling::Gru { units } = &mut architecture.pooling {
        *units = vec![4, 3];
    }
    let taps = [Tap::Top, Tap::Block4, Tap::Block3, Tap::Block3Bands];
    let architecture = with_taps(architecture, &taps).unwrap();
    let labels = Labels::new(["a", "b", "c"]).unwrap();
    let front_end = FrontEndConfig {
        floor_db: -80.0,
        ..FrontEndConfig::default()
    };
    let mut net = Trainable::new(architecture, front_end, labels).unwrap();
    for (t, param) in net.params.iter_mut().enumerate() {
        let mut rng = Rng::at(21, &[t as u64]);
        param.values.fill_with(|| 0.3 * rng.normal());
    }
    let mut rng = Rng::at(22, &[]);
    for (mean, std) in net.embedding_mean.iter_mut().zip(&mut net.embedding_std) {
        *mean = 0.1 * rng.normal();
        *std = rng.between(0.5, 2.0);
    }
    net
}

/// What was measured: the sum of a gradient's values with signs by chance, and its length.
struct Case {
    name: &'static str,
    recurrent: bool,
    views: bool,
    recipe: fn(Recipe) -> Recipe,
    loss: f64,
    accuracy: f64,
    gradients: &'static [(&'static str, f64, f64)],
}

const CASES: [Case; 4] = [
    Case {
        name: "CNN, whole frames, tags",
        recurrent: false,
        views: false,
        recipe: |recipe| Recipe {
            whole: 1.0,
            tags: 0.5,
            ..recipe
        },
        loss: 79.918109,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", 76.976734, 210.094143),
            ("block1.bias", -34.393440, 121.989431),
            ("block2.weight", 212.512370, 140.206252),
            ("block2.bias", -93.176546, 70.509975),
            ("block3.weight", 8.455695, 152.530786),
            ("block3.bias", -18.042269, 57.526754),
            ("block4.weight", -98.858605, 107.637555),
            ("block4.bias", 13.675068, 17.647098),
            ("block5.weight", 52.480036, 84.978708),
            ("block5.bias", -11.642258, 6.859988),
            ("output.weight", 5.320705, 5.904729),
            ("output.bias", 0.0, 0.224053),
        ],
    },
    Case {
        name: "CNN, a part, two layers frozen",
        recurrent: false,
        views: false,
        recipe: |recipe| Recipe {
            whole: 0.0,
            frozen: 2,
            ..recipe
        },
        loss: 1.913535,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", 0.0, 0.0),
            ("block1.bias", 0.0, 0.0),
            ("block2.weight", 0.0, 0.0),
            ("block2.bias", 0.0, 0.0),
            ("block3.weight", 0.865854, 2.407787),
            ("block3.bias", -0.988324, 1.086040),
            ("block4.weight", -4.208621, 2.023962),
            ("block4.bias", -0.190411, 0.452246),
            ("block5.weight", 4.523032, 2.550212),
            ("block5.bias", -0.175032, 0.260825),
            ("output.weight", 4.041877, 5.948998),
            ("output.bias", 0.0, 0.222083),
        ],
    },
    Case {
        name: "CRNN, a part, sigmoids",
        recurrent: true,
        views: false,
        recipe: |recipe| Recipe {
            whole: 0.0,
            loss: Loss::Sigmoid,
            class_weight: 0.5,
            ..recipe
        },
        loss: 1.648694,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", -0.907436, 1.633361),
            ("block1.bias", 0.223642, 1.020010),
            ("block2.weight", 1.637056, 1.184763),
            ("block2.bias", -0.400663, 0.665459),
            ("block3.weight", 0.613692, 2.405763),
            ("block3.bias", 0.866366, 0.830176),
            ("block4.weight", 0.352851, 1.167960),
            ("block4.bias", 0.291351, 0.183561),
            ("gru1.input", 0.052297, 0.240236),
            ("gru1.recurrent", -0.000219, 0.010656),
            ("gru1.bias", -0.028365, 0.036325),
            ("gru2.input", 0.199044, 0.183692),
            ("gru2.recurrent", 0.010039, 0.011759),
            ("gru2.bias", 0.304848, 0.216819),
            ("output.weight", 2.376068, 1.825532),
            ("output.bias", -0.168471, 0.264692),
        ],
    },
    Case {
        name: "CRNN, kept views",
        recurrent: true,
        views: true,
        recipe: |recipe| Recipe {
            whole: 1.0,
            frozen: 3,
            ..recipe
        },
        loss: 2.344094,
        accuracy: 0.3333,
        gradients: &[
            ("block1.weight", 0.0, 0.0),
            ("block1.bias", 0.0, 0.0),
            ("block2.weight", 0.0, 0.0),
            ("block2.bias", 0.0, 0.0),
            ("block3.weight", 0.0, 0.0),
            ("block3.bias", 0.0, 0.0),
            ("block4.weight", 0.832153, 1.937466),
            ("block4.bias", 0.491409, 0.339687),
            ("gru1.input", 0.466129, 0.885023),
            ("gru1.recurrent", -0.058847, 0.093041),
            ("gru1.bias", -0.124863, 0.137241),
            ("gru2.input", 0.227258, 0.472489),
            ("gru2.recurrent", 0.137382, 0.072598),
            ("gru2.bias", 0.457717, 0.304970),
            ("output.weight", 4.120318, 3.802740),
            ("output.bias", -0.477397, 0.474210),
        ],
    },
];

#[test]
fn a_step_is_that_of_the_published_models() {
    let plain = Recipe {
        method: Method::SgdNesterov,
        epochs: 1,
        batch: 6,
        rate: 1.0,
        head_rate: 1.0,
        weight_decay: 0.0,
        constant_rate: true,
        warm_up: 0.0,
        average: 0.0,
        seed: 3,
        ..Recipe::default()
    };
    let mut wrong = Vec::new();
    for case in &CASES {
        let recipe = (case.recipe)(plain.clone());
        let net = start(case.recurrent);
        let pictures = pictures();
        let pairs: Vec<(usize, usize)> = [0, 1, 2, 0, 0, 1].into_iter().enumerate().collect();
        let mut examples = Example::labelled(&pairs, 3, &recipe);
        let mut rng = Rng::at(24, &[]);
        let weight: Vec<f32> = (0..2 * net.top_len()).map(|_| rng.normal()).collect();
        let bias = [0.1f32, -0.2];
        let tags = recipe.tags > 0.0;
        for example in examples.iter_mut().filter(|_| tags) {
            example.tags = vec![rng.uniform(), rng.uniform()];
        }
        let views: Vec<View> = [None, Some(&recipe.augment)]
            .into_iter()
            .enumerate()
            .filter(|_| case.views)
            .map(|(seed, damage)| view(&net, &pictures, damage, seed as u64, 1))
            .collect();
        let task = Task {
            inputs: if case.views {
                Inputs::Views(&views)
            } else {
                Inputs::Pictures(&pictures, &[])
            },
            examples: &examples,
            extras: &[],
            held_out: &[],
            hints: None,
            tagger: tags.then_some((&weight, &bias)),
            threads: 2,
            checkpoint: None,
        };
        let (after, epochs) = fit(&net, &recipe, &task, &mut |_| {}).unwrap();
        let mut near = |found: f64, expected: f64, scale: f64, what: &str| {
            if (found - expected).abs() >= 1e-4 * scale {
                wrong.push(format!("{}, {what}: {found}, not {expected}", case.name));
            }
        };
        near(epochs[0].loss, case.loss, 1.0 + case.loss, "loss");
        near(epochs[0].accuracy, case.accuracy, 1.0, "accuracy");
        for (t, (name, dot, norm)) in case.gradients.iter().enumerate() {
            let (before, after) = (&net.params[t], &after.params[t]);
            assert_eq!(before.name, *name);
            // The first step of Nesterov's momentum 0.9 is 1.9 gradients long.
            let moved = before.values.iter().zip(&after.values);
            let gradient: Vec<f64> = moved.map(|(a, b)| f64::from(a - b) / 1.9).collect();
            let mut rng = Rng::at(23, &[t as u64]);
            let mut sign = || if rng.chance(0.5) { 1.0 } else { -1.0 };
            let found: f64 = gradient.iter().map(|g| g * sign()).sum();
            let length = gradient.iter().map(|g| g * g).sum::<f64>().sqrt();
            let scale = 1.0 + norm * (gradient.len() as f64).sqrt();
            near(found, *dot, scale, name);
            near(length, *norm, 1.0 + norm, name);
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}
