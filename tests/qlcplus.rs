//! QLC+ itself, under Xvfb: what it is told by OSC, OS2L and sACN presses the buttons of docs/qlcplus.qxw, and their lamps come back from it by E1.31.
#![cfg(all(feature = "cli", target_os = "linux"))]
#![allow(
    clippy::unwrap_used,
    reason = "helpers of tests, too, may fail by panicking"
)]

#[path = "support/feeds.rs"]
mod fixtures;
#[path = "support/skip.rs"]
mod skip;

use std::{
    io::{BufRead as _, BufReader},
    net::{TcpListener, UdpSocket},
    path::Path,
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use fixtures::{fed, labels, readout, receiver};
use genrescope::{
    decision::State,
    sink::{
        Feeds,
        look::Look,
        map::Map,
        os2l::Os2lSink,
        osc::{OscConfig, OscSink},
        sacn::{SacnConfig, SacnSink},
    },
};

const PATIENCE: Duration = Duration::from_secs(120);

/// Ends with the test.
struct Program(Child);

impl Drop for Program {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A screen of its own, and how it is named.
fn screen() -> Option<(Program, String)> {
    let mut child = Command::new("Xvfb")
        .args(["-displayfd", "1", "-screen", "0", "800x600x24"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .ok()?;
    let out = child.stdout.take().unwrap();
    let screen = Program(child);
    let mut number = String::new();
    BufReader::new(out).read_line(&mut number).unwrap();
    Some((screen, format!(":{}", number.trim())))
}

/// QLC+'s number for a name: the checksum of ISO/IEC 3309.
fn channel_of(name: &str) -> u16 {
    let step = |crc: u16, _| crc >> 1 ^ if crc & 1 == 1 { 0x8408 } else { 0 };
    let crc = name.bytes().fold(0xffff, |crc: u16, byte| {
        (0..8).fold(crc ^ u16::from(byte), step)
    });
    !crc
}

/// The workspace of the documentation with another input, and lamps that come out at `to`.
fn workspace(input: &str, to: u16, channel: impl Fn(usize) -> u16) -> String {
    let plain = include_str!("../docs/qlcplus.qxw");
    let given = r#"<Input Plugin="OSC" UID="127.0.0.1" Line="0"/>"#;
    let output = format!(
        r#"<Output Plugin="E1.31" UID="127.0.0.1" Line="0"><PluginParameters multicast="0" ucastIP="127.0.0.1" ucastPort="{to}" universe="1" transmitMode="Full"/></Output>"#
    );
    assert!(plain.contains(given));
    let mut made = plain.replace(given, &format!("{input}{output}"));
    for (index, name) in labels().iter().enumerate() {
        let button = |channel: u16| format!(r#"<Input Universe="0" Channel="{channel}"/>"#);
        let as_given = button(channel_of(&format!("/genre/active/{name}")));
        assert!(made.contains(&as_given), "{name}");
        made = made.replace(&as_given, &button(channel(index)));
    }
    made
}

fn start(workspace: &str, dir: &Path, screen: &str) -> Program {
    std::fs::write(dir.join("test.qxw"), workspace).unwrap();
    let child = Command::new("qlcplus")
        .args(["--nowm", "--operate", "--open", "test.qxw"])
        .current_dir(dir)
        .env("HOME", dir)
        .env("DISPLAY", screen)
        .env_remove("WAYLAND_DISPLAY")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn();
    Program(child.unwrap())
}

/// Waits for these lamps, and no others. `remind` is called every second.
fn wait_for_lamps(from: &UdpSocket, what: &str, wanted: &[usize], mut remind: impl FnMut()) {
    let start = Instant::now();
    let mut reminded = start;
    let mut lit = Vec::new();
    let mut packet = [0; 700];
    while start.elapsed() < PATIENCE {
        // Until QLC+ has come up nothing is heard.
        if from.recv(&mut packet).is_ok_and(|length| length == 638) {
            lit = (1..=512)
                .filter(|&lamp| packet[125 + lamp] == 255)
                .collect();
            if lit == wanted && packet[126..].iter().all(|value| matches!(value, 0 | 255)) {
                return;
            }
        }
        if reminded.elapsed() > Duration::from_secs(1) {
            reminded = Instant::now();
            remind();
        }
    }
    panic!("{what}: {lit:?} instead of {wanted:?}");
}

#[test]
fn qlcplus_lights_the_lamp_of_the_genre_by_osc_os2l_and_sacn() {
    if !Command::new("qlcplus")
        .arg("--version")
        .env("QT_QPA_PLATFORM", "offscreen")
        .output()
        .is_ok_and(|output| output.status.success())
    {
        return skip::skip("qlcplus", "qlcplus is not installed");
    }
    let Some((_screen, screen)) = screen() else {
        return skip::skip("xvfb", "Xvfb is not installed");
    };
    let (lamps, at) = receiver();
    lamps
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let to = at.rsplit_once(':').unwrap().1.parse().unwrap();
    let names: Vec<String> = labels().iter().map(str::to_owned).collect();
    let by_name = |index: usize| channel_of(&names[index]);
    type Channels<'a> = &'a dyn Fn(usize) -> u16;
    type Make = fn(&str) -> Feeds;
    let by_address = |index: usize| channel_of(&format!("/genre/active/{}", names[index]));
    let in_order = |index: usize| index as u16;
    let feeds: [(&str, Channels<'_>, Make); 3] = [
        (
            r#"<Input Plugin="OSC" UID="127.0.0.1" Line="0"><PluginParameters inputPort="PORT"/></Input>"#,
            &by_address,
            |target| {
                let mut config = OscConfig::new(target);
                config.map = Map::preset("qlcplus").unwrap();
                fed(OscSink::new(config).unwrap())
            },
        ),
        (
            r#"<Input Plugin="OS2L" UID="OS2L line" Line="0"><PluginParameters hostPort="PORT"/></Input>"#,
            &by_name,
            |target| fed(Os2lSink::new(target).unwrap()),
        ),
        (
            r#"<Input Plugin="E1.31" UID="127.0.0.1" Line="0"><PluginParameters multicast="0" ucastPort="PORT" universe="1"/></Input>"#,
            &in_order,
            |target| {
                let config = SacnConfig {
                    target: target.into(),
                    priority: 90,
                    source_name: "test".into(),
                    interface: None,
                    look: Look::plain(&labels(), 1),
                };
                fed(SacnSink::new(config).unwrap())
            },
        ),
    ];
    for (input, channels, make) in feeds {
        let dir = tempfile::tempdir().unwrap();
        // Free for TCP, and most likely for UDP.
        let port = TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap()
            .port();
        let input = input.replace("PORT", &port.to_string());
        let _qlcplus = start(&workspace(&input, to, channels), dir.path(), &screen);
        wait_for_lamps(&lamps, &input, &[], || {});
        let mut feeds = make(&format!("127.0.0.1:{port}"));
        let mut seq = 0;
        let mut publish = |feeds: &mut Feeds, genre| {
            seq += 1;
            feeds.publish(&readout(seq, State::Live, genre));
        };
        publish(&mut feeds, Some(9));
        wait_for_lamps(&lamps, &input, &[10], || publish(&mut feeds, Some(9)));
        publish(&mut feeds, Some(0));
        wait_for_lamps(&lamps, &input, &[1], || publish(&mut feeds, Some(0)));
        drop(feeds);
        wait_for_lamps(&lamps, &input, &[], || {});
    }
}
