//! Where a table goes.

use std::{
    fs::{self, OpenOptions},
    io::{ErrorKind, Write as _},
    path::{Path, PathBuf},
};

/// Files of one second.
const MOST_OF_A_NAME: u32 = 99;

/// Writes a table into the user's documents (or home, where there are none), under a name with date
/// and time that nothing else has; says where it is.
///
/// # Errors
/// A sentence for the user: which file could not be written, and why.
pub fn save(table: &str) -> Result<PathBuf, String> {
    let documents = dirs::document_dir().filter(|folder| folder.is_dir());
    let folder = documents.or_else(dirs::home_dir).ok_or(
        "There is no folder for documents and no home to save into. Copy CSV puts the table on the clipboard.",
    )?;
    let name = chrono::Local::now().format("genrescope %Y-%m-%d %H.%M.%S");
    save_in(&folder, &name.to_string(), table)
}

fn save_in(folder: &Path, name: &str, table: &str) -> Result<PathBuf, String> {
    let mut number = 1;
    loop {
        let path = folder.join(match number {
            1 => format!("{name}.csv"),
            _ => format!("{name} ({number}).csv"),
        });
        let cannot = |error: std::io::Error| {
            format!(
                "Cannot write '{}': {error}. Copy CSV puts the table on the clipboard.",
                path.display()
            )
        };
        match OpenOptions::new().write(true).create_new(true).open(&path) {
            Ok(mut file) => {
                let written = file
                    .write_all(table.as_bytes())
                    .and_then(|()| file.sync_all());
                return match written {
                    Ok(()) => Ok(path),
                    Err(error) => {
                        // Half a table says what is not so.
                        let _ = fs::remove_file(&path);
                        Err(cannot(error))
                    }
                };
            }
            Err(error) if error.kind() == ErrorKind::AlreadyExists && number < MOST_OF_A_NAME => {
                number += 1;
            }
            Err(error) => return Err(cannot(error)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_overwritten() {
        let folder = tempfile::tempdir().unwrap();
        let first = save_in(folder.path(), "a", "one\n").unwrap();
        let second = save_in(folder.path(), "a", "two\n").unwrap();
        assert_eq!(first, folder.path().join("a.csv"));
        assert_eq!(second, folder.path().join("a (2).csv"));
        assert_eq!(fs::read_to_string(first).unwrap(), "one\n");
        assert_eq!(fs::read_to_string(second).unwrap(), "two\n");
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let error = save_in(Path::new("/no/such/folder"), "a", "").unwrap_err();
        assert!(
            error.starts_with("Cannot write '/no/such/folder"),
            "{error}"
        );
    }
}
