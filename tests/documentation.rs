//! The documentation is true: its links lead somewhere, its commands exist, and those marked
//! `sh run` do what they show.
#![allow(clippy::unwrap_used, reason = "a failure is a failed test")]

#[path = "support/docs.rs"]
mod docs;
#[path = "support/skip.rs"]
mod skip;

use std::{
    collections::HashMap,
    fs,
    path::{Component, Path, PathBuf},
};

use clap::CommandFactory as _;
use docs::{Look, Page};
use genrescope::cli::{Cli, config::Config};

fn none(complaints: &[String]) {
    assert!(
        complaints.is_empty(),
        "\n{}\n{} in all",
        complaints.join("\n"),
        complaints.len()
    );
}

/// `a/../b` is `b`.
fn straight(path: &Path) -> PathBuf {
    let mut out = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(out.pop()),
            Component::CurDir => {}
            part => out.push(part),
        }
    }
    out
}

#[test]
fn links_lead_somewhere() {
    let pages = docs::pages();
    let anchors: HashMap<&Path, Vec<String>> = pages
        .iter()
        .map(|page| (page.path.as_path(), page.anchors()))
        .collect();
    let mut complaints = Vec::new();
    let mut n_links = 0;
    for page in &pages {
        for link in page.links() {
            if link.target.contains("://") || link.target.starts_with("mailto:") {
                continue;
            }
            n_links += 1;
            let (path, anchor) = link
                .target
                .split_once('#')
                .map_or((link.target.as_str(), None), |(path, anchor)| {
                    (path, Some(anchor))
                });
            let target = if path.is_empty() {
                page.path.clone()
            } else {
                straight(&page.path.parent().unwrap().join(path))
            };
            if !docs::root().join(&target).exists() {
                complaints.push(format!(
                    "{}: there is no {}",
                    page.at(link.line),
                    target.display()
                ));
            } else if let (Some(anchor), Some(known)) = (anchor, anchors.get(target.as_path()))
                && !known.iter().any(|known| known == anchor)
            {
                complaints.push(format!(
                    "{}: {} has no heading '#{anchor}'",
                    page.at(link.line),
                    target.display()
                ));
            }
        }
    }
    assert!(n_links > 100, "only {n_links} links: the search is broken");
    none(&complaints);
}

#[test]
fn every_page_is_in_the_book() {
    let pages = docs::pages();
    let summary = pages
        .iter()
        .find(|page| page.path == Path::new("docs/SUMMARY.md"))
        .unwrap();
    let listed: Vec<PathBuf> = summary
        .links()
        .iter()
        .map(|link| straight(&Path::new("docs").join(&link.target)))
        .collect();
    let missing: Vec<String> = pages
        .iter()
        .filter(|page| page.path.starts_with("docs") && page.path != summary.path)
        .filter(|page| !listed.contains(&page.path))
        .map(|page| format!("docs/SUMMARY.md does not list {}", page.path.display()))
        .collect();
    none(&missing);
}

#[test]
fn pages_that_code_and_scripts_name_exist() {
    let mut complaints = Vec::new();
    let mut n_named = 0;
    let sources = [".rs", ".toml", ".sh", ".py", ".yml", ".ps1"];
    for path in sources.iter().flat_map(|ending| docs::files(ending)) {
        let text = fs::read_to_string(docs::root().join(&path)).unwrap();
        for (number, line) in text.lines().enumerate() {
            for (at, _) in line.match_indices("docs/") {
                let is_inside = line[..at]
                    .chars()
                    .next_back()
                    .is_some_and(|before| before.is_alphanumeric() || "./_-}".contains(before));
                let named: String = line[at..]
                    .chars()
                    .take_while(|c| c.is_ascii_alphanumeric() || "/._-".contains(*c))
                    .collect();
                let named = named.trim_end_matches('.');
                let ending = Path::new(named).extension();
                let is_page = ending.is_some_and(|ending| ending == "md" || ending == "toml");
                if is_inside || !is_page {
                    continue;
                }
                n_named += 1;
                if !docs::root().join(named).exists() {
                    let number = number + 1;
                    complaints.push(format!("{}:{number}: there is no {named}", path.display()));
                }
            }
        }
    }
    assert!(n_named > 20, "only {n_named} pages are named");
    none(&complaints);
}

#[test]
fn commands_on_pages_exist() {
    none(&docs::complaints(&Cli::command(), 100));
}

/// Behind an example in a help text stands, after spaces, what it does.
fn without_remark(line: &str) -> &str {
    line.trim().split("   ").next().unwrap_or_default()
}

#[test]
fn commands_in_help_texts_and_messages_exist() {
    let cli = Cli::command();
    let mut complaints = Vec::new();
    let mut n_calls = 0;
    let mut check = |place: String, text: &str, look: Look| {
        for call in docs::calls(text, "genrescope") {
            n_calls += 1;
            if let Some(what) = docs::complaint(&cli, &call, look) {
                complaints.push(format!("{place}: {}: {what}", call.join(" ")));
            }
        }
    };
    let mut commands = vec![&cli];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let examples = command.get_after_help().map(ToString::to_string);
        for line in examples.unwrap_or_default().lines() {
            let place = format!("the help of {}", command.get_name());
            check(place, without_remark(line), Look::Whole);
        }
    }
    // Messages name commands in quotation marks: 'genrescope teach'.
    for path in docs::files(".rs") {
        if path.starts_with("tests") {
            continue;
        }
        let text = fs::read_to_string(docs::root().join(&path)).unwrap();
        for (number, line) in text.lines().enumerate() {
            for rest in line.split("'genrescope ").skip(1) {
                let Some((call, _)) = rest.split_once('\'') else {
                    continue;
                };
                // What the program fills in itself.
                let call = call.replace(['{', '}'], "");
                let place = format!("{}:{}", path.display(), number + 1);
                check(place, &format!("genrescope {call}"), Look::Mention);
            }
        }
    }
    assert!(n_calls > 30, "only {n_calls} calls: the search is broken");
    none(&complaints);
}

/// Options on these pages are also those of the trainer and of tools for developers.
fn is_for_users(page: &Page) -> bool {
    let path = page.path.to_string_lossy().replace('\\', "/");
    let others = [
        "docs/log/",
        "docs/experiments.md",
        "docs/results.md",
        "docs/testing.md",
        "docs/training.md",
    ];
    (path == "README.md" || path.starts_with("docs/"))
        && !others.iter().any(|other| path.starts_with(other))
}

/// Options of other programs, where a page for users names one by itself.
const OPTIONS_OF_OTHERS: [&str; 3] = ["--system", "--uninstall", "--user"];

#[test]
fn options_on_pages_for_users_exist() {
    let cli = Cli::command();
    let mut known: Vec<String> = OPTIONS_OF_OTHERS.map(str::to_owned).into();
    let mut commands = vec![&cli];
    while let Some(command) = commands.pop() {
        commands.extend(command.get_subcommands());
        let options = command.get_arguments().filter_map(clap::Arg::get_long);
        known.extend(options.map(|name| format!("--{name}")));
    }
    let mut complaints = Vec::new();
    for page in docs::pages().iter().filter(|page| is_for_users(page)) {
        for (line, code) in page.inline() {
            // MP4 has atoms whose names begin with four of them.
            if !code.starts_with("--") || code.starts_with("----") {
                continue;
            }
            for word in code.split_whitespace() {
                let name = word.split('=').next().unwrap_or_default();
                if name.starts_with("--") && name.len() > 2 && !known.iter().any(|k| k == name) {
                    complaints.push(format!("{}: there is no option {name}", page.at(line)));
                }
            }
        }
    }
    none(&complaints);
}

#[test]
fn configuration_on_pages_is_accepted() {
    let mut n_blocks = 0;
    for page in docs::pages() {
        for block in page.blocks() {
            if block.language() == "toml" && block.marks().any(|mark| mark == "config") {
                n_blocks += 1;
                if let Err(error) = Config::from_toml(&block.text, &page.path) {
                    panic!("{}: {error}", page.at(block.line));
                }
            }
        }
    }
    assert!(n_blocks > 0, "no block is marked 'toml config'");
}

#[cfg(unix)]
mod run {
    use std::process::{Command, Stdio};

    use genrescope::{
        source::synth::{Style, render},
        units::{SampleRate, Seconds},
    };

    use super::*;

    /// Longer than the longest block takes on a busy machine; a command that does not end would
    /// stop the tests.
    const LIMIT_SECONDS: &str = "600";

    fn is_installed(program: &str) -> bool {
        let path = std::env::var_os("PATH").unwrap_or_default();
        std::env::split_paths(&path).any(|folder| folder.join(program).is_file())
    }

    /// Music under a name that says its format, by ffmpeg.
    fn song(path: &Path, style: Style, seconds: f64, seed: u64) -> Result<(), String> {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        let rate = SampleRate::new(22_050).unwrap();
        let samples = render(style, rate, Seconds(seconds), seed).mono();
        let bytes: Vec<u8> = samples.iter().flat_map(|s| s.to_le_bytes()).collect();
        let raw = path.with_extension("raw");
        fs::write(&raw, bytes).unwrap();
        let made = Command::new("ffmpeg")
            .args([
                "-v", "error", "-f", "f32le", "-ar", "22050", "-ac", "1", "-i",
            ])
            .arg(&raw)
            .args(["-metadata", &format!("artist=Artist {seed}"), "-y"])
            .arg(path)
            .output()
            .map_err(|error| format!("ffmpeg does not start: {error}"))?;
        fs::remove_file(raw).unwrap();
        if made.status.success() {
            Ok(())
        } else {
            Err(String::from_utf8_lossy(&made.stderr).into_owned())
        }
    }

    /// What the pages' commands find: songs, a library, crates to learn from.
    fn lay_out(folder: &Path) -> Result<(), String> {
        song(&folder.join("song.mp3"), Style::Jazz, 12.0, 1)?;
        song(&folder.join("song.flac"), Style::Metal, 12.0, 1)?;
        song(&folder.join("Music/Portrait/01.mp3"), Style::Metal, 12.0, 2)?;
        song(&folder.join("Music/Live/02.flac"), Style::Jazz, 12.0, 2)?;
        for seed in 1..=3 {
            let name = format!("{seed}.mp3");
            song(
                &folder.join("crates/warmup").join(&name),
                Style::Jazz,
                8.0,
                10 + seed,
            )?;
            song(
                &folder.join("crates/peak").join(&name),
                Style::Metal,
                8.0,
                20 + seed,
            )?;
        }
        Ok(())
    }

    fn copy(from: &Path, to: &Path) {
        fs::create_dir_all(to).unwrap();
        for entry in fs::read_dir(from).unwrap().flatten() {
            let target = to.join(entry.file_name());
            if entry.file_type().unwrap().is_dir() {
                copy(&entry.path(), &target);
            } else {
                fs::copy(entry.path(), target).unwrap();
            }
        }
    }

    /// Runs a script as a user would, in `home`; gives both outputs together.
    fn run(script: &str, home: &Path) -> (bool, String) {
        let programs = Path::new(env!("CARGO_BIN_EXE_genrescope"))
            .parent()
            .unwrap();
        let path = std::env::var("PATH").unwrap_or_default();
        let output = Command::new("timeout")
            .args([LIMIT_SECONDS, "sh", "-eu", "-c"])
            .arg(format!("exec 2>&1\n{script}"))
            .current_dir(home)
            .env_clear()
            .env("PATH", format!("{}:{path}", programs.display()))
            .env("HOME", home)
            .env("LANG", "C.UTF-8")
            .stdin(Stdio::null())
            .output()
            .unwrap();
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        (output.status.success(), text)
    }

    #[test]
    fn blocks_marked_to_run_do_what_they_show() {
        let made = tempfile::tempdir().unwrap();
        if let Err(why) = lay_out(made.path()) {
            let what = if is_installed("ffmpeg") {
                "codec"
            } else {
                "ffmpeg"
            };
            return skip::skip(what, why);
        }
        let mut complaints = Vec::new();
        let mut n_run = 0;
        for page in docs::pages() {
            let blocks = page.blocks();
            if !blocks.iter().any(|b| b.marks().any(|mark| mark == "run")) {
                continue;
            }
            // Blocks of a page run one after the other in one place, as its reader types them.
            let home = tempfile::tempdir().unwrap();
            copy(made.path(), home.path());
            for (index, block) in blocks.iter().enumerate() {
                let mut marks = block.marks();
                if block.language() != "sh" || marks.next() != Some("run") {
                    continue;
                }
                let place = page.at(block.line);
                if let Some(missing) = marks.find(|program| !is_installed(program)) {
                    skip::skip(missing, format!("{place} needs {missing}"));
                    continue;
                }
                n_run += 1;
                let (ran, text) = run(&block.text, home.path());
                if !ran {
                    complaints.push(format!("{place} failed:\n{text}"));
                    continue;
                }
                let next = blocks.get(index + 1);
                if let Some(shown) = next.filter(|b| b.marks().any(|mark| mark == "shown"))
                    && let Err(what) = docs::shows(&text, &shown.text)
                {
                    complaints.push(format!(
                        "{}: {what}; it printed:\n{text}",
                        page.at(shown.line)
                    ));
                }
            }
        }
        assert!(n_run >= 8, "only {n_run} blocks are marked 'sh run'");
        none(&complaints);
    }

    #[test]
    fn what_is_shown_is_compared() {
        let text = "one\ntwo 17 %\nthree\n";
        assert!(docs::shows(text, "one\nthree").is_ok());
        assert!(docs::shows(text, "two ... %\n...\nthree").is_ok());
        assert!(docs::shows(text, "three\none").is_err());
        assert!(docs::shows(text, "two ... #").is_err());
        assert!(docs::shows(text, "tw").is_err());
    }

    #[test]
    fn calls_are_found_in_scripts() {
        let script = "X=1 ffmpeg -i - | genrescope listen --input - > out # genrescope no\n\
                      genrescope man && genrescope tag 'a b' \\\n  --write; genrescope\n echo genrescope\n";
        let calls: Vec<String> = docs::calls(script, "genrescope")
            .iter()
            .map(|call| call.join(" "))
            .collect();
        assert_eq!(
            calls,
            [
                "genrescope listen --input -",
                "genrescope man",
                "genrescope tag a b --write",
                "genrescope"
            ]
        );
        let cli = Cli::command();
        let wrong = |script: &str, look: Look| {
            docs::calls(script, "genrescope")
                .iter()
                .any(|call| docs::complaint(&cli, call, look).is_some())
        };
        assert!(wrong(
            "genrescope listen --colour-of-lamp red",
            Look::Mention
        ));
        assert!(wrong("genrescope dance", Look::Mention));
        assert!(wrong("genrescope tag", Look::Whole));
        assert!(!wrong("genrescope tag", Look::Mention));
        assert!(wrong("genrescope listen --speed X", Look::Whole));
        assert!(!wrong("genrescope listen --speed X", Look::Mention));
    }
}
