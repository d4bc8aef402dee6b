//! Other people's decoders on other people's data: where one panics, that file is reported, and the
//! rest goes on.

use std::{
    cell::Cell,
    panic::{AssertUnwindSafe, catch_unwind},
};

thread_local! {
    static IN_DECODER: Cell<bool> = const { Cell::new(false) };
}

/// From now on, this process's panic hook does not tell panics of a decoder: they are caught and
/// told as errors about the file.
pub fn tell_no_caught_panics() {
    let report = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        if !IN_DECODER.get() {
            report(info);
        }
    }));
}

/// Runs other people's code on other people's data. After a panic nothing of what it held may be
/// used.
pub(super) fn guarded<T>(decode: impl FnOnce() -> T) -> Result<T, ()> {
    IN_DECODER.set(true);
    let result = catch_unwind(AssertUnwindSafe(decode));
    IN_DECODER.set(false);
    result.map_err(|_| ())
}
