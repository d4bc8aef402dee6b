//! A stream cut evenly, however it was split into blocks.

/// Samples in a chunk: between two looks at the silence gate.
pub(crate) const CHUNK: usize = 256;

/// Cuts a stream into chunks of [`CHUNK`] samples, so that level and columns meet at the same samples whatever the blocks were.
#[derive(Clone, Debug, Default)]
pub(crate) struct Chunks {
    waiting: Vec<f32>,
}

impl Chunks {
    pub(crate) fn new() -> Self {
        Self {
            waiting: Vec::with_capacity(CHUNK),
        }
    }

    /// Takes a block of any size and hands on each chunk that it fills.
    pub(crate) fn push(&mut self, mut samples: &[f32], mut take: impl FnMut(&[f32])) {
        while !samples.is_empty() {
            let free = CHUNK - self.waiting.len();
            let (now, later) = samples.split_at(samples.len().min(free));
            self.waiting.extend_from_slice(now);
            samples = later;
            if self.waiting.len() == CHUNK {
                take(&self.waiting);
                self.waiting.clear();
            }
        }
    }

    /// The stream ends: hands on what was waiting, less than a chunk.
    pub(crate) fn finish(&mut self, take: impl FnOnce(&[f32])) {
        take(&self.waiting);
        self.waiting.clear();
    }

    /// Forgets what was waiting.
    pub(crate) fn clear(&mut self) {
        self.waiting.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blocks_do_not_matter() {
        let samples: Vec<f32> = (0..1000).map(|i| i as f32).collect();
        for block in [1, 255, 256, 257, 1000] {
            let mut chunks = Chunks::new();
            let mut seen: Vec<Vec<f32>> = Vec::new();
            for part in samples.chunks(block) {
                chunks.push(part, |chunk| seen.push(chunk.to_vec()));
            }
            chunks.finish(|rest| seen.push(rest.to_vec()));
            let lengths: Vec<usize> = seen.iter().map(Vec::len).collect();
            assert_eq!(lengths, [256, 256, 256, 232]);
            assert_eq!(seen.concat(), samples);
        }
    }
}
