//! The configuration file: what is read is written such that it is read as the same.
#![no_main]

use std::path::Path;

use genrescope::cli::config::Config;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let path = Path::new("config.toml");
    match Config::from_toml(text, path) {
        Ok(config) => {
            let written = config.to_toml();
            let again = Config::from_toml(&written, path);
            assert_eq!(again.as_ref().ok(), Some(&config), "{written}");
        }
        Err(error) => assert!(error.to_string().contains("config.toml"), "{error}"),
    }
});
