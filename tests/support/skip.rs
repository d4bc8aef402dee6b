//! What a test does where something that it needs is not there.

use std::fmt::Display;

/// Says that a test, or a part of one, is skipped for want of `what`: `data`, `ffmpeg`, `codec`
/// (one that this ffmpeg lacks), `pulse`, `xvfb`, `python-osc`, `mosquitto`, `chromium`, `qlcplus`,
/// `openssl` or `script`. Where `GENRESCOPE_REQUIRE` names it, the test fails: what was installed
/// for the tests must be used by them.
///
/// # Panics
/// There.
pub(crate) fn skip(what: &str, why: impl Display) {
    let required = std::env::var("GENRESCOPE_REQUIRE").unwrap_or_default();
    let is_required = required.split(',').any(|name| name.trim() == what);
    assert!(
        !is_required,
        "GENRESCOPE_REQUIRE={required} asks for {what}, but {why}"
    );
    eprintln!("SKIPPED ({what}): {why}");
}
