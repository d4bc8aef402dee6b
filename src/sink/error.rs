//! Why a feed cannot work, in words for the person who reads them.

use std::{io, net::IpAddr};

use thiserror::Error;

/// Why a feed could not be started, or could not deliver.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SinkError {
    /// The receiver has ended and wants nothing more (a closed pipe): the feed ends quietly.
    #[error("the receiver of {feed} has ended")]
    Closed {
        /// Name of the feed.
        feed: String,
    },
    /// The receiver cannot be reached now; the runner tries again.
    #[error("{}", unreachable_words(.feed, .target, .source))]
    Unreachable {
        /// Name of the feed.
        feed: String,
        /// Address or path.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A setting that can never work.
    #[error("{feed}: {what} '{value}' is not usable: {why}")]
    Setting {
        /// Name of the feed.
        feed: &'static str,
        /// Which setting.
        what: &'static str,
        /// Its value.
        value: String,
        /// Why not, and what would be.
        why: String,
    },
    /// An address that reaches many machines, which was not allowed.
    #[error(
        "{feed}: '{address}' is a multicast or broadcast address; give each receiver's own address"
    )]
    Multicast {
        /// Name of the feed.
        feed: &'static str,
        /// The address.
        address: IpAddr,
    },
    /// What was written did not arrive, such as on a full disk; it is tried again.
    #[error("cannot write {target}: {source}")]
    Write {
        /// What is written, and where to.
        target: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Standard output takes nothing more. There is no other: the feed is over.
    #[error("cannot write standard output: {source}")]
    StandardOutput {
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// A file could not be opened.
    #[error("cannot open '{path}': {source}{hint}")]
    File {
        /// The file.
        path: String,
        /// What the system said.
        #[source]
        source: io::Error,
        /// What to do, beginning with a space, or nothing.
        hint: &'static str,
    },
    /// The system gave no thread.
    #[error("cannot start the thread of {feed}: {source}")]
    Thread {
        /// Name of the feed.
        feed: String,
        /// What the system said.
        #[source]
        source: io::Error,
    },
}

impl SinkError {
    /// No try will be better.
    pub(super) fn is_final(&self) -> bool {
        matches!(
            self,
            Self::Setting { .. } | Self::Multicast { .. } | Self::StandardOutput { .. }
        )
    }
}

fn unreachable_words(feed: &str, target: &str, source: &io::Error) -> String {
    if source.kind() == io::ErrorKind::ConnectionRefused {
        format!("nobody listens at {target} ({feed}); it is tried again")
    } else {
        format!("{feed}: cannot reach {target}: {source}")
    }
}
