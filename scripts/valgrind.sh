#!/bin/sh
# Runs the tests of what works on raw memory - kernels, front end, the window, the hand-offs between threads - under valgrind: no value
# may be used that nobody wrote, nothing read or written that is not there. Debian's valgrind; some ten minutes on one core.
# valgrind knows AVX2 and no AVX-512: the kernels take the path of such a processor.
set -eu
cd "$(dirname "$0")/.."
valgrind --version
export CARGO_TARGET_X86_64_UNKNOWN_LINUX_GNU_RUNNER="valgrind --quiet --error-exitcode=9"
cargo test --locked --workspace --lib -- --test-threads 1 network front_end mixdown realtime
