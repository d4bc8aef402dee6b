//! Feeds for browsers, homes and other programs: their options, and how each is made from them and the configuration.

use std::{path::PathBuf, sync::Arc};

use anyhow::Context as _;

use super::super::{Context, config::Listen};
use crate::{
    realtime::{Controls, Counters},
    sink::{
        Feeds, SinkRunner,
        http::{self, HttpConfig, HttpSink},
        secret::Secret,
    },
};

/// Options of these feeds.
#[derive(Clone, Debug, Default, clap::Args)]
pub struct FeedArgs {
    /// Show a page in the browser, at 127.0.0.1:8017 or at HOST, HOST:PORT or :PORT; /overlay is for OBS (docs/page.md).
    #[arg(long, value_name = "ADDR", num_args = 0..=1, default_missing_value = http::DEFAULT_ADDRESS, help_heading = "Page")]
    pub http: Option<String>,

    /// The first line of this file is the token that the page asks for; needed where others can reach it. Or the variable GENRESCOPE_HTTP_TOKEN.
    #[arg(long, value_name = "FILE", help_heading = "Page")]
    pub http_token_file: Option<PathBuf>,
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
        Ok(remarks)
    }

    fn page(
        &self,
        feeds: &Feeds,
        settings: &Listen,
        controls: &Arc<Controls>,
        counters: &Arc<Counters>,
    ) -> anyhow::Result<Option<HttpSink>> {
        let Some(address) = self.http.as_ref().or(settings.http.as_ref()) else {
            anyhow::ensure!(
                self.http_token_file.is_none(),
                "--http-token-file needs a page: --http, or listen.http in the configuration file"
            );
            return Ok(None);
        };
        let file = self.http_token_file.as_ref();
        let file = file.or(settings.http_token_file.as_ref());
        let config = HttpConfig {
            address: address.clone(),
            token: Secret::find("http", file.map(PathBuf::as_path), http::TOKEN_VARIABLE)?,
            names: machine_name().into_iter().collect(),
        };
        let (controls, counters) = (Arc::clone(controls), Arc::clone(counters));
        HttpSink::new(&config, feeds.hello(), controls, counters)
            .map(Some)
            .context("cannot show a page")
    }
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
