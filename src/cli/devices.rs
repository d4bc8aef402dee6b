//! `genrescope devices`: what can be listened to.

use std::{io::Write, process::ExitCode};

use serde::Serialize;

use super::{
    Context,
    output_file::stdout,
    quiet::{PassOn, QuietStderr},
    text::plain,
};
use crate::source::capture::{self, SourceInfo, SourceKind};

/// Arguments of `genrescope devices`.
#[derive(Debug, clap::Args)]
#[command(
    after_help = "Listen to one of them with\n  genrescope listen --device NAME\n\
    where NAME is its id, its name, or a part of either that only one has."
)]
pub struct DevicesArgs {
    /// List the sources of every sound system, not only of the one that is used by default.
    #[arg(long)]
    pub all: bool,

    /// Print JSON, one source a line.
    #[arg(long)]
    pub json: bool,
}

#[derive(Serialize)]
struct Row<'a> {
    id: &'a str,
    name: &'a str,
    kind: &'a str,
    host: &'a str,
    default: bool,
    channels: Option<u16>,
    rate: Option<u32>,
}

/// Lists the sources.
///
/// # Errors
/// When no sound system answers, or standard output is closed.
pub fn run(args: &DevicesArgs, _context: &Context) -> anyhow::Result<ExitCode> {
    let found = {
        let _quiet = QuietStderr::new(PassOn::AtTheEnd);
        capture::sources(args.all)?
    };
    for note in &found.notes {
        super::complain(format_args!("{note}"));
    }
    let sources = found.list;
    let mut out = stdout();
    if args.json {
        for source in &sources {
            let row = Row {
                id: &source.id,
                name: &source.name,
                kind: source.kind.as_str(),
                host: &source.host,
                default: source.is_default,
                channels: source.format.map(|(channels, _)| channels),
                rate: source.format.map(|(_, rate)| rate),
            };
            serde_json::to_writer(&mut out, &row)?;
            writeln!(out)?;
        }
        out.flush()?;
    } else {
        out.write_all(table(&sources).as_bytes())?;
        if !sources.iter().any(|s| s.kind == SourceKind::SystemAudio) {
            super::complain(format_args!("{NO_SYSTEM_AUDIO}"));
        }
    }
    Ok(ExitCode::SUCCESS)
}

const NO_SYSTEM_AUDIO: &str = if cfg!(target_os = "macos") {
    "no system audio: macOS gives it from version 14.6 on, once this program may record it (Privacy & Security)"
} else if cfg!(windows) {
    "no system audio: no output device is there to be recorded"
} else {
    "no system audio: it comes from the monitors of PulseAudio or PipeWire, and neither answers"
};

/// Sources as text: microphones first, the default of each kind marked.
fn table(sources: &[SourceInfo]) -> String {
    let mut text = String::new();
    for kind in [SourceKind::Input, SourceKind::SystemAudio] {
        let of_kind: Vec<&SourceInfo> = sources.iter().filter(|s| s.kind == kind).collect();
        if of_kind.is_empty() {
            continue;
        }
        text.push_str(match kind {
            SourceKind::Input => "Inputs (microphones, lines, interfaces):\n",
            SourceKind::SystemAudio => "System audio (what this computer plays):\n",
        });
        for source in of_kind {
            let mark = if source.is_default { '*' } else { ' ' };
            let format = source.format.map_or(String::new(), |(channels, rate)| {
                let s = if channels == 1 { "" } else { "s" };
                format!("{channels} channel{s}, {rate} Hz, ")
            });
            text.push_str(&format!(
                "{mark} {}\n    {format}{}\n",
                plain(&source.name),
                plain(&source.id)
            ));
        }
    }
    if text.is_empty() {
        text.push_str("There is nothing to listen to: no input and no system audio.\n");
    } else {
        text.push_str("* default ('--device default', '--device system')\n");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_kinds_are_listed_with_what_they_are() {
        let source = |id: &str, name: &str, kind, is_default| SourceInfo {
            id: id.into(),
            name: name.into(),
            kind,
            host: "PulseAudio".into(),
            is_default,
            format: Some((2, 48_000)),
        };
        let mut sources = vec![
            source(
                "pulseaudio:speakers.monitor",
                "Monitor of Speakers",
                SourceKind::SystemAudio,
                true,
            ),
            source("pulseaudio:usb", "USB Audio", SourceKind::Input, true),
            source("pulseaudio:line", "Line In", SourceKind::Input, false),
        ];
        sources[2].format = None;
        insta::assert_snapshot!(table(&sources));
        let odd = source("pulseaudio:x", "a\u{1b}[2Jb\nc", SourceKind::Input, false);
        let shown = table(&[odd]);
        assert!(shown.contains("a\\u{1b}[2Jb\\nc"), "{shown}");
        assert!(table(&[]).starts_with("There is nothing to listen to"));
    }
}
