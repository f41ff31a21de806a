from __future__ import annotations

import numpy as np
import pytest

from eigerwatch.analysis.floor import FIRST, noise_floor

K = np.arange(22_500)


def ordinates(level: np.ndarray, seed: int) -> np.ndarray:
    return level * np.random.default_rng(seed).exponential(size=level.size)


@pytest.mark.parametrize("exponent", [0.0, 1.0, 1.7])
@pytest.mark.parametrize("corner", [1, 60])
def test_follows_white_and_red_noise(exponent: float, corner: int) -> None:
    level = 1 + 50 * (60 / np.maximum(K, corner)) ** exponent
    found = noise_floor(ordinates(level, 1))
    assert found is not None
    ratio = found.density[FIRST:] / level[FIRST:]
    # As sure as it says: for 9 in 10 within 2 standard errors, none beyond 6.
    off = np.abs(np.log(ratio)) * np.sqrt(found.ordinates[FIRST:])
    assert np.mean(off < 2) > 0.9
    assert off.max() < 6


def test_lines_do_not_raise_it() -> None:
    lines = np.ones(K.size)
    lines[np.random.default_rng(2).integers(FIRST, K.size, 100)] = 1e6
    with_lines = noise_floor(ordinates(lines, 3))
    without = noise_floor(ordinates(np.ones(K.size), 3))
    assert with_lines is not None
    assert without is not None
    ratio = with_lines.density[FIRST:] / without.density[FIRST:]
    assert np.abs(np.log(ratio)).max() < 0.1


def test_a_hump_wider_than_a_line_belongs_to_it() -> None:
    level = 1 + 20 * np.exp(-0.5 * ((K - 5000) / 60.0) ** 2)
    found = noise_floor(ordinates(level, 4))
    assert found is not None
    assert found.density[5000] == pytest.approx(level[5000], rel=0.5)
    assert found.ordinates[5000] < found.ordinates[9000]


def test_a_silent_signal_has_a_level_above_zero() -> None:
    found = noise_floor(np.zeros(1000))
    assert found is not None
    assert np.all(found.density[FIRST:] > 0)


def test_few_ordinates_have_no_floor() -> None:
    assert noise_floor(np.ones(FIRST + 15)) is None
    assert noise_floor(np.ones(FIRST + 16)) is not None
