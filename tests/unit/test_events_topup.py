from __future__ import annotations

import math

import numpy as np
import pytest

from eigerwatch.analysis.events.detect import detect
from eigerwatch.analysis.events.model import EventKind
from eigerwatch.analysis.events.topup import topup_schedule
from eigerwatch.analysis.measured import Measured

N = 20_000


def series(
    at: tuple[int, ...] = (9000,),
    dip: float = 0.1,
    step: float = 0.004,
    frames: int = 1,
    modules: int = 4,
    seed: int = 1,
) -> Measured:
    """Return a series with top-ups, drift, a line and counting noise."""
    rng = np.random.default_rng(seed)
    beam = 1 - 0.01 * np.arange(N) / N + 0.002 * np.sin(np.arange(N) * 0.31)
    for first in at:
        beam[first : first + frames] *= 1 - dip
        beam[first + frames :] *= 1 + step
    mean = 4e6 / modules
    regions = rng.poisson(mean * np.repeat(beam[:, None], modules, 1)).astype(np.uint64)
    totals = regions.sum(axis=1, dtype=np.uint64)
    return Measured(np.arange(N), totals, None, 1 / 746, regions=regions)


def test_a_top_up_is_told_in_a_sentence() -> None:
    (event,) = detect(series())
    assert event.kind is EventKind.TOPUP
    assert (event.first, event.last, event.frames) == (9000, 9000, 1)
    assert event.size == pytest.approx(-0.1, abs=0.005)
    assert event.step == pytest.approx(0.004, abs=1e-4)
    assert event.confidence > 0.95
    start = "All 4 modules dipped by 10 % for 1 frame, then the mean rose by 0.4"
    assert event.reason.startswith(start)


@pytest.mark.parametrize("frames", [2, 5, 20, 60])
def test_the_dip_may_last(frames: int) -> None:
    (event,) = detect(series(frames=frames))
    assert event.kind is EventKind.TOPUP
    assert (event.first, event.frames) == (9000, frames)


@pytest.mark.parametrize("first", [9 * 1024 - 50, 9 * 1024 - 20, 9 * 1024])
def test_a_long_dip_is_whole_wherever_blocks_end(first: int) -> None:
    (event,) = detect(series(at=(first,), frames=50))
    assert event.kind is EventKind.TOPUP
    assert (event.first, event.frames) == (first, 50)


@pytest.mark.parametrize("first", [0, 5, 40, N - 40, N - 3])
def test_a_top_up_at_the_edge_is_found(first: int) -> None:
    (event,) = detect(series(at=(first,), frames=3))
    assert (event.kind, event.first) == (EventKind.TOPUP, first)


def test_a_step_that_cannot_be_seen_yet_makes_it_less_sure() -> None:
    (event,) = detect(series(at=(N - 3,), frames=3))
    assert event.step is None
    assert event.confidence <= 0.5
    assert "too few frames" in event.reason


def test_a_dip_without_a_step_is_a_spike() -> None:
    (event,) = detect(series(step=0))
    assert (event.kind, event.first) == (EventKind.SPIKE, 9000)
    assert "not that of a top-up" in event.reason


def test_a_dip_of_some_modules_only_is_a_spike() -> None:
    measured = series(dip=0)
    assert measured.regions is not None
    measured.regions[9000, :2] = (measured.regions[9000, :2] * 0.85).astype(np.uint64)
    measured.totals[:] = measured.regions.sum(axis=1)
    event = detect(measured)[0]
    assert (event.kind, event.first) == (EventKind.SPIKE, 9000)
    assert "2 of 4 modules only" in event.reason


def test_neighbouring_top_ups_do_not_spoil_each_other() -> None:
    at = tuple(range(2000, N - 1000, 1500))
    found = detect(series(at=at))
    assert [event.first for event in found] == list(at)
    steps = [event.step for event in found]
    assert steps == pytest.approx([0.004] * len(at), abs=4e-4)


def test_a_dip_that_was_not_recorded_shows_by_its_step() -> None:
    stored = np.ones(N, bool)
    stored[8998:9002] = False
    found = [e for e in detect(series().at(stored)) if e.kind is not EventKind.GAP]
    (event,) = found
    assert (event.kind, event.first, event.last) == (EventKind.TOPUP, 8998, 9001)
    assert event.step == pytest.approx(0.004, abs=2e-4)
    assert event.confidence <= 0.5
    assert event.as_dict()["size"] is None


def test_the_period_is_learned_although_one_was_missed() -> None:
    times = 7 + 20 * np.array([0, 1, 2, 4, 5]) + np.array([0.1, -0.1, 0, 0.1, -0.1])
    schedule = topup_schedule(times)
    slope, offset = np.polyfit([0, 1, 2, 4, 5], times, 1)
    assert schedule.period_s == pytest.approx(slope)
    assert schedule.next_s == pytest.approx(offset + 6 * slope)
    assert 0.05 < schedule.spread_s < 0.2
    assert schedule.next_spread_s > schedule.spread_s
    assert schedule.reason == "5 top-ups, 1 between not seen"


@pytest.mark.parametrize("times", [[], [5.0], [math.nan, 5.0], [5.0, 5.0]])
def test_fewer_than_two_tell_no_period(times: list[float]) -> None:
    schedule = topup_schedule(times)
    found = schedule.as_dict()
    assert found["period_s"] is None
    assert found["next_s"] is None
    assert found["reason"] == f"not enough top-ups (n = {schedule.n})"


def test_two_tell_a_period_but_no_spread() -> None:
    schedule = topup_schedule([10.0, 30.0])
    assert (schedule.period_s, schedule.next_s) == (20, 50)
    assert schedule.as_dict()["next_spread_s"] is None
