use genrescope::{genre::Scores, units::Seconds};

use super::*;

fn at(position: f64) -> Readout {
    let scores = Scores::uniform(2);
    Readout {
        state: State::Live,
        reason: None,
        genre: Some(0),
        confidence: 0.5,
        scores,
        frame_scores: scores,
        music: None,
        level_dbfs: -20.0,
        position: Seconds(position),
        heard: Seconds(29.12),
        frames: 1,
        seq: 1,
        changed: false,
    }
}

fn silent_at(position: f64) -> Readout {
    Readout {
        state: State::Silent,
        reason: Some(Reason::Silence),
        genre: None,
        confidence: 0.0,
        scores: Scores::zeros(2),
        ..at(position)
    }
}

fn times(history: &History) -> Vec<(f64, f64)> {
    history.iter().map(|span| (span.start, span.end)).collect()
}

#[test]
fn spans_meet_and_reach_back_an_hour() {
    let mut history = History::default();
    for second in (2..=9000).step_by(2) {
        history.push(&at(f64::from(second)), None);
    }
    let times = times(&history);
    assert!(times.windows(2).all(|pair| pair[0].1 == pair[1].0));
    assert_eq!(times[0], (5400.0, 5402.0));
    assert_eq!(history.end_s(), 9000.0);
}

#[test]
fn a_moment_that_is_told_again_keeps_what_was_before() {
    let mut history = History::default();
    history.push(&at(2.0), None);
    history.push(&at(4.0), None);
    // Hold and reset tell the same moment once more.
    let mut again = at(4.0);
    again.genre = None;
    history.push(&again, None);
    let spans: Vec<_> = history.iter().map(|s| (s.start, s.end, s.genre)).collect();
    assert_eq!(spans, [(0.0, 2.0, Some(0)), (2.0, 4.0, None)]);
    assert_eq!(history.scores.len(), 4);
}

#[test]
fn a_new_stream_follows_the_one_before() {
    let mut history = History::default();
    history.push(&at(50.0), None);
    history.begin_stream();
    history.push(&at(2.0), None);
    history.push(&at(4.0), None);
    assert_eq!(times(&history), [(0.0, 50.0), (50.0, 52.0), (52.0, 54.0)]);
    // One that was not announced, too.
    history.push(&at(1.0), None);
    assert_eq!(history.end_s(), 55.0);
}

#[test]
fn another_model_starts_over() {
    let mut history = History::default();
    history.push(&at(50.0), None);
    let scores = Scores::uniform(3);
    let other = Readout { scores, ..at(52.0) };
    history.push(&other, None);
    assert_eq!(times(&history), [(50.0, 52.0)]);
    assert_eq!(history.at(51.0).unwrap().1.len(), 3);
}

#[test]
fn what_follows_a_forgotten_history_does_not_reach_back_into_it() {
    let mut history = History::default();
    history.push(&at(50.0), None);
    history.clear();
    assert!(history.is_empty());
    history.push(&at(52.0), None);
    assert_eq!(times(&history), [(50.0, 52.0)]);
}

#[test]
fn its_size_is_bounded() {
    let mut history = History::default();
    for step in 1..10_000 {
        history.push(&at(f64::from(step) * 0.01), None);
    }
    assert_eq!(history.spans.len(), MAX_SPANS);
    assert_eq!(history.scores.len(), 2 * MAX_SPANS);
    // What the documentation says.
    for (n_labels, most) in [(10, 450_000), (64, 850_000)] {
        let mut history = History::default();
        let scores = vec![0.1; n_labels];
        for second in 1..=4000 {
            let span = Span {
                start: 0.0,
                end: f64::from(second),
                genre: Some(0),
                confidence: 0.5,
                state: State::Live,
                reason: None,
                song: None,
            };
            history.push_span(span, &scores);
        }
        let bytes = history.spans.capacity() * size_of::<Span>()
            + history.scores.capacity() * size_of::<u16>();
        assert!(bytes <= most, "{n_labels} labels: {bytes}");
    }
}

#[test]
fn silence_is_one_span_until_the_song_jumps() {
    let song = |seconds| {
        Some(SongTime {
            seconds,
            bars: Some((seconds / 2.0 + 1.0, 0.5)),
        })
    };
    let mut history = History::default();
    for second in [2.0, 4.0, 6.0] {
        history.push(&silent_at(second), song(second + 60.0));
    }
    assert_eq!(times(&history), [(0.0, 6.0)]);
    assert_eq!(history.song_at(1.0), song(61.0));
    history.push(&silent_at(8.0), song(20.0));
    history.push(&silent_at(10.0), None);
    assert_eq!(times(&history), [(0.0, 6.0), (6.0, 8.0), (8.0, 10.0)]);
    assert_eq!(history.scores.len(), 6);
    // A whole hour of it, and more.
    for second in 11..8000 {
        history.push(&silent_at(f64::from(second)), None);
    }
    assert_eq!(times(&history), [(4399.0, 7999.0)]);
}

#[test]
fn a_moment_is_found_with_its_scores() {
    let mut history = History::default();
    for (second, first) in [(2.0, 0.25), (4.0, 0.75)] {
        let scores = Scores::new(&[first, 1.0 - first]);
        let readout = Readout {
            scores,
            ..at(second)
        };
        history.push(&readout, None);
    }
    let (span, scores) = history.at(3.0).unwrap();
    assert_eq!((span.start, span.end), (2.0, 4.0));
    assert!((scores[0] - 0.75).abs() < 1e-4 && (scores[1] - 0.25).abs() < 1e-4);
    assert_eq!(history.at(4.5), None);
    assert_eq!(history.step(3.0, -1), Some(1.0));
    assert_eq!(history.step(1.0, -1), Some(1.0));
    assert_eq!(history.step(1.0, 1), Some(3.0));
    assert_eq!(history.step(99.0, 0), Some(3.0));
}

#[test]
fn cells_say_what_was_shown_for_most_of_their_time() {
    let mut history = History::default();
    for (second, genre, confidence) in [
        (1.0, Some(0), 0.5),
        (2.0, Some(1), 0.6),
        (3.0, Some(1), 0.8),
        (4.0, None, 0.1),
        (5.0, None, 0.1),
    ] {
        let mut readout = at(second);
        (readout.genre, readout.confidence) = (genre, confidence);
        history.push(&readout, None);
    }
    assert_eq!(history.cells(0.0, 1.0).len(), 5);
    let cells = history.cells(0.0, 3.0);
    assert_eq!(cells.len(), 2);
    assert_eq!((cells[0].start, cells[0].end), (0.0, 3.0));
    assert_eq!(cells[0].genre, Some(1));
    assert!((cells[0].confidence - 0.7).abs() < 1e-6);
    assert_eq!(
        (cells[1].start, cells[1].end, cells[1].genre),
        (3.0, 5.0, None)
    );
    // They stay where they are.
    let later = history.cells(2.0, 3.0);
    assert_eq!((later[0].start, later[0].end), (2.0, 3.0));
    assert_eq!(later[1], cells[1]);
}
