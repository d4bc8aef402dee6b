//! A stream cut evenly, however it was split into blocks, and without its offset.

use crate::units::{SampleRate, all_zero, sane};

/// Samples in a chunk: between two looks at the silence gate.
pub(crate) const CHUNK: usize = 256;

/// Below this frequency, in Hz, a stream is an offset that drifts. At 20 Hz, where music begins,
/// 0.04 dB are lost.
const OFFSET_BELOW_HZ: f64 = 2.0;

/// Takes away what does not sound: an offset would be a level to the silence gate, and the lowest
/// band to the network. A high-pass of one pole that begins at the first sample, so that an offset
/// is no step.
#[derive(Clone, Copy, Debug, Default)]
struct OffsetFilter {
    keep: f64,
    /// The newest sample, and what was made of it; none before the first.
    newest: Option<(f64, f64)>,
}

impl OffsetFilter {
    fn new(rate: SampleRate) -> Self {
        let angle = std::f64::consts::TAU * OFFSET_BELOW_HZ / f64::from(rate.hz());
        Self {
            keep: 1.0 - angle,
            newest: None,
        }
    }

    /// Filters in place, and makes samples [`sane`].
    fn run(&mut self, samples: &mut [f32]) {
        // Long silence costs nothing, and leaves a filter that has come to rest as it is.
        if self.newest.is_none_or(|newest| newest == (0.0, 0.0)) && all_zero(samples) {
            return;
        }
        let Some(&first) = samples.first() else {
            return;
        };
        let (mut before, mut out) = self.newest.unwrap_or((f64::from(sane(first)), 0.0));
        let keep = self.keep;
        let keeps = [keep, keep.powi(2), keep.powi(3), keep.powi(4)];
        let (fours, rest) = samples.as_chunks_mut::<4>();
        // Four outputs at once of the one before them, so that not each must wait for its
        // neighbour.
        for four in fours {
            let now = four.map(|sample| f64::from(sane(sample)));
            let mut steps = [
                now[0] - before,
                now[1] - now[0],
                now[2] - now[1],
                now[3] - now[2],
            ];
            for k in 1..4 {
                steps[k] += keep * steps[k - 1];
            }
            for ((to, step), keep) in four.iter_mut().zip(steps).zip(keeps) {
                *to = (step + keep * out) as f32;
            }
            out = steps[3] + keeps[3] * out;
            before = now[3];
        }
        for sample in rest {
            let now = f64::from(sane(*sample));
            out = now - before + keep * out;
            before = now;
            *sample = out as f32;
        }
        // -240 dBFS: at rest, and no denormal.
        if out.abs() < 1e-12 {
            out = 0.0;
        }
        self.newest = Some((before, out));
    }
}

/// Cuts a stream into chunks of [`CHUNK`] samples, so that level and columns meet at the same
/// samples whatever the blocks were, and takes its offset away.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    waiting: Vec<f32>,
    offset: OffsetFilter,
}

impl Chunks {
    /// For a stream at `rate`.
    pub(crate) fn new(rate: SampleRate) -> Self {
        Self {
            waiting: Vec::with_capacity(CHUNK),
            offset: OffsetFilter::new(rate),
        }
    }

    /// Takes a block of any size and hands on each chunk that it fills, made [`sane`].
    pub(crate) fn push(&mut self, mut samples: &[f32], mut take: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let free = CHUNK - self.waiting.len();
            let (now, later) = samples.split_at(samples.len().min(free));
            self.waiting.extend_from_slice(now);
            samples = later;
            if self.waiting.len() == CHUNK {
                self.offset.run(&mut self.waiting);
                take(&self.waiting);
                self.waiting.clear();
            }
        }
    }

    /// The stream ends: hands on what was waiting, less than a chunk.
    pub(crate) fn finish(&mut self, take: impl FnOnce(&[f32])) {
        self.offset.run(&mut self.waiting);
        take(&self.waiting);
        self.clear();
    }

    /// Forgets what was waiting: something else begins.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
        self.offset.newest = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rate() -> SampleRate {
        SampleRate::new(12_000).unwrap()
    }

    /// What comes out, chunk by chunk, of blocks of this length.
    fn cut(samples: &[f32], block: usize) -> Vec<Vec<f32>> {
        let mut chunks = Chunks::new(rate());
        let mut seen: Vec<Vec<f32>> = Vec::new();
        for part in samples.chunks(block) {
            chunks.push(part, |chunk| seen.push(chunk.to_vec()));
        }
        chunks.finish(|rest| seen.push(rest.to_vec()));
        seen
    }

    #[test]
    fn blocks_do_not_matter() {
        let samples: Vec<f32> = (0..1000).map(|i| (i as f32 * 0.3).sin() + 0.2).collect();
        let whole = cut(&samples, 1000);
        let lengths: Vec<usize> = whole.iter().map(Vec::len).collect();
        assert_eq!(lengths, [256, 256, 256, 232]);
        for block in [1, 255, 256, 257] {
            assert_eq!(cut(&samples, block), whole);
        }
    }

    #[test]
    fn an_offset_is_gone_and_a_tone_stays() {
        let tone: Vec<f32> = (0..24_000).map(|i| (i as f32 * 0.02).sin()).collect();
        let lifted: Vec<f32> = tone.iter().map(|s| 0.3 + 0.5 * s).collect();
        let power = |s: &[f32]| s.iter().map(|s| s * s).sum::<f32>() / s.len() as f32;
        let out = cut(&lifted, 500).concat();
        // 0.02 rad a sample are 38 Hz.
        let ratio = power(&out[12_000..]) / power(&tone[12_000..]);
        assert!((ratio / 0.25 - 1.0).abs() < 0.01, "{ratio}");
        assert_eq!(cut(&[0.3; 1000], 100).concat(), [0.0; 1000]);
    }

    #[test]
    fn after_sound_it_comes_to_rest_in_silence() {
        let mut chunks = Chunks::new(rate());
        chunks.push(&[0.9; 100], |_| {});
        chunks.push(&[f32::NAN; 56], |_| {});
        for _ in 0..12_000 {
            chunks.push(&[0.0; 64], |_| {});
        }
        assert_eq!(chunks.offset.newest, Some((0.0, 0.0)));
    }
}
