//! Readouts to look at.

use std::sync::Arc;

use genrescope::{
    decision::{Reason, State},
    genre::GTZAN,
};
use genrescope_plugin_core::{
    editor::view_model::{Status, ViewModel},
    history::{History, Span},
    song::SongTime,
};

fn history(plan: &[(f64, Option<usize>, f32, State)]) -> Arc<History> {
    let mut history = History::default();
    let mut at = 0.0;
    for &(length, genre, confidence, state) in plan {
        let n = (length / 2.0).round().max(1.0) as usize;
        for step in 0..n {
            let ripple = 0.07 * (step as f32 * 1.3).sin();
            let confidence = (confidence + ripple).clamp(0.0, 1.0);
            let span = Span {
                start: at,
                end: at + 2.0,
                genre,
                confidence,
                state,
                reason: match state {
                    State::Warming => Some(Reason::TooLittleHeard),
                    State::Unsure => Some(Reason::LowScore),
                    State::NotMusic => Some(Reason::NotMusic),
                    State::Silent => Some(Reason::Silence),
                    _ => None,
                },
                song: Some(SongTime {
                    seconds: at + 62.0,
                    bars: Some((31.0 + 0.5 * at, 0.5)),
                }),
            };
            let mut scores = [(1.0 - confidence) / 9.0; 10];
            if let Some(genre) = genre {
                scores[genre] = confidence;
            }
            history.push_span(span, &scores);
            at += 2.0;
        }
    }
    Arc::new(history)
}

/// Reggae, after a spell of jazz and a pause.
pub fn live() -> ViewModel {
    ViewModel {
        labels: GTZAN.map(str::to_owned).to_vec(),
        scores: vec![0.02, 0.004, 0.03, 0.05, 0.09, 0.03, 0.0, 0.03, 0.71, 0.036],
        newest: vec![0.02, 0.004, 0.03, 0.02, 0.23, 0.03, 0.0, 0.03, 0.58, 0.056],
        status: Status::Listening(State::Live),
        genre: Some(8),
        confidence: 0.71,
        heard_s: 29.12,
        history: history(&[
            (34.0, Some(5), 0.62, State::Live),
            (6.0, None, 0.0, State::Silent),
            (8.0, None, 0.3, State::NotMusic),
            (4.0, None, 0.0, State::Warming),
            (8.0, None, 0.3, State::Unsure),
            (16.0, Some(4), 0.45, State::Provisional),
            (44.0, Some(8), 0.68, State::Live),
        ]),
        level_dbfs: -14.0,
        averaging_s: 10.0,
        model: "built-in".to_owned(),
        load: 0.008,
        midi: true,
        osc: true,
        osc_target: "127.0.0.1:9000".to_owned(),
        format: "CLAP".to_owned(),
        ..ViewModel::default()
    }
}

pub fn unsure() -> ViewModel {
    ViewModel {
        scores: vec![0.06, 0.01, 0.08, 0.02, 0.01, 0.02, 0.33, 0.05, 0.03, 0.39],
        newest: vec![0.03, 0.01, 0.05, 0.02, 0.01, 0.02, 0.41, 0.05, 0.03, 0.37],
        status: Status::Listening(State::Unsure),
        reason: Some(Reason::LowScore),
        genre: None,
        confidence: 0.39,
        ..live()
    }
}

pub fn provisional() -> ViewModel {
    ViewModel {
        status: Status::Listening(State::Provisional),
        scores: vec![0.02, 0.82, 0.01, 0.0, 0.0, 0.1, 0.0, 0.02, 0.01, 0.02],
        newest: vec![0.02, 0.82, 0.01, 0.0, 0.0, 0.1, 0.0, 0.02, 0.01, 0.02],
        genre: Some(1),
        confidence: 0.82,
        heard_s: 14.0,
        history: history(&[
            (3.0, None, 0.0, State::Warming),
            (11.0, Some(1), 0.8, State::Provisional),
        ]),
        ..live()
    }
}

pub fn silent() -> ViewModel {
    ViewModel {
        status: Status::Listening(State::Silent),
        genre: None,
        level_dbfs: -120.0,
        ..live()
    }
}

pub fn talk() -> ViewModel {
    ViewModel {
        status: Status::Listening(State::NotMusic),
        genre: None,
        ..live()
    }
}

pub fn warming() -> ViewModel {
    ViewModel {
        status: Status::Listening(State::Warming),
        scores: vec![0.0; 10],
        genre: None,
        heard_s: 1.2,
        history: Arc::default(),
        ..live()
    }
}

pub fn trouble() -> ViewModel {
    ViewModel {
        status: Status::Trouble(
            "Cannot load the model '/home/ada/models/clubs.safetensors': No such file or \
             directory. Choose another under Settings."
                .to_owned(),
        ),
        genre: None,
        dropped: 12_345,
        ..live()
    }
}

/// The readout is held.
pub fn held() -> ViewModel {
    ViewModel {
        hold: true,
        ..live()
    }
}

/// The host is stopped.
pub fn waiting() -> ViewModel {
    ViewModel {
        status: Status::NoAudio,
        genre: None,
        level_dbfs: -120.0,
        load: 0.0,
        ..live()
    }
}

pub fn bypassed() -> ViewModel {
    ViewModel {
        status: Status::Bypassed,
        ..waiting()
    }
}

/// Most of an hour: four songs, each with its pauses.
pub fn an_hour() -> ViewModel {
    let mut plan = Vec::new();
    for song in 0..12 {
        let genre = [8, 5, 9, 4][song % 4];
        plan.extend([
            (4.0, None, 0.0, State::Warming),
            (24.0, Some(genre), 0.5, State::Provisional),
            (180.0, Some(genre), 0.7, State::Live),
            (6.0, None, 0.3, State::Unsure),
            (40.0, Some((genre + 1) % 10), 0.45, State::Live),
            (8.0, None, 0.0, State::Silent),
            (10.0, None, 0.0, State::NotMusic),
        ]);
    }
    plan.push((44.0, Some(8), 0.68, State::Live));
    ViewModel {
        history: history(&plan),
        ..live()
    }
}

/// A model with `n` labels.
pub fn many(n: usize) -> ViewModel {
    ViewModel {
        labels: (0..n)
            .map(|index| format!("label number {index}"))
            .collect(),
        scores: (0..n).map(|index| 0.9 / (1.0 + index as f32)).collect(),
        genre: Some(0),
        confidence: 0.9,
        ..live()
    }
}
