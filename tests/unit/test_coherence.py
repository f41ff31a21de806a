from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
from beams import RATE_HZ

from eigerwatch.analysis.coherence import coherence
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import Signal, plain_signal
from eigerwatch.analysis.timebase import time_base


def signal_of(values: np.ndarray) -> Signal:
    n = values.size
    base = time_base(
        Measured(np.arange(n), np.zeros(n, np.uint64), np.arange(n) / RATE_HZ)
    )
    return plain_signal(values, base)


def test_agrees_with_scipy() -> None:
    rng = np.random.default_rng(1)
    common = rng.normal(size=22 * 1024)
    first, second = (common + rng.normal(size=common.size) for _ in range(2))
    found = coherence(signal_of(first), signal_of(second))
    length = 2 * (found.frequencies_hz.size - 1)
    _, expected = scipy.signal.coherence(
        first, second, RATE_HZ, "hann", length, length // 2, detrend="linear"
    )
    np.testing.assert_allclose(found.coherence[1:], expected[1:], rtol=1e-7)


def test_the_share_is_that_of_the_common_part() -> None:
    rng = np.random.default_rng(2)
    common = 2 * rng.normal(size=45_000)
    first = signal_of(common + rng.normal(size=45_000))
    second = signal_of(0.1 * common)
    assert coherence(first, second).share == pytest.approx(0.8, abs=0.03)
    assert coherence(first, first).share == pytest.approx(1, abs=1e-9)


def test_what_is_unrelated_is_significant_one_time_in_twenty() -> None:
    rng = np.random.default_rng(3)
    first, second = (signal_of(rng.normal(size=45_000)) for _ in range(2))
    found = coherence(first, second)
    exceeding = np.mean(found.coherence > found.significant)
    assert exceeding == pytest.approx(0.05, abs=0.02)
    assert found.share < 0.03


@pytest.mark.parametrize("n", [0, 2, 8])
def test_few_or_constant_values_are_defined(n: int) -> None:
    found = coherence(signal_of(np.ones(n)), signal_of(np.ones(n)))
    assert math.isnan(found.share)
    assert (found.frequencies_hz.size == 0) == (n < 8)
