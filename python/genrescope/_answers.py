"""What genrescope answers."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Optional, cast

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from ._native import _Parts


@dataclass(frozen=True)
class Frame:
    """One frame of a song: 29.12 s that were scored by themselves."""

    start: float
    """Where it begins, in seconds."""
    scores: dict[str, float]
    """Score of each label, 0 to 1."""
    music: Optional[float]
    """Probability that it is music; None with a model that cannot tell."""


@dataclass(frozen=True)
class Song:
    """The answer for a whole song.

    Numbers are as exact as they were computed; `to_dict` rounds them, as the command line does.
    """

    path: str
    """The file, or what the sound was called."""
    genre: Optional[str]
    """The genre; None unless `state` is "live"."""
    confidence: float
    """Score of the genre, or of the best candidate; 0 when silent or too short."""
    scores: dict[str, float]
    """Score of each label, 0 to 1; all the same, and no opinion, without frames."""
    state: str
    """"live" (a genre is named), "unsure", "not_music", "silent", "too_short"."""
    reason: Optional[str]
    """Why it is unsure: "low_score" or "maybe_not_music"."""
    music: Optional[float]
    """Probability that it is music; None when nothing was scored."""
    seconds: float
    """Length of what could be decoded."""
    short: bool
    """It is shorter than one frame, and was repeated to fill it."""
    notes: list[str]
    """What is wrong with the file though it was heard: it breaks off, damaged parts were left out."""
    model: str
    """Name of the model."""
    options: str
    """What shaped the answer, as it would be typed on the command line."""
    frames: list[Frame] = field(repr=False)
    """Every frame that counts."""
    embeddings: Optional[npt.NDArray[np.float32]] = field(repr=False, compare=False)
    """A row for each frame, if they were asked for."""
    _row: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The answer as `genrescope classify --json` writes it: a `song` message of docs/messages.md."""
        return cast("dict[str, Any]", json.loads(self._row))

    def to_json(self) -> str:
        """The line that `genrescope classify --json` writes."""
        return self._row

    @classmethod
    def _of(cls, parts: _Parts, labels: list[str]) -> Song:
        row = json.loads(parts["row"])
        frames = [
            Frame(
                start,
                dict(zip(labels, scores)),
                None if music != music else music,  # NaN
            )
            for start, scores, music in zip(
                parts["frame_starts"].tolist(),
                parts["frame_scores"].tolist(),
                parts["frame_music"].tolist(),
            )
        ]
        return cls(
            path=row["path"],
            genre=row["genre"],
            confidence=parts["confidence"],
            scores=dict(zip(labels, parts["scores"].tolist())),
            state=row["state"],
            reason=row["reason"],
            music=parts["music"],
            seconds=parts["seconds"],
            short=row["short"],
            notes=row.get("notes", []),
            model=row["model"],
            options=row["options"],
            frames=frames,
            embeddings=parts["embeddings"],
            _row=parts["row"],
        )


@dataclass(frozen=True)
class Failure:
    """A file of many that could not be heard."""

    path: str
    """The file."""
    error: str
    """What is wrong, in the words of the command line."""
    _row: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The answer as `genrescope classify --json` writes it: an `error` message of docs/messages.md."""
        return cast("dict[str, Any]", json.loads(self._row))

    def to_json(self) -> str:
        """The line that `genrescope classify --json` writes."""
        return self._row

    @classmethod
    def _of(cls, row: str) -> Failure:
        fields = json.loads(row)
        return cls(fields["path"], fields["error"], row)

    @classmethod
    def _because(cls, path: str, error: str) -> Failure:
        """For what never came to the engine; the same fields."""
        row = {"error": error, "genre": None, "path": path, "type": "error", "v": 1}
        return cls(path, error, json.dumps(row, ensure_ascii=False, separators=(",", ":")))


@dataclass(frozen=True)
class Readout:
    """What a listener would see of a stream at one moment."""

    genre: Optional[str]
    """The genre that is shown; None unless `state` is "provisional" or "live"."""
    confidence: float
    """Score of the shown genre, or of the best candidate."""
    scores: dict[str, float]
    """Averaged score of each label, 0 to 1; all 0 in silence and while it is no music."""
    state: str
    """"warming", "provisional", "live", "unsure", "not_music" or "silent"."""
    reason: Optional[str]
    """Why no genre is named."""
    music: Optional[float]
    """Probability that the newest seconds are music."""
    position: float
    """Position in the stream, in seconds, from the count of samples."""
    window: float
    """Seconds of sound that the answer rests on, at most 29.12."""
    changed: bool
    """The genre or the state differs from the readout before."""
    level_dbfs: float
    """Level since the readout before, in dB relative to full scale."""
    _row: str = field(repr=False)

    def to_dict(self) -> dict[str, Any]:
        """The readout as `genrescope listen --json` writes it: a `genre` message of docs/messages.md, without `t`,
        which is the time of day."""
        row = cast("dict[str, Any]", json.loads(self._row))
        del row["t"]
        return row

    @classmethod
    def _of(cls, line: str) -> Readout:
        row = json.loads(line)
        return cls(
            genre=row["genre"],
            confidence=row["confidence"],
            scores=row["scores"],
            state=row["state"],
            reason=row["reason"],
            music=row["music"],
            position=row["position_s"],
            window=row["window_s"],
            changed=row["changed"],
            level_dbfs=row["level_dbfs"],
            _row=line,
        )
