"""What is kept of each frame, and of each block, while a series is watched."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.damage import Evidence
from eigerwatch.analysis.events.robust import FloatArray
from eigerwatch.analysis.events.spikes import Deviation
from eigerwatch.analysis.events.usual import Usual

BLOCK = 1024
"""Stored frames that are judged together."""

CLEAN, EMPTY, DAMAGED = 0, 1, 2
"""States of a frame, as far as it tells by itself."""


class Frames:
    """Columns that grow by doubling, one row a stored frame."""

    def __init__(self) -> None:
        self.n = 0
        self._positions = np.empty(4096, np.int64)
        self._totals = np.empty(4096)
        self._states = np.empty(4096, np.int8)
        self._dipped = np.empty(4096, np.int16)

    def append(
        self,
        positions: npt.NDArray[np.int64],
        totals: FloatArray,
        states: npt.NDArray[np.int8],
        dipped: npt.NDArray[np.int16],
    ) -> None:
        """Add frames."""
        start, self.n = self.n, self.n + positions.size
        if self.n > self._positions.size:
            size = max(self.n, 2 * self._positions.size)
            self._positions = np.resize(self._positions, size)
            self._totals = np.resize(self._totals, size)
            self._states = np.resize(self._states, size)
            self._dipped = np.resize(self._dipped, size)
        self._positions[start : self.n] = positions
        self._totals[start : self.n] = totals
        self._states[start : self.n] = states
        self._dipped[start : self.n] = dipped

    @property
    def positions(self) -> npt.NDArray[np.int64]:
        """(n,) image_id."""
        return self._positions[: self.n]

    @property
    def totals(self) -> FloatArray:
        """(n,) sums [counts]."""
        return self._totals[: self.n]

    @property
    def states(self) -> npt.NDArray[np.int8]:
        """(n,) CLEAN, EMPTY or DAMAGED."""
        return self._states[: self.n]

    @property
    def dipped(self) -> npt.NDArray[np.int16]:
        """(n,) regions that dipped along; -1: not a dip, or not known."""
        return self._dipped[: self.n]


@dataclass(frozen=True, slots=True)
class Screened:
    """A block of frames, each judged by itself."""

    usual: Usual | None
    """After this block; None: no beam so far."""
    empty: npt.NDArray[np.intp]
    """(r, 2) half-open ranges of indices."""
    damaged: npt.NDArray[np.intp]
    """(r, 2) half-open ranges of indices."""
    evidence: Evidence | None
    """Of the first damaged frame."""
    gaps: npt.NDArray[np.int64]
    """(g, 2) image_id before and after each gap, the one before the block included."""
    regions: int
    """How many there are."""


@dataclass(frozen=True, slots=True)
class Levelled:
    """A block of frames, each judged by its neighbours."""

    deviations: list[Deviation]
    scale: float | None
    """Relative standard deviation of one frame about its neighbourhood."""
    sums: FloatArray
    """(k,) of the frames of each piece that do not stand out [counts]."""
    counts: FloatArray
    """(k,) how many they are."""
    places: FloatArray
    """(k,) sum of their image_id."""


@dataclass(frozen=True, slots=True)
class History:
    """What was found so far."""

    frames: Frames
    screened: list[Screened]
    levelled: list[Levelled]
    frame_time_s: float | None
    """Time from frame to frame [s]; None: not told."""
