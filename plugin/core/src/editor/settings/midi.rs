//! MIDI to the host.

use egui::{DragValue, Ui};
use genrescope::words::fill;

use super::{Page, switch};
use crate::{
    editor::{
        view::{
            Action,
            widgets::{child, text_width},
        },
        view_model::ViewModel,
    },
    midi::{LAST_CC, LAST_NOTE, MidiMap},
};

pub(super) fn draw_midi(
    ui: &mut Ui,
    page: &mut Page,
    model: &ViewModel,
    actions: &mut Vec<Action>,
) {
    let words = page.words;
    let row = page.row(ui, words.midi_out);
    let (clicked, rest) = switch(ui, row, page, words.midi_out, model.midi);
    if clicked {
        actions.push(Action::Midi(!model.midi));
    }
    let names = [words.channel, words.first_note, words.first_cc];
    let font = page.look.font(13.0);
    let cell_w = |name| text_width(ui, name, &font) + page.look.len(40.0 + 4.0 * 6.0);
    let place = if names.map(cell_w).iter().sum::<f32>() > rest.width() {
        page.row(ui, "")
    } else {
        rest
    };
    let mut cells = child(ui, place, "midi cells");
    cells.spacing_mut().item_spacing.x = page.look.len(6.0);
    for (name, value, last, make) in [
        (
            words.channel,
            model.midi_channel,
            16,
            Action::MidiChannel as fn(i32) -> Action,
        ),
        (
            words.first_note,
            model.base_note,
            i32::from(LAST_NOTE),
            Action::BaseNote,
        ),
        (
            words.first_cc,
            model.base_cc,
            i32::from(LAST_CC),
            Action::BaseCc,
        ),
    ] {
        let first = i32::from(last == 16);
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
    let words = model.words();
    let map = MidiMap {
        channel: 0,
        base_note: model.base_note.clamp(0, i32::from(LAST_NOTE)) as u8,
        base_cc: model.base_cc.clamp(0, i32::from(LAST_CC)) as u8,
    };
    let Some(last) = model.labels.len().checked_sub(1) else {
        return words.midi_plain.to_owned();
    };
    let numbers = |number: fn(MidiMap, usize) -> Option<u8>| {
        let fitting = (0..=last)
            .take_while(|&index| number(map, index).is_some())
            .count();
        let top = fitting.saturating_sub(1);
        let of = |index| number(map, index).unwrap_or_default().to_string();
        let range = fill(
            words.midi_range,
            &[
                ("from", &of(0)),
                ("to", &of(top)),
                ("first", &model.labels[0]),
                ("last", &model.labels[top]),
            ],
        );
        if top < last {
            let count = (last - top).to_string();
            format!("{range} {}", fill(words.midi_no_room, &[("count", &count)]))
        } else {
            range
        }
    };
    let (notes, ccs) = (numbers(MidiMap::note), numbers(MidiMap::cc));
    fill(words.midi_map, &[("notes", &notes), ("ccs", &ccs)])
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
