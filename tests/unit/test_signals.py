from __future__ import annotations

import numpy as np
import pytest
import scipy.signal

from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import intensity_signal, plain_signal
from eigerwatch.analysis.timebase import TimeBase, time_base

RNG = np.random.default_rng(3)


def base_of(positions: np.ndarray) -> TimeBase:
    positions = np.asarray(positions, np.int64)
    totals = np.zeros(positions.size, np.uint64)
    return time_base(Measured(positions, totals, None, 0.001))


def test_counts_become_relative_to_their_mean() -> None:
    signal = intensity_signal([90, 100, 110], base_of(np.arange(3)))
    np.testing.assert_allclose(signal.values, [-0.1, 0, 0.1], atol=1e-15)
    assert (signal.mean, signal.n) == (100, 3)
    assert signal.shot_density == pytest.approx(2 / 100 / 1000)


def test_sums_beyond_2_to_53_keep_their_differences() -> None:
    counts = np.uint64(2**62) + np.arange(4).astype(np.uint64)
    signal = intensity_signal(counts, base_of(np.arange(4)))
    np.testing.assert_allclose(signal.values * 2**62, [-1.5, -0.5, 0.5, 1.5])


def test_missing_frames_are_slots_without_a_value() -> None:
    signal = intensity_signal([1, 2, 3], base_of(np.array([5, 6, 9])))
    assert signal.measured.tolist() == [True, True, False, False, True]
    assert signal.missing == 2
    assert signal.stretches.tolist() == [[0, 5]]


def test_exclusions_and_cuts_divide_stretches_and_missing_frames_do_not() -> None:
    positions = np.delete(np.arange(20), 3)
    excluded = np.zeros(19, np.bool_)
    excluded[[9, 10]] = True
    signal = intensity_signal(np.ones(19), base_of(positions), excluded, [6, 15])
    assert signal.stretches.tolist() == [[0, 7], [7, 10], [12, 16], [16, 20]]
    assert signal.n == 17


def test_each_stretch_loses_its_own_line() -> None:
    values = RNG.normal(size=100)
    signal = plain_signal(values, base_of(np.arange(100)), cuts=[40])
    expected = [scipy.signal.detrend(part) for part in (values[:40], values[40:])]
    np.testing.assert_allclose(signal.detrended(), np.concatenate(expected), atol=1e-12)


def test_a_line_is_fitted_where_the_frames_are() -> None:
    positions = np.array([0, 1, 2, 7, 8, 20])
    signal = plain_signal(3.0 * positions, base_of(positions))
    np.testing.assert_allclose(signal.detrended(), 0, atol=1e-12)


def test_frames_beyond_a_very_long_pause_are_left_out() -> None:
    positions = np.concatenate([np.arange(100), 10**9 + np.arange(300)])
    signal = intensity_signal(np.ones(400), base_of(positions))
    assert signal.n == 300
    assert "100 frames" in signal.text


@pytest.mark.parametrize(
    ("counts", "excluded", "reason"),
    [
        ([], None, "n = 0"),
        ([4, 5], [True, True], "n = 0"),
        ([0, 0, 0], None, "mean is 0"),
    ],
)
def test_nothing_to_analyse_has_a_reason(
    counts: list[int], excluded: list[bool] | None, reason: str
) -> None:
    left_out = None if excluded is None else np.array(excluded)
    signal = intensity_signal(counts, base_of(np.arange(len(counts))), left_out)
    assert signal.n == 0
    assert reason in signal.text
