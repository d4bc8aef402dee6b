//! sACN and Art-Net over real sockets on the loopback interface, read by the bytes of the standards
//! and, where they are installed, by other people's receivers.
#![cfg(all(feature = "cli", feature = "lights"))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/feeds.rs"]
mod fixtures;
#[path = "support/skip.rs"]
mod skip;
#[path = "support/cli.rs"]
mod support;

use std::{
    io::{BufRead as _, BufReader},
    net::UdpSocket,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use fixtures::{fed, labels, readout, receiver};
use genrescope::{
    decision::State,
    sink::{
        Feeds,
        artnet::{ArtNetConfig, ArtNetSink},
        look::{Look, Scene, Slot},
        sacn::{SacnConfig, SacnSink},
    },
};

/// Fades that tests need not wait for.
fn quick(mut look: Look) -> Look {
    look.fade = Duration::from_millis(100);
    look
}

fn sacn(target: &str, look: Look) -> SacnSink {
    SacnSink::new(SacnConfig {
        target: target.to_owned(),
        priority: 77,
        source_name: "the band".into(),
        interface: None,
        look,
    })
    .unwrap()
}

fn artnet(target: &str, first: u16, look: Look) -> ArtNetSink {
    ArtNetSink::new(ArtNetConfig {
        target: target.to_owned(),
        allow_broadcast: false,
        first,
        interface: None,
        look,
    })
    .unwrap()
}

/// A datagram of E1.31, read by the offsets of ANSI E1.31-2018, table 4-1.
#[derive(Clone, Debug, PartialEq)]
struct E131 {
    cid: [u8; 16],
    sequence: u8,
    terminated: bool,
    universe: u16,
    frame: Vec<u8>,
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_be_bytes([bytes[at], bytes[at + 1]])
}

impl E131 {
    fn read(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), 638);
        assert_eq!(bytes[..16], *b"\x00\x10\x00\x00ASC-E1.17\x00\x00\x00");
        assert_eq!(u16_at(bytes, 16), 0x726e, "flags and 622, root layer");
        assert_eq!(bytes[18..22], [0, 0, 0, 4]);
        assert_eq!(u16_at(bytes, 38), 0x7258, "flags and 600, framing layer");
        assert_eq!(bytes[40..44], [0, 0, 0, 2]);
        assert_eq!(bytes[44..52], *b"the band");
        assert!(bytes[52..108].iter().all(|byte| *byte == 0));
        assert_eq!(bytes[108], 77, "priority");
        assert_eq!(bytes[109..111], [0, 0], "not synchronised");
        assert_eq!(bytes[112] & !0x40, 0, "options");
        assert_eq!(u16_at(bytes, 115), 0x720b, "flags and 523, DMP layer");
        assert_eq!(bytes[117..126], [2, 0xa1, 0, 0, 0, 1, 2, 1, 0]);
        Self {
            cid: bytes[22..38].try_into().unwrap(),
            sequence: bytes[111],
            terminated: bytes[112] & 0x40 != 0,
            universe: u16_at(bytes, 113),
            frame: bytes[126..].to_vec(),
        }
    }
}

/// A datagram of Art-Net 4, "ArtDmx Packet Definition".
#[derive(Clone, Debug, PartialEq)]
struct ArtDmx {
    sequence: u8,
    port_address: u16,
    frame: Vec<u8>,
}

impl ArtDmx {
    fn read(bytes: &[u8]) -> Self {
        assert_eq!(bytes.len(), 530);
        assert_eq!(bytes[..12], *b"Art-Net\x00\x00\x50\x00\x0e");
        assert_eq!(bytes[13], 0, "physical");
        assert_eq!(bytes[16..18], [2, 0], "length, high byte first");
        Self {
            sequence: bytes[12],
            port_address: u16::from_le_bytes([bytes[14], bytes[15]]),
            frame: bytes[18..].to_vec(),
        }
    }
}

/// Reads until `enough`, and fails with what came if that never happens.
fn receive<T: Clone + std::fmt::Debug>(
    socket: &UdpSocket,
    read: impl Fn(&[u8]) -> T,
    enough: impl Fn(&[T]) -> bool,
) -> Vec<T> {
    let mut all = Vec::new();
    let mut buffer = [0_u8; 1536];
    while !enough(&all) {
        let length = socket
            .recv(&mut buffer)
            .unwrap_or_else(|error| panic!("{error} after {} datagrams", all.len()));
        all.push(read(&buffer[..length]));
    }
    all
}

fn lit(frame: &[u8]) -> Vec<(usize, u8)> {
    let lit = frame.iter().enumerate().filter(|(_, value)| **value > 0);
    lit.map(|(index, value)| (index + 1, *value)).collect()
}

#[test]
fn sacn_carries_the_look_by_the_bytes_of_the_standard_and_ends_in_order() {
    let (socket, target) = receiver();
    let mut look = quick(Look::plain(&labels(), 1));
    let far = Slot {
        universe: 300,
        channel: 512,
    };
    look.always.insert(far, 9);
    let mut feeds = fed(sacn(&target, look));
    feeds.publish(&readout(1, State::Live, Some(9)));
    let full = |packet: &E131| packet.universe == 1 && packet.frame[9] == 255;
    let fading = receive(&socket, E131::read, |all| all.iter().any(full));
    let lamp = fading.iter().filter(|packet| packet.universe == 1);
    let lamp: Vec<u8> = lamp.map(|packet| packet.frame[9]).collect();
    assert!(lamp.is_sorted(), "{lamp:?}");
    // Frames go on while nothing changes.
    let repeated = receive(&socket, E131::read, |all| {
        all.iter().filter(|p| full(p)).count() == 2 && all.iter().any(|p| p.frame[511] == 9)
    });
    let newest = repeated.iter().rfind(|packet| full(packet)).unwrap();
    assert_eq!(lit(&newest.frame)[0], (10, 255));
    assert_eq!(lit(&newest.frame)[10], (20, 140));
    drop(feeds);
    let last = receive(&socket, E131::read, |all| {
        all.iter().filter(|packet| packet.terminated).count() == 6
    });
    let one = |universe| {
        last.iter()
            .filter(move |packet| packet.universe == universe)
    };
    for universe in [1, 300] {
        let dark: Vec<bool> = one(universe)
            .filter(|p| lit(&p.frame).is_empty())
            .map(|p| p.terminated)
            .collect();
        assert_eq!(
            dark,
            [false, false, false, true, true, true],
            "universe {universe}"
        );
    }
    // One source, whose packets are counted for each universe.
    let mut all = fading;
    all.extend(repeated);
    all.extend(last);
    for universe in [1, 300] {
        let packets: Vec<&E131> = all.iter().filter(|p| p.universe == universe).collect();
        assert!(packets.iter().all(|packet| packet.cid == packets[0].cid));
        for (n, packet) in packets.iter().enumerate() {
            assert_eq!(packet.sequence, n as u8, "universe {universe}");
        }
    }
}

#[test]
fn sacn_gives_its_channels_back_in_silence_and_takes_them_again() {
    let (socket, target) = receiver();
    let mut look = quick(Look::plain(&labels(), 1));
    look.states.push((
        State::Silent,
        Scene {
            release: true,
            ..Scene::default()
        },
    ));
    let mut feeds = fed(sacn(&target, look));
    feeds.publish(&readout(1, State::Live, Some(3)));
    receive(&socket, E131::read, |all| {
        all.iter().any(|p| p.frame[3] == 255)
    });
    feeds.publish(&readout(2, State::Silent, None));
    let packets = receive(&socket, E131::read, |all| {
        all.iter().filter(|packet| packet.terminated).count() == 3
    });
    assert_eq!(lit(&packets.last().unwrap().frame), []);
    // Longer than a repeat takes.
    socket
        .set_read_timeout(Some(Duration::from_secs(1)))
        .unwrap();
    let more = socket.recv(&mut [0; 700]);
    assert!(more.is_err(), "nothing comes any more");
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    feeds.publish(&readout(3, State::Live, Some(4)));
    let packets = receive(&socket, E131::read, |all| {
        all.iter().any(|p| p.frame[4] == 255)
    });
    assert!(packets.iter().all(|packet| !packet.terminated));
}

#[test]
fn artnet_carries_the_look_by_the_bytes_of_the_standard() {
    let (socket, target) = receiver();
    let look = quick(Look::plain(&labels(), 2));
    let mut feeds = fed(artnet(&target, 0x0120, look));
    feeds.publish(&readout(1, State::Live, Some(9)));
    let packets = receive(&socket, ArtDmx::read, |all| {
        all.iter().filter(|packet| packet.frame[9] == 255).count() == 2
    });
    for (n, packet) in (1..).zip(&packets) {
        assert_eq!((packet.sequence, packet.port_address), (n, 0x0121));
    }
    feeds.status(State::Lost, None);
    let packets = receive(&socket, ArtDmx::read, |all| {
        all.last()
            .is_some_and(|packet| lit(&packet.frame).is_empty())
    });
    assert!(packets.len() > 2, "it fades: {} frames", packets.len());
    drop(feeds);
    let end = receive(&socket, ArtDmx::read, |all| all.len() == 3);
    assert!(end.iter().all(|packet| lit(&packet.frame).is_empty()));
}

/// Multicast leaves by the interface that is named and stays in the local network.
#[test]
fn sacn_multicast_reaches_a_group() {
    let Ok(socket) = UdpSocket::bind("0.0.0.0:5568") else {
        skip::skip("port", "port 5568 is taken on this machine");
        return;
    };
    let local = std::net::Ipv4Addr::LOCALHOST;
    let group = std::net::Ipv4Addr::new(239, 255, 0x12, 0x34);
    if socket.join_multicast_v4(&group, &local).is_err() {
        skip::skip(
            "multicast",
            "there is no multicast on the loopback interface",
        );
        return;
    }
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let feeds = fed(SacnSink::new(SacnConfig {
        target: "multicast".into(),
        priority: 77,
        source_name: "the band".into(),
        interface: Some(local.into()),
        look: Look::plain(&labels(), 0x1234),
    })
    .unwrap());
    let packets = receive(&socket, E131::read, |all| !all.is_empty());
    assert_eq!(packets[0].universe, 0x1234);
    drop(feeds);
}

#[cfg(target_os = "linux")] // which reports closed ports
#[test]
fn a_dead_receiver_is_noticed_and_a_flooding_one_harms_nothing() {
    let (socket, target) = receiver();
    drop(socket);
    let mut feeds = fed(sacn(&target, Look::plain(&labels(), 1)));
    let start = Instant::now();
    while !feeds.runners()[0].stats().unheard {
        assert!(start.elapsed() < Duration::from_secs(20), "never unheard");
        feeds.publish(&readout(1, State::Live, Some(8)));
        std::thread::sleep(Duration::from_millis(20));
    }
    let socket = UdpSocket::bind(&target).unwrap();
    socket
        .set_read_timeout(Some(Duration::from_secs(20)))
        .unwrap();
    let (_, sender) = socket.recv_from(&mut [0; 700]).unwrap();
    let noise = [0xff_u8; 1400];
    for seq in 2..200 {
        for _ in 0..50 {
            // What the kernel has no room for is lost there.
            let _ = socket.send_to(&noise, sender);
        }
        feeds.publish(&readout(seq, State::Live, Some(seq as usize % 10)));
    }
    feeds.publish(&readout(200, State::Live, Some(8)));
    receive(&socket, E131::read, |all| {
        all.iter().any(|p| p.frame[8] == 255)
    });
    let stats = feeds.runners()[0].stats();
    assert!(!stats.unheard && stats.errors == 0, "{stats:?}");
    drop(feeds);
}

/// What someone else's receiver understands, by tests/dmx_receiver.py.
fn understood(kind: &str, module: &str, make: impl Fn(&str) -> Feeds) -> Option<Vec<String>> {
    let python = std::env::var("GENRESCOPE_PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let available = Command::new(&python)
        .args(["-c", &format!("import {module}")])
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status()
        .is_ok_and(|status| status.success());
    if !available {
        skip::skip(
            module,
            format_args!("{python} has no {module}; GENRESCOPE_PYTHON names the interpreter"),
        );
        return None;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/dmx_receiver.py");
    let mut child = Command::new(&python)
        .args([script, kind])
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    let port = lines.next().unwrap().unwrap();
    let mut feeds = make(&format!("127.0.0.1:{port}"));
    feeds.publish(&readout(1, State::Live, Some(9)));
    let mut heard: Vec<String> = Vec::new();
    for line in &mut lines {
        heard.push(line.unwrap());
        if heard.last().unwrap().contains(r#""10": 255"#) {
            break;
        }
    }
    drop(feeds);
    heard.extend(lines.map(Result::unwrap));
    assert!(child.wait().unwrap().success(), "{heard:#?}");
    Some(heard)
}

#[test]
fn python_sacn_understands_it() {
    let make = |target: &str| fed(sacn(target, quick(Look::plain(&labels(), 1))));
    let Some(heard) = understood("sacn", "sacn", make) else {
        return;
    };
    let has = |start: &str, part: &str| {
        heard
            .iter()
            .any(|line| line.starts_with(start) && line.contains(part))
    };
    assert!(has(r#"["the band", 77, 1, "#, r#""10": 255"#), "{heard:#?}");
    assert!(
        has(r#"["the band", 77, 1, {}]"#, ""),
        "dark at the end: {heard:#?}"
    );
    assert_eq!(heard.last().unwrap(), r#"["timeout", 1]"#);
}

#[test]
fn stupid_artnet_understands_it() {
    let make = |target: &str| fed(artnet(target, 0, quick(Look::plain(&labels(), 1))));
    let Some(heard) = understood("artnet", "stupidArtnet", make) else {
        return;
    };
    assert!(
        heard.iter().any(|line| line.contains(r#""10": 255"#)),
        "{heard:#?}"
    );
    assert_eq!(heard.last().unwrap(), "[0, {}]");
}

#[test]
fn a_look_file_is_checked_and_its_mistakes_are_told_by_line() {
    use support::{genrescope, stderr, stdout};
    let dir = tempfile::tempdir().unwrap();
    let example = stdout(&genrescope(&["looks", "example"], dir.path()));
    std::fs::write(dir.path().join("my.toml"), &example).unwrap();
    let output = genrescope(&["looks", "check", "my.toml"], dir.path());
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stderr(&output).is_empty(), "{}", stderr(&output));
    let text = stdout(&output);
    for line in [
        "metal",
        "then released",
        "score of reggae 2/10 from 0 to 255",
    ] {
        assert!(text.contains(line), "{line}: {text}");
    }
    let refused = |text: &str, args: &[&str]| {
        std::fs::write(dir.path().join("bad.toml"), text).unwrap();
        let output = genrescope(args, dir.path());
        assert_eq!(output.status.code(), Some(2));
        stderr(&output)
    };
    let check = ["looks", "check", "bad.toml"];
    let error = refused("[genre.rock.channels]\n1 = 300\n", &check);
    assert!(
        error.contains("bad.toml") && error.contains("line 2"),
        "{error}"
    );
    let error = refused("[genre.polka.channels]\n1 = 30\n", &check);
    assert!(
        error.contains("bad.toml") && error.contains("polka"),
        "{error}"
    );
    let listen = ["listen", "--input", "my.toml", "--look", "bad.toml"];
    let error = refused("", &listen);
    assert!(!error.is_empty());
}

/// Whoever ends the program leaves no lamp on, and what desks show as the source goes away.
#[cfg(unix)]
#[test]
fn a_program_that_is_told_to_end_ends_its_stream() {
    use std::io::Write as _;
    let (socket, target) = receiver();
    let dir = tempfile::tempdir().unwrap();
    let look = "[always.channels]\n7 = 99\n";
    std::fs::write(dir.path().join("my.toml"), look).unwrap();
    let args = [
        "listen",
        "--plain",
        "--input",
        "-",
        "--raw",
        "s16le:12000:1",
        "--sacn",
        &target,
        "--look",
        "my.toml",
        "--sacn-priority",
        "77",
        "--sacn-name",
        "the band",
    ];
    let mut child = support::command(&args, dir.path())
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut input = child.stdin.take().unwrap();
    input.write_all(&vec![0; 24_000]).unwrap();
    let lit = receive(&socket, E131::read, |all| {
        all.last().is_some_and(|p| p.frame[6] == 99)
    });
    assert!(lit.iter().all(|packet| !packet.terminated));
    let killed = Command::new("kill")
        .args(["-TERM", &child.id().to_string()])
        .status();
    assert!(killed.unwrap().success());
    let last = receive(&socket, E131::read, |all| {
        all.iter().filter(|packet| packet.terminated).count() == 3
    });
    assert!(
        last.last().unwrap().frame.iter().all(|value| *value == 0),
        "dark"
    );
    child.wait().unwrap();
    drop(input);
}
