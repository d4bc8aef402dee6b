"""What examples/python does, on sound of the tests."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from conftest import music, write_wav

import genrescope

EXAMPLES = Path(__file__).resolve().parents[2] / "examples/python"


def run(name: str, *arguments: object, **more: object) -> str:
    command = [sys.executable, str(EXAMPLES / name), *map(str, arguments)]
    done = subprocess.run(command, capture_output=True, **more)  # type: ignore[call-overload]
    assert done.returncode == 0, done.stderr.decode()
    said: str = done.stdout.decode()
    return said


def test_arrays(library: Path) -> None:
    pytest.importorskip("soundfile")
    path = library / "b stereo.wav"
    song = genrescope.classify(path)
    said = run("arrays.py", path)
    assert f"{path}: {song.genre or song.state}, {100 * song.confidence:.0f} %" in said
    assert said.count("\n") == 1 + len(song.frames)


def test_own_classifier(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    for name in ("beats", "noise"):
        (tmp_path / name).mkdir()
        for seed in range(4):
            sound = music(6, seed) if name == "beats" else music(6, seed)[::-1] // 3
            write_wav(tmp_path / name / f"{seed}.wav", sound)
    said = run("own_classifier.py", tmp_path)
    assert "beats" in said and "of 4 songs" in said


def test_similar(library: Path) -> None:
    said = run("similar.py", library / "c short.wav", library)
    assert said.startswith("1.000") and "c short.wav" in said.splitlines()[0]


def test_stream() -> None:
    sound = (music(40, 1, channels=2, rate=48_000) / 32_768).astype("<f4")
    said = run("stream.py", input=sound.tobytes())
    expected = genrescope.Stream(48_000, 2).push(sound)
    assert said.count("\n") == sum(readout.changed for readout in expected) > 0
