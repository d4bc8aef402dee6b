//! Which kind of the shown family is named: the finest that is sure, and no flicker between it and
//! its family.

use super::Rules;
use crate::{
    genre::{Labels, Scores},
    units::Seconds,
};

/// Most times that a kind that was given up makes the next one wait longer.
const MOST_GIVEN_UP: u32 = 5;

/// The finest label that is sure by `scores` that were added up ([`Labels::added_up`]): the best
/// family, if its score is not below `threshold`, or its best kind, if that one's score is not,
/// either, and is more than `share` of the family's.
pub fn finest(labels: &Labels, scores: &Scores, threshold: f32, share: f32) -> Option<usize> {
    let (family, score) = labels.of_families(scores).top();
    if score < threshold {
        return None;
    }
    let kind = sure_kind(labels, family, scores, threshold, share);
    Some(kind.unwrap_or(family))
}

fn sure_kind(
    labels: &Labels,
    family: usize,
    scores: &Scores,
    threshold: f32,
    share: f32,
) -> Option<usize> {
    let (kind, score) = labels.best_kind(family, scores)?;
    (score >= threshold && score > share * scores.as_slice()[family]).then_some(kind)
}

/// Names a kind of the family that is shown. Its clock is the stream position.
#[derive(Clone, Debug)]
pub(super) struct KindGate {
    labels: Labels,
    rules: Rules,
    family: Option<usize>,
    shown: Option<usize>,
    /// The kind that would be named, and since when.
    waits: Option<(usize, Seconds)>,
    /// How often a kind was given up since the family is shown.
    given_up: u32,
}

impl KindGate {
    /// A kind that was given up is named again after [`Rules::kind_dwell`], longer each time.
    pub(super) fn new(labels: Labels, rules: Rules) -> Self {
        Self {
            labels,
            rules,
            family: None,
            shown: None,
            waits: None,
            given_up: 0,
        }
    }

    /// The label to show for `family`: a kind of it, or itself. `scores` are added up. A kind that
    /// is shown stays while its score is not below `threshold` and not far below the share that it
    /// needs; to be shown it must be surer by the band, and by `early` where little was heard.
    pub(super) fn choose(
        &mut self,
        family: usize,
        scores: &Scores,
        position: Seconds,
        threshold: f32,
        early: f32,
    ) -> usize {
        if self.family != Some(family) {
            self.forget();
            self.family = Some(family);
        }
        let (band, share) = (self.rules.band, self.rules.kind_share);
        if let Some(shown) = self.shown {
            let score = scores.as_slice()[shown];
            if score >= threshold && score >= (share - band) * scores.as_slice()[family] {
                return shown;
            }
            self.shown = None;
            self.given_up = (self.given_up + 1).min(MOST_GIVEN_UP);
        }
        let enter = threshold + band + early;
        let Some(kind) = sure_kind(&self.labels, family, scores, enter, share + band) else {
            self.waits = None;
            return family;
        };
        let since = match self.waits {
            Some((waiting, since)) if waiting == kind => since,
            _ => position,
        };
        self.waits = Some((kind, since));
        if position.0 - since.0 < f64::from(self.rules.kind_dwell) * f64::from(self.given_up) {
            return family;
        }
        self.waits = None;
        self.shown = Some(kind);
        kind
    }

    /// Something else begins.
    pub(super) fn forget(&mut self) {
        self.family = None;
        self.shown = None;
        self.waits = None;
        self.given_up = 0;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const THRESHOLD: f32 = 0.4;

    fn labels() -> Labels {
        let labels = Labels::new(["electronic", "house", "techno", "rock", "punk"]).unwrap();
        let families = [
            ("house", "electronic"),
            ("techno", "electronic"),
            ("punk", "rock"),
        ];
        labels.with_families(families).unwrap()
    }

    fn gate_with(kind_dwell: f32) -> KindGate {
        let rules = Rules {
            kind_dwell,
            ..Rules::default()
        };
        KindGate::new(labels(), rules)
    }

    fn gate() -> KindGate {
        gate_with(6.0)
    }

    /// Scores of house and techno, and what electronic music has besides.
    fn look(gate: &mut KindGate, house: f32, techno: f32, besides: f32, now: f64) -> usize {
        let rest = 1.0 - house - techno - besides;
        let own = Scores::new(&[besides, house, techno, rest, 0.0]);
        let scores = labels().added_up(&own);
        gate.choose(0, &scores, Seconds(now), THRESHOLD, 0.0)
    }

    #[test]
    fn the_finest_that_is_sure_is_named_and_its_family_otherwise() {
        let named = |own: [f32; 5]| {
            let scores = labels().added_up(&Scores::new(&own));
            finest(&labels(), &scores, THRESHOLD, 0.5)
        };
        assert_eq!(named([0.1, 0.1, 0.6, 0.1, 0.1]), Some(2));
        assert_eq!(
            named([0.1, 0.4, 0.4, 0.05, 0.05]),
            Some(0),
            "house or techno"
        );
        assert_eq!(named([0.6, 0.1, 0.2, 0.05, 0.05]), Some(0));
        assert_eq!(
            named([0.1, 0.1, 0.1, 0.1, 0.3]),
            Some(3),
            "punk is too little"
        );
        assert_eq!(named([0.1, 0.1, 0.1, 0.1, 0.2]), None);
    }

    #[test]
    fn a_kind_needs_its_score_and_its_share() {
        let mut gate = gate();
        // 0.53 of the family: less than the share and the band.
        assert_eq!(look(&mut gate, 0.5, 0.0, 0.45, 1.0), 0);
        for (house, besides) in [(0.45, 0.55), (0.3, 0.05)] {
            let mut gate = self::gate();
            assert_eq!(look(&mut gate, 0.6, 0.0, 0.1, 1.0), 1);
            assert_eq!(look(&mut gate, house, 0.0, besides, 2.0), 0, "{house}");
        }
    }

    #[test]
    fn each_kind_waits_for_itself() {
        let mut gate = gate();
        for (house, techno, now, expected) in [
            (0.6, 0.0, 1.0, 1),
            (0.2, 0.2, 2.0, 0),
            (0.0, 0.6, 10.0, 0),
            (0.6, 0.0, 12.0, 0),
            (0.6, 0.0, 17.0, 0),
            (0.6, 0.0, 18.5, 1),
        ] {
            assert_eq!(look(&mut gate, house, techno, 0.1, now), expected, "{now}");
        }
    }

    #[test]
    fn a_kind_that_hovers_at_its_threshold_does_not_flicker() {
        let mut gate = gate();
        let (mut changes, mut shown) = (0, None);
        for step in 0..400 {
            // Up and down around what it takes, every three seconds.
            let techno = if step % 4 < 2 { 0.52 } else { 0.38 };
            let now = look(&mut gate, 0.1, techno, 0.2, 1.5 * f64::from(step));
            changes += usize::from(shown.replace(now).is_some_and(|before| before != now));
        }
        assert!(changes <= 2, "{changes} changes in ten minutes");
    }

    #[test]
    fn a_kind_that_was_given_up_waits() {
        let named_after = |kind_dwell: f32| {
            let mut gate = gate_with(kind_dwell);
            assert_eq!(look(&mut gate, 0.1, 0.6, 0.1, 0.0), 2);
            assert_eq!(look(&mut gate, 0.1, 0.2, 0.5, 1.5), 0, "given up");
            (2..40).find(|&step| look(&mut gate, 0.1, 0.6, 0.1, 1.5 * f64::from(step)) == 2)
        };
        assert_eq!(
            [0.0, 6.0, 12.0].map(named_after),
            [Some(2), Some(6), Some(10)]
        );
    }

    #[test]
    fn within_the_bands_nothing_changes_and_another_kind_waits() {
        let mut gate = gate();
        assert_eq!(
            look(&mut gate, 0.1, 0.42, 0.1, 0.0),
            0,
            "less than the band"
        );
        assert_eq!(
            look(&mut gate, 0.1, 0.6, 0.1, 1.5),
            2,
            "the first comes at once"
        );
        assert_eq!(look(&mut gate, 0.4, 0.41, 0.05, 3.0), 2, "a close rival");
        assert_eq!(look(&mut gate, 0.7, 0.1, 0.1, 4.5), 0);
        assert_eq!(look(&mut gate, 0.7, 0.1, 0.1, 9.0), 0);
        assert_eq!(look(&mut gate, 0.7, 0.1, 0.1, 10.6), 1);
        let scores = labels().added_up(&Scores::new(&[0.0, 0.0, 0.0, 0.2, 0.8]));
        assert_eq!(
            gate.choose(3, &scores, Seconds(12.0), THRESHOLD, 0.0),
            4,
            "in another family the first comes at once"
        );
        gate.forget();
        assert_eq!(
            gate.choose(3, &scores, Seconds(13.5), THRESHOLD, 0.5),
            3,
            "a guess from the first seconds must be surer"
        );
    }
}
