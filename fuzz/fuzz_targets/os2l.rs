//! OS2L in both directions: what receivers send back changes nothing, and what is sent is one JSON
//! object a message, whatever labels and scores are.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| genrescope::sink::os2l::fuzz(data));
