from __future__ import annotations

import json

import numpy as np
import pytest
from beams import RATE_HZ, counted

from eigerwatch.analysis.spectrogram import MOST_COLUMNS, MOST_ROWS, spectrogram


def test_noise_lies_on_its_level_in_every_column() -> None:
    signal = counted(np.ones(45_000), 1e6, np.random.default_rng(1))
    found = spectrogram(signal)
    level = found.density / signal.shot_density
    assert level.mean() == pytest.approx(1, abs=0.01)
    np.testing.assert_allclose(level.mean(axis=0), 1, atol=0.3)


def test_a_line_shows_when_and_where_it_is() -> None:
    times = np.arange(45_000) / RATE_HZ
    on = (times > 20) & (times < 40)
    beam = 1 + np.where(on, 5e-3 * np.sin(2 * np.pi * 100 * times), 0)
    found = spectrogram(counted(beam, 1e7, np.random.default_rng(2)))
    row = int(np.argmin(np.abs(found.frequencies_hz - 100)))
    loud = found.density[row] > 100 * np.median(found.density)
    inside = (found.times_s > 21) & (found.times_s < 39)
    outside = (found.times_s < 19) | (found.times_s > 41)
    assert loud[inside].all()
    assert not loud[outside].any()


def test_exclusions_are_columns_without_a_value() -> None:
    excluded = np.zeros(45_000, np.bool_)
    excluded[20_000:25_000] = True
    signal = counted(np.ones(45_000), 1e6, np.random.default_rng(3), excluded=excluded)
    found = spectrogram(signal)
    times = np.array([22_500, 10_000]) / RATE_HZ
    gap, there = (int(np.argmin(np.abs(found.times_s - time))) for time in times)
    assert np.isnan(found.density[:, gap]).all()
    assert np.isfinite(found.density[:, there]).all()
    row = found.as_dict()["density"][5]
    assert row[gap] is None
    json.dumps(found.as_dict(), allow_nan=False)


@pytest.mark.parametrize("n", [128, 1000, 45_000, 400_000])
def test_size_is_bounded(n: int) -> None:
    found = spectrogram(counted(np.ones(n), 1e6, np.random.default_rng(4)))
    rows, columns = found.density.shape
    assert 0 < rows <= MOST_ROWS
    assert 0 < columns <= MOST_COLUMNS
    assert found.times_s.size == columns
    assert found.frequencies_hz.size == rows
    assert np.all(np.diff(found.times_s) > 0)


def test_rows_merge_without_losing_power() -> None:
    signal = counted(np.ones(45_000), 1e6, np.random.default_rng(5))
    fine, coarse = spectrogram(signal), spectrogram(signal, rows=16)
    assert coarse.density.shape[0] <= 16
    assert coarse.density.mean() == pytest.approx(fine.density.mean(), rel=0.01)


@pytest.mark.parametrize("n", [0, 1, 2, 127])
def test_too_few_frames_give_a_reason(n: int) -> None:
    found = spectrogram(counted(np.ones(n), 1e6, np.random.default_rng(6)))
    assert found.density.size == 0
    assert f"n = {n}" in found.text


def test_times_are_those_since_the_first_frame() -> None:
    """Also where the first frames are left out."""
    times = np.arange(45_000) / RATE_HZ
    on = (times > 40) & (times < 50)
    beam = 1 + np.where(on, 5e-3 * np.sin(2 * np.pi * 100 * times), 0)
    found = spectrogram(
        counted(beam, 1e7, np.random.default_rng(2), excluded=times < 20)
    )
    row = int(np.argmin(np.abs(found.frequencies_hz - 100)))
    loud = found.times_s[found.density[row] > 100 * np.nanmedian(found.density)]
    assert loud.min() == pytest.approx(40, abs=1)
    assert loud.max() == pytest.approx(50, abs=1)
