#!/bin/sh
# Lets a listener hear for long, and looks at what must not grow: memory, file descriptors, threads, readouts that are missing.
#   scripts/soak.sh PROGRAM [HOURS]                24 hours of the demo's music, again and again, as fast as the machine can
#   scripts/soak.sh PROGRAM [HOURS] --real-time    the same at the speed of the music
#   scripts/soak.sh PROGRAM [HOURS] --feeds        with every feed and a receiver for each on this machine (feed_receivers.py). OS2L gives each score
#                                                  that moves 20 ms, so the pieces are long ones that are clear
# One line for each hour of sound. Fails when memory grows by more than a sixth after the second hour, a descriptor stays, a readout is
# missing, or a receiver did not hear what it should. Linux, for /proc.
set -eu
# shellcheck disable=SC2015 # a test, and what is said when it fails
[ $# -ge 1 ] && [ -x "$1" ] || { sed -n '2,9s/^# *//p' "$0" >&2; exit 2; }
here=$(dirname "$0") program=$1 hours=24 pace=--fast feeds=no
shift
for argument; do
    case $argument in
        --real-time) pace="--speed 1" ;;
        --feeds) feeds=yes ;;
        *[!0-9]* | "") echo "soak.sh: '$argument' is no number of hours" >&2; exit 2 ;;
        *) hours=$argument ;;
    esac
done
folder=$(mktemp -d)
feeder="" listener="" receivers=""
trap 'kill $feeder $listener $receivers 2>/dev/null || true; rm -rf "$folder"' EXIT
trap 'exit 1' INT TERM

# Four takes of several pieces, bare samples: no header says that it ends.
pieces="--seconds 30 --styles blues,classical,country,disco,hiphop,jazz,metal,pop,reggae,rock"
[ $feeds = no ] || pieces="--seconds 60 --styles classical,hiphop,metal"
for seed in 1 2 3 4; do
    # shellcheck disable=SC2086 # options
    "$program" demo --fast --seed $seed $pieces --wav "$folder/$seed.wav" >/dev/null
    tail -c +45 "$folder/$seed.wav" >>"$folder/music"
    rm "$folder/$seed.wav"
done
: >"$folder/options"
if [ $feeds = yes ]; then
    mkdir "$folder/feeds"
    python3 "$here/feed_receivers.py" "$folder/feeds" >>"$folder/received" 2>"$folder/receivers" &
    receivers=$!
    until grep -q '^$' "$folder/received"; do
        kill -0 $receivers 2>/dev/null || { cat "$folder/receivers" >&2; exit 1; }
        sleep 0.1
    done
    sed '/^$/d' "$folder/received" >"$folder/options"
    : >"$folder/received"
fi
bytes_an_hour=$((44100 * 4 * 3600))
mkfifo "$folder/pipe"
(while :; do cat "$folder/music"; done) 2>/dev/null | head -c $((bytes_an_hour * hours)) >"$folder/pipe" &
feeder=$!
# shellcheck disable=SC2086 # one option or two words
set -- listen --input - --raw s16le:44100:2 $pace --json
while IFS= read -r option; do set -- "$@" "$option"; done <"$folder/options"
"$program" "$@" <"$folder/pipe" >"$folder/readouts" 2>"$folder/errors" &
listener=$!

# Its own: pages of the program's file come and go as the system likes.
kilobytes() { awk '/^RssAnon/ { print $2 }' "/proc/$listener/status" 2>/dev/null; }
# Those that stay: a command that is started, or a question over HTTP, has some for a moment.
descriptors() {
    for _ in 1 2 3 4 5; do
        find "/proc/$listener/fd" -mindepth 1 2>/dev/null | wc -l
        sleep 0.1
    done | sort -n | head -1
}
threads() { awk '/^Threads/ { print $2 }' "/proc/$listener/status" 2>/dev/null; }
heard() { tail -c 4000 "$folder/readouts" | grep -o '"position_s":[0-9]*' | tail -1 | cut -d: -f2; }
echo "hour  memory  descriptors  threads  readouts  missed"
hour=0 first="" first_open="" grew=no
while [ -d "/proc/$listener" ] && [ "$hour" -lt "$hours" ]; do
    sleep 1
    seconds=$(heard)
    [ -n "$seconds" ] || continue
    [ "$((seconds / 3600))" -gt "$hour" ] || continue
    memory=$(kilobytes) open=$(descriptors) running=$(threads)
    [ -n "$memory" ] || break
    hour=$((seconds / 3600))
    # seq counts from 1: what the last says and what came must be the same. What was seen is not kept.
    read -r n_readouts missed <<END
$(grep -o '"type":"genre".*"seq":[0-9]*' "$folder/readouts" | grep -o '[0-9]*$' | awk 'NR > 1 && $1 != last + 1 { missed += $1 - last - 1 } { last = $1 } END { print NR, missed + 0 }')
END
    printf '%4d  %4.1f MB  %11d  %7d  %8d  %6d\n' "$hour" "$(awk "BEGIN { print $memory / 1000 }")" "$open" "$running" "$n_readouts" "$missed"
    first_open=${first_open:-$open}
    [ "$hour" -gt 2 ] && [ -n "$first" ] || first=$memory
    [ "$memory" -le $((first + first / 6)) ] && [ "$open" -le "$first_open" ] && [ "$missed" -eq 0 ] || grew=yes
done
wait "$listener" || { echo "FAILED: the listener ended with $?" >&2; cat "$folder/errors" >&2; exit 1; }
if [ $feeds = yes ]; then
    kill $receivers
    wait $receivers || grew=yes
    cat "$folder/received" "$folder/receivers" "$folder/errors"
fi
if [ $grew = yes ]; then
    echo "FAILED: something grew, or is missing" >&2
    exit 1
fi
drift=$(awk "BEGIN { print $(heard) - $hours * 3600 }")
echo "The stream's clock ended $drift s from what was fed."
