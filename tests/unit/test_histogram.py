from __future__ import annotations

import math
from typing import Literal

import numpy as np
import pytest

from eigerwatch.analysis.detrending import detrended
from eigerwatch.analysis.histogram import MOST_BINS, Histogram, histogram

N = 45_000
MEAN = 26_892


def counted(
    totals: np.ndarray, unit: Literal["normalised", "counts"] = "normalised"
) -> Histogram:
    return histogram(totals, detrended(totals).residuals, unit)


@pytest.fixture
def photons() -> np.ndarray:
    return np.random.default_rng(5).poisson(MEAN, N).astype(np.uint64)


def test_bars_are_numpys(photons: np.ndarray) -> None:
    found = counted(photons, "counts")
    raw, _ = np.histogram(photons.astype(float), found.edges)
    rest = detrended(photons).residuals + photons.mean()
    flat, _ = np.histogram(rest, found.edges)

    np.testing.assert_array_equal(found.raw, raw)
    np.testing.assert_array_equal(found.detrended, flat)
    assert found.raw.sum() + sum(found.raw_outside) == N
    assert found.detrended.sum() + sum(found.detrended_outside) == N
    assert found.raw_width == pytest.approx(photons.std(ddof=1))
    assert found.mean == pytest.approx(photons.mean())


def test_pure_counting_follows_the_curve(photons: np.ndarray) -> None:
    found = counted(photons)
    sigma = 1 / math.sqrt(photons.mean())
    assert found.counting_width == pytest.approx(sigma)
    assert found.detrended_width == pytest.approx(sigma, rel=0.02)

    centres = (found.edges[1:] + found.edges[:-1]) / 2
    expected = np.interp(centres, found.curve_x, found.curve_y, 0, 0)
    # Within five standard deviations of a bar's own counting.
    assert np.all(np.abs(found.raw - expected) < 5 * np.sqrt(expected + 4))


def test_the_curve_has_the_area_of_the_bars(photons: np.ndarray) -> None:
    found = counted(photons)
    width = found.edges[1] - found.edges[0]
    area = np.trapezoid(found.curve_y, found.curve_x)
    assert area == pytest.approx(N * width, rel=1e-3)
    top = found.curve_x[np.argmax(found.curve_y)]
    assert top == pytest.approx(1)


def test_units_differ_by_the_mean(photons: np.ndarray) -> None:
    parts, counts = counted(photons), counted(photons, "counts")
    np.testing.assert_allclose(parts.edges * counts.mean, counts.edges)
    np.testing.assert_allclose(parts.curve_x * counts.mean, counts.curve_x)
    np.testing.assert_array_equal(parts.raw, counts.raw)
    np.testing.assert_allclose(parts.curve_y, counts.curve_y)


def test_a_trend_widens_only_the_raw_bars() -> None:
    random = np.random.default_rng(6)
    level = 6e6 * (1 + 0.01 * np.arange(N) / N)
    found = counted(random.poisson(level).astype(np.uint64))
    assert found.raw_width > 3 * found.detrended_width
    assert np.count_nonzero(found.raw) > 3 * np.count_nonzero(found.detrended)
    assert found.detrended_width == pytest.approx(found.counting_width, rel=0.03)


def test_frames_far_out_are_counted_but_get_no_bins(photons: np.ndarray) -> None:
    photons[7], photons[8] = 0, 10 * MEAN
    found = counted(photons)
    assert found.raw_outside == (1, 1)
    assert found.detrended_outside == (1, 1)
    assert found.edges[0] > 0.9
    assert found.edges[-1] < 1.1
    assert found.raw.size <= MOST_BINS + 1
    assert "2 detrended outside" in found.text


@pytest.mark.parametrize("mean", [0.2, 3.0, 40.0])
def test_few_photons_have_a_bin_for_each_possible_sum(mean: float) -> None:
    totals = np.random.default_rng(7).poisson(mean, 5000).astype(np.uint64)
    found = counted(totals, "counts")
    np.testing.assert_allclose(np.diff(found.edges), round(np.diff(found.edges)[0]))
    middle = found.edges - np.floor(found.edges)
    np.testing.assert_allclose(middle, 0.5, atol=1e-6)


def test_sums_beyond_2_to_the_53_keep_their_differences() -> None:
    totals = np.array([2**60 + k for k in range(100)], np.uint64)
    found = histogram(totals, np.zeros(100), "counts")
    assert found.raw_width == pytest.approx(np.arange(100).std(ddof=1))
    assert found.raw.sum() == 100


def test_wide_distributions_have_few_bins() -> None:
    totals = np.random.default_rng(8).integers(0, 2**40, N).astype(np.uint64)
    found = counted(totals)
    assert 10 < found.raw.size <= MOST_BINS + 1
    assert found.raw.sum() + sum(found.raw_outside) == N


@pytest.mark.parametrize("totals", [[], [5], [5] * 7])
def test_too_few_frames(totals: list[int]) -> None:
    found = counted(np.array(totals, np.uint64))
    assert found.edges.size == found.raw.size == found.curve_x.size == 0
    assert found.text == f"not enough data (n = {len(totals)})"


@pytest.mark.parametrize("value", [0, 7, 6_000_000])
def test_frames_that_are_all_alike(value: int) -> None:
    found = counted(np.full(50, value, np.uint64))
    assert found.raw.sum() == found.detrended.sum() == 50
    assert np.count_nonzero(found.raw) == 1
    assert (found.curve_x.size > 0) == (value > 0)
    assert None not in found.as_dict()["edges"]


def test_residuals_of_other_frames_are_refused() -> None:
    with pytest.raises(ValueError, match="10 sums"):
        histogram(np.ones(10), np.zeros(9))
