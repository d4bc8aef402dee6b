//! The colours of the dark and of the light theme.

use egui::Color32;
use genrescope::genre::{Ground, colour_on};

#[cfg(test)]
mod tests;

/// One theme.
#[derive(Debug)]
pub(crate) struct Colours {
    /// It is a dark one.
    pub(crate) dark: bool,
    /// Behind everything.
    pub(crate) background: Color32,
    /// Empty bars and fields.
    pub(crate) track: Color32,
    /// Buttons.
    pub(crate) raised: Color32,
    /// Buttons under the pointer.
    pub(crate) hovered: Color32,
    /// Hairlines.
    pub(crate) line: Color32,
    /// What matters.
    pub(crate) strong: Color32,
    /// What is read.
    pub(crate) text: Color32,
    /// What is looked up.
    pub(crate) dim: Color32,
    /// What no genre is shown in.
    pub(crate) grey: Color32,
    /// What asks for attention: told from the rest by brightness too.
    pub(crate) alert: Color32,
    /// Colours of the labels, sRGB.
    pub(crate) genre: fn(usize) -> [u8; 3],
}

/// For a dark room, and what the picture in the documentation shows.
pub(crate) static DARK: Colours = Colours {
    dark: true,
    background: Color32::from_rgb(0x11, 0x14, 0x19),
    track: Color32::from_rgb(0x20, 0x25, 0x2d),
    raised: Color32::from_rgb(0x29, 0x2f, 0x39),
    hovered: Color32::from_rgb(0x36, 0x3e, 0x4a),
    line: Color32::from_rgb(0x2b, 0x31, 0x3b),
    strong: Color32::from_rgb(0xf3, 0xf5, 0xf8),
    text: Color32::from_rgb(0xb6, 0xbe, 0xca),
    dim: Color32::from_rgb(0x8e, 0x97, 0xa5),
    grey: Color32::from_rgb(0x6d, 0x75, 0x81),
    alert: Color32::from_rgb(0xff, 0xb4, 0x54),
    genre: |index| colour_on(Ground::Dark, index),
};

/// For a bright room, and for those who read dark on bright better.
pub(crate) static LIGHT: Colours = Colours {
    dark: false,
    background: Color32::from_rgb(0xf6, 0xf7, 0xf9),
    track: Color32::from_rgb(0xe2, 0xe6, 0xeb),
    raised: Color32::from_rgb(0xd9, 0xde, 0xe5),
    hovered: Color32::from_rgb(0xc9, 0xd0, 0xd9),
    line: Color32::from_rgb(0xc6, 0xcc, 0xd4),
    strong: Color32::from_rgb(0x0b, 0x0e, 0x13),
    text: Color32::from_rgb(0x31, 0x39, 0x44),
    dim: Color32::from_rgb(0x50, 0x59, 0x66),
    grey: Color32::from_rgb(0x75, 0x7e, 0x8b),
    alert: Color32::from_rgb(0x86, 0x46, 0x00),
    genre: |index| colour_on(Ground::Light, index),
};

/// Relative luminance after WCAG 2.2, of linear light.
fn luminance([r, g, b]: [f32; 3]) -> f32 {
    0.2126 * r + 0.7152 * g + 0.0722 * b
}

/// From sRGB to linear light, 0 to 1.
fn linear(colour: Color32) -> [f32; 3] {
    let [r, g, b, _] = colour.to_array();
    [r, g, b].map(|channel| {
        let channel = f32::from(channel) / 255.0;
        if channel <= 0.040_45 {
            channel / 12.92
        } else {
            ((channel + 0.055) / 1.055).powf(2.4)
        }
    })
}

/// Contrast after WCAG 2.2, 1 to 21, of two luminances.
fn ratio(a: f32, b: f32) -> f32 {
    let (a, b) = (a + 0.05, b + 0.05);
    a.max(b) / a.min(b)
}

/// Contrast after WCAG 2.2, 1 to 21.
pub(super) fn contrast(a: Color32, b: Color32) -> f32 {
    ratio(luminance(linear(a)), luminance(linear(b)))
}
