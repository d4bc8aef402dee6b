//! One loudness for every window, so that the volume of a source does not matter.
//!
//! A microphone across the room is 40 dB below a mastered record. A window whose mean mel power is
//! far from what records have is brought nearer, by a shift in whole steps: while loudness wanders
//! within a step, columns keep their values and what was computed of them can be kept.

use serde::{Deserialize, Serialize};

/// How windows are brought to one loudness. All values are on the front end's scale, 20 log10(mel
/// power): 1 dB of level is 2.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Level {
    /// The usual mean mel power of a window. -300 to 300.
    pub target_db: f32,
    /// Windows this far from it, either way, are left as they are: how loud music is says
    /// something, too. Others are brought to the edge. 0 to 300.
    pub band_db: f32,
    /// Shifts are multiples of this. 0.5 to 40.
    pub step_db: f32,
    /// Largest shift either way: what is fainter stays faint. 0 to 300.
    pub most_db: f32,
    /// Cells below this after the shift count as this. -400 to 0.
    pub floor_db: f32,
}

impl Level {
    /// Shift for a window of this mean power: a multiple of [`Level::step_db`], at most
    /// [`Level::most_db`] either way.
    pub fn shift(&self, mean_power: f64) -> f32 {
        let level = 20.0 * mean_power.max(1e-30).log10();
        let away = f64::from(self.target_db) - level;
        let beyond = away.signum() * (away.abs() - f64::from(self.band_db)).max(0.0);
        let steps = (beyond / f64::from(self.step_db)).round();
        let most = (self.most_db / self.step_db).floor();
        self.step_db * (steps as f32).clamp(-most, most)
    }

    /// Shift for the window `columns`, shape `[n_columns, n_mels]`, in dB.
    pub fn shift_of(&self, columns: &[f32], n_mels: usize) -> f32 {
        self.shift(mean(columns.chunks_exact(n_mels).map(power)))
    }

    /// A cell after the shift.
    pub fn apply(&self, db: f32, shift: f32) -> f32 {
        (db + shift).max(self.floor_db)
    }
}

/// Mean of the powers of columns; 0 of none.
pub(super) fn mean(powers: impl Iterator<Item = f32>) -> f64 {
    let (sum, n) = powers.fold((0.0, 0_u32), |(sum, n), power| {
        (sum + f64::from(power), n + 1)
    });
    sum / f64::from(n.max(1))
}

/// Mean mel power of one column in dB.
pub(super) fn power(column: &[f32]) -> f32 {
    let sum: f32 = column.iter().map(|&db| cell_power(db)).sum();
    sum / column.len().max(1) as f32
}

/// The power that stands in a cell as decibels.
pub(super) fn cell_power(db: f32) -> f32 {
    // 10^(dB / 20) as a power of two.
    const OCTAVES: f32 = std::f32::consts::LOG2_10 / 20.0;
    exp2(db * OCTAVES)
}

/// `2^x` to 3e-7, without branches, tables and fused operations: vector code, and the same bits on
/// every machine.
fn exp2(x: f32) -> f32 {
    /// Adding and subtracting it rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    // Far beyond any front end; sums of a column stay finite.
    let x = x.clamp(-126.0, 100.0);
    let whole = (x + ROUND) - ROUND;
    let y = (x - whole) * std::f32::consts::LN_2;
    // exp(y) on -0.35..0.35 by its Taylor series.
    let series = 1.0
        + y * (1.0
            + y * (0.5 + y * (1.0 / 6.0 + y * (1.0 / 24.0 + y * (1.0 / 120.0 + y / 720.0)))));
    f32::from_bits(((whole as i32 + 127) as u32) << 23) * series
}

#[cfg(test)]
mod tests {
    use super::*;

    const LEVEL: Level = Level {
        target_db: -9.0,
        band_db: 12.0,
        step_db: 4.0,
        most_db: 80.0,
        floor_db: -80.0,
    };

    #[test]
    fn powers_are_those_of_the_decibels() {
        for db in [-160.0, -80.0, -30.6, -0.1, 0.0, 3.0, 60.0] {
            let exact = 10_f64.powf(f64::from(db) / 20.0);
            assert!(
                (f64::from(power(&[db; 96])) / exact - 1.0).abs() < 2e-6,
                "{db}"
            );
        }
        assert!(power(&[-1000.0; 96]) < 1e-30 && power(&[1000.0; 96]).is_finite());
    }

    #[test]
    fn volume_beyond_the_band_is_taken_out_in_whole_steps_and_silence_stays_silent() {
        let at = |db: f32| vec![db; 96 * 20];
        for (db, shift) in [
            (-9.0, 0.0),
            (-20.0, 0.0),
            (2.0, 0.0),
            (-33.0, 12.0),
            (15.0, -12.0),
            (-61.0, 40.0),
        ] {
            assert_eq!(LEVEL.shift_of(&at(db), 96), shift, "{db}");
        }
        assert_eq!(LEVEL.shift_of(&at(-160.0), 96), 80.0);
        assert_eq!(LEVEL.shift_of(&[], 96), 80.0);
        assert_eq!(LEVEL.apply(-160.0, 80.0), -80.0);
        assert_eq!(LEVEL.apply(-200.0, 80.0), -80.0);
    }
}
