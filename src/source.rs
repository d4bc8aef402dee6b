//! (see ARCHITECTURE.md)

pub mod synth;
