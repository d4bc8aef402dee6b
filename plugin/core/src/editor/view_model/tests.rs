use super::*;

fn model(status: Status) -> ViewModel {
    ViewModel {
        labels: vec!["blues".into(), "metal".into(), "rock".into()],
        scores: vec![0.1, 0.3, 0.6],
        status,
        ..ViewModel::default()
    }
}

#[test]
fn every_status_has_words() {
    let all = [
        Status::Loading,
        Status::Trouble("Why.".into()),
        Status::Bypassed,
        Status::NoAudio,
        Status::Listening(State::Warming),
        Status::Listening(State::Provisional),
        Status::Listening(State::Live),
        Status::Listening(State::Unsure),
        Status::Listening(State::NotMusic),
        Status::Listening(State::Silent),
        Status::Listening(State::Lost),
    ];
    for status in all {
        let shown = ViewModel {
            genre: Some(2),
            ..model(status.clone())
        };
        assert!(
            !shown.chip().is_empty() && !shown.headline().is_empty(),
            "{status:?}"
        );
        assert!(!shown.detail().is_empty(), "{status:?}");
    }
}

#[test]
fn seconds_left_are_counted_down() {
    let mut warming = model(Status::Listening(State::Warming));
    assert_eq!(warming.detail(), "First answer in 3 s");
    warming.heard_s = 1.4;
    assert_eq!(warming.detail(), "First answer in 2 s");
    let mut provisional = model(Status::Listening(State::Provisional));
    provisional.heard_s = 20.0;
    assert_eq!(provisional.detail(), "A full listen takes 10 s more.");
}

#[test]
fn a_label_that_overtakes_the_one_shown_is_named() {
    let overtaken = ViewModel {
        genre: Some(1),
        ..model(Status::Listening(State::Live))
    };
    assert_eq!(overtaken.detail(), "Rock 60 %: about to change?");
}

#[test]
fn progress_is_shown_while_there_is_something_to_wait_for() {
    let mut provisional = model(Status::Listening(State::Provisional));
    provisional.heard_s = FRAME.0 / 2.0;
    assert_eq!(provisional.progress(), Some(0.5));
    assert_eq!(model(Status::Listening(State::Live)).progress(), None);
}

#[test]
fn unsure_names_two_candidates() {
    let unsure = model(Status::Listening(State::Unsure));
    assert_eq!(unsure.headline(), "Unsure");
    assert_eq!(unsure.detail(), "Rock 60 % or metal 30 %?");
    let early = ViewModel {
        reason: Some(Reason::FirstSeconds),
        ..unsure
    };
    assert_eq!(
        early.detail(),
        "Rock 60 %: a guess from the first seconds must be surer."
    );
}

#[test]
fn a_genre_is_not_shown_over_silence() {
    let silent = ViewModel {
        genre: Some(0),
        ..model(Status::Listening(State::Silent))
    };
    assert_eq!(silent.headline(), "Silent");
}

#[test]
fn what_was_heard_last_is_told_where_it_differs() {
    let mut live = ViewModel {
        genre: Some(2),
        newest: vec![0.1, 0.2, 0.7],
        ..model(Status::Listening(State::Live))
    };
    assert_eq!(live.detail(), "then metal 30 %");
    live.newest = vec![0.8, 0.1, 0.1];
    assert_eq!(live.detail(), "then metal 30 %\nnewest alone: blues 80 %");
}

#[test]
fn every_reason_is_explained() {
    for reason in Reason::ALL {
        let unsure = ViewModel {
            reason: Some(reason),
            music: Some(0.25),
            ..model(Status::Listening(State::Unsure))
        };
        let why = unsure.why().unwrap();
        assert!(why.starts_with("No genre") && why.ends_with('.'), "{why}");
        let led = matches!(
            reason,
            Reason::FirstSeconds | Reason::LowScore | Reason::Overtaken
        );
        assert_eq!(why.contains("rock (60 %)"), led, "{why}");
        let doubted = matches!(reason, Reason::MaybeNotMusic | Reason::NotMusic);
        assert_eq!(why.contains("25 %"), doubted, "{why}");
    }
    let named = ViewModel {
        genre: Some(2),
        ..model(Status::Listening(State::Live))
    };
    assert_eq!(named.why(), None);
}

#[test]
fn percentages_are_whole() {
    assert_eq!(percent(0.0), "0 %");
    assert_eq!(percent(0.004), "<1 %");
    assert_eq!(percent(0.005), "1 %");
    assert_eq!(percent(0.996), "100 %");
}
