"""The newest records of each channel, kept to compare repeated frames with."""

from __future__ import annotations

from typing import Any

import numpy as np

from eigerwatch.model import FRAME_RECORD

_ROWS = 8192


class RecentRecords:
    """Per series and channel a ring of records, `_ROWS` frames deep."""

    def __init__(self) -> None:
        self._rings: dict[tuple[str, str], _Ring] = {}

    def add(
        self,
        series: str,
        channel: str,
        image_ids: np.ndarray[Any, np.dtype[np.int64]],
        records: np.ndarray[Any, np.dtype[Any]],
    ) -> None:
        """Keep records; those `_ROWS` frames older are forgotten."""
        ring = self._rings.get((series, channel))
        if ring is None:
            ring = self._rings[(series, channel)] = _Ring()
        rows = image_ids % _ROWS
        ring.image_ids[rows] = image_ids
        ring.records[rows] = records

    def get(self, series: str, channel: str, image_id: int) -> np.void | None:
        """Return a copy of a frame's record, or None where it is forgotten."""
        ring = self._rings.get((series, channel))
        row = image_id % _ROWS
        if ring is None or ring.image_ids[row] != image_id:
            return None
        record: np.void = ring.records[row].copy()
        return record

    def forget(self, series: str) -> None:
        """Drop the records of a series."""
        for place in [place for place in self._rings if place[0] == series]:
            del self._rings[place]


class _Ring:
    def __init__(self) -> None:
        self.image_ids = np.full(_ROWS, -1, np.int64)
        self.records = np.zeros(_ROWS, FRAME_RECORD)
