#!/bin/sh
# Tries the hand-offs between threads in every order of events (loom/).
set -eu
cd "$(dirname "$0")/.."
# A folder of its own: other flags would build everything anew, here and then there.
RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom cargo test --locked --package genrescope-loom "$@"
