//! The editor by keys.

use genrescope_plugin_core::editor::{
    view::{Action, Page, design_size},
    view_model::ViewModel,
};

use super::raster::{Offscreen, scenes};

/// Labels of all that Tab comes to, until it comes to the first again.
fn by_tab(offscreen: &mut Offscreen, model: &ViewModel) -> Vec<String> {
    offscreen.render(model);
    for _ in 0..60 {
        offscreen.press(model, egui::Key::Tab);
    }
    let first = offscreen.focused[0].clone();
    let again = offscreen.focused[1..]
        .iter()
        .position(|name| *name == first);
    let length = 1 + again.expect("Tab comes round");
    offscreen.focused[..length].to_vec()
}

#[test]
fn every_control_is_reached_by_keys_and_has_a_name() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    assert_eq!(
        by_tab(&mut offscreen, &model),
        [
            "genrescope: keys",
            "Settings",
            "Song",
            "2 min",
            "10 min",
            "60 min",
            "What was heard in the last 2 minutes; arrows show a moment",
            "Reset",
            "Hold",
            "Averaging time in seconds",
        ]
    );
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.memory.page = Page::Song;
    let names = by_tab(&mut offscreen, &model);
    for name in ["Save CSV", "Copy CSV", "Forget"] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.memory.page = Page::Settings;
    let names = by_tab(&mut offscreen, &model);
    for name in [
        "Preset Steady",
        "MIDI out",
        "OSC out",
        "Model Wide",
        "Load the model file",
        "Size Compact",
        "Size 200 %",
        "Colours Light",
    ] {
        assert!(
            names.iter().any(|other| other == name),
            "{name} in {names:?}"
        );
    }
    // Three numbers and two fields besides.
    assert!(names.len() >= 25, "{names:?}");
}

#[test]
fn keys_do_what_the_pointer_does() {
    let model = scenes::live();
    let mut offscreen = Offscreen::new(design_size(), 1.0);
    offscreen.render(&model);
    let go_to = |offscreen: &mut Offscreen, name: &str| {
        for _ in 0..30 {
            offscreen.press(&model, egui::Key::Tab);
            if offscreen.focused.last().is_some_and(|last| last == name) {
                return;
            }
        }
        panic!("{name} is not reached: {:?}", offscreen.focused);
    };
    go_to(&mut offscreen, "Hold");
    let actions = offscreen.press(&model, egui::Key::Space);
    assert_eq!(actions, [Action::Hold(true)]);
    go_to(&mut offscreen, "Averaging time in seconds");
    let actions = offscreen.press(&model, egui::Key::ArrowRight);
    assert!(
        matches!(actions[..], [Action::AveragingBegin, Action::Averaging(s), Action::AveragingEnd]
            if s > model.averaging_s && s < model.averaging_s + 3.0),
        "{actions:?}"
    );
    go_to(
        &mut offscreen,
        "What was heard in the last 2 minutes; arrows show a moment",
    );
    offscreen.press(&model, egui::Key::ArrowLeft);
    let newest = model.history.end_s();
    assert_eq!(offscreen.memory.pinned, Some(newest - 3.0));
    offscreen.press(&model, egui::Key::ArrowLeft);
    assert_eq!(offscreen.memory.pinned, Some(newest - 5.0));
    offscreen.press(&model, egui::Key::ArrowRight);
    assert_eq!(offscreen.memory.pinned, Some(newest - 3.0));
    offscreen.press(&model, egui::Key::Escape);
    assert_eq!(offscreen.memory.pinned, None);
}
