//! Feeds for browsers, homes and other programs: their options, and how each is made from them and
//! the configuration.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;

use super::super::{Context, config::Listen};
use crate::{
    realtime::{Controls, Counters},
    sink::{
        Feeds, SinkRunner,
        exec::ExecSink,
        http::{self, HttpConfig, HttpSink, Seen},
        mqtt::{self, MqttConfig, MqttSink},
        secret::Secret,
        text::{self, TextSink},
    },
};

/// Options of these feeds.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FeedArgs {
    /// Show a page in the browser, at 127.0.0.1:8017 or at HOST, HOST:PORT or :PORT; /overlay is
    /// for OBS (docs/feeds/page.md).
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = http::DEFAULT_ADDRESS, help_heading = "Page")]
    pub http: Option<String>,

    /// The first line of this file is the token that the page asks for; needed where others can
    /// reach it. Or the variable GENRESCOPE_HTTP_TOKEN.
    #[arg(long, value_name = "FILE", help_heading = "Page")]
    pub http_token_file: Option<PathBuf>,

    /// Also tell this broker, mqtt://[USER@]HOST[:PORT][/PREFIX] or mqtts:// for TLS; Home
    /// Assistant finds it by itself (docs/feeds/mqtt.md).
    #[arg(long, value_name = "URL", help_heading = "MQTT")]
    pub mqtt: Option<String>,

    /// The first line of this file is the broker's password. Or the variable
    /// GENRESCOPE_MQTT_PASSWORD.
    #[arg(long, value_name = "FILE", help_heading = "MQTT")]
    pub mqtt_password_file: Option<PathBuf>,

    /// The certificate (PEM) that vouches for the broker, instead of the system's.
    #[arg(long, value_name = "FILE", help_heading = "MQTT")]
    pub mqtt_ca: Option<PathBuf>,

    /// Where Home Assistant looks, or 'off' [default: homeassistant].
    #[arg(long, value_name = "PREFIX", help_heading = "MQTT")]
    pub mqtt_discovery: Option<String>,

    /// Keep the genre as one line in this file, for OBS, Butt or radio automation; empty while none
    /// is named.
    #[arg(long, value_name = "FILE", help_heading = "Other programs")]
    pub text: Option<PathBuf>,

    /// What the line says: {genre}, {confidence}, {state} and {source} are filled in [default:
    /// {genre}].
    #[arg(long, value_name = "LINE", help_heading = "Other programs")]
    pub text_format: Option<String>,

    /// Run this command when the genre changes: GENRESCOPE_GENRE and more stand in its environment.
    /// No shell reads it.
    #[arg(long, value_name = "CMD", help_heading = "Other programs")]
    pub exec: Option<String>,

    /// JSON Lines for every program that connects to this Unix socket.
    #[cfg(unix)]
    #[arg(long, value_name = "PATH", help_heading = "Other programs")]
    pub socket: Option<PathBuf>,
}

impl FeedArgs {
    /// Starts what is asked for; returns what the user should know of it.
    pub(super) fn add_to(
        &self,
        feeds: &mut Feeds,
        context: &Context,
        controls: &Arc<Controls>,
        counters: &Arc<Counters>,
    ) -> anyhow::Result<Vec<String>> {
        let mut remarks = Vec::new();
        let settings = &context.config.listen;
        if let Some(sink) = self.page(feeds, settings, controls, counters)? {
            remarks.push(format!("the page is at {}", sink.url()));
            feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
        }
        if let Some(sink) = self.mqtt(settings)? {
            feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
        }
        let format = self.text_format.as_ref().or(settings.text_format.as_ref());
        if let Some(path) = self.text.as_ref().or(settings.text.as_ref()) {
            let sink = TextSink::new(path, format.map_or(text::DEFAULT_FORMAT, String::as_str))?;
            feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
        } else {
            needs(
                self.text_format.is_some(),
                "--text-format",
                "a file: --text FILE",
            )?;
        }
        if let Some(command) = self.exec.as_ref().or(settings.exec.as_ref()) {
            let sink = ExecSink::new(command)?;
            feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
        }
        #[cfg(unix)]
        if let Some(path) = self.socket.as_ref().or(settings.socket.as_ref()) {
            let sink = crate::sink::socket::SocketSink::new(path)?;
            feeds.add(SinkRunner::spawn(Box::new(sink), feeds.hello())?);
        }
        Ok(remarks)
    }

    fn mqtt(&self, settings: &Listen) -> anyhow::Result<Option<MqttSink>> {
        let Some(url) = self.mqtt.as_ref().or(settings.mqtt.as_ref()) else {
            for (option, given) in [
                ("--mqtt-password-file", self.mqtt_password_file.is_some()),
                ("--mqtt-ca", self.mqtt_ca.is_some()),
                ("--mqtt-discovery", self.mqtt_discovery.is_some()),
            ] {
                needs(given, option, "a broker: --mqtt URL")?;
            }
            return Ok(None);
        };
        let file = self.mqtt_password_file.as_ref();
        let file = file.or(settings.mqtt_password_file.as_ref());
        let discovery = self.mqtt_discovery.as_ref();
        let discovery = discovery.or(settings.mqtt_discovery.as_ref());
        let discovery = discovery.map_or(mqtt::DEFAULT_DISCOVERY, String::as_str);
        let password = Secret::find("mqtt", file.map(PathBuf::as_path), mqtt::PASSWORD_VARIABLE)?;
        let config = MqttConfig {
            url: url.clone(),
            password,
            ca: self.mqtt_ca.clone().or_else(|| settings.mqtt_ca.clone()),
            discovery: (discovery != "off").then(|| discovery.to_owned()),
            id: machine_name().unwrap_or_default(),
        };
        Ok(Some(MqttSink::new(&config)?))
    }

    fn page(
        &self,
        feeds: &Feeds,
        settings: &Listen,
        controls: &Arc<Controls>,
        counters: &Arc<Counters>,
    ) -> anyhow::Result<Option<HttpSink>> {
        let Some(address) = self.http.as_ref().or(settings.http.as_ref()) else {
            let given = self.http_token_file.is_some();
            needs(given, "--http-token-file", "a page: --http")?;
            return Ok(None);
        };
        let file = self.http_token_file.as_ref();
        let file = file.or(settings.http_token_file.as_ref());
        let config = HttpConfig {
            address: address.clone(),
            token: Secret::find("http", file.map(PathBuf::as_path), http::TOKEN_VARIABLE)?,
            names: machine_name().into_iter().collect(),
        };
        let seen = Seen {
            controls: Arc::clone(controls),
            counters: Arc::clone(counters),
            feeds: feeds.ledger(),
        };
        HttpSink::new(&config, feeds.hello(), seen)
            .map(Some)
            .context("cannot show a page")
    }
}

/// An option that does nothing by itself.
fn needs(given: bool, option: &str, what: &str) -> anyhow::Result<()> {
    anyhow::ensure!(
        !given,
        "{option} needs {what}, or the same in the configuration file"
    );
    Ok(())
}

/// What this machine is called in its network.
fn machine_name() -> Option<String> {
    #[cfg(unix)]
    let name = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    #[cfg(not(unix))]
    let name = std::env::var("COMPUTERNAME").ok()?;
    // Names with a domain are known without it, too.
    let name = name.split('.').next()?.to_lowercase();
    (!name.is_empty()).then_some(name)
}
