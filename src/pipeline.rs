//! Front end, network and decision in one: single-threaded, deterministic, without input or output.

use std::sync::Arc;

use thiserror::Error;

use crate::{
    chunks::Chunks,
    decision::{
        Decision, DecisionConfig, DecisionError, Observation, Preset, Readout, average::Mean,
        change::ChangeDetector, silence::SilenceGate,
    },
    front_end::{FrontEnd, FrontEndError, Picture},
    network::{Model, Network, bundle::DecisionDefaults},
    units::{SampleRate, Seconds},
};

/// How a stream becomes readouts.
#[derive(Clone, Debug, PartialEq)]
pub struct PipelineConfig {
    /// Time between scores; rounded up to whole steps of the model ([`Model::step_columns`]).
    /// Default: 1.2 s, which is one step of the CNN (1.365 s) and of the CRNN (2.048 s).
    pub hop: Seconds,
    /// How scores become a readout.
    pub decision: DecisionConfig,
}

impl Default for PipelineConfig {
    fn default() -> Self {
        Self {
            hop: Seconds(1.2),
            decision: DecisionConfig::default(),
        }
    }
}

/// Why a pipeline could not be built.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum PipelineError {
    /// The model asks for a front end that cannot be built.
    #[error(transparent)]
    FrontEnd(#[from] FrontEndError),
    /// A setting of the decision is out of its range.
    #[error(transparent)]
    Decision(#[from] DecisionError),
    /// The hop is out of its range.
    #[error("hop = {seconds} s is out of range (0 to 60 s)")]
    Hop {
        /// The hop that was asked for.
        seconds: f64,
    },
}

/// A silence this long ends a song: what was heard before it is forgotten. Shorter than the 2 s
/// between two songs of a record, longer than a general pause.
const SILENCE_ENDS_SONG: Seconds = Seconds(1.8);

/// What is kept of the window when something new begins (talk is over, the song changed): two steps
/// of the CNN. A change is told some four seconds late, and of what came before the new song
/// nothing must stay.
const KEPT_ON_CHANGE: Seconds = Seconds(2.75);

/// One stream from samples to readouts.
#[derive(Debug)]
pub struct Pipeline {
    model: Arc<Model>,
    rate: SampleRate,
    front_end: FrontEnd,
    state: Listening,
    chunks: Chunks,
}

/// Everything behind the front end.
#[derive(Debug)]
struct Listening {
    network: Network,
    decision: Decision,
    gate: SilenceGate,
    change: ChangeDetector,
    defaults: DecisionDefaults,
    hop_columns: usize,
    /// Length of a column in seconds.
    column_s: f64,
    /// Columns since the network was last emptied.
    in_network: usize,
    /// Columns since the last readout.
    since_readout: usize,
    /// Stream position of the next column, in seconds before the first column of the current front
    /// end.
    origin: Seconds,
    n_columns: u64,
    longest_silence: f32,
    /// The newest column.
    newest: Vec<f32>,
}

impl Pipeline {
    /// A pipeline for mono input at `rate`.
    ///
    /// # Errors
    /// [`PipelineError`] naming the setting that is out of range, with its value.
    pub fn new(
        model: &Arc<Model>,
        rate: SampleRate,
        config: PipelineConfig,
    ) -> Result<Self, PipelineError> {
        if !(0.0..=60.0).contains(&config.hop.0) {
            return Err(PipelineError::Hop {
                seconds: config.hop.0,
            });
        }
        let numbers = model.front_end();
        let front_end = model.listen(rate)?;
        let defaults = &model.card().decision;
        let silence_dbfs = config.decision.silence_dbfs;
        let decision = Decision::new(model.labels(), config.decision, defaults)?;
        let column_s = model.column().0;
        let steps = (config.hop.0 / column_s / model.step_columns() as f64)
            .ceil()
            .max(1.0);
        Ok(Self {
            model: Arc::clone(model),
            rate,
            front_end,
            state: Listening {
                network: Network::new(model),
                decision,
                gate: SilenceGate::new(rate, silence_dbfs),
                change: ChangeDetector::new(model),
                defaults: defaults.clone(),
                hop_columns: steps as usize * model.step_columns(),
                column_s,
                in_network: 0,
                since_readout: 0,
                origin: Seconds(0.0),
                n_columns: 0,
                longest_silence: 0.0,
                newest: Vec::with_capacity(numbers.n_mels),
            },
            chunks: Chunks::new(rate),
        })
    }

    /// Takes mono samples in blocks of any size and calls `on_readout` for each new readout (one
    /// per hop). The same samples give the same readouts, however they are split. Samples are made
    /// [`sane`](crate::units::sane) first.
    pub fn push(&mut self, samples: &[f32], mut on_readout: impl FnMut(&Readout)) {
        let (front_end, state) = (&mut self.front_end, &mut self.state);
        self.chunks.push(samples, |chunk| {
            state.take_chunk(chunk, front_end, &mut on_readout);
        });
    }

    /// The stream ends: what was waiting is flushed. Further samples begin a new stream.
    pub fn finish(&mut self, mut on_readout: impl FnMut(&Readout)) {
        let (front_end, state) = (&mut self.front_end, &mut self.state);
        self.chunks
            .finish(|rest| state.take_chunk(rest, front_end, &mut on_readout));
        front_end.finish_pictures(|picture, column| {
            state.take_column(picture, column, &mut on_readout);
        });
    }

    /// The newest readout.
    pub fn readout(&self) -> Readout {
        *self.state.decision.readout()
    }

    /// The newest column of the mel picture, `20 log10` of powers; empty before the first. For
    /// meters.
    pub fn column(&self) -> &[f32] {
        &self.state.newest
    }

    /// The model that listens.
    pub fn model(&self) -> &Arc<Model> {
        &self.model
    }

    /// Rate of the samples that are pushed.
    pub fn rate(&self) -> SampleRate {
        self.rate
    }

    /// Time between readouts.
    pub fn hop(&self) -> Seconds {
        Seconds(self.state.hop_columns as f64 * self.state.column_s)
    }

    /// The same in mel columns.
    pub fn hop_columns(&self) -> usize {
        self.state.hop_columns
    }

    /// Forgets the average (the reset button): the answer begins again from what is heard from now
    /// on.
    pub fn reset_average(&mut self) {
        self.state.decision.reset_average();
        self.state.begin_anew(Seconds(0.0));
    }

    /// Holds the shown genre and the average as they are, or lets go.
    pub fn set_hold(&mut self, hold: bool) {
        self.state.decision.set_hold(hold);
    }

    /// Sets the time constant of the running average; 0 shows every frame as it is.
    pub fn set_averaging(&mut self, time_constant: Seconds) {
        self.state.decision.set_averaging(time_constant);
    }

    /// Sets how frame scores become one: the average over what was heard so far is shown in the new
    /// way at the next readout.
    pub fn set_mean(&mut self, mean: Mean) {
        self.state.decision.set_mean(mean);
    }

    /// Sets how restless the answer is; the average stays as it is.
    pub fn set_restlessness(&mut self, preset: Preset) {
        self.state.decision.set_restlessness(preset);
    }

    /// `samples` samples of the stream were lost here: the clock moves on, the picture begins anew,
    /// the average stays.
    pub fn skip(&mut self, samples: u64) {
        self.chunks.clear();
        self.front_end.reset();
        let state = &mut self.state;
        state.origin = Seconds(state.position().0 + self.rate.duration(samples).0);
        state.n_columns = 0;
        state.keep_newest(0);
    }

    /// Forgets everything: as new.
    pub fn reset(&mut self) {
        self.chunks.clear();
        self.front_end.reset();
        let state = &mut self.state;
        state.keep_newest(0);
        state.decision.reset();
        state.change.reset();
        state.gate.reset();
        state.origin = Seconds(0.0);
        state.n_columns = 0;
        state.since_readout = 0;
        state.longest_silence = 0.0;
    }
}

impl Listening {
    fn position(&self) -> Seconds {
        Seconds(self.origin.0 + self.n_columns as f64 * self.column_s)
    }

    fn take_chunk(
        &mut self,
        chunk: &[f32],
        front_end: &mut FrontEnd,
        on_readout: &mut impl FnMut(&Readout),
    ) {
        self.gate.push(chunk);
        front_end.push_pictures(chunk, |picture, column| {
            self.take_column(picture, column, on_readout);
        });
    }

    fn take_column(
        &mut self,
        picture: Picture,
        column: &[f32],
        on_readout: &mut impl FnMut(&Readout),
    ) {
        self.network.push_picture(picture, column);
        if picture == Picture::Tagger {
            return;
        }
        self.newest.clear();
        self.newest.extend_from_slice(column);
        self.n_columns += 1;
        self.in_network += 1;
        self.since_readout += 1;
        if self.gate.is_silent() {
            self.longest_silence = self.longest_silence.max(self.gate.seconds());
        } else {
            if self.longest_silence >= SILENCE_ENDS_SONG.0 as f32 {
                self.begin_anew(Seconds(0.0));
            }
            self.longest_silence = 0.0;
        }
        let due = if self.gate.is_silent() {
            self.since_readout >= self.hop_columns
        } else {
            self.in_network.is_multiple_of(self.hop_columns)
        };
        if due {
            self.since_readout = 0;
            let readout = self.observe();
            on_readout(&readout);
        }
    }

    fn observe(&mut self) -> Readout {
        let silent = self.gate.is_silent();
        let n_columns = self.network.n_columns();
        // From the middle of the first column to that of the last: a whole frame is 29.12 s.
        let heard = Seconds(n_columns.saturating_sub(1) as f64 * self.column_s);
        let (mut music, mut difference) = (None, None);
        let scores = if silent {
            None
        } else {
            self.network.score().map(|scored| {
                music = scored.music;
                difference = self.change.push(scored.recent);
                scored.scores(self.defaults.temperature_at(heard))
            })
        };
        let was_not_music = self.decision.is_not_music();
        let seen = Observation {
            position: self.position(),
            heard,
            level_dbfs: self.gate.take_level(),
            silent,
            scores,
            music,
        };
        let readout = self.decision.observe(&seen);
        // The picture still shows the talk, or the last song; only the newest seconds are what
        // plays now.
        let talk_is_over = was_not_music && !self.decision.is_not_music() && !silent;
        let song_changed = self.decision.detects_changes()
            && difference.is_some_and(|difference| difference > self.decision.change_above());
        if let Some(burst) = self.gate.burst_is_over() {
            // All of a picture is brought to one loudness: beside a squeal there is nothing else.
            self.keep_newest_of(Seconds(f64::from(burst.over_s)));
        } else if talk_is_over {
            self.begin_anew(KEPT_ON_CHANGE);
        } else if song_changed {
            self.decision.song_changed();
            self.change.song_changed();
            self.keep_newest_of(KEPT_ON_CHANGE);
        }
        readout
    }

    /// Something else begins: forgets what was heard but for the newest seconds.
    fn begin_anew(&mut self, kept: Seconds) {
        if !self.decision.holds() {
            self.decision.reset_average();
        }
        self.change.reset();
        self.keep_newest_of(kept);
    }

    fn keep_newest_of(&mut self, kept: Seconds) {
        self.keep_newest((kept.0 / self.column_s) as usize);
    }

    /// Empties the network of all but the newest columns.
    fn keep_newest(&mut self, n_columns: usize) {
        self.network.keep_newest(n_columns);
        self.in_network = self.network.n_columns();
    }
}
