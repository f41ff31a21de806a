from __future__ import annotations

import math

import numpy as np
import pytest
import scipy.signal
from beams import RATE_HZ, counted, sines

from eigerwatch.analysis.broad import broad_peaks
from eigerwatch.analysis.lines import find_lines
from eigerwatch.analysis.spectrum import power_spectrum


def resonance(n: int, frequency_hz: float, width_hz: float, rms: float) -> np.ndarray:
    pole = math.exp(-math.pi * width_hz / RATE_HZ)
    turn = 2 * math.cos(2 * math.pi * frequency_hz / RATE_HZ)
    noise = np.random.default_rng(1).normal(size=n)
    driven = scipy.signal.lfilter([1], [1, -turn * pole, pole**2], noise)
    return rms * driven / driven.std()


def test_a_resonance_has_its_frequency_and_power() -> None:
    beam = 1 + resonance(45_000, 80.0, 2.0, 5e-4)
    spectrum = power_spectrum(counted(beam, 3e6, np.random.default_rng(2)))
    (peak,) = broad_peaks(spectrum)
    assert peak.frequency_hz == pytest.approx(80, abs=0.3)
    # All but the far wings, which are below the noise.
    assert 0.7 * 5e-4**2 < peak.power < 1.05 * 5e-4**2
    assert peak.low_hz < 79 < 81 < peak.high_hz


def test_noise_has_no_peaks() -> None:
    rng = np.random.default_rng(3)
    red = [np.cumsum(rng.normal(0, 3e-5, 20_000)) for _ in range(15)]
    beams = [1 + each - each.mean() for each in red] + [np.ones(20_000)] * 15
    found = [broad_peaks(power_spectrum(counted(beam, 1e6, rng))) for beam in beams]
    assert [len(each) for each in found] == [0] * 30


def test_a_resonance_is_one_broad_line_and_a_sine_none() -> None:
    beam = sines(45_000, [(31.4, 1e-3)]) + resonance(45_000, 80.0, 2.0, 5e-4)
    search = find_lines(counted(beam, 3e6, np.random.default_rng(4)))
    sine, broad = search.lines
    assert (round(sine.frequency_hz, 1), sine.width_hz) == (31.4, 0)
    assert broad.frequency_hz == pytest.approx(80, abs=0.3)
    assert broad.width_hz > 1
    assert broad.rms_percent == pytest.approx(0.05, rel=0.2)


def test_mains_that_wander_through_a_long_record_keep_amplitude_and_name() -> None:
    rng = np.random.default_rng(5)
    pole = math.exp(-1 / 20_000)
    wander = scipy.signal.lfilter([1], [1, -pole], rng.normal(size=400_000))
    phase = 2 * np.pi * np.cumsum(50.01 + 0.02 * wander / wander.std()) / RATE_HZ
    beam = 1 + 1e-3 * np.sin(phase) + 3e-4 * np.sin(6 * phase)
    first, second = find_lines(counted(beam, 3e6, rng)).lines
    assert first.amplitude == pytest.approx(1e-3, rel=0.1)
    assert second.amplitude == pytest.approx(3e-4, rel=0.1)
    assert first.naming is not None
    assert second.naming is not None
    assert (first.naming.name, second.naming.name) == ("50 Hz", "6 x 50 Hz (300 Hz)")


def test_short_records_have_no_broad_peaks() -> None:
    spectrum = power_spectrum(counted(np.ones(500), 1e6, np.random.default_rng(6)))
    assert broad_peaks(spectrum) == []
