use super::*;
use crate::editor::theme::{ink_on, mix};

/// Closest that two labels' colours may come in OKLab, in any vision. Names and places tell labels
/// apart as well; this is more than five times what two patches side by side are told apart by
/// (0.02), and nearly what a search found for ten colours.
const LEAST_DISTANCE: f32 = 0.11;

const THEMES: [(&str, &Colours); 2] = [("dark", &DARK), ("light", &LIGHT)];

/// Machado, Oliveira and Fernandes, "A Physiologically-based Model for Simulation of Color Vision
/// Deficiency", IEEE Transactions on Visualization and Computer Graphics 15 (2009), table 1,
/// severity 1.0: for linear light.
const VISIONS: [(&str, [[f32; 3]; 3]); 4] = [
    ("full", [[1.0, 0.0, 0.0], [0.0, 1.0, 0.0], [0.0, 0.0, 1.0]]),
    (
        "protanopia",
        [
            [0.152_286, 1.052_583, -0.204_868],
            [0.114_503, 0.786_281, 0.099_216],
            [-0.003_882, -0.048_116, 1.051_998],
        ],
    ),
    (
        "deuteranopia",
        [
            [0.367_322, 0.860_646, -0.227_968],
            [0.280_085, 0.672_501, 0.047_413],
            [-0.011_820, 0.042_940, 0.968_881],
        ],
    ),
    (
        "tritanopia",
        [
            [1.255_528, -0.076_749, -0.178_779],
            [-0.078_411, 0.930_809, 0.147_602],
            [0.004_733, 0.691_367, 0.303_900],
        ],
    ),
];

fn times(matrix: &[[f32; 3]; 3], v: [f32; 3]) -> [f32; 3] {
    matrix.map(|row| row[0] * v[0] + row[1] * v[1] + row[2] * v[2])
}

/// What is seen of a colour, in linear light.
fn seen(vision: &[[f32; 3]; 3], colour: Color32) -> [f32; 3] {
    times(vision, linear(colour)).map(|channel| channel.clamp(0.0, 1.0))
}

/// Ottosson 2020, from linear sRGB.
fn oklab(rgb: [f32; 3]) -> [f32; 3] {
    let lms = times(
        &[
            [0.412_221_47, 0.536_332_54, 0.051_445_995],
            [0.211_903_5, 0.680_699_5, 0.107_396_96],
            [0.088_302_46, 0.281_718_85, 0.629_978_7],
        ],
        rgb,
    );
    times(
        &[
            [0.210_454_26, 0.793_617_8, -0.004_072_047],
            [1.977_998_5, -2.428_592_2, 0.450_593_7],
            [0.025_904_037, 0.782_771_77, -0.808_675_77],
        ],
        lms.map(f32::cbrt),
    )
}

fn distance(a: [f32; 3], b: [f32; 3]) -> f32 {
    let squares = a.into_iter().zip(b).map(|(a, b)| (a - b).powi(2));
    squares.sum::<f32>().sqrt()
}

fn label(colours: &Colours, index: usize) -> Color32 {
    let [r, g, b] = (colours.genre)(index);
    Color32::from_rgb(r, g, b)
}

#[test]
fn text_is_legible_to_everyone() {
    for (theme, colours) in THEMES {
        let Colours {
            background,
            track,
            raised,
            hovered,
            strong,
            text,
            dim,
            alert,
            ..
        } = *colours;
        for (name, ink, grounds) in [
            ("strong", strong, vec![background, track, raised, hovered]),
            ("text", text, vec![background, track, raised]),
            ("dim", dim, vec![background, track]),
            ("alert", alert, vec![background, track]),
            // A button that is held down.
            ("background", background, vec![text]),
        ] {
            for ground in grounds {
                for (vision, matrix) in &VISIONS {
                    let luminance = |colour| luminance(seen(matrix, colour));
                    let ratio = ratio(luminance(ink), luminance(ground));
                    // WCAG 2.2, 1.4.3.
                    assert!(
                        ratio >= 4.5,
                        "{theme}, {vision}: {name} on {ground:?}: {ratio:.2}"
                    );
                }
            }
        }
    }
}

#[test]
fn labels_differ_for_everyone() {
    for (theme, colours) in THEMES {
        let mut worst = (f32::INFINITY, String::new());
        for (vision, matrix) in &VISIONS {
            let lab = |index| oklab(seen(matrix, label(colours, index)));
            for i in 0..10 {
                for j in 0..i {
                    let distance = distance(lab(i), lab(j));
                    if distance < worst.0 {
                        let names = genrescope::genre::GTZAN;
                        worst = (distance, format!("{vision}: {} and {}", names[j], names[i]));
                    }
                }
            }
        }
        println!("{theme}: {:.3}, {}", worst.0, worst.1);
        assert!(worst.0 >= LEAST_DISTANCE, "{theme}: {worst:?}");
    }
}

#[test]
fn labels_stand_out_from_an_empty_bar() {
    for (theme, colours) in THEMES {
        for index in 0..10 {
            let ratio = contrast(label(colours, index), colours.track);
            // WCAG 2.2, 1.4.11: 3:1 for graphics.
            assert!(ratio >= 3.0, "{theme}, label {index}: {ratio:.2}");
        }
    }
}

#[test]
fn names_are_legible_on_the_strip() {
    for (theme, colours) in THEMES {
        for index in 0..64 {
            for strength in [0.3, 0.62, 1.0] {
                let ground = mix(colours.track, label(colours, index), strength);
                let ratio = contrast(ink_on([ground].into_iter()), ground);
                assert!(
                    ratio >= 4.5,
                    "{theme}, label {index} at {strength}: {ratio:.2}"
                );
            }
        }
    }
}

#[test]
fn every_label_has_a_colour_of_its_own() {
    for (theme, colours) in THEMES {
        let all: std::collections::HashSet<_> = (0..50).map(|i| (colours.genre)(i)).collect();
        assert_eq!(all.len(), 50, "{theme}");
    }
}
