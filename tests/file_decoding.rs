//! Files of every format, and files that are none, are decoded or told.
#![cfg(feature = "file")]
#![allow(
    clippy::unwrap_used,
    clippy::print_stderr,
    clippy::cast_possible_wrap,
    reason = "helpers of tests: a failure is a failed test, and skipped parts are told on stderr"
)]

#[path = "support/random.rs"]
mod random;
#[path = "support/skip.rs"]
mod skip;

use std::{
    fs,
    io::{self, Read},
    path::{Path, PathBuf},
    process::{Command, Stdio},
};

use genrescope::{
    source::file::{AudioFile, FileError, RawFormat, RawPcm},
    units::{SampleRate, Seconds},
};
use random::Random;

/// A stereo sweep over noise, 2 s, `[n_frames, 2]`.
fn sweep(rate: u32) -> Vec<f32> {
    let mut random = Random::new(7);
    (0..2 * rate)
        .flat_map(|n| {
            let t = f64::from(n) / f64::from(rate);
            let noise = 0.5 * f64::from(random.sample());
            let left = 0.4 * (std::f64::consts::TAU * (150.0 * t + 700.0 * t * t)).sin();
            [
                (left + 0.05 * noise) as f32,
                (0.2 * left - 0.1 * noise) as f32,
            ]
        })
        .collect()
}

fn write_wav(path: &Path, rate: u32, n_channels: u16, samples: &[f32]) {
    let spec = hound::WavSpec {
        channels: n_channels,
        sample_rate: rate,
        bits_per_sample: 32,
        sample_format: hound::SampleFormat::Float,
    };
    let mut writer = hound::WavWriter::create(path, spec).unwrap();
    for sample in samples {
        writer.write_sample(*sample).unwrap();
    }
    writer.finalize().unwrap();
}

/// Means of frames.
fn mono(samples: &[f32], n_channels: usize) -> Vec<f32> {
    samples
        .chunks_exact(n_channels)
        .map(|frame| frame.iter().sum::<f32>() / n_channels as f32)
        .collect()
}

/// All samples of a file, and the error it ended with.
fn drain(file: &mut AudioFile) -> (Vec<f32>, Option<FileError>) {
    let (mut all, mut block) = (vec![], vec![]);
    loop {
        match file.next_block(&mut block) {
            Ok(true) => all.extend_from_slice(&block),
            Ok(false) => return (all, None),
            Err(error) => {
                assert!(
                    !file.next_block(&mut block).unwrap(),
                    "the file goes on after {error}"
                );
                return (all, Some(error));
            }
        }
    }
}

fn read(path: &Path) -> Result<(Vec<f32>, AudioFile), FileError> {
    let read = drained(AudioFile::open(path));
    // The same bytes at hand give the same.
    if let Ok(bytes) = fs::read(path) {
        let at_hand = drained(AudioFile::from_bytes(path, bytes));
        assert_eq!(told(&at_hand), told(&read), "{}", path.display());
    }
    read
}

type Drained = Result<(Vec<f32>, AudioFile), FileError>;

fn drained(file: Result<AudioFile, FileError>) -> Drained {
    let mut file = file?;
    match drain(&mut file) {
        (samples, None) => Ok((samples, file)),
        (_, Some(error)) => Err(error),
    }
}

/// What two readings have in common: samples to their last bit, and words.
fn told(drained: &Drained) -> Result<(Vec<u32>, String), String> {
    match drained {
        Ok((samples, file)) => {
            let bits = samples.iter().map(|sample| sample.to_bits()).collect();
            Ok((bits, format!("{file:?}")))
        }
        Err(error) => Err(error.to_string()),
    }
}

/// The tests of formats that only ffmpeg can write.
fn ffmpeg() -> bool {
    let found = Command::new("ffmpeg")
        .arg("-version")
        .output()
        .is_ok_and(|output| output.status.success());
    if !found {
        skip::skip(
            "ffmpeg",
            "ffmpeg is not on the PATH to make files to decode",
        );
    }
    found
}

fn run_ffmpeg(args: &[&str]) -> Option<Vec<u8>> {
    let output = Command::new("ffmpeg")
        .args(["-nostdin", "-v", "error", "-y"])
        .args(args)
        .stdin(Stdio::null())
        .output()
        .unwrap();
    output.status.success().then_some(output.stdout)
}

/// Lag in `-most..=most` at which `a[n + lag]` resembles `b[n]` most, and the correlation there.
fn align(a: &[f32], b: &[f32], most: i64) -> (i64, f64) {
    let n = (b.len().min(a.len()) as i64 - 2 * most).min(24_000);
    let correlation = |lag: i64| {
        let (a, b) = (
            &a[(most + lag) as usize..][..n as usize],
            &b[most as usize..][..n as usize],
        );
        let dot =
            |x: &[f32], y: &[f32]| x.iter().zip(y).map(|(x, y)| f64::from(x * y)).sum::<f64>();
        dot(a, b) / (dot(a, a) * dot(b, b)).sqrt()
    };
    (-most..=most)
        .map(|lag| (lag, correlation(lag)))
        .max_by(|x, y| x.1.total_cmp(&y.1))
        .unwrap()
}

#[test]
fn every_format_decodes_as_ffmpeg_decodes_it() {
    if !ffmpeg() {
        return;
    }
    // File name, what ffmpeg is to write, and how far the beginning may be off: encoders delay, and
    // not every container says by how much.
    let formats: [(&str, &str, i64); 48] = [
        ("u8.wav", "-c:a pcm_u8", 0),
        ("s16.wav", "-c:a pcm_s16le", 0),
        ("s24.wav", "-c:a pcm_s24le", 0),
        ("s32.wav", "-c:a pcm_s32le", 0),
        ("f32.wav", "-c:a pcm_f32le", 0),
        ("f64.wav", "-c:a pcm_f64le", 0),
        ("alaw.wav", "-c:a pcm_alaw", 0),
        ("mulaw.wav", "-c:a pcm_mulaw", 0),
        ("adpcm.wav", "-c:a adpcm_ima_wav", 0),
        ("s16_192k.wav", "-ar 192000 -c:a pcm_s16le", 0),
        ("s16_8k_mono.wav", "-ar 8000 -ac 1 -c:a pcm_s16le", 0),
        ("s16_6_channels.wav", "-ac 6 -c:a pcm_s16le", 0),
        ("s16.au", "-c:a pcm_s16be", 0),
        ("mu.au", "-c:a pcm_mulaw", 0),
        ("a.au", "-c:a pcm_alaw", 0),
        ("s16.aiff", "-c:a pcm_s16be", 0),
        ("s24.aiff", "-c:a pcm_s24be", 0),
        ("f32.aiff", "-c:a pcm_f32be", 0),
        ("s16.caf", "-c:a pcm_s16le", 0),
        ("16.flac", "-c:a flac -sample_fmt s16", 0),
        ("24.flac", "-c:a flac -sample_fmt s32", 0),
        ("96k_8_channels.flac", "-ar 96000 -ac 8 -c:a flac", 0),
        ("flac.ogg", "-c:a flac", 0),
        ("cbr.mp3", "-c:a libmp3lame -b:a 128k", 1200),
        ("vbr.mp3", "-c:a libmp3lame -q:a 4", 1200),
        (
            "no_xing.mp3",
            "-c:a libmp3lame -b:a 96k -write_xing 0 -id3v2_version 0",
            1200,
        ),
        (
            "mpeg2_22k_mono.mp3",
            "-ar 22050 -ac 1 -c:a libmp3lame",
            1200,
        ),
        ("mpeg25_8k.mp3", "-ar 8000 -ac 1 -c:a libmp3lame", 1200),
        ("layer2.mp2", "-c:a mp2", 1200),
        ("stereo.ogg", "-c:a libvorbis -q:a 4", 200),
        ("mono_8k.ogg", "-ar 8000 -ac 1 -c:a libvorbis", 200),
        ("6_channels.ogg", "-ac 6 -c:a libvorbis", 200),
        ("stereo.opus", "-c:a libopus -b:a 96k", 400),
        ("mono.opus", "-ac 1 -c:a libopus -b:a 32k", 400),
        (
            "short_frames.opus",
            "-c:a libopus -b:a 64k -frame_duration 2.5",
            400,
        ),
        (
            "long_frames.opus",
            "-c:a libopus -b:a 24k -frame_duration 60",
            400,
        ),
        (
            "3_channels.opus",
            "-ac 3 -c:a libopus -b:a 128k -mapping_family 1",
            400,
        ),
        (
            "4_channels.opus",
            "-af pan=4.0|c0=c0|c1=c1|c2=c0|c3=c1 -c:a libopus -b:a 256k -mapping_family 1",
            400,
        ),
        (
            "6_channels.opus",
            "-ac 6 -c:a libopus -b:a 256k -mapping_family 1",
            400,
        ),
        (
            "8_channels.opus",
            "-ac 8 -c:a libopus -b:a 400k -mapping_family 1 -frame_duration 60",
            400,
        ),
        ("aac.m4a", "-c:a aac -b:a 128k", 2200),
        ("aac_mono_22k.m4a", "-ar 22050 -ac 1 -c:a aac", 2200),
        ("alac16.m4a", "-c:a alac -sample_fmt s16p", 0),
        ("alac24.m4a", "-c:a alac -sample_fmt s32p", 0),
        ("adts.aac", "-c:a aac -b:a 96k", 2200),
        ("flac.mka", "-c:a flac", 0),
        ("opus.webm", "-c:a libopus", 400),
        ("aac_faststart.mp4", "-c:a aac -movflags +faststart", 2200),
    ];
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.wav");
    write_wav(&source, 44_100, 2, &sweep(44_100));
    let (mut not_made, mut failures) = (vec![], vec![]);
    for (name, args, slack) in formats {
        let path = folder.path().join(name);
        let (path_text, source_text) = (path.to_str().unwrap(), source.to_str().unwrap());
        let mut command = vec!["-i", source_text];
        command.extend(args.split(' '));
        command.push(path_text);
        if run_ffmpeg(&command).is_none() {
            not_made.push(name);
            continue;
        }
        let (got, file) = match read(&path) {
            Ok(read) => read,
            Err(error) => {
                failures.push(error.to_string());
                continue;
            }
        };
        // ffmpeg's own Opus decoder differs audibly from libopus, the reference.
        let decoder: &[&str] = if name.contains("opus") {
            &["-c:a", "libopus"]
        } else {
            &[]
        };
        let decode = ["-i", path_text, "-f", "f32le", "-c:a", "pcm_f32le", "-"];
        let bytes = run_ffmpeg(&[decoder, &decode].concat()).unwrap();
        let decoded: Vec<f32> = bytes
            .as_chunks()
            .0
            .iter()
            .map(|b| f32::from_le_bytes(*b))
            .collect();
        let want = mono(&decoded, file.n_channels());
        let (lag, correlation) = align(&got, &want, slack.max(4));
        let length_off = got.len() as i64 - want.len() as i64;
        println!(
            "{name:>22}: {} {} channels {}, lag {lag}, correlation {correlation:.7}, length {length_off:+}",
            file.format(),
            file.n_channels(),
            file.rate()
        );
        let duration = file.duration().map_or(2.0, |seconds| seconds.0);
        if lag.abs() > slack
            || correlation < 0.999
            || length_off.abs() > 2 * slack
            || (duration - 2.0).abs() > 0.15
            || file.skipped_packets() > 0
            || file.is_truncated()
        {
            failures.push(format!(
                "{name}: lag {lag}, correlation {correlation}, {length_off} samples too many, {duration} s, {file:?}"
            ));
        }
    }
    if !not_made.is_empty() {
        skip::skip(
            "codec",
            format_args!("this ffmpeg cannot write {not_made:?}"),
        );
    }
    assert!(
        not_made.len() < formats.len() / 2,
        "ffmpeg could hardly write anything"
    );
    assert!(failures.is_empty(), "{failures:#?}");
}

/// A folder with one WAV file of 2 s in it, and the samples of that.
fn wav_at(rate: u32) -> (tempfile::TempDir, PathBuf, Vec<f32>) {
    let folder = tempfile::tempdir().unwrap();
    let (path, samples) = (folder.path().join("a.wav"), sweep(rate));
    write_wav(&path, rate, 2, &samples);
    (folder, path, samples)
}

/// The same, small.
fn one_wav() -> (tempfile::TempDir, PathBuf, Vec<f32>) {
    wav_at(8_000)
}

#[test]
fn a_codec_without_decoder_is_told() {
    if !ffmpeg() {
        return;
    }
    let (folder, wav, _) = one_wav();
    let path = folder.path().join("six.m4a");
    let args = [
        "-i",
        wav.to_str().unwrap(),
        "-ac",
        "6",
        "-c:a",
        "aac",
        path.to_str().unwrap(),
    ];
    if run_ffmpeg(&args).is_none() {
        skip::skip("codec", "this ffmpeg cannot write AAC of six channels");
        return;
    }
    let error = AudioFile::open(&path).unwrap_err();
    assert!(matches!(error, FileError::Unsupported { .. }), "{error}");
    assert!(error.to_string().contains("ffmpeg -i"), "{error}");
}

/// An AU file: big-endian numbers, then samples.
fn au(offset: u32, n_data: u32, encoding: u32, samples: &[u8]) -> Vec<u8> {
    let mut bytes = b".snd".to_vec();
    for number in [offset, n_data, encoding, 8_000, 2] {
        bytes.extend(number.to_be_bytes());
    }
    bytes.resize(offset.max(24) as usize, b' ');
    bytes.extend(samples);
    bytes
}

#[test]
fn au_files_are_read() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("blues.00000.au");
    let samples = sweep(8_000);
    let integers = |bits: u32| -> Vec<u8> {
        let written = samples.iter().flat_map(|&x| {
            let integer = (f64::from(x) * 2_f64.powi(bits as i32 - 1)).round() as i32;
            integer.to_be_bytes()[4 - bits as usize / 8..].to_vec()
        });
        written.collect()
    };
    let floats: Vec<u8> = samples.iter().flat_map(|x| x.to_be_bytes()).collect();
    let doubles = samples.iter().flat_map(|&x| f64::from(x).to_be_bytes());
    let doubles: Vec<u8> = doubles.collect();
    for (encoding, written, worst) in [
        (2, integers(8), 1.0 / 128.0),
        (3, integers(16), 1.0 / 32_768.0),
        (4, integers(24), 1e-6),
        (5, integers(32), 1e-6),
        (6, floats, 0.0),
        (7, doubles, 0.0),
    ] {
        let n_data = written.len() as u32;
        // A short remark, and one that is longer than what is looked at to know the format; a
        // length that is not known.
        for (offset, n_data) in [(24, n_data), (28, u32::MAX), (400, n_data), (64, 0)] {
            let bytes = au(offset, n_data, encoding, &written);
            fs::write(&path, &bytes).unwrap();
            let (got, file) = read(&path).unwrap();
            let want = mono(&samples, 2);
            assert_eq!(got.len(), want.len(), "encoding {encoding}, {offset}");
            let off = got.iter().zip(&want).map(|(a, b)| (a - b).abs());
            let off = off.fold(0.0, f32::max);
            assert!(off <= worst, "encoding {encoding}: off by {off}");
            assert_eq!((file.rate().hz(), file.n_channels()), (8_000, 2));
            assert_eq!(file.duration().unwrap().0, 2.0);
            assert!(!file.is_truncated(), "encoding {encoding}, {offset}");
            let fresh = AudioFile::open(&path).unwrap();
            assert!(fresh.format().starts_with("au/"), "{}", fresh.format());
            let mut piped = AudioFile::from_reader(Box::new(io::Cursor::new(bytes))).unwrap();
            assert_eq!(drain(&mut piped).0, got);
            assert!(!piped.is_truncated(), "encoding {encoding}, {offset}");
        }
    }
    // The codes of zero and of full scale, by ITU-T G.711.
    for (encoding, zero, full) in [(1, 0xff_u8, 0x80_u8), (27, 0xd5, 0xaa)] {
        let mut written = vec![zero; 2_000];
        written.extend([full; 2_000]);
        fs::write(&path, au(24, 4_000, encoding, &written)).unwrap();
        let (got, _) = read(&path).unwrap();
        assert_eq!(got.len(), 2_000);
        assert!(got[..1_000].iter().all(|x| x.abs() < 1e-3), "{encoding}");
        let near = |x: &f32| (x - 0.98).abs() < 0.02;
        assert!(got[1_000..].iter().all(near), "{encoding}: {}", got[1_000]);
    }
}

#[test]
fn au_files_that_cannot_be_read_say_why() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.au");
    let silence = vec![0; 64_000];
    let told = |bytes: &[u8]| -> String {
        fs::write(&path, bytes).unwrap();
        read(&path).unwrap_err().to_string()
    };
    let adpcm = told(&au(24, 64_000, 23, &silence));
    assert!(adpcm.contains("encoding 23"), "{adpcm}");
    let inside = told(&au(8, 64_000, 3, &silence));
    assert!(inside.contains("begins at byte 8"), "{inside}");
    let short = told(&au(24, 64_000, 3, &[])[..20]);
    assert!(short.contains("ends after 20 of 24 bytes"), "{short}");
    let mut mute = au(24, 64_000, 3, &silence);
    mute[20..24].fill(0);
    assert!(told(&mute).contains("0 channels at 8000 Hz"));
    // Half of what the header claims is there, and is heard.
    fs::write(&path, au(24, 128_000, 3, &silence)).unwrap();
    let (samples, file) = read(&path).unwrap();
    assert_eq!(samples.len(), 16_000);
    assert!(file.is_truncated());
}

#[test]
fn a_side_recorded_upside_down_is_no_silence() {
    let (_folder, path, samples) = one_wav();
    let left: Vec<f32> = samples.iter().step_by(2).copied().collect();
    let upside_down: Vec<f32> = left.iter().flat_map(|&x| [x, -x]).collect();
    write_wav(&path, 8_000, 2, &upside_down);
    let (got, _) = read(&path).unwrap();
    assert_eq!(got.len(), left.len());
    // It takes half a second, at this rate, to be noticed.
    assert_eq!(got[4_096..], left[4_096..]);
}

#[test]
fn wav_samples_come_out_as_they_went_in() {
    let (folder, path, samples) = one_wav();
    let (got, file) = read(&path).unwrap();
    assert_eq!(got, mono(&samples, 2));
    assert_eq!((file.rate().hz(), file.n_channels()), (8_000, 2));
    assert_eq!(file.duration().unwrap().0, 2.0);
    assert_eq!(file.position().0, 2.0);
    let mut file = AudioFile::open(&path).unwrap();
    let (mut all, mut block) = (vec![], vec![]);
    while file.next_interleaved(&mut block).unwrap() {
        all.extend_from_slice(&block);
    }
    assert_eq!(all, samples);
    // A tenth of a second, and a single frame.
    for n in [1, 800] {
        let path = folder.path().join("short.wav");
        write_wav(&path, 8_000, 2, &samples[..2 * n]);
        assert_eq!(read(&path).unwrap().0, mono(&samples[..2 * n], 2));
    }
}

#[test]
fn nan_in_a_float_file_reaches_the_front_end_as_such() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("nan.wav");
    write_wav(&path, 8_000, 1, &[f32::NAN; 4_000]);
    let (samples, _) = read(&path).unwrap();
    assert_eq!(samples.len(), 4_000);
    let columns = genrescope::front_end::columns(
        &samples,
        &genrescope::front_end::FrontEndConfig::default(),
        SampleRate::new(8_000).unwrap(),
    )
    .unwrap();
    assert!(columns.iter().all(|value| *value == -100.0));
}

#[test]
fn what_is_no_audio_is_told() {
    let (folder, wav, _) = one_wav();
    let path = |name: &str| folder.path().join(name);
    assert!(matches!(
        AudioFile::open(path("gone.mp3")),
        Err(FileError::NotFound { .. })
    ));
    assert!(matches!(
        AudioFile::open(folder.path()),
        Err(FileError::IsFolder { .. })
    ));
    let cases: [(&str, Vec<u8>, &str); 6] = [
        ("empty.mp3", vec![], "the file is empty"),
        (
            "text.mp3",
            b"not music at all\n".repeat(400),
            "looks like text",
        ),
        (
            "page.mp3",
            b"<!DOCTYPE html><html>".repeat(50),
            "looks like a web page",
        ),
        (
            "photo.flac",
            [b"\x89PNG\r\n\x1a\n", &[3; 5_000][..]].concat(),
            "looks like a picture",
        ),
        ("zeros.wav", vec![0; 100_000], "looks like zeros only"),
        (
            "short.wav",
            b"RIFF".to_vec(),
            "header is damaged or incomplete",
        ),
    ];
    for (name, content, says) in cases {
        fs::write(path(name), content).unwrap();
        let error = AudioFile::open(path(name)).unwrap_err();
        let message = error.to_string();
        assert!(
            message.contains(says) && message.contains(name),
            "{message} should contain {says:?}"
        );
        assert_eq!(error.path(), path(name));
    }
    // The content counts, not the name.
    fs::copy(&wav, path("really_wav.mp3")).unwrap();
    assert_eq!(
        read(&path("really_wav.mp3")).unwrap().0,
        read(&wav).unwrap().0
    );
    // Noise holds what may pass for MP3 frames here and there: read or told, but no panic.
    let mut random = Random::new(1);
    for _ in 0..20 {
        let noise: Vec<u8> = (0..50_000).map(|_| random.byte()).collect();
        fs::write(path("noise.mp3"), noise).unwrap();
        if let Err(error) = read(&path("noise.mp3")) {
            assert!(error.to_string().contains("noise.mp3"), "{error}");
        }
    }
}

#[test]
fn lying_headers_are_told_or_mended() {
    let (folder, wav, samples) = one_wav();
    let good = fs::read(&wav).unwrap();
    let path = folder.path().join("b.wav");
    let data = good
        .windows(4)
        .position(|window| window == b"data")
        .unwrap();
    let with = |at: usize, bytes: &[u8]| {
        let mut content = good.clone();
        content[at..at + bytes.len()].copy_from_slice(bytes);
        fs::write(&path, content).unwrap();
        read(&path)
    };
    // A recorder that lost power, and one that did not know: all there is, is read.
    for size in [0xffff_ffff_u32, 0xffff_fff0, 0x7fff_ffff] {
        let (got, file) = with(data + 4, &size.to_le_bytes()).unwrap();
        assert_eq!(got, mono(&samples, 2), "data size {size:#x}");
        let seconds = file.duration().map_or(2.0, |duration| duration.0);
        assert!(
            (seconds - 2.0).abs() < 0.01,
            "data size {size:#x}: {seconds} s"
        );
    }
    for (at, bytes, what) in [
        (22, &[0, 0][..], "0 channels"),
        (22, &[255, 255], "65535 channels"),
        (24, &[0, 0, 0, 0], "0 Hz"),
        (24, &[1, 0, 0, 0], "1 Hz"),
        (24, &[255, 255, 255, 255], "4294967295 Hz"),
        (34, &[0, 0], "0 bits"),
        (34, &[255, 255], "65535 bits"),
        (4, &[0, 0, 0, 0], "a RIFF size of 0"),
        (16, &[255, 255, 255, 255], "a huge format chunk"),
        (data + 4, &[0, 0, 0, 0], "no data"),
    ] {
        match with(at, bytes) {
            Ok((got, file)) => {
                assert!(!got.is_empty(), "{what}: nothing, without a word: {file:?}");
            }
            Err(error) => assert!(error.to_string().contains("b.wav"), "{what}: {error}"),
        }
    }
    let message = with(24, &[1, 0, 0, 0]).unwrap_err().to_string();
    assert!(message.contains("1 Hz is not supported"), "{message}");
}

#[test]
fn truncated_files_give_what_is_there() {
    let (folder, wav, samples) = wav_at(44_100);
    let good = fs::read(&wav).unwrap();
    let path = folder.path().join("cut.wav");
    fs::write(&path, &good[..good.len() / 2]).unwrap();
    let (got, file) = read(&path).unwrap();
    let want = mono(&samples, 2);
    assert!(
        got.len() > want.len() * 45 / 100 && got.len() < want.len() * 55 / 100,
        "{}",
        got.len()
    );
    assert_eq!(got[..], want[..got.len()]);
    assert!(file.is_truncated());
    if !ffmpeg() {
        return;
    }
    for name in ["t.flac", "t.mp3", "t.ogg", "t.opus", "t.aiff", "t.m4a"] {
        let path = folder.path().join(name);
        let faststart: &[&str] = if name == "t.m4a" {
            &["-movflags", "+faststart"]
        } else {
            &[]
        };
        let command = [
            &["-i", wav.to_str().unwrap()],
            faststart,
            &[path.to_str().unwrap()],
        ]
        .concat();
        if run_ffmpeg(&command).is_none() {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        }
        let (whole, file) = read(&path).unwrap();
        assert!(
            !file.is_truncated(),
            "{name}: taken for truncated: {file:?}"
        );
        let bytes = fs::read(&path).unwrap();
        fs::write(&path, &bytes[..bytes.len() * 6 / 10]).unwrap();
        let mut file = AudioFile::open(&path).unwrap();
        let (cut, error) = drain(&mut file);
        println!(
            "{name}: {} of {} frames, {error:?}, {file:?}",
            cut.len(),
            whole.len()
        );
        assert!(error.is_none() && file.is_truncated(), "{name}: {error:?}");
        assert!(
            cut.len() > whole.len() / 5 && cut.len() < whole.len(),
            "{name}: {}",
            cut.len()
        );
    }
}

#[test]
fn damaged_packets_are_left_out_and_counted() {
    if !ffmpeg() {
        return;
    }
    let (folder, wav, _) = wav_at(44_100);
    for name in ["d.mp3", "d.flac", "d.ogg", "d.m4a"] {
        let path = folder.path().join(name);
        if run_ffmpeg(&[
            "-stream_loop",
            "4",
            "-i",
            wav.to_str().unwrap(),
            path.to_str().unwrap(),
        ])
        .is_none()
        {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        }
        let (whole, _) = read(&path).unwrap();
        let mut bytes = fs::read(&path).unwrap();
        let middle = bytes.len() / 2;
        bytes[middle..middle + 64].fill(0x55);
        fs::write(&path, bytes).unwrap();
        let mut file = AudioFile::open(&path).unwrap();
        let (samples, error) = drain(&mut file);
        println!(
            "{name}: {} of {} frames, {:?}, {file:?}",
            samples.len(),
            whole.len(),
            error
        );
        assert!(
            samples.len() > whole.len() / 3,
            "{name}: only {} frames",
            samples.len()
        );
        if let Some(error) = error {
            assert!(matches!(error, FileError::Corrupt { .. }), "{error}");
        }
    }
}

/// Mutations of good files of every kind: read or told, within a bounded amount of output.
#[test]
fn no_mutation_panics_or_hangs() {
    let (folder, wav, _) = one_wav();
    let mut names = vec!["a.wav"];
    if ffmpeg() {
        for name in [
            "m.flac", "m.mp3", "m.ogg", "m.opus", "m.m4a", "m.aiff", "m.au", "m.mka", "m.caf",
            "m.aac",
        ] {
            let path = folder.path().join(name);
            if run_ffmpeg(&[
                "-i",
                wav.to_str().unwrap(),
                "-t",
                "0.5",
                path.to_str().unwrap(),
            ])
            .is_some()
            {
                names.push(name);
            }
        }
        let path = folder.path().join("six.opus");
        let args = [
            "-i",
            wav.to_str().unwrap(),
            "-t",
            "0.5",
            "-ac",
            "6",
            "-mapping_family",
            "1",
        ];
        if run_ffmpeg(&[&args[..], &[path.to_str().unwrap()]].concat()).is_some() {
            names.push("six.opus");
        }
    }
    let mut generator = Random::new(99);
    let mut random = move |below: usize| generator.below(below);
    let (mut n_read, mut n_told, mut n_panics) = (0, 0, 0);
    for name in names {
        let good = fs::read(folder.path().join(name)).unwrap();
        for round in 0..60 {
            let mut bytes = good.clone();
            // Headers are where it hurts: half of the rounds touch nothing else.
            let reach = if round % 2 == 0 {
                bytes.len().min(256)
            } else {
                bytes.len()
            };
            for _ in 0..=random(8) {
                let at = random(reach);
                bytes[at] = [0, 0xff, 0x7f, random(256) as u8][random(4)];
            }
            if round % 7 == 0 {
                bytes.truncate(random(bytes.len()));
            }
            let path = folder.path().join("mutated");
            fs::write(&path, bytes).unwrap();
            let result = AudioFile::open(&path).map(|mut file| drain(&mut file));
            match result {
                Ok((samples, None)) => {
                    n_read += 1;
                    assert!(
                        samples.len() < 50_000_000,
                        "{name}, round {round}: {}",
                        samples.len()
                    );
                }
                Ok((_, Some(error))) | Err(error) => {
                    n_told += 1;
                    n_panics += u32::from(error.to_string().contains("fail"));
                }
            }
        }
    }
    println!("{n_read} read, {n_told} told, of these {n_panics} after a panic of a decoder");
    assert!(n_read > 0 && n_told > 0);
}

/// Gives out at most `step` bytes at a time.
struct Trickle<R>(R, usize);

impl<R: Read> Read for Trickle<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let n = buffer.len().min(self.1);
        self.0.read(&mut buffer[..n])
    }
}

#[test]
fn streams_are_read_through_a_pipe() {
    let (_folder, wav, samples) = one_wav();
    let bytes = fs::read(&wav).unwrap();
    for step in [1, 7, 100_000] {
        let mut file =
            AudioFile::from_reader(Box::new(Trickle(io::Cursor::new(bytes.clone()), step)))
                .unwrap();
        assert_eq!(
            drain(&mut file).0,
            mono(&samples, 2),
            "{step} bytes at a time"
        );
    }
    let message = AudioFile::from_reader(Box::new(io::empty()))
        .unwrap_err()
        .to_string();
    assert!(message.contains("standard input"), "{message}");
}

#[test]
fn raw_streams_of_every_format() {
    let rate = SampleRate::new(8_000).unwrap();
    let samples: Vec<f32> = sweep(8_000);
    for format in RawFormat::ALL {
        let bytes: Vec<u8> = samples
            .iter()
            .flat_map(|&x| match format {
                RawFormat::S16Le => ((x * 32_768.0) as i16).to_le_bytes().to_vec(),
                RawFormat::S24Le => ((x * 8_388_608.0) as i32).to_le_bytes()[..3].to_vec(),
                RawFormat::S32Le => ((x * 2_147_483_648.0) as i32).to_le_bytes().to_vec(),
                RawFormat::F32Le => x.to_le_bytes().to_vec(),
                other => panic!("a new raw format: {other}"),
            })
            .collect();
        for step in [1, 5, 1_000_000] {
            let reader = Box::new(Trickle(io::Cursor::new(bytes.clone()), step));
            let spec = RawPcm {
                format,
                rate,
                n_channels: 2,
            };
            let mut file = AudioFile::from_raw(reader, spec).unwrap();
            let (got, error) = drain(&mut file);
            assert!(error.is_none());
            let want = mono(&samples, 2);
            assert_eq!(got.len(), want.len(), "{format}, {step} bytes at a time");
            let worst = got
                .iter()
                .zip(&want)
                .map(|(a, b)| (a - b).abs())
                .fold(0.0, f32::max);
            assert!(worst <= 1.0 / 32_768.0, "{format}: off by {worst}");
        }
    }
    let spec = RawPcm {
        format: RawFormat::S16Le,
        rate,
        n_channels: 0,
    };
    let message = AudioFile::from_raw(Box::new(io::empty()), spec)
        .unwrap_err()
        .to_string();
    assert!(
        message.contains("0 channels are not supported"),
        "{message}"
    );
}

/// Ten hours through the decoder leave no more in memory than a minute does.
#[test]
fn memory_does_not_grow_with_length() {
    // WAV of unknown length, 8-bit mono at 8 kHz: a header, then silence.
    let mut header = b"RIFF\xff\xff\xff\xffWAVEfmt \x10\0\0\0\x01\0\x01\0".to_vec();
    header.extend(8_000_u32.to_le_bytes());
    header.extend(8_000_u32.to_le_bytes());
    header.extend(b"\x01\0\x08\0data\xff\xff\xff\xff");
    let n: u64 = 10 * 3_600 * 8_000;
    let reader = io::Cursor::new(header).chain(io::repeat(0x80).take(n));
    let mut file = AudioFile::from_reader(Box::new(reader)).unwrap();
    let (mut block, mut total) = (vec![], 0);
    let mut resident = None;
    while file.next_block(&mut block).unwrap() {
        total += block.len() as u64;
        if total > 60 * 8_000 && resident.is_none() {
            resident = resident_bytes();
        }
    }
    assert_eq!(total, n);
    assert!(block.capacity() < 1 << 16, "{}", block.capacity());
    match (resident, resident_bytes()) {
        // Other tests run beside this one, hence the allowance.
        (Some(before), Some(after)) => {
            assert!(
                after < before + (256 << 20),
                "grew from {before} to {after} bytes"
            );
        }
        _ => skip::skip("proc", "this system has no /proc/self/statm"),
    }
}

fn resident_bytes() -> Option<u64> {
    let pages = fs::read_to_string("/proc/self/statm").ok()?;
    Some(pages.split_whitespace().nth(1)?.parse::<u64>().ok()? * 4_096)
}

/// What ffmpeg and others write into a pipe: the length of the samples is not known, and their end
/// is where the stream ends.
#[test]
fn a_wav_file_from_a_pipe_is_whole() {
    let (folder, wav, samples) = wav_at(44_100);
    let good = fs::read(&wav).unwrap();
    let data = good.windows(4).position(|four| four == b"data").unwrap();
    // A chunk before the samples, as ffmpeg writes it, puts them beyond the first bytes.
    let list = [&b"LIST\x1a\0\0\0INFOISFT\x0e\0\0\0"[..], &[b'x'; 14]].concat();
    let want = mono(&samples, 2);
    for size in [0_u32, 0x7fff_f000, u32::MAX] {
        let mut bytes = [&good[..data], &list, &good[data..]].concat();
        bytes[4..8].copy_from_slice(&size.to_le_bytes());
        let at = data + list.len() + 4;
        bytes[at..at + 4].copy_from_slice(&size.to_le_bytes());
        let path = folder.path().join("pipe.wav");
        fs::write(&path, &bytes).unwrap();
        let (got, file) = read(&path).unwrap();
        assert!(!file.is_truncated(), "{size:x}");
        assert_eq!(got.len(), want.len(), "{size:x}");
        let mut stream = AudioFile::from_reader(Box::new(io::Cursor::new(bytes))).unwrap();
        let (got, error) = drain(&mut stream);
        assert!(
            error.is_none() && !stream.is_truncated(),
            "{size:x}: {error:?}"
        );
        assert_eq!(got, want, "{size:x}");
    }
}

#[test]
fn an_m4a_file_without_its_index_is_incomplete() {
    if !ffmpeg() {
        return;
    }
    let (folder, wav, _) = wav_at(44_100);
    let path = folder.path().join("cut.m4a");
    if run_ffmpeg(&["-i", wav.to_str().unwrap(), path.to_str().unwrap()]).is_none() {
        skip::skip("codec", "this ffmpeg cannot write m4a");
        return;
    }
    let bytes = fs::read(&path).unwrap();
    fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
    let error = AudioFile::from_reader(Box::new(io::Cursor::new(bytes))).unwrap_err();
    assert!(error.to_string().contains("faststart"), "{error}");
    let error = AudioFile::open(&path).unwrap_err().to_string();
    assert!(
        error.contains("incomplete") && !error.contains("convert"),
        "{error}"
    );
}

/// Seconds that are heard of a file, and what is said of it.
fn heard(path: &Path) -> (f64, Vec<String>) {
    let heard = listened(AudioFile::open(path).unwrap());
    let at_hand = AudioFile::from_bytes(path, fs::read(path).unwrap()).unwrap();
    assert_eq!(listened(at_hand), heard, "{}", path.display());
    heard
}

fn listened(mut file: AudioFile) -> (f64, Vec<String>) {
    let mut n = 0;
    let notes = file
        .read(|mono| {
            n += mono.len();
            true
        })
        .unwrap();
    (file.rate().duration(n as u64).0, notes)
}

/// What is passed over is as long as what is decoded, and what comes behind it is what comes there
/// in a whole file.
#[test]
fn what_is_passed_over_changes_nothing_behind_it() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let mut names = vec!["sweep.wav"];
    write_wav(&dir.join("sweep.wav"), 44_100, 2, &sweep(44_100));
    if ffmpeg() {
        for (name, args) in [
            ("a.mp3", "-c:a libmp3lame -b:a 128k"),
            ("a.flac", ""),
            ("a.ogg", "-c:a libvorbis"),
            ("a.opus", "-c:a libopus"),
            ("a.m4a", "-c:a aac"),
            ("a.mka", "-c:a libvorbis"),
            ("a.aac", "-c:a aac"),
            ("a.aiff", ""),
        ] {
            if made(dir, name, args).is_some() {
                names.push(name);
            }
        }
    }
    for name in names {
        let path = dir.join(name);
        let (all, mut whole) = read(&path).unwrap();
        assert!(!whole.next_block(&mut Vec::new()).unwrap());
        let length = whole.position().0;
        let mut file = AudioFile::open(&path).unwrap();
        assert!(!file.pass_to(Seconds(f64::INFINITY)).unwrap(), "{name}");
        let passed = file.position().0;
        assert!(
            (passed - length).abs() < 0.06,
            "{name}: {passed} of {length} s"
        );
        let mut file = AudioFile::open(&path).unwrap();
        assert!(file.pass_to(Seconds(1.0)).unwrap(), "{name}");
        let hz = f64::from(file.rate().hz());
        let mut rest = Vec::new();
        assert!(file.next_block(&mut rest).unwrap());
        // Where it begins is known once it is there: some decoders give nothing for the first
        // packet.
        let at = (file.position().0 * hz).round() as usize - rest.len();
        let mut block = Vec::new();
        while file.next_block(&mut block).unwrap() {
            rest.extend_from_slice(&block);
        }
        // A decoder may lack what was before for a while; the place is right to what a codec pads.
        let run_in = file.rate().hz() as usize / 4;
        let (a, b) = (&all[at + run_in..], &rest[run_in..]);
        let (lag, correlation) = align(a, b, 400);
        assert!(correlation > 0.99, "{name}: {correlation} at {lag}");
    }
}

/// What ffmpeg makes of the 2-s sweep, as bytes; `None` if it cannot.
fn made(folder: &Path, name: &str, args: &str) -> Option<Vec<u8>> {
    let (source, path) = (folder.join("sweep.wav"), folder.join(name));
    if !source.is_file() {
        write_wav(&source, 44_100, 2, &sweep(44_100));
    }
    let mut command = vec!["-i", source.to_str().unwrap()];
    command.extend(args.split_whitespace());
    command.push(path.to_str().unwrap());
    run_ffmpeg(&command)?;
    Some(fs::read(path).unwrap())
}

/// Writes the bytes and listens: all of `seconds` is heard, and nothing is said.
fn whole(folder: &Path, name: &str, bytes: &[u8], seconds: f64) {
    let path = folder.join(name);
    fs::write(&path, bytes).unwrap();
    let (got, notes) = heard(&path);
    assert!(
        (got - seconds).abs() < 0.15,
        "{name}: {got} s of {seconds} s"
    );
    assert!(notes.is_empty(), "{name}: {notes:?}");
}

#[test]
fn no_stated_or_guessed_length_cuts_an_mp3() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bare = "-c:a libmp3lame -ac 2 -ar 44100 -write_xing 0 -id3v2_version 0 -b:a";
    let loud = made(dir, "loud.mp3", &format!("{bare} 320k")).unwrap();
    let low = made(dir, "low.mp3", &format!("{bare} 32k")).unwrap();
    let vbr = [&loud[..], &low, &low, &low].concat();
    whole(dir, "vbr.mp3", &vbr, 8.2);
    // A count of frames that is none, or too small.
    let counted = made(dir, "xing.mp3", "-c:a libmp3lame -q:a 4 -id3v2_version 0").unwrap();
    let at = counted
        .windows(4)
        .position(|four| matches!(four, b"Xing" | b"Info"))
        .unwrap();
    for frames in [0_u32, 5] {
        let mut bytes = counted.clone();
        bytes[at + 8..at + 12].copy_from_slice(&frames.to_be_bytes());
        whole(dir, "counted.mp3", &bytes, 2.0);
    }
    // Files joined with all their tags, and pictures in them that look like frames.
    let mut tag = b"ID3\x03\0\0\0\0\x10\0APIC".to_vec();
    tag.resize(10 + 2_048, 0xff);
    let trailer = [&b"TAG"[..], &[b' '; 125]].concat();
    let joined = [&tag[..], &counted, &trailer, &tag, &counted].concat();
    whole(dir, "joined.mp3", &joined, 4.0);
}

#[test]
fn a_stream_that_changes_on_the_way_is_heard_to_its_end() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bare = "-c:a libmp3lame -write_xing 0 -id3v2_version 0";
    let mono = made(dir, "mono.mp3", &format!("{bare} -ac 1")).unwrap();
    let stereo = made(dir, "stereo.mp3", bare).unwrap();
    let other = made(dir, "48.mp3", &format!("{bare} -ar 48000")).unwrap();
    let low = made(dir, "22.mp3", &format!("{bare} -ar 22050")).unwrap();
    let all = [&mono[..], &stereo, &other, &low, &mono].concat();
    whole(dir, "all.mp3", &all, 10.3);
    let aac = made(dir, "a.aac", "-c:a aac").unwrap();
    let slow = made(dir, "b.aac", "-c:a aac -ar 32000 -ac 1").unwrap();
    whole(dir, "all.aac", &[&aac[..], &slow, &aac].concat(), 6.15);
}

#[test]
fn wrong_lengths_of_wav_and_aiff_cut_nothing() {
    let (folder, wav, samples) = one_wav();
    let dir = folder.path();
    let want = mono(&samples, 2);
    let good = fs::read(&wav).unwrap();
    let data = good.windows(4).position(|four| four == b"data").unwrap();
    let check = |name: &str, bytes: &[u8]| {
        fs::write(dir.join(name), bytes).unwrap();
        let (got, file) = read(&dir.join(name)).unwrap();
        assert_eq!(got, want, "{name}");
        assert!(!file.is_truncated(), "{name}");
    };
    // Too short, those of the whole file, and more than it has, though it ends where it says.
    for size in [0, 800, good.len() as u32, 9 * good.len() as u32] {
        let mut bytes = good.clone();
        bytes[data + 4..data + 8].copy_from_slice(&size.to_le_bytes());
        check("size.wav", &bytes);
    }
    // A chunk behind the sound is none of it; one before it may state a wrong length.
    let list = [&b"LIST\x14\0\0\0INFOISFT"[..], &[b'x'; 12]].concat();
    check("behind.wav", &[&good[..], &list].concat());
    let mut astray = [&good[..data], &list, &good[data..]].concat();
    astray[data + 4] = 0x77;
    check("astray.wav", &astray);
    // 64-bit lengths.
    let n_bytes = (good.len() - data - 8) as u64;
    let (whole, none) = (good.len() as u64 + 28, 0);
    for (name, all, long) in [
        ("RF64", none, n_bytes),
        ("RF64", none, 1 << 63),
        ("RF64", whole, 9 * n_bytes),
        ("BW64", none, 0),
        ("BW64", none, u64::MAX),
        ("BW64", whole, 100),
    ] {
        let ds64 = [
            &b"ds64\x1c\0\0\0"[..],
            &all.to_le_bytes(),
            &long.to_le_bytes(),
            &[0; 12],
        ]
        .concat();
        let mut bytes = [&good[..12], &ds64, &good[12..]].concat();
        bytes[..4].copy_from_slice(name.as_bytes());
        let at = data + ds64.len() + 4;
        bytes[at..at + 4].fill(0xff);
        check(&format!("{name}.wav"), &bytes);
    }
    // A format chunk of 18 bytes and two more, and one that says little of what it could.
    let format = |size: u32| {
        let mut bytes = b"RIFF\0\0\0\0WAVEfmt ".to_vec();
        bytes.extend(size.to_le_bytes());
        for number in [3_u16, 2, 8_000, 0, 0xfa00, 0, 8, 32, 2, 0] {
            bytes.extend(number.to_le_bytes());
        }
        bytes.truncate(20 + size as usize);
        [&bytes[..], &good[data..]].concat()
    };
    for size in [16, 18, 20] {
        check(&format!("fmt{size}.wav"), &format(size));
    }
    // AIFF: a form that claims to be short, and sound that does.
    let sound: Vec<u8> = samples.iter().flat_map(|x| x.to_be_bytes()).collect();
    let n_bytes = sound.len() as u32 + 8;
    for (form, stated) in [
        (50_u32, n_bytes),
        (4, 1_000),
        (0, 8),
        (n_bytes + 44, 4 * n_bytes),
    ] {
        let mut bytes = b"FORM".to_vec();
        bytes.extend(form.to_be_bytes());
        bytes.extend(b"AIFCCOMM\0\0\0\x18\0\x02");
        bytes.extend((samples.len() as u32 / 2).to_be_bytes());
        // 8000 = 1.953125 * 2^12.
        bytes.extend(b"\0\x20\x40\x0b\xfa\0\0\0\0\0\0\0fl32\0\0SSND");
        bytes.extend(stated.to_be_bytes());
        bytes.extend([0; 8]);
        bytes.extend(&sound);
        check("a.aiff", &bytes);
    }
    // An offset that is no number of bytes.
    let mut bytes = b"FORM\0\0\0\x40AIFFCOMM\0\0\0\x12\0\x01\0\0\0\x04\0\x10\x40\x0b\xfa".to_vec();
    bytes.extend([0; 7]);
    bytes.extend(b"SSND\xff\xff\xff\xff\xff\xff\xff\xf9\0\0\0\0\0\x01\0\x02");
    fs::write(dir.join("offset.aiff"), bytes).unwrap();
    assert!(AudioFile::open(dir.join("offset.aiff")).is_err());
}

#[test]
fn what_nobody_hears_refuses_no_flac() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let good = made(dir, "good.flac", "-c:a flac").unwrap();
    let mut bytes = good.clone();
    bytes[8..10].fill(0);
    whole(dir, "block.flac", &bytes, 2.0);
    // A picture that states another length than its block has, and a block that states too much.
    for size in [64_u32, 0x00ff_ffff] {
        let mut picture = (0x0600_0000 | size).to_be_bytes().to_vec();
        picture.extend(3_u32.to_be_bytes());
        picture.extend([0xee; 60]);
        let bytes = [&good[..42], &picture, &good[42..]].concat();
        whole(dir, "picture.flac", &bytes, 2.0);
    }
}

/// Pages of an Ogg file, each with a new place on the clock, and its checksum again.
fn with_granules(bytes: &[u8], granule: impl Fn(u64) -> u64) -> Vec<u8> {
    let mut out = bytes.to_vec();
    let mut at = 0;
    while out.get(at..at + 4) == Some(b"OggS") {
        let n_segments = usize::from(out[at + 26]);
        let body: usize = out[at + 27..at + 27 + n_segments]
            .iter()
            .map(|&n| usize::from(n))
            .sum();
        let end = at + 27 + n_segments + body;
        let old = u64::from_le_bytes(out[at + 6..at + 14].try_into().unwrap());
        if old > 0 {
            out[at + 6..at + 14].copy_from_slice(&granule(old).to_le_bytes());
            // Live streams have no last page.
            out[at + 5] &= !4;
        }
        out[at + 22..at + 26].fill(0);
        let mut sum = 0_u32;
        for &byte in &out[at..end] {
            sum ^= u32::from(byte) << 24;
            for _ in 0..8 {
                sum = if sum >> 31 == 1 {
                    sum << 1 ^ 0x04c1_1db7
                } else {
                    sum << 1
                };
            }
        }
        out[at + 22..at + 26].copy_from_slice(&sum.to_le_bytes());
        at = end;
    }
    out
}

#[test]
fn an_ogg_clock_that_is_wrong_or_late_cuts_nothing() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (name, args) in [
        ("a.ogg", "-c:a libvorbis -page_duration 200000"),
        ("a.opus", "-c:a libopus -page_duration 200000"),
    ] {
        let Some(good) = made(dir, name, args) else {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        };
        let late = with_granules(&good, |granule| granule + 48_000 * 3_600);
        whole(dir, &format!("late_{name}"), &late, 2.0);
        whole(
            dir,
            &format!("none_{name}"),
            &with_granules(&good, |_| 1),
            2.0,
        );
        // A recording of a live stream ends within a page.
        let path = dir.join(format!("live_{name}"));
        fs::write(&path, &late[..late.len() - 100]).unwrap();
        assert_eq!(heard(&path).1, Vec::<String>::new(), "{name}");
    }
}

#[test]
fn opus_in_matroska_may_state_another_rate() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let Some(mut bytes) = made(dir, "a.webm", "-c:a libopus") else {
        return;
    };
    let rate = [&b"\xb5\x88"[..], &48_000_f64.to_be_bytes()].concat();
    let at = bytes
        .windows(rate.len())
        .position(|ten| ten == rate)
        .unwrap();
    bytes[at + 2..at + 10].copy_from_slice(&44_100_f64.to_be_bytes());
    whole(dir, "44.webm", &bytes, 2.0);
    // A recording that was ended, of a stream that does not say how long it is.
    let segment = bytes
        .windows(4)
        .position(|id| id == b"\x18\x53\x80\x67")
        .unwrap();
    bytes[segment + 4] = 1;
    bytes[segment + 5..segment + 12].fill(0xff);
    let path = dir.join("live.webm");
    fs::write(&path, &bytes[..bytes.len() - 700]).unwrap();
    assert_eq!(heard(&path).1, Vec::<String>::new());
}

#[test]
fn what_is_not_read_is_named_and_never_taken_for_mp3() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("song.mp3");
    // A frame of MP3 by chance, twice.
    let mut noise = vec![0x33_u8; 60_000];
    noise[1_000..1_004].copy_from_slice(b"\xff\xfb\x90\x64");
    noise[1_417..1_421].copy_from_slice(b"\xff\xfb\x90\x64");
    for (start, name) in [
        (&b"wvpk"[..], "WavPack"),
        (b"MPCK", "Musepack"),
        (b"MAC ", "Monkey's Audio"),
        (b"DSD ", "DSD"),
        (b"TTA1", "True Audio"),
        (b"\x30\x26\xb2\x75\x8e\x66\xcf\x11", "Windows Media"),
        (b"\x7fELF", "a program"),
        (b"PK\x03\x04", "a zip archive"),
        (b"\xff\xd8\xff\xe0", "a picture"),
        (b"RIFF\0\0\0\0AVI ", "an AVI video"),
        (b"!<arch>", "an archive"),
        (b"PVF1\n", "a Portable Voice file"),
        (b"TWIN97012000", "TwinVQ"),
        (b"nut/multimedia container", "a NUT video"),
        (b"MMD1", "a tracker module"),
        (
            b"OggS\0\x02\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\0\x01\x50Speex   ",
            "Speex",
        ),
    ] {
        let bytes = [start, &noise].concat();
        for tag in [&b""[..], b"ID3\x03\0\0\0\0\0\x04abcd"] {
            fs::write(&path, [tag, &bytes].concat()).unwrap();
            let told = AudioFile::open(&path).unwrap_err().to_string();
            assert!(
                told.contains(&format!("looks like {name}")) || told.contains(name),
                "{told}"
            );
            assert!(!told.contains("damaged"), "{told}");
        }
    }
    fs::write(&path, &noise).unwrap();
    let error = AudioFile::open(&path).unwrap_err();
    assert!(matches!(error, FileError::NotAudio { .. }), "{error}");
    // Zeros only is said of zeros only.
    fs::write(&path, [&[0; 4_000][..], b"something"].concat()).unwrap();
    let told = AudioFile::open(&path).unwrap_err().to_string();
    assert!(!told.contains("zeros only"), "{told}");
    for (start, what) in [
        (&b"Salted__"[..], "OpenSSL"),
        (b"\xa5\x06\xb7\x89", "QQ Music"),
        (b"\0\0\0\x18ftypaax ", "Audible"),
    ] {
        fs::write(&path, [start, &noise].concat()).unwrap();
        let told = AudioFile::open(&path).unwrap_err().to_string();
        assert!(told.contains("encrypted") && told.contains(what), "{told}");
    }
}

#[test]
fn no_program_is_a_song() {
    let folders = [
        "/usr/bin",
        "/usr/lib/x86_64-linux-gnu",
        "/usr/share/icons",
        "/usr/lib/python3",
    ];
    let mut n = 0;
    for folder in folders {
        for entry in fs::read_dir(folder)
            .into_iter()
            .flatten()
            .flatten()
            .take(100)
        {
            if entry.path().is_file() {
                n += 1;
                let opened = AudioFile::open(entry.path());
                assert!(
                    opened.is_err(),
                    "{:?}",
                    opened.map(|file| format!("{file:?}"))
                );
            }
        }
    }
    println!("{n} files looked at");
}

#[test]
fn a_protected_m4a_is_called_encrypted() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let mut bytes = made(folder.path(), "a.m4a", "-c:a aac").unwrap();
    let entry = bytes.windows(4).rposition(|four| four == b"mp4a").unwrap();
    let entry = bytes[..entry]
        .windows(4)
        .rposition(|four| four == b"mp4a")
        .unwrap_or(entry);
    bytes[entry..entry + 4].copy_from_slice(b"drms");
    let path = folder.path().join("bought.m4p");
    fs::write(&path, bytes).unwrap();
    let error = AudioFile::open(&path).unwrap_err();
    assert!(matches!(error, FileError::Encrypted { .. }), "{error}");
}

#[test]
fn four_channels_that_cancel_in_pairs_are_no_silence() {
    let (_folder, path, samples) = one_wav();
    let quad: Vec<f32> = samples
        .as_chunks::<2>()
        .0
        .iter()
        .flat_map(|&[a, b]| [a, b, -a, -b])
        .collect();
    write_wav(&path, 8_000, 4, &quad);
    let (got, _) = read(&path).unwrap();
    let power = got[8_192..].iter().map(|x| x * x).sum::<f32>();
    assert!(power > 1.0, "{power}");
}

/// A picture of many megabytes before the sound costs no memory.
#[test]
fn a_large_picture_is_passed_over() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let sound = made(folder.path(), "a.mp3", "-c:a libmp3lame -id3v2_version 0").unwrap();
    // 200 MB, in sevenths of bytes.
    let n: u32 = 200 << 20;
    let size = [21, 14, 7, 0].map(|shift| (n >> shift & 0x7f) as u8);
    let header = [&b"ID3\x04\0\0"[..], &size].concat();
    let path = folder.path().join("picture.mp3");
    let mut file = fs::File::create(&path).unwrap();
    // A hole costs no disk.
    io::Write::write_all(&mut file, &header).unwrap();
    io::Seek::seek(&mut file, io::SeekFrom::Start(10 + u64::from(n))).unwrap();
    io::Write::write_all(&mut file, &sound).unwrap();
    drop(file);
    let before = resident_bytes();
    let (seconds, _) = heard(&path);
    assert!((seconds - 2.0).abs() < 0.1, "{seconds}");
    if let (Some(before), Some(after)) = (before, resident_bytes()) {
        assert!(after < before + (100 << 20), "{before} to {after}");
    }
}

/// Files that were joined as bytes are heard one after the other, whatever they are.
#[test]
fn joined_files_are_heard_to_the_last() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let kinds = [
        ("a.wav", ""),
        ("a.aiff", ""),
        ("a.au", ""),
        ("a.caf", ""),
        ("a.flac", ""),
        ("a.mp3", ""),
        ("a.aac", ""),
        ("a.ogg", "-c:a libvorbis"),
        ("a.opus", "-c:a libopus"),
        ("a.m4a", ""),
        ("a.mka", "-c:a libvorbis"),
        ("a.webm", "-c:a libopus"),
    ];
    let mut before = None::<Vec<u8>>;
    for (name, args) in kinds {
        let Some(first) = made(dir, name, args) else {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        };
        let other = made(dir, &format!("b{name}"), &format!("{args} -ac 1 -ar 48000")).unwrap();
        whole(dir, name, &[&first[..], &other, &first].concat(), 6.0);
        let follows = !matches!(name, "a.m4a" | "a.mka" | "a.webm");
        if let Some(before) = before.replace(first.clone()).filter(|_| follows) {
            // Behind a file of another format, whose end can be told from its bytes.
            let extension = name.rsplit('.').next().unwrap();
            whole(
                dir,
                &format!("mixed.{extension}"),
                &[&before[..], &first].concat(),
                4.0,
            );
        }
    }
    // A tag between two, and the chunks behind the sound of a WAV file.
    let flac = made(dir, "a.flac", "").unwrap();
    let tag = [&b"ID3\x04\0\0\0\0\x02\0"[..], &[0; 256]].concat();
    whole(dir, "tag.flac", &[&flac[..], &tag, &flac].concat(), 4.0);
    let wav = made(dir, "a.wav", "").unwrap();
    let list = [&b"LIST\x11\0\0\0INFOISFT"[..], b"\x05\0\0\0abcde\0"].concat();
    whole(dir, "chunk.wav", &[&wav[..], &list, &wav].concat(), 4.0);
    // What is joined on and cannot be read is told.
    let path = dir.join("half.wav");
    fs::write(&path, [&wav[..], b"fLaC\x80\0\0\x22", &[0; 100]].concat()).unwrap();
    let (seconds, notes) = heard(&path);
    assert!((seconds - 2.0).abs() < 0.1, "{seconds}");
    assert!(
        notes.len() == 1 && notes[0].contains("joined on"),
        "{notes:?}"
    );
    // Through a pipe, too.
    let bytes = [&wav[..], &flac].concat();
    let mut file = AudioFile::from_reader(Box::new(io::Cursor::new(bytes))).unwrap();
    let (samples, error) = drain(&mut file);
    assert!(error.is_none(), "{error:?}");
    assert!((samples.len() as f64 / 44_100.0 - 4.0).abs() < 0.1);
}

/// MPEG layer 2 is written at rates that its standard does not allow.
#[test]
fn layer_2_is_heard_at_every_rate_or_named() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let loud = |rate: &str, args: &str| -> Vec<u8> {
        let args = format!("-c:a mp2 -b:a {rate} {args}");
        made(dir, "a.mp2", &args).unwrap()
    };
    let (stereo, mono) = (loud("384k", "-ac 2"), loud("384k", "-ac 1"));
    let reference = {
        whole(dir, "a.mp2", &stereo, 2.0);
        read(&dir.join("a.mp2")).unwrap().0
    };
    for rate in ["32k", "48k", "56k", "80k"] {
        whole(dir, "low.mp2", &loud(rate, "-ac 2"), 2.0);
        let (low, _) = read(&dir.join("low.mp2")).unwrap();
        let (_, correlation) = align(&low, &reference, 8);
        assert!(correlation > 0.9, "{rate}: {correlation}");
    }
    let path = dir.join("mono.mp2");
    fs::write(&path, &mono).unwrap();
    let told = AudioFile::open(&path).unwrap_err().to_string();
    assert!(told.contains("mono at 224 kbit/s or more"), "{told}");
    // However few they are, frames that are left out are told.
    for n in [5, 60] {
        let frames = &mono[..n * 1_253];
        fs::write(&path, [&stereo[..], frames, &stereo].concat()).unwrap();
        let (seconds, notes) = heard(&path);
        assert!((seconds - 4.0).abs() < 0.2, "{seconds}");
        assert!(
            notes.len() == 1 && notes[0].contains("packets left out: MPEG layer 2 in mono"),
            "{notes:?}"
        );
    }
}

/// Behind every container, MPEG audio or AAC needs no tag to be found.
#[test]
fn frames_without_a_tag_are_found_behind_everything() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let bare = "-c:a libmp3lame -id3v2_version 0 -write_xing 0";
    let (Some(mp3), Some(aac)) = (made(dir, "b.mp3", bare), made(dir, "b.aac", "-c:a aac")) else {
        return;
    };
    for (name, args) in [
        ("a.flac", "-c:a flac"),
        ("a.ogg", "-c:a libvorbis"),
        ("a.m4a", "-c:a aac"),
        ("a.mka", "-c:a flac"),
        ("a.wav", "-c:a pcm_s16le"),
        ("a.aiff", "-c:a pcm_s16be"),
    ] {
        let Some(first) = made(dir, name, args) else {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        };
        for (kind, second) in [("mp3", &mp3), ("aac", &aac)] {
            let joined = [&first[..], second].concat();
            whole(dir, &format!("{kind}_behind_{name}"), &joined, 4.0);
        }
    }
}

/// A page that is damaged costs no more than itself, wherever it is behind the headers; pictures
/// cost nothing.
#[test]
fn damaged_pages_and_large_comments_refuse_no_ogg() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for (name, args, headers) in [
        ("a.ogg", "-c:a libvorbis -page_duration 200000", 2),
        ("a.opus", "-c:a libopus -page_duration 200000", 2),
    ] {
        let Some(good) = made(dir, name, args) else {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        };
        let pages: Vec<usize> = (0..good.len())
            .filter(|&at| good[at..].starts_with(b"OggS\0"))
            .collect();
        for page in [headers, headers + 1, headers + 4] {
            let mut bytes = good.clone();
            bytes[pages[page] + 40] ^= 0x55;
            let path = dir.join(name);
            fs::write(&path, bytes).unwrap();
            let (seconds, notes) = heard(&path);
            assert!(
                (1.6..2.0).contains(&seconds),
                "{name}, page {page}: {seconds} s"
            );
            assert!(notes[0].contains("damaged"), "{name}: {notes:?}");
        }
        // Opus needs no comments at all.
        if name.ends_with("opus") {
            let without = [&good[..pages[1]], &good[pages[2]..]].concat();
            whole(dir, "without.opus", &without, 2.0);
            let path = dir.join("large.opus");
            fs::write(&path, with_comments(&good, pages[1], pages[2], 20 << 20)).unwrap();
            let (seconds, notes) = heard(&path);
            assert!((1.9..2.1).contains(&seconds), "{seconds} s");
            assert_eq!(notes, [""; 0]);
        }
    }
}

/// An Opus file whose comments, between two places, are `n` bytes long.
fn with_comments(good: &[u8], from: usize, to: usize, n: usize) -> Vec<u8> {
    let mut packet = b"OpusTags\0\0\0\0\x01\0\0\0".to_vec();
    packet.extend((n as u32).to_le_bytes());
    packet.resize(packet.len() + n, b'=');
    let mut lengths = vec![255; packet.len() / 255];
    lengths.push((packet.len() % 255) as u8);
    let mut out = good[..from].to_vec();
    let mut rest = &packet[..];
    for (index, lengths) in lengths.chunks(255).enumerate() {
        let (body, more) = rest.split_at(lengths.iter().map(|&n| usize::from(n)).sum());
        let at = out.len();
        out.extend(&good[from..from + 26]);
        out[at + 5] = u8::from(index > 0);
        out.push(lengths.len() as u8);
        out.extend(lengths);
        out.extend(body);
        rest = more;
    }
    out.extend(&good[to..]);
    // All checksums anew.
    with_granules(&out, |granule| granule)
}

/// What says how samples are written may stand behind them.
#[test]
fn the_chunk_of_the_format_may_be_the_last() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("a.wav");
    write_wav(&path, 22_050, 2, &sweep(22_050));
    let good = fs::read(&path).unwrap();
    let data = good.windows(4).position(|four| four == b"data").unwrap();
    let size = u32::from_le_bytes(*good[data + 4..].first_chunk().unwrap());
    let end = data + 8 + size as usize;
    let wav = [&good[..12], &good[data..end], &good[12..data]].concat();
    let expected = read(&path).unwrap().0;
    fs::write(&path, wav).unwrap();
    assert_eq!(read(&path).unwrap().0, expected);
    let mut sound = vec![0; 8];
    let swapped = |four: &[u8]| [four[3], four[2], four[1], four[0]];
    sound.extend(good[data + 8..end].chunks_exact(4).flat_map(swapped));
    let mut common = [0, 2, 0, 0, 0, 0, 0, 32, 0x40, 0x0d].to_vec();
    common.extend((22_050_u64 << 49).to_be_bytes());
    common.extend(b"fl32\0\0");
    let mut aiff = b"FORM\0\0\0\0AIFC".to_vec();
    for (name, body) in [(b"SSND", &sound), (b"COMM", &common)] {
        aiff.extend(name);
        aiff.extend((body.len() as u32).to_be_bytes());
        aiff.extend(body);
    }
    let path = folder.path().join("a.aiff");
    fs::write(&path, aiff).unwrap();
    assert_eq!(read(&path).unwrap().0, expected);
}

/// Where the fuzz target begins, and what it found: each is read to its end.
#[test]
fn what_was_found_by_fuzzing_comes_to_an_end() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("fuzz/corpus/file");
    let mut n = 0;
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let reader = Box::new(fs::File::open(&path).unwrap());
        let mut block = Vec::new();
        for opened in [AudioFile::open(&path), AudioFile::from_reader(reader)] {
            let Ok(mut file) = opened else { continue };
            while let Ok(true) = file.next_block(&mut block) {}
        }
        n += 1;
    }
    assert!(n >= 15, "{n}");
}

/// What a container does not say, or says wrongly, is neither believed nor told of the sound.
#[test]
fn containers_are_read_by_what_they_hold() {
    if !ffmpeg() {
        return;
    }
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let tone = |name: &str, args: &str| {
        let bytes = made(dir, name, args)?;
        whole(dir, name, &bytes, 2.0);
        let (samples, _) = read(&dir.join(name)).unwrap();
        let power = samples.iter().map(|x| f64::from(x * x)).sum::<f64>() / samples.len() as f64;
        assert!((0.001..0.5).contains(&power), "{name}: {power}");
        Some(bytes)
    };
    // Samples of QuickTime in both orders.
    for codec in [
        "pcm_f32be",
        "pcm_f32le",
        "pcm_s24be",
        "pcm_s24le",
        "pcm_s32be",
    ] {
        tone("a.mov", &format!("-c:a {codec}"));
    }
    let mut w64 = tone("a.w64", "").unwrap();
    // A chunk that is longer than numbers go.
    w64[40..44].fill(b'x');
    w64[56..64].fill(0xff);
    fs::write(dir.join("long.w64"), &w64).unwrap();
    let told = AudioFile::open(dir.join("long.w64"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("ends before its sound"), "{told}");
    // A format that is shorter than its own head.
    w64[40..44].copy_from_slice(b"fmt ");
    w64[56..64].fill(0);
    fs::write(dir.join("short.w64"), &w64).unwrap();
    let told = AudioFile::open(dir.join("short.w64"))
        .unwrap_err()
        .to_string();
    assert!(told.contains("leads to no sound"), "{told}");
    tone("stream.caf", "-c:a pcm_s16le -f caf");
    // The length of a stream is not known: -1.
    let mut caf = tone("a.caf", "-c:a pcm_s24be").unwrap();
    let at = caf.windows(4).position(|four| four == b"data").unwrap();
    caf[at + 4..at + 12].fill(0xff);
    whole(dir, "pipe.caf", &caf, 2.0);
    // Half of it is half of it.
    let flac = made(dir, "a.flac", "").unwrap();
    for (name, args) in [
        ("half.mka", "-c:a libvorbis"),
        ("half.caf", ""),
        ("half.flac", ""),
        (
            "half.m4a",
            "-c:a aac -movflags frag_keyframe+empty_moov -frag_duration 100000",
        ),
    ] {
        let Some(bytes) = made(dir, name, args) else {
            skip::skip("codec", format_args!("this ffmpeg cannot write {name}"));
            continue;
        };
        let path = dir.join(name);
        fs::write(&path, &bytes[..bytes.len() * 2 / 3]).unwrap();
        let (seconds, notes) = heard(&path);
        assert!((0.7..1.7).contains(&seconds), "{name}: {seconds}");
        assert_eq!(notes, ["cut off before its end"], "{name}");
    }
    // A length that cannot be is no reason to call a FLAC file cut off; a hole is no end.
    let mut long = flac.clone();
    long[21] |= 15;
    long[22..26].fill(0xff);
    whole(dir, "long.flac", &long, 2.0);
    let mut hole = flac.clone();
    let middle = hole.len() / 2;
    hole[middle..middle + 2_000].fill(0);
    let path = dir.join("hole.flac");
    fs::write(&path, &hole).unwrap();
    let (seconds, notes) = heard(&path);
    assert!((1.5..2.0).contains(&seconds), "{seconds}");
    assert_eq!(notes, ["1 damaged packet left out"]);
    // A track that cannot be decoded is a track.
    for (name, args, codec) in [
        ("a.mp4", "-c:a ac3", "ac-3"),
        ("b.mov", "-c:a adpcm_ima_qt", "ima4"),
        ("a.mkv", "-c:a ac3", "A_AC3"),
    ] {
        if made(dir, name, args).is_none() {
            continue;
        }
        let told = AudioFile::open(dir.join(name)).unwrap_err().to_string();
        assert!(
            told.contains(codec) && told.contains("no decoder"),
            "{told}"
        );
    }
    // A picture that comes first.
    let video = "-f lavfi -i testsrc=d=2:r=5 -map 0 -map 1 -c:v libtheora -c:a libvorbis";
    if let Some(bytes) = made(dir, "a.ogv", video) {
        whole(dir, "a.ogv", &bytes, 2.0);
    }
}
