//! Live listening to what pauses, hangs up, refuses or never ends: the program against real pipes,
//! sockets and devices.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/live.rs"]
mod live;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/cli.rs"]
mod support;

use std::{
    io::{Read as _, Write as _},
    path::Path,
    process::{Command, Output, Stdio},
    thread,
    time::{Duration, Instant},
};

use genrescope::source::synth::Style;
use live::{PATIENCE, Process, is_lost, listen, run, samples, until, wait_for_end};
use support::{command, genrescope, music, stderr, write_wav};

#[test]
fn a_pipe_that_stalls_is_lost_says_so_once_and_goes_on() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listening, mut stdin, messages, said) = listen(&["--speed", "4"], dir.path());
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre");
    let stalled = until(&messages, is_lost);
    let status = stalled.last().unwrap();
    assert_eq!(status["type"], "status", "why comes before the readout");
    let why = status["message"].as_str().unwrap();
    assert!(why.contains("gives nothing any more"), "{why}");
    until(&messages, |m| is_lost(m) && m["type"] == "genre");
    stdin.write_all(&samples()).unwrap();
    let after = until(&messages, |m| m["type"] == "genre" && !is_lost(m));
    assert!(
        !after.iter().any(|m| is_lost(m) && m["type"] == "status"),
        "once: {after:#?}"
    );
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    let said: Vec<String> = said.iter().collect();
    assert_eq!(said.len(), 2, "{said:#?}");
    assert!(said[1].contains("goes on after a gap of"), "{said:#?}");
}

/// A sample now and then is what keeps a connection open, and no sound.
#[test]
fn a_pipe_that_trickles_is_lost() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listening, mut stdin, messages, said) = listen(&["--speed", "4"], dir.path());
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre");
    let trickle = |stdin: &mut std::process::ChildStdin, n: usize| {
        for _ in 0..n {
            stdin.write_all(&0.5_f32.to_le_bytes()).unwrap();
            thread::sleep(Duration::from_millis(20));
        }
    };
    let mut lost = None;
    for _ in 0..1_000 {
        trickle(&mut stdin, 10);
        lost = lost.or(messages.try_iter().find(is_lost));
        if lost.is_some() {
            break;
        }
    }
    assert!(lost.is_some(), "it is live for ever");
    trickle(&mut stdin, 10);
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre" && !is_lost(m));
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    let said: Vec<String> = said.iter().collect();
    assert!(said[1].contains("goes on after a gap of"), "{said:#?}");
}

/// Feeds are told of a pipe that has yet to begin, whether it has a header or not.
#[test]
fn a_pipe_that_begins_late_is_lost_until_then() {
    let dir = tempfile::tempdir().unwrap();
    let song = dir.path().join("song.wav");
    write_wav(&song, 32_000, &music(Style::Jazz, 4.0, 1));
    let with_header = std::fs::read(&song).unwrap();
    for (raw, bytes) in [("f32le:22050:1", samples()), ("", with_header)] {
        let mut args = vec!["listen", "--json", "--speed", "4", "--input", "-"];
        if !raw.is_empty() {
            args.extend(["--raw", raw]);
        }
        let (mut listening, mut stdin, messages, said) = run(&args, dir.path());
        let why = until(&messages, |m| m["type"] == "status" && is_lost(m));
        assert_eq!(why[0]["type"], "hello", "{raw}");
        let why = why.last().unwrap()["message"].as_str().unwrap();
        assert!(why.contains("gives nothing yet"), "{why}");
        until(&messages, |m| m["type"] == "genre" && is_lost(m));
        stdin.write_all(&bytes).unwrap();
        let after = until(&messages, |m| m["type"] == "genre" && !is_lost(m));
        assert!(after.len() < 4, "{after:#?}");
        drop(stdin);
        assert!(wait_for_end(&mut listening).success());
        let said: Vec<String> = said.iter().collect();
        assert_eq!(said.len(), 2, "{said:#?}");
    }
}

/// As fast as it goes, nothing was due, so a slow pipe is no loss.
#[test]
fn a_slow_pipe_is_no_loss_where_nothing_is_played() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listening, mut stdin, messages, said) = listen(&["--fast"], dir.path());
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre");
    // Longer than a pipe that is played may give nothing.
    thread::sleep(Duration::from_millis(1_300));
    stdin.write_all(&samples()).unwrap();
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    assert!(!messages.iter().any(|m| is_lost(&m)));
    assert_eq!(said.iter().collect::<Vec<_>>(), [""; 0]);
}

#[test]
fn more_readouts_than_wait_come_from_a_long_pipe() {
    let dir = tempfile::tempdir().unwrap();
    let (mut listening, mut stdin, messages, _said) = listen(&["--fast"], dir.path());
    for _ in 0..15 {
        stdin.write_all(&samples()).unwrap();
    }
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    let readouts = messages.iter().filter(|m| m["type"] == "genre").count();
    assert!(readouts > 20, "{readouts}");
}

#[cfg(target_os = "linux")] // which has /dev/full
#[test]
fn a_full_standard_output_ends_with_an_error() {
    let dir = tempfile::tempdir().unwrap();
    let song = dir.path().join("song.wav");
    write_wav(&song, 22_050, &music(Style::Jazz, 4.0, 1));
    for fast in [true, false] {
        let mut listen = command(&["listen", "--json", "--input", "song.wav"], dir.path());
        if fast {
            listen.arg("--fast");
        }
        let full = std::fs::File::options().write(true).open("/dev/full");
        let output = listen.stdout(full.unwrap()).output().unwrap();
        let said = stderr(&output);
        assert_eq!(output.status.code(), Some(2), "{said}");
        assert!(said.contains("cannot write standard output"), "{said}");
    }
}

#[test]
fn a_json_file_that_is_a_pipe_without_reader_is_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("mkfifo").arg(dir.path().join("feed")).status();
    assert!(made.unwrap().success());
    let (mut listening, _stdin, _messages, said) = listen(&["--json-file", "feed"], dir.path());
    assert_eq!(wait_for_end(&mut listening).code(), Some(2));
    let said: Vec<String> = said.iter().collect();
    assert!(said[0].contains("nobody reads the pipe 'feed'"), "{said:?}");
}

#[cfg(target_os = "linux")] // which has /dev/zero
#[test]
fn files_that_never_end_are_refused_at_once() {
    let dir = tempfile::tempdir().unwrap();
    let refused = |args: &[&str]| -> String {
        let output: Output = genrescope(args, dir.path());
        assert_eq!(output.status.code(), Some(2), "{args:?}");
        stderr(&output)
    };
    let config = refused(&["--config", "/dev/zero", "config"]);
    assert!(
        config.contains("/dev/zero") && config.contains("it is a device"),
        "{config}"
    );
    let model = refused(&["model", "show", "/dev/zero"]);
    assert!(model.contains("'/dev/zero'"), "{model}");
    let journal = refused(&["tag", "--undo", "/dev/zero"]);
    assert!(journal.contains("it is a device"), "{journal}");
    let made = Command::new("mkfifo").arg(dir.path().join("pipe")).status();
    assert!(made.unwrap().success());
    for args in [
        &["--config", "pipe", "config"][..],
        &["model", "show", "pipe"],
        &["tag", "--undo", "pipe"],
    ] {
        let said = refused(args);
        assert!(said.contains("nobody writes to this pipe"), "{said}");
    }
}

/// A view on a terminal of util-linux's `script`, whose other end is closed: the listener must not
/// outlive it.
#[cfg(target_os = "linux")]
#[test]
fn a_terminal_that_hangs_up_ends_the_view() {
    let dir = tempfile::tempdir().unwrap();
    let song = dir.path().join("song.wav");
    write_wav(&song, 22_050, &music(Style::Jazz, 60.0, 1));
    let program = env!("CARGO_BIN_EXE_genrescope");
    let inner = format!("echo $$ > pid; exec '{program}' listen --input song.wav");
    let script = Command::new("script")
        .args(["-q", "-c", &inner, "/dev/null"])
        .current_dir(dir.path())
        .env("TERM", "xterm")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn();
    let Ok(script) = script else {
        skip::skip("script", "'script' is not installed");
        return;
    };
    let mut script = Process(script);
    let mut out = script.0.stdout.take().unwrap();
    let mut shown = vec![0; 2_000];
    out.read_exact(&mut shown).unwrap();
    let pid = std::fs::read_to_string(dir.path().join("pid")).unwrap();
    let process = format!("/proc/{}", pid.trim());
    assert!(Path::new(&process).exists());
    drop(script);
    let deadline = Instant::now() + PATIENCE;
    while Path::new(&process).exists() {
        assert!(Instant::now() < deadline, "it outlives its terminal");
        thread::sleep(Duration::from_millis(20));
    }
}

/// The system says when nobody listens at a port; the heartbeat says that the program lives.
#[cfg(target_os = "linux")] // which reports closed ports
#[test]
fn a_receiver_that_refuses_is_told_once_and_again_when_it_is_back() {
    let dir = tempfile::tempdir().unwrap();
    let socket = std::net::UdpSocket::bind("127.0.0.1:0").unwrap();
    let target = socket.local_addr().unwrap();
    drop(socket);
    let osc = target.to_string();
    let (_listening, mut stdin, messages, said) = listen(&["--osc", &osc], dir.path());
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre");
    let next = || said.recv_timeout(PATIENCE).unwrap();
    let nobody = next();
    assert!(
        nobody.contains(&format!("nobody listens at {osc} (osc)")),
        "{nobody}"
    );
    let socket = std::net::UdpSocket::bind(target).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut packet = [0; 1_536];
    loop {
        let length = socket.recv(&mut packet).unwrap();
        let found = rosc::decoder::decode_udp(&packet[..length]).unwrap().1;
        if matches!(found, rosc::OscPacket::Message(m) if m.addr == "/genre/alive") {
            break;
        }
    }
    // The pipe stalls meanwhile, which is said, too.
    let back = format!("osc {osc}: reached again");
    let said = [next(), next()];
    assert!(said.iter().any(|line| line.contains(&back)), "{said:?}");
}

/// Whoever read it has gone, in the middle of a song.
#[test]
fn a_reader_that_goes_ends_the_listening() {
    let dir = tempfile::tempdir().unwrap();
    let song = dir.path().join("song.wav");
    write_wav(&song, 22_050, &music(Style::Jazz, 600.0, 1));
    let args = ["listen", "--json", "--input", "song.wav"];
    let (mut listening, _stdin, messages, said) = run(&args, dir.path());
    until(&messages, |m| m["type"] == "hello");
    drop(messages);
    assert!(wait_for_end(&mut listening).success());
    assert_eq!(said.iter().collect::<Vec<_>>(), [""; 0]);
}
