//! The page of outputs, the model and the editor's look.

mod appearance;
mod midi;

use std::path::PathBuf;

use egui::{Align2, Rect, ScrollArea, Sense, Stroke, TextEdit, Ui, UiBuilder, pos2, vec2};
use genrescope::words::{Words, fill};

use self::{appearance::draw_appearance, midi::draw_midi};
use super::{
    theme::Look,
    view::{
        Action,
        widgets::{button, child, text_width},
    },
    view_model::ViewModel,
};
use crate::{
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
                rect: Rect::from_min_size(
                    ui.max_rect().min,
                    vec2(ui.available_width(), rect.height()),
                ),
                y: ui.max_rect().top(),
                row_h: look.font(13.0).size * 2.0,
                label_w: widest(ui, look, model.words()) + look.len(26.0),
                words: model.words(),
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
        format!("{version}  ·  {}", page.words.promise),
        format!("{version}  ·  {}", page.words.promise_short),
        version,
    ]
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
    words: &'static Words,
}

/// Width of the longest name of a row.
fn widest(ui: &Ui, look: Look, words: &Words) -> f32 {
    let names = [
        words.preset,
        words.midi_out,
        words.osc_out,
        words.model,
        words.model_file,
        words.size,
        words.colours,
        words.language,
    ];
    names
        .iter()
        .map(|name| text_width(ui, name, &look.font(13.0)))
        .fold(0.0, f32::max)
}

impl Page {
    /// The next row, with its name written; returns the rest of it.
    fn row(&mut self, ui: &Ui, name: &str) -> Rect {
        let top = self.y;
        self.y += self.row_h + self.look.len(3.0);
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
        self.y += height + self.look.len(3.0);
    }

    fn rule(&mut self, ui: &Ui) {
        let y = self.y + self.look.len(3.0);
        ui.painter().hline(
            self.rect.x_range(),
            y,
            Stroke::new(1.0, self.look.colours.line),
        );
        self.y += self.look.len(7.0);
    }
}

/// An on/off button at the left of `rect`; returns what is left of the row.
fn switch(ui: &mut Ui, rect: Rect, page: &Page, name: &str, on: bool) -> (bool, Rect) {
    let (look, words) = (page.look, page.words);
    let font = look.font(13.0);
    let widest = text_width(ui, words.off, &font).max(text_width(ui, words.on, &font));
    let width = widest + look.len(28.0);
    let area = Rect::from_min_size(rect.min, vec2(width, rect.height()));
    let clicked = button(
        ui,
        look,
        area,
        name,
        if on { words.on } else { words.off },
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
    let words = page.words;
    let named = |choice| match choice {
        Restlessness::Steady => (words.steady, words.steady_hint),
        Restlessness::Balanced => (words.balanced, words.balanced_hint),
        Restlessness::Fast => (words.fast, words.fast_hint),
    };
    let presets = Restlessness::ALL.map(|choice| (named(choice).0, model.restlessness == choice));
    if let (Some(chosen), _) = choices(ui, page, words.preset, &presets) {
        actions.push(Action::Preset(Restlessness::ALL[chosen]));
    }
    page.note(
        ui,
        named(model.restlessness).1.to_owned(),
        page.look.colours.dim,
    );
}

fn draw_osc(
    ui: &mut Ui,
    page: &mut Page,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let words = page.words;
    let row = page.row(ui, words.osc_out);
    let (clicked, rest) = switch(ui, row, page, words.osc_out, model.osc);
    if clicked {
        actions.push(Action::Osc(!model.osc));
    }
    let mut cells = child(ui, rest, "osc cells");
    let label = cells.label(words.osc_to).id;
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
        None => page.note(ui, words.osc_hint.to_owned(), page.look.colours.dim),
    }
}

fn draw_model(
    ui: &mut Ui,
    page: &mut Page,
    model: &ViewModel,
    drafts: &mut Drafts,
    actions: &mut Vec<Action>,
) {
    let words = page.words;
    let font = page.look.font(13.0);
    let builtin = [
        (words.model_builtin, ModelChoice::Builtin),
        (words.model_wide, ModelChoice::Wide),
    ];
    let shown = builtin
        .each_ref()
        .map(|(name, choice)| (*name, model.model_choice == *choice));
    let (chosen, rest) = choices(ui, page, words.model, &shown);
    if let Some(chosen) = chosen {
        drafts.path = None;
        actions.push(Action::Model(builtin[chosen].1.clone()));
    }
    ui.painter().text(
        rest.left_center() + vec2(page.look.len(6.0), 0.0),
        Align2::LEFT_CENTER,
        fill(words.labels, &[("count", &model.labels.len().to_string())]),
        font.clone(),
        page.look.colours.dim,
    );
    let row = page.row(ui, words.model_file);
    let load_w = text_width(ui, words.load_file, &font) + page.look.len(28.0);
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
        words.load_file_name,
        words.load_file,
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
