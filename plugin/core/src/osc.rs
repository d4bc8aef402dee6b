//! OSC from the plugin: the listener's own sink, behind its own bounded queue.

use std::net::SocketAddr;

use genrescope::{
    decision::Readout,
    genre::Labels,
    sink::{
        Feeds, Hello, SinkRunner,
        osc::{OscConfig, OscSink},
    },
};

/// Sends to one receiver while it is switched on.
#[derive(Debug)]
pub(crate) struct OscFeed {
    open: Option<Open>,
}

#[derive(Debug)]
struct Open {
    target: SocketAddr,
    model: String,
    feeds: Feeds,
}

impl OscFeed {
    /// Nothing is sent yet.
    pub(crate) fn new() -> Self {
        Self { open: None }
    }

    /// Is there a feed that goes on by itself?
    pub(crate) fn is_open(&self) -> bool {
        self.open.is_some()
    }

    /// Ends the feed: the receiver is told that nothing is shown any more.
    pub(crate) fn stop(&mut self) {
        self.open = None;
    }

    /// Sends a readout to `target`, opening the feed on the first call and whenever target or model
    /// have changed.
    ///
    /// # Errors
    /// A sentence for the user: the target cannot be used, or the last message could not be sent.
    pub(crate) fn send(
        &mut self,
        target: &str,
        model: &str,
        labels: &Labels,
        readout: &Readout,
    ) -> Result<(), String> {
        let target = parse_target(target)?;
        let fits = self.open.as_ref().is_some_and(|open| {
            open.target == target && open.model == model && open.feeds.hello().labels == *labels
        });
        if !fits {
            // First, so that the old receiver hears the end before the new one hears anything.
            self.open = None;
            self.open = Some(Open::new(target, model, labels)?);
        }
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        open.feeds.publish(readout);
        match open.feeds.runners().first().map(SinkRunner::stats) {
            Some(stats) if !stats.connected => stats.last_error.map_or(Ok(()), Err),
            _ => Ok(()),
        }
    }
}

impl Open {
    fn new(target: SocketAddr, model: &str, labels: &Labels) -> Result<Self, String> {
        let sink = OscSink::new(OscConfig::new(target.to_string())).map_err(|e| e.to_string())?;
        let mut feeds = Feeds::new(Hello::new(labels.clone(), "plugin", model));
        let runner = SinkRunner::spawn(Box::new(sink), feeds.hello()).map_err(|e| e.to_string())?;
        feeds.add(runner);
        Ok(Self {
            target,
            model: model.to_owned(),
            feeds,
        })
    }
}

/// An address and a port. Names are not looked up: a lookup can take many seconds, and the plugin
/// must be gone when the host says so.
pub(crate) fn parse_target(text: &str) -> Result<SocketAddr, String> {
    let text = text.trim();
    let numeric = match text.strip_prefix("localhost") {
        Some(rest) => format!("127.0.0.1{rest}"),
        None => text.to_owned(),
    };
    numeric.parse().map_err(|_| {
        format!(
            "'{text}' is not an address with a port, such as 127.0.0.1:9000 or 192.168.1.20:7700."
        )
    })
}

#[cfg(test)]
mod tests {
    use std::{net::UdpSocket, time::Duration};

    use genrescope::{decision::State, genre::Scores, units::Seconds};

    use super::*;

    #[test]
    fn targets_are_addresses_with_ports() {
        assert!(parse_target(" 127.0.0.1:9000 ").is_ok());
        assert!(parse_target("[::1]:9000").is_ok());
        assert_eq!(parse_target("localhost:7700").unwrap().port(), 7700);
        let error = parse_target("lights").unwrap_err();
        assert!(
            error.contains("'lights'") && error.contains("9000"),
            "{error}"
        );
    }

    #[test]
    fn a_receiver_hears_the_genre() {
        let receiver = UdpSocket::bind("127.0.0.1:0").unwrap();
        receiver
            .set_read_timeout(Some(Duration::from_secs(20)))
            .unwrap();
        let target = receiver.local_addr().unwrap().to_string();
        let labels = Labels::new(["polka", "waltz"]).unwrap();
        let scores = Scores::new(&[0.2, 0.8]);
        let readout = Readout {
            state: State::Live,
            reason: None,
            genre: Some(1),
            confidence: 0.8,
            scores,
            frame_scores: scores,
            music: None,
            level_dbfs: -12.0,
            position: Seconds(30.0),
            heard: Seconds(29.12),
            frames: 1,
            seq: 1,
            changed: true,
        };
        let mut feed = OscFeed::new();
        feed.send(&target, "test", &labels, &readout).unwrap();
        let mut heard = Vec::new();
        let mut buffer = [0; 1024];
        while !heard.iter().any(|address| address == "/genre/score/waltz") {
            let n = receiver.recv(&mut buffer).expect("a message within 20 s");
            let end = buffer[..n].iter().position(|&byte| byte == 0).unwrap();
            heard.push(String::from_utf8_lossy(&buffer[..end]).into_owned());
        }
        assert!(
            heard.iter().any(|address| address == "/genre/active/waltz"),
            "{heard:?}"
        );
    }
}
