#!/bin/sh
# Makes what is handed out, for the system that it runs on, in target/dist:
#   genrescope_VERSION_ARCH.deb                  Debian, Ubuntu and relatives (Linux only)
#   genrescope-VERSION-TARGET.tar.gz             the program with manual pages and completions
#   genrescope-plugin-VERSION-TARGET.zip         CLAP and VST3 with an installer
#   SHA256SUMS                                   over all of them
#
#   scripts/package.sh [OPTIONS] [deb] [tarball] [plugins]      all three, if none is named
#     --no-build         take target/release/genrescope and target/bundled as they are
#     --binary FILE      take this program; nothing is built for it
#     --bundles FOLDER   take the bundles in this folder; nothing is built for them
#
# Needs zip; for the .deb also: cargo install cargo-deb --locked
# The notices of all crates within are collected by: cargo install cargo-bundle-licenses --locked
set -eu
cd "$(dirname "$0")/.."

say() { echo "package.sh: $*" >&2; }
usage() {
    sed -n '2,14s/^# \{0,1\}//p' "$0"
}
build=yes binary="" bundles="" wanted=""
while [ $# -gt 0 ]; do
    case $1 in
        --no-build) build=no ;;
        --binary | --bundles)
            [ $# -gt 1 ] || { say "$1 needs a path"; exit 2; }
            [ "$1" = --binary ] && binary=$2 || bundles=$2
            shift
            ;;
        deb | tarball | plugins) wanted="$wanted $1" ;;
        -h | --help) usage; exit 0 ;;
        *) say "'$1' is neither an option nor a package"; usage >&2; exit 2 ;;
    esac
    shift
done
target=$(rustc -vV | sed -n 's/^host: //p')
version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
exe=""
case $target in *windows*) exe=.exe ;; esac
if [ -z "$wanted" ]; then
    wanted="tarball plugins"
    case $target in *linux*) wanted="deb $wanted" ;; esac
fi
want() { case " $wanted " in *" $1 "*) ;; *) return 1 ;; esac; }
# Absent tools are told before anything is built.
need() {
    command -v "$1" >/dev/null || { say "$1 is not installed; $2"; exit 1; }
}
want deb && need cargo-deb "cargo install cargo-deb --locked"
want plugins && need zip "it is a package of that name nearly everywhere"
need cargo-bundle-licenses "cargo install cargo-bundle-licenses --locked"

dist=target/dist
stage=$dist/stage
mkdir -p "$dist"
rm -rf "$stage"

# The licences of what is linked in, with their texts: they ask for it.
notices() { cargo bundle-licenses --format toml --output "$1" >/dev/null 2>&1 || { say "cargo bundle-licenses failed"; exit 1; }; }
mkdir -p "$stage/doc"
notices "$stage/doc/THIRD-PARTY.toml"
gzip -9n "$stage/doc/THIRD-PARTY.toml"
cp README.md CHANGELOG.md LICENSE-MIT LICENSE-APACHE models/default.md models/wide.md "$stage/doc/"

if want deb || want tarball; then
    if [ -z "$binary" ]; then
        [ $build = no ] || cargo build --locked --release --bin genrescope
        binary=${CARGO_TARGET_DIR:-target}/release/genrescope$exe
    fi
    [ -f "$binary" ] || { say "there is no program '$binary'; leave --no-build away to build it"; exit 1; }
    mkdir -p "$stage/bin" "$stage/completions"
    cp "$binary" "$stage/bin/genrescope$exe"
    program=$stage/bin/genrescope$exe
    said=$("$program" --version)
    [ "$said" = "genrescope $version" ] || { say "'$binary' says '$said'; this is version $version"; exit 1; }
    "$program" man --dir "$stage/man"
    "$program" completions bash >"$stage/completions/genrescope"
    "$program" completions zsh >"$stage/completions/_genrescope"
    "$program" completions fish >"$stage/completions/genrescope.fish"
    mkdir -p "$stage/doc/examples"
    cp docs/feeds/look.example.toml docs/osc-map.example.toml docs/qlcplus.qxw "$stage/doc/examples/"
fi

if want deb; then
    # What goes where stands in Cargo.toml, [package.metadata.deb].
    cargo deb --no-build --no-strip --output "$dist" >/dev/null
fi

if want tarball; then
    name=genrescope-$version-$target
    folder=$stage/$name
    mkdir -p "$folder"
    cp -R "$stage/bin/genrescope$exe" "$stage/man" "$stage/completions" "$stage/doc" "$folder/"
    case $target in *linux*) cp packaging/genrescope.service "$folder/" ;; esac
    tar -C "$stage" -czf "$dist/$name.tar.gz" "$name"
fi

if want plugins; then
    if [ -z "$bundles" ]; then
        [ $build = no ] || cargo xtask bundle genrescope-plugin --release
        bundles=${CARGO_TARGET_DIR:-target}/bundled
    fi
    for bundle in genrescope.clap genrescope.vst3; do
        [ -e "$bundles/$bundle" ] || { say "there is no '$bundles/$bundle'; leave --no-build away to build it"; exit 1; }
    done
    name=genrescope-plugin-$version-$target
    folder=$stage/$name
    mkdir -p "$folder"
    cp -R "$bundles/genrescope.clap" "$bundles/genrescope.vst3" "$folder/"
    cp packaging/plugins.txt "$folder/README.txt"
    cp docs/plugin.md "$stage/doc/LICENSE-MIT" "$stage/doc/LICENSE-APACHE" "$stage/doc/THIRD-PARTY.toml.gz" "$stage/doc/default.md" "$stage/doc/wide.md" "$folder/"
    case $target in
        *windows*) cp packaging/install-plugins.ps1 "$folder/install.ps1" ;;
        *) cp packaging/install-plugins.sh "$folder/install.sh" && chmod +x "$folder/install.sh" ;;
    esac
    rm -f "$dist/$name.zip"
    (cd "$stage" && zip -qr "../$name.zip" "$name")
fi
rm -rf "$stage"

cd "$dist"
files=$(find . -maxdepth 1 -type f ! -name SHA256SUMS | sed 's|^\./||' | sort)
# macOS has no sha256sum.
# shellcheck disable=SC2086 # a list of words
if command -v sha256sum >/dev/null; then sha256sum $files; else shasum -a 256 $files; fi >SHA256SUMS
# shellcheck disable=SC2086,SC2012 # names of ours
ls -l $files | awk '{ printf "%s  %.1f MB\n", $NF, $5 / 1e6 }'
