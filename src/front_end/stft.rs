//! Power spectra of a stream: centred periodic-Hann STFT with reflect padding.

use std::{fmt, sync::Arc};

use realfft::{RealFftPlanner, RealToComplex, num_complex::Complex32};

use crate::units::all_zero;

/// The streaming short-time Fourier transform of one stream.
///
/// Column `t` is centred on sample `t * hop_length`; beyond its ends the signal is reflected, as by
/// `numpy.pad(mode="reflect")`, so a signal of `n` samples has `1 + n / hop_length` columns (none
/// if it is empty). Equals `librosa.stft(center=True, pad_mode="reflect", window="hann")`.
#[derive(Clone)]
pub struct Stft {
    n_fft: usize,
    hop_length: usize,
    fft: Arc<dyn RealToComplex<f32>>,
    /// Periodic Hann window, `[n_fft]`.
    window: Vec<f32>,
    /// `buffer[0]` is the sample before the next column's window, kept because the reflection at
    /// the end reaches one sample further back than the window; `buffer[1..]` is the window so far.
    buffer: Vec<f32>,
    filled: usize,
    /// Samples so far.
    n_samples: u64,
    /// Columns so far.
    n_columns: u64,
    frame: Vec<f32>,
    spectrum: Vec<Complex32>,
    scratch: Vec<Complex32>,
    /// Power spectrum of the last column, `[1 + n_fft / 2]`.
    power: Vec<f32>,
}

impl Stft {
    /// A transform of `n_fft` samples every `hop_length`.
    ///
    /// # Panics
    /// When `n_fft` is odd or 0, or `hop_length` is not within `1..=n_fft`.
    pub fn new(n_fft: usize, hop_length: usize) -> Self {
        let window = (0..n_fft)
            .map(|n| {
                let turn = std::f64::consts::TAU * n as f64 / n_fft as f64;
                (0.5 - 0.5 * turn.cos()) as f32
            })
            .collect();
        Self::with_window(hop_length, window)
    }

    /// A transform by a symmetric Hann window of `win_length` samples, centred in `n_fft`, every
    /// `hop_length`: `torch.stft(window=hann_window(win_length, periodic=False))`.
    ///
    /// # Panics
    /// When `n_fft` is odd or 0, `win_length` is not within `2..=n_fft`, or `hop_length` is not
    /// within `1..=n_fft`.
    pub fn symmetric(n_fft: usize, win_length: usize, hop_length: usize) -> Self {
        assert!(
            (2..=n_fft).contains(&win_length),
            "win_length = {win_length} of {n_fft}"
        );
        let before = (n_fft - win_length) / 2;
        let mut window = vec![0.0; n_fft];
        for (n, value) in window[before..before + win_length].iter_mut().enumerate() {
            let turn = std::f64::consts::TAU * n as f64 / (win_length - 1) as f64;
            *value = (0.5 - 0.5 * turn.cos()) as f32;
        }
        Self::with_window(hop_length, window)
    }

    fn with_window(hop_length: usize, window: Vec<f32>) -> Self {
        let n_fft = window.len();
        assert!(
            n_fft > 0 && n_fft.is_multiple_of(2),
            "n_fft = {n_fft} is odd or 0"
        );
        assert!(
            (1..=n_fft).contains(&hop_length),
            "hop_length = {hop_length} of {n_fft}"
        );
        let fft = RealFftPlanner::new().plan_fft_forward(n_fft);
        let mut stft = Self {
            n_fft,
            hop_length,
            window,
            // The start holds one sample more than a window: the one that is reflected last.
            buffer: vec![0.0; n_fft + 2],
            filled: 0,
            n_samples: 0,
            n_columns: 0,
            frame: vec![0.0; n_fft],
            spectrum: fft.make_output_vec(),
            scratch: fft.make_scratch_vec(),
            power: vec![0.0; n_fft / 2 + 1],
            fft,
        };
        stft.reset();
        stft
    }

    /// Half a window: what lies before the first sample and after the last.
    fn pad(&self) -> usize {
        self.n_fft / 2
    }

    /// Takes samples in blocks of any size; calls `on_power` with the power spectrum
    /// (`[1 + n_fft / 2]`) of each finished column.
    pub fn push(&mut self, mut samples: &[f32], mut on_power: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let pad = self.pad();
            let room = if self.n_samples <= pad as u64 {
                pad + 1 - self.n_samples as usize
            } else {
                self.n_fft + 1 - self.filled
            };
            let (now, later) = samples.split_at(samples.len().min(room));
            self.buffer[self.filled..self.filled + now.len()].copy_from_slice(now);
            self.filled += now.len();
            self.n_samples += now.len() as u64;
            samples = later;
            if now.len() < room {
                return;
            }
            if self.n_samples == pad as u64 + 1 {
                for k in 1..=pad {
                    self.buffer[1 + pad - k] = self.buffer[1 + pad + k];
                }
            }
            while self.filled > self.n_fft {
                self.frame.copy_from_slice(&self.buffer[1..=self.n_fft]);
                self.transform();
                on_power(&self.power);
                self.n_columns += 1;
                self.buffer.copy_within(self.hop_length..self.filled, 0);
                self.filled -= self.hop_length;
            }
        }
    }

    /// The signal ends here: gives the columns whose windows reach beyond it. As new afterwards.
    pub fn finish(&mut self, mut on_power: impl FnMut(&[f32])) {
        let hop = self.hop_length as u64;
        while self.n_samples > 0 && self.n_columns * hop <= self.n_samples {
            // Index of the sample that buffer[1] holds.
            let origin = (self.n_columns * hop).cast_signed() - self.pad().cast_signed() as i64;
            let started = self.n_samples > self.pad() as u64;
            for i in 0..self.n_fft {
                let sample = reflect(origin + i.cast_signed() as i64, self.n_samples);
                // Before the start is complete, sample 0 has its place after the padding to come.
                let base = if started {
                    self.buffer_origin()
                } else {
                    -(self.pad().cast_signed() as i64)
                };
                self.frame[i] = self.buffer[(1 + sample - base) as usize];
            }
            self.transform();
            on_power(&self.power);
            self.n_columns += 1;
        }
        self.reset();
    }

    /// Forgets all samples.
    pub fn reset(&mut self) {
        self.filled = 1 + self.pad();
        self.buffer[..self.filled].fill(0.0);
        self.n_samples = 0;
        self.n_columns = 0;
    }

    /// Index of the sample that `buffer[1]` holds.
    fn buffer_origin(&self) -> i64 {
        self.n_samples.cast_signed() - (self.filled.cast_signed() as i64 - 1)
    }

    /// Windows and transforms `frame` into `power`.
    fn transform(&mut self) {
        // A silent track costs no transforms; the result is the same.
        if all_zero(&self.frame) {
            self.power.fill(0.0);
            return;
        }
        for (sample, weight) in self.frame.iter_mut().zip(&self.window) {
            *sample *= weight;
        }
        // The lengths are those the plan asked for, which is all that can be wrong.
        let done =
            self.fft
                .process_with_scratch(&mut self.frame, &mut self.spectrum, &mut self.scratch);
        debug_assert!(done.is_ok(), "{done:?}");
        for (power, bin) in self.power.iter_mut().zip(&self.spectrum) {
            *power = bin.re * bin.re + bin.im * bin.im;
        }
    }
}

impl fmt::Debug for Stft {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Stft")
            .field("n_fft", &self.n_fft)
            .field("hop_length", &self.hop_length)
            .field("n_samples", &self.n_samples)
            .field("n_columns", &self.n_columns)
            .finish_non_exhaustive()
    }
}

/// The index within `0..n` at which a signal of `n` samples, reflected as often as needed, has the
/// value of index `i`.
fn reflect(i: i64, n: u64) -> i64 {
    let last = n.cast_signed() - 1;
    if last == 0 {
        return 0;
    }
    let folded = i.rem_euclid(2 * last);
    folded.min(2 * last - folded)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// All columns at once, from a padded copy and a plain Fourier sum: slow and obvious.
    fn direct(signal: &[f32], n_fft: usize, hop: usize) -> Vec<Vec<f64>> {
        let n = signal.len();
        (0..=n / hop)
            .map(|t| {
                (0..=n_fft / 2)
                    .map(|bin| {
                        let (mut re, mut im) = (0.0, 0.0);
                        for i in 0..n_fft {
                            let at = (t * hop + i).cast_signed() as i64
                                - (n_fft / 2).cast_signed() as i64;
                            let turn = std::f64::consts::TAU * i as f64 / n_fft as f64;
                            let x = f64::from(signal[reflect(at, n as u64) as usize])
                                * (0.5 - 0.5 * turn.cos());
                            re += x * (turn * bin as f64).cos();
                            im -= x * (turn * bin as f64).sin();
                        }
                        re * re + im * im
                    })
                    .collect()
            })
            .collect()
    }

    #[test]
    fn every_length_equals_the_direct_sum() {
        for (n_fft, hop) in [(16, 8), (16, 5), (16, 16), (8, 1)] {
            for n in 1..70_usize {
                let signal: Vec<f32> = (0..n).map(|k| ((k * k) as f32 * 0.7).sin()).collect();
                let (mut stft, mut columns) = (Stft::new(n_fft, hop), vec![]);
                for _ in 0..2 {
                    columns.clear();
                    stft.push(&signal, |power| columns.push(power.to_vec()));
                    stft.finish(|power| columns.push(power.to_vec()));
                }
                let expected = direct(&signal, n_fft, hop);
                assert_eq!(columns.len(), expected.len(), "{n} samples, {n_fft}/{hop}");
                for (t, (got, want)) in columns.iter().zip(&expected).enumerate() {
                    for (got, want) in got.iter().zip(want) {
                        let error = (f64::from(*got) - want).abs();
                        assert!(
                            error < 1e-4,
                            "{n} samples, {n_fft}/{hop}, column {t}: {error}"
                        );
                    }
                }
            }
        }
    }

    #[test]
    fn reflection_is_that_of_numpy() {
        // numpy.pad([0, 1, 2], (5, 5), mode="reflect")
        let padded: Vec<i64> = (-5..8).map(|i| reflect(i, 3)).collect();
        assert_eq!(padded, [1, 0, 1, 2, 1, 0, 1, 2, 1, 0, 1, 2, 1]);
        assert_eq!(reflect(-3, 1), 0);
    }

    #[test]
    fn nothing_gives_nothing() {
        let mut stft = Stft::new(512, 256);
        stft.finish(|_| panic!("a column of an empty signal"));
    }
}
