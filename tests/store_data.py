"""Records for the tests of the store, made from nothing but their frame numbers."""

from __future__ import annotations

import json
import time
from typing import Any

import numpy as np

from eigerwatch.model import FRAME_RECORD, REGION_ROW, PixelMask
from eigerwatch.store.write import Writer

KEY = "live:01JABC"
CHANNEL = "threshold_1"


def records(ids: Any) -> np.ndarray[Any, Any]:
    """Return records in which every field tells its frame."""
    ids = np.asarray(ids)
    table = np.zeros(ids.size, FRAME_RECORD)
    table["total"] = ids * 1_000_003 + 7
    table["kept"] = ids % 1000 + 1
    table["max_kept"] = ids % 97
    table["start_ns"] = ids * 1_340_000
    table["received_ns"] = 1_700_000_000_000_000_000 + ids
    return table


def regions(ids: Any, width: int = 3) -> np.ndarray[Any, Any]:
    """Return region rows in which every one tells its frame and place."""
    table = np.zeros((np.asarray(ids).size, width), REGION_ROW)
    table["total"] = np.asarray(ids)[:, None] * 10 + np.arange(width)
    table["kept"] = 1
    return table


MASK = PixelMask((3, 5), bytes([0b1011_0111, 0b0111_1110]))
"""Some mask of 15 pixels."""


def meta(**changes: Any) -> dict[str, Any]:
    """Return the meta of a plain series."""
    said = {
        "v": 1,
        "source": "live",
        "series_id": 7,
        "state": "collecting",
        "channels": json.dumps([CHANNEL]),
        "number_of_images": 25_000,
        "frame_time_s": 0.00134,
        "shape": "[2167, 2070]",
        "dtype": "uint16",
        "filter": '{"low": 0, "high": 65532}',
    }
    return {**said, **changes}


def open_series(writer: Writer, key: str = KEY, **changes: Any) -> None:
    """Open a plain series now."""
    writer.open_series(key, meta(**changes), time.time_ns() // 1_000_000)


def append(writer: Writer, ids: Any, key: str = KEY, **more: Any) -> None:
    """Append the records of these frames."""
    ids = np.asarray(ids, np.int64)
    writer.append(key, more.get("channel", CHANNEL), ids, records(ids))


def assert_rows(rows: np.ndarray[Any, Any], ids: Any, start: int = 0) -> None:
    """Check that exactly these frames are stored, each with its own values."""
    expected = records(np.arange(start, start + rows.size))
    expected["flags"] = 1
    gone = np.setdiff1d(np.arange(rows.size), np.asarray(ids) - start)
    expected[gone] = np.zeros((), FRAME_RECORD)
    np.testing.assert_array_equal(rows, expected)
