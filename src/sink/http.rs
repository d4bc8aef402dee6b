//! A page for the browser, and readouts over HTTP: the view of the listener on a phone, across the
//! room, or over a stream.
//!
//! `GET /` is the page, `/overlay` the same for broadcasting programs, `/events` what both live on
//! (server-sent events); `/readout`, `/history` and `/metrics` are for programs, `POST /reset`,
//! `/hold` and `/release` act. `/openapi.json` describes them. Nothing listens beyond this machine
//! without a token, and no other site's page is answered.
//!
//! The feed's thread writes down what is new (`board`); one more thread answers (`server`). What a
//! browser does not take in time ends that browser's connection and nothing else.

mod answers;
mod board;
mod guard;
mod server;

use std::{
    fmt, io,
    net::{SocketAddr, TcpListener, ToSocketAddrs as _},
    sync::Arc,
    time::Instant,
};

use board::Board;
use guard::Guard;
use server::Server;

use super::{
    Hello, Ledger, Sink, SinkError, Status, Update,
    secret::Secret,
    target::{self, shown_target},
};
use crate::realtime::{Controls, Counters};

/// Port of an address that is given without one.
pub const DEFAULT_PORT: u16 = 8017;

/// The address that is listened at when none is given.
pub const DEFAULT_ADDRESS: &str = "127.0.0.1";

/// Variable of the environment that holds the token.
pub const TOKEN_VARIABLE: &str = "GENRESCOPE_HTTP_TOKEN";

/// Shortest token.
const MIN_TOKEN: usize = 16;

const FEED: &str = "http";

/// Where to listen, and whom to answer.
#[derive(Clone, Debug)]
pub struct HttpConfig {
    /// `HOST`, `HOST:PORT`, or `:PORT` of this machine's own address.
    pub address: String,
    /// What everybody must know who asks; needed where others can ask.
    pub token: Option<Secret>,
    /// Names under which this machine is known in the network.
    pub names: Vec<String>,
}

/// The page and its server.
pub struct HttpSink {
    name: String,
    url: String,
    shared: Arc<Shared>,
    server: Option<Server>,
}

/// What the server answers from.
struct Shared {
    board: Board,
    guard: Guard,
    seen: Seen,
}

/// What of the stream is shown, and acted on.
#[derive(Clone, Debug, Default)]
pub struct Seen {
    /// Hold and reset.
    pub controls: Arc<Controls>,
    /// Level and losses.
    pub counters: Arc<Counters>,
    /// What the feeds of the stream did.
    pub feeds: Ledger,
}

impl fmt::Debug for HttpSink {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("HttpSink")
            .field("name", &self.name)
            .finish_non_exhaustive()
    }
}

fn setting(what: &'static str, value: &str, why: impl Into<String>) -> SinkError {
    SinkError::Setting {
        feed: FEED,
        what,
        value: value.to_owned(),
        why: why.into(),
    }
}

/// The host and the port of an address to listen at. Port 0 is any that is free.
fn parse_address(address: &str) -> Result<(String, u16), SinkError> {
    let full = match address.strip_prefix(':') {
        // An IPv6 address may begin so, too.
        Some(port) if !port.contains(':') => format!("{DEFAULT_ADDRESS}:{port}"),
        _ => address.to_owned(),
    };
    if let Some(host) = full.strip_suffix(":0")
        && (!host.contains(':') || host.starts_with('['))
    {
        return target::parse_target(FEED, host, DEFAULT_PORT).map(|(host, _)| (host, 0));
    }
    target::parse_target(FEED, &full, DEFAULT_PORT)
}

/// Checks an address as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form.
pub fn check_address(address: &str) -> Result<(), SinkError> {
    parse_address(address).map(drop)
}

impl HttpSink {
    /// Listens at the address of `config` from here on.
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the address cannot be listened at, when it needs a token, or the
    /// token is too short; [`SinkError::Thread`] when the system gives no thread.
    pub fn new(config: &HttpConfig, hello: &Hello, seen: Seen) -> Result<Self, SinkError> {
        let (host, port) = parse_address(&config.address)?;
        let wrong = |why: String| setting("address", &config.address, why);
        let addresses: Vec<SocketAddr> = (host.as_str(), port)
            .to_socket_addrs()
            .map_err(|error| wrong(error.to_string()))?
            .collect();
        let own = addresses.iter().all(|address| address.ip().is_loopback());
        if !own && config.token.is_none() {
            return Err(wrong(format!(
                "others in the network could ask, so it needs a token: a file with one as its first line \
                 (--http-token-file FILE), or the variable {TOKEN_VARIABLE}"
            )));
        }
        if let Some(token) = &config.token
            && token.expose().len() < MIN_TOKEN
        {
            return Err(SinkError::Setting {
                feed: FEED,
                what: "token",
                value: "...".into(),
                why: format!(
                    "it is shorter than {MIN_TOKEN} characters; 'openssl rand -hex 16' makes a good one"
                ),
            });
        }
        let listener = TcpListener::bind(&addresses[..]).map_err(|error| {
            wrong(match error.kind() {
                io::ErrorKind::AddrInUse => {
                    "another program listens there; give another port, such as --http :8018".into()
                }
                io::ErrorKind::AddrNotAvailable => "this machine has no such address".into(),
                _ => error.to_string(),
            })
        })?;
        let at = listener
            .local_addr()
            .map_err(|error| wrong(error.to_string()))?;
        let mut names = config.names.clone();
        names.push(host.clone());
        let shared = Arc::new(Shared {
            board: Board::new(hello),
            guard: Guard::new(names, config.token.as_ref()),
            seen,
        });
        let server =
            Server::start(listener, Arc::clone(&shared)).map_err(|source| SinkError::Thread {
                feed: FEED.to_owned(),
                source,
            })?;
        // What listens everywhere has no address of its own that could be typed.
        let shown = if at.ip().is_unspecified() {
            config.names.first().map_or("localhost", String::as_str)
        } else {
            host.as_str()
        };
        let target = shown_target(shown, at.port());
        Ok(Self {
            name: format!("{FEED} {target}"),
            url: format!("http://{target}/"),
            shared,
            server: Some(server),
        })
    }

    /// What to open in a browser.
    pub fn url(&self) -> &str {
        &self.url
    }
}

impl Sink for HttpSink {
    fn name(&self) -> String {
        self.name.clone()
    }
    fn hello(&mut self, hello: &Hello) -> Result<(), SinkError> {
        self.shared.board.hello(hello);
        Ok(())
    }
    fn update(&mut self, update: &Update, _: Instant) -> Result<(), SinkError> {
        self.shared.board.update(update);
        Ok(())
    }
    fn status(&mut self, status: &Status) -> Result<(), SinkError> {
        self.shared.board.status(status);
        Ok(())
    }
    fn close(&mut self) {
        // Browsers see the end of their stream, and that there is nothing to hear any more.
        self.server = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    fn open(address: &str, token: Option<&str>) -> Result<HttpSink, SinkError> {
        let config = HttpConfig {
            address: address.into(),
            token: token.map(|token| Secret::new(token).unwrap()),
            names: Vec::new(),
        };
        HttpSink::new(&config, &fixtures::hello(), Seen::default())
    }

    #[test]
    fn addresses_are_read_in_every_form() {
        let read = |text: &str| parse_address(text).unwrap();
        assert_eq!(read("127.0.0.1"), ("127.0.0.1".into(), DEFAULT_PORT));
        assert_eq!(read(":81"), ("127.0.0.1".into(), 81));
        assert_eq!(read("localhost:0"), ("localhost".into(), 0));
        assert_eq!(read("[::1]:0"), ("::1".into(), 0));
        assert_eq!(read("::1"), ("::1".into(), DEFAULT_PORT));
        assert!(parse_address("127.0.0.1:99999").is_err());
        assert!(parse_address("http://x/").is_err());
    }

    #[test]
    fn nobody_else_is_let_in_without_a_token() {
        for address in ["0.0.0.0:0", "[::]:0"] {
            let error = open(address, None).unwrap_err().to_string();
            assert!(error.contains("--http-token-file"), "{error}");
        }
        let error = open("0.0.0.0:0", Some("too short"))
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("16") && !error.contains("too short"),
            "{error}"
        );
        assert!(open("0.0.0.0:0", Some("0123456789abcdef")).is_ok());
    }

    #[test]
    fn a_port_that_is_taken_is_said() {
        let first = open("127.0.0.1:0", None).unwrap();
        let at = first
            .url()
            .trim_start_matches("http://")
            .trim_end_matches('/');
        let error = open(at, None).unwrap_err().to_string();
        assert!(
            error.contains(at) && error.contains("another program"),
            "{error}"
        );
    }
}
