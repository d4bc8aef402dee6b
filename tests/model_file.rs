//! The model file: what is written is read back, and nothing hostile gets through.

use genrescope::{
    genre::{GTZAN, Labels},
    network::{Architecture, Bundle},
};

#[test]
#[ignore = "writes the development model models/default.safetensors"]
fn write_development_model() {
    let mut bundle = Bundle::random(Architecture::cnn(), Labels::new(GTZAN).unwrap(), 1).unwrap();
    bundle.card.name = "development".into();
    std::fs::write(
        "models/default.safetensors",
        bundle.quantised().write().unwrap(),
    )
    .unwrap();
}
