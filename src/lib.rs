//! genrescope listens to music and says which genre it hears, live, and says so when it does not know.

// Tests may; the library hands errors on and leaves printing to the command line.
#![cfg_attr(
    not(test),
    warn(clippy::unwrap_used, clippy::print_stdout, clippy::print_stderr)
)]

#[cfg(feature = "cli")]
pub mod cli;
pub mod decision;
pub mod front_end;
pub mod genre;
pub mod network;
pub mod pipeline;
pub mod realtime;
pub mod sink;
pub mod song;
pub mod source;
pub mod statistics;
pub mod teach;
pub mod units;
pub mod window;
