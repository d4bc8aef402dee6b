#!/usr/bin/env python3
"""Records what a command shows in a terminal, as an animated SVG that needs no script and no font of its own.

    scripts/record_terminal.py docs/figures/demo.svg target/release/genrescope demo

Runs the command in a terminal of its own, looks at the screen once a second, and plays that back at four times the speed.
Needs PyPI: pyte.
"""

import argparse
import codecs
import fcntl
import html
import os
import pty
import re
import select
import struct
import sys
import termios
import time

import pyte

WIDTH, HEIGHT, SIZE = 8.4, 18, 14
BACKGROUND, FOREGROUND = "#0f1318", "#d6dbe1"
# What terminals call by name.
NAMES = {
    "black": "#2b3038", "red": "#e5534b", "green": "#57ab5a", "brown": "#c69026", "blue": "#539bf5", "magenta": "#b083f0", "cyan": "#39c5cf",
    "white": "#adbac7", "brightblack": "#768390", "brightred": "#ff938a", "brightgreen": "#6bc46d", "brightbrown": "#daaa3f", "brightblue": "#6cb6ff",
    "brightmagenta": "#dcbdfb", "brightcyan": "#56d4dd", "brightwhite": "#f2f5f8",
}


def colour(name, default):
    if name == "default":
        return default
    return NAMES.get(name, "#" + name)


def snapshot(screen):
    """The screen as rows of runs of one look: (column, text, foreground, background, bold)."""
    rows = []
    for y in range(screen.lines):
        runs = []
        for x in range(screen.columns):
            cell = screen.buffer[y][x]
            fg, bg = colour(cell.fg, FOREGROUND), colour(cell.bg, BACKGROUND)
            if cell.reverse:
                fg, bg = bg, fg
            look = (fg, bg, cell.bold)
            if runs and runs[-1][2] == look:
                runs[-1][1] += cell.data
            else:
                runs.append([x, cell.data, look])
        rows.append(tuple((x, text, *look) for x, text, look in runs if text.strip() or look[1] != BACKGROUND))
    return tuple(rows)


def record(command, columns, rows, every):
    """Runs the command; gives (seconds since the start, screen) for each look that differs from the one before."""
    screen = pyte.Screen(columns, rows)
    stream = pyte.Stream(screen)
    decode = codecs.getincrementaldecoder("utf-8")("replace").decode
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLORTERM="truecolor", COLUMNS=str(columns), LINES=str(rows), LC_ALL="C.UTF-8")
        os.environ.pop("NO_COLOR", None)
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", rows, columns, 0, 0))
    frames, start, due = [], time.monotonic(), 0.0
    while True:
        ready, _, _ = select.select([terminal], [], [], 0.05)
        try:
            data = os.read(terminal, 65536) if ready else b"-"
        except OSError:
            data = b""
        if not data:
            break
        if ready:
            # The emulator has one screen: what a program leaves behind on another is not what stays.
            stream.feed(decode(data).replace("\x1b[?1049l", "\x1b[?1049l\x1b[2J\x1b[H"))
        now = time.monotonic() - start
        if now >= due:
            picture = snapshot(screen)
            # An empty screen at the start shows nothing.
            if any(picture) and (not frames or frames[-1][1] != picture):
                frames.append((now, picture))
            due += every
    frames.append((time.monotonic() - start, snapshot(screen)))
    status = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if status != 0:
        sys.exit(f"record_terminal.py: {command[0]} ended with exit code {status}")
    return frames


def row_svg(runs, y):
    out = []
    for x, text, fg, bg, bold in runs:
        if bg != BACKGROUND:
            out.append(f'<rect x="{x * WIDTH:.1f}" y="{y * HEIGHT}" width="{len(text) * WIDTH:.1f}" height="{HEIGHT}" fill="{bg}"/>')
        # Several spaces would be drawn as one: what they part stands by itself.
        for part in re.finditer(r"\S+(?: \S+)*", text):
            word = part.group()
            weight = ' font-weight="bold"' if bold else ""
            length = f' textLength="{len(word) * WIDTH:.1f}" lengthAdjust="spacingAndGlyphs"'
            out.append(f'<text x="{(x + part.start()) * WIDTH:.1f}" y="{y * HEIGHT + SIZE}" fill="{fg}"{weight}{length}>{html.escape(word)}</text>')
    return "".join(out)


def svg(frames, columns, rows, title, speed, rest):
    width, height, edge = columns * WIDTH, rows * HEIGHT, 14
    # A row that comes again, on whichever screen, is drawn once and used.
    names, definitions = {}, []
    strips, keys = [], []
    times = [seconds / speed for seconds, _ in frames]
    total = times[-1] + rest
    for index, (_, picture) in enumerate(frames):
        parts = []
        for y, runs in enumerate(picture):
            drawn = row_svg(runs, y)
            if not drawn:
                continue
            if drawn not in names:
                names[drawn] = f"r{len(names)}"
                definitions.append(f'<g id="{names[drawn]}">{drawn}</g>')
            parts.append(f'<use href="#{names[drawn]}"/>')
        strips.append(f'<g transform="translate({index * width:.1f} 0)">{"".join(parts)}</g>')
        keys.append(f"{100 * times[index] / total:.3f}%{{transform:translateX({-index * width:.1f}px)}}")
    keys[0] = "0" + keys[0][keys[0].index("%"):]
    keys.append(f"100%{{transform:translateX({-(len(frames) - 1) * width:.1f}px)}}")
    return f"""<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width + 2 * edge:.0f} {height + 2 * edge + 24}" role="img" aria-label="{html.escape(title)}" font-family="ui-monospace,'DejaVu Sans Mono',Menlo,Consolas,monospace" font-size="{SIZE}">
<title>{html.escape(title)}</title>
<style>@keyframes play{{{"".join(keys)}}} .film{{animation:play {total:.1f}s steps(1,end) infinite}} @media (prefers-reduced-motion:reduce){{.film{{animation:none;transform:translateX({-(len(frames) - 1) * width:.1f}px)}}}}</style>
<defs>{"".join(definitions)}<clipPath id="screen"><rect width="{width:.1f}" height="{height}"/></clipPath></defs>
<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>
<text x="50%" y="20" text-anchor="middle" fill="#768390">{html.escape(title)}</text>
<g transform="translate({edge} {edge + 20})" clip-path="url(#screen)"><g class="film">{"".join(strips)}</g></g>
</svg>
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("output", help="the SVG to write")
    parser.add_argument("command", nargs=argparse.REMAINDER, help="what to run")
    parser.add_argument("--columns", type=int, default=84)
    parser.add_argument("--rows", type=int, default=24)
    parser.add_argument("--every", type=float, default=1.0, help="seconds between two looks")
    parser.add_argument("--speed", type=float, default=4.0, help="so many times as fast as it was")
    parser.add_argument("--rest", type=float, default=4.0, help="seconds that the last picture stays")
    parser.add_argument("--title", help="what stands above; the command, if nothing is said")
    arguments = parser.parse_args()
    if not arguments.command:
        parser.error("say which command to run")
    frames = record(arguments.command, arguments.columns, arguments.rows, arguments.every)
    title = arguments.title or " ".join([os.path.basename(arguments.command[0]), *arguments.command[1:]])
    with open(arguments.output, "w", encoding="utf-8") as file:
        file.write(svg(frames, arguments.columns, arguments.rows, title, arguments.speed, arguments.rest))
    print(f"{arguments.output}: {len(frames)} pictures, {os.path.getsize(arguments.output) / 1e3:.0f} kB")


if __name__ == "__main__":
    main()
