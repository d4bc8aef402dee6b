//! Is there anything to hear?

use crate::units::{SampleRate, all_zero, sane};

/// Level below which a block is silent whatever came before, in dB relative to full scale (RMS).
/// 16-bit dither is at -98, a quiet room on a sound card's input at -70 to -55, pianissimo strings
/// at -50.
pub const FLOOR_DBFS: f32 = -62.0;

/// A block this far below the recent loudness is silent too, if it is also below
/// [`RELATIVE_BELOW_DBFS`]: the noise of a line input between two songs. Orchestral music stays
/// within about 40 dB.
const RELATIVE_DB: f32 = 42.0;
const RELATIVE_BELOW_DBFS: f32 = -48.0;

/// How much louder than the closing level a block must be to end a silence.
const HYSTERESIS_DB: f32 = 6.0;

/// How fast the recent loudness is forgotten.
const LOUDNESS_DECAY_DB_PER_S: f32 = 0.5;

/// Length of a block.
const BLOCKS_PER_SECOND: u32 = 10;

/// Blocks over which the recent loudness is a median: what is louder for less than half of these 8
/// s, such as a squeal or a dropped microphone, does not make what follows silent.
const LASTING_BLOCKS: usize = 80;

/// A burst is so much louder than what is before and behind it. What one plays so, between quiet
/// bars, is heard anew behind it.
const BURST_DB: f32 = 20.0;

/// Blocks that a burst has at most, those in which its echo fades, and those after which it is
/// over.
const BURST_BLOCKS: usize = 45;
const ECHO_BLOCKS: usize = 5;
const OVER_BLOCKS: usize = 15;

/// Lowest level that is reported.
pub const LOWEST_DBFS: f32 = -120.0;

/// Seconds since a burst began, and since it was over.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Burst {
    /// Since it began.
    pub began_s: f32,
    /// Since its echo had faded.
    pub over_s: f32,
}

/// Measures level in blocks of 0.1 s and tells how long it has been silent.
#[derive(Clone, Debug)]
pub struct SilenceGate {
    floor_dbfs: f32,
    block_len: u32,
    block_s: f32,
    in_block: u32,
    energy: f64,
    /// Energy and samples since the level was last taken.
    hop_energy: f64,
    hop_len: u64,
    loudness_dbfs: f32,
    /// Levels of the newest blocks, in a ring.
    levels: [f32; LASTING_BLOCKS],
    newest: usize,
    silent_blocks: u32,
    sounding_blocks: u32,
    closed: bool,
}

impl SilenceGate {
    /// A gate for samples at `rate`, open, with nothing heard yet.
    pub fn new(rate: SampleRate, floor_dbfs: f32) -> Self {
        let block_len = (rate.hz() / BLOCKS_PER_SECOND).max(1);
        Self {
            floor_dbfs,
            block_len,
            block_s: block_len as f32 / rate.hz() as f32,
            in_block: 0,
            energy: 0.0,
            hop_energy: 0.0,
            hop_len: 0,
            loudness_dbfs: LOWEST_DBFS,
            levels: [LOWEST_DBFS; LASTING_BLOCKS],
            newest: 0,
            silent_blocks: 0,
            sounding_blocks: 0,
            closed: false,
        }
    }

    /// Takes mono samples, made [`sane`]. Other blocks of the same stream give another rounding; a
    /// stream comes in even chunks.
    pub fn push(&mut self, samples: &[f32]) {
        if all_zero(samples) {
            self.push_zeros(samples.len());
            return;
        }
        let mut rest = samples;
        while !rest.is_empty() {
            let to_end = (self.block_len - self.in_block) as usize;
            let (now, later) = rest.split_at(rest.len().min(to_end));
            self.energy += energy(now);
            self.in_block += now.len() as u32;
            if self.in_block == self.block_len {
                self.close_block();
            }
            rest = later;
        }
    }

    /// Zeros have no energy: they are counted.
    fn push_zeros(&mut self, mut n: usize) {
        while n > 0 {
            let now = n.min((self.block_len - self.in_block) as usize);
            self.in_block += now as u32;
            if self.in_block == self.block_len {
                self.close_block();
            }
            n -= now;
        }
    }

    fn close_block(&mut self) {
        let level = dbfs(self.energy / f64::from(self.in_block));
        self.hop_energy += self.energy;
        self.hop_len += u64::from(self.in_block);
        self.energy = 0.0;
        self.in_block = 0;
        self.newest = (self.newest + 1) % LASTING_BLOCKS;
        self.levels[self.newest] = level;
        let faded = self.loudness_dbfs - LOUDNESS_DECAY_DB_PER_S * self.block_s;
        self.loudness_dbfs = faded.max(self.lasting_level());
        let relative = (self.loudness_dbfs - RELATIVE_DB).min(RELATIVE_BELOW_DBFS);
        let threshold =
            self.floor_dbfs.max(relative) + if self.closed { HYSTERESIS_DB } else { 0.0 };
        if level < threshold {
            self.silent_blocks = self.silent_blocks.saturating_add(1);
            self.sounding_blocks = 0;
        } else {
            self.sounding_blocks = self.sounding_blocks.saturating_add(1);
            // A click in a silence does not end it; three blocks of sound do.
            if !self.closed || self.sounding_blocks >= 3 {
                self.silent_blocks = 0;
                self.closed = false;
            }
        }
        if self.seconds() >= SILENT_AFTER_S {
            self.closed = true;
        }
    }

    /// The level that half of the newest blocks exceed.
    fn lasting_level(&self) -> f32 {
        let mut levels = self.levels;
        let (_, median, _) = levels.select_nth_unstable_by(LASTING_BLOCKS / 2, f32::total_cmp);
        *median
    }

    /// A burst, such as a squeal or a dropped microphone, that is over, told once. What is heard
    /// now must not be measured by it.
    pub fn burst_is_over(&mut self) -> Option<Burst> {
        let age = |blocks: usize| (self.newest + LASTING_BLOCKS - blocks) % LASTING_BLOCKS;
        let level = |blocks: usize| self.levels[age(blocks)];
        let peak = self.levels.iter().copied().fold(LOWEST_DBFS, f32::max);
        let is_quiet = |blocks: usize| level(blocks) <= peak - BURST_DB;
        let last = (0..LASTING_BLOCKS).find(|&blocks| level(blocks) > peak - 0.5 * BURST_DB)?;
        let first = (last..LASTING_BLOCKS).find(|&blocks| is_quiet(blocks))?;
        let is_over = last >= OVER_BLOCKS
            && first - last <= BURST_BLOCKS
            && (0..last - ECHO_BLOCKS).all(is_quiet)
            && (first..LASTING_BLOCKS).take(OVER_BLOCKS).all(is_quiet);
        // Of a bark in a silent room the burst is all there is.
        if self.closed || self.silent_blocks > 0 || !is_over {
            return None;
        }
        let now = level(0);
        for blocks in last - ECHO_BLOCKS..first {
            self.levels[age(blocks)] = now;
        }
        Some(Burst {
            began_s: first as f32 * self.block_s,
            over_s: (last - ECHO_BLOCKS) as f32 * self.block_s,
        })
    }

    /// Seconds of silence up to now; 0 while there is sound.
    pub fn seconds(&self) -> f32 {
        self.silent_blocks as f32 * self.block_s
    }

    /// Has it been silent for [`SILENT_AFTER_S`]?
    pub fn is_silent(&self) -> bool {
        self.closed
    }

    /// Level since the last call, in dBFS (RMS), at least [`LOWEST_DBFS`].
    pub fn take_level(&mut self) -> f32 {
        let energy = self.hop_energy + self.energy;
        let len = self.hop_len + u64::from(self.in_block);
        self.hop_energy = 0.0;
        self.hop_len = 0;
        if len == 0 {
            LOWEST_DBFS
        } else {
            dbfs(energy / len as f64)
        }
    }

    /// Forgets everything.
    pub fn reset(&mut self) {
        *self = Self {
            in_block: 0,
            energy: 0.0,
            hop_energy: 0.0,
            hop_len: 0,
            loudness_dbfs: LOWEST_DBFS,
            levels: [LOWEST_DBFS; LASTING_BLOCKS],
            newest: 0,
            silent_blocks: 0,
            sounding_blocks: 0,
            closed: false,
            ..*self
        };
    }
}

/// Seconds without sound after which a stream is silent: longer than a general pause, shorter than
/// the gap that listeners hear as one (2 s on records).
pub const SILENT_AFTER_S: f32 = 1.5;

/// Sum of the squares, side by side: one after the other each would wait for the one before.
fn energy(samples: &[f32]) -> f64 {
    let square = |&sample: &f32| sane(sample).powi(2);
    let part = |part: &[f32]| {
        let (lanes, rest) = part.as_chunks::<16>();
        let mut sums = [0.0_f32; 16];
        for values in lanes {
            for (sum, value) in sums.iter_mut().zip(values) {
                *sum += square(value);
            }
        }
        f64::from(sums.iter().sum::<f32>() + rest.iter().map(square).sum::<f32>())
    };
    // Few at a time, so that f32 is exact enough.
    samples.chunks(256).map(part).sum()
}

fn dbfs(mean_square: f64) -> f32 {
    ((10.0 * mean_square.max(1e-30).log10()) as f32).max(LOWEST_DBFS)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(seconds: f32, amplitude: f32) -> Vec<f32> {
        (0..(seconds * 12_000.0) as usize)
            .map(|i| amplitude * (i as f32 * 0.3).sin())
            .collect()
    }

    fn gate() -> SilenceGate {
        SilenceGate::new(SampleRate::new(12_000).unwrap(), FLOOR_DBFS)
    }

    #[test]
    fn silence_closes_after_its_time_and_sound_opens() {
        let mut gate = gate();
        gate.push(&tone(5.0, 0.5));
        assert!(!gate.is_silent());
        gate.push(&tone(1.4, 0.0));
        assert!(!gate.is_silent());
        gate.push(&tone(0.2, 0.0));
        assert!(gate.is_silent());
        gate.push(&tone(0.15, 0.5));
        assert!(gate.is_silent(), "a click does not end a silence");
        gate.push(&tone(0.5, 0.5));
        assert!(!gate.is_silent());
    }

    #[test]
    fn zeros_are_counted_as_if_they_were_summed() {
        // In one block with sound, zeros are summed; in blocks of their own, they are counted.
        let signal = [tone(2.03, 0.5), tone(3.17, 0.0), tone(0.61, 0.1)].concat();
        let mut summed = gate();
        summed.push(&signal);
        for block in [1, 7, 256, 1199, 1200, 1201, 5000] {
            let mut counted = gate();
            for part in signal.chunks(block) {
                counted.push(part);
            }
            let whole = |gate: &SilenceGate| {
                let (silent, sounding) = (gate.silent_blocks, gate.sounding_blocks);
                (gate.in_block, gate.hop_len, silent, sounding, gate.closed)
            };
            assert_eq!(whole(&counted), whole(&summed), "{block}");
            for (a, b) in counted.levels.iter().zip(&summed.levels) {
                assert!((a - b).abs() < 1e-4, "{block}: {a} and {b} dBFS");
            }
        }
    }

    #[test]
    fn a_quiet_passage_is_not_silence_but_line_noise_after_music_is() {
        let mut quiet = gate();
        quiet.push(&tone(10.0, 0.5));
        quiet.push(&tone(10.0, 0.5 * 10_f32.powf(-36.0 / 20.0)));
        assert!(
            !quiet.is_silent(),
            "36 dB below the loudest is a pianissimo"
        );
        let mut noise = gate();
        noise.push(&tone(10.0, 0.5));
        noise.push(&tone(3.0, 0.5 * 10_f32.powf(-46.0 / 20.0)));
        assert!(
            noise.is_silent(),
            "46 dB below the music, under -48 dBFS, is the noise between songs"
        );
    }

    #[test]
    fn a_squeal_does_not_make_quiet_music_silent() {
        let quiet = 10_f32.powf(-48.0 / 20.0);
        let mut gate = gate();
        gate.push(&tone(20.0, quiet));
        gate.push(&tone(2.0, 1.0));
        for second in 0..30 {
            gate.push(&tone(1.0, quiet));
            assert!(!gate.is_silent(), "{second} s after it");
        }
        let mut first = super::tests::gate();
        first.push(&tone(2.0, 1.0));
        first.push(&tone(10.0, quiet));
        assert!(!first.is_silent(), "nor as the first thing that is heard");
    }

    /// Seconds behind the burst at which it is told, and what is told.
    fn burst(before: f32, length: f32, db: f32) -> Vec<(usize, f32)> {
        let mut gate = gate();
        let quiet = 10_f32.powf(-36.0 / 20.0);
        gate.push(&tone(before, quiet));
        gate.push(&tone(length, quiet * 10_f32.powf(db / 20.0)));
        let told = |tenths: usize| {
            gate.push(&tone(0.1, quiet));
            gate.burst_is_over().map(|burst| {
                let lasted = burst.began_s - burst.over_s;
                assert!((lasted - length - 0.5).abs() < 0.21, "{lasted} {length}");
                (tenths + 1, burst.over_s)
            })
        };
        (0..100).filter_map(told).collect()
    }

    #[test]
    fn a_burst_is_over_once_and_loud_music_is_none() {
        for (before, length) in [(20.0, 2.0), (0.0, 2.0), (2.0, 0.3), (20.0, 4.3)] {
            let told = burst(before, length, 34.0);
            assert_eq!(told.len(), 1, "{before} {length}: {told:?}");
            let (tenths, seconds) = told[0];
            assert!((15..=17).contains(&tenths), "{told:?}");
            let since = tenths as f32 / 10.0 - seconds;
            assert!(
                (0.3..0.8).contains(&since),
                "its echo is left out: {told:?}"
            );
        }
        assert_eq!(burst(20.0, 2.0, 18.0), [], "louder, and no burst");
        assert_eq!(burst(20.0, 6.0, 34.0), [], "music");
        assert_eq!(burst(0.0, 30.0, 34.0), [], "music that is over");
        let mut alone = gate();
        alone.push(&tone(0.4, 0.3));
        for _ in 0..50 {
            alone.push(&tone(0.1, 1e-4));
            assert_eq!(alone.burst_is_over(), None, "a bark in a silent room");
        }
    }

    #[test]
    fn a_fade_does_not_flicker() {
        let mut gate = gate();
        let (mut changes, mut before) = (0, false);
        for step in 0..600 {
            let db = -12.0 - step as f32 * 0.12 + if step % 2 == 0 { 1.5 } else { -1.5 };
            gate.push(&tone(0.1, 10_f32.powf(db / 20.0)));
            changes += u32::from(gate.is_silent() != before);
            before = gate.is_silent();
        }
        assert_eq!(changes, 1);
        assert!(before);
    }

    #[test]
    fn level_is_rms_and_survives_nan() {
        let mut gate = gate();
        gate.push(&tone(1.0, 1.0));
        assert!((gate.take_level() + 3.01).abs() < 0.05);
        gate.push(&[f32::NAN; 100]);
        assert_eq!(gate.take_level(), LOWEST_DBFS);
    }
}
