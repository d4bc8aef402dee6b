//! The strip, the moment that is pinned, and the page of the song.

use egui::{Color32, pos2};
use genrescope_plugin_core::{
    editor::view::{Action, Page, design_size},
    history::csv,
    params::Reach,
};

use super::raster::{Offscreen, scenes};

#[test]
fn the_strip_reaches_as_far_back_as_is_asked() {
    let mut model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    let near = offscreen.render(&model);
    // The buttons below it.
    let mut asked = Vec::new();
    for x in (200..560).step_by(8) {
        for action in offscreen.click(&model, pos2(x as f32, 402.0)) {
            if !asked.contains(&action) {
                asked.push(action);
            }
        }
    }
    assert_eq!(asked, Reach::ALL.map(Action::Reach));
    assert_eq!(offscreen.memory.pinned, None);
    model.reach = Reach::Ten;
    let far = offscreen.render(&model);
    // Reggae fills the right third of two minutes, and not of ten.
    assert_ne!(near.at(500, 375), far.at(500, 375));
    assert_eq!(near.at(735, 380), far.at(735, 380));
}

/// A place on the strip in design size: reggae, a minute of two.
const ON_THE_STRIP: egui::Pos2 = pos2(600.0, 370.0);

/// The same: jazz.
const ON_THE_JAZZ: egui::Pos2 = pos2(100.0, 370.0);

#[test]
fn a_click_on_the_strip_shows_that_moment_and_another_shows_now() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    let now = offscreen.render(&model);
    offscreen.click(&model, ON_THE_JAZZ);
    let at = offscreen.memory.pinned.expect("a moment is pinned");
    let past = model.at(at).unwrap();
    assert_eq!(past.genre, Some(5));
    // The bars are those of then.
    for _ in 0..60 {
        offscreen.pass(&model, Vec::new());
    }
    let bars = offscreen.memory.bars().to_vec();
    assert!((bars[5] - past.confidence).abs() < 1e-3, "{bars:?}");
    let then = offscreen.render(&model);
    let differing = (0..now.pixels.len())
        .filter(|&index| now.pixels[index] != then.pixels[index])
        .count();
    assert!(differing > 3_000, "{differing} pixels differ");
    // The frame that says so, in amber.
    assert_eq!(then.at(14, 200), Color32::from_rgb(0xff, 0xb4, 0x54));
    offscreen.click(&model, ON_THE_STRIP);
    assert_eq!(offscreen.memory.pinned, None);
    offscreen.click(&model, ON_THE_STRIP);
    assert!(offscreen.memory.pinned.is_some());
    offscreen.press(&model, egui::Key::Escape);
    assert_eq!(offscreen.memory.pinned, None);
    offscreen.pass(&model, vec![egui::Event::PointerGone]);
    assert_eq!(offscreen.render(&model), now);
}

#[test]
fn a_moment_that_the_history_no_longer_has_is_let_go() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&model);
    offscreen.click(&model, ON_THE_STRIP);
    assert!(offscreen.memory.pinned.is_some());
    offscreen.render(&scenes::warming());
    assert_eq!(offscreen.memory.pinned, None);
}

#[test]
fn the_table_is_saved_and_copied_from_the_page_of_the_song() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&model);
    offscreen.click(&model, pos2(design_size().x - 122.0, 33.0));
    assert_eq!(offscreen.memory.page, Page::Song);
    let mut seen = Vec::new();
    let places = || {
        let rows = (360..410).step_by(8);
        rows.flat_map(|y| (24..400).step_by(12).map(move |x| pos2(x as f32, y as f32)))
    };
    for place in places() {
        seen.extend(offscreen.click(&model, place));
    }
    assert!(seen.contains(&Action::SaveCsv), "{seen:?}");
    assert!(seen.contains(&Action::Forget), "{seen:?}");
    let copied = offscreen.copied.take().expect("the table was copied");
    assert_eq!(copied, csv::table(&model.history, &model.labels));
    assert_eq!(copied.lines().count(), 1 + model.history.iter().len());
    // Without a history there is nothing to save.
    let empty = scenes::warming();
    for place in places() {
        assert_eq!(offscreen.click(&empty, place), []);
    }
    assert_eq!(offscreen.copied, None);
}
