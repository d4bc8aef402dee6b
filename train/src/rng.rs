//! Random numbers that depend on a seed and a place, never on the order of calls between places: a
//! run that was killed and resumed, or that runs on another number of threads, draws the same ones.

use rand::{Rng as _, SeedableRng as _, rngs::Xoshiro256PlusPlus};

/// A stream of random numbers.
#[derive(Clone, Debug)]
pub struct Rng(Xoshiro256PlusPlus);

/// One step of SplitMix64.
fn split_mix(state: &mut u64) -> u64 {
    *state = state.wrapping_add(0x9e37_79b9_7f4a_7c15);
    let mut z = *state;
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

impl Rng {
    /// The stream that belongs to `seed` and `place` (for example: what for, step, position in the
    /// batch).
    pub fn at(seed: u64, place: &[u64]) -> Self {
        let mut mixed = seed ^ 0x6a09_e667_f3bc_c908;
        for &part in place {
            mixed = split_mix(&mut mixed) ^ part.wrapping_mul(0xd6e8_feb8_6659_fd93);
        }
        Self(Xoshiro256PlusPlus::seed_from_u64(mixed))
    }

    /// 64 random bits.
    pub fn bits(&mut self) -> u64 {
        self.0.next_u64()
    }

    /// Uniform in 0..1 (1 excluded).
    pub fn uniform(&mut self) -> f32 {
        (self.bits() >> 40) as f32 / (1u64 << 24) as f32
    }

    /// Uniform between `low` and `high`.
    pub fn between(&mut self, low: f32, high: f32) -> f32 {
        low + (high - low) * self.uniform()
    }

    /// Uniform over 0..`n`; 0 when `n` is 0.
    pub fn below(&mut self, n: usize) -> usize {
        ((u128::from(self.bits()) * n as u128) >> 64) as usize
    }

    /// True with probability `p`.
    pub fn chance(&mut self, p: f32) -> bool {
        self.uniform() < p
    }

    /// Normal with mean 0 and standard deviation 1 (Box and Muller).
    pub fn normal(&mut self) -> f32 {
        let radius = (-2.0 * (1.0 - self.uniform()).ln()).sqrt();
        radius * (std::f32::consts::TAU * self.uniform()).cos()
    }

    /// Gamma with shape `alpha` > 0 and scale 1 (Marsaglia and Tsang 2000).
    pub fn gamma(&mut self, alpha: f64) -> f64 {
        if alpha < 1.0 {
            let u = f64::from(1.0 - self.uniform());
            return self.gamma(alpha + 1.0) * u.powf(1.0 / alpha);
        }
        let d = alpha - 1.0 / 3.0;
        let c = 1.0 / (9.0 * d).sqrt();
        loop {
            let x = f64::from(self.normal());
            let v = (1.0 + c * x).powi(3);
            let u = f64::from(1.0 - self.uniform());
            if v > 0.0 && u.ln() < 0.5 * x * x + d - d * v + d * v.ln() {
                return d * v;
            }
        }
    }

    /// Beta with both parameters `alpha`: the weight of mixup.
    pub fn beta(&mut self, alpha: f64) -> f32 {
        let (a, b) = (self.gamma(alpha), self.gamma(alpha));
        if a + b > 0.0 {
            (a / (a + b)) as f32
        } else {
            0.5
        }
    }

    /// Puts `items` into a random order.
    pub fn shuffle<T>(&mut self, items: &mut [T]) {
        for last in (1..items.len()).rev() {
            items.swap(last, self.below(last + 1));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_right() {
        let mut rng = Rng::at(1, &[2, 3]);
        let n = 20_000;
        let normal: Vec<f32> = (0..n).map(|_| rng.normal()).collect();
        let mean = normal.iter().sum::<f32>() / n as f32;
        let var = normal.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n as f32;
        assert!(
            mean.abs() < 0.03 && (var - 1.0).abs() < 0.05,
            "{mean} {var}"
        );
        let beta: Vec<f32> = (0..n).map(|_| rng.beta(0.3)).collect();
        let mean = beta.iter().sum::<f32>() / n as f32;
        // Variance of Beta(a, a) is 1 / (4 (2 a + 1)).
        let var = beta.iter().map(|x| (x - mean).powi(2)).sum::<f32>() / n as f32;
        assert!(
            (mean - 0.5).abs() < 0.01 && (var - 1.0 / 6.4).abs() < 0.005,
            "{mean} {var}"
        );
    }

    #[test]
    fn places_have_streams_of_their_own() {
        let first = |place: &[u64]| Rng::at(7, place).bits();
        // What was drawn for published figures can be drawn again.
        assert_eq!(first(&[1, 2]), 0x4d16_a011_fbd1_9519);
        assert_eq!(first(&[1, 2]), first(&[1, 2]));
        assert_ne!(first(&[1, 2]), first(&[2, 1]));
        assert_ne!(first(&[1, 2]), first(&[1, 2, 0]));
    }
}
