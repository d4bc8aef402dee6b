//! Colours and sizes.

use egui::{Color32, FontFamily, FontId};

/// Behind everything.
pub(crate) const BACKGROUND: Color32 = Color32::from_rgb(0x11, 0x14, 0x19);
/// Empty bars and fields.
pub(crate) const TRACK: Color32 = Color32::from_rgb(0x20, 0x25, 0x2d);
/// Buttons.
pub(crate) const RAISED: Color32 = Color32::from_rgb(0x29, 0x2f, 0x39);
/// Buttons under the pointer.
pub(crate) const HOVERED: Color32 = Color32::from_rgb(0x36, 0x3e, 0x4a);
/// Hairlines.
pub(crate) const LINE: Color32 = Color32::from_rgb(0x2b, 0x31, 0x3b);
/// What matters.
pub(crate) const BRIGHT: Color32 = Color32::from_rgb(0xf3, 0xf5, 0xf8);
/// What is read. 8.6:1 on the background.
pub(crate) const TEXT: Color32 = Color32::from_rgb(0xb6, 0xbe, 0xca);
/// What is looked up. 5.3:1 on the background (WCAG 2.2 AA asks for 4.5:1).
pub(crate) const DIM: Color32 = Color32::from_rgb(0x88, 0x91, 0x9f);
/// What no genre is shown in.
pub(crate) const GREY: Color32 = Color32::from_rgb(0x6d, 0x75, 0x81);
/// What asks for attention: amber, told from the rest by brightness too.
pub(crate) const ALERT: Color32 = Color32::from_rgb(0xff, 0xb4, 0x54);

/// Editor size that everything is drawn for, in points.
pub(crate) const DESIGN: (f32, f32) = (760.0, 480.0);

/// Smallest text, in points, however small the window.
const MIN_TEXT: f32 = 10.0;

/// Length in design points to length in this window.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Scale(pub(crate) f32);

impl Scale {
    /// The scale at which the design fits into `size`.
    pub(crate) fn fit(size: egui::Vec2) -> Self {
        Self((size.x / DESIGN.0).min(size.y / DESIGN.1).clamp(0.4, 6.0))
    }

    /// A length.
    pub(crate) fn len(self, length: f32) -> f32 {
        length * self.0
    }

    /// A font of `size` design points.
    pub(crate) fn font(self, size: f32) -> FontId {
        FontId::new((size * self.0).max(MIN_TEXT), FontFamily::Proportional)
    }

    /// The window is so small that only what matters is shown.
    pub(crate) fn is_compact(self) -> bool {
        self.0 < 0.75
    }
}

/// Colour of label `index`, `vivid` from 0 (grey) to 1.
pub(crate) fn genre(index: usize, vivid: f32) -> Color32 {
    let [r, g, b] = genrescope::genre::colour(index);
    mix(GREY, Color32::from_rgb(r, g, b), vivid)
}

/// How strong a genre's colour is: fainter while the answer rests on less than a whole frame.
pub(crate) fn strength(provisional: bool) -> f32 {
    if provisional { 0.62 } else { 1.0 }
}

/// From `a` (at 0) to `b` (at 1).
pub(crate) fn mix(a: Color32, b: Color32, share: f32) -> Color32 {
    let share = share.clamp(0.0, 1.0);
    let channel =
        |a: u8, b: u8| (f32::from(a) + (f32::from(b) - f32::from(a)) * share).round() as u8;
    Color32::from_rgb(
        channel(a.r(), b.r()),
        channel(a.g(), b.g()),
        channel(a.b(), b.b()),
    )
}

/// Contrast after WCAG 2.2, 1 to 21.
fn contrast(a: Color32, b: Color32) -> f32 {
    let luminance = |c: Color32| {
        let linear = |v: u8| {
            let v = f32::from(v) / 255.0;
            if v <= 0.040_45 {
                v / 12.92
            } else {
                ((v + 0.055) / 1.055).powf(2.4)
            }
        };
        0.2126 * linear(c.r()) + 0.7152 * linear(c.g()) + 0.0722 * linear(c.b())
    };
    let (a, b) = (luminance(a) + 0.05, luminance(b) + 0.05);
    a.max(b) / a.min(b)
}

/// What is read best where it is read worst on `grounds`: dark or bright.
pub(crate) fn ink_on(grounds: impl Iterator<Item = Color32> + Clone) -> Color32 {
    let worst = |ink| {
        let ratios = grounds.clone().map(|ground| contrast(ink, ground));
        ratios.fold(f32::INFINITY, f32::min)
    };
    if worst(BACKGROUND) >= worst(BRIGHT) {
        BACKGROUND
    } else {
        BRIGHT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn text_is_legible() {
        for (name, colour) in [
            ("bright", BRIGHT),
            ("text", TEXT),
            ("dim", DIM),
            ("alert", ALERT),
        ] {
            for ground in [BACKGROUND, TRACK] {
                let ratio = contrast(colour, ground);
                assert!(ratio >= 4.5, "{name} on {ground:?}: {ratio:.1}");
            }
        }
    }

    #[test]
    fn genres_stand_out_from_an_empty_bar() {
        for index in 0..10 {
            let ratio = contrast(genre(index, 1.0), TRACK);
            // WCAG 2.2, 1.4.11: 3:1 for graphics.
            assert!(ratio >= 3.0, "label {index}: {ratio:.1}");
        }
    }

    #[test]
    fn names_are_legible_on_the_strip() {
        for index in 0..10 {
            for strength in [0.62, 1.0] {
                let ground = mix(TRACK, genre(index, 1.0), strength);
                let ratio = contrast(ink_on([ground].into_iter()), ground);
                assert!(ratio >= 4.2, "label {index} at {strength}: {ratio:.1}");
            }
        }
    }

    #[test]
    fn text_never_shrinks_below_ten_points() {
        assert_eq!(Scale(0.4).font(13.0).size, 10.0);
        assert_eq!(Scale(2.0).font(13.0).size, 26.0);
    }
}
