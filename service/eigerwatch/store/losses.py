"""Counts records that could be kept nowhere, and collects what has to be said."""

from __future__ import annotations

import threading
from collections import deque

import structlog

log = structlog.get_logger()

WARNINGS_KEPT = 20
SERIES_KEPT = 1000
"""Series of which losses are told one by one; of more, only the sum is."""


class Losses:
    """Shared by the threads that enqueue and the one that sends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_series: dict[str, tuple[int, int]] = {}
        self.count = 0
        """Records lost since the start."""
        self.entries = 0
        """Events, states and counts lost since the start."""
        self.warnings: deque[str] = deque(maxlen=WARNINGS_KEPT)
        """What went wrong and is over."""

    def lose(self, key: str, records: int, entries: int = 0) -> None:
        """Count records and other entries of a series; ``""``: of several."""
        with self._lock:
            self.count += records
            self.entries += entries
            told = self._by_series
            if not key or not records + entries:
                return
            if key in told or len(told) < SERIES_KEPT:
                before = told.get(key, (0, 0))
                told[key] = before[0] + records, before[1] + entries

    def take(self) -> dict[str, tuple[int, int]]:
        """Return what was lost since the last call, by series: records, entries."""
        with self._lock:
            lost, self._by_series = self._by_series, {}
        return lost

    def warn(self, text: str) -> None:
        """Log a sentence and keep it for the status."""
        log.warning("store trouble", text=text)
        self.warnings.append(text)
