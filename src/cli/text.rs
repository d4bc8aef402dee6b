//! Words for people: names that are safe to print, columns that line up, errors that say each thing
//! once.

use std::{
    borrow::Cow,
    io::{self, Read as _},
    path::Path,
};

use anyhow::Context as _;
use unicode_width::{UnicodeWidthChar as _, UnicodeWidthStr as _};

use crate::{source::opening, units::Seconds};

/// `text` on one line, with nothing in it that acts on a terminal: control characters, and those
/// that turn the direction of writing, are spelt out.
pub fn plain(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return Cow::Borrowed(text);
    }
    let mut out = String::with_capacity(text.len() + 8);
    for c in text.chars() {
        if acts(c) {
            out.extend(c.escape_default());
        } else {
            out.push(c);
        }
    }
    Cow::Owned(out)
}

fn acts(c: char) -> bool {
    c.is_control()
        || matches!(c, '\u{2028}' | '\u{2029}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// The text of a settings file, which messages call `what`: "look file".
///
/// # Errors
/// Naming the file, and why it cannot be read.
pub fn settings_text(what: &str, path: &Path) -> anyhow::Result<String> {
    read_settings(path).with_context(|| format!("cannot read {what} '{}'", name_of(path)))
}

/// The text of a settings file. A pipe that never ends is refused instead of being read for ever.
///
/// # Errors
/// When it cannot be read, is no text, or is longer than any settings are.
pub fn read_settings(path: &Path) -> io::Result<String> {
    const MOST: u64 = 1 << 20;
    let mut bytes = Vec::new();
    opening::open(path)?
        .take(MOST + 1)
        .read_to_end(&mut bytes)?;
    if bytes.len() as u64 > MOST {
        return Err(io::Error::other(
            "it has more than 1 MiB, so it is no settings file",
        ));
    }
    String::from_utf8(bytes).map_err(|_| io::Error::other("it is no text (UTF-8)"))
}

/// The name of a file as it is shown to people.
pub fn name_of(path: &Path) -> String {
    plain(&path.to_string_lossy()).into_owned()
}

/// Columns of a terminal that `text` takes; wide characters take two.
pub fn width(text: &str) -> usize {
    text.width()
}

/// `text` with spaces behind it up to `columns` of a terminal.
pub fn pad(text: &str, columns: usize) -> String {
    let missing = columns.saturating_sub(width(text));
    format!("{text}{}", " ".repeat(missing))
}

/// The end of `text` in at most `columns` of a terminal: what tells two paths apart stands at their
/// ends.
pub fn end_of(text: &str, columns: usize) -> Cow<'_, str> {
    if width(text) <= columns {
        return Cow::Borrowed(text);
    }
    let mut room = columns.saturating_sub(1);
    let mut start = text.len();
    for (at, c) in text.char_indices().rev() {
        let wide = c.width().unwrap_or(0);
        if wide > room {
            break;
        }
        room -= wide;
        start = at;
    }
    Cow::Owned(format!("…{}", &text[start..]))
}

/// `1 song`, `2 songs`.
pub fn count(n: usize, one: &str) -> String {
    let s = if n == 1 { "" } else { "s" };
    format!("{n} {one}{s}")
}

/// That a sound of `length` is too short for an answer, which takes `least`.
pub fn too_short(length: Seconds, least: Seconds) -> String {
    // Rounded up: what is said must be enough.
    let least = (least.0 * 100.0).ceil() / 100.0;
    format!("{:.2} s long; an answer takes {least:.2} s", length.0)
}

/// An error with its causes, each said once: many an error names its cause in its own text.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if text.is_empty() {
            text = cause;
        } else if !text.contains(&cause) {
            text = format!("{text}: {cause}");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_act_on_a_terminal() {
        assert_eq!(plain("a\x1b[2Jb\nc"), "a\\u{1b}[2Jb\\nc");
        assert_eq!(plain("x\u{202e}y"), "x\\u{202e}y");
        assert_eq!(plain("Sigur Rós/日本.mp3"), "Sigur Rós/日本.mp3");
    }

    #[test]
    fn wide_characters_line_up() {
        assert_eq!(pad("日本", 6), "日本  ");
        assert_eq!(pad("abc", 6), "abc   ");
        assert_eq!(end_of("album/日本.mp3", 8), "…本.mp3");
        assert_eq!(width(&end_of("a/long/name.mp3", 8)), 8);
        assert_eq!(end_of("b.mp3", 8), "b.mp3");
    }

    #[test]
    fn an_error_says_each_thing_once() {
        #[derive(Debug, thiserror::Error)]
        #[error("cannot open 'x': {source}")]
        struct Outer {
            source: std::io::Error,
        }
        let source = std::io::Error::other("no such thing");
        let error = anyhow::Error::new(Outer { source }).context("a feed");
        assert_eq!(told(&error), "a feed: cannot open 'x': no such thing");
        let error = anyhow::anyhow!("no such thing").context("cannot read 'y'");
        assert_eq!(told(&error), "cannot read 'y': no such thing");
    }
}
