//! `genrescope tag`: genres into the tags of files - shown first, written when asked, taken back
//! when asked.

mod journal;
mod rewrite;

use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    process::ExitCode,
    sync::Arc,
};

use anyhow::Context as _;
use clap::{Args, ValueEnum};

pub(in crate::cli) use self::journal::state_folder;
use self::{
    journal::{Journal, undo},
    rewrite::{Manner, refusal, rewrite},
};
use super::{
    Context,
    classify::{find, output::shown_names, progress_bar, work::classify_all},
    complain,
    hear::{Answer, HearArgs, Names},
    is_stdin,
    output_file::{Named, stdout},
    signals::{Again, Stop},
    text::{count, name_of, told},
};
use crate::{
    answer::Heard,
    network::Model,
    tags::{Change, Field, Style, Tags, read},
};

/// Fields that are ours alone.
const OWN_GENRE: Field = Field::Own("GENRESCOPE_GENRE");
const OWN_CONFIDENCE: Field = Field::Own("GENRESCOPE_CONFIDENCE");
const OWN_MODEL: Field = Field::Own("GENRESCOPE_MODEL");

/// How a comment of ours begins.
pub(in crate::cli) const COMMENT: &str = "genrescope: ";

/// What a comment of ours says.
pub(in crate::cli) fn comment(label: &str, confidence: f32) -> String {
    format!("{COMMENT}{label} {:.0} %", 100.0 * confidence)
}

/// Arguments of `genrescope tag`.
#[derive(Debug, Args)]
#[command(after_help = "Examples:
  genrescope tag ~/Music                       show what would change
  genrescope tag --write ~/Music               write a genre where there is none
  genrescope tag --write --replace --min-confidence 0.8 ~/Music/Inbox
  genrescope tag --undo ~/.local/state/genrescope/tag-20261130-104500-4711.jsonl")]
pub struct TagArgs {
    /// Audio files, and folders to look through.
    #[arg(required_unless_present = "undo", value_name = "PATH")]
    paths: Vec<PathBuf>,

    /// Write; without it, what would change is shown and nothing is touched.
    #[arg(long)]
    write: bool,

    #[command(flatten)]
    policy: PolicyArgs,

    #[command(flatten)]
    what: WhatArgs,

    #[command(flatten)]
    hear: HearArgs,

    /// Keep here what taking it back needs. Default: a new file in the folder for the state of
    /// programs.
    #[arg(long, value_name = "FILE", requires = "write")]
    journal: Option<PathBuf>,

    /// Go on with the journal of a run that was interrupted: files that it has done are left out.
    #[arg(long, requires = "journal")]
    resume: bool,

    /// Take back what a journal tells, to the last byte.
    #[arg(
        long,
        value_name = "JOURNAL",
        conflicts_with_all = ["paths", "write", "only_empty", "append", "replace", "comment", "fields", "fields_only"]
    )]
    undo: Option<PathBuf>,

    /// Also list the files that stay as they are, and why.
    #[arg(long, short)]
    verbose: bool,
}

/// What happens to a genre that is there.
#[derive(Clone, Copy, Debug, Args)]
#[group(multiple = false)]
struct PolicyArgs {
    /// Write a genre only where there is none (the default).
    #[arg(long)]
    only_empty: bool,

    /// Put the genre behind those that are there.
    #[arg(long, conflicts_with = "fields_only")]
    append: bool,

    /// Put the genre in the place of those that are there.
    #[arg(long, conflicts_with = "fields_only")]
    replace: bool,
}

/// What is written, and how.
#[derive(Clone, Debug, Args)]
pub(in crate::cli) struct WhatArgs {
    /// Also write genre and confidence into the comment, which every DJ program shows; behind a
    /// comment that is there only with --append or --replace.
    #[arg(long)]
    comment: bool,

    /// Also write GENRESCOPE_GENRE, GENRESCOPE_CONFIDENCE and GENRESCOPE_MODEL, whatever the genre
    /// field holds.
    #[arg(long)]
    fields: bool,

    /// Write these three fields, and leave the genre alone.
    #[arg(long, conflicts_with_all = ["fields", "comment"])]
    fields_only: bool,

    /// What stands between several genres in formats that have one text for all: ID3v2.3, ID3v2.2,
    /// INFO of WAV.
    #[arg(long, value_name = "TEXT", default_value = "/")]
    separator: String,

    /// Version of ID3v2 tags where there is none; one that is there keeps its version.
    #[arg(long, value_enum, default_value_t, value_name = "VERSION")]
    id3: Id3,

    /// Keep the files' times; players then may not notice the change.
    #[arg(long)]
    keep_times: bool,

    /// Write files that have further names (hard links): those names go on with the old content.
    #[arg(long)]
    break_links: bool,
}

#[derive(Clone, Copy, Debug, Default, ValueEnum)]
enum Id3 {
    /// Read by everything.
    #[default]
    #[value(name = "2.3")]
    Three,
    /// Several genres as such, UTF-8.
    #[value(name = "2.4")]
    Four,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Policy {
    #[default]
    OnlyEmpty,
    Append,
    Replace,
}

/// Writes tags as it was told.
#[derive(Clone, Debug)]
pub(in crate::cli) struct Tagger {
    policy: Policy,
    genre: bool,
    comment: bool,
    fields: bool,
    style: Style,
    manner: Manner,
    model: String,
}

/// What is to change in a file.
#[derive(Debug)]
pub(in crate::cli) struct Plan {
    real: PathBuf,
    kind: String,
    changes: Vec<Change>,
    /// What the fields held.
    old: Vec<Vec<String>>,
}

impl Tagger {
    fn new(policy: Policy, what: &WhatArgs, model: &Model) -> Self {
        Self {
            policy,
            genre: !what.fields_only,
            comment: what.comment,
            fields: what.fields || what.fields_only,
            style: Style {
                id3: match what.id3 {
                    Id3::Three => 3,
                    Id3::Four => 4,
                },
                separator: what.separator.clone(),
            },
            manner: Manner {
                keep_times: what.keep_times,
                break_links: what.break_links,
            },
            model: model.card().name.clone(),
        }
    }

    /// Of a run that fills what is empty.
    pub(in crate::cli) fn filling(what: &WhatArgs, model: &Model) -> Self {
        Self::new(Policy::OnlyEmpty, what, model)
    }

    /// Whether listening to the file can lead to a change; if not, why.
    pub(in crate::cli) fn wants(&self, path: &Path) -> anyhow::Result<Result<(), String>> {
        let real = real_path(path)?;
        let found = fs::metadata(&real)?;
        if let Some(why) = refusal(&found, self.manner) {
            anyhow::bail!(why);
        }
        let tags = Tags::read(&mut File::open(&real)?)?;
        let genres = tags.values(Field::Genre);
        let genre = self.genre && (self.policy != Policy::OnlyEmpty || genres.is_empty());
        let comment = self.comment
            && (self.policy != Policy::OnlyEmpty || tags.values(Field::Comment).is_empty());
        let fields = self.fields && tags.values(OWN_MODEL) != [self.model.as_str()];
        Ok(if genre || comment || fields {
            Ok(())
        } else if self.genre {
            Err(format!("has a genre: {}", genres.join(", ")))
        } else {
            Err("has the fields already".into())
        })
    }

    /// What the answer changes in the tags of the file; `None`: nothing.
    pub(in crate::cli) fn plan(
        &self,
        path: &Path,
        (label, words, confidence): (&str, &[String], f32),
    ) -> anyhow::Result<Option<Plan>> {
        let real = real_path(path)?;
        let mut file = File::open(&real)?;
        let tags = Tags::read(&mut file)?;
        let mut plan = Plan {
            kind: tags.kind(&self.style),
            real,
            changes: Vec::new(),
            old: Vec::new(),
        };
        let mut set = |field, old: Vec<String>, new: Vec<String>| {
            if new != old {
                plan.changes.push(Change { field, values: new });
                plan.old.push(old);
            }
        };
        let genres = tags.values(Field::Genre);
        if self.genre {
            let new = match self.policy {
                Policy::OnlyEmpty if !genres.is_empty() => genres.clone(),
                Policy::OnlyEmpty | Policy::Replace => words.to_vec(),
                Policy::Append => appended(&genres, words),
            };
            set(Field::Genre, genres, new);
        }
        if self.comment {
            let old = tags.values(Field::Comment);
            let ours = comment(label, confidence);
            let new = if old.is_empty() {
                vec![ours]
            } else if self.policy == Policy::OnlyEmpty {
                old.clone()
            } else {
                vec![with_comment(&old.join("; "), &ours)]
            };
            set(Field::Comment, old, new);
        }
        if self.fields {
            for (field, value) in [
                (OWN_GENRE, label.to_owned()),
                (OWN_CONFIDENCE, format!("{confidence:.2}")),
                (OWN_MODEL, self.model.clone()),
            ] {
                set(field, tags.values(field), vec![value]);
            }
        }
        if plan.changes.is_empty() {
            return Ok(None);
        }
        // What cannot be written is not promised either.
        tags.edit(&mut file, &plan.changes, &self.style)?;
        Ok(Some(plan))
    }

    /// Writes a file's new tag. What was done is noted in `journal` before the new file takes the
    /// old one's place.
    fn write(&self, plan: &Plan, journal: &mut Journal) -> anyhow::Result<()> {
        let edit = |file: &mut File| {
            let tags = Tags::read(file)?;
            Ok(tags.edit(file, &plan.changes, &self.style)?)
        };
        let check = |part: &Path| {
            let written = Tags::read(&mut File::open(part)?)?;
            for change in &plan.changes {
                let got = written.values(change.field);
                let joined = [change.values.join(&self.style.separator)];
                anyhow::ensure!(
                    got == change.values
                        || got == joined
                        || change.field == Field::Genre && !got.is_empty(),
                    "what was written does not read back ({}), so it is left as it is",
                    got.join(", ")
                );
            }
            // Where another reader understood the old file, it must find all in the new one.
            if let Some(before) = read::rest(&plan.real) {
                let lost = match read::rest(part) {
                    Some(after) => before.lost_in(&after),
                    None => Some("all"),
                };
                if let Some(lost) = lost {
                    anyhow::bail!("{lost} would be lost to other programs, so it is left as it is");
                }
            }
            Ok(())
        };
        rewrite(&plan.real, edit, self.manner, None, check, |done| {
            journal.note(&plan.real, done)
        })
    }
}

/// `words` behind `genres`, but for those that are there.
fn appended(genres: &[String], words: &[String]) -> Vec<String> {
    let mut all = genres.to_vec();
    for word in words {
        let there = genres
            .iter()
            .flat_map(|genre| genre.split(['/', ';', ',', '|']).chain([genre.as_str()]))
            .any(|genre| genre.trim().to_lowercase() == word.to_lowercase());
        if !there {
            all.push(word.clone());
        }
    }
    all
}

/// A comment with what we say at its end; what we said before goes.
fn with_comment(old: &str, ours: &str) -> String {
    let theirs = old.find(COMMENT).map_or(old, |at| &old[..at]);
    let theirs = theirs.trim_end().trim_end_matches(';').trim_end();
    if theirs.is_empty() {
        ours.to_owned()
    } else {
        format!("{theirs}; {ours}")
    }
}

fn real_path(path: &Path) -> anyhow::Result<PathBuf> {
    fs::canonicalize(path).context("it cannot be opened")
}

fn field_name(field: Field) -> &'static str {
    match field {
        Field::Genre => "Genre",
        Field::Comment => "Comment",
        Field::Own(name) => name,
    }
}

/// What was done, in numbers.
#[derive(Debug, Default)]
struct Tally {
    changed: usize,
    kept: usize,
    unsure: usize,
    failed: usize,
    done_before: usize,
}

/// Prints what changes, file by file.
struct Shower<'a> {
    out: Named<io::StdoutLock<'a>>,
    color: bool,
    verbose: bool,
}

impl Shower<'_> {
    fn paint(&self, text: &str, code: &str) -> String {
        if self.color {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn plan(
        &mut self,
        shown: &str,
        path: &Path,
        plan: &Plan,
        label: &str,
        confidence: f32,
    ) -> io::Result<()> {
        let mut line = self.paint(shown, "1");
        let is_link = fs::symlink_metadata(path).is_ok_and(|found| found.is_symlink());
        if is_link {
            line += &format!(" -> {}", name_of(&plan.real));
        }
        writeln!(
            self.out,
            "{line}  ({}; {label} {:.0} %)",
            plan.kind,
            100.0 * confidence
        )?;
        for (change, old) in plan.changes.iter().zip(&plan.old) {
            let name = field_name(change.field);
            let text = |values: &[String]| super::text::plain(&values.join(", ")).into_owned();
            if !old.is_empty() {
                let line = self.paint(&format!("  - {name}: {}", text(old)), "31");
                writeln!(self.out, "{line}")?;
            }
            let line = self.paint(&format!("  + {name}: {}", text(&change.values)), "32");
            writeln!(self.out, "{line}")?;
        }
        self.out.flush()
    }

    fn kept(&mut self, shown: &str, why: &str) -> io::Result<()> {
        if self.verbose {
            let why = super::text::plain(why);
            writeln!(
                self.out,
                "{shown}  {}",
                self.paint(&format!("({why})"), "2")
            )?;
        }
        Ok(())
    }
}

impl TagArgs {
    fn policy(&self) -> Policy {
        match (self.policy.append, self.policy.replace) {
            (true, _) => Policy::Append,
            (_, true) => Policy::Replace,
            _ => Policy::OnlyEmpty,
        }
    }

    /// What shapes what is written, as it would be typed: a journal is of one such run.
    fn options(&self) -> String {
        let what = &self.what;
        let mut options = match self.policy() {
            Policy::OnlyEmpty => "--only-empty",
            Policy::Append => "--append",
            Policy::Replace => "--replace",
        }
        .to_owned();
        for (given, name) in [
            (what.comment, "comment"),
            (what.fields, "fields"),
            (what.fields_only, "fields-only"),
        ] {
            if given {
                options += &format!(" --{name}");
            }
        }
        if let Some(least) = self.hear.min_confidence {
            options += &format!(" --min-confidence {least}");
        }
        if let Some(threshold) = self.hear.unsure_below {
            options += &format!(" --unsure-below {threshold}");
        }
        options
    }
}

/// Runs `genrescope tag`.
///
/// # Errors
/// When no file is found, or the model, the label map or the journal cannot be used. Files that
/// cannot be read or written are reported, counted, and told by exit code 1.
pub fn run(args: TagArgs, context: &Context) -> anyhow::Result<ExitCode> {
    let stop = Stop::on_signal(Again::Ends)?;
    if let Some(path) = &args.undo {
        return take_back(path, &args, &stop);
    }
    anyhow::ensure!(
        !args.paths.iter().any(|path| is_stdin(path)),
        "standard input ('-') has no tag that could be written; give files"
    );
    let job = args.hear.job(context, stop)?;
    let names = args.hear.names(&job.listening.model)?;
    job.listening.check()?;
    let tagger = Tagger::new(args.policy(), &args.what, &job.listening.model);
    let mut journal = if args.write {
        let options = format!(
            "{} --model {}",
            args.options(),
            job.listening.model.card().name
        );
        Some(Journal::new(args.journal.as_deref(), args.resume, options)?)
    } else {
        None
    };

    let found = find(&args.paths, &job.stop);
    let mut tally = Tally {
        failed: found.failed,
        ..Tally::default()
    };
    let shown = shown_names(&found.files);
    let mut shower = Shower {
        out: stdout(),
        color: context.color,
        verbose: args.verbose,
    };
    let mut files = Vec::new();
    let mut names_of_files = Vec::new();
    for (path, shown) in found.files.iter().zip(&shown) {
        if job.stop.asked() {
            break;
        }
        let real = fs::canonicalize(path).unwrap_or_else(|_| path.clone());
        if journal
            .as_ref()
            .is_some_and(|journal| journal.has_done(&real))
        {
            tally.done_before += 1;
            shower.kept(shown, "done by the run before")?;
            continue;
        }
        match tagger.wants(path) {
            Ok(Ok(())) => {
                files.push(path.clone());
                names_of_files.push(shown.clone());
            }
            Ok(Err(why)) => {
                tally.kept += 1;
                shower.kept(shown, &why)?;
            }
            Err(error) => {
                tally.failed += 1;
                complain(format_args!("'{}': {}", name_of(path), told(&error)));
            }
        }
    }
    let files: Arc<[PathBuf]> = files.into();
    let progress = progress_bar(files.len(), args.verbose);
    let mut finished = 0;
    classify_all(&job, &files, args.hear.n_jobs(), |index, outcome| {
        finished += 1;
        progress.inc(1);
        progress.suspend(|| {
            let one = One {
                path: &files[index],
                shown: &names_of_files[index],
                tagger: &tagger,
                names: &names,
                model: &job.listening.model,
            };
            one.outcome(outcome, journal.as_mut(), &mut shower, &mut tally)
        })
    })?;
    progress.finish_and_clear();
    shower.out.flush()?;
    drop(shower);
    tell(&tally, journal.as_ref());
    let interrupted = job.stop.asked();
    if interrupted {
        let journal = journal.as_ref().filter(|journal| journal.n_entries() > 0);
        let hint = journal.map_or(String::new(), |journal| {
            format!(
                "; go on with the same command and --resume --journal '{}'",
                name_of(journal.path())
            )
        });
        complain(format_args!(
            "stopped after {finished} of {}{hint}",
            count(files.len(), "file")
        ));
        return Ok(job.stop.exit_code());
    }
    Ok(if tally.failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// A file, and all that is needed to tag it.
struct One<'a> {
    path: &'a Path,
    shown: &'a str,
    tagger: &'a Tagger,
    names: &'a Names,
    model: &'a Model,
}

impl One<'_> {
    fn outcome(
        &self,
        outcome: Result<Heard, String>,
        journal: Option<&mut Journal>,
        shower: &mut Shower<'_>,
        tally: &mut Tally,
    ) -> io::Result<()> {
        let heard = match outcome {
            Ok(heard) => heard,
            Err(reason) => {
                tally.failed += 1;
                complain(format_args!("{reason}"));
                return Ok(());
            }
        };
        let answer = self.names.answer(self.model, &heard);
        let (label, words, confidence) = match &answer {
            Answer::Genre {
                label,
                words,
                confidence,
            } => (label.as_str(), &words[..], *confidence),
            Answer::Nothing(why) => {
                tally.unsure += 1;
                return shower.kept(self.shown, why);
            }
        };
        let tagged = self
            .tagger
            .plan(self.path, (label, words, confidence))
            .and_then(|plan| {
                if let (Some(plan), Some(journal)) = (&plan, journal) {
                    self.tagger.write(plan, journal)?;
                }
                Ok(plan)
            });
        match tagged {
            Ok(Some(plan)) => {
                tally.changed += 1;
                shower.plan(self.shown, self.path, &plan, label, confidence)
            }
            Ok(None) => {
                tally.kept += 1;
                shower.kept(self.shown, &format!("says {label} already"))
            }
            Err(error) => {
                tally.failed += 1;
                complain(format_args!("'{}': {}", name_of(self.path), told(&error)));
                Ok(())
            }
        }
    }
}

/// The last lines, for people.
fn tell(tally: &Tally, journal: Option<&Journal>) {
    let mut parts = vec![format!(
        "{} {}",
        count(tally.changed, "file"),
        if journal.is_some() {
            "written"
        } else {
            "would change"
        }
    )];
    for (n, what) in [
        (tally.done_before, "done by the run before"),
        (tally.kept, "left as they are"),
        (tally.unsure, "without a sure genre"),
        (tally.failed, "failed"),
    ] {
        if n > 0 {
            parts.push(format!("{n} {what}"));
        }
    }
    let parts = parts.join(", ");
    match journal {
        None if tally.changed > 0 => {
            complain(format_args!(
                "{parts}; nothing was written, --write does it"
            ));
        }
        Some(journal) if journal.n_entries() > 0 => {
            complain(format_args!("{parts}"));
            complain(format_args!(
                "to take it back: genrescope tag --undo '{}'",
                name_of(journal.path())
            ));
        }
        _ => complain(format_args!("{parts}")),
    }
}

fn take_back(path: &Path, args: &TagArgs, stop: &Stop) -> anyhow::Result<ExitCode> {
    let manner = Manner {
        keep_times: false,
        break_links: args.what.break_links,
    };
    let undone = undo(path, manner, stop)?;
    let mut line = format!("{} restored", count(undone.restored, "file"));
    for (n, what) in [
        (undone.as_before, "as before already"),
        (undone.failed, "failed"),
    ] {
        if n > 0 {
            line += &format!(", {n} {what}");
        }
    }
    complain(format_args!("{line}"));
    if stop.asked() {
        return Ok(stop.exit_code());
    }
    Ok(if undone.failed > 0 {
        ExitCode::from(1)
    } else {
        ExitCode::SUCCESS
    })
}

/// Tags one file of which the answer is known, with its journal; for `watch`.
pub(in crate::cli) struct TagOne {
    tagger: Tagger,
    journal: Journal,
}

impl TagOne {
    pub(in crate::cli) fn new(what: &WhatArgs, model: &Model) -> anyhow::Result<Self> {
        Ok(Self {
            tagger: Tagger::filling(what, model),
            journal: Journal::new(None, false, "watch".into())?,
        })
    }

    /// Whether there was something to write.
    pub(in crate::cli) fn tag(
        &mut self,
        path: &Path,
        answer: (&str, &[String], f32),
    ) -> anyhow::Result<bool> {
        let plan = self.tagger.plan(path, answer)?;
        if let Some(plan) = &plan {
            self.tagger.write(plan, &mut self.journal)?;
        }
        Ok(plan.is_some())
    }

    /// Where what was done stands, if anything was.
    pub(in crate::cli) fn journal(&self) -> Option<&Path> {
        (self.journal.n_entries() > 0).then(|| self.journal.path())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_that_are_there_are_not_said_twice() {
        let words = |texts: &[&str]| texts.iter().map(|&t| t.to_owned()).collect::<Vec<_>>();
        assert_eq!(
            appended(&words(&["Rock / metal"]), &words(&["Metal"])),
            ["Rock / metal"]
        );
        assert_eq!(
            appended(&words(&["Rock"]), &words(&["Metal"])),
            ["Rock", "Metal"]
        );
    }

    #[test]
    fn a_comment_keeps_what_its_owner_wrote() {
        assert_eq!(
            with_comment("4A - Energy 7", "genrescope: metal 9 %"),
            "4A - Energy 7; genrescope: metal 9 %"
        );
        assert_eq!(
            with_comment("x; genrescope: pop 1 %", "genrescope: metal 9 %"),
            "x; genrescope: metal 9 %"
        );
        assert_eq!(
            with_comment("genrescope: pop 1 %", "genrescope: y"),
            "genrescope: y"
        );
    }
}
