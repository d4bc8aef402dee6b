//! What hosts load: the functions by which they find the plugin. All else is in
//! `genrescope-plugin-core`.
//!
//! A crate of its own, because cargo optimises across crates (LTO) only where a package's library
//! is nothing but a dynamic one.

use genrescope_plugin_core::Genrescope;
use nice_plug::prelude::*;

nice_export_clap!(Genrescope);

/// What VST3 hosts look up, by the names that its definition gives for each system.
#[expect(
    unsafe_code,
    reason = "exported under names that no other library may have"
)]
mod vst3 {
    use std::ffi::c_void;

    use genrescope_plugin_core::{Genrescope, vst3::factory};
    use nice_plug::wrapper::setup_logger;

    #[unsafe(no_mangle)]
    extern "system" fn GetPluginFactory() -> *mut c_void {
        factory()
    }

    #[cfg(all(target_family = "unix", not(target_os = "macos")))]
    #[unsafe(no_mangle)]
    extern "C" fn ModuleEntry(_library: *mut c_void) -> bool {
        setup_logger::<Genrescope>();
        true
    }

    #[cfg(all(target_family = "unix", not(target_os = "macos")))]
    #[unsafe(no_mangle)]
    extern "C" fn ModuleExit() -> bool {
        true
    }

    #[cfg(target_os = "macos")]
    #[unsafe(no_mangle)]
    extern "C" fn bundleEntry(_bundle: *mut c_void) -> bool {
        setup_logger::<Genrescope>();
        true
    }

    #[cfg(target_os = "macos")]
    #[unsafe(no_mangle)]
    extern "C" fn bundleExit() -> bool {
        true
    }

    #[cfg(target_os = "windows")]
    #[unsafe(no_mangle)]
    extern "system" fn InitDll() -> bool {
        setup_logger::<Genrescope>();
        true
    }

    #[cfg(target_os = "windows")]
    #[unsafe(no_mangle)]
    extern "system" fn ExitDll() -> bool {
        true
    }
}
