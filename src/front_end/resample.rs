//! Streaming sample-rate conversion by windowed-sinc polyphase filters.
//!
//! Two stages at most, each a polyphase filter: inputs of 44.1 kHz and more are first divided by a
//! whole number down to 22 to 44 kHz, where a short filter is enough because its transition may be
//! wide, and then converted to the output rate by the filter whose transition is narrow. Both are
//! centred on the output's instant, so the group delay is zero: output sample `m` stands for the
//! time `m / output rate` of the input's own time line.

use std::f64::consts::PI;

use super::abreast::{ABREAST, add_tap};
use crate::units::{SampleRate, all_zero, sane};

/// Input samples taken at a time; the size of every buffer follows from it.
const BLOCK: usize = 1024;
/// Independent partial sums of the dot product: enough to hide the latency of an addition, and a
/// fixed order of summation on every machine.
const LANES: usize = 16;
/// Attenuation the Kaiser windows are designed for, in dB. The requirement is 80.
const ATTENUATION_DB: f64 = 96.0;
/// Centre of the transition as a fraction of the lower of the two Nyquist frequencies, and the
/// width of the transition in the same unit: flat to 5.3 kHz and stopped from 6.15 kHz when the
/// output is 12 kHz. The centre is that of soxr's HQ recipe (pass band to 0.913, stop band from 1).
const CENTRE: f64 = 0.955;
const WIDTH: f64 = 0.14;
/// Ratios with up to this many phases get a filter for each; others interpolate between the phases
/// of a table, so that memory does not depend on the rate.
const MAX_EXACT_PHASES: u64 = 512;
/// Phases of the interpolated table. Linear interpolation errs by (2 pi f / phases)^2 / 8 of a
/// signal at f cycles per input sample: -106 dB at the Nyquist frequency.
const TABLE_PHASES: u64 = 512;

/// Converts one mono stream from one rate to another, in blocks of any size.
///
/// Equal rates pass through untouched (but for samples that are not [`sane`]).
#[derive(Clone, Debug)]
pub struct Resampler {
    input_rate: u64,
    output_rate: u64,
    /// At most two: whole-number decimation, then the conversion proper.
    first: Option<Decimator>,
    second: Option<Polyphase>,
    /// Sanitised input, `[BLOCK]`.
    block: Vec<f32>,
    /// Output of the first stage.
    middle: Vec<f32>,
    /// Output of the second stage.
    out: Vec<f32>,
    n_in: u64,
    n_out: u64,
}

impl Resampler {
    /// A converter from `input` to `output`.
    pub fn new(input: SampleRate, output: SampleRate) -> Self {
        let (input_rate, output_rate) = (u64::from(input.hz()), u64::from(output.hz()));
        let (first, second) = if input_rate == output_rate {
            (None, None)
        } else {
            // 44.1 kHz -> 22.05, 48 -> 24, 96 -> 24, 384 -> 22.6: never under 1.8 times the output.
            let divisor = (input_rate * 80 / (147 * output_rate)).max(1);
            let nyquist = input_rate.min(output_rate) as f64 / 2.0;
            let middle_rate = input_rate as f64 / divisor as f64;
            let first = (divisor > 1).then(|| {
                // Whatever the second stage keeps (to stop) must stay free of aliases.
                let stop = nyquist * (CENTRE + WIDTH / 2.0);
                Decimator::new(
                    divisor as usize,
                    0.5 * middle_rate / input_rate as f64,
                    (middle_rate - 2.0 * stop) / input_rate as f64,
                )
            });
            let shared = gcd(output_rate * divisor, input_rate);
            let second = Polyphase::new(
                output_rate * divisor / shared,
                input_rate / shared,
                nyquist * CENTRE / middle_rate,
                nyquist * WIDTH / middle_rate,
            );
            (first, Some(second))
        };
        let n_middle = first.as_ref().map_or(0, |stage| stage.max_outputs(BLOCK));
        let n_out = second.as_ref().map_or(0, |stage| {
            stage.max_outputs(if first.is_some() { n_middle } else { BLOCK })
        });
        Self {
            input_rate,
            output_rate,
            first,
            second,
            block: vec![0.0; BLOCK],
            middle: Vec::with_capacity(n_middle),
            out: Vec::with_capacity(n_out),
            n_in: 0,
            n_out: 0,
        }
    }

    /// Takes input samples in blocks of any size and calls `sink` with output samples as they
    /// become final. Any split gives the same output, bit for bit. Samples are made [`sane`] first.
    pub fn push(&mut self, samples: &[f32], mut sink: impl FnMut(&[f32])) {
        self.n_in += samples.len() as u64;
        for chunk in samples.chunks(BLOCK) {
            for (to, &from) in self.block.iter_mut().zip(chunk) {
                *to = sane(from);
            }
            self.convert(chunk.len());
            if self.second.is_none() {
                self.n_out += chunk.len() as u64;
                sink(&self.block[..chunk.len()]);
            } else if !self.out.is_empty() {
                self.n_out += self.out.len() as u64;
                sink(&self.out);
            }
        }
    }

    /// The stream ends: gives the samples that were waiting for what follows, as if silence did, up
    /// to `ceil(n * output rate / input rate)` in all. The converter is as new afterwards.
    pub fn finish(&mut self, mut sink: impl FnMut(&[f32])) {
        if self.second.is_some() {
            let total = (self.n_in * self.output_rate).div_ceil(self.input_rate);
            while self.n_out < total {
                self.block.fill(0.0);
                self.convert(BLOCK);
                let n = (total - self.n_out).min(self.out.len() as u64);
                self.n_out += n;
                sink(&self.out[..n as usize]);
            }
        }
        self.reset();
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.first.iter_mut().for_each(|stage| stage.window.reset());
        self.second.iter_mut().for_each(Polyphase::reset);
        self.n_in = 0;
        self.n_out = 0;
    }

    /// How far ahead of an output sample the input must have come, in input samples.
    pub fn look_ahead(&self) -> usize {
        let first = self.first.as_ref();
        let (divisor, half) =
            first.map_or((1, 0), |stage| (stage.divisor, stage.window.n_taps / 2));
        half + divisor
            * self
                .second
                .as_ref()
                .map_or(0, |stage| stage.window.n_taps / 2)
    }

    /// Runs `n` samples of `block` through the stages into `out`.
    fn convert(&mut self, n: usize) {
        self.out.clear();
        match (&mut self.first, &mut self.second) {
            (Some(first), Some(second)) => {
                self.middle.clear();
                first.push(&self.block[..n], &mut self.middle);
                second.push(&self.middle, &mut self.out);
            }
            (None, Some(second)) => second.push(&self.block[..n], &mut self.out),
            _ => {}
        }
    }
}

/// What the windows of a filter lie in: input that is not yet used up.
#[derive(Clone, Debug)]
struct Window {
    n_taps: usize,
    /// `[n_taps + BLOCK]`, of which `filled` hold samples.
    buffer: Vec<f32>,
    filled: usize,
    /// Where in the buffer the last block ends that is not all zeros: from there on, the output is
    /// zero, unasked.
    sound_end: usize,
    /// Where in the buffer the window of the next output begins.
    next: usize,
}

impl Window {
    /// Silence came before.
    fn new(n_taps: usize) -> Self {
        let mut window = Self {
            n_taps,
            buffer: vec![0.0; n_taps + BLOCK],
            filled: 0,
            sound_end: 0,
            next: 0,
        };
        window.reset();
        window
    }

    /// Forgets all samples: silence came before.
    fn reset(&mut self) {
        self.filled = self.n_taps / 2 - 1;
        self.buffer[..self.filled].fill(0.0);
        self.sound_end = 0;
        self.next = 0;
    }

    /// Takes as many of `samples` as there is room for, and gives the rest.
    fn take<'a>(&mut self, samples: &'a [f32]) -> &'a [f32] {
        let n = samples.len().min(self.buffer.len() - self.filled);
        let (now, later) = samples.split_at(n);
        self.buffer[self.filled..self.filled + n].copy_from_slice(now);
        self.filled += n;
        if !all_zero(now) {
            self.sound_end = self.filled;
        }
        later
    }

    /// Whether all that the next output looks at is here.
    fn is_complete(&self) -> bool {
        self.next + self.n_taps <= self.filled
    }

    /// Makes room: what lies before the next window is used up.
    fn forget_used(&mut self) {
        let used = self.next.min(self.filled);
        self.buffer.copy_within(used..self.filled, 0);
        self.filled -= used;
        self.sound_end = self.sound_end.saturating_sub(used);
        self.next -= used;
    }
}

/// A windowed-sinc filter evaluated at every `divisor`-th input sample.
///
/// Its outputs are summed side by side ([`super::abreast`]).
#[derive(Clone, Debug)]
struct Decimator {
    divisor: usize,
    /// The taps that are not zero: place in the window modulo `divisor`, place divided by it,
    /// value. Of a filter to half the rate every other one is zero.
    taps: Vec<(usize, usize, f32)>,
    window: Window,
    /// The samples that outputs side by side look at, by their place modulo `divisor`.
    split: Vec<[f32; Decimator::SPLIT]>,
}

impl Decimator {
    /// Samples of one phase that [`ABREAST`] outputs look at: no window is longer than 32 times the
    /// divisor ([`Decimator::new`]).
    const SPLIT: usize = ABREAST + 32;

    /// A filter with its -6 dB point at `centre` and a transition of `width`, both in cycles per
    /// input sample.
    fn new(divisor: usize, centre: f64, width: f64) -> Self {
        let filter = Polyphase::new(1, divisor as u64, centre, width);
        let n_taps = filter.window.n_taps;
        debug_assert!(
            n_taps <= 32 * divisor,
            "{n_taps} taps for a divisor of {divisor}"
        );
        let taps = filter.rows[..n_taps].iter().enumerate();
        Self {
            divisor,
            taps: taps
                .filter(|(_, tap)| tap.abs() > 1e-12)
                .map(|(k, &tap)| (k % divisor, k / divisor, tap))
                .collect(),
            window: filter.window,
            split: vec![[0.0; Self::SPLIT]; divisor],
        }
    }

    /// Most outputs that `n` inputs can give.
    fn max_outputs(&self, n: usize) -> usize {
        n.div_ceil(self.divisor) + 1
    }

    /// Appends to `out`, which must have room for [`Decimator::max_outputs`], what `samples`
    /// complete.
    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        while !samples.is_empty() {
            samples = self.window.take(samples);
            let Window {
                n_taps,
                filled,
                next,
                ..
            } = self.window;
            let mut complete = match filled.checked_sub(next + n_taps) {
                Some(more) => more / self.divisor + 1,
                None => 0,
            };
            while complete > 0 && self.window.next < self.window.sound_end {
                let n = complete.min(ABREAST);
                let sums = self.side_by_side(n);
                out.extend_from_slice(&sums[..n]);
                self.window.next += n * self.divisor;
                complete -= n;
            }
            out.resize(out.len() + complete, 0.0);
            self.window.next += complete * self.divisor;
            self.window.forget_used();
        }
    }

    /// The next `n` outputs.
    fn side_by_side(&mut self, n: usize) -> [f32; ABREAST] {
        let Window {
            n_taps,
            filled,
            next,
            ..
        } = self.window;
        let window = &self.window.buffer[next..filled];
        let window = &window[..((n - 1) * self.divisor + n_taps).min(window.len())];
        for (phase, split) in self.split.iter_mut().enumerate() {
            let from = window.iter().skip(phase).step_by(self.divisor);
            for (to, from) in split.iter_mut().zip(from) {
                *to = *from;
            }
        }
        let mut sums = [0.0_f32; ABREAST];
        for &(phase, place, tap) in &self.taps {
            add_tap(&mut sums, &self.split[phase][place..place + ABREAST], tap);
        }
        sums
    }
}

/// A windowed-sinc filter evaluated at every `step / n_phases` input samples.
///
/// Output `m` is `sum over j of x[i + j] h(phi - j)`, `i` and `phi` being the whole and the
/// fractional part of `m * step / n_phases`, `j` from `1 - n_taps / 2` to `n_taps / 2`.
#[derive(Clone, Debug)]
struct Polyphase {
    /// Output instants per input sample (L of the ratio L / M).
    n_phases: u64,
    /// Phases from one output to the next (M).
    step: u64,
    /// Filters of the phases, `[rows, n_taps]`; with interpolation one row more than the table has
    /// phases.
    rows: Vec<f32>,
    interpolated: bool,
    window: Window,
    /// Phase of the next output, below `n_phases`.
    phase: u64,
}

impl Polyphase {
    /// A filter with its -6 dB point at `centre` and a transition of `width`, both in cycles per
    /// input sample.
    fn new(n_phases: u64, step: u64, centre: f64, width: f64) -> Self {
        // Kaiser's formulas for the length and the shape of the window (Oppenheim and Schafer,
        // Discrete-Time Signal Processing, section 7.6).
        let n_taps = ((ATTENUATION_DB - 7.95) / (14.357 * width)).ceil() as usize + 1;
        let n_taps = n_taps.next_multiple_of(LANES);
        let beta = 0.1102 * (ATTENUATION_DB - 8.7);
        let interpolated = n_phases > MAX_EXACT_PHASES;
        let (n_rows, per_sample) = if interpolated {
            (TABLE_PHASES + 1, TABLE_PHASES)
        } else {
            (n_phases, n_phases)
        };
        let half = n_taps as f64 / 2.0;
        let mut rows = Vec::with_capacity(n_rows as usize * n_taps);
        let mut row = vec![0.0_f64; n_taps];
        for phase in 0..n_rows {
            let phi = phase as f64 / per_sample as f64;
            for (k, tap) in row.iter_mut().enumerate() {
                let t = phi - (k as f64 - (half - 1.0));
                *tap = sinc(2.0 * centre * t) * kaiser(t / half, beta);
            }
            // Every phase passes a constant unchanged.
            let sum: f64 = row.iter().sum();
            rows.extend(row.iter().map(|tap| (tap / sum) as f32));
        }
        Self {
            n_phases,
            step,
            rows,
            interpolated,
            window: Window::new(n_taps),
            phase: 0,
        }
    }

    /// Forgets all samples: silence came before.
    fn reset(&mut self) {
        self.window.reset();
        self.phase = 0;
    }

    /// Most outputs that `n` inputs can give.
    fn max_outputs(&self, n: usize) -> usize {
        (n as u64 * self.n_phases).div_ceil(self.step) as usize + 1
    }

    /// Appends to `out`, which must have room for [`Polyphase::max_outputs`], what `samples`
    /// complete.
    fn push(&mut self, mut samples: &[f32], out: &mut Vec<f32>) {
        let (whole, part) = (
            (self.step / self.n_phases) as usize,
            self.step % self.n_phases,
        );
        while !samples.is_empty() {
            samples = self.window.take(samples);
            while self.window.is_complete() {
                if self.window.next >= self.window.sound_end {
                    self.rest(out);
                    break;
                }
                out.push(self.evaluate());
                self.window.next += whole;
                self.phase += part;
                if self.phase >= self.n_phases {
                    self.phase -= self.n_phases;
                    self.window.next += 1;
                }
            }
            self.window.forget_used();
        }
    }

    /// All outputs whose windows lie within what is here: it is silent, so they are zeros, and only
    /// their number matters.
    fn rest(&mut self, out: &mut Vec<f32>) {
        let Window {
            n_taps,
            filled,
            next,
            ..
        } = self.window;
        let instants = (filled - n_taps - next + 1) as u64 * self.n_phases;
        let n = (instants - self.phase).div_ceil(self.step);
        out.resize(out.len() + n as usize, 0.0);
        let end = self.phase + n * self.step;
        self.window.next += (end / self.n_phases) as usize;
        self.phase = end % self.n_phases;
    }

    /// The next output.
    fn evaluate(&self) -> f32 {
        let Window { n_taps, next, .. } = self.window;
        let window = &self.window.buffer[next..next + n_taps];
        let row = |index: usize| &self.rows[index * n_taps..(index + 1) * n_taps];
        if self.interpolated {
            let position = self.phase * TABLE_PHASES;
            let index = (position / self.n_phases) as usize;
            let fraction = (position % self.n_phases) as f32 / self.n_phases as f32;
            let (low, high) = (dot(window, row(index)), dot(window, row(index + 1)));
            low + fraction * (high - low)
        } else {
            dot(window, row(self.phase as usize))
        }
    }
}

/// Sum of the products of two slices whose length is a multiple of [`LANES`].
fn dot(a: &[f32], b: &[f32]) -> f32 {
    let sums = lanes(a, b);
    // Joined in fours, which is what the smallest vector unit holds.
    let mut fours = [0.0_f32; 4];
    for part in sums.as_chunks::<4>().0 {
        for (sum, value) in fours.iter_mut().zip(part) {
            *sum += value;
        }
    }
    (fours[0] + fours[2]) + (fours[1] + fours[3])
}

/// The products of two slices, summed lane by lane. By itself, because together with the joining of
/// the lanes it is compiled to vectors of two.
#[inline(never)]
fn lanes(a: &[f32], b: &[f32]) -> [f32; LANES] {
    let mut sums = [0.0_f32; LANES];
    for (a, b) in a
        .as_chunks::<LANES>()
        .0
        .iter()
        .zip(b.as_chunks::<LANES>().0)
    {
        for ((sum, a), b) in sums.iter_mut().zip(a).zip(b) {
            *sum += a * b;
        }
    }
    sums
}

fn gcd(a: u64, b: u64) -> u64 {
    if b == 0 { a } else { gcd(b, a % b) }
}

/// `sin(pi x) / (pi x)`.
fn sinc(x: f64) -> f64 {
    if x.abs() < 1e-9 {
        1.0
    } else {
        (PI * x).sin() / (PI * x)
    }
}

/// Kaiser window at `x`, which runs from -1 to 1; 0 from the edges outwards.
fn kaiser(x: f64, beta: f64) -> f64 {
    if x.abs() >= 1.0 {
        0.0
    } else {
        bessel_i0(beta * (1.0 - x * x).sqrt()) / bessel_i0(beta)
    }
}

/// Modified Bessel function of the first kind and order 0, by its power series.
fn bessel_i0(x: f64) -> f64 {
    let quarter = x * x / 4.0;
    let (mut term, mut sum, mut k) = (1.0, 1.0, 1.0);
    while term > sum * 1e-17 {
        term *= quarter / (k * k);
        sum += term;
        k += 1.0;
    }
    sum
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate(hz: u32) -> SampleRate {
        SampleRate::new(hz).unwrap()
    }

    fn resampled(signal: &[f32], from: u32, to: u32) -> Vec<f32> {
        let (mut converter, mut out) = (Resampler::new(rate(from), rate(to)), vec![]);
        converter.push(signal, |samples| out.extend_from_slice(samples));
        converter.finish(|samples| out.extend_from_slice(samples));
        out
    }

    #[test]
    fn the_length_is_that_of_the_time_line() {
        for from in [
            8_000, 11_025, 22_050, 44_099, 44_100, 48_000, 96_000, 384_000,
        ] {
            for n in [0_usize, 1, 2, 3, 7, 1_000, 10_007] {
                let expected = (n as u64 * 12_000).div_ceil(u64::from(from));
                let out = resampled(&vec![0.5; n], from, 12_000);
                assert_eq!(out.len() as u64, expected, "{n} samples at {from} Hz");
            }
        }
    }

    #[test]
    fn steps_are_shorter_than_windows_at_every_rate() {
        for from in (8_000..=384_000)
            .step_by(997)
            .chain([384_000, 44_100, 12_001, 11_999])
        {
            let converter = Resampler::new(rate(from), rate(12_000));
            if let Some(stage) = &converter.first {
                let places = stage.taps.iter().map(|&(_, place, _)| place);
                let most = Decimator::SPLIT - ABREAST;
                assert!(places.max() < Some(most), "{from} Hz");
                assert!(stage.divisor < stage.window.n_taps, "{from} Hz");
            }
            if let Some(stage) = &converter.second {
                assert!(
                    (stage.step / stage.n_phases + 1) < stage.window.n_taps as u64,
                    "{from} Hz"
                );
                assert!(
                    stage.rows.len() < 260_000,
                    "{from} Hz: {}",
                    stage.rows.len()
                );
            }
        }
    }

    #[test]
    fn silence_costs_no_filter_and_changes_no_bit() {
        for from in [8_000, 44_099, 44_100, 48_000] {
            let mut converter = Resampler::new(rate(from), rate(12_000));
            let mut plain = converter.clone();
            let (mut out, mut expected) = (vec![], vec![]);
            let mut rested = 0;
            for block in 0..400_usize {
                let length = 1 + block * 577 % 1024;
                // Runs of five blocks of sound and of silence, and lone samples in the silence.
                let samples: Vec<f32> = (0..length)
                    .map(|i| match block / 5 % 2 {
                        0 => ((block * 1024 + i) as f32 * 0.37).sin(),
                        _ if block % 13 == 0 && i == length / 2 => -0.5,
                        _ => -0.0,
                    })
                    .collect();
                converter.push(&samples, |samples| out.extend_from_slice(samples));
                // Told that everything sounds, it filters everything.
                if let Some(stage) = &mut plain.first {
                    stage.window.sound_end = usize::MAX / 2;
                }
                if let Some(stage) = &mut plain.second {
                    stage.window.sound_end = usize::MAX / 2;
                }
                plain.push(&samples, |samples| expected.extend_from_slice(samples));
                rested += usize::from(converter.second.as_ref().unwrap().window.sound_end == 0);
            }
            let bits = |out: &[f32]| out.iter().map(|y| y.to_bits()).collect::<Vec<_>>();
            assert!(bits(&out) == bits(&expected), "{from} Hz");
            assert!((20..300).contains(&rested), "{from} Hz: {rested} blocks");
        }
    }

    #[test]
    fn a_slow_sine_keeps_its_place_and_size() {
        for from in [8_000, 22_050, 44_099, 44_100, 48_000, 192_000] {
            let sine = |t: f64| (2.0 * PI * 440.0 * t).sin() as f32;
            let signal: Vec<f32> = (0..from / 2)
                .map(|n| sine(f64::from(n) / f64::from(from)))
                .collect();
            let out = resampled(&signal, from, 12_000);
            // Away from the edges, where the silence around the signal rings.
            for (m, &y) in out.iter().enumerate().take(5_000).skip(1_000) {
                let x = sine(m as f64 / 12_000.0);
                assert!(
                    (x - y).abs() < 1e-4,
                    "{from} Hz, sample {m}: {y} instead of {x}"
                );
            }
        }
    }

    #[test]
    fn equal_rates_pass_bit_for_bit() {
        let signal: Vec<f32> = (0..5_000).map(|n| (n as f32 * 0.37).sin()).collect();
        assert_eq!(resampled(&signal, 12_000, 12_000), signal);
    }
}
