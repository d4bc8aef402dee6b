#!/bin/sh
# Prints the section of CHANGELOG.md that is about a version, for the page of a release.
#   scripts/release_notes.sh v1.2.3    fails unless that is the version in Cargo.toml and has a section
#   scripts/release_notes.sh           what is unreleased
set -eu
cd "$(dirname "$0")/.."
section=Unreleased
if [ $# -gt 0 ]; then
    section=${1#v}
    version=$(sed -n '/^\[workspace.package\]/,/^\[/s/^version = "\(.*\)"/\1/p' Cargo.toml)
    if [ "$section" != "$version" ]; then
        echo "release_notes.sh: the tag says $section, Cargo.toml says $version" >&2
        exit 1
    fi
fi
notes=$(awk -v wanted="$section" '
    /^## / { title = $2; gsub(/[][]/, "", title); inside = (title == wanted); next }
    inside { print }' CHANGELOG.md)
if [ -z "$(echo "$notes" | tr -d '[:space:]')" ]; then
    echo "release_notes.sh: CHANGELOG.md says nothing under '## $section'" >&2
    exit 1
fi
echo "$notes"
