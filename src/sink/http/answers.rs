//! What is answered at which address.

use std::fmt::Write as _;

use hyper::{
    HeaderMap, Method, Request, Response, StatusCode,
    body::Bytes,
    header::{self, HeaderValue},
};
use serde_json::json;

use super::{Shared, guard::Refusal, server::Reply};
use crate::{
    decision::State,
    sink::{SinkStats, Update, jsonl::VERSION},
    words::Language,
};

/// The page may load what comes from here, and nothing else; nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; \
    base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const HTML: &str = "text/html; charset=utf-8";
const CSS: &str = "text/css; charset=utf-8";
const SCRIPT: &str = "text/javascript; charset=utf-8";
const JSON: &str = "application/json";

macro_rules! page {
    ($name:literal) => {
        include_str!(concat!("page/", $name))
    };
}

/// What holds nothing of what is heard, so that it can ask for the token.
const FILES: [(&str, &str, &str); 11] = [
    ("/", HTML, page!("index.html")),
    ("/overlay", HTML, page!("overlay.html")),
    ("/page.css", CSS, page!("page.css")),
    ("/overlay.css", CSS, page!("overlay.css")),
    ("/page.js", SCRIPT, page!("page.js")),
    ("/overlay.js", SCRIPT, page!("overlay.js")),
    ("/stream.js", SCRIPT, page!("stream.js")),
    ("/drawing.js", SCRIPT, page!("drawing.js")),
    ("/language.js", SCRIPT, page!("language.js")),
    ("/theme.js", SCRIPT, page!("theme.js")),
    ("/icon.svg", "image/svg+xml", page!("icon.svg")),
];

const OPENAPI: &str = page!("openapi.json");

/// What a request asks for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Route {
    Readout,
    History,
    Events,
    Metrics,
    Reset,
    Hold(bool),
    Login,
}

/// All but the files, and by which method.
const ROUTES: [(&str, Method, Route); 8] = [
    ("/readout", Method::GET, Route::Readout),
    ("/history", Method::GET, Route::History),
    ("/events", Method::GET, Route::Events),
    ("/metrics", Method::GET, Route::Metrics),
    ("/reset", Method::POST, Route::Reset),
    ("/hold", Method::POST, Route::Hold(true)),
    ("/release", Method::POST, Route::Hold(false)),
    ("/login", Method::POST, Route::Login),
];

/// Answers one request.
pub(super) fn answer<B>(shared: &Shared, request: &Request<B>) -> Response<Reply> {
    let (method, headers) = (request.method(), request.headers());
    let mut response = match shared.guard.check_site(method, request.uri(), headers) {
        Ok(()) => respond(shared, method, request.uri().path(), headers),
        Err(refusal) => refused(refusal),
    };
    let fixed = [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
    ];
    let headers = response.headers_mut();
    for (name, value) in fixed {
        headers.insert(name, HeaderValue::from_static(value));
    }
    headers.insert(
        "cross-origin-resource-policy",
        HeaderValue::from_static("same-origin"),
    );
    response
}

fn respond(shared: &Shared, method: &Method, path: &str, headers: &HeaderMap) -> Response<Reply> {
    let reads = matches!(*method, Method::GET | Method::HEAD);
    if let Some(&(_, kind, text)) = FILES.iter().find(|(known, ..)| *known == path) {
        return if reads {
            said(StatusCode::OK, kind, Bytes::from_static(text.as_bytes()))
        } else {
            wrong_method("GET")
        };
    }
    let made: Option<(_, fn() -> String)> = match path {
        "/openapi.json" => Some((JSON, openapi)),
        "/words.js" => Some((SCRIPT, words)),
        _ => None,
    };
    if let Some((kind, make)) = made {
        return if reads {
            said(StatusCode::OK, kind, make().into())
        } else {
            wrong_method("GET")
        };
    }
    let Some((_, wanted, route)) = ROUTES.iter().find(|(known, ..)| *known == path) else {
        return failed(
            StatusCode::NOT_FOUND,
            "there is nothing here; /openapi.json says what there is",
        );
    };
    if let Err(refusal) = shared.guard.check_token(headers) {
        return refused(refusal);
    }
    if method != wanted && !(*wanted == Method::GET && *method == Method::HEAD) {
        return wrong_method(wanted.as_str());
    }
    match route {
        Route::Readout => said(StatusCode::OK, JSON, shared.board.readout().into()),
        Route::History => said(StatusCode::OK, JSON, shared.board.history().into()),
        Route::Metrics => said(
            StatusCode::OK,
            "text/plain; version=0.0.4; charset=utf-8",
            metrics(shared).into(),
        ),
        Route::Events if *method == Method::HEAD => {
            said(StatusCode::OK, "text/event-stream", Bytes::new())
        }
        Route::Events => match shared.board.watch() {
            Some(events) => reply(StatusCode::OK, "text/event-stream", Reply::Events(events)),
            None => failed(
                StatusCode::SERVICE_UNAVAILABLE,
                "too many watch; close some of the pages",
            ),
        },
        Route::Reset => {
            shared.seen.controls.reset();
            acted(shared)
        }
        Route::Hold(hold) => {
            shared.seen.controls.set_hold(*hold);
            acted(shared)
        }
        Route::Login => {
            let mut response = acted(shared);
            if let Some(Ok(cookie)) = shared.guard.cookie().map(HeaderValue::try_from) {
                response.headers_mut().insert(header::SET_COOKIE, cookie);
            }
            response
        }
    }
}

fn reply(status: StatusCode, kind: &'static str, body: Reply) -> Response<Reply> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let kind = HeaderValue::from_static(kind);
    response.headers_mut().insert(header::CONTENT_TYPE, kind);
    response
}

fn said(status: StatusCode, kind: &'static str, bytes: Bytes) -> Response<Reply> {
    reply(status, kind, bytes.into())
}

fn acted(shared: &Shared) -> Response<Reply> {
    let held = json!({"v": VERSION, "hold": shared.seen.controls.hold()});
    said(StatusCode::OK, JSON, held.to_string().into())
}

fn failed(status: StatusCode, why: &str) -> Response<Reply> {
    said(status, JSON, json!({"error": why}).to_string().into())
}

fn wrong_method(wanted: &str) -> Response<Reply> {
    let mut response = failed(
        StatusCode::METHOD_NOT_ALLOWED,
        &format!("only {wanted} is answered here"),
    );
    if let Ok(allow) = HeaderValue::try_from(wanted) {
        response.headers_mut().insert(header::ALLOW, allow);
    }
    response
}

fn refused(refusal: Refusal) -> Response<Reply> {
    match refusal {
        Refusal::Host => failed(
            StatusCode::FORBIDDEN,
            "this is not a name of this machine; ask for its address",
        ),
        Refusal::Origin => failed(
            StatusCode::FORBIDDEN,
            "the page of another site asks; only pages from here are answered",
        ),
        Refusal::Token => {
            let mut response = failed(
                StatusCode::UNAUTHORIZED,
                "a token is needed: Authorization: Bearer TOKEN",
            );
            let scheme = HeaderValue::from_static("Bearer");
            let headers = response.headers_mut();
            headers.insert(header::WWW_AUTHENTICATE, scheme);
            response
        }
    }
}

fn openapi() -> String {
    OPENAPI.replacen("VERSION", env!("CARGO_PKG_VERSION"), 1)
}

/// The table of words as a module of the page: by code of the language, then by name.
fn words() -> String {
    let table: serde_json::Map<_, _> = Language::ALL
        .iter()
        .map(|language| {
            let words = language.words();
            let mut all: serde_json::Map<_, _> = words
                .all()
                .into_iter()
                .map(|(name, word)| (name.to_owned(), word.into()))
                .collect();
            let states: serde_json::Map<_, _> = State::ALL
                .iter()
                .map(|&state| (state.as_str().to_owned(), words.state(state).into()))
                .collect();
            all.insert("states".into(), states.into());
            (language.code().to_owned(), all.into())
        })
        .collect();
    format!("export const WORDS = {};\n", serde_json::Value::from(table))
}

/// In the text format of Prometheus.
fn metrics(shared: &Shared) -> String {
    let (
        Update {
            readout,
            labels,
            model,
            time,
            seq,
            held,
            ..
        },
        (watchers, let_go),
    ) = shared.board.newest();
    let counters = &shared.seen.counters;
    let mut out = String::with_capacity(4_096);
    let mut family = |name: &str, kind: &str, help: &str, samples: &[(String, f64)]| {
        // Writing to a string cannot fail.
        let _ = writeln!(out, "# HELP genrescope_{name} {help}");
        let _ = writeln!(out, "# TYPE genrescope_{name} {kind}");
        for (labels, value) in samples {
            let _ = writeln!(out, "genrescope_{name}{labels} {value}");
        }
    };
    let one = |value: f64| [(String::new(), value)];
    let label = |name: &str, value: &str| format!("{{{name}=\"{}\"}}", escaped(value));
    let flag = |on: bool| f64::from(u8::from(on));

    let info = format!(
        "{{version=\"{}\",model=\"{}\"}}",
        env!("CARGO_PKG_VERSION"),
        escaped(&model)
    );
    family("info", "gauge", "Version and model.", &[(info, 1.0)]);
    let states =
        State::ALL.map(|state| (label("state", state.as_str()), flag(state == readout.state)));
    family("state", "gauge", "1 for the present state.", &states);
    let shown: Vec<_> = labels
        .iter()
        .enumerate()
        .map(|(index, name)| (label("genre", name), flag(readout.genre == Some(index))))
        .collect();
    family("genre", "gauge", "1 for the genre that is shown.", &shown);
    let scores: Vec<_> = labels
        .iter()
        .zip(readout.scores.as_slice())
        .map(|(name, &score)| (label("genre", name), f64::from(score)))
        .collect();
    family(
        "score",
        "gauge",
        "Averaged score of each genre, 0 to 1.",
        &scores,
    );
    family(
        "confidence",
        "gauge",
        "Score of the shown genre, or of the best candidate.",
        &one(f64::from(readout.confidence)),
    );
    let held = flag(held);
    family(
        "held",
        "gauge",
        "1 while the feeds keep a genre that is not named any more.",
        &one(held),
    );
    if let Some(music) = readout.music {
        let help = "Probability that the newest seconds are music.";
        family("music", "gauge", help, &one(f64::from(music)));
    }
    let level = f64::from(counters.level_dbfs());
    family(
        "level_dbfs",
        "gauge",
        "Level in dB relative to full scale.",
        &one(level),
    );
    family(
        "readouts_total",
        "counter",
        "Readouts so far.",
        &one(seq as f64),
    );
    let made = time
        .duration_since(std::time::SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    family(
        "readout_timestamp_seconds",
        "gauge",
        "When the newest readout was made.",
        &one(made.as_secs_f64()),
    );
    family(
        "position_seconds",
        "gauge",
        "Position in the stream.",
        &one(readout.position.0),
    );
    let dropped = counters.dropped_samples() as f64;
    family(
        "dropped_samples_total",
        "counter",
        "Samples that were not heard.",
        &one(dropped),
    );
    family(
        "gaps_total",
        "counter",
        "Overloads and lost sources.",
        &one(counters.gaps() as f64),
    );
    let load = f64::from(counters.load());
    family(
        "load_ratio",
        "gauge",
        "Share of a core that listening takes.",
        &one(load),
    );
    family(
        "watchers",
        "gauge",
        "Pages that are open.",
        &one(watchers as f64),
    );
    family(
        "watchers_let_go_total",
        "counter",
        "Pages that did not read, and were let go.",
        &one(let_go as f64),
    );
    let feeds = shared.seen.feeds.read();
    let mut of_each = |name: &str, kind: &str, help: &str, value: fn(&SinkStats) -> f64| {
        let samples: Vec<_> = feeds
            .iter()
            .map(|(feed, stats)| (label("feed", feed), value(stats)))
            .collect();
        family(name, kind, help, &samples);
    };
    let help = "1 while the feed reaches its receiver, or needs none.";
    of_each("feed_connected", "gauge", help, |stats| {
        f64::from(u8::from(stats.connected && !stats.unheard))
    });
    let help = "Readouts that were delivered, as far as the protocol tells.";
    of_each("feed_sent_total", "counter", help, |s| s.sent as f64);
    let help = "Readouts that were not delivered.";
    of_each("feed_missed_total", "counter", help, |s| s.missed as f64);
    let help = "Errors met while connecting or delivering.";
    of_each("feed_errors_total", "counter", help, |s| s.errors as f64);
    out
}

/// As a label's value in the text format of Prometheus.
fn escaped(text: &str) -> String {
    text.replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::{
        super::{Seen, board::Board, guard::Guard},
        *,
    };
    use crate::sink::{secret::Secret, tests as fixtures};

    fn shared(token: Option<&str>) -> Shared {
        let token = token.map(|token| Secret::new(token).unwrap());
        Shared {
            board: Board::new(&fixtures::hello()),
            guard: Guard::new(Vec::new(), token.as_ref()),
            seen: Seen::default(),
        }
    }

    fn ask(shared: &Shared, method: &str, path: &str) -> (StatusCode, String) {
        let request = Request::builder()
            .method(method)
            .uri(path)
            .header("host", "localhost")
            .body(())
            .unwrap();
        let response = answer(shared, &request);
        assert_eq!(response.headers()["x-content-type-options"], "nosniff");
        let status = response.status();
        let Reply::Whole(Some(bytes)) = response.into_body() else {
            return (status, String::new());
        };
        (status, String::from_utf8(bytes.to_vec()).unwrap())
    }

    #[test]
    fn every_address_is_described_and_everything_described_is_there() {
        let described: serde_json::Value = serde_json::from_str(&openapi()).unwrap();
        assert_eq!(described["info"]["version"], env!("CARGO_PKG_VERSION"));
        let paths = described["paths"].as_object().unwrap();
        for (path, method, _) in &ROUTES {
            let method = method.as_str().to_lowercase();
            assert!(paths[*path][&method].is_object(), "{method} {path}");
        }
        for path in paths.keys() {
            let known = ROUTES.iter().any(|(known, ..)| known == path)
                || FILES.iter().any(|(known, ..)| known == path)
                || path == "/openapi.json";
            assert!(known, "{path} is described and not there");
        }
    }

    #[test]
    fn the_page_needs_nothing_from_elsewhere() {
        for (name, _, text) in FILES {
            let foreign = ["http://", "https://", "//cdn", "@import"];
            let found: Vec<_> = foreign
                .iter()
                .filter(|foreign| {
                    text.replace("http://www.w3.org/2000/svg", "")
                        .contains(**foreign)
                })
                .collect();
            assert!(found.is_empty(), "{name}: {found:?}");
            for own in text
                .split(['"', '\''])
                .filter(|text| text.starts_with("./"))
            {
                let own = own.trim_start_matches('.');
                let known = FILES.iter().any(|(known, ..)| *known == own);
                assert!(known || own == "/words.js", "{name}: {own}");
            }
        }
    }

    #[test]
    fn every_word_of_the_page_is_in_the_table() {
        let (status, module) = ask(&shared(None), "GET", "/words.js");
        assert_eq!(status, StatusCode::OK);
        let table = module
            .strip_prefix("export const WORDS = ")
            .and_then(|module| module.trim_end().strip_suffix(';'))
            .unwrap();
        let table: serde_json::Value = serde_json::from_str(table).unwrap();
        assert_eq!(table["de"]["states"]["silent"], "still");
        let mut used = 0;
        for (name, kind, text) in FILES {
            let before = if kind == SCRIPT {
                "words."
            } else {
                "data-words=\""
            };
            for rest in text.split(before).skip(1) {
                let end = rest
                    .find(|c: char| !c.is_ascii_alphanumeric() && c != '_')
                    .unwrap();
                let word = &rest[..end];
                // The sentence about a readout comes with each.
                if word.is_empty() || word == "js" {
                    continue;
                }
                used += 1;
                for language in Language::ALL {
                    let found = &table[language.code()][word];
                    assert!(!found.is_null(), "{name}: {word}");
                }
            }
        }
        assert!(used > 15, "{used}");
    }

    #[test]
    fn readouts_are_the_messages_of_every_feed_and_controls_act() {
        let shared = shared(None);
        shared.board.update(&fixtures::update(7, Some(9)));
        let (status, readout) = ask(&shared, "GET", "/readout");
        assert_eq!(status, StatusCode::OK);
        assert_eq!(
            readout,
            crate::sink::jsonl::update_line(&fixtures::update(7, Some(9)))
        );
        assert_eq!(ask(&shared, "POST", "/hold").1, r#"{"hold":true,"v":1}"#);
        assert!(shared.seen.controls.hold());
        assert_eq!(
            ask(&shared, "POST", "/release").1,
            r#"{"hold":false,"v":1}"#
        );
        assert!(!shared.seen.controls.hold());
        assert_eq!(ask(&shared, "POST", "/reset").0, StatusCode::OK);
        assert_eq!(
            ask(&shared, "GET", "/reset").0,
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(
            ask(&shared, "POST", "/readout").0,
            StatusCode::METHOD_NOT_ALLOWED
        );
        assert_eq!(ask(&shared, "PUT", "/").0, StatusCode::METHOD_NOT_ALLOWED);
        assert_eq!(
            ask(&shared, "GET", "/../Cargo.toml").0,
            StatusCode::NOT_FOUND
        );
        assert!(ask(&shared, "GET", "/overlay").1.contains("overlay.js"));
    }

    #[test]
    fn without_the_token_there_is_a_page_and_nothing_on_it() {
        let shared = shared(Some("0123456789abcdef"));
        for (path, method, _) in &ROUTES {
            let (status, text) = ask(&shared, method.as_str(), path);
            assert_eq!(status, StatusCode::UNAUTHORIZED, "{path}");
            assert!(!text.contains("0123456789abcdef"));
        }
        assert!(!shared.seen.controls.hold());
        assert_eq!(ask(&shared, "GET", "/").0, StatusCode::OK);
    }

    #[test]
    fn metrics_are_prometheus() {
        let shared = shared(None);
        shared.board.update(&fixtures::update(7, Some(9)));
        let (_, text) = ask(&shared, "GET", "/metrics");
        for line in [
            "# TYPE genrescope_score gauge",
            "genrescope_genre{genre=\"rock\"} 1",
            "genrescope_genre{genre=\"jazz\"} 0",
            "genrescope_state{state=\"live\"} 1",
            "genrescope_readouts_total 7",
        ] {
            assert!(text.lines().any(|found| found == line), "{line}: {text}");
        }
        for line in text.lines().filter(|line| !line.starts_with('#')) {
            let (_, value) = line.rsplit_once(' ').unwrap();
            assert!(value.parse::<f64>().unwrap().is_finite(), "{line}");
        }
        assert_eq!(escaped("a\\\"b\nc"), r#"a\\\"b\nc"#);
    }
}
