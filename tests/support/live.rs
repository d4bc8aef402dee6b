//! A listener that tests feed through its standard input, and what it says.
#![allow(
    dead_code,
    clippy::unwrap_used,
    reason = "helpers of tests: each test program uses some of them, and a failure is a failed test"
)]

use std::{
    io::{BufRead as _, BufReader},
    path::Path,
    process::{Child, ChildStdin, Stdio},
    sync::mpsc::{Receiver, channel},
    thread,
    time::{Duration, Instant},
};

use genrescope::source::synth::Style;
use serde_json::Value;

use crate::support::{command, music};

/// Browsers on a machine that others use, too, take their time.
pub(crate) const PATIENCE: Duration = Duration::from_secs(180);

/// Ends a child process whatever happens to the test.
pub(crate) struct Process(pub(crate) Child);

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// Four seconds of music as bare samples.
pub(crate) fn samples() -> Vec<u8> {
    let music = music(Style::Jazz, 4.0, 1);
    music.iter().flat_map(|s| s.to_le_bytes()).collect()
}

/// `listen --json` on its standard input, its messages, and what it says besides.
pub(crate) fn listen(
    args: &[&str],
    dir: &Path,
) -> (Process, ChildStdin, Receiver<Value>, Receiver<String>) {
    let mut all = vec!["listen", "--json", "--input", "-", "--raw", "f32le:22050:1"];
    all.extend(args);
    run(&all, dir)
}

/// The program with these arguments, its messages, and what it says besides.
pub(crate) fn run(
    args: &[&str],
    dir: &Path,
) -> (Process, ChildStdin, Receiver<Value>, Receiver<String>) {
    let mut child = command(args, dir)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let stdin = child.stdin.take().unwrap();
    let messages = lines(child.stdout.take().unwrap(), |line| {
        serde_json::from_str(&line).unwrap()
    });
    let said = lines(child.stderr.take().unwrap(), |line| line);
    (Process(child), stdin, messages, said)
}

pub(crate) fn lines<T: Send + 'static>(
    from: impl std::io::Read + Send + 'static,
    read: impl Fn(String) -> T + Send + 'static,
) -> Receiver<T> {
    let (out, lines) = channel();
    thread::spawn(move || {
        for line in BufReader::new(from).lines().map_while(Result::ok) {
            if out.send(read(line)).is_err() {
                return;
            }
        }
    });
    lines
}

/// Messages up to the first of which `wanted` holds.
pub(crate) fn until(messages: &Receiver<Value>, wanted: impl Fn(&Value) -> bool) -> Vec<Value> {
    let mut seen = Vec::new();
    loop {
        let message = messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{error} after {seen:#?}"));
        let found = wanted(&message);
        seen.push(message);
        if found {
            return seen;
        }
    }
}

pub(crate) fn is_lost(message: &Value) -> bool {
    message["state"] == "lost"
}

pub(crate) fn wait_for_end(process: &mut Process) -> std::process::ExitStatus {
    let deadline = Instant::now() + PATIENCE;
    loop {
        if let Some(status) = process.0.try_wait().unwrap() {
            return status;
        }
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(20));
    }
}

/// Waits until `condition` holds.
pub(crate) fn wait_for(what: &str, mut condition: impl FnMut() -> bool) {
    let deadline = Instant::now() + PATIENCE;
    while !condition() {
        assert!(Instant::now() < deadline, "{what}");
        thread::sleep(Duration::from_millis(20));
    }
}
