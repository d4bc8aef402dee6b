#!/usr/bin/env python3
"""Loads the VST3 in pedalboard (PyPI), sends random blocks through it and has its state saved and restored.

    python3 scripts/plugin_in_pedalboard.py target/bundled/genrescope.vst3
"""

import sys

import numpy
import pedalboard

plugin = pedalboard.load_plugin(sys.argv[1])
random = numpy.random.default_rng(1)
n_samples = 0
for rate in (44_100, 48_000, 96_000):
    for n_channels in (1, 2):
        for _ in range(30):
            block = random.uniform(-1, 1, (n_channels, random.integers(1, 4097))).astype(numpy.float32)
            output = plugin.process(block, rate, buffer_size=4096, reset=False)
            if output.shape != block.shape or (output.view(numpy.uint32) != block.view(numpy.uint32)).any():
                sys.exit(f"{block.shape} at {rate} Hz came out changed")
            n_samples += block.shape[1]
print(f"{n_samples} samples passed bit for bit")

# A host built with JUCE compares the speaker arrangement that it gets with the one it asked for.
for n_channels in (*range(1, 13), 14, 16):
    block = random.uniform(-1, 1, (n_channels, 4096)).astype(numpy.float32)
    output = pedalboard.load_plugin(sys.argv[1]).process(block, 48_000, buffer_size=1024, reset=False)
    if (output.view(numpy.uint32) != block.view(numpy.uint32)).any():
        sys.exit(f"{n_channels} channels came out changed")
print("so did 1 to 12, 14 and 16 channels")

plugin.averaging = "33.1 s"
# A parameter reaches the state with the next block.
plugin.process(numpy.zeros((2, 64), numpy.float32), 48_000, reset=False)
other = pedalboard.load_plugin(sys.argv[1])
other.raw_state = plugin.raw_state
if str(other.averaging) != "33.1 s":
    sys.exit(f"the state came back with an averaging time of {other.averaging}")
print("its state was saved and restored")
