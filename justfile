# `just check` is what CI runs.
check:
    scripts/check.sh
test:
    scripts/check.sh tests
bench:
    cargo bench --locked
bundle:
    cargo xtask bundle genrescope-plugin --release
golden:
    python3 tests/golden/make_golden.py
demo:
    scripts/setup.sh && cargo run --release -- demo
