//! Filters whose outputs are summed side by side: with few taps, the way to each output and joining
//! its partial sums would cost more than the products.

/// Outputs that are summed side by side.
pub(super) const ABREAST: usize = 32;

/// Adds the product of one tap with the sample that each of the outputs sees at it.
#[inline]
pub(super) fn add_tap(sums: &mut [f32; ABREAST], samples: &[f32], tap: f32) {
    for (sum, sample) in sums.iter_mut().zip(samples) {
        *sum += tap * sample;
    }
}
