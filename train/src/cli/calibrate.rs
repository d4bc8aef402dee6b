//! `calibrate`: everything in a model file that is neither weights nor words.

use std::{
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result};
use clap::Args;
use genrescope::network::Bundle;
use genrescope_train::{
    calibrate::{self, Calibration},
    material::{Material, Places},
    parallel,
    pictures::write_whole,
    study::say,
};

use super::{Labelled, data_root, print};

#[derive(Args, Debug)]
pub(super) struct CalibrateArgs {
    #[command(flatten)]
    labelled: Labelled,
    /// What is not music: folders whose names tell its kinds.
    #[arg(long, value_name = "FOLDER")]
    not_music: Option<PathBuf>,
    /// The models of all folds, as `folds --models` writes them. Each is rewritten with what the
    /// other folds say.
    #[arg(long, value_name = "FOLDER")]
    models: PathBuf,
    /// A model of the same recipe to calibrate by them, too.
    #[arg(long, value_name = "FILE", requires = "out")]
    model: Option<PathBuf>,
    /// Where to write that one.
    #[arg(long, value_name = "FILE")]
    out: Option<PathBuf>,
    /// Compare scores that tell unknown music from known: best score, energy, distance to the class
    /// means.
    #[arg(long)]
    compare: bool,
    /// Seed of everything that is drawn.
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Threads [default: one a core].
    #[arg(long)]
    threads: Option<usize>,
}

/// Where the material lies.
#[derive(Debug)]
pub(super) struct Sources {
    music: PathBuf,
    lists: Option<PathBuf>,
    not_music: PathBuf,
    songs: PathBuf,
}

impl Sources {
    /// What was named, else the usual places.
    pub(super) fn of(music: &Labelled, not_music: Option<&Path>, songs: Option<&Path>) -> Self {
        let or = |named: Option<&Path>, usual: &str| {
            named.map_or_else(|| data_root().join(usual), Path::to_owned)
        };
        Self {
            music: music.folder(),
            lists: music.lists.clone(),
            not_music: or(not_music, "not_music"),
            songs: or(songs, "songs"),
        }
    }

    /// Everything; none, and said so, without a folder of what is not music.
    pub(super) fn load(&self, seed: u64, threads: usize) -> Result<Option<Material>> {
        if !self.not_music.is_dir() {
            say(&format!(
                "no folder '{}': the models stay without temperatures by seconds, music head and change head\n",
                self.not_music.display()
            ));
            return Ok(None);
        }
        let places = Places {
            music: &self.music,
            lists: self.lists.as_deref(),
            not_music: &self.not_music,
            songs: Some(&self.songs),
        };
        Material::load(&places, seed, threads).map(Some)
    }
}

pub(super) fn read(path: &Path) -> Result<Bundle> {
    let bytes = fs::read(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    Bundle::read(&bytes).with_context(|| format!("'{}'", path.display()))
}

fn fold_files(folder: &Path, folds: usize) -> Vec<PathBuf> {
    (0..folds)
        .map(|fold| folder.join(format!("fold{fold}.safetensors")))
        .collect()
}

/// Calibrates the models of all folds in `folder`, in place.
pub(super) fn folds_in(
    folder: &Path,
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<Calibration> {
    let files = fold_files(folder, material.folds);
    let bundles = files
        .iter()
        .map(|file| read(file))
        .collect::<Result<Vec<_>>>()?;
    let (calibrated, calibration) = calibrate::folds(&bundles, material, seed, threads)?;
    for (file, bundle) in files.iter().zip(&calibrated) {
        write_whole(file, &bundle.write()?)?;
    }
    write_whole(
        &folder.join("calibration.json"),
        serde_json::to_string(&calibration)?.as_bytes(),
    )?;
    print(&calibration.words())?;
    Ok(calibration)
}

pub(super) fn run(args: &CalibrateArgs) -> Result<()> {
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let sources = Sources::of(&args.labelled, args.not_music.as_deref(), None);
    let material = sources
        .load(args.seed, threads)?
        .with_context(|| format!("there is no folder '{}'", sources.not_music.display()))?;
    let calibration = folds_in(&args.models, &material, args.seed, threads)?;
    let decisions = calibration.decisions(
        None,
        &genrescope::network::bundle::DecisionDefaults::default(),
    );
    let d = &decisions.defaults;
    for [seconds, temperature] in &d.temperatures {
        print(&format!(
            "temperature after {seconds:.1} s: {temperature:.3}"
        ))?;
    }
    print(&format!(
        "unsure below {:.3}; no music below {:.3}, doubt below {:.3}; change bias {:+.2}",
        d.unsure_threshold, d.music_threshold, d.doubt_threshold, decisions.change_bias
    ))?;
    if args.compare {
        let bundles = fold_files(&args.models, material.folds)
            .iter()
            .map(|file| read(file))
            .collect::<Result<Vec<_>>>()?;
        let rows = calibrate::compare_scores(&bundles, &material, args.seed, threads)?;
        let mut header = String::from("| score |");
        let mut rule = String::from("|---|");
        for (set, _, n) in rows.first().map_or(&[][..], |row| &row.areas) {
            header += &format!(" {set} ({n}) |");
            rule += "---|";
        }
        print(&header)?;
        print(&rule)?;
        for row in &rows {
            let areas: Vec<String> = row
                .areas
                .iter()
                .map(|(_, area, _)| format!("{area:.3}"))
                .collect();
            print(&format!("| {} | {} |", row.score, areas.join(" | ")))?;
        }
    }
    if let (Some(model), Some(out)) = (&args.model, &args.out) {
        let before = read(model)?;
        let mut bundle = calibrate::last(&before, &calibration, &material, args.seed, threads)?;
        let data = &before.card.data;
        let said = data.find("music against").or(data.find("Music head:"));
        let data = data[..said.unwrap_or(data.len())].trim_end();
        bundle.card.data = format!("{data} {}", calibration.words());
        let file = bundle.write()?;
        write_whole(out, &file)?;
        print(&format!("wrote '{}', {} bytes", out.display(), file.len()))?;
        // The card for people says the same as the one in the file.
        if let Ok(card) = std::fs::read_to_string(model.with_extension("md")) {
            let length = std::fs::metadata(model)?.len();
            let row = |bundle: &Bundle| {
                format!("| temperature | {:.3} |", bundle.card.decision.temperature)
            };
            let card = card
                .replace(&before.card.data, &bundle.card.data)
                .replace(&row(&before), &row(&bundle))
                .replace(
                    &format!(", {length} bytes"),
                    &format!(", {} bytes", file.len()),
                );
            write_whole(&out.with_extension("md"), card.as_bytes())?;
        }
    }
    Ok(())
}
