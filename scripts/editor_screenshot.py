#!/usr/bin/env python3
"""Takes docs/editor.png: the VST3's editor in a real host (DawDreamer) while music plays through the plugin.

    python3 scripts/editor_screenshot.py target/bundled/genrescope.vst3 SONG.wav [SONG.wav ...] [--output docs/editor.png]

Needs dawdreamer, numpy and soundfile from PyPI; from Debian xvfb, openbox, imagemagick and x11-utils. It starts an X server
of its own. The songs (48 kHz) are rendered one after the other, pictures are taken all the time, and the last stays.
"""

import argparse
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

RATE = 48_000


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("plugin")
    parser.add_argument("songs", nargs="+")
    parser.add_argument("--output", default="docs/editor.png")
    parser.add_argument("--display", default=":77")
    arguments = parser.parse_args()
    for tool in ["Xvfb", "openbox", "import", "xwininfo"]:
        if shutil.which(tool) is None:
            sys.exit(f"{tool} is not installed: apt-get install xvfb openbox imagemagick x11-utils")
    os.environ["DISPLAY"] = arguments.display
    screen = ["-screen", "0", "1600x1000x24", "-ac", "+extension", "GLX"]
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
    helpers = [subprocess.Popen(["Xvfb", arguments.display, *screen], **quiet)]
    host = None
    folder = tempfile.mkdtemp()
    # So that the X server goes, too, when this is ended from outside.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("ended"))
    try:
        time.sleep(2)
        # Editors open nothing in some hosts while there is no window manager.
        helpers.append(subprocess.Popen(["openbox"], **quiet))
        time.sleep(1)
        # The host keeps its main thread for the window, so it gets a process of its own.
        ended = os.path.join(folder, "ended")
        host = subprocess.Popen([sys.executable, __file__, "--host", ended, arguments.plugin, *arguments.songs])
        taken = []
        while host.poll() is None:
            path = os.path.join(folder, f"{len(taken)}.png")
            if picture(path):
                taken.append((time.monotonic(), path))
            time.sleep(0.05)
        if host.returncode or not taken:
            sys.exit(f"no picture: the host ended with {host.returncode}")
        # The editor says that no audio comes once none has come for 0.9 s.
        with open(ended) as file:
            last = float(file.read()) + 0.7
        path = [path for at, path in taken if at < last][-1]
        shutil.copyfile(path, arguments.output)
        print(f"{arguments.output}: the last of {len(taken)} pictures that was taken while music played")
    finally:
        if host:
            host.kill()
        for helper in reversed(helpers):
            helper.terminate()
            helper.wait()
        shutil.rmtree(folder)


def picture(path):
    """True when there was a window to take a picture of."""
    tree = subprocess.run(["xwininfo", "-root", "-tree"], capture_output=True, text=True).stdout
    # The plugin's own window, not the host's frame around it.
    windows = [line.split()[0] for line in tree.splitlines() if '"genrescope"' in line]
    if not windows:
        return False
    # The window may go while it is looked at, and then import may wait for ever.
    try:
        subprocess.run(["import", "-window", windows[-1], path], stderr=subprocess.DEVNULL, check=True, timeout=5)
    except (subprocess.CalledProcessError, subprocess.TimeoutExpired):
        return False
    return True


def host(ended, plugin, songs):
    import dawdreamer
    import numpy
    import soundfile

    parts = []
    for song in songs:
        samples, rate = soundfile.read(song, dtype="float32", always_2d=True)
        if rate != RATE:
            sys.exit(f"{song} has {rate} Hz; {RATE} Hz are needed: ffmpeg -i {song} -ar {RATE} other.wav")
        parts.append(samples.mean(axis=1))
    mono = numpy.concatenate(parts)
    engine = dawdreamer.RenderEngine(RATE, 512)
    player = engine.make_playback_processor("song", numpy.stack([mono, mono]))
    effect = engine.make_plugin_processor("genrescope", plugin)
    engine.load_graph([(player, []), (effect, ["song"])])

    def render():
        time.sleep(3)
        engine.render(len(mono) / RATE)
        with open(ended, "w") as file:
            file.write(str(time.monotonic()))
        same = numpy.array_equal(engine.get_audio(), numpy.stack([mono, mono])[:, : engine.get_audio().shape[1]])
        print(f"rendered {len(mono) / RATE:.1f} s; what came out is {'' if same else 'not '}what went in", flush=True)
        # A fast machine has rendered before a picture is taken.
        time.sleep(0.6)
        os._exit(0 if same else 1)

    threading.Thread(target=render, daemon=True).start()
    effect.open_editor()


if __name__ == "__main__":
    if sys.argv[1:2] == ["--host"]:
        host(sys.argv[2], sys.argv[3], sys.argv[4:])
    else:
        main()
