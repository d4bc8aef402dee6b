//! `genrescope model show`: the card of a model.

use std::{io::Write, path::PathBuf, process::ExitCode};

use clap::{Args, Subcommand};

use super::Context;

/// Arguments of `genrescope model`.
#[derive(Debug, Args)]
pub struct ModelArgs {
    #[command(subcommand)]
    command: ModelCommand,
}

#[derive(Debug, Subcommand)]
enum ModelCommand {
    /// Print a model's card: what it hears, what it was trained on, how well it does, its licence.
    Show {
        /// The model file; without it, the model in use.
        file: Option<PathBuf>,
    },
}

/// Runs `genrescope model`.
///
/// # Errors
/// When the file cannot be read, is no model, or standard output fails.
pub fn run(args: ModelArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let ModelCommand::Show { file } = args.command;
    let model = match &file {
        Some(path) => super::load_model_file(path)?,
        None => context.load_model()?,
    };
    write!(std::io::stdout().lock(), "{}", model.card())?;
    Ok(ExitCode::SUCCESS)
}
