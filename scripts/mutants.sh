#!/bin/sh
# Changes the code of the decision in small ways, one at a time, and names each change that no test of it notices (cargo install cargo-mutants).
#   scripts/mutants.sh                 the averages, the hysteresis, the kinds, music or not, silence
#   scripts/mutants.sh hysteresis      one of them: src/decision/hysteresis.rs
set -eu
cd "$(dirname "$0")/.."
[ $# -gt 0 ] || set -- average hysteresis kind music silence
for name in "$@"; do
    set -- "$@" --file "src/decision/$name.rs"
    shift
done
# Nothing here waits for arithmetic, so the compiler need not try hard.
CARGO_INCREMENTAL=1 CARGO_PROFILE_DEV_OPT_LEVEL=0 exec cargo mutants --package genrescope --no-default-features \
    --output target/mutants --cargo-arg=--locked --cargo-arg=--lib --timeout 60 "$@" -- decision
