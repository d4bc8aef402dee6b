//! `genrescope completions` and `genrescope man`: what packagers and shells ask for.

use std::{io::Write, path::PathBuf, process::ExitCode};

use anyhow::Context as _;
use clap::CommandFactory;
use clap_complete::Shell;

use super::{Cli, Context, output_file::stdout};
use crate::{network::BuiltIn, sink::map::PRESETS};

/// Arguments of `genrescope completions`.
#[derive(Debug, clap::Args)]
#[command(after_help = "Examples:\n  \
    genrescope completions bash > ~/.local/share/bash-completion/completions/genrescope\n  \
    genrescope completions zsh > ~/.zfunc/_genrescope\n  \
    genrescope completions fish > ~/.config/fish/completions/genrescope.fish")]
pub struct CompletionsArgs {
    /// The shell.
    #[arg(value_enum)]
    pub shell: Shell,
}

/// Prints the completion script of a shell.
///
/// # Errors
/// When standard output is closed.
pub fn completions(args: &CompletionsArgs, _context: &Context) -> anyhow::Result<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "genrescope", &mut script);
    let script = with_words(args.shell, String::from_utf8(script)?);
    stdout().write_all(script.as_bytes())?;
    Ok(ExitCode::SUCCESS)
}

/// What prints the sources that `--device` takes, one a line, in a shell.
const DEVICES: &str = r#"{ printf 'default\nsystem\n'; genrescope devices --json 2>/dev/null | sed -n 's/^{"id":"\([^"\\]*\)".*/\1/p'; }"#;

/// The script, completed by what is no fixed list: sources, which come and go; maps and models,
/// each a name or a file.
fn with_words(shell: Shell, script: String) -> String {
    let presets = PRESETS.join(" ");
    let models = BuiltIn::ALL.map(BuiltIn::as_str).join(" ");
    match shell {
        Shell::Bash => {
            let words =
                |list: &str| format!("COMPREPLY=($(compgen -W \"{list}\" -- \"${{cur}}\"))");
            // The names of sources hold colons, at which bash would break them.
            let devices = format!(
                "local IFS=$'\\n'; COMPREPLY=($(compgen -W \"$({DEVICES})\" -- \"${{cur}}\")); \
                 declare -F __ltrim_colon_completions >/dev/null && __ltrim_colon_completions \"${{cur}}\""
            );
            let or_file =
                |list: &str| format!("{}; COMPREPLY+=($(compgen -f \"${{cur}}\"))", words(list));
            let instead = [
                ("--device|-d", devices.as_str()),
                ("--osc-map", &or_file(&presets)),
                ("--model", &or_file(&models)),
            ];
            instead_of_files(&script, &instead)
        }
        Shell::Zsh => {
            let devices = format!("compadd -- ${{(f)\"$({DEVICES})\"}}");
            let or_file = |list: &str| format!("compadd -- {list}; _files");
            let (maps, models) = (or_file(&presets), or_file(&models));
            // Behind the option's description stands what completes it.
            let mut completed = String::new();
            for line in script.lines() {
                let action = if line.contains("--device=[") || line.contains("-d+[") {
                    "_genrescope_devices"
                } else if line.contains("--osc-map=[") {
                    "_genrescope_maps"
                } else if line.contains("--model=[") {
                    "_genrescope_models"
                } else {
                    ""
                };
                match line.rsplit_once(":_") {
                    Some((option, rest)) if !action.is_empty() => {
                        let rest = rest.split_once('\'').map_or("", |(_, rest)| rest);
                        completed += &format!("{option}:{action}'{rest}");
                    }
                    _ => completed.push_str(line),
                }
                completed.push('\n');
            }
            completed
                .replacen(
                    "autoload -U is-at-least\n",
                    &format!(
                        "autoload -U is-at-least\n\n_genrescope_devices() {{ {devices} }}\n_genrescope_maps() {{ {maps} }}\n\
                         _genrescope_models() {{ {models} }}\n"
                    ),
                    1,
                )
        }
        Shell::Fish => {
            let listen = "-n '__fish_seen_subcommand_from listen'";
            let devices = DEVICES.replace("{ ", "begin; ").replace("; }", "; end");
            let devices = devices.replace('\'', "\\'");
            format!(
                "{script}complete -c genrescope {listen} -l device -s d -x -a '({devices})'\n\
                 complete -c genrescope {listen} -l osc-map -r -F -a '{presets}'\n\
                 complete -c genrescope -l model -r -F -a '{models}'\n"
            )
        }
        _ => script,
    }
}

/// A script of bash in which options of these names are completed by these commands instead of
/// files.
fn instead_of_files(script: &str, instead: &[(&str, &str)]) -> String {
    let mut out = String::new();
    let mut command = None;
    for line in script.lines() {
        let word = line.trim();
        let is_label = |word: &&str| word.starts_with('-') || *word == "*";
        if let Some(label) = word.strip_suffix(')').filter(is_label) {
            command = instead.iter().find_map(|(names, command)| {
                names
                    .split('|')
                    .any(|name| name == label)
                    .then_some(*command)
            });
        }
        let files = word == "COMPREPLY=($(compgen -f \"${cur}\"))";
        match command.filter(|_| files) {
            Some(command) => out += &line.replace(word, command),
            None => out += line,
        }
        out.push('\n');
    }
    out
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
    stdout().write_all(&page)?;
    Ok(ExitCode::SUCCESS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn script(shell: Shell) -> String {
        let mut script = Vec::new();
        clap_complete::generate(shell, &mut Cli::command(), "genrescope", &mut script);
        with_words(shell, String::from_utf8(script).unwrap())
    }

    #[test]
    fn completions_know_sources_presets_and_models() {
        for (shell, n_devices) in [(Shell::Bash, 2), (Shell::Zsh, 1), (Shell::Fish, 1)] {
            let script = script(shell);
            let found = script.matches("genrescope devices --json").count();
            assert!(found >= n_devices, "{shell}: {found}");
            assert!(script.contains("grandma3"), "{shell}");
            assert!(script.contains("steady"), "{shell}");
            assert!(script.contains("default wide"), "{shell}");
        }
        let zsh = script(Shell::Zsh);
        assert!(zsh.contains(":NAME:_genrescope_devices'"), "{zsh}");
        assert!(zsh.contains(":MAP:_genrescope_maps'"), "{zsh}");
        assert!(zsh.contains(":NAME|FILE:_genrescope_models'"), "{zsh}");
    }
}
