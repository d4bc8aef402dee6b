#!/bin/sh
# Builds every fuzz target, and runs each for so many seconds, one after the other.
#   scripts/fuzz.sh            builds only, as continuous integration does
#   scripts/fuzz.sh SECONDS    builds and runs; new inputs lie in fuzz/found, crashes in fuzz/artifacts
# Without a nightly toolchain or cargo-fuzz it says so and does nothing, unless GENRESCOPE_REQUIRE names fuzz.
set -eu
cd "$(dirname "$0")/.."
seconds=${1:-0}

missing() {
    case ",${GENRESCOPE_REQUIRE:-}," in
    *,fuzz,*) echo "scripts/fuzz.sh: $1" >&2; exit 1 ;;
    *) echo "skipped: $1"; exit 0 ;;
    esac
}
cargo +nightly --version >/dev/null 2>&1 || missing "there is no nightly toolchain (rustup toolchain install nightly)"
cargo +nightly fuzz --version >/dev/null 2>&1 || missing "cargo-fuzz is not installed (cargo install cargo-fuzz)"

# Without the address sanitizer: no unsafe code of ours is reached, and overflows panic anyway.
cargo +nightly fuzz build -s none
[ "$seconds" -gt 0 ] || exit 0
for target in $(cargo +nightly fuzz list); do
    # A file's header alone may take more than others take in all.
    case $target in file) longest=16384 ;; *) longest=4096 ;; esac
    mkdir -p "fuzz/found/$target"
    echo "== $target, $seconds s"
    nice -n 19 cargo +nightly fuzz run -s none "$target" "fuzz/found/$target" "fuzz/corpus/$target" -- \
        -max_len=$longest -timeout=20 -rss_limit_mb=1024 -max_total_time="$seconds" -verbosity=0 -print_final_stats=1
done
