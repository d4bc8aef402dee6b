//! genrescope listens to music and says which genre it hears, live, and says so when it does not know.

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
