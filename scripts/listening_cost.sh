#!/bin/sh
# What listening costs: processor time of the whole process by /proc, while a song plays into a null sink of a PulseAudio
# server of its own. Needs pulseaudio and pulseaudio-utils.
#   scripts/listening_cost.sh target/release/genrescope SONG.wav [SECONDS]
set -eu
program=$1 song=$2 seconds=${3:-60}
folder=$(mktemp -d)
export XDG_RUNTIME_DIR="$folder" HOME="$folder" PULSE_SERVER="unix:$folder/pulse.sock"
pulseaudio -n --daemonize=no --exit-idle-time=-1 --disable-shm=yes --use-pid-file=no \
    -L "module-native-protocol-unix socket=$folder/pulse.sock auth-anonymous=1" \
    -L "module-null-sink sink_name=speakers rate=48000 channels=2" >/dev/null 2>&1 &
server=$!
until pactl info >/dev/null 2>&1; do sleep 0.1; done
(while paplay -d speakers "$song"; do :; done) >/dev/null 2>&1 &
player=$!
"$program" listen --device system --json >/dev/null &
listener=$!
trap 'kill $listener $player $server 2>/dev/null; rm -rf "$folder"' EXIT
# Fields 14 and 15: ticks in user and in system mode.
ticks() { sed 's/.*) //' "/proc/$listener/stat" | cut -d' ' -f12,13 | tr ' ' '+'; }
sleep 15
before=$(ticks)
sleep "$seconds"
after=$(ticks)
awk "BEGIN { printf \"%.2f %% of a core over %d s\n\", 100 * (($after) - ($before)) / $(getconf CLK_TCK) / $seconds, $seconds }"
