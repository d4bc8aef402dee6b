#!/bin/sh
# What listening costs: processor time and memory of the whole process by /proc, while a song plays into a null sink of a PulseAudio
# server of its own. Needs pulseaudio and pulseaudio-utils.
#   scripts/listening_cost.sh PROGRAM SONG.wav [SECONDS]
#   scripts/listening_cost.sh PROGRAM SONG.wav [SECONDS] --feeds    beside it, at the same time, one with every feed (feed_receivers.py)
set -eu
here=$(dirname "$0") program=$1 song=$2 seconds=60 feeds=no
shift 2
for argument; do
    case $argument in
        --feeds) feeds=yes ;;
        *) seconds=$argument ;;
    esac
done
folder=$(mktemp -d)
processes=""
trap 'kill $processes 2>/dev/null; rm -rf "$folder"' EXIT
export XDG_RUNTIME_DIR="$folder" HOME="$folder" PULSE_SERVER="unix:$folder/pulse.sock"
pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=yes --use-pid-file=no \
    -L "module-native-protocol-unix socket=$folder/pulse.sock auth-anonymous=1" \
    -L "module-null-sink sink_name=speakers rate=48000 channels=2" >/dev/null 2>&1 &
processes="$processes $!"
until pactl info >/dev/null 2>&1; do sleep 0.1; done
(while paplay -d speakers "$song"; do :; done) >/dev/null 2>&1 &
processes="$! $processes"
"$program" listen --device system --json >/dev/null &
alone=$! processes="$! $processes"
with=""
if [ $feeds = yes ]; then
    mkdir "$folder/feeds"
    python3 "$here/feed_receivers.py" "$folder/feeds" >>"$folder/received" 2>/dev/null &
    processes="$processes $!"
    until grep -q '^$' "$folder/received"; do sleep 0.1; done
    set -- listen --device system --json
    while IFS= read -r option; do [ -z "$option" ] || set -- "$@" "$option"; done <"$folder/received"
    "$program" "$@" >/dev/null &
    with=$! processes="$! $processes"
fi
# Fields 14 and 15: ticks in user and in system mode.
ticks() { sed 's/.*) //' "/proc/$1/stat" | cut -d' ' -f12,13 | tr ' ' '+'; }
memory() { awk '/^VmRSS/ { print $2 / 1000 }' "/proc/$1/status"; }
sleep 35
before=$(ticks $alone)
[ -z "$with" ] || before_with=$(ticks "$with")
sleep "$seconds"
hertz=$(getconf CLK_TCK)
share() { awk "BEGIN { printf \"%.2f\", 100 * (($2) - ($1)) / $hertz / $seconds }"; }
cost=$(share "$before" "$(ticks $alone)") size=$(memory $alone)
echo "$cost % of a core and $size MB over $seconds s"
if [ -n "$with" ]; then
    cost_with=$(share "$before_with" "$(ticks "$with")") size_with=$(memory "$with")
    echo "$cost_with % of a core and $size_with MB with every feed"
    awk "BEGIN { printf \"the feeds: %.2f %% of a core and %.1f MB\n\", $cost_with - $cost, $size_with - $size }"
fi
