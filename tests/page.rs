//! The page: asked as programs and attackers ask, and looked at in a real browser.
#![cfg(all(feature = "cli", unix))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/browser.rs"]
mod browser;
#[path = "support/feeds.rs"]
mod fixtures;
#[path = "support/live.rs"]
mod live;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/cli.rs"]
mod support;

use std::{
    io::{BufRead as _, BufReader, Read as _, Write as _},
    net::TcpStream,
    path::Path,
    process::ChildStdin,
    sync::mpsc::Receiver,
};

use browser::Browser;
use genrescope::{
    decision::State,
    genre::{Ground, colour_on},
    sink::{
        Feeds, SinkRunner,
        http::{HttpConfig, HttpSink, Seen},
    },
};
use live::{PATIENCE, Process, is_lost, listen, samples, until, wait_for};
use serde_json::Value;
use support::{genrescope, stderr};

/// A listener with a page.
struct Page {
    process: Process,
    stdin: ChildStdin,
    messages: Receiver<Value>,
    at: String,
}

fn page(args: &[&str], dir: &Path) -> Page {
    let mut all = vec!["--speed", "4"];
    all.extend(args);
    let (process, stdin, messages, said) = listen(&all, dir);
    let at = loop {
        let line = said.recv_timeout(PATIENCE).unwrap();
        if let Some((_, url)) = line.split_once("the page is at http://") {
            break url.trim_end_matches('/').to_owned();
        }
    };
    // What it says further is read, so that it never waits.
    std::thread::spawn(move || for _ in said {});
    Page {
        process,
        stdin,
        messages,
        at,
    }
}

impl Page {
    /// What is answered to `request`, as it comes.
    fn raw(&self, request: &[u8]) -> String {
        let mut stream = TcpStream::connect(&self.at).unwrap();
        stream.set_read_timeout(Some(PATIENCE)).unwrap();
        // Who is refused may be hung up on in the middle.
        let _ = stream.write_all(request);
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer);
        String::from_utf8_lossy(&answer).into_owned()
    }

    fn ask(&self, method: &str, path: &str, headers: &str) -> String {
        let host = &self.at;
        self.raw(format!("{method} {path} HTTP/1.1\r\nHost: {host}\r\n{headers}\r\n").as_bytes())
    }

    fn json(&self, path: &str) -> Value {
        let answer = self.ask("GET", path, "");
        let (head, body) = answer.split_once("\r\n\r\n").unwrap();
        assert!(head.starts_with("HTTP/1.1 200"), "{head}");
        serde_json::from_str(body).unwrap()
    }
}

fn status(answer: &str) -> &str {
    answer.split(' ').nth(1).unwrap_or("none")
}

#[test]
fn readouts_come_over_http_as_they_come_in_every_feed() {
    let dir = tempfile::tempdir().unwrap();
    let mut page = page(&["--http", ":0"], dir.path());
    page.stdin.write_all(&samples()).unwrap();
    let told = until(&page.messages, |m| m["type"] == "genre")
        .pop()
        .unwrap();
    wait_for("the readout of the other feed", || {
        page.json("/readout")["seq"].as_u64() >= told["seq"].as_u64()
    });
    let stretches = page.json("/history")["stretches"].clone();
    assert!(!stretches.as_array().unwrap().is_empty());
    let metrics = page.ask("GET", "/metrics", "");
    assert!(metrics.contains("genrescope_readouts_total"), "{metrics}");
    // Each feed is counted, the page's own and JSON.
    for feed in [
        "json on standard output".to_owned(),
        format!("http {}", page.at),
    ] {
        let missed = format!("genrescope_feed_missed_total{{feed=\"{feed}\"}} 0");
        assert!(metrics.contains(&missed), "{missed}: {metrics}");
    }

    // The stream begins with what is known and goes on.
    let mut stream = BufReader::new(TcpStream::connect(&page.at).unwrap());
    stream.get_ref().set_read_timeout(Some(PATIENCE)).unwrap();
    let request = format!("GET /events HTTP/1.1\r\nHost: {}\r\n\r\n", page.at);
    stream.get_mut().write_all(request.as_bytes()).unwrap();
    let mut events = stream.lines().map_while(Result::ok);
    for name in ["hello", "palette", "history", "genre", "view", "meter"] {
        assert!(
            events.any(|line| line == format!("event: {name}")),
            "{name}"
        );
    }
    assert_eq!(status(&page.ask("POST", "/hold", "")), "200");
    assert!(events.any(|line| line.contains(r#""hold":true"#)));

    // The stream ends with the listener, and so does the port.
    page.process.0.kill().unwrap();
    page.process.0.wait().unwrap();
    assert_eq!(events.find(|line| line.contains("no such event")), None);
    assert!(TcpStream::connect(&page.at).is_err());
}

#[test]
fn other_sites_and_other_names_are_refused() {
    let dir = tempfile::tempdir().unwrap();
    let page = page(&["--http", ":0"], dir.path());
    let evil = |path: &str, host: &str, more: &str| {
        page.raw(format!("GET {path} HTTP/1.1\r\nHost: {host}\r\n{more}\r\n").as_bytes())
    };
    let at = page.at.as_str();
    assert_eq!(status(&evil("/readout", at, "")), "200");
    for path in ["/", "/readout", "/events", "/metrics", "/no/such"] {
        assert_eq!(status(&evil(path, "evil.example", "")), "403", "{path}");
        let origin = "Origin: http://evil.example\r\n";
        assert_eq!(status(&evil(path, at, origin)), "403", "{path}");
    }
    let foreign = "Origin: http://evil.example\r\nContent-Length: 0\r\n";
    assert_eq!(status(&page.ask("POST", "/hold", foreign)), "403");
    let own = format!("Origin: http://{at}\r\nContent-Length: 0\r\n");
    assert_eq!(status(&page.ask("POST", "/release", &own)), "200");
    assert_eq!(status(&page.raw(b"GET /readout HTTP/1.1\r\n\r\n")), "403");
}

#[test]
fn another_address_needs_a_token_which_is_never_shown() {
    let dir = tempfile::tempdir().unwrap();
    let token = "a-token-of-24-characters";
    std::fs::write(dir.path().join("token"), format!("{token}\n")).unwrap();
    std::fs::write(dir.path().join("input"), samples()).unwrap();
    let args = [
        "listen",
        "--input",
        "input",
        "--raw",
        "f32le:22050:1",
        "--http",
        "0.0.0.0:0",
    ];
    let refused = genrescope(&args, dir.path());
    assert_eq!(refused.status.code(), Some(2));
    assert!(
        stderr(&refused).contains("--http-token-file"),
        "{}",
        stderr(&refused)
    );

    let args = ["--http", "127.0.0.1:0", "--http-token-file", "token"];
    let page = page(&args, dir.path());
    assert_eq!(
        status(&page.ask("GET", "/", "")),
        "200",
        "the page itself asks for it"
    );
    for (method, path) in [
        ("GET", "/readout"),
        ("GET", "/events"),
        ("GET", "/metrics"),
        ("POST", "/reset"),
    ] {
        assert_eq!(status(&page.ask(method, path, "")), "401", "{path}");
        let wrong = "Authorization: Bearer a-token-of-24-characterz\r\n";
        assert_eq!(status(&page.ask(method, path, wrong)), "401", "{path}");
    }
    let right = format!("Authorization: Bearer {token}\r\n");
    assert_eq!(status(&page.ask("GET", "/readout", &right)), "200");
    let login = page.ask("POST", "/login", &right);
    let cookie = login
        .lines()
        .find_map(|line| line.strip_prefix("set-cookie: "))
        .unwrap();
    assert!(
        cookie.contains("HttpOnly") && !cookie.contains(token),
        "{cookie}"
    );
    let cookie = format!("Cookie: {}\r\n", cookie.split(';').next().unwrap());
    assert_eq!(status(&page.ask("GET", "/readout", &cookie)), "200");

    let config = dir.path().join("config.toml");
    std::fs::write(
        &config,
        "[listen]\nhttp = \":0\"\nhttp_token_file = \"token\"\n",
    )
    .unwrap();
    let shown = genrescope(&["--config", "config.toml", "config"], dir.path());
    let shown = support::stdout(&shown);
    assert!(
        shown.contains("http_token_file") && !shown.contains(token),
        "{shown}"
    );
}

#[test]
fn floods_of_headers_and_of_connections_are_survived() {
    let dir = tempfile::tempdir().unwrap();
    let mut page = page(&["--http", ":0"], dir.path());
    let mut huge = format!("GET / HTTP/1.1\r\nHost: {}\r\nX: ", page.at).into_bytes();
    huge.resize(huge.len() + (1 << 20), b'x');
    huge.extend(b"\r\n\r\n");
    assert!(matches!(status(&page.raw(&huge)), "431" | "none"));
    let many = "A: b\r\n".repeat(5_000);
    assert!(matches!(
        status(&page.ask("GET", "/", &many)),
        "431" | "none"
    ));
    assert_eq!(status(&page.ask("GET", "/readout", "")), "200");

    // Some say nothing, some speak slowly, some ask for the stream and never read it.
    let sleepers: Vec<_> = (0..500)
        .filter_map(|index| {
            let mut stream = TcpStream::connect(&page.at).ok()?;
            let begin = match index % 3 {
                0 => "",
                1 => "GET /readout HT",
                _ => "GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n",
            };
            stream.write_all(begin.as_bytes()).ok()?;
            Some(stream)
        })
        .collect();
    assert!(sleepers.len() > 100);
    // The listener goes on meanwhile, and so does the page once the idle are let go.
    page.stdin.write_all(&samples()).unwrap();
    until(&page.messages, |m| m["type"] == "genre");
    wait_for("the page is back", || {
        status(&page.ask("GET", "/readout", "")) == "200"
    });
    drop(sleepers);
}

#[cfg(target_os = "linux")] // whose sockets can be listed
#[test]
fn nothing_listens_unless_asked() {
    let dir = tempfile::tempdir().unwrap();
    // What somebody can reach a process by: sockets that listen, and datagrams' that take them from
    // everybody.
    let doors = |process: &Process| -> Vec<String> {
        let pid = process.0.id();
        let own: Vec<String> = std::fs::read_dir(format!("/proc/{pid}/fd"))
            .unwrap()
            .filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok())
            .filter_map(|link| {
                let inode = link.to_str()?.strip_prefix("socket:[")?;
                Some(inode.trim_end_matches(']').to_owned())
            })
            .collect();
        let mut found = Vec::new();
        for kind in ["tcp", "tcp6", "udp", "udp6", "unix"] {
            let table = std::fs::read_to_string(format!("/proc/{pid}/net/{kind}"));
            for line in table.unwrap_or_default().lines().skip(1) {
                let fields: Vec<&str> = line.split_whitespace().collect();
                let is_from_all = || fields[2].bytes().all(|byte| matches!(byte, b'0' | b':'));
                let (is_open, inode) = match kind {
                    "unix" => (fields[3] == "00010000", fields[6]),
                    "udp" | "udp6" => (is_from_all(), fields[9]),
                    _ => (fields[3] == "0A", fields[9]),
                };
                if is_open && own.iter().any(|known| known == inode) {
                    found.push(kind.to_owned());
                }
            }
        }
        found.sort();
        found
    };
    let talks = [
        "--osc",
        "127.0.0.1:9",
        "--sacn",
        "127.0.0.1:9",
        "--sacn",
        "multicast",
        "--artnet",
        "127.0.0.1:9",
        "--wled",
        "127.0.0.1:9",
        "--os2l",
        "127.0.0.1:9",
        "--mqtt",
        "mqtt://127.0.0.1:9",
        "--text",
        "now.txt",
        "--exec",
        "true",
        "--json-file",
        "all.jsonl",
    ];
    let (quiet, mut stdin, messages, _said) = listen(&talks, dir.path());
    stdin.write_all(&samples()).unwrap();
    until(&messages, |m| m["type"] == "genre");
    // Multicast goes to many, from a socket that is not connected; it has a port of its own and
    // nobody reads it.
    assert_eq!(doors(&quiet), ["udp"]);
    let page = page(&["--http", ":0", "--socket", "feed"], dir.path());
    wait_for("both doors, or else the test sees nothing", || {
        doors(&page.process) == ["tcp", "unix"]
    });
}

/// What the browser shows, from the data of the page.
fn shown(browser: &mut Browser) -> Value {
    let text = browser.eval(
        "JSON.stringify({...document.body?.dataset, headline: document.getElementById('headline')?.textContent})",
    );
    // Between two pages there is nothing.
    text.as_str()
        .map_or(Value::Null, |text| serde_json::from_str(text).unwrap())
}

fn wait_shown(browser: &mut Browser, what: &str, wanted: impl Fn(&Value) -> bool) -> Value {
    let mut newest = Value::Null;
    wait_for(what, || {
        newest = shown(browser);
        wanted(&newest)
    });
    newest
}

#[test]
fn a_browser_shows_what_json_says_through_loss_and_restart() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::open(dir.path()) else {
        return skip::skip("chromium", "chromium is not installed");
    };
    let mut first = page(&["--http", ":0"], dir.path());
    let at = first.at.clone();
    browser.go(&format!("http://{at}/"));
    wait_shown(&mut browser, "the page is open", |s| s["link"] == "open");
    for _ in 0..2 {
        first.stdin.write_all(&samples()).unwrap();
    }
    until(&first.messages, |m| m["type"] == "genre" && !is_lost(m));
    // Then the pipe stalls.
    until(&first.messages, is_lost);
    let lost = wait_shown(&mut browser, "the loss is shown", |s| s["state"] == "lost");
    assert_eq!(
        (&lost["genre"], &lost["headline"]),
        (&"".into(), &"lost".into())
    );
    let trouble = browser.eval("document.getElementById('trouble').textContent");
    assert!(
        trouble.as_str().unwrap().contains("gives nothing any more"),
        "{trouble}"
    );

    // Then it goes on, and every readout is shown as it is told.
    first.stdin.write_all(&samples()).unwrap();
    let back = until(&first.messages, |m| m["type"] == "genre" && !is_lost(m))
        .pop()
        .unwrap();
    wait_shown(&mut browser, "it goes on", |s| {
        s["seq"].as_str().and_then(|seq| seq.parse::<u64>().ok()) >= back["seq"].as_u64()
    });
    let same = browser.eval(
        "(async () => { for (let i = 0; i < 100; i++) {
            const told = await (await fetch('/readout')).json();
            const { state, genre, seq } = document.body.dataset;
            if (state === told.state && genre === (told.genre ?? '') && seq === String(told.seq)) {
                const bars = [...document.querySelectorAll('.bar')].map((bar) =>
                    [bar.children[0].textContent, bar.children[2].textContent]);
                const wanted = Object.entries(told.scores).map(([name, score]) => [name, Math.round(100 * score) + ' %']);
                if (JSON.stringify(bars) === JSON.stringify(wanted)) return 'same';
            }
            await new Promise((done) => setTimeout(done, 50));
        } return 'other'; })()",
    );
    assert_eq!(same, "same");

    // Keys act.
    browser.eval("document.getElementById('hold').click()");
    wait_for("it is held", || {
        browser.eval("document.getElementById('hold').getAttribute('aria-pressed')") == "true"
    });

    // Without listener, no genre stays.
    first.process.0.kill().unwrap();
    first.process.0.wait().unwrap();
    let gone = wait_shown(&mut browser, "the end is shown", |s| s["link"] == "gone");
    assert_eq!(
        (&gone["genre"], &gone["state"]),
        (&"".into(), &"gone".into())
    );
    let mut second = page(&["--http", &at], dir.path());
    wait_shown(&mut browser, "another listener is found", |s| {
        s["link"] == "open"
    });
    second.stdin.write_all(&samples()).unwrap();
    wait_shown(&mut browser, "and heard", |s| s["seq"].as_str() > Some("0"));

    // An overlay is transparent and shows nothing without a genre.
    browser.go(&format!("http://{at}/overlay?show=genre,bars&top=3"));
    wait_for("the overlay is open", || {
        browser.eval("document.body?.dataset.link") == "open"
    });
    assert_eq!(
        browser.eval("getComputedStyle(document.body).backgroundColor"),
        "rgba(0, 0, 0, 0)"
    );
    assert_eq!(browser.eval("document.querySelectorAll('.bar').length"), 3);
    assert_eq!(browser.errors(), [""; 0], "nothing is wrong on the console");
}

/// A page without a listener: what the test publishes, and its address.
fn served() -> (Feeds, String) {
    let mut feeds = fixtures::feeds();
    let config = HttpConfig {
        address: ":0".into(),
        token: None,
        names: Vec::new(),
    };
    let seen = Seen {
        feeds: feeds.ledger(),
        ..Seen::default()
    };
    let sink = HttpSink::new(&config, feeds.hello(), seen).unwrap();
    let url = sink.url().to_owned();
    feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello()).unwrap());
    (feeds, url)
}

#[test]
fn a_browser_has_its_language_and_a_bright_page() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::open(dir.path()) else {
        return skip::skip("chromium", "chromium is not installed");
    };
    let (mut feeds, url) = served();
    feeds.publish(&fixtures::readout(1, State::Live, Some(6)));
    let mut colours = Vec::new();
    for (language, theme, hold, then, ground) in [
        ("en", "dark", "Hold", ", then ", "rgb(10, 12, 16)"),
        ("de", "light", "Halten", ", dann ", "rgb(246, 247, 249)"),
        ("es-MX", "light", "Fijar", ", luego ", "rgb(246, 247, 249)"),
    ] {
        browser.go(&format!("{url}?lang={language}&theme={theme}"));
        wait_shown(&mut browser, "the genre", |s| s["genre"] == "metal");
        let mut text = |id: &str| {
            let text = browser.eval(&format!("document.getElementById('{id}').textContent"));
            text.as_str().unwrap_or_default().to_owned()
        };
        assert_eq!(text("hold"), hold);
        let words = text("words");
        assert!(words.contains(then), "{words}");
        let colour = |browser: &mut Browser, of: &str, what: &str| {
            let style = format!("getComputedStyle(document.querySelector('{of}')).{what}");
            browser.eval(&style)
        };
        assert_eq!(colour(&mut browser, "html", "backgroundColor"), ground);
        assert_eq!(
            browser.eval("document.documentElement.lang"),
            language[..2].to_owned()
        );
        let headline = "document.body.style.getPropertyValue('--genre')";
        colours.push(browser.eval(headline));
    }
    let hex = |ground| {
        let [r, g, b] = colour_on(ground, 6);
        Value::from(format!("#{r:02x}{g:02x}{b:02x}"))
    };
    let light = hex(Ground::Light);
    assert_eq!(colours, [hex(Ground::Dark), light.clone(), light]);
    // What the system has, where the address asks for it.
    browser.emulate("prefers-color-scheme", "light");
    for (query, theme) in [("?theme=auto", "light"), ("?theme=", "dark")] {
        browser.go(&format!("{url}{query}"));
        wait_for(theme, || {
            browser.eval("document.documentElement.dataset.theme") == theme
        });
    }
    assert_eq!(browser.errors(), [""; 0], "nothing is wrong on the console");
}

#[test]
fn a_browser_shows_the_thousandth_readout_and_does_not_grow() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::open(dir.path()) else {
        return skip::skip("chromium", "chromium is not installed");
    };
    let (mut feeds, url) = served();
    browser.go(&url);
    wait_shown(&mut browser, "the page is open", |s| s["link"] == "open");
    let elements = |browser: &mut Browser| browser.eval("document.querySelectorAll('*').length");
    let mut publish = |seq: u64| {
        let genre = (seq / 100 % 10) as usize;
        feeds.publish(&fixtures::readout(seq, State::Live, Some(genre)));
        genre
    };
    let is_shown = |browser: &mut Browser, seq: u64| {
        let seq = seq.to_string();
        wait_shown(browser, "the newest", |s| s["seq"] == seq)
    };
    // As fast as it shows them.
    let mut before = Value::Null;
    for seq in 1..=1_000 {
        let genre = publish(seq);
        if seq % 10 == 0 {
            let shown = is_shown(&mut browser, seq);
            assert_eq!(shown["genre"], fixtures::labels().get(genre).unwrap());
        }
        if seq == 200 {
            before = elements(&mut browser);
        }
    }
    // Faster than anybody can: it may be let go, comes back, and is told the newest.
    for seq in 1_001..=2_000 {
        publish(seq);
    }
    is_shown(&mut browser, 2_000);
    assert_eq!(elements(&mut browser), before, "elements of the page");
    assert_eq!(browser.errors(), [""; 0], "nothing is wrong on the console");
}

#[test]
fn a_browser_is_asked_for_the_token_once() {
    let dir = tempfile::tempdir().unwrap();
    let Some(mut browser) = Browser::open(dir.path()) else {
        return skip::skip("chromium", "chromium is not installed");
    };
    std::fs::write(dir.path().join("token"), "a-token-of-24-characters").unwrap();
    let args = ["--http", ":0", "--http-token-file", "token"];
    let page = page(&args, dir.path());
    browser.go(&format!("http://{}/", page.at));
    wait_shown(&mut browser, "it is locked", |s| s["link"] == "locked");
    let enter = |browser: &mut Browser, token: &str| {
        browser.eval(&format!(
            "document.getElementById('token').value = '{token}'; document.getElementById('login-form').requestSubmit()"
        ));
    };
    enter(&mut browser, "a wrong one");
    wait_for("it is told", || {
        browser.eval("document.getElementById('login-error').hidden") == false
    });
    enter(&mut browser, "a-token-of-24-characters");
    wait_shown(&mut browser, "it is open", |s| s["link"] == "open");
    browser.go(&format!("http://{}/overlay", page.at));
    wait_for("not asked again", || {
        browser.eval("document.body?.dataset.link") == "open"
    });
    // Another browser gets it with the address, where it stays in no history.
    let fresh = dir.path().join("fresh");
    std::fs::create_dir(&fresh).unwrap();
    let mut other = Browser::open(&fresh).unwrap();
    other.go(&format!(
        "http://{}/overlay#token=a-token-of-24-characters",
        page.at
    ));
    wait_for("let in", || {
        other.eval("document.body?.dataset.link") == "open"
    });
    assert_eq!(other.eval("location.hash"), "");
}
