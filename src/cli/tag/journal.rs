//! What `tag` did, kept so that it can be taken back: for each file the bytes that gave way, and
//! what it held before and after.

use std::{
    collections::{BTreeSet, HashMap},
    env,
    fs::{self, File, OpenOptions},
    io::{self, BufRead as _, BufReader, Write as _},
    path::{Path, PathBuf},
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use anyhow::Context as _;
use serde_json::{Value, json};

use super::{
    super::{
        complain,
        output_file::OutputFile,
        signals::Stop,
        text::{count, name_of, told},
    },
    rewrite::{Content, Done, Manner, from_hex, remove_left_over, rewrite},
};
use crate::{
    answer::path::{from_text, to_text},
    hexadecimal::hex,
    sink::jsonl::civil,
    source::opening,
    tags::Splice,
};

const SCHEMA: u64 = 1;

/// The journal of a run: it is made with the first entry.
#[derive(Debug)]
pub(super) struct Journal {
    path: PathBuf,
    options: String,
    file: Option<File>,
    /// What earlier runs of the same journal made of each file.
    earlier: HashMap<PathBuf, Content>,
    n_entries: usize,
}

impl Journal {
    /// A journal at `path`, or at a place of its own.
    pub(super) fn new(path: Option<&Path>, resume: bool, options: String) -> anyhow::Result<Self> {
        let path = match path {
            Some(path) => path.to_owned(),
            None => place_of_its_own()?,
        };
        let output = OutputFile::at(&path)?;
        if !resume {
            output.must_be_new("--resume goes on with it, --undo takes back what it tells")?;
        }
        let mut journal = Self {
            path,
            options,
            file: None,
            earlier: HashMap::new(),
            n_entries: 0,
        };
        // A run that was killed right after its beginning leaves an empty file.
        if fs::metadata(&journal.path).is_ok_and(|found| found.len() > 0) {
            let read = Read::at(&journal.path)?;
            anyhow::ensure!(
                read.options == journal.options,
                "journal '{}' is of a run with other options ({}) than those of now ({}); give another --journal, or \
                 those options",
                name_of(&journal.path),
                read.options,
                journal.options
            );
            for entry in read.entries {
                journal.earlier.insert(entry.path, entry.after);
            }
            let file = OpenOptions::new().append(true).open(&journal.path)?;
            lock(&file, &journal.path)?;
            // The last line of a run that was killed is about a file that it did not come to.
            file.set_len(read.whole)?;
            journal.file = Some(file);
        }
        Ok(journal)
    }

    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    pub(super) fn n_entries(&self) -> usize {
        self.n_entries
    }

    /// An earlier run of this journal has written the file, and nobody has since.
    pub(super) fn has_done(&self, path: &Path) -> bool {
        let now = || Content::of(&mut File::open(path).ok()?).ok();
        self.earlier
            .get(path)
            .is_some_and(|after| now().as_ref() == Some(after))
    }

    /// Notes what is about to be done: after this, it may be.
    pub(super) fn note(&mut self, path: &Path, done: &Done) -> anyhow::Result<()> {
        let cannot = format!("cannot write journal '{}'", name_of(&self.path));
        self.try_note(path, done).context(cannot)
    }

    fn try_note(&mut self, path: &Path, done: &Done) -> anyhow::Result<()> {
        let mut lines = Vec::new();
        let file = match &mut self.file {
            Some(file) => file,
            none => {
                let file = OpenOptions::new()
                    .append(true)
                    .create(true)
                    .open(&self.path)?;
                lock(&file, &self.path)?;
                anyhow::ensure!(
                    file.metadata()?.len() == 0,
                    "something has come to be there"
                );
                let header = json!({
                    "v": SCHEMA,
                    "type": "journal",
                    "program": concat!("genrescope ", env!("CARGO_PKG_VERSION")),
                    "options": self.options,
                });
                writeln!(lines, "{header}")?;
                none.insert(file)
            }
        };
        let modified = done
            .modified
            .and_then(|time| time.duration_since(UNIX_EPOCH).ok())
            .map(|time| json!([time.as_secs(), time.subsec_nanos()]));
        let splices: Vec<Value> = done
            .reverse
            .iter()
            .map(|splice| json!({"at": splice.at, "len": splice.len, "old": hex(&splice.new)}))
            .collect();
        let entry = json!({
            "v": SCHEMA,
            "type": "file",
            "path": to_text(path),
            "before": {"len": done.before.len, "sha256": done.before.sha256, "modified": modified},
            "after": {"len": done.after.len, "sha256": done.after.sha256},
            "splices": splices,
        });
        writeln!(lines, "{entry}")?;
        file.write_all(&lines)?;
        file.sync_data()?;
        self.n_entries += 1;
        Ok(())
    }
}

fn lock(file: &File, path: &Path) -> anyhow::Result<()> {
    anyhow::ensure!(
        !matches!(file.try_lock(), Err(fs::TryLockError::WouldBlock)),
        "another run is at work with journal '{}'",
        name_of(path)
    );
    Ok(())
}

/// A file in the folder where programs keep what they did.
fn place_of_its_own() -> anyhow::Result<PathBuf> {
    let folder = state_folder().context(
        "there is no folder for the journal (XDG_STATE_HOME and HOME are not set); give --journal FILE",
    )?;
    fs::create_dir_all(&folder).with_context(|| {
        format!(
            "cannot make folder '{}' for the journal; give --journal FILE",
            name_of(&folder)
        )
    })?;
    let now = SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap_or_default()
        .as_secs();
    let name = format!("tag-{}-{}.jsonl", date(now), std::process::id());
    Ok(folder.join(name))
}

/// Where what was done is kept, apart from settings.
pub(in crate::cli) fn state_folder() -> Option<PathBuf> {
    let of = |name| {
        env::var_os(name)
            .filter(|value| !value.is_empty())
            .map(PathBuf::from)
    };
    let folder = if cfg!(windows) {
        of("LOCALAPPDATA")?
    } else {
        of("XDG_STATE_HOME").or_else(|| Some(of("HOME")?.join(".local/state")))?
    };
    Some(folder.join("genrescope"))
}

/// Seconds of the epoch as `20261130-104500` (UTC).
fn date(seconds: u64) -> String {
    let (days, second) = (seconds / 86_400, seconds % 86_400);
    let (year, month, day) = civil(days);
    format!(
        "{year:04}{month:02}{day:02}-{:02}{:02}{:02}",
        second / 3_600,
        second / 60 % 60,
        second % 60
    )
}

/// What a journal tells.
struct Read {
    options: String,
    entries: Vec<Entry>,
    /// Bytes up to the end of its last whole line.
    whole: u64,
}

struct Entry {
    path: PathBuf,
    before: Content,
    modified: Option<SystemTime>,
    after: Content,
    reverse: Vec<Splice>,
}

impl Read {
    fn at(path: &Path) -> anyhow::Result<Self> {
        let name = name_of(path);
        let file = opening::open(path).with_context(|| format!("cannot open journal '{name}'"))?;
        let mut lines = BufReader::new(file);
        let mut read = Self {
            options: String::new(),
            entries: Vec::new(),
            whole: 0,
        };
        let mut line = Vec::new();
        for number in 1.. {
            line.clear();
            let n = lines
                .read_until(b'\n', &mut line)
                .with_context(|| format!("cannot read journal '{name}'"))?;
            if line.last() != Some(&b'\n') {
                break;
            }
            let value: Value = serde_json::from_slice(&line).unwrap_or_default();
            let kind = value["type"].as_str().unwrap_or_default();
            if number == 1 {
                anyhow::ensure!(
                    kind == "journal" && value["v"] == SCHEMA,
                    "'{name}' is no journal of genrescope tag"
                );
                value["options"]
                    .as_str()
                    .unwrap_or_default()
                    .clone_into(&mut read.options);
            } else if kind == "file" {
                let entry = Entry::of(&value);
                read.entries.push(entry.with_context(|| {
                    format!("line {number} of journal '{name}' is damaged; nothing was undone")
                })?);
            }
            read.whole += n as u64;
        }
        anyhow::ensure!(read.whole > 0, "'{name}' is no journal of genrescope tag");
        Ok(read)
    }
}

impl Entry {
    fn of(value: &Value) -> Option<Self> {
        let content = |value: &Value| {
            Some(Content {
                len: value["len"].as_u64()?,
                sha256: value["sha256"].as_str()?.to_owned(),
            })
        };
        let time = &value["before"]["modified"];
        let modified = time[0].as_u64().and_then(|seconds| {
            let nanos = u32::try_from(time[1].as_u64()?).ok()?;
            UNIX_EPOCH.checked_add(Duration::new(seconds, nanos.min(999_999_999)))
        });
        let reverse = value["splices"].as_array()?.iter().map(|splice| {
            Some(Splice {
                at: splice["at"].as_u64()?,
                len: splice["len"].as_u64()?,
                new: from_hex(splice["old"].as_str()?)?,
            })
        });
        Some(Self {
            path: from_text(value["path"].as_str()?),
            before: content(&value["before"])?,
            modified,
            after: content(&value["after"])?,
            reverse: reverse.collect::<Option<_>>()?,
        })
    }
}

/// How taking back ended.
#[derive(Debug, Default)]
pub(super) struct Undone {
    pub(super) restored: usize,
    pub(super) as_before: usize,
    pub(super) failed: usize,
}

/// Takes back what the journal at `path` tells, last things first. Files that somebody changed
/// since stay as they are.
pub(super) fn undo(path: &Path, manner: Manner, stop: &Stop) -> anyhow::Result<Undone> {
    let read = Read::at(path)?;
    let mut undone = Undone::default();
    let (mut restored, mut as_before) = (BTreeSet::new(), BTreeSet::new());
    for entry in read.entries.iter().rev() {
        if stop.asked() {
            break;
        }
        match entry.undo(manner) {
            Ok(true) => {
                restored.insert(&entry.path);
            }
            Ok(false) => {
                as_before.insert(&entry.path);
            }
            // A file that was written twice in one journal is as the later entry says.
            Err(_) if as_before.contains(&entry.path) => {}
            Err(error) => {
                undone.failed += 1;
                complain(format_args!("'{}': {}", name_of(&entry.path), told(&error)));
            }
        }
    }
    undone.restored = restored.len();
    undone.as_before = as_before.difference(&restored).count();
    if stop.asked() {
        complain(format_args!(
            "stopped after {}; the same command goes on from here",
            count(undone.restored, "file")
        ));
    }
    Ok(undone)
}

impl Entry {
    /// Whether there was something to do.
    fn undo(&self, manner: Manner) -> anyhow::Result<bool> {
        remove_left_over(&self.path)?;
        let mut file = File::open(&self.path).map_err(|error| {
            if error.kind() == io::ErrorKind::NotFound {
                anyhow::anyhow!(
                    "it is not there any more; put it back to this place, and undo again"
                )
            } else {
                error.into()
            }
        })?;
        let now = Content::of(&mut file)?;
        drop(file);
        if now == self.before {
            return Ok(false);
        }
        anyhow::ensure!(
            now == self.after,
            "it was changed since it was tagged, so it is left as it is"
        );
        let expected = &self.before;
        rewrite(
            &self.path,
            |_| Ok(self.reverse.clone()),
            manner,
            self.modified,
            |part| {
                let made = Content::of(&mut File::open(part)?)?;
                anyhow::ensure!(
                    made == *expected,
                    "the journal does not lead back to what it was, so it is left as it is"
                );
                Ok(())
            },
            |_| Ok(()),
        )?;
        Ok(true)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dates_are_those_of_the_calendar() {
        assert_eq!(date(0), "19700101-000000");
        assert_eq!(date(951_782_400), "20000229-000000");
        assert_eq!(date(1_796_035_500), "20261130-104500");
    }
}
