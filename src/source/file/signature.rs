//! What the first bytes of a file say it is.

use std::io;

use super::{aiff, au, input::Input, wav};

/// Bytes of a file's beginning that are looked at, at most.
pub(super) const BYTES: usize = 2_048;

/// What a file is, by its first bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Wav,
    Aiff,
    Au,
    Flac,
    Ogg,
    Caf,
    Mp4,
    Matroska,
    /// Something that is not read.
    Other(&'static str),
    /// Something that cannot be read without a key.
    Encrypted(&'static str),
    /// Nothing that is known: MPEG audio, AAC, or no audio.
    Unknown,
}

impl Kind {
    /// Whether it is a container that is read.
    pub(super) fn is_read(self) -> bool {
        !matches!(self, Self::Other(_) | Self::Encrypted(_) | Self::Unknown)
    }
}

/// The bytes to go by. A live stream is not kept waiting: what is at hand is enough where the first
/// few are known.
pub(super) fn peek(input: &mut Input) -> io::Result<&[u8]> {
    let few = input.peek(64)?;
    let n = if matches!(kind(few), Kind::Unknown | Kind::Ogg | Kind::Matroska) {
        // MPEG audio begins with its mark, and is looked at frame by frame.
        if few.starts_with(b"\xff") { 64 } else { BYTES }
    } else {
        64
    };
    input.peek(n)
}

/// What `start` begins is.
pub(super) fn kind(start: &[u8]) -> Kind {
    let formats: [(&[u8], Kind); 3] = [
        (b"fLaC", Kind::Flac),
        (b"caff", Kind::Caf),
        (b"\x1a\x45\xdf\xa3", Kind::Matroska),
    ];
    if wav::is_wav(start) || wav::is_w64(start) {
        return Kind::Wav;
    }
    if aiff::is_aiff(start) {
        return Kind::Aiff;
    }
    if au::is_au(start) {
        return Kind::Au;
    }
    if let Some((_, kind)) = formats.iter().find(|(magic, _)| start.starts_with(magic)) {
        return *kind;
    }
    if start.starts_with(b"OggS") {
        return ogg(start).map_or(Kind::Ogg, Kind::Other);
    }
    if let Some(brand) = start.get(4..12)
        && let Some(brand) = brand.strip_prefix(b"ftyp")
    {
        return match brand {
            b"aax " | b"aaxc" => Kind::Encrypted("an Audible audio book"),
            b"heic" | b"heix" | b"avif" | b"mif1" | b"msf1" | b"crx " => Kind::Other("a picture"),
            _ => Kind::Mp4,
        };
    }
    let atoms: [&[u8]; 5] = [b"moov", b"mdat", b"wide", b"free", b"skip"];
    if start.len() >= 16 && start[0] < 0x10 && atoms.contains(&&start[4..8]) {
        return Kind::Mp4;
    }
    if let Some((_, _, what)) = ENCRYPTED.iter().find(|row| is_at(start, row.0, row.1)) {
        return Kind::Encrypted(what);
    }
    if let Some((_, _, what)) = OTHERS.iter().find(|row| is_at(start, row.0, row.1)) {
        return Kind::Other(what);
    }
    other(start).map_or(Kind::Unknown, Kind::Other)
}

fn is_at(start: &[u8], at: usize, magic: &[u8]) -> bool {
    start.get(at..).is_some_and(|tail| tail.starts_with(magic))
}

/// Where, what, and what it means.
type Row = (usize, &'static [u8], &'static str);

const ENCRYPTED: [Row; 11] = [
    (4, b"\x57\x90\x75\x36", "an Audible audio book"),
    (0, b"CTENFDAM", "a NetEase download"),
    (0, b"\x7c\xd5\x32\xeb\x86\x02\x7f\x4b", "a KuGou download"),
    (0, b"yeelion-kuwo", "a Kuwo download"),
    (0, b"\x05\x28\xbc\x96\xe9\xe4\x5a\x43", "a KuGou download"),
    (0, b"ifmt", "a Xiami download"),
    (0, b"\xa5\x06\xb7\x89", "a QQ Music download"),
    (0, b"\x8c\x2d\xb1\x99", "a QQ Music download"),
    (0, b"Salted__", "by OpenSSL"),
    (0, b"age-encryption.org", "by age"),
    (0, b"-----BEGIN PGP MESSAGE", "by PGP"),
];

const OTHERS: [Row; 160] = [
    (0, b"wvpk", "WavPack"),
    (0, b"MAC ", "Monkey's Audio"),
    (0, b"MPCK", "Musepack"),
    (0, b"MP+", "Musepack"),
    (0, b"TTA1", "True Audio"),
    (0, b"TTA2", "True Audio"),
    (0, b"tBaK", "TAK"),
    (0, b"OFR ", "OptimFROG"),
    (0, b"ajkg", "Shorten"),
    (0, b"LA0", "Lossless Audio"),
    (0, b"DSD ", "DSD audio"),
    (0, b"FRM8", "DSD audio"),
    (
        0,
        b"\x30\x26\xb2\x75\x8e\x66\xcf\x11",
        "a Windows Media file, wma or wmv",
    ),
    (0, b".RMF", "RealAudio"),
    (0, b".ra\xfd", "RealAudio"),
    (0, b"#!AMR", "AMR speech"),
    (0, b"#!SILK", "SILK speech"),
    (0, b"\x02#!SILK", "SILK speech"),
    (0, b"Creative Voice File", "a Creative Voice file"),
    (0, b"\x0b\x77", "Dolby Digital, ac3 or eac3"),
    (0, b"\x7f\xfe\x80\x01", "DTS"),
    (0, b"\xfe\x7f\x01\x80", "DTS"),
    (0, b"\x1f\xff\xe8\x00", "DTS"),
    (0, b"\xff\x1f\x00\xe8", "DTS"),
    (4, b"\xf8\x72\x6f\xba", "Dolby TrueHD"),
    (4, b"\xf8\x72\x6f\xbb", "Dolby TrueHD"),
    (0, b"EA3\x03", "Sony ATRAC"),
    (0, b"ea3\x03", "Sony ATRAC"),
    (0, b"NIST_1A", "NIST SPHERE"),
    (0, b"fap ", "an Ensoniq PARIS sample"),
    (0, b" paf", "an Ensoniq PARIS sample"),
    (0, b"PVF1", "a Portable Voice file"),
    (0, b"PVF2", "a Portable Voice file"),
    (0, b"ALawSoundFile", "a Psion sample"),
    (0, b"SOUND SAMPLE DATA", "a SampleVision sample"),
    (0, b"SOUND\x1a", "a Sounder sample"),
    (0, b"\xf0\x7e", "a MIDI sample dump"),
    (0, b"GF1PATCH", "a patch of the Gravis UltraSound"),
    (0, b"Extended Instrument:", "an instrument of a tracker"),
    (0, b"IMPS", "a sample of a tracker"),
    (0, b"\0\xa3\x01\x64", "an IRCAM sample"),
    (0, b"\x64\xa3\x01\0", "an IRCAM sample"),
    (0, b"\x64\xa3\x02\0", "an IRCAM sample"),
    (0, b"\x64\xa3\x03\0", "an IRCAM sample"),
    (0, b"\x64\xa3\x04\0", "an IRCAM sample"),
    (0, b"MATLAB 5.0 MAT", "a MATLAB file"),
    (65, b"FSSD", "a Macintosh sample"),
    (0, b"#!iLBC", "iLBC speech"),
    (0, b"#!EVRC", "EVRC speech"),
    (0, b"#!SMV", "SMV speech"),
    (0, b"\xc0\xde\xc2", "Codec 2 speech"),
    (0, b"TWIN", "TwinVQ"),
    (0, b"\0RKA7", "RK Audio"),
    (0, b"RKA7", "RK Audio"),
    (0, b"nut/multimedia container", "a NUT video"),
    (0, b"STRM", "music of a games console"),
    (0, b"RSTM\xfe\xff", "music of a games console"),
    (0, b"CSTM", "music of a games console"),
    (0, b"FSTM", "music of a games console"),
    (0, b"FSB", "music of a game"),
    (0, b"VAGp", "music of a games console"),
    (0, b"CRID", "music of a game"),
    (0, b"BIKi", "a Bink video"),
    (0, b"KB2", "a Bink video"),
    (0, b"SMK2", "a Smacker video"),
    (0, b"SMK4", "a Smacker video"),
    (0, b"PSF", "music of a games console"),
    (0, b"GBS\x01", "music of a games console"),
    (0, b"HESM", "music of a games console"),
    (0, b"KSCC", "music of a games console"),
    (0, b"KSSX", "music of a games console"),
    (0, b"GYMX", "music of a games console"),
    (0, b"ZXAYEMUL", "music of a home computer"),
    (0, b"SAP\r\n", "music of a home computer"),
    (0, b"YM5!LeOnArD!", "music of a home computer"),
    (0, b"YM6!LeOnArD!", "music of a home computer"),
    (0, b"SC68 Music-file", "music of a home computer"),
    (0, b"MMD", "a tracker module"),
    (0, b"MO3", "a tracker module"),
    (0, b"MTM", "a tracker module"),
    (0, b"MAS_UTrack", "a tracker module"),
    (0, b"OKTASONG", "a tracker module"),
    (0, b"DBM0", "a tracker module"),
    (0, b"AMF", "a tracker module"),
    (0, b"PSM ", "a tracker module"),
    (0, b"THX\0", "a tracker module"),
    (0, b"THX\x01", "a tracker module"),
    (20, b"!Scream!", "a tracker module"),
    (44, b"PTMF", "a tracker module"),
    (1080, b"M&K!", "a tracker module"),
    (1080, b"FLT8", "a tracker module"),
    (1080, b"4CHN", "a tracker module"),
    (1080, b"CD81", "a tracker module"),
    (1080, b"OKTA", "a tracker module"),
    (1080, b"OCTA", "a tracker module"),
    (0, b"2BIT", "an AVR sample"),
    (0, b"MThd", "a MIDI file: notes without sound"),
    (0, b"MMMD", "a SMAF ring tone"),
    (0, b"Extended Module:", "a tracker module"),
    (0, b"IMPM", "a tracker module"),
    (44, b"SCRM", "a tracker module"),
    (1080, b"M.K.", "a tracker module"),
    (1080, b"M!K!", "a tracker module"),
    (1080, b"FLT4", "a tracker module"),
    (1080, b"6CHN", "a tracker module"),
    (1080, b"8CHN", "a tracker module"),
    (0, b"PSID", "music of a Commodore 64"),
    (0, b"RSID", "music of a Commodore 64"),
    (0, b"NESM\x1a", "music of a games console"),
    (0, b"SNES-SPC700", "music of a games console"),
    (0, b"Vgm ", "music of a games console"),
    (0, b"#EXTM3U", "a playlist"),
    (0, b"[playlist]", "a playlist"),
    (0, b"FLV\x01", "a Flash video"),
    (0, b"FWS", "a Flash film"),
    (0, b"CWS", "a Flash film"),
    (0, b"\0\0\x01\xba", "an MPEG video"),
    (0, b"\0\0\x01\xb3", "an MPEG video"),
    (0, b"%PDF", "a PDF document"),
    (0, b"{\\rtf", "a document"),
    (0, b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", "an Office document"),
    (0, b"\x89PNG", "a picture"),
    (0, b"\xff\xd8\xff", "a picture"),
    (0, b"GIF8", "a picture"),
    (0, b"II*\0", "a picture"),
    (0, b"MM\0*", "a picture"),
    (0, b"8BPS", "a picture"),
    (0, b"\xff\x0a", "a picture"),
    (0, b"\0\0\0\x0cJXL ", "a picture"),
    (0, b"\0\0\0\x0cjP  ", "a picture"),
    (0, b"PK\x03\x04", "a zip archive"),
    (0, b"PK\x05\x06", "a zip archive"),
    (0, b"Rar!", "a rar archive"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive"),
    (0, b"\x1f\x8b", "a gzip archive"),
    (0, b"BZh", "a bzip2 archive"),
    (0, b"\xfd7zXZ", "an xz archive"),
    (0, b"\x28\xb5\x2f\xfd", "a zstd archive"),
    (0, b"\x04\x22\x4d\x18", "an lz4 archive"),
    (0, b"MSCF", "a cab archive"),
    (0, b"!<arch>", "an archive of programs"),
    (257, b"ustar", "a tar archive"),
    (0, b"\x7fELF", "a program"),
    (0, b"\xca\xfe\xba\xbe", "a program"),
    (0, b"\xfe\xed\xfa\xce", "a program"),
    (0, b"\xfe\xed\xfa\xcf", "a program"),
    (0, b"\xce\xfa\xed\xfe", "a program"),
    (0, b"\xcf\xfa\xed\xfe", "a program"),
    (0, b"\0asm", "a program"),
    (0, b"#!", "a script"),
    (0, b"SQLite format 3", "a database"),
    (0, b"OTTO", "a font"),
    (0, b"wOFF", "a font"),
    (0, b"wOF2", "a font"),
    (0, b"ttcf", "a font"),
    (0, b"\0\x01\0\0\0", "a font"),
    (0, b"\xfe\xff", "text"),
    (0, b"\xef\xbb\xbf", "text"),
    (0, b"\xde\x12\x04\x95", "a translation"),
    (
        0,
        b"<",
        "a web page or other markup: perhaps a download that failed",
    ),
];

/// What a file without sound resembles.
pub(super) fn resembles(start: &[u8]) -> Option<&'static str> {
    if start.starts_with(b"\xff\xfe") {
        return Some("text");
    }
    other(start)
}

/// What takes more than a comparison.
fn other(start: &[u8]) -> Option<&'static str> {
    let is_text = |byte: &u8| byte.is_ascii_graphic() || byte.is_ascii_whitespace();
    if start.starts_with(b"RIFF") && start.len() >= 12 {
        return Some(match &start[8..12] {
            b"AVI " => "an AVI video",
            b"RMID" => "a MIDI file: notes without sound",
            b"WEBP" => "a picture",
            b"sfbk" => "a set of instruments",
            _ => "a RIFF file other than WAV",
        });
    }
    if start.starts_with(b"FORM") && start.len() >= 12 {
        return Some(match &start[8..12] {
            b"8SVX" | b"16SV" => "an Amiga sample",
            _ => "an IFF file other than AIFF",
        });
    }
    if start.starts_with(b"MZ") && start.len() >= 64 {
        return Some("a program");
    }
    if start.starts_with(b"BM") && start.get(6..10) == Some(&[0; 4]) {
        return Some("a picture");
    }
    // Transport streams have a mark every 188 bytes, or every 192 on discs.
    for (at, step) in [(0, 188), (4, 192)] {
        if start.len() > at + 4 * step && (0..4).all(|n| start[at + n * step] == 0x47) {
            return Some("an MPEG transport stream");
        }
    }
    // Modules of many channels say how many.
    if let Some(&[a, b, b'C', b'H' | b'N']) = start.get(1080..1084)
        && a.is_ascii_digit()
        && b.is_ascii_digit()
    {
        return Some("a tracker module");
    }
    // LOAS: a mark, a length, and the mark again behind it.
    if let &[0x56, b, c, ..] = start
        && b & 0xe0 == 0xe0
    {
        let next = 3 + (usize::from(b & 0x1f) << 8 | usize::from(c));
        if is_at(start, next, b"\x56") {
            return Some("AAC in LOAS");
        }
    }
    (!start.is_empty() && start.iter().all(is_text)).then_some("text")
}

/// What an Ogg file holds, if all that its first pages begin is something that is not read.
fn ogg(start: &[u8]) -> Option<&'static str> {
    let read: [&[u8]; 3] = [b"\x01vorbis", b"OpusHead", b"\x7fFLAC"];
    let others: [(&[u8], &str); 9] = [
        (b"Speex   ", "Ogg with Speex"),
        (b"CELT    ", "Ogg with CELT"),
        (b"PCM     ", "Ogg with PCM"),
        (b"\x01audio", "an OGM video"),
        (b"\x01video", "an OGM video"),
        (b"\x80theora", "a Theora video without sound"),
        (b"OVP80", "a VP8 video without sound"),
        (b"BBCD", "a Dirac video without sound"),
        (b"Midi    ", "Ogg with MIDI: notes without sound"),
    ];
    let (mut at, mut found) = (0, None);
    while is_at(start, at, b"OggS") {
        let n_segments = usize::from(*start.get(at + 26)?);
        let lengths = start.get(at + 27..at + 27 + n_segments)?;
        let body = at + 27 + n_segments;
        // The first pages begin streams.
        if start[at + 5] & 2 == 0 {
            return found;
        }
        if read.iter().any(|magic| is_at(start, body, magic)) {
            return None;
        }
        let other = others.iter().find(|(magic, _)| is_at(start, body, magic));
        found = found.or(other.map(|(_, what)| *what));
        at = body + lengths.iter().map(|&n| usize::from(n)).sum::<usize>();
    }
    // More streams may begin behind what is at hand.
    found.filter(|_| at < start.len())
}
