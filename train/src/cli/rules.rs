//! `rules`: what `evaluate --set` was found to be better with goes into a model file.

use std::path::PathBuf;

use anyhow::{Context, Result, ensure};
use clap::Args;
use genrescope::decision::Rules;
use genrescope_train::pictures::write_whole;

use super::{calibrate, live, print};

/// See [`run`].
#[derive(Args, Debug)]
pub(super) struct RulesArgs {
    /// The model file.
    #[arg(long, value_name = "FILE")]
    model: PathBuf,
    /// `unsure_below`, `music_below`, `doubt_below` (0 to 1), or a field of `Rules`, and its value.
    #[arg(long, required = true, value_name = "NAME=VALUE", value_parser = live::setting)]
    set: Vec<(String, f32)>,
    /// Where the model goes.
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
}

/// Writes the model with other numbers of the decision; its weights stay as they are.
pub(super) fn run(args: &RulesArgs) -> Result<()> {
    let mut bundle = calibrate::read(&args.model)?;
    let decision = &mut bundle.card.decision;
    for (name, value) in &args.set {
        let threshold = match name.as_str() {
            "unsure_below" => &mut decision.unsure_threshold,
            "music_below" => &mut decision.music_threshold,
            "doubt_below" => &mut decision.doubt_threshold,
            _ => {
                Rules::default().set(name, *value).context("--set")?;
                // As it was typed: 0.14, and not the nearest number of 32 bits.
                let shortest: f64 = value.to_string().parse()?;
                decision.more.insert(name.clone(), shortest.into());
                continue;
            }
        };
        ensure!(
            (0.0..=1.0).contains(value),
            "--set: {name} = {value} is out of range (0 to 1)"
        );
        *threshold = *value;
    }
    write_whole(&args.out, &bundle.write()?)?;
    print(&format!("{}", args.out.display()))
}
