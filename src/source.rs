//! Where samples come from.

#[cfg(feature = "capture")]
pub mod capture;
#[cfg(feature = "file")]
pub mod file;
#[cfg(feature = "file")]
pub mod library;
pub mod model_file;
pub mod opening;
#[cfg(feature = "file")]
mod opus;
#[cfg(feature = "synth")]
pub mod synth;

/// For the fuzz target: see [`opus`].
#[cfg(all(fuzzing, feature = "file"))]
#[doc(hidden)]
pub use opus::fuzz as fuzz_opus;
