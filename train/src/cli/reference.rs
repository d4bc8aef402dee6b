//! The paper's own network, as its authors published it, on the same clips as ours.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use genrescope::{
    front_end::apply_reference_floor,
    network::{Model, Network},
};
use genrescope_train::{
    keras::{self, Form, Regime},
    metrics::argmax,
    parallel,
    study::first_frame,
};

use super::{Common, data_root, load, print};

/// Arguments of `genrescope-train reference`.
#[derive(Debug, Args)]
pub(crate) struct ReferenceArgs {
    #[command(flatten)]
    common: Common,
    /// The authors' weights, `crnn_net_gru_adam_ours_epoch_40.h5`.
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
}

/// The reference's floor lies this far below the loudest cell of a frame (librosa 0.4
/// `logamplitude`, `top_db`).
const TOP_DB: f32 = 80.0;

pub(crate) fn run(args: &ReferenceArgs) -> Result<()> {
    let loaded = load(&args.common)?;
    let study = &loaded.study;
    let path = args
        .weights
        .clone()
        .unwrap_or_else(|| data_root().join("reference/crnn_net_gru_adam_ours_epoch_40.h5"));
    let bundle = keras::import(&path, Regime::Readme, Form::Reference)
        .with_context(|| format!("cannot import '{}'", path.display()))?;
    ensure!(
        bundle
            .card
            .labels
            .iter()
            .eq(study.labels.iter().map(String::as_str)),
        "the authors' network names the ten genres of GTZAN; the data has other labels"
    );
    let model = Model::from_bundle(&bundle)?;
    let whole: Vec<usize> = (0..study.records.len())
        .filter(|&i| study.records[i].whole)
        .collect();
    let answers: Vec<Option<usize>> = parallel::map(whole.len(), loaded.threads, |i| {
        let mut columns = first_frame(&study.pictures[whole[i]], model.step_columns());
        apply_reference_floor(&mut columns, TOP_DB);
        let mut network = Network::new(&model);
        network
            .score_frame(&columns)
            .map(|scored| argmax(scored.logits))
    });
    let answers = whole
        .iter()
        .zip(answers)
        .map(|(&i, answer)| Some((i, answer?)))
        .collect::<Option<Vec<_>>>()
        .context("the product gives no score")?;
    let confusion = study.confusion(answers);
    print(&format!(
        "the authors' CRNN as published: {}",
        confusion.summary()
    ))
}
