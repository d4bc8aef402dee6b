//! What is said about answers: accuracy with its interval, recall, confusion, calibration, AUROC.

use genrescope::network::{Model, architecture::Activation};
use std::fmt::Write as _;

/// A share of `n` with its 95 % interval (Wilson 1927).
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Share {
    /// How many were right.
    pub right: usize,
    /// Of how many.
    pub n: usize,
    /// `right / n`; 0 of 0.
    pub value: f64,
    /// Lower end.
    pub low: f64,
    /// Upper end.
    pub high: f64,
}

impl Share {
    /// `right` of `n`.
    pub fn new(right: usize, n: usize) -> Self {
        let (low, high) = genrescope::statistics::wilson(right as u64, n as u64);
        Self {
            right,
            n,
            value: right as f64 / n.max(1) as f64,
            low,
            high,
        }
    }
}

impl std::fmt::Display for Share {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            f,
            "{:.1} % ({}/{}; {:.1} to {:.1})",
            100.0 * self.value,
            self.right,
            self.n,
            100.0 * self.low,
            100.0 * self.high
        )
    }
}

/// Answers counted by truth and answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Confusion {
    /// The labels.
    pub labels: Vec<String>,
    /// `counts[truth][answer]`.
    pub counts: Vec<Vec<usize>>,
}

impl Confusion {
    /// Nothing counted yet.
    pub fn new(labels: &[String]) -> Self {
        Self {
            labels: labels.to_vec(),
            counts: vec![vec![0; labels.len()]; labels.len()],
        }
    }

    /// Counts `(truth, answer)` pairs.
    pub fn of(labels: &[String], pairs: impl IntoIterator<Item = (usize, usize)>) -> Self {
        let mut confusion = Self::new(labels);
        for (truth, answer) in pairs {
            confusion.counts[truth][answer] += 1;
        }
        confusion
    }

    /// Share of right answers: micro accuracy.
    pub fn micro(&self) -> Share {
        let right = (0..self.labels.len()).map(|l| self.counts[l][l]).sum();
        Share::new(right, self.counts.iter().flatten().sum())
    }

    /// Share of right answers for each truth; none where there was no example.
    pub fn recalls(&self) -> Vec<Option<f64>> {
        self.counts
            .iter()
            .enumerate()
            .map(|(label, row)| {
                let n: usize = row.iter().sum();
                (n > 0).then(|| row[label] as f64 / n as f64)
            })
            .collect()
    }

    /// Mean recall of the labels that have examples: macro accuracy.
    pub fn macro_accuracy(&self) -> f64 {
        let recalls: Vec<f64> = self.recalls().into_iter().flatten().collect();
        if recalls.is_empty() {
            0.0
        } else {
            recalls.iter().sum::<f64>() / recalls.len() as f64
        }
    }

    /// One line: micro with interval, macro, recall by label.
    pub fn summary(&self) -> String {
        let mut line = format!(
            "micro {}, macro {:.1} %;",
            self.micro(),
            100.0 * self.macro_accuracy()
        );
        for (label, recall) in self.labels.iter().zip(self.recalls()) {
            match recall {
                Some(recall) => drop(write!(line, " {label} {:.0}", 100.0 * recall)),
                None => drop(write!(line, " {label} -")),
            }
        }
        line
    }

    /// Rows in percent, as aligned text.
    pub fn text(&self) -> String {
        let width = self
            .labels
            .iter()
            .map(|l| l.chars().count())
            .max()
            .unwrap_or(5)
            .max(6);
        let mut out = format!("{:width$} ", "");
        for label in &self.labels {
            let short: String = label.chars().take(7).collect();
            let _ = write!(out, "{short:>8}");
        }
        out.push('\n');
        for (label, row) in self.labels.iter().zip(&self.counts) {
            let n: usize = row.iter().sum();
            let _ = write!(out, "{label:width$} ");
            for &count in row {
                if n == 0 {
                    let _ = write!(out, "{:>8}", "-");
                } else {
                    let _ = write!(out, "{:>8.1}", 100.0 * count as f64 / n as f64);
                }
            }
            let _ = writeln!(out, "  (n = {n})");
        }
        out
    }

    /// Counts as CSV: truth in rows, answer in columns.
    pub fn csv(&self) -> String {
        let quote = |text: &str| {
            if text.contains([',', '"', '\n']) {
                format!("\"{}\"", text.replace('"', "\"\""))
            } else {
                text.to_owned()
            }
        };
        let mut out = String::from("truth");
        for label in &self.labels {
            let _ = write!(out, ",{}", quote(label));
        }
        out.push('\n');
        for (label, row) in self.labels.iter().zip(&self.counts) {
            let _ = write!(out, "{}", quote(label));
            for count in row {
                let _ = write!(out, ",{count}");
            }
            out.push('\n');
        }
        out
    }
}

/// `softmax(logits / temperature)`.
pub fn softmax(logits: &[f32], temperature: f32) -> Vec<f32> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let mut scores: Vec<f32> = logits
        .iter()
        .map(|l| ((l - max) / temperature).exp())
        .collect();
    let sum: f32 = scores.iter().sum();
    for score in &mut scores {
        *score /= sum;
    }
    scores
}

/// Index of the largest; the first of equals.
pub fn argmax(values: &[f32]) -> usize {
    let mut best = 0;
    for (i, value) in values.iter().enumerate() {
        if *value > values[best] {
            best = i;
        }
    }
    best
}

/// One bar of a reliability picture.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Bin {
    /// Answers in the bin.
    pub n: usize,
    /// Their mean confidence.
    pub confidence: f64,
    /// Share of them that was right.
    pub accuracy: f64,
}

/// Expected calibration error over ten equal bins of confidence, and the bins (Guo et al. 2017).
pub fn calibration(answers: &[(f32, bool)]) -> (f64, Vec<Bin>) {
    let mut bins = vec![
        Bin {
            n: 0,
            confidence: 0.0,
            accuracy: 0.0
        };
        10
    ];
    for &(confidence, right) in answers {
        let bin = &mut bins[((confidence * 10.0) as usize).min(9)];
        bin.n += 1;
        bin.confidence += f64::from(confidence);
        bin.accuracy += f64::from(u8::from(right));
    }
    let mut error = 0.0;
    for bin in &mut bins {
        if bin.n > 0 {
            bin.confidence /= bin.n as f64;
            bin.accuracy /= bin.n as f64;
            error += bin.n as f64 / answers.len() as f64 * (bin.confidence - bin.accuracy).abs();
        }
    }
    (error, bins)
}

/// How logits are read as scores.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Reading {
    /// Softmax, or the paper's sigmoids divided by their sum.
    pub activation: Activation,
    /// Logits are divided by it first; above 0.
    pub temperature: f32,
}

impl Reading {
    /// As `model` reads its own logits of a whole frame.
    pub fn of(model: &Model) -> Self {
        Self {
            activation: model.card().architecture.head.activation,
            temperature: model.card().decision.temperature,
        }
    }

    /// One score a label, each 0..1; they sum to 1.
    pub fn scores(self, logits: &[f32]) -> Vec<f32> {
        match self.activation {
            Activation::Softmax => softmax(logits, self.temperature),
            Activation::Sigmoid => {
                let mut scores: Vec<f32> = logits
                    .iter()
                    .map(|l| 1.0 / (1.0 + (-l / self.temperature).exp()))
                    .collect();
                let sum = scores.iter().sum::<f32>().max(f32::MIN_POSITIVE);
                for score in &mut scores {
                    *score /= sum;
                }
                scores
            }
        }
    }

    /// The reading with the temperature in 0.2..5 at which the truths have the highest likelihood
    /// (golden section on its logarithm).
    pub fn fitted(activation: Activation, logits: &[Vec<f32>], truths: &[usize]) -> Self {
        Self {
            activation,
            temperature: fit_temperature(activation, logits, truths),
        }
    }
}

fn fit_temperature(activation: Activation, logits: &[Vec<f32>], truths: &[usize]) -> f32 {
    let loss = |log_t: f64| -> f64 {
        let reading = Reading {
            activation,
            temperature: log_t.exp() as f32,
        };
        logits
            .iter()
            .zip(truths)
            .map(|(logits, &truth)| -f64::from(reading.scores(logits)[truth].max(1e-12)).ln())
            .sum()
    };
    let (mut low, mut high) = (0.2f64.ln(), 5.0f64.ln());
    let golden = 0.618_033_988_75;
    for _ in 0..60 {
        let (a, b) = (high - golden * (high - low), low + golden * (high - low));
        if loss(a) < loss(b) {
            high = b;
        } else {
            low = a;
        }
    }
    f64::midpoint(low, high).exp() as f32
}

/// Area under the receiver operating characteristic: the chance that one of `positives` stands
/// above one of `negatives`; equals count half.
pub fn auroc(positives: &[f32], negatives: &[f32]) -> f64 {
    let mut all: Vec<(f32, bool)> = positives.iter().map(|&v| (v, true)).collect();
    all.extend(negatives.iter().map(|&v| (v, false)));
    all.sort_by(|a, b| a.0.total_cmp(&b.0));
    let (mut sum, mut below, mut i) = (0.0, 0usize, 0);
    while i < all.len() {
        let same = all[i..].iter().take_while(|v| v.0 == all[i].0).count();
        let ups = all[i..i + same].iter().filter(|v| v.1).count();
        sum += ups as f64 * (below as f64 + (same - ups) as f64 / 2.0);
        below += same - ups;
        i += same;
    }
    sum / (positives.len() * negatives.len()).max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wilson_is_the_published_one() {
        // 82 of 100: 73 to 88 %.
        let share = Share::new(82, 100);
        assert!(
            (share.low - 0.733).abs() < 1e-3 && (share.high - 0.883).abs() < 1e-3,
            "{share}"
        );
        assert_eq!(Share::new(0, 0).high, 1.0);
        // The interval holds the share, whatever rounding does.
        assert!((1..=600).all(|n| Share::new(n, n).high == 1.0));
    }

    #[test]
    fn macro_passes_over_labels_without_examples() {
        let labels: Vec<String> = ["a", "b", "c"].map(String::from).to_vec();
        let confusion = Confusion::of(&labels, [(0, 0), (0, 0), (0, 1), (0, 0), (1, 1), (1, 0)]);
        assert!((confusion.macro_accuracy() - 0.625).abs() < 1e-12);
        assert_eq!(confusion.micro().right, 4);
        assert_eq!(confusion.csv(), "truth,a,b,c\na,3,1,0\nb,1,1,0\nc,0,0,0\n");
        assert!(confusion.text().contains("75.0"));
    }

    #[test]
    fn temperature_is_found_again() {
        // Truths drawn from the scores of z: logits given as 2 z must come back with temperature 2.
        for activation in [Activation::Softmax, Activation::Sigmoid] {
            let plain = Reading {
                activation,
                temperature: 1.0,
            };
            let mut rng = crate::rng::Rng::at(4, &[]);
            let (mut logits, mut truths) = (Vec::new(), Vec::new());
            for _ in 0..4000 {
                let z: Vec<f32> = (0..4).map(|_| 1.5 * rng.normal()).collect();
                let p = plain.scores(&z);
                let mut u = rng.uniform();
                let truth = p
                    .iter()
                    .position(|p| {
                        u -= p;
                        u < 0.0
                    })
                    .unwrap_or(3);
                truths.push(truth);
                logits.push(z.iter().map(|z| 2.0 * z).collect());
            }
            let t = Reading::fitted(activation, &logits, &truths).temperature;
            assert!((t - 2.0).abs() < 0.2, "{activation:?}: {t}");
        }
    }

    #[test]
    fn calibration_error_of_a_liar() {
        let answers: Vec<(f32, bool)> = (0..100).map(|i| (0.95, i % 2 == 0)).collect();
        assert!((calibration(&answers).0 - 0.45).abs() < 1e-6);
    }

    #[test]
    fn area_under_the_curve() {
        assert_eq!(auroc(&[2.0, 3.0], &[0.0, 1.0]), 1.0);
        assert_eq!(auroc(&[1.0], &[1.0]), 0.5);
        assert_eq!(auroc(&[0.0, 2.0], &[1.0, 3.0]), 0.25);
    }
}
