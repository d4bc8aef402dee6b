//! Tiles in plain Rust: what the other paths must equal.

use super::{InstructionSet, LANES, PLACES, QUAD, Sums, Tile};

#[derive(Clone, Copy)]
pub(super) struct Portable;

impl InstructionSet for Portable {
    const PLACES: usize = PLACES;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn integers(self, _: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
        for (sums, &place) in sums
            .as_chunks_mut::<LANES>()
            .0
            .iter_mut()
            .take(PLACES)
            .zip(&tile.places)
        {
            let mut total = [0_i32; LANES];
            let mut weights = tile.weights.as_chunks::<{ LANES * QUAD }>().0.iter();
            for tap in 0..tile.taps {
                let start = place + tap * tile.column;
                for (input, weights) in tile.input[start..start + tile.run]
                    .as_chunks::<QUAD>()
                    .0
                    .iter()
                    .zip(&mut weights)
                {
                    for (total, weights) in total.iter_mut().zip(weights.as_chunks::<QUAD>().0) {
                        for (&input, &weight) in input.iter().zip(weights) {
                            *total += i32::from(input) * i32::from(weight);
                        }
                    }
                }
            }
            *sums = total;
        }
    }

    #[inline(always)]
    fn floats(self, _: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
        for (sums, &place) in sums
            .as_chunks_mut::<LANES>()
            .0
            .iter_mut()
            .take(PLACES)
            .zip(&tile.places)
        {
            let mut total = [0.0_f32; LANES];
            let mut weights = tile.weights.as_chunks::<LANES>().0.iter();
            for tap in 0..tile.taps {
                let start = place + tap * tile.column;
                for (&input, weights) in
                    tile.input[start..start + tile.run].iter().zip(&mut weights)
                {
                    for (total, &weight) in total.iter_mut().zip(weights) {
                        *total += input * weight;
                    }
                }
            }
            *sums = total;
        }
    }

    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        // Fused it would be a call of the system's library.
        a * b + c
    }
}
