"""genrescope listens to music and says which genre it hears - and says so when it does not know.

>>> import genrescope
>>> song = genrescope.classify("song.mp3")          # doctest: +SKIP
>>> song.genre, song.confidence                     # doctest: +SKIP
('jazz', 0.8126)

Answers are bit for bit those of the command line; `Song.to_dict` has its fields and words
(docs/messages.md). Many files go through `classify_many`, streams through `Stream`, clusters through
`genrescope.distributed`.
"""

from __future__ import annotations

from ._answers import Failure, Frame, Readout, Song
from ._model import (
    Model,
    classify,
    classify_each,
    classify_many,
    embed,
    find_audio_files,
    tag_word,
)
from ._native import __version__
from ._stream import Stream
from .errors import (
    FileError,
    FolderError,
    GenrescopeError,
    GenrescopeWarning,
    MissingFileError,
    ModelError,
    SettingError,
    UnreadableFileError,
)

__all__ = [
    "Failure",
    "FileError",
    "FolderError",
    "Frame",
    "GenrescopeError",
    "GenrescopeWarning",
    "MissingFileError",
    "Model",
    "ModelError",
    "Readout",
    "SettingError",
    "Song",
    "Stream",
    "UnreadableFileError",
    "__version__",
    "classify",
    "classify_each",
    "classify_many",
    "embed",
    "find_audio_files",
    "tag_word",
]
