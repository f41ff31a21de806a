"""Gaps: frames that are missing between stored ones."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import Event, EventKind, counted


def gap_events(
    before: npt.NDArray[np.int64], after: npt.NDArray[np.int64], most: int
) -> list[Event]:
    """Return the gaps between stored frames.

    Where there are more than `most`, neighbouring gaps are told together; `frames` are
    those missing.

    Parameters
    ----------
    before, after
        (g,) image_id of the stored frames on either side of each gap, ascending.
    most
        Largest number of events.
    """
    if not before.size:
        return []
    first, last = before + 1, after - 1
    start = np.arange(first.size)
    apart = 1
    while start.size > most:
        apart *= 2
        wide = np.concatenate([[True], first[1:] - last[:-1] > apart])
        start = np.flatnonzero(wide)
    missing = np.add.reduceat(last - first + 1, start)
    gaps = np.diff(start, append=first.size)
    ends = last[np.append(start[1:], first.size) - 1]
    return [
        _event(*facts)
        for facts in zip(
            first[start].tolist(), ends.tolist(), missing.tolist(), gaps.tolist(),
            strict=True,
        )
    ]  # fmt: skip


def _event(first: int, last: int, missing: int, gaps: int) -> Event:
    where = "" if gaps == 1 else f" in {gaps} gaps close together"
    verb = "is" if missing == 1 else "are"
    return Event(
        EventKind.GAP, first, last, missing, float(missing), "frames", 1.0,
        f"{counted(missing)} {verb} missing{where}.",
    )  # fmt: skip
