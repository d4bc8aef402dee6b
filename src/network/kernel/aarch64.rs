//! Tiles for 64-bit ARM. Each type is a proof that the processor has what it names: only `detect`
//! makes one.
//!
//! ARM multiplies signed by signed, so activations are shifted by 128 (a flip of their highest
//! bit), and 128 times the sum of the weights, which is what that takes away, is what the sums
//! begin with.
#![expect(
    unsafe_code,
    reason = "instructions of one processor family, and loads whose bounds are checked once per tile"
)]
#![expect(
    clippy::wildcard_imports,
    reason = "every vector type and instruction of the family"
)]

use std::{
    arch::{aarch64::*, asm, is_aarch64_feature_detected},
    array,
};

use super::{InstructionSet, LANES, PLACES, QUAD, Sums, Task, Tile};

/// Vectors of four values in a group.
const QUARTERS: usize = LANES / 4;

/// NEON and the dot product of ARMv8.2.
#[derive(Clone, Copy)]
pub(super) struct NeonDot(());

/// NEON.
#[derive(Clone, Copy)]
pub(super) struct Neon(());

macro_rules! engine {
    ($name:ident, [$($feature:tt),*], $enable:literal, $dot:literal) => {
        impl $name {
            pub(super) fn detect() -> Option<Self> {
                ($(is_aarch64_feature_detected!($feature))&&*).then_some(Self(()))
            }

            /// The task, compiled for these instructions.
            pub(super) fn perform(self, task: impl Task) {
                #[target_feature(enable = $enable)]
                fn inner(engine: $name, task: impl Task) {
                    task.perform(engine);
                }
                // SAFETY: `self` exists, so the processor has these features.
                unsafe { inner(self, task) }
            }
        }

        impl InstructionSet for $name {
            const PLACES: usize = PLACES;
            const GROUPS: usize = 1;

            #[inline(always)]
            fn integers(self, _: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
                #[inline(never)]
                #[target_feature(enable = $enable)]
                fn inner(tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
                    // SAFETY: the features that `integers` asks for are those of this function.
                    unsafe { integers::<$dot>(tile, sums) }
                }
                // SAFETY: `self` exists, so the processor has these features.
                unsafe { inner(tile, sums) }
            }

            #[inline(always)]
            fn floats(self, _: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
                // SAFETY: `self` exists, so the processor has NEON.
                unsafe { if tile.fused { floats::<true>(tile, sums) } else { floats::<false>(tile, sums) } }
            }
        }
    };
}

engine!(NeonDot, ["neon", "dotprod"], "neon,dotprod", true);
engine!(Neon, ["neon"], "neon", false);

/// # Safety
/// The processor must have NEON, and with `DOT` its dot product.
#[inline(always)]
unsafe fn integers<const DOT: bool>(tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
    assert!(tile.is_sound(1, LANES) && tile.sums.len() >= LANES);
    let quads = tile.run / QUAD;
    // SAFETY: by the assertion, the taps of every place lie within `input`, those of the group
    // within `weights`, and `sums` holds the sums of a group; reads of quads need no alignment, and
    // the caller promises the instructions.
    unsafe {
        let start: [int32x4_t; QUARTERS] = array::from_fn(|quarter| {
            vshlq_n_s32::<7>(vld1q_s32(tile.sums.as_ptr().add(quarter * 4)))
        });
        let mut totals = [start; PLACES];
        for tap in 0..tile.taps {
            let inputs = tile
                .places
                .map(|place| tile.input.as_ptr().add(place + tap * tile.column));
            let weights = tile.weights.as_ptr().add(tap * quads * LANES * QUAD);
            for quad in 0..quads {
                let weights: [int8x16_t; QUARTERS] = array::from_fn(|quarter| {
                    vld1q_s8(weights.add((quad * QUARTERS + quarter) * 16))
                });
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input = vdupq_n_s32(input.add(quad * QUAD).cast::<i32>().read_unaligned());
                    let input = veorq_s8(vreinterpretq_s8_s32(input), vdupq_n_s8(i8::MIN));
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = if DOT {
                            dot(*total, weights, input)
                        } else {
                            widened(*total, weights, input)
                        };
                    }
                }
            }
        }
        for (place, totals) in totals.iter().enumerate() {
            for (quarter, total) in totals.iter().enumerate() {
                vst1q_s32(
                    sums[place * LANES + quarter * 4..][..4].as_mut_ptr(),
                    *total,
                );
            }
        }
    }
}

/// `total[i] + a[4 i] * b[4 i] + .. + a[4 i + 3] * b[4 i + 3]`. (The intrinsic is not stable yet.)
///
/// # Safety
/// The processor must have the dot product.
#[inline(always)]
unsafe fn dot(mut total: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: registers only, and the caller promises the instruction.
    unsafe {
        asm!(
            ".arch_extension dotprod",
            "sdot {total:v}.4s, {a:v}.16b, {b:v}.16b",
            total = inout(vreg) total,
            a = in(vreg) a,
            b = in(vreg) b,
            options(pure, nomem, nostack, preserves_flags)
        );
    }
    total
}

/// As [`dot`]. A product is at most 128 * 127, so that 16 bits hold it.
///
/// # Safety
/// The processor must have NEON.
#[inline(always)]
unsafe fn widened(total: int32x4_t, a: int8x16_t, b: int8x16_t) -> int32x4_t {
    // SAFETY: the caller promises the instructions.
    unsafe {
        let low = vpaddlq_s16(vmull_s8(vget_low_s8(a), vget_low_s8(b)));
        let high = vpaddlq_s16(vmull_high_s8(a, b));
        vaddq_s32(total, vpaddq_s32(low, high))
    }
}

#[inline(never)]
#[target_feature(enable = "neon")]
fn floats<const FUSED: bool>(tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
    assert!(tile.is_sound(1, LANES));
    let mut totals = [[vdupq_n_f32(0.0); QUARTERS]; PLACES];
    for tap in 0..tile.taps {
        // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of the group
        // within `weights`.
        unsafe {
            let inputs = tile
                .places
                .map(|place| tile.input.as_ptr().add(place + tap * tile.column));
            let weights = tile.weights.as_ptr().add(tap * tile.run * LANES);
            for index in 0..tile.run {
                let weights: [float32x4_t; QUARTERS] =
                    array::from_fn(|quarter| vld1q_f32(weights.add(index * LANES + quarter * 4)));
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input = vdupq_n_f32(*input.add(index));
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = if FUSED {
                            vfmaq_f32(*total, input, weights)
                        } else {
                            vaddq_f32(*total, vmulq_f32(input, weights))
                        };
                    }
                }
            }
        }
    }
    for (place, totals) in totals.iter().enumerate() {
        for (quarter, total) in totals.iter().enumerate() {
            let to = &mut sums[place * LANES + quarter * 4..][..4];
            // SAFETY: `to` holds 4 floats; the store needs no alignment.
            unsafe { vst1q_f32(to.as_mut_ptr(), *total) }
        }
    }
}
