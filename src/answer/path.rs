//! Names of files in rows of text, also those that are no text.

use std::path::{Path, PathBuf};

/// `path` as text from which [`from_text`] makes it again. A name that is no UTF-8 has its other
/// bytes as `\x` and two hexadecimal digits, and its backslashes doubled; so has one that could be
/// taken for such.
pub fn to_text(path: &Path) -> String {
    if let Some(text) = path.to_str().filter(|text| !text.contains("\\x")) {
        return text.to_owned();
    }
    let mut text = String::new();
    for chunk in path.as_os_str().as_encoded_bytes().utf8_chunks() {
        text += &chunk.valid().replace('\\', "\\\\");
        for byte in chunk.invalid() {
            text += &format!("\\x{byte:02x}");
        }
    }
    text
}

/// The path that [`to_text`] has written.
pub fn from_text(text: &str) -> PathBuf {
    if !text.contains("\\x") {
        return text.into();
    }
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some(at) = rest.find('\\') {
        bytes.extend(&rest.as_bytes()[..at]);
        rest = &rest[at + 1..];
        let byte = rest
            .strip_prefix('x')
            .and_then(|tail| u8::from_str_radix(tail.get(..2)?, 16).ok());
        if let Some(byte) = byte {
            bytes.push(byte);
            rest = &rest[3..];
        } else {
            bytes.push(b'\\');
            rest = rest.strip_prefix('\\').unwrap_or(rest);
        }
    }
    bytes.extend(rest.as_bytes());
    path_of(bytes)
}

#[cfg(unix)]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    use std::os::unix::ffi::OsStringExt as _;
    std::ffi::OsString::from_vec(bytes).into()
}

#[cfg(not(unix))]
fn path_of(bytes: Vec<u8>) -> PathBuf {
    String::from_utf8_lossy(&bytes).into_owned().into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[cfg(unix)]
    #[test]
    fn names_that_are_no_text_come_back_from_it() {
        for name in [
            &b"plain.mp3"[..],
            "日本.mp3".as_bytes(),
            b"caf\xe9.mp3",
            b"a\\b\xff\\.mp3",
            b"not \\xe9.mp3",
            b"dir\\file.mp3",
            b"\\x",
            b"\xc3",
        ] {
            let path = path_of(name.to_vec());
            let text = to_text(&path);
            assert_eq!(from_text(&text), path, "{text}");
        }
        assert_eq!(to_text(&path_of(b"caf\xe9.mp3".to_vec())), "caf\\xe9.mp3");
        assert_eq!(to_text(Path::new("dir\\file.mp3")), "dir\\file.mp3");
    }
}
