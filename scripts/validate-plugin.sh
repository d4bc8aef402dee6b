#!/bin/sh
# Runs the validators that are installed over the bundles, and prints one table. Fetches nothing: what is absent is said.
#   scripts/validate-plugin.sh [FOLDER]      the folder with genrescope.clap and genrescope.vst3 [default: target/bundled]
# Looked for: clap-validator, Steinberg's validator, pluginval, scanners of Ardour and qtractor, pedalboard (Python). Programs that have
# no place in PATH can be named: CLAP_VALIDATOR, VST3_VALIDATOR, PLUGINVAL. Exit code 1 when one of them refuses a bundle.
set -u
cd "$(dirname "$0")/.." || exit 2
folder=${1:-target/bundled}
clap=$folder/genrescope.clap vst3=$folder/genrescope.vst3
for bundle in "$clap" "$vst3"; do
    [ -e "$bundle" ] || { echo "validate-plugin.sh: there is no $bundle; cargo xtask bundle genrescope-plugin --release makes it" >&2; exit 2; }
done
logs=target/validation
mkdir -p "$logs"
failed=no
# Colours are taken out of last words.
escape=$(printf '\033')
export QT_QPA_PLATFORM=offscreen

row() { printf '%-28s %-6s %-9s %s\n' "$1" "$2" "$3" "$4"; }
# validate NAME FORMAT LOG COMMAND...: how its exit code is, and its last words.
validate() {
    name=$1 format=$2 log=$logs/$3.txt
    shift 3
    if timeout 600 "$@" >"$log" 2>&1; then
        result=passed
    else
        result=FAILED
        failed=yes
    fi
    row "$name" "$format" "$result" "$(sed "s/$escape\[[0-9;]*m//g" "$log" | grep -v '^[[:space:]]*$' | tail -1 | cut -c1-90)"
}
absent() { row "$1" "$2" absent "$3"; }
find_program() { command -v "$1" 2>/dev/null || true; }

row validator format result 'last words; all of them are in target/validation'
program=${CLAP_VALIDATOR:-$(find_program clap-validator)}
if [ -n "$program" ]; then
    validate clap-validator CLAP clap-validator "$program" validate "$clap"
else
    absent clap-validator CLAP "its sources are on GitHub; no registry has it"
fi
program=${VST3_VALIDATOR:-$(find_program validator)}
if [ -n "$program" ]; then
    validate "Steinberg's validator" VST3 steinberg "$program" "$vst3"
else
    absent "Steinberg's validator" VST3 "part of the VST3 SDK"
fi
program=${PLUGINVAL:-$(find_program pluginval)}
if [ -n "$program" ]; then
    validate pluginval VST3 pluginval "$program" --strictness-level 10 --validate-in-process --skip-gui-tests "$vst3"
else
    absent pluginval VST3 "from Tracktion's releases"
fi
program=$(find /usr/lib -maxdepth 2 -name 'ardour-vst3-scanner' 2>/dev/null | sort | tail -1)
if [ -n "$program" ]; then
    validate "Ardour's scanner" VST3 ardour env LD_LIBRARY_PATH="$(dirname "$program")" "$program" -f -v "$vst3"
else
    absent "Ardour's scanner" VST3 "Debian: ardour"
fi
program=$(find /usr/lib -maxdepth 3 -name qtractor_plugin_scan 2>/dev/null | head -1)
if [ -n "$program" ]; then
    # It takes one line of its standard input, and says nothing of what it cannot load.
    # shellcheck disable=SC2016 # expanded by the inner shell
    validate "qtractor's scanner" CLAP qtractor sh -c 'echo "clap:$1" | "$2" | grep -i genrescope' sh "$(realpath "$clap")" "$program"
else
    absent "qtractor's scanner" CLAP "Debian: qtractor"
fi
if python3 -c 'import pedalboard' 2>/dev/null; then
    validate pedalboard VST3 pedalboard python3 scripts/plugin_in_pedalboard.py "$vst3"
else
    absent pedalboard VST3 "PyPI: pedalboard"
fi
[ $failed = no ]
