from __future__ import annotations

import json
import math
from fractions import Fraction

import numpy as np
import pandas as pd
import pytest
import scipy.signal
from helpers import SHARED_DATA, manifest
from hypothesis import given
from hypothesis import strategies as st
from scenarios import scenario

from eigerwatch.analysis.statistics import ROW_LABELS, Description, describe

RNG = np.random.default_rng(20240516)


def pandas_table(raw: np.ndarray, detrended: np.ndarray) -> pd.DataFrame:
    """Build the table as the origin does: describe(), and CV% after std."""
    frame = pd.DataFrame({"raw": raw, "detrended": detrended}).describe()
    frame.loc["CV%"] = 100 * frame.loc["std"] / frame.loc["mean"]
    return frame.loc[list(ROW_LABELS)]


def as_frame(description: Description) -> pd.DataFrame:
    columns = {
        "raw": dict(description.raw.rows()),
        "detrended": dict(description.detrended.rows()),
    }
    return pd.DataFrame(columns)


def assert_tables_equal(ours: pd.DataFrame, theirs: pd.DataFrame) -> None:
    assert list(ours.index) == list(theirs.index)
    np.testing.assert_allclose(ours, theirs, rtol=1e-9)


@pytest.mark.parametrize("n", [2, 3, 4, 5, 399, 40_000])
@pytest.mark.parametrize("mean", [3, 26_892, 6_485_052, 10**11])
def test_agrees_with_pandas_and_scipy(n: int, mean: int) -> None:
    drift = np.linspace(0, 50 * math.sqrt(mean), n)
    raw = RNG.poisson(mean + drift).astype(np.uint64)
    expected = scipy.signal.detrend(raw.astype(float)) + raw.mean()
    if n > 2:  # two frames leave nothing but rounding for std
        table = pandas_table(raw.astype(float), expected)
        assert_tables_equal(as_frame(describe(raw)), table)


def test_agrees_with_exact_arithmetic_where_float_oracles_round() -> None:
    raw = [int(v) for v in RNG.poisson(10**14, 50)]
    positions = sorted(int(p) for p in RNG.choice(2**26, 50, replace=False))
    mean, centre = Fraction(sum(raw), 50), Fraction(sum(positions), 50)
    rise = sum((p - centre) * (v - mean) for p, v in zip(positions, raw, strict=True))
    slope = rise / sum((p - centre) ** 2 for p in positions)
    rest = [
        v - mean - slope * (p - centre) for p, v in zip(positions, raw, strict=True)
    ]
    result = describe(np.array(raw, np.uint64), np.array(positions))
    assert result.slope == pytest.approx(float(slope), rel=1e-11)
    expected = math.sqrt(sum((v - mean) ** 2 for v in raw) / 49)
    assert result.raw.std == pytest.approx(expected, rel=1e-12)
    expected = math.sqrt(sum(r**2 for r in rest) / 49)
    assert result.detrended.std == pytest.approx(expected, rel=1e-12)


def test_line_is_fitted_at_the_true_positions() -> None:
    positions = np.sort(RNG.choice(2**26, 5000, replace=False))
    raw = RNG.poisson(1e6 + positions / 100).astype(np.uint64)
    slope, constant = np.polyfit(positions - positions.mean(), raw.astype(float), 1)
    result = describe(raw, positions)
    assert result.slope == pytest.approx(slope, rel=1e-9)
    assert result.centre == pytest.approx(positions.mean(), rel=1e-12)
    assert (result.first, result.last) == (positions[0], positions[-1])
    line = constant + slope * (positions - positions.mean())
    np.testing.assert_allclose(result.line(positions), line, rtol=1e-9)
    expected = raw - line + raw.mean()
    assert_tables_equal(as_frame(result), pandas_table(raw.astype(float), expected))
    span = positions[-1] - positions[0]
    drift = 100 * slope * span / raw.mean()
    assert result.drift_percent == pytest.approx(drift, rel=1e-9)


def test_closing_up_gaps_would_give_another_line() -> None:
    positions = np.array([0, 1, 2, 1000])
    raw = np.array([10, 20, 30, 10_010], np.uint64)
    assert describe(raw, positions).detrended.std == pytest.approx(0, abs=1e-9)
    assert describe(raw).detrended.std > 1000


@pytest.mark.parametrize("seed", range(10))
def test_every_cell_of_a_run_without_gaps_is_that_of_pandas(seed: int) -> None:
    raw = scenario(seed, missing=0, modules=False).totals
    expected = scipy.signal.detrend(raw.astype(float)) + raw.mean()
    table = pandas_table(raw.astype(float), expected)
    assert table.shape == (9, 2)
    assert_tables_equal(as_frame(describe(raw)), table)


@pytest.mark.realdata
def test_every_cell_of_the_sums_of_the_origin_is_that_of_pandas() -> None:
    sums = pd.read_csv(SHARED_DATA / "origin_399_sums.csv")["sum"].to_numpy()
    assert sums.size == 399
    expected = scipy.signal.detrend(sums.astype(float)) + sums.mean()
    table = pandas_table(sums.astype(float), expected)
    assert_tables_equal(as_frame(describe(sums.astype(np.uint64))), table)


@pytest.mark.realdata
def test_published_sums_of_the_origin() -> None:
    sums = pd.read_csv(SHARED_DATA / "origin_399_sums.csv")["sum"].to_numpy()
    published = manifest()["origin"]
    (key,) = (key for key in published if key.startswith("statistics_of_sums_file"))
    result = as_frame(describe(sums.astype(np.uint64)))
    assert_tables_equal(result, pd.DataFrame(published[key]).loc[list(ROW_LABELS)])


@pytest.mark.parametrize("offset", [0, 2**53 + 1, 2**63 - 7, 2**64 - 6])
def test_differences_survive_beyond_float_precision(offset: int) -> None:
    raw = np.array([offset + k for k in (0, 3, 1, 5, 2)], np.uint64)
    result = describe(raw)
    assert result.raw.std == pytest.approx(np.std([0, 3, 1, 5, 2], ddof=1), rel=1e-12)
    assert result.slope == pytest.approx(0.6, rel=1e-12)
    assert result.raw.maximum == pytest.approx(offset + 5, rel=1e-15)


def test_signed_integers_of_full_range() -> None:
    raw = np.array([-(2**63), 2**63 - 1, 0], np.int64)
    assert describe(raw).raw.maximum == 2.0**63
    assert describe(raw).raw.minimum == -(2.0**63)
    small = np.array([-100, 100, 127, -128], np.int8)
    assert_tables_equal(
        as_frame(describe(small)),
        pandas_table(small.astype(float), scipy.signal.detrend(small) + small.mean()),
    )


def test_no_frames() -> None:
    result = describe(np.empty(0, np.uint64))
    assert result.raw.count == 0
    assert math.isnan(result.raw.mean)
    assert math.isnan(result.drift_percent)
    text = json.dumps(result.as_dict(), allow_nan=False)
    assert json.loads(text)["raw"] == {
        "count": 0,
        "mean": None,
        "std": None,
        "cv_percent": None,
        "minimum": None,
        "q25": None,
        "median": None,
        "q75": None,
        "maximum": None,
    }


def test_one_frame_has_no_spread() -> None:
    result = describe(np.array([7], np.uint64), np.array([12]))
    for table in (result.raw, result.detrended):
        assert (table.count, table.mean, table.minimum, table.q75) == (1, 7, 7, 7)
        assert math.isnan(table.std)
        assert math.isnan(table.cv_percent)
    assert (result.slope, result.drift_percent, result.centre) == (0, 0, 12)
    json.dumps(result.as_dict(), allow_nan=False)


def test_two_frames_lie_on_their_line() -> None:
    result = describe([10, 20], [5, 7])
    assert result.slope == 5
    assert result.raw.std == pytest.approx(math.sqrt(50))
    assert result.detrended.std == 0
    assert result.detrended.minimum == result.detrended.maximum == 15


def test_no_beam_has_no_cv() -> None:
    result = describe(np.zeros(5, np.uint64))
    assert result.raw.std == 0
    assert result.raw.as_dict()["cv_percent"] is None
    assert result.as_dict()["drift_percent"] is None


def test_input_is_left_alone() -> None:
    raw = RNG.normal(1e6, 10, 100)
    before = raw.copy()
    describe(raw)
    np.testing.assert_array_equal(raw, before)


def test_wrong_shapes_are_refused() -> None:
    with pytest.raises(ValueError, match="one dimension"):
        describe(np.zeros((2, 2)))
    with pytest.raises(ValueError, match="3 values"):
        describe([1, 2, 3], [1, 2])


@given(st.lists(st.integers(0, 2**40), min_size=1, max_size=60))
def test_quartiles_are_those_of_numpy(values: list[int]) -> None:
    table = describe(np.array(values, np.uint64)).raw
    ours = [table.minimum, table.q25, table.median, table.q75, table.maximum]
    expected = np.percentile(values, [0, 25, 50, 75, 100])
    np.testing.assert_allclose(ours, expected, rtol=1e-14)
    assert (table.minimum, table.maximum) == (min(values), max(values))
