"""The newest records of a channel, kept to compare repeated frames with."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigerwatch.model import FRAME_RECORD

_ROWS = 8192


class RecentRecords:
    """A ring of records addressed by image_id, `_ROWS` frames deep."""

    def __init__(self) -> None:
        self._image_ids = np.full(_ROWS, -1, np.int64)
        self._records = np.zeros(_ROWS, FRAME_RECORD)

    def add(
        self,
        image_ids: np.ndarray[Any, np.dtype[np.int64]],
        records: np.ndarray[Any, np.dtype[Any]],
    ) -> None:
        """Keep records; those `_ROWS` frames older are forgotten."""
        rows = image_ids % _ROWS
        self._image_ids[rows] = image_ids
        self._records[rows] = records

    def get(self, image_id: int) -> np.void | None:
        """Return a frame's record, or None where it is forgotten."""
        row = image_id % _ROWS
        if self._image_ids[row] != image_id:
            return None
        record: np.void = self._records[row].copy()
        return record
