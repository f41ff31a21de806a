"""Which frames do not count, and why: a layer over the frames, never a deletion."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import numpy.typing as npt

from eigerwatch.analysis.events.model import Event, EventKind

USER = "user"
"""Kind of an interval that somebody excluded by hand."""


_LEAST_AFTER = 2
"""Frames excluded after the dip of a top-up, however short they are."""


@dataclass(frozen=True, slots=True)
class Interval:
    """Frames that are excluded."""

    first: int
    """image_id"""
    last: int | None
    """image_id, inclusive; None: up to the end of the series."""
    kind: str
    """Kind of the event, or "user"."""
    reason: str

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "first": self.first,
            "last": self.last,
            "kind": self.kind,
            "reason": self.reason,
        }


@dataclass(frozen=True, slots=True)
class Edit:
    """What somebody decided about frames; later edits overrule earlier ones."""

    first: int
    last: int | None
    """Inclusive; None: up to the end of the series."""
    exclude: bool
    """False: these frames count, whatever events say."""
    reason: str


@dataclass(frozen=True, slots=True)
class ExclusionRules:
    """What events exclude."""

    kinds: frozenset[EventKind] = frozenset(
        {EventKind.EMPTY, EventKind.DAMAGED, EventKind.TOPUP}
    )
    """Kinds of events whose frames are excluded."""
    after_damage: bool = True
    """From the first damaged frame on, exclude everything (the published method)."""
    guard_before_frames: int = 2
    """Frames excluded before the dip of a top-up."""
    guard_after_s: float = 0.02
    """Time excluded after the dip of a top-up, at least [s]."""

    def guard_after(self, frame_time_s: float | None) -> int:
        """Return how many frames are excluded after the dip of a top-up."""
        if not frame_time_s or not frame_time_s > 0:
            return _LEAST_AFTER
        frames = -(-self.guard_after_s // frame_time_s)
        return max(_LEAST_AFTER, int(frames))


@dataclass(frozen=True, slots=True)
class Usage:
    """Which frames a figure rests on."""

    used: int
    excluded: dict[str, int]
    """Frames by kind; one excluded for two reasons counts for the first alone."""
    first: int | None
    """image_id of the first frame used; None: no frame."""
    last: int | None
    """image_id of the last frame used; None: no frame."""

    def as_dict(self) -> dict[str, Any]:
        """Return the fields by name, safe for JSON."""
        return {
            "used": self.used,
            "excluded": dict(self.excluded),
            "first": self.first,
            "last": self.last,
        }

    def __str__(self) -> str:
        total = self.used + sum(self.excluded.values())
        text = f"{self.used} of {total} frames"
        if self.used:
            text += f", {self.first} to {self.last}"
        if self.excluded:
            why = (f"{n} {kind}" for kind, n in sorted(self.excluded.items()))
            text += f"; excluded: {', '.join(why)}"
        return text


@dataclass(frozen=True, slots=True)
class Excluded:
    """The layer, laid over the frames of a selection."""

    mask: npt.NDArray[np.bool_]
    """(n,) true for frames that do not count."""
    intervals: tuple[Interval, ...]
    """Why; in order, they may overlap. Those that edits took out are not here."""
    usage: Usage


@dataclass(frozen=True, slots=True)
class Exclusions:
    """What events exclude, and what people decided on top of it."""

    rules: ExclusionRules = field(default_factory=ExclusionRules)
    edits: tuple[Edit, ...] = ()

    def apply(
        self,
        positions: npt.NDArray[np.int64],
        events: Sequence[Event],
        frame_time_s: float | None = None,
    ) -> Excluded:
        """Lay the exclusions over frames.

        Parameters
        ----------
        positions
            (n,) image_id, ascending.
        events
            Of the series these frames belong to.
        frame_time_s
            Time from frame to frame [s]; None: guards are of frames alone.
        """
        intervals = _of_events(events, self.rules, frame_time_s)
        for edit in self.edits:
            intervals = _edited(intervals, edit)
        intervals.sort(key=lambda one: (one.first, one.kind))
        mask = np.zeros(positions.size, np.bool_)
        excluded: dict[str, int] = {}
        for one in intervals:
            part = _part(positions, one)
            fresh = int(np.count_nonzero(~mask[part]))
            mask[part] = True
            if fresh:
                excluded[one.kind] = excluded.get(one.kind, 0) + fresh
        used = np.flatnonzero(~mask)
        usage = Usage(
            used=int(used.size),
            excluded=excluded,
            first=int(positions[used[0]]) if used.size else None,
            last=int(positions[used[-1]]) if used.size else None,
        )
        return Excluded(mask, tuple(intervals), usage)


def _of_events(
    events: Sequence[Event], rules: ExclusionRules, frame_time_s: float | None
) -> list[Interval]:
    after = rules.guard_after(frame_time_s)
    found: list[Interval] = []
    damage_told = False
    for event in sorted(events, key=lambda one: one.first):
        if event.kind not in rules.kinds:
            continue
        first, last = event.first, event.last
        reason = event.reason
        if event.kind is EventKind.DAMAGED and rules.after_damage:
            if not damage_told:
                damage_told = True
                text = f"damaged from frame {first} on: {reason}"
                found.append(Interval(first, None, event.kind.value, text))
            continue
        if event.kind is EventKind.TOPUP:
            first = max(first - rules.guard_before_frames, 0)
            last += after
        found.append(Interval(first, last, event.kind.value, reason))
    return found


def _edited(intervals: list[Interval], edit: Edit) -> list[Interval]:
    """Return the intervals after one decision."""
    if edit.exclude:
        return [*intervals, Interval(edit.first, edit.last, USER, edit.reason)]
    left: list[Interval] = []
    for one in intervals:
        if one.first < edit.first:
            before = edit.first - 1
            last = before if one.last is None else min(one.last, before)
            left.append(replace(one, last=last))
        if edit.last is not None and (one.last is None or one.last > edit.last):
            left.append(replace(one, first=max(one.first, edit.last + 1)))
    return left


def _part(positions: npt.NDArray[np.int64], one: Interval) -> slice:
    start = int(np.searchsorted(positions, one.first))
    if one.last is None:
        return slice(start, positions.size)
    return slice(start, int(np.searchsorted(positions, one.last, side="right")))


def mask_of(
    positions: npt.NDArray[np.int64], intervals: Sequence[Interval]
) -> npt.NDArray[np.bool_]:
    """Return (n,) true for frames that lie in an interval."""
    mask = np.zeros(positions.size, np.bool_)
    for one in intervals:
        mask[_part(positions, one)] = True
    return mask
