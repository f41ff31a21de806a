from __future__ import annotations

import numpy as np
import pytest

from eigerwatch.analysis.moving import LEAST_HALF, MOST_POINTS, moving_average


def everything(values: np.ndarray) -> np.ndarray:
    return np.ones(values.size, np.bool_)


@pytest.mark.parametrize("first", [0, 5, 1000])
@pytest.mark.parametrize("n", [100, 5000, 123_456])
def test_each_point_is_the_mean_of_its_window(first: int, n: int) -> None:
    random = np.random.default_rng(n)
    values = random.integers(6_000_000, 7_000_000, n).astype(np.uint64)
    counts = random.random(n) > 0.1
    found = moving_average(first, values, counts)
    assert 2 <= found.frames.size <= MOST_POINTS
    half = found.width // 2
    for frame, value, position in zip(
        found.frames.tolist(), found.values, found.positions, strict=True
    ):
        assert frame % half == 0
        window = slice(frame - half - first, frame + half - first)
        used = counts[window]
        assert value == pytest.approx(values[window][used].mean())
        places = np.arange(frame - half, frame + half)[used]
        assert position == pytest.approx(places.mean())


def test_appending_changes_no_point_until_windows_double() -> None:
    values = np.random.default_rng(1).normal(1e6, 1e3, 10_000)
    before = moving_average(0, values[:9000], everything(values[:9000]))
    after = moving_average(0, values, everything(values))
    assert before.width == after.width
    np.testing.assert_array_equal(after.values[: before.values.size], before.values)
    np.testing.assert_array_equal(after.frames[: before.frames.size], before.frames)


def test_where_too_few_frames_count_there_is_no_average() -> None:
    values = np.full(1600, 5.0)
    counts = everything(values)
    counts[400:1000] = False
    found = moving_average(0, values, counts)
    gone = np.isnan(found.values)
    inside = (found.frames >= 400 + LEAST_HALF) & (found.frames <= 1000 - LEAST_HALF)
    assert gone[inside].all()
    assert not gone[(found.frames < 400) | (found.frames > 1000)].any()
    assert set(found.values[~gone].tolist()) == {5.0}


@pytest.mark.parametrize("n", [0, 1, LEAST_HALF, 2 * LEAST_HALF - 1])
def test_few_frames_have_none(n: int) -> None:
    values = np.ones(n)
    assert moving_average(3, values, everything(values)).frames.size == 0


def test_large_sums_stay_large() -> None:
    values = np.full(100, 2**63, np.uint64)
    assert moving_average(0, values, everything(values)).values[0] == 2.0**63
