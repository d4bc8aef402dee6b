//! `fit`: the model that is shipped.

use std::{collections::BTreeMap, fmt::Write as _};

use anyhow::{Context, Result, ensure};
use genrescope::network::bundle::DecisionDefaults;
use genrescope_train::{
    calibrate::{self, Calibration},
    export::{self, Words},
    fit::Recipe,
    metrics::{Share, argmax},
    pictures::write_whole,
    study::{self, Study, say},
    trainable::Trainable,
};

use super::{FitArgs, Loaded, Pooled, RecipeFile, Start, calibrate::Sources, load, print};

pub(super) fn run(args: &FitArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded {
        study,
        recipe,
        threads,
        ..
    } = &loaded;
    let text = std::fs::read_to_string(&args.folds)
        .with_context(|| format!("cannot read '{}'", args.folds.display()))?;
    let pooled: Pooled = serde_json::from_str(&text).with_context(|| {
        format!(
            "'{}' is not what `folds --out` writes",
            args.folds.display()
        )
    })?;
    ensure!(
        pooled.recipe == loaded.file && pooled.labels == study.labels,
        "'{}' was measured with another recipe or other labels: run `genrescope-train folds --out` with this one first",
        args.folds.display()
    );
    let start = Start::new(&loaded)?;
    let setting = start.setting(&loaded, args.checkpoints.as_deref())?;
    let (net, _) = study::train(study, &setting, recipe, None, "fit")?;
    let trust_words = pooled
        .calibration
        .as_ref()
        .map_or(String::new(), Calibration::words);
    let words = words(args, &pooled, study, (&net, &start.origin), &trust_words);
    let float = export::bundle(&net, recipe.loss, &words, &[])?;
    let mut int8 = export::calibrated(&float, &study.pictures)?;
    // Heads and thresholds rest on the trunk that ships: int8, and trained if it was.
    match &pooled.calibration {
        Some(calibration) => {
            let sources = Sources::of(&args.common.labelled, args.not_music.as_deref(), None);
            if let Some(material) = sources.load(recipe.seed, *threads)? {
                int8 = calibrate::last(&int8, calibration, &material, recipe.seed, *threads)?;
            }
        }
        None => say(&format!(
            "'{}' was written without --models: the model gets no music head\n",
            args.folds.display()
        )),
    }
    let int8 = int8.write()?;
    let verified = export::verify(&net, &float, &int8, &study.pictures, *threads)?;
    print(&format!(
        "through the product: f32 logits differ by at most {:.1e}; f32 and int8 agree on {} of the training recordings",
        verified.f32_difference, verified.agreement
    ))?;
    ensure!(
        verified.f32_difference < 1e-2 && verified.agreement.value >= 0.98,
        "the product does not compute what was trained; nothing was written"
    );
    if let Some(folder) = args
        .out
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty())
    {
        std::fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
    }
    write_whole(&args.out, &int8)?;
    let card = card(args, &words, &pooled, &net, int8.len(), &verified);
    write_whole(&args.out.with_extension("md"), card.as_bytes())?;
    print(&format!(
        "wrote '{}', {} bytes",
        args.out.display(),
        int8.len()
    ))
}

fn words(
    args: &FitArgs,
    pooled: &Pooled,
    study: &Study,
    (net, origin): (&Trainable, &str),
    trust: &str,
) -> Words {
    let (float, int8) = (pooled.confusion(false), pooled.confusion(true));
    let data = "GTZAN, whole clips of train and valid of the fault-filtered split";
    let folds = {
        let mut seen: Vec<usize> = pooled.answers.iter().map(|a| a.fold).collect();
        seen.sort_unstable();
        seen.dedup();
        format!(
            "{} folds, artists and replicas kept together, pooled",
            seen.len()
        )
    };
    let mut accuracies = vec![
        export::accuracy("frames, micro, int8", data, &folds, int8.micro()),
        export::accuracy("frames, micro, f32", data, &folds, float.micro()),
    ];
    for (name, right, of) in &pooled.cuts {
        accuracies.push(export::accuracy(
            &format!("first answer after {name}, micro, f32"),
            data,
            &folds,
            Share::new(*right, *of),
        ));
    }
    let same = pooled
        .answers
        .iter()
        .filter(|a| argmax(&a.logits) == argmax(&a.int8))
        .count();
    accuracies.push(export::accuracy(
        "same answer from int8 and f32",
        data,
        &folds,
        Share::new(same, pooled.answers.len()),
    ));
    let mut more = BTreeMap::new();
    more.insert("ece".into(), serde_json::json!(pooled.calibration_error()));
    more.insert(
        "macro_accuracy_int8".into(),
        serde_json::json!(int8.macro_accuracy()),
    );
    let training = &pooled.recipe.training;
    let trained = if training.epochs == 0 {
        "The trunk is unchanged; the head is learnt.".to_owned()
    } else {
        format!(
            "{} epochs; {} of {} layers below the head frozen.",
            training.epochs,
            training.frozen,
            net.layers()
        )
    };
    Words {
        name: args.name.clone(),
        notice:
            "Trained on GTZAN, which has no licence for its music: for research and personal use."
                .into(),
        data: format!(
            "{} recordings of {} genres from GTZAN (train and valid of the fault-filtered split; clips of 30 s and, where no more could be \
             had, excerpts of 2 to 3 s), recorded before 2001.{} {trust}",
            study.records.len(),
            study.labels.len(),
            unlabelled(study)
        ),
        recipe: format!(
            "genrescope-train fit --recipe FILE, with FILE = {}. {trained}",
            serde_json::to_string(&pooled.recipe as &RecipeFile).unwrap_or_default()
        ),
        accuracies,
        licence: "MIT OR Apache-2.0, as far as the weights are ours; see the notice".into(),
        credits: format!(
            "{origin}{}{}; method after A. Jimenez and F. Jose, Music Genre Recognition with Deep Neural Networks (UPC). \
             GTZAN: G. Tzanetakis and P. Cook; faults and split: B. Sturm, C. Kereliuk et al.",
            if training.runs().any(Recipe::asks_a_teacher) {
                "; the teacher listens with Keunwoo Choi's CNN and CRNN"
            } else {
                ""
            },
            if training.runs().any(|run| run.yamnet) {
                " and with YAMNet (Google, Apache 2.0; trained on AudioSet)"
            } else {
                ""
            }
        ),
        decision: DecisionDefaults {
            temperature: pooled.temperature(),
            more,
            ..DecisionDefaults::default()
        },
    }
}

/// A sentence on the music without labels, if there was any.
fn unlabelled(study: &Study) -> String {
    let mut folders: Vec<String> = study
        .unlabelled
        .iter()
        .filter_map(|path| path.parent()?.parent()?.file_name())
        .map(|name| name.to_string_lossy().into_owned())
        .collect();
    let n = folders.len();
    folders.sort();
    folders.dedup();
    if n == 0 {
        return String::new();
    }
    format!(
        " {n} frames of freely licensed and machine-made music without labels ({}), answered by the teacher.",
        folders.join(", ")
    )
}

/// The card as Markdown.
fn card(
    args: &FitArgs,
    words: &Words,
    pooled: &Pooled,
    net: &Trainable,
    bytes: usize,
    verified: &export::Verified,
) -> String {
    let parameters: usize = net.params.iter().map(|param| param.values.len()).sum();
    let mut text = format!("# {}\n\n{}\n\n", words.name, words.notice);
    let _ = writeln!(
        text,
        "| | |\n|---|---|\n| file | `{}`, {bytes} bytes, convolutions in int8 (per output channel), the rest in f32 |\n| parameters | {parameters} |\n\
         | input | 96 mel bands x 1366 columns (29.12 s at 12 kHz), floor {} dB |\n| embedding | {} values |\n| temperature | {:.3} |\n",
        args.out.display(),
        net.architecture
            .normalisation
            .level
            .map_or(net.front_end.floor_db, |level| level.floor_db),
        net.embedding_len(),
        words.decision.temperature
    );
    let _ = writeln!(
        text,
        "## Data\n\n{}\n\n## Recipe\n\n```json\n{}\n```\n",
        words.data,
        serde_json::to_string_pretty(&pooled.recipe).unwrap_or_default()
    );
    let _ = writeln!(
        text,
        "`genrescope-train folds --recipe FILE --out FOLDS`, then `genrescope-train fit --recipe FILE --folds FOLDS --out {}`.\n",
        args.out.display()
    );
    let _ = writeln!(
        text,
        "## Measured\n\nBy the artist-grouped folds, each recording asked of the model that had not heard its fold. The model that ships has learnt from all of them: \
         never measure it on these clips.\n\n| what | share | 95 % interval | of |\n|---|---|---|---|"
    );
    for a in &words.accuracies {
        let _ = writeln!(
            text,
            "| {} | {:.1} % | {:.1} to {:.1} | {} |",
            a.what,
            100.0 * a.value,
            100.0 * a.low,
            100.0 * a.high,
            a.n
        );
    }
    let (right, of, macro_accuracy) = pooled.baseline;
    let int8 = pooled.confusion(true);
    let _ = writeln!(
        text,
        "| plain baseline: softmax on the frozen top of the trunk, micro | {} |\n\nMacro accuracy, int8: {:.1} % (plain baseline {:.1} %). Expected calibration error: {:.1} % (each fold at the \
         temperature of the others). Through the product, f32 logits differ from the trainer's by at most {:.1e}, and int8 and f32 give the same answer on {} of the training recordings.\n",
        {
            let s = Share::new(right, of);
            format!(
                "{:.1} % | {:.1} to {:.1} | {}",
                100.0 * s.value,
                100.0 * s.low,
                100.0 * s.high,
                s.n
            )
        },
        100.0 * int8.macro_accuracy(),
        100.0 * macro_accuracy,
        100.0 * pooled.calibration_error(),
        verified.f32_difference,
        verified.agreement
    );
    let _ = writeln!(
        text,
        "Percent of each genre (rows) that was given each answer (columns), int8:\n\n```text\n{}```\n",
        int8.text()
    );
    let _ = writeln!(
        text,
        "## Limits\n\nTen genres, recorded before 2001; one artist fills much of what there is of reggae, rock and hip hop. Music outside the ten gets one of the ten, with a low score.\n"
    );
    let _ = writeln!(
        text,
        "## Licence and credits\n\n{}. {}",
        words.licence, words.credits
    );
    text
}
