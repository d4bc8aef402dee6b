//! Art-Net 4: ArtDmx, a DMX universe in each datagram, to one node.

use std::{io, net::IpAddr};

use artnet_protocol::{ArtCommand, Output, PortAddress};

use super::{
    SinkError,
    dmx::{DmxSink, Frame, Wire},
    look::Look,
    udp::UdpLine,
};

/// Port of receivers that are given without one.
pub const DEFAULT_PORT: u16 = 6454;

/// Highest Port-Address there is: net, sub-net and universe in 15 bits.
pub const LAST_PORT_ADDRESS: u16 = 0x7fff;

/// Where and what to send.
#[derive(Clone, Debug)]
pub struct ArtNetConfig {
    /// `HOST` or `HOST:PORT`.
    pub target: String,
    /// Allow broadcast addresses, which Art-Net 4 forbids for ArtDmx and old nodes want.
    pub allow_broadcast: bool,
    /// The Port-Address that universe 1 of the look has; the others follow.
    pub first: u16,
    /// The address of this machine to send from, which says by which interface.
    pub interface: Option<IpAddr>,
    /// What to show.
    pub look: Look,
}

/// One Art-Net node.
pub type ArtNetSink = DmxSink<ArtNet>;

/// A way to carry frames by Art-Net.
#[derive(Debug)]
pub struct ArtNet {
    line: UdpLine,
    first: u16,
    /// Next sequence number; 0 would say that there is none.
    sequence: u8,
}

impl ArtNetSink {
    /// Nothing is sent and no name is looked up before [`Sink::connect`](super::Sink::connect).
    ///
    /// # Errors
    /// [`SinkError::Setting`] naming what cannot work, [`SinkError::Multicast`] for a broadcast
    /// address that was not allowed.
    pub fn new(config: ArtNetConfig) -> Result<Self, SinkError> {
        let (many, from) = (config.allow_broadcast, config.interface);
        let line = UdpLine::new("artnet", &config.target, DEFAULT_PORT, many, from)?;
        let last = config.look.universes().last().copied().unwrap_or(1);
        if u32::from(last) + u32::from(config.first) > u32::from(LAST_PORT_ADDRESS) + 1 {
            return Err(SinkError::Setting {
                feed: "artnet",
                what: "universe",
                value: last.to_string(),
                why: format!(
                    "with universe 1 at Port-Address {} it lies beyond the last, {LAST_PORT_ADDRESS}",
                    config.first
                ),
            });
        }
        let wire = ArtNet {
            line,
            first: config.first,
            sequence: 1,
        };
        DmxSink::over(wire, "artnet", config.look)
    }
}

/// Checks a receiver as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form.
pub fn check_target(target: &str) -> Result<(), SinkError> {
    UdpLine::new("artnet", target, DEFAULT_PORT, true, None).map(drop)
}

impl Wire for ArtNet {
    fn name(&self) -> String {
        format!("artnet {}", self.line.target())
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        self.line.connect()
    }

    fn send(&mut self, universe: u16, frame: &Frame) -> Result<bool, SinkError> {
        let wrong = |what: String| SinkError::Unreachable {
            feed: "artnet".to_owned(),
            target: self.line.target(),
            source: io::Error::other(what),
        };
        let port_address = PortAddress::try_from(self.first + (universe - 1))
            .map_err(|error| wrong(error.to_string()))?;
        let command = ArtCommand::Output(Output {
            sequence: self.sequence,
            port_address,
            data: frame.to_vec().into(),
            ..Output::default()
        });
        let bytes = command
            .write_to_buffer()
            .map_err(|error| wrong(error.to_string()))?;
        self.sequence = self.sequence.checked_add(1).unwrap_or(1);
        self.line.send(&bytes)
    }

    /// Art-Net has no words for it: nothing more is sent.
    fn terminate(&mut self, _: u16, _: &Frame) -> Result<(), SinkError> {
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    #[test]
    fn what_can_never_work_is_refused() {
        let config = |target: &str, first| ArtNetConfig {
            target: target.into(),
            allow_broadcast: false,
            first,
            interface: None,
            look: Look::plain(&fixtures::hello().labels, 1),
        };
        assert!(ArtNetSink::new(config("10.0.0.2", 32_767)).is_ok());
        let error = ArtNetSink::new(config("10.0.0.2", 32_768)).unwrap_err();
        assert!(error.to_string().contains("32767"), "{error}");
        let error = ArtNetSink::new(config("255.255.255.255", 0)).unwrap_err();
        assert!(error.to_string().contains("broadcast"), "{error}");
        let allowed = ArtNetConfig {
            allow_broadcast: true,
            ..config("255.255.255.255", 0)
        };
        assert!(ArtNetSink::new(allowed).is_ok());
    }
}
