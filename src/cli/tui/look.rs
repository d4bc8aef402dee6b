//! How the view looks: colours that the terminal can show and that its ground asks for, and the
//! language.

use ratatui::style::Color;
use terminal_colorsaurus::{QueryOptions, ThemeMode, theme_mode};

use crate::{
    cli::{Context, ThemeChoice},
    genre::{Ground, colour_on},
    words::{Language, Words},
};

/// How colours can be shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Depth {
    /// No colours: attributes only.
    None,
    /// The 256 colours of xterm.
    Indexed,
    /// 24 bits.
    True,
}

/// Colours and language.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Look {
    /// What the terminal can show.
    pub depth: Depth,
    /// What it shows colours on.
    pub ground: Ground,
    /// What words are in.
    pub language: Language,
}

/// All colours, on a dark ground, in English.
impl Default for Look {
    fn default() -> Self {
        Self {
            depth: Depth::True,
            ground: Ground::Dark,
            language: Language::English,
        }
    }
}

impl Depth {
    /// What the environment says the terminal can show.
    pub fn detect(color: bool) -> Self {
        let says = |name: &str, what: &[&str]| {
            std::env::var(name).is_ok_and(|value| what.iter().any(|w| value.contains(w)))
        };
        if !color || says("TERM", &["dumb"]) {
            Depth::None
        } else if says("COLORTERM", &["truecolor", "24bit"])
            || says("TERM", &["direct", "kitty", "alacritty"])
            || cfg!(windows)
        {
            Depth::True
        } else {
            Depth::Indexed
        }
    }

    fn color(self, rgb: [u8; 3]) -> Color {
        let [r, g, b] = rgb;
        match self {
            Depth::None => Color::Reset,
            Depth::True => Color::Rgb(r, g, b),
            Depth::Indexed => {
                // The 6 x 6 x 6 cube of xterm, whose levels are 0, 95, 135, 175, 215, 255.
                let level = |value: u8| match value {
                    0..48 => 0,
                    48..115 => 1,
                    _ => (value - 35) / 40,
                };
                Color::Indexed(16 + 36 * level(r) + 6 * level(g) + level(b))
            }
        }
    }
}

impl Look {
    /// What the user chose, and what the terminal says where that is left to it.
    pub fn of(context: &Context) -> Self {
        let ground = match context.theme {
            ThemeChoice::Dark => Ground::Dark,
            ThemeChoice::Light => Ground::Light,
            // Who shows no colours need not ask.
            ThemeChoice::Auto if !context.color => Ground::Dark,
            ThemeChoice::Auto => match theme_mode(QueryOptions::default()) {
                Ok(ThemeMode::Light) => Ground::Light,
                Ok(ThemeMode::Dark) | Err(_) => Ground::Dark,
            },
        };
        Self {
            depth: Depth::detect(context.color),
            ground,
            language: context.language.language(),
        }
    }

    /// Every word that is shown.
    pub const fn words(self) -> &'static Words {
        self.language.words()
    }

    /// The colour of a label.
    pub(super) fn genre(self, index: usize) -> Color {
        self.depth.color(colour_on(self.ground, index))
    }

    /// Loud enough, nearly too loud, too loud: of this level in dBFS.
    pub(super) fn level(self, db: f32) -> Color {
        let (good, loud) = match self.ground {
            Ground::Dark => ([80, 200, 120], [230, 200, 80]),
            Ground::Light => ([20, 125, 60], [155, 105, 0]),
        };
        match db {
            ..-12.0 => self.depth.color(good),
            -12.0..-3.0 => self.depth.color(loud),
            _ => self.alarm(),
        }
    }

    /// What is wrong.
    pub(super) fn alarm(self) -> Color {
        self.depth.color(match self.ground {
            Ground::Dark => [230, 80, 70],
            Ground::Light => [190, 30, 25],
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn indexed_colors_are_near() {
        assert_eq!(Depth::Indexed.color([0, 0, 0]), Color::Indexed(16));
        assert_eq!(Depth::Indexed.color([255, 255, 255]), Color::Indexed(231));
        assert_eq!(Depth::Indexed.color([255, 0, 95]), Color::Indexed(197));
        assert_eq!(Depth::None.color([1, 2, 3]), Color::Reset);
    }
}
