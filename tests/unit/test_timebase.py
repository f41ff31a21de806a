from __future__ import annotations

import json
import math

import numpy as np
import pytest

from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.timebase import time_base

RATE = 746.0


def measured(
    positions: np.ndarray, times: np.ndarray | None, frame_time_s: float | None = None
) -> Measured:
    positions = np.asarray(positions, np.int64)
    totals = np.full(positions.size, 1000, np.uint64)
    return Measured(positions, totals, times, frame_time_s)


def test_the_rate_comes_from_the_start_times_not_from_the_announcement() -> None:
    positions = np.arange(1000, 6000)
    base = time_base(measured(positions, positions / 745.2, 1 / RATE))
    assert base.rate_hz == pytest.approx(745.2, rel=1e-12)
    assert base.source == "start times"
    assert base.regular
    assert base.origin_s == pytest.approx(1000 / 745.2)
    assert "announced frame time is another one" in base.text


def test_jitter_averages_out_of_the_rate() -> None:
    rng = np.random.default_rng(1)
    times = np.arange(45_000) / RATE + rng.normal(0, 1e-5, 45_000)
    base = time_base(measured(np.arange(45_000), times))
    # Of a slope: sigma sqrt(12/n)/length, here 2.7e-9 of the rate; four of them.
    assert base.rate_hz == pytest.approx(RATE, rel=1.1e-8)
    assert base.jitter_s == pytest.approx(1e-5, rel=0.02)
    assert base.regular


def test_missing_frames_divide_runs_and_are_counted() -> None:
    positions = np.delete(np.arange(100), [10, 50, 51, 52])
    base = time_base(measured(positions, positions / RATE))
    assert base.runs.tolist() == [[0, 10], [10, 49], [49, 96]]
    assert (base.missing, base.longest_gap) == (4, 3)
    assert base.missing_share == pytest.approx(0.04)
    assert "4 of 100 frames are missing, in 2 gaps" in base.text


def test_times_that_stray_alone_are_dropped() -> None:
    times = np.arange(500) / RATE
    times[[100, 300]] += [5, -0.2]
    times[200] = math.nan
    base = time_base(measured(np.arange(500), times))
    assert base.rate_hz == pytest.approx(RATE, rel=1e-9)
    assert base.slots.tolist() == list(range(500))
    assert "3 times are not told or stray" in base.text


def test_a_pause_between_triggers_widens_the_grid() -> None:
    times = np.arange(1000) / RATE
    times[400:] += 200 / RATE
    base = time_base(measured(np.arange(1000), times))
    assert base.rate_hz == pytest.approx(RATE, rel=1e-9)
    assert base.missing == 200
    assert base.runs.tolist() == [[0, 400], [400, 1000]]
    assert not base.regular


@pytest.mark.parametrize(
    "times",
    [
        np.sort(np.random.default_rng(2).uniform(0, 3, 1000)),
        np.zeros(1000),
        np.arange(1000)[::-1] / RATE,
        np.full(1000, math.nan),
        np.full(1000, math.inf),
    ],
    ids=["random", "all the same", "backward", "not told", "infinite"],
)
def test_times_without_a_grid_leave_the_announced_frame_time(times: np.ndarray) -> None:
    base = time_base(measured(np.arange(1000), times, 1 / RATE))
    assert (base.source, base.unit) == ("frame time", "Hz")
    assert base.rate_hz == pytest.approx(RATE)
    assert not base.regular
    assert "start times" in base.text
    assert "announced frame time" in base.text


@pytest.mark.parametrize("frame_time_s", [None, math.nan, 0.0])
def test_without_any_time_frequencies_are_per_frame(frame_time_s: float | None) -> None:
    base = time_base(measured(np.arange(10), None, frame_time_s))
    assert (base.rate_hz, base.unit, base.source) == (1.0, "per frame", "none")


@pytest.mark.parametrize("n", [0, 1, 2])
def test_few_frames_give_a_defined_answer(n: int) -> None:
    base = time_base(measured(np.arange(n), np.arange(n) / RATE, 1 / RATE))
    assert len(base.runs) == min(n, 1)
    assert base.missing == 0
    assert math.isnan(base.rate_hz) == (n == 0)
    json.dumps(base.as_dict(), allow_nan=False)
