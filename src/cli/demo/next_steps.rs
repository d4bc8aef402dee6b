//! What to try after the demonstration, on this machine.

use std::path::{Path, PathBuf};

use crate::{
    cli::{
        quiet::{PassOn, QuietStderr},
        text::plain,
    },
    source::capture::{self, SourceInfo, SourceKind},
};

/// What can be listened to here; nothing where no sound system answers.
pub(super) fn sources() -> Vec<SourceInfo> {
    let _quiet = QuietStderr::new(PassOn::AtTheEnd);
    capture::sources(false).map_or_else(|_| Vec::new(), |found| found.list)
}

/// A program that a feed is made for.
#[derive(Clone, Copy, Debug)]
pub(super) struct Receiver {
    /// What it is called as a file.
    program: &'static str,
    /// What it is called as an application of macOS.
    application: &'static str,
    /// What people call it.
    name: &'static str,
    /// The feed.
    options: &'static str,
}

const RECEIVERS: [Receiver; 4] = [
    Receiver {
        program: "qlcplus",
        application: "QLC+.app",
        name: "QLC+",
        options: "--osc 127.0.0.1 --osc-map qlcplus",
    },
    Receiver {
        program: "obs",
        application: "OBS.app",
        name: "OBS: a browser source of http://127.0.0.1:8017/overlay",
        options: "--http",
    },
    Receiver {
        program: "butt",
        application: "butt.app",
        name: "Butt: the song's name from that file",
        options: "--text genre.txt",
    },
    Receiver {
        program: "mosquitto",
        application: "mosquitto.app",
        name: "the MQTT broker of this machine",
        options: "--mqtt mqtt://127.0.0.1",
    },
];

/// The receivers that are installed.
pub(super) fn programs() -> Vec<Receiver> {
    let path = std::env::var_os("PATH").unwrap_or_default();
    let folders: Vec<PathBuf> = std::env::split_paths(&path).collect();
    let is_installed = |receiver: &Receiver| {
        let file = format!("{}{}", receiver.program, std::env::consts::EXE_SUFFIX);
        folders.iter().any(|folder| folder.join(&file).is_file())
            || Path::new("/Applications")
                .join(receiver.application)
                .is_dir()
    };
    RECEIVERS.into_iter().filter(is_installed).collect()
}

/// Commands that will do something on this machine, one a line, each with what for.
pub(super) fn next_steps(sources: &[SourceInfo], programs: &[Receiver]) -> String {
    let default_of = |kind: SourceKind| {
        let mut of_kind = sources.iter().filter(|source| source.kind == kind);
        let first = of_kind.clone().next();
        of_kind.find(|source| source.is_default).or(first)
    };
    let mut steps: Vec<(String, String)> = Vec::new();
    let mut listen = None;
    if let Some(source) = default_of(SourceKind::SystemAudio) {
        let command = "genrescope listen --device system";
        steps.push((
            command.to_owned(),
            format!("what this computer plays ({})", plain(&source.name)),
        ));
        listen = Some(command);
    }
    if let Some(source) = default_of(SourceKind::Input) {
        let command = "genrescope listen";
        steps.push((command.to_owned(), plain(&source.name).into_owned()));
        listen = listen.or(Some(command));
    }
    steps.push((
        "genrescope classify ~/Music".to_owned(),
        "songs of yours".to_owned(),
    ));
    match listen {
        None => steps.push((
            "genrescope devices".to_owned(),
            "nothing to listen to was found; says what is looked for".to_owned(),
        )),
        Some(listen) => {
            for receiver in programs {
                steps.push((
                    format!("{listen} {}", receiver.options),
                    receiver.name.to_owned(),
                ));
            }
        }
    }
    let width = steps.iter().map(|(command, _)| command.len()).max();
    let mut text = String::from("\nWhat to try next:\n");
    for (command, what) in steps {
        text += &format!("  {command:<0$}   {what}\n", width.unwrap_or(0));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_to_try_next_is_there_and_can_be_typed() {
        let source = |name: &str, kind, is_default| SourceInfo {
            id: format!("test:{name}"),
            name: name.into(),
            kind,
            host: "test".into(),
            is_default,
            format: None,
        };
        let sources = [
            source("Line", SourceKind::Input, false),
            source("Desk\u{1b}[2J", SourceKind::Input, true),
            source("Speakers", SourceKind::SystemAudio, true),
        ];
        let text = next_steps(&sources, &RECEIVERS);
        assert!(
            text.contains("what this computer plays (Speakers)"),
            "{text}"
        );
        assert!(
            text.contains("Desk\\u{1b}") && !text.contains("Line"),
            "{text}"
        );
        let nothing = next_steps(&[], &RECEIVERS);
        assert!(nothing.contains("genrescope devices"), "{nothing}");
        assert!(
            !nothing.contains("QLC+"),
            "nothing to feed it with: {nothing}"
        );
        let commands = text.lines().chain(nothing.lines()).skip(2);
        for line in commands.filter(|line| line.starts_with("  ")) {
            let command = line.trim().split("   ").next().unwrap();
            let parsed = <crate::cli::Cli as clap::Parser>::try_parse_from(command.split(' '));
            assert!(parsed.is_ok(), "{command}");
        }
    }
}
