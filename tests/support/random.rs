//! Numbers without pattern, the same in every run: for every test and bench.
#![allow(dead_code, reason = "each program uses a part")]

use std::ops::RangeInclusive;

use rand::{Rng as _, RngExt as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

pub(crate) struct Random(Xoshiro256PlusPlus);

impl Random {
    pub(crate) fn new(seed: u64) -> Self {
        Self(Xoshiro256PlusPlus::seed_from_u64(seed))
    }

    pub(crate) fn byte(&mut self) -> u8 {
        (self.0.next_u64() >> 56) as u8
    }

    /// From 0 to 1.
    pub(crate) fn unit(&mut self) -> f32 {
        self.0.random()
    }

    /// From -1 to 1: a sample of white noise.
    pub(crate) fn sample(&mut self) -> f32 {
        2.0 * self.unit() - 1.0
    }

    /// So many samples of white noise.
    pub(crate) fn noise(&mut self, n: usize) -> Vec<f32> {
        (0..n).map(|_| self.sample()).collect()
    }

    /// From 0 to `n`, without it.
    pub(crate) fn below(&mut self, n: usize) -> usize {
        self.0.random_range(0..n)
    }

    pub(crate) fn within(&mut self, range: RangeInclusive<usize>) -> usize {
        self.0.random_range(range)
    }
}
