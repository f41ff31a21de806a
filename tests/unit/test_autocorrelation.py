from __future__ import annotations

import json

import numpy as np
import pytest
import scipy.signal

from eigerwatch.analysis.autocorrelation import (
    autocorrelation,
    block_length,
    correlation,
    integrated_time,
)


def ar1(phi: float, n: int, seed: int = 1) -> np.ndarray:
    """Draw a series whose coefficient at lag k is phi^k."""
    noise = np.random.default_rng(seed).normal(size=n + 1000)
    return scipy.signal.lfilter([1], [1, -phi], noise)[1000:]


def test_coefficients_are_those_of_direct_sums() -> None:
    values = ar1(0.7, 500)
    rest = values - values.mean()
    direct = scipy.signal.correlate(rest, rest, method="direct")[499:]
    found = autocorrelation(values, max_lag=499)
    np.testing.assert_allclose(found, direct / direct[0], atol=1e-12)


def test_missing_frames_are_no_neighbours() -> None:
    whole = ar1(0.9, 200_000)
    stored = np.random.default_rng(2).random(whole.size) < 0.5
    found = autocorrelation(whole[stored], np.flatnonzero(stored), 30)
    np.testing.assert_allclose(found, 0.9 ** np.arange(31), atol=0.03)
    assert autocorrelation(whole[stored], max_lag=30)[10] < 0.2


def test_frames_beside_a_long_gap_are_no_neighbours() -> None:
    values = ar1(0.8, 4000)
    positions = np.arange(4000) + 10**7 * (np.arange(4000) >= 2000)
    rest = values - values.mean()
    pairs = sum(part[:-5] @ part[5:] for part in (rest[:2000], rest[2000:]))
    expected = pairs / (rest @ rest) * (4000 - 5) / (4000 - 10)
    assert autocorrelation(values, positions, 20)[5] == pytest.approx(expected)


def test_lag_without_pairs_is_unknown_and_zero() -> None:
    values = ar1(0.5, 5000)
    every_second = autocorrelation(values, 2 * np.arange(5000), 20)
    assert not every_second[1::2].any()
    np.testing.assert_allclose(
        every_second[::2], autocorrelation(values)[:11], atol=5e-3
    )


@pytest.mark.parametrize("phi", [0.0, 0.5, 0.9])
def test_integrated_time_of_a_known_series(phi: float) -> None:
    found = integrated_time(autocorrelation(ar1(phi, 200_000)))
    assert found == pytest.approx((1 + phi) / (1 - phi), rel=0.1)


def test_effective_sizes_are_those_of_the_scatter_of_many_runs() -> None:
    runs = ar1(0.8, 400 * 2000).reshape(400, 2000)
    power = 1 / (1 - 0.8**2)
    found = correlation(ar1(0.8, 2000 * 50))
    for_mean = power / runs.mean(axis=1).var() / 2000
    for_variance = 2 * power**2 / np.mean(runs**2, axis=1).var() / 2000
    assert found.effective_for_mean / found.n == pytest.approx(for_mean, rel=0.25)
    assert found.effective_for_variance / found.n == pytest.approx(
        for_variance, rel=0.25
    )


@pytest.mark.parametrize(("phi", "n"), [(0.5, 50_000), (0.9, 100_000)])
def test_block_length_is_that_of_the_published_formula(phi: float, n: int) -> None:
    # For coefficients phi^k the sums of Politis and White have closed forms.
    power = (1 + phi) / (1 - phi)
    bend = 2 * phi / (1 - phi) ** 2
    expected = (2 * bend**2 / (4 / 3 * power**2) * n) ** (1 / 3)
    found = block_length(phi ** np.arange(400.0), n)
    assert found == pytest.approx(expected, rel=0.05)
    sampled = [block_length(autocorrelation(ar1(phi, n, s)), n) for s in range(5)]
    assert np.median(sampled) == pytest.approx(expected, rel=0.25)


def test_blocks_stay_within_bounds_whatever_the_series() -> None:
    time = np.arange(45_000) / 746
    noise = np.random.default_rng(4).normal(size=45_000)
    for line_hz in (1.3, 50, 372):
        values = noise + 10 * np.sin(2 * np.pi * line_hz * time)
        assert 212 <= correlation(values).block_length <= 637
    assert correlation(noise).block_length == 212
    assert correlation(noise[:80]).block_length <= 10


def test_periodic_values_are_never_worth_more_than_their_number() -> None:
    found = correlation(np.sin(0.3 * np.arange(5000)))
    assert found.effective_for_mean == 5000
    assert found.time_frames < 1


@pytest.mark.parametrize("values", [[], [4], [4, 5], [7] * 100])
def test_undefined_is_null_in_json(values: list[float]) -> None:
    found = json.loads(json.dumps(correlation(values).as_dict(), allow_nan=False))
    assert found["n"] == len(values)
    assert found["time_frames"] is None
    assert found["block_length"] >= 1


def test_frames_scattered_far_apart_take_no_more_room_than_their_number() -> None:
    rng = np.random.default_rng(5)
    positions = np.sort(rng.choice(2**40, 2000, replace=False))
    found = autocorrelation(rng.normal(size=2000), positions)
    assert found[0] == 1
    assert not found[1:].any()
