from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.special
from scenarios import scenario

from eigerwatch.analysis.stationarity import _f_tail, stationarity

RNG = np.random.default_rng(17)


def test_stationary_runs_with_lines_and_slow_noise_hold() -> None:
    found = []
    for seed in range(40):
        run = scenario(seed, topups=0, damage=False, drift_percent=0, modules=False)
        found.append(stationarity(run.totals, run.positions))
    assert sum(not one.holds for one in found) <= 1
    # Their p values are spread evenly, as they should be by chance.
    for p_values in ([one.mean_p for one in found], [one.variance_p for one in found]):
        assert 0.3 < np.mean(p_values) < 0.7
        assert sum(p < 0.1 for p in p_values) <= 11


def test_drift_moves_the_mean_and_not_the_fluctuation() -> None:
    run = scenario(1, topups=0, damage=False, drift_percent=0.5, modules=False)
    found = stationarity(run.totals, run.positions)
    assert (found.mean_holds, found.variance_holds, found.holds) == (False, True, False)
    # The first and the last tenth are nine tenths of the drift apart.
    assert found.mean_spread_percent == pytest.approx(0.45, abs=0.05)
    assert found.reason.startswith("the mean changes by 0.4")


def test_topup_moves_the_mean_and_its_step_is_no_fluctuation() -> None:
    run = scenario(2, topups=1, damage=False, drift_percent=0, modules=False)
    used = ~run.excluded
    found = stationarity(run.totals[used], run.positions[used], run.topups)
    assert (found.mean_holds, found.variance_holds) == (False, True)


def test_growing_fluctuation_is_seen() -> None:
    values = 1e6 + RNG.normal(size=20_000) * np.linspace(900, 1100, 20_000)
    found = stationarity(values)
    assert (found.mean_holds, found.variance_holds) == (True, False)
    assert found.std_spread_percent == pytest.approx(18, abs=4)
    assert "the fluctuation changes by" in found.reason


@pytest.mark.parametrize("ratio", [0.1, 0.8, 1.5, 3.0, 5.0])
@pytest.mark.parametrize("freedom", [20.0, 60.0, 400.0])
def test_tail_of_f(ratio: float, freedom: float) -> None:
    expected = scipy.special.fdtrc(9, freedom, ratio)
    assert _f_tail(ratio, 9, freedom) == pytest.approx(expected, rel=0.15, abs=1e-6)


@pytest.mark.parametrize("n", [0, 1, 2, 199])
def test_too_few_frames_are_not_judged(n: int) -> None:
    found = stationarity(RNG.poisson(1e6, n).astype(np.uint64))
    assert (found.holds, found.reason) == (None, f"not enough data (n = {n})")
    assert json.loads(json.dumps(found.as_dict(), allow_nan=False))["mean_p"] is None


def test_no_beam_is_not_judged() -> None:
    found = stationarity(np.zeros(500, np.uint64))
    assert (found.holds, found.reason) == (None, "no beam: the mean is 0")


def test_equal_frames_hold() -> None:
    found = stationarity(np.full(500, 9, np.uint64))
    assert found.holds
    assert found.as_dict()["reason"] == "every frame has the same value"


def test_a_straight_line_is_a_drift_without_fluctuation() -> None:
    found = stationarity(np.arange(1000, 2000, dtype=np.uint64))
    assert not found.mean_holds
    json.dumps(found.as_dict(), allow_nan=False)
