#!/bin/sh
# Makes the Python wheel, installs it into a clean virtual environment, and runs its tests against it.
#   scripts/python.sh            a development build, and the tests that need small packages
#   scripts/python.sh all        also the tests with Ray, Dask, an S3 server and scikit-learn: 400 MB of packages
#   scripts/python.sh release    the wheel for users, in target/wheels, with the small tests
# What cannot be had here (venv, a package index) skips all of it with a line, unless GENRESCOPE_REQUIRE names python.
set -eu
cd "$(dirname "$0")/.."
what="${1:-}"

skip() {
    echo "python.sh: skipped: $1" >&2
    case ",${GENRESCOPE_REQUIRE-}," in *,python,*) exit 1 ;; esac
    exit 0
}

python="${PYTHON:-python3}"
"$python" -c 'import ensurepip, venv' 2>/dev/null || skip "no python3 with venv (Debian: python3-venv)"
# Its dependencies have other features than those of the main build; beside it, neither builds the other anew.
export CARGO_TARGET_DIR="$PWD/target/python"
venv="$CARGO_TARGET_DIR/venv"
wheels="$PWD/target/wheels"
rm -rf "$venv" "$wheels"
"$python" -m venv "$venv"
pip() { "$venv/bin/python" -m pip --disable-pip-version-check --quiet "$@"; }
pip install "maturin>=1.9.4,<2" numpy pytest || skip "no package index can be reached"

profile=dev
[ "$what" != release ] || profile=release
PATH="$venv/bin:$PATH" "$venv/bin/maturin" build --quiet --locked --manifest-path python/Cargo.toml --profile "$profile" --out "$wheels"
pip install "$wheels"/genrescope-*.whl pandas pyarrow matplotlib mypy "beets>=2"
pip install --no-deps ./contrib/beets-genrescope
[ "$what" != all ] || pip install "ray[data]" "dask[dataframe]" distributed s3fs "moto[server]" scikit-learn soundfile

# Not from the source tree: what is tested is what was installed.
cd python/tests
"$venv/bin/python" -m pytest -q -p no:cacheprovider -rs . ../../contrib/beets-genrescope/tests
cd ../..
"$venv/bin/python" -m mypy --config-file python/pyproject.toml --cache-dir "$CARGO_TARGET_DIR/mypy" -p genrescope
