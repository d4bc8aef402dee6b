# The commands that are typed most; `just --list` shows them.

# Everything, as CI runs it
check:
    scripts/check.sh

# The tests alone, or those of one program: just test osc
test PROGRAM="":
    {{ if PROGRAM == "" { "scripts/check.sh tests" } else { "cargo test --locked --workspace --test " + PROGRAM } }}

# Unit tests whose name holds a word: just unit hysteresis
unit WORD:
    cargo test --locked --workspace --lib -- {{ WORD }}

# Lints
lint:
    cargo fmt --all -- --check
    cargo clippy --locked --workspace --all-targets -- -D warnings

# Links, commands and runnable blocks of all pages
docs:
    cargo test --locked --workspace --test documentation

# The documentation as a site, in target/site
site:
    scripts/site.sh

# Speed, side by side in one run
bench:
    cargo bench --locked

# The plugin, in target/bundled
bundle:
    cargo xtask bundle genrescope-plugin --release

# What is handed out, in target/dist
package:
    scripts/package.sh

# The packages in a clean Debian
try-package:
    sudo scripts/try-package.sh

# Validators that are installed, over the bundles
validate:
    scripts/validate-plugin.sh

# The hand-offs between threads, in every order of events
loom:
    scripts/loom.sh

# A day of sound, simulated
soak:
    scripts/soak.sh target/release/genrescope

# The golden files of the front end
golden:
    python3 tests/golden/make_golden.py

# A minute of music, heard live
demo:
    scripts/setup.sh && cargo run --release -- demo
