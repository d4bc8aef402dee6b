//! Cost of the front end: the whole way per second of audio at each rate, and stage by stage.
//!
//! `cargo bench --bench front_end`. A "column" is 21.3 ms of audio, 46.9 of them a second.

#[path = "../tests/support/random.rs"]
mod random;

use divan::{Bencher, black_box};
use genrescope::{
    front_end::{
        FrontEnd, FrontEndConfig,
        mel::{MelBands, power_to_db},
        resample::Resampler,
        stft::Stft,
    },
    units::SampleRate,
};
use random::Random;

const RATES: [u32; 9] = [
    8_000, 12_000, 22_050, 44_099, 44_100, 48_000, 96_000, 192_000, 384_000,
];

fn main() {
    divan::main();
}

fn rate(hz: u32) -> SampleRate {
    SampleRate::new(hz).expect("the rates above are supported")
}

/// White noise between -0.5 and 0.5.
fn noise(n: usize) -> Vec<f32> {
    let mut random = Random::new(1);
    (0..n).map(|_| 0.5 * random.sample()).collect()
}

/// One second of audio, in blocks of 512 samples, to columns.
#[divan::bench(args = RATES)]
fn second_of_audio_to_columns(bencher: Bencher, hz: u32) {
    let mut front_end = FrontEnd::new(&FrontEndConfig::default(), rate(hz))
        .expect("the default configuration is valid");
    let signal = noise(hz as usize);
    bencher.bench_local(|| {
        for block in signal.chunks(512) {
            front_end.push(black_box(block), |column| {
                black_box(column);
            });
        }
    });
}

/// One second of audio to 12 kHz.
#[divan::bench(args = RATES)]
fn second_of_audio_resampled(bencher: Bencher, hz: u32) {
    let mut resampler = Resampler::new(rate(hz), rate(12_000));
    let signal = noise(hz as usize);
    bencher.bench_local(|| {
        for block in signal.chunks(512) {
            resampler.push(black_box(block), |samples| {
                black_box(samples);
            });
        }
    });
}

/// One hop through window, FFT and power.
#[divan::bench]
fn column_stft(bencher: Bencher) {
    let (mut stft, hop) = (Stft::new(512, 256), noise(256));
    bencher.bench_local(|| {
        stft.push(black_box(&hop), |power| {
            black_box(power);
        });
    });
}

/// One power spectrum to 96 mel bands.
#[divan::bench]
fn column_mel(bencher: Bencher) {
    let bands = MelBands::new(12_000, 512, 96, 0.0, 6_000.0);
    let (power, mut mel) = (noise(257), [0.0; 96]);
    bencher.bench_local(|| {
        bands.apply(black_box(&power), &mut mel);
        black_box(&mel);
    });
}

/// 96 powers to decibels.
#[divan::bench]
fn column_decibel(bencher: Bencher) {
    let powers: Vec<f32> = noise(96).iter().map(|x| x * x + 1e-6).collect();
    bencher.bench_local(|| {
        let mut column = [0.0; 96];
        column.copy_from_slice(black_box(&powers));
        power_to_db(&mut column, -100.0);
        column
    });
}

/// What opening a stream costs: filter design and FFT plan.
#[divan::bench(args = [12_000, 44_099, 44_100, 48_000, 192_000])]
fn construction(hz: u32) -> FrontEnd {
    FrontEnd::new(&FrontEndConfig::default(), rate(hz)).expect("the default configuration is valid")
}
