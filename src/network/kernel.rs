//! Convolution 3 x 3, bias, max pool, ELU and requantisation in one pass: where nearly all of the
//! time of a network goes.
//!
//! A picture is `[column, row, channel]`: time is slowest, so that columns can be appended and
//! kept; channels are contiguous, so that the nine taps of a place are three runs of memory.
//! Integer blocks multiply `u8` activations by `i8` weights into `i32`. Each output channel has one
//! positive weight scale, so the maximum is taken of the integers, and scale, bias and ELU meet
//! only what the pool leaves. Nothing but the tile (a few places times a few channels, held in
//! registers) knows the processor:
//!
//! | [`Path`] | int8 | f32 |
//! |---|---|---|
//! | `Avx512Vnni` | `vpdpbusd`, 5 places x 64 channels | FMA, 5 x 64 |
//! | `AvxVnni` | `vpdpbusd`, 6 x 16 | FMA, 6 x 16 |
//! | `Avx2` | widened to 16 bits, `vpmaddwd` (`vpmaddubsw` saturates) | FMA, 6 x 16 |
//! | `NeonDot`, `Neon` | `sdot`, or `smull` and pairwise sums | FMA, 6 x 16 |
//! | `Portable` | plain Rust | plain Rust |
//!
//! Integer sums are the same on every path, bit for bit. What follows them is plain Rust without
//! fused operations, so an integer block gives the same bytes on every machine. Float blocks sum in
//! the same order everywhere but fuse where the processor can, except those whose output is
//! quantised ([`Convolution::float`] with an output quantisation): they never fuse, so that a
//! network of integers with a float first block is reproducible as a whole.

#![expect(
    clippy::inline_always,
    reason = "what is inlined is compiled for the instructions of the caller"
)]

use std::fmt;

use mobile::Cells;
pub(crate) use mobile::{
    AfterConvolution, Depthwise, Excitation, FusedMobileBlock, LastPool, MobileScratch, Pointwise,
    Stem,
};

#[cfg(target_arch = "aarch64")]
mod aarch64;
mod mobile;
mod portable;
#[cfg(test)]
mod tests;
#[cfg(target_arch = "x86_64")]
mod x86_64;

/// Rows and columns that a convolution looks at.
const KERNEL: usize = 3;
/// Most places in a tile.
const PLACES: usize = 6;
/// Output channels in a group.
const LANES: usize = 16;
/// Most groups in a tile.
const MAX_GROUPS: usize = 4;
/// Input channels that one integer instruction multiplies and adds.
const QUAD: usize = 4;

/// Which instructions a block is computed with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Path {
    /// Plain Rust, on every processor.
    Portable,
    /// x86-64 with AVX2 and FMA (Intel since 2013, AMD since 2015).
    Avx2,
    /// `Avx2` with AVX-VNNI (Intel since 2021, AMD since 2024).
    AvxVnni,
    /// x86-64 with AVX-512 F, BW, VL and VNNI.
    Avx512Vnni,
    /// 64-bit ARM.
    Neon,
    /// 64-bit ARM with the dot product of ARMv8.2.
    NeonDot,
}

impl Path {
    /// All paths, slowest first.
    pub const ALL: [Self; 6] = [
        Self::Portable,
        Self::Avx2,
        Self::Neon,
        Self::AvxVnni,
        Self::NeonDot,
        Self::Avx512Vnni,
    ];

    /// Whether this processor (and this build) has it.
    pub fn is_available(self) -> bool {
        match self {
            Self::Portable => true,
            #[cfg(target_arch = "x86_64")]
            Self::Avx2 => x86_64::Avx2::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::AvxVnni => x86_64::AvxVnni::detect().is_some(),
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => x86_64::Avx512Vnni::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::Neon => aarch64::Neon::detect().is_some(),
            #[cfg(target_arch = "aarch64")]
            Self::NeonDot => aarch64::NeonDot::detect().is_some(),
            #[allow(unreachable_patterns, reason = "every path of another architecture")]
            _ => false,
        }
    }

    /// Places in a tile.
    fn places(self) -> usize {
        match self {
            #[cfg(target_arch = "x86_64")]
            Self::Avx512Vnni => x86_64::Avx512Vnni::PLACES,
            _ => PLACES,
        }
    }

    /// The paths of this processor, slowest first.
    pub fn available() -> impl Iterator<Item = Self> {
        Self::ALL.into_iter().filter(|path| path.is_available())
    }

    /// The fastest path of this processor, or the one that the environment variable
    /// `GENRESCOPE_KERNEL` names (as displayed, `avx2` for example), if this processor has it: for
    /// tests and measurements.
    pub fn best() -> Self {
        let named = std::env::var("GENRESCOPE_KERNEL").ok();
        let named =
            Self::available().find(|path| named.as_deref() == Some(path.to_string().as_str()));
        named
            .or_else(|| Self::available().last())
            .unwrap_or(Self::Portable)
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Portable => "portable",
            Self::Avx2 => "avx2",
            Self::AvxVnni => "avx-vnni",
            Self::Avx512Vnni => "avx512-vnni",
            Self::Neon => "neon",
            Self::NeonDot => "neon-dot",
        })
    }
}

/// Extents of a block.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Shape {
    /// Rows (frequencies) of the input.
    pub rows: usize,
    /// Channels of the input.
    pub channels: usize,
    /// Channels of the output.
    pub filters: usize,
    /// Pool extents, frequency x time.
    pub pool: [usize; 2],
}

impl Shape {
    /// Rows of the output: what the pool leaves over is dropped.
    pub fn rows_out(self) -> usize {
        self.rows / self.pool[0]
    }

    /// Values in an input column.
    pub fn column_in(self) -> usize {
        self.rows * self.channels
    }

    /// Values in an output column.
    pub fn column_out(self) -> usize {
        self.rows_out() * self.filters
    }

    /// Input columns that make `columns` output columns: one neighbour at each side.
    pub fn columns_in(self, columns: usize) -> usize {
        columns * self.pool[1] + KERNEL - 1
    }

    /// Output columns that `columns_in` input columns make.
    pub fn columns_out(self, columns_in: usize) -> usize {
        columns_in.saturating_sub(KERNEL - 1) / self.pool[1]
    }

    /// Multiplications for an output column, without those that the pool drops.
    pub fn multiplications(self) -> usize {
        self.rows_out()
            * self.pool[0]
            * self.pool[1]
            * KERNEL
            * KERNEL
            * self.channels
            * self.filters
    }
}

/// How a tensor is held in `u8`: `value = scale * (q - zero)`, so that 0 is held exactly.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Quantisation {
    /// Value of one step, above 0.
    pub scale: f32,
    /// What holds the value 0.
    pub zero: u8,
}

impl Quantisation {
    /// For values from `low` to `high`; 0 is always in the range. What is not finite counts as 0.
    pub fn of_range(low: f32, high: f32) -> Self {
        let finite = |value: f32| {
            if value.is_finite() {
                value.clamp(-1e30, 1e30)
            } else {
                0.0
            }
        };
        let (low, high) = (finite(low).min(0.0), finite(high).max(0.0));
        let scale = ((high - low) / 255.0).max(1e-30);
        Self {
            scale,
            zero: (-low / scale).round().clamp(0.0, 255.0) as u8,
        }
    }

    /// The nearest step (ties to even, ends clamped).
    pub fn quantise(self, value: f32) -> u8 {
        quantise(value, 1.0 / self.scale, f32::from(self.zero))
    }

    /// The value of a step.
    pub fn dequantise(self, q: u8) -> f32 {
        self.scale * (f32::from(q) - f32::from(self.zero))
    }
}

/// Working memory of [`Convolution::run`], one for each thread. It grows at the first use by each
/// block and then stays.
#[derive(Clone, Debug, Default)]
pub struct Scratch {
    bytes: Vec<u8>,
    floats: Vec<f32>,
    integers: Vec<i32>,
    pooled: Vec<f32>,
}

/// Columns that a block reads.
#[derive(Clone, Copy, Debug)]
pub enum Input<'a> {
    /// Floats.
    F32(&'a [f32]),
    /// Steps of the block's input quantisation.
    U8(&'a [u8]),
}

/// Columns that a block writes.
#[derive(Debug)]
pub enum Output<'a> {
    /// Floats.
    F32(&'a mut [f32]),
    /// Steps of the block's output quantisation.
    U8(&'a mut [u8]),
}

/// Why [`Convolution::run`] did nothing.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mismatch;

impl fmt::Display for Mismatch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the columns handed to a convolution are not of its type or shape")
    }
}

impl std::error::Error for Mismatch {}

/// A block with packed weights: immutable, shared by all streams.
#[derive(Clone, Debug)]
pub struct Convolution {
    shape: Shape,
    path: Path,
    weights: PackedWeights,
    finish: Finish,
    plan: TilePlaces,
}

#[derive(Clone, Debug)]
enum PackedWeights {
    /// `[group][tap in time, tap in frequency, channel][LANES]`.
    F32(Vec<f32>),
    /// `[group][tap in time, (tap in frequency, channel) / QUAD][LANES][QUAD]`, and what holds zero
    /// in the input.
    I8 {
        weights: Vec<i8>,
        sums: Vec<i32>,
        zero: u8,
    },
}

/// From sums to outputs: `ELU((sum + correction) * multiplier + bias)`, quantised or not. One value
/// per lane.
#[derive(Clone, Debug)]
struct Finish {
    corrections: Vec<i32>,
    multipliers: Vec<f32>,
    biases: Vec<f32>,
    output: Option<Quantisation>,
}

/// Where the places of a tile lie: depends on the shape alone.
#[derive(Clone, Debug)]
struct TilePlaces {
    /// Channels in the padded copy of the input: a whole number of quads for integers.
    channels: usize,
    /// Output columns that are computed together.
    chunk: usize,
    /// For each place before the pool: where its nine taps begin in the padded copy, and which
    /// output row takes it (`output column * rows_out + row`).
    places: Vec<(u32, u32)>,
}

impl Convolution {
    /// A block of floats. `weights` are `[filters, channels, frequency, time]`; with `output`, what
    /// it writes is quantised.
    ///
    /// # Panics
    /// When an extent is zero or the lengths do not fit `shape`.
    pub fn float(
        path: Path,
        shape: Shape,
        weights: &[f32],
        bias: &[f32],
        output: Option<Quantisation>,
    ) -> Self {
        check(shape, weights.len(), bias.len());
        let path = usable(path);
        let lanes = shape.filters.next_multiple_of(LANES);
        let run = KERNEL * shape.channels;
        let mut packed = vec![0.0; lanes * KERNEL * run];
        for_each_weight(shape, |filter, tap, index, from| {
            let (group, lane) = (filter / LANES, filter % LANES);
            packed[((group * KERNEL + tap) * run + index) * LANES + lane] = weights[from];
        });
        Self {
            shape,
            path,
            weights: PackedWeights::F32(packed),
            finish: Finish {
                corrections: vec![0; lanes],
                multipliers: vec![1.0; lanes],
                biases: padded(bias, lanes),
                output,
            },
            plan: TilePlaces::new(shape, shape.channels, path),
        }
    }

    /// A block of integers. `weights` are `[filters, channels, frequency, time]`, worth
    /// `scales[filter]` a step (which must not be negative); `input` tells what the activations are
    /// worth; without `output` it writes floats.
    ///
    /// # Panics
    /// When an extent is zero or the lengths do not fit `shape`.
    pub fn integer(
        path: Path,
        shape: Shape,
        weights: (&[i8], &[f32]),
        bias: &[f32],
        input: Quantisation,
        output: Option<Quantisation>,
    ) -> Self {
        let (weights, scales) = weights;
        check(shape, weights.len(), bias.len());
        let path = usable(path);
        assert_eq!(scales.len(), shape.filters, "one scale per filter");
        let lanes = shape.filters.next_multiple_of(LANES);
        let plan = TilePlaces::new(shape, shape.channels.next_multiple_of(QUAD), path);
        let run = KERNEL * plan.channels;
        let mut packed = vec![0; lanes * KERNEL * run];
        let mut sums = vec![0_i32; lanes];
        for_each_weight(shape, |filter, tap, index, from| {
            let (group, lane) = (filter / LANES, filter % LANES);
            let index = index / shape.channels * plan.channels + index % shape.channels;
            let quad = (group * KERNEL + tap) * (run / QUAD) + index / QUAD;
            packed[(quad * LANES + lane) * QUAD + index % QUAD] = weights[from];
            sums[filter] += i32::from(weights[from]);
        });
        let multipliers: Vec<f32> = scales.iter().map(|scale| scale * input.scale).collect();
        Self {
            shape,
            path,
            finish: Finish {
                corrections: sums
                    .iter()
                    .map(|sum| -i32::from(input.zero) * sum)
                    .collect(),
                multipliers: padded(&multipliers, lanes),
                biases: padded(bias, lanes),
                output,
            },
            weights: PackedWeights::I8 {
                weights: packed,
                sums,
                zero: input.zero,
            },
            plan,
        }
    }

    /// Its extents.
    pub fn shape(&self) -> Shape {
        self.shape
    }

    /// Which instructions it is computed with.
    pub fn path(&self) -> Path {
        self.path
    }

    /// How it writes, if not in floats.
    pub fn output(&self) -> Option<Quantisation> {
        self.finish.output
    }

    /// Bytes of its packed weights and tables.
    pub fn size(&self) -> usize {
        let weights = match &self.weights {
            PackedWeights::F32(weights) => size_of_val(weights.as_slice()),
            PackedWeights::I8 { weights, sums, .. } => weights.len() + size_of_val(sums.as_slice()),
        };
        weights + size_of_val(self.plan.places.as_slice()) + 12 * self.finish.biases.len()
    }

    /// Computes all output columns of `input`, which begins with the column before the first and
    /// ends with the one after the last (of zeros, or of the zero of the quantisation, beyond the
    /// window). Rows are padded here. What of `input` makes no whole output column is ignored.
    ///
    /// # Errors
    /// [`Mismatch`] when a type or a length is not the block's; nothing is written then.
    pub fn run(
        &self,
        input: Input<'_>,
        mut output: Output<'_>,
        scratch: &mut Scratch,
    ) -> Result<(), Mismatch> {
        let (len_in, len_out) = match (&input, &output) {
            (Input::F32(input), Output::F32(output)) => (input.len(), output.len()),
            (Input::F32(input), Output::U8(output)) => (input.len(), output.len()),
            (Input::U8(input), Output::F32(output)) => (input.len(), output.len()),
            (Input::U8(input), Output::U8(output)) => (input.len(), output.len()),
        };
        let columns = self.shape.columns_out(len_in / self.shape.column_in());
        let fits = len_in.is_multiple_of(self.shape.column_in())
            && len_out == columns * self.shape.column_out();
        if !fits || matches!(output, Output::U8(_)) != self.finish.output.is_some() {
            return Err(Mismatch);
        }
        match (&self.weights, input) {
            (PackedWeights::F32(weights), Input::F32(input)) => {
                let job = Job {
                    convolution: self,
                    weights,
                    sums: &[],
                    pad: 0.0,
                    input,
                    columns,
                };
                let run = Run::<f32> {
                    job,
                    output: &mut output,
                    padded: &mut scratch.floats,
                    pooled: &mut scratch.pooled,
                };
                dispatch(self.path, run);
                Ok(())
            }
            (
                PackedWeights::I8 {
                    weights,
                    sums,
                    zero,
                },
                Input::U8(input),
            ) => {
                let job = Job {
                    convolution: self,
                    weights,
                    sums,
                    pad: *zero,
                    input,
                    columns,
                };
                let run = Run::<i32> {
                    job,
                    output: &mut output,
                    padded: &mut scratch.bytes,
                    pooled: &mut scratch.integers,
                };
                dispatch(self.path, run);
                Ok(())
            }
            _ => Err(Mismatch),
        }
    }
}

fn check(shape: Shape, weights: usize, bias: usize) {
    let Shape {
        rows,
        channels,
        filters,
        pool,
    } = shape;
    assert!(
        rows >= pool[0] && pool[0] > 0 && pool[1] > 0 && channels > 0 && filters > 0,
        "no extent is zero"
    );
    assert_eq!(
        weights,
        filters * channels * KERNEL * KERNEL,
        "as many weights as the shape says"
    );
    assert_eq!(bias, filters, "one bias per filter");
}

/// The path that was asked for, if this processor has it: what makes the unsafe code below it
/// sound.
fn usable(path: Path) -> Path {
    if path.is_available() {
        path
    } else {
        Path::Portable
    }
}

fn padded(values: &[f32], lanes: usize) -> Vec<f32> {
    let mut values = values.to_vec();
    values.resize(lanes, 0.0);
    values
}

/// Calls
/// `put(filter, tap in time, tap in frequency * channels + channel, index in the file's order)`.
fn for_each_weight(shape: Shape, mut put: impl FnMut(usize, usize, usize, usize)) {
    for filter in 0..shape.filters {
        for channel in 0..shape.channels {
            for frequency in 0..KERNEL {
                for time in 0..KERNEL {
                    let from =
                        ((filter * shape.channels + channel) * KERNEL + frequency) * KERNEL + time;
                    put(filter, time, frequency * shape.channels + channel, from);
                }
            }
        }
    }
}

impl TilePlaces {
    fn new(shape: Shape, channels: usize, path: Path) -> Self {
        let tile = path.places();
        let useful = shape.rows_out() * shape.pool[0];
        let per_column = useful * shape.pool[1];
        // Enough columns that the neighbours copied twice and the last, partly filled tile cost
        // little.
        let cost = |chunk: usize| {
            let places = chunk * per_column;
            let tiles = (places.div_ceil(tile) * tile) as f64 / places as f64;
            tiles + 0.1 / (chunk * shape.pool[1]) as f64
        };
        let chunk = (1..=6)
            .min_by(|&a, &b| cost(a).total_cmp(&cost(b)))
            .unwrap_or(1);
        let mut places = Vec::with_capacity(chunk * per_column);
        for column in 0..chunk * shape.pool[1] {
            for row in 0..useful {
                let from = (column * (shape.rows + KERNEL - 1) + row) * channels;
                let to = column / shape.pool[1] * shape.rows_out() + row / shape.pool[0];
                places.push((from as u32, to as u32));
            }
        }
        Self {
            channels,
            chunk,
            places,
        }
    }
}

/// One call of [`Convolution::run`].
struct Job<'a, T, W> {
    convolution: &'a Convolution,
    weights: &'a [W],
    sums: &'a [i32],
    pad: T,
    input: &'a [T],
    columns: usize,
}

/// What a tile is computed from.
#[derive(Clone, Copy)]
struct Tile<'a, T, W> {
    /// The padded input.
    input: &'a [T],
    /// Where in it the taps of each place begin.
    places: [usize; PLACES],
    /// Columns that are looked at: three, or one for a pointwise convolution.
    taps: usize,
    /// Values from one column to the next.
    column: usize,
    /// Values of the rows that are looked at: three neighbours, or one row.
    run: usize,
    /// Weights of the groups of the tile, one after the other.
    weights: &'a [W],
    /// Sum of the weights of each lane (integers only).
    #[cfg_attr(
        not(target_arch = "aarch64"),
        expect(dead_code, reason = "only ARM shifts its inputs")
    )]
    sums: &'a [i32],
    /// Whether products and sums may be fused (floats only).
    fused: bool,
}

impl<T, W> Tile<'_, T, W> {
    /// Whether everything that the taps of `groups` groups touch lies within the slices.
    #[inline(always)]
    fn is_sound(&self, groups: usize, weights_per_input: usize) -> bool {
        let last = self.places.iter().copied().max().unwrap_or(0);
        last.checked_add((self.taps - 1) * self.column + self.run)
            .is_some_and(|end| end <= self.input.len())
            && self.weights.len() >= groups * self.taps * self.run * weights_per_input
    }
}

/// Sums of a tile, `[place][lane]`, places `groups * LANES` apart.
type Sums<A> = [A; PLACES * MAX_GROUPS * LANES];

/// A set of instructions.
trait InstructionSet: Copy {
    /// Places in a tile.
    const PLACES: usize;
    /// Most groups in a tile.
    const GROUPS: usize;
    /// Integer sums of `groups` groups.
    fn integers(self, groups: usize, tile: &Tile<'_, u8, i8>, sums: &mut Sums<i32>);
    /// Float sums of `groups` groups.
    fn floats(self, groups: usize, tile: &Tile<'_, f32, f32>, sums: &mut Sums<f32>);
    /// A pointwise convolution with `groups` groups of its filters.
    #[inline(always)]
    fn cells(self, groups: usize, cells: &Cells<'_>, output: &mut [f32]) {
        cells.in_tiles(self, groups, output);
    }
    /// `a * b + c`, fused where that is an instruction.
    #[inline(always)]
    fn multiply_add(a: f32, b: f32, c: f32) -> f32 {
        a.mul_add(b, c)
    }
}

/// What is summed.
trait Sum: Copy + PartialOrd + 'static {
    type Input: Copy;
    type Weight;
    const LEAST: Self;
    const ZERO: Self;
    fn tile<E: InstructionSet>(
        engine: E,
        groups: usize,
        tile: &Tile<'_, Self::Input, Self::Weight>,
        sums: &mut Sums<Self>,
    );
    fn corrected(self, correction: i32) -> f32;
}

impl Sum for i32 {
    type Input = u8;
    type Weight = i8;
    const LEAST: Self = Self::MIN;
    const ZERO: Self = 0;

    #[inline(always)]
    fn tile<E: InstructionSet>(
        engine: E,
        groups: usize,
        tile: &Tile<'_, u8, i8>,
        sums: &mut Sums<Self>,
    ) {
        engine.integers(groups, tile, sums);
    }

    #[inline(always)]
    fn corrected(self, correction: i32) -> f32 {
        (self + correction) as f32
    }
}

impl Sum for f32 {
    type Input = Self;
    type Weight = Self;
    const LEAST: Self = Self::NEG_INFINITY;
    const ZERO: Self = 0.0;

    #[inline(always)]
    fn tile<E: InstructionSet>(
        engine: E,
        groups: usize,
        tile: &Tile<'_, Self, Self>,
        sums: &mut Sums<Self>,
    ) {
        engine.floats(groups, tile, sums);
    }

    #[inline(always)]
    fn corrected(self, _: i32) -> f32 {
        self
    }
}

/// Everything around the tile. It is inlined into a function per path, and so compiled for the
/// instructions of each.
#[inline(always)]
fn run<E: InstructionSet, A: Sum>(
    engine: E,
    job: &Job<'_, A::Input, A::Weight>,
    output: &mut Output<'_>,
    padded: &mut Vec<A::Input>,
    pooled: &mut Vec<A>,
) {
    let Convolution {
        shape,
        finish,
        plan,
        ..
    } = job.convolution;
    let rows = shape.rows + KERNEL - 1;
    let column = rows * plan.channels;
    let run = KERNEL * plan.channels;
    let lanes = finish.biases.len();
    let group_len = job.weights.len() / (lanes / LANES);
    let per_column = plan.places.len() / plan.chunk;
    let padded_len = shape.columns_in(plan.chunk) * column;
    let pooled_len = plan.chunk * shape.rows_out() * E::GROUPS * LANES;
    // `run` of another block may have left larger ones.
    if padded.len() < padded_len {
        padded.resize(padded_len, job.pad);
    }
    if pooled.len() < pooled_len {
        pooled.resize(pooled_len, A::ZERO);
    }
    let padded = &mut padded[..padded_len];
    padded.fill(job.pad);
    let mut sums: Sums<A> = [A::ZERO; PLACES * MAX_GROUPS * LANES];
    let mut first = 0;
    while first < job.columns {
        let columns = plan.chunk.min(job.columns - first);
        pad(
            shape,
            plan.channels,
            &job.input[first * shape.pool[1] * shape.column_in()..],
            columns,
            padded,
        );
        let places = &plan.places[..columns * per_column];
        let mut group = 0;
        while group * LANES < lanes {
            let groups = E::GROUPS.min(lanes / LANES - group);
            let width = groups * LANES;
            let pooled = &mut pooled[..columns * shape.rows_out() * width];
            pooled.fill(A::LEAST);
            let mut tile = Tile {
                input: padded,
                places: [0; PLACES],
                taps: KERNEL,
                column,
                run,
                weights: &job.weights[group * group_len..(group + groups) * group_len],
                sums: job.sums.get(group * LANES..).unwrap_or(&[]),
                fused: finish.output.is_none(),
            };
            for places in places.chunks(E::PLACES) {
                // The last tile of a chunk may be short: its last place is then computed more than
                // once.
                let last = places[places.len() - 1];
                for (index, from) in tile.places.iter_mut().enumerate() {
                    *from = places.get(index).unwrap_or(&last).0 as usize;
                }
                A::tile(engine, groups, &tile, &mut sums);
                for ((_, to), sums) in places.iter().zip(sums.chunks_exact(width)) {
                    let to = *to as usize * width;
                    for (best, &sum) in pooled[to..to + width].iter_mut().zip(sums) {
                        *best = if sum > *best { sum } else { *best };
                    }
                }
            }
            let lane = group * LANES;
            finish.write(shape, lane, pooled, width, first * shape.rows_out(), output);
            group += groups;
        }
        first += columns;
    }
}

/// Copies the columns that `columns` output columns rest on into the inner rows of `padded`, whose
/// outer rows hold zero.
#[inline(always)]
fn pad<T: Copy>(shape: &Shape, channels: usize, input: &[T], columns: usize, padded: &mut [T]) {
    let column = (shape.rows + KERNEL - 1) * channels;
    let from = input
        .chunks_exact(shape.column_in())
        .take(shape.columns_in(columns));
    for (from, to) in from.zip(padded.chunks_exact_mut(column)) {
        let to = &mut to[channels..channels + shape.rows * channels];
        if channels == shape.channels {
            to.copy_from_slice(from);
        } else {
            for (from, to) in from
                .chunks_exact(shape.channels)
                .zip(to.chunks_exact_mut(channels))
            {
                to[..shape.channels].copy_from_slice(from);
            }
        }
    }
}

impl Finish {
    /// Writes lanes from `lane` on of the output rows from `first` on.
    #[inline(always)]
    fn write<A: Sum>(
        &self,
        shape: &Shape,
        lane: usize,
        pooled: &[A],
        width: usize,
        first: usize,
        output: &mut Output<'_>,
    ) {
        let used = width.min(shape.filters - lane);
        let corrections = &self.corrections[lane..lane + used];
        let multipliers = &self.multipliers[lane..lane + used];
        let biases = &self.biases[lane..lane + used];
        let Quantisation { scale, zero } = self.output.unwrap_or(Quantisation {
            scale: 1.0,
            zero: 0,
        });
        let (steps, zero) = (1.0 / scale, f32::from(zero));
        for (row, sums) in pooled.chunks_exact(width).enumerate() {
            let start = (first + row) * shape.filters + lane;
            let each = sums.iter().zip(corrections).zip(multipliers).zip(biases);
            let each = each.map(|(((sum, &correction), multiplier), bias)| {
                sum.corrected(correction) * multiplier + bias
            });
            match output {
                Output::F32(output) => {
                    for (output, value) in output[start..start + used].iter_mut().zip(each) {
                        *output = elu(value);
                    }
                }
                Output::U8(output) => {
                    for (output, value) in output[start..start + used].iter_mut().zip(each) {
                        *output = quantise(elu(value), steps, zero);
                    }
                }
            }
        }
    }
}

/// Adding and subtracting it rounds to the nearest integer, ties to even, in a way that compilers
/// turn into vector code; its lowest bits are the integer.
const ROUND: f32 = 12_582_912.0;

/// `x` above 0, `exp(x) - 1` below, to 2e-7. Without branches, tables and fused operations: the
/// same bits everywhere.
#[inline(always)]
pub(crate) fn elu(value: f32) -> f32 {
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    let x = value.clamp(-87.0, 0.0);
    let shifted = x * std::f32::consts::LOG2_E + ROUND;
    let k = shifted - ROUND;
    let r = x - k * LN2_HIGH - k * LN2_LOW;
    // exp(r) - 1 on -0.35..0.35 by its Taylor series: the rest is below 1e-8.
    let tail = 1.0 / 6.0 + r * (1.0 / 24.0 + r * (1.0 / 120.0 + r * (1.0 / 720.0)));
    let expm1 = r + r * r * (0.5 + r * tail);
    let exponent = shifted
        .to_bits()
        .wrapping_sub(ROUND.to_bits())
        .wrapping_add(127);
    let power = f32::from_bits(exponent << 23);
    let below = power * expm1 + (power - 1.0);
    if value > 0.0 { value } else { below }
}

#[inline(always)]
#[expect(clippy::manual_clamp, reason = "NaN becomes 0, not NaN")]
fn quantise(value: f32, steps: f32, zero: f32) -> u8 {
    let scaled = (value * steps + zero).max(0.0).min(255.0);
    (scaled + ROUND).to_bits() as u8
}

/// Work whose inner loops are compiled once per set of instructions.
trait Task {
    /// Does it. To be inlined always: what is inlined is compiled for the instructions of the
    /// caller.
    fn perform<E: InstructionSet>(self, engine: E);
}

/// Performs a task by the instructions of `path`, if this processor has them.
fn dispatch(path: Path, task: impl Task) {
    #[cfg(target_arch = "x86_64")]
    match path {
        Path::Avx2 => {
            if let Some(engine) = x86_64::Avx2::detect() {
                return engine.perform(task);
            }
        }
        Path::AvxVnni => {
            if let Some(engine) = x86_64::AvxVnni::detect() {
                return engine.perform(task);
            }
        }
        Path::Avx512Vnni => {
            if let Some(engine) = x86_64::Avx512Vnni::detect() {
                return engine.perform(task);
            }
        }
        _ => {}
    }
    #[cfg(target_arch = "aarch64")]
    match path {
        Path::Neon => {
            if let Some(engine) = aarch64::Neon::detect() {
                return engine.perform(task);
            }
        }
        Path::NeonDot => {
            if let Some(engine) = aarch64::NeonDot::detect() {
                return engine.perform(task);
            }
        }
        _ => {}
    }
    let _ = path;
    task.perform(portable::Portable);
}

/// One call of [`Convolution::run`] with its memory.
struct Run<'a, 'b, A: Sum> {
    job: Job<'a, A::Input, A::Weight>,
    output: &'a mut Output<'b>,
    padded: &'a mut Vec<A::Input>,
    pooled: &'a mut Vec<A>,
}

impl<A: Sum> Task for Run<'_, '_, A> {
    #[inline(always)]
    fn perform<E: InstructionSet>(self, engine: E) {
        run(engine, &self.job, self.output, self.padded, self.pooled);
    }
}
