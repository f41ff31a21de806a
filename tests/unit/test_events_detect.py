from __future__ import annotations

import itertools
import json
from dataclasses import replace

import numpy as np
import pytest
from beams import frames_of
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import scenario

from eigerwatch.analysis.events.detect import Detector, detect
from eigerwatch.analysis.events.model import Event, EventKind
from eigerwatch.analysis.measured import Measured

FRAMES = 25_000


def counts(totals: np.ndarray, positions: np.ndarray | None = None) -> Measured:
    """Return a series of totals alone."""
    if positions is None:
        positions = np.arange(totals.size)
    return Measured(positions.astype(np.int64), totals.astype(np.uint64))


def others(events: list[Event]) -> list[Event]:
    return [event for event in events if event.kind is not EventKind.GAP]


def busy(seed: int = 3) -> Measured:
    """Return a short series in which everything happens."""
    rng = np.random.default_rng(seed)
    n, m = 9000, 8
    beam = 1 + 0.001 * rng.normal(size=n) + 0.002 * np.sin(np.arange(n) * 0.41)
    beam[2500:2503] *= 0.9
    beam[2503:] *= 1.004
    beam[3600] *= 1.08
    beam[4400:4402] = 0
    beam[5200:] *= 0.97
    regions = rng.poisson(100_000 * beam[:, None] * np.ones(m)).astype(np.uint64)
    regions[7800::3, 5] //= np.uint64(2)
    sentinel = np.zeros((n, m), np.uint32)
    stored = rng.random(n) > 0.01
    return Measured(
        np.arange(n),
        regions.sum(axis=1, dtype=np.uint64),
        None,
        1 / 746,
        np.full(n, 8000, np.uint32),
        np.zeros(n, np.uint32),
        regions,
        np.full((n, m), 1000, np.uint32),
        sentinel,
    ).at(stored)


BUSY = busy()


@pytest.mark.parametrize("seed", range(20))
def test_what_happened_is_found_within_three_frames_and_nothing_else(
    seed: int,
) -> None:
    truth = scenario(seed, frames=FRAMES)
    left = others(detect(frames_of(truth)))
    for dip in truth.topups:
        near = [
            event
            for event in left
            if event.kind is EventKind.TOPUP
            and event.first - 3 <= dip <= event.last + 3
        ]
        assert len(near) == 1, dip
        left.remove(near[0])
    if truth.damage is not None:
        first = left.pop(next(i for i, e in enumerate(left) if e.kind == "damaged"))
        assert abs(first.first - truth.damage) <= 3
    assert left == []


@pytest.mark.parametrize("seed", range(100, 110))
def test_lines_and_slow_noise_are_no_event(seed: int) -> None:
    truth = scenario(seed, topups=0, damage=False, modules=False, frames=FRAMES)
    whole = replace(frames_of(truth), regions=None, region_kept=None)
    assert others(detect(replace(whole, region_sentinel=None))) == []


@settings(max_examples=25, deadline=None)
@given(
    sizes=st.lists(st.integers(1, 3000), min_size=1, max_size=20),
    looks=st.sets(st.integers(0, 50), max_size=10),
)
def test_any_portions_give_the_same_events_as_the_whole(
    sizes: list[int], looks: set[int]
) -> None:
    detector = Detector()
    portions = itertools.cycle(sizes)
    for turn in itertools.count():
        start = detector.n
        if start == BUSY.n:
            break
        detector.feed(BUSY.at(slice(start, start + next(portions))))
        if turn in looks:
            detector.events()  # looking changes nothing
    assert detector.events() == detect(BUSY)


def test_the_busy_series_shows_every_kind() -> None:
    found = {event.kind: event for event in detect(BUSY)}
    assert set(found) == set(EventKind) - {EventKind.DRIFT}


@pytest.mark.parametrize("so_far", [1, 75, 1024, 2600, 5000, 8000])
def test_at_any_time_events_are_those_of_the_frames_so_far(so_far: int) -> None:
    detector = Detector()
    for start in range(0, so_far, 75):
        detector.feed(BUSY.at(slice(start, min(start + 75, so_far))))
    assert detector.events() == detect(BUSY.at(slice(0, so_far)))


@pytest.mark.parametrize("late", [0, 500, 1024, 1500, 4000, 8200])
def test_late_frames_are_taken_in_after_a_rewind(late: int) -> None:
    hole = np.ones(BUSY.n, bool)
    hole[late : late + 20] = False
    detector = Detector()
    detector.feed(BUSY.at(hole))
    changed = int(BUSY.positions[late])
    again = detector.rewind(changed)
    assert again <= changed
    # Cheap where it is recent: less than two blocks are fed again.
    assert changed - again < 2 * 1024 * 1.1
    detector.feed(BUSY.at(BUSY.positions >= again))
    assert detector.events() == detect(BUSY)


def test_a_rewind_beyond_the_end_changes_nothing() -> None:
    detector = Detector()
    detector.feed(BUSY)
    assert detector.rewind(10**6) == 10**6
    assert detector.n == BUSY.n


def test_frames_out_of_order_are_refused() -> None:
    detector = Detector()
    detector.feed(counts(np.full(10, 100)))
    with pytest.raises(ValueError, match="rewind"):
        detector.feed(counts(np.full(10, 100)))
    with pytest.raises(ValueError, match="ascending"):
        detect(counts(np.full(2, 100), np.array([1, 1])))


def test_a_live_display_is_refreshed_now_and_then() -> None:
    detector = Detector()
    detector.feed(BUSY.at(slice(0, 2470)))
    before = detector.recent_events()
    assert before == detector.events()
    detector.feed(BUSY.at(slice(2470, 2545)))
    assert detector.recent_events(every=100) == before
    assert detector.recent_events(every=75) == detector.events() != before


def test_a_live_display_of_a_long_series_knows_short_events_at_once() -> None:
    long = busy()
    totals = np.concatenate([long.totals[:2000]] * 10)
    totals[19_990] //= np.uint64(2)
    detector = Detector()
    detector.feed(counts(totals[:19_900]))
    assert others(detector.recent_events(every=50)) == []
    detector.feed(counts(totals[19_900:], np.arange(19_900, 20_000)))
    (event,) = others(detector.recent_events(every=50))
    assert event.first == 19_990


def test_arrays_may_be_used_again_by_the_caller() -> None:
    detector = Detector()
    buffer = BUSY.totals[:75].copy()
    detector.feed(replace(BUSY.at(slice(0, 75)), totals=buffer))
    buffer[:] = 0
    detector.feed(BUSY.at(slice(75, BUSY.n)))
    assert detector.events() == detect(BUSY)


@pytest.mark.parametrize("n", [0, 1, 2, 3, 31, 33, 400, 1025])
@pytest.mark.parametrize("value", [0, 1, 6_000_000, 2**63])
def test_a_constant_series_has_no_event(n: int, value: int) -> None:
    assert others(detect(counts(np.full(n, value, np.uint64)))) == []


def test_sums_beyond_2_to_the_53_are_watched_like_others() -> None:
    rng = np.random.default_rng(0)
    totals = (2.0**60 * (1 + 0.001 * rng.normal(size=3000))).astype(np.uint64)
    totals[2000] //= np.uint64(2)
    (event,) = detect(counts(totals))
    assert (event.kind, event.first) == (EventKind.SPIKE, 2000)
    assert event.size == pytest.approx(-0.5, abs=0.01)


def test_unknown_times_and_absent_columns_do_no_harm() -> None:
    bare = Measured(BUSY.positions, BUSY.totals, np.full(BUSY.n, np.nan))
    kinds = {event.kind for event in detect(bare)}
    assert EventKind.TOPUP in kinds
    assert EventKind.DAMAGED not in kinds


def test_events_are_ready_for_json() -> None:
    text = json.dumps([e.as_dict() for e in detect(BUSY)], allow_nan=False)
    first = json.loads(text)[0]
    assert set(first) >= {"kind", "first", "last", "frames", "size", "unit", "reason"}


def test_confidence_is_a_part_of_one_and_reasons_are_sentences() -> None:
    for event in detect(BUSY):
        assert 0 < event.confidence <= 1
        assert event.reason.endswith(".")
