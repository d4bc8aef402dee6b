//! The large letters of the headline.

/// The 5 x 5 letters of the headline; a bit is a dot, the highest of five is the left one.
const FONT: [(char, [u8; 5]); 50] = [
    ('a', [0b01110, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('b', [0b11110, 0b10001, 0b11110, 0b10001, 0b11110]),
    ('c', [0b01111, 0b10000, 0b10000, 0b10000, 0b01111]),
    ('d', [0b11110, 0b10001, 0b10001, 0b10001, 0b11110]),
    ('e', [0b11111, 0b10000, 0b11110, 0b10000, 0b11111]),
    ('f', [0b11111, 0b10000, 0b11110, 0b10000, 0b10000]),
    ('g', [0b01111, 0b10000, 0b10011, 0b10001, 0b01111]),
    ('h', [0b10001, 0b10001, 0b11111, 0b10001, 0b10001]),
    ('i', [0b01110, 0b00100, 0b00100, 0b00100, 0b01110]),
    ('j', [0b00111, 0b00010, 0b00010, 0b10010, 0b01100]),
    ('k', [0b10001, 0b10010, 0b11100, 0b10010, 0b10001]),
    ('l', [0b10000, 0b10000, 0b10000, 0b10000, 0b11111]),
    ('m', [0b10001, 0b11011, 0b10101, 0b10001, 0b10001]),
    ('n', [0b10001, 0b11001, 0b10101, 0b10011, 0b10001]),
    ('o', [0b01110, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('p', [0b11110, 0b10001, 0b11110, 0b10000, 0b10000]),
    ('q', [0b01110, 0b10001, 0b10001, 0b10010, 0b01101]),
    ('r', [0b11110, 0b10001, 0b11110, 0b10010, 0b10001]),
    ('s', [0b01111, 0b10000, 0b01110, 0b00001, 0b11110]),
    ('t', [0b11111, 0b00100, 0b00100, 0b00100, 0b00100]),
    ('u', [0b10001, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('v', [0b10001, 0b10001, 0b10001, 0b01010, 0b00100]),
    ('w', [0b10001, 0b10001, 0b10101, 0b11011, 0b10001]),
    ('x', [0b10001, 0b01010, 0b00100, 0b01010, 0b10001]),
    ('y', [0b10001, 0b01010, 0b00100, 0b00100, 0b00100]),
    ('z', [0b11111, 0b00010, 0b00100, 0b01000, 0b11111]),
    ('á', [0b00110, 0b01110, 0b10001, 0b11111, 0b10001]),
    ('ä', [0b01010, 0b01110, 0b10001, 0b11111, 0b10001]),
    ('é', [0b00110, 0b11111, 0b11100, 0b10000, 0b11111]),
    ('í', [0b00010, 0b01100, 0b00100, 0b00100, 0b01110]),
    ('ñ', [0b01110, 0b10001, 0b11001, 0b10101, 0b10011]),
    ('ó', [0b00110, 0b01110, 0b10001, 0b10001, 0b01110]),
    ('ö', [0b01010, 0b01110, 0b10001, 0b10001, 0b01110]),
    ('ß', [0b01110, 0b10001, 0b10110, 0b10001, 0b10110]),
    ('ú', [0b00110, 0b10001, 0b10001, 0b10001, 0b01110]),
    ('ü', [0b01010, 0b00000, 0b10001, 0b10001, 0b01110]),
    ('.', [0b00000, 0b00000, 0b00000, 0b00000, 0b00100]),
    ('-', [0b00000, 0b00000, 0b01110, 0b00000, 0b00000]),
    (' ', [0; 5]),
    ('0', [0b01110, 0b10011, 0b10101, 0b11001, 0b01110]),
    ('1', [0b00100, 0b01100, 0b00100, 0b00100, 0b01110]),
    ('2', [0b11110, 0b00001, 0b01110, 0b10000, 0b11111]),
    ('3', [0b11110, 0b00001, 0b01110, 0b00001, 0b11110]),
    ('4', [0b10010, 0b10010, 0b11111, 0b00010, 0b00010]),
    ('5', [0b11111, 0b10000, 0b11110, 0b00001, 0b11110]),
    ('6', [0b01110, 0b10000, 0b11110, 0b10001, 0b01110]),
    ('7', [0b11111, 0b00001, 0b00010, 0b00100, 0b00100]),
    ('8', [0b01110, 0b10001, 0b01110, 0b10001, 0b01110]),
    ('9', [0b01110, 0b10001, 0b01111, 0b00001, 0b01110]),
    ('%', [0b11001, 0b11010, 0b00100, 0b01011, 0b10011]),
];

/// Text in letters three rows high; what the font lacks stands as itself in the middle row.
pub(super) fn big_text(text: &str) -> [String; 3] {
    let mut rows = [const { String::new() }; 3];
    for letter in text.chars().flat_map(char::to_lowercase) {
        let glyph = FONT.iter().find(|(known, _)| *known == letter);
        for (pair, row) in rows.iter_mut().enumerate() {
            match glyph {
                Some((_, dots)) => {
                    let upper = dots[pair * 2];
                    let lower = dots.get(pair * 2 + 1).copied().unwrap_or(0);
                    for bit in (0..5).rev() {
                        row.push(match (upper >> bit & 1, lower >> bit & 1) {
                            (0, 0) => ' ',
                            (1, 0) => '▀',
                            (0, _) => '▄',
                            _ => '█',
                        });
                    }
                    row.push(' ');
                }
                None if pair == 1 => {
                    row.push(letter);
                    row.push(' ');
                }
                None => row.push_str("  "),
            }
        }
    }
    rows
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{decision::State, genre::GTZAN, words::Language};

    #[test]
    fn the_font_has_every_letter_of_genres_and_states() {
        let states = Language::ALL
            .iter()
            .flat_map(|language| State::ALL.map(|state| language.words().state(state)));
        for text in GTZAN
            .into_iter()
            .chain(["0123456789%", "..."])
            .chain(states)
        {
            for letter in text.chars().flat_map(char::to_lowercase) {
                assert!(FONT.iter().any(|(known, _)| *known == letter), "{letter}");
            }
        }
        assert_eq!(big_text("日")[1].trim(), "日");
    }
}
