//! Renders the editor as PNG files, without a window or a host:
//! `cargo run -p genrescope-plugin --example render_editor -- FOLDER`.

#[path = "../tests/support/raster.rs"]
mod raster;

use std::{error::Error, fs::File, io::BufWriter, path::Path};

use raster::{Image, Offscreen, scenes};

fn main() -> Result<(), Box<dyn Error>> {
    let folder = std::env::args_os()
        .nth(1)
        .ok_or("usage: render_editor FOLDER")?;
    let folder = Path::new(&folder);
    std::fs::create_dir_all(folder)?;
    let design = genrescope_plugin::editor::view::design_size();
    for (name, model, share, settings) in [
        ("live", scenes::live(), 1.0, false),
        ("live_50", scenes::live(), 0.5, false),
        ("live_200", scenes::live(), 2.0, false),
        ("unsure", scenes::unsure(), 1.0, false),
        ("talk", scenes::talk(), 1.0, false),
        ("warming", scenes::warming(), 1.0, false),
        ("trouble", scenes::trouble(), 1.0, false),
        ("many", scenes::many(50), 1.0, false),
        ("settings", scenes::live(), 1.0, true),
        ("settings_50", scenes::live(), 0.5, true),
    ] {
        let mut offscreen = Offscreen::new(design * share, 1.0);
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
