"""The min-max envelope: few points to draw that hide no single frame."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

IndexArray = npt.NDArray[np.intp]


@dataclass(frozen=True, slots=True)
class Envelope:
    """Points of a line that looks like the line through all frames.

    Each bin contributes its smallest and its largest frame, in the order in which
    they occurred. Where frames are missing a NaN breaks the line.
    """

    frames: npt.NDArray[np.uint32]
    """(m,) frame number of each point; at a break, the first one missing after the
    point before, or the next bin's first where its own bin misses no more."""
    values: npt.NDArray[np.float32]
    """(m,) for display; NaN at a break."""
    alone: npt.NDArray[np.bool_]
    """(m,) a point between two breaks: no line passes through it, draw a marker."""
    bin_width: int
    """Frames per bin, a power of two; bins start at its multiples."""
    shortest_gap: int
    """Gaps of so many frames break the line where they are; a shorter one may break
    it at the end of its bin only, once for all gaps of the bin. 1: all gaps do."""


def envelope(
    first_frame: int,
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_] | None = None,
    max_points: int = 4000,
) -> Envelope:
    """Reduce consecutive frames to at most `max_points` points.

    Bins are anchored to absolute frame numbers, so that points stay where they are
    when frames are appended; only when the bin width doubles are they merged. No
    line from one bin to the next passes over missing frames.

    Parameters
    ----------
    first_frame
        Frame number of ``values[0]``.
    values
        (n,) integers or floats; what stands where nothing is stored is ignored.
    stored
        (n,) true where there is a value; None: everywhere. NaN is never stored.
    max_points
        Largest number of points, breaks included.
    """
    if max_points < 8:
        raise ValueError(f"max_points must be at least 8, not {max_points}")
    values = np.ascontiguousarray(values)
    if values.dtype.kind == "f" and np.isnan(values.min(initial=np.inf)):
        known = ~np.isnan(values)
        stored = known if stored is None else known & stored
    if stored is not None and stored.shape != values.shape:
        raise ValueError(f"{values.shape} values but {stored.shape} stored")
    if stored is not None and stored.all():
        stored = None
    n = values.size if stored is None else int(np.count_nonzero(stored))
    width = 1
    while min(width, 2) * -(-n // width) > max_points:
        width *= 2
    while True:
        kept = _extremes(values, stored, first_frame, width)
        # Most often the points alone are too many; then the breaks do not matter.
        if kept.size <= max_points:
            found = _with_breaks(values, stored, kept, first_frame, width)
            if found.frames.size <= max_points:
                return found
        width *= 2


def _extremes(
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_] | None,
    first_frame: int,
    width: int,
) -> IndexArray:
    """Return the sorted indices of each bin's smallest and largest stored frame."""
    if width == 1:
        return np.arange(values.size) if stored is None else np.flatnonzero(stored)
    head = -first_frame % width
    whole = max(0, values.size - head) // width
    block = values[head : head + whole * width].reshape(whole, width)
    start = head + width * np.arange(whole)
    low, high = start + block.argmin(axis=1), start + block.argmax(axis=1)
    if stored is None:
        broken = np.zeros(whole, np.bool_)
    else:
        there = stored[head : head + whole * width].reshape(whole, width)
        broken = np.logical_not(np.all(there, axis=1))
    rest = np.concatenate(
        [
            np.arange(min(head, values.size)),
            (start[broken][:, None] + np.arange(width)).ravel(),
            np.arange(head + whole * width, values.size),
        ]
    )
    if stored is not None:
        rest = rest[stored[rest]]
    rest_low, rest_high, rest_last = _pieces(values, rest, first_frame, width)
    low = np.concatenate([low[~broken], rest_low])
    high = np.concatenate([high[~broken], rest_high])
    last = np.concatenate([start[~broken] + width - 1, rest_last])
    # A constant piece keeps both its ends, else it would shrink to a point.
    return np.unique(np.concatenate([low, np.where(low == high, last, high)]))


def _pieces(
    values: npt.NDArray[Any], index: IndexArray, first_frame: int, width: int
) -> tuple[IndexArray, IndexArray, IndexArray]:
    """Return the lowest, highest and last index of each bin's part of `index`."""
    if not index.size:
        empty = np.empty(0, np.intp)
        return empty, empty, empty
    fresh = np.diff((index + first_frame) // width) != 0
    start = np.concatenate([[0], np.flatnonzero(fresh) + 1])
    part = values[index]
    piece = np.repeat(np.arange(start.size), np.diff(start, append=index.size))
    at_low = np.flatnonzero(part == np.minimum.reduceat(part, start)[piece])
    at_high = np.flatnonzero(part == np.maximum.reduceat(part, start)[piece])
    low = at_low[np.searchsorted(at_low, start)]
    high = at_high[np.searchsorted(at_high, start)]
    last = np.append(start[1:], index.size) - 1
    return index[low], index[high], index[last]


def _with_breaks(
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_] | None,
    kept: IndexArray,
    first_frame: int,
    width: int,
) -> Envelope:
    """Return the kept frames with a NaN between bins where frames are missing.

    A gap between the two points of a bin breaks the line after them, not between
    them: the bin stays one short upright line, and does not fall into two dots.
    """
    missing = np.empty(0, np.intp) if stored is None else np.flatnonzero(~stored)
    which = (kept + first_frame) // width
    opens = np.flatnonzero(np.diff(which, prepend=-1))
    closes = np.append(opens[1:], kept.size)[: opens.size] - 1
    before = np.searchsorted(missing, kept)
    broken = before[opens[1:]] > before[opens[:-1]]
    at = opens[1:][broken]
    # The first frame missing after the bin's last point, or the end of the bin.
    edge = which[at] * width - first_frame
    place = np.append(missing, np.iinfo(np.intp).max)[before[at - 1]]
    no_line = np.zeros(kept.size + 1, np.bool_)
    no_line[[0, -1]] = True
    no_line[at] = True
    frames = np.insert(kept, at, np.minimum(place, edge)) + first_frame
    return Envelope(
        frames=frames.astype(np.uint32),
        values=np.insert(values[kept].astype(np.float32), at, np.nan),
        alone=np.insert(no_line[:-1] & no_line[1:], at, False),
        bin_width=width,
        shortest_gap=width if np.any(before[closes] > before[opens]) else 1,
    )
