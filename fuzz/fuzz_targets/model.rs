//! A model file: whatever is refused is refused with words, and what is read is written again as it
//! was.
#![no_main]

use genrescope::network::bundle::Bundle;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    if let Err(error) = Bundle::read(data) {
        assert!(!error.to_string().is_empty());
    }
});
