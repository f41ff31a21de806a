"""Stable stretches of a series, between changes of its level."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import Event, EventKind, counted

BOUNDARIES = frozenset({EventKind.TOPUP, EventKind.STEP, EventKind.DAMAGED})
"""Kinds of events on whose sides the level differs."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch on which one straight line may stand for the level."""

    first: int
    """image_id of its first frame that counts."""
    last: int
    """image_id of its last frame that counts, inclusive."""
    n: int
    """Frames that count."""
    reason: str
    """What it lies between."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "first": self.first,
            "last": self.last,
            "n": self.n,
            "reason": self.reason,
        }


def segments(
    positions: npt.NDArray[np.int64],
    events: Sequence[Event],
    excluded: npt.NDArray[np.bool_] | None = None,
) -> list[Segment]:
    """Return the stable stretches in order; those without a frame are left out.

    Frames of the events that bound a stretch belong to none, unless to a step's: its
    first frame already has the new level.

    Parameters
    ----------
    positions
        (n,) image_id of the stored frames, ascending.
    events
        Of this series.
    excluded
        (n,) true for frames that do not count; None: all do.
    """
    used = positions if excluded is None else positions[~excluded]
    found: list[Segment] = []
    start, since = -1, "the start"
    bounds = sorted(
        (event for event in events if event.kind in BOUNDARIES),
        key=lambda one: one.first,
    )
    for event in bounds:
        until = f"the {_NAMES.get(event.kind, event.kind.value)} at frame {event.first}"
        _add(found, used, start, event.first - 1, f"between {since} and {until}")
        single = event.kind == EventKind.STEP
        # Not to go back, where events overlap.
        start = max(start, event.first if single else event.last + 1)
        since = until
    end = int(positions[-1]) if positions.size else -1
    _add(found, used, start, end, f"between {since} and the end")
    return found


def boundaries(found: Sequence[Segment]) -> list[int]:
    """Return the first frame of each stretch but the first: knots for detrending."""
    return [segment.first for segment in found[1:]]


def longest(found: Sequence[Segment]) -> Segment | None:
    """Return the stretch with most frames, the earliest of equals, with the reason."""
    if not found:
        return None
    best = max(found, key=lambda one: one.n)
    of = "the only stable stretch"
    if len(found) > 1:
        of = f"the longest of {len(found)} stable stretches"
    reason = f"{of}: {counted(best.n)} {best.reason}"
    return Segment(best.first, best.last, best.n, reason)


_NAMES = {EventKind.TOPUP: "top-up", EventKind.DAMAGED: "damage"}


def _add(
    found: list[Segment],
    used: npt.NDArray[np.int64],
    start: int,
    end: int,
    reason: str,
) -> None:
    """Append the stretch start..end, if a frame of it counts."""
    lower = int(np.searchsorted(used, start))
    upper = int(np.searchsorted(used, end, side="right"))
    if upper > lower:
        first, last = int(used[lower]), int(used[upper - 1])
        found.append(Segment(first, last, upper - lower, reason))
