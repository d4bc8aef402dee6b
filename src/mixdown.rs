//! Several channels become one: their mean, or what is left of them when those that stand on their
//! head are turned round, while they cancel each other out.
//!
//! A balanced line in a stereo socket, a cable with two wires swapped or a "wide" mix gives a left
//! and a right that are each other's negative: plain to every ear, and silence to whoever adds them
//! up. Of two channels, half the difference is heard then; of more, each is turned round that runs
//! against the loudest.
#![deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]

#[cfg(any(feature = "file", test))]
use crate::units::all_zero;
use crate::units::sane;

/// Frames after which it is judged anew which of the two is heard: 85 ms at 48 kHz. They are
/// counted from the beginning of the stream, so that the block size changes nothing.
const CELL: usize = 4_096;

/// One frame in so many is looked at: 241 of a cell are enough for a ratio of powers. A prime, so
/// that no tone falls into step with it.
const STRIDE: usize = 17;

/// The difference is heard when it has this many times the power of the mean (26 dB): no mix that
/// is meant to be heard in mono comes near.
const CANCELLED: f64 = 400.0;

/// The mean is heard again when the difference has less than this many times its power (20 dB).
const RESTORED: f64 = 100.0;

/// Channels that may be turned round. Those beyond are taken as they are.
const MAX_CHANNELS: usize = 64;

/// Which of mean and difference is heard of a stream, and what is known of them since it was judged
/// last.
#[derive(Clone, Debug, Default)]
pub struct Mixdown {
    /// Frames since then.
    n: usize,
    mean: Spread,
    difference: Spread,
    /// It is the difference that is heard.
    differs: bool,
    /// Of streams of more than two channels.
    many: Many,
}

/// How far samples are from their mean: an offset is no sound, and has no say. In `f64`, as a small
/// sound on a large offset is the difference of large numbers.
#[derive(Clone, Copy, Debug, Default)]
struct Spread {
    sum: f64,
    squares: f64,
}

impl Spread {
    fn add(&mut self, sample: f32) {
        let sample = f64::from(sample);
        self.sum += sample;
        self.squares += sample * sample;
    }

    /// The power of `n` samples about their mean.
    fn power(&self, n: f64) -> f64 {
        (self.squares - self.sum * self.sum / n.max(1.0)).max(0.0)
    }
}

/// What is known of each of many channels.
#[derive(Clone, Debug)]
struct Many {
    /// 1, or -1 for a channel that is turned round.
    signs: [f32; MAX_CHANNELS],
    spread: [Spread; MAX_CHANNELS],
    /// Its product with the channel `loudest`, which was it in the last cell.
    product: [f64; MAX_CHANNELS],
    loudest: usize,
}

impl Default for Many {
    fn default() -> Self {
        Self {
            signs: [1.0; MAX_CHANNELS],
            spread: [Spread::default(); MAX_CHANNELS],
            product: [0.0; MAX_CHANNELS],
            loudest: 0,
        }
    }
}

impl Many {
    /// Turns round what runs against the loudest channel, or nothing, for a new cell.
    fn judge(&mut self, differs: bool, n: f64) {
        let reference = self.spread[self.loudest].sum / n.max(1.0);
        let (mut loudest, mut most) = (0, 0.0);
        for channel in 0..MAX_CHANNELS {
            let spread = &self.spread[channel];
            let against = differs && self.product[channel] < spread.sum * reference;
            self.signs[channel] = if against { -1.0 } else { 1.0 };
            let power = spread.power(n);
            if power > most {
                (loudest, most) = (channel, power);
            }
        }
        self.loudest = loudest;
        self.spread = [Spread::default(); MAX_CHANNELS];
        self.product = [0.0; MAX_CHANNELS];
    }
}

impl Mixdown {
    /// Mixes as many frames of `n_channels` samples as `mono` has room for. Samples are made
    /// [`sane`] on the way.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    #[cfg(any(feature = "file", test))]
    pub fn interleaved(&mut self, samples: &[f32], n_channels: usize, mono: &mut [f32]) {
        let n_frames = mono
            .len()
            .min(samples.len().checked_div(n_channels).unwrap_or(0));
        let (Some(samples), Some(mono)) = (
            samples.get(..n_frames * n_channels),
            mono.get_mut(..n_frames),
        ) else {
            return;
        };
        // Silence of many channels costs a look.
        if all_zero(samples) {
            mono.fill(0.0);
            self.advance(n_frames);
            return;
        }
        match n_channels {
            0 => {}
            1 => {
                for (to, &from) in mono.iter_mut().zip(samples) {
                    *to = sane(from);
                }
            }
            2 => self.stereo(samples.as_chunks().0, mono),
            n => {
                for (out, frame) in mono.iter_mut().zip(samples.chunks_exact(n)) {
                    *out = self.frame(n, frame.iter().copied());
                }
            }
        }
    }

    /// One frame of `n_channels` samples, however they lie. Samples are made [`sane`] on the way.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn frame(
        &mut self,
        n_channels: usize,
        frame: impl Iterator<Item = f32> + Clone,
    ) -> f32 {
        let frame = frame.map(sane);
        let known = n_channels.min(MAX_CHANNELS);
        if self.n.is_multiple_of(STRIDE) {
            let loudest = self.many.loudest.min(known.saturating_sub(1));
            let reference = frame.clone().nth(loudest).unwrap_or(0.0);
            let mut sum = 0.0;
            let totals = self.many.spread.iter_mut().zip(&mut self.many.product);
            for (sample, (spread, of_product)) in frame.clone().take(known).zip(totals) {
                sum += sample;
                spread.add(sample);
                *of_product += f64::from(sample) * f64::from(reference);
            }
            self.mean.add(sum);
        }
        let sum: f32 = if self.differs {
            // Channels beyond the known ones are taken as they are.
            let signs = self.many.signs.iter().copied().take(known);
            let signs = signs.chain(std::iter::repeat(1.0));
            frame.zip(signs).map(|(sample, sign)| sign * sample).sum()
        } else {
            frame.sum()
        };
        self.advance(1);
        sum * (1.0 / n_channels.max(1) as f32)
    }

    /// Mixes as many `frames`, left and right each, as `mono` has room for. Samples are made
    /// [`sane`] on the way.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn stereo(&mut self, frames: &[[f32; 2]], mono: &mut [f32]) {
        let (mut frames, mut mono) = (frames, mono);
        while !frames.is_empty() && !mono.is_empty() {
            let n = frames.len().min(mono.len()).min(CELL - self.n);
            let (now, later) = frames.split_at(n);
            let (out, rest) = mono.split_at_mut(n);
            // A product by 1 or -1 is exact.
            let sign = if self.differs { -1.0 } else { 1.0 };
            for (out, &[left, right]) in out.iter_mut().zip(now) {
                *out = (sane(left) + sign * sane(right)) * 0.5;
            }
            let first = (STRIDE - self.n % STRIDE) % STRIDE;
            for &[left, right] in now.iter().skip(first).step_by(STRIDE) {
                let (left, right) = (sane(left), sane(right));
                self.mean.add(left + right);
                self.difference.add(left - right);
            }
            self.advance(n);
            (frames, mono) = (later, rest);
        }
    }

    /// As [`Mixdown::stereo`] with so many frames of zeros.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn advance(&mut self, n: usize) {
        // More than one cell at a time is silence, which changes nothing after the first.
        if n >= CELL - self.n {
            self.judge();
        }
        self.n = (self.n + n) % CELL;
    }

    /// At the end of a cell.
    fn judge(&mut self) {
        const LOOKS: f64 = CELL.div_ceil(STRIDE) as f64;
        let least = if self.differs { RESTORED } else { CANCELLED };
        let (mut mean, mut difference) = (self.mean.power(LOOKS), self.difference.power(LOOKS));
        // Of more than two channels: what their mean leaves out.
        let powers = self.many.spread.iter().map(|spread| spread.power(LOOKS));
        let (n, power) = powers.fold((0.0, 0.0), |(n, sum), power| {
            (n + f64::from(u8::from(power > 0.0)), sum + power)
        });
        if n > 0.0 {
            mean /= n * n;
            difference = (power / n - mean).max(0.0);
        }
        if mean + difference > 0.0 {
            self.differs = difference > least * mean;
            self.many.judge(self.differs, LOOKS);
        }
        (self.mean, self.difference) = (Spread::default(), Spread::default());
    }
}

#[cfg(test)]
#[expect(
    clippy::disallowed_methods,
    clippy::disallowed_macros,
    reason = "tests run on no audio thread"
)]
mod tests {
    use super::*;
    use crate::random::Random;

    fn mixed(frames: &[[f32; 2]], block: usize) -> Vec<f32> {
        let mut mixdown = Mixdown::default();
        let mut mono = vec![0.0; frames.len()];
        for (frames, mono) in frames.chunks(block).zip(mono.chunks_mut(block)) {
            mixdown.stereo(frames, mono);
        }
        mono
    }

    /// Noise of two channels, the right one that of the left times `gain`, and some of its own.
    fn noise(n: usize, gain: f32, own: f32) -> Vec<[f32; 2]> {
        let mut random = Random::new(1);
        (0..n)
            .map(|_| {
                let left = random.sample();
                [left, gain * left + own * random.sample()]
            })
            .collect()
    }

    #[test]
    fn channels_that_cancel_are_heard() {
        // Swapped wires, exactly and with 1 % of crosstalk and hiss.
        for own in [0.0, 0.01] {
            let frames = noise(3 * CELL, -1.0, own);
            let mono = mixed(&frames, 512);
            for (i, &[left, right]) in frames.iter().enumerate() {
                let expected = if i < CELL { left + right } else { left - right };
                assert_eq!(mono[i], expected * 0.5, "frame {i}");
            }
        }
    }

    /// An offset is no sound: what is heard is told by what moves.
    #[test]
    fn offsets_change_nothing() {
        for (gain, sign) in [(1.0, 1.0), (-1.0, -1.0)] {
            for offsets in [[0.4, -0.4], [0.4, 0.4], [-0.3, 0.0]] {
                let quiet = |[left, right]: [f32; 2]| {
                    [0.003 * left + offsets[0], 0.003 * right + offsets[1]]
                };
                let frames: Vec<_> = noise(3 * CELL, gain, 0.02).into_iter().map(quiet).collect();
                let mono = mixed(&frames, 512);
                for (mono, [left, right]) in mono[CELL..].iter().zip(&frames[CELL..]) {
                    assert_eq!(*mono, (left + sign * right) * 0.5, "{gain} {offsets:?}");
                }
                // The same on four channels.
                let four: Vec<f32> = frames.iter().flat_map(|&[a, b]| [a, b, a, b]).collect();
                let mut mono = vec![0.0; frames.len()];
                Mixdown::default().interleaved(&four, 4, &mut mono);
                let spread = |mono: &[f32]| {
                    let mut spread = Spread::default();
                    for &sample in mono {
                        spread.add(sample);
                    }
                    spread.power(mono.len() as f64) / mono.len() as f64
                };
                let heard = spread(&mono[CELL..]);
                assert!(heard > 2e-6, "{gain} {offsets:?}: {heard}");
            }
        }
    }

    #[test]
    fn everything_else_is_the_mean() {
        // Mono, one side alone, unrelated sides, a wide mix whose difference is 14 dB above its
        // mean.
        for (gain, own) in [(1.0, 0.0), (0.0, 0.0), (0.0, 1.0), (-0.67, 0.0)] {
            let frames = noise(4 * CELL, gain, own);
            for (mono, [left, right]) in mixed(&frames, 512).iter().zip(&frames) {
                assert_eq!(*mono, (left + right) * 0.5);
            }
        }
    }

    #[test]
    fn the_mean_comes_back_and_silence_changes_nothing() {
        let mut frames = noise(2 * CELL, -1.0, 0.0);
        frames.extend(vec![[0.0; 2]; 5 * CELL + 100]);
        frames.extend(noise(CELL, -1.0, 0.0));
        let wired_anew = frames.len();
        frames.extend(noise(3 * CELL, 1.0, 0.0));
        let mono = mixed(&frames, 700);
        assert!(
            mono[wired_anew - CELL..wired_anew]
                .iter()
                .all(|&x| x != 0.0)
        );
        let last = mono.len() - CELL;
        for (mono, [left, _]) in mono[last..].iter().zip(&frames[last..]) {
            assert_eq!(mono, left);
        }
        // The same with the silence counted instead of mixed.
        let mut mixdown = Mixdown::default();
        let mut counted = vec![0.0; frames.len()];
        let silence = 2 * CELL..7 * CELL + 100;
        mixdown.stereo(&frames[..silence.start], &mut counted[..silence.start]);
        mixdown.advance(silence.len());
        mixdown.stereo(&frames[silence.end..], &mut counted[silence.end..]);
        assert_eq!(counted, mono);
    }

    #[test]
    fn blocks_of_any_size_give_the_same() {
        let mut frames = noise(CELL + 77, -1.0, 0.02);
        frames.extend(noise(2 * CELL, 0.8, 0.1));
        frames.extend(noise(2 * CELL, -0.95, 0.01));
        let whole = mixed(&frames, frames.len());
        for block in [1, 6, 7, 16, 17, 256, 4_095, 4_097] {
            assert_eq!(mixed(&frames, block), whole, "blocks of {block}");
        }
    }

    #[test]
    fn foreign_values_do_not_pass() {
        let mut frames = noise(3 * CELL, -1.0, 0.0);
        frames[17] = [f32::NAN, f32::INFINITY];
        frames[34] = [1e30, -1e30];
        let mono = mixed(&frames, 512);
        assert!(mono.iter().all(|x| x.is_finite()));
        assert_eq!(mono[17], 0.0);
    }

    #[test]
    fn many_channels_that_cancel_in_pairs_are_heard() {
        let (front, back) = (noise(4 * CELL, 0.0, 1.0), noise(4 * CELL, 0.3, 0.5));
        let quad = |at: usize| {
            let ([a, _], [_, b]) = (front[at], back[at]);
            [a, -a, b, -b]
        };
        let samples: Vec<f32> = (0..front.len()).flat_map(quad).collect();
        let mut whole = vec![0.0; front.len()];
        Mixdown::default().interleaved(&samples, 4, &mut whole);
        let power = |mono: &[f32]| mono.iter().map(|x| x * x).sum::<f32>() / mono.len() as f32;
        assert!(power(&whole[..CELL]) < 1e-9, "{}", power(&whole[..CELL]));
        let heard = power(&whole[2 * CELL..]);
        assert!(heard > 0.05, "{heard}");
        // In blocks of any size, the same.
        let (mut split, mut mixdown) = (vec![0.0; whole.len()], Mixdown::default());
        for (samples, mono) in samples.chunks(4 * 100).zip(split.chunks_mut(100)) {
            mixdown.interleaved(samples, 4, mono);
        }
        assert_eq!(split, whole);
        // Channels that do not cancel are the mean, as ever.
        let plain: Vec<f32> = (0..front.len())
            .flat_map(|at| [front[at][0], back[at][0], 0.5])
            .collect();
        Mixdown::default().interleaved(&plain, 3, &mut whole);
        assert_eq!(
            whole[3 * CELL],
            (front[3 * CELL][0] + back[3 * CELL][0] + 0.5) * (1.0 / 3.0)
        );
    }
}
