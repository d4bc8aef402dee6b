"""What examples/python does, on sound of the tests."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import SONGS, music, write_wav

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


def test_the_notebook_draws_what_it_says(library: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    matplotlib = pytest.importorskip("matplotlib")
    pytest.importorskip("pandas")
    matplotlib.use("Agg")
    from matplotlib import pyplot

    monkeypatch.setenv("GENRESCOPE_SONG", str(library / "a long.wav"))
    monkeypatch.setenv("GENRESCOPE_LIBRARY", str(library))
    notebook = json.loads((EXAMPLES / "explore.ipynb").read_text("utf-8"))
    cells = [cell for cell in notebook["cells"] if cell["cell_type"] == "code"]
    assert not any(cell["outputs"] for cell in cells), "outputs are not committed"
    names: dict[str, object] = {}
    for cell in cells:
        exec("".join(cell["source"]), names)  # noqa: S102
    drawn = [pyplot.figure(number).axes[0] for number in pyplot.get_fignums()]
    assert len(drawn) == 5
    song = genrescope.classify(library / "a long.wav", hop=5)
    heights = [bar.get_height() for bar in drawn[0].patches]
    assert heights == pytest.approx([song.scores[label] for label in genrescope.Model().labels])
    assert len(drawn[4].texts) == len(SONGS) - 1, "one point a song that has frames"
    pyplot.close("all")
