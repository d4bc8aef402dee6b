//! The rows of the table.

use std::{fmt::Write as _, sync::Arc};

use anyhow::Result;
use genrescope::{
    decision::{FRAME, State},
    network::Model,
};

use super::{
    Heard, Seen,
    streams::{Join, Plan, Truth},
};
use crate::{
    degrade::Damage,
    material::{Material, steps_of},
    metrics::{Share, auroc, calibration},
    parallel,
};

/// Seconds after which answers are asked for.
const SECONDS: [f64; 4] = [3.0, 5.0, 10.0, 29.0];

/// Seconds of something else that a listener may need to notice it: counted apart.
const GRACE: f64 = 6.0;

/// A line of the table.
#[derive(Clone, Debug, PartialEq)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// What came of it, with its interval where it is a share.
    pub value: String,
    /// Of how many, and what.
    pub of: String,
    /// What was aimed at; empty where nothing was.
    pub target: String,
    /// Was it met?
    pub met: Option<bool>,
}

fn row(what: &str, value: String, of: String, target: &str, met: Option<bool>) -> Row {
    Row {
        what: what.into(),
        value,
        of,
        target: target.into(),
        met,
    }
}

fn percent(share: Share) -> String {
    format!(
        "{:.1} % ({:.1} to {:.1})",
        100.0 * share.value,
        100.0 * share.low,
        100.0 * share.high
    )
}

/// The table as Markdown.
pub fn markdown(rows: &[Row]) -> String {
    let mut text = String::from(
        "| what | measured (95 % interval) | of | target | met |\n|---|---|---|---|---|\n",
    );
    for row in rows {
        let met = match row.met {
            Some(true) => "yes",
            Some(false) => "**no**",
            None => "",
        };
        let _ = writeln!(
            text,
            "| {} | {} | {} | {} | {met} |",
            row.what, row.value, row.of, row.target
        );
    }
    text
}

/// How well the music head tells: by recording and by single look.
pub(super) fn music_rows(
    models: &[Arc<Model>],
    material: &Material,
    seed: u64,
    threads: usize,
) -> Result<Vec<Row>> {
    let music: Vec<usize> = (0..material.music.len())
        .filter(|&i| material.music[i].whole)
        .collect();
    let over: Vec<Plan> = music
        .iter()
        .step_by(4)
        .enumerate()
        .map(|(i, &clip)| Plan::Over {
            clip,
            db: (i % 13) as f32 - 6.0,
        })
        .collect();
    let n = music.len() + over.len() + material.other.len();
    let asked = parallel::map(n, threads, |i| -> Result<Vec<f32>> {
        let (model, samples);
        if i < music.len() {
            let clip = &material.music[music[i]];
            (model, samples) = (clip.fold, clip.samples.clone());
        } else if i < music.len() + over.len() {
            let stream = over[i - music.len()].make(material, seed.wrapping_add(i as u64))?;
            (model, samples) = (stream.model, stream.samples);
        } else {
            let clip = &material.other[i - music.len() - over.len()];
            (model, samples) = (clip.fold, clip.samples.clone());
        }
        let model = &models[model % models.len()];
        let mut logits = Vec::new();
        // The first two looks see less than their three steps.
        for step in steps_of(model, &samples)?.iter().skip(2) {
            if let Some(p) = step.music {
                logits.push((p / (1.0 - p).max(1e-7)).max(1e-7).ln());
            }
        }
        Ok(logits)
    });
    let asked = asked.into_iter().collect::<Result<Vec<_>>>()?;
    if asked.iter().all(Vec::is_empty) {
        let none = "the models have no music head: run `genrescope-train calibrate`".to_owned();
        return Ok(vec![row(
            "music against the rest, AUROC",
            "-".into(),
            none,
            ">= 0.98",
            Some(false),
        )]);
    }
    let split = music.len() + over.len();
    let mean = |logits: &Vec<f32>| logits.iter().sum::<f32>() / logits.len().max(1) as f32;
    let kept = |part: &[Vec<f32>]| {
        part.iter()
            .filter(|l| !l.is_empty())
            .map(mean)
            .collect::<Vec<f32>>()
    };
    let (yes, no) = (kept(&asked[..split]), kept(&asked[split..]));
    let area = auroc(&yes, &no);
    let (yes_each, no_each) = (asked[..split].concat(), asked[split..].concat());
    Ok(vec![
        row(
            "music against the rest, AUROC, a recording",
            format!("{area:.4}"),
            format!(
                "{} of music, {} of them with talk over it; {} of {} kinds of sound",
                yes.len(),
                over.len(),
                no.len(),
                material.kinds().len()
            ),
            ">= 0.98",
            Some(area >= 0.98),
        ),
        row(
            "the same, a single look of 4 s",
            format!("{:.4}", auroc(&yes_each, &no_each)),
            format!("{} and {} looks", yes_each.len(), no_each.len()),
            "",
            None,
        ),
    ])
}

/// Share of time, as a share of whole seconds so that it has an interval.
fn time_share(part: f64, whole: f64) -> Share {
    Share::new(part.round() as usize, whole.round().max(1.0) as usize)
}

pub(super) fn trust_rows(heard: &[Heard], kinds: &[&str]) -> Vec<Row> {
    let mut rows = Vec::new();
    let time = |pick: &dyn Fn(&Heard) -> Option<(f64, f64)>, is: &dyn Fn(&Seen) -> bool| {
        let (mut part, mut whole, mut n) = (0.0, 0.0, 0);
        for heard in heard {
            let Some((from, to)) = pick(heard) else {
                continue;
            };
            n += 1;
            whole += to - from;
            part += heard
                .standing(from, to)
                .filter(|(seen, _)| is(seen))
                .map(|(_, s)| s)
                .sum::<f64>();
        }
        (time_share(part, whole), n)
    };
    let not_music = |seen: &Seen| seen.state == State::NotMusic;
    for (what, target, is_it) in [
        (
            "music called not music, share of time",
            Some(0.01),
            (|plan| {
                matches!(
                    plan,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            }) as fn(&Plan) -> bool,
        ),
        ("the same, with talk over it (-6 to +6 dB)", None, |plan| {
            matches!(plan, Plan::Over { .. })
        }),
        (
            "the same, damaged (soft, noisy, telephone, room, fast)",
            None,
            |plan| matches!(plan, Plan::Single { damage, .. } if *damage != Damage::Clean),
        ),
    ] {
        let (share, n) = time(&|h| is_it(&h.plan).then_some((0.0, h.length)), &not_music);
        rows.push(row(
            what,
            percent(share),
            format!("{n} clips, {:.1} min", share.n as f64 / 60.0),
            if target.is_some() { "<= 1 %" } else { "" },
            target.map(|target| share.value <= target),
        ));
    }
    let named = |seen: &Seen| seen.genre.is_some();
    let (share, n) = time(
        &|h| matches!(h.plan, Plan::Other { .. }).then_some((0.0, h.length)),
        &named,
    );
    rows.push(row(
        "a genre shown in streams of talk or noise alone, share of time",
        percent(share),
        format!("{n} streams of a minute{}", worst(heard, kinds)),
        "<= 2 %",
        Some(share.value <= 0.02),
    ));
    let breaks = |h: &Heard, grace: f64, kinds: &dyn Fn(&Option<usize>) -> bool| match h.plan {
        Plan::Break { kind, .. } if kinds(&kind) => Some((h.truth[1].0 + grace, h.truth[2].0)),
        _ => None,
    };
    let any = |_: &Option<usize>| true;
    let (share, n) = time(&|h| breaks(h, GRACE, &any), &named);
    rows.push(row(
        &format!("in breaks between songs, from {GRACE} s on (talk, noise, silence)"),
        percent(share),
        format!("{n} breaks of 20 to 45 s"),
        "<= 2 %",
        Some(share.value <= 0.02),
    ));
    let (share, _) = time(&|h| breaks(h, 0.0, &any), &named);
    rows.push(row(
        "in the same breaks, from their first moment on",
        percent(share),
        format!("{n} breaks"),
        "",
        None,
    ));
    for (what, kinds) in [
        (
            "seconds until the genre goes: talk and noise, median",
            (|k| k.is_some()) as fn(&Option<usize>) -> bool,
        ),
        ("the same: silence", |k| k.is_none()),
    ] {
        let mut seconds: Vec<f64> = heard
            .iter()
            .filter_map(|h| {
                let (from, _) = breaks(h, 0.0, &kinds)?;
                Some(
                    h.seen
                        .iter()
                        .find(|s| s.at >= from && s.genre.is_none())
                        .map_or(f64::INFINITY, |s| s.at - from),
                )
            })
            .collect();
        let n = seconds.len();
        rows.push(row(
            what,
            format!("{:.1} s", median(&mut seconds)),
            format!("{n} breaks"),
            "",
            None,
        ));
    }
    rows
}

pub(super) fn median(values: &mut [f64]) -> f64 {
    values.sort_by(f64::total_cmp);
    match values.len() {
        0 => f64::NAN,
        n if n % 2 == 1 => values[n / 2],
        n => f64::midpoint(values[n / 2 - 1], values[n / 2]),
    }
}

fn label_at(heard: &Heard, stretch: usize) -> Option<usize> {
    match heard.truth.get(stretch)?.1 {
        Truth::Music(label) => Some(label),
        Truth::Foreign | Truth::Other => None,
    }
}

/// Which kinds of what is not music were given a genre for longest, with the share of their time.
fn worst(heard: &[Heard], kinds: &[&str]) -> String {
    let mut shares: Vec<(f64, &str)> = heard
        .iter()
        .filter_map(|h| {
            let Plan::Other { kind } = h.plan else {
                return None;
            };
            let named = h.standing(0.0, h.length);
            let seconds: f64 = named
                .filter(|(seen, _)| seen.genre.is_some())
                .map(|(_, s)| s)
                .sum();
            Some((seconds / h.length, *kinds.get(kind)?))
        })
        .filter(|(share, _)| *share > 0.02)
        .collect();
    shares.sort_by(|a, b| b.0.total_cmp(&a.0));
    let list: Vec<String> = shares
        .iter()
        .take(4)
        .map(|(share, kind)| format!("{kind} {:.0} %", 100.0 * share))
        .collect();
    if list.is_empty() {
        String::new()
    } else {
        format!(": {}", list.join(", "))
    }
}

pub(super) fn answer_rows(heard: &[Heard]) -> Vec<Row> {
    let mut rows = Vec::new();
    let single = |h: &&Heard| {
        matches!(
            h.plan,
            Plan::Single {
                damage: Damage::Clean,
                ..
            }
        )
    };
    let answers = |t: f64, pick: &dyn Fn(&&Heard) -> bool| -> Vec<(f32, bool, bool)> {
        heard
            .iter()
            .filter(|h| pick(h))
            .filter_map(|h| {
                let seen = h.at(t)?;
                Some((
                    seen.score,
                    Some(seen.best) == label_at(h, 0),
                    seen.genre.is_some(),
                ))
            })
            .collect()
    };
    for t in SECONDS {
        let answers = answers(t, &single);
        let right = answers.iter().filter(|a| a.1).count();
        let calls: Vec<(f32, bool)> = answers.iter().map(|a| (a.0, a.1)).collect();
        let error = calibration(&calls).0;
        rows.push(row(
            &format!("best candidate right after {t} s"),
            percent(Share::new(right, answers.len())),
            format!("{} clips", answers.len()),
            "",
            None,
        ));
        rows.push(row(
            &format!("calibration error (ECE) after {t} s"),
            format!("{:.1} %", 100.0 * error),
            format!("{} clips", answers.len()),
            "<= 8 %",
            Some(error <= 0.08),
        ));
        let shown: Vec<_> = answers.iter().filter(|a| a.2).collect();
        rows.push(row(
            &format!("a genre is shown after {t} s, and is right"),
            percent(Share::new(
                shown.iter().filter(|a| a.1).count(),
                shown.len(),
            )),
            format!("{} of {} clips shown", shown.len(), answers.len()),
            "",
            None,
        ));
    }
    let mut last = answers(f64::INFINITY, &single);
    let full = Share::new(last.iter().filter(|a| a.1).count(), last.len());
    last.sort_by(|a, b| b.0.total_cmp(&a.0));
    last.truncate((last.len() as f64 * 0.9).round() as usize);
    let kept = Share::new(last.iter().filter(|a| a.1).count(), last.len());
    let gain = 100.0 * (kept.value - full.value);
    rows.push(row(
        "right among the surest 90 %, after 29 s",
        format!("{}, {gain:+.1} points", percent(kept)),
        format!("{} of {} clips", kept.n, full.n),
        ">= +3 points",
        Some(gain >= 3.0),
    ));
    let damaged = answers(
        29.0,
        &|h| matches!(h.plan, Plan::Single { damage, .. } if damage != Damage::Clean),
    );
    let right = damaged.iter().filter(|a| a.1).count();
    rows.push(row(
        "best candidate right after 29 s, damaged",
        percent(Share::new(right, damaged.len())),
        format!("{} clips", damaged.len()),
        "",
        None,
    ));
    for (what, pick) in [
        (
            "nothing named at the end: clean clips",
            (|p| {
                matches!(
                    p,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            }) as fn(&Plan) -> bool,
        ),
        ("the same: two genres at once", |p| {
            matches!(p, Plan::Mixture { .. })
        }),
        ("the same: songs of no genre among the labels", |p| {
            matches!(p, Plan::Song { .. })
        }),
    ] {
        let asked: Vec<&Heard> = heard
            .iter()
            .filter(|h| {
                pick(&h.plan) && (!matches!(h.plan, Plan::Song { .. }) || label_at(h, 0).is_none())
            })
            .collect();
        let none = asked
            .iter()
            .filter(|h| h.seen.last().is_some_and(|s| s.genre.is_none()))
            .count();
        rows.push(row(
            what,
            percent(Share::new(none, asked.len())),
            format!("{} streams", asked.len()),
            "",
            None,
        ));
    }
    rows
}

pub(super) fn change_rows(heard: &[Heard]) -> Vec<Row> {
    let mut rows = Vec::new();
    for (what, target, pick) in [
        (
            "cut",
            Some(10.0),
            (|j| matches!(j, Join::Cut)) as fn(&Join) -> bool,
        ),
        (
            "crossfade of 2 to 16 s (from its middle)",
            Some(14.0),
            |j| matches!(j, Join::Crossfade(_)),
        ),
        ("gap of 0.5 to 4 s", None, |j| matches!(j, Join::Gap(_))),
    ] {
        let of: Vec<(&Heard, Join)> = heard
            .iter()
            .filter_map(|h| match h.plan {
                Plan::Follow { join, .. } if pick(&join) => Some((h, join)),
                _ => None,
            })
            .collect();
        let mut seconds: Vec<f64> = of
            .iter()
            .map(|(h, _)| h.until(h.truth[1].0, label_at(h, 1).unwrap_or(0)))
            .collect();
        let never = seconds.iter().filter(|s| s.is_infinite()).count();
        let middle = median(&mut seconds);
        rows.push(row(
            &format!("seconds to the new genre after a {what}, median"),
            format!("{middle:.1} s"),
            format!(
                "{} streams; {never} never show it and count as infinite",
                of.len()
            ),
            &target.map_or(String::new(), |t: f64| format!("<= {t} s")),
            target.map(|t| middle <= t),
        ));
        let found = of
            .iter()
            .filter(|(h, join)| {
                let at = h.truth[1].0;
                let half = if let Join::Crossfade(seconds) = join {
                    seconds / 2.0
                } else {
                    0.0
                };
                h.begun_anew(at - half, at + half + 10.0) > 0
            })
            .count();
        rows.push(row(
            "the change was noticed within 10 s of it",
            percent(Share::new(found, of.len())),
            format!("{} streams", of.len()),
            "",
            None,
        ));
        let once = of.iter().filter(|(h, _)| h.flips().len() <= 1).count();
        rows.push(row(
            "the shown genre changes at most once",
            percent(Share::new(once, of.len())),
            format!("{} streams", of.len()),
            "",
            None,
        ));
    }
    type Pick = fn(&Plan) -> bool;
    let clean: Pick = |p| {
        matches!(
            p,
            Plan::Single {
                damage: Damage::Clean,
                ..
            } | Plan::Song { .. }
        )
    };
    let hours = |pick: Pick| {
        heard
            .iter()
            .filter(|h| pick(&h.plan))
            .map(|h| h.length)
            .sum::<f64>()
            / 3_600.0
    };
    let alarms: usize = heard
        .iter()
        .filter(|h| clean(&h.plan))
        .map(|h| h.begun_anew(0.0, f64::INFINITY))
        .sum();
    rows.push(row(
        "false alarms of a change an hour",
        format!("{:.1}", alarms as f64 / hours(clean).max(1e-9)),
        format!("{alarms} in {:.2} h of clips and songs", hours(clean)),
        "",
        None,
    ));
    for (what, target, pick) in [
        (
            "flips an hour within one song: clips repeated to two minutes",
            Some(2.0),
            (|p| matches!(p, Plan::Repeat { .. })) as Pick,
        ),
        ("the same: whole songs (up to two minutes)", None, |p| {
            matches!(p, Plan::Song { .. })
        }),
        (
            "the same: single clips of 30 s, first guess and all",
            None,
            |p| {
                matches!(
                    p,
                    Plan::Single {
                        damage: Damage::Clean,
                        ..
                    }
                )
            },
        ),
    ] {
        let of: Vec<&Heard> = heard.iter().filter(|h| pick(&h.plan)).collect();
        // What brought them about: a first answer before a whole frame, an alarm, or neither.
        let (mut flips, mut early, mut alarmed) = (0_usize, 0, 0);
        for heard in &of {
            for at in heard.flips() {
                flips += 1;
                if at < FRAME.0 {
                    early += 1;
                } else if heard.begun_anew(at - FRAME.0, at) > 0 {
                    alarmed += 1;
                }
            }
        }
        let rate = flips as f64 / hours(pick).max(1e-9);
        rows.push(row(
            what,
            format!("{rate:.1}"),
            format!(
                "{flips} in {:.2} h, {} streams; {early} before a whole frame, {alarmed} within one after an alarm",
                hours(pick),
                of.len()
            ),
            if target.is_some() { "<= 2" } else { "" },
            target.map(|t| rate <= t),
        ));
    }
    rows
}
