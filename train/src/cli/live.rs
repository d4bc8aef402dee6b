//! `evaluate --live`: how a listener fares.

use anyhow::{Context, Result, ensure};
use genrescope::{
    decision::{DecisionConfig, Preset, Rules, Span},
    network::bundle::DecisionDefaults,
    pipeline::PipelineConfig,
    units::Seconds,
};
use genrescope_train::{
    live::{self, Amount, modern},
    parallel,
    pictures::write_whole,
};

use super::{calibrate::Sources, evaluate::EvaluateArgs, print};

fn config(
    args: &EvaluateArgs,
    preset: Preset,
    defaults: &DecisionDefaults,
) -> Result<PipelineConfig> {
    let settings = DecisionConfig::preset(preset);
    let mut decision = DecisionConfig {
        unsure_below: args.unsure_below,
        doubt_below: args.doubt_below,
        margin: args.margin.unwrap_or(settings.margin),
        ..settings
    };
    let mut rules = Rules::of(defaults);
    for (name, value) in &args.set {
        match name.as_str() {
            "averaging" => decision.span = Span::Exponential(Seconds(f64::from(*value))),
            "dwell" => decision.dwell = Seconds(f64::from(*value)),
            "early_share" => decision.early_share = *value,
            _ => rules.set(name, *value).context("--set")?,
        }
    }
    decision.rules = Some(rules);
    Ok(PipelineConfig {
        decision,
        ..PipelineConfig::default()
    })
}

/// `NAME=VALUE` of `--set`.
pub(super) fn setting(text: &str) -> Result<(String, f32), String> {
    let (name, value) = text
        .split_once('=')
        .ok_or_else(|| format!("'{text}' is not NAME=VALUE"))?;
    let value = value
        .parse()
        .map_err(|_| format!("'{value}' of '{name}' is not a number"))?;
    Ok((name.to_owned(), value))
}

/// `evaluate --modern`: how a listener fares on today's music.
pub(super) fn run_modern(args: &EvaluateArgs) -> Result<()> {
    let preset = match &args.preset {
        None => Preset::default(),
        Some(name) => Preset::ALL
            .into_iter()
            .find(|preset| preset.as_str() == name)
            .with_context(|| {
                let names = Preset::ALL.map(Preset::as_str).join(", ");
                format!("there is no preset '{name}'; there are {names}")
            })?,
    };
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let model = super::evaluate::models(args, 0)?;
    let model = model.first().context("there is no model")?;
    let config = config(args, preset, &model.card().decision)?;
    let mut tallies = Vec::new();
    for folder in &args.modern {
        let name = folder.file_name().unwrap_or(folder.as_os_str());
        let tally = modern::tally(model, folder, &config, threads)?;
        tallies.push((name.to_string_lossy().into_owned(), tally));
    }
    print(modern::markdown(&tallies).trim_end())
}

pub(super) fn run(args: &EvaluateArgs) -> Result<()> {
    ensure!(
        args.models.is_some(),
        "--live needs --models FOLDER, the models of all folds as `folds --models` writes them: streams are made of \
         recordings that the model must not have heard"
    );
    let threads = args.threads.unwrap_or_else(parallel::default_threads);
    let sources = Sources::of(
        &args.labelled,
        args.not_music.as_deref(),
        args.songs.as_deref(),
    );
    let material = sources
        .load(args.seed, threads)?
        .context("--live needs what is not music: name its folder with --not-music")?;
    let models = super::evaluate::models(args, material.folds)?;
    let defaults = &models.first().context("there is no model")?.card().decision;
    let config = config(args, Preset::default(), defaults)?;
    let amount = Amount {
        every: args.every,
        spliced: args.streams,
    };
    let rows = live::table(&models, &material, &config, amount, args.seed, threads)?;
    print(live::markdown(&rows).trim_end())?;
    let met = rows.iter().filter(|row| row.met == Some(true)).count();
    let of = rows.iter().filter(|row| row.met.is_some()).count();
    print(&format!("{met} of {of} targets met; seed {}", args.seed))?;
    if let Some(path) = &args.timeline {
        let text = live::timeline(&models, &material, &config, args.seed)?;
        write_whole(path, text.as_bytes())?;
    }
    Ok(())
}
