import os
from collections.abc import Iterator, Sequence
from typing import Any, Optional, TypedDict, Union

import numpy as np
import numpy.typing as npt

__version__: str

_Path = Union[str, os.PathLike[str]]
_Floats = npt.NDArray[np.float32]

class _Parts(TypedDict):
    row: str
    seconds: float
    confidence: float
    music: Optional[float]
    scores: _Floats
    frame_starts: npt.NDArray[np.float64]
    frame_scores: _Floats
    frame_music: _Floats
    embeddings: Optional[_Floats]

_Item = Union[_Path, tuple[str, bytes]]

class Model:
    def __init__(self, name: _Path, /) -> None: ...
    @property
    def name(self) -> str: ...
    @property
    def labels(self) -> list[str]: ...
    @property
    def families(self) -> list[tuple[str, str]]: ...
    @property
    def embedding_size(self) -> int: ...

class Listening:
    def __init__(
        self,
        model: Model,
        /,
        *,
        average: str,
        skip: float,
        hop: float,
        unsure_below: Optional[float],
        timeline: bool,
        show_frames: bool,
        frames: Optional[int],
        embeddings: bool,
    ) -> None: ...
    @property
    def options(self) -> str: ...
    def file(self, path: _Path, /) -> _Parts: ...
    def bytes(self, name: str, data: Union[bytes, bytearray], /) -> _Parts: ...
    def array(self, name: str, array: npt.NDArray[Any], rate: float, /) -> _Parts: ...
    def each(self, items: Sequence[_Item], jobs: Optional[int], /) -> Rows: ...

class Rows(Iterator[Union[_Parts, tuple[str, str]]]):
    def __iter__(self) -> Rows: ...
    def __next__(self) -> Union[_Parts, tuple[str, str]]: ...

class Stream:
    def __init__(
        self,
        model: Model,
        rate: float,
        channels: int,
        /,
        *,
        preset: str,
        averaging: Optional[float],
        dwell: Optional[float],
        unsure_below: Optional[float],
        source: str,
    ) -> None: ...
    @property
    def hop(self) -> float: ...
    def push(self, array: npt.NDArray[Any], /) -> list[str]: ...
    def finish(self) -> list[str]: ...
    def reset(self) -> None: ...
    def reset_average(self) -> None: ...
    def hold(self, hold: bool) -> None: ...

def find(paths: Sequence[_Path], shard: Optional[str], /) -> tuple[list[str], list[str]]: ...
def usual_word(label: str, /) -> str: ...
