//! Renders the editor as PNG files, without a window or a host:
//! `cargo run -p genrescope-plugin --example render_editor -- FOLDER`.

#[path = "../tests/support/raster.rs"]
mod raster;

use std::{error::Error, fs::File, io::BufWriter, path::Path};

use genrescope_plugin_core::{editor::view_model::ViewModel, params::DEFAULT_AVERAGING_S};
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
    ] {
        for percent in [50_u16, 100, 150, 200] {
            pages.push((format!("{name}_{percent}"), model.clone(), percent, false));
        }
    }
    for percent in [50_u16, 100, 150, 200] {
        pages.push((format!("settings_{percent}"), scenes::live(), percent, true));
    }
    for (name, model, percent, settings) in pages {
        let mut offscreen = Offscreen::new(design * (f32::from(percent) / 100.0), 1.0);
        offscreen.memory.settings_open = settings;
        save(
            &folder.join(format!("{name}.png")),
            &offscreen.render(&model),
        )?;
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
