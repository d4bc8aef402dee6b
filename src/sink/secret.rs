//! Passwords and tokens: from a file or the environment, never from the command line (which every
//! user of a machine can read), and never printed.

use std::{fmt, fs::File, io::Read as _, path::Path, sync::Arc};

use super::SinkError;

/// Longest secret, in bytes.
const MOST: u64 = 1_024;

/// A password or a token. It prints as dots.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(...)")
    }
}

impl Secret {
    /// The first line of a file, or the value of the environment's variable `variable`; the file
    /// wins. `None` when there is neither.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the file cannot be read, or what is there is no secret.
    pub fn find(
        feed: &'static str,
        file: Option<&Path>,
        variable: &'static str,
    ) -> Result<Option<Self>, SinkError> {
        if let Some(path) = file {
            let name = path.display().to_string();
            let wrong = |why: String| SinkError::Setting {
                feed,
                what: "file with the secret",
                value: name.clone(),
                why,
            };
            let mut text = String::new();
            File::open(path)
                .and_then(|file| file.take(MOST + 2).read_to_string(&mut text))
                .map_err(|error| wrong(error.to_string()))?;
            let line = text.lines().next().unwrap_or_default();
            return Self::new(line).map(Some).map_err(|why| wrong(why.into()));
        }
        match std::env::var(variable) {
            Ok(text) if !text.is_empty() => {
                Self::new(&text)
                    .map(Some)
                    .map_err(|why| SinkError::Setting {
                        feed,
                        what: "variable of the environment",
                        value: variable.to_owned(),
                        why: why.into(),
                    })
            }
            _ => Ok(None),
        }
    }

    /// A secret that is known otherwise.
    ///
    /// # Errors
    /// In words that do not repeat it, when it is empty, too long or holds control characters.
    pub fn new(text: &str) -> Result<Self, &'static str> {
        if text.is_empty() {
            return Err("it is empty; the secret is its first line");
        }
        if text.len() as u64 > MOST {
            return Err("it is longer than 1024 bytes");
        }
        if text.chars().any(char::is_control) {
            return Err("it holds control characters");
        }
        Ok(Self(text.into()))
    }

    /// The secret itself, to be sent or compared and not to be shown.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_the_first_line_and_is_not_shown() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("token");
        let find = |text: &str| {
            std::fs::write(&path, text).unwrap();
            Secret::find("http", Some(&path), "GENRESCOPE_NO_SUCH_VARIABLE")
        };
        let secret = find("correct horse\r\nbattery\n").unwrap().unwrap();
        assert_eq!(secret.expose(), "correct horse");
        assert!(!format!("{secret:?}").contains("horse"));
        for bad in ["", "\nsecond line", "a\tb", &"x".repeat(2_000)] {
            let error = find(bad).unwrap_err().to_string();
            assert!(error.contains("token") && error.contains("it "), "{error}");
        }
        let missing = dir.path().join("missing");
        let error = Secret::find("http", Some(&missing), "GENRESCOPE_NO_SUCH_VARIABLE");
        assert!(error.unwrap_err().to_string().contains("missing"));
        let none = Secret::find("http", None, "GENRESCOPE_NO_SUCH_VARIABLE");
        assert_eq!(none.unwrap(), None);
    }
}
