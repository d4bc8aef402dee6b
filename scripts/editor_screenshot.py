#!/usr/bin/env python3
"""Takes docs/editor.png: the editor in a real host (pedalboard) while music plays through the plugin.

    python3 scripts/editor_screenshot.py target/bundled/genrescope.vst3 SONG [SONG ...] [--output docs/editor.png]

Needs pedalboard and numpy from PyPI, and from Debian: xvfb openbox imagemagick x11-utils. It starts an X server of its own.
The songs are played one after the other, by the clock; the picture is taken at the end of the last one.
"""

import argparse
import os
import shutil
import subprocess
import sys
import threading
import time

BLOCK = 1024


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugin")
    parser.add_argument("songs", nargs="+")
    parser.add_argument("--output", default="docs/editor.png")
    parser.add_argument("--seconds", type=float, default=33.0, help="how long each song plays")
    parser.add_argument("--display", default=":77")
    arguments = parser.parse_args()
    for tool in ["Xvfb", "openbox", "import", "xwininfo"]:
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: apt-get install xvfb openbox imagemagick x11-utils")

    environment = dict(os.environ, DISPLAY=arguments.display)
    screen = "1600x1000x24"
    helpers = [
        subprocess.Popen(["Xvfb", arguments.display, "-screen", "0", screen, "-ac", "+extension", "GLX"],
                         stderr=subprocess.DEVNULL)
    ]
    try:
        time.sleep(2)
        helpers.append(subprocess.Popen(["openbox"], env=environment, stderr=subprocess.DEVNULL))
        time.sleep(1)
        os.environ["DISPLAY"] = arguments.display
        show(arguments, environment)
    finally:
        for helper in reversed(helpers):
            helper.terminate()
            helper.wait()


def show(arguments, environment):
    import pedalboard
    from pedalboard.io import AudioFile

    plugin = pedalboard.load_plugin(arguments.plugin)
    close = threading.Event()
    problem = []

    def play():
        try:
            for song in arguments.songs:
                with AudioFile(song) as file:
                    start, played = time.monotonic(), 0
                    while file.tell() < file.frames and played < arguments.seconds * file.samplerate:
                        block = file.read(BLOCK)
                        if block.shape[0] == 1:
                            block = block.repeat(2, axis=0)
                        output = plugin.process(block, file.samplerate, buffer_size=BLOCK, reset=False)
                        if not (output == block).all():
                            raise RuntimeError("the audio was changed")
                        played += block.shape[1]
                        time.sleep(max(0.0, played / file.samplerate - (time.monotonic() - start)))
            picture(arguments, environment)
        except Exception as error:  # whatever it is, the window has to close
            problem.append(error)
        finally:
            close.set()

    threading.Thread(target=play, daemon=True).start()
    plugin.show_editor(close)
    if problem:
        sys.exit(f"no picture: {problem[0]}")


def picture(arguments, environment):
    tree = subprocess.run(["xwininfo", "-root", "-tree"], env=environment, capture_output=True, text=True, check=True)
    windows = [line.split()[0] for line in tree.stdout.splitlines() if "genrescope" in line.lower()]
    if not windows:
        raise RuntimeError(f"no window of the editor:\n{tree.stdout}")
    subprocess.run(["import", "-window", windows[0], arguments.output], env=environment, check=True)
    print(f"{arguments.output}: window {windows[0]}")


if __name__ == "__main__":
    main()
