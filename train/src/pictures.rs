//! Mel pictures of recordings, made by the product's own front end, kept on disk and in memory.
//!
//! A picture is kept in hundredths of a decibel (the scale of the front end), with its floor far
//! below the one the network uses, so that gain and noise can still be changed before that floor is
//! applied.

use std::{
    fs,
    io::Write as _,
    path::{Path, PathBuf},
    sync::atomic::{AtomicUsize, Ordering},
};

use anyhow::{Context, Result, ensure};
use genrescope::front_end::FrontEndConfig;

use crate::{audio, evaluate::Frames, hearing};

/// Mel bands of every picture.
pub const BANDS: usize = 96;

/// Mel columns in a frame of 29.12 s.
pub const FRAME_COLUMNS: usize = 1366;

/// The floor of kept pictures, in dB: 20 log10(1e-8).
pub const KEPT_FLOOR_DB: f32 = -160.0;

/// Mel columns of a whole recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Picture {
    /// Column after column, 96 values each, in hundredths of a decibel.
    centibels: Vec<i16>,
}

impl Picture {
    /// A picture of mel columns in dB.
    pub fn from_db(columns: &[f32]) -> Self {
        let centibels = columns
            .iter()
            .map(|db| (db * 100.0).round().clamp(-32_000.0, 32_000.0) as i16)
            .collect();
        Self { centibels }
    }

    /// The frames of a whole song, as pictures of their own: 20 s dropped at both ends, frames one
    /// after the other, the remainder dropped (the paper's multiframe). A recording too short for
    /// that is one picture.
    pub fn frames(self) -> Vec<Self> {
        let frames = frames(self.columns());
        if frames == [(0, self.columns())] {
            return vec![self];
        }
        frames
            .into_iter()
            .map(|(first, end)| Self {
                centibels: self.centibels[first * BANDS..end * BANDS].to_vec(),
            })
            .collect()
    }

    /// Number of columns.
    pub fn columns(&self) -> usize {
        self.centibels.len() / BANDS
    }

    /// `count` columns from column `first` on, in dB. Past the end it starts again from the first:
    /// so are recordings shorter than a frame looped to its length.
    pub fn crop(&self, first: usize, count: usize) -> Vec<f32> {
        let columns = self.columns();
        let mut out = Vec::with_capacity(count * BANDS);
        for column in first..first + count {
            let at = column % columns * BANDS;
            out.extend(
                self.centibels[at..at + BANDS]
                    .iter()
                    .map(|&v| f32::from(v) / 100.0),
            );
        }
        out
    }
}

/// First column of each picture that [`Picture::frames`] makes of a recording of `columns`, and one
/// past its last: the paper's frames, but of a recording that is too short to lose its ends
/// everything.
pub fn frames(columns: usize) -> Vec<(usize, usize)> {
    let frames = Frames::MULTIFRAME;
    if columns < frames.length + 2 * frames.skip {
        return vec![(0, columns)];
    }
    frames.of(columns)
}

/// The front end of training pictures: the product's, with the floor of [`KEPT_FLOOR_DB`].
pub fn front_end() -> FrontEndConfig {
    FrontEndConfig {
        floor_db: KEPT_FLOOR_DB,
        ..FrontEndConfig::default()
    }
}

/// A folder of kept pictures.
#[derive(Clone, Debug)]
pub struct PictureCache {
    folder: PathBuf,
}

const MAGIC: &[u8; 8] = b"GSMEL\x001\n";
const ROWS_MAGIC: &[u8; 8] = b"GSROW\x001\n";

impl PictureCache {
    /// Keeps pictures in `folder`, which is made if needed.
    ///
    /// # Errors
    /// When the folder cannot be made.
    pub fn new(folder: &Path) -> Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder '{}'", folder.display()))?;
        Ok(Self {
            folder: folder.to_owned(),
        })
    }

    /// Where it keeps them.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    /// The picture of the recording at `path`: from the cache if the file and the front end are
    /// those it was made from, else made anew. A picture has at least one column.
    ///
    /// # Errors
    /// When the file cannot be decoded, or is shorter than one column.
    pub fn picture(&self, path: &Path) -> Result<Picture> {
        self.kept(path, &key(path)?, || audio::mel_columns(path, &front_end()))
    }

    /// The picture of the recording at `path` as it is heard the `variant`-th time
    /// ([`crate::hearing`]), in the same way.
    ///
    /// # Errors
    /// The same.
    pub fn heard(&self, path: &Path, variant: u64) -> Result<Picture> {
        let key = format!("{}|{}|{variant}", key(path)?, hearing::VERSION);
        self.kept(path, &key, || {
            audio::mel_columns_heard(path, &front_end(), variant)
        })
    }

    fn kept(
        &self,
        path: &Path,
        key: &str,
        columns: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Picture> {
        let kept = self
            .folder
            .join(format!("{:016x}.mel", fnv1a(key.as_bytes())));
        if let Some(picture) = read_kept(&kept, key) {
            return Ok(picture);
        }
        let columns = columns()?;
        ensure!(
            columns.len() >= BANDS,
            "'{}' is shorter than one mel column",
            path.display()
        );
        let picture = Picture::from_db(&columns);
        let mut bytes = Vec::with_capacity(picture.centibels.len() * 2 + key.len() + 16);
        bytes.extend(MAGIC);
        bytes.extend((key.len() as u32).to_le_bytes());
        bytes.extend(key.as_bytes());
        bytes.extend(picture.centibels.iter().flat_map(|v| v.to_le_bytes()));
        write_whole(&kept, &bytes)?;
        Ok(picture)
    }

    /// `len` numbers that depend on `key` alone: kept ones, or those that `make` makes now.
    ///
    /// # Errors
    /// Those of `make`; when it makes another number of them; when they cannot be kept.
    pub fn rows(
        &self,
        key: &str,
        len: usize,
        make: impl FnOnce() -> Result<Vec<f32>>,
    ) -> Result<Vec<f32>> {
        let path = self
            .folder
            .join(format!("{:016x}.rows", fnv1a(key.as_bytes())));
        kept_rows(&path, key, len, make)
    }

    /// Pictures of all `paths`, as they are or as they are heard the `variant`-th time, by
    /// `threads` threads; `progress` is told how many are done.
    pub fn pictures(
        &self,
        paths: &[PathBuf],
        variant: Option<u64>,
        threads: usize,
        progress: &(dyn Fn(usize, usize) + Sync),
    ) -> Vec<Result<Picture>> {
        let done = AtomicUsize::new(0);
        crate::parallel::map(paths.len(), threads, |i| {
            let picture = match variant {
                None => self.picture(&paths[i]),
                Some(variant) => self.heard(&paths[i], variant),
            };
            progress(done.fetch_add(1, Ordering::Relaxed) + 1, paths.len());
            picture
        })
    }
}

/// Numbers computed once for many runs, `len` of them: those kept at `path` under the same `key`,
/// else `make`'s, which are then kept.
fn kept_rows(
    path: &Path,
    key: &str,
    len: usize,
    make: impl FnOnce() -> Result<Vec<f32>>,
) -> Result<Vec<f32>> {
    let read = || -> Option<Vec<f32>> {
        let bytes = fs::read(path).ok()?;
        let rest = bytes.strip_prefix(ROWS_MAGIC)?;
        let (size, rest) = rest.split_at_checked(4)?;
        let size = u32::from_le_bytes(size.try_into().ok()?) as usize;
        let (found, values) = rest.split_at_checked(size)?;
        (found == key.as_bytes() && values.len() == 4 * len).then(|| {
            values
                .chunks_exact(4)
                .map(|b| f32::from_le_bytes([b[0], b[1], b[2], b[3]]))
                .collect()
        })
    };
    if let Some(rows) = read() {
        return Ok(rows);
    }
    let rows = make()?;
    ensure!(
        rows.len() == len,
        "{} values were computed instead of {len}",
        rows.len()
    );
    let mut bytes = ROWS_MAGIC.to_vec();
    bytes.extend((key.len() as u32).to_le_bytes());
    bytes.extend(key.as_bytes());
    bytes.extend(rows.iter().flat_map(|v| v.to_le_bytes()));
    write_whole(path, &bytes)?;
    Ok(rows)
}

/// Everything a picture depends on.
pub(crate) fn key(path: &Path) -> Result<String> {
    let meta = fs::metadata(path).with_context(|| format!("cannot read '{}'", path.display()))?;
    let path = fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let modified = meta
        .modified()
        .ok()
        .and_then(|time| time.duration_since(std::time::UNIX_EPOCH).ok())
        .map_or(0, |age| age.as_nanos());
    let front_end = serde_json::to_string(&front_end())?;
    Ok(format!(
        "{}|{}|{modified}|{front_end}",
        path.display(),
        meta.len()
    ))
}

fn read_kept(kept: &Path, key: &str) -> Option<Picture> {
    let bytes = fs::read(kept).ok()?;
    let rest = bytes.strip_prefix(MAGIC)?;
    let (len, rest) = rest.split_at_checked(4)?;
    let len = u32::from_le_bytes(len.try_into().ok()?) as usize;
    let (found, values) = rest.split_at_checked(len)?;
    if found != key.as_bytes() || values.is_empty() || values.len() % (2 * BANDS) != 0 {
        return None;
    }
    let centibels = values
        .chunks_exact(2)
        .map(|v| i16::from_le_bytes([v[0], v[1]]))
        .collect();
    Some(Picture { centibels })
}

/// Writes a file so that it is there whole or not at all, whatever happens meanwhile.
///
/// # Errors
/// When it cannot be written.
pub fn write_whole(path: &Path, bytes: &[u8]) -> Result<()> {
    let stem = path
        .file_name()
        .map(|name| name.to_string_lossy().into_owned())
        .unwrap_or_default();
    let part = path.with_file_name(format!(".{stem}.{}.part", std::process::id()));
    let write = || -> std::io::Result<()> {
        let mut file = fs::File::create(&part)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&part, path)
    };
    write().with_context(|| format!("cannot write '{}'", path.display()))
}

/// FNV-1a, 64 bits: names of cache files. What is in the file is checked against the whole key.
pub fn fnv1a(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |hash, &byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0000_0100_0000_01b3)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn short_recordings_are_looped() {
        let db: Vec<f32> = (0..3 * BANDS).map(|i| (i / BANDS) as f32).collect();
        let crop = Picture::from_db(&db).crop(2, 5);
        let firsts: Vec<f32> = crop.chunks_exact(BANDS).map(|c| c[0]).collect();
        assert_eq!(firsts, [2.0, 0.0, 1.0, 2.0, 0.0]);
    }

    #[test]
    fn a_damaged_or_foreign_kept_picture_is_not_used() {
        let dir = tempfile::tempdir().unwrap();
        let kept = dir.path().join("x.mel");
        let mut bytes = MAGIC.to_vec();
        bytes.extend(3u32.to_le_bytes());
        bytes.extend(b"key");
        bytes.extend(vec![0; 2 * BANDS]);
        write_whole(&kept, &bytes).unwrap();
        assert_eq!(read_kept(&kept, "key").unwrap().columns(), 1);
        assert!(read_kept(&kept, "other").is_none());
        write_whole(&kept, &bytes[..bytes.len() - 1]).unwrap();
        assert!(read_kept(&kept, "key").is_none());
        write_whole(&kept, &bytes[..10]).unwrap();
        assert!(read_kept(&kept, "key").is_none());
    }
}
