//! What the first bytes of a file say it is.

/// What the first bytes of a file that is not readable audio say it is.
pub(super) fn looks_like(signature: &[u8]) -> Option<&'static str> {
    let known: [(&[u8], &str); 21] = [
        (
            b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
            "a Windows Media file, wma or wmv",
        ),
        (b"MAC ", "Monkey's Audio"),
        (b"wvpk", "WavPack"),
        (b"DSD ", "DSD audio"),
        (b"FRM8", "DSD audio"),
        (b"MThd", "a MIDI file: notes without sound"),
        (b"#EXTM3U", "a playlist"),
        (b"[playlist]", "a playlist"),
        (b"MPCK", "Musepack"),
        (b"MP+", "Musepack"),
        (b"TTA1", "True Audio"),
        (b"FLV\x01", "a Flash video"),
        (b"%PDF", "a PDF document"),
        (b"\x89PNG", "a picture"),
        (b"\xff\xd8\xff", "a picture"),
        (b"GIF8", "a picture"),
        (b"PK\x03\x04", "a zip archive"),
        (b"Rar!", "a rar archive"),
        (b"\x1f\x8b", "a gzip archive"),
        (b"\x7fELF", "a program"),
        (
            b"<",
            "a web page or other markup: perhaps a download that failed",
        ),
    ];
    let found = known
        .iter()
        .find(|(start, _)| signature.starts_with(start))
        .map(|(_, what)| *what);
    found.or_else(|| {
        if signature.starts_with(b"RIFF") && signature.get(8..12) != Some(b"WAVE") {
            Some("a RIFF file other than WAV, such as an AVI video")
        } else if !signature.is_empty() && signature.iter().all(|&b| b == 0) {
            Some("zeros only: perhaps a download that failed")
        } else if !signature.is_empty()
            && signature
                .iter()
                .all(|b| b.is_ascii_graphic() || b.is_ascii_whitespace())
        {
            Some("text")
        } else {
            None
        }
    })
}

pub(super) fn is_mp4(signature: &[u8]) -> bool {
    signature.get(4..8) == Some(b"ftyp")
}

/// Whether the first bytes are those of a format that can be read.
pub(super) fn looks_like_audio(signature: &[u8]) -> bool {
    let starts: [&[u8]; 7] = [
        b".snd",
        b"fLaC",
        b"OggS",
        b"ID3",
        b"FORM",
        b"caff",
        b"\x1a\x45\xdf\xa3",
    ];
    starts.iter().any(|start| signature.starts_with(start))
        || (signature.starts_with(b"RIFF")
            && signature.get(8..12).is_none_or(|kind| kind == b"WAVE"))
        || is_mp4(signature)
}
