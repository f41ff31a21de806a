from __future__ import annotations

import numpy as np
import pytest

from eigersim.scenario import Scenario, curve_of, damaged_levels_of, levels_of


def test_steady_is_flat_and_whole():
    curve = curve_of(Scenario.STEADY, 100, 1e-3)
    assert np.all(curve.intensity == 1)
    assert not curve.damaged.any()
    assert curve.features == {}


def test_demo_has_its_features_where_it_says():
    n, frame_time = 7500, 1 / 750
    curve = curve_of(Scenario.DEMO, n, frame_time)
    topup, damaged = curve.features["topup"], curve.features["damaged"]
    first, settled = topup["first"], topup["settled"]
    assert first == n // 2
    assert 3 <= settled - first <= 6
    x = curve.intensity
    # over whole mains periods, so that the line cancels
    before = x[first - 150 : first].mean()
    after = x[settled : settled + 150].mean()
    drift = curve.features["drift"]["relative"]
    assert x[first:settled].mean() / before == pytest.approx(0.90, abs=0.003)
    assert after / before - 1 == pytest.approx(0.004, abs=3e-4)
    assert x[-150:].mean() - x[:150].mean() == pytest.approx(drift + 0.004, abs=4e-4)
    assert curve.damaged.sum() == 150
    assert int(np.argmax(curve.damaged)) == damaged["first"] == 7350
    spectrum = np.abs(np.fft.rfft(x[: first // 15 * 15] - x[:first].mean()))
    spectrum[:20] = 0
    line_hz = np.argmax(spectrum) / (first // 15 * 15 * frame_time)
    assert line_hz == pytest.approx(50, abs=0.5)


@pytest.mark.parametrize("frames", [1, 2, 10, 1000])
@pytest.mark.parametrize("frame_time", [1e-4, 1 / 750, 1.0])
def test_demo_stays_within_the_prepared_levels(frames, frame_time):
    curve = curve_of(Scenario.DEMO, frames, frame_time)
    levels = levels_of(Scenario.DEMO)
    assert curve.intensity.size == frames
    assert levels[0] <= curve.intensity.min()
    assert curve.intensity.max() <= levels[-1]
    assert set(damaged_levels_of(Scenario.DEMO)) <= set(levels)
    assert tuple(sorted(levels)) == levels
