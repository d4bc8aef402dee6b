//! An OSC map from a file.
#![no_main]

use genrescope::sink::map::Map;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    if let Err(error) = Map::from_toml(text, "map.toml") {
        assert!(error.to_string().contains("map.toml"), "{error}");
    }
});
