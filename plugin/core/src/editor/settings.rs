//! The page of outputs and the model.

use std::path::PathBuf;

use egui::{Align2, DragValue, Rect, Stroke, TextEdit, Ui, pos2, vec2};

use super::{
    theme::{self, Scale},
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

/// Draws the page.
pub(crate) fn draw(
    ui: &mut Ui,
    rect: Rect,
    scale: Scale,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let mut page = Page {
        scale,
        rect,
        y: rect.top(),
        row_h: (scale.font(13.0).size * 2.0).max(scale.len(30.0)),
        label_w: text_width(ui, "Model file", &scale.font(13.0)) + scale.len(26.0),
    };
    draw_preset(ui, &mut page, model, actions);
    page.rule(ui);
    draw_midi(ui, &mut page, model, actions);
    page.rule(ui);
    draw_osc(ui, &mut page, model, drafts, actions);
    page.rule(ui);
    draw_model(ui, &mut page, model, drafts, actions);
    let version = format!("genrescope {} {}", env!("CARGO_PKG_VERSION"), model.format);
    let font = scale.font(11.0);
    // A promise that is cut in two says the opposite: the longest that fits whole.
    let about = [
        "  ·  what is heard never leaves this computer, except as the OSC you switch on",
        "  ·  nothing but OSC leaves this computer",
        "",
    ]
    .map(|promise| format!("{version}{promise}"))
    .into_iter()
    .find(|about| text_width(ui, about, &font) <= rect.width());
    if let Some(about) = about.filter(|_| page.y + page.row_h < rect.bottom()) {
        ui.painter().text(
            rect.left_bottom(),
            Align2::LEFT_BOTTOM,
            about,
            font,
            theme::DIM,
        );
    }
}

struct Page {
    scale: Scale,
    rect: Rect,
    y: f32,
    row_h: f32,
    label_w: f32,
}

impl Page {
    /// The next row, with its name written; returns the rest of it.
    fn row(&mut self, ui: &Ui, name: &str) -> Rect {
        let top = self.y;
        self.y += self.row_h + self.scale.len(5.0);
        ui.painter().text(
            pos2(self.rect.left(), top + self.row_h / 2.0),
            Align2::LEFT_CENTER,
            name,
            self.scale.font(13.0),
            theme::TEXT,
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
            self.scale.font(12.0),
            colour,
            self.rect.width() - self.label_w,
        );
        let height = galley.size().y;
        ui.painter().galley(
            pos2(self.rect.left() + self.label_w, self.y),
            galley,
            colour,
        );
        self.y += height + self.scale.len(4.0);
    }

    fn rule(&mut self, ui: &Ui) {
        let y = self.y + self.scale.len(5.0);
        ui.painter()
            .hline(self.rect.x_range(), y, Stroke::new(1.0, theme::LINE));
        self.y += self.scale.len(11.0);
    }
}

/// An on/off button at the left of `rect`; returns what is left of the row.
fn switch(ui: &mut Ui, rect: Rect, scale: Scale, id: &str, on: bool) -> (bool, Rect) {
    let font = scale.font(13.0);
    let width = text_width(ui, "Off", &font) + scale.len(28.0);
    let area = Rect::from_min_size(rect.min, vec2(width, rect.height()));
    let clicked = button(ui, area, id, if on { "On" } else { "Off" }, &font, on).clicked();
    let rest = Rect::from_min_max(pos2(area.right() + scale.len(14.0), rect.top()), rect.max);
    (clicked, rest)
}

fn draw_preset(ui: &mut Ui, page: &mut Page, model: &ViewModel, actions: &mut Vec<Action>) {
    let row = page.row(ui, "Preset");
    let font = page.scale.font(13.0);
    let mut left = row.left();
    for choice in Restlessness::ALL {
        let name = choice.name();
        let width = text_width(ui, name, &font) + page.scale.len(28.0);
        let area = Rect::from_min_size(pos2(left, row.top()), vec2(width, row.height()));
        let chosen = model.restlessness == choice;
        if button(ui, area, name, name, &font, chosen).clicked() {
            actions.push(Action::Preset(choice));
        }
        left = area.right() + page.scale.len(8.0);
    }
    page.note(ui, model.restlessness.words().to_owned(), theme::DIM);
}

fn draw_midi(ui: &mut Ui, page: &mut Page, model: &ViewModel, actions: &mut Vec<Action>) {
    let row = page.row(ui, "MIDI out");
    let (clicked, rest) = switch(ui, row, page.scale, "midi", model.midi);
    if clicked {
        actions.push(Action::Midi(!model.midi));
    }
    let mut cells = child(ui, rest, "midi cells");
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
        cells.label(name);
        if cells
            .add(DragValue::new(&mut edited).range(first..=last).speed(0.1))
            .changed()
        {
            actions.push(make(edited));
        }
        cells.add_space(page.scale.len(10.0));
    }
    page.note(ui, midi_note(model), theme::DIM);
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
    let (clicked, rest) = switch(ui, row, page.scale, "osc", model.osc);
    if clicked {
        actions.push(Action::Osc(!model.osc));
    }
    let mut cells = child(ui, rest, "osc cells");
    cells.label("to");
    let draft = drafts
        .target
        .get_or_insert_with(|| model.osc_target.clone());
    let field = cells.add(TextEdit::singleline(draft).desired_width(page.scale.len(190.0)));
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
        Some(trouble) => page.note(ui, trouble, theme::ALERT),
        None => page.note(
            ui,
            "To lighting or video software: /genre/name, /genre/state, /genre/active/… and /genre/score/… for each label."
                .to_owned(),
            theme::DIM,
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
    let font = page.scale.font(13.0);
    let row = page.row(ui, "Model");
    let builtin = model.model_choice == ModelChoice::Builtin;
    let width = text_width(ui, "Built-in", &font) + page.scale.len(28.0);
    let area = Rect::from_min_size(row.min, vec2(width, row.height()));
    if button(ui, area, "builtin", "Built-in", &font, builtin).clicked() {
        drafts.path = None;
        actions.push(Action::Model(ModelChoice::Builtin));
    }
    let wide = model.model_choice == ModelChoice::Wide;
    let width = text_width(ui, "Wide", &font) + page.scale.len(28.0);
    let left = pos2(area.right() + page.scale.len(8.0), row.top());
    let area = Rect::from_min_size(left, vec2(width, row.height()));
    if button(ui, area, "wide", "Wide", &font, wide).clicked() {
        drafts.path = None;
        actions.push(Action::Model(ModelChoice::Wide));
    }
    ui.painter().text(
        pos2(area.right() + page.scale.len(14.0), row.center().y),
        Align2::LEFT_CENTER,
        format!("{} labels", model.labels.len()),
        font.clone(),
        theme::DIM,
    );
    let row = page.row(ui, "Model file");
    let load_w = text_width(ui, "Load", &font) + page.scale.len(28.0);
    let area = Rect::from_min_max(
        row.min,
        pos2(row.right() - load_w - page.scale.len(8.0), row.bottom()),
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
            .desired_width(area.width() - page.scale.len(8.0)),
    );
    let load = Rect::from_min_max(pos2(row.right() - load_w, row.top()), row.max);
    let clicked = button(ui, load, "load", "Load", &font, false).clicked();
    let entered = field.lost_focus() && ui.input(|input| input.key_pressed(egui::Key::Enter));
    if (clicked || entered) && !draft.trim().is_empty() {
        actions.push(Action::Model(ModelChoice::File(PathBuf::from(
            draft.trim(),
        ))));
    }
    if let super::view_model::Status::Trouble(why) = &model.status {
        page.note(ui, why.clone(), theme::ALERT);
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
