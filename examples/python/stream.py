"""A stream, as it comes: `ffmpeg -loglevel error -i URL -f f32le -ac 2 -ar 48000 - | python stream.py`."""

import sys

import genrescope
import numpy as np

RATE, CHANNELS = 48_000, 2
stream = genrescope.Stream(RATE, CHANNELS)
while block := sys.stdin.buffer.read(RATE * CHANNELS * 4):
    sound = np.frombuffer(block[: len(block) // (CHANNELS * 4) * CHANNELS * 4], "<f4")
    for readout in stream.push(sound.reshape(-1, CHANNELS)):
        if readout.changed:
            print(f"{readout.position:7.1f} s  {readout.genre or readout.state}", flush=True)
