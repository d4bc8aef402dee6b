//! What a song was, as a whole.

use genrescope::decision::Reason;

use super::History;

/// For how long each genre was shown, and for how long none was.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Summary {
    /// All that was heard, in seconds.
    pub heard_s: f64,
    /// Genres and their seconds, the longest first.
    pub genres: Vec<(usize, f64)>,
    /// Why none was named, and for how many seconds, the longest first.
    pub unnamed: Vec<(Reason, f64)>,
}

impl Summary {
    /// Of all that is kept.
    pub fn of(history: &History) -> Self {
        let mut summary = Self::default();
        for span in history.iter() {
            let length = span.length();
            summary.heard_s += length;
            match span.genre {
                Some(genre) => add(&mut summary.genres, genre, length),
                // A readout without a genre says why; this is what it says of music.
                None => add(
                    &mut summary.unnamed,
                    span.reason.unwrap_or(Reason::LowScore),
                    length,
                ),
            }
        }
        summary.genres.sort_by(|a, b| b.1.total_cmp(&a.1));
        summary.unnamed.sort_by(|a, b| b.1.total_cmp(&a.1));
        summary
    }

    /// Seconds with a genre.
    pub fn named_s(&self) -> f64 {
        self.genres.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Seconds without one.
    pub fn unnamed_s(&self) -> f64 {
        self.unnamed.iter().map(|(_, seconds)| seconds).sum()
    }

    /// Which share of all that was heard so many seconds are, 0 to 1.
    pub fn share(&self, seconds: f64) -> f32 {
        if self.heard_s > 0.0 {
            (seconds / self.heard_s) as f32
        } else {
            0.0
        }
    }
}

fn add<T: PartialEq>(times: &mut Vec<(T, f64)>, what: T, length: f64) {
    match times.iter_mut().find(|(known, _)| *known == what) {
        Some((_, sum)) => *sum += length,
        None => times.push((what, length)),
    }
}

#[cfg(test)]
mod tests {
    use super::{super::song, *};

    #[test]
    fn each_genre_has_its_time_and_each_reason_too() {
        let summary = Summary::of(&song());
        // 4 s of warming up, 10 of metal, 6 of rock, 3 of silence, 2 of metal again.
        assert_eq!(summary.heard_s, 25.0);
        assert_eq!(summary.genres, [(1, 12.0), (2, 6.0)]);
        assert_eq!(
            summary.unnamed,
            [(Reason::TooLittleHeard, 4.0), (Reason::Silence, 3.0)]
        );
        assert_eq!((summary.named_s(), summary.unnamed_s()), (18.0, 7.0));
        assert_eq!(summary.share(12.0), 0.48);
        assert_eq!(Summary::of(&History::default()).share(0.0), 0.0);
    }
}
