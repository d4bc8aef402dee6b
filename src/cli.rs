//! The command line: arguments become settings, settings become one call each.
//!
//! Standard output carries data, standard error carries messages that begin with the program's name.
//! Exit codes: 0 all done, 1 some inputs failed, 2 nothing could be done (usage, model, configuration).

pub mod classify;
pub mod demo;
pub mod model;
pub mod teach;

use std::{
    io::{self, IsTerminal},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand};

use crate::network::Model;

/// Listens to music and says which genre it hears - and says so when it does not know.
#[derive(Debug, Parser)]
#[command(
    name = "genrescope",
    version,
    about,
    max_term_width = 100,
    propagate_version = true
)]
pub struct Cli {
    /// Use this model file instead of the one that is built in.
    #[arg(long, global = true, value_name = "FILE")]
    pub model: Option<PathBuf>,

    /// When to use colours.
    #[arg(long, global = true, value_enum, default_value_t, value_name = "WHEN")]
    pub color: ColorChoice,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, clap::ValueEnum)]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Say the genre of audio files and folders.
    Classify(classify::ClassifyArgs),
    /// Hear about a minute of music that is made here, without sound card or files.
    Demo(demo::DemoArgs),
    /// Look at model files.
    Model(model::ModelArgs),
    /// Teach your own genres from folders of songs.
    Teach(teach::TeachArgs),
}

/// What every command gets to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// Model file of the user's choice; `None`: the one that is built in.
    pub model: Option<PathBuf>,
    /// May standard output carry colours?
    pub color: bool,
}

impl Context {
    /// The model to listen with.
    ///
    /// # Errors
    /// When the user's file cannot be read or is no model; the message names the file and the field.
    pub fn load_model(&self) -> anyhow::Result<Arc<Model>> {
        match &self.model {
            None => Ok(Model::builtin()),
            Some(path) => load_model_file(path),
        }
    }
}

/// Reads and checks a model file.
///
/// # Errors
/// When it cannot be read or is no model; the message names the file and the field.
pub fn load_model_file(path: &Path) -> anyhow::Result<Arc<Model>> {
    let bytes = crate::network::bundle::MAX_FILE_BYTES;
    let size = std::fs::metadata(path)
        .with_context(|| format!("cannot open model file '{}'", path.display()))?
        .len();
    anyhow::ensure!(
        size <= bytes as u64,
        "model file '{}' has {size} bytes; a model file has at most {bytes}",
        path.display()
    );
    let bytes = std::fs::read(path)
        .with_context(|| format!("cannot read model file '{}'", path.display()))?;
    Model::from_bytes(&bytes).with_context(|| format!("model file '{}'", path.display()))
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
            // A closed pipe is no failure of ours.
            let _ = error.print();
            return code;
        }
    };
    let color = match cli.color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let context = Context {
        model: cli.model,
        color,
    };
    let result = match cli.command {
        Command::Classify(args) => classify::run(args, &context),
        Command::Demo(args) => demo::run(args, &context),
        Command::Model(args) => model::run(args, &context),
        Command::Teach(args) => teach::run(args, &context),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{error:#}"));
            ExitCode::from(2)
        }
    }
}

/// A message for the user, on standard error, beginning with the program's name.
#[expect(clippy::print_stderr, reason = "the program's only error printer")]
pub fn complain(message: std::fmt::Arguments<'_>) {
    eprintln!("genrescope: {message}");
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// A share: a number from 0 to 1.
fn parse_share(text: &str) -> Result<f32, String> {
    let value: f32 = text
        .parse()
        .map_err(|_| format!("'{text}' is not a number"))?;
    if (0.0..=1.0).contains(&value) {
        Ok(value)
    } else {
        Err(format!("{value} is not in 0 to 1"))
    }
}
