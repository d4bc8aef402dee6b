//! A file of any format, to its end: no panic, no hang, and no more samples than its bytes can
//! hold.
#![no_main]

use std::io::Cursor;

use genrescope::source::file::{AudioFile, tell_no_caught_panics};
use libfuzzer_sys::fuzz_target;

// A decoder that panics is caught, and its file called damaged: only other panics are found.
fuzz_target!(init: tell_no_caught_panics(), |data: &[u8]| {
    let reader = Box::new(Cursor::new(data.to_vec()));
    let Ok(mut file) = AudioFile::from_reader(reader) else {
        return;
    };
    let (mut block, mut n) = (Vec::new(), 0);
    while let Ok(true) = file.next_block(&mut block) {
        n += block.len();
        assert!(
            block.len() < 4 << 20,
            "{} samples in a block of {}",
            block.len(),
            file.format()
        );
    }
    // FLAC of silence holds 65,535 samples in a dozen bytes; a lower rate is brought to the
    // first's.
    assert!(
        n < 64 * (1 << 16) + 65_536 * 1_024 * data.len(),
        "{n} samples of {} bytes",
        data.len()
    );
});
