//! Collections of recordings: GTZAN in any layout, libraries with a folder per genre, plain
//! folders.

use std::{
    collections::{BTreeMap, HashMap},
    fs,
    path::{Path, PathBuf},
};

use anyhow::{Context, Result, bail, ensure};
use genrescope::source::library::has_audio_extension;

use crate::rng::Rng;

/// Part of a published split.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Split {
    /// To learn from.
    Train,
    /// To choose by.
    Valid,
    /// To report on, once.
    Test,
}

/// One recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Item {
    /// Where it lies.
    pub path: PathBuf,
    /// Index of its label; none in a folder without labels.
    pub label: Option<usize>,
    /// What must stay on one side of a split: the artist where known, else the recording itself.
    pub group: String,
    /// Its fold, where an index gives one.
    pub fold: Option<usize>,
    /// Its part of a published split.
    pub split: Option<Split>,
    /// Whether it is a whole clip (30 s in GTZAN) or a song; only those are counted in accuracies.
    pub whole: bool,
}

/// A collection.
#[derive(Clone, Debug)]
pub struct Dataset {
    /// The labels, in output order; empty for plain folders.
    pub labels: Vec<String>,
    /// The recordings, in the order of the index, or sorted by path.
    pub items: Vec<Item>,
    /// Files that were passed over, each with the reason.
    pub skipped: Vec<(PathBuf, String)>,
}

/// Names of the published fault-filtered lists (C. Kereliuk, B. Sturm and J. Larsen 2015, as J.
/// Pons and J. Lee give them out).
pub const SPLIT_LISTS: [(&str, Split); 3] = [
    ("train_filtered.txt", Split::Train),
    ("valid_filtered.txt", Split::Valid),
    ("test_filtered.txt", Split::Test),
];

impl Dataset {
    /// GTZAN in any layout, or a library with a folder per genre; its split by the published lists
    /// in the folder `lists`, where they are named.
    ///
    /// # Errors
    /// When it is neither, or a list cannot be read.
    pub fn open(root: &Path, lists: Option<&Path>) -> Result<Self> {
        let mut dataset = Self::gtzan(root).or_else(|_| Self::library(root))?;
        if let Some(lists) = lists {
            dataset.apply_split_lists(lists)?;
        }
        Ok(dataset)
    }

    /// As [`Dataset::open`], without the test part of a published split: nothing is learnt from
    /// that, nor chosen by it.
    ///
    /// # Errors
    /// The same; and when nothing else is there.
    pub fn to_learn_from(root: &Path, lists: Option<&Path>) -> Result<Self> {
        let mut dataset = Self::open(root, lists)?;
        dataset.items.retain(|item| item.split != Some(Split::Test));
        ensure!(
            !dataset.items.is_empty(),
            "'{}' holds nothing but the test part of a published split",
            root.display()
        );
        Ok(dataset)
    }

    /// GTZAN at `root`: by `root/index.csv` where there is one, else by its files,
    /// `NAME/NAME.NNNNN.EXT` directly under `root` or under `root/genres` or
    /// `root/genres_original`.
    ///
    /// # Errors
    /// When the folder or its index cannot be read, or holds no clip.
    pub fn gtzan(root: &Path) -> Result<Self> {
        let index = root.join("index.csv");
        if index.is_file() {
            return Self::from_index(root, &index);
        }
        let root = ["genres", "genres_original", "."]
            .iter()
            .map(|name| root.join(name))
            .find(|folder| {
                genrescope::genre::GTZAN
                    .iter()
                    .any(|genre| folder.join(genre).is_dir())
            })
            .with_context(|| {
                format!(
                    "'{}' holds neither index.csv nor folders named after GTZAN's genres",
                    root.display()
                )
            })?;
        let mut dataset = Self::library(&root)?;
        dataset.labels = genrescope::genre::GTZAN.map(String::from).to_vec();
        dataset.items.clear();
        for (label, genre) in genrescope::genre::GTZAN.iter().enumerate() {
            let folder = root.join(genre);
            if !folder.is_dir() {
                dataset.skipped.push((folder, "is not there".into()));
                continue;
            }
            for path in audio_files(&folder)? {
                let name = file_name(&path);
                let number = name
                    .strip_prefix(genre)
                    .and_then(|rest| rest.strip_prefix('.'));
                if number
                    .and_then(|rest| rest.split('.').next())
                    .is_none_or(|n| n.parse::<u32>().is_err())
                {
                    let reason = format!("is not named {genre}.NNNNN");
                    dataset.skipped.push((path, reason));
                    continue;
                }
                dataset.items.push(Item {
                    group: format!("{genre}/{name}"),
                    path,
                    label: Some(label),
                    fold: None,
                    split: None,
                    whole: true,
                });
            }
        }
        ensure!(
            !dataset.items.is_empty(),
            "'{}' holds no GTZAN clip",
            root.display()
        );
        Ok(dataset)
    }

    /// A collection by an index: a CSV file with a header; `path` (relative to `root`) and `genre`
    /// must be there, `artist`, `fold`, `kind` (`full` is whole) and `fault_filtered_split` (train,
    /// valid or test) may be.
    ///
    /// # Errors
    /// When the index cannot be read, lacks a column or names a fold that is no number.
    pub fn from_index(root: &Path, index: &Path) -> Result<Self> {
        let text = fs::read_to_string(index)
            .with_context(|| format!("cannot read '{}'", index.display()))?;
        let mut rows = csv_rows(&text).into_iter();
        let header = rows.next().unwrap_or_default();
        let column = |name: &str| header.iter().position(|field| field == name);
        let must = |name: &str| {
            column(name).with_context(|| format!("'{}' has no column '{name}'", index.display()))
        };
        let (path_at, genre_at) = (must("path")?, must("genre")?);
        let (artist_at, fold_at) = (column("artist"), column("fold"));
        let (kind_at, split_at) = (column("kind"), column("fault_filtered_split"));
        let rows: Vec<Vec<String>> = rows.collect();
        let mut labels: Vec<String> = rows
            .iter()
            .filter_map(|row| row.get(genre_at).cloned())
            .collect();
        labels.sort();
        labels.dedup();
        let mut dataset = Self {
            labels,
            items: Vec::new(),
            skipped: Vec::new(),
        };
        for (number, row) in rows.iter().enumerate() {
            let line = number + 2;
            let (Some(path), Some(genre)) = (row.get(path_at), row.get(genre_at)) else {
                bail!(
                    "'{}', line {line}: {} fields, too few",
                    index.display(),
                    row.len()
                );
            };
            let get = |at: Option<usize>| {
                at.and_then(|at| row.get(at))
                    .map(String::as_str)
                    .filter(|v| !v.is_empty())
            };
            let file = root.join(path);
            if !file.is_file() {
                dataset.skipped.push((file, "is not there".into()));
                continue;
            }
            let fold = match get(fold_at) {
                Some(fold) => Some(fold.parse().with_context(|| {
                    format!(
                        "'{}', line {line}: fold '{fold}' is no number",
                        index.display()
                    )
                })?),
                None => None,
            };
            dataset.items.push(Item {
                label: dataset.labels.iter().position(|label| label == genre),
                group: get(artist_at)
                    .map_or_else(|| path.clone(), |artist| format!("{genre}/{artist}")),
                fold,
                split: match get(split_at) {
                    Some("train") => Some(Split::Train),
                    Some("valid") => Some(Split::Valid),
                    Some("test") => Some(Split::Test),
                    _ => None,
                },
                whole: get(kind_at).is_none_or(|kind| kind == "full"),
                path: file,
            });
        }
        ensure!(
            !dataset.items.is_empty(),
            "'{}' names no file that is there",
            index.display()
        );
        Ok(dataset)
    }

    /// A library: a folder per genre, each with songs at any depth. A song is its own group, so
    /// that its frames never fall on both sides of a split.
    ///
    /// # Errors
    /// When the folder cannot be read or no genre in it has an audio file.
    pub fn library(root: &Path) -> Result<Self> {
        let mut folders: Vec<PathBuf> = entries(root)?
            .into_iter()
            .filter(|path| path.is_dir())
            .collect();
        folders.retain(|folder| !file_name(folder).starts_with('.'));
        let mut dataset = Self {
            labels: Vec::new(),
            items: Vec::new(),
            skipped: Vec::new(),
        };
        for folder in folders {
            let files = audio_files(&folder)?;
            if files.is_empty() {
                dataset.skipped.push((folder, "holds no audio file".into()));
                continue;
            }
            let label = dataset.labels.len();
            dataset.labels.push(file_name(&folder));
            dataset.items.extend(files.into_iter().map(|path| Item {
                group: path.display().to_string(),
                path,
                label: Some(label),
                fold: None,
                split: None,
                whole: true,
            }));
        }
        ensure!(
            !dataset.items.is_empty(),
            "'{}' holds no folder with audio files",
            root.display()
        );
        Ok(dataset)
    }

    /// All audio files under `root`, without labels: music to distil on, or what is not music.
    ///
    /// # Errors
    /// When a folder cannot be read.
    pub fn unlabelled(root: &Path) -> Result<Self> {
        let items = audio_files(root)?
            .into_iter()
            .map(|path| Item {
                group: path.display().to_string(),
                path,
                label: None,
                fold: None,
                split: None,
                whole: true,
            })
            .collect();
        Ok(Self {
            labels: Vec::new(),
            items,
            skipped: Vec::new(),
        })
    }

    /// Takes the split from the published lists in `folder`, [`SPLIT_LISTS`]: a path such as
    /// `blues/blues.00029.wav` in each line, whose extension does not count. Clips in no list were
    /// found faulty: they are left out, and counted.
    ///
    /// # Errors
    /// When a list cannot be read, or none of the clips is in one.
    fn apply_split_lists(&mut self, folder: &Path) -> Result<()> {
        let stem = |text: &str| -> String {
            let name = text.rsplit(['/', '\\']).next().unwrap_or(text).trim();
            name.split('.').take(2).collect::<Vec<_>>().join(".")
        };
        let mut split = HashMap::new();
        for (name, part) in SPLIT_LISTS {
            let path = folder.join(name);
            let text = fs::read_to_string(&path)
                .with_context(|| format!("cannot read '{}'", path.display()))?;
            for line in text.lines().filter(|line| !line.trim().is_empty()) {
                split.insert(stem(line), part);
            }
        }
        for item in &mut self.items {
            item.split = split.get(&stem(&file_name(&item.path))).copied();
        }
        let n = self.items.len();
        self.items.retain(|item| item.split.is_some());
        ensure!(
            !self.items.is_empty(),
            "none of the {n} recordings is in the lists in '{}', whose lines are like blues/blues.00029.wav",
            folder.display()
        );
        let n_faulty = n - self.items.len();
        if n_faulty > 0 {
            let reason = format!("{n_faulty} recordings are in none of its lists");
            self.skipped.push((folder.to_owned(), reason));
        }
        Ok(())
    }

    /// Deals the items into `k` folds: groups stay together, and each label is spread as evenly as
    /// that allows. The same seed gives the same folds.
    pub fn assign_folds(&mut self, k: usize, seed: u64) {
        let mut groups: BTreeMap<&str, Vec<usize>> = BTreeMap::new();
        for (i, item) in self.items.iter().enumerate() {
            groups.entry(&item.group).or_default().push(i);
        }
        let mut groups: Vec<Vec<usize>> = groups.into_values().collect();
        Rng::at(seed, &[0xf01d]).shuffle(&mut groups);
        // Large groups first: they are the hard ones to place.
        groups.sort_by_key(|group| std::cmp::Reverse(group.len()));
        let labels = self.labels.len().max(1);
        let mut total = vec![0usize; labels];
        for item in &self.items {
            total[item.label.unwrap_or(0)] += 1;
        }
        let mut held = vec![vec![0usize; labels]; k];
        for group in groups {
            let mut counts = vec![0usize; labels];
            for &i in &group {
                counts[self.items[i].label.unwrap_or(0)] += 1;
            }
            // How far each label would stand above its even share, squared and relative to the
            // label's size.
            let cost = |fold: &Vec<usize>| -> f64 {
                (0..labels)
                    .filter(|&l| counts[l] > 0)
                    .map(|l| {
                        let share = total[l] as f64 / k as f64;
                        let before = fold[l] as f64 / share;
                        let after = (fold[l] + counts[l]) as f64 / share;
                        after * after - before * before
                    })
                    .sum()
            };
            let best = (0..k).min_by(|&a, &b| {
                let size = |f: usize| held[f].iter().sum::<usize>();
                cost(&held[a])
                    .total_cmp(&cost(&held[b]))
                    .then(size(a).cmp(&size(b)))
            });
            let best = best.unwrap_or(0);
            for (to, from) in held[best].iter_mut().zip(&counts) {
                *to += from;
            }
            for i in group {
                self.items[i].fold = Some(best);
            }
        }
    }

    /// Number of folds: one more than the largest.
    pub fn folds(&self) -> usize {
        self.items
            .iter()
            .filter_map(|item| item.fold)
            .max()
            .map_or(0, |last| last + 1)
    }

    /// What was passed over, as lines for a person.
    pub fn skipped_report(&self) -> String {
        self.skipped
            .iter()
            .fold(String::new(), |report, (path, reason)| {
                report + &format!("skipped '{}': {reason}\n", path.display())
            })
    }
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default()
}

/// What lies in `folder`, sorted.
fn entries(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut list = fs::read_dir(folder)
        .and_then(|entries| {
            entries
                .map(|entry| entry.map(|e| e.path()))
                .collect::<Result<Vec<_>, _>>()
        })
        .with_context(|| format!("cannot read the folder '{}'", folder.display()))?;
    list.sort();
    Ok(list)
}

/// Audio files under `folder`, at any depth, sorted.
fn audio_files(folder: &Path) -> Result<Vec<PathBuf>> {
    let mut files = Vec::new();
    for path in entries(folder)? {
        if path.is_dir() {
            files.extend(audio_files(&path)?);
        } else if has_audio_extension(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

/// Rows of a CSV text (RFC 4180: quoted fields, doubled quotes, line ends inside quotes). Empty
/// lines are passed over.
pub fn csv_rows(text: &str) -> Vec<Vec<String>> {
    let mut rows = Vec::new();
    let mut row = Vec::new();
    let mut field = String::new();
    let mut quoted = false;
    let mut chars = text.chars().peekable();
    while let Some(c) = chars.next() {
        match c {
            '"' if quoted && chars.peek() == Some(&'"') => {
                field.push('"');
                chars.next();
            }
            '"' => quoted = !quoted,
            ',' if !quoted => row.push(std::mem::take(&mut field)),
            '\r' if !quoted => {}
            '\n' if !quoted => {
                if !row.is_empty() || !field.is_empty() {
                    row.push(std::mem::take(&mut field));
                    rows.push(std::mem::take(&mut row));
                }
            }
            _ => field.push(c),
        }
    }
    if !row.is_empty() || !field.is_empty() {
        row.push(field);
        rows.push(row);
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;

    fn folder() -> tempfile::TempDir {
        tempfile::tempdir().unwrap()
    }

    fn touch(path: &Path) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::write(path, b"x").unwrap();
    }

    #[test]
    fn csv_knows_quotes() {
        let rows = csv_rows("a,b\r\n\"x, \"\"y\"\"\",2\n\n,\n");
        assert_eq!(
            rows,
            vec![vec!["a", "b"], vec!["x, \"y\"", "2"], vec!["", ""]]
        );
    }

    #[test]
    fn gtzan_is_found_in_its_layouts() {
        for (prefix, ext) in [("genres", "au"), ("genres_original", "wav"), ("", "flac")] {
            let dir = folder();
            touch(
                &dir.path()
                    .join(prefix)
                    .join(format!("blues/blues.00000.{ext}")),
            );
            touch(
                &dir.path()
                    .join(prefix)
                    .join(format!("rock/rock.00003.{ext}")),
            );
            touch(&dir.path().join(prefix).join(format!("rock/cover.{ext}")));
            let set = Dataset::gtzan(dir.path()).unwrap();
            assert_eq!(set.items.len(), 2, "{prefix}");
            assert_eq!(set.items[1].label, Some(9));
            assert!(set.skipped_report().contains("cover"));
        }
        assert!(Dataset::gtzan(folder().path()).is_err());
    }

    #[test]
    fn an_index_gives_folds_and_lists_what_is_missing() {
        let dir = folder();
        touch(&dir.path().join("blues/a.opus"));
        touch(&dir.path().join("rock/b.opus"));
        let index = "path,genre,fault_filtered_split,seconds,kind,artist,fold\n\
            blues/a.opus,blues,valid,30,full,\"Hooker, John Lee\",2\n\
            rock/b.opus,rock,train,2,snippet,B,0\nrock/gone.opus,rock,train,30,full,B,0\n";
        fs::write(dir.path().join("index.csv"), index).unwrap();
        let set = Dataset::gtzan(dir.path()).unwrap();
        assert_eq!(set.items.len(), 2);
        assert_eq!(set.items[0].group, "blues/Hooker, John Lee");
        assert_eq!(
            (set.items[0].fold, set.items[0].split, set.items[0].whole),
            (Some(2), Some(Split::Valid), true)
        );
        assert!(!set.items[1].whole);
        assert!(set.skipped_report().contains("gone.opus"));
    }

    #[test]
    fn split_lists_match_by_stem() {
        let dir = folder();
        for name in [
            "blues/blues.00000.au",
            "blues/blues.00001.au",
            "blues/blues.00002.au",
            "blues/blues.00003.au",
        ] {
            touch(&dir.path().join("genres").join(name));
        }
        let lists = folder();
        for (name, text) in [
            ("train_filtered.txt", "blues/blues.00000.wav\n"),
            ("valid_filtered.txt", "\nblues/blues.00003.wav\n"),
            ("test_filtered.txt", "blues/blues.00002.wav\r\n"),
        ] {
            fs::write(lists.path().join(name), text).unwrap();
        }
        let splits =
            |set: &Dataset| -> Vec<_> { set.items.iter().map(|item| item.split).collect() };
        let set = Dataset::open(dir.path(), Some(lists.path())).unwrap();
        let (train, valid, test) = (Split::Train, Split::Valid, Split::Test);
        assert_eq!(splits(&set), [train, test, valid].map(Some));
        assert!(set.skipped_report().contains("1 recordings are in none"));
        let set = Dataset::to_learn_from(dir.path(), Some(lists.path())).unwrap();
        assert_eq!(splits(&set), [train, valid].map(Some));
        let set = Dataset::to_learn_from(dir.path(), None).unwrap();
        assert_eq!(splits(&set), [None; 4]);

        for name in ["train_filtered.txt", "valid_filtered.txt"] {
            fs::write(lists.path().join(name), "").unwrap();
        }
        let test_alone = Dataset::to_learn_from(dir.path(), Some(lists.path())).unwrap_err();
        assert!(test_alone.to_string().contains("nothing but the test part"));
        fs::write(lists.path().join("test_filtered.txt"), "rock.00001.wav").unwrap();
        let foreign = Dataset::open(dir.path(), Some(lists.path())).unwrap_err();
        assert!(foreign.to_string().contains("none of the 4 recordings"));
        fs::remove_file(lists.path().join("valid_filtered.txt")).unwrap();
        let missing = Dataset::open(dir.path(), Some(lists.path())).unwrap_err();
        assert!(missing.to_string().contains("valid_filtered.txt"));
    }

    #[test]
    fn folds_keep_groups_together_and_labels_even() {
        let mut set = Dataset {
            labels: vec!["a".into(), "b".into()],
            items: Vec::new(),
            skipped: Vec::new(),
        };
        for i in 0..100 {
            set.items.push(Item {
                path: PathBuf::from(format!("{i}")),
                label: Some(usize::from(i % 4 == 0)),
                group: format!("artist {}", i / 5),
                fold: None,
                split: None,
                whole: true,
            });
        }
        set.assign_folds(5, 1);
        for chunk in set.items.chunks(5) {
            assert!(chunk.iter().all(|item| item.fold == chunk[0].fold));
        }
        for fold in 0..5 {
            let of = |label| {
                set.items
                    .iter()
                    .filter(|i| i.fold == Some(fold) && i.label == Some(label))
                    .count()
            };
            assert_eq!(of(0) + of(1), 20);
            assert!((4..=6).contains(&of(1)), "{}", of(1));
        }
        let before = set.items.clone();
        set.assign_folds(5, 1);
        assert_eq!(set.items, before);
    }

    #[test]
    fn a_library_names_its_labels_by_folder() {
        let dir = folder();
        touch(&dir.path().join("Salsa/album/one.mp3"));
        touch(&dir.path().join("Tango/two.flac"));
        fs::create_dir(dir.path().join("empty")).unwrap();
        let set = Dataset::library(dir.path()).unwrap();
        assert_eq!(set.labels, ["Salsa", "Tango"]);
        assert_eq!(set.skipped.len(), 1);
        assert_eq!(Dataset::unlabelled(dir.path()).unwrap().items.len(), 2);
    }
}
