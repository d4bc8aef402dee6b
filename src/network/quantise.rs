//! From a model of floats to one that is computed in integers.
//!
//! Weights round to int8 by themselves; what blocks hand to each other must be watched on real
//! music first, to know which range 8 bits have to hold.
//!
//! ```
//! # use genrescope::network::{Bundle, ModelError, quantise::Calibration};
//! # fn quantise(bundle: &Bundle, frames: &[Vec<f32>]) -> Result<Vec<u8>, ModelError> {
//! let mut calibration = Calibration::new(bundle)?;
//! for frame in frames {
//!     calibration.observe(frame); // [columns, mels], in dB, as the front end gives them
//! }
//! let file = calibration.quantised().write()?;
//! # Ok(file)
//! # }
//! ```

use super::{
    Model, Network,
    bundle::{Bundle, ModelError, Weights},
};

/// Bins of a histogram for each unit: finer than a step of 8 bits for ranges above 4.
const BINS_PER_UNIT: f32 = 64.0;
/// Lowest output of an ELU.
const LOWEST: f32 = -1.0;
/// Bins: from -1 to 255. What lies above counts as 255.
const BINS: usize = 256 * 64;

/// Share of a block's outputs that its range holds; the rest is clipped to its upper end. With all
/// of them, a rare peak would coarsen every step.
pub const SHARE: f64 = 0.9999;

/// Watches the outputs of a model's blocks.
#[derive(Debug)]
pub struct Calibration {
    bundle: Bundle,
    network: Network,
    blocks: Vec<Histogram>,
}

#[derive(Clone, Debug)]
struct Histogram {
    bins: Vec<u64>,
    n: u64,
    low: f32,
    high: f32,
}

impl Calibration {
    /// For the f32 form of `bundle`; ranges it has are forgotten.
    ///
    /// # Errors
    /// [`ModelError`] when the model cannot be built.
    pub fn new(bundle: &Bundle) -> Result<Self, ModelError> {
        let mut bundle = bundle.dequantised();
        bundle
            .tensors
            .retain(|name, _| name.strip_suffix(".range").is_none() || name.starts_with("trust."));
        let network = Network::new(&Model::from_bundle(&bundle)?);
        let blocks = vec![Histogram::new(); bundle.card.architecture.blocks.len()];
        Ok(Self {
            bundle,
            network,
            blocks,
        })
    }

    /// Runs a frame of shape `[n_columns, n_mels]`, in dB, and notes what the blocks put out. Too
    /// short a frame counts for nothing. A few hundred frames of every genre are plenty.
    pub fn observe(&mut self, frame: &[f32]) {
        if self.network.score_frame(frame).is_none() {
            return;
        }
        let Some(frame) = &self.network.frame else {
            return;
        };
        for (index, histogram) in self.blocks.iter_mut().enumerate() {
            frame
                .1
                .output(index)
                .into_iter()
                .for_each(|value| histogram.count(value));
        }
    }

    /// Lowest and highest value that 8 bits should hold, for each block. `None` before the first
    /// frame.
    pub fn ranges(&self) -> Option<Vec<(f32, f32)>> {
        self.blocks.iter().map(Histogram::range).collect()
    }

    /// The model in int8 ([`Bundle::quantised`]) with the ranges; without ranges if nothing was
    /// observed, which means that it is computed in f32.
    pub fn quantised(&self) -> Bundle {
        let mut bundle = self.bundle.quantised();
        for (index, (low, high)) in self.ranges().into_iter().flatten().enumerate() {
            if let Ok(range) = Weights::new(&[2], vec![low, high]) {
                bundle
                    .tensors
                    .insert(format!("block{}.range", index + 1), range);
            }
        }
        bundle
    }
}

impl Histogram {
    fn new() -> Self {
        Self {
            bins: vec![0; BINS],
            n: 0,
            low: 0.0,
            high: 0.0,
        }
    }

    fn count(&mut self, value: f32) {
        if value.is_finite() {
            let bin = ((value - LOWEST) * BINS_PER_UNIT).clamp(0.0, (BINS - 1) as f32);
            self.bins[bin as usize] += 1;
            self.n += 1;
            self.low = self.low.min(value);
            self.high = self.high.max(value);
        }
    }

    /// 0 is always in it, and it is never empty.
    fn range(&self) -> Option<(f32, f32)> {
        let wanted = (SHARE * self.n as f64).ceil() as u64;
        let mut counted = 0;
        let bin = self.bins.iter().position(|bin| {
            counted += bin;
            counted >= wanted
        })?;
        let share = LOWEST + (bin + 1) as f32 / BINS_PER_UNIT;
        let high = if bin + 1 == BINS {
            self.high
        } else {
            share.min(self.high)
        };
        (self.n > 0).then_some((self.low, high.max(1.0 / BINS_PER_UNIT)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_range_leaves_out_rare_peaks_only() {
        let mut histogram = Histogram::new();
        assert_eq!(histogram.range(), None);
        (0..100_000).for_each(|index| histogram.count(index as f32 * 3e-5 - 1.0));
        histogram.count(f32::NAN);
        let (low, high) = histogram.range().unwrap();
        assert_eq!(low, -1.0);
        assert!((1.97..=2.0).contains(&high), "{high}");
        (0..5).for_each(|_| histogram.count(1_000.0));
        assert!(histogram.range().unwrap().1 <= 2.0);
        (0..100).for_each(|_| histogram.count(1_000.0));
        assert_eq!(histogram.range().unwrap().1, 1_000.0);
    }
}
