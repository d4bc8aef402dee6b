//! Where the host's song stands, so that the history can say so.

use std::sync::atomic::{AtomicU64, Ordering};

use genrescope::{
    units::Seconds,
    words::{Words, fill},
};
use nice_plug::prelude::Transport;

/// A place in the host's song.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct SongTime {
    /// Seconds since its beginning.
    pub seconds: f64,
    /// Bars, from 1, and how many there are in a second, where the host counts them.
    pub bars: Option<(f64, f64)>,
}

impl SongTime {
    /// So many seconds before.
    #[must_use]
    pub fn earlier(self, by: f64) -> Self {
        Self {
            seconds: self.seconds - by,
            bars: self.bars.map(|(bar, per_s)| (bar - by * per_s, per_s)),
        }
    }

    /// The same place, but for rounding, in the same tempo.
    pub(crate) fn is_about(self, other: Self) -> bool {
        let near = |a: f64, b: f64| (a - b).abs() < 0.01;
        near(self.seconds, other.seconds)
            && match (self.bars, other.bars) {
                (None, None) => true,
                (Some((a, a_per_s)), Some((b, b_per_s))) => near(a, b) && near(a_per_s, b_per_s),
                _ => false,
            }
    }

    /// `1:23, bar 45`; before the song begins with a minus.
    pub fn words(self, words: &Words) -> String {
        let sign = if self.seconds <= -1.0 { "−" } else { "" };
        let time = format!("{sign}{}", Seconds(self.seconds.abs()));
        match self.bars {
            Some((bar, _)) => {
                let bar = format!("{:.0}", bar.floor());
                format!("{time}, {}", fill(words.bar, &[("bar", &bar)]))
            }
            None => time,
        }
    }
}

/// From stream time to the song's. Written by the audio thread with each block, read by anyone.
///
/// While a song plays, all three numbers stay as they are, so that it does not matter in which
/// order they are read: only a jump or a change of tempo may be seen half, for one readout.
#[derive(Debug)]
pub(crate) struct SongClock {
    /// Song time less stream time, in seconds; NaN while it is unknown. As bits, like the others.
    ahead_s: AtomicU64,
    /// Bars at the beginning of the stream, had the song always played; NaN while they are unknown.
    bars: AtomicU64,
    bars_per_s: AtomicU64,
}

impl Default for SongClock {
    fn default() -> Self {
        let unknown = || AtomicU64::new(f64::NAN.to_bits());
        Self {
            ahead_s: unknown(),
            bars: unknown(),
            bars_per_s: unknown(),
        }
    }
}

#[deny(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::disallowed_macros
)]
impl SongClock {
    /// A block begins `stream_s` seconds into the stream. A song that stands is nowhere.
    ///
    /// # Real-time
    /// Safe on the audio thread.
    pub(crate) fn note(&self, transport: &Transport, stream_s: f64) {
        let playing = |value: Option<f64>| value.filter(|_| transport.playing);
        let ahead_s = playing(transport.pos_seconds()).map(|at| at - stream_s);
        let quarters = match (transport.time_sig_numerator, transport.time_sig_denominator) {
            (Some(beats @ 1..), Some(unit @ 1..)) => Some(4.0 * f64::from(beats) / f64::from(unit)),
            _ => None,
        };
        let bars = playing(transport.tempo).and_then(|tempo| {
            let quarters = quarters?;
            let within = (transport.pos_beats()? - transport.bar_start_pos_beats()?) / quarters;
            let per_s = tempo / 60.0 / quarters;
            let at = f64::from(transport.bar_number()?) + 1.0 + within;
            Some((at - stream_s * per_s, per_s))
        });
        let (bars, per_s) = bars.unwrap_or((f64::NAN, f64::NAN));
        let store = |to: &AtomicU64, value: f64| to.store(value.to_bits(), Ordering::Relaxed);
        store(&self.ahead_s, ahead_s.unwrap_or(f64::NAN));
        store(&self.bars, bars);
        store(&self.bars_per_s, per_s);
    }

    /// Where the song stood `stream_s` seconds into the stream.
    pub(crate) fn at(&self, stream_s: f64) -> Option<SongTime> {
        let load = |from: &AtomicU64| f64::from_bits(from.load(Ordering::Relaxed));
        let seconds = load(&self.ahead_s) + stream_s;
        let per_s = load(&self.bars_per_s);
        let bar = load(&self.bars) + stream_s * per_s;
        seconds.is_finite().then(|| SongTime {
            seconds,
            bars: bar.is_finite().then_some((bar, per_s)),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use genrescope::words::Language;

    #[test]
    fn a_song_that_plays_has_a_time_and_bars() {
        let clock = SongClock::default();
        assert_eq!(clock.at(3.0), None);
        let mut transport = Transport::new(48_000.0);
        transport.playing = true;
        transport.pos_seconds = Some(60.0);
        // Without a tempo there are no bars.
        clock.note(&transport, 10.0);
        let at = clock.at(12.0).unwrap();
        assert_eq!((at.seconds, at.bars), (62.0, None));
        assert_eq!(at.words(Language::English.words()), "1:02");
        // Two seconds are a bar of 4/4 at 120.
        transport.tempo = Some(120.0);
        (transport.time_sig_numerator, transport.time_sig_denominator) = (Some(4), Some(4));
        transport.pos_beats = Some(121.0);
        transport.bar_start_pos_beats = Some(120.0);
        transport.bar_number = Some(30);
        clock.note(&transport, 10.0);
        let at = clock.at(12.0).unwrap();
        assert!((at.bars.unwrap().0 - 32.25).abs() < 1e-9, "{at:?}");
        assert_eq!(at.words(Language::English.words()), "1:02, bar 32");
        // What was heard before the block, too.
        assert_eq!(
            clock.at(0.0).unwrap().words(Language::English.words()),
            "0:50, bar 26"
        );
        assert_eq!(
            at.earlier(12.0).words(Language::English.words()),
            "0:50, bar 26"
        );
        transport.playing = false;
        clock.note(&transport, 11.0);
        assert_eq!(clock.at(11.0), None);
        // A host's nonsense.
        transport.playing = true;
        transport.time_sig_denominator = Some(0);
        clock.note(&transport, 11.0);
        assert_eq!(clock.at(11.0).unwrap().bars, None);
    }

    #[test]
    fn long_songs_have_hours_and_count_ins_a_minus() {
        let words = |seconds| {
            SongTime {
                seconds,
                bars: None,
            }
            .words(Language::English.words())
        };
        assert_eq!(words(3_725.9), "1:02:05");
        assert_eq!(words(-2.5), "−0:02");
        assert_eq!(words(-0.4), "0:00");
    }
}
