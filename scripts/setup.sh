#!/bin/sh
# Installs the system packages that genrescope is built with (Debian, Ubuntu and their relatives).
#   scripts/setup.sh          to build and run it
#   scripts/setup.sh tests    also what the tests use: a sound server without sound card, codecs, X headers
set -eu

# Build: ALSA headers for live capture; cmake and a C++ compiler for libopus.
packages="pkg-config libasound2-dev cmake g++"
if [ "${1:-}" = tests ]; then
    # PulseAudio for capture tests, ffmpeg to make test files, mutagen and TagLib to read tags, libxcb for the plugin host in the tests,
    # a screen without a monitor and OpenGL without a card for the plugin's editor,
    # a browser for the page, a broker for MQTT and certificates for it, QLC+ for lights, jq for the documentation, a clean place for the Python package.
    packages="$packages pulseaudio pulseaudio-utils libasound2-plugins ffmpeg python3-mutagen python3-taglib libxcb1-dev xvfb libgl1-mesa-dri"
    packages="$packages mosquitto mosquitto-clients openssl qlcplus jq python3-venv"
    # Ubuntu has none of this name.
    ! apt-cache show chromium >/dev/null 2>&1 || packages="$packages chromium"
fi

missing=""
for package in $packages; do
    dpkg-query -W -f='${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -n "$missing" ] || exit 0

if ! command -v apt-get >/dev/null; then
    echo "setup.sh: please install the equivalents of:$missing" >&2
    exit 1
fi
sudo=""
[ "$(id -u)" = 0 ] || sudo=sudo
export DEBIAN_FRONTEND=noninteractive
$sudo apt-get update -qq
# shellcheck disable=SC2086 # a list of words
$sudo apt-get install -y -qq --no-install-recommends $missing >/dev/null
