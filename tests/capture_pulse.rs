//! The command line against a real PulseAudio server of the test's own, with a null sink whose monitor is heard.
//! Without `pulseaudio` and `paplay` on the PATH (Debian: pulseaudio, pulseaudio-utils) this is skipped, and says so.
#![cfg(all(feature = "cli", target_os = "linux"))]

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use genrescope::{
    source::synth::{Style, render},
    units::{SampleRate, Seconds},
};
use serde_json::Value;

const PATIENCE: Duration = Duration::from_secs(60);

/// Ends a child process whatever happens to the test.
struct Process(Child);

impl Process {
    fn end(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
    }
}

struct Rig {
    folder: tempfile::TempDir,
}

impl Rig {
    /// `None` where there is no PulseAudio.
    fn new() -> Option<Self> {
        for program in ["pulseaudio", "paplay"] {
            let answer = Command::new(program)
                .arg("--version")
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .status();
            if !answer.is_ok_and(|status| status.success()) {
                println!("skipped: '{program}' is not installed");
                return None;
            }
        }
        Some(Self {
            folder: tempfile::tempdir().unwrap(),
        })
    }

    fn socket(&self) -> PathBuf {
        self.folder.path().join("pulse.sock")
    }

    /// A command that knows no server but the test's own.
    fn command(&self, program: impl AsRef<std::ffi::OsStr>) -> Command {
        let mut command = Command::new(program);
        command
            .env("XDG_RUNTIME_DIR", self.folder.path())
            // The server leaves its cookie under HOME, where its client looks; without one it is not let in.
            .env("HOME", self.folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env("PULSE_SERVER", format!("unix:{}", self.socket().display()))
            .env_remove("GENRESCOPE_CONFIG");
        command
    }

    fn genrescope(&self) -> Command {
        self.command(env!("CARGO_BIN_EXE_genrescope"))
    }

    fn start_server(&self) -> Process {
        let socket = self.socket();
        let _ = std::fs::remove_file(&socket);
        let server = self
            .command("pulseaudio")
            .args(["-n", "--daemonize=no", "--exit-idle-time=-1"])
            .args(["--disable-shm=yes", "--use-pid-file=no"])
            .arg("-L")
            .arg(format!(
                "module-native-protocol-unix socket={} auth-anonymous=1",
                socket.display()
            ))
            .args([
                "-L",
                "module-null-sink sink_name=speakers norewinds=1 rate=48000 channels=2",
            ])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut server = Process(server);
        let started = Instant::now();
        loop {
            let answer = self
                .command("pactl")
                .args(["list", "short", "sinks"])
                .output();
            if answer.is_ok_and(|a| String::from_utf8_lossy(&a.stdout).contains("speakers")) {
                return server;
            }
            assert!(
                server.0.try_wait().unwrap().is_none() && started.elapsed() < PATIENCE,
                "the server did not start"
            );
            thread::sleep(Duration::from_millis(20));
        }
    }

    fn play(&self, song: &Path) -> Process {
        let player = self
            .command("paplay")
            .args(["-d", "speakers"])
            .arg(song)
            .spawn()
            .unwrap();
        Process(player)
    }

    /// Half a minute of music that the product itself can make.
    fn song(&self) -> PathBuf {
        let path = self.folder.path().join("song.wav");
        let rate = SampleRate::new(48_000).unwrap();
        let music = render(Style::Jazz, rate, Seconds(40.0), 1);
        let spec = hound::WavSpec {
            channels: 2,
            sample_rate: rate.hz(),
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in music.interleaved() {
            writer
                .write_sample((sample.clamp(-1.0, 1.0) * 32_767.0) as i16)
                .unwrap();
        }
        writer.finalize().unwrap();
        path
    }
}

/// Lines of a child's output, as they come.
fn lines(output: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, receiver) = channel();
    thread::spawn(move || {
        for line in BufReader::new(output).lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    receiver
}

/// The first message that `wanted` accepts.
fn wait_for(what: &str, messages: &Receiver<String>, wanted: impl Fn(&Value) -> bool) -> Value {
    let deadline = Instant::now() + PATIENCE;
    let mut last = String::from("nothing");
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match messages.recv_timeout(left) {
            Ok(line) => {
                let message: Value = serde_json::from_str(&line).unwrap();
                if wanted(&message) {
                    return message;
                }
                last = line;
            }
            Err(RecvTimeoutError::Timeout) => panic!("no {what} in {PATIENCE:?}; last: {last}"),
            Err(RecvTimeoutError::Disconnected) => panic!("ended without {what}; last: {last}"),
        }
    }
}

fn is_readout(message: &Value) -> bool {
    message["type"] == "genre"
}

/// The label with the highest score.
fn best(message: &Value) -> Option<String> {
    let scores = message["scores"].as_object()?;
    let score = |value: &Value| value.as_f64().unwrap_or(0.0);
    scores
        .iter()
        .max_by(|a, b| score(a.1).total_cmp(&score(b.1)))
        .map(|(label, _)| label.clone())
}

#[test]
fn a_song_is_heard_from_the_monitor_and_a_dead_server_is_survived() {
    let Some(rig) = Rig::new() else { return };
    let mut server = rig.start_server();
    let song = rig.song();

    let listed = rig
        .genrescope()
        .args(["devices", "--json"])
        .output()
        .unwrap();
    let listed = String::from_utf8(listed.stdout).unwrap();
    let monitor = listed
        .lines()
        .map(|line| serde_json::from_str::<Value>(line).unwrap())
        .find(|source| source["id"] == "pulseaudio:speakers.monitor")
        .unwrap_or_else(|| panic!("the monitor is not listed: {listed}"));
    assert_eq!(monitor["kind"], "system audio");
    assert_eq!(monitor["rate"], 48_000);

    // What the file alone is called after as much music.
    let output = rig
        .genrescope()
        .args(["listen", "--fast", "--json", "--input"])
        .arg(&song)
        .output()
        .unwrap();
    assert!(output.status.success());
    let alone: Vec<Value> = String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .filter(is_readout)
        .collect();
    let whole = |m: &Value| is_readout(m) && m["window_s"].as_f64() >= Some(29.0);
    let verdict = alone
        .iter()
        .find(|m| whole(m))
        .and_then(best)
        .expect("40 s are more than a frame");

    let child = rig
        .genrescope()
        .args(["listen", "--device", "Null Output", "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut listening = Process(child);
    let messages = lines(listening.0.stdout.take().unwrap());
    let said = lines(listening.0.stderr.take().unwrap());
    wait_for("hello", &messages, |m| m["type"] == "hello");
    let first = said.recv_timeout(PATIENCE).unwrap();
    assert!(
        first.contains("listening to Monitor of Null Output"),
        "{first}"
    );

    let player = rig.play(&song);
    // The first answers rest on three seconds and differ; a whole frame must be called what the file is called.
    let heard = wait_for("answer from a whole frame", &messages, whole);
    assert_eq!(heard["source"], "pulseaudio:speakers.monitor");
    assert_eq!(best(&heard), Some(verdict), "{heard}");
    assert!(heard["level_dbfs"].as_f64().unwrap() > -60.0, "{heard}");

    server.end();
    drop(player);
    wait_for("loss", &messages, |m| m["state"] == "lost");
    let server_again = rig.start_server();
    let back = Instant::now();
    let player = rig.play(&song);
    wait_for("return", &messages, |m| {
        is_readout(m) && m["state"] != "lost"
    });
    println!(
        "heard again {:.2} s after the server was back",
        back.elapsed().as_secs_f64()
    );
    let told: Vec<String> =
        std::iter::from_fn(|| said.recv_timeout(Duration::from_secs(2)).ok()).collect();
    let told = told.join("\n");
    assert!(
        told.contains("Monitor of Null Output (pulseaudio:speakers.monitor) is lost"),
        "{told}"
    );
    assert!(told.contains("is back after a gap of"), "{told}");
    wait_for("an answer again", &messages, |m| {
        is_readout(m)
            && ["live", "provisional", "unsure"].contains(&m["state"].as_str().unwrap_or(""))
    });
    drop((player, server_again));
}

#[test]
fn what_cannot_be_opened_is_said_in_words() {
    let Some(rig) = Rig::new() else { return };
    // Nobody there: the message names what is missing, and the exit code says failure.
    let output = rig
        .genrescope()
        .args(["listen", "--device", "speakers", "--json"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(2));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("genrescope: no so"), "{said}");

    let _server = rig.start_server();
    let complain = |device: &str| {
        let output = rig
            .genrescope()
            .args(["listen", "--json", "--device", device])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(2));
        String::from_utf8(output.stderr).unwrap()
    };
    let said = complain("gramophone");
    assert!(
        said.contains("no source is called 'gramophone'; there are: "),
        "{said}"
    );
    assert!(said.contains("speakers.monitor"), "{said}");

    // A rate that cannot be listened to.
    let loaded = rig
        .command("pactl")
        .args([
            "load-module",
            "module-null-sink",
            "sink_name=slow",
            "rate=4000",
        ])
        .output()
        .unwrap();
    assert!(loaded.status.success());
    let said = complain("slow.monitor");
    assert!(
        said.contains("delivers 4000 Hz, and genrescope hears 8000 to 384000 Hz"),
        "{said}"
    );
}
