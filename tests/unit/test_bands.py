from __future__ import annotations

import json
import math

import numpy as np
import pytest
from beams import counted, sines

from eigerwatch.analysis.bands import EDGES_HZ, band_budget
from eigerwatch.analysis.lines import find_lines
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import intensity_signal
from eigerwatch.analysis.timebase import time_base


def test_each_line_is_in_its_band_and_noise_in_proportion_to_width() -> None:
    lines = [(0.5, 2e-3), (5.5, 1e-3), (50.0, 3e-3), (300.0, 2e-3)]
    signal = counted(sines(45_000, lines), 1e6, np.random.default_rng(1))
    budget = band_budget(signal)
    line = np.array([2e-3, 1e-3, 0, 3e-3, 0, 2e-3]) ** 2 / 2
    width = np.diff([*EDGES_HZ, 373.0])
    expected = 100 * np.sqrt(line + 1e-6 * width / 373)
    found = [band.rms_percent for band in budget.bands]
    np.testing.assert_allclose(found, expected, rtol=0.03)
    shot = [band.shot_share for band in budget.bands]
    variance = (budget.rms_percent / 100) ** 2
    np.testing.assert_allclose(shot, 1e-6 * width / 373 / variance, rtol=1e-3)


@pytest.mark.parametrize("missing", [0.0, 0.05])
def test_shares_add_up_to_the_variance_of_the_frames(missing: float) -> None:
    rng = np.random.default_rng(2)
    gone = rng.random(9001) < missing
    excluded = np.zeros(9001, np.bool_)
    excluded[3000:3050] = True
    beam = sines(9001, [(20.0, 1e-3)])
    signal = counted(beam, 1e6, rng, missing=gone, excluded=excluded)
    budget = band_budget(signal)
    rest = signal.detrended()[signal.measured]
    assert budget.rms_percent == pytest.approx(100 * rest.std(), rel=1e-6)
    assert sum(band.share for band in budget.bands) == pytest.approx(1, rel=1e-12)
    squares = sum(band.rms_percent**2 for band in budget.bands)
    assert math.sqrt(squares) == pytest.approx(budget.rms_percent, rel=1e-12)


def test_gaps_do_not_move_a_lines_power_to_other_bands() -> None:
    rng = np.random.default_rng(3)
    gone = rng.random(20_000) < 0.05
    signal = counted(sines(20_000, [(100.0, 5e-3)]), 1e8, rng, missing=gone)
    budget = band_budget(signal, find_lines(signal).sines)
    shares = [band.share for band in budget.bands]
    assert shares[4] > 0.998
    blind = [band.share for band in band_budget(signal).bands]
    assert blind[4] < 0.99


@pytest.mark.parametrize("missing", [0.0, 0.01])
def test_a_strong_line_does_not_leak_into_the_bands_beside_its_own(
    missing: float,
) -> None:
    rng = np.random.default_rng(8)
    gone = rng.random(45_000) < missing
    # Half a bin from the ordinates of the record: most of it would leak.
    loud_hz = (664 + 0.5) * 746 / 45_000
    loud = counted(sines(45_000, [(loud_hz, 5e-3)]), 1e7, rng, missing=gone)
    quiet = counted(np.ones(45_000), 1e7, rng, missing=gone)
    of_loud = band_budget(loud, find_lines(loud).sines)
    of_quiet = band_budget(quiet)
    for place, (band, other) in enumerate(
        zip(of_loud.bands, of_quiet.bands, strict=True)
    ):
        # 60 ordinates in 0-1 Hz: the rms of noise is known to 6 %.
        expected = 0.5 / math.sqrt(2) if place == 2 else other.rms_percent
        assert band.rms_percent == pytest.approx(expected, rel=0.3), band
    assert sum(band.share for band in of_loud.bands) == pytest.approx(1, rel=1e-12)
    rest = loud.detrended()[loud.measured]
    assert of_loud.rms_percent == pytest.approx(100 * rest.std(), rel=1e-6)


def test_degrees_of_freedom_count_ordinates_of_noise() -> None:
    signal = counted(np.ones(45_000), 1e6, np.random.default_rng(4))
    for band in band_budget(signal).bands:
        ordinates = (band.high_hz - band.low_hz) * 45_000 / 746
        assert band.dof == pytest.approx(2 * ordinates, rel=0.35)


def test_own_edges_end_at_the_nyquist_frequency() -> None:
    signal = counted(np.ones(5000), 1e6, np.random.default_rng(5))
    bands = band_budget(signal, edges_hz=(0, 100, 500)).bands
    edges = [(band.low_hz, band.high_hz) for band in bands]
    assert edges == [(0, 100), (100, pytest.approx(373))]


def test_without_time_the_bands_are_per_frame() -> None:
    totals = np.random.default_rng(6).poisson(1000, 500).astype(np.uint64)
    base = time_base(Measured(np.arange(500), totals))
    budget = band_budget(intensity_signal(totals, base))
    assert budget.unit == "per frame"
    assert budget.bands[-1].high_hz == 0.5


@pytest.mark.parametrize("n", [0, 1, 2])
def test_too_few_frames_give_a_reason(n: int) -> None:
    budget = band_budget(counted(np.ones(n), 1e6, np.random.default_rng(7)))
    assert budget.bands == ()
    assert f"n = {n}" in budget.text


def test_constant_counts_have_no_shares() -> None:
    base = time_base(Measured(np.arange(100), np.zeros(100, np.uint64)))
    budget = band_budget(intensity_signal(np.full(100, 5), base))
    assert budget.rms_percent == 0
    assert json.loads(json.dumps(budget.as_dict()))["bands"][0]["share"] is None


def test_long_gaps_add_no_slow_fluctuation() -> None:
    """What is longer than a bridge stays out, as it does of the spectrum."""
    gone = np.zeros(45_000, np.bool_)
    for start in range(2000, 44_000, 2200):
        gone[start : start + 400] = True
    signal = counted(np.ones(45_000), 1e6, np.random.default_rng(6), missing=gone)
    budget = band_budget(signal)
    width = np.diff([*EDGES_HZ, 373.0]) / 373
    shares = [band.share for band in budget.bands]
    np.testing.assert_allclose(shares[1:], width[1:], rtol=0.15)
    assert shares[0] < 2 * width[0]
