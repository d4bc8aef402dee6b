//! The genre of one file in ten lines: `cargo run --example classify -- song.mp3`.

use genrescope::{
    network::Model,
    song::{Multiframe, SongClassifier},
    source::file::AudioFile,
};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let path = std::env::args().nth(1).ok_or("which file?")?;
    let model = Model::builtin();
    let mut file = AudioFile::open(path)?;
    let mut song = SongClassifier::new(&model, file.rate(), Multiframe::default())?;
    let mut mono = Vec::new();
    while file.next_block(&mut mono)? {
        song.push(&mono);
    }
    let song = song.finish();
    let genre = song
        .verdict
        .genre()
        .and_then(|genre| model.labels().get(genre));
    println!("{}", genre.unwrap_or(song.verdict.as_str()));
    Ok(())
}
