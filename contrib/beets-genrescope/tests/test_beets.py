"""`beet genrescope` on a real library of beets."""

from __future__ import annotations

import os
import subprocess
import sys
import wave
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("beets")
import genrescope  # noqa: E402

RATE = 12_000


@pytest.fixture
def home(tmp_path: Path) -> Path:
    """Two songs, silence and a broken file, imported as they are."""
    t = np.arange(RATE * 31) / RATE
    beat = np.exp(-((t * 2) % 1) * 14) * np.random.default_rng(1).standard_normal(t.size)
    chords = sum(np.sign(np.sin(2 * np.pi * 220 * step * t)) for step in (1, 1.26, 1.5))
    music = 0.3 * beat + 0.1 * chords
    music_folder = tmp_path / "music"
    music_folder.mkdir()
    for name, sound in [("one", music), ("two", music[::-1]), ("silent", 0 * music)]:
        with wave.open(str(music_folder / f"{name}.wav"), "wb") as file:
            file.setnchannels(1)
            file.setsampwidth(2)
            file.setframerate(RATE)
            samples = np.clip(sound * 32_767, -32_768, 32_767)
            file.writeframes(samples.astype("<i2").tobytes())
    settings(tmp_path, "")
    beet(tmp_path, "import", "-qA", music_folder)
    return tmp_path


def settings(home: Path, more: str) -> None:
    (home / "config.yaml").write_text(
        f"plugins: genrescope\nlibrary: {home}/library.db\ndirectory: {home}/music\n"
        f"import:\n  copy: no\n  write: yes\ngenrescope:\n  model: default\n{more}"
    )


def beet(home: Path, *arguments: object) -> str:
    done = subprocess.run(
        [sys.executable, "-m", "beets", *map(str, arguments)],
        env={**os.environ, "BEETSDIR": str(home), "HOME": str(home)},
        capture_output=True,
        text=True,
        stdin=subprocess.DEVNULL,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout + done.stderr


def listed(home: Path, *query: str) -> dict[str, list[str]]:
    lines = beet(home, "ls", "-f", "$path|$genres|$genrescope_state|$genrescope_confidence", *query)
    rows = [line.split("|") for line in lines.splitlines() if "|" in line]
    return {Path(row[0]).stem: row[1:] for row in rows}


def test_genres_where_there_is_none(home: Path) -> None:
    songs = {
        name: genrescope.classify(home / "music" / f"{name}.wav") for name in ("one", "two", "silent")
    }
    before = listed(home)
    shown = beet(home, "genrescope", "--pretend")
    assert shown.count("->") == 3 and listed(home) == before
    assert "none (silent)" in shown

    beet(home, "genrescope")
    after = listed(home)
    for name, song in songs.items():
        genre = genrescope.tag_word(song.genre) if song.genre else ""
        assert after[name][:2] == [genre, song.state]
        assert float(after[name][2]) == round(song.confidence, 4)
    # The genre is in the file, for everyone.
    import mediafile

    for name, song in songs.items():
        found = mediafile.MediaFile(home / "music" / f"{name}.wav").genre or ""
        assert found == (genrescope.tag_word(song.genre) if song.genre else "")


def test_your_words_and_how_sure(home: Path) -> None:
    labels = genrescope.Model().labels
    words = "".join(f"    {label}: My {label}\n" for label in labels)
    settings(home, "  min_confidence: 1.1\n  words:\n" + words)
    beet(home, "genrescope")
    assert {row[0] for row in listed(home).values()} == {""}
    settings(home, "  words:\n" + words)
    beet(home, "genrescope")
    for name, row in listed(home).items():
        song = genrescope.classify(home / "music" / f"{name}.wav")
        assert row[0] == (f"My {song.genre}" if song.genre else "")


def test_what_has_a_genre_is_left_alone_unless_forced(home: Path) -> None:
    beet(home, "modify", "-y", "-W", "genres=Zydeco")
    assert beet(home, "genrescope").count("->") == 0
    assert beet(home, "genrescope", "--force", "--pretend").count("Zydeco ->") == 3


def test_a_file_that_is_gone_is_told_and_the_others_go_on(home: Path) -> None:
    (home / "music" / "one.wav").unlink()
    told = beet(home, "genrescope")
    assert "there is no such file" in told and told.count("->") == 2


def test_songs_are_heard_as_they_are_imported(home: Path) -> None:
    settings(home, "  auto: yes\n")
    beet(home, "rm", "-f")
    beet(home, "import", "-qA", home / "music")
    states = {name: row[1] for name, row in listed(home).items()}
    assert set(states) == {"one", "two", "silent"} and states["silent"] == "silent"
