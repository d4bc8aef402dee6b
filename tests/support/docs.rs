//! What is read out of the documentation: pages, their blocks of code, links, and commands.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests: each test program uses some of them, and a failure is a failed test"
)]

use std::{
    fs,
    ops::Range,
    path::{Path, PathBuf},
};

use pulldown_cmark::{CodeBlockKind, Event, Options, Parser, Tag, TagEnd};

/// A page of the documentation.
pub(crate) struct Page {
    /// From the root of the repository.
    pub(crate) path: PathBuf,
    pub(crate) text: String,
}

/// A fenced block of code.
pub(crate) struct Block {
    pub(crate) line: usize,
    /// What stands behind the fence: the language, and words of ours.
    pub(crate) info: String,
    pub(crate) text: String,
}

impl Block {
    pub(crate) fn language(&self) -> &str {
        self.info.split_whitespace().next().unwrap_or_default()
    }

    /// Words behind the language: `run`, `shown`, and what a block needs.
    pub(crate) fn marks(&self) -> impl Iterator<Item = &str> {
        self.info.split_whitespace().skip(1)
    }
}

/// A link or a picture.
pub(crate) struct Link {
    pub(crate) line: usize,
    pub(crate) target: String,
}

/// The root of the repository: a test runs in the folder of its package.
pub(crate) fn root() -> PathBuf {
    let mut folder = PathBuf::from(env!("CARGO_MANIFEST_DIR"));
    while !folder.join("deny.toml").exists() {
        assert!(folder.pop(), "the root of the repository is not found");
    }
    folder
}

/// Files of the repository whose name ends so, from its root.
pub(crate) fn files(ending: &str) -> Vec<PathBuf> {
    fn walk(root: &Path, folder: &Path, ending: &str, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(root.join(folder)).unwrap().flatten() {
            let path = folder.join(entry.file_name());
            let name = entry.file_name().to_string_lossy().into_owned();
            let kind = entry.file_type().unwrap();
            // What is built, and what belongs to tools.
            let foreign = name.starts_with('.') && name != ".github"
                || ["target", "shared", "node_modules"].contains(&name.as_str())
                || path == Path::new("fuzz/corpus");
            if kind.is_dir() && !foreign {
                walk(root, &path, ending, found);
            } else if kind.is_file() && name.ends_with(ending) {
                found.push(path);
            }
        }
    }
    let mut found = Vec::new();
    walk(&root(), Path::new(""), ending, &mut found);
    found.sort();
    found
}

/// Every page of the repository.
pub(crate) fn pages() -> Vec<Page> {
    let pages: Vec<Page> = files(".md")
        .into_iter()
        .map(|path| Page {
            text: fs::read_to_string(root().join(&path)).unwrap(),
            path,
        })
        .collect();
    assert!(
        pages.len() > 20,
        "only {} pages were found: the search is broken",
        pages.len()
    );
    pages
}

impl Page {
    fn events(&self) -> impl Iterator<Item = (Event<'_>, Range<usize>)> {
        let options = Options::ENABLE_TABLES | Options::ENABLE_GFM;
        Parser::new_ext(&self.text, options).into_offset_iter()
    }

    fn line(&self, at: usize) -> usize {
        1 + self.text[..at].matches('\n').count()
    }

    /// Where a line is, for messages.
    pub(crate) fn at(&self, line: usize) -> String {
        format!("{}:{line}", self.path.display())
    }

    pub(crate) fn blocks(&self) -> Vec<Block> {
        let mut blocks: Vec<Block> = Vec::new();
        let mut inside = false;
        for (event, range) in self.events() {
            match event {
                Event::Start(Tag::CodeBlock(CodeBlockKind::Fenced(info))) => {
                    inside = true;
                    blocks.push(Block {
                        line: self.line(range.start),
                        info: info.to_string(),
                        text: String::new(),
                    });
                }
                Event::Text(text) if inside => {
                    if let Some(block) = blocks.last_mut() {
                        block.text += &text;
                    }
                }
                Event::End(TagEnd::CodeBlock) => inside = false,
                _ => {}
            }
        }
        blocks
    }

    /// Code within sentences and tables, with the line that it stands in.
    pub(crate) fn inline(&self) -> Vec<(usize, String)> {
        self.events()
            .filter_map(|(event, range)| match event {
                Event::Code(code) => Some((self.line(range.start), code.to_string())),
                _ => None,
            })
            .collect()
    }

    /// Links and pictures, those in HTML too.
    pub(crate) fn links(&self) -> Vec<Link> {
        let mut links = Vec::new();
        for (event, range) in self.events() {
            let line = self.line(range.start);
            match event {
                Event::Start(Tag::Link { dest_url, .. } | Tag::Image { dest_url, .. }) => {
                    links.push(Link {
                        line,
                        target: dest_url.to_string(),
                    });
                }
                Event::Html(html) | Event::InlineHtml(html) => {
                    for attribute in ["src=\"", "href=\"", "srcset=\""] {
                        for rest in html.split(attribute).skip(1) {
                            let target = rest.split('"').next().unwrap_or_default().to_owned();
                            links.push(Link { line, target });
                        }
                    }
                }
                _ => {}
            }
        }
        links
    }

    /// The anchors of its headings, as GitHub makes them.
    pub(crate) fn anchors(&self) -> Vec<String> {
        let mut anchors: Vec<String> = Vec::new();
        let mut heading: Option<String> = None;
        for (event, _) in self.events() {
            match event {
                Event::Start(Tag::Heading { .. }) => heading = Some(String::new()),
                Event::Text(text) | Event::Code(text) => {
                    if let Some(heading) = &mut heading {
                        *heading += &text;
                    }
                }
                Event::End(TagEnd::Heading(_)) => {
                    let slug: String = heading
                        .take()
                        .unwrap_or_default()
                        .to_lowercase()
                        .chars()
                        .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c))
                        .map(|c| if c == ' ' { '-' } else { c })
                        .collect();
                    let n_before = anchors.iter().filter(|known| **known == slug).count();
                    anchors.push(if n_before == 0 {
                        slug
                    } else {
                        format!("{slug}-{n_before}")
                    });
                }
                _ => {}
            }
        }
        anchors
    }
}

/// The calls of `program` in a script, each as its words: pipes, redirections and comments are
/// taken away.
pub(crate) fn calls(script: &str, program: &str) -> Vec<Vec<String>> {
    let mut calls = Vec::new();
    // Lines that go on on the next.
    let script = script.replace("\\\n", " ").replace("|\n", "| ");
    for line in script.lines() {
        let Some(words) = shlex::split(line.trim_start_matches("$ ")) else {
            continue;
        };
        let mut command: Vec<String> = Vec::new();
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            match word.as_str() {
                "|" | "&&" | "||" | ";" | "&" => {
                    calls.extend(call(&std::mem::take(&mut command), program));
                }
                // What stands behind one is a file.
                ">" | ">>" | "<" | "2>" => drop(words.next()),
                _ if word.starts_with("2>") || word.starts_with('>') => {}
                _ => match word.strip_suffix(';') {
                    Some(word) => {
                        command.push(word.to_owned());
                        calls.extend(call(&std::mem::take(&mut command), program));
                    }
                    None => command.push(word),
                },
            }
        }
        calls.extend(call(&command, program));
    }
    calls
}

/// The words from `program` on, where a command runs it.
fn call(command: &[String], program: &str) -> Option<Vec<String>> {
    let is_assignment = |word: &&String| {
        word.split_once('=').is_some_and(|(name, _)| {
            !name.is_empty() && name.chars().all(|c| c.is_ascii_uppercase() || c == '_')
        })
    };
    let command = &command[command.iter().take_while(is_assignment).count()..];
    let is_program = |word: &String| {
        let name = word.rsplit('/').next();
        name == Some(program)
    };
    let first = command.first()?;
    let at = if is_program(first) {
        0
    } else {
        let runs_another = ["time", "/usr/bin/time", "sudo", "nice"].contains(&first.as_str())
            || command.len() > 1 && first == "podman" && command[1] == "run";
        command
            .iter()
            .position(is_program)
            .filter(|_| runs_another)?
    };
    let mut call = command[at..].to_vec();
    program.clone_into(&mut call[0]);
    Some(call)
}

/// How closely a command is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Look {
    /// It must parse as it stands.
    Whole,
    /// A mention within a sentence: its options and commands must exist, what is missing may be
    /// missing, and values may be placeholders.
    Mention,
}

/// What is wrong with a call, if anything.
pub(crate) fn complaint(cli: &clap::Command, call: &[String], look: Look) -> Option<String> {
    use clap::error::ErrorKind;
    // Options first: a placeholder for a value would hide what stands behind it.
    let mut command = cli;
    let mut options: Vec<&clap::Arg> = command.get_arguments().collect();
    let mut is_value = false;
    for word in &call[1..] {
        if let Some(next) = command.find_subcommand(word).filter(|_| !is_value) {
            command = next;
            options.extend(next.get_arguments());
        }
        is_value = false;
        let Some(name) = word.strip_prefix("--").filter(|name| !name.is_empty()) else {
            continue;
        };
        let name = name.split('=').next().unwrap_or_default();
        let known = options
            .iter()
            .find(|option| option.get_long() == Some(name));
        match known {
            Some(option) => is_value = option.get_action().takes_values(),
            None if ["help", "version"].contains(&name) => {}
            None => return Some(format!("there is no option --{name}")),
        }
    }
    let error = cli.clone().try_get_matches_from(call).err()?;
    let is_missing = matches!(
        error.kind(),
        ErrorKind::MissingRequiredArgument
            | ErrorKind::MissingSubcommand
            | ErrorKind::DisplayHelpOnMissingArgumentOrSubcommand
            | ErrorKind::InvalidValue
            | ErrorKind::ValueValidation
            | ErrorKind::TooFewValues
    );
    let is_help = matches!(
        error.kind(),
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion
    );
    // What a shell fills in cannot be known here.
    let look = if call.iter().any(|word| word.contains('$')) {
        Look::Mention
    } else {
        look
    };
    if is_help || (look == Look::Mention && is_missing) {
        return None;
    }
    Some(error.to_string().lines().next().unwrap_or("").to_owned())
}

/// What is wrong with the calls of a program on all pages; `n_least`: fewer calls than that are a
/// broken search.
pub(crate) fn complaints(cli: &clap::Command, n_least: usize) -> Vec<String> {
    let program = cli.get_name();
    let mut found = Vec::new();
    let mut n_calls = 0;
    for page in pages() {
        let mut check = |line: usize, text: &str, look: Look| {
            for call in calls(text, program) {
                n_calls += 1;
                if let Some(what) = complaint(cli, &call, look) {
                    found.push(format!("{}: {}: {what}", page.at(line), call.join(" ")));
                }
            }
        };
        for block in page.blocks() {
            if block.language() == "sh" {
                check(block.line, &block.text, Look::Whole);
            }
        }
        for (line, code) in page.inline() {
            // The name alone is a word.
            if code.contains(&format!("{program} ")) {
                check(line, &code, Look::Mention);
            }
        }
        for block in page.blocks() {
            let is_call = |line: &str| {
                line.trim_start_matches("$ ")
                    .starts_with(&format!("{program} "))
            };
            if block.language() != "sh" && block.text.lines().any(is_call) {
                found.push(format!(
                    "{}: commands stand in a block that is not marked 'sh'",
                    page.at(block.line)
                ));
            }
        }
    }
    assert!(
        n_calls >= n_least,
        "only {n_calls} calls of {program} were found: the search is broken"
    );
    found
}

/// Does `text` match what is `shown`? Its lines must come in that order; `...` stands for anything
/// within a line.
pub(crate) fn shows(text: &str, shown: &str) -> Result<(), String> {
    let mut lines = text.lines().map(str::trim_end);
    for wanted in shown.lines().map(str::trim_end) {
        if wanted.trim() == "..." || wanted.is_empty() {
            continue;
        }
        if !lines.any(|line| line_shows(line, wanted)) {
            return Err(format!("no line (behind those before it) reads '{wanted}'"));
        }
    }
    Ok(())
}

fn line_shows(line: &str, wanted: &str) -> bool {
    let parts: Vec<&str> = wanted.split("...").collect();
    let Some(mut rest) = line.strip_prefix(parts[0]) else {
        return false;
    };
    for part in &parts[1..] {
        match rest.find(part) {
            Some(at) => rest = &rest[at + part.len()..],
            None => return false,
        }
    }
    // A last part must end the line.
    wanted.ends_with("...")
        || rest.is_empty()
        || parts.len() > 1 && line.ends_with(parts[parts.len() - 1])
}
