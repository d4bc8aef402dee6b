#!/usr/bin/env python3
"""Loads the VST3 in pedalboard (PyPI), switches OSC on as a user would, plays a song and receives what the plugin sends.

    python3 scripts/plugin_osc_in_pedalboard.py target/bundled/genrescope.vst3 SONG.wav

The song must be of one genre and last half a minute, or there is nothing to show at its end. OSC goes to port 9000 of this machine, which must be free. Needs pedalboard and python-osc.
"""

import queue
import sys
import threading
import time

import numpy
import pedalboard
from pedalboard.io import AudioFile
from pythonosc import dispatcher, osc_server

LABELS = "blues classical country disco hiphop jazz metal pop reggae rock".split()

heard = queue.Queue()
routes = dispatcher.Dispatcher()
routes.set_default_handler(lambda address, *values: heard.put((address, values)))
server = osc_server.ThreadingOSCUDPServer(("127.0.0.1", 9000), routes)
threading.Thread(target=server.serve_forever, daemon=True).start()


log = []


def wait(what, until, patience=15):
    """Takes messages until `until` holds of all that came."""
    deadline = time.monotonic() + patience
    # What is shown is repeated every 5 s, so that something comes does not mean that it is something else.
    while not until():
        try:
            log.append(heard.get(timeout=max(0, deadline - time.monotonic())))
        except queue.Empty:
            sys.exit(f"after {patience} s it is not so that {what}: {last('/genre/')}")


def last(prefix):
    """The newest value of every address that begins so."""
    return {address[len(prefix) :]: values[0] for address, values in log if address.startswith(prefix)}


def on():
    """The genres that are active."""
    return [label for label, value in last("/genre/active/").items() if value == 1]


with AudioFile(sys.argv[2]) as file:
    rate, song = file.samplerate, file.read(file.frames)

plugin = pedalboard.load_plugin(sys.argv[1])
plugin.process(song, rate, reset=False)
if not heard.empty():
    sys.exit(f"OSC is off, and yet this came: {heard.get()}")
print("nothing was sent while OSC was off")

plugin.osc_out = True
output = plugin.process(song, rate, reset=False)
if not numpy.array_equal(output.view(numpy.uint32), song.view(numpy.uint32)):
    sys.exit("the song came out changed")
wait("the state names a genre", lambda: last("/genre/state") in ({"": "provisional"}, {"": "live"}))
wait("the one active genre is the one that is named", lambda: on() == list(last("/genre/name").values()))
wait("every label has a score", lambda: sorted(last("/genre/score/")) == LABELS)
shown, scores = on()[0], last("/genre/score/")
if not 0.98 < sum(scores.values()) < 1.02:
    sys.exit(f"these are no scores: {scores}")
print(f"{len(log)} messages; shown: {shown}; scores: {({label: round(score, 2) for label, score in scores.items()})}")

plugin.osc_out = False
plugin.process(song, rate, reset=False)
# Switched off, it takes back what it lit, so that no lamp stays on for ever.
wait("no genre is on", lambda: not on())
print(f"switched off, it took back {shown}")
