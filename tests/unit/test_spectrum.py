from __future__ import annotations

import json
import math

import numpy as np
import pytest
import scipy.signal
import scipy.stats
from beams import RATE_HZ, counted, sines

from eigerwatch.analysis.lines import find_lines
from eigerwatch.analysis.measured import Measured
from eigerwatch.analysis.signals import plain_signal
from eigerwatch.analysis.spectrum import Spectrum, bridge, power_spectrum
from eigerwatch.analysis.timebase import TimeBase, time_base


def base_of(n: int) -> TimeBase:
    return time_base(
        Measured(np.arange(n), np.zeros(n, np.uint64), np.arange(n) / RATE_HZ)
    )


def test_agrees_with_scipy_where_segments_overlap_by_half() -> None:
    rng = np.random.default_rng(1)
    values = rng.normal(size=22 * 1024).cumsum()
    spectrum = power_spectrum(plain_signal(values, base_of(values.size)))
    length = spectrum.segment_frames
    frequencies, density = scipy.signal.welch(
        values, RATE_HZ, "hann", length, length // 2, detrend="linear"
    )
    assert values.size % (length // 2) == 0
    np.testing.assert_allclose(spectrum.frequencies_hz, frequencies, rtol=1e-9)
    np.testing.assert_allclose(spectrum.density, density, rtol=1e-8)


def test_the_integral_is_the_variance() -> None:
    rng = np.random.default_rng(2)
    lines = [(50.01, 2e-3), (211.3, 1e-3)]
    signal = counted(sines(45_000, lines), 1e6, rng)
    spectrum = power_spectrum(signal)
    rest = signal.detrended()
    assert spectrum.variance == pytest.approx(float(rest @ rest) / signal.n, rel=3e-3)
    assert spectrum.variance == pytest.approx(2e-6 + 0.5e-6 + 1e-6, rel=0.01)


def test_one_segment_has_the_mean_square_of_its_window() -> None:
    rng = np.random.default_rng(3)
    values = rng.normal(size=64)
    spectrum = power_spectrum(plain_signal(values, base_of(64)))
    window = scipy.signal.windows.hann(64, sym=False)
    tapered = scipy.signal.detrend(values) * window
    expected = float(tapered @ tapered) / float(window @ window)
    assert spectrum.segments == 1
    # One-sided: the ends are not doubled, the sum over both sides is exact.
    assert spectrum.variance == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("missing", [0.0, 0.01, 0.1])
def test_photon_counting_lies_on_its_level_at_all_frequencies(missing: float) -> None:
    rng = np.random.default_rng(4)
    gone = rng.random(45_000) < missing
    signal = counted(np.ones(45_000), 2e6, rng, missing=gone)
    spectrum = power_spectrum(signal)
    assert spectrum.shot_density == pytest.approx(2 / 2e6 / RATE_HZ, rel=1e-4)
    ratio = spectrum.density / spectrum.shot_density
    for low, high in ((5, 120), (120, 250), (250, 372)):
        chosen = (spectrum.frequencies_hz > low) & (spectrum.frequencies_hz < high)
        # 600 ordinates of 38 degrees of freedom, half of them independent; and what
        # the neighbours put into gaps at low frequencies, a sixteenth of the share.
        assert ratio[chosen].mean() == pytest.approx(1, abs=0.04 + missing / 8)


def test_lines_keep_their_power_through_gaps() -> None:
    rng = np.random.default_rng(5)
    gone = rng.random(45_000) < 0.05
    signal = counted(sines(45_000, [(200.0, 5e-3)]), 1e7, rng, missing=gone)
    with_lines = power_spectrum(signal, find_lines(signal).sines)
    near = np.abs(with_lines.frequencies_hz - 200) < 2
    power = float(with_lines.density[near].sum()) * with_lines.step_hz
    assert power == pytest.approx(0.5 * 5e-3**2, rel=0.01)
    # Without the line in the gaps its power would be noise there.
    floor = np.median(with_lines.density[~near]) / with_lines.shot_density
    blind = np.median(power_spectrum(signal).density[~near]) / with_lines.shot_density
    assert floor == pytest.approx(1, abs=0.05)
    assert blind > 2


def test_degrees_of_freedom_predict_the_scatter() -> None:
    rng = np.random.default_rng(6)
    spectra = [power_spectrum(counted(np.ones(9000), 1e6, rng)) for _ in range(40)]
    inner = np.array([each.density[3:-3] for each in spectra])
    scatter = inner.var(axis=0, ddof=1).mean() / inner.mean() ** 2
    assert 2 / scatter == pytest.approx(spectra[0].dof, rel=0.08)


def test_the_interval_covers_the_level() -> None:
    rng = np.random.default_rng(7)
    spectrum = power_spectrum(counted(np.ones(45_000), 1e6, rng))
    low, high = spectrum.interval(0.9)
    ratio = spectrum.density[2:-2] / spectrum.shot_density
    covered = np.mean((ratio * low < 1) & (ratio * high > 1))
    assert covered == pytest.approx(0.9, abs=0.03)
    assert low == pytest.approx(spectrum.dof / scipy.stats.chi2.ppf(0.95, spectrum.dof))


def test_no_segment_crosses_an_exclusion_or_a_cut() -> None:
    rng = np.random.default_rng(8)
    # A step of a hundred times the noise: any segment across it would show.
    beam = np.where(np.arange(20_000) < 10_000, 1.0, 1.1)
    calm = power_spectrum(counted(beam, 1e6, rng, cuts=[10_000]))
    excluded = np.abs(np.arange(20_000) - 10_000) < 5
    dipped = np.where(excluded, 0.9, beam)
    around = power_spectrum(counted(dipped, 1e6, rng, excluded=excluded))
    across = power_spectrum(counted(beam, 1e6, rng))
    for spectrum in (calm, around):
        assert spectrum.density[1:].max() < 3 * spectrum.shot_density
        assert spectrum.used_share == 1
    assert across.density.max() > 1000 * across.shot_density


def test_long_gaps_are_left_open_and_short_ones_bridged() -> None:
    rng = np.random.default_rng(9)
    gone = np.zeros(9000, np.bool_)
    gone[[100, 2000, 2001]] = True
    gone[4000:4100] = True
    bridged = bridge(counted(np.ones(9000), 1e6, rng, missing=gone))
    assert bridged.runs.tolist() == [[0, 4000], [4100, 9000]]
    assert bridged.bridged == 3
    assert "3 missing frames are bridged" in bridged.text
    assert "100 left open" in bridged.text


def test_a_gap_beside_a_step_takes_the_level_of_its_own_side() -> None:
    rng = np.random.default_rng(10)
    beam = np.where(np.arange(1000) < 500, 1.0, 1.1)
    gone = np.zeros(1000, np.bool_)
    gone[[497, 502]] = True
    signal = counted(beam, 1e8, rng, missing=gone, cuts=[499])
    values = bridge(signal).values
    assert values[502] - values[497] == pytest.approx(0.1 / 1.05, rel=0.01)


def test_cumulative_rms_ends_with_the_total() -> None:
    rng = np.random.default_rng(11)
    spectrum = power_spectrum(counted(np.ones(5000), 1e6, rng))
    assert spectrum.rms_from_low[-1] == pytest.approx(math.sqrt(spectrum.variance))
    assert spectrum.rms_from_high[0] == pytest.approx(math.sqrt(spectrum.variance))
    assert np.all(np.diff(spectrum.rms_from_low) >= 0)
    assert np.all(np.diff(spectrum.rms_from_high) <= 0)


def test_resolution_can_be_asked_for() -> None:
    rng = np.random.default_rng(12)
    signal = counted(np.ones(45_000), 1e6, rng)
    fine, coarse = (power_spectrum(signal, resolution_hz=r) for r in (0.1, 4.0))
    assert fine.resolution_hz == pytest.approx(0.1, rel=0.5)
    assert coarse.resolution_hz == pytest.approx(4.0, rel=0.5)
    assert coarse.dof > 30 * fine.dof


@pytest.mark.parametrize("n", [0, 1, 2, 7])
def test_too_few_frames_give_a_reason(n: int) -> None:
    spectrum = power_spectrum(counted(np.ones(n), 1e6, np.random.default_rng(0)))
    assert spectrum.frequencies_hz.size == 0
    assert f"n = {n}" in spectrum.text
    json.dumps(spectrum.as_dict(), allow_nan=False)


def test_constant_counts_have_no_density() -> None:
    values = np.full(1000, 0.25)
    spectrum: Spectrum = power_spectrum(plain_signal(values, base_of(1000)))
    assert spectrum.variance == 0
    json.dumps(spectrum.as_dict(), allow_nan=False)
