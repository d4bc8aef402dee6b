#!/bin/sh
# Puts the plugin where hosts look for plugins, or takes it away again. Linux and macOS.
#   ./install.sh               for you alone
#   ./install.sh --system      for every user (asks for sudo where it must)
#   ./install.sh --uninstall   takes it away; with --system, from every user
# Nothing but genrescope.clap and genrescope.vst3 is written, replaced or removed.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
for_all=no
uninstall=no
for argument; do
    case $argument in
        --system) for_all=yes ;;
        --uninstall) uninstall=yes ;;
        -h | --help)
            sed -n '2,6s/^# *//p' "$0"
            exit 0
            ;;
        *)
            echo "install.sh: '$argument' is no option; --system and --uninstall are" >&2
            exit 2
            ;;
    esac
done

case $(uname -s)/$for_all in
    Darwin/no) clap="$HOME/Library/Audio/Plug-Ins/CLAP" vst3="$HOME/Library/Audio/Plug-Ins/VST3" ;;
    Darwin/yes) clap=/Library/Audio/Plug-Ins/CLAP vst3=/Library/Audio/Plug-Ins/VST3 ;;
    */no) clap="$HOME/.clap" vst3="$HOME/.vst3" ;;
    */yes) clap=/usr/lib/clap vst3=/usr/lib/vst3 ;;
esac
as_root=""
[ "$for_all" = no ] || [ "$(id -u)" = 0 ] || as_root=sudo

for bundle in genrescope.clap genrescope.vst3; do
    folder=$clap
    [ $bundle = genrescope.clap ] || folder=$vst3
    place=$folder/$bundle
    if [ $uninstall = yes ]; then
        if [ -e "$place" ]; then
            $as_root rm -rf "$place"
            echo "removed $place"
        else
            echo "$place is not there"
        fi
        # A folder that is empty now may have been made for us.
        $as_root rmdir "$folder" 2>/dev/null || true
        continue
    fi
    if [ ! -e "$here/$bundle" ]; then
        echo "install.sh: $bundle is missing beside this script; unpack the whole archive" >&2
        exit 1
    fi
    $as_root mkdir -p "$folder"
    # A host may have the old one open: the new one is put in its place, not written into it.
    $as_root rm -rf "$place.new"
    $as_root cp -R "$here/$bundle" "$place.new"
    $as_root rm -rf "$place"
    $as_root mv "$place.new" "$place"
    # macOS holds back what came out of a browser.
    [ "$(uname -s)" != Darwin ] || $as_root xattr -dr com.apple.quarantine "$place" 2>/dev/null || true
    echo "installed $place"
done
[ $uninstall = yes ] || echo "Let your host scan its plugins again; the plugin's name is genrescope."
