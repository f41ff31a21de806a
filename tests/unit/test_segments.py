from __future__ import annotations

import json

import numpy as np

from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.segments import boundaries, longest, segments

POSITIONS = np.arange(1000)


def event(kind: EventKind, first: int, last: int | None = None) -> Event:
    last = first if last is None else last
    return Event(kind, first, last, 1, 0.0, "relative", 1.0, "so")


EVENTS = [
    event(EventKind.TOPUP, 100, 102),
    event(EventKind.SPIKE, 300),
    event(EventKind.STEP, 400),
    event(EventKind.DRIFT, 600),
    event(EventKind.DAMAGED, 900, 999),
]


def ranges(events: list[Event], **options: object) -> list[tuple[int, int, int]]:
    found = segments(POSITIONS, events, **options)  # type: ignore[arg-type]
    return [(one.first, one.last, one.n) for one in found]


def test_top_ups_steps_and_damage_bound_the_stretches() -> None:
    assert ranges(EVENTS) == [(0, 99, 100), (103, 399, 297), (400, 899, 500)]


def test_a_quiet_series_is_one_stretch() -> None:
    assert ranges([]) == [(0, 999, 1000)]


def test_excluded_frames_do_not_count() -> None:
    excluded = np.zeros(1000, bool)
    excluded[98:120] = True
    excluded[500:510] = True
    found = ranges(EVENTS, excluded=excluded)
    assert found == [(0, 97, 98), (120, 399, 280), (400, 899, 490)]


def test_a_stretch_without_frames_is_left_out() -> None:
    found = ranges([event(EventKind.TOPUP, 0, 5), event(EventKind.TOPUP, 6, 999)])
    assert found == []


def test_overlapping_events_leave_no_stretch_twice() -> None:
    found = ranges([event(EventKind.TOPUP, 100, 300), event(EventKind.STEP, 200)])
    assert found == [(0, 99, 100), (301, 999, 699)]


def test_knots_are_where_the_later_stretches_begin() -> None:
    assert boundaries(segments(POSITIONS, EVENTS)) == [103, 400]


def test_the_longest_is_proposed_with_its_reason() -> None:
    best = longest(segments(POSITIONS, EVENTS))
    assert best is not None
    assert (best.first, best.last, best.n) == (400, 899, 500)
    assert best.reason == (
        "the longest of 3 stable stretches: 500 frames"
        " between the step at frame 400 and the damage at frame 900"
    )
    assert json.loads(json.dumps(best.as_dict()))["n"] == 500


def test_without_frames_none_is_proposed() -> None:
    assert segments(POSITIONS[:0], EVENTS) == []
    assert longest([]) is None
