//! `fit`: the model that is shipped.

use std::{collections::BTreeMap, fmt::Write as _, path::Path};

use anyhow::{Context, Result, ensure};
use genrescope::network::bundle::DecisionDefaults;
use genrescope_train::{
    datasets::Dataset,
    export::{self, Words},
    fit::{View, view},
    metrics::{Share, argmax},
    net::Net,
    pictures::{PictureCache, write_whole},
    study::{self, Study, load_pictures, say},
    trust,
};

use super::{FitArgs, Loaded, Pooled, RecipeFile, Start, data_root, load, print};

pub(super) fn run(args: &FitArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded {
        study,
        recipe,
        threads,
        cache,
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
    let folder = args
        .not_music
        .clone()
        .unwrap_or_else(|| data_root().join("not_music"));
    let (trust, trust_words) = if !net.spec.recurrent.is_empty() {
        say(
            "a CRNN's trunk ends above what the music head is fitted on here: the model gets none\n",
        );
        (Vec::new(), String::new())
    } else if folder.is_dir() {
        // The head looks at the trunk that ships: int8, and trained if it was.
        let shipped = export::rounded(&net);
        let own: Vec<View>;
        let music = if recipe.epochs == 0 {
            &start.views
        } else {
            own = vec![view(&shipped, &study.pictures, None, 0, *threads)];
            &own
        };
        music_head(study, &shipped, music, recipe, &folder, cache, *threads)?
    } else {
        say(&format!(
            "no folder '{}': the model gets no music head\n",
            folder.display()
        ));
        (Vec::new(), String::new())
    };
    let words = words(args, &pooled, study, &net, &trust_words);
    let float = export::bundle(&net, &study.labels, recipe.loss, &words, &trust)?;
    let int8 = export::calibrated(&float, &study.pictures)?.write()?;
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

/// Fits the music head, and says how well it does on kinds and artists that it has not heard.
/// Tensors of a model file beside the network, by name.
type NamedTensors = Vec<(String, Vec<f32>)>;

fn music_head(
    study: &Study,
    net: &Net,
    music: &[View],
    recipe: &genrescope_train::fit::Recipe,
    folder: &Path,
    cache: &PictureCache,
    threads: usize,
) -> Result<(NamedTensors, String)> {
    const DECAY: f32 = 1e-2;
    let dataset = Dataset::unlabelled(folder)?;
    let paths: Vec<_> = dataset.items.iter().map(|item| item.path.clone()).collect();
    let mut pictures = Vec::new();
    let mut kinds = Vec::new();
    for (path, picture) in paths.iter().zip(load_pictures(&paths, cache, threads)) {
        match picture {
            Ok(picture) => {
                let kind = path
                    .parent()
                    .and_then(Path::file_name)
                    .map(|n| n.to_string_lossy().into_owned());
                kinds.push(kind.unwrap_or_default());
                pictures.push(picture);
            }
            Err(error) => say(&format!("skipped '{}': {error:#}\n", path.display())),
        }
    }
    ensure!(
        !pictures.is_empty(),
        "'{}' holds no audio that can be read",
        folder.display()
    );
    let mut names = kinds.clone();
    names.sort();
    names.dedup();
    // As they are, and as a room and a loudspeaker leave them.
    let other: Vec<View> = (0..=1u64)
        .map(|seed| {
            view(
                net,
                &pictures,
                (seed > 0).then_some(&recipe.augment),
                1_000 + seed,
                threads,
            )
        })
        .collect();
    let music = &music[..music.len().min(3)];
    let (mut of_music, mut of_other) = (Vec::new(), Vec::new());
    let folds = study.folds();
    for fold in 0..folds {
        let kind = |i: usize| names.iter().position(|name| *name == kinds[i]).unwrap_or(0);
        let (out, kept): (Vec<usize>, Vec<usize>) =
            (0..pictures.len()).partition(|&i| kind(i) % folds == fold);
        let head = trust::fit(
            &trust::summaries(music, &study.learning(Some(fold)), recipe.seed),
            &trust::summaries(&other, &kept, recipe.seed),
            DECAY,
        );
        let logits =
            |rows: Vec<Vec<f32>>| rows.iter().map(|row| head.logit(row)).collect::<Vec<f32>>();
        of_music.extend(logits(trust::summaries(
            &music[..1],
            &study.asked(fold),
            recipe.seed + 1,
        )));
        of_other.extend(logits(trust::summaries(&other[..1], &out, recipe.seed + 1)));
    }
    let (area, lost, let_through) = trust::score(&of_music, &of_other);
    let words = format!(
        "music against {} recordings of {} kinds, 4.1 s each, artists and kinds held out by turns: AUROC {area:.4}; at probability 0.5 \
         {:.1} % of the music is called something else and {:.1} % of the rest is called music",
        pictures.len(),
        names.len(),
        100.0 * lost,
        100.0 * let_through
    );
    print(&words)?;
    let all: Vec<usize> = (0..pictures.len()).collect();
    let head = trust::fit(
        &trust::summaries(music, &study.learning(None), recipe.seed),
        &trust::summaries(&other, &all, recipe.seed),
        DECAY,
    );
    Ok((
        vec![
            ("music.weight".into(), head.weight),
            ("music.bias".into(), vec![head.bias]),
        ],
        words,
    ))
}

fn words(args: &FitArgs, pooled: &Pooled, study: &Study, net: &Net, trust: &str) -> Words {
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
        "The trunk is K. Choi's, unchanged; the head is learnt.".to_owned()
    } else {
        format!(
            "{} epochs; {} of {} layers below the head frozen.",
            training.epochs,
            training.frozen,
            net.spec.layers()
        )
    };
    Words {
        name: args.name.clone(),
        notice: "Trained on GTZAN, which has no licence for its music: for research and personal use.".into(),
        data: format!(
            "{} recordings of {} genres from GTZAN (train and valid of the fault-filtered split; clips of 30 s and, where no more could be \
             had, excerpts of 2 to 3 s), recorded before 2001. {trust}",
            study.records.len(),
            study.labels.len()
        ),
        recipe: format!(
            "genrescope-train fit --recipe FILE, with FILE = {}. {trained}",
            serde_json::to_string(&pooled.recipe as &RecipeFile).unwrap_or_default()
        ),
        accuracies,
        licence: "MIT OR Apache-2.0, as far as the weights are ours; see the notice".into(),
        credits: "Trunk initialised from the music tagger of Keunwoo Choi (MIT licence), pre-trained on the Million Song Dataset; method after \
                  A. Jimenez and F. Jose, Music Genre Recognition with Deep Neural Networks (UPC). GTZAN: G. Tzanetakis and P. Cook; faults \
                  and split: B. Sturm, C. Kereliuk et al."
            .into(),
        decision: DecisionDefaults { temperature: pooled.temperature(), more, ..DecisionDefaults::default() },
    }
}

/// The card as Markdown.
fn card(
    args: &FitArgs,
    words: &Words,
    pooled: &Pooled,
    net: &Net,
    bytes: usize,
    verified: &export::Verified,
) -> String {
    let parameters: usize = net.params.tensors.iter().map(Vec::len).sum();
    let mut text = format!("# {}\n\n{}\n\n", words.name, words.notice);
    let _ = writeln!(
        text,
        "| | |\n|---|---|\n| file | `{}`, {bytes} bytes, convolutions in int8 (per output channel), the rest in f32 |\n| parameters | {parameters} |\n\
         | input | 96 mel bands x 1366 columns (29.12 s at 12 kHz), floor {} dB |\n| embedding | {} values |\n| temperature | {:.3} |\n",
        args.out.display(),
        net.spec.floor_db,
        net.spec.embedding_len(),
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
