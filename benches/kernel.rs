//! The fused convolution block by itself: every block of both networks, on every path of this
//! processor, beside the peak of the same thread.
//!
//! `cargo bench -p genrescope --no-default-features --bench kernel` first prints a table
//! (milliseconds of processor time for a whole frame, the rate, and its share of the peak, best of
//! several), then times the blocks with divan.
#![expect(
    unsafe_code,
    reason = "the peak is measured with the instructions themselves"
)]
#![expect(
    clippy::wildcard_imports,
    reason = "every vector type and instruction of the family"
)]
#![expect(clippy::print_stdout, reason = "a benchmark prints what it measured")]

#[path = "../tests/support/random.rs"]
mod random;

use std::{hint::black_box, time::Instant};

use genrescope::network::{
    Architecture,
    kernel::{Convolution, Input, Output, Path, Quantisation, Scratch, Shape},
};
use random::Random;

fn main() {
    table();
    divan::main();
}

/// A block with random weights and an input for a whole frame.
struct Case {
    convolution: Convolution,
    columns: usize,
    floats: Vec<f32>,
    bytes: Vec<u8>,
    output_floats: Vec<f32>,
    output_bytes: Vec<u8>,
    scratch: Scratch,
}

impl Case {
    fn new(architecture: &Architecture, index: usize, path: Path, integers: bool) -> Self {
        let quantisation = Quantisation::of_range(-1.0, 4.0);
        let below = index.checked_sub(1);
        let block = architecture.blocks[index];
        let shape = Shape {
            rows: below.map_or(96, |below| architecture.rows(below, 96)),
            channels: below.map_or(1, |below| architecture.blocks[below].filters),
            filters: block.filters,
            pool: block.pool,
        };
        let columns = architecture.frame_columns_of(index);
        let mut random = Random::new(1);
        let mut byte = move || random.byte();
        let output = (integers && index + 1 < architecture.blocks.len()).then_some(quantisation);
        let weights: Vec<i8> = (0..shape.filters * shape.channels * 9)
            .map(|_| byte().cast_signed())
            .collect();
        let bias = vec![0.1; shape.filters];
        let convolution = if integers && index > 0 {
            let scales = vec![1e-3; shape.filters];
            Convolution::integer(
                path,
                shape,
                (&weights, &scales),
                &bias,
                quantisation,
                output,
            )
        } else {
            let weights: Vec<f32> = weights
                .iter()
                .map(|&weight| 1e-3 * f32::from(weight))
                .collect();
            Convolution::float(path, shape, &weights, &bias, output)
        };
        let n = shape.columns_in(columns) * shape.column_in();
        let bytes: Vec<u8> = (0..n).map(|_| byte()).collect();
        Self {
            convolution,
            columns,
            floats: bytes.iter().map(|&q| quantisation.dequantise(q)).collect(),
            bytes: if integers && index > 0 {
                bytes
            } else {
                Vec::new()
            },
            output_floats: vec![0.0; columns * shape.column_out()],
            output_bytes: vec![0; columns * shape.column_out()],
            scratch: Scratch::default(),
        }
    }

    fn run(&mut self) {
        let input = if self.bytes.is_empty() {
            Input::F32(&self.floats)
        } else {
            Input::U8(&self.bytes)
        };
        let output = match self.convolution.output() {
            Some(_) => Output::U8(&mut self.output_bytes),
            None => Output::F32(&mut self.output_floats),
        };
        self.convolution
            .run(black_box(input), output, &mut self.scratch)
            .expect("the case fits its block");
    }
}

fn networks() -> [(&'static str, Architecture); 2] {
    [("CRNN", Architecture::crnn()), ("CNN", Architecture::cnn())]
}

fn table() {
    let peak = [false, true].map(peak);
    println!(
        "peak of this thread: f32 {:.0} GFLOP/s, int8 {:.0} GOP/s\n",
        peak[0], peak[1]
    );
    println!(
        "{:<12} {:<5} {:<5} {:>8}  blocks: ms, G/s, share of the peak",
        "path", "net", "", "ms"
    );
    for path in Path::available() {
        for (name, architecture) in networks() {
            for integers in [false, true] {
                let mut total = 0.0;
                let mut blocks = String::new();
                for index in 0..architecture.blocks.len() {
                    let mut case = Case::new(&architecture, index, path, integers);
                    let seconds = best(if path == Path::Portable { 2 } else { 15 }, || case.run());
                    let operations = 2 * case.convolution.shape().multiplications() * case.columns;
                    let rate = 1e-9 * operations as f64 / seconds;
                    // The first block is f32 in both.
                    let share = rate / peak[usize::from(integers && index > 0)];
                    blocks +=
                        &format!("  {:6.2} {rate:4.0} {:3.0} %", 1e3 * seconds, 100.0 * share);
                    total += seconds;
                }
                let kind = if integers { "int8" } else { "f32" };
                println!(
                    "{:<12} {name:<5} {kind:<5} {:8.2}{blocks}",
                    path.to_string(),
                    1e3 * total
                );
            }
        }
    }
    println!();
}

/// Shortest processor time of this thread (on Linux; elsewhere wall time): other processes must not
/// count.
fn best(times: usize, mut run: impl FnMut()) -> f64 {
    let shortest = (0..times).map(|_| {
        let start = now();
        run();
        now() - start
    });
    shortest.fold(f64::INFINITY, f64::min)
}

fn now() -> f64 {
    #[cfg(all(target_os = "linux", target_pointer_width = "64"))]
    {
        #[repr(C)]
        struct Time {
            seconds: i64,
            nanoseconds: i64,
        }
        unsafe extern "C" {
            fn clock_gettime(clock: i32, time: *mut Time) -> i32;
        }
        const THREAD_CPUTIME: i32 = 3;
        let mut time = Time {
            seconds: 0,
            nanoseconds: 0,
        };
        // SAFETY: `time` has the layout of `struct timespec` on 64-bit Linux and lives through the
        // call.
        if unsafe { clock_gettime(THREAD_CPUTIME, &raw mut time) } == 0 {
            return time.seconds as f64 + 1e-9 * time.nanoseconds as f64;
        }
    }
    thread_local!(static START: Instant = Instant::now());
    START.with(|start| start.elapsed().as_secs_f64())
}

/// Billions of operations a second (a multiplication and an addition are two) of a loop without
/// memory, on the best path.
fn peak(integers: bool) -> f64 {
    const ROUNDS: usize = 20_000;
    #[cfg(target_arch = "x86_64")]
    {
        let (operations, run): (usize, unsafe fn(usize) -> i32) =
            match (Path::available().last(), integers) {
                (Some(Path::Avx512Vnni), true) => (2 * 64, peak::vnni_512),
                (Some(Path::Avx512Vnni), false) => (2 * 16, peak::fma_512),
                (Some(Path::AvxVnni), true) => (2 * 32, peak::vnni_256),
                (Some(Path::AvxVnni | Path::Avx2), false) => (2 * 8, peak::fma_256),
                (Some(Path::Avx2), true) => (2 * 16, peak::madd_256),
                _ => return f64::NAN,
            };
        let seconds = best(100, || {
            // SAFETY: the path that has these instructions is available.
            black_box(unsafe { run(black_box(ROUNDS)) });
        });
        1e-9 * (operations * peak::CHAINS * ROUNDS) as f64 / seconds
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = (integers, ROUNDS);
        f64::NAN
    }
}

#[cfg(target_arch = "x86_64")]
mod peak {
    use std::{arch::x86_64::*, hint::black_box};

    /// Independent chains: more than latency times throughput of any of these instructions.
    pub(super) const CHAINS: usize = 12;

    macro_rules! chains {
        ($name:ident, $features:literal, $ones:expr, $step:expr, $first:expr) => {
            #[target_feature(enable = $features)]
            pub(super) fn $name(rounds: usize) -> i32 {
                let ones = black_box($ones);
                let mut chains = [ones; CHAINS];
                for _ in 0..rounds {
                    for chain in &mut chains {
                        *chain = $step(*chain, ones);
                    }
                }
                chains.into_iter().fold(0, |sum, chain| sum ^ $first(chain))
            }
        };
    }

    chains!(
        vnni_512,
        "avx512f,avx512vnni",
        _mm512_set1_epi8(1),
        |sum, x| _mm512_dpbusd_epi32(sum, x, x),
        |sum| { _mm512_cvtsi512_si32(sum) }
    );
    chains!(
        fma_512,
        "avx512f",
        _mm512_set1_ps(0.5),
        |sum, x| _mm512_fmadd_ps(sum, x, x),
        |sum| { _mm512_cvtss_f32(sum).to_bits().cast_signed() }
    );
    chains!(
        vnni_256,
        "avx2,avxvnni",
        _mm256_set1_epi8(1),
        |sum, x| _mm256_dpbusd_avx_epi32(sum, x, x),
        |sum| { _mm256_cvtsi256_si32(sum) }
    );
    chains!(
        fma_256,
        "avx2,fma",
        _mm256_set1_ps(0.5),
        |sum, x| _mm256_fmadd_ps(sum, x, x),
        |sum| { _mm256_cvtss_f32(sum).to_bits().cast_signed() }
    );
    chains!(
        madd_256,
        "avx2",
        _mm256_set1_epi8(1),
        |sum, x| _mm256_add_epi32(sum, _mm256_madd_epi16(sum, x)),
        |sum| _mm256_cvtsi256_si32(sum)
    );
}

#[divan::bench(args = [0, 1, 2, 3], consts = [false, true], sample_count = 10)]
fn crnn_block<const INTEGERS: bool>(bencher: divan::Bencher<'_, '_>, index: usize) {
    let mut case = Case::new(&Architecture::crnn(), index, Path::best(), INTEGERS);
    bencher.bench_local(|| case.run());
}

#[divan::bench(args = [0, 1, 2, 3, 4], consts = [false, true], sample_count = 10)]
fn cnn_block<const INTEGERS: bool>(bencher: divan::Bencher<'_, '_>, index: usize) {
    let mut case = Case::new(&Architecture::cnn(), index, Path::best(), INTEGERS);
    bencher.bench_local(|| case.run());
}
