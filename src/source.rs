//! Where samples come from.

#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "file")]
pub mod library;
#[cfg(feature = "file")]
mod opus;
pub mod synth;
