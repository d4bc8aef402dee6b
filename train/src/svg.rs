//! Pictures as SVG text: curves, confusion matrices, reliability.

use std::fmt::Write as _;

use crate::metrics::{Bin, Confusion};

/// Colours that can be told apart by the colour-blind (Okabe and Ito).
const COLOURS: [&str; 8] = [
    "#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#999933",
];

/// `text` safe inside an element.
fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

fn open(width: f64, height: f64, title: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {width} {height}\" width=\"{width}\" height=\"{height}\" \
         font-family=\"sans-serif\" font-size=\"12\">\n<title>{title}</title>\n\
         <rect width=\"{width}\" height=\"{height}\" fill=\"white\"/>\n\
         <text x=\"{}\" y=\"20\" text-anchor=\"middle\" font-size=\"14\">{title}</text>\n",
        width / 2.0,
        title = escape(title)
    )
}

/// One line of a plot.
#[derive(Clone, Debug, PartialEq)]
pub struct Line {
    /// What it shows.
    pub name: String,
    /// Its points, from left to right.
    pub points: Vec<(f64, f64)>,
    /// Dashed instead of solid.
    pub dashed: bool,
}

/// Round numbers from `low` to `high`, four to nine of them, and the digits after the point that
/// tell them apart.
fn ticks(low: f64, high: f64) -> (Vec<f64>, usize) {
    let rough = (high - low) / 5.0;
    let power = 10.0f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .map(|factor| factor * power)
        .into_iter()
        .find(|step| *step >= 0.8 * rough)
        .unwrap_or(rough);
    let first = (low / step - 1e-9).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    let digits = (-step.log10().floor()).max(0.0) as usize;
    ((first..=last).map(|i| i as f64 * step).collect(), digits)
}

/// A plot of lines, with ranges that hold all of them.
pub fn curves(title: &str, x_name: &str, y_name: &str, lines: &[Line]) -> String {
    let (width, height) = (760.0, 440.0);
    let (left, right, top, bottom) = (60.0, 210.0, 36.0, 50.0);
    let all = || {
        lines
            .iter()
            .flat_map(|line| line.points.iter().copied())
            .filter(|p| p.0.is_finite() && p.1.is_finite())
    };
    let range = |values: &mut dyn Iterator<Item = f64>| -> (f64, f64) {
        let (low, high) = values.fold((f64::INFINITY, f64::NEG_INFINITY), |(l, h), v| {
            (l.min(v), h.max(v))
        });
        if low > high {
            (0.0, 1.0)
        } else if high - low < 1e-9 {
            (low - 0.5, high + 0.5)
        } else {
            (low, high)
        }
    };
    let (x0, x1) = range(&mut all().map(|p| p.0));
    let (y0, y1) = range(&mut all().map(|p| p.1));
    let (y0, y1) = (y0 - 0.05 * (y1 - y0), y1 + 0.05 * (y1 - y0));
    let x_of = |x: f64| left + (x - x0) / (x1 - x0) * (width - left - right);
    let y_of = |y: f64| height - bottom - (y - y0) / (y1 - y0) * (height - top - bottom);
    let mut out = open(width, height, title);
    let (places, digits) = ticks(y0, y1);
    for tick in places {
        let y = y_of(tick);
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" x2=\"{}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#ddd\"/>\
             <text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{tick:.digits$}</text>",
            width - right,
            left - 6.0,
            y + 4.0,
        );
    }
    let (places, digits) = ticks(x0, x1);
    for tick in places {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{}\" text-anchor=\"middle\">{tick:.digits$}</text>",
            x_of(tick),
            height - bottom + 18.0,
        );
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">{}</text>\
         <text transform=\"translate(16 {}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
        f64::midpoint(left, width - right),
        height - 12.0,
        escape(x_name),
        f64::midpoint(top, height - bottom),
        escape(y_name)
    );
    for (i, line) in lines.iter().enumerate() {
        let colour = COLOURS[i % COLOURS.len()];
        let points: Vec<String> = line
            .points
            .iter()
            .filter(|p| p.0.is_finite() && p.1.is_finite())
            .map(|p| format!("{:.1},{:.1}", x_of(p.0), y_of(p.1)))
            .collect();
        let dash = if line.dashed {
            " stroke-dasharray=\"6 4\""
        } else {
            ""
        };
        let y = top + 10.0 + 20.0 * i as f64;
        let x = width - right + 12.0;
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\
             <line x1=\"{x}\" x2=\"{}\" y1=\"{y}\" y2=\"{y}\" stroke=\"{colour}\" stroke-width=\"2\"{dash}/>\
             <text x=\"{}\" y=\"{}\">{}</text>",
            points.join(" "),
            x + 24.0,
            x + 30.0,
            y + 4.0,
            escape(&line.name)
        );
    }
    out + "</svg>\n"
}

/// A confusion matrix in percent of each row.
pub fn confusion(title: &str, confusion: &Confusion) -> String {
    let n = confusion.labels.len() as f64;
    let (cell, left, top) = (46.0, 100.0, 60.0);
    let (width, height) = (left + n * cell + 20.0, top + n * cell + 40.0);
    let mut out = open(width, height, title);
    for (row, (label, counts)) in confusion.labels.iter().zip(&confusion.counts).enumerate() {
        let total: usize = counts.iter().sum();
        let y = top + row as f64 * cell;
        let _ = writeln!(
            out,
            "<text x=\"{}\" y=\"{}\" text-anchor=\"end\">{}</text>\
             <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" font-size=\"10\">{}</text>",
            left - 6.0,
            y + cell / 2.0 + 4.0,
            escape(label),
            left + (row as f64 + 0.5) * cell,
            top - 6.0,
            escape(&label.chars().take(10).collect::<String>())
        );
        for (column, &count) in counts.iter().enumerate() {
            let share = count as f64 / total.max(1) as f64;
            let light = (255.0 - 200.0 * share) as u8;
            let ink = if share > 0.6 { "white" } else { "black" };
            let x = left + column as f64 * cell;
            let _ = writeln!(
                out,
                "<rect x=\"{x}\" y=\"{y}\" width=\"{cell}\" height=\"{cell}\" fill=\"rgb({light},{light},255)\" stroke=\"#ccc\"/>\
                 <text x=\"{}\" y=\"{}\" text-anchor=\"middle\" fill=\"{ink}\">{:.0}</text>",
                x + cell / 2.0,
                y + cell / 2.0 + 4.0,
                100.0 * share
            );
        }
    }
    let _ = writeln!(
        out,
        "<text x=\"{}\" y=\"{}\" text-anchor=\"middle\">percent of each genre (rows) that was given each answer</text>",
        left + n * cell / 2.0,
        height - 12.0
    );
    out + "</svg>\n"
}

/// Confidence against accuracy, with the number of answers in each bin.
pub fn reliability(title: &str, bins: &[Bin]) -> String {
    let (size, left, top) = (360.0, 50.0, 40.0);
    let mut out = open(size + left + 30.0, size + top + 50.0, title);
    let bar = size / bins.len() as f64;
    for (i, bin) in bins.iter().enumerate().filter(|(_, bin)| bin.n > 0) {
        let h = bin.accuracy * size;
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{h:.1}\" fill=\"#56b4e9\" stroke=\"#0072b2\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\">{}</text>",
            left + i as f64 * bar,
            top + size - h,
            bar,
            left + (i as f64 + 0.5) * bar,
            top + size - 4.0,
            bin.n
        );
    }
    let _ = writeln!(
        out,
        "<rect x=\"{left}\" y=\"{top}\" width=\"{size}\" height=\"{size}\" fill=\"none\" stroke=\"black\"/>\
         <line x1=\"{left}\" y1=\"{}\" x2=\"{}\" y2=\"{top}\" stroke=\"#d55e00\" stroke-dasharray=\"6 4\"/>\
         <text x=\"{}\" y=\"{}\" text-anchor=\"middle\">confidence, 0 to 1 (numbers: answers)</text>\
         <text transform=\"translate(20 {}) rotate(-90)\" text-anchor=\"middle\">share that was right, 0 to 1</text>",
        top + size,
        left + size,
        left + size / 2.0,
        top + size + 30.0,
        top + size / 2.0
    );
    out + "</svg>\n"
}

/// What a readout says, for a [`timeline`].
#[derive(Clone, Debug)]
pub struct Shown {
    /// Stream position in seconds.
    pub at: f64,
    /// Name of its state.
    pub state: &'static str,
    /// The shown genre.
    pub genre: Option<String>,
    /// The best candidate, shown or not.
    pub best: String,
    /// Its score.
    pub score: f64,
}

/// A stream: what plays (`parts`: from which second on), the state of each readout, the genre it
/// names, and the score of its best candidate.
pub fn timeline(title: &str, parts: &[(f64, String)], shown: &[Shown], end: f64) -> String {
    let (left, top, width) = (90.0, 40.0, 840.0);
    let x = |t: f64| left + width * (t / end).clamp(0.0, 1.0);
    let colour = |state: &str| match state {
        "live" => COLOURS[2],
        "provisional" => COLOURS[1],
        "unsure" => COLOURS[4],
        "not_music" => COLOURS[3],
        "silent" => "#777777",
        _ => "#dddddd",
    };
    let mut out = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 960 330\" font-family=\"sans-serif\" font-size=\"12\">\n\
         <rect width=\"960\" height=\"330\" fill=\"white\"/>\n\
         <text x=\"480\" y=\"22\" text-anchor=\"middle\" font-size=\"15\">{}</text>\n",
        escape(title)
    );
    let lane = |out: &mut String, name: &str, y: f64| {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{name}</text>",
            left - 8.0,
            y + 18.0
        );
    };
    let block = |out: &mut String, y: f64, from: f64, to: f64, fill: &str, text: &str| {
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{y:.1}\" width=\"{:.1}\" height=\"26\" fill=\"{fill}\" stroke=\"white\"/>",
            x(from),
            (x(to) - x(from)).max(0.5)
        );
        // A word only where it fits.
        if x(to) - x(from) > 7.0 * text.chars().count() as f64 {
            let _ = writeln!(
                out,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                f64::midpoint(x(from), x(to)),
                y + 17.0,
                escape(text)
            );
        }
    };
    lane(&mut out, "plays", top);
    for (i, (from, name)) in parts.iter().enumerate() {
        let to = parts.get(i + 1).map_or(end, |next| next.0);
        block(&mut out, top, *from, to, "#eeeeee", name);
    }
    for (y, name, of) in [
        (
            top + 36.0,
            "state",
            (|s: &Shown| (s.state, s.state.to_owned())) as fn(&Shown) -> (&'static str, String),
        ),
        (top + 72.0, "genre", |s| {
            let state = if s.genre.is_some() { s.state } else { "" };
            (state, s.genre.clone().unwrap_or_default())
        }),
    ] {
        lane(&mut out, name, y);
        let mut i = 0;
        while i < shown.len() {
            let what = of(&shown[i]);
            let same = shown[i..].iter().take_while(|s| of(s) == what).count();
            let to = shown.get(i + same).map_or(end, |next| next.at);
            block(&mut out, y, shown[i].at, to, colour(what.0), &what.1);
            i += same;
        }
    }
    let (low, high) = (top + 240.0, top + 120.0);
    let y = |score: f64| low - (low - high) * score.clamp(0.0, 1.0);
    lane(&mut out, "score", high + 12.0);
    for mark in [0.0, 0.5, 1.0] {
        let _ = writeln!(
            out,
            "<line x1=\"{left}\" y1=\"{:.1}\" x2=\"{}\" y2=\"{:.1}\" stroke=\"#cccccc\"/>\
             <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\" font-size=\"10\">{mark}</text>",
            y(mark),
            left + width,
            y(mark),
            left - 4.0,
            y(mark) + 3.0
        );
    }
    for (i, s) in shown.iter().enumerate() {
        let to = shown.get(i + 1).map_or(end, |next| next.at);
        let fill = if s.genre.is_some() {
            COLOURS[0]
        } else {
            "#bbbbbb"
        };
        let _ = writeln!(
            out,
            "<rect x=\"{:.1}\" y=\"{:.1}\" width=\"{:.1}\" height=\"{:.1}\" fill=\"{fill}\"><title>{:.1} s: {} {:.2}</title></rect>",
            x(s.at),
            y(s.score),
            (x(to) - x(s.at) - 0.5).max(0.5),
            low - y(s.score),
            s.at,
            escape(&s.best),
            s.score
        );
    }
    let mut t = 0.0;
    while t <= end {
        let _ = writeln!(
            out,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\" font-size=\"10\">{t}</text>",
            x(t),
            low + 16.0
        );
        t += 10.0;
    }
    let _ = writeln!(
        out,
        "<text x=\"480\" y=\"{:.1}\" text-anchor=\"middle\">seconds</text>",
        low + 34.0
    );
    out + "</svg>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        for (low, high, expected) in [
            (0.0, 1.0, "0.0 0.2 0.4 0.6 0.8 1.0"),
            (1.0, 25.0, "5 10 15 20 25"),
            (0.746, 0.861, "0.76 0.78 0.80 0.82 0.84 0.86"),
        ] {
            let (places, digits) = ticks(low, high);
            let text: Vec<String> = places.iter().map(|t| format!("{t:.digits$}")).collect();
            assert_eq!(text.join(" "), expected);
        }
    }

    /// Every element that is opened is closed.
    fn well_formed(svg: &str) {
        let mut open = Vec::new();
        for tag in svg.split('<').skip(1) {
            let tag = tag.split('>').next().unwrap();
            if let Some(name) = tag.strip_prefix('/') {
                assert_eq!(open.pop(), Some(name));
            } else if !tag.ends_with('/') {
                open.push(tag.split_whitespace().next().unwrap());
            }
        }
        assert!(open.is_empty(), "{open:?}");
    }

    #[test]
    fn pictures_hold_what_they_are_given() {
        let lines = [
            Line {
                name: "a < b".into(),
                points: vec![(0.0, 0.1), (10.0, 0.9)],
                dashed: false,
            },
            Line {
                name: "broken".into(),
                points: vec![(5.0, f64::NAN)],
                dashed: true,
            },
        ];
        let svg = curves("R&D", "epoch", "accuracy", &lines);
        well_formed(&svg);
        assert!(svg.contains("a &lt; b") && svg.contains("R&amp;D") && !svg.contains("NaN"));
        well_formed(&curves("empty", "x", "y", &[]));
        let labels = ["a".to_owned(), "b".to_owned()];
        let svg = confusion("c", &Confusion::of(&labels, [(0, 0), (0, 1), (1, 1)]));
        well_formed(&svg);
        assert_eq!(svg.matches(">50<").count(), 2);
        well_formed(&reliability(
            "r",
            &[Bin {
                n: 3,
                confidence: 0.5,
                accuracy: 0.4,
            }],
        ));
    }
}
