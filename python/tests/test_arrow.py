from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from conftest import BROKEN, SONGS

import genrescope

pa = pytest.importorskip("pyarrow")
pq = pytest.importorskip("pyarrow.parquet")
from genrescope import arrow, distributed  # noqa: E402


@pytest.fixture(scope="module")
def shards(library: Path, tmp_path_factory: pytest.TempPathFactory) -> list[Path]:
    """What three machines would have written."""
    folder = tmp_path_factory.mktemp("shards")
    results = []
    for number in (1, 2, 3):
        files = genrescope.find_audio_files(library, shard=f"{number}/3")
        results.append(folder / f"{number}.jsonl")
        lines = [answer.to_json() + "\n" for answer in genrescope.classify_each(files)]
        results[-1].write_text("".join(lines))
    return results


def test_types_do_not_depend_on_what_was_heard(library: Path) -> None:
    broken = arrow.table(genrescope.classify_many([library / name for name in BROKEN]))
    songs = arrow.table(genrescope.classify_many([library / name for name in SONGS]))
    assert broken.schema == songs.schema == arrow.schema()
    assert pa.concat_tables([broken, songs]).num_rows == 7
    assert broken["rock"].null_count == 2 and broken["error"].null_count == 0
    wide = genrescope.Model("wide")
    table = arrow.table(wide.classify_many([library / SONGS[0], library / BROKEN[0]]), wide)
    assert table.schema == arrow.schema(wide) and pa.types.is_list(table.schema.field("genre_path").type)


def test_shards_become_one(library: Path, shards: list[Path], tmp_path: Path) -> None:
    output = tmp_path / "all.parquet"
    merged = arrow.merge(shards, output, expected=genrescope.find_audio_files(library))
    assert (merged.answered, len(merged.failed), merged.repeated) == (5, 2, 0)
    assert merged.missing == merged.torn == []
    table = pq.read_table(output)
    assert table.schema.equals(arrow.schema())
    files = genrescope.find_audio_files(library)
    whole = arrow.table(genrescope.classify_many(files)).sort_by("path")
    # Of a failure, what it was and why are kept.
    assert table.sort_by("path").to_pylist() == whole.to_pylist()


def test_a_lost_shard_and_a_torn_line_are_told(library: Path, shards: list[Path], tmp_path: Path) -> None:
    torn = tmp_path / "torn.jsonl"
    text = shards[0].read_text()
    torn.write_text(text[:-20])
    expected = genrescope.find_audio_files(library)
    merged = arrow.merge([torn, shards[2]], tmp_path / "out.parquet", expected=expected)
    cut = json.loads(text.splitlines()[-1])["path"]
    lost = genrescope.find_audio_files(library, shard="2/3")
    assert merged.torn == [str(torn)]
    assert sorted(merged.missing) == sorted([cut, *lost])
    assert distributed.remaining(expected, [torn, shards[2]]) == [
        path for path in expected if path in merged.missing or path in merged.failed
    ]


def test_what_is_there_twice_is_kept_once(shards: list[Path], tmp_path: Path) -> None:
    first = arrow.merge([*shards, *shards], tmp_path / "one.parquet")
    assert (first.answered, first.repeated) == (5, 5)
    # An answer anywhere counts for more than an error.
    answered = json.loads(shards[0].read_text().splitlines()[0])
    failed = tmp_path / "failed.jsonl"
    failed.write_text(
        json.dumps({"v": 1, "type": "error", "path": answered["path"], "genre": None, "error": "x"}) + "\n"
    )
    again = arrow.merge([failed, tmp_path / "one.parquet"], tmp_path / "two.parquet")
    assert (again.answered, len(again.failed)) == (5, 2)
    one, two = (pq.read_table(tmp_path / name).to_pylist() for name in ("one.parquet", "two.parquet"))
    assert one == two


def test_what_does_not_belong_together_is_refused(library: Path, shards: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other.jsonl"
    other.write_text(genrescope.classify(library / SONGS[0], hop=10).to_json() + "\n")
    with pytest.raises(genrescope.SettingError, match="--hop 10"):
        arrow.merge([*shards, other], tmp_path / "out.parquet")
    other.write_text("remember the milk\n")
    with pytest.raises(genrescope.SettingError, match="line 1 of .* is no answer"):
        arrow.merge([other], tmp_path / "out.parquet")
    with pytest.raises(genrescope.FileError, match="cannot be read"):
        arrow.merge([tmp_path / "gone.jsonl"], tmp_path / "out.parquet")
    assert not list(tmp_path.glob("out.parquet*"))
    (tmp_path / "mine.parquet").write_text("mine")
    with pytest.raises(genrescope.FileError, match="is there already"):
        arrow.merge(shards, tmp_path / "mine.parquet")
    assert (tmp_path / "mine.parquet").read_text() == "mine"


def test_python_m_merge(library: Path, shards: list[Path], tmp_path: Path) -> None:
    command: list[Any] = [sys.executable, "-m", "genrescope", "merge", *shards[1:]]
    command += ["--output", tmp_path / "all.parquet", "--expect", library]
    done = subprocess.run(command, capture_output=True, text=True)
    lost = genrescope.find_audio_files(library, shard="1/3")
    assert done.returncode == 1 and done.stdout == ""
    assert all(f"'{path}' has no row" in done.stderr for path in lost)
    assert pq.read_table(tmp_path / "all.parquet").num_rows == 7 - len(lost)
