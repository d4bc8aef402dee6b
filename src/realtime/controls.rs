//! What the user can change of a stream that runs.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

use std::sync::atomic::{AtomicBool, AtomicU32, Ordering};

use atomic_float::AtomicF64;

use crate::{
    decision::{Preset, average::Mean},
    units::Seconds,
};

/// What the user can change while it runs. All methods are lock-free and safe on any thread, the
/// audio thread included.
#[derive(Debug)]
pub struct Controls {
    resets: AtomicU32,
    hold: AtomicBool,
    /// NaN until it is set.
    averaging: AtomicF64,
    /// 0 until it is set, 1 arithmetic, 2 geometric.
    mean: AtomicU32,
    /// 0 until it is set, or one more than its place in [`Preset::ALL`].
    restlessness: AtomicU32,
    /// Of averaging, mean and restlessness.
    averaging_changes: AtomicU32,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            resets: AtomicU32::new(0),
            hold: AtomicBool::new(false),
            averaging: AtomicF64::new(f64::NAN),
            mean: AtomicU32::new(0),
            restlessness: AtomicU32::new(0),
            averaging_changes: AtomicU32::new(0),
        }
    }
}

impl Controls {
    /// Forget the average.
    pub fn reset(&self) {
        self.resets.fetch_add(1, Ordering::Relaxed);
    }
    /// Hold the readout.
    pub fn set_hold(&self, hold: bool) {
        self.hold.store(hold, Ordering::Relaxed);
    }
    /// Is it held?
    pub fn hold(&self) -> bool {
        self.hold.load(Ordering::Relaxed)
    }
    /// Time constant of the running average; NaN is ignored, negative is 0.
    pub fn set_averaging(&self, time: Seconds) {
        if !time.0.is_nan() && self.averaging() != Some(time) {
            self.averaging.store(time.0.max(0.0), Ordering::Relaxed);
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// The time constant that was set last; `None` while the pipeline's default holds.
    pub fn averaging(&self) -> Option<Seconds> {
        let time = self.averaging.load(Ordering::Relaxed);
        (!time.is_nan()).then_some(Seconds(time))
    }
    /// How frame scores become one.
    pub fn set_mean(&self, mean: Mean) {
        let code = match mean {
            Mean::Arithmetic => 1,
            Mean::Geometric => 2,
        };
        if self.mean.swap(code, Ordering::Relaxed) != code {
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// The mean that was set last; `None` while the pipeline's default holds.
    pub fn mean(&self) -> Option<Mean> {
        match self.mean.load(Ordering::Relaxed) {
            1 => Some(Mean::Arithmetic),
            2 => Some(Mean::Geometric),
            _ => None,
        }
    }
    /// How restless the answer is: how long another genre must lead, and how sure a first guess
    /// must be.
    pub fn set_restlessness(&self, preset: Preset) {
        let code = preset as u32 + 1;
        if self.restlessness.swap(code, Ordering::Relaxed) != code {
            self.averaging_changes.fetch_add(1, Ordering::Release);
        }
    }
    /// What was set last; `None` while the pipeline's own holds.
    pub fn restlessness(&self) -> Option<Preset> {
        let code = self.restlessness.load(Ordering::Relaxed) as usize;
        code.checked_sub(1)
            .and_then(|index| Preset::ALL.get(index).copied())
    }
    pub(super) fn averaging_changes(&self) -> u32 {
        self.averaging_changes.load(Ordering::Acquire)
    }
    pub(super) fn resets(&self) -> u32 {
        self.resets.load(Ordering::Relaxed)
    }
}
