//! Datagrams to one receiver, as several feeds send them.

use std::{
    io,
    net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, ToSocketAddrs as _, UdpSocket},
};

use super::{
    SinkError,
    target::{parse_target, shown_target},
};

/// One receiver of datagrams.
#[derive(Debug)]
pub(super) struct UdpLine {
    feed: &'static str,
    host: String,
    port: u16,
    /// Multicast and broadcast addresses are allowed.
    allow_many: bool,
    /// The address of this machine to send from.
    from: Option<IpAddr>,
    socket: Option<UdpSocket>,
}

impl UdpLine {
    /// Nothing is sent and no name is looked up before [`UdpLine::connect`].
    ///
    /// # Errors
    /// [`SinkError::Setting`] when the target is not of the form `HOST:PORT`,
    /// [`SinkError::Multicast`] for an address that reaches many and was not allowed.
    pub(super) fn new(
        feed: &'static str,
        target: &str,
        default_port: u16,
        allow_many: bool,
        from: Option<IpAddr>,
    ) -> Result<Self, SinkError> {
        let (host, port) = parse_target(feed, target, default_port)?;
        let line = Self {
            feed,
            host,
            port,
            allow_many,
            from,
            socket: None,
        };
        if let Ok(ip) = line.host.parse::<IpAddr>() {
            line.allowed(ip)?;
        }
        Ok(line)
    }

    fn allowed(&self, ip: IpAddr) -> Result<(), SinkError> {
        let many = ip.is_multicast() || matches!(ip, IpAddr::V4(ip) if ip.is_broadcast());
        if many && !self.allow_many {
            return Err(SinkError::Multicast {
                feed: self.feed,
                address: ip,
            });
        }
        Ok(())
    }

    /// `HOST:PORT`.
    pub(super) fn target(&self) -> String {
        shown_target(&self.host, self.port)
    }

    fn unreachable(&self, source: io::Error) -> SinkError {
        SinkError::Unreachable {
            feed: self.feed.to_owned(),
            target: self.target(),
            source,
        }
    }

    /// Looks the name up and opens a socket to it.
    ///
    /// # Errors
    /// [`SinkError::Unreachable`] to be tried again, [`SinkError::Multicast`] when the name stands
    /// for many.
    pub(super) fn connect(&mut self) -> Result<(), SinkError> {
        let address = (self.host.as_str(), self.port)
            .to_socket_addrs()
            .and_then(|found| {
                // Of several addresses one of the family that is sent from.
                let mut fits = found.filter(|to| {
                    self.from
                        .is_none_or(|from| from.is_ipv4() == to.ip().is_ipv4())
                });
                fits.next().ok_or_else(|| io::ErrorKind::NotFound.into())
            })
            .map_err(|error| self.unreachable(error))?;
        self.allowed(address.ip())?;
        let socket = open(self.from, address.is_ipv4())
            .and_then(|socket| {
                if matches!(address.ip(), IpAddr::V4(ip) if ip.is_broadcast()) || self.allow_many {
                    socket.set_broadcast(true)?;
                }
                // A connected socket sends to this receiver only and is told when nobody listens.
                socket.connect(address)?;
                Ok(socket)
            })
            .map_err(|error| self.unreachable(error))?;
        self.socket = Some(socket);
        Ok(())
    }

    /// Sends; says whether the system reported that nobody listens.
    ///
    /// # Errors
    /// [`SinkError::Unreachable`] when the receiver cannot be sent to at present.
    pub(super) fn send(&self, bytes: &[u8]) -> Result<bool, SinkError> {
        let Some(socket) = &self.socket else {
            return Err(self.unreachable(io::ErrorKind::NotConnected.into()));
        };
        let mut refused = false;
        let mut sent = socket.send(bytes);
        if let Err(error) = &sent
            && error.kind() == io::ErrorKind::ConnectionRefused
        {
            // It is the answer to an earlier message; this one was not sent.
            refused = true;
            sent = socket.send(bytes);
        }
        match sent {
            Ok(_) => Ok(refused),
            Err(error) if error.kind() == io::ErrorKind::ConnectionRefused => Ok(true),
            // A full send buffer loses the message, as UDP may; the next one gets through.
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(refused),
            Err(error) => Err(self.unreachable(error)),
        }
    }
}

/// A socket that never blocks and whose multicasts stay in the local network.
pub(super) fn open(from: Option<IpAddr>, ipv4: bool) -> io::Result<UdpSocket> {
    let any = if ipv4 {
        IpAddr::V4(Ipv4Addr::UNSPECIFIED)
    } else {
        IpAddr::V6(Ipv6Addr::UNSPECIFIED)
    };
    let socket = UdpSocket::bind(SocketAddr::new(from.unwrap_or(any), 0))?;
    if ipv4 {
        socket.set_multicast_ttl_v4(1)?;
    }
    socket.set_nonblocking(true)?;
    Ok(socket)
}
