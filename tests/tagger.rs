//! The second trunk: against a slow, obvious computation, on every path, and in streams.

use std::sync::Arc;

use genrescope::{
    front_end::Picture,
    genre::Labels,
    network::{
        Architecture, Bundle, Model, Network,
        kernel::Path,
        tagger::{Group, MobileBlock, Tagger},
    },
    pipeline::{Pipeline, PipelineConfig},
    units::SampleRate,
};

/// A small tagger with every kind of block.
fn tagger() -> Tagger {
    let names = |n: usize| (0..n).map(|i| format!("class {i}")).collect::<Vec<_>>();
    let group = |name: &str, classes: &[usize]| Group {
        name: name.into(),
        classes: classes.iter().map(|i| format!("class {i}")).collect(),
    };
    let groups = vec![group("a", &[0, 3]), group("b", &[1]), group("c", &[2, 4])];
    let block = |expanded, filters, kernel, stride, squeezed, hard_swish| MobileBlock {
        expanded,
        filters,
        kernel,
        stride,
        squeezed,
        hard_swish,
    };
    Tagger {
        stem: 8,
        blocks: vec![
            block(8, 8, 3, 1, None, false),
            block(24, 16, 3, 2, None, false),
            block(33, 16, 5, 1, Some(5), true),
            block(40, 20, 5, 2, None, true),
        ],
        embedding: 21,
        hidden: 9,
        sounds: vec!["class 1".into()],
        ..Tagger::mn04(names(5), groups)
    }
}

fn bundle() -> Bundle {
    let architecture = Architecture {
        tagger: Some(tagger()),
        ..Architecture::cnn()
    };
    Bundle::random(architecture, Labels::new(["a", "b", "c"]).unwrap(), 5).unwrap()
}

/// A picture of `columns` columns that repeats nowhere.
fn picture(columns: usize, bands: usize) -> Vec<f32> {
    (0..columns * bands)
        .map(|i| ((i * i % 977) as f32 / 977.0 - 0.7) * 1.5)
        .collect()
}

/// `[time, frequency, channel]`
struct Plane {
    time: usize,
    rows: usize,
    channels: usize,
    values: Vec<f32>,
}

impl Plane {
    fn at(&self, t: isize, f: isize, c: usize) -> f32 {
        let (Ok(t), Ok(f)) = (usize::try_from(t), usize::try_from(f)) else {
            return 0.0;
        };
        if t < self.time && f < self.rows {
            self.values[(t * self.rows + f) * self.channels + c]
        } else {
            0.0
        }
    }

    /// A convolution by its definition; `depthwise`: each channel by itself.
    fn convolve(
        &self,
        weight: &[f32],
        bias: &[f32],
        (kernel, stride): (usize, usize),
        depthwise: bool,
        activation: impl Fn(f32) -> f32,
    ) -> Self {
        let (time, rows) = (self.time.div_ceil(stride), self.rows.div_ceil(stride));
        let inputs = if depthwise { 1 } else { self.channels };
        let pad = (kernel / 2).cast_signed();
        let mut values = Vec::new();
        for t in 0..time {
            for f in 0..rows {
                for (o, bias) in bias.iter().enumerate() {
                    let mut sum = *bias;
                    for i in 0..inputs {
                        for df in 0..kernel {
                            for dt in 0..kernel {
                                let w = weight[((o * inputs + i) * kernel + df) * kernel + dt];
                                let channel = if depthwise { o } else { i };
                                let t = (t * stride + dt).cast_signed() - pad;
                                let f = (f * stride + df).cast_signed() - pad;
                                sum += w * self.at(t, f, channel);
                            }
                        }
                    }
                    values.push(activation(sum));
                }
            }
        }
        Self {
            time,
            rows,
            channels: bias.len(),
            values,
        }
    }

    fn means(&self) -> Vec<f32> {
        let cells = self.values.chunks_exact(self.channels);
        let n = cells.len() as f32;
        let mut means = vec![0.0; self.channels];
        for cell in cells {
            for (mean, value) in means.iter_mut().zip(cell) {
                *mean += value / n;
            }
        }
        means
    }
}

fn dense(weight: &[f32], bias: &[f32], input: &[f32]) -> Vec<f32> {
    weight
        .chunks_exact(input.len())
        .zip(bias)
        .map(|(row, bias)| bias + row.iter().zip(input).map(|(w, x)| w * x).sum::<f32>())
        .collect()
}

fn hard_swish(x: f32) -> f32 {
    x * (x + 3.0).clamp(0.0, 6.0) / 6.0
}

fn sigmoid(x: f32) -> f32 {
    1.0 / (1.0 + (-x).exp())
}

/// What the head should see of a picture: the embedding, and the logarithms of the groups' shares.
fn slow(bundle: &Bundle, picture: &[f32]) -> Vec<f32> {
    let tagger = bundle.card.architecture.tagger.as_ref().unwrap();
    let layer = |name: &str| {
        ["weight", "bias"].map(|part| bundle.tensors[&format!("mn.{name}.{part}")].to_f32())
    };
    let rows = tagger.front_end.n_mels;
    let input = Plane {
        time: picture.len() / rows,
        rows,
        channels: 1,
        values: picture.to_vec(),
    };
    let [weight, bias] = layer("stem");
    let mut plane = input.convolve(&weight, &bias, (3, 2), false, hard_swish);
    for (index, block) in tagger.blocks.iter().enumerate() {
        let name = |part: &str| format!("block{}.{part}", index + 1);
        let activation = |x: f32| {
            if block.hard_swish {
                hard_swish(x)
            } else {
                x.max(0.0)
            }
        };
        let mut deep = if block.expanded == plane.channels {
            Plane {
                values: plane.values.clone(),
                ..plane
            }
        } else {
            let [weight, bias] = layer(&name("expand"));
            plane.convolve(&weight, &bias, (1, 1), false, activation)
        };
        let [weight, bias] = layer(&name("depthwise"));
        deep = deep.convolve(
            &weight,
            &bias,
            (block.kernel, block.stride),
            true,
            activation,
        );
        if block.squeezed.is_some() {
            let [squeeze, bias] = layer(&name("squeeze"));
            let small: Vec<f32> = dense(&squeeze, &bias, &deep.means())
                .into_iter()
                .map(|x| x.max(0.0))
                .collect();
            let [excite, bias] = layer(&name("excite"));
            let gates: Vec<f32> = dense(&excite, &bias, &small)
                .into_iter()
                .map(sigmoid)
                .collect();
            for cell in deep.values.chunks_exact_mut(gates.len()) {
                for (value, gate) in cell.iter_mut().zip(&gates) {
                    *value *= gate;
                }
            }
        }
        let [weight, bias] = layer(&name("project"));
        let mut out = deep.convolve(&weight, &bias, (1, 1), false, |x| x);
        if block.stride == 1 && plane.channels == out.channels {
            for (to, from) in out.values.iter_mut().zip(&plane.values) {
                *to += from;
            }
        }
        plane = out;
    }
    let [weight, bias] = layer("last");
    let embedding = plane
        .convolve(&weight, &bias, (1, 1), false, hard_swish)
        .means();
    let [weight, bias] = layer("hidden");
    let hidden: Vec<f32> = dense(&weight, &bias, &embedding)
        .into_iter()
        .map(hard_swish)
        .collect();
    let [weight, bias] = layer("classes");
    let classes: Vec<f32> = dense(&weight, &bias, &hidden)
        .into_iter()
        .map(sigmoid)
        .collect();
    let likeliest =
        |of: &[usize]| of.iter().map(|&i| classes[i]).fold(0.0, f32::max) + tagger.floor;
    let shares = [likeliest(&[0, 3]), likeliest(&[1]), likeliest(&[2, 4])];
    let sum: f32 = shares.iter().sum();
    embedding
        .into_iter()
        .chain(shares.map(|share| (share / sum).ln()))
        .collect()
}

#[test]
fn it_computes_what_its_definition_says_on_every_path() {
    let bundle = bundle();
    // An odd number of columns, and one that several batches are needed for.
    for columns in [96, 128 + 32, 992] {
        let picture = picture(columns, 128);
        let expected = slow(&bundle, &picture);
        for path in Path::available() {
            let model = Model::with_path(&bundle, path).unwrap();
            let mut network = Network::new(&model);
            let frame = vec![-50.0; 96 * 1_366];
            let scored = network.score_pictures(&frame, &picture).unwrap();
            let seen = &scored.embedding[scored.embedding.len() - expected.len()..];
            for (i, (seen, expected)) in seen.iter().zip(&expected).enumerate() {
                assert!(
                    (seen - expected).abs() < 2e-4 * (1.0 + expected.abs()),
                    "{path}, {columns} columns, value {i}: {seen} not {expected}"
                );
            }
        }
    }
}

#[test]
fn a_stream_hears_the_newest_segment_as_a_frame_of_its_own() {
    let model = Model::from_bundle(&bundle()).unwrap();
    let (mut stream, mut frame) = (Network::new(&model), Network::new(&model));
    let second = picture(320, 128);
    for column in second.chunks_exact(128) {
        stream.push_picture(Picture::Tagger, column);
    }
    let mel = vec![-50.0; 96 * 64];
    for column in mel.chunks_exact(96) {
        stream.push(column);
    }
    let heard = stream.score().unwrap().embedding.to_vec();
    assert_eq!(
        heard,
        frame.score_pictures(&mel, &second).unwrap().embedding
    );
    // What is forgotten is heard no more.
    stream.keep_newest(0);
    for column in mel.chunks_exact(96) {
        stream.push(column);
    }
    let empty = frame.score_frame(&mel).unwrap().embedding.to_vec();
    assert_eq!(stream.score().unwrap().embedding, empty);
    assert_ne!(heard, empty);
}

#[test]
fn any_split_of_a_stream_gives_the_same_readouts() {
    let model: Arc<Model> = Model::from_bundle(&bundle()).unwrap();
    let rate = SampleRate::new(44_100).unwrap();
    let samples: Vec<f32> = (0..44_100 * 20)
        .map(|i| {
            let t = i as f32 / 44_100.0;
            0.3 * (t * 2_765.0 * (1.0 + (t / 3.0).floor())).sin() * (t * 7.0).sin()
        })
        .collect();
    let readouts = |block: usize| {
        let mut pipeline = Pipeline::new(&model, rate, PipelineConfig::default()).unwrap();
        let mut all = Vec::new();
        for block in samples.chunks(block) {
            pipeline.push(block, |readout| {
                all.push(readout.frame_scores.as_slice().to_vec());
            });
        }
        pipeline.finish(|readout| all.push(readout.frame_scores.as_slice().to_vec()));
        all
    };
    let whole = readouts(samples.len());
    assert!(whole.len() > 10);
    assert_eq!(whole, readouts(4_097));
    assert_eq!(whole, readouts(64));
}

#[test]
fn what_cannot_be_built_is_named() {
    let broken = |change: fn(&mut Tagger)| {
        let mut bundle = bundle();
        change(bundle.card.architecture.tagger.as_mut().unwrap());
        bundle.check().unwrap_err().to_string()
    };
    for (change, names) in [
        (
            (|t| t.blocks[1].kernel = 4) as fn(&mut Tagger),
            "tagger.blocks[1].kernel",
        ),
        (|t| t.blocks[0].expanded = 4, "tagger.blocks[0].expanded"),
        (|t| t.segment_columns = 1 << 20, "tagger.segment_columns"),
        (|t| t.groups[0].classes.push("nothing".into()), "nothing"),
        (|t| t.sounds.push("no sound".into()), "no sound"),
        (|t| t.front_end.hop_length = 321, "tagger.hop_length"),
        (|t| t.floor = f32::NAN, "tagger.floor"),
        (|t| t.hidden = 10, "mn.classes"),
    ] {
        let message = broken(change);
        assert!(message.contains(names), "{message} should name {names}");
    }
}
