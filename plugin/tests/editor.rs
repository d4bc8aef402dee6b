//! The editor, drawn offscreen.

#[path = "editor/history.rs"]
mod history;
#[path = "editor/keys.rs"]
mod keys;
#[path = "support/raster.rs"]
mod raster;
#[path = "editor/room.rs"]
mod room;

use std::collections::HashSet;

use egui::{Color32, pos2, vec2};
use genrescope::decision::State;
use genrescope_plugin_core::{
    editor::{
        view::{Action, Page, compact_size, design_size},
        view_model::{Status, ViewModel},
    },
    params::{Appearance, Restlessness},
};
use raster::{Image, Offscreen, scenes};

fn render(model: &ViewModel, share: f32) -> Image {
    Offscreen::new(design_size() * share, 1.0).render(model)
}

/// The corner is always background.
fn background(image: &Image) -> Color32 {
    image.at(0, 0)
}

/// Share of pixels that are not background.
fn ink(image: &Image) -> f64 {
    let ground = background(image);
    let inked = image.pixels.iter().filter(|&&p| p != ground).count();
    inked as f64 / image.pixels.len() as f64
}

#[test]
fn no_window_is_ever_blank() {
    let scenes = [
        ViewModel::default(),
        scenes::live(),
        scenes::unsure(),
        scenes::talk(),
        scenes::warming(),
        scenes::provisional(),
        scenes::silent(),
        scenes::trouble(),
        scenes::many(1),
        scenes::many(64),
        scenes::held(),
        scenes::waiting(),
        scenes::bypassed(),
        scenes::an_hour(),
    ];
    let design = design_size();
    let looks = [
        (design * 0.5, Appearance::Dark),
        (design, Appearance::Dark),
        (design, Appearance::Light),
        (design * 2.0, Appearance::Dark),
        (vec2(402.0, 501.0), Appearance::Light),
        (compact_size(), Appearance::Dark),
        (vec2(200.0, 80.0), Appearance::Light),
    ];
    for scene in &scenes {
        for (size, appearance) in looks {
            let scene = ViewModel {
                appearance,
                ..scene.clone()
            };
            let image = Offscreen::new(size, 1.0).render(&scene);
            let bright = appearance == Appearance::Light;
            assert_eq!(background(&image).r() > 128, bright);
            let ink = ink(&image);
            assert!(ink > 0.03, "{:?} at {size}: {ink:.3}", scene.status);
            let untouched = Color32::from_rgb(255, 0, 255);
            assert!(
                !image.pixels.contains(&untouched),
                "{:?}: a hole",
                scene.status
            );
        }
    }
}

#[test]
fn foreign_numbers_are_drawn_too() {
    for value in [f32::NAN, f32::INFINITY, f32::NEG_INFINITY, -1.0, 1e30] {
        let mut scene = scenes::live();
        scene.scores.fill(value);
        scene.confidence = value;
        scene.level_dbfs = value;
        scene.load = value;
        render(&scene, 1.0);
    }
    // A genre that the model does not have.
    render(
        &ViewModel {
            genre: Some(64),
            ..scenes::live()
        },
        1.0,
    );
    render(
        &ViewModel {
            scores: vec![0.5],
            ..scenes::live()
        },
        1.0,
    );
}

#[test]
fn without_music_the_bars_are_grey() {
    let saturated = |image: &Image| {
        // The strip below keeps its colours: it shows what was.
        let bars = image.height * 55 / 100 * image.width;
        image.pixels[..bars]
            .iter()
            .filter(|p| p.r().max(p.g()).max(p.b()) - p.r().min(p.g()).min(p.b()) > 60)
            .count()
    };
    assert!(saturated(&render(&scenes::live(), 1.0)) > 500);
    assert_eq!(saturated(&render(&scenes::talk(), 1.0)), 0);
}

#[test]
fn bars_glide() {
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&scenes::live());
    let before = offscreen.memory.bars()[8];
    offscreen.pass(&scenes::unsure(), Vec::new());
    let soon = offscreen.memory.bars()[8];
    for _ in 0..60 {
        offscreen.pass(&scenes::unsure(), Vec::new());
    }
    let later = offscreen.memory.bars()[8];
    assert_eq!(before, 0.71);
    assert!(soon < before && soon > 0.3, "one frame later: {soon}");
    assert!((later - 0.03).abs() < 1e-3, "two seconds later: {later}");
}

#[test]
fn buttons_do_what_they_say() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&model);
    // Every action that a click somewhere in the footer can give.
    let mut seen = HashSet::new();
    for x in (10..750).step_by(15) {
        for action in offscreen.click(&model, pos2(x as f32, 443.0)) {
            seen.insert(format!("{action:?}"));
        }
    }
    assert!(seen.contains(&format!("{:?}", Action::Reset)), "{seen:?}");
    assert!(
        seen.contains(&format!("{:?}", Action::Hold(true))),
        "{seen:?}"
    );
}

#[test]
fn presets_are_chosen_in_the_settings() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.memory.page = Page::Settings;
    offscreen.render(&model);
    let mut seen = HashSet::new();
    for x in (20..500).step_by(12) {
        for action in offscreen.click(&model, pos2(x as f32, 75.0)) {
            seen.insert(format!("{action:?}"));
        }
    }
    let all = Restlessness::ALL.map(|choice| format!("{:?}", Action::Preset(choice)));
    assert_eq!(seen, all.into_iter().collect());
}

#[test]
fn an_answer_so_far_looks_less_certain() {
    let so_far = scenes::provisional();
    let live = ViewModel {
        status: Status::Listening(State::Live),
        ..so_far.clone()
    };
    let brightest = |model: &ViewModel| {
        let image = render(model, 1.0);
        // The name, large, on the left.
        let name = (100..180).flat_map(|y| (20..340).map(move |x| (x, y)));
        name.map(|(x, y)| image.at(x, y).r()).max().unwrap()
    };
    assert!(brightest(&live) > brightest(&so_far) + 40);
}

#[test]
fn the_settings_open_and_close() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&model);
    let place = pos2(design_size().x - 40.0, 33.0);
    offscreen.click(&model, place);
    assert_eq!(offscreen.memory.page, Page::Settings);
    offscreen.click(&model, place);
    assert_eq!(offscreen.memory.page, Page::Readout);
    offscreen.click(&model, place);
    offscreen.press(&model, egui::Key::Escape);
    assert_eq!(offscreen.memory.page, Page::Readout);
}
