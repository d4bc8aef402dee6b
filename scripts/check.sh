#!/bin/sh
# Everything a change must pass, as CI runs it: format, lints, tests, documentation.
#   scripts/check.sh          all of it
#   scripts/check.sh tests    the tests alone
set -eu
cd "$(dirname "$0")/.."
scripts/setup.sh tests
# What was installed for the tests must be used by them: a skip is a failure.
export GENRESCOPE_REQUIRE="${GENRESCOPE_REQUIRE-ffmpeg,pulse,xvfb,mosquitto,openssl,qlcplus}"
export CARGO_TERM_COLOR="${CARGO_TERM_COLOR:-auto}"
# What a later build could reuse takes as much disk as the build itself.
export CARGO_INCREMENTAL="${CARGO_INCREMENTAL:-0}"
if [ "${1:-}" != tests ]; then
    cargo fmt --all -- --check
    cargo clippy --locked --workspace --all-targets -- -D warnings
    # As the plugin builds it.
    cargo clippy --locked --package genrescope --no-default-features -- -D warnings
    cargo fmt --manifest-path python/Cargo.toml -- --check
    CARGO_TARGET_DIR=target/python cargo clippy --locked --manifest-path python/Cargo.toml -- -D warnings
    RUSTDOCFLAGS="-D warnings" cargo doc --locked --workspace --no-deps --quiet
    if cargo deny --version >/dev/null 2>&1; then
        cargo deny --offline check bans licenses sources
    else
        echo "check.sh: cargo-deny is not installed; licences and sources were not checked"
    fi
fi
cargo test --locked --workspace --no-fail-fast
scripts/python.sh
