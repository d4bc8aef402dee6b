//! Who is answered: no page of another site, nobody under a foreign name, and nobody without the
//! token where there is one.

use std::net::IpAddr;

use hyper::{HeaderMap, Method, Uri, header};
use sha2::{Digest as _, Sha256};
use subtle::ConstantTimeEq as _;

use super::super::secret::Secret;
use crate::hexadecimal::hex;

/// The cookie that stands for the token in a browser.
const COOKIE: &str = "genrescope";

/// Why somebody is not answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Refusal {
    /// Asked for under a name that is not this machine's: a site whose name was pointed here (DNS
    /// rebinding).
    Host,
    /// Asked by the page of another site.
    Origin,
    /// The token is missing or wrong.
    Token,
}

/// Whom to answer.
pub(super) struct Guard {
    names: Vec<String>,
    token: Option<Token>,
}

struct Token {
    digest: [u8; 32],
    cookie: String,
}

impl Guard {
    pub(super) fn new(names: Vec<String>, token: Option<&Secret>) -> Self {
        let token = token.map(|token| Token {
            digest: digest(token.expose()),
            // The same after a restart, so that nobody has to log in again.
            cookie: hex(&digest(&format!("genrescope cookie\n{}", token.expose()))),
        });
        Self {
            names: names.into_iter().map(|name| name.to_lowercase()).collect(),
            token,
        }
    }

    /// Is the one who asks at the right door?
    pub(super) fn check_site(
        &self,
        method: &Method,
        uri: &Uri,
        headers: &HeaderMap,
    ) -> Result<(), Refusal> {
        let mut hosts = headers.get_all(header::HOST).iter();
        let (Some(host), None) = (hosts.next(), hosts.next()) else {
            return Err(Refusal::Host);
        };
        let host = host.to_str().map_err(|_| Refusal::Host)?;
        let asked = uri.authority().map(hyper::http::uri::Authority::as_str);
        if !self.is_own(host) || asked.is_some_and(|asked| asked != host) {
            return Err(Refusal::Host);
        }
        for origin in headers.get_all(header::ORIGIN) {
            let origin = origin.to_str().map_err(|_| Refusal::Origin)?;
            let same = origin
                .strip_prefix("http://")
                .is_some_and(|origin| origin.eq_ignore_ascii_case(host));
            if !same {
                return Err(Refusal::Origin);
            }
        }
        // A link from elsewhere may lead here; what a page elsewhere loads by itself may not.
        let says = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        let link = *method == Method::GET && says("sec-fetch-mode") == Some("navigate");
        match says("sec-fetch-site") {
            None | Some("none" | "same-origin") => Ok(()),
            Some(_) if link => Ok(()),
            Some(_) => Err(Refusal::Origin),
        }
    }

    /// Does the one who asks know the token?
    pub(super) fn check_token(&self, headers: &HeaderMap) -> Result<(), Refusal> {
        let Some(token) = &self.token else {
            return Ok(());
        };
        let bearer = headers
            .get(header::AUTHORIZATION)
            .and_then(|value| value.to_str().ok())
            .and_then(|value| value.split_once(' '))
            .filter(|(scheme, _)| scheme.eq_ignore_ascii_case("bearer"))
            .is_some_and(|(_, said)| digest(said.trim()).ct_eq(&token.digest).into());
        let cookie = || {
            headers
                .get_all(header::COOKIE)
                .iter()
                .filter_map(|value| value.to_str().ok())
                .flat_map(|value| value.split(';'))
                .filter_map(|pair| pair.trim().split_once('='))
                .filter(|(name, _)| *name == COOKIE)
                .any(|(_, said)| said.as_bytes().ct_eq(token.cookie.as_bytes()).into())
        };
        if bearer || cookie() {
            Ok(())
        } else {
            Err(Refusal::Token)
        }
    }

    /// What a browser keeps that has shown the token.
    pub(super) fn cookie(&self) -> Option<String> {
        let token = self.token.as_ref()?;
        Some(format!(
            "{COOKIE}={}; Path=/; Max-Age=31536000; HttpOnly; SameSite=Strict",
            token.cookie
        ))
    }

    /// No name can be pointed here that is an address; names are known ones.
    fn is_own(&self, host: &str) -> bool {
        let name = host_name(host).to_lowercase();
        let name = name.strip_suffix('.').unwrap_or(&name);
        name.parse::<IpAddr>().is_ok()
            || name == "localhost"
            || name.strip_suffix(".localhost").is_some()
            || self.names.iter().any(|own| {
                own == name
                    || name
                        .strip_suffix(".local")
                        .is_some_and(|short| own == short)
            })
    }
}

/// `host` without its port and brackets.
fn host_name(host: &str) -> &str {
    if let Some(rest) = host.strip_prefix('[') {
        return match rest.split_once(']') {
            Some((name, port)) if port.is_empty() || port.starts_with(':') => name,
            _ => "",
        };
    }
    host.split_once(':').map_or(host, |(name, _)| name)
}

fn digest(text: &str) -> [u8; 32] {
    Sha256::digest(text.as_bytes()).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn site(guard: &Guard, headers: &[(&'static str, &str)]) -> Result<(), Refusal> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.append(*name, value.parse().unwrap());
        }
        guard.check_site(&Method::GET, &Uri::from_static("/readout"), &map)
    }

    #[test]
    fn foreign_names_and_sites_are_refused() {
        let guard = Guard::new(vec!["Stage".into()], None);
        for host in [
            "127.0.0.1:8017",
            "localhost:8017",
            "LOCALHOST",
            "[::1]:8017",
            "192.168.1.5:8017",
            "stage:8017",
            "stage.local",
            "localhost.",
        ] {
            assert_eq!(site(&guard, &[("host", host)]), Ok(()), "{host}");
        }
        for host in [
            "evil.example",
            "evil.example:8017",
            "127.0.0.1.evil.example",
            "localhost.evil.example",
            "stage.evil.example",
            "[::1].evil.example",
            "",
            "user@127.0.0.1",
            "2130706433.evil.example",
        ] {
            assert_eq!(
                site(&guard, &[("host", host)]),
                Err(Refusal::Host),
                "{host}"
            );
        }
        assert_eq!(site(&guard, &[]), Err(Refusal::Host));
        let twice = [("host", "localhost"), ("host", "evil.example")];
        assert_eq!(site(&guard, &twice), Err(Refusal::Host));
        for (origin, expected) in [
            ("http://localhost:8017", Ok(())),
            ("http://localhost:3000", Err(Refusal::Origin)),
            ("https://evil.example", Err(Refusal::Origin)),
            ("null", Err(Refusal::Origin)),
        ] {
            let headers = [("host", "localhost:8017"), ("origin", origin)];
            assert_eq!(site(&guard, &headers), expected, "{origin}");
        }
        for (fetch, mode, expected) in [
            ("same-origin", "cors", Ok(())),
            ("none", "navigate", Ok(())),
            ("cross-site", "navigate", Ok(())),
            ("cross-site", "no-cors", Err(Refusal::Origin)),
            ("same-site", "cors", Err(Refusal::Origin)),
        ] {
            let headers = [
                ("host", "localhost"),
                ("sec-fetch-site", fetch),
                ("sec-fetch-mode", mode),
            ];
            assert_eq!(site(&guard, &headers), expected, "{fetch} {mode}");
        }
    }

    #[test]
    fn the_token_opens_and_nothing_else_does() {
        let token = Secret::new("0123456789abcdef").unwrap();
        let guard = Guard::new(Vec::new(), Some(&token));
        let check = |name: &'static str, value: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(name, value.parse().unwrap());
            guard.check_token(&headers)
        };
        assert_eq!(check("authorization", "Bearer 0123456789abcdef"), Ok(()));
        assert_eq!(check("authorization", "bearer 0123456789abcdef"), Ok(()));
        let cookie = guard.cookie().unwrap();
        assert!(!cookie.contains("0123456789abcdef"), "{cookie}");
        let cookie = cookie.split(';').next().unwrap();
        assert_eq!(check("cookie", &format!("a=b; {cookie}")), Ok(()));
        for (name, value) in [
            ("authorization", "Bearer 0123456789abcdeg"),
            ("authorization", "Bearer 0123456789abcde"),
            ("authorization", "Basic 0123456789abcdef"),
            ("authorization", "0123456789abcdef"),
            ("cookie", "genrescope=0123456789abcdef"),
            ("cookie", "genrescope="),
            ("x-other", "0123456789abcdef"),
        ] {
            assert_eq!(check(name, value), Err(Refusal::Token), "{name} {value}");
        }
        assert!(
            Guard::new(Vec::new(), None)
                .check_token(&HeaderMap::new())
                .is_ok()
        );
    }
}
