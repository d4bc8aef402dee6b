//! Every path against an obvious convolution, on random and extreme inputs.

use proptest::prelude::*;

use super::*;
use crate::random::Random;

/// A block and an input for it: integers; floats are made of them.
#[derive(Clone, Debug)]
struct Case {
    shape: Shape,
    columns: usize,
    weights: Vec<i8>,
    input: Vec<u8>,
    zero: u8,
}

fn shapes() -> impl Strategy<Value = (Shape, usize)> {
    let pools = prop::sample::select(vec![[2, 4], [3, 5], [4, 4], [2, 2], [3, 3], [1, 1], [1, 3]]);
    (pools, 0..14_usize, 1..12_usize, 1..90_usize, 1..10_usize).prop_map(
        |(pool, extra, channels, filters, columns)| {
            (
                Shape {
                    rows: pool[0] + extra,
                    channels,
                    filters,
                    pool,
                },
                columns,
            )
        },
    )
}

fn cases() -> impl Strategy<Value = Case> {
    // Uniform values, or only the two ends of the range, where sums are largest.
    (shapes(), any::<u64>(), any::<bool>(), any::<u8>()).prop_map(
        |((shape, columns), seed, extreme, zero)| {
            let mut random = Random::new(seed);
            let mut byte = move || random.byte();
            let n = shape.filters * shape.channels * 9;
            let weights = (0..n).map(|_| {
                if extreme {
                    [-127, 127, -128][byte() as usize % 3]
                } else {
                    byte().cast_signed()
                }
            });
            let weights = weights.collect();
            let n = shape.columns_in(columns) * shape.column_in();
            let input = (0..n)
                .map(|_| {
                    if extreme {
                        [0, 255][byte() as usize % 2]
                    } else {
                        byte()
                    }
                })
                .collect();
            Case {
                shape,
                columns,
                weights,
                input,
                zero,
            }
        },
    )
}

impl Case {
    /// `ELU(max over the pool of the convolution * scale + bias)`, in f64, with `value(q)` for an
    /// input and 0 outside.
    fn expected(
        &self,
        weight: impl Fn(usize) -> f64,
        value: impl Fn(u8) -> f64,
        bias: f64,
    ) -> Vec<f64> {
        let Shape {
            rows,
            channels,
            filters,
            pool,
        } = self.shape;
        let at = |column: usize, row: isize, channel: usize| match usize::try_from(row) {
            Ok(row) if row < rows => value(self.input[(column * rows + row) * channels + channel]),
            _ => 0.0,
        };
        let mut output = Vec::new();
        for column in 0..self.columns {
            for row in 0..self.shape.rows_out() {
                for filter in 0..filters {
                    let mut best = f64::NEG_INFINITY;
                    for (time, frequency) in
                        (0..pool[1]).flat_map(|time| (0..pool[0]).map(move |row| (time, row)))
                    {
                        let mut sum = 0.0;
                        for channel in 0..channels {
                            for (df, dt) in (0..3).flat_map(|df| (0..3).map(move |dt| (df, dt))) {
                                let row = (row * pool[0] + frequency + df) as isize - 1;
                                let value = at(column * pool[1] + time + dt, row, channel);
                                sum += value
                                    * weight(((filter * channels + channel) * 3 + df) * 3 + dt);
                            }
                        }
                        best = best.max(sum);
                    }
                    let value = best + bias;
                    output.push(if value > 0.0 { value } else { value.exp_m1() });
                }
            }
        }
        output
    }

    fn run_f32(&self, convolution: &Convolution, input: Input<'_>) -> Vec<f32> {
        let mut output = vec![f32::NAN; self.columns * self.shape.column_out()];
        convolution
            .run(input, Output::F32(&mut output), &mut Scratch::default())
            .unwrap();
        output
    }

    fn run_u8(&self, convolution: &Convolution, input: Input<'_>) -> Vec<u8> {
        let mut output = vec![0; self.columns * self.shape.column_out()];
        convolution
            .run(input, Output::U8(&mut output), &mut Scratch::default())
            .unwrap();
        output
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn integers_are_those_of_the_definition_on_every_path(case in cases()) {
        let input = Quantisation { scale: 0.01, zero: case.zero };
        let output = Quantisation::of_range(-1.0, 40.0);
        let scales: Vec<f32> = (0..case.shape.filters).map(|filter| 1e-3 * (1 + filter) as f32).collect();
        let bias = vec![0.25; case.shape.filters];
        let per_filter = case.shape.channels * 9;
        let expected = case.expected(
            |index| f64::from(case.weights[index]) * f64::from(scales[index / per_filter]),
            |q| 0.01 * (f64::from(q) - f64::from(case.zero)),
            0.25,
        );
        let make = |path, output| Convolution::integer(path, case.shape, (&case.weights, &scales), &bias, input, output);
        let floats = case.run_f32(&make(Path::Portable, None), Input::U8(&case.input));
        let bytes = case.run_u8(&make(Path::Portable, Some(output)), Input::U8(&case.input));
        for (&float, expected) in floats.iter().zip(&expected) {
            prop_assert!((f64::from(float) - expected).abs() <= 1e-6 + 1e-6 * expected.abs(), "{float} {expected}");
        }
        for (&byte, &float) in bytes.iter().zip(&floats) {
            prop_assert_eq!(byte, output.quantise(float));
        }
        for path in Path::available() {
            let bits = |values: Vec<f32>| values.into_iter().map(f32::to_bits).collect::<Vec<_>>();
            prop_assert_eq!(bits(case.run_f32(&make(path, None), Input::U8(&case.input))), bits(floats.clone()), "{}", path);
            prop_assert_eq!(&case.run_u8(&make(path, Some(output)), Input::U8(&case.input)), &bytes, "{}", path);
        }
    }

    #[test]
    fn floats_are_those_of_the_definition_on_every_path(case in cases()) {
        let weights: Vec<f32> = case.weights.iter().map(|&weight| f32::from(weight) / 1_000.0).collect();
        let input: Vec<f32> = case.input.iter().map(|&q| f32::from(q) / 100.0 - 1.0).collect();
        let bias = vec![-0.5; case.shape.filters];
        let expected = case.expected(
            |index| f64::from(weights[index]),
            |q| f64::from(f32::from(q) / 100.0 - 1.0),
            -0.5,
        );
        let output = Quantisation::of_range(-1.0, 40.0);
        let make = |path, output| Convolution::float(path, case.shape, &weights, &bias, output);
        let bytes = case.run_u8(&make(Path::Portable, Some(output)), Input::F32(&input));
        for path in Path::available() {
            let floats = case.run_f32(&make(path, None), Input::F32(&input));
            for (float, expected) in floats.iter().zip(&expected) {
                prop_assert!((f64::from(*float) - expected).abs() <= 2e-5 + 2e-5 * expected.abs(), "{path}: {float} {expected}");
            }
            // Quantised, they are the same everywhere: nothing is fused.
            prop_assert_eq!(&case.run_u8(&make(path, Some(output)), Input::F32(&input)), &bytes, "{}", path);
        }
    }

    #[test]
    fn columns_do_not_depend_on_their_neighbours_in_a_call(case in cases()) {
        // What a rolling window rests on: any part of the columns gives the same bits as the whole.
        let input: Vec<f32> = case.input.iter().map(|&q| f32::from(q) / 100.0 - 1.0).collect();
        let weights: Vec<f32> = case.weights.iter().map(|&weight| f32::from(weight) / 1_000.0).collect();
        let bias = vec![0.1; case.shape.filters];
        for path in Path::available() {
            let convolution = Convolution::float(path, case.shape, &weights, &bias, None);
            let whole = case.run_f32(&convolution, Input::F32(&input));
            let (column_in, column_out) = (case.shape.column_in(), case.shape.column_out());
            let mut scratch = Scratch::default();
            for column in 0..case.columns {
                let from = column * case.shape.pool[1] * column_in;
                let input = &input[from..from + case.shape.columns_in(1) * column_in];
                let mut output = vec![0.0; column_out];
                convolution.run(Input::F32(input), Output::F32(&mut output), &mut scratch).unwrap();
                let whole = &whole[column * column_out..(column + 1) * column_out];
                prop_assert!(output.iter().zip(whole).all(|(a, b)| a.to_bits() == b.to_bits()), "{}", path);
            }
        }
    }

    #[test]
    fn quantisation_errs_by_half_a_step(low in -1.0..0.0_f32, high in 0.0..1e3_f32, share in 0.0..1.0_f32) {
        let quantisation = Quantisation::of_range(low, high);
        let value = low + share * (high - low);
        let back = quantisation.dequantise(quantisation.quantise(value));
        prop_assert!((back - value).abs() <= 0.51 * quantisation.scale + 1e-6 * high, "{value} {back} {quantisation:?}");
        prop_assert_eq!(quantisation.dequantise(quantisation.quantise(0.0)), 0.0);
    }
}

#[test]
fn largest_sums_do_not_wrap_or_saturate() {
    // 256 channels of 255 times 127: 74.6 million, and the same below zero.
    let shape = Shape {
        rows: 4,
        channels: 256,
        filters: 32,
        pool: [4, 4],
    };
    let input = vec![255; shape.columns_in(1) * shape.column_in()];
    for (weight, zero) in [(127, 0), (-127, 255), (-128, 0)] {
        let weights = vec![weight; shape.filters * shape.channels * 9];
        for path in Path::available() {
            let input_quantisation = Quantisation { scale: 1.0, zero };
            let scales = vec![1.0; 32];
            let convolution = Convolution::integer(
                path,
                shape,
                (&weights, &scales),
                &[0.0; 32],
                input_quantisation,
                None,
            );
            let mut output = vec![0.0; 32];
            convolution
                .run(
                    Input::U8(&input),
                    Output::F32(&mut output),
                    &mut Scratch::default(),
                )
                .unwrap();
            let expected = match (weight, zero) {
                (127, 0) => 9.0 * 256.0 * 255.0 * 127.0,
                // Inside, 255 stands for 0.
                (-127, _) => 0.0,
                // The corners see four taps: their sums are the largest.
                _ => -1.0,
            };
            assert_eq!(output, vec![expected; 32], "{path}, weight {weight}");
        }
    }
}

#[test]
fn elu_is_accurate_and_tame() {
    for step in -20_000..20_000_i32 {
        let x = step as f32 * 1e-3;
        let expected = if x > 0.0 {
            f64::from(x)
        } else {
            f64::from(x).exp_m1()
        };
        assert!((f64::from(elu(x)) - expected).abs() < 2e-7, "{x}");
    }
    assert_eq!(elu(0.0), 0.0);
    assert_eq!(elu(f32::INFINITY), f32::INFINITY);
    assert_eq!(elu(f32::NEG_INFINITY), -1.0);
    let output = Quantisation::of_range(-1.0, 1.0);
    assert_eq!(
        (
            output.quantise(f32::NAN),
            output.quantise(1e30),
            output.quantise(-1e30)
        ),
        (0, 255, 0)
    );
}

#[test]
fn what_does_not_fit_is_refused() {
    let shape = Shape {
        rows: 4,
        channels: 4,
        filters: 2,
        pool: [2, 2],
    };
    let convolution = Convolution::float(Path::best(), shape, &[0.1; 72], &[0.0; 2], None);
    let (input, mut output) = (vec![0.0; shape.columns_in(1) * 16], vec![0.0; 4]);
    let mut scratch = Scratch::default();
    assert_eq!(
        convolution.run(Input::F32(&input), Output::F32(&mut output), &mut scratch),
        Ok(())
    );
    assert_eq!(
        convolution.run(
            Input::F32(&input[1..]),
            Output::F32(&mut output),
            &mut scratch
        ),
        Err(Mismatch)
    );
    assert_eq!(
        convolution.run(
            Input::F32(&input),
            Output::F32(&mut output[1..]),
            &mut scratch
        ),
        Err(Mismatch)
    );
    assert_eq!(
        convolution.run(Input::F32(&input), Output::U8(&mut [0; 4]), &mut scratch),
        Err(Mismatch)
    );
    assert_eq!(
        convolution.run(Input::U8(&[0; 64]), Output::F32(&mut output), &mut scratch),
        Err(Mismatch)
    );
}

/// Blocks of a MobileNet with channels that fill no group, on every path: what plain Rust computes,
/// to rounding.
#[test]
fn mobile_blocks_are_those_of_plain_rust_on_every_path() {
    for (channels, wide, filters, kernel, stride, squeezed) in [
        (8, 24, 16, 3, 2, 0),
        (5, 5, 5, 3, 1, 0),
        (10, 72, 10, 5, 1, 7),
        (16, 80, 33, 5, 2, 3),
        (3, 130, 1, 3, 1, 0),
    ] {
        let mut random = Random::new(7);
        let mut values = |n: usize| random.noise(n);
        let expand = (values(wide * channels), values(wide));
        let depthwise = (values(wide * kernel * kernel), values(wide));
        let project = (values(filters * wide), values(filters));
        let excitation = (squeezed > 0).then(|| Excitation {
            squeeze: values(squeezed * wide),
            squeeze_bias: values(squeezed),
            excite: values(wide * squeezed),
            excite_bias: values(wide),
        });
        let (time, rows) = (23, 7);
        let input = values(time * rows * channels);
        for activation in [AfterConvolution::Relu, AfterConvolution::HardSwish] {
            let run = |path: Path| {
                let pointwise = |of: &(Vec<f32>, Vec<f32>), channels, activation| {
                    Pointwise::new(path, channels, &of.0, &of.1, activation)
                };
                let block = FusedMobileBlock {
                    path,
                    channels,
                    expand: (wide != channels).then(|| pointwise(&expand, channels, activation)),
                    depthwise: Depthwise::new(kernel, stride, &depthwise.0, &depthwise.1),
                    excitation: excitation.clone(),
                    project: pointwise(&project, wide, AfterConvolution::Linear),
                    activation,
                };
                let [time_out, rows_out, filters] = block.extents(time, rows);
                let mut output = vec![f32::NAN; time_out * rows_out * filters];
                block.run(&input, rows, &mut output, &mut MobileScratch::default());
                output
            };
            let expected = run(Path::Portable);
            for path in Path::available() {
                for (a, b) in run(path).iter().zip(&expected) {
                    let error = (a - b).abs() / b.abs().max(1.0);
                    assert!(error < 1e-4, "{path}, {wide} channels: {a} and {b}");
                }
            }
        }
    }
}
