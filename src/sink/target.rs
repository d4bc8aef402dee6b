//! How a receiver's address is written.

use super::SinkError;

/// The host and the port of `HOST`, `HOST:PORT`, `[IPv6]` or `[IPv6]:PORT`.
pub(super) fn parse_target(
    feed: &'static str,
    target: &str,
    default_port: u16,
) -> Result<(String, u16), SinkError> {
    let wrong = |why: &str| SinkError::Setting {
        feed,
        what: "receiver",
        value: target.to_owned(),
        why: format!("{why}; write HOST:PORT, such as 127.0.0.1:{default_port}"),
    };
    let (host, port) = if let Some(rest) = target.strip_prefix('[') {
        let (host, rest) = rest.split_once(']').ok_or_else(|| wrong("a [ has no ]"))?;
        if host.parse::<std::net::Ipv6Addr>().is_err() {
            return Err(wrong("what stands in [ ] is no IPv6 address"));
        }
        match rest {
            "" => (host, None),
            rest => (
                host,
                Some(
                    rest.strip_prefix(':')
                        .ok_or_else(|| wrong("a : is missing after ]"))?,
                ),
            ),
        }
    } else if target.parse::<std::net::Ipv6Addr>().is_ok() {
        (target, None)
    } else {
        match target.rsplit_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (target, None),
        }
    };
    if host.is_empty()
        || host.chars().any(|c| c.is_whitespace() || "/:@".contains(c))
            && host.parse::<std::net::Ipv6Addr>().is_err()
    {
        return Err(wrong("there is no usable host name in it"));
    }
    let port = match port {
        None => default_port,
        Some(port) => port
            .parse()
            .ok()
            .filter(|&port| port != 0)
            .ok_or_else(|| wrong("the port is not a number from 1 to 65535"))?,
    };
    Ok((host.to_owned(), port))
}

/// `HOST:PORT` or `[IPv6]:PORT`.
pub(super) fn shown_target(host: &str, port: u16) -> String {
    if host.contains(':') {
        format!("[{host}]:{port}")
    } else {
        format!("{host}:{port}")
    }
}
