#!/bin/sh
# Type-checks the code for other systems than this one: what only they compile - CoreAudio, WASAPI, arm64 kernels - is at least read by
# the compiler. Nothing is linked, so C compilers and cmake are replaced by a program that writes empty files. Clippy's and the
# tests' word on these systems is CI's.
#   scripts/check_targets.sh              all targets below that rustup can get
#   scripts/check_targets.sh TARGET...    these
set -eu
cd "$(dirname "$0")/.."
targets="${*:-aarch64-unknown-linux-gnu aarch64-apple-darwin x86_64-pc-windows-msvc}"
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
# A compiler that compiles nothing: it answers what build scripts ask, and makes the files that it is told to.
cat >"$folder/nothing" <<'STUB'
#!/bin/sh
out=""
for argument; do
    case $argument in
        --version | -version) echo "clang version 18.0.0"; exit 0 ;;
        -E) exit 0 ;;
        -Fo*) : >"${argument#-Fo}" ;;
        -out:* | /OUT:*) : >"${argument#*:}" ;;
    esac
    [ -z "$out" ] || { : >"$argument"; out=""; }
    [ "$argument" != -o ] || out=next
done
# ar: the archive is the first word that ends so.
for argument; do
    case $argument in
        -*) ;;
        *.a | *.lib) [ -e "$argument" ] || : >"$argument" ;;
    esac
done
STUB
chmod +x "$folder/nothing"
failed=""
for target in $targets; do
    if ! rustup target list --installed | grep -qx "$target" && ! rustup target add "$target"; then
        echo "check_targets.sh: $target cannot be had" >&2
        failed="$failed $target"
        continue
    fi
    name=$(echo "$target" | tr - _)
    echo "== $target"
    env "CC_$name=$folder/nothing" "CXX_$name=$folder/nothing" "AR_$name=$folder/nothing" CMAKE="$folder/nothing" CMAKE_GENERATOR=Ninja \
        PKG_CONFIG_ALLOW_CROSS=1 SDKROOT="$folder" CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-target}/targets" \
        cargo check --locked --target "$target" --package genrescope --package genrescope-plugin || failed="$failed $target"
done
[ -z "$failed" ] || { echo "check_targets.sh: failed:$failed" >&2; exit 1; }
