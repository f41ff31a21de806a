from __future__ import annotations

import json
import math

import numpy as np
import pytest
from beams import RATE_HZ, counted

from eigerwatch.analysis.allan import AllanDeviation, allan_deviation
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import Signal, plain_signal
from eigerwatch.analysis.timebase import time_base


def signal_of(values: np.ndarray, cuts: tuple[int, ...] = ()) -> Signal:
    n = values.size
    base = time_base(Measured(np.arange(n), np.zeros(n, np.uint64), None, 1.0))
    return plain_signal(values, base, cuts=cuts)


def at(found: AllanDeviation, frames: int) -> int:
    (index,) = np.flatnonzero(found.frames == frames)
    return int(index)


def test_agrees_with_the_published_thousand_points() -> None:
    # NIST SP 1065, section 12.4: a linear congruential generator, and its results.
    values = np.empty(1000)
    number = 1234567890
    for k in range(1000):
        values[k] = number / 2147483647
        number = 16807 * number % 2147483647
    found = allan_deviation(signal_of(values), frames=[1, 10, 100])
    expected = [2.922319e-1, 9.159953e-2, 3.241343e-2]
    np.testing.assert_allclose(found.deviation, expected, rtol=1e-6)


@pytest.mark.parametrize("frames", [1, 2, 16, 64])
def test_agrees_with_the_definition(frames: int) -> None:
    values = np.random.default_rng(1).normal(size=500).cumsum()
    averages = np.convolve(values, np.full(frames, 1 / frames), "valid")
    pairs = averages[frames:] - averages[:-frames]
    found = allan_deviation(signal_of(values))
    expected = math.sqrt(np.mean(pairs**2) / 2)
    assert found.deviation[at(found, frames)] == pytest.approx(expected, rel=1e-9)


@pytest.mark.parametrize("missing", [0.0, 0.1])
def test_photon_counting_lies_on_its_floor(missing: float) -> None:
    rng = np.random.default_rng(2)
    gone = rng.random(45_000) < missing
    found = allan_deviation(counted(np.ones(45_000), 1e6, rng, missing=gone))
    averaged = 64 * (1 - missing)
    floor = 1e-3 / math.sqrt(averaged)
    assert found.shot[at(found, 64)] == pytest.approx(floor, rel=0.01)
    assert found.tau_s[at(found, 64)] == pytest.approx(64 / RATE_HZ)
    inside = (found.low < found.shot) & (found.shot < found.high)
    assert np.mean(inside) >= 0.8
    np.testing.assert_allclose(found.deviation[:8], found.shot[:8], rtol=0.02)


def test_a_step_at_a_cut_is_in_no_pair() -> None:
    values = np.random.default_rng(3).normal(size=2000)
    stepped = values + np.where(np.arange(2000) < 1000, 0, 1e3)
    divided = allan_deviation(signal_of(stepped, (1000,)))
    across = allan_deviation(signal_of(stepped))
    assert divided.deviation.max() < 1.5
    assert across.deviation[at(across, 64)] > 50


def test_drift_rises_with_averaging_time() -> None:
    found = allan_deviation(signal_of(np.arange(1000) * 1e-3))
    # A slope of a per frame: a tau / sqrt 2.
    np.testing.assert_allclose(
        found.deviation, 1e-3 * found.frames / math.sqrt(2), rtol=1e-6
    )


def test_intervals_cover_what_many_runs_average_to() -> None:
    rng = np.random.default_rng(4)
    covered = []
    for _ in range(60):
        found = allan_deviation(signal_of(rng.normal(size=1024)))
        truth = 1 / np.sqrt(found.frames)
        covered.append((found.low < truth) & (truth < found.high))
    # Cautious: degrees of freedom are those of the least favourable noise.
    assert np.mean(covered) > 0.94
    assert np.min(np.mean(covered, axis=0)) > 0.85


@pytest.mark.parametrize("n", [0, 1, 2, 3, 4, 5])
def test_few_frames_give_a_defined_answer(n: int) -> None:
    found = allan_deviation(counted(np.ones(n), 1e6, np.random.default_rng(5)))
    assert (found.frames.size == 0) == (n < 2)
    assert (f"n = {n}" in found.text) == (n < 2)
    json.dumps(found.as_dict(), allow_nan=False)


def test_intervals_cover_the_truth_where_stretches_are_short() -> None:
    """Each stretch tells by itself: 40 short ones are not one long record."""
    inside = []
    for seed in range(150):
        values = np.random.default_rng(seed).normal(size=40 * 200)
        found = allan_deviation(
            signal_of(values, tuple(range(200, 8000, 200))), frames=[100]
        )
        inside.append(found.low[0] < 0.1 < found.high[0])
    # 95 % of 150: fewer than 134 in one of 1000 cases.
    assert sum(inside) >= 134
