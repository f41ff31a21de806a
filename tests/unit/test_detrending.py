from __future__ import annotations

import json
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import scenario

from eigerwatch.analysis.detrending import Drift, detrended, drift
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.statistics import centred, describe
from eigerwatch.analysis.timebase import time_base

RNG = np.random.default_rng(11)


def over_time(measured: Measured) -> Drift:
    every = np.ones(measured.n, np.bool_)
    return drift(measured, (), time_base(measured).seconds(every))


@given(
    st.lists(
        st.tuples(st.integers(1, 9), st.integers(0, 2**50)), min_size=0, max_size=60
    )
)
def test_one_segment_is_the_table(frames: list[tuple[int, int]]) -> None:
    positions = np.cumsum([step for step, _ in frames], dtype=np.int64)
    values = np.array([value for _, value in frames], np.uint64)
    expected = describe(values, positions).detrended
    found = detrended(values, positions)
    # Lines through all frames leave nothing but rounding.
    tiny = 1e-12 * (float(values.max()) if values.size else 0.0) + 1e-12
    assert found.std == pytest.approx(expected.std, rel=1e-9, abs=tiny, nan_ok=True)
    assert found.mean == pytest.approx(expected.mean, rel=1e-12, nan_ok=True)
    assert found.n == expected.count


def test_each_segment_has_its_own_line() -> None:
    positions = np.sort(RNG.choice(5000, 1200, replace=False))
    values = RNG.poisson(1e6 + 30 * positions).astype(np.uint64)
    found = detrended(values, positions, [1500, 4000])
    pieces = np.split(np.arange(1200), np.searchsorted(positions, [1500, 4000]))
    for piece in pieces:
        at, y = positions[piece] - 2500.0, values[piece].astype(float)
        expected = y - np.polyval(np.polyfit(at, y, 1), at)
        np.testing.assert_allclose(found.residuals[piece], expected, atol=1e-5)
    assert found.starts.tolist() == [0, pieces[1][0], pieces[2][0]]
    assert found.parameters == 6
    power = float(found.residuals @ found.residuals)
    assert found.std == pytest.approx(math.sqrt(power / (1200 - 5)))


def test_degrees_of_freedom_keep_white_noise_unbiased() -> None:
    # 20 frames a segment: without them the variance would be 10 % too small.
    boundaries = list(range(20, 2000, 20))
    found = [
        detrended(RNG.normal(1e3, 1, 2000), None, boundaries).std ** 2
        for _ in range(100)
    ]
    assert np.mean(found) == pytest.approx(1, abs=0.02)


def test_steps_at_boundaries_are_no_fluctuation() -> None:
    values = np.full(900, 10**6, np.uint64)
    values[300:] += np.uint64(4000)
    values[600:] += np.uint64(3000)
    assert detrended(values, None, [300, 600]).cv_percent == pytest.approx(0, abs=1e-12)
    assert detrended(values).cv_percent > 0.05


def test_boundaries_without_frames_beside_them_change_nothing() -> None:
    values = RNG.poisson(1e5, 100).astype(np.uint64)
    positions = np.arange(50, 150)
    found = detrended(values, positions, [-3, 0, 50, 150, 10**9])
    assert found.starts.tolist() == [0]
    assert detrended(values, positions, [100, 100]).starts.tolist() == [0, 50]


@pytest.mark.parametrize("n", [0, 1, 2, 3])
@pytest.mark.parametrize("boundaries", [[], [1], [1, 2]])
def test_few_frames(n: int, boundaries: list[int]) -> None:
    found = detrended(np.arange(n, dtype=np.uint64), None, boundaries)
    json.dumps(found.as_dict(), allow_nan=False)
    assert math.isnan(found.std) == (n < 2)


def test_differences_survive_beyond_float_precision() -> None:
    values = np.array([2**63 + k for k in (0, 3, 1, 5, 2)], np.uint64)
    assert detrended(values).std == pytest.approx(
        detrended(np.array([0, 3, 1, 5, 2], np.uint64)).std, rel=1e-12
    )
    rest, mean = centred(values)
    assert (np.ptp(rest), mean) == (5, 2.0**63)


def test_wrong_shape_is_refused() -> None:
    with pytest.raises(ValueError, match="3 values"):
        detrended([1, 2, 3], [1, 2])


def test_drift_is_the_line_in_both_units() -> None:
    positions = np.arange(1000, dtype=np.int64)
    totals = (10**6 + 5 * positions).astype(np.uint64)
    found = over_time(Measured(positions, totals, frame_time_s=0.01))
    scale = 100 / totals.mean()
    assert found.percent_per_frame == pytest.approx(5 * scale)
    assert found.percent_per_s == pytest.approx(500 * scale)
    assert found.rise_percent == pytest.approx(5 * 999 * scale)
    assert found.rise_percent_error < 1e-9


def test_drift_per_second_follows_the_true_times() -> None:
    # Triggered frames: a pause in the middle makes time and number two things.
    positions = np.arange(1000, dtype=np.int64)
    times = positions * 0.01 + 50.0 * (positions >= 500)
    totals = np.rint(1e8 + 1000 * times).astype(np.uint64)
    expected = pytest.approx(1000 * 100 / totals.mean(), rel=1e-5)
    assert over_time(Measured(positions, totals, times, 0.01)).percent_per_s == expected
    times[7] = np.nan  # one frame that tells no time changes nothing
    assert over_time(Measured(positions, totals, times, 0.01)).percent_per_s == expected
    assert over_time(Measured(positions, totals, times)).percent_per_s == expected


def test_steps_are_no_drift() -> None:
    positions = np.arange(3000, dtype=np.int64)
    totals = (10**7 - 3 * positions + 40_000 * (positions // 1000)).astype(np.uint64)
    found = drift(Measured(positions, totals), [1000, 2000])
    assert found.percent_per_frame == pytest.approx(-3 * 100 / totals.mean())
    assert math.isnan(found.percent_per_s)


def test_errors_of_the_drift_are_those_of_its_scatter() -> None:
    deviations = []
    for seed in range(60):
        run = scenario(seed, modules=False)
        used = ~run.excluded
        measured = Measured(
            run.positions[used], run.totals[used], run.times_s[used], run.frame_time_s
        )
        found = drift(measured, run.topups)
        part = (measured.positions[-1] - measured.positions[0]) / 44_999
        off = found.rise_percent - run.drift_percent * part
        deviations.append(off / found.rise_percent_error)
    # 60 normal deviates: their rms lies within 0.7 and 1.3 in 999 of 1000 cases.
    assert 0.7 < np.sqrt(np.mean(np.square(deviations))) < 1.3


@pytest.mark.parametrize("values", [[], [5], [5, 6], [0, 0, 0], [9] * 50])
def test_undefined_drift_is_null_in_json(values: list[int]) -> None:
    measured = Measured(
        np.arange(len(values)), np.array(values, np.uint64), frame_time_s=1.0
    )
    found = json.loads(json.dumps(over_time(measured).as_dict(), allow_nan=False))
    assert found["n"] == len(values)
    if len(values) < 3:
        assert found["percent_per_frame_error"] is None
    if len(values) == 50:
        assert (found["percent_per_s"], found["percent_per_s_error"]) == (0, 0)
