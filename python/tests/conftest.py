"""Sound that the tests make, and the command line to compare with."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import wave
from pathlib import Path
from typing import Any

import numpy as np
import pytest

RATE = 12_000


def music(seconds: float, seed: int = 1, channels: int = 1, rate: int = RATE) -> np.ndarray:
    """A beat, a bass and chords, as int16 of shape (frames,) or (frames, channels)."""
    t = np.arange(int(seconds * rate)) / rate
    noise = np.random.default_rng(seed).standard_normal(t.size)
    beat = np.exp(-((t * 2) % 1) * 14)
    bass = np.sin(2 * np.pi * 55 * 2 ** (np.floor(t * 2) % 4 * (2 + seed % 3) / 12) * t)
    chords = sum(np.sign(np.sin(2 * np.pi * 220 * step * t)) for step in (1, 1.26, 1.5))
    left = 0.25 * beat * noise + 0.3 * bass + 0.05 * chords
    sound = left if channels == 1 else np.stack([left, 0.5 * left + 0.1 * bass], axis=1)
    return np.clip(sound * 32_767, -32_768, 32_767).astype(np.int16)


def write_wav(path: Path, sound: np.ndarray, rate: int = RATE) -> None:
    with wave.open(str(path), "wb") as file:
        file.setnchannels(1 if sound.ndim == 1 else sound.shape[1])
        file.setsampwidth(2)
        file.setframerate(rate)
        file.writeframes(sound.astype("<i2").tobytes())


@pytest.fixture(scope="session")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder of songs, some of them broken."""
    folder = tmp_path_factory.mktemp("library")
    write_wav(folder / "a long.wav", music(64, 1))
    write_wav(folder / "b stereo.wav", music(30, 2, channels=2))
    write_wav(folder / "c short.wav", music(7, 3))
    write_wav(folder / "d silent.wav", np.zeros(RATE * 3, np.int16))
    (folder / "e empty.wav").write_bytes(b"")
    (folder / "f garbage.mp3").write_bytes(b"\x5a" * 5_000)
    whole = (folder / "a long.wav").read_bytes()
    (folder / "g cut off.wav").write_bytes(whole[: len(whole) // 2])
    (folder / "h notes.txt").write_text("not looked at")
    return folder


SONGS = ["a long.wav", "b stereo.wav", "c short.wav", "d silent.wav", "g cut off.wav"]
BROKEN = ["e empty.wav", "f garbage.mp3"]


@pytest.fixture(scope="session")
def genrescope_program() -> Path:
    """The program `genrescope`, which gives the same answers."""
    root = Path(__file__).resolve().parents[2]
    named = os.environ.get("GENRESCOPE_PROGRAM")
    for program in [named] if named else [root / "target/debug/genrescope", shutil.which("genrescope")]:
        if program and Path(program).is_file():
            return Path(program)
    pytest.skip("there is no program 'genrescope' to compare with (GENRESCOPE_PROGRAM names one)")


@pytest.fixture(scope="session")
def on_command_line(genrescope_program: Path, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """Runs the program; its lines of JSON."""
    empty = tmp_path_factory.mktemp("config") / "config.toml"
    empty.write_text("")

    def run(*arguments: object) -> list[dict[str, Any]]:
        done = subprocess.run(
            [genrescope_program, "--config", empty, *map(str, arguments)],
            capture_output=True,
            text=True,
        )
        assert done.returncode in (0, 1), done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run
