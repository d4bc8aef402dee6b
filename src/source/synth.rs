//! Music made in code ([`genrescope_synth`]), for the demonstration and for tests.

pub use genrescope_synth::{MAX_SECONDS, Style};

use crate::units::{SampleRate, Seconds};

/// A stereo recording.
#[derive(Clone, Debug, PartialEq)]
pub struct Music {
    /// Its rate.
    pub rate: SampleRate,
    /// Left channel, within -0.9..=0.9.
    pub left: Vec<f32>,
    /// Right channel, as long as the left.
    pub right: Vec<f32>,
}

impl Music {
    /// The mean of both channels.
    pub fn mono(&self) -> Vec<f32> {
        self.left
            .iter()
            .zip(&self.right)
            .map(|(l, r)| 0.5 * (l + r))
            .collect()
    }

    /// Left and right by turns.
    pub fn interleaved(&self) -> Vec<f32> {
        self.left
            .iter()
            .zip(&self.right)
            .flat_map(|(&l, &r)| [l, r])
            .collect()
    }

    /// Fades in over `rise` at the start and out over `fall` at the end.
    pub fn fade(&mut self, rise: Seconds, fall: Seconds) {
        let length = self.left.len();
        let rise = self.rate.samples(rise).max(1) as f32;
        let fall = self.rate.samples(fall).max(1) as f32;
        for i in 0..length {
            let gain = (i as f32 / rise).min((length - i) as f32 / fall).min(1.0);
            self.left[i] *= gain;
            self.right[i] *= gain;
        }
    }
}

/// Plays a piece for `length` (0 to [`MAX_SECONDS`]; beyond, that much) at `rate`. It begins at
/// once and stops where it is; see [`Music::fade`]. Another seed is another take: the same piece
/// with other human errors and another solo.
///
/// ```
/// use genrescope::source::synth::{Style, render};
/// use genrescope::units::{SampleRate, Seconds};
///
/// let rate = SampleRate::new(22_050)?;
/// let music = render(Style::Reggae, rate, Seconds(2.0), 1);
/// assert_eq!(music.left.len(), 44_100);
/// # Ok::<(), genrescope::units::SampleRateError>(())
/// ```
pub fn render(style: Style, rate: SampleRate, length: Seconds, seed: u64) -> Music {
    let (left, right) = genrescope_synth::render(style, rate.hz(), length.0, seed);
    Music { rate, left, right }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::genre::GTZAN;

    #[test]
    fn styles_are_named_as_the_genres_of_the_models() {
        assert_eq!(Style::ALL.map(Style::name), GTZAN);
    }

    #[test]
    fn a_fade_begins_and_ends_with_nothing() {
        let rate = SampleRate::new(8_000).unwrap();
        let mut music = render(Style::Rock, rate, Seconds(1.0), 1);
        let before = music.clone();
        music.fade(Seconds(0.25), Seconds(0.25));
        assert_eq!(music.left[0], 0.0);
        assert!(music.right[7_999].abs() < 0.001);
        assert_eq!(music.left[4_000], before.left[4_000]);
        assert_eq!(music.interleaved().len(), 16_000);
    }
}
