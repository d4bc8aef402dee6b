#!/bin/sh
# Writes lists of parts (CycloneDX, JSON) of the program and of the plugin into a folder.
#   scripts/sbom.sh FOLDER
# Needs: cargo install cargo-cyclonedx --locked
set -eu
[ $# -eq 1 ] || { sed -n '2,4s/^# *//p' "$0" >&2; exit 2; }
folder=$(cd "$1" && pwd)
cd "$(dirname "$0")/.."
# The tool writes beside each manifest.
cargo cyclonedx --format json --spec-version 1.5 --override-filename genrescope-parts.cdx -q
mv genrescope-parts.cdx.json "$folder/genrescope.cdx.json"
mv plugin/genrescope-parts.cdx.json "$folder/genrescope-plugin.cdx.json"
find plugin train xtask python -name 'genrescope-parts.cdx.json' -exec rm {} + 2>/dev/null || true
