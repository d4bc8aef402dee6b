//! `distil`: the second trunk, taught to hear through damage what it hears without.

use std::{collections::BTreeMap, fs, path::PathBuf};

use anyhow::{Context, Result};
use clap::Args;
use genrescope_train::{
    distil::{self, DistilRecipe, Run, TaughtMaterial},
    mobilenet::Params,
    parallel,
    pictures::{PictureCache, write_whole},
};

use super::{data_root, print};

#[derive(Args, Debug)]
pub(super) struct DistilArgs {
    /// The recipe, as JSON; fields that are not named keep their defaults.
    #[arg(value_name = "RECIPE")]
    recipe: PathBuf,
    /// The folder above the recipe's folders of audio [default: GENRESCOPE_DATA, else
    /// ../shared/data].
    #[arg(long, value_name = "FOLDER")]
    data: Option<PathBuf>,
    /// mn04_as: its published weights as safetensors, or weights that this command wrote
    /// [default: reference/mn04/mn04_as.safetensors in the folder of --data].
    #[arg(long, value_name = "FILE")]
    teacher: Option<PathBuf>,
    /// The folder for checkpoint, curve, table and weights. A run that was stopped goes on from the
    /// checkpoint there.
    #[arg(long, value_name = "FOLDER")]
    out: PathBuf,
    /// Where the teacher's answers are kept between runs.
    #[arg(long, value_name = "FOLDER", default_value = "target/genrescope-train")]
    cache: PathBuf,
    /// Threads that make what is heard [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// The files of a finished run.
const WEIGHTS: &str = "mn04.safetensors";
const TABLE: &str = "table.json";

pub(super) fn run(args: &DistilArgs) -> Result<()> {
    let text = fs::read_to_string(&args.recipe)
        .with_context(|| format!("cannot read '{}'", args.recipe.display()))?;
    let recipe: DistilRecipe = serde_json::from_str(&text)
        .with_context(|| format!("'{}' is no recipe", args.recipe.display()))?;
    recipe
        .check()
        .with_context(|| format!("'{}' cannot be followed", args.recipe.display()))?;
    let data = args.data.clone().unwrap_or_else(data_root);
    let path = args
        .teacher
        .clone()
        .unwrap_or_else(|| data.join("reference/mn04/mn04_as.safetensors"));
    let file = fs::read(&path).with_context(|| {
        format!(
            "cannot read the weights of mn04_as, '{}'; name them with --teacher",
            path.display()
        )
    })?;
    let teacher = Params::read(&file)
        .with_context(|| format!("'{}' cannot be used as mn04_as", path.display()))?;
    fs::create_dir_all(&args.out)
        .with_context(|| format!("cannot make the folder '{}'", args.out.display()))?;
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let cache = PictureCache::new(&args.cache)?;
    let material = TaughtMaterial::load(&data, &recipe.audio, &teacher, &cache, threads)?;
    let (train, held_out) = material.len();
    print(&format!(
        "{train} segments of 10 s to learn from, {held_out} held out"
    ))?;
    let run = Run {
        folder: Some(&args.out),
        threads,
        stop_after: None,
    };
    let (student, _) = distil::distil(&teacher, &material, &recipe, &run)?;
    let words = BTreeMap::from([
        ("origin".to_owned(), "EfficientAT mn04_as, F. Schmid, MIT licence, distilled into itself on damaged audio by genrescope-train".to_owned()),
        ("recipe".to_owned(), serde_json::to_string(&recipe)?),
    ]);
    write_whole(&args.out.join(WEIGHTS), &student.write(&words)?)?;
    let networks = [
        ("untouched", teacher.clone()),
        ("untouched, int8", teacher.rounded()),
        ("distilled, int8", student.rounded()),
    ];
    let rows = distil::table(&material, &networks, recipe.table_segments, threads)?;
    write_whole(
        &args.out.join(TABLE),
        serde_json::to_string_pretty(&rows)?.as_bytes(),
    )?;
    print(distil::markdown(&rows).trim_end())?;
    print(&format!("wrote '{}'", args.out.join(WEIGHTS).display()))
}
