//! Finds the library that cargo built for these tests and makes the bundles that hosts load.
#![allow(
    unreachable_pub,
    dead_code,
    reason = "shared by tests that use different parts of it"
)]

use std::{
    env, fs,
    path::{Path, PathBuf},
};

/// The plugin's dynamic library. Cargo builds it beside the test, because the package's library is also a `cdylib`.
pub(crate) fn library() -> PathBuf {
    let name = format!(
        "{}genrescope_plugin{}",
        env::consts::DLL_PREFIX,
        env::consts::DLL_SUFFIX
    );
    let test = env::current_exe().expect("the test knows its own path");
    let deps = test.parent().expect("a file lies in a folder");
    [deps.join(&name), deps.join("..").join(&name)]
        .into_iter()
        .find(|path| path.is_file())
        .unwrap_or_else(|| panic!("{name} is neither in {} nor above it", deps.display()))
}

/// `genrescope.clap` in `folder`.
pub(crate) fn clap(folder: &Path) -> PathBuf {
    let bundle = folder.join("genrescope.clap");
    fs::copy(library(), &bundle).expect("the bundle can be written");
    bundle
}

/// `genrescope.vst3` in `folder`, laid out as Linux hosts expect it.
pub(crate) fn vst3(folder: &Path) -> PathBuf {
    let bundle = folder.join("genrescope.vst3");
    let place = bundle
        .join("Contents")
        .join(format!("{}-linux", env::consts::ARCH));
    fs::create_dir_all(&place).expect("the bundle can be written");
    fs::copy(library(), place.join("genrescope.so")).expect("the bundle can be written");
    bundle
}

/// Numbers without pattern, the same in every run (SplitMix64, Steele, Lea and Flood 2014).
#[derive(Clone, Debug)]
pub(crate) struct Random(pub u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// From -1 to 1.
    pub(crate) fn sample(&mut self) -> f32 {
        (self.next() >> 40) as f32 / (1 << 23) as f32 - 1.0
    }

    pub(crate) fn within(&mut self, range: std::ops::RangeInclusive<usize>) -> usize {
        range.start() + (self.next() as usize) % (range.end() - range.start() + 1)
    }
}
