//! Tiles for x86-64. Each type is a proof that the processor has what it names: only `detect` makes
//! one.
#![expect(
    unsafe_code,
    reason = "instructions of one processor family, and loads whose bounds are checked once per tile"
)]
#![allow(
    clippy::wildcard_imports,
    reason = "every vector type and instruction of the family"
)]

use std::{arch::x86_64::*, array};

use super::{
    AfterConvolution, Cells, InstructionSet, LANES, MAX_GROUPS, PLACES, QUAD, Sums, Task, Tile,
};

/// Places in a tile of 32 registers: with four groups 20 sums, 4 registers of weights, and one for
/// each place. (With six places the compiler loads them all first and spills; measured, that costs
/// a tenth.)
const PLACES_512: usize = 5;

/// AVX-512 F, BW, VL and VNNI.
#[derive(Clone, Copy)]
pub(super) struct Avx512Vnni(());

/// AVX2, FMA and AVX-VNNI.
#[derive(Clone, Copy)]
pub(super) struct AvxVnni(());

/// AVX2 and FMA.
#[derive(Clone, Copy)]
pub(super) struct Avx2(());

macro_rules! engine {
    ($name:ident, [$($feature:tt),*], $enable:literal) => {
        impl $name {
            pub(super) fn detect() -> Option<Self> {
                ($(is_x86_feature_detected!($feature))&&*).then_some(Self(()))
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
    };
}

engine!(
    Avx512Vnni,
    ["avx512f", "avx512bw", "avx512vl", "avx512vnni"],
    "avx512f,avx512bw,avx512vl,avx512vnni"
);
engine!(AvxVnni, ["avx2", "fma", "avxvnni"], "avx2,fma,avxvnni");
engine!(Avx2, ["avx2", "fma"], "avx2,fma");

impl InstructionSet for Avx512Vnni {
    const PLACES: usize = PLACES_512;
    const GROUPS: usize = MAX_GROUPS;

    #[inline(always)]
    fn integers(self, groups: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
        // SAFETY: `self` exists, so the processor has AVX-512 F and VNNI.
        unsafe {
            match groups {
                1 => integers_512::<1>(tile, sums),
                2 => integers_512::<2>(tile, sums),
                3 => integers_512::<3>(tile, sums),
                _ => integers_512::<4>(tile, sums),
            }
        }
    }

    #[inline(always)]
    fn floats(self, groups: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
        // SAFETY: `self` exists, so the processor has AVX-512 F.
        unsafe {
            match (groups, tile.fused) {
                (1, true) => floats_512::<1, true>(tile, sums),
                (2, true) => floats_512::<2, true>(tile, sums),
                (3, true) => floats_512::<3, true>(tile, sums),
                (_, true) => floats_512::<4, true>(tile, sums),
                (1, false) => floats_512::<1, false>(tile, sums),
                (2, false) => floats_512::<2, false>(tile, sums),
                (3, false) => floats_512::<3, false>(tile, sums),
                (_, false) => floats_512::<4, false>(tile, sums),
            }
        }
    }

    #[inline(always)]
    fn cells(self, groups: usize, cells: &Cells<'_>, output: &mut [f32]) {
        // SAFETY: `self` exists, so the processor has AVX-512 F.
        unsafe {
            match groups {
                1 => cells_512::<1, 12>(cells, output),
                2 => cells_512::<2, 10>(cells, output),
                3 => cells_512::<3, 7>(cells, output),
                _ => cells_512::<4, PLACES_512>(cells, output),
            }
        }
    }
}

impl InstructionSet for AvxVnni {
    const PLACES: usize = PLACES;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn integers(self, _: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
        // SAFETY: `self` exists, so the processor has AVX2 and AVX-VNNI.
        unsafe { integers_vnni_256(tile, sums) }
    }

    #[inline(always)]
    fn floats(self, _: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
        // SAFETY: `self` exists, so the processor has AVX2 and FMA.
        unsafe {
            if tile.fused {
                floats_256::<true>(tile, sums);
            } else {
                floats_256::<false>(tile, sums);
            }
        }
    }
}

impl InstructionSet for Avx2 {
    const PLACES: usize = PLACES;
    const GROUPS: usize = 1;

    #[inline(always)]
    fn integers(self, _: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
        // SAFETY: `self` exists, so the processor has AVX2.
        unsafe { integers_256(tile, sums) }
    }

    #[inline(always)]
    fn floats(self, _: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
        // SAFETY: `self` exists, so the processor has AVX2 and FMA.
        unsafe {
            if tile.fused {
                floats_256::<true>(tile, sums);
            } else {
                floats_256::<false>(tile, sums);
            }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
fn integers_512<const G: usize>(tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
    assert!(tile.is_sound(G, LANES));
    let quads = tile.run / QUAD;
    let group = tile.taps * quads * LANES * QUAD;
    let mut totals = [[_mm512_setzero_si512(); G]; PLACES_512];
    for tap in 0..tile.taps {
        // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of every
        // group within `weights`; reads of quads need no alignment.
        unsafe {
            let inputs: [_; PLACES_512] = array::from_fn(|place| {
                tile.input
                    .as_ptr()
                    .add(tile.places[place] + tap * tile.column)
            });
            let weights = tile.weights.as_ptr().add(tap * quads * LANES * QUAD);
            for quad in 0..quads {
                let weights: [__m512i; G] = array::from_fn(|g| {
                    _mm512_loadu_si512(weights.add(g * group + quad * LANES * QUAD).cast())
                });
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input =
                        _mm512_set1_epi32(input.add(quad * QUAD).cast::<i32>().read_unaligned());
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = _mm512_dpbusd_epi32(*total, input, weights);
                    }
                }
            }
        }
    }
    for (place, totals) in totals.iter().enumerate() {
        for (g, total) in totals.iter().enumerate() {
            let to = &mut sums[(place * G + g) * LANES..][..LANES];
            // SAFETY: `to` holds 16 integers; the store needs no alignment.
            unsafe { _mm512_storeu_si512(to.as_mut_ptr().cast(), *total) }
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
fn floats_512<const G: usize, const FUSED: bool>(tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
    assert!(tile.is_sound(G, LANES));
    let group = tile.taps * tile.run * LANES;
    let mut totals = [[_mm512_setzero_ps(); G]; PLACES_512];
    for tap in 0..tile.taps {
        // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of every
        // group within `weights`.
        unsafe {
            let inputs: [_; PLACES_512] = array::from_fn(|place| {
                tile.input
                    .as_ptr()
                    .add(tile.places[place] + tap * tile.column)
            });
            let weights = tile.weights.as_ptr().add(tap * tile.run * LANES);
            for index in 0..tile.run {
                let weights: [__m512; G] =
                    array::from_fn(|g| _mm512_loadu_ps(weights.add(g * group + index * LANES)));
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input = _mm512_set1_ps(*input.add(index));
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = if FUSED {
                            _mm512_fmadd_ps(input, weights, *total)
                        } else {
                            _mm512_add_ps(*total, _mm512_mul_ps(input, weights))
                        };
                    }
                }
            }
        }
    }
    for (place, totals) in totals.iter().enumerate() {
        for (g, total) in totals.iter().enumerate() {
            let to = &mut sums[(place * G + g) * LANES..][..LANES];
            // SAFETY: `to` holds 16 floats; the store needs no alignment.
            unsafe { _mm512_storeu_ps(to.as_mut_ptr(), *total) }
        }
    }
}

/// A pointwise convolution of `G` groups of filters, `P` cells at a time: with few channels what a
/// tile costs is its way through memory, so bias and activation meet the sums in their registers.
#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline(never)]
fn cells_512<const G: usize, const P: usize>(cells: &Cells<'_>, output: &mut [f32]) {
    match cells.activation {
        AfterConvolution::Linear => activated_512::<G, P>(cells, output, |value| value),
        AfterConvolution::Relu => {
            let zero = _mm512_setzero_ps();
            activated_512::<G, P>(cells, output, |value| _mm512_max_ps(value, zero));
        }
        AfterConvolution::HardSwish => {
            let (zero, three, six) = (
                _mm512_setzero_ps(),
                _mm512_set1_ps(3.0),
                _mm512_set1_ps(6.0),
            );
            let sixth = _mm512_set1_ps(1.0 / 6.0);
            activated_512::<G, P>(cells, output, |value| {
                let gate = _mm512_max_ps(_mm512_add_ps(value, three), zero);
                _mm512_mul_ps(_mm512_mul_ps(value, _mm512_min_ps(gate, six)), sixth)
            });
        }
    }
}

#[target_feature(enable = "avx512f,avx512bw,avx512vl,avx512vnni")]
#[inline]
fn activated_512<const G: usize, const P: usize>(
    cells: &Cells<'_>,
    output: &mut [f32],
    activate: impl Fn(__m512) -> __m512,
) {
    assert!(cells.is_sound(G, output));
    let (channels, n) = (cells.channels, cells.len());
    // Lanes of the last group that are written.
    let mask = (u32::MAX >> (32 - (cells.used - (G - 1) * LANES))) as u16;
    // SAFETY: by `is_sound`, `G` groups of biases and, for every channel, of weights lie in their
    // slices; a cell is looked at only below `n`, and written where `is_sound` has seen the last
    // one.
    unsafe {
        let biases: [__m512; G] =
            array::from_fn(|g| _mm512_loadu_ps(cells.biases.as_ptr().add(g * LANES)));
        let group = channels * LANES;
        let (mut row, mut start) = (0, cells.layout.offset);
        let jump = cells.layout.column - cells.layout.rows * cells.filters;
        let mut cell = 0;
        while cell < n {
            let inputs: [_; P] = array::from_fn(|place| {
                let place = (cell + place).min(n - 1);
                cells.input.as_ptr().add(place * channels)
            });
            let mut totals = [[_mm512_setzero_ps(); G]; P];
            for channel in 0..channels {
                let weights: [__m512; G] = array::from_fn(|g| {
                    _mm512_loadu_ps(cells.weights.as_ptr().add(g * group + channel * LANES))
                });
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input = _mm512_set1_ps(*input.add(channel));
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = _mm512_fmadd_ps(input, weights, *total);
                    }
                }
            }
            for totals in totals.iter().take(n - cell) {
                let to = output.as_mut_ptr().add(start);
                for (g, (total, bias)) in totals.iter().zip(biases).enumerate() {
                    let value = activate(_mm512_add_ps(*total, bias));
                    let to = to.add(g * LANES);
                    if g + 1 < G {
                        _mm512_storeu_ps(to, value);
                    } else {
                        _mm512_mask_storeu_ps(to, mask, value);
                    }
                }
                row += 1;
                start += cells.filters;
                if row == cells.layout.rows {
                    row = 0;
                    start += jump;
                }
            }
            cell += P;
        }
    }
}

#[target_feature(enable = "avx2,fma,avxvnni")]
#[inline(never)]
fn integers_vnni_256(tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
    assert!(tile.is_sound(1, LANES));
    let quads = tile.run / QUAD;
    let mut totals = [[_mm256_setzero_si256(); 2]; PLACES];
    for tap in 0..tile.taps {
        // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of the group
        // within `weights`; reads of quads need no alignment.
        unsafe {
            let inputs = tile
                .places
                .map(|place| tile.input.as_ptr().add(place + tap * tile.column));
            let weights = tile.weights.as_ptr().add(tap * quads * LANES * QUAD);
            for quad in 0..quads {
                let weights = load_pair(weights.add(quad * LANES * QUAD));
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input =
                        _mm256_set1_epi32(input.add(quad * QUAD).cast::<i32>().read_unaligned());
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = _mm256_dpbusd_avx_epi32(*total, input, weights);
                    }
                }
            }
        }
    }
    for (place, totals) in totals.iter().enumerate() {
        store_pair(&mut sums[place * LANES..], *totals);
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn integers_256(tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>) {
    // Sixteen registers hold the sums of three places.
    const HALF: usize = PLACES / 2;
    assert!(tile.is_sound(1, LANES));
    let quads = tile.run / QUAD;
    let low = _mm256_set1_epi16(0xff);
    for half in 0..2 {
        let mut totals = [[_mm256_setzero_si256(); 2]; HALF];
        for tap in 0..tile.taps {
            // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of the
            // group within `weights`; reads of quads need no alignment.
            unsafe {
                let inputs: [*const u8; HALF] = array::from_fn(|place| {
                    tile.input
                        .as_ptr()
                        .add(tile.places[half * HALF + place] + tap * tile.column)
                });
                let weights = tile.weights.as_ptr().add(tap * quads * LANES * QUAD);
                for quad in 0..quads {
                    let weights = load_pair(weights.add(quad * LANES * QUAD));
                    let even = weights
                        .map(|weights| _mm256_srai_epi16::<8>(_mm256_slli_epi16::<8>(weights)));
                    let odd = weights.map(|weights| _mm256_srai_epi16::<8>(weights));
                    for (totals, input) in totals.iter_mut().zip(inputs) {
                        let input = _mm256_set1_epi32(
                            input.add(quad * QUAD).cast::<i32>().read_unaligned(),
                        );
                        let (input_even, input_odd) =
                            (_mm256_and_si256(input, low), _mm256_srli_epi16::<8>(input));
                        for (total, (even, odd)) in totals.iter_mut().zip(even.into_iter().zip(odd))
                        {
                            let even = _mm256_madd_epi16(input_even, even);
                            let odd = _mm256_madd_epi16(input_odd, odd);
                            *total = _mm256_add_epi32(*total, _mm256_add_epi32(even, odd));
                        }
                    }
                }
            }
        }
        for (place, totals) in totals.iter().enumerate() {
            store_pair(&mut sums[(half * HALF + place) * LANES..], *totals);
        }
    }
}

#[target_feature(enable = "avx2,fma")]
#[inline(never)]
fn floats_256<const FUSED: bool>(tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>) {
    assert!(tile.is_sound(1, LANES));
    let mut totals = [[_mm256_setzero_ps(); 2]; PLACES];
    for tap in 0..tile.taps {
        // SAFETY: by `is_sound`, the taps of every place lie within `input` and those of the group
        // within `weights`.
        unsafe {
            let inputs = tile
                .places
                .map(|place| tile.input.as_ptr().add(place + tap * tile.column));
            let weights = tile.weights.as_ptr().add(tap * tile.run * LANES);
            for index in 0..tile.run {
                let weights = weights.add(index * LANES);
                let weights = [
                    _mm256_loadu_ps(weights),
                    _mm256_loadu_ps(weights.add(LANES / 2)),
                ];
                for (totals, input) in totals.iter_mut().zip(inputs) {
                    let input = _mm256_set1_ps(*input.add(index));
                    for (total, weights) in totals.iter_mut().zip(weights) {
                        *total = if FUSED {
                            _mm256_fmadd_ps(input, weights, *total)
                        } else {
                            _mm256_add_ps(*total, _mm256_mul_ps(input, weights))
                        };
                    }
                }
            }
        }
    }
    for (place, totals) in totals.iter().enumerate() {
        for (half, total) in totals.iter().enumerate() {
            let to = &mut sums[place * LANES + half * LANES / 2..][..LANES / 2];
            // SAFETY: `to` holds 8 floats; the store needs no alignment.
            unsafe { _mm256_storeu_ps(to.as_mut_ptr(), *total) }
        }
    }
}

/// The weights of a quad of input channels, for 8 lanes each.
///
/// # Safety
/// 64 bytes must be readable from `weights` on.
#[target_feature(enable = "avx2")]
unsafe fn load_pair(weights: *const i8) -> [__m256i; 2] {
    // SAFETY: as the caller promises; the loads need no alignment.
    unsafe {
        [
            _mm256_loadu_si256(weights.cast()),
            _mm256_loadu_si256(weights.add(LANES * QUAD / 2).cast()),
        ]
    }
}

#[target_feature(enable = "avx2")]
fn store_pair(sums: &mut [i32], totals: [__m256i; 2]) {
    for (to, total) in sums[..LANES].chunks_exact_mut(LANES / 2).zip(totals) {
        // SAFETY: `to` holds 8 integers; the store needs no alignment.
        unsafe { _mm256_storeu_si256(to.as_mut_ptr().cast(), total) }
    }
}
