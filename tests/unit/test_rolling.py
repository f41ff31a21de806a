from __future__ import annotations

import json
import math
from fractions import Fraction
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from eigerwatch.analysis.rolling import Rolling, RollingStatistics
from eigerwatch.analysis.shot_noise import shot_noise
from eigerwatch.analysis.statistics import describe

RNG = np.random.default_rng(19)


def assert_described(
    found: RollingStatistics, positions: np.ndarray, totals: np.ndarray
) -> None:
    expected = describe(totals, positions)
    noise = shot_noise(expected.detrended)
    pairs = [
        (found.mean, expected.mean),
        (found.std, expected.raw.std),
        (found.cv_percent, expected.raw.cv_percent),
        (found.std_detrended, expected.detrended.std),
        (found.cv_detrended_percent, expected.detrended.cv_percent),
        (found.slope, expected.slope),
        (found.shot.cv_shot_percent, noise.cv_shot_percent),
        (found.shot.cv_beam_percent, noise.cv_beam_percent),
        (found.shot.fano, noise.fano),
    ]
    assert found.n == expected.raw.count
    np.testing.assert_allclose(*zip(*pairs, strict=True), rtol=1e-9)
    assert (found.first, found.last) == (positions.min(), positions.max())


def stream(n: int, mean: float = 6e6) -> tuple[np.ndarray, np.ndarray]:
    """Draw totals with drift and a line, of which one in a hundred is missing."""
    positions = np.flatnonzero(RNG.random(n) > 0.01)
    beam = 1 + 0.003 * np.sin(positions / 7) - positions / n / 50
    return positions, RNG.poisson(mean * beam).astype(np.uint64)


def test_last_frames_at_every_step() -> None:
    positions, totals = stream(6000)
    window = Rolling(frames=1000)
    edges = np.sort(RNG.choice(np.arange(1, positions.size), 60, replace=False))
    for start, stop in pairwise([0, *edges.tolist(), positions.size]):
        window.add(positions[start:stop], totals[start:stop])
        span = slice(max(0, stop - 1000), stop)
        if stop > 10:
            assert_described(window.statistics(), positions[span], totals[span])


def test_last_seconds_at_every_step() -> None:
    positions, totals = stream(9000)
    times = positions / 746
    window = Rolling(seconds=2.5)
    for start in range(0, positions.size, 75):
        stop = min(start + 75, positions.size)
        window.add(positions[start:stop], totals[start:stop], times[start:stop])
        new = times[:stop] > times[stop - 1] - 2.5
        assert_described(window.statistics(), positions[:stop][new], totals[:stop][new])


def test_more_than_one_batch_at_once() -> None:
    positions, totals = stream(30_000)
    window = Rolling(frames=20_000)
    window.add(positions, totals)
    assert_described(window.statistics(), positions[-20_000:], totals[-20_000:])


def test_shorter_of_both_limits_holds() -> None:
    positions, totals = stream(4000)
    for frames, seconds, expected in ((100, 2.0, 100), (1000, 0.5, 50)):
        window = Rolling(frames=frames, seconds=seconds, frame_time_s=0.01)
        window.add(positions, totals)
        assert window.statistics().n == pytest.approx(expected, abs=5)


def test_nothing_accumulates_over_many_updates() -> None:
    # Sums whose squares exceed 64 bits, as they leave the range of floats.
    window = Rolling(frames=500)
    for k in range(3000):
        positions = np.arange(7 * k, 7 * k + 7) * 1000 + 2**40
        totals = np.uint64(2**63) + RNG.integers(0, 10**6, 7).astype(np.uint64)
        window.add(positions, totals)
    found = window.statistics()
    at, values = ([int(v) for v in column] for column in window.frames())
    mean = Fraction(sum(values), 500)
    power = sum((v - mean) ** 2 for v in values)
    assert found.std == pytest.approx(math.sqrt(power / 499), rel=1e-15)
    centre = Fraction(sum(at), 500)
    rise = sum((p - centre) * (v - mean) for p, v in zip(at, values, strict=True))
    spread = sum((p - centre) ** 2 for p in at)
    left = math.sqrt((power - rise**2 / spread) / 499)
    assert found.std_detrended == pytest.approx(left, rel=1e-15)
    assert found.slope == pytest.approx(float(rise / spread), rel=1e-15)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_late_and_repeated_frames_take_their_place(data: st.DataObject) -> None:
    window, known = Rolling(frames=40), {}
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    for _ in range(data.draw(st.integers(1, 12))):
        batch = data.draw(st.lists(st.integers(0, 150), max_size=20))
        values = rng.integers(0, 2**40, len(batch)).astype(np.uint64)
        window.add(np.array(batch, np.int64), values)
        for position, value in zip(batch, values.tolist(), strict=True):
            known.setdefault(position, value)
        # What has left the window is forgotten.
        known = dict(sorted(known.items())[-40:])
        positions, totals = window.frames()
        assert dict(zip(positions.tolist(), totals.tolist(), strict=True)) == known
        assert positions.tolist() == sorted(known)
    found = window.statistics()
    if len(known) > 3:
        assert found.mean == pytest.approx(describe(totals, positions).mean, rel=1e-12)


def test_frames_left_out_afterwards() -> None:
    positions, totals = stream(5000)
    window = Rolling(frames=3000)
    window.add(positions, totals)
    out = positions[-2000:-1000:3]
    window.leave_out(out)
    there = ~np.isin(positions[-3000:], out)
    assert_described(
        window.statistics(), positions[-3000:][there], totals[-3000:][there]
    )
    window.leave_out(positions)
    assert window.statistics().n == 0
    window.add(positions[:10] + 10**6, totals[:10])
    assert window.statistics().n == 10


def test_untold_times_follow_from_the_frame_time() -> None:
    positions, totals = stream(2000)
    times = np.where(RNG.random(positions.size) < 0.3, np.nan, positions * 0.01)
    window = Rolling(seconds=5, frame_time_s=0.01)
    window.add(positions, totals, times)
    assert window.frames()[0][0] == pytest.approx(positions[-1] - 500, abs=5)


def test_one_wild_time_does_not_stop_the_window() -> None:
    positions, totals = stream(4000)
    times = positions * 0.01
    times[1000] = 1e12
    window = Rolling(seconds=5)
    for start in range(0, positions.size, 50):
        part = slice(start, start + 50)
        window.add(positions[part], totals[part], times[part])
    assert window.statistics().n == pytest.approx(495, abs=15)


def test_nothing_leaves_by_age_while_ages_are_unknown() -> None:
    window = Rolling(seconds=1)
    window.add(np.arange(100), np.arange(100, dtype=np.uint64))
    assert window.statistics().n == 100


@pytest.mark.parametrize("values", [[], [7], [7, 9], [0, 0, 0], [5] * 20])
def test_few_or_equal_frames(values: list[int]) -> None:
    window = Rolling(frames=100)
    window.add(np.arange(len(values)), np.array(values, np.uint64))
    found = window.statistics()
    expected = describe(np.array(values, np.uint64))
    assert found.n == len(values)
    ours = [found.std, found.std_detrended, found.cv_percent, found.slope]
    theirs = [
        expected.raw.std,
        expected.detrended.std,
        expected.raw.cv_percent,
        expected.slope,
    ]
    np.testing.assert_allclose(ours, theirs, atol=1e-12)
    json.dumps(found.as_dict(), allow_nan=False)


def test_input_is_left_alone() -> None:
    positions, totals = np.arange(10), np.arange(10, dtype=np.uint64)
    window = Rolling(frames=100)
    window.add(positions, totals)
    totals[:] = 0
    positions[:] = 0
    assert window.statistics().mean == 4.5


@pytest.mark.parametrize(
    "limits", [{"frames": 0}, {"seconds": 0}, {"seconds": math.nan}]
)
def test_window_that_holds_nothing_is_refused(limits: dict[str, float]) -> None:
    with pytest.raises(ValueError, match="holds nothing"):
        Rolling(**limits)
