from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from hypothesis import given, settings
from hypothesis import strategies as st
from scenarios import Scenario, scenario

from eigerwatch.analysis.bootstrap import Interval, Uncertainty, _expanded, uncertainty
from eigerwatch.analysis.statistics import describe

RNG = np.random.default_rng(13)


def of(run: Scenario) -> Uncertainty:
    used = ~run.excluded
    return uncertainty(run.totals[used], run.positions[used], run.topups)


def covers(interval: Interval, truth: float) -> bool:
    return interval.low <= truth <= interval.high


def test_intervals_cover_the_truth(request: pytest.FixtureRequest) -> None:
    n = request.config.getoption("--scenarios")
    hits = {"CV": 0, "CV_beam": 0}
    for seed in range(n):
        run = scenario(seed, modules=False)
        found = of(run)
        hits["CV"] += covers(found.cv_detrended, run.cv_percent)
        hits["CV_beam"] += covers(found.cv_beam, run.cv_beam_percent)
    print(f"of {n} runs covered:", hits)
    for covered in hits.values():
        if n >= 200:
            assert 0.90 * n <= covered <= 0.99 * n
        else:
            # What 90 % would fall below once in a thousand times.
            assert covered >= scipy.stats.binom.ppf(0.001, n, 0.90)


def test_width_is_that_of_the_scatter_of_slow_noise() -> None:
    # Frames taken for independent would make these intervals a third as wide.
    estimates, widths = [], []
    for seed in range(60):
        run = scenario(
            seed,
            topups=0,
            damage=False,
            lines=0,
            one_over_f_percent=0.15,
            mean=5e6,
            modules=False,
        )
        found = of(run)
        estimates.append(
            describe(run.totals, run.positions).detrended.cv_percent / run.cv_percent
        )
        widths.append(
            (found.cv_detrended.high - found.cv_detrended.low) / run.cv_percent
        )
    assert np.mean(widths) / (2 * 1.96 * np.std(estimates)) == pytest.approx(
        1, abs=0.25
    )


def test_interval_of_independent_frames_is_that_of_the_variance() -> None:
    values = RNG.poisson(1e6, 40_000).astype(np.uint64)
    found = uncertainty(values)
    table = describe(values)
    limits = np.sqrt(39_999 / scipy.stats.chi2.ppf([0.975, 0.025], 39_999))
    for interval, cv in (
        (found.cv_raw, table.raw.cv_percent),
        (found.cv_detrended, table.detrended.cv_percent),
    ):
        np.testing.assert_allclose(
            [interval.low / cv - 1, interval.high / cv - 1], limits - 1, rtol=0.3
        )


def test_raw_interval_contains_the_drift() -> None:
    values = RNG.poisson(1e6 * (1 + 0.02 * np.linspace(-0.5, 0.5, 20_000)))
    found = uncertainty(values.astype(np.uint64))
    assert covers(found.cv_raw, describe(values).raw.cv_percent)
    assert found.cv_raw.low > 4 * found.cv_detrended.high


def test_beam_interval_begins_at_zero_where_counting_explains_all() -> None:
    found = uncertainty(RNG.poisson(1e6, 40_000).astype(np.uint64))
    assert found.cv_beam.low == 0
    assert 0 < found.cv_beam.high < 0.03


def test_same_frames_have_the_same_intervals() -> None:
    values = RNG.poisson(1e6, 3000).astype(np.uint64)
    assert uncertainty(values) == uncertainty(values.copy())


def test_no_block_reaches_across_a_boundary() -> None:
    # At the boundary the noise becomes ten times as strong: a block across it would
    # be something between the two halves.
    values = np.concatenate([RNG.normal(1e6, 100, 5000), RNG.normal(1e6, 1000, 5000)])
    apart = uncertainty(values, None, [5000])
    assert apart.blocks == round(10_000 / apart.block_length)
    assert covers(apart.cv_detrended, 100 * math.sqrt((100**2 + 1000**2) / 2) / 1e6)


def test_pieces_shorter_than_a_block_shorten_it() -> None:
    values = RNG.poisson(1e6, 8000).astype(np.uint64)
    boundaries = list(range(40, 8000, 40))
    found = uncertainty(values, None, boundaries)
    assert found.block_length <= 40
    assert covers(found.cv_detrended, 0.1)
    # Frames scattered evenly are no pieces at all.
    scattered = np.sort(RNG.choice(10**7, 8000, replace=False))
    assert uncertainty(values, scattered).block_length > 80


@pytest.mark.parametrize("blocks", [8, 20, 70, 1000])
def test_quantiles_are_expanded_by_students_t(blocks: int) -> None:
    t = scipy.stats.t.ppf(0.975, blocks - 1) * math.sqrt(blocks / (blocks - 1))
    expected = scipy.stats.norm.cdf(-t)
    assert _expanded(0.95, blocks)[0] == pytest.approx(expected, rel=0.03)


@pytest.mark.parametrize("values", [[], [5], [5, 6], [7] * 49])
def test_too_few_frames_have_no_interval(values: list[int]) -> None:
    found = uncertainty(np.array(values, np.uint64))
    assert found.reason == f"not enough data (n = {len(values)})"
    as_read = json.loads(json.dumps(found.as_dict(), allow_nan=False))
    assert as_read["cv_beam"] == {"low": None, "high": None}


def test_no_beam_has_no_interval() -> None:
    found = uncertainty(np.zeros(100, np.uint64))
    assert found.reason == "no beam: the mean is 0"
    json.dumps(found.as_dict(), allow_nan=False)


def test_frames_that_are_all_equal_are_sure() -> None:
    found = uncertainty(np.full(100, 2**60, np.uint64))
    assert found.cv_raw == found.cv_detrended == found.cv_beam == Interval(0, 0)


def test_a_boundary_before_every_second_frame_leaves_nothing_to_measure() -> None:
    found = uncertainty(
        np.arange(1, 101, dtype=np.uint64), None, list(range(0, 100, 2))
    )
    assert found.reason == "not enough data (n = 100)"


@settings(max_examples=60, deadline=None)
@given(
    n=st.integers(50, 250),
    mean=st.sampled_from([0.02, 3.0, 1e6, 1e18]),
    furthest=st.sampled_from([1, 3, 10**9]),
    boundaries=st.lists(st.integers(0, 400), max_size=5),
    seed=st.integers(0, 2**32 - 1),
)
def test_limits_are_in_order_whatever_is_counted(
    n: int, mean: float, furthest: int, boundaries: list[int], seed: int
) -> None:
    rng = np.random.default_rng(seed)
    positions = np.cumsum(rng.integers(1, furthest + 1, n))
    found = uncertainty(rng.poisson(mean, n).astype(np.uint64), positions, boundaries)
    json.dumps(found.as_dict(), allow_nan=False)
    if not found.reason:
        assert 0 <= found.cv_raw.low <= found.cv_raw.high
        assert 0 <= found.cv_detrended.low <= found.cv_detrended.high
        assert 0 <= found.cv_beam.low <= found.cv_beam.high <= found.cv_detrended.high
