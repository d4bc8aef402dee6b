//! The command line against a real PulseAudio server of the test's own, with a null sink whose
//! monitor is heard. Without `pulseaudio` and `paplay` on the PATH (Debian: pulseaudio,
//! pulseaudio-utils) this is skipped, and says so.
#![cfg(all(feature = "cli", target_os = "linux"))]

#[path = "support/skip.rs"]
mod skip;

use std::{
    io::{BufRead, BufReader, Read},
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::mpsc::{Receiver, RecvTimeoutError, channel},
    thread,
    time::{Duration, Instant},
};

use genrescope::{
    source::{
        file::AudioFile,
        synth::{Style, render},
    },
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
                skip::skip("pulse", format_args!("'{program}' is not installed"));
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
            // No cookie of the user's, and no harm to it.
            .env("HOME", self.folder.path())
            .env_remove("XDG_CONFIG_HOME")
            .env_remove("PULSE_COOKIE")
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
        let rate = SampleRate::new(48_000).unwrap();
        let music = render(Style::Jazz, rate, Seconds(40.0), 1);
        self.wav("song.wav", rate, 2, &music.interleaved())
    }

    fn wav(&self, name: &str, rate: SampleRate, channels: u16, samples: &[f32]) -> PathBuf {
        let path = self.folder.path().join(name);
        let spec = hound::WavSpec {
            channels,
            sample_rate: rate.hz(),
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::create(&path, spec).unwrap();
        for sample in samples {
            writer
                .write_sample((sample.clamp(-1.0, 1.0) * 32_767.0) as i16)
                .unwrap();
        }
        writer.finalize().unwrap();
        path
    }

    /// `listen` on the monitor: its JSON Lines, and what it says besides.
    fn listen(&self) -> (Process, Receiver<String>, Receiver<String>) {
        self.listen_to("Null Output")
    }

    fn listen_to(&self, device: &str) -> (Process, Receiver<String>, Receiver<String>) {
        let child = self
            .genrescope()
            .args(["listen", "--device", device, "--json"])
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
        (listening, messages, said)
    }

    fn pactl(&self, args: &[&str]) {
        let done = self.command("pactl").args(args).output().unwrap();
        assert!(done.status.success(), "pactl {args:?}: {done:?}");
    }
}

/// Real songs that the network was not trained on, in folders named after their genre.
fn real_song(genre: &str) -> Option<PathBuf> {
    let data = std::env::var_os("GENRESCOPE_DATA").map_or_else(
        || Path::new(env!("CARGO_MANIFEST_DIR")).join("../shared/data"),
        PathBuf::from,
    );
    let folder = data.join("songs").join(genre);
    let mut songs: Vec<PathBuf> = std::fs::read_dir(&folder)
        .into_iter()
        .flatten()
        .filter_map(|entry| Some(entry.ok()?.path()))
        .collect();
    songs.sort();
    let song = songs.into_iter().next();
    if song.is_none() {
        skip::skip(
            "data",
            format_args!(
                "there are no songs in '{}'; GENRESCOPE_DATA names the data folder",
                folder.display()
            ),
        );
    }
    song
}

fn decoded(path: &Path) -> (SampleRate, Vec<f32>) {
    let mut file = AudioFile::open(path).unwrap();
    let (mut all, mut block) = (Vec::new(), Vec::new());
    while file.next_block(&mut block).unwrap() {
        all.extend_from_slice(&block);
    }
    (file.rate(), all)
}

/// The next line that `wanted` accepts.
fn wait_for_words(said: &Receiver<String>, wanted: &str) -> String {
    let deadline = Instant::now() + PATIENCE;
    let mut heard = Vec::new();
    loop {
        let left = deadline.saturating_duration_since(Instant::now());
        match said.recv_timeout(left) {
            Ok(line) if line.contains(wanted) => return line,
            Ok(line) => heard.push(line),
            Err(error) => {
                panic!("'{wanted}' was not said in {PATIENCE:?}, but {heard:?} ({error})")
            }
        }
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
fn wait_for(
    what: &str,
    messages: &Receiver<String>,
    mut wanted: impl FnMut(&Value) -> bool,
) -> Value {
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

    let (_listening, messages, said) = rig.listen();
    let player = rig.play(&song);
    // The first answers rest on three seconds and differ; a whole frame must be called what the
    // file is called.
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
fn a_real_song_is_named_before_and_after_the_server_died() {
    let Some(rig) = Rig::new() else { return };
    let Some(song) = real_song("classical") else {
        return;
    };
    let (rate, samples) = decoded(&song);
    // Twice over, so that it lasts.
    let song = rig.wav("real.wav", rate, 1, &[&samples[..], &samples[..]].concat());
    let mut server = rig.start_server();
    let (_listening, messages, said) = rig.listen();
    let player = rig.play(&song);
    // Another genre may be shown at first; a dwell of some seconds later, the right one is.
    let live = |m: &Value| is_readout(m) && m["state"] == "live";
    wait_for("the right name", &messages, |m| {
        live(m) && m["genre"] == "classical"
    });

    server.end();
    drop(player);
    wait_for("loss", &messages, |m| m["state"] == "lost");
    let _server = rig.start_server();
    let back = Instant::now();
    let _player = rig.play(&song);
    // The gap is shorter than a frame, so what was heard before still counts.
    let heard = wait_for("a live answer again", &messages, live);
    println!(
        "live again {:.2} s after the server was back",
        back.elapsed().as_secs_f64()
    );
    assert_eq!(heard["genre"], "classical", "{heard}");
    println!("{}", wait_for_words(&said, "is back after a gap of"));
}

/// A suspended sink gives neither samples nor errors; only the watchdog sees that.
#[test]
fn a_suspended_sink_is_lost_and_found_again() {
    let Some(rig) = Rig::new() else { return };
    let _server = rig.start_server();
    let (mut listening, messages, said) = rig.listen();
    rig.pactl(&["suspend-sink", "speakers", "1"]);
    wait_for("loss", &messages, |m| m["state"] == "lost");
    wait_for_words(&said, "is lost: no samples for");
    wait_for_words(&said, "does not answer; it may be suspended");
    rig.pactl(&["suspend-sink", "speakers", "0"]);
    wait_for_words(&said, "is back after a gap of");
    wait_for("silence", &messages, |m| m["state"] == "silent");

    // Nor does it keep anyone from leaving.
    rig.pactl(&["suspend-sink", "speakers", "1"]);
    wait_for("loss", &messages, |m| m["state"] == "lost");
    thread::sleep(Duration::from_secs(1));
    let interrupt = Command::new("kill")
        .args(["-INT", &listening.0.id().to_string()])
        .status();
    assert!(interrupt.unwrap().success());
    let deadline = Instant::now() + PATIENCE;
    while listening.0.try_wait().unwrap().is_none() {
        assert!(Instant::now() < deadline, "it does not end");
        thread::sleep(Duration::from_millis(50));
    }
}

/// A second sink beside the first, whose name is `other`.
fn add_other_sink(rig: &Rig) {
    rig.pactl(&[
        "load-module",
        "module-null-sink",
        "sink_name=other",
        "sink_properties=device.description=Other",
    ]);
}

/// Where the server moves streams to another source, a listener must not go on under the name of
/// one that is gone.
#[test]
fn a_removed_source_is_lost_even_where_the_server_moves_its_streams() {
    let Some(rig) = Rig::new() else { return };
    let _server = rig.start_server();
    rig.pactl(&["load-module", "module-rescue-streams"]);
    let (_listening, messages, said) = rig.listen_to("speakers.monitor");
    add_other_sink(&rig);
    wait_for("silence", &messages, |m| m["state"] == "silent");
    let modules = rig
        .command("pactl")
        .args(["list", "short", "modules"])
        .output();
    let modules = String::from_utf8(modules.unwrap().stdout).unwrap();
    let speakers = modules
        .lines()
        .find(|line| line.contains("sink_name=speakers"));
    let number = speakers.unwrap().split_whitespace().next().unwrap();
    rig.pactl(&["unload-module", number]);
    wait_for("loss", &messages, |m| m["state"] == "lost");
    wait_for_words(&said, "no source is called 'speakers.monitor'");
}

#[test]
fn another_default_is_told_as_lost_hello_and_a_state_once_each() {
    let Some(rig) = Rig::new() else { return };
    let _server = rig.start_server();
    add_other_sink(&rig);
    rig.pactl(&["set-default-sink", "speakers"]);
    let (_listening, messages, said) = rig.listen_to("system");
    wait_for("silence", &messages, |m| m["state"] == "silent");
    rig.pactl(&["set-default-sink", "other"]);
    let mut told = Vec::new();
    wait_for("a readout of the other one", &messages, |m| {
        let is_other = m["source"] == "pulseaudio:other.monitor";
        if m["type"] != "genre" {
            told.push(format!("{} {}", m["type"], m["state"]));
        }
        is_other && is_readout(m)
    });
    // Another rate or not, listening begins anew or goes on; which of the two is not the point
    // here.
    let last = told.pop();
    assert_eq!(told, [r#""status" "lost""#, r#""hello" null"#], "{last:?}");
    let last = last.unwrap_or_default();
    assert!(
        last.starts_with(r#""status""#) && !last.contains("lost"),
        "{last}"
    );
    wait_for_words(&said, "the default is now pulseaudio:other.monitor");
    wait_for_words(&said, "listening to Monitor of Other");
}

/// The same name with another rate, then with one that cannot be heard, then as before.
#[test]
fn a_change_of_rate_is_followed_and_a_refused_one_is_said() {
    let Some(rig) = Rig::new() else { return };
    let _server = rig.start_server();
    let (_listening, messages, said) = rig.listen();
    let sink = |rate: &str| {
        rig.pactl(&["unload-module", "module-null-sink"]);
        rig.pactl(&[
            "load-module",
            "module-null-sink",
            "sink_name=speakers",
            "norewinds=1",
            "channels=6",
            rate,
        ]);
    };
    sink("rate=96000");
    wait_for_words(&said, "is lost");
    let line = wait_for_words(&said, "listening to");
    assert!(line.contains("96000 Hz, 6 channels"), "{line}");
    sink("rate=4000");
    let line = wait_for_words(&said, "delivers 4000 Hz");
    assert!(line.contains("hears 8000 to 384000 Hz"), "{line}");
    sink("rate=44100");
    let line = wait_for_words(&said, "listening to");
    assert!(line.contains("44100 Hz"), "{line}");
    wait_for("silence", &messages, |m| m["state"] == "silent");
}

/// Neither the server nor its clients let a program in without a cookie of 256 bytes.
#[test]
fn a_missing_cookie_is_made_and_a_broken_one_is_said() {
    let Some(rig) = Rig::new() else { return };
    let _server = rig.start_server();
    let cookie = rig.folder.path().join(".config/pulse/cookie");
    let _ = std::fs::remove_file(&cookie);
    let devices = || {
        let output = rig.genrescope().arg("devices").output().unwrap();
        [output.stdout, output.stderr].map(|text| String::from_utf8(text).unwrap())
    };
    let [listed, said] = devices();
    assert!(
        listed.contains("pulseaudio:speakers.monitor"),
        "{listed}{said}"
    );
    assert_eq!(said, "");
    assert_eq!(std::fs::read(&cookie).unwrap().len(), 256);

    std::fs::write(&cookie, [0; 10]).unwrap();
    let [_, said] = devices();
    assert!(
        said.contains("has 10 bytes instead of 256: delete it"),
        "{said}"
    );
    assert!(said.contains("PulseAudio does not answer"), "{said}");
    assert!(!said.contains("ALSA lib"), "{said}");
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

#[test]
fn the_demonstration_plays_aloud_and_without_an_output_goes_on() {
    let Some(rig) = Rig::new() else { return };
    let demo = |rig: &Rig| {
        let mut command = rig.genrescope();
        command.args(["demo", "--play", "--styles", "classical", "--seconds", "4"]);
        command
    };
    let silent = demo(&rig).output().unwrap();
    let said = String::from_utf8_lossy(&silent.stderr);
    assert!(silent.status.success(), "{silent:?}");
    assert!(said.contains("nothing is played aloud"), "{said}");

    let _server = rig.start_server();
    let (_listening, messages, _said) = rig.listen();
    wait_for("silence", &messages, |m| {
        is_readout(m) && m["level_dbfs"].as_f64() < Some(-90.0)
    });
    let playing = demo(&rig)
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    wait_for("the demonstration's music", &messages, |m| {
        is_readout(m) && m["level_dbfs"].as_f64() > Some(-40.0)
    });
    let played = playing.wait_with_output().unwrap();
    assert!(played.status.success(), "{played:?}");
    assert_eq!(String::from_utf8_lossy(&played.stderr), "");
}
