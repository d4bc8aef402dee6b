from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from conftest import BROKEN, SONGS

import genrescope


def test_columns_are_the_rows_of_the_command_line(library: Path, on_command_line: Any) -> None:
    rows = on_command_line("classify", "--json", library)
    files = genrescope.find_audio_files(library)
    assert files == [row["path"] for row in rows]
    columns = genrescope.classify_many(files)
    assert columns["path"] == files
    labels = genrescope.Model().labels
    for index, row in enumerate(rows):
        for name in ["genre", "state", "confidence", "seconds", "frames", "error", "model", "reason", "music"]:
            assert columns[name][index] == row.get(name), (row["path"], name)
        for label in labels:
            assert columns[label][index] == row.get("scores", {}).get(label)
    cut = files.index(str(library / "g cut off.wav"))
    assert columns["notes"][cut] == "cut off before its end"
    assert [name for name in columns if name in labels] == labels


def test_order_and_answers_do_not_depend_on_the_jobs(library: Path) -> None:
    files = [library / name for name in [*SONGS[2:], *BROKEN] * 3]
    one = genrescope.classify_many(files, jobs=1)
    assert genrescope.classify_many(files, jobs=4) == one
    assert [error is not None for error in one["error"]] == (
        [False] * 3 + [True] * 2
    ) * 3


def test_bytes_with_names(library: Path) -> None:
    pairs = [(f"s3://bucket/{name}", (library / name).read_bytes()) for name in SONGS + BROKEN]
    of_bytes = genrescope.classify_many(pairs)
    of_files = genrescope.classify_many([library / name for name in SONGS + BROKEN])
    assert of_bytes["path"] == [name for name, _ in pairs]
    assert of_bytes["rock"] == of_files["rock"]
    assert of_bytes["error"][5] == f"s3://bucket/{BROKEN[0]}: the file is empty (0 bytes)"


def test_each_gives_songs_and_failures_as_they_come(library: Path) -> None:
    answers = genrescope.classify_each([library / name for name in SONGS + BROKEN], embeddings=True)
    assert isinstance(answers, Iterator)
    songs = [next(answers) for _ in SONGS]
    assert all(isinstance(song, genrescope.Song) and song.embeddings is not None for song in songs)
    failures = list(answers)
    assert all(isinstance(failure, genrescope.Failure) for failure in failures)
    assert failures[0].to_dict()["type"] == "error"


def test_answers_may_be_left_unread(library: Path) -> None:
    answers = genrescope.classify_each([library / SONGS[2]] * 40, jobs=2)
    next(answers)
    del answers


def test_what_fits_into_no_column_is_refused(library: Path) -> None:
    with pytest.raises(genrescope.SettingError, match="timeline fits into no column"):
        genrescope.classify_many([], timeline=True)
    with pytest.raises(genrescope.SettingError, match="jobs = 0 is not in 1 to 256"):
        genrescope.classify_many([library], jobs=0)
    with pytest.raises(genrescope.SettingError, match="a file is a path, or a pair"):
        genrescope.classify_many([3])  # type: ignore[list-item]


def test_pandas_and_arrow_take_them(library: Path) -> None:
    pandas = pytest.importorskip("pandas")
    pyarrow = pytest.importorskip("pyarrow")
    columns = genrescope.classify_many([library / name for name in SONGS + BROKEN])
    frame = pandas.DataFrame(columns)
    assert frame.shape == (7, len(columns)) and frame["error"].notna().sum() == 2
    assert pyarrow.table(columns).num_rows == 7


def test_shards_hold_every_file_once(library: Path, on_command_line: Any) -> None:
    everything = genrescope.find_audio_files(library)
    shards = [genrescope.find_audio_files(library, shard=f"{n}/3") for n in (1, 2, 3)]
    assert sorted(sum(shards, [])) == sorted(everything) and all(shards)
    rows = on_command_line("classify", "--json", "--shard", "2/3", library)
    assert [row["path"] for row in rows] == shards[1]
    with pytest.raises(genrescope.SettingError, match="'4/3' is no shard: write NUMBER/OF"):
        genrescope.find_audio_files(library, shard="4/3")


def test_what_is_left_out_is_a_warning(tmp_path: Path) -> None:
    (tmp_path / "a.wma").write_bytes(b"x")
    with pytest.warns(genrescope.GenrescopeWarning) as told:
        assert genrescope.find_audio_files(tmp_path, tmp_path / "gone") == []
    words = "\n".join(str(warning.message) for warning in told)
    assert "no audio files here" in words and "there is no such file" in words and "1 wma" in words


def python_m(*arguments: object) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "genrescope", *map(str, arguments)], capture_output=True, text=True
    )


def test_python_m_writes_the_lines_of_the_program(library: Path, on_command_line: Any, tmp_path: Path) -> None:
    rows = on_command_line("classify", "--json", "--show-frames", "--hop", 10, library)
    done = python_m("classify", "--json", "--show-frames", "--hop", 10, library)
    assert done.returncode == 1, done.stderr
    assert [json.loads(line) for line in done.stdout.splitlines()] == rows
    assert done.stderr.count("genrescope: ") == 2
    output = tmp_path / "out.jsonl"
    done = python_m("classify", "--output", output, "--shard", "1/7", library)
    assert (done.returncode, done.stdout, output.read_text().count("\n")) == (0, "", 1)
    assert python_m("classify", "--output", output, library).returncode == 2
    assert output.read_text().count("\n") == 1
    plain = python_m("classify", library / "d silent.wav")
    assert plain.stdout.split() == ["silent", "0", "%", *str(library / "d silent.wav").split()]
    assert "is no shard" in python_m("classify", "--shard", "0/7", library).stderr
