//! Files of JSON Lines that are gone on with: whether they are ours, and where their last whole
//! line ends.

use std::{
    fs::OpenOptions,
    io::{BufRead as _, BufReader, Read as _, Seek as _, SeekFrom, Write as _},
};

use anyhow::Context as _;
use serde_json::Value;

use super::{output_file::OutputFile, text::name_of};

/// Types of the messages that this program writes (docs/messages.md).
const KINDS: [&str; 5] = ["hello", "status", "genre", "song", "error"];

/// How a line of ours begins: what a line that was cut off can be told by.
const BEGINNINGS: [&[u8]; 3] = [br#"{"v":"#, br#"{"confidence":"#, br#"{"error":"#];

/// Bytes of a line that are looked at, at most.
const LONGEST: u64 = 1 << 20;

/// The message in a whole line, if it is one of ours.
pub(super) fn message(line: &[u8]) -> Option<Value> {
    let value: Value = serde_json::from_slice(line).ok()?;
    let ours = value["v"].is_u64()
        && value["type"]
            .as_str()
            .is_some_and(|kind| KINDS.contains(&kind));
    ours.then_some(value)
}

/// Whether `tail`, behind the last line end, can be the beginning of a message.
pub(super) fn is_torn(tail: &[u8]) -> bool {
    let tail = without_zeros(tail);
    BEGINNINGS
        .iter()
        .any(|start| tail.starts_with(start) || start.starts_with(tail))
}

/// `tail` without the zeros at its end that a machine leaves which lost power.
pub(super) fn without_zeros(tail: &[u8]) -> &[u8] {
    let n_zeros = tail.iter().rev().take_while(|&&byte| byte == 0).count();
    &tail[..tail.len() - n_zeros]
}

/// Makes a file ready for more messages at its end: a last line that was cut off is taken away,
/// which is told by `true`.
///
/// # Errors
/// When it cannot be read, or holds something else than our messages.
pub(super) fn make_ready(output: &OutputFile) -> anyhow::Result<bool> {
    let name = name_of(output.path());
    let cannot = || format!("cannot read '{name}'");
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .open(output.real())
        .with_context(cannot)?;
    let n_bytes = file.metadata().with_context(cannot)?.len();
    if n_bytes == 0 {
        return Ok(false);
    }
    let mut first = Vec::new();
    BufReader::new(&file)
        .take(LONGEST)
        .read_until(b'\n', &mut first)
        .with_context(cannot)?;
    let from = n_bytes.saturating_sub(LONGEST);
    let mut end = Vec::new();
    file.seek(SeekFrom::Start(from))
        .and_then(|_| file.read_to_end(&mut end))
        .with_context(cannot)?;
    let whole = end
        .iter()
        .rposition(|&byte| byte == b'\n')
        .map_or(0, |at| at + 1);
    let (lines, tail) = end.split_at(whole);
    let last = lines.trim_ascii_end().rsplit(|&byte| byte == b'\n').next();
    let ours = if lines.is_empty() {
        is_torn(tail) || message(tail).is_some()
    } else {
        message(&first).is_some() && last.is_some_and(|last| message(last).is_some())
    };
    anyhow::ensure!(
        ours,
        "'{name}' holds something else than the messages of genrescope; give another file"
    );
    if tail.is_empty() {
        return Ok(false);
    }
    let cannot = || format!("cannot write '{name}'");
    if message(tail).is_some() {
        file.write_all(b"\n").with_context(cannot)?;
        return Ok(false);
    }
    file.set_len(from + whole as u64).with_context(cannot)?;
    Ok(true)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    const LINE: &str = r#"{"v":1,"type":"status","state":"live"}"#;

    fn ready(content: &[u8]) -> (anyhow::Result<bool>, Vec<u8>) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        fs::write(&path, content).unwrap();
        let result = make_ready(&OutputFile::at(&path).unwrap());
        (result, fs::read(&path).unwrap())
    }

    #[test]
    fn what_is_not_ours_is_refused_and_left_as_it_is() {
        for text in [
            "remember the milk\n",
            "remember the milk",
            "path,genre\n",
            "{\"a\":1}\n",
            "{\"a\":1}",
            "[1, 2]\n",
            "\0\0text",
        ] {
            let (result, after) = ready(text.as_bytes());
            assert!(result.is_err(), "{text:?}");
            assert_eq!(after, text.as_bytes());
        }
        let mixed = format!("{LINE}\nnotes\n");
        assert!(ready(mixed.as_bytes()).0.is_err());
    }

    #[test]
    fn a_line_that_was_cut_off_is_taken_away() {
        let whole = format!("{LINE}\n{LINE}\n").into_bytes();
        assert_eq!(ready(&whole).1, whole);
        for tail in [&b"{\"v\":1,\"ty"[..], b"\0\0\0\0", b"{"] {
            let (result, after) = ready(&[&whole, tail].concat());
            assert!(result.unwrap());
            assert_eq!(after, whole);
        }
        assert_eq!(ready(&whole[..whole.len() - 1]).1, whole);
        assert_eq!(ready(&LINE.as_bytes()[..20]).1, b"");
        assert!(!ready(b"").0.unwrap());
    }
}
