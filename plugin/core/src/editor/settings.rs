//! The page of outputs, the model and the editor's look.

mod appearance;

use std::path::PathBuf;

use egui::{
    Align2, DragValue, Rect, ScrollArea, Sense, Stroke, TextEdit, Ui, UiBuilder, pos2, vec2,
};

use self::appearance::draw_appearance;
use super::{
    theme::Look,
    view::{
        Action,
        widgets::{button, child, text_width},
    },
    view_model::ViewModel,
};
use crate::{
    midi::{LAST_CC, LAST_NOTE, MidiMap},
    osc::parse_target,
    params::{ModelChoice, Restlessness},
};

/// What is being typed, until it is entered.
#[derive(Clone, Debug, Default)]
pub(crate) struct Drafts {
    target: Option<String>,
    path: Option<String>,
}

/// Draws the page, which scrolls where the window has no room for all of it.
pub(crate) fn draw(
    ui: &mut Ui,
    rect: Rect,
    look: Look,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let window = ui.max_rect().size();
    let mut area = ui.new_child(UiBuilder::new().id_salt("settings").max_rect(rect));
    ScrollArea::vertical()
        .auto_shrink(false)
        .show(&mut area, |ui| {
            let mut page = Page {
                look,
                rect: Rect::from_min_size(ui.max_rect().min, rect.size()),
                y: ui.max_rect().top(),
                row_h: (look.font(13.0).size * 2.0).max(look.len(28.0)),
                label_w: text_width(ui, "Model file", &look.font(13.0)) + look.len(26.0),
            };
            draw_preset(ui, &mut page, model, actions);
            page.rule(ui);
            draw_midi(ui, &mut page, model, actions);
            page.rule(ui);
            draw_osc(ui, &mut page, model, drafts, actions);
            page.rule(ui);
            draw_model(ui, &mut page, model, drafts, actions);
            page.rule(ui);
            draw_appearance(ui, &mut page, window, model, actions);
            draw_about(ui, &mut page, model);
            ui.allocate_rect(
                Rect::from_min_max(page.rect.min, pos2(page.rect.right(), page.y)),
                Sense::hover(),
            );
        });
}

fn draw_about(ui: &Ui, page: &mut Page, model: &ViewModel) {
    let version = format!("genrescope {} {}", env!("CARGO_PKG_VERSION"), model.format);
    let font = page.look.font(11.0);
    // A promise that is cut in two says the opposite: the longest that fits whole.
    let about = [
        "  ·  what is heard never leaves this computer, except as the OSC you switch on",
        "  ·  nothing but OSC leaves this computer",
        "",
    ]
    .map(|promise| format!("{version}{promise}"))
    .into_iter()
    .find(|about| text_width(ui, about, &font) <= page.rect.width());
    if let Some(about) = about {
        ui.painter().text(
            pos2(page.rect.left(), page.y),
            Align2::LEFT_TOP,
            about,
            font.clone(),
            page.look.colours.dim,
        );
        page.y += font.size * 1.4;
    }
}

struct Page {
    look: Look,
    rect: Rect,
    y: f32,
    row_h: f32,
    label_w: f32,
}

impl Page {
    /// The next row, with its name written; returns the rest of it.
    fn row(&mut self, ui: &Ui, name: &str) -> Rect {
        let top = self.y;
        self.y += self.row_h + self.look.len(5.0);
        ui.painter().text(
            pos2(self.rect.left(), top + self.row_h / 2.0),
            Align2::LEFT_CENTER,
            name,
            self.look.font(13.0),
            self.look.colours.text,
        );
        Rect::from_min_max(
            pos2(self.rect.left() + self.label_w, top),
            pos2(self.rect.right(), top + self.row_h),
        )
    }

    /// A line of explanation under a row.
    fn note(&mut self, ui: &Ui, text: String, colour: egui::Color32) {
        let galley = ui.painter().layout(
            text,
            self.look.font(12.0),
            colour,
            self.rect.width() - self.label_w,
        );
        let height = galley.size().y;
        ui.painter().galley(
            pos2(self.rect.left() + self.label_w, self.y),
            galley,
            colour,
        );
        self.y += height + self.look.len(4.0);
    }

    fn rule(&mut self, ui: &Ui) {
        let y = self.y + self.look.len(5.0);
        ui.painter().hline(
            self.rect.x_range(),
            y,
            Stroke::new(1.0, self.look.colours.line),
        );
        self.y += self.look.len(11.0);
    }
}

/// An on/off button at the left of `rect`; returns what is left of the row.
fn switch(ui: &mut Ui, rect: Rect, look: Look, name: &str, on: bool) -> (bool, Rect) {
    let font = look.font(13.0);
    let width = text_width(ui, "Off", &font) + look.len(28.0);
    let area = Rect::from_min_size(rect.min, vec2(width, rect.height()));
    let clicked = button(
        ui,
        look,
        area,
        name,
        if on { "On" } else { "Off" },
        &font,
        on,
    )
    .clicked();
    let rest = Rect::from_min_max(pos2(area.right() + look.len(14.0), rect.top()), rect.max);
    (clicked, rest)
}

/// A row of buttons, of which those that are on are held down; goes on below where it has no room.
/// Which one was clicked, and what is left of the row.
fn choices(
    ui: &mut Ui,
    page: &mut Page,
    name: &str,
    choices: &[(&str, bool)],
) -> (Option<usize>, Rect) {
    let mut row = page.row(ui, name);
    let font = page.look.font(13.0);
    let gap = page.look.len(8.0).max(4.0);
    let pad = page.look.len(28.0).min(font.size * 2.0);
    let mut left = row.left();
    let mut clicked = None;
    for (index, &(choice, on)) in choices.iter().enumerate() {
        let width = text_width(ui, choice, &font) + pad;
        if left + width > row.right() && left > row.left() {
            row = page.row(ui, "");
            left = row.left();
        }
        let area = Rect::from_min_size(pos2(left, row.top()), vec2(width, row.height()));
        let id = format!("{name} {choice}");
        if button(ui, page.look, area, &id, choice, &font, on).clicked() {
            clicked = Some(index);
        }
        left = area.right() + gap;
    }
    let rest = Rect::from_min_max(pos2(left, row.top()), row.max);
    (clicked, rest)
}

fn draw_preset(ui: &mut Ui, page: &mut Page, model: &ViewModel, actions: &mut Vec<Action>) {
    let presets = Restlessness::ALL.map(|choice| (choice.name(), model.restlessness == choice));
    if let (Some(chosen), _) = choices(ui, page, "Preset", &presets) {
        actions.push(Action::Preset(Restlessness::ALL[chosen]));
    }
    page.note(
        ui,
        model.restlessness.words().to_owned(),
        page.look.colours.dim,
    );
}

fn draw_midi(ui: &mut Ui, page: &mut Page, model: &ViewModel, actions: &mut Vec<Action>) {
    let row = page.row(ui, "MIDI out");
    let (clicked, rest) = switch(ui, row, page.look, "MIDI out", model.midi);
    if clicked {
        actions.push(Action::Midi(!model.midi));
    }
    let mut cells = child(ui, rest, "midi cells");
    cells.spacing_mut().item_spacing.x = page.look.len(6.0);
    for (name, value, last, make) in [
        (
            "Channel",
            model.midi_channel,
            16,
            Action::MidiChannel as fn(i32) -> Action,
        ),
        (
            "First note",
            model.base_note,
            i32::from(LAST_NOTE),
            Action::BaseNote,
        ),
        (
            "First CC",
            model.base_cc,
            i32::from(LAST_CC),
            Action::BaseCc,
        ),
    ] {
        let first = i32::from(name == "Channel");
        let mut edited = value;
        let label = cells.label(name).id;
        let number = DragValue::new(&mut edited).range(first..=last).speed(0.1);
        if cells.add(number).labelled_by(label).changed() {
            actions.push(make(edited));
        }
        cells.add_space(page.look.len(6.0));
    }
    page.note(ui, midi_note(model), page.look.colours.dim);
}

/// Which numbers the genres have, and which have none.
fn midi_note(model: &ViewModel) -> String {
    let map = MidiMap {
        channel: 0,
        base_note: model.base_note.clamp(0, i32::from(LAST_NOTE)) as u8,
        base_cc: model.base_cc.clamp(0, i32::from(LAST_CC)) as u8,
    };
    let Some(last) = model.labels.len().checked_sub(1) else {
        return "A controller per genre, and a note while a genre is shown.".to_owned();
    };
    let numbers = |number: fn(MidiMap, usize) -> Option<u8>, word: &str| {
        let fitting = (0..=last)
            .take_while(|&index| number(map, index).is_some())
            .count();
        let top = fitting.saturating_sub(1);
        let range = format!(
            "{word} {} to {} for {} to {}",
            number(map, 0).unwrap_or_default(),
            number(map, top).unwrap_or_default(),
            model.labels[0],
            model.labels[top],
        );
        if top < last {
            format!("{range} (no room for {} more)", last - top)
        } else {
            range
        }
    };
    format!(
        "{}; {}.",
        numbers(MidiMap::note, "Notes"),
        numbers(MidiMap::cc, "controllers")
    )
}

fn draw_osc(
    ui: &mut Ui,
    page: &mut Page,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let row = page.row(ui, "OSC out");
    let (clicked, rest) = switch(ui, row, page.look, "OSC out", model.osc);
    if clicked {
        actions.push(Action::Osc(!model.osc));
    }
    let mut cells = child(ui, rest, "osc cells");
    let label = cells.label("to").id;
    let draft = drafts
        .target
        .get_or_insert_with(|| model.osc_target.clone());
    let field = cells
        .add(TextEdit::singleline(draft).desired_width(page.look.len(190.0)))
        .labelled_by(label);
    if field.lost_focus() {
        let entered = draft.trim().to_owned();
        if entered != model.osc_target && parse_target(&entered).is_ok() {
            actions.push(Action::OscTarget(entered));
        }
    }
    let problem = parse_target(draft).err();
    if !field.has_focus() && problem.is_none() && !field.lost_focus() {
        // Follows the host, which may have loaded another project.
        drafts.target = None;
    }
    match problem.or_else(|| model.osc_trouble.clone().filter(|_| model.osc)) {
        Some(trouble) => page.note(ui, trouble, page.look.colours.alert),
        None => page.note(
            ui,
            "To lighting or video software: /genre/name, /genre/state, /genre/active/… and /genre/score/… for each label."
                .to_owned(),
            page.look.colours.dim,
        ),
    }
}

fn draw_model(
    ui: &mut Ui,
    page: &mut Page,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let font = page.look.font(13.0);
    let builtin = [
        ("Built-in", ModelChoice::Builtin),
        ("Wide", ModelChoice::Wide),
    ];
    let shown = builtin
        .each_ref()
        .map(|(name, choice)| (*name, model.model_choice == *choice));
    let (chosen, rest) = choices(ui, page, "Model", &shown);
    if let Some(chosen) = chosen {
        drafts.path = None;
        actions.push(Action::Model(builtin[chosen].1.clone()));
    }
    ui.painter().text(
        rest.left_center() + vec2(page.look.len(6.0), 0.0),
        Align2::LEFT_CENTER,
        format!("{} labels", model.labels.len()),
        font.clone(),
        page.look.colours.dim,
    );
    let row = page.row(ui, "Model file");
    let load_w = text_width(ui, "Load", &font) + page.look.len(28.0);
    let area = Rect::from_min_max(
        row.min,
        pos2(row.right() - load_w - page.look.len(8.0), row.bottom()),
    );
    let shown = match &model.model_choice {
        ModelChoice::Builtin | ModelChoice::Wide => String::new(),
        ModelChoice::File(path) => path.display().to_string(),
    };
    let mut cells = child(ui, area, "model cells");
    let draft = drafts.path.get_or_insert(shown);
    let field = cells.add(
        TextEdit::singleline(draft)
            .hint_text("/path/to/model.safetensors")
            .desired_width(area.width() - page.look.len(8.0)),
    );
    let load = Rect::from_min_max(pos2(row.right() - load_w, row.top()), row.max);
    let clicked = button(
        ui,
        page.look,
        load,
        "Load the model file",
        "Load",
        &font,
        false,
    )
    .clicked();
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if (clicked || entered) && !draft.trim().is_empty() {
        actions.push(Action::Model(ModelChoice::File(PathBuf::from(
            draft.trim(),
        ))));
    }
    if let super::view_model::Status::Trouble(why) = &model.status {
        page.note(ui, why.clone(), page.look.colours.alert);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_note_says_what_has_no_room() {
        let mut model = ViewModel {
            labels: vec!["blues".into(), "pop".into(), "rock".into()],
            ..ViewModel::default()
        };
        assert_eq!(
            midi_note(&model),
            "Notes 36 to 38 for blues to rock; controllers 20 to 22 for blues to rock."
        );
        model.base_cc = 118;
        assert!(
            midi_note(&model)
                .ends_with("controllers 118 to 119 for blues to pop (no room for 1 more).")
        );
    }
}
