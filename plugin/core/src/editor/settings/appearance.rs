//! Size and colours of the editor.

use egui::{Ui, Vec2};
use genrescope::words::Language;

use super::{Page, choices};
use crate::{
    editor::{
        view::{Action, compact_size, design_size},
        view_model::ViewModel,
    },
    params::Appearance,
};

/// Sizes to choose from, in percent of the one that the editor is drawn for.
const SCALES: [u16; 6] = [50, 75, 100, 125, 150, 200];

pub(super) fn draw_appearance(
    ui: &mut Ui,
    page: &mut Page,
    window: Vec2,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let words = page.words;
    let is = |size: Vec2| (size - window).abs().max_elem() < 1.0;
    let size = |percent: u16| design_size() * (f32::from(percent) / 100.0);
    let mut sizes = vec![(words.compact.to_owned(), compact_size(), is(compact_size()))];
    for percent in SCALES {
        sizes.push((format!("{percent} %"), size(percent), is(size(percent))));
    }
    let shown: Vec<_> = sizes
        .iter()
        .map(|(name, _, is)| (name.as_str(), *is))
        .collect();
    if let (Some(chosen), _) = choices(ui, page, words.size, &shown) {
        actions.push(Action::Size(sizes[chosen].1));
    }

    let name = |choice| match choice {
        Appearance::Dark => words.dark,
        Appearance::Light => words.light,
        Appearance::System => words.system,
    };
    // Not every window tells what the system has.
    let told = ui.ctx().system_theme().is_some();
    let offered: Vec<Appearance> = Appearance::ALL
        .into_iter()
        .filter(|&choice| {
            choice != Appearance::System || told || model.appearance == Appearance::System
        })
        .collect();
    let shown: Vec<_> = offered
        .iter()
        .map(|&choice| (name(choice), model.appearance == choice))
        .collect();
    if let (Some(chosen), _) = choices(ui, page, words.colours, &shown) {
        actions.push(Action::Theme(offered[chosen]));
    }

    // Each by its own name: who needs it cannot read the others.
    let mut languages = vec![(words.system, model.language_choice.is_none())];
    languages
        .extend(Language::ALL.map(|choice| (choice.name(), model.language_choice == Some(choice))));
    if let (Some(chosen), _) = choices(ui, page, words.language, &languages) {
        let choice = chosen.checked_sub(1).map(|index| Language::ALL[index]);
        actions.push(Action::Language(choice));
    }
}
