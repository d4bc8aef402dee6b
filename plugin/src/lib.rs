//! What hosts load: the functions by which they find the plugin. All else is in `genrescope-plugin-core`.
//!
//! A crate of its own, because cargo optimises across crates (LTO) only where a package's library is nothing but a
//! dynamic one.

use genrescope_plugin_core::Genrescope;
use nice_plug::prelude::*;

nice_export_clap!(Genrescope);
nice_export_vst3!(Genrescope);
