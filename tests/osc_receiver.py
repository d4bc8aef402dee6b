"""Prints the port it listens on, then each OSC message as a JSON array, until the address given as argument arrives.

Run by tests/osc.rs; needs python-osc. By hand, with a fixed port: osc_receiver.py --port 9000
"""

import json
import sys

from pythonosc import dispatcher, osc_server


def main() -> int:
    until = sys.argv[1] if len(sys.argv) > 1 and not sys.argv[1].startswith("--") else None
    port = int(sys.argv[sys.argv.index("--port") + 1]) if "--port" in sys.argv else 0
    done = False

    def heard(address, *values):
        nonlocal done
        # OSC floats have 32 bits; six digits are what they hold.
        values = [round(v, 6) if isinstance(v, float) else v for v in values]
        print(json.dumps([address, *values]), flush=True)
        done = done or address == until

    routes = dispatcher.Dispatcher()
    routes.set_default_handler(heard)
    server = osc_server.BlockingOSCUDPServer(("127.0.0.1", port), routes)
    server.timeout = 30
    print(server.server_address[1], flush=True)

    def late():
        print("nothing came for 30 s", file=sys.stderr)
        sys.exit(1)

    if until:
        server.handle_timeout = late
    while not done:
        server.handle_request()
    return 0


if __name__ == "__main__":
    sys.exit(main())
