//! One step from given weights on given pictures: loss and gradients are those of the trainer that
//! the published models come from.

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
        loss: 79.91811,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", 76.97673, 210.09414),
            ("block1.bias", -34.39344, 121.98943),
            ("block2.weight", 212.51237, 140.20625),
            ("block2.bias", -93.17655, 70.50997),
            ("block3.weight", 8.4557, 152.53079),
            ("block3.bias", -18.04227, 57.52675),
            ("block4.weight", -98.8586, 107.63756),
            ("block4.bias", 13.67507, 17.6471),
            ("block5.weight", 52.48004, 84.97871),
            ("block5.bias", -11.64226, 6.85999),
            ("output.weight", 5.32071, 5.90473),
            ("output.bias", 0.0, 0.22405),
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
        loss: 1.91353,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", 0.0, 0.0),
            ("block1.bias", 0.0, 0.0),
            ("block2.weight", 0.0, 0.0),
            ("block2.bias", 0.0, 0.0),
            ("block3.weight", 0.86585, 2.40779),
            ("block3.bias", -0.98832, 1.08604),
            ("block4.weight", -4.20862, 2.02396),
            ("block4.bias", -0.19041, 0.45225),
            ("block5.weight", 4.52303, 2.55021),
            ("block5.bias", -0.17503, 0.26082),
            ("output.weight", 4.04188, 5.949),
            ("output.bias", 0.0, 0.22208),
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
        loss: 1.64869,
        accuracy: 0.5000,
        gradients: &[
            ("block1.weight", -0.90744, 1.63336),
            ("block1.bias", 0.22364, 1.02001),
            ("block2.weight", 1.63706, 1.18476),
            ("block2.bias", -0.40066, 0.66546),
            ("block3.weight", 0.61369, 2.40576),
            ("block3.bias", 0.86637, 0.83018),
            ("block4.weight", 0.35285, 1.16796),
            ("block4.bias", 0.29135, 0.18356),
            ("gru1.input", 0.0523, 0.24024),
            ("gru1.recurrent", -0.00022, 0.01066),
            ("gru1.bias", -0.02837, 0.03633),
            ("gru2.input", 0.19904, 0.18369),
            ("gru2.recurrent", 0.01004, 0.01176),
            ("gru2.bias", 0.30485, 0.21682),
            ("output.weight", 2.37607, 1.82553),
            ("output.bias", -0.16847, 0.26469),
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
        loss: 2.34409,
        accuracy: 0.3333,
        gradients: &[
            ("block1.weight", 0.0, 0.0),
            ("block1.bias", 0.0, 0.0),
            ("block2.weight", 0.0, 0.0),
            ("block2.bias", 0.0, 0.0),
            ("block3.weight", 0.0, 0.0),
            ("block3.bias", 0.0, 0.0),
            ("block4.weight", 0.83215, 1.93747),
            ("block4.bias", 0.49141, 0.33969),
            ("gru1.input", 0.46613, 0.88502),
            ("gru1.recurrent", -0.05885, 0.09304),
            ("gru1.bias", -0.12486, 0.13724),
            ("gru2.input", 0.22726, 0.47249),
            ("gru2.recurrent", 0.13738, 0.0726),
            ("gru2.bias", 0.45772, 0.30497),
            ("output.weight", 4.12032, 3.80274),
            ("output.bias", -0.4774, 0.47421),
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
