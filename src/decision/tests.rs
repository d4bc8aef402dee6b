use super::*;

const STEP: f64 = 2.0;

/// Feeds one frame score per step and returns the readouts.
fn run(decision: &mut Decision, from: f64, frames: &[[f32; 3]]) -> Vec<Readout> {
    let mut readouts = Vec::new();
    for (i, scores) in frames.iter().enumerate() {
        let position = Seconds(from + (i + 1) as f64 * STEP);
        readouts.push(decision.observe(&Observation {
            position,
            heard: Seconds(position.0.min(FRAME.0)),
            level_dbfs: -20.0,
            silent: false,
            scores: Some(Scores::new(scores)),
            music: None,
        }));
    }
    readouts
}

fn three() -> Labels {
    Labels::new(["a", "b", "c"]).unwrap()
}

fn decision() -> Decision {
    Decision::new(
        &three(),
        DecisionConfig::default(),
        &DecisionDefaults::default(),
    )
    .unwrap()
}

fn silence(position: f64) -> Observation {
    Observation {
        position: Seconds(position),
        heard: Seconds(0.0),
        level_dbfs: -120.0,
        silent: true,
        scores: None,
        music: None,
    }
}

#[test]
fn states_follow_what_was_heard() {
    let readouts = run(&mut decision(), 0.0, &[[0.98, 0.01, 0.01]; 16]);
    assert_eq!(readouts[0].state, State::Warming);
    assert_eq!(readouts[0].genre, None);
    assert_eq!(readouts[1].state, State::Provisional);
    assert_eq!(readouts[1].genre, Some(0));
    assert!(readouts[1].changed && !readouts[2].changed);
    assert_eq!(readouts[15].state, State::Live);
    assert_eq!(readouts[15].seq, 16);
}

#[test]
fn after_a_while_of_doubt_the_best_is_shown_and_not_what_was_best_before() {
    let config = DecisionConfig {
        unsure_below: Some(0.65),
        ..DecisionConfig::default()
    };
    let mut decision = Decision::new(&three(), config, &DecisionDefaults::default()).unwrap();
    let frames = [
        vec![[0.9, 0.05, 0.05]; 20],
        vec![[0.1, 0.6, 0.3]; 60],
        vec![[0.02, 0.96, 0.02]; 20],
    ];
    let shown: Vec<Option<usize>> = run(&mut decision, 0.0, &frames.concat())
        .iter()
        .map(|readout| readout.genre)
        .collect();
    assert_eq!(shown[19], Some(0));
    let doubt = shown.iter().rposition(Option::is_none).unwrap();
    assert!((20..99).contains(&doubt), "{shown:?}");
    assert_eq!(shown[doubt + 1], Some(1), "{shown:?}");
}

/// What a stream of any looks must never show.
fn must_hold(readout: &Readout, threshold: f32, margin: f32) {
    assert_eq!(readout.reason.is_none(), readout.genre.is_some());
    let Some(genre) = readout.genre else { return };
    let (own, best) = (readout.scores.as_slice()[genre], readout.scores.top().1);
    assert!(own >= threshold, "{own} is unsure: {readout:?}");
    assert!(best - own < margin, "{best} is ahead of {own}: {readout:?}");
    assert_eq!(readout.confidence, own);
}

#[test]
fn no_genre_is_shown_that_its_own_score_speaks_against() {
    let threshold = 0.4;
    let config = DecisionConfig {
        unsure_below: Some(threshold),
        ..DecisionConfig::default()
    };
    let mut random = crate::random::Random::new(12_345);
    let mut draw = || random.unit();
    for preset in Preset::ALL {
        let config = DecisionConfig {
            dwell: preset.dwell(),
            span: Span::Exponential(preset.averaging()),
            ..config.clone()
        };
        let mut decision = Decision::new(&three(), config, &DecisionDefaults::default()).unwrap();
        let (mut heard, mut shown) = (0.0, 0);
        let mut leader = 0;
        for step in 1..3_000 {
            heard += STEP;
            if draw() < 0.05 {
                leader = (draw() * 3.0) as usize;
            }
            if draw() < 0.02 {
                decision.song_changed();
                heard = 2.7;
            }
            let mut logits = [draw(), draw(), draw()];
            logits[leader] += 2.0 * draw();
            let readout = decision.observe(&Observation {
                heard: Seconds(f64::min(heard, FRAME.0)),
                silent: false,
                scores: Some(Scores::softmax(&logits, 0.5)),
                music: Some(if draw() < 0.05 { 0.1 } else { 0.99 }),
                ..silence(STEP * f64::from(step))
            });
            must_hold(&readout, threshold, 0.15);
            shown += u32::from(readout.genre.is_some());
        }
        assert!(shown > 300, "{preset:?} shows {shown} of 3000");
    }
}

#[test]
fn a_taught_genre_of_one_percent_is_never_shown_beside_one_of_97() {
    // A head of sharp answers: one label, and from one look to the next another, without an
    // alarm.
    let mut frames = vec![[0.98, 0.01, 0.01]; 60];
    frames.extend(vec![[0.01, 0.02, 0.97]; 60]);
    let readouts = run(&mut decision(), 0.0, &frames);
    for readout in &readouts {
        must_hold(readout, DecisionDefaults::default().unsure_threshold, 0.15);
    }
    let back = readouts[60..]
        .iter()
        .position(|r| r.genre == Some(2))
        .unwrap();
    assert!(back < 15, "shown after {back} looks");
}

#[test]
fn outside_music_scores_and_confidence_are_0() {
    let mut decision = decision();
    let before = *run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20])
        .last()
        .unwrap();
    assert!(before.confidence > 0.7 && before.reason.is_none());
    let zero = Scores::zeros(3);
    let silent = decision.observe(&silence(42.0));
    assert_eq!((silent.confidence, silent.scores), (0.0, zero));
    assert_eq!((silent.frame_scores, silent.music), (zero, None));
    assert_eq!(silent.reason, Some(Reason::Silence));
    let talk = Observation {
        silent: false,
        heard: FRAME,
        music: Some(0.05),
        scores: Some(Scores::new(&[0.1, 0.8, 0.1])),
        ..silence(44.0)
    };
    let talk = (0..4).map(|_| decision.observe(&talk)).last().unwrap();
    assert_eq!(talk.state, State::NotMusic);
    assert_eq!((talk.confidence, talk.scores), (0.0, zero));
    assert_eq!(talk.reason, Some(Reason::NotMusic));
    assert!(talk.music.is_some_and(|music| music < 0.1), "{talk:?}");
}

#[test]
fn a_model_brings_numbers_of_its_own() {
    let mut defaults = DecisionDefaults::default();
    defaults.more.insert("band".into(), 0.1.into());
    defaults.more.insert("returns_fade".into(), (-1.0).into());
    let rules = Rules::of(&defaults);
    assert_eq!(rules.band, 0.1);
    assert_eq!(rules.returns_fade, 60.0, "out of range");
}

#[test]
fn rules_are_set_by_name_and_within_their_range() {
    let mut rules = Rules::default();
    rules.set("band", 0.2).unwrap();
    assert_eq!(rules.band, 0.2);
    let unknown = rules.set("bond", 0.2).unwrap_err().to_string();
    assert!(unknown.starts_with("there is no rule 'bond'"), "{unknown}");
    assert!(unknown.contains("band, early_margin"), "{unknown}");
    let far = rules.set("band", 2.0).unwrap_err().to_string();
    assert_eq!(far, "band = 2 is out of range (0 to 1)");
}

#[test]
fn a_flat_score_is_unsure_and_names_its_two_candidates() {
    let readouts = run(&mut decision(), 0.0, &[[0.34, 0.32, 0.34]; 4]);
    let last = readouts.last().unwrap();
    assert_eq!((last.state, last.genre), (State::Unsure, None));
    let ranked = three().ranked(&last.scores);
    assert_eq!((ranked[0].0, ranked[1].0), (0, 2));
}

#[test]
fn alternating_frames_do_not_flicker() {
    let mut frames = vec![[0.8, 0.1, 0.1]; 8];
    frames.extend([[0.1, 0.8, 0.1], [0.8, 0.1, 0.1]].repeat(20));
    let readouts = run(&mut decision(), 0.0, &frames);
    assert!(readouts[4..].iter().all(|r| r.genre == Some(0)));
}

#[test]
fn a_guess_from_the_first_seconds_must_be_surer() {
    let named_after = |score: f32| {
        let rest = (1.0 - score) / 2.0;
        let readouts = run(&mut decision(), 0.0, &[[score, rest, rest]; 16]);
        readouts.iter().find(|r| r.genre.is_some()).map(|r| r.heard)
    };
    assert_eq!(named_after(0.98), Some(Seconds(4.0)));
    assert_eq!(named_after(0.6), Some(Seconds(8.0)));
}

#[test]
fn the_first_seconds_are_no_talk_yet() {
    let mut decision = decision();
    let look = |heard: f64| Observation {
        heard: Seconds(heard),
        silent: false,
        music: Some(0.01),
        scores: Some(Scores::new(&[0.9, 0.05, 0.05])),
        ..silence(heard)
    };
    assert_eq!(decision.observe(&look(1.4)).state, State::Warming);
    assert_eq!(decision.observe(&look(2.6)).state, State::Warming);
    assert_eq!(decision.observe(&look(4.0)).state, State::NotMusic);
}

#[test]
fn a_lasting_change_is_shown_once() {
    let mut frames = vec![[0.8, 0.1, 0.1]; 20];
    frames.extend([[0.1, 0.8, 0.1]; 30]);
    let shown = |dwell: f64| {
        let config = DecisionConfig {
            dwell: Seconds(dwell),
            ..DecisionConfig::default()
        };
        let mut decision = Decision::new(&three(), config, &DecisionDefaults::default()).unwrap();
        let readouts = run(&mut decision, 0.0, &frames);
        let overtaken = readouts
            .iter()
            .filter(|r| r.reason == Some(Reason::Overtaken));
        let mut shown: Vec<_> = readouts.iter().map(|r| r.genre).collect();
        shown.dedup();
        (shown, overtaken.count())
    };
    assert_eq!(shown(0.0), (vec![None, Some(0), Some(1)], 0));
    let (with_a_gap, overtaken) = shown(10.0);
    assert_eq!(
        with_a_gap,
        [None, Some(0), None, Some(1)],
        "the old one is not shown once it is overtaken"
    );
    assert!((1..4).contains(&overtaken), "not for long");
}

#[test]
fn silence_names_nothing_and_reset_shows_the_next_at_once() {
    let mut decision = decision();
    run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
    let readout = decision.observe(&silence(42.0));
    assert_eq!((readout.state, readout.genre), (State::Silent, None));
    decision.reset_average();
    let after = run(&mut decision, 44.0, &[[0.1, 0.1, 0.8]; 2]);
    assert_eq!(after[0].genre, Some(2));
}

#[test]
fn after_a_change_only_the_first_look_must_be_surer() {
    let named_after = |before: usize, score: f32| {
        let mut decision = decision();
        run(&mut decision, 0.0, &vec![[0.8, 0.1, 0.1]; before]);
        decision.song_changed();
        let rest = (1.0 - score) / 2.0;
        (0..6).find_map(|i| {
            let heard = Seconds(4.0 + STEP * f64::from(i));
            let readout = decision.observe(&Observation {
                heard,
                silent: false,
                scores: Some(Scores::new(&[rest, score, rest])),
                ..silence(60.0 + heard.0)
            });
            readout.genre.map(|genre| (Some(genre), heard))
        })
    };
    assert_eq!(named_after(20, 0.98), Some((Some(1), Seconds(4.0))));
    assert_eq!(named_after(20, 0.6), Some((Some(1), Seconds(6.0))));
    assert_eq!(
        named_after(0, 0.6),
        Some((Some(1), Seconds(8.0))),
        "where none was named before, it is a first guess like any other"
    );
}

#[test]
fn a_false_alarm_changes_nothing_that_is_shown() {
    let mut decision = decision();
    run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
    decision.song_changed();
    // Two alarms in a row are no other than one.
    decision.song_changed();
    let same = run(&mut decision, 40.0, &[[0.7, 0.2, 0.1]; 1]);
    assert_eq!(same[0].genre, Some(0));
}

#[test]
fn talk_greys_the_readout_and_is_not_averaged() {
    let mut decision = decision();
    run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
    let mut talk = Observation {
        silent: false,
        music: Some(0.05),
        ..silence(42.0)
    };
    talk.heard = FRAME;
    talk.scores = Some(Scores::new(&[0.1, 0.8, 0.1]));
    let readouts: Vec<_> = (0..6)
        .map(|i| {
            talk.position = Seconds(42.0 + STEP * f64::from(i));
            decision.observe(&talk)
        })
        .collect();
    assert_eq!(readouts[5].state, State::NotMusic);
    assert_eq!(readouts[5].genre, None);
    talk.music = Some(0.95);
    let back: Vec<_> = (0..4).map(|_| decision.observe(&talk)).collect();
    assert_ne!(back[3].state, State::NotMusic);
    assert!(
        back.iter().any(|r| r.scores.as_slice()[0] > 0.7),
        "talk is not averaged in: {back:?}"
    );
}

#[test]
fn only_sure_music_is_named_first_and_likely_music_goes_on_being_named() {
    let mut decision = decision();
    let look = |decision: &mut Decision, i: u32, music: f32| {
        let seen = Observation {
            silent: false,
            heard: FRAME,
            scores: Some(Scores::new(&[0.9, 0.05, 0.05])),
            music: Some(music),
            ..silence(30.0 + STEP * f64::from(i))
        };
        decision.observe(&seen).genre
    };
    let doubt = DecisionDefaults::default().doubt_threshold;
    let likely = 1.2 * doubt / (1.0 + 0.2 * doubt);
    assert!((0..5).all(|i| look(&mut decision, i, likely).is_none()));
    assert_eq!(
        decision.readout().scores.top().0,
        0,
        "but it is a candidate"
    );
    assert!((5..8).any(|i| look(&mut decision, i, 0.999) == Some(0)));
    assert!((8..12).all(|i| look(&mut decision, i, likely) == Some(0)));
    assert!((12..24).any(|i| look(&mut decision, i, 0.5 * doubt).is_none()));
}

#[test]
fn restlessness_can_be_changed_on_the_way() {
    // Without an average, what is shown follows from the dwell alone.
    let shown_after = |preset: Preset| {
        let mut decision = decision();
        decision.set_averaging(Seconds(0.0));
        run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20]);
        decision.set_restlessness(preset);
        let frames = [[0.1, 0.8, 0.1]; 16];
        let after = run(&mut decision, 40.0, &frames);
        after.iter().position(|readout| readout.genre == Some(1))
    };
    assert_eq!(shown_after(Preset::Fast), Some(0));
    assert_eq!(shown_after(Preset::Balanced), Some(0));
    assert_eq!(shown_after(Preset::Steady), Some(3));
    // As it would have been from the beginning.
    let mut changed = decision();
    changed.set_restlessness(Preset::Fast);
    let first = |decision: &mut Decision| {
        let readouts = run(decision, 0.0, &[[0.75, 0.15, 0.1]; 8]);
        readouts.iter().position(|readout| readout.genre.is_some())
    };
    assert!(first(&mut changed) < first(&mut decision()));
}

#[test]
fn hold_keeps_the_answer_but_not_the_level() {
    let mut decision = decision();
    let before = *run(&mut decision, 0.0, &[[0.8, 0.1, 0.1]; 20])
        .last()
        .unwrap();
    decision.set_hold(true);
    let held = *run(&mut decision, 40.0, &[[0.0, 1.0, 0.0]; 20])
        .last()
        .unwrap();
    assert_eq!((held.genre, held.scores), (before.genre, before.scores));
    assert!(held.position.0 > before.position.0);
    // A pause is told, names nothing, and is over when the music goes on.
    let pause = decision.observe(&silence(81.0));
    assert_eq!((pause.state, pause.genre), (State::Silent, None));
    decision.song_changed();
    let back = *run(&mut decision, 82.0, &[[0.0, 1.0, 0.0]; 3])
        .last()
        .unwrap();
    assert_eq!((back.state, back.genre), (before.state, before.genre));
    decision.set_hold(false);
    let free = *run(&mut decision, 90.0, &[[0.0, 1.0, 0.0]; 30])
        .last()
        .unwrap();
    assert_eq!(free.genre, Some(1));
}

#[test]
fn doubt_about_the_kind_falls_back_to_the_family_and_only_then_to_none() {
    let labels = Labels::new(["electronic", "techno", "rock"]).unwrap();
    let labels = labels.with_families([("techno", "electronic")]).unwrap();
    let config = DecisionConfig {
        unsure_below: Some(0.4),
        ..DecisionConfig::default()
    };
    let defaults = DecisionDefaults::default();
    let mut decision = Decision::new(&labels, config, &defaults).unwrap();
    let parts = [[0.15, 0.7, 0.15], [0.6, 0.2, 0.2], [0.1, 0.25, 0.34]];
    let frames: Vec<[f32; 3]> = parts.iter().flat_map(|&part| [part; 30]).collect();
    let mut changes = Vec::new();
    for readout in run(&mut decision, 0.0, &frames) {
        let scores = readout.scores.as_slice();
        assert!(scores[0] >= scores[1], "a family has what its kinds have");
        if readout.seq > 4 && changes.last() != Some(&readout.genre) {
            changes.push(readout.genre);
        }
    }
    assert_eq!(changes, [Some(1), Some(0), None]);
}

#[test]
fn settings_out_of_range_are_named() {
    let config = DecisionConfig {
        margin: 1.5,
        ..DecisionConfig::default()
    };
    let error = Decision::new(&three(), config, &DecisionDefaults::default()).unwrap_err();
    assert_eq!(error.to_string(), "margin = 1.5 is out of range (0 to 1)");
}
