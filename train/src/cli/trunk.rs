//! `trunk`: ears that no label has reached.

use std::path::PathBuf;

use anyhow::{Result, ensure};
use clap::Args;
use genrescope::network::bundle::DecisionDefaults;
use genrescope_train::{
    export::{self, Words},
    pictures::write_whole,
    study,
};

use super::{Common, Loaded, Start, load, print};

#[derive(Args, Debug)]
pub(super) struct TrunkArgs {
    #[command(flatten)]
    common: Common,
    /// Where to write the model.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    /// Its name.
    #[arg(long, default_value = "genrescope-trunk")]
    name: String,
    /// Keep checkpoints here, and resume from them.
    #[arg(long, value_name = "FOLDER")]
    checkpoints: Option<PathBuf>,
}

pub(super) fn run(args: &TrunkArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let Loaded { study, recipe, .. } = &loaded;
    ensure!(
        recipe.runs().all(|run| run.labels == 0.0),
        "the recipe learns from labels (\"labels\" is not 0): use `folds` and `fit`"
    );
    let start = Start::new(&loaded)?;
    let setting = start.setting(&loaded, args.checkpoints.as_deref())?;
    let (net, _) = study::train(study, &setting, recipe, None, "trunk")?;
    let words = Words {
        name: args.name.clone(),
        notice: "A trunk for further learning: its head is a probe and was measured nowhere.".into(),
        data: format!(
            "{} recordings, without their labels, and {} frames of music that has none.",
            study.records.len(),
            study.unlabelled.len()
        ),
        recipe: format!(
            "genrescope-train trunk --recipe FILE, with FILE = {}.",
            serde_json::to_string(&loaded.file)?
        ),
        accuracies: Vec::new(),
        licence: "MIT OR Apache-2.0".into(),
        credits: "Initialised from the CNN music tagger of Keunwoo Choi (MIT licence), pre-trained on the Million \
                  Song Dataset; the hints are his CNN's and CRNN's own answers."
            .into(),
        decision: DecisionDefaults::default(),
    };
    let float = export::bundle(&net, recipe.loss, &words, &[])?;
    let file = export::calibrated(&float, &study.pictures)?.write()?;
    write_whole(&args.out, &file)?;
    print(&format!(
        "wrote '{}', {} bytes",
        args.out.display(),
        file.len()
    ))
}
