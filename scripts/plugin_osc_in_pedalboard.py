#!/usr/bin/env python3
"""Loads the VST3 in pedalboard (PyPI), switches OSC on as a user would, plays a song and receives what the plugin sends.

    python3 scripts/plugin_osc_in_pedalboard.py target/bundled/genrescope.vst3 SONG.wav

OSC goes to port 9000 of this machine, which must be free. Needs pedalboard and python-osc.
"""

import queue
import sys
import threading

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
    while not until():
        try:
            log.append(heard.get(timeout=patience))
        except queue.Empty:
            sys.exit(f"{what}: nothing more came in {patience} s after {log[-3:]}")


def last(prefix):
    """The newest value of every address that begins so."""
    return {address[len(prefix) :]: values[0] for address, values in log if address.startswith(prefix)}


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
wait("the state is live", lambda: last("/genre/state") == {"": "live"})
wait("a genre is on", lambda: 1.0 in last("/genre/active/").values())
shown = last("/genre/name")[""]
active, scores = last("/genre/active/"), last("/genre/score/")
if sorted(active) != LABELS or [label for label in LABELS if active[label]] != [shown]:
    sys.exit(f"{shown} is shown, but these are active: {active}")
if sorted(scores) != LABELS or not 0.98 < sum(scores.values()) < 1.02:
    sys.exit(f"these are no scores: {scores}")
print(f"{len(log)} messages; shown: {shown}; scores: {({label: round(score, 2) for label, score in scores.items()})}")

plugin.osc_out = False
plugin.process(song, rate, reset=False)
# Switched off, it takes back what it lit, so that no lamp stays on for ever.
wait("no genre is on", lambda: 1.0 not in last("/genre/active/").values())
print(f"switched off, it took back {shown}")
