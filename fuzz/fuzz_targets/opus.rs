//! Opus with several streams in a packet: the header up to its length byte, then packets.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| genrescope::source::fuzz_opus(data));
