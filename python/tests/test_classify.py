from __future__ import annotations

import os
import pickle
import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import BROKEN, RATE, SONGS, music, write_wav

import genrescope


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {Path(row["path"]).name: row for row in rows}


@pytest.mark.parametrize(
    ("settings", "arguments"),
    [
        ({}, []),
        ({"average": "geometric", "hop": 10, "show_frames": True}, ["--average", "geometric", "--hop", 10, "--show-frames"]),
        ({"skip": 0, "unsure_below": 0.125}, ["--skip", 0, "--unsure-below", 0.125]),
        ({"timeline": True}, ["--timeline"]),
        ({"frames": 1, "skip": 0}, ["--frames", 1, "--skip", 0]),
    ],
)
def test_answers_are_those_of_the_command_line(
    library: Path, on_command_line: Any, settings: dict[str, Any], arguments: list[Any]
) -> None:
    rows = by_name(on_command_line("classify", "--json", *arguments, library))
    assert sorted(rows) == sorted(SONGS + BROKEN)
    for name in SONGS:
        song = genrescope.classify(library / name, **settings)
        assert song.to_dict() == rows[name]
        assert (song.genre, song.state) == (rows[name]["genre"], rows[name]["state"])
        assert len(song.frames) == rows[name]["frames"]
        rounded = {label: round(score, 4) for label, score in song.scores.items()}
        assert rounded == pytest.approx(rows[name]["scores"], abs=1e-9)
    for name in BROKEN:
        with pytest.raises(genrescope.FileError) as error:
            genrescope.classify(library / name)
        assert str(error.value) == rows[name]["error"]


def test_the_wide_model_says_families(library: Path, on_command_line: Any) -> None:
    model = genrescope.Model("wide")
    assert len(model.labels) > 20 and model.families["techno"] == "electronic"
    [row] = on_command_line("classify", "--model", "wide", "--json", library / SONGS[0])
    song = model.classify(library / SONGS[0])
    assert song.to_dict() == row and "genre_path" in row
    columns = model.classify_many([library / SONGS[0]])
    assert columns["genre_path"] == [row["genre_path"]]
    assert columns["techno"] == [row["scores"]["techno"]]


def same(song: genrescope.Song, other: genrescope.Song) -> bool:
    first, second = song.to_dict(), other.to_dict()
    del first["path"], second["path"]
    return first == second and song.scores == other.scores and song.frames == other.frames


@pytest.mark.parametrize("name", ["a long.wav", "b stereo.wav"])
def test_arrays_and_bytes_sound_like_the_file(library: Path, name: str) -> None:
    song = genrescope.classify(library / name)
    channels = 2 if "stereo" in name else 1
    sound = music(30, 2, channels=2) if channels == 2 else music(64, 1)
    for samples in [
        sound,
        sound.astype(np.int32) * 65_536,
        (sound / 32_768).astype(np.float32),
        # A view that goes backwards through memory, and one that lies across.
        (sound / 32_768)[::-1].copy()[::-1],
        np.asfortranarray(sound),
    ]:
        assert same(genrescope.classify(samples, float(RATE)), song), samples.dtype
    data = (library / name).read_bytes()
    assert same(genrescope.classify(data), song)
    assert same(genrescope.classify(bytearray(data), name="x"), song)
    with open(library / name, "rb") as file:
        opened = genrescope.classify(file)
    assert same(opened, song) and opened.path == str(library / name)


def test_bytes_fail_in_the_words_of_files(library: Path) -> None:
    for name in BROKEN:
        path = str(library / name)
        with pytest.raises(genrescope.FileError) as as_file:
            genrescope.classify(path)
        with pytest.raises(genrescope.FileError) as as_bytes:
            genrescope.classify(Path(path).read_bytes(), name=path)
        assert str(as_bytes.value) == str(as_file.value)


def test_errors_have_the_usual_classes(tmp_path: Path) -> None:
    gone = tmp_path / "gone.mp3"
    with pytest.raises(FileNotFoundError, match="there is no such file") as error:
        genrescope.classify(gone)
    assert isinstance(error.value, genrescope.MissingFileError)
    assert type(pickle.loads(pickle.dumps(error.value))) is genrescope.MissingFileError
    with pytest.raises(IsADirectoryError, match="this is a folder"):
        genrescope.classify(tmp_path)
    with pytest.raises(genrescope.ModelError, match="cannot open model file.*'wide' are built in"):
        genrescope.Model(tmp_path / "none.safetensors")


@pytest.mark.parametrize(
    ("source", "rate", "settings", "words"),
    [
        (np.zeros(10), None, {}, "needs its rate"),
        (np.zeros(10), 100, {}, "100 Hz is not supported"),
        (np.zeros(10), 44_100.5, {}, "44100.5 Hz"),
        (np.zeros((2, 44_100)), 44_100, {}, r"frames come first: turn it with array\.T"),
        (np.zeros((2, 2, 2)), 44_100, {}, "is no sound"),
        (np.zeros(10, complex), 44_100, {}, "complex128 are not supported"),
        ("x.wav", None, {"hop": 0}, "hop = 0 s is out of range"),
        ("x.wav", None, {"skip": -1}, "skip = -1 s is out of range"),
        ("x.wav", None, {"average": "median"}, "'median' is none of mean, geometric, vote"),
        ("x.wav", None, {"unsure_below": 2}, "unsure_below = 2 is not in 0 to 1"),
    ],
)
def test_what_cannot_be_is_refused(source: Any, rate: Any, settings: dict[str, Any], words: str) -> None:
    with pytest.raises(genrescope.SettingError, match=words):
        genrescope.classify(source, rate, **settings)


def test_a_misspelt_argument_is_told() -> None:
    with pytest.raises(TypeError):
        genrescope.classify("x.wav", hopp=3)
    with pytest.raises(TypeError, match="unknown argument 'hopp'"):
        genrescope.classify_many(["x.wav"], hopp=3)


def test_other_threads_run_meanwhile(library: Path, tmp_path: Path) -> None:
    """What is heard comes from a pipe that this process writes: were the interpreter held, neither would go on."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    heard: list[genrescope.Song] = []
    listener = threading.Thread(target=lambda: heard.append(genrescope.classify(pipe)))
    listener.start()
    pipe.write_bytes((library / "a long.wav").read_bytes())
    listener.join()
    assert same(heard[0], genrescope.classify(library / "a long.wav"))


def test_embeddings_are_rows_of_numbers(library: Path) -> None:
    model = genrescope.Model()
    rows = model.embed(library / "a long.wav", skip=0)
    assert rows.shape == (2, model.embedding_size) and rows.dtype == np.float32
    assert np.isfinite(rows).all() and not np.array_equal(rows[0], rows[1])
    again = genrescope.embed(music(64, 1), RATE, skip=0)
    assert np.array_equal(rows, again)
    other = model.embed(library / "b stereo.wav", skip=0)
    assert not np.array_equal(rows[0], other[0])
    assert model.embed(library / "d silent.wav").shape == (0, model.embedding_size)
    assert genrescope.classify(library / "a long.wav").embeddings is None


def test_models_and_answers_travel(library: Path) -> None:
    model = pickle.loads(pickle.dumps(genrescope.Model("wide")))
    assert repr(model) == "Model('wide')" and "techno" in model.labels
    song = genrescope.classify(library / "c short.wav")
    assert pickle.loads(pickle.dumps(song)) == song


def test_very_short_sound_is_no_error() -> None:
    song = genrescope.classify(np.zeros(100, np.float32), RATE)
    assert (song.state, song.genre, song.frames, song.confidence) == ("too_short", None, [], 0.0)
    assert genrescope.classify(np.zeros((0, 2), np.float32), RATE).seconds == 0


def test_not_a_number_is_silence(tmp_path: Path) -> None:
    assert genrescope.classify(np.full(RATE * 3, np.nan), RATE).state == "silent"


def test_names_that_are_no_text(tmp_path: Path, on_command_line: Any) -> None:
    path = os.fsencode(tmp_path) + b"/caf\xe9.wav"
    write_wav(Path(os.fsdecode(path)), music(7, 3))
    [row] = on_command_line("classify", "--json", tmp_path)
    [found] = genrescope.find_audio_files(tmp_path)
    assert os.fsencode(found) == path
    assert genrescope.classify(found).to_dict() == row
