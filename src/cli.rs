//! The command line: arguments become settings, settings become one call each.
//!
//! Standard output carries data, standard error carries messages that begin with the program's
//! name. Exit codes: 0 all done, 1 some inputs failed, 2 nothing could be done (usage, model,
//! configuration).

pub mod classify;
pub mod completions;
pub mod config;
pub mod demo;
pub mod devices;
mod hear;
mod json_lines;
pub mod lights;
pub mod listen;
pub mod model;
pub mod output_file;
pub mod quiet;
pub mod signals;
pub mod sort;
pub mod tag;
pub mod teach;
pub mod text;
pub mod tui;
pub mod watch;

use std::{
    io::{self, IsTerminal, Write as _},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Parser, Subcommand, ValueEnum};
use serde::{Deserialize, Serialize};

use crate::{
    network::Model,
    source::{
        file::{AudioFile, FileError, RawPcm},
        model_file::{self, ModelFileError},
    },
    words::Language,
};

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
    /// Use another model: 'wide', which is built in and knows nearly forty kinds of music, or a
    /// model file.
    #[arg(long, global = true, value_name = "NAME|FILE")]
    pub model: Option<PathBuf>,

    /// Read settings from this file instead of the usual place ('genrescope config --path').
    #[arg(long, global = true, value_name = "FILE")]
    pub config: Option<PathBuf>,

    /// When to use colours [default: auto].
    #[arg(long, global = true, value_enum, value_name = "WHEN")]
    pub color: Option<ColorChoice>,

    /// The language of what 'listen' and 'demo' show on a terminal [default: auto].
    #[arg(long, global = true, value_enum, value_name = "WHICH")]
    pub language: Option<LanguageChoice>,

    /// Colours for a dark or a light terminal [default: auto].
    #[arg(long, global = true, value_enum, value_name = "WHICH")]
    pub theme: Option<ThemeChoice>,

    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// When to use colours.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ColorChoice {
    /// On a terminal, unless NO_COLOR is set.
    #[default]
    Auto,
    /// Always.
    Always,
    /// Never.
    Never,
}

/// Which language the views on a terminal have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LanguageChoice {
    /// The system's, where it is one of these; English otherwise.
    #[default]
    Auto,
    /// English.
    En,
    /// German.
    De,
    /// Spanish.
    Es,
}

impl LanguageChoice {
    /// What is shown then.
    pub fn language(self) -> Language {
        match self {
            Self::Auto => Language::of_system(),
            Self::En => Language::English,
            Self::De => Language::German,
            Self::Es => Language::Spanish,
        }
    }
}

/// Which colours the views on a terminal have.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum ThemeChoice {
    /// As the terminal's background is, if it tells; dark otherwise.
    #[default]
    Auto,
    /// Bright ones.
    Dark,
    /// Deep ones.
    Light,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Listen to a microphone, the system's sound or a file, and show the genre live.
    Listen(Box<listen::ListenArgs>),
    /// List what can be listened to: microphones and the system's sound.
    Devices(devices::DevicesArgs),
    /// Say the genre of audio files and folders.
    Classify(classify::ClassifyArgs),
    /// Write the genre into the tags of audio files, after showing what would change; or take that
    /// back.
    Tag(tag::TagArgs),
    /// Write playlists and crates by genre: M3U8, Rekordbox, Traktor, Serato.
    Sort(sort::SortArgs),
    /// Watch folders, and tag, print or hand on songs as they come.
    Watch(watch::WatchArgs),
    /// Hear about a minute of music that is made here, without sound card or files.
    Demo(demo::DemoArgs),
    /// Look at model files.
    Model(model::ModelArgs),
    /// Check look files: what lights show for each genre.
    Looks(lights::LooksArgs),
    /// Teach your own genres from folders of songs.
    Teach(teach::TeachArgs),
    /// Show the configuration in effect, or where its file is looked for.
    Config(config::ConfigArgs),
    /// Print the completion script of a shell.
    Completions(completions::CompletionsArgs),
    /// Print the manual page, or write one for each command.
    Man(completions::ManArgs),
}

/// What every command gets to know.
#[derive(Clone, Debug)]
pub struct Context {
    /// Model of the user's choice, the name of a [built-in one](crate::network::BuiltIn) or a file;
    /// `None`: the default.
    pub model: Option<PathBuf>,
    /// May standard output carry colours?
    pub color: bool,
    /// When it may.
    pub color_choice: ColorChoice,
    /// The language of the views.
    pub language: LanguageChoice,
    /// The colours of the views.
    pub theme: ThemeChoice,
    /// What the configuration file says.
    pub config: config::Config,
}

impl Context {
    /// The model to listen with.
    ///
    /// # Errors
    /// When the user's file cannot be read or is no model; the message names the file and the
    /// field.
    pub fn load_model(&self) -> anyhow::Result<Arc<Model>> {
        match &self.model {
            None => Ok(Model::builtin()),
            Some(path) => self.named_by_config(model_file::load(path)),
        }
    }

    /// Whoever did not name the model on the command line is told where it is named.
    fn named_by_config<T>(&self, loaded: Result<T, ModelFileError>) -> anyhow::Result<T> {
        match &self.config.model {
            Some(model) if Some(model) == self.model.as_ref() => {
                loaded.with_context(|| self.config.origin("model"))
            }
            _ => Ok(loaded?),
        }
    }
}

/// Runs the command line of this process.
pub fn main() -> ExitCode {
    crate::source::file::tell_no_caught_panics();
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(error) => {
            let code = if error.use_stderr() {
                ExitCode::from(2)
            } else {
                ExitCode::SUCCESS
            };
            let printed = error.print().and_then(|()| io::stdout().flush());
            // A closed pipe is no failure of ours.
            return match printed {
                Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
                    complain(format_args!("{}", output_file::stdout().say(error)));
                    ExitCode::from(2)
                }
                _ => code,
            };
        }
    };
    let config = match config::Config::load(cli.config.as_deref()) {
        Ok(config) => config,
        Err(error) => {
            complain(format_args!("{}", text::told(&error.into())));
            return ExitCode::from(2);
        }
    };
    let color_choice = cli.color.unwrap_or(config.color);
    let color = match color_choice {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none(),
    };
    let model = cli.model.or_else(|| config.model.clone());
    let context = Context {
        model,
        color,
        color_choice,
        language: cli.language.unwrap_or(config.language),
        theme: cli.theme.unwrap_or(config.theme),
        config,
    };
    let result = match cli.command {
        Command::Listen(args) => listen::run(*args, &context),
        Command::Devices(args) => devices::run(&args, &context),
        Command::Classify(args) => classify::run(args, &context),
        Command::Watch(args) => watch::run(args, &context),
        Command::Sort(args) => sort::run(args, &context),
        Command::Tag(args) => tag::run(args, &context),
        Command::Demo(args) => demo::run(args, &context),
        Command::Model(args) => model::run(args, &context),
        Command::Looks(args) => lights::run(args, &context),
        Command::Teach(args) => teach::run(args, &context),
        Command::Config(args) => config::run(&args, &context),
        Command::Completions(args) => completions::completions(&args, &context),
        Command::Man(args) => completions::man(&args, &context),
    };
    match result {
        Ok(code) => code,
        Err(error) if is_broken_pipe(&error) => ExitCode::SUCCESS,
        Err(error) => {
            complain(format_args!("{}", text::told(&error)));
            ExitCode::from(2)
        }
    }
}

/// A message for the user, on standard error, beginning with the program's name.
pub fn complain(message: std::fmt::Arguments<'_>) {
    quiet::message(&text::plain(&format!("genrescope: {message}")));
}

/// `-` on the command line stands for standard input; a file of that name is `./-`.
fn is_stdin(path: &Path) -> bool {
    path.as_os_str() == "-"
}

/// What an input is called in messages.
fn shown_input(path: &Path) -> String {
    if is_stdin(path) {
        "standard input".into()
    } else {
        path.display().to_string()
    }
}

/// Opens a file that was named on the command line, or standard input.
fn open_audio(path: &Path) -> Result<AudioFile, FileError> {
    if is_stdin(path) {
        AudioFile::from_reader(Box::new(io::stdin()))
    } else {
        AudioFile::open(path)
    }
}

/// Opens a file that was named on the command line, or standard input; `raw` says how bare samples
/// are written.
fn open_input(path: &Path, raw: Option<RawPcm>) -> anyhow::Result<AudioFile> {
    Ok(match (is_stdin(path), raw) {
        (_, None) => open_audio(path)?,
        (true, Some(raw)) => AudioFile::from_raw(Box::new(io::stdin()), raw)?,
        (false, Some(raw)) => {
            let file = std::fs::File::open(path)
                .with_context(|| format!("cannot open '{}'", path.display()))?;
            AudioFile::from_raw(Box::new(io::BufReader::new(file)), raw)?
        }
    })
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error
        .chain()
        .filter_map(|cause| cause.downcast_ref::<io::Error>())
        .any(|cause| cause.kind() == io::ErrorKind::BrokenPipe)
}

/// Files looked at side by side: as many as were asked for, or one for each processor.
fn n_jobs(asked: Option<u16>) -> usize {
    asked.map_or_else(
        || std::thread::available_parallelism().map_or(1, std::num::NonZero::get),
        usize::from,
    )
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
