"""The moving average: what a slow eye sees of a noisy curve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

MOST_POINTS = 200
"""Of the average; windows are so long that there are no more."""
LEAST_HALF = 8
"""Half a window; shorter ones would follow single frames."""
LEAST_SHARE = 0.5
"""Of a window's frames that must count, or there is no average."""


@dataclass(frozen=True, slots=True)
class MovingAverage:
    """Averages over windows that overlap by half."""

    frames: npt.NDArray[np.uint32]
    """(m,) frame number in the middle of each window, a multiple of half of it."""
    values: npt.NDArray[np.float64]
    """(m,) mean; NaN where too few frames count."""
    positions: npt.NDArray[np.float64]
    """(m,) mean frame number of those that count; NaN alike."""
    width: int
    """Frames of a window."""


def moving_average(
    first_frame: int, values: npt.NDArray[Any], counts: npt.NDArray[np.bool_]
) -> MovingAverage:
    """Average consecutive frames over a hundredth to a fiftieth of them.

    Windows are anchored to absolute frame numbers, so that averages stay as they are
    when frames are appended, until the windows double.

    Parameters
    ----------
    first_frame
        Frame number of ``values[0]``.
    values
        (n,) integers or finite floats; what stands where nothing counts is ignored.
    counts
        (n,) true where a frame is stored and counts.
    """
    half = LEAST_HALF
    while half * MOST_POINTS < values.size:
        half *= 2
    head = -first_frame % half
    whole = max(0, values.size - head) // half
    if whole < 2:
        nothing = np.empty(0)
        return MovingAverage(nothing.astype(np.uint32), nothing, nothing, 2 * half)
    part = slice(head, head + whole * half)
    used = counts[part].reshape(whole, half)
    n = _pairs(used.sum(axis=1))
    sums = _pairs(
        values[part].reshape(whole, half).sum(axis=1, where=used, dtype=float)
    )
    places = np.arange(half, dtype=float)
    start = first_frame + head + half * np.arange(whole)
    place = _pairs(used @ places + used.sum(axis=1) * start)
    enough = n >= LEAST_SHARE * 2 * half
    divisor = np.where(enough, n, np.nan)
    return MovingAverage(
        start[1:].astype(np.uint32), sums / divisor, place / divisor, 2 * half
    )


def _pairs(halves: npt.NDArray[Any]) -> npt.NDArray[np.float64]:
    """Return the sums of neighbours."""
    return np.asarray(halves[:-1] + halves[1:], np.float64)
