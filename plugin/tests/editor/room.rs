//! Windows of all sizes: everything has its room, and sizes are chosen.

use egui::{Rect, Vec2, pos2, vec2};
use genrescope::words::Language;
use genrescope_plugin_core::{
    editor::{
        view::{Action, Page, compact_size, design_size},
        view_model::ViewModel,
    },
    params::Appearance,
};

use super::{
    background,
    raster::{Image, Offscreen, scenes},
};

/// The largest share of the height that has nothing in it.
fn emptiest_band(image: &Image) -> f64 {
    let ground = background(image);
    let rows = image.pixels.chunks(image.width);
    let empty: Vec<bool> = rows.map(|row| row.iter().all(|&p| p == ground)).collect();
    let bands = empty.chunk_by(|a, b| a == b).filter(|band| band[0]);
    let longest = bands.map(<[bool]>::len).max().unwrap_or(0);
    longest as f64 / image.height as f64
}

/// All that is written lies within the window, and nothing over another.
fn check_texts(what: &str, size: Vec2, offscreen: &Offscreen) {
    let window = Rect::from_min_size(egui::Pos2::ZERO, size);
    let texts = &offscreen.texts;
    assert!(!texts.is_empty(), "{what}: nothing is written");
    for (index, (place, text)) in texts.iter().enumerate() {
        assert!(
            window.expand(0.5).contains_rect(*place),
            "{what}: {text:?} at {place} leaves {size}"
        );
        for (other, other_text) in &texts[index + 1..] {
            // The finest of antialiasing may touch.
            let both = place.shrink(0.5).intersect(other.shrink(0.5));
            assert!(
                !both.is_positive(),
                "{what}: {text:?} at {place} and {other_text:?} at {other}"
            );
        }
    }
}

#[test]
fn no_text_lies_over_another() {
    let scenes = [
        ("empty", ViewModel::default()),
        ("live", scenes::live()),
        ("hour", scenes::an_hour()),
        ("unsure", scenes::unsure()),
        ("talk", scenes::talk()),
        ("warming", scenes::warming()),
        ("provisional", scenes::provisional()),
        ("trouble", scenes::trouble()),
        ("many", scenes::many(50)),
        ("held", scenes::held()),
    ];
    let design = design_size();
    let sizes = [
        design * 0.5,
        design * 0.75,
        design,
        design * 2.0,
        vec2(402.0, 501.0),
        vec2(300.0, 560.0),
        compact_size(),
        vec2(240.0, 90.0),
    ];
    for (name, scene) in &scenes {
        for size in sizes {
            for page in [Page::Readout, Page::Song, Page::Settings] {
                let mut offscreen = Offscreen::new(size, 1.0);
                offscreen.memory.page = page;
                offscreen.memory.settle(scene);
                for _ in 0..3 {
                    offscreen.pass(scene, Vec::new());
                }
                check_texts(&format!("{name}, {page:?} at {size}"), size, &offscreen);
            }
        }
    }
    // A moment of the past.
    for size in sizes {
        let mut offscreen = Offscreen::new(size, 1.0);
        offscreen.memory.pinned = Some(40.0);
        offscreen.memory.settle(&scenes::live());
        offscreen.pass(&scenes::live(), Vec::new());
        offscreen.pass(&scenes::live(), Vec::new());
        check_texts(&format!("the past at {size}"), size, &offscreen);
    }
}

#[test]
fn every_language_has_room() {
    let scenes = [
        scenes::live(),
        scenes::unsure(),
        scenes::talk(),
        scenes::provisional(),
        scenes::warming(),
        scenes::waiting(),
        scenes::held(),
    ];
    let design = design_size();
    let sizes = [design * 0.5, design, vec2(402.0, 501.0), compact_size()];
    for language in Language::ALL {
        for (number, scene) in scenes.iter().enumerate() {
            let scene = ViewModel {
                language,
                dropped: 12_345,
                ..scene.clone()
            };
            let others = [Page::Song, Page::Settings];
            // The other pages are the same in every state.
            let pages = [Page::Readout]
                .into_iter()
                .chain(others.into_iter().filter(|_| number == 0));
            for (page, size) in pages.flat_map(|page| sizes.map(|size| (page, size))) {
                let mut offscreen = Offscreen::new(size, 1.0);
                offscreen.memory.page = page;
                offscreen.memory.settle(&scene);
                for _ in 0..3 {
                    offscreen.pass(&scene, Vec::new());
                }
                let what = format!("{}, scene {number}, {page:?}, {size}", language.name());
                check_texts(&what, size, &offscreen);
                // Nothing is cut at its full size.
                if size == design {
                    let cut = offscreen.texts.iter().find(|(_, text)| text.ends_with('…'));
                    assert_eq!(cut, None, "{what}");
                }
            }
        }
    }
}

#[test]
fn a_window_higher_than_wide_uses_its_height() {
    for size in [vec2(402.0, 501.0), vec2(420.0, 640.0), vec2(360.0, 800.0)] {
        let image = Offscreen::new(size, 1.0).render(&scenes::live());
        let empty = emptiest_band(&image);
        assert!(empty < 0.15, "{size}: {empty:.2} of the height is empty");
    }
}

#[test]
fn the_compact_view_has_a_way_back() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(compact_size(), 1.0);
    offscreen.render(&model);
    let actions = offscreen.click(&model, pos2(285.0, 18.0));
    assert_eq!(actions, [Action::Size(design_size())]);
    // A moment that was pinned before has no strip to come back from.
    offscreen.memory.pinned = Some(10.0);
    let with = offscreen.render(&model);
    offscreen.memory.pinned = None;
    assert_eq!(with, offscreen.render(&model));
}

#[test]
fn sizes_and_colours_are_chosen_in_the_settings() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.memory.page = Page::Settings;
    offscreen.render(&model);
    let mut seen = Vec::new();
    for y in (290..412).step_by(8) {
        for x in (100..700).step_by(12) {
            for action in offscreen.click(&model, pos2(x as f32, y as f32)) {
                if matches!(action, Action::Size(_) | Action::Theme(_)) && !seen.contains(&action) {
                    seen.push(action);
                }
            }
        }
    }
    let percents = [50.0, 75.0, 100.0, 125.0, 150.0, 200.0];
    let mut expected = vec![Action::Size(compact_size())];
    expected.extend(percents.map(|percent| Action::Size(design_size() * (percent / 100.0))));
    // Nothing tells what theme the system has, so it cannot be followed.
    expected.extend([Appearance::Dark, Appearance::Light].map(Action::Theme));
    assert_eq!(seen, expected);
}
