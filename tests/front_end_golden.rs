//! Mel columns equal librosa's (tests/golden/README.md).

use std::f64::consts::PI;

use genrescope::{
    front_end::{FrontEndConfig, columns},
    units::SampleRate,
};

const RATES: [u32; 5] = [12_000, 22_050, 44_100, 48_000, 96_000];
const N_COLUMNS: usize = 47;
const N_MELS: usize = 96;

/// One second of a signal at a rate: the twins of the functions in golden/make_golden.py.
type Signal = fn(u32) -> Vec<f32>;

fn chirp(rate: u32) -> Vec<f32> {
    let slope = (0.45 * f64::from(rate) - 50.0) / 2.0;
    (0..rate)
        .map(|n| {
            let t = f64::from(n) / f64::from(rate);
            (0.5 * (2.0 * PI * (50.0 * t + slope * t * t)).sin()) as f32
        })
        .collect()
}

fn clicks(rate: u32) -> Vec<f32> {
    let mut y = vec![0.0; rate as usize];
    for k in 0..10 {
        y[(k * rate / 10 + 77) as usize] = if k % 2 == 0 { 0.9 } else { -0.9 };
    }
    y
}

fn noise(rate: u32) -> Vec<f32> {
    let mut state = 2026_u32;
    (0..rate)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (f64::from(state) / 4_294_967_296.0 - 0.5) as f32
        })
        .collect()
}

fn silence(rate: u32) -> Vec<f32> {
    vec![0.0; rate as usize]
}

fn full_scale(rate: u32) -> Vec<f32> {
    (0..u64::from(rate))
        .map(|n| {
            if (n * 882 / u64::from(rate)).is_multiple_of(2) {
                1.0
            } else {
                -1.0
            }
        })
        .collect()
}

/// Values of a version-1 `.npy` file of little-endian float32 in C order with the expected shape.
fn read_npy(bytes: &[u8]) -> Vec<f32> {
    assert_eq!(
        &bytes[..8],
        b"\x93NUMPY\x01\x00",
        "not a version-1 .npy file"
    );
    let header_len = usize::from(u16::from_le_bytes([bytes[8], bytes[9]]));
    let header = String::from_utf8_lossy(&bytes[10..10 + header_len]);
    assert!(
        header.contains("'descr': '<f4', 'fortran_order': False, 'shape': (5, 47, 96)"),
        "{header}"
    );
    let values: Vec<f32> = bytes[10 + header_len..]
        .as_chunks::<4>()
        .0
        .iter()
        .map(|b| f32::from_le_bytes(*b))
        .collect();
    assert_eq!(values.len(), RATES.len() * N_COLUMNS * N_MELS);
    values
}

#[test]
fn columns_equal_those_of_librosa() {
    let signals: [(&str, Signal, &[u8]); 5] = [
        ("chirp", chirp, include_bytes!("golden/mel_chirp.npy")),
        ("clicks", clicks, include_bytes!("golden/mel_clicks.npy")),
        ("noise", noise, include_bytes!("golden/mel_noise.npy")),
        ("silence", silence, include_bytes!("golden/mel_silence.npy")),
        (
            "full scale",
            full_scale,
            include_bytes!("golden/mel_full_scale.npy"),
        ),
    ];
    let mut failures = vec![];
    for (name, signal, golden) in signals {
        let golden = read_npy(golden);
        for (&hz, want) in RATES.iter().zip(golden.chunks(N_COLUMNS * N_MELS)) {
            let rate = SampleRate::new(hz).unwrap();
            let got = columns(&signal(hz), &FrontEndConfig::default(), rate).unwrap();
            assert_eq!(got.len(), want.len(), "{name} at {hz} Hz");
            let errors = || got.iter().zip(want).map(|(got, want)| (got - want).abs());
            let max = errors().fold(0.0, f32::max);
            let mean = errors().sum::<f32>() / want.len() as f32;
            println!("{name:>10} {hz:>6} Hz: mean error {mean:.6} dB, max {max:.6} dB");
            let ok = if hz == 12_000 {
                max <= 1e-3
            } else {
                mean <= 0.1
            };
            if !ok {
                failures.push(format!("{name} at {hz} Hz: mean {mean} dB, max {max} dB"));
            }
        }
    }
    assert!(failures.is_empty(), "{failures:#?}");
}
