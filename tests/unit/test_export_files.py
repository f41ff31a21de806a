from __future__ import annotations

import pickle
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import scipy.signal
from helpers import SHARED_DATA

from eigerwatch.analysis.statistics import describe
from eigerwatch.export.files import (
    SUMS_COLUMNS,
    exported_totals,
    is_stored,
    replacing,
    sums_csv_lines,
    table_csv,
    write_pickle,
    write_sums_csv,
    write_sums_npy,
    write_table_csv,
)
from eigerwatch.model import (
    FRAME_RECORD,
    MISSING_TOTAL,
    REASON_SHIFT,
    FrameFlag,
    RejectReason,
)

RNG = np.random.default_rng(11)
ROWS = ["count", "mean", "std", "CV%", "min", "25%", "50%", "75%", "max"]


@pytest.fixture
def records() -> np.ndarray:
    """Eight frames: the third rejected, the fifth and sixth missing."""
    rows = np.zeros(8, FRAME_RECORD)
    rows["total"] = RNG.integers(2**60, 2**61, 8)
    for name in SUMS_COLUMNS[1:]:
        rows[name] = RNG.integers(0, 2**32, 8)
    rows["flags"] = FrameFlag.STORED | FrameFlag.FROM_FILE
    rows["flags"][2] = FrameFlag.REJECTED | (RejectReason.PAYLOAD << REASON_SHIFT)
    rows[4:6] = 0
    return rows


def origin_table(raw: np.ndarray) -> pd.DataFrame:
    detrended = scipy.signal.detrend(raw) + raw.mean()
    table = pd.DataFrame({"raw": raw, "detrended": detrended}).describe()
    table.loc["CV%"] = 100 * table.loc["std"] / table.loc["mean"]
    return table.loc[ROWS]


def test_table_reads_back_as_the_origins(tmp_path: Path) -> None:
    raw = RNG.poisson(6_485_052, 1000).astype(np.uint64)
    path = tmp_path / "x_master.h5.csv"
    write_table_csv(path, describe(raw))
    found = pd.read_csv(path, index_col=0)
    expected = origin_table(raw.astype(float))
    assert list(found.index) == ROWS
    assert list(found.columns) == ["raw", "detrended"]
    np.testing.assert_allclose(found, expected, rtol=1e-9)


@pytest.mark.realdata
def test_table_of_the_origins_sums(tmp_path: Path) -> None:
    sums = pd.read_csv(SHARED_DATA / "origin_399_sums.csv")["sum"].to_numpy()
    write_table_csv(tmp_path / "t.csv", describe(sums))
    found = pd.read_csv(tmp_path / "t.csv", index_col=0)
    np.testing.assert_allclose(found, origin_table(sums.astype(float)), rtol=1e-9)


def test_table_has_the_bytes_that_pandas_writes(tmp_path: Path) -> None:
    description = describe(RNG.poisson(1000, 399))
    table = pd.DataFrame(
        {
            "raw": dict(description.raw.rows()),
            "detrended": dict(description.detrended.rows()),
        }
    )
    assert table_csv(description) == table.to_csv()
    assert table_csv(description).startswith(",raw,detrended\ncount,399.0,399.0\nmean,")


def test_undefined_cells_of_the_table_are_empty() -> None:
    assert "mean,,\n" in table_csv(describe([]))
    assert "std,,\nCV%,,\nmin,5.0,5.0\n" in table_csv(describe([5]))


def test_npy_marks_what_is_not_stored(tmp_path: Path, records: np.ndarray) -> None:
    path = tmp_path / "x_master.h5.sums.npy"
    write_sums_npy(path, records)
    totals = np.load(path, allow_pickle=False)
    assert totals.dtype == np.uint64
    assert (totals == MISSING_TOTAL).nonzero()[0].tolist() == [2, 4, 5]
    stored = is_stored(records)
    np.testing.assert_array_equal(totals[stored], records["total"][stored])
    assert exported_totals(records[:0]).shape == (0,)


def test_sums_csv_is_exact_and_empty_where_nothing_is_stored(
    tmp_path: Path, records: np.ndarray
) -> None:
    path = tmp_path / "x_master.h5.sums.csv"
    write_sums_csv(path, records, first_frame=11)
    kinds = dict.fromkeys(SUMS_COLUMNS, "UInt64")
    table = pd.read_csv(path, dtype=kinds)
    assert list(table.columns) == ["frame", "state", *SUMS_COLUMNS]
    assert table["frame"].tolist() == list(range(11, 19))
    assert table["state"].tolist() == [
        *["stored"] * 2,
        "rejected",
        "stored",
        *["missing"] * 2,
        *["stored"] * 2,
    ]
    stored = is_stored(records)
    for name in SUMS_COLUMNS:
        assert table[name][stored].tolist() == records[name][stored].tolist()
        assert table[name][~stored].isna().all()


def test_sums_csv_continues_in_blocks() -> None:
    rows = np.zeros(10_000, FRAME_RECORD)
    rows["total"] = np.arange(10_000)
    rows["flags"] = FrameFlag.STORED
    whole = "".join(sums_csv_lines(rows))
    head = "".join(sums_csv_lines(rows[:7000]))
    tail = "".join(sums_csv_lines(rows[7000:], 7001, header=False))
    assert head + tail == whole
    assert whole.count("\n") == 10_001
    assert whole.endswith("\n10000,stored,9999,0,0,0,0,0\n")
    assert all(block.endswith("\n") for block in sums_csv_lines(rows))


def test_sums_csv_with_states_told(records: np.ndarray) -> None:
    states = ["stored"] * 7 + ["stored"]
    states[4] = states[5] = "outstanding"
    lines = "".join(sums_csv_lines(records, states=states)).splitlines()
    assert lines[5] == "5,outstanding,,,,,,"
    with pytest.raises(ValueError, match="8 records but 3 states"):
        list(sums_csv_lines(records, states=states[:3]))


def test_pickle_is_the_origins_list(tmp_path: Path, records: np.ndarray) -> None:
    path = tmp_path / "x.pickle"
    write_pickle(path, records)
    sums = pickle.loads(path.read_bytes())
    assert [type(value) for value in sums] == [
        *(int, int, float, int),
        *(float, float, int, int),
    ]
    assert sums[0] == records["total"][0]
    assert path.read_bytes()[:2] == b"\x80\x02"
    pd.testing.assert_index_equal(
        pd.Series(sums).dropna().index, pd.Index(np.flatnonzero(is_stored(records)))
    )


def test_an_interrupted_file_leaves_the_old_one(tmp_path: Path) -> None:
    path = tmp_path / "x.csv"
    path.write_text("old")

    def interrupted() -> None:
        with replacing(path) as part:
            part.write_text("half")
            raise OSError("disk full")

    with pytest.raises(OSError, match="disk full"):
        interrupted()
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
