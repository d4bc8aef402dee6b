"""Lets Home Assistant itself hear what `listen --mqtt` says, without its web page: prints each state of genrescope's sensors as it changes.

    python3 -m venv venv
    venv/bin/pip install homeassistant==2026.2.3 paho-mqtt==2.1.0 aiohttp_cors janus       # Python 3.13.2 or later
    venv/bin/pip install homeassistant==2024.3.3 paho-mqtt==1.6.1 aiohttp_cors janus       # or Python 3.11
    venv/bin/python scripts/home_assistant.py [PORT] [SECONDS]      the broker's port on this machine (1883), and how long (60)

What Home Assistant warns of is printed, too, and makes the exit code 1. Discovery messages are checked by its own schema; what it refuses, it warns of.
"""

import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path

from homeassistant import bootstrap, config_entries, core, loader, setup

PORT = int(sys.argv[1]) if len(sys.argv) > 1 else 1883
SECONDS = float(sys.argv[2]) if len(sys.argv) > 2 else 60.0


class Complaints(logging.Handler):
    """What it says of MQTT and sensors."""

    count = 0

    def emit(self, record):
        if any(word in record.name for word in ("mqtt", "sensor")) or "genrescope" in record.getMessage():
            self.count += 1
            print(f"{record.levelname}: {record.getMessage()}", flush=True)


def entry():
    return {
        "entry_id": "1", "version": 1, "minor_version": 1, "domain": "mqtt", "title": "mqtt", "data": {"broker": "127.0.0.1", "port": PORT},
        "options": {}, "pref_disable_new_entities": False, "pref_disable_polling": False, "source": "user", "unique_id": None, "disabled_by": None,
    }  # fmt: skip


async def main(folder):
    storage = Path(folder, ".storage")
    storage.mkdir()
    Path(folder, "configuration.yaml").write_text("homeassistant:\n  name: test\n")
    entries = {"version": 1, "minor_version": 1, "key": "core.config_entries", "data": {"entries": [entry()]}}
    storage.joinpath("core.config_entries").write_text(json.dumps(entries))
    hass = core.HomeAssistant(folder)
    loader.async_setup(hass)
    hass.config_entries = config_entries.ConfigEntries(hass, {})
    await bootstrap.async_load_base_functionality(hass)
    await hass.config_entries.async_initialize()
    # Parts that MQTT asks for and does not use here.
    hass.config.components.update(["http", "file_upload"])
    hass.config.skip_pip = True
    complaints = Complaints(logging.WARNING)
    logging.getLogger().addHandler(complaints)

    @core.callback
    def changed(event):
        state = event.data["new_state"]
        if state and "genrescope" in state.entity_id:
            kept = {name: value for name, value in state.attributes.items() if name not in ("options", "icon")}
            print(f"{state.entity_id} {state.state!r} {json.dumps(kept)}", flush=True)

    hass.bus.async_listen("state_changed", changed)
    assert await setup.async_setup_component(hass, "mqtt", {})
    await hass.async_start()
    print("Home Assistant listens", flush=True)
    await asyncio.sleep(SECONDS)
    await hass.async_stop(force=True)
    return complaints.count


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        sys.exit(1 if asyncio.run(main(folder)) else 0)
