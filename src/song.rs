//! The paper's multiframe: a song becomes frames of 29.12 s, each is scored by itself, and the
//! scores become one.

use std::{collections::VecDeque, num::NonZeroUsize, sync::Arc};

use thiserror::Error;

use crate::{
    chunks::Chunks,
    decision::{
        FRAME, Mean, Reason, Rules, State,
        average::{mean_of, vote},
        kind::finest,
        music::{Whole, whole},
        silence::{Burst, SilenceGate},
    },
    front_end::{FrontEnd, FrontEndError, Picture},
    genre::{Labels, Scores},
    network::{Model, Network, bundle::DecisionDefaults},
    units::{SampleRate, Seconds},
};

/// How frame scores become the song's.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum SongScore {
    /// Mean of the frame scores (paper, section 4.3).
    #[default]
    Mean,
    /// Normalised product (paper, section 6, future work).
    Geometric,
    /// Majority vote (paper, section 4.3).
    Vote,
    /// Mean of what the nearest neighbours of each frame's scores are (paper, section 6, future
    /// work), of the model's own reference points.
    Neighbours,
}

impl SongScore {
    /// Every way.
    pub const ALL: [SongScore; 4] = [
        SongScore::Mean,
        SongScore::Geometric,
        SongScore::Vote,
        SongScore::Neighbours,
    ];

    /// What it is called where one is chosen.
    pub const fn as_str(self) -> &'static str {
        match self {
            SongScore::Mean => "mean",
            SongScore::Geometric => "geometric",
            SongScore::Vote => "vote",
            SongScore::Neighbours => "knn",
        }
    }

    /// The one of this name.
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|score| score.as_str() == name)
    }

    /// The song's scores; `None` without frames, and without the reference points of a model that
    /// has none.
    pub fn of<'a>(
        self,
        model: &Model,
        frames: impl IntoIterator<Item = &'a Scores> + Clone,
    ) -> Option<Scores> {
        match self {
            SongScore::Mean => mean_of(frames, Mean::Arithmetic),
            SongScore::Geometric => mean_of(frames, Mean::Geometric),
            SongScore::Vote => vote(frames),
            SongScore::Neighbours => {
                let near = model.neighbours()?;
                let frames: Vec<Scores> = frames.into_iter().map(|f| near.scores(f)).collect();
                mean_of(&frames, Mean::Arithmetic)
            }
        }
    }
}

/// Which frames of a song are looked at.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Multiframe {
    /// What is left out at both ends of a song: intros and fades. Default: 20 s (paper, section
    /// 4.2).
    pub skip: Seconds,
    /// From the start of one frame to the start of the next. Default: 29.12 s, without overlap.
    pub hop: Seconds,
    /// How frame scores become the song's. Default: their mean.
    pub score: SongScore,
    /// So many frames, evenly spaced, instead of all. Default: all.
    pub frames: Option<NonZeroUsize>,
}

impl Multiframe {
    /// Where the frames of a song of this length begin, if they are fewer than the whole song has:
    /// each in the middle of its share of what lies between the skipped ends.
    pub fn sample(self, length: Seconds) -> Option<Vec<Seconds>> {
        let n = self.frames?.get();
        let share = (length.0 - 2.0 * self.skip.0) / n as f64;
        // As many as that are all.
        (share >= self.hop.0.max(FRAME.0) + 1.0).then(|| {
            let first = self.skip.0 + (share - FRAME.0) / 2.0;
            (0..n)
                .map(|index| Seconds(first + index as f64 * share))
                .collect()
        })
    }
}

impl Default for Multiframe {
    fn default() -> Self {
        Self {
            skip: Seconds(20.0),
            hop: FRAME,
            score: SongScore::Mean,
            frames: None,
        }
    }
}

/// Why a song could not be begun.
#[derive(Clone, Debug, PartialEq, Error)]
#[non_exhaustive]
pub enum SongError {
    /// The model asks for a front end that cannot be built.
    #[error(transparent)]
    FrontEnd(#[from] FrontEndError),
    /// [`SongScore::Neighbours`] of a model without reference points.
    #[error(
        "the model '{model}' holds no reference points, so it has no nearest neighbours; choose the mean, the geometric mean or the vote"
    )]
    NoNeighbours {
        /// Name of the model.
        model: String,
    },
    /// A setting is out of its range.
    #[error("{field} = {value} s is out of range ({allowed})")]
    Setting {
        /// Name of the field.
        field: &'static str,
        /// Its value.
        value: f64,
        /// What would be allowed.
        allowed: &'static str,
    },
}

/// One scored frame of a song.
#[derive(Clone, Debug, PartialEq)]
pub struct Frame {
    /// Where it begins.
    pub start: Seconds,
    /// Its scores.
    pub scores: Scores,
    /// Probability that it is music, where the model can tell.
    pub music: Option<f32>,
    /// Input of the last dense layer; empty unless [`SongClassifier::keep_embeddings`] asked for
    /// it.
    pub embedding: Vec<f32>,
}

/// What is known of a song after its last sample.
#[derive(Clone, Debug, PartialEq)]
pub struct Song {
    /// What kind of answer this is.
    pub verdict: Verdict,
    /// Song scores; uniform when nothing could be scored.
    pub scores: Scores,
    /// Every frame that counts, in order.
    pub frames: Vec<Frame>,
    /// Length of the song.
    pub duration: Seconds,
    /// It was shorter than one frame: what there is stands for the whole.
    pub short: bool,
    /// Probability that it is music, 0 to 1; `None` where nothing was scored, and with a model that
    /// cannot tell.
    pub music: Option<f32>,
    /// Why the verdict is [`Verdict::Unsure`], in the words of a listener's readout.
    pub reason: Option<Reason>,
}

impl Song {
    /// Score of the genre, or of the best candidate; 0 where nothing was heard.
    pub fn confidence(&self) -> f32 {
        match self.verdict {
            Verdict::Genre(genre) => self.scores.as_slice()[genre],
            Verdict::Unsure | Verdict::NotMusic => self.scores.top().1,
            Verdict::Silent | Verdict::TooShort => 0.0,
        }
    }
}

/// What kind of answer a [`Song`] is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A genre, by index.
    Genre(usize),
    /// Music that is none of the labels, or several.
    Unsure,
    /// Sound, but not music.
    NotMusic,
    /// Nothing to hear.
    Silent,
    /// Less audio than an answer takes ([`SongClassifier::shortest`]).
    TooShort,
}

impl Verdict {
    /// The name in JSON and CSV; the words of [`crate::decision::State`] where they mean the same.
    pub const fn as_str(self) -> &'static str {
        match self {
            Verdict::Genre(_) => "live",
            Verdict::Unsure => "unsure",
            Verdict::NotMusic => "not_music",
            Verdict::Silent => "silent",
            Verdict::TooShort => "too_short",
        }
    }

    /// For people; the words of [`State`] where they mean the same.
    pub const fn words(self) -> &'static str {
        match self {
            Verdict::Genre(_) => State::Live.words(),
            Verdict::Unsure => State::Unsure.words(),
            Verdict::NotMusic => State::NotMusic.words(),
            Verdict::Silent => State::Silent.words(),
            Verdict::TooShort => "too short",
        }
    }

    /// Index of the named genre.
    pub const fn genre(self) -> Option<usize> {
        if let Verdict::Genre(genre) = self {
            Some(genre)
        } else {
            None
        }
    }
}

/// A file is called "not music" by its fitted threshold; a model file without one says 0.5, which
/// would take too many songs for something else.
const UNFITTED: f32 = 0.2;

/// Below this even silence is too short to be called silence.
const SHORTEST: Seconds = Seconds(0.5);

/// The silence gate looks at blocks of 0.1 s and is open at first: so much sounds in any file.
const GATE: Seconds = Seconds(0.15);

/// Takes a song sample by sample, in bounded memory, and scores its frames as they come.
#[derive(Debug)]
pub struct SongClassifier {
    front_end: FrontEnd,
    network: Network,
    gate: SilenceGate,
    rule: Multiframe,
    rate: SampleRate,
    defaults: DecisionDefaults,
    unsure_below: f32,
    music_below: f32,
    kind_share: f32,
    labels: Labels,
    doubt_below: f32,
    columns: SongColumns,
    chunks: Chunks,
    samples: u64,
    sounding: u64,
    /// Steps of the network that the gate was asked after.
    n_looks: usize,
    /// Frames of excerpts that have ended.
    excerpts: Vec<Frame>,
    /// Length of the song that the excerpts are of.
    length: Option<Seconds>,
}

/// Columns still needed, and the frames that were made of them.
#[derive(Debug)]
struct SongColumns {
    n_mels: usize,
    n_frames: usize,
    /// Fewer columns cannot be scored.
    least: usize,
    column_s: f64,
    hop: usize,
    skip: usize,
    /// Columns from `first` on, one after the other.
    kept: VecDeque<f32>,
    /// For each of them: was there sound?
    sounds: VecDeque<bool>,
    first: usize,
    /// Of the second picture, columns from `first_second` on.
    second: VecDeque<f32>,
    second_mels: usize,
    first_second: usize,
    n_columns: usize,
    /// Where columns were left out, and how many.
    left_out: Vec<(usize, usize)>,
    next_frame: usize,
    frames: Vec<(usize, Frame)>,
    keep_embeddings: bool,
}

impl SongClassifier {
    /// A classifier for one song of mono samples at `rate`.
    ///
    /// # Errors
    /// [`SongError`] naming the setting that is out of range, with its value.
    pub fn new(model: &Arc<Model>, rate: SampleRate, rule: Multiframe) -> Result<Self, SongError> {
        let checks = [
            ("skip", rule.skip.0, 0.0, 3600.0, "0 to 3600 s"),
            ("hop", rule.hop.0, 1.0, 600.0, "1 to 600 s"),
        ];
        for (field, value, low, high, allowed) in checks {
            if !(low..=high).contains(&value) {
                return Err(SongError::Setting {
                    field,
                    value,
                    allowed,
                });
            }
        }
        if rule.score == SongScore::Neighbours && model.neighbours().is_none() {
            return Err(SongError::NoNeighbours {
                model: model.card().name.clone(),
            });
        }
        let numbers = model.front_end();
        let front_end = model.listen(rate)?;
        let column_s = model.column().0;
        let defaults = &model.card().decision;
        let tagger = model.card().architecture.tagger.as_ref();
        Ok(Self {
            front_end,
            network: Network::new(model),
            gate: SilenceGate::new(rate, crate::decision::silence::FLOOR_DBFS),
            rule,
            rate,
            defaults: defaults.clone(),
            unsure_below: defaults.unsure_threshold,
            music_below: defaults.music_threshold,
            kind_share: Rules::of(defaults).kind_share,
            labels: model.labels().clone(),
            doubt_below: defaults.doubt_threshold,
            columns: SongColumns {
                n_mels: numbers.n_mels,
                n_frames: model.n_frames(),
                least: model.card().architecture.step_columns(),
                column_s,
                hop: (rule.hop.0 / column_s).round() as usize,
                skip: (rule.skip.0 / column_s).round() as usize,
                kept: VecDeque::new(),
                sounds: VecDeque::new(),
                first: 0,
                second: VecDeque::new(),
                second_mels: tagger.map_or(1, |tagger| tagger.front_end.n_mels),
                first_second: 0,
                n_columns: 0,
                left_out: Vec::new(),
                next_frame: 0,
                frames: Vec::new(),
                keep_embeddings: false,
            },
            chunks: Chunks::new(rate),
            samples: 0,
            sounding: 0,
            n_looks: 0,
            excerpts: Vec::new(),
            length: None,
        })
    }

    /// A classifier of excerpts of a song of `length`: as [`SongClassifier::new`], but what is
    /// pushed is no whole song. Each excerpt is a frame long and followed by
    /// [`SongClassifier::end_excerpt`].
    ///
    /// # Errors
    /// As [`SongClassifier::new`].
    pub fn of_excerpts(
        model: &Arc<Model>,
        rate: SampleRate,
        rule: Multiframe,
        length: Seconds,
    ) -> Result<Self, SongError> {
        let mut song = Self::new(model, rate, rule)?;
        song.columns.skip = 0;
        song.length = Some(length);
        Ok(song)
    }

    /// What was pushed since the last excerpt began `start` into the song.
    pub fn end_excerpt(&mut self, start: Seconds) {
        let frames = self.finish_columns();
        self.excerpts.extend(frames.into_iter().map(|mut frame| {
            frame.start.0 += start.0;
            frame
        }));
        self.columns.forget();
        self.n_looks = 0;
        self.gate = SilenceGate::new(self.rate, crate::decision::silence::FLOOR_DBFS);
    }

    /// The least length of audio that `model` can answer for: one step of its network.
    pub fn shortest(model: &Model) -> Seconds {
        let numbers = model.front_end();
        let columns = model.card().architecture.step_columns();
        let samples = columns.saturating_sub(1) * numbers.hop_length;
        Seconds(samples as f64 / f64::from(numbers.sample_rate.max(1)))
    }

    /// Best score below which the song is "unsure", in 0..=1, instead of the model's own threshold.
    #[must_use]
    pub fn unsure_below(mut self, threshold: f32) -> Self {
        self.unsure_below = threshold;
        self
    }

    /// Every [`Frame`] keeps its embedding, for a head that is to be taught.
    #[must_use]
    pub fn keep_embeddings(mut self) -> Self {
        self.columns.keep_embeddings = true;
        self
    }

    /// Takes mono samples in blocks of any size; not-finite ones count as 0.
    pub fn push(&mut self, samples: &[f32]) {
        let mut chunks = std::mem::take(&mut self.chunks);
        chunks.push(samples, |chunk| self.take_chunk(chunk));
        self.chunks = chunks;
    }

    fn take_chunk(&mut self, chunk: &[f32]) {
        self.gate.push(chunk);
        self.samples += chunk.len() as u64;
        let sounds = self.gate.seconds() == 0.0;
        if sounds {
            self.sounding += chunk.len() as u64;
        }
        let (columns, network, temperatures) =
            (&mut self.columns, &mut self.network, &self.defaults);
        self.front_end
            .push_pictures(chunk, |picture, column| match picture {
                Picture::Mel => columns.take(column, sounds, network, temperatures),
                Picture::Tagger => columns.second.extend(column),
            });
        // As often as a listener looks.
        let look = self.columns.n_columns / self.columns.least;
        if look > self.n_looks {
            self.n_looks = look;
            if let Some(burst) = self.gate.burst_is_over() {
                self.columns.leave_out(burst, self.network.model());
                self.n_looks = self.columns.n_columns / self.columns.least;
            }
        }
    }

    /// The frames of all that was pushed; then the front end is as new.
    fn finish_columns(&mut self) -> Vec<Frame> {
        let mut chunks = std::mem::replace(&mut self.chunks, Chunks::new(self.rate));
        chunks.finish(|rest| self.take_chunk(rest));
        let sounds = self.gate.seconds() == 0.0;
        let (columns, network, temperatures) =
            (&mut self.columns, &mut self.network, &self.defaults);
        self.front_end
            .finish_pictures(|picture, column| match picture {
                Picture::Mel => columns.take(column, sounds, network, temperatures),
                Picture::Tagger => columns.second.extend(column),
            });
        columns.finish(network, temperatures)
    }

    /// The song ends: what is it?
    pub fn finish(mut self) -> Song {
        let frames = self.finish_columns();
        let mut frames = match self.length {
            None => frames,
            Some(_) => std::mem::take(&mut self.excerpts),
        };
        let heard = self.rate.duration(self.samples);
        let duration = self.length.unwrap_or(heard);
        let short = duration.0 + 0.05 < FRAME.0;
        let own = frames.iter().map(|frame| &frame.scores);
        let scores = self.rule.score.of(self.network.model(), own);
        let scores = scores.map(|own| self.labels.added_up(&own));
        for frame in &mut frames {
            frame.scores = self.labels.added_up(&frame.scores);
        }
        let heard: Vec<f32> = frames.iter().filter_map(|frame| frame.music).collect();
        let music = (!heard.is_empty()).then(|| heard.iter().sum::<f32>() / heard.len() as f32);
        let mut reason = None;
        let verdict = match scores {
            _ if duration.0 < SHORTEST.0 => Verdict::TooShort,
            None if self.columns.n_columns < self.columns.least
                && self.length.is_none()
                && self.rate.duration(self.sounding).0 > GATE.0 =>
            {
                Verdict::TooShort
            }
            _ if self.rate.duration(self.sounding).0 < SHORTEST.0 => Verdict::Silent,
            None => Verdict::Silent,
            Some(scores) => {
                // A listener names no genre of what may be no music; nor does this.
                let (below, doubt) = (self.music_below.min(UNFITTED), self.doubt_below);
                let named = finest(&self.labels, &scores, self.unsure_below, self.kind_share);
                match (
                    music.map_or(Whole::Music, |music| whole(music, below, doubt)),
                    named,
                ) {
                    (Whole::NotMusic, _) => Verdict::NotMusic,
                    (Whole::Doubtful, _) => {
                        reason = Some(Reason::MaybeNotMusic);
                        Verdict::Unsure
                    }
                    (Whole::Music, None) => {
                        reason = Some(Reason::LowScore);
                        Verdict::Unsure
                    }
                    (Whole::Music, Some(genre)) => Verdict::Genre(genre),
                }
            }
        };
        let scores =
            scores.unwrap_or_else(|| self.labels.added_up(&Scores::uniform(self.labels.len())));
        Song {
            verdict,
            scores,
            frames,
            duration,
            short,
            music,
            reason,
        }
    }
}

/// A frame with less sound than this says nothing about the song.
const LEAST_SOUND: f64 = 0.1;

impl SongColumns {
    fn take(
        &mut self,
        column: &[f32],
        sounds: bool,
        network: &mut Network,
        temperatures: &DecisionDefaults,
    ) {
        self.kept.extend(column);
        self.sounds.push_back(sounds);
        self.n_columns += 1;
        // A whole frame behind the opening skip is scored as soon as it is complete.
        while self.skip + self.next_frame * self.hop + self.n_frames <= self.n_columns {
            let start = self.skip + self.next_frame * self.hop;
            if let Some(frame) = self.score(start, self.n_frames, network, temperatures) {
                self.frames.push((start, frame));
            }
            self.next_frame += 1;
            // A song of this length or longer is never "too short", so what lies before is no
            // longer needed.
            self.forget_before(self.skip + self.next_frame * self.hop, network.model());
        }
    }

    /// As new.
    fn forget(&mut self) {
        self.kept.clear();
        self.sounds.clear();
        self.second.clear();
        self.left_out.clear();
        (
            self.first,
            self.first_second,
            self.n_columns,
            self.next_frame,
        ) = (0, 0, 0, 0);
    }

    /// The song closes over a burst that is not in a frame yet: all of a picture is brought to one
    /// loudness, and beside a squeal there is nothing else.
    fn leave_out(&mut self, burst: Burst, model: &Model) {
        let n_kept = self.kept.len() / self.n_mels;
        let at =
            |seconds: f32| n_kept.saturating_sub((f64::from(seconds) / self.column_s) as usize);
        let (from, to) = (at(burst.began_s), at(burst.over_s));
        let place = |column: usize| self.second_place(self.first + column, model);
        let second = place(from)..place(to);
        self.second.drain(second);
        self.kept.drain(from * self.n_mels..to * self.n_mels);
        self.sounds.drain(from..to);
        self.n_columns -= to - from;
        self.left_out.push((self.first + from, to - from));
    }

    /// Where in what is kept of the second picture the mel column `column` begins.
    fn second_place(&self, column: usize, model: &Model) -> usize {
        let place = model.second_columns(column);
        (place.saturating_sub(self.first_second) * self.second_mels).min(self.second.len())
    }

    /// Frames that may be needed once more if the song ends soon are not forgotten.
    fn forget_before(&mut self, next: usize, model: &Model) {
        let certain = 2 * self.skip + self.n_frames;
        if self.n_columns < certain {
            return;
        }
        let drop = next.min(self.n_columns).saturating_sub(self.first);
        self.kept.drain(..drop * self.n_mels);
        self.sounds.drain(..drop);
        self.first += drop;
        let before = model.second_columns(self.first);
        let drop = before.saturating_sub(self.first_second);
        self.second
            .drain(..(drop * self.second_mels).min(self.second.len()));
        self.first_second = before;
    }

    fn score(
        &mut self,
        start: usize,
        len: usize,
        network: &mut Network,
        temperatures: &DecisionDefaults,
    ) -> Option<Frame> {
        let from = start - self.first;
        let sounding = self
            .sounds
            .range(from..from + len)
            .filter(|&&sounds| sounds)
            .count();
        if (sounding as f64) < LEAST_SOUND * len as f64 {
            return None;
        }
        let place = |column: usize| self.second_place(column, network.model());
        let second = place(start)..place(start + len);
        let from = from * self.n_mels;
        let columns = &self.kept.make_contiguous()[from..from + len * self.n_mels];
        let second = &self.second.make_contiguous()[second];
        let scored = network.score_pictures(columns, second)?;
        let before = self.left_out.iter().filter(|(at, _)| *at <= start);
        let left_out: usize = before.map(|(_, n)| n).sum();
        Some(Frame {
            start: Seconds((start + left_out) as f64 * self.column_s),
            scores: scored.scores(temperatures.temperature_at(Seconds(len as f64 * self.column_s))),
            music: scored.music,
            embedding: if self.keep_embeddings {
                scored.embedding.to_vec()
            } else {
                Vec::new()
            },
        })
    }

    /// The frames that count, now that the song's length is known.
    fn finish(&mut self, network: &mut Network, temperatures: &DecisionDefaults) -> Vec<Frame> {
        let end = self.n_columns.saturating_sub(self.skip);
        let mut frames: Vec<Frame> = std::mem::take(&mut self.frames)
            .into_iter()
            .filter(|(start, _)| start + self.n_frames <= end)
            .map(|(_, frame)| frame)
            .collect();
        if !frames.is_empty() || self.first > 0 {
            return frames;
        }
        // Too short for the rule: as many whole frames as fit, centred; or all there is.
        if self.n_columns < self.n_frames {
            frames.extend(self.score(0, self.n_columns, network, temperatures));
            return frames;
        }
        let n = 1 + (self.n_columns - self.n_frames) / self.hop;
        let first = (self.n_columns - (n - 1) * self.hop - self.n_frames) / 2;
        for i in 0..n {
            frames.extend(self.score(first + i * self.hop, self.n_frames, network, temperatures));
        }
        frames
    }
}
