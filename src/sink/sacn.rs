//! Streaming ACN (ANSI E1.31-2018): a DMX universe in each datagram, to one receiver or, where
//! asked, to all of the network.

use std::{
    borrow::Cow,
    io,
    net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket},
    time::{Duration, Instant},
};

use sacn::packet::{
    ACN_SDT_MULTICAST_PORT, AcnRootLayerProtocol, DataPacketDmpLayer, DataPacketFramingLayer,
    E131_DISCOVERY_UNIVERSE, E131_TERMINATE_STREAM_PACKET_COUNT, E131_UNIVERSE_DISCOVERY_INTERVAL,
    E131RootLayer, E131RootLayerData, UniverseDiscoveryPacketFramingLayer,
    UniverseDiscoveryPacketUniverseDiscoveryLayer,
};
use uuid::Uuid;

use super::{
    SinkError,
    dmx::{DmxSink, Frame, Wire},
    look::{CHANNELS, Look},
    udp::{self, UdpLine},
};

/// Port of receivers that are given without one.
pub const DEFAULT_PORT: u16 = ACN_SDT_MULTICAST_PORT;

/// Given instead of an address: all receivers of the network.
pub const MULTICAST: &str = "multicast";

/// Below the 100 of desks, which win where both send.
pub const DEFAULT_PRIORITY: u8 = 90;

/// Highest priority there is.
pub const MAX_PRIORITY: u8 = 200;

/// Longest name of a source, in bytes: 64 with the zero at the end.
pub const MAX_NAME: usize = 63;

/// Where and what to send.
#[derive(Clone, Debug)]
pub struct SacnConfig {
    /// `HOST`, `HOST:PORT`, or [`MULTICAST`].
    pub target: String,
    /// 0 to [`MAX_PRIORITY`].
    pub priority: u8,
    /// What desks show as the source, up to [`MAX_NAME`] bytes.
    pub source_name: String,
    /// The address of this machine to send from, which says by which interface.
    pub interface: Option<IpAddr>,
    /// What to show.
    pub look: Look,
}

/// One sACN receiver.
pub type SacnSink = DmxSink<Sacn>;

/// A way to carry frames by sACN.
#[derive(Debug)]
pub struct Sacn {
    way: Way,
    cid: Uuid,
    priority: u8,
    source_name: String,
    interface: Option<IpAddr>,
    /// Next sequence number of each universe.
    sequence: Vec<(u16, u8)>,
    announced: Option<Instant>,
    buffer: Vec<u8>,
}

#[derive(Debug)]
enum Way {
    To(UdpLine),
    /// To the group of each universe.
    All(Option<UdpSocket>),
}

impl SacnSink {
    /// Nothing is sent and no name is looked up before [`Sink::connect`](super::Sink::connect).
    ///
    /// # Errors
    /// [`SinkError::Setting`] naming what cannot work.
    pub fn new(config: SacnConfig) -> Result<Self, SinkError> {
        let setting = |what, value: String, why: String| SinkError::Setting {
            feed: "sacn",
            what,
            value,
            why,
        };
        if config.priority > MAX_PRIORITY {
            let why = format!("it is 0 to {MAX_PRIORITY}, desks have 100");
            return Err(setting("priority", config.priority.to_string(), why));
        }
        if config.source_name.len() > MAX_NAME || config.source_name.contains('\0') {
            let why = format!("it has at most {MAX_NAME} bytes, none of them zero");
            return Err(setting("source name", config.source_name, why));
        }
        let way = if config.target == MULTICAST {
            if let Some(ip) = config.interface.filter(|ip| !ip.is_ipv4()) {
                let why = "multicast goes by IPv4; give an IPv4 address of this machine".to_owned();
                return Err(setting("interface", ip.to_string(), why));
            }
            Way::All(None)
        } else {
            let line = UdpLine::new(
                "sacn",
                &config.target,
                DEFAULT_PORT,
                false,
                config.interface,
            );
            Way::To(line.map_err(|error| match error {
                SinkError::Multicast { address, .. } => setting(
                    "receiver",
                    address.to_string(),
                    format!("it stands for many; give a receiver's own address, or '{MULTICAST}'"),
                ),
                other => other,
            })?)
        };
        let wire = Sacn {
            way,
            cid: Uuid::new_v4(),
            priority: config.priority,
            source_name: config.source_name,
            interface: config.interface,
            sequence: Vec::new(),
            announced: None,
            buffer: Vec::with_capacity(638),
        };
        DmxSink::over(wire, "sacn", config.look)
    }
}

/// Checks a receiver as it is given on the command line or in the configuration.
///
/// # Errors
/// [`SinkError::Setting`] when it is of no known form.
pub fn check_target(target: &str) -> Result<(), SinkError> {
    if target == MULTICAST {
        return Ok(());
    }
    UdpLine::new("sacn", target, DEFAULT_PORT, false, None).map(drop)
}

/// The multicast group of a universe (E1.31-2018, 9.3.1).
fn group(universe: u16) -> SocketAddr {
    let [high, low] = universe.to_be_bytes();
    (Ipv4Addr::new(239, 255, high, low), DEFAULT_PORT).into()
}

impl Sacn {
    fn root(&self, data: E131RootLayerData<'_>, buffer: &mut Vec<u8>) {
        let pdu = E131RootLayer {
            cid: self.cid,
            data,
        };
        // Name and values have the lengths that are asked for, so there is nothing that could fail.
        let _ = AcnRootLayerProtocol { pdu }.pack_vec(buffer);
    }

    fn data(
        &mut self,
        universe: u16,
        frame: &Frame,
        stream_terminated: bool,
    ) -> Result<bool, SinkError> {
        let mut values = [0; 1 + CHANNELS as usize]; // the start code, 0, comes first
        values[1..].copy_from_slice(frame);
        let known = self.sequence.iter().position(|(of, _)| *of == universe);
        let at = known.unwrap_or_else(|| {
            self.sequence.push((universe, 0));
            self.sequence.len() - 1
        });
        let sequence_number = self.sequence[at].1;
        self.sequence[at].1 = sequence_number.wrapping_add(1);
        let mut buffer = std::mem::take(&mut self.buffer);
        let packet = DataPacketFramingLayer {
            source_name: Cow::Borrowed(&self.source_name),
            priority: self.priority,
            synchronization_address: 0,
            sequence_number,
            preview_data: false,
            stream_terminated,
            force_synchronization: false,
            universe,
            data: DataPacketDmpLayer {
                property_values: Cow::Borrowed(&values),
            },
        };
        self.root(E131RootLayerData::DataPacket(packet), &mut buffer);
        let sent = self.send_to(&buffer, universe);
        self.buffer = buffer;
        sent
    }

    fn send_to(&self, bytes: &[u8], universe: u16) -> Result<bool, SinkError> {
        match &self.way {
            Way::To(line) => line.send(bytes),
            Way::All(socket) => {
                let sent = match socket {
                    Some(socket) => socket.send_to(bytes, group(universe)).map(drop),
                    None => Err(io::ErrorKind::NotConnected.into()),
                };
                match sent {
                    Err(error) if error.kind() != io::ErrorKind::WouldBlock => {
                        Err(unreachable(error))
                    }
                    // A full send buffer loses the frame, as UDP may; the next one gets through.
                    _ => Ok(false),
                }
            }
        }
    }
}

fn unreachable(source: io::Error) -> SinkError {
    SinkError::Unreachable {
        feed: "sacn".to_owned(),
        target: MULTICAST.to_owned(),
        source,
    }
}

fn open_multicast(interface: Option<IpAddr>) -> io::Result<UdpSocket> {
    let socket = udp::open(interface, true)?;
    if let Some(IpAddr::V4(from)) = interface {
        socket2::SockRef::from(&socket).set_multicast_if_v4(&from)?;
    }
    Ok(socket)
}

impl Wire for Sacn {
    fn name(&self) -> String {
        match &self.way {
            Way::To(line) => format!("sacn {}", line.target()),
            Way::All(_) => format!("sacn {MULTICAST}"),
        }
    }

    fn connect(&mut self) -> Result<(), SinkError> {
        match &mut self.way {
            Way::To(line) => line.connect(),
            Way::All(socket) => {
                *socket = Some(open_multicast(self.interface).map_err(unreachable)?);
                Ok(())
            }
        }
    }

    fn send(&mut self, universe: u16, frame: &Frame) -> Result<bool, SinkError> {
        self.data(universe, frame, false)
    }

    fn terminate(&mut self, universe: u16, frame: &Frame) -> Result<(), SinkError> {
        for _ in 0..E131_TERMINATE_STREAM_PACKET_COUNT {
            self.data(universe, frame, true)?;
        }
        Ok(())
    }

    /// Universe discovery (E1.31-2018, 4.3): for all, so only where all are sent to.
    fn announce(&mut self, universes: &[u16], now: Instant) -> Result<(), SinkError> {
        let due = |at| now.saturating_duration_since(at) >= E131_UNIVERSE_DISCOVERY_INTERVAL;
        if !matches!(self.way, Way::All(_)) || !self.announced.is_none_or(due) {
            return Ok(());
        }
        self.announced = Some(now);
        let mut buffer = Vec::new();
        let packet = UniverseDiscoveryPacketFramingLayer {
            source_name: Cow::Borrowed(&self.source_name),
            data: UniverseDiscoveryPacketUniverseDiscoveryLayer {
                page: 0,
                last_page: 0,
                universes: Cow::Borrowed(universes),
            },
        };
        self.root(
            E131RootLayerData::UniverseDiscoveryPacket(packet),
            &mut buffer,
        );
        self.send_to(&buffer, E131_DISCOVERY_UNIVERSE).map(drop)
    }
}

/// A second is asked for at most.
const _: () =
    assert!(super::dmx::REPEAT_PERIOD.as_millis() <= Duration::from_millis(800).as_millis());

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sink::tests as fixtures;

    fn config(target: &str) -> SacnConfig {
        SacnConfig {
            target: target.into(),
            priority: DEFAULT_PRIORITY,
            source_name: "genrescope".into(),
            interface: None,
            look: Look::plain(&fixtures::hello().labels, 1),
        }
    }

    #[test]
    fn what_can_never_work_is_refused() {
        let refused = |config| SacnSink::new(config).unwrap_err().to_string();
        let error = refused(SacnConfig {
            priority: 201,
            ..config("10.0.0.2")
        });
        assert!(error.contains("priority '201'"), "{error}");
        let error = refused(SacnConfig {
            source_name: "x".repeat(64),
            ..config("10.0.0.2")
        });
        assert!(error.contains("63 bytes"), "{error}");
        let error = refused(config("239.255.0.1"));
        assert!(error.contains("'multicast'"), "{error}");
        let error = refused(config("10.0.0.2:0"));
        assert!(error.contains("10.0.0.2:0"), "{error}");
        let error = refused(SacnConfig {
            interface: Some("::1".parse().unwrap()),
            ..config(MULTICAST)
        });
        assert!(error.contains("IPv4"), "{error}");
        for fine in ["10.0.0.2", "lights.local:5570", "[::1]", MULTICAST] {
            assert!(SacnSink::new(config(fine)).is_ok(), "{fine}");
            assert!(check_target(fine).is_ok(), "{fine}");
        }
        assert_eq!(group(1).to_string(), "239.255.0.1:5568");
        assert_eq!(group(63_999).to_string(), "239.255.249.255:5568");
    }
}
