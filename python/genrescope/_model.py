"""Models, and what is asked of them."""

from __future__ import annotations

import os
import warnings
from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Callable, Optional, Union

import numpy as np

from . import _native
from ._answers import Failure, Song
from ._columns import columns
from .errors import GenrescopeWarning, SettingError

if TYPE_CHECKING:
    import numpy.typing as npt

Path = Union[str, "os.PathLike[str]"]
"""Where a file is."""

Many = Union[Path, "tuple[str, bytes]"]
"""A file of many: a path, or a name and the bytes of a whole file."""


class Model:
    """A model that hears genres: one that is built in ("default", "wide"), or a model file.

    Loading one takes a few milliseconds. It can be used by any number of threads at a time, and pickled (a
    model file is read again where it is unpickled, at the same path).

    Raises:
        ModelError: it cannot be read, or is no model file.
    """

    def __init__(self, name_or_path: Optional[Path] = None) -> None:
        name = os.fspath(name_or_path) if name_or_path is not None else "default"
        self._native = _native.Model(name)
        # Another process may have another working directory.
        self._name = name if name in ("default", "wide") else os.path.abspath(name)

    @property
    def name(self) -> str:
        """What the model calls itself."""
        return self._native.name

    @property
    def labels(self) -> list[str]:
        """What it can say, in its own order."""
        return self._native.labels

    @property
    def families(self) -> dict[str, str]:
        """The family of each label that is a kind of another; empty for a model without families."""
        return dict(self._native.families)

    @property
    def embedding_size(self) -> int:
        """Numbers in an embedding."""
        return self._native.embedding_size

    def __repr__(self) -> str:
        return f"Model({self._name!r})"

    def __reduce__(self) -> tuple[Callable[[str], Model], tuple[str]]:
        return Model, (self._name,)

    def _listening(self, embeddings: bool = False, **settings: Any) -> _native.Listening:
        known: dict[str, Any] = {
            "average": "mean",
            "skip": 20.0,
            "hop": 29.12,
            "unsure_below": None,
            "timeline": False,
            "show_frames": False,
            "frames": None,
        }
        for setting in settings:
            if setting not in known:
                raise TypeError(f"unknown argument '{setting}'; there are {', '.join(known)}, embeddings")
        return _native.Listening(self._native, embeddings=embeddings, **{**known, **settings})

    def classify(
        self,
        source: Any,
        rate: Optional[float] = None,
        *,
        name: Optional[str] = None,
        average: str = "mean",
        skip: float = 20.0,
        hop: float = 29.12,
        unsure_below: Optional[float] = None,
        timeline: bool = False,
        show_frames: bool = False,
        frames: Optional[int] = None,
        embeddings: bool = False,
    ) -> Song:
        """Says the genre of one song, as `genrescope classify` does.

        Other Python threads run meanwhile.

        Args:
            source: A path; the bytes of a whole file, or a file object that gives them; or an array of samples,
                of shape (frames,) or (frames, channels), float32, float64, int16 or int32.
            rate: Samples a second of an array.
            name: What to call bytes and arrays.
            average: How the scores of the frames become the song's: "mean", "geometric", "vote" or "knn".
            skip: Seconds to leave out at both ends; shorter songs are used whole.
            hop: Seconds from the start of one frame to the start of the next.
            unsure_below: Best score below which the answer is "unsure"; None: the model's.
            timeline: `Song.to_dict` says what was heard when.
            show_frames: `Song.to_dict` has the scores of the frames; `Song.frames` always does.
            frames: Hear only so many frames of a file, evenly spaced, and decode nothing else; None: all.
            embeddings: `Song.embeddings` has a row for each frame.

        Raises:
            FileError: the file cannot be heard; MissingFileError, UnreadableFileError and FolderError are also
                FileNotFoundError, PermissionError and IsADirectoryError.
            SettingError: an argument is out of its range.
        """
        listening = self._listening(
            average=average,
            skip=skip,
            hop=hop,
            unsure_below=unsure_below,
            timeline=timeline,
            show_frames=show_frames,
            frames=frames,
            embeddings=embeddings,
        )
        if rate is None and hasattr(source, "__array__"):
            raise SettingError("an array needs its rate: classify(array, rate)")
        if isinstance(source, (str, os.PathLike)):
            parts = listening.file(source)
        elif isinstance(source, (bytes, bytearray, memoryview)):
            parts = listening.bytes(name or "bytes", bytes(source))
        elif hasattr(source, "read"):
            name = name or str(getattr(source, "path", getattr(source, "name", "file")))
            parts = listening.bytes(name, source.read())
        else:
            parts = listening.array(name or "array", np.asarray(source), rate or 0)
        return Song._of(parts, self.labels)

    def classify_each(
        self, sources: Iterable[Many], *, jobs: Optional[int] = None, **settings: Any
    ) -> Iterator[Union[Song, Failure]]:
        """Says the genre of many files, one answer after the other, in the order of `sources`.

        Files are heard side by side while answers are waited for. A file that cannot be heard is a `Failure`; the
        others go on.

        Args:
            sources: Paths, or pairs of a name and the bytes of a whole file.
            jobs: Files at a time; None: one for each processor.
            settings: As for `classify`.
        """
        labels = self.labels
        for row in self._listening(**settings).each(list(sources), jobs):
            yield Failure._of(row[0]) if isinstance(row, tuple) else Song._of(row, labels)

    def classify_many(
        self, sources: Iterable[Many], *, jobs: Optional[int] = None, **settings: Any
    ) -> dict[str, list[Any]]:
        """Says the genre of many files, as columns: `pandas.DataFrame(...)` and `pyarrow.table(...)` take them.

        There is one row for each source, in their order. Columns are those of `genrescope classify --json`, and
        one for the score of each label; `error` says why a file could not be heard, and is None for the others.

        Args:
            sources: Paths, or pairs of a name and the bytes of a whole file.
            jobs: Files at a time; None: one for each processor.
            settings: As for `classify`; not `timeline` and `show_frames`, which fit into no column.
        """
        for setting in ("timeline", "show_frames", "embeddings"):
            if settings.get(setting):
                raise SettingError(f"{setting} fits into no column; use classify_each")
        answers = self.classify_each(sources, jobs=jobs, **settings)
        return columns(answers, self.labels, bool(self.families))

    def embed(
        self, source: Any, rate: Optional[float] = None, *, skip: float = 20.0, hop: float = 29.12
    ) -> npt.NDArray[np.float32]:
        """What the network knows of a song before it decides: for search, and for classifiers of your own.

        Args:
            source, rate, skip, hop: As for `classify`.

        Returns:
            An array of shape (frames, `embedding_size`): a row for each frame of 29.12 s. Songs are often
            compared by the mean of their rows. There are no rows for silence, or less than 1.4 s.
        """
        song = self.classify(source, rate, skip=skip, hop=hop, embeddings=True)
        assert song.embeddings is not None
        return song.embeddings


@lru_cache(maxsize=8)
def load(name: Optional[str] = None) -> Model:
    """The model of this name, loaded once in this process."""
    return Model(name)


def classify(source: Any, rate: Optional[float] = None, *, model: Optional[Model] = None, **settings: Any) -> Song:
    """Says the genre of one song: `Model.classify` of `model`, or of the default model."""
    return (model or load()).classify(source, rate, **settings)


def classify_each(
    sources: Iterable[Many], *, jobs: Optional[int] = None, model: Optional[Model] = None, **settings: Any
) -> Iterator[Union[Song, Failure]]:
    """Says the genre of many files, one after the other: `Model.classify_each`."""
    return (model or load()).classify_each(sources, jobs=jobs, **settings)


def classify_many(
    sources: Iterable[Many], *, jobs: Optional[int] = None, model: Optional[Model] = None, **settings: Any
) -> dict[str, list[Any]]:
    """Says the genre of many files, as columns: `Model.classify_many`."""
    return (model or load()).classify_many(sources, jobs=jobs, **settings)


def embed(
    source: Any, rate: Optional[float] = None, *, model: Optional[Model] = None, **settings: Any
) -> npt.NDArray[np.float32]:
    """A row of numbers for each frame of a song: `Model.embed`."""
    return (model or load()).embed(source, rate, **settings)


def find_audio_files(*paths: Path, shard: Optional[str] = None) -> list[str]:
    """The audio files that `paths` stand for, in the order of the command line: files as given, folders with all
    that lies below them.

    What cannot be had, and files in formats that cannot be read, are told as `GenrescopeWarning`.

    Args:
        paths: Files and folders.
        shard: "3/8": only the third of eight parts, as `genrescope classify --shard` has it.
    """
    files, problems = _native.find(list(paths), shard)
    for problem in problems:
        warnings.warn(problem, GenrescopeWarning, stacklevel=2)
    return files


def tag_word(label: str) -> str:
    """How tags usually spell a label of the default model: "Hip-Hop" for "hiphop". Other labels stay as they are."""
    return _native.usual_word(label)
