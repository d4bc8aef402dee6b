//! Colours and sizes.

mod colours;

use egui::{Color32, FontFamily, FontId, Vec2};

pub(crate) use self::colours::{Colours, DARK, LIGHT};

/// Editor size that everything is drawn for, in points.
pub(crate) const DESIGN: (f32, f32) = (760.0, 480.0);

/// The same of a window that is higher than wide.
const DESIGN_TALL: (f32, f32) = (420.0, 640.0);

/// The same of the compact view.
pub(crate) const DESIGN_COMPACT: (f32, f32) = (320.0, 110.0);

/// Lower windows have room for the compact view only, in points.
const LOWEST_WHOLE: f32 = 200.0;

/// Smallest text, in points, however small the window.
const MIN_TEXT: f32 = 10.0;

/// How the parts of the editor stand to each other.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The answer beside the bars.
    Wide,
    /// The answer above the bars.
    Tall,
    /// The answer alone.
    Compact,
}

impl Layout {
    /// What a window of this size has room for.
    pub(crate) fn of(size: Vec2) -> Self {
        if size.y < LOWEST_WHOLE {
            Self::Compact
        } else if size.y > size.x {
            Self::Tall
        } else {
            Self::Wide
        }
    }

    /// The window that it is drawn for, in points.
    fn design(self) -> (f32, f32) {
        match self {
            Self::Wide => DESIGN,
            Self::Tall => DESIGN_TALL,
            Self::Compact => DESIGN_COMPACT,
        }
    }
}

/// How the editor looks in a window: the scale from design points to the window's own, and the
/// colours.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Look {
    scale: f32,
    /// What is shown where.
    pub(crate) layout: Layout,
    /// In what colours.
    pub(crate) colours: &'static Colours,
}

impl Look {
    /// The largest at which everything fits into `size`.
    pub(crate) fn fit(size: Vec2, colours: &'static Colours) -> Self {
        let layout = Layout::of(size);
        let (width, height) = layout.design();
        Self {
            scale: (size.x / width).min(size.y / height).clamp(0.4, 6.0),
            layout,
            colours,
        }
    }

    /// A length.
    pub(crate) fn len(self, length: f32) -> f32 {
        length * self.scale
    }

    /// A font of `size` design points.
    pub(crate) fn font(self, size: f32) -> FontId {
        FontId::new((size * self.scale).max(MIN_TEXT), FontFamily::Proportional)
    }

    /// The window is so small that only what matters is shown.
    pub(crate) fn is_small(self) -> bool {
        self.scale < 0.75
    }

    /// Colour of label `index`, `vivid` from 0 (grey) to 1.
    pub(crate) fn genre(self, index: usize, vivid: f32) -> Color32 {
        let [r, g, b] = (self.colours.genre)(index);
        mix(self.colours.grey, Color32::from_rgb(r, g, b), vivid)
    }
}

/// What is read best where it is read worst on `grounds`: black or white, of which one has a
/// contrast of 4.58 or more on any colour.
pub(crate) fn ink_on(grounds: impl Iterator<Item = Color32> + Clone) -> Color32 {
    let worst = |ink| {
        let ratios = grounds.clone().map(|ground| colours::contrast(ink, ground));
        ratios.fold(f32::INFINITY, f32::min)
    };
    if worst(Color32::BLACK) >= worst(Color32::WHITE) {
        Color32::BLACK
    } else {
        Color32::WHITE
    }
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

#[cfg(test)]
mod tests {
    use egui::vec2;

    use super::*;

    #[test]
    fn text_never_shrinks_below_ten_points() {
        let font = |share: f32| Look::fit(vec2(760.0, 480.0) * share, &DARK).font(13.0);
        assert_eq!(font(0.45).size, 10.0);
        assert_eq!(font(2.0).size, 26.0);
    }

    #[test]
    fn the_layout_follows_the_window() {
        let layout = |width, height| Look::fit(vec2(width, height), &DARK).layout;
        assert_eq!(layout(760.0, 480.0), Layout::Wide);
        // Half size, and the narrowest that is wide.
        assert_eq!(layout(380.0, 240.0), Layout::Wide);
        assert_eq!(layout(400.0, 400.0), Layout::Wide);
        assert_eq!(layout(402.0, 501.0), Layout::Tall);
        assert_eq!(layout(320.0, 110.0), Layout::Compact);
        assert_eq!(layout(1200.0, 199.0), Layout::Compact);
    }
}
