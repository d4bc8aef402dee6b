//! What goes wrong with feeds, told once each, and told again when it is over.

use std::time::{Duration, Instant};

use crate::sink::{SinkRunner, SinkStats};

/// A receiver counts as back when it has been for this long: the answers of closed ports come
/// irregularly.
const STEADY: Duration = Duration::from_secs(3);

/// What was told of each feed.
#[derive(Debug)]
pub(super) struct Troubles {
    told: Vec<Told>,
    /// The feed whose end is the program's, and told with it.
    apart: Option<usize>,
}

#[derive(Clone, Debug, Default)]
struct Told {
    /// What is wrong, as it was told.
    wrong: Option<String>,
    /// Errors of the feed that were seen.
    errors: u64,
    /// Since when nothing is wrong any more.
    well: Option<Instant>,
}

impl Troubles {
    /// Nothing was told yet. What is wrong with the feed at `apart` never is.
    pub(super) fn new(apart: Option<usize>) -> Self {
        Self {
            told: Vec::new(),
            apart,
        }
    }

    /// What there is to say now.
    pub(super) fn news(&mut self, feeds: &[SinkRunner], now: Instant) -> Vec<String> {
        self.told.resize(feeds.len(), Told::default());
        let told = self.told.iter_mut().zip(feeds).enumerate();
        told.filter(|(index, _)| Some(*index) != self.apart)
            .filter_map(|(_, (told, feed))| told.news(feed.name(), &feed.stats(), now))
            .collect()
    }
}

impl Told {
    fn news(&mut self, name: &str, stats: &SinkStats, now: Instant) -> Option<String> {
        let failed = std::mem::replace(&mut self.errors, stats.errors) != stats.errors;
        let wrong = if stats.unheard {
            let (kind, target) = name.split_once(' ').unwrap_or(("feed", name));
            Some(format!(
                "nobody listens at {target} ({kind}); it is sent to all the same"
            ))
        } else if failed || !stats.connected {
            stats.last_error.clone()
        } else {
            None
        };
        if let Some(wrong) = wrong {
            self.well = None;
            let is_news = self.wrong.as_ref() != Some(&wrong);
            return is_news.then(|| self.wrong.insert(wrong).clone());
        }
        self.wrong.as_ref()?;
        let well = *self.well.get_or_insert(now);
        if now.saturating_duration_since(well) < STEADY {
            return None;
        }
        self.wrong = None;
        Some(format!("{name}: reached again"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_refuses_is_told_once_and_again_when_it_is_back() {
        let start = Instant::now();
        let mut told = Told::default();
        let mut news = |unheard, seconds| {
            let stats = SinkStats {
                connected: true,
                unheard,
                ..SinkStats::default()
            };
            let now = start + Duration::from_secs(seconds);
            told.news("osc 127.0.0.1:9000", &stats, now)
        };
        assert_eq!(news(false, 0), None);
        let nobody = "nobody listens at 127.0.0.1:9000 (osc); it is sent to all the same";
        assert_eq!(news(true, 1).as_deref(), Some(nobody));
        assert_eq!(news(true, 2), None, "once");
        assert_eq!(news(false, 3), None, "one answer may be missing");
        assert_eq!(news(true, 4), None);
        assert_eq!(news(false, 5), None);
        let back = "osc 127.0.0.1:9000: reached again";
        assert_eq!(news(false, 9).as_deref(), Some(back));
        assert_eq!(news(false, 10), None);
        assert_eq!(news(true, 11).as_deref(), Some(nobody));
    }

    #[test]
    fn an_error_is_told_until_it_is_over() {
        let start = Instant::now();
        let mut told = Told::default();
        let mut news = |errors, connected, seconds| {
            let stats = SinkStats {
                connected,
                errors,
                last_error: Some("nobody listens at lights:9996 (os2l)".into()),
                ..SinkStats::default()
            };
            told.news(
                "os2l lights:9996",
                &stats,
                start + Duration::from_secs(seconds),
            )
        };
        assert!(news(1, false, 0).is_some());
        assert_eq!(news(2, false, 1), None);
        assert_eq!(news(2, true, 2), None);
        assert_eq!(
            news(2, true, 6).as_deref(),
            Some("os2l lights:9996: reached again")
        );
        // An old error says nothing of the present.
        assert_eq!(news(2, true, 7), None);
        assert!(news(3, false, 8).is_some());
    }
}
