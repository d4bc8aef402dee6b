"""Streams."""

from __future__ import annotations

from typing import Any, Optional

import numpy as np

from . import _native
from ._answers import Readout
from ._model import Model, load


class Stream:
    """A stream of sound that is listened to as it comes, as `genrescope listen` does.

    Its clock is the count of samples, so the same samples give the same readouts, however they are split and
    whenever they come. Other Python threads run while it computes: streams in threads use as many processors. Threads that push
    into the same stream do so one after the other.

    >>> stream = Stream(rate=48_000, channels=2)        # doctest: +SKIP
    >>> for readout in stream.push(block):              # doctest: +SKIP
    ...     print(readout.position, readout.genre or readout.state)

    Args:
        rate: Samples a second, 8000 to 384000.
        channels: Samples in a frame, 1 to 64.
        model: What listens; None: the default model.
        preset: How restless the answer is: "steady", "balanced" or "fast".
        averaging: Time constant of the running average in seconds, instead of the preset's.
        dwell: Seconds that another genre must lead, instead of the preset's.
        unsure_below: Best score below which no genre is shown; None: the model's.
        source: What readouts call it.

    Raises:
        SettingError: an argument is out of its range.
    """

    def __init__(
        self,
        rate: float,
        channels: int = 1,
        *,
        model: Optional[Model] = None,
        preset: str = "balanced",
        averaging: Optional[float] = None,
        dwell: Optional[float] = None,
        unsure_below: Optional[float] = None,
        source: str = "stream",
    ) -> None:
        self.model = model or load()
        self._native = _native.Stream(
            self.model._native,
            rate,
            channels,
            preset=preset,
            averaging=averaging,
            dwell=dwell,
            unsure_below=unsure_below,
            source=source,
        )
        self.readout: Optional[Readout] = None
        """The newest readout; None before the first."""

    @property
    def hop(self) -> float:
        """Seconds between readouts."""
        return self._native.hop

    def push(self, block: Any) -> list[Readout]:
        """Takes samples, of any number, and gives the readouts that they complete.

        Args:
            block: An array of shape (frames,) or (frames, channels), float32, float64, int16 or int32.
        """
        return self._told(self._native.push(np.asarray(block)))

    def finish(self) -> list[Readout]:
        """The stream ends: gives the readouts of what was waiting. Further samples begin a new stream."""
        return self._told(self._native.finish())

    def reset(self) -> None:
        """Forgets everything: as new."""
        self._native.reset()
        self.readout = None

    def reset_average(self) -> None:
        """The answer begins again from what is heard from now on."""
        self._native.reset_average()

    def hold(self, hold: bool = True) -> None:
        """Holds the shown genre and the average as they are, or lets go."""
        self._native.hold(hold)

    def _told(self, lines: list[str]) -> list[Readout]:
        readouts = [Readout._of(line) for line in lines]
        if readouts:
            self.readout = readouts[-1]
        return readouts
