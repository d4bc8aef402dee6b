//! The model file: what is written is read back, and nothing damaged, mismatched or hostile gets
//! through.

#![allow(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "helpers of tests, too, fail by panicking and say what they skip"
)]

use std::panic::catch_unwind;

use genrescope::{
    front_end::FrontEndConfig,
    genre::{GTZAN, Labels},
    network::{
        Architecture, Bundle, Model, ModelError, Network,
        architecture::{Activation, Block},
        bundle::{Accuracy, Values, Weights},
    },
};
use sha2::{Digest, Sha256};

/// A model of a few kilobytes, so that thousands of damaged copies can be read.
fn small() -> Bundle {
    let block = |filters, frequency, time| Block {
        filters,
        pool: [frequency, time],
    };
    let architecture = Architecture {
        frame_columns: 40,
        blocks: vec![block(4, 8, 4), block(6, 12, 2)],
        cycle_after: Some(1),
        ..Architecture::cnn()
    };
    let mut bundle = Bundle::random(architecture, Labels::new(GTZAN).unwrap(), 7).unwrap();
    bundle.card.accuracies.push(Accuracy {
        what: "frames, micro, int8".into(),
        data: "none".into(),
        split: "none".into(),
        n: 100,
        value: 0.1,
        low: 0.05,
        high: 0.2,
    });
    bundle.tensors.insert(
        "trust.weight".into(),
        Weights::new(&[2, 3], vec![0.5; 6]).unwrap(),
    );
    bundle.quantised()
}

/// The JSON header of a file, and what follows it.
fn split(file: &[u8]) -> (serde_json::Value, Vec<u8>) {
    let length = usize::try_from(u64::from_le_bytes(file[..8].try_into().unwrap())).unwrap();
    (
        serde_json::from_slice(&file[8..8 + length]).unwrap(),
        file[8 + length..].to_vec(),
    )
}

/// A file whose digest is right, whatever else is wrong with it: what a hostile writer would make.
fn sealed(header: &str, data: &[u8]) -> Vec<u8> {
    let mut file = (header.len() as u64).to_le_bytes().to_vec();
    file.extend(header.as_bytes());
    file.extend(data);
    let key = b"\"sha256\":\"";
    if let Some(place) = file.windows(key.len()).position(|window| window == key) {
        let digits = place + key.len()..place + key.len() + 64;
        if file
            .get(digits.clone())
            .is_some_and(|digits| digits.iter().all(u8::is_ascii_hexdigit))
        {
            file[digits.clone()].fill(b'0');
            let digest = Sha256::digest(&file);
            let digest = digest
                .iter()
                .fold(String::new(), |text, byte| format!("{text}{byte:02x}"));
            file[digits].copy_from_slice(digest.as_bytes());
        }
    }
    file
}

/// The error a file is refused with. A panic fails the test; so does a file that is let through.
fn refused(what: &str, file: &[u8]) -> String {
    let Ok(outcome) = catch_unwind(|| Model::from_bytes(file).map(|_| ())) else {
        panic!("{what}: panicked")
    };
    match outcome {
        Ok(()) => panic!("{what}: was let through"),
        Err(error) => error.to_string(),
    }
}

#[test]
fn what_is_written_is_read_back() {
    let bundle = small();
    let file = bundle.write().unwrap();
    assert_eq!(
        file,
        bundle.write().unwrap(),
        "the same bundle gives the same bytes"
    );
    let read = Bundle::read(&file).unwrap();
    assert_eq!(read.tensors, bundle.tensors);
    assert_eq!(read.card.sha256.len(), 64);
    let card = genrescope::network::ModelCard {
        sha256: String::new(),
        ..read.card.clone()
    };
    assert_eq!(card, bundle.card);
    assert_eq!(
        read.write().unwrap(),
        file,
        "a file that was read is written back as it was"
    );
    assert_eq!(
        Model::from_bytes(&file)
            .unwrap()
            .trust("weight")
            .unwrap()
            .shape(),
        [2, 3]
    );

    let text = read.card.to_string();
    for part in [
        "random-7",
        "blues",
        "95 % interval",
        "knows nothing of music",
        &read.card.sha256,
    ] {
        assert!(text.contains(part), "{part} is missing in\n{text}");
    }
}

#[test]
fn int8_is_close_to_its_parent_and_a_quarter_of_its_size() {
    let parent = Bundle::random(Architecture::cnn(), Labels::new(GTZAN).unwrap(), 3).unwrap();
    let int8 = parent.quantised();
    let (large, small) = (parent.write().unwrap().len(), int8.write().unwrap().len());
    assert!(small < large * 3 / 10, "{small} of {large} bytes");
    for (name, weights) in &int8.tensors {
        let (a, b) = (weights.to_f32(), parent.tensors[name].to_f32());
        let Values::I8 { scales, .. } = weights.values() else {
            assert_eq!(a, b, "{name}");
            continue;
        };
        let row = a.len() / scales.len();
        for (index, (a, b)) in a.iter().zip(&b).enumerate() {
            // Rounding is off by half a step at most.
            assert!(
                (a - b).abs() <= 0.5001 * scales[index / row],
                "{name}: {a} for {b}"
            );
        }
    }
    let column: Vec<f32> = (0..96).map(|band| -20.0 - band as f32 / 2.0).collect();
    let logits = |bundle: &Bundle| {
        let mut network = Network::new(&Model::from_bundle(bundle).unwrap());
        (0..200).for_each(|_| network.push(&column));
        network.score().unwrap().logits.to_vec()
    };
    let (parent_logits, int8_logits) = (logits(&parent), logits(&int8));
    let spread = parent_logits
        .iter()
        .fold(0.0_f32, |spread, logit| spread.max(logit.abs()));
    for (a, b) in parent_logits.iter().zip(&int8_logits) {
        assert!(
            (a - b).abs() < 0.05 * spread,
            "{parent_logits:?} {int8_logits:?}"
        );
    }
    assert_ne!(parent_logits, int8_logits);
}

#[test]
fn every_flipped_byte_is_noticed() {
    let file = small().write().unwrap();
    // Every byte of the first kilobyte, then one in 13, each with another bit.
    let places = (0..1_024).chain((1_024..file.len()).step_by(13));
    let mut n = 0;
    for (turn, place) in places.enumerate() {
        let mut damaged = file.clone();
        damaged[place] ^= 1 << (turn % 8);
        refused(&format!("bit {} of byte {place}", turn % 8), &damaged);
        n += 1;
    }
    assert!(n > 1_200, "{n} mutations");
}

#[test]
fn every_truncation_is_noticed() {
    let file = small().write().unwrap();
    for length in (0..file.len())
        .step_by(29)
        .chain([1, 7, 8, 9, 15, 16, file.len() - 1])
    {
        refused(&format!("{length} bytes"), &file[..length]);
    }
    let longer = [file.as_slice(), &[0]].concat();
    refused("one byte more", &longer);
}

#[test]
fn foreign_files_are_refused() {
    refused("nothing", &[]);
    refused("zeros", &[0; 4_096]);
    refused("ones", &[0xFF; 4_096]);
    refused(
        "text",
        "All work and no play makes Jack a dull boy. "
            .repeat(50)
            .as_bytes(),
    );
    refused(
        "RIFF",
        &[b"RIFF\x24\0\0\0WAVEfmt ".as_slice(), &[1; 200]].concat(),
    );
    // The header claims sizes up to 2^64 - 1.
    for exponent in 1..64 {
        let mut file = ((1_u64 << exponent) - 1).to_le_bytes().to_vec();
        file.extend([b'{'; 100]);
        refused(&format!("a header of 2^{exponent} - 1 bytes"), &file);
    }
    // A safetensors file of somebody else.
    let header =
        r#"{"__metadata__":{"format":"pt"},"w":{"dtype":"F32","shape":[1],"data_offsets":[0,4]}}"#;
    let error = refused("PyTorch", &sealed(header, &[0; 4]));
    assert!(error.contains("genrescope.format"), "{error}");
    // 64 MiB and more are not even looked at.
    let error = refused("a huge file", &vec![0; (64 << 20) + 1]);
    assert!(error.contains("67108865"), "{error}");
}

/// Replaces metadata `field` and seals the file again: why it is refused.
fn refused_with(row: &str, field: &str, value: &str) -> String {
    let (mut header, data) = split(&small().write().unwrap());
    header["__metadata__"][field] = value.into();
    refused(row, &sealed(&header.to_string(), &data))
}

/// The same of one value within the JSON text of a field: `architecture.blocks.0.filters`.
fn refused_with_json(row: &str, path: &str, value: &str) -> String {
    let (header, _) = split(&small().write().unwrap());
    let mut keys = path.split('.');
    let field = keys.next().unwrap();
    let mut json: serde_json::Value =
        serde_json::from_str(header["__metadata__"][field].as_str().unwrap()).unwrap();
    let mut place = &mut json;
    for key in keys {
        place = match key.parse::<usize>() {
            Ok(index) if place.is_array() => &mut place[index],
            _ => &mut place[key],
        };
    }
    *place = serde_json::from_str(value).unwrap();
    refused_with(row, field, &json.to_string())
}

/// The message of a row holds all of these.
fn says(row: &str, error: &str, expected: &[&str]) {
    for expected in expected {
        assert!(
            error.contains(expected),
            "{row}: {expected:?} is not in {error:?}"
        );
    }
}

/// A value within the JSON of a metadata field, what stands there instead, and what the refusal
/// says.
const HOSTILE: &[(&str, &str, &[&str])] = &[
    (
        "architecture.time_pad",
        "18446744073709551615",
        &["time_pad"],
    ),
    ("architecture.blocks", "[]", &["blocks"]),
    ("architecture.surprise", "1", &["architecture", "surprise"]),
    (
        "architecture.pooling",
        r#"{"gru":{"units":[]}}"#,
        &["pooling"],
    ),
    (
        "architecture.pooling",
        r#"{"gru":{"units":[99999]}}"#,
        &["pooling", "99999"],
    ),
    ("architecture.pooling", r#""none""#, &["embedding"]),
    (
        "architecture.pooling",
        r#""attention""#,
        &["architecture", "attention"],
    ),
    (
        "architecture.column_affine",
        "true",
        &["input.column_", "missing"],
    ),
    (
        "architecture.normalisation.mean",
        "[]",
        &["normalisation.mean"],
    ),
    (
        "architecture.normalisation.std",
        "[0.0]",
        &["normalisation.std"],
    ),
    (
        "architecture.normalisation.mean",
        "[1e39]",
        &["architecture", "number out of range"],
    ),
    (
        "architecture.statistics",
        r#"[{"block":9,"kind":"mean"}]"#,
        &["statistics[0].block = 9"],
    ),
    (
        "architecture.statistics",
        r#"[{"block":1,"kind":"mean","groups":7}]"#,
        &["statistics[0].groups = 7"],
    ),
    (
        "architecture.statistics",
        r#"[{"block":1,"kind":"median"}]"#,
        &["median"],
    ),
    ("architecture.head.hidden", "5", &["hidden.bias", "missing"]),
    ("architecture.head.activation", r#""relu""#, &["relu"]),
    (
        "front_end.sample_rate",
        "44",
        &["front_end.sample_rate = 44"],
    ),
    ("front_end.fmin_hz", "-1", &["front_end.fmin_hz"]),
    (
        "front_end.fmax_hz",
        "7000",
        &["front_end.fmax_hz = 7000", "half the sample rate"],
    ),
    ("front_end.floor_db", "3", &["front_end.floor_db = 3"]),
    // No front end can be built of these.
    (
        "front_end.floor_db",
        "-300",
        &["front_end.floor_db = -300", "-200 to 0"],
    ),
    ("front_end.n_fft", "65", &["front_end.n_fft = 65", "even"]),
    ("front_end.colour", "3", &["colour"]),
    ("decision.temperature", "0", &["decision.temperature = 0"]),
    ("decision.temperature", "-1e30", &["decision.temperature"]),
    (
        "decision.unsure_threshold",
        "2",
        &["decision.unsure_threshold = 2"],
    ),
    ("labels.0", r#""""#, &["labels"]),
    ("labels.0", r#""rock""#, &["labels", "twice"]),
    ("labels.0", r#""a\u0007b""#, &["labels"]),
    ("accuracies.0.value", "1.5", &["accuracies", "1.5"]),
];

/// Sizes, none of which may be 0 or beyond all reason.
const SIZES: [(&str, &str); 8] = [
    ("architecture.frame_columns", "frame_columns"),
    ("architecture.blocks.0.filters", "blocks[0].filters"),
    ("architecture.blocks.1.pool.0", "blocks[1].pool[0]"),
    ("architecture.blocks.1.pool.1", "blocks[1].pool[1]"),
    ("architecture.cycle_after", "cycle_after"),
    ("front_end.n_mels", "front_end.n_mels"),
    ("front_end.n_fft", "front_end.n_fft"),
    ("front_end.hop_length", "front_end.hop_length"),
];

#[test]
fn a_hostile_value_is_named() {
    for (path, value, expected) in HOSTILE {
        let row = format!("{path} = {value}");
        says(&row, &refused_with_json(&row, path, value), expected);
    }
    for (path, expected) in SIZES {
        for value in ["0", "4097000", "18446744073709551615"] {
            let row = format!("{path} = {value}");
            says(&row, &refused_with_json(&row, path, value), &[expected]);
        }
    }
    for (block, n, expected) in [
        (
            r#"{"filters":1,"pool":[1,1]}"#,
            17,
            &["blocks = 17", "1 to 16"][..],
        ),
        (r#"{"filters":1024,"pool":[1,1]}"#, 9, &["so far"]),
    ] {
        let blocks = format!("[{}]", vec![block; n].join(","));
        let row = format!("architecture.blocks: {n} of {block}");
        let error = refused_with_json(&row, "architecture.blocks", &blocks);
        says(&row, &error, expected);
    }
    let long = "x".repeat(2 << 20);
    for (field, value, expected) in [
        (
            "genrescope.format",
            "2",
            &["genrescope.format = 2", "expected 1"][..],
        ),
        ("labels", "[]", &["labels"]),
        ("labels", "[\"rock\"]", &["output.bias", "[10]", "[1]"]),
        ("sha256", "12", &["sha256"]),
        ("name", &long, &["header"]),
    ] {
        let row = format!("{field} = {value:.60}");
        says(&row, &refused_with(&row, field, value), expected);
    }
}

#[test]
fn a_field_that_is_missing_or_no_text_is_named() {
    for field in [
        "genrescope.format",
        "name",
        "notice",
        "architecture",
        "labels",
        "front_end",
        "decision",
        "data",
        "recipe",
        "accuracies",
        "licence",
        "credits",
        "sha256",
    ] {
        let (mut header, data) = split(&small().write().unwrap());
        header["__metadata__"]
            .as_object_mut()
            .unwrap()
            .remove(field);
        let error = refused(field, &sealed(&header.to_string(), &data));
        says(field, &error, &[field, "missing"]);
        header["__metadata__"][field] = 7.into();
        refused(field, &sealed(&header.to_string(), &data));
    }
}

#[test]
fn a_field_that_is_not_the_json_it_should_be_is_named() {
    // Deep nesting must not overflow the stack.
    let deep = "[".repeat(100_000);
    for field in [
        "architecture",
        "labels",
        "front_end",
        "decision",
        "accuracies",
    ] {
        for broken in [
            "",
            "{",
            "[]]",
            "null",
            "7",
            "\"x\"",
            "{\"a\":1}",
            "[[[[[[[[",
            "nan",
            &deep,
        ] {
            // Settings of the decision that are not known are left out.
            if (field, broken) != ("decision", "{\"a\":1}") {
                let row = format!("{field} = {broken:.60}");
                says(&row, &refused_with(&row, field, broken), &[field]);
            }
        }
    }
}

#[test]
fn hostile_tensors_are_named() {
    let file = small().write().unwrap();
    let (header, data) = split(&file);
    let change = |name: &str, key: &str, value: serde_json::Value, expected: &str| {
        let mut header = header.clone();
        header[name][key] = value.clone();
        let error = refused(
            &format!("{name}.{key} = {value}"),
            &sealed(&header.to_string(), &data),
        );
        assert!(error.contains(expected), "{name}.{key} = {value}: {error}");
    };
    let names: Vec<String> = header
        .as_object()
        .unwrap()
        .keys()
        .filter(|key| *key != "__metadata__")
        .cloned()
        .collect();
    assert!(
        names.contains(&"block2.weight.scale".to_owned()),
        "{names:?}"
    );
    for name in &names {
        for dtype in [
            "F16", "BF16", "F64", "I32", "U8", "I64", "BOOL", "F8_E4M3", "X", "",
        ] {
            change(name, "dtype", dtype.into(), "");
        }
        for shape in [
            serde_json::json!([]),
            serde_json::json!([0]),
            serde_json::json!([1, 2, 3]),
            serde_json::json!([u64::MAX]),
            serde_json::json!([u64::MAX, u64::MAX]),
            serde_json::json!([1_u64 << 40, 0]),
            serde_json::json!(["4"]),
            serde_json::json!(-4),
        ] {
            // What lies beside the network has the shape it has.
            if name != "trust.weight" || shape != serde_json::json!([1, 2, 3]) {
                change(name, "shape", shape, "");
            }
        }
        for offsets in [
            serde_json::json!([0, 0]),
            serde_json::json!([8, 4]),
            serde_json::json!([0, u64::MAX]),
            serde_json::json!([]),
        ] {
            change(name, "data_offsets", offsets, "");
        }
        let mut without = header.clone();
        without.as_object_mut().unwrap().remove(name);
        refused(
            &format!("without {name}"),
            &sealed(&without.to_string(), &data),
        );

        // Twice the same name, with the same entry: JSON readers let it pass.
        let twice = header
            .to_string()
            .replacen('{', &format!("{{\"{name}\":{},", header[name]), 1);
        let error = refused(&format!("{name} twice"), &sealed(&twice, &data));
        assert!(error.contains("given twice"), "{error}");
    }
    let twice = header.to_string().replacen(
        '{',
        &format!("{{\"__metadata__\":{},", header["__metadata__"]),
        1,
    );
    assert!(refused("metadata twice", &sealed(&twice, &data)).contains("given twice"));
    let twice = header
        .to_string()
        .replacen("\"name\":", "\"name\":\"x\",\"name\":", 1);
    assert!(refused("a field twice", &sealed(&twice, &data)).contains("given twice"));
    let mut many = header.clone();
    for index in 0..600 {
        many[format!("trust.{index}")] = serde_json::json!({"dtype": "F32", "shape": [0], "data_offsets": [data.len(), data.len()]});
    }
    assert!(
        refused("600 tensors", &sealed(&many.to_string(), &data)).contains("number of tensors")
    );

    // Values that would poison everything they touch, in every float tensor.
    for name in &names {
        let start = usize::try_from(header[name]["data_offsets"][0].as_u64().unwrap()).unwrap();
        if header[name]["dtype"] == "F32" {
            for poison in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY] {
                let mut data = data.clone();
                data[start..start + 4].copy_from_slice(&poison.to_le_bytes());
                let error = refused(
                    &format!("{poison} in {name}"),
                    &sealed(&header.to_string(), &data),
                );
                assert!(error.contains(name.as_str()), "{poison} in {name}: {error}");
            }
        }
    }
    let scale = usize::try_from(
        header["block2.weight.scale"]["data_offsets"][0]
            .as_u64()
            .unwrap(),
    )
    .unwrap();
    let mut negative = data.clone();
    negative[scale..scale + 4].copy_from_slice(&(-1.0_f32).to_le_bytes());
    assert!(
        refused("negative scale", &sealed(&header.to_string(), &negative))
            .contains("block2.weight.scale = -1")
    );
    let mut large = data.clone();
    large[scale..scale + 4].copy_from_slice(&f32::MAX.to_le_bytes());
    assert!(
        refused(
            "a scale that overflows",
            &sealed(&header.to_string(), &large)
        )
        .contains("block2.weight.scale")
    );
}

#[test]
fn a_wrong_digest_is_said() {
    let file = small().write().unwrap();
    let (mut header, data) = split(&file);
    header["__metadata__"]["recipe"] = "forged".into();
    let header = header.to_string();
    let mut forged = (header.len() as u64).to_le_bytes().to_vec();
    forged.extend(header.as_bytes());
    forged.extend(&data);
    assert!(refused("a forged recipe", &forged).contains("sha256"));
    assert!(matches!(
        Model::from_bytes(&forged),
        Err(ModelError::Digest { .. })
    ));
    // The same file, sealed, is read: the tests above fail for their own reasons, not for how they
    // are written.
    assert!(Model::from_bytes(&sealed(&header, &data)).is_ok());
}

#[test]
fn what_would_be_refused_is_not_written() {
    let mut bundle = small();
    bundle.card.front_end = FrontEndConfig {
        n_mels: 0,
        ..FrontEndConfig::default()
    };
    assert!(
        bundle
            .write()
            .unwrap_err()
            .to_string()
            .contains("front_end.n_mels = 0")
    );
    let mut bundle = small();
    bundle
        .tensors
        .insert("surprise".into(), Weights::new(&[1], vec![0.0]).unwrap());
    assert!(bundle.write().unwrap_err().to_string().contains("surprise"));
    assert!(Weights::new(&[2, 2], vec![0.0]).is_err());
}

#[test]
fn the_reference_s_activation_gives_scores_too() {
    let mut bundle = small();
    bundle.card.architecture.head.activation = Activation::Sigmoid;
    let model = Model::from_bundle(&bundle).unwrap();
    let scores = model.scores(&[0.0, 2.0, -1.0], 1.0);
    let (a, b, c) = (0.5_f32, 0.880_797, 0.268_941_4);
    for (score, expected) in scores.as_slice().iter().zip([a, b, c]) {
        assert!((score - expected / (a + b + c)).abs() < 1e-6);
    }
}

#[test]
fn every_model_that_is_shipped_is_whole_and_its_card_is_of_it() {
    let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("models");
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path
            .extension()
            .is_none_or(|extension| extension != "safetensors")
        {
            continue;
        }
        let file = std::fs::read(&path).unwrap();
        assert!(file.len() <= 3_000_000, "{}", path.display());
        let model = Model::from_bytes(&file).unwrap();
        let ten = *model.labels() == Labels::new(GTZAN).unwrap();
        assert!(
            ten || model.labels().len() == 38,
            "{:?}: the ten genres, or the many of the wide model",
            model.labels()
        );
        // What it needs to know when it does not know.
        for head in ["music.weight", "change.weight"] {
            assert!(model.trust(head).is_some(), "{}: {head}", path.display());
        }
        let card = std::fs::read_to_string(path.with_extension("md")).unwrap();
        let name = &model.card().name;
        assert!(card.starts_with(&format!("# {name}\n")), "{name}");
        assert!(card.contains(&format!("{} bytes", file.len())), "{name}");
        assert!(card.contains(&model.card().data), "{name}");
        names.push(name.clone());
    }
    names.sort();
    assert_eq!(
        names,
        [
            "genrescope-cnn-paper-1",
            "genrescope-crnn-1",
            "genrescope-ears-1",
            "genrescope-wide-1"
        ]
    );
}
