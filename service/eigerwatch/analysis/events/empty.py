"""Empty frames: a sum of nearly nothing."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import Event, EventKind, counted
from eigerwatch.analysis.measured import Measured

_FAINTEST = 50.0
"""Usual sum [counts] below which an empty frame may be chance."""


def empty_frames(
    block: Measured, level: float | None, fraction: float
) -> npt.NDArray[np.bool_]:
    """Return (n,) true for frames without pixels, or with up to `fraction` of `level`.

    Parameters
    ----------
    block
        Frames.
    level
        Usual sum [counts]; None: not known.
    fraction
        Largest part of the usual sum that an empty frame has.
    """
    empty = np.zeros(block.n, np.bool_)
    if level is not None and level >= _FAINTEST:
        empty |= block.totals <= fraction * level
    if block.kept is not None:
        empty |= block.kept == 0
    return empty


def empty_event(first: int, last: int, frames: int, mean: float, level: float) -> Event:
    """Return the event of consecutive empty frames of mean sum `mean` [counts]."""
    part = mean / level if level > 0 else 0.0
    if frames == 1:
        subject = "the sum of 1 frame was"
    else:
        subject = f"the sums of {counted(frames)} were"
    what = "0" if mean == 0 else f"{100 * part:.2g} % of the usual"
    return Event(
        EventKind.EMPTY, first, last, frames, part - 1, "relative", 1.0,
        f"{subject} {what}.",
    )  # fmt: skip
