//! `genrescope completions` and `genrescope man`: what packagers and shells ask for.

use std::{
    io::{self, Write},
    path::PathBuf,
    process::ExitCode,
};

use anyhow::Context as _;
use clap::CommandFactory;

use super::{Cli, Context};

/// Arguments of `genrescope completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    genrescope completions bash > ~/.local/share/bash-completion/completions/genrescope\n  \
    genrescope completions zsh > ~/.zfunc/_genrescope\n  \
    genrescope completions fish > ~/.config/fish/completions/genrescope.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: clap_complete::Shell,
}

/// Prints the completion script of a shell.
///
/// # Errors
/// When standard output is closed.
pub fn completions(args: &CompletionsArgs, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "genrescope", &mut script);
    io::stdout().write_all(&script)?;
    Ok(ExitCode::SUCCESS)
}

/// Arguments of `genrescope man`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Examples:\n  genrescope man | man -l -\n  genrescope man --dir ~/.local/share/man/man1"
)]
pub struct ManArgs {
    /// Write a page for each command into this folder instead of printing the main page.
    #[arg(long, value_name = "FOLDER")]
    pub dir: Option<PathBuf>,
}

/// Prints the manual page, or writes all of them.
///
/// # Errors
/// When standard output is closed or the folder cannot be written.
pub fn man(args: &ManArgs, _context: &Context) -> anyhow::Result<ExitCode> {
    if let Some(dir) = &args.dir {
        std::fs::create_dir_all(dir)
            .and_then(|()| clap_mangen::generate_to(Cli::command(), dir))
            .with_context(|| format!("cannot write manual pages to '{}'", dir.display()))?;
        return Ok(ExitCode::SUCCESS);
    }
    let mut page = Vec::new();
    clap_mangen::Man::new(Cli::command()).render(&mut page)?;
    io::stdout().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}
