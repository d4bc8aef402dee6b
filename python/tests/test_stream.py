from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from conftest import RATE, music

import genrescope

SOUND = np.concatenate([music(32, 2, channels=2), np.zeros((RATE * 8, 2), np.int16)])


def told(stream: genrescope.Stream, sound: np.ndarray, sizes: list[int]) -> list[dict[str, Any]]:
    readouts, place, turn = [], 0, 0
    while place < len(sound):
        size = sizes[turn % len(sizes)]
        readouts += stream.push(sound[place : place + size])
        place, turn = place + size, turn + 1
    readouts += stream.finish()
    return [readout.to_dict() for readout in readouts]


def test_readouts_are_those_of_the_command_line(tmp_path: Path, on_command_line: Any) -> None:
    from conftest import write_wav

    write_wav(tmp_path / "x.wav", SOUND)
    lines = on_command_line("listen", "--input", tmp_path / "x.wav", "--fast", "--json")
    expected = [line for line in lines if line["type"] == "genre" and line["state"] != "lost"]
    found = told(genrescope.Stream(RATE, 2), SOUND, [4_096])
    assert len(found) > 20
    for line, mine in zip(expected, found):
        for name in set(line) - {"t", "source"}:
            assert line[name] == mine[name], (name, mine["position_s"])
    assert len(expected) == len(found)


def test_blocks_of_any_size_give_the_same() -> None:
    whole = told(genrescope.Stream(RATE, 2), SOUND, [len(SOUND)])
    assert told(genrescope.Stream(RATE, 2), SOUND, [1_000, 1, 77_777, 480]) == whole
    states = {readout["state"] for readout in whole}
    assert "silent" in states and "warming" in states


def test_ten_streams_in_threads_do_not_mix() -> None:
    sounds = [music(9, seed) for seed in range(10)]

    def listen(sound: np.ndarray) -> list[dict[str, Any]]:
        return told(genrescope.Stream(RATE), sound, [2_205])

    with ThreadPoolExecutor(10) as pool:
        together = list(pool.map(listen, sounds))
    assert together == [listen(sound) for sound in sounds]
    assert len({str(answers[-1]["scores"]) for answers in together}) == 10


def test_one_stream_may_be_pushed_from_threads() -> None:
    stream = genrescope.Stream(RATE)
    blocks = [music(1, seed) for seed in range(16)]
    with ThreadPoolExecutor(8) as pool:
        readouts = sum(pool.map(stream.push, blocks), [])
    readouts += stream.finish()
    numbers = [readout.to_dict()["seq"] for readout in readouts]
    assert sorted(numbers) == list(range(1, len(numbers) + 1))


def test_reset_is_as_new() -> None:
    stream = genrescope.Stream(RATE, 2, model=genrescope.Model("wide"), preset="fast")
    assert stream.readout is None and 1 < stream.hop < 3
    first = [readout.to_dict() for readout in stream.push(SOUND[: RATE * 10])]
    assert stream.readout is not None and stream.readout.to_dict() == first[-1]
    stream.reset()
    second = [readout.to_dict() for readout in stream.push(SOUND[: RATE * 10])]
    for readout in first + second:
        del readout["seq"]
    assert first == second


def test_hold_keeps_the_genre() -> None:
    stream = genrescope.Stream(RATE, unsure_below=0.0, dwell=0.0)
    readouts = stream.push(music(40, 1))
    named = [readout for readout in readouts if readout.genre]
    if not named:
        pytest.skip("this model names no genre for the sound of the tests")
    stream.hold()
    shown = stream.readout.genre if stream.readout else None
    assert {readout.genre for readout in stream.push(music(10, 7))} == {shown}


@pytest.mark.parametrize(
    ("arguments", "settings", "words"),
    [
        ((100,), {}, "100 Hz"),
        ((RATE, 0), {}, "0 channels are not supported"),
        ((RATE,), {"preset": "calm"}, "'calm' is none of steady, balanced, fast"),
        ((RATE,), {"dwell": -1.0}, "dwell = -1 is out of range"),
    ],
)
def test_what_cannot_be_is_refused(arguments: Any, settings: Any, words: str) -> None:
    with pytest.raises(genrescope.SettingError, match=words):
        genrescope.Stream(*arguments, **settings)


def test_a_block_of_other_channels_is_refused() -> None:
    stream = genrescope.Stream(RATE, 2)
    with pytest.raises(genrescope.SettingError, match="has 1 channels, and this stream has 2"):
        stream.push(np.zeros(100, np.float32))
