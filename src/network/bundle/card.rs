//! What a model says of itself.

use std::{collections::BTreeMap, fmt};

use serde::{Deserialize, Serialize};

use super::ModelError;
use crate::{
    front_end::{FrontEndConfig, FrontEndError},
    genre::{KIND_OF, Labels},
    network::architecture::{Architecture, Pooling, in_range},
    units::Seconds,
};

/// What a model says of itself: everything in the metadata of its file.
#[derive(Clone, Debug, PartialEq)]
pub struct ModelCard {
    /// Short name, such as `genrescope-cnn-1`.
    pub name: String,
    /// What must be said first of all (a development file, a research licence); empty if nothing.
    pub notice: String,
    /// How the network is built.
    pub architecture: Architecture,
    /// Its labels, in output order.
    pub labels: Labels,
    /// The front end its weights were trained with.
    pub front_end: FrontEndConfig,
    /// How scores become decisions, unless the user says otherwise.
    pub decision: DecisionDefaults,
    /// What it was trained on.
    pub data: String,
    /// How it was trained: command, epochs, augmentation.
    pub recipe: String,
    /// What was measured, each with its interval.
    pub accuracies: Vec<Accuracy>,
    /// Licence of the weights (SPDX where there is one).
    pub licence: String,
    /// Whose work it rests on.
    pub credits: String,
    /// Digest of the file, 64 hexadecimal digits; empty in a card that was not read from a file.
    pub sha256: String,
}

/// How scores become decisions, as fitted with the model. [`DecisionDefaults::more`] takes what
/// later versions add.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct DecisionDefaults {
    /// Scores are `softmax(logits / temperature)`; fitted so that confidence is accuracy. 0.05 to
    /// 20.
    #[serde(default = "default_temperature")]
    pub temperature: f32,
    /// The same by seconds heard, `[seconds, temperature]` in rising order: little audio wants a
    /// wider score. Between two of them it goes with the logarithm of the seconds; empty:
    /// [`DecisionDefaults::temperature`] throughout.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub temperatures: Vec<[f32; 2]>,
    /// Below this score of the best label the answer is "unsure". 0 to 1.
    #[serde(default = "default_unsure_threshold")]
    pub unsure_threshold: f32,
    /// Below this probability of music nothing is named, where the model can tell. 0 to 1.
    #[serde(default = "default_music_threshold")]
    pub music_threshold: f32,
    /// Below this probability of music no genre is named, though it may still be music ("unsure").
    /// 0 to 1.
    #[serde(default = "default_doubt_threshold")]
    pub doubt_threshold: f32,
    /// Further defaults by name; unknown ones are kept and ignored.
    #[serde(flatten)]
    pub more: BTreeMap<String, serde_json::Value>,
}

fn default_temperature() -> f32 {
    1.0
}

fn default_unsure_threshold() -> f32 {
    0.35
}

fn default_doubt_threshold() -> f32 {
    0.5
}

fn default_music_threshold() -> f32 {
    0.5
}

impl DecisionDefaults {
    /// Every number in words, for people.
    fn summary(&self) -> String {
        let mut words = vec![format!("temperature {:.3}", self.temperature)];
        if !self.temperatures.is_empty() {
            let by_seconds: Vec<String> = self
                .temperatures
                .iter()
                .map(|[seconds, temperature]| format!("{temperature:.2} after {seconds:.0} s"))
                .collect();
            words.push(format!("({})", by_seconds.join(", ")));
        }
        let mut words = vec![words.join(" ")];
        for (name, value) in [
            ("unsure below", self.unsure_threshold),
            ("not music below", self.music_threshold),
            ("no genre below", self.doubt_threshold),
        ] {
            words.push(format!("{name} {value:.2}"));
        }
        for (name, value) in &self.more {
            let value = match value.as_f64() {
                Some(number) => format!("{number:.3}"),
                None => value.to_string(),
            };
            words.push(format!("{} {value}", name.replace('_', " ")));
        }
        words.join(", ")
    }
}

impl Default for DecisionDefaults {
    fn default() -> Self {
        Self {
            temperature: default_temperature(),
            temperatures: Vec::new(),
            unsure_threshold: default_unsure_threshold(),
            music_threshold: default_music_threshold(),
            doubt_threshold: default_doubt_threshold(),
            more: BTreeMap::new(),
        }
    }
}

impl DecisionDefaults {
    /// The temperature for scores of `heard` of audio.
    pub fn temperature_at(&self, heard: Seconds) -> f32 {
        let heard = heard.0 as f32;
        let after = self.temperatures.partition_point(|[at, _]| *at < heard);
        match (
            after.checked_sub(1).and_then(|i| self.temperatures.get(i)),
            self.temperatures.get(after),
        ) {
            (Some([low, a]), Some([high, b])) => {
                a + (b - a) * (heard / low).ln() / (high / low).ln()
            }
            (Some([_, only]), None) | (None, Some([_, only])) => *only,
            (None, None) => self.temperature,
        }
    }
}

/// One measured figure with its 95 % interval.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Accuracy {
    /// What was counted, such as `frames, micro, int8`.
    pub what: String,
    /// On what material.
    pub data: String,
    /// By which split.
    pub split: String,
    /// Size of the sample.
    pub n: u64,
    /// Share that was right, 0 to 1.
    pub value: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl ModelCard {
    /// Checks every number against what can be built.
    pub(super) fn check(&self) -> Result<(), ModelError> {
        let (architecture, front_end) = (&self.architecture, &self.front_end);
        check_front_end(front_end)?;
        architecture.check(front_end.n_mels)?;
        if let Some(tagger) = &architecture.tagger {
            tagger.check(front_end.sample_rate)?;
        }
        check_decision(&self.decision)?;
        for accuracy in &self.accuracies {
            let Accuracy {
                what,
                value,
                low,
                high,
                ..
            } = accuracy;
            if !(0.0 <= *low && low <= value && value <= high && *high <= 1.0) {
                let found = format!("{low} to {high} around {value}");
                return Err(ModelError::field(
                    format!("accuracies: {what}"),
                    found,
                    "shares of 1, in order",
                ));
            }
        }
        Ok(())
    }

    /// The labels, side by side; or a family a line, with its kinds.
    fn labels_in_words(&self) -> String {
        let labels = &self.labels;
        let list = |of: &mut dyn Iterator<Item = usize>| -> String {
            let names: Vec<&str> = of.filter_map(|index| labels.get(index)).collect();
            names.join(", ")
        };
        if !labels.has_families() {
            return list(&mut (0..labels.len()));
        }
        let top = (0..labels.len()).filter(|&index| labels.family_of(index).is_none());
        let (with, without): (Vec<usize>, Vec<usize>) =
            top.partition(|&family| labels.kinds_of(family).next().is_some());
        let mut lines: Vec<String> = with
            .into_iter()
            .map(|family| {
                let kinds = list(&mut labels.kinds_of(family));
                format!("{}{KIND_OF}{kinds}", labels.get(family).unwrap_or_default())
            })
            .collect();
        lines.push(list(&mut without.into_iter()));
        lines.join("\n")
    }
}

impl fmt::Display for ModelCard {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Architecture {
            blocks,
            pooling,
            statistics,
            head,
            ..
        } = &self.architecture;
        writeln!(f, "{}", self.name)?;
        if !self.notice.is_empty() {
            writeln!(f, "\n  {}", self.notice)?;
        }
        writeln!(f)?;
        let mut line = |what: &str, text: &str| {
            let text = text.trim_end();
            let text = if text.is_empty() { "not said" } else { text };
            for (index, part) in text.lines().enumerate() {
                writeln!(f, "  {:<13}{part}", if index == 0 { what } else { "" })?;
            }
            Ok(())
        };
        line("labels", &self.labels_in_words())?;
        let trunk: Vec<String> = blocks
            .iter()
            .map(|block| format!("{} ({}x{})", block.filters, block.pool[0], block.pool[1]))
            .collect();
        // Without a statistic of it, nothing of the first trunk reaches the head.
        let unheard = *pooling == Pooling::None && statistics.is_empty();
        if !unheard {
            line(
                "trunk",
                &format!(
                    "convolutions 3x3 (pool frequency x time): {}",
                    trunk.join(", ")
                ),
            )?;
        }
        let mut top = match pooling {
            Pooling::Flatten => "flattened".to_owned(),
            Pooling::Gru { units } => format!("GRU {units:?}"),
            Pooling::None if unheard => "the second trunk alone".to_owned(),
            Pooling::None => "statistics only".to_owned(),
        };
        if !statistics.is_empty() {
            let list: Vec<String> = statistics
                .iter()
                .map(|s| {
                    format!("{:?} of block {} in {} groups", s.kind, s.block, s.groups)
                        .to_lowercase()
                })
                .collect();
            top = format!("{top}; {}", list.join(", "));
        }
        if let Some(hidden) = head.hidden {
            top = format!("{top}; dense {hidden}");
        }
        line(
            "head",
            &format!("{top}; {:?}", head.activation).to_lowercase(),
        )?;
        if let Some(tagger) = &self.architecture.tagger {
            line(
                "second trunk",
                &format!(
                    "MobileNet of {} blocks, {} values and {} groups of its {} classes, {} mel bands x {} columns, {:.1} s",
                    tagger.blocks.len(),
                    tagger.embedding,
                    tagger.groups.len(),
                    tagger.classes.len(),
                    tagger.front_end.n_mels,
                    tagger.segment_columns,
                    tagger.segment_columns as f64 / tagger.front_end.columns_per_second(),
                ),
            )?;
        }
        let front_end = &self.front_end;
        let seconds = (self.architecture.frame_columns.saturating_sub(1) * front_end.hop_length)
            as f64
            / f64::from(front_end.sample_rate.max(1));
        line(
            "frame",
            &format!(
                "{} mel bands x {} columns, {seconds:.2} s at {} Hz (FFT {}, hop {}, {} to {} Hz, floor {} dB)",
                front_end.n_mels,
                self.architecture.frame_columns,
                front_end.sample_rate,
                front_end.n_fft,
                front_end.hop_length,
                front_end.fmin_hz,
                front_end.fmax_hz,
                front_end.floor_db
            ),
        )?;
        line("decision", &self.decision.summary())?;
        let mut measured_on = None;
        for accuracy in &self.accuracies {
            let on = (&accuracy.data, &accuracy.split);
            if measured_on != Some(on) {
                line(
                    "measured on",
                    &format!("{}, {} (95 % intervals)", accuracy.data, accuracy.split),
                )?;
                measured_on = Some(on);
            }
            line(
                "",
                &format!(
                    "{:5.1} % ({:.1} to {:.1}, n = {})  {}",
                    100.0 * accuracy.value,
                    100.0 * accuracy.low,
                    100.0 * accuracy.high,
                    accuracy.n,
                    accuracy.what,
                ),
            )?;
        }
        line("data", &self.data)?;
        line("recipe", &self.recipe)?;
        line("licence", &self.licence)?;
        line("credits", &self.credits)?;
        line("sha256", &self.sha256)
    }
}

/// What can be built, and no larger than any model needs.
fn check_front_end(front_end: &FrontEndConfig) -> Result<(), ModelError> {
    front_end.validate().map_err(
        |FrontEndError::Field {
             field,
             value,
             allowed,
         }| { ModelError::field(format!("front_end.{field}"), value, allowed) },
    )?;
    in_range("front_end.n_fft", front_end.n_fft, 64, 8_192)?;
    in_range("front_end.hop_length", front_end.hop_length, 16, 8_192)?;
    in_range("front_end.n_mels", front_end.n_mels, 8, 256)
}

fn check_decision(decision: &DecisionDefaults) -> Result<(), ModelError> {
    if !(0.05..=20.0).contains(&decision.temperature) {
        return Err(ModelError::field(
            "decision.temperature",
            decision.temperature,
            "0.05 to 20",
        ));
    }
    in_range(
        "decision.temperatures: number",
        decision.temperatures.len(),
        0,
        64,
    )?;
    let mut before = 0.0;
    for [seconds, temperature] in &decision.temperatures {
        let rising = *seconds > before && *seconds <= 3_600.0;
        if !rising || !(0.05..=20.0).contains(temperature) {
            return Err(ModelError::field(
                "decision.temperatures",
                format!("[{seconds}, {temperature}]"),
                "[seconds, temperature]: seconds rising, above 0; temperature 0.05 to 20",
            ));
        }
        before = *seconds;
    }
    if !(0.0..=1.0).contains(&decision.music_threshold) {
        return Err(ModelError::field(
            "decision.music_threshold",
            decision.music_threshold,
            "0 to 1",
        ));
    }
    if !(0.0..=1.0).contains(&decision.doubt_threshold) {
        return Err(ModelError::field(
            "decision.doubt_threshold",
            decision.doubt_threshold,
            "0 to 1",
        ));
    }
    if !(0.0..=1.0).contains(&decision.unsure_threshold) {
        return Err(ModelError::field(
            "decision.unsure_threshold",
            decision.unsure_threshold,
            "0 to 1",
        ));
    }
    Ok(())
}
