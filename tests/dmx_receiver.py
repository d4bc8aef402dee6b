"""Prints what a receiver of DMX understands, a JSON array a line, until the sender has ended.

    dmx_receiver.py sacn      [source, priority, universe, {channel: value}] on change; ["timeout", universe] at the end
    dmx_receiver.py artnet    [port_address, {channel: value}] on change, until everything is at 0 again

The first line is the port. Run by tests/dmx.rs; needs sacn or stupidArtnet (pip install sacn stupidartnet).
By hand, with a fixed port: dmx_receiver.py sacn --port 5568
"""

import json
import socket
import sys
import threading


def free_port() -> int:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def lit(values) -> dict:
    return {channel: value for channel, value in enumerate(values, 1) if value}


def say(*what) -> None:
    print(json.dumps(what), flush=True)


def by_sacn(port: int, done: threading.Event) -> None:
    import sacn

    receiver = sacn.sACNreceiver("127.0.0.1", port)
    newest = None

    @receiver.listen_on("availability")
    def availability(universe, changed):
        if changed == "timeout":
            say("timeout", universe)
            done.set()

    def heard(packet):
        nonlocal newest
        now = [packet.sourceName, packet.priority, packet.universe, lit(packet.dmxData)]
        if now != newest:
            newest = now
            say(*now)

    receiver.register_listener("universe", heard, universe=1)
    receiver.start()


def by_artnet(port: int, done: threading.Event) -> None:
    from stupidArtnet import StupidArtnetServer

    server = StupidArtnetServer(port)
    newest = None

    def heard(values, address):
        nonlocal newest
        now = lit(values)
        if now != newest:
            say(address, now)
            if newest and not now:
                done.set()
            newest = now

    server.register_listener(0, callback_function=heard)


def main() -> int:
    kind = sys.argv[1]
    port = int(sys.argv[3]) if sys.argv[2:3] == ["--port"] else free_port()
    done = threading.Event()
    {"sacn": by_sacn, "artnet": by_artnet}[kind](port, done)
    print(port, flush=True)
    if not done.wait(None if sys.argv[2:3] == ["--port"] else 60):
        print("nothing ended for 60 s", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    # The receivers' threads wait for datagrams.
    import os

    os._exit(code)
