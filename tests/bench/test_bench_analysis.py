from __future__ import annotations

from itertools import count
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scenarios import scenario

from eigerwatch.analysis.bootstrap import uncertainty
from eigerwatch.analysis.decimate import envelope
from eigerwatch.analysis.rolling import Rolling
from eigerwatch.analysis.stationarity import stationarity
from eigerwatch.analysis.statistics import describe, detrend
from eigerwatch.export.files import sums_csv_lines
from eigerwatch.export.plot import write_html
from eigerwatch.model import FRAME_RECORD, FrameFlag

FRAMES = 1_000_000


@pytest.fixture(scope="module")
def totals() -> np.ndarray:
    values = np.random.default_rng(1).poisson(6_485_052, FRAMES).astype(np.uint64)
    values[777_777] = 5_836_547
    return values


@pytest.fixture(scope="module")
def stored() -> np.ndarray:
    there = np.ones(FRAMES, bool)
    there[np.random.default_rng(2).choice(FRAMES, 200, replace=False)] = False
    there[777_777] = True
    return there


def test_envelope(benchmark: Any, totals: np.ndarray) -> None:
    result = benchmark(envelope, 0, totals)
    assert len(result.frames) <= 4000
    assert 777_777 in result.frames


def test_envelope_with_gaps(
    benchmark: Any, totals: np.ndarray, stored: np.ndarray
) -> None:
    result = benchmark(envelope, 0, totals, stored)
    assert len(result.frames) <= 4000
    assert 777_777 in result.frames


def test_envelope_of_every_second_frame(benchmark: Any, totals: np.ndarray) -> None:
    result = benchmark(envelope, 0, totals, np.arange(FRAMES) % 2 == 1)
    assert len(result.frames) <= 4000
    assert 777_777 in result.frames


def test_describe(benchmark: Any, totals: np.ndarray, stored: np.ndarray) -> None:
    values, positions = totals[stored], np.flatnonzero(stored)
    result = benchmark(describe, values, positions)
    assert result.raw.count == FRAMES - 200
    assert result.raw.minimum == 5_836_547


def test_detrend(benchmark: Any, totals: np.ndarray) -> None:
    result = benchmark(detrend, totals)
    assert result.mean() == pytest.approx(totals.mean(), rel=1e-12)


def test_uncertainty_of_a_minute(benchmark: Any) -> None:
    run = scenario(3, modules=False)
    used = ~run.excluded
    totals, positions = run.totals[used], run.positions[used]
    result = benchmark(uncertainty, totals, positions, run.topups)
    assert result.cv_detrended.low < run.cv_percent < result.cv_detrended.high


def test_stationarity_of_a_minute(benchmark: Any) -> None:
    run = scenario(3, topups=0, damage=False, drift_percent=0, modules=False)
    assert benchmark(stationarity, run.totals, run.positions).holds


def test_rolling_update(benchmark: Any, totals: np.ndarray) -> None:
    window = Rolling(frames=45_000)
    window.add(np.arange(45_000), totals[:45_000])
    steps = count(45_000, 75)

    def update() -> int:
        start = next(steps)
        at = start % (FRAMES - 75)
        window.add(np.arange(start, start + 75), totals[at : at + 75])
        return window.statistics().n

    assert benchmark(update) == 45_000


def test_sums_csv(benchmark: Any, totals: np.ndarray) -> None:
    records = np.zeros(FRAMES, FRAME_RECORD)
    records["total"], records["flags"] = totals, FrameFlag.STORED

    def lines() -> int:
        return sum(block.count("\n") for block in sums_csv_lines(records))

    assert benchmark(lines) == FRAMES + 1


def test_html(
    benchmark: Any, totals: np.ndarray, stored: np.ndarray, tmp_path: Path
) -> None:
    path = tmp_path / "x.html"
    benchmark(write_html, path, totals, stored, title="x", settings={})
    assert path.stat().st_size < 15e6
