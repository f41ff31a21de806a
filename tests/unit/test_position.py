from __future__ import annotations

import json
import math

import numpy as np
import numpy.typing as npt
import pytest
from beams import RATE_HZ

from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.position import Position, beam_position
from eigerwatch.analysis.timebase import TimeBase, time_base

ROWS, COLUMNS = np.meshgrid(np.arange(8), np.arange(4), indexing="ij")
CENTRES = np.stack([550.0 * ROWS.ravel() + 257, 1040.0 * COLUMNS.ravel() + 515], axis=1)
SHARES = np.random.default_rng(0).lognormal(0, 0.5, 32)
SHARES /= SHARES.sum()
N = 20_000
WAVE = np.sin(2 * np.pi * 7 * np.arange(N) / RATE_HZ)
SLOPE = (CENTRES[:, 1] - CENTRES[:, 1].mean()) / np.ptp(CENTRES[:, 1])
MEAN = 5e6


def base_of(n: int) -> TimeBase:
    totals = np.zeros(n, np.uint64)
    return time_base(Measured(np.arange(n), totals, np.arange(n) / RATE_HZ))


def expected(
    common: npt.NDArray[np.float64], shift: npt.NDArray[np.float64]
) -> npt.NDArray[np.float64]:
    return MEAN * SHARES * (1 + common[:, None]) * (1 + shift[:, None] * SLOPE)


def position_of(rates: npt.NDArray[np.float64], seed: int) -> Position:
    regions = np.random.default_rng(seed).poisson(rates).astype(np.uint64)
    return beam_position(regions, CENTRES, base_of(len(regions)))


def test_regions_that_only_count_are_photon_limited() -> None:
    verdicts = [
        position_of(expected(np.zeros(2000), np.zeros(2000)), seed).verdict
        for seed in range(20)
    ]
    assert verdicts == ["photon_limited"] * 20


def test_counting_has_modes_of_size_one() -> None:
    found = position_of(expected(np.zeros(N), np.zeros(N)), 1)
    # Marchenko and Pastur: within (1 +- sqrt(regions/frames))^2.
    edge = math.sqrt(32 / N)
    assert found.modes[0] < (1 + edge) ** 2 * 1.02
    assert found.modes[-1] > (1 - edge) ** 2 * 0.98


def test_a_beam_that_flickers_is_told_from_one_that_moves() -> None:
    still = np.zeros(N)
    flicker = position_of(expected(2e-3 * WAVE, still), 2)
    move = position_of(expected(still, 2e-3 * WAVE), 3)
    assert (flicker.verdict, move.verdict) == ("flickers", "moves")
    assert flicker.common_rms == pytest.approx(2e-3 / math.sqrt(2), rel=0.02)
    assert flicker.common_share > 0.98
    # What regions exchange: the spread of the slope, each weighted by its share.
    spread = math.sqrt(SHARES @ (SLOPE - SHARES @ SLOPE) ** 2)
    assert move.differential_rms == pytest.approx(
        2e-3 * spread / math.sqrt(2), rel=0.05
    )
    assert move.gradient_share > 0.95
    assert "moves (horizontal)" in move.text
    assert "flickers" in flicker.text


def test_asymmetry_and_its_counting_level_are_calibrated() -> None:
    still = np.zeros(N)
    quiet = position_of(expected(still, still), 4)
    for each in quiet.asymmetries:
        assert each.rms == pytest.approx(each.shot_rms, rel=0.02)
        assert not each.significant
        level = each.spectrum.density[5:-5].mean() / each.spectrum.shot_density
        assert level == pytest.approx(1, abs=0.05)
    horizontal = position_of(expected(still, 5e-3 * WAVE), 5).asymmetries[0]
    far = CENTRES[:, 1] > CENTRES[:, 1].mean()
    upper, lower = SHARES[far].sum(), SHARES[~far].sum()
    rise = SHARES[far] @ SLOPE[far], SHARES[~far] @ SLOPE[~far]
    # Derivative of (far - near)/(far + near) by the shift.
    derivative = 2 * (lower * rise[0] - upper * rise[1]) / (upper + lower) ** 2
    assert horizontal.mean == pytest.approx(upper - lower, abs=1e-3)
    assert horizontal.excess_rms == pytest.approx(
        5e-3 * derivative / math.sqrt(2), rel=0.03
    )
    assert horizontal.significant


def test_intensity_that_follows_the_position_is_a_beam_on_a_slit() -> None:
    slit = position_of(expected(5e-3 * WAVE, 5e-3 * WAVE), 6)
    assert slit.verdict == "flickers_and_moves"
    assert slit.asymmetries[0].with_intensity.share > 0.9
    assert "of the intensity's variance goes with it" in slit.text
    other = np.sin(2 * np.pi * 31.7 * np.arange(N) / RATE_HZ)
    apart = position_of(expected(5e-3 * WAVE, 5e-3 * other), 7)
    assert apart.verdict == "flickers_and_moves"
    assert apart.asymmetries[0].with_intensity.share < 0.1


def test_exchange_without_a_slope_is_not_called_a_move() -> None:
    checkers = (-1.0) ** (ROWS + COLUMNS).ravel()
    rates = MEAN * SHARES * (1 + 2e-3 * WAVE[:, None] * checkers)
    found = position_of(rates, 8)
    assert found.gradient_share < 0.3
    assert "changes its shape" in found.text


def test_steps_between_stretches_are_no_flicker() -> None:
    step = np.where(np.arange(4000) < 2000, 0, 0.05)
    regions = np.random.default_rng(9).poisson(expected(step, np.zeros(4000)))
    regions = regions.astype(np.uint64)
    excluded = np.abs(np.arange(4000) - 2000) < 3
    base = base_of(4000)
    assert beam_position(regions, CENTRES, base).verdict == "flickers"
    calm = beam_position(regions, CENTRES, base, excluded)
    assert calm.verdict == "photon_limited"
    calm = beam_position(regions, CENTRES, base, cuts=[2000])
    assert calm.verdict == "photon_limited"


def test_covariance_is_that_of_the_detrended_regions() -> None:
    rates = expected(1e-3 * WAVE[:500], np.linspace(0, 1e-2, 500))
    regions = np.random.default_rng(10).poisson(rates).astype(np.uint64)
    found = beam_position(regions, CENTRES, base_of(500))
    place = np.stack([np.ones(500), np.arange(500)], axis=1)
    rest = (
        regions - place @ np.linalg.lstsq(place, regions.astype(float), rcond=None)[0]
    )
    rest /= np.sqrt(regions.mean(axis=0))
    expected_modes = np.linalg.svd(rest, compute_uv=False) ** 2 / 498
    np.testing.assert_allclose(found.modes, expected_modes, rtol=1e-6)


def test_rings_have_no_place_and_no_asymmetry() -> None:
    regions = np.random.default_rng(11).poisson(1e4, (500, 5)).astype(np.uint64)
    found = beam_position(regions, np.full((5, 2), math.nan), base_of(500))
    assert found.asymmetries == ()
    assert found.verdict == "photon_limited"
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize(
    "regions",
    [
        np.ones((0, 32)),
        np.ones((1, 32)),
        np.ones((2, 32)),
        np.ones((100, 1)),
        np.ones((100, 0)),
        np.zeros((100, 32)),
    ],
    ids=["n = 0", "n = 1", "n = 2", "one region", "no region", "dark"],
)
def test_too_little_gives_a_reason(regions: npt.NDArray[np.float64]) -> None:
    m = regions.shape[1]
    found = beam_position(regions.astype(np.uint64), CENTRES[:m], base_of(len(regions)))
    assert found.verdict == "unknown"
    assert found.text
    json.dumps(found.as_dict(), allow_nan=False)


def test_a_dark_module_takes_no_part() -> None:
    rates = expected(2e-3 * WAVE[:4000], np.zeros(4000))
    rates[:, 3] = 0
    found = position_of(rates, 12)
    assert found.verdict == "flickers"
    assert found.modes.size == 31
