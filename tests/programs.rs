//! Feeds for homes and other programs, proved with the programs themselves: mosquitto, a shell, a
//! socket.
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
    fs,
    io::{BufRead as _, BufReader, Write as _},
    net::{TcpListener, TcpStream},
    os::unix::{fs::PermissionsExt as _, net::UnixStream},
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
        mpsc::Receiver,
    },
    thread::{self, JoinHandle},
    time::Duration,
};

use live::{PATIENCE, Process, is_lost, lines, listen, samples, until, wait_for, wait_for_end};
use serde_json::Value;
use support::{genrescope, stderr, stdout};

/// Debian keeps it where not every user looks.
fn mosquitto() -> Option<&'static str> {
    ["mosquitto", "/usr/sbin/mosquitto"]
        .into_iter()
        .find(|name| Command::new(name).arg("-h").output().is_ok())
}

struct Broker {
    process: Option<Process>,
    program: &'static str,
    port: u16,
    config: PathBuf,
}

impl Broker {
    /// A broker that lets in the user `dj` with the password `secret horse`; `more` is further
    /// configuration. `None` where there is no mosquitto.
    fn start(dir: &Path, more: &str) -> Option<Self> {
        let program = mosquitto()?;
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let passwords = dir.join("passwords");
        fs::write(&passwords, "").unwrap();
        fs::set_permissions(&passwords, fs::Permissions::from_mode(0o600)).unwrap();
        let made = Command::new("mosquitto_passwd")
            .arg("-b")
            .arg(&passwords)
            .args(["dj", "secret horse"])
            .output();
        assert!(made.unwrap().status.success());
        let config = dir.join("mosquitto.conf");
        // As root, it becomes a user that may not read here.
        let text = format!(
            "listener {port} 127.0.0.1\nallow_anonymous false\npassword_file {}\nuser root\npersistence false\n{more}",
            passwords.display()
        );
        fs::write(&config, text).unwrap();
        let mut broker = Self {
            process: None,
            program,
            port,
            config,
        };
        broker.run();
        Some(broker)
    }

    fn run(&mut self) {
        let child = Command::new(self.program)
            .arg("-c")
            .arg(&self.config)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn();
        self.process = Some(Process(child.unwrap()));
        wait_for("the broker answers", || {
            TcpStream::connect(("127.0.0.1", self.port)).is_ok()
        });
    }

    fn kill(&mut self) {
        self.process = None;
    }

    fn url(&self) -> String {
        format!("mqtt://dj@127.0.0.1:{}", self.port)
    }

    /// Everything from now on: topic and payload. What is retained comes first.
    fn watch(&self, more: &[&str]) -> (Process, Receiver<(String, String)>) {
        let mut child = Command::new("mosquitto_sub")
            .args([
                "-h",
                "127.0.0.1",
                "-p",
                &self.port.to_string(),
                "-u",
                "dj",
                "-P",
                "secret horse",
            ])
            .args(["-v", "-t", "#"])
            .args(more)
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let out = child.stdout.take().unwrap();
        let messages = lines(out, |line| {
            let (topic, payload) = line.split_once(' ').unwrap_or((&line, ""));
            (topic.to_owned(), payload.to_owned())
        });
        (Process(child), messages)
    }

    /// What the broker keeps for those who come.
    fn retained(&self) -> Vec<(String, String)> {
        let (mut watching, messages) = self.watch(&["--retained-only", "-W", "2"]);
        wait_for_end(&mut watching);
        messages.iter().collect()
    }
}

/// Messages up to this one.
fn until_told(
    messages: &Receiver<(String, String)>,
    topic: &str,
    payload: &str,
) -> Vec<(String, String)> {
    until_told_what(messages, topic, |told| told == payload)
}

fn until_told_what(
    messages: &Receiver<(String, String)>,
    topic: &str,
    wanted: impl Fn(&str) -> bool,
) -> Vec<(String, String)> {
    let mut seen = Vec::new();
    loop {
        let message = messages
            .recv_timeout(PATIENCE)
            .unwrap_or_else(|error| panic!("{topic}: {error} after {seen:#?}"));
        let found = message.0 == topic && wanted(&message.1);
        seen.push(message);
        if found {
            return seen;
        }
    }
}

fn has(messages: &[(String, String)], topic: &str, payload: &str) -> bool {
    messages.iter().any(|(t, p)| t == topic && p == payload)
}

#[test]
fn a_broker_knows_what_is_heard_and_that_nobody_listens_any_more() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut broker) = Broker::start(dir.path(), "") else {
        return skip::skip("mosquitto", "mosquitto is not installed");
    };
    let password = dir.path().join("password");
    fs::write(&password, "secret horse\n").unwrap();
    let url = broker.url();
    let args = [
        "--speed",
        "4",
        "--mqtt",
        &url,
        "--mqtt-password-file",
        "password",
    ];
    let (_watching, told) = broker.watch(&[]);
    let (mut listening, mut stdin, messages, said) = listen(&args, dir.path());
    stdin.write_all(&samples()).unwrap();
    let seen = until_told(&told, "genrescope/status", "online");
    // What there is comes before that it is there.
    let genre = seen
        .iter()
        .find(|(topic, _)| topic == "homeassistant/sensor/genrescope/genre/config");
    let genre: Value = serde_json::from_str(&genre.unwrap().1).unwrap();
    assert_eq!(genre["state_topic"], "genrescope/genre");
    assert_eq!(genre["options"].as_array().unwrap().len(), 10);
    let heard = until(&messages, |m| m["type"] == "genre").pop().unwrap();
    // The same message in both feeds.
    until_told_what(&told, "genrescope/readout", |told| {
        serde_json::from_str::<Value>(told).unwrap() == heard
    });

    // The pipe stalls: there is nothing to hear.
    until(&messages, is_lost);
    until_told(&told, "genrescope/audio", "offline");
    until_told(&told, "genrescope/genre", "none");
    stdin.write_all(&samples()).unwrap();
    until_told(&told, "genrescope/audio", "online");

    // A broker that was restarted is told everything again.
    broker.kill();
    let gone = said
        .iter()
        .find(|line| line.contains("(mqtt)") || line.contains("mqtt: "));
    assert!(!gone.unwrap().contains("secret horse"));
    broker.run();
    let (_watching, told) = broker.watch(&[]);
    until_told(&told, "genrescope/status", "online");
    let kept = broker.retained();
    assert!(
        kept.iter()
            .any(|(topic, _)| topic.ends_with("genre/config")),
        "{kept:#?}"
    );

    // kill -9: the last will speaks, and no genre stays behind.
    listening.0.kill().unwrap();
    listening.0.wait().unwrap();
    until_told(&told, "genrescope/status", "offline");
    let kept = broker.retained();
    assert!(has(&kept, "genrescope/status", "offline"), "{kept:#?}");
    for topic in ["genre", "readout", "attributes", "state", "confidence"] {
        let topic = format!("genrescope/{topic}");
        assert!(
            kept.iter().all(|(kept, _)| *kept != topic),
            "{topic} is retained"
        );
    }
}

#[test]
fn an_orderly_end_is_told_and_a_wrong_password_is_said() {
    let dir = tempfile::tempdir().unwrap();
    let Some(broker) = Broker::start(dir.path(), "") else {
        return skip::skip("mosquitto", "mosquitto is not installed");
    };
    fs::write(dir.path().join("wrong"), "wrong horse\n").unwrap();
    fs::write(dir.path().join("right"), "secret horse\n").unwrap();
    let url = format!("{}/home/stage", broker.url());
    let start = |file: &str| {
        let args = [
            "--mqtt",
            &url,
            "--mqtt-password-file",
            file,
            "--mqtt-discovery",
            "off",
        ];
        listen(&args, dir.path())
    };
    let (_listening, stdin, _messages, said) = start("wrong");
    let line = said.recv_timeout(PATIENCE).unwrap();
    assert!(
        line.contains("password") && line.contains(&broker.port.to_string()),
        "{line}"
    );
    assert!(!line.contains("horse"), "{line}");
    drop(stdin);

    let (_watching, told) = broker.watch(&[]);
    let (mut listening, stdin, _messages, _said) = start("right");
    let seen = until_told(&told, "home/stage/status", "online");
    assert!(
        seen.iter()
            .all(|(topic, _)| !topic.starts_with("homeassistant")),
        "{seen:#?}"
    );
    let process = fs::read(format!("/proc/{}/cmdline", listening.0.id())).unwrap_or_default();
    assert!(!String::from_utf8_lossy(&process).contains("horse"));
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    until_told(&told, "home/stage/status", "offline");
}

#[test]
fn a_broker_with_tls_is_believed_by_its_authority_only() {
    let dir = tempfile::tempdir().unwrap();
    let made = Command::new("sh")
        .arg("-ec")
        .arg(
            "openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem
             openssl req -newkey rsa:2048 -nodes -subj /CN=localhost -keyout server.key -out server.csr
             printf 'subjectAltName=DNS:localhost' > names
             openssl x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile names -out server.pem
             openssl req -x509 -newkey rsa:2048 -nodes -days 2 -subj /CN=other -keyout other.key -out other.pem",
        )
        .current_dir(dir.path())
        .output();
    if !made.is_ok_and(|output| output.status.success()) {
        return skip::skip("openssl", "openssl is not installed");
    }
    let port = TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
        .port();
    let at = |name: &str| dir.path().join(name).display().to_string();
    let more = format!(
        "listener {port} 127.0.0.1\ncertfile {}\nkeyfile {}\n",
        at("server.pem"),
        at("server.key")
    );
    let Some(broker) = Broker::start(dir.path(), &more) else {
        return skip::skip("mosquitto", "mosquitto is not installed");
    };
    fs::write(dir.path().join("password"), "secret horse\n").unwrap();
    let url = format!("mqtts://dj@localhost:{port}");
    let start = |ca: &str| {
        let args = [
            "--mqtt",
            &url,
            "--mqtt-password-file",
            "password",
            "--mqtt-ca",
            ca,
        ];
        listen(&args, dir.path())
    };
    let (_listening, _stdin, _messages, said) = start("other.pem");
    let line = said.recv_timeout(PATIENCE).unwrap();
    assert!(line.contains("certificate"), "{line}");
    let (_watching, told) = broker.watch(&[]);
    let (_listening, _stdin, _messages, _said) = start("ca.pem");
    until_told(&told, "genrescope/status", "online");
}

#[test]
fn a_password_on_the_command_line_or_in_the_configuration_is_refused_unrepeated() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("input"), samples()).unwrap();
    let args = [
        "listen",
        "--input",
        "input",
        "--raw",
        "f32le:22050:1",
        "--mqtt",
        "mqtt://dj:horse@host",
    ];
    let refused = genrescope(&args, dir.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("--mqtt-password-file"),
        "{}",
        stderr(&refused)
    );
    assert!(!stderr(&refused).contains("horse"), "{}", stderr(&refused));
    fs::write(
        dir.path().join("c.toml"),
        "[listen]\nmqtt = \"mqtt://dj:horse@host\"\n",
    )
    .unwrap();
    let refused = genrescope(&["--config", "c.toml", "config"], dir.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(!stderr(&refused).contains("horse"), "{}", stderr(&refused));
    let said = stdout(&refused);
    assert!(!said.contains("horse"), "{said}");
}

/// Reads a file again and again, as OBS does.
struct Reader {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<Vec<String>>,
}

impl Reader {
    fn of(path: PathBuf) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let told = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut seen: Vec<String> = Vec::new();
            while !told.load(Ordering::Relaxed) {
                if let Ok(text) = fs::read_to_string(&path)
                    && seen.last() != Some(&text)
                {
                    seen.push(text);
                }
                thread::sleep(Duration::from_millis(1));
            }
            seen
        });
        Self { stop, thread }
    }

    /// All that was ever read.
    fn end(self) -> Vec<String> {
        self.stop.store(true, Ordering::Relaxed);
        self.thread.join().unwrap()
    }
}

/// `note.sh` in `dir`, a program that runs `line`.
fn note_script(dir: &Path, line: &str) {
    let script = dir.join("note.sh");
    fs::write(&script, format!("#!/bin/sh\n{line}\n")).unwrap();
    fs::set_permissions(&script, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn files_commands_and_sockets_say_what_json_says() {
    let dir = tempfile::tempdir().unwrap();
    let text =
        "printf '%s|%s|%s\\n' \"$1\" \"$GENRESCOPE_GENRE\" \"$GENRESCOPE_STATE\" >> commands";
    note_script(dir.path(), text);
    let args = [
        "--speed",
        "4",
        "--unsure-below",
        "0",
        "--preset",
        "fast",
        "--text",
        "now.txt",
        "--text-format",
        "<{genre}>",
        "--exec",
        "./note.sh 'two words; $HOME'",
        "--socket",
        "feed",
    ];
    let (mut listening, mut stdin, messages, _said) = listen(&args, dir.path());
    wait_for("the socket", || dir.path().join("feed").exists());
    let socket = UnixStream::connect(dir.path().join("feed")).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut heard = BufReader::new(socket)
        .lines()
        .map_while(Result::ok)
        .map(|line| serde_json::from_str::<Value>(&line).unwrap());
    assert_eq!(heard.next().unwrap()["type"], "hello");
    let now = || fs::read_to_string(dir.path().join("now.txt")).unwrap_or_default();
    let reader = Reader::of(dir.path().join("now.txt"));
    for _ in 0..6 {
        stdin.write_all(&samples()).unwrap();
    }
    let named = until(&messages, |m| m["genre"].is_string()).pop().unwrap();
    let genre = named["genre"].as_str().unwrap();
    assert!(
        heard.any(|message| message == named),
        "the socket says the same"
    );
    let line = format!("<{genre}>\n");
    let commands = || fs::read_to_string(dir.path().join("commands")).unwrap_or_default();
    let first = format!("two words; $HOME|{genre}|");
    wait_for("the command", || commands().contains(&first));
    // The pipe stalls: nothing old stays.
    until(&messages, |m| is_lost(m) && m["type"] == "genre");
    wait_for("the line is gone", || now().is_empty());
    let seen = reader.end();
    assert!(seen.contains(&line), "{seen:?}");
    // Whole lines, whenever it is read.
    assert!(
        seen.iter()
            .all(|seen| seen.is_empty() || seen.starts_with('<') && seen.ends_with(">\n")),
        "{seen:?}"
    );
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    wait_for("the command hears of the end", || {
        commands()
            .lines()
            .last()
            .is_some_and(|line| line.contains("||"))
    });
    assert!(
        !dir.path().join("feed").exists(),
        "the socket is taken away"
    );
}

#[cfg(target_os = "linux")] // whose processes can be looked at
#[test]
fn secrets_are_in_no_log_no_configuration_no_list_of_processes_and_no_command() {
    let dir = tempfile::tempdir().unwrap();
    let secrets = ["the-token-of-the-page", "the password of the broker"];
    note_script(dir.path(), "env > seen.part; mv seen.part seen");
    let with_secrets = |args: &[&str]| {
        let mut command = support::command(args, dir.path());
        command
            .env("GENRESCOPE_HTTP_TOKEN", secrets[0])
            .env("GENRESCOPE_MQTT_PASSWORD", secrets[1]);
        command
    };
    let read = |name: &str| fs::read_to_string(dir.path().join(name)).unwrap_or_default();
    let file = |name: &str| fs::File::create(dir.path().join(name)).unwrap();
    let args = [
        "listen",
        "--json",
        "--input",
        "-",
        "--raw",
        "f32le:22050:1",
        "--speed",
        "4",
        "--unsure-below",
        "0",
        "--preset",
        "fast",
        "--http",
        ":0",
        "--mqtt",
        "mqtt://dj@127.0.0.1:9",
        "--exec",
        "./note.sh",
    ];
    let child = with_secrets(&args)
        .stdin(Stdio::piped())
        .stdout(file("out"))
        .stderr(file("said"))
        .spawn();
    let mut listening = Process(child.unwrap());
    let mut stdin = listening.0.stdin.take().unwrap();
    for _ in 0..6 {
        stdin.write_all(&samples()).unwrap();
    }
    wait_for("the command", || !read("seen").is_empty());
    wait_for("the broker is not there", || read("said").contains("mqtt"));
    let said = read("said");
    let at = said.split("http://").nth(1).unwrap();
    let at = at.lines().next().unwrap().trim_end_matches('/');
    let ask = |token: &str| {
        let mut stream = TcpStream::connect(at).unwrap();
        let request =
            format!("GET /metrics HTTP/1.1\r\nHost: {at}\r\nAuthorization: Bearer {token}\r\n\r\n");
        stream.write_all(request.as_bytes()).unwrap();
        std::io::read_to_string(stream).unwrap()
    };
    let refused = ask("another-token-of-the-page");
    let metrics = ask(secrets[0]);
    assert!(
        refused.contains(" 401 ") && metrics.contains(" 200 "),
        "{refused}"
    );
    let command_line = fs::read(format!("/proc/{}/cmdline", listening.0.id())).unwrap();
    let command_line = String::from_utf8_lossy(&command_line).into_owned();
    drop(stdin);
    assert!(wait_for_end(&mut listening).success());
    let config = stdout(&with_secrets(&["config"]).output().unwrap());
    let command = read("seen");
    assert!(command.contains("GENRESCOPE_GENRE="), "{command}");
    for place in [
        &command,
        &read("out"),
        &read("said"),
        &refused,
        &metrics,
        &command_line,
        &config,
    ] {
        assert!(!place.is_empty());
        for secret in secrets {
            assert!(!place.contains(secret), "{place}");
        }
    }
}
