from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.stats
from helpers import SHARED_DATA

from eigerwatch.analysis.bootstrap import uncertainty
from eigerwatch.analysis.shot_noise import judge, judge_table, shot_noise
from eigerwatch.analysis.statistics import describe

RNG = np.random.default_rng(7)


def test_pure_counting_leaves_nothing_for_the_beam() -> None:
    table = describe(RNG.poisson(26_892, 100_000)).raw
    noise = shot_noise(table)
    assert noise.cv_shot_percent == pytest.approx(100 / math.sqrt(table.mean))
    assert noise.fano == pytest.approx(1, abs=0.03)
    assert noise.cv_beam_percent < 0.2 * noise.cv_shot_percent


def test_known_beam_noise_is_found() -> None:
    beam = RNG.normal(1, 0.0014, 100_000)
    noise = shot_noise(describe(RNG.poisson(6_485_052 * beam)).raw)
    assert noise.cv_shot_percent == pytest.approx(0.0393, abs=1e-4)
    assert noise.cv_beam_percent == pytest.approx(0.14, rel=0.02)


def test_less_than_counting_is_no_beam_noise() -> None:
    noise = shot_noise(describe([100, 101, 100, 101]).raw)
    assert noise.cv_beam_percent == 0
    assert noise.fano < 1


@pytest.mark.parametrize("values", [[], [0, 0, 0], [5]])
def test_undefined_is_null_in_json(values: list[int]) -> None:
    noise = shot_noise(describe(np.array(values, np.uint64)).raw)
    found = json.loads(json.dumps(noise.as_dict(), allow_nan=False))
    assert found["cv_beam_percent"] is None
    assert found["fano"] is None


@pytest.mark.realdata
def test_published_sums_of_the_origin_are_photon_limited() -> None:
    path = SHARED_DATA / "origin_399_sums.csv"
    sums = np.loadtxt(path, np.uint64, delimiter=",", skiprows=1, usecols=1)
    table, found = describe(sums).detrended, uncertainty(sums)
    judged = judge(table.mean, found.cv_beam.low, found.cv_beam.high)
    assert (judged.verdict, judged.approximate) == ("photon_limited", False)
    from_table = judge_table(table.count, table.mean, table.cv_percent)
    assert from_table.verdict == "photon_limited"


def test_published_table_of_the_origin_is_beam_limited() -> None:
    judged = judge_table(40_000, 6_485_052, 0.1379)
    assert (judged.verdict, judged.approximate) == ("beam_limited", True)
    assert judged.cv_shot_percent == pytest.approx(0.0393, abs=5e-5)
    assert "taken for independent" in judged.reason


@pytest.mark.parametrize(
    ("low", "high", "verdict"),
    [
        (0.0, 0.05, "photon_limited"),
        (0.05, 0.15, "mixed"),
        (0.0, 0.1, "mixed"),
        (0.1, 0.2, "mixed"),
        (0.11, 0.2, "beam_limited"),
    ],
)
def test_verdict_follows_from_the_interval(
    low: float, high: float, verdict: str
) -> None:
    assert judge(1e6, low, high).verdict == verdict


@pytest.mark.parametrize("count", [8, 20, 399, 40_000])
def test_interval_from_a_table_is_that_of_the_variance(count: int) -> None:
    judged = judge_table(count, 1e30, 0.2)
    ratios = scipy.stats.chi2.ppf([0.975, 0.025], count - 1) / (count - 1)
    expected = 0.2 / np.sqrt(ratios)
    found = [judged.low_percent, judged.high_percent]
    np.testing.assert_allclose(found, expected, rtol=0.01)


@pytest.mark.parametrize(
    ("count", "mean", "cv", "reason"),
    [
        (0, math.nan, math.nan, "not enough data (n = 0)"),
        (2, 100.0, 3.0, "not enough data (n = 2)"),
        (100, 0.0, math.nan, "no beam: the mean is 0"),
        (100, 1e6, math.nan, "not enough data for an interval of CV_beam"),
    ],
)
def test_too_little_to_judge(count: int, mean: float, cv: float, reason: str) -> None:
    judged = judge_table(count, mean, cv)
    assert (judged.verdict, judged.reason) == (None, reason)
    json.dumps(judged.as_dict(), allow_nan=False)
