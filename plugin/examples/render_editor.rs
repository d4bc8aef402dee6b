//! Renders the editor as PNG files, without a window or a host:
//! `cargo run -p genrescope-plugin --example render_editor -- FOLDER`.

#[path = "../tests/support/raster.rs"]
mod raster;

use std::{error::Error, fs::File, io::BufWriter, path::Path};

use egui::vec2;
use genrescope::words::Language;
use genrescope_plugin_core::{
    editor::{
        view::{Page, compact_size},
        view_model::ViewModel,
    },
    params::{Appearance, DEFAULT_AVERAGING_S, Reach},
};
use raster::{Image, Offscreen, scenes};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: render_editor FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let design = genrescope_plugin_core::editor::view::design_size();
    let mut pages = Vec::new();
    for (name, model) in [
        ("warming", scenes::warming()),
        ("provisional", scenes::provisional()),
        ("live", scenes::live()),
        ("unsure", scenes::unsure()),
        ("talk", scenes::talk()),
        ("silent", scenes::silent()),
        ("held", scenes::held()),
        (
            "loading",
            ViewModel {
                averaging_s: DEFAULT_AVERAGING_S,
                ..ViewModel::default()
            },
        ),
        ("waiting", scenes::waiting()),
        ("bypassed", scenes::bypassed()),
        ("trouble", scenes::trouble()),
        ("some", scenes::many(24)),
        ("many", scenes::many(50)),
        (
            "hour",
            ViewModel {
                reach: Reach::Sixty,
                ..scenes::an_hour()
            },
        ),
    ] {
        pages.push((name, model, Page::Readout, None));
    }
    pages.push(("settings", scenes::live(), Page::Settings, None));
    pages.push(("song", scenes::an_hour(), Page::Song, None));
    pages.push(("past", scenes::live(), Page::Readout, Some(40.0)));
    for (language, names) in [
        (
            Language::German,
            ["de", "de_unsure", "de_settings", "de_song"],
        ),
        (
            Language::Spanish,
            ["es", "es_unsure", "es_settings", "es_song"],
        ),
    ] {
        for (name, page) in
            names
                .into_iter()
                .zip([Page::Readout, Page::Readout, Page::Settings, Page::Song])
        {
            let model = ViewModel {
                language,
                ..if name.ends_with("unsure") {
                    scenes::unsure()
                } else {
                    scenes::live()
                }
            };
            pages.push((name, model, page, None));
        }
    }
    let mut sizes = vec![("tall", vec2(402.0, 501.0)), ("compact", compact_size())];
    for (name, percent) in [("50", 50.0), ("100", 100.0), ("150", 150.0), ("200", 200.0)] {
        sizes.push((name, design * (percent / 100.0)));
    }
    for (page, model, shown, pinned) in pages {
        for (theme, appearance) in [("", Appearance::Dark), ("_light", Appearance::Light)] {
            let model = ViewModel {
                appearance,
                ..model.clone()
            };
            for (size, points) in &sizes {
                let mut offscreen = Offscreen::new(*points, 1.0);
                (offscreen.memory.page, offscreen.memory.pinned) = (shown, pinned);
                let image = offscreen.render(&model);
                save(&folder.join(format!("{page}_{size}{theme}.png")), &image)?;
            }
        }
    }
    Ok(())
}

fn save(path: &Path, image: &Image) -> Result<(), Box<dyn Error>> {
    let file = BufWriter::new(File::create(path)?);
    let mut encoder = png::Encoder::new(file, image.width as u32, image.height as u32);
    encoder.set_color(png::ColorType::Rgb);
    encoder.set_compression(png::Compression::High);
    let bytes: Vec<u8> = image
        .pixels
        .iter()
        .flat_map(|pixel| [pixel.r(), pixel.g(), pixel.b()])
        .collect();
    encoder.write_header()?.write_image_data(&bytes)?;
    Ok(())
}
