"""Counts records that could be kept nowhere, and collects what has to be said."""

from __future__ import annotations

import threading
from collections import deque

import structlog

log = structlog.get_logger()

WARNINGS_KEPT = 20


class Losses:
    """Shared by the threads that enqueue and the one that sends."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._by_series: dict[str, int] = {}
        self.count = 0
        """Records lost since the start."""
        self.warnings: deque[str] = deque(maxlen=WARNINGS_KEPT)
        """What went wrong and is over."""

    def lose(self, key: str, records: int) -> None:
        """Count records of a series; ``""``: of several."""
        with self._lock:
            self.count += records
            if key and records:
                self._by_series[key] = self._by_series.get(key, 0) + records

    def take(self) -> dict[str, int]:
        """Return what was lost since the last call, by series."""
        with self._lock:
            lost, self._by_series = self._by_series, {}
        return lost

    def warn(self, text: str) -> None:
        """Log a sentence and keep it for the status."""
        log.warning("store trouble", text=text)
        self.warnings.append(text)
