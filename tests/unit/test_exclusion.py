from __future__ import annotations

import json

import numpy as np
import pytest

from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.exclusion import Edit, ExclusionRules, Exclusions

POSITIONS = np.arange(100)


def event(kind: EventKind, first: int, last: int) -> Event:
    frames = last - first + 1
    return Event(kind, first, last, frames, -0.1, "relative", 1.0, f"{kind.value}.")


EMPTY = event(EventKind.EMPTY, 5, 6)
TOPUP = event(EventKind.TOPUP, 40, 41)
DAMAGED = event(EventKind.DAMAGED, 80, 82)
SPIKE = event(EventKind.SPIKE, 20, 20)
EVENTS = [EMPTY, SPIKE, TOPUP, DAMAGED]


def left_out(exclusions: Exclusions, events: list[Event] = EVENTS) -> list[int]:
    return np.flatnonzero(exclusions.apply(POSITIONS, events).mask).tolist()


def test_the_defaults_are_empty_frames_top_ups_and_all_after_damage() -> None:
    expected = [5, 6, *range(38, 44), *range(80, 100)]
    assert left_out(Exclusions()) == expected


def test_damage_may_exclude_its_own_frames_only() -> None:
    rules = ExclusionRules(after_damage=False)
    assert left_out(Exclusions(rules), [DAMAGED]) == [80, 81, 82]


def by_hand(first: int, last: int | None, exclude: bool, reason: str) -> Exclusions:
    return Exclusions(edits=(Edit(first, last, exclude, reason),))


def test_only_the_first_damage_counts() -> None:
    later = event(EventKind.DAMAGED, 90, 91)
    found = Exclusions().apply(POSITIONS, [later, DAMAGED])
    (interval,) = found.intervals
    assert (interval.first, interval.last) == (80, None)
    assert interval.reason == "damaged from frame 80 on: damaged."


def test_kinds_can_be_switched() -> None:
    kinds = [EventKind.SPIKE]
    assert left_out(Exclusions(ExclusionRules(frozenset(kinds)))) == [20]
    assert left_out(Exclusions(ExclusionRules(frozenset()))) == []


def test_the_guard_is_of_frames_or_of_time_whichever_is_longer() -> None:
    rules = ExclusionRules(guard_before_frames=1, guard_after_s=0.01)
    by_frames = Exclusions(rules).apply(POSITIONS, [TOPUP], 0.005)
    assert np.flatnonzero(by_frames.mask).tolist() == list(range(39, 44))
    by_time = Exclusions(rules).apply(POSITIONS, [TOPUP], 0.001)
    assert np.flatnonzero(by_time.mask).tolist() == list(range(39, 52))


def test_frames_are_excluded_by_number_where_some_are_missing() -> None:
    positions = np.array([0, 5, 7, 38, 45, 60])
    mask = Exclusions().apply(positions, EVENTS).mask
    assert mask.tolist() == [False, True, False, True, False, False]


def test_people_exclude_and_readmit_and_the_last_word_counts() -> None:
    said = (Edit(10, 29, True, "shutter"), Edit(15, 19, False, "fine"))
    nothing = ExclusionRules(frozenset())
    assert left_out(Exclusions(nothing, said)) == [*range(10, 15), *range(20, 30)]
    more = Exclusions(nothing, (*said, Edit(17, 17, True, "no")))
    assert left_out(more) == [*range(10, 15), 17, *range(20, 30)]


def test_what_is_readmitted_overrules_events() -> None:
    kept = by_hand(0, None, False, "module 3 is masked anyway")
    assert left_out(kept) == []
    part = by_hand(85, 89, False, "looks good")
    assert left_out(part, [DAMAGED]) == [*range(80, 85), *range(90, 100)]


def test_every_interval_states_its_reason() -> None:
    found = by_hand(60, 61, True, "mirror moved").apply(POSITIONS, EVENTS)
    reasons = {one.kind: one.reason for one in found.intervals}
    assert set(reasons) == {"empty", "topup", "damaged", "user"}
    assert reasons["user"] == "mirror moved"
    assert [one.first for one in found.intervals] == [5, 38, 60, 80]


def test_usage_adds_up() -> None:
    twice = by_hand(0, 5, True, "warming up")
    usage = twice.apply(POSITIONS, EVENTS).usage
    assert usage.excluded == {"user": 6, "empty": 1, "topup": 6, "damaged": 20}
    assert usage.used == 100 - 33
    assert (usage.first, usage.last) == (7, 79)
    assert str(usage) == (
        "67 of 100 frames, 7 to 79; excluded: 20 damaged, 1 empty, 6 topup, 6 user"
    )


@pytest.mark.parametrize("n", [0, 3])
def test_without_a_frame_left_there_is_no_first_one(n: int) -> None:
    usage = by_hand(0, None, True, "all").apply(POSITIONS[:n], []).usage
    found = json.loads(json.dumps(usage.as_dict()))
    assert (found["used"], found["first"], found["last"]) == (0, None, None)


def test_intervals_are_ready_for_json() -> None:
    found = Exclusions().apply(POSITIONS, EVENTS).intervals
    last = json.loads(json.dumps([one.as_dict() for one in found]))[-1]
    assert last["last"] is None
