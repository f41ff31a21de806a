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
    """(m,) frame number of each point; at a break, the first one missing."""
    values: npt.NDArray[np.float32]
    """(m,) for display; NaN at a break."""
    alone: npt.NDArray[np.bool_]
    """(m,) a frame between two gaps: no line passes through it, draw a marker."""
    bin_width: int
    """Frames per bin, a power of two; bins start at its multiples."""
    shortest_gap: int
    """Shorter gaps [frames] are bridged; 1 unless there are too many to draw."""


def envelope(
    first_frame: int,
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_] | None = None,
    max_points: int = 4000,
) -> Envelope:
    """Reduce consecutive frames to at most `max_points` points.

    Bins are anchored to absolute frame numbers, so that points stay where they are
    when frames are appended; only when the bin width doubles are they merged.

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
    if stored is None or stored.all():
        runs = np.array([[0, values.size]] if values.size else [], np.intp)
    else:
        runs = _runs(stored)
    width, shortest_gap, runs = _resolution(
        runs.reshape(-1, 2), first_frame, max_points
    )
    kept = _extremes(values, stored, runs, first_frame, width)
    return _with_breaks(values, kept, runs, first_frame, width, shortest_gap)


def _runs(stored: npt.NDArray[np.bool_]) -> IndexArray:
    """Return (r, 2) half-open ranges of stored frames."""
    edges = np.flatnonzero(stored[1:] != stored[:-1]) + 1
    if stored[0]:
        edges = np.concatenate([[0], edges])
    if stored[-1]:
        edges = np.concatenate([edges, [stored.size]])
    return edges.reshape(-1, 2)


def _resolution(
    runs: IndexArray, first_frame: int, max_points: int
) -> tuple[int, int, IndexArray]:
    """Return bin width, shortest gap and the runs that are left, so that all fits."""
    width = shortest_gap = 1
    while True:
        if _points(runs, first_frame, width) <= max_points:
            return width, shortest_gap, runs
        # A wider bin helps against many frames, bridging against many gaps.
        if 3 * len(runs) > max_points and shortest_gap <= width:
            shortest_gap *= 2
            runs = _bridge(runs, shortest_gap)
        else:
            width *= 2


def _points(runs: IndexArray, first_frame: int, width: int) -> int:
    """Return the most points that `runs` yield, breaks included."""
    start, stop = runs[:, 0] + first_frame, runs[:, 1] + first_frame
    pieces = (stop - 1) // width - start // width + 1
    points = np.minimum(min(width, 2) * pieces, stop - start)
    return int(points.sum()) + max(0, len(runs) - 1)


def _bridge(runs: IndexArray, shortest_gap: int) -> IndexArray:
    """Join runs with fewer than `shortest_gap` frames missing between them."""
    wide = runs[1:, 0] - runs[:-1, 1] >= shortest_gap
    start = runs[np.concatenate([[True], wide]), 0]
    stop = runs[np.concatenate([wide, [True]]), 1]
    return np.stack([start, stop], axis=1)


def _extremes(
    values: npt.NDArray[Any],
    stored: npt.NDArray[np.bool_] | None,
    runs: IndexArray,
    first_frame: int,
    width: int,
) -> IndexArray:
    """Return the sorted indices of the smallest and largest frame of each piece.

    A piece is what a bin and a run share.
    """
    if not len(runs):
        return np.empty(0, np.intp)
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
    rest_low, rest_high, rest_stop = _pieces(values, rest, runs, first_frame, width)
    low = np.concatenate([low[~broken], rest_low])
    high = np.concatenate([high[~broken], rest_high])
    stop = np.concatenate([start[~broken] + width, rest_stop])
    # A constant piece keeps both its ends, else it would shrink to a point.
    return np.unique(np.concatenate([low, np.where(low == high, stop - 1, high)]))


def _pieces(
    values: npt.NDArray[Any],
    index: IndexArray,
    runs: IndexArray,
    first_frame: int,
    width: int,
) -> tuple[IndexArray, IndexArray, IndexArray]:
    """Return the lowest, highest and past-the-last index of each piece of `index`."""
    if not index.size:
        empty = np.empty(0, np.intp)
        return empty, empty, empty
    run = np.searchsorted(runs[:, 0], index, side="right")
    fresh = (np.diff((index + first_frame) // width) != 0) | (np.diff(run) != 0)
    start = np.concatenate([[0], np.flatnonzero(fresh) + 1])
    part = values[index]
    piece = np.repeat(np.arange(start.size), np.diff(start, append=index.size))
    at_low = np.flatnonzero(part == np.minimum.reduceat(part, start)[piece])
    at_high = np.flatnonzero(part == np.maximum.reduceat(part, start)[piece])
    low = at_low[np.searchsorted(at_low, start)]
    high = at_high[np.searchsorted(at_high, start)]
    stop = index[np.append(start[1:], index.size) - 1] + 1
    return index[low], index[high], stop


def _with_breaks(
    values: npt.NDArray[Any],
    kept: IndexArray,
    runs: IndexArray,
    first_frame: int,
    width: int,
    shortest_gap: int,
) -> Envelope:
    """Return the kept frames with a NaN where a gap lies between them."""
    run = np.searchsorted(runs[:, 0], kept, side="right") - 1
    new_run = np.diff(run) != 0
    edge = np.concatenate([[True], new_run, [True]]) if kept.size else np.ones(1, bool)
    alone = edge[1:] & edge[:-1]
    at = np.flatnonzero(new_run) + 1
    frames = np.insert(kept, at, runs[run[at - 1], 1]) + first_frame
    return Envelope(
        frames=frames.astype(np.uint32),
        values=np.insert(values[kept].astype(np.float32), at, np.nan),
        alone=np.insert(alone, at, False),
        bin_width=width,
        shortest_gap=shortest_gap,
    )
