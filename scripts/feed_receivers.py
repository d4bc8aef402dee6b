"""A receiver for every feed of `genrescope listen`, on the loopback interface: run by soak.sh and listening_cost.sh.

    feed_receivers.py FOLDER            prints the options for `listen`, one a line and then an empty line; receives until SIGTERM, then says what came

What it says at the end is a line for each feed: what came, what is missing (numbers that were skipped), and what is wrong with it. Ends with 1 where
something is wrong. Only Python's own library; MQTT where mosquitto is installed. A feed's readouts are counted by their `seq`, and what tells changes
alone must have told each change of genre that the JSON file has, but for what the program says at its end that it did not deliver.
"""

import contextlib
import http.client
import http.server
import json
import os
import re
import shutil
import signal
import socket
import socketserver
import struct
import subprocess
import sys
import threading
import time
from pathlib import Path

FOLDER = Path(sys.argv[1])
OVER = threading.Event()
OS2L_PORT, WLED_SOUND_PORT = 0, 11_988


class Feed:
    """What came over one feed."""

    def __init__(self, name):
        self.name, self.came, self.missing, self.last = name, 0, 0, None
        self.changes = []  # genres in order, None between
        self.wrong = []
        FEEDS.append(self)

    def seq(self, seq, wraps=None):
        """A number that counts by one."""
        if self.last is not None:
            skipped = seq - self.last - 1
            self.missing += skipped % wraps if wraps else max(skipped, 0)
            if wraps is None and skipped < 0 and self.name != "page":
                self.error(f"{seq} came after {self.last}")
        self.last, self.came = seq, self.came + 1

    def changed(self, genre):
        if not self.changes or self.changes[-1] != genre:
            self.changes.append(genre)

    def error(self, what):
        if len(self.wrong) < 5:
            self.wrong.append(what)


FEEDS = []


def thread(function, *arguments):
    threading.Thread(target=function, args=arguments, daemon=True).start()


def udp(port=0):
    receiver = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    receiver.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4 << 20)
    receiver.bind(("127.0.0.1", port))
    return receiver, receiver.getsockname()[1]


def message(feed, line):
    """One message of JSON Lines."""
    said = json.loads(line)
    if said["type"] == "genre":
        feed.seq(said["seq"])
        feed.changed(said["genre"])


def osc(feed, receiver):
    def text(data, at):
        end = data.index(b"\0", at)
        return data[at:end].decode(), end + 4 - end % 4

    while True:
        data = receiver.recv(65_536)
        address, at = text(data, 0)
        kinds, at = text(data, at)
        feed.came += 1
        if address == "/genre/name":
            feed.changed({"none": None}.get(name := text(data, at)[0], name))
        elif address == "/genre/alive":
            feed.last = struct.unpack(">i", data[at : at + 4])[0]


def sacn(feed, receiver):
    while True:
        data = receiver.recv(2_048)
        if len(data) != 638 or data[4:16] != b"ASC-E1.17\0\0\0":
            feed.error(f"no frame of sACN: {data[:20]}")
            continue
        feed.seq(data[111], 256)
        feed.dark = not any(data[126:])
        feed.ended = bool(data[112] & 0x40)


def artnet(feed, receiver):
    while True:
        data = receiver.recv(2_048)
        if len(data) != 530 or data[:8] != b"Art-Net\0":
            feed.error(f"no frame of Art-Net: {data[:20]}")
            continue
        # 0 would say that frames are not numbered.
        feed.seq(data[12] - 1, 255)
        feed.dark = not any(data[18:])


def wled_sound(feed, receiver):
    while True:
        data = receiver.recv(2_048)
        if len(data) != 44 or data[:6] != b"00002\0":
            feed.error(f"no packet of sound sync: {data[:20]}")
            continue
        feed.seq(data[17], 256)


def wled(feed):
    started = time.monotonic()

    class Controller(http.server.BaseHTTPRequestHandler):
        def answer(self, value):
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def do_GET(self):
            self.answer({"ver": "0.14.4", "leds": {"count": 30}, "uptime": int(time.monotonic() - started)})

        def do_POST(self):
            said = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            feed.came += 1
            feed.last = said
            self.answer({"success": True})

        def log_message(self, *_):
            pass

    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Controller)
    thread(server.serve_forever)
    return server.server_address[1]


def os2l(feed):
    class Receiver(socketserver.BaseRequestHandler):
        def handle(self):
            waiting = ""
            while data := self.request.recv(4_096):
                waiting += data.decode()
                while waiting:
                    said, end = json.JSONDecoder().raw_decode(waiting)
                    waiting = waiting[end:]
                    feed.came += 1
                    if said["evt"] == "btn":
                        feed.lit = (feed.lit | {said["name"]}) if said["state"] == "on" else feed.lit - {said["name"]}
                        if said["state"] == "on":
                            feed.changes.append(said["name"])

    feed.lit = set()
    server = socketserver.ThreadingTCPServer(("127.0.0.1", 0), Receiver)
    server.daemon_threads = True
    thread(server.serve_forever)
    return server.server_address[1]


def lines_of(feed, path):
    """A Unix socket, as soon as it is there."""
    while not OVER.is_set():
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as receiver:
            receiver.connect(str(path))
            for line in receiver.makefile():
                message(feed, line)
        time.sleep(0.2)


def page(feed, port):
    """A browser: it comes back when it was let go, and is told everything anew."""
    feed.comes, feed.metrics = 0, ""
    while not OVER.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/events")
            events, name = connection.getresponse(), ""
            feed.comes += 1
            while line := events.readline().decode().strip("\n"):
                while line:
                    key, _, value = line.partition(": ")
                    if key == "event":
                        name = value
                    elif name == "genre":
                        seq = json.loads(value)["seq"]
                        if seq and seq != feed.last:
                            feed.seq(seq)
                    line = events.readline().decode().strip("\n")
        time.sleep(0.05)


def metrics(feed, port):
    """As Prometheus."""
    while not OVER.is_set():
        with contextlib.suppress(OSError, http.client.HTTPException):
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/metrics")
            feed.metrics = connection.getresponse().read().decode()
            connection.close()
        time.sleep(10)


def text(feed, path):
    while not OVER.is_set():
        with contextlib.suppress(OSError):
            said = path.read_text()
            if not re.fullmatch(r"([a-z]+\n)?", said):
                feed.error(f"half a line: {said!r}")
            if said != feed.last:
                feed.came += 1
            feed.last = said
        time.sleep(0.02)


def mqtt(feed, genre):
    program = shutil.which("mosquitto") or "/usr/sbin/mosquitto"
    if not Path(program).exists() or not shutil.which("mosquitto_sub"):
        FEEDS.remove(feed)
        FEEDS.remove(genre)
        print("feed_receivers.py: mosquitto is not installed; MQTT is left out", file=sys.stderr)
        return None
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    settings = FOLDER / "mosquitto.conf"
    settings.write_text(f"listener {port} 127.0.0.1\nallow_anonymous true\npersistence false\nmax_queued_messages 100000\n")
    nowhere = subprocess.DEVNULL
    broker = subprocess.Popen([program, "-c", settings], stdout=nowhere, stderr=nowhere)
    CHILDREN.append(broker)
    while socket.socket().connect_ex(("127.0.0.1", port)):
        time.sleep(0.05)
    command = ["mosquitto_sub", "-p", str(port), "-q", "1", "-v", "-t", "genrescope/#"]
    watching = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
    CHILDREN.append(watching)

    def hear():
        for line in watching.stdout:
            topic, _, said = line.rstrip("\n").partition(" ")
            if topic == "genrescope/readout":
                message(feed, said)
            elif topic == "genrescope/genre":
                genre.came += 1
                genre.changed({"none": None}.get(said, said))
            elif topic == "genrescope/status":
                feed.status = said

    thread(hear)
    return port


CHILDREN = []


def main():
    by_osc, by_sacn, by_artnet, by_sound, by_wled = (Feed(n) for n in ("osc", "sacn", "artnet", "wled sound", "wled"))
    by_os2l, by_socket, by_page, by_text, by_mqtt, by_genre = (
        Feed(n) for n in ("os2l", "socket", "page", "text", "mqtt", "mqtt, Home Assistant")
    )
    by_exec = Feed("exec")
    options = ["--json-file", FOLDER / "readouts.jsonl"]
    for option, feed, receive, port in [
        ("--osc", by_osc, osc, 0),
        ("--sacn", by_sacn, sacn, 0),
        ("--artnet", by_artnet, artnet, 0),
        (None, by_sound, wled_sound, WLED_SOUND_PORT),
    ]:
        receiver, port = udp(port)
        thread(receive, feed, receiver)
        options += [option, f"127.0.0.1:{port}"] if option else []
    options += ["--wled", f"127.0.0.1:{wled(by_wled)}", "--os2l", f"127.0.0.1:{os2l(by_os2l)}"]
    options += ["--socket", FOLDER / "socket", "--text", FOLDER / "genre.txt"]
    thread(lines_of, by_socket, FOLDER / "socket")
    thread(text, by_text, FOLDER / "genre.txt")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        page_port = probe.getsockname()[1]
    options += ["--http", f"127.0.0.1:{page_port}"]
    thread(page, by_page, page_port)
    thread(metrics, by_page, page_port)
    if port := mqtt(by_mqtt, by_genre):
        options += ["--mqtt", f"mqtt://127.0.0.1:{port}"]
    commands = FOLDER / "commands"
    options += ["--exec", f"sh -c 'echo \"$GENRESCOPE_GENRE\" >> {commands}'", "--midi"]
    print("\n".join(map(str, options)) + "\n", flush=True)

    signal.signal(signal.SIGTERM, lambda *_: OVER.set())
    OVER.wait()
    time.sleep(1)
    report(by_exec, commands)


def undelivered(name):
    """How many of the last readouts a feed did not deliver, as the program itself says."""
    errors = FOLDER.parent / "errors"
    said = re.search(rf"\b{name} \S+: (\d+) of \d+ readouts were not delivered", errors.read_text()) if errors.exists() else None
    return int(said[1]) if said else 0


def report(by_exec, commands):
    told = Feed("json file")
    # How far the changes had come by each readout.
    changes_by = [0]
    for line in (FOLDER / "readouts.jsonl").open():
        came = told.came
        message(told, line)
        if told.came > came:
            changes_by.append(len(told.changes))
    by_exec.came = len(commands.read_text().splitlines()) if commands.exists() else 0
    named = [genre for genre in told.changes if genre]
    print(f"{'feed':22} {'came':>9} {'missing':>8}")
    for feed in FEEDS:
        # A change there and back within one message is none; "none" at the end is told by who ends in order.
        if feed.name in ("socket", "mqtt"):
            # Who came late may have missed the first.
            since = len(told.changes) - len(feed.changes)
            if since > 2 or feed.changes != told.changes[max(since, 0) :]:
                feed.error("its changes are not those of the file")
        if feed.name in ("osc", "os2l", "mqtt, Home Assistant"):
            of_feed = [genre for genre in feed.changes if genre]
            # What was still waiting when the sound ended is lost, and the program has counted it.
            sure = told.changes[: changes_by[max(len(changes_by) - 1 - undelivered(feed.name), 0)]]
            if of_feed != named[: len(of_feed)] or len(of_feed) < len([genre for genre in sure if genre]):
                feed.error(f"it told {len(of_feed)} changes of {len(named)}")
        if not feed.came:
            feed.error("nothing came")
        if getattr(feed, "dark", True) is False:
            feed.error("a lamp is on")
        if getattr(feed, "ended", True) is False:
            feed.error("the stream was not ended")
        if getattr(feed, "lit", None):
            feed.error(f"a button is on: {feed.lit}")
        if feed.name == "wled" and feed.last != {"on": False}:
            feed.error(f"the strip is on: {feed.last}")
        if feed.name == "text" and feed.last:
            feed.error("a genre stands in the file")
        if getattr(feed, "status", "offline") != "offline":
            feed.error("the broker thinks that somebody listens")
        more = f"  let go and back {feed.comes - 1} times" if feed.name == "page" else ""
        print(f"{feed.name:22} {feed.came:9} {feed.missing:8}{more}{'  WRONG: ' if feed.wrong else ''}{'; '.join(feed.wrong)}")
    missed = [line for line in FEEDS_PAGE().splitlines() if line.startswith("genrescope_feed_")]
    print("\n".join(missed))
    sys.exit(any(feed.wrong for feed in FEEDS))


def FEEDS_PAGE():
    return next((feed.metrics for feed in FEEDS if feed.name == "page"), "")


if __name__ == "__main__":
    try:
        main()
    finally:
        for child in CHILDREN:
            child.kill()
